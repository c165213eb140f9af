/* Verdicts. Every model of the catalogue has a licence with answers; the traps are told one by one.
 */
#include "facts_kit.h"
#include "local/licence.h"

#include <math.h>

static enum ruling ruled(const struct facts *f, const char *id, struct use use)
{
    struct arena a;
    struct licence_verdict v;
    bool sure = false;
    arena_init(&a, SIZE_MAX);
    licence_judge(licence_of(f, model(f, id), &sure), &use, &a, &v);
    arena_deinit(&a);
    return v.verdict;
}

static struct use use(enum use_kind kind, double users, double usd_year, const char *region)
{
    return (struct use){.kind = kind, .users = users, .usd_year = usd_year, .region = region};
}

static void every_model_of_the_catalogue_has_answers(void **state)
{
    const struct facts *f = *state;
    assert_true(f->model_count >= 66);
    for (size_t i = 0; i < f->model_count; i++) {
        bool sure = false;
        const struct fact_licence *l = licence_of(f, &f->models[i], &sure);
        if (!l)
            fail_msg("%s: no licence %s", f->models[i].id, f->models[i].licence);
        assert_true(l->commercial && l->api && l->train && l->modify && l->redistribute);
        assert_true(l->source && l->as_of && l->verified && l->attribution);
        for (int k = 0; k < USE_KIND_COUNT; k++)
            (void)ruled(f, f->models[i].id, use((enum use_kind)k, NAN, NAN, NULL));
    }
}

static void verdicts_are_those_of_the_licence(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model;
        enum use_kind kind;
        double users, usd_year;
        const char *region;
        enum ruling ruling;
    } rows[] = {
        {"meta-llama/Llama-2-13b-chat-hf", USE_PRODUCT, 8e8, 0, "US", RULING_FORBIDDEN},
        {"meta-llama/Llama-2-13b-chat-hf", USE_PRODUCT, 6e8, 0, "US", RULING_DUTIES},
        {"meta-llama/Llama-2-13b-chat-hf", USE_PRODUCT, NAN, NAN, NULL, RULING_ASK},
        {"meta-llama/Llama-2-13b-chat-hf", USE_INTERNAL, NAN, NAN, NULL, RULING_DUTIES},
        {"CohereLabs/c4ai-command-a-03-2025", USE_PRODUCT, 10, 10, "US", RULING_FORBIDDEN},
        {"CohereLabs/c4ai-command-a-03-2025", USE_INTERNAL, 10, 10, "US", RULING_FORBIDDEN},
        {"CohereLabs/c4ai-command-a-03-2025", USE_RESEARCH, 10, 10, "US", RULING_DUTIES},
        {"MiniMaxAI/MiniMax-M2.7", USE_PRODUCT, 10, 10, "US", RULING_FORBIDDEN},
        {"tiiuae/falcon-180B-chat", USE_API_SERVICE, 10, 10, "US", RULING_FORBIDDEN},
        {"tiiuae/falcon-180B-chat", USE_PRODUCT, 10, 10, "US", RULING_DUTIES},
        {"moonshotai/Kimi-K3", USE_API_SERVICE, 1e6, 3e7, "US", RULING_FORBIDDEN},
        {"moonshotai/Kimi-K3", USE_API_SERVICE, 1e6, 1e7, "US", RULING_DUTIES},
        {"moonshotai/Kimi-K3", USE_API_SERVICE, 1e6, NAN, "US", RULING_ASK},
        {"moonshotai/Kimi-K3", USE_INTERNAL, 1e6, 3e9, "US", RULING_DUTIES},
        {"moonshotai/Kimi-K2.6", USE_PRODUCT, 2e8, 1e6, "US", RULING_DUTIES},
        {"mistralai/Devstral-2-123B-Instruct-2512", USE_INTERNAL, 10, 3e8, "FR", RULING_FORBIDDEN},
        {"mistralai/Devstral-2-123B-Instruct-2512", USE_INTERNAL, 10, 1e8, "FR", RULING_DUTIES},
        {"MiniMaxAI/MiniMax-M3", USE_PRODUCT, 10, 3e7, "US", RULING_FORBIDDEN},
        {"MiniMaxAI/MiniMax-M3", USE_PRODUCT, 10, 1e6, "US", RULING_DUTIES},
        {"MiniMaxAI/MiniMax-M2.5", USE_API_SERVICE, 10, 1e6, "US", RULING_ASK},
        {"Qwen/Qwen2.5-72B-Instruct", USE_PRODUCT, 2e8, 0, "US", RULING_FORBIDDEN},
        {"meta-llama/Llama-4-Scout-17B-16E-Instruct", USE_INTERNAL, 10, 0, "EU", RULING_FORBIDDEN},
        {"meta-llama/Llama-4-Scout-17B-16E-Instruct", USE_INTERNAL, 10, 0, "DE", RULING_FORBIDDEN},
        {"meta-llama/Llama-4-Scout-17B-16E-Instruct", USE_INTERNAL, 10, 0, "US", RULING_DUTIES},
        {"meta-llama/Llama-4-Scout-17B-16E-Instruct", USE_INTERNAL, 10, 0, NULL, RULING_ASK},
        {"Qwen/Qwen3-8B", USE_INTERNAL, NAN, NAN, NULL, RULING_ALLOWED},
        {"deepseek-ai/DeepSeek-V3.2", USE_INTERNAL, NAN, NAN, NULL, RULING_ALLOWED},
        {"Qwen/Qwen3-8B", USE_PRODUCT, NAN, NAN, NULL, RULING_DUTIES},
        {"Qwen/Qwen3-8B", USE_API_SERVICE, 1e9, 1e12, "EU", RULING_DUTIES},
        {"deepseek-ai/DeepSeek-V3.2", USE_API_SERVICE, 1e9, 1e12, "EU", RULING_DUTIES},
        {"google/gemma-3-27b-it", USE_API_SERVICE, 10, 10, "EU", RULING_DUTIES},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum ruling r = ruled(f, rows[i].model,
                              use(rows[i].kind, rows[i].users, rows[i].usd_year, rows[i].region));
        if (r != rows[i].ruling)
            fail_msg("row %zu, %s as %s: %s, wanted %s", i, rows[i].model,
                     use_kind_name(rows[i].kind), ruling_name(r), ruling_name(rows[i].ruling));
    }
}

static void same_family_other_licence(void **state)
{
    const struct facts *f = *state;
    static const char *const rows[][2] = {
        {"deepseek-ai/DeepSeek-V3", "deepseek-model-1.0"},
        {"deepseek-ai/DeepSeek-V3.2", "mit"},
        {"google/gemma-3-27b-it", "gemma"},
        {"google/gemma-4-31B-it", "apache-2.0"},
        {"Qwen/Qwen2.5-7B-Instruct", "apache-2.0"},
        {"Qwen/Qwen2.5-72B-Instruct", "qwen"},
        {"moonshotai/Kimi-K2.6", "kimi-modified-mit"},
        {"moonshotai/Kimi-K3", "kimi-k3"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(model(f, rows[i][0])->licence, rows[i][1]);
}

static bool has_line(const char *const *lines, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(lines[i], word))
            return true;
    return false;
}

static void duties_and_training_are_told(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    struct licence_verdict v;
    struct use u = use(USE_PRODUCT, 2e8, 1e6, "US");
    arena_init(&a, SIZE_MAX);
    licence_judge(facts_licence(f, SPAN("kimi-modified-mit")), &u, &a, &v);
    assert_true(has_line(v.duties, v.duty_count, "Kimi K2"));
    u.users = 10;
    licence_judge(facts_licence(f, SPAN("kimi-modified-mit")), &u, &a, &v);
    assert_false(has_line(v.duties, v.duty_count, "Kimi K2"));
    u.train = true;
    licence_judge(facts_licence(f, SPAN("llama2")), &u, &a, &v);
    assert_int_equal(v.verdict, RULING_FORBIDDEN);
    licence_judge(facts_licence(f, SPAN("llama3.1")), &u, &a, &v);
    assert_true(v.verdict == RULING_DUTIES && has_line(v.duties, v.duty_count, "\"Llama\""));
    licence_judge(NULL, &u, &a, &v);
    assert_int_equal(v.verdict, RULING_ASK);
    bool sure = true;
    (void)licence_of(f, model(f, "stepfun-ai/Step-3.7-Flash"), &sure);
    assert_false(sure); /* "apache-2.0?" in the table */
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTS_TEST(every_model_of_the_catalogue_has_answers),
        FACTS_TEST(verdicts_are_those_of_the_licence),
        FACTS_TEST(same_family_other_licence),
        FACTS_TEST(duties_and_training_are_told),
    };
    return cmocka_run_group_tests_name("licence", tests, NULL, NULL);
}
