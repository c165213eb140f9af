/* What the escapes of a string stand for. Nothing here fails: the reader has checked documents, and
 * pieces from elsewhere (a cut stream) may end in the middle of an escape, which then stays as it
 * is. */
#include "json/json_internal.h"

#include "base/span.h"
#include "base/utf8.h"

/* The four hex digits of \uXXXX at the front of s, or -1. */
static int32_t unit_at(struct span s)
{
    if (s.len < 6 || s.at[0] != '\\' || s.at[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (size_t i = 2; i < 6; i++) {
        char c = s.at[i], folded = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            unit = unit * 16 + (c - '0');
        else if (folded >= 'a' && folded <= 'f')
            unit = unit * 16 + (folded - 'a' + 10);
        else
            return -1;
    }
    return unit;
}

static size_t put_surrogate(int32_t unit, enum json_lone lone, char out[4])
{
    if (lone == JSON_LONE_REPLACE)
        return utf8_encode(0xFFFD, out);
    out[0] = (char)0xED;
    out[1] = (char)(0x80 | ((unit >> 6) & 0x3F));
    out[2] = (char)(0x80 | (unit & 0x3F));
    return 3;
}

static size_t take_unicode(struct span *raw, int32_t unit, enum json_lone lone, char out[4])
{
    *raw = span_drop(*raw, 6);
    if (unit < 0xD800 || unit > 0xDFFF)
        return utf8_encode((uint32_t)unit, out);
    int32_t second = unit < 0xDC00 ? unit_at(*raw) : -1;
    if (second < 0xDC00 || second > 0xDFFF)
        return put_surrogate(unit, lone, out);
    *raw = span_drop(*raw, 6);
    return utf8_encode(0x10000 + (((uint32_t)unit & 0x3FF) << 10 | ((uint32_t)second & 0x3FF)),
                       out);
}

size_t json_take_unit(struct span *raw, enum json_lone lone, char out[4])
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    assert(raw->len > 0);
    out[0] = raw->at[0];
    if (raw->at[0] == '\\' && raw->len > 1) {
        int32_t unit = unit_at(*raw);
        if (unit >= 0)
            return take_unicode(raw, unit, lone, out);
        const char *name = raw->at[1] ? strchr(names, raw->at[1]) : NULL;
        if (name) {
            out[0] = values[name - names];
            *raw = span_drop(*raw, 2);
            return 1;
        }
    }
    *raw = span_drop(*raw, 1);
    return 1;
}

size_t json_decode(struct span raw, enum json_lone lone, char *out)
{
    char *to = out;
    while (raw.len > 0) {
        ssize_t plain = span_find(raw, '\\');
        size_t run = plain < 0 ? raw.len : (size_t)plain;
        memcpy(to, raw.at, run);
        to += run;
        raw = span_drop(raw, run);
        if (raw.len == 0)
            break;
        char unit[4];
        size_t len = json_take_unit(&raw, lone, unit);
        memcpy(to, unit, len);
        to += len;
    }
    return (size_t)(to - out);
}

bool json_decodes_to(struct span raw, struct span text)
{
    while (raw.len > 0) {
        char unit[4];
        size_t len = json_take_unit(&raw, JSON_LONE_KEEP, unit);
        if (!span_starts(text, (struct span){unit, len}))
            return false;
        text = span_drop(text, len);
    }
    return text.len == 0;
}

struct span json_unescape(struct span raw, struct arena *a)
{
    if (span_find(raw, '\\') < 0)
        return raw;
    char *out = arena_alloc(a, raw.len + 1);
    size_t len = json_decode(raw, JSON_LONE_REPLACE, out);
    out[len] = 0;
    return (struct span){out, len};
}
