/* OpenAI Chat Completions, each of its four sides by itself: what a client may ask, what a target
 * is asked, what servers answer in their many ways, what a client gets. Recorded traffic is
 * test_corpus.c's. */
#include "base/utf8.h"
#include "support/check.h"
#include "support/translate.h"

/* ---- scaffolding ---- */

/* A target that can do everything, the way OpenAI says it. */
static const struct capability full = {
    .max_completion_tokens = true,
    .developer_role = true,
    .sampling = true,
    .top_k = true,
    .stop = true,
    .stop_max = 4,
    .reasoning_effort = true,
    .efforts = BIT(EFFORT_NONE) | BIT(EFFORT_LOW) | BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH),
    .reasoning_replay = true,
    .images = true,
    .pdf = true,
    .audio = true,
    .image_urls = true,
    .file_ids = true,
    .json_schema = true,
    .json_strict = true,
    .parallel_flag = true,
    .stream_options = true,
    .safety_identifier = true,
    .tool_name_max = 64,
    .forced_tool = true,
    .mid_system = true,
    .prefill = true,
};
/* A server that knows little. */
static const struct capability bare = {.tool_name_max = 64, .forced_tool = true};

static struct request_words ask_with(void **state, const struct dialect *from,
                                     const struct capability *cap, const char *json)
{
    return translate_request(*state, from, &dialect_openai_chat, cap, span_from(json));
}

/* A Messages request, written for a chat target. */
static void check_messages(void **state, const struct capability *cap, const char *json,
                           const char *wanted, const char *lossy)
{
    struct request_words w = ask_with(state, &dialect_anthropic, cap, json);
    char names[512];
    assert_int_equal(w.read, ERR_OK);
    assert_int_equal(w.write, ERR_OK);
    assert_bytes(w.body, wanted);
    (void)lossy_format(&w.lossy, names, sizeof names);
    assert_string_equal(names, lossy);
}

/* A chat request, written again. */
static void check_chat(void **state, const struct capability *cap, const char *json,
                       const char *wanted)
{
    struct request_words w = ask_with(state, &dialect_openai_chat, cap, json);
    if (w.read != ERR_OK || w.write != ERR_OK)
        fail_msg("%s: %.*s %.*s", json, SPAN_FMT(w.problem.param), SPAN_FMT(w.problem.text));
    assert_bytes(w.body, wanted);
}

static void check_fault(void **state, const char *json, const char *param)
{
    struct request_words w = ask_with(state, &dialect_openai_chat, &full, json);
    assert_int_equal(w.read, ERR_INVALID);
    assert_bytes(w.problem.param, param);
    assert_true(w.problem.text.len > 10);
}

#define U "{\"role\":\"user\",\"content\":\"hi\"}"
#define BODY(rest) "{\"model\":\"m\",\"messages\":[" U "]" rest "}"

/* ---- door: requests ---- */

static void plain_request_comes_out_as_it_went_in(void **state)
{
    check_chat(state, &full, BODY(""), BODY(""));
    check_chat(state, &full,
               "{\"messages\":[" U "],\"stream\":false,\"model\":\"m\",\"stop\":null}", BODY(""));
}

static void every_role_is_read(void **state)
{
    check_chat(state, &full,
               "{\"model\":\"m\",\"messages\":["
               "{\"role\":\"system\",\"content\":\"a\"},"
               "{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]},"
               "{\"role\":\"user\",\"content\":\"c\",\"name\":\"bob\"},"
               "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t1\",\"type\":"
               "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]},"
               "{\"role\":\"tool\",\"tool_call_id\":\"t1\",\"content\":\"42\"},"
               "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"d\"}]}]}",
               "{\"model\":\"m\",\"messages\":["
               "{\"role\":\"developer\",\"content\":\"a\\n\\nb\"},"
               "{\"role\":\"user\",\"name\":\"bob\",\"content\":\"c\"},"
               "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t1\",\"type\":"
               "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]},"
               "{\"role\":\"tool\",\"tool_call_id\":\"t1\",\"content\":\"42\"},"
               "{\"role\":\"user\",\"content\":\"d\"}]}");
}

static void every_part_is_read(void **state)
{
    const char *parts =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":["
        "{\"type\":\"text\",\"text\":\"look\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\",\"detail\":\"low\"}},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBORw0K\"}},"
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklGR\",\"format\":\"wav\"}},"
        "{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
        "\"data:application/pdf;base64,JVBERi0\"}},"
        "{\"type\":\"file\",\"file\":{\"file_id\":\"file-abc\"}}]}]}";
    check_chat(state, &full, parts, parts);
}

static void legacy_functions_become_tools(void **state)
{
    struct request_words w = ask_with(
        state, &dialect_openai_chat, &full,
        "{\"model\":\"m\",\"messages\":[" U ",{\"role\":\"assistant\",\"content\":null,"
        "\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
        "{\"role\":\"function\",\"name\":\"f\",\"content\":\"ok\"}],"
        "\"functions\":[{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}],"
        "\"function_call\":{\"name\":\"f\"}}");
    assert_int_equal(w.write, ERR_OK);
    assert_true(w.request.legacy_functions);
    assert_bytes(w.body,
                 "{\"model\":\"m\",\"messages\":[" U
                 ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":"
                 "\"call_function_0\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                 "\"arguments\":\"{}\"}}]},"
                 "{\"role\":\"tool\",\"tool_call_id\":\"call_function_0\",\"content\":\"ok\"}],"
                 "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
                 "{\"type\":\"object\",\"properties\":{}}}}],"
                 "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}}");
}

static void tool_choice_is_read_in_all_forms(void **state)
{
    static const char tools[] = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
                                "\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]";
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"\"none\"", "\"none\""},
        {"\"auto\"", "\"auto\""},
        {"\"required\"", "\"required\""},
        {"\"any\"", "\"required\""},
        {"{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
         "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"},
        {"{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":[{"
         "\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}}",
         "\"required\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span in =
            arena_printf(*state, "{\"model\":\"m\",\"messages\":[" U "],\"tool_choice\":%s,%s}",
                         rows[i].in, tools);
        struct span out =
            arena_printf(*state, "{\"model\":\"m\",\"messages\":[" U "],%s,\"tool_choice\":%s}",
                         tools, rows[i].out);
        check_chat(state, &full, in.at, out.at);
    }
}

static void allowed_tools_leave_the_others_out(void **state)
{
    struct request_words w =
        ask_with(state, &dialect_openai_chat, &full,
                 BODY(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},{\"type\":"
                      "\"function\",\"function\":{\"name\":\"b\"}}],\"tool_choice\":{\"type\":"
                      "\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[{\"type\":"
                      "\"function\",\"function\":{\"name\":\"b\"}}]}}"));
    assert_int_equal(w.request.tool_count, 1);
    assert_bytes(w.request.tools->name.at, "b");
}

static void other_fields_are_read(void **state)
{
    check_chat(
        state, &full,
        BODY(",\"max_tokens\":5,\"max_completion_tokens\":9,\"temperature\":0.50,\"top_p\":1,"
             "\"stop\":\"END\",\"reasoning_effort\":\"low\",\"parallel_tool_calls\":true,"
             "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
             "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
             "\"required\":[\"a\"],\"additionalProperties\":false},\"strict\":true}},"
             "\"stream\":true,\"user\":\"u\",\"stream_options\":{\"include_usage\":true}"),
        BODY(",\"max_completion_tokens\":9,\"temperature\":0.50,\"top_p\":1,"
             "\"stop\":[\"END\"],\"reasoning_effort\":\"low\","
             "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
             "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
             "\"required\":[\"a\"],\"additionalProperties\":false},\"strict\":true}},"
             "\"safety_identifier\":\"u\","
             "\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
}

static void unknown_fields_are_kept_as_extras(void **state)
{
    struct request_words w = ask_with(state, &dialect_openai_chat, &full,
                                      BODY(",\"seed\":7,\"new_thing\":{\"a\":[1]},\"audio\":null"));
    struct chat_extra *x = w.request.extras;
    char names[128];
    assert_bytes(x->name, "seed");
    assert_bytes(x->next->name, "new_thing");
    assert_bytes(x->next->value, "{\"a\":[1]}");
    assert_null(x->next->next);
    (void)lossy_format(&w.lossy, names, sizeof names);
    assert_string_equal(names, "other_fields");
    assert_true(span_search(w.body, SPAN("\"seed\":7")) > 0);
}

static void callers_faults_name_the_place(void **state)
{
    static const struct {
        const char *json, *param;
    } rows[] = {
        {"[]", ""},
        {"{\"messages\":[" U "]}", "model"},
        {"{\"model\":3,\"messages\":[" U "]}", "model"},
        {"{\"model\":\"m\"}", "messages"},
        {"{\"model\":\"m\",\"messages\":[]}", "messages"},
        {"{\"model\":\"m\",\"messages\":[" U ",{\"content\":\"x\"}]}", "messages[1].role"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"robot\",\"content\":\"x\"}]}",
         "messages[0].role"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\"}]}", "messages[0].content"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":7}]}",
         "messages[0].content"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
         "messages[0].content[0].text"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
         "\"text\":\"a\"},{\"type\":\"image_url\",\"image_url\":{}}]}]}",
         "messages[0].content[1].image_url.url"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}",
         "messages[0].tool_call_id"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"function\",\"content\":\"x\"}]}",
         "messages[0].role"},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\"}]}]"
         "}",
         "messages[0].tool_calls[0]"},
        {BODY(",\"tools\":{}"), "tools"},
        {BODY(",\"tools\":[{\"type\":\"function\"}]"), "tools[0].function"},
        {BODY(",\"tools\":[{\"type\":\"function\",\"function\":{}}]"), "tools[0].function.name"},
        {BODY(",\"tool_choice\":\"maybe\""), "tool_choice"},
        {BODY(",\"temperature\":\"hot\""), "temperature"},
        {BODY(",\"max_tokens\":-1"), "max_tokens"},
        {BODY(",\"max_tokens\":1.5"), "max_tokens"},
        {BODY(",\"stream\":\"yes\""), "stream"},
        {BODY(",\"stop\":[1]"), "stop"},
        {BODY(",\"n\":0"), "n"},
        {BODY(",\"response_format\":{\"type\":\"xml\"}"), "response_format.type"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_fault(state, rows[i].json, rows[i].param);
}

/* ---- upstream: requests ---- */

#define MESSAGES(list) "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" list "]"
#define MU "{\"role\":\"user\",\"content\":\"hi\"}"
#define OUT(list) "{\"model\":\"m\",\"messages\":[" list "]"
#define MAX ",\"max_completion_tokens\":9}"

static void system_blocks_are_joined_without_the_billing_line(void **state)
{
    check_messages(
        state, &full,
        MESSAGES(MU) ",\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-"
                     "header: v=1\"},{\"type\":\"text\",\"text\":\"a\",\"cache_control\":"
                     "{\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"b\"}]}",
        OUT("{\"role\":\"developer\",\"content\":\"a\\n\\nb\"}," U) MAX, "cache_control");
}

static void system_in_the_middle_stays_or_is_folded(void **state)
{
    const char *in = MESSAGES(MU ",{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"system\","
                                 "\"content\":\"s\"},{\"role\":\"user\",\"content\":\"b\"}") "}";
    check_messages(state, &full, in,
                   OUT(U ",{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"developer\","
                         "\"content\":\"s\"},{\"role\":\"user\",\"content\":\"b\"}") MAX,
                   "");
    check_messages(state, &bare, in,
                   OUT(U ",{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"user\","
                         "\"content\":[{\"type\":\"text\",\"text\":\"[System message] s\"},"
                         "{\"type\":\"text\",\"text\":\"b\"}]}") ",\"max_tokens\":9}",
                   "system_order");
}

static void tool_results_come_before_the_users_words(void **state)
{
    check_messages(
        state, &full,
        MESSAGES(
            MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},"
               "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"q\":\"\\u00e9\\"
               "\"\"}},{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}]},"
               "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
               "\"t1\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":\"text\","
               "\"text\":\"two\"}]},{\"type\":\"tool_result\",\"tool_use_id\":\"t2\","
               "\"is_error\":true,\"content\":\"bad\"},{\"type\":\"text\",\"text\":\"go\"}]}") "}",
        OUT(U
            ",{\"role\":\"assistant\",\"content\":\"see\",\"tool_calls\":[{\"id\":\"t1\",\"type\":"
            "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"q\\\":\\\"\\\\u00e9\\"
            "\\\\\"\\\"}\"}},{\"id\":\"t2\",\"type\":\"function\",\"function\":{\"name\":\"g\","
            "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"t1\",\"content\":"
            "\"one\\ntwo\"},{\"role\":\"tool\",\"tool_call_id\":\"t2\",\"content\":\"Error: bad\"},"
            "{\"role\":\"user\",\"content\":\"go\"}") MAX,
        "tool_result_error");
}

static void images_of_tool_results_move_to_a_user_message(void **state)
{
    check_messages(
        state, &full,
        MESSAGES(MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\","
                    "\"name\":\"shot\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
                    "\"tool_result\",\"tool_use_id\":\"t1\",\"content\":[{\"type\":\"text\","
                    "\"text\":\"done\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\","
                    "\"media_type\":\"image/png\",\"data\":\"iVBO\"}}]}]}") "}",
        OUT(U ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t1\",\"type\":"
              "\"function\",\"function\":{\"name\":\"shot\",\"arguments\":\"{}\"}}]},{\"role\":"
              "\"tool\",\"tool_call_id\":\"t1\",\"content\":\"done\\n[attached to the next user "
              "message]\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"From the "
              "result of tool shot:\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"
              "\"data:image/png;base64,iVBO\"}}]}") MAX,
        "tool_result_image");
}

static void mistral_gets_its_ids_and_its_order(void **state)
{
    struct capability mistral = full;
    mistral.tool_id_nine = true;
    struct request_words w = ask_with(
        state, &dialect_openai_chat, &mistral,
        "{\"model\":\"m\",\"messages\":[" U ",{\"role\":\"assistant\",\"content\":null,"
        "\"tool_calls\":[{\"id\":\"call_0123456789\",\"type\":\"function\",\"function\":{\"name\":"
        "\"f\",\"arguments\":\"{}\"}},{\"id\":\"abcDEF123\",\"type\":\"function\",\"function\":{"
        "\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
        "\"call_0123456789\",\"content\":\"x\"},{\"role\":\"tool\",\"tool_call_id\":\"abcDEF123\","
        "\"content\":\"y\"}," U "]}");
    struct json_doc doc;
    assert_int_equal(json_parse(*state, w.body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json m = json_get(json_root(&doc), "messages");
    struct span made = json_str(json_get(json_at(json_get(json_at(m, 1), "tool_calls"), 0), "id"));
    assert_int_equal(made.len, 9);
    assert_true(span_eq(json_str(json_get(json_at(m, 2), "tool_call_id")), made));
    assert_true(json_str_is(json_get(json_at(m, 3), "tool_call_id"), "abcDEF123"));
    assert_true(json_str_is(json_get(json_at(m, 4), "role"), "assistant"));
    assert_true(json_str_is(json_get(json_at(m, 5), "role"), "user"));
}

static void thinking_is_replayed_or_said_to_be_lost(void **state)
{
    const char *in =
        MESSAGES(MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
                    "\"hm\",\"signature\":\"sig\"},{\"type\":\"redacted_thinking\",\"data\":\"x\"},"
                    "{\"type\":\"text\",\"text\":\"a\"}]}," MU) "}";
    check_messages(
        state, &full, in,
        OUT(U ",{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":\"a\"}," U) MAX,
        "redacted_thinking");
    check_messages(state, &bare, in,
                   OUT(U ",{\"role\":\"assistant\",\"content\":\"a\"}," U) ",\"max_tokens\":9}",
                   "thinking,redacted_thinking");
}

#define PDF                                                                                        \
    "{\"type\":\"document\",\"title\":\"t\",\"source\":{\"type\":\"base64\",\"media_type\":"       \
    "\"application/pdf\",\"data\":\"JVBE\"}}"

static void documents_become_text_files_or_a_refusal(void **state)
{
    check_messages(
        state, &full,
        MESSAGES("{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"title\":\"t\","
                 "\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":"
                 "\"body\"}}," PDF "]}") "}",
        OUT("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"t\\nbody\"},"
            "{\"type\":\"file\",\"file\":{\"filename\":\"t\",\"file_data\":"
            "\"data:application/pdf;base64,JVBE\"}}]}") MAX,
        "");
    struct request_words w = ask_with(state, &dialect_anthropic, &bare,
                                      MESSAGES("{\"role\":\"user\",\"content\":[" PDF "]}") "}");
    assert_int_equal(w.write, ERR_UNSUPPORTED);
    assert_true(span_search(w.problem.text, SPAN("document")) >= 0);
}

static void what_cannot_be_seen_is_refused_now_and_marked_in_history(void **state)
{
    static const char image[] =
        "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":"
        "\"image/png\",\"data\":\"iVBO\"}}";
    struct span now =
        arena_printf(*state, MESSAGES("{\"role\":\"user\",\"content\":[%s]}") "}", image);
    struct span then = arena_printf(*state,
                                    MESSAGES("{\"role\":\"user\",\"content\":[%s]},{\"role\":"
                                             "\"assistant\",\"content\":\"a\"}," MU) "}",
                                    image);
    assert_int_equal(ask_with(state, &dialect_anthropic, &bare, now.at).write, ERR_UNSUPPORTED);
    check_messages(state, &bare, then.at,
                   OUT("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"[image was "
                       "here; it cannot be shown to this model]\"}]},{\"role\":\"assistant\","
                       "\"content\":\"a\"}," U) ",\"max_tokens\":9}",
                   "image");
}

static void tools_keep_their_schema_byte_for_byte(void **state)
{
    check_messages(
        state, &full,
        MESSAGES(
            MU) ",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\": "
                "\"object\",  \"properties\":{\"type\":{\"type\":\"number\",\"maximum\":1e400}}"
                "}},{\"name\":\"g\",\"input_schema\":{\"type\":\"object\"}}],\"tool_choice\":{"
                "\"type\":\"any\",\"disable_parallel_tool_use\":true}}",
        OUT(U) ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":"
               "\"d\",\"parameters\":{\"type\": \"object\",  \"properties\":{\"type\":{\"type\":"
               "\"number\",\"maximum\":1e400}}}}},{\"type\":\"function\",\"function\":{\"name\":"
               "\"g\",\"parameters\":{\"properties\":{},\"type\":\"object\"}}}],\"tool_choice\":"
               "\"required\",\"parallel_tool_calls\":false" MAX,
        "");
}

static void strict_is_asked_only_where_the_schema_fits(void **state)
{
    check_messages(
        state, &full,
        MESSAGES(MU) ",\"tools\":[{\"name\":\"f\",\"strict\":true,\"input_schema\":{\"type\":"
                     "\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"],"
                     "\"additionalProperties\":false}},{\"name\":\"g\",\"strict\":true,"
                     "\"input_schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
                     "\"string\"}},\"additionalProperties\":false}}]}",
        OUT(U) ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"
               "\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":["
               "\"a\"],\"additionalProperties\":false},\"strict\":true}},{\"type\":\"function\","
               "\"function\":{\"name\":\"g\",\"parameters\":{\"type\":\"object\",\"properties\":{"
               "\"a\":{\"type\":\"string\"}},\"additionalProperties\":false}}}]" MAX,
        "strict_tools");
}

static void server_tools_go_with_their_history(void **state)
{
    check_messages(
        state, &full,
        MESSAGES(MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"server_tool_use\",\"id\":"
                    "\"s1\",\"name\":\"web_search\",\"input\":{\"query\":\"x\"}},{\"type\":"
                    "\"web_search_tool_result\",\"tool_use_id\":\"s1\",\"content\":[]},{\"type\":"
                    "\"text\",\"text\":\"found\"}]}," MU) ",\"tools\":[{\"type\":"
                                                          "\"web_search_20250305\",\"name\":"
                                                          "\"web_search\"}],\"tool_choice\":{"
                                                          "\"type\":\"auto\"}}",
        OUT(U ",{\"role\":\"assistant\",\"content\":\"found\"}," U) MAX, "server_tool");
}

static void a_compaction_is_said(void **state)
{
    check_messages(state, &full,
                   MESSAGES(MU ",{\"role\":\"assistant\",\"content\":[{\"type\":\"compaction\","
                               "\"content\":\"so far\"},{\"type\":\"text\",\"text\":\"on\"}]},"
                               "" MU) "}",
                   OUT(U ",{\"role\":\"assistant\",\"content\":\"so far\\n\\non\"}," U) MAX,
                   "other_fields");
}

#define MARK                                                                                       \
    "{\"type\":\"fallback\",\"from\":{\"model\":\"m\"},\"to\":{\"model\":\"n\"},\"trigger\":null}"
#define SAID(text) "{\"type\":\"text\",\"text\":\"" text "\"}"

static void a_text_in_which_models_changed_is_one_text(void **state)
{
    check_messages(state, &full,
                   MESSAGES(MU ",{\"role\":\"assistant\",\"content\":[" SAID(
                       "in the mid") "," MARK "," SAID("dle of it") "]}," MU) "}",
                   OUT(U ",{\"role\":\"assistant\",\"content\":\"in the middle of it\"}," U) MAX,
                   "");
    check_messages(state, &full, /* a mark that something else is beside */
                   MESSAGES(MU ",{\"role\":\"assistant\",\"content\":[" MARK
                               "," SAID("one") "," MARK "," MARK "," SAID("two") "]}," MU) "}",
                   OUT(U ",{\"role\":\"assistant\",\"content\":\"one\\n\\ntwo\"}," U) MAX, "");
}

static void tools_claude_knows_by_heart_become_functions(void **state)
{
    struct request_words w = ask_with(
        state, &dialect_anthropic, &full,
        MESSAGES(MU) ",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"},{\"type\":"
                     "\"text_editor_20250728\",\"name\":\"str_replace_based_edit_tool\"},"
                     "{\"type\":\"memory_20250818\",\"name\":\"memory\"}]}");
    struct json_doc doc;
    assert_int_equal(w.write, ERR_OK);
    assert_int_equal(json_parse(*state, w.body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json tools = json_get(json_root(&doc), "tools");
    assert_int_equal(json_len(tools), 3);
    for (struct json t = json_first(tools); json_present(t); t = json_next(tools, t)) {
        assert_true(json_str_is(json_get(t, "type"), "function"));
        assert_true(json_present(json_path(t, "function.parameters.properties.command")));
    }
}

/* The target calls the tool by `name`, which its request gave it; the client hears `wanted`. */
static void check_called(void **state, struct request_words *w, struct span name,
                         const char *wanted)
{
    struct span answer = arena_printf(
        *state,
        "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"tool_calls\":[{"
        "\"id\":\"t\",\"function\":{\"name\":\"%.*s\",\"arguments\":\"{}\"}}]},\"finish_reason\":"
        "\"tool_calls\"}]}",
        SPAN_FMT(name));
    struct event_lines l;
    event_lines_init(&l);
    assert_int_equal(read_answer(*state, &dialect_openai_chat, &w->request, answer, false,
                                 FEED_WHOLE, 0, event_lines_sink(&l)),
                     ERR_OK);
    struct span line = arena_printf(*state, "open tool_use t %s\n", wanted);
    assert_true(span_search(buf_span(&l.text), line) >= 0);
    event_lines_deinit(&l);
}

static void long_tool_names_are_shortened_and_come_back(void **state)
{
    struct capability short_names = full;
    short_names.tool_name_max = 24;
    const char *in = BODY(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
                          "\"mcp__files__read_a_file_in_full\"}},{\"type\":\"function\","
                          "\"function\":{\"name\":\"mcp__files__read_a_file_in_part\"}}]");
    struct request_words w = ask_with(state, &dialect_openai_chat, &short_names, in);
    struct json_doc doc;
    assert_int_equal(json_parse(*state, w.body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json tools = json_get(json_root(&doc), "tools");
    struct span one = json_str(json_path(json_at(tools, 0), "function.name"));
    struct span two = json_str(json_path(json_at(tools, 1), "function.name"));
    assert_int_equal(one.len, 24);
    assert_false(span_eq(one, two));
    check_called(state, &w, two, "mcp__files__read_a_file_in_part");
}

/* Wherever the limit falls: no escape, no character and no pair of surrogates is cut in two. */
static void a_long_name_is_shortened_between_its_characters(void **state)
{
    static const char name[] =
        "a\\n\xe4\xb8\xad\\ud83d\\ude00\xf0\x9f\x98\x80\\\\b and more that is of one byte";
    struct capability cap = full;
    for (cap.tool_name_max = 10; cap.tool_name_max < sizeof name - 1; cap.tool_name_max++) {
        struct span in = arena_printf(
            *state, BODY(",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"%s\"}}]"),
            name);
        struct request_words w = ask_with(state, &dialect_openai_chat, &cap, in.at);
        struct json_doc doc;
        assert_int_equal(json_parse(*state, w.body, &json_limits_default, &doc, NULL), ERR_OK);
        struct json tool = json_at(json_get(json_root(&doc), "tools"), 0);
        struct span sent = json_str(json_path(tool, "function.name"));
        assert_int_equal(sent.len, cap.tool_name_max);
        assert_int_equal(utf8_valid_len(sent), sent.len);
        check_called(state, &w, sent, name);
    }
}

static void parameters_follow_the_capability(void **state)
{
    const char *in = MESSAGES(MU) ",\"temperature\":0.3,\"top_p\":0.9,\"top_k\":5,"
                                  "\"stop_sequences\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}";
    check_messages(state, &full, in,
                   OUT(U) ",\"max_completion_tokens\":9,\"temperature\":0.3,\"top_p\":0.9,"
                          "\"top_k\":5,\"stop\":[\"a\",\"b\",\"c\",\"d\"]}",
                   "stop_sequences");
    check_messages(state, &bare, in, OUT(U) ",\"max_tokens\":9}", "sampling,top_k,stop_sequences");
    check_messages(state, &bare, MESSAGES(MU) ",\"temperature\":1.0,\"top_p\":1}",
                   OUT(U) ",\"max_tokens\":9}", "");
}

static void thinking_becomes_an_effort(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":12000}",
         ",\"reasoning_effort\":\"high\""},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":6000}",
         ",\"reasoning_effort\":\"medium\""},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2500}",
         ",\"reasoning_effort\":\"low\""},
        {"\"thinking\":{\"type\":\"adaptive\"}", ",\"reasoning_effort\":\"medium\""},
        {"\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"max\"}",
         ",\"reasoning_effort\":\"high\""},
        {"\"output_config\":{\"effort\":\"low\"}", ",\"reasoning_effort\":\"low\""},
        {"\"thinking\":{\"type\":\"disabled\"}", ",\"reasoning_effort\":\"none\""},
        {"\"stream\":false", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span in = arena_printf(
            *state, "{\"model\":\"m\",\"max_tokens\":20000,\"messages\":[" U "],%s}", rows[i].in);
        struct span out = arena_printf(
            *state, "{\"model\":\"m\",\"messages\":[" U "],\"max_completion_tokens\":20000%s}",
            rows[i].out);
        struct request_words w = ask_with(state, &dialect_anthropic, &full, in.at);
        assert_int_equal(w.write, ERR_OK);
        assert_bytes(w.body, out.at);
    }
}

static void output_format_becomes_response_format(void **state)
{
    const char *in = MESSAGES(MU) ",\"output_config\":{\"format\":{\"type\":\"json_schema\","
                                  "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
                                  "\"string\"}},\"additionalProperties\":false}}}}";
    check_messages(state, &full, in,
                   OUT(U) ",\"max_completion_tokens\":9,\"response_format\":{\"type\":"
                          "\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":{"
                          "\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
                          "\"additionalProperties\":false}}}}",
                   "");
    struct request_words w = ask_with(state, &dialect_anthropic, &bare, in);
    assert_true(span_search(w.body, SPAN("{\"role\":\"system\",\"content\":\"Answer with one JSON "
                                         "object")) > 0);
    assert_true(span_search(w.body, SPAN("\"response_format\":{\"type\":\"json_object\"}")) > 0);
}

static void user_id_is_hashed_when_too_long(void **state)
{
    check_messages(state, &full, MESSAGES(MU) ",\"metadata\":{\"user_id\":\"u1\"}}",
                   OUT(U) ",\"max_completion_tokens\":9,\"safety_identifier\":\"u1\"}", "");
    check_messages(state, &bare, MESSAGES(MU) ",\"metadata\":{\"user_id\":\"u1\"}}",
                   OUT(U) ",\"max_tokens\":9,\"user\":\"u1\"}", "");
    struct request_words w = ask_with(
        state, &dialect_anthropic, &full,
        MESSAGES(MU) ",\"metadata\":{\"user_id\":\"{\\\"device\\\":\\\"0123456789012345678901234567"
                     "89012345678901234567890123456789\\\"}\"}}");
    struct json_doc doc;
    assert_int_equal(json_parse(*state, w.body, &json_limits_default, &doc, NULL), ERR_OK);
    struct span id = json_str(json_get(json_root(&doc), "safety_identifier"));
    assert_true(id.len > 20 && id.len <= 64 && span_starts(id, SPAN("user_")));
}

static void streams_ask_for_usage(void **state)
{
    check_messages(state, &full, MESSAGES(MU) ",\"stream\":true}",
                   OUT(U) ",\"max_completion_tokens\":9,\"stream\":true,\"stream_options\":{"
                          "\"include_usage\":true}}",
                   "");
    check_messages(state, &bare, MESSAGES(MU) ",\"stream\":true}",
                   OUT(U) ",\"max_tokens\":9,\"stream\":true}", "");
}

static void prefill_is_sent_and_said(void **state)
{
    const char *in = MESSAGES(MU ",{\"role\":\"assistant\",\"content\":\"It is\"}") "}";
    struct capability mistral = full;
    mistral.tool_id_nine = true;
    mistral.top_k = false;
    check_messages(
        state, &full, in,
        OUT(U ",{\"role\":\"assistant\",\"content\":\"It is\"}") ",\"max_completion_tokens\":9,"
                                                                 "\"continue_final_message\":true,"
                                                                 "\"add_generation_prompt\":false}",
        "");
    check_messages(state, &mistral, in,
                   OUT(U ",{\"role\":\"assistant\",\"prefix\":true,\"content\":\"It is\"}") MAX,
                   "");
    check_messages(state, &bare, in,
                   OUT(U ",{\"role\":\"assistant\",\"content\":\"It is\"},{\"role\":\"user\","
                         "\"content\":\"" DIALECT_GO_ON "\"}") ",\"max_tokens\":9}",
                   "prefill");
}

static void several_choices_are_refused_by_name(void **state)
{
    struct request_words w = ask_with(state, &dialect_openai_chat, &full, BODY(",\"n\":2"));
    assert_int_equal(w.write, ERR_UNSUPPORTED);
    assert_bytes(w.problem.param, "n");
}

/* Neighbours of one role would be refused by strict templates. */
static void turns_of_one_role_are_merged(void **state)
{
    check_chat(state, &full,
               "{\"model\":\"m\",\"messages\":[" U "," U
               ",{\"role\":\"assistant\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":"
               "\"b\"}," U "]}",
               "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
               "\"text\":\"hi\"},{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":\"assistant\","
               "\"content\":\"a\\n\\nb\"}," U "]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(plain_request_comes_out_as_it_went_in),
        CHECK_TEST(every_role_is_read),
        CHECK_TEST(every_part_is_read),
        CHECK_TEST(legacy_functions_become_tools),
        CHECK_TEST(tool_choice_is_read_in_all_forms),
        CHECK_TEST(allowed_tools_leave_the_others_out),
        CHECK_TEST(other_fields_are_read),
        CHECK_TEST(unknown_fields_are_kept_as_extras),
        CHECK_TEST(callers_faults_name_the_place),
        CHECK_TEST(system_blocks_are_joined_without_the_billing_line),
        CHECK_TEST(system_in_the_middle_stays_or_is_folded),
        CHECK_TEST(tool_results_come_before_the_users_words),
        CHECK_TEST(images_of_tool_results_move_to_a_user_message),
        CHECK_TEST(mistral_gets_its_ids_and_its_order),
        CHECK_TEST(thinking_is_replayed_or_said_to_be_lost),
        CHECK_TEST(documents_become_text_files_or_a_refusal),
        CHECK_TEST(what_cannot_be_seen_is_refused_now_and_marked_in_history),
        CHECK_TEST(tools_keep_their_schema_byte_for_byte),
        CHECK_TEST(strict_is_asked_only_where_the_schema_fits),
        CHECK_TEST(server_tools_go_with_their_history),
        CHECK_TEST(a_compaction_is_said),
        CHECK_TEST(a_text_in_which_models_changed_is_one_text),
        CHECK_TEST(tools_claude_knows_by_heart_become_functions),
        CHECK_TEST(long_tool_names_are_shortened_and_come_back),
        CHECK_TEST(a_long_name_is_shortened_between_its_characters),
        CHECK_TEST(parameters_follow_the_capability),
        CHECK_TEST(thinking_becomes_an_effort),
        CHECK_TEST(output_format_becomes_response_format),
        CHECK_TEST(user_id_is_hashed_when_too_long),
        CHECK_TEST(streams_ask_for_usage),
        CHECK_TEST(prefill_is_sent_and_said),
        CHECK_TEST(several_choices_are_refused_by_name),
        CHECK_TEST(turns_of_one_role_are_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
