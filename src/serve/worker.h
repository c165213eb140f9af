#pragma once
/* One worker: a thread with its loop, its listeners, its upstream pool, and the doors. The first
 * one also serves admin.
 *
 * Nothing is shared with other workers but the service's atomics, breakers and snapshots. */
#include "conn/pool.h"
#include "conn/server.h"
#include "serve/access_log.h"
#include "serve/routing.h"
#include "serve/service.h"

struct worker {
    struct service *service;
    size_t index, count; /* of `count` workers */
    struct worker *all;  /* the array, for /metrics */
    struct loop *loop;
    struct pool *pool;
    struct server *api, *admin;
    struct relay relay;
    struct routing *routing;
    struct metrics *metrics;
    struct access_log *access;
    struct timer drain_timer;
    struct timer fault_timer; /* of the admin doors: a drill's lease */
    atomic_bool reload_wanted, drain_wanted, cut_wanted;
    bool draining;
    pthread_t thread;
};

/* Makes the loop, binds the listeners (admin on index 0), builds the routing. api_port/admin_port:
 * 0 = as configured; workers after the first are given the ports the first one got. why: a sentence
 * on error. */
MUST_USE enum err worker_init(struct worker *w, struct service *s, struct worker *all, size_t index,
                              size_t count, uint16_t api_port, int access_fd, char why[256]);
void worker_run(struct worker *w); /* until drained or cut */
void worker_deinit(struct worker *w);

/* Thread-safe orders. */
void worker_reload(struct worker *w);
void worker_drain(struct worker *w);
void worker_cut(struct worker *w);

/* doors.c, admin.c: the handlers; ctx is the worker. */
extern const struct server_handler doors_handler, admin_handler;
