/* Conn over the real loop: one smoke test of everything together on loopback sockets, and what a
 * connection costs in memory. The clients and the origin of the latter are bare sockets without any
 * heap, so that what malloc says is the gateway's own. */
#include "base/mem.h"
#include "base/span.h"
#include "conn/pool.h"
#include "conn/server.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__)
#define HEAP_IS_MEASURABLE false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_IS_MEASURABLE false
#endif
#endif
#ifndef HEAP_IS_MEASURABLE
#define HEAP_IS_MEASURABLE true
#endif

struct gate {
    struct loop *loop;
    struct server *server;
    struct pool *pool;
    struct origin *origin;
    struct timer stopper;
    size_t requests, gone;
};

struct passage {
    struct gate *gate;
    struct request *request;
    struct call *call;
    struct pieces body;
};

static void on_head(void *ctx, const struct http_head *h)
{
    struct passage *p = ctx;
    struct http_field type = {SPAN("Content-Type"), http_field_get(h, "content-type")};
    reply_start(p->request, h->status, &type, type.value.at ? 1 : 0, h->content_length);
}

static void on_body(void *ctx, struct span bytes)
{
    struct passage *p = ctx;
    reply_body(p->request, bytes);
    if (reply_pending(p->request) > REPLY_HIGH_WATER)
        call_pause(p->call);
}

static void on_end(void *ctx)
{
    struct passage *p = ctx;
    reply_end(p->request);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct passage *p = ctx;
    (void)stage;
    if (reply_started(p->request))
        reply_abort(p->request);
    else
        reply_whole(p->request, err_status(e), NULL, 0, span_from(why));
}

static const struct call_events passage_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

/* Everything but /echo goes up. */
static void on_request(void *ctx, struct request *r)
{
    struct gate *g = ctx;
    g->requests++;
    if (span_is(request_path(r), "/echo")) {
        reply_whole(r, 200, NULL, 0, request_body(r));
        return;
    }
    struct passage *p = arena_new(request_arena(r), struct passage);
    p->gate = g;
    p->request = r;
    request_set_data(r, p);
    pieces_init(&p->body, request_arena(r));
    pieces_add(&p->body, request_body(r));
    struct call_request req = {
        .method = SPAN("POST"), .target = SPAN("/echo"), .fields = SPAN(""), .body = &p->body};
    p->call = call_start(g->pool, g->origin, &req, &passage_events, p);
}

static void on_gone(void *ctx, struct request *r)
{
    struct gate *g = ctx;
    struct passage *p = request_data(r);
    g->gone++;
    call_cancel(p->call);
    reply_abort(r);
}

static void on_drained(void *ctx, struct request *r)
{
    (void)ctx;
    struct passage *p = request_data(r);
    call_resume(p->call);
}

static void gate_open(struct gate *g, uint16_t origin_port)
{
    const char *why = "";
    *g = (struct gate){.loop = loop_new()};
    struct server_handler handler = {
        .on_request = on_request, .on_gone = on_gone, .on_drained = on_drained, .ctx = g};
    g->server = server_new(g->loop, &server_limits_default, &handler);
    assert_int_equal(
        server_listen(g->server, SPAN("127.0.0.1"), 0, &(struct listen_options){0}, &why), ERR_OK);
    g->pool = pool_new(g->loop, &pool_limits_default);
    struct url url = {.host = SPAN("127.0.0.1"),
                      .port = origin_port ? origin_port : server_port(g->server)};
    g->origin = pool_origin(g->pool, &url, NULL);
}

static void gate_close(struct gate *g)
{
    server_free(g->server);
    pool_free(g->pool);
    loop_free(g->loop);
}

static void stop(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct gate, stopper)->loop);
}

static void run_for(struct gate *g, usec time)
{
    loop_timer_in(g->loop, &g->stopper, time, stop);
    loop_run(g->loop);
    loop_timer_cancel(g->loop, &g->stopper);
}

/* ---- everything together ---- */

struct asker {
    struct gate *gate;
    struct call *call;
    struct call_request req;
    struct buf got;
    size_t left, done;
};

static void asker_next(struct asker *a);

static void asker_head(void *ctx, const struct http_head *h)
{
    (void)ctx;
    assert_int_equal(h->status, 200);
}

static void asker_body(void *ctx, struct span bytes)
{
    struct asker *a = ctx;
    assert_int_equal(buf_add(&a->got, bytes), ERR_OK);
}

static void asker_end(void *ctx)
{
    struct asker *a = ctx;
    struct arena arena;
    arena_init(&arena, (size_t)16 << 20);
    assert_true(span_eq(buf_span(&a->got), pieces_flatten(a->req.body, &arena)));
    arena_deinit(&arena);
    buf_deinit(&a->got);
    a->done++;
    asker_next(a);
}

static void asker_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    (void)ctx;
    fail_msg("%s at stage %d: %s", err_name(e), (int)stage, why);
}

static const struct call_events asker_events = {
    .on_head = asker_head, .on_body = asker_body, .on_end = asker_end, .on_error = asker_error};

static void asker_next(struct asker *a)
{
    if (a->left-- > 0)
        a->call = call_start(a->gate->pool, a->gate->origin, &a->req, &asker_events, a);
    else
        loop_stop(a->gate->loop);
}

/* The gate is its own origin: each request crosses the server twice and the pool twice. */
static void conn_carries_small_and_large_bodies_over_real_sockets(void **state)
{
    (void)state;
    static char large[5000000];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)('a' + i * 31 % 26);
    struct gate g;
    struct arena arena;
    gate_open(&g, 0);
    arena_init(&arena, (size_t)1 << 20);
    for (int big = 0; big < 2; big++) {
        struct pieces body;
        pieces_init(&body, &arena);
        pieces_add(&body, (struct span){large, big ? sizeof(large) : 10});
        struct asker a = {.gate = &g, .left = big ? 3 : 200};
        size_t want = a.left;
        a.req = (struct call_request){
            .method = SPAN("POST"), .target = SPAN("/up"), .fields = SPAN(""), .body = &body};
        buf_init(&a.got, (size_t)16 << 20);
        asker_next(&a);
        loop_timer_in(g.loop, &g.stopper, 20 * USEC_PER_SEC, stop);
        loop_run(g.loop);
        assert_int_equal(a.done, want);
    }
    assert_int_equal(pool_stats(g.pool).connects, 2);
    assert_int_equal(pool_stats(g.pool).silent_retries, 0);
    loop_timer_cancel(g.loop, &g.stopper);
    arena_deinit(&arena);
    gate_close(&g);
}

/* ---- memory ---- */

#define STREAMS 200

static int bare_dial(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

static int bare_listen(uint16_t *out_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
                listen(fd, STREAMS) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    *out_port = ntohs(at.sin_port);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void hear(int fd, const char *part)
{
    char bytes[4096] = "";
    assert_true(read(fd, bytes, sizeof(bytes) - 1) > 0);
    assert_non_null(strstr(bytes, part));
}

static size_t heap(void)
{
    return mallinfo2().uordblks;
}

static void conn_idle_connections_cost_little(void **state)
{
    (void)state;
    if (!HEAP_IS_MEASURABLE) {
        print_message("# the heap cannot be measured under AddressSanitizer\n");
        skip();
    }
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    struct gate g;
    int fds[STREAMS];
    size_t before = 0;
    gate_open(&g, 0);
    for (int i = -1; i < STREAMS; i++) { /* the first warms up what all share */
        int fd = bare_dial(server_port(g.server));
        say(fd, request);
        run_for(&g, 2 * USEC_PER_MS);
        hear(fd, "\r\n\r\nabc");
        if (i >= 0) {
            fds[i] = fd;
            continue;
        }
        close(fd);
        run_for(&g, 2 * USEC_PER_MS);
        before = heap();
    }
    run_for(&g, 10 * USEC_PER_MS);
    assert_int_equal(server_stats(g.server).connections, STREAMS);
    size_t each = (heap() - before) / STREAMS;
    print_message("# %zu bytes of heap per idle connection\n", each);
    assert_true(each > 100 && each <= 1536);
    for (int i = 0; i < STREAMS; i++)
        close(fds[i]);
    gate_close(&g);
}

static void conn_streaming_exchanges_cost_at_most_8_kib(void **state)
{
    (void)state;
    if (!HEAP_IS_MEASURABLE) {
        print_message("# the heap cannot be measured under AddressSanitizer\n");
        skip();
    }
    struct gate g;
    uint16_t port;
    int listener = bare_listen(&port), clients[STREAMS], origins[STREAMS];
    gate_open(&g, port);
    size_t before = 0;
    for (int i = 0; i < STREAMS; i++) {
        clients[i] = bare_dial(server_port(g.server));
        say(clients[i], "POST /v1/messages HTTP/1.1\r\nHost: gate.example\r\n"
                        "X-Api-Key: 0123456789abcdef0123456789abcdef\r\nAccept: */*\r\n"
                        "User-Agent: test/1\r\nContent-Type: application/json\r\n"
                        "Content-Length: 3\r\n\r\nabc");
        run_for(&g, 2 * USEC_PER_MS);
        origins[i] = accept(listener, NULL, NULL);
        run_for(&g, USEC_PER_MS);
        hear(origins[i], "\r\n\r\nabc");
        say(origins[i], "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        "Transfer-Encoding: chunked\r\nServer: test\r\n\r\n"
                        "7\r\ndata: a\r\n");
        run_for(&g, USEC_PER_MS);
        hear(clients[i], "data: a");
        if (i == 0)
            before = heap();
    }
    size_t each = (heap() - before) / (STREAMS - 1);
    print_message("# %zu bytes of heap per streaming exchange: both connections, call, request\n",
                  each);
    assert_true(each > 1000 && each <= 8192);
    for (int i = 0; i < STREAMS; i++) {
        close(clients[i]);
        if (i % 2)
            close(origins[i]);
    }
    run_for(&g, 20 * USEC_PER_MS);
    assert_true(g.gone >= STREAMS / 2);
    assert_int_equal(server_stats(g.server).requests_open, 0);
    for (int i = 0; i < STREAMS; i += 2)
        close(origins[i]);
    close(listener);
    gate_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conn_carries_small_and_large_bodies_over_real_sockets),
        cmocka_unit_test(conn_idle_connections_cost_little),
        cmocka_unit_test(conn_streaming_exchanges_cost_at_most_8_kib),
    };
    return cmocka_run_group_tests_name("conn_uv", tests, NULL, NULL);
}
