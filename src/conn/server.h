#pragma once
/* HTTP server connections: joins net and http. Reads whole requests, hands them to a handler, and
 * carries its answer back with backpressure. Knows nothing of what requests mean.
 *
 * Keeps: header timer 10 s (absolute), body gap 30 s, body rate >= 1 KiB/s after 10 s, keep-alive
 * 75 s, write stall 60 s, 100-continue, HEAD, pipelining in order (one request at a time; further
 * bytes wait), an early error with `Connection: close` and a drain of at most 64 KiB / 1 s. Bodies
 * are held once, in the request's arena, up to the limit. */
#include "base/arena.h"
#include "http/h1.h"
#include "net/net.h"

struct server;
struct request; /* one request being answered; lives until reply_end or reply_abort */

struct server_limits {
    struct http_limits http;
    usec head_time, body_gap, keep_alive, write_stall, body_rate_grace;
    uint32_t body_rate;     /* bytes per second */
    size_t connections_max; /* more: answered 503 and closed */
    size_t body_memory_max; /* all held bodies together; more: 503 */
    size_t arena_max;       /* per request, beyond its body */
};
extern const struct server_limits server_limits_default;

struct server_handler {
    /* A complete request. The handler answers with reply_* now or later. */
    void (*on_request)(void *ctx, struct request *r);
    /* The client is gone (reset, write failure, stall, or an end of its side: nobody half-closes
     * behind a request and still waits). Called at most once, only between on_request and the end
     * of the reply, and never from within a reply_* call; the handler must cancel its work and call
     * reply_abort, now or later. Until then reply_* do nothing. */
    void (*on_gone)(void *ctx, struct request *r);
    /* Queued reply bytes fell to zero after reply_pending() had been above REPLY_HIGH_WATER. */
    void (*on_drained)(void *ctx, struct request *r);
    /* Refused before a handler saw it (bad framing, too large, too slow): writes the error body in
     * the caller's dialect by path. May be NULL: plain text. */
    void (*error_body)(void *ctx, struct span path, int status, const char *text, struct buf *out,
                       const char **out_content_type);
    void *ctx;
};
#define REPLY_HIGH_WATER ((size_t)65536)

struct server *server_new(struct loop *l, const struct server_limits *limits,
                          const struct server_handler *handler);
/* Listens; may be called for several addresses. */
MUST_USE enum err server_listen(struct server *s, struct span host, uint16_t port,
                                const struct listen_options *o, const char **out_why);
uint16_t server_port(const struct server *s); /* of the first listener */
/* Drain: stop accepting, `Connection: close` on replies from now on, close idle connections;
 * on_empty once nothing is left. server_cut aborts what is left. */
void server_drain(struct server *s, void (*on_empty)(void *ctx), void *ctx);
void server_cut(struct server *s);
/* Cuts. The handler must have let go of every request when its on_gone returns (or before). Not to
 * be called from a callback of this server. */
void server_free(struct server *s);
struct server_stats {
    size_t connections, requests_open, body_bytes_held;
    uint64_t accepted, refused;
};
struct server_stats server_stats(const struct server *s);

/* ---- the request ---- */
const struct http_head *
request_head(const struct request *r); /* spans live as long as the request */
struct span request_path(const struct request *r);
struct span request_query(const struct request *r);
struct span request_body(const struct request *r); /* complete; may be empty */
struct arena *request_arena(struct request *r);    /* freed with the request */
struct loop *request_loop(struct request *r);
const char *request_peer(const struct request *r);
usec request_started(const struct request *r);        /* loop time of its first byte */
void request_set_data(struct request *r, void *data); /* the handler's own */
void *request_data(const struct request *r);

/* ---- the reply ---- */
enum { REPLY_CHUNKED = -1 }; /* content_length: stream of unknown length */
/* Starts. fields may be NULL. Content-Type and others come in fields; Content-Length /
 * Transfer-Encoding / Connection / Date are ours. To HTTP/1.0 clients a chunked reply is sent until
 * close. Nothing is flushed before the first body bytes, reply_flush or reply_end, so that head and
 * first bytes leave in one write. */
void reply_start(struct request *r, int status, const struct http_field *fields, size_t count,
                 int64_t content_length);
void reply_body(struct request *r,
                struct span bytes); /* copied into the connection's queue; tries to send now */
void reply_flush(struct request *r);
/* Complete and orderly; r is gone after it. Short of the content length it is a reply_abort. */
void reply_end(struct request *r);
/* The same, and then the connection closes, which no header has announced: legal (RFC 9112 section
 * 9.6) and seen at providers. For stand-ins; r is gone after it. */
void reply_end_close(struct request *r);
void reply_abort(struct request *r); /* cut: no last chunk, connection reset; r is gone after it */
/* Cut, but gently: what is queued is delivered, then FIN without the last chunk. For stand-ins that
 * die in mid-sentence; r is gone after it. */
void reply_cut(struct request *r);
bool reply_started(const struct request *r);
size_t reply_pending(const struct request *r); /* bytes queued, not yet taken by the system */
/* reply_start + body + end in one. */
void reply_whole(struct request *r, int status, const struct http_field *fields, size_t count,
                 struct span body);
