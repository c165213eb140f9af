#pragma once
/* What the files of the Gemini dialect share; nobody else includes it.
 *
 *   gemini.c           the table
 *   gemini_body.c      upstream: chat_request -> a generateContent body, everything but contents
 *   gemini_contents.c  upstream: its contents, and where thought signatures go
 *   gemini_reply.c     upstream: chunks and whole answers -> chat events
 *
 * Sources: Gemini API, "Generate content", "Function calling", "Thought signatures", 2026-10;
 * protocols.md 3.6. It is no door. */
#include "dialect/openai_chat_internal.h"

/* A thought signature travels to the client as that of a thinking block, behind this: our mark, so
 * that the block never reaches Claude. It stands for the part behind the block. */
#define GEMINI_SIGNATURE DIALECT_GEMINI_MARK

/* Gemini's own word for a call that it did not sign, since another model made it or the client
 * lost the signature: it is then not looked for ("Thought signatures", FAQ). */
#define GEMINI_UNSIGNED "skip_thought_signature_validator"

enum err gemini_write_contents(struct oc_writing *c);
enum err gemini_write_request(struct arena *a, const struct chat_request *r,
                              const struct capability *cap, struct span model, bool stream,
                              struct dialect_body *out, struct chat_problem *out_problem);

struct reply_reader *gemini_reader_new(struct arena *a, const struct reader_options *o,
                                       struct chat_sink sink);
enum err gemini_read_event(struct reply_reader *r, const struct sse_event *e);
enum err gemini_read_eof(struct reply_reader *r);
enum err gemini_read_whole(struct reply_reader *r, struct span body);
