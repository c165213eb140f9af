/* Answers in rare shapes: compressed, byte by byte, with CR LF, with events and lines nobody asked
 * for, closed without a word, cut inside an event, a character or a tool's input.
 *
 * What is legal among them a client must take as if it were the usual shape. Knows nothing of what
 * an answer says. */
#include "base/span.h"
#include "http/sse.h"
#include "tools/standin_internal.h"

#include <zlib.h>

#define LONG_LINE ((size_t)100 << 10)
#define GZIP_WINDOW (MAX_WBITS + 16) /* zlib.h, deflateInit2: 16 more asks for gzip's frame */

static bool is(const struct answer *a, enum fault_kind kind)
{
    return a->fault && a->fault->row->kind == kind;
}

bool odd_is_gathered(const struct answer *a)
{
    return is(a, FAULT_GZIP);
}

/* ---- whole bodies ---- */

static struct span compressed(struct answer *a, struct span body)
{
    z_stream z = {0};
    int good =
        deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY);
    assert(good == Z_OK);
    size_t room = deflateBound(&z, body.len);
    char *to = arena_alloc(request_arena(a->request), room);
    z.next_in = (Bytef *)(uintptr_t)body.at;
    z.avail_in = (uInt)body.len;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)room;
    good = deflate(&z, Z_FINISH);
    assert(good == Z_STREAM_END);
    struct span out = {to, room - z.avail_out};
    (void)deflateEnd(&z); /* it has just ended well */
    return out;
}

void odd_reply(struct answer *a, struct span body)
{
    struct request *r = a->request;
    bool gzip = is(a, FAULT_GZIP);
    struct http_field fields[] = {
        {SPAN("content-type"), a->stream ? SPAN("text/event-stream") : SPAN("application/json")},
        {SPAN("content-encoding"), SPAN("gzip")}};
    if (gzip)
        body = compressed(a, body);
    reply_start(r, 200, fields, gzip ? 2 : 1, (int64_t)body.len);
    odd_send(a, body);
    answer_over(a);
    if (is(a, FAULT_HANG_UP))
        reply_end_close(r);
    else
        reply_end(r);
}

/* ---- pieces of a stream ---- */

static void send_bytes(struct answer *a, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        reply_body(a->request, (struct span){bytes.at + i, 1});
        reply_flush(a->request);
    }
}

static void send_lines(struct answer *a, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t end = span_find(bytes, '\n');
        struct span line = end < 0 ? bytes : span_take(bytes, (size_t)end);
        reply_body(a->request, line);
        if (end < 0)
            return;
        reply_body(a->request, SPAN("\r\n"));
        bytes = span_drop(bytes, line.len + 1);
    }
}

void odd_send(struct answer *a, struct span bytes)
{
    if (is(a, FAULT_ONE_BYTE))
        send_bytes(a, bytes);
    else if (is(a, FAULT_CRLF))
        send_lines(a, bytes);
    else
        reply_body(a->request, bytes);
}

/* ---- between events, and inside one ---- */

static enum err write_unknown(struct answer *a, struct buf *to)
{
    if (a->speech == SPEAK_RESPONSES) {
        struct span data = arena_printf(
            request_arena(a->request),
            "{\"type\":\"response.news_of_tomorrow\",\"sequence_number\":%llu,\"x\":{\"x\":1}}",
            (unsigned long long)a->sequence++);
        return sse_write(to, "response.news_of_tomorrow", data);
    }
    if (a->speech == SPEAK_MESSAGES)
        return sse_write(to, "news_of_tomorrow",
                         SPAN("{\"type\":\"news_of_tomorrow\",\"index\":99,\"delta\":{\"x\":1}}"));
    return sse_write(to, "news_of_tomorrow", SPAN("{\"choices\":[],\"x_tomorrow\":{\"x\":1}}"));
}

static enum err write_long_line(struct buf *to)
{
    enum err e = buf_add_cstr(to, ": ");
    for (size_t i = 0; e == ERR_OK && i < LONG_LINE; i++)
        e = buf_add_char(to, '.');
    return e == ERR_OK ? buf_add_cstr(to, "\n\n") : e;
}

void odd_write(struct answer *a, struct buf *to)
{
    enum err e = is(a, FAULT_LONG_LINE) ? write_long_line(to) : write_unknown(a, to);
    a->was_odd = true;
    assert(e == ERR_OK); /* an answer's buffer has room for it */
}

#define HALF_A_CHARACTER "\xE4\xBD" /* two of the three bytes of a Chinese one */

/* Where the text or the input in these bytes begins; 0: there is none. */
static size_t content_in(struct span bytes)
{
    static const char *const keys[] = {
        "\"text\":\"",     "\"content\":\"",           "\"partial_json\":\"", "\"arguments\":\"",
        "\"thinking\":\"", "\"reasoning_content\":\"", "\"input\":{",         "\"delta\":\""};
    size_t last = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct span rest = bytes, key = span_from(keys[i]);
        for (ssize_t at; (at = span_search(rest, key)) >= 0;
             rest = span_drop(rest, (size_t)at + key.len))
            if ((size_t)(rest.at - bytes.at) + (size_t)at + key.len > last)
                last = (size_t)(rest.at - bytes.at) + (size_t)at + key.len;
    }
    return last;
}

bool odd_cut_event(struct answer *a, struct buf *to)
{
    size_t from = to->len;
    bool char_cut = is(a, FAULT_CUT_CHAR);
    while (answer_add_event(a, to)) {
        size_t at = char_cut ? content_in(span_drop(buf_span(to), from)) : (to->len - from) / 2;
        if (at > 0 && (a->is_delta || !char_cut)) {
            buf_truncate(to, from + at);
            enum err e = char_cut ? buf_add_cstr(to, HALF_A_CHARACTER) : ERR_OK;
            assert(e == ERR_OK); /* an answer's buffer has room for it */
            return true;
        }
        from = to->len; /* no delta: as it is */
    }
    return false;
}

struct span odd_cut_whole(struct answer *a, struct span body)
{
    size_t at = content_in(body);
    if (is(a, FAULT_CUT_CHAR))
        return arena_printf(request_arena(a->request), "%.*s" HALF_A_CHARACTER,
                            SPAN_FMT(span_take(body, at)));
    return span_take(body, at + 4);
}

bool odd_inside_tool(const struct answer *a)
{
    const struct part *p = a->part < a->part_count ? &a->parts[a->part] : NULL;
    return p && p->kind == PART_TOOL && a->stage == STAGE_PIECE && a->piece > p->pieces / 2 &&
           a->piece <= p->pieces;
}
