/* Reading borrowed bytes. Case folding is ASCII only, on purpose: protocol words are ASCII. */
#include "base/span.h"

#include <math.h>
#include <stdlib.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool equal_folded(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

static bool equal(const char *a, const char *b, size_t len)
{
    return len == 0 || memcmp(a, b, len) == 0;
}

bool span_ieq(struct span a, struct span b)
{
    return a.len == b.len && equal_folded(a.at, b.at, a.len);
}

bool span_starts(struct span s, struct span prefix)
{
    return s.len >= prefix.len && equal(s.at, prefix.at, prefix.len);
}

bool span_ends(struct span s, struct span suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || equal(s.at + s.len - suffix.len, suffix.at, suffix.len));
}

bool span_istarts(struct span s, struct span prefix)
{
    return s.len >= prefix.len && equal_folded(s.at, prefix.at, prefix.len);
}

bool span_istarts_any(struct span s, const struct span *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_istarts(s, prefixes[i]))
            return true;
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && is_blank(s.at[0]))
        s = span_drop(s, 1);
    while (s.len > 0 && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

struct span span_drop(struct span s, size_t n)
{
    if (n > s.len)
        n = s.len;
    return (struct span){s.at ? s.at + n : NULL, s.len - n};
}

struct span span_take(struct span s, size_t n)
{
    return (struct span){s.at, n < s.len ? n : s.len};
}

ssize_t span_find(struct span s, char c)
{
    const char *at = s.len ? memchr(s.at, c, s.len) : NULL;
    return at ? at - s.at : -1;
}

ssize_t span_search(struct span s, struct span needle)
{
    if (needle.len == 0)
        return 0;
    const char *at = s.len ? memmem(s.at, s.len, needle.at, needle.len) : NULL;
    return at ? at - s.at : -1;
}

ssize_t span_isearch(struct span s, struct span needle)
{
    for (size_t i = 0; i + needle.len <= s.len; i++)
        if (equal_folded(s.at + i, needle.at, needle.len))
            return (ssize_t)i;
    return -1;
}

bool span_next(struct span *rest, char sep, struct span *out_part)
{
    if (!rest->at)
        return false;
    ssize_t at = span_find(*rest, sep);
    if (at < 0) {
        *out_part = *rest;
        *rest = SPAN_EMPTY;
    } else {
        *out_part = span_take(*rest, (size_t)at);
        *rest = span_drop(*rest, (size_t)at + 1);
    }
    return true;
}

enum err span_u64(struct span s, uint64_t *out)
{
    if (s.len == 0)
        return ERR_SYNTAX;
    assert(s.at);
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.at[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return ERR_SYNTAX;
        value = value * 10 + digit;
    }
    *out = value;
    return ERR_OK;
}

enum err span_i64(struct span s, int64_t *out)
{
    bool negative = s.len > 0 && s.at[0] == '-';
    uint64_t value, most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (span_u64(negative ? span_drop(s, 1) : s, &value) != ERR_OK || value > most)
        return ERR_SYNTAX;
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return ERR_OK;
}

enum err span_double(struct span s, double *out)
{
    char text[400];
    char *end;
    if (s.len == 0 || s.len >= sizeof text)
        return ERR_SYNTAX;
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("0123456789+-.eE", s.at[i]) || s.at[i] == 0)
            return ERR_SYNTAX;
    memcpy(text, s.at, s.len);
    text[s.len] = 0;
    double value = strtod(text, &end);
    if (end != text + s.len || !isfinite(value))
        return ERR_SYNTAX;
    *out = value;
    return ERR_OK;
}

struct span span_digits(char text[SPAN_DIGITS], uint64_t n, unsigned base)
{
    assert(base > 7 && base <= 16); /* 22 octal digits are the most */
    size_t at = SPAN_DIGITS;
    do {
        text[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    return (struct span){text + at, SPAN_DIGITS - at};
}

bool span_eq_constant_time(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    volatile unsigned char differs = 0;
    for (size_t i = 0; i < a.len; i++)
        differs = (unsigned char)(differs | (a.at[i] ^ b.at[i]));
    return differs == 0;
}
