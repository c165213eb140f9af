/* The steps back.
 *
 *     settled --out--> OUT --back--> 5 % --hold--> 25 % --hold--> 100 % --hold--> settled
 *                       ^             |             |               |
 *                       '-------------+--relapse----+---------------'
 *
 * The last step is held like the others before the target counts as settled: one that falls over
 * as soon as everybody is back has relapsed. After a relapse each step takes twice as long as
 * before, up to a bound; only a settled target begins again with the short steps. A cool-down that
 * the target announced itself goes through the steps too, because everybody returning at the very
 * second is how it got there, but makes none of them longer. */
#include "relay/ramp.h"

static const uint32_t percents[RAMP_STEPS] = {5, 25, 100};

static usec step_time(const struct ramp *r, usec hold)
{
    return hold << r->doublings;
}

static bool is_settled(const struct ramp *r, usec now, usec hold)
{
    return !r->returning || now - r->back_at >= RAMP_STEPS * step_time(r, hold);
}

void ramp_out(struct ramp *r, usec now, usec hold, bool cool_down)
{
    if (r->out)
        return;
    if (is_settled(r, now, hold))
        r->doublings = 0;
    else if (!cool_down && r->doublings < RAMP_DOUBLINGS_MAX)
        r->doublings++;
    r->out = true;
    r->returning = false;
}

void ramp_back(struct ramp *r, usec now)
{
    assert(r->out);
    r->out = false;
    r->returning = true;
    r->back_at = now;
}

struct ramp_view ramp_view(const struct ramp *r, usec now, usec hold)
{
    if (r->out)
        return (struct ramp_view){.percent = 0, .doublings = r->doublings};
    if (is_settled(r, now, hold))
        return (struct ramp_view){.percent = 100};
    usec time = step_time(r, hold), since = now - r->back_at;
    usec step = since > 0 ? since / time : 0; /* workers' clocks may differ by a turn of the loop */
    struct ramp_view v = {.percent = percents[step], .doublings = r->doublings};
    if (v.percent < 100)
        v.next_in = (step + 1) * time - since;
    return v;
}
