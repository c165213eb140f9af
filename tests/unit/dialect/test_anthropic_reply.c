/* Messages answers: the reader's grammar, strictness and bounds, and the streams and bodies the one
 * block automaton writes (protocols.md 1.5, 1.7, 1.8, 5.4, 7). */
#include "base/span.h"
#include "dialect/dialect_internal.h"
#include "support/answer.h"
#include "support/grammar.h"
#include "support/translate.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define EV(name, data) "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"
#define START                                                                                      \
    EV("message_start", ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":"            \
                        "\"assistant\",\"model\":\"m\",\"content\":[],"                            \
                        "\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"cache_read_input_"   \
                        "tokens\":3,\"output_tokens\":1}}")
#define OPEN(i, block) EV("content_block_start", ",\"index\":" #i ",\"content_block\":" block)
#define OPEN_TEXT(i) OPEN(i, "{\"type\":\"text\",\"text\":\"\"}")
#define OPEN_TOOL(i, id)                                                                           \
    OPEN(i, "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":{}}")
#define DELTA(i, delta) EV("content_block_delta", ",\"index\":" #i ",\"delta\":" delta)
#define TEXT(i, text) DELTA(i, "{\"type\":\"text_delta\",\"text\":\"" text "\"}")
#define INPUT(i, piece) DELTA(i, "{\"type\":\"input_json_delta\",\"partial_json\":\"" piece "\"}")
#define CLOSE(i) EV("content_block_stop", ",\"index\":" #i)
#define FINISH(reason)                                                                             \
    EV("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null},"      \
                        "\"usage\":{\"output_tokens\":42}")
#define STOP EV("message_stop", "")
#define PING "event: ping\ndata: {\"type\": \"ping\"}\n\n"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 64u << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* The events as lines; *out_err is the reader's last word. */
static struct span lines_of(const char *body, bool streamed, const struct chat_request *asked,
                            enum err *out_err)
{
    struct event_lines l;
    event_lines_init(&l);
    *out_err = read_answer(&arena, &dialect_anthropic, asked, span_from(body), streamed, FEED_WHOLE,
                           0, event_lines_sink(&l));
    struct span lines = arena_copy(&arena, buf_span(&l.text));
    event_lines_deinit(&l);
    return lines;
}

static void assert_lines(const char *body, bool streamed, const char *want)
{
    enum err e;
    struct span got = lines_of(body, streamed, NULL, &e);
    assert_int_equal(e, ERR_OK);
    if (!span_is(got, want))
        fail_msg("\n--- got\n%.*s--- not\n%s", SPAN_FMT(got), want);
}

#define USAGE_END "usage in=-1 read=-1 write=-1 out=42 think=-1\n"

static void reader_tells_a_stream_in_the_grammar(void **state)
{
    (void)state;
    assert_lines(
        START PING OPEN(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
            DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"h\\n\"}")
                DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"s=\"}") CLOSE(0)
                    OPEN_TEXT(1) TEXT(1, "a\\u00e9") TEXT(1, "")
                        DELTA(1, "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"u\"}}")
                            CLOSE(1) OPEN_TOOL(2, "t1") INPUT(2, "") INPUT(2, "{\\\"a")
                                INPUT(2, "\\\":1}") CLOSE(2) OPEN_TOOL(3, "t2") INPUT(3, "")
                                    CLOSE(3) FINISH("tool_use") STOP,
        true,
        "start msg_1 m\nping\nopen thinking\n+ h\\n\nsign s=\nclose\nopen text\n+ a\\u00e9\n"
        "cite {\"url\":\"u\"}\nclose\nopen tool_use t1 f\n+ {\\\"a\n+ \\\":1}\nclose\n"
        "open tool_use t2 f\nclose\n" USAGE_END "finish tool_use\nend\n");
}

static void reader_tells_a_whole_answer_in_the_grammar(void **state)
{
    (void)state;
    assert_lines("{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\","
                 "\"content\":["
                 "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"s=\"},"
                 "{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"x\":1},{\"x\":2}]},"
                 "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\": 1}},"
                 "{\"type\":\"redacted_thinking\",\"data\":\"d\"},"
                 "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\",\"content\":[]}],"
                 "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\",\"usage\":{\"input_"
                 "tokens\":1}}",
                 false,
                 "start msg_1 m\nopen thinking\nsign s=\nclose\nopen text\n+ a\ncite {\"x\":1}\n"
                 "cite {\"x\":2}\nclose\nopen tool_use t f\n+ {\"a\": 1}\nclose\n"
                 "open redacted_thinking\nclose\nopen server_tool_result\nclose\n"
                 "finish stop_sequence END\nend\n");
}

static void reader_knows_every_stop_reason(void **state)
{
    (void)state;
    static const char *const words[] = {"end_turn",
                                        "max_tokens",
                                        "stop_sequence",
                                        "tool_use",
                                        "pause_turn",
                                        "refusal",
                                        "model_context_window_exceeded",
                                        "compaction"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct span stream =
            arena_printf(&arena,
                         "%sevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{"
                         "\"stop_reason\":\"%s\"},\"usage\":{}}\n\n%s",
                         START, words[i], STOP);
        enum err e;
        struct span got = lines_of(stream.at, true, NULL, &e);
        assert_int_equal(e, ERR_OK);
        struct span want = arena_printf(&arena, "finish %s\nend\n", words[i]);
        assert_true(span_ends(got, want));
    }
    /* tomorrow's word is an end like any other; a forgotten tool_use is one all the same */
    assert_lines(START FINISH("tired") STOP, true,
                 "start msg_1 m\n" USAGE_END "finish end_turn\nend\n");
    assert_lines(START OPEN_TOOL(0, "t") CLOSE(0) FINISH("end_turn") STOP, true,
                 "start msg_1 m\nopen tool_use t f\nclose\n" USAGE_END "finish tool_use\nend\n");
}

static void reader_passes_by_what_it_does_not_know(void **state)
{
    (void)state;
    assert_lines(
        PING ": comment\n\n" START "event: news\ndata: not even JSON\n\n"
             "data: {\"type\":\"novelty\",\"index\":7}\n\n" OPEN_TEXT(0)
                 DELTA(0, "{\"type\":\"hum_delta\",\"hum\":1}") TEXT(0, "a") CLOSE(0)
                     OPEN(1, "{\"type\":\"novelty\",\"x\":1}")
                         DELTA(1, "{\"type\":\"x_delta\",\"x\":2}") CLOSE(1)
                             EV("message_delta", ",\"delta\":{},\"usage\":{\"output_tokens\":5}")
                                 FINISH("end_turn") FINISH("max_tokens") STOP
        "data: [DONE]\n\n" OPEN_TEXT(0),
        true,
        "start msg_1 m\nopen text\n+ a\nclose\nopen other\n+ \nclose\n"
        "usage in=-1 read=-1 write=-1 out=5 think=-1\n" USAGE_END "finish end_turn\n" USAGE_END
        "end\n");
}

#define MARK                                                                                       \
    "{\"type\":\"fallback\",\"from\":{\"model\":\"m\"},\"to\":{\"model\":\"n\"},\"trigger\":{"     \
    "\"type\":"                                                                                    \
    "\"refusal\",\"category\":null}}"

static void a_change_of_models_is_read_and_passes_to_either_door(void **state)
{
    (void)state;
    static const char stream[] = START OPEN_TEXT(0) TEXT(0, "in the mid") CLOSE(0) OPEN(1, MARK)
        CLOSE(1) OPEN_TEXT(2) TEXT(2, "dle") CLOSE(2) FINISH("end_turn") STOP;
    assert_lines(stream, true,
                 "start msg_1 m\nopen text\n+ in the mid\nclose\nopen other\nclose\nopen text\n+ "
                 "dle\nclose\n" USAGE_END "finish end_turn\nend\n");
    struct chat_request asked = {.max_tokens = -1, .choices = 1};
    struct translated t = translate_answer(&arena, &dialect_anthropic, &dialect_anthropic, &asked,
                                           SPAN(stream), true, true, FEED_WHOLE, 0);
    assert_true(t.ended && span_search(t.bytes, SPAN("\"index\":1,\"content_block\":" MARK)) > 0);
    t = translate_answer(&arena, &dialect_anthropic, &dialect_openai_chat, &asked, SPAN(stream),
                         true, false, FEED_WHOLE, 0);
    assert_true(t.ended && span_search(t.bytes, SPAN("\"content\":\"in the middle\"")) > 0);
    assert_true(span_search(t.bytes, SPAN("fallback")) < 0);
}

static void reader_takes_an_input_that_came_with_the_start(void **state)
{
    (void)state;
    assert_lines(
        START OPEN(0, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}")
            CLOSE(0) FINISH("tool_use") STOP,
        true,
        "start msg_1 m\nopen tool_use t f\n+ {\"a\":1}\nclose\n" USAGE_END
        "finish tool_use\nend\n");
    assert_lines(
        START OPEN(0, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}")
            INPUT(0, "{\\\"a\\\":2}") CLOSE(0) FINISH("tool_use") STOP,
        true,
        "start msg_1 m\nopen tool_use t f\n+ {\\\"a\\\":2}\nclose\n" USAGE_END
        "finish tool_use\nend\n");
}

static void reader_unwraps_a_free_text_tool(void **state)
{
    (void)state;
    struct chat_tool tool = {.name = CHAT_TEXT_LIT("f"), .wire_type = SPAN("custom")};
    struct chat_request asked = {.tools = &tool};
    enum err e;
    struct span got =
        lines_of(START OPEN_TOOL(0, "t") INPUT(0, "") INPUT(0, "{\\\"input\\\": \\\"a\\\\n")
                     INPUT(0, "b\\\"}") CLOSE(0) FINISH("tool_use") STOP,
                 true, &asked, &e);
    assert_int_equal(e, ERR_OK);
    assert_true(span_search(got, SPAN("open tool_use t f\n+ a\\n\n+ b\nclose\n")) > 0);
    got = lines_of("{\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{"
                   "\"input\":\"x\"}}],"
                   "\"stop_reason\":\"tool_use\"}",
                   false, &asked, &e);
    assert_true(span_search(got, SPAN("open tool_use t f\n+ x\nclose\n")) > 0);
}

static void reader_tells_errors_inside_a_stream(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {START OPEN_TEXT(0)
             TEXT(0, "a") "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                          "\"overloaded_error\",\"message\":\"Over\\u006coaded\"}}\n\n",
         "error overloaded_error 529 Overloaded\n"},
        {"event: error\ndata: "
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}\n\n",
         "error api_error 500 x\n"},
        {"data: {\"error\":{\"message\":\"y\",\"code\":429}}\n\n",
         "error rate_limit_error 429 y\n"},
        {"event: error\ndata: {\"error\":\"z\"}\n\n", "error api_error 500 z\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum err e;
        struct span got = lines_of(rows[i][0], true, NULL, &e);
        assert_int_equal(e, ERR_EOF); /* never a clean end */
        if (!span_ends(got, span_from(rows[i][1])))
            fail_msg("got %.*s, not %s", SPAN_FMT(got), rows[i][1]);
    }
    enum err e;
    struct span got =
        lines_of("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
                 false, NULL, &e);
    assert_int_equal(e, ERR_OK);
    assert_true(span_is(got, "error overloaded_error 529 m\n"));
}

static void reader_breaks_on_a_garbled_stream(void **state)
{
    (void)state;
    static const char *const rows[] = {
        OPEN_TEXT(0),                             /* nothing started */
        START START,                              /* twice */
        EV("message_start", ""),                  /* no message */
        START OPEN_TEXT(1),                       /* a hole in the indices */
        START OPEN_TEXT(0) OPEN_TEXT(1),          /* overlap */
        START OPEN_TEXT(0) CLOSE(0) OPEN_TEXT(0), /* an index again */
        START TEXT(0, "a"),                       /* no block */
        START OPEN_TEXT(0) TEXT(1, "a"),          /* another block's */
        START OPEN_TEXT(0) CLOSE(0) TEXT(0, "a"), /* closed */
        START OPEN_TEXT(0) INPUT(0, "{}"),        /* a foreign type */
        START OPEN_TOOL(0, "t") TEXT(0, "a"),
        START OPEN(0, "{\"type\":\"thinking\",\"thinking\":\"\"}") TEXT(0, "a"),
        START OPEN_TEXT(0) DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"s\"}"),
        START OPEN_TEXT(0) DELTA(0, "{\"type\":\"text_delta\"}"), /* without its text */
        START OPEN_TEXT(0) DELTA(0, "null"),
        START OPEN(0, "{}"),
        START OPEN(0, "{\"type\":\"tool_use\",\"id\":\"t\",\"input\":{}}"), /* without a name */
        START CLOSE(0),
        START OPEN_TEXT(0) FINISH("end_turn"), /* a block is open */
        START OPEN_TEXT(0) STOP,
        START STOP, /* no stop reason */
        START EV("message_delta", ",\"delta\":{\"stop_reason\":null}") STOP,
        START FINISH("end_turn") OPEN_TEXT(0),
        START "event: content_block_start\ndata: {\"type\":\"content_block_st\n\n",
        START "data: [DONE]\n\n",
        "data: <html>\n\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum err e;
        (void)lines_of(rows[i], true, NULL, &e);
        if (e != ERR_SYNTAX)
            fail_msg("row %zu gives %s: %s", i, err_name(e), rows[i]);
    }
    static const char *const bodies[] = {
        "",
        "<html>",
        "{}",
        "[]",
        "{\"content\":[],\"stop_reason\":null}",
        "{\"content\":{},\"stop_reason\":\"end_turn\"}",
        "{\"content\":[5],\"stop_reason\":\"end_turn\"}",
        "{\"choices\":[]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        enum err e;
        (void)lines_of(bodies[i], false, NULL, &e);
        if (e != ERR_SYNTAX)
            fail_msg("body %zu gives %s", i, err_name(e));
    }
}

static const char three_blocks[] = START PING OPEN_TEXT(0) TEXT(0, "a") TEXT(0, "b") CLOSE(0)
    OPEN_TOOL(1, "t") INPUT(1, "{}") CLOSE(1) FINISH("tool_use") STOP;

static void a_stream_cut_anywhere_is_never_complete(void **state)
{
    (void)state;
    size_t len = sizeof three_blocks - 1;
    for (size_t cut = 0; cut < len; cut++) {
        char *part = arena_cstr(&arena, (struct span){three_blocks, cut});
        enum err e;
        struct span got = lines_of(part, true, NULL, &e);
        if (e != ERR_EOF || span_search(got, SPAN("end\n")) >= 0)
            fail_msg("cut at %zu: %s", cut, err_name(e));
    }
}

static void reading_does_not_depend_on_the_cuts(void **state)
{
    (void)state;
    struct span want = SPAN_EMPTY;
    for (unsigned i = 0; i < 60; i++) {
        struct event_lines l;
        event_lines_init(&l);
        enum feed_cuts cuts = i == 0 ? FEED_WHOLE : i == 1 ? FEED_BYTES : FEED_RANDOM;
        assert_int_equal(read_answer(&arena, &dialect_anthropic, NULL, SPAN(three_blocks), true,
                                     cuts, i, event_lines_sink(&l)),
                         ERR_OK);
        if (i == 0)
            want = arena_copy(&arena, buf_span(&l.text));
        assert_true(span_eq(want, buf_span(&l.text)));
        event_lines_deinit(&l);
    }
}

static void count_event(void *ctx, const struct chat_event *e)
{
    *(size_t *)ctx += e->type == CHAT_EV_DELTA;
}

static void a_long_stream_does_not_grow(void **state)
{
    (void)state;
    size_t deltas = 0;
    struct chat_sink sink = {count_event, &deltas};
    struct reader_options o = {0};
    struct reply_reader *r = dialect_anthropic.reader_new(&arena, &o, sink);
    static const char *const head[] = {
        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\"}}",
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
        "\"text\":\"\"}}"};
    for (size_t i = 0; i < ARRAY_LEN(head); i++) {
        struct sse_event e = {.data = span_from(head[i])};
        assert_int_equal(dialect_anthropic.read_event(r, &e), ERR_OK);
    }
    struct sse_event e = {
        .name = SPAN("content_block_delta"),
        .data = SPAN("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                     "\"text_delta\",\"text\":\"word \"}}")};
    assert_int_equal(dialect_anthropic.read_event(r, &e), ERR_OK);
    size_t used = arena_used(&arena), heap = mallinfo2().uordblks;
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(dialect_anthropic.read_event(r, &e), ERR_OK);
    assert_int_equal(deltas, 100001);
    assert_int_equal(arena_used(&arena), used);
    assert_int_equal(mallinfo2().uordblks, heap); /* the reader's own scratch included */
}

/* ---- the writer ---- */

static const struct chat_request any_request = {.max_tokens = -1, .choices = 1};

#define OK(w, ...)                                                                                 \
    assert_int_equal(dialect_anthropic.write_event((w), &(struct chat_event){__VA_ARGS__}), ERR_OK)
#define SAY(w, t) OK(w, .type = CHAT_EV_DELTA, .text = CHAT_TEXT_LIT(t))

/* A conversation with everything: what OpenAI's reader tells and what only Anthropic's does. */
static void play(struct reply_writer *w)
{
    OK(w, .type = CHAT_EV_START, .id = CHAT_TEXT_LIT("chatcmpl-1"), .model = CHAT_TEXT_LIT("gpt"),
       .usage = CHAT_USAGE_UNKNOWN);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_THINKING);
    SAY(w, "hm");
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT); /* stays empty */
    SAY(w, "");
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT);
    SAY(w, "a\\n");
    OK(w, .type = CHAT_EV_DELTA, .text = text_from_plain(SPAN("\"b\"")));
    OK(w, .type = CHAT_EV_CITATION, .raw = SPAN("{\n\"x\":1}"));
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_PING);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TOOL_USE,
       .id = CHAT_TEXT_LIT("functions.f:0"), .name = CHAT_TEXT_LIT("f"));
    SAY(w, "{\\\"e\\\":\\\"\\\\ud83d");
    SAY(w, "\\\\ude00\\\"}");
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TOOL_USE, .id = CHAT_TEXT_LIT("t2"),
       .name = CHAT_TEXT_LIT("g"),
       .raw = SPAN("{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{},\n\"caller\":{"
                   "\"type\":\"direct\"}}"));
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_SERVER_TOOL_RESULT,
       .raw =
           SPAN("{\"type\":\"web_search_tool_result\",\n \"tool_use_id\":\"s\",\"content\":[]}"));
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_IMAGE,
       .raw = SPAN("{\"type\":\"image_url\"}"));
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_FINISH, .stop = CHAT_STOP_TOOL_USE);
    OK(w, .type = CHAT_EV_USAGE, .usage = {20, 5, -1, 7, 3}); /* OpenAI tells it behind the end */
    OK(w, .type = CHAT_EV_END);
}

static struct buf *output_of(bool stream, const char *id, const char *model,
                             void (*with)(struct reply_writer *w))
{
    struct buf *to = arena_new(&arena, struct buf);
    struct writer_options o = {
        .request = &any_request, .id = span_from(id), .model = span_from(model)};
    buf_init(to, 1u << 20);
    with(dialect_anthropic.writer_new(&arena, &o, stream, to));
    return to;
}

static void assert_holds(const struct buf *b, const char *part)
{
    if (span_search(buf_span(b), span_from(part)) < 0)
        fail_msg("no '%s' in\n%.*s", part, SPAN_FMT(buf_span(b)));
}

#define DELTA_OUT(i, delta)                                                                        \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":" #i            \
    ",\"delta\":" delta "}\n\n"

static void writer_streams_any_answer_in_the_grammar(void **state)
{
    (void)state;
    struct buf *out = output_of(true, "", "claude\\u002dx", play);
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    messages_grammar_check(buf_span(out), &end, why);
    assert_string_equal(why, "");
    assert_int_equal(end, GRAMMAR_COMPLETE);
    assert_true(span_starts(
        buf_span(out),
        SPAN("event: message_start\ndata: "
             "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_chatcmpl-1\","
             "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\\u002dx\",\"content\":"
             "[],"
             "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,"
             "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}}"
             "}\n\n"
             "event: ping\ndata: {\"type\": \"ping\"}\n\n"
             "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
             "\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}"
             "\n\n")));
    assert_holds(out,
                 DELTA_OUT(0, "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}") DELTA_OUT(
                     0, "{\"type\":\"signature_delta\",\"signature\":\"hotspare1.unsigned\"}"));
    assert_holds(out,
                 DELTA_OUT(1, "{\"type\":\"text_delta\",\"text\":\"a\\n\"}")
                     DELTA_OUT(1, "{\"type\":\"text_delta\",\"text\":\"\\\"b\\\"\"}")
                         DELTA_OUT(1, "{\"type\":\"citations_delta\",\"citation\":{\"x\":1}}"));
    assert_holds(out, "\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_");
    assert_holds(
        out,
        DELTA_OUT(2, "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}") DELTA_OUT(
            2, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"e\\\":\\\"\\\\ud83d\"}"));
    assert_holds(
        out, "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{},"
             "\"caller\":{\"type\":\"direct\"}}");
    assert_holds(out, "\"index\":4,\"content_block\":{\"type\":\"web_search_tool_result\", "
                      "\"tool_use_id\":\"s\",\"content\":[]}");
    assert_true(span_ends(
        buf_span(out),
        SPAN("event: message_delta\ndata: "
             "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\","
             "\"stop_sequence\":null},\"usage\":{\"input_tokens\":20,\"cache_creation_input_"
             "tokens\":0,"
             "\"cache_read_input_tokens\":5,\"output_tokens\":7,\"output_tokens_details\":{"
             "\"thinking_tokens\":3}}}\n\nevent: message_stop\ndata: "
             "{\"type\":\"message_stop\"}\n\n")));
    buf_deinit(out);
}

static void writer_gathers_the_same_answer_whole(void **state)
{
    (void)state;
    struct buf *out = output_of(false, "msg_given", "", play);
    struct chat_text id = tool_id_fit(&arena, CHAT_TEXT_LIT("functions.f:0"));
    struct span want = arena_printf(
        &arena,
        "{\"id\":\"msg_given\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"gpt\","
        "\"content\":["
        "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"hotspare1.unsigned\"},"
        "{\"type\":\"text\",\"text\":\"a\\n\\\"b\\\"\",\"citations\":[{\"x\":1}]},"
        "{\"type\":\"tool_use\",\"id\":\"%.*s\",\"name\":\"f\",\"input\":{\"e\":\"\\ud83d\\ude00\"}"
        "},"
        "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{},\"caller\":{\"type\":"
        "\"direct\"}},"
        "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\",\"content\":[]}],"
        "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":20,"
        "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":5,\"output_tokens\":7,"
        "\"output_tokens_details\":{\"thinking_tokens\":3}}}",
        SPAN_FMT(id.at));
    if (!json_text_same(&arena, buf_span(out), want))
        fail_msg("%.*s\nis not\n%.*s", SPAN_FMT(buf_span(out)), SPAN_FMT(want));
    buf_deinit(out);
}

static void play_escape_cut_in_two(struct reply_writer *w)
{
    OK(w, .type = CHAT_EV_START, .usage = CHAT_USAGE_UNKNOWN);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TOOL_USE, .id = CHAT_TEXT_LIT("t"),
       .name = CHAT_TEXT_LIT("f"));
    SAY(w, "{\\\"e\\\":\\\"\\ud83d"); /* one character, its surrogates in two pieces */
    SAY(w, "\\ude00\\\"}");
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TOOL_USE, .id = CHAT_TEXT_LIT("u"),
       .name = CHAT_TEXT_LIT("f"));
    SAY(w, "{\\\"cut");
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_FINISH, .stop = CHAT_STOP_MAX_TOKENS);
    OK(w, .type = CHAT_EV_END);
}

static void pieces_of_input_are_joined_before_they_are_read(void **state)
{
    (void)state;
    struct buf *out = output_of(false, "", "", play_escape_cut_in_two);
    assert_holds(out, "\"input\":{\"e\":\"\xf0\x9f\x98\x80\"}");
    assert_holds(out, "\"input\":{\"unparsed_input\":\"{\\\"cut\"}");
    buf_deinit(out);
}

static void play_refusal(struct reply_writer *w)
{
    OK(w, .type = CHAT_EV_START, .usage = CHAT_USAGE_UNKNOWN);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_REFUSAL);
    SAY(w, "I can't");
    OK(w, .type = CHAT_EV_BLOCK_STOP);
    OK(w, .type = CHAT_EV_FINISH, .stop = CHAT_STOP_END_TURN);
    OK(w, .type = CHAT_EV_END);
}

static void a_refusal_is_a_text_and_a_stop_reason(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct buf *out = output_of(stream, "", "", play_refusal);
        assert_holds(out, "I can't");
        assert_holds(
            out, "\"stop_reason\":\"refusal\",\"stop_sequence\":null,\"stop_details\":{\"type\":"
                 "\"refusal\",\"category\":null,\"explanation\":null}");
        buf_deinit(out);
    }
}

static void play_nothing(struct reply_writer *w)
{
    OK(w, .type = CHAT_EV_START, .usage = CHAT_USAGE_UNKNOWN);
    OK(w, .type = CHAT_EV_FINISH, .stop = CHAT_STOP_SEQUENCE,
       .stop_sequence = CHAT_TEXT_LIT("E\\n"));
    OK(w, .type = CHAT_EV_END);
}

static void an_answer_may_be_empty(void **state)
{
    (void)state;
    struct buf *out = output_of(true, "", "", play_nothing);
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    messages_grammar_check(buf_span(out), &end, why);
    assert_string_equal(why, "");
    assert_holds(out, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"E\\n\"");
    buf_deinit(out);
    out = output_of(false, "", "", play_nothing);
    assert_holds(out, "\"content\":[],");
    buf_deinit(out);
}

static void errors_are_written_in_their_envelope(void **state)
{
    (void)state;
    struct chat_error e = {.status = 529,
                           .message = SPAN("busy \"now\""),
                           .code = SPAN("c"),
                           .request_id = SPAN("req_1")};
    static const char body[] =
        "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
        "\"busy \\\"now\\\"\",\"details\":{\"error_code\":\"c\"}},"
        "\"request_id\":\"req_1\"}";
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(dialect_anthropic.write_error(&out, NULL, &e), ERR_OK);
    assert_true(span_is(buf_span(&out), body));
    buf_reset(&out);
    struct writer_options o = {.request = &any_request};
    struct reply_writer *w = dialect_anthropic.writer_new(&arena, &o, true, &out);
    OK(w, .type = CHAT_EV_START, .usage = CHAT_USAGE_UNKNOWN);
    OK(w, .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT);
    SAY(w, "a");
    assert_int_equal(dialect_anthropic.write_ping(w), ERR_OK);
    assert_int_equal(dialect_anthropic.write_error(&out, w, &e), ERR_OK);
    struct span end = arena_printf(&arena, "%sevent: error\ndata: %s\n\n", PING, body);
    assert_true(span_ends(buf_span(&out), end));
    enum grammar_end how;
    char why[GRAMMAR_WHY_MAX];
    messages_grammar_check(buf_span(&out), &how, why);
    assert_string_equal(why, "");
    assert_int_equal(how, GRAMMAR_ERROR);
    buf_deinit(&out);
}

static enum err play_into(struct buf *to, bool stream)
{
    static const struct chat_event events[] = {
        {.type = CHAT_EV_START, .usage = {1, 2, 3, 4, 5}},
        {.type = CHAT_EV_BLOCK_START, .block_type = CHAT_THINKING},
        {.type = CHAT_EV_DELTA, .text = {{"hm", 2}, true}},
        {.type = CHAT_EV_BLOCK_STOP},
        {.type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT},
        {.type = CHAT_EV_DELTA, .text = {{"\"plain\"", 7}, false}},
        {.type = CHAT_EV_CITATION, .raw = {"{\"x\":1}", 7}},
        {.type = CHAT_EV_BLOCK_STOP},
        {.type = CHAT_EV_PING},
        {.type = CHAT_EV_BLOCK_START,
         .block_type = CHAT_TOOL_USE,
         .id = {{"t", 1}, true},
         .name = {{"f", 1}, true}},
        {.type = CHAT_EV_DELTA, .text = {{"{}", 2}, true}},
        {.type = CHAT_EV_BLOCK_STOP},
        {.type = CHAT_EV_FINISH, .stop = CHAT_STOP_TOOL_USE},
        {.type = CHAT_EV_END},
    };
    struct writer_options o = {.request = &any_request};
    struct reply_writer *w = dialect_anthropic.writer_new(&arena, &o, stream, to);
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        enum err e = dialect_anthropic.write_event(w, &events[i]);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static void a_full_buffer_is_told_wherever_it_fills_up(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        size_t full = 0;
        for (size_t max = 4096; max != SIZE_MAX; max = max == 4096 ? full : max - 1) {
            struct buf out;
            buf_init(&out, max);
            enum err e = play_into(&out, stream);
            full = max == 4096 ? out.len : full;
            if (e != (max >= full ? ERR_OK : ERR_LIMIT))
                fail_msg("%zu of %zu bytes: %s", max, full, err_name(e));
            buf_deinit(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(reader_tells_a_stream_in_the_grammar),
        T(reader_tells_a_whole_answer_in_the_grammar),
        T(reader_knows_every_stop_reason),
        T(reader_passes_by_what_it_does_not_know),
        T(a_change_of_models_is_read_and_passes_to_either_door),
        T(reader_takes_an_input_that_came_with_the_start),
        T(reader_unwraps_a_free_text_tool),
        T(reader_tells_errors_inside_a_stream),
        T(reader_breaks_on_a_garbled_stream),
        T(a_stream_cut_anywhere_is_never_complete),
        T(reading_does_not_depend_on_the_cuts),
        T(a_long_stream_does_not_grow),
        T(writer_streams_any_answer_in_the_grammar),
        T(writer_gathers_the_same_answer_whole),
        T(pieces_of_input_are_joined_before_they_are_read),
        T(a_refusal_is_a_text_and_a_stop_reason),
        T(an_answer_may_be_empty),
        T(errors_are_written_in_their_envelope),
        T(a_full_buffer_is_told_wherever_it_fills_up),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
