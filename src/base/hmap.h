#pragma once
/* Hash map from byte strings to pointers, SipHash-1-3 with a seed, so that a peer cannot choose
 * collisions. Open addressing, grows by doubling up to `max` entries. Not thread-safe. */
#include "base/base.h"

struct hmap { /* embed it; the fields belong to hmap.c */
    struct hmap_slot *slots;
    size_t count, cap, max;
    uint64_t seed[2];
};

void hmap_init(struct hmap *m, const uint64_t seed[2], size_t max);
void hmap_deinit(struct hmap *m);
void *hmap_get(const struct hmap *m, struct span key); /* NULL when absent */
/* The map copies the key. Replaces an existing value. value must not be NULL. ERR_LIMIT when full.
 */
MUST_USE enum err hmap_set(struct hmap *m, struct span key, void *value);
void *hmap_remove(struct hmap *m, struct span key); /* the value, or NULL */
/* Iterates in unspecified order: start with *at = 0; false at the end. */
bool hmap_next(const struct hmap *m, size_t *at, struct span *out_key, void **out_value);

uint64_t siphash13(const uint64_t seed[2], struct span s);
