/* Presets: which row a model name finds, in each spelling it is seen in
 * (protocols.md 1.6, 2.4, 4.1). */
#include "base/span.h"
#include "dialect/capability.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

static struct capability of(enum target_kind kind, const char *model)
{
    struct capability c = capability_preset(kind, span_from(model));
    assert_non_null(c.source);
    return c;
}

static void kinds_have_the_configurations_words(void **state)
{
    (void)state;
    for (enum target_kind k = 0; k < TARGET_KIND_COUNT; k++) {
        enum target_kind back = TARGET_KIND_COUNT;
        assert_int_equal(target_kind_parse(span_from(target_kind_name(k)), &back), ERR_OK);
        assert_int_equal(back, k);
        (void)of(k, "");
    }
    enum target_kind kind;
    assert_int_equal(target_kind_parse(SPAN("OpenAI"), &kind), ERR_INVALID);
    assert_string_equal(target_kind_name(TARGET_LLAMA_CPP), "llama.cpp");
}

static void claude_families_differ_as_documented(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        bool prefill, budget, adaptive, off, forced, sampling, both, schema, mid_system;
        const char *most_effort; /* NULL: none */
        int64_t max_output;
    } rows[] = {
        {"claude-3-haiku-20240307", 1, 0, 0, 0, 1, 1, 1, 0, 0, NULL, 4096},
        {"claude-3-5-sonnet-20241022", 1, 0, 0, 0, 1, 1, 1, 0, 0, NULL, 8192},
        {"claude-3-7-sonnet-latest", 1, 1, 0, 1, 1, 1, 1, 0, 0, NULL, 64000},
        {"claude-opus-4-20250514", 1, 1, 0, 1, 1, 1, 1, 0, 0, NULL, 32000},
        {"claude-opus-4-1-20250805", 1, 1, 0, 1, 1, 1, 0, 1, 0, NULL, 32000},
        {"claude-sonnet-4-5-20250929", 1, 1, 0, 1, 1, 1, 0, 1, 0, NULL, 64000},
        {"anthropic/claude-sonnet-4.5", 1, 1, 0, 1, 1, 1, 0, 1, 0, NULL, 64000},
        {"us.anthropic.claude-haiku-4-5-20251001-v1:0", 1, 1, 0, 1, 1, 1, 0, 1, 0, NULL, 64000},
        {"claude-opus-4-5", 1, 1, 0, 1, 1, 1, 0, 1, 0, "high", 64000},
        {"claude-opus-4-6", 0, 1, 1, 1, 1, 1, 0, 1, 0, "max", 128000},
        {"Claude-Opus-4-8", 0, 0, 1, 1, 1, 0, 0, 1, 0, "max", 128000},
        {"claude-sonnet-5", 0, 0, 1, 1, 1, 0, 0, 1, 0, "max", 128000},
        {"claude-opus-5", 0, 0, 1, 1, 1, 0, 0, 1, 1, "max", 128000},
        {"claude-fable-5-1", 0, 0, 1, 0, 0, 0, 0, 1, 1, "max", 128000},
        {"claude-opus-5-5", 0, 0, 1, 0, 0, 0, 0, 1, 1, "max", 128000},
        {"claude-sonnet-5-5@20260901", 0, 0, 1, 1, 0, 0, 0, 1, 1, "max", 128000},
        {"claude-haiku-5-5", 0, 0, 1, 1, 1, 0, 0, 1, 1, "max", 128000},
        {"claude-opus-7", 0, 0, 1, 0, 0, 0, 0, 1, 0, "max", 0}, /* newer than the table */
        {"deepseek-chat", 0, 1, 0, 1, 1, 1, 1, 0, 0, NULL, 0},  /* an imitation */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct capability c = of(TARGET_ANTHROPIC, rows[i].model);
        enum effort most = EFFORT_COUNT;
        bool effort = rows[i].most_effort != NULL;
        if (effort)
            assert_int_equal(effort_parse(span_from(rows[i].most_effort), &most), ERR_OK);
        bool fits = c.prefill == rows[i].prefill && c.thinking_budget == rows[i].budget &&
                    c.thinking_adaptive == rows[i].adaptive && c.thinking_off == rows[i].off &&
                    c.forced_tool == rows[i].forced && c.sampling == rows[i].sampling &&
                    c.top_p_with_temperature == rows[i].both && c.json_schema == rows[i].schema &&
                    c.mid_system == rows[i].mid_system && c.effort == effort &&
                    c.max_output == rows[i].max_output && !c.forced_tool_with_thinking;
        if (!fits || (effort && effort_fit(c.efforts, EFFORT_MAX) != most))
            fail_msg("%s has another row", rows[i].model);
    }
    /* 4.6 knows max but not xhigh */
    assert_int_equal(effort_fit(of(TARGET_ANTHROPIC, "claude-opus-4-6").efforts, EFFORT_XHIGH),
                     EFFORT_HIGH);
}

static void openai_models_reason_or_sample(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        bool reasons, stop, images, schema;
        enum effort least, most; /* what "none" and "max" come out as */
    } rows[] = {
        {"gpt-4o-mini", 0, 1, 1, 1, 0, 0},
        {"gpt-4o-2024-08-06", 0, 1, 1, 1, 0, 0},
        {"gpt-4-1106-preview", 0, 1, 0, 0, 0, 0}, /* no relative of 4.1 */
        {"gpt-4.1-mini", 0, 1, 1, 1, 0, 0},
        {"gpt-3.5-turbo", 0, 1, 0, 0, 0, 0},
        {"o1", 1, 1, 1, 1, EFFORT_LOW, EFFORT_HIGH},
        {"o3", 1, 0, 1, 1, EFFORT_LOW, EFFORT_HIGH},
        {"o4-mini-2025-04-16", 1, 0, 1, 1, EFFORT_LOW, EFFORT_HIGH},
        {"gpt-5-mini", 1, 0, 1, 1, EFFORT_MINIMAL, EFFORT_HIGH},
        {"gpt-5-chat-latest", 0, 1, 1, 1, 0, 0},
        {"gpt-5.1", 1, 0, 1, 1, EFFORT_NONE, EFFORT_HIGH},
        {"gpt-5.6-terra", 1, 0, 1, 1, EFFORT_NONE, EFFORT_XHIGH},
        {"openai/gpt-5.6-terra", 1, 0, 1, 1, EFFORT_NONE, EFFORT_XHIGH},
        {"gpt-9", 1, 0, 1, 1, EFFORT_LOW, EFFORT_HIGH}, /* newer than the table */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct capability c = of(TARGET_OPENAI, rows[i].model);
        bool fits = c.reasoning_effort == rows[i].reasons && c.sampling == !rows[i].reasons &&
                    c.stop == rows[i].stop && c.images == rows[i].images &&
                    c.json_schema == rows[i].schema && c.developer_role == rows[i].reasons;
        if (fits && rows[i].reasons)
            fits = effort_fit(c.efforts, EFFORT_NONE) == rows[i].least &&
                   effort_fit(c.efforts, EFFORT_MAX) == rows[i].most;
        if (!fits)
            fail_msg("%s has another row", rows[i].model);
    }
}

static void servers_of_open_models_differ_by_kind(void **state)
{
    (void)state;
    assert_true(of(TARGET_VLLM, "mistralai/Mistral-7B-Instruct-v0.3").top_k);
    assert_true(of(TARGET_VLLM, "x").prefill);
    assert_false(of(TARGET_VLLM, "x").images);
    assert_true(of(TARGET_VLLM, "Qwen/Qwen2.5-VL-7B").images);
    assert_true(of(TARGET_VLLM, "openai/gpt-oss-20b").reasoning_effort);
    assert_false(of(TARGET_VLLM, "x").max_completion_tokens);
    assert_true(of(TARGET_MISTRAL, "mistral-large-2512").tool_id_nine);
    assert_true(of(TARGET_MISTRAL, "mistral-large-2512").images);
    assert_false(of(TARGET_MISTRAL, "codestral-2508").images);
    assert_false(of(TARGET_OLLAMA, "llava").image_urls);
    assert_false(of(TARGET_OPENAI_COMPATIBLE, "x").prefill);
    assert_true(of(TARGET_STANDIN, "x").mid_system);
}

static void an_effort_is_fitted_downwards_first(void **state)
{
    (void)state;
    uint32_t low_high = BIT(EFFORT_LOW) | BIT(EFFORT_HIGH);
    assert_int_equal(effort_fit(low_high, EFFORT_HIGH), EFFORT_HIGH);
    assert_int_equal(effort_fit(low_high, EFFORT_MEDIUM), EFFORT_LOW);
    assert_int_equal(effort_fit(low_high, EFFORT_MAX), EFFORT_HIGH);
    assert_int_equal(effort_fit(low_high, EFFORT_NONE), EFFORT_LOW);
    for (enum effort e = 0; e < EFFORT_COUNT; e++) {
        enum effort back;
        assert_int_equal(effort_parse(span_from(effort_name(e)), &back), ERR_OK);
        assert_int_equal(back, e);
    }
    enum effort e;
    assert_int_equal(effort_parse(SPAN("extreme"), &e), ERR_INVALID);
}

static void gemini_rows_follow_the_generation(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        bool budget, off, three;
        int64_t max_output;
    } rows[] = {
        {"gemini-2.5-flash", true, true, false, 65536},
        {"models/gemini-2.5-flash-lite", true, true, false, 65536},
        {"gemini-2.5-pro", true, false, false, 65536},
        {"gemini-2.0-flash", false, false, false, 8192},
        {"gemini-3.1-pro-preview", false, false, true, 65536},
        {"gemini-9-ultra", false, false, true, 65536},
        {"", false, false, true, 65536},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct capability c = of(TARGET_GEMINI, rows[i].model);
        assert_int_equal(c.thinking_budget, rows[i].budget);
        assert_int_equal(c.thinking_off, rows[i].off);
        assert_int_equal(c.signed_calls && c.json_with_tools && c.reasoning_effort, rows[i].three);
        assert_int_equal(c.max_output, rows[i].max_output);
        assert_false(c.prefill);
    }
    assert_true(of(TARGET_GEMINI, "gemini-3.5-flash").efforts & BIT(EFFORT_MINIMAL));
    assert_false(of(TARGET_GEMINI, "gemini-3-pro-preview").efforts & BIT(EFFORT_MEDIUM));
    assert_true(of(TARGET_AZURE_OPENAI, "gpt-5.1").reasoning_effort);
    assert_false(of(TARGET_AZURE_OPENAI, "gpt-5.1").safety_identifier);
}

static struct capability at(const char *host, const char *model, bool known)
{
    struct capability c = of(TARGET_OPENAI_COMPATIBLE, model);
    assert_int_equal(capability_at_host(&c, span_from(host), span_from(model)), known);
    return c;
}

static void hosts_are_known_by_their_names(void **state)
{
    (void)state;
    struct capability c = at("api.deepseek.com", "deepseek-v4-pro", true);
    assert_true(c.reasoning_replay && !c.images && !c.json_schema);
    assert_int_equal(c.context, 1000000);
    c = at("API.groq.com:443", "deepseek-r1-distill-llama-70b", true);
    assert_true(c.prefill && !c.reasoning_replay && !c.images);
    c = at("api.groq.com", "openai/gpt-oss-120b", true);
    assert_int_equal(c.max_output, 65536);
    assert_true(c.reasoning_effort);
    assert_true(at("openrouter.ai", "qwen/qwen3.7-plus", true).pdf);
    (void)at("notgroq.com", "m", false);
    (void)at("groq.com.example.net", "m", false);
    (void)at("127.0.0.1:8000", "m", false);
    (void)at("com", "m", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_the_configurations_words),
        cmocka_unit_test(claude_families_differ_as_documented),
        cmocka_unit_test(openai_models_reason_or_sample),
        cmocka_unit_test(servers_of_open_models_differ_by_kind),
        cmocka_unit_test(an_effort_is_fitted_downwards_first),
        cmocka_unit_test(gemini_rows_follow_the_generation),
        cmocka_unit_test(hosts_are_known_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
