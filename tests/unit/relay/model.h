#pragma once
/* Small reference models of breaker, budget and chain, written from what their headers and
 * ARCHITECTURE.md promise, not from their code.
 *
 * Where a promise leaves room (jitter, backoff) a model keeps bounds instead of a value: it is told
 * what the module chose, says whether that was allowed, and goes on from there. Times are virtual.
 */
#include "relay/chain.h"

/* ---- dice: one 64-bit seed is one sequence ---- */

struct dice {
    uint64_t at;
};
uint32_t dice_roll(struct dice *d, uint32_t sides); /* uniform in [0, sides) */
uint32_t dice_word(struct dice *d);
static inline bool dice_one_in(struct dice *d, uint32_t sides)
{
    return dice_roll(d, sides) == 0;
}

/* ---- breaker ---- */

#define MODEL_OUTCOMES_MAX 8192

struct model_breaker {
    const struct breaker_config *config;
    bool shut;  /* open, or on trial */
    bool probe; /* shut, and its time is over or somebody was forced through: one trial at a time */
    bool out;   /* a trial is under way */
    bool early; /* ... which began before `until` */
    usec until, began;
    enum cause cause;
    uint32_t times, row; /* opened without closing; failures in a row while closed */
    struct {
        usec at;
        bool bad;
    } outcomes[MODEL_OUTCOMES_MAX]; /* since it last closed */
    size_t outcome_count;
};
struct model_range {
    usec least, most;
};

void model_breaker_init(struct model_breaker *m, const struct breaker_config *config);
/* The answer owed to breaker_ask; on refusal *out: where the wait told must lie. */
bool model_breaker_ask(struct model_breaker *m, usec now, struct model_range *out);
void model_breaker_force(struct model_breaker *m, usec now);
/* *out: where the time until the next try must lie afterwards, while it is open. */
void model_breaker_report(struct model_breaker *m, usec now, enum cause c, usec wait,
                          struct model_range *out);
void model_breaker_cancel(struct model_breaker *m, usec now);
enum breaker_state model_breaker_state(const struct model_breaker *m, usec now);

/* ---- budget ---- */

#define MODEL_EVENTS_MAX 16384

struct model_budget {
    uint32_t percent, floor;
    struct {
        int64_t second;
        bool retry;
    } events[MODEL_EVENTS_MAX];
    size_t first, count; /* events before `first` are older than any question to come */
};
void model_budget_request(struct model_budget *m, usec now);
bool model_budget_take(struct model_budget *m, usec now);

/* ---- chain ---- */

struct model_chain {
    struct model_breaker *breakers[CHAIN_MAX];
    size_t count, sent, most;
    uint8_t sends[CHAIN_MAX];
    bool unfit[CHAIN_MAX], over, asking; /* asking: one unknown 4xx was seen */
    enum cause cause[CHAIN_MAX];
    usec not_before[CHAIN_MAX];
};
struct model_pick {
    bool found, forced;
    size_t link;
    struct model_range wait;
};
void model_chain_begin(struct model_chain *m, size_t count);
struct model_pick model_chain_next(struct model_chain *m, usec now, usec deadline,
                                   struct model_budget *budget, uint32_t random);
void model_chain_failed(struct model_chain *m, size_t link, enum cause c, usec wait, usec now);
bool model_chain_has_other(const struct model_chain *m, size_t link, usec now);
void model_chain_unfit(struct model_chain *m, size_t link);
