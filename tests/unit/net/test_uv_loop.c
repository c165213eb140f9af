/* The libuv loop itself: time, timers, wakes, signals, randomness. */
#include "uv_support.h"
#include <pthread.h>
#include <signal.h>
#include <time.h>

struct mark {
    struct timer timer;
    char name;
    char *log;
};

static void write_mark(struct timer *t)
{
    struct mark *m = CONTAINER_OF(t, struct mark, timer);
    size_t n = strlen(m->log);
    m->log[n] = m->name;
    m->log[n + 1] = '\0';
}

static void timers_fire_by_deadline_then_by_order_of_arming(void **state)
{
    (void)state;
    char log[8] = "";
    struct loop *l = loop_new();
    struct mark a = {.name = 'a', .log = log}, b = {.name = 'b', .log = log},
                c = {.name = 'c', .log = log}, d = {.name = 'd', .log = log};
    usec base = loop_now(l);
    loop_timer_at(l, &a.timer, base + 20 * USEC_PER_MS, write_mark);
    loop_timer_at(l, &b.timer, base + 10 * USEC_PER_MS, write_mark);
    loop_timer_at(l, &c.timer, base + 10 * USEC_PER_MS, write_mark);
    loop_timer_at(l, &d.timer, base + 1 * USEC_PER_MS, write_mark);
    loop_run(l); /* ends by itself: nothing is left */
    assert_string_equal(log, "dbca");
    loop_free(l);
}

static void a_timer_never_fires_early_nor_much_too_late(void **state)
{
    (void)state;
    char log[8] = "";
    struct loop *l = loop_new();
    struct mark a = {.name = 'a', .log = log};
    usec asked = loop_now(l) + 7300;
    loop_timer_at(l, &a.timer, asked, write_mark);
    loop_run(l);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    usec now = (usec)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
    assert_string_equal(log, "a");
    assert_true(now >= asked);
    assert_true(now < asked + 500 * USEC_PER_MS);
    loop_free(l);
}

static void a_timer_moved_back_fires_once_and_late(void **state)
{
    (void)state;
    char log[8] = "";
    struct loop *l = loop_new();
    struct mark a = {.name = 'a', .log = log}, b = {.name = 'b', .log = log};
    loop_timer_in(l, &a.timer, 5 * USEC_PER_MS, write_mark);
    loop_timer_in(l, &b.timer, 15 * USEC_PER_MS, write_mark);
    loop_timer_in(l, &a.timer, 25 * USEC_PER_MS, write_mark);
    loop_run(l);
    assert_string_equal(log, "ba");
    loop_free(l);
}

static void a_cancelled_timer_does_not_keep_the_loop_running(void **state)
{
    (void)state;
    char log[8] = "";
    struct loop *l = loop_new();
    struct mark a = {.name = 'a', .log = log};
    loop_timer_in(l, &a.timer, 3600 * USEC_PER_SEC, write_mark);
    loop_timer_cancel(l, &a.timer);
    loop_run(l);
    assert_string_equal(log, "");
    loop_free(l);
}

struct clock_check {
    struct timer timer;
    struct loop *loop;
    usec first, second;
};

static void check_clock(struct timer *t)
{
    struct clock_check *c = CONTAINER_OF(t, struct clock_check, timer);
    c->first = loop_now(c->loop);
    usleep(3000);
    c->second = loop_now(c->loop);
}

static void now_stands_still_within_a_turn_and_moves_between_turns(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct clock_check c = {.loop = l};
    usec before = loop_now(l);
    loop_timer_in(l, &c.timer, 2 * USEC_PER_MS, check_clock);
    loop_run(l);
    assert_int_equal(c.first, c.second);
    assert_true(c.first >= before + 2 * USEC_PER_MS);
    assert_true(loop_wall(l) > 1700000000 * USEC_PER_SEC);
    loop_free(l);
}

struct waking {
    struct loop *loop;
    pthread_t thread;
    int wakes;
};

static void *wake_thread(void *arg)
{
    struct waking *w = arg;
    usleep(5000);
    loop_wake(w->loop);
    return NULL;
}

static void on_wake(void *ctx)
{
    struct waking *w = ctx;
    assert_false(pthread_equal(pthread_self(), w->thread));
    w->wakes++;
    loop_on_wake(w->loop, NULL, NULL); /* nothing keeps the loop now */
}

static void a_wake_from_another_thread_runs_on_the_loop(void **state)
{
    (void)state;
    struct waking w = {.loop = loop_new()};
    loop_on_wake(w.loop, on_wake, &w);
    assert_int_equal(pthread_create(&w.thread, NULL, wake_thread, &w), 0);
    loop_run(w.loop);
    pthread_join(w.thread, NULL);
    assert_int_equal(w.wakes, 1);
    loop_free(w.loop);
}

struct signalled {
    struct loop *loop;
    int last, count;
};

static void on_signal(void *ctx, int signum)
{
    struct signalled *s = ctx;
    s->last = signum;
    s->count++;
    loop_stop(s->loop);
}

static void *signal_thread(void *arg)
{
    (void)arg;
    usleep(5000);
    kill(getpid(), SIGUSR1);
    return NULL;
}

static void a_signal_reaches_its_handler_in_a_loop_without_other_work(void **state)
{
    (void)state;
    struct signalled s = {.loop = loop_new()}, other = {.loop = s.loop};
    pthread_t thread;
    loop_on_signal(s.loop, SIGUSR2, on_signal, &other);
    loop_on_signal(s.loop, SIGUSR1, on_signal, &other);
    loop_on_signal(s.loop, SIGUSR1, on_signal, &s); /* replaces */
    assert_int_equal(pthread_create(&thread, NULL, signal_thread, NULL), 0);
    loop_run(s.loop);
    pthread_join(thread, NULL);
    assert_int_equal(s.last, SIGUSR1);
    assert_int_equal(s.count, 1);
    assert_int_equal(other.count, 0);
    loop_free(s.loop);
}

static void random_numbers_stay_below_the_bound_and_reach_all_of_it(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    int seen[10] = {0};
    for (int i = 0; i < 10000; i++) {
        uint64_t r = loop_random_below(l, 10);
        assert_true(r < 10);
        seen[r]++;
    }
    for (int i = 0; i < 10; i++) /* 1000 expected, standard deviation 30 */
        assert_true(seen[i] > 700 && seen[i] < 1300);
    assert_int_equal(loop_random_below(l, 1), 0);
    char a[1000], b[1000];
    loop_random(l, a, sizeof a);
    loop_random(l, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    loop_random(l, a, 16);
    loop_random(l, b, 16);
    assert_memory_not_equal(a, b, 16);
    loop_free(l);
}

/* What its owner does between two runs is not the loop's time, unless he says so. */
static void time_between_two_runs_counts_only_when_it_is_to(void **state)
{
    (void)state;
    char log[8] = "";
    struct loop *l = loop_new_guest();
    assert_non_null(l);
    struct mark a = {.name = 'a', .log = log}, b = {.name = 'b', .log = log};
    loop_timer_in(l, &a.timer, 0, write_mark);
    loop_run(l);
    usec left = loop_now(l);
    struct timespec away = {.tv_nsec = 300 * 1000 * 1000};
    (void)nanosleep(&away, NULL);
    loop_resume(l, false);
    assert_true(loop_now(l) - left < 200 * USEC_PER_MS);
    usec asked = loop_now(l) + 1000;
    loop_timer_at(l, &b.timer, asked, write_mark);
    loop_run(l);
    assert_true(loop_now(l) >= asked);
    left = loop_now(l);
    (void)nanosleep(&away, NULL);
    loop_resume(l, true);
    assert_true(loop_now(l) - left >= 300 * USEC_PER_MS);
    assert_string_equal(log, "ab");
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_by_deadline_then_by_order_of_arming),
        cmocka_unit_test(a_timer_never_fires_early_nor_much_too_late),
        cmocka_unit_test(a_timer_moved_back_fires_once_and_late),
        cmocka_unit_test(a_cancelled_timer_does_not_keep_the_loop_running),
        cmocka_unit_test(now_stands_still_within_a_turn_and_moves_between_turns),
        cmocka_unit_test(a_wake_from_another_thread_runs_on_the_loop),
        cmocka_unit_test(a_signal_reaches_its_handler_in_a_loop_without_other_work),
        cmocka_unit_test(time_between_two_runs_counts_only_when_it_is_to),
        cmocka_unit_test(random_numbers_stay_below_the_bound_and_reach_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
