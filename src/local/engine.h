#pragma once
/* The life of one engine on this machine: when it is started, how long it may load, when it is
 * taken for hung, restarted, given up, unloaded.
 *
 * Pure: no clock, no process, no socket. The caller passes the time and what it saw, and does what
 * engine_step asks for; a test runs a day in a microsecond. States and edges: engine.c. */
#include "base/base.h"

enum engine_start {
    ENGINE_NEVER,     /* somebody else's business */
    ENGINE_ALWAYS,    /* as long as we run */
    ENGINE_ON_DEMAND, /* when a request has come to it */
    ENGINE_WARM,      /* that, and when a target before it in a chain gets into trouble */
};

enum engine_state {
    ENGINE_OFF,
    ENGINE_LOADING, /* its process runs and is not ready */
    ENGINE_READY,
    ENGINE_ENDING,  /* told to end, not gone yet */
    ENGINE_WAITING, /* failed; started again at retry_at */
    ENGINE_GAVE_UP, /* failed too often, or in a way no repeat cures; tried again at retry_at */
    ENGINE_STATES
};
const char *engine_state_name(enum engine_state s);

enum engine_reason {
    ENGINE_FINE,
    ENGINE_IDLE,    /* not used for long enough: unloaded on purpose */
    ENGINE_CHANGED, /* its configuration is another, or we end: on purpose, too */
    ENGINE_CRASHED,
    ENGINE_HUNG,     /* was ready, and no longer answers its health check */
    ENGINE_TOO_SLOW, /* not ready within load_max */
    ENGINE_OUT_OF_MEMORY,
    ENGINE_PORT_TAKEN,
    ENGINE_MODEL_MISSING,
    ENGINE_MODEL_BAD,
    ENGINE_CONTEXT, /* the model has not so long a one */
    ENGINE_NO_PROGRAM,
    ENGINE_BAD_FLAG,
    ENGINE_REASONS
};
const char *engine_reason_name(enum engine_reason r); /* "out_of_memory" */
const char *engine_reason_text(enum engine_reason r); /* what happened, in words */
const char *engine_reason_fix(enum engine_reason r);  /* what to do about it; "" = nothing */
/* What a line of an engine's output says about why it will end; ENGINE_FINE: nothing known. */
enum engine_reason engine_reason_of(struct span line);

struct engine_config {
    enum engine_start start;
    usec idle;     /* unused for so long: unloaded; 0 = never. Not for ENGINE_ALWAYS. */
    usec load_max; /* from start to ready */
};

enum engine_action {
    ENGINE_DO_NOTHING,
    ENGINE_DO_START, /* start its process, then engine_exited when it has ended or could not start
                      */
    ENGINE_DO_PROBE, /* ask its health, then engine_probed */
    ENGINE_DO_END,   /* end its process */
};

struct engine { /* embed it; the fields belong to engine.c */
    struct engine_config config;
    enum engine_state state;
    enum engine_reason reason; /* why it ended last, or is being ended */
    usec since;                /* of the state */
    usec used_at;              /* last use; 0 = none since it was unloaded */
    usec retry_at, probe_at;
    bool probing;
    uint32_t missed;          /* health checks in a row */
    uint32_t failures_in_row; /* without 60 s of being ready between them */
    uint64_t starts, failures;
};

void engine_init(struct engine *e, const struct engine_config *c, usec now);
void engine_use(struct engine *e, usec now); /* somebody wants it, or is using it */
/* What is to be done now. Call again until it says ENGINE_DO_NOTHING. */
enum engine_action engine_step(struct engine *e, usec now);
usec engine_next(const struct engine *e); /* when to step again if nothing else happens */
void engine_probed(struct engine *e, usec now, bool healthy);
/* It is to end now, for no fault of its own. True: its process is to be ended. */
bool engine_unload(struct engine *e, usec now);
void engine_exited(struct engine *e, usec now, enum engine_reason why);
