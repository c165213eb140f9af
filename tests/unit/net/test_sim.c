/* The simulator: what net.h promises, on virtual time, and that a seed is a whole run. */
#include "base/mem.h"
#include "net/sim.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LOG_MAX 256
#define BODY_MAX (300 * 1000)

/* A connection's owner that records everything, and does what it is told. */
struct peer {
    struct loop *loop;
    struct stream *stream;
    struct peer *accepts; /* the peer that takes the next accepted stream */
    enum err connected;
    bool told; /* on_connect came */
    unsigned connects, accepted, readables, writables;
    char *got;
    size_t got_len;
    enum err ended; /* ERR_OK while it lasts */
    enum err write_ended;
    const char *send; /* offered until taken */
    size_t send_len, sent;
    size_t read_cap;       /* 0: does not read */
    bool close_on_connect; /* from within the callback */
    bool close_when_sent, abort_when_sent;
    bool echo_close; /* close on EOF */
    usec ended_at;
};

static void peer_pump(struct peer *p)
{
    while (p->sent < p->send_len) {
        /* in two pieces, so that gathering is exercised */
        size_t half = (p->send_len - p->sent) / 2, n;
        struct span pieces[] = {{p->send + p->sent, half},
                                {p->send + p->sent + half, p->send_len - p->sent - half}};
        enum err e = stream_write(p->stream, pieces, 2, &n);
        if (e == ERR_AGAIN) {
            assert_int_equal(n, 0);
            return;
        }
        if (e != ERR_OK) {
            p->write_ended = e;
            p->send_len = p->sent;
            break;
        }
        assert_true(n >= 1);
        p->sent += n;
    }
    stream_want(p->stream, p->read_cap && p->ended == ERR_OK ? STREAM_READ : 0);
    if (p->close_when_sent) {
        stream_close(p->stream);
        p->stream = NULL;
    } else if (p->abort_when_sent) {
        stream_abort(p->stream);
        p->stream = NULL;
    }
}

static void on_writable(void *ctx)
{
    struct peer *p = ctx;
    assert_non_null(p->stream);
    p->writables++;
    peer_pump(p);
}

static void on_readable(void *ctx)
{
    struct peer *p = ctx;
    assert_non_null(p->stream);
    p->readables++;
    size_t n, cap = p->read_cap < BODY_MAX - p->got_len ? p->read_cap : BODY_MAX - p->got_len;
    enum err e = stream_read(p->stream, p->got + p->got_len, cap, &n);
    if (e == ERR_OK) {
        assert_true(n >= 1 && n <= cap);
        p->got_len += n;
        return;
    }
    assert_int_not_equal(e, ERR_AGAIN); /* it was announced */
    p->ended = e;
    p->ended_at = loop_now(p->loop);
    stream_want(p->stream, p->sent < p->send_len ? STREAM_WRITE : 0);
    if (p->echo_close) {
        stream_close(p->stream);
        p->stream = NULL;
    }
}

static void start(struct peer *p)
{
    stream_want(p->stream, (p->read_cap ? (unsigned)STREAM_READ : 0) |
                               (p->send_len ? (unsigned)STREAM_WRITE : 0));
}

static void on_connect(void *ctx, enum err result)
{
    struct peer *p = ctx;
    p->told = true;
    p->connects++;
    p->connected = result;
    if (p->close_on_connect) {
        stream_close(p->stream);
        p->stream = NULL;
    } else if (result == ERR_OK) {
        start(p);
    }
}

static const struct stream_events events = {on_connect, on_readable, on_writable};

static void on_accept(void *ctx, struct stream *s)
{
    struct peer *p = ((struct peer *)ctx)->accepts;
    ((struct peer *)ctx)->accepted++;
    if (!p) {
        stream_close(s);
        return;
    }
    p->stream = s;
    p->told = true;
    stream_set_events(s, &events, p);
    start(p);
}

/* A client and a server on "up:80", and the loop they live on. */
struct world {
    struct loop *loop;
    struct listener *listener;
    struct peer client, server;
};

static void world_begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->loop = sim_loop_new(seed);
    w->client.loop = w->server.loop = w->loop;
    w->client.got = mem_alloc(BODY_MAX);
    w->server.got = mem_alloc(BODY_MAX);
    w->client.read_cap = w->server.read_cap = 10000;
    w->server.accepts = &w->server;
    const char *why = NULL;
    assert_int_equal(
        net_listen(w->loop, SPAN("up"), 80, NULL, on_accept, &w->server, &w->listener, &why),
        ERR_OK);
}

static void connect_client(struct world *w, const char *host, uint16_t port)
{
    struct net_dest dest = {{host, strlen(host)}, port, NULL};
    net_connect(w->loop, &dest, &events, &w->client, &w->client.stream);
    assert_false(w->client.told); /* never before it returns */
}

static void world_end(struct world *w)
{
    stream_close(w->client.stream);
    stream_close(w->server.stream);
    listener_close(w->listener);
    struct sim_census census = sim_census(w->loop);
    assert_int_equal(census.streams, 0);
    assert_int_equal(census.listeners, 0);
    assert_int_equal(census.timers, 0);
    loop_free(w->loop);
    mem_free(w->client.got);
    mem_free(w->server.got);
}

static char body[BODY_MAX];

static void fill_body(void)
{
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)((i * 2654435761u) >> 13);
}

static void sim_carries_bytes_both_ways_in_order_and_ends_with_eof(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 7);
    w.client.send = body, w.client.send_len = 200 * 1000; /* three windows */
    w.server.send = body + 5, w.server.send_len = 150 * 1000;
    connect_client(&w, "up", 80);
    assert_false(sim_run_until(w.loop, 2 * USEC_PER_SEC));
    assert_int_equal(w.client.connected, ERR_OK);
    assert_string_equal(stream_peer(w.client.stream), "up:80");
    assert_memory_equal(stream_peer(w.server.stream), "127.0.0.1:", 10);
    stream_close(w.client.stream), w.client.stream = NULL;
    assert_false(sim_run_until(w.loop, 3 * USEC_PER_SEC));
    assert_int_equal(w.server.got_len, 200 * 1000);
    assert_memory_equal(w.server.got, body, 200 * 1000);
    assert_int_equal(w.client.got_len, 150 * 1000);
    assert_memory_equal(w.client.got, body + 5, 150 * 1000);
    assert_int_equal(w.server.ended, ERR_EOF);
    world_end(&w);
}

static void sim_holds_a_writer_back_at_the_window(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 8);
    w.server.read_cap = 0;
    w.client.send = body, w.client.send_len = 100 * 1000;
    connect_client(&w, "up", 80);
    assert_false(sim_run_until(w.loop, 2 * USEC_PER_SEC));
    assert_int_equal(w.client.sent, 64 * 1024);
    assert_true(stream_stirs(w.server.stream));
    assert_int_equal(w.server.readables, 0); /* it did not want any */
    w.server.read_cap = 1000;
    stream_want(w.server.stream, STREAM_READ);
    assert_false(sim_run_until(w.loop, 3 * USEC_PER_SEC));
    assert_int_equal(w.client.sent, 100 * 1000);
    assert_int_equal(w.server.got_len, 100 * 1000);
    assert_int_equal(w.server.readables, 100); /* level-triggered: called while data waits */
    assert_false(stream_stirs(w.server.stream));
    world_end(&w);
}

static void sim_close_delivers_queued_bytes_then_eof(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world w;
        world_begin(&w, seed);
        sim_set_faults(w.loop, &(struct sim_faults){.latency_min = 10, .latency_max = 5000});
        w.client.send = body, w.client.send_len = 50 * 1000;
        w.client.close_when_sent = true;
        connect_client(&w, "up", 80);
        sim_run_until(w.loop, 2 * USEC_PER_SEC);
        assert_null(w.client.stream);
        assert_int_equal(w.server.got_len, 50 * 1000);
        assert_int_equal(w.server.ended, ERR_EOF);
        world_end(&w);
    }
}

static void sim_abort_resets_and_loses_queued_bytes_by_chance(void **state)
{
    (void)state;
    unsigned whole = 0, lost = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world w;
        world_begin(&w, seed);
        w.client.send = body, w.client.send_len = 5000;
        w.client.abort_when_sent = true;
        connect_client(&w, "up", 80);
        sim_run_until(w.loop, 2 * USEC_PER_SEC);
        assert_int_equal(w.server.ended, ERR_RESET);
        assert_true(strlen(stream_why(w.server.stream)) > 0);
        assert_memory_equal(w.server.got, body, w.server.got_len);
        whole += w.server.got_len == 5000;
        lost += w.server.got_len < 5000;
        world_end(&w);
    }
    assert_true(whole > 20 && lost > 20);
}

static void sim_close_with_unread_bytes_resets_the_peer(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 3);
    w.server.read_cap = 0;
    w.client.send = body, w.client.send_len = 10;
    connect_client(&w, "up", 80);
    sim_run_until(w.loop, 2 * USEC_PER_SEC);
    stream_close(w.server.stream), w.server.stream = NULL;
    sim_run_until(w.loop, 3 * USEC_PER_SEC);
    assert_int_equal(w.client.ended, ERR_RESET);
    world_end(&w);
}

static void sim_writing_to_a_closed_peer_ends_in_a_reset(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 3);
    connect_client(&w, "up", 80);
    sim_run_until(w.loop, 2 * USEC_PER_SEC);
    stream_close(w.server.stream), w.server.stream = NULL;
    sim_run_until(w.loop, 3 * USEC_PER_SEC);
    assert_int_equal(w.client.ended, ERR_EOF);
    struct span piece = SPAN("late");
    size_t n;
    assert_int_equal(stream_write(w.client.stream, &piece, 1, &n), ERR_OK); /* nobody knows yet */
    sim_run_until(w.loop, 4 * USEC_PER_SEC);
    assert_int_equal(stream_write(w.client.stream, &piece, 1, &n), ERR_RESET);
    char c;
    assert_int_equal(stream_read(w.client.stream, &c, 1, &n), ERR_EOF); /* as it was */
    world_end(&w);
}

static void sim_refuses_unknown_names_and_closed_ports(void **state)
{
    (void)state;
    const struct {
        const char *host;
        uint16_t port;
        enum err want;
    } cases[] = {{"nowhere", 80, ERR_NAME}, {"up", 81, ERR_REFUSED}, {"10.1.2.3", 80, ERR_REFUSED}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        world_begin(&w, 1);
        connect_client(&w, cases[i].host, cases[i].port);
        assert_int_equal(sim_census(w.loop).streams, 1);
        sim_run_until(w.loop, 2 * USEC_PER_SEC);
        assert_int_equal(w.client.connects, 1);
        assert_int_equal(w.client.connected, cases[i].want);
        size_t n;
        struct span piece = SPAN("x");
        assert_int_equal(stream_write(w.client.stream, &piece, 1, &n), cases[i].want);
        world_end(&w);
    }
}

static void sim_faults_of_connecting_happen_and_are_told(void **state)
{
    (void)state;
    const struct {
        struct sim_faults faults;
        bool told;
        enum err want;
    } cases[] = {{{.refuse = 1000}, true, ERR_REFUSED},
                 {{.name_lost = 1000}, true, ERR_NAME},
                 {{.black_hole = 1000}, false, ERR_OK}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        world_begin(&w, 1);
        sim_set_host_faults(w.loop, "other", &(struct sim_faults){.refuse = 1000});
        sim_set_host_faults(w.loop, "up", &cases[i].faults);
        connect_client(&w, "up", 80);
        assert_false(sim_run_until(w.loop, 1000 * USEC_PER_SEC));
        assert_int_equal(w.client.told, cases[i].told);
        assert_int_equal(w.client.connected, cases[i].want);
        assert_int_equal(w.server.accepted, 0);
        world_end(&w);
    }
}

static void sim_faults_of_one_host_leave_the_others_alone(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 1);
    sim_set_host_faults(w.loop, "other", &(struct sim_faults){.refuse = 1000});
    connect_client(&w, "up", 80);
    sim_run_until(w.loop, 2 * USEC_PER_SEC);
    assert_int_equal(w.client.connected, ERR_OK);
    world_end(&w);
}

static void sim_stalled_wire_delivers_nothing_more(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 1);
    sim_set_faults(w.loop, &(struct sim_faults){.stall = 1000});
    w.client.send = body, w.client.send_len = 100;
    w.client.close_when_sent = true;
    connect_client(&w, "up", 80);
    sim_run_until(w.loop, 1000 * USEC_PER_SEC);
    assert_int_equal(w.client.sent, 100);
    assert_int_equal(w.server.got_len, 0);
    assert_int_equal(w.server.ended, ERR_OK); /* not even the end */
    world_end(&w);
}

static void sim_cut_delivers_a_prefix_and_an_end(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        size_t shortest = SIZE_MAX, longest = 0;
        for (uint64_t seed = 1; seed <= 100; seed++) {
            struct world w;
            world_begin(&w, seed);
            sim_set_faults(w.loop, &(struct sim_faults){.cut = 1000});
            w.client.send = body, w.client.send_len = 100;
            struct tls_client *t;
            const char *why;
            assert_int_equal(tls_client_new(NULL, &t, &why), ERR_OK);
            struct net_dest dest = {SPAN("up"), 80, tls ? t : NULL};
            net_connect(w.loop, &dest, &events, &w.client, &w.client.stream);
            tls_client_unref(t);
            sim_run_until(w.loop, 2 * USEC_PER_SEC);
            assert_true(w.server.got_len < 100);
            assert_memory_equal(w.server.got, body, w.server.got_len);
            assert_int_equal(w.server.ended, tls ? ERR_RESET : ERR_EOF);
            assert_int_equal(w.client.ended, ERR_RESET);
            if (w.server.got_len < shortest)
                shortest = w.server.got_len;
            if (w.server.got_len > longest)
                longest = w.server.got_len;
            world_end(&w);
        }
        assert_true(shortest < 20 && longest > 80);
    }
}

static void sim_reset_reaches_both_ends(void **state)
{
    (void)state;
    unsigned at_once = 0, later = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct world w;
        world_begin(&w, seed);
        sim_set_faults(w.loop, &(struct sim_faults){.reset = 1000});
        w.client.send = body, w.client.send_len = 100;
        connect_client(&w, "up", 80);
        sim_run_until(w.loop, 2 * USEC_PER_SEC);
        assert_int_equal(w.server.ended, ERR_RESET);
        assert_int_equal(w.client.ended, ERR_RESET);
        at_once += w.client.write_ended == ERR_RESET;
        later += w.client.write_ended == ERR_OK;
        world_end(&w);
    }
    assert_true(at_once > 10 && later > 10);
}

static void sim_short_io_still_carries_every_byte(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 11);
    sim_set_faults(w.loop, &(struct sim_faults){.short_io = 800, .latency_max = 3000});
    w.client.send = body, w.client.send_len = 100 * 1000;
    connect_client(&w, "up", 80);
    sim_run_until(w.loop, 100 * USEC_PER_SEC);
    assert_int_equal(w.server.got_len, 100 * 1000);
    assert_memory_equal(w.server.got, body, 100 * 1000);
    assert_true(w.server.readables > 15); /* 10 full reads would have done */
    world_end(&w);
}

static void sim_latency_takes_virtual_time(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 11);
    usec lag = 3600 * USEC_PER_SEC; /* jumped over, not waited for */
    sim_set_faults(w.loop, &(struct sim_faults){.latency_min = lag, .latency_max = lag});
    w.client.send = body, w.client.send_len = 10;
    w.client.close_when_sent = true;
    usec begun = loop_now(w.loop), wall = loop_wall(w.loop);
    connect_client(&w, "up", 80);
    loop_run(w.loop);
    assert_int_equal(w.server.ended_at - begun, 2 * lag);
    assert_int_equal(loop_wall(w.loop) - wall, 2 * lag);
    world_end(&w);
}

static void sim_closing_in_a_callback_stops_all_further_ones(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w;
        world_begin(&w, seed);
        w.server.send = body, w.server.send_len = 1000;
        w.client.close_on_connect = true;
        connect_client(&w, "up", 80);
        sim_run_until(w.loop, 2 * USEC_PER_SEC);
        assert_int_equal(w.client.connects, 1);
        assert_int_equal(w.client.readables + w.client.writables, 0);
        world_end(&w);
    }
}

static void sim_closing_while_connecting_is_silent(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 1);
    connect_client(&w, "up", 80);
    stream_close(w.client.stream), w.client.stream = NULL;
    assert_false(sim_run_until(w.loop, 2 * USEC_PER_SEC));
    assert_int_equal(w.client.connects, 0);
    assert_int_equal(w.server.accepted, 0);
    world_end(&w);
}

static void sim_closing_the_listener_resets_those_it_has_not_accepted(void **state)
{
    (void)state;
    unsigned refused = 0, reset = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world w;
        world_begin(&w, seed);
        usec lag = seed % 2 == 0 ? 100 : 0;
        sim_set_faults(w.loop, &(struct sim_faults){.latency_min = lag, .latency_max = lag});
        w.client.close_on_connect = false;
        w.server.accepts = NULL;
        connect_client(&w, "up", 80);
        if (lag)
            listener_close(w.listener), w.listener = NULL;
        sim_run_until(w.loop, 2 * USEC_PER_SEC);
        refused += w.client.connected == ERR_REFUSED;
        reset += w.client.connected == ERR_OK && w.client.ended != ERR_OK;
        world_end(&w);
    }
    assert_int_equal(refused, 25);
    assert_int_equal(reset, 25);
}

static void sim_ports_are_taken_once_unless_shared(void **state)
{
    (void)state;
    struct loop *l = sim_loop_new(1);
    struct listener *a, *b, *c, *none = NULL;
    const char *why = NULL;
    struct listen_options shared = {.reuse_port = true};
    assert_int_equal(net_listen(l, SPAN("h"), 0, NULL, on_accept, NULL, &a, &why), ERR_OK);
    uint16_t port = listener_port(a);
    assert_true(port > 0);
    assert_int_equal(net_listen(l, SPAN("h"), port, &shared, on_accept, NULL, &none, &why),
                     ERR_EXISTS);
    assert_non_null(why);
    assert_int_equal(net_listen(l, SPAN("h"), 9, &shared, on_accept, NULL, &b, &why), ERR_OK);
    assert_int_equal(net_listen(l, SPAN("h"), 9, &shared, on_accept, NULL, &c, &why), ERR_OK);
    assert_int_equal(sim_census(l).listeners, 3);
    listener_close(a), listener_close(b), listener_close(c);
    assert_int_equal(sim_census(l).listeners, 0);
    loop_free(l);
}

struct tick {
    struct timer timer;
    struct loop *loop;
    usec fired_at;
    bool stops;
};

static void tick_fire(struct timer *t)
{
    struct tick *k = CONTAINER_OF(t, struct tick, timer);
    k->fired_at = loop_now(k->loop);
    if (k->stops)
        loop_stop(k->loop);
}

static void sim_timers_fire_at_their_time_and_stop_ends_the_run(void **state)
{
    (void)state;
    struct loop *l = sim_loop_new(1);
    usec begun = loop_now(l);
    struct tick a = {.loop = l, .stops = true}, b = {.loop = l}, c = {.loop = l};
    loop_timer_in(l, &a.timer, 50, tick_fire);
    loop_timer_at(l, &b.timer, begun + 100, tick_fire);
    loop_timer_in(l, &c.timer, 70, tick_fire);
    loop_timer_cancel(l, &c.timer);
    assert_int_equal(sim_census(l).timers, 2);
    loop_run(l);
    assert_int_equal(a.fired_at, begun + 50);
    assert_int_equal(b.fired_at, 0);
    assert_true(sim_run_until(l, begun + 99));
    assert_int_equal(loop_now(l), begun + 99);
    loop_run(l);
    assert_int_equal(b.fired_at, begun + 100);
    assert_int_equal(c.fired_at, 0);
    assert_int_equal(sim_census(l).timers, 0);
    loop_free(l);
}

static void count_wake(void *ctx)
{
    ++*(unsigned *)ctx;
}

static void count_signal(void *ctx, int signum)
{
    *(unsigned *)ctx += (unsigned)signum;
}

static void sim_wakes_and_signals_reach_their_handlers(void **state)
{
    (void)state;
    struct loop *l = sim_loop_new(1);
    unsigned wakes = 0, signals = 0;
    loop_on_wake(l, count_wake, &wakes);
    loop_on_signal(l, 15, count_signal, &signals);
    loop_wake(l);
    loop_wake(l);
    loop_run(l);
    assert_int_equal(wakes, 1); /* merged */
    sim_signal(l, 15);
    sim_signal(l, 1);
    assert_int_equal(signals, 15);
    loop_free(l);
}

struct tapped {
    size_t to_listener, from_listener;
    bool wrong_dest;
};

static void on_tap(void *ctx, const char *dest, bool to_listener, struct span bytes)
{
    struct tapped *t = ctx;
    *(to_listener ? &t->to_listener : &t->from_listener) += bytes.len;
    t->wrong_dest = t->wrong_dest || strcmp(dest, "up:80") != 0;
}

static void sim_tap_sees_every_byte_and_its_destination(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, 5);
    struct tapped seen = {0};
    sim_tap(w.loop, on_tap, &seen);
    w.client.send = body, w.client.send_len = 70001;
    w.server.send = body, w.server.send_len = 333;
    connect_client(&w, "up", 80);
    sim_run_until(w.loop, 2 * USEC_PER_SEC);
    assert_int_equal(seen.to_listener, 70001);
    assert_int_equal(seen.from_listener, 333);
    assert_false(seen.wrong_dest);
    world_end(&w);
}

/* ---- one seed, one run ---- */

static uint64_t trace_hash;

static void trace(uint64_t value)
{
    trace_hash = (trace_hash ^ value) * 1099511628211u;
}

static void trace_tap(void *ctx, const char *dest, bool to_listener, struct span bytes)
{
    trace((uint64_t)loop_now(ctx));
    trace(bytes.len + (to_listener ? 1000000u : 0));
    for (size_t i = 0; dest[i]; i++)
        trace((uint64_t)dest[i]);
}

/* Eight clients at once through a bad network; what happened, as one number. */
static uint64_t traced_run(uint64_t seed, uint64_t *out_outcome)
{
    struct world w;
    struct peer clients[8], servers[8];
    trace_hash = 14695981039346656037u;
    world_begin(&w, seed);
    sim_tap(w.loop, trace_tap, w.loop);
    sim_set_faults(w.loop, &(struct sim_faults){.refuse = 50,
                                                .black_hole = 50,
                                                .name_lost = 50,
                                                .reset = 10,
                                                .stall = 10,
                                                .cut = 10,
                                                .short_io = 300,
                                                .latency_max = 20000});
    for (size_t i = 0; i < 8; i++) {
        clients[i] = servers[i] = (struct peer){.loop = w.loop, .read_cap = 5000};
        clients[i].got = mem_alloc(BODY_MAX);
        servers[i].got = mem_alloc(BODY_MAX);
        clients[i].send = servers[i].send = body;
        clients[i].send_len = 1000 + 20000 * i;
        servers[i].send_len = 100000 - 10000 * i;
        w.server.accepts = &servers[i];
        struct net_dest dest = {SPAN("up"), 80, NULL};
        net_connect(w.loop, &dest, &events, &clients[i], &clients[i].stream);
        sim_run_until(w.loop, loop_now(w.loop) + 20000);
    }
    sim_run_until(w.loop, 100 * USEC_PER_SEC);
    *out_outcome = 0;
    for (size_t i = 0; i < 8; i++) {
        trace(clients[i].got_len), trace(servers[i].got_len);
        trace(clients[i].ended), trace(servers[i].ended), trace(clients[i].connected);
        trace((uint64_t)clients[i].ended_at);
        *out_outcome = *out_outcome * 7 + clients[i].connected + clients[i].ended;
        assert_memory_equal(servers[i].got, body, servers[i].got_len);
        assert_memory_equal(clients[i].got, body, clients[i].got_len);
        assert_true(servers[i].got_len <= clients[i].send_len || clients[i].write_ended != ERR_OK);
        stream_close(clients[i].stream), stream_close(servers[i].stream);
        mem_free(clients[i].got), mem_free(servers[i].got);
    }
    world_end(&w);
    return trace_hash;
}

static void sim_same_seed_is_the_same_run_and_another_seed_is_not(void **state)
{
    (void)state;
    uint64_t different = 0, last = 0, outcome, again;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t hash = traced_run(seed, &outcome);
        assert_int_equal(hash, traced_run(seed, &again));
        assert_int_equal(outcome, again);
        different += hash != last;
        last = hash;
    }
    assert_int_equal(different, 60);
}

static void note_order(void *ctx, enum err result)
{
    (void)result;
    char **at = ctx;
    *(*at)++ = 'c';
}

static void note_accept(void *ctx, struct stream *s)
{
    char **at = ctx;
    *(*at)++ = 'a';
    stream_close(s);
}

struct order_timer {
    struct timer timer;
    char **at;
};

static void note_timer(struct timer *t)
{
    char **at = CONTAINER_OF(t, struct order_timer, timer)->at;
    *(*at)++ = 't';
}

static void sim_seed_shuffles_what_happens_at_the_same_time(void **state)
{
    (void)state;
    unsigned connect_first = 0, timer_first = 0;
    const struct stream_events only_connect = {.on_connect = note_order};
    for (uint64_t seed = 1; seed <= 100; seed++) {
        char order[4] = {0}, *at = order;
        struct loop *l = sim_loop_new(seed);
        struct order_timer timer = {.at = &at};
        struct listener *li;
        struct stream *s;
        const char *why;
        assert_int_equal(net_listen(l, SPAN("h"), 1, NULL, note_accept, &at, &li, &why), ERR_OK);
        struct net_dest dest = {SPAN("h"), 1, NULL};
        net_connect(l, &dest, &only_connect, &at, &s);
        loop_timer_in(l, &timer.timer, 0, note_timer);
        loop_run(l);
        assert_int_equal(at - order, 3);
        connect_first += strchr(order, 'c') < strchr(order, 'a');
        timer_first += order[0] == 't';
        stream_close(s);
        listener_close(li);
        loop_free(l);
    }
    assert_in_range(connect_first, 20, 80);
    assert_in_range(timer_first, 20, 80);
}

static void sim_random_is_seeded_and_within_its_bound(void **state)
{
    (void)state;
    struct loop *a = sim_loop_new(42), *b = sim_loop_new(42), *c = sim_loop_new(43);
    char of_a[16], of_b[16], of_c[16];
    loop_random(a, of_a, 16), loop_random(b, of_b, 16), loop_random(c, of_c, 16);
    assert_memory_equal(of_a, of_b, 16);
    assert_memory_not_equal(of_a, of_c, 16);
    unsigned seen[5] = {0};
    for (size_t i = 0; i < 5000; i++)
        seen[loop_random_below(a, 5)]++;
    for (size_t i = 0; i < 5; i++)
        assert_true(seen[i] > 850 && seen[i] < 1150);
    loop_free(a), loop_free(b), loop_free(c);
}

static void never_reads(void *ctx)
{
    (void)ctx;
}

static void sim_a_callback_that_spins_ends_the_test(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct world w;
        const struct stream_events lazy = {on_connect, never_reads, never_reads};
        (void)!freopen("/dev/null", "w", stderr);
        world_begin(&w, 1);
        w.server.send = body, w.server.send_len = 10;
        connect_client(&w, "up", 80);
        stream_set_events(w.client.stream, &lazy, &w.client);
        loop_run(w.loop);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    fill_body();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sim_carries_bytes_both_ways_in_order_and_ends_with_eof),
        cmocka_unit_test(sim_holds_a_writer_back_at_the_window),
        cmocka_unit_test(sim_close_delivers_queued_bytes_then_eof),
        cmocka_unit_test(sim_abort_resets_and_loses_queued_bytes_by_chance),
        cmocka_unit_test(sim_close_with_unread_bytes_resets_the_peer),
        cmocka_unit_test(sim_writing_to_a_closed_peer_ends_in_a_reset),
        cmocka_unit_test(sim_refuses_unknown_names_and_closed_ports),
        cmocka_unit_test(sim_faults_of_connecting_happen_and_are_told),
        cmocka_unit_test(sim_faults_of_one_host_leave_the_others_alone),
        cmocka_unit_test(sim_stalled_wire_delivers_nothing_more),
        cmocka_unit_test(sim_cut_delivers_a_prefix_and_an_end),
        cmocka_unit_test(sim_reset_reaches_both_ends),
        cmocka_unit_test(sim_short_io_still_carries_every_byte),
        cmocka_unit_test(sim_latency_takes_virtual_time),
        cmocka_unit_test(sim_closing_in_a_callback_stops_all_further_ones),
        cmocka_unit_test(sim_closing_while_connecting_is_silent),
        cmocka_unit_test(sim_closing_the_listener_resets_those_it_has_not_accepted),
        cmocka_unit_test(sim_ports_are_taken_once_unless_shared),
        cmocka_unit_test(sim_timers_fire_at_their_time_and_stop_ends_the_run),
        cmocka_unit_test(sim_wakes_and_signals_reach_their_handlers),
        cmocka_unit_test(sim_tap_sees_every_byte_and_its_destination),
        cmocka_unit_test(sim_same_seed_is_the_same_run_and_another_seed_is_not),
        cmocka_unit_test(sim_seed_shuffles_what_happens_at_the_same_time),
        cmocka_unit_test(sim_random_is_seeded_and_within_its_bound),
        cmocka_unit_test(sim_a_callback_that_spins_ends_the_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
