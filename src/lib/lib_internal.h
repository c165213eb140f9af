#pragma once
/* Shared by client.c (configuration, loop, time), reply.c (an answer's bytes become events) and
 * events.c (the queue of events). Nobody else includes it. */
#include "base/log.h"
#include "conn/local.h"
#include "lib/hotspare.h"
#include "serve/routing.h"

#define BODY_MAX ((size_t)32 << 20)   /* of a request, as in the gateway */
#define ANSWER_MAX ((size_t)64 << 20) /* of a whole answer, and of one tool call's input */
#define REPLIES_MAX 1024              /* of one client, at a time */
#define TOLD_STRINGS 6                /* of one event */

struct told { /* an event and the strings it owns */
    struct told *next;
    hs_event event;
    char *own[TOLD_STRINGS];
    size_t own_count, bytes;
};

struct told *told_new(hs_event_type type);
void told_free(struct told *t); /* NULL is fine */
/* A copy that lives with the event. out_len may be NULL. */
const char *told_copy(struct told *t, struct span s, size_t *out_len);

struct hs_client {
    struct log_sink sink;
    void (*log)(void *ctx, int level, const char *line);
    void *log_ctx;
    char *beta;
    struct loop *loop;
    struct pool *pool;
    struct service service;
    struct routing *routing;
    struct relay relay;
    struct hs_reply *replies;
    size_t reply_count;
    size_t open;              /* replies that are not over */
    struct hs_reply *awaited; /* by the hs_next under way; NULL: none is */
    struct timer limit;       /* of that hs_next */
    bool timed_out;
    bool watched; /* the caller waits for us in a loop of its own (hs_fd) */
    atomic_bool woken;
};

/* What was known when the exchange ended (relay's on_done). */
struct ending {
    bool known;
    enum exchange_outcome outcome;
    const char *advice;        /* of a cause; static, NULL: none */
    const char *advice_target; /* whose; belongs to the configuration */
    size_t attempts;
};

struct tool_call {
    struct buf input;
    char *id, *name;
    bool custom;
};

struct hs_reply {
    hs_client *client;
    struct hs_reply *prev, *next;
    struct request *request; /* NULL: over, or it never began */
    struct timer start;
    bool dropped; /* hs_end: nobody listens any more */
    bool over;    /* its last event is in the queue */

    /* the queue */
    struct told *first, *last, *current; /* current: what the caller looks at */
    size_t pending;                      /* bytes in the queue */
    bool was_high;                       /* the exchange is owed a word when they are gone */

    /* the answer as it comes */
    struct arena arena;   /* of reader and writer */
    struct arena scratch; /* of one event */
    int status, retry_after;
    bool streams;    /* as server-sent events */
    bool broken;     /* not an answer: `wrong` says why */
    bool ended;      /* its terminal event was there */
    bool told_error; /* an error was said inside it: error_* */
    const char *wrong;
    struct sse sse;
    struct buf body;    /* whole answers and error bodies */
    struct buf message; /* a stream put together: the message it stands for */
    struct reply_reader *reader;
    struct reply_writer *writer;
    struct chat_request no_request; /* for the writer, which wants one */
    enum chat_block_type block;     /* the open one */
    struct tool_call call;
    struct chat_usage usage;
    enum chat_stop stop;
    struct chat_error error;
    char *served_by, *model, *lossy; /* of who answers now; NULL: nobody yet */
    char *switched;                  /* "lead>spare; overloaded"; NULL: the lead answers */
    struct ending ending;
};

/* ---- events.c ---- */
void reply_queue(struct hs_reply *r, struct told *t);
/* Queues the last event: an error of our own. */
void reply_refuse(struct hs_reply *r, int status, const char *text, const char *hint);

/* ---- reply.c ---- */
void reply_init(struct hs_reply *r);
void reply_deinit(struct hs_reply *r);
extern const struct local_reply reply_sink; /* its ctx is to be set to the reply */
void reply_moved(struct hs_reply *r, const struct exchange_move *move);
void reply_done(struct hs_reply *r, const struct exchange_report *report);

/* ---- client.c ---- */
void client_over(struct hs_reply *r); /* its last event is queued */
