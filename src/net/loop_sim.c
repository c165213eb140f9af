/* The simulated loop: net.h and sim.h on virtual time, in one process, without a socket.
 *
 * A turn: time jumps to the next thing that is due (when nothing is ready now); packets arrive;
 * everything ready is called back, in an order shuffled by the seed; due timers fire, by a coin
 * before or behind that, because a real loop promises neither. Readiness is level-triggered and
 * looked at afresh before each callback, so no callback of a closed stream can run. Closed objects
 * are freed at the end of the turn.
 *
 * All hosts are names on the one loop. TLS is remembered, not performed. Child processes are not
 * simulated. What two streams say to each other is sim_wire.c's business.
 *
 *   CONNECTING --(the host answers)--> CONNECTED --(owner told)--> OPEN --> GONE     connecting
 * side
 *        '------(refused, no name)---> REFUSED --(owner told)--> DEAD ----> GONE
 *   ACCEPTING --(on_accept)--> OPEN --> GONE                                         listening side
 * Each may also go to GONE at once. */
#include "net/sim_internal.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>

#define START_OF_TIME USEC_PER_SEC /* not 0, which callers use for "never happened" */
#define WALL_START ((usec)1767225600 * USEC_PER_SEC) /* 2026-01-01T00:00:00Z at virtual time 0 */
#define FIRST_PORT 40000

enum stream_state {
    STREAM_CONNECTING,
    STREAM_CONNECTED,
    STREAM_REFUSED,
    STREAM_ACCEPTING,
    STREAM_OPEN,
    STREAM_DEAD,
    STREAM_GONE
};

static const uint32_t edges[] = {
    [STREAM_CONNECTING] = BIT(STREAM_CONNECTED) | BIT(STREAM_REFUSED) | BIT(STREAM_GONE),
    [STREAM_CONNECTED] = BIT(STREAM_OPEN) | BIT(STREAM_GONE),
    [STREAM_REFUSED] = BIT(STREAM_DEAD) | BIT(STREAM_GONE),
    [STREAM_ACCEPTING] = BIT(STREAM_OPEN) | BIT(STREAM_GONE),
    [STREAM_OPEN] = BIT(STREAM_GONE),
    [STREAM_DEAD] = BIT(STREAM_GONE),
    [STREAM_GONE] = 0,
};

struct stream {
    struct stream *next;
    struct loop *loop;
    enum stream_state state;
    unsigned interest;
    struct stream_events events;
    void *ctx;
    struct wire *wire; /* NULL before it is connected and once it is closed */
    int side;
    struct timer connect_due;
    enum err result;       /* of the connect */
    struct sim_host *host; /* connecting side: NULL = no such name */
    struct span host_name; /* of the destination, inside dest */
    uint16_t port;         /* of the destination */
    bool tls;              /* asked for */
    char *dest;            /* "upstream-a:443" */
    char *peer;
    const char *why;
    struct listener *listener; /* while ACCEPTING */
};

struct listener {
    struct listener *next;
    struct loop *loop;
    char *name;
    uint16_t port;
    bool reuse_port;
    bool closed; /* freed at the end of the turn */
    void (*on_accept)(void *ctx, struct stream *s);
    void *ctx;
};

struct tls_client {
    unsigned refs;
};
struct tls_server {
    unsigned refs;
};

/* The only function that writes s->state. */
static void enter(struct stream *s, enum stream_state next)
{
    assert(edges[s->state] & BIT(next));
    s->state = next;
    s->loop->progress++;
}

/* ---- loop, time, randomness ---- */

struct loop *sim_loop_new(uint64_t seed)
{
    struct loop *l = mem_new(struct loop);
    l->now = START_OF_TIME;
    l->port_next = l->peer_port_next = FIRST_PORT;
    l->streams_end = &l->streams;
    timers_init(&l->timers);
    timers_init(&l->wires);
    sim_random_seed(&l->chance, seed);
    sim_random_seed(&l->random, ~seed);
    return l;
}

struct loop *loop_new_guest(void)
{
    return sim_loop_new(1);
}

void loop_resume(struct loop *l, bool counts)
{
    (void)l, (void)counts; /* virtual time stands still by itself */
}

int loop_fd(struct loop *l, int *out_timeout_ms)
{
    (void)l; /* nothing of it happens in the system */
    *out_timeout_ms = 0;
    return -1;
}

struct loop *loop_new(void)
{
    return sim_loop_new(1);
}

static void stream_free(struct stream *s)
{
    mem_free(s->dest);
    mem_free(s->peer);
    mem_free(s);
}

/* The end of a turn: what was closed in it goes. */
static void reap(struct loop *l)
{
    for (struct stream **at = &l->streams; *at;) {
        struct stream *s = *at;
        if (s->state == STREAM_GONE) {
            *at = s->next;
            stream_free(s);
        } else {
            at = &s->next;
        }
    }
    l->streams_end = &l->streams;
    while (*l->streams_end)
        l->streams_end = &(*l->streams_end)->next;
    for (struct listener **at = &l->listeners; *at;) {
        struct listener *li = *at;
        if (li->closed) {
            *at = li->next;
            mem_free(li->name);
            mem_free(li);
        } else {
            at = &li->next;
        }
    }
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    assert(!l->running);
    assert(l->live_streams == 0 && l->live_listeners == 0);
    reap(l);
    assert(!l->streams && !l->listeners);
    while (l->hosts) {
        struct sim_host *h = l->hosts;
        l->hosts = h->next;
        mem_free(h->name);
        mem_free(h);
    }
    timers_deinit(&l->wires);
    timers_deinit(&l->timers);
    mem_free(l);
}

usec loop_now(struct loop *l)
{
    return l->now;
}

usec loop_wall(struct loop *l)
{
    return WALL_START + l->now;
}

void loop_random(struct loop *l, void *to, size_t len)
{
    unsigned char *at = to;
    for (size_t i = 0; i < len; i++)
        at[i] = (unsigned char)(sim_random_next(&l->random) >> 56);
}

uint64_t loop_random_below(struct loop *l, uint64_t bound)
{
    return sim_random_below(&l->random, bound);
}

void loop_timer_at(struct loop *l, struct timer *t, usec at, void (*fire)(struct timer *t))
{
    timers_set(&l->timers, t, at, fire);
}

void loop_timer_in(struct loop *l, struct timer *t, usec delay, void (*fire)(struct timer *t))
{
    timers_set(&l->timers, t, delay > USEC_NEVER - l->now ? USEC_NEVER : l->now + delay, fire);
}

void loop_timer_cancel(struct loop *l, struct timer *t)
{
    timers_cancel(&l->timers, t);
}

void loop_on_wake(struct loop *l, void (*on_wake)(void *ctx), void *ctx)
{
    l->on_wake = on_wake;
    l->wake_ctx = ctx;
}

void loop_wake(struct loop *l)
{
    atomic_store(&l->woken, true);
}

void loop_on_signal(struct loop *l, int signum, void (*on_signal)(void *ctx, int signum), void *ctx)
{
    assert(signum > 0 && signum < SIM_SIGNAL_MAX);
    l->signals[signum] = (struct signal_handler){on_signal, ctx};
}

void sim_signal(struct loop *l, int signum)
{
    assert(signum > 0 && signum < SIM_SIGNAL_MAX);
    struct signal_handler h = l->signals[signum];
    if (h.on_signal)
        h.on_signal(h.ctx, signum);
}

/* ---- turns ---- */

static bool wants(const struct stream *s, unsigned interest)
{
    return s->state == STREAM_OPEN && (s->interest & interest);
}

static bool may_read(const struct stream *s)
{
    return wants(s, STREAM_READ) && wire_readable(s->wire, s->side);
}

static bool may_write(const struct stream *s)
{
    return wants(s, STREAM_WRITE) && wire_writable(s->wire, s->side);
}

static bool is_ready(const struct stream *s)
{
    return s->state == STREAM_CONNECTED || s->state == STREAM_REFUSED ||
           s->state == STREAM_ACCEPTING || may_read(s) || may_write(s);
}

static bool anything_ready(const struct loop *l)
{
    if (atomic_load(&l->woken))
        return true;
    for (const struct stream *s = l->streams; s; s = s->next)
        if (is_ready(s))
            return true;
    return false;
}

static void call_accept(struct stream *s)
{
    struct listener *li = s->listener;
    enter(s, STREAM_OPEN);
    s->listener = NULL;
    s->loop->live_streams++;
    li->on_accept(li->ctx, s);
}

static void call_connect(struct stream *s)
{
    enter(s, s->result == ERR_OK ? STREAM_OPEN : STREAM_DEAD);
    s->events.on_connect(s->ctx, s->result);
}

/* Looks at the stream afresh: callbacks before this one may have changed or closed it. */
static void call_back(struct stream *s)
{
    if (s->state == STREAM_ACCEPTING) {
        call_accept(s);
        return;
    }
    if (s->state == STREAM_CONNECTED || s->state == STREAM_REFUSED) {
        call_connect(s);
        return;
    }
    bool write_first = sim_random_below(&s->loop->chance, 2) == 1;
    if (write_first && may_write(s))
        s->events.on_writable(s->ctx);
    if (may_read(s))
        s->events.on_readable(s->ctx);
    if (!write_first && may_write(s))
        s->events.on_writable(s->ctx);
}

static size_t collect_ready(struct loop *l, struct stream ***out_list)
{
    size_t count = 0, at = 0;
    for (struct stream *s = l->streams; s; s = s->next)
        count += is_ready(s);
    *out_list = NULL;
    if (count == 0)
        return 0;
    struct stream **list = mem_alloc(count * sizeof(*list));
    for (struct stream *s = l->streams; s; s = s->next)
        if (is_ready(s))
            list[at++] = s;
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)sim_random_below(&l->chance, i);
        struct stream *swap = list[j];
        list[j] = list[i - 1];
        list[i - 1] = swap;
    }
    *out_list = list;
    return count;
}

static void run_ready(struct loop *l)
{
    timers_run(&l->wires, l->now);
    if (atomic_exchange(&l->woken, false) && l->on_wake) {
        l->progress++;
        l->on_wake(l->wake_ctx);
    }
    struct stream **list;
    uint64_t progress = l->progress;
    size_t count = collect_ready(l, &list);
    for (size_t i = 0; i < count; i++)
        if (is_ready(list[i]))
            call_back(list[i]);
    mem_free(list);
    l->spins = count > 0 && l->progress == progress ? l->spins + 1 : 0;
    if (l->spins >= SIM_SPIN_MAX) {
        (void)fprintf(stderr, "sim: %zu streams are called back and do nothing\n", count);
    }
    assert(l->spins < SIM_SPIN_MAX);
}

static void run_timers(struct loop *l)
{
    if (timers_next(&l->timers) > l->now)
        return;
    l->progress++;
    timers_run(&l->timers, l->now);
}

static usec next_due(const struct loop *l)
{
    usec timer = timers_next(&l->timers), wire = timers_next(&l->wires);
    return timer < wire ? timer : wire;
}

/* False: nothing happens up to `until`. */
static bool turn(struct loop *l, usec until)
{
    usec due = next_due(l);
    if (!anything_ready(l)) {
        if (due == USEC_NEVER || due > until)
            return false;
        if (due > l->now)
            l->now = due;
    }
    if (sim_random_below(&l->chance, 2) == 0) {
        run_timers(l);
        run_ready(l);
    } else {
        run_ready(l);
        run_timers(l);
    }
    reap(l);
    return true;
}

static void run(struct loop *l, usec until)
{
    assert(!l->running);
    l->running = true;
    while (!l->stopping && turn(l, until))
        continue;
    l->running = false;
}

void loop_run(struct loop *l)
{
    run(l, USEC_NEVER);
    l->stopping = false;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

bool sim_run_until(struct loop *l, usec until)
{
    run(l, until);
    if (!l->stopping && until != USEC_NEVER && l->now < until)
        l->now = until;
    l->stopping = false;
    return anything_ready(l) || next_due(l) != USEC_NEVER;
}

/* ---- controls ---- */

static struct sim_host *host_find(struct loop *l, struct span name)
{
    for (struct sim_host *h = l->hosts; h; h = h->next)
        if (strlen(h->name) == name.len && memcmp(h->name, name.at, name.len) == 0)
            return h;
    return NULL;
}

static char *cstr_of(struct span s)
{
    char *text = mem_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(text, s.at, s.len);
    text[s.len] = '\0';
    return text;
}

static struct sim_host *host_named(struct loop *l, struct span name)
{
    struct sim_host *h = host_find(l, name);
    if (h)
        return h;
    h = mem_new(struct sim_host);
    h->name = cstr_of(name);
    h->next = l->hosts;
    l->hosts = h;
    return h;
}

void sim_set_faults(struct loop *l, const struct sim_faults *f)
{
    l->faults = *f;
}

void sim_set_host_faults(struct loop *l, const char *host, const struct sim_faults *f)
{
    struct sim_host *h = host_named(l, (struct span){host, strlen(host)});
    h->has_faults = true;
    h->faults = *f;
}

void sim_tap(struct loop *l,
             void (*tap)(void *ctx, const char *dest, bool to_listener, struct span bytes),
             void *ctx)
{
    l->tap = tap;
    l->tap_ctx = ctx;
}

struct sim_census sim_census(const struct loop *l)
{
    return (struct sim_census){l->live_streams, l->live_listeners, l->timers.count};
}

/* ---- TLS: only counted ---- */

enum err tls_client_new(const char *ca_file, struct tls_client **out, const char **out_why)
{
    (void)ca_file, (void)out_why; /* nothing is read, nothing can fail */
    *out = mem_new(struct tls_client);
    (*out)->refs = 1;
    return ERR_OK;
}

struct tls_client *tls_client_ref(struct tls_client *t)
{
    t->refs++;
    return t;
}

void tls_client_unref(struct tls_client *t)
{
    if (t && --t->refs == 0)
        mem_free(t);
}

enum err tls_server_new(const char *cert_file, const char *key_file, struct tls_server **out,
                        const char **out_why)
{
    (void)cert_file, (void)key_file, (void)out_why;
    *out = mem_new(struct tls_server);
    (*out)->refs = 1;
    return ERR_OK;
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    t->refs++;
    return t;
}

void tls_server_unref(struct tls_server *t)
{
    if (t && --t->refs == 0)
        mem_free(t);
}

/* ---- connecting and listening ---- */

static struct stream *stream_new(struct loop *l, enum stream_state first)
{
    struct stream *s = mem_new(struct stream);
    s->loop = l;
    s->state = first;
    s->why = "";
    *l->streams_end = s;
    l->streams_end = &s->next;
    return s;
}

/* One of the listeners on that name and port; by chance when several share it. */
static struct listener *listener_for(struct loop *l, struct span name, uint16_t port)
{
    struct listener *found = NULL;
    uint64_t seen = 0;
    for (struct listener *li = l->listeners; li; li = li->next) {
        if (li->closed || li->port != port)
            continue;
        if (strlen(li->name) != name.len || memcmp(li->name, name.at, name.len) != 0)
            continue;
        seen++;
        if (sim_random_below(&l->chance, seen) == 0)
            found = li;
    }
    return found;
}

static char *host_port(struct span host, uint16_t port)
{
    char *text = mem_alloc(host.len + 8);
    (void)snprintf(text, host.len + 8, "%.*s:%u", SPAN_FMT(host), (unsigned)port);
    return text;
}

static void refuse(struct stream *s, enum err why)
{
    s->result = why;
    s->why = why == ERR_NAME ? "no such host (simulated)" : "connection refused (simulated)";
    enter(s, STREAM_REFUSED);
}

static void connect_to(struct stream *s, struct listener *li)
{
    struct stream *other = stream_new(s->loop, STREAM_ACCEPTING);
    struct wire *w = wire_new(s->loop, s->host, s->dest, s->tls);
    w->ends[0] = s;
    w->ends[1] = other;
    s->wire = other->wire = w;
    other->side = 1;
    other->listener = li;
    other->peer = host_port(SPAN("127.0.0.1"), s->loop->peer_port_next++);
    if (s->loop->peer_port_next == 0)
        s->loop->peer_port_next = FIRST_PORT;
    s->peer = mem_strdup(s->dest);
    enter(s, STREAM_CONNECTED);
}

static void connect_fire(struct timer *t)
{
    struct stream *s = CONTAINER_OF(t, struct stream, connect_due);
    if (s->result != ERR_OK) {
        refuse(s, s->result);
        return;
    }
    struct listener *li = listener_for(s->loop, s->host_name, s->port);
    if (li) {
        connect_to(s, li);
    } else {
        refuse(s, ERR_REFUSED);
    }
}

/* Names that nobody ever listened on do not resolve; addresses need no resolving. */
static enum err fate_of_connect(struct loop *l, const struct stream *s, bool *out_black_hole)
{
    const struct sim_faults *f = sim_faults_of(l, s->host);
    bool numeric = s->host_name.at[0] >= '0' && s->host_name.at[0] <= '9';
    *out_black_hole = false;
    if (sim_chance(l, f->name_lost) || (!s->host && !numeric))
        return ERR_NAME;
    *out_black_hole = sim_chance(l, f->black_hole);
    return sim_chance(l, f->refuse) ? ERR_REFUSED : ERR_OK;
}

void net_connect(struct loop *l, const struct net_dest *dest, const struct stream_events *events,
                 void *ctx, struct stream **out)
{
    assert(events->on_connect && dest->host.len > 0);
    struct stream *s = stream_new(l, STREAM_CONNECTING);
    l->live_streams++;
    s->events = *events;
    s->ctx = ctx;
    s->port = dest->port;
    s->tls = dest->tls != NULL;
    s->dest = host_port(dest->host, dest->port);
    s->host_name = (struct span){s->dest, dest->host.len};
    s->host = host_find(l, s->host_name);
    bool black_hole;
    s->result = fate_of_connect(l, s, &black_hole);
    usec due = l->now + sim_latency(l, s->host);
    if (!black_hole)
        timers_set(&l->wires, &s->connect_due, due, connect_fire);
    *out = s;
}

/* 0: taken. */
static uint16_t choose_port(struct loop *l, struct span name, uint16_t port, bool reuse_port)
{
    while (port == 0) {
        uint16_t next = l->port_next++;
        if (next >= FIRST_PORT && !listener_for(l, name, next))
            return next;
    }
    const struct listener *taken = listener_for(l, name, port);
    return taken && !(taken->reuse_port && reuse_port) ? 0 : port;
}

enum err net_listen(struct loop *l, struct span host, uint16_t port, const struct listen_options *o,
                    void (*on_accept)(void *ctx, struct stream *s), void *ctx,
                    struct listener **out, const char **out_why)
{
    bool reuse_port = o && o->reuse_port;
    port = choose_port(l, host, port, reuse_port);
    if (port == 0) {
        *out_why = "address already in use (simulated)";
        return ERR_EXISTS;
    }
    struct listener *li = mem_new(struct listener);
    li->loop = l;
    li->name = cstr_of(host);
    li->port = port;
    li->reuse_port = reuse_port;
    li->on_accept = on_accept;
    li->ctx = ctx;
    li->next = l->listeners;
    l->listeners = li;
    l->live_listeners++;
    (void)host_named(l, host); /* from now on the name resolves */
    *out = li;
    return ERR_OK;
}

uint16_t listener_port(const struct listener *li)
{
    return li->port;
}

static void leave(struct stream *s, bool abort)
{
    assert(s->state != STREAM_GONE);
    if (s->state != STREAM_ACCEPTING)
        s->loop->live_streams--;
    timers_cancel(&s->loop->wires, &s->connect_due);
    if (s->wire)
        wire_leave(s->wire, s->side, abort);
    s->wire = NULL;
    s->interest = 0;
    enter(s, STREAM_GONE);
}

void listener_close(struct listener *li)
{
    if (!li)
        return;
    assert(!li->closed);
    li->closed = true;
    li->loop->live_listeners--;
    for (struct stream *s = li->loop->streams; s; s = s->next)
        if (s->state == STREAM_ACCEPTING && s->listener == li)
            leave(s, true);
}

/* ---- streams ---- */

void stream_close(struct stream *s)
{
    if (s)
        leave(s, false);
}

void stream_abort(struct stream *s)
{
    if (s)
        leave(s, true);
}

static enum err told(struct stream *s, enum err e)
{
    if (e == ERR_RESET)
        s->why = "connection reset by peer (simulated)";
    return e;
}

enum err stream_read(struct stream *s, void *to, size_t cap, size_t *out_len)
{
    assert(s->state != STREAM_GONE);
    if (s->state == STREAM_DEAD)
        return s->result;
    if (s->state != STREAM_OPEN)
        return ERR_AGAIN;
    return told(s, wire_read(s->wire, s->side, to, cap, out_len));
}

enum err stream_write(struct stream *s, const struct span *pieces, size_t count, size_t *out_len)
{
    assert(s->state != STREAM_GONE);
    *out_len = 0;
    if (s->state == STREAM_DEAD)
        return s->result;
    if (s->state != STREAM_OPEN)
        return ERR_AGAIN;
    return told(s, wire_write(s->wire, s->side, pieces, count, out_len));
}

void stream_want(struct stream *s, unsigned interest)
{
    assert(s->state != STREAM_GONE);
    assert((interest & ~(unsigned)(STREAM_READ | STREAM_WRITE)) == 0);
    assert(!(interest & STREAM_READ) || s->events.on_readable);
    assert(!(interest & STREAM_WRITE) || s->events.on_writable);
    s->interest = interest;
}

void stream_set_events(struct stream *s, const struct stream_events *events, void *ctx)
{
    assert(s->state != STREAM_GONE);
    s->events = *events;
    s->ctx = ctx;
}

const char *stream_why(const struct stream *s)
{
    return s->why;
}

const char *stream_peer(const struct stream *s)
{
    return s->peer ? s->peer : "";
}

bool stream_stirs(struct stream *s)
{
    assert(s->state != STREAM_GONE);
    return s->state == STREAM_OPEN && wire_readable(s->wire, s->side);
}
