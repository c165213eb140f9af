#pragma once
/* Shared by pool.c (origins, connections, what is kept) and call.c (one request, one response). */
#include "base/buf.h"
#include "base/span.h"
#include "conn/pool.h"

/* One read of a response, shared by all connections of the pool. */
#define POOL_SCRATCH_BYTES ((size_t)65536)
/* Event streams are not bounded by limits.http.body_bytes but by this: an hour at 300 KB/s. */
#define STREAM_BODY_MAX ((uint64_t)1 << 30)
#define CALL_HEAD_MAX ((size_t)256 << 10) /* of a request we write */
#define POOL_SPARE_CODECS 32
#define SEND_PIECES 64 /* offered to one gathering write */

/* A connection to an origin: connecting or in use by exactly one call, or idle in its origin's
 * list. */
struct link {
    struct link *newer, *older; /* idle ones: origin->newest ... origin->oldest */
    struct origin *origin;
    struct stream *stream;
    struct call *call; /* NULL: idle */
    usec idle_since;
    unsigned interest;
    bool reused;  /* has carried an exchange before this one */
    bool reading; /* call_take is on the stack: memory must stay */
    bool dead;    /* dropped while reading */
};

struct origin {
    struct origin *next;
    struct pool *pool;
    size_t users;           /* 0: released by all */
    struct tls_client *tls; /* NULL: plain */
    char *host, *host_field;
    uint16_t port;
    struct link *newest, *oldest;
    size_t idle_count, open_count;
};

struct pool {
    struct loop *loop;
    struct pool_limits limits;
    struct http_limits codec_limits; /* as limits.http, but for the body: call.c counts it */
    struct origin *origins;
    struct h1 *spares[POOL_SPARE_CODECS];
    size_t spare_count;
    size_t call_count;
    struct timer idle_timer; /* one for all idle connections; set to the oldest one's end */
    struct pool_stats stats;
    char why[256]; /* the reason an on_error is being told */
    char scratch[POOL_SCRATCH_BYTES];
};

/* ---- pool.c ---- */
struct h1 *pool_codec_take(struct pool *p);
void pool_codec_give(struct pool *p, struct h1 *codec);
/* The newest idle connection on which nothing has come, now owned by c; NULL: none. */
struct link *origin_take_idle(struct origin *o, struct call *c);
/* A new one, connecting for c. NULL: connections_max. */
struct link *origin_connect(struct origin *o, struct call *c);
/* Its exchange was clean: keep it. */
void link_keep(struct link *k);
/* It must never be used again. reset: the peer is to stop at once. */
void link_drop(struct link *k, bool reset);
void link_want(struct link *k, unsigned interest);

/* ---- call.c ---- */
void call_connected(struct call *c, enum err result);
void call_readable(struct call *c);
void call_writable(struct call *c);
