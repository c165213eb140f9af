/* Gemini's generateContent, both sides of an upstream: what it is asked, and what its answers say.
 * Recorded traffic is test_corpus.c's. */
#include "support/answer.h"
#include "support/check.h"
#include "support/translate.h"

/* ---- what is asked ---- */

static struct request_words ask(void **state, const struct dialect *from, const char *model,
                                const char *json)
{
    struct capability cap = capability_preset(TARGET_GEMINI, span_from(model));
    return translate_request(*state, from, &dialect_gemini, &cap, span_from(json));
}

static void check_asked(void **state, const struct dialect *from, const char *model,
                        const char *json, const char *wanted, const char *lossy)
{
    struct request_words w = ask(state, from, model, json);
    char names[512];
    if (w.read != ERR_OK || w.write != ERR_OK)
        fail_msg("%s: %.*s %.*s", json, SPAN_FMT(w.problem.param), SPAN_FMT(w.problem.text));
    assert_bytes(w.body, wanted);
    (void)lossy_format(&w.lossy, names, sizeof names);
    assert_string_equal(names, lossy);
}

#define MESSAGES(rest) "{\"model\":\"m\",\"max_tokens\":9," rest "}"
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define HI_CONTENT "{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}"
#define CONFIG(rest) "\"generationConfig\":{\"maxOutputTokens\":9" rest "}}"
#define FLASH "gemini-2.5-flash"
#define THREE "gemini-3.5-flash"

static void plain_request_is_written(void **state)
{
    check_asked(state, &dialect_anthropic, FLASH,
                MESSAGES("\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
                         "\"text\":\"b\\u00e9\"}]," HI
                         ",\"temperature\":0.50,\"top_p\":1,\"top_k\":7,\"stop_sequences\":["
                         "\"1\",\"2\",\"3\",\"4\",\"5\"]"),
                "{\"systemInstruction\":{\"parts\":[{\"text\":\"a\\n\\nb\\u00e9\"}]},"
                "\"contents\":[" HI_CONTENT "]," CONFIG(
                    ",\"temperature\":0.50,\"topP\":1,\"topK\":7,\"stopSequences\":[\"1\",\"2\","
                    "\"3\",\"4\",\"5\"]"),
                "");
    check_asked(state, &dialect_openai_chat, "gemini-2.0-flash",
                "{\"model\":\"m\",\"max_tokens\":9999," HI
                ",\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"],\"seed\":7,\"user\":\"u\"}",
                "{\"contents\":[" HI_CONTENT
                "],\"generationConfig\":{\"maxOutputTokens\":8192,\"stopSequences\":["
                "\"1\",\"2\",\"3\",\"4\",\"5\"],\"seed\":7}}",
                "stop_sequences,user_id");
    check_asked(state, &dialect_openai_chat, FLASH,
                "{\"model\":\"m\",\"max_tokens\":9," HI ",\"seed\":4294967296}",
                "{\"contents\":[" HI_CONTENT "]," CONFIG(""), "seed");
}

#define PNG "{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBO\"}"

static void pictures_and_documents_go_inline(void **state)
{
    check_asked(
        state, &dialect_anthropic, FLASH,
        MESSAGES("\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":" PNG
                 "},{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
                 "\"application/pdf\",\"data\":\"JVBE\"}},{\"type\":\"document\",\"title\":\"T\","
                 "\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"d\"}},"
                 "{\"type\":\"text\",\"text\":\"?\"}]}]"),
        "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"inlineData\":{\"mimeType\":\"image/png\","
        "\"data\":\"iVBO\"}},{\"inlineData\":{\"mimeType\":\"application/pdf\",\"data\":\"JVBE\"}},"
        "{\"text\":\"T\\nd\"},{\"text\":\"?\"}]}]," CONFIG(""),
        "");
    check_asked(state, &dialect_openai_chat, FLASH,
                "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{"
                "\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AAAA\",\"format\":\"mp3\"}}]}"
                "]}",
                "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"inlineData\":{\"mimeType\":"
                "\"audio/mp3\",\"data\":\"AAAA\"}}]}]," CONFIG(""),
                "");
}

/* An address is not fetched for us: refused in the newest turn, a word in an older one. */
static void picture_by_url_is_refused_or_named(void **state)
{
#define BY_URL                                                                                     \
    "{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":"    \
    "\"https://x/a.png\"}}]}"
    struct request_words w =
        ask(state, &dialect_anthropic, FLASH, MESSAGES("\"messages\":[" BY_URL "]"));
    assert_int_equal(w.write, ERR_UNSUPPORTED);
    assert_bytes(w.problem.text, "This target cannot take a part of type image given by URL.");
    check_asked(state, &dialect_anthropic, FLASH,
                MESSAGES("\"messages\":[" BY_URL ",{\"role\":\"assistant\",\"content\":\"a\"},{"
                         "\"role\":\"user\",\"content\":\"hi\"}]"),
                "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"[image was here; it "
                "cannot be shown to this model]\"}]},{\"role\":\"model\",\"parts\":[{\"text\":"
                "\"a\"}]}," HI_CONTENT "]," CONFIG(""),
                "image");
}

static void tools_and_choices_are_written(void **state)
{
#define TOOLS                                                                                      \
    "\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"$schema\":\"x\","        \
    "\"type\":\"object\",\"additionalProperties\":false}},{\"type\":\"bash_20250124\",\"name\":"   \
    "\"bash\"},{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],"
    struct request_words w =
        ask(state, &dialect_anthropic, THREE,
            MESSAGES(TOOLS HI ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\","
                              "\"disable_parallel_tool_use\":true}"));
    assert_int_equal(w.write, ERR_OK);
    assert_true(span_search(w.body, SPAN("\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","
                                         "\"description\":\"d\",\"parametersJsonSchema\":{"
                                         "\"$schema\":\"x\",\"type\":\"object\","
                                         "\"additionalProperties\":false}},{\"name\":\"bash\",")) >
                0);
    assert_true(span_search(w.body, SPAN("}}],\"toolConfig\":")) < 0);
    assert_true(span_search(w.body, SPAN("\"toolConfig\":{\"functionCallingConfig\":{\"mode\":"
                                         "\"ANY\",\"allowedFunctionNames\":[\"f\"]}}")) > 0);
    assert_true(lossy_has(&w.lossy, LOSSY_SERVER_TOOL) &&
                lossy_has(&w.lossy, LOSSY_PARALLEL_TOOLS));
    static const char *const choices[][2] = {{"auto", "AUTO"}, {"any", "ANY"}, {"none", "NONE"}};
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        struct span body = arena_printf(
            *state, MESSAGES(TOOLS HI ",\"tool_choice\":{\"type\":\"%s\"}"), choices[i][0]);
        w = ask(state, &dialect_anthropic, THREE, body.at);
        assert_true(span_search(w.body, arena_printf(*state, "{\"mode\":\"%s\"}", choices[i][1])) >
                    0);
    }
    w = ask(state, &dialect_openai_chat, THREE,
            "{\"model\":\"m\"," HI
            ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"c\"}}]}");
    assert_int_equal(w.write, ERR_OK); /* the rest is test_free_text.c's */
}

/* A history of calls: results stand alone behind them, named after their calls; what they cannot
 * hold follows. Signatures go back to the call they came with, and nowhere else. */
static void calls_results_and_signatures_go_back(void **state)
{
#define CALLS(thinking)                                                                            \
    "{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":[" thinking        \
    "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"x\":1.50}},"                 \
    "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}]},"                         \
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t2\","            \
    "\"is_error\":true,\"content\":\"no\"},{\"type\":\"tool_result\",\"tool_use_id\":\"t1\","      \
    "\"content\":[{\"type\":\"text\",\"text\":\"r\"},{\"type\":\"image\",\"source\":" PNG          \
    "}]},{\"type\":\"text\",\"text\":\"go\"}]}"
#define CALL_CONTENTS(signature)                                                                   \
    HI_CONTENT ",{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"id\":\"t1\",\"name\":\"f\","  \
               "\"args\":{\"x\":1.50}}" signature "},{\"functionCall\":{\"id\":\"t2\",\"name\":"   \
               "\"g\",\"args\":{}}}]},{\"role\":\"user\",\"parts\":[{\"functionResponse\":{"       \
               "\"id\":\"t2\",\"name\":\"g\",\"response\":{\"error\":\"no\"}}},{"                  \
               "\"functionResponse\":{\"id\":\"t1\",\"name\":\"f\",\"response\":{\"output\":\"r"   \
               "\\n[attached to the next user message]\"}}}]},{\"role\":\"user\",\"parts\":[{"     \
               "\"text\":\"From the result of tool f:\"},{\"inlineData\":{\"mimeType\":"           \
               "\"image/png\",\"data\":\"iVBO\"}},{\"text\":\"go\"}]}"
    check_asked(
        state, &dialect_anthropic, THREE,
        MESSAGES("\"messages\":[" CALLS("{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
                                        "\"hotspare1.gemini.U0lH/+==\"},") "]"),
        "{\"contents\":[" CALL_CONTENTS(",\"thoughtSignature\":\"U0lH/+==\"") "]," CONFIG(""),
        "tool_result_image");
    check_asked(state, &dialect_anthropic, THREE,
                MESSAGES("\"messages\":[" CALLS("{\"type\":\"thinking\",\"thinking\":\"hm\","
                                                "\"signature\":\"Claudes\"},") "]"),
                "{\"contents\":[" CALL_CONTENTS(
                    ",\"thoughtSignature\":\"skip_thought_signature_validator\"") "]," CONFIG(""),
                "thinking,tool_result_image");
    check_asked(state, &dialect_anthropic, FLASH, MESSAGES("\"messages\":[" CALLS("") "]"),
                "{\"contents\":[" CALL_CONTENTS("") "]," CONFIG(""), "tool_result_image");
}

/* Going on with an answer is asked for in words; who opens a conversation is made a user. */
static void odd_ends_are_mended(void **state)
{
    check_asked(state, &dialect_anthropic, FLASH,
                MESSAGES("\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":"
                         "\"assistant\",\"content\":\"one tw\"}]"),
                "{\"contents\":[" HI_CONTENT
                ",{\"role\":\"model\",\"parts\":[{\"text\":\"one tw\"}]},{\"role\":\"user\","
                "\"parts\":[{\"text\":\"" DIALECT_GO_ON "\"}]}]," CONFIG(""),
                "prefill");
    check_asked(state, &dialect_openai_chat, FLASH,
                "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\","
                "\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"system\","
                "\"content\":\"s\"}]}",
                "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"(The assistant opens "
                "this conversation.)\"}]},{\"role\":\"model\",\"parts\":[{\"text\":\"a\"}]},{"
                "\"role\":\"user\",\"parts\":[{\"text\":\"b\"},{\"text\":\"[System message] s\"}]}]"
                "," CONFIG(""),
                "first_turn,system_order");
}

static void check_thinking(void **state, const char *model, const char *asked, const char *wanted,
                           const char *lossy)
{
    struct span json = arena_printf(*state, MESSAGES(HI "%s"), asked);
    struct span body = arena_printf(*state, "{\"contents\":[" HI_CONTENT "]," CONFIG("%s"), wanted);
    check_asked(state, &dialect_anthropic, model, json.at, body.at, lossy);
}

#define BUDGET(n) ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":" #n "}"
#define OFF ",\"thinking\":{\"type\":\"disabled\"}"
#define ADAPTIVE ",\"thinking\":{\"type\":\"adaptive\"}"
#define THINKS(what) ",\"thinkingConfig\":{" what ",\"includeThoughts\":true}"
#define THINKS_NOT(what) ",\"thinkingConfig\":{" what ",\"includeThoughts\":false}"

static void thinking_is_a_budget_or_a_level(void **state)
{
    check_thinking(state, FLASH, BUDGET(2048), THINKS("\"thinkingBudget\":2048"), "");
    check_thinking(state, FLASH, BUDGET(99999), THINKS("\"thinkingBudget\":24576"), "effort");
    check_thinking(state, FLASH, ADAPTIVE, THINKS("\"thinkingBudget\":-1"), "");
    check_thinking(state, FLASH, OFF, THINKS_NOT("\"thinkingBudget\":0"), "");
    check_thinking(state, "gemini-2.5-pro", OFF, "", "effort");
    check_thinking(state, "gemini-2.0-flash", OFF, "", "");
    check_thinking(state, "gemini-2.0-flash", ADAPTIVE, "", "effort");
    check_thinking(state, THREE, BUDGET(12000), THINKS("\"thinkingLevel\":\"high\""), "effort");
    check_thinking(state, THREE, ADAPTIVE, THINKS("\"thinkingLevel\":\"medium\""), "");
    check_thinking(state, THREE, OFF, THINKS_NOT("\"thinkingLevel\":\"minimal\""), "effort");
    check_thinking(state, "gemini-9-pro", ADAPTIVE, THINKS("\"thinkingLevel\":\"low\""), "effort");
}

static void formats_are_written(void **state)
{
#define SCHEMA                                                                                     \
    ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}"
    check_asked(state, &dialect_anthropic, FLASH, MESSAGES(HI SCHEMA),
                "{\"contents\":[" HI_CONTENT "]," CONFIG(
                    ",\"responseMimeType\":\"application/json\",\"responseJsonSchema\":{\"type\":"
                    "\"object\"}"),
                "");
    struct request_words w = ask(state, &dialect_anthropic, THREE, MESSAGES(TOOLS HI SCHEMA));
    assert_true(span_search(w.body, SPAN("\"responseJsonSchema\":{\"type\":\"object\"}")) > 0);
    w = ask(state, &dialect_anthropic, FLASH, MESSAGES(TOOLS HI SCHEMA)); /* not beside tools */
    assert_true(span_search(w.body, SPAN("responseJsonSchema")) < 0);
    assert_true(span_search(w.body, SPAN("{\"systemInstruction\":{\"parts\":[{\"text\":\"Answer "
                                         "with one JSON object")) == 0);
    assert_true(lossy_has(&w.lossy, LOSSY_FORMAT));
    w = ask(state, &dialect_openai_chat, FLASH, "{\"model\":\"m\"," HI ",\"n\":2}");
    assert_int_equal(w.write, ERR_UNSUPPORTED);
}

/* ---- what is answered ---- */

static void check_lines(void **state, const struct chat_request *asked, const char *body,
                        bool streamed, enum err wanted_err, const char *wanted)
{
    for (int cuts = FEED_WHOLE; cuts <= (streamed ? FEED_RANDOM : FEED_WHOLE); cuts++) {
        struct event_lines l;
        event_lines_init(&l);
        enum err e = read_answer(*state, &dialect_gemini, asked, span_from(body), streamed,
                                 (enum feed_cuts)cuts, 7, event_lines_sink(&l));
        assert_string_equal(err_name(e), err_name(wanted_err));
        assert_bytes(buf_span(&l.text), wanted);
        event_lines_deinit(&l);
    }
}

#define ANSWER(parts, finish)                                                                      \
    "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[" parts "]}" finish              \
    ",\"index\":0}],\"modelVersion\":\"g\",\"responseId\":\"r\"}"
#define CHUNK(parts, finish) "data: " ANSWER(parts, finish) "\r\n\r\n"
#define FINISH(word) ",\"finishReason\":\"" word "\""
#define USAGE                                                                                      \
    "data: {\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":3,"                \
    "\"thoughtsTokenCount\":4,\"cachedContentTokenCount\":6}}\r\n\r\n"

static void stream_is_read(void **state)
{
    check_lines(state, NULL,
                CHUNK("{\"text\":\"h\",\"thought\":true}", "") CHUNK("{\"text\":\"Hel\"}", "")
                    CHUNK("{\"text\":\"lo\\n\"}", FINISH("STOP")) USAGE,
                true, ERR_OK,
                "start r g\nopen thinking\n+ h\nclose\nopen text\n+ Hel\n+ lo\\n\nclose\n"
                "usage in=4 read=6 write=-1 out=7 think=4\nfinish end_turn\nend\n");
    check_lines(state, NULL, CHUNK("{\"text\":\"Hel\"}", ""), true, ERR_EOF,
                "start r g\nopen text\n+ Hel\n");
}

/* Every chunk may say STOP: only the end of the stream is the end. */
static void early_finish_ends_nothing(void **state)
{
    check_lines(state, NULL,
                CHUNK("{\"text\":\"a\"}", FINISH("STOP")) CHUNK("{\"text\":\"b\"}", FINISH("STOP")),
                true, ERR_OK, "start r g\nopen text\n+ a\n+ b\nclose\nfinish end_turn\nend\n");
}

/* Ids are made where none came; the signature goes before its call, on the thinking if it is open.
 */
static void calls_are_read(void **state)
{
    check_lines(
        state, NULL,
        CHUNK("{\"functionCall\":{\"id\":\"i\",\"name\":\"f\",\"args\":{\"x\":1.50}},"
              "\"thoughtSignature\":\"U/+=\"},{\"functionCall\":{\"id\":\"k\",\"name\":\"f\"}}",
              FINISH("STOP")),
        true, ERR_OK,
        "start r g\nopen thinking\nsign hotspare1.gemini.U/+=\nclose\n"
        "open tool_use i f\n+ {\"x\":1.50}\nclose\nopen tool_use k f\n+ {}\nclose\n"
        "finish tool_use\nend\n");
    check_lines(state, NULL,
                ANSWER("{\"text\":\"hm\",\"thought\":true},{\"functionCall\":{\"id\":\"i\","
                       "\"name\":\"f\",\"args\":{}},\"thoughtSignature\":\"U\"}",
                       FINISH("STOP")),
                false, ERR_OK,
                "start r g\nopen thinking\n+ hm\nsign hotspare1.gemini.U\nclose\n"
                "open tool_use i f\n+ {}\nclose\nfinish tool_use\nend\n");
    struct event_lines l;
    event_lines_init(&l);
    struct span two = SPAN(ANSWER(
        "{\"functionCall\":{\"name\":\"f\"}},{\"functionCall\":{\"name\":\"f\"}}", FINISH("STOP")));
    assert_int_equal(
        read_answer(*state, &dialect_gemini, NULL, two, false, FEED_WHOLE, 0, event_lines_sink(&l)),
        ERR_OK);
    struct span text = buf_span(&l.text), line, ids[2];
    size_t calls = 0;
    while (span_next(&text, '\n', &line))
        if (span_starts(line, SPAN("open tool_use call_")))
            ids[calls++] = line;
    assert_int_equal(calls, 2);
    assert_false(span_eq(ids[0], ids[1]));
    event_lines_deinit(&l);
}

/* What we could not make whole must not look whole. */
static void broken_calls_break_the_answer(void **state)
{
    static const char *const parts[] = {
        "{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}",
        "{\"functionCall\":{\"name\":\"f\",\"partialArgs\":[]}}",
        "{\"functionCall\":{\"name\":\"f\",\"args\":[1]}}",
        "{\"functionCall\":{}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct span body = arena_printf(*state, ANSWER("%s", FINISH("STOP")), parts[i]);
        check_lines(state, NULL, body.at, false, ERR_SYNTAX, "start r g\n");
    }
}

static void every_end_has_its_word(void **state)
{
    static const char *const ends[][2] = {
        {"STOP", "finish end_turn\nend\n"},
        {"MAX_TOKENS", "finish max_tokens\nend\n"},
        {"SAFETY", "finish refusal\nend\n"},
        {"PROHIBITED_CONTENT", "finish refusal\nend\n"},
        {"MODEL_ARMOR", "finish refusal\nend\n"},
        {"A_WORD_OF_TOMORROW", "finish end_turn\nend\n"},
        {"MALFORMED_FUNCTION_CALL",
         "error api_error 500 Gemini ended the answer with MALFORMED_FUNCTION_CALL.\n"},
        {"OTHER", "error api_error 500 Gemini ended the answer with OTHER.\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct span body =
            arena_printf(*state, CHUNK("{\"text\":\"a\"}", ",\"finishReason\":\"%s\""), ends[i][0]);
        struct span wanted =
            arena_printf(*state, "start r g\nopen text\n+ a\nclose\n%s", ends[i][1]);
        check_lines(state, NULL, body.at, true, ERR_OK, wanted.at);
    }
    check_lines(state, NULL,
                "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"responseId\":\"r\","
                "\"modelVersion\":\"g\"}\r\n\r\n",
                true, ERR_OK, "start r g\nfinish refusal\nend\n");
}

static void errors_are_told(void **state)
{
#define BUSY                                                                                       \
    "{\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":"                \
    "\"UNAVAILABLE\"}}"
    static const char told[] = "error api_error 503 The model is overloaded.\n";
    check_lines(state, NULL, "data: " BUSY "\r\n\r\n", true, ERR_OK, told);
    check_lines(state, NULL, "[" BUSY "]", false, ERR_OK, told);
    check_lines(state, NULL, "{}", false, ERR_SYNTAX, "");
    check_lines(state, NULL, "[]", false, ERR_SYNTAX, "");
    check_lines(state, NULL, "data: nothing\r\n\r\n", true, ERR_SYNTAX, "");
    struct chat_error e;
    dialect_gemini.read_error(*state, 429,
                              SPAN("[{\"error\":{\"code\":429,\"message\":\"slow\",\"status\":"
                                   "\"RESOURCE_EXHAUSTED\"}}]"),
                              &e);
    assert_bytes(e.type, "rate_limit_error");
    assert_bytes(e.code, "RESOURCE_EXHAUSTED");
}

/* Gemini takes five of them; we cut at each, and call the one that matched by its name. */
static void stop_sequences_are_matched_here(void **state)
{
    struct chat_text stops[] = {CHAT_TEXT_LIT("END")};
    struct chat_request asked = {.stop = {stops, 1}, .max_tokens = -1, .choices = 1};
    check_lines(state, &asked,
                CHUNK("{\"text\":\"a E\"}", "") CHUNK("{\"text\":\"ND b\"}", "")
                    CHUNK("{\"functionCall\":{\"name\":\"f\"}}", FINISH("STOP")),
                true, ERR_OK, "start r g\nopen text\n+ a \nclose\nfinish stop_sequence END\nend\n");
}

/* A long tool name comes back whole. */
static void long_names_come_back(void **state)
{
    static const char name[] =
        "a_tool_with_a_name_that_is_longer_than_sixty_four_bytes_which_few_targets_take";
    struct span json = arena_printf(*state,
                                    MESSAGES(HI ",\"tools\":[{\"name\":\"%s\",\"input_schema\":{"
                                                "\"type\":\"object\"}}]"),
                                    name);
    struct request_words w = ask(state, &dialect_anthropic, THREE, json.at);
    ssize_t at = span_search(w.body, SPAN("[{\"name\":\""));
    struct span sent = span_take(span_drop(w.body, (size_t)at + 10), 64);
    assert_true(lossy_has(&w.lossy, LOSSY_TOOL_NAME) && !span_starts(span_from(name), sent));
    struct span body = arena_printf(
        *state, CHUNK("{\"functionCall\":{\"id\":\"i\",\"name\":\"%.*s\"}}", FINISH("STOP")),
        SPAN_FMT(sent));
    struct span wanted = arena_printf(
        *state, "start r g\nopen tool_use i %s\n+ {}\nclose\nfinish tool_use\nend\n", name);
    check_lines(state, &w.request, body.at, true, ERR_OK, wanted.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(plain_request_is_written),
        CHECK_TEST(pictures_and_documents_go_inline),
        CHECK_TEST(picture_by_url_is_refused_or_named),
        CHECK_TEST(tools_and_choices_are_written),
        CHECK_TEST(calls_results_and_signatures_go_back),
        CHECK_TEST(odd_ends_are_mended),
        CHECK_TEST(thinking_is_a_budget_or_a_level),
        CHECK_TEST(formats_are_written),
        CHECK_TEST(stream_is_read),
        CHECK_TEST(early_finish_ends_nothing),
        CHECK_TEST(calls_are_read),
        CHECK_TEST(broken_calls_break_the_answer),
        CHECK_TEST(every_end_has_its_word),
        CHECK_TEST(errors_are_told),
        CHECK_TEST(stop_sequences_are_matched_here),
        CHECK_TEST(long_names_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
