/* The memory of refused thinking: for one target each, bounded, the longest unused goes first. */
#include "base/span.h"
#include "relay/refused.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

static struct refused table;

static struct span mark_of(int n, char out[16])
{
    return (struct span){out, (size_t)snprintf(out, 16, "mark%d", n)};
}

static void a_mark_is_known_to_the_target_that_refused_it(void **state)
{
    (void)state;
    refused_init(&table, (const uint64_t[2]){1, 2});
    assert_true(refused_none(&table));
    assert_false(refused_has(&table, "claude", SPAN("s1=")));
    refused_add(&table, "claude", SPAN("s1="));
    assert_false(refused_none(&table));
    assert_true(refused_has(&table, "claude", SPAN("s1=")));
    assert_false(refused_has(&table, "claude", SPAN("s2=")));
    assert_false(refused_has(&table, "other", SPAN("s1=")));
    refused_deinit(&table);
}

static void what_is_used_stays_and_the_rest_is_bounded(void **state)
{
    (void)state;
    char text[16];
    refused_init(&table, (const uint64_t[2]){3, 4});
    refused_add(&table, "t", SPAN("kept"));
    for (int i = 0; i < 4 * REFUSED_MAX; i++) {
        refused_add(&table, "t", mark_of(i, text));
        assert_true(refused_has(&table, "t", SPAN("kept")));
    }
    int known = 0;
    for (int i = 0; i < 4 * REFUSED_MAX; i++)
        known += refused_has(&table, "t", mark_of(i, text));
    assert_true(known > REFUSED_MAX / 2 && known < REFUSED_MAX);
    refused_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_known_to_the_target_that_refused_it),
        cmocka_unit_test(what_is_used_stays_and_the_rest_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
