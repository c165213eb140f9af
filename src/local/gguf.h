#pragma once
/* GGUF header reader: what model a file holds and how many bytes its tensors take, by part.
 *
 * Pure: fed with the bytes of a file, usually a mapping of all of it; allocates nothing, follows no
 * offset outside of them. Reads versions 2 and 3, little-endian.
 * Source: ggml docs/gguf.md (container), gguf constants (block sizes; quants.tsv). */
#include "local/facts.h"

#define GGUF_TENSORS_MAX 200000u
#define GGUF_PAIRS_MAX 65536u
#define GGUF_DIMS_MAX 4u

struct gguf {
    uint32_t version;
    uint64_t tensors, pairs;
    struct span architecture, name; /* lie in the file */
    uint32_t file_type;             /* UINT32_MAX: not said */
    /* Metadata behind the architecture's name; 0: not said. */
    uint64_t layers, context, hidden, heads, kv_heads, key_length, value_length, window, experts,
        experts_used, kv_lora, rope_dims, vocab;
    double kv_heads_sum; /* of all layers, where they are listed; 0: they are not */
    bool hybrid;         /* some layers have a constant state: its size is not told by the header */
    /* Summed over the tensors: elements, and bytes by part. */
    double elements_embed, elements_dense, elements_expert;
    double embed, dense, expert, token_embd;
    uint64_t data_at, data_bytes; /* where tensor data begins; how far the last tensor reaches */
    bool cut;                     /* the file ends before its tensors do */
    struct span main_type;        /* tensor type with most elements: a row of quants.tsv */
};
/* Anything that cannot be a GGUF header (cut, counts or strings beyond the file, dimensions whose
 * product overflows, a tensor type that is not known) is ERR_SYNTAX, ERR_LIMIT or ERR_UNSUPPORTED
 * with a static sentence in *out_why. */
MUST_USE enum err gguf_read(const struct facts *f, struct span file, struct gguf *out,
                            const char **out_why);
/* The model as the planner wants it. `a` takes the texts. */
struct fact_model gguf_model(const struct gguf *g, struct arena *a);
/* "Q4_K_M" for a header's file_type; NULL when it is not known. */
const char *gguf_file_type(uint32_t file_type);
