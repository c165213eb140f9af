/* A worker's life: bind, serve, swap its routing on reload, drain.
 *
 *   RUNNING --drain--> DRAINING --(last request ended, or the drain time is over)--> stopped
 *      |                  |
 *      '-------cut--------'--> stopped at once: streams end with a reset, never with a clean end */
#include "serve/worker.h"

#include "base/mem.h"
#include "base/span.h"

#include <stdio.h>

static void drained(void *ctx)
{
    struct worker *w = ctx;
    loop_stop(w->loop);
}

static void cut(struct worker *w)
{
    server_cut(w->api);
    if (w->admin)
        server_cut(w->admin);
    loop_stop(w->loop);
}

static void on_drain_timer(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, drain_timer);
    log_line(LOG_WARN, "drain_time_over", "what", "the requests still open are cut", NULL);
    cut(w);
}

static void drain(struct worker *w)
{
    if (w->draining)
        return;
    w->draining = true;
    usec time = routing_snapshot(w->routing)->config->deadlines.drain;
    loop_timer_in(w->loop, &w->drain_timer, time, on_drain_timer);
    server_drain(w->api, drained, w);
}

static void swap_routing(struct worker *w)
{
    struct routing *old = w->routing;
    w->routing = routing_new(service_snapshot(w->service), w->loop, w->pool);
    routing_apply(w->routing, &w->relay);
    routing_unref(old);
}

static void on_wake(void *ctx)
{
    struct worker *w = ctx;
    if (atomic_exchange(&w->reload_wanted, false))
        swap_routing(w);
    if (atomic_exchange(&w->cut_wanted, false))
        cut(w);
    else if (atomic_exchange(&w->drain_wanted, false))
        drain(w);
}

/* ---- what the relay asks and tells ---- */

static const struct relay_route *route_for(void *ctx, struct request *r, struct span model)
{
    struct worker *w = ctx;
    (void)r; /* open_exchange made the request hold the routing */
    return routing_find(w->routing, model);
}

static struct span default_model(void *ctx)
{
    struct worker *w = ctx;
    return routing_default_model(w->routing);
}

static uint16_t row_of(void *ctx, const char *target)
{
    const struct snapshot *s = ctx;
    for (size_t i = 0; i < s->config->target_count; i++)
        if (strcmp(s->config->targets[i].name, target) == 0)
            return s->target_ids[i];
    return METRICS_TARGETS - 1; /* named by a configuration that is gone */
}

static enum fault_fate fate_of(const struct exchange_report *r)
{
    if (r->fault_released)
        return FAULT_RELEASED;
    switch (r->outcome) {
    case OUTCOME_OK:
        return r->splices.count > 0 ? FAULT_CONTINUED : FAULT_HIDDEN;
    case OUTCOME_CLIENT_ERROR:
        return FAULT_TOLD;
    case OUTCOME_CLIENT_GONE:
        return FAULT_LEFT;
    default:
        return FAULT_LOST;
    }
}

/* For the drill whose fault it met. */
static void tell_drill(struct worker *w, const struct exchange_report *r)
{
    struct fault_outcome o = {.serial = r->fault_serial,
                              .fate = fate_of(r),
                              .attempts = (uint32_t)r->attempt_count,
                              .first = r->first_content > 0 ? r->first_content - r->started : 0,
                              .gap = r->stall_max};
    for (size_t i = 1; i < r->attempt_count && o.elsewhere == 0; i++)
        if (r->attempts[i - 1].injected &&
            strcmp(r->attempts[i].target, r->attempts[i - 1].target) != 0)
            o.elsewhere = r->attempts[i].started;
    fault_board_count(&w->service->faults, &o);
}

static void on_done(void *ctx, const struct exchange_report *report)
{
    struct worker *w = ctx;
    if (report->fault_serial != 0)
        tell_drill(w, report);
    metrics_count(w->metrics, report, row_of, routing_snapshot(w->routing));
    if (w->access)
        access_log_write(w->access, report);
}

/* ---- life ---- */

/* Asked at each accept: a reload's certificate counts for the next connection. */
static struct tls_server *api_tls(void *ctx)
{
    return routing_snapshot(((struct worker *)ctx)->routing)->api_tls;
}

static struct tls_server *admin_tls(void *ctx)
{
    return routing_snapshot(((struct worker *)ctx)->routing)->admin_tls;
}

static enum err listen_on(struct worker *w, struct server *server, const struct config_listen *at,
                          uint16_t port, const char *what, char why[256])
{
    struct listen_options o = {.reuse_port = true, .tls_ctx = w};
    if (at->cert)
        o.tls = server == w->api ? api_tls : admin_tls;
    const char *reason = "";
    enum err e = server_listen(server, span_from(at->host), port ? port : at->port, &o, &reason);
    if (e != ERR_OK)
        (void)snprintf(why, 256,
                       "%s %s:%u: %s; is another program using it? (`%s:` or --%s names another)",
                       what, at->host, port ? port : at->port, reason, what, what);
    return e;
}

static void make_relay(struct worker *w)
{
    w->relay = routing_relay(w->service, w->loop, w->pool);
    w->relay.route_for = route_for;
    w->relay.default_model = default_model;
    w->relay.on_done = on_done;
    w->relay.ctx = w;
    relay_init(&w->relay);
}

enum err worker_init(struct worker *w, struct service *s, struct worker *all, size_t index,
                     size_t count, uint16_t api_port, int access_fd, char why[256])
{
    *w = (struct worker){
        .service = s, .all = all, .index = index, .count = count, .loop = loop_new()};
    w->pool = pool_new(w->loop, &pool_limits_default);
    w->metrics = metrics_new();
    if (access_fd >= 0)
        w->access = access_log_new(w->loop, access_fd);
    make_relay(w);
    swap_routing(w);
    const struct config *c = routing_snapshot(w->routing)->config;
    struct server_limits limits = server_limits_default;
    if (c->body_max)
        limits.http.body_bytes = c->body_max;
    if (c->body_memory)
        limits.body_memory_max = c->body_memory / count;
    if (limits.body_memory_max < limits.http.body_bytes)
        limits.body_memory_max = limits.http.body_bytes; /* else the largest would never get in */
    struct server_handler api = doors_handler, admin = admin_handler;
    api.ctx = admin.ctx = w;
    w->api = server_new(w->loop, &limits, &api);
    loop_on_wake(w->loop, on_wake, w);
    enum err e = listen_on(w, w->api, &c->listen, api_port, "listen", why);
    if (e == ERR_OK && index == 0) {
        w->admin = server_new(w->loop, &server_limits_default, &admin);
        e = listen_on(w, w->admin, &c->admin, 0, "admin", why);
    }
    return e;
}

void worker_run(struct worker *w)
{
    loop_run(w->loop);
}

void worker_deinit(struct worker *w)
{
    loop_timer_cancel(w->loop, &w->drain_timer);
    loop_timer_cancel(w->loop, &w->fault_timer);
    server_free(w->api);
    if (w->admin)
        server_free(w->admin);
    access_log_free(w->access);
    routing_unref(w->routing);
    relay_deinit(&w->relay);
    pool_free(w->pool);
    loop_free(w->loop);
    mem_free(w->metrics);
}

static void order(struct worker *w, atomic_bool *what)
{
    atomic_store(what, true);
    loop_wake(w->loop);
}

void worker_reload(struct worker *w)
{
    order(w, &w->reload_wanted);
}

void worker_drain(struct worker *w)
{
    order(w, &w->drain_wanted);
}

void worker_cut(struct worker *w)
{
    order(w, &w->cut_wanted);
}
