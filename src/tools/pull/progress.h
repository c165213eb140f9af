#pragma once
/* How far a download is, told on stderr: a bar that is drawn over on a terminal, a line now and
 * then elsewhere. Knows bytes and time, nothing of what is downloaded. */
#include "base/base.h"

struct progress { /* embed it; the fields belong to progress.c */
    bool bar, quiet;
    const char *name;
    size_t index, count; /* the file's number, from 1, of so many */
    uint64_t size, start;
    usec began, told;
    bool drawn;
};
void progress_init(struct progress *p, bool quiet);
/* start: bytes that are there already. */
void progress_begin(struct progress *p, const char *name, uint64_t size, uint64_t start, usec now);
void progress_at(struct progress *p, uint64_t done, usec now);
/* A line of its own, in the bar's place. */
void progress_say(struct progress *p, const char *format, ...) PRINTF_LIKE(2, 3);
void progress_end(struct progress *p); /* takes the bar away */
