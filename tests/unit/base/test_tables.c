/* The hash map against a plain model, and the timer heap against the order it promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hmap.h"
#include "base/span.h"
#include "base/timers.h"

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* SipHash-1-3 over 00 01 02 ... with the key 00 .. 0f: the algorithm's own way of testing. The
 * values come from another implementation that passes the published vectors of SipHash-2-4. */
static void siphash_has_known_answers(void **state)
{
    (void)state;
    static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    static const struct {
        size_t len;
        uint64_t hash;
    } rows[] = {{0, UINT64_C(0xabac0158050fc4dc)}, {1, UINT64_C(0xc9f49bf37d57ca93)},
                {7, UINT64_C(0xd3927d989bb11140)}, {8, UINT64_C(0x369095118d299a8e)},
                {9, UINT64_C(0x25a48eb36c063de4)}, {15, UINT64_C(0xd320d86d2a519956)},
                {63, UINT64_C(0x9d199062b7bbb3a8)}};
    char text[64];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(siphash13(key, (struct span){text, rows[i].len}) == rows[i].hash);
}

#define KEYS 500
static const uint64_t map_seed[2] = {1, 2};

static struct span key_of(size_t i, char text[16])
{
    return (struct span){text, (size_t)snprintf(text, 16, "key-%zu", i)};
}

static void check_all(const struct hmap *m, char *const model[KEYS])
{
    char text[16];
    size_t present = 0, seen = 0, at = 0;
    for (size_t i = 0; i < KEYS; i++) {
        assert_ptr_equal(hmap_get(m, key_of(i, text)), model[i]);
        present += model[i] != NULL;
    }
    struct span key;
    void *value;
    while (hmap_next(m, &at, &key, &value)) {
        assert_ptr_equal(hmap_get(m, key), value);
        seen++;
    }
    assert_int_equal(seen, present);
    assert_int_equal(m->count, present);
}

static void the_map_behaves_like_a_model(void **state)
{
    (void)state;
    struct hmap m;
    char *model[KEYS] = {0}, text[16];
    static char values[64];
    uint64_t seed = 3;
    hmap_init(&m, map_seed, KEYS);
    assert_null(hmap_get(&m, SPAN("none")));
    assert_null(hmap_remove(&m, SPAN("none")));
    for (int step = 0; step < 40000; step++) {
        size_t i = next_random(&seed) % KEYS;
        /* It fills up in the first half and runs empty in the second. */
        bool add = next_random(&seed) % 3 != (step < 20000 ? 0u : 1u) && step % 2 == 0;
        if (add) {
            model[i] = &values[next_random(&seed) % sizeof values];
            assert_int_equal(hmap_set(&m, key_of(i, text), model[i]), ERR_OK);
            memset(text, '#', sizeof text); /* the map has a copy */
        } else if (step % 2 == 1) {
            assert_ptr_equal(hmap_remove(&m, key_of(i, text)), model[i]);
            model[i] = NULL;
        }
        if (step % 1000 == 0)
            check_all(&m, model);
    }
    check_all(&m, model);
    hmap_deinit(&m);
}

static void a_full_map_replaces_but_does_not_grow(void **state)
{
    (void)state;
    struct hmap m;
    char a = 0, b = 0, text[16];
    hmap_init(&m, map_seed, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(hmap_set(&m, key_of(i, text), &a), ERR_OK);
    assert_int_equal(hmap_set(&m, key_of(20, text), &a), ERR_LIMIT);
    assert_int_equal(hmap_set(&m, key_of(7, text), &b), ERR_OK);
    assert_ptr_equal(hmap_get(&m, key_of(7, text)), &b);
    assert_ptr_equal(hmap_remove(&m, key_of(3, text)), &a);
    assert_int_equal(hmap_set(&m, SPAN(""), &b), ERR_OK);
    assert_ptr_equal(hmap_get(&m, SPAN_EMPTY), &b);
    hmap_deinit(&m);
}

/* ---- timers ---- */

#define TIMERS 200
struct alarm {
    struct timer timer;
    int number;
};
static struct alarm alarms[TIMERS];
static int fired[TIMERS * 2];
static size_t fired_count;
static struct timers heap;

static void on_fire(struct timer *t)
{
    assert_false(timer_armed(t));
    fired[fired_count++] = CONTAINER_OF(t, struct alarm, timer)->number;
}

static int reset_timers(void **state)
{
    (void)state;
    timers_init(&heap);
    memset(alarms, 0, sizeof alarms);
    for (int i = 0; i < TIMERS; i++)
        alarms[i].number = i;
    fired_count = 0;
    return 0;
}

static int free_timers(void **state)
{
    (void)state;
    timers_deinit(&heap);
    return 0;
}

static void deadlines_fire_in_order_and_equal_ones_as_armed(void **state)
{
    (void)state;
    uint64_t seed = 9;
    assert_true(timers_next(&heap) == USEC_NEVER);
    for (int i = 0; i < TIMERS; i++)
        timers_set(&heap, &alarms[i].timer, (usec)(next_random(&seed) % 20), on_fire);
    for (int i = 0; i < TIMERS; i += 3) /* moving re-arms: behind its equals */
        timers_set(&heap, &alarms[i].timer, (usec)(next_random(&seed) % 20), on_fire);
    for (int i = 1; i < TIMERS; i += 10)
        timers_cancel(&heap, &alarms[i].timer);
    usec now = timers_next(&heap);
    assert_true(now >= 0 && now < 20);
    timers_run(&heap, now - 1);
    assert_int_equal(fired_count, 0);
    for (; now < 20; now++) {
        timers_run(&heap, now);
        assert_true(timers_next(&heap) > now);
    }
    assert_int_equal(fired_count, TIMERS - TIMERS / 10);
    for (size_t i = 1; i < fired_count; i++) {
        const struct timer *a = &alarms[fired[i - 1]].timer, *b = &alarms[fired[i]].timer;
        assert_true(a->at < b->at || (a->at == b->at && a->order < b->order));
    }
    for (int i = 1; i < TIMERS; i += 10)
        for (size_t k = 0; k < fired_count; k++)
            assert_int_not_equal(fired[k], i);
}

static void arm_another(struct timer *t)
{
    on_fire(t);
    if (fired_count < 5)
        timers_set(&heap, &alarms[fired_count].timer, t->at, arm_another);
    timers_cancel(&heap, &alarms[100].timer);
}

static void timers_armed_or_cancelled_while_running_count_at_once(void **state)
{
    (void)state;
    timers_set(&heap, &alarms[0].timer, 10, arm_another);
    timers_set(&heap, &alarms[100].timer, 10, on_fire);
    timers_set(&heap, &alarms[101].timer, 11, on_fire);
    timers_run(&heap, 10);
    assert_int_equal(fired_count, 5);
    assert_true(timer_armed(&alarms[101].timer));
    timers_cancel(&heap, &alarms[101].timer);
    timers_cancel(&heap, &alarms[101].timer);
    assert_true(timers_next(&heap) == USEC_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_has_known_answers),
        cmocka_unit_test(the_map_behaves_like_a_model),
        cmocka_unit_test(a_full_map_replaces_but_does_not_grow),
        cmocka_unit_test_setup_teardown(deadlines_fire_in_order_and_equal_ones_as_armed,
                                        reset_timers, free_timers),
        cmocka_unit_test_setup_teardown(timers_armed_or_cancelled_while_running_count_at_once,
                                        reset_timers, free_timers),
    };
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
