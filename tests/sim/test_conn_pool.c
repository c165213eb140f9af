/* Upstream calls and their pool over the simulator: our side against scripted origins. */
#include "test_conn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SEC USEC_PER_SEC
#define OK_TWO "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

struct stage {
    struct loop *loop;
    struct host host;
    struct pool *pool;
    struct origin *origin;
    struct caller a, b;
};

static struct origin *origin_of(struct pool *p, const char *text)
{
    struct url url;
    const char *why;
    assert_int_equal(url_parse(span_from(text), &url, &why), ERR_OK);
    return pool_origin(p, &url, NULL);
}

static void open_all(struct stage *t, const struct pool_limits *limits, uint64_t seed)
{
    *t = (struct stage){.loop = sim_loop_new(seed)};
    host_open(&t->host, t->loop, "up", 8000);
    t->pool = pool_new(t->loop, limits);
    t->origin = origin_of(t->pool, "http://up:8000");
}

static void open_stage_with(struct stage *t, const struct pool_limits *limits, const char *answer)
{
    open_all(t, limits, 7);
    t->host.on_bytes = answer ? host_answers : NULL;
    t->host.answer = answer;
}

static void open_stage_seeded(struct stage *t, uint64_t seed)
{
    open_all(t, &pool_limits_default, seed);
}

static void open_stage(struct stage *t, const char *answer)
{
    open_stage_with(t, &pool_limits_default, answer);
}

static void close_stage(struct stage *t)
{
    pool_free(t->pool);
    host_close(&t->host);
    caller_reset(&t->a);
    caller_reset(&t->b);
    pass(t->loop, SEC);
    struct sim_census left = sim_census(t->loop);
    assert_int_equal(left.streams, 0);
    assert_int_equal(left.listeners, 0);
    assert_int_equal(left.timers, 0);
    loop_free(t->loop);
}

/* A GET from the start to its end, whatever that is. */
static void get(struct stage *t, struct caller *c)
{
    caller_reset(c);
    caller_start(c, t->pool, t->origin, "GET", "/path", NULL);
    pass(t->loop, SEC);
}

static void got_two(struct stage *t)
{
    get(t, &t->a);
    assert_int_equal(t->a.heads, 1);
    assert_int_equal(t->a.ends, 1);
    assert_int_equal(t->a.errors, 0);
    assert_int_equal(t->a.status, 200);
    assert_true(span_is(buf_span(&t->a.body), "hi"));
}

static void failed(const struct caller *c, enum err e, enum call_stage stage)
{
    assert_int_equal(c->ends, 0);
    assert_int_equal(c->errors, 1);
    assert_int_equal(c->error, e);
    assert_int_equal(c->stage, stage);
    assert_true(c->why[0] != '\0');
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" has no \"%s\"", text, part);
}

/* ---- requests ---- */

static void call_writes_a_whole_request(void **state)
{
    (void)state;
    struct stage t;
    struct arena arena;
    struct pieces body;
    static char large[300000];
    memset(large, 'L', sizeof(large));
    open_stage(&t, NULL);
    arena_init(&arena, (size_t)1 << 20);
    pieces_init(&body, &arena);
    for (int i = 0; i < 200; i++) { /* more pieces than one gathering write takes */
        pieces_copy(&body, SPAN("glue"));
        pieces_add(&body, (struct span){large, 1000});
    }
    pieces_add(&body, (struct span){large, sizeof(large)});
    caller_start(&t.a, t.pool, t.origin, "POST", "/v1/x?beta=true", &body);
    pass(t.loop, SEC);
    struct peer *up = &t.host.peers[0];
    const char *got = peer_got(up);
    const char *head = "POST /v1/x?beta=true HTTP/1.1\r\nHost: up:8000\r\nx-key: secret\r\n"
                       "Content-Length: 500800\r\n\r\n";
    assert_memory_equal(got, head, strlen(head));
    struct span whole = pieces_flatten(&body, &arena);
    assert_int_equal(strlen(got + strlen(head)), whole.len);
    assert_memory_equal(got + strlen(head), whole.at, whole.len);
    peer_send(up, OK_TWO);
    pass(t.loop, SEC);
    assert_int_equal(t.a.ends, 1);
    assert_int_equal(pool_stats(t.pool).idle, 1);
    arena_deinit(&arena);
    close_stage(&t);
}

static void call_says_the_length_of_no_body_where_one_is_expected(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, NULL);
    caller_start(&t.a, t.pool, t.origin, "POST", "/", NULL);
    pass(t.loop, SEC);
    caller_start(&t.b, t.pool, t.origin, "GET", "/", NULL);
    pass(t.loop, SEC);
    has(peer_got(&t.host.peers[0]), "\r\nContent-Length: 0\r\n");
    assert_null(strstr(peer_got(&t.host.peers[1]), "Content-Length"));
    call_cancel(t.a.call);
    call_cancel(t.b.call);
    t.a.call = t.b.call = NULL;
    close_stage(&t);
}

static void origin_names_itself_with_its_port_where_needed(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"http://plain", "plain", "Host: plain\r\n"},
        {"http://plain:8080", "plain", "Host: plain:8080\r\n"},
        {"http://[::1]:80", "::1", "Host: [::1]\r\n"},
        {"http://[::1]:81", "::1", "Host: [::1]:81\r\n"},
    };
    static const uint16_t ports[] = {80, 8080, 80, 81};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage t;
        struct host other;
        open_stage(&t, NULL);
        host_open(&other, t.loop, cases[i][1], ports[i]);
        struct origin *o = origin_of(t.pool, cases[i][0]);
        assert_ptr_equal(o, origin_of(t.pool, cases[i][0]));
        assert_ptr_not_equal(o, t.origin);
        caller_start(&t.a, t.pool, o, "GET", "/", NULL);
        pass(t.loop, SEC);
        has(peer_got(&other.peers[0]), cases[i][2]);
        call_cancel(t.a.call);
        t.a.call = NULL;
        host_close(&other);
        close_stage(&t);
    }
}

static void call_refuses_to_write_a_split_head(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, NULL);
    caller_start(&t.a, t.pool, t.origin, "GET", "/a HTTP/1.1\r\nX: y", NULL);
    assert_int_equal(t.a.errors, 0); /* never before call_start returns */
    pass(t.loop, SEC);
    failed(&t.a, ERR_INVALID, CALL_CONNECT);
    assert_int_equal(t.host.count, 0);
    close_stage(&t);
}

/* ---- reuse ---- */

static void pool_reuses_a_clean_connection(void **state)
{
    (void)state;
    static const char *const clean[] = {
        OK_TWO,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_TWO),
    };
    for (size_t i = 0; i < ARRAY_LEN(clean); i++) {
        struct stage t;
        open_stage(&t, clean[i]);
        for (int n = 0; n < 5; n++)
            got_two(&t);
        assert_int_equal(t.host.count, 1);
        assert_int_equal(pool_stats(t.pool).connects, 1);
        assert_int_equal(pool_stats(t.pool).reuses, 4);
        assert_int_equal(pool_stats(t.pool).open, 1);
        assert_int_equal(pool_stats(t.pool).idle, 1);
        close_stage(&t);
    }
}

static void pool_never_reuses_an_unclean_connection(void **state)
{
    (void)state;
    static const char *const unclean[] = {
        (OK_TWO "x"),    /* bytes nobody asked for */
        (OK_TWO OK_TWO), /* an answer nobody asked for */
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    };
    for (size_t i = 0; i < ARRAY_LEN(unclean); i++) {
        struct stage t;
        open_stage(&t, unclean[i]);
        got_two(&t);
        got_two(&t);
        assert_int_equal(t.host.count, 2);
        assert_int_equal(pool_stats(t.pool).reuses, 0);
        assert_int_equal(pool_stats(t.pool).idle, 0);
        close_stage(&t);
    }
}

static void pool_never_reuses_after_a_cancel(void **state)
{
    (void)state;
    for (int at = 0; at < 3; at++) {
        struct stage t;
        open_stage(&t, at == 0 ? NULL : OK_TWO);
        t.a.cancel_at_head = at == 1;
        t.a.cancel_at_body = at == 2;
        caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
        pass(t.loop, SEC);
        if (at == 0) { /* sent, nothing answered yet */
            call_cancel(t.a.call);
            t.a.call = NULL;
        }
        assert_null(t.a.call);
        assert_int_equal(t.a.ends + t.a.errors, 0);
        assert_int_equal(t.a.bodies, at == 2);
        assert_int_equal(pool_stats(t.pool).open, 0);
        pass(t.loop, SEC);
        assert_true(t.host.peers[0].reset);
        t.host.on_bytes = host_answers;
        t.host.answer = OK_TWO;
        got_two(&t);
        assert_int_equal(t.host.count, 2);
        close_stage(&t);
    }
}

static void pool_closes_an_idle_connection_that_stirs(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct stage t;
        open_stage(&t, OK_TWO);
        got_two(&t);
        struct peer *up = &t.host.peers[0];
        if (how == 0)
            peer_send(up, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
        else
            peer_end(up, how == 2);
        pass(t.loop, USEC_PER_MS);
        assert_int_equal(pool_stats(t.pool).open, 0);
        assert_int_equal(pool_stats(t.pool).idle, 0);
        got_two(&t);
        assert_int_equal(pool_stats(t.pool).silent_retries, 0);
        close_stage(&t);
    }
}

/* A stray 408 arrives in the very turn in which the next call starts: it must not become its
 * answer, in whatever order the loop tells of the two. */
static void pool_asks_a_connection_again_before_reuse(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct stage t;
        open_stage_seeded(&t, seed);
        caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
        pass(t.loop, USEC_PER_MS);
        caller_start(&t.b, t.pool, t.origin, "GET", "/", NULL);
        pass(t.loop, USEC_PER_MS);
        assert_int_equal(t.host.count, 2);
        peer_send(&t.host.peers[0], OK_TWO);
        pass(t.loop, USEC_PER_MS);
        t.b.again = t.origin;
        peer_send(&t.host.peers[0], "HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n");
        peer_send(&t.host.peers[1],
                  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi");
        pass(t.loop, USEC_PER_MS);
        assert_int_equal(t.host.count, 3);
        peer_send(&t.host.peers[2], OK_TWO);
        pass(t.loop, USEC_PER_MS);
        assert_int_equal(t.b.ends, 2);
        assert_int_equal(t.b.status, 200);
        close_stage(&t);
    }
}

static void pool_closes_connections_that_rest_too_long(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, OK_TWO);
    caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
    caller_start(&t.b, t.pool, t.origin, "GET", "/", NULL);
    pass(t.loop, SEC);
    assert_int_equal(pool_stats(t.pool).idle, 2);
    caller_reset(&t.b);
    for (int i = 0; i < 7; i++) { /* the newest is used, the other one rests */
        pass(t.loop, 8 * SEC);
        got_two(&t);
    }
    assert_int_equal(pool_stats(t.pool).idle, 1);
    assert_int_equal(t.host.count, 2);
    pass(t.loop, 50 * SEC);
    assert_int_equal(pool_stats(t.pool).idle, 1);
    pass(t.loop, 20 * SEC);
    assert_int_equal(pool_stats(t.pool).idle, 0);
    pass(t.loop, SEC);
    assert_true(t.host.peers[0].eof && t.host.peers[1].eof);
    close_stage(&t);
}

static void pool_keeps_its_bounds_per_origin(void **state)
{
    (void)state;
    struct pool_limits limits = pool_limits_default;
    limits.idle_max = 1;
    limits.connections_max = 2;
    struct stage t;
    struct caller c = {0};
    open_stage_with(&t, &limits, NULL);
    caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
    caller_start(&t.b, t.pool, t.origin, "GET", "/", NULL);
    caller_start(&c, t.pool, t.origin, "GET", "/", NULL);
    assert_int_equal(c.errors, 0);
    pass(t.loop, USEC_PER_MS);
    failed(&c, ERR_LIMIT, CALL_CONNECT);
    caller_reset(&c);
    caller_start(&c, t.pool, t.origin, "GET", "/", NULL);
    call_cancel(c.call); /* also before it is told */
    c.call = NULL;
    peer_send(&t.host.peers[0], OK_TWO);
    peer_send(&t.host.peers[1], OK_TWO);
    pass(t.loop, SEC);
    assert_int_equal(t.a.ends + t.b.ends, 2);
    assert_int_equal(pool_stats(t.pool).idle, 1);
    assert_int_equal(pool_stats(t.pool).open, 1);
    caller_reset(&c);
    close_stage(&t);
}

static void pool_lets_on_end_start_the_next_call_on_the_same_connection(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, OK_TWO);
    t.a.again = t.origin;
    caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
    pass(t.loop, SEC);
    assert_int_equal(t.a.ends, 2);
    assert_int_equal(t.host.count, 1);
    close_stage(&t);
}

/* ---- the silent retry ---- */

static size_t deaths_left;
static const char *last_words;
static bool death_by_reset;

/* Answers a connection's first request; kills it at the second one, as often as told. */
static void dies_when_reused(struct host *h, struct peer *p)
{
    if (p->connect_result == ERR_OK && p->reads == 1) {
        host_answers(h, p);
        return;
    }
    if (deaths_left) {
        deaths_left--;
        if (last_words)
            peer_send(p, last_words);
        (void)peer_got(p);
        peer_end(p, death_by_reset);
        return;
    }
    host_answers(h, p);
}

static void dies_at_once(struct host *h, struct peer *p)
{
    (void)h;
    (void)peer_got(p);
    peer_end(p, death_by_reset);
}

static void call_retries_silently_when_a_reused_connection_died(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct stage t;
        struct arena arena;
        struct pieces body;
        arena_init(&arena, 65536);
        pieces_init(&body, &arena);
        pieces_copy(&body, SPAN("the body goes out twice"));
        open_stage(&t, OK_TWO);
        t.host.on_bytes = dies_when_reused;
        deaths_left = 1;
        last_words = NULL;
        death_by_reset = reset;
        got_two(&t);
        t.host.on_bytes = NULL;
        t.host.on_bytes = dies_when_reused;
        caller_start(&t.b, t.pool, t.origin, "POST", "/b", &body);
        pass(t.loop, SEC);
        assert_int_equal(t.b.ends, 1);
        assert_int_equal(t.b.heads, 1);
        assert_int_equal(t.b.errors, 0);
        assert_int_equal(deaths_left, 0);
        assert_int_equal(t.host.count, 2);
        assert_int_equal(pool_stats(t.pool).silent_retries, 1);
        close_stage(&t);
        arena_deinit(&arena);
    }
}

static void call_never_retries_twice(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, OK_TWO);
    got_two(&t);
    t.host.on_bytes = dies_at_once;
    death_by_reset = false;
    get(&t, &t.b);
    failed(&t.b, ERR_EOF, CALL_WAIT);
    assert_int_equal(t.host.count, 2); /* the reused one and one fresh one */
    assert_int_equal(pool_stats(t.pool).silent_retries, 1);
    close_stage(&t);
}

static void call_uses_a_fresh_connection_for_its_retry(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, OK_TWO);
    caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
    caller_start(&t.b, t.pool, t.origin, "GET", "/", NULL);
    pass(t.loop, SEC);
    assert_int_equal(pool_stats(t.pool).idle, 2);
    caller_reset(&t.b);
    t.host.on_bytes = dies_when_reused;
    deaths_left = 1;
    last_words = NULL;
    get(&t, &t.b);
    assert_int_equal(t.b.ends, 1);
    assert_int_equal(t.host.count, 3); /* the other idle one may be as dead as the first */
    close_stage(&t);
}

static void call_does_not_retry_a_fresh_connection(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct stage t;
        open_stage(&t, NULL);
        t.host.on_bytes = dies_at_once;
        death_by_reset = reset;
        get(&t, &t.a);
        failed(&t.a, reset ? ERR_RESET : ERR_EOF, CALL_WAIT);
        assert_int_equal(t.host.count, 1);
        close_stage(&t);
    }
}

static void call_does_not_retry_after_a_byte_of_an_answer(void **state)
{
    (void)state;
    static const char *const words[] = {"H", "HTTP/1.1 100 Continue\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct stage t;
        open_stage(&t, OK_TWO);
        t.host.on_bytes = dies_when_reused;
        deaths_left = 1;
        last_words = words[i];
        death_by_reset = false;
        got_two(&t);
        get(&t, &t.b);
        failed(&t.b, ERR_EOF, i == 2 ? CALL_BODY : CALL_WAIT);
        assert_int_equal(t.host.count, 1);
        assert_int_equal(pool_stats(t.pool).silent_retries, 0);
        close_stage(&t);
    }
}

/* ---- responses ---- */

static void call_reads_responses_cut_anywhere(void **state)
{
    (void)state;
    static const char answer[] =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n6\r\ndefghi\r\n1;x=y\r\nj\r\n0\r\n\r\n";
    for (size_t cut = 0; cut < sizeof(answer); cut++) {
        struct stage t;
        open_stage(&t, NULL);
        caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
        pass(t.loop, USEC_PER_MS);
        for (size_t at = 0; at < sizeof(answer) - 1;) {
            size_t n = cut == 0 ? 1 : at == 0 ? cut : sizeof(answer) - 1 - at;
            if (n > sizeof(answer) - 1 - at)
                n = sizeof(answer) - 1 - at;
            peer_send_bytes(&t.host.peers[0], (struct span){answer + at, n});
            pass(t.loop, USEC_PER_MS);
            at += n;
        }
        assert_int_equal(t.a.heads, 1);
        assert_int_equal(t.a.ends, 1);
        assert_true(span_is(buf_span(&t.a.body), "abcdefghij"));
        assert_int_equal(pool_stats(t.pool).idle, 1);
        close_stage(&t);
    }
}

static void call_drops_the_trailers_of_an_event_stream(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n");
    got_two(&t);
    got_two(&t);
    assert_int_equal(t.host.count, 1);
    close_stage(&t);
}

static void call_hands_up_the_chunks_of_one_read_in_one_piece(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n1\r\nj\r\n0\r\n\r\n");
    get(&t, &t.a);
    assert_int_equal(t.a.bodies, 1);
    assert_true(span_is(buf_span(&t.a.body), "abcabcdefghijklmnopqrstuvwxyzj"));
    close_stage(&t);
}

static void call_takes_a_close_for_an_end_only_where_framing_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool reset, complete;
        enum err error;
        enum call_stage stage;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\nhi", false, true, ERR_OK, CALL_BODY},
        {"HTTP/1.0 200 OK\r\n\r\nhi", false, true, ERR_OK, CALL_BODY},
        {"HTTP/1.1 200 OK\r\n\r\nhi", true, false, ERR_RESET, CALL_BODY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", false, false, ERR_EOF, CALL_BODY},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", false, false, ERR_EOF,
         CALL_BODY},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", false, false,
         ERR_EOF, CALL_BODY},
        {"HTTP/1.1 200 OK\r\nContent-Le", false, false, ERR_EOF, CALL_WAIT},
        {"", false, false, ERR_EOF, CALL_WAIT},
        {"", true, false, ERR_RESET, CALL_WAIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage t;
        open_stage(&t, NULL);
        caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
        pass(t.loop, USEC_PER_MS);
        peer_send(&t.host.peers[0], cases[i].answer);
        pass(t.loop, USEC_PER_MS);
        (void)peer_got(&t.host.peers[0]);
        peer_end(&t.host.peers[0], cases[i].reset);
        pass(t.loop, SEC);
        if (cases[i].complete) {
            assert_int_equal(t.a.ends, 1);
            assert_int_equal(t.a.errors, 0);
        } else {
            failed(&t.a, cases[i].error, cases[i].stage);
        }
        assert_int_equal(pool_stats(t.pool).open, 0);
        close_stage(&t);
    }
}

static void call_knows_that_head_has_no_body(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    for (int i = 0; i < 2; i++) {
        caller_reset(&t.a);
        caller_start(&t.a, t.pool, t.origin, "HEAD", "/", NULL);
        pass(t.loop, SEC);
        assert_int_equal(t.a.ends, 1);
        assert_int_equal(t.a.bodies, 0);
    }
    assert_int_equal(t.host.count, 1);
    close_stage(&t);
}

static void call_refuses_what_is_not_http(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, "SSH-2.0-OpenSSH_9\r\n");
    get(&t, &t.a);
    failed(&t.a, ERR_SYNTAX, CALL_WAIT);
    close_stage(&t);
    open_stage(&t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n");
    get(&t, &t.a);
    failed(&t.a, ERR_SYNTAX, CALL_BODY);
    assert_true(span_is(buf_span(&t.a.body), "hi")); /* what was good came first */
    close_stage(&t);
}

static void call_bounds_answers_but_not_event_streams(void **state)
{
    (void)state;
    struct pool_limits limits = pool_limits_default;
    limits.http.body_bytes = 1000;
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n",
    };
    char body[1002];
    memset(body, 'e', sizeof(body));
    body[1001] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct stage t;
        open_stage_with(&t, &limits, NULL);
        caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
        pass(t.loop, USEC_PER_MS);
        peer_send(&t.host.peers[0], heads[i]);
        peer_send(&t.host.peers[0], body);
        pass(t.loop, USEC_PER_MS);
        if (i < 2)
            failed(&t.a, ERR_LIMIT, CALL_BODY);
        else
            assert_int_equal(t.a.body.len, 1001);
        call_cancel(t.a.call);
        t.a.call = NULL;
        close_stage(&t);
    }
}

static void call_pause_stops_reading_until_resume(void **state)
{
    (void)state;
    static char body[1000000];
    struct stage t;
    open_stage(&t, NULL);
    t.a.pause_at_body = true;
    caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
    pass(t.loop, USEC_PER_MS);
    struct peer *up = &t.host.peers[0];
    peer_send(up, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    peer_send_bytes(up, (struct span){body, sizeof(body)});
    pass(t.loop, 100 * SEC);
    assert_int_equal(t.a.bodies, 1);
    assert_true(t.a.body.len <= 65536);
    t.a.pause_at_body = false;
    call_resume(t.a.call);
    pass(t.loop, SEC);
    assert_int_equal(t.a.ends, 1);
    assert_int_equal(t.a.body.len, sizeof(body));
    t.host.on_bytes = host_answers;
    t.host.answer = OK_TWO;
    got_two(&t);
    assert_int_equal(t.host.count, 1);
    close_stage(&t);
}

/* ---- answers before the whole request was taken ---- */

static void call_takes_an_early_answer_but_not_the_connection(void **state)
{
    (void)state;
    static char bytes[500000];
    for (int closing = 0; closing < 2; closing++) {
        struct stage t;
        struct arena arena;
        struct pieces body;
        open_stage(&t, NULL);
        arena_init(&arena, 65536);
        pieces_init(&body, &arena);
        pieces_add(&body, (struct span){bytes, sizeof(bytes)});
        sim_set_faults(t.loop, &(struct sim_faults){.latency_min = 1000, .latency_max = 1000});
        caller_start(&t.a, t.pool, t.origin, "POST", "/", &body);
        pass(t.loop, 2500);
        assert_int_equal(t.host.count, 1);
        peer_read(&t.host.peers[0], false);
        peer_send(&t.host.peers[0],
                  "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
        if (closing)
            peer_end(&t.host.peers[0], false); /* resets: our bytes were not read */
        pass(t.loop, SEC);
        if (t.a.ends) {
            assert_int_equal(t.a.status, 413);
            assert_true(span_is(buf_span(&t.a.body), "no"));
        } else { /* a reset may overtake the answer */
            assert_true(closing);
            failed(&t.a, ERR_RESET, CALL_SEND);
        }
        assert_int_equal(pool_stats(t.pool).open, 0);
        close_stage(&t);
        arena_deinit(&arena);
    }
}

/* ---- deadlines ---- */

static void call_gives_up_connecting_after_its_time(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, OK_TWO);
    sim_set_faults(t.loop, &(struct sim_faults){.black_hole = 1000});
    caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
    struct call_request req = {.method = SPAN("GET"), .target = SPAN("/"), .connect_time = 5 * SEC};
    t.b.call = call_start(t.pool, t.origin, &req, &caller_events, &t.b);
    pass(t.loop, 2900 * USEC_PER_MS);
    assert_int_equal(t.a.errors, 0);
    pass(t.loop, 200 * USEC_PER_MS);
    failed(&t.a, ERR_TIMEOUT, CALL_CONNECT);
    pass(t.loop, 1800 * USEC_PER_MS);
    assert_int_equal(t.b.errors, 0);
    pass(t.loop, 200 * USEC_PER_MS);
    failed(&t.b, ERR_TIMEOUT, CALL_CONNECT);
    assert_int_equal(pool_stats(t.pool).open, 0);
    close_stage(&t);
}

static void call_tells_why_it_could_not_connect(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, OK_TWO);
    sim_set_faults(t.loop, &(struct sim_faults){.refuse = 1000});
    get(&t, &t.a);
    failed(&t.a, ERR_REFUSED, CALL_CONNECT);
    sim_set_faults(t.loop, &(struct sim_faults){.name_lost = 1000});
    get(&t, &t.a);
    failed(&t.a, ERR_NAME, CALL_CONNECT);
    close_stage(&t);
}

static void call_gives_up_when_the_origin_stops_taking_the_request(void **state)
{
    (void)state;
    static char bytes[500000];
    struct stage t;
    struct arena arena;
    struct pieces body;
    open_stage(&t, NULL);
    arena_init(&arena, 65536);
    pieces_init(&body, &arena);
    pieces_add(&body, (struct span){bytes, sizeof(bytes)});
    sim_set_faults(t.loop, &(struct sim_faults){.latency_min = 1000, .latency_max = 1000});
    caller_start(&t.a, t.pool, t.origin, "POST", "/", &body);
    pass(t.loop, 2500);
    peer_read(&t.host.peers[0], false);
    pass(t.loop, 25 * SEC);
    peer_read(&t.host.peers[0], true); /* it moves again: the gap begins anew */
    pass(t.loop, 1500);
    peer_read(&t.host.peers[0], false);
    pass(t.loop, 29 * SEC);
    assert_int_equal(t.a.errors, 0);
    pass(t.loop, 2 * SEC);
    failed(&t.a, ERR_TIMEOUT, CALL_SEND);
    close_stage(&t);
    arena_deinit(&arena);
}

static void call_waits_for_an_answer_as_long_as_it_is_let(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, NULL);
    caller_start(&t.a, t.pool, t.origin, "GET", "/", NULL);
    pass(t.loop, 5000 * SEC);
    assert_int_equal(t.a.errors, 0);
    peer_send(&t.host.peers[0], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    pass(t.loop, 5000 * SEC);
    assert_int_equal(t.a.heads, 1);
    peer_send(&t.host.peers[0], "hi");
    pass(t.loop, SEC);
    assert_int_equal(t.a.ends, 1);
    close_stage(&t);
}

static void an_origin_goes_when_nobody_wants_it_and_its_connections_are_idle(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t, OK_TWO);
    struct origin *other = origin_of(t.pool, "http://other:1");
    assert_int_equal(pool_stats(t.pool).origins, 2);
    assert_ptr_equal(origin_of(t.pool, "http://up:8000"), t.origin); /* wanted twice */
    caller_start(&t.a, t.pool, t.origin, "GET", "/path", NULL);
    pool_origin_release(t.origin);
    pool_origin_release(t.origin);
    pool_origin_release(other);
    struct origin *third = origin_of(t.pool, "http://third:1");
    assert_int_equal(pool_stats(t.pool).origins, 2); /* a call is under way */
    pass(t.loop, SEC);
    assert_int_equal(t.a.ends, 1);
    assert_int_equal(pool_stats(t.pool).idle, 1);
    assert_ptr_equal(origin_of(t.pool, "http://third:1"), third);
    assert_int_equal(pool_stats(t.pool).origins, 1);
    assert_int_equal(pool_stats(t.pool).open, 0); /* the idle one was closed with it */
    close_stage(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_writes_a_whole_request),
        cmocka_unit_test(call_says_the_length_of_no_body_where_one_is_expected),
        cmocka_unit_test(origin_names_itself_with_its_port_where_needed),
        cmocka_unit_test(call_refuses_to_write_a_split_head),
        cmocka_unit_test(pool_reuses_a_clean_connection),
        cmocka_unit_test(pool_never_reuses_an_unclean_connection),
        cmocka_unit_test(pool_never_reuses_after_a_cancel),
        cmocka_unit_test(pool_closes_an_idle_connection_that_stirs),
        cmocka_unit_test(pool_asks_a_connection_again_before_reuse),
        cmocka_unit_test(pool_closes_connections_that_rest_too_long),
        cmocka_unit_test(pool_keeps_its_bounds_per_origin),
        cmocka_unit_test(pool_lets_on_end_start_the_next_call_on_the_same_connection),
        cmocka_unit_test(call_retries_silently_when_a_reused_connection_died),
        cmocka_unit_test(call_never_retries_twice),
        cmocka_unit_test(call_uses_a_fresh_connection_for_its_retry),
        cmocka_unit_test(call_does_not_retry_a_fresh_connection),
        cmocka_unit_test(call_does_not_retry_after_a_byte_of_an_answer),
        cmocka_unit_test(call_reads_responses_cut_anywhere),
        cmocka_unit_test(call_drops_the_trailers_of_an_event_stream),
        cmocka_unit_test(call_hands_up_the_chunks_of_one_read_in_one_piece),
        cmocka_unit_test(call_takes_a_close_for_an_end_only_where_framing_says_so),
        cmocka_unit_test(call_knows_that_head_has_no_body),
        cmocka_unit_test(call_refuses_what_is_not_http),
        cmocka_unit_test(call_bounds_answers_but_not_event_streams),
        cmocka_unit_test(call_pause_stops_reading_until_resume),
        cmocka_unit_test(call_takes_an_early_answer_but_not_the_connection),
        cmocka_unit_test(call_gives_up_connecting_after_its_time),
        cmocka_unit_test(call_tells_why_it_could_not_connect),
        cmocka_unit_test(call_gives_up_when_the_origin_stops_taking_the_request),
        cmocka_unit_test(call_waits_for_an_answer_as_long_as_it_is_let),
        cmocka_unit_test(an_origin_goes_when_nobody_wants_it_and_its_connections_are_idle),
    };
    return cmocka_run_group_tests_name("conn_pool", tests, NULL, NULL);
}
