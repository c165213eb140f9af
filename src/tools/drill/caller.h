#pragma once
/* One caller: asks the gateway once, in one of eight shapes, checks every word of the answer, and
 * gives back what a user of it would have seen. Of a real model's answer, whose words nobody knows
 * beforehand, it checks everything else. */
#include "conn/pool.h"
#include "tools/drill/score.h"

#define CALLER_WORDS 24     /* of each answer */
#define CALLER_TOOL "count" /* offered in every second conversation; takes the words */

struct caller; /* frees itself when it is over */

struct caller_seen {       /* of an answer by a real model */
    int64_t input, output; /* tokens, as it was told; -1 = it was not */
    uint32_t attempts;     /* upstream requests before the first word; 0 = not told */
    bool switched;         /* before the first word */
    char by[64];           /* the target's name */
};
struct caller_own { /* asks a gateway whose targets are real */
    const char *model;
    const char *fields;       /* ready-made header lines: key, mark; never logged */
    uint32_t number;          /* of the question: no two conversations are the same */
    struct caller_seen *seen; /* filled before on_over */
};
#define CALLER_TOKENS_MOST 200  /* of an answer by a real model */
#define CALLER_PROMPT_TOKENS 60 /* of the question to it, at most */

struct caller_order {
    struct loop *loop;
    struct pool *pool;
    struct origin *gateway;
    const char *fault; /* goes with the request as x-hotspare-drill */
    usec base;         /* loop time of the load's start: records are relative to it */
    usec planned;      /* relative */
    usec patience;     /* after it the caller gives up: ENDING_LATE */
    unsigned shape;
    int expected_status; /* the caller's error that is expected; 0 = none */
    const char *expected_words;
    const struct caller_own *own; /* NULL: the targets are stand-ins; borrowed */
    /* The caller is gone. id: the gateway's name for the request, "" = not known. trouble: a
     * sentence, "" = none. All of it is valid during the call. */
    void (*on_over)(void *ctx, const struct record *r, struct span id, const char *trouble);
    void *ctx;
};
struct caller *caller_start(const struct caller_order *o);
void caller_cancel(struct caller *c); /* no call-back */
