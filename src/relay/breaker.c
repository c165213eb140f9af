/* One target's breaker.
 *
 *     CLOSED --(failures in a row, a bad ratio, a cause that trips, a wait asked for)--> OPEN
 *     OPEN --(retry_at passes, or a request is forced through)--> HALF_OPEN
 *     HALF_OPEN --(the trial succeeds)--> CLOSED
 *     HALF_OPEN --(the trial fails)--> OPEN, for twice as long; a forced one: for what was left
 *     HALF_OPEN --(a forced trial says nothing: it ends, or takes too long)--> OPEN, for what was
 * left
 *
 * How long it stays open: `open`, doubled for each time it opened without having closed in between,
 * at least the cause's horizon (an account is not back in 30 s), all of it up to open_max, give or
 * take 20 %; never less than the provider asked for, as long as that is not beyond WAIT_MAX. A rate
 * limit that says when it ends is a cool-down, not a failure: the breaker opens for exactly that
 * time and nothing grows.
 *
 * Causes that do not count say nothing about the target: they give the trial back and change
 * nothing else. A success that is reported while OPEN belongs to a request from before (a long
 * stream outlives its account): it closes nothing. Reports carry no token, so in HALF_OPEN any
 * success is taken for the trial's: at worst the breaker closes early and opens again.
 *
 * A forced request is a trial before its time. Unless it succeeds, the time that was left goes on:
 * requests that have nowhere else to go must not make the wait grow for those that have. */
#include "relay/breaker.h"

#define TRIAL_TIME (60 * USEC_PER_SEC)
#define TRIAL_LOOK (1 * USEC_PER_SEC) /* when to ask again while a trial is under way */
#define WAIT_MAX (3600 * USEC_PER_SEC)
#define SLOT_TIME (5 * USEC_PER_SEC)
#define SLOTS 6

const struct breaker_config breaker_config_default = {
    .failures = 5,
    .ratio_min = 20,
    .ratio_percent = 50,
    .open = 30 * USEC_PER_SEC,
    .open_max = 300 * USEC_PER_SEC,
    .ramp = 30 * USEC_PER_SEC,
};

static const uint32_t edges[] = {
    [BREAKER_CLOSED] = BIT(BREAKER_OPEN),
    [BREAKER_OPEN] = BIT(BREAKER_HALF_OPEN),
    [BREAKER_HALF_OPEN] = BIT(BREAKER_CLOSED) | BIT(BREAKER_OPEN),
};

_Static_assert(SLOTS == ARRAY_LEN(((struct breaker *)NULL)->window_ok), "breaker.h");

static void forget_window(struct breaker *b)
{
    memset(b->window_ok, 0, sizeof(b->window_ok));
    memset(b->window_bad, 0, sizeof(b->window_bad));
}

/* The only function that writes b->state. */
static void enter(struct breaker *b, enum breaker_state next)
{
    assert(edges[b->state] & BIT(next));
    b->state = next;
    b->trial_owed = 0;
    b->trial_forced = false;
    if (next != BREAKER_CLOSED)
        return;
    b->failures_in_row = b->opened_in_row = 0;
    b->last_cause = CAUSE_NONE;
    forget_window(b);
}

void breaker_init(struct breaker *b, const struct breaker_config *c)
{
    assert(c->failures > 0 && c->open > 0 && c->open_max >= c->open);
    *b = (struct breaker){.config = *c};
    int failed = pthread_mutex_init(&b->lock, NULL);
    assert(failed == 0);
}

static void lock(struct breaker *b)
{
    int failed = pthread_mutex_lock(&b->lock);
    assert(failed == 0);
}

static void unlock(struct breaker *b)
{
    int failed = pthread_mutex_unlock(&b->lock);
    assert(failed == 0);
}

/* ---- asking ---- */

static void begin_trial(struct breaker *b, usec now)
{
    b->trial_owed = 1;
    b->trial_at = now;
    b->trial_forced = now < b->retry_at;
}

static bool trial_came_early(const struct breaker *b, usec now)
{
    return b->state == BREAKER_HALF_OPEN && b->trial_forced && now < b->retry_at;
}

static usec at_least_one(usec wait)
{
    return wait > 0 ? wait : 1;
}

static bool trial_is_late(const struct breaker *b, usec now)
{
    return b->state == BREAKER_HALF_OPEN && b->trial_owed && now >= b->trial_at + TRIAL_TIME;
}

/* A trial that is late no longer blocks. One that was forced leaves behind what it found: a breaker
 * whose time is not over. */
static void give_up_late_trial(struct breaker *b, usec now)
{
    if (!trial_is_late(b, now))
        return;
    if (trial_came_early(b, now))
        enter(b, BREAKER_OPEN);
    b->trial_owed = 0;
}

void breaker_try_now(struct breaker *b, usec now)
{
    lock(b);
    if (b->state == BREAKER_OPEN && b->retry_at > now)
        b->retry_at = now;
    unlock(b);
}

enum err breaker_ask(struct breaker *b, usec now, usec *out_wait)
{
    enum err answer = ERR_OK;
    lock(b);
    give_up_late_trial(b, now);
    if (b->state == BREAKER_OPEN && now >= b->retry_at)
        enter(b, BREAKER_HALF_OPEN);
    if (b->state == BREAKER_OPEN) {
        *out_wait = at_least_one(b->retry_at - now);
        answer = ERR_REFUSED;
    } else if (b->state == BREAKER_HALF_OPEN && b->trial_owed) {
        usec left = b->trial_at + TRIAL_TIME - now;
        *out_wait = left < TRIAL_LOOK ? left : TRIAL_LOOK;
        answer = ERR_REFUSED;
    } else if (b->state == BREAKER_HALF_OPEN) {
        begin_trial(b, now);
    }
    unlock(b);
    return answer;
}

void breaker_force(struct breaker *b, usec now)
{
    lock(b);
    if (b->state == BREAKER_OPEN) {
        enter(b, BREAKER_HALF_OPEN);
        begin_trial(b, now);
    } else if (b->state == BREAKER_HALF_OPEN && !b->trial_owed) {
        begin_trial(b, now);
    }
    unlock(b);
}

/* ---- reporting ---- */

static void window_count(struct breaker *b, usec now, bool bad)
{
    int64_t slot = now / SLOT_TIME;
    if (slot - b->window_slot >= SLOTS) {
        forget_window(b);
        b->window_slot = slot;
    }
    while (b->window_slot < slot) {
        b->window_slot++;
        b->window_ok[b->window_slot % SLOTS] = b->window_bad[b->window_slot % SLOTS] = 0;
    }
    (bad ? b->window_bad : b->window_ok)[b->window_slot % SLOTS]++;
}

static bool ratio_reached(const struct breaker *b)
{
    uint64_t ok = 0, bad = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        ok += b->window_ok[i];
        bad += b->window_bad[i];
    }
    return ok + bad >= b->config.ratio_min && bad * 100 >= b->config.ratio_percent * (ok + bad);
}

static usec smaller(usec a, usec b)
{
    return a < b ? a : b;
}

static usec larger(usec a, usec b)
{
    return a > b ? a : b;
}

static bool cools_down(enum cause c, usec wait)
{
    return c == CAUSE_RATE_LIMITED && wait > 0;
}

static usec open_time(const struct breaker *b, enum cause c, usec wait, uint32_t jitter)
{
    wait = smaller(wait, WAIT_MAX);
    if (cools_down(c, wait))
        return wait;
    usec time = b->config.open;
    for (uint32_t i = 0; i < b->opened_in_row && time < b->config.open_max; i++)
        time *= 2;
    time = smaller(larger(time, cause_facts(c)->horizon), b->config.open_max);
    time = time / 1000 * (800 + jitter * 2 / 5);
    return larger(time, wait);
}

static void open_until(struct breaker *b, usec now, usec retry_at)
{
    enter(b, BREAKER_OPEN);
    b->retry_at = larger(retry_at, now + 1);
    b->opened_at = now;
    b->opened_total++;
}

static void open_for(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter)
{
    usec time = open_time(b, c, wait, jitter);
    ramp_out(&b->ramp, now, b->config.ramp, cools_down(c, wait));
    if (!cools_down(c, wait))
        b->opened_in_row++;
    open_until(b, now, now + time);
}

/* A forced trial that did not succeed changes nothing, but for a longer wait asked for. */
static void reopen(struct breaker *b, usec now, usec wait)
{
    enter(b, BREAKER_OPEN);
    b->retry_at = larger(b->retry_at, now + smaller(wait, WAIT_MAX));
}

static void failed_while_closed(struct breaker *b, usec now, enum cause c, usec wait,
                                uint32_t jitter)
{
    if (cools_down(c, wait)) {
        open_for(b, now, c, wait, jitter);
        return;
    }
    b->failures_in_row++;
    window_count(b, now, true);
    if (cause_facts(c)->trips || b->failures_in_row >= b->config.failures || ratio_reached(b))
        open_for(b, now, c, wait, jitter);
}

/* A request from before it opened, or one forced beside another: it may know of a longer wait. */
static void failed_while_open(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter)
{
    bool worse = cause_facts(c)->trips && !cause_facts(b->last_cause)->trips;
    usec time = worse ? open_time(b, c, wait, jitter) : smaller(wait, WAIT_MAX);
    b->retry_at = larger(b->retry_at, now + time);
}

static void succeeded(struct breaker *b, usec now)
{
    if (b->state == BREAKER_HALF_OPEN) {
        enter(b, BREAKER_CLOSED);
        ramp_back(&b->ramp, now);
    } else if (b->state == BREAKER_CLOSED) {
        b->failures_in_row = 0;
        window_count(b, now, false);
    }
}

static void failed(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter)
{
    if (b->state == BREAKER_CLOSED) {
        failed_while_closed(b, now, c, wait, jitter);
    } else if (b->state == BREAKER_OPEN) {
        failed_while_open(b, now, c, wait, jitter);
    } else if (trial_came_early(b, now)) {
        reopen(b, now, wait);
    } else {
        open_for(b, now, c, wait, jitter);
    }
    b->last_cause = c;
}

/* A real failure of one that a drill holds open: it stays open in its own right. */
static void failed_for_real(struct breaker *b)
{
    if (b->state != BREAKER_CLOSED && b->drill == BREAKER_DRILL_OPENED)
        b->drill = BREAKER_UNDRILLED;
}

static void said_nothing(struct breaker *b, usec now)
{
    if (trial_came_early(b, now))
        reopen(b, now, 0);
    b->trial_owed = 0;
}

static void report(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter)
{
    assert(jitter < 1000 && wait >= 0);
    if (c == CAUSE_NONE) {
        succeeded(b, now);
    } else if (cause_facts(c)->counts) {
        failed(b, now, c, wait, jitter);
    } else {
        said_nothing(b, now);
    }
}

void breaker_report(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter)
{
    lock(b);
    report(b, now, c, wait, jitter);
    if (cause_facts(c)->counts)
        failed_for_real(b);
    unlock(b);
}

/* ---- drills ---- */

void breaker_report_drill(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter)
{
    lock(b);
    if (b->state != BREAKER_CLOSED && b->drill != BREAKER_DRILL_OPENED) {
        said_nothing(b, now); /* really broken, or on trial: no time to play */
    } else {
        report(b, now, c, wait, jitter);
        if (b->state != BREAKER_CLOSED)
            b->drill = BREAKER_DRILL_OPENED;
        else if (b->drill == BREAKER_UNDRILLED && cause_facts(c)->counts)
            b->drill = BREAKER_DRILL_COUNTED;
    }
    unlock(b);
}

void breaker_undo_drill(struct breaker *b)
{
    lock(b);
    if (b->drill == BREAKER_DRILL_OPENED) {
        if (b->state == BREAKER_OPEN)
            enter(b, BREAKER_HALF_OPEN);
        if (b->state == BREAKER_HALF_OPEN)
            enter(b, BREAKER_CLOSED);
        b->ramp = (struct ramp){0};
    }
    if (b->drill != BREAKER_UNDRILLED && b->state == BREAKER_CLOSED) {
        b->failures_in_row = 0;
        forget_window(b);
    }
    b->drill = BREAKER_UNDRILLED;
    unlock(b);
}

void breaker_cancel(struct breaker *b, usec now)
{
    lock(b);
    said_nothing(b, now);
    unlock(b);
}

/* ---- looking, keeping ---- */

struct breaker_view breaker_view(struct breaker *b, usec now)
{
    lock(b);
    struct breaker_view v = {.state = b->state,
                             .last_cause = b->last_cause,
                             .failures_in_row = b->failures_in_row,
                             .opened_total = b->opened_total,
                             .share = ramp_view(&b->ramp, now, b->config.ramp)};
    /* What the next request will find. */
    if (b->state == BREAKER_OPEN && now >= b->retry_at)
        v.state = BREAKER_HALF_OPEN;
    else if (trial_is_late(b, now) && trial_came_early(b, now))
        v.state = BREAKER_OPEN;
    if (v.state == BREAKER_OPEN)
        v.retry_in = b->retry_at - now;
    unlock(b);
    return v;
}

bool breaker_save(struct breaker *b, usec now, usec wall, struct breaker_saved *out)
{
    lock(b);
    /* Not CLOSED instead of OPEN: a forced trial under way has not shortened the time left. */
    bool worth =
        b->state != BREAKER_CLOSED && b->retry_at > now && b->drill != BREAKER_DRILL_OPENED;
    if (worth)
        *out = (struct breaker_saved){wall + (b->retry_at - now), (uint32_t)b->last_cause,
                                      b->opened_in_row};
    unlock(b);
    return worth;
}

void breaker_restore(struct breaker *b, usec now, usec wall, const struct breaker_saved *saved)
{
    if (saved->retry_at_wall <= wall || saved->cause >= CAUSE_COUNT)
        return;
    lock(b);
    if (b->state == BREAKER_CLOSED) {
        /* A wall clock that jumped must not close a target off for good. */
        usec most = larger(b->config.open_max + b->config.open_max / 5, WAIT_MAX);
        b->last_cause = (enum cause)saved->cause;
        b->opened_in_row = saved->opened_in_row;
        ramp_out(&b->ramp, now, b->config.ramp, false);
        open_until(b, now, now + smaller(saved->retry_at_wall - wall, most));
    }
    unlock(b);
}

const char *breaker_state_name(enum breaker_state s)
{
    static const char *const names[] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half_open"};
    assert((unsigned)s < ARRAY_LEN(names));
    return names[s];
}
