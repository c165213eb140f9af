#pragma once
/* A target's way back after an outage: which share of the conversations may go to it again.
 *
 * Pure: no clock, no lock. A breaker embeds one and tells it when it opens and closes. */
#include "base/base.h"

#define RAMP_STEPS 3         /* 5, 25, 100 percent */
#define RAMP_DOUBLINGS_MAX 4 /* the longest step is 16 times the configured one */

struct ramp { /* embed it, zeroed; the fields belong to ramp.c */
    bool out, returning;
    uint32_t doublings;
    usec back_at;
};
struct ramp_view {
    uint32_t percent; /* of the conversations; 0 while it is out, 100 when all is as ever */
    usec next_in;     /* microseconds until the next, larger share; 0 = none to come */
    uint32_t doublings;
};

/* The target is out. hold: how long each step lasts, 0 = no ramp. cool_down: it said itself when it
 * will be back (a rate limit); that is no relapse. Does nothing while it is out already. */
void ramp_out(struct ramp *r, usec now, usec hold, bool cool_down);
/* It answers again: the first step begins. */
void ramp_back(struct ramp *r, usec now);
struct ramp_view ramp_view(const struct ramp *r, usec now, usec hold);
