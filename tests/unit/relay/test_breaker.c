/* The breaker: its promises one by one. Random days beside a reference: test_model.c. */
#include "relay/breaker.h"

#include <stdio.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC
#define MID 500 /* the jitter that changes nothing */

static struct breaker fresh(void)
{
    struct breaker b;
    breaker_init(&b, &breaker_config_default);
    return b;
}

static bool lets(struct breaker *b, usec now)
{
    usec wait = -1;
    if (breaker_ask(b, now, &wait) == ERR_OK)
        return true;
    assert_true(wait >= 1);
    return false;
}

static enum breaker_state state_of(struct breaker *b, usec now)
{
    return breaker_view(b, now).state;
}

static void fail_times(struct breaker *b, usec now, size_t times)
{
    for (size_t i = 0; i < times; i++)
        breaker_report(b, now, CAUSE_TRANSIENT, 0, MID);
}

static void breaker_opens_after_five_failures_in_a_row(void **state)
{
    (void)state;
    struct breaker b = fresh();
    fail_times(&b, SEC, 4);
    breaker_report(&b, SEC, CAUSE_NONE, 0, MID); /* the row is broken */
    fail_times(&b, SEC, 4);
    assert_true(lets(&b, SEC));
    fail_times(&b, SEC, 1);
    assert_false(lets(&b, SEC));
    struct breaker_view v = breaker_view(&b, SEC);
    assert_int_equal(v.state, BREAKER_OPEN);
    assert_int_equal(v.retry_in, 30 * SEC);
    assert_int_equal(v.last_cause, CAUSE_TRANSIENT);
    assert_int_equal(v.opened_total, 1);
    assert_int_equal(v.failures_in_row, 5);
}

static void breaker_may_be_told_that_its_time_is_over(void **state)
{
    (void)state;
    struct breaker b = fresh();
    breaker_try_now(&b, SEC); /* closed: nothing to do */
    assert_int_equal(state_of(&b, SEC), BREAKER_CLOSED);
    fail_times(&b, SEC, 5);
    assert_false(lets(&b, 2 * SEC));
    breaker_try_now(&b, 2 * SEC);
    assert_true(lets(&b, 2 * SEC));
    assert_false(lets(&b, 2 * SEC)); /* one trial at a time */
    fail_times(&b, 3 * SEC, 1);      /* it fails: twice as long, as any trial */
    assert_int_equal(breaker_view(&b, 3 * SEC).retry_in, 60 * SEC);
}

static void breaker_opens_when_half_of_twenty_fail_without_a_row(void **state)
{
    (void)state;
    struct breaker b = fresh();
    for (int i = 0; i < 19; i++) { /* 19 reports, 10 bad */
        assert_true(lets(&b, i * SEC));
        breaker_report(&b, i * SEC, i % 2 ? CAUSE_NONE : CAUSE_OVERLOADED, 0, MID);
    }
    assert_true(lets(&b, 19 * SEC));
    breaker_report(&b, 19 * SEC, CAUSE_OVERLOADED, 0, MID);
    assert_false(lets(&b, 19 * SEC));
}

static void breaker_forgets_what_is_older_than_thirty_seconds(void **state)
{
    (void)state;
    struct breaker b = fresh();
    for (int i = 0; i < 18; i++)
        breaker_report(&b, 0, i % 2 ? CAUSE_NONE : CAUSE_OVERLOADED, 0, MID);
    breaker_report(&b, 31 * SEC, CAUSE_NONE, 0, MID);
    breaker_report(&b, 31 * SEC, CAUSE_OVERLOADED, 0, MID);
    assert_true(lets(&b, 31 * SEC));
}

static void breaker_half_open_lets_one_probe_through(void **state)
{
    (void)state;
    struct breaker b = fresh();
    fail_times(&b, 0, 5);
    assert_false(lets(&b, 30 * SEC - 1));
    assert_int_equal(state_of(&b, 30 * SEC), BREAKER_HALF_OPEN); /* seen without asking */
    assert_true(lets(&b, 30 * SEC));
    assert_false(lets(&b, 31 * SEC));
    assert_false(lets(&b, 89 * SEC));
    breaker_report(&b, 89 * SEC, CAUSE_NONE, 0, MID);
    assert_int_equal(state_of(&b, 89 * SEC), BREAKER_CLOSED);
    assert_true(lets(&b, 89 * SEC) && lets(&b, 89 * SEC));
}

static void breaker_probe_that_never_reports_blocks_for_a_minute_only(void **state)
{
    (void)state;
    struct breaker b = fresh();
    fail_times(&b, 0, 5);
    assert_true(lets(&b, 30 * SEC));
    assert_false(lets(&b, 90 * SEC - 1));
    assert_true(lets(&b, 90 * SEC));
}

static void breaker_failed_probes_double_the_wait_up_to_the_bound(void **state)
{
    (void)state;
    struct breaker b = fresh();
    usec now = 0, want[] = {30, 60, 120, 240, 300, 300};
    fail_times(&b, now, 5);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(breaker_view(&b, now).retry_in, want[i] * SEC);
        now += want[i] * SEC;
        assert_true(lets(&b, now));
        breaker_report(&b, now, CAUSE_STALLED, 0, MID);
    }
    now += 300 * SEC;
    assert_true(lets(&b, now));
    breaker_report(&b, now, CAUSE_NONE, 0, MID);
    fail_times(&b, now, 5);
    assert_int_equal(breaker_view(&b, now).retry_in, 30 * SEC); /* it starts over */
}

static void breaker_jitter_is_a_fifth_both_ways(void **state)
{
    (void)state;
    struct breaker least = fresh(), most = fresh();
    for (int i = 0; i < 5; i++) {
        breaker_report(&least, 0, CAUSE_TRANSIENT, 0, 0);
        breaker_report(&most, 0, CAUSE_TRANSIENT, 0, 999);
    }
    assert_int_equal(breaker_view(&least, 0).retry_in, 24 * SEC);
    assert_in_range(breaker_view(&most, 0).retry_in, 35 * SEC, 36 * SEC);
}

static void breaker_one_dead_account_opens_it_for_long(void **state)
{
    (void)state;
    const enum cause causes[] = {CAUSE_ACCOUNT_GONE, CAUSE_KEY_BAD, CAUSE_QUOTA_GONE};
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        struct breaker b = fresh();
        breaker_report(&b, 0, causes[i], 0, MID);
        assert_int_equal(breaker_view(&b, 0).retry_in, 300 * SEC); /* horizon, up to open_max */
    }
}

static void breaker_rate_limit_with_a_time_is_a_cool_down(void **state)
{
    (void)state;
    struct breaker b = fresh();
    breaker_report(&b, 0, CAUSE_RATE_LIMITED, 7 * SEC, MID);
    assert_int_equal(breaker_view(&b, 0).retry_in, 7 * SEC);
    assert_true(lets(&b, 7 * SEC));
    breaker_report(&b, 7 * SEC, CAUSE_RATE_LIMITED, 7 * SEC, MID);
    assert_int_equal(breaker_view(&b, 7 * SEC).retry_in, 7 * SEC); /* nothing grew */
    assert_true(lets(&b, 14 * SEC));
    breaker_report(&b, 14 * SEC, CAUSE_TRANSIENT, 0, MID);
    assert_int_equal(breaker_view(&b, 14 * SEC).retry_in, 30 * SEC);
    struct breaker plain = fresh(); /* without a time: a failure like others */
    breaker_report(&plain, 0, CAUSE_RATE_LIMITED, 0, MID);
    assert_true(lets(&plain, 0));
}

static void breaker_waits_at_least_as_long_as_the_provider_asked(void **state)
{
    (void)state;
    struct breaker b = fresh();
    fail_times(&b, 0, 4);
    breaker_report(&b, 0, CAUSE_OVERLOADED, 100 * SEC, 0);
    assert_int_equal(breaker_view(&b, 0).retry_in, 100 * SEC);
    struct breaker far = fresh();
    breaker_report(&far, 0, CAUSE_RATE_LIMITED, 24 * 3600 * SEC, 0);
    assert_int_equal(breaker_view(&far, 0).retry_in, 3600 * SEC); /* an hour at most */
}

static void breaker_callers_faults_say_nothing(void **state)
{
    (void)state;
    struct breaker b = fresh();
    fail_times(&b, 0, 4);
    for (enum cause c = CAUSE_NONE + 1; c < CAUSE_COUNT; c++)
        for (int i = 0; i < 50 && !cause_facts(c)->counts; i++)
            breaker_report(&b, 0, c, 0, MID);
    assert_true(lets(&b, 0));
    fail_times(&b, 0, 1); /* and the row of four was not broken */
    assert_false(lets(&b, 0));
    assert_true(lets(&b, 30 * SEC));
    breaker_report(&b, 30 * SEC, CAUSE_CALLER_FAULT, 0, MID); /* the probe said nothing */
    assert_true(lets(&b, 30 * SEC));
    breaker_cancel(&b, 30 * SEC);
    assert_true(lets(&b, 30 * SEC));
}

static void breaker_forced_success_closes_and_forced_failure_changes_nothing(void **state)
{
    (void)state;
    struct breaker b = fresh();
    breaker_report(&b, 0, CAUSE_ACCOUNT_GONE, 0, MID);
    for (usec t = 10; t <= 100; t += 10) {
        breaker_force(&b, t * SEC);
        if (t % 20)
            breaker_report(&b, t * SEC, CAUSE_ACCOUNT_GONE, 0, MID);
        else
            breaker_cancel(&b, t * SEC);
        struct breaker_view v = breaker_view(&b, t * SEC);
        assert_int_equal(v.state, BREAKER_OPEN);
        assert_int_equal(v.retry_in, (300 - t) * SEC);
        assert_int_equal(v.opened_total, 1);
    }
    breaker_force(&b, 120 * SEC);
    breaker_force(&b, 120 * SEC); /* a second one beside it */
    breaker_report(&b, 121 * SEC, CAUSE_ACCOUNT_GONE, 0, MID);
    breaker_report(&b, 122 * SEC, CAUSE_ACCOUNT_GONE, 0, MID);
    assert_int_equal(breaker_view(&b, 122 * SEC).retry_in, 178 * SEC);
    breaker_force(&b, 130 * SEC);
    breaker_report(&b, 131 * SEC, CAUSE_NONE, 0, MID);
    assert_int_equal(state_of(&b, 131 * SEC), BREAKER_CLOSED);
}

static void breaker_forced_probe_that_is_late_leaves_the_time_that_was_left(void **state)
{
    (void)state;
    struct breaker b = fresh();
    breaker_report(&b, 0, CAUSE_ACCOUNT_GONE, 0, MID);
    breaker_force(&b, 10 * SEC); /* a long whole answer: it does not report for minutes */
    assert_int_equal(state_of(&b, 69 * SEC), BREAKER_HALF_OPEN);
    assert_int_equal(state_of(&b, 70 * SEC), BREAKER_OPEN);
    assert_int_equal(breaker_view(&b, 70 * SEC).retry_in, 230 * SEC);
    assert_false(lets(&b, 70 * SEC));
    assert_false(lets(&b, 300 * SEC - 1));
    assert_true(lets(&b, 300 * SEC));
}

static void breaker_success_from_before_it_opened_closes_nothing(void **state)
{
    (void)state;
    struct breaker b = fresh();
    assert_true(lets(&b, 0)); /* a long stream */
    breaker_report(&b, SEC, CAUSE_ACCOUNT_GONE, 0, MID);
    breaker_report(&b, 2 * SEC, CAUSE_NONE, 0, MID);
    assert_false(lets(&b, 2 * SEC));
}

static void breaker_late_dead_account_lengthens_an_ordinary_opening(void **state)
{
    (void)state;
    struct breaker b = fresh();
    fail_times(&b, 0, 5);
    breaker_report(&b, SEC, CAUSE_KEY_BAD, 0, MID);
    assert_int_equal(breaker_view(&b, SEC).retry_in, 300 * SEC);
    breaker_report(&b, 2 * SEC, CAUSE_KEY_BAD, 0, MID); /* known already */
    assert_int_equal(breaker_view(&b, 2 * SEC).retry_in, 299 * SEC);
}

static void breaker_survives_a_restart(void **state)
{
    (void)state;
    struct breaker b = fresh(), again = fresh(), late = fresh(), jumped = fresh();
    struct breaker_saved saved;
    const usec wall = 1700000000 * SEC;
    assert_false(breaker_save(&b, 0, wall, &saved));
    breaker_report(&b, 0, CAUSE_ACCOUNT_GONE, 0, MID);
    assert_true(breaker_save(&b, 100 * SEC, wall, &saved));
    assert_false(breaker_save(&b, 300 * SEC, wall, &saved)); /* over anyway */

    breaker_restore(&again, 5 * SEC, wall + 50 * SEC, &saved);
    struct breaker_view v = breaker_view(&again, 5 * SEC);
    assert_int_equal(v.state, BREAKER_OPEN);
    assert_int_equal(v.retry_in, 150 * SEC);
    assert_int_equal(v.last_cause, CAUSE_ACCOUNT_GONE);

    breaker_force(&b, 100 * SEC); /* nothing has come of it yet */
    assert_true(breaker_save(&b, 100 * SEC, wall, &saved));
    assert_int_equal(saved.retry_at_wall, wall + 200 * SEC);

    breaker_restore(&late, 0, wall + 200 * SEC, &saved);
    assert_int_equal(state_of(&late, 0), BREAKER_CLOSED);

    breaker_restore(&jumped, 0, wall - 1000000 * SEC, &saved);
    assert_int_equal(breaker_view(&jumped, 0).retry_in, 3600 * SEC);
}

/* ---- drills ---- */

static uint32_t dice(uint64_t *rng, uint32_t sides)
{
    *rng ^= *rng << 13, *rng ^= *rng >> 7, *rng ^= *rng << 17;
    return (uint32_t)((*rng >> 11) % sides);
}

/* Two breakers hear the same day, one of them in earnest. */
static void breaker_drilled_failures_count_as_real_ones_do(void **state)
{
    (void)state;
    uint64_t rng = 7, opened = 0;
    for (int day = 0; day < 300; day++) {
        struct breaker real = fresh(), drilled = fresh();
        usec now = SEC, wait;
        for (int i = 0; i < 100; i++) {
            now += (usec)dice(&rng, 20) * SEC;
            enum cause c = (enum cause)dice(&rng, CAUSE_COUNT);
            usec asked = c == CAUSE_RATE_LIMITED ? (usec)dice(&rng, 2) * 9 * SEC : 0;
            bool let = breaker_ask(&real, now, &wait) == ERR_OK;
            assert_int_equal(breaker_ask(&drilled, now, &wait) == ERR_OK, let);
            if (!let)
                continue;
            breaker_report(&real, now, c, asked, MID);
            if (c == CAUSE_NONE)
                breaker_report(&drilled, now, c, asked, MID);
            else
                breaker_report_drill(&drilled, now, c, asked, MID);
            struct breaker_view one = breaker_view(&real, now), two = breaker_view(&drilled, now);
            assert_int_equal(one.state, two.state);
            assert_int_equal(one.last_cause, two.last_cause);
            assert_int_equal(one.retry_in, two.retry_in);
            assert_int_equal(one.failures_in_row, two.failures_in_row);
            assert_int_equal(one.share.percent, two.share.percent);
            assert_int_equal(one.opened_total, two.opened_total);
        }
        opened += breaker_view(&real, now).opened_total;
        breaker_undo_drill(&drilled);
        assert_true(lets(&drilled, now));
        assert_int_equal(breaker_view(&drilled, now).share.percent, 100);
        assert_int_equal(breaker_view(&drilled, now).failures_in_row, 0);
    }
    assert_true(opened > 300);
}

static void breaker_that_a_drill_opened_is_not_remembered_over_a_restart(void **state)
{
    (void)state;
    struct breaker b = fresh();
    struct breaker_saved saved;
    breaker_report_drill(&b, SEC, CAUSE_ACCOUNT_GONE, 0, MID);
    assert_false(lets(&b, 2 * SEC));
    assert_false(breaker_save(&b, 2 * SEC, 9 * SEC, &saved));
}

static void breaker_really_out_stays_out_whatever_a_drill_does(void **state)
{
    (void)state;
    struct breaker b = fresh();
    fail_times(&b, SEC, 5);
    breaker_report_drill(&b, 2 * SEC, CAUSE_ACCOUNT_GONE, 0, MID);
    assert_int_equal(breaker_view(&b, 2 * SEC).retry_in, 29 * SEC);
    breaker_undo_drill(&b);
    assert_false(lets(&b, 3 * SEC));

    struct breaker both = fresh(); /* opened by the drill, and then found to be out */
    breaker_report_drill(&both, SEC, CAUSE_KEY_BAD, 0, MID);
    breaker_force(&both, 2 * SEC);
    breaker_report(&both, 2 * SEC, CAUSE_KEY_BAD, 0, MID);
    breaker_undo_drill(&both);
    assert_false(lets(&both, 3 * SEC));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaker_opens_after_five_failures_in_a_row),
        cmocka_unit_test(breaker_may_be_told_that_its_time_is_over),
        cmocka_unit_test(breaker_opens_when_half_of_twenty_fail_without_a_row),
        cmocka_unit_test(breaker_forgets_what_is_older_than_thirty_seconds),
        cmocka_unit_test(breaker_half_open_lets_one_probe_through),
        cmocka_unit_test(breaker_probe_that_never_reports_blocks_for_a_minute_only),
        cmocka_unit_test(breaker_failed_probes_double_the_wait_up_to_the_bound),
        cmocka_unit_test(breaker_jitter_is_a_fifth_both_ways),
        cmocka_unit_test(breaker_one_dead_account_opens_it_for_long),
        cmocka_unit_test(breaker_rate_limit_with_a_time_is_a_cool_down),
        cmocka_unit_test(breaker_waits_at_least_as_long_as_the_provider_asked),
        cmocka_unit_test(breaker_callers_faults_say_nothing),
        cmocka_unit_test(breaker_forced_success_closes_and_forced_failure_changes_nothing),
        cmocka_unit_test(breaker_forced_probe_that_is_late_leaves_the_time_that_was_left),
        cmocka_unit_test(breaker_success_from_before_it_opened_closes_nothing),
        cmocka_unit_test(breaker_late_dead_account_lengthens_an_ordinary_opening),
        cmocka_unit_test(breaker_survives_a_restart),
        cmocka_unit_test(breaker_drilled_failures_count_as_real_ones_do),
        cmocka_unit_test(breaker_that_a_drill_opened_is_not_remembered_over_a_restart),
        cmocka_unit_test(breaker_really_out_stays_out_whatever_a_drill_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
