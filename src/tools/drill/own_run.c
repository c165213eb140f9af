/* The course of a drill against one's own chain.
 *
 *   look -> first question -> { order -> load, renewed each second -> drained -> removed ->
 *           last answers -> last question } for each fault -> end
 *
 * Drained: nobody new meets the fault, and those who did meet it to its end. A fault that is taken
 * away from those it keeps waiting would say nothing of how long they wait.
 *
 * Whatever ends it early (a signal, the cap, the time, the abort rule, a door that is silent) goes
 * through "removed". The lease is a few seconds: what cannot be removed is over by then. */
#include "tools/drill/own.h"

#include "base/mem.h"
#include "base/span.h"
#include "json/json.h"
#include "net/net.h"
#include "relay/fault.h"
#include "tools/drill/errand.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define LEASE_TIME (3 * USEC_PER_SEC)
#define RENEW_TIME (1 * USEC_PER_SEC)
#define POLL_TIME (200 * USEC_PER_MS)
#define DRAIN_MOST (60 * USEC_PER_SEC)
#define PATIENCE (120 * USEC_PER_SEC) /* of one caller, and for the last answers */
#define RENEWALS_LOST_MOST 3          /* in a row */
#define REMOVALS_LOST_MOST 5
#define CALLERS_MAX 1024
#define DOOR "/api/fault"

enum phase { LOOKING, FIRST, ORDERING, LOAD, DRAINING, REMOVING, LAST_ANSWERS, AFTER, OVER };

struct run;
struct visit {
    struct run *run;
    struct visit *prev, *next;
    struct caller *caller;
    struct caller_own own;
    struct caller_seen seen;
    bool probe; /* before and after the load */
};

struct run {
    const struct own_order *order;
    struct own_report *report;
    void (*on_told)(void *ctx, size_t index);
    void *ctx;
    struct loop *loop;
    struct pool *pool;
    struct tls_client *tls;
    struct origin *gateway, *admin;
    struct errand errand;
    struct timer arrival, tick, limit;
    struct arena arena;
    const char *fields; /* key of the callers; never logged */
    char drill[32], door_of_mine[64];
    enum phase phase;
    size_t index;
    usec began, fault_at, drained_at;
    uint64_t next_arrival, number;
    struct visit *visits;
    size_t open;
    unsigned lost_in_row;
    bool ending; /* no further fault */
};

static void next_fault(struct run *r);
static void remove_fault(struct run *r);
static void drain(struct run *r);
static void ask_for_fault(struct run *r);

static void told(struct run *r);

static struct own_result *current(struct run *r)
{
    return &r->report->at[r->index];
}

/* What has not been told of was not reached. */
static void finish(struct run *r)
{
    struct own_report *to = r->report;
    r->phase = OVER;
    for (; r->index < to->count; r->on_told(r->ctx, r->index++))
        if (current(r)->why[0] == '\0')
            (void)snprintf(current(r)->why, sizeof current(r)->why, "not reached: %s",
                           to->stopped ? "stopped" : to->ended_early);
    loop_timer_cancel(r->loop, &r->arrival);
    loop_timer_cancel(r->loop, &r->tick);
    loop_timer_cancel(r->loop, &r->limit);
    loop_stop(r->loop);
}

static void say_early(struct run *r, const char *what)
{
    r->ending = true;
    if (r->report->ended_early[0] == '\0')
        (void)snprintf(r->report->ended_early, sizeof r->report->ended_early, "%s", what);
}

/* The drill itself does not work. Before a fault is ordered nothing is to be undone. */
static void fail(struct run *r, const char *why)
{
    r->report->failed = true;
    say_early(r, why);
    if (r->phase == LOOKING || r->phase == FIRST)
        finish(r);
    else if (r->phase < REMOVING)
        remove_fault(r);
}

static void stop_load(struct run *r, const char *why)
{
    say_early(r, why);
    if (r->phase == LOAD || r->phase == DRAINING)
        remove_fault(r);
}

/* ---- money ---- */

static double cost_of(const struct own_order *o, double input, double output)
{
    return o->in_usd ? (input * o->price_in + output * o->price_out) / 1e6 : input + output;
}

/* Room for one more, if all that is under way costs as much as it can; kept: for the question after
 * the load. */
static bool can_afford(const struct run *r, size_t kept)
{
    double most = own_most_of_one(r->order) * (double)(r->open + 1 + kept);
    return r->report->spent + most <= r->order->cap;
}

static bool in_the_stream(const struct run *r)
{
    return r->phase > FIRST && r->index < r->report->count &&
           r->report->at[r->index].variant->expect == EXPECT_CONTINUED;
}

static void pay(struct run *r, const struct visit *v, int status)
{
    struct own_report *to = r->report;
    double times = v->seen.attempts > 1 ? v->seen.attempts : 1;
    if (status >= 400)
        return; /* an error is not billed */
    if (v->seen.input < 0 && v->seen.output < 0) {
        to->untold++;
        to->spent += own_most_of_one(r->order);
        return;
    }
    int64_t input = v->seen.input > 0 ? v->seen.input : 0;
    int64_t output = v->seen.output > 0 ? v->seen.output : 0;
    to->input += (uint64_t)input;
    to->output += (uint64_t)output;
    if (in_the_stream(r)) /* begun by one, ended by another */
        times += 1;
    to->spent += times * cost_of(r->order, (double)input, (double)output);
}

/* ---- the abort rule ---- */

static void check_rule(struct run *r)
{
    struct own_result *res = current(r);
    const struct own_counts *c = &res->counts;
    const struct own_order *o = r->order;
    uint64_t over = own_judged(c);
    uint64_t lost = c->lost > res->wrong ? c->lost : res->wrong;
    if (r->phase != LOAD && r->phase != DRAINING && r->phase != LAST_ANSWERS)
        return;
    bool many = o->abort_lost >= 0 && (double)lost > o->abort_lost;
    bool share = o->abort_interruption >= 0 && over >= OWN_ABORT_LEAST &&
                 100.0 * (double)c->lost > o->abort_interruption * (double)over;
    if ((!many && !share) || res->aborted)
        return;
    res->aborted = true;
    (void)snprintf(res->why, sizeof res->why,
                   "the abort rule fired: %llu of %llu conversations lost%s%s",
                   (unsigned long long)lost, (unsigned long long)over,
                   res->first_trouble[0] ? "; the first: " : "", res->first_trouble);
    stop_load(r, "the abort rule fired");
}

/* ---- callers ---- */

static void free_visit(struct visit *v)
{
    struct run *r = v->run;
    if (v->prev)
        v->prev->next = v->next;
    else
        r->visits = v->next;
    if (v->next)
        v->next->prev = v->prev;
    r->open--;
    mem_free(v);
}

static void answers_are_over(struct run *r);

static void first_answered(struct run *r, const struct visit *v, bool good, const char *trouble)
{
    char why[400];
    if (!good || v->seen.switched) {
        (void)snprintf(why, sizeof why,
                       "the chain is not well, so nothing was drilled: the first question %s%s",
                       good ? "was answered by another than the lead" : "failed: ", trouble);
        fail(r, why);
        return;
    }
    (void)snprintf(r->report->lead, sizeof r->report->lead, "%s", v->seen.by);
    const char *target = r->order->target != NULL ? r->order->target : v->seen.by;
    (void)snprintf(r->report->target, sizeof r->report->target, "%s", target);
    if (target[0] == '\0') {
        fail(r, "the gateway does not say who answers (reply_headers is off): name the --target");
        return;
    }
    next_fault(r);
}

static void told(struct run *r)
{
    struct own_result *res = current(r);
    res->time = loop_now(r->loop) - r->fault_at;
    if (r->report->failed) {
        res->verdict = VERDICT_BROKEN;
        (void)snprintf(res->why, sizeof res->why, "%s", r->report->ended_early);
    } else if (r->report->stopped) {
        (void)snprintf(res->why, sizeof res->why, "stopped in its middle");
    } else {
        own_judge(res, r->order);
    }
    r->on_told(r->ctx, r->index);
    r->index++;
    next_fault(r);
}

static void after_answered(struct run *r, const struct visit *v, bool good, const char *trouble)
{
    struct own_result *res = current(r);
    res->restored = good && !v->seen.switched && strcmp(v->seen.by, r->report->lead) == 0;
    if (!good && res->first_trouble[0] == '\0')
        (void)snprintf(res->first_trouble, sizeof res->first_trouble, "afterwards: %s", trouble);
    told(r);
}

static void count_answer(struct run *r, const struct record *rec, const char *trouble)
{
    struct own_result *res = current(r);
    bool good = rec->ending == ENDING_WHOLE && rec->right;
    bool expected = rec->ending == ENDING_TOLD && rec->as_expected;
    res->good += good || expected;
    res->corrupt += rec->ending == ENDING_WHOLE && !rec->right;
    res->wrong += !good && !expected;
    res->gap = rec->gap > res->gap ? rec->gap : res->gap;
    if (!good && !expected && res->first_trouble[0] == '\0')
        (void)snprintf(res->first_trouble, sizeof res->first_trouble, "%s: %s",
                       plan_shape_name(rec->shape), trouble);
    check_rule(r);
}

static void caller_is_over(void *ctx, const struct record *rec, struct span id, const char *trouble)
{
    struct visit *v = ctx;
    struct run *r = v->run;
    struct visit kept = *v;
    bool good = rec->ending == ENDING_WHOLE && rec->right;
    (void)id;
    pay(r, v, rec->status);
    free_visit(v);
    if (kept.probe && r->phase == FIRST)
        first_answered(r, &kept, good, trouble);
    else if (kept.probe && r->phase == AFTER)
        after_answered(r, &kept, good, trouble);
    else if (!kept.probe)
        count_answer(r, rec, trouble);
}

/* A whole answer shows no sign of life until it is done: one that falls silent is given up after
 * half of the gateway's `deadlines.total`, which is minutes. */
static bool takes_minutes_whole(const struct drill_variant *v)
{
    struct fault f;
    const char *why;
    if (fault_parse(span_from(v->steps[0].lead), 0, &f, &why) != ERR_OK)
        return false;
    enum fault_kind k = f.row->kind;
    return k == FAULT_SILENT || k == FAULT_HEADERS_ONLY || k == FAULT_PINGS_ONLY ||
           k == FAULT_STALL;
}

/* Streams and whole answers at both doors take turns; there are no tools in it. */
static unsigned shape_of(uint64_t number, const struct drill_variant *v)
{
    bool whole = (number & 2) != 0 && !takes_minutes_whole(v);
    return (number & 1 ? SHAPE_CHAT : 0U) | (whole ? SHAPE_WHOLE : 0U);
}

static void ask(struct run *r, bool probe)
{
    struct visit *v = mem_new(struct visit);
    *v = (struct visit){
        .run = r,
        .next = r->visits,
        .probe = probe,
        .own = {.model = r->order->model, .fields = r->fields, .number = (uint32_t)++r->number},
        .seen = {.input = -1, .output = -1}};
    v->own.seen = &v->seen;
    if (r->visits)
        r->visits->prev = v;
    r->visits = v;
    r->open++;
    r->report->asked++;
    usec now = loop_now(r->loop) - r->began;
    const struct drill_variant *variant = probe ? NULL : current(r)->variant;
    struct caller_order o = {.loop = r->loop,
                             .pool = r->pool,
                             .gateway = r->gateway,
                             .fault = probe ? "probe" : r->drill, /* a probe is not met */
                             .base = r->began,
                             .planned = now,
                             .patience = PATIENCE,
                             .shape = probe ? 0 : shape_of(r->number, variant),
                             .expected_status = variant ? variant->status : 0,
                             .expected_words = variant ? variant->told : NULL,
                             .own = &v->own,
                             .on_over = caller_is_over,
                             .ctx = v};
    v->caller = caller_start(&o);
}

static void arrive(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, arrival);
    if (!can_afford(r, 1)) {
        say_early(r, "the spend cap is reached");
        drain(r);
        return;
    }
    if (r->open >= CALLERS_MAX) {
        stop_load(r, "too many answers are under way at once");
        return;
    }
    current(r)->asked++;
    ask(r, false);
    r->next_arrival++;
    loop_timer_at(r->loop, &r->arrival,
                  r->fault_at + plan_arrival(1, (uint32_t)r->order->rate, r->next_arrival), arrive);
}

/* ---- the gateway's door ---- */

static uint64_t number_of(struct json counts, const char *name)
{
    int64_t n;
    return json_i64(json_get(counts, name), &n) == ERR_OK && n > 0 ? (uint64_t)n : 0;
}

static void read_counts(struct own_counts *to, struct json c)
{
    int64_t detect;
    *to = (struct own_counts){.met = number_of(c, "met"),
                              .open = number_of(c, "open"),
                              .hidden = number_of(c, "hidden"),
                              .continued = number_of(c, "continued"),
                              .told = number_of(c, "told"),
                              .lost = number_of(c, "lost"),
                              .client_left = number_of(c, "client_left"),
                              .released = number_of(c, "released"),
                              .attempts = number_of(c, "attempts"),
                              .elsewhere = number_of(c, "elsewhere"),
                              .gap = (usec)number_of(c, "gap_ms_max") * USEC_PER_MS,
                              .first = (usec)number_of(c, "first_ms_max") * USEC_PER_MS,
                              .detect = -1};
    if (json_i64(json_get(c, "detect_ms"), &detect) == ERR_OK)
        to->detect = detect * USEC_PER_MS;
}

/* What the door says; "" = it is no such door. */
static const char *read_door(struct run *r, int status, struct span reply, bool *out_active)
{
    struct json_doc doc;
    struct arena a;
    const char *error = "";
    arena_init(&a, ERRAND_REPLY_MAX);
    *out_active = false;
    if (json_parse(&a, reply, NULL, &doc, NULL) == ERR_OK) {
        struct json root = json_root(&doc);
        bool is_door = json_str_is(json_get(root, "schema"), "hotspare.fault/1");
        struct span told = json_str_decode(json_get(root, "error"), &a);
        *out_active = json_true(json_get(root, "active")) &&
                      (r->phase == LOOKING || json_str_is(json_get(root, "drill"), r->drill));
        if (is_door && r->phase > FIRST && json_str_is(json_get(root, "drill"), r->drill))
            read_counts(&current(r)->counts, json_get(root, "counts"));
        if (told.len > 0)
            error = arena_cstr(&r->arena, told);
        else if (is_door && status == 200)
            error = NULL;
    }
    arena_deinit(&a);
    return error;
}

static void door_failed(struct run *r, const char *what, int status, const char *said)
{
    char why[240];
    if (status == 0)
        (void)snprintf(why, sizeof why, "%s: the gateway's admin door %s does not answer", what,
                       r->order->admin);
    else
        (void)snprintf(why, sizeof why, "%s: the admin door says %d: %s", what, status,
                       said[0] ? said : "it has no " DOOR "; is it the admin address?");
    fail(r, why);
}

static struct span order_text(struct run *r, char text[512])
{
    const struct own_order *o = r->order;
    int len = snprintf(text, 512,
                       "{\"drill\":\"%s\",\"target\":\"%s\",\"fault\":\"%s\",\"percent\":%llu,"
                       "\"only_mine\":%s,\"circuit\":%s,\"draining\":%s,\"lease_ms\":%lld}",
                       r->drill, r->report->target, current(r)->variant->steps[0].lead,
                       (unsigned long long)o->percent, o->only_mine ? "true" : "false",
                       o->circuit ? "true" : "false", r->phase == DRAINING ? "true" : "false",
                       (long long)(LEASE_TIME / USEC_PER_MS));
    return (struct span){text, (size_t)len};
}

static void order_again(struct timer *t)
{
    ask_for_fault(CONTAINER_OF(t, struct run, tick));
}

static void ordered(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    bool active;
    const char *said = read_door(r, status, reply, &active);
    if (r->phase == REMOVING) {
        remove_fault(r);
        return;
    }
    if (said != NULL && r->phase != ORDERING && ++r->lost_in_row <= RENEWALS_LOST_MOST) {
        loop_timer_in(r->loop, &r->tick, POLL_TIME, order_again);
        return;
    }
    if (said != NULL) {
        door_failed(r, "the fault could not be ordered", status, said);
        return;
    }
    r->lost_in_row = 0;
    if (r->ending && r->phase == ORDERING) { /* by the time limit, meanwhile */
        remove_fault(r);
        return;
    }
    if (r->phase == ORDERING) {
        r->phase = LOAD;
        r->fault_at = loop_now(r->loop);
        r->next_arrival = 0;
        loop_timer_in(r->loop, &r->arrival, 0, arrive);
    }
    check_rule(r);
    if (r->phase == LOAD || r->phase == DRAINING)
        loop_timer_in(r->loop, &r->tick, r->phase == LOAD ? RENEW_TIME : POLL_TIME, order_again);
}

static void drain(struct run *r)
{
    r->phase = DRAINING;
    r->drained_at = loop_now(r->loop);
    loop_timer_cancel(r->loop, &r->arrival);
}

static bool is_drained(struct run *r)
{
    bool waiting = r->open > 0 || current(r)->counts.open > 0;
    return !waiting || loop_now(r->loop) - r->drained_at >= DRAIN_MOST;
}

/* Each second of the load, for its beginning, and while it is drained. */
static void ask_for_fault(struct run *r)
{
    char text[512];
    usec lasts = loop_now(r->loop) - r->fault_at;
    if (r->phase == DRAINING && is_drained(r)) {
        remove_fault(r);
        return;
    }
    if (r->phase == LOAD && lasts >= (usec)r->order->seconds * USEC_PER_SEC)
        drain(r);
    r->errand.on_done = ordered;
    errand_run(&r->errand, r->loop, r->pool, r->admin, DOOR, order_text(r, text));
}

/* ---- its removal ---- */

static void look_again(struct timer *t);

static void looked_last(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    bool active;
    (void)read_door(r, status, reply, &active); /* silent: asked again until patience ends */
    check_rule(r);
    answers_are_over(r);
}

static void look_again(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, tick);
    r->errand.on_done = looked_last;
    errand_run(&r->errand, r->loop, r->pool, r->admin, DOOR, SPAN_EMPTY);
}

static void answers_are_over(struct run *r)
{
    bool waiting = r->open > 0 || current(r)->counts.open > 0;
    bool over = r->report->stopped || r->report->failed;
    if (waiting && !over &&
        loop_now(r->loop) - r->fault_at <
            (usec)r->order->seconds * USEC_PER_SEC + PATIENCE + USEC_PER_SEC) {
        loop_timer_in(r->loop, &r->tick, POLL_TIME, look_again);
        return;
    }
    if (over) {
        told(r);
        return;
    }
    r->phase = AFTER;
    if (can_afford(r, 0)) {
        ask(r, true);
        return;
    }
    current(r)->restored = true; /* nothing speaks against it, and there is no money to ask */
    say_early(r, "the spend cap is reached");
    told(r);
}

static void remove_again(struct timer *t)
{
    remove_fault(CONTAINER_OF(t, struct run, tick));
}

static void removed(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    bool active = true;
    const char *said = read_door(r, status, reply, &active);
    if ((said != NULL || active) && ++r->lost_in_row < REMOVALS_LOST_MOST) {
        loop_timer_in(r->loop, &r->tick, POLL_TIME, remove_again);
        return;
    }
    if (said != NULL || active) {
        r->report->failed = true;
        say_early(r,
                  "the fault could not be removed; it is not renewed, so its lease of 3 s ends it");
        told(r);
        return;
    }
    r->phase = LAST_ANSWERS;
    answers_are_over(r);
}

static void remove_fault(struct run *r)
{
    if (r->phase != REMOVING)
        r->lost_in_row = 0;
    r->phase = REMOVING;
    loop_timer_cancel(r->loop, &r->arrival);
    loop_timer_cancel(r->loop, &r->tick);
    if (r->errand.call != NULL)
        return; /* a renewal must not overtake its own removal: `ordered` goes on here */
    r->errand.on_done = removed;
    errand_delete(&r->errand, r->loop, r->pool, r->admin, r->door_of_mine);
}

/* ---- one after the other ---- */

static void next_fault(struct run *r)
{
    struct own_report *to = r->report;
    while (r->index < to->count) {
        struct own_result *res = current(r);
        if (res->why[0] == '\0' && !r->ending) {
            r->phase = ORDERING;
            r->fault_at = loop_now(r->loop);
            ask_for_fault(r);
            return;
        }
        if (res->why[0] == '\0')
            break;
        r->on_told(r->ctx, r->index++);
    }
    finish(r);
}

static void looked_first(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    bool active;
    const char *said = read_door(r, status, reply, &active);
    if (said != NULL) {
        door_failed(r, "nothing was drilled", status, said);
    } else if (active) {
        fail(r, "another drill is on in this gateway; DELETE " DOOR " ends it");
    } else if (!can_afford(r, 1)) {
        fail(r, "the spend cap is less than the first and the last question may cost");
    } else {
        r->phase = FIRST;
        ask(r, true);
    }
}

static void on_signal(void *ctx, int signum)
{
    struct run *r = ctx;
    (void)signum;
    if (r->report->stopped || r->phase == OVER) { /* again: do not wait for the door */
        finish(r);
        return;
    }
    r->report->stopped = r->ending = true;
    if (r->phase == LOOKING || r->phase == FIRST)
        finish(r);
    else if (r->phase < REMOVING)
        remove_fault(r);
    else if (r->phase == AFTER)
        told(r);
}

static void on_limit(struct timer *t)
{
    stop_load(CONTAINER_OF(t, struct run, limit), "the time limit is reached");
}

/* ---- beginning and end ---- */

static struct origin *origin_of(struct run *r, const char *text, const char **out_why)
{
    struct url url;
    if (url_parse(span_from(text), &url, out_why) != ERR_OK)
        return NULL;
    if (url.tls && r->tls == NULL && tls_client_new(r->order->ca, &r->tls, out_why) != ERR_OK)
        return NULL;
    return pool_origin(r->pool, &url, url.tls ? r->tls : NULL);
}

static bool prepare(struct run *r)
{
    const char *why = "";
    uint64_t random;
    arena_init(&r->arena, (size_t)1 << 20);
    r->loop = loop_new();
    r->pool = pool_new(r->loop, &pool_limits_default);
    r->began = loop_now(r->loop);
    r->errand.ctx = r;
    loop_random(r->loop, &random, sizeof random);
    (void)snprintf(r->drill, sizeof r->drill, "drill-%016llx", (unsigned long long)random);
    r->number = random & 0x3FFFFFFF; /* no conversation is one of an earlier drill's */
    (void)snprintf(r->door_of_mine, sizeof r->door_of_mine, DOOR "?drill=%s", r->drill);
    const char *key = r->order->key_env != NULL ? getenv(r->order->key_env) : "drill";
    r->fields = arena_printf(&r->arena, "x-api-key: %s\r\n", key).at;
    r->gateway = origin_of(r, r->order->gateway, &why);
    r->admin = r->gateway != NULL ? origin_of(r, r->order->admin, &why) : NULL;
    if (r->admin == NULL)
        fail(r, why);
    return r->admin != NULL;
}

static void close_run(struct run *r)
{
    errand_deinit(&r->errand);
    while (r->visits) {
        caller_cancel(r->visits->caller);
        free_visit(r->visits);
    }
    loop_timer_cancel(r->loop, &r->arrival);
    loop_timer_cancel(r->loop, &r->tick);
    loop_timer_cancel(r->loop, &r->limit);
    pool_free(r->pool);
    if (r->tls)
        tls_client_unref(r->tls);
    loop_free(r->loop);
    arena_deinit(&r->arena);
}

void own_run(const struct own_order *o, struct own_report *report,
             void (*on_told)(void *ctx, size_t index), void *ctx)
{
    struct run r = {.order = o, .report = report, .on_told = on_told, .ctx = ctx};
    if (prepare(&r)) {
        loop_on_signal(r.loop, SIGINT, on_signal, &r);
        loop_on_signal(r.loop, SIGTERM, on_signal, &r);
        loop_on_signal(r.loop, SIGHUP, on_signal, &r);
        loop_timer_in(r.loop, &r.limit, (usec)o->minutes * 60 * USEC_PER_SEC, on_limit);
        r.errand.on_done = looked_first;
        errand_run(&r.errand, r.loop, r.pool, r.admin, DOOR, SPAN_EMPTY);
        loop_run(r.loop);
    }
    close_run(&r);
}
