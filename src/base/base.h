#pragma once
/* The words every module uses: spans, time, errors, and the attributes that make a contract
 * checkable.
 *
 * Knows no I/O and no module of ours. Everything else in the tree may include it. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1u << (n))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Microseconds. Monotonic unless a name says wall. */
typedef int64_t usec;
#define USEC_PER_MS ((usec)1000)
#define USEC_PER_SEC ((usec)1000000)
#define USEC_NEVER INT64_MAX

/* Bytes somebody else owns. A borrowed field says from whom. Never NUL-terminated by promise. */
struct span {
    const char *at;
    size_t len;
};
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
#define SPAN_INIT(literal)                                                                         \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    } /* in static tables */
#define SPAN_EMPTY ((struct span){NULL, 0})
#define SPAN_FMT(s) (int)(s).len, (s).at /* for "%.*s" */

/* One row per error: name, HTTP status we would answer with, what it says to a person. */
#define ERR_LIST(X)                                                                                \
    X(ERR_OK, 200, "ok")                                                                           \
    X(ERR_AGAIN, 500, "not ready yet")                                                             \
    X(ERR_EOF, 502, "the peer closed the connection")                                              \
    X(ERR_SYNTAX, 400, "malformed")                                                                \
    X(ERR_LIMIT, 413, "a limit was reached")                                                       \
    X(ERR_INVALID, 400, "not a valid value")                                                       \
    X(ERR_UNSUPPORTED, 400, "not supported")                                                       \
    X(ERR_NOT_FOUND, 404, "not found")                                                             \
    X(ERR_EXISTS, 409, "exists already")                                                           \
    X(ERR_PERMISSION, 403, "not permitted")                                                        \
    X(ERR_NAME, 502, "the host name could not be resolved")                                        \
    X(ERR_REFUSED, 502, "the connection was refused")                                              \
    X(ERR_UNREACHABLE, 502, "the host could not be reached")                                       \
    X(ERR_RESET, 502, "the connection was reset")                                                  \
    X(ERR_TIMEOUT, 504, "timed out")                                                               \
    X(ERR_TLS, 502, "the TLS session could not be trusted or set up")                              \
    X(ERR_IO, 500, "input/output failed")                                                          \
    X(ERR_CLOSED, 500, "closed already")                                                           \
    X(ERR_INTERNAL, 500, "internal fault")

#define ERR_ENUM(name, status, text) name,
enum err { ERR_LIST(ERR_ENUM) ERR_COUNT };
#undef ERR_ENUM

/* The enumerator's own name, for logs ("ERR_RESET"); its HTTP status; its sentence. Static storage.
 */
const char *err_name(enum err e);
int err_status(enum err e);
const char *err_text(enum err e);

#include "base/banned.h"
