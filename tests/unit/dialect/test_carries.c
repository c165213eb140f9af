/* The probes behind docs/capabilities.md: each is a good request, asks for one thing, and is told
 * what the translation does. */
#include "dialect/carries.h"
#include "support/check.h"

static const struct dialect *const doors[] = {&dialect_anthropic, &dialect_openai_chat};
static const struct dialect *const formats[] = {&dialect_anthropic, &dialect_openai_chat,
                                                &dialect_openai_responses, &dialect_gemini,
                                                &dialect_bedrock_converse};

static size_t named(const struct dialect *door, const char *name)
{
    for (size_t i = 0; i < carry_features(door); i++)
        if (strcmp(carry_feature(door, i)->name, name) == 0)
            return i;
    fail_msg("no feature %s", name);
    return 0;
}

/* carries() asserts that its door reads the probe. */
static void each_probe_is_a_good_request(void **state)
{
    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(doors); d++)
        for (size_t i = 0; i < carry_features(doors[d]); i++)
            for (int kind = 0; kind < TARGET_KIND_COUNT; kind++)
                for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
                    struct capability cap = capability_preset((enum target_kind)kind, SPAN("m"));
                    struct carried c = carries(doors[d], i, formats[f], &cap);
                    assert_int_equal(c.how == CARRY_AS_IS, doors[d] == formats[f]);
                    assert_int_equal(c.how == CARRY_DEGRADED,
                                     c.lossy.count > 0 && c.how != CARRY_REFUSED);
                }
}

/* So that what a cell says is its own feature's doing. */
static void the_rest_of_a_probe_costs_nothing(void **state)
{
    (void)state;
    for (size_t d = 0; d < ARRAY_LEN(doors); d++)
        for (int kind = 0; kind < TARGET_KIND_COUNT; kind++)
            for (size_t f = 0; f < ARRAY_LEN(formats); f++) {
                struct capability cap = capability_preset((enum target_kind)kind, SPAN("m"));
                struct carried c = carries(doors[d], named(doors[d], "text"), formats[f], &cap);
                assert_true(c.how == CARRY_AS_IS || c.how == CARRY_CONVERTED);
            }
}

/* A cell follows its capability, and nothing else moves it. */
static void a_cell_follows_the_table(void **state)
{
    (void)state;
    static const struct row {
        const char *feature;
        size_t at; /* of the bool that decides */
        enum carry_how with, without;
        const char *lossy;
    } rows[] = {
        {"picture", offsetof(struct capability, images), CARRY_CONVERTED, CARRY_REFUSED, NULL},
        {"PDF", offsetof(struct capability, pdf), CARRY_CONVERTED, CARRY_REFUSED, NULL},
        {"top_k", offsetof(struct capability, top_k), CARRY_CONVERTED, CARRY_DEGRADED, LOSSY_TOP_K},
        {"temperature", offsetof(struct capability, sampling), CARRY_CONVERTED, CARRY_DEGRADED,
         LOSSY_SAMPLING},
        {"answer by JSON Schema", offsetof(struct capability, json_schema), CARRY_CONVERTED,
         CARRY_DEGRADED, LOSSY_FORMAT},
        {"answer begun by the client", offsetof(struct capability, prefill), CARRY_CONVERTED,
         CARRY_DEGRADED, LOSSY_PREFILL},
        {"a tool must be called", offsetof(struct capability, forced_tool), CARRY_CONVERTED,
         CARRY_DEGRADED, LOSSY_TOOL_CHOICE},
        {"past thinking", offsetof(struct capability, reasoning_replay), CARRY_CONVERTED,
         CARRY_DEGRADED, LOSSY_THINKING},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        const struct row *row = &rows[i / 2];
        struct capability cap = capability_preset(TARGET_VLLM, SPAN("m"));
        *(bool *)((char *)&cap + row->at) = i % 2;
        struct carried c = carries(&dialect_anthropic, named(&dialect_anthropic, row->feature),
                                   &dialect_openai_chat, &cap);
        assert_int_equal(c.how, i % 2 ? row->with : row->without);
        if (!(i % 2) && row->lossy)
            assert_true(c.lossy.count == 1 && lossy_has(&c.lossy, row->lossy));
    }
}

static void known_models_have_their_presets(void **state)
{
    (void)state;
    static const enum target_kind kinds[] = {TARGET_ANTHROPIC, TARGET_OPENAI, TARGET_GEMINI,
                                             TARGET_MISTRAL, TARGET_VLLM};
    char name[CAPABILITY_NAME_MAX];
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        size_t i = 0;
        for (; capability_known(kinds[k], i, name); i++) {
            struct capability cap = capability_preset(kinds[k], span_from(name));
            bool others = !name[0] || name[strlen(name) - 1] == '-';
            if (!others && kinds[k] != TARGET_ANTHROPIC) /* some of Claude's contexts are unsaid */
                assert_true(cap.context > 0);
            if (!others && (kinds[k] == TARGET_ANTHROPIC || kinds[k] == TARGET_OPENAI))
                assert_true(cap.max_output > 0);
        }
        assert_true(i > 5);
    }
    assert_false(capability_known(TARGET_OLLAMA, 0, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_probe_is_a_good_request),
        cmocka_unit_test(the_rest_of_a_probe_costs_nothing),
        cmocka_unit_test(a_cell_follows_the_table),
        cmocka_unit_test(known_models_have_their_presets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
