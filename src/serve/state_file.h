#pragma once
/* The files of `state_dir`: what outlives a restart. Each is written whole beside itself and
 * renamed, so that a crash leaves the old one or the new one. Knows nothing of what is in them. */
#include "base/base.h"

#include <stdio.h>

/* Makes the folder when it is not there. write: false when it could not be written. A failure is
 * logged, not fatal. */
void state_file_write(const char *state_dir, const char *name, bool (*write)(void *ctx, FILE *to),
                      void *ctx);
/* For reading, to be closed by the caller; NULL: there is none. */
FILE *state_file_open(const char *state_dir, const char *name);
