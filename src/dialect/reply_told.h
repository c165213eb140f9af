#pragma once
/* What the readers of replies that tell blocks through openai_chat_blocks.c have in common: how far
 * the answer was told, the memory that holds one event's index, and the events that end an answer.
 * What a provider's words mean stays in each reader.
 *
 * Read by src/dialect/ only. Pure like the rest of the layer. */
#include "dialect/openai_chat_internal.h"

enum reply_state { REPLY_IDLE, REPLY_STARTED, REPLY_ENDED };

struct reply_told { /* embed it; the reader sets the state to STARTED */
    struct arena *a;
    struct arena
        scratch; /* of one event: the sink may allocate in `a`, which can't be wound back */
    struct chat_sink sink;
    struct oc_blocks blocks;
    enum reply_state state;
    struct chat_usage usage;
};

/* Freed with `a`. request: whose stop sequences and tools count; may be NULL. */
void reply_told_init(struct reply_told *t, struct arena *a, const struct chat_request *request,
                     struct chat_sink sink);
void reply_tell(struct reply_told *t, const struct chat_event *e);
/* Whether the reader has to look at this event. Nothing is news behind the end, nor is a comment,
 * which is told as a ping. */
bool reply_is_news(struct reply_told *t, const struct sse_event *e);
/* Both tell the usage first, as far as it is known, and end the answer. stop: unless a sequence of
 * the request's cut the text, which then is the reason. sequence: the one that goes with
 * CHAT_STOP_SEQUENCE; empty: none. The blocks are finished before. */
void reply_tell_end(struct reply_told *t, enum chat_stop stop, struct chat_text sequence);
void reply_tell_error(struct reply_told *t, const struct chat_error *error);

/* A count of tokens; -1: none is told. */
int64_t reply_count(struct json usage, const char *path);
