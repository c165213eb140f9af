/* The legacy door /v1/complete: both its forms in, completions out, whole and streamed. */
#include "support/check.h"
#include "support/translate.h"

static const struct capability open_server = {
    .sampling = true, .stop = true, .stream_options = true, .forced_tool = true};

static struct request_words ask(void **state, const char *json)
{
    return translate_request(*state, &dialect_complete, &dialect_openai_chat, &open_server,
                             span_from(json));
}

static void turns_become_messages_and_what_stands_before_them_the_system(void **state)
{
    struct request_words w =
        ask(state, "{\"model\":\"m\",\"prompt\":\"Be \\\"brief\\\".\\n\\nHuman: One?\\n\\n"
                   "Assistant: 1\\n\\nHuman:Two?\\n\\u000aAssistant: It\","
                   "\"max_tokens_to_sample\":9,\"stop_sequences\":[\"x\"],\"top_p\":0.5,"
                   "\"stream\":true}");
    assert_int_equal(w.write, ERR_OK);
    assert_bytes(w.body,
                 "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Be "
                 "\\\"brief\\\".\"},{\"role\":\"user\",\"content\":\"One?\"},{\"role\":"
                 "\"assistant\",\"content\":\"1\"},{\"role\":\"user\",\"content\":\"Two?\"},"
                 "{\"role\":\"assistant\",\"content\":\"It\"},{\"role\":\"user\",\"content\":"
                 "\"" DIALECT_GO_ON "\"}],\"max_tokens\":9,\"top_p\":0.5,\"stop\":[\"x\"],"
                 "\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

static void the_plain_form_has_its_defaults(void **state)
{
    struct request_words w = ask(state, "{\"prompt\":\"p\"}");
    assert_int_equal(w.read, ERR_OK);
    assert_int_equal(w.request.max_tokens, 100);
    assert_bytes(w.request.temperature, "0.7");
    w = ask(state, "{\"prompt\":\"p\",\"max_tokens\":null,\"temperature\":null}");
    assert_int_equal(w.request.max_tokens, 100);
    assert_bytes(w.request.temperature, "0.7");
    w = ask(state, "{\"prompt\":\"p\",\"max_tokens\":1,\"temperature\":2}");
    assert_int_equal(w.request.max_tokens, 1);
    assert_bytes(w.request.temperature, "2");
}

static void what_the_door_does_not_know_is_left_out_and_said(void **state)
{
    struct request_words w = ask(state, "{\"prompt\":\"p\",\"novel\":1,\"messages\":7}");
    assert_int_equal(w.write, ERR_OK);
    assert_int_equal(w.lossy.count, 1);
    assert_string_equal(w.lossy.names[0], LOSSY_OTHER);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *json, *param;
    } rows[] = {
        {"{}", "prompt"},
        {"{\"prompt\":null}", "prompt"},
        {"{\"prompt\":\"\\n \"}", "prompt"},
        {"{\"prompt\":[\"p\"]}", "prompt"},
        {"{\"prompt\":\"p\",\"max_tokens\":0}", "max_tokens"},
        {"{\"prompt\":\"p\",\"max_tokens\":-1}", "max_tokens"},
        {"{\"prompt\":\"p\",\"max_tokens\":1e999}", "max_tokens"},
        {"{\"prompt\":\"p\",\"temperature\":2.01}", "temperature"},
        {"{\"prompt\":\"p\",\"temperature\":-1e-9}", "temperature"},
        {"{\"prompt\":\"p\",\"temperature\":true}", "temperature"},
        {"{\"prompt\":\"\\n\\nHuman: x\\n\\nAssistant:\"}", "max_tokens_to_sample"},
        {"{\"prompt\":\"p\",\"max_tokens_to_sample\":\"5\"}", "max_tokens_to_sample"},
        {"{\"prompt\":\"p\",\"max_tokens_to_sample\":5}", "prompt"},
        {"{\"prompt\":\"\\n\\nAssistant: x\",\"max_tokens_to_sample\":5}", "prompt"},
        {"{\"prompt\":\"\\n\\nHuman: x\",\"max_tokens_to_sample\":5}", "prompt"},
        {"{\"prompt\":\"\\n\\nHuman:\\n\\nAssistant:\",\"max_tokens_to_sample\":5}", "prompt"},
        {"{\"prompt\":\"p\",\"stream\":1}", "stream"},
        {"[]", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_words w = ask(state, rows[i].json);
        if (w.read != ERR_INVALID || !span_is(w.problem.param, rows[i].param))
            fail_msg("%s: %d, %.*s", rows[i].json, w.read, SPAN_FMT(w.problem.param));
    }
}

#define EVENT(name, data) "event: " name "\ndata: {\"type\":\"" name "\"" data "}\n\n"
#define STREAM(stop, sequence)                                                                     \
    EVENT("message_start",                                                                         \
          ",\"message\":{\"id\":\"msg_1\",\"model\":\"up\",\"usage\":{\"input_tokens\":3}}")       \
    EVENT("content_block_start",                                                                   \
          ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}")              \
    EVENT("content_block_delta",                                                                   \
          ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")              \
    EVENT("content_block_stop", ",\"index\":0")                                                    \
    EVENT("content_block_start",                                                                   \
          ",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")                      \
    EVENT("content_block_delta",                                                                   \
          ",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"Be\\u0063\"}")               \
    EVENT("content_block_delta",                                                                   \
          ",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"ause\"}")                    \
    EVENT("content_block_stop", ",\"index\":1")                                                    \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" stop "\",\"stop_sequence\":" sequence  \
                           "},\"usage\":{\"output_tokens\":2}")                                    \
    EVENT("message_stop", "")
#define WHOLE(text, reason, stop)                                                                  \
    "{\"type\":\"completion\",\"id\":\"compl_1\",\"completion\":\"" text                           \
    "\",\"stop_reason\":" reason ",\"stop\":" stop ",\"model\":\"up\",\"log_id\":\"compl_1\"}"

static struct span answer(void **state, const char *from, bool stream, enum feed_cuts cuts)
{
    struct chat_request asked = {.max_tokens = -1, .choices = 1};
    struct translated t = translate_answer(*state, &dialect_anthropic, &dialect_complete, &asked,
                                           span_from(from), true, stream, cuts, 0);
    assert_int_equal(t.err, ERR_OK);
    assert_true(t.ended);
    return t.bytes;
}

static void a_whole_answer_is_one_completion(void **state)
{
    static const struct {
        const char *from, *to;
    } rows[] = {
        {STREAM("end_turn", "null"),
         WHOLE("Be\\u0063ause", "\"stop_sequence\"", "\"\\n\\nHuman:\"")},
        {STREAM("stop_sequence", "\"q\\\"\""),
         WHOLE("Be\\u0063ause", "\"stop_sequence\"", "\"q\\\"\"")},
        {STREAM("max_tokens", "null"), WHOLE("Be\\u0063ause", "\"max_tokens\"", "null")},
        {STREAM("refusal", "null"), WHOLE("Be\\u0063ause", "\"refusal\"", "null")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_bytes(answer(state, rows[i].from, false, FEED_WHOLE), rows[i].to);
}

static void a_stream_is_pieces_and_why_it_ended(void **state)
{
    static const char *const wanted =
        "event: completion\ndata: " WHOLE("Be\\u0063", "null", "null") //
        "\n\nevent: completion\ndata: " WHOLE("ause", "null", "null")  //
        "\n\nevent: completion\ndata: " WHOLE("", "\"max_tokens\"", "null") "\n\n";
    assert_bytes(answer(state, STREAM("max_tokens", "null"), true, FEED_WHOLE), wanted);
    assert_bytes(answer(state, STREAM("max_tokens", "null"), true, FEED_BYTES), wanted);
}

static void errors_are_claudes_and_end_a_stream_as_an_event(void **state)
{
    struct arena *a = *state;
    struct buf to;
    struct chat_error e = {.status = 529, .type = SPAN("overloaded_error"), .message = SPAN("no")};
    static const char *const body =
        "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no\"}}";
    struct chat_request asked = {.max_tokens = -1};
    struct writer_options o = {.request = &asked};
    buf_init(&to, 4096);
    assert_int_equal(dialect_complete.write_error(&to, NULL, &e), ERR_OK);
    assert_bytes(buf_span(&to), body);
    buf_reset(&to);
    struct reply_writer *w = dialect_complete.writer_new(a, &o, true, &to);
    assert_int_equal(dialect_complete.write_ping(w), ERR_OK);
    assert_bytes(buf_span(&to), "event: ping\ndata: {\"type\": \"ping\"}\n\n");
    buf_reset(&to);
    assert_int_equal(dialect_complete.write_error(&to, w, &e), ERR_OK);
    assert_bytes(buf_span(&to), arena_cstr(a, arena_printf(a, "event: error\ndata: %s\n\n", body)));
    buf_deinit(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(turns_become_messages_and_what_stands_before_them_the_system),
        CHECK_TEST(the_plain_form_has_its_defaults),
        CHECK_TEST(what_the_door_does_not_know_is_left_out_and_said),
        CHECK_TEST(what_is_wrong_is_named),
        CHECK_TEST(a_whole_answer_is_one_completion),
        CHECK_TEST(a_stream_is_pieces_and_why_it_ended),
        CHECK_TEST(errors_are_claudes_and_end_a_stream_as_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
