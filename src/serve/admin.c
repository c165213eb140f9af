/* The admin doors: is it alive, can anybody answer, what do the numbers say. Own listener, loopback
 * by default.
 *
 * Host must be an address or localhost (rebinding); what changes state is a POST or a DELETE and
 * wants no foreign Origin. */
#include "base/mem.h"
#include "base/span.h"
#include "serve/admin_internal.h"
#include "serve/engines.h"

#include <signal.h>
#include <unistd.h>

#define METRICS_MAX ((size_t)4 << 20)
#define WORKERS_MAX 256

void admin_reply(struct request *r, int status, const char *type, struct span body)
{
    struct http_field fields[] = {{SPAN("content-type"), span_from(type)},
                                  {SPAN("cache-control"), SPAN("no-store")}};
    reply_whole(r, status, fields, ARRAY_LEN(fields), body);
}

/* ---- state of the targets ---- */

struct link_view {
    const char *target, *model;
    struct breaker_view breaker;
};

/* Each (target, model) once, in the order of the chains. */
static size_t view_links(const struct snapshot *s, usec now, struct link_view *out, size_t max)
{
    size_t count = 0;
    uint64_t seen[16] = {0};
    for (size_t i = 0; i < s->config->route_count; i++)
        for (size_t k = 0; k < s->config->routes[i].link_count; k++) {
            const struct config_link *link = &s->config->routes[i].links[k];
            size_t b = link->breaker;
            if (count == max || b >= 64 * ARRAY_LEN(seen) ||
                seen[b / 64] & (UINT64_C(1) << (b % 64)))
                continue;
            seen[b / 64] |= UINT64_C(1) << (b % 64);
            out[count++] = (struct link_view){s->config->targets[link->target].name, link->model,
                                              breaker_view(s->breakers[b], now)};
        }
    return count;
}

static bool lets_through(const struct link_view *v)
{
    return v->breaker.state != BREAKER_OPEN;
}

/* Well, and far enough on its way back to get most of the conversations. */
static bool takes_most(const struct link_view *v)
{
    return v->breaker.state == BREAKER_CLOSED && v->breaker.share.percent >= 50;
}

/* Who would get the next request, most likely: the first that takes most of them; else the first
 * whose breaker lets it through; NULL with all open (the one that reopens soonest is forced). */
static const struct link_view *answering(const struct link_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (takes_most(&views[i]))
            return &views[i];
    for (size_t i = 0; i < count; i++)
        if (lets_through(&views[i]))
            return &views[i];
    return NULL;
}

/* ---- doors ---- */

static void readyz(struct worker *w, struct request *r)
{
    struct link_view views[64];
    size_t count =
        view_links(routing_snapshot(w->routing), loop_now(w->loop), views, ARRAY_LEN(views));
    if (w->draining)
        admin_reply(r, 503, "text/plain", SPAN("draining\n"));
    else if (!answering(views, count))
        admin_reply(r, 503, "text/plain", SPAN("no target can answer\n"));
    else
        admin_reply(r, 200, "text/plain", SPAN("ready\n"));
}

static enum err write_states(struct worker *w, struct buf *out)
{
    struct link_view views[64];
    size_t count =
        view_links(routing_snapshot(w->routing), loop_now(w->loop), views, ARRAY_LEN(views));
    enum err e = buf_add_cstr(
        out, "# HELP hotspare_target_state 1 for the state each (target, model) is in.\n"
             "# TYPE hotspare_target_state gauge\n");
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        for (int s = BREAKER_CLOSED; e == ERR_OK && s <= BREAKER_HALF_OPEN; s++)
            e = buf_printf(out,
                           "hotspare_target_state{target=\"%s\",model=\"%s\",state=\"%s\"} %d\n",
                           views[i].target, views[i].model ? views[i].model : "",
                           breaker_state_name((enum breaker_state)s),
                           views[i].breaker.state == (enum breaker_state)s);
    if (e == ERR_OK)
        e = buf_add_cstr(out, "# HELP hotspare_return_ratio Share of the conversations that may go "
                              "to each (target, model): 0 while it is out, 0.05 and 0.25 on its "
                              "way back, else 1.\n"
                              "# TYPE hotspare_return_ratio gauge\n");
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        e = buf_printf(out, "hotspare_return_ratio{target=\"%s\",model=\"%s\"} %.2f\n",
                       views[i].target, views[i].model ? views[i].model : "",
                       (double)views[i].breaker.share.percent / 100);
    const struct link_view *now = answering(views, count);
    if (e == ERR_OK && now)
        e = buf_printf(out,
                       "# HELP hotspare_answering_info Who gets the next request.\n"
                       "# TYPE hotspare_answering_info gauge\n"
                       "hotspare_answering_info{target=\"%s\",model=\"%s\"} 1\n",
                       now->target, now->model ? now->model : "");
    return e;
}

static enum err write_engine_states(const char *name, const struct engine_view *v, struct buf *out)
{
    enum err e = ERR_OK;
    for (int k = 0; e == ERR_OK && k < ENGINE_STATES; k++)
        e = buf_printf(out, "hotspare_engine_state{target=\"%s\",state=\"%s\"} %d\n", name,
                       engine_state_name((enum engine_state)k), (int)v->state == k);
    return e;
}

static enum err write_engine_starts(const char *name, const struct engine_view *v, struct buf *out)
{
    return buf_printf(out, "hotspare_engine_starts_total{target=\"%s\"} %llu\n", name,
                      (unsigned long long)v->starts);
}

static enum err write_engine_failures(const char *name, const struct engine_view *v,
                                      struct buf *out)
{
    return buf_printf(out, "hotspare_engine_failures_total{target=\"%s\"} %llu\n", name,
                      (unsigned long long)v->failures);
}

/* Of engines that we start; nothing where there are none. */
static enum err write_engines(struct worker *w, struct buf *out)
{
    static const struct {
        const char *head;
        enum err (*write)(const char *name, const struct engine_view *v, struct buf *out);
    } families[] = {
        {"# HELP hotspare_engine_state 1 for the state each engine that we start is in.\n"
         "# TYPE hotspare_engine_state gauge\n",
         write_engine_states},
        {"# HELP hotspare_engine_starts_total Times it was started.\n"
         "# TYPE hotspare_engine_starts_total counter\n",
         write_engine_starts},
        {"# HELP hotspare_engine_failures_total Times it ended, or was ended, as failed.\n"
         "# TYPE hotspare_engine_failures_total counter\n",
         write_engine_failures}};
    const struct snapshot *s = routing_snapshot(w->routing);
    enum err e = ERR_OK;
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        bool headed = false;
        for (size_t i = 0; e == ERR_OK && i < s->config->target_count; i++) {
            if (!s->gates[i])
                continue;
            struct engine_view v = engine_view(s->gates[i], loop_now(w->loop));
            if (!headed)
                e = buf_add_cstr(out, families[f].head);
            headed = true;
            if (e == ERR_OK)
                e = families[f].write(s->config->targets[i].name, &v, out);
        }
    }
    return e;
}

static enum err write_process(struct worker *w, struct buf *out)
{
    struct server_stats api = server_stats(w->api);
    struct pool_stats pool = pool_stats(w->pool);
    return buf_printf(
        out,
        "# HELP hotspare_build_info The program.\n# TYPE hotspare_build_info gauge\n"
        "hotspare_build_info{version=\"%s\",json=\"%s\"} 1\n"
        "# HELP hotspare_config_last_reload_success 0 after a refused reload.\n"
        "# TYPE hotspare_config_last_reload_success gauge\n"
        "hotspare_config_last_reload_success %d\n"
        "# HELP hotspare_client_connections Open connections of this worker.\n"
        "# TYPE hotspare_client_connections gauge\nhotspare_client_connections %zu\n"
        "# HELP hotspare_upstream_connections Open upstream connections of this worker.\n"
        "# TYPE hotspare_upstream_connections gauge\nhotspare_upstream_connections %zu\n"
        "# HELP hotspare_workers Threads that serve.\n# TYPE hotspare_workers gauge\n"
        "hotspare_workers %zu\n",
        HOTSPARE_VERSION, json_engine(), !atomic_load(&w->service->reload_failed), api.connections,
        pool.open, w->count);
}

static void metrics_door(struct worker *w, struct request *r)
{
    struct metrics *all[WORKERS_MAX];
    for (size_t i = 0; i < w->count && i < WORKERS_MAX; i++)
        all[i] = w->all[i].metrics;
    struct buf out;
    buf_init(&out, METRICS_MAX);
    pthread_mutex_lock(&w->service->lock);
    enum err e = metrics_write(all, w->count, &w->service->names, &out);
    pthread_mutex_unlock(&w->service->lock);
    if (e == ERR_OK)
        e = write_states(w, &out);
    if (e == ERR_OK)
        e = write_engines(w, &out);
    if (e == ERR_OK)
        e = write_process(w, &out);
    if (e == ERR_OK)
        e = fault_write_metrics(w, &out);
    if (e == ERR_OK)
        admin_reply(r, 200, "text/plain; version=0.0.4", buf_span(&out));
    else
        admin_reply(r, 500, "text/plain", SPAN("the metrics are larger than 4 MiB\n"));
    buf_deinit(&out);
}

static void write_view(struct json_out *j, const struct link_view *v)
{
    jw_object(j);
    jw_key(j, "target");
    jw_cstr(j, v->target);
    jw_key(j, "model");
    if (v->model)
        jw_cstr(j, v->model);
    else
        jw_null(j);
    jw_key(j, "state");
    jw_cstr(j, breaker_state_name(v->breaker.state));
    jw_key(j, "last_cause");
    if (v->breaker.last_cause == CAUSE_NONE)
        jw_null(j);
    else
        jw_cstr(j, cause_facts(v->breaker.last_cause)->name);
    jw_key(j, "retry_in_ms");
    jw_i64(j, v->breaker.state == BREAKER_OPEN ? v->breaker.retry_in / USEC_PER_MS : 0);
    jw_key(j, "opened_total");
    jw_i64(j, (int64_t)v->breaker.opened_total);
    jw_key(j, "return_percent"); /* of the conversations */
    jw_i64(j, v->breaker.share.percent);
    jw_key(j, "return_next_ms"); /* until the next step; 0 = none to come */
    jw_i64(j, v->breaker.share.next_in / USEC_PER_MS);
    jw_key(j, "relapses"); /* each doubles the steps' time */
    jw_i64(j, v->breaker.share.doublings);
    const char *advice =
        v->breaker.state == BREAKER_OPEN ? cause_facts(v->breaker.last_cause)->advice : NULL;
    if (advice) {
        jw_key(j, "advice");
        jw_cstr(j, advice);
    }
    jw_object_end(j);
}

/* What refusals taught, with the days it is still believed. */
static void write_learned(struct json_out *j, struct learned *l, usec wall)
{
    struct learned_entry *all = mem_alloc(LEARNED_MAX * sizeof *all);
    size_t count = learned_list(l, wall, all);
    jw_array(j);
    for (size_t i = 0; i < count; i++) {
        jw_object(j);
        jw_key(j, "target");
        jw_cstr(j, all[i].target);
        jw_key(j, "model");
        jw_str(j, span_from(all[i].model)); /* raw: an escape in it shows as one */
        jw_key(j, "fact");
        jw_cstr(j, learned_fact_name(all[i].fact));
        jw_key(j, "forgotten_in_s");
        jw_i64(j, (all[i].until - wall) / USEC_PER_SEC);
        jw_object_end(j);
    }
    jw_array_end(j);
    mem_free(all);
}

static void member(struct json_out *j, const char *key, const char *value)
{
    jw_key(j, key);
    jw_cstr(j, value);
}

static void number_member(struct json_out *j, const char *key, int64_t value)
{
    jw_key(j, key);
    jw_i64(j, value);
}

static void write_engine(struct json_out *j, const char *target, const struct engine_view *v)
{
    jw_object(j);
    member(j, "target", target);
    member(j, "state", engine_state_name(v->state));
    number_member(j, "for_ms", v->since / USEC_PER_MS);
    number_member(j, "pid", v->pid); /* 0: no process */
    number_member(j, "port", v->port);
    number_member(j, "starts", (int64_t)v->starts);
    number_member(j, "failures", (int64_t)v->failures);
    number_member(j, "in_use", v->users);
    number_member(j, "retry_in_ms", v->retry_in / USEC_PER_MS);
    member(j, "reason", engine_reason_name(v->reason));
    if (engine_reason_text(v->reason)[0])
        member(j, "why", engine_reason_text(v->reason));
    if (engine_reason_fix(v->reason)[0])
        member(j, "fix", engine_reason_fix(v->reason));
    jw_object_end(j);
}

static void write_engine_list(struct json_out *j, const struct snapshot *s, usec now)
{
    jw_array(j);
    for (size_t i = 0; i < s->config->target_count; i++) {
        if (!s->gates[i])
            continue;
        struct engine_view v = engine_view(s->gates[i], now);
        write_engine(j, s->config->targets[i].name, &v);
    }
    jw_array_end(j);
}

static void status_door(struct worker *w, struct request *r)
{
    struct link_view views[64];
    size_t count =
        view_links(routing_snapshot(w->routing), loop_now(w->loop), views, ARRAY_LEN(views));
    const struct link_view *now = answering(views, count);
    struct pieces body;
    pieces_init(&body, request_arena(r));
    struct json_out j;
    json_out_pieces(&j, &body);
    jw_object(&j);
    jw_key(&j, "schema");
    jw_cstr(&j, "hotspare.status/1");
    jw_key(&j, "version");
    jw_cstr(&j, HOTSPARE_VERSION);
    jw_key(&j, "answering");
    if (now)
        jw_cstr(&j, now->target);
    else
        jw_null(&j);
    jw_key(&j, "lead_answering");
    jw_bool(&j, now && now == &views[0]);
    jw_key(&j, "fault"); /* that a drill commits now */
    fault_write_status(w, &j);
    jw_key(&j, "targets");
    jw_array(&j);
    for (size_t i = 0; i < count; i++)
        write_view(&j, &views[i]);
    jw_array_end(&j);
    jw_key(&j, "engines");
    write_engine_list(&j, routing_snapshot(w->routing), loop_now(w->loop));
    jw_key(&j, "learned");
    write_learned(&j, &w->service->learned, loop_wall(w->loop));
    jw_object_end(&j);
    admin_reply(r, 200, "application/json", pieces_flatten(&body, request_arena(r)));
}

static bool host_allowed(struct request *r)
{
    const struct http_head *h = request_head(r);
    struct span name = h->host;
    uint16_t port;
    if (url_host_port(h->host, &name, &port) != ERR_OK)
        name = h->host;
    return name.len == 0 || url_host_is_loopback(name) || span_search(name, SPAN(":")) >= 0 ||
           (name.at[0] >= '0' && name.at[0] <= '9');
}

static bool same_origin(struct request *r)
{
    const struct http_head *h = request_head(r);
    struct span origin = http_field_get(h, "origin");
    if (!origin.at)
        return true;
    ssize_t at = span_search(origin, SPAN("://"));
    return at >= 0 && span_ieq(span_drop(origin, (size_t)at + 3), h->host);
}

static void act(struct request *r, int signum)
{
    (void)kill(getpid(),
               signum); /* the main thread reloads and drains; one path for signal and door */
    admin_reply(r, 202, "application/json", SPAN("{\"accepted\":true}\n"));
}

static void on_request(void *ctx, struct request *r)
{
    struct worker *w = ctx;
    struct span path = request_path(r), method = request_head(r)->method;
    bool get = span_is(method, "GET") || span_is(method, "HEAD"), post = span_is(method, "POST");
    bool del = span_is(method, "DELETE");
    if (!host_allowed(r) || ((post || del) && !same_origin(r)))
        admin_reply(r, 403, "text/plain", SPAN("this Host or Origin is not served here\n"));
    else if (get && span_is(path, "/livez"))
        admin_reply(r, 200, "text/plain", SPAN("alive\n"));
    else if (get && span_is(path, "/readyz"))
        readyz(w, r);
    else if (get && span_is(path, "/metrics"))
        metrics_door(w, r);
    else if (get && span_is(path, "/api/status"))
        status_door(w, r);
    else if (post && span_is(path, "/api/reload"))
        act(r, SIGHUP);
    else if (post && span_is(path, "/api/drain"))
        act(r, SIGTERM);
    else if (span_is(path, "/api/fault") && (get || post || del))
        (get ? fault_door_get : post ? fault_door_post : fault_door_delete)(w, r);
    else
        admin_reply(r, 404, "text/plain",
                    SPAN("GET /livez /readyz /metrics /api/status /api/fault; POST /api/reload "
                         "/api/drain /api/fault; DELETE /api/fault\n"));
}

static void on_gone(void *ctx, struct request *r)
{
    (void)ctx;
    reply_abort(r);
}

const struct server_handler admin_handler = {.on_request = on_request, .on_gone = on_gone};
