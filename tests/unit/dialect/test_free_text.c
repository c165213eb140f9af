/* Free-text ("custom") tools of OpenAI's doors, towards every kind of target: as such where they
 * are known, else as a function with one string; and the call back as the custom call that was
 * asked for, whole and in pieces. */
#include "support/answer.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/translate.h"

#include "dialect/dialect_internal.h"

/* ---- requests ---- */

#define GRAMMAR "\"syntax\":\"regex\",\"definition\":\"a+\\n\\\"b\\\"\""
#define CHAT                                                                                       \
    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"      \
    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"custom\",\"custom\":{"      \
    "\"name\":\"patch\",\"input\":\"*** \\\"x\\\"\\n\\u00e9\"}}]},{\"role\":\"tool\","             \
    "\"tool_call_id\":\"c1\",\"content\":\"ok\"}],\"tools\":[{\"type\":\"custom\",\"custom\":{"    \
    "\"name\":\"patch\",\"description\":\"d\",\"format\":{\"type\":\"grammar\",\"grammar\":"       \
    "{" GRAMMAR "}}}}],\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"patch\"}}}"
#define RESPONSES                                                                                  \
    "{\"model\":\"m\",\"max_output_tokens\":9,\"input\":[{\"role\":\"user\",\"content\":\"hi\"},"  \
    "{\"type\":\"custom_tool_call\",\"call_id\":\"c1\",\"name\":\"patch\",\"input\":\"*** "        \
    "\\\"x\\\"\\n\\u00e9\"},{\"type\":\"custom_tool_call_output\",\"call_id\":\"c1\","             \
    "\"output\":\"ok\"}],\"tools\":[{\"type\":\"custom\",\"name\":\"patch\",\"description\":"      \
    "\"d\",\"format\":{\"type\":\"grammar\"," GRAMMAR "}}],\"tool_choice\":{\"type\":\"custom\","  \
    "\"name\":\"patch\"}}"

#define IN_WORDS "d\\n\\nThe input is plain text that follows this regex grammar:\\na+\\n\\\"b\\\""
#define INSIDE "\\\"*** \\\\\\\"x\\\\\\\"\\\\n\\\\u00e9\\\""

static const struct row {
    enum target_kind kind;
    const char *model;
    const struct dialect *to;
    const char *tool, *call, *choice; /* parts of the body */
    const char *lossy;
} rows[] = {
    {TARGET_OPENAI, "gpt-5.1", &dialect_openai_chat,
     "\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"patch\",\"description\":\"d\","
     "\"format\":{\"type\":\"grammar\",\"grammar\":{" GRAMMAR "}}}}]",
     "\"type\":\"custom\",\"custom\":{\"name\":\"patch\",\"input\":\"*** \\\"x\\\"\\n\\u00e9\"}",
     "\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"patch\"}}", ""},
    {TARGET_VLLM, "m", &dialect_openai_chat,
     "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"patch\",\"description\":"
     "\"" IN_WORDS "\",\"parameters\":" FREE_TEXT_SCHEMA "}}]",
     "\"type\":\"function\",\"function\":{\"name\":\"patch\",\"arguments\":\"{\\\"input\\\":" INSIDE
     "}\"}",
     "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"patch\"}}", "strict_tools"},
    {TARGET_OPENAI, "gpt-5.1", &dialect_openai_responses,
     "\"tools\":[{\"type\":\"custom\",\"name\":\"patch\",\"description\":\"d\",\"format\":{"
     "\"type\":\"grammar\"," GRAMMAR "}}]",
     "{\"type\":\"custom_tool_call\",\"call_id\":\"c1\",\"name\":\"patch\",\"input\":\"*** "
     "\\\"x\\\"\\n\\u00e9\"},{\"type\":\"custom_tool_call_output\",",
     "\"tool_choice\":{\"type\":\"custom\",\"name\":\"patch\"}", ""},
    {TARGET_OPENAI, "gpt-4o", &dialect_openai_responses,
     "\"tools\":[{\"type\":\"function\",\"name\":\"patch\",\"description\":\"" IN_WORDS
     "\",\"parameters\":" FREE_TEXT_SCHEMA ",\"strict\":false}]",
     "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"patch\",\"arguments\":\"{"
     "\\\"input\\\":" INSIDE "}\"},{\"type\":\"function_call_output\",",
     "\"tool_choice\":{\"type\":\"function\",\"name\":\"patch\"}", "strict_tools"},
    {TARGET_GEMINI, "gemini-2.5-flash", &dialect_gemini,
     "\"functionDeclarations\":[{\"name\":\"patch\",\"description\":\"" IN_WORDS
     "\",\"parametersJsonSchema\":" FREE_TEXT_SCHEMA "}]",
     "\"name\":\"patch\",\"args\":{\"input\":\"*** \\\"x\\\"\\n\\u00e9\"}",
     "\"allowedFunctionNames\":[\"patch\"]", "strict_tools"},
    {TARGET_BEDROCK, "us.amazon.nova-pro-v1:0", &dialect_bedrock_converse,
     "\"toolSpec\":{\"name\":\"patch\",\"description\":\"" IN_WORDS
     "\",\"inputSchema\":{\"json\":" FREE_TEXT_SCHEMA "}}",
     "\"name\":\"patch\",\"input\":{\"input\":\"*** \\\"x\\\"\\n\\u00e9\"}",
     "\"toolChoice\":{\"tool\":{\"name\":\"patch\"}}", "strict_tools"},
    {TARGET_ANTHROPIC, "claude-sonnet-4-5", &dialect_anthropic,
     "\"name\":\"patch\",\"description\":\"" IN_WORDS "\",\"input_schema\":" FREE_TEXT_SCHEMA,
     "\"name\":\"patch\",\"input\":{\"input\":\"*** \\\"x\\\"\\n\\u00e9\"}",
     "\"tool_choice\":{\"type\":\"tool\",\"name\":\"patch\"", "strict_tools"},
};

static void has(const struct row *row, struct span body, const char *part)
{
    if (span_search(body, span_from(part)) < 0)
        fail_msg("%s to %s: no\n  %s\nin\n  %.*s", target_kind_name(row->kind), row->to->name, part,
                 SPAN_FMT(body));
}

static void each_target_is_told_in_words_it_knows(void **state)
{
    static const struct {
        const struct dialect *door;
        const char *body;
    } doors[] = {{&dialect_openai_chat, CHAT}, {&dialect_openai_responses, RESPONSES}};
    for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        const struct row *row = &rows[i / 2];
        struct capability cap = capability_preset(row->kind, span_from(row->model));
        struct request_words w = translate_request(*state, doors[i % 2].door, row->to, &cap,
                                                   span_from(doors[i % 2].body));
        char names[256];
        assert_int_equal(w.read, ERR_OK);
        assert_int_equal(w.write, ERR_OK);
        has(row, w.body, row->tool);
        has(row, w.body, row->call);
        has(row, w.body, row->choice);
        (void)lossy_format(&w.lossy, names, sizeof names);
        if (doors[i % 2].door != row->to)
            assert_string_equal(names, row->lossy);
    }
}

/* ---- answers ---- */

/* As each upstream says a call of `patch` whole: before and behind its input. */
static const struct {
    const struct dialect *from;
    const char *before, *behind;
    bool quoted; /* the input stands in a string */
} answers[] = {
    {&dialect_openai_chat,
     "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"finish_reason\":\"tool_calls\","
     "\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
     "\"function\",\"function\":{\"name\":\"patch\",\"arguments\":",
     "}}]}}]}", true},
    {&dialect_openai_responses,
     "{\"id\":\"r\",\"model\":\"m\",\"status\":\"completed\",\"output\":[{\"type\":"
     "\"function_call\",\"call_id\":\"c1\",\"name\":\"patch\",\"arguments\":",
     "}]}", true},
    {&dialect_gemini,
     "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"c1\",\"name\":"
     "\"patch\",\"args\":",
     "}}]},\"finishReason\":\"STOP\"}]}", false},
    {&dialect_bedrock_converse,
     "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{\"toolUse\":{\"toolUseId\":"
     "\"c1\",\"name\":\"patch\",\"input\":",
     "}}]}},\"stopReason\":\"tool_use\",\"usage\":{\"inputTokens\":1,\"outputTokens\":1}}", false},
    {&dialect_anthropic,
     "{\"id\":\"m\",\"model\":\"m\",\"role\":\"assistant\",\"type\":\"message\",\"content\":[{"
     "\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"patch\",\"input\":",
     "}],\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}", false},
};

static struct span quoted(struct arena *a, struct span text)
{
    struct buf to;
    struct json_out w;
    buf_init(&to, 1 << 20);
    json_out_buf(&w, &to);
    jw_str(&w, text);
    struct span s = arena_copy(a, buf_span(&to));
    buf_deinit(&to);
    return s;
}

static const struct dialect *const doors[] = {&dialect_openai_chat, &dialect_openai_responses};

static const struct chat_request *asked_at(struct arena *a, const struct dialect *door,
                                           struct span body)
{
    struct json_doc *doc = arena_new(a, struct json_doc);
    struct chat_request *r = arena_new(a, struct chat_request);
    struct chat_problem problem;
    *r = (struct chat_request){.max_tokens = -1, .choices = 1};
    assert_int_equal(json_parse(a, body, &json_limits_default, doc, NULL), ERR_OK);
    assert_int_equal(door->read_request(a, doc, r, &problem), ERR_OK);
    return r;
}

/* The call that the client gets is a custom one with this input. */
static void assert_custom(struct arena *a, const struct dialect *door, struct span got,
                          bool streamed, struct span input)
{
    struct answer d;
    bool chat = door == &dialect_openai_chat;
    assert_true((chat ? answer_of_chat : answer_of_responses)(a, got, streamed, &d));
    const char *mark = chat ? "\"type\":\"custom\"" : "\"type\":\"custom_tool_call\"";
    if (d.tool_count != 1 || !span_eq(d.tools[0].input, input) ||
        span_search(got, span_from(mark)) < 0 || !span_is(d.tools[0].name, "patch"))
        fail_msg("%s: not the call with %.*s:\n%.*s", door->name, SPAN_FMT(input), SPAN_FMT(got));
}

static void check_back(struct arena *a, struct span wrapped, struct span input)
{
    for (size_t i = 0; i < ARRAY_LEN(answers) * ARRAY_LEN(doors) * 2; i++) {
        size_t k = i / 4;
        const struct dialect *door = doors[i / 2 % 2];
        struct span body = span_from(door == &dialect_openai_chat ? CHAT : RESPONSES);
        struct span in = answers[k].quoted ? quoted(a, wrapped) : wrapped;
        struct span upstream =
            arena_printf(a, "%s%.*s%s", answers[k].before, SPAN_FMT(in), answers[k].behind);
        struct translated t = translate_answer(a, answers[k].from, door, asked_at(a, door, body),
                                               upstream, false, i % 2, FEED_WHOLE, 0);
        assert_int_equal(t.err, ERR_OK);
        assert_custom(a, door, t.bytes, i % 2, input);
    }
}

static void calls_come_back_as_they_were_asked_for(void **state)
{
    check_back(*state, SPAN("{\"input\":\"*** \\\"x\\\"\\n\\u00e9\"}"),
               SPAN("*** \"x\"\n\xc3\xa9"));
    check_back(*state, SPAN("{\"input\":\"{}\"}"), SPAN("{}"));
}

/* The recorded call, with the tools it was asked with. */
static void the_recorded_call_comes_back(void **state)
{
    if (!corpus_there())
        skip();
    struct corpus c = corpus_open(*state, "openai-responses");
    for (size_t i = 0; i < c.count; i++) {
        struct json_doc doc;
        if (strcmp(c.items[i].id, "openai--vercel--openai-custom-tool.1--0") != 0)
            continue;
        assert_int_equal(json_parse(*state, c.items[i].response, &json_limits_default, &doc, NULL),
                         ERR_OK);
        struct json call = json_at(json_get(json_root(&doc), "output"), 0);
        struct json tools = json_get(json_root(&doc), "tools");
        struct span body = arena_printf(*state, "{\"model\":\"m\",\"input\":[%.*s],\"tools\":%.*s}",
                                        SPAN_FMT(json_raw(call)), SPAN_FMT(json_raw(tools)));
        for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
            struct capability cap = capability_preset(rows[k].kind, span_from(rows[k].model));
            struct request_words w =
                translate_request(*state, &dialect_openai_responses, rows[k].to, &cap, body);
            assert_int_equal(w.write, ERR_OK);
            assert_true(span_search(w.body, SPAN("SELECT * FROM users WHERE age > 25")) > 0);
            assert_true(span_search(w.body, SPAN("SELECT .+")) > 0);
        }
        struct chat_text input = text_of(json_get(call, "input"));
        check_back(*state, free_text_wrap(*state, input), text_plain(*state, input));
        return;
    }
    fail_msg("the recording is not there");
}

/* ---- in pieces ---- */

#define CHUNK(rest)                                                                                \
    "data: {\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0," rest "}]}\n\n"
#define ARGUMENTS(text)                                                                            \
    CHUNK("\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"" text            \
          "\"}}]},\"finish_reason\":null")

static void a_stream_is_unwrapped_while_it_comes(void **state)
{
    static const char stream[] =
        CHUNK("\"delta\":{\"role\":\"assistant\",\"content\":\"so\"},\"finish_reason\":null") CHUNK(
            "\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\","
            "\"function\":{\"name\":\"patch\",\"arguments\":\"\"}}]},\"finish_reason\":null")
            ARGUMENTS("{\\\"in") ARGUMENTS("put\\\": \\\"*** \\\\") ARGUMENTS("\\\"x\\\\\\\"\\\\")
                ARGUMENTS("n\\\\u00") ARGUMENTS("e9 \\ud83d") ARGUMENTS("\\ude00")
                    ARGUMENTS("!\\\"") ARGUMENTS("}") CHUNK(
                        "\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"c2\",\"type\":"
                        "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
                        "\"finish_reason\":null")
                        CHUNK("\"delta\":{},\"finish_reason\":\"tool_calls\"") "data: [DONE]\n\n";
    struct chat_request asked = *asked_at(*state, &dialect_openai_chat, SPAN(CHAT));
    for (int cuts = FEED_WHOLE; cuts <= FEED_RANDOM; cuts++) {
        struct event_lines l;
        event_lines_init(&l);
        enum err e = read_answer(*state, &dialect_openai_chat, &asked, span_from(stream), true,
                                 (enum feed_cuts)cuts, 7, event_lines_sink(&l));
        assert_int_equal(e, ERR_OK);
        assert_bytes(buf_span(&l.text),
                     "start c m\nopen text\n+ so\nclose\nopen tool_use c1 patch\n+ *** \n"
                     "+ \\\"x\\\"\n+ \\n\n+ \\u00e9 \n+ \xf0\x9f\x98\x80\n+ !\nclose\n"
                     "open tool_use c2 f\n+ {}\nclose\nfinish tool_use\nend\n");
        event_lines_deinit(&l);
    }
}

/* What models make of the wrapping; byte by byte and at once. */
static void odd_wrappings_lose_nothing(void **state)
{
    static const struct {
        const char *json, *text;
    } odd[] = {
        {" {\n \"input\" :\t\"a\" } ", "a"},
        {"{\"input\":\"a\nb\tc\"}", "a\nb\tc"},               /* not escaped */
        {"{\"input\":\"\\d+ \\u12 \\\\\"}", "\\d+ \\u12 \\"}, /* no escapes of JSON's */
        {"{\"why\":\"w\",\"input\":\"a\"}", "a"},
        {"{\"input\":\"a\",\"why\":\"w\"}", "a"},
        {"{\"input\":7}", "{\"input\":7}"},
        {"{}", "{}"},
        {"*** Begin", "*** Begin"}, /* no wrapping at all */
        {"", ""},
        {"{\"inp", "{\"inp"},
    };
    for (size_t i = 0; i < ARRAY_LEN(odd) * 2; i++) {
        struct span json = span_from(odd[i / 2].json);
        struct free_text f;
        struct buf got;
        free_text_init(&f);
        buf_init(&got, 1 << 20);
        for (size_t at = 0; at < json.len; at += i % 2 ? 1 : json.len) {
            struct chat_text piece = {span_take(span_drop(json, at), i % 2 ? 1 : json.len), false};
            assert_int_equal(free_text_feed(&f, piece, &piece), ERR_OK);
            assert_int_equal(buf_add(&got, text_plain(*state, piece)), ERR_OK);
        }
        assert_int_equal(buf_add(&got, text_plain(*state, free_text_end(&f, *state))), ERR_OK);
        assert_bytes(buf_span(&got), odd[i / 2].text);
        free_text_deinit(&f);
        buf_deinit(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(each_target_is_told_in_words_it_knows),
        CHECK_TEST(calls_come_back_as_they_were_asked_for),
        CHECK_TEST(the_recorded_call_comes_back),
        CHECK_TEST(a_stream_is_unwrapped_while_it_comes),
        CHECK_TEST(odd_wrappings_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
