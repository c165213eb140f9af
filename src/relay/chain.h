#pragma once
/* Whom to try: the configured order, looked at through breakers and through what this exchange has
 * tried already.
 *
 * Pure but for the breakers. One chain_walk per exchange. */
#include "relay/breaker.h"
#include "relay/budget.h"

#define CHAIN_MAX 16

struct chain_walk {                  /* embed it; belongs to chain.c */
    struct breaker *const *breakers; /* one per link, in order; borrowed */
    size_t count;
    uint8_t
        order[CHAIN_MAX]; /* links as they are asked in round 1; the configured order at first */
    uint8_t tries[CHAIN_MAX];
    bool unfit[CHAIN_MAX];         /* cannot carry this request at all */
    enum cause cause[CHAIN_MAX];   /* why it failed here */
    usec ready_at[CHAIN_MAX];      /* the provider asked for no request before; 0 = did not */
    size_t attempts, attempts_max; /* attempts_max = max(3, count) */
    uint32_t not_beside;           /* BIT(link): chain_beside leaves it out */
    bool once_elsewhere;           /* a REACT_ELSEWHERE_ONCE is being tried */
};
struct chain_pick {
    bool found;
    size_t link;
    bool forced; /* its breaker was open: nobody else was left */
    usec wait;   /* sleep this long first (only before repeating the same target) */
};

void chain_begin(struct chain_walk *w, struct breaker *const *breakers, size_t count);
/* Round 1 asks in this order instead of the configured one: each of the links once. Before the
 * first chain_next. */
void chain_order(struct chain_walk *w, const uint8_t order[CHAIN_MAX]);
/* The next link to try: first untried link whose breaker lets it, in order; then, when all untried
 * are open, the one that reopens soonest (forced); then one repeat of a link whose cause is worth
 * it, within the budget, after full-jitter backoff (250 ms .. 8 s) or Retry-After (60 s at most),
 * if that ends before `deadline`. After an UNKNOWN_4XX only untried links whose breaker lets it.
 * found = false: nobody is left. The caller owes the link's breaker one report.
 * random: uniform 32 bits. */
struct chain_pick chain_next(struct chain_walk *w, usec now, usec deadline, struct budget *budget,
                             uint32_t random);
/* An untried link whose breaker lets the request, to be asked beside the one that is being tried;
 * nobody is forced and nothing repeated. False: there is none. Owes its breaker one report. */
bool chain_beside(struct chain_walk *w, usec now, size_t *out_link);
/* Tells how the last pick ended. retry_after as cause_of gave it. Does not report to the breaker:
 * the exchange does. */
void chain_failed(struct chain_walk *w, size_t link, enum cause c, usec retry_after, usec now);
void chain_unfit(struct chain_walk *w, size_t link);
/* How long until the first of those that asked for a wait may be asked again, at least 1; 0: none
 * did. What a caller whom nobody could answer is told. */
usec chain_retry_in(const struct chain_walk *w, usec now);
/* Is there, right now, any other link that could be tried after this one? Decides whether a
 * preamble is held. */
bool chain_has_other(struct chain_walk *w, size_t link, usec now);
