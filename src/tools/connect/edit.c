/* What the formats have in common. Each set is one small splice on the text, read again before the
 * next: a file of settings is small, and offsets never go stale. Taking out works on structure
 * where clients rewrite their file (JSON), and on lines where they do not (TOML, YAML). */
#include "tools/diff.h"
#include "tools/connect/edit_internal.h"
#include <stdarg.h>

struct span edit_splice(struct arena *a, struct span text, size_t at, size_t cut,
                        struct span insert)
{
    assert(at <= text.len && cut <= text.len - at);
    size_t len = text.len - cut + insert.len;
    char *to = arena_alloc(a, len + 1);
    memcpy(to, text.at, at);
    if (insert.len)
        memcpy(to + at, insert.at, insert.len);
    memcpy(to + at + insert.len, text.at + at + cut, text.len - at - cut);
    to[len] = '\0';
    return (struct span){to, len};
}

enum err edit_fail(struct edit_problem *why, enum err e, struct span text, size_t offset,
                   const char *format, ...)
{
    va_list args;
    size_t end = offset < text.len ? offset : text.len, from = edit_line_start(text, end);
    why->line = 1;
    for (size_t i = 0; i < end; i++)
        why->line += text.at[i] == '\n';
    why->column = (uint32_t)(end - from + 1 - (why->line == 1 ? edit_bom(text) : 0));
    va_start(args, format);
    (void)vsnprintf(why->what, sizeof why->what, format, args);
    va_end(args);
    return e;
}

const char *edit_eol(struct span text)
{
    ssize_t n = span_find(text, '\n');
    return n > 0 && text.at[n - 1] == '\r' ? "\r\n" : "\n";
}

size_t edit_bom(struct span text)
{
    return span_starts(text, SPAN("\xef\xbb\xbf")) ? 3 : 0;
}

size_t edit_line_start(struct span text, size_t offset)
{
    while (offset > 0 && text.at[offset - 1] != '\n')
        offset--;
    return offset;
}

size_t edit_line_end(struct span text, size_t offset)
{
    while (offset < text.len && text.at[offset] != '\n')
        offset++;
    return offset < text.len ? offset + 1 : offset;
}

static enum err set_one(enum edit_format format, struct span text, const struct edit_want *want,
                        struct arena *a, struct span *out, struct edit_problem *why)
{
    return format == EDIT_TOML ? edit_toml_set(text, want, a, out, why)
                               : edit_json_set(format == EDIT_JSONC, text, want, a, out, why);
}

enum err edit_set(enum edit_format format, struct span text, const struct edit_want *wants,
                  size_t count, const char *preamble, struct arena *a, struct span *out,
                  struct edit_problem *out_why)
{
    enum err e = ERR_OK;
    *out_why = (struct edit_problem){0};
    if (format == EDIT_YAML)
        return edit_yaml_add(text, wants, count, preamble, a, out, out_why);
    struct span trial;
    for (size_t i = 0; i < count && e == ERR_OK; i++) /* a problem's place is in the text given */
        e = set_one(format, text, &wants[i], a, &trial, out_why);
    for (size_t i = 0; i < count && e == ERR_OK; i++)
        e = set_one(format, text, &wants[i], a, &text, out_why);
    if (e == ERR_OK)
        *out = text;
    return e;
}

/* Where `lines` stand in the text as whole lines; -1 when nowhere, -2 when more than once. */
static ssize_t find_lines(struct span text, struct span lines)
{
    ssize_t found = -1;
    for (size_t at = 0; lines.len && at + lines.len <= text.len; at = edit_line_end(text, at)) {
        if (memcmp(text.at + at, lines.at, lines.len) == 0 &&
            (lines.at[lines.len - 1] == '\n' || at + lines.len == text.len)) {
            if (found >= 0)
                return -2;
            found = (ssize_t)at;
        }
        if (edit_line_end(text, at) == at)
            break;
    }
    return found;
}

/* Puts the old lines back wherever our lines stand, once each. */
static enum err unset_lines(struct span before, struct span after, struct span now, struct arena *a,
                            struct span *out)
{
    struct diff_hunk h = {0};
    while (diff_next(before, after, &h)) {
        struct span ours = {after.at + h.new_from, h.new_to - h.new_from},
                    old = {before.at + h.old_from, h.old_to - h.old_from};
        ssize_t at = find_lines(now, ours);
        if (at < 0)
            return ERR_NOT_FOUND;
        now = edit_splice(a, now, (size_t)at, ours.len, old);
    }
    *out = now;
    return ERR_OK;
}

enum err edit_unset(enum edit_format format, struct span before, struct span after, struct span now,
                    struct arena *a, struct span *out, size_t *out_kept,
                    struct edit_problem *out_why)
{
    struct span rest = now;
    *out_why = (struct edit_problem){0};
    *out_kept = 0;
    if (format == EDIT_JSON || format == EDIT_JSONC)
        return edit_json_unset(format == EDIT_JSONC, before, after, now, a, out, out_kept, out_why);
    enum err e = unset_lines(before, after, now, a, &rest);
    if (e == ERR_OK)
        e = format == EDIT_TOML ? edit_toml_check(rest, out_why) : edit_yaml_check(rest, out_why);
    if (e == ERR_OK)
        *out = rest;
    return e;
}

bool edit_is_empty(enum edit_format format, struct span text)
{
    text = span_trim(span_drop(text, edit_bom(text)));
    bool json = format == EDIT_JSON || format == EDIT_JSONC;
    if (json && text.len >= 2 && text.at[0] == '{' && text.at[text.len - 1] == '}')
        text = span_trim((struct span){text.at + 1, text.len - 2});
    return text.len == 0;
}
