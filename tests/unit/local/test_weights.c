/* Weights and cache against published checkpoints, files and figures (docs/planning.md tells where
 * each is from). */
#include "facts_kit.h"
#include "local/weights.h"

#define GB 1e9
#define GIB 1073741824.0

static void checkpoints_come_out_within_3_percent(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model, *quant;
        double bytes;
    } rows[] = {
        {"mistralai/Mistral-7B-Instruct-v0.2", "awq", 4.15 * GB},
        {"meta-llama/Llama-2-13b-chat-hf", "fp16", 26.03 * GB},
        {"meta-llama/Llama-2-13b-chat-hf", "awq", 7.25 * GB},
        {"meta-llama/Llama-3.1-8B-Instruct", "bf16", 16.06 * GB},
        {"meta-llama/Llama-3.1-8B-Instruct", "fp8", 9.08 * GB},
        {"meta-llama/Llama-3.1-8B-Instruct", "awq", 5.73 * GB},
        {"meta-llama/Llama-3.3-70B-Instruct", "bf16", 141.1 * GB},
        {"meta-llama/Llama-3.3-70B-Instruct", "awq", 39.77 * GB},
        {"openai/gpt-oss-20b", "mxfp4", 12.8 * GIB},
        {"openai/gpt-oss-120b", "mxfp4", 60.8 * GIB},
        {"moonshotai/Kimi-K2.6", "int4-g32", 595 * GB},
        {"deepseek-ai/DeepSeek-V4-Flash-0731", "fp8+mxfp4", 167 * GB},
        {"deepseek-ai/DeepSeek-V4-Pro-0813", "fp8+mxfp4", 893 * GB},
        {"moonshotai/Kimi-K3", "mxfp4", 1561 * GB},
        {"Qwen/Qwen3.8-27B", "fp8", 2 * 14.28 * GIB},
        {"Qwen/Qwen3-8B", "bf16", 15.27 * GIB},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct weights w = weights_of(f, model(f, rows[i].model), quant(f, rows[i].quant));
        assert_near(rows[i].model, w.total + w.draft, rows[i].bytes, 0.03);
        assert_near(rows[i].model, w.embed + w.dense + w.expert + w.extra, w.total, 1e-9);
    }
}

/* DeepSeek V4 was published with one draft layer (MTP) and later with three (DSpark): they are the
 * difference between the two sizes there are of each. */
static void draft_layers_are_in_the_checkpoint_and_not_on_the_card(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model;
        double draft_layers, bytes;
    } rows[] = {
        {"deepseek-ai/DeepSeek-V4-Flash-0731", 1, 160 * GB},
        {"deepseek-ai/DeepSeek-V4-Flash-0731", 3, 167 * GB},
        {"deepseek-ai/DeepSeek-V4-Pro-0813", 1, 865 * GB},
        {"deepseek-ai/DeepSeek-V4-Pro-0813", 3, 893 * GB},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fact_model m = *model(f, rows[i].model);
        assert_true(m.draft_layers == 3);
        m.draft_layers = rows[i].draft_layers;
        struct weights w = weights_of(f, &m, quant(f, "fp8+mxfp4"));
        assert_near(rows[i].model, w.total + w.draft, rows[i].bytes, 0.01);
        assert_near(rows[i].model, w.embed + w.dense + w.expert + w.extra, w.total, 1e-9);
    }
}

static void gguf_files_come_out_within_a_thousandth(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model, *type;
        double bits, share; /* published bits per weight */
    } rows[] = {
        {"meta-llama/Llama-3.1-8B-Instruct", "Q2_K", 3.1593, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q3_K_S", 3.6429, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q3_K_M", 3.9950, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q3_K_L", 4.2979, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q4_K_S", 4.6672, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q4_K_M", 4.8944, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q5_K_S", 5.5704, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q5_K_M", 5.7036, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q6_K", 6.5633, 0.001},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q8_0", 8.5008, 0.001},
        {"meta-llama/Llama-2-13b-chat-hf", "Q3_K_M", 3.894, 0.001},
        {"meta-llama/Llama-2-13b-chat-hf", "Q4_K_M", 4.833, 0.001},
        {"meta-llama/Llama-2-13b-chat-hf", "Q5_K_M", 5.672, 0.001},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct fact_model *m = model(f, rows[i].model);
        struct weights w = weights_of(f, m, quant(f, rows[i].type));
        assert_int_equal(w.basis, WEIGHTS_MIX);
        assert_near(rows[i].type, 8 * w.total / (m->embed + m->dense), rows[i].bits, rows[i].share);
    }
}

static void gguf_file_sizes_are_the_published_ones(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model, *type;
        double bytes, share;
    } rows[] = {
        {"meta-llama/Llama-2-13b-chat-hf", "Q4_K_M", 7.86 * GB, 0.001},
        {"mistralai/Mistral-7B-Instruct-v0.2", "Q4_K_M", 4.37 * GB, 0.001},
        {"mistralai/Mistral-7B-Instruct-v0.2", "Q5_K_M", 5.13 * GB, 0.001},
        {"mistralai/Mistral-7B-Instruct-v0.2", "Q8_0", 7.70 * GB, 0.001},
        {"meta-llama/Llama-2-70b-chat-hf", "Q4_K_M", 38.54 * GIB, 0.002},
        {"meta-llama/Llama-2-70b-chat-hf", "Q3_K_M", 30.83 * GIB, 0.006},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_near(rows[i].model,
                    weights_of(f, model(f, rows[i].model), quant(f, rows[i].type)).total,
                    rows[i].bytes, rows[i].share);
    /* 281.8 MiB of input embedding stay in host memory: the line llama.cpp prints. */
    struct weights w =
        weights_of(f, model(f, "meta-llama/Llama-3.1-8B-Instruct"), quant(f, "Q4_K_M"));
    assert_near("token_embd", w.token_embd, 281.8 * 1048576, 0.001);
}

static void where_the_mix_is_not_known_an_average_is_used_and_said(void **state)
{
    const struct facts *f = *state;
    struct weights w =
        weights_of(f, model(f, "Qwen/Qwen3-30B-A3B-Instruct-2507"), quant(f, "Q4_K_M"));
    assert_int_equal(w.basis, WEIGHTS_AVERAGE);
    assert_true(w.error > 0.05);
}

static void a_token_of_cache_costs_exactly_this(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model;
        double bytes; /* at 16 bit */
    } rows[] = {
        {"mistralai/Mistral-7B-Instruct-v0.2", 131072},
        {"meta-llama/Llama-3.1-8B-Instruct", 131072},
        {"meta-llama/Llama-2-7b-chat-hf", 524288},
        {"meta-llama/Llama-2-13b-chat-hf", 819200},
        {"meta-llama/Llama-2-70b-chat-hf", 327680},
        {"meta-llama/Llama-3.3-70B-Instruct", 327680},
        {"Qwen/Qwen2.5-7B-Instruct", 57344},
        {"Qwen/Qwen3-8B", 147456},
        {"Qwen/Qwen3-32B", 262144},
        {"Qwen/Qwen3.6-27B", 65536},
        {"Qwen/Qwen3.6-35B-A3B", 20480},
        {"Qwen/Qwen3-Coder-Next", 24576},
        {"mistralai/Mixtral-8x7B-Instruct-v0.1", 131072},
        {"openai/gpt-oss-120b", 36864},
        {"deepseek-ai/DeepSeek-V3", 70272},
        {"deepseek-ai/DeepSeek-R1-0528", 70272},
        {"moonshotai/Kimi-K2.6", 70272},
        {"moonshotai/Kimi-K3", 27648},
        {"zai-org/GLM-4.7", 376832},
        {"zai-org/GLM-5.2", 100152},
        {"MiniMaxAI/MiniMax-M2.5", 253952},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double bytes = kv_bytes_per_token(model(f, rows[i].model), cache(f, "fp16"));
        if (bytes != rows[i].bytes)
            fail_msg("%s: %.0f, wanted %.0f", rows[i].model, bytes, rows[i].bytes);
    }
}

static void windows_state_and_small_entries_are_counted(void **state)
{
    const struct facts *f = *state;
    const struct fact_model *oss = model(f, "openai/gpt-oss-120b");
    const struct fact_model *llama = model(f, "meta-llama/Llama-3.1-8B-Instruct");
    const struct fact_model *next = model(f, "Qwen/Qwen3-Coder-Next");
    /* Beyond its window of 128 tokens a windowed layer costs no more. */
    assert_true(kv_bytes(oss, cache(f, "fp16"), 10000) == 36864.0 * 10000 + 36864.0 * 128);
    assert_true(kv_bytes(oss, cache(f, "fp16"), 100) == 2 * 36864.0 * 100);
    assert_true(kv_bytes(llama, cache(f, "fp16"), 8192) == 1024.0 * 1048576);
    assert_true(kv_bytes(llama, cache(f, "fp8"), 8192) == 512.0 * 1048576);
    assert_true(kv_bytes(llama, cache(f, "q8_0"), 32) == 65536.0 * 34);
    assert_true(kv_bytes(llama, cache(f, "q4_0"), 32) == 65536.0 * 18);
    assert_true(kv_bytes(next, cache(f, "fp16"), 1) == 24576.0 + 77266944);
    assert_int_equal(kv_shards(llama, 4), 4);
    assert_int_equal(kv_shards(llama, 16), 8); /* heads are replicated from there */
    assert_int_equal(kv_shards(model(f, "moonshotai/Kimi-K2.6"), 8), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTS_TEST(checkpoints_come_out_within_3_percent),
        FACTS_TEST(draft_layers_are_in_the_checkpoint_and_not_on_the_card),
        FACTS_TEST(gguf_files_come_out_within_a_thousandth),
        FACTS_TEST(gguf_file_sizes_are_the_published_ones),
        FACTS_TEST(where_the_mix_is_not_known_an_average_is_used_and_said),
        FACTS_TEST(a_token_of_cache_costs_exactly_this),
        FACTS_TEST(windows_state_and_small_entries_are_counted),
    };
    return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
