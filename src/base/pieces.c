/* Short slices gather in blocks of glue in the arena; the last piece grows while what is added
 * follows it in memory. */
#include "base/pieces.h"

#include <stdarg.h>
#include <stdio.h>

#define GLUE_BYTES ((size_t)1024)

void pieces_init(struct pieces *p, struct arena *a)
{
    *p = (struct pieces){.arena = a};
}

static void push(struct pieces *p, struct span s)
{
    assert(p->count <= p->cap);
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        struct span *list = arena_alloc(p->arena, cap * sizeof *list);
        if (p->list)
            memcpy(list, p->list, p->count * sizeof *list);
        p->list = list;
        p->cap = cap;
    }
    assert(p->list);
    p->list[p->count++] = s;
}

/* Room for len more bytes at p->glue. A block of glue outlives the borrowed pieces put in between.
 */
static void make_glue(struct pieces *p, size_t len)
{
    if (p->glue && p->glue_left >= len)
        return;
    size_t size = len > GLUE_BYTES ? len : GLUE_BYTES;
    p->glue = arena_alloc(p->arena, size);
    p->glue_left = size;
}

/* len bytes were written at p->glue: they lengthen the last piece where they follow it in memory,
 * and are a piece of their own otherwise. */
static void grew(struct pieces *p, size_t len)
{
    struct span *last = p->count > 0 ? &p->list[p->count - 1] : NULL;
    if (last && last->at + last->len == p->glue)
        last->len += len;
    else
        push(p, (struct span){p->glue, len});
    p->glue += len;
    p->glue_left -= len;
    p->bytes += len;
}

void pieces_copy(struct pieces *p, struct span s)
{
    if (s.len == 0)
        return;
    make_glue(p, s.len);
    memcpy(p->glue, s.at, s.len);
    grew(p, s.len);
}

void pieces_add(struct pieces *p, struct span s)
{
    if (s.len < PIECE_BORROW_MIN) {
        pieces_copy(p, s);
        return;
    }
    push(p, s);
    p->bytes += s.len;
}

void pieces_add_char(struct pieces *p, char c)
{
    make_glue(p, 1);
    *p->glue = c;
    grew(p, 1);
}

void pieces_printf(struct pieces *p, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    assert(format != NULL);
    int len = vsnprintf(NULL, 0, format, args);
    assert(len >= 0);
    make_glue(p, (size_t)len + 1); /* vsnprintf wants room for its NUL; it is not counted */
    (void)vsnprintf(p->glue, (size_t)len + 1, format, again);
    if (len > 0)
        grew(p, (size_t)len);
    va_end(again);
    va_end(args);
}

struct span pieces_flatten(const struct pieces *p, struct arena *a)
{
    char *at = arena_alloc(a, p->bytes + 1), *to = at;
    for (size_t i = 0; i < p->count; i++) {
        if (p->list[i].len > 0)
            memcpy(to, p->list[i].at, p->list[i].len);
        to += p->list[i].len;
    }
    *to = 0;
    return (struct span){at, p->bytes};
}
