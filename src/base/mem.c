/* See mem.h. The only caller of malloc in the tree. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static void *check(void *at, size_t size)
{
    if (at || size == 0)
        return at;
    (void)fprintf(stderr, "hotspare: out of memory asking for %zu bytes\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    return check(malloc(size), size);
}

void *mem_zalloc(size_t size)
{
    return check(calloc(1, size), size);
}

void *mem_realloc(void *old, size_t size)
{
    return check(realloc(old, size), size);
}

char *mem_strdup(const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(mem_alloc(len), text, len);
}

void mem_free(void *at)
{
    free(at);
}
