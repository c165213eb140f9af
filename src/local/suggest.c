/* Which model for this hardware and this job. Every model of the catalogue is tried in every engine
 * and format that is good enough for the job; the score is the published coding score where there
 * is one, else a guess by age and size, which is said. */
#include "local/remedy.h"
#include "base/span.h"
#include <math.h>
#include <stdlib.h>

#define GUESS_MOST 70.0 /* a guess never beats a published score of the leaders */

const char *suggest_use_name(enum suggest_use u)
{
    static const char *const names[SUGGEST_COUNT] = {"chat", "tools", "claude-code", "chinese"};
    assert((unsigned)u < SUGGEST_COUNT);
    return names[u];
}

double suggest_context(enum suggest_use u)
{
    static const double tokens[SUGGEST_COUNT] = {8192, 32768, 102400, 8192};
    assert((unsigned)u < SUGGEST_COUNT);
    return tokens[u];
}

static bool is_chinese_maker(const char *id)
{
    static const char *const makers[] = {"Qwen/",       "deepseek-ai/", "moonshotai/",
                                         "zai-org/",    "MiniMaxAI/",   "stepfun-ai/",
                                         "XiaomiMiMo/", "tencent/",     "ByteDance-Seed/"};
    for (size_t i = 0; i < ARRAY_LEN(makers); i++)
        if (strncmp(id, makers[i], strlen(makers[i])) == 0)
            return true;
    return false;
}

static bool suits(const struct facts *f, const struct fact_model *m, enum suggest_use use,
                  double context)
{
    const struct fact_licence *l = m->licence ? facts_licence(f, span_from(m->licence)) : NULL;
    if (!l || !l->commercial || strcmp(l->commercial, "no") == 0 || m->context < context)
        return false;
    if ((use == SUGGEST_TOOLS || use == SUGGEST_CLAUDE_CODE) && !m->tool_parser)
        return false;
    return use != SUGGEST_CHINESE || is_chinese_maker(m->id);
}

static double months(const char *released)
{
    if (!released || strlen(released) < 7)
        return 0;
    return (double)(strtol(released, NULL, 10) * 12 + strtol(released + 5, NULL, 10));
}

static double quality(const struct fact_model *m)
{
    if (m->swe_bench > 0)
        return m->swe_bench;
    double guess =
        10 + (months(m->released) - months("2023-06")) * 0.9 + 8 * log10(fmax(m->total, 1e8) / 1e8);
    return fmin(guess, GUESS_MOST);
}

static double loss(const struct fact_quant *q)
{
    if (!isnan(q->ppl_pct))
        return q->ppl_pct;
    return isnan(q->tasks_pct) ? 0 : 100 - q->tasks_pct;
}

/* Formats good enough for the job, best first; tool calls suffer before prose does. */
static size_t formats(const struct facts *f, const struct fact_model *m, enum suggest_use use,
                      const struct fact_quant *out[8])
{
    static const char *const ids[] = {"fp8", "Q8_0", "Q5_K_M", "nvfp4", "awq", "Q4_K_M"};
    size_t n = 0;
    bool strict = use == SUGGEST_TOOLS || use == SUGGEST_CLAUDE_CODE;
    out[n++] = weights_native(f, m);
    if (weights_is_native_only(m))
        return n;
    /* For tools 4 bit is the floor of large models only. */
    size_t usable = ARRAY_LEN(ids) - (strict && m->total < 20e9 ? 3 : 0);
    for (size_t i = 0; i < usable; i++) {
        const struct fact_quant *q = facts_quant(f, QUANT_GGUF, span_from(ids[i]));
        if (q && q != out[0])
            out[n++] = q;
    }
    return n;
}

/* One candidate; possible = it fits and is fast enough. */
static struct remedy candidate(const struct facts *f, struct deployment d, enum engine e,
                               double target_tps)
{
    struct remedy r = {.kind = REMEDY_SMALLER_MODEL};
    uint32_t cards = d.tp * d.pp;
    d.engine = e;
    d.tp = e == ENGINE_VLLM ? cards : 1;
    d.pp = e == ENGINE_VLLM ? 1 : cards;
    d.kv = facts_quant(f, QUANT_KV, SPAN("fp16"));
    if (e == ENGINE_VLLM && (!d.gpu || d.gpu->ram_share > 0))
        return r;
    if (!estimate_engine_has(d.quant, e) || (d.gpu && !estimate_card_has(d.quant, d.gpu)) ||
        estimate_split_refused(&d))
        return r;
    for (int small_kv = 0; small_kv < 2 && !r.possible; small_kv++) {
        if (small_kv)
            d.kv = facts_quant(f, QUANT_KV, e == ENGINE_VLLM ? SPAN("fp8") : SPAN("q8_0"));
        r.d = d;
        estimate_memory(f, &d, &r.m);
        estimate_speed(&d, &r.m, &r.s);
        r.possible = r.m.fits && r.s.one >= target_tps;
    }
    return r;
}

static struct remedy best_of(const struct facts *f, const struct deployment *base,
                             enum suggest_use use, double target_tps)
{
    const struct fact_quant *q[8];
    size_t n = formats(f, base->model, use, q);
    for (size_t i = 0; i < n; i++) {
        for (int e = 0; e < 2; e++) {
            struct deployment d = *base;
            d.quant = q[i];
            struct remedy r = candidate(f, d, (enum engine)e, target_tps);
            if (r.possible)
                return r;
        }
    }
    return (struct remedy){0};
}

static double score(const struct remedy *r)
{
    return quality(r->d.model) - loss(r->d.quant) / 2 + fmin(r->s.one, 200) / 100;
}

static void insert(struct suggestions *out, struct remedy r)
{
    size_t i = out->count < SUGGESTIONS_MAX ? out->count++ : SUGGESTIONS_MAX - 1;
    if (i == SUGGESTIONS_MAX - 1 && out->at[i].possible && score(&out->at[i]) >= score(&r))
        return;
    for (; i > 0 && score(&out->at[i - 1]) < score(&r); i--)
        out->at[i] = out->at[i - 1];
    out->at[i] = r;
}

void suggest(const struct facts *f, const struct deployment *base, enum suggest_use use,
             double target_tps, struct arena *a, struct suggestions *out)
{
    *out = (struct suggestions){0};
    for (size_t i = 0; i < f->model_count; i++) {
        struct deployment d = *base;
        d.model = &f->models[i];
        if (!suits(f, d.model, use, d.context))
            continue;
        struct remedy r = best_of(f, &d, use, target_tps);
        if (r.possible)
            insert(out, r);
    }
    for (size_t i = 0; i < out->count; i++) {
        const struct fact_model *m = out->at[i].d.model;
        out->at[i].what = m->id;
        out->at[i].why =
            m->swe_bench > 0
                ? arena_printf(a, "SWE-bench Verified %.1f as published", m->swe_bench).at
                : "no published coding score here: ranked by age and size, which is a guess";
    }
}
