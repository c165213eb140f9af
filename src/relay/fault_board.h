#pragma once
/* The one fault that is being committed on purpose inside this gateway, during a drill against its
 * own chain: by whose order, at which target, to which share of the conversations, until when, and
 * what became of those it met.
 *
 * An order is a lease of seconds: unless it is given again in time it is over, so that a drill that
 * dies leaves nothing behind. Shared by all workers, under a lock that requests take only while an
 * order is in force. Time is passed in; knows no socket and no exchange. Only serve/admin.c gives
 * orders. */
#include "relay/fault.h"
#include <pthread.h>
#include <stdatomic.h>

#define FAULT_TEXT_MAX 64
#define FAULT_LEASE_LEAST (500 * USEC_PER_MS)
#define FAULT_LEASE_MOST (60 * USEC_PER_SEC)

struct fault_order {
    char drill[FAULT_TEXT_MAX];  /* who gives it; also the mark in its own requests' header */
    char target[FAULT_TEXT_MAX]; /* of whose answers */
    char spec[FAULT_TEXT_MAX];   /* as it was written: "stall@9" */
    struct fault fault;
    uint32_t percent; /* of the conversations */
    bool only_mine;   /* nobody is met but those that carry the mark */
    bool circuit;     /* its failures count for the circuit like real ones: others are moved, too */
    bool
        draining; /* meets nobody new; those it has met go on to meet it. May change at a renewal */
    usec lease;
};
struct fault_wish { /* as it comes; spans borrow */
    struct span drill, target, spec;
    int64_t percent;
    bool only_mine, circuit, draining;
    usec lease;
};
/* ERR_INVALID: out_why is a sentence (static). */
MUST_USE enum err fault_order_make(const struct fault_wish *w, struct fault_order *out,
                                   const char **out_why);

enum fault_fate {                  /* of a request that was met */
                  FAULT_HIDDEN,    /* answered as if nothing had been */
                  FAULT_CONTINUED, /* answered, gone on with in the middle */
                  FAULT_TOLD,      /* the caller's own error */
                  FAULT_LOST,      /* an error, or cut off by one */
                  FAULT_LEFT,      /* its client left */
                  FAULT_RELEASED,  /* the order ended while it was kept waiting: says nothing of the
                                      chain */
                  FAULT_FATES
};
extern const char *const fault_fate_names[FAULT_FATES];

struct fault_outcome { /* one request that was met, over */
    uint64_t serial;   /* of the order that met it */
    enum fault_fate fate;
    uint32_t attempts;
    usec elsewhere; /* when another target was first asked for it; 0 = none was */
    usec first;     /* to its first content; 0 = there was none */
    usec gap;       /* its longest */
};
struct fault_counts {
    uint64_t met;                 /* requests; those that are not over have no fate yet */
    uint64_t fate[FAULT_FATES];   /* they go on to be counted when the order is over */
    uint64_t attempts, elsewhere; /* upstream requests; requests for which another was asked */
    usec detect;                  /* order to the first of those; -1 = none yet */
    usec first, gap;              /* the longest */
};

struct fault_board { /* embed it; the fields belong to fault_board.c */
    pthread_mutex_t lock;
    atomic_bool armed; /* an order may be in force */
    bool undo_owed;
    struct fault_order order;
    struct fault_counts counts;
    uint64_t serial; /* of the order; counts up */
    uint64_t seed[2];
    usec began, ends;
    atomic_ullong struck; /* in all, of any order */
};
struct fault_view { /* a consistent copy */
    bool active;
    struct fault_order order;
    struct fault_counts counts;
    uint64_t serial; /* another one: another order */
    usec left;
};
struct fault_hit { /* what is to be committed, and by which order */
    struct fault fault;
    char spec[FAULT_TEXT_MAX];
    uint64_t serial;
    bool circuit;
};

/* seed: secret; hand it to identity_of. */
void fault_board_init(struct fault_board *b, const uint64_t seed[2]);
void fault_board_deinit(struct fault_board *b);

/* Gives an order, or the same one again, whose counts then go on. ERR_EXISTS: another drill's is in
 * force. */
MUST_USE enum err fault_board_set(struct fault_board *b, const struct fault_order *o, usec now);
/* Ends what is in force, if `drill` gave it; empty: whosever it is. False: nothing was ended. */
bool fault_board_clear(struct fault_board *b, struct span drill);
/* Ends an order whose lease is over. Returns the time until it will be; USEC_NEVER = none is. */
usec fault_board_sweep(struct fault_board *b, usec now);
/* True once after each end: what injected failures did to breakers is to be taken back. */
bool fault_board_undo_owed(struct fault_board *b);
struct fault_view fault_board_view(struct fault_board *b, usec now);

/* One load: all that it costs a request while no drill is on. */
static inline bool fault_board_armed(struct fault_board *b)
{
    return b && atomic_load_explicit(&b->armed, memory_order_relaxed);
}
/* Is an attempt at `target` met? mark: what its request says about its drill. conversation: its
 * hash; one conversation is met by an order always or never. */
bool fault_board_meets(struct fault_board *b, usec now, const char *target, struct span mark,
                       uint64_t conversation, struct fault_hit *out);
/* The fault was committed, for the first time in this request. */
void fault_board_struck(struct fault_board *b, uint64_t serial);
/* Is the order that met somebody still in force? What fails for it counts only while it is. */
bool fault_board_current(struct fault_board *b, uint64_t serial, usec now);
void fault_board_count(struct fault_board *b, const struct fault_outcome *o);
