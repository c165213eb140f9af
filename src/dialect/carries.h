#pragma once
/* What a target is given of each thing a client may ask for: found out by asking. Each feature is a
 * small request; it is translated for the target at hand, and what the translation says of itself
 * is the answer. So the tables of docs/capabilities.md cannot say anything else than the program
 * does.
 *
 * Pure. Knows no configuration. */
#include "dialect/capability.h"
#include "dialect/dialect.h"

enum carry_how {
    CARRY_AS_IS,     /* same format: it goes as the client said it */
    CARRY_CONVERTED, /* in the target's words, nothing lost */
    CARRY_DEGRADED,  /* something is lost, and said */
    CARRY_REFUSED,   /* told to the client, unless another target can */
};

struct carry_feature {
    const char *name;    /* for people */
    const char *at_door; /* the field in the client's words */
};
struct carried {
    enum carry_how how;
    struct lossy lossy; /* DEGRADED: its names in x-hotspare-lossy */
};

/* The features that a client of this format may ask for; door: Messages or chat. */
size_t carry_features(const struct dialect *door);
const struct carry_feature *carry_feature(const struct dialect *door, size_t i);
/* to: the format this target is asked in. */
struct carried carries(const struct dialect *door, size_t i, const struct dialect *to,
                       const struct capability *cap);
