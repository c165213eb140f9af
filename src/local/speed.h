#pragma once
/* How fast a model decodes and reads a prompt on given hardware: a roofline with fitted losses.
 *
 * Constants are fitted on published vLLM rows of data-centre NVIDIA cards (docs/planning.md); how
 * far published rows lie from the figure is said by class (speed_band). Pure. */
#include "local/weights.h"

enum engine { ENGINE_VLLM, ENGINE_LLAMA_CPP };
const char *engine_name(enum engine e); /* "vllm", "llama.cpp" */

/* What a roofline does not know: fitted, the same for every model, format and card. */
struct speed_fit {
    double expert_rate;   /* bytes of experts a card gathers for each FLOP (bf16) it has */
    double mfu;           /* share of the peak that matrix products reach */
    double attention_mfu; /* the same of attention over the prompts that are mixed in */
    double link_share;    /* of the link between cards */
    double layer;         /* seconds a layer costs whatever it does: launches, small kernels */
    double expert_layer;  /* seconds on top of it in a mixture: routing, gathering */
    double sequence;      /* seconds a conversation costs in each step: scheduling, sampling */
};
extern const struct speed_fit speed_fitted;

struct speed_case {
    const struct fact_model *model;
    const struct fact_quant *quant, *kv;
    const struct fact_gpu *gpu;
    uint32_t tp;                 /* tensor parallel ranks */
    double isl, osl;             /* prompt and answer tokens of the load */
    double batch;                /* sequences decoded together */
    const struct speed_fit *fit; /* NULL: speed_fitted */
};
/* Seconds of one decoding step in vLLM: what each sequence waits for its next token. */
double speed_vllm_step(const struct speed_case *c);
/* Seconds until the first token of a prompt that does not wait for others to be read. */
double speed_vllm_prefill(const struct speed_case *c);

struct speed_llama {
    const struct fact_model *model;
    const struct fact_quant *quant;
    const struct fact_gpu *gpu, *host; /* gpu: NULL for the processor alone */
    double gpu_bytes, host_bytes;      /* weights and cache read for each token */
    double isl;
};
/* Seconds a token of one stream takes in llama.cpp; seconds it reads a prompt of isl tokens. */
double speed_llama_step(const struct speed_llama *c);
double speed_llama_prefill(const struct speed_llama *c);

/* Parameters that one token uses, output layer included. */
double speed_active(const struct fact_model *m);
/* How far published figures of a kind lie from the estimate: a measured time is at least 1 - faster
 * and at most 1 + slower of the estimated one, in every row of the class. half: what half of the
 * rows are within when the constants are fitted without their model. Classes with few rows, or
 * none, have a band wider than their rows need. */
enum speed_class {
    SPEED_DENSE,       /* vLLM, dense model, data-centre NVIDIA card */
    SPEED_MOE,         /* the same of a mixture of experts */
    SPEED_QUEUED,      /* more conversations than fit: requests wait, the real batch varies */
    SPEED_OTHER,       /* vLLM on other cards: extrapolated */
    SPEED_LLAMA,       /* llama.cpp, dense model on a card */
    SPEED_LLAMA_OTHER, /* llama.cpp, mixtures and processors: extrapolated */
    SPEED_FIRST, /* vLLM, first token of prompts up to 8,192 tokens, data-centre NVIDIA card */
    SPEED_FIRST_OTHER, /* the same elsewhere: extrapolated */
    SPEED_CLASS_COUNT
};
struct speed_band {
    enum speed_class kind;
    double faster, slower; /* shares of the estimated time */
    double half;           /* 0: there are no rows */
    unsigned rows;         /* published rows that were compared */
    const char *why;       /* a sentence for people */
};
/* queued: more conversations are asked for than fit. */
const struct speed_band *speed_band(const struct fact_model *m, const struct fact_gpu *g,
                                    enum engine e, bool queued);
/* The same of the time to the first token. */
const struct speed_band *speed_first_band(const struct fact_gpu *g, enum engine e);
