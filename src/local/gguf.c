/* One walk over the header: pairs of metadata, then the list of tensors. Each read checks what is
 * left of the file first; a count is never trusted to size anything.
 *
 *   "GGUF" u32 version | u64 tensors | u64 pairs | pairs: string key, u32 type, value
 *   tensors: string name, u32 dims, u64 dim[dims], u32 type, u64 offset | padding | data        */
#include "local/gguf.h"
#include "base/span.h"
#include "local/weights.h"

#define ALIGN_DEFAULT 32u
#define ALIGN_MOST (1u << 20)
#define ARRAY_NESTING_MAX 4
#define TYPES 64

enum value {
    V_U8,
    V_I8,
    V_U16,
    V_I16,
    V_U32,
    V_I32,
    V_F32,
    V_BOOL,
    V_STRING,
    V_ARRAY,
    V_U64,
    V_I64,
    V_F64,
    V_COUNT
};

struct cursor {
    struct span left;
    uint64_t at;
    bool bad; /* something did not fit into the file */
};

static const char *take(struct cursor *c, uint64_t n)
{
    if (c->bad || n > c->left.len) {
        c->bad = true;
        return NULL;
    }
    const char *at = c->left.at;
    c->left = span_drop(c->left, (size_t)n);
    c->at += n;
    return at;
}

static uint64_t take_int(struct cursor *c, size_t bytes)
{
    const char *at = take(c, bytes);
    uint64_t n = 0;
    for (size_t i = bytes; at && i > 0; i--)
        n = n << 8 | (unsigned char)at[i - 1];
    return n;
}

static struct span take_string(struct cursor *c)
{
    uint64_t n = take_int(c, 8);
    const char *at = take(c, n);
    return at ? (struct span){at, (size_t)n} : SPAN_EMPTY;
}

static size_t value_bytes(uint32_t type)
{
    static const uint8_t bytes[V_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < V_COUNT ? bytes[type] : 0;
}

struct number_value { /* the first number of a value; count: of an array */
    uint64_t number, count;
    double sum; /* of an array */
    struct span text;
};

/* Reads a value of any type; of arrays the largest whole number and the count are kept. */
static void take_value(struct cursor *c, uint32_t type, int depth, struct number_value *out)
{
    if (type == V_STRING) {
        out->text = take_string(c);
    } else if (type == V_ARRAY) {
        uint32_t of = (uint32_t)take_int(c, 4);
        uint64_t n = take_int(c, 8), total = 0;
        if (depth == ARRAY_NESTING_MAX) {
            c->bad = true;
            return;
        }
        out->count = n;
        if (value_bytes(of) && (of < V_U16 || of == V_F32 || of == V_BOOL || of == V_F64)) {
            c->bad = c->bad || __builtin_mul_overflow(n, (uint64_t)value_bytes(of), &total);
            (void)take(c, total);
            return;
        }
        for (uint64_t i = 0; i < n && !c->bad; i++) {
            struct number_value item = {0};
            take_value(c, of, depth + 1, &item);
            out->number = item.number > out->number ? item.number : out->number;
            out->sum += (double)item.number;
        }
    } else if (value_bytes(type)) {
        uint64_t n = take_int(c, value_bytes(type));
        bool whole = type != V_F32 && type != V_F64 && type != V_BOOL;
        out->number = whole ? n : 0;
    } else {
        c->bad = true;
    }
}

/* ---- metadata ---- */

struct key_row {
    const char *ending; /* behind the architecture's name */
    size_t offset;
};
#define TO(field) offsetof(struct gguf, field)
static const struct key_row key_rows[] = {
    {".block_count", TO(layers)},
    {".context_length", TO(context)},
    {".embedding_length", TO(hidden)},
    {".attention.head_count", TO(heads)},
    {".attention.head_count_kv", TO(kv_heads)},
    {".attention.key_length", TO(key_length)},
    {".attention.value_length", TO(value_length)},
    {".attention.sliding_window", TO(window)},
    {".attention.kv_lora_rank", TO(kv_lora)},
    {".expert_count", TO(experts)},
    {".expert_used_count", TO(experts_used)},
    {".rope.dimension_count", TO(rope_dims)},
    {".vocab_size", TO(vocab)},
};

static void note(struct gguf *g, struct span key, const struct number_value *v, uint32_t *alignment)
{
    if (span_is(key, "general.architecture"))
        g->architecture = v->text;
    else if (span_is(key, "general.name"))
        g->name = v->text;
    else if (span_is(key, "general.file_type"))
        g->file_type = (uint32_t)v->number;
    else if (span_is(key, "general.alignment") && v->number && v->number <= ALIGN_MOST)
        *alignment = (uint32_t)v->number;
    else if (span_is(key, "tokenizer.ggml.tokens"))
        g->vocab = v->count;
    else if (span_search(key, SPAN(".ssm.")) >= 0 || span_search(key, SPAN("full_attention_")) >= 0)
        g->hybrid = true;
    if (span_ends(key, SPAN(".attention.head_count_kv")) && v->number < UINT32_MAX)
        g->kv_heads_sum = v->sum;
    for (size_t i = 0; i < ARRAY_LEN(key_rows); i++) {
        ssize_t dot = span_find(key, '.');
        /* Numbers of absurd size are nobody's model; they would only overflow later on. */
        if (dot > 0 && span_is(span_drop(key, (size_t)dot), key_rows[i].ending))
            *(uint64_t *)(void *)((char *)g + key_rows[i].offset) =
                v->number < UINT32_MAX ? v->number : 0;
    }
}

static void read_pairs(struct cursor *c, struct gguf *g, uint32_t *alignment)
{
    for (uint64_t i = 0; i < g->pairs && !c->bad; i++) {
        struct span key = take_string(c);
        uint32_t type = (uint32_t)take_int(c, 4);
        struct number_value v = {0};
        take_value(c, type, 0, &v);
        if (!c->bad)
            note(g, key, &v, alignment);
    }
}

/* ---- tensors ---- */

/* ggml's numbers of tensor types; gaps are types that no file has any more. */
static const char *const types[TYPES] = {
    [0] = "F32",    [1] = "F16",     [2] = "Q4_0",     [3] = "Q4_1",    [6] = "Q5_0",
    [7] = "Q5_1",   [8] = "Q8_0",    [10] = "Q2_K",    [11] = "Q3_K",   [12] = "Q4_K",
    [13] = "Q5_K",  [14] = "Q6_K",   [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS",
    [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",   [22] = "IQ2_S",  [23] = "IQ4_XS",
    [29] = "IQ1_M", [30] = "BF16",   [34] = "TQ1_0",   [35] = "TQ2_0",  [39] = "MXFP4",
    [40] = "NVFP4", [24] = "I8",     [25] = "I16",     [26] = "I32",    [27] = "I64",
    [28] = "F64",   [41] = "Q1_0",
};

struct tally {
    const struct facts *f;
    const struct fact_quant *blocks[TYPES];
    double elements[TYPES];
    enum err err;
    const char *why;
};

static void fail(struct tally *t, enum err e, const char *why)
{
    if (t->err == ERR_OK) {
        t->err = e;
        t->why = why;
    }
}

static const struct fact_quant *block_of(struct tally *t, uint32_t type)
{
    if (type >= TYPES || !types[type])
        return NULL;
    if (!t->blocks[type])
        t->blocks[type] = facts_quant(t->f, QUANT_BLOCK, span_from(types[type]));
    const struct fact_quant *q = t->blocks[type];
    return q && q->block_elems && q->block_bytes ? q : NULL;
}

static bool is_expert(struct span name)
{
    return span_search(name, SPAN("_exps.")) >= 0;
}

static void count_tensor(struct gguf *g, struct span name, double elements, double bytes)
{
    bool input =
        span_starts(name, SPAN("token_embd.")) || span_starts(name, SPAN("per_layer_token"));
    if (input || span_is(name, "output.weight")) {
        g->elements_embed += elements;
        g->embed += bytes;
        g->token_embd += input ? bytes : 0;
    } else if (is_expert(name)) {
        g->elements_expert += elements;
        g->expert += bytes;
    } else {
        g->elements_dense += elements;
        g->dense += bytes;
    }
}

static void read_tensor(struct cursor *c, struct gguf *g, struct tally *t)
{
    struct span name = take_string(c);
    uint32_t dims = (uint32_t)take_int(c, 4);
    uint64_t elements = 1, row = 1, bytes = 0, end = 0;
    if (dims > GGUF_DIMS_MAX) {
        fail(t, ERR_SYNTAX, "a tensor with more than four dimensions");
        return;
    }
    for (uint32_t i = 0; i < dims; i++) {
        uint64_t n = take_int(c, 8);
        row = i == 0 ? n : row;
        if (__builtin_mul_overflow(elements, n, &elements) || elements > (uint64_t)1 << 50)
            fail(t, ERR_LIMIT, "a tensor with more elements than any model has");
    }
    uint32_t type = (uint32_t)take_int(c, 4);
    uint64_t offset = take_int(c, 8);
    const struct fact_quant *q = block_of(t, type);
    if (c->bad || t->err != ERR_OK)
        return;
    if (!q) {
        fail(t, ERR_UNSUPPORTED, "a tensor type that is not known here");
        return;
    }
    if (row % q->block_elems) {
        fail(t, ERR_SYNTAX, "a tensor whose rows are no whole number of blocks");
        return;
    }
    bytes = elements / q->block_elems * q->block_bytes;
    if (__builtin_add_overflow(offset, bytes, &end)) {
        fail(t, ERR_SYNTAX, "a tensor that lies beyond any file");
        return;
    }
    g->data_bytes = end > g->data_bytes ? end : g->data_bytes;
    t->elements[type] += (double)elements;
    count_tensor(g, name, (double)elements, (double)bytes);
}

static void find_main_type(struct gguf *g, const struct tally *t)
{
    size_t best = 0;
    for (size_t i = 0; i < TYPES; i++)
        best = t->elements[i] > t->elements[best] ? i : best;
    g->main_type = span_from(types[best]);
}

enum err gguf_read(const struct facts *f, struct span file, struct gguf *out, const char **out_why)
{
    struct cursor c = {.left = file};
    struct tally t = {.f = f};
    uint32_t alignment = ALIGN_DEFAULT;
    *out = (struct gguf){.file_type = UINT32_MAX};
    *out_why = "not a GGUF file";
    const char *magic = take(&c, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0)
        return ERR_SYNTAX;
    out->version = (uint32_t)take_int(&c, 4);
    *out_why = "a version of GGUF that is not known here (2 and 3 are)";
    if (out->version != 2 && out->version != 3)
        return ERR_UNSUPPORTED;
    out->tensors = take_int(&c, 8);
    out->pairs = take_int(&c, 8);
    *out_why = "more tensors or metadata than any model has";
    if (out->tensors > GGUF_TENSORS_MAX || out->pairs > GGUF_PAIRS_MAX)
        return ERR_LIMIT;
    read_pairs(&c, out, &alignment);
    for (uint64_t i = 0; i < out->tensors && !c.bad && t.err == ERR_OK; i++)
        read_tensor(&c, out, &t);
    *out_why = t.err != ERR_OK ? t.why : "the header is cut short or damaged";
    if (c.bad || t.err != ERR_OK)
        return t.err != ERR_OK ? t.err : ERR_SYNTAX;
    find_main_type(out, &t);
    out->data_at = (c.at + alignment - 1) / alignment * alignment;
    out->cut = out->data_bytes > 0 &&
               (out->data_at > file.len || out->data_bytes > file.len - out->data_at);
    *out_why = "more layers than any model has";
    if (out->layers > FACT_LAYERS_MAX)
        return ERR_LIMIT;
    *out_why = "";
    return ERR_OK;
}

/* ---- the model ---- */

const char *gguf_file_type(uint32_t file_type)
{
    /* llama.cpp's llama_ftype. */
    static const char *const names[] = {
        [0] = "F32",      [1] = "F16",      [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",
        [8] = "Q5_0",     [9] = "Q5_1",     [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",
        [13] = "Q3_K_L",  [14] = "Q4_K_S",  [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",
        [18] = "Q6_K",    [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS",
        [23] = "IQ3_XXS", [24] = "IQ1_S",   [25] = "IQ4_NL", [26] = "IQ3_S",  [27] = "IQ3_M",
        [28] = "IQ2_S",   [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",  [32] = "BF16",
        [36] = "TQ1_0",   [37] = "TQ2_0",   [38] = "MXFP4",  [39] = "NVFP4",  [40] = "Q1_0",
    };
    return file_type < ARRAY_LEN(names) ? names[file_type] : NULL;
}

static void read_attention(const struct gguf *g, struct fact_model *m)
{
    double layers = (double)(g->layers ? g->layers : 1), heads = (double)(g->heads ? g->heads : 1);
    double key = g->key_length ? (double)g->key_length : (double)g->hidden / heads;
    double value = g->value_length ? (double)g->value_length : key;
    double each = (double)(g->kv_heads ? g->kv_heads : g->heads);
    double elems = (g->kv_heads_sum > 0 ? g->kv_heads_sum / layers : each) * (key + value);
    m->attention = g->kv_heads && g->kv_heads < g->heads ? "gqa" : "mha";
    if (g->kv_lora) {
        m->attention = "mla";
        elems = (double)g->kv_lora + (double)g->rope_dims;
    }
    if (g->hybrid)
        m->attention = "hybrid";
    m->kv_elems = layers * elems;
    m->window = (double)g->window;
    m->head_dim = (uint32_t)key;
}

struct fact_model gguf_model(const struct gguf *g, struct arena *a)
{
    const char *type = gguf_file_type(g->file_type);
    struct fact_model m = {
        .id = arena_cstr(a, g->name.len ? g->name : SPAN("(unnamed)")),
        .embed = g->elements_embed,
        .dense = g->elements_dense,
        .expert = g->elements_expert,
        .total = g->elements_embed + g->elements_dense + g->elements_expert,
        .layers = (uint32_t)g->layers,
        .hidden = (uint32_t)g->hidden,
        .heads = (uint32_t)(g->heads ? g->heads : 1),
        .kv_heads = (uint32_t)(g->kv_heads ? g->kv_heads : g->heads),
        .experts = (uint32_t)g->experts,
        .experts_per_token = (uint32_t)g->experts_used,
        .vocab = (uint32_t)(g->vocab < UINT32_MAX ? g->vocab : 0),
        .context = (uint32_t)g->context,
        .dtype = type ? type : arena_cstr(a, g->main_type),
        .source = "the file's header",
        .file_bytes = g->embed + g->dense + g->expert,
        .file_embed = g->embed,
        .file_dense = g->dense,
        .file_expert = g->expert,
        .file_token_embd = g->token_embd,
    };
    read_attention(g, &m);
    m.active = m.total;
    return m;
}
