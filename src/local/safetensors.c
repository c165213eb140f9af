/* The header tells each tensor's type, shape and place. Sizes are taken from the places and checked
 * against the shapes, so that a header that lies is found out. */
#include "local/safetensors.h"
#include "base/span.h"
#include "json/json.h"
#include <stdio.h>

#define DIMS_MAX 16

struct number_type {
    const char *name;
    uint64_t bits;
};
static const struct number_type number_types[] = {
    {"F64", 64},    {"F32", 32}, {"F16", 16},    {"BF16", 16},   {"I64", 64},
    {"U64", 64},    {"I32", 32}, {"U32", 32},    {"I16", 16},    {"U16", 16},
    {"I8", 8},      {"U8", 8},   {"BOOL", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"C64", 64},
};

struct sums {
    double bytes[ARRAY_LEN(number_types)];
};

static ssize_t type_of(struct json v)
{
    for (size_t i = 0; i < ARRAY_LEN(number_types); i++)
        if (json_str_is(v, number_types[i].name))
            return (ssize_t)i;
    return -1;
}

static bool elements_of(struct json shape, uint64_t *out)
{
    *out = 1;
    if (!json_is(shape, JSON_ARRAY) || json_len(shape) > DIMS_MAX)
        return false;
    for (struct json d = json_first(shape); json_present(d); d = json_next(shape, d)) {
        int64_t n = 0;
        if (json_i64(d, &n) != ERR_OK || n < 0 || __builtin_mul_overflow(*out, (uint64_t)n, out) ||
            *out > (uint64_t)1 << 50)
            return false;
    }
    return true;
}

static bool place_of(struct json offsets, uint64_t *begin, uint64_t *end)
{
    int64_t b = 0, e = 0;
    if (!json_is(offsets, JSON_ARRAY) || json_len(offsets) != 2 ||
        json_i64(json_at(offsets, 0), &b) != ERR_OK ||
        json_i64(json_at(offsets, 1), &e) != ERR_OK || b < 0 || e < b)
        return false;
    *begin = (uint64_t)b;
    *end = (uint64_t)e;
    return true;
}

static bool holds(struct span name, const char *part)
{
    return span_search(name, span_from(part)) >= 0;
}

static void count_tensor(struct safetensors *s, struct span name, double elements, double bytes)
{
    bool input =
        holds(name, "embed_tokens") || holds(name, "wte.") || holds(name, "word_embeddings");
    if (input || holds(name, "lm_head")) {
        s->elements_embed += elements;
        s->embed += bytes;
        s->token_embd += input ? bytes : 0;
    } else if (holds(name, ".experts.")) {
        s->elements_expert += elements;
        s->expert += bytes;
    } else {
        s->elements_dense += elements;
        s->dense += bytes;
    }
}

static const char *read_tensor(struct safetensors *s, struct sums *sums, struct json t)
{
    uint64_t elements = 0, begin = 0, end = 0;
    ssize_t type = type_of(json_get(t, "dtype"));
    if (type < 0)
        return "a tensor of a number type that is not known here";
    if (!elements_of(json_get(t, "shape"), &elements))
        return "a tensor whose shape is none";
    if (!place_of(json_get(t, "data_offsets"), &begin, &end))
        return "a tensor without a place in the file";
    if (elements * number_types[type].bits != (end - begin) * 8)
        return "a tensor whose place and shape do not agree";
    s->tensors++;
    s->data_bytes = end > s->data_bytes ? end : s->data_bytes;
    sums->bytes[type] += (double)(end - begin);
    count_tensor(s, json_key(t), (double)elements, (double)(end - begin));
    return NULL;
}

static void find_main_type(struct safetensors *s, const struct sums *sums)
{
    size_t best = 0;
    for (size_t i = 0; i < ARRAY_LEN(number_types); i++)
        best = sums->bytes[i] > sums->bytes[best] ? i : best;
    (void)snprintf(s->main_type, sizeof(s->main_type), "%s", number_types[best].name);
}

enum err safetensors_read(struct arena *a, struct span file, struct safetensors *out,
                          const char **out_why)
{
    static const struct json_limits limits = {8, 1000000, 8000000, 1024};
    struct json_doc doc;
    struct json_error error;
    struct sums sums = {{0}};
    uint64_t length = 0;
    *out = (struct safetensors){0};
    *out_why = "not a safetensors file: its header does not fit into it";
    for (size_t i = 8; i > 0 && file.len >= 8; i--)
        length = length << 8 | (unsigned char)file.at[i - 1];
    if (length > SAFETENSORS_HEADER_MAX)
        return ERR_LIMIT;
    if (file.len < 8 || length < 2 || length > file.len - 8)
        return ERR_SYNTAX;
    enum err e = json_parse(a, (struct span){file.at + 8, (size_t)length}, &limits, &doc, &error);
    if (e != ERR_OK) {
        *out_why = arena_printf(a, "its header, byte %zu: %s", error.offset, error.what).at;
        return e;
    }
    struct json root = json_root(&doc);
    *out_why = "its header is no object";
    if (!json_is(root, JSON_OBJECT))
        return ERR_SYNTAX;
    for (struct json t = json_first(root); json_present(t); t = json_next(root, t)) {
        const char *why = json_key_is(t, "__metadata__") ? NULL : read_tensor(out, &sums, t);
        if (why) {
            *out_why = why;
            return ERR_SYNTAX;
        }
    }
    find_main_type(out, &sums);
    out->cut = out->data_bytes > file.len - 8 - length;
    *out_why = "";
    return ERR_OK;
}
