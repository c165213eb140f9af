/* Buckets: an octave of 2^n units to its double, in eight equal parts. */
#include "relay/ttft.h"

#define PARTS 8
#define UNIT 1024 /* microseconds: the first octave's beginning */

void ttft_init(struct ttft *t)
{
    *t = (struct ttft){0};
    int failed = pthread_mutex_init(&t->lock, NULL);
    assert(failed == 0);
}

void ttft_deinit(struct ttft *t)
{
    (void)pthread_mutex_destroy(&t->lock); /* nobody holds it: the last user is gone */
}

static size_t bucket_of(usec time)
{
    uint64_t units = time > UNIT ? (uint64_t)time / (UNIT / PARTS) : PARTS; /* in parts of a unit */
    size_t octave = 0;
    while (units >= (uint64_t)2 * PARTS) {
        units /= 2;
        octave++;
    }
    size_t bucket = octave * PARTS + (size_t)(units - PARTS);
    return bucket < TTFT_BUCKETS ? bucket : TTFT_BUCKETS - 1;
}

static usec bucket_end(size_t bucket)
{
    usec octave = (usec)UNIT << (bucket / PARTS);
    return octave + octave / PARTS * (usec)(bucket % PARTS + 1);
}

static void halve(struct ttft *t)
{
    t->total = 0;
    for (size_t i = 0; i < TTFT_BUCKETS; i++)
        t->total += t->counts[i] /= 2;
}

static void lock(struct ttft *t)
{
    int failed = pthread_mutex_lock(&t->lock);
    assert(failed == 0);
}

static void unlock(struct ttft *t)
{
    int failed = pthread_mutex_unlock(&t->lock);
    assert(failed == 0);
}

void ttft_note(struct ttft *t, usec time)
{
    lock(t);
    if (t->total == TTFT_SAMPLES_MAX)
        halve(t);
    t->counts[bucket_of(time)]++;
    t->total++;
    unlock(t);
}

usec ttft_quantile(struct ttft *t, uint32_t percent)
{
    assert(percent <= 100);
    lock(t);
    uint32_t total = t->total, seen = 0;
    size_t at = 0;
    while (at < TTFT_BUCKETS && (uint64_t)(seen += t->counts[at]) * 100 < (uint64_t)total * percent)
        at++;
    unlock(t);
    return total < TTFT_LEAST ? USEC_NEVER : bucket_end(at);
}
