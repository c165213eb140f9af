#pragma once
/* What the simulator's files share: loop_sim.c (loop, turns, hosts, streams) and sim_wire.c (what
 * travels between two streams, and what happens to it on the way). Nobody else includes it. */
#include "net/sim.h"

/* Bytes under way or unread in one direction; more is ERR_AGAIN. */
#define SIM_WINDOW ((size_t)64 << 10)
/* Turns in a row in which callbacks ran and nothing was read, written, connected or closed: a
 * level-triggered loop in which somebody spins. */
#define SIM_SPIN_MAX 10000
#define SIM_SIGNAL_MAX 65

struct sim_random { /* xoshiro256++ */
    uint64_t state[4];
};
void sim_random_seed(struct sim_random *r, uint64_t seed);
uint64_t sim_random_next(struct sim_random *r);
uint64_t sim_random_below(struct sim_random *r, uint64_t bound); /* uniform in [0, bound) */

struct sim_host { /* a name that resolves, and the faults of its connections */
    struct sim_host *next;
    char *name;
    bool has_faults;
    struct sim_faults faults;
};

enum packet_kind {
    PACKET_DATA,
    PACKET_FIN,   /* orderly end */
    PACKET_RESET, /* what came before it can still be read */
    PACKET_WIPE,  /* a reset that takes what is unread with it */
};
struct packet {
    struct packet *next;
    enum packet_kind kind;
    usec at;
    size_t bytes; /* of DATA */
};

/* One direction. The ring holds `arrived` readable bytes and behind them those still under way:
 *
 *     start            start + arrived            start + len
 *       |---- readable ----|---- in packets, in order ----|                                   */
struct lane {
    struct wire *wire;
    struct timer arrival; /* of the first packet; those behind it never overtake it */
    struct packet *packets;
    char *ring; /* SIM_WINDOW bytes, taken on first use */
    size_t start, len, arrived;
    bool fin, reset; /* have arrived */
    bool reset_sent;
};

/* Two streams and what is between them. Freed when both have left. */
struct wire {
    struct loop *loop;
    struct sim_host *host;  /* whom the connecting side asked for */
    char *dest;             /* "upstream-a:443" */
    struct stream *ends[2]; /* [0] connected, [1] was accepted; NULL once closed */
    struct lane lanes[2];   /* lanes[i] carries towards ends[i] */
    bool tls;
    bool stalled; /* nothing is delivered any more */
    bool dead;    /* reset or cut in between: what is written goes nowhere */
};

struct wire *wire_new(struct loop *l, struct sim_host *host, const char *dest, bool tls);
/* The side leaves. The other one is told: FIN, or a reset when told to abort or when bytes were
 * left unread, as TCP does. */
void wire_leave(struct wire *w, int side, bool abort);
MUST_USE enum err wire_read(struct wire *w, int side, void *to, size_t cap, size_t *out_len);
MUST_USE enum err wire_write(struct wire *w, int side, const struct span *pieces, size_t count,
                             size_t *out_len);
bool wire_readable(const struct wire *w, int side);
bool wire_writable(const struct wire *w, int side);

struct signal_handler {
    void (*on_signal)(void *ctx, int signum);
    void *ctx;
};

struct loop {
    usec now;
    struct timers timers; /* the callers' */
    struct timers wires;  /* ours: packets and connects under way */
    struct sim_random chance;
    struct sim_random random; /* what callers get; of its own, so that asking changes no fate */
    struct sim_faults faults;
    struct sim_host *hosts;
    struct stream *streams, **streams_end; /* in order of birth; also the closed, until turn end */
    struct listener *listeners;
    size_t live_streams, live_listeners;
    uint16_t port_next, peer_port_next;
    bool running, stopping;
    uint64_t progress; /* counts whatever moved; see SIM_SPIN_MAX */
    uint32_t spins;
    _Atomic(bool) woken;
    void (*on_wake)(void *ctx);
    void *wake_ctx;
    struct signal_handler signals[SIM_SIGNAL_MAX];
    void (*tap)(void *ctx, const char *dest, bool to_listener, struct span bytes);
    void *tap_ctx;
};

bool sim_chance(struct loop *l, uint32_t per_mille);
usec sim_latency(struct loop *l, const struct sim_host *host);
const struct sim_faults *sim_faults_of(const struct loop *l, const struct sim_host *host);
