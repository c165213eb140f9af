#pragma once
/* Shared by standin.c (options, doors, control), standin_answer.c (one answer, piece by piece),
 * standin_lacks.c (what it cannot do), standin_bind.c (thinking bound to its history),
 * standin_resume.c (going on with one that another began), standin_kept.c (telling one's own
 * again), standin_write.c and standin_responses.c (the words of each dialect). Nobody else includes
 * it. */
#include "base/arena.h"
#include "base/buf.h"
#include "conn/server.h"
#include "json/json.h"
#include "json/json_write.h"
#include "relay/fault.h"

#include <stdio.h>

#define STANDIN_TOOLS 8
#define STANDIN_FAULTS 16
#define STANDIN_PARTS 4
#define STANDIN_KEPT 16 /* background streams; the oldest goes */

enum speech { SPEAK_MESSAGES, SPEAK_CHAT, SPEAK_COMPLETIONS, SPEAK_RESPONSES };

/* How an answer that another began is taken up. */
enum resume_style {
    RESUME_EXACT,
    RESUME_ECHO,    /* the whole text again, then the rest */
    RESUME_RESTART, /* the same, as a model does that was asked in words */
    RESUME_REPEAT,  /* the last words again */
    RESUME_LEAD_IN,
    RESUME_REFUSE /* 400, unless asked in words */
};

/* What it cannot do; the words and how each shows are standin_lacks.c's. */
enum lack {
    LACK_STREAM,
    LACK_STREAM_END,
    LACK_STREAM_OPTIONS,
    LACK_STREAM_USAGE,
    LACK_TOOLS,
    LACK_TOOL_CALLS,
    LACK_FORCED_TOOL,
    LACK_PARALLEL_TOOLS,
    LACK_IMAGES,
    LACK_PDF,
    LACK_JSON_SCHEMA,
    LACK_STOP,
    LACK_MAX_TOKENS,
    LACK_THINKING,
    LACK_PREFILL,
    LACK_COUNT
};

struct tool_plan {
    const char *name;
    struct span input; /* JSON text */
};

struct kept { /* a background stream: all of its events */
    uint64_t serial;
    struct buf stream;
};

struct standin {
    struct loop *loop;
    struct server *server;
    const char *name, *model, *key;
    const char *host;
    uint16_t port;
    uint64_t words, thinking, rate;
    bool binds;       /* thinking is bound to what stands before it */
    uint64_t preface; /* words before a tool call */
    uint32_t lacks;   /* BIT(enum lack) */
    enum resume_style resume;
    uint64_t resume_back; /* words said again */
    bool resume_zh;       /* the lead-in is Chinese */
    usec first_token;
    struct tool_plan tools[STANDIN_TOOLS];
    size_t tool_count;
    struct fault faults[STANDIN_FAULTS];
    size_t fault_count;
    struct span replay_body;
    int replay_status;
    bool replaying, replay_stream;
    struct arena arena;
    struct timer relisten; /* refused: closes the server, and opens it again */
    struct buf last;       /* the last request's body */
    struct buf
        seen; /* and what else it was, as JSON members: model, stream, names of its headers */
    struct {
        uint64_t requests, streams, aborted, in_flight, told_again;
    } stats;
    uint64_t serial;
    struct kept kept[STANDIN_KEPT];
    size_t kept_next;
};

enum part_kind { PART_THINKING, PART_TEXT, PART_TOOL };
struct part {
    enum part_kind kind;
    uint64_t pieces;
    bool images; /* the last piece tells how many came */
    const struct tool_plan *tool;
};

enum answer_stage {
    STAGE_START,
    STAGE_OPEN,
    STAGE_PIECE,
    STAGE_CLOSE,
    STAGE_FINISH,
    STAGE_USAGE,
    STAGE_LAST,
    STAGE_OVER
};

struct answer { /* in the request's arena */
    struct standin *standin;
    struct request *request;
    struct json_doc doc; /* what was asked */
    enum speech speech;
    bool stream, include_usage, json_only;
    uint64_t serial, images, prompt_words;
    const char *stop;          /* "end_turn" "max_tokens" "stop_sequence" "tool_use" */
    struct span stop_sequence; /* raw string content */
    struct span model;         /* raw string content */
    struct part parts[STANDIN_PARTS];
    size_t part_count;
    uint64_t output_words;
    uint64_t history, history_tag; /* what bind_thinking has read: standin_bind.c */
    struct span signature;         /* of its thinking */
    bool resumes;
    uint64_t said;       /* words said by another, the one that was cut included */
    struct span opening; /* the first piece of the text, when it is no whole word */
    bool tells_again;
    struct span again; /* the events of a kept stream that are still to be told */

    const struct fault *fault; /* the one this answer commits, its own copy; or NULL */
    struct timer timer;
    bool waiting; /* for the client to take what is queued */
    enum answer_stage stage;
    size_t part;
    unsigned step; /* within a stage that takes several events (Responses) */
    uint64_t piece, events, deltas, bytes;
    uint64_t sequence;     /* number of the next event (Responses) */
    bool pinged, is_delta; /* is_delta: the last event written carries content */
    bool was_odd;          /* the legal oddity has been written */
};

/* standin_answer.c */
void answer_request(struct standin *s, struct request *r, enum speech speech);
/* Streams events that were kept, number: of the first; faults and pace as for any other answer. */
void answer_again(struct standin *s, struct request *r, struct span events, uint64_t number);
void answer_gone(struct answer *a);
void answer_drained(struct answer *a);
void answer_over(struct answer *a); /* it is no longer under way; its request is the caller's */
bool answer_add_event(struct answer *a, struct buf *out); /* false: there is none left */

struct json answer_turns(struct json root);  /* the conversation, whatever the dialect calls it */
uint64_t answer_count_images(struct json v); /* image blocks anywhere in it */

/* standin_lacks.c */
void lacks_show(FILE *to); /* one line a gap, for --help */
/* "tools,images": adds to *out. ERR_INVALID: a word of it names no gap. */
MUST_USE enum err lacks_parse(struct span list, uint32_t *out);
bool lacks(const struct standin *s, enum lack l);
/* NULL, or what a provider says that refuses what this stand-in lacks. */
const char *lacks_complaint(const struct standin *s, struct json root);

/* standin_odd.c: shapes of an answer that are rare, some of them legal */
bool odd_is_gathered(const struct answer *a); /* all of it is needed before the first byte goes */
/* The whole body, event stream or JSON, as this answer's fault has it; then its end. */
void odd_reply(struct answer *a, struct span body);
void odd_send(struct answer *a, struct span bytes); /* a piece of the stream */
/* What goes between two events once its place is reached; nothing of it is content. */
void odd_write(struct answer *a, struct buf *to);
/* One more event, cut off in its middle, or the next delta, inside a character. False: there is
 * none left. */
bool odd_cut_event(struct answer *a, struct buf *to);
/* A whole answer up to such a place: inside a character of its text, or inside a tool's input. */
struct span odd_cut_whole(struct answer *a, struct span body);
bool odd_inside_tool(const struct answer *a);

/* standin_bind.c */
/* Reads the history of a Messages request: NULL, or what a provider says of thinking it does not
 * take back. */
const char *bind_thinking(struct answer *a, struct json root);
bool bind_thinks(const struct standin *s, struct json root); /* the request has not forbidden it */
/* Signs the thinking of this answer, for the history that bind_thinking has read. */
void bind_sign(struct answer *a, struct span text);

/* standin_resume.c */
enum err resume_parse(struct span text, struct standin *s);
/* How many messages at the end ask to go on, rather than belong to the conversation: 0, 1 or 2. */
uint32_t resume_messages(struct json root, struct arena *a);
/* Fills said, opening and resumes where the request asks to go on with a beginning of `words`
 * numbered words. Returns what a provider that refuses says, or NULL. */
const char *resume_plan(struct answer *a, struct json root, uint64_t words);

/* standin_kept.c */
/* Keeps all events of this answer, where its request asked for a background stream. */
void kept_add(const struct answer *a);
void kept_free(struct standin *s);
/* GET .../responses/{id}?stream=true&starting_after=N: tells the events behind N. False: there is
 * no such stream, or not so asked; *out_why says which. */
bool kept_tell(struct standin *s, struct request *r, const char **out_why);

/* standin_write.c */
struct span write_part_text(struct answer *a, size_t part); /* all of its words */
bool write_next_event(struct answer *a, struct buf *to);    /* false: there is none left */
void write_whole(struct answer *a, struct buf *to);
struct span write_piece(const struct answer *a, uint64_t i, char out[48]); /* of its part */
void write_next_part(struct answer *a);
void key_str(struct json_out *w, const char *key, const char *value);
void key_i64(struct json_out *w, const char *key, uint64_t value);
void key_null(struct json_out *w, const char *key);
void key_model(struct json_out *w, const struct answer *a);
/* row may be NULL. id: the one in the request-id header. */
void write_error(enum speech speech, int status, const struct fault_row *row, const char *type,
                 const char *message, struct span id, struct buf *to);
struct span write_request_id(const struct answer *a); /* "req_NAME_000001" */
void write_stream_error(struct answer *a, struct buf *to);
void write_ping(const struct answer *a, struct buf *to);

/* standin_responses.c */
bool responses_next(struct answer *a, struct buf *to); /* false: there is none left */
void responses_whole(struct answer *a, struct json_out *w);
void responses_stream_error(struct answer *a, struct buf *to);
