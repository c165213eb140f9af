#pragma once
/* THE SEAM: time, randomness, timers, streams, listeners, names, signals. Everything above net/
 * takes them from here and nowhere else. Two implementations are chosen at link time: loop_uv.c
 * (libuv + OpenSSL) and loop_sim.c (virtual time and seeded faults, net/sim.h).
 *
 * One loop belongs to one thread; all calls on it and its objects come from that thread, loop_wake
 * excepted. Streams are readiness-based: the loop says "readable", the caller reads into its own
 * memory; nothing is buffered in between but what TLS must. Callbacks of an object stop at once
 * when it is closed; its memory goes at the end of the loop turn, so closing from within its own
 * callback is fine. */
#include "base/base.h"
#include "base/timers.h"

struct loop;
struct stream;
struct listener;

/* ---- loop, time, randomness ---- */
struct loop *loop_new(void);
/* As loop_new, for a process that is not ours: no signal's disposition is changed (whoever runs it
 * keeps SIGPIPE blocked meanwhile: TLS may raise it), and NULL when descriptors or memory are out.
 */
struct loop *loop_new_guest(void);
/* For a loop that its owner leaves alone at will, when the owner is back: loop_now is read anew.
 * counts: false, and the time since the last loop_run or loop_resume is taken for none, so that no
 * deadline passes while nobody looks. */
void loop_resume(struct loop *l, bool counts);
/* To wait for the loop in another one: run it when the descriptor is readable, or after that many
 * milliseconds (-1: no matter when). */
int loop_fd(struct loop *l, int *out_timeout_ms);
void loop_free(struct loop *l); /* every object on it must be closed */
void loop_run(struct loop *l);  /* until loop_stop, or until nothing is left that could happen */
void loop_stop(struct loop *l); /* loop_run returns at the end of this turn */
usec loop_now(struct loop *l);  /* monotonic, constant within a turn */
usec loop_wall(struct loop *l); /* microseconds since 1970; for display, Date and tokens only */
void loop_random(struct loop *l, void *to, size_t len);     /* cryptographic in uv, seeded in sim */
uint64_t loop_random_below(struct loop *l, uint64_t bound); /* uniform in [0, bound) */

void loop_timer_at(struct loop *l, struct timer *t, usec at, void (*fire)(struct timer *t));
void loop_timer_in(struct loop *l, struct timer *t, usec delay, void (*fire)(struct timer *t));
void loop_timer_cancel(struct loop *l, struct timer *t);

/* Thread-safe: on_wake runs soon on the loop's thread (wakes may be merged). */
void loop_on_wake(struct loop *l, void (*on_wake)(void *ctx), void *ctx);
void loop_wake(struct loop *l);
/* One callback per signal and loop. A loop with only signal handlers and no other work still runs.
 */
void loop_on_signal(struct loop *l, int signum, void (*on_signal)(void *ctx, int signum),
                    void *ctx);

/* ---- TLS ---- */
struct tls_client; /* verification settings, sessions to resume; share one per target.
                      Reference-counted. */
struct tls_server; /* certificate and key; immutable, swapped whole on reload. Reference-counted. */

/* ca_file: NULL = the system's store; else only this file is trusted. TLS >= 1.2; chain, dates and
 * host name are always verified, SNI is always sent, ALPN offers http/1.1. On error *out_why is a
 * sentence (arena-free, static buffer of the thread, valid until the next call). */
MUST_USE enum err tls_client_new(const char *ca_file, struct tls_client **out,
                                 const char **out_why);
struct tls_client *tls_client_ref(struct tls_client *t);
void tls_client_unref(struct tls_client *t);
MUST_USE enum err tls_server_new(const char *cert_file, const char *key_file,
                                 struct tls_server **out, const char **out_why);
struct tls_server *tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server *t);

/* ---- streams ---- */
enum stream_interest { STREAM_READ = 1, STREAM_WRITE = 2 };

struct stream_events {
    /* Outgoing streams only: connected and (with TLS) verified: ERR_OK; or why not, and the stream
     * is dead: the owner must close it. ERR_NAME, ERR_REFUSED, ERR_UNREACHABLE, ERR_TIMEOUT (the
     * system's own), ERR_RESET, ERR_TLS. */
    void (*on_connect)(void *ctx, enum err result);
    void (*on_readable)(
        void *ctx); /* while interest has STREAM_READ: data, EOF or error is waiting */
    void (*on_writable)(void *ctx); /* while interest has STREAM_WRITE: room to write */
};

struct net_dest {
    struct span host; /* name or address, without brackets; copied */
    uint16_t port;
    struct tls_client *tls; /* NULL = plain; a reference is taken */
};

/* Starts a connection: name lookup (cached; last good addresses up to 1 h when the resolver fails),
 * connect trying each address, TLS handshake. Always answers by on_connect, never before it
 * returns. No deadline of its own but the system's: the caller sets a timer and closes. *out is
 * owned by the caller until stream_close/abort. */
void net_connect(struct loop *l, const struct net_dest *dest, const struct stream_events *events,
                 void *ctx, struct stream **out);

/* Reads what is there, at most cap. ERR_OK with *out_len > 0; ERR_AGAIN; ERR_EOF (orderly end; over
 * TLS only with close_notify, else ERR_RESET); ERR_RESET; ERR_TLS; ERR_IO. */
MUST_USE enum err stream_read(struct stream *s, void *to, size_t cap, size_t *out_len);
/* Writes as much of the pieces as goes now (one gathering write). ERR_OK with *out_len >= 1;
 * ERR_AGAIN with 0: ask for STREAM_WRITE and try again; ERR_RESET, ERR_IO, ERR_TLS. Keeps no
 * pointer: a caller that got a short write offers the same bytes again. */
MUST_USE enum err stream_write(struct stream *s, const struct span *pieces, size_t count,
                               size_t *out_len);
/* Sets what is wanted (a set of enum stream_interest). A new stream wants nothing. */
void stream_want(struct stream *s, unsigned interest);
/* Takes a stream over (accepted streams, pool to exchange): replaces events and ctx. */
void stream_set_events(struct stream *s, const struct stream_events *events, void *ctx);
/* Ends: TLS close_notify if possible, FIN. No callback after it. NULL is fine. */
void stream_close(struct stream *s);
/* Ends at once, with a reset where the system can: the peer must not take this for an orderly end.
 * NULL is fine. */
void stream_abort(struct stream *s);
/* A sentence about the last error for logs ("certificate has expired"), "" if none; valid until the
 * stream is closed. */
const char *stream_why(const struct stream *s);
/* Peer's address "127.0.0.1:5312" (accepted and connected streams), "" if unknown. */
const char *stream_peer(const struct stream *s);
/* True when data or an EOF is waiting on an idle stream: a pooled connection that may not be
 * reused. */
bool stream_stirs(struct stream *s);

/* ---- listeners ---- */
struct listen_options {
    /* Asked for each accept, so that a reload is instant; the certificate is borrowed for the call.
     * NULL = plain. */
    struct tls_server *(*tls)(void *tls_ctx);
    void *tls_ctx;
    bool reuse_port; /* one listener per worker on the same address */
    int backlog;     /* 0 = 511 */
};
/* host: address or name; port 0 = any, see listener_port. on_accept owns the stream; a TLS stream
 * is accepted after its handshake (10 s at most). Out of descriptors: accepting pauses 100 ms,
 * never spins. *out_why: sentence on error. */
MUST_USE enum err net_listen(struct loop *l, struct span host, uint16_t port,
                             const struct listen_options *o,
                             void (*on_accept)(void *ctx, struct stream *s), void *ctx,
                             struct listener **out, const char **out_why);
uint16_t listener_port(const struct listener *li);
void listener_close(struct listener *li); /* NULL is fine */
