#pragma once
/* HTTP client connections to upstreams: keep-alive pools per origin, and one call = one request and
 * its response.
 *
 * Never reuses a connection after a cancelled, half-read or half-written exchange, nor one on which
 * bytes came while it was idle. One silent retry, on a fresh connection, when a REUSED connection
 * dies before any response byte. No redirects. Knows no dialect and no breaker. */
#include "base/pieces.h"
#include "http/h1.h"
#include "http/url.h"
#include "net/net.h"

struct pool;   /* all upstream connections of one loop */
struct origin; /* one scheme+host+port of a target, with its TLS settings; keys are bound to it */
struct call;   /* one request under way */

struct pool_limits {
    struct http_limits http; /* of responses; body_bytes does not apply to event streams
                                (text/event-stream and AWS's): they may have 1 GiB */
    size_t idle_max;         /* per origin */
    usec idle_time;          /* 60 s: below the usual servers' own */
    size_t connections_max;  /* per origin; more: ERR_LIMIT at once */
    usec connect_time;       /* name + connect + TLS, 3 s by default */
    usec send_gap;           /* no progress while sending the request, 30 s */
};
extern const struct pool_limits pool_limits_default;

struct pool *pool_new(struct loop *l, const struct pool_limits *limits);
void pool_free(struct pool *p); /* no call may be open */
/* tls must be given exactly when url->tls. Copies the url's spans. Owned by the pool; same url+tls
 * gives the same one. It stays until it has been released as often as it was asked for, or the pool
 * goes. */
struct origin *pool_origin(struct pool *p, const struct url *url, struct tls_client *tls);
/* No new call will be started with it; those under way go on. Its memory goes with a later
 * pool_origin, when its last connection is closed. */
void pool_origin_release(struct origin *o);

/* Its Host field, as calls send it: "api.anthropic.com", "127.0.0.1:8000". Lives with the pool. */
struct span origin_host(const struct origin *o);

/* Where a call stood when it failed: what cause.c needs. */
enum call_stage { CALL_CONNECT, CALL_SEND, CALL_WAIT /* for the head */, CALL_BODY };

struct call_events {
    void (*on_head)(
        void *ctx,
        const struct http_head *head); /* final heads only; 1xx are swallowed (at most 8) */
    /* Once per read, chunk framing squeezed out: at most 64 KiB. */
    void (*on_body)(void *ctx, struct span bytes);
    void (*on_end)(void *ctx); /* complete by its framing; the call is gone */
    /* The call is gone. why: a sentence for logs, valid during the call-back. */
    void (*on_error)(void *ctx, enum err e, enum call_stage stage, const char *why);
};
struct call_request {
    struct span method;        /* "POST" */
    struct span target;        /* "/v1/messages?beta=true" */
    struct span fields;        /* ready-made header lines "name: value\r\n...", without Host,
                                  Content-Length, Connection;        borrowed until the call ends */
    const struct pieces *body; /* NULL = none; borrowed until the call ends */
    usec connect_time;         /* 0 = the pool's */
};
/* Starts; never calls back before it returns. Any callback may cancel the call, but for on_end and
 * on_error, behind which there is none any more: they come last, and may start the next one. */
struct call *call_start(struct pool *p, struct origin *o, const struct call_request *req,
                        const struct call_events *events, void *ctx);
void call_cancel(struct call *c); /* no callback after it; the connection is closed. NULL is fine */
/* Stops reading (the client is slow); deadlines above know. What has been read is still told: an
 * on_body may follow, and, if all is here, on_end. */
void call_pause(struct call *c);
void call_resume(struct call *c);

struct pool_stats {
    size_t open, idle, origins;
    uint64_t connects, reuses, silent_retries;
};
struct pool_stats pool_stats(const struct pool *p);
