#pragma once
/* What is known of models, accelerators, number formats, licences and prices, with source and date.
 *
 * The tables are share/catalogue/NAME.tsv, built into the program; a folder with files of the same
 * names adds rows and replaces those of the same id. Reads files only for that. Knows no plan. */
#include "base/arena.h"

#define FACT_LAYERS_MAX 2000u /* beyond it a figure is taken for damage */

struct fact_model {
    const char *id;                             /* "meta-llama/Llama-3.1-8B-Instruct" */
    double total, active, embed, dense, expert; /* parameters; embed: input embedding and lm_head */
    uint32_t layers, hidden, heads, kv_heads, head_dim;
    const char *attention; /* mha, gqa, mla, gqa+swa, hybrid-gdn ... */
    /* Elements cached for a token in all layers of full attention; in layers of sliding windows;
     * the window's tokens; bytes of constant state for a sequence. */
    double kv_elems, window_elems, window, state_bytes;
    uint32_t experts, experts_per_token, vocab, context;
    const char *dtype; /* id of the quant it is published in */
    const char *licence, *released, *tool_parser, *reasoning_parser, *needs, *quantized_as,
        *min_vllm;
    double checkpoint_bytes; /* published; 0: not known */
    double draft_layers;     /* of the checkpoint, that only speculative decoding loads */
    double swe_bench;        /* 0: not known */
    const char *as_of, *source;
    /* Read from a file's header: bytes by part, summed exactly; 0: no file. */
    double file_bytes, file_embed, file_dense, file_expert, file_token_embd;
};

struct fact_gpu {
    const char *name, *vendor, *klass, *arch;
    double vram_gib;  /* what a program sees; 0: ram_share of the machine's memory */
    double ram_share; /* 0: it has memory of its own */
    double bandwidth, bf16, fp8, fp4; /* bytes/s and FLOP/s, dense; 0: not known or not there */
    double watts, link;               /* link: bytes/s in one direction; 0: not known */
    double usd_h_low, usd_h_high;     /* rent; 0: not known */
    const char *price_as_of, *source;
};

enum quant_kind { QUANT_BLOCK, QUANT_GGUF, QUANT_FORMAT, QUANT_KV };
struct fact_quant {
    const char *id;
    enum quant_kind kind;
    double bits_embed, bits_dense, bits_expert;
    uint32_t block_elems, block_bytes;
    const char *compute;       /* bf16, fp8, fp4 */
    double ppl_pct, tasks_pct; /* NAN: not known */
    const char *ppl_on, *effect;
    double decode_eff;
    const char *min_sm, *engines, *source;
};

struct fact_licence {
    const char *id, *name, *family;
    const char *commercial;           /* yes, no, or what must be done first */
    double mau_limit, usd_year_limit; /* 0: none */
    bool limit_api_only;              /* the limit is for offering it as a service */
    const char *over_limit;           /* what must be done above the limit */
    double show_mau, show_usd_year;   /* display duty above either; NAN: none; 0: always */
    const char *show, *attribution, *notice;
    const char *modify, *redistribute;
    const char *api, *train; /* yes, no, ?, or on which condition */
    const char *policy, *not_in, *verified, *as_of, *source;
};

struct fact_price {
    const char *provider, *model;
    double input, output, cached_input, cache_write; /* USD per million tokens; NAN: not known */
    const char *as_of, *source, *note;
};

struct facts {
    struct arena arena;
    struct fact_model *models;
    struct fact_gpu *gpus;
    struct fact_quant *quants;
    struct fact_licence *licences;
    struct fact_price *prices;
    size_t model_count, gpu_count, quant_count, licence_count, price_count;
};

/* folder: NULL for the built-in tables alone. A file in it that cannot be read or is no table is an
 * error with a sentence in *out_why (in f's arena; call facts_deinit in either case). */
MUST_USE enum err facts_load(struct facts *f, const char *folder, const char **out_why);
void facts_deinit(struct facts *f);
/* The user's folder of tables: `given`, else hotspare/catalogue in $XDG_CONFIG_HOME or ~/.config;
 * NULL when there is no home. It need not exist. */
const char *facts_folder(const char *given, struct arena *a);

/* By id, case ignored: exact, or without its organisation, or the only one that begins with or
 * holds `name`; names of quantized repositories (-AWQ, -GGUF, -FP8 ...) lead to their model.
 * NULL: none, or several; *out_near then lists up to 8 of those that come near, in `a`. */
const struct fact_model *facts_model(const struct facts *f, struct span name, struct arena *a,
                                     const char **out_near);
/* As above, but only where it is certain which model is meant: no guess by parts of a name. */
const struct fact_model *facts_model_exact(const struct facts *f, struct span name);
/* "rtx 4090", "H100", "L4": the words of `name` in the accelerator's name, the shortest wins. */
/* A parser of vLLM that needs no hands: a plain word, not "nano_v3 (plugin)". */
bool fact_is_word(const char *s);
const struct fact_gpu *facts_gpu(const struct facts *f, struct span name);
/* By the name a driver gives ("NVIDIA A100-SXM4-80GB") and the memory it tells, GiB: most words in
 * common, the one with the model's number among them, memory within 15 %. */
const struct fact_gpu *facts_gpu_reported(const struct facts *f, struct span name, double gib);
/* kind: QUANT_BLOCK, QUANT_KV; QUANT_GGUF and QUANT_FORMAT are looked up together. */
const struct fact_quant *facts_quant(const struct facts *f, enum quant_kind kind, struct span id);
const struct fact_licence *facts_licence(const struct facts *f, struct span id);
/* By provider (NULL: any) and model. */
const struct fact_price *facts_price(const struct facts *f, const char *provider,
                                     const char *model);
