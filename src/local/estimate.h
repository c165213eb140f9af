#pragma once
/* Does it fit, how many conversations, how fast, at what price: one deployment judged. Pure; what
 * `plan`, and whoever chooses or starts engines, asks. All memory is in bytes. */
#include "local/speed.h"

struct deployment {
    const struct fact_model *model;
    const struct fact_quant *quant, *kv;
    const struct fact_gpu *gpu;  /* NULL: the processor alone */
    const struct fact_gpu *host; /* the processor; never NULL */
    enum engine engine;
    uint32_t tp, pp;     /* cards in use: tp * pp (llama.cpp: pp alone) */
    double ram;          /* host memory, bytes */
    double utilization;  /* of the card's memory, vLLM */
    double context;      /* tokens of one conversation */
    double sequences;    /* conversations wanted at once; speed and price of 1 are those of as many
                            as fit, up to 64 (llama.cpp: 4) */
    double isl, osl;     /* tokens of a request and its answer, for speed and price */
    bool eager;          /* without CUDA graphs */
    bool text_only;      /* --language-model-only */
    double offload;      /* vLLM --cpu-offload-gb, bytes per card */
    uint32_t cpu_layers; /* llama.cpp: layers that stay in host memory */
    uint32_t cpu_moe;    /* llama.cpp --n-cpu-moe: layers whose experts stay there */
    double usd_h;        /* all cards, an hour; 0: not known */
    double busy;         /* share of an hour in which it works, for the price */
};

struct memory { /* of one card, the fullest */
    double visible, budget;
    struct weights weights;         /* whole model */
    double weights_here, offloaded; /* offloaded: in host memory */
    double overhead;                /* activations, graphs, buffers of the engine */
    double kv_sequence;             /* cache of one conversation of full context, on this card */
    double kv_room;                 /* what is left for caches; may be negative */
    double tokens;                  /* of cache that fit, all conversations together */
    double most_sequences;          /* conversations of full context that fit */
    double host_needed, host_budget;
    bool fits;    /* the wanted conversations do, and host memory holds its part */
    double error; /* bytes by which weights and overhead may be wrong */
};
struct speed {
    double batch;       /* conversations decoded together for the figures below */
    double first_token; /* seconds, alone */
    double one, all;    /* answer tokens/s of one conversation alone, and of all together */
    /* How far published figures lie from such estimates; first_band: from first_token. */
    const struct speed_band *band, *first_band;
    double usd_output, usd_blended; /* per million tokens; 0: rent not known */
};

void estimate_memory(const struct facts *f, const struct deployment *d, struct memory *out);
/* Speed of what fits; of one conversation when nothing does. */
void estimate_speed(const struct deployment *d, const struct memory *m, struct speed *out);

/* May this model be divided so? NULL, or the reason why not. */
const char *estimate_split_refused(const struct deployment *d);
/* Does the engine have the format? */
bool estimate_engine_has(const struct fact_quant *q, enum engine e);
/* The card can run it (its generation is new enough). */
bool estimate_card_has(const struct fact_quant *q, const struct fact_gpu *g);

/* Bounds of an estimated figure by its band: of a time or a price, and of a rate (tokens/s). */
struct range {
    double least, most;
};
struct range estimate_time_range(double seconds, const struct speed_band *b);
struct range estimate_rate_range(double per_second, const struct speed_band *b);
