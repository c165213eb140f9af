#pragma once
/* Feeds the HTTP/1.1 and SSE readers with bytes cut in a chosen way and writes down what they say,
 * so that two ways of cutting can be compared as texts. Shared by unit tests and fuzz drivers.
 *
 * Each piece is copied into memory of its own that is freed before the next is fed: a span kept
 * longer than promised shows under AddressSanitizer. */
#include "base/mem.h"
#include "base/span.h"
#include "http/h1.h"
#include "http/sse.h"

/* How to cut: all at once, into single bytes, at one place, or at random places. */
struct cuts {
    enum { CUT_NOWHERE, CUT_BYTES, CUT_ONCE, CUT_RANDOM } how;
    size_t at;     /* CUT_ONCE */
    uint64_t seed; /* CUT_RANDOM */
};

static inline size_t next_piece(struct cuts *c, size_t done, size_t left)
{
    switch (c->how) {
    case CUT_BYTES:
        return 1;
    case CUT_ONCE:
        return done == 0 && c->at && c->at < left ? c->at : left;
    case CUT_RANDOM: {
        c->seed = c->seed * 6364136223846793005u + 1442695040888963407u;
        size_t n = 1 + (size_t)(c->seed >> 33) % ((c->seed >> 60) < 8 ? 4 : 64);
        return n < left ? n : left;
    }
    default:
        return left;
    }
}

static inline void say(struct buf *log, const char *text)
{
    assert(buf_add_cstr(log, text) == ERR_OK);
}

static inline void say_span(struct buf *log, const char *label, struct span s)
{
    say(log, label);
    assert(buf_add(log, s) == ERR_OK);
}

static inline void say_head(struct buf *log, enum h1_role role, const struct http_head *h)
{
    if (role == H1_REQUEST) {
        say_span(log, "[", h->method);
        say_span(log, " ", h->target);
        say_span(log, " host=", h->host);
    } else {
        assert(buf_printf(log, "[%d", h->status) == ERR_OK);
        say_span(log, " ", h->reason);
    }
    assert(buf_printf(log, " 1.%d length=%lld%s%s%s%s", h->minor, (long long)h->content_length,
                      h->chunked ? " chunked" : "", h->keep_alive ? " keep" : " close",
                      h->expect_continue ? " expect" : "", h->upgrade ? " upgrade" : "") == ERR_OK);
    for (size_t i = 0; i < h->field_count; i++) {
        say_span(log, "|", h->fields[i].name);
        say_span(log, "=", h->fields[i].value);
    }
    say(log, "]");
}

/* All events for one piece; false on an error. Body bytes are joined: only their sum counts. */
static inline bool feed_h1_piece(struct h1 *p, struct span in, struct buf *log)
{
    for (;;) {
        struct h1_event e;
        size_t used = 0;
        enum err r = h1_feed(p, in, &used, &e);
        if (r != ERR_OK) {
            assert(buf_printf(log, "<%s %d>", err_name(r), p->error_status) == ERR_OK);
            return false;
        }
        in = span_drop(in, used);
        if (e.type == H1_MORE) {
            assert(in.len == 0);
            return true;
        }
        if (e.type == H1_HEAD)
            say_head(log, p->role, &e.head);
        else
            say_span(log, e.type == H1_END ? "<END>" : "", e.body);
    }
}

static inline void feed_h1(enum h1_role role, const struct http_limits *limits, bool to_head,
                           struct span in, struct cuts cuts, struct buf *log)
{
    struct h1 p;
    h1_init(&p, role, limits);
    if (to_head)
        h1_expect_no_body(&p);
    bool good = true;
    for (size_t at = 0; good && at < in.len;) {
        size_t n = next_piece(&cuts, at, in.len - at);
        char *piece = mem_alloc(n);
        memcpy(piece, in.at + at, n);
        good = feed_h1_piece(&p, (struct span){piece, n}, log);
        mem_free(piece);
        at += n;
    }
    struct h1_event e;
    if (good) {
        enum err r = h1_feed_eof(&p, &e);
        say(log, r != ERR_OK ? "<EOF cut>" : e.type == H1_END ? "<END><EOF>" : "<EOF>");
    }
    h1_deinit(&p);
}

/* events: "{name|data|id}" and "{:comment}"; raws: all raw bytes joined, the rest at the end. */
static inline void feed_sse(size_t max_bytes, bool comments, struct span in, struct cuts cuts,
                            struct buf *events, struct buf *raws)
{
    struct sse s;
    sse_init(&s, max_bytes, comments);
    enum err r = ERR_AGAIN;
    for (size_t at = 0; r == ERR_AGAIN && at < in.len;) {
        size_t n = next_piece(&cuts, at, in.len - at);
        char *piece = mem_alloc(n);
        memcpy(piece, in.at + at, n);
        struct span left = {piece, n};
        struct sse_event e;
        size_t used = 0;
        while ((r = sse_next(&s, left, &used, &e)) == ERR_OK) {
            left = span_drop(left, used);
            say_span(events, e.comment_only ? "{:" : "{", e.name);
            say_span(events, "|", e.data);
            say_span(events, "|", e.id);
            say(events, "}");
            say_span(raws, "", e.raw);
        }
        assert(r != ERR_AGAIN || used == left.len);
        mem_free(piece);
        at += n;
    }
    if (r == ERR_LIMIT)
        say(events, "<LIMIT>");
    else
        say_span(raws, "", sse_held(&s));
    if (r == ERR_AGAIN && sse_pending(&s))
        say(events, "<CUT>");
    sse_deinit(&s);
}
