#pragma once
/* What the files of the OpenAI chat dialect share, and what the Responses dialect
 * (openai_responses_internal.h), Gemini's (gemini_internal.h) Ollama's (ollama_internal.h) and
 * Converse (bedrock_converse_internal.h) have in common with them: other words for the same turns,
 * and the same blocks to read into. Nobody else includes it.
 *
 *   openai_chat.c           the table, names of tools, words of both vocabularies
 *   openai_chat_request.c   door: a client's body -> chat_request (completions.c uses its fields)
 *   openai_parts.c          door: parts of content, which the Responses door reads alike
 *   openai_chat_body.c      upstream: chat_request -> a target's body, everything but messages
 *   openai_chat_messages.c  upstream: the messages of that body
 *   openai_chat_reply.c     upstream: chunks and whole answers, read
 *   openai_chat_blocks.c    upstream: pieces in any order -> blocks that never overlap
 *   openai_chat_answer.c    door: chat events -> chunks and whole answers (chat and text) */
#include "dialect/dialect_internal.h"

/* ---- openai_chat.c ---- */

/* FNV-1a: deterministic, for names we invent; not for tables a peer could fill. */
uint64_t oc_hash(uint64_t seed, struct span s);
#define OC_HASH_SEED 14695981039346656037u

/* A tool name that fits `max` bytes: the name itself, or the whole characters at its beginning, '_'
 * (as often as a cut character needs) and eight hex digits of its hash, exactly `max` long. max 0:
 * no limit; else above 9. oc_tool_name_back finds the tool of the request
 * whose short form `name` is, so the short form needs no table. */
struct chat_text oc_tool_name(struct arena *a, struct chat_text name, uint32_t max);
struct chat_text oc_tool_name_back(struct arena *a, const struct chat_request *r,
                                   struct chat_text name);

/* ---- openai_chat_request.c ---- */

struct oc_reading { /* one read_request call */
    struct arena *a;
    struct chat_request *out;
    struct chat_problem *problem;
    struct chat_message **message_tail;
    struct chat_extra **extra_tail;
    struct chat_tool **tool_tail;
    struct chat_block **block_tail; /* of the message, or tool result, being read */
    /* The USER message that collects tool results, while it is the last one. A reader of a role
     * sets results_next, so that only a tool message keeps it open. Responses: the last message. */
    struct chat_message *results, *results_next;
    struct chat_text call_id;     /* made for the last legacy function_call */
    const char *list;             /* what message_at counts in: "messages", or Responses' "input" */
    uint32_t message_at, part_at; /* where we are, for faults; part_at may be OC_NO_PART */
    uint32_t made_ids;
    bool has_completion_tokens, has_safety_identifier;
    struct json allowed_tools;
};
#define OC_NO_PART UINT32_MAX

struct oc_field {
    const char *name;
    enum err (*read)(struct oc_reading *c, struct json v);
};

void oc_reading_init(struct oc_reading *c, struct arena *a, struct chat_request *out,
                     struct chat_problem *out_problem);
/* Reads one member of the body by its row in `own` (ends with a NULL name), else by the fields both
 * doors share, else keeps it as an extra. */
enum err oc_read_member(struct oc_reading *c, const struct oc_field *own, struct json member);
/* What only the whole body tells: model is there, max_tokens. */
enum err oc_read_finish(struct oc_reading *c);
struct chat_message *oc_message_new(struct oc_reading *c, enum chat_role role);
struct chat_block *oc_block_new(struct oc_reading *c, enum chat_block_type type);

/* A json_schema's {name, schema, strict}; that the schema is an object was seen. */
void oc_take_schema(struct chat_request *r, struct json wanted);
/* {name, description, parameters, strict}: a function tool's inside. where: its path, for faults.
 */
enum err oc_function_tool(struct oc_reading *c, struct chat_tool *t, struct json f,
                          struct span where);
/* {syntax, definition}, or anything else: no grammar. */
void oc_read_grammar(struct chat_tool *t, struct json grammar);
/* none, auto, required. */
enum err oc_choice_word(struct oc_reading *c, struct json v, struct span param);
enum err oc_read_parallel(struct oc_reading *c, struct json v);
enum err oc_read_safety_identifier(struct oc_reading *c, struct json v);
#define OC_ALLOWED_TOOLS_MAX 256 /* each is looked for among all tools */

enum err oc_read_request(struct arena *a, const struct json_doc *doc, struct chat_request *out,
                         struct chat_problem *out_problem);

/* ---- openai_parts.c ---- */

/* "messages[3].content[0].image_url" for a field of what is being read. */
struct span oc_where(struct oc_reading *c, const char *field);
#define FAULT(c, param, ...) problem((c)->a, (c)->problem, ERR_INVALID, (param), __VA_ARGS__)
#define FAULT_HERE(c, field, ...) FAULT(c, oc_where(c, field), __VA_ARGS__)

/* A string or an array; `read_part` gets each element. */
enum err oc_read_content(struct oc_reading *c, struct json content,
                         enum err (*read_part)(struct oc_reading *c, struct json part));
/* One part, by the row of its type (the last has a NULL name); a type without one is a block OTHER
 * of that name. */
enum err oc_read_part(struct oc_reading *c, const struct oc_field *types, struct json part);
enum err oc_part_refusal(struct oc_reading *c, struct json part);
enum err oc_part_audio(struct oc_reading *c, struct json part);
/* A data: URL carries the bytes, any other names them. */
void oc_source_of_url(struct chat_source *to, struct chat_text url);
/* A file's bytes, with their data: header or without. */
void oc_source_of_file(struct chat_source *to, struct chat_text data);

/* ---- openai_chat_body.c and openai_chat_messages.c ---- */

struct oc_writing { /* one write_request call */
    struct arena *a;
    const struct chat_request *r;
    const struct capability *cap;
    struct dialect_body *out;
    struct chat_problem *problem;
    struct json_out w;
    const struct chat_message *last_calls; /* beginning of the last assistant run */
    bool prefilled;        /* the last message is the assistant's, to be gone on with */
    bool schema_in_system; /* the target has no json_schema: the system prompt asks for it */
};
enum err oc_write_messages(struct oc_writing *c);
/* ERR_UNSUPPORTED with the problem filled. */
enum err oc_refuse(struct oc_writing *c, const char *param, const char *text);

/* Notes a loss; `name` is capability.h's. */
void oc_lossy(struct oc_writing *c, const char *name);
/* The body's object, from c->a, r and out as they were set; begin refuses several choices, end
 * tells when the arena is over its bound (ERR_LIMIT). */
enum err oc_body_begin(struct oc_writing *c);
enum err oc_body_end(struct oc_writing *c);

/* Shared with the other writers. What they write stands behind a key or in a string already begun;
 * losses are noted by all of them. */

struct oc_run { /* messages of one role: first .. before end */
    const struct chat_message *first, *end;
};
#define EACH_BLOCK(run, m, b)                                                                      \
    for (const struct chat_message *m = (run).first; m != (run).end; m = m->next)                  \
        for (const struct chat_block *b = m->blocks; b; b = b->next)
enum chat_role oc_role_here(const struct oc_writing *c, const struct chat_message *m, bool leading);
struct oc_run oc_next_run(const struct oc_writing *c, const struct chat_message *from,
                          bool leading);

struct oc_function { /* a tool as a function */
    struct chat_text name, description;
    struct span schema; /* may be empty */
    enum chat_tri strict;
};
/* Anthropic's tools that the client runs have schemas we know; free text is a string argument.
 * False: this one's schema is known to its provider only. */
bool oc_function_of(struct oc_writing *c, const struct chat_tool *t, struct oc_function *out);
/* Goes in OpenAI's own words for free text. */
bool oc_stays_free_text(const struct oc_writing *c, const struct chat_tool *t);
void oc_put_free_text(struct oc_writing *c, const struct chat_tool *t);   /* name, description */
void oc_put_grammar(struct oc_writing *c, const struct chat_tool *t);     /* syntax, definition */
enum err oc_refuse_tool(struct oc_writing *c, const struct chat_tool *t); /* as oc_refuse */
bool oc_schema_is_strict(struct oc_writing *c, struct span schema);
void oc_put_schema(struct oc_writing *c, struct span schema);
void oc_put_tool_name(struct oc_writing *c, struct chat_text name);
/* The word for a choice this target can take; NAMED: "function" or "custom". */
const char *oc_fit_tool_choice(struct oc_writing *c, enum chat_tool_choice *out);

void oc_put_max_tokens(struct oc_writing *c, const char *name);
void oc_put_sampling(struct oc_writing *c, const char *temperature, const char *top_p,
                     const char *top_k);
/* What does not fit is left to the reader of the answer, which cuts at every stop sequence. */
void oc_put_stop(struct oc_writing *c, const char *name);
void oc_put_user(struct oc_writing *c); /* member safety_identifier or user */
struct oc_effort {
    enum effort wanted;
    bool any, off, spoken; /* spoken: as a word, not as a budget */
};
struct oc_effort oc_effort_of(const struct chat_request *r);
/* False: nothing is to be said of effort. */
bool oc_fit_effort(struct oc_writing *c, enum effort *out);
void oc_put_schema_format(struct oc_writing *c); /* members name, schema, strict */

/* Cache marks and citations, which nobody here takes. */
void oc_note_losses(struct oc_writing *c, const struct chat_block *b);
void oc_put_data_url(struct oc_writing *c, const struct chat_source *s); /* a string */
bool oc_image_fits(const struct oc_writing *c, const struct chat_block *b);
bool oc_file_fits(const struct oc_writing *c, const struct chat_block *b);
bool oc_is_text_document(const struct chat_block *b); /* a search result, too */
bool oc_moves_out(const struct chat_block *b);        /* has no form as text */
void oc_put_text_document_part(struct oc_writing *c, const struct chat_block *b);
/* What the target cannot take: ERR_UNSUPPORTED when the newest turn brings it; in history a
 * placeholder stands for it, as a conversation must not end over a picture of last week. */
enum err oc_unfit(struct oc_writing *c, const struct chat_block *b, bool newest);
void oc_put_placeholder_part(struct oc_writing *c, const struct chat_block *b);
/* A tool result's text; _content says in words that it is an error. */
void oc_put_result_text(struct oc_writing *c, const struct chat_block *result);
void oc_put_result_content(struct oc_writing *c, const struct chat_block *result);
struct chat_text oc_fit_tool_id(struct oc_writing *c, struct chat_text id);
/* The call a result answers; it stands in the assistant run before. NULL, "unknown": none. */
const struct chat_block *oc_call_of(const struct oc_writing *c, struct chat_text id);
struct chat_text oc_tool_name_of(const struct oc_writing *c, struct chat_text id);
void oc_put_whose_part(struct oc_writing *c, const struct chat_block *result); /* "From ...:" */
/* A block of the assistant's that is not written. */
void oc_note_left_out(struct oc_writing *c, const struct chat_block *b);
/* The input of a call as JSON text: a free-text one's is wrapped where such tools are functions. */
struct chat_text oc_call_input(struct oc_writing *c, const struct chat_block *b);
bool oc_is_custom_call(const struct oc_writing *c, const struct chat_block *b);
/* What a block of the assistant says in words; empty when nothing. */
struct chat_text oc_spoken(struct oc_writing *c, const struct chat_block *b);
bool oc_system_text(const struct chat_block *b, bool first);
/* The system texts of a run as one JSON string, with the schema the target cannot be given. */
bool oc_has_system_text(const struct oc_writing *c, struct oc_run run, bool leading);
void oc_put_system_text(struct oc_writing *c, struct oc_run run, bool leading);

enum err oc_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem);

/* ---- openai_chat_blocks.c ---- */

#define OC_CALLS_MAX 256       /* tool calls of one answer */
#define OC_HELD_MAX (8u << 20) /* bytes that wait for another block to end */
#define OC_STOP_MAX 256        /* bytes of one stop sequence we match ourselves */
#define OC_STOPS_MAX 64        /* how many of them: each costs a look at each character */

/* Follows pieces of JSON text far enough to know when the outermost object has closed. */
struct oc_json_scan {
    uint32_t depth;
    bool in_string, escape, complete;
};
void oc_json_scan(struct oc_json_scan *s, struct chat_text piece);

enum oc_part_state { OC_PART_WAITING, OC_PART_OPEN, OC_PART_CLOSED };
struct oc_part { /* a tool call; or another block that had to wait for one */
    struct oc_part *next;
    enum chat_block_type type;
    enum oc_part_state state;
    int64_t index; /* the upstream's, OC_NO_INDEX when it gave none */
    struct chat_text id, name;
    bool told_id; /* the upstream's, not one we made */
    bool custom;
    bool wrapped; /* a free-text tool's, called as a function */
    struct free_text unwrapped;
    bool plain_input; /* held bytes are not JSON-escaped */
    struct oc_json_scan scan;
    struct buf held;
};
#define OC_NO_INDEX ((int64_t)-1)
#define OC_LEGACY_INDEX ((int64_t)-2) /* function_call */

struct oc_blocks { /* embed it */
    struct arena *a;
    struct chat_sink sink;
    const struct chat_request *request;
    bool open; /* a block is open: of type `type`, and `current` when it is a part */
    enum chat_block_type type;
    struct oc_part *current, *parts, **parts_tail;
    size_t part_count;
    bool any_call, any_refusal;
    struct buf tail; /* text kept back: it may be the beginning of a stop sequence */
    struct span *stops;
    size_t stop_count;
    struct chat_text next_id; /* of the item the next text, thinking or refusal belongs to */
    struct span end_raw;      /* the open block's whole JSON, told when it closes */
    struct span echo;         /* prefilled text that some servers (Mistral) say again; plain */
    bool failed;              /* too much came at once */
    bool cut;                 /* a stop sequence stood in the text: the rest is not told */
    struct span cut_at;
};
void oc_blocks_init(struct oc_blocks *b, struct arena *a, const struct chat_request *request,
                    struct chat_sink sink);
void oc_blocks_deinit(struct oc_blocks *b);
/* A piece of text, thinking or refusal. ERR_LIMIT: too much is waiting. */
enum err oc_blocks_text(struct oc_blocks *b, enum chat_block_type type, struct chat_text piece);
/* Ends the open text, so that the next piece of any kind begins a block; a tool call that is not
 * complete stays open. begin: the next block belongs to the item `id`; now: it opens at once. */
enum err oc_blocks_end(struct oc_blocks *b);
enum err oc_blocks_begin(struct oc_blocks *b, enum chat_block_type type, struct chat_text id,
                         bool now);
/* The tool call with this index, id or name; made when it is new. NULL: too many. */
struct oc_part *oc_blocks_call(struct oc_blocks *b, int64_t index, struct span id, struct span name,
                               bool has_input);
/* A piece of its input, perhaps empty: the call opens as soon as it may and has a name. */
enum err oc_blocks_input(struct oc_blocks *b, struct oc_part *p, struct chat_text piece);
/* Signs the open block of thinking, or one without text that is opened for it, and closes it. */
enum err oc_blocks_sign(struct oc_blocks *b, struct chat_text signature);
/* No piece will come: what waits is told, all is closed. ERR_SYNTAX: a call never got a name. */
enum err oc_blocks_finish(struct oc_blocks *b);

/* ---- openai_chat_reply.c ---- */

/* A tool id for a call whose server gave none: the same for the same seed and count. */
struct chat_text oc_make_call_id(struct arena *a, uint64_t seed, uint32_t count);

struct reply_reader *oc_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink);
enum err oc_read_event(struct reply_reader *r, const struct sse_event *e);
enum err oc_read_eof(struct reply_reader *r);
enum err oc_read_whole(struct reply_reader *r, struct span body);

/* ---- openai_chat_answer.c ---- */

enum oc_flavour { OC_CHAT, OC_TEXT /* legacy completions */ };
struct reply_writer *oc_answer_new(struct arena *a, const struct writer_options *o, bool stream,
                                   struct buf *to, enum oc_flavour flavour);
enum err oc_write_event(struct reply_writer *w, const struct chat_event *e);
enum err oc_write_ping(struct reply_writer *w);
/* {message, type, param, code}: the inside of every error of OpenAI's. */
void oc_put_error(struct json_out *out, const struct chat_error *e);
enum err oc_write_error(struct buf *to, struct reply_writer *w, const struct chat_error *e);
