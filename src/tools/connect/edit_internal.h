#pragma once
/* Shared by the files edit*.c: splicing, positions, line ends. */
#include "tools/connect/edit.h"

/* `text` with `cut` bytes at `at` replaced by `insert`. */
struct span edit_splice(struct arena *a, struct span text, size_t at, size_t cut,
                        struct span insert);

/* Fills *why for the byte at `offset`; returns `e`. */
enum err edit_fail(struct edit_problem *why, enum err e, struct span text, size_t offset,
                   const char *format, ...) PRINTF_LIKE(5, 6);

const char *edit_eol(struct span text); /* "\r\n" when its first line ends so, else "\n" */
size_t edit_bom(struct span text);      /* bytes of a byte order mark at the front: 0 or 3 */
size_t edit_line_start(struct span text, size_t offset);
size_t edit_line_end(struct span text, size_t offset); /* behind its line end */

static inline size_t edit_depth(const struct edit_want *w)
{
    size_t n = 0;
    while (n < EDIT_DEPTH_MAX && w->path[n])
        n++;
    return n;
}

enum err edit_json_set(bool comments, struct span text, const struct edit_want *want,
                       struct arena *a, struct span *out, struct edit_problem *why);
enum err edit_json_unset(bool comments, struct span before, struct span after, struct span now,
                         struct arena *a, struct span *out, size_t *out_kept,
                         struct edit_problem *why);
enum err edit_toml_set(struct span text, const struct edit_want *want, struct arena *a,
                       struct span *out, struct edit_problem *why);
enum err edit_toml_check(struct span text, struct edit_problem *why);
enum err edit_yaml_add(struct span text, const struct edit_want *wants, size_t count,
                       const char *preamble, struct arena *a, struct span *out,
                       struct edit_problem *why);
enum err edit_yaml_check(struct span text, struct edit_problem *why);
