#pragma once
/* Does a request fit a target, before it is sent there; and what can be done where it does not.
 *
 * This is about the request as a whole: its length and the room for an answer. What a single block,
 * tool or format needs is judged by the dialect's writer, block by block, from the same capability.
 *
 * Repaired is only what is safe, and it is always said: the answer's bound is lowered to the room
 * there is (LOSSY_MAX_TOKENS), and tool results are shortened, the oldest first, never one of the
 * newest turn (LOSSY_TOOL_RESULT_SHORTENED). What is done depends on the request and the target
 * alone, so that the same request is the same request again. Pure. */
#include "base/arena.h"
#include "dialect/capability.h"
#include "dialect/dialect.h"

/* Characters that are left of a shortened tool result, two thirds of them from its beginning. The
 * second figure is for when the first is not enough. */
#define FIT_KEEP 3000
#define FIT_KEEP_LEAST 300
/* Tokens kept free for an answer, where the request does not ask for less. */
#define FIT_OUTPUT_LEAST 1024

struct fit {
    const struct chat_request
        *request;   /* what to write: the one given, or a repaired copy in `a` */
    int64_t tokens; /* estimated, of `request`; 0: there was no need to know */
    struct lossy lossy;
};

/* body_bytes: of the request as it came, and what has been added to it; below the context nothing
 * is estimated. An unknown context (0) always fits.
 *
 * ERR_OK: *out says what to write. It may still be too long: in the band where the estimate can be
 * wrong the target has the last word, unless it is one that cuts a prompt without telling.
 * ERR_UNSUPPORTED: it does not fit; *out_problem holds the sentence in Anthropic's words, which
 * make Claude Code compact its conversation ("prompt is too long: N tokens > M maximum"), and the
 * context. */
MUST_USE enum err fit_request(struct arena *a, const struct chat_request *r,
                              const struct capability *cap, size_t body_bytes, struct fit *out,
                              struct chat_problem *out_problem);
