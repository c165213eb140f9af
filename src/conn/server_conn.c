/* One client connection: reading requests, watching the client while its reply is made, deadlines.
 *
 * A request is read through the server's scratch buffer, and its body straight to its final place
 * where the length is known. What came behind a complete request waits in `leftover`; requests are
 * answered one at a time and in order.
 *
 * A client that closes its side, or resets, while its reply is being made is gone. HTTP/1.1 does
 * allow half-closing after a request, but no client library does it, a closed browser tab or a
 * killed process looks exactly the same on the wire, and going on would pay an upstream for an
 * answer nobody reads.
 *
 * Deadlines are lazy. conn_deadline computes, from the state, when the connection is overdue; the
 * timer is armed only when it would fire too late, and looks again when it fires. Requests that
 * come and are answered on a kept connection never touch the timer heap.
 *
 * Whatever a handler does in a callback, c stays: `busy` holds it until the callback's caller has
 * called conn_settle. */
#include "conn/server_internal.h"

#include "base/mem.h"
#include "http/url.h"

static void on_readable(void *ctx);
static void on_writable(void *ctx);
static const struct stream_events client_events = {.on_readable = on_readable,
                                                   .on_writable = on_writable};

static const uint32_t edges[] = {
    [CONN_IDLE] = BIT(CONN_HEAD) | BIT(CONN_DRAIN) | BIT(CONN_CLOSED),
    [CONN_HEAD] = BIT(CONN_BODY) | BIT(CONN_DRAIN) | BIT(CONN_CLOSED),
    [CONN_BODY] = BIT(CONN_REPLY) | BIT(CONN_DRAIN) | BIT(CONN_CLOSED),
    [CONN_REPLY] = BIT(CONN_FLUSH) | BIT(CONN_CLOSED),
    [CONN_FLUSH] = BIT(CONN_IDLE) | BIT(CONN_CLOSED),
    [CONN_DRAIN] = BIT(CONN_CLOSED),
    [CONN_CLOSED] = 0,
};

void conn_enter(struct conn *c, enum conn_state next)
{
    assert(edges[c->state] & BIT(next));
    if (next == CONN_REPLY)
        c->server->stats.requests_open++;
    c->state = next;
    c->since = loop_now(c->server->loop);
}

void conn_want(struct conn *c, unsigned interest)
{
    if (c->interest == interest || !c->stream)
        return;
    c->interest = interest;
    stream_want(c->stream, interest);
}

void request_free(struct request *r)
{
    struct server *s = r->conn->server;
    assert(s->stats.body_bytes_held >= r->body_len);
    s->stats.body_bytes_held -= r->body_len;
    if (r->conn->state >= CONN_REPLY && r->conn->state != CONN_DRAIN)
        s->stats.requests_open--;
    r->conn->request = NULL;
    mem_free(r->body);
    arena_deinit(&r->arena);
    mem_free(r);
}

/* ---- life ---- */

void conn_accept(struct server *s, struct stream *stream)
{
    bool full = s->stats.connections >= s->limits.connections_max;
    s->stats.accepted++;
    if (full)
        s->stats.refused++;
    if (s->draining || s->stats.connections >= s->limits.connections_max + REFUSE_EXTRA) {
        stream_abort(stream);
        return;
    }
    struct conn *c = mem_new(struct conn);
    c->server = s;
    c->stream = stream;
    c->timer_at = USEC_NEVER;
    c->since = loop_now(s->loop);
    c->first = true;
    buf_init(&c->out, REPLY_QUEUE_MAX);
    buf_init(&c->leftover, LEFTOVER_MAX);
    conn_link(&s->live, c);
    s->stats.connections++;
    stream_set_events(stream, &client_events, c);
    conn_want(c, STREAM_READ);
    if (full)
        conn_refuse(c, 503, "too many connections");
    conn_settle(c);
}

static void give_codec_back(struct conn *c)
{
    if (c->codec)
        server_codec_give(c->server, c->codec);
    c->codec = NULL;
}

void conn_close(struct conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    if (reset)
        stream_abort(c->stream);
    else
        stream_close(c->stream);
    c->stream = NULL;
    c->gone_due = c->state == CONN_REPLY;
    c->parse_due = false;
    if (c->request && c->state != CONN_REPLY)
        request_free(c->request);
    give_codec_back(c);
    buf_deinit(&c->out);
    buf_deinit(&c->leftover);
    c->out_sent = 0;
    conn_enter(c, CONN_CLOSED);
    conn_unlink(&c->server->live, c);
    conn_link(&c->server->gone, c);
}

static void conn_free(struct conn *c)
{
    struct server *s = c->server;
    assert(c->state == CONN_CLOSED && !c->request && !c->stream && !c->codec);
    loop_timer_cancel(s->loop, &c->timer);
    conn_unlink(&s->gone, c);
    mem_free(c);
    s->stats.connections--;
    server_check_empty(s);
}

void conn_tell_gone(struct conn *c)
{
    if (!c->gone_due)
        return;
    c->gone_due = false;
    if (c->request)
        c->server->handler.on_gone(c->server->handler.ctx, c->request);
}

/* ---- deadlines ---- */

/* The body must not pause longer than body_gap, and after a grace must keep up a least rate. */
static usec body_deadline(const struct conn *c)
{
    const struct server_limits *l = &c->server->limits;
    usec gap = c->progress_at + l->body_gap;
    uint32_t rate = l->body_rate ? l->body_rate : 1;
    uint64_t earned = (uint64_t)c->request->body_len * (uint64_t)USEC_PER_SEC / rate;
    usec slow = c->since + ((usec)earned > l->body_rate_grace ? (usec)earned : l->body_rate_grace);
    return gap < slow ? gap : slow;
}

/* When c is overdue as things stand; 0: it has something to do now. */
static usec conn_deadline(const struct conn *c)
{
    const struct server_limits *l = &c->server->limits;
    if (c->gone_due || c->parse_due)
        return 0;
    switch (c->state) {
    case CONN_IDLE: /* a new connection owes its first head; a used one may rest */
        return c->since + (c->first ? l->head_time : l->keep_alive);
    case CONN_HEAD:
        return c->since + l->head_time;
    case CONN_BODY:
        return body_deadline(c);
    case CONN_REPLY:
    case CONN_FLUSH:
        return c->blocked ? c->progress_at + l->write_stall : USEC_NEVER;
    case CONN_DRAIN:
        return c->since + DRAIN_TIME;
    case CONN_CLOSED:
        break;
    }
    return USEC_NEVER;
}

static void on_timer(struct timer *t);

static void conn_rearm(struct conn *c)
{
    usec due = conn_deadline(c);
    if (due >= c->timer_at)
        return;
    c->timer_at = due;
    usec now = loop_now(c->server->loop);
    loop_timer_at(c->server->loop, &c->timer, due > now ? due : now, on_timer);
}

void conn_settle(struct conn *c)
{
    if (c->busy)
        return;
    if (c->state == CONN_CLOSED && !c->request)
        conn_free(c);
    else
        conn_rearm(c);
}

static void conn_overdue(struct conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
        conn_refuse(c, 408, "the request's head did not arrive in time");
        break;
    case CONN_BODY:
        conn_refuse(c, 408, "the request's body did not arrive in time");
        break;
    case CONN_REPLY:
    case CONN_FLUSH: /* the client takes nothing: a cut reply must not look complete */
        conn_close(c, true);
        break;
    case CONN_IDLE:
    case CONN_DRAIN:
        conn_close(c, false);
        break;
    case CONN_CLOSED:
        break;
    }
}

/* Reading is on but where enough of later requests is held. */
static void want_more(struct conn *c)
{
    unsigned read = c->leftover.len < LEFTOVER_HIGH ? STREAM_READ : 0;
    conn_want(c, (c->interest & STREAM_WRITE) | read);
}

static void conn_input(struct conn *c, struct span in);

static void parse_leftover(struct conn *c)
{
    struct buf bytes = c->leftover;
    c->parse_due = false;
    buf_init(&c->leftover, LEFTOVER_MAX);
    conn_input(c, buf_span(&bytes));
    buf_deinit(&bytes);
    want_more(c);
}

static void on_timer(struct timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    c->timer_at = USEC_NEVER;
    c->busy++;
    if (c->gone_due)
        conn_tell_gone(c);
    else if (c->parse_due)
        parse_leftover(c);
    else if (conn_deadline(c) <= loop_now(c->server->loop))
        conn_overdue(c);
    c->busy--;
    conn_settle(c);
}

/* ---- refusing ---- */

/* Body and content type of an error, in the words of the handler where it has some. */
static const char *error_body(struct conn *c, int status, const char *text, struct buf *out)
{
    const struct server_handler *h = &c->server->handler;
    struct span path = c->request ? c->request->path : SPAN_EMPTY;
    const char *type = NULL;
    if (h->error_body)
        h->error_body(h->ctx, path, status, text, out, &type);
    if (type)
        return type;
    buf_reset(out);
    if (buf_printf(out, "%s\n", text) != ERR_OK)
        buf_reset(out);
    return "text/plain; charset=utf-8";
}

void conn_refuse(struct conn *c, int status, const char *text)
{
    struct buf body;
    buf_init(&body, 65536);
    const char *type = error_body(c, status, text, &body);
    bool head_only = c->request && span_is(c->request->head.method, "HEAD");
    c->keep_alive = false;
    give_codec_back(c);
    if (c->request)
        request_free(c->request);
    conn_enter(c, CONN_DRAIN);
    c->drain_left = DRAIN_BYTES;
    struct http_field field = {SPAN("Content-Type"), span_from(type)};
    conn_write_head(c, &(struct reply_head){.status = status,
                                            .fields = &field,
                                            .count = 1,
                                            .content_length = (int64_t)body.len});
    struct span piece = buf_span(&body);
    conn_send(c, &piece, head_only ? 0 : 1);
    buf_deinit(&body);
}

/* Closing with unread bytes makes the system send a reset, which may overtake the error we have
 * just written. So what still comes is read and dropped, within bounds. */
static void drain(struct conn *c)
{
    size_t n = 0;
    enum err e = stream_read(c->stream, c->server->scratch, SERVER_SCRATCH_BYTES, &n);
    if (e == ERR_AGAIN)
        return;
    c->drain_left -= e == ERR_OK && n < c->drain_left ? n : c->drain_left;
    if (c->drain_left == 0)
        conn_close(c, false);
}

/* ---- reading a request ---- */

static struct span copy_to(char **to, struct span s)
{
    char *at = *to;
    if (s.len)
        memcpy(at, s.at, s.len);
    *to += s.len;
    return (struct span){at, s.len};
}

/* The codec's spans hold until it is fed again; ours as long as the request. One block for all. */
static void copy_head(struct request *r, const struct http_head *h)
{
    size_t bytes = h->method.len + h->target.len + h->host.len;
    for (size_t i = 0; i < h->field_count; i++)
        bytes += h->fields[i].name.len + h->fields[i].value.len;
    struct http_field *fields = arena_array(&r->arena, struct http_field, h->field_count + 1);
    char *at = arena_alloc(&r->arena, bytes + 1);
    r->head = *h;
    r->head.method = copy_to(&at, h->method);
    r->head.target = copy_to(&at, h->target);
    r->head.host = copy_to(&at, h->host);
    for (size_t i = 0; i < h->field_count; i++) {
        fields[i].name = copy_to(&at, h->fields[i].name);
        fields[i].value = copy_to(&at, h->fields[i].value);
    }
    r->head.fields = fields;
}

static void expect_body(struct conn *c, const struct http_head *h, bool body_here)
{
    bool body = h->chunked || h->content_length > 0;
    uint64_t length = h->content_length > 0 ? (uint64_t)h->content_length : 0;
    struct server *s = c->server;
    if (length > s->limits.http.body_bytes)
        return; /* the codec's next word is 413 */
    if (length > s->limits.body_memory_max - s->stats.body_bytes_held) {
        conn_refuse(c, 503, "the gateway holds as many request bodies as it may; try again");
        return;
    }
    struct span go_on = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
    if (h->expect_continue && body && !body_here)
        conn_send(c, &go_on, 1);
}

static void take_head(struct conn *c, const struct http_head *h, bool body_here)
{
    struct request *r = mem_new(struct request);
    arena_init(&r->arena, c->server->limits.arena_max);
    copy_head(r, h);
    r->conn = c;
    r->started = c->since;
    r->peer = arena_cstr(&r->arena, span_from(stream_peer(c->stream)));
    if (url_split_target(r->head.target, &r->path, &r->query) != ERR_OK) {
        r->path = r->head.target; /* "*" */
        r->query = SPAN_EMPTY;
    }
    c->request = r;
    c->keep_alive = h->keep_alive && !c->server->draining;
    conn_enter(c, CONN_BODY);
    c->progress_at = c->since;
    expect_body(c, h, body_here);
}

/* Room for n more bytes: all of it at once where the length is known. */
static void body_room(struct request *r, size_t n)
{
    if (n <= r->body_cap - r->body_len)
        return;
    size_t cap = r->body_cap ? r->body_cap : BODY_FIRST_BYTES;
    if (r->head.content_length > 0)
        cap = (size_t)r->head.content_length;
    while (cap < r->body_len + n)
        cap *= 2;
    r->body = mem_realloc(r->body, cap);
    r->body_cap = cap;
}

static void take_body(struct conn *c, struct span bytes)
{
    struct request *r = c->request;
    struct server *s = c->server;
    if (bytes.len > s->limits.body_memory_max - s->stats.body_bytes_held) {
        conn_refuse(c, 503, "the gateway holds as many request bodies as it may; try again");
        return;
    }
    body_room(r, bytes.len);
    if (bytes.len && bytes.at != r->body + r->body_len) /* else it was read to its place */
        memcpy(r->body + r->body_len, bytes.at, bytes.len);
    r->body_len += bytes.len;
    s->stats.body_bytes_held += bytes.len;
    c->progress_at = loop_now(s->loop);
}

/* One event of the codec. False: nothing more can be done with what is here. */
static bool conn_step(struct conn *c, struct span *in)
{
    struct h1_event ev;
    size_t used = 0;
    if (h1_feed(c->codec, *in, &used, &ev) != ERR_OK) {
        conn_refuse(c, c->codec->error_status, c->codec->error_text);
        return false;
    }
    *in = span_drop(*in, used);
    switch (ev.type) {
    case H1_MORE:
        return false;
    case H1_HEAD:
        take_head(c, &ev.head, in->len > 0);
        return true;
    case H1_BODY:
        take_body(c, ev.body);
        return true;
    case H1_END:
        give_codec_back(c);
        conn_enter(c, CONN_REPLY);
        c->server->handler.on_request(c->server->handler.ctx, c->request);
        return true;
    }
    return false;
}

static void stash(struct conn *c, struct span bytes)
{
    if (buf_add(&c->leftover, bytes) != ERR_OK)
        conn_close(c, true); /* cannot be: reading stops at LEFTOVER_HIGH */
    else
        want_more(c);
}

/* Bytes in their order: of this request, or of those behind it. */
static void conn_input(struct conn *c, struct span in)
{
    for (;;) {
        if (c->state == CONN_IDLE && in.len > 0) {
            conn_enter(c, CONN_HEAD);
            c->codec = server_codec_take(c->server);
        }
        if ((c->state != CONN_HEAD && c->state != CONN_BODY) || !conn_step(c, &in))
            break;
        c->first = false;
    }
    if (in.len > 0 && (c->state == CONN_REPLY || c->state == CONN_FLUSH))
        stash(c, in);
}

/* Where the next bytes go: a body of known length is read to its place, up to its end. */
static size_t read_target(struct conn *c, char **out_to)
{
    struct request *r = c->request;
    int64_t length = c->state == CONN_BODY ? r->head.content_length : 0;
    if (length <= 0 || r->body_len == (size_t)length) {
        *out_to = c->server->scratch;
        return SERVER_SCRATCH_BYTES;
    }
    body_room(r, (size_t)length - r->body_len);
    *out_to = r->body + r->body_len;
    return (size_t)length - r->body_len;
}

static void on_readable(void *ctx)
{
    struct conn *c = ctx;
    c->busy++;
    if (c->state == CONN_DRAIN) {
        drain(c);
    } else {
        bool waiting = c->state == CONN_REPLY || c->state == CONN_FLUSH || c->parse_due;
        char *to = c->server->scratch;
        size_t n = 0, cap = waiting ? LEFTOVER_HIGH : read_target(c, &to);
        enum err e = stream_read(c->stream, to, cap, &n);
        if (e == ERR_OK && waiting)
            stash(c, (struct span){to, n});
        else if (e == ERR_OK)
            conn_input(c, (struct span){to, n});
        else if (e != ERR_AGAIN)
            conn_close(c, e != ERR_EOF || waiting);
    }
    c->busy--;
    conn_settle(c);
}

/* ---- writing ---- */

void conn_reply_done(struct conn *c)
{
    assert(c->state == CONN_FLUSH && conn_queued(c) == 0);
    if (!c->keep_alive || c->server->draining) {
        conn_close(c, false);
        return;
    }
    conn_enter(c, CONN_IDLE);
    buf_deinit(&c->out);
    buf_init(&c->out, REPLY_QUEUE_MAX);
    c->parse_due = c->leftover.len > 0;
    want_more(c);
}

static void on_writable(void *ctx)
{
    struct conn *c = ctx;
    size_t queued = conn_queued(c);
    usec progress_at = c->progress_at;
    c->busy++;
    c->blocked = false;
    conn_send(c, NULL, 0);
    if (c->blocked && conn_queued(c) == queued)
        c->progress_at = progress_at; /* a false alarm is no progress */
    if (c->state == CONN_FLUSH && !c->blocked) {
        conn_reply_done(c);
    } else if (c->state == CONN_REPLY && !c->blocked && c->was_high) {
        c->was_high = false;
        if (c->server->handler.on_drained)
            c->server->handler.on_drained(c->server->handler.ctx, c->request);
    }
    c->busy--;
    conn_settle(c);
}
