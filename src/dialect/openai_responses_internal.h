#pragma once
/* What the files of the OpenAI Responses dialect share; nobody else includes it.
 *
 *   openai_responses.c         the table, and what of a body passes through
 *   openai_responses_request.c door: a client's body -> chat_request, everything but input
 *   openai_responses_input.c   door: its input items -> messages
 *   openai_responses_body.c    upstream: chat_request -> a target's body, everything but input
 *   openai_responses_items.c   upstream: the input items of that body
 *   openai_responses_reply.c   upstream: event streams and whole answers, read
 *   openai_responses_answer.c  door: chat events -> the ladder of events and whole answers
 *   openai_responses_object.c  door: the response object that both carry
 *
 * What the formats of OpenAI have in common is openai_chat_internal.h's. */
#include "dialect/openai_chat_internal.h"

/* Begins the id of a reasoning item that we made: its provider never saw it, and would refuse it.
 */
#define OR_REASONING_MARK "rs_hotspare_"

/* ---- openai_responses_input.c ---- */

/* input: a string, or an array of items. */
enum err or_read_input(struct oc_reading *c, struct json input);
/* Appends the tools that items of `input` bring along (additional_tools, tool_search_output). */
enum err or_read_brought_tools(struct oc_reading *c, struct json input);

/* ---- openai_responses_request.c ---- */

enum err or_read_request(struct arena *a, const struct json_doc *doc, struct chat_request *out,
                         struct chat_problem *out_problem);
/* One element of `tools`, appended; more than one for a namespace. where: its path, for faults. */
enum err or_read_tool(struct oc_reading *c, struct json v, struct span where);
/* The name a function of a namespace goes by where there are no namespaces. */
struct chat_text or_joined_name(struct arena *a, struct json space, struct json name);
/* Its own name again. */
struct chat_text or_own_name(const struct chat_tool *t);

/* ---- openai_responses_items.c and openai_responses_body.c ---- */

/* Where the input begins: those before are the instructions. */
const struct chat_message *or_first_of_input(const struct chat_request *r);
enum err or_write_items(struct oc_writing *c);
enum err or_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem);

/* ---- openai_responses_reply.c ---- */

struct reply_reader *or_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink);
enum err or_read_event(struct reply_reader *r, const struct sse_event *e);
enum err or_read_eof(struct reply_reader *r);
enum err or_read_whole(struct reply_reader *r, struct span body);

/* ---- openai_responses_object.c ---- */

struct or_object { /* what a response object says; embed it */
    const struct chat_request *request;
    struct span id; /* plain */
    struct chat_text model;
    int64_t created;
    const char *status;             /* "in_progress" "completed" "incomplete" "failed" */
    const char *incomplete;         /* its reason, or NULL */
    const struct chat_error *error; /* NULL: none */
    struct span output;             /* the items, each one written, commas between them */
    struct chat_usage usage;
    bool told_usage; /* usage is known as far as it will be; else null is written */
};
void or_put_object(struct json_out *w, const struct or_object *o);
/* OpenAI's code and type for an error; both static or the error's own. */
struct span or_error_code(const struct chat_error *e);

/* ---- openai_responses_answer.c ---- */

struct reply_writer *or_answer_new(struct arena *a, const struct writer_options *o, bool stream,
                                   struct buf *to);
enum err or_write_event(struct reply_writer *w, const struct chat_event *e);
enum err or_write_ping(struct reply_writer *w);
enum err or_write_error(struct buf *to, struct reply_writer *w, const struct chat_error *e);
