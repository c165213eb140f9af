/* The loop on libuv: time, timers, wakes, signals, randomness, and the end of a turn. Streams are
 * in loop_uv_stream.c, outgoing connections in loop_uv_dial.c, listeners in loop_uv_listen.c.
 *
 * libuv's own timers cost a heap operation and count milliseconds; ours are in base/timers.h and
 * one uv_timer stands for the earliest of them. It is set anew only when a deadline earlier than
 * its own appears; when the earliest one is moved back it fires once for nothing and is set again.
 *
 * A turn: callbacks, then `prepare` (which frees what they closed and forgets the time), then the
 * poll. Nothing is freed under its own caller, since nothing of ours runs inside prepare. */
#include "net/loop_uv_internal.h"
#include "base/mem.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

struct signal_watch {
    uv_signal_t handle;
    struct signal_watch *next;
    void (*on_signal)(void *ctx, int signum);
    void *ctx;
};

static void on_clock(uv_timer_t *handle);

/* ---- the end of a turn ---- */

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *l = handle->data;
    stream_free_dead(l);
    listener_free_dead(l);
    l->now = 0;
}

static void on_idle(uv_idle_t *handle)
{
    struct loop *l = handle->data;
    stream_run_ready(l);
    if (l->ready == NULL)
        uv_idle_stop(&l->idle);
}

void loop_hold_turn(struct loop *l)
{
    if (uv_is_active((uv_handle_t *)&l->idle) != 0)
        return;
    int rc = uv_idle_start(&l->idle, on_idle);
    assert(rc == 0);
}

static void on_async(uv_async_t *handle)
{
    struct loop *l = handle->data;
    if (l->on_wake != NULL)
        l->on_wake(l->wake_ctx);
}

/* ---- life ---- */

/* A write to a connection the peer has reset must be an error, not the end of the process: OpenSSL
 * writes without MSG_NOSIGNAL. */
static void ignore_sigpipe(void)
{
    struct sigaction act = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &act, NULL);
}

struct loop *loop_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ignore_sigpipe);
    struct loop *l = loop_new_guest();
    assert(l); /* no descriptors or memory at start-up: there is nothing to go on with */
    return l;
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    uv_close(handle, NULL);
}

/* Of a loop that could not be made whole: what there is of it. */
static void free_partial(struct loop *l)
{
    uv_walk(&l->uv, close_handle, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* its handles' ends */
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0);
    mem_free(l);
}

struct loop *loop_new_guest(void)
{
    struct loop *l = mem_new(struct loop);
    if (uv_loop_init(&l->uv) != 0) {
        mem_free(l);
        return NULL;
    }
    int rc = uv_timer_init(&l->uv, &l->clock);
    rc = rc != 0 ? rc : uv_prepare_init(&l->uv, &l->prepare);
    rc = rc != 0 ? rc : uv_idle_init(&l->uv, &l->idle);
    rc = rc != 0 ? rc : uv_async_init(&l->uv, &l->wake, on_async);
    rc = rc != 0 ? rc : uv_prepare_start(&l->prepare, on_prepare);
    if (rc != 0) {
        free_partial(l);
        return NULL;
    }
    l->clock.data = l->prepare.data = l->idle.data = l->wake.data = l;
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->wake);
    timers_init(&l->timers);
    l->clock_at = USEC_NEVER;
    names_init(&l->names, l, &l->uv);
    return l;
}

static void free_signal_watch(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF((uv_signal_t *)(void *)handle, struct signal_watch, handle));
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    assert(l->streams == 0 && l->listeners == 0);
    stream_free_dead(l);
    listener_free_dead(l);
    names_cancel(&l->names);
    while (l->signals != NULL) {
        struct signal_watch *s = l->signals;
        l->signals = s->next;
        uv_close((uv_handle_t *)&s->handle, free_signal_watch);
    }
    uv_close((uv_handle_t *)&l->clock, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0) {
        /* Lookups under way and killed children are waited for here. */
    }
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0);
    names_deinit(&l->names);
    timers_deinit(&l->timers);
    mem_free(l);
}

static usec read_clock(clockid_t id)
{
    struct timespec t;
    int rc = clock_gettime(id, &t);
    assert(rc == 0);
    return (usec)t.tv_sec * USEC_PER_SEC + t.tv_nsec / 1000;
}

void loop_run(struct loop *l)
{
    l->now = 0;
    uv_run(&l->uv, UV_RUN_DEFAULT);
    stream_free_dead(l);
    listener_free_dead(l);
    l->left_at = read_clock(CLOCK_MONOTONIC);
}

void loop_resume(struct loop *l, bool counts)
{
    usec now = read_clock(CLOCK_MONOTONIC);
    if (!counts && l->left_at > 0)
        l->forgiven += now - l->left_at;
    l->left_at = now;
    l->now = 0;
}

int loop_fd(struct loop *l, int *out_timeout_ms)
{
    uv_update_time(&l->uv);
    *out_timeout_ms = uv_backend_timeout(&l->uv);
    return uv_backend_fd(&l->uv);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

/* ---- time ---- */

usec loop_now(struct loop *l)
{
    if (l->now == 0)
        l->now = read_clock(CLOCK_MONOTONIC) - l->forgiven;
    return l->now;
}

usec loop_wall(struct loop *l)
{
    (void)l; /* read anew each time: it is asked for rarely */
    return read_clock(CLOCK_REALTIME);
}

/* ---- timers ---- */

void loop_rearm(struct loop *l)
{
    usec next = timers_next(&l->timers);
    if (next == USEC_NEVER && l->clock_at != USEC_NEVER) {
        uv_timer_stop(&l->clock); /* else it would keep an empty loop running */
        l->clock_at = USEC_NEVER;
    } else if (next < l->clock_at) {
        usec wait = next - loop_now(l);
        uint64_t ms = wait <= 0 ? 0 : (uint64_t)((wait + USEC_PER_MS - 1) / USEC_PER_MS);
        uv_update_time(&l->uv); /* libuv's idea of now may be a turn old */
        int rc = uv_timer_start(&l->clock, on_clock, ms, 0);
        assert(rc == 0);
        l->clock_at = next;
    }
}

static void on_clock(uv_timer_t *handle)
{
    struct loop *l = handle->data;
    l->clock_at = USEC_NEVER;
    l->now = 0;
    timers_run(&l->timers, loop_now(l));
    loop_rearm(l);
}

void loop_timer_at(struct loop *l, struct timer *t, usec at, void (*fire)(struct timer *t))
{
    timers_set(&l->timers, t, at, fire);
    loop_rearm(l);
}

void loop_timer_in(struct loop *l, struct timer *t, usec delay, void (*fire)(struct timer *t))
{
    usec now = loop_now(l);
    loop_timer_at(l, t, delay < USEC_NEVER - now ? now + delay : USEC_NEVER, fire);
}

void loop_timer_cancel(struct loop *l, struct timer *t)
{
    if (!timer_armed(t))
        return;
    timers_cancel(&l->timers, t);
    loop_rearm(l);
}

/* ---- wakes and signals ---- */

void loop_on_wake(struct loop *l, void (*on_wake)(void *ctx), void *ctx)
{
    l->on_wake = on_wake;
    l->wake_ctx = ctx;
    if (on_wake != NULL)
        uv_ref((uv_handle_t *)&l->wake); /* another thread may have something to say at any time */
    else
        uv_unref((uv_handle_t *)&l->wake);
}

void loop_wake(struct loop *l)
{
    (void)uv_async_send(&l->wake); /* fails on a closing handle only, which would be our bug */
}

static void on_uv_signal(uv_signal_t *handle, int signum)
{
    struct signal_watch *s = handle->data;
    if (s->on_signal != NULL)
        s->on_signal(s->ctx, signum);
}

void loop_on_signal(struct loop *l, int signum, void (*on_signal)(void *ctx, int signum), void *ctx)
{
    struct signal_watch *s = l->signals;
    while (s != NULL && s->handle.signum != signum)
        s = s->next;
    if (s == NULL) {
        s = mem_new(struct signal_watch);
        int rc = uv_signal_init(&l->uv, &s->handle);
        rc = rc != 0 ? rc : uv_signal_start(&s->handle, on_uv_signal, signum);
        assert(rc == 0); /* signum is one that cannot be caught */
        s->handle.data = s;
        s->next = l->signals;
        l->signals = s;
    }
    s->on_signal = on_signal;
    s->ctx = ctx;
}

/* ---- randomness ---- */

/* Small requests are served from a pool, so that an id does not cost a system call. Bytes given
 * out are wiped. */
void loop_random(struct loop *l, void *to, size_t len)
{
    if (len > RANDOM_POOL_BYTES) {
        int rc = uv_random(NULL, NULL, to, len, 0, NULL);
        assert(rc == 0);
        return;
    }
    if (l->random_left < len) {
        int rc = uv_random(NULL, NULL, l->random, sizeof l->random, 0, NULL);
        assert(rc == 0);
        l->random_left = sizeof l->random;
    }
    l->random_left -= len;
    memcpy(to, l->random + l->random_left, len);
    memset(l->random + l->random_left, 0, len);
}

uint64_t loop_random_below(struct loop *l, uint64_t bound)
{
    assert(bound > 0);
    /* Values below `skip` would make the low remainders likelier. */
    uint64_t skip = (UINT64_MAX - bound + 1) % bound;
    uint64_t r;
    do
        loop_random(l, &r, sizeof r);
    while (r < skip);
    return r % bound;
}
