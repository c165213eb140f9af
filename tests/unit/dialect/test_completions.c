/* The legacy door /v1/completions: text prompts in, text out, whole and streamed, answered by a
 * chat-speaking target. */
#include "support/check.h"
#include "support/translate.h"

static const struct capability open_server = {
    .sampling = true, .stop = true, .stream_options = true, .forced_tool = true};

static struct request_words ask(void **state, const char *json)
{
    return translate_request(*state, &dialect_completions, &dialect_openai_chat, &open_server,
                             span_from(json));
}

/* What the source's load test sends. */
static void a_plain_prompt_becomes_one_user_message(void **state)
{
    struct request_words w = ask(state, "{\"model\":\"mistral-7b\",\"prompt\":\"Tell me \\\"why\\\""
                                        "\",\"max_tokens\":64,\"temperature\":0.7}");
    assert_int_equal(w.write, ERR_OK);
    assert_bytes(w.body, "{\"model\":\"mistral-7b\",\"messages\":[{\"role\":\"user\",\"content\":"
                         "\"Tell me \\\"why\\\"\"}],\"max_tokens\":64,\"temperature\":0.7}");
    assert_int_equal(w.lossy.count, 0);
}

static void max_tokens_defaults_to_sixteen(void **state)
{
    assert_int_equal(ask(state, "{\"model\":\"m\",\"prompt\":\"p\"}").request.max_tokens, 16);
    assert_int_equal(
        ask(state, "{\"model\":\"m\",\"prompt\":\"p\",\"max_tokens\":null}").request.max_tokens,
        16);
}

static void an_array_of_one_prompt_is_that_prompt(void **state)
{
    struct request_words w = ask(state, "{\"prompt\":[\"p\"],\"stop\":\"x\",\"stream\":true,"
                                        "\"best_of\":1,\"n\":1,\"echo\":false,\"suffix\":null,"
                                        "\"logprobs\":null,\"seed\":3,\"model\":\"m\"}");
    assert_int_equal(w.write, ERR_OK);
    assert_bytes(w.body, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"p\"}],"
                         "\"max_tokens\":16,\"stop\":[\"x\"],\"seed\":3,\"stream\":true,"
                         "\"stream_options\":{\"include_usage\":true}}");
}

static void what_needs_a_completion_engine_is_refused_by_name(void **state)
{
    static const struct {
        const char *json, *param;
    } rows[] = {
        {"{\"model\":\"m\",\"prompt\":[1,2,3]}", "prompt"},
        {"{\"model\":\"m\",\"prompt\":[[1,2]]}", "prompt"},
        {"{\"model\":\"m\",\"prompt\":[\"a\",\"b\"]}", "prompt"},
        {"{\"model\":\"m\",\"prompt\":[]}", "prompt"},
        {"{\"model\":\"m\",\"prompt\":7}", "prompt"},
        {"{\"model\":\"m\"}", "prompt"},
        {"{\"prompt\":\"p\"}", "model"},
        {"{\"model\":\"m\",\"prompt\":\"p\",\"suffix\":\"s\"}", "suffix"},
        {"{\"model\":\"m\",\"prompt\":\"p\",\"echo\":true}", "echo"},
        {"{\"model\":\"m\",\"prompt\":\"p\",\"best_of\":2}", "best_of"},
        {"{\"model\":\"m\",\"prompt\":\"p\",\"n\":2}", "n"},
        {"{\"model\":\"m\",\"prompt\":\"p\",\"max_tokens\":\"x\"}", "max_tokens"},
        {"\"p\"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_words w = ask(state, rows[i].json);
        assert_int_equal(w.read, ERR_INVALID);
        assert_bytes(w.problem.param, rows[i].param);
    }
}

static void logprobs_are_left_out_and_said(void **state)
{
    struct request_words w = ask(state, "{\"model\":\"m\",\"prompt\":\"p\",\"logprobs\":2}");
    assert_int_equal(w.lossy.count, 1);
    assert_string_equal(w.lossy.names[0], LOSSY_LOGPROBS);
}

#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"chatcmpl-1\",\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":" delta     \
    ",\"finish_reason\":" finish "}]}\n\n"
#define STREAM                                                                                     \
    CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")                                     \
    CHUNK("{\"reasoning\":\"hm\"}", "null")                                                        \
    CHUNK("{\"content\":\"Be\"}", "null")                                                          \
    CHUNK("{\"content\":\"cause\"}", "null")                                                       \
    CHUNK("{}", "\"length\"")                                                                      \
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,"                  \
    "\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
#define HEAD                                                                                       \
    "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1700000000,\"model\":\"up\","

static struct span answer(void **state, bool stream, bool usage)
{
    struct chat_request asked = {.max_tokens = -1, .choices = 1, .include_usage = usage};
    struct translated t = translate_answer(*state, &dialect_openai_chat, &dialect_completions,
                                           &asked, SPAN(STREAM), true, stream, FEED_BYTES, 0);
    assert_int_equal(t.err, ERR_OK);
    assert_true(t.ended);
    return t.bytes;
}

static void a_whole_answer_is_text(void **state)
{
    assert_bytes(answer(state, false, false),
                 HEAD "\"choices\":[{\"index\":0,\"text\":\"Because\",\"logprobs\":null,"
                      "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,"
                      "\"completion_tokens\":2,\"total_tokens\":5,\"prompt_tokens_details\":{"
                      "\"cached_tokens\":0}}}");
}

#define TEXT(text, finish, usage)                                                                  \
    "data: " HEAD "\"choices\":[{\"index\":0,\"text\":\"" text                                     \
    "\",\"logprobs\":null,\"finish_reason\":" finish "}]" usage "}\n\n"

static void a_streamed_answer_is_pieces_of_text(void **state)
{
    assert_bytes(answer(state, true, false), TEXT("Be", "null", "") TEXT("cause", "null", "")
                                                 TEXT("", "\"length\"", "") "data: [DONE]\n\n");
    assert_bytes(answer(state, true, true),
                 TEXT("Be", "null", ",\"usage\":null") TEXT("cause", "null", ",\"usage\":null")
                     TEXT("", "\"length\"",
                          ",\"usage\":null") "data: " HEAD
                                             "\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
                                             "\"completion_tokens\":2,\"total_tokens\":5,\"prompt_"
                                             "tokens_details\":{"
                                             "\"cached_tokens\":0}}}\n\ndata: [DONE]\n\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(a_plain_prompt_becomes_one_user_message),
        CHECK_TEST(max_tokens_defaults_to_sixteen),
        CHECK_TEST(an_array_of_one_prompt_is_that_prompt),
        CHECK_TEST(what_needs_a_completion_engine_is_refused_by_name),
        CHECK_TEST(logprobs_are_left_out_and_said),
        CHECK_TEST(a_whole_answer_is_text),
        CHECK_TEST(a_streamed_answer_is_pieces_of_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
