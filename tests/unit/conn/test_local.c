/* A request without a connection: what a handler says reaches the sink, and how it ends, too. */
#include "support/check.h"

#include "conn/local.h"

#include <stdio.h>

struct sunk {
    char text[64];
    size_t queued;
    int status, starts, ends;
    bool whole;
};

static void on_start(void *ctx, int status, const struct http_field *fields, size_t count)
{
    struct sunk *s = ctx;
    s->status = status;
    s->starts++;
    assert_int_equal(count, 1);
    assert_bytes(fields[0].value, "text/plain");
}

static void on_body(void *ctx, struct span bytes)
{
    struct sunk *s = ctx;
    size_t len = strlen(s->text);
    (void)snprintf(s->text + len, sizeof s->text - len, "%.*s", SPAN_FMT(bytes));
}

static void on_end(void *ctx, bool whole)
{
    struct sunk *s = ctx;
    s->ends++;
    s->whole = whole;
}

static size_t pending(void *ctx)
{
    return ((struct sunk *)ctx)->queued;
}

static const struct http_field plain = {SPAN_INIT("content-type"), SPAN_INIT("text/plain")};

static struct request *ask(struct loop *l, struct sunk *to)
{
    char body[] = "body", value[] = "one";
    struct http_field field = {SPAN("x-number"), span_from(value)};
    struct local_request what = {.method = SPAN("POST"),
                                 .path = SPAN("/v1/messages"),
                                 .fields = &field,
                                 .field_count = 1,
                                 .body = span_from(body)};
    struct local_reply reply = {on_start, on_body, on_end, pending, to};
    *to = (struct sunk){0};
    struct request *r = request_local(l, &what, &reply);
    memset(body, 0, sizeof body); /* all of it was copied */
    memset(value, 0, sizeof value);
    return r;
}

static void the_handler_sees_a_request_like_any_other(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct sunk s;
    struct request *r = ask(l, &s);
    assert_bytes(request_head(r)->method, "POST");
    assert_bytes(request_path(r), "/v1/messages");
    assert_bytes(request_body(r), "body");
    assert_bytes(http_field_get(request_head(r), "X-Number"), "one");
    assert_ptr_equal(request_loop(r), l);
    assert_false(reply_started(r));
    s.queued = 7;
    assert_int_equal(reply_pending(r), 7);
    reply_abort(r);
    assert_true(s.ends == 1 && !s.whole && s.starts == 0);
    loop_free(l);
}

static void the_sink_hears_how_a_reply_ends(void **state)
{
    (void)state;
    static const struct row {
        void (*end)(struct request *r);
        int64_t length;
        bool whole;
    } rows[] = {
        {reply_end, REPLY_CHUNKED, true},
        {reply_end, 6, true},
        {reply_end, 7, false}, /* short of what was promised */
        {reply_end_close, 6, true},
        {reply_cut, REPLY_CHUNKED, false},
        {reply_abort, REPLY_CHUNKED, false},
    };
    struct loop *l = loop_new();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sunk s;
        struct request *r = ask(l, &s);
        reply_start(r, 201, &plain, 1, rows[i].length);
        reply_body(r, SPAN("abc"));
        reply_flush(r);
        reply_body(r, SPAN("def"));
        assert_int_equal(s.ends, 0);
        rows[i].end(r);
        assert_string_equal(s.text, "abcdef");
        assert_true(s.status == 201 && s.starts == 1 && s.ends == 1);
        assert_int_equal(s.whole, rows[i].whole);
    }
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handler_sees_a_request_like_any_other),
        cmocka_unit_test(the_sink_hears_how_a_reply_ends),
    };
    return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
