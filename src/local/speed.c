/* A decoding step costs the bytes it reads over the bandwidth, plus arithmetic, plus the traffic
 * between cards, plus a fixed time a layer. Experts are read when a token of the batch picks them:
 * with B tokens that is 1-(1-k/E)^B of them. Prompts of other requests are computed in between,
 * which is the second term of the arithmetic; beyond a ratio of 8 clients sit in prefill and the
 * real batch is smaller, so it is capped there. */
#include "local/speed.h"
#include "base/span.h"
#include <math.h>

#define LAYER_SECONDS 74e-6
#define LAYER_SECONDS_TP 88e-6
#define PREFILL_LAYER_SECONDS 0.2e-3
#define DECODE_MFU 0.58
#define MIXED_MFU 0.69
#define LINK_SHARE 0.6
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
#define BAND_DENSE 0.25
#define BAND_MOE 0.35

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

/* Share of the bandwidth that a step reaches. */
static double memory_share(const struct fact_model *m, const struct fact_gpu *g,
                           const struct fact_quant *q)
{
    if (m->expert <= 0)
        return or_else(q->decode_eff, 0.95);
    if (strcmp(q->id, "nvfp4") == 0)
        return 0.79;
    if (strstr(q->id, "mxfp4"))
        return is_blackwell(g) ? 0.79 : 0.71;
    return q->bits_expert < 8 ? 0.38 : 0.56;
}

static double weights_read(const struct speed_case *c)
{
    const struct fact_model *m = c->model;
    double touched = 1 - pow(1 - routed_share(m), c->batch);
    return m->dense * c->quant->bits_dense / 8 + lm_head(m) * c->quant->bits_embed / 8 +
           m->expert * touched * c->quant->bits_expert / 8;
}

static double cache_read(const struct speed_case *c)
{
    const struct fact_model *m = c->model;
    double context = c->isl + c->osl / 2;
    /* The constant state is read and written. */
    return c->batch * (kv_bytes(m, c->kv, context) + m->state_bytes);
}

double speed_vllm_step(const struct speed_case *c)
{
    const struct fact_model *m = c->model;
    double tp = c->tp ? c->tp : 1, ratio = fmin(c->isl / fmax(c->osl, 1), PREFILL_RATIO_MOST);
    double shards = kv_is_mla(m) ? 1 : tp;
    double memory = (weights_read(c) / tp + cache_read(c) / shards) /
                    (or_else(c->gpu->bandwidth, 1e9) * memory_share(m, c->gpu, c->quant));
    double work = 2 * speed_active(m) * c->batch / tp / flops(c->gpu, c->quant);
    double talk = 0;
    if (tp > 1)
        talk = 4.0 * m->layers * c->batch * (1 + ratio) * m->hidden * 2 * (tp - 1) / tp /
               (or_else(c->gpu->link, PCIE) * LINK_SHARE);
    return memory + work / DECODE_MFU + work * ratio / MIXED_MFU + talk +
           m->layers * (tp > 1 ? LAYER_SECONDS_TP : LAYER_SECONDS);
}

static double prefill_mfu(const struct fact_model *m, uint32_t tp)
{
    if (m->expert > 0)
        return 0.1;
    return tp <= 1 ? 0.43 : tp <= 2 ? 0.39 : tp <= 4 ? 0.31 : 0.24;
}

double speed_vllm_prefill(const struct speed_case *c)
{
    double tp = c->tp ? c->tp : 1;
    return 2 * speed_active(c->model) * c->isl / tp /
               (flops(c->gpu, c->quant) * prefill_mfu(c->model, c->tp)) +
           c->model->layers * PREFILL_LAYER_SECONDS;
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

double speed_band(const struct fact_model *m, const struct fact_gpu *g, enum engine e,
                  const char **out_why)
{
    bool fitted = g->vendor && strcmp(g->vendor, "NVIDIA") == 0 && g->klass &&
                  strcmp(g->klass, "datacentre") == 0;
    if (e == ENGINE_LLAMA_CPP) {
        bool fitted_on = m->expert <= 0 && strcmp(g->klass ? g->klass : "", "cpu") != 0;
        *out_why = fitted_on ? "llama.cpp: within this of seven published single-stream figures"
                             : "llama.cpp: extrapolated, no measured figure of this kind was found";
        return fitted_on ? 0.30 : 0.50;
    }
    if (!fitted) {
        *out_why = "extrapolated: the model was fitted on data-centre NVIDIA cards";
        return 0.50;
    }
    *out_why = m->expert > 0
                   ? "mixture of experts: nine of ten measured rows; the worst was 56 % off"
                   : "dense: nine of ten measured rows; the worst was 45 % off";
    return m->expert > 0 ? BAND_MOE : BAND_DENSE;
}
