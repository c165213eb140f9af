#pragma once
/* What probes found out, over restarts: one line a model in `state_dir`/capabilities. Written by
 * `hotspare probe`, read by the gateway when it starts and reloads. Failures are logged, not fatal.
 */
#include "base/arena.h"
#include "dialect/probed.h"

/* Everything in it, also what is no longer fresh; in `a`. What is damaged is left out, with one
 * warning for all of it. state_dir NULL: none. Returns how many, at most PROBED_MAX. */
size_t probed_file_load(const char *state_dir, struct arena *a, struct probed **out);
/* Takes `count` new ones in; each replaces what the file says of the same target and model. Two
 * probes that end in the same instant: the later one's file stands. False: a name is too long or
 * has control bytes in it, so that one is not kept. */
bool probed_file_add(const char *state_dir, const struct probed *fresh, size_t count);
