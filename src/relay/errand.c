/* One errand: read what routing needs, let its kind choose a target, carry one call at a time, give
 * the answer.
 *
 *   start -> kind->begin --errand_ask--> (gate) --> (call) --2xx--> kind->answered --> end
 *                ^                          |         |
 *                '--------kind->failed------'---------'  which asks another, or ends it
 *
 * Invariants: at most one call is open, and none while it waits at a gate; every end goes through
 * finish(), once. */
#include "relay/errand_internal.h"

#define ANSWER_MAX ((size_t)64 << 20) /* 2,048 vectors of 3,072 numbers, as text */
#define FIELDS_MOST 32
#define LOADING_LOOK (50 * USEC_PER_MS) /* how often a waiting errand looks at its engine */

/* ---- ends ---- */

static void report(struct errand *e, enum exchange_outcome outcome)
{
    if (!e->relay->on_done)
        return;
    struct exchange_report r = {.request = e->request,
                                .door = e->kind->door,
                                .client_key = e->client_key,
                                .id = span_from(e->id),
                                .model = e->model,
                                .status = e->status_sent,
                                .outcome = outcome,
                                .attempts = e->attempts,
                                .attempt_count = e->attempt_count,
                                .lossy = e->lossy,
                                .usage = CHAT_USAGE_UNKNOWN,
                                .started = e->started,
                                .ended = loop_now(e->relay->loop)};
    if (e->served) {
        r.served_by = e->route->links[e->link].target->name;
        r.served_model = errand_model(e, e->link);
    }
    e->relay->on_done(e->relay->ctx, &r);
}

static void finish(struct errand *e, enum exchange_outcome outcome)
{
    assert(!e->done && !e->call);
    e->done = true;
    loop_timer_cancel(e->relay->loop, &e->timer);
    e->relay->open--;
    report(e, outcome);
}

static void add_field(struct http_field *fields, size_t *count, const char *name, struct span value)
{
    if (*count < FIELDS_MOST && value.len > 0)
        fields[(*count)++] = (struct http_field){span_from(name), value};
}

static size_t our_fields(struct errand *e, struct http_field *fields, size_t count)
{
    char lossy[512];
    if (!e->relay->reply_headers)
        return count;
    add_field(fields, &count, "x-hotspare-request-id", span_from(e->id));
    add_field(fields, &count, "x-hotspare-attempts",
              arena_printf(e->arena, "%zu", e->attempt_count));
    if (e->served) {
        add_field(fields, &count, "x-hotspare-served-by",
                  span_from(e->route->links[e->link].target->name));
        add_field(fields, &count, "x-hotspare-model", span_take(errand_model(e, e->link), 200));
    }
    size_t len = lossy_format(&e->lossy, lossy, sizeof lossy);
    add_field(fields, &count, "x-hotspare-lossy", arena_copy(e->arena, (struct span){lossy, len}));
    return count;
}

static void reply(struct errand *e, int status, struct span content_type, bool upstreams,
                  struct span body, enum exchange_outcome outcome)
{
    struct http_field fields[FIELDS_MOST];
    size_t count = 0;
    add_field(fields, &count, "content-type", content_type);
    if (upstreams)
        for (size_t i = 0; i < e->reply_field_count && count < FIELDS_MOST / 2; i++)
            fields[count++] = e->reply_fields[i];
    else
        add_field(fields, &count, e->kind->door->claude_api ? "request-id" : "x-request-id",
                  span_from(e->id));
    if (!upstreams && status >= 400 && status < 500 && status != 429)
        add_field(fields, &count, "x-should-retry", SPAN("false"));
    count = our_fields(e, fields, count);
    e->status_sent = status;
    struct request *r = e->request;
    finish(e, outcome);
    reply_whole(r, status, fields, count, body);
}

void errand_reply(struct errand *e, struct span body)
{
    struct span type =
        e->served && e->content_type.len ? e->content_type : SPAN("application/json");
    reply(e, 200, type, e->served, body, OUTCOME_OK);
}

void errand_refuse(struct errand *e, int status, struct span message)
{
    struct buf body;
    buf_init(&body, (size_t)64 << 10);
    struct chat_error error = {.status = status,
                               .type = span_from(dialect_error_type(status)),
                               .message = message,
                               .request_id = span_from(e->id)};
    if (e->kind->door->write_error(&body, NULL, &error) != ERR_OK)
        buf_reset(&body);
    struct span kept = arena_copy(e->arena, buf_span(&body));
    buf_deinit(&body);
    reply(e, status, SPAN("application/json"), false, kept,
          status < 500 ? OUTCOME_CLIENT_ERROR : OUTCOME_REJECTED);
}

/* A refused key is the gateway's, not the caller's, who would doubt its own. */
void errand_reply_upstream(struct errand *e, const struct failure *f)
{
    const struct cause_facts *facts = cause_facts(f->cause);
    const char *target = e->route->links[f->link].target->name;
    bool ours = f->cause == CAUSE_KEY_BAD || f->cause == CAUSE_ACCOUNT_GONE;
    if (!ours && f->whole && span_isearch(f->content_type, SPAN("json")) >= 0) {
        e->reply_fields = f->fields;
        e->reply_field_count = f->field_count;
        reply(e, f->status, f->content_type, true, f->body,
              f->status < 500 && f->status != 429 ? OUTCOME_CLIENT_ERROR : OUTCOME_REJECTED);
        return;
    }
    errand_refuse(e,
                  f->cause == CAUSE_STALLED     ? 504
                  : f->cause == CAUSE_NOT_READY ? 503
                                                : 502,
                  arena_printf(e->arena, "Target %s: %s. %s", target, facts->name,
                               facts->advice ? facts->advice
                               : f->why      ? f->why
                                             : ""));
}

/* ---- asking ---- */

struct span errand_path(struct errand *e, const struct relay_target *target, const char *door)
{
    struct span base = target->path, query = SPAN_EMPTY; /* Azure's: its version */
    ssize_t mark = span_find(base, '?');
    if (mark >= 0) {
        query = span_drop(base, (size_t)mark);
        base = span_take(base, (size_t)mark);
    }
    base.len -= strlen(target->dialect->path);
    return arena_printf(e->arena, "%.*s%s%.*s", SPAN_FMT(base), door, SPAN_FMT(query));
}

struct span errand_model(const struct errand *e, size_t link)
{
    const struct relay_link *l = &e->route->links[link];
    return l->model.len ? l->model : e->model;
}

void errand_pass_body(struct errand *e, size_t link)
{
    struct span model = errand_model(e, link);
    if (span_eq(model, e->model))
        pieces_add(&e->body, request_body(e->request));
    else
        dialect_replace_model(&e->doc, model, &e->body);
}

static enum err write_fields(struct errand *e, const struct relay_target *target)
{
    const struct http_head *head = request_head(e->request);
    struct buf *to = &e->relay->scratch;
    bool claude = target->dialect->claude_api, own = claude == e->kind->door->claude_api;
    buf_reset(to);
    enum err err = buf_add_cstr(to, "content-type: application/json\r\naccept: application/json\r\n"
                                    "accept-encoding: identity\r\n");
    for (size_t i = 0; err == ERR_OK && own && i < head->field_count; i++)
        if (attempt_forwards_field(head->fields[i].name, false))
            err = h1_write_field(to, head->fields[i].name, head->fields[i].value);
    if (err == ERR_OK && claude && !http_field_get(head, "anthropic-version").at)
        err = buf_add_cstr(to, "anthropic-version: 2023-06-01\r\n");
    if (err == ERR_OK)
        err = buf_add(to, target->credentials);
    e->fields = err == ERR_OK ? arena_copy(e->arena, buf_span(to)) : SPAN_EMPTY;
    return err;
}

static void leave_gate(struct errand *e)
{
    if (e->entered)
        gate_leave(e->route->links[e->link].target->gate, loop_now(e->relay->loop));
    e->entered = e->waits = false;
}

static void tell_failed(struct errand *e, struct failure *f)
{
    struct exchange_attempt *line = &e->attempts[e->attempt_count - 1];
    line->cause = f->cause;
    line->status = e->status;
    line->ended = loop_now(e->relay->loop);
    leave_gate(e);
    call_cancel(e->call);
    e->call = NULL;
    if (e->attempt_count == 1)
        e->first = *f;
    e->kind->failed(e, f);
}

static void fail(struct errand *e, enum err err, enum call_stage stage, bool deadline,
                 const char *why)
{
    struct failure f = {.link = e->link, .status = e->status, .content_type = e->content_type};
    bool error_status = e->status != 0 && (e->status < 200 || e->status > 299);
    if (error_status) {
        f.body = arena_copy(e->arena, buf_span(&e->gathered));
        f.whole = err == ERR_OK && f.body.len < ERROR_BODY_MAX;
        e->kind->door->read_error(e->arena, e->status, f.body, &f.error);
        f.fields = e->reply_fields;
        f.field_count = e->reply_field_count;
    }
    struct http_head kept = {
        .status = e->status, .fields = e->reply_fields, .field_count = e->reply_field_count};
    struct cause_evidence evidence = {.err = err,
                                      .stage = stage,
                                      .status = e->status,
                                      .head = &kept,
                                      .error = error_status ? &f.error : NULL,
                                      .deadline = deadline};
    f.cause = cause_of(&evidence, loop_wall(e->relay->loop), &f.retry_after);
    f.why = why ? arena_cstr(e->arena, span_from(why)) : NULL;
    tell_failed(e, &f);
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct errand *e = ctx;
    e->status = head->status;
    e->content_type = arena_copy(e->arena, http_field_get(head, "content-type"));
    e->reply_field_count = attempt_keep_fields(e->arena, head, &e->reply_fields);
    bool json = span_isearch(e->content_type, SPAN("json")) >= 0;
    if (head->status >= 200 && head->status <= 299 && !json)
        fail(e, ERR_SYNTAX, CALL_BODY, false, "an answer was asked for, and the 200 is not JSON");
}

static void on_body(void *ctx, struct span bytes)
{
    struct errand *e = ctx;
    bool good = e->status >= 200 && e->status <= 299;
    if (!good && e->gathered.len + bytes.len > ERROR_BODY_MAX)
        fail(e, ERR_LIMIT, CALL_BODY, false, "the error's body is too long");
    else if (buf_add(&e->gathered, bytes) != ERR_OK)
        fail(e, ERR_LIMIT, CALL_BODY, false, "the answer is too long");
}

static void on_end(void *ctx)
{
    struct errand *e = ctx;
    struct exchange_attempt *line = &e->attempts[e->attempt_count - 1];
    e->call = NULL;
    leave_gate(e);
    if (e->status < 200 || e->status > 299) {
        fail(e, ERR_OK, CALL_BODY, false, NULL);
        return;
    }
    line->status = e->status;
    line->ended = loop_now(e->relay->loop);
    if (!e->kind->answered(e, buf_span(&e->gathered)))
        fail(e, ERR_SYNTAX, CALL_BODY, false, "the 200 does not hold an answer");
}

static void on_error(void *ctx, enum err err, enum call_stage stage, const char *why)
{
    struct errand *e = ctx;
    e->call = NULL;
    fail(e, err, stage, false, why);
}

static void on_timer(struct timer *t)
{
    fail(CONTAINER_OF(t, struct errand, timer), ERR_TIMEOUT, CALL_WAIT, true,
         "no answer within its time");
}

static void send(struct errand *e)
{
    static const struct call_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    const struct relay_target *target = e->route->links[e->link].target;
    struct call_request req = {.method = SPAN("POST"),
                               .target = e->path,
                               .fields = e->fields,
                               .body = &e->body,
                               .connect_time = e->relay->deadlines.connect};
    gate_enter(target->gate);
    e->entered = true;
    e->waits = false;
    e->call = call_start(e->relay->pool, target->origin, &req, &events, e);
    loop_timer_cancel(e->relay->loop, &e->timer);
    loop_timer_in(e->relay->loop, &e->timer, e->time, on_timer);
}

/* Nothing was sent. */
static void not_ready(struct errand *e, const char *why)
{
    struct failure f = {.cause = CAUSE_NOT_READY, .link = e->link, .why = why};
    tell_failed(e, &f);
}

static void look_at_engine(struct errand *e);

static void on_look(struct timer *t)
{
    look_at_engine(CONTAINER_OF(t, struct errand, timer));
}

static void look_at_engine(struct errand *e)
{
    usec now = loop_now(e->relay->loop);
    enum gate_answer answer = gate_ask(e->route->links[e->link].target->gate, now);
    e->waits = answer == GATE_LOADING;
    if (answer == GATE_OPEN)
        send(e);
    else if (answer == GATE_GONE)
        not_ready(e, "the engine could not be started; /api/status says why");
    else if (now - e->asked >= e->patience)
        not_ready(e, "the engine is still loading");
    else
        loop_timer_in(e->relay->loop, &e->timer, LOADING_LOOK, on_look);
}

void errand_ask(struct errand *e, size_t link, usec time)
{
    const struct relay_target *target = e->route->links[link].target;
    usec now = loop_now(e->relay->loop);
    assert(e->attempt_count < CHAIN_MAX && !e->call);
    e->link = link;
    e->status = 0;
    e->content_type = SPAN_EMPTY;
    e->reply_field_count = 0;
    buf_reset(&e->gathered);
    e->attempts[e->attempt_count++] = (struct exchange_attempt){
        .target = target->name, .model = e->route->links[link].model, .started = now, .ended = now};
    if (write_fields(e, target) != ERR_OK) {
        if (e->kind->left)
            e->kind->left(e);
        errand_refuse(e, 400, SPAN("The request's headers are too large to pass on."));
        return;
    }
    e->time = time;
    e->asked = now;
    loop_timer_cancel(e->relay->loop, &e->timer);
    look_at_engine(e);
}

/* ---- beginning ---- */

static void free_buffers(void *object)
{
    struct errand *e = object;
    buf_deinit(&e->gathered);
}

static struct errand *errand_new(struct relay *relay, struct request *r, const char *client_key,
                                 const struct errand_kind *kind)
{
    struct errand *e = arena_new(request_arena(r), struct errand);
    e->kind = kind;
    e->relay = relay;
    e->request = r;
    e->arena = request_arena(r);
    e->client_key = client_key;
    e->started = loop_now(relay->loop);
    e->deadline = e->started + relay->deadlines.total;
    buf_init(&e->gathered, ANSWER_MAX);
    arena_on_free(e->arena, free_buffers, e);
    pieces_init(&e->body, e->arena);
    request_set_data(r, e);
    relay->open++;
    request_id_make(relay->loop, e->id);
    return e;
}

static void start(struct relay *relay, struct request *r, const char *client_key,
                  const struct errand_kind *kind)
{
    struct errand *e = errand_new(relay, r, client_key, kind);
    struct outline_fault fault;
    bool stream;
    if (!outline_read(e->arena, request_body(r), &e->doc, &e->model, &stream, &fault)) {
        errand_refuse(e, fault.status, fault.text);
        return;
    }
    struct span name = json_unescape(e->model, e->arena);
    e->route = relay->route_for(relay->ctx, r, name);
    if (!e->route || e->route->count == 0)
        errand_refuse(e, 404, outline_no_route(e->arena, name));
    else
        kind->begin(e);
}

void errand_embeddings(struct relay *relay, struct request *r, const char *client_key)
{
    start(relay, r, client_key, &errand_embeddings_kind);
}

void errand_count_tokens(struct relay *relay, struct request *r, const char *client_key)
{
    start(relay, r, client_key, &errand_count_kind);
}

void errand_client_gone(struct request *r)
{
    struct errand *e = request_data(r);
    if (!e || e->done)
        return;
    if (e->call || e->waits) {
        struct exchange_attempt *line = &e->attempts[e->attempt_count - 1];
        line->cancelled = true;
        line->ended = loop_now(e->relay->loop);
        if (e->kind->left)
            e->kind->left(e);
    }
    leave_gate(e);
    call_cancel(e->call);
    e->call = NULL;
    finish(e, OUTCOME_CLIENT_GONE);
    reply_abort(r);
}
