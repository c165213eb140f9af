/* Asking health endpoints of engines that others start. */
#include "serve/health.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "conn/pool.h"
#include "serve/engine_command.h"
#include "serve/service.h"

#include <stdio.h>

#define LOOK_TIME (1 * USEC_PER_SEC)
#define ANSWER_TIME (2 * USEC_PER_SEC)
#define NAME_MAX_BYTES 64
#define PATH_MAX_BYTES 512

struct watched { /* a target by name; kept while the process lives */
    struct watched *next;
    struct health *all;
    char name[NAME_MAX_BYTES];
    char path[PATH_MAX_BYTES];
    enum target_kind kind;
    struct call *call;
    int status;
    usec until;
    bool away; /* since its breaker opened */
};

struct health {
    struct loop *loop;
    struct pool *pool;
    struct service *service;
    struct timer timer;
    struct watched *first;
};

/* ---- breakers ---- */

static bool is_engine(enum target_kind k)
{
    return k == TARGET_VLLM || k == TARGET_LLAMA_CPP || k == TARGET_OLLAMA;
}

/* Of the links to a target: is a breaker open? try_now: and may they be tried. */
static bool any_open(struct snapshot *s, const char *name, usec now, bool try_now)
{
    bool open = false;
    for (size_t i = 0; i < s->config->route_count; i++) {
        const struct config_route *route = &s->config->routes[i];
        for (size_t k = 0; k < route->link_count; k++) {
            struct breaker *b = s->breakers[route->links[k].breaker];
            if (strcmp(s->config->targets[route->links[k].target].name, name) != 0 ||
                breaker_view(b, now).state != BREAKER_OPEN)
                continue;
            open = true;
            if (try_now)
                breaker_try_now(b, now);
        }
    }
    return open;
}

/* ---- one engine ---- */

static void is_back(struct watched *w)
{
    struct snapshot *s = service_snapshot(w->all->service);
    if (any_open(s, w->name, loop_now(w->all->loop), true))
        log_line(LOG_INFO, "engine_is_back", "target", w->name, "what",
                 "its health endpoint is content again: the next request may try it", NULL);
    snapshot_unref(s);
}

static void answered(struct watched *w, bool healthy)
{
    w->call = NULL;
    if (healthy && w->away)
        is_back(w);
    w->away = !healthy;
}

static void on_head(void *ctx, const struct http_head *head)
{
    ((struct watched *)ctx)->status = head->status;
}

static void on_body(void *ctx, struct span bytes)
{
    (void)ctx, (void)bytes; /* the status says it */
}

static void on_end(void *ctx)
{
    struct watched *w = ctx;
    answered(w, engine_is_healthy(w->kind, w->status));
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    (void)e, (void)stage, (void)why; /* the requests tell of it */
    answered(ctx, false);
}

static const struct call_events events = {on_head, on_body, on_end, on_error};

/* The health path stands beside /v1, not below it. */
static void set_path(struct watched *w, const struct config_target *t)
{
    struct span base = t->url.path;
    if (span_ends(base, SPAN("/v1")))
        base.len -= 3;
    (void)snprintf(w->path, sizeof w->path, "%.*s%s", SPAN_FMT(base), engine_health_path(w->kind));
}

static void ask(struct watched *w, struct snapshot *s, size_t target)
{
    const struct config_target *t = &s->config->targets[target];
    struct tls_client *tls = t->url.tls ? s->tls[target] : NULL;
    set_path(w, t);
    struct call_request request = {
        .method = SPAN("GET"), .target = span_from(w->path), .connect_time = ANSWER_TIME};
    w->status = 0;
    w->until = loop_now(w->all->loop) + ANSWER_TIME;
    w->call =
        call_start(w->all->pool, pool_origin(w->all->pool, &t->url, tls), &request, &events, w);
}

static struct watched *find(struct health *h, const char *name)
{
    struct watched *w = h->first;
    while (w && strcmp(w->name, name) != 0)
        w = w->next;
    if (w)
        return w;
    w = mem_zalloc(sizeof *w);
    w->all = h;
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    w->next = h->first;
    h->first = w;
    return w;
}

static void look_at(struct health *h, struct snapshot *s, size_t target, usec now)
{
    const struct config_target *t = &s->config->targets[target];
    struct watched *w = find(h, t->name);
    w->kind = t->kind;
    if (w->call && now >= w->until) {
        call_cancel(w->call);
        answered(w, false);
    }
    if (w->call)
        return;
    if (any_open(s, t->name, now, false))
        ask(w, s, target);
    else
        w->away = false;
}

/* ---- all of them ---- */

static void on_time(struct timer *t)
{
    struct health *h = CONTAINER_OF(t, struct health, timer);
    struct snapshot *s = service_snapshot(h->service);
    usec now = loop_now(h->loop);
    for (size_t i = 0; i < s->config->target_count; i++)
        if (is_engine(s->config->targets[i].kind) && !s->gates[i] &&
            strlen(s->config->targets[i].name) < NAME_MAX_BYTES)
            look_at(h, s, i, now);
    snapshot_unref(s);
    loop_timer_in(h->loop, &h->timer, LOOK_TIME, on_time);
}

struct health *health_new(struct loop *l, struct service *s)
{
    struct health *h = mem_zalloc(sizeof *h);
    h->loop = l;
    h->service = s;
    h->pool = pool_new(l, &pool_limits_default);
    loop_timer_in(l, &h->timer, LOOK_TIME, on_time);
    return h;
}

void health_free(struct health *h)
{
    loop_timer_cancel(h->loop, &h->timer);
    while (h->first) {
        struct watched *w = h->first;
        h->first = w->next;
        call_cancel(w->call);
        mem_free(w);
    }
    pool_free(h->pool);
    mem_free(h);
}
