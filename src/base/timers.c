/* A binary heap, smallest deadline first; `order` breaks ties so that equal deadlines fire in the
 * order of arming. Each timer knows its slot, so moving and cancelling need no search.
 *
 *   heap[0] is slot 1; the children of slot s are 2s and 2s + 1 */
#include "base/timers.h"

#include "base/mem.h"

void timers_init(struct timers *ts)
{
    *ts = (struct timers){0};
}

void timers_deinit(struct timers *ts)
{
    for (size_t i = 0; i < ts->count; i++)
        ts->heap[i]->slot = 0;
    mem_free(ts->heap);
    *ts = (struct timers){0};
}

static bool earlier(const struct timer *a, const struct timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct timers *ts, struct timer *t, size_t slot)
{
    ts->heap[slot - 1] = t;
    t->slot = slot;
}

/* Moves t from a free slot to where it belongs, up or down. */
static void settle(struct timers *ts, struct timer *t, size_t slot)
{
    while (slot > 1 && earlier(t, ts->heap[slot / 2 - 1])) {
        put(ts, ts->heap[slot / 2 - 1], slot);
        slot /= 2;
    }
    for (;;) {
        size_t child = slot * 2;
        if (child > ts->count)
            break;
        if (child < ts->count && earlier(ts->heap[child], ts->heap[child - 1]))
            child++;
        if (earlier(t, ts->heap[child - 1]))
            break;
        put(ts, ts->heap[child - 1], slot);
        slot = child;
    }
    put(ts, t, slot);
}

void timers_set(struct timers *ts, struct timer *t, usec at, void (*fire)(struct timer *t))
{
    assert(fire);
    timers_cancel(ts, t);
    if (ts->count == ts->cap) {
        ts->cap = ts->cap ? ts->cap * 2 : 32;
        ts->heap = mem_realloc(ts->heap, ts->cap * sizeof(struct timer *));
    }
    t->at = at;
    t->order = ts->next_order++;
    t->fire = fire;
    ts->count++;
    put(ts, t, ts->count);
    settle(ts, t, ts->count);
}

void timers_cancel(struct timers *ts, struct timer *t)
{
    if (t->slot == 0)
        return;
    assert(t->slot <= ts->count);
    assert(ts->heap[t->slot - 1] == t);
    size_t slot = t->slot;
    struct timer *last = ts->heap[--ts->count];
    t->slot = 0;
    if (last != t)
        settle(ts, last, slot);
}

bool timer_armed(const struct timer *t)
{
    return t->slot != 0;
}

usec timers_next(const struct timers *ts)
{
    return ts->count > 0 ? ts->heap[0]->at : USEC_NEVER;
}

void timers_run(struct timers *ts, usec now)
{
    while (ts->count > 0 && ts->heap[0]->at <= now) {
        struct timer *t = ts->heap[0];
        timers_cancel(ts, t);
        t->fire(t);
    }
}
