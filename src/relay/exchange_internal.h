#pragma once
/* Shared by exchange.c (the order of things), attempt.c (one try at one target) and answer.c (what
 * the client gets). Nobody else includes it. */
#include "base/span.h"
#include "http/sse.h"
#include "relay/exchange.h"
#include "relay/identity.h"
#include "relay/pace.h"

#define LEDGER_TEXT_MAX ((size_t)4 << 20)

enum exchange_state {
    EX_IDLE,    /* between attempts; only while exchange.c decides */
    EX_TRYING,  /* an attempt is under way */
    EX_PAUSING, /* backing off before repeating a target */
    EX_DONE
};

/* What an attempt left behind for the caller, should nobody else do better. All in the exchange's
 * arena. */
struct failure {
    enum cause cause;
    size_t link;
    int status;       /* upstream's; 0 = no response */
    struct span body; /* upstream's error body, as it came */
    struct span content_type;
    const struct http_field *fields; /* those worth relaying */
    size_t field_count;
    struct chat_error error;
    usec retry_after;
    const char *why; /* for logs */
};

struct attempt {
    const struct relay_link *link;
    size_t index;
    struct call *call;
    bool open; /* holds a call and buffers */
    bool passthrough;
    bool reported; /* its breaker has been told */
    struct pieces body;
    struct span fields; /* request header lines, credentials last */
    int status;
    bool streaming; /* a 2xx event stream is being read */
    bool paused;
    bool ended;      /* the terminal event was seen */
    bool told_error; /* an error event was seen; `failure.error` holds it */
    struct span content_type;
    const struct http_field *reply_fields;
    size_t reply_field_count;
    struct sse sse;
    struct buf gathered; /* whole bodies */
    struct reply_reader *reader;
    usec started, deadline, last_content;
    struct pace pace;
};

struct exchange {
    enum exchange_state state;
    struct relay *relay;
    struct request *request;
    struct arena *arena;
    const struct dialect *door;
    const char *client_key;
    const struct relay_route *route;
    struct json_doc doc;
    struct span model; /* raw */
    bool stream;
    struct chat_request canonical;
    bool canonical_read;
    struct lossy lossy; /* of the last attempt */
    struct chain_walk walk;
    struct identity identity;      /* of its conversation; NONE when there is nothing to choose */
    struct affinity_choice choice; /* unless NONE */
    struct attempt attempt;
    struct failure first, last;
    bool failed_once;
    struct chat_problem unfit; /* why the last unfit target could not carry it */
    bool was_unfit;
    size_t retry_link; /* while EX_PAUSING */

    struct ledger ledger;
    struct reply_writer *writer;
    struct reply_writer *pinger; /* writes keep-alives into `ping`, beside what is held in `out` */
    struct buf out, ping;
    bool head_sent;   /* status and headers are with the client */
    bool holding;     /* bytes stay in `out` until the commit point */
    bool writer_full; /* `out` reached its bound */
    bool error_told;  /* the target's own error event went through: none of ours follows */
    struct chat_error stream_error;
    bool forwarded; /* bytes of an answer are with the client: no other target can take over */
    int status_sent;

    struct timer timer;
    usec started, deadline, ping_at, first_content, stall_max;
    struct exchange_attempt *attempts; /* grows in the arena: most exchanges need one */
    size_t attempt_count, attempt_cap;
    char id[32];
};

/* attempt.c */
void attempt_begin(struct exchange *x, size_t link);
void attempt_drop(struct exchange *x); /* cancels the call and frees what is not in the arena */
bool attempt_overdue(struct exchange *x,
                     usec now); /* a deadline of the attempt passed: it has been failed */
usec attempt_next_check(const struct exchange *x);
void attempt_resume(struct exchange *x); /* the client reads again: so do we */

/* exchange.c */
void exchange_attempt_failed(struct exchange *x, const struct failure *f); /* decides what now */
void exchange_attempt_works(struct exchange *x);                           /* it gives content */
void exchange_attempt_unfit(struct exchange *x, size_t link, const struct chat_problem *why);
void exchange_completed(struct exchange *x); /* the answer is with the client */
void exchange_finish(struct exchange *x,
                     enum exchange_outcome outcome); /* reports and ends the reply; x is gone */
void exchange_rearm(struct exchange *x);
struct exchange_attempt *exchange_log(struct exchange *x); /* the current attempt's line */

/* answer.c: writes replies, never ends them */
void answer_stream_begin(struct exchange *x); /* 200 and the stream's headers */
void answer_flush(struct exchange *x); /* gives the client what is in `out`, unless holding */
void answer_whole(struct exchange *x, struct span body);
void answer_upstream_error(struct exchange *x, const struct failure *f); /* as it came */
void answer_error(struct exchange *x, const struct chat_error *e, usec retry_after);
void answer_writer_new(struct exchange *x);
struct chat_error
answer_nobody_left(struct exchange *x); /* the error that tells that all targets failed */
struct chat_error answer_caller_error(struct exchange *x, const struct failure *f);
