/* The board on which a drill's fault stands: orders, their lease in virtual time, whom it meets. */
#include "relay/fault_board.h"
#include "base/span.h"

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC
static const uint64_t seed[2] = {1, 2};

static struct fault_order order_of(const char *spec, int64_t percent)
{
    struct fault_order o;
    const char *why;
    struct fault_wish w = {.drill = SPAN("d1"),
                           .target = SPAN("lead"),
                           .spec = span_from(spec),
                           .percent = percent,
                           .circuit = true,
                           .lease = 3 * SEC};
    assert_int_equal(fault_order_make(&w, &o, &why), ERR_OK);
    return o;
}

static bool meets(struct fault_board *b, usec now, uint64_t conversation)
{
    struct fault_hit hit;
    return fault_board_meets(b, now, "lead", SPAN_EMPTY, conversation, &hit);
}

static void an_order_is_made_of_what_is_sound_only(void **state)
{
    (void)state;
    static const struct fault_wish good = {.drill = SPAN_INIT("d"),
                                           .target = SPAN_INIT("lead"),
                                           .spec = SPAN_INIT("stall@9"),
                                           .percent = 5,
                                           .lease = SEC};
    struct fault_order o;
    const char *why;
    assert_int_equal(fault_order_make(&good, &o, &why), ERR_OK);
    assert_int_equal(o.fault.at, 9);
    struct fault_wish bad[12];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = good;
    bad[0].percent = 0;
    bad[1].percent = 101;
    bad[2].percent = INT64_MIN;
    bad[3].lease = 0;
    bad[4].lease = INT64_MAX;
    bad[5].spec = SPAN("529:30%");
    bad[6].spec = SPAN("529,for=1s");
    bad[7].spec = SPAN("529,times=1");
    bad[8].spec = SPAN("nothing-of-the-kind");
    bad[9].drill = SPAN_EMPTY;
    bad[10].target = SPAN("a\nb");
    bad[11].drill = SPAN("0123456789012345678901234567890123456789012345678901234567890123");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why = NULL;
        assert_int_equal(fault_order_make(&bad[i], &o, &why), ERR_INVALID);
        assert_true(why != NULL && why[0] != '\0');
    }
}

static void an_order_ends_with_its_lease_unless_it_is_renewed(void **state)
{
    (void)state;
    struct fault_board b;
    struct fault_order o = order_of("529", 100);
    fault_board_init(&b, seed);
    assert_false(fault_board_armed(&b) || meets(&b, 0, 1));
    assert_int_equal(fault_board_sweep(&b, 0), USEC_NEVER);
    assert_false(fault_board_undo_owed(&b));
    assert_int_equal(fault_board_set(&b, &o, 10 * SEC), ERR_OK);
    uint64_t serial = fault_board_view(&b, 10 * SEC).serial;
    for (usec now = 10 * SEC; now < 60 * SEC; now += 2 * SEC) {
        assert_true(meets(&b, now, (uint64_t)now));
        assert_int_equal(fault_board_set(&b, &o, now), ERR_OK);
    }
    assert_int_equal(fault_board_view(&b, 61 * SEC - 1).serial, serial);
    assert_true(meets(&b, 61 * SEC - 1, 1) && fault_board_current(&b, serial, 61 * SEC - 1));
    /* Nobody has swept it away yet. */
    assert_false(meets(&b, 61 * SEC, 1) || fault_board_current(&b, serial, 61 * SEC));
    assert_false(fault_board_view(&b, 61 * SEC).active || fault_board_undo_owed(&b));
    assert_int_equal(fault_board_sweep(&b, 61 * SEC), USEC_NEVER);
    assert_true(fault_board_undo_owed(&b));
    assert_false(fault_board_undo_owed(&b) || fault_board_armed(&b));
    fault_board_deinit(&b);
}

static void one_drill_at_a_time_and_each_order_is_counted_by_itself(void **state)
{
    (void)state;
    struct fault_board b;
    struct fault_order one = order_of("529", 100), two = order_of("cut@3", 100), other = one;
    fault_board_init(&b, seed);
    memcpy(other.drill, "d2", 3);
    assert_int_equal(fault_board_set(&b, &one, 0), ERR_OK);
    uint64_t serial = fault_board_view(&b, 0).serial;
    assert_int_equal(fault_board_set(&b, &other, SEC), ERR_EXISTS);
    fault_board_struck(&b, serial);
    assert_false(fault_board_clear(&b, SPAN("d2")));
    assert_true(fault_board_clear(&b, SPAN("d1")));
    assert_false(fault_board_clear(&b, SPAN_EMPTY));
    assert_true(fault_board_undo_owed(&b));
    /* It was met before the end, and is over after it. */
    struct fault_outcome o = {.serial = serial,
                              .fate = FAULT_CONTINUED,
                              .attempts = 2,
                              .elsewhere = SEC / 2,
                              .first = 7,
                              .gap = 9};
    fault_board_count(&b, &o);
    struct fault_counts c = fault_board_view(&b, SEC).counts;
    assert_int_equal(c.met, 1);
    assert_int_equal(c.fate[FAULT_CONTINUED], 1);
    assert_int_equal(c.elsewhere, 1);
    assert_int_equal(c.detect, SEC / 2);
    assert_int_equal(c.gap, 9);
    assert_int_equal(fault_board_set(&b, &two, SEC), ERR_OK);
    fault_board_count(&b, &o); /* a late one of the first */
    c = fault_board_view(&b, SEC).counts;
    assert_int_equal(c.met + c.fate[FAULT_CONTINUED] + c.attempts, 0);
    assert_int_equal(c.detect, -1);
    assert_int_equal(fault_board_set(&b, &other, 4 * SEC), ERR_OK); /* the lease was over */
    assert_true(fault_board_undo_owed(&b));
    fault_board_deinit(&b);
}

static void a_conversation_is_met_always_or_never_and_each_order_draws_anew(void **state)
{
    (void)state;
    struct fault_board b;
    fault_board_init(&b, seed);
    for (int64_t percent = 5; percent <= 95; percent += 30) {
        static bool first[4000];
        const char *const specs[] = {"529", "503"};
        size_t met[2] = {0}, both = 0;
        for (size_t k = 0; k < 2; k++) {
            struct fault_order o = order_of(specs[k], percent);
            assert_int_equal(fault_board_set(&b, &o, 0), ERR_OK);
            for (uint64_t i = 0; i < 4000; i++) {
                uint64_t who = i * UINT64_C(0x2545F4914F6CDD1D);
                bool is = meets(&b, 0, who);
                assert_int_equal(meets(&b, 1, who), is);
                met[k] += is;
                both += k == 1 && is && first[i];
                first[i] = is;
            }
            assert_in_range(met[k], percent * 40 - 160, percent * 40 + 160);
        }
        assert_true(both < met[0]); /* not the same few again */
    }
    fault_board_deinit(&b);
}

static void only_its_own_are_met_when_it_says_so(void **state)
{
    (void)state;
    struct fault_board b;
    struct fault_hit hit;
    struct fault_order o = order_of("529,retry-after=4", 100);
    o.only_mine = true;
    fault_board_init(&b, seed);
    assert_int_equal(fault_board_set(&b, &o, 0), ERR_OK);
    assert_false(fault_board_meets(&b, 0, "lead", SPAN_EMPTY, 1, &hit));
    assert_false(fault_board_meets(&b, 0, "lead", SPAN("d11"), 1, &hit));
    assert_false(fault_board_meets(&b, 0, "spare", SPAN("d1"), 1, &hit));
    assert_true(fault_board_meets(&b, 0, "lead", SPAN("d1"), 1, &hit));
    assert_string_equal(hit.spec, "529,retry-after=4");
    assert_int_equal(hit.fault.retry_after, 4);
    assert_true(hit.circuit);
    fault_board_deinit(&b);
}

static void a_draining_order_meets_nobody_new_and_is_still_the_same(void **state)
{
    (void)state;
    struct fault_board b;
    struct fault_order o = order_of("silent", 100);
    fault_board_init(&b, seed);
    assert_int_equal(fault_board_set(&b, &o, 0), ERR_OK);
    uint64_t serial = fault_board_view(&b, 0).serial;
    assert_true(meets(&b, 0, 1));
    o.draining = true;
    assert_int_equal(fault_board_set(&b, &o, SEC), ERR_OK);
    assert_false(meets(&b, SEC, 1));
    assert_true(fault_board_current(&b, serial, 4 * SEC - 1));
    struct fault_outcome left = {.serial = serial, .fate = FAULT_RELEASED, .attempts = 2, .gap = 9};
    fault_board_count(&b, &left); /* counted, and says nothing else */
    struct fault_counts c = fault_board_view(&b, SEC).counts;
    assert_int_equal(c.fate[FAULT_RELEASED], 1);
    assert_int_equal(c.attempts + (uint64_t)c.gap, 0);
    fault_board_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_made_of_what_is_sound_only),
        cmocka_unit_test(an_order_ends_with_its_lease_unless_it_is_renewed),
        cmocka_unit_test(one_drill_at_a_time_and_each_order_is_counted_by_itself),
        cmocka_unit_test(a_conversation_is_met_always_or_never_and_each_order_draws_anew),
        cmocka_unit_test(only_its_own_are_met_when_it_says_so),
        cmocka_unit_test(a_draining_order_meets_nobody_new_and_is_still_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
