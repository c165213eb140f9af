#pragma once
/* One request to one target, as the gateway would write it, and what came of it. Returns when it is
 * over: a probe asks one thing after another.
 *
 * Reads with the gateway's own readers on purpose: what they cannot read, the gateway cannot
 * serve. Knows no feature and no verdict. */
#include "base/buf.h"
#include "dialect/dialect.h"
#include "relay/cause.h"
#include "relay/exchange.h"

struct asker { /* of the whole probe */
    struct loop *loop;
    struct pool *pool;
    bool stopped; /* by a signal: nothing more is asked */
};

enum ask_end {
    ASK_ANSWERED, /* a whole answer, or a stream with content */
    ASK_REFUSED,  /* a status that is no 2xx */
    ASK_UNFIT,    /* our writer does not carry it there */
    ASK_BROKEN,   /* a 2xx that is no answer */
    ASK_FAILED    /* no connection, or no answer in time */
};
struct asked {
    enum ask_end end;
    int status;
    enum cause cause; /* REFUSED or FAILED: what the gateway would take it for */
    char why[240];    /* unless answered: a sentence */
    struct buf text;  /* of a raw request: the whole 2xx body */
    size_t calls;     /* of tools, with whole inputs */
    bool bad_call;    /* one whose input is no JSON object */
    bool thought;     /* thinking came */
    bool is_stream;   /* what came is one */
    bool ended;       /* with the format's last mark, before the bytes ended */
    enum chat_stop stop;
    struct chat_usage usage;
    struct lossy lossy; /* what our writer left out or changed */
    usec first, last;   /* from the request to the first and the last content; -1 none */
    usec retry_after;   /* 0 = not told */
    char limits[160];   /* headers about limits: "name: value, ..."; "" none */
};
void asked_deinit(struct asked *a);

struct ask_order {
    const struct relay_target *target;
    const struct dialect *dialect;
    struct span path, model;            /* model: raw JSON string content */
    const struct chat_request *request; /* NULL: `raw` is sent as it is */
    struct span raw;
    const struct capability *cap;
    bool stream;
    usec patience; /* for all of it */
};
/* Fills *out, to be deinited in every case. */
void ask(struct asker *asker, const struct ask_order *order, struct asked *out);
/* Waits, or less when a signal comes. */
void ask_wait(struct asker *asker, usec time);
