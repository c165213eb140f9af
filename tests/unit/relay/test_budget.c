/* The retry budget: a share of the last ten seconds' requests plus a floor, also with threads at
 * it. Random traffic beside a reference: test_model.c. */
#include "relay/budget.h"

#include <pthread.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC

static unsigned take_all(struct budget *b, usec now)
{
    unsigned taken = 0;
    while (taken < 100000 && budget_take(b, now))
        taken++;
    return taken;
}

static void budget_gives_the_floor_without_any_traffic(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, 20, 3);
    assert_int_equal(take_all(&b, 0), 3);
    assert_int_equal(take_all(&b, 9 * SEC), 0);
    assert_int_equal(take_all(&b, 10 * SEC), 3); /* ten seconds later they are forgotten */
}

static void budget_gives_a_fifth_of_the_requests_on_top(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, 20, 3);
    for (int i = 0; i < 100; i++)
        budget_request(&b, i * SEC / 20); /* 5 s */
    assert_int_equal(take_all(&b, 5 * SEC), 23);
    assert_int_equal(take_all(&b, 14 * SEC), 0); /* requests of seconds 0..4 are gone */
}

static void budget_counts_stay_in_their_bounds(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, 20, 0);
    for (int i = 0; i < 200000; i++) /* more than a slot can count */
        budget_request(&b, SEC);
    assert_int_equal(take_all(&b, SEC), 65535 / 5);
    struct budget none;
    budget_init(&none, 0, 0);
    budget_request(&none, 0);
    assert_false(budget_take(&none, 0));
}

static void *taker(void *ctx)
{
    struct budget *b = ctx;
    for (int i = 0; i < 20000; i++)
        budget_request(b, SEC);
    return NULL;
}

static void budget_loses_no_count_between_threads(void **state)
{
    (void)state;
    struct budget b;
    pthread_t threads[3];
    budget_init(&b, 20, 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, taker, &b), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(take_all(&b, SEC), 60000 / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budget_gives_the_floor_without_any_traffic),
        cmocka_unit_test(budget_gives_a_fifth_of_the_requests_on_top),
        cmocka_unit_test(budget_counts_stay_in_their_bounds),
        cmocka_unit_test(budget_loses_no_count_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
