#include "support/feed.h"

#include "base/span.h"

#define FEED_EVENT_MAX (16u << 20)

uint64_t feed_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t piece_size(enum feed_cuts cuts, uint64_t *state, size_t left)
{
    size_t n = left;
    if (cuts == FEED_BYTES)
        n = 1;
    else if (cuts == FEED_RANDOM)
        n = 1 + (size_t)(feed_random(state) % 300);
    return n < left ? n : left;
}

bool feed_sse(struct span stream, enum feed_cuts cuts, uint64_t seed,
              bool (*event)(void *ctx, const struct sse_event *e), void *ctx)
{
    struct sse sse;
    bool good = true;
    sse_init(&sse, FEED_EVENT_MAX, true);
    for (size_t at = 0; at < stream.len && good;) {
        struct span in = {stream.at + at, piece_size(cuts, &seed, stream.len - at)};
        at += in.len;
        while (good) {
            struct sse_event e;
            size_t used = 0;
            enum err err = sse_next(&sse, in, &used, &e);
            in = span_drop(in, used);
            if (err == ERR_AGAIN)
                break;
            good = err == ERR_OK && event(ctx, &e);
        }
    }
    good = good && !sse_pending(&sse);
    sse_deinit(&sse);
    return good;
}
