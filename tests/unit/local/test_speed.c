/* Speed against measured rows. The whole list (data/measured.tsv of the corpus, 180 rows) is read
 * when there is one; the points that stand in this file are checked always.
 *
 * Every row must lie within the band of its class. So that a band is not just memory, the constants
 * are fitted again without each model and without each card in turn, and the rows left out are
 * judged by that fit: half of them must lie within what a band says of half. */
#include "facts_kit.h"
#include "local/estimate.h"
#include "local/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_MAX 256
#define MS 1e-3
#define ROUNDS 40

struct row {
    struct span model, card; /* as the list names them */
    struct speed_case c;     /* vLLM */
    struct fact_gpu own_card;
    struct fact_model own_model;
    struct fact_quant own_quant;
    double measured, estimated; /* seconds of a step */
    double first;               /* seconds to the first token, measured; NAN: not told */
    const struct speed_band *band;
};
struct rows {
    struct row at[ROWS_MAX];
    size_t count;
};

/* What the measured rows call cards and models. */
static const char *card_of(struct span name)
{
    static const char *const names[][2] = {
        {"h100_sxm", "H100 80GB SXM"},  {"h200_sxm", "H200 141GB SXM"},
        {"b200_sxm", "B200 180GB SXM"}, {"b300_sxm", "B300"},
        {"mi300x", "MI300X 192GB"},     {"RTX 4090", "RTX 4090 24GB"},
        {"RTX 5090", "RTX 5090 32GB"},  {"Apple M3 Ultra", "Apple M3 Ultra"},
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
        {"Ministral-3-3B Q4_K_M", "mistralai/Ministral-3-3B-Instruct-2512"},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_is(name, names[i][0]))
            return names[i][1];
    return NULL;
}

/* Muse-Glimmer-30B is in no catalogue: its shape from a published configuration, its bits from the
 * size of its file (25.4 GB, of which embedding and vision tower are in 16 bit). */
static void muse(const struct facts *f, struct row *r)
{
    double head = 202048.0 * 6656, linear = 25.16e9, vision = 1.8e9;
    r->own_model = (struct fact_model){.id = "Muse-Glimmer-30B",
                                       .total = 2 * head + linear + vision,
                                       .embed = 2 * head,
                                       .dense = linear,
                                       .layers = 52,
                                       .hidden = 6656,
                                       .heads = 32,
                                       .kv_heads = 2,
                                       .head_dim = 128,
                                       .kv_elems = 18 * 512,
                                       .window_elems = 34 * 512,
                                       .window = 2048,
                                       .vocab = 202048};
    r->own_quant = *quant(f, "nvfp4");
    r->own_quant.bits_dense = 8 * (25.4e9 - 2 * (2 * head + vision)) / linear;
    r->c.model = &r->own_model;
    r->c.quant = &r->own_quant;
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

static double or_else(double d, double otherwise)
{
    return isnan(d) ? otherwise : d;
}

/* "RTX 3070 mobile (448 GB/s)": a card that is known by its bandwidth alone. */
static bool card_by_bandwidth(struct arena *a, struct row *r)
{
    const char *text = arena_cstr(a, r->card), *open = strchr(text, '(');
    r->own_card = (struct fact_gpu){.name = text, .klass = "consumer"};
    r->own_card.bandwidth = open ? 1e9 * strtod(open + 1, NULL) : 0;
    return r->own_card.bandwidth > 0;
}

static void read_case(const struct facts *f, struct arena *a, const struct table *t, size_t at,
                      struct row *r)
{
    const char *other = model_of(table_cell(t, at, "model"));
    const char *card = card_of(table_cell(t, at, "gpu"));
    r->model = table_cell(t, at, "model");
    r->card = table_cell(t, at, "gpu");
    r->measured = number(t, at, "tpot_ms") * MS;
    r->first = number(t, at, "ttft_ms") * MS;
    r->c = (struct speed_case){
        .model = other ? model(f, other) : facts_model_exact(f, r->model),
        .gpu = card                      ? gpu(f, card)
               : card_by_bandwidth(a, r) ? &r->own_card
                                         : NULL,
        .tp = (uint32_t)number(t, at, "tp"),
        .isl = or_else(number(t, at, "isl"), 16),
        .osl = number(t, at, "osl"),
        .batch = number(t, at, "concurrency"),
    };
    if (span_starts(r->model, SPAN("Muse-Glimmer")))
        muse(f, r);
    else if (r->c.model)
        r->c.quant = format_of(f, r->c.model, table_cell(t, at, "precision"));
    r->c.kv = cache(f, number(t, at, "kv_bytes") == 1 ? "fp8" : "fp16");
    if (!r->c.model || !r->c.gpu || !r->c.quant)
        fail_msg("row %zu is not understood: %.*s", at, SPAN_FMT(r->model));
}

/* As the planner judges it: no more conversations are decoded together than fit. */
static void estimate_vllm(const struct facts *f, struct row *r)
{
    struct deployment d = {.model = r->c.model,
                           .quant = r->c.quant,
                           .kv = r->c.kv,
                           .gpu = r->c.gpu,
                           .host = r->c.gpu,
                           .engine = ENGINE_VLLM,
                           .tp = r->c.tp,
                           .pp = 1,
                           .utilization = 0.92,
                           .context = r->c.isl + r->c.osl,
                           .sequences = r->c.batch};
    struct memory m;
    estimate_memory(f, &d, &m);
    bool queued = m.most_sequences < r->c.batch;
    r->c.batch = queued ? fmax(m.most_sequences, 1) : r->c.batch;
    r->band = speed_band(r->c.model, r->c.gpu, ENGINE_VLLM, queued);
    r->estimated = speed_vllm_step(&r->c);
}

static void estimate_llama(const struct facts *f, struct row *r)
{
    struct weights w = weights_of(f, r->c.model, r->c.quant);
    struct speed_llama c = {.model = r->c.model, .quant = r->c.quant, .gpu = r->c.gpu, .isl = 1};
    c.gpu_bytes = w.total - (weights_tied(c.model) ? 0 : w.token_embd);
    r->band = speed_band(r->c.model, r->c.gpu, ENGINE_LLAMA_CPP, false);
    r->estimated = speed_llama_step(&c);
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

/* All rows of the list, estimated; none when there is no list. */
static void read_rows(const struct facts *f, struct arena *a, struct rows *out)
{
    struct table t;
    const char *why = "";
    struct span text = read_measured(a);
    out->count = 0;
    if (!text.len)
        return;
    assert_int_equal(table_read(a, text, &t, &why), ERR_OK);
    assert_true(t.rows <= ROWS_MAX);
    for (size_t at = 0; at < t.rows; at++) {
        struct row *r = &out->at[out->count++];
        read_case(f, a, &t, at, r);
        if (span_is(table_cell(&t, at, "engine"), "vllm"))
            estimate_vllm(f, r);
        else
            estimate_llama(f, r);
    }
}

/* ---- errors of a set of rows ---- */

struct tally {
    double off[ROWS_MAX]; /* |measured / estimated - 1| */
    double least, most;   /* measured / estimated - 1 */
    size_t count, in_band;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool in_band(const struct row *r, double estimated)
{
    struct range range = estimate_time_range(estimated, r->band);
    return r->measured >= range.least && r->measured <= range.most;
}

static void note(struct tally *t, const struct row *r, double estimated)
{
    double off = r->measured / estimated - 1;
    t->least = t->count ? fmin(t->least, off) : off;
    t->most = t->count ? fmax(t->most, off) : off;
    t->off[t->count++] = fabs(off);
    t->in_band += in_band(r, estimated);
}

static double share_at(struct tally *t, double share)
{
    qsort(t->off, t->count, sizeof(t->off[0]), by_size);
    size_t at = (size_t)(share * (double)t->count);
    return t->off[at < t->count ? at : t->count - 1];
}

static void tell(const char *what, struct tally *t)
{
    if (t->count)
        print_message("# %-34s %3zu rows, median %4.1f %%, p90 %4.1f %%, worst %4.1f %% (measured "
                      "%+.1f to %+.1f %%), %zu within the band\n",
                      what, t->count, 100 * share_at(t, 0.5), 100 * share_at(t, 0.9),
                      100 * share_at(t, 1), 100 * t->least, 100 * t->most, t->in_band);
}

static const char *const class_names[SPEED_CLASS_COUNT] = {
    "vLLM, dense",      "vLLM, mixtures",   "vLLM, more than fits",      "vLLM, other cards",
    "llama.cpp, dense", "llama.cpp, other", "first token, four at once", "first token, other"};

static void check_class(const struct rows *rows, enum speed_class kind)
{
    struct tally t = {0};
    const struct speed_band *band = NULL;
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *r = &rows->at[i];
        if (r->band->kind != kind)
            continue;
        band = r->band;
        note(&t, r, r->estimated);
        if (!in_band(r, r->estimated))
            print_error("row %zu, %.*s on %.*s, TP %u, %g + %g tokens, %g at once: "
                        "%.2f ms measured, %.2f estimated, outside -%.0f to +%.0f %%\n",
                        i, SPAN_FMT(r->model), SPAN_FMT(r->card), r->c.tp, r->c.isl, r->c.osl,
                        r->c.batch, r->measured / MS, r->estimated / MS, 100 * band->faster,
                        100 * band->slower);
    }
    tell(class_names[kind], &t);
    if (!band)
        return;
    assert_int_equal(t.in_band, t.count);
    assert_int_equal(t.count, band->rows);
}

static void every_measured_row_lies_within_its_band(void **state)
{
    static struct rows rows;
    struct arena a;
    struct tally all = {0};
    arena_init(&a, SIZE_MAX);
    read_rows(*state, &a, &rows);
    if (rows.count == 0) {
        arena_deinit(&a);
        print_message("# HOTSPARE_CORPUS has no data/measured.tsv\n");
        skip();
    }
    for (int kind = 0; kind < SPEED_CLASS_COUNT; kind++)
        check_class(&rows, (enum speed_class)kind);
    for (size_t i = 0; i < rows.count; i++)
        note(&all, &rows.at[i], rows.at[i].estimated);
    tell("all", &all);
    assert_int_equal(all.count, 180);
    assert_int_equal(all.in_band, 180);
    arena_deinit(&a);
}

/* Rows of four requests at once: with more, what is told is mostly waiting for others. */
static void every_time_to_the_first_token_lies_within_its_band(void **state)
{
    static struct rows rows;
    struct arena a;
    struct tally t = {0};
    arena_init(&a, SIZE_MAX);
    read_rows(*state, &a, &rows);
    for (size_t i = 0; i < rows.count; i++) {
        struct row r = rows.at[i];
        r.band = speed_first_band(r.c.gpu, ENGINE_VLLM);
        if (isnan(r.first) || r.c.batch > 4 || r.band->kind != SPEED_FIRST)
            continue;
        r.measured = r.first;
        note(&t, &r, speed_vllm_prefill(&r.c));
        if (!in_band(&r, speed_vllm_prefill(&r.c)))
            print_error("row %zu, %.*s on %.*s, TP %u, %g tokens: %.0f ms measured, %.0f "
                        "estimated\n",
                        i, SPAN_FMT(r.model), SPAN_FMT(r.card), r.c.tp, r.c.isl, r.measured / MS,
                        speed_vllm_prefill(&r.c) / MS);
        assert_int_equal(r.band->rows, 52);
    }
    tell(class_names[SPEED_FIRST], &t);
    size_t rows_read = rows.count;
    arena_deinit(&a);
    if (rows_read == 0)
        skip();
    assert_int_equal(t.count, 52);
    assert_int_equal(t.in_band, 52);
}

/* ---- fitted again without some of the rows ---- */

#define CONSTANTS (sizeof(struct speed_fit) / sizeof(double))

static bool is_fitted_on(const struct row *r)
{
    return r->band->kind == SPEED_DENSE || r->band->kind == SPEED_MOE;
}

static double step_with(const struct row *r, const struct speed_fit *fit)
{
    struct speed_case c = r->c;
    c.fit = fit;
    return speed_vllm_step(&c);
}

static double loss_of(const struct rows *rows, struct span out, bool by_card,
                      const struct speed_fit *fit)
{
    double loss = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *r = &rows->at[i];
        if (!is_fitted_on(r) || span_eq(by_card ? r->card : r->model, out))
            continue;
        double e = log(r->measured / step_with(r, fit));
        loss += fabs(e) + 3 * e * e;
    }
    return loss;
}

/* One constant a little up or down while that helps; shares stay below one. */
static void improve(const struct rows *rows, struct span out, bool by_card, struct speed_fit *fit,
                    size_t constant, double *step, double *best)
{
    for (int way = 0; way < 2; way++) {
        struct speed_fit tried = *fit;
        double *value = (double *)&tried + constant;
        *value *= way ? 1 + *step : 1 / (1 + *step);
        if (*value > 0.95)
            continue;
        double loss = loss_of(rows, out, by_card, &tried);
        if (loss < *best) {
            *best = loss;
            *fit = tried;
            return;
        }
    }
    *step *= 0.6;
}

/* From plain guesses: nothing of the fit that is judged goes in. */
static struct speed_fit fit_without(const struct rows *rows, struct span out, bool by_card)
{
    struct speed_fit fit = {3e-3, 0.5, 0.3, 0.5, 50e-6, 50e-6, 20e-6};
    double step[CONSTANTS], best = loss_of(rows, out, by_card, &fit);
    for (size_t i = 0; i < CONSTANTS; i++)
        step[i] = 0.3;
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < CONSTANTS; i++)
            improve(rows, out, by_card, &fit, i, &step[i], &best);
    return fit;
}

/* of_kind: by class, for those two that are fitted; all: together. */
struct left_out {
    struct tally of_kind[2], all;
};

static void judge_left_out(const struct rows *rows, struct span out, bool by_card,
                           struct left_out *sum)
{
    struct tally t = {0};
    char name[64];
    struct speed_fit fit = fit_without(rows, out, by_card);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *r = &rows->at[i];
        if (!is_fitted_on(r) || !span_eq(by_card ? r->card : r->model, out))
            continue;
        note(&t, r, step_with(r, &fit));
        note(&sum->of_kind[r->band->kind], r, step_with(r, &fit));
        note(&sum->all, r, step_with(r, &fit));
    }
    (void)snprintf(name, sizeof name, "without %.*s", SPAN_FMT(out));
    tell(name, &t);
}

static void leave_out(const struct rows *rows, bool by_card, struct left_out *sum)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct span name = by_card ? rows->at[i].card : rows->at[i].model;
        bool seen = !is_fitted_on(&rows->at[i]);
        for (size_t k = 0; k < i; k++)
            seen = seen || span_eq(by_card ? rows->at[k].card : rows->at[k].model, name);
        if (!seen)
            judge_left_out(rows, name, by_card, sum);
    }
}

static const struct speed_band *band_of(const struct rows *rows, enum speed_class kind)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->at[i].band->kind == kind)
            return rows->at[i].band;
    fail_msg("no row of class %d", kind);
    return NULL;
}

static void what_the_fit_never_saw_is_still_near(void **state)
{
    static struct rows rows;
    struct arena a;
    static struct left_out models, cards;
    arena_init(&a, SIZE_MAX);
    read_rows(*state, &a, &rows);
    if (rows.count == 0) {
        arena_deinit(&a);
        skip();
    }
    leave_out(&rows, false, &models);
    tell("each model left out once", &models.all);
    for (int kind = SPEED_DENSE; kind <= SPEED_MOE; kind++) {
        struct tally *t = &models.of_kind[kind];
        double half = band_of(&rows, (enum speed_class)kind)->half;
        tell(class_names[kind], t);
        assert_true(share_at(t, 0.5) <= half && share_at(t, 0.5) > half - 0.02);
    }
    leave_out(&rows, true, &cards);
    tell("each card left out once", &cards.all);
    assert_true(models.all.in_band * 10 >= models.all.count * 9);
    assert_true(cards.all.in_band * 20 >= cards.all.count * 19);
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
        struct row r = {.c = c, .measured = rows[i].tpot_ms * MS};
        r.band = speed_band(c.model, c.gpu, ENGINE_VLLM, false);
        if (!in_band(&r, speed_vllm_step(&c)))
            fail_msg("%s, TP %u, %g at once: %.4g s", rows[i].model, c.tp, c.batch,
                     speed_vllm_step(&c));
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
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct fact_gpu card = {.name = "card", .bandwidth = rows[i].gbs * 1e9};
        struct speed_llama c = {.model = model(f, rows[i].model),
                                .quant = quant(f, rows[i].quant),
                                .gpu = &card,
                                .isl = 1};
        struct weights w = weights_of(f, c.model, c.quant);
        c.gpu_bytes = w.total - w.token_embd;
        struct row r = {.measured = 1 / rows[i].tokens_s};
        r.band = speed_band(c.model, &card, ENGINE_LLAMA_CPP, false);
        assert_true(in_band(&r, speed_llama_step(&c)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACTS_TEST(every_measured_row_lies_within_its_band),
        FACTS_TEST(every_time_to_the_first_token_lies_within_its_band),
        FACTS_TEST(what_the_fit_never_saw_is_still_near),
        FACTS_TEST(published_points_are_within_their_band),
        FACTS_TEST(llama_cpp_single_streams_are_within_their_band),
    };
    return cmocka_run_group_tests_name("speed", tests, NULL, NULL);
}
