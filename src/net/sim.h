#pragma once
/* The simulator's own controls (loop_sim.c): only tests include this. Same seed, same run, byte for
 * byte.
 *
 * All hosts live on one loop. net_listen("name", port) makes a host; net_connect to it succeeds
 * unless a fault says otherwise; a name nobody ever listened on does not resolve. Virtual time
 * starts at 1 s and jumps to the next event; loop_run returns when nothing is left that could
 * happen. TLS is not performed: a stream remembers that it was asked for (a cut is then ERR_RESET
 * instead of ERR_EOF), and sim_tap sees which origin every byte went to.
 *
 * As TCP does, closing a stream with unread bytes resets it, and so do bytes that reach a closed
 * one. Closed hosts refuse. Callbacks that run and do nothing for thousands of turns (a
 * level-triggered spin) end the test. */
#include "net/net.h"

struct sim_faults { /* chances in 1/1000 per opportunity; all zero = a perfect network */
    uint32_t refuse, black_hole, name_lost; /* per connect */
    uint32_t reset, stall,
        cut;           /* per write: RST; nothing more is ever delivered; FIN after a prefix */
    uint32_t short_io; /* per read or write: only some of the bytes */
    usec latency_min, latency_max; /* per delivery, uniform */
};

struct loop *sim_loop_new(uint64_t seed); /* loop_new() uses seed 1 */
void sim_set_faults(struct loop *l, const struct sim_faults *f);
/* Faults for connections to one host only ("upstream-a"); overrides the general ones. */
void sim_set_host_faults(struct loop *l, const char *host, const struct sim_faults *f);
/* Runs until virtual time `until`, or idle. True when something is still scheduled. */
bool sim_run_until(struct loop *l, usec until);
/* What a signal of that number would do: calls the loop's handler, if there is one, now. */
void sim_signal(struct loop *l, int signum);
/* Sees every byte accepted by stream_write: who it was meant for ("upstream-a:443") and what. */
void sim_tap(struct loop *l,
             void (*tap)(void *ctx, const char *dest, bool to_listener, struct span bytes),
             void *ctx);
/* Live objects, for leak checks: streams not closed, listeners, armed timers. */
struct sim_census {
    size_t streams, listeners, timers;
};
struct sim_census sim_census(const struct loop *l);
