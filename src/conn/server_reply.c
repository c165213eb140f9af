/* Writing answers.
 *
 * The head is only queued, so that it leaves with the first bytes of the body in one gathering
 * write. Body bytes go to the system straight from the caller's memory; only what it does not take
 * is copied. Once a write fell short, everything queues until the stream has room again.
 *
 * A failed write closes the connection, but the handler learns of it later, from the timer: no
 * reply_* call ever calls back. On a connection that is gone they do nothing. */
#include "conn/server_internal.h"

#include "base/mem.h"

size_t conn_queued(const struct conn *c)
{
    return c->out.len - c->out_sent;
}

static void queue_sent(struct conn *c, size_t n)
{
    c->out_sent += n;
    if (c->out_sent < c->out.len)
        return;
    assert(c->out_sent == c->out.len);
    c->out_sent = 0;
    buf_reset(&c->out);
    if (c->out.cap > REPLY_QUEUE_KEEP) {
        buf_deinit(&c->out);
        buf_init(&c->out, REPLY_QUEUE_MAX);
    }
}

static void queue_add(struct conn *c, struct span bytes)
{
    if (c->out_sent > REPLY_QUEUE_KEEP && c->out_sent > c->out.len / 2) {
        buf_consume(&c->out, c->out_sent);
        c->out_sent = 0;
    }
    if (c->state != CONN_CLOSED && buf_add(&c->out, bytes) != ERR_OK)
        conn_close(c, true); /* REPLY_QUEUE_MAX: this client will not catch up */
}

/* Queues the pieces without their first `skip` bytes. */
static void queue_rest(struct conn *c, const struct span *pieces, size_t count, size_t skip)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = skip < pieces[i].len ? skip : pieces[i].len;
        skip -= n;
        if (n < pieces[i].len)
            queue_add(c, span_drop(pieces[i], n));
    }
}

#define SEND_PIECES 4

void conn_send(struct conn *c, const struct span *pieces, size_t count)
{
    if (c->state == CONN_CLOSED)
        return;
    size_t queued = conn_queued(c), total = queued, sent = 0, all = 0;
    struct span list[SEND_PIECES];
    assert(count < SEND_PIECES);
    if (queued)
        list[all++] = span_drop(buf_span(&c->out), c->out_sent);
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].len;
        list[all++] = pieces[i];
    }
    if (total && !c->blocked) {
        enum err e = stream_write(c->stream, list, all, &sent);
        if (e != ERR_OK && e != ERR_AGAIN) {
            conn_close(c, true);
            return;
        }
        sent = e == ERR_OK ? sent : 0;
    }
    assert(sent <= total);
    if (c->state != CONN_BODY && (sent || !c->blocked))
        c->progress_at = loop_now(c->server->loop);
    size_t from_queue = sent < queued ? sent : queued;
    queue_sent(c, from_queue);
    queue_rest(c, pieces, count, sent - from_queue);
    c->blocked = sent < total;
    unsigned write = c->blocked ? STREAM_WRITE : 0;
    conn_want(c, (c->interest & STREAM_READ) | write);
}

/* ---- heads ---- */

/* Framing is ours alone: two opinions about where a message ends are how requests are smuggled. */
static bool is_our_field(struct span name)
{
    static const char *const ours[] = {"content-length", "transfer-encoding", "connection", "date",
                                       "keep-alive"};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (span_iis(name, ours[i]))
            return true;
    return false;
}

void conn_write_head(struct conn *c, const struct reply_head *h)
{
    struct buf *to = &c->out;
    enum err e = h1_write_status_line(to, h->status);
    e = e ? e : h1_write_field(to, SPAN("Date"), server_date(c->server));
    for (size_t i = 0; e == ERR_OK && i < h->count; i++) {
        if (is_our_field(h->fields[i].name))
            continue;
        e = h1_write_field(to, h->fields[i].name, h->fields[i].value);
        if (e == ERR_INVALID)
            e = ERR_OK; /* it would split the message: left out */
    }
    if (e == ERR_OK && h->content_length >= 0)
        e = h1_write_field_u64(to, "Content-Length", (uint64_t)h->content_length);
    if (e == ERR_OK && h->chunked)
        e = h1_write_field(to, SPAN("Transfer-Encoding"), SPAN("chunked"));
    if (e == ERR_OK && !c->keep_alive)
        e = h1_write_field(to, SPAN("Connection"), SPAN("close"));
    else if (e == ERR_OK && h->http10)
        e = h1_write_field(to, SPAN("Connection"), SPAN("keep-alive"));
    e = e ? e : h1_write_head_end(to);
    assert(e == ERR_OK); /* at most a 100-continue is queued before it: REPLY_QUEUE_MAX is far */
}

static enum reply_mode reply_mode(const struct request *r, int status, int64_t content_length)
{
    if (span_is(r->head.method, "HEAD") || status == 204 || status == 304)
        return REPLY_NO_BODY;
    if (content_length >= 0)
        return REPLY_BY_LENGTH;
    return r->head.minor >= 1 ? REPLY_BY_CHUNKS : REPLY_BY_CLOSE;
}

void reply_start(struct request *r, int status, const struct http_field *fields, size_t count,
                 int64_t content_length)
{
    struct conn *c = r->conn;
    assert(r->mode == REPLY_NOT_YET && status >= 200 && status <= 599 && content_length >= -1);
    r->mode = reply_mode(r, status, content_length);
    r->reply_left = content_length > 0 ? (uint64_t)content_length : 0;
    if (!c) {
        local_start(r, status, fields, count);
        return;
    }
    if (c->state == CONN_CLOSED)
        return;
    assert(c->state == CONN_REPLY);
    if (r->mode == REPLY_BY_CLOSE || c->server->draining)
        c->keep_alive = false;
    bool empty = status == 204 || status == 304; /* RFC 9110 section 8.6: 204 has no length */
    conn_write_head(
        c, &(struct reply_head){.status = status,
                                .fields = fields,
                                .count = count,
                                .content_length = empty ? -1 : content_length,
                                .chunked = content_length < 0 && !empty && r->head.minor >= 1,
                                .http10 = r->head.minor == 0});
}

/* ---- bodies ---- */

static void send_chunk(struct conn *c, struct span bytes)
{
    if (c->state == CONN_CLOSED)
        return;
    if (h1_write_chunk_start(&c->out, bytes.len) != ERR_OK) {
        conn_close(c, true); /* REPLY_QUEUE_MAX, as in queue_add */
        return;
    }
    struct span pieces[] = {bytes, SPAN("\r\n")};
    conn_send(c, pieces, 2);
}

void reply_body(struct request *r, struct span bytes)
{
    struct conn *c = r->conn;
    assert(r->mode != REPLY_NOT_YET);
    if (bytes.len == 0 || r->mode == REPLY_NO_BODY)
        return;
    if (r->mode == REPLY_BY_LENGTH) {
        assert(bytes.len <= r->reply_left);
        r->reply_left -= bytes.len;
    }
    if (!c) {
        local_body(r, bytes);
        return;
    }
    if (r->mode == REPLY_BY_CHUNKS)
        send_chunk(c, bytes);
    else
        conn_send(c, &bytes, 1);
    if (conn_queued(c) > REPLY_HIGH_WATER)
        c->was_high = true;
    conn_settle(c);
}

void reply_flush(struct request *r)
{
    if (!r->conn)
        return; /* nothing is kept back from a sink */
    conn_send(r->conn, NULL, 0);
    conn_settle(r->conn);
}

static void finish_reply(struct request *r, struct span last)
{
    struct conn *c = r->conn;
    if (!c) {
        local_end(r, true);
        return;
    }
    conn_send(c, &last, last.len ? 1 : 0);
    request_free(r);
    c->gone_due = c->was_high = false;
    if (c->state != CONN_CLOSED) {
        conn_enter(c, CONN_FLUSH);
        if (!c->blocked)
            conn_reply_done(c);
    }
    conn_settle(c);
}

void reply_end(struct request *r)
{
    assert(r->mode != REPLY_NOT_YET);
    if (r->mode == REPLY_BY_LENGTH && r->reply_left > 0) {
        reply_abort(r);
        return;
    }
    finish_reply(r, r->mode == REPLY_BY_CHUNKS ? SPAN("0\r\n\r\n") : SPAN_EMPTY);
}

void reply_end_close(struct request *r)
{
    if (r->conn)
        r->conn->keep_alive = false;
    reply_end(r);
}

void reply_cut(struct request *r)
{
    assert(r->mode != REPLY_NOT_YET);
    if (!r->conn) {
        local_end(r, false);
        return;
    }
    r->conn->keep_alive = false;
    finish_reply(r, SPAN_EMPTY);
}

void reply_abort(struct request *r)
{
    struct conn *c = r->conn;
    if (!c) {
        local_end(r, false);
        return;
    }
    request_free(r);
    conn_close(c, true);
    c->gone_due = c->was_high = false;
    conn_settle(c);
}

void reply_whole(struct request *r, int status, const struct http_field *fields, size_t count,
                 struct span body)
{
    reply_start(r, status, fields, count, (int64_t)body.len);
    reply_body(r, body);
    reply_end(r);
}

bool reply_started(const struct request *r)
{
    return r->mode != REPLY_NOT_YET;
}

size_t reply_pending(const struct request *r)
{
    return r->conn ? conn_queued(r->conn) : r->local.pending(r->local.ctx);
}

/* ---- what a handler asks of a request ---- */

const struct http_head *request_head(const struct request *r)
{
    return &r->head;
}

struct span request_path(const struct request *r)
{
    return r->path;
}

struct span request_query(const struct request *r)
{
    return r->query;
}

struct span request_body(const struct request *r)
{
    return (struct span){r->body, r->body_len};
}

struct arena *request_arena(struct request *r)
{
    return &r->arena;
}

struct loop *request_loop(struct request *r)
{
    return r->conn ? r->conn->server->loop : r->loop;
}

const char *request_peer(const struct request *r)
{
    return r->peer;
}

usec request_started(const struct request *r)
{
    return r->started;
}

void request_set_data(struct request *r, void *data)
{
    r->data = data;
}

void *request_data(const struct request *r)
{
    return r->data;
}
