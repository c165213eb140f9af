/* The chain walk: order, breakers, forcing, repeats, and the bound on all attempts together. */
#include "relay/chain.h"

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC
#define FAR (600 * SEC)
#define MOST UINT32_MAX

struct fixture {
    struct breaker breakers[CHAIN_MAX];
    struct breaker *list[CHAIN_MAX];
    struct budget budget;
    struct chain_walk walk;
};

static void fixture_begin(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < CHAIN_MAX; i++) {
        breaker_init(&f->breakers[i], &breaker_config_default);
        f->list[i] = &f->breakers[i];
    }
    budget_init(&f->budget, 20, 3);
    chain_begin(&f->walk, f->list, count);
}

static struct chain_pick next(struct fixture *f, usec now)
{
    return chain_next(&f->walk, now, FAR, &f->budget, MOST);
}

/* As the exchange does it. */
static void failed(struct fixture *f, size_t link, enum cause c, usec wait, usec now)
{
    breaker_report(f->list[link], now, c, wait, 500);
    chain_failed(&f->walk, link, c, wait, now);
}

static void expect_pick(struct fixture *f, usec now, size_t link, bool forced)
{
    struct chain_pick p = next(f, now);
    assert_true(p.found);
    assert_int_equal(p.link, link);
    assert_int_equal(p.forced, forced);
    assert_int_equal(p.wait, 0);
}

static void open_breaker(struct fixture *f, size_t link, usec wait)
{
    breaker_report(f->list[link], 0, CAUSE_RATE_LIMITED, wait, 500);
}

static void chain_picks_in_order_without_waiting(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 3);
    for (size_t i = 0; i < 3; i++) {
        expect_pick(&f, 0, i, false);
        failed(&f, i, CAUSE_OVERLOADED, 0, 0);
    }
    assert_false(next(&f, 0).found); /* three attempts are the bound here */
    assert_true(budget_take(&f.budget, 0) && budget_take(&f.budget, 0) &&
                budget_take(&f.budget, 0)); /* and none was taken from the budget */
}

static void chain_asks_in_another_order_when_told(void **state)
{
    (void)state;
    static const uint8_t order[CHAIN_MAX] = {2, 0, 1, 3};
    struct fixture f;
    fixture_begin(&f, 4);
    open_breaker(&f, 0, 60 * SEC);
    open_breaker(&f, 3, 30 * SEC);
    chain_order(&f.walk, order);
    expect_pick(&f, SEC, 2, false);
    failed(&f, 2, CAUSE_OVERLOADED, 0, SEC);
    expect_pick(&f, SEC, 1, false);
    failed(&f, 1, CAUSE_OVERLOADED, 0, SEC);
    expect_pick(&f, SEC, 3, true); /* all others are open: the soonest, whatever the order */
}

static void chain_tells_the_soonest_time_any_of_them_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 3);
    assert_int_equal(chain_retry_in(&f.walk, 0), 0);
    static const usec waits[] = {90 * SEC, 20 * SEC, 0}; /* the last one says nothing */
    for (size_t i = 0; i < 3; i++) {
        expect_pick(&f, (usec)i * SEC, i, false);
        failed(&f, i, CAUSE_RATE_LIMITED, waits[i], (usec)i * SEC);
    }
    assert_int_equal(chain_retry_in(&f.walk, 3 * SEC), 18 * SEC);
    assert_int_equal(chain_retry_in(&f.walk, 40 * SEC), 1); /* its time has come */
}

static void chain_asks_beside_only_who_is_well_and_untried(void **state)
{
    (void)state;
    struct fixture f;
    size_t link;
    fixture_begin(&f, 4);
    open_breaker(&f, 1, 60 * SEC);
    expect_pick(&f, SEC, 0, false);
    assert_true(chain_beside(&f.walk, SEC, &link));
    assert_int_equal(link, 2); /* 0 is under way, 1 open */
    failed(&f, 2, CAUSE_OVERLOADED, 0, SEC);
    assert_true(chain_beside(&f.walk, SEC, &link));
    assert_int_equal(link, 3);
    assert_false(chain_beside(&f.walk, SEC, &link)); /* nobody is forced, nothing repeated */
    assert_int_equal(f.walk.attempts, 3);
    failed(&f, 0, CAUSE_OVERLOADED, 0, SEC);
    expect_pick(&f, SEC, 1, true); /* the walk goes on as ever */
}

static void chain_skips_open_breakers_and_what_cannot_carry_the_request(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 4);
    open_breaker(&f, 0, 60 * SEC);
    expect_pick(&f, SEC, 1, false);
    chain_unfit(&f.walk, 1);
    breaker_cancel(f.list[1], SEC);
    chain_unfit(&f.walk, 2);
    expect_pick(&f, SEC, 3, false);
    assert_int_equal(f.walk.attempts, 1); /* being unfit was no attempt */
}

static void chain_never_refuses_the_last_one_left(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 1);
    breaker_report(f.list[0], 0, CAUSE_ACCOUNT_GONE, 0, 500);
    expect_pick(&f, SEC, 0, true);
    breaker_report(f.list[0], SEC, CAUSE_NONE, 0, 500);
    assert_int_equal(breaker_view(f.list[0], SEC).state, BREAKER_CLOSED);
}

static void chain_forces_the_one_that_reopens_soonest(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 3);
    open_breaker(&f, 0, 50 * SEC);
    open_breaker(&f, 1, 20 * SEC);
    open_breaker(&f, 2, 30 * SEC);
    const size_t order[] = {1, 2, 0};
    for (size_t i = 0; i < 3; i++) {
        expect_pick(&f, SEC, order[i], true);
        failed(&f, order[i], CAUSE_UNREACHABLE, 0, SEC);
    }
    assert_false(next(&f, SEC).found);
}

static void chain_all_open_but_reopening_is_not_forced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 2);
    open_breaker(&f, 0, 50 * SEC);
    open_breaker(&f, 1, 20 * SEC);
    expect_pick(&f, 20 * SEC, 1, false);
}

static void chain_unknown_4xx_is_tried_once_elsewhere(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 4);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_UNKNOWN_4XX, 0, 0);
    expect_pick(&f, 0, 1, false);
    failed(&f, 1, CAUSE_OVERLOADED, 0, 0); /* no opinion */
    expect_pick(&f, 0, 2, false);
    failed(&f, 2, CAUSE_UNKNOWN_4XX, 0, 0); /* the same one */
    assert_false(next(&f, 0).found);
}

static void chain_unknown_4xx_forces_and_repeats_nobody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 2);
    open_breaker(&f, 1, 60 * SEC);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_UNKNOWN_4XX, 0, 0);
    assert_false(chain_has_other(&f.walk, 0, 0));
    assert_false(next(&f, 0).found);
}

static void chain_callers_fault_ends_the_walk(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 3);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_CALLER_FAULT, 0, 0);
    assert_false(chain_has_other(&f.walk, 0, 0));
    assert_false(next(&f, 0).found);
}

static void chain_repeats_once_after_a_backoff_within_the_budget(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 1);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_TRANSIENT, 0, 0);
    struct chain_pick p = next(&f, 0);
    assert_true(p.found && p.link == 0 && !p.forced);
    assert_in_range(p.wait, 249 * USEC_PER_MS, 250 * USEC_PER_MS);
    failed(&f, 0, CAUSE_TRANSIENT, 0, p.wait);
    assert_false(next(&f, p.wait).found); /* the same one once more, not twice */

    for (int i = 0; i < 2; i++)
        assert_true(budget_take(&f.budget, 0));
    chain_begin(&f.walk, f.list, 1);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_TRANSIENT, 0, 0);
    assert_false(next(&f, 0).found); /* the budget is spent */
}

static void chain_backoff_is_full_jitter_and_doubles(void **state)
{
    (void)state;
    const uint32_t randoms[] = {0, UINT32_MAX / 2, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        fixture_begin(&f, 2);
        for (size_t link = 0; link < 2; link++) {
            expect_pick(&f, 0, link, false);
            failed(&f, link, CAUSE_TRANSIENT, 0, 0);
        }
        struct chain_pick p = chain_next(&f.walk, 0, FAR, &f.budget, randoms[i]);
        assert_true(p.found && p.link == 0); /* the lead first */
        usec want = (usec)i * 250 * USEC_PER_MS;
        assert_in_range(p.wait, want > 10 ? want - 10 : 1, want + 10);
    }
}

static void chain_repeats_no_dead_account_and_no_closed_breaker(void **state)
{
    (void)state;
    struct fixture f;
    for (enum cause c = CAUSE_TRANSIENT; c < CAUSE_COUNT; c++) {
        fixture_begin(&f, 1);
        expect_pick(&f, 0, 0, false);
        failed(&f, 0, c, 0, 0);
        assert_int_equal(next(&f, 0).found, cause_facts(c)->repeat_here);
    }
    fixture_begin(&f, 1);
    for (int i = 0; i < 4; i++)
        breaker_report(f.list[0], 0, CAUSE_TRANSIENT, 0, 500);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_TRANSIENT, 0, 0); /* the fifth: it opens */
    assert_false(next(&f, 0).found);
    assert_true(budget_take(&f.budget, 0) && budget_take(&f.budget, 0) &&
                budget_take(&f.budget, 0)); /* and that cost no budget */
}

static void chain_waits_as_long_as_the_provider_asks_if_there_is_time(void **state)
{
    (void)state;
    struct fixture f;
    const struct {
        usec asked, deadline;
        bool repeats;
    } cases[] = {{5 * SEC, FAR, true},
                 {60 * SEC, FAR, true},
                 {62 * SEC, FAR, false}, /* nobody waits that long */
                 {5 * SEC, 4 * SEC, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_begin(&f, 1);
        expect_pick(&f, 0, 0, false);
        failed(&f, 0, CAUSE_RATE_LIMITED, cases[i].asked, 0); /* its breaker cools down */
        struct chain_pick p = chain_next(&f.walk, 0, cases[i].deadline, &f.budget, MOST);
        assert_int_equal(p.found, cases[i].repeats);
        if (p.found)
            assert_in_range(p.wait, cases[i].asked, cases[i].asked + SEC);
    }
}

static void chain_repeats_the_one_that_is_ready_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 2);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_RATE_LIMITED, 9 * SEC, 0);
    expect_pick(&f, 0, 1, false);
    failed(&f, 1, CAUSE_RATE_LIMITED, 4 * SEC, 0);
    struct chain_pick p = next(&f, SEC);
    assert_true(p.found && p.link == 1);
    assert_in_range(p.wait, 3 * SEC, 4 * SEC);
}

static void chain_passes_by_another_ones_trial_at_no_cost(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 2);
    for (size_t link = 0; link < 2; link++) {
        expect_pick(&f, 0, link, false);
        failed(&f, link, CAUSE_TRANSIENT, 0, 0);
    }
    usec wait;
    open_breaker(&f, 0, SEC);
    assert_int_equal(breaker_ask(f.list[0], 2 * SEC, &wait), ERR_OK); /* somebody else's */
    struct chain_pick p = next(&f, 2 * SEC);
    assert_true(p.found && p.link == 1); /* not the lead, and not nobody */

    fixture_begin(&f, 1);
    expect_pick(&f, 0, 0, false);
    failed(&f, 0, CAUSE_TRANSIENT, 0, 0);
    open_breaker(&f, 0, SEC);
    assert_int_equal(breaker_ask(f.list[0], 2 * SEC, &wait), ERR_OK);
    assert_false(next(&f, 2 * SEC).found);
    for (int i = 0; i < 3; i++)
        assert_true(budget_take(&f.budget, 2 * SEC)); /* nothing was sent, nothing is counted */
}

static void chain_has_other_sees_what_could_be_tried_now(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 3);
    expect_pick(&f, 0, 0, false);
    assert_true(chain_has_other(&f.walk, 0, 0));
    open_breaker(&f, 1, 10 * SEC);
    chain_unfit(&f.walk, 2);
    assert_false(chain_has_other(&f.walk, 0, SEC));
    assert_true(chain_has_other(&f.walk, 0, 10 * SEC)); /* it opens by then */
    failed(&f, 0, CAUSE_STALLED, 0, 10 * SEC);
    expect_pick(&f, 10 * SEC, 1, false);
    assert_false(chain_has_other(&f.walk, 1, 10 * SEC));
}

static void chain_past_the_deadline_finds_nobody(void **state)
{
    (void)state;
    struct fixture f;
    fixture_begin(&f, 2);
    assert_false(chain_next(&f.walk, 10, 10, &f.budget, 0).found);
}

/* ---- random walks ---- */

static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % sides;
}

/* One exchange against targets that fail by chance. What must hold of any walk is checked here. */
static size_t random_walk(struct fixture *f, size_t count, usec *now)
{
    size_t tries[CHAIN_MAX] = {0}, attempts = 0, repeats = 0;
    usec deadline = *now + 100 * SEC;
    chain_begin(&f->walk, f->list, count);
    budget_request(&f->budget, *now);
    for (;;) {
        bool open[CHAIN_MAX];
        for (size_t i = 0; i < count; i++)
            open[i] = breaker_view(f->list[i], *now).state == BREAKER_OPEN;
        struct chain_pick p = chain_next(&f->walk, *now, deadline, &f->budget, dice(UINT32_MAX));
        if (!p.found)
            break;
        assert_true(p.link < count && ++tries[p.link] <= 2);
        if (p.wait > 0) {
            repeats++;
            assert_int_equal(tries[p.link], 2);
            for (size_t i = 0; i < count; i++) /* nobody untried was passed over */
                assert_true(tries[i] > 0 || f->walk.unfit[i] || f->walk.once_elsewhere);
        }
        if (p.wait == 0)
            assert_int_equal(p.forced, open[p.link]);
        *now += p.wait;
        assert_true(*now < deadline);
        if (dice(10) == 0 && p.wait == 0) {
            breaker_cancel(f->list[p.link], *now);
            chain_unfit(&f->walk, p.link);
            continue;
        }
        attempts++;
        *now += dice(3) * SEC;
        enum cause c = dice(4) ? (enum cause)(1 + dice(CAUSE_COUNT - 1)) : CAUSE_NONE;
        if (c == CAUSE_NONE) {
            breaker_report(f->list[p.link], *now, CAUSE_NONE, 0, dice(1000));
            break;
        }
        failed(f, p.link, c, dice(4) ? 0 : dice(30) * SEC, *now);
    }
    assert_true(attempts <= (count > 3 ? count : 3));
    assert_true(repeats <= 2);
    assert_true(attempts > 0 || f->walk.unfit[0]); /* somebody is always tried */
    return attempts;
}

static void chain_random_walks_keep_the_rules_and_the_bound(void **state)
{
    (void)state;
    size_t attempts = 0, walks = 0;
    for (uint64_t run = 1; run <= 500; run++) {
        struct fixture f;
        seed = run;
        size_t count = 1 + dice(6);
        fixture_begin(&f, count);
        usec now = SEC;
        for (int i = 0; i < 40; i++, walks++) {
            attempts += random_walk(&f, count, &now);
            now += dice(20) * SEC;
        }
    }
    assert_true(attempts > walks * 3 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_picks_in_order_without_waiting),
        cmocka_unit_test(chain_asks_in_another_order_when_told),
        cmocka_unit_test(chain_asks_beside_only_who_is_well_and_untried),
        cmocka_unit_test(chain_tells_the_soonest_time_any_of_them_asked_for),
        cmocka_unit_test(chain_skips_open_breakers_and_what_cannot_carry_the_request),
        cmocka_unit_test(chain_never_refuses_the_last_one_left),
        cmocka_unit_test(chain_forces_the_one_that_reopens_soonest),
        cmocka_unit_test(chain_all_open_but_reopening_is_not_forced),
        cmocka_unit_test(chain_unknown_4xx_is_tried_once_elsewhere),
        cmocka_unit_test(chain_unknown_4xx_forces_and_repeats_nobody),
        cmocka_unit_test(chain_callers_fault_ends_the_walk),
        cmocka_unit_test(chain_repeats_once_after_a_backoff_within_the_budget),
        cmocka_unit_test(chain_backoff_is_full_jitter_and_doubles),
        cmocka_unit_test(chain_repeats_no_dead_account_and_no_closed_breaker),
        cmocka_unit_test(chain_waits_as_long_as_the_provider_asks_if_there_is_time),
        cmocka_unit_test(chain_repeats_the_one_that_is_ready_first),
        cmocka_unit_test(chain_passes_by_another_ones_trial_at_no_cost),
        cmocka_unit_test(chain_has_other_sees_what_could_be_tried_now),
        cmocka_unit_test(chain_past_the_deadline_finds_nobody),
        cmocka_unit_test(chain_random_walks_keep_the_rules_and_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
