/* vLLM and llama.cpp count memory differently: vLLM takes a share of the card and gives what
 * weights and a profiled peak leave to the cache; llama.cpp lays weights, cache and one compute
 * buffer side by side and keeps the input embedding in host memory. Constants name where they are
 * from in docs/planning.md. */
#include "local/estimate.h"
#include "base/span.h"
#include <math.h>
#include <stdlib.h>

#define GIB 1073741824.0
#define BLOCK_TOKENS 16.0
#define CONTEXT_GIB 0.5 /* CUDA context of llama.cpp */
#define HOST_SHARE 0.9  /* of RAM that an engine may take */
#define GRAPHS_GIB 0.5
#define MLA_TP_GIB 3.5
#define MLA_REPLICATED 0.03
#define HYBRID_GIB 4.6
#define PCIE4 32e9
#define BATCH_MOST 256.0
#define BATCH_USUAL 64.0 /* of a server nobody said more about */
#define SLOTS_USUAL 4.0

bool estimate_engine_has(const struct fact_quant *q, enum engine e)
{
    return q->engines && strstr(q->engines, e == ENGINE_VLLM ? "vLLM" : "llama.cpp") != NULL;
}

static long sm_of(const char *arch)
{
    return arch && strncmp(arch, "sm", 2) == 0 ? strtol(arch + 2, NULL, 10) : 0;
}

bool estimate_card_has(const struct fact_quant *q, const struct fact_gpu *g)
{
    long have = sm_of(g->arch), need = sm_of(q->min_sm);
    return have == 0 || have >= need; /* other makers: their engine builds decide */
}

const char *estimate_split_refused(const struct deployment *d)
{
    if (d->engine == ENGINE_LLAMA_CPP)
        return NULL;
    if (d->tp > 1 && d->model->heads % d->tp)
        return "tensor parallelism must divide the attention heads";
    if (d->pp > 1 && d->pp > d->model->layers)
        return "more stages than layers";
    return NULL;
}

static double ranks(const struct deployment *d)
{
    return (double)d->tp * d->pp;
}

/* ---- vLLM ---- */

static double vllm_overhead(const struct deployment *d)
{
    const struct fact_model *m = d->model;
    double gib = 1.2 + 0.15 * d->tp;
    if (m->expert > 0)
        gib += 1.5;
    if (weights_extra(m) > 0 && !d->text_only)
        gib += 1.5;
    if (m->state_bytes > 0)
        gib += HYBRID_GIB;
    if (kv_is_mla(m) && d->tp > 1)
        gib += MLA_TP_GIB;
    if (d->eager)
        gib -= GRAPHS_GIB;
    return gib * GIB;
}

static void vllm_memory(const struct deployment *d, struct memory *out)
{
    const struct fact_model *m = d->model;
    double shards = (double)kv_shards(m, d->tp) * d->pp, copies = 1;
    if (kv_is_mla(m) && d->tp > 1)
        copies = 1 + MLA_REPLICATED;
    out->visible = d->gpu->vram_gib * GIB;
    out->budget = out->visible * d->utilization;
    out->weights_here = out->weights.total * copies / ranks(d) - d->offload;
    if (d->pp > 1) /* the first stage has the embedding on top, the last the head */
        out->weights_here += out->weights.embed / 2 * (1 - 1.0 / d->pp) / d->tp;
    out->offloaded = d->offload;
    out->host_needed = d->offload * ranks(d);
    out->overhead = vllm_overhead(d);
    out->kv_room = out->budget - out->weights_here - out->overhead;
    out->kv_sequence =
        (kv_bytes(m, d->kv, d->context) - m->state_bytes) / shards + m->state_bytes / ranks(d);
    /* Constant states have their share of the overhead; the server counts tokens without them. */
    double per_token = (out->kv_sequence - m->state_bytes / ranks(d)) / d->context;
    double tokens = per_token > 0 ? out->kv_room / per_token : 0;
    out->tokens = tokens > 0 ? floor(tokens / BLOCK_TOKENS) * BLOCK_TOKENS : 0;
}

/* ---- llama.cpp ---- */

/* Bytes that stay in host memory: the input embedding, whole layers, experts of some layers. */
static double llama_host_weights(const struct deployment *d, const struct weights *w)
{
    const struct fact_model *m = d->model;
    if (!d->gpu)
        return w->total;
    double layers = m->layers ? m->layers : 1;
    double cpu = d->cpu_layers, moe = d->cpu_moe > cpu ? d->cpu_moe - cpu : 0;
    double host = w->token_embd + (w->dense + w->expert) * cpu / layers;
    return host + w->expert * moe / layers;
}

static double llama_overhead(const struct deployment *d)
{
    double compute = 512.0 * ((double)d->model->vocab + d->model->hidden) * 4;
    return compute + (d->gpu ? CONTEXT_GIB * GIB : 0);
}

static void llama_memory(const struct deployment *d, struct memory *out)
{
    const struct fact_model *m = d->model;
    double cards = d->gpu ? d->pp : 1, layers = m->layers ? m->layers : 1;
    double on_gpu = d->gpu ? 1 - d->cpu_layers / layers : 1;
    double host = llama_host_weights(d, &out->weights), kv = kv_bytes(m, d->kv, d->context);
    bool shared = d->gpu && d->gpu->ram_share > 0;
    double own = d->gpu && !shared ? d->gpu->vram_gib * GIB : 0;
    out->visible = d->gpu ? (shared ? d->ram * d->gpu->ram_share : own) : d->ram * HOST_SHARE;
    out->budget = out->visible;
    out->overhead = llama_overhead(d);
    out->offloaded = d->gpu ? host : 0;
    out->weights_here = (out->weights.total - out->offloaded) / cards;
    out->kv_sequence = kv * on_gpu / cards;
    out->kv_room = out->budget - out->weights_here - out->overhead;
    double per_token = out->kv_sequence / d->context;
    out->tokens = per_token > 0 && out->kv_room > 0 ? floor(out->kv_room / per_token) : 0;
    if (d->gpu)
        out->host_needed = out->offloaded + kv * (1 - on_gpu) * d->sequences;
}

void estimate_memory(const struct facts *f, const struct deployment *d, struct memory *out)
{
    *out = (struct memory){0};
    assert(d->host && d->context >= 1);
    out->weights = weights_of(f, d->model, d->quant);
    if (d->engine == ENGINE_VLLM && d->gpu)
        vllm_memory(d, out);
    else
        llama_memory(d, out);
    out->host_budget = d->ram * HOST_SHARE;
    out->most_sequences = out->kv_room <= 0 ? 0
                          : out->kv_sequence > 0
                              ? floor(out->kv_room / out->kv_sequence * (1 + 1e-12))
                              : BATCH_MOST;
    out->fits = out->most_sequences >= d->sequences && out->host_needed <= out->host_budget;
    out->error = out->weights.error * out->weights_here + 0.3 * out->overhead;
}

/* ---- speed ---- */

static struct speed_case case_of(const struct deployment *d, double batch)
{
    return (struct speed_case){.model = d->model,
                               .quant = d->quant,
                               .kv = d->kv,
                               .gpu = d->gpu,
                               .tp = d->tp,
                               .isl = d->isl,
                               .osl = d->osl,
                               .batch = batch};
}

static double vllm_step(const struct deployment *d, double batch)
{
    struct speed_case c = case_of(d, batch);
    /* Stages of a pipeline follow one another for each token; weights in host memory cross the bus
     * in every step. */
    return speed_vllm_step(&c) + d->offload * d->pp / PCIE4;
}

/* Bytes that each token reads: of experts only those it is sent to. */
static struct speed_llama llama_of(const struct deployment *d, const struct memory *m)
{
    const struct weights *w = &m->weights;
    const struct fact_model *model = d->model;
    double routed = model->experts ? (double)model->experts_per_token / model->experts : 0;
    double layers = model->layers ? model->layers : 1, cpu = d->cpu_layers / layers;
    double moe = d->cpu_moe > d->cpu_layers ? (d->cpu_moe - d->cpu_layers) / layers : 0;
    double head = w->embed - (weights_tied(model) ? 0 : w->token_embd);
    double cache = kv_bytes(model, d->kv, d->isl + d->osl / 2) + model->state_bytes;
    double all = w->dense + w->expert * routed + cache;
    double host = all * cpu + w->expert * routed * moe;
    struct speed_llama c = {.model = model,
                            .quant = d->quant,
                            .gpu = d->gpu,
                            .host = d->host,
                            .gpu_bytes = all - host + head,
                            .host_bytes = host,
                            .isl = d->isl};
    if (!d->gpu) {
        c.host_bytes = all + head;
        c.gpu_bytes = 0;
    }
    return c;
}

static void llama_speed(const struct deployment *d, const struct memory *m, struct speed *out)
{
    struct speed_llama c = llama_of(d, m);
    double step = speed_llama_step(&c);
    out->first_token = speed_llama_prefill(&c) + step;
    out->one = 1 / step;
    /* Slots share each pass over the weights; small batches scale well below that on a card, and
     * hardly on a processor. */
    double gain = d->gpu ? pow(out->batch, 0.6) : pow(out->batch, 0.3);
    out->all = d->osl * gain / (out->first_token + step * (d->osl - 1));
}

static void vllm_speed(const struct deployment *d, struct speed *out)
{
    struct speed_case alone = case_of(d, 1);
    double bus = d->offload * d->pp / PCIE4;
    out->first_token = speed_vllm_prefill(&alone) + bus;
    out->one = 1 / vllm_step(d, 1);
    out->all =
        out->batch * d->osl / (out->first_token + vllm_step(d, out->batch) * fmax(d->osl - 1, 1));
}

void estimate_speed(const struct deployment *d, const struct memory *m, struct speed *out)
{
    *out = (struct speed){0};
    double fit = fmin(fmax(m->most_sequences, 1), BATCH_MOST);
    double usual = d->engine == ENGINE_VLLM ? BATCH_USUAL : d->gpu ? SLOTS_USUAL : 1;
    out->batch = fmin(d->sequences > 1 ? d->sequences : usual, fit);
    const struct fact_gpu *g = d->gpu ? d->gpu : d->host;
    out->band = speed_band(d->model, g, d->engine, d->sequences > fit);
    out->first_band = speed_first_band(g, d->engine);
    if (d->engine == ENGINE_VLLM && d->gpu)
        vllm_speed(d, out);
    else
        llama_speed(d, m, out);
    if (d->usd_h > 0 && out->all > 0) {
        double busy = d->busy > 0 ? d->busy : 1;
        out->usd_output = d->usd_h * 1e6 / (3600 * out->all * busy);
        out->usd_blended = out->usd_output / (1 + d->isl / fmax(d->osl, 1));
    }
}

struct range estimate_time_range(double seconds, const struct speed_band *b)
{
    return (struct range){seconds * (1 - b->faster), seconds * (1 + b->slower)};
}

struct range estimate_rate_range(double per_second, const struct speed_band *b)
{
    return (struct range){per_second / (1 + b->slower), per_second / (1 - b->faster)};
}
