#pragma once
/* What all workers share: the configuration in force, the breakers, the retry budget, what refusals
 * taught, the client keys. One per process.
 *
 * A snapshot is one configuration made ready for use; it is immutable and counted, so that requests
 * under way keep the one they began with while a reload swaps in the next. Breakers live as long as
 * the process: a reload that keeps a (target, model) keeps what is known about it. What is known
 * about conversations lives as long as snapshots with the same chain follow one another. Knows no
 * loop and no connection. */
#include "net/net.h"
#include "relay/affinity.h"
#include "relay/budget.h"
#include "relay/hedge.h"
#include "relay/refused.h"
#include "relay/learned.h"
#include "relay/service_account.h"
#include "relay/fault_board.h"
#include "serve/config.h"
#include "dialect/probed.h"
#include "serve/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

struct client_keys; /* serve/keys.h */
struct engines;     /* serve/engines.h */
struct gate;

struct ca_mark { /* another file, or another content, has another mark */
    uint64_t device, inode, size;
    int64_t changed_ns;
};

struct snapshot {
    atomic_int refs;
    struct config *config;
    struct breaker **breakers;    /* config->breaker_count; belong to the service */
    struct ttft **ttfts;          /* beside them */
    struct affinity **affinities; /* one per route; NULL where there is nothing to choose */
    struct tls_client **tls;      /* one per target; NULL where plain */
    struct ca_mark *ca_marks;     /* one per target: its `ca` file as it was when read */
    struct span *credentials; /* one per target: ready-made header lines; wiped with the snapshot */
    struct gate **gates;      /* one per target: of engines that we start; NULL: none */
    struct service_account **accounts; /* one per target; NULL where it has none */
    struct probed *probed; /* of all targets, as `state_dir` has it; the memory is `kept`'s */
    size_t probed_count;
    struct arena kept;
    uint16_t *target_ids;                   /* one per target: its row in the metrics */
    struct tls_server *api_tls, *admin_tls; /* NULL = plain */
    struct client_keys *keys;               /* NULL = any key is accepted (loopback only) */
};

struct named_breaker;

struct service {
    pthread_mutex_t lock; /* guards current, breakers, names */
    struct snapshot *current;
    struct named_breaker *breakers;
    struct budget budget;
    struct hedge hedge;     /* as configured at the start */
    struct refused refused; /* thinking that targets do not take back */
    struct learned learned;
    struct fault_board faults;
    struct metrics_names names;
    struct engines *engines; /* their gates are borrowed by snapshots */
    atomic_bool draining;
    usec started_wall;
    atomic_llong reload_wall; /* last reload that was tried */
    atomic_bool reload_failed;
};

void service_init(struct service *s, usec wall);
void service_deinit(struct service *s); /* no worker may run any more */

/* Makes `c` the configuration in force (takes the reference). ERR_* with *out_why (arena of nobody:
 * static or in `why`) when it cannot be used (CA file, certificate): then nothing has changed.
 * Thread: main. */
MUST_USE enum err service_adopt(struct service *s, struct config *c, char why[256]);

/* Takes back what an order of a drill that is over (fault_board.h) did to breakers; does nothing
 * when that was done already. why: for the log. A reload ends a drill, too. Thread: any. */
void service_undo_drill(struct service *s, const char *why);

/* The snapshot in force, with a reference for the caller. Thread: any. */
struct snapshot *service_snapshot(struct service *s);
void snapshot_unref(struct snapshot *s);

/* Breaker state over restarts: one line per breaker that is not closed, in `state_dir`/breakers.
 * Failures are logged, not fatal. now/wall: from the caller's loop. */
void service_save_breakers(struct service *s, const char *state_dir, usec now, usec wall);
void service_load_breakers(struct service *s, const char *state_dir, usec now, usec wall);
