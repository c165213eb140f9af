#pragma once
/* The catalogue of faults: for each one what is done to the provider, what is expected of the
 * gateway, in a sentence written before anything is measured, and the limits that decide. One
 * table; `drill list`, the runs and the reports all read it. Pure. */
#include "tools/drill/score.h"

/* Faults that no stand-in can commit: the gateway is pointed at one of these instead. trap.h. */
enum trap_kind {
    TRAP_NONE,
    TRAP_NAME,          /* a name that does not exist */
    TRAP_WRONG_ADDRESS, /* an address where nobody listens */
    TRAP_BLACKHOLE,     /* a listener whose queue is full: the system drops what comes */
    TRAP_TLS_EXPIRED,
    TRAP_TLS_HOST,    /* a certificate for another host */
    TRAP_TLS_CA,      /* one that nobody vouches for */
    TRAP_TLS_SILENCE, /* the handshake is never answered */
    TRAP_TLS_ALERT,   /* it is refused with an alert */
    TRAP_IDLE_CLOSES, /* the lead itself, over a wire on which idle connections end */
    TRAP_IDLE_DIES    /* ... or die unseen: the next request meets a reset */
};

#define STEPS_MAX 4
struct drill_step {
    unsigned at_percent; /* of the fault window */
    const char *lead,
        *spare; /* faults in the stand-in's language; "none" = healthy; NULL = as is */
};
struct drill_variant {
    const char *id; /* "529"; with the fault's: "H1.529" */
    enum expectation expect;
    struct drill_step steps[STEPS_MAX]; /* up to the first without lead and spare */
    enum trap_kind trap;
    int status;          /* EXPECT_CALLERS_ERROR: what the caller must be told */
    const char *told;    /* ... and words that must be in it */
    const char *not_run; /* NULL = it is run; else why not */
};
struct drill_fault {
    const char *id;         /* "H1" */
    const char *name;       /* "overloaded (529)" */
    const char *hypothesis; /* a sentence */
    const struct drill_variant *variants;
    size_t variant_count;
    struct limits limits; /* what differs from limits_default */
    bool quick;           /* one of `drill quick`: its first variant */
};
extern const struct drill_fault drill_faults[];
extern const size_t drill_fault_count;

/* "H4" or "h4.org-disabled". out_variant: SIZE_MAX = all of them. */
MUST_USE enum err catalogue_find(struct span name, size_t *out_fault, size_t *out_variant);
/* The limits of one fault: the default, the fault's own, then what the user set. */
struct limits catalogue_limits(const struct drill_fault *f, const struct limits *user);
