#pragma once
/* Reading borrowed bytes: comparing, trimming, splitting, numbers. Pure. */
#include "base/base.h"

/* Inline, so that the length of a literal is known when compiling: names are looked up by the dozen
 * in every request. NULL gives an empty span. */
static inline struct span span_from(const char *cstr)
{
    return cstr ? (struct span){cstr, strlen(cstr)} : SPAN_EMPTY;
}
static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}
static inline bool span_is(struct span a, const char *cstr)
{
    return span_eq(a, span_from(cstr));
}
bool span_ieq(struct span a, struct span b); /* ASCII case folded */
static inline bool span_iis(struct span a, const char *cstr)
{
    return span_ieq(a, span_from(cstr));
}
bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
bool span_istarts(struct span s, struct span prefix);
bool span_istarts_any(struct span s, const struct span *prefixes, size_t count);
struct span span_trim(struct span s); /* blanks: SP HT CR LF */
struct span span_drop(struct span s,
                      size_t n); /* without its first n bytes (all of them when shorter) */
struct span span_take(struct span s, size_t n);          /* its first n bytes */
ssize_t span_find(struct span s, char c);                /* index or -1 */
ssize_t span_search(struct span s, struct span needle);  /* index or -1 */
ssize_t span_isearch(struct span s, struct span needle); /* ASCII case folded */

/* Cuts the part before the first `sep` off the front of *rest; false when *rest is used up.
 * "a,,b" gives "a", "", "b". */
bool span_next(struct span *rest, char sep, struct span *out_part);

/* Whole-span decimal numbers; a sign, a blank, an empty span or an overflow is ERR_SYNTAX. */
MUST_USE enum err span_u64(struct span s, uint64_t *out);
MUST_USE enum err span_i64(struct span s, int64_t *out); /* one leading '-' allowed */
MUST_USE enum err span_double(struct span s, double *out);

/* The digits of n in a base from 8 to 16, right-aligned in `text`. */
#define SPAN_DIGITS 24
struct span span_digits(char text[SPAN_DIGITS], uint64_t n, unsigned base);

/* Equal length and content, in time that depends on the lengths only. */
bool span_eq_constant_time(struct span a, struct span b);
