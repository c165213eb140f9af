#pragma once
/* What `hotspare probe` found out about one model at one target, by asking: it overrides what is
 * presumed of its kind (capability.h).
 *
 * Pure. Only what was seen is known; the rest stays presumed. Kept over restarts by
 * serve/probed_file.h. */
#include "dialect/capability.h"

/* Each fact's word is its name in the file and on the terminal: "stream_options". */
enum probed_fact {
    PROBED_STREAM, /* streams, and ends its streams */
    PROBED_STREAM_OPTIONS,
    PROBED_TOOLS, /* takes tools, and calls them */
    PROBED_FORCED_TOOL,
    PROBED_IMAGES,
    PROBED_PDF,
    PROBED_JSON_SCHEMA,
    PROBED_STOP,
    PROBED_THINKING, /* as Messages asks for it */
    PROBED_EFFORT,   /* as OpenAI's formats do */
    PROBED_PREFILL,
    PROBED_MESSAGES, /* its own Messages door does all that its Chat door does */
    PROBED_FACTS
};
const char *probed_fact_name(enum probed_fact f);
MUST_USE enum err probed_fact_parse(struct span word, enum probed_fact *out);

#define PROBED_NAME_MAX 128 /* bytes of a name; what has a longer one is not kept */
#define PROBED_URL_MAX 256
#define PROBED_MAX 256 /* kept models; the oldest gives way */
/* A provider changes what it serves under a name within weeks, a server is upgraded within a month
 * or two; a probe costs a person's attention and sometimes money. What is older is not believed. */
#define PROBED_KEEP ((usec)30 * 24 * 3600 * USEC_PER_SEC)

struct probed {
    char target[PROBED_NAME_MAX + 1], model[PROBED_NAME_MAX + 1]; /* plain */
    char url[PROBED_URL_MAX + 1]; /* where it was asked: at another address it is another target */
    usec at;                      /* wall time */
    uint32_t known, can;          /* BIT(enum probed_fact) */
    int64_t first_us;             /* to the first token of a stream; -1 not measured */
    double rate;                  /* tokens a second from there on; 0 not measured */
};

/* Still to be believed: not too old, and not from a clock that was wrong. */
bool probed_is_fresh(const struct probed *p, usec wall);
/* What is known replaces what was presumed. */
void probed_apply(const struct probed *p, struct capability *c);
/* True where a body that was made for the presumed target, in Messages or one of OpenAI's formats,
 * may ask for what this one has not. */
bool probed_narrows(const struct probed *p, const struct capability *presumed, bool messages);
/* Is this fact part of `c`? */
bool probed_presumes(enum probed_fact f, const struct capability *c);
/* The newest word on this model that is fresh and of this address; NULL: none. */
const struct probed *probed_find(const struct probed *all, size_t count, const char *target,
                                 const char *url, const char *model, usec wall);
/* Its own Messages door does all that is translated for it, for each model probed there. */
bool probed_all_messages(const struct probed *all, size_t count, const char *target,
                         const char *url, usec wall);
