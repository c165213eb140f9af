#pragma once
/* What refusals taught, over restarts: one line a fact in `state_dir`/learned. Failures are logged,
 * not fatal. wall: from the caller's loop. */
#include "relay/learned.h"

void learned_file_save(struct learned *l, const char *state_dir, usec wall);
/* What is damaged in it is left out, with one warning for all of it. */
void learned_file_load(struct learned *l, const char *state_dir, usec wall);
