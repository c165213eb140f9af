#pragma once
/* What a drill measured, and whether it was good: records of conversations go in, figures and a
 * verdict come out. Definitions: docs in the manual, "drill". Pure: no clock, no socket.
 *
 * All times are microseconds since the load began; -1 = did not happen. */
#include "tools/drill/plan.h"

enum expectation {
    EXPECT_HIDDEN,        /* nobody notices */
    EXPECT_CONTINUED,     /* answers under way go on in the middle */
    EXPECT_CALLERS_ERROR, /* the caller's own fault: told, nobody else is asked */
    EXPECT_HONEST_ERROR   /* nobody is left: an error in the caller's dialect, in time */
};
const char *expectation_name(enum expectation e);

enum ending {
    ENDING_WHOLE, /* as the dialect ends a good answer */
    ENDING_TOLD,  /* an error in the caller's dialect */
    ENDING_RUDE,  /* an error that is not in the caller's dialect */
    ENDING_CUT,   /* the connection failed, or the stream stopped without an end */
    ENDING_LATE   /* no end within the gateway's deadline and a second */
};
enum who { WHO_NOBODY, WHO_LEAD, WHO_SPARE };

struct record { /* one conversation */
    usec planned, sent, ended;
    usec first; /* first content; streams only */
    usec gap;   /* longest time between two pieces of content */
    usec away;  /* when the gateway first asked another than the lead for it */
    unsigned shape;
    enum ending ending;
    enum who by;      /* who gave (the end of) the answer */
    bool right;       /* words, tool call and frame are all as they must be */
    bool spliced;     /* begun by one, ended by another */
    bool as_expected; /* the caller's error is the one that the provider told */
    int status;
    uint32_t attempts; /* upstream requests made for it, as the gateway logged them */
    uint32_t lost, repeated, reordered, strange; /* words */
};

/* What became of it, as its user sees it. */
enum fate {
    FATE_HIDDEN,
    FATE_CONTINUED, /* whole and right, but spliced, or with a gap of more than GAP_VISIBLE */
    FATE_LOST,
    FATE_CORRUPT, /* ended like a good answer, and was none */
    FATE_REFUSED, /* the caller's own error, as expected */
    FATE_HONEST,  /* an honest error while nobody could answer, as expected */
    FATE_COUNT
};
extern const char *const fate_names[FATE_COUNT];
#define GAP_VISIBLE (10 * USEC_PER_SEC)

struct course { /* of one drill */
    enum expectation expect;
    usec warm_end;             /* before it nothing is measured */
    usec fault_at, fault_end;  /* ordered; confirmed to be over */
    usec load_end;             /* no conversation is planned after it */
    usec opened_at;            /* the lead's circuit was first seen not closed */
    uint32_t circuit_changes;  /* closed to not closed, or back */
    uint64_t upstream, client; /* requests in all */
};
enum fate record_fate(const struct record *r, const struct course *c);

#define P99_LEAST 1000
struct spread {
    size_t count;
    usec p50, p95, p99, max; /* nearest rank; p99 only with P99_LEAST samples */
};
/* Sorts. */
struct spread spread_of(usec *at, size_t count);

struct figures {
    size_t steady;           /* conversations that ended before the fault */
    size_t count;            /* in flight or begun from the fault on: the base of the rates */
    size_t fate[FATE_COUNT]; /* of `count` */
    size_t shape[SHAPE_COUNT][FATE_COUNT];
    size_t told, rude, cut, late; /* how the lost ones ended */
    size_t spliced, gaps;
    size_t by_lead, by_spare, elsewhere;         /* elsewhere: another than the lead was asked */
    uint64_t lost, repeated, reordered, strange; /* words, in answers that claim to be whole */
    double interruption;                         /* percent */
    usec detect, open, recover, back;            /* times to, see the manual; -1 = did not happen */
    uint32_t flaps;
    double r0;   /* good answers per second before the fault */
    double dip;  /* percent */
    double area; /* requests */
    struct spread ttft_steady, ttft_over, e2e_steady, e2e_over; /* over: of those failed over */
    struct spread late_sends; /* planned to sent, all of them: the tester's own lag */
    usec gap;
    double billing; /* upstream requests per client request */
};
/* records in the order of their plan; they are not changed. */
void figures_of(const struct record *records, size_t count, const struct course *c,
                struct figures *out);

/* ---- limits ---- */

enum limit {
    LIMIT_INTERRUPTION,
    LIMIT_CORRUPTION,
    LIMIT_DUPLICATES,
    LIMIT_DETECT,
    LIMIT_OPEN,
    LIMIT_RECOVER,
    LIMIT_RETURN,
    LIMIT_FLAPS,
    LIMIT_DIP,
    LIMIT_AREA,
    LIMIT_ADDED,
    LIMIT_GAP,
    LIMIT_BILLING,
    LIMIT_ELSEWHERE,
    LIMIT_COUNT
};
struct limit_row {
    const char *name, *unit, *help;
};
extern const struct limit_row limit_rows[LIMIT_COUNT];

#define LIMIT_NONE (-1.0) /* as `most`: takes a limit away, see limits_over */
struct limits {
    bool set[LIMIT_COUNT];
    double most[LIMIT_COUNT];
};
extern const struct limits limits_default;
/* b's over a's. */
struct limits limits_over(const struct limits *a, const struct limits *b);
/* "interruption=0.5". ERR_NOT_FOUND: no limit of this name; ERR_INVALID: no such number. */
MUST_USE enum err limit_parse(struct span text, struct limits *to);

/* The figure a limit is about. False: it did not happen, and *out is not written. */
bool figure_of(const struct figures *f, enum limit which, double *out);
struct broken {
    enum limit which;
    bool happened;
    double value, most;
};
/* Those that do not hold. A time that did not come to an end breaks its limit. Returns how many. */
size_t limits_broken(const struct figures *f, const struct limits *l,
                     struct broken out[LIMIT_COUNT]);
