/* Ollama's own chat format as an upstream: bodies from both doors, answers whole and in lines. */
#include "http/stream.h"
#include "support/answer.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/translate.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, SIZE_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* ---- requests ---- */

static struct request_words asked(const struct dialect *from, int64_t context, const char *body)
{
    struct capability cap = capability_preset(TARGET_OLLAMA, SPAN("llava"));
    cap.context = context;
    return translate_request(&arena, from, &dialect_ollama, &cap, span_from(body));
}

static void check_body(const struct dialect *from, int64_t context, const char *body,
                       const char *wanted, const char *wanted_lossy)
{
    char lossy[256];
    struct request_words w = asked(from, context, body);
    if (w.read != ERR_OK || w.write != ERR_OK)
        fail_msg("%s: %.*s", body, SPAN_FMT(w.problem.text));
    if (!json_text_same(&arena, w.body, span_from(wanted)))
        fail_msg("%.*s\nis not\n%s", SPAN_FMT(w.body), wanted);
    (void)lossy_format(&w.lossy, lossy, sizeof lossy);
    assert_string_equal(lossy, wanted_lossy);
}

static void test_schemas_it_could_not_read(void **state)
{
    (void)state;
    check_body(
        &dialect_anthropic, 0,
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
        "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"$defs\":{\"x\":true},\"type\":[\"object\","
        "\"null\"],\"required\":[\"a\"],\"properties\":{\"a\":true,\"b\":{\"anyOf\":[{\"type\":"
        "\"string\"},false],\"enum\":[true]},\"c\":{\"properties\":{\"d\":true},"
        "\"additionalProperties\":true}}}},{\"name\":\"g\",\"input_schema\":{\"type\":\"object\"}}]"
        "}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{"
        "\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"description\":\"\",\"parameters\":{\"type\":"
        "\"object\",\"properties\":{\"a\":{},\"b\":{\"anyOf\":[{\"type\":\"string\"},{}],\"enum\":"
        "[true]},\"c\":{\"properties\":{\"d\":{}},\"additionalProperties\":true}},\"$defs\":{\"x\":"
        "true},"
        "\"required\":[\"a\"]}}},{\"type\":\"function\",\"function\":{\"name\":\"g\","
        "\"description\":\"\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],"
        "\"options\":{"
        "\"num_predict\":9},\"stream\":false,\"truncate\":false,\"shift\":false}",
        "");
}

/* As the second of two tools. */
static bool reads(const char *schema)
{
    struct json_doc doc;
    struct span tools = arena_printf(&arena,
                                     "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},"
                                     "{\"function\":{\"parameters\":%s}}]",
                                     schema);
    assert_int_equal(json_parse(&arena, tools, NULL, &doc, NULL), ERR_OK);
    return dialect_ollama_reads(json_root(&doc));
}

static void test_which_schemas_those_are(void **state)
{
    (void)state;
    assert_true(reads("{}"));
    assert_true(
        reads("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"null\"]}}}"));
    assert_true(
        reads("{\"type\":\"object\",\"additionalProperties\":false,\"$defs\":{\"x\":true}}"));
    assert_true(reads("{\"properties\":{\"a\":{\"anyOf\":[{\"properties\":{\"b\":{}}}]}}}"));
    assert_true(dialect_ollama_reads((struct json){0}));
    assert_false(reads("{\"type\":[\"object\",\"null\"]}"));
    assert_false(reads("{\"properties\":{\"a\":{},\"b\":true}}"));
    assert_false(reads("{\"properties\":{\"a\":{\"properties\":{\"b\":false}}}}"));
    assert_false(reads("{\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"string\"},true]}}}"));
    assert_false(reads("{\"properties\":{\"a\":{\"anyOf\":[{\"properties\":{\"b\":true}}]}}}"));
}

static void test_a_conversation(void **state)
{
    (void)state;
    check_body(
        &dialect_anthropic, 65536,
        "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"temperature\":0.5,\"top_k\":7,\"stop_"
        "sequences\":[\"E\"],\"thinking\":{\"type\":\"disabled\"},\"system\":\"Be brief.\","
        "\"tools\":[{\"name\":\"look\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"
        "\"tool_choice\":{\"type\":\"any\"},\"messages\":[{\"role\":\"user\",\"content\":[{"
        "\"type\":"
        "\"text\",\"text\":\"a\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_"
        "type\":\"image/png\",\"data\":\"iVBO\"}},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":"
        "\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"I look.\"},{\"type\":\"tool_"
        "use\",\"id\":\"t1\",\"name\":\"look\",\"input\":{\"q\":1}}]},{\"role\":\"user\","
        "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"is_error\":true,"
        "\"content\":[{\"type\":\"text\",\"text\":\"no\"},{\"type\":\"image\",\"source\":{\"type\":"
        "\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAA\"}}]}]}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":"
        "\"user\",\"content\":\"a\\n\\nb\",\"images\":[\"iVBO\"]},{\"role\":\"assistant\","
        "\"content\":\"I look.\",\"tool_calls\":[{\"id\":\"t1\",\"function\":{\"name\":\"look\","
        "\"arguments\":{\"q\":1}}}]},{\"role\":\"tool\",\"content\":\"Error: no\\n[attached to the "
        "next user message]\",\"tool_name\":\"look\",\"tool_call_id\":\"t1\"},{\"role\":\"user\","
        "\"content\":\"From the result of tool look:\",\"images\":[\"AAAA\"]}],\"tools\":[{"
        "\"type\":\"function\",\"function\":{\"name\":\"look\",\"description\":\"\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}],\"options\":{\"num_ctx\":65536,"
        "\"num_predict\":9,\"temperature\":0.5,\"top_k\":7,\"stop\":[\"E\"]},\"think\":false,"
        "\"stream\":true,\"truncate\":false,\"shift\":false}",
        "tool_result_error,tool_result_image,tool_choice");
}

static void test_formats_and_options(void **state)
{
    (void)state;
    check_body(&dialect_openai_chat, 0,
               "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"seed\":4,"
               "\"tool_choice\":\"none\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
               "\"f\"}}],\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
               "\"n\",\"schema\":{\"type\":\"object\"}}}}",
               "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"options\":{"
               "\"seed\":4},\"format\":{\"type\":\"object\"},\"stream\":false,\"truncate\":false,"
               "\"shift\":false}",
               "");
    struct request_words w =
        asked(&dialect_anthropic, 0,
              "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{"
              "\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
              "\"application/pdf\",\"data\":\"JVBE\"}}]}]}");
    assert_int_equal(w.write, ERR_UNSUPPORTED);
    assert_true(span_search(w.problem.text, SPAN("document")) >= 0);
}

/* ---- every recorded request of both doors: JSON, roles known, no result without its tool ---- */

static void check_rules(struct span body)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    struct json_doc doc;
    assert_int_equal(json_parse(&arena, body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json messages = json_get(json_root(&doc), "messages");
    assert_true(json_len(messages) > 0);
    for (struct json m = json_first(messages); json_present(m); m = json_next(messages, m)) {
        size_t known = 0;
        for (size_t i = 0; i < ARRAY_LEN(roles); i++)
            known += json_str_is(json_get(m, "role"), roles[i]);
        assert_true(known == 1 && json_is(json_get(m, "content"), JSON_STRING));
        if (json_str_is(json_get(m, "role"), "tool"))
            assert_true(json_str(json_get(m, "tool_name")).len > 0);
        struct json calls = json_get(m, "tool_calls");
        for (struct json c = json_first(calls); json_present(c); c = json_next(calls, c))
            assert_true(json_is(json_path(c, "function.arguments"), JSON_OBJECT));
    }
}

static size_t check_recorded(const struct dialect *from, const char *protocol)
{
    struct corpus c = corpus_open(&arena, protocol);
    size_t done = 0;
    for (size_t i = 0; i < c.count; i++) {
        if (c.items[i].request.len == 0)
            continue;
        struct request_words w = asked(from, 0, arena_cstr(&arena, c.items[i].request));
        if (w.read == ERR_OK && w.write == ERR_OK) {
            check_rules(w.body);
            done++;
        } else {
            assert_true(w.problem.text.len > 0);
        }
    }
    return done;
}

static void test_recorded_requests(void **state)
{
    (void)state;
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: skipped\n");
        skip();
    }
    size_t messages = check_recorded(&dialect_anthropic, "anthropic-messages");
    size_t chat = check_recorded(&dialect_openai_chat, "openai-chat");
    print_message("# %zu requests of Messages, %zu of chat\n", messages, chat);
    assert_true(messages > 50 && chat > 100);
}

/* ---- answers ---- */

static enum err read_lines(const char *body, size_t piece, struct chat_sink sink)
{
    struct event_stream s;
    struct chat_text stops[] = {CHAT_TEXT_LIT("END")};
    struct chat_request answered = {.stop = {stops, 1}, .max_tokens = -1, .choices = 1};
    struct reader_options o = {.request = &answered};
    struct reply_reader *r = dialect_ollama.reader_new(&arena, &o, sink);
    enum err e = ERR_AGAIN;
    event_stream_init(&s, true, 1 << 20);
    for (struct span in = span_from(body); in.len > 0 && e == ERR_AGAIN;) {
        struct span now = span_take(in, piece);
        in = span_drop(in, piece);
        do {
            struct sse_event event;
            size_t used;
            e = event_stream_next(&s, now, &used, &event);
            now = span_drop(now, used);
            if (e == ERR_OK)
                e = dialect_ollama.read_event(r, &event);
        } while (e == ERR_OK);
    }
    event_stream_deinit(&s);
    return e == ERR_AGAIN ? dialect_ollama.read_eof(r) : e;
}

static void check_events(const char *body, enum err wanted_err, const char *wanted)
{
    static const size_t pieces[] = {1, 7, 100000};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct event_lines lines;
        event_lines_init(&lines);
        assert_int_equal(read_lines(body, pieces[i], event_lines_sink(&lines)), wanted_err);
        if (!span_is(buf_span(&lines.text), wanted))
            fail_msg("%.*s\nis not\n%s", SPAN_FMT(buf_span(&lines.text)), wanted);
        event_lines_deinit(&lines);
    }
}

#define SAYS(message)                                                                              \
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\"," message "},\"done\":false}\n"
#define DONE(reason)                                                                               \
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_" \
    "reason\":\"" reason "\",\"prompt_eval_count\":5,\"eval_count\":2}\n"

static void test_streams(void **state)
{
    (void)state;
    check_events(SAYS("\"content\":\"\",\"thinking\":\"Hm.\"") SAYS("\"content\":\"a\"")
                     SAYS("\"content\":\"b\"") DONE("stop"),
                 ERR_OK,
                 "start  m\nopen thinking\n+ Hm.\nclose\nopen text\n+ a\n+ b\nclose\nusage in=5 "
                 "read=-1 write=-1 out=2 think=-1\nfinish end_turn\nend\n");
    check_events(SAYS("\"content\":\"\",\"tool_calls\":[{\"id\":\"c1\",\"function\":{\"index\":0,"
                      "\"name\":\"f\",\"arguments\":{\"x\":1}}}]")
                     SAYS("\"content\":\"\",\"tool_calls\":[{\"id\":\"c2\",\"function\":{\"index\":"
                          "0,\"name\":\"f\",\"arguments\":{}}}]") DONE("stop"),
                 ERR_OK,
                 "start  m\nopen tool_use c1 f\n+ {\"x\":1}\nclose\nopen tool_use c2 f\n+ {}\n"
                 "close\nusage in=5 read=-1 write=-1 out=2 think=-1\nfinish tool_use\nend\n");
    check_events(SAYS("\"content\":\"a E\"") SAYS("\"content\":\"ND b\"") DONE("stop"), ERR_OK,
                 "start  m\nopen text\n+ a \nclose\nusage in=5 read=-1 write=-1 out=2 think=-1\n"
                 "finish stop_sequence END\nend\n");
    check_events(SAYS("\"content\":\"a\"") DONE("length"), ERR_OK,
                 "start  m\nopen text\n+ a\nclose\nusage in=5 read=-1 write=-1 out=2 think=-1\n"
                 "finish max_tokens\nend\n");
    check_events(SAYS("\"content\":\"a\""), ERR_EOF, "start  m\nopen text\n+ a\n");
    check_events(SAYS("\"content\":\"a\"") "{\"error\":\"the runner died\"}\n", ERR_OK,
                 "start  m\nopen text\n+ a\nerror api_error 500 the runner died\n");
    check_events("no\n", ERR_SYNTAX, "");
    check_events("{\"model\":\"m\",\"response\":\"a\",\"done\":false}\n" DONE("stop"), ERR_SYNTAX,
                 "");
}

static void test_whole_answers(void **state)
{
    (void)state;
    struct event_lines lines;
    event_lines_init(&lines);
    assert_int_equal(read_answer(&arena, &dialect_ollama, NULL,
                                 SPAN("{\"model\":\"m\",\"message\":{\"content\":\"a\"},\"done\":"
                                      "true,\"done_reason\":\"stop\",\"eval_count\":2}"),
                                 false, FEED_WHOLE, 0, event_lines_sink(&lines)),
                     ERR_OK);
    assert_true(span_is(buf_span(&lines.text),
                        "start  m\nopen text\n+ a\nclose\nusage in=-1 read=-1 write=-1 out=2 "
                        "think=-1\nfinish end_turn\nend\n"));
    buf_reset(&lines.text);
    static const char *const none[] = {"{}", "[]", "{\"message\":{\"content\":\"a\"}}", "x"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(read_answer(&arena, &dialect_ollama, NULL, span_from(none[i]), false,
                                     FEED_WHOLE, 0, event_lines_sink(&lines)),
                         ERR_SYNTAX);
    event_lines_deinit(&lines);
}

static void test_the_recorded_answer(void **state)
{
    (void)state;
    struct corpus c = corpus_open(&arena, "ollama-native");
    if (c.count == 0)
        skip();
    size_t done = 0;
    for (size_t i = 0; i < c.count; i++) {
        struct json_doc doc;
        if (c.items[i].response.len == 0 ||
            json_parse(&arena, c.items[i].response, NULL, &doc, NULL) != ERR_OK ||
            !json_present(json_get(json_root(&doc), "message")))
            continue; /* of /api/generate */
        struct answer a = {0};
        struct translated t = translate_answer(&arena, &dialect_ollama, &dialect_anthropic, NULL,
                                               c.items[i].response, false, false, FEED_WHOLE, 0);
        assert_int_equal(t.err, ERR_OK);
        assert_true(answer_of_messages(&arena, t.bytes, false, &a));
        struct json root = json_root(&doc);
        assert_true(span_eq(a.text, json_str_decode(json_path(root, "message.content"), &arena)));
        done++;
    }
    assert_int_equal(done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemas_it_could_not_read),
        cmocka_unit_test(test_which_schemas_those_are),
        cmocka_unit_test(test_a_conversation),
        cmocka_unit_test(test_formats_and_options),
        cmocka_unit_test(test_recorded_requests),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_whole_answers),
        cmocka_unit_test(test_the_recorded_answer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
