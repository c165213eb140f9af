#pragma once
/* One small HTTP exchange with a control door: a stand-in's faults and counts, the gateway's
 * status and the fault that a drill commits in it. */
#include "base/arena.h"
#include "conn/pool.h"

#define ERRAND_REPLY_MAX ((size_t)256 << 10)

struct errand {        /* embed it; zero it once before the first use */
    struct call *call; /* NULL = none is under way */
    struct arena arena;
    struct pieces body;
    struct buf reply;
    struct timer limit;
    struct loop *loop;
    int status;
    bool open;
    /* status 0: it failed. reply: valid during the call. May run the next errand. */
    void (*on_done)(void *ctx, int status, struct span reply);
    void *ctx;
};

/* None may be under way. body.at == NULL: GET, else POST. */
void errand_run(struct errand *e, struct loop *l, struct pool *p, struct origin *o,
                const char *target, struct span body);
void errand_delete(struct errand *e, struct loop *l, struct pool *p, struct origin *o,
                   const char *target);
void errand_deinit(struct errand *e); /* cancels; may be called at any time */
