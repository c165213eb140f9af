#pragma once
/* A drill against one's own chain: the gateway that serves commits the faults itself, at a real
 * target, for a share of the conversations (relay/fault_board.h), while callers of the drill's own
 * ask at a low rate. Bounded by a share, a spend cap, a time limit and an abort rule; undone at
 * each end, also by the gateway alone when the drill is gone.
 *
 * Real models do not answer in numbered words: what was lost or doubled in an answer is not
 * measurable here, and the report says so. */
#include "base/buf.h"
#include "tools/drill/caller.h"
#include "tools/drill/catalogue.h"
#include "tools/drill/report.h"

struct loop;

struct own_order {                                               /* what is asked for */
    const char *gateway, *admin, *ca, *key_env, *model, *target; /* NULL = not given */
    uint64_t percent, rate, seconds, minutes;
    bool only_mine, circuit;
    bool in_usd;                /* what the cap counts; else tokens */
    double cap;                 /* spent by the drill's own conversations, at most */
    double price_in, price_out; /* USD for a million tokens */
    double abort_lost;          /* conversations; LIMIT_NONE = not the rule */
    double abort_interruption;  /* percent, from ABORT_LEAST on; LIMIT_NONE = not the rule */
    struct limits limits;
};
#define OWN_ABORT_LEAST 10
/* The most that one conversation of the drill's may cost, in the cap's unit. */
double own_most_of_one(const struct own_order *o);

/* Why this variant is not committed against one's own chain; NULL = it is. */
const char *own_not_run(const struct own_order *o, const struct drill_variant *v);

struct own_counts { /* of those that met the fault, whoever they were, as the gateway says */
    uint64_t met, open, hidden, continued, told, lost, client_left, released;
    uint64_t attempts, elsewhere; /* of those judged */
    usec detect, gap, first;      /* detect: -1 = nobody was asked elsewhere */
};
/* Those of which something was seen: not the ones whose client left, or whom the fault's end met
 * waiting. */
uint64_t own_judged(const struct own_counts *c);
double own_interruption(const struct own_counts *c); /* percent of them */
double own_billing(const struct own_counts *c);      /* upstream requests for each */

struct own_result { /* of one variant */
    const struct drill_fault *fault;
    const struct drill_variant *variant;
    enum verdict verdict;
    char why[512]; /* not run, broken or failed: a sentence */
    struct own_counts counts;
    uint64_t asked, good, wrong; /* the drill's own conversations; wrong: lost or corrupt */
    uint64_t corrupt;
    char first_trouble[240]; /* of those */
    struct broken broken[LIMIT_COUNT];
    size_t broken_count;
    bool aborted, restored; /* restored: afterwards the same target answered as before */
    usec gap;               /* the longest that a caller of its own saw */
    usec time;
};
struct own_report {
    const struct own_order *order;
    char target[64], lead[64];
    struct own_result *at;
    size_t count;
    double spent;
    uint64_t input, output, asked; /* by the drill's own conversations */
    uint64_t untold;               /* answers without usage: counted as the most */
    bool stopped;                  /* by a signal */
    bool failed;                   /* the drill itself */
    char ended_early[240];         /* by cap, time or abort rule: a sentence; "" = not */
};
/* The figure a limit is about. False: it is not measurable against one's own chain. */
bool own_measures(enum limit which);
void own_judge(struct own_result *r, const struct own_order *o);

/* Runs what is in report->at; on_told: one of them is over. Returns when all are, or the drill was
 * stopped; the fault is gone then. */
void own_run(const struct own_order *o, struct own_report *report,
             void (*on_told)(void *ctx, size_t index), void *ctx);

void own_lines(const struct own_report *r, size_t index, bool colour, struct buf *out);
void own_summary(const struct own_report *r, struct buf *out);
void own_plan(const struct own_report *r, struct buf *out); /* --dry-run */
void own_json(const struct own_report *r, struct buf *out); /* hotspare.drill-own/1 */
void own_junit(const struct own_report *r, struct buf *out);
void own_html(const struct own_report *r, struct buf *out);
enum { OWN_LIMIT = 1, OWN_BROKEN = 2, OWN_STOPPED = 130 };
int own_exit_code(const struct own_report *r);
