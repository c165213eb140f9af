/* The promises, in the plainest words that can be run: lists of what happened instead of windows
 * and slots, bounds instead of formulas. Slow is fine here. */
#include "model.h"

#define SEC USEC_PER_SEC
#define HOUR (3600 * SEC)

uint32_t dice_word(struct dice *d) /* SplitMix64 */
{
    uint64_t z = d->at += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

uint32_t dice_roll(struct dice *d, uint32_t sides)
{
    return (uint32_t)(((uint64_t)dice_word(d) * sides) >> 32);
}

static usec least(usec a, usec b)
{
    return a < b ? a : b;
}

static usec most(usec a, usec b)
{
    return a > b ? a : b;
}

/* ---- breaker ---- */

void model_breaker_init(struct model_breaker *m, const struct breaker_config *config)
{
    m->config = config;
    m->shut = m->probe = m->out = m->early = false;
    m->until = m->began = 0;
    m->cause = CAUSE_NONE;
    m->times = m->row = 0;
    m->outcome_count = 0;
}

enum breaker_state model_breaker_state(const struct model_breaker *m, usec now)
{
    if (!m->shut)
        return BREAKER_CLOSED;
    bool late = m->out && now >= m->began + 60 * SEC;
    if (now < m->until && (!m->probe || (late && m->early)))
        return BREAKER_OPEN;
    return BREAKER_HALF_OPEN;
}

static void give_trial(struct model_breaker *m, usec now)
{
    m->probe = m->out = true;
    m->began = now;
    m->early = now < m->until;
}

static bool trial_before_its_time(const struct model_breaker *m, usec now)
{
    return m->probe && m->early && now < m->until;
}

bool model_breaker_ask(struct model_breaker *m, usec now, struct model_range *out)
{
    if (!m->shut)
        return true;
    bool blocks = m->out && now < m->began + 60 * SEC;
    if (!blocks && trial_before_its_time(m, now))
        m->probe = m->out = m->early = false; /* the time that was left goes on */
    if (!m->probe && now < m->until) {
        *out = (struct model_range){m->until - now, m->until - now};
        return false;
    }
    if (m->probe && blocks) {
        *out = (struct model_range){1, least(m->began + 60 * SEC - now, SEC)};
        return false;
    }
    give_trial(m, now);
    return true;
}

void model_breaker_force(struct model_breaker *m, usec now)
{
    if (m->shut && !(m->probe && m->out))
        give_trial(m, now);
}

/* open, doubled for each time it opened since it last closed, at least the horizon, all up to
 * open_max, give or take a fifth; never less than was asked for, up to an hour of that. */
static struct model_range open_range(const struct model_breaker *m, enum cause c, usec wait)
{
    wait = least(wait, HOUR);
    if (c == CAUSE_RATE_LIMITED && wait > 0)
        return (struct model_range){wait, wait};
    usec time = m->config->open;
    for (uint32_t i = 0; i < m->times && time < m->config->open_max; i++)
        time *= 2;
    time = least(most(time, cause_facts(c)->horizon), m->config->open_max);
    return (struct model_range){most(time - time / 5 - 1000, wait), most(time + time / 5, wait)};
}

static void shut_it(struct model_breaker *m, enum cause c, usec wait, struct model_range *out)
{
    *out = open_range(m, c, wait);
    if (!(c == CAUSE_RATE_LIMITED && wait > 0))
        m->times++;
    m->shut = true;
    m->probe = m->out = m->early = false;
}

static void note(struct model_breaker *m, usec now, bool bad)
{
    assert(m->outcome_count < MODEL_OUTCOMES_MAX);
    m->outcomes[m->outcome_count].at = now;
    m->outcomes[m->outcome_count++].bad = bad;
}

/* "in the last 30 s", told in steps of 5 s. */
static bool too_many_bad(const struct model_breaker *m, usec now)
{
    uint64_t all = 0, bad = 0;
    for (size_t i = 0; i < m->outcome_count; i++) {
        if (m->outcomes[i].at / (5 * SEC) + 6 <= now / (5 * SEC))
            continue;
        all++;
        bad += m->outcomes[i].bad;
    }
    return all >= m->config->ratio_min && bad * 100 >= all * m->config->ratio_percent;
}

static void fail_closed(struct model_breaker *m, usec now, enum cause c, usec wait,
                        struct model_range *out)
{
    bool cool_down = c == CAUSE_RATE_LIMITED && wait > 0;
    if (!cool_down) {
        m->row++;
        note(m, now, true);
    }
    if (cool_down || cause_facts(c)->trips || m->row >= m->config->failures || too_many_bad(m, now))
        shut_it(m, c, wait, out);
}

static void fail_open(struct model_breaker *m, usec now, enum cause c, usec wait,
                      struct model_range *out)
{
    usec left = m->until - now;
    struct model_range told = {least(wait, HOUR), least(wait, HOUR)};
    if (cause_facts(c)->trips && !cause_facts(m->cause)->trips)
        told = open_range(m, c, wait);
    *out = (struct model_range){most(left, told.least), most(left, told.most)};
}

static void fail_early(struct model_breaker *m, usec now, usec wait, struct model_range *out)
{
    usec left = most(m->until - now, least(wait, HOUR));
    m->probe = m->out = m->early = false;
    *out = (struct model_range){left, left};
}

void model_breaker_cancel(struct model_breaker *m, usec now)
{
    if (trial_before_its_time(m, now))
        m->probe = m->early = false;
    m->out = false;
}

static void succeed(struct model_breaker *m, usec now)
{
    if (!m->shut) {
        m->row = 0;
        note(m, now, false);
    } else if (m->probe) {
        model_breaker_init(m, m->config);
    }
}

void model_breaker_report(struct model_breaker *m, usec now, enum cause c, usec wait,
                          struct model_range *out)
{
    *out = (struct model_range){m->until - now, m->until - now};
    if (c == CAUSE_NONE) {
        succeed(m, now);
        return;
    }
    if (!cause_facts(c)->counts) {
        model_breaker_cancel(m, now);
        return;
    }
    if (!m->shut)
        fail_closed(m, now, c, wait, out);
    else if (!m->probe)
        fail_open(m, now, c, wait, out);
    else if (trial_before_its_time(m, now))
        fail_early(m, now, wait, out);
    else
        shut_it(m, c, wait, out);
    m->cause = c;
}

/* ---- budget ---- */

static void budget_note(struct model_budget *m, usec now, bool retry)
{
    assert(m->count < MODEL_EVENTS_MAX);
    m->events[m->count].second = now / SEC;
    m->events[m->count++].retry = retry;
}

void model_budget_request(struct model_budget *m, usec now)
{
    budget_note(m, now, false);
}

bool model_budget_take(struct model_budget *m, usec now)
{
    while (m->first < m->count && m->events[m->first].second <= now / SEC - 10)
        m->first++;
    uint64_t requests = 0, retries = 0;
    for (size_t i = m->first; i < m->count; i++)
        *(m->events[i].retry ? &retries : &requests) += 1;
    if (retries >= m->floor + requests * m->percent / 100)
        return false;
    budget_note(m, now, true);
    return true;
}

/* ---- chain ---- */

void model_chain_begin(struct model_chain *m, size_t count)
{
    m->count = count;
    m->sent = 0;
    m->most = count > 3 ? count : 3;
    m->over = m->asking = false;
    memset(m->sends, 0, sizeof m->sends);
    memset(m->unfit, 0, sizeof m->unfit);
}

static bool pick_fresh(struct model_chain *m, usec now, struct model_pick *out)
{
    size_t soonest = CHAIN_MAX;
    usec soonest_wait = USEC_NEVER;
    for (size_t i = 0; i < m->count; i++) {
        struct model_range wait;
        if (m->unfit[i] || m->sends[i] > 0)
            continue;
        if (model_breaker_ask(m->breakers[i], now, &wait)) {
            *out = (struct model_pick){.found = true, .link = i};
            return true;
        }
        if (wait.most >= soonest_wait)
            continue;
        soonest_wait = wait.most;
        soonest = i;
    }
    if (soonest == CHAIN_MAX || m->asking)
        return false;
    model_breaker_force(m->breakers[soonest], now);
    *out = (struct model_pick){.found = true, .link = soonest, .forced = true};
    return true;
}

/* Full jitter: anywhere up to 250 ms, doubled for each attempt made, 8 s at most. */
static usec jitter(const struct model_chain *m, uint32_t random)
{
    long double bound = 0.25L;
    for (size_t i = 1; i < m->sent && bound < 8; i++)
        bound *= 2;
    return (usec)((long double)random / 4294967296.0L * least(8 * SEC, (usec)(bound * 1e6L)));
}

static bool may_go_again(struct model_chain *m, size_t i, usec now, usec deadline, usec back_off)
{
    usec asked = most(m->not_before[i] - now, 0), wait = asked + back_off + 1;
    struct model_breaker *b = m->breakers[i];
    return m->sends[i] == 1 && !m->unfit[i] && cause_facts(m->cause[i])->repeat_here &&
           asked <= 60 * SEC && now + wait < deadline &&
           !(model_breaker_state(b, now) == BREAKER_OPEN && b->until > now + wait);
}

/* A breaker on trial with somebody else lets nobody in; one that is open until then is let in. */
static bool breaker_takes(struct model_breaker *b, usec now)
{
    struct model_range wait;
    if (model_breaker_ask(b, now, &wait))
        return true;
    if (b->probe)
        return false;
    model_breaker_force(b, now);
    return true;
}

static void pick_again(struct model_chain *m, usec now, usec deadline, struct model_budget *budget,
                       uint32_t random, struct model_pick *out)
{
    usec back_off = jitter(m, random);
    bool refused[CHAIN_MAX] = {false};
    for (;;) {
        size_t best = CHAIN_MAX;
        for (size_t i = 0; i < m->count; i++) {
            if (refused[i] || !may_go_again(m, i, now, deadline, back_off))
                continue;
            if (best == CHAIN_MAX || most(m->not_before[i], now) < most(m->not_before[best], now))
                best = i;
        }
        if (best == CHAIN_MAX)
            return;
        if (!breaker_takes(m->breakers[best], now)) {
            refused[best] = true;
            continue;
        }
        if (!model_budget_take(budget, now)) {
            model_breaker_cancel(m->breakers[best], now);
            return;
        }
        usec wait = most(m->not_before[best] - now, 0) + back_off;
        *out = (struct model_pick){
            .found = true, .link = best, .wait = {wait > 1 ? wait - 1 : 1, wait + 2}};
        return;
    }
}

struct model_pick model_chain_next(struct model_chain *m, usec now, usec deadline,
                                   struct model_budget *budget, uint32_t random)
{
    struct model_pick pick = {.found = false};
    if (m->over || m->sent >= m->most || now >= deadline)
        return pick;
    if (!pick_fresh(m, now, &pick) && !m->asking)
        pick_again(m, now, deadline, budget, random, &pick);
    if (pick.found) {
        m->sent++;
        m->sends[pick.link]++;
    }
    return pick;
}

void model_chain_failed(struct model_chain *m, size_t link, enum cause c, usec wait, usec now)
{
    enum reaction reaction = cause_facts(c)->reaction;
    m->cause[link] = c;
    m->not_before[link] = wait > 0 ? now + wait : 0;
    if (reaction == REACT_CALLER || (reaction == REACT_ELSEWHERE_ONCE && m->asking))
        m->over = true;
    if (reaction == REACT_ELSEWHERE_ONCE)
        m->asking = true;
}

void model_chain_unfit(struct model_chain *m, size_t link)
{
    m->unfit[link] = true;
    m->sends[link]--;
    m->sent--;
}

/* One behind an open breaker is no reason to hold an answer back. */
bool model_chain_has_other(const struct model_chain *m, size_t link, usec now)
{
    bool other = false;
    for (size_t i = 0; i < m->count; i++)
        other |= i != link && !m->unfit[i] && m->sends[i] == 0 &&
                 model_breaker_state(m->breakers[i], now) != BREAKER_OPEN;
    return other && !m->over && m->sent < m->most;
}
