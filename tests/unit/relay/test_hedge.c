/* When a target is late by its own measure, and what asking another one may cost. */
#include "base/base.h"
#include "relay/hedge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define MS USEC_PER_MS

static int by_size(const void *a, const void *b)
{
    usec x = *(const usec *)a, y = *(const usec *)b;
    return (x > y) - (x < y);
}

static void a_quantile_needs_samples(void **state)
{
    (void)state;
    struct ttft t;
    ttft_init(&t);
    for (int i = 1; i < TTFT_LEAST; i++) {
        ttft_note(&t, 300 * MS);
        assert_true(ttft_quantile(&t, 95) == USEC_NEVER);
    }
    ttft_note(&t, 300 * MS);
    usec q = ttft_quantile(&t, 95);
    assert_true(q >= 300 * MS && q <= 300 * MS * 9 / 8 + 1024);
    ttft_deinit(&t);
}

/* Beside the exact quantile of the same samples: never below it, above by an eighth at most. */
static void a_quantile_is_that_of_the_samples_to_an_eighth(void **state)
{
    (void)state;
    static usec samples[1000];
    uint64_t rng = 88172645463325252u;
    for (int round = 0; round < 50; round++) {
        struct ttft t;
        ttft_init(&t);
        for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
            rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
            samples[i] = (usec)(1100 + rng % ((uint64_t)1 << (11 + rng % 15)));
            ttft_note(&t, samples[i]);
        }
        qsort(samples, ARRAY_LEN(samples), sizeof *samples, by_size);
        for (uint32_t percent = 50; percent < 100; percent += 7) {
            usec exact = samples[ARRAY_LEN(samples) * percent / 100 - 1];
            usec told = ttft_quantile(&t, percent);
            if (told < exact || told > exact + exact / 8 + 1)
                fail_msg("p%u: %lld, not %lld", percent, (long long)told, (long long)exact);
        }
        ttft_deinit(&t);
    }
}

static void what_was_fades_and_nothing_is_out_of_range(void **state)
{
    (void)state;
    struct ttft t;
    ttft_init(&t);
    for (int i = 0; i < TTFT_SAMPLES_MAX; i++)
        ttft_note(&t, 10 * MS);
    for (int i = 0; i < 2 * TTFT_SAMPLES_MAX; i++)
        ttft_note(&t, 900 * MS);
    assert_true(ttft_quantile(&t, 50) >= 900 * MS);
    ttft_note(&t, 0);
    ttft_note(&t, USEC_NEVER);
    assert_true(ttft_quantile(&t, 100) > 100 * USEC_PER_SEC);
    ttft_deinit(&t);
}

static void no_more_is_spent_than_was_earned(void **state)
{
    (void)state;
    static const uint32_t percents[] = {1, 5, 20, 100};
    for (size_t k = 0; k < ARRAY_LEN(percents); k++) {
        struct hedge h;
        int taken = 0;
        hedge_init(&h, percents[k], 95);
        assert_false(hedge_take(&h)); /* nothing is lent */
        for (int i = 1; i <= 10000; i++) {
            hedge_request(&h);
            taken += hedge_take(&h);
            assert_true(taken * 100 <= i * (int)percents[k]);
        }
        assert_int_equal(taken, 100 * percents[k]);
    }
}

static void what_was_saved_is_bounded_and_what_was_not_used_comes_back(void **state)
{
    (void)state;
    struct hedge h;
    int taken = 0;
    hedge_init(&h, 5, 95);
    for (int i = 0; i < 1000000; i++)
        hedge_request(&h);
    assert_true(hedge_take(&h));
    hedge_give_back(&h);
    while (hedge_take(&h))
        taken++;
    assert_int_equal(taken, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quantile_needs_samples),
        cmocka_unit_test(a_quantile_is_that_of_the_samples_to_an_eighth),
        cmocka_unit_test(what_was_fades_and_nothing_is_out_of_range),
        cmocka_unit_test(no_more_is_spent_than_was_earned),
        cmocka_unit_test(what_was_saved_is_bounded_and_what_was_not_used_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
