#pragma once
/* What one target can carry, for each of its models, and where that is known from: presumed of its
 * kind, or probed on a day. */
#include "base/buf.h"
#include "serve/load.h"

/* name: "NAME" or "NAME.key" of the configuration that `flags` lead to. Appends nothing where there
 * is no such target. */
void explain_target(const struct load_flags *flags, struct span name, struct buf *out);
/* The wall time now, for a command that runs no loop. */
usec explain_wall(void);
