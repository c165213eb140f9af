/* See fault_board.h. An order whose lease is over meets nobody, whether or not it has been swept
 * away: nothing depends on a timer. */
#include "relay/fault_board.h"
#include "base/span.h"

const char *const fault_fate_names[FAULT_FATES] = {
    [FAULT_HIDDEN] = "hidden", [FAULT_CONTINUED] = "continued", [FAULT_TOLD] = "told",
    [FAULT_LOST] = "lost",     [FAULT_LEFT] = "client_left",    [FAULT_RELEASED] = "released",
};

/* ---- orders ---- */

/* A name goes into logs, headers and metrics: what is not plain is refused. */
static bool copy_name(char to[FAULT_TEXT_MAX], struct span from)
{
    if (from.len == 0 || from.len >= FAULT_TEXT_MAX)
        return false;
    for (size_t i = 0; i < from.len; i++) {
        unsigned char c = (unsigned char)from.at[i];
        if (c <= 0x20 || c >= 0x7F || c == '"' || c == '\\')
            return false;
        to[i] = (char)c;
    }
    to[from.len] = '\0';
    return true;
}

enum err fault_order_make(const struct fault_wish *w, struct fault_order *out, const char **out_why)
{
    struct fault_order o = {.percent = (uint32_t)w->percent,
                            .only_mine = w->only_mine,
                            .circuit = w->circuit,
                            .draining = w->draining,
                            .lease = w->lease};
    *out_why = "drill, target and fault are names of at most 63 plain characters";
    if (!copy_name(o.drill, w->drill) || !copy_name(o.target, w->target) ||
        !copy_name(o.spec, w->spec))
        return ERR_INVALID;
    *out_why = "percent is a number from 1 to 100";
    if (w->percent < 1 || w->percent > 100)
        return ERR_INVALID;
    *out_why = "lease_ms is a number from 500 to 60000";
    if (w->lease < FAULT_LEASE_LEAST || w->lease > FAULT_LEASE_MOST)
        return ERR_INVALID;
    if (fault_parse(w->spec, 0, &o.fault, out_why) != ERR_OK)
        return ERR_INVALID;
    *out_why = "only the stand-in commits this fault, not a gateway";
    if (o.fault.row->standin_only)
        return ERR_INVALID;
    *out_why = "the fault has its own share or end: percent and lease_ms say these here";
    if (o.fault.percent != 100 || o.fault.times != -1 || o.fault.until != USEC_NEVER)
        return ERR_INVALID;
    *out = o;
    return ERR_OK;
}

static bool same_order(const struct fault_order *a, const struct fault_order *b)
{
    return strcmp(a->drill, b->drill) == 0 && strcmp(a->target, b->target) == 0 &&
           strcmp(a->spec, b->spec) == 0 && a->percent == b->percent &&
           a->only_mine == b->only_mine && a->circuit == b->circuit;
}

/* ---- the board ---- */

static void lock(struct fault_board *b)
{
    int failed = pthread_mutex_lock(&b->lock);
    assert(failed == 0);
}

static void unlock(struct fault_board *b)
{
    int failed = pthread_mutex_unlock(&b->lock);
    assert(failed == 0);
}

void fault_board_init(struct fault_board *b, const uint64_t seed[2])
{
    *b = (struct fault_board){.seed = {seed[0], seed[1]}};
    int failed = pthread_mutex_init(&b->lock, NULL);
    assert(failed == 0);
}

void fault_board_deinit(struct fault_board *b)
{
    pthread_mutex_destroy(&b->lock);
}

static bool in_force(const struct fault_board *b, usec now)
{
    return atomic_load(&b->armed) && now < b->ends;
}

/* Locked. */
static bool end(struct fault_board *b)
{
    bool was = atomic_exchange(&b->armed, false);
    b->undo_owed |= was;
    return was;
}

static void begin(struct fault_board *b, const struct fault_order *o, usec now)
{
    (void)end(b);
    b->serial++;
    b->order = *o;
    b->counts = (struct fault_counts){.detect = -1};
    b->began = now;
    atomic_store(&b->armed, true);
}

enum err fault_board_set(struct fault_board *b, const struct fault_order *o, usec now)
{
    enum err e = ERR_OK;
    lock(b);
    bool on = in_force(b, now);
    if (on && strcmp(b->order.drill, o->drill) != 0) {
        e = ERR_EXISTS;
    } else {
        if (!on || !same_order(&b->order, o))
            begin(b, o, now);
        b->order.draining = o->draining;
        b->ends = now + o->lease;
    }
    unlock(b);
    return e;
}

bool fault_board_clear(struct fault_board *b, struct span drill)
{
    lock(b);
    bool was = (drill.len == 0 || span_is(drill, b->order.drill)) && end(b);
    unlock(b);
    return was;
}

usec fault_board_sweep(struct fault_board *b, usec now)
{
    usec left = USEC_NEVER;
    lock(b);
    if (in_force(b, now))
        left = b->ends - now;
    else
        (void)end(b);
    unlock(b);
    return left;
}

bool fault_board_undo_owed(struct fault_board *b)
{
    lock(b);
    bool owed = b->undo_owed;
    b->undo_owed = false;
    unlock(b);
    return owed;
}

struct fault_view fault_board_view(struct fault_board *b, usec now)
{
    struct fault_view v = {0};
    lock(b);
    v.active = in_force(b, now);
    v.order = b->order;
    v.counts = b->counts;
    v.serial = b->serial;
    v.left = v.active ? b->ends - now : 0;
    unlock(b);
    return v;
}

/* ---- requests ---- */

/* Uniform in [0, 100); another draw for each order, so that it is not always the same few who are
 * met. The hash is keyed already. */
static uint32_t draw(uint64_t conversation, uint64_t serial)
{
    uint64_t x = conversation + serial * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    return (uint32_t)((x >> 32) * 100 >> 32);
}

bool fault_board_meets(struct fault_board *b, usec now, const char *target, struct span mark,
                       uint64_t conversation, struct fault_hit *out)
{
    lock(b);
    const struct fault_order *o = &b->order;
    bool met = in_force(b, now) && !o->draining && strcmp(o->target, target) == 0 &&
               (!o->only_mine || span_is(mark, o->drill)) &&
               draw(conversation, b->serial) < o->percent;
    if (met) {
        out->fault = o->fault;
        memcpy(out->spec, o->spec, sizeof out->spec);
        out->serial = b->serial;
        out->circuit = o->circuit;
    }
    unlock(b);
    return met;
}

void fault_board_struck(struct fault_board *b, uint64_t serial)
{
    atomic_fetch_add(&b->struck, 1);
    lock(b);
    b->counts.met += b->serial == serial;
    unlock(b);
}

bool fault_board_current(struct fault_board *b, uint64_t serial, usec now)
{
    lock(b);
    bool current = in_force(b, now) && b->serial == serial;
    unlock(b);
    return current;
}

static void longest(usec *so_far, usec t)
{
    if (t > *so_far)
        *so_far = t;
}

void fault_board_count(struct fault_board *b, const struct fault_outcome *o)
{
    lock(b);
    struct fault_counts *c = &b->counts;
    if (b->serial == o->serial)
        c->fate[o->fate]++;
    if (b->serial == o->serial && o->fate != FAULT_LEFT && o->fate != FAULT_RELEASED) {
        c->attempts += o->attempts;
        c->elsewhere += o->elsewhere > 0;
        longest(&c->first, o->first);
        longest(&c->gap, o->gap);
        usec detect = o->elsewhere - b->began;
        if (o->elsewhere > 0 && (c->detect < 0 || detect < c->detect))
            c->detect = detect;
    }
    unlock(b);
}
