/* See score.h. The definitions are those of the manual; where a drill of seconds cannot hold the
 * ten seconds that "recovered" asks for, as many as the load goes on must do.
 *
 * Answers come in whole numbers: a second is as good as before when it holds 95 % of the steady
 * state's answers, or lacks but one of that. */
#include "tools/drill/score.h"
#include "base/mem.h"
#include "base/span.h"
#include <stdlib.h>

#define RECOVERED_SECONDS 10
#define RETURNED_PERCENT 95
#define RETURN_LEAST 10 /* conversations that must show it */

const char *const fate_names[FATE_COUNT] = {
    [FATE_HIDDEN] = "hidden",   [FATE_CONTINUED] = "continued", [FATE_LOST] = "lost",
    [FATE_CORRUPT] = "corrupt", [FATE_REFUSED] = "refused",     [FATE_HONEST] = "honest_error",
};

const char *expectation_name(enum expectation e)
{
    static const char *const names[] = {
        [EXPECT_HIDDEN] = "hidden",
        [EXPECT_CONTINUED] = "continued",
        [EXPECT_CALLERS_ERROR] = "caller's error",
        [EXPECT_HONEST_ERROR] = "honest error",
    };
    return names[e];
}

/* ---- one conversation ---- */

static bool during_fault(const struct record *r, const struct course *c)
{
    return r->ended >= c->fault_at && r->sent <= c->fault_end;
}

enum fate record_fate(const struct record *r, const struct course *c)
{
    if (r->ending == ENDING_WHOLE && !r->right)
        return FATE_CORRUPT;
    if (r->ending == ENDING_WHOLE)
        return r->spliced || r->gap > GAP_VISIBLE ? FATE_CONTINUED : FATE_HIDDEN;
    if (r->ending == ENDING_TOLD && during_fault(r, c)) {
        if (c->expect == EXPECT_CALLERS_ERROR && r->as_expected)
            return FATE_REFUSED;
        if (c->expect == EXPECT_HONEST_ERROR)
            return FATE_HONEST;
    }
    return FATE_LOST;
}

/* ---- percentiles ---- */

static int by_size(const void *a, const void *b)
{
    usec x = *(const usec *)a, y = *(const usec *)b;
    return (x > y) - (x < y);
}

static usec rank(const usec *at, size_t count, unsigned percent)
{
    return at[(count * percent + 99) / 100 - 1];
}

struct spread spread_of(usec *at, size_t count)
{
    struct spread s = {.count = count, .p50 = -1, .p95 = -1, .p99 = -1, .max = -1};
    if (count == 0)
        return s;
    qsort(at, count, sizeof *at, by_size);
    s.p50 = rank(at, count, 50);
    s.p95 = rank(at, count, 95);
    s.p99 = count >= P99_LEAST ? rank(at, count, 99) : -1;
    s.max = at[count - 1];
    return s;
}

static bool in_window(const struct record *r, const struct course *c)
{
    return r->ended >= c->fault_at;
}

static bool is_steady(const struct record *r, const struct course *c)
{
    return r->planned >= c->warm_end && r->ended < c->fault_at;
}

static bool failed_over(const struct record *r, const struct course *c)
{
    return in_window(r, c) && (r->away >= 0 || r->by == WHO_SPARE) && r->ending == ENDING_WHOLE;
}

/* Picks of one record: -1 = not this one. */
static usec ttft_steady(const struct record *r, const struct course *c)
{
    return is_steady(r, c) && r->first >= 0 ? r->first - r->planned : -1;
}

static usec ttft_over(const struct record *r, const struct course *c)
{
    return failed_over(r, c) && r->first >= 0 ? r->first - r->planned : -1;
}

static usec e2e_steady(const struct record *r, const struct course *c)
{
    return is_steady(r, c) ? r->ended - r->planned : -1;
}

static usec e2e_over(const struct record *r, const struct course *c)
{
    return failed_over(r, c) ? r->ended - r->planned : -1;
}

static usec late_send(const struct record *r, const struct course *c)
{
    (void)c;
    return r->sent > r->planned ? r->sent - r->planned : 0;
}

static struct spread collect(const struct record *records, size_t count, const struct course *c,
                             usec (*pick)(const struct record *, const struct course *))
{
    usec *at = mem_alloc((count + 1) * sizeof *at);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        usec value = pick(&records[i], c);
        if (value >= 0)
            at[kept++] = value;
    }
    struct spread s = spread_of(at, kept);
    mem_free(at);
    return s;
}

/* ---- answers per second ---- */

static bool is_good(const struct record *r, const struct course *c)
{
    enum fate f = record_fate(r, c);
    return f == FATE_HIDDEN || f == FATE_CONTINUED;
}

static size_t good_between(const struct record *records, size_t count, const struct course *c,
                           usec from, usec to)
{
    size_t good = 0;
    for (size_t i = 0; i < count; i++)
        good += records[i].ended >= from && records[i].ended < to && is_good(&records[i], c);
    return good;
}

static usec recovered_after(const double *rate, size_t seconds, double least)
{
    for (size_t from = 0; from < seconds; from++) {
        size_t good = from;
        while (good < seconds && good - from < RECOVERED_SECONDS && rate[good] >= least)
            good++;
        if (good == seconds || good - from == RECOVERED_SECONDS)
            return (usec)from * USEC_PER_SEC;
    }
    return -1;
}

static void measure_rate(const struct record *records, size_t count, const struct course *c,
                         struct figures *f)
{
    double steady = (double)(c->fault_at - c->warm_end) / (double)USEC_PER_SEC;
    size_t seconds = (size_t)((c->load_end - c->fault_at) / USEC_PER_SEC);
    double *rate = mem_alloc((seconds + 1) * sizeof *rate);
    double lowest = 0;
    f->r0 =
        steady > 0 ? (double)good_between(records, count, c, c->warm_end, c->fault_at) / steady : 0;
    f->area = 0;
    lowest = f->r0;
    for (size_t s = 0; s < seconds; s++) {
        usec from = c->fault_at + (usec)s * USEC_PER_SEC;
        rate[s] = (double)good_between(records, count, c, from, from + USEC_PER_SEC);
        lowest = rate[s] < lowest ? rate[s] : lowest;
        f->area += rate[s] < f->r0 ? f->r0 - rate[s] : 0;
    }
    f->dip = f->r0 > 0 ? 100 * (1 - lowest / f->r0) : 0;
    f->recover = recovered_after(rate, seconds, 0.95 * f->r0 - 1);
    mem_free(rate);
}

/* ---- routing ---- */

static usec detected_after(const struct record *records, size_t count, const struct course *c)
{
    usec first = -1;
    for (size_t i = 0; i < count; i++) {
        usec away = records[i].away;
        if (away >= 0 && in_window(&records[i], c) && (first < 0 || away < first))
            first = away;
    }
    return first < 0 ? -1 : first > c->fault_at ? first - c->fault_at : 0;
}

/* The first conversation after the fault from which on, to the end, 95 % are the lead's. */
static usec returned_after(const struct record *records, size_t count, const struct course *c)
{
    size_t all = 0, by_lead = 0;
    usec best = -1;
    for (size_t i = count; i > 0 && records[i - 1].planned >= c->fault_end; i--) {
        bool lead = records[i - 1].by == WHO_LEAD;
        all++;
        by_lead += lead;
        if (lead && all >= RETURN_LEAST && by_lead * 100 >= all * RETURNED_PERCENT)
            best = records[i - 1].planned;
    }
    return best < 0 ? -1 : best - c->fault_end;
}

/* ---- all of it ---- */

static void count_words(const struct record *r, struct figures *f)
{
    f->lost +=
        r->ending == ENDING_WHOLE ? r->lost : 0; /* of a cut answer they are missing anyway */
    f->repeated += r->repeated;
    f->reordered += r->reordered;
    f->strange += r->strange;
}

static void count_one(const struct record *r, const struct course *c, struct figures *f)
{
    enum fate fate = record_fate(r, c);
    f->count++;
    f->fate[fate]++;
    f->shape[r->shape][fate]++;
    f->spliced += r->spliced;
    f->gaps += r->gap > GAP_VISIBLE;
    f->by_lead += r->by == WHO_LEAD;
    f->by_spare += r->by == WHO_SPARE;
    f->elsewhere += r->away >= 0;
    f->gap = r->gap > f->gap ? r->gap : f->gap;
    count_words(r, f);
    if (fate != FATE_LOST)
        return;
    f->told += r->ending == ENDING_TOLD;
    f->rude += r->ending == ENDING_RUDE;
    f->cut += r->ending == ENDING_CUT;
    f->late += r->ending == ENDING_LATE;
}

static double interruption(const struct figures *f, size_t visible_gaps)
{
    size_t bad = f->fate[FATE_LOST] + f->fate[FATE_CORRUPT] + visible_gaps;
    return f->count > 0 ? 100.0 * (double)bad / (double)f->count : 0;
}

void figures_of(const struct record *records, size_t count, const struct course *c,
                struct figures *out)
{
    struct figures f = {0};
    size_t visible_gaps = 0;
    for (size_t i = 0; i < count; i++) {
        const struct record *r = &records[i];
        f.steady += is_steady(r, c);
        if (!in_window(r, c))
            continue;
        count_one(r, c, &f);
        visible_gaps += record_fate(r, c) == FATE_CONTINUED && r->gap > GAP_VISIBLE;
    }
    f.interruption = interruption(&f, visible_gaps);
    f.detect = detected_after(records, count, c);
    f.open = c->opened_at < 0 ? -1 : c->opened_at > c->fault_at ? c->opened_at - c->fault_at : 0;
    f.back = returned_after(records, count, c);
    f.flaps = c->circuit_changes > 2 ? c->circuit_changes - 2 : 0;
    f.billing = c->client > 0 ? (double)c->upstream / (double)c->client : 0;
    measure_rate(records, count, c, &f);
    if (c->expect == EXPECT_CALLERS_ERROR) { /* fewer good answers are as it should be */
        f.recover = -1;
        f.dip = f.area = -1;
    }
    f.ttft_steady = collect(records, count, c, ttft_steady);
    f.ttft_over = collect(records, count, c, ttft_over);
    f.e2e_steady = collect(records, count, c, e2e_steady);
    f.e2e_over = collect(records, count, c, e2e_over);
    f.late_sends = collect(records, count, c, late_send);
    *out = f;
}

/* ---- limits ---- */

const struct limit_row limit_rows[LIMIT_COUNT] = {
    [LIMIT_INTERRUPTION] = {"interruption", "%", "conversations interrupted"},
    [LIMIT_CORRUPTION] = {"corruption", "answers", "ended like good ones, and were none"},
    [LIMIT_DUPLICATES] = {"duplicates", "words", "given twice"},
    [LIMIT_DETECT] = {"detect", "s", "fault to the first request routed elsewhere"},
    [LIMIT_OPEN] = {"open", "s", "fault to the open circuit"},
    [LIMIT_RECOVER] = {"recover", "s", "fault to the old rate of good answers"},
    [LIMIT_RETURN] = {"return", "s", "end of the fault to 95 % back on the lead"},
    [LIMIT_FLAPS] = {"flaps", "changes", "of the lead's circuit beyond two"},
    [LIMIT_DIP] = {"dip", "%", "depth of the dip in good answers per second"},
    [LIMIT_AREA] = {"area", "req", "good answers missing in the dip"},
    [LIMIT_ADDED] = {"added", "s", "to the p95 time to first token of those failed over"},
    [LIMIT_GAP] = {"gap", "s", "longest between two pieces of content"},
    [LIMIT_BILLING] = {"billing", "x", "upstream requests per client request"},
    [LIMIT_ELSEWHERE] = {"elsewhere", "req", "for which another than the lead was asked"},
};

const struct limits limits_default = {
    .set = {[LIMIT_INTERRUPTION] = true,
            [LIMIT_CORRUPTION] = true,
            [LIMIT_DUPLICATES] = true,
            [LIMIT_DETECT] = true,
            [LIMIT_RECOVER] = true,
            [LIMIT_RETURN] = true,
            [LIMIT_FLAPS] = true,
            [LIMIT_ADDED] = true,
            [LIMIT_GAP] = true,
            [LIMIT_BILLING] = true},
    .most = {[LIMIT_INTERRUPTION] = 0.5,
             [LIMIT_DETECT] = 2,
             [LIMIT_RECOVER] = 3,
             [LIMIT_RETURN] = 4,
             [LIMIT_ADDED] = 1.5,
             [LIMIT_GAP] = 10,
             [LIMIT_BILLING] = 2},
};

struct limits limits_over(const struct limits *a, const struct limits *b)
{
    struct limits l = *a;
    for (int i = 0; i < LIMIT_COUNT; i++) {
        if (!b->set[i])
            continue;
        l.set[i] = b->most[i] >= 0;
        l.most[i] = b->most[i];
    }
    return l;
}

enum err limit_parse(struct span text, struct limits *to)
{
    struct span name;
    double most;
    (void)span_next(&text, '=', &name);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        if (!span_is(name, limit_rows[i].name))
            continue;
        if (text.at == NULL || span_double(text, &most) != ERR_OK || !(most >= 0))
            return ERR_INVALID;
        to->set[i] = true;
        to->most[i] = most;
        return ERR_OK;
    }
    return ERR_NOT_FOUND;
}

static bool seconds(usec t, double *out)
{
    if (t < 0)
        return false;
    *out = (double)t / (double)USEC_PER_SEC;
    return true;
}

static bool measured(double value, double *out)
{
    if (value < 0)
        return false;
    *out = value;
    return true;
}

static bool added(const struct figures *f, double *out)
{
    if (f->ttft_steady.count == 0 || f->ttft_over.count == 0)
        return false;
    *out = (double)(f->ttft_over.p95 - f->ttft_steady.p95) / (double)USEC_PER_SEC;
    return true;
}

bool figure_of(const struct figures *f, enum limit which, double *out)
{
    switch (which) {
    case LIMIT_DETECT:
        return seconds(f->detect, out);
    case LIMIT_OPEN:
        return seconds(f->open, out);
    case LIMIT_RECOVER:
        return seconds(f->recover, out);
    case LIMIT_RETURN:
        return seconds(f->back, out);
    case LIMIT_ADDED:
        return added(f, out);
    case LIMIT_DIP:
        return measured(f->dip, out);
    case LIMIT_AREA:
        return measured(f->area, out);
    default:
        break;
    }
    const double values[LIMIT_COUNT] = {
        [LIMIT_INTERRUPTION] = f->interruption,
        [LIMIT_CORRUPTION] = (double)f->fate[FATE_CORRUPT],
        [LIMIT_DUPLICATES] = (double)f->repeated,
        [LIMIT_FLAPS] = f->flaps,
        [LIMIT_GAP] = (double)f->gap / (double)USEC_PER_SEC,
        [LIMIT_BILLING] = f->billing,
        [LIMIT_ELSEWHERE] = (double)f->elsewhere,
    };
    *out = values[which];
    return true;
}

static bool must_happen(enum limit which)
{
    return which == LIMIT_DETECT || which == LIMIT_OPEN || which == LIMIT_RECOVER ||
           which == LIMIT_RETURN;
}

size_t limits_broken(const struct figures *f, const struct limits *l,
                     struct broken out[LIMIT_COUNT])
{
    size_t count = 0;
    for (int i = 0; i < LIMIT_COUNT; i++) {
        struct broken b = {.which = (enum limit)i, .most = l->most[i]};
        if (!l->set[i])
            continue;
        b.happened = figure_of(f, b.which, &b.value);
        if (b.happened ? b.value > b.most : must_happen(b.which))
            out[count++] = b;
    }
    return count;
}
