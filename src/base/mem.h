#pragma once
/* The one place where memory is asked for, and the one place where running out of it ends the
 * process. */
#include "base/base.h"

/* Never return NULL: exhausted memory prints one line and aborts. mem_new zeroes. Thread: any. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);
void mem_free(void *at); /* NULL is fine */

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))
