#pragma once
/* What this machine has: asks nvidia-smi, else the kernel's files. Knows no plan. */
#include "local/facts.h"

struct hardware {
    struct fact_gpu gpu; /* a row of the catalogue, with the memory that was found */
    uint32_t cards;      /* of that kind; 0: none was found */
    double ram;          /* bytes */
    const char *how;     /* "nvidia-smi"; when cards is 0: what was tried, for people */
};
/* path: the search path for nvidia-smi (the PATH variable's form). Texts lie in `a`. */
void hardware_find(const struct facts *f, const char *path, struct arena *a, struct hardware *out);
double hardware_ram(void); /* bytes */
