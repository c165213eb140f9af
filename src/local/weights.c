/* The GGUF rule is llama.cpp's own: which tensor of which layer gets more bits than the file type's
 * base. It is known for dense models with a gated MLP; for the rest the file type's average stands
 * in, with a wider error. Once there is a file its header is summed (gguf.c) and no rule is asked.
 */
#include "local/weights.h"
#include "base/span.h"
#include <math.h>

#define EXTRA_LEAST 0.25e9 /* below it is rounding of the catalogue's figures */

double weights_block_bits(const struct facts *f, const char *type)
{
    const struct fact_quant *q = facts_quant(f, QUANT_BLOCK, span_from(type));
    return q && q->block_elems ? 8.0 * q->block_bytes / q->block_elems : 0;
}

bool weights_tied(const struct fact_model *m)
{
    double one = (double)m->vocab * m->hidden;
    return one > 0 && m->embed < 1.5 * one;
}

double weights_extra(const struct fact_model *m)
{
    double extra = m->total - m->embed - m->dense - m->expert;
    return extra > EXTRA_LEAST ? extra : 0;
}

bool weights_is_native_only(const struct fact_model *m)
{
    return m->dtype && (strstr(m->dtype, "mxfp4") || strstr(m->dtype, "int4"));
}

const struct fact_quant *weights_native(const struct facts *f, const struct fact_model *m)
{
    const struct fact_quant *q =
        m->dtype ? facts_quant(f, QUANT_FORMAT, span_from(m->dtype)) : NULL;
    return q ? q : facts_quant(f, QUANT_FORMAT, SPAN("bf16"));
}

static double bits_of(double bytes, double elements, double otherwise)
{
    return elements > 0 && bytes > 0 ? 8 * bytes / elements : otherwise;
}

struct fact_quant weights_file_format(const struct facts *f, const struct fact_model *m)
{
    const struct fact_quant *known =
        m->dtype ? facts_quant(f, QUANT_FORMAT, span_from(m->dtype)) : NULL;
    bool gguf = m->source && strstr(m->source, "header") != NULL;
    struct fact_quant q = {.id = m->dtype,
                           .kind = gguf ? QUANT_GGUF : QUANT_FORMAT,
                           .compute = "bf16",
                           .ppl_pct = NAN,
                           .tasks_pct = NAN,
                           .engines = gguf ? "llama.cpp" : "vLLM",
                           .source = m->source};
    if (known)
        q = *known;
    q.bits_dense = bits_of(m->file_dense, m->dense, 16);
    q.bits_embed = bits_of(m->file_embed, m->embed, q.bits_dense);
    q.bits_expert = bits_of(m->file_expert, m->expert, q.bits_dense);
    return q;
}

/* ---- GGUF mixes ---- */

struct shape { /* of a dense model with a gated MLP, as llama.cpp names its tensors */
    double layers, hidden, q, kv, inter, vocab;
    bool class_70b, few_kv_heads;
};

static double round_to(double n, double step)
{
    return (double)(int64_t)(n / step + 0.5) * step;
}

/* The MLP's width is what the rest of the dense parameters leaves; the catalogue's three decimals
 * are enough to find the multiple of 128 it is. */
static bool shape_of(const struct fact_model *m, struct shape *out)
{
    double h = m->hidden, l = m->layers;
    if (m->expert > 0 || l < 1 || h < 1 || m->kv_heads == 0 || m->window_elems > 0 ||
        m->state_bytes > 0 || m->hidden % 256)
        return false;
    double q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    double rest = (m->dense / l - 2 * h * (q + kv) - 2 * h) / (3 * h), inter = round_to(rest, 128);
    double counted = l * (2 * h * (q + kv) + 2 * h + 3 * h * inter);
    if (inter < h || (int64_t)inter % 256 || counted / m->dense > 1.002 ||
        counted / m->dense < 0.998)
        return false;
    *out = (struct shape){l,
                          h,
                          q,
                          kv,
                          inter,
                          m->vocab,
                          m->layers == 80 && m->heads != m->kv_heads,
                          m->heads >= 4 * m->kv_heads};
    return true;
}

/* Layers i of n that get more bits where the rule says "some". */
static bool more(uint32_t i, uint32_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

struct mix {
    const char *base, *v, *down, *output, *head;
};

static void mix_q3(const char *type, uint32_t i, uint32_t n, bool big, struct mix *x)
{
    x->base = x->v = x->down = x->output = "Q3_K";
    if (strcmp(type, "Q3_K_L") == 0)
        x->v = x->down = x->output = "Q5_K";
    if (strcmp(type, "Q3_K_M") == 0) {
        x->v = big || i < 2 ? "Q5_K" : "Q4_K";
        x->down = i < n / 16 ? "Q5_K" : "Q4_K";
        x->output = "Q4_K";
    }
    if (strcmp(type, "Q3_K_S") == 0 && big)
        x->v = "Q5_K";
}

static void mix_q4(const char *type, uint32_t i, uint32_t n, bool big, struct mix *x)
{
    x->base = x->v = x->down = x->output = "Q4_K";
    if (strcmp(type, "Q4_K_M") == 0) {
        x->v = more(i, n) ? "Q6_K" : big ? "Q5_K" : "Q4_K";
        x->down = more(i, n) ? "Q6_K" : "Q4_K";
    } else {
        x->v = big || i < 4 ? "Q5_K" : "Q4_K";
        x->down = i < n / 8 ? "Q5_K" : "Q4_K";
    }
}

/* The tensor types of layer i of n; false: no rule for this file type. */
static bool mix_of(const char *type, uint32_t i, uint32_t n, const struct shape *s, struct mix *x)
{
    static const char *const uniform[] = {"F16", "Q8_0", "Q6_K"};
    for (size_t k = 0; k < ARRAY_LEN(uniform); k++)
        if (strcmp(type, uniform[k]) == 0) {
            *x = (struct mix){type, type, type, type, type};
            return true;
        }
    *x = (struct mix){.head = "Q6_K"};
    if (strncmp(type, "Q5_K_", 5) == 0) {
        bool m = type[5] == 'M' && more(i, n);
        x->base = x->output = "Q5_K";
        x->v = x->down = m ? "Q6_K" : "Q5_K";
    } else if (strncmp(type, "Q4_K_", 5) == 0) {
        mix_q4(type, i, n, s->class_70b, x);
    } else if (strncmp(type, "Q3_K_", 5) == 0) {
        mix_q3(type, i, n, s->class_70b, x);
    } else if (strcmp(type, "Q2_K") == 0) {
        x->base = "Q2_K";
        x->v = s->few_kv_heads ? "Q4_K" : "Q3_K";
        x->down = x->output = "Q3_K";
    } else {
        return false;
    }
    return true;
}

/* Bits of the tensor types that mixes are made of, looked up once for all layers. */
struct mix_bits {
    const char *name;
    double bits;
};
#define MIX_TYPES 7

static void find_bits(const struct facts *f, struct mix_bits out[MIX_TYPES])
{
    static const char *const names[MIX_TYPES] = {"Q4_K", "Q6_K", "Q5_K", "Q3_K",
                                                 "Q2_K", "Q8_0", "F16"};
    for (size_t i = 0; i < MIX_TYPES; i++)
        out[i] = (struct mix_bits){names[i], weights_block_bits(f, names[i])};
}

static double bytes_of(const struct mix_bits bits[MIX_TYPES], const char *type, double elements)
{
    for (size_t i = 0; i < MIX_TYPES; i++)
        if (strcmp(bits[i].name, type) == 0)
            return bits[i].bits * elements / 8;
    assert(false); /* mixes name no other types */
    return 0;
}

static bool mix_weights(const struct facts *f, const struct fact_model *m,
                        const struct fact_quant *q, struct weights *w)
{
    struct shape s;
    struct mix x = {"Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q6_K"};
    struct mix_bits bits[MIX_TYPES];
    if (!shape_of(m, &s))
        return false;
    find_bits(f, bits);
    for (uint32_t i = 0; i < m->layers; i++) {
        if (!mix_of(q->id, i, m->layers, &s, &x))
            return false;
        w->dense += bytes_of(bits, x.base, s.hidden * (s.q + s.kv + 2 * s.inter)) +
                    bytes_of(bits, x.v, s.hidden * s.kv) +
                    bytes_of(bits, x.down, s.hidden * s.inter) +
                    bytes_of(bits, x.output, s.hidden * s.q) + 4 * 2 * s.hidden; /* F32 norms */
    }
    double head = bytes_of(bits, x.head, s.vocab * s.hidden);
    bool tied = weights_tied(m);
    w->token_embd = tied ? head : bytes_of(bits, x.base, s.vocab * s.hidden);
    w->embed = tied ? head : head + w->token_embd;
    w->basis = WEIGHTS_MIX;
    w->error = 0.003;
    return true;
}

/* ---- all formats ---- */

static void split_weights(const struct fact_model *m, const struct fact_quant *q, struct weights *w)
{
    w->embed = m->embed * q->bits_embed / 8;
    w->dense = m->dense * q->bits_dense / 8;
    w->expert = m->expert * q->bits_expert / 8;
    w->token_embd = weights_tied(m) ? w->embed : w->embed / 2;
    w->basis = q->kind == QUANT_GGUF ? WEIGHTS_AVERAGE : WEIGHTS_SPLIT;
    w->error = q->kind == QUANT_GGUF ? 0.08 : 0.03;
}

static void file_weights(const struct fact_model *m, struct weights *w)
{
    w->embed = m->file_embed;
    w->dense = m->file_dense;
    w->expert = m->file_expert;
    w->token_embd = m->file_token_embd;
    w->total = m->file_bytes;
    w->basis = WEIGHTS_FILE;
}

struct weights weights_of(const struct facts *f, const struct fact_model *m,
                          const struct fact_quant *q)
{
    struct weights w = {0};
    if (m->file_bytes > 0 && strcmp(q->id, m->dtype ? m->dtype : "") == 0) {
        file_weights(m, &w);
        return w;
    }
    if (q->kind != QUANT_GGUF || !mix_weights(f, m, q, &w))
        split_weights(m, q, &w);
    if (q->kind == QUANT_FORMAT)
        w.extra = 2 * weights_extra(m);
    w.total = w.embed + w.dense + w.expert + w.extra;
    if (q->kind == QUANT_FORMAT && m->layers)
        w.draft = (w.dense + w.expert) / m->layers * m->draft_layers;
    return w;
}

/* ---- cache ---- */

bool kv_is_mla(const struct fact_model *m)
{
    return m->attention && strstr(m->attention, "mla") != NULL;
}

double kv_bytes_per_token(const struct fact_model *m, const struct fact_quant *kv)
{
    return m->kv_elems * kv->bits_dense / 8;
}

double kv_bytes(const struct fact_model *m, const struct fact_quant *kv, double context)
{
    double in_window = context < m->window ? context : m->window;
    return (m->kv_elems * context + m->window_elems * in_window) * kv->bits_dense / 8 +
           m->state_bytes;
}

uint32_t kv_shards(const struct fact_model *m, uint32_t tp)
{
    if (kv_is_mla(m) || tp == 0)
        return 1;
    return m->kv_heads && m->kv_heads < tp ? m->kv_heads : tp;
}
