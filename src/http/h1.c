/* HTTP/1.1, read strictly.
 *
 * Lines (head and trailers) are found with memchr and parsed once, when they are complete, straight
 * from the input. A head that arrives whole is never copied; one that is split moves to p->lines
 * and goes on there, line by line, so that no byte is looked at twice and a refusal does not depend
 * on how the network cut the bytes. h1_head.c knows what lines mean, this file how messages are
 * framed.
 *
 *   LINE_FIRST -> LINE_FIELD -> (BODY_LENGTH | CHUNK_... -> LINE_TRAILER | BODY_CLOSE) -> END -,
 *       ^  '-- a 1xx head ------'                                                              |
 *       '--------------------------------------------------------------------------------------'
 *
 * Any state may go to FAILED, which is final: reject and close beats repair (reliability.md 3.1).
 */
#include "http/h1_internal.h"

#include "base/mem.h"
#include "http/chars.h"

const struct http_limits http_limits_default = {
    .line_bytes = 8 * 1024,
    .field_bytes = 16 * 1024,
    .head_bytes = 64 * 1024,
    .fields = 100,
    .body_bytes = 32 * 1024 * 1024,
};

/* What a chunk line may cost: 16 bytes and twice its data are free, the rest adds up to this much
 * and no further. Streams of tiny chunks pass, floods of extensions do not (CVE-2023-39326). */
#define CHUNK_OVERHEAD_MAX (16u * 1024u)
#define CHUNK_EXTENSION_MAX 256u
#define CHUNK_DIGITS_MAX 16u
/* A gathering buffer larger than this is not kept for the next message: idle connections are many.
 */
#define LINES_KEEP 4096u

static const uint32_t edges[] = {
    [H1_LINE_FIRST] = BIT(H1_LINE_FIELD),
    [H1_LINE_FIELD] = BIT(H1_LINE_FIRST) | BIT(H1_BODY_LENGTH) | BIT(H1_BODY_CLOSE) |
                      BIT(H1_BODY_TOO_LARGE) | BIT(H1_CHUNK_SIZE) | BIT(H1_DONE),
    [H1_LINE_TRAILER] = BIT(H1_DONE),
    [H1_BODY_LENGTH] = BIT(H1_DONE),
    [H1_BODY_CLOSE] = BIT(H1_DONE),
    [H1_BODY_TOO_LARGE] = 0,
    [H1_CHUNK_SIZE] = BIT(H1_CHUNK_EXTENSION) | BIT(H1_CHUNK_SIZE_LF),
    [H1_CHUNK_EXTENSION] = BIT(H1_CHUNK_SIZE_LF),
    [H1_CHUNK_SIZE_LF] = BIT(H1_CHUNK_DATA) | BIT(H1_LINE_TRAILER),
    [H1_CHUNK_DATA] = BIT(H1_CHUNK_DATA_CR),
    [H1_CHUNK_DATA_CR] = BIT(H1_CHUNK_DATA_LF),
    [H1_CHUNK_DATA_LF] = BIT(H1_CHUNK_SIZE),
    [H1_DONE] = BIT(H1_LINE_FIRST),
    [H1_FAILED] = 0,
};

void h1_enter(struct h1 *p, enum h1_state next)
{
    assert(next == H1_FAILED || (edges[p->state] & BIT(next)));
    p->state = next;
}

enum err h1_fail(struct h1 *p, enum err e, int status, const char *text)
{
    assert(e != ERR_OK);
    h1_enter(p, H1_FAILED);
    p->error = e;
    p->error_status = p->role == H1_REQUEST ? status : 502;
    p->error_text = text;
    return e;
}

void h1_forget_head(struct h1 *p)
{
    p->head = (struct http_head){.fields = p->fields, .content_length = -1};
    p->line_start = p->line_bytes = 0;
}

/* Ready for the next message on the same connection. */
static void next_message(struct h1 *p)
{
    h1_forget_head(p);
    if (p->lines.cap > LINES_KEEP) {
        size_t max = p->lines.max;
        buf_deinit(&p->lines);
        buf_init(&p->lines, max);
    }
    buf_reset(&p->lines);
    p->body_seen = p->left = 0;
    p->chunk_overhead = p->interim = 0;
    p->no_body = p->skipped_blank = false;
}

void h1_init(struct h1 *p, enum h1_role role, const struct http_limits *limits)
{
    assert(limits->fields > 0 && limits->head_bytes > 0);
    *p = (struct h1){.role = role, .limits = limits, .state = H1_LINE_FIRST};
    buf_init(&p->lines, limits->head_bytes + 1);
}

void h1_deinit(struct h1 *p)
{
    buf_deinit(&p->lines);
    mem_free(p->fields);
    p->fields = NULL;
}

void h1_reset(struct h1 *p)
{
    next_message(p);
    p->state = H1_LINE_FIRST;
    p->error = ERR_OK;
    p->error_status = 0;
    p->error_text = NULL;
}

void h1_expect_no_body(struct h1 *p)
{
    assert(p->role == H1_RESPONSE && p->state == H1_LINE_FIRST);
    p->no_body = true;
}

static bool is_reading_lines(const struct h1 *p)
{
    return p->state == H1_LINE_FIRST || p->state == H1_LINE_FIELD || p->state == H1_LINE_TRAILER;
}

void h1_trim(struct h1 *p)
{
    if (is_reading_lines(p))
        return;
    mem_free(p->fields);
    p->fields = NULL;
    p->head.fields = NULL;
    p->head.field_count = 0;
}

bool h1_idle(const struct h1 *p)
{
    return p->state == H1_LINE_FIRST && p->lines.len == 0 && p->interim == 0;
}

/* ---- lines ---- */

static void move_span(struct span *s, uintptr_t from, const char *to)
{
    if (s->at)
        s->at = to + ((uintptr_t)s->at - from);
}

/* The bytes the head's spans point into have moved. */
static void move_head(struct h1 *p, uintptr_t from, const char *to)
{
    if (from == (uintptr_t)to)
        return;
    move_span(&p->head.method, from, to);
    move_span(&p->head.target, from, to);
    move_span(&p->head.host, from, to);
    move_span(&p->head.reason, from, to);
    for (size_t i = 0; i < p->head.field_count; i++) {
        move_span(&p->fields[i].name, from, to);
        move_span(&p->fields[i].value, from, to);
    }
}

/* old: where the head's bytes have been until now. */
static enum err gather(struct h1 *p, const char *old, struct span more)
{
    uintptr_t from = (uintptr_t)old;
    if (buf_add(&p->lines, more) != ERR_OK)
        return h1_fail(p, ERR_LIMIT, 431, "the head is too large (RFC 6585 section 5)");
    move_head(p, from, p->lines.at);
    return ERR_OK;
}

/* A line that has no end yet is held to the same limits, so that a sender cannot make us wait for
 * more than we would ever take. Its last `end` bytes may turn out to be its line end. */
static enum err check_length(struct h1 *p, size_t bytes, size_t end)
{
    return h1_check_line(p, bytes > end ? bytes - end : 0, bytes);
}

/* Takes lines straight from the input; what is left behind the last complete one is gathered. */
static enum err feed_lines_in_place(struct h1 *p, struct span in, size_t *used)
{
    size_t start = 0, at = 0;
    const char *lf;
    while (is_reading_lines(p) && at < in.len) {
        if (p->state == H1_LINE_FIRST && !h1_may_start(p, in.at[at]))
            return h1_fail(p, ERR_SYNTAX, 400, "not an HTTP/1.1 message (RFC 9112 section 2.1)");
        lf = memchr(in.at + at, '\n', in.len - at);
        if (!lf)
            break;
        size_t end = (size_t)(lf - in.at) + 1;
        enum err e = h1_take_line(p, in.at + at, end - at);
        if (e != ERR_OK)
            return e;
        at = end;
        if (p->state == H1_LINE_FIRST)
            start = at; /* the blank line in front of a request is forgotten */
    }
    if (!is_reading_lines(p)) {
        *used = at;
        return ERR_OK;
    }
    *used = in.len;
    enum err e = check_length(p, in.len - at, 1);
    if (e == ERR_OK && in.len > start)
        e = gather(p, in.at + start, span_drop(in, start));
    p->line_start = at - start;
    return e;
}

/* Takes one line, or what there is of it, behind what is gathered already. */
static enum err feed_line_gathered(struct h1 *p, struct span in, size_t *used)
{
    const char *lf = memchr(in.at, '\n', in.len);
    size_t n = lf ? (size_t)(lf - in.at) + 1 : in.len;
    size_t have = p->lines.len - p->line_start;
    enum err e = check_length(p, have + n, lf ? 2 : 1);
    if (e == ERR_OK)
        e = gather(p, p->lines.at, span_take(in, n));
    if (e != ERR_OK)
        return e;
    *used = n;
    if (!lf)
        return ERR_OK;
    e = h1_take_line(p, p->lines.at + p->line_start, have + n);
    p->line_start = p->lines.len;
    if (p->state == H1_LINE_FIRST) {
        buf_reset(&p->lines);
        p->line_start = 0;
    }
    return e;
}

static enum err feed_lines(struct h1 *p, struct span in, size_t *used)
{
    size_t at = 0;
    while (is_reading_lines(p) && at < in.len) {
        size_t n = 0;
        struct span rest = span_drop(in, at);
        enum err e =
            p->lines.len ? feed_line_gathered(p, rest, &n) : feed_lines_in_place(p, rest, &n);
        if (e != ERR_OK)
            return e;
        at += n;
    }
    *used = at;
    return ERR_OK;
}

/* ---- bodies ---- */

static enum err body_too_large(struct h1 *p)
{
    return h1_fail(p, ERR_LIMIT, 413, "the body is too large (RFC 9110 section 15.5.14)");
}

/* A chunk's size is known (RFC 9112 section 7.1). */
static enum err begin_chunk(struct h1 *p)
{
    uint64_t cost = (uint64_t)p->chunk_overhead + p->chunk_digits + p->chunk_extension + 4;
    uint64_t free_bytes = p->left > CHUNK_OVERHEAD_MAX ? UINT32_MAX : 16 + 2 * p->left;
    p->chunk_overhead = cost > free_bytes ? (uint32_t)(cost - free_bytes) : 0;
    if (p->chunk_overhead > CHUNK_OVERHEAD_MAX)
        return h1_fail(p, ERR_LIMIT, 413, "too much chunk framing (RFC 9112 section 7.1.1)");
    p->chunk_digits = p->chunk_extension = 0;
    if (p->left == 0) {
        buf_reset(&p->lines);
        h1_forget_head(p);
        h1_enter(p, H1_LINE_TRAILER);
        return ERR_OK;
    }
    if (p->left > p->limits->body_bytes - p->body_seen)
        return body_too_large(p);
    h1_enter(p, H1_CHUNK_DATA);
    return ERR_OK;
}

static enum err bad_chunk(struct h1 *p)
{
    return h1_fail(p, ERR_SYNTAX, 400, "malformed chunk framing (RFC 9112 section 7.1)");
}

static enum err feed_chunk_size(struct h1 *p, unsigned char c)
{
    int digit = chars_hex(c);
    if (digit >= 0) {
        if (++p->chunk_digits > CHUNK_DIGITS_MAX)
            return bad_chunk(p);
        p->left = (p->left << 4) | (uint64_t)digit;
        return ERR_OK;
    }
    if (p->chunk_digits == 0 || (c != ';' && c != '\r'))
        return bad_chunk(p);
    h1_enter(p, c == ';' ? H1_CHUNK_EXTENSION : H1_CHUNK_SIZE_LF);
    return ERR_OK;
}

static enum err feed_chunk_extension(struct h1 *p, unsigned char c)
{
    if (c == '\r') {
        h1_enter(p, H1_CHUNK_SIZE_LF);
        return ERR_OK;
    }
    if (!(char_class[c] & CHAR_VALUE))
        return bad_chunk(p);
    if (++p->chunk_extension > CHUNK_EXTENSION_MAX)
        return h1_fail(p, ERR_LIMIT, 413, "a chunk extension is too long (RFC 9112 section 7.1.1)");
    return ERR_OK;
}

/* One byte of what stands between chunks. */
static enum err feed_chunk_byte(struct h1 *p, unsigned char c)
{
    switch (p->state) {
    case H1_CHUNK_SIZE:
        return feed_chunk_size(p, c);
    case H1_CHUNK_EXTENSION:
        return feed_chunk_extension(p, c);
    case H1_CHUNK_SIZE_LF:
        return c == '\n' ? begin_chunk(p) : bad_chunk(p);
    case H1_CHUNK_DATA_CR:
        if (c != '\r')
            return bad_chunk(p);
        h1_enter(p, H1_CHUNK_DATA_LF);
        return ERR_OK;
    default:
        assert(p->state == H1_CHUNK_DATA_LF);
        if (c != '\n')
            return bad_chunk(p);
        h1_enter(p, H1_CHUNK_SIZE);
        return ERR_OK;
    }
}

#define CHUNK_FRAMING                                                                              \
    (BIT(H1_CHUNK_SIZE) | BIT(H1_CHUNK_EXTENSION) | BIT(H1_CHUNK_SIZE_LF) |                        \
     BIT(H1_CHUNK_DATA_CR) | BIT(H1_CHUNK_DATA_LF))

static enum err feed_chunk_framing(struct h1 *p, struct span in, size_t *used)
{
    size_t at = 0;
    while (at < in.len && (BIT(p->state) & CHUNK_FRAMING)) {
        enum err e = feed_chunk_byte(p, (unsigned char)in.at[at]);
        if (e != ERR_OK)
            return e;
        at++;
    }
    *used = at;
    return ERR_OK;
}

/* Content bytes counted by Content-Length or by a chunk's size. */
static void take_counted(struct h1 *p, struct span in, size_t *used, struct h1_event *out_event)
{
    size_t n = in.len < p->left ? in.len : (size_t)p->left;
    p->left -= n;
    p->body_seen += n;
    if (p->left == 0)
        h1_enter(p, p->state == H1_BODY_LENGTH ? H1_DONE : H1_CHUNK_DATA_CR);
    out_event->type = H1_BODY;
    out_event->body = span_take(in, n);
    *used = n;
}

static enum err take_until_close(struct h1 *p, struct span in, size_t *used,
                                 struct h1_event *out_event)
{
    uint64_t room = p->limits->body_bytes - p->body_seen;
    size_t n = in.len < room ? in.len : (size_t)room;
    if (n == 0)
        return body_too_large(p);
    p->body_seen += n;
    out_event->type = H1_BODY;
    out_event->body = span_take(in, n);
    *used = n;
    return ERR_OK;
}

/* Does one step: uses some input, or changes state, or makes an event. */
static enum err step(struct h1 *p, struct span in, size_t *used, struct h1_event *out_event)
{
    switch (p->state) {
    case H1_LINE_FIRST:
    case H1_LINE_FIELD: {
        enum err e = feed_lines(p, in, used);
        if (e == ERR_OK && !is_reading_lines(p)) {
            out_event->type = H1_HEAD;
            out_event->head = p->head;
        }
        return e;
    }
    case H1_LINE_TRAILER:
        return feed_lines(p, in, used);
    case H1_BODY_LENGTH:
    case H1_CHUNK_DATA:
        if (in.len)
            take_counted(p, in, used, out_event);
        return ERR_OK;
    case H1_BODY_CLOSE:
        return in.len ? take_until_close(p, in, used, out_event) : ERR_OK;
    case H1_BODY_TOO_LARGE:
        return body_too_large(p);
    case H1_DONE:
        next_message(p);
        h1_enter(p, H1_LINE_FIRST);
        out_event->type = H1_END;
        return ERR_OK;
    case H1_FAILED:
        return p->error;
    default:
        return feed_chunk_framing(p, in, used);
    }
}

enum err h1_feed(struct h1 *p, struct span in, size_t *out_used, struct h1_event *out_event)
{
    assert(in.len == 0 || in.at);
    size_t at = 0;
    out_event->type = H1_MORE;
    out_event->body = SPAN_EMPTY;
    for (;;) {
        size_t used = 0;
        unsigned before = p->state;
        enum err e = step(p, span_drop(in, at), &used, out_event);
        if (e != ERR_OK)
            return e;
        at += used;
        assert(at <= in.len);
        if (out_event->type != H1_MORE || (at == in.len && p->state == before))
            break;
    }
    *out_used = at;
    return ERR_OK;
}

enum err h1_feed_eof(struct h1 *p, struct h1_event *out_event)
{
    out_event->type = H1_MORE;
    out_event->body = SPAN_EMPTY;
    if (h1_idle(p))
        return ERR_OK;
    if (p->state == H1_BODY_CLOSE)
        h1_enter(p, H1_DONE);
    if (p->state != H1_DONE)
        return ERR_EOF;
    size_t used = 0;
    return step(p, SPAN_EMPTY, &used, out_event);
}
