/* A short list under a lock, searched from front to back: a handful of entries is usual, and none
 * costs a load. Kept in the order of `until`, so that
 * what is dropped to make room is the fact nearest to its end. */
#include "relay/learned.h"

#include "base/span.h"

static const char *const names[LEARNED_FACTS] = {[LEARNED_NO_PREFILL] = "no_prefill",
                                                 [LEARNED_RESPONSES_ONLY] = "responses_only",
                                                 [LEARNED_TOOLS_BY_RESPONSES] =
                                                     "tools_by_responses"};

const char *learned_fact_name(enum learned_fact f)
{
    assert((unsigned)f < LEARNED_FACTS);
    return names[f];
}

enum err learned_fact_parse(struct span word, enum learned_fact *out)
{
    for (unsigned f = 0; f < LEARNED_FACTS; f++)
        if (span_is(word, names[f])) {
            *out = (enum learned_fact)f;
            return ERR_OK;
        }
    return ERR_SYNTAX;
}

void learned_init(struct learned *l)
{
    *l = (struct learned){0};
    int failed = pthread_mutex_init(&l->lock, NULL);
    assert(failed == 0);
}

void learned_deinit(struct learned *l)
{
    pthread_mutex_destroy(&l->lock);
}

static void lock(struct learned *l)
{
    int failed = pthread_mutex_lock(&l->lock);
    assert(failed == 0);
}

static void unlock(struct learned *l)
{
    int failed = pthread_mutex_unlock(&l->lock);
    assert(failed == 0);
}

/* Names go into a file of lines and fields: nothing in them may end one. */
static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == 0x7F)
            return false;
    return s.len > 0 && s.len <= LEARNED_NAME_MAX;
}

static bool is_about(const struct learned_entry *e, struct span target, struct span model,
                     enum learned_fact fact)
{
    return e->fact == fact && span_is(target, e->target) && span_is(model, e->model);
}

static void remove_at(struct learned *l, size_t i)
{
    memmove(&l->at[i], &l->at[i + 1], (l->count - i - 1) * sizeof l->at[0]);
    l->count--;
}

static void forget_expired(struct learned *l, usec wall)
{
    while (l->count > 0 && l->at[0].until <= wall)
        remove_at(l, 0);
}

static ssize_t find(const struct learned *l, struct span target, struct span model,
                    enum learned_fact fact)
{
    for (size_t i = 0; i < l->count; i++)
        if (is_about(&l->at[i], target, model, fact))
            return (ssize_t)i;
    return -1;
}

static void insert(struct learned *l, const struct learned_entry *e)
{
    if (l->count == LEARNED_MAX)
        remove_at(l, 0);
    size_t i = l->count++;
    for (; i > 0 && l->at[i - 1].until > e->until; i--)
        l->at[i] = l->at[i - 1];
    l->at[i] = *e;
}

/* Whatever was known of the same is replaced. True: nothing was. */
static bool put(struct learned *l, struct span target, struct span model, enum learned_fact fact,
                usec until)
{
    struct learned_entry e = {.fact = fact, .until = until};
    if (target.len > 0)
        memcpy(e.target, target.at, target.len);
    if (model.len > 0)
        memcpy(e.model, model.at, model.len);
    ssize_t known = find(l, target, model, fact);
    if (known >= 0)
        remove_at(l, (size_t)known);
    insert(l, &e);
    atomic_store_explicit(&l->any, true, memory_order_relaxed);
    return known < 0;
}

bool learned_note(struct learned *l, const char *target, struct span model, enum learned_fact fact,
                  usec wall)
{
    struct span name = span_from(target);
    if (!is_name(name) || !is_name(model))
        return false;
    lock(l);
    forget_expired(l, wall);
    bool fresh = put(l, name, model, fact, wall + LEARNED_KEEP);
    unlock(l);
    return fresh;
}

bool learned_knows(struct learned *l, const char *target, struct span model, enum learned_fact fact,
                   usec wall)
{
    if (!atomic_load_explicit(&l->any, memory_order_relaxed))
        return false;
    lock(l);
    ssize_t at = find(l, span_from(target), model, fact);
    bool knows = at >= 0 && l->at[at].until > wall;
    unlock(l);
    return knows;
}

size_t learned_list(struct learned *l, usec wall, struct learned_entry *out)
{
    lock(l);
    forget_expired(l, wall);
    size_t count = l->count;
    memcpy(out, l->at, count * sizeof *out);
    unlock(l);
    return count;
}

enum err learned_restore(struct learned *l, const struct learned_entry *e, usec wall)
{
    struct span target = span_from(e->target), model = span_from(e->model);
    if (!is_name(target) || !is_name(model))
        return ERR_SYNTAX;
    if (e->until <= wall)
        return ERR_OK;
    usec most = wall + LEARNED_KEEP;
    lock(l);
    (void)put(l, target, model, e->fact, e->until < most ? e->until : most);
    unlock(l);
    return ERR_OK;
}
