/* A request earns `percent`, a hedge costs 100. Nothing is lent, and what quiet hours have earned
 * is bounded, so that it cannot all be spent in one bad minute. */
#include "relay/hedge.h"

#define COST 100
#define CREDIT_MAX (20 * COST)

void hedge_init(struct hedge *h, uint32_t percent, uint32_t after)
{
    assert(percent <= 100 && after <= 100);
    *h = (struct hedge){.percent = percent, .after = after};
}

void hedge_request(struct hedge *h)
{
    int64_t had = atomic_fetch_add_explicit(&h->credit, h->percent, memory_order_relaxed);
    if (had + h->percent > CREDIT_MAX) /* another worker may take meanwhile: it only saves money */
        atomic_fetch_sub_explicit(&h->credit, h->percent, memory_order_relaxed);
}

bool hedge_take(struct hedge *h)
{
    int64_t had = atomic_fetch_sub_explicit(&h->credit, COST, memory_order_relaxed);
    if (had >= COST)
        return true;
    hedge_give_back(h);
    return false;
}

void hedge_give_back(struct hedge *h)
{
    atomic_fetch_add_explicit(&h->credit, COST, memory_order_relaxed);
}
