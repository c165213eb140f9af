/* See demo_words.h. A word is put together in `part` until a blank ends it; what is longer than any
 * numbered word is strange. A word is out of order when a higher one came before it and it itself
 * had not come yet. */
#include "tools/demo_words.h"
#include "base/span.h"

void words_begin(struct words *w, uint32_t expected)
{
    assert(expected <= WORDS_MAX);
    *w = (struct words){.expected = expected};
}

static void take_word(struct words *w)
{
    struct span word = {w->part, w->part_len};
    uint64_t n = 0;
    w->part_len = 0;
    if (word.len < 2 || word.at[0] != 'w' || span_u64(span_drop(word, 1), &n) != ERR_OK || n < 1 ||
        n > w->expected) {
        w->strange++;
        return;
    }
    uint32_t slot = (uint32_t)n - 1;
    uint64_t bit = (uint64_t)1 << (slot % 64);
    if (w->had[slot / 64] & bit) {
        w->repeated++;
        return;
    }
    w->had[slot / 64] |= bit;
    w->seen++;
    if (n < w->highest)
        w->reordered++;
    else
        w->highest = (uint32_t)n;
}

void words_feed(struct words *w, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool blank = text.at[i] == ' ' || text.at[i] == '\n';
        if (!blank && w->part_len < sizeof w->part)
            w->part[w->part_len++] = text.at[i];
        else if (blank && w->part_len > 0)
            take_word(w);
    }
}

void words_end(struct words *w)
{
    if (w->part_len > 0)
        take_word(w);
    w->lost = w->expected - w->seen;
}

bool words_perfect(const struct words *w)
{
    return w->lost == 0 && w->repeated == 0 && w->reordered == 0 && w->strange == 0;
}
