/* What fits: against logs of real servers, and the remedies when it does not. */
#include "facts_kit.h"
#include "local/remedy.h"

#define GIB 1073741824.0

static struct deployment on(const struct facts *f, const char *id, const char *format,
                            const char *kv, const char *card, uint32_t tp)
{
    return (struct deployment){.model = model(f, id),
                               .quant = quant(f, format),
                               .kv = cache(f, kv),
                               .gpu = gpu(f, card),
                               .host = gpu(f, "CPU desktop 2ch"),
                               .engine = ENGINE_VLLM,
                               .tp = tp,
                               .pp = 1,
                               .ram = 64 * GIB,
                               .utilization = 0.9,
                               .context = 8192,
                               .sequences = 1,
                               .isl = 1024,
                               .osl = 512,
                               .busy = 1};
}

static struct memory judged(const struct facts *f, const struct deployment *d)
{
    struct memory m;
    estimate_memory(f, d, &m);
    return m;
}

static void cache_tokens_are_those_of_real_servers_within_5_percent(void **state)
{
    const struct facts *f = *state;
    /* vLLM's log: weights 15.27 GiB, 19.36 GiB of cache, 140,900 tokens. */
    struct deployment d = on(f, "Qwen/Qwen3-8B", "bf16", "fp16", "A100 40GB SXM", 1);
    struct memory m = judged(f, &d);
    assert_near("Qwen3-8B, GiB of cache", m.kv_room / GIB, 19.36, 0.05);
    assert_near("Qwen3-8B, tokens", m.tokens, 140900, 0.05);

    /* One RTX 5090, context 32k, fp8 cache; only without CUDA graphs does it start. */
    d = on(f, "Qwen/Qwen3.8-27B", "nvfp4", "fp8", "RTX 5090", 1);
    d.utilization = 0.92;
    d.context = 32768;
    d.eager = true;
    assert_near("Qwen3.8-27B, tokens", judged(f, &d).tokens, 91022, 0.05);
    d.text_only = true;
    assert_near("Qwen3.8-27B text only", judged(f, &d).tokens, 135926, 0.05);
    double fp8 = judged(f, &d).tokens;
    d.kv = cache(f, "fp16");
    assert_near("half the entries at twice the bytes", judged(f, &d).tokens, fp8 / 2, 0.03);

    /* Kimi-K2-Thinking int4, 8 H200: the shape of K2.6. */
    d = on(f, "moonshotai/Kimi-K2.6", "int4-g32", "fp16", "H200 141GB SXM", 8);
    d.context = 131072;
    assert_near("Kimi-K2, tokens", judged(f, &d).tokens, 715072, 0.05);
}

static void tokens_grow_with_utilization_in_a_straight_line(void **state)
{
    const struct facts *f = *state;
    struct deployment d = on(f, "Qwen/Qwen3-8B", "fp8", "fp8", "RTX 5090", 2);
    double tokens[3];
    for (size_t i = 0; i < 3; i++) {
        d.utilization = 0.80 + 0.06 * (double)i;
        tokens[i] = judged(f, &d).tokens;
    }
    assert_near("slope", tokens[2] - tokens[0], 0.12 * 31.4 * GIB / (73728.0 / 2), 0.001);
    assert_near("line", tokens[1] - tokens[0], tokens[2] - tokens[1], 0.001);
}

static void conversations_are_those_of_the_selection_matrix(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model, *quant, *gpu;
        uint32_t tp;
        double weights, room, sequences; /* GiB, GiB */
    } rows[] = {
        {"mistralai/Mistral-7B-Instruct-v0.2", "bf16", "L4", 1, 13.5, 5.8, 31},
        {"mistralai/Mistral-7B-Instruct-v0.2", "awq", "L4", 1, 3.9, 15.5, 82},
        {"mistralai/Mistral-7B-Instruct-v0.2", "bf16", "RTX 4090", 1, 13.5, 7.2, 38},
        {"mistralai/Mistral-7B-Instruct-v0.2", "bf16", "H100 80GB SXM", 1, 13.5, 57.9, 308},
        {"meta-llama/Llama-2-13b-chat-hf", "bf16", "A100 80GB PCIe", 1, 24.2, 47.3, 40},
        {"meta-llama/Llama-2-13b-chat-hf", "awq", "RTX 4090", 1, 6.7, 14.0, 11},
        {"meta-llama/Llama-3.3-70B-Instruct", "fp8", "H100 80GB SXM", 2, 33.8, 37.4, 159},
        {"openai/gpt-oss-120b", "mxfp4", "H100 80GB SXM", 1, 60.7, 9.2, 161},
        {"zai-org/GLM-4.7", "fp8", "H200 141GB SXM", 4, 82.5, 42.8, 317},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct deployment d = on(f, rows[i].model, rows[i].quant, "fp16", rows[i].gpu, rows[i].tp);
        d.utilization = 0.92;
        d.context = 1536;
        struct memory m = judged(f, &d);
        assert_near(rows[i].model, m.weights_here / GIB, rows[i].weights, 0.01);
        assert_near(rows[i].model, m.kv_room / GIB, rows[i].room, 0.02);
        assert_true(m.most_sequences == rows[i].sequences);
    }
}

static const struct remedy *find(const struct remedies *r, enum remedy_kind kind, const char *word)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->at[i].kind == kind && strstr(r->at[i].what, word))
            return &r->at[i];
    fail_msg("no remedy %s, %s", remedy_name(kind), word);
    return NULL;
}

static void what_does_not_fit_gets_remedies_in_order_each_judged_anew(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    struct remedies r;
    arena_init(&a, SIZE_MAX);
    struct deployment d = on(f, "meta-llama/Llama-2-13b-chat-hf", "bf16", "fp16", "RTX 4090", 1);
    d.utilization = 0.92;
    d.context = 4096;
    assert_false(judged(f, &d).fits);
    remedies_of(f, &d, &a, &r);
    for (size_t i = 1; i < r.count; i++)
        assert_true(r.at[i].kind >= r.at[i - 1].kind);
    for (size_t i = 0; i < r.count; i++) {
        struct memory m = judged(f, &r.at[i].d);
        assert_true(m.fits == r.at[i].possible || !r.at[i].possible);
        assert_true(r.at[i].what && r.at[i].why && r.at[i].why[0]);
    }
    assert_true(find(&r, REMEDY_QUANT, "awq")->possible);
    assert_true(find(&r, REMEDY_QUANT, "Q4_K_M")->d.engine == ENGINE_LLAMA_CPP);
    assert_false(find(&r, REMEDY_KV, "fp8")->possible);
    assert_false(find(&r, REMEDY_CONTEXT, "tokens")->possible);
    assert_int_equal(find(&r, REMEDY_TENSOR_PARALLEL, "2 cards")->d.tp, 2);
    assert_int_equal(find(&r, REMEDY_PIPELINE_PARALLEL, "2 cards")->d.pp, 2);
    const struct remedy *offload = find(&r, REMEDY_OFFLOAD, "--cpu-offload-gb 7");
    assert_true(offload->possible && offload->s.one < 5);
    const struct remedy *layers = find(&r, REMEDY_LAYERS, "-ngl");
    assert_true(layers->possible && layers->d.cpu_layers > 0 && layers->s.one > offload->s.one);
    assert_true(find(&r, REMEDY_SMALLER_MODEL, "/")->possible);
    /* One layer more on the card, or one GiB less in host memory, and it would not fit. */
    d = layers->d;
    d.cpu_layers--;
    assert_false(judged(f, &d).fits);
    d = offload->d;
    d.offload -= GIB;
    assert_false(judged(f, &d).fits);
    /* What lies in host memory needs room there. */
    d = offload->d;
    d.ram = 4 * GIB;
    assert_false(judged(f, &d).fits);
    d = layers->d;
    d.ram = 2 * GIB;
    assert_false(judged(f, &d).fits);
    arena_deinit(&a);
}

static void a_shorter_context_is_as_long_as_it_can_be(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    struct remedies r;
    arena_init(&a, SIZE_MAX);
    struct deployment d = on(f, "meta-llama/Llama-3.1-8B-Instruct", "bf16", "fp16", "RTX 4090", 1);
    d.context = 131072;
    remedies_of(f, &d, &a, &r);
    const struct remedy *shorter = find(&r, REMEDY_CONTEXT, "tokens");
    assert_true(shorter->possible && shorter->d.context > 8192);
    d = shorter->d;
    d.context += 256;
    assert_false(judged(f, &d).fits);
    arena_deinit(&a);
}

static void native_low_bit_models_are_not_quantized_again(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    struct remedies r;
    arena_init(&a, SIZE_MAX);
    struct deployment d = on(f, "openai/gpt-oss-120b", "mxfp4", "fp16", "RTX 4090", 1);
    remedies_of(f, &d, &a, &r);
    for (size_t i = 0; i < r.count; i++)
        assert_true(r.at[i].kind != REMEDY_QUANT || !r.at[i].possible);
    /* Its experts go to host memory, which is what helps. */
    assert_true(find(&r, REMEDY_LAYERS, "--n-cpu-moe")->possible);
    arena_deinit(&a);
}

static void splits_that_engines_refuse_are_refused(void **state)
{
    const struct facts *f = *state;
    struct deployment d = on(f, "Qwen/Qwen2.5-7B-Instruct", "bf16", "fp16", "RTX 4090", 8);
    assert_non_null(estimate_split_refused(&d)); /* 28 heads */
    d.tp = 4;
    assert_null(estimate_split_refused(&d));
    assert_false(estimate_card_has(quant(f, "fp8"), gpu(f, "T4")));
    assert_true(estimate_card_has(quant(f, "awq"), gpu(f, "T4")));
    assert_false(estimate_engine_has(quant(f, "Q4_K_M"), ENGINE_VLLM));
}

static void suggestions_fit_are_fast_enough_and_can_do_the_job(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    struct suggestions s;
    static const char *const cards[] = {"RTX 4090", "RTX 5090", "H100 80GB SXM", "L4"};
    arena_init(&a, SIZE_MAX);
    for (size_t c = 0; c < ARRAY_LEN(cards); c++)
        for (int use = 0; use < SUGGEST_COUNT; use++) {
            struct deployment d = on(f, "Qwen/Qwen3-8B", "bf16", "fp16", cards[c], 1);
            d.context = suggest_context((enum suggest_use)use);
            suggest(f, &d, (enum suggest_use)use, 10, &a, &s);
            assert_true(s.count > 0);
            for (size_t i = 0; i < s.count; i++) {
                const struct remedy *r = &s.at[i];
                assert_true(judged(f, &r->d).fits && r->s.one >= 10);
                assert_true(r->d.model->context >= d.context);
                assert_true(use != SUGGEST_CLAUDE_CODE || r->d.model->tool_parser);
            }
        }
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTS_TEST(cache_tokens_are_those_of_real_servers_within_5_percent),
        FACTS_TEST(tokens_grow_with_utilization_in_a_straight_line),
        FACTS_TEST(conversations_are_those_of_the_selection_matrix),
        FACTS_TEST(what_does_not_fit_gets_remedies_in_order_each_judged_anew),
        FACTS_TEST(a_shorter_context_is_as_long_as_it_can_be),
        FACTS_TEST(native_low_bit_models_are_not_quantized_again),
        FACTS_TEST(splits_that_engines_refuse_are_refused),
        FACTS_TEST(suggestions_fit_are_fast_enough_and_can_do_the_job),
    };
    return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}
