#pragma once
/* The command line of a drill against one's own chain: what is asked for is checked as a whole
 * before anything is touched. */
#include "tools/drill/own.h"
#include <stdio.h>

struct own_wish { /* as the command line gave it; NULL, 0 = not given */
    struct own_order order;
    const char *config;
    const char *cap;   /* "20000" tokens, "1.50usd" */
    const char *price; /* "3,15" */
    const char *abort_on;
    bool dry_run, yes, circuit;
};
struct own_outlet { /* where it is told */
    FILE *junit, *html;
    bool json, colour;
};
/* picks: variants in their order. Returns the exit code. */
int own_command(struct own_wish *w, const struct own_outlet *to, struct own_result *picks,
                size_t count);
