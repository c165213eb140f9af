/* What the dialects share: losses, the model's name in passed-through bodies, statuses, error
 * bodies of every provider (protocols.md 2.5), texts, tool inputs and ids, inline media. */
#include "base/span.h"
#include "dialect/dialect_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16u << 20);
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

static void losses_are_kept_once_and_cut_at_whole_names(void **state)
{
    (void)state;
    struct lossy l = {0};
    lossy_add(&l, LOSSY_THINKING);
    lossy_add(&l, LOSSY_SEED);
    lossy_add(&l, LOSSY_THINKING);
    char out[64];
    assert_int_equal(lossy_format(&l, out, sizeof out), 13);
    assert_string_equal(out, "thinking,seed");
    assert_int_equal(lossy_format(&l, out, 13), 8); /* no room for the NUL behind seed */
    assert_string_equal(out, "thinking");
    assert_int_equal(lossy_format(&l, out, 0), 0);
    static char names[40][8];
    for (int i = 0; i < 40; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%d", i);
        lossy_add(&l, names[i]);
    }
    assert_int_equal(l.count, ARRAY_LEN(l.names));
    assert_string_equal(l.names[l.count - 1], LOSSY_OTHER);
}

static void only_the_models_name_changes_in_a_passed_body(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {" { \"a\" : 1.0 , \"model\" :  \"old\\u0041\" , \"b\":{\"model\":\"in\"} } \n",
         " { \"a\" : 1.0 , \"model\" :  \"new\\u0042\" , \"b\":{\"model\":\"in\"} } \n"},
        {"{\"mod\\u0065l\":\"old\"}", "{\"mod\\u0065l\":\"new\\u0042\"}"},
        {"{\"model\":null,\"x\":2}", "{\"model\":\"new\\u0042\",\"x\":2}"},
        {" {\"x\":2}", " {\"model\":\"new\\u0042\",\"x\":2}"},
        {"{ }", "{\"model\":\"new\\u0042\" }"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_doc doc;
        assert_int_equal(
            json_parse(&arena, span_from(rows[i][0]), &json_limits_default, &doc, NULL), ERR_OK);
        struct pieces p;
        pieces_init(&p, &arena);
        dialect_replace_model(&doc, SPAN("new\\u0042"), &p);
        assert_span(pieces_flatten(&p, &arena), rows[i][1]);
    }
}

static void statuses_are_mapped_for_the_client(void **state)
{
    (void)state;
    static const int rows[][2] = {{400, 400}, {401, 502}, {402, 502}, {403, 502}, {404, 404},
                                  {408, 504}, {409, 409}, {413, 413}, {422, 400}, {429, 429},
                                  {500, 500}, {502, 500}, {503, 529}, {504, 504}, {529, 529},
                                  {302, 502}, {200, 502}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(dialect_map_status(rows[i][0]), rows[i][1]);
    static const struct {
        int status;
        const char *type;
    } types[] = {{400, "invalid_request_error"},
                 {401, "authentication_error"},
                 {402, "billing_error"},
                 {403, "permission_error"},
                 {404, "not_found_error"},
                 {409, "conflict_error"},
                 {413, "request_too_large"},
                 {418, "invalid_request_error"},
                 {429, "rate_limit_error"},
                 {500, "api_error"},
                 {502, "api_error"},
                 {504, "timeout_error"},
                 {529, "overloaded_error"}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        assert_string_equal(dialect_error_type(types[i].status), types[i].type);
    assert_int_equal(dialect_type_status(SPAN("overloaded_error")), 529);
    assert_int_equal(dialect_type_status(SPAN("server_error")), 0);
}

static void error_bodies_of_every_provider_are_read(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body, *type, *code, *message;
        int told;
    } rows[] = {
        /* Anthropic */
        {529,
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Over\\u0021\"}"
         "}",
         "overloaded_error", "", "Over!", 529},
        {429,
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\","
         "\"details\":{"
         "\"error_code\":\"enforced_spend_limit_reached\"}},\"request_id\":\"req_1\"}",
         "rate_limit_error", "enforced_spend_limit_reached", "m", 429},
        /* OpenAI: the word is vague, the status is not */
        {401,
         "{\"error\":{\"message\":\"bad "
         "key\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":"
         "\"invalid_api_key\"}}",
         "authentication_error", "invalid_api_key", "bad key", 401},
        {429, "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":null}}",
         "rate_limit_error", "insufficient_quota", "m", 429},
        /* Azure, OpenRouter, LiteLLM: codes that are numbers */
        {401, "{\"error\":{\"code\":\"401\",\"message\":\"Access denied\"}}",
         "authentication_error", "", "Access denied", 401},
        {404, "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"m\"}}", "not_found_error",
         "DeploymentNotFound", "m", 404},
        {0, "{\"error\":{\"code\":429,\"message\":\"m\",\"metadata\":{}}}", "rate_limit_error", "",
         "m", 429},
        /* Gemini, also as an array */
        {400, "{\"error\":{\"code\":400,\"message\":\"m\",\"status\":\"INVALID_ARGUMENT\"}}",
         "invalid_request_error", "INVALID_ARGUMENT", "m", 400},
        {503, "[{\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}]",
         "api_error", "UNAVAILABLE", "m", 503},
        /* Bedrock */
        {400, "{\"message\":\"Input is too long\"}", "invalid_request_error", "",
         "Input is too long", 400},
        {400, "{\"Message\":\"m\",\"__type\":\"ValidationException\"}", "invalid_request_error",
         "ValidationException", "m", 400},
        /* Mistral */
        {400,
         "{\"object\":\"error\",\"message\":\"m\",\"type\":\"invalid_model\",\"code\":\"1500\"}",
         "invalid_request_error", "invalid_model", "m", 400},
        {422, "{\"detail\":[{\"loc\":[\"body\",\"model\"],\"msg\":\"field required\"}]}",
         "invalid_request_error", "", "model: field required", 422},
        {422,
         "{\"object\":\"error\",\"message\":{\"detail\":[{\"loc\":[\"body\",\"x\"],\"msg\":"
         "\"extra\"}]}}",
         "invalid_request_error", "", "x: extra", 422},
        {404, "{\"detail\":\"Not Found\"}", "not_found_error", "", "Not Found", 404},
        /* vLLM, nested and bare; llama.cpp */
        {400,
         "{\"error\":{\"message\":\"m\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}}",
         "invalid_request_error", "BadRequestError", "m", 400},
        {400, "{\"object\":\"error\",\"message\":\"m\",\"type\":\"BadRequestError\",\"code\":400}",
         "invalid_request_error", "BadRequestError", "m", 400},
        {400, "{\"error\":{\"code\":400,\"message\":\"m\",\"type\":\"exceed_context_size_error\"}}",
         "invalid_request_error", "exceed_context_size_error", "m", 400},
        /* Groq inside a stream; Ollama, LM Studio: bare strings */
        {0, "{\"error\":{\"message\":\"m\",\"status_code\":503}}", "api_error", "", "m", 503},
        {404, "{\"error\":\"model 'x' not found\"}", "not_found_error", "", "model 'x' not found",
         404},
        {500, "\"just a string\"", "api_error", "", "just a string", 500},
        /* inside a stream the word gives the status */
        {0, "{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"m\"}}",
         "timeout_error", "", "m", 504},
        {0, "{\"error\":{\"type\":\"server_error\",\"message\":\"m\"}}", "api_error",
         "server_error", "m", 500},
        /* no JSON at all */
        {502, "<html><head><TITLE>502 Bad Gateway</TITLE></head></html>", "api_error", "",
         "The upstream answered with an HTML page: 502 Bad Gateway", 502},
        {200, "<!doctype html><p>hi", "api_error", "", "The upstream answered with an HTML page.",
         502},
        {200, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}",
         "overloaded_error", "", "m", 529},
        {503, "  no healthy upstream \n", "api_error", "", "no healthy upstream", 503},
        {500, "", "api_error", "", "The upstream answered 500 without a body.", 500},
        {400, "{\"unheard\":\"of\"}", "invalid_request_error", "", "{\"unheard\":\"of\"}", 400},
        {500, "{\"error\":{\"message\":\"cut", "api_error", "", "{\"error\":{\"message\":\"cut",
         500},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_error e;
        dialect_read_error(&arena, rows[i].status, span_from(rows[i].body), &e);
        if (!span_is(e.type, rows[i].type) || !span_is(e.code, rows[i].code) ||
            !span_is(e.message, rows[i].message) || e.status != rows[i].told)
            fail_msg("%s: %d '%.*s' '%.*s' '%.*s'", rows[i].body, e.status, SPAN_FMT(e.type),
                     SPAN_FMT(e.code), SPAN_FMT(e.message));
    }
}

static void a_long_error_is_cut_at_a_character(void **state)
{
    (void)state;
    char *body = arena_alloc(&arena, 20001);
    for (size_t i = 0; i < 20000; i += 2)
        memcpy(body + i, "\xc3\xa9", 2);
    memcpy(body, "ab", 1); /* shifts nothing but makes the cut fall into a character */
    body[1] = 'b';
    struct chat_error e;
    dialect_read_error(&arena, 500, (struct span){body, 19999}, &e);
    assert_true(e.message.len <= 4096 && e.message.len > 4000);
    assert_int_equal((unsigned char)e.message.at[e.message.len - 1], 0xa9);
}

static void texts_are_compared_and_trimmed_in_either_form(void **state)
{
    (void)state;
    assert_true(text_is(text_raw(SPAN("a\\u0062c")), "abc"));
    assert_true(text_is(text_from_plain(SPAN("a\\n")), "a\\n"));
    assert_false(text_is(text_raw(SPAN("a\\n")), "a\\n"));
    assert_true(text_eq(text_raw(SPAN("\\n")), text_from_plain(SPAN("\n"))));
    assert_true(text_blank(text_raw(SPAN(" \\n\\t"))));
    assert_true(text_blank(text_from_plain(SPAN(""))));
    assert_false(text_blank(text_raw(SPAN(" \\\\n"))));
    assert_false(text_blank(text_from_plain(SPAN("\\n"))));
    static const char *const trims[][2] = {
        {"a \\n \\t", "a"}, {"a\\\\n", "a\\\\n"}, {"a\\\\\\n", "a\\\\"}, {"\\n", ""}, {"n", "n"}};
    for (size_t i = 0; i < ARRAY_LEN(trims); i++)
        assert_span(text_rtrim(text_raw(span_from(trims[i][0]))).at, trims[i][1]);
    assert_span(text_rtrim(text_from_plain(SPAN("a\\n\n"))).at, "a\\n");
}

static void tool_inputs_are_objects_empty_or_broken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum tool_input what;
        const char *out;
    } rows[] = {
        {"", TOOL_INPUT_EMPTY, "{}"},
        {" \\n", TOOL_INPUT_EMPTY, "{}"},
        {"{\\\"a\\\":\\\"\\\\ud800\\\"}", TOOL_INPUT_OBJECT, "{\"a\":\"\\ud800\"}"},
        {"{}", TOOL_INPUT_OBJECT, "{}"},
        {"[1]", TOOL_INPUT_BROKEN, "[1]"},
        {"{\\\"a", TOOL_INPUT_BROKEN, "{\"a"},
        {"null", TOOL_INPUT_BROKEN, "null"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span out;
        assert_int_equal(tool_input_json(&arena, text_raw(span_from(rows[i].text)), &out),
                         rows[i].what);
        assert_span(out, rows[i].out);
    }
}

static void tool_ids_that_fit_stay(void **state)
{
    (void)state;
    static const char *const fit[] = {"toolu_01", "call-x_9", "a"};
    for (size_t i = 0; i < ARRAY_LEN(fit); i++)
        assert_span(tool_id_fit(&arena, text_raw(span_from(fit[i]))).at, fit[i]);
    struct chat_text one = tool_id_fit(&arena, text_raw(SPAN("a.b")));
    assert_int_equal(one.at.len, 38);
    assert_true(text_eq(one, tool_id_fit(&arena, text_from_plain(SPAN("a.b")))));
    assert_true(text_eq(one, tool_id_fit(&arena, text_raw(SPAN("\\u0061.b")))));
    assert_false(text_eq(one, tool_id_fit(&arena, text_raw(SPAN("a.c")))));
}

static void inline_media_is_split_sniffed_and_decoded(void **state)
{
    (void)state;
    struct chat_source s = {0};
    assert_true(data_url_split(text_raw(SPAN("data:image\\/png;charset=x;base64,iVBO")), &s));
    assert_span(s.media_type.at, "image\\/png");
    assert_span(s.data.at, "iVBO");
    assert_true(data_url_split(text_raw(SPAN("DATA:;base64,")), &s));
    assert_false(data_url_split(text_raw(SPAN("data:text/plain,hi")), &s));
    assert_false(data_url_split(text_raw(SPAN("https://x/,")), &s));
    static const char *const magics[][2] = {
        {"iVBORw0KGgoAAA", "image/png"}, {"/9j/4AAQ", "image/jpeg"},
        {"\\/9j\\/4AAQ", "image/jpeg"},  {"R0lGODlhAQ", "image/gif"},
        {"UklGRh4A", "image/webp"},      {"JVBERi0xLjQ", "application/pdf"}};
    for (size_t i = 0; i < ARRAY_LEN(magics); i++)
        assert_string_equal(media_sniff(span_from(magics[i][0])), magics[i][1]);
    assert_null(media_sniff(SPAN("AAAA")));
    static const char *const bytes[][2] = {{"", ""},           {"YQ==", "a"},
                                           {"YWI=", "ab"},     {"YWJj", "abc"},
                                           {"YWJjZA", "abcd"}, {"P\\/8_", "?\xff?"}};
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        struct span out;
        assert_int_equal(base64_decode(&arena, span_from(bytes[i][0]), &out), ERR_OK);
        assert_span(out, bytes[i][1]);
    }
    struct span out;
    static const char *const bad[] = {"Y", "YQ==YQ", "Y!Q=", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(base64_decode(&arena, span_from(bad[i]), &out), ERR_SYNTAX);
}

static void an_extra_is_lost_only_when_it_asked_for_something(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *lossy;
    } rows[] = {
        {"logprobs", "false", NULL},
        {"logprobs", "true", LOSSY_LOGPROBS},
        {"seed", "null", NULL},
        {"seed", "7", LOSSY_SEED},
        {"presence_penalty", "0.0", NULL},
        {"presence_penalty", "-0", NULL},
        {"presence_penalty", "0.1", LOSSY_PENALTIES},
        {"service_tier", "\"auto\"", NULL},
        {"service_tier", "\"flex\"", LOSSY_SERVICE_TIER},
        {"context_management", "{}", LOSSY_CONTEXT_MANAGEMENT},
        {"thinking.display", "\"omitted\"", NULL},
        {"anything", "1", LOSSY_OTHER},
        {"anything", "null", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chat_extra e = {.name = span_from(rows[i].name), .value = span_from(rows[i].value)};
        const char *lossy = extra_lossy(&e);
        if (lossy != rows[i].lossy && (!lossy || !rows[i].lossy || strcmp(lossy, rows[i].lossy)))
            fail_msg("%s: %s gives %s", rows[i].name, rows[i].value, lossy ? lossy : "nothing");
    }
}

static void each_dialect_is_found_by_its_id(void **state)
{
    (void)state;
    for (enum dialect_id id = 0; id < DIALECT_COUNT; id++)
        assert_int_equal(dialect_by_id(id)->id, id);
}

static void who_asks_for_the_mark_of_a_change_of_models(void **state)
{
    (void)state;
    assert_true(dialect_beta_has_fallback(SPAN("server-side-fallback-2026-06-01")));
    assert_true(dialect_beta_has_fallback(SPAN("a-1,\t server-side-fallback-2026-07-01 ,b")));
    assert_false(dialect_beta_has_fallback(SPAN("")));
    assert_false(dialect_beta_has_fallback(SPAN("fallback-credit-2026-07-01, server-side")));
    assert_false(dialect_beta_has_fallback(SPAN("no-server-side-fallback-2026-07-01")));
    assert_span(
        dialect_fallback_block(&arena, SPAN("a\\u0041"), SPAN("b/c")),
        "{\"type\":\"fallback\",\"from\":{\"model\":\"a\\u0041\"},\"to\":{\"model\":\"b/c\"},"
        "\"trigger\":{\"type\":\"unavailable\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(losses_are_kept_once_and_cut_at_whole_names),
        T(only_the_models_name_changes_in_a_passed_body),
        T(statuses_are_mapped_for_the_client),
        T(error_bodies_of_every_provider_are_read),
        T(a_long_error_is_cut_at_a_character),
        T(texts_are_compared_and_trimmed_in_either_form),
        T(tool_inputs_are_objects_empty_or_broken),
        T(tool_ids_that_fit_stay),
        T(inline_media_is_split_sniffed_and_decoded),
        T(an_extra_is_lost_only_when_it_asked_for_something),
        T(each_dialect_is_found_by_its_id),
        T(who_asks_for_the_mark_of_a_change_of_models),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
