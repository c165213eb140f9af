#pragma once
/* Shared by probe.c (the command), checks.c (what is found out) and show.c (how it is told). */
#include "tools/probe/ask.h"
#include "tools/probe/calls.h"

#include <stdio.h>

enum probe_row {
    ROW_TEXT,
    ROW_SYSTEM,
    ROW_TURNS,
    ROW_STREAM,
    ROW_STREAM_END,
    ROW_STREAM_OPTIONS,
    ROW_STREAM_USAGE,
    ROW_TOOLS,
    ROW_TOOL_CALLS,
    ROW_FORCED_TOOL,
    ROW_PARALLEL_TOOLS,
    ROW_TOOL_RESULTS,
    ROW_RESULT_IMAGES,
    ROW_IMAGES,
    ROW_PDF,
    ROW_SCHEMA,
    ROW_STOP,
    ROW_MAX_TOKENS,
    ROW_THINKING,
    ROW_PREFILL,
    ROW_CONTEXT,
    ROW_COUNT_TOKENS,
    ROW_USAGE,
    ROW_ERRORS,
    ROW_LIMITS,
    ROW_FIRST_TOKEN,
    ROW_SPEED,
    ROWS
};
const char *probe_row_name(enum probe_row r);

enum probe_state {
    STATE_SKIPPED, /* not asked: it follows from another, or there is nothing to ask */
    STATE_WORKS,
    STATE_CONVERTED, /* not there as it was asked, but the gateway carries it another way */
    STATE_DEGRADED,  /* ... with a loss, which it tells */
    STATE_REFUSED,
    STATE_BROKEN,  /* accepted, and not done */
    STATE_UNCLEAR, /* what came proves neither */
    STATES
};
const char *probe_state_name(enum probe_state s);

struct verdict {
    enum probe_state state;
    bool finding; /* the target was asked for it in its own format, and does not do it */
    char why[320];
};

struct probe_door { /* one format of a target */
    const struct dialect *dialect;
    struct span path;
    bool spoken; /* it answers there at all */
    struct verdict rows[ROWS];
};

struct purse {                  /* one per target and model: prices differ */
    bool in_usd;                /* what the cap counts; else tokens */
    bool free;                  /* the target is one's own */
    double cap;                 /* for one target and model */
    double price_in, price_out; /* USD for a million tokens; NAN: not known */
    const char *price_as_of;    /* NULL: given on the command line, or not known */
    double spent;               /* in the cap's unit */
};
double purse_cost(const struct purse *b, int64_t in, int64_t out); /* in the cap's unit */

#define PROBE_DOORS 2
struct probe { /* of one model at one target */
    struct asker *asker;
    struct purse *budget;
    const struct relay_target *target;
    const char *name, *model, *url; /* plain */
    struct span raw_model;          /* raw JSON string content */
    struct capability presumed;
    int64_t context;                      /* tokens of the long prompt */
    struct probe_door doors[PROBE_DOORS]; /* what is spoken to it; its own Messages door */
    size_t door_count;
    bool answers; /* it gave an answer; else nothing is known and `trouble` says why */
    char trouble[480];
    bool ours;           /* the gateway starts it */
    char not_asked[200]; /* why it was not probed at all; "" = it was */
    struct probed found;
    bool stored;
    int64_t calls, spent_in, spent_out; /* as told by it, else as estimated */
    char limits[160];
};

/* What a whole probe may come to. */
struct probe_plan {
    int64_t calls, in, out;
};
struct probe_plan probe_plan(const struct probe *p);
/* Asks. on_row: a verdict was reached. */
void probe_run(struct probe *p, void (*on_row)(void *ctx, const struct probe *p), void *ctx);
/* The first row in which its own Messages door is worse than the translated one; ROWS: none. */
enum probe_row probe_native_worse(const struct probe *p);
size_t probe_findings(const struct probe *p);

void probe_show(const struct probe *p, bool colour, FILE *to);
void probe_json(const struct probe *all, size_t count, bool dry, struct buf *out);
