/* A decoding step costs the bytes it reads over the bandwidth, plus arithmetic, plus the traffic
 * between cards, plus fixed times for a layer and a conversation. Experts are read when a token of
 * the batch picks them: with B tokens that is 1-(1-k/E)^B of them; their many small products are
 * bound by what the card's cores can gather before its memory is (H100 and H200 read them equally
 * fast). Prompts of other requests are computed in between: products and attention; beyond a ratio
 * of 8 clients sit in prefill and the real batch is smaller, so it is capped there. */
#include "local/speed.h"
#include "base/span.h"
#include <math.h>

#define MEMORY_SHARE 0.95
#define MLA_HEAD 160.0       /* prompts are read uncompressed: keys 192 wide, values 128 */
#define REQUEST_SECONDS 0.05 /* taking a request in, and the step that runs when it comes */
#define PREFILL_MFU_MOE 0.27
#define PREFILL_RATIO_MOST 8.0
#define LLAMA_FIXED_SECONDS 1e-3
#define LLAMA_FIXED_SECONDS_MOE 3e-3
#define LLAMA_MOE_SHARE 0.6 /* what vLLM loses between dense models and mixtures */
#define LLAMA_MFU 0.3
#define LLAMA_EFF 0.65
#define RAM_EFF 0.65
#define CPU_MFU 0.5
#define PCIE 32e9 /* bytes/s of a x16 slot, fourth generation */
#define UBATCH 512.0

const struct speed_fit speed_fitted = {
    .expert_rate = 2.8e-3,
    .mfu = 0.69,
    .attention_mfu = 0.18,
    .link_share = 0.43,
    .layer = 68e-6,
    .expert_layer = 17e-6,
    .sequence = 27e-6,
};

const char *engine_name(enum engine e)
{
    return e == ENGINE_VLLM ? "vllm" : "llama.cpp";
}

static double lm_head(const struct fact_model *m)
{
    return (double)m->vocab * m->hidden;
}

static double routed_share(const struct fact_model *m)
{
    return m->experts ? (double)m->experts_per_token / m->experts : 0;
}

double speed_active(const struct fact_model *m)
{
    return m->dense + m->expert * routed_share(m) + lm_head(m);
}

static bool is_blackwell(const struct fact_gpu *g)
{
    return g->arch && strncmp(g->arch, "sm1", 3) == 0;
}

static double or_else(double a, double b)
{
    return a > 0 ? a : b;
}

static double flops(const struct fact_gpu *g, const struct fact_quant *q)
{
    const char *c = q->compute ? q->compute : "bf16";
    double f = g->bf16;
    if (strcmp(q->id, "mxfp4") == 0 && is_blackwell(g))
        f = or_else(g->fp8, g->bf16);
    else if (strcmp(c, "fp8") == 0)
        f = or_else(g->fp8, g->bf16);
    else if (strcmp(c, "fp4") == 0)
        f = or_else(g->fp4, g->bf16);
    return or_else(f, 1e12);
}

/* Bytes of weights a step reads: those of every token, and of the experts picked. */
static double shared_read(const struct speed_case *c)
{
    return c->model->dense * c->quant->bits_dense / 8 +
           lm_head(c->model) * c->quant->bits_embed / 8;
}

static double experts_read(const struct speed_case *c)
{
    double touched = 1 - pow(1 - routed_share(c->model), c->batch);
    return c->model->expert * touched * c->quant->bits_expert / 8;
}

static double cache_read(const struct speed_case *c)
{
    const struct fact_model *m = c->model;
    double context = c->isl + c->osl / 2;
    /* The constant state is read and written. */
    return c->batch * (kv_bytes(m, c->kv, context) + m->state_bytes);
}

static double memory_seconds(const struct speed_case *c, const struct speed_fit *f, double tp)
{
    double shards = kv_is_mla(c->model) ? 1 : tp;
    double rate = or_else(c->gpu->bandwidth, 1e9) * or_else(c->quant->decode_eff, MEMORY_SHARE);
    double gather = or_else(c->gpu->bf16, 1e12) * f->expert_rate;
    return (shared_read(c) / tp + cache_read(c) / shards) / rate +
           experts_read(c) / tp / fmin(rate, gather);
}

/* FLOP of attention for one prompt token that sees `seen` tokens before it: two products. */
static double attention_flop(const struct fact_model *m, double seen)
{
    bool mla = kv_is_mla(m);
    double layer = mla ? m->head_dim : 2.0 * m->kv_heads * m->head_dim;
    double width = 4.0 * m->heads * (mla ? MLA_HEAD : m->head_dim);
    if (layer <= 0)
        return 0;
    return width * (m->kv_elems / layer * seen + m->window_elems / layer * fmin(seen, m->window));
}

/* Attention over prompts of which `tokens` are read, and the traffic between cards of `tokens`. */
static double look_seconds(const struct speed_case *c, const struct speed_fit *f, double tokens)
{
    double peak = or_else(c->gpu->bf16, 1e12) * (c->tp ? c->tp : 1);
    return attention_flop(c->model, c->isl / 2) * tokens / (peak * f->attention_mfu);
}

static double talk_seconds(const struct speed_case *c, const struct speed_fit *f, double tokens)
{
    double tp = c->tp, rate = or_else(c->gpu->link, PCIE) * f->link_share;
    if (c->tp <= 1)
        return 0;
    return 4.0 * c->model->layers * tokens * c->model->hidden * 2 * (tp - 1) / tp / rate;
}

static double work_seconds(const struct speed_case *c, double tokens, double mfu)
{
    return 2 * speed_active(c->model) * tokens / (c->tp ? c->tp : 1) /
           (flops(c->gpu, c->quant) * mfu);
}

double speed_vllm_step(const struct speed_case *c)
{
    const struct fact_model *m = c->model;
    const struct speed_fit *f = c->fit ? c->fit : &speed_fitted;
    double ratio = fmin(c->isl / fmax(c->osl, 1), PREFILL_RATIO_MOST);
    double tokens = c->batch * (1 + ratio); /* answered, and read of prompts */
    return memory_seconds(c, f, c->tp ? c->tp : 1) + work_seconds(c, tokens, f->mfu) +
           look_seconds(c, f, c->batch * ratio) + talk_seconds(c, f, tokens) +
           m->layers * (f->layer + (m->expert > 0 ? f->expert_layer : 0)) + c->batch * f->sequence;
}

double speed_vllm_prefill(const struct speed_case *c)
{
    const struct speed_fit *f = c->fit ? c->fit : &speed_fitted;
    double mfu = c->model->expert > 0 ? PREFILL_MFU_MOE : f->mfu;
    return REQUEST_SECONDS + work_seconds(c, c->isl, mfu) + look_seconds(c, f, c->isl) +
           talk_seconds(c, f, c->isl) + c->model->layers * f->layer;
}

double speed_llama_step(const struct speed_llama *c)
{
    double t = LLAMA_FIXED_SECONDS, eff = or_else(c->quant->decode_eff, LLAMA_EFF);
    if (c->quant->kind == QUANT_FORMAT)
        eff = LLAMA_EFF;
    if (c->model->expert > 0) { /* many small matrices: launches and gathering cost more */
        t = LLAMA_FIXED_SECONDS_MOE;
        eff *= LLAMA_MOE_SHARE;
    }
    if (c->gpu)
        t += c->gpu_bytes / (or_else(c->gpu->bandwidth, 1e9) * eff);
    if (c->host_bytes > 0 && c->host)
        t += c->host_bytes / (or_else(c->host->bandwidth, 1e9) * RAM_EFF);
    return t;
}

double speed_llama_prefill(const struct speed_llama *c)
{
    double work = 2 * speed_active(c->model) * c->isl;
    if (!c->gpu)
        return work / (or_else(c->host ? c->host->bf16 : 0, 1e12) * CPU_MFU);
    /* What lies in host memory is sent over for each batch of the prompt. */
    return work / (or_else(c->gpu->bf16, 1e12) * LLAMA_MFU) +
           c->host_bytes / PCIE * ceil(c->isl / UBATCH);
}

static const struct speed_band bands[SPEED_CLASS_COUNT] = {
    [SPEED_DENSE] = {SPEED_DENSE, 0.25, 0.40, 0.07, 97,
                     "vLLM, dense model, data-centre cards of the H100 and B200 generations"},
    [SPEED_MOE] = {SPEED_MOE, 0.30, 0.60, 0.18, 67,
                   "vLLM, mixture of experts, data-centre cards of the H100 generation"},
    [SPEED_QUEUED] = {SPEED_QUEUED, 0.50, 1.0, 0, 3,
                      "vLLM, more conversations than fit, so requests wait"},
    [SPEED_OTHER] = {SPEED_OTHER, 0.50, 1.0, 0, 5, "vLLM, other cards, extrapolated"},
    [SPEED_LLAMA] = {SPEED_LLAMA, 0.30, 0.50, 0, 8, "llama.cpp, dense model on a card"},
    [SPEED_LLAMA_OTHER] = {SPEED_LLAMA_OTHER, 0.50, 1.0, 0, 0,
                           "llama.cpp, mixture of experts or processor, extrapolated"},
    [SPEED_FIRST] = {SPEED_FIRST, 0.60, 1.0, 0, 52,
                     "vLLM, first token, four requests at once, H100 and B200 generations"},
    [SPEED_FIRST_OTHER] = {SPEED_FIRST_OTHER, 0.60, 1.5, 0, 0,
                           "first token on other cards or in llama.cpp, extrapolated"},
};

static bool is(const char *s, const char *what)
{
    return s && strcmp(s, what) == 0;
}

/* Hopper and Blackwell of data centres: the cards that published rows are of. */
static bool is_compared(const struct fact_gpu *g)
{
    return is(g->vendor, "NVIDIA") && is(g->klass, "datacentre") &&
           (is(g->arch, "sm90") || is_blackwell(g));
}

const struct speed_band *speed_band(const struct fact_model *m, const struct fact_gpu *g,
                                    enum engine e, bool queued)
{
    enum speed_class kind = SPEED_OTHER;
    if (e == ENGINE_LLAMA_CPP)
        kind = m->expert > 0 || is(g->klass, "cpu") ? SPEED_LLAMA_OTHER : SPEED_LLAMA;
    else if (is_compared(g))
        kind = queued ? SPEED_QUEUED : m->expert > 0 ? SPEED_MOE : SPEED_DENSE;
    return &bands[kind];
}

const struct speed_band *speed_first_band(const struct fact_gpu *g, enum engine e)
{
    return &bands[e == ENGINE_VLLM && is_compared(g) ? SPEED_FIRST : SPEED_FIRST_OTHER];
}
