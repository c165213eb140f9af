#pragma once
/* What to do when a model does not fit, and which model to take in the first place. Each way is a
 * deployment of its own, judged like any other, with what it costs in accuracy. Pure. */
#include "local/estimate.h"

enum remedy_kind {
    REMEDY_QUANT,
    REMEDY_KV,
    REMEDY_CONTEXT,
    REMEDY_TENSOR_PARALLEL,
    REMEDY_PIPELINE_PARALLEL,
    REMEDY_OFFLOAD,
    REMEDY_LAYERS,
    REMEDY_SMALLER_MODEL,
    REMEDY_KIND_COUNT
};
const char *remedy_name(enum remedy_kind k); /* "smaller quantization" */

struct remedy {
    enum remedy_kind kind;
    struct deployment d;
    struct memory m;
    struct speed s;
    bool possible;    /* it fits */
    const char *what; /* "AWQ, 4.16 bits" and the option that does it */
    const char *why;  /* what it costs in accuracy, or why it is not possible */
};
#define REMEDIES_MAX 32
struct remedies {
    struct remedy at[REMEDIES_MAX];
    size_t count;
};
/* In the order in which they are worth trying. Texts lie in `a`. */
void remedies_of(const struct facts *f, const struct deployment *d, struct arena *a,
                 struct remedies *out);

/* What a format costs in accuracy, as a sentence ("perplexity +2.4 % (Llama 2 7B); ..."). */
const char *remedy_accuracy(const struct fact_model *m, const struct fact_quant *q,
                            struct arena *a);

enum suggest_use {
    SUGGEST_CHAT,
    SUGGEST_TOOLS,
    SUGGEST_CLAUDE_CODE,
    SUGGEST_CHINESE,
    SUGGEST_COUNT
};
const char *suggest_use_name(enum suggest_use u); /* "claude-code" */
double suggest_context(enum suggest_use u);       /* tokens a conversation of that kind needs */

#define SUGGESTIONS_MAX 5
struct suggestions {
    struct remedy at[SUGGESTIONS_MAX]; /* best first */
    size_t count;
};
/* base: the hardware, sequences and load; its model and formats are not looked at. commercial:
 * leaves out what may not be used in a company. */
void suggest(const struct facts *f, const struct deployment *base, enum suggest_use use,
             double target_tps, struct arena *a, struct suggestions *out);
