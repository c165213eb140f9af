#pragma once
/* One caller: asks the gateway once, in one of eight shapes, checks every word of the answer, and
 * gives back what a user of it would have seen. */
#include "conn/pool.h"
#include "tools/drill/score.h"

struct caller; /* frees itself when it is over */

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
    /* The caller is gone. id: the gateway's name for the request, "" = not known. trouble: a
     * sentence, "" = none. All of it is valid during the call. */
    void (*on_over)(void *ctx, const struct record *r, struct span id, const char *trouble);
    void *ctx;
};
struct caller *caller_start(const struct caller_order *o);
void caller_cancel(struct caller *c); /* no call-back */
