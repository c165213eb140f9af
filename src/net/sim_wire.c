/* What travels between two simulated streams: bytes in packets, ends and resets, each with its
 * time of arrival, and the faults that befall them.
 *
 * A lane behaves as one direction of TCP: in order, a bounded window, an end behind the last byte.
 * The rules that trip real programs are kept: closing with unread bytes resets, and so does a byte
 * that arrives at a stream already closed; after an EOF the peer's reset is seen by writing only; a
 * reset may or may not take unread bytes with it. Knows no callbacks: loop_sim.c asks what is
 * ready. */
#include "net/sim_internal.h"

#include "base/mem.h"

static uint64_t rotl(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

void sim_random_seed(struct sim_random *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(r->state); i++) { /* splitmix64, so that seed 0 is fine */
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->state[i] = z ^ (z >> 31);
    }
}

uint64_t sim_random_next(struct sim_random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotl(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t sim_random_below(struct sim_random *r, uint64_t bound)
{
    assert(bound > 0);
    uint64_t reject_below = (0 - bound) % bound; /* so that what remains is a multiple of bound */
    for (;;) {
        uint64_t x = sim_random_next(r);
        if (x >= reject_below)
            return x % bound;
    }
}

bool sim_chance(struct loop *l, uint32_t per_mille)
{
    return per_mille > 0 && sim_random_below(&l->chance, 1000) < per_mille;
}

const struct sim_faults *sim_faults_of(const struct loop *l, const struct sim_host *host)
{
    return host && host->has_faults ? &host->faults : &l->faults;
}

usec sim_latency(struct loop *l, const struct sim_host *host)
{
    const struct sim_faults *f = sim_faults_of(l, host);
    assert(f->latency_min >= 0);
    if (f->latency_max <= f->latency_min)
        return f->latency_min;
    uint64_t spread = (uint64_t)(f->latency_max - f->latency_min) + 1;
    return f->latency_min + (usec)sim_random_below(&l->chance, spread);
}

static int lane_side(const struct lane *a)
{
    return a == &a->wire->lanes[1];
}

static void lane_put(struct lane *a, struct span s)
{
    assert(s.len <= SIM_WINDOW - a->len);
    if (!a->ring)
        a->ring = mem_alloc(SIM_WINDOW);
    size_t at = (a->start + a->len) % SIM_WINDOW;
    size_t first = s.len < SIM_WINDOW - at ? s.len : SIM_WINDOW - at;
    if (first > 0)
        memcpy(a->ring + at, s.at, first);
    if (s.len > first)
        memcpy(a->ring, s.at + first, s.len - first);
    a->len += s.len;
}

/* Takes n readable bytes off the front; `to` may be NULL. */
static void lane_take(struct lane *a, char *to, size_t n)
{
    assert(n <= a->arrived && a->arrived <= a->len);
    size_t first = n < SIM_WINDOW - a->start ? n : SIM_WINDOW - a->start;
    if (to && first > 0)
        memcpy(to, a->ring + a->start, first);
    if (to && n > first)
        memcpy(to + first, a->ring, n - first);
    a->start = (a->start + n) % SIM_WINDOW;
    a->arrived -= n;
    a->len -= n;
}

static void lane_fire(struct timer *t);

static void lane_arm(struct lane *a)
{
    struct loop *l = a->wire->loop;
    if (a->packets && !a->wire->stalled) {
        timers_set(&l->wires, &a->arrival, a->packets->at, lane_fire);
    } else {
        timers_cancel(&l->wires, &a->arrival);
    }
}

static void lane_push(struct lane *a, enum packet_kind kind, size_t bytes)
{
    struct loop *l = a->wire->loop;
    struct packet *p = mem_new(struct packet);
    p->kind = kind;
    p->bytes = bytes;
    p->at = l->now + sim_latency(l, a->wire->host);
    struct packet **tail = &a->packets;
    while (*tail)
        tail = &(*tail)->next;
    *tail = p;
    lane_arm(a);
}

static void lane_push_reset(struct lane *a, bool may_wipe)
{
    if (a->reset_sent)
        return;
    a->reset_sent = true;
    bool wipe = may_wipe && sim_random_below(&a->wire->loop->chance, 2) == 1;
    lane_push(a, wipe ? PACKET_WIPE : PACKET_RESET, 0);
}

static void lane_deliver(struct lane *a, const struct packet *p)
{
    int side = lane_side(a);
    bool closed = !a->wire->ends[side];
    switch (p->kind) {
    case PACKET_DATA:
        a->arrived += p->bytes;
        assert(a->arrived <= a->len);
        if (closed) {
            lane_take(a, NULL, a->arrived);
            lane_push_reset(&a->wire->lanes[!side], false);
        }
        return;
    case PACKET_FIN:
        a->fin = true;
        return;
    case PACKET_WIPE:
        lane_take(a, NULL, a->arrived);
        a->fin = false;
        a->reset = true;
        return;
    case PACKET_RESET:
        a->reset = true;
        return;
    }
}

static void lane_fire(struct timer *t)
{
    struct lane *a = CONTAINER_OF(t, struct lane, arrival);
    struct loop *l = a->wire->loop;
    while (a->packets && a->packets->at <= l->now) {
        struct packet *p = a->packets;
        a->packets = p->next;
        lane_deliver(a, p);
        mem_free(p);
    }
    l->progress++;
    lane_arm(a);
}

static void lane_deinit(struct lane *a)
{
    timers_cancel(&a->wire->loop->wires, &a->arrival);
    while (a->packets) {
        struct packet *p = a->packets;
        a->packets = p->next;
        mem_free(p);
    }
    mem_free(a->ring);
}

struct wire *wire_new(struct loop *l, struct sim_host *host, const char *dest, bool tls)
{
    struct wire *w = mem_new(struct wire);
    w->loop = l;
    w->host = host;
    w->dest = mem_strdup(dest);
    w->tls = tls;
    w->lanes[0].wire = w->lanes[1].wire = w;
    return w;
}

static void wire_free(struct wire *w)
{
    assert(!w->ends[0] && !w->ends[1]);
    lane_deinit(&w->lanes[0]);
    lane_deinit(&w->lanes[1]);
    mem_free(w->dest);
    mem_free(w);
}

void wire_leave(struct wire *w, int side, bool abort)
{
    struct lane *in = &w->lanes[side], *out = &w->lanes[!side];
    assert(w->ends[side]);
    bool unread = in->arrived > 0;
    lane_take(in, NULL, in->arrived);
    w->ends[side] = NULL;
    if (!w->ends[!side]) {
        wire_free(w);
        return;
    }
    if (w->dead)
        return; /* the other side has its end on the way already */
    if (abort || unread) {
        lane_push_reset(out, true);
    } else {
        lane_push(out, PACKET_FIN, 0);
    }
}

bool wire_readable(const struct wire *w, int side)
{
    const struct lane *in = &w->lanes[side];
    return in->arrived > 0 || in->fin || in->reset;
}

bool wire_writable(const struct wire *w, int side)
{
    return w->lanes[side].reset || w->dead || w->lanes[!side].len < SIM_WINDOW;
}

/* n, or by fault a part of it, at least 1. */
static size_t shortened(struct wire *w, size_t n)
{
    if (!sim_chance(w->loop, sim_faults_of(w->loop, w->host)->short_io))
        return n;
    return 1 + (size_t)sim_random_below(&w->loop->chance, n);
}

enum err wire_read(struct wire *w, int side, void *to, size_t cap, size_t *out_len)
{
    struct lane *in = &w->lanes[side];
    assert(cap > 0);
    if (in->arrived > 0) {
        *out_len = shortened(w, cap < in->arrived ? cap : in->arrived);
        lane_take(in, to, *out_len);
        w->loop->progress++;
        return ERR_OK;
    }
    if (in->fin)
        return ERR_EOF;
    return in->reset ? ERR_RESET : ERR_AGAIN;
}

/* The first n bytes of the pieces: to the tap, or into the lane. */
static void carry(struct wire *w, int side, const struct span *pieces, size_t n, bool to_tap)
{
    for (size_t i = 0; n > 0; i++) {
        size_t part = pieces[i].len < n ? pieces[i].len : n;
        struct span s = {pieces[i].at, part};
        n -= part;
        if (part == 0)
            continue;
        if (to_tap) {
            w->loop->tap(w->loop->tap_ctx, w->dest, side == 0, s);
        } else {
            lane_put(&w->lanes[!side], s);
        }
    }
}

static void send_data(struct wire *w, int side, const struct span *pieces, size_t n)
{
    if (n == 0)
        return;
    carry(w, side, pieces, n, false);
    lane_push(&w->lanes[!side], PACKET_DATA, n);
}

/* A reset from the middle of the network: a part of this write still gets through. */
static enum err break_by_reset(struct wire *w, int side, const struct span *pieces, size_t n)
{
    send_data(w, side, pieces, (size_t)sim_random_below(&w->loop->chance, n));
    lane_push_reset(&w->lanes[!side], true);
    w->dead = true;
    if (sim_random_below(&w->loop->chance, 2) == 0) {
        lane_push_reset(&w->lanes[side], true); /* the writer learns of it later */
        return ERR_OK;
    }
    w->lanes[side].reset = true;
    w->lanes[side].reset_sent = true;
    return ERR_RESET;
}

/* The far side sees an end in the middle; over TLS that is told from an orderly one. */
static void break_by_cut(struct wire *w, int side, const struct span *pieces, size_t n)
{
    send_data(w, side, pieces, (size_t)sim_random_below(&w->loop->chance, n));
    if (w->tls) {
        lane_push_reset(&w->lanes[!side], false);
    } else {
        lane_push(&w->lanes[!side], PACKET_FIN, 0);
    }
    lane_push_reset(&w->lanes[side], false);
    w->dead = true;
}

static void stall(struct wire *w)
{
    w->stalled = true;
    lane_arm(&w->lanes[0]);
    lane_arm(&w->lanes[1]);
}

static size_t pieces_bytes(const struct span *pieces, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].len;
    return total;
}

enum err wire_write(struct wire *w, int side, const struct span *pieces, size_t count,
                    size_t *out_len)
{
    const struct sim_faults *f = sim_faults_of(w->loop, w->host);
    size_t total = pieces_bytes(pieces, count);
    size_t room = w->dead ? SIM_WINDOW : SIM_WINDOW - w->lanes[!side].len;
    assert(total > 0);
    if (w->lanes[side].reset)
        return ERR_RESET;
    *out_len = 0;
    if (room == 0)
        return ERR_AGAIN;
    size_t n = shortened(w, total < room ? total : room);
    bool whole = !w->dead && !w->stalled;
    if (whole && sim_chance(w->loop, f->reset)) {
        enum err e = break_by_reset(w, side, pieces, n);
        if (e != ERR_OK)
            return e;
    } else if (whole && sim_chance(w->loop, f->cut)) {
        break_by_cut(w, side, pieces, n);
    } else {
        if (whole && sim_chance(w->loop, f->stall))
            stall(w);
        if (!w->dead)
            send_data(w, side, pieces, n);
    }
    if (w->loop->tap)
        carry(w, side, pieces, n, true);
    w->loop->progress++;
    *out_len = n;
    return ERR_OK;
}
