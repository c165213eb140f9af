/* Server-sent events after the WHATWG rules, keeping the exact bytes.
 *
 * The text of an event is the run of bytes since the last event. While it lies in one input it is
 * parsed there and nothing is copied: name and data are offsets into it. When the input ends first,
 * the text moves to s->raw and goes on there; offsets stay true. Only data of several lines, and
 * what stands in front of a reported comment inside an event, are copied out. */
#include "http/sse.h"

#include "base/span.h"

/* All lines of one event with their names and ends, and comments nobody asked for. */
static size_t raw_max(const struct sse *s)
{
    return 2 * s->max_bytes + 4096;
}

void sse_init(struct sse *s, size_t max_bytes, bool report_comments)
{
    *s = (struct sse){.max_bytes = max_bytes, .report_comments = report_comments};
    buf_init(&s->raw, raw_max(s) + 1);
    buf_init(&s->data, max_bytes);
    buf_init(&s->name, max_bytes);
    buf_init(&s->id, max_bytes);
}

void sse_deinit(struct sse *s)
{
    buf_deinit(&s->raw);
    buf_deinit(&s->data);
    buf_deinit(&s->name);
    buf_deinit(&s->id);
}

/* ---- lines ---- */

/* The first CR or LF. memchr runs over windows that grow, so that a long line is searched at full
 * speed and a stream of nothing but CRs does not make each search run to the end of the input. */
static const char *find_line_end(const char *at, size_t len)
{
    size_t window = 512;
    for (size_t done = 0; done < len; done += window, window *= 2) {
        size_t n = len - done < window ? len - done : window;
        const char *lf = memchr(at + done, '\n', n);
        const char *cr = memchr(at + done, '\r', lf ? (size_t)(lf - at) - done : n);
        if (cr || lf)
            return cr ? cr : lf;
    }
    return NULL;
}

/* Finds the line at the front of `in`. *out_end: the bytes of its line end, 0 when there is none.
 */
static size_t find_line(struct sse *s, struct span in, size_t *out_end)
{
    const char *end = in.len ? find_line_end(in.at, in.len) : NULL;
    *out_end = 0;
    if (!end)
        return in.len;
    size_t len = (size_t)(end - in.at);
    *out_end = 1;
    if (*end == '\r' && len + 1 == in.len)
        s->skip_lf = true;
    else if (*end == '\r' && end[1] == '\n')
        *out_end = 2;
    return len;
}

/* ---- fields ---- */

enum verdict { LINE_TAKEN, LINE_EVENT, LINE_COMMENT, LINE_LIMIT };

static bool hold_data(struct sse *s, const char *text)
{
    if (s->data_held)
        return true;
    s->data_held = true;
    buf_reset(&s->data);
    return buf_add(&s->data, (struct span){text + s->data_at, s->data_len}) == ERR_OK;
}

static bool hold_name(struct sse *s, const char *text)
{
    if (s->name_held)
        return true;
    s->name_held = true;
    buf_reset(&s->name);
    return buf_add(&s->name, (struct span){text + s->name_at, s->name_len}) == ERR_OK;
}

static enum verdict take_data(struct sse *s, const char *text, struct span value)
{
    if (!s->has_data) {
        s->has_data = true;
        s->data_held = false;
        s->data_at = (size_t)(value.at - text);
        s->data_len = value.len;
        return LINE_TAKEN;
    }
    if (!hold_data(s, text) || buf_add_char(&s->data, '\n') != ERR_OK ||
        buf_add(&s->data, value) != ERR_OK)
        return LINE_LIMIT;
    return LINE_TAKEN;
}

static void take_name(struct sse *s, const char *text, struct span value)
{
    s->has_name = true;
    s->name_held = false;
    s->name_at = (size_t)(value.at - text);
    s->name_len = value.len;
}

/* An id with a NUL is ignored; `retry` and unknown fields too: we never reconnect by ourselves. */
static enum verdict take_field(struct sse *s, const char *text, struct span line)
{
    const char *colon = memchr(line.at, ':', line.len);
    struct span name = {line.at, colon ? (size_t)(colon - line.at) : line.len};
    struct span value = span_drop(line, name.len + 1);
    if (!colon)
        value = (struct span){line.at + line.len, 0};
    else if (value.len && value.at[0] == ' ')
        value = span_drop(value, 1);
    if (name.len == 4 && memcmp(name.at, "data", 4) == 0)
        return take_data(s, text, value);
    if (name.len == 5 && memcmp(name.at, "event", 5) == 0)
        take_name(s, text, value);
    if (name.len == 2 && memcmp(name.at, "id", 2) == 0 && span_find(value, '\0') < 0) {
        buf_reset(&s->id);
        return buf_add(&s->id, value) == ERR_OK ? LINE_TAKEN : LINE_LIMIT;
    }
    return LINE_TAKEN;
}

static void forget_event(struct sse *s)
{
    s->has_data = s->data_held = s->has_name = s->name_held = false;
}

/* One line of len bytes without its end, at text + s->line_start. bytes: of the text, with the
 * line's end but for the LF of a CR LF, so that the limit does not depend on where the input was
 * cut. */
static enum verdict take_line(struct sse *s, const char *text, size_t len, size_t bytes)
{
    struct span line = {text + s->line_start, len};
    if (len > s->max_bytes || bytes > raw_max(s))
        return LINE_LIMIT;
    if (!s->past_bom && len >= 3 && memcmp(line.at, "\xef\xbb\xbf", 3) == 0)
        line = (struct span){line.at + 3, len - 3};
    s->past_bom = true;
    if (line.len == 0) {
        if (s->has_data)
            return LINE_EVENT;
        forget_event(s);
        return LINE_TAKEN;
    }
    if (line.at[0] == ':')
        return s->report_comments ? LINE_COMMENT : LINE_TAKEN;
    return take_field(s, text, line);
}

/* ---- events ---- */

static void give_event(struct sse *s, struct span text, struct sse_event *out)
{
    *out = (struct sse_event){.raw = text, .id = buf_span(&s->id)};
    out->data =
        s->data_held ? buf_span(&s->data) : (struct span){text.at + s->data_at, s->data_len};
    if (s->has_name)
        out->name =
            s->name_held ? buf_span(&s->name) : (struct span){text.at + s->name_at, s->name_len};
    s->given = s->ended = true;
}

/* A comment in the middle of an event takes the text so far with it; what was read of the event
 * stays in the bufs. */
static enum err give_comment(struct sse *s, struct span text, size_t line_len,
                             struct sse_event *out)
{
    struct span line = {text.at + s->line_start, line_len};
    ssize_t colon = span_find(line, ':'); /* not at 0 behind a BOM */
    struct span comment = span_drop(line, (size_t)colon + 1);
    if (comment.len && comment.at[0] == ' ')
        comment = span_drop(comment, 1);
    if ((s->has_data && !hold_data(s, text.at)) || (s->has_name && !hold_name(s, text.at)))
        return ERR_LIMIT;
    *out = (struct sse_event){.raw = text, .data = comment, .id = buf_span(&s->id)};
    out->comment_only = true;
    s->given = true;
    s->ended = false;
    return ERR_OK;
}

static enum err fail(struct sse *s)
{
    s->failed = true;
    return ERR_LIMIT;
}

/* Acts on the line at s->line_start of the text, which ends with that line. */
static enum err finish_line(struct sse *s, struct span text, size_t len, size_t end,
                            struct sse_event *out)
{
    enum verdict v = take_line(s, text.at, len, text.len - (end == 2));
    enum err e = ERR_AGAIN;
    if (v == LINE_LIMIT)
        return fail(s);
    if (v == LINE_EVENT)
        give_event(s, text, out);
    if (v == LINE_COMMENT && give_comment(s, text, len, out) != ERR_OK)
        return fail(s);
    if (v != LINE_TAKEN)
        e = ERR_OK;
    s->line_start = text.len;
    return e;
}

static enum err hold(struct sse *s, struct span more)
{
    size_t pending = s->raw.len + more.len - s->line_start;
    if (pending > s->max_bytes || buf_add(&s->raw, more) != ERR_OK)
        return fail(s);
    return ERR_AGAIN;
}

static enum err next_in_place(struct sse *s, struct span in, size_t *out_used,
                              struct sse_event *out)
{
    for (;;) {
        size_t end;
        size_t len = find_line(s, span_drop(in, s->line_start), &end);
        if (end == 0)
            break;
        size_t at = s->line_start + len + end;
        enum err e = finish_line(s, span_take(in, at), len, end, out);
        if (e != ERR_AGAIN) {
            *out_used = at;
            return e;
        }
    }
    *out_used = in.len;
    return hold(s, in);
}

static enum err next_gathered(struct sse *s, struct span in, size_t *out_used,
                              struct sse_event *out)
{
    size_t at = 0;
    while (at < in.len) {
        size_t end;
        size_t n = find_line(s, span_drop(in, at), &end);
        struct span more = span_take(span_drop(in, at), n + end);
        at += more.len;
        *out_used = at;
        if (end == 0)
            return hold(s, more);
        if (buf_add(&s->raw, more) != ERR_OK)
            return fail(s);
        size_t len = s->raw.len - s->line_start - end;
        enum err e = finish_line(s, buf_span(&s->raw), len, end, out);
        if (e != ERR_AGAIN)
            return e;
    }
    return ERR_AGAIN;
}

/* What the last call gave out is no longer needed. */
static void forget_given(struct sse *s)
{
    if (s->ended)
        forget_event(s);
    s->given = s->ended = false;
    s->line_start = 0;
    buf_reset(&s->raw);
}

enum err sse_next(struct sse *s, struct span in, size_t *out_used, struct sse_event *out_event)
{
    assert(in.len == 0 || in.at);
    *out_used = 0;
    if (s->failed)
        return ERR_LIMIT;
    if (s->given)
        forget_given(s);
    if (in.len == 0)
        return ERR_AGAIN;
    bool in_place = s->raw.len == 0;
    size_t skipped = 0;
    if (s->skip_lf && in.at[0] == '\n') {
        /* The rest of a CR LF: part of the text, but of no line. */
        if (!in_place && buf_add(&s->raw, span_take(in, 1)) != ERR_OK)
            return fail(s);
        s->line_start++;
        skipped = 1;
    }
    s->skip_lf = false;
    if (in_place)
        return next_in_place(s, in, out_used, out_event);
    enum err e = next_gathered(s, span_drop(in, skipped), out_used, out_event);
    *out_used += skipped;
    return e;
}

bool sse_pending(const struct sse *s)
{
    if (!s->ended && (s->has_data || s->has_name))
        return true;
    return !s->given && s->raw.len > s->line_start;
}

struct span sse_held(const struct sse *s)
{
    return s->given ? SPAN_EMPTY : buf_span(&s->raw);
}

/* ---- writing ---- */

static bool is_one_line(struct span s)
{
    return span_find(s, '\n') < 0 && span_find(s, '\r') < 0 && span_find(s, '\0') < 0;
}

static char *put(char *at, struct span s)
{
    if (s.len)
        memcpy(at, s.at, s.len);
    return at + s.len;
}

/* "data: LINE\n" for each line of data, LF, CR and CR LF being ends. */
static char *put_data(char *at, struct span data)
{
    for (;;) {
        const char *end = data.len ? find_line_end(data.at, data.len) : NULL;
        size_t n = end ? (size_t)(end - data.at) : data.len;
        at = put(at, SPAN("data: "));
        at = put(at, span_take(data, n));
        *at++ = '\n';
        if (!end)
            return at;
        data = span_drop(data, n);
        data = span_drop(data, span_starts(data, SPAN("\r\n")) ? 2 : 1);
    }
}

static size_t count_line_ends(struct span s)
{
    size_t n = 0;
    for (size_t at = 0; at < s.len; at++) {
        const char *end = find_line_end(s.at + at, s.len - at);
        if (!end)
            break;
        at = (size_t)(end - s.at);
        n++;
    }
    return n;
}

enum err sse_write(struct buf *to, const char *name, struct span data)
{
    struct span event = span_from(name);
    if (!is_one_line(event))
        return ERR_INVALID;
    size_t lines = 1 + count_line_ends(data);
    enum err e = buf_reserve(to, sizeof("event: \n") + event.len + 7 * lines + data.len + 1);
    if (e != ERR_OK)
        return e;
    char *start = to->at + to->len, *at = start;
    if (name) {
        at = put(at, SPAN("event: "));
        at = put(at, event);
        *at++ = '\n';
    }
    at = put_data(at, data);
    *at++ = '\n';
    buf_grew(to, (size_t)(at - start));
    return ERR_OK;
}

enum err sse_write_comment(struct buf *to, const char *text)
{
    struct span s = span_from(text);
    if (!is_one_line(s))
        return ERR_INVALID;
    enum err e = buf_reserve(to, s.len + 4);
    if (e != ERR_OK)
        return e;
    char *start = to->at + to->len;
    char *at = put(start, SPAN(": "));
    at = put(at, s);
    at = put(at, SPAN("\n\n"));
    buf_grew(to, (size_t)(at - start));
    return ERR_OK;
}
