/* Upstream connections: which origin they belong to, which are idle, how long they are kept.
 *
 * A connection is bound to its origin for life, and a call to its connection, so bytes meant for
 * one origin cannot reach another. Idle connections are watched: a byte or an end on one of them
 * closes it. Just before reuse it is asked once more, since what came in this very turn of the loop
 * has not been told yet, and would be taken for the next request's answer.
 *
 * The newest idle connection is used first: the oldest then time out, and the pool shrinks to what
 * the traffic needs. */
#include "conn/pool_internal.h"

#include "base/mem.h"

#include <stdio.h>

const struct pool_limits pool_limits_default = {
    .http = {.line_bytes = 8 * 1024,
             .field_bytes = 16 * 1024,
             .head_bytes = 64 * 1024,
             .fields = 100,
             .body_bytes = 32 * 1024 * 1024},
    .idle_max = 256,
    .idle_time = 60 * USEC_PER_SEC,
    .connections_max = 16384,
    .connect_time = 3 * USEC_PER_SEC,
    .send_gap = 30 * USEC_PER_SEC,
};

struct pool *pool_new(struct loop *l, const struct pool_limits *limits)
{
    struct pool *p = mem_new(struct pool);
    p->loop = l;
    p->limits = *limits;
    p->codec_limits = limits->http;
    p->codec_limits.body_bytes = STREAM_BODY_MAX;
    return p;
}

static void origin_free(struct origin *o)
{
    while (o->oldest)
        link_drop(o->oldest, false);
    assert(o->open_count == 0);
    if (o->tls)
        tls_client_unref(o->tls);
    mem_free(o->host);
    mem_free(o->host_field);
    o->pool->stats.origins--;
    mem_free(o);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    assert(p->call_count == 0);
    loop_timer_cancel(p->loop, &p->idle_timer);
    for (struct origin *o = p->origins, *next; o; o = next) {
        next = o->next;
        origin_free(o);
    }
    while (p->spare_count) {
        struct h1 *codec = p->spares[--p->spare_count];
        h1_deinit(codec);
        mem_free(codec);
    }
    mem_free(p);
}

struct pool_stats pool_stats(const struct pool *p)
{
    return p->stats;
}

/* ---- origins ---- */

/* Host (RFC 9110 section 7.2): the port only where it is not the scheme's own; IPv6 in brackets. */
static char *host_field(const struct url *url)
{
    bool v6 = memchr(url->host.at, ':', url->host.len) != NULL;
    char port[8] = "";
    if (url->port != (url->tls ? 443 : 80))
        (void)snprintf(port, sizeof(port), ":%u", (unsigned)url->port);
    size_t size = url->host.len + sizeof(port) + 3;
    char *text = mem_alloc(size);
    (void)snprintf(text, size, "%s%.*s%s%s", v6 ? "[" : "", SPAN_FMT(url->host), v6 ? "]" : "",
                   port);
    return text;
}

/* Not at the release, which may come from within a call-back of its last connection. */
static void sweep_origins(struct pool *p)
{
    struct origin **at = &p->origins;
    while (*at) {
        struct origin *o = *at;
        if (o->users > 0 || o->open_count > o->idle_count) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        origin_free(o);
    }
}

void pool_origin_release(struct origin *o)
{
    assert(o->users > 0);
    o->users--;
}

static struct origin *origin_known(struct pool *p, const struct url *url, struct tls_client *tls)
{
    for (struct origin *o = p->origins; o; o = o->next)
        if (o->tls == tls && o->port == url->port && span_iis(url->host, o->host))
            return o;
    return NULL;
}

struct origin *pool_origin(struct pool *p, const struct url *url, struct tls_client *tls)
{
    assert(url->tls == (tls != NULL) && url->host.len > 0);
    struct origin *o = origin_known(p, url, tls);
    if (o)
        o->users++;
    sweep_origins(p);
    if (o)
        return o;
    o = mem_new(struct origin);
    o->pool = p;
    o->users = 1;
    p->stats.origins++;
    o->tls = tls ? tls_client_ref(tls) : NULL;
    o->port = url->port;
    o->host = mem_zalloc(url->host.len + 1);
    memcpy(o->host, url->host.at, url->host.len);
    o->host_field = host_field(url);
    o->next = p->origins;
    p->origins = o;
    return o;
}

struct span origin_host(const struct origin *o)
{
    return span_from(o->host_field);
}

/* ---- connections ---- */

void link_want(struct link *k, unsigned interest)
{
    if (k->interest == interest)
        return;
    k->interest = interest;
    stream_want(k->stream, interest);
}

static void unlist(struct link *k)
{
    struct origin *o = k->origin;
    *(k->newer ? &k->newer->older : &o->newest) = k->older;
    *(k->older ? &k->older->newer : &o->oldest) = k->newer;
    k->newer = k->older = NULL;
    o->idle_count--;
    o->pool->stats.idle--;
}

static bool is_idle(const struct link *k)
{
    return k->call == NULL;
}

void link_drop(struct link *k, bool reset)
{
    if (is_idle(k))
        unlist(k);
    if (reset)
        stream_abort(k->stream);
    else
        stream_close(k->stream);
    k->stream = NULL;
    k->call = NULL;
    k->origin->open_count--;
    k->origin->pool->stats.open--;
    k->dead = true;
    if (!k->reading)
        mem_free(k);
}

static void on_connect(void *ctx, enum err result)
{
    struct link *k = ctx;
    assert(k->call);
    call_connected(k->call, result);
}

static void on_readable(void *ctx)
{
    struct link *k = ctx;
    if (is_idle(k))
        link_drop(k, false); /* its end, or bytes nobody asked for */
    else
        call_readable(k->call);
}

static void on_writable(void *ctx)
{
    struct link *k = ctx;
    assert(k->call);
    call_writable(k->call);
}

static const struct stream_events link_events = {
    .on_connect = on_connect, .on_readable = on_readable, .on_writable = on_writable};

struct link *origin_connect(struct origin *o, struct call *c)
{
    struct pool *p = o->pool;
    if (o->open_count >= p->limits.connections_max)
        return NULL;
    struct link *k = mem_new(struct link);
    k->origin = o;
    k->call = c;
    o->open_count++;
    p->stats.open++;
    p->stats.connects++;
    struct net_dest dest = {.host = span_from(o->host), .port = o->port, .tls = o->tls};
    net_connect(p->loop, &dest, &link_events, k, &k->stream);
    return k;
}

struct link *origin_take_idle(struct origin *o, struct call *c)
{
    struct link *k;
    usec now = loop_now(o->pool->loop);
    while ((k = o->newest)) {
        /* One that became idle in this very turn was read just now: no need to ask again. */
        if (k->idle_since != now && stream_stirs(k->stream)) {
            link_drop(k, false);
            continue;
        }
        unlist(k);
        k->call = c;
        k->reused = true;
        o->pool->stats.reuses++;
        return k;
    }
    return NULL;
}

/* ---- idle connections ---- */

static void idle_fired(struct timer *t)
{
    struct pool *p = CONTAINER_OF(t, struct pool, idle_timer);
    usec now = loop_now(p->loop), next = USEC_NEVER;
    for (struct origin *o = p->origins; o; o = o->next) {
        while (o->oldest && o->oldest->idle_since + p->limits.idle_time <= now)
            link_drop(o->oldest, false);
        if (o->oldest && o->oldest->idle_since + p->limits.idle_time < next)
            next = o->oldest->idle_since + p->limits.idle_time;
    }
    if (next != USEC_NEVER)
        loop_timer_at(p->loop, &p->idle_timer, next, idle_fired);
}

void link_keep(struct link *k)
{
    struct origin *o = k->origin;
    struct pool *p = o->pool;
    assert(k->call && !k->dead && !k->reading);
    k->call = NULL;
    k->idle_since = loop_now(p->loop);
    k->older = o->newest;
    k->newer = NULL;
    *(o->newest ? &o->newest->newer : &o->oldest) = k;
    o->newest = k;
    o->idle_count++;
    p->stats.idle++;
    link_want(k, STREAM_READ);
    if (o->idle_count > p->limits.idle_max)
        link_drop(o->oldest, false);
    if (!timer_armed(&p->idle_timer))
        loop_timer_in(p->loop, &p->idle_timer, p->limits.idle_time, idle_fired);
}

/* ---- codecs: lent to a call while it reads its response ---- */

struct h1 *pool_codec_take(struct pool *p)
{
    if (p->spare_count)
        return p->spares[--p->spare_count];
    struct h1 *codec = mem_new(struct h1);
    h1_init(codec, H1_RESPONSE, &p->codec_limits);
    return codec;
}

void pool_codec_give(struct pool *p, struct h1 *codec)
{
    if (p->spare_count < POOL_SPARE_CODECS) {
        h1_reset(codec);
        p->spares[p->spare_count++] = codec;
        return;
    }
    h1_deinit(codec);
    mem_free(codec);
}
