#pragma once
/* What a wire format must offer: one table of functions per format, both directions, door and
 * upstream.
 *
 * Pure: bytes in, canonical values out, and back. Knows no socket, no clock, no provider account.
 */
#include "base/buf.h"
#include "base/pieces.h"
#include "chat/chat.h"
#include "http/sse.h"
#include "json/json.h"

enum dialect_id {
    DIALECT_ANTHROPIC,
    DIALECT_OPENAI_CHAT,
    DIALECT_COMPLETIONS,
    DIALECT_GEMINI, /* upstream only */
    DIALECT_COMPLETE,
    DIALECT_COUNT_TOKENS,
    DIALECT_EMBEDDINGS,
    DIALECT_OPENAI_RESPONSES,
    DIALECT_BEDROCK_CONVERSE,
    DIALECT_OLLAMA,
    DIALECT_COUNT
};

/* Why a request cannot be read, or cannot be carried to a target. */
struct chat_problem {
    struct span
        param; /* path of the field: "messages[3].content[0].source", plain, arena or static */
    struct span text; /* a sentence for the caller that names the fix */
    int64_t context;  /* tokens; not 0: it is too long, and for this context (fit.h) */
};

/* Features that were dropped or weakened on the way to a target; they become x-hotspare-lossy.
 * Names are static strings of one vocabulary (capability.h lists it). Duplicates are kept once. */
struct lossy {
    const char *names[24];
    size_t count;
};
void lossy_add(struct lossy *l, const char *name);
bool lossy_has(const struct lossy *l, const char *name);
/* "cache_control,thinking" into out; truncates at whole names. Returns the length. */
size_t lossy_format(const struct lossy *l, char *out, size_t cap);

struct capability; /* dialect/capability.h: what the (target kind, model) at hand can carry */

/* A request put into words for one target. */
struct dialect_body {
    struct pieces body; /* init'ed by the caller with the exchange's arena */
    struct lossy lossy;
    bool has_unparsed_tool_input;
};

struct reader_options {
    const struct chat_request
        *request; /* what was asked (stop sequences to match, tools); may be NULL */
    bool requested_whole;
    bool passes; /* the client sees the same bytes: blocks begin when they are announced, with the
                    ids of their items, and what only this dialect knows is told too */
};
struct writer_options {
    const struct chat_request *request; /* include_usage, stop sequences; not NULL */
    struct span
        id; /* id to give the answer, plain; empty = keep the upstream's when it fits the format */
    struct span model;       /* model name to show, raw JSON string content; empty = upstream's */
    int64_t created;         /* unix seconds, for OpenAI's `created` */
    enum chat_tri usage_key; /* does each OpenAI chunk have `usage`? UNSET: where usage was asked
                                for, as OpenAI has it; else as in the chunks before ours */
    uint64_t *sequence;      /* Responses: the number of the next event, kept by the owner so that
                                writers of one stream can follow each other; NULL: from 0 */
    bool codex;              /* the client is Codex: an answer cut short or refused is completed,
                                since anything else makes it ask again (protocols.md 6.3) */
};

struct reply_reader; /* opaque, one per attempt, in the exchange's arena */
struct reply_writer; /* opaque, one per exchange */

struct dialect {
    enum dialect_id id;
    bool claude_api;     /* of Anthropic's API: its statuses (529) and its request-id */
    bool model_optional; /* a request may leave its model out */
    bool lines;          /* streams are lines of JSON (http/ndjson.h), not server-sent events */
    bool says_again;  /* the last event repeats all: a writer that takes over must be told it all */
    const char *name; /* "anthropic-messages", "openai-chat", "openai-responses" ... */
    const char *path; /* below the base URL: "/v1/messages", "/chat/completions" */

    /* Door: reads a client's request. ERR_INVALID with *out_problem: the caller's fault, 400.
     * Borrows from doc->text. */
    enum err (*read_request)(struct arena *a, const struct json_doc *doc, struct chat_request *out,
                             struct chat_problem *out_problem);
    /* Door: the body for a target of the same dialect, where something of it may not go there byte
     * for byte. model: as dialect_replace_model; empty: the client's own. False: nothing was
     * written, all of it may go. NULL: always all. */
    bool (*pass_body)(const struct json_doc *doc, struct span model, struct pieces *out);
    /* Upstream: writes it for a target. model: raw JSON string content to name. stream: what to ask
     * for. ERR_UNSUPPORTED with *out_problem: this target cannot carry it, refused by name. */
    enum err (*write_request)(struct arena *a, const struct chat_request *r,
                              const struct capability *cap, struct span model, bool stream,
                              struct dialect_body *out, struct chat_problem *out_problem);

    /* Upstream: reads its answer into events. The reader keeps what it needs between calls in `a`
     * (bounded). */
    struct reply_reader *(*reader_new)(struct arena *a, const struct reader_options *o,
                                       struct chat_sink sink);
    /* One SSE event. ERR_SYNTAX: malformed, the attempt is broken. */
    enum err (*read_event)(struct reply_reader *r, const struct sse_event *e);
    /* The stream's bytes ended. ERR_OK: after the terminal mark (or what counts as one for this
     * dialect; then the missing events are delivered now); ERR_EOF: cut. */
    enum err (*read_eof)(struct reply_reader *r);
    /* A whole (non-streamed) 2xx body. ERR_SYNTAX: not an answer of this dialect. */
    enum err (*read_whole)(struct reply_reader *r, struct span body);
    /* An error body of any shape (JSON of any provider, HTML, empty). Always yields something: *out
     * filled, spans in a. */
    void (*read_error)(struct arena *a, int status, struct span body, struct chat_error *out);

    /* Door: writes the answer. Streamed: bytes appear in `to` with each event. Whole: only at
     * CHAT_EV_END. */
    struct reply_writer *(*writer_new)(struct arena *a, const struct writer_options *o, bool stream,
                                       struct buf *to);
    enum err (*write_event)(struct reply_writer *w,
                            const struct chat_event *e); /* ERR_LIMIT from `to` */
    /* A keep-alive in this dialect's form. */
    enum err (*write_ping)(struct reply_writer *w);
    /* An error: as a whole body (w == NULL), or as the last event of a stream that has begun. Never
     * a clean end. */
    enum err (*write_error)(struct buf *to, struct reply_writer *w, const struct chat_error *e);
};

extern const struct dialect dialect_anthropic;
extern const struct dialect dialect_openai_chat;
extern const struct dialect dialect_openai_responses;
extern const struct dialect dialect_ollama;           /* upstream only, and so is: */
extern const struct dialect dialect_bedrock_converse; /* upstream only: no door has its functions */
extern const struct dialect dialect_gemini;           /* no door: those of its functions are NULL */
extern const struct dialect
    dialect_completions; /* legacy text completions: door; upstream is chat's */
extern const struct dialect
    dialect_complete; /* Claude's legacy prompts: door; upstream is Messages */
/* Doors whose answers are no conversation: names, and errors in their API's form; nothing else
 * (relay/errand.h). */
extern const struct dialect dialect_count_tokens, dialect_embeddings;
const struct dialect *dialect_by_id(enum dialect_id id);

/* How a target is asked to go on with a last assistant message where it does not do so by itself:
 * the text of a user turn behind it. Such a request is told by LOSSY_PREFILL; the answer may
 * repeat, restart or comment, which relay/seam.h mends. */
#define DIALECT_GO_ON                                                                              \
    "Continue your last message exactly where it ends, in the middle of a word if need be. Do "    \
    "not "                                                                                         \
    "repeat any of it and do not comment on it. Begin with a space where one belongs. If a tool "  \
    "call comes next, make it."

/* Rewrites only the value of the top-level "model" member of a request body: the rest byte for byte
 * (passthrough). model: raw JSON string content. Adds the member when there was none. */
void dialect_replace_model(const struct json_doc *doc, struct span model, struct pieces *out);

/* The body as a cloud takes it (capability.body_version): without model and, where the path tells,
 * stream; with the version and, when not empty, `betas` (a JSON array) as anthropic_beta. All other
 * members as they came, in their order. */
void dialect_pass_to_cloud(const struct json_doc *doc, const struct capability *cap,
                           struct span betas, struct pieces *out);

/* True when the history holds thinking that a stand-in wrote (our mark as its signature). Claude
 * would refuse it: such a request must not be passed through to Claude byte for byte; write_request
 * takes the thinking out and leaves the rest as it was. */
/* Begins such a signature: a body without it has none. */
#define DIALECT_STANDIN_MARK "hotspare1."
/* Begins one that carries a thought signature of Gemini's, which Gemini checks. */
#define DIALECT_GEMINI_MARK DIALECT_STANDIN_MARK "gemini."
bool dialect_has_standin_thinking(const struct chat_request *r);

/* The request without any thinking in its history up to and with `last` (NULL: all of it), and with
 * thinking itself switched off where `off`. Itself when that changes nothing; else a copy in `a`
 * that shares what it can. A turn of thinking alone loses all its blocks: writers leave it out. */
const struct chat_request *dialect_without_thinking(struct arena *a, const struct chat_request *r,
                                                    const struct chat_block *last, bool off);
/* What tells one block of thinking from another: its signature, or a redacted one's data. Empty for
 * every other block. */
struct span dialect_thinking_mark(const struct chat_block *block);

/* The type of a Messages block that marks where one model's answer gives way to another's, whole in
 * its start (protocols.md 1.3, 1.7; Anthropic's SDKs: BetaFallbackBlock). It has no text: in a
 * history it stands for nothing. */
#define DIALECT_FALLBACK "fallback"
/* Such a block as JSON. from, to: model names as raw JSON string content. The trigger is our own
 * word: the only one Anthropic has, "refusal", says that a model declined. */
struct span dialect_fallback_block(struct arena *a, struct span from, struct span to);
/* Does this value of an anthropic-beta header ask for such blocks (server-side-fallback-...)? */
bool dialect_beta_has_fallback(struct span value);

/* Tools are defined, or the history holds calls or results of some. */
bool dialect_has_tools(const struct chat_request *r);

/* Would Ollama's doors read the schemas of these tools (of a chat request; absent: none)? Else they
 * refuse the request, and only what is written for dialect_ollama has them in a form they can. */
bool dialect_ollama_reads(struct json tools);

/* The status we answer in when an upstream of another protocol said `status` (protocols.md 5.7). */
int dialect_map_status(int status);
/* Anthropic's error type word for a status: 429 -> "rate_limit_error". */
const char *dialect_error_type(int status);
