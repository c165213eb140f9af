/* See wire.h. A connection that closes by itself is idle when the lead spoke last and has been
 * silent for longer than it ever is within an answer (the stand-in's words are 17 ms apart, and its
 * first one comes after 50 ms). That is a guess, made without reading HTTP; it is right for this
 * lead. One that is dead when used needs no guess: bytes from the gateway behind bytes from the
 * lead are its next request. */
#include "tools/drill/wire.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/span.h"
#include "http/url.h"
#include <stdio.h>

#define IDLE_TIME (120 * USEC_PER_MS)
#define KEPT_TIME (5 * USEC_PER_MS) /* the pool uses the last kept first: none rests for long */
#define SWEEP_TIME (20 * USEC_PER_MS)
#define QUEUE_MAX ((size_t)8 << 20)
#define READ_BYTES 16384

struct link;
struct end { /* of a link */
    struct link *link;
    struct stream *stream;
    struct buf queue; /* to be written to this end */
    bool open;        /* connected */
};
struct link {
    struct wire *wire;
    struct link *prev, *next;
    struct end gateway, lead;
    usec last; /* when bytes came, from either end */
    bool lead_spoke_last;
};
struct wire {
    struct loop *loop;
    struct listener *listener;
    struct url lead;
    char lead_url[80]; /* what `lead` borrows from */
    enum wire_death death;
    struct link *links;
    struct timer sweep;
    uint64_t deaths;
};

static void cut(struct link *k, void (*how)(struct stream *))
{
    if (k->prev != NULL)
        k->prev->next = k->next;
    else
        k->wire->links = k->next;
    if (k->next != NULL)
        k->next->prev = k->prev;
    how(k->gateway.stream);
    how(k->lead.stream);
    buf_deinit(&k->gateway.queue);
    buf_deinit(&k->lead.queue);
    mem_free(k);
}

static bool is_idle(const struct link *k)
{
    usec least = k->wire->death == WIRE_CLOSES ? IDLE_TIME : KEPT_TIME;
    return k->lead_spoke_last && loop_now(k->wire->loop) - k->last >= least;
}

static void sweep(struct timer *t)
{
    struct wire *w = CONTAINER_OF(t, struct wire, sweep);
    for (struct link *k = w->links, *next; k != NULL; k = next) {
        next = k->next;
        if (!is_idle(k))
            continue;
        w->deaths++;
        cut(k, stream_close);
    }
    loop_timer_in(w->loop, &w->sweep, SWEEP_TIME, sweep);
}

/* False: the link is gone. */
static bool flush(struct end *e)
{
    enum err result = ERR_OK;
    while (e->open && e->queue.len > 0 && result == ERR_OK) {
        struct span bytes = buf_span(&e->queue);
        size_t sent = 0;
        result = stream_write(e->stream, &bytes, 1, &sent);
        buf_consume(&e->queue, sent);
    }
    if (result != ERR_OK && result != ERR_AGAIN) {
        cut(e->link, stream_abort);
        return false;
    }
    if (e->open)
        stream_want(e->stream, STREAM_READ | (e->queue.len > 0 ? STREAM_WRITE : 0));
    return true;
}

/* Bytes from one end to the other. False: the link is gone. */
static bool carry(struct end *from, struct span bytes)
{
    struct link *k = from->link;
    struct end *to = from == &k->lead ? &k->gateway : &k->lead;
    if (from == &k->gateway && k->wire->death == WIRE_DIES_MUTE && is_idle(k)) {
        k->wire->deaths++;
        cut(k, stream_abort);
        return false;
    }
    k->last = loop_now(k->wire->loop);
    k->lead_spoke_last = from == &k->lead;
    if (buf_add(&to->queue, bytes) != ERR_OK) {
        cut(k, stream_abort);
        return false;
    }
    return flush(to);
}

static void on_readable(void *ctx)
{
    struct end *e = ctx;
    char bytes[READ_BYTES];
    for (;;) {
        size_t len = 0;
        enum err result = stream_read(e->stream, bytes, sizeof bytes, &len);
        if (result == ERR_AGAIN)
            return;
        if (result != ERR_OK) {
            cut(e->link, result == ERR_EOF ? stream_close : stream_abort);
            return;
        }
        if (!carry(e, (struct span){bytes, len}))
            return;
    }
}

static void on_writable(void *ctx)
{
    (void)flush(ctx); /* a link that is gone needs nothing more */
}

static void on_connect(void *ctx, enum err result)
{
    struct end *e = ctx;
    e->open = result == ERR_OK;
    if (result != ERR_OK)
        cut(e->link, stream_abort);
    else
        (void)flush(e); /* as above */
}

static void on_accept(void *ctx, struct stream *s)
{
    static const struct stream_events events = {
        .on_connect = on_connect, .on_readable = on_readable, .on_writable = on_writable};
    struct wire *w = ctx;
    struct link *k = mem_new(struct link);
    k->wire = w;
    k->next = w->links;
    if (k->next != NULL)
        k->next->prev = k;
    w->links = k;
    k->gateway = (struct end){.link = k, .stream = s, .open = true};
    k->lead = (struct end){.link = k};
    buf_init(&k->gateway.queue, QUEUE_MAX);
    buf_init(&k->lead.queue, QUEUE_MAX);
    stream_set_events(s, &events, &k->gateway);
    stream_want(s, STREAM_READ);
    struct net_dest dest = {.host = w->lead.host, .port = w->lead.port};
    net_connect(w->loop, &dest, &events, &k->lead, &k->lead.stream);
}

enum err wire_open(struct loop *l, const char *lead_url, enum wire_death death, struct wire **out,
                   const char **out_why)
{
    struct wire *w = mem_new(struct wire);
    struct listen_options o = {0};
    w->loop = l;
    w->death = death;
    (void)snprintf(w->lead_url, sizeof w->lead_url, "%s", lead_url);
    enum err e = url_parse(span_from(w->lead_url), &w->lead, out_why);
    if (e == ERR_OK)
        e = net_listen(l, SPAN("127.0.0.1"), 0, &o, on_accept, w, &w->listener, out_why);
    if (e != ERR_OK) {
        mem_free(w);
        return e;
    }
    if (death == WIRE_CLOSES)
        loop_timer_in(l, &w->sweep, SWEEP_TIME, sweep);
    *out = w;
    return ERR_OK;
}

uint16_t wire_port(const struct wire *w)
{
    return listener_port(w->listener);
}

uint64_t wire_deaths(const struct wire *w)
{
    return w->deaths;
}

void wire_close(struct wire *w)
{
    if (w == NULL)
        return;
    while (w->links != NULL)
        cut(w->links, stream_abort);
    loop_timer_cancel(w->loop, &w->sweep);
    listener_close(w->listener);
    mem_free(w);
}
