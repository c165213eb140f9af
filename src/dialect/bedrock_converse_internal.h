#pragma once
/* What the files of the Bedrock Converse dialect share; nobody else includes it.
 *
 *   bedrock_converse.c           the table
 *   bedrock_converse_body.c      chat_request -> a Converse body, everything but messages
 *   bedrock_converse_messages.c  system and messages of that body
 *   bedrock_converse_reply.c     whole answers and the events of ConverseStream, read
 *
 * Upstream only: no client speaks it to us. Where it says the same as OpenAI's chat format, that
 * one's pieces are used. Source: AWS, Amazon Bedrock API reference, "Converse", "ConverseStream".
 */
#include "dialect/openai_chat_internal.h"

/* Begins the signature of thinking that a Converse model signed: no other provider is to see it,
 * and it goes back to where it is from. */
#define CONVERSE_SIGNATURE DIALECT_STANDIN_MARK "converse."

/* Members system and messages. ERR_UNSUPPORTED with the problem filled. */
enum err bc_write_messages(struct oc_writing *c);

enum err bc_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem);

struct reply_reader *bc_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink);
enum err bc_read_event(struct reply_reader *r, const struct sse_event *e);
enum err bc_read_eof(struct reply_reader *r);
enum err bc_read_whole(struct reply_reader *r, struct span body);
