#pragma once
/* The engines that this gateway starts: processes, health checks, log lines. What is done when is
 * local/engine.h's to say.
 *
 * All but engines_gate and engine_view belong to the main thread, whose loop they run on; workers
 * see gates (relay/gate.h). */
#include "local/engine.h"
#include "net/net.h"
#include "relay/gate.h"
#include "serve/config.h"

struct engines;
struct snapshot;
struct service;

struct engines *engines_new(void);
void engines_free(struct engines *e); /* after engines_stop has told, or without a run */

/* Targets without a url of their own get a port that is free now, and keep it over reloads. */
void engines_choose_ports(struct engines *e, struct config *c);
/* The gate of a target; NULL: it is not started by us. Lives until engines_free. Thread: main. */
struct gate *engines_gate(struct engines *e, const struct config_target *t);

/* Begins to work: from now on what is wanted is started. */
void engines_run(struct engines *e, struct loop *l, struct service *s);
/* A new configuration is in force: starts, changes and ends what it says. */
void engines_adopt(struct engines *e);
void engines_wake(struct engines *e); /* somebody asked at a gate */
/* Ends all of them; on_over comes once, at once when there are none, after 15 s at the latest. */
void engines_stop(struct engines *e, void (*on_over)(void *ctx), void *ctx);

struct engine_view { /* a copy for status and metrics */
    enum engine_state state;
    enum engine_reason reason;
    int pid; /* of the engine itself; 0 = none */
    uint16_t port;
    usec since, retry_in;
    uint64_t starts, failures;
    int users;
};
/* What an engine's gate stands for. Thread: any. */
struct engine_view engine_view(struct gate *g, usec now);
