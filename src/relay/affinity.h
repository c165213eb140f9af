#pragma once
/* Where a conversation goes on: with the target that last served it while that one is healthy, and
 * back to a better one by the steps of ramp.h. One per route.
 *
 * affinity_prefer decides and is pure. struct affinity remembers the conversations that are not
 * where it would put a new one; it is shared by all workers, under a lock of its own that is held
 * for a few dozen instructions. Time is passed in. */
#include "relay/breaker.h"
#include "relay/chain.h"

#define AFFINITY_CONVERSATIONS 65536 /* remembered at most; then the longest unheard of goes */
#define AFFINITY_NOBODY UINT8_MAX

/* ---- the decision ---- */

struct affinity_link {
    bool closed;      /* its breaker */
    bool trial;       /* its breaker waits for somebody to try */
    uint32_t percent; /* ramp_view: of the conversations that may go to it */
    uint32_t opened;  /* how often its breaker has opened */
};
struct affinity_stay { /* where a conversation is */
    bool known;
    uint8_t link;
    uint32_t opened; /* of that link, when it was served there: once more, and the stay is over */
    usec until;      /* a failure moved it there: not back before this */
};
struct affinity_choice {
    uint8_t first;            /* where the conversation is to be */
    uint8_t trial;            /* asked even before, if its breaker lets this request be the trial;
                                 AFFINITY_NOBODY = none */
    uint8_t order[CHAIN_MAX]; /* of all links: trial, first, where it was, those that let it in,
                                 the others */
};
/* stay->known = false: a new conversation. id: struct identity's hash, whose upper half decides
 * about shares: the same conversations are the first to return each time. */
struct affinity_choice affinity_prefer(const struct affinity_link *links, size_t count,
                                       const struct affinity_stay *stay, uint64_t id, usec now);

/* ---- the memory ---- */

struct affinity_config {
    usec hold;   /* how long a conversation that a failure moved stays away; breaker_config.ramp */
    bool sticky; /* false: nothing is remembered, only the ramp counts */
};
struct affinity;

/* count: links of its route. seed: secret; hand it to identity_of. */
struct affinity *affinity_new(const struct affinity_config *c, const uint64_t seed[2],
                              size_t count);
struct affinity *affinity_ref(struct affinity *a);
void affinity_unref(struct affinity *a);                                /* NULL is fine */
void affinity_set(struct affinity *a, const struct affinity_config *c); /* at a reload */
const uint64_t *affinity_seed(const struct affinity *a);

/* Whom to ask first. breakers: of the route's links. */
struct affinity_choice affinity_choose(struct affinity *a, struct breaker *const *breakers,
                                       uint64_t id, usec now);
/* It was answered by `link`, after affinity_choose had said `chosen`. */
void affinity_served(struct affinity *a, struct breaker *const *breakers, uint64_t id, size_t link,
                     const struct affinity_choice *chosen, usec now);
size_t affinity_count(struct affinity *a); /* conversations remembered */
