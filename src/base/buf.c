/* Growing bytes: doubling from 256, never past max. */
#include "base/buf.h"

#include "base/mem.h"
#include "base/span.h"

#include <stdio.h>

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_deinit(struct buf *b)
{
    mem_free(b->at);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
}

struct span buf_span(const struct buf *b)
{
    return (struct span){b->at, b->len};
}

enum err buf_reserve(struct buf *b, size_t n)
{
    assert(b->len <= b->cap);
    if (n <= b->cap - b->len)
        return ERR_OK;
    if (n > b->max - b->len)
        return ERR_LIMIT;
    size_t cap = b->cap ? b->cap : 256;
    while (cap - b->len < n)
        cap *= 2;
    if (cap > b->max)
        cap = b->max;
    b->at = mem_realloc(b->at, cap);
    b->cap = cap;
    return ERR_OK;
}

void buf_grew(struct buf *b, size_t n)
{
    assert(n <= b->cap - b->len);
    b->len += n;
}

enum err buf_add(struct buf *b, struct span s)
{
    if (s.len == 0)
        return ERR_OK;
    enum err e = buf_reserve(b, s.len);
    if (e != ERR_OK)
        return e;
    memcpy(b->at + b->len, s.at, s.len);
    b->len += s.len;
    return ERR_OK;
}

enum err buf_add_cstr(struct buf *b, const char *cstr)
{
    return buf_add(b, span_from(cstr));
}

enum err buf_add_char(struct buf *b, char c)
{
    enum err e = buf_reserve(b, 1);
    if (e == ERR_OK)
        b->at[b->len++] = c;
    return e;
}

enum err buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    assert(format != NULL);
    size_t room = b->cap - b->len; /* most texts fit, and need no second pass */
    char none[1];
    int len = room ? vsnprintf(b->at + b->len, room, format, args)
                   : vsnprintf(none, sizeof none, format, args);
    assert(len >= 0);
    enum err e = ERR_OK;
    if ((size_t)len >= room) {
        e = buf_reserve(b, (size_t)len + 1); /* vsnprintf wants room for its NUL */
        if (e == ERR_OK)
            (void)vsnprintf(b->at + b->len, (size_t)len + 1, format, again);
    }
    if (e == ERR_OK)
        b->len += (size_t)len;
    va_end(again);
    return e;
}

enum err buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(b, format, args);
    va_end(args);
    return e;
}

void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    b->len -= n;
    if (b->len > 0)
        memmove(b->at, b->at + n, b->len);
}
