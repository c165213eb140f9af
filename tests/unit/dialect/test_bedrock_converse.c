/* Bedrock's Converse format as an upstream: bodies of requests from both doors, held against the
 * API's rules; answers whole and streamed, recorded ones read a second way and compared. */
#include "http/eventstream.h"
#include "support/answer.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/translate.h"

#define MAX ((size_t)64 << 20)
#define NOVA "us.amazon.nova-pro-v1:0"
#define LLAMA "us.meta.llama4-maverick-17b-instruct-v1:0"

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

static struct request_words asked(const struct dialect *from, const char *model, const char *body)
{
    struct capability cap = capability_preset(TARGET_BEDROCK, span_from(model));
    return translate_request(&arena, from, &dialect_bedrock_converse, &cap, span_from(body));
}

static void check_body(const struct dialect *from, const char *model, const char *body,
                       const char *wanted, const char *wanted_lossy)
{
    char lossy[256];
    struct request_words w = asked(from, model, body);
    if (w.read != ERR_OK || w.write != ERR_OK)
        fail_msg("%s: %.*s", body, SPAN_FMT(w.problem.text));
    if (!json_text_same(&arena, w.body, span_from(wanted)))
        fail_msg("%.*s\nis not\n%s", SPAN_FMT(w.body), wanted);
    (void)lossy_format(&w.lossy, lossy, sizeof lossy);
    assert_string_equal(lossy, wanted_lossy);
}

static void test_a_conversation_with_tools(void **state)
{
    (void)state;
    check_body(
        &dialect_anthropic, NOVA,
        "{\"model\":\"m\",\"max_tokens\":20000,\"temperature\":0.50,\"top_p\":0.9,\"top_k\":7,"
        "\"stop_sequences\":[\"END\"],\"system\":[{\"type\":\"text\",\"text\":\"Be "
        "brief.\"}],"
        "\"tools\":[{\"name\":\"look\",\"description\":\"Looks.\",\"input_schema\":{\"type\":"
        "\"object\",\"properties\":{\"q\":{\"type\":\"string\"}}}},{\"name\":\"bare\",\"input_"
        "schema\":{\"type\":\"object\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"look\"},"
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"thinking\",\"thinking\":\"Hm.\",\"signature\":\"hotspare1.converse.SIG\"},"
        "{\"type\":\"text\",\"text\":\"I look.\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\","
        "\"name\":\"look\",\"input\":{\"q\":\"a\\\"b\"}}]},{\"role\":\"user\",\"content\":[{"
        "\"type\":"
        "\"tool_result\",\"tool_use_id\":\"toolu_1\",\"is_error\":true,\"content\":[{\"type\":"
        "\"text\",\"text\":\"none\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_"
        "type\":\"image/jpeg\",\"data\":\"/9j/\"}},{\"type\":\"document\",\"title\":\"a_b!.pdf\","
        "\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBE\"}}]}"
        "]}]}",
        "{\"system\":[{\"text\":\"Be brief.\"}],\"messages\":[{\"role\":\"user\",\"content\":[{"
        "\"text\":\"Hi\"}]},{\"role\":\"assistant\",\"content\":[{\"reasoningContent\":{"
        "\"reasoningText\":{\"text\":\"Hm.\",\"signature\":\"SIG\"}}},{\"text\":\"I look.\"},{"
        "\"toolUse\":{\"toolUseId\":\"toolu_1\",\"name\":\"look\",\"input\":{\"q\":\"a\\\"b\"}}}]},"
        "{\"role\":\"user\",\"content\":[{\"toolResult\":{\"toolUseId\":\"toolu_1\",\"content\":[{"
        "\"text\":\"none\"},{\"image\":{\"format\":\"jpeg\",\"source\":{\"bytes\":\"/9j/\"}}}],"
        "\"status\":\"error\"}},{\"document\":{\"format\":\"pdf\",\"name\":\"Document 1 a b pdf\","
        "\"source\":{\"bytes\":\"JVBE\"}}},{\"text\":\"The document is attached.\"}]}],"
        "\"inferenceConfig\":{\"maxTokens\":10000,\"temperature\":0.50,\"topP\":0.9,"
        "\"stopSequences\":[\"END\"]},\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"look\","
        "\"description\":\"Looks.\",\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{"
        "\"q\":{\"type\":\"string\"}}}}}},{\"toolSpec\":{\"name\":\"bare\",\"inputSchema\":{"
        "\"json\":{\"properties\":{},\"type\":\"object\"}}}}],\"toolChoice\":{\"tool\":{\"name\":"
        "\"look\"}}},\"additionalModelRequestFields\":{\"inferenceConfig\":{\"topK\":7}}}",
        "");
}

/* A model without pictures in results, failed results, forced tools, top_k. */
static void test_a_plainer_model(void **state)
{
    (void)state;
    check_body(
        &dialect_openai_chat, LLAMA,
        "{\"model\":\"m\",\"temperature\":1.4,\"top_k\":3,\"messages\":[{\"role\":\"assistant\","
        "\"content\":null,\"tool_calls\":[{\"id\":\"c 1\",\"type\":\"function\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"{\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c 1\","
        "\"content\":\"\"},{\"role\":\"system\",\"content\":\"Late.\"}],\"tool_choice\":\"none\","
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"(The assistant opens this "
        "conversation.)\"}]},{\"role\":\"assistant\",\"content\":[{\"toolUse\":{\"toolUseId\":"
        "\"toolu_d6d05d6ee0288a0ba8a1ab85ad259f58\",\"name\":\"f\",\"input\":{\"unparsed_input\":"
        "\"{\"}}}]},{\"role\":\"user\","
        "\"content\":[{\"toolResult\":{\"toolUseId\":\"toolu_d6d05d6ee0288a0ba8a1ab85ad259f58\","
        "\"content\":[{\"text\":\"(no "
        "output)\"}]}},{\"text\":\"[System message] Late.\"}]}],\"inferenceConfig\":{"
        "\"temperature\":1},\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\","
        "\"inputSchema\":{\"json\":{\"type\":\"object\",\"properties\":{}}}}}]}}",
        "first_turn,system_order,sampling,tool_choice,top_k");
}

static void test_schemas_and_effort(void **state)
{
    (void)state;
    const char *ask =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"reasoning_"
        "effort\":"
        "\"high\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"City\","
        "\"schema\":{\"type\":\"object\"}}}}";
    check_body(&dialect_openai_chat, "mistral.mistral-large-3-675b-instruct", ask,
               "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}],"
               "\"inferenceConfig\":{},\"outputConfig\":{\"textFormat\":{\"type\":\"json_schema\","
               "\"structure\":{\"jsonSchema\":{\"schema\":\"{\\\"type\\\":\\\"object\\\"}\","
               "\"name\":\"City\"}}}}}",
               "effort");
#define IN_SYSTEM(additional)                                                                      \
    "{\"system\":[{\"text\":\"Answer with one JSON object that conforms to this JSON Schema, and " \
    "with nothing else: {\\\"type\\\":\\\"object\\\"}\"}],\"messages\":[{\"role\":\"user\","       \
    "\"content\":[{\"text\":\"x\"}]}],\"inferenceConfig\":{},"                                     \
    "\"additionalModelRequestFields\":" additional "}"
    check_body(&dialect_openai_chat, "openai.gpt-oss-120b-1:0", ask,
               IN_SYSTEM("{\"reasoning_effort\":\"high\"}"), "output_format");
    check_body(&dialect_openai_chat, "us.amazon.nova-2-lite-v1:0", ask,
               IN_SYSTEM("{\"reasoningConfig\":{\"type\":\"enabled\",\"maxReasoningEffort\":"
                         "\"medium\"}}"),
               "output_format,effort");
}

static void test_an_answer_to_be_gone_on_with(void **state)
{
    (void)state;
    struct request_words w =
        asked(&dialect_anthropic, NOVA,
              "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
              "\"x\"},{\"role\":\"assistant\",\"content\":\"one two\"}]}");
    assert_int_equal(w.write, ERR_OK);
    assert_true(lossy_has(&w.lossy, LOSSY_PREFILL));
    assert_true(span_search(w.body, SPAN("{\"text\":\"one two\"}]},{\"role\":\"user\"")) >= 0);
}

static void test_named_participants_share_a_turn(void **state)
{
    (void)state;
    check_body(
        &dialect_openai_chat, NOVA,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"name\":\"a\",\"content\":\"x\"},{"
        "\"role\":\"user\",\"name\":\"b\",\"content\":\"y\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"x\"},{\"text\":\"y\"}]}],"
        "\"inferenceConfig\":{}}",
        "");
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *body, *words;
    } rows[] = {
        {NOVA, "{\"model\":\"m\",\"n\":2,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
         "Several choices"},
        {NOVA,
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{\"url\":\"https://x.example/a.png\"}}]}]}",
         "image given by URL"},
        {NOVA,
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\","
         "\"image_url\":{\"url\":\"data:image/tiff;base64,SUkq\"}}]}]}",
         "part of type image"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_words w = asked(&dialect_openai_chat, rows[i].model, rows[i].body);
        assert_int_equal(w.write, ERR_UNSUPPORTED);
        if (span_search(w.problem.text, span_from(rows[i].words)) < 0)
            fail_msg("%.*s says nothing of %s", SPAN_FMT(w.problem.text), rows[i].words);
    }
}

static void test_which_models(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        bool converse;
    } rows[] = {
        {"anthropic.claude-3-5-sonnet-20241022-v2:0", false},
        {"arn:aws:bedrock:us-east-1:012345678901:inference-profile/"
         "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
         false},
        {"arn:aws:bedrock:eu-west-1:1:application-inference-profile/ab", false},
        {"arn:aws:bedrock:us-east-1:012345678901:provisioned-model/ab", false},
        {"arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.amazon.nova-lite-v1:0", true},
        {"arn:aws:bedrock:us-east-1::foundation-model/mistral.mistral-large-2407-v1:0", true},
        {"arn:aws:sagemaker:us-east-1:012345678901:endpoint/x", true},
        {NOVA, true},
        {LLAMA, true},
        {"qwen.qwen3-32b-v1:0", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (capability_preset(TARGET_BEDROCK, span_from(rows[i].model)).converse !=
            rows[i].converse)
            fail_msg("%s", rows[i].model);
    assert_false(capability_preset(TARGET_OPENAI, SPAN(NOVA)).converse);
}

/* ---- every recorded request of both doors ---- */

static void check_text(struct json text)
{
    if (span_trim(json_str_decode(text, &arena)).len == 0)
        fail_msg("a blank text");
}

static bool called_before(struct json turn, struct json id)
{
    for (struct json b = json_first(json_get(turn, "content")); json_present(b);
         b = json_next(json_get(turn, "content"), b))
        if (span_eq(json_str(json_path(b, "toolUse.toolUseId")), json_str(id)))
            return true;
    return false;
}

static void check_block(struct json b, struct json before, struct json tools)
{
    static const char *const kinds[] = {"text",    "image",      "document",
                                        "toolUse", "toolResult", "reasoningContent"};
    size_t known = 0;
    struct json result = json_get(b, "toolResult"), id = json_get(result, "toolUseId");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        known += json_present(json_get(b, kinds[i]));
    assert_true(known == 1 && json_len(b) == 1);
    if (json_present(json_get(b, "text")))
        check_text(json_get(b, "text"));
    if (json_present(json_get(b, "toolUse"))) {
        assert_true(json_is(json_path(b, "toolUse.input"), JSON_OBJECT));
        assert_true(json_len(tools) > 0);
    }
    if (!json_present(result))
        return;
    assert_true(json_len(json_get(result, "content")) > 0 && json_len(tools) > 0);
    (void)called_before(before, id); /* clients may answer what was never called */
    for (struct json k = json_first(json_get(result, "content")); json_present(k);
         k = json_next(json_get(result, "content"), k))
        if (json_present(json_get(k, "text")))
            check_text(json_get(k, "text"));
}

/* Turns alternate from the user's on, none is empty, a document has a text beside it. */
static void check_rules(struct span body)
{
    struct json_doc doc;
    assert_int_equal(json_parse(&arena, body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc), messages = json_get(root, "messages");
    struct json tools = json_path(root, "toolConfig.tools"), before = JSON_ABSENT;
    bool user = true;
    assert_true(json_len(messages) > 0);
    assert_false(json_present(json_get(root, "toolConfig")) && json_len(tools) == 0);
    for (struct json m = json_first(messages); json_present(m); m = json_next(messages, m)) {
        bool document = false, text = false;
        struct json content = json_get(m, "content");
        assert_true(json_str_is(json_get(m, "role"), user ? "user" : "assistant"));
        assert_true(json_len(content) > 0);
        for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
            check_block(b, before, tools);
            document = document || json_present(json_get(b, "document"));
            text = text || json_present(json_get(b, "text"));
        }
        assert_true(!document || text);
        before = m;
        user = !user;
    }
    assert_false(user); /* the last turn is the user's */
}

static size_t check_recorded_requests(const struct dialect *from, const char *protocol,
                                      const char *model)
{
    struct corpus c = corpus_open(&arena, protocol);
    size_t done = 0;
    assert_true(c.count > 0);
    for (size_t i = 0; i < c.count; i++) {
        if (c.items[i].request.len == 0)
            continue;
        struct request_words w = asked(from, model, arena_cstr(&arena, c.items[i].request));
        if (w.read != ERR_OK || w.write != ERR_OK) {
            assert_true(w.problem.text.len > 0);
            continue;
        }
        check_rules(w.body);
        done++;
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
    static const char *const models[] = {NOVA, LLAMA, "openai.gpt-oss-120b-1:0"};
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        size_t messages =
            check_recorded_requests(&dialect_anthropic, "anthropic-messages", models[i]);
        size_t chat = check_recorded_requests(&dialect_openai_chat, "openai-chat", models[i]);
        print_message("# %s: %zu requests of Messages, %zu of chat\n", models[i], messages, chat);
        assert_true(messages > 50 && chat > 100);
    }
}

/* ---- answers ---- */

static void check_events(const char *body, bool streamed, enum err wanted_err, const char *wanted)
{
    struct event_lines lines;
    event_lines_init(&lines);
    struct chat_text stops[] = {CHAT_TEXT_LIT("END")};
    struct chat_request answered = {.stop = {stops, 1}, .max_tokens = -1, .choices = 1};
    enum err e = read_answer(&arena, &dialect_bedrock_converse, &answered, span_from(body),
                             streamed, FEED_WHOLE, 0, event_lines_sink(&lines));
    assert_int_equal(e, wanted_err);
    if (!span_is(buf_span(&lines.text), wanted))
        fail_msg("%.*s\nis not\n%s", SPAN_FMT(buf_span(&lines.text)), wanted);
    event_lines_deinit(&lines);
}

#define EVENT(name, data) "event: " name "\ndata: " data "\n\n"
#define BEGIN EVENT("messageStart", "{\"role\":\"assistant\"}")
#define TEXT(piece)                                                                                \
    EVENT("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"" piece "\"}}")

static void test_a_stream(void **state)
{
    (void)state;
    check_events(
        BEGIN EVENT("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"reasoningContent\":"
                                         "{\"text\":\"Hm.\"}}}")
            EVENT(
                "contentBlockDelta",
                "{\"contentBlockIndex\":0,\"delta\":{\"reasoningContent\":{\"signature\":\"A\"}}}")
                EVENT("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{"
                                           "\"reasoningContent\":{\"signature\":\"B\"}}}")
                    EVENT("contentBlockStop", "{\"contentBlockIndex\":0}") EVENT(
                        "contentBlockDelta", "{\"contentBlockIndex\":1,\"delta\":{\"text\":\"a\"}}")
                        EVENT("contentBlockStop", "{\"contentBlockIndex\":1}") EVENT(
                            "contentBlockStart",
                            "{\"contentBlockIndex\":2,\"start\":{\"toolUse\":{\"name\":\"f\","
                            "\"toolUseId\":\"t1\"}}}") EVENT("contentBlockStop",
                                                             "{\"contentBlockIndex\":2}")
                            EVENT("contentBlockStart",
                                  "{\"contentBlockIndex\":3,\"start\":{\"toolUse\":{\"name\":"
                                  "\"g\",\"toolUseId\":\"t2\"}}}")
                                EVENT("contentBlockDelta",
                                      "{\"contentBlockIndex\":3,\"delta\":{\"toolUse\":{"
                                      "\"input\":\"{\\\"a\\\":\"}}}")
                                    EVENT("contentBlockDelta",
                                          "{\"contentBlockIndex\":3,\"delta\":{\"toolUse\":{"
                                          "\"input\":\"1}\"}}}") EVENT("contentBlockStop",
                                                                       "{\"contentBlockIndex\":3}")
                                        EVENT("messageStop", "{\"stopReason\":\"tool_use\"}")
                                            EVENT("ofLater", "{}")
                                                EVENT("metadata", "{\"usage\":{\"inputTokens\":3,"
                                                                  "\"outputTokens\":4,"
                                                                  "\"cacheReadInputTokens\":5}}"),
        true, ERR_OK,
        "start  \nopen thinking\n+ Hm.\nsign hotspare1.converse.AB\nclose\nopen text\n+ a\nclose\n"
        "open tool_use t1 f\n+ {}\nclose\nopen tool_use t2 g\n+ {\\\"a\\\":\n+ 1}\nclose\n"
        "usage in=3 read=5 write=-1 out=4 think=-1\nfinish tool_use\nend\n");
}

static void test_ends_of_streams(void **state)
{
    (void)state;
    /* cut before and behind the reason; without the counts it is whole all the same */
    check_events(BEGIN TEXT("a"), true, ERR_EOF, "start  \nopen text\n+ a\n");
    check_events(BEGIN TEXT("a E") TEXT("ND b")
                     EVENT("messageStop", "{\"stopReason\":\"end_turn\"}"),
                 true, ERR_OK, "start  \nopen text\n+ a \nclose\nfinish stop_sequence END\nend\n");
    check_events(BEGIN TEXT("a") EVENT("messageStop", "{\"stopReason\":\"max_tokens\"}"), true,
                 ERR_OK, "start  \nopen text\n+ a\nclose\nfinish max_tokens\nend\n");
    check_events(BEGIN TEXT("a") EVENT("messageStop", "{\"stopReason\":\"content_filtered\"}")
                     EVENT("error", "{\"type\":\"error\",\"error\":{\"type\":\"api_error\"}}"),
                 true, ERR_OK, "start  \nopen text\n+ a\nclose\nfinish refusal\nend\n");
    check_events(BEGIN TEXT("a") EVENT("messageStop", "{\"stopReason\":\"malformed_tool_use\"}"),
                 true, ERR_OK,
                 "start  \nopen text\n+ a\nerror api_error 500 The model's output could not be "
                 "read.\n");
    check_events(BEGIN EVENT("error",
                             "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
                             "\"message\":\"Slow down.\"}}") TEXT("a"),
                 true, ERR_OK, "start  \nerror rate_limit_error 429 Slow down.\n");
    check_events(BEGIN EVENT("contentBlockDelta", "{\"a\""), true, ERR_SYNTAX, "start  \n");
    check_events(BEGIN EVENT("contentBlockDelta", "[]"), true, ERR_SYNTAX, "start  \n");
    check_events(BEGIN EVENT("contentBlockStart", "{\"start\":{\"toolUse\":{\"toolUseId\":\"t\"}}}")
                     EVENT("messageStop", "{\"stopReason\":\"tool_use\"}"),
                 true, ERR_SYNTAX, "start  \n"); /* a call without a name */
}

static void test_whole_answers(void **state)
{
    (void)state;
    check_events("{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[{"
                 "\"reasoningContent\":{\"reasoningText\":{\"text\":\"Hm.\",\"signature\":\"S\"}}},"
                 "{\"reasoningContent\":{\"redactedContent\":\"eA==\"}},{\"text\":\"a\"},"
                 "{\"citationsContent\":{\"content\":[{\"text\":\"b\"}],\"citations\":[]}},{"
                 "\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\",\"input\":{\"x\":[1]}}},{"
                 "\"toolUse\":{\"toolUseId\":\"s\",\"name\":\"nova_grounding\",\"type\":\"server_"
                 "tool_use\",\"input\":{}}}]}},\"stopReason\":\"tool_use\",\"usage\":{"
                 "\"inputTokens\":1,\"outputTokens\":2}}",
                 false, ERR_OK,
                 "start  \nopen thinking\n+ Hm.\nsign hotspare1.converse.S\nclose\nopen text\n+ a\n"
                 "close\nopen text\n+ b\nclose\nopen tool_use t f\n+ {\"x\":[1]}\nclose\n"
                 "usage in=1 read=-1 write=-1 out=2 think=-1\nfinish tool_use\nend\n");
    check_events("{\"output\":{\"message\":{\"content\":[]}},\"stopReason\":\"malformed_model_"
                 "output\"}",
                 false, ERR_OK,
                 "start  \nerror api_error 500 The model's output could not be read.\n");
    check_events("{\"message\":\"no\"}", false, ERR_SYNTAX, "");
    /* a call without an id gets one */
    check_events(
        "{\"output\":{\"message\":{\"content\":[{\"toolUse\":{\"name\":\"f\",\"input\":{}}}]}}"
        ",\"stopReason\":\"tool_use\"}",
        false, ERR_OK,
        "start  \nopen tool_use call_4e74dd9b28fa28e10000 f\n+ {}\nclose\nfinish tool_use\nend\n");
}

/* ---- recorded answers, read a second way ---- */

struct second { /* what an answer says, straight from its JSON */
    struct buf text, thinking, inputs, names;
    struct span stop;
    int64_t input, output;
};

static void add(struct buf *to, struct json text)
{
    assert_int_equal(buf_add(to, json_str_decode(text, &arena)), ERR_OK);
}

static void second_usage(struct second *s, struct json usage)
{
    assert_int_equal(json_i64(json_get(usage, "inputTokens"), &s->input), ERR_OK);
    assert_int_equal(json_i64(json_get(usage, "outputTokens"), &s->output), ERR_OK);
}

static void second_whole(struct second *s, struct json whole)
{
    struct json content = json_path(whole, "output.message.content");
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
        add(&s->text, json_get(b, "text"));
        add(&s->thinking, json_path(b, "reasoningContent.reasoningText.text"));
        if (!json_present(json_get(b, "toolUse")))
            continue;
        add(&s->names, json_path(b, "toolUse.name"));
        assert_int_equal(buf_add(&s->inputs, json_raw(json_path(b, "toolUse.input"))), ERR_OK);
    }
    s->stop = json_str(json_get(whole, "stopReason"));
    second_usage(s, json_get(whole, "usage"));
}

/* Takes the frames apart into server-sent events, and reads them on the way. */
static struct span second_stream(struct second *s, struct span frames)
{
    struct eventstream stream;
    struct eventstream_message m;
    struct buf sse;
    size_t used;
    bool foreign = false;
    eventstream_init(&stream, MAX);
    buf_init(&sse, MAX);
    while (frames.len && eventstream_next(&stream, frames, &used, &m) == ERR_OK) {
        struct json_doc *doc = arena_new(&arena, struct json_doc);
        struct span payload = arena_copy(&arena, m.payload);
        assert_int_equal(json_parse(&arena, payload, NULL, doc, NULL), ERR_OK);
        struct json e = json_root(doc), call = json_path(e, "start.toolUse");
        if (json_present(json_get(e, "start")))
            foreign = span_starts(json_str(json_get(call, "name")), SPAN("nova_")) ||
                      json_present(json_path(e, "start.toolResult"));
        if (!foreign) {
            add(&s->names, json_get(call, "name"));
            add(&s->text, json_path(e, "delta.text"));
            add(&s->thinking, json_path(e, "delta.reasoningContent.text"));
            add(&s->inputs, json_path(e, "delta.toolUse.input"));
        }
        if (span_is(m.name, "messageStop"))
            s->stop = json_str(json_get(e, "stopReason"));
        if (span_is(m.name, "metadata"))
            second_usage(s, json_get(e, "usage"));
        assert_int_equal(
            buf_printf(&sse, "event: %.*s\ndata: %.*s\n\n", SPAN_FMT(m.name), SPAN_FMT(payload)),
            ERR_OK);
        frames = span_drop(frames, used);
    }
    assert_int_equal(frames.len, 0);
    eventstream_deinit(&stream);
    struct span kept = arena_copy(&arena, buf_span(&sse));
    buf_deinit(&sse);
    return kept;
}

static void compare(const struct second *s, const struct answer *a)
{
    static const struct {
        const char *theirs, *ours;
    } stops[] = {
        {"end_turn", "end_turn"}, {"tool_use", "tool_use"}, {"guardrail_intervened", "refusal"}};
    struct buf names;
    assert_true(a->complete && !a->error);
    assert_true(span_eq(buf_span(&s->text), a->text));
    assert_true(span_eq(buf_span(&s->thinking), a->thinking));
    buf_init(&names, MAX);
    for (size_t i = 0; i < a->tool_count; i++)
        assert_int_equal(buf_add(&names, a->tools[i].name), ERR_OK);
    assert_true(span_eq(buf_span(&names), buf_span(&s->names)));
    if (a->tool_count == 1)
        assert_true(json_text_same(&arena, a->tools[0].input, buf_span(&s->inputs)));
    buf_deinit(&names);
    assert_int_equal(s->input, a->input);
    assert_int_equal(s->output, a->output);
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        if (span_is(s->stop, stops[i].theirs))
            assert_string_equal(arena_cstr(&arena, a->stop), stops[i].ours);
}

/* Whole or streamed, in any cuts: for a client of Messages the same. */
static void check_recorded_answer(const struct corpus_item *item)
{
    struct second s = {.input = -1};
    struct json_doc doc;
    struct span body = item->response;
    struct buf *all[] = {&s.text, &s.thinking, &s.inputs, &s.names};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_init(all[i], MAX);
    if (item->framed) {
        body = second_stream(&s, item->response);
    } else {
        assert_int_equal(json_parse(&arena, body, NULL, &doc, NULL), ERR_OK);
        second_whole(&s, json_root(&doc));
    }
    enum feed_cuts cuts[] = {FEED_WHOLE, FEED_BYTES};
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
        for (int stream_out = 0; stream_out < 2; stream_out++) {
            struct translated t =
                translate_answer(&arena, &dialect_bedrock_converse, &dialect_anthropic, NULL, body,
                                 item->framed, stream_out, cuts[i], 0);
            struct answer a = {0};
            assert_int_equal(t.err, ERR_OK);
            assert_true(answer_of_messages(&arena, t.bytes, stream_out, &a));
            compare(&s, &a);
        }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_deinit(all[i]);
}

static void check_recorded_error(const struct corpus_item *item)
{
    struct chat_error error;
    dialect_bedrock_converse.read_error(&arena, item->status, item->response, &error);
    assert_int_equal(error.status, item->status);
    assert_true(span_is(error.type, "invalid_request_error") && error.message.len > 20);
}

static void test_recorded_answers(void **state)
{
    (void)state;
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: skipped\n");
        skip();
    }
    struct corpus c = corpus_open(&arena, "bedrock-converse");
    size_t whole = 0, streams = 0, errors = 0;
    for (size_t i = 0; i < c.count; i++) {
        const struct corpus_item *item = &c.items[i];
        if (item->status != 200)
            check_recorded_error(item);
        else
            check_recorded_answer(item);
        *(item->status != 200 ? &errors : item->framed ? &streams : &whole) += 1;
    }
    print_message("# %zu whole answers, %zu streams, %zu errors\n", whole, streams, errors);
    assert_true(whole >= 20 && streams >= 8 && errors >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_conversation_with_tools),
        cmocka_unit_test(test_a_plainer_model),
        cmocka_unit_test(test_schemas_and_effort),
        cmocka_unit_test(test_an_answer_to_be_gone_on_with),
        cmocka_unit_test(test_named_participants_share_a_turn),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_which_models),
        cmocka_unit_test(test_recorded_requests),
        cmocka_unit_test(test_a_stream),
        cmocka_unit_test(test_ends_of_streams),
        cmocka_unit_test(test_whole_answers),
        cmocka_unit_test(test_recorded_answers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
