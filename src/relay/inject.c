/* A drill's fault, put between an attempt and its target: what the attempt hears is what it would
 * hear if the target failed so. All that judges and mends it is the code that runs every day.
 *
 *   before the answer   nothing is sent: a status, a page, silence or a dead connection is told
 *   slow-first          the request is sent after its delay
 *   in the stream       the request is sent; the answer passes through here until its place is
 *                       reached, counted in pieces of content (cut-bytes: in bytes); then the
 *                       target is let go, and the fault is told
 *   in a whole answer   half of what came first, then the fault
 *
 * Who waits for nothing waits no longer than the drill: when its order ends, silence becomes a
 * broken connection, which sends the request elsewhere, and what was to be sent late is sent.
 *
 * Each call-back into the attempt may be its end, and the exchange's, and so ours: what is to
 * happen afterwards is put on the timer before it, and inject_drop takes it off again. */
#include "json/json_write.h"
#include "relay/exchange_internal.h"

#define BODY_MAX ((size_t)64 << 10)
#define PING_TIME (1 * USEC_PER_SEC)
#define WATCH_TIME (250 * USEC_PER_MS)

static const char why[] = "a drill commits this fault on purpose";

struct injection { /* in the exchange's arena */
    struct exchange *x;
    struct call_request request; /* its spans live as long as the attempt */
    struct fault_hit hit;
    struct timer timer;
    struct event_stream events;  /* with `counter`: of the stream that passes through */
    struct cloud_stream *frames; /* of AWS, instead of `events`; NULL: none */
    struct reply_reader *counter;
    uint64_t seen;
    usec due; /* slow-first: when the request is sent */
    bool streaming, struck, headed;
};

static enum fault_kind kind_of(const struct injection *j)
{
    return j->hit.fault.row->kind;
}

/* From here on it is no longer the target that speaks. */
static void strike(struct injection *j)
{
    struct exchange *x = j->x;
    j->struck = true;
    x->attempt.fault_serial = j->hit.serial;
    x->attempt.fault_counts = j->hit.circuit;
    exchange_log(x)->injected = arena_cstr(x->arena, span_from(j->hit.spec));
    if (x->fault_serial == 0) {
        x->fault_serial = j->hit.serial;
        fault_board_struck(x->relay->faults, j->hit.serial);
    }
}

static void later(struct injection *j, usec time, void (*what)(struct timer *t))
{
    loop_timer_in(j->x->relay->loop, &j->timer, time, what);
}

/* ---- while it is silent ---- */

static bool is_over(const struct injection *j)
{
    struct relay *relay = j->x->relay;
    return !fault_board_current(relay->faults, j->hit.serial, loop_now(relay->loop));
}

static void let_go(struct injection *j)
{
    j->x->fault_released = true;
    attempt_events.on_error(j->x, ERR_RESET, j->x->attempt.status ? CALL_BODY : CALL_WAIT,
                            "the drill that kept it waiting is over");
}

static void watch(struct timer *t)
{
    struct injection *j = CONTAINER_OF(t, struct injection, timer);
    if (is_over(j))
        let_go(j);
    else
        later(j, WATCH_TIME, watch);
}

/* ---- what a failing target says ---- */

static struct span error_body(struct injection *j)
{
    struct exchange *x = j->x;
    const struct dialect *d = x->attempt.dialect;
    const struct fault_row *row = j->hit.fault.row;
    bool anthropic = d->id == DIALECT_ANTHROPIC;
    struct chat_error e = {.status = row->status, .message = span_from(row->message)};
    if (anthropic) {
        e.type = span_from(row->type);
    } else {
        const char *by_status = row->status >= 500 ? "server_error" : "invalid_request_error";
        e.type = span_from(row->chat_type ? row->chat_type : by_status);
        e.code = row->code ? span_from(row->code) : SPAN_EMPTY;
    }
    struct buf body;
    buf_init(&body, BODY_MAX);
    if (d->write_error(&body, NULL, &e) != ERR_OK)
        buf_reset(&body);
    struct span kept = arena_copy(x->arena, buf_span(&body));
    buf_deinit(&body);
    return kept;
}

static bool is_framed(const struct injection *j)
{
    return cloud_frames(j->x->attempt.link->target->cloud);
}

/* As AWS does: ConverseStream's exceptions, which InvokeModelWithResponseStream has, too. */
static enum err write_exception(const struct fault_row *row, struct buf *to)
{
    const char *name = row->status == 429   ? "throttlingException"
                       : row->status == 400 ? "validationException"
                       : row->status == 500 ? "internalServerException"
                                            : "serviceUnavailableException";
    struct buf payload;
    buf_init(&payload, BODY_MAX);
    struct json_out w;
    json_out_buf(&w, &payload);
    jw_object(&w);
    jw_key(&w, "message");
    jw_cstr(&w, row->message);
    jw_object_end(&w);
    enum err e = eventstream_write(to, "exception", name, buf_span(&payload));
    buf_deinit(&payload);
    return e;
}

static enum err write_error_event(struct injection *j, struct buf *to)
{
    const struct dialect *d = j->x->attempt.dialect;
    if (is_framed(j))
        return write_exception(j->hit.fault.row, to);
    struct span body = error_body(j);
    if (d->lines)
        return buf_printf(to, "%.*s\n", SPAN_FMT(body));
    return sse_write(to, d->id == DIALECT_ANTHROPIC ? "error" : NULL, body);
}

static struct span error_event(struct injection *j)
{
    struct exchange *x = j->x;
    struct buf event;
    buf_init(&event, BODY_MAX);
    if (write_error_event(j, &event) != ERR_OK)
        buf_reset(&event);
    struct span kept = arena_copy(x->arena, buf_span(&event));
    buf_deinit(&event);
    return kept;
}

static const char *stream_type(const struct injection *j)
{
    if (is_framed(j))
        return "application/vnd.amazon.eventstream";
    return j->x->attempt.dialect->lines ? "application/x-ndjson" : "text/event-stream";
}

static void tell_head(struct injection *j, int status, const char *type)
{
    struct exchange *x = j->x;
    struct http_field fields[2] = {{SPAN("content-type"), span_from(type)}};
    struct http_head head = {.status = status,
                             .minor = 1,
                             .fields = fields,
                             .field_count = 1,
                             .content_length = -1,
                             .chunked = true};
    if (j->hit.fault.retry_after >= 0) {
        fields[1] = (struct http_field){
            SPAN("retry-after"),
            arena_printf(x->arena, "%lld", (long long)j->hit.fault.retry_after)};
        head.field_count = 2;
    }
    attempt_events.on_head(x, &head);
}

/* An error status ends nothing before its body has: all of it can be told at once. */
static void tell_error(struct injection *j, const char *type, struct span body)
{
    struct exchange *x = j->x;
    tell_head(j, j->hit.fault.row->status, type);
    attempt_events.on_body(x, body);
    attempt_events.on_end(x);
}

/* ---- before the answer ---- */

static void tell_ping(struct timer *t)
{
    struct injection *j = CONTAINER_OF(t, struct injection, timer);
    bool anthropic = j->x->attempt.dialect->id == DIALECT_ANTHROPIC;
    if (is_over(j)) {
        let_go(j);
        return;
    }
    later(j, PING_TIME, tell_ping);
    if (is_framed(j)) /* that format has none: silence it is */
        return;
    attempt_events.on_body(j->x, anthropic ? SPAN("event: ping\ndata: {\"type\":\"ping\"}\n\n")
                                           : SPAN(": keep-alive\n\n"));
}

static void tell_first_error(struct timer *t)
{
    struct injection *j = CONTAINER_OF(t, struct injection, timer);
    attempt_events.on_body(j->x, error_event(j));
}

/* A whole answer has no events: there it is a status in any case. */
static void tell_error_or_event(struct injection *j)
{
    if (kind_of(j) != FAULT_ERROR_FIRST || !j->x->stream) {
        tell_error(j, "application/json", error_body(j));
        return;
    }
    later(j, 0, tell_first_error);
    tell_head(j, 200, stream_type(j));
}

static void send_late(struct timer *t)
{
    struct injection *j = CONTAINER_OF(t, struct injection, timer);
    struct exchange *x = j->x;
    usec left = j->due - loop_now(x->relay->loop);
    if (left > 0 && !is_over(j)) {
        later(j, left < WATCH_TIME ? left : WATCH_TIME, send_late);
        return;
    }
    x->fault_released |= left > 0;
    x->attempt.call = call_start(x->relay->pool, x->attempt.link->target->origin, &j->request,
                                 &attempt_events, x);
}

static void tell_early(struct timer *t)
{
    struct injection *j = CONTAINER_OF(t, struct injection, timer);
    struct exchange *x = j->x;
    const char *type = x->stream ? stream_type(j) : "application/json";
    switch (kind_of(j)) {
    case FAULT_REFUSED:
        attempt_events.on_error(x, ERR_REFUSED, CALL_CONNECT, why);
        return;
    case FAULT_RESET:
        attempt_events.on_error(x, ERR_RESET, CALL_WAIT, why);
        return;
    case FAULT_HEADERS_ONLY:
        later(j, WATCH_TIME, watch);
        tell_head(j, 200, type);
        return;
    case FAULT_PINGS_ONLY:
        if (!x->stream) { /* a whole answer has no pings: silence */
            watch(t);
            return;
        }
        later(j, 0, tell_ping);
        tell_head(j, 200, type);
        return;
    case FAULT_HTML:
        tell_head(j, 200, "text/html; charset=utf-8");
        return;
    case FAULT_HTML_STATUS:
        tell_error(j, "text/html; charset=utf-8",
                   SPAN("<!doctype html><html><body>Service unavailable</body></html>"));
        return;
    case FAULT_ERROR_FIRST:
    case FAULT_STATUS:
    case FAULT_ERROR_AFTER_START:
    case FAULT_ERROR:
        tell_error_or_event(j);
        return;
    default:
        watch(t); /* silent */
        return;
    }
}

/* ---- in the answer ---- */

/* The target is let go; what it would have said is not read. */
static void tell_late(struct timer *t)
{
    struct injection *j = CONTAINER_OF(t, struct injection, timer);
    struct exchange *x = j->x;
    call_cancel(x->attempt.call);
    x->attempt.call = NULL;
    switch (kind_of(j)) {
    case FAULT_CUT:
    case FAULT_CUT_BYTES:
        attempt_events.on_error(x, ERR_EOF, CALL_BODY, why);
        return;
    case FAULT_RST:
        attempt_events.on_error(x, ERR_RESET, CALL_BODY, why);
        return;
    case FAULT_ERROR:
    case FAULT_ERROR_AFTER_START:
        attempt_events.on_body(x, error_event(j));
        return;
    case FAULT_GARBAGE:
        if (j->streaming)
            attempt_events.on_body(
                x, SPAN("event: content_block_delta\ndata: {\"type\":\"content_block_\n\n"));
        else
            attempt_events.on_end(x);
        return;
    default:
        watch(t); /* stall */
        return;
    }
}

/* Its place is reached: behind what is told now, the fault is next. */
static void strike_next(struct injection *j)
{
    strike(j);
    later(j, 0, tell_late);
}

static void count(void *ctx, const struct chat_event *e)
{
    struct injection *j = ctx;
    j->seen += ledger_is_content(e);
}

static bool is_reached(const struct injection *j)
{
    return kind_of(j) == FAULT_ERROR_AFTER_START ? j->seen > 0 : j->seen >= j->hit.fault.at;
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct injection *j = ctx;
    struct exchange *x = j->x;
    bool good = head->status >= 200 && head->status <= 299;
    j->streaming = good && x->stream;
    j->headed = good;
    if (j->streaming && is_framed(j))
        j->frames = cloud_stream_new(x->arena, attempt_is_converse(&x->attempt), ATTEMPT_EVENT_MAX);
    if (j->streaming && kind_of(j) != FAULT_ERROR_AFTER_START && is_reached(j))
        strike_next(j);
    attempt_events.on_head(x, head);
}

/* How much of the bytes comes before the fault; all, when it is not reached in them. */
static size_t before_fault(struct injection *j, struct span bytes)
{
    size_t at = 0;
    if (kind_of(j) == FAULT_CUT_BYTES) {
        uint64_t room = j->hit.fault.at - j->seen;
        j->seen += room < bytes.len ? room : bytes.len;
        return room < bytes.len ? (size_t)room : bytes.len;
    }
    while (at < bytes.len && !is_reached(j)) {
        struct sse_event e;
        size_t used;
        enum err err = cloud_event_next(j->frames, &j->events, span_drop(bytes, at), &used, &e);
        at += used;
        if (err != ERR_OK)
            break; /* not complete yet; or too long, which the attempt sees itself */
        if (kind_of(j) == FAULT_ERROR_AFTER_START)
            j->seen += !e.comment_only;
        else if (!e.comment_only && j->x->attempt.dialect->read_event(j->counter, &e) != ERR_OK)
            break; /* malformed without our help */
    }
    return at;
}

static void on_body(void *ctx, struct span bytes)
{
    struct injection *j = ctx;
    struct exchange *x = j->x;
    if (j->struck)
        return;
    if (j->streaming) {
        bytes = span_take(bytes, before_fault(j, bytes));
        if (is_reached(j))
            strike_next(j);
    } else if (j->headed) {
        bytes = span_take(bytes, bytes.len / 2);
        strike_next(j);
    }
    attempt_events.on_body(x, bytes);
}

static void on_end(void *ctx)
{
    struct injection *j = ctx;
    struct exchange *x = j->x;
    x->attempt.call = NULL;
    if (!j->struck) /* else the fault is what it ends with */
        attempt_events.on_end(x);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *reason)
{
    struct injection *j = ctx;
    struct exchange *x = j->x;
    x->attempt.call = NULL;
    if (!j->struck)
        attempt_events.on_error(x, e, stage, reason);
}

/* ---- beginning ---- */

static bool is_met(struct exchange *x, struct fault_hit *hit)
{
    struct fault_board *b = x->relay->faults;
    const struct http_head *head = request_head(x->request);
    struct identity who = identity_of(b->seed, x->client_key, head, &x->doc);
    if (who.source == IDENTITY_NONE)
        loop_random(x->relay->loop, &who.hash, sizeof who.hash);
    return fault_board_meets(b, loop_now(x->relay->loop), x->attempt.link->target->name,
                             http_field_get(head, "x-hotspare-drill"), who.hash, hit);
}

/* Does it need the target's own answer, or a part of it? */
static bool needs_target(const struct exchange *x, enum fault_kind k)
{
    switch (k) {
    case FAULT_CUT:
    case FAULT_CUT_BYTES:
    case FAULT_RST:
    case FAULT_STALL:
    case FAULT_GARBAGE:
        return true;
    case FAULT_ERROR:
    case FAULT_ERROR_AFTER_START:
        return x->stream;
    default:
        return false;
    }
}

static void pass_through(struct injection *j)
{
    static const struct call_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    struct exchange *x = j->x;
    const struct relay_target *target = x->attempt.link->target;
    struct reader_options o = {.requested_whole = !x->stream};
    j->counter = x->attempt.dialect->reader_new(x->arena, &o, (struct chat_sink){count, j});
    x->attempt.call = call_start(x->relay->pool, target->origin, &j->request, &events, j);
}

bool inject_begin(struct exchange *x, const struct call_request *request)
{
    struct fault_hit hit;
    if (!is_met(x, &hit))
        return false;
    struct injection *j = arena_new(x->arena, struct injection);
    *j = (struct injection){.x = x, .request = *request, .hit = hit};
    event_stream_init(&j->events, x->attempt.dialect->lines, ATTEMPT_EVENT_MAX);
    x->attempt.injection = j;
    if (needs_target(x, kind_of(j))) {
        pass_through(j);
        return true;
    }
    strike(j);
    j->due = loop_now(x->relay->loop) + hit.fault.delay;
    later(j, 0, kind_of(j) == FAULT_SLOW_FIRST ? send_late : tell_early);
    return true;
}

void inject_drop(struct injection *j)
{
    loop_timer_cancel(j->x->relay->loop, &j->timer);
    event_stream_deinit(&j->events);
    if (j->frames)
        cloud_stream_deinit(j->frames);
}
