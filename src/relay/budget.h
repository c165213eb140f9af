#pragma once
/* Retry budget: extra attempts may be at most a share of the traffic of the last ten seconds
 * (Finagle's shape), plus a small floor, so that an outage is not multiplied by our own retries.
 * Moving to ANOTHER target for the first time in an exchange is not a retry and is always free;
 * repeating a target is. Shared by all workers: atomics only. */
#include "base/base.h"
#include <stdatomic.h>

#define BUDGET_SLOTS 10
struct budget { /* embed it, zeroed; belongs to budget.c */
    _Atomic(uint64_t)
        slot[BUDGET_SLOTS]; /* packed: second (32), requests (16, saturating), retries (16) */
    uint32_t percent, floor;
};
void budget_init(struct budget *b, uint32_t percent, uint32_t floor); /* 20, 3 */
void budget_request(struct budget *b, usec now);                      /* one client request came */
bool budget_take(struct budget *b, usec now); /* may one retry be made? counts it when true */
