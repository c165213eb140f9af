/* Speed against measured rows. The whole list (data/measured.tsv of the corpus, 180 rows) is read
 * when there is one; the points that stand in this file are checked always. */
#include "facts_kit.h"
#include "local/speed.h"
#include "local/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 512
#define MS 1e-3

/* What the measured rows call cards and models. */
static const char *card_of(struct span name)
{
    static const char *const names[][2] = {
        {"h100_sxm", "H100 80GB SXM"},  {"h200_sxm", "H200 141GB SXM"},
        {"b200_sxm", "B200 180GB SXM"}, {"b300_sxm", "B300"},
        {"mi300x", "MI300X 192GB"},     {"RTX 4090", "RTX 4090 24GB"},
        {"RTX 5090", "RTX 5090 32GB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_is(name, names[i][0]))
            return names[i][1];
    return NULL;
}

static const char *model_of(struct span name)
{
    static const char *const names[][2] = {
        {"meta-llama/Llama-3.1-70B", "meta-llama/Llama-3.3-70B-Instruct"}, /* the same shape */
        {"moonshotai/Kimi-K2.5", "moonshotai/Kimi-K2.6"},
        {"Qwen3-8B Q4_K_M", "Qwen/Qwen3-8B"},
        {"Llama-3-8B Q6_K", "meta-llama/Llama-3.1-8B-Instruct"},
        {"Llama-2-7B Q4_0", "meta-llama/Llama-2-7b-chat-hf"},
        {"Llama-2-7B Q8_0", "meta-llama/Llama-2-7b-chat-hf"},
        {"Llama-2-7B F16", "meta-llama/Llama-2-7b-chat-hf"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_is(name, names[i][0]))
            return names[i][1];
    return NULL;
}

static const struct fact_quant *format_of(const struct facts *f, const struct fact_model *m,
                                          struct span precision)
{
    if (weights_is_native_only(m))
        return weights_native(f, m);
    if (span_is(precision, "fp4"))
        return quant(f, "nvfp4");
    return facts_quant(f, QUANT_FORMAT, precision);
}

static double number(const struct table *t, size_t row, const char *column)
{
    double d = 0;
    struct span s = table_cell(t, row, column);
    return s.len && span_double(s, &d) == ERR_OK ? d : NAN;
}

static struct speed_case case_of(const struct facts *f, const struct table *t, size_t row)
{
    const char *other = model_of(table_cell(t, row, "model"));
    const char *card = card_of(table_cell(t, row, "gpu"));
    struct speed_case c = {
        .model = other ? model(f, other) : facts_model_exact(f, table_cell(t, row, "model")),
        .gpu = card ? gpu(f, card) : NULL,
        .tp = (uint32_t)number(t, row, "tp"),
        .isl = number(t, row, "isl"),
        .osl = number(t, row, "osl"),
        .batch = number(t, row, "concurrency"),
    };
    if (c.model)
        c.quant = format_of(f, c.model, table_cell(t, row, "precision"));
    c.kv = cache(f, number(t, row, "kv_bytes") == 1 ? "fp8" : "fp16");
    return c;
}

struct tally {
    double off[ROWS_MAX]; /* |predicted / measured - 1| */
    size_t count, in_band;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(const char *what, struct tally *t)
{
    qsort(t->off, t->count, sizeof(t->off[0]), by_size);
    print_message("# %s: %zu rows, median error %.1f %%, p90 %.1f %%, worst %.1f %%, %zu within "
                  "the band\n",
                  what, t->count, 100 * t->off[t->count / 2], 100 * t->off[t->count * 9 / 10],
                  100 * t->off[t->count - 1], t->in_band);
}

static void note(struct tally *t, double predicted, double measured, double band)
{
    assert_true(t->count < ROWS_MAX);
    double off = fabs(predicted / measured - 1);
    t->off[t->count++] = off;
    t->in_band += off <= band;
}

static struct span read_measured(struct arena *a)
{
    const char *folder = getenv("HOTSPARE_CORPUS");
    if (!folder)
        return SPAN_EMPTY;
    FILE *file = fopen(arena_printf(a, "%s/data/measured.tsv", folder).at, "rb");
    if (!file)
        return SPAN_EMPTY;
    static char text[1 << 18];
    size_t n = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    return arena_copy(a, (struct span){text, n});
}

static void vllm_row(const struct facts *f, const struct table *t, size_t row, struct tally *dense,
                     struct tally *moe)
{
    struct speed_case c = case_of(f, t, row);
    const char *why = NULL;
    double roofline = number(t, row, "roofline_tpot_ms") * MS, measured = number(t, row, "tpot_ms");
    if (!c.model || !c.gpu || !c.quant)
        fail_msg("row %zu is not understood", row);
    double step = speed_vllm_step(&c);
    if (!isnan(roofline))
        assert_near("roofline", step, roofline, 0.01);
    note(c.model->expert > 0 ? moe : dense, step, measured * MS,
         speed_band(c.model, c.gpu, ENGINE_VLLM, &why));
}

static void every_measured_vllm_row_is_reproduced(void **state)
{
    const struct facts *f = *state;
    struct arena a;
    struct table t;
    const char *why = "";
    struct tally dense = {0}, moe = {0}, all = {0};
    size_t unknown = 0;
    arena_init(&a, SIZE_MAX);
    struct span text = read_measured(&a);
    if (!text.len) {
        arena_deinit(&a);
        print_message("# HOTSPARE_CORPUS has no data/measured.tsv\n");
        skip();
    }
    assert_int_equal(table_read(&a, text, &t, &why), ERR_OK);
    for (size_t row = 0; row < t.rows; row++) {
        if (!span_is(table_cell(&t, row, "engine"), "vllm"))
            continue;
        struct speed_case c = case_of(f, &t, row);
        if (!c.model) {
            unknown++; /* not in the catalogue */
            continue;
        }
        vllm_row(f, &t, row, &dense, &moe);
    }
    for (size_t i = 0; i < dense.count; i++)
        all.off[all.count++] = dense.off[i];
    for (size_t i = 0; i < moe.count; i++)
        all.off[all.count++] = moe.off[i];
    all.in_band = dense.in_band + moe.in_band;
    tell("vLLM, dense", &dense);
    tell("vLLM, mixture of experts", &moe);
    tell("vLLM, all", &all);
    print_message("# %zu rows of models that are not in the catalogue\n", unknown);
    assert_true(unknown <= 3 && all.count >= 167);
    assert_true(all.off[all.count / 2] <= 0.15);
    /* A band is what nine of ten rows are within. */
    assert_true(dense.in_band * 10 >= dense.count * 9);
    assert_true(moe.in_band * 10 >= moe.count * 9);
    assert_true(all.off[all.count - 1] < 0.6);
    arena_deinit(&a);
}

static void published_points_are_within_their_band(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model, *gpu, *quant, *kv;
        uint32_t tp;
        double batch, tpot_ms;
    } rows[] = {
        {"meta-llama/Llama-3.3-70B-Instruct", "H200 141GB SXM", "fp8", "fp8", 1, 4, 21.5},
        {"meta-llama/Llama-3.3-70B-Instruct", "H200 141GB SXM", "fp8", "fp8", 1, 16, 24.7},
        {"meta-llama/Llama-3.3-70B-Instruct", "H200 141GB SXM", "fp8", "fp8", 1, 64, 37.4},
        {"meta-llama/Llama-3.3-70B-Instruct", "H100 80GB SXM", "fp8", "fp8", 2, 4, 17.4},
        {"meta-llama/Llama-3.3-70B-Instruct", "H100 80GB SXM", "fp8", "fp8", 2, 64, 28.8},
        {"meta-llama/Llama-3.3-70B-Instruct", "H100 80GB SXM", "fp8", "fp8", 8, 4, 9.1},
        {"meta-llama/Llama-3.3-70B-Instruct", "H100 80GB SXM", "fp8", "fp8", 8, 64, 15.5},
        {"Qwen/Qwen3-32B", "H100 80GB SXM", "bf16", "fp16", 2, 16, 17.4},
        {"Qwen/Qwen3-32B", "H100 80GB SXM", "bf16", "fp16", 2, 128, 37.8},
        {"openai/gpt-oss-120b", "H200 141GB SXM", "mxfp4", "fp16", 1, 4, 6.3},
        {"openai/gpt-oss-120b", "H200 141GB SXM", "mxfp4", "fp16", 1, 64, 24.8},
        {"openai/gpt-oss-120b", "H100 80GB SXM", "mxfp4", "fp16", 2, 4, 5.0},
        {"openai/gpt-oss-120b", "H100 80GB SXM", "mxfp4", "fp16", 2, 64, 14.8},
        {"mistralai/Mistral-Medium-3.5-128B", "MI300X", "fp8", "fp16", 1, 32, 55.2},
        {"mistralai/Mistral-Medium-3.5-128B", "MI300X", "fp8", "fp16", 8, 32, 26.1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct speed_case c = {.model = model(f, rows[i].model),
                               .gpu = gpu(f, rows[i].gpu),
                               .quant = quant(f, rows[i].quant),
                               .kv = cache(f, rows[i].kv),
                               .tp = rows[i].tp,
                               .isl = 1024,
                               .osl = 1024,
                               .batch = rows[i].batch};
        const char *why = NULL;
        assert_near(rows[i].model, speed_vllm_step(&c), rows[i].tpot_ms * MS,
                    speed_band(c.model, c.gpu, ENGINE_VLLM, &why));
    }
}

static void llama_cpp_single_streams_are_within_their_band(void **state)
{
    const struct facts *f = *state;
    static const struct {
        const char *model, *quant;
        double gbs, tokens_s; /* of memory; measured */
    } rows[] = {
        {"Qwen/Qwen3-8B", "Q4_K_M", 1792, 221.7},
        {"meta-llama/Llama-3.1-8B-Instruct", "Q6_K", 1008, 93},
        {"meta-llama/Llama-2-7b-chat-hf", "Q4_0", 200, 35.52},
        {"meta-llama/Llama-2-7b-chat-hf", "Q8_0", 200, 21.95},
        {"meta-llama/Llama-2-7b-chat-hf", "F16", 200, 12.75},
        {"meta-llama/Llama-2-7b-chat-hf", "Q4_0", 150, 30.74},
        {"meta-llama/Llama-2-7b-chat-hf", "Q4_0", 448, 64.22},
    };
    struct tally t = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct fact_gpu card = {.name = "card", .bandwidth = rows[i].gbs * 1e9};
        const char *why = NULL;
        struct speed_llama c = {.model = model(f, rows[i].model),
                                .quant = quant(f, rows[i].quant),
                                .gpu = &card,
                                .isl = 1};
        struct weights w = weights_of(f, c.model, c.quant);
        c.gpu_bytes = w.total - w.token_embd;
        double band = speed_band(c.model, &card, ENGINE_LLAMA_CPP, &why);
        note(&t, speed_llama_step(&c), 1 / rows[i].tokens_s, band);
        assert_near(rows[i].quant, speed_llama_step(&c), 1 / rows[i].tokens_s, band);
    }
    tell("llama.cpp", &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTS_TEST(every_measured_vllm_row_is_reproduced),
        FACTS_TEST(published_points_are_within_their_band),
        FACTS_TEST(llama_cpp_single_streams_are_within_their_band),
    };
    return cmocka_run_group_tests_name("speed", tests, NULL, NULL);
}
