#pragma once
/* Bytes we own, with a bound given at birth. Reaching it is ERR_LIMIT, an ordinary event. */
#include "base/base.h"
#include <stdarg.h>

struct buf { /* embed it; the fields may be read, only buf.c writes them */
    char *at;
    size_t len, cap, max;
};

/* Memory is taken on first use. max is in bytes. */
void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);
void buf_reset(struct buf *b); /* len = 0, memory kept */
struct span buf_span(const struct buf *b);

/* Append, or change nothing and return ERR_LIMIT. */
MUST_USE enum err buf_add(struct buf *b, struct span s);
MUST_USE enum err buf_add_cstr(struct buf *b, const char *cstr);
MUST_USE enum err buf_add_char(struct buf *b, char c);
MUST_USE enum err buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
MUST_USE enum err buf_vprintf(struct buf *b, const char *format, va_list args) PRINTF_LIKE(2, 0);

/* Room for at least n more bytes at b->at + b->len; buf_grew says how many of them were filled. */
MUST_USE enum err buf_reserve(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);

/* Drops what is behind the first `len` bytes. */
void buf_truncate(struct buf *b, size_t len);
/* Drops the first n bytes, moving the rest to the front. */
void buf_consume(struct buf *b, size_t n);
