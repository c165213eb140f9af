#pragma once
/* Shared by exchange.c (the order of things), attempt.c (one try at one target), splice.c (going on
 * in the middle) and answer.c (what the client gets). Nobody else includes it. */
#include "base/span.h"
#include "http/sse.h"
#include "relay/exchange.h"
#include "relay/identity.h"
#include "relay/pace.h"
#include "relay/seam.h"

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
    const struct dialect *dialect; /* what it was told in */
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
    const struct dialect *dialect; /* of those its target speaks */
    struct span path;
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
    usec started, deadline, last_content, content_since; /* content_since: 0 = none yet */
    struct pace pace;
};

/* A tool call's events wait in `out`, from `from` on, until it is complete. */
struct tool_hold {
    bool on;
    size_t from;
    struct ledger_mark *before; /* made when first needed */
};

/* Going on in the middle of an answer; see splice.c. */
struct splice {
    bool active;        /* the answer is being gone on with: the target's events pass splice_take */
    bool in_words;      /* this attempt asks in words: the target may repeat itself */
    bool text_open;     /* the client's open block is text, and the new text goes on in it */
    bool in_text;       /* the target's open block is its text */
    bool dropping;      /* the target's open block is not for the client */
    bool drop_thinking; /* text has been given: thinking cannot come behind it */
    uint32_t asked_in_words; /* BIT(link): its target refused to go on by itself */
    int64_t output_before;   /* tokens given before this attempt; estimated where nobody told */
    struct chat_request *request; /* what the attempt asks; made when first needed */
    struct seam *seam;            /* NULL: there is no text to join to, or the joint is made */
    struct buf joined;
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
    struct tool_hold hold;
    struct splice splice;
    struct exchange_splices splices; /* for the report */
    struct span seen_id,
        seen_model;               /* of an answer passed through: plain; raw JSON string content */
    int64_t seen_created;         /* 0: not seen */
    enum chat_tri seen_usage_key; /* do its chunks have one? */
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
    usec started, deadline, ping_at, first_content, last_content, stall_max;
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
void exchange_go_on(struct exchange *x); /* tries the next target */
/* The canonical conversation, read when first needed. */
MUST_USE enum err exchange_read(struct exchange *x, struct chat_problem *out_problem);
struct exchange_attempt *exchange_log(struct exchange *x); /* the current attempt's line */

/* attempt.c: an event for the client: into the ledger and, unless bytes pass through, its writer */
void attempt_deliver(struct exchange *x, const struct chat_event *e);
void attempt_content(struct exchange *x); /* the target gave content: its clocks begin anew */

/* splice.c */
/* Could the answer go on elsewhere if it died now? Cheap; the last word is splice_begin's. */
bool splice_possible(const struct exchange *x);
/* An answer of which the client has a part has lost its target. True: it is taken care of, the
 * exchange goes on or has ended. False: nobody can go on from here. */
bool splice_begin(struct exchange *x);
/* The request of an attempt that goes on; x->canonical where it does not. */
const struct chat_request *splice_request(struct exchange *x);
/* The attempt's request is written: how its text will be joined. in_words: it was asked to go on.
 */
void splice_prepare(struct exchange *x, bool in_words);
/* The failed target refused to go on by itself: true, when it may be asked in words. */
bool splice_ask_in_words(struct exchange *x, const struct failure *f);
void splice_take(struct exchange *x, const struct chat_event *e);
/* One event of a stream was taken: begins or ends holding a tool call back. before, from: the
 * ledger and x->out before it. */
void splice_hold(struct exchange *x, const struct ledger_mark *before, size_t from);
/* What is held back will not come: drops it, as if it had never been said. False: nothing was held.
 */
bool splice_let_go(struct exchange *x);

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
