#pragma once
/* The probes that a configuration's state folder holds. Apart from the rows, which know nothing of
 * configurations. */
#include "base/arena.h"
#include "dialect/probed.h"

struct stored_probe {
    const struct probed *probed;
    const char *kind; /* of its target, as configured now; "" = it is there no more */
};
/* file: as for `hotspare serve --config`. All in `a`. False: a sentence in *out_why. */
bool stored_probes(const char *file, struct arena *a, struct stored_probe **out, size_t *out_count,
                   const char **out_why);
