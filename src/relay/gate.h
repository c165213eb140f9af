#pragma once
/* The gate of a target that we start ourselves: requests ask here before they go to it, and say
 * that they want it by asking.
 *
 * Only atomics: workers ask, the main thread, which starts and watches the engine, answers. */
#include "base/base.h"

#include <stdatomic.h>

enum gate_answer {
    GATE_OPEN,
    GATE_LOADING, /* it is being started: wait, or go elsewhere */
    GATE_GONE     /* it has been given up */
};

struct gate {                /* lives as long as the process */
    atomic_int answer;       /* enum gate_answer */
    atomic_llong used_at;    /* monotonic; the last time somebody asked or was done; 0 = never */
    atomic_int users;        /* attempts under way */
    void (*wake)(void *ctx); /* tells the main thread; NULL: nobody listens. Thread-safe. */
    void *ctx;
};

/* May a request go there now? Asking starts it. g == NULL: it needs no starting. */
enum gate_answer gate_ask(struct gate *g, usec now);
/* The same without wanting it. */
bool gate_is_open(struct gate *g);
/* An attempt begins, or is over. NULL is fine. */
void gate_enter(struct gate *g);
void gate_leave(struct gate *g, usec now);
