/* Messages requests at the door: what is read of them and what is refused, with the path of the
 * fault (protocols.md 1.2 to 1.4). */
#include "base/span.h"
#include "dialect/dialect_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define U(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define A_BODY(messages, more)                                                                     \
    "{\"model\":\"claude-x\",\"max_tokens\":4000,\"messages\":[" messages "]" more "}"

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

static enum err read_body(const char *body, struct chat_request *out, struct chat_problem *why)
{
    struct json_doc *doc = arena_new(&arena, struct json_doc);
    assert_int_equal(json_parse(&arena, span_from(body), &json_limits_default, doc, NULL), ERR_OK);
    return dialect_anthropic.read_request(&arena, doc, out, why);
}

static struct chat_request read_ok(const char *body)
{
    struct chat_request r;
    struct chat_problem why;
    enum err e = read_body(body, &r, &why);
    if (e != ERR_OK)
        fail_msg("%s: %.*s: %.*s", body, SPAN_FMT(why.param), SPAN_FMT(why.text));
    return r;
}

static void assert_text(struct chat_text t, const char *plain)
{
    if (!text_is(t, plain))
        fail_msg("'%.*s' is not '%s'", SPAN_FMT(t.at), plain);
}

static void assert_span(struct span s, const char *text)
{
    if (!span_is(s, text))
        fail_msg("'%.*s' is not '%s'", SPAN_FMT(s), text);
}

static void door_reads_the_top_level(void **state)
{
    (void)state;
    struct chat_request r = read_ok("{\"messages\":[" U(
        "hi") "],\"system\":\"be brief\",\"model\":\"m\\u0031\",\"max_tokens\":7,"
              "\"stream\":true,\"temperature\":0.50,\"top_p\":1e-1,\"top_k\":5,"
              "\"stop_sequences\":[\"a\",\"b\\n\"],\"metadata\":{\"user_id\":\"u\",\"x\":1},"
              "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048,\"display\":\"omitted\"},"
              "\"output_config\":{\"effort\":\"high\",\"format\":{\"type\":\"json_schema\","
              "\"schema\":{\"a\":1}},"
              "\"task_budget\":{\"total\":9}},\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":"
              "\"1h\"},"
              "\"container\":\"c\",\"some_beta\":[1,2.0]}");
    assert_text(r.model, "m1");
    assert_int_equal(r.max_tokens, 7);
    assert_true(r.stream && r.include_usage && r.cached);
    assert_span(r.temperature, "0.50");
    assert_span(r.top_p, "1e-1");
    assert_span(r.top_k, "5");
    assert_int_equal(r.stop.count, 2);
    assert_text(r.stop.at[1], "b\n");
    assert_text(r.user_id, "u");
    assert_int_equal(r.thinking, CHAT_THINKING_BUDGET);
    assert_int_equal(r.thinking_budget, 2048);
    assert_text(r.effort, "high");
    assert_int_equal(r.format, CHAT_FORMAT_SCHEMA);
    assert_span(r.format_schema, "{\"a\":1}");
    /* the system prompt leads although its field came later */
    assert_int_equal(r.message_count, 2);
    assert_int_equal(r.messages->role, CHAT_SYSTEM);
    assert_true(r.messages->was_string);
    assert_text(r.messages->blocks->text, "be brief");
    assert_int_equal(r.messages->next->role, CHAT_USER);
    static const char *const extras[][2] = {
        {"metadata.x", "1"},
        {"thinking.display", "\"omitted\""},
        {"output_config.task_budget", "{\"total\":9}"},
        {"cache_control", "{\"type\":\"ephemeral\",\"ttl\":\"1h\"}"},
        {"container", "\"c\""},
        {"some_beta", "[1,2.0]"},
    };
    const struct chat_extra *e = r.extras;
    for (size_t i = 0; i < ARRAY_LEN(extras); i++, e = e->next) {
        assert_non_null(e);
        assert_span(e->name, extras[i][0]);
        assert_span(e->value, extras[i][1]);
    }
    assert_null(e);
}

static void door_reads_every_block_type(void **state)
{
    (void)state;
    struct chat_request r = read_ok(
        A_BODY("{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
               "\"signature\":\"s=\"},"
               "{\"type\":\"redacted_thinking\",\"data\":\"d\"},"
               "{\"type\":\"text\",\"text\":\"t\",\"cache_control\":{\"type\":\"ephemeral\"}},"
               "{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"n\",\"input\":{\"a\": 1}},"
               "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{}},"
               "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\",\"content\":[]}]},"
               "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"i\","
               "\"is_error\":true,"
               "\"content\":[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image\",\"source\":{"
               "\"type\":\"url\","
               "\"url\":\"u\"}}]},"
               "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/"
               "png\",\"data\":\"AA\"}},"
               "{\"type\":\"document\",\"title\":\"T\",\"source\":{\"type\":\"content\","
               "\"content\":\"c\"}},"
               "{\"type\":\"search_result\",\"source\":\"url\",\"title\":\"S\",\"content\":[{"
               "\"type\":\"text\","
               "\"text\":\"r\"}]},{\"type\":\"tomorrow\",\"x\":1}]}",
               ""));
    static const enum chat_block_type first[] = {
        CHAT_THINKING, CHAT_REDACTED_THINKING, CHAT_TEXT,
        CHAT_TOOL_USE, CHAT_SERVER_TOOL_USE,   CHAT_SERVER_TOOL_RESULT};
    static const enum chat_block_type second[] = {CHAT_TOOL_RESULT, CHAT_IMAGE, CHAT_DOCUMENT,
                                                  CHAT_SEARCH_RESULT, CHAT_OTHER};
    const struct chat_block *b = r.messages->blocks;
    for (size_t i = 0; i < ARRAY_LEN(first); i++, b = b->next)
        assert_int_equal(b->type, first[i]);
    assert_null(b);
    b = r.messages->blocks;
    assert_text(b->text, "hm");
    assert_text(b->signature, "s=");
    assert_text(b->next->text, "d");
    assert_true(b->next->next->cached);
    assert_span(b->next->next->next->input.at, "{\"a\": 1}");
    assert_false(b->next->next->next->input.escaped);
    b = r.messages->next->blocks;
    assert_true(b->is_error);
    assert_text(b->id, "i");
    assert_text(b->content->text, "x");
    assert_int_equal(b->content->next->source.kind, CHAT_SOURCE_URL);
    for (size_t i = 0; i < ARRAY_LEN(second); i++) {
        assert_int_equal(b->type, second[i]);
        if (b->type == CHAT_IMAGE)
            assert_text(b->source.media_type, "image/png");
        if (b->type == CHAT_DOCUMENT)
            assert_text(b->content->text, "c");
        if (b->type == CHAT_SEARCH_RESULT)
            assert_text(b->source.data, "url");
        if (b->type == CHAT_OTHER)
            assert_span(b->raw, "{\"type\":\"tomorrow\",\"x\":1}");
        b = b->next;
    }
    assert_null(b);
}

static void door_cuts_a_turn_around_an_inner_system_text(void **state)
{
    (void)state;
    struct chat_request r = read_ok(A_BODY(
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"mid_conv_"
        "system\","
        "\"content\":[{\"type\":\"text\",\"text\":\"s\"}]},{\"type\":\"text\",\"text\":\"b\"}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"mid_conv_system\",\"content\":[{\"type\":"
        "\"text\","
        "\"text\":\"e\"}]}]}",
        ""));
    static const struct {
        enum chat_role role;
        const char *text;
    } want[] = {{CHAT_USER, "a"}, {CHAT_SYSTEM, "s"}, {CHAT_USER, "b"}, {CHAT_SYSTEM, "e"}};
    assert_int_equal(r.message_count, ARRAY_LEN(want));
    const struct chat_message *m = r.messages;
    for (size_t i = 0; i < ARRAY_LEN(want); i++, m = m->next) {
        assert_int_equal(m->role, want[i].role);
        assert_text(m->blocks->text, want[i].text);
    }
}

static void door_reads_tools(void **state)
{
    (void)state;
    struct chat_request r = read_ok(A_BODY(
        U("hi"),
        ",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"},"
        "\"strict\":true},{\"type\":\"custom\",\"name\":\"g\",\"input_schema\":{}},"
        "{\"type\":\"bash_20250124\",\"name\":\"bash\"},"
        "{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"max_uses\":1}],"
        "\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":true}"));
    assert_int_equal(r.tool_count, 4);
    const struct chat_tool *t = r.tools;
    assert_text(t->name, "f");
    assert_text(t->description, "d");
    assert_int_equal(t->strict, CHAT_YES);
    assert_int_equal(t->next->wire_type.len, 0);
    assert_false(t->next->next->server);
    assert_span(t->next->next->wire_type, "bash_20250124");
    assert_true(t->next->next->next->server);
    assert_int_equal(r.tool_choice, CHAT_CHOICE_NAMED);
    assert_text(r.tool_choice_name, "f");
    assert_int_equal(r.parallel_tools, CHAT_NO);
}

static void door_refuses_with_the_path_of_the_fault(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"[]", ""},
        {"{\"messages\":[" U("x") "]}", "model"},
        {"{\"model\":5,\"messages\":[" U("x") "]}", "model"},
        {"{\"model\":\"m\"}", "messages"},
        {"{\"model\":\"m\",\"messages\":[]}", "messages"},
        {"{\"model\":\"m\",\"messages\":{}}", "messages"},
        {A_BODY("5", ""), "messages[0]"},
        {A_BODY("{\"role\":\"tool\",\"content\":\"\"}", ""), "messages[0].role"},
        {A_BODY(U("x") ",{\"role\":\"user\"}", ""), "messages[1].content"},
        {A_BODY("{\"role\":\"user\",\"content\":5}", ""), "messages[0].content"},
        {A_BODY("{\"role\":\"user\",\"content\":[5]}", ""), "messages[0].content[0].type"},
        {A_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}", ""),
         "messages[0].content[0].text"},
        {A_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{}}]}", ""),
         "messages[0].content[0].source"},
        {A_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"content\":\"\"}]}",
                ""),
         "messages[0].content[0].tool_use_id"},
        {A_BODY("{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"i\","
                "\"content\":[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":1}]}]}",
                ""),
         "messages[0].content[0].content[1].text"},
        {A_BODY("{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"i\",\"name\":"
                "\"n\","
                "\"input\":\"{}\"}]}",
                ""),
         "messages[0].content[0].input"},
        {A_BODY(U("x"), ",\"system\":5"), "system"},
        {A_BODY(U("x"), ",\"system\":[{\"type\":\"text\"}]"), "system[0].text"},
        {A_BODY(U("x"), ",\"stream\":\"yes\""), "stream"},
        {A_BODY(U("x"), ",\"max_tokens\":1.5"), "max_tokens"},
        {A_BODY(U("x"), ",\"temperature\":\"1\""), "temperature"},
        {A_BODY(U("x"), ",\"stop_sequences\":\"x\""), "stop_sequences"},
        {A_BODY(U("x"), ",\"thinking\":{\"type\":\"enabled\"}"), "thinking.budget_tokens"},
        {A_BODY(U("x"), ",\"thinking\":true"), "thinking.type"},
        {A_BODY(U("x"), ",\"tools\":[{\"input_schema\":{}}]"), "tools[0].name"},
        {A_BODY(U("x"), ",\"tools\":[{\"name\":\"f\",\"input_schema\":[]}]"),
         "tools[0].input_schema"},
        {A_BODY(U("x"), ",\"tool_choice\":\"auto\""), "tool_choice.type"},
        {A_BODY(U("x"), ",\"tool_choice\":{\"type\":\"tool\"}"), "tool_choice.name"},
        {A_BODY(U("x"), ",\"metadata\":{\"user_id\":5}"), "metadata.user_id"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *body = rows[i][0];
        /* a second max_tokens would be a duplicate key: take the first out */
        struct chat_request r;
        struct chat_problem why = {.param = SPAN("?")};
        char fixed[600];
        const char *twice = strstr(body, "\"max_tokens\":1.5") ? "\"max_tokens\":4000," : NULL;
        const char *at = twice ? strstr(body, twice) : NULL;
        if (at) {
            (void)snprintf(fixed, sizeof fixed, "%.*s%s", (int)(at - body), body,
                           at + strlen(twice));
            body = fixed;
        }
        assert_int_equal(read_body(body, &r, &why), ERR_INVALID);
        if (!span_is(why.param, rows[i][1]))
            fail_msg("%s: param is '%.*s', not '%s'", body, SPAN_FMT(why.param), rows[i][1]);
        assert_true(why.text.len > 10);
    }
}

static void door_takes_null_for_absent_and_needs_no_max_tokens(void **state)
{
    (void)state;
    struct chat_request r = read_ok("{\"model\":\"m\",\"messages\":[" U(
        "x") "],\"system\":null,\"tools\":null,"
             "\"thinking\":null,\"temperature\":null,\"stop_sequences\":null,\"stream\":null}");
    assert_int_equal(r.max_tokens, -1);
    assert_int_equal(r.message_count, 1);
    assert_null(r.extras);
    assert_false(r.stream);
}

static void thinking_of_a_standin_is_known_by_its_mark(void **state)
{
    (void)state;
    static const char *const marks[] = {"hotspare1.unsigned", "EqMDCkYIBxgC"};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        struct span body = arena_printf(&arena,
                                        A_BODY(U("x") ",{\"role\":\"assistant\",\"content\":[{"
                                                      "\"type\":\"thinking\",\"thinking\":\"h\","
                                                      "\"signature\":\"%s\"}]}," U("y"),
                                               ""),
                                        marks[i]);
        struct chat_request r = read_ok(body.at);
        assert_int_equal(dialect_has_standin_thinking(&r), i == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(door_reads_the_top_level),
        T(door_reads_every_block_type),
        T(door_cuts_a_turn_around_an_inner_system_text),
        T(door_reads_tools),
        T(door_refuses_with_the_path_of_the_fault),
        T(door_takes_null_for_absent_and_needs_no_max_tokens),
        T(thinking_of_a_standin_is_known_by_its_mark),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
