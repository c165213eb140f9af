#pragma once
/* What the files of the Anthropic dialect share; nobody else includes it.
 *
 *   anthropic.c           the table
 *   anthropic_read.c      door: a client's body -> chat_request, top level
 *   anthropic_blocks.c    door: its messages and content blocks
 *   anthropic_write.c     upstream: chat_request -> a target's body, top level
 *   anthropic_turns.c     upstream: system, turns and blocks of that body
 *   anthropic_params.c    upstream: sampling, thinking, effort, format, tools by capability
 *   anthropic_reader.c    upstream: a stream or a whole answer -> chat events
 *   anthropic_writer.c    door: chat events -> a stream or a whole answer
 *   anthropic_complete.c  door: legacy prompts, read as Messages and answered as completions */
#include "dialect/dialect_internal.h"

#define ANTHROPIC_NAME "anthropic-messages"

/* Signature of thinking blocks that no Claude wrote. A client replays it byte for byte, so that the
 * block is recognised and taken out before the conversation goes back to Claude, whose check it
 * could not pass. Claude's own signatures are base64 and hold no dot. */
#define SIGNATURE_MARK DIALECT_STANDIN_MARK
#define SIGNATURE_UNSIGNED SIGNATURE_MARK "unsigned"

static inline bool anthropic_origin(const struct chat_request *r)
{
    return r->origin && strcmp(r->origin, ANTHROPIC_NAME) == 0;
}

/* ---- door, request ---- */

struct a_reading { /* one read_request call */
    struct arena *a;
    struct chat_request *out;
    struct chat_problem *problem;
    struct chat_message *system;
    struct chat_message **message_tail;
    struct chat_extra **extra_tail;
    /* Where we are, for the path of a refusal: list[item].content[block].content[inner] */
    const char *list;
    uint32_t item, block, inner;
};
#define A_NOWHERE UINT32_MAX

/* Refuses: ERR_INVALID with the path to `field` of the place at hand ("" = the place itself). */
MUST_USE enum err a_refuse(const struct a_reading *c, const char *field, const char *format, ...)
    PRINTF_LIKE(3, 4);
MUST_USE enum err a_read_messages(struct a_reading *c, struct json v);
MUST_USE enum err a_read_system(struct a_reading *c, struct json v);

/* ---- upstream, request ---- */

struct a_body { /* one write_request call */
    struct arena *a;
    const struct chat_request *r;
    const struct capability *cap;
    struct dialect_body *out;
    struct chat_problem *problem;
    struct json_out w;
    bool own; /* the request came in this dialect: raw slices may be transplanted */
    /* Decided before anything is written (anthropic_params.c). */
    enum chat_thinking thinking;
    int64_t thinking_budget, max_tokens;
    struct chat_text effort; /* output_config.effort; empty: not written */
    bool native_format, forced;
    uint32_t cache_marks; /* cache_control written for other dialects' marks; at most 4 */
};

void a_decide(struct a_body *b);       /* thinking, effort, max_tokens, format, forced choice */
void a_write_params(struct a_body *b); /* everything but system and messages */
/* `system` and `messages`. ERR_UNSUPPORTED with the problem filled. */
MUST_USE enum err a_write_turns(struct a_body *b);
/* The last message is the assistant's: it is to be continued, natively or by a user turn. */
bool a_ends_with_assistant(const struct chat_request *r);
/* Continued natively: the target can, and neither thinking nor a format stands in the way. */
bool a_native_prefill(const struct a_body *b);
/* A tool result is waiting for its answer and the call has no thinking that can be sent. */
bool a_loop_without_thinking(const struct a_body *b);
/* This thinking block can be sent to Claude: Anthropic wrote it and signed it. */
bool a_thinking_is_claudes(const struct a_body *b, const struct chat_block *block);

/* ---- the table's functions ---- */

enum err anthropic_read_request(struct arena *a, const struct json_doc *doc,
                                struct chat_request *out, struct chat_problem *out_problem);
enum err anthropic_write_request(struct arena *a, const struct chat_request *r,
                                 const struct capability *cap, struct span model, bool stream,
                                 struct dialect_body *out, struct chat_problem *out_problem);
struct reply_reader *anthropic_reader_new(struct arena *a, const struct reader_options *o,
                                          struct chat_sink sink);
enum err anthropic_read_event(struct reply_reader *r, const struct sse_event *e);
enum err anthropic_read_eof(struct reply_reader *r);
enum err anthropic_read_whole(struct reply_reader *r, struct span body);
struct reply_writer *anthropic_writer_new(struct arena *a, const struct writer_options *o,
                                          bool stream, struct buf *to);
enum err anthropic_write_event(struct reply_writer *w, const struct chat_event *e);
enum err anthropic_write_ping(struct reply_writer *w);
enum err anthropic_write_error(struct buf *to, struct reply_writer *w, const struct chat_error *e);
