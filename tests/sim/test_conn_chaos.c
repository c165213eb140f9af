/* Clients, a gate and two upstreams, all made of conn, over a network with random faults; 2,000
 * seeds. The checker demands: every request ends exactly once on every side it reached; a complete
 * answer is the answer to its own request, byte for byte; bodies arrive as they were sent; no
 * upstream sees another one's key; nothing is left at the end, neither request nor connection nor
 * timer. HOTSPARE_SEED=n runs one seed, HOTSPARE_SEEDS=n that many. */
#include "base/mem.h"
#include "conn/pool.h"
#include "conn/server.h"
#include "base/span.h"
#include "net/sim.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CLIENTS 5
#define ROUNDS 6
#define UPSTREAMS 2
#define BODY_MAX 200000

struct world {
    struct loop *loop;
    uint64_t seed;
    struct upstream {
        struct world *world;
        struct server *server;
        const char *name;
        size_t requests, ended;
    } upstreams[UPSTREAMS];
    struct server *gate;
    struct pool *gate_pool, *client_pool;
    struct origin *origins[UPSTREAMS], *gate_origin;
    struct client {
        struct world *world;
        struct call *call;
        struct timer timer;
        struct arena arena;
        struct pieces body;
        char fields[128], target[64];
        uint64_t id;
        size_t size, got, rounds;
        int status;
        bool pausing;
    } clients[CLIENTS];
    size_t gate_requests, gate_ended;
    size_t started, complete, refused, broken, cancelled;
};

static struct { /* over all seeds: the run must not have been an idle one */
    size_t complete, refused, broken, cancelled, retries, reuses, gone;
} sum;

static size_t below(struct world *w, size_t bound)
{
    return (size_t)loop_random_below(w->loop, bound);
}

/* A third small, a third middling, a third up to several windows of the network. */
static size_t random_size(struct world *w)
{
    static const size_t most[] = {10, 5000, BODY_MAX};
    return below(w, most[below(w, 3)]) + 1;
}

/* The pattern of an id: a wrong, lost, repeated or reordered byte shows. */
static char pattern[BODY_MAX + 1000];

static struct span body_of(uint64_t id, size_t size)
{
    return (struct span){pattern + id * 7919 % 1000, size};
}

static void make_pattern(void)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < sizeof(pattern); i++) {
        x = x * 1664525u + 1013904223u;
        pattern[i] = (char)('a' + (x >> 16) % 26);
    }
}

static uint64_t number_in(const struct http_head *h, const char *name)
{
    uint64_t n = 0;
    struct span value = http_field_get(h, name);
    assert(span_u64(value, &n) == ERR_OK);
    return n;
}

/* ---- upstreams: answer whole, late, in chunks, or break off ---- */

struct job {
    struct upstream *up;
    struct request *request;
    struct timer timer;
    struct span rest;
    bool abort;
    bool told_gone;
};

static void job_end(struct job *j, bool abort)
{
    j->up->ended++;
    loop_timer_cancel(j->up->world->loop, &j->timer);
    if (abort)
        reply_abort(j->request);
    else
        reply_end(j->request);
}

static void job_go_on(struct timer *t)
{
    struct job *j = CONTAINER_OF(t, struct job, timer);
    struct world *w = j->up->world;
    if (reply_pending(j->request) < REPLY_HIGH_WATER) {
        struct span part = span_take(j->rest, 1 + below(w, j->rest.len));
        reply_body(j->request, part);
        j->rest = span_drop(j->rest, part.len);
    }
    if (j->rest.len == 0 || (j->abort && below(w, 3) == 0))
        job_end(j, j->abort);
    else
        loop_timer_in(w->loop, t, (usec)below(w, 3 * USEC_PER_SEC), job_go_on);
}

static void upstream_on_request(void *ctx, struct request *r)
{
    struct upstream *up = ctx;
    struct world *w = up->world;
    const struct http_head *h = request_head(r);
    uint64_t id = number_in(h, "x-id");
    struct span body = request_body(r);
    up->requests++;
    assert(span_is(http_field_get(h, "x-key"), up->name)); /* no key to another origin */
    assert(span_eq(body, body_of(id, body.len)) && body.len == number_in(h, "x-size"));
    struct job *j = arena_new(request_arena(r), struct job);
    *j = (struct job){.up = up, .request = r, .rest = body_of(id, random_size(w))};
    request_set_data(r, j);
    char text[64];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
    char size[32];
    (void)snprintf(size, sizeof(size), "%zu", j->rest.len);
    struct http_field fields[] = {{SPAN("x-id"), span_from(text)},
                                  {SPAN("x-size"), span_from(size)}};
    if (below(w, 3) == 0) {
        up->ended++;
        reply_whole(r, 200, fields, 2, j->rest);
        return;
    }
    j->abort = below(w, 6) == 0;
    reply_start(r, 200, fields, 2, below(w, 2) ? REPLY_CHUNKED : (int64_t)j->rest.len);
    if (below(w, 2))
        reply_flush(r);
    loop_timer_in(w->loop, &j->timer, (usec)below(w, 3 * USEC_PER_SEC), job_go_on);
}

static void upstream_on_gone(void *ctx, struct request *r)
{
    (void)ctx;
    struct job *j = request_data(r);
    assert(!j->told_gone);
    j->told_gone = true;
    sum.gone++;
    if (below(j->up->world, 2))
        job_end(j, true); /* else the job goes on into the void and ends by itself */
}

/* ---- the gate: carries a request up and its answer down ---- */

struct passage {
    struct world *world;
    struct request *request;
    struct call *call;
    struct pieces body;
    struct call_request req;
    struct timer timer;
    bool told_gone;
};

static void passage_end(struct passage *p, bool abort)
{
    p->world->gate_ended++;
    call_cancel(p->call);
    p->call = NULL;
    loop_timer_cancel(p->world->loop, &p->timer);
    if (abort)
        reply_abort(p->request);
    else
        reply_end(p->request);
}

static void gate_on_head(void *ctx, const struct http_head *h)
{
    struct passage *p = ctx;
    struct http_field fields[] = {{SPAN("x-id"), http_field_get(h, "x-id")},
                                  {SPAN("x-size"), http_field_get(h, "x-size")}};
    reply_start(p->request, h->status, fields, 2, h->content_length);
}

static void gate_on_body(void *ctx, struct span bytes)
{
    struct passage *p = ctx;
    reply_body(p->request, bytes);
    if (reply_pending(p->request) > REPLY_HIGH_WATER)
        call_pause(p->call);
}

static void gate_on_end(void *ctx)
{
    struct passage *p = ctx;
    p->call = NULL;
    passage_end(p, false);
}

static void gate_on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct passage *p = ctx;
    p->call = NULL;
    assert(e != ERR_OK && stage <= CALL_BODY && why[0]);
    if (reply_started(p->request)) {
        passage_end(p, true);
        return;
    }
    struct http_field field = {SPAN("x-id"), http_field_get(request_head(p->request), "x-id")};
    reply_start(p->request, err_status(e), &field, 1, 0);
    passage_end(p, false);
}

static const struct call_events gate_events = {.on_head = gate_on_head,
                                               .on_body = gate_on_body,
                                               .on_end = gate_on_end,
                                               .on_error = gate_on_error};

static void passage_overdue(struct timer *t)
{
    passage_end(CONTAINER_OF(t, struct passage, timer), true);
}

static void gate_on_request(void *ctx, struct request *r)
{
    struct world *w = ctx;
    const struct http_head *h = request_head(r);
    size_t to = span_is(request_path(r), "/a") ? 0 : 1;
    struct passage *p = arena_new(request_arena(r), struct passage);
    w->gate_requests++;
    p->world = w;
    p->request = r;
    request_set_data(r, p);
    pieces_init(&p->body, request_arena(r));
    pieces_add(&p->body, request_body(r));
    struct span fields =
        arena_printf(request_arena(r), "x-id: %.*s\r\nx-size: %.*s\r\nx-key: %s\r\n",
                     SPAN_FMT(http_field_get(h, "x-id")), SPAN_FMT(http_field_get(h, "x-size")),
                     w->upstreams[to].name);
    p->req = (struct call_request){
        .method = SPAN("POST"), .target = SPAN("/up"), .fields = fields, .body = &p->body};
    loop_timer_in(w->loop, &p->timer, 90 * USEC_PER_SEC, passage_overdue);
    p->call = call_start(w->gate_pool, w->origins[to], &p->req, &gate_events, p);
}

static void gate_on_gone(void *ctx, struct request *r)
{
    (void)ctx;
    struct passage *p = request_data(r);
    assert(!p->told_gone);
    p->told_gone = true;
    sum.gone++;
    passage_end(p, true);
}

static void gate_on_drained(void *ctx, struct request *r)
{
    (void)ctx;
    struct passage *p = request_data(r);
    call_resume(p->call);
}

/* ---- clients: one request after another, some of them given up ---- */

static void client_next(struct timer *t);

static void client_done(struct client *c)
{
    struct world *w = c->world;
    c->call = NULL;
    if (c->rounds < ROUNDS)
        loop_timer_in(w->loop, &c->timer, (usec)below(w, 2 * USEC_PER_SEC), client_next);
    else
        loop_timer_cancel(w->loop, &c->timer);
}

static void client_gives_up(struct timer *t)
{
    struct client *c = CONTAINER_OF(t, struct client, timer);
    if (c->pausing) {
        c->pausing = false;
        call_resume(c->call);
        loop_timer_in(c->world->loop, t, 40 * USEC_PER_SEC, client_gives_up);
        return;
    }
    call_cancel(c->call);
    c->world->cancelled++;
    client_done(c);
}

static void client_on_head(void *ctx, const struct http_head *h)
{
    struct client *c = ctx;
    assert(c->status == 0);
    c->status = h->status;
    if (h->status < 400 || http_field_get(h, "x-id").at)
        assert(number_in(h, "x-id") == c->id); /* the answer to this very request */
    c->size = h->status == 200 ? (size_t)number_in(h, "x-size") : SIZE_MAX;
    if (below(c->world, 20) == 0) {
        call_cancel(c->call);
        c->world->cancelled++;
        client_done(c);
    }
}

static void client_on_body(void *ctx, struct span bytes)
{
    struct client *c = ctx;
    if (c->status != 200)
        return;
    assert(span_eq(bytes, span_drop(body_of(c->id, c->got + bytes.len), c->got)));
    c->got += bytes.len;
    if (below(c->world, 10) == 0 && !c->pausing) {
        c->pausing = true;
        call_pause(c->call);
        loop_timer_in(c->world->loop, &c->timer, (usec)below(c->world, 5000), client_gives_up);
    }
}

static void client_on_end(void *ctx)
{
    struct client *c = ctx;
    if (c->status == 200) {
        assert(c->got == c->size);
        c->world->complete++;
    } else {
        assert(c->status >= 400);
        c->world->refused++;
    }
    client_done(c);
}

static void client_on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct client *c = ctx;
    assert(e != ERR_OK && why[0] && (stage == CALL_BODY) == (c->status != 0));
    c->world->broken++;
    client_done(c);
}

static const struct call_events client_events = {.on_head = client_on_head,
                                                 .on_body = client_on_body,
                                                 .on_end = client_on_end,
                                                 .on_error = client_on_error};

static void client_next(struct timer *t)
{
    struct client *c = CONTAINER_OF(t, struct client, timer);
    struct world *w = c->world;
    size_t size = random_size(w);
    c->rounds++;
    c->id = w->started++ + w->seed * 1000;
    c->status = 0;
    c->size = c->got = 0;
    c->pausing = false;
    arena_reset(&c->arena);
    pieces_init(&c->body, &c->arena);
    pieces_add(&c->body, body_of(c->id, size));
    (void)snprintf(c->fields, sizeof(c->fields), "x-id: %llu\r\nx-size: %zu\r\n%s",
                   (unsigned long long)c->id, size, below(w, 5) ? "" : "Connection: close\r\n");
    (void)snprintf(c->target, sizeof(c->target), below(w, 2) ? "/a" : "/b?x=y");
    struct call_request req = {.method = SPAN("POST"),
                               .target = span_from(c->target),
                               .fields = span_from(c->fields),
                               .body = &c->body};
    c->call = call_start(w->client_pool, w->gate_origin, &req, &client_events, c);
    usec patience = below(w, 4) ? 60 * USEC_PER_SEC : (usec)below(w, 2 * USEC_PER_SEC);
    loop_timer_in(w->loop, &c->timer, patience, client_gives_up);
}

/* ---- the world ---- */

static struct sim_faults random_faults(struct world *w)
{
    struct sim_faults f = {0};
    f.latency_max = (usec)below(w, 50000);
    if (below(w, 4) == 0)
        return f;
    if (below(w, 2))
        f.short_io = (uint32_t)below(w, 500);
    if (below(w, 3) == 0)
        f.refuse = (uint32_t)below(w, 300);
    if (below(w, 3) == 0)
        f.black_hole = (uint32_t)below(w, 200);
    if (below(w, 3) == 0)
        f.name_lost = (uint32_t)below(w, 200);
    if (below(w, 2))
        f.reset = (uint32_t)below(w, 60);
    if (below(w, 3) == 0)
        f.stall = (uint32_t)below(w, 30);
    if (below(w, 3) == 0)
        f.cut = (uint32_t)below(w, 60);
    return f;
}

static struct origin *origin_of(struct pool *p, const char *host)
{
    struct url url = {.host = span_from(host), .port = 80};
    return pool_origin(p, &url, NULL);
}

static void build(struct world *w)
{
    static const char *const names[UPSTREAMS] = {"up-a", "up-b"};
    const char *why;
    struct sim_faults faults = random_faults(w);
    sim_set_faults(w->loop, &faults);
    w->gate_pool = pool_new(w->loop, &pool_limits_default);
    w->client_pool = pool_new(w->loop, &pool_limits_default);
    for (size_t i = 0; i < UPSTREAMS; i++) {
        struct upstream *up = &w->upstreams[i];
        faults = random_faults(w);
        sim_set_host_faults(w->loop, names[i], &faults);
        *up = (struct upstream){.world = w, .name = names[i]};
        struct server_handler handler = {
            .on_request = upstream_on_request, .on_gone = upstream_on_gone, .ctx = up};
        up->server = server_new(w->loop, &server_limits_default, &handler);
        assert_int_equal(
            server_listen(up->server, span_from(names[i]), 80, &(struct listen_options){0}, &why),
            ERR_OK);
        w->origins[i] = origin_of(w->gate_pool, names[i]);
    }
    struct server_handler handler = {.on_request = gate_on_request,
                                     .on_gone = gate_on_gone,
                                     .on_drained = gate_on_drained,
                                     .ctx = w};
    w->gate = server_new(w->loop, &server_limits_default, &handler);
    assert_int_equal(server_listen(w->gate, SPAN("gate"), 80, &(struct listen_options){0}, &why),
                     ERR_OK);
    w->gate_origin = origin_of(w->client_pool, "gate");
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *c = &w->clients[i];
        c->world = w;
        arena_init(&c->arena, (size_t)1 << 20);
        loop_timer_in(w->loop, &c->timer, (usec)below(w, USEC_PER_SEC), client_next);
    }
}

/* Time enough for every deadline there is: nothing is open any more, and nobody was cut. */
static void check(struct world *w)
{
    assert(w->started == CLIENTS * ROUNDS);
    assert(w->complete + w->refused + w->broken + w->cancelled == w->started);
    assert(w->gate_requests == w->gate_ended);
    assert(server_stats(w->gate).requests_open == 0);
    assert(server_stats(w->gate).connections == 0);
    assert(server_stats(w->gate).body_bytes_held == 0);
    assert(pool_stats(w->gate_pool).open == 0);
    assert(pool_stats(w->client_pool).open == 0);
    assert(pool_stats(w->client_pool).idle == 0);
    for (size_t i = 0; i < UPSTREAMS; i++) {
        assert(w->upstreams[i].requests == w->upstreams[i].ended);
        assert(server_stats(w->upstreams[i].server).requests_open == 0);
        assert(server_stats(w->upstreams[i].server).connections == 0);
        assert(server_stats(w->upstreams[i].server).body_bytes_held == 0);
    }
}

static void note(struct world *w)
{
    struct pool_stats a = pool_stats(w->gate_pool), b = pool_stats(w->client_pool);
    sum.complete += w->complete;
    sum.refused += w->refused;
    sum.broken += w->broken;
    sum.cancelled += w->cancelled;
    sum.retries += a.silent_retries + b.silent_retries;
    sum.reuses += a.reuses + b.reuses;
}

static void tear_down(struct world *w)
{
    pool_free(w->client_pool);
    server_free(w->gate);
    pool_free(w->gate_pool);
    for (size_t i = 0; i < UPSTREAMS; i++)
        server_free(w->upstreams[i].server);
    for (size_t i = 0; i < CLIENTS; i++)
        arena_deinit(&w->clients[i].arena);
    (void)sim_run_until(w->loop, loop_now(w->loop) + USEC_PER_SEC);
    struct sim_census left = sim_census(w->loop);
    assert(left.streams == 0);
    assert(left.listeners == 0);
    assert(left.timers == 0);
    loop_free(w->loop);
}

static void run(uint64_t seed)
{
    struct world *w = mem_new(struct world);
    w->seed = seed;
    w->loop = sim_loop_new(seed);
    build(w);
    (void)sim_run_until(w->loop, 2000 * USEC_PER_SEC);
    check(w);
    note(w);
    tear_down(w);
    mem_free(w);
}

static uint64_t seed_now;

/* Any assert, also one in the code under test, ends here: say how to see it again. */
static void tell_seed(int signum)
{
    (void)signum;
    (void)fprintf(stderr, "# failed with HOTSPARE_SEED=%llu\n", (unsigned long long)seed_now);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    uint64_t n = otherwise;
    const char *text = getenv(name);
    return text && span_u64(span_from(text), &n) == ERR_OK ? n : otherwise;
}

static void requests_end_once_and_answers_are_their_own_under_any_faults(void **state)
{
    (void)state;
    uint64_t only = setting("HOTSPARE_SEED", 0), count = setting("HOTSPARE_SEEDS", 2000);
    make_pattern();
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : count); seed++) {
        seed_now = seed;
        run(seed);
    }
    print_message("# %zu complete, %zu refused, %zu broken, %zu cancelled, %zu gone, "
                  "%zu reuses, %zu silent retries\n",
                  sum.complete, sum.refused, sum.broken, sum.cancelled, sum.gone, sum.reuses,
                  sum.retries);
    if (only)
        return;
    assert_true(sum.complete > sum.broken && sum.refused > 0 && sum.broken > 0);
    assert_true(sum.cancelled > 0 && sum.gone > 0 && sum.reuses > 0);
    assert_true(count < 500 || sum.retries > 0);
}

int main(void)
{
    (void)signal(SIGABRT, tell_seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_end_once_and_answers_are_their_own_under_any_faults),
    };
    return cmocka_run_group_tests_name("conn_chaos", tests, NULL, NULL);
}
