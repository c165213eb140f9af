#pragma once
/* Checks an answer made of numbered words, "w1 w2 ... wN", as it arrives in any cuts: which words
 * were lost, came twice or came out of order. Pure. */
#include "base/base.h"

#define WORDS_MAX 4096

struct words { /* embed it; the counts may be read after words_end */
    uint32_t expected;
    uint32_t lost, repeated, reordered, strange; /* strange: not one of w1 ... wN */
    uint32_t seen;                               /* different ones of w1 ... wN */
    uint32_t highest;
    size_t part_len; /* of the word still arriving */
    char part[16];
    uint64_t had[(WORDS_MAX + 63) / 64];
};

/* expected: N, at most WORDS_MAX. */
void words_begin(struct words *w, uint32_t expected);
void words_feed(struct words *w, struct span text);
void words_end(struct words *w); /* what has not come by now is lost */
bool words_perfect(const struct words *w);
