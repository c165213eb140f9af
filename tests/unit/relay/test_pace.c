/* The minimum speed of a stream. */
#include "base/span.h"
#include "relay/pace.h"

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC

static void add(struct pace *p, const char *text, int times)
{
    for (int i = 0; i < times; i++)
        pace_add(p, span_from(text));
}

static void pace_off_is_never_slow(void **state)
{
    (void)state;
    struct pace p = {0};
    assert_false(pace_check(&p, 1000 * SEC));
    pace_begin(&p, 0, SEC);
    add(&p, "x", 1);
    assert_false(pace_check(&p, 1000 * SEC));
    assert_true(pace_next_check(&p) == USEC_NEVER);
}

static void pace_finds_a_slow_window_at_its_end_and_not_before(void **state)
{
    (void)state;
    struct pace p;
    pace_begin(&p, 5, SEC);
    add(&p, "x", 49);
    assert_true(pace_next_check(&p) == 11 * SEC);
    assert_false(pace_check(&p, 11 * SEC - 1));
    assert_true(pace_check(&p, 11 * SEC));
}

static void pace_judges_each_window_by_itself(void **state)
{
    (void)state;
    struct pace p;
    pace_begin(&p, 5, 0);
    add(&p, "ten chars.", 500); /* a fast beginning does not pay for a slow end */
    assert_false(pace_check(&p, 10 * SEC));
    assert_true(pace_next_check(&p) == 20 * SEC);
    add(&p, "ten chars.", 5);
    assert_false(pace_check(&p, 20 * SEC));
    add(&p, "ten chars.", 4);
    assert_true(pace_check(&p, 31 * SEC));
}

static void pace_counts_characters_and_not_bytes(void **state)
{
    (void)state;
    struct pace p;
    pace_begin(&p, 1, 0);
    add(&p, "\xe4\xbd\xa0\xe5\xa5\xbd", 4); /* eight characters of three bytes */
    pace_add(&p, SPAN_EMPTY);
    assert_true(pace_check(&p, 10 * SEC));
    add(&p, "\xe4\xbd\xa0\xe5\xa5\xbd", 5);
    assert_false(pace_check(&p, 20 * SEC));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pace_off_is_never_slow),
        cmocka_unit_test(pace_finds_a_slow_window_at_its_end_and_not_before),
        cmocka_unit_test(pace_judges_each_window_by_itself),
        cmocka_unit_test(pace_counts_characters_and_not_bytes),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
