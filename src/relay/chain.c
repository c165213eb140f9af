/* Whom to try next, in three rounds, each asked only when the one before has nobody left:
 *
 *   1. untried links whose breaker lets the request through, in the configured order or
 *      the one chain_order gave;
 *   2. untried links whose breaker is open, the one that reopens soonest first: forced, because a
 *      request that has nowhere else to go is worth a try;
 *   3. one repeat of a link, at the end of a wait, when its cause is worth it, the budget allows it
 *      and the wait ends before the deadline.
 *
 * Changing the target never waits and costs no budget. No link is tried more than twice, and all
 * attempts of an exchange together are at most max(3, links): that is the amplification bound.
 *
 * After an UNKNOWN_4XX the first round alone is left: the question is only whether another target
 * takes the same request, and a second "no" of that kind ends the walk. */
#include "relay/chain.h"

#define ATTEMPTS_LEAST 3
#define TRIES_MAX 2
#define BACKOFF_FIRST (250 * USEC_PER_MS)
#define BACKOFF_MAX (8 * USEC_PER_SEC)
#define RETRY_AFTER_MAX (60 * USEC_PER_SEC)

void chain_begin(struct chain_walk *w, struct breaker *const *breakers, size_t count)
{
    assert(count <= CHAIN_MAX);
    *w = (struct chain_walk){.breakers = breakers, .count = count};
    w->attempts_max = count > ATTEMPTS_LEAST ? count : ATTEMPTS_LEAST;
    for (size_t i = 0; i < count; i++)
        w->order[i] = (uint8_t)i;
}

void chain_order(struct chain_walk *w, const uint8_t order[CHAIN_MAX])
{
    uint32_t seen = 0;
    for (size_t i = 0; i < w->count; i++)
        seen |= BIT(order[i]);
    assert(w->attempts == 0 && seen == BIT(w->count) - 1);
    memcpy(w->order, order, w->count);
}

static struct chain_pick take(struct chain_walk *w, size_t link)
{
    w->tries[link]++;
    w->attempts++;
    assert(w->tries[link] <= TRIES_MAX && w->attempts <= w->attempts_max);
    return (struct chain_pick){.found = true, .link = link};
}

/* Rounds 1 and 2. */
static bool pick_untried(struct chain_walk *w, usec now, struct chain_pick *out)
{
    size_t soonest = 0;
    usec soonest_wait = USEC_NEVER;
    for (size_t k = 0; k < w->count; k++) {
        size_t i = w->order[k];
        usec wait;
        if (w->unfit[i] || w->tries[i] > 0)
            continue;
        if (breaker_ask(w->breakers[i], now, &wait) == ERR_OK) {
            *out = take(w, i);
            return true;
        }
        if (wait >= soonest_wait)
            continue;
        soonest_wait = wait;
        soonest = i;
    }
    if (soonest_wait == USEC_NEVER || w->once_elsewhere)
        return false;
    breaker_force(w->breakers[soonest], now);
    *out = take(w, soonest);
    out->forced = true;
    return true;
}

bool chain_beside(struct chain_walk *w, usec now, size_t *out_link)
{
    usec wait;
    for (size_t k = 0; k < w->count && w->attempts < w->attempts_max; k++) {
        size_t i = w->order[k];
        if (w->unfit[i] || w->tries[i] > 0 || (w->not_beside & BIT(i)) ||
            breaker_view(w->breakers[i], now).state != BREAKER_CLOSED ||
            breaker_ask(w->breakers[i], now, &wait) != ERR_OK)
            continue;
        *out_link = take(w, i).link;
        return true;
    }
    return false;
}

/* Full jitter: uniform up to a bound that doubles with each attempt made. */
static usec backoff(const struct chain_walk *w, uint32_t random)
{
    usec most = BACKOFF_FIRST;
    for (size_t i = 1; i < w->attempts && most < BACKOFF_MAX; i++)
        most *= 2;
    if (most > BACKOFF_MAX)
        most = BACKOFF_MAX;
    return 1 + (usec)(((uint64_t)random * (uint64_t)most) >> 32);
}

static usec repeat_wait(const struct chain_walk *w, size_t link, usec now, uint32_t random)
{
    usec asked = w->ready_at[link] > now ? w->ready_at[link] - now : 0;
    return asked + backoff(w, random); /* never before the time, and not all at that time */
}

static bool may_repeat(const struct chain_walk *w, size_t link, usec wait, usec now, usec deadline)
{
    return w->tries[link] > 0 && w->tries[link] < TRIES_MAX && !w->unfit[link] &&
           cause_facts(w->cause[link])->repeat_here && wait < deadline - now &&
           w->ready_at[link] - now <= RETRY_AFTER_MAX;
}

/* Looks only. When the wait is over the breaker will let a request in, as far as it knows now. */
static bool breaker_may_agree(struct breaker *b, usec now, usec wait)
{
    struct breaker_view v = breaker_view(b, now);
    return v.state != BREAKER_OPEN || v.retry_in <= wait;
}

static bool breaker_agrees(struct breaker *b, usec now)
{
    usec closed_for;
    if (breaker_ask(b, now, &closed_for) == ERR_OK)
        return true;
    if (breaker_view(b, now).state != BREAKER_OPEN)
        return false;      /* somebody else's trial */
    breaker_force(b, now); /* it opens within the wait */
    return true;
}

/* Of those worth it, the one that is ready first; CHAIN_MAX: none. asked: BIT(link) of those whose
 * breaker said no. */
static size_t readiest(const struct chain_walk *w, usec now, usec deadline, uint32_t random,
                       uint32_t asked)
{
    size_t best = CHAIN_MAX;
    usec best_wait = USEC_NEVER;
    for (size_t i = 0; i < w->count; i++) {
        usec wait = repeat_wait(w, i, now, random);
        if ((asked & BIT(i)) || wait >= best_wait || !may_repeat(w, i, wait, now, deadline))
            continue;
        if (!breaker_may_agree(w->breakers[i], now, wait))
            continue;
        best = i;
        best_wait = wait;
    }
    return best;
}

/* Round 3. The budget is asked last: what it grants is sent. */
static bool pick_repeat(struct chain_walk *w, usec now, usec deadline, struct budget *budget,
                        uint32_t random, struct chain_pick *out)
{
    size_t best = readiest(w, now, deadline, random, 0);
    for (uint32_t asked = 0; best < CHAIN_MAX && !breaker_agrees(w->breakers[best], now);) {
        asked |= BIT(best);
        best = readiest(w, now, deadline, random, asked);
    }
    if (best == CHAIN_MAX)
        return false;
    if (!budget_take(budget, now)) {
        breaker_cancel(w->breakers[best], now);
        return false;
    }
    usec wait = repeat_wait(w, best, now, random); /* the attempt makes the next one's longer */
    *out = take(w, best);
    out->wait = wait;
    return true;
}

struct chain_pick chain_next(struct chain_walk *w, usec now, usec deadline, struct budget *budget,
                             uint32_t random)
{
    struct chain_pick pick = {.found = false};
    if (w->attempts >= w->attempts_max || now >= deadline)
        return pick;
    if (pick_untried(w, now, &pick) || w->once_elsewhere)
        return pick;
    (void)pick_repeat(w, now, deadline, budget, random, &pick); /* pick says whether */
    return pick;
}

void chain_failed(struct chain_walk *w, size_t link, enum cause c, usec retry_after, usec now)
{
    assert(link < w->count && w->tries[link] > 0 && c != CAUSE_NONE);
    w->cause[link] = c;
    w->ready_at[link] = retry_after > 0 ? now + retry_after : 0;
    enum reaction reaction = cause_facts(c)->reaction;
    bool second_no = reaction == REACT_ELSEWHERE_ONCE && w->once_elsewhere;
    if (reaction == REACT_ELSEWHERE_ONCE)
        w->once_elsewhere = true;
    if (reaction == REACT_CALLER || second_no)
        w->attempts_max = w->attempts; /* it ends here */
}

void chain_unfit(struct chain_walk *w, size_t link)
{
    assert(link < w->count);
    if (!w->unfit[link] && w->tries[link] > 0) { /* nothing was sent: it was no attempt */
        w->tries[link]--;
        w->attempts--;
    }
    w->unfit[link] = true;
}

usec chain_retry_in(const struct chain_walk *w, usec now)
{
    usec soonest = USEC_NEVER;
    for (size_t i = 0; i < w->count; i++)
        if (w->ready_at[i] > 0 && w->ready_at[i] < soonest)
            soonest = w->ready_at[i];
    if (soonest == USEC_NEVER)
        return 0;
    return soonest > now ? soonest - now : 1;
}

bool chain_has_other(struct chain_walk *w, size_t link, usec now)
{
    if (w->attempts >= w->attempts_max)
        return false;
    for (size_t i = 0; i < w->count; i++) {
        if (i == link || w->unfit[i] || w->tries[i] > 0)
            continue;
        if (breaker_view(w->breakers[i], now).state != BREAKER_OPEN)
            return true;
    }
    return false;
}
