#pragma once
/* Is a target's stream fast enough? Characters of content per second, counted over windows of ten
 * seconds. Pure. */
#include "base/base.h"

#define PACE_WINDOW (10 * USEC_PER_SEC)

struct pace { /* embed it, zeroed; the fields belong to pace.c */
    uint32_t least;
    usec until; /* the window's end; 0 = not counting */
    uint64_t characters;
};

/* From the first content on. least: characters per second; 0 = any speed will do. */
void pace_begin(struct pace *p, uint32_t least, usec now);
/* More content came: text as it is in JSON, where an escape counts as the letters it is written
 * with. */
void pace_add(struct pace *p, struct span text);
/* The window is over and held too little. A window that held enough is followed by the next. */
bool pace_check(struct pace *p, usec now);
usec pace_next_check(const struct pace *p); /* USEC_NEVER when not counting */
