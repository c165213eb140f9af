#pragma once
/* What the files of the libuv loop share: the structs behind net.h's opaque names.
 *
 * Read by loop_uv*.c, names.c, child_uv.c and their tests only. Sockets are ours; libuv only says
 * when they are ready (uv_poll), so bytes go straight between the kernel, or OpenSSL, and the
 * caller's memory. */
#include "base/timers.h"
#include "net/names.h"
#include "net/net.h"
#include "net/sock.h"
#include "net/tls.h"
#include <uv.h>

#define RANDOM_POOL_BYTES 256
#define ACCEPTS_PER_TURN 64
#define ACCEPT_PAUSE (100 * USEC_PER_MS)
#define GREETING_TIME (10 * USEC_PER_SEC)
/* An address that does not answer is left for the next one of the same name after this long. */
#define DIAL_TRY_TIME (1 * USEC_PER_SEC)
#define WRITE_PIECES_MAX 64

struct loop {
    uv_loop_t uv;
    uv_timer_t clock;     /* set to the earliest deadline, or earlier */
    uv_prepare_t prepare; /* the end of a turn: frees the dead, forgets the cached time */
    uv_idle_t idle;       /* active while `ready` is not empty, so that the poll does not wait */
    uv_async_t wake;
    struct timers timers;
    usec clock_at; /* what `clock` is set to; USEC_NEVER = stopped */
    usec now;      /* 0 = not read in this turn */
    usec forgiven; /* loop_now is behind the clock by so much */
    usec left_at;  /* the clock, when the last loop_run or loop_resume ended */
    void (*on_wake)(void *ctx);
    void *wake_ctx;
    struct signal_watch *signals;
    struct names names;
    struct stream *ready; /* to be called back without the socket saying so */
    struct stream *dead;  /* closed in this turn */
    struct listener *dead_listeners;
    size_t streams, listeners; /* live ones */
    unsigned char random[RANDOM_POOL_BYTES];
    size_t random_left;
};

/*  NAMING -> CONNECTING -> (HANDSHAKING ->) OPEN -> GONE     outgoing; any of them -> FAILED ->
 * GONE (GREETING ->) OPEN -> GONE                                accepted */
enum stream_state {
    STREAM_NAMING,
    STREAM_CONNECTING,
    STREAM_HANDSHAKING,
    STREAM_GREETING,
    STREAM_OPEN,
    STREAM_FAILED,
    STREAM_GONE
};

/* The libuv handle of one socket. It lives until libuv lets go of it, longer than its stream. */
struct watch {
    uv_poll_t poll;
    struct stream *stream; /* NULL once the stream has left */
};

struct stream {
    struct loop *loop;
    struct watch *watch;              /* NULL while there is no socket */
    int fd;                           /* -1 while there is no socket */
    uint8_t state;                    /* enum stream_state, written by stream_enter only */
    uint8_t interest;                 /* the owner's: enum stream_interest */
    uint8_t polled;                   /* what libuv was told: UV_READABLE | UV_WRITABLE */
    enum err read_error, write_error; /* sticky once not ERR_OK; EOF is not kept here */
    struct tls_conn *tls;             /* NULL = plain */
    struct stream_events events;
    void *ctx;
    struct dial *dial;         /* while on the way to OPEN, outgoing */
    struct greeting *greeting; /* while GREETING */
    union sock_addr peer;
    char *peer_text; /* made on demand */
    char *why;
    struct stream **ready_at;  /* what points at this stream on loop->ready; NULL = not on it */
    struct stream *ready_next; /* also links loop->dead */
};

/* stream.c side */
struct stream *stream_new(struct loop *l);
void stream_enter(struct stream *s, enum stream_state next);
void stream_set_why(struct stream *s, const char *why);
/* Gives the stream a socket; it owns fd from here on, also on failure. */
MUST_USE enum err stream_attach(struct stream *s, int fd);
void stream_detach(struct stream *s); /* closes the socket, keeps the stream */
void stream_poll(struct stream *s, int events);
void stream_drop(struct stream *s); /* frees its parts; the memory goes at the end of the turn */
/* The owner will be called back in the next turn though the socket may stay quiet. */
void stream_make_ready(struct stream *s);
void stream_make_unready(struct stream *s);
/* Tells libuv what this stream needs now; fired = what it has just said. */
void stream_settle(struct stream *s, int fired);
/* One step of the TLS handshake; what the next one needs is polled for. ERR_AGAIN = not done yet;
 * other errors have set stream_why. */
MUST_USE enum err stream_handshake(struct stream *s);
/* Runs the callbacks of everything on loop->ready once. */
void stream_run_ready(struct loop *l);
void stream_free_dead(struct loop *l);

/* dial.c side: the socket, or the ready list, says that an outgoing stream can get on. */
void dial_step(struct stream *s);
void dial_free(struct stream *s);

/* listen.c side */
void greeting_step(struct stream *s);
void greeting_free(struct stream *s);
void listener_free_dead(struct loop *l);

/* loop.c side */
void loop_rearm(struct loop *l);     /* after a change to loop->timers */
void loop_hold_turn(struct loop *l); /* something is on loop->ready: the next poll must not wait */
