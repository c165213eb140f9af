#pragma once
/* What a drill says when it is over: verdicts, and how they are printed. Pure. */
#include "base/buf.h"
#include "tools/drill/run.h"

#define REPORT_MAX ((size_t)64 << 20)

enum verdict {
    VERDICT_NOT_RUN,
    VERDICT_PASS,
    VERDICT_FAIL,  /* a limit was broken */
    VERDICT_BROKEN /* the drill itself failed: nothing was shown */
};
const char *verdict_name(enum verdict v); /* "PASS" */
const char *verdict_key(enum verdict v);  /* "pass", for JSON */
const char *verdict_colour(enum verdict v);

struct variant_report {
    const struct drill_fault *fault;
    const struct drill_variant *variant;
    struct run_result result;
    struct limits limits;
    struct broken broken[LIMIT_COUNT];
    size_t broken_count;
    enum verdict verdict;
};
struct drill_report { /* release with report_free */
    uint64_t seed;
    uint32_t rate;
    usec fault_time;
    struct variant_report *at; /* those of one fault stand together */
    size_t count, cap;
    bool stopped; /* by a signal: what is here is not all that was asked for */
};

/* Takes the result over and judges it. result: NULL = not run. */
void report_add(struct drill_report *r, const struct drill_fault *f, const struct drill_variant *v,
                const struct limits *user, const struct run_result *result);
void report_free(struct drill_report *r);

/* One fault over all its variants that were run: counts together, times and dips of the worst. */
struct fault_summary {
    enum verdict verdict; /* the worst one */
    size_t run, not_run;  /* variants */
    size_t count, fate[FATE_COUNT];
    double interruption, dip, area, limit_interruption;
    bool detected, recovered, returned, dipped; /* by all */
    double detect, recover, back;               /* seconds */
};
/* at: the fault's first variant; *out_next: the next fault's. */
struct fault_summary report_summary(const struct drill_report *r, size_t at, size_t *out_next);
/* "H1 PASS interruption 0.0 % (limit 0.5) TTD 0.21 s TTR 1 s dip 12 % area 9 req" and, below it, a
 * line for each broken limit and each variant that was not run. */
void report_lines(const struct drill_report *r, size_t at, bool colour, struct buf *out);
bool report_good(const struct drill_report *r);   /* all that was run passed, and something was */
bool report_broken(const struct drill_report *r); /* a drill did not work, or none was run */

void report_json(const struct drill_report *r, struct buf *out);  /* hotspare.drill/1 */
void report_junit(const struct drill_report *r, struct buf *out); /* one test case a variant */
void report_html(const struct drill_report *r, struct buf *out);  /* self-contained; html.c */

/* The catalogue itself, with the limits that would hold. */
void catalogue_text(const struct limits *user, struct buf *out);
void catalogue_json(const struct limits *user, struct buf *out); /* hotspare.drill-list/1 */

/* Escapes & < > " ' and whatever XML 1.0 cannot hold. */
void report_escape(struct buf *out, const char *text);
/* Members of a report in JSON. text: NULL, "" = null. */
struct json_out;
void report_json_count(struct json_out *w, const char *name, uint64_t n);
void report_json_text(struct json_out *w, const char *name, const char *text);
void report_json_number(struct json_out *w, const char *name, bool known, double n);
void report_put(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
