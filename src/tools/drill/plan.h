#pragma once
/* When each conversation begins and what kind it is: fixed before the load starts, by rate and seed
 * alone. Pure; the same seed gives the same load. */
#include "base/base.h"

/* What a conversation is like: any set of these. All eight take turns within each drill. */
enum { SHAPE_CHAT = 1 /* asks at the Chat Completions door */, SHAPE_TOOLS = 2, SHAPE_WHOLE = 4 };
#define SHAPE_COUNT 8

/* The planned start of conversation `index`, microseconds after the load's. One falls at an even
 * random point of each 1/rate: open load without lockstep, and without the bursts of a Poisson
 * process, whose noise would pass for dips at these short times. rate: per second, >= 1. */
usec plan_arrival(uint64_t seed, uint32_t rate, uint64_t index);
/* Each run of eight holds each shape once, in a random order. */
unsigned plan_shape(uint64_t seed, uint64_t index);
/* "messages streamed text" */
const char *plan_shape_name(unsigned shape);
