/* Messages requests written for a Claude target, out of either dialect. Tables: one row per rule of
 * protocols.md 1.3 to 1.6 and 5.2. */
#include "base/span.h"
#include "dialect/dialect_internal.h"
#include "support/answer.h"
#include "support/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define U(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define A_BODY(messages, more)                                                                     \
    "{\"model\":\"claude-x\",\"max_tokens\":4000,\"messages\":[" messages "]" more "}"
#define OC_BODY(messages, more) "{\"model\":\"gpt-x\",\"messages\":[" messages "]" more "}"
#define OC_BODY_MAX(messages, more)                                                                \
    "{\"model\":\"gpt-x\",\"max_tokens\":4000,\"messages\":[" messages "]" more "}"
#define TOOL_F ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
#define TOOL_F_A                                                                                   \
    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]"
#define PNG "iVBORw0KGgo="

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

static void assert_span(struct span s, const char *text)
{
    if (!span_is(s, text))
        fail_msg("'%.*s' is not '%s'", SPAN_FMT(s), text);
}

struct row {
    const char *why;   /* the rule */
    const char *model; /* whose capability */
    const char *body;
    const char *wants; /* members of the written body that must have this value, as an object */
    const char *lossy;
};

static void check_rows(const struct dialect *from, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct capability cap = capability_preset(TARGET_ANTHROPIC, span_from(row->model));
        struct request_words w =
            translate_request(&arena, from, &dialect_anthropic, &cap, span_from(row->body));
        if (w.read != ERR_OK || w.write != ERR_OK)
            fail_msg("%s: %.*s: %.*s", row->why, SPAN_FMT(w.problem.param),
                     SPAN_FMT(w.problem.text));
        struct json_doc got, wants;
        assert_int_equal(json_parse(&arena, w.body, &json_limits_default, &got, NULL), ERR_OK);
        assert_int_equal(
            json_parse(&arena, span_from(row->wants), &json_limits_default, &wants, NULL), ERR_OK);
        struct json want = json_root(&wants);
        for (struct json m = json_first(want); json_present(m); m = json_next(want, m)) {
            char *key = arena_cstr(&arena, json_key(m));
            struct json have = json_get(json_root(&got), key);
            bool absent = json_str_is(m, "(absent)");
            if (absent ? json_present(have) : !json_same(&arena, have, m))
                fail_msg("%s: %s is not as wanted in %.*s", row->why, key, SPAN_FMT(w.body));
        }
        char lossy[400];
        (void)lossy_format(&w.lossy, lossy, sizeof lossy);
        if (strcmp(lossy, row->lossy) != 0)
            fail_msg("%s: lossy is '%s', not '%s'", row->why, lossy, row->lossy);
    }
}

#define S45 "claude-sonnet-4-5"
#define O46 "claude-opus-4-6"
#define O5 "claude-opus-5"

static void chat_turns_become_messages_turns(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"leading system and developer texts are the system prompt", S45,
         OC_BODY("{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"developer\",\"content\":"
                 "\"b\"}," U("x"),
                 ""),
         "{\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}],"
         "\"messages\":[" U("x") "],\"model\":\"gpt-x\"}",
         ""},
        {"one system text stays a string, escapes untouched", S45,
         OC_BODY("{\"role\":\"system\",\"content\":\"a\\u00e9\\n\"}," U("x"), ""),
         "{\"system\":\"a\\u00e9\\n\"}", ""},
        {"a later system text is marked where the model has no role for it", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"content\":\"y\"},{\"role\":\"system\","
                        "\"content\":\"s\"}," U("z"),
                 ""),
         "{\"system\":\"(absent)\",\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":\"y\"},"
                  "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"<system-message>"
                  "\\ns\\n"
                  "</system-message>\"}]}," U("z") "]}",
         "system_order"},
        {"and keeps its role where it has one", O5,
         OC_BODY(U("x") ",{\"role\":\"system\",\"content\":\"s\"}," U("z"), ""),
         "{\"messages\":[" U("x") ",{\"role\":\"system\",\"content\":\"s\"}," U("z") "]}", ""},
        {"system texts only: the last is the user's turn", S45,
         OC_BODY("{\"role\":\"system\",\"content\":\"a\"},{\"role\":\"system\",\"content\":\"b\"}",
                 ""),
         "{\"system\":\"a\",\"messages\":[" U("b") "]}", "system_order"},
        {"an assistant turn never comes first", S45,
         OC_BODY("{\"role\":\"assistant\",\"content\":\"hello\"}," U("x"), ""),
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
         "\"text\":\"(The assistant opens this conversation.)\"}]},"
         "{\"role\":\"assistant\",\"content\":\"hello\"}," U("x") "]}",
         "first_turn"},
        {"blank texts are dropped, and turns that held nothing else", S45,
         OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\" "
                 "\\n\"},{\"type\":\"text\","
                 "\"text\":\"x\"}]},{\"role\":\"assistant\",\"content\":\"\"}," U("z"),
                 ""),
         "{\"messages\":[" U("x") "," U("z") "]}", ""},
        {"a trailing assistant text is continued natively, without its last blanks", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"content\":\"It is \\n\"}", ""),
         "{\"messages\":[" U("x") ",{\"role\":\"assistant\",\"content\":\"It is\"}]}", ""},
        {"or by a user turn where the model refuses that", O5,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"content\":\"It is\"}", ""),
         "{\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":\"It is\"},{\"role\":\"user\","
                  "\"content\":[{\"type\":\"text\",\"text\":\"" DIALECT_GO_ON "\"}]}]}",
         "prefill"},
        {"a refusal in the history is a text", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}," U("y"),
                 ""),
         "{\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"no\"}]}"
                  "," U("y") "]}",
         ""},
    };
    check_rows(&dialect_openai_chat, rows, ARRAY_LEN(rows));
}

static void chat_tools_become_messages_tools(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"calls are parsed, results gathered in one turn and first in it", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"content\":\"t\",\"tool_calls\":["
                        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                        "\"arguments\":\"{\\\"a\\\": 1.0,"
                        "\\\"s\\\":\\\"\\\\ud800\\\"}\"}},"
                        "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                        "\"arguments\":\"\"}}]},"
                        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r1\"},"
                        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":[{\"type\":"
                        "\"text\",\"text\":\"r2\"}]}," U("y"),
                 TOOL_F),
         "{\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},"
                  "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"a\": "
                  "1.0,\"s\":\"\\ud800\"}},"
                  "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"f\",\"input\":{}}]},"
                  "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                  "\"c1\",\"content\":\"r1\"},"
                  "{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":\"r2\"},{\"type\":"
                  "\"text\",\"text\":\"y\"}]}]," TOOL_F_A "}",
         ""},
        {"broken arguments are wrapped, never dropped", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"tool_calls\":["
                        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                        "\"arguments\":\"{\\\"a\\\"\"}},"
                        "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                        "\"arguments\":\"[1]\"}}]},"
                        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"},"
                        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"r\"}",
                 ""),
         "{\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":["
                  "{\"type\":\"tool_use\",\"id\":\"c1\",\"name\":\"f\",\"input\":{\"unparsed_"
                  "input\":\"{\\\"a\\\"\"}},"
                  "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"f\",\"input\":{\"unparsed_"
                  "input\":\"[1]\"}}]},"
                  "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                  "\"c1\",\"content\":\"r\"},"
                  "{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":\"r\"}]}]}",
         ""},
        {"a schema travels untouched; one without a type gets it", S45,
         OC_BODY(
             U("x"),
             ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":"
             "\"d\","
             "\"parameters\":{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"}},"
             "\"x\":1.0}}},{\"type\":\"function\",\"function\":{\"name\":\"g\",\"parameters\":{"
             "\"properties\":{}}}},{\"type\":\"function\",\"function\":{\"name\":\"h\","
             "\"parameters\":{}}}],\"tool_choice\":\"required\",\"parallel_tool_calls\":false"),
         "{\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\","
         "\"properties\":"
         "{\"type\":{\"type\":\"string\"}},\"x\":1.0}},{\"name\":\"g\",\"input_schema\":{\"type\":"
         "\"object\","
         "\"properties\":{}}},{\"name\":\"h\",\"input_schema\":{\"type\":\"object\",\"properties\":"
         "{}}}],"
         "\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true}}",
         ""},
        {"parallel:false needs a choice to stand in", S45,
         OC_BODY(U("x"), TOOL_F ",\"parallel_tool_calls\":false"),
         "{\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}}", ""},
        {"a named tool", S45,
         OC_BODY(U("x"),
                 TOOL_F ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
         "{\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"},\"thinking\":\"(absent)\"}", ""},
        {"none", S45, OC_BODY(U("x"), TOOL_F ",\"tool_choice\":\"none\""),
         "{\"tool_choice\":{\"type\":\"none\"}}", ""},
        {"a model that takes no force is asked freely", "claude-fable-5",
         OC_BODY(U("x"), TOOL_F ",\"tool_choice\":\"required\""),
         "{\"tool_choice\":{\"type\":\"auto\"}}", "tool_choice"},
        {"a force switches off the thinking it excludes", O46,
         OC_BODY(U("x"), TOOL_F ",\"tool_choice\":\"required\",\"reasoning_effort\":\"high\""),
         "{\"tool_choice\":{\"type\":\"any\"},\"thinking\":{\"type\":\"disabled\"},"
         "\"output_config\":{\"effort\":\"high\"}}",
         "thinking"},
        {"strict is carried where it is enforced", S45,
         OC_BODY(U("x"),
                 ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true,"
                 "\"parameters\":{\"type\":\"object\"}}}]"),
         "{\"tools\":[{\"name\":\"f\",\"strict\":true,\"input_schema\":{\"type\":\"object\"}}]}",
         ""},
        {"and named as lost elsewhere", "claude-sonnet-4-20250514",
         OC_BODY(U("x"),
                 ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true,"
                 "\"parameters\":{\"type\":\"object\"}}}]"),
         "{\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]}", "strict_tools"},
        {"a free-text tool takes one string", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":"
                        "\"custom\",\"custom\":{"
                        "\"name\":\"p\",\"input\":\"*** "
                        "Begin\\n\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\","
                        "\"content\":\"ok\"}",
                 ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"p\",\"description\":"
                 "\"d\"}}]"),
         "{\"tools\":[{\"name\":\"p\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\","
         "\"properties\":"
         "{\"input\":{\"type\":\"string\"}},\"required\":[\"input\"],\"additionalProperties\":"
         "false}}],"
         "\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\","
                  "\"name\":\"p\",\"input\":{\"input\":\"*** "
                  "Begin\\n\"}}]},{\"role\":\"user\",\"content\":["
                  "{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"ok\"}]}]}",
         ""},
    };
    check_rows(&dialect_openai_chat, rows, ARRAY_LEN(rows));
}

static void tool_ids_are_made_to_fit_the_same_way_everywhere(void **state)
{
    (void)state;
    struct capability cap = capability_preset(TARGET_ANTHROPIC, SPAN(S45));
    struct request_words w = translate_request(
        &arena, &dialect_openai_chat, &dialect_anthropic, &cap,
        SPAN(OC_BODY(
            U("x") ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"functions.f:0\",\"type\":"
                   "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
                   "{\"role\":\"tool\",\"tool_call_id\":\"functions\\u002ef:0\",\"content\":\"r\"}",
            "")));
    assert_int_equal(w.write, ERR_OK);
    struct json_doc doc;
    assert_int_equal(json_parse(&arena, w.body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json messages = json_get(json_root(&doc), "messages");
    struct span call =
        json_str(json_get(json_at(json_get(json_at(messages, 1), "content"), 0), "id"));
    struct span result =
        json_str(json_get(json_at(json_get(json_at(messages, 2), "content"), 0), "tool_use_id"));
    assert_true(span_starts(call, SPAN("toolu_")) && call.len == 38);
    assert_true(span_eq(call, result));
}

static void chat_media_becomes_sources(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a data URL is base64, and the bytes say their type", S45,
         OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                 "\"data:image/jpeg;base64," PNG "\",\"detail\":\"high\"}}]}",
                 ""),
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
         "\"base64\","
         "\"media_type\":\"image/png\",\"data\":\"" PNG "\"}}]}]}",
         ""},
        {"a URL is a URL", S45,
         OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                 "\"https:\\/\\/x/y.png\"}}]}",
                 ""),
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
         "\"url\","
         "\"url\":\"https://x/y.png\"}}]}]}",
         ""},
        {"a PDF is a document", S45,
         OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":\"a."
                 "pdf\",\"file_data\":"
                 "\"data:application/pdf;base64,JVBERi0=\"}}]}",
                 ""),
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{"
         "\"type\":\"base64\","
         "\"media_type\":\"application/pdf\",\"data\":\"JVBERi0=\"},\"title\":\"a.pdf\"}]}]}",
         ""},
        {"a text file is its text", S45,
         OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"filename\":\"a."
                 "txt\",\"file_data\":"
                 "\"data:text/plain;base64,aMOpIQ==\"}}]}",
                 ""),
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{"
         "\"type\":\"text\","
         "\"media_type\":\"text/plain\",\"data\":\"h\\u00e9!\"},\"title\":\"a.txt\"}]}]}",
         ""},
    };
    check_rows(&dialect_openai_chat, rows, ARRAY_LEN(rows));
}

static void chat_parameters_fit_the_model(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"max_tokens is required: the model's cap where none was given", S45, OC_BODY(U("x"), ""),
         "{\"max_tokens\":64000,\"stream\":\"(absent)\"}", ""},
        {"or a default where that is unknown", "someone-elses", OC_BODY(U("x"), ""),
         "{\"max_tokens\":4096}", ""},
        {"and clamped to it", "claude-3-haiku-20240307", OC_BODY(U("x"), ",\"max_tokens\":100000"),
         "{\"max_tokens\":4096}", ""},
        {"streamed on request", S45, OC_BODY(U("x"), ",\"stream\":true"), "{\"stream\":true}", ""},
        {"temperature is clamped to 1", S45, OC_BODY(U("x"), ",\"temperature\":1.5"),
         "{\"temperature\":1}", "sampling"},
        {"and kept as written below", S45, OC_BODY(U("x"), ",\"temperature\":0.70"),
         "{\"temperature\":0.70}", ""},
        {"only one of temperature and top_p from 4.1 on", S45,
         OC_BODY(U("x"), ",\"temperature\":0.5,\"top_p\":0.9"),
         "{\"temperature\":0.5,\"top_p\":\"(absent)\"}", "sampling"},
        {"both before", "claude-sonnet-4-20250514",
         OC_BODY(U("x"), ",\"temperature\":0.5,\"top_p\":0.9"),
         "{\"temperature\":0.5,\"top_p\":0.9}", ""},
        {"none on models that refuse sampling", O5,
         OC_BODY(U("x"), ",\"temperature\":0.5,\"top_p\":0.9"),
         "{\"temperature\":\"(absent)\",\"top_p\":\"(absent)\"}", "sampling"},
        {"where the default asks for nothing, nothing is lost", O5,
         OC_BODY(U("x"), ",\"temperature\":1,\"top_p\":1.0"), "{\"temperature\":\"(absent)\"}", ""},
        {"blank stop sequences are refused by the API", S45,
         OC_BODY(U("x"), ",\"stop\":[\"\\n\\n\",\"END\"]"), "{\"stop_sequences\":[\"END\"]}",
         "stop_sequences"},
        {"stop as a string", S45, OC_BODY(U("x"), ",\"stop\":\"END\""),
         "{\"stop_sequences\":[\"END\"]}", ""},
        {"the user id", S45, OC_BODY(U("x"), ",\"user\":\"u\""),
         "{\"metadata\":{\"user_id\":\"u\"}}", ""},
        {"what has no place is named", S45,
         OC_BODY(U("x"),
                 ",\"seed\":1,\"logprobs\":true,\"presence_penalty\":1,\"frequency_penalty\":0,"
                 "\"store\":false,\"made_up\":1"),
         "{\"seed\":\"(absent)\",\"made_up\":\"(absent)\"}",
         "seed,logprobs,penalties,other_fields"},
    };
    check_rows(&dialect_openai_chat, rows, ARRAY_LEN(rows));
}

static void chat_reasoning_becomes_thinking(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"adaptive with effort from 4.6 on", O46, OC_BODY(U("x"), ",\"reasoning_effort\":\"low\""),
         "{\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}}", ""},
        {"an unknown height is the next lower one", O46,
         OC_BODY(U("x"), ",\"reasoning_effort\":\"xhigh\""),
         "{\"output_config\":{\"effort\":\"high\"}}", "effort"},
        {"a budget before", S45, OC_BODY(U("x"), ",\"reasoning_effort\":\"high\""),
         "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":16384},\"output_config\":\"(absent)"
         "\"}",
         "effort"},
        {"which stays below max_tokens", S45, OC_BODY_MAX(U("x"), ",\"reasoning_effort\":\"high\""),
         "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":3999},\"max_tokens\":4000}",
         "effort"},
        {"or is dropped where it has no room", S45,
         OC_BODY(U("x"), ",\"max_tokens\":1000,\"reasoning_effort\":\"low\""),
         "{\"thinking\":\"(absent)\",\"max_tokens\":1000}", "effort,thinking"},
        {"none is off", O46, OC_BODY(U("x"), ",\"reasoning_effort\":\"none\""),
         "{\"thinking\":{\"type\":\"disabled\"},\"output_config\":\"(absent)\"}", ""},
        {"none is as low as it goes where thinking cannot be off", "claude-fable-5",
         OC_BODY(U("x"), ",\"reasoning_effort\":\"none\""),
         "{\"thinking\":\"(absent)\",\"output_config\":{\"effort\":\"low\"}}", "thinking,effort"},
        {"none on a model that does not think says nothing", "claude-3-5-haiku-20241022",
         OC_BODY(U("x"), ",\"reasoning_effort\":\"none\""), "{\"thinking\":\"(absent)\"}", ""},
        {"sampling goes with thinking", S45,
         OC_BODY(U("x"), ",\"temperature\":0.2,\"reasoning_effort\":\"low\""),
         "{\"temperature\":\"(absent)\",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"
         "}",
         "effort,sampling"},
        {"a budget cannot be given inside a tool loop without its thinking", S45,
         OC_BODY(
             U("x") ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
                    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
                    "\"tool_call_id\":\"c\",\"content\":\"r\"}",
             TOOL_F ",\"reasoning_effort\":\"low\""),
         "{\"thinking\":\"(absent)\"}", "effort,thinking"},
        {"thinking and a native prefill exclude each other", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"content\":\"y\"}",
                 ",\"reasoning_effort\":\"low\""),
         "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}", "effort,prefill"},
    };
    check_rows(&dialect_openai_chat, rows, ARRAY_LEN(rows));
}

#define CLOSED                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"additionalProperties\":"  \
    "false}"
#define OPEN_SCHEMA "{\"type\":\"object\",\"properties\":{}}"
#define RF(schema)                                                                                 \
    ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","              \
    "\"schema\":" schema "}}"
#define RULE                                                                                       \
    "Answer with one JSON value that conforms to the following JSON Schema, and nothing else: no " \
    "prose, no code fence.\\n"

static void chat_formats_are_native_or_asked_for(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a closed schema is native", S45, OC_BODY(U("x"), RF(CLOSED)),
         "{\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":" CLOSED "}},"
         "\"system\":\"(absent)\"}",
         ""},
        {"an open one would be refused, and is asked for", S45, OC_BODY(U("x"), RF(OPEN_SCHEMA)),
         "{\"output_config\":\"(absent)\",\"system\":[{\"type\":\"text\",\"text\":\"" RULE
         "{\\\"type\\\":\\\"object\\\",\\\"properties\\\":{}}\"}]}",
         "output_format"},
        {"as is any on models without formats", "claude-sonnet-4-20250514",
         OC_BODY("{\"role\":\"system\",\"content\":\"s\"}," U("x"), RF(OPEN_SCHEMA)),
         "{\"system\":[{\"type\":\"text\",\"text\":\"s\"},{\"type\":\"text\",\"text\":\"" RULE
         "{\\\"type\\\":\\\"object\\\",\\\"properties\\\":{}}\"}]}",
         "output_format"},
        {"json_object is always asked for", O5,
         OC_BODY(U("x"), ",\"response_format\":{\"type\":\"json_object\"}"),
         "{\"system\":[{\"type\":\"text\",\"text\":\"Answer with one valid JSON object and nothing "
         "else: no "
         "prose, no code fence.\"}]}",
         "output_format"},
        {"text is what happens anyway", O5,
         OC_BODY(U("x"), ",\"response_format\":{\"type\":\"text\"}"), "{\"system\":\"(absent)\"}",
         ""},
        {"a format and a native prefill exclude each other", S45,
         OC_BODY(U("x") ",{\"role\":\"assistant\",\"content\":\"{\"}", RF(CLOSED)),
         "{\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":" CLOSED "}}}",
         "prefill"},
    };
    check_rows(&dialect_openai_chat, rows, ARRAY_LEN(rows));
}

static void what_claude_cannot_carry_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {OC_BODY(U("x"), ",\"n\":2"), "n"},
        {OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{"
                 "\"data\":\"AA\","
                 "\"format\":\"wav\"}}]}",
                 ""),
         "messages"},
        {OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"file-"
                 "1\"}}]}",
                 ""),
         "messages"},
        {OC_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
                 "\"data:image/tiff;base64,SUkq\"}}]}",
                 ""),
         "messages"},
        {OC_BODY("{\"role\":\"user\",\"content\":\" \"}", ""), "messages"},
    };
    struct capability cap = capability_preset(TARGET_ANTHROPIC, SPAN(S45));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_words w = translate_request(&arena, &dialect_openai_chat, &dialect_anthropic,
                                                   &cap, span_from(rows[i][0]));
        if (w.write != ERR_UNSUPPORTED)
            fail_msg("%s: %s", rows[i][0], err_name(w.write));
        assert_span(w.problem.param, rows[i][1]);
        assert_true(w.problem.text.len > 10);
    }
}

/* ---- its own dialect ---- */

static void own_requests_keep_every_word(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"raw blocks, tools and unknown fields are transplanted", O46,
         A_BODY(
             "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{"
             "\"type\":"
             "\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"tomorrow\",\"y\":[1.0]}]},{\"role\":"
             "\"assistant\","
             "\"content\":[{\"type\":\"thinking\",\"thinking\":\"h\",\"signature\":\"abc=\"},{"
             "\"type\":\"tool_use\","
             "\"id\":\"i\",\"name\":\"f\",\"input\":{\"z\":1},\"caller\":{\"type\":\"direct\"}}]},"
             "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"i\"}]}",
             ",\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"defer_loading\":true}],"
             "\"container\":\"c\","
             "\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},\"metadata\":{\"user_"
             "id\":\"u\"},"
             "\"output_config\":{\"effort\":\"max\",\"task_budget\":{\"total\":5}},\"top_k\":3"),
         "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\",\"cache_"
         "control\":"
         "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"tomorrow\",\"y\":[1.0]}]},{\"role\":"
         "\"assistant\","
         "\"content\":[{\"type\":\"thinking\",\"thinking\":\"h\",\"signature\":\"abc=\"},{\"type\":"
         "\"tool_use\","
         "\"id\":\"i\",\"name\":\"f\",\"input\":{\"z\":1},\"caller\":{\"type\":\"direct\"}}]},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"i\"}]}],"
         "\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"defer_loading\":true}],\"container\":"
         "\"c\","
         "\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},\"metadata\":{\"user_"
         "id\":\"u\"},"
         "\"output_config\":{\"effort\":\"max\",\"task_budget\":{\"total\":5}},\"max_tokens\":"
         "4000}",
         "top_k"}, /* refused together with thinking */
        {"the billing line of Claude Code stays the first block", O5,
         A_BODY(U("x"),
                ",\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: a\"},"
                "{\"type\":\"text\",\"text\":\"b\"}]"),
         "{\"system\":[{\"type\":\"text\",\"text\":\"x-anthropic-billing-header: "
         "a\"},{\"type\":\"text\","
         "\"text\":\"b\"}]}",
         ""},
        {"thinking of a stand-in is taken out on the way back to Claude", O5,
         A_BODY(
             U("x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
                    "\"h\","
                    "\"signature\":\"hotspare1.unsigned\"},{\"type\":\"text\",\"text\":\"y\"}]}," U(
                        "z"),
             ""),
         "{\"messages\":[" U("x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\","
                                  "\"text\":\"y\"}]}," U("z") "]}",
         "thinking"},
        {"between_tools is a word of its own", "claude-sonnet-5-5",
         A_BODY(U("x"), ",\"thinking\":{\"type\":\"between_tools\"}"),
         "{\"thinking\":{\"type\":\"between_tools\"}}", ""},
        {"a budget on a model that is adaptive only", "claude-opus-4-8",
         A_BODY(U("x"), ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}"),
         "{\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}}", "effort"},
        {"adaptive on a model that knows budgets only", S45,
         A_BODY(U("x"),
                ",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}"),
         "{\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},\"output_config\":\"(absent)"
         "\"}",
         "effort"},
        {"the old spelling of a format becomes the new one", S45,
         A_BODY(U("x"), ",\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"a\":1}}"),
         "{\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"a\":1}}},"
         "\"output_format\":\"(absent)\"}",
         ""},
        {"a paused turn is resent as it is", O5,
         A_BODY(U("x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"server_tool_use\",\"id\":"
                       "\"s\","
                       "\"name\":\"web_search\",\"input\":{}}]}",
                ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"),
         "{\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"server_tool_use\",\"id\":"
                  "\"s\",\"name\":\"web_search\",\"input\":{}}]}],\"tools\":[{\"type\":\"web_"
                  "search_20250305\","
                  "\"name\":\"web_search\"}]}",
         ""},
        {"an id another provider made is put right on both sides", O5,
         A_BODY(U("x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
                       "\"name\":\"f\","
                       "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                       "\"tool_use_id\":\"a\",\"content\":\"\"}]}",
                ""),
         "{\"messages\":[" U(
             "x") ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
                  "\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_"
                  "result\","
                  "\"tool_use_id\":\"a\",\"content\":\"\"}]}]}",
         ""},
    };
    check_rows(&dialect_anthropic, rows, ARRAY_LEN(rows));
}

static void long_texts_are_borrowed_not_copied(void **state)
{
    (void)state;
    size_t size = 1u << 20;
    char *text = arena_alloc(&arena, size + 1);
    memset(text, 'x', size);
    text[size] = 0;
    struct span body =
        arena_printf(&arena,
                     "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
                     "\"content\":\"%s\"}]}",
                     text);
    struct json_doc doc;
    assert_int_equal(json_parse(&arena, body, &json_limits_default, &doc, NULL), ERR_OK);
    struct chat_request r;
    struct chat_problem why;
    assert_int_equal(dialect_anthropic.read_request(&arena, &doc, &r, &why), ERR_OK);
    struct capability cap = capability_preset(TARGET_ANTHROPIC, SPAN(S45));
    size_t before = arena_used(&arena);
    struct dialect_body out = {0};
    pieces_init(&out.body, &arena);
    assert_int_equal(
        dialect_anthropic.write_request(&arena, &r, &cap, SPAN("m"), false, &out, &why), ERR_OK);
    assert_true(arena_used(&arena) - before < 8192);
    assert_true(out.body.bytes > size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(chat_turns_become_messages_turns),
        T(chat_tools_become_messages_tools),
        T(tool_ids_are_made_to_fit_the_same_way_everywhere),
        T(chat_media_becomes_sources),
        T(chat_parameters_fit_the_model),
        T(chat_reasoning_becomes_thinking),
        T(chat_formats_are_native_or_asked_for),
        T(what_claude_cannot_carry_is_refused_by_name),
        T(own_requests_keep_every_word),
        T(long_texts_are_borrowed_not_copied),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
