/* The door through which a drill commits faults inside this gateway, and the only one: nothing in
 * the configuration, in a request or in the environment can.
 *
 * POST gives an order for some seconds, and again to renew it; DELETE ends whatever is in force,
 * whosever it is; with ?drill=NAME only that one's. An order that is not renewed ends by itself, on
 * the admin worker's timer: then circuits that it opened are closed again. Each beginning and end
 * is a line in the log. */
#include "base/log.h"
#include "base/span.h"
#include "serve/admin_internal.h"

#include <stdio.h>

#define BODY_MAX ((size_t)4096)

/* ---- showing ---- */

static void put_count(struct json_out *j, const char *key, uint64_t n)
{
    jw_key(j, key);
    jw_i64(j, (int64_t)n);
}

static void put_name(struct json_out *j, const char *key, const char *value)
{
    jw_key(j, key);
    if (value[0] != '\0')
        jw_cstr(j, value);
    else
        jw_null(j);
}

static void put_flag(struct json_out *j, const char *key, bool value)
{
    jw_key(j, key);
    jw_bool(j, value);
}

static void put_ms(struct json_out *j, const char *key, bool known, usec t)
{
    jw_key(j, key);
    if (known)
        jw_i64(j, t / USEC_PER_MS);
    else
        jw_null(j);
}

static void put_counts(struct json_out *j, const struct fault_counts *c)
{
    uint64_t over = 0;
    jw_object(j);
    put_count(j, "met", c->met);
    for (int i = 0; i < FAULT_FATES; i++) {
        put_count(j, fault_fate_names[i], c->fate[i]);
        over += c->fate[i];
    }
    put_count(j, "open", c->met > over ? c->met - over : 0);
    put_count(j, "attempts", c->attempts);
    put_count(j, "elsewhere", c->elsewhere);
    put_ms(j, "detect_ms", c->detect >= 0, c->detect);
    put_ms(j, "first_ms_max", true, c->first);
    put_ms(j, "gap_ms_max", true, c->gap);
    jw_object_end(j);
}

static void put_order(struct json_out *j, const struct fault_view *v)
{
    put_name(j, "drill", v->order.drill);
    put_name(j, "target", v->order.target);
    put_name(j, "fault", v->order.spec);
    put_count(j, "percent", v->order.percent);
    put_flag(j, "only_mine", v->order.only_mine);
    put_flag(j, "circuit", v->order.circuit);
    put_flag(j, "draining", v->order.draining);
    put_ms(j, "left_ms", true, v->left);
}

static struct fault_view view(struct worker *w)
{
    return fault_board_view(&w->service->faults, loop_now(w->loop));
}

void fault_write_status(struct worker *w, struct json_out *j)
{
    struct fault_view v = view(w);
    if (!v.active) {
        jw_null(j);
        return;
    }
    jw_object(j);
    put_order(j, &v);
    put_count(j, "met", v.counts.met);
    jw_object_end(j);
}

enum err fault_write_metrics(struct worker *w, struct buf *out)
{
    struct fault_view v = view(w);
    enum err e = buf_printf(
        out,
        "# HELP hotspare_drill_faults_total Requests that met a fault which a drill committed.\n"
        "# TYPE hotspare_drill_faults_total counter\nhotspare_drill_faults_total %llu\n"
        "# HELP hotspare_drill_active 1 while a drill commits a fault in here.\n"
        "# TYPE hotspare_drill_active gauge\nhotspare_drill_active %d\n",
        (unsigned long long)atomic_load(&w->service->faults.struck), v.active);
    if (e == ERR_OK && v.active)
        e = buf_printf(out,
                       "# HELP hotspare_drill_info The fault that is being committed.\n"
                       "# TYPE hotspare_drill_info gauge\n"
                       "hotspare_drill_info{target=\"%s\",fault=\"%s\"} %u\n",
                       v.order.target, v.order.spec, v.order.percent);
    return e;
}

static void reply_view(struct worker *w, struct request *r)
{
    struct fault_view v = view(w);
    struct pieces body;
    struct json_out j;
    pieces_init(&body, request_arena(r));
    json_out_pieces(&j, &body);
    jw_object(&j);
    jw_key(&j, "schema");
    jw_cstr(&j, "hotspare.fault/1");
    put_flag(&j, "active", v.active);
    put_order(&j, &v);
    jw_key(&j, "counts"); /* of the last order, also when it is over */
    put_counts(&j, &v.counts);
    jw_object_end(&j);
    admin_reply(r, 200, "application/json", pieces_flatten(&body, request_arena(r)));
}

static void refuse(struct request *r, int status, const char *why)
{
    struct pieces body;
    struct json_out j;
    pieces_init(&body, request_arena(r));
    json_out_pieces(&j, &body);
    jw_object(&j);
    jw_key(&j, "error");
    jw_cstr(&j, why);
    jw_object_end(&j);
    admin_reply(r, status, "application/json", pieces_flatten(&body, request_arena(r)));
}

/* ---- orders ---- */

static void on_lease(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, fault_timer);
    usec left = fault_board_sweep(&w->service->faults, loop_now(w->loop));
    if (left != USEC_NEVER)
        loop_timer_in(w->loop, &w->fault_timer, left, on_lease);
    else
        service_undo_drill(w->service, "its lease is over");
}

/* NULL: it is understood. */
static const char *read_member(struct json m, struct fault_wish *out)
{
    int64_t lease = 0;
    bool text = json_is(m, JSON_STRING), flag = json_is(m, JSON_TRUE) || json_is(m, JSON_FALSE);
    if (text && json_key_is(m, "drill"))
        out->drill = json_str(m);
    else if (text && json_key_is(m, "target"))
        out->target = json_str(m);
    else if (text && json_key_is(m, "fault"))
        out->spec = json_str(m);
    else if (json_key_is(m, "percent") && json_i64(m, &out->percent) == ERR_OK)
        return NULL;
    else if (json_key_is(m, "lease_ms") && json_i64(m, &lease) == ERR_OK)
        out->lease = lease >= 0 && lease <= 1000000 ? lease * USEC_PER_MS : 0;
    else if (flag && json_key_is(m, "only_mine"))
        out->only_mine = json_true(m);
    else if (flag && json_key_is(m, "circuit"))
        out->circuit = json_true(m);
    else if (flag && json_key_is(m, "draining"))
        out->draining = json_true(m);
    else
        return "members are drill, target, fault (texts), percent, lease_ms (whole numbers), "
               "only_mine, circuit, draining (true or false)";
    return NULL;
}

static const char *read_wish(struct json root, struct fault_wish *out)
{
    const char *why = NULL;
    for (struct json m = json_first(root); json_present(m) && why == NULL; m = json_next(root, m))
        why = read_member(m, out);
    return why;
}

static const char *read_order(struct request *r, struct fault_order *out)
{
    struct json_doc doc;
    struct fault_wish wish = {.circuit = true};
    if (request_body(r).len > BODY_MAX ||
        json_parse(request_arena(r), request_body(r), NULL, &doc, NULL) != ERR_OK ||
        !json_is(json_root(&doc), JSON_OBJECT))
        return "the body is a JSON object of at most 4096 bytes";
    const char *why = read_wish(json_root(&doc), &wish);
    if (why == NULL && fault_order_make(&wish, out, &why) == ERR_OK)
        return NULL;
    return why;
}

static bool is_target(struct worker *w, const char *name)
{
    const struct config *c = routing_snapshot(w->routing)->config;
    for (size_t i = 0; i < c->target_count; i++)
        if (strcmp(c->targets[i].name, name) == 0)
            return true;
    return false;
}

static void log_begin(const struct fault_order *o)
{
    char percent[16];
    (void)snprintf(percent, sizeof percent, "%u", o->percent); /* fits */
    log_line(LOG_WARN, "drill_begins", "drill", o->drill, "target", o->target, "fault", o->spec,
             "percent", percent, "only_mine", o->only_mine ? "yes" : "no", NULL);
}

void fault_door_post(struct worker *w, struct request *r)
{
    struct fault_board *b = &w->service->faults;
    struct fault_order o;
    const char *why = read_order(r, &o);
    if (why != NULL) {
        refuse(r, 400, why);
        return;
    }
    if (!is_target(w, o.target)) {
        refuse(r, 404, "no target of this name is configured");
        return;
    }
    usec now = loop_now(w->loop);
    uint64_t before = fault_board_view(b, now).serial;
    if (fault_board_set(b, &o, now) != ERR_OK) {
        refuse(r, 409, "another drill is on; DELETE /api/fault ends it");
        return;
    }
    service_undo_drill(w->service, "another fault is next");
    if (fault_board_view(b, now).serial != before)
        log_begin(&o);
    loop_timer_in(w->loop, &w->fault_timer, o.lease, on_lease);
    reply_view(w, r);
}

void fault_door_get(struct worker *w, struct request *r)
{
    reply_view(w, r);
}

void fault_door_delete(struct worker *w, struct request *r)
{
    struct span drill = request_query(r), name;
    if (span_next(&drill, '=', &name) && !span_is(name, "drill"))
        drill = SPAN_EMPTY;
    (void)fault_board_clear(&w->service->faults, drill); /* none: so much the better */
    service_undo_drill(w->service, "it was ended");
    reply_view(w, r);
}
