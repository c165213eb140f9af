/* Each value first asks for its comma, then writes itself. Text to be escaped is cut at the
 * characters that need it; what is between goes out as it is, in runs as long as possible. */
#include "json/json_write.h"

#include "json/json_internal.h"

#include "base/span.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void json_out_pieces(struct json_out *w, struct pieces *to)
{
    *w = (struct json_out){.pieces = to};
}

void json_out_buf(struct json_out *w, struct buf *to)
{
    *w = (struct json_out){.buf = to};
}

static void put(struct json_out *w, struct span s)
{
    if (w->pieces)
        pieces_add(w->pieces, s);
    else if (!w->failed && buf_add(w->buf, s) != ERR_OK)
        w->failed = true;
}

/* For bytes of ours that do not live long enough to be borrowed; they are short anyway. */
static void put_short(struct json_out *w, struct span s)
{
    assert(s.len < PIECE_BORROW_MIN);
    put(w, s);
}

static void put_char(struct json_out *w, char c)
{
    if (w->pieces)
        pieces_add_char(w->pieces, c);
    else if (!w->failed && buf_add_char(w->buf, c) != ERR_OK)
        w->failed = true;
}

/* Before every value: the comma to its left, unless a name has just been written. */
static void begin_value(struct json_out *w)
{
    if (w->after_key)
        w->after_key = false;
    else if (w->need_comma[w->depth])
        put_char(w, ',');
    w->need_comma[w->depth] = true;
}

static void open_container(struct json_out *w, char bracket)
{
    begin_value(w);
    assert(w->depth + 1 < JSON_WRITE_DEPTH);
    w->need_comma[++w->depth] = false;
    put_char(w, bracket);
}

static void close_container(struct json_out *w, char bracket)
{
    assert(w->depth > 0);
    assert(!w->after_key);
    w->depth--;
    put_char(w, bracket);
}

void jw_object(struct json_out *w)
{
    open_container(w, '{');
}

void jw_object_end(struct json_out *w)
{
    close_container(w, '}');
}

void jw_array(struct json_out *w)
{
    open_container(w, '[');
}

void jw_array_end(struct json_out *w)
{
    close_container(w, ']');
}

void jw_key_raw(struct json_out *w, struct span raw)
{
    assert(w->depth > 0);
    assert(!w->after_key);
    jw_str_raw(w, raw);
    put_char(w, ':');
    w->after_key = true;
}

/* Our own names are short and plain: comma, quotes, name and colon go out as one. */
void jw_key(struct json_out *w, const char *name)
{
    char text[64];
    size_t len = strlen(name), at = 0;
    assert(w->depth > 0);
    assert(!w->after_key);
    if (len > sizeof text - 4) {
        jw_key_raw(w, (struct span){name, len});
        return;
    }
    if (w->need_comma[w->depth])
        text[at++] = ',';
    text[at++] = '"';
    memcpy(text + at, name, len);
    at += len;
    text[at++] = '"';
    text[at++] = ':';
    w->need_comma[w->depth] = true;
    w->after_key = true;
    put_short(w, (struct span){text, at});
}

void jw_raw(struct json_out *w, struct span value)
{
    begin_value(w);
    put(w, value);
}

void jw_str_begin(struct json_out *w)
{
    begin_value(w);
    put_char(w, '"');
}

void jw_str_end(struct json_out *w)
{
    put_char(w, '"');
}

void jw_part_raw(struct json_out *w, struct span raw)
{
    put(w, raw);
}

static void put_escape(struct json_out *w, unsigned char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    char text[8];
    int len = at ? snprintf(text, sizeof text, "\\%c", names[at - plain])
                 : snprintf(text, sizeof text, "\\u%04x", c);
    put_short(w, (struct span){text, (size_t)len});
}

/* Well-formed UTF-8. */
static void put_escaped(struct json_out *w, struct span text)
{
    const struct json_engine *engine = json_engine_now();
    while (text.len > 0) {
        size_t run = engine->special(text.at, text.len);
        if (run > 0)
            put(w, span_take(text, run));
        text = span_drop(text, run);
        if (text.len == 0)
            break;
        put_escape(w, (unsigned char)text.at[0]);
        text = span_drop(text, 1);
    }
}

/* One U+FFFD stands for each byte that is no part of a character. */
void jw_part(struct json_out *w, struct span text)
{
    const struct json_engine *engine = json_engine_now();
    while (text.len > 0) {
        size_t good = engine->utf8(text.at, text.len);
        put_escaped(w, span_take(text, good));
        text = span_drop(text, good);
        if (text.len == 0)
            break;
        put_short(w, SPAN("\xEF\xBF\xBD"));
        text = span_drop(text, 1);
    }
}

void jw_str(struct json_out *w, struct span text)
{
    jw_str_begin(w);
    jw_part(w, text);
    jw_str_end(w);
}

void jw_cstr(struct json_out *w, const char *text)
{
    jw_str(w, span_from(text));
}

void jw_str_raw(struct json_out *w, struct span raw)
{
    jw_str_begin(w);
    jw_part_raw(w, raw);
    jw_str_end(w);
}

void jw_i64(struct json_out *w, int64_t n)
{
    char text[SPAN_DIGITS];
    begin_value(w);
    if (n < 0)
        put_char(w, '-');
    put_short(w, span_digits(text, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, 10));
}

/* Says what == says, without the compiler's doubts about comparing such numbers. */
static bool is_same(double a, double b)
{
    return a <= b && a >= b;
}

/* The shortest text that reads back as the same number. JSON has no word for what is not finite. */
void jw_double(struct json_out *w, double n)
{
    char text[40];
    int len = 0;
    if (!isfinite(n)) {
        jw_null(w);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(text, sizeof text, "%.*g", digits, n);
        if (digits == 17 || is_same(strtod(text, NULL), n))
            break;
    }
    begin_value(w);
    put_short(w, (struct span){text, (size_t)len});
}

void jw_bool(struct json_out *w, bool b)
{
    jw_raw(w, b ? SPAN("true") : SPAN("false"));
}

void jw_null(struct json_out *w)
{
    jw_raw(w, SPAN("null"));
}
