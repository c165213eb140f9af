#pragma once
/* Shared by server.c (the listening side and its end), server_conn.c (reading requests, deadlines)
 * and server_reply.c (writing answers). */
#include "base/buf.h"
#include "base/span.h"
#include "conn/local.h"
#include "conn/server.h"

/* One read of a request. Larger bodies of known length are read straight to where they stay, so a
 * bigger scratch buffer would only mean more copying. */
#define SERVER_SCRATCH_BYTES ((size_t)32768)
/* Bytes of later requests kept while one is being answered; past it we stop reading. */
#define LEFTOVER_HIGH ((size_t)16384)
#define LEFTOVER_MAX (LEFTOVER_HIGH + SERVER_SCRATCH_BYTES)
/* What a handler may have queued for one client: a bound for bugs, not for flow control. */
#define REPLY_QUEUE_MAX ((size_t)128 << 20)
/* A queue buffer larger than this is given back once it is empty. */
#define REPLY_QUEUE_KEEP ((size_t)4096)
#define DRAIN_BYTES ((size_t)65536)
#define DRAIN_TIME USEC_PER_SEC
/* Connections above the limit that are told 503; more than these are reset without a word. */
#define REFUSE_EXTRA 64
#define SPARE_CODECS 16
#define LISTENERS_MAX 16
#define BODY_FIRST_BYTES ((size_t)4096) /* of a chunked body; it doubles from there */

/*  IDLE --> HEAD --> BODY --> REPLY --> FLUSH --.
 *   ^ '------'--------'--> DRAIN (refused)       |
 *   '---------------(keep-alive)-----------------'      any --> CLOSED
 *
 * A CLOSED connection has no stream; it lives on only until the handler lets go of its request. */
enum conn_state {
    CONN_IDLE,  /* between requests: no byte of the next one has come */
    CONN_HEAD,  /* reading a head */
    CONN_BODY,  /* reading its body */
    CONN_REPLY, /* the handler has the request */
    CONN_FLUSH, /* the reply is complete, but the system has not taken all of it */
    CONN_DRAIN, /* refused: the error is on its way, what still comes is dropped */
    CONN_CLOSED,
};

struct conn {
    struct conn *prev, *next; /* in server->live or server->gone */
    struct server *server;
    struct stream *stream;
    struct h1 *codec; /* only while a request is being read: idle connections have none */
    struct request *request;
    struct timer timer;  /* lazy: see conn_rearm */
    usec timer_at;       /* when it will fire; USEC_NEVER: not armed */
    usec since;          /* when the state was entered; HEAD: when the first byte came */
    usec progress_at;    /* BODY: the last bytes in; REPLY, FLUSH: the last bytes out */
    struct buf out;      /* reply bytes; the first out_sent of them are gone */
    struct buf leftover; /* bytes of later requests */
    size_t out_sent;
    size_t drain_left;
    enum conn_state state;
    unsigned interest;
    unsigned busy;   /* callers on the stack who will touch it again: not to be freed */
    bool keep_alive; /* as the request has it, or false once we want it closed */
    bool first;      /* no request has been read yet */
    bool blocked;    /* waiting for room to write */
    bool was_high;   /* the queue was above REPLY_HIGH_WATER; on_drained is owed */
    bool gone_due;   /* on_gone is owed; it is called from the timer, never from within reply_* */
    bool parse_due;  /* `leftover` is to be parsed, from the timer too */
};

enum reply_mode { REPLY_NOT_YET, REPLY_BY_LENGTH, REPLY_BY_CHUNKS, REPLY_BY_CLOSE, REPLY_NO_BODY };

struct request {
    struct conn *conn;
    struct arena arena;
    struct http_head head; /* its spans are in the arena */
    struct span path, query;
    char *body; /* body_cap bytes: exactly the Content-Length where there is one */
    size_t body_len, body_cap;
    usec started;
    const char *peer;
    void *data;
    enum reply_mode mode;
    uint64_t reply_left; /* BY_LENGTH: bytes the handler still owes */
    struct loop *loop;   /* of a local request, which has no connection; else NULL */
    struct local_reply local;
};

struct server {
    struct loop *loop;
    struct server_limits limits;
    struct server_handler handler;
    struct listener *listeners[LISTENERS_MAX];
    size_t listener_count;
    struct conn *live, *gone;
    struct h1 *spares[SPARE_CODECS];
    size_t spare_count;
    struct server_stats stats;
    struct timer empty_timer;
    void (*on_empty)(void *ctx);
    void *empty_ctx;
    bool draining;
    usec date_second; /* the wall clock's second that `date` shows */
    char date[32];
    char scratch[SERVER_SCRATCH_BYTES]; /* shared by all connections: nothing stays here */
};

/* ---- server.c ---- */
struct span server_date(struct server *s);
struct h1 *server_codec_take(struct server *s);
void server_codec_give(struct server *s, struct h1 *codec);
void conn_link(struct conn **list, struct conn *c);
void conn_unlink(struct conn **list, struct conn *c);
/* The last connection may have gone. */
void server_check_empty(struct server *s);

/* ---- server_conn.c ---- */
void conn_accept(struct server *s, struct stream *stream);
void conn_enter(struct conn *c, enum conn_state next);
void conn_want(struct conn *c, unsigned interest);
/* Ends the stream; with reset, so that the client cannot take it for an orderly end. If a handler
 * has the request, on_gone becomes due. conn_settle must follow. */
void conn_close(struct conn *c, bool reset);
/* To be called last by whoever changed c: arms the timer, or frees what is finished. */
void conn_settle(struct conn *c);
void conn_tell_gone(struct conn *c);
/* The queue is empty in state FLUSH: on to the next request, or the end. */
void conn_reply_done(struct conn *c);
/* Answers an error nobody above has seen, then drains and closes. */
void conn_refuse(struct conn *c, int status, const char *text);
void request_free(struct request *r);

/* ---- local.c: the same of a request without a connection ---- */
void local_start(struct request *r, int status, const struct http_field *fields, size_t count);
void local_body(struct request *r, struct span bytes);
void local_end(struct request *r, bool whole); /* r is gone after it */

/* ---- server_reply.c ---- */
/* Sends what is queued and then the pieces, in one gathering write; queues what does not go. Closes
 * the connection when it fails. */
void conn_send(struct conn *c, const struct span *pieces, size_t count);
size_t conn_queued(const struct conn *c);
/* Status line, Date, the fields, the framing; into c->out. */
struct reply_head {
    int status;
    const struct http_field *fields;
    size_t count;
    int64_t content_length; /* -1: none is written */
    bool chunked, http10;
};
void conn_write_head(struct conn *c, const struct reply_head *h);
