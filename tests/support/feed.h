#pragma once
/* Feeds a recorded or produced event stream through the SSE reader in pieces of a chosen kind.
 *
 * For tests; shares nothing with the relay but the SSE reader itself. */
#include "http/sse.h"

enum feed_cuts { FEED_WHOLE, FEED_BYTES, FEED_RANDOM };

/* A small deterministic generator for tests (splitmix64). */
uint64_t feed_random(uint64_t *state);

/* Calls event for each event, until it returns false. Returns true when all bytes were taken and
 * none of them are left in an unfinished event. seed: for FEED_RANDOM. */
bool feed_sse(struct span stream, enum feed_cuts cuts, uint64_t seed,
              bool (*event)(void *ctx, const struct sse_event *e), void *ctx);
