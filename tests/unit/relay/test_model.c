/* Breaker, budget and chain beside small reference models (model.h), over thousands of seeded
 * random sequences in virtual time; and what an outage costs upstream in the long run.
 *
 * A failure names its seed. HOTSPARE_MODEL_SEED=N runs that sequence alone. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC

/* ---- seeds ---- */

static uint64_t seed; /* of the sequence that runs */
static int step;

#define CLAIM(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail_msg("%s\n  seed %llu, step %d; again with HOTSPARE_MODEL_SEED=%llu", #cond,       \
                     (unsigned long long)seed, step, (unsigned long long)seed);                    \
    } while (0)

static size_t for_each_seed(uint64_t count, void (*sequence)(struct dice *d))
{
    const char *only = getenv("HOTSPARE_MODEL_SEED");
    uint64_t from = only ? strtoull(only, NULL, 10) : 1, to = only ? from : count;
    for (seed = from; seed <= to; seed++) {
        struct dice d = {seed};
        sequence(&d);
    }
    return (size_t)(to - from + 1);
}

static bool whole_run(void)
{
    return !getenv("HOTSPARE_MODEL_SEED");
}

/* ---- breaker ---- */

#define BREAKER_STEPS 400

static const struct breaker_config small_config = {
    .failures = 3, .ratio_min = 6, .ratio_percent = 40, .open = 2 * SEC, .open_max = 30 * SEC};
static struct model_breaker model_of[CHAIN_MAX];
static size_t seen[3];

static usec dice_pause(struct dice *d)
{
    switch (dice_roll(d, 4)) {
    case 0:
        return dice_roll(d, 2 * USEC_PER_SEC);
    case 1:
        return dice_roll(d, 8) * SEC;
    case 2:
        return dice_one_in(d, 6) ? dice_roll(d, 400) * SEC : dice_roll(d, 100);
    default:
        return 0;
    }
}

static enum cause dice_cause(struct dice *d)
{
    return dice_roll(d, 3) ? (enum cause)(1 + dice_roll(d, CAUSE_COUNT - 1)) : CAUSE_NONE;
}

static usec dice_wait(struct dice *d)
{
    if (dice_roll(d, 4))
        return 0;
    return dice_one_in(d, 10) ? dice_roll(d, 10000) * SEC : dice_roll(d, 40 * 1000000);
}

static void expect_same(struct breaker *b, const struct model_breaker *m, usec now)
{
    struct breaker_view v = breaker_view(b, now);
    CLAIM(v.state == model_breaker_state(m, now));
    seen[v.state]++;
    if (v.state == BREAKER_OPEN)
        CLAIM(v.retry_in == m->until - now);
    if (v.state == BREAKER_CLOSED)
        CLAIM(v.failures_in_row == m->row);
    if (v.state != BREAKER_CLOSED)
        CLAIM(v.last_cause == m->cause);
}

/* Where a range was allowed the model goes on with what the breaker chose. */
static void report_both(struct breaker *b, struct model_breaker *m, usec now, enum cause c,
                        usec wait, uint32_t jitter)
{
    struct model_range range;
    breaker_report(b, now, c, wait, jitter);
    model_breaker_report(m, now, c, wait, &range);
    if (!m->shut || m->probe)
        return;
    struct breaker_view v = breaker_view(b, now);
    if (range.most <= 0) { /* open, but its time is over */
        CLAIM(v.state == BREAKER_HALF_OPEN);
        return;
    }
    CLAIM(v.state == BREAKER_OPEN && v.retry_in >= range.least && v.retry_in <= range.most);
    m->until = now + v.retry_in;
}

static void ask_both(struct breaker *b, struct model_breaker *m, usec now)
{
    usec wait = 0;
    struct model_range range;
    bool let = breaker_ask(b, now, &wait) == ERR_OK;
    CLAIM(let == model_breaker_ask(m, now, &range));
    if (!let)
        CLAIM(wait >= 1 && wait >= range.least && wait <= range.most);
}

/* A new process: another monotonic clock, and only what was worth saving. */
static usec restart_both(struct breaker *b, struct model_breaker *m, usec now, struct dice *d)
{
    struct breaker_saved saved;
    usec off = dice_one_in(d, 3) ? dice_pause(d) : 0, wall = 1000000 * SEC + now;
    bool worth = breaker_save(b, now, wall, &saved);
    CLAIM(worth == (m->shut && now < m->until));
    breaker_init(b, m->config);
    usec began = dice_roll(d, 1000) * SEC, left = m->until - now - off;
    struct model_breaker before = {.cause = m->cause, .times = m->times};
    model_breaker_init(m, m->config);
    if (!worth)
        return began;
    breaker_restore(b, began, wall + off, &saved);
    if (left <= 0)
        return began;
    m->shut = true;
    m->until = began + left;
    m->cause = before.cause;
    m->times = before.times;
    return began;
}

static void breaker_sequence(struct dice *d)
{
    struct breaker b;
    struct model_breaker *m = &model_of[0];
    const struct breaker_config *config = dice_roll(d, 3) ? &small_config : &breaker_config_default;
    usec now = dice_roll(d, 100) * SEC;
    breaker_init(&b, config);
    model_breaker_init(m, config);
    for (step = 0; step < BREAKER_STEPS; step++) {
        switch (dice_roll(d, 10)) {
        case 0:
        case 1:
            now += dice_pause(d);
            break;
        case 2:
        case 3:
        case 4:
            ask_both(&b, m, now);
            break;
        case 5:
            breaker_force(&b, now);
            model_breaker_force(m, now);
            break;
        case 6:
            breaker_cancel(&b, now);
            model_breaker_cancel(m, now);
            break;
        case 7:
            if (dice_one_in(d, 20))
                now = restart_both(&b, m, now, d);
            break;
        default: {
            enum cause c = dice_cause(d);
            report_both(&b, m, now, c, dice_wait(d), dice_roll(d, 1000));
        }
        }
        expect_same(&b, m, now);
    }
}

static void breaker_keeps_its_promises_in_every_random_sequence(void **state)
{
    (void)state;
    memset(seen, 0, sizeof seen);
    size_t runs = for_each_seed(4000, breaker_sequence);
    print_message("# breaker: %zu sequences of %d steps; closed %zu, open %zu, half open %zu\n",
                  runs, BREAKER_STEPS, seen[0], seen[1], seen[2]);
    for (size_t i = 0; i < ARRAY_LEN(seen) && whole_run(); i++)
        assert_true(seen[i] > 50000); /* the sequences led everywhere */
}

/* ---- budget ---- */

#define BUDGET_STEPS 1000

static struct model_budget model_purse;
static size_t granted, denied;

static void budget_sequence(struct dice *d)
{
    struct budget b;
    struct model_budget *m = &model_purse;
    uint32_t percent = dice_one_in(d, 3) ? dice_roll(d, 101) : 20;
    uint32_t floor = dice_one_in(d, 3) ? dice_roll(d, 10) : 3;
    usec now = dice_roll(d, 1000) * SEC + dice_roll(d, 1000000);
    budget_init(&b, percent, floor);
    m->percent = percent;
    m->floor = floor;
    m->first = m->count = 0;
    uint32_t share = 1 + dice_roll(d, 9); /* retries wanted, in tenths */
    for (step = 0; step < BUDGET_STEPS; step++) {
        if (dice_one_in(d, 10))
            now += dice_one_in(d, 20) ? dice_roll(d, 40) * SEC : dice_roll(d, 1500000);
        if (dice_roll(d, 10) >= share) {
            budget_request(&b, now);
            model_budget_request(m, now);
            continue;
        }
        bool may = model_budget_take(m, now);
        CLAIM(budget_take(&b, now) == may);
        *(may ? &granted : &denied) += 1;
    }
}

static void budget_keeps_its_promises_in_every_random_sequence(void **state)
{
    (void)state;
    granted = denied = 0;
    size_t runs = for_each_seed(2000, budget_sequence);
    print_message("# budget: %zu sequences of %d steps; %zu granted, %zu denied\n", runs,
                  BUDGET_STEPS, granted, denied);
    assert_true(!whole_run() || (granted > 100000 && denied > 100000));
}

/* ---- chain: several exchanges at once over shared breakers and one budget ---- */

#define WALKS 4
#define CHAIN_STEPS 400

struct house {
    struct breaker breakers[CHAIN_MAX];
    struct breaker *list[CHAIN_MAX];
    struct budget budget;
    size_t count;
};
struct walker {
    struct chain_walk walk;
    struct model_chain model;
    bool walking, trying;
    size_t link, sends[CHAIN_MAX], sent;
    usec resumes, deadline; /* resumes: nothing happens before (the pick asked for a wait) */
};
static struct house house;
static struct walker walkers[WALKS];
static size_t picks, forced, repeats, nobodies;

static void walker_begin(struct walker *w, usec now, struct dice *d)
{
    chain_begin(&w->walk, house.list, house.count);
    model_chain_begin(&w->model, house.count);
    for (size_t i = 0; i < house.count; i++)
        w->model.breakers[i] = &model_of[i];
    w->walking = true;
    w->trying = false;
    w->sent = 0;
    memset(w->sends, 0, sizeof w->sends);
    w->deadline = now + (dice_one_in(d, 5) ? dice_roll(d, 20) : 600) * SEC;
    budget_request(&house.budget, now);
    model_budget_request(&model_purse, now);
}

static void walker_pick(struct walker *w, usec now, struct dice *d)
{
    uint32_t random = dice_word(d);
    struct chain_pick got = chain_next(&w->walk, now, w->deadline, &house.budget, random);
    struct model_pick want = model_chain_next(&w->model, now, w->deadline, &model_purse, random);
    CLAIM(got.found == want.found);
    if (!got.found) {
        nobodies++;
        w->walking = false;
        return;
    }
    CLAIM(got.link == want.link && got.forced == want.forced);
    CLAIM(got.wait >= want.wait.least && got.wait <= want.wait.most);
    CLAIM(now + got.wait < w->deadline);
    CLAIM(chain_has_other(&w->walk, got.link, now) ==
          model_chain_has_other(&w->model, got.link, now));
    CLAIM(++w->sends[got.link] <= 2);
    CLAIM(++w->sent <= (house.count > 3 ? house.count : 3)); /* the amplification bound */
    w->trying = true;
    w->link = got.link;
    w->resumes = now + got.wait;
    picks++;
    forced += got.forced;
    repeats += got.wait > 0;
}

static void walker_end_try(struct walker *w, usec now, struct dice *d)
{
    struct breaker *b = house.list[w->link];
    struct model_breaker *m = &model_of[w->link];
    w->trying = false;
    if (dice_one_in(d, 10)) { /* cannot carry it: nothing was sent */
        breaker_cancel(b, now);
        model_breaker_cancel(m, now);
        chain_unfit(&w->walk, w->link);
        model_chain_unfit(&w->model, w->link);
        w->sends[w->link] -= 1;
        w->sent--;
        return;
    }
    enum cause c = dice_cause(d);
    usec wait = dice_one_in(d, 3) ? dice_roll(d, 90) * SEC : 0;
    report_both(b, m, now, c, wait, dice_roll(d, 1000));
    if (c == CAUSE_NONE) {
        w->walking = false;
        return;
    }
    chain_failed(&w->walk, w->link, c, wait, now);
    model_chain_failed(&w->model, w->link, c, wait, now);
}

static void chain_sequence(struct dice *d)
{
    usec now = 100 * SEC;
    house.count = 1 + dice_roll(d, 5);
    for (size_t i = 0; i < house.count; i++) {
        breaker_init(&house.breakers[i], &small_config);
        model_breaker_init(&model_of[i], &small_config);
        house.list[i] = &house.breakers[i];
    }
    budget_init(&house.budget, 20, 3);
    model_purse = (struct model_budget){.percent = 20, .floor = 3};
    memset(walkers, 0, sizeof walkers);
    for (step = 0; step < CHAIN_STEPS; step++) {
        struct walker *w = &walkers[dice_roll(d, WALKS)];
        if (dice_one_in(d, 3))
            now += dice_pause(d);
        if (!w->walking)
            walker_begin(w, now, d);
        else if (!w->trying)
            walker_pick(w, now, d);
        else if (now >= w->resumes)
            walker_end_try(w, now, d);
        for (size_t i = 0; i < house.count; i++)
            expect_same(house.list[i], &model_of[i], now);
    }
}

static void chain_keeps_its_promises_in_every_random_sequence(void **state)
{
    (void)state;
    picks = forced = repeats = nobodies = 0;
    size_t runs = for_each_seed(4000, chain_sequence);
    print_message("# chain: %zu sequences of %d steps; %zu picks, %zu forced, %zu repeats, %zu "
                  "times nobody\n",
                  runs, CHAIN_STEPS, picks, forced, repeats, nobodies);
    if (!whole_run())
        return;
    assert_true(picks > 100000 && forced > 10000 && repeats > 10000 && nobodies > 10000);
}

/* ---- what an outage costs upstream, with breaker and budget as they are by default ---- */

struct outage {
    const char *name;
    uint32_t per_hour;  /* client requests */
    usec answer_time;   /* how long an attempt takes, whichever way it ends */
    enum cause cause;   /* of each attempt at the dead target */
    usec wait;          /* that it asks for */
    size_t dead, alive; /* links; dead == alive: both are dead */
};
struct toll {
    uint64_t clients, upstream, at_dead, answered;
};
#define FLIGHT_MAX 256 /* exchanges at once */

struct flight {
    struct chain_walk walk;
    bool up;
    size_t link;
    usec at; /* its attempt ends */
};

static void flight_next(struct flight *f, usec now, const struct outage *o, struct toll *t,
                        struct dice *d)
{
    struct chain_pick p = chain_next(&f->walk, now, now + 600 * SEC, &house.budget, dice_word(d));
    f->up = p.found;
    if (!p.found)
        return;
    f->link = p.link;
    f->at = now + p.wait + o->answer_time;
    t->upstream++;
    t->at_dead += p.link == o->dead;
}

static void flight_land(struct flight *f, const struct outage *o, struct toll *t, struct dice *d)
{
    bool dead = f->link == o->dead || o->dead == o->alive;
    enum cause c = dead ? o->cause : CAUSE_NONE;
    usec wait = dead ? o->wait : 0;
    breaker_report(house.list[f->link], f->at, c, wait, dice_roll(d, 1000));
    if (!dead) {
        t->answered++;
        f->up = false;
        return;
    }
    chain_failed(&f->walk, f->link, c, wait, f->at);
    flight_next(f, f->at, o, t, d);
}

static struct flight *first_to_land(struct flight *flights)
{
    struct flight *first = NULL;
    for (size_t i = 0; i < FLIGHT_MAX; i++)
        if (flights[i].up && (!first || flights[i].at < first->at))
            first = &flights[i];
    return first;
}

static struct toll run_outage(const struct outage *o, usec time)
{
    static struct flight flights[FLIGHT_MAX];
    struct dice d = {1};
    struct toll t = {0};
    memset(flights, 0, sizeof flights);
    house.count = 2;
    for (size_t i = 0; i < house.count; i++) {
        breaker_init(&house.breakers[i], &breaker_config_default);
        house.list[i] = &house.breakers[i];
    }
    budget_init(&house.budget, 20, 3);
    usec gap = 3600 * SEC / o->per_hour;
    for (usec now = gap; now <= time; now += gap) {
        struct flight *f;
        while ((f = first_to_land(flights)) && f->at <= now)
            flight_land(f, o, &t, &d);
        for (f = flights; f->up; f++)
            assert_true(f < flights + FLIGHT_MAX - 1); /* too many at once for this test */
        t.clients++;
        budget_request(&house.budget, now);
        chain_begin(&f->walk, house.list, house.count);
        flight_next(f, now, o, &t, &d);
    }
    for (struct flight *f; (f = first_to_land(flights));)
        flight_land(f, o, &t, &d);
    return t;
}

static double print_toll(const struct outage *o, const struct toll *t, usec time)
{
    double amplification = (double)t->upstream / (double)t->clients;
    print_message("# %-44s %7llu requests, %7llu upstream: x %.4f; the dead target was asked %.1f "
                  "times an hour\n",
                  o->name, (unsigned long long)t->clients, (unsigned long long)t->upstream,
                  amplification, (double)t->at_dead * 3600 * 1e6 / (double)time);
    return amplification;
}

static void outage_of_one_of_two_targets_multiplies_requests_by_1_2_at_most(void **state)
{
    (void)state;
    const usec day = 24 * 3600 * SEC;
    const struct outage outages[] = {
        {"lead dead, 10 a second", 36000, 100000, CAUSE_TRANSIENT, 0, 0, 1},
        {"lead stalls for 5 s each time, 10 a second", 36000, 5 * SEC, CAUSE_STALLED, 0, 0, 1},
        {"lead unreachable, 1 a second", 3600, 1000, CAUSE_UNREACHABLE, 0, 0, 1},
        {"lead overloaded, asks for 5 s, 1 a second", 3600, SEC, CAUSE_OVERLOADED, 5 * SEC, 0, 1},
        {"lead's account closed, 1 a second", 3600, 50000, CAUSE_ACCOUNT_GONE, 0, 0, 1},
        {"lead's rate limit, asks for 20 s, 1 a second", 3600, 1000, CAUSE_RATE_LIMITED, 20 * SEC,
         0, 1},
        {"second dead, 1 a second", 3600, SEC, CAUSE_TRANSIENT, 0, 1, 0},
        {"lead dead, 1 a minute", 60, SEC, CAUSE_TRANSIENT, 0, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(outages); i++) {
        struct toll t = run_outage(&outages[i], day);
        assert_true(print_toll(&outages[i], &t, day) <= 1.2);
        assert_int_equal(t.answered, t.clients); /* and nobody went without */
    }
}

/* Fewer requests than trials would be: the ratio says nothing, the trials are still bounded. */
static void outage_with_hardly_any_traffic_is_one_trial_in_four_minutes_at_most(void **state)
{
    (void)state;
    const usec day = 24 * 3600 * SEC;
    const struct outage o = {"lead dead, 30 an hour", 30, SEC, CAUSE_TRANSIENT, 0, 0, 1};
    struct toll t = run_outage(&o, day);
    (void)print_toll(&o, &t, day);
    assert_true(t.at_dead <= 24 * 15 + 10); /* before and while the waits grow to 5 min - 20 % */
    assert_int_equal(t.answered, t.clients);
}

static void outage_of_both_targets_is_each_once_and_a_fifth_more(void **state)
{
    (void)state;
    const usec hour = 3600 * SEC;
    const struct outage o = {"both dead, 10 a second", 36000, 100000, CAUSE_TRANSIENT, 0, 0, 0};
    struct toll t = run_outage(&o, hour);
    assert_true(print_toll(&o, &t, hour) <= 2.2 + 3.0 * 360 / (double)t.clients);
    assert_int_equal(t.answered, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaker_keeps_its_promises_in_every_random_sequence),
        cmocka_unit_test(budget_keeps_its_promises_in_every_random_sequence),
        cmocka_unit_test(chain_keeps_its_promises_in_every_random_sequence),
        cmocka_unit_test(outage_of_one_of_two_targets_multiplies_requests_by_1_2_at_most),
        cmocka_unit_test(outage_with_hardly_any_traffic_is_one_trial_in_four_minutes_at_most),
        cmocka_unit_test(outage_of_both_targets_is_each_once_and_a_fifth_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
