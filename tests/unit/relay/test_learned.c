/* What refusals taught: bounded, expiring, told apart by target, model and fact, safe with threads.
 */
#include "relay/learned.h"

#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define WALL ((usec)1800000000 * USEC_PER_SEC)
#define FACT LEARNED_NO_PREFILL
#define NAMED(text) SPAN(text), FACT

static struct learned table; /* large: not on the stack */
static struct learned_entry list[LEARNED_MAX];

static int fresh(void **state)
{
    (void)state;
    learned_init(&table);
    return 0;
}

static int done(void **state)
{
    (void)state;
    learned_deinit(&table);
    return 0;
}

static void a_fact_is_known_for_its_target_and_model_only(void **state)
{
    (void)state;
    assert_false(learned_knows(&table, "t", NAMED("m"), WALL));
    assert_true(learned_note(&table, "t", NAMED("m"), WALL));
    assert_true(learned_knows(&table, "t", NAMED("m"), WALL));
    assert_false(learned_knows(&table, "t", NAMED("m2"), WALL));
    assert_false(learned_knows(&table, "t", NAMED(""), WALL));
    assert_false(learned_knows(&table, "t2", NAMED("m"), WALL));
    assert_false(learned_note(&table, "t", NAMED("m"), WALL + 1)); /* no news */
    assert_int_equal(learned_list(&table, WALL, list), 1);
}

static void a_fact_is_forgotten_after_its_time_and_news_again_then(void **state)
{
    (void)state;
    assert_true(learned_note(&table, "t", NAMED("m"), WALL));
    assert_true(learned_knows(&table, "t", NAMED("m"), WALL + LEARNED_KEEP - 1));
    assert_false(learned_knows(&table, "t", NAMED("m"), WALL + LEARNED_KEEP));
    assert_int_equal(learned_list(&table, WALL + LEARNED_KEEP, list), 0);
    assert_true(learned_note(&table, "t", NAMED("m"), WALL + LEARNED_KEEP));
    assert_false(learned_note(&table, "t", NAMED("m"), WALL + LEARNED_KEEP + 5)); /* seen anew: */
    assert_true(learned_knows(&table, "t", NAMED("m"), WALL + 2 * LEARNED_KEEP)); /* lasts anew */
}

static void a_full_table_loses_the_oldest(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < LEARNED_MAX + 3; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_true(learned_note(&table, "t", span_from(name), FACT, WALL + i));
    }
    assert_int_equal(learned_list(&table, WALL, list), LEARNED_MAX);
    assert_string_equal(list[0].model, "m3");
    assert_false(learned_knows(&table, "t", NAMED("m2"), WALL));
    assert_true(learned_knows(&table, "t", NAMED("m3"), WALL));
    assert_false(learned_note(&table, "t", NAMED("m3"), WALL + 500)); /* seen anew: the youngest */
    assert_true(learned_note(&table, "t", NAMED("next"), WALL + 501));
    assert_true(learned_knows(&table, "t", NAMED("m3"), WALL));
    assert_false(learned_knows(&table, "t", NAMED("m4"), WALL));
}

static void what_is_no_name_teaches_nothing(void **state)
{
    (void)state;
    char long_name[LEARNED_NAME_MAX + 2];
    memset(long_name, 'x', sizeof long_name);
    struct span longest = {long_name, LEARNED_NAME_MAX}, longer = {long_name, LEARNED_NAME_MAX + 1};
    assert_false(learned_note(&table, "t", longer, FACT, WALL));
    assert_false(learned_note(&table, "t", NAMED(""), WALL));
    assert_false(learned_note(&table, "t", NAMED("a\tb"), WALL));
    assert_false(learned_note(&table, "a\nb", NAMED("m"), WALL));
    assert_int_equal(learned_list(&table, WALL, list), 0);
    assert_true(learned_note(&table, "t", longest, FACT, WALL));
    assert_true(learned_knows(&table, "t", longest, FACT, WALL));
}

static void what_was_kept_comes_back_but_not_for_longer(void **state)
{
    (void)state;
    struct learned_entry kept = {.target = "t", .model = "m", .until = WALL + 10},
                         late = {.target = "t", .model = "old", .until = WALL},
                         ahead = {.target = "t", .model = "far", .until = INT64_MAX},
                         empty = {.target = "", .model = "m", .until = WALL + 10};
    assert_int_equal(learned_restore(&table, &kept, WALL), ERR_OK);
    assert_int_equal(learned_restore(&table, &late, WALL), ERR_OK);
    assert_int_equal(learned_restore(&table, &ahead, WALL), ERR_OK);
    assert_int_equal(learned_restore(&table, &empty, WALL), ERR_SYNTAX);
    assert_int_equal(learned_list(&table, WALL, list), 2);
    assert_int_equal(list[0].until, WALL + 10);
    assert_int_equal(list[1].until, WALL + LEARNED_KEEP); /* a clock that had jumped */
}

static void each_fact_has_a_word(void **state)
{
    (void)state;
    for (unsigned f = 0; f < LEARNED_FACTS; f++) {
        enum learned_fact read;
        assert_int_equal(
            learned_fact_parse(span_from(learned_fact_name((enum learned_fact)f)), &read), ERR_OK);
        assert_int_equal(read, f);
    }
    enum learned_fact none;
    assert_int_equal(learned_fact_parse(SPAN("no_such_fact"), &none), ERR_SYNTAX);
}

static void *teach(void *ctx)
{
    const char *target = ctx;
    char model[16];
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(model, sizeof model, "m%d", i % 40);
        (void)learned_note(&table, target, span_from(model), FACT, WALL + i);
        assert(learned_knows(&table, target, span_from(model), FACT, WALL + i));
    }
    return NULL;
}

static void threads_do_not_lose_facts(void **state)
{
    (void)state;
    pthread_t threads[3];
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, teach, (void *)(uintptr_t)names[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(learned_list(&table, WALL, list), 120);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, done)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fact_is_known_for_its_target_and_model_only),
        TEST(a_fact_is_forgotten_after_its_time_and_news_again_then),
        TEST(a_full_table_loses_the_oldest),
        TEST(what_is_no_name_teaches_nothing),
        TEST(what_was_kept_comes_back_but_not_for_longer),
        TEST(each_fact_has_a_word),
        TEST(threads_do_not_lose_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
