#pragma once
/* Shared by h1.c (framing) and h1_head.c (lines). */
#include "base/span.h"
#include "http/h1.h"

enum h1_state {
    H1_LINE_FIRST, /* request line or status line */
    H1_LINE_FIELD,
    H1_LINE_TRAILER,
    H1_BODY_LENGTH,
    H1_BODY_CLOSE,
    H1_BODY_TOO_LARGE, /* announced too large: the next step fails */
    H1_CHUNK_SIZE,
    H1_CHUNK_EXTENSION,
    H1_CHUNK_SIZE_LF,
    H1_CHUNK_DATA,
    H1_CHUNK_DATA_CR,
    H1_CHUNK_DATA_LF,
    H1_DONE, /* H1_END is to be told */
    H1_FAILED,
};

/* The only function that changes p->state while a connection lives. */
void h1_enter(struct h1 *p, enum h1_state next);
/* Fills the error, enters H1_FAILED, returns e. */
enum err h1_fail(struct h1 *p, enum err e, int status, const char *text);

/* Lets go of the head that was read: its spans point nowhere from now on. */
void h1_forget_head(struct h1 *p);
/* Could a message begin with this byte? */
bool h1_may_start(const struct h1 *p, char c);
/* The limits of one line. len: without its line end; bytes: with all of it that is there. */
MUST_USE enum err h1_check_line(struct h1 *p, size_t len, size_t bytes);
/* One complete line of n bytes, its LF included; p->state says of which kind. */
MUST_USE enum err h1_take_line(struct h1 *p, const char *at, size_t n);
