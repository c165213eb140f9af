#pragma once
/* What hedging may cost: at most a share of all requests, over any time. And when it is due.
 *
 * Pure: atomics only; shared by all workers. The race itself is exchange's (rival.c). */
#include "relay/ttft.h"
#include <stdatomic.h>

struct hedge {        /* embed it; the fields belong to hedge.c */
    uint32_t percent; /* of all requests; 0 = never */
    uint32_t after;   /* percentile of a target's own time to first token; 95 */
    _Atomic(int64_t) credit;
};

void hedge_init(struct hedge *h, uint32_t percent, uint32_t after);
void hedge_request(struct hedge *h);   /* one client request came */
bool hedge_take(struct hedge *h);      /* may a second target be asked now? counts it when true */
void hedge_give_back(struct hedge *h); /* nobody was asked after all */
