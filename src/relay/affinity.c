/* The choice of a conversation's target, and the table of those that are elsewhere.
 *
 * A new conversation goes to the first link that is healthy and whose ramp lets it in. So does one
 * that nothing is known about, and nothing needs to be known about one that is where a new one
 * would be put: as long as the breakers stand as they do it is put there again, and when a better
 * link's ramp lets it in, that is its time to move. The table holds the others alone:
 *
 *   - those a failure moved. They stay for `hold`, also when the better link's breaker never opens;
 *     else a target that fails now and then would have them change sides at every turn, and pay
 *     for a cold prompt cache each time;
 *   - those a returning link served before its ramp let them in: the trial that closed its breaker,
 *     and requests that had nowhere else to go. They have made their move, and the next link that
 *     becomes healthy must not have them make another.
 *
 * A stay ends when its link's breaker opens, however soon it closes again: then the ramp decides
 * for everybody, or all conversations that happened to be silent during an outage would be back in
 * its first second.
 *
 * While nobody is elsewhere a request costs a look at the breakers and no lock of ours. The table
 * is set-associative:
 *
 *     id (low bits) --> set --> [ id | until | opened | link ] x 8, the last used first
 *
 * A new entry pushes out the last of its set. The memory is asked for at once and touched only
 * where conversations are. */
#include "relay/affinity.h"

#include "base/mem.h"

#include <stdatomic.h>

#define WAYS 8
#define SETS (AFFINITY_CONVERSATIONS / WAYS)

_Static_assert((SETS & (SETS - 1)) == 0, "a set is found by masking");

/* ---- the decision ---- */

static bool lets_in(const struct affinity_link *link, uint64_t id)
{
    return link->closed && ((id >> 32) * 100) >> 32 < link->percent;
}

static size_t first_closed(const struct affinity_link *links, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (links[i].closed)
            return i;
    return 0; /* no opinion: the chain forces somebody */
}

/* The first link that lets it in; count when none does. */
static size_t home_of(const struct affinity_link *links, size_t count, uint64_t id)
{
    size_t i = 0;
    while (i < count && !lets_in(&links[i], id))
        i++;
    return i;
}

static bool goes_on(const struct affinity_link *links, size_t count,
                    const struct affinity_stay *stay)
{
    return stay->known && stay->link < count && links[stay->link].closed &&
           links[stay->link].opened == stay->opened;
}

static size_t trial_before(const struct affinity_link *links, size_t first)
{
    for (size_t i = 0; i < first; i++)
        if (links[i].trial)
            return i;
    return AFFINITY_NOBODY;
}

struct ordering {
    struct affinity_choice *choice;
    size_t count;
    uint32_t taken;
};

static void append(struct ordering *o, size_t link)
{
    if (o->taken & BIT(link))
        return;
    o->taken |= BIT(link);
    o->choice->order[o->count++] = (uint8_t)link;
}

struct affinity_choice affinity_prefer(const struct affinity_link *links, size_t count,
                                       const struct affinity_stay *stay, uint64_t id, usec now)
{
    assert(count > 0 && count <= CHAIN_MAX);
    bool on = goes_on(links, count, stay);
    size_t first = home_of(links, count, id);
    if (on && (first > stay->link || now < stay->until))
        first = stay->link;
    if (first == count)
        first = first_closed(links, count);
    size_t trial = trial_before(links, first);
    struct affinity_choice c = {.first = (uint8_t)first, .trial = (uint8_t)trial};
    struct ordering o = {.choice = &c};
    if (trial != AFFINITY_NOBODY)
        append(&o, trial);
    append(&o, first);
    if (on)
        append(&o, stay->link);
    for (size_t i = 0; i < count; i++)
        if (lets_in(&links[i], id))
            append(&o, i);
    for (size_t i = 0; i < count; i++)
        append(&o, i);
    assert(o.count == count);
    return c;
}

/* ---- the memory ---- */

struct entry {
    uint64_t id; /* 0 = free */
    usec until;
    uint32_t opened;
    uint8_t link;
};

struct affinity {
    atomic_int refs;
    uint64_t seed[2];
    size_t links;
    atomic_size_t count;  /* entries in use */
    pthread_mutex_t lock; /* of what follows */
    struct affinity_config config;
    struct entry *entries; /* SETS x WAYS */
};

struct affinity *affinity_new(const struct affinity_config *c, const uint64_t seed[2], size_t count)
{
    assert(count > 0 && count <= CHAIN_MAX);
    struct affinity *a = mem_new(struct affinity);
    atomic_init(&a->refs, 1);
    a->seed[0] = seed[0];
    a->seed[1] = seed[1];
    a->links = count;
    a->config = *c;
    a->entries = mem_zalloc((size_t)AFFINITY_CONVERSATIONS * sizeof *a->entries);
    int failed = pthread_mutex_init(&a->lock, NULL);
    assert(failed == 0);
    return a;
}

struct affinity *affinity_ref(struct affinity *a)
{
    atomic_fetch_add(&a->refs, 1);
    return a;
}

void affinity_unref(struct affinity *a)
{
    if (!a || atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    (void)pthread_mutex_destroy(&a->lock); /* nobody holds it: the last reference is gone */
    mem_free(a->entries);
    mem_free(a);
}

static void lock(struct affinity *a)
{
    int failed = pthread_mutex_lock(&a->lock);
    assert(failed == 0);
}

static void unlock(struct affinity *a)
{
    int failed = pthread_mutex_unlock(&a->lock);
    assert(failed == 0);
}

void affinity_set(struct affinity *a, const struct affinity_config *c)
{
    lock(a);
    a->config = *c;
    unlock(a);
}

const uint64_t *affinity_seed(const struct affinity *a)
{
    return a->seed;
}

size_t affinity_count(struct affinity *a)
{
    return atomic_load_explicit(&a->count, memory_order_relaxed);
}

static uint64_t key_of(uint64_t id)
{
    return id ? id : 1;
}

static struct entry *set_of(struct affinity *a, uint64_t id)
{
    return &a->entries[(size_t)(id & (SETS - 1)) * WAYS];
}

/* Its place in the set; WAYS when it is not there. */
static size_t place_of(const struct entry *set, uint64_t id)
{
    size_t i = 0;
    while (i < WAYS && set[i].id != id)
        i++;
    return i;
}

static struct affinity_stay recall(struct affinity *a, uint64_t id)
{
    const struct entry *set = set_of(a, id);
    size_t at = place_of(set, id);
    if (at == WAYS || !a->config.sticky)
        return (struct affinity_stay){.known = false};
    return (struct affinity_stay){true, set[at].link, set[at].opened, set[at].until};
}

static void forget(struct affinity *a, uint64_t id)
{
    struct entry *set = set_of(a, id);
    size_t at = place_of(set, id);
    if (at == WAYS)
        return;
    memmove(&set[at], &set[at + 1], (WAYS - 1 - at) * sizeof *set);
    set[WAYS - 1] = (struct entry){.id = 0};
    atomic_fetch_sub_explicit(&a->count, 1, memory_order_relaxed);
}

static void remember(struct affinity *a, const struct entry *e)
{
    struct entry *set = set_of(a, e->id);
    size_t at = place_of(set, e->id);
    if (at == WAYS) {
        at = WAYS - 1;
        if (set[at].id == 0)
            atomic_fetch_add_explicit(&a->count, 1, memory_order_relaxed);
    }
    memmove(&set[1], &set[0], at * sizeof *set);
    set[0] = *e;
}

/* ---- both together ---- */

static void look(struct breaker *const *breakers, size_t count, usec now,
                 struct affinity_link out[CHAIN_MAX])
{
    for (size_t i = 0; i < count; i++) {
        struct breaker_view v = breaker_view(breakers[i], now);
        out[i] = (struct affinity_link){.closed = v.state == BREAKER_CLOSED,
                                        .trial = v.state == BREAKER_HALF_OPEN,
                                        .percent = v.share.percent,
                                        .opened = (uint32_t)v.opened_total};
    }
}

struct affinity_choice affinity_choose(struct affinity *a, struct breaker *const *breakers,
                                       uint64_t id, usec now)
{
    struct affinity_link links[CHAIN_MAX];
    struct affinity_stay stay = {.known = false};
    look(breakers, a->links, now, links);
    if (affinity_count(a) > 0) {
        lock(a);
        stay = recall(a, key_of(id));
        unlock(a);
    }
    return affinity_prefer(links, a->links, &stay, id, now);
}

/* Until when it is not to go back. What was said of it before goes on, also when it was a trial
 * that moved it meanwhile. */
static usec hold_until(struct affinity *a, uint64_t key, bool moved, usec now)
{
    struct affinity_stay before = recall(a, key);
    return moved ? now + a->config.hold : before.known ? before.until : 0;
}

void affinity_served(struct affinity *a, struct breaker *const *breakers, uint64_t id, size_t link,
                     const struct affinity_choice *chosen, usec now)
{
    struct affinity_link links[CHAIN_MAX];
    assert(link < a->links);
    look(breakers, a->links, now, links);
    bool at_home = link == home_of(links, a->links, id);
    bool moved = link > chosen->first; /* whom it was meant for had failed, or could not */
    if (at_home && !moved && affinity_count(a) == 0)
        return;
    uint64_t key = key_of(id);
    lock(a);
    usec until = hold_until(a, key, moved, now);
    bool worth_it = links[link].closed && (!at_home || now < until);
    if (worth_it && a->config.sticky)
        remember(a, &(struct entry){key, until, links[link].opened, (uint8_t)link});
    else
        forget(a, key);
    unlock(a);
}
