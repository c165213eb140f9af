#pragma once
/* What the files of Ollama's own dialect share; nobody else includes it.
 *
 *   ollama.c        the table
 *   ollama_body.c   chat_request -> a body of /api/chat
 *   ollama_schema.c a tool's schema
 *   ollama_reply.c  lines and whole answers, read
 *
 * Upstream only. It says what Ollama's chat-completions door cannot: how long the context is, and
 * that a prompt which does not fit is refused, not cut. Source: Ollama, docs/api.md, "Generate a
 * chat completion"; its api/types.go. */
#include "dialect/openai_chat_internal.h"

enum err ol_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem);

/* Value of `parameters`. schema: JSON, or empty. */
void ol_put_schema(struct oc_writing *c, struct span schema);

struct reply_reader *ol_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink);
enum err ol_read_event(struct reply_reader *r, const struct sse_event *e);
enum err ol_read_eof(struct reply_reader *r);
enum err ol_read_whole(struct reply_reader *r, struct span body);
