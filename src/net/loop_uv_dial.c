/* net_connect: name, addresses one after the other, TLS, and the one answer.
 *
 * A failure is never told from within the call that found it, but from the ready list in the next
 * turn, so "never before net_connect returns" holds by construction. An address that does not
 * answer is given up after DIAL_TRY_TIME when there is another one: a black-holed IPv6 route must
 * not use up the caller's whole deadline. The address that worked is tried first the next time. */
#include "net/loop_uv_internal.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct dial {
    struct stream *stream;
    char *host;
    uint16_t port;
    bool numeric;
    struct tls_client *tls; /* NULL = plain */
    struct name_query query;
    struct name_addrs addrs;
    size_t next;           /* index into addrs of the address to try next */
    struct timer patience; /* with the present address */
    enum err result;       /* of the last try */
};

void dial_free(struct stream *s)
{
    struct dial *d = s->dial;
    if (d == NULL)
        return;
    names_forget(&d->query);
    loop_timer_cancel(s->loop, &d->patience);
    tls_client_unref(d->tls);
    mem_free(d->host);
    mem_free(d);
    s->dial = NULL;
}

static void fail(struct stream *s, enum err e)
{
    assert(e != ERR_OK);
    s->dial->result = e;
    loop_timer_cancel(s->loop, &s->dial->patience);
    tls_conn_free(s->tls, false);
    s->tls = NULL;
    stream_detach(s);
    stream_enter(s, STREAM_FAILED);
    stream_make_ready(s);
}

static void tell_failure(struct stream *s)
{
    enum err e = s->dial->result;
    dial_free(s);
    s->read_error = s->write_error = e;
    s->events.on_connect(s->ctx, e);
}

static void tell_success(struct stream *s)
{
    dial_free(s);
    stream_enter(s, STREAM_OPEN);
    s->events.on_connect(s->ctx, ERR_OK);
    if (s->state != STREAM_GONE)
        stream_want(s, s->interest); /* what was wanted before it was open counts from now on */
}

/* ---- addresses ---- */

static void note(struct stream *s, int err_no)
{
    char to[SOCK_ADDR_TEXT];
    char why[SOCK_ADDR_TEXT + 120];
    sock_addr_text(&s->peer, to);
    (void)snprintf(why, sizeof why, "connecting to %s failed: %s", to, sock_text(err_no));
    stream_set_why(s, why);
    s->dial->result = sock_err(err_no);
    if (s->dial->result == ERR_AGAIN)
        s->dial->result = ERR_IO; /* no local port left */
}

static bool start_connect(struct stream *s)
{
    int fd = sock_stream(s->peer.any.sa_family);
    if (fd < 0) {
        note(s, errno);
        return false;
    }
    if (sock_connect(fd, &s->peer) != 0) {
        note(s, errno);
        close(fd);
        return false;
    }
    s->dial->result = stream_attach(s, fd);
    return s->dial->result == ERR_OK;
}

static void address_is_silent(struct timer *t);

static void try_next(struct stream *s)
{
    struct dial *d = s->dial;
    while (d->next < d->addrs.count) {
        s->peer = d->addrs.list[d->next++];
        sock_addr_port(&s->peer, d->port);
        if (!start_connect(s))
            continue;
        stream_poll(s, UV_WRITABLE);
        if (d->next < d->addrs.count)
            loop_timer_in(s->loop, &d->patience, DIAL_TRY_TIME, address_is_silent);
        return;
    }
    fail(s, d->result);
}

static void try_first(struct stream *s)
{
    assert(s->dial->addrs.count > 0);
    stream_enter(s, STREAM_CONNECTING);
    try_next(s);
}

static void address_is_silent(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct dial, patience)->stream;
    note(s, ETIMEDOUT);
    stream_detach(s);
    try_next(s);
}

static void name_done(struct name_query *q, const struct name_addrs *addrs, const char *why)
{
    struct dial *d = CONTAINER_OF(q, struct dial, query);
    if (addrs == NULL) {
        stream_set_why(d->stream, why);
        fail(d->stream, ERR_NAME);
        return;
    }
    d->addrs = *addrs;
    try_first(d->stream);
}

/* ---- connected ---- */

static void handshake(struct stream *s)
{
    enum err e = stream_handshake(s);
    if (e == ERR_OK)
        tell_success(s);
    else if (e != ERR_AGAIN)
        fail(s, e);
}

static void connected(struct stream *s)
{
    struct dial *d = s->dial;
    loop_timer_cancel(s->loop, &d->patience);
    if (!d->numeric)
        names_prefer(&s->loop->names, d->host, &s->peer);
    if (d->tls == NULL) {
        tell_success(s);
        return;
    }
    s->tls = tls_conn_client(d->tls, s->fd, d->host, d->port);
    if (s->tls == NULL) {
        stream_set_why(s, tls_why());
        fail(s, ERR_TLS);
        return;
    }
    stream_enter(s, STREAM_HANDSHAKING);
    handshake(s);
}

void dial_step(struct stream *s)
{
    if (s->state == STREAM_FAILED) {
        tell_failure(s);
    } else if (s->state == STREAM_HANDSHAKING) {
        handshake(s);
    } else {
        int err_no = sock_error(s->fd);
        if (err_no == 0) {
            connected(s);
            return;
        }
        note(s, err_no);
        stream_detach(s);
        try_next(s);
    }
}

/* ---- the call ---- */

static bool is_host(struct span host)
{
    return host.len > 0 && host.len <= 255 && memchr(host.at, '\0', host.len) == NULL;
}

void net_connect(struct loop *l, const struct net_dest *dest, const struct stream_events *events,
                 void *ctx, struct stream **out)
{
    struct stream *s = stream_new(l);
    struct dial *d = mem_new(struct dial);
    *out = s;
    stream_set_events(s, events, ctx);
    s->dial = d;
    d->stream = s;
    d->port = dest->port;
    d->tls = dest->tls != NULL ? tls_client_ref(dest->tls) : NULL;
    d->query.done = name_done;
    if (!is_host(dest->host)) {
        stream_set_why(s, "the host name is empty, too long or malformed");
        fail(s, ERR_NAME);
        return;
    }
    d->host = mem_zalloc(dest->host.len + 1);
    memcpy(d->host, dest->host.at, dest->host.len);
    d->numeric = sock_addr_numeric(d->host, &d->addrs.list[0]);
    if (d->numeric)
        d->addrs.count = 1;
    if (d->numeric || names_ask(&l->names, d->host, &d->query, &d->addrs))
        try_first(s);
}
