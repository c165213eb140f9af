/* Server connections over the simulator: raw clients against a scripted handler, in virtual time.
 */
#include "test_conn_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SEC USEC_PER_SEC

struct stage {
    struct loop *loop;
    struct site site;
    struct peer *client;
};

static void open_stage_with(struct stage *t, const struct server_limits *limits)
{
    *t = (struct stage){.loop = sim_loop_new(7)};
    site_open(&t->site, t->loop, limits);
    t->client = peer_dial(t->loop, "gate", 80);
    pass(t->loop, USEC_PER_MS);
    assert_true(t->client->connected);
}

static void open_stage(struct stage *t)
{
    open_stage_with(t, NULL);
}

/* Everything must be gone when all are closed. */
static void close_stage(struct stage *t)
{
    peer_free(t->client);
    site_close(&t->site);
    pass(t->loop, SEC);
    struct sim_census left = sim_census(t->loop);
    assert_int_equal(left.streams, 0);
    assert_int_equal(left.listeners, 0);
    assert_int_equal(left.timers, 0);
    loop_free(t->loop);
}

static const char *ask(struct stage *t, const char *request)
{
    peer_send(t->client, request);
    pass(t->loop, USEC_PER_MS);
    return peer_got(t->client);
}

static void ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    if (n < m || strcmp(text + n - m, end) != 0)
        fail_msg("\"%s\" does not end with \"%s\"", text, end);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" has no \"%s\"", text, part);
}

static void hasnt(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" has \"%s\"", text, part);
}

#define ECHO_ABC "POST /echo HTTP/1.1\r\nHost: gate\r\nContent-Length: 3\r\n\r\nabc"
#define HOLD "GET /hold HTTP/1.1\r\nHost: gate\r\n\r\n"

/* ---- requests ---- */

static void server_answers_and_keeps_the_connection(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    for (int i = 0; i < 3; i++) {
        const char *got = ask(&t, ECHO_ABC);
        assert_memory_equal(got, "HTTP/1.1 200 OK\r\n", 17);
        has(got, "\r\nContent-Length: 3\r\n");
        has(got, "\r\nContent-Type: text/plain\r\n");
        has(got, " GMT\r\n");
        hasnt(got, "Connection:");
        ends_with(got, "\r\n\r\nabc");
    }
    assert_false(t.client->eof);
    assert_int_equal(server_stats(t.site.server).accepted, 1);
    assert_int_equal(server_stats(t.site.server).body_bytes_held, 0);
    close_stage(&t);
}

static void server_closes_when_the_client_asks_and_for_http_1_0(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /echo HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n",
        "GET /echo HTTP/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct stage t;
        open_stage(&t);
        has(ask(&t, requests[i]), "\r\nConnection: close\r\n");
        assert_true(t.client->eof);
        close_stage(&t);
    }
    struct stage t;
    open_stage(&t);
    const char *got = ask(&t, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    has(got, "\r\nConnection: keep-alive\r\n");
    assert_false(t.client->eof);
    close_stage(&t);
}

static void server_reads_requests_cut_anywhere(void **state)
{
    (void)state;
    static const char request[] =
        "POST /echo HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n" ECHO_ABC;
    for (size_t cut = 0; cut < sizeof(request); cut++) { /* 0: byte by byte */
        struct stage t;
        open_stage(&t);
        for (size_t at = 0; at < sizeof(request) - 1;) {
            size_t n = cut == 0 ? 1 : at == 0 ? cut : sizeof(request) - 1 - at;
            if (n > sizeof(request) - 1 - at)
                n = sizeof(request) - 1 - at;
            peer_send_bytes(t.client, (struct span){request + at, n});
            pass(t.loop, USEC_PER_MS);
            at += n;
        }
        const char *got = peer_got(t.client);
        assert_int_equal(count_of(got, "HTTP/1.1 200 OK"), 2);
        has(got, "abcdefgh");
        ends_with(got, "\r\n\r\nabc");
        close_stage(&t);
    }
}

static void server_answers_pipelined_requests_one_at_a_time_in_order(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    hasnt(ask(&t, HOLD ECHO_ABC HOLD ECHO_ABC), "HTTP");
    assert_int_equal(t.site.requests, 1); /* the second waits for the first one's reply */
    peer_send(t.client, HOLD);
    pass(t.loop, SEC);
    assert_int_equal(t.site.requests, 1);
    reply_whole(site_next(&t.site), 201, NULL, 0, SPAN("first"));
    pass(t.loop, USEC_PER_MS);
    assert_int_equal(t.site.requests, 3);
    reply_whole(site_next(&t.site), 202, NULL, 0, SPAN("third"));
    pass(t.loop, USEC_PER_MS);
    reply_whole(site_next(&t.site), 204, NULL, 0, SPAN_EMPTY);
    pass(t.loop, USEC_PER_MS);
    const char *got = peer_got(t.client);
    const char *first = strstr(got, " 201 "), *second = strstr(got, " 200 ");
    const char *third = strstr(got, " 202 "), *last = strstr(got, " 204 ");
    assert_true(first && second && third && last);
    assert_true(first < second && second < third && third < last);
    assert_int_equal(t.site.requests, 5);
    close_stage(&t);
}

static void server_reads_no_more_than_a_bounded_rest_while_it_answers(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    for (size_t i = 0; i < 20000; i++)
        peer_send(t.client, ECHO_ABC);
    pass(t.loop, SEC);
    assert_int_equal(t.site.requests, 1);
    /* what the server took, and one window of the network: the rest waits at the client */
    assert_true(t.client->out.len - t.client->out_at > 20000 * (sizeof(ECHO_ABC) - 1) - 200000);
    reply_whole(site_next(&t.site), 200, NULL, 0, SPAN("held"));
    pass(t.loop, 10 * SEC);
    assert_int_equal(t.site.requests, 20001);
    assert_int_equal(count_of(peer_got(t.client), "\r\n\r\nabc"), 20000);
    close_stage(&t);
}

static void server_gives_bodies_whole_up_to_the_limit_and_413_past_it(void **state)
{
    (void)state;
    struct server_limits limits = server_limits_default;
    limits.http.body_bytes = 200000;
    static char body[200001];
    memset(body, 'x', sizeof(body));
    for (int chunked = 0; chunked < 2; chunked++) {
        for (size_t size = 200000; size <= 200001; size++) {
            struct stage t;
            char head[128];
            open_stage_with(&t, &limits);
            if (chunked)
                (void)snprintf(head, sizeof(head),
                               "POST /echo HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n%zx\r\n",
                               size);
            else
                (void)snprintf(head, sizeof(head),
                               "POST /echo HTTP/1.1\r\nHost: g\r\nContent-Length: %zu\r\n\r\n",
                               size);
            peer_send(t.client, head);
            peer_send_bytes(t.client, (struct span){body, size});
            if (chunked)
                peer_send(t.client, "\r\n0\r\n\r\n");
            pass(t.loop, 100 * USEC_PER_MS);
            const char *got = peer_got(t.client);
            if (size == 200000) {
                has(got, "HTTP/1.1 200 OK");
                assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), size);
            } else {
                has(got, "HTTP/1.1 413 ");
                assert_int_equal(t.site.requests, 0);
            }
            assert_int_equal(server_stats(t.site.server).body_bytes_held, 0);
            close_stage(&t);
        }
    }
}

static void server_counts_held_bodies_and_refuses_past_their_sum(void **state)
{
    (void)state;
    struct server_limits limits = server_limits_default;
    limits.body_memory_max = 1000;
    struct stage t;
    open_stage_with(&t, &limits);
    char body[801];
    memset(body, 'b', 800);
    body[800] = '\0';
    (void)ask(&t, "POST /hold HTTP/1.1\r\nHost: g\r\nContent-Length: 800\r\n\r\n");
    (void)ask(&t, body);
    assert_int_equal(server_stats(t.site.server).body_bytes_held, 800);
    struct peer *known = peer_dial(t.loop, "gate", 80), *chunks = peer_dial(t.loop, "gate", 80);
    peer_send(known, "POST /echo HTTP/1.1\r\nHost: g\r\nContent-Length: 201\r\n\r\n");
    peer_send(chunks, "POST /echo HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "c8\r\n");
    body[200] = '\0';
    peer_send(chunks, body);
    pass(t.loop, USEC_PER_MS);
    assert_int_equal(server_stats(t.site.server).body_bytes_held, 1000);
    peer_send(chunks, "\r\n1\r\nx\r\n");
    pass(t.loop, USEC_PER_MS);
    has(peer_got(known), "HTTP/1.1 503 ");
    has(peer_got(chunks), "HTTP/1.1 503 ");
    reply_whole(site_next(&t.site), 200, NULL, 0, SPAN_EMPTY);
    assert_int_equal(server_stats(t.site.server).body_bytes_held, 0);
    peer_free(known);
    peer_free(chunks);
    close_stage(&t);
}

static void server_says_continue_only_where_it_helps(void **state)
{
    (void)state;
    struct server_limits limits = server_limits_default;
    limits.http.body_bytes = 10;
    struct stage t;
    open_stage_with(&t, &limits);
    const char *got = ask(&t, "POST /echo HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\n"
                              "Content-Length: 3\r\n\r\n");
    assert_string_equal(got, "HTTP/1.1 100 Continue\r\n\r\n");
    got = ask(&t, "abc");
    assert_memory_equal(got, "HTTP/1.1 200 OK", 15);
    got = ask(&t, "POST /echo HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\n"
                  "Content-Length: 3\r\n\r\nabc");
    assert_memory_equal(got, "HTTP/1.1 200 OK", 15); /* the body is here already */
    got = ask(&t, "POST /echo HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\n"
                  "Content-Length: 11\r\n\r\n");
    assert_memory_equal(got, "HTTP/1.1 413 ", 13); /* nothing to wait for */
    close_stage(&t);
}

static void server_keeps_what_the_handler_may_look_at(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, "POST /hold?a=b HTTP/1.1\r\nHost: gate\r\nX-One: 1\r\nX-Two: two\r\n"
                  "Content-Length: 3\r\n\r\nabc" ECHO_ABC);
    struct request *r = site_next(&t.site);
    assert_true(span_is(request_path(r), "/hold"));
    assert_true(span_is(request_query(r), "a=b"));
    assert_true(span_is(request_body(r), "abc"));
    assert_true(span_is(request_head(r)->method, "POST"));
    assert_true(span_is(http_field_get(request_head(r), "x-two"), "two"));
    assert_non_null(request_peer(r));
    assert_ptr_equal(request_loop(r), t.loop);
    request_set_data(r, &t);
    assert_ptr_equal(request_data(r), &t);
    assert_false(reply_started(r));
    reply_whole(r, 200, NULL, 0, SPAN_EMPTY);
    close_stage(&t);
}

/* ---- replies ---- */

static void server_frames_replies_of_unknown_length(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    const char *got = ask(&t, "GET /chunks HTTP/1.1\r\nHost: g\r\n\r\n");
    has(got, "\r\nTransfer-Encoding: chunked\r\n");
    hasnt(got, "Content-Length");
    ends_with(got, "\r\n\r\n3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n0\r\n\r\n");
    got = ask(&t, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    hasnt(got, "Transfer-Encoding");
    has(got, "\r\nConnection: close\r\n");
    ends_with(got, "\r\n\r\nonetwotwotwotwotwotwo");
    assert_true(t.client->eof); /* which ends it */
    close_stage(&t);
}

static void server_sends_no_body_where_there_must_be_none(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    const char *got = ask(&t, "HEAD /echo HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\nhi");
    has(got, "\r\nContent-Length: 2\r\n");
    ends_with(got, "\r\n\r\n");
    got = ask(&t, "HEAD /chunks HTTP/1.1\r\nHost: g\r\n\r\n");
    has(got, "\r\nTransfer-Encoding: chunked\r\n");
    ends_with(got, "\r\n\r\n");
    hasnt(got, "one");
    (void)ask(&t, HOLD);
    reply_whole(site_next(&t.site), 204, NULL, 0, SPAN_EMPTY);
    pass(t.loop, USEC_PER_MS);
    got = peer_got(t.client);
    hasnt(got, "Content-Length");
    ends_with(got, "\r\n\r\n");
    ends_with(ask(&t, ECHO_ABC), "abc");
    close_stage(&t);
}

static void server_writes_framing_fields_alone_and_never_splits_a_head(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    struct http_field fields[] = {{SPAN("content-length"), SPAN("999")},
                                  {SPAN("Transfer-Encoding"), SPAN("chunked")},
                                  {SPAN("connection"), SPAN("close")},
                                  {SPAN("X-Bad"), SPAN("a\r\nX-Split: 1")},
                                  {SPAN("X-Good"), SPAN("yes")}};
    reply_whole(site_next(&t.site), 200, fields, ARRAY_LEN(fields), SPAN("body"));
    pass(t.loop, USEC_PER_MS);
    const char *got = peer_got(t.client);
    hasnt(got, "999");
    hasnt(got, "hunked");
    hasnt(got, "lose");
    hasnt(got, "X-Split");
    has(got, "\r\nX-Good: yes\r\n");
    ends_with(got, "\r\n\r\nbody");
    close_stage(&t);
}

static size_t writes_seen;

static void count_writes(void *ctx, const char *dest, bool to_listener, struct span bytes)
{
    (void)ctx;
    (void)dest;
    /* one call per piece: a write that begins a reply begins with its status line */
    if (!to_listener && bytes.len)
        writes_seen++;
}

static void server_sends_head_and_first_body_bytes_together(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    struct request *r = site_next(&t.site);
    sim_tap(t.loop, count_writes, NULL);
    writes_seen = 0;
    reply_start(r, 200, NULL, 0, REPLY_CHUNKED);
    assert_true(reply_started(r));
    assert_int_equal(writes_seen, 0);
    assert_true(reply_pending(r) > 0);
    size_t reads = t.client->reads;
    reply_body(r, SPAN("first"));
    assert_int_equal(reply_pending(r), 0);
    assert_int_equal(writes_seen, 3); /* the pieces: head with the chunk's size, bytes, CR LF */
    pass(t.loop, USEC_PER_MS);
    assert_int_equal(t.client->reads, reads + 1);
    reply_end(r);
    (void)ask(&t, HOLD);
    r = site_next(&t.site);
    writes_seen = 0;
    reply_start(r, 200, NULL, 0, REPLY_CHUNKED);
    reply_flush(r);
    assert_int_equal(writes_seen, 1);
    reply_end(r);
    pass(t.loop, USEC_PER_MS);
    close_stage(&t);
}

static void server_holds_back_a_fast_handler_and_says_when_it_drained(void **state)
{
    (void)state;
    static char bytes[300000];
    memset(bytes, 'y', sizeof(bytes));
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    struct request *r = site_next(&t.site);
    peer_read(t.client, false);
    reply_start(r, 200, NULL, 0, sizeof(bytes) + 5);
    reply_body(r, (struct span){bytes, sizeof(bytes)});
    pass(t.loop, SEC);
    assert_true(reply_pending(r) > REPLY_HIGH_WATER);
    assert_int_equal(t.site.drained, 0);
    peer_read(t.client, true);
    pass(t.loop, SEC);
    assert_int_equal(t.site.drained, 1);
    assert_int_equal(reply_pending(r), 0);
    reply_body(r, SPAN("small"));
    reply_end(r);
    pass(t.loop, SEC);
    assert_int_equal(t.site.drained, 1);
    const char *got = peer_got(t.client);
    assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), sizeof(bytes) + 5);
    ends_with(got, "yyysmall");
    close_stage(&t);
}

static void server_goes_on_sending_after_the_handler_has_ended(void **state)
{
    (void)state;
    static char bytes[1000000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)('a' + i * 7 % 26);
    struct stage t;
    open_stage(&t);
    sim_set_faults(t.loop, &(struct sim_faults){.short_io = 500, .latency_max = 1000});
    (void)ask(&t, HOLD);
    pass(t.loop, SEC);
    reply_whole(site_next(&t.site), 200, NULL, 0, (struct span){bytes, sizeof(bytes)});
    peer_send(t.client, ECHO_ABC);
    pass(t.loop, 60 * SEC);
    const char *got = peer_got(t.client);
    const char *body = strstr(got, "\r\n\r\n") + 4;
    assert_memory_equal(body, bytes, sizeof(bytes));
    assert_memory_equal(body + sizeof(bytes), "HTTP/1.1 200 OK", 15);
    close_stage(&t);
}

static void server_cuts_a_reply_that_ends_short_of_its_length(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    struct request *r = site_next(&t.site);
    reply_start(r, 200, NULL, 0, 10);
    reply_body(r, SPAN("four"));
    reply_end(r);
    pass(t.loop, USEC_PER_MS);
    assert_true(t.client->reset);
    close_stage(&t);
}

static void server_abort_is_no_orderly_end(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    struct request *r = site_next(&t.site);
    reply_start(r, 200, NULL, 0, REPLY_CHUNKED);
    reply_body(r, SPAN("some"));
    reply_abort(r);
    pass(t.loop, USEC_PER_MS);
    assert_true(t.client->reset);
    hasnt(peer_got(t.client), "0\r\n\r\n");
    assert_int_equal(t.site.gone, 0);
    close_stage(&t);
}

/* ---- clients that go ---- */

static void server_tells_once_that_a_client_is_gone(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        for (int writing = 0; writing < 2; writing++) {
            struct stage t;
            open_stage(&t);
            t.site.keep_on_gone = true;
            (void)ask(&t, HOLD);
            struct request *r = site_next(&t.site);
            reply_start(r, 200, NULL, 0, REPLY_CHUNKED);
            reply_body(r, SPAN("some"));
            pass(t.loop, USEC_PER_MS);
            peer_end(t.client, reset);
            for (int i = 0; i < 3; i++) {
                if (writing)
                    reply_body(r, SPAN("more"));
                pass(t.loop, USEC_PER_MS);
            }
            assert_int_equal(t.site.gone, 1);
            reply_body(r, SPAN("into the void"));
            assert_int_equal(reply_pending(r), 0);
            assert_int_equal(server_stats(t.site.server).requests_open, 1);
            if (writing)
                reply_abort(r);
            else
                reply_end(r); /* on a gone client both only let go */
            assert_int_equal(server_stats(t.site.server).requests_open, 0);
            assert_int_equal(server_stats(t.site.server).connections, 0);
            close_stage(&t);
        }
    }
}

static void server_never_calls_back_from_within_a_reply_call(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    struct request *r = t.site.held[0];
    peer_end(t.client, true);
    sim_set_faults(t.loop, &(struct sim_faults){.reset = 1000});
    reply_start(r, 200, NULL, 0, REPLY_CHUNKED);
    for (int i = 0; i < 5; i++)
        reply_body(r, SPAN("more"));
    assert_int_equal(t.site.gone, 0);
    pass(t.loop, USEC_PER_MS);
    assert_int_equal(t.site.gone, 1);
    close_stage(&t);
}

static void server_cuts_a_client_that_stops_reading(void **state)
{
    (void)state;
    static char bytes[300000];
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    struct request *r = t.site.held[0];
    peer_read(t.client, false);
    reply_start(r, 200, NULL, 0, sizeof(bytes));
    reply_body(r, (struct span){bytes, sizeof(bytes) - 1});
    pass(t.loop, 59 * SEC);
    assert_int_equal(t.site.gone, 0);
    pass(t.loop, 2 * SEC);
    assert_int_equal(t.site.gone, 1);
    close_stage(&t);

    open_stage(&t); /* also when the handler has ended long ago */
    (void)ask(&t, HOLD);
    peer_read(t.client, false);
    reply_whole(site_next(&t.site), 200, NULL, 0, (struct span){bytes, sizeof(bytes)});
    pass(t.loop, 59 * SEC);
    assert_int_equal(server_stats(t.site.server).connections, 1);
    pass(t.loop, 2 * SEC);
    assert_int_equal(server_stats(t.site.server).connections, 0);
    close_stage(&t);
}

static void server_does_not_time_a_handler_or_a_slow_but_moving_client(void **state)
{
    (void)state;
    static char bytes[1000000];
    struct stage t;
    open_stage(&t);
    (void)ask(&t, HOLD);
    pass(t.loop, 500 * SEC);
    struct request *r = site_next(&t.site);
    reply_start(r, 200, NULL, 0, sizeof(bytes));
    reply_body(r, (struct span){bytes, sizeof(bytes)});
    for (int i = 0; i < 10; i++) { /* a window's worth now and then */
        peer_read(t.client, false);
        pass(t.loop, 50 * SEC);
        peer_read(t.client, true);
        pass(t.loop, 1);
    }
    assert_int_equal(t.site.gone, 0);
    reply_end(r);
    pass(t.loop, SEC);
    assert_false(t.client->reset);
    close_stage(&t);
}

/* ---- deadlines of requests ---- */

static void server_times_the_head_as_a_whole(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    (void)ask(&t, ECHO_ABC);
    pass(t.loop, 30 * SEC);
    peer_send(t.client, "GET /echo HTTP/1.1\r\n");
    for (int i = 0; i < 9; i++) { /* a byte now and then does not help */
        peer_send(t.client, "a");
        pass(t.loop, SEC);
    }
    assert_string_equal(peer_got(t.client), "");
    pass(t.loop, 2 * SEC);
    has(peer_got(t.client), "HTTP/1.1 408 ");
    pass(t.loop, 2 * SEC);
    assert_true(t.client->eof);
    close_stage(&t);
}

static void server_closes_silent_connections(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t); /* never says a word: the head's time */
    pass(t.loop, 11 * SEC);
    assert_true(t.client->eof);
    assert_string_equal(peer_got(t.client), "");
    close_stage(&t);
    open_stage(&t); /* used before: the keep-alive time */
    (void)ask(&t, ECHO_ABC);
    pass(t.loop, 74 * SEC);
    assert_false(t.client->eof);
    pass(t.loop, 2 * SEC);
    assert_true(t.client->eof);
    close_stage(&t);
}

static void server_refuses_bodies_that_pause_or_crawl(void **state)
{
    (void)state;
    static const char head[] = "POST /a HTTP/1.1\r\nHost: g\r\nContent-Length: 100000\r\n\r\nab";
    struct stage t;
    open_stage(&t); /* 60 KB at once, then nothing: the gap */
    char bytes[60001];
    memset(bytes, 'z', sizeof(bytes));
    bytes[60000] = '\0';
    (void)ask(&t, head);
    (void)ask(&t, bytes);
    pass(t.loop, 29 * SEC);
    assert_string_equal(peer_got(t.client), "");
    pass(t.loop, 2 * SEC);
    const char *got = peer_got(t.client);
    has(got, "HTTP/1.1 408 ");
    has(got, "\"path\":\"/a\"");
    close_stage(&t);

    open_stage(&t); /* 500 bytes a second: the rate, after its grace */
    (void)ask(&t, head);
    bytes[500] = '\0';
    usec refused = 0;
    for (int i = 0; i < 30 && !refused; i++) {
        if (strstr(ask(&t, bytes), "408"))
            refused = i;
        pass(t.loop, SEC);
    }
    assert_in_range(refused, 9, 12);
    close_stage(&t);

    open_stage(&t); /* 2 KB a second goes on */
    (void)ask(&t, head);
    memset(bytes, 'z', 2000);
    bytes[2000] = '\0';
    for (int i = 0; i < 40; i++) {
        assert_string_equal(ask(&t, bytes), "");
        pass(t.loop, SEC);
    }
    close_stage(&t);
}

/* ---- refusals ---- */

static void server_answers_an_error_early_and_drains(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    static char body[50000];
    memset(body, 'q', sizeof(body));
    peer_send(t.client, "POST /x/y?z HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999\r\n\r\n");
    peer_send_bytes(t.client, (struct span){body, sizeof(body)});
    pass(t.loop, 100 * USEC_PER_MS);
    peer_send_bytes(t.client, (struct span){body, 10000}); /* still within the 64 KiB */
    pass(t.loop, 100 * USEC_PER_MS);
    assert_false(t.client->reset);
    const char *got = peer_got(t.client);
    has(got, "HTTP/1.1 413 ");
    has(got, "\r\nConnection: close\r\n");
    has(got, "\r\nContent-Type: application/json\r\n");
    has(got, "{\"path\":\"/x/y\",\"status\":413,");
    assert_false(t.client->eof);
    pass(t.loop, SEC);
    assert_true(t.client->eof); /* a second later at most */
    assert_int_equal(t.site.requests, 0);
    close_stage(&t);
}

static void server_drains_no_more_than_its_bound(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    static char body[200000];
    peer_send(t.client, "POST /x HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999\r\n\r\n");
    peer_send_bytes(t.client, (struct span){body, sizeof(body)});
    pass(t.loop, 100 * USEC_PER_MS);
    assert_int_equal(server_stats(t.site.server).connections, 0);
    close_stage(&t);
}

static void server_refuses_what_is_not_http(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    has(ask(&t, "GET /a HTTP/1.1\r\nHost: g\r\nbad header\r\n\r\n"), "HTTP/1.1 400 ");
    close_stage(&t);
    open_stage(&t); /* the good one before it is answered first */
    const char *got = ask(&t, ECHO_ABC "GET /b HTTP/9.9\r\nHost: g\r\n\r\n");
    assert_memory_equal(got, "HTTP/1.1 200 OK", 15);
    has(got, "abcHTTP/1.1 505 ");
    close_stage(&t);
    open_stage(&t); /* the answer to HEAD has no body, refused or not */
    got = ask(&t, "HEAD /b HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999999\r\n\r\n");
    has(got, "HTTP/1.1 413 ");
    ends_with(got, "\r\n\r\n");
    close_stage(&t);
}

static void server_refuses_connections_past_its_limit(void **state)
{
    (void)state;
    struct server_limits limits = server_limits_default;
    limits.connections_max = 2;
    struct stage t;
    open_stage_with(&t, &limits);
    struct peer *more[3];
    for (size_t i = 0; i < 3; i++) {
        more[i] = peer_dial(t.loop, "gate", 80);
        pass(t.loop, USEC_PER_MS);
    }
    assert_string_equal(peer_got(more[0]), "");
    has(peer_got(more[1]), "HTTP/1.1 503 ");
    has(peer_got(more[2]), "HTTP/1.1 503 ");
    pass(t.loop, 2 * SEC);
    assert_true(more[1]->eof);
    assert_int_equal(server_stats(t.site.server).refused, 2);
    assert_int_equal(server_stats(t.site.server).accepted, 4);
    ends_with(ask(&t, ECHO_ABC), "abc");
    for (size_t i = 0; i < 3; i++)
        peer_free(more[i]);
    close_stage(&t);
}

/* ---- the end ---- */

static void note_empty(void *ctx)
{
    struct site *s = ctx;
    s->empty++;
}

static void server_drains_gracefully(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    struct peer *idle = peer_dial(t.loop, "gate", 80), *half = peer_dial(t.loop, "gate", 80);
    peer_send(idle, ECHO_ABC);
    peer_send(half, "POST /echo HTTP/1.1\r\nHost: g\r\nContent-Length: 3\r\n\r\na");
    (void)ask(&t, HOLD);
    server_drain(t.site.server, note_empty, &t.site);
    pass(t.loop, SEC);
    assert_true(idle->eof);
    struct peer *late = peer_dial(t.loop, "gate", 80);
    peer_send(half, "bc");
    pass(t.loop, SEC);
    assert_int_equal(late->connect_result, ERR_REFUSED);
    has(peer_got(half), "\r\nConnection: close\r\n");
    assert_true(half->eof);
    assert_int_equal(t.site.empty, 0);
    reply_whole(site_next(&t.site), 200, NULL, 0, SPAN("done"));
    pass(t.loop, SEC);
    const char *got = peer_got(t.client);
    has(got, "\r\nConnection: close\r\n");
    ends_with(got, "done");
    assert_int_equal(t.site.empty, 1);
    peer_free(idle);
    peer_free(half);
    peer_free(late);
    close_stage(&t);
}

static void server_cut_ends_everything_and_tells_handlers(void **state)
{
    (void)state;
    struct stage t;
    open_stage(&t);
    struct peer *other = peer_dial(t.loop, "gate", 80), *half = peer_dial(t.loop, "gate", 80);
    peer_send(other, HOLD);
    peer_send(half, "POST /echo HTTP/1.1\r\nHost: g\r\nContent-Length: 3\r\n\r\na");
    (void)ask(&t, HOLD);
    assert_int_equal(t.site.held_count, 2);
    server_drain(t.site.server, note_empty, &t.site);
    server_cut(t.site.server);
    assert_int_equal(t.site.gone, 2);
    assert_int_equal(t.site.held_count, 0);
    assert_int_equal(server_stats(t.site.server).connections, 0);
    pass(t.loop, SEC);
    assert_true(other->reset && t.client->reset && half->reset);
    assert_int_equal(t.site.empty, 1);
    peer_free(other);
    peer_free(half);
    close_stage(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_answers_and_keeps_the_connection),
        cmocka_unit_test(server_closes_when_the_client_asks_and_for_http_1_0),
        cmocka_unit_test(server_reads_requests_cut_anywhere),
        cmocka_unit_test(server_answers_pipelined_requests_one_at_a_time_in_order),
        cmocka_unit_test(server_reads_no_more_than_a_bounded_rest_while_it_answers),
        cmocka_unit_test(server_gives_bodies_whole_up_to_the_limit_and_413_past_it),
        cmocka_unit_test(server_counts_held_bodies_and_refuses_past_their_sum),
        cmocka_unit_test(server_says_continue_only_where_it_helps),
        cmocka_unit_test(server_keeps_what_the_handler_may_look_at),
        cmocka_unit_test(server_frames_replies_of_unknown_length),
        cmocka_unit_test(server_sends_no_body_where_there_must_be_none),
        cmocka_unit_test(server_writes_framing_fields_alone_and_never_splits_a_head),
        cmocka_unit_test(server_sends_head_and_first_body_bytes_together),
        cmocka_unit_test(server_holds_back_a_fast_handler_and_says_when_it_drained),
        cmocka_unit_test(server_goes_on_sending_after_the_handler_has_ended),
        cmocka_unit_test(server_cuts_a_reply_that_ends_short_of_its_length),
        cmocka_unit_test(server_abort_is_no_orderly_end),
        cmocka_unit_test(server_tells_once_that_a_client_is_gone),
        cmocka_unit_test(server_never_calls_back_from_within_a_reply_call),
        cmocka_unit_test(server_cuts_a_client_that_stops_reading),
        cmocka_unit_test(server_does_not_time_a_handler_or_a_slow_but_moving_client),
        cmocka_unit_test(server_times_the_head_as_a_whole),
        cmocka_unit_test(server_closes_silent_connections),
        cmocka_unit_test(server_refuses_bodies_that_pause_or_crawl),
        cmocka_unit_test(server_answers_an_error_early_and_drains),
        cmocka_unit_test(server_drains_no_more_than_its_bound),
        cmocka_unit_test(server_refuses_what_is_not_http),
        cmocka_unit_test(server_refuses_connections_past_its_limit),
        cmocka_unit_test(server_drains_gracefully),
        cmocka_unit_test(server_cut_ends_everything_and_tells_handlers),
    };
    return cmocka_run_group_tests_name("conn_server", tests, NULL, NULL);
}
