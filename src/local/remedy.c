/* The order is by what it costs: bits first (little accuracy, more speed), then the cache, then the
 * context, then money (more cards), then time (host memory), then another model. */
#include "local/remedy.h"
#include "base/span.h"
#include <math.h>

#define GIB 1073741824.0
#define CONTEXT_STEP 256.0
#define CONTEXT_LEAST 1024.0
#define CARDS_MOST 16u
#define OFFLOAD_MOST_GIB 512u

const char *remedy_name(enum remedy_kind k)
{
    static const char *const names[REMEDY_KIND_COUNT] = {
        [REMEDY_QUANT] = "smaller quantization",
        [REMEDY_KV] = "smaller cache entries",
        [REMEDY_CONTEXT] = "shorter context",
        [REMEDY_TENSOR_PARALLEL] = "tensor parallelism",
        [REMEDY_PIPELINE_PARALLEL] = "pipeline parallelism",
        [REMEDY_OFFLOAD] = "weights in host memory",
        [REMEDY_LAYERS] = "layers in host memory, loaded on demand",
        [REMEDY_SMALLER_MODEL] = "smaller model",
    };
    assert((unsigned)k < REMEDY_KIND_COUNT);
    return names[k];
}

const char *remedy_accuracy(const struct fact_model *m, const struct fact_quant *q, struct arena *a)
{
    struct span s = SPAN_EMPTY;
    if (weights_is_native_only(m) && m->dtype && strcmp(q->id, m->dtype) == 0)
        return "none: it was trained in this format";
    if (!isnan(q->ppl_pct) && q->ppl_pct > 0)
        s = arena_printf(a, "perplexity +%.3g %% (%s)", q->ppl_pct, q->ppl_on ? q->ppl_on : "?");
    if (!isnan(q->tasks_pct) && q->tasks_pct < 100)
        s = arena_printf(a, "%.*s%s%.1f %% of the 16-bit task score", SPAN_FMT(s),
                         s.len ? "; " : "", q->tasks_pct);
    if (q->effect)
        s = arena_printf(a, "%.*s%s%s", SPAN_FMT(s), s.len ? "; " : "", q->effect);
    return s.len ? s.at : "not measured";
}

struct work {
    const struct facts *f;
    const struct deployment *from;
    struct arena *a;
    struct remedies *out;
};

static struct remedy judge(const struct facts *f, enum remedy_kind kind, struct deployment d)
{
    struct remedy r = {.kind = kind, .d = d};
    estimate_memory(f, &d, &r.m);
    estimate_speed(&d, &r.m, &r.s);
    r.possible = r.m.fits && !estimate_split_refused(&d);
    return r;
}

static bool fits(const struct facts *f, const struct deployment *d)
{
    struct memory m;
    if (estimate_split_refused(d))
        return false;
    estimate_memory(f, d, &m);
    return m.fits;
}

static void add(struct work *w, struct remedy r, const char *what, const char *why)
{
    r.what = what;
    r.why = why;
    if (w->out->count < REMEDIES_MAX)
        w->out->at[w->out->count++] = r;
}

static const char *shortage(const struct remedy *r, struct arena *a)
{
    if (r->m.host_needed > r->m.host_budget)
        return arena_printf(a, "host memory: %.1f GiB wanted, %.1f there", r->m.host_needed / GIB,
                            r->m.host_budget / GIB)
            .at;
    if (r->m.kv_room <= 0)
        return arena_printf(a, "weights and engine are %.1f GiB too large", -r->m.kv_room / GIB).at;
    return arena_printf(a, "room for %.0f of %.0f conversations", r->m.most_sequences,
                        r->d.sequences)
        .at;
}

/* ---- one function for each kind ---- */

static const struct fact_quant *kv_of(const struct facts *f, const char *id)
{
    const struct fact_quant *q = facts_quant(f, QUANT_KV, span_from(id));
    assert(q);
    return q;
}

/* llama.cpp is without tensor parallelism: all cards become stages. */
static void to_llama(const struct facts *f, struct deployment *d)
{
    if (d->engine == ENGINE_LLAMA_CPP)
        return;
    d->engine = ENGINE_LLAMA_CPP;
    d->pp *= d->tp;
    d->tp = 1;
    d->offload = 0;
    if (strcmp(d->kv->id, "fp8") == 0)
        d->kv = kv_of(f, "q8_0");
}

static void add_quant(struct work *w, const char *id)
{
    const struct fact_quant *q = facts_quant(w->f, QUANT_GGUF, span_from(id));
    struct deployment d = *w->from;
    if (!q || (d.model->file_bytes > 0 && q->bits_dense >= d.quant->bits_dense))
        return;
    if (weights_of(w->f, d.model, q).total >= weights_of(w->f, d.model, d.quant).total)
        return;
    d.quant = q;
    if (!estimate_engine_has(q, ENGINE_VLLM) || !d.gpu)
        to_llama(w->f, &d);
    if (d.engine == ENGINE_LLAMA_CPP && !estimate_engine_has(q, ENGINE_LLAMA_CPP))
        return;
    if (d.gpu && !estimate_card_has(q, d.gpu))
        return;
    struct remedy r = judge(w->f, REMEDY_QUANT, d);
    const char *what = arena_printf(w->a, "%s, %.1f GiB, %s", q->id, r.m.weights.total / GIB,
                                    engine_name(d.engine))
                           .at;
    const char *loss = remedy_accuracy(d.model, q, w->a);
    add(w, r, what, r.possible ? loss : arena_printf(w->a, "%s; %s", shortage(&r, w->a), loss).at);
}

static void add_quants(struct work *w)
{
    static const char *const ids[] = {"fp8",  "awq",    "gptq",   "nvfp4",  "Q8_0",
                                      "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"};
    if (weights_is_native_only(w->from->model) && w->from->model->file_bytes <= 0 &&
        w->from->quant == weights_native(w->f, w->from->model)) {
        add(w, judge(w->f, REMEDY_QUANT, *w->from), "none",
            "it was trained in its format: quantizing it again costs more than a smaller model");
        w->out->at[w->out->count - 1].possible = false;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (strcmp(ids[i], "nvfp4") != 0 ||
            (w->from->gpu && w->from->gpu->fp4 > 0)) /* elsewhere AWQ is as small and as fast */
            add_quant(w, ids[i]);
}

static void add_kv(struct work *w, const char *id)
{
    struct deployment d = *w->from;
    d.kv = kv_of(w->f, id);
    if (d.kv->bits_dense >= w->from->kv->bits_dense)
        return;
    struct remedy r = judge(w->f, REMEDY_KV, d);
    const char *how = d.engine == ENGINE_VLLM
                          ? arena_printf(w->a, "--kv-cache-dtype %s", id).at
                          : arena_printf(w->a, "-ctk %s -ctv %s -fa on", id, id).at;
    const char *loss = d.kv->effect ? d.kv->effect : "not measured";
    add(w, r, how, r.possible ? loss : shortage(&r, w->a));
}

static double longest_context(const struct facts *f, struct deployment d)
{
    double low = 0, high = floor(d.context / CONTEXT_STEP);
    while (low < high) {
        double mid = ceil((low + high) / 2);
        d.context = mid * CONTEXT_STEP;
        if (fits(f, &d))
            low = mid;
        else
            high = mid - 1;
    }
    return low * CONTEXT_STEP;
}

static void add_context(struct work *w)
{
    struct deployment d = *w->from;
    double most = longest_context(w->f, d);
    d.context = most >= CONTEXT_LEAST ? most : CONTEXT_LEAST;
    if (d.isl + d.osl > d.context) { /* speed and price are told for what then fits */
        d.osl = fmin(d.osl, d.context / 4);
        d.isl = d.context - d.osl;
    }
    struct remedy r = judge(w->f, REMEDY_CONTEXT, d);
    add(w, r, arena_printf(w->a, "%.0f tokens", d.context).at,
        r.possible ? "no accuracy; longer conversations are shortened or refused"
                   : shortage(&r, w->a));
}

static void add_cards(struct work *w, enum remedy_kind kind)
{
    struct deployment d = *w->from;
    bool tensor = kind == REMEDY_TENSOR_PARALLEL;
    uint32_t cards = d.tp * d.pp;
    if (!d.gpu || (tensor && d.engine == ENGINE_LLAMA_CPP))
        return;
    for (uint32_t n = 2; n * cards <= CARDS_MOST; n *= 2) {
        d = *w->from;
        if (tensor)
            d.tp *= n;
        else
            d.pp *= n;
        d.usd_h *= n;
        if (fits(w->f, &d) || 2 * n * cards > CARDS_MOST)
            break;
    }
    struct remedy r = judge(w->f, kind, d);
    const char *what =
        tensor ? arena_printf(w->a, "%u cards, --tensor-parallel-size %u", d.tp * d.pp, d.tp).at
        : d.engine == ENGINE_VLLM
            ? arena_printf(w->a, "%u cards, --pipeline-parallel-size %u", d.tp * d.pp, d.pp).at
            : arena_printf(w->a, "%u cards, -sm layer", d.pp).at;
    const char *refused = estimate_split_refused(&d);
    add(w, r, what,
        refused       ? refused
        : !r.possible ? shortage(&r, w->a)
        : tensor      ? "no accuracy; needs a fast link, best inside one machine"
                      : "no accuracy; one conversation is no faster than on one card");
}

static void add_offload(struct work *w)
{
    struct deployment d = *w->from;
    if (!d.gpu || d.engine != ENGINE_VLLM)
        return;
    double card = weights_of(w->f, d.model, d.quant).total / (d.tp * d.pp);
    for (unsigned gib = 1; gib <= OFFLOAD_MOST_GIB; gib++) {
        if (gib * GIB >= card)
            break;
        d.offload = gib * GIB;
        if (fits(w->f, &d))
            break;
    }
    struct remedy r = judge(w->f, REMEDY_OFFLOAD, d);
    add(w, r, arena_printf(w->a, "--cpu-offload-gb %.0f", d.offload / GIB).at,
        r.possible ? "no accuracy; these bytes cross the bus for every token: a last resort"
                   : shortage(&r, w->a));
}

/* The format llama.cpp has that is nearest to what was asked for. */
static const struct fact_quant *llama_quant(const struct facts *f, const struct deployment *d)
{
    if (estimate_engine_has(d->quant, ENGINE_LLAMA_CPP))
        return d->quant;
    const char *id = d->quant->bits_dense >= 16  ? "F16"
                     : d->quant->bits_dense >= 8 ? "Q8_0"
                                                 : "Q4_K_M";
    return facts_quant(f, QUANT_GGUF, span_from(id));
}

static void add_moe_layers(struct work *w, struct deployment d)
{
    for (d.cpu_moe = 1; d.cpu_moe < d.model->layers; d.cpu_moe++)
        if (fits(w->f, &d))
            break;
    struct remedy r = judge(w->f, REMEDY_LAYERS, d);
    add(w, r,
        arena_printf(w->a, "llama.cpp %s, --n-cpu-moe %u of %u layers", d.quant->id, d.cpu_moe,
                     d.model->layers)
            .at,
        r.possible ? "no accuracy beyond the format's; experts are read from host memory (mmap)"
                   : shortage(&r, w->a));
}

static void add_layers(struct work *w)
{
    struct deployment d = *w->from;
    d.quant = llama_quant(w->f, &d);
    to_llama(w->f, &d);
    if (!d.gpu || !d.quant)
        return;
    if (d.model->expert > 0)
        add_moe_layers(w, d);
    for (d.cpu_layers = 1; d.cpu_layers < d.model->layers; d.cpu_layers++)
        if (fits(w->f, &d))
            break;
    struct remedy r = judge(w->f, REMEDY_LAYERS, d);
    add(w, r,
        arena_printf(w->a, "llama.cpp %s, -ngl %u of %u layers", d.quant->id,
                     d.model->layers - d.cpu_layers, d.model->layers)
            .at,
        r.possible ? "no accuracy beyond the format's; the rest is mapped from disk and computed "
                     "by the processor"
                   : shortage(&r, w->a));
}

static const struct fact_quant *smallest_good(const struct facts *f, const struct deployment *d)
{
    static const char *const vllm[] = {"fp8", "awq"}, *const llama[] = {"Q8_0", "Q5_K_M", "Q4_K_M"};
    bool v = d->engine == ENGINE_VLLM;
    const char *const *ids = v ? vllm : llama;
    struct deployment t = *d;
    t.quant = weights_native(f, d->model);
    if (estimate_engine_has(t.quant, d->engine) &&
        (!d->gpu || estimate_card_has(t.quant, d->gpu)) && fits(f, &t))
        return t.quant;
    if (weights_is_native_only(d->model))
        return NULL;
    for (size_t i = 0; i < (v ? ARRAY_LEN(vllm) : ARRAY_LEN(llama)); i++) {
        t.quant = facts_quant(f, QUANT_GGUF, span_from(ids[i]));
        if (t.quant && (!d->gpu || estimate_card_has(t.quant, d->gpu)) && fits(f, &t))
            return t.quant;
    }
    return NULL;
}

/* Later, or as late and larger. */
static bool is_newer(const struct fact_model *m, const struct fact_model *than)
{
    int later = m->released ? strcmp(m->released, than->released ? than->released : "") : -1;
    return later > 0 || (later == 0 && m->total > than->total);
}

static void add_smaller(struct work *w)
{
    const struct fact_model *best = NULL;
    struct deployment d = *w->from;
    for (size_t i = 0; i < w->f->model_count; i++) {
        const struct fact_model *m = &w->f->models[i];
        if (m->total >= w->from->model->total || m->context < d.context ||
            (best && !is_newer(m, best)))
            continue;
        d.model = m;
        const struct fact_quant *q = smallest_good(w->f, &d);
        if (q)
            best = m;
    }
    if (!best)
        return;
    d.model = best;
    d.quant = smallest_good(w->f, &d);
    struct remedy r = judge(w->f, REMEDY_SMALLER_MODEL, d);
    add(w, r, arena_printf(w->a, "%s, %s", best->id, d.quant->id).at,
        arena_printf(w->a, "another model (%s): try your own conversations on it",
                     best->released ? best->released : "?")
            .at);
}

void remedies_of(const struct facts *f, const struct deployment *d, struct arena *a,
                 struct remedies *out)
{
    struct work w = {f, d, a, out};
    out->count = 0;
    add_quants(&w);
    if (d->engine == ENGINE_VLLM) {
        add_kv(&w, "fp8");
    } else {
        add_kv(&w, "q8_0");
        add_kv(&w, "q4_0");
    }
    add_context(&w);
    add_cards(&w, REMEDY_TENSOR_PARALLEL);
    add_cards(&w, REMEDY_PIPELINE_PARALLEL);
    add_offload(&w);
    add_layers(&w);
    add_smaller(&w);
}
