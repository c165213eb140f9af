/* Streams on sockets: reading, writing, wanting, closing.
 *
 * libuv is told as little as possible, because each change of what it polls for costs two system
 * calls. READ, once wanted, stays polled; only when it fires and nobody wants it is it taken off.
 * WRITE is polled from the moment it is wanted, which callers do only after ERR_AGAIN, until it
 * fires and is wanted no more.
 *
 * Some things must be told though the socket is quiet: bytes OpenSSL holds, an error found by the
 * other direction, a connection that failed at once. Such streams are put on loop->ready, whose
 * idle handle keeps the poll from waiting. */
#include "net/loop_uv_internal.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

static const uint32_t edges[] = {
    [STREAM_NAMING] = BIT(STREAM_CONNECTING) | BIT(STREAM_FAILED) | BIT(STREAM_GONE),
    [STREAM_CONNECTING] =
        BIT(STREAM_HANDSHAKING) | BIT(STREAM_OPEN) | BIT(STREAM_FAILED) | BIT(STREAM_GONE),
    [STREAM_HANDSHAKING] = BIT(STREAM_OPEN) | BIT(STREAM_FAILED) | BIT(STREAM_GONE),
    [STREAM_GREETING] = BIT(STREAM_OPEN) | BIT(STREAM_GONE),
    [STREAM_OPEN] = BIT(STREAM_GONE),
    [STREAM_FAILED] = BIT(STREAM_GONE),
    [STREAM_GONE] = 0,
};

/* The only function that writes s->state. */
void stream_enter(struct stream *s, enum stream_state next)
{
    assert(edges[s->state] & BIT(next));
    s->state = (uint8_t)next;
}

struct stream *stream_new(struct loop *l)
{
    struct stream *s = mem_new(struct stream);
    s->loop = l;
    s->fd = -1;
    l->streams++;
    return s;
}

void stream_set_why(struct stream *s, const char *why)
{
    mem_free(s->why);
    s->why = mem_strdup(why);
}

/* ---- what libuv is told ---- */

static void on_poll(uv_poll_t *handle, int status, int events);

void stream_poll(struct stream *s, int events)
{
    assert(s->watch != NULL);
    if (events == s->polled)
        return;
    int rc = events == 0 ? uv_poll_stop(&s->watch->poll)
                         : uv_poll_start(&s->watch->poll, events, on_poll);
    assert(rc == 0); /* fails for a closing handle only */
    s->polled = (uint8_t)events;
}

/* What must be polled for in this state. */
static int needed(const struct stream *s)
{
    const struct tls_conn *t = s->tls;
    int need = 0;
    switch ((enum stream_state)s->state) {
    case STREAM_CONNECTING:
        return UV_WRITABLE;
    case STREAM_HANDSHAKING:
    case STREAM_GREETING:
        return t->handshake_wants_write ? UV_WRITABLE : UV_READABLE;
    case STREAM_OPEN:
        if (s->interest & STREAM_READ)
            need |= UV_READABLE | (t != NULL && t->read_wants_write ? UV_WRITABLE : 0);
        if (s->interest & STREAM_WRITE)
            need |= t != NULL && t->write_wants_read ? UV_READABLE : UV_WRITABLE;
        return need;
    case STREAM_NAMING:
    case STREAM_FAILED:
    case STREAM_GONE:
        break;
    }
    return 0;
}

/* READ that nobody wants stays polled until it fires: most often it is wanted again before. */
void stream_settle(struct stream *s, int fired)
{
    if (s->watch == NULL)
        return;
    int need = needed(s);
    int idle_read = s->polled & UV_READABLE & ~fired;
    stream_poll(s, need | idle_read);
}

static bool tells_without_socket(const struct stream *s)
{
    return s->read_error != ERR_OK || (s->tls != NULL && s->tls->more);
}

void stream_want(struct stream *s, unsigned interest)
{
    assert(s->state != STREAM_GONE && (interest & ~(unsigned)(STREAM_READ | STREAM_WRITE)) == 0);
    s->interest = (uint8_t)interest;
    if (s->state != STREAM_OPEN)
        return;
    if ((needed(s) & ~s->polled) != 0)
        stream_settle(s, 0);
    if ((interest & STREAM_READ) && tells_without_socket(s))
        stream_make_ready(s);
}

void stream_set_events(struct stream *s, const struct stream_events *events, void *ctx)
{
    s->events = *events;
    s->ctx = ctx;
}

/* ---- the ready list ---- */

void stream_make_ready(struct stream *s)
{
    if (s->ready_at != NULL)
        return;
    struct loop *l = s->loop;
    s->ready_at = &l->ready;
    s->ready_next = l->ready;
    if (l->ready != NULL)
        l->ready->ready_at = &s->ready_next;
    l->ready = s;
    loop_hold_turn(l);
}

void stream_make_unready(struct stream *s)
{
    if (s->ready_at == NULL)
        return;
    *s->ready_at = s->ready_next;
    if (s->ready_next != NULL)
        s->ready_next->ready_at = s->ready_at;
    s->ready_at = NULL;
    s->ready_next = NULL;
}

/* Calls the reader when there is something to read. Over TLS a socket may be readable for a session
 * ticket only, which is no business of the owner's. */
static void tell_readable(struct stream *s)
{
    if (s->tls != NULL && s->read_error == ERR_OK && !tls_stirs(s->tls))
        return;
    s->events.on_readable(s->ctx);
    if (s->state == STREAM_OPEN && (s->interest & STREAM_READ) && s->tls != NULL && s->tls->more)
        stream_make_ready(s);
}

void stream_run_ready(struct loop *l)
{
    struct stream *batch = l->ready;
    l->ready = NULL;
    if (batch != NULL)
        batch->ready_at = &batch;
    while (batch != NULL) { /* what becomes ready meanwhile waits for the next turn */
        struct stream *s = batch;
        stream_make_unready(s);
        if (s->state == STREAM_FAILED)
            dial_step(s);
        else if (s->state == STREAM_OPEN && (s->interest & STREAM_READ) && tells_without_socket(s))
            tell_readable(s);
    }
}

/* ---- the socket says something ---- */

static void serve_open(struct stream *s, int events)
{
    const struct tls_conn *t = s->tls;
    bool can_read =
        (events & UV_READABLE) || (t != NULL && t->read_wants_write && (events & UV_WRITABLE));
    bool can_write =
        (events & UV_WRITABLE) || (t != NULL && t->write_wants_read && (events & UV_READABLE));
    if (can_read && (s->interest & STREAM_READ))
        tell_readable(s);
    if (can_write && s->state == STREAM_OPEN && (s->interest & STREAM_WRITE))
        s->events.on_writable(s->ctx);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct stream *s = CONTAINER_OF(handle, struct watch, poll)->stream;
    if (s == NULL)
        return;
    if (status < 0) { /* the socket has an error, and libuv has stopped polling it */
        s->polled = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    switch ((enum stream_state)s->state) {
    case STREAM_CONNECTING:
    case STREAM_HANDSHAKING:
        dial_step(s);
        break;
    case STREAM_GREETING:
        greeting_step(s);
        break;
    case STREAM_OPEN:
        serve_open(s, events);
        break;
    case STREAM_NAMING:
    case STREAM_FAILED:
    case STREAM_GONE:
        assert(false); /* these have no socket */
    }
    if (s->state != STREAM_GONE)
        stream_settle(s, events);
}

enum err stream_handshake(struct stream *s)
{
    enum err e = tls_handshake(s->tls);
    if (e == ERR_AGAIN)
        stream_settle(s, UV_READABLE | UV_WRITABLE);
    else if (e != ERR_OK)
        stream_set_why(s, tls_why());
    return e;
}

/* ---- bytes ---- */

/* The errors stream_read and stream_write may answer; the text keeps the details. */
static enum err broken(struct stream *s, const char *doing, int err_no)
{
    char why[160];
    (void)snprintf(why, sizeof why, "%s: %s", doing, sock_text(err_no));
    stream_set_why(s, why);
    enum err e = sock_err(err_no);
    return e == ERR_TIMEOUT || e == ERR_UNREACHABLE ? ERR_RESET : e;
}

static enum err read_plain(struct stream *s, void *to, size_t cap, size_t *out_len)
{
    ssize_t n;
    do
        n = recv(s->fd, to, cap, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *out_len = (size_t)n;
        return ERR_OK;
    }
    if (n == 0) /* a write that met the reset has taken the error with it */
        return s->write_error == ERR_OK ? ERR_EOF : ERR_RESET;
    if (sock_err(errno) == ERR_AGAIN)
        return ERR_AGAIN;
    return broken(s, "reading failed", errno);
}

enum err stream_read(struct stream *s, void *to, size_t cap, size_t *out_len)
{
    assert(s->state != STREAM_GONE && cap > 0);
    if (s->read_error != ERR_OK)
        return s->read_error;
    if (s->state != STREAM_OPEN)
        return ERR_AGAIN;
    enum err e =
        s->tls != NULL ? tls_read(s->tls, to, cap, out_len) : read_plain(s, to, cap, out_len);
    if (e == ERR_OK || e == ERR_AGAIN || e == ERR_EOF)
        return e;
    if (s->tls != NULL)
        stream_set_why(s, tls_why());
    s->read_error = e;
    return e;
}

static enum err write_plain(struct stream *s, const struct span *pieces, size_t count,
                            size_t *out_len)
{
    struct iovec list[WRITE_PIECES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < count && n < WRITE_PIECES_MAX; i++) {
        if (pieces[i].len == 0)
            continue;
        /* sendmsg does not write to it: iovec has no const of its own. */
        list[n].iov_base = (void *)(uintptr_t)pieces[i].at;
        list[n++].iov_len = pieces[i].len;
    }
    assert(n > 0); /* a write of nothing would wait for ever for room it does not need */
    struct msghdr message = {.msg_iov = list, .msg_iovlen = n};
    ssize_t put;
    do
        put = sendmsg(s->fd, &message, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put > 0) {
        *out_len = (size_t)put;
        return ERR_OK;
    }
    *out_len = 0;
    if (put == 0 || sock_err(errno) == ERR_AGAIN)
        return ERR_AGAIN;
    return broken(s, "writing failed", errno);
}

enum err stream_write(struct stream *s, const struct span *pieces, size_t count, size_t *out_len)
{
    assert(s->state != STREAM_GONE);
    *out_len = 0;
    if (s->write_error != ERR_OK)
        return s->write_error;
    if (s->state != STREAM_OPEN)
        return ERR_AGAIN;
    enum err e = s->tls != NULL ? tls_write(s->tls, pieces, count, out_len)
                                : write_plain(s, pieces, count, out_len);
    if (e == ERR_OK || e == ERR_AGAIN)
        return e;
    if (s->tls != NULL)
        stream_set_why(s, tls_why());
    s->write_error = e;
    return e;
}

bool stream_stirs(struct stream *s)
{
    if (s->state != STREAM_OPEN || s->read_error != ERR_OK || s->write_error != ERR_OK)
        return true;
    if (s->tls != NULL)
        return tls_stirs(s->tls);
    char byte;
    ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || sock_err(errno) != ERR_AGAIN;
}

const char *stream_why(const struct stream *s)
{
    return s->why != NULL ? s->why : "";
}

const char *stream_peer(const struct stream *s)
{
    if (s->peer_text != NULL)
        return s->peer_text;
    char text[SOCK_ADDR_TEXT];
    sock_addr_text(&s->peer, text);
    /* Made on demand and kept: to the caller nothing changes. */
    ((struct stream *)(uintptr_t)s)->peer_text = mem_strdup(text);
    return s->peer_text;
}

/* ---- coming and going ---- */

enum err stream_attach(struct stream *s, int fd)
{
    assert(s->watch == NULL && s->fd == -1);
    struct watch *w = mem_new(struct watch);
    int rc = uv_poll_init_socket(&s->loop->uv, &w->poll, fd);
    if (rc != 0) {
        close(fd);
        mem_free(w);
        stream_set_why(s, uv_strerror(rc));
        return ERR_IO;
    }
    w->stream = s;
    s->watch = w;
    s->fd = fd;
    return ERR_OK;
}

static void free_watch(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF((uv_poll_t *)(void *)handle, struct watch, poll));
}

void stream_detach(struct stream *s)
{
    if (s->watch == NULL)
        return;
    s->watch->stream = NULL;
    uv_close((uv_handle_t *)&s->watch->poll, free_watch); /* stops polling at once */
    close(s->fd);
    s->watch = NULL;
    s->fd = -1;
    s->polled = 0;
}

void stream_drop(struct stream *s)
{
    struct loop *l = s->loop;
    stream_enter(s, STREAM_GONE);
    stream_make_unready(s);
    dial_free(s);
    greeting_free(s);
    stream_detach(s);
    s->ready_next = l->dead;
    l->dead = s;
    l->streams--;
}

void stream_free_dead(struct loop *l)
{
    while (l->dead != NULL) {
        struct stream *s = l->dead;
        l->dead = s->ready_next;
        mem_free(s->why);
        mem_free(s->peer_text);
        mem_free(s);
    }
}

void stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    bool able = s->read_error == ERR_OK && s->write_error == ERR_OK;
    tls_conn_free(s->tls, s->state == STREAM_OPEN && able);
    s->tls = NULL;
    stream_drop(s);
}

void stream_abort(struct stream *s)
{
    if (s == NULL)
        return;
    tls_conn_free(s->tls, false);
    s->tls = NULL;
    if (s->fd >= 0)
        sock_reset_on_close(s->fd);
    stream_drop(s);
}
