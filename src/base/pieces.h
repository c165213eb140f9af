#pragma once
/* A body as a list of slices: our glue and pieces of somebody else's bytes, sent with one gathering
 * write.
 *
 * Short slices are copied into the arena so that the list stays short; long ones (PIECE_BORROW_MIN
 * and up) are borrowed and must outlive the list. So a 30 MiB image travels from the client's
 * request to any number of attempts without being copied. */
#include "base/arena.h"

#define PIECE_BORROW_MIN 512

struct pieces { /* embed it; `list[0..count)` and `bytes` may be read */
    struct arena *arena;
    struct span *list;
    size_t count, cap;
    size_t bytes; /* sum of all lengths */
    char *glue;   /* where the next short slice goes; glue_left bytes are free there */
    size_t glue_left;
};

void pieces_init(struct pieces *p, struct arena *a);
void pieces_add(struct pieces *p, struct span s);  /* copies when short, borrows when long */
void pieces_copy(struct pieces *p, struct span s); /* always copies */
void pieces_add_char(struct pieces *p, char c);
void pieces_printf(struct pieces *p, const char *format, ...) PRINTF_LIKE(2, 3);

/* All of it in one run, NUL-terminated behind its end (for tests, logs and small bodies). */
struct span pieces_flatten(const struct pieces *p, struct arena *a);
