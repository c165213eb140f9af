/* The delivered text may end with the beginning of several sequences, and of one in several ways
 * ("aa" of "aab": "aab" is open with two letters and with one). Each leaves a rest. The
 * continuation is held back as long as it is the beginning of a rest; it completes the sequence
 * whose rest it begins with, the shortest first, since that one is complete the earliest. Whatever
 * the pieces, the outcome is the same.
 *
 * A rest never begins inside a character: both texts are UTF-8, and a beginning that ends the
 * delivered text ends where a character does. */
#include "relay/stops.h"

#include "base/span.h"

#define HELD_MAX ((size_t)16 << 20) /* a piece is at most an event (8 MiB), the rest a sequence */

struct rest {
    struct span text;
    size_t whose; /* place in `sequences` */
};

struct stops {
    struct rest *rests;
    size_t count, hit;
    struct buf held;
    bool settled;
};

static void free_held(void *object)
{
    buf_deinit(&((struct stops *)object)->held);
}

/* One for each beginning of `sequence` that `delivered` ends with. out: NULL = only counted. */
static size_t find_rests(struct span sequence, size_t whose, struct span delivered,
                         struct rest *out)
{
    size_t count = 0;
    for (size_t begun = 1; begun < sequence.len && begun <= delivered.len; begun++) {
        if (!span_ends(delivered, span_take(sequence, begun)))
            continue;
        if (out)
            out[count] = (struct rest){span_drop(sequence, begun), whose};
        count++;
    }
    return count;
}

static size_t find_all(const struct span *sequences, size_t count, struct span delivered,
                       struct rest *out)
{
    size_t found = 0;
    for (size_t i = 0; i < count && i < STOPS_MAX; i++)
        if (sequences[i].len <= STOPS_BYTES_MAX)
            found += find_rests(sequences[i], i, delivered, out ? out + found : NULL);
    return found;
}

struct stops *stops_new(struct arena *a, const struct span *sequences, size_t count,
                        struct span delivered)
{
    size_t found = find_all(sequences, count, delivered, NULL);
    if (found == 0)
        return NULL;
    struct stops *s = arena_new(a, struct stops);
    s->rests = arena_array(a, struct rest, found);
    s->count = find_all(sequences, count, delivered, s->rests);
    for (size_t i = 0; i < s->count; i++)
        s->rests[i].text = arena_copy(a, s->rests[i].text);
    s->hit = STOPS_NONE;
    buf_init(&s->held, HELD_MAX);
    arena_on_free(a, free_held, s);
    return s;
}

/* The shortest rest that `text` begins with; NULL: none. */
static const struct rest *completed(const struct stops *s, struct span text)
{
    const struct rest *best = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (span_starts(text, s->rests[i].text) && (!best || s->rests[i].text.len < best->text.len))
            best = &s->rests[i];
    return best;
}

static bool may_complete(const struct stops *s, struct span text)
{
    for (size_t i = 0; i < s->count; i++)
        if (span_starts(s->rests[i].text, text))
            return true;
    return false;
}

static enum err settle(struct stops *s, struct buf *text)
{
    enum err e = s->hit == STOPS_NONE ? buf_add(text, buf_span(&s->held)) : ERR_OK;
    s->settled = true;
    buf_deinit(&s->held);
    return e;
}

enum err stops_feed(struct stops *s, struct buf *text)
{
    if (s->settled) {
        if (s->hit != STOPS_NONE)
            buf_reset(text);
        return ERR_OK;
    }
    enum err e = buf_add(&s->held, buf_span(text));
    if (e != ERR_OK)
        return e;
    buf_reset(text);
    const struct rest *done = completed(s, buf_span(&s->held));
    if (done)
        s->hit = done->whose;
    else if (may_complete(s, buf_span(&s->held)))
        return ERR_OK;
    return settle(s, text);
}

enum err stops_end(struct stops *s, struct buf *text)
{
    buf_reset(text);
    return s->settled ? ERR_OK : settle(s, text);
}

size_t stops_hit(const struct stops *s)
{
    return s->hit;
}

bool stops_settled(const struct stops *s)
{
    return s->settled;
}
