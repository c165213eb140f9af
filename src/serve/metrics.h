#pragma once
/* Counters and histograms for /metrics. Each worker writes its own; a scrape sums them. Labels come
 * from closed sets: targets by row number, causes, doors, outcomes; never a model name or key of a
 * client (ux.md 4.1). */
#include "base/buf.h"
#include "relay/exchange.h"

#include <stdatomic.h>

#define METRICS_TARGETS 32 /* row 0 = nobody, the last row = "other" */
#define METRICS_LOSSES 40  /* names of what a translation can lose */
#define METRICS_BUCKETS 18

/* Names of the rows; grows over reloads, never shrinks. Guarded by the service's lock. */
struct metrics_names {
    char *at[METRICS_TARGETS];
    size_t count;
};
void metrics_names_init(struct metrics_names *n);
void metrics_names_deinit(struct metrics_names *n);
uint16_t metrics_names_row(struct metrics_names *n, const char *target);

struct metrics_histogram {
    atomic_ullong bucket[METRICS_BUCKETS + 1];
    atomic_ullong sum_us;
};

enum metrics_token {
    TOKENS_INPUT,
    TOKENS_OUTPUT,
    TOKENS_CACHE_READ,
    TOKENS_CACHE_WRITE,
    TOKENS_REASONING,
    TOKENS_KINDS
};

struct metrics { /* one per worker; written by its thread, read by any */
    atomic_ullong requests[DIALECT_COUNT][OUTCOME_COUNT][METRICS_TARGETS];
    atomic_ullong attempts[METRICS_TARGETS][CAUSE_COUNT + 2]; /* the last: cancelled, outrun */
    atomic_ullong hedges[HEDGE_ENDS];
    atomic_ullong switches[METRICS_TARGETS][METRICS_TARGETS][CAUSE_COUNT];
    atomic_ullong rescued[2]; /* complete answers after the lead had failed: before the first word,
                                 in the middle */
    atomic_ullong tokens[METRICS_TARGETS][TOKENS_KINDS];
    atomic_ullong loss[METRICS_LOSSES];
    struct metrics_histogram ttft[METRICS_TARGETS], duration[METRICS_TARGETS];
    atomic_llong open;
};

struct metrics *metrics_new(void);
/* row_of: the metrics row of a target's name within the report. */
void metrics_count(struct metrics *m, const struct exchange_report *r,
                   uint16_t (*row_of)(void *ctx, const char *target), void *ctx);
/* The text exposition format 0.0.4 of all workers together. */
enum err metrics_write(struct metrics *const *workers, size_t count,
                       const struct metrics_names *names, struct buf *out);
