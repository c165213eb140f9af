#pragma once
/* What a probe asks: one small conversation per feature, as a client would send it in Messages.
 * Knows no target and no verdict. */
#include "chat/chat.h"
#include "dialect/capability.h"
#include "base/arena.h"

enum probe_call {
    CALL_TEXT,
    CALL_SYSTEM,
    CALL_TURNS,
    CALL_STREAM,
    CALL_TOOLS,
    CALL_FORCED,
    CALL_RESULTS,
    CALL_RESULT_IMAGE,
    CALL_IMAGE,
    CALL_PDF,
    CALL_SCHEMA,
    CALL_STOP,
    CALL_MAX_TOKENS,
    CALL_THINKING,
    CALL_THINKING_ADAPTIVE,
    CALL_PREFILL,
    CALL_CONTEXT,
    CALLS
};

#define CALL_WORD "PELICAN"  /* hidden where the model is to find it */
#define CALL_COLOUR "red"    /* of the picture */
#define CALL_WORDS 40        /* that it is told to write: "w1 w2 ..." */
#define CALL_STOP_AT 7       /* the word that is a stop sequence */
#define CALL_LEAST_TOKENS 16 /* the least that every API takes as max_tokens */
#define CALL_SAID 3          /* words that the prefill has said already */

const char *call_name(enum probe_call c);
/* The conversation; in `a`. context: tokens of CALL_CONTEXT's prompt, about. */
struct chat_request *call_request(struct arena *a, enum probe_call c, int64_t context);
/* Tokens it may cost at most: out is max_tokens, in our estimate for such a target. */
void call_most(const struct chat_request *r, const struct capability *cap, int64_t *out_in,
               int64_t *out_out);
