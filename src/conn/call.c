/* One call: a request and its response, over a connection of the pool.
 *
 *   CONNECT --> SEND --> WAIT --> BODY --> gone        any --> gone (error, cancel)
 *      ^          '--------'
 *      '-- once, silently: the connection was a reused one and died before any byte of an answer
 *
 * An origin may answer before it has read the whole request (an early 413, say): its answer is
 * taken, the rest of the request still goes out as far as it will. When sending fails, an answer
 * may nevertheless be there to be read, so reading comes first and the failure second.
 *
 * Body bytes of one read are handed up in one piece: chunk framing between them is squeezed out in
 * the scratch buffer, so that an event stream costs one write downstream per read, not per chunk.
 *
 * Any callback may cancel the call. So: the link is held by `reading` over callbacks, and its
 * `dead` is looked at before c is touched again. The callbacks that end a call come last of all,
 * when the call is freed and its connection is kept or dropped. */
#include "conn/pool_internal.h"

#include "base/mem.h"

#include <stdio.h>

struct call {
    struct pool *pool;
    struct origin *origin;
    struct link *link; /* NULL only before the first connection could be had */
    struct call_events events;
    void *ctx;
    const struct pieces *body;
    struct buf head;  /* of the request; given back when the answer has begun */
    size_t head_sent; /* bytes of it */
    size_t piece, piece_sent;
    struct h1 *codec; /* from the first byte of the answer */
    struct timer timer;
    usec timer_at; /* USEC_NEVER: not armed */
    usec connect_time, started, progress_at;
    uint64_t body_seen, body_max;
    enum call_stage stage;
    enum err start_error; /* found in call_start, told from the timer */
    const char *start_why;
    enum err send_error; /* sending failed; told unless there is an answer */
    bool no_body;        /* the request is HEAD */
    bool sent;           /* the whole request */
    bool keep_alive;     /* the response allows it */
    bool paused;
};

static void call_rearm(struct call *c);
static void call_send(struct call *c);

/* ---- ends ---- */

static void call_free(struct call *c)
{
    if (c->codec)
        pool_codec_give(c->pool, c->codec);
    loop_timer_cancel(c->pool->loop, &c->timer);
    buf_deinit(&c->head);
    c->pool->call_count--;
    mem_free(c);
}

static void call_fail(struct call *c, enum err e, const char *why)
{
    struct pool *p = c->pool;
    struct call_events events = c->events;
    void *ctx = c->ctx;
    enum call_stage stage = c->stage;
    if (!why || !why[0])
        why = c->link ? stream_why(c->link->stream) : "";
    (void)snprintf(p->why, sizeof(p->why), "%s", why[0] ? why : err_text(e));
    if (c->link)
        link_drop(c->link, true);
    call_free(c);
    events.on_error(ctx, e, stage, p->why);
}

/* The response is complete. left: bytes behind it in the same read. */
static void call_finish(struct call *c, size_t left)
{
    struct link *k = c->link;
    struct call_events events = c->events;
    void *ctx = c->ctx;
    bool keep =
        c->sent && c->send_error == ERR_OK && c->keep_alive && left == 0 && h1_idle(c->codec);
    k->reading = false;
    call_free(c);
    if (keep)
        link_keep(k);
    else
        link_drop(k, false);
    events.on_end(ctx);
}

void call_cancel(struct call *c)
{
    if (!c)
        return;
    if (c->link)
        link_drop(c->link, true);
    call_free(c);
}

/* ---- deadlines: lazy, as in server_conn.c ---- */

static usec call_deadline(const struct call *c)
{
    if (c->start_error != ERR_OK || c->send_error != ERR_OK)
        return 0;
    if (c->stage == CALL_CONNECT)
        return c->started + c->connect_time;
    if (c->stage == CALL_SEND)
        return c->progress_at + c->pool->limits.send_gap;
    return USEC_NEVER; /* how long an answer may take is for those above to say */
}

static void call_read_rest(struct call *c);

static void on_timer(struct timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, timer);
    c->timer_at = USEC_NEVER;
    if (c->start_error != ERR_OK)
        call_fail(c, c->start_error, c->start_why);
    else if (c->send_error != ERR_OK)
        call_read_rest(c);
    else if (call_deadline(c) > loop_now(c->pool->loop))
        call_rearm(c);
    else if (c->stage == CALL_CONNECT)
        call_fail(c, ERR_TIMEOUT, "no connection within the connect time");
    else
        call_fail(c, ERR_TIMEOUT, "the upstream stopped taking the request");
}

static void call_rearm(struct call *c)
{
    usec due = call_deadline(c);
    if (due >= c->timer_at)
        return;
    c->timer_at = due;
    usec now = loop_now(c->pool->loop);
    loop_timer_at(c->pool->loop, &c->timer, due > now ? due : now, on_timer);
}

/* ---- starting ---- */

static enum err write_head(struct call *c, const struct call_request *req)
{
    struct buf *to = &c->head;
    enum err e = h1_write_request_line(to, req->method, req->target);
    e = e ? e : h1_write_field(to, SPAN("Host"), span_from(c->origin->host_field));
    e = e ? e : buf_add(to, req->fields);
    bool bodiless = span_is(req->method, "GET") || span_is(req->method, "HEAD");
    if (e == ERR_OK && (req->body || !bodiless))
        e = h1_write_field_u64(to, "Content-Length", req->body ? req->body->bytes : 0);
    return e ? e : h1_write_head_end(to);
}

static void call_connect(struct call *c)
{
    c->stage = CALL_CONNECT;
    c->started = loop_now(c->pool->loop);
    c->link = origin_connect(c->origin, c);
    if (!c->link) {
        c->start_error = ERR_LIMIT;
        c->start_why = "as many connections to this origin as are allowed";
    }
    call_rearm(c);
}

static void call_begin_sending(struct call *c)
{
    c->stage = CALL_SEND;
    c->progress_at = loop_now(c->pool->loop);
    link_want(c->link, c->paused ? 0 : STREAM_READ);
    call_send(c);
}

struct call *call_start(struct pool *p, struct origin *o, const struct call_request *req,
                        const struct call_events *events, void *ctx)
{
    assert(o->pool == p && events->on_head && events->on_body && events->on_end);
    assert(events->on_error);
    struct call *c = mem_new(struct call);
    p->call_count++;
    c->pool = p;
    c->origin = o;
    c->events = *events;
    c->ctx = ctx;
    c->body = req->body;
    c->no_body = span_is(req->method, "HEAD");
    c->connect_time = req->connect_time ? req->connect_time : p->limits.connect_time;
    c->timer_at = USEC_NEVER;
    c->body_max = p->limits.http.body_bytes;
    buf_init(&c->head, CALL_HEAD_MAX);
    c->start_error = write_head(c, req);
    c->start_why = "the request's head cannot be written: a bad byte, or too long";
    if (c->start_error != ERR_OK)
        call_rearm(c);
    else if ((c->link = origin_take_idle(o, c)))
        call_begin_sending(c);
    else
        call_connect(c);
    return c;
}

/* ---- sending ---- */

/* What is left of the request, as far as it fits. */
static size_t gather(const struct call *c, struct span list[SEND_PIECES])
{
    size_t n = 0, skip = c->piece_sent;
    if (c->head_sent < c->head.len)
        list[n++] = span_drop(buf_span(&c->head), c->head_sent);
    for (size_t i = c->piece; c->body && i < c->body->count && n < SEND_PIECES; i++) {
        list[n++] = span_drop(c->body->list[i], skip);
        skip = 0;
    }
    return n;
}

static void advance(struct call *c, size_t n)
{
    size_t of_head = c->head.len - c->head_sent;
    of_head = n < of_head ? n : of_head;
    c->head_sent += of_head;
    n -= of_head;
    while (c->body && c->piece < c->body->count) {
        size_t left = c->body->list[c->piece].len - c->piece_sent;
        if (n < left) {
            c->piece_sent += n;
            return;
        }
        n -= left;
        c->piece++;
        c->piece_sent = 0;
    }
    assert(n == 0);
    c->sent = c->head_sent == c->head.len;
}

/* Never calls back: a failure is noted and told from the timer, behind what can still be read. */
static void call_send(struct call *c)
{
    struct span list[SEND_PIECES];
    size_t offered = 0, n = 0;
    enum err e = ERR_OK;
    do {
        size_t count = gather(c, list);
        offered = 0;
        for (size_t i = 0; i < count; i++)
            offered += list[i].len;
        e = stream_write(c->link->stream, list, count, &n);
        if (e != ERR_OK)
            break;
        c->progress_at = loop_now(c->pool->loop);
        advance(c, n);
    } while (!c->sent && n == offered); /* a short write: it would take no more now */
    if (e != ERR_OK && e != ERR_AGAIN)
        c->send_error = e;
    if (c->sent && c->stage == CALL_SEND)
        c->stage = CALL_WAIT;
    bool more = !c->sent && c->send_error == ERR_OK;
    link_want(c->link, (c->link->interest & STREAM_READ) | (more ? STREAM_WRITE : 0));
    call_rearm(c);
}

void call_connected(struct call *c, enum err result)
{
    if (result == ERR_OK)
        call_begin_sending(c);
    else
        call_fail(c, result, NULL);
}

void call_writable(struct call *c)
{
    call_send(c);
}

/* ---- failing connections ---- */

/* The connection is dead. A reused one that dies before any byte of an answer was most likely
 * closed by the origin while our request was under way, unread: the request goes out again on a
 * fresh connection, which is not a reused one, so that this happens once. */
static void call_lost(struct call *c, enum err e)
{
    bool silent = c->link->reused && !c->codec && (e == ERR_RESET || e == ERR_EOF) &&
                  (c->stage == CALL_SEND || c->stage == CALL_WAIT);
    if (!silent) {
        call_fail(c, e,
                  e != ERR_EOF            ? NULL
                  : c->stage == CALL_BODY ? "the upstream closed in the middle of its answer"
                                          : "the upstream closed without an answer");
        return;
    }
    link_drop(c->link, true);
    c->link = NULL;
    c->head_sent = c->piece = c->piece_sent = 0;
    c->sent = false;
    c->send_error = ERR_OK;
    c->pool->stats.silent_retries++;
    call_connect(c);
}

/* ---- the response ---- */

/* True: c is still there. */
static bool take_head(struct call *c, const struct http_head *h)
{
    struct link *k = c->link;
    c->stage = CALL_BODY;
    c->keep_alive = h->keep_alive;
    if (c->sent)
        buf_deinit(&c->head);
    struct span type = http_field_get(h, "content-type");
    bool stream = type.at && (span_istarts(type, SPAN("text/event-stream")) ||
                              span_istarts(type, SPAN("application/vnd.amazon.eventstream")));
    if (stream)
        c->body_max = STREAM_BODY_MAX;
    c->events.on_head(c->ctx, h);
    if (k->dead)
        return false;
    if (stream)
        h1_trim(c->codec); /* there may be many, for long */
    return true;
}

static bool deliver(struct call *c, struct span body)
{
    struct link *k = c->link;
    if (body.len == 0)
        return true;
    if (body.len > c->body_max - c->body_seen) {
        call_fail(c, ERR_LIMIT, "the upstream's answer is larger than the limit");
        return false;
    }
    c->body_seen += body.len;
    c->events.on_body(c->ctx, body);
    return !k->dead;
}

/* Appends body bytes, which lie in the scratch buffer, to those gathered at its front part. */
static void squeeze(struct pool *p, struct span *gathered, struct span body)
{
    assert(body.at >= p->scratch && body.at + body.len <= p->scratch + POOL_SCRATCH_BYTES);
    if (gathered->len == 0) {
        *gathered = body;
        return;
    }
    char *end = p->scratch + (gathered->at - p->scratch) + gathered->len;
    if (end != body.at)
        memmove(end, body.at, body.len);
    gathered->len += body.len;
}

/* Feeds what was read. False: the call was finished, and its link is not ours to look at any more;
 * true: the link is still held, but c may be gone. */
static bool take_events(struct call *c, struct span in)
{
    struct span body = SPAN_EMPTY;
    for (;;) {
        struct h1_event ev;
        size_t used = 0;
        if (h1_feed(c->codec, in, &used, &ev) != ERR_OK) {
            if (deliver(c, body))
                call_fail(c, ERR_SYNTAX, c->codec->error_text);
            return true;
        }
        in = span_drop(in, used);
        if (ev.type == H1_BODY) {
            squeeze(c->pool, &body, ev.body);
            continue;
        }
        if (ev.type == H1_HEAD && !take_head(c, &ev.head))
            return true;
        if (ev.type == H1_HEAD)
            continue;
        if (!deliver(c, body) || ev.type == H1_MORE)
            return true;
        call_finish(c, in.len);
        return false;
    }
}

static void call_take(struct call *c, struct span in)
{
    struct link *k = c->link;
    if (!c->codec) {
        c->codec = pool_codec_take(c->pool);
        if (c->no_body)
            h1_expect_no_body(c->codec);
    }
    k->reading = true;
    if (!take_events(c, in))
        return;
    k->reading = false;
    if (k->dead)
        mem_free(k);
}

/* The end of the stream, which completes a body that runs until close (RFC 9112 section 6.3). */
static void call_ended(struct call *c)
{
    struct h1_event ev = {.type = H1_MORE};
    if (c->codec && h1_feed_eof(c->codec, &ev) == ERR_OK && ev.type == H1_END) {
        c->keep_alive = false;
        call_finish(c, 0);
        return;
    }
    call_lost(c, ERR_EOF);
}

/* One read. False: nothing was there. */
static bool call_read(struct call *c)
{
    size_t n = 0;
    enum err e = stream_read(c->link->stream, c->pool->scratch, POOL_SCRATCH_BYTES, &n);
    if (e == ERR_AGAIN)
        return false;
    if (e == ERR_OK)
        call_take(c, (struct span){c->pool->scratch, n});
    else if (e == ERR_EOF)
        call_ended(c);
    else
        call_lost(c, e);
    return true;
}

void call_readable(struct call *c)
{
    (void)call_read(c); /* nothing there: a false alarm */
}

/* Sending failed. Whatever the origin said before that is read first, a read per turn. */
static void call_read_rest(struct call *c)
{
    if (c->stage == CALL_BODY)
        return; /* an answer is under way: its own end, or the read's error, will tell */
    call_rearm(c);
    if (!call_read(c))
        call_lost(c, c->send_error);
}

void call_pause(struct call *c)
{
    c->paused = true;
    if (c->stage != CALL_CONNECT)
        link_want(c->link, c->link->interest & ~(unsigned)STREAM_READ);
}

void call_resume(struct call *c)
{
    c->paused = false;
    if (c->stage != CALL_CONNECT)
        link_want(c->link, c->link->interest | STREAM_READ);
}
