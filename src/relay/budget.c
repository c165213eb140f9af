/* Retry budget: ten slots of one second, each one 64-bit word, so that a worker updates it with one
 * compare-and-swap and never waits.
 *
 *     63            32 31       16 15        0
 *     |    second     | requests  | retries  |
 *
 * A slot whose second is not the one asked for is history: it is overwritten by its next second,
 * ten later, and left out of the sum when older than that. Two workers that take at the same
 * instant may both get the last retry: the bound is exact for one worker and may be exceeded by at
 * most one per other worker, which is cheaper than a lock on the way of each request. */
#include "relay/budget.h"

#define COUNT_MAX 0xffffu

struct slot {
    uint32_t second;
    uint32_t requests, retries; /* at most COUNT_MAX each */
};

static uint64_t pack(struct slot s)
{
    return ((uint64_t)s.second << 32) | ((uint64_t)s.requests << 16) | s.retries;
}

static struct slot unpack(uint64_t word)
{
    return (struct slot){(uint32_t)(word >> 32), (uint32_t)(word >> 16) & COUNT_MAX,
                         (uint32_t)word & COUNT_MAX};
}

static uint32_t second_of(usec now)
{
    assert(now >= 0);
    return (uint32_t)(now / USEC_PER_SEC) + 1; /* so that zeroed slots belong to no second */
}

static void count(struct budget *b, usec now, uint32_t requests, uint32_t retries)
{
    uint32_t second = second_of(now);
    _Atomic(uint64_t) *at = &b->slot[second % BUDGET_SLOTS];
    uint64_t old = atomic_load_explicit(at, memory_order_relaxed), next;
    do {
        struct slot s = unpack(old);
        if (s.second != second)
            s = (struct slot){.second = second};
        s.requests = s.requests + requests > COUNT_MAX ? COUNT_MAX : s.requests + requests;
        s.retries = s.retries + retries > COUNT_MAX ? COUNT_MAX : s.retries + retries;
        next = pack(s);
    } while (!atomic_compare_exchange_weak_explicit(at, &old, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void budget_init(struct budget *b, uint32_t percent, uint32_t floor)
{
    for (size_t i = 0; i < BUDGET_SLOTS; i++)
        atomic_init(&b->slot[i], 0);
    b->percent = percent;
    b->floor = floor;
}

void budget_request(struct budget *b, usec now)
{
    count(b, now, 1, 0);
}

bool budget_take(struct budget *b, usec now)
{
    uint32_t second = second_of(now);
    uint64_t requests = 0, retries = 0;
    for (size_t i = 0; i < BUDGET_SLOTS; i++) {
        struct slot s = unpack(atomic_load_explicit(&b->slot[i], memory_order_relaxed));
        if (s.second == 0 || second - s.second >= BUDGET_SLOTS)
            continue;
        requests += s.requests;
        retries += s.retries;
    }
    if (retries >= b->floor + requests * b->percent / 100)
        return false;
    count(b, now, 0, 1);
    return true;
}
