#pragma once
/* Finds inference engines on this machine: the usual loopback ports, asked once at start, all at
 * the same time, for at most half a second. Speaks through conn/pool; sends nothing but GET
 * /v1/models. */
#include "net/net.h"
#include "serve/config.h"

struct discovered {
    struct config_target targets[4];
    size_t count;
    const char *models[4];  /* what each serves; NULL when it did not say */
    const char *missing[4]; /* "vLLM :8000" ... those that did not answer */
    size_t missing_count;
};

/* Fills *out; strings and URLs live in `a`. Runs its own loop. */
void discover_engines(struct arena *a, struct discovered *out);
