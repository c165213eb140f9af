/* What can be drilled in one's own chain, and whether it was good. Pure. */
#include "base/span.h"
#include "relay/fault.h"
#include "tools/drill/own.h"

/* Of an answer that was asked for twice the question is paid for twice, and the first part. */
double own_most_of_one(const struct own_order *o)
{
    double in = 2.0 * CALLER_PROMPT_TOKENS, out = 2.0 * CALLER_TOKENS_MOST;
    return o->in_usd ? (in * o->price_in + out * o->price_out) / 1e6 : in + out;
}

static bool has_many_steps(const struct drill_variant *v)
{
    return v->steps[1].lead != NULL || v->steps[1].spare != NULL;
}

const char *own_not_run(const struct own_order *o, const struct drill_variant *v)
{
    struct fault fault;
    const char *why;
    if (v->not_run != NULL)
        return v->not_run;
    if (v->trap != TRAP_NONE)
        return "it happens below HTTP, where the gateway cannot commit it: stand-ins and traps do";
    if (v->expect == EXPECT_HONEST_ERROR)
        return "it takes every target away: your users would lose their answers";
    if (has_many_steps(v))
        return "the end of a fault undoes its trace here, so there is no second coming to show";
    if (fault_parse(span_from(v->steps[0].lead), 0, &fault, &why) != ERR_OK ||
        fault.row->standin_only)
        return "the gateway does not commit it";
    if (fault.percent != 100)
        return "the share is yours to say here: --percent";
    if (v->expect == EXPECT_CALLERS_ERROR && !o->only_mine)
        return "your users would be told of a mistake that they did not make: --only-mine runs it";
    return NULL;
}

uint64_t own_judged(const struct own_counts *c)
{
    return c->hidden + c->continued + c->told + c->lost;
}

double own_interruption(const struct own_counts *c)
{
    return own_judged(c) > 0 ? 100.0 * (double)c->lost / (double)own_judged(c) : 0;
}

double own_billing(const struct own_counts *c)
{
    return own_judged(c) > 0 ? (double)c->attempts / (double)own_judged(c) : 0;
}

bool own_measures(enum limit which)
{
    switch (which) {
    case LIMIT_INTERRUPTION:
    case LIMIT_CORRUPTION:
    case LIMIT_DETECT:
    case LIMIT_GAP:
    case LIMIT_BILLING:
    case LIMIT_ELSEWHERE:
        return true;
    default:
        return false;
    }
}

static bool figure(const struct own_result *r, enum limit which, double *out)
{
    const struct own_counts *c = &r->counts;
    const double values[LIMIT_COUNT] = {
        [LIMIT_INTERRUPTION] = own_interruption(c), [LIMIT_CORRUPTION] = (double)r->corrupt,
        [LIMIT_DETECT] = (double)c->detect / 1e6,   [LIMIT_GAP] = (double)c->gap / 1e6,
        [LIMIT_BILLING] = own_billing(c),           [LIMIT_ELSEWHERE] = (double)c->elsewhere,
    };
    *out = values[which];
    return which != LIMIT_DETECT || c->detect >= 0;
}

static void check_limits(struct own_result *r, const struct limits *l)
{
    for (int i = 0; i < LIMIT_COUNT; i++) {
        struct broken b = {.which = (enum limit)i, .most = l->most[i]};
        if (!l->set[i])
            continue;
        b.happened = figure(r, b.which, &b.value);
        if (!b.happened || b.value > b.most)
            r->broken[r->broken_count++] = b;
    }
}

static void say(struct own_result *r, enum verdict v, const char *why)
{
    r->verdict = v;
    if (r->why[0] == '\0')
        (void)snprintf(r->why, sizeof r->why, "%s", why);
}

/* An expected error of the caller's own that did not come to it, or went round the targets. */
static bool told_badly(const struct own_result *r)
{
    const struct own_counts *c = &r->counts;
    return r->variant->expect == EXPECT_CALLERS_ERROR &&
           (c->told < own_judged(c) || c->elsewhere > 0);
}

void own_judge(struct own_result *r, const struct own_order *o)
{
    r->verdict = VERDICT_PASS;
    check_limits(r, &o->limits);
    if (r->aborted)
        say(r, VERDICT_FAIL, "the abort rule fired");
    else if (own_judged(&r->counts) == 0)
        say(r, VERDICT_BROKEN,
            "no conversation met it to its end: more --percent, --rate or --seconds, or "
            "--only-mine");
    else if (r->wrong > 0)
        say(r, VERDICT_FAIL, "a conversation of the drill's own was lost or wrong");
    else if (told_badly(r))
        say(r, VERDICT_FAIL, "a caller's own error was not told to it, or others were asked");
    else if (r->broken_count > 0)
        say(r, VERDICT_FAIL, "a limit was broken");
    else if (!r->restored)
        say(r, VERDICT_FAIL, "afterwards not the same target answered as before");
}

int own_exit_code(const struct own_report *r)
{
    bool any = false, fail = r->ended_early[0] != '\0';
    for (size_t i = 0; i < r->count; i++) {
        if (r->at[i].verdict == VERDICT_BROKEN)
            return OWN_BROKEN;
        any |= r->at[i].verdict != VERDICT_NOT_RUN;
        fail |= r->at[i].verdict == VERDICT_FAIL;
    }
    if (r->stopped)
        return OWN_STOPPED;
    if (r->failed || (!any && !fail))
        return OWN_BROKEN;
    return fail ? OWN_LIMIT : 0;
}
