#pragma once
/* Sets a few values in somebody's settings file and takes them out again, in place: whatever is not
 * ours keeps its bytes (comments, order, unknown keys, line ends, a byte order mark, a trailing
 * comma). Nothing is written anew from a parsed tree.
 *
 * Pure: text in, text out, in the caller's arena. Knows no client and no file. */
#include "base/arena.h"
#include "base/span.h"

enum edit_format { EDIT_NO_FILE, EDIT_JSON, EDIT_JSONC, EDIT_TOML, EDIT_YAML };

#define EDIT_DEPTH_MAX 4
#define EDIT_WANTS_MAX 8

struct edit_want {
    const char *path[EDIT_DEPTH_MAX]; /* NULL behind the last name */
    const char *value;                /* a string; no quote, backslash or control character */
    size_t there; /* that many names at the front must be there already (JSON only) */
};

struct edit_problem {
    uint32_t line, column; /* from 1, column in bytes; 0 = the text as a whole */
    char what[192];        /* a clause for people; holds nothing of the text's values */
};

/* Sets every value. A value that is there is replaced; what is missing is made, in the style of
 * what surrounds it. In YAML all wants share path[0], a list, and together are one new item of it;
 * `preamble` is what an empty YAML file gets first.
 *
 * Returns ERR_OK; ERR_SYNTAX when the text cannot be read, ERR_EXISTS when something is in the way,
 * ERR_NOT_FOUND when what must be there is not; then *out_why says what and where, and *out is not
 * written. Text already so is returned as it is. Sources: RFC 8259; JSONC as VS Code reads it;
 * TOML 1.0.0; YAML 1.1 as libyaml reads it. */
MUST_USE enum err edit_set(enum edit_format format, struct span text, const struct edit_want *wants,
                           size_t count, const char *preamble, struct arena *a, struct span *out,
                           struct edit_problem *out_why);

/* Takes out of `now` what made `after` of `before`, for a text that others changed since.
 *
 * out_kept: number of values that were ours, and now are somebody's own: they stay.
 * Returns ERR_OK; ERR_SYNTAX when `now` cannot be read; ERR_NOT_FOUND when our lines are no longer
 * there as they were written. */
MUST_USE enum err edit_unset(enum edit_format format, struct span before, struct span after,
                             struct span now, struct arena *a, struct span *out, size_t *out_kept,
                             struct edit_problem *out_why);

/* Nothing but blanks, comments and, in JSON, an empty object. */
bool edit_is_empty(enum edit_format format, struct span text);
