/* Parameters are counted from the shape as the layers are built: attention, MLP or experts, norms.
 * What a configuration does not say (biases, tiny gates) is left out; the result is within 2 % for
 * the published models that were tried. */
#include "local/hf_config.h"
#include "base/span.h"
#include "json/json.h"

#define NUMBER_MOST 1e9
#define HEADS_MOST 65536.0
#define CONTEXT_MOST 4e9

struct reader {
    struct json root, text; /* text: the language model's part of a multimodal one */
    const char *missing;
};

/* The first of the names that there is; 0 when none is, or it is no sensible number. */
static double any_of(const struct reader *r, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double d = 0;
        struct json v = json_get(r->text, names[i]);
        if (!json_present(v))
            v = json_get(r->root, names[i]);
        if (json_double(v, &d) == ERR_OK && d >= 0 && d <= NUMBER_MOST)
            return (double)(int64_t)d;
    }
    return 0;
}
#define NUMBER(r, ...)                                                                             \
    any_of((r), (const char *const[]){__VA_ARGS__},                                                \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static bool is_true(const struct reader *r, const char *name)
{
    struct json v = json_get(r->text, name);
    return json_true(json_present(v) ? v : json_get(r->root, name));
}

struct shape {
    double hidden, layers, heads, kv_heads, head_dim, inter, vocab, context;
    double experts, used, moe_inter, shared, dense_layers, moe_step;
    double kv_lora, q_lora, rope_dim, nope_dim, v_dim;
    double window, window_layers, linear_layers;
    double nk, nv, dk, dv, conv; /* linear attention */
};

static void read_layer_types(const struct reader *r, struct shape *s)
{
    struct json types = json_get(r->text, "layer_types");
    double n = 0, windows = 0, linear = 0;
    for (struct json t = json_first(types); json_present(t); t = json_next(types, t), n++) {
        windows += json_str_is(t, "sliding_attention") || json_str_is(t, "chunked_attention");
        linear += json_str_is(t, "linear_attention");
    }
    double every = NUMBER(r, "full_attention_interval");
    if (n == s->layers) {
        s->window_layers = windows;
        s->linear_layers = linear;
    } else if (every > 1) {
        s->linear_layers = s->layers - (double)(int64_t)(s->layers / every);
    } else if (s->window > 0 && is_true(r, "use_sliding_window")) {
        double full = NUMBER(r, "max_window_layers");
        s->window_layers = full < s->layers ? s->layers - full : 0;
    }
}

static struct shape read_shape(const struct reader *r)
{
    struct shape s = {
        .hidden = NUMBER(r, "hidden_size", "n_embd", "d_model"),
        .layers = NUMBER(r, "num_hidden_layers", "n_layer", "n_layers"),
        .heads = NUMBER(r, "num_attention_heads", "n_head", "n_heads"),
        .kv_heads = NUMBER(r, "num_key_value_heads", "num_kv_heads"),
        .head_dim = NUMBER(r, "head_dim"),
        .inter = NUMBER(r, "intermediate_size", "ffn_hidden_size"),
        .vocab = NUMBER(r, "vocab_size"),
        .context = NUMBER(r, "max_position_embeddings", "n_positions", "seq_length"),
        .experts = NUMBER(r, "num_local_experts", "num_experts", "n_routed_experts"),
        .used = NUMBER(r, "num_experts_per_tok", "experts_per_token"),
        .moe_inter = NUMBER(r, "moe_intermediate_size"),
        .shared = NUMBER(r, "n_shared_experts"),
        .dense_layers = NUMBER(r, "first_k_dense_replace"),
        .moe_step = NUMBER(r, "decoder_sparse_step", "moe_layer_freq"),
        .kv_lora = NUMBER(r, "kv_lora_rank"),
        .q_lora = NUMBER(r, "q_lora_rank"),
        .rope_dim = NUMBER(r, "qk_rope_head_dim"),
        .nope_dim = NUMBER(r, "qk_nope_head_dim"),
        .v_dim = NUMBER(r, "v_head_dim"),
        .window = NUMBER(r, "sliding_window", "attention_chunk_size"),
        .nk = NUMBER(r, "linear_num_key_heads"),
        .nv = NUMBER(r, "linear_num_value_heads"),
        .dk = NUMBER(r, "linear_key_head_dim"),
        .dv = NUMBER(r, "linear_value_head_dim"),
        .conv = NUMBER(r, "linear_conv_kernel_dim"),
    };
    if (s.kv_heads == 0)
        s.kv_heads = s.heads;
    if (s.head_dim == 0 && s.heads > 0)
        s.head_dim = (double)(int64_t)(s.hidden / s.heads);
    if (s.moe_inter == 0)
        s.moe_inter = s.inter;
    read_layer_types(r, &s);
    return s;
}

static const char *complaint(const struct shape *s)
{
    if (s->layers < 1 || s->layers > FACT_LAYERS_MAX)
        return "num_hidden_layers is missing or absurd";
    if (s->hidden < 1 || s->hidden > NUMBER_MOST / 10)
        return "hidden_size is missing or absurd";
    if (s->heads < 1 || s->heads > HEADS_MOST || s->kv_heads > HEADS_MOST)
        return "num_attention_heads is missing or absurd";
    if (s->vocab < 1)
        return "vocab_size is missing";
    if (s->inter < 1 && s->experts < 1)
        return "intermediate_size is missing";
    return NULL;
}

/* Parameters of one layer's attention. */
static double attention_parameters(const struct shape *s)
{
    double h = s->hidden;
    if (s->kv_lora > 0) {
        double qk = s->nope_dim + s->rope_dim;
        double q = s->q_lora > 0 ? h * s->q_lora + s->q_lora * s->heads * qk : h * s->heads * qk;
        double kv =
            h * (s->kv_lora + s->rope_dim) + s->kv_lora * s->heads * (s->nope_dim + s->v_dim);
        return q + kv + s->heads * s->v_dim * h;
    }
    return 2 * h * s->head_dim * (s->heads + s->kv_heads);
}

static double linear_parameters(const struct shape *s)
{
    double in = 2 * s->nk * s->dk + 2 * s->nv * s->dv + 2 * s->nv;
    return s->hidden * in + s->nv * s->dv * s->hidden +
           (2 * s->nk * s->dk + s->nv * s->dv) * s->conv;
}

static void count_parameters(const struct shape *s, bool tied, bool gated, struct fact_model *m)
{
    double h = s->hidden, matrices = gated ? 3 : 2, moe_layers = 0;
    if (s->experts > 0)
        moe_layers = s->dense_layers < s->layers ? s->layers - s->dense_layers : 0;
    if (s->moe_step > 1)
        moe_layers = (double)(int64_t)(moe_layers / s->moe_step);
    m->embed = s->vocab * h * (tied ? 1 : 2);
    m->expert = moe_layers * s->experts * matrices * h * s->moe_inter;
    m->dense = (s->layers - s->linear_layers) * attention_parameters(s) +
               s->linear_layers * linear_parameters(s) + s->layers * 2 * h +
               (s->layers - moe_layers) * matrices * h * s->inter +
               moe_layers * (s->shared * matrices * h * s->moe_inter + h * s->experts);
    m->total = m->embed + m->dense + m->expert;
    m->active = m->dense + (s->experts > 0 ? m->expert * s->used / s->experts : 0) + m->embed / 2;
}

static void count_cache(const struct shape *s, struct fact_model *m)
{
    double full = s->layers - s->window_layers - s->linear_layers;
    double elems = s->kv_lora > 0 ? s->kv_lora + s->rope_dim : 2 * s->kv_heads * s->head_dim;
    m->kv_elems = full * elems;
    m->window_elems = s->window_layers * elems;
    m->window = s->window_layers > 0 ? s->window : 0;
    double conv = s->conv > 1 ? (2 * s->nk * s->dk + s->nv * s->dv) * (s->conv - 1) * 2 : 0;
    m->state_bytes = s->linear_layers * (s->nv * s->dk * s->dv * 4 + conv);
    m->attention = s->kv_lora > 0           ? "mla"
                   : s->linear_layers > 0   ? "hybrid-gdn"
                   : s->window_layers > 0   ? "gqa+swa"
                   : s->kv_heads < s->heads ? "gqa"
                                            : "mha";
}

/* The id of quants.tsv that the configuration amounts to. */
static const char *format_of(const struct reader *r)
{
    struct json q = json_get(r->root, "quantization_config");
    struct json method = json_get(q, "quant_method");
    double bits = 0;
    struct json tensors = json_path(q, "config_groups.group_0.weights");
    if (json_double(json_get(q, "bits"), &bits) != ERR_OK &&
        json_double(json_get(tensors, "num_bits"), &bits) != ERR_OK)
        bits = 4;
    bool grouped = json_str_is(method, "compressed-tensors");
    if (grouped && bits >= 8)
        return json_str_is(json_get(tensors, "type"), "float") ? "fp8" : "int8";
    if (grouped)
        return "gptq";
    if (json_str_is(method, "fp8"))
        return "fp8";
    if (json_str_is(method, "mxfp4"))
        return "mxfp4";
    if (json_str_is(method, "awq"))
        return "awq";
    if (json_str_is(method, "gptq"))
        return bits >= 8 ? "gptq-int8" : bits >= 4 ? "gptq" : "gptq-int3";
    return json_is(q, JSON_OBJECT) ? HF_CONFIG_UNKNOWN_FORMAT : "bf16";
}

static const char *name_of(const struct reader *r, struct arena *a)
{
    struct json v = json_get(r->root, "_name_or_path");
    if (!json_is(v, JSON_STRING) || json_str(v).len == 0)
        v = json_get(r->root, "model_type");
    return arena_cstr(a, json_is(v, JSON_STRING) ? json_str_decode(v, a) : SPAN("(unnamed)"));
}

enum err hf_config_read(struct arena *a, struct span text, struct fact_model *out,
                        const char **out_why)
{
    struct json_doc doc;
    struct json_error error;
    *out = (struct fact_model){0};
    enum err e = json_parse(a, text, NULL, &doc, &error);
    if (e != ERR_OK) {
        *out_why =
            arena_printf(a, "line %u, column %u: %s", error.line, error.column, error.what).at;
        return e;
    }
    struct reader r = {.root = json_root(&doc)};
    r.text = json_get(r.root, "text_config");
    if (!json_is(r.text, JSON_OBJECT))
        r.text = r.root;
    struct shape s = read_shape(&r);
    *out_why = complaint(&s);
    if (*out_why)
        return ERR_INVALID;
    bool plain_mlp = json_str_is(json_get(r.root, "model_type"), "falcon") ||
                     json_str_is(json_get(r.root, "model_type"), "gpt2");
    count_parameters(&s, is_true(&r, "tie_word_embeddings"), !plain_mlp, out);
    count_cache(&s, out);
    out->id = name_of(&r, a);
    out->layers = (uint32_t)s.layers;
    out->hidden = (uint32_t)s.hidden;
    out->heads = (uint32_t)s.heads;
    out->kv_heads = (uint32_t)(s.kv_lora > 0 ? 1 : s.kv_heads);
    out->head_dim = (uint32_t)s.head_dim;
    out->experts = (uint32_t)s.experts;
    out->experts_per_token = (uint32_t)(s.used <= s.experts ? s.used : s.experts);
    out->vocab = (uint32_t)s.vocab;
    out->context = (uint32_t)(s.context < CONTEXT_MOST ? s.context : 0);
    out->dtype = format_of(&r);
    out->source = "config.json";
    *out_why = "";
    return ERR_OK;
}
