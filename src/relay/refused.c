/* A set-associative table of hashes, as in affinity.c: a new mark pushes out the last of its set.
 */
#include "relay/refused.h"

#include "base/hmap.h"
#include "base/span.h"

#define WAYS 8
#define SETS (REFUSED_MAX / WAYS)

_Static_assert((SETS & (SETS - 1)) == 0, "a set is found by masking");

void refused_init(struct refused *r, const uint64_t seed[2])
{
    *r = (struct refused){.seed = {seed[0], seed[1]}};
    int failed = pthread_mutex_init(&r->lock, NULL);
    assert(failed == 0);
}

void refused_deinit(struct refused *r)
{
    (void)pthread_mutex_destroy(&r->lock); /* nobody holds it: the workers are gone */
}

bool refused_none(const struct refused *r)
{
    return !atomic_load_explicit(&r->any, memory_order_relaxed);
}

/* The target's name is the seed of the second hash: a mark is remembered for one target. */
static uint64_t hash_of(const struct refused *r, const char *target, struct span mark)
{
    uint64_t inner[2] = {siphash13(r->seed, span_from(target)), r->seed[1]};
    uint64_t hash = siphash13(inner, mark);
    return hash ? hash : 1;
}

static void lock(struct refused *r)
{
    int failed = pthread_mutex_lock(&r->lock);
    assert(failed == 0);
}

static void unlock(struct refused *r)
{
    int failed = pthread_mutex_unlock(&r->lock);
    assert(failed == 0);
}

/* Moves it to the front of its set. add: also when it was not there. */
static bool touch(struct refused *r, uint64_t hash, bool add)
{
    uint64_t *set = &r->marks[(size_t)(hash & (SETS - 1)) * WAYS];
    size_t at = 0;
    while (at < WAYS && set[at] != hash)
        at++;
    bool there = at < WAYS;
    if (!there && !add)
        return false;
    if (!there)
        at = WAYS - 1;
    memmove(&set[1], &set[0], at * sizeof *set);
    set[0] = hash;
    return there;
}

void refused_add(struct refused *r, const char *target, struct span mark)
{
    lock(r);
    (void)touch(r, hash_of(r, target, mark), true); /* new or not */
    unlock(r);
    atomic_store_explicit(&r->any, true, memory_order_relaxed);
}

bool refused_has(struct refused *r, const char *target, struct span mark)
{
    lock(r);
    bool there = touch(r, hash_of(r, target, mark), false);
    unlock(r);
    return there;
}
