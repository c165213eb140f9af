#pragma once
/* For the tests of conn over the simulator: a peer that speaks raw bytes on either side, a site (a
 * server with a scripted handler), and a caller (a call with everything it was told). */
#include "base/buf.h"
#include "base/span.h"
#include "conn/pool.h"
#include "conn/server.h"
#include "net/sim.h"

/* ---- a peer: raw bytes over one stream ---- */
struct peer {
    struct loop *loop;
    struct stream *stream;
    struct buf in, out;
    size_t out_at;
    enum err connect_result;
    bool connected, eof, reset, reading;
    usec ended_at; /* when eof or reset was seen */
    size_t reads;
};
struct peer *peer_dial(struct loop *l, const char *host, uint16_t port);
void peer_take(struct peer *p, struct loop *l, struct stream *s); /* an accepted stream */
void peer_send(struct peer *p, const char *text);
void peer_send_bytes(struct peer *p, struct span bytes);
void peer_read(struct peer *p, bool on); /* a slow reader reads nothing */
void peer_end(struct peer *p, bool reset);
void peer_free(struct peer *p);
/* What has come so far, NUL-terminated, and forgotten. */
const char *peer_got(struct peer *p);

/* Lets virtual time pass. */
void pass(struct loop *l, usec time);
size_t count_of(const char *text, const char *part);

/* ---- an origin that follows a script ---- */
struct host {
    struct loop *loop;
    struct listener *listener;
    struct peer peers[16];
    size_t count;
    /* Called when bytes came on peers[i]; NULL: nothing is done by itself. */
    void (*on_bytes)(struct host *h, struct peer *p);
    const char *answer; /* for host_answers */
};
void host_open(struct host *h, struct loop *l, const char *name, uint16_t port);
void host_close(struct host *h);
/* Sends h->answer for each complete head seen (requests without bodies). */
void host_answers(struct host *h, struct peer *p);

/* ---- a site ---- */
#define SITE_HELD_MAX 8
struct site {
    struct loop *loop;
    struct server *server;
    struct request *held[SITE_HELD_MAX]; /* in order of arrival */
    size_t held_count;
    size_t requests, gone, drained, empty;
    struct buf bodies; /* of all requests, each in brackets */
    bool keep_on_gone; /* do not abort in on_gone */
};
void site_open(struct site *s, struct loop *l, const struct server_limits *limits);
void site_close(struct site *s);
/* Takes held[0]. */
struct request *site_next(struct site *s);

/* ---- a caller ---- */
struct caller {
    struct pool *pool;
    struct call *call;
    struct buf body;
    int status;
    size_t heads, bodies, ends, errors;
    enum err error;
    enum call_stage stage;
    char why[128];
    usec ended_at;
    bool cancel_at_head, cancel_at_body, pause_at_body;
    struct origin *again; /* at on_end: the same call once more, to this origin */
};
extern const struct call_events caller_events;
void caller_start(struct caller *c, struct pool *p, struct origin *o, const char *method,
                  const char *target, const struct pieces *body);
void caller_reset(struct caller *c);
