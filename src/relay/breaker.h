#pragma once
/* Circuit breaker of one (target, model): says whether it may be tried now.
 *
 * Pure: no clock, no allocation. The caller passes the time, so a test runs a day in a microsecond.
 * Shared by all workers: each function takes the breaker's own lock for a few dozen instructions.
 * States and edges: breaker.c. */
#include "base/base.h"
#include "relay/cause.h"
#include "relay/ramp.h"
#include <pthread.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_config {
    uint32_t failures;                 /* in a row that open it; 5 */
    uint32_t ratio_min, ratio_percent; /* or >= percent of >= min in the last 30 s; 20, 50 */
    usec open, open_max; /* 30 s, 5 min: grows by doubling per repeat, +-20 % jitter. A cause's
                            horizon opens for longer at once, up to open_max too. */
    usec ramp;           /* 30 s: how long each step of the way back lasts (ramp.h); 0 = none */
};
extern const struct breaker_config breaker_config_default;

enum breaker_drill { /* what failures that were committed on purpose have done to it */
                     BREAKER_UNDRILLED,
                     BREAKER_DRILL_COUNTED,
                     BREAKER_DRILL_OPENED
};

struct breaker { /* embed it; the fields belong to breaker.c */
    pthread_mutex_t lock;
    struct breaker_config config;
    enum breaker_state state;
    enum cause last_cause;
    uint32_t failures_in_row, opened_in_row, trial_owed;
    bool trial_forced;                    /* the trial came by breaker_force, before retry_at */
    uint32_t window_ok[6], window_bad[6]; /* 5 s each */
    int64_t window_slot;
    usec retry_at, opened_at, trial_at;
    uint64_t opened_total;
    struct ramp ramp;
    enum breaker_drill drill;
};

struct breaker_view {         /* a consistent copy for status, metrics, journal */
    enum breaker_state state; /* what the next request will find: an OPEN one whose time is over is
                                 told as HALF_OPEN */
    enum cause last_cause;
    usec retry_in; /* while OPEN */
    uint32_t failures_in_row;
    uint64_t opened_total;
    struct ramp_view share; /* of the conversations that may go to it; breakers do not enforce it */
};

void breaker_init(struct breaker *b, const struct breaker_config *c);
/* May one request be sent now? ERR_OK: the caller owes one breaker_report (or breaker_cancel).
 * ERR_REFUSED: *out_wait microseconds, >= 1, until asking again is worthwhile. HALF_OPEN lets one
 * trial through at a time (a trial not reported within 60 s no longer blocks; a forced one leaves
 * the breaker OPEN for what was left). */
MUST_USE enum err breaker_ask(struct breaker *b, usec now, usec *out_wait);
/* Takes a request past an open breaker: the last target left is never refused. Owes a report like
 * breaker_ask. */
void breaker_force(struct breaker *b, usec now);
/* While OPEN: its time is over now, and the next request is a trial. For who knows from elsewhere
 * that the target is back; what it grew to stays, should the trial fail. */
void breaker_try_now(struct breaker *b, usec now);
/* c == CAUSE_NONE: success. wait: what the provider asked for (0 = nothing). jitter: uniform in [0,
 * 1000). */
void breaker_report(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter);
/* The same for a failure that was committed on purpose (fault_board.h): it counts like a real one
 * until breaker_undo_drill. Of a target that is really out it says nothing. */
void breaker_report_drill(struct breaker *b, usec now, enum cause c, usec wait, uint32_t jitter);
/* The drill is over: what its failures did is taken back. A breaker that they opened is closed and
 * gets its whole share again, unless a real failure has been met since. */
void breaker_undo_drill(struct breaker *b);
void breaker_cancel(struct breaker *b,
                    usec now); /* the client left: says nothing about the target */
struct breaker_view breaker_view(struct breaker *b, usec now);
/* Persistence: state that outlives a restart, in wall time. restore ignores what has expired. */
struct breaker_saved {
    int64_t retry_at_wall;
    uint32_t cause, opened_in_row;
};
bool breaker_save(struct breaker *b, usec now, usec wall,
                  struct breaker_saved *out); /* false = nothing worth saving */
void breaker_restore(struct breaker *b, usec now, usec wall, const struct breaker_saved *saved);
const char *breaker_state_name(enum breaker_state s);
