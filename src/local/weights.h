#pragma once
/* Bytes of a model's weights in a number format, and of its cache. Pure arithmetic over facts.
 *
 * Formats cover different parts: 4-bit GPU formats leave embeddings in 16 bit, GGUF file types are
 * mixes by tensor and layer. Checked against published checkpoints in tests/unit/local. */
#include "local/facts.h"

enum weights_basis {
    WEIGHTS_FILE,    /* summed from a file's header: exact */
    WEIGHTS_MIX,     /* GGUF mix tensor by tensor: 0.1 % */
    WEIGHTS_SPLIT,   /* bits of each part: 3 % */
    WEIGHTS_AVERAGE, /* average bits of the file type: 8 % */
};
struct weights {
    double embed, dense, expert; /* bytes */
    double token_embd;           /* the input embedding alone: llama.cpp keeps it in host memory */
    double extra;                /* vision tower and what else the catalogue's total has, 16 bit */
    double total;                /* all of it that is loaded */
    double draft;                /* of the checkpoint, loaded for speculative decoding alone */
    double error;                /* share of the total by which it may be wrong */
    enum weights_basis basis;
};
struct weights weights_of(const struct facts *f, const struct fact_model *m,
                          const struct fact_quant *q);

/* Bits of one element of a tensor type ("Q4_K"); 0 when there is none of that name. */
double weights_block_bits(const struct facts *f, const char *type);

/* Is the input embedding also the output layer? */
bool weights_tied(const struct fact_model *m);

/* A model's parameters that are in no part of the catalogue's split (vision tower, extra heads). */
double weights_extra(const struct fact_model *m);

/* The format the model is published in; 16 bit when that has no row. */
const struct fact_quant *weights_native(const struct facts *f, const struct fact_model *m);
/* The format of a model that came from a file: the table's row of its name when there is one, with
 * the file's own bits. `engines` of an unknown one: what reads such files. */
struct fact_quant weights_file_format(const struct facts *f, const struct fact_model *m);
/* Trained in that format: there is nothing with more bits to go back to. */
bool weights_is_native_only(const struct fact_model *m);

/* Bytes that one token adds at the end of a long context (windows are full by then). */
double kv_bytes_per_token(const struct fact_model *m, const struct fact_quant *kv);
/* Bytes of one sequence of `context` tokens, with constant state. */
double kv_bytes(const struct fact_model *m, const struct fact_quant *kv, double context);
/* How many ways the cache is divided by tensor parallelism of `tp` (never, for MLA). */
uint32_t kv_shards(const struct fact_model *m, uint32_t tp);
bool kv_is_mla(const struct fact_model *m);
