/* The retry budget: a share of the last ten seconds' requests plus a floor, also beside a reference
 * that keeps every event, and with threads at it. */
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

static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % sides;
}

static void budget_agrees_with_the_reference(void **state)
{
    (void)state;
    enum { EVENTS = 3000 };
    static struct {
        int64_t second;
        bool retry;
    } events[EVENTS];
    unsigned yes = 0, no = 0;
    for (uint64_t run = 1; run <= 40; run++) {
        struct budget b;
        usec now = dice(1000) * SEC;
        size_t count = 0;
        seed = run;
        budget_init(&b, 20, 3);
        for (int step = 0; step < EVENTS; step++) {
            if (dice(10) == 0)
                now += dice(dice(20) ? 1000 : 15000) * USEC_PER_MS;
            if (dice(3)) {
                budget_request(&b, now);
                events[count].second = now / SEC;
                events[count++].retry = false;
                continue;
            }
            unsigned requests = 0, retries = 0;
            for (size_t i = 0; i < count; i++) {
                if (events[i].second <= now / SEC - 10)
                    continue;
                requests += !events[i].retry;
                retries += events[i].retry;
            }
            bool want = retries < 3 + requests * 20 / 100;
            assert_int_equal(budget_take(&b, now), want);
            *(want ? &yes : &no) += 1;
            if (!want)
                continue;
            events[count].second = now / SEC;
            events[count++].retry = true;
        }
    }
    assert_true(yes > 1000 && no > 1000);
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
        cmocka_unit_test(budget_agrees_with_the_reference),
        cmocka_unit_test(budget_loses_no_count_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
