#pragma once
/* The difference of two texts by lines: as hunks, and as a unified diff for people in which what
 * looks like a secret is masked. Pure. */
#include "base/buf.h"
#include "base/span.h"

struct diff_hunk { /* byte ranges, whole lines; either may be empty */
    size_t old_from, old_to, new_from, new_to;
};

/* The next hunk behind *h (zeroed for the first). Between two hunks the texts are the same. Not the
 * shortest difference where long stretches differ: it looks DIFF_LOOK lines ahead. */
#define DIFF_LOOK 64
bool diff_next(struct span old, struct span new, struct diff_hunk *h);

/* A unified diff with three lines of context (the format of diff -u). Values of names like key,
 * token, secret, password or authorization, words that look random and a password in a URL are
 * shown as
 * ***; `plain` are texts that are shown all the same, NULL behind the last. */
MUST_USE enum err diff_unified(struct span old, struct span new, const char *name,
                               const char *const *plain, struct buf *out);
