#pragma once
/* Which thinking a target has refused: so that the same history costs one refusal and not one at
 * each turn, and is cleaned the same way each time.
 *
 * Pure but for its lock; shared by all workers. Keeps keyed hashes, no text, of the newest thinking
 * that was taken out; the oldest are forgotten. After a restart the next refusal teaches it
 * again. */
#include "base/base.h"
#include <pthread.h>
#include <stdatomic.h>

#define REFUSED_MAX 4096 /* marks remembered */

struct refused { /* embed it; the fields belong to refused.c */
    pthread_mutex_t lock;
    atomic_bool any;
    uint64_t seed[2];
    uint64_t marks[REFUSED_MAX]; /* in sets, the last used first; 0 = free */
};

/* seed: random, of the process. */
void refused_init(struct refused *r, const uint64_t seed[2]);
void refused_deinit(struct refused *r);
/* Nothing was ever refused: no history needs a look. Without the lock. */
bool refused_none(const struct refused *r);
/* mark: of a thinking block (dialect_thinking_mark). */
void refused_add(struct refused *r, const char *target, struct span mark);
bool refused_has(struct refused *r, const char *target, struct span mark);
