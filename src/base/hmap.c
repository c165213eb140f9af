/* Open addressing with linear probing. Removal moves the followers of the chain back instead of
 * leaving tombstones, so a long-lived map does not silt up. At most three quarters full.
 *
 *   slot: [ hash | key (owned) | value ]   empty: value == NULL */
#include "base/hmap.h"

#include "base/mem.h"
#include "base/span.h"

#define CAP_MIN ((size_t)16)

struct hmap_slot {
    uint64_t hash;
    struct span key;
    void *value;
};

static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* Little endian whatever the machine: the hash of a key is the same everywhere. */
static uint64_t word_at(const char *at, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return word;
}

/* SipHash with one compression and three finalisation rounds (Aumasson and Bernstein). */
uint64_t siphash13(const uint64_t seed[2], struct span s)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                     seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    size_t whole = s.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = word_at(s.at + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)s.len << 56;
    if (s.len > whole)
        last |= word_at(s.at + whole, s.len - whole);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void hmap_init(struct hmap *m, const uint64_t seed[2], size_t max)
{
    *m = (struct hmap){.max = max, .seed = {seed[0], seed[1]}};
}

static void free_key(struct hmap_slot *slot)
{
    mem_free((void *)(uintptr_t)slot->key.at);
}

void hmap_deinit(struct hmap *m)
{
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value)
            free_key(&m->slots[i]);
    mem_free(m->slots);
    *m = (struct hmap){.max = m->max, .seed = {m->seed[0], m->seed[1]}};
}

/* The slot that holds the key, or the empty one where it would go. There always is one. */
static struct hmap_slot *find(const struct hmap *m, struct span key, uint64_t hash)
{
    assert(m->count < m->cap);
    size_t at = hash & (m->cap - 1);
    while (m->slots[at].value && (m->slots[at].hash != hash || !span_eq(m->slots[at].key, key)))
        at = (at + 1) & (m->cap - 1);
    return &m->slots[at];
}

void *hmap_get(const struct hmap *m, struct span key)
{
    if (m->count == 0)
        return NULL;
    return find(m, key, siphash13(m->seed, key))->value;
}

static void grow(struct hmap *m)
{
    struct hmap_slot *old = m->slots;
    size_t old_cap = m->cap;
    m->cap = old_cap ? old_cap * 2 : CAP_MIN;
    m->slots = mem_zalloc(m->cap * sizeof *m->slots);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].value)
            *find(m, old[i].key, old[i].hash) = old[i];
    mem_free(old);
}

enum err hmap_set(struct hmap *m, struct span key, void *value)
{
    assert(value);
    uint64_t hash = siphash13(m->seed, key);
    struct hmap_slot *slot = m->cap ? find(m, key, hash) : NULL;
    if (slot && slot->value) {
        slot->value = value;
        return ERR_OK;
    }
    if (m->count >= m->max)
        return ERR_LIMIT;
    if ((m->count + 1) * 4 > m->cap * 3) {
        grow(m);
        slot = find(m, key, hash);
    }
    assert(slot);
    char *copy = mem_alloc(key.len + 1);
    if (key.len > 0)
        memcpy(copy, key.at, key.len);
    copy[key.len] = 0;
    *slot = (struct hmap_slot){hash, {copy, key.len}, value};
    m->count++;
    return ERR_OK;
}

/* Fills the hole with the next entry of the chain that may stand there, and goes on with its hole.
 * An entry may move when its home is not between the hole and itself. */
static void close_hole(struct hmap *m, size_t hole)
{
    size_t mask = m->cap - 1;
    for (size_t at = (hole + 1) & mask; m->slots[at].value; at = (at + 1) & mask) {
        size_t from_home = (at - (size_t)m->slots[at].hash) & mask;
        size_t from_hole = (at - hole) & mask;
        if (from_home < from_hole)
            continue;
        m->slots[hole] = m->slots[at];
        hole = at;
    }
    m->slots[hole] = (struct hmap_slot){0};
}

void *hmap_remove(struct hmap *m, struct span key)
{
    if (m->count == 0)
        return NULL;
    struct hmap_slot *slot = find(m, key, siphash13(m->seed, key));
    void *value = slot->value;
    if (!value)
        return NULL;
    free_key(slot);
    close_hole(m, (size_t)(slot - m->slots));
    m->count--;
    return value;
}

bool hmap_next(const struct hmap *m, size_t *at, struct span *out_key, void **out_value)
{
    while (*at < m->cap && !m->slots[*at].value)
        (*at)++;
    if (*at >= m->cap)
        return false;
    *out_key = m->slots[*at].key;
    *out_value = m->slots[*at].value;
    (*at)++;
    return true;
}
