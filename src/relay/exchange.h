#pragma once
/* The life of one client request: read, try targets in order until one answers, give the answer (or
 * an honest error) in the caller's dialect. A state machine on top of conn; drawn at the top of
 * exchange.c.
 *
 * Knows no YAML, no metrics and no file: serve/ builds struct relay_route from a configuration and
 * hears how it ended through on_done. One relay belongs to one loop. */
#include "conn/pool.h"
#include "conn/server.h"
#include "dialect/capability.h"
#include "dialect/dialect.h"
#include "dialect/probed.h"
#include "relay/affinity.h"
#include "relay/chain.h"
#include "relay/cloud.h"
#include "relay/fault_board.h"
#include "relay/gate.h"
#include "relay/hedge.h"
#include "relay/learned.h"
#include "relay/ledger.h"
#include "relay/refused.h"
#include "relay/seam.h"

/* A format that a target speaks, and where: "/v1/messages" behind its base path. */
struct relay_speech {
    const struct dialect *dialect;
    struct span path;
};
#define RELAY_ALSO_MAX 4

struct relay_target { /* immutable while a request may use it */
    const char *name;
    enum target_kind kind;
    const struct dialect *dialect;
    struct span path; /* base path and the dialect's own: "/v1/messages" */
    /* Other formats it speaks: used where the client speaks it, or its model answers nothing
     * else. */
    struct relay_speech also[RELAY_ALSO_MAX];
    size_t also_count;
    struct span
        credentials; /* ready-made header lines with the key, bound to `origin`; never logged */
    struct origin *origin;       /* of this worker's pool */
    const struct cloud *cloud;   /* NULL: spoken to as its dialect has it; else `path` is unused */
    int64_t context;             /* tokens, as its operator says; 0 = what is known of its model */
    struct gate *gate;           /* borrowed; NULL: it is not started by us */
    const struct probed *probed; /* what probes found out about models here (capable.h) */
    size_t probed_count;
};

struct relay_link {
    const struct relay_target *target;
    struct span model; /* raw JSON string content; empty = the client's own */
};

struct relay_route {
    struct relay_link links[CHAIN_MAX];
    struct breaker *breakers[CHAIN_MAX];
    struct ttft *ttfts[CHAIN_MAX]; /* NULL: not learnt, never hedged */
    size_t count;
    struct affinity *affinity; /* borrowed; NULL: every request goes by the configured order */
};

struct relay_deadlines {
    usec connect, first_token, stall, total;
    uint32_t min_rate; /* characters per second a stream must bring (pace.h); 0 = any */
    usec ping;         /* silence towards a streaming client before a keep-alive is sent */
};

#define EXCHANGE_ATTEMPTS_MAX 24

struct exchange_attempt {
    const char *target;
    struct span model; /* raw; empty = the client's */
    enum cause cause;  /* CAUSE_NONE: it answered, unless cancelled */
    bool cancelled;    /* the client left while it was under way */
    bool resumed;      /* no new request: it was asked for the rest of the answer it had begun */
    bool outrun;       /* another target asked beside it was the first to give content */
    int status;
    usec started, ended;
    const char *injected; /* the fault that a drill committed here; NULL = none */
};

enum exchange_outcome {
    OUTCOME_OK,
    OUTCOME_CLIENT_ERROR, /* the caller's own fault, told */
    OUTCOME_REJECTED,     /* nobody could answer; an error was told before anything was given */
    OUTCOME_INTERRUPTED,  /* an answer had begun and ended in an error event */
    OUTCOME_CLIENT_GONE,
    OUTCOME_COUNT
};
const char *exchange_outcome_name(enum exchange_outcome o);

enum hedge_end {
    HEDGE_NONE,   /* nobody was asked beside the first target */
    HEDGE_WON,    /* the one that was gave the first content */
    HEDGE_LOST,   /* the first target was faster after all */
    HEDGE_FAILED, /* the one that was failed before either gave content, or the client left */
    HEDGE_ENDS
};

const char *exchange_hedge_name(enum hedge_end e); /* "won", ... */

struct exchange_splices {
    uint32_t count;          /* times another attempt went on with the answer */
    bool in_words;           /* the last one was asked in words */
    struct seam_report seam; /* what was dropped at the last seam */
};

/* Why another than the lead answered: the cause's name, or "returning". */
const char *exchange_switch_name(enum cause c);

/* How one exchange went; spans live during the call of on_done only. */
struct exchange_report {
    const struct request *request;
    const struct dialect *door;
    const char *client_key; /* its name; NULL = none was asked for */
    struct span id;         /* our request id, plain */
    struct span model;      /* asked for; raw JSON string content */
    const char *served_by;  /* NULL: nobody */
    struct span served_model;
    bool stream;
    int status; /* sent to the client; 0 = none */
    enum exchange_outcome outcome;
    const struct exchange_attempt *attempts;
    size_t attempt_count;
    const char *switched_from; /* NULL: the lead answered */
    enum cause switch_cause;   /* CAUSE_NONE: the lead is well, the conversation not back yet */
    const char *conversation_source; /* what told which conversation this is; NULL: nothing did,
                                        or there was nothing to choose */
    struct lossy lossy;
    struct exchange_splices splices;
    enum hedge_end hedge;
    struct chat_usage usage;
    usec started, first_content, ended; /* first_content: 0 = none */
    usec stall_max;                     /* longest wait between two content events */
    uint64_t fault_serial; /* of the order (fault_board.h) by which it met a fault; 0 = none */
    bool fault_released;   /* the order ended while the fault kept it waiting */
};

struct exchange_move { /* spans live during the call of on_moved only */
    const char *from, *to;
    struct span model; /* of `to`; raw */
    enum cause cause;  /* why `from` lost it */
};

struct relay {
    struct loop *loop;
    struct pool *pool;
    struct budget *budget;
    struct hedge *hedge;        /* shared by all workers; NULL: never */
    struct refused *refused;    /* shared by all workers; NULL: nothing is remembered */
    struct learned *learned;    /* what refusals taught; NULL: nothing is remembered */
    struct fault_board *faults; /* of drills; NULL: none can be on */
    struct relay_deadlines deadlines;
    bool reply_headers; /* x-hotspare-* */
    /* Whom to try for a model (decoded name). NULL: nobody is configured for it. The route must
     * live as long as the request's arena: register what holds it with arena_on_free. */
    const struct relay_route *(*route_for)(void *ctx, struct request *r, struct span model);
    /* The model of a request that names none, at a door where that is allowed: raw JSON string
     * content, with the request's routing; empty: there is none. NULL: none ever. */
    struct span (*default_model)(void *ctx);
    void (*on_done)(void *ctx, const struct exchange_report *report);
    /* Another target goes on with an answer of which the client has a part; told before its first
     * words. NULL: nobody wants to know. */
    void (*on_moved)(void *ctx, struct request *r, const struct exchange_move *move);
    void *ctx;
    struct buf scratch; /* init with relay_init */
    size_t open;        /* exchanges under way */
};

void relay_init(struct relay *relay);
void relay_deinit(struct relay *relay); /* no exchange may be open */

/* Takes the request over: it will be answered, whatever happens. door: the dialect it came in.
 * client_key: the name of the key it came with, for the report; borrowed for the request's life;
 * NULL = none was asked for. */
void exchange_start(struct relay *relay, struct request *r, const struct dialect *door,
                    const char *client_key);
/* The server's on_gone / on_drained for a request given to exchange_start. */
void exchange_client_gone(struct request *r);
void exchange_client_drained(struct request *r);

/* An error of ours in a dialect's envelope, for requests that never become an exchange. type: NULL
 * = by status. */
void exchange_refuse(struct request *r, const struct dialect *door, int status, const char *type,
                     struct span message);
