#pragma once
/* Memory with one lifetime: an exchange's, a call's, a configuration's. Freed at once.
 *
 * The bound is soft: arena_alloc never fails (see mem.h), but past the bound arena_over() is true
 * and stays so. Work on a peer's input is bounded by the input's own limits; entry points that read
 * it ask arena_over() once, at their end, and answer ERR_LIMIT. */
#include "base/base.h"

struct arena_chunk;
struct arena { /* embed it; the fields belong to arena.c */
    struct arena_chunk *chunk;
    struct arena_cleanup *cleanups;
    size_t used, max;
    bool over;
};
struct arena_mark {
    struct arena_chunk *chunk;
    size_t chunk_used, used;
};

void arena_init(struct arena *a, size_t max);
void arena_deinit(struct arena *a); /* runs the cleanups, last registered first, then frees all */
void arena_reset(struct arena *a);  /* like deinit then init, but keeps one chunk for reuse */

/* Aligned for any type. arena_alloc is not zeroed, arena_zalloc is. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
struct span arena_copy(struct arena *a,
                       struct span s); /* the copy is NUL-terminated behind its end */
char *arena_cstr(struct arena *a, struct span s);
struct span arena_printf(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
bool arena_over(const struct arena *a);
size_t arena_used(const struct arena *a);

/* Scratch: everything allocated after the mark is given back. Cleanups must not be registered in
 * between. */
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark m);

/* Gives back what this thread keeps of freed arenas for its next ones. For threads that are not
 * ours and may end at any time. */
void arena_trim(void);

/* fn(object) runs at deinit/reset. */
void arena_on_free(struct arena *a, void (*fn)(void *object), void *object);

#define arena_new(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (n)))
