#pragma once
/* The tables of share/catalogue as they were when the program was built (see embed.py). */
#include "base/base.h"

struct facts_data {
    const char *name; /* "models" */
    struct span text;
};
extern const struct facts_data facts_data[];
extern const size_t facts_data_count;
