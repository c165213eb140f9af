#pragma once
/* A binary heap of deadlines. Both loops (libuv and simulator) keep their timers here, so that
 * arming costs no system call and the order of equal deadlines is the order of arming. */
#include "base/base.h"

struct timer { /* embed it, zeroed; the fields belong to timers.c */
    usec at;
    uint64_t order;
    size_t slot; /* 1-based index in the heap; 0 = not armed */
    void (*fire)(struct timer *t);
};
struct timers {
    struct timer **heap;
    size_t count, cap;
    uint64_t next_order;
};

void timers_init(struct timers *ts);
void timers_deinit(struct timers *ts);
/* Arms or moves. fire is called by timers_run once now >= at; the timer is disarmed before the
 * call. */
void timers_set(struct timers *ts, struct timer *t, usec at, void (*fire)(struct timer *t));
void timers_cancel(struct timers *ts, struct timer *t); /* fine when not armed */
bool timer_armed(const struct timer *t);
usec timers_next(const struct timers *ts); /* USEC_NEVER when empty */
void timers_run(struct timers *ts,
                usec now); /* fires all that are due, also those armed while running */
