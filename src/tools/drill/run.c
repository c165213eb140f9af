/* See run.h. Each step is an order to a stand-in's control door (or, for what fails below HTTP, a
 * new address for the gateway's lead), and counts from when it was given; a fault is over when its
 * removal was confirmed. How often another target was asked, and when, comes from the gateway's own
 * access log, matched by request id: a client cannot see it of an answer that goes on in the
 * middle.
 *
 * A `refused` lead has no control door either: that fault carries its own end. */
#include "tools/drill/run.h"
#include "base/mem.h"
#include "base/span.h"
#include "json/json.h"
#include "tools/crew.h"
#include "tools/drill/caller.h"
#include "tools/drill/errand.h"
#include "tools/drill/trap.h"
#include <stdio.h>

#define START_TIME (10 * USEC_PER_SEC)
#define WARM_TIME (600 * USEC_PER_MS)
#define STEADY_LEAST (2 * USEC_PER_SEC)
#define STEADY_MOST (60 * USEC_PER_SEC)
#define STEADY_PERCENT 50 /* of the fault window, within these bounds */
#define RECOVERY_LEAST (2 * USEC_PER_SEC)
#define RECOVERY_MOST (8 * USEC_PER_SEC)
#define SETTLED_TIME (1 * USEC_PER_SEC) /* all by the lead for this long: it has returned */
#define SETTLED_LEAST 8                 /* conversations that show it */
#define POLL_TIME (25 * USEC_PER_MS)
#define RETRY_TIME (50 * USEC_PER_MS)
#define GATEWAY_TOTAL (4 * USEC_PER_SEC) /* `total` below */
#define LEAVE_TIME (3 * USEC_PER_SEC)
#define CALLERS_MAX 4096 /* at once; an arrival beyond it is lost, and told */
#define LOG_MAX ((size_t)64 << 20)
#define ID_BYTES 32

const char *const run_phase_names[] = {
    [RUN_START] = "start",       [RUN_STEADY] = "steady", [RUN_FAULT] = "fault",
    [RUN_RECOVERY] = "recovery", [RUN_LAST] = "last",     [RUN_OVER] = "over",
};

const char *circuit_name(enum circuit c)
{
    static const char *const names[] = {"unknown", "closed", "open", "half open"};
    return names[c];
}

struct visit { /* one caller, under way or over */
    struct run *run;
    size_t index;          /* of its record */
    struct caller *caller; /* NULL when it is over */
    char id[ID_BYTES];
};

struct run {
    struct loop *loop;
    struct run_plan plan;
    struct run_result *result;
    void (*on_over)(void *ctx);
    void *ctx;
    struct crew crew;
    struct trap trap;
    struct pool *pool;
    struct origin *lead, *spare, *gateway, *admin;
    struct errand lead_order, spare_order, poll;
    struct timer arrival, step, poll_timer, over;
    struct visit **visits; /* one per record */
    size_t visit_cap;
    struct buf log;   /* the gateway's access log */
    usec base, began; /* loop time of the load's start; of all */
    enum run_phase phase;
    uint64_t next_arrival;
    size_t open, lost;
    size_t next_step;
    bool ending;
    enum circuit circuit;
    usec last_elsewhere; /* relative: the last answer that was not the lead's */
    size_t settled;      /* answers by the lead since */
};

static void end_soon(struct run *r);
static void next_phase(struct timer *t);

static usec now(const struct run *r)
{
    return loop_now(r->loop) - r->base;
}

static void fail(struct run *r, const char *why)
{
    if (r->ending)
        return;
    r->result->failed = true;
    (void)snprintf(r->result->trouble, sizeof r->result->trouble, "%s", why);
    end_soon(r);
}

void run_abort(struct run *r, const char *why)
{
    fail(r, why);
}

/* ---- the end ---- */

static void tell_over(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, over);
    r->on_over(r->ctx);
}

static void crew_is_empty(void *ctx)
{
    struct run *r = ctx;
    loop_timer_in(r->loop, &r->over, 0, tell_over);
}

static void leaving_takes_too_long(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, step);
    crew_close(&r->crew);
    loop_timer_in(r->loop, &r->over, 0, tell_over);
}

/* Runs from a timer, never from within a call's call-back. */
static void end(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, over);
    errand_deinit(&r->lead_order);
    errand_deinit(&r->spare_order);
    errand_deinit(&r->poll);
    for (size_t i = 0; i < r->result->count; i++)
        if (r->visits[i]->caller != NULL)
            caller_cancel(r->visits[i]->caller);
    trap_close(&r->trap);
    pool_free(r->pool);
    r->pool = NULL;
    loop_timer_in(r->loop, &r->step, LEAVE_TIME, leaving_takes_too_long);
    crew_stop(&r->crew);
}

static void end_soon(struct run *r)
{
    if (r->ending)
        return;
    r->ending = true;
    r->phase = RUN_OVER;
    loop_timer_cancel(r->loop, &r->arrival);
    loop_timer_cancel(r->loop, &r->step);
    loop_timer_cancel(r->loop, &r->poll_timer);
    loop_timer_in(r->loop, &r->over, 0, end);
}

/* ---- counts, after the last answer ---- */

static void read_counts(struct span reply, uint64_t *requests, uint64_t *committed)
{
    struct arena a;
    struct json_doc doc;
    arena_init(&a, ERRAND_REPLY_MAX * 4);
    int64_t n;
    if (json_parse(&a, reply, NULL, &doc, NULL) == ERR_OK) {
        if (json_i64(json_get(json_root(&doc), "requests"), &n) == ERR_OK)
            *requests = (uint64_t)n;
        struct json faults = json_get(json_root(&doc), "faults");
        for (struct json f = json_first(faults); json_present(f); f = json_next(faults, f))
            *committed += json_i64(f, &n) == ERR_OK ? (uint64_t)n : 0;
    }
    arena_deinit(&a);
}

static void spare_counted(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    uint64_t unused = 0;
    if (status != 200) {
        fail(r, "the stand-in spare does not tell its counts");
        return;
    }
    read_counts(reply, &r->result->spare_requests, &unused);
    end_soon(r);
}

static void lead_counted(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    uint64_t unused = 0;
    if (status != 200) {
        fail(r, "the stand-in lead does not tell its counts");
        return;
    }
    read_counts(reply, &r->result->lead_requests, &unused);
    r->spare_order.on_done = spare_counted;
    errand_run(&r->spare_order, r->loop, r->pool, r->spare, "/_standin/stats", SPAN_EMPTY);
}

static void all_answered(struct run *r)
{
    if (r->phase != RUN_LAST || r->ending)
        return;
    loop_timer_cancel(r->loop, &r->poll_timer);
    r->lead_order.on_done = lead_counted;
    errand_run(&r->lead_order, r->loop, r->pool, r->lead, "/_standin/stats", SPAN_EMPTY);
}

/* ---- callers ---- */

static void keep_trouble(struct run *r, const struct record *rec, const char *trouble)
{
    struct run_result *to = r->result;
    if (to->first_trouble[0] != '\0' || trouble[0] == '\0' || rec->as_expected)
        return;
    if (rec->ending == ENDING_TOLD && r->plan.variant->expect == EXPECT_HONEST_ERROR)
        return;
    (void)snprintf(to->first_trouble, sizeof to->first_trouble, "%s: %s",
                   plan_shape_name(rec->shape), trouble);
}

static void caller_is_over(void *ctx, const struct record *rec, struct span id, const char *trouble)
{
    struct visit *v = ctx;
    struct run *r = v->run;
    v->caller = NULL;
    (void)snprintf(v->id, sizeof v->id, "%.*s", SPAN_FMT(id));
    r->result->records[v->index] = *rec;
    keep_trouble(r, rec, trouble);
    r->open--;
    r->lost += rec->ending != ENDING_WHOLE || !rec->right;
    if (rec->by == WHO_LEAD) {
        r->settled++;
    } else {
        r->last_elsewhere = now(r);
        r->settled = 0;
    }
    if (r->open == 0)
        all_answered(r);
}

static struct visit *new_visit(struct run *r)
{
    struct run_result *to = r->result;
    if (to->count == to->cap) {
        to->cap = to->cap == 0 ? 512 : to->cap * 2;
        to->records = mem_realloc(to->records, to->cap * sizeof *to->records);
        r->visits = mem_realloc(r->visits, to->cap * sizeof *r->visits);
    }
    struct visit *v = mem_new(struct visit);
    v->run = r;
    v->index = to->count;
    r->visits[to->count++] = v;
    return v;
}

static void arrive(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, arrival);
    const struct drill_variant *variant = r->plan.variant;
    uint64_t i = r->next_arrival++;
    loop_timer_at(r->loop, &r->arrival,
                  r->base + plan_arrival(r->plan.seed, r->plan.rate, r->next_arrival), arrive);
    if (r->open == CALLERS_MAX) {
        fail(r, "too many conversations at once: the rate is more than this can hold");
        return;
    }
    struct visit *v = new_visit(r);
    struct caller_order order = {.loop = r->loop,
                                 .pool = r->pool,
                                 .gateway = r->gateway,
                                 .fault = r->plan.fault->id,
                                 .base = r->base,
                                 .planned = plan_arrival(r->plan.seed, r->plan.rate, i),
                                 .patience = GATEWAY_TOTAL + USEC_PER_SEC,
                                 .shape = plan_shape(r->plan.seed, i),
                                 .expected_status = variant->status,
                                 .expected_words = variant->told,
                                 .on_over = caller_is_over,
                                 .ctx = v};
    r->open++;
    v->caller = caller_start(&order);
}

/* ---- the lead's circuit ---- */

static void poll(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, poll_timer);
    errand_run(&r->poll, r->loop, r->pool, r->admin, "/api/status", SPAN_EMPTY);
}

static void note_circuit(struct run *r, enum circuit to)
{
    struct run_result *res = r->result;
    if (to == r->circuit || to == CIRCUIT_UNKNOWN)
        return;
    bool was = r->circuit > CIRCUIT_CLOSED, is = to > CIRCUIT_CLOSED;
    if (is != was)
        res->course.circuit_changes++;
    if (is && !was && res->course.opened_at < 0)
        res->course.opened_at = now(r);
    r->circuit = to;
    if (res->circuit_count < CIRCUIT_CHANGES_MAX)
        res->circuit[res->circuit_count++] = (struct circuit_change){now(r), to};
}

static void polled(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    struct arena a;
    struct json_doc doc;
    arena_init(&a, ERRAND_REPLY_MAX);
    if (status == 200 && json_parse(&a, reply, NULL, &doc, NULL) == ERR_OK) {
        struct json state = json_get(json_at(json_get(json_root(&doc), "targets"), 0), "state");
        note_circuit(r, json_str_is(state, "closed")      ? CIRCUIT_CLOSED
                        : json_str_is(state, "open")      ? CIRCUIT_OPEN
                        : json_str_is(state, "half_open") ? CIRCUIT_HALF_OPEN
                                                          : CIRCUIT_UNKNOWN);
    }
    arena_deinit(&a);
    if (!r->ending && r->phase != RUN_LAST)
        loop_timer_in(r->loop, &r->poll_timer, POLL_TIME, poll);
}

/* ---- the fault ---- */

static usec window_ends(const struct run *r)
{
    return r->result->course.fault_at + r->plan.fault_time;
}

static const struct drill_step *step_at(const struct run *r, size_t i)
{
    const struct drill_step *s = i < STEPS_MAX ? &r->plan.variant->steps[i] : NULL;
    return s != NULL && (s->lead != NULL || s->spare != NULL) ? s : NULL;
}

/* When what comes next is due: the next step, or the end of the window. */
static void arm(struct run *r)
{
    const struct drill_step *s = step_at(r, r->next_step);
    usec at = s != NULL ? r->result->course.fault_at + r->plan.fault_time * s->at_percent / 100
                        : window_ends(r);
    loop_timer_at(r->loop, &r->step, r->base + at, next_phase);
}

static void order(struct errand *e, struct run *r, struct origin *to, const char *spec)
{
    char text[120];
    usec left = window_ends(r) - now(r);
    bool own_end = strcmp(spec, "refused") == 0; /* see the top */
    (void)snprintf(text, sizeof text, own_end ? "%s,for=%lldms" : "%s", spec,
                   (long long)(left > 0 ? left / USEC_PER_MS : 0));
    errand_run(e, r->loop, r->pool, to, "/_standin/faults", span_from(text));
}

static void step_confirmed(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    (void)reply;
    if (status != 200)
        fail(r, "a stand-in did not take its orders");
    else if (r->lead_order.call == NULL && r->spare_order.call == NULL)
        arm(r);
}

static void take_step(struct run *r, const struct drill_step *s)
{
    r->next_step++;
    r->lead_order.on_done = r->spare_order.on_done = step_confirmed;
    if (s->lead != NULL)
        order(&r->lead_order, r, r->lead, s->lead);
    if (s->spare != NULL)
        order(&r->spare_order, r, r->spare, s->spare);
}

static void spring_trap(struct run *r)
{
    const char *why = "";
    struct trap_place at = {r->loop, r->crew.dir, r->crew.process[CREW_LEAD].url};
    if (trap_open(&r->trap, r->plan.variant->trap, &at, &why) != ERR_OK) {
        fail(r, why);
        return;
    }
    r->next_step = STEPS_MAX;
    crew_move_lead(&r->crew, r->trap.url, r->trap.ca[0] != '\0' ? r->trap.ca : NULL);
}

static void begin_fault(struct run *r)
{
    r->phase = RUN_FAULT;
    r->result->course.fault_at = now(r);
    if (r->plan.variant->trap != TRAP_NONE)
        spring_trap(r);
    else
        take_step(r, step_at(r, 0));
}

/* ---- its removal ---- */

static void removed(struct run *r)
{
    r->phase = RUN_RECOVERY;
    r->result->course.fault_end = now(r);
    r->last_elsewhere = now(r);
    r->settled = 0;
    loop_timer_in(r->loop, &r->step, RECOVERY_LEAST, next_phase);
}

static void remove_fault(struct timer *t);

static void lead_healed(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    (void)reply;
    if (status != 200) /* refused: its own end comes in a moment */
        loop_timer_in(r->loop, &r->step, RETRY_TIME, remove_fault);
    else
        removed(r);
}

static void spare_healed(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    (void)reply;
    if (status != 200) {
        loop_timer_in(r->loop, &r->step, RETRY_TIME, remove_fault);
        return;
    }
    r->lead_order.on_done = lead_healed;
    errand_run(&r->lead_order, r->loop, r->pool, r->lead, "/_standin/faults", SPAN("none"));
}

static void count_committed(void *ctx, int status, struct span reply)
{
    struct run *r = ctx;
    uint64_t unused = 0;
    r->result->committed = 0; /* this may be the second try */
    if (status == 200)
        read_counts(reply, &unused, &r->result->committed);
    r->spare_order.on_done = spare_healed;
    errand_run(&r->spare_order, r->loop, r->pool, r->spare, "/_standin/faults", SPAN("none"));
}

static void remove_fault(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, step);
    if (now(r) > window_ends(r) + START_TIME) {
        fail(r, "the fault could not be removed");
    } else if (r->plan.variant->trap != TRAP_NONE) {
        crew_move_lead(&r->crew, r->crew.process[CREW_LEAD].url, NULL);
    } else {
        r->lead_order.on_done = count_committed;
        errand_run(&r->lead_order, r->loop, r->pool, r->lead, "/_standin/stats", SPAN_EMPTY);
    }
}

static void gateway_reloaded(void *ctx)
{
    struct run *r = ctx;
    if (r->phase == RUN_FAULT && now(r) < window_ends(r)) {
        arm(r);
    } else if (r->phase == RUN_FAULT) {
        r->result->committed = trap_struck(&r->trap);
        removed(r); /* the trap stays: answers may still be under way through it */
    }
}

/* ---- the phases ---- */

static bool has_settled(const struct run *r)
{
    return r->settled >= SETTLED_LEAST && now(r) - r->last_elsewhere >= SETTLED_TIME &&
           r->circuit == CIRCUIT_CLOSED;
}

static void watch_recovery(struct run *r)
{
    struct course *c = &r->result->course;
    if (!has_settled(r) && now(r) < c->fault_end + RECOVERY_MOST) {
        loop_timer_in(r->loop, &r->step, POLL_TIME, next_phase);
        return;
    }
    c->load_end = now(r);
    r->phase = RUN_LAST; /* each caller has its own patience, so this ends */
    loop_timer_cancel(r->loop, &r->arrival);
    if (r->open == 0)
        all_answered(r);
}

static void next_phase(struct timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, step);
    const struct drill_step *s = r->phase == RUN_FAULT ? step_at(r, r->next_step) : NULL;
    if (r->phase == RUN_STEADY)
        begin_fault(r);
    else if (s != NULL)
        take_step(r, s);
    else if (r->phase == RUN_FAULT)
        remove_fault(t);
    else if (r->phase == RUN_RECOVERY)
        watch_recovery(r);
}

/* ---- the beginning ---- */

static struct origin *origin_of(struct run *r, const char *text)
{
    struct url url;
    const char *why = "";
    if (url_parse(span_from(text), &url, &why) != ERR_OK)
        return NULL;
    return pool_origin(r->pool, &url, NULL);
}

static usec steady_time(const struct run *r)
{
    usec t = r->plan.fault_time * STEADY_PERCENT / 100;
    t = t < STEADY_LEAST ? STEADY_LEAST : t > STEADY_MOST ? STEADY_MOST : t;
    return t + WARM_TIME;
}

static void crew_is_ready(void *ctx)
{
    struct run *r = ctx;
    r->lead = origin_of(r, r->crew.process[CREW_LEAD].url);
    r->spare = origin_of(r, r->crew.process[CREW_SPARE].url);
    r->gateway = origin_of(r, r->crew.process[CREW_GATEWAY].url);
    r->admin = origin_of(r, r->crew.process[CREW_GATEWAY].admin);
    if (r->lead == NULL || r->spare == NULL || r->gateway == NULL || r->admin == NULL) {
        fail(r, "a process gave an address that is none");
        return;
    }
    r->phase = RUN_STEADY;
    r->base = loop_now(r->loop);
    r->result->course.warm_end = WARM_TIME;
    loop_timer_at(r->loop, &r->arrival, r->base + plan_arrival(r->plan.seed, r->plan.rate, 0),
                  arrive);
    loop_timer_in(r->loop, &r->poll_timer, 0, poll);
    loop_timer_in(r->loop, &r->step, steady_time(r), next_phase);
}

static void crew_has_trouble(void *ctx, const char *what)
{
    fail(ctx, what);
}

static void starting_takes_too_long(struct timer *t)
{
    fail(CONTAINER_OF(t, struct run, step), "the processes did not start in time");
}

static void keep_log(void *ctx, struct span line)
{
    struct run *r = ctx;
    if (buf_add(&r->log, line) != ERR_OK || buf_add_char(&r->log, '\n') != ERR_OK)
        fail(r, "the gateway's access log is larger than 64 MiB");
}

static void keep_why(void *ctx, const char *why)
{
    struct run *r = ctx;
    if (r->result->why[0] == '\0' && r->phase == RUN_FAULT)
        (void)snprintf(r->result->why, sizeof r->result->why, "%s", why);
}

/* What the gateway is told to wait: a drill of seconds must hold what takes minutes in life. */
static const struct crew_plan crew_plan = {
    .purpose = "drill",
    .label = {"the stand-in lead", "the stand-in spare", "the gateway"},
    .lead = "lead",
    .spare = "spare",
    .spare_model = "gpt-drill",
    .words = CALLER_WORDS,
    .rate = "60",
    .first_token = "50ms",
    .tool = CALLER_TOOL,
    .settings = "access_log: \"-\"\n"
                "deadlines: { connect: 500ms, first_token: 600ms, stall: 600ms, total: 4s, "
                "drain: 100ms }\n"
                "breaker: { failures: 3, open: 500ms, max_open: 1s }\n"
                "return: { ramp: 100ms }\n",
};

struct run *run_start(struct loop *l, const struct run_plan *plan, struct run_result *to,
                      void (*on_over)(void *ctx), void *ctx)
{
    struct run *r = mem_new(struct run);
    *r = (struct run){.loop = l, .plan = *plan, .result = to, .on_over = on_over, .ctx = ctx};
    *to = (struct run_result){.course = {.expect = plan->variant->expect, .opened_at = -1}};
    r->began = r->base = loop_now(l);
    r->circuit = CIRCUIT_CLOSED;
    r->pool = pool_new(l, &pool_limits_default);
    buf_init(&r->log, LOG_MAX);
    r->lead_order.ctx = r->spare_order.ctx = r->poll.ctx = r;
    r->poll.on_done = polled;
    loop_timer_in(l, &r->step, START_TIME, starting_takes_too_long);
    r->crew = (struct crew){.plan = &crew_plan,
                            .loop = l,
                            .on_ready = crew_is_ready,
                            .on_reloaded = gateway_reloaded,
                            .on_trouble = crew_has_trouble,
                            .on_log = keep_log,
                            .on_failure = keep_why,
                            .on_empty = crew_is_empty,
                            .ctx = r};
    crew_open(&r->crew);
    return r;
}

/* ---- what the gateway logged ---- */

static struct record *record_named(struct run *r, struct json id, size_t *near)
{
    struct run_result *to = r->result;
    for (size_t step = 0; step < to->count; step++) { /* lines come nearly in the records' order */
        size_t i = (*near + step) % to->count;
        if (r->visits[i]->id[0] == '\0' || !json_str_is(id, r->visits[i]->id))
            continue;
        *near = i;
        return &to->records[i];
    }
    return NULL;
}

/* When the first attempt elsewhere began: those before it, one after the other, took this long. */
static void read_attempts(struct run *r, struct record *rec, struct json attempts)
{
    usec at = rec->sent;
    for (struct json a = json_first(attempts); json_present(a); a = json_next(attempts, a)) {
        int64_t ms = 0;
        bool lead = json_str_is(json_get(a, "target"), "lead");
        rec->attempts++;
        if (!lead && rec->away < 0)
            rec->away = at;
        if (lead && !json_str_is(json_get(a, "result"), "ok") && at >= r->result->course.fault_at)
            r->result->lead_failures++;
        if (json_i64(json_get(a, "ms"), &ms) == ERR_OK)
            at += ms * USEC_PER_MS;
    }
}

/* Spliced: the head, sent at the first word, named another than the one who ended the answer. */
static void read_log_line(struct run *r, struct json line, size_t *near)
{
    struct record *rec = record_named(r, json_get(line, "id"), near);
    if (rec == NULL)
        return;
    struct json by = json_get(line, "served_by");
    enum who ended_by = json_str_is(by, "lead")    ? WHO_LEAD
                        : json_str_is(by, "spare") ? WHO_SPARE
                                                   : WHO_NOBODY;
    read_attempts(r, rec, json_get(line, "attempts"));
    if (ended_by == WHO_NOBODY)
        return;
    rec->spliced = rec->by != WHO_NOBODY && rec->by != ended_by;
    rec->by = ended_by;
}

static void read_log(struct run *r)
{
    struct span rest = buf_span(&r->log), line;
    struct arena a;
    size_t near = 0;
    arena_init(&a, (size_t)1 << 20);
    while (span_next(&rest, '\n', &line)) {
        struct json_doc doc;
        arena_reset(&a);
        if (json_parse(&a, line, NULL, &doc, NULL) == ERR_OK)
            read_log_line(r, json_root(&doc), &near);
    }
    arena_deinit(&a);
}

static void compute(struct run *r)
{
    struct run_result *to = r->result;
    read_log(r);
    to->course.client = to->count;
    to->course.upstream = to->lead_requests + to->spare_requests;
    figures_of(to->records, to->count, &to->course, &to->figures);
}

void run_free(struct run *r)
{
    if (!r->result->failed)
        compute(r);
    crew_close(&r->crew);
    loop_timer_cancel(r->loop, &r->step);
    loop_timer_cancel(r->loop, &r->over);
    for (size_t i = 0; i < r->result->count; i++)
        mem_free(r->visits[i]);
    mem_free(r->visits);
    buf_deinit(&r->log);
    mem_free(r);
}

void run_result_free(struct run_result *r)
{
    mem_free(r->records);
    r->records = NULL;
    r->count = r->cap = 0;
}

struct run_view run_view(const struct run *r)
{
    return (struct run_view){.phase = r->phase,
                             .since_start = loop_now(r->loop) - r->began,
                             .open = r->open,
                             .over = r->result->count - r->open,
                             .lost = r->lost,
                             .circuit = r->circuit};
}
