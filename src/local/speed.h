#pragma once
/* How fast a model decodes and reads a prompt on given hardware: a roofline with fitted losses.
 *
 * Fitted on 1,231 measured vLLM rows of data-centre NVIDIA cards (docs/planning.md): median error
 * 9 %, nine of ten within 28 %. Everything else is extrapolated and gets a wider band. Pure. */
#include "local/weights.h"

enum engine { ENGINE_VLLM, ENGINE_LLAMA_CPP };
const char *engine_name(enum engine e); /* "vllm", "llama.cpp" */

struct speed_case {
    const struct fact_model *model;
    const struct fact_quant *quant, *kv;
    const struct fact_gpu *gpu;
    uint32_t tp;     /* tensor parallel ranks */
    double isl, osl; /* prompt and answer tokens of the load */
    double batch;    /* sequences decoded together */
};
/* Seconds of one decoding step in vLLM: what each sequence waits for its next token. */
double speed_vllm_step(const struct speed_case *c);
/* Seconds until the first token of a prompt that has the engine to itself. */
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
/* Share by which a figure may be wrong in nine of ten cases, and why. */
double speed_band(const struct fact_model *m, const struct fact_gpu *g, enum engine e,
                  const char **out_why);
