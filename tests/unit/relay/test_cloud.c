/* Bedrock's and Vertex's difference from Claude's own API: paths, bodies, beta flags, frames. And
 * the recorded exchanges with Bedrock: their streams are read however they are cut, their requests
 * are what we would have sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../http/frames.h"
#include "dialect/dialect.h"
#include "relay/cloud.h"
#include "support/answer.h"
#include "support/corpus.h"

#define MAX ((size_t)1 << 20)

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, SIZE_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* ---- the request ---- */

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        enum target_kind kind;
        const char *model;
        bool stream;
        const char *path; /* NULL: refused */
        bool converse;
    } rows[] = {
        {TARGET_BEDROCK, "us.anthropic.claude-x-v1:0", false,
         "/b/us.anthropic.claude-x-v1%3A0/invoke", false},
        {TARGET_BEDROCK, "us.anthropic.claude-x-v1:0", true,
         "/b/us.anthropic.claude-x-v1%3A0/invoke-with-response-stream", false},
        {TARGET_BEDROCK, "arn:aws:bedrock:eu-west-1:1:application-inference-profile/ab", false,
         "/b/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aapplication-inference-profile%2Fab/invoke",
         false},
        {TARGET_BEDROCK, "amazon.nova-lite-v1:0", false, NULL, false},
        {TARGET_BEDROCK, "amazon.nova-lite-v1:0", false, "/b/amazon.nova-lite-v1%3A0/converse",
         true},
        {TARGET_BEDROCK, "amazon.nova-lite-v1:0", true,
         "/b/amazon.nova-lite-v1%3A0/converse-stream", true},
        {TARGET_VERTEX, "claude-x@20300101", false, "/b/claude-x@20300101:rawPredict", false},
        {TARGET_VERTEX, "claude-x@2?/../y", true, "/b/claude-x@2%3F%2F..%2Fy:streamRawPredict",
         false},
        {TARGET_VERTEX, "gemini-9", true, NULL, false},
        {TARGET_GEMINI, "gemini-9", false, "/b/gemini-9:generateContent", false},
        {TARGET_GEMINI, "models/gemini-9", true, "/b/gemini-9:streamGenerateContent?alt=sse",
         false},
        {TARGET_GEMINI, "tunedModels/../x?y", true,
         "/b/tunedModels%2F..%2Fx%3Fy:streamGenerateContent?alt=sse", false},
        {TARGET_AZURE_OPENAI, "my gpt", true, "/b/my%20gpt/chat/completions", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cloud c = {.kind = rows[i].kind, .base = SPAN("/b/")};
        struct span path;
        enum err e = cloud_path(&c, span_from(rows[i].model), rows[i].converse, rows[i].stream,
                                &arena, &path);
        assert_int_equal(e, rows[i].path ? ERR_OK : ERR_UNSUPPORTED);
        if (rows[i].path && !span_is(path, rows[i].path))
            fail_msg("%.*s is not %s", SPAN_FMT(path), rows[i].path);
    }
}

static struct span passed(const char *body, enum target_kind kind, const char *betas)
{
    struct json_doc doc;
    struct pieces out;
    struct capability cap = capability_preset(kind, SPAN("claude-x"));
    pieces_init(&out, &arena);
    assert_int_equal(json_parse(&arena, span_from(body), NULL, &doc, NULL), ERR_OK);
    dialect_pass_to_cloud(&doc, &cap, span_from(betas), &out);
    return pieces_flatten(&out, &arena);
}

static void test_bodies(void **state)
{
    (void)state;
    const char *body = "{ \"model\" : \"m\", \"n\\u0065w\": [1.50, 1e2],\"stream\":true, "
                       "\"anthropic_version\":\"x\",\"anthropic_beta\":[\"y\"] }";
    assert_true(span_is(passed(body, TARGET_BEDROCK, "[\"b\"]"),
                        "{\"anthropic_version\":\"bedrock-2023-05-31\",\"anthropic_beta\":[\"b\"],"
                        "\"n\\u0065w\":[1.50, 1e2]}"));
    assert_true(span_is(passed(body, TARGET_VERTEX, ""),
                        "{\"anthropic_version\":\"vertex-2023-10-16\",\"n\\u0065w\":[1.50, 1e2],"
                        "\"stream\":true,\"anthropic_beta\":[\"y\"]}"));
    assert_true(
        span_is(passed("{}", TARGET_VERTEX, ""), "{\"anthropic_version\":\"vertex-2023-10-16\"}"));
}

static void test_betas(void **state)
{
    (void)state;
    bool left_out;
    assert_true(span_is(cloud_betas(SPAN("context-1m-2025-08-07, claude-code-20250219,,"
                                         "interleaved-thinking-2025-05-14"),
                                    &arena, &left_out),
                        "[\"context-1m-2025-08-07\",\"interleaved-thinking-2025-05-14\"]"));
    assert_false(left_out);
    assert_int_equal(cloud_betas(SPAN("new-2030-01-01"), &arena, &left_out).len, 0);
    assert_true(left_out);
    assert_int_equal(cloud_betas(SPAN_EMPTY, &arena, &left_out).len, 0);
    assert_false(left_out);
}

static void test_error_word(void **state)
{
    (void)state;
    struct http_field fields[] = {{SPAN("x-amzn-requestid"), SPAN("1")},
                                  {SPAN("X-Amzn-ErrorType"), SPAN("ABException:http://x/")}};
    assert_true(span_is(cloud_error_word(fields, 2), "ABException"));
    assert_int_equal(cloud_error_word(fields, 1).len, 0);
}

/* ---- streams ---- */

/* The server-sent events of `in`, joined; how it ended into *out_err. */
static struct span unframed(struct span in, struct cuts cuts, enum err *out_err)
{
    struct cloud_stream s;
    struct buf out;
    cloud_stream_init(&s, false, MAX);
    buf_init(&out, MAX * 8);
    enum err e = ERR_AGAIN;
    for (size_t done = 0; done < in.len && e == ERR_AGAIN;) {
        size_t n = next_piece(&cuts, done, in.len - done);
        struct span rest = span_take(span_drop(in, done), n);
        done += n;
        do {
            struct sse_event event;
            size_t used;
            e = cloud_stream_next(&s, rest, &used, &event);
            rest = span_drop(rest, used);
            if (e == ERR_OK && !event.comment_only)
                say_span(&out, "", event.raw);
        } while (e == ERR_OK);
    }
    *out_err = e;
    struct span kept = arena_copy(&arena, buf_span(&out));
    cloud_stream_deinit(&s);
    buf_deinit(&out);
    return kept;
}

static void check_frame(const char *type_name, const char *type, const char *message_type,
                        const char *payload, enum err wanted, const char *text)
{
    struct buf in;
    enum err e;
    buf_init(&in, MAX);
    put_event(&in, type_name, type, message_type, span_from(payload));
    struct span got = unframed(buf_span(&in), (struct cuts){.how = CUT_NOWHERE}, &e);
    assert_int_equal(e, wanted);
    if (!span_is(got, text))
        fail_msg("%s: %.*s is not %s", payload, SPAN_FMT(got), text);
    buf_deinit(&in);
}
#define CHUNK ":event-type", "chunk", "event"

static void test_chunks(void **state)
{
    (void)state;
    /* {"type":"ping"}, {"type": 1}, [], {"a" */
    check_frame(CHUNK, "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\",\"p\":\"ab\"}", ERR_AGAIN,
                "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    check_frame(CHUNK, "{\"bytes\":\"eyJ0eXBlIjoxfQ==\"}", ERR_SYNTAX, "");
    check_frame(CHUNK, "{\"bytes\":\"W10=\"}", ERR_SYNTAX, "");
    check_frame(CHUNK, "{\"bytes\":\"eyJhIg==\"}", ERR_SYNTAX, "");
    check_frame(CHUNK, "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ\"}", ERR_SYNTAX, ""); /* cut */
    check_frame(CHUNK, "{\"bytes\":\"!!!!\"}", ERR_SYNTAX, "");
    check_frame(CHUNK, "{\"bytes\":\"====\"}", ERR_SYNTAX, "");
    check_frame(CHUNK, "{\"bytes\":\"    \"}", ERR_SYNTAX, "");
    check_frame(CHUNK, "{\"bytes\":7}", ERR_SYNTAX, "");
    check_frame(CHUNK, "{}", ERR_SYNTAX, "");
    check_frame(CHUNK, "no", ERR_SYNTAX, "");
    check_frame(":event-type", "of-later", "event", "{}", ERR_AGAIN, "");
    /* a type that would break the event's lines */
    check_frame(CHUNK, "{\"bytes\":\"eyJ0eXBlIjoiYVxuYiJ9\"}", ERR_SYNTAX, "");
}

static void test_exceptions(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
    } rows[] = {{"throttlingException", "rate_limit_error"},
                {"serviceUnavailableException", "overloaded_error"},
                {"modelTimeoutException", "timeout_error"},
                {"validationException", "invalid_request_error"},
                {"internalServerException", "api_error"},
                {"modelStreamErrorException", "api_error"},
                {"inventedLaterException", "api_error"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span wanted = arena_printf(
            &arena,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":"
            "\"a \\\"b\\\"\",\"details\":{\"error_code\":\"%s\"}}}\n\n",
            rows[i].type, rows[i].name);
        check_frame(":exception-type", rows[i].name, "exception",
                    "{\"message\":\"a \\\"b\\\"\",\"originalStatusCode\":500}", ERR_AGAIN,
                    wanted.at);
    }
    check_frame(":error-code", "X", "error", "", ERR_AGAIN,
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                "\"message\":\"Bedrock ended the stream with an exception.\",\"details\":{"
                "\"error_code\":\"X\"}}}\n\n");
}

/* Converse's messages are the events; their payload is not looked at. */
static void test_converse_events(void **state)
{
    (void)state;
    struct buf in;
    struct cloud_stream s;
    struct sse_event e;
    size_t used;
    buf_init(&in, MAX);
    cloud_stream_init(&s, true, MAX);
    put_event(&in, ":event-type", "contentBlockDelta", "event", SPAN("{\"p\":1}"));
    put_event(&in, ":exception-type", "throttlingException", "exception", SPAN("{}"));
    assert_int_equal(cloud_stream_next(&s, buf_span(&in), &used, &e), ERR_OK);
    assert_true(span_is(e.name, "contentBlockDelta") && span_is(e.data, "{\"p\":1}"));
    assert_int_equal(cloud_stream_next(&s, span_drop(buf_span(&in), used), &used, &e), ERR_OK);
    assert_true(span_is(e.name, "error") && span_search(e.data, SPAN("rate_limit_error")) > 0);
    cloud_stream_deinit(&s);
    buf_deinit(&in);
}

/* ---- recorded ---- */

static struct corpus recorded(const char *protocol)
{
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: skipped\n");
        skip();
    }
    struct corpus c = corpus_open(&arena, protocol);
    assert_true(c.count > 0);
    return c;
}

static bool is_claude(const struct corpus_item *item)
{
    return span_search(item->request, SPAN("bedrock-2023-05-31")) >= 0;
}

static void check_stream(const struct corpus_item *item)
{
    enum err e;
    struct span first = unframed(item->response, (struct cuts){.how = CUT_NOWHERE}, &e);
    struct answer answer = {0};
    assert_int_equal(e, ERR_AGAIN);
    assert_true(answer_of_messages(&arena, first, true, &answer) && answer.complete);
    assert_true(answer.text.len > 0 && answer.output > 0);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct cuts cuts = {.how = seed ? CUT_RANDOM : CUT_BYTES, .seed = seed};
        assert_true(span_eq(unframed(item->response, cuts, &e), first) && e == ERR_AGAIN);
    }
}

/* What a client of Claude's own API would have said, passed to Bedrock, is what was recorded. */
static void check_request(const struct corpus_item *item)
{
    struct span rest = span_drop(span_trim(item->request), 1);
    struct span asked =
        arena_printf(&arena, "{\"model\":\"m\",\"stream\":true,%.*s", SPAN_FMT(rest));
    struct span sent = passed(arena_cstr(&arena, asked), TARGET_BEDROCK, "");
    assert_true(json_text_same(&arena, sent, item->request));
}

static void test_recorded_invokes(void **state)
{
    (void)state;
    struct corpus c = recorded("bedrock-invoke");
    size_t streams = 0, wholes = 0, others = 0;
    for (size_t i = 0; i < c.count; i++) {
        const struct corpus_item *item = &c.items[i];
        struct answer answer = {0};
        if (!is_claude(item)) { /* not ours to read, but well framed */
            struct buf log;
            buf_init(&log, MAX * 8);
            if (item->framed)
                feed_eventstream(MAX, item->response, (struct cuts){.how = CUT_BYTES}, &log);
            assert_true(!item->framed || span_ends(buf_span(&log), SPAN("}}")));
            buf_deinit(&log);
            others++;
            continue;
        }
        check_request(item);
        if (item->framed) {
            check_stream(item);
            streams++;
        } else {
            assert_true(answer_of_messages(&arena, item->response, false, &answer));
            assert_true(answer.text.len > 0);
            wholes++;
        }
    }
    print_message("# %zu streams and %zu whole answers of Claude, %zu of others\n", streams, wholes,
                  others);
    assert_true(streams > 0 && wholes > 0);
}

static void test_recorded_converse_frames(void **state)
{
    (void)state;
    struct corpus c = recorded("bedrock-converse");
    size_t streams = 0;
    for (size_t i = 0; i < c.count; i++) {
        if (!c.items[i].framed)
            continue;
        struct buf whole, bytes;
        buf_init(&whole, MAX * 8);
        buf_init(&bytes, MAX * 8);
        feed_eventstream(MAX, c.items[i].response, (struct cuts){.how = CUT_NOWHERE}, &whole);
        feed_eventstream(MAX, c.items[i].response, (struct cuts){.how = CUT_BYTES}, &bytes);
        assert_true(span_eq(buf_span(&whole), buf_span(&bytes)));
        assert_true(span_search(buf_span(&whole), SPAN("{event|messageStop|")) > 0);
        assert_true(span_ends(buf_span(&whole), SPAN("}}")));
        buf_deinit(&whole);
        buf_deinit(&bytes);
        streams++;
    }
    assert_true(streams > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_betas),
        cmocka_unit_test(test_error_word),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_exceptions),
        cmocka_unit_test(test_converse_events),
        cmocka_unit_test(test_recorded_invokes),
        cmocka_unit_test(test_recorded_converse_frames),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
