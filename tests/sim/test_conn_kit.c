/* See test_conn_kit.h. */
#include "test_conn_kit.h"

#include "base/mem.h"

#include <stdio.h>

void pass(struct loop *l, usec time)
{
    (void)sim_run_until(l, loop_now(l) + time);
}

size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

/* ---- peer ---- */

static void peer_write(struct peer *p)
{
    while (p->out_at < p->out.len) {
        struct span rest = span_drop(buf_span(&p->out), p->out_at);
        size_t n = 0;
        enum err e = stream_write(p->stream, &rest, 1, &n);
        if (e != ERR_OK)
            break;
        p->out_at += n;
    }
    unsigned write = p->out_at < p->out.len && !p->reset ? STREAM_WRITE : 0;
    bool more = p->reading && !p->eof && !p->reset;
    stream_want(p->stream, write | (more ? STREAM_READ : 0));
}

static void peer_on_connect(void *ctx, enum err result)
{
    struct peer *p = ctx;
    p->connect_result = result;
    p->connected = result == ERR_OK;
    if (p->connected)
        peer_write(p);
}

static void peer_on_writable(void *ctx)
{
    peer_write(ctx);
}

static void peer_on_readable(void *ctx)
{
    struct peer *p = ctx;
    char bytes[4096];
    size_t n = 0;
    enum err e = stream_read(p->stream, bytes, sizeof(bytes), &n);
    if (e == ERR_OK) {
        p->reads++;
        enum err added = buf_add(&p->in, (struct span){bytes, n});
        assert(added == ERR_OK);
    } else if (e != ERR_AGAIN) {
        p->eof = e == ERR_EOF;
        p->reset = e != ERR_EOF;
        p->ended_at = loop_now(p->loop);
        stream_want(p->stream, 0);
    }
}

static const struct stream_events peer_events = {.on_connect = peer_on_connect,
                                                 .on_readable = peer_on_readable,
                                                 .on_writable = peer_on_writable};

static void peer_init(struct peer *p, struct loop *l)
{
    *p = (struct peer){.loop = l, .reading = true};
    buf_init(&p->in, (size_t)64 << 20);
    buf_init(&p->out, (size_t)64 << 20);
}

struct peer *peer_dial(struct loop *l, const char *host, uint16_t port)
{
    struct peer *p = mem_new(struct peer);
    peer_init(p, l);
    struct net_dest dest = {.host = span_from(host), .port = port};
    net_connect(l, &dest, &peer_events, p, &p->stream);
    return p;
}

void peer_take(struct peer *p, struct loop *l, struct stream *s)
{
    peer_init(p, l);
    p->connected = true;
    p->stream = s;
    stream_set_events(s, &peer_events, p);
    stream_want(s, STREAM_READ);
}

void peer_send_bytes(struct peer *p, struct span bytes)
{
    enum err e = buf_add(&p->out, bytes);
    assert(e == ERR_OK);
    if (p->connected && p->stream)
        peer_write(p);
}

void peer_send(struct peer *p, const char *text)
{
    peer_send_bytes(p, span_from(text));
}

void peer_read(struct peer *p, bool on)
{
    p->reading = on;
    peer_write(p);
}

void peer_end(struct peer *p, bool reset)
{
    if (reset)
        stream_abort(p->stream);
    else
        stream_close(p->stream);
    p->stream = NULL;
}

static void peer_deinit(struct peer *p)
{
    peer_end(p, false);
    buf_deinit(&p->in);
    buf_deinit(&p->out);
}

void peer_free(struct peer *p)
{
    peer_deinit(p);
    mem_free(p);
}

const char *peer_got(struct peer *p)
{
    enum err e = buf_add_char(&p->in, '\0');
    assert(e == ERR_OK);
    buf_reset(&p->in);
    return p->in.at;
}

/* ---- host ---- */

static struct host *hosts[4];

static void host_on_readable(void *ctx)
{
    struct peer *p = ctx;
    peer_on_readable(p);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct host *h = hosts[i];
        if (h && p >= h->peers && p < h->peers + h->count && h->on_bytes && !p->eof && !p->reset)
            h->on_bytes(h, p);
    }
}

static const struct stream_events host_events = {.on_readable = host_on_readable,
                                                 .on_writable = peer_on_writable};

static void host_on_accept(void *ctx, struct stream *s)
{
    struct host *h = ctx;
    assert(h->count < ARRAY_LEN(h->peers));
    struct peer *p = &h->peers[h->count++];
    peer_take(p, h->loop, s);
    stream_set_events(s, &host_events, p);
}

void host_open(struct host *h, struct loop *l, const char *name, uint16_t port)
{
    const char *why = "";
    *h = (struct host){.loop = l};
    enum err e = net_listen(l, span_from(name), port, &(struct listen_options){0}, host_on_accept,
                            h, &h->listener, &why);
    assert(e == ERR_OK);
    size_t i = 0;
    while (hosts[i]) {
        i++;
        assert(i < ARRAY_LEN(hosts));
    }
    hosts[i] = h;
}

void host_close(struct host *h)
{
    listener_close(h->listener);
    for (size_t i = 0; i < h->count; i++)
        peer_deinit(&h->peers[i]);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (hosts[i] == h)
            hosts[i] = NULL;
}

void host_answers(struct host *h, struct peer *p)
{
    size_t heads = count_of(peer_got(p), "\r\n\r\n");
    while (heads-- && p->stream)
        peer_send(p, h->answer);
}

/* ---- site ---- */

static const struct http_field text_plain = {{"Content-Type", 12}, {"text/plain", 10}};

/* /echo: the body back. /chunks: three chunks. /hold: kept for the test. /data: path's own size. */
static void site_on_request(void *ctx, struct request *r)
{
    struct site *s = ctx;
    struct span path = request_path(r);
    s->requests++;
    enum err e = buf_printf(&s->bodies, "[%.*s]", SPAN_FMT(request_body(r)));
    (void)e; /* large ones are not kept: the tests that send them look at the answer */
    if (span_is(path, "/hold")) {
        assert(s->held_count < SITE_HELD_MAX);
        s->held[s->held_count++] = r;
    } else if (span_is(path, "/chunks")) {
        reply_start(r, 200, &text_plain, 1, REPLY_CHUNKED);
        reply_body(r, SPAN("one"));
        reply_body(r, SPAN(""));
        reply_body(r, SPAN("twotwotwotwotwotwo"));
        reply_end(r);
    } else {
        reply_whole(r, 200, &text_plain, 1, request_body(r));
    }
}

static void site_on_gone(void *ctx, struct request *r)
{
    struct site *s = ctx;
    s->gone++;
    if (s->keep_on_gone)
        return;
    for (size_t i = 0; i < s->held_count; i++) {
        if (s->held[i] != r)
            continue;
        memmove(&s->held[i], &s->held[i + 1], (s->held_count - i - 1) * sizeof(s->held[0]));
        s->held_count--;
        break;
    }
    reply_abort(r);
}

static void site_on_drained(void *ctx, struct request *r)
{
    struct site *s = ctx;
    assert(reply_pending(r) == 0);
    s->drained++;
}

static void site_error_body(void *ctx, struct span path, int status, const char *text,
                            struct buf *out, const char **out_content_type)
{
    (void)ctx;
    enum err e = buf_printf(out, "{\"path\":\"%.*s\",\"status\":%d,\"text\":\"%s\"}",
                            SPAN_FMT(path), status, text);
    assert(e == ERR_OK);
    *out_content_type = "application/json";
}

void site_open(struct site *s, struct loop *l, const struct server_limits *limits)
{
    const char *why = "";
    *s = (struct site){.loop = l};
    buf_init(&s->bodies, (size_t)1 << 20);
    struct server_handler handler = {.on_request = site_on_request,
                                     .on_gone = site_on_gone,
                                     .on_drained = site_on_drained,
                                     .error_body = site_error_body,
                                     .ctx = s};
    s->server = server_new(l, limits ? limits : &server_limits_default, &handler);
    enum err e = server_listen(s->server, SPAN("gate"), 80, &(struct listen_options){0}, &why);
    assert(e == ERR_OK);
}

void site_close(struct site *s)
{
    server_free(s->server);
    buf_deinit(&s->bodies);
}

struct request *site_next(struct site *s)
{
    assert(s->held_count > 0);
    struct request *r = s->held[0];
    memmove(&s->held[0], &s->held[1], (s->held_count - 1) * sizeof(s->held[0]));
    s->held_count--;
    return r;
}

/* ---- caller ---- */

static void caller_cancel(struct caller *c)
{
    call_cancel(c->call);
    c->call = NULL;
}

static void caller_on_head(void *ctx, const struct http_head *head)
{
    struct caller *c = ctx;
    c->heads++;
    c->status = head->status;
    if (c->cancel_at_head)
        caller_cancel(c);
}

static void caller_on_body(void *ctx, struct span bytes)
{
    struct caller *c = ctx;
    c->bodies++;
    enum err e = buf_add(&c->body, bytes);
    assert(e == ERR_OK);
    if (c->cancel_at_body)
        caller_cancel(c);
    else if (c->pause_at_body)
        call_pause(c->call);
}

static void caller_on_end(void *ctx)
{
    struct caller *c = ctx;
    c->ends++;
    c->call = NULL;
    struct origin *o = c->again;
    if (!o)
        return;
    c->again = NULL;
    caller_start(c, c->pool, o, "GET", "/again", NULL);
}

static void caller_on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct caller *c = ctx;
    c->errors++;
    c->call = NULL;
    c->error = e;
    c->stage = stage;
    (void)snprintf(c->why, sizeof(c->why), "%s", why);
}

const struct call_events caller_events = {.on_head = caller_on_head,
                                          .on_body = caller_on_body,
                                          .on_end = caller_on_end,
                                          .on_error = caller_on_error};

void caller_start(struct caller *c, struct pool *p, struct origin *o, const char *method,
                  const char *target, const struct pieces *body)
{
    c->pool = p;
    if (c->body.max == 0)
        buf_init(&c->body, (size_t)64 << 20);
    struct call_request req = {.method = span_from(method),
                               .target = span_from(target),
                               .fields = SPAN("x-key: secret\r\n"),
                               .body = body};
    c->call = call_start(p, o, &req, &caller_events, c);
}

void caller_reset(struct caller *c)
{
    assert(!c->call);
    buf_deinit(&c->body);
    *c = (struct caller){0};
}
