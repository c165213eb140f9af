/* Where conversations go on: the steps back, the decision, the memory, and thousands of random
 * outages beside what a plain reading of the rules allows. */
#include "relay/affinity.h"

#include <stdio.h>
#include <stdlib.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC
#define HOLD (30 * SEC)
#define MID 500
#define ANYBODY UINT64_C(0xffffffff00000000) /* the last to return */
#define THE_FIRST UINT64_C(1)                /* among the first five percent */

static const uint64_t seed[2] = {11, 12};
static const struct affinity_config config = {.hold = HOLD, .sticky = true};

/* ---- the ramp ---- */

static void expect_share(const struct ramp *r, usec now, uint32_t percent, usec next_in)
{
    struct ramp_view v = ramp_view(r, now, HOLD);
    assert_int_equal(v.percent, percent);
    assert_int_equal(v.next_in, next_in);
}

static void ramp_goes_5_25_100_and_each_step_is_held(void **state)
{
    (void)state;
    struct ramp r = {0};
    expect_share(&r, 0, 100, 0); /* never out: nothing to ramp */
    ramp_out(&r, 10 * SEC, HOLD, false);
    expect_share(&r, 11 * SEC, 0, 0);
    ramp_back(&r, 50 * SEC);
    expect_share(&r, 50 * SEC, 5, 30 * SEC);
    expect_share(&r, 80 * SEC - 1, 5, 1);
    expect_share(&r, 80 * SEC, 25, 30 * SEC);
    expect_share(&r, 110 * SEC - 1, 25, 1);
    expect_share(&r, 110 * SEC, 100, 0);
    expect_share(&r, 1000 * SEC, 100, 0);
}

static void ramp_relapse_doubles_the_steps_up_to_a_bound(void **state)
{
    (void)state;
    struct ramp r = {0};
    usec now = 0, step = HOLD;
    ramp_out(&r, now, HOLD, false);
    for (int i = 0; i < 10; i++) {
        ramp_back(&r, now);
        assert_int_equal(ramp_view(&r, now, HOLD).next_in, step);
        now += 2 * step; /* everybody is back; that is when it falls over */
        assert_int_equal(ramp_view(&r, now, HOLD).percent, 100);
        ramp_out(&r, now, HOLD, false);
        ramp_out(&r, now, HOLD, false); /* out already: counts once */
        step = step * 2 > 16 * HOLD ? 16 * HOLD : step * 2;
    }
    ramp_back(&r, now);
    ramp_out(&r, now + 3 * step, HOLD, false); /* it had held its last step: no relapse */
    ramp_back(&r, now + 4 * step);
    assert_int_equal(ramp_view(&r, now + 4 * step, HOLD).next_in, HOLD);
}

static void ramp_cool_down_has_steps_but_no_longer_ones(void **state)
{
    (void)state;
    struct ramp r = {0};
    for (usec now = 0; now < 100 * SEC; now += 10 * SEC) {
        ramp_out(&r, now, HOLD, true);
        ramp_back(&r, now + SEC);
        expect_share(&r, now + SEC, 5, HOLD);
    }
}

static void ramp_of_zero_lets_everybody_back_at_once(void **state)
{
    (void)state;
    struct ramp r = {0};
    for (int i = 0; i < 3; i++) {
        ramp_out(&r, i * SEC, 0, false);
        assert_int_equal(ramp_view(&r, i * SEC, 0).percent, 0);
        ramp_back(&r, i * SEC);
        assert_int_equal(ramp_view(&r, i * SEC, 0).percent, 100);
        assert_int_equal(ramp_view(&r, i * SEC, 0).next_in, 0);
    }
}

static void breaker_ramps_when_it_closes_after_having_been_open(void **state)
{
    (void)state;
    struct breaker b;
    usec wait;
    breaker_init(&b, &breaker_config_default);
    assert_int_equal(breaker_view(&b, 0).share.percent, 100);
    breaker_report(&b, 0, CAUSE_TRANSIENT, 0, MID); /* one failure is no outage */
    assert_int_equal(breaker_view(&b, 0).share.percent, 100);
    breaker_report(&b, 0, CAUSE_KEY_BAD, 0, MID);
    assert_int_equal(breaker_view(&b, SEC).share.percent, 0);
    assert_int_equal(breaker_ask(&b, 400 * SEC, &wait), ERR_OK);
    assert_int_equal(breaker_view(&b, 400 * SEC).share.percent, 0); /* the trial is under way */
    breaker_report(&b, 401 * SEC, CAUSE_NONE, 0, MID);
    assert_int_equal(breaker_view(&b, 401 * SEC).share.percent, 5);
    assert_int_equal(breaker_view(&b, 431 * SEC).share.percent, 25);
    assert_int_equal(breaker_view(&b, 461 * SEC).share.percent, 100);
}

static void breaker_kept_over_a_restart_ramps_as_well(void **state)
{
    (void)state;
    struct breaker b;
    usec wait;
    struct breaker_saved saved = {.retry_at_wall = 20 * SEC, .cause = CAUSE_KEY_BAD};
    breaker_init(&b, &breaker_config_default);
    breaker_restore(&b, 0, 0, &saved);
    assert_int_equal(breaker_ask(&b, 20 * SEC, &wait), ERR_OK);
    breaker_report(&b, 20 * SEC, CAUSE_NONE, 0, MID);
    assert_int_equal(breaker_view(&b, 20 * SEC).share.percent, 5);
}

/* ---- the decision ---- */

static const struct affinity_link well = {.closed = true, .percent = 100};
static const struct affinity_link out = {.percent = 0, .opened = 1};
static const struct affinity_link asks = {.trial = true, .opened = 1};
static const struct affinity_link returning = {.closed = true, .percent = 5, .opened = 1};

static const struct affinity_stay nowhere = {.known = false};

static struct affinity_choice prefer(struct affinity_link a, struct affinity_link b,
                                     struct affinity_link c, const struct affinity_stay *stay,
                                     uint64_t id, usec now)
{
    struct affinity_link links[] = {a, b, c};
    return affinity_prefer(links, 3, stay, id, now);
}

static void expect(struct affinity_choice c, unsigned first, unsigned trial)
{
    assert_int_equal(c.first, first);
    assert_int_equal(c.trial, trial);
}

static void new_conversations_go_to_the_first_target_that_lets_them_in(void **state)
{
    (void)state;
    expect(prefer(well, well, well, &nowhere, ANYBODY, 0), 0, AFFINITY_NOBODY);
    expect(prefer(out, well, well, &nowhere, ANYBODY, 0), 1, AFFINITY_NOBODY);
    expect(prefer(returning, well, well, &nowhere, ANYBODY, 0), 1, AFFINITY_NOBODY);
    expect(prefer(returning, well, well, &nowhere, THE_FIRST, 0), 0, AFFINITY_NOBODY);
    expect(prefer(returning, out, returning, &nowhere, ANYBODY, 0), 0, AFFINITY_NOBODY);
    expect(prefer(out, out, out, &nowhere, ANYBODY, 0), 0, AFFINITY_NOBODY);
}

static void a_conversation_stays_until_the_better_target_lets_it_back(void **state)
{
    (void)state;
    struct affinity_stay second = {.known = true, .link = 1, .until = 10 * SEC};
    expect(prefer(well, well, well, &second, ANYBODY, 10 * SEC - 1), 1, AFFINITY_NOBODY);
    expect(prefer(well, well, well, &second, ANYBODY, 10 * SEC), 0, AFFINITY_NOBODY);
    expect(prefer(returning, well, well, &second, ANYBODY, 10 * SEC), 1, AFFINITY_NOBODY);
    expect(prefer(returning, well, well, &second, THE_FIRST, 10 * SEC), 0, AFFINITY_NOBODY);
    struct affinity_stay lead = {.known = true, .link = 0, .opened = 1}; /* it was the trial */
    expect(prefer(returning, well, well, &lead, ANYBODY, 0), 0, AFFINITY_NOBODY);
}

static void a_stay_ends_when_its_target_has_opened_since(void **state)
{
    (void)state;
    struct affinity_stay lead = {.known = true, .link = 0, .opened = 0};
    expect(prefer(returning, well, well, &lead, ANYBODY, 0), 1, AFFINITY_NOBODY);
    struct affinity_stay second = {.known = true, .link = 1, .until = 10 * SEC};
    expect(prefer(out, out, well, &second, ANYBODY, 0), 2, AFFINITY_NOBODY);
    struct affinity_stay longer_chain = {.known = true, .link = 7};
    expect(prefer(well, well, well, &longer_chain, ANYBODY, 0), 0, AFFINITY_NOBODY);
}

static void somebody_is_always_sent_to_try_a_better_target(void **state)
{
    (void)state;
    struct affinity_stay third = {.known = true, .link = 2, .until = 10 * SEC};
    expect(prefer(asks, well, well, &nowhere, ANYBODY, 0), 1, 0);
    expect(prefer(out, asks, well, &third, ANYBODY, 0), 2, 1);
    expect(prefer(asks, asks, well, &third, ANYBODY, 0), 2, 0);
    expect(prefer(well, asks, asks, &nowhere, ANYBODY, 0), 0, AFFINITY_NOBODY);
}

static void expect_order(struct affinity_choice c, const char *order)
{
    for (size_t i = 0; order[i]; i++)
        assert_int_equal(c.order[i], order[i] - '0');
}

static void those_that_let_it_in_are_asked_before_those_that_do_not(void **state)
{
    (void)state;
    struct affinity_stay third = {.known = true, .link = 2};
    expect_order(prefer(well, well, well, &nowhere, ANYBODY, 0), "012");
    expect_order(prefer(returning, well, well, &nowhere, ANYBODY, 0), "120");
    expect_order(prefer(out, well, well, &nowhere, ANYBODY, 0), "120"); /* 0 is refused anyway */
    expect_order(prefer(asks, returning, well, &nowhere, ANYBODY, 0), "021");
    expect_order(prefer(returning, well, well, &third, THE_FIRST, 0), "021"); /* where it was */
    expect_order(prefer(out, out, out, &third, ANYBODY, 0), "012");
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random64(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(random64() >> 33) % n;
}

static void the_share_is_by_conversations_and_the_same_ones_each_time(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    static const uint32_t steps[] = {5, 25, 100};
    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        struct affinity_link lead = {.closed = true, .percent = steps[s]},
                             wider = {.closed = true, .percent = steps[s] + 20};
        uint32_t back = 0;
        for (int i = 0; i < MANY; i++) {
            uint64_t id = random64();
            bool in = prefer(lead, well, well, &nowhere, id, 0).first == 0;
            back += in;
            assert_true(!in || prefer(wider, well, well, &nowhere, id, 0).first == 0);
        }
        assert_in_range(back, MANY / 100 * steps[s] - MANY / 100, MANY / 100 * (steps[s] + 1));
    }
}

/* ---- the memory ---- */

struct route {
    struct breaker breakers[3];
    struct breaker *list[3];
    struct affinity *affinity;
};

static void route_begin(struct route *r, const struct affinity_config *c)
{
    for (size_t i = 0; i < ARRAY_LEN(r->list); i++) {
        breaker_init(&r->breakers[i], &breaker_config_default);
        r->list[i] = &r->breakers[i];
    }
    r->affinity = affinity_new(c, seed, ARRAY_LEN(r->list));
}

static struct affinity_choice choose(struct route *r, uint64_t id, usec now)
{
    return affinity_choose(r->affinity, r->list, id, now);
}

static void served(struct route *r, uint64_t id, size_t link, usec now)
{
    struct affinity_choice chosen = choose(r, id, now);
    affinity_served(r->affinity, r->list, id, link, &chosen, now);
}

static void nothing_is_kept_while_everybody_is_where_they_belong(void **state)
{
    (void)state;
    struct route r;
    route_begin(&r, &config);
    for (uint64_t id = 0; id < 100; id++)
        served(&r, id, 0, SEC);
    assert_int_equal(affinity_count(r.affinity), 0);
    breaker_report(r.list[0], SEC, CAUSE_KEY_BAD, 0, MID);
    for (uint64_t id = 0; id < 100; id++)
        served(&r, id, 1, 2 * SEC); /* the breaker says where they are */
    assert_int_equal(affinity_count(r.affinity), 0);
    affinity_unref(r.affinity);
}

static void one_failure_moves_a_conversation_for_one_hold(void **state)
{
    (void)state;
    struct route r;
    route_begin(&r, &config);
    breaker_report(r.list[0], SEC, CAUSE_OVERLOADED, 0, MID); /* stays closed */
    served(&r, ANYBODY, 1, SEC);
    assert_int_equal(affinity_count(r.affinity), 1);
    expect(choose(&r, ANYBODY, 2 * SEC), 1, AFFINITY_NOBODY);
    expect(choose(&r, THE_FIRST, 2 * SEC), 0, AFFINITY_NOBODY); /* the others do not move */
    served(&r, ANYBODY, 1, 20 * SEC);                           /* no new move: no new hold */
    expect(choose(&r, ANYBODY, 31 * SEC - 1), 1, AFFINITY_NOBODY);
    expect(choose(&r, ANYBODY, 31 * SEC), 0, AFFINITY_NOBODY);
    served(&r, ANYBODY, 0, 31 * SEC);
    assert_int_equal(affinity_count(r.affinity), 0);
    affinity_unref(r.affinity);
}

static void the_conversation_that_was_the_trial_stays_with_the_lead(void **state)
{
    (void)state;
    struct route r;
    usec wait;
    route_begin(&r, &config);
    breaker_report(r.list[0], 0, CAUSE_KEY_BAD, 0, MID);
    struct affinity_choice c = choose(&r, ANYBODY, 400 * SEC);
    expect(c, 1, 0);
    assert_int_equal(breaker_ask(r.list[0], 400 * SEC, &wait), ERR_OK);
    breaker_report(r.list[0], 400 * SEC, CAUSE_NONE, 0, MID);
    affinity_served(r.affinity, r.list, ANYBODY, 0, &c, 400 * SEC);
    expect(choose(&r, ANYBODY, 401 * SEC), 0, AFFINITY_NOBODY);
    expect(choose(&r, ANYBODY - 1, 401 * SEC), 1, AFFINITY_NOBODY);
    breaker_report(r.list[0], 402 * SEC, CAUSE_KEY_BAD, 0, MID); /* a relapse takes it along */
    expect(choose(&r, ANYBODY, 402 * SEC), 1, AFFINITY_NOBODY);
    affinity_unref(r.affinity);
}

static void not_sticky_keeps_nothing_and_follows_the_ramp_alone(void **state)
{
    (void)state;
    static const struct affinity_config loose = {.hold = HOLD, .sticky = false};
    struct route r;
    route_begin(&r, &loose);
    breaker_report(r.list[0], SEC, CAUSE_OVERLOADED, 0, MID);
    served(&r, ANYBODY, 1, SEC);
    assert_int_equal(affinity_count(r.affinity), 0);
    expect(choose(&r, ANYBODY, SEC), 0, AFFINITY_NOBODY);
    affinity_set(r.affinity, &config); /* a reload */
    served(&r, ANYBODY, 1, SEC);
    expect(choose(&r, ANYBODY, SEC), 1, AFFINITY_NOBODY);
    affinity_set(r.affinity, &loose);
    expect(choose(&r, ANYBODY, SEC), 0, AFFINITY_NOBODY);
    affinity_unref(r.affinity);
}

static void memory_is_bounded_and_the_longest_unheard_of_goes_first(void **state)
{
    (void)state;
    struct route r;
    route_begin(&r, &config);
    for (uint64_t i = 0; i < (uint64_t)AFFINITY_CONVERSATIONS * 3; i++)
        served(&r, random64(), 1, SEC);
    assert_in_range(affinity_count(r.affinity), AFFINITY_CONVERSATIONS / 10 * 9,
                    AFFINITY_CONVERSATIONS);
    /* Twenty of one set: the last eight are known. */
    for (uint64_t i = 1; i <= 20; i++)
        served(&r, i << 40, 1, SEC);
    for (uint64_t i = 1; i <= 20; i++)
        assert_int_equal(choose(&r, i << 40, SEC).first, i > 12);
    served(&r, UINT64_C(13) << 40, 1, SEC); /* heard of again */
    served(&r, UINT64_C(99) << 40, 1, SEC);
    assert_int_equal(choose(&r, UINT64_C(13) << 40, SEC).first, 1);
    assert_int_equal(choose(&r, UINT64_C(14) << 40, SEC).first, 0);
    affinity_unref(r.affinity);
}

static struct route shared;

static void *work(void *arg)
{
    uint64_t mine = (uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 20000; i++) {
        mine = mine * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t id = (mine >> 40) % 500;
        served(&shared, id, (mine >> 33) % 3, SEC + i);
        if (i % 1000 == 0)
            affinity_set(shared.affinity, &config);
    }
    return NULL;
}

static void several_workers_share_one_memory(void **state)
{
    (void)state;
    pthread_t threads[4];
    route_begin(&shared, &config);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(i + 1)), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_in_range(affinity_count(shared.affinity), 1, 500);
    for (uint64_t id = 0; id < 500; id++)
        served(&shared, id, 0, 100 * SEC); /* all are home again */
    assert_int_equal(affinity_count(shared.affinity), 0);
    affinity_unref(shared.affinity);
}

/* ---- random outages ---- */

#define TALKS 400
#define LINKS 3

struct talk { /* as its user sees it */
    uint64_t id;
    int link; /* -1: not begun */
    uint32_t opened;
    usec moved_by_failure;
    uint64_t opened_then[LINKS]; /* how often each link had opened before that */
};

struct days {
    struct route route;
    struct budget budget;
    struct talk talks[TALKS];
    usec down_until[LINKS], now;
    uint32_t flaky[LINKS]; /* permille of requests that fail though it is up */
    uint64_t moves, stays, returns, trials;
};

static bool lets_back(const struct breaker_view *v, uint64_t id)
{
    return v->state == BREAKER_CLOSED &&
           (double)(id >> 32) / 4294967296.0 * 100.0 < (double)v->share.percent;
}

/* The move from a healthy target that did not fail must be a return that was due, or the trial. */
static void judge_move(struct days *d, const struct talk *t, size_t to,
                       const struct breaker_view *before, bool own_failed)
{
    size_t from = (size_t)t->link;
    bool healthy = before[from].state == BREAKER_CLOSED &&
                   (uint32_t)before[from].opened_total == t->opened && !own_failed;
    d->stays += to == from;
    d->moves += to != from;
    if (to == from || !healthy)
        return;
    bool trial = before[to].state == BREAKER_HALF_OPEN;
    /* An outage that followed puts the ramp in the place of the one conversation's own hold. */
    bool due = lets_back(&before[to], t->id) && (d->now >= t->moved_by_failure + HOLD ||
                                                 before[to].opened_total != t->opened_then[to]);
    if (!(to < from && (trial || due)))
        fail_msg("at %lld ms a conversation went from %zu to %zu, which was %s and let in %u %%; a "
                 "failure had moved it at %lld ms",
                 (long long)(d->now / USEC_PER_MS), from, to, breaker_state_name(before[to].state),
                 before[to].share.percent, (long long)(t->moved_by_failure / USEC_PER_MS));
    d->trials += trial;
    d->returns += !trial;
}

static void ask_once(struct days *d, struct talk *t)
{
    struct route *r = &d->route;
    struct breaker_view before[LINKS];
    struct chain_walk walk;
    bool failed[LINKS] = {false};
    for (size_t i = 0; i < LINKS; i++)
        before[i] = breaker_view(r->list[i], d->now);
    chain_begin(&walk, r->list, LINKS);
    struct affinity_choice c = choose(r, t->id, d->now);
    chain_order(&walk, c.order);
    if (before[0].state == BREAKER_CLOSED && before[0].share.percent == 100 &&
        d->now >= t->moved_by_failure + HOLD)
        assert_int_equal(c.first, 0); /* and nobody is kept away from a lead that is well */
    for (;;) {
        struct chain_pick p =
            chain_next(&walk, d->now, d->now + 600 * SEC, &d->budget, (uint32_t)random64());
        if (!p.found)
            return; /* an error for the client: the conversation is where it was */
        bool fails = d->now < d->down_until[p.link] || below(1000) < d->flaky[p.link];
        breaker_report(r->list[p.link], d->now, fails ? CAUSE_OVERLOADED : CAUSE_NONE, 0, MID);
        if (fails) {
            failed[p.link] = true;
            chain_failed(&walk, p.link, CAUSE_OVERLOADED, 0, d->now);
            continue;
        }
        affinity_served(r->affinity, r->list, t->id, p.link, &c, d->now);
        if (t->link >= 0)
            judge_move(d, t, p.link, before, failed[t->link]);
        bool pushed = p.link > c.first;
        for (size_t i = 0; pushed && i < LINKS; i++)
            t->opened_then[i] = before[i].opened_total;
        if (pushed)
            t->moved_by_failure = d->now;
        t->link = (int)p.link;
        t->opened = (uint32_t)breaker_view(r->list[p.link], d->now).opened_total;
        return;
    }
}

static void no_conversation_moves_while_its_target_is_well_and_nothing_is_due(void **state)
{
    (void)state;
    uint64_t moves = 0, stays = 0, returns = 0, trials = 0;
    for (int day = 0; day < 60; day++) {
        struct days *d = calloc(1, sizeof *d);
        assert_non_null(d);
        route_begin(&d->route, &config);
        budget_init(&d->budget, 20, 3);
        for (size_t i = 0; i < TALKS; i++)
            d->talks[i] = (struct talk){.id = random64(), .link = -1, .moved_by_failure = -HOLD};
        for (size_t i = 0; i < LINKS; i++)
            d->flaky[i] = below(3) ? 0 : below(200);
        for (int i = 0; i < 20000; i++) {
            d->now += (usec)below(200) * USEC_PER_MS;
            size_t link = below(LINKS);
            if (below(400) == 0)
                d->down_until[link] = d->now + (usec)below(120) * SEC;
            ask_once(d, &d->talks[below(TALKS)]);
        }
        moves += d->moves, stays += d->stays, returns += d->returns, trials += d->trials;
        affinity_unref(d->route.affinity);
        free(d);
    }
    (void)fprintf(stderr,
                  "# %llu turns stayed, %llu moved; %llu returned when due, %llu as trial\n",
                  (unsigned long long)stays, (unsigned long long)moves, (unsigned long long)returns,
                  (unsigned long long)trials);
    assert_true(returns > 1000 && trials > 10 && stays > moves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ramp_goes_5_25_100_and_each_step_is_held),
        cmocka_unit_test(ramp_relapse_doubles_the_steps_up_to_a_bound),
        cmocka_unit_test(ramp_cool_down_has_steps_but_no_longer_ones),
        cmocka_unit_test(ramp_of_zero_lets_everybody_back_at_once),
        cmocka_unit_test(breaker_ramps_when_it_closes_after_having_been_open),
        cmocka_unit_test(breaker_kept_over_a_restart_ramps_as_well),
        cmocka_unit_test(new_conversations_go_to_the_first_target_that_lets_them_in),
        cmocka_unit_test(a_conversation_stays_until_the_better_target_lets_it_back),
        cmocka_unit_test(a_stay_ends_when_its_target_has_opened_since),
        cmocka_unit_test(somebody_is_always_sent_to_try_a_better_target),
        cmocka_unit_test(those_that_let_it_in_are_asked_before_those_that_do_not),
        cmocka_unit_test(the_share_is_by_conversations_and_the_same_ones_each_time),
        cmocka_unit_test(nothing_is_kept_while_everybody_is_where_they_belong),
        cmocka_unit_test(one_failure_moves_a_conversation_for_one_hold),
        cmocka_unit_test(the_conversation_that_was_the_trial_stays_with_the_lead),
        cmocka_unit_test(not_sticky_keeps_nothing_and_follows_the_ramp_alone),
        cmocka_unit_test(memory_is_bounded_and_the_longest_unheard_of_goes_first),
        cmocka_unit_test(several_workers_share_one_memory),
        cmocka_unit_test(no_conversation_moves_while_its_target_is_well_and_nothing_is_due),
    };
    return cmocka_run_group_tests_name("affinity", tests, NULL, NULL);
}
