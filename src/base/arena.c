/* Chunks in a list, newest first; each allocation bumps the newest. A chunk is as large as half of
 * what is in use already, from a page to 256 KiB, so that little is unused while a stream is open;
 * what is larger gets a chunk of its own size.
 *
 *   chunk: [ previous | size | used | bytes ..................... ]
 *
 * Every request takes a few chunks of the least size and gives them back a moment later; malloc
 * splits and joins its free memory each time. So a thread keeps some of them for itself. */
#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

#define CHUNK_MIN ((size_t)4096 - sizeof(struct arena_chunk))
#define CHUNK_MAX ((size_t)256 << 10)
#define ALIGN ((size_t)16)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SPARES_MAX 0 /* kept memory would hide uses after its end */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SPARES_MAX 0
#endif
#endif
#ifndef SPARES_MAX
#define SPARES_MAX 64
#endif

struct arena_chunk {
    struct arena_chunk *previous;
    size_t size, used;
    _Alignas(16) char bytes[];
};

struct arena_cleanup {
    struct arena_cleanup *previous;
    void (*fn)(void *object);
    void *object;
};

/* Chunks of CHUNK_MIN that this thread keeps. They go with the process: threads that use arenas
 * live as long, or call arena_trim. */
static _Thread_local struct {
    struct arena_chunk *first;
    size_t count;
} spares;

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *c = spares.first;
    if (size != CHUNK_MIN || !c) {
        c = mem_alloc(sizeof *c + size);
    } else {
        spares.first = c->previous;
        spares.count--;
    }
    return c;
}

static void chunk_free(struct arena_chunk *c)
{
    if (c->size != CHUNK_MIN || spares.count >= SPARES_MAX) {
        mem_free(c);
        return;
    }
    c->previous = spares.first;
    spares.first = c;
    spares.count++;
}

void arena_trim(void)
{
    while (spares.first) {
        struct arena_chunk *c = spares.first;
        spares.first = c->previous;
        mem_free(c);
    }
    spares.count = 0;
}

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void run_cleanups(struct arena *a)
{
    while (a->cleanups) {
        struct arena_cleanup *c = a->cleanups;
        a->cleanups = c->previous;
        c->fn(c->object);
    }
}

static void free_until(struct arena *a, const struct arena_chunk *keep)
{
    while (a->chunk != keep) {
        struct arena_chunk *previous = a->chunk->previous;
        chunk_free(a->chunk);
        a->chunk = previous;
    }
}

void arena_deinit(struct arena *a)
{
    run_cleanups(a);
    free_until(a, NULL);
    *a = (struct arena){.max = a->max};
}

void arena_reset(struct arena *a)
{
    run_cleanups(a);
    struct arena_chunk *kept = a->chunk;
    if (kept && kept->size <= CHUNK_MAX) {
        a->chunk = kept->previous;
        free_until(a, NULL);
        kept->previous = NULL;
        kept->used = 0;
        a->chunk = kept;
    } else {
        free_until(a, NULL);
    }
    a->used = 0;
    a->over = false;
}

static void add_chunk(struct arena *a, size_t least)
{
    size_t size = a->used / 2 > CHUNK_MIN ? a->used / 2 : CHUNK_MIN;
    if (size > CHUNK_MAX)
        size = CHUNK_MAX;
    if (size < least)
        size = least;
    struct arena_chunk *c = chunk_new(size);
    *c = (struct arena_chunk){.previous = a->chunk, .size = size};
    a->chunk = c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    assert(size < SIZE_MAX / 2);
    size = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (!a->chunk || a->chunk->size - a->chunk->used < size)
        add_chunk(a, size);
    void *at = a->chunk->bytes + a->chunk->used;
    a->chunk->used += size;
    a->used += size;
    if (a->used > a->max)
        a->over = true;
    return at;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

struct span arena_copy(struct arena *a, struct span s)
{
    char *at = arena_alloc(a, s.len + 1);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    at[s.len] = 0;
    return (struct span){at, s.len};
}

char *arena_cstr(struct arena *a, struct span s)
{
    return (char *)(uintptr_t)arena_copy(a, s).at;
}

struct span arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    assert(format != NULL);
    char text[256]; /* most texts fit, and need no second pass */
    int len = vsnprintf(text, sizeof text, format, args);
    assert(len >= 0);
    char *at = arena_alloc(a, (size_t)len + 1);
    if ((size_t)len < sizeof text)
        memcpy(at, text, (size_t)len + 1);
    else
        (void)vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return (struct span){at, (size_t)len};
}

bool arena_over(const struct arena *a)
{
    return a->over;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->chunk, a->chunk ? a->chunk->used : 0, a->used};
}

void arena_rewind(struct arena *a, struct arena_mark m)
{
    free_until(a, m.chunk);
    if (a->chunk)
        a->chunk->used = m.chunk_used;
    a->used = m.used;
}

void arena_on_free(struct arena *a, void (*fn)(void *object), void *object)
{
    struct arena_cleanup *c = arena_new(a, struct arena_cleanup);
    *c = (struct arena_cleanup){a->cleanups, fn, object};
    a->cleanups = c;
}
