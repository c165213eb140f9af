#pragma once
/* How long a target takes to its first token: a quantile of what was seen lately, per (target,
 * model), shared by all workers.
 *
 * Pure but for its lock. A histogram of logarithmic buckets whose counts are halved when it is
 * full, so that old samples fade; a quantile is too high by the width of a bucket at most (an
 * eighth). */
#include "base/base.h"
#include <pthread.h>

#define TTFT_BUCKETS 136 /* eight to an octave: 1 ms to 134 s */
#define TTFT_LEAST 50    /* samples before there is a quantile */
#define TTFT_SAMPLES_MAX 2048

struct ttft { /* embed it; the fields belong to ttft.c */
    pthread_mutex_t lock;
    uint32_t total;
    uint32_t counts[TTFT_BUCKETS];
};

void ttft_init(struct ttft *t);
void ttft_deinit(struct ttft *t);
void ttft_note(struct ttft *t, usec time);
/* The time that `percent` of the samples did not exceed; USEC_NEVER: too few of them yet. */
usec ttft_quantile(struct ttft *t, uint32_t percent);
