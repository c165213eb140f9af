/* One struct per engine that was ever configured, found by its target's name; it stays when a
 * reload drops the target (its gate may still be held) and is reused when it comes back.
 *
 *   engine_step says START -> child_start(engine-guard ... -- command) on the main loop
 *                     PROBE -> one GET on the health path, 5 s at most
 *                     END   -> SIGTERM to the guard, which ends the engine's whole group
 *
 * What an engine prints is read only for the reason of its end; it goes to the engine's own log,
 * never to ours: it may hold a prompt. Ports and model files are looked at before a start, because
 * engines tell such faults in many words. */
#include "serve/engines.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "conn/pool.h"
#include "net/child.h"
#include "net/sock.h"
#include "serve/engine_command.h"
#include "serve/service.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK (250 * USEC_PER_MS)
#define PROBE_TIME (5 * USEC_PER_SEC)
#define STOP_TIME (15 * USEC_PER_SEC)
#define SIGNAL_CODE 128

struct running {
    struct gate gate; /* first: engine_view casts */
    struct engines *all;
    struct running *next;
    char *name;
    char *folder; /* of its log; NULL = none */
    struct engine engine;
    struct snapshot *snapshot; /* holds the target; NULL: no longer configured */
    const struct config_target *target;
    uint16_t port; /* chosen by us; 0 = its url says */
    struct child *child;
    struct call *probe;
    struct origin *origin;
    int probe_status;
    usec probe_until;
    enum engine_reason seen; /* in its output */
    usec used_seen;          /* gate.used_at as it was looked at last */
    bool told;               /* to end */
    pthread_mutex_t lock;    /* guards view */
    struct engine_view view;
};

struct engines {
    struct running *first;
    struct loop *loop; /* NULL: not running */
    struct service *service;
    struct pool *pool;
    struct timer timer;
    bool stopping, over;
    usec stop_at;
    void (*on_over)(void *ctx);
    void *over_ctx;
};

static void turn(struct engines *e);

/* ---- books ---- */

struct engines *engines_new(void)
{
    return mem_new(struct engines);
}

static struct running *find(struct engines *e, const char *name)
{
    struct running *r = e->first;
    while (r && strcmp(r->name, name) != 0)
        r = r->next;
    return r;
}

static struct running *find_or_make(struct engines *e, const char *name)
{
    struct running *r = find(e, name);
    if (r)
        return r;
    r = mem_new(struct running);
    r->all = e;
    r->name = mem_strdup(name);
    atomic_store(&r->gate.answer, GATE_LOADING);
    pthread_mutex_init(&r->lock, NULL);
    r->next = e->first;
    e->first = r;
    return r;
}

void engines_free(struct engines *e)
{
    for (struct running *r = e->first, *next; r; r = next) {
        next = r->next;
        child_free(r->child);
        call_cancel(r->probe);
        if (r->snapshot)
            snapshot_unref(r->snapshot);
        pthread_mutex_destroy(&r->lock);
        mem_free(r->folder);
        mem_free(r->name);
        mem_free(r);
    }
    if (e->loop)
        loop_timer_cancel(e->loop, &e->timer);
    if (e->pool)
        pool_free(e->pool);
    mem_free(e);
}

struct gate *engines_gate(struct engines *e, const struct config_target *t)
{
    return t->start == ENGINE_NEVER ? NULL : &find_or_make(e, t->name)->gate;
}

void engines_choose_ports(struct engines *e, struct config *c)
{
    for (size_t i = 0; i < c->target_count; i++) {
        struct config_target *t = &c->targets[i];
        if (t->start == ENGINE_NEVER || !t->port_open)
            continue;
        struct running *r = find_or_make(e, t->name);
        if (r->port == 0 && !sock_port_free(&r->port))
            r->port = t->url.port; /* the kind's own */
        t->url.port = r->port;
        t->url_text = arena_printf(&c->arena, "http://%.*s:%u%.*s", SPAN_FMT(t->url.host), r->port,
                                   SPAN_FMT(t->url.path))
                          .at;
    }
}

/* ---- telling ---- */

static enum gate_answer gate_answer(const struct running *r)
{
    if (!r->snapshot || r->engine.state == ENGINE_GAVE_UP)
        return GATE_GONE;
    return r->engine.state == ENGINE_READY ? GATE_OPEN : GATE_LOADING;
}

static void publish(struct running *r)
{
    const struct engine *e = &r->engine;
    atomic_store(&r->gate.answer, gate_answer(r));
    pthread_mutex_lock(&r->lock);
    r->view.state = e->state;
    r->view.reason = e->reason;
    r->view.since = e->since;
    r->view.retry_in = e->retry_at; /* made relative when looked at */
    r->view.starts = e->starts;
    r->view.failures = e->failures;
    r->view.port = r->target ? r->target->url.port : 0;
    pthread_mutex_unlock(&r->lock);
}

struct engine_view engine_view(struct gate *g, usec now)
{
    struct running *r = CONTAINER_OF(g, struct running, gate);
    pthread_mutex_lock(&r->lock);
    struct engine_view v = r->view;
    pthread_mutex_unlock(&r->lock);
    bool waits = v.state == ENGINE_WAITING || v.state == ENGINE_GAVE_UP;
    v.retry_in = waits && v.retry_in > now ? v.retry_in - now : 0;
    v.since = now > v.since ? now - v.since : 0;
    v.users = atomic_load(&g->users);
    return v;
}

static void tell_failure(const struct running *r)
{
    const struct engine *e = &r->engine;
    char detail[1200], next[32];
    const char *file = r->target ? engine_model_file(r->target) : NULL;
    bool about_file = e->reason == ENGINE_MODEL_MISSING || e->reason == ENGINE_MODEL_BAD;
    if (e->reason == ENGINE_PORT_TAKEN && r->target)
        (void)snprintf(detail, sizeof detail, "%s (port %u)", engine_reason_text(e->reason),
                       r->target->url.port);
    else if (about_file && file)
        (void)snprintf(detail, sizeof detail, "%s (%s)", engine_reason_text(e->reason), file);
    else
        (void)snprintf(detail, sizeof detail, "%s", engine_reason_text(e->reason));
    (void)snprintf(next, sizeof next, "%lld s",
                   (long long)((e->retry_at - loop_now(r->all->loop)) / USEC_PER_SEC)); /* fits */
    log_line(LOG_WARN, e->state == ENGINE_GAVE_UP ? "engine_given_up" : "engine_failed", "engine",
             r->name, "reason", engine_reason_name(e->reason), "why", detail, "fix",
             engine_reason_fix(e->reason), "log", r->folder ? r->folder : "none: set state_dir",
             "again_in", next, NULL);
}

static void tell(const struct running *r, enum engine_state before)
{
    const struct engine *e = &r->engine;
    if (e->state == before || e->state == ENGINE_ENDING)
        return;
    if (e->state == ENGINE_WAITING || e->state == ENGINE_GAVE_UP)
        tell_failure(r);
    else if (e->state == ENGINE_OFF)
        log_line(LOG_INFO, "engine_unloaded", "engine", r->name, "why",
                 engine_reason_name(e->reason), NULL);
    else
        log_line(LOG_INFO, e->state == ENGINE_READY ? "engine_ready" : "engine_starting", "engine",
                 r->name, NULL);
}

/* ---- its process ---- */

static void on_line(void *ctx, struct span line)
{
    struct running *r = ctx;
    uint64_t pid;
    if (span_starts(line, SPAN("guard: pid ")) && span_u64(span_drop(line, 11), &pid) == ERR_OK) {
        pthread_mutex_lock(&r->lock);
        r->view.pid = (int)pid;
        pthread_mutex_unlock(&r->lock);
        return;
    }
    enum engine_reason said = engine_reason_of(line);
    if (said != ENGINE_FINE && r->seen == ENGINE_FINE)
        r->seen = said;
}

static enum engine_reason reason_of_end(const struct running *r, int status)
{
    if (status == 127 && r->seen == ENGINE_FINE)
        return ENGINE_NO_PROGRAM;
    if (r->seen != ENGINE_FINE)
        return r->seen;
    /* Nobody of us killed it so: the kernel, when memory ran out. */
    return status == SIGNAL_CODE + SIGKILL ? ENGINE_OUT_OF_MEMORY : ENGINE_CRASHED;
}

static void drop_probe(struct running *r)
{
    call_cancel(r->probe);
    r->probe = NULL;
    if (r->origin)
        pool_origin_release(r->origin);
    r->origin = NULL;
}

static void ended(struct running *r, enum engine_reason why)
{
    enum engine_state before = r->engine.state;
    drop_probe(r);
    pthread_mutex_lock(&r->lock);
    r->view.pid = 0;
    pthread_mutex_unlock(&r->lock);
    engine_exited(&r->engine, loop_now(r->all->loop), why);
    tell(r, before);
    publish(r);
}

static void on_exit_of(void *ctx, int status, int signum)
{
    struct running *r = ctx;
    child_free(r->child);
    r->child = NULL;
    r->told = false;
    ended(r, reason_of_end(r, signum ? SIGNAL_CODE + signum : status));
    loop_timer_in(r->all->loop, &r->all->timer, 1, r->all->timer.fire);
}

static const char *environment(const char *name)
{
    return getenv(name);
}

/* Where its log goes: state_dir/NAME.log. NULL: nowhere. */
static const char *log_file(struct arena *a, const struct running *r)
{
    const char *folder = r->snapshot->config->state_dir;
    return folder ? arena_printf(a, "%s/engine-%s.log", folder, r->name).at : NULL;
}

/* hotspare engine-guard --log F --memory N -- command... */
static const char *const *guarded(struct arena *a, const char *self, const char *log,
                                  const struct config_target *t, const char *const *command)
{
    size_t words = 0, n = 0;
    while (command[words])
        words++;
    const char **argv = arena_array(a, const char *, words + 8);
    argv[n++] = self;
    argv[n++] = "engine-guard";
    if (log) {
        argv[n++] = "--log";
        argv[n++] = log;
    }
    if (t->memory > 0) {
        argv[n++] = "--memory";
        argv[n++] = arena_printf(a, "%zu", t->memory).at;
    }
    argv[n++] = "--";
    memcpy(argv + n, command, words * sizeof *argv);
    return argv;
}

static enum engine_reason launch(struct running *r, struct arena *a)
{
    char self[4096];
    const char *why = "";
    const char *log = log_file(a, r);
    if (child_own_path(self, sizeof self) != ERR_OK)
        return ENGINE_NO_PROGRAM;
    mem_free(r->folder);
    r->folder = log ? mem_strdup(log) : NULL;
    struct child_options o = {.argv =
                                  guarded(a, self, log, r->target, engine_command(a, r->target)),
                              .env = engine_environment(a, r->target, environment),
                              .on_line = on_line,
                              .on_exit = on_exit_of,
                              .ctx = r};
    if (child_start(r->all->loop, &o, &r->child, &why) == ERR_OK)
        return ENGINE_FINE;
    log_line(LOG_ERROR, "engine_not_started", "engine", r->name, "why", why, NULL);
    return ENGINE_NO_PROGRAM;
}

static void start(struct running *r)
{
    const char *file = engine_model_file(r->target);
    uint16_t port = r->target->url.port;
    enum engine_reason why = ENGINE_FINE;
    r->seen = ENGINE_FINE;
    r->told = false;
    if (file && access(file, R_OK) != 0)
        why = ENGINE_MODEL_MISSING;
    else if (!sock_port_free(&port))
        why = ENGINE_PORT_TAKEN;
    if (why == ENGINE_FINE) {
        struct arena a;
        arena_init(&a, (size_t)1 << 20);
        why = launch(r, &a);
        arena_deinit(&a);
    }
    if (why != ENGINE_FINE)
        ended(r, why);
}

static void end(struct running *r)
{
    if (r->child && !r->told)
        child_signal(r->child, SIGTERM); /* to the guard; it kills after its own grace */
    r->told = true;
}

/* On purpose: no failure. */
static void unload(struct running *r)
{
    if (engine_unload(&r->engine, loop_now(r->all->loop))) {
        drop_probe(r);
        publish(r);
        end(r);
    }
}

/* ---- its health ---- */

static void probed(struct running *r, bool healthy)
{
    enum engine_state before = r->engine.state;
    drop_probe(r);
    engine_probed(&r->engine, loop_now(r->all->loop), healthy);
    tell(r, before);
    publish(r);
}

static void on_head(void *ctx, const struct http_head *head)
{
    ((struct running *)ctx)->probe_status = head->status;
}

static void on_body(void *ctx, struct span bytes)
{
    (void)ctx, (void)bytes;
}

static void on_end(void *ctx)
{
    struct running *r = ctx;
    r->probe = NULL;
    probed(r, engine_is_healthy(r->target->kind, r->probe_status));
    turn(r->all);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct running *r = ctx;
    (void)e, (void)stage, (void)why; /* while it loads nobody listens: nothing to tell */
    r->probe = NULL;
    probed(r, false);
    turn(r->all);
}

static const struct call_events probe_events = {on_head, on_body, on_end, on_error};

static void probe(struct running *r)
{
    struct call_request ask = {.method = SPAN("GET"),
                               .target = span_from(engine_health_path(r->target->kind))};
    r->probe_status = 0;
    r->probe_until = loop_now(r->all->loop) + PROBE_TIME;
    r->origin = pool_origin(r->all->pool, &r->target->url, NULL);
    r->probe = call_start(r->all->pool, r->origin, &ask, &probe_events, r);
}

/* ---- time ---- */

static void step(struct running *r, usec now)
{
    for (;;) {
        enum engine_state before = r->engine.state;
        enum engine_action action = engine_step(&r->engine, now);
        tell(r, before);
        publish(r);
        if (action == ENGINE_DO_NOTHING)
            return;
        if (action == ENGINE_DO_START)
            start(r);
        else if (action == ENGINE_DO_PROBE)
            probe(r);
        else
            end(r);
    }
}

/* A target before it in a chain is in trouble: not closed, or counting failures. */
static bool is_trouble_before(const struct running *r, struct snapshot *s, usec now)
{
    for (size_t i = 0; i < s->config->route_count; i++) {
        const struct config_route *route = &s->config->routes[i];
        bool trouble = false;
        for (size_t k = 0; k < route->link_count; k++) {
            if (&s->config->targets[route->links[k].target] == r->target && trouble)
                return true;
            struct breaker_view v = breaker_view(s->breakers[route->links[k].breaker], now);
            trouble |= v.state != BREAKER_CLOSED || v.failures_in_row > 0;
        }
    }
    return false;
}

static void note_use(struct running *r, usec now)
{
    usec used = atomic_load(&r->gate.used_at);
    bool gave_up = r->engine.state == ENGINE_GAVE_UP;
    if (used > r->used_seen)
        engine_use(&r->engine, used);
    r->used_seen = used;
    if (atomic_load(&r->gate.users) > 0 && r->engine.state == ENGINE_READY)
        engine_use(&r->engine, now);
    if (r->engine.config.start == ENGINE_WARM && !gave_up && is_trouble_before(r, r->snapshot, now))
        engine_use(&r->engine, now);
}

static bool all_gone(const struct engines *e)
{
    for (const struct running *r = e->first; r; r = r->next)
        if (r->child)
            return false;
    return true;
}

static void look(struct running *r, usec now)
{
    if (r->probe && now >= r->probe_until)
        probed(r, false);
    if (!r->snapshot || r->all->stopping) {
        unload(r);
        return;
    }
    note_use(r, now);
    step(r, now);
}

static void on_tick(struct timer *t)
{
    turn(CONTAINER_OF(t, struct engines, timer));
}

static void turn(struct engines *e)
{
    usec now = loop_now(e->loop), next = now + TICK;
    for (struct running *r = e->first; r; r = r->next) {
        look(r, now);
        usec at = r->snapshot ? engine_next(&r->engine) : USEC_NEVER;
        if (at < next)
            next = at;
    }
    if (e->stopping && !e->over && (all_gone(e) || now >= e->stop_at)) {
        e->over = true;
        e->on_over(e->over_ctx);
        return;
    }
    if (e->first && !e->over)
        loop_timer_at(e->loop, &e->timer, next > now ? next : now + 1, on_tick);
}

/* ---- life ---- */

static void wake(void *ctx)
{
    loop_wake(((struct engines *)ctx)->loop);
}

void engines_run(struct engines *e, struct loop *l, struct service *s)
{
    e->loop = l;
    e->service = s;
    e->pool = pool_new(l, &pool_limits_default);
    e->timer.fire = on_tick;
    engines_adopt(e);
}

static bool same_engine(const struct config_target *a, const struct config_target *b)
{
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    const char *const *one = engine_command(&arena, a), *const *two = engine_command(&arena, b);
    size_t i = 0;
    while (one[i] && two[i] && strcmp(one[i], two[i]) == 0)
        i++;
    bool same = !one[i] && !two[i] && a->memory == b->memory && a->kind == b->kind;
    arena_deinit(&arena);
    return same;
}

static void adopt(struct running *r, struct snapshot *s, const struct config_target *t)
{
    struct engine_config config = {.start = t->start, .idle = t->idle, .load_max = t->load};
    bool same = r->snapshot && same_engine(r->target, t);
    bool hopeless = r->engine.state == ENGINE_GAVE_UP || r->engine.state == ENGINE_WAITING;
    drop_probe(r);
    r->engine.probing = false;
    if (r->snapshot)
        snapshot_unref(r->snapshot);
    atomic_fetch_add(&s->refs, 1);
    r->snapshot = s;
    r->target = t;
    r->engine.config = config;
    r->gate.wake = wake;
    r->gate.ctx = r->all;
    if (!r->child && (hopeless || !same)) { /* what was wrong may be mended */
        uint64_t starts = r->engine.starts, failures = r->engine.failures;
        engine_init(&r->engine, &config, loop_now(r->all->loop));
        r->engine.starts = starts;
        r->engine.failures = failures;
    } else if (r->child && !same) {
        unload(r); /* it comes back with its new command */
    }
    publish(r);
}

void engines_adopt(struct engines *e)
{
    struct snapshot *s = service_snapshot(e->service);
    for (struct running *r = e->first; r; r = r->next) {
        const struct config_target *t = NULL;
        for (size_t i = 0; i < s->config->target_count; i++)
            if (strcmp(s->config->targets[i].name, r->name) == 0 &&
                s->config->targets[i].start != ENGINE_NEVER)
                t = &s->config->targets[i];
        if (t) {
            adopt(r, s, t);
        } else if (r->snapshot) {
            drop_probe(r);
            snapshot_unref(r->snapshot);
            r->snapshot = NULL;
            r->target = NULL;
            unload(r);
            publish(r);
        }
    }
    snapshot_unref(s);
    turn(e);
}

void engines_wake(struct engines *e)
{
    if (e->loop && !e->over)
        turn(e);
}

void engines_stop(struct engines *e, void (*on_over)(void *ctx), void *ctx)
{
    if (e->stopping)
        return;
    e->stopping = true;
    e->on_over = on_over;
    e->over_ctx = ctx;
    e->stop_at = loop_now(e->loop) + STOP_TIME;
    turn(e);
}
