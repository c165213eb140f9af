#pragma once
/* One drill: one variant of one fault, from the start of its processes to their end.
 *
 *   start -> steady state -> fault (its steps) -> removed -> recovery -> last answers -> counts ->
 * end
 *
 * Callers arrive on the plan all along, whatever the gateway does. */
#include "tools/drill/catalogue.h"

struct loop;

struct run_plan {
    const struct drill_fault *fault;
    const struct drill_variant *variant;
    uint64_t seed;
    uint32_t rate;   /* conversations per second */
    usec fault_time; /* the fault window */
};

enum circuit { CIRCUIT_UNKNOWN, CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN };
const char *circuit_name(enum circuit c); /* "half open" */
struct circuit_change {
    usec at;
    enum circuit to;
};
#define CIRCUIT_CHANGES_MAX 256

struct run_result { /* release with run_result_free */
    bool failed;    /* the drill itself: trouble says why, figures mean nothing */
    char trouble[400];
    struct record *records;
    size_t count, cap;
    struct course course;
    struct figures figures;
    uint64_t lead_failures; /* attempts at the lead that failed, as the gateway logged them */
    uint64_t committed;     /* faults, as the lead counted them */
    uint64_t lead_requests, spare_requests;
    char why[200];           /* the first reason that the gateway gave for a failed attempt */
    char first_trouble[240]; /* of a conversation that was neither hidden nor as expected */
    struct circuit_change circuit[CIRCUIT_CHANGES_MAX]; /* the lead's, as polled */
    size_t circuit_count;
};
void run_result_free(struct run_result *r);

enum run_phase { RUN_START, RUN_STEADY, RUN_FAULT, RUN_RECOVERY, RUN_LAST, RUN_OVER };
extern const char *const run_phase_names[];

struct run;
/* Starts. on_over comes last, from the loop; run_free then. */
struct run *run_start(struct loop *l, const struct run_plan *plan, struct run_result *to,
                      void (*on_over)(void *ctx), void *ctx);
/* Ends it soon, without figures; on_over still comes. */
void run_abort(struct run *r, const char *why);
void run_free(struct run *r); /* kills what is left */

struct run_view { /* for a terminal */
    enum run_phase phase;
    usec since_start;
    size_t open, over, lost;
    enum circuit circuit;
};
struct run_view run_view(const struct run *r);
