/* One try at one target: it is asked (attempt_write.c), and its answer is read event by event and
 * judged by our deadlines.
 *
 * Where the dialects match, bytes pass through: each event comes back as it was, while a reader
 * beside it feeds the ledger. Otherwise the same reader feeds the door's writer. Either way only
 * events that carry content move the clock: pings and headers do not (a target that sends nothing
 * but pings is a stalled one). */
#include "relay/exchange_internal.h"

#define GATHER_MAX ((size_t)32 << 20) /* a whole answer */
#define HOLD_MAX ((size_t)256 << 10)  /* what may come before the first content */
#define ATTEMPTS_FIRST 3
#define WORKS_AFTER                                                                                \
    (2 * USEC_PER_SEC) /* of content: a target that cuts every answer seldom lasts it */
#define TAIL_TIME (2 * USEC_PER_SEC) /* from the terminal event to the end of the response */

static void on_head(void *ctx, const struct http_head *head);
static void on_body(void *ctx, struct span bytes);
static void on_end(void *ctx);
static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why);

const struct call_events attempt_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static void observe(void *ctx, const struct chat_event *e);

static void make_reader(struct exchange *x)
{
    const struct chat_request *asked = x->splice.active ? x->splice.request : &x->canonical;
    /* Beside bytes that pass, a reader that knows the request would keep back what may be a stop
     * sequence, and the ledger would lack what the client has. */
    bool knows = x->canonical_read && !x->attempt.passthrough;
    struct reader_options o = {.request = knows ? asked : NULL,
                               .requested_whole = !attempt_asks_stream(x),
                               .passes = x->attempt.passthrough};
    x->attempt.reader =
        x->attempt.dialect->reader_new(x->arena, &o, (struct chat_sink){observe, x});
}

size_t attempt_line(struct exchange *x, const struct relay_link *link, usec now)
{
    if (x->attempt_count == x->attempt_cap) {
        x->attempt_cap = x->attempt_cap ? x->attempt_cap * 2 : ATTEMPTS_FIRST;
        struct exchange_attempt *grown =
            arena_array(x->arena, struct exchange_attempt, x->attempt_cap);
        if (x->attempt_count > 0)
            memcpy(grown, x->attempts, x->attempt_count * sizeof *grown);
        x->attempts = grown;
    }
    x->attempts[x->attempt_count] = (struct exchange_attempt){
        .target = link->target->name, .model = link->model, .started = now, .ended = now};
    return x->attempt_count++;
}

static usec first_deadline(struct exchange *x, usec now)
{
    if (attempt_asks_stream(x))
        return now + x->relay->deadlines.first_token;
    /* A whole answer shows no sign of life until it is done: leave the next target half of what is
     * left. */
    usec left = x->deadline - now;
    return chain_has_other(&x->walk, x->attempt.index, now) ? now + left / 2 : x->deadline;
}

/* What an earlier attempt said was never given to the client. */
static void forget_answer(struct exchange *x)
{
    ledger_deinit(&x->ledger);
    ledger_init(&x->ledger, LEDGER_TEXT_MAX);
    x->ledger.raw = x->attempt.passthrough;
    x->ledger.keep = x->stream && x->door->says_again;
    x->hold.on = false;
    x->writer = NULL;
    x->seen_id = x->seen_model = SPAN_EMPTY;
    x->seen_created = 0;
    x->seen_usage_key = CHAT_UNSET;
}

/* One that was found not to stream is asked for the whole answer: no bytes can pass. */
static bool is_asked_whole(struct exchange *x, const struct relay_link *link)
{
    return x->stream && link->target->probed_count > 0 && speech_capable(x, link).no_stream;
}

void attempt_open(struct exchange *x, size_t link_index, usec now)
{
    const struct relay_link *link = &x->route->links[link_index];
    struct relay_speech speech = speech_choose(x, link);
    bool whole = is_asked_whole(x, link);
    x->attempt =
        (struct attempt){.link = link,
                         .dialect = speech.dialect,
                         .path = speech.path,
                         .index = link_index,
                         .line = attempt_line(x, link, now),
                         .open = true,
                         .whole = whole,
                         .passthrough = !x->splice.active && speech.dialect == x->door && !whole,
                         .started = now,
                         .last_content = now};
    buf_init(&x->attempt.gathered, GATHER_MAX);
    event_stream_init(&x->attempt.events, speech.dialect->lines, ATTEMPT_EVENT_MAX);
    pieces_init(&x->attempt.body, x->arena);
    x->lossy = (struct lossy){0};
}

void attempt_call(struct exchange *x, struct attempt *at, const struct call_events *events)
{
    struct call_request req = {.method = SPAN("POST"),
                               .target = at->path,
                               .fields = at->fields,
                               .body = &at->body,
                               .connect_time = x->relay->deadlines.connect};
    gate_enter(at->link->target->gate);
    at->entered = true;
    if (events == &attempt_events && fault_board_armed(x->relay->faults) && inject_begin(x, &req))
        return;
    at->call = call_start(x->relay->pool, at->link->target->origin, &req, events, x);
}

static void on_token(void *ctx, enum err e, const char *why);

/* ERR_OK: the request is on its way, or waits for its access token. */
static enum err start(struct exchange *x)
{
    struct attempt *at = &x->attempt;
    const struct relay_target *target = at->link->target;
    if (attempt_needs_token(target)) {
        struct span token;
        at->token = (struct token_wait){.done = on_token, .ctx = x};
        if (access_token_get(target->cloud->token, &at->token, &token) != ERR_OK)
            return ERR_OK;
        at->access = arena_copy(x->arena, token);
        enum err e = attempt_write_fields(x);
        if (e != ERR_OK)
            return e;
    }
    attempt_call(x, at, &attempt_events);
    return ERR_OK;
}

/* Not asked beside another: a rival neither waits for a token nor reads frames, nor whole answers.
 */
static bool is_no_rival(const struct relay_target *t)
{
    bool no_stream = false;
    for (size_t i = 0; i < t->probed_count; i++)
        no_stream |= (t->probed[i].known & ~t->probed[i].can & BIT(PROBED_STREAM)) != 0;
    return t->cloud || no_stream;
}

static bool has_no_rival(const struct relay_route *route)
{
    for (size_t i = 0; i < route->count; i++)
        if (is_no_rival(route->links[i].target))
            return true;
    return false;
}

/* When this target is later than it usually is, another may be asked beside it. */
static usec hedge_time(struct exchange *x, usec now)
{
    struct hedge *h = x->relay->hedge;
    struct ttft *times = x->route->ttfts[x->attempt.index];
    if (!h || !times || !x->holding || x->rival.end != HEDGE_NONE || x->rival.on ||
        has_no_rival(x->route))
        return 0;
    usec late = ttft_quantile(times, h->after);
    return late == USEC_NEVER ? 0 : now + late;
}

void attempt_begin(struct exchange *x, size_t link_index)
{
    usec now = loop_now(x->relay->loop);
    struct chat_problem problem = {0};
    attempt_open(x, link_index, now);
    if (!x->splice.active)
        forget_answer(x);
    if (attempt_write(x, &problem) != ERR_OK) {
        exchange_attempt_unfit(x, link_index, &problem);
        return;
    }
    make_reader(x);
    x->holding = x->stream && !x->splice.active && chain_has_other(&x->walk, link_index, now);
    x->attempt.deadline = first_deadline(x, now);
    x->attempt.hedge_at = hedge_time(x, now);
    if (start(x) != ERR_OK) {
        problem.text = ATTEMPT_FIELDS_TOO_LARGE;
        exchange_attempt_unfit(x, link_index, &problem);
        return;
    }
    exchange_rearm(x);
}

/* What it has said so far was heard by another: it is read from the beginning. */
void attempt_adopted(struct exchange *x, struct span heard)
{
    forget_answer(x);
    buf_reset(&x->out);
    make_reader(x);
    x->holding = true;
    x->state = EX_TRYING;
    exchange_rearm(x);
    if (heard.len > 0)
        on_body(x, heard);
}

void attempt_leave(struct exchange *x, struct attempt *at)
{
    if (at->entered)
        gate_leave(at->link->target->gate, loop_now(x->relay->loop));
    at->entered = false;
}

void attempt_drop(struct exchange *x)
{
    struct attempt *at = &x->attempt;
    if (!at->open)
        return;
    at->open = false;
    access_token_forget(&at->token);
    attempt_leave(x, at);
    call_cancel(at->call);
    at->call = NULL;
    if (at->injection)
        inject_drop(at->injection);
    buf_deinit(&at->gathered);
    event_stream_deinit(&at->events);
    if (at->frames)
        cloud_stream_deinit(at->frames);
}

/* ---- failing ---- */

/* err: ERR_OK when the response itself says it failed. */
struct failure attempt_failure(struct exchange *x, struct attempt *at, enum err err,
                               enum call_stage stage, bool deadline, const char *why)
{
    struct failure f = {.link = at->index,
                        .dialect = at->dialect,
                        .status = at->status,
                        .content_type = at->content_type};
    bool error_status = at->status != 0 && (at->status < 200 || at->status > 299);
    if (error_status) {
        f.body = arena_copy(x->arena, buf_span(&at->gathered));
        f.whole = err == ERR_OK && f.body.len < ERROR_BODY_MAX;
        at->dialect->read_error(x->arena, at->status, f.body, &f.error);
        if (f.error.code.len == 0)
            f.error.code = cloud_error_word(at->reply_fields, at->reply_field_count);
        f.fields = at->reply_fields;
        f.field_count = at->reply_field_count;
    } else if (at->told_error) {
        f.error = x->stream_error;
    }
    struct http_head kept = {
        .status = at->status, .fields = at->reply_fields, .field_count = at->reply_field_count};
    struct cause_evidence evidence = {.err = err,
                                      .stage = stage,
                                      .status = at->status,
                                      .head = &kept,
                                      .error = error_status || at->told_error ? &f.error : NULL,
                                      .in_stream = at->told_error,
                                      .deadline = deadline};
    f.cause = cause_of(&evidence, loop_wall(x->relay->loop), &f.retry_after);
    f.why = why && why[0] ? arena_cstr(x->arena, span_from(why)) : NULL;
    return f;
}

/* The caller returns at once: the exchange may be gone. */
static void fail(struct exchange *x, enum err err, enum call_stage stage, bool deadline,
                 const char *why)
{
    struct failure f = attempt_failure(x, &x->attempt, err, stage, deadline, why);
    exchange_attempt_failed(x, &f);
}

/* No token: the account's fault is told as the refused key it is. */
static void on_token(void *ctx, enum err e, const char *why)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->attempt;
    struct chat_problem problem = {.text = ATTEMPT_FIELDS_TOO_LARGE};
    if (e == ERR_OK) {
        if (start(x) != ERR_OK)
            exchange_attempt_unfit(x, at->index, &problem);
        return;
    }
    if (e != ERR_PERMISSION) {
        fail(x, e, CALL_CONNECT, false, why);
        return;
    }
    at->status = 401;
    if (buf_add_cstr(&at->gathered, why) != ERR_OK)
        buf_reset(&at->gathered);
    fail(x, ERR_OK, CALL_CONNECT, false, why);
}

static void fail_broken(struct exchange *x, enum err e, const char *why)
{
    fail(x, e, CALL_BODY, false, why);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct exchange *x = ctx;
    x->attempt.call = NULL;
    if (x->attempt.ended)
        exchange_completed(x); /* the answer was complete; only its framing was not */
    else
        fail(x, e, stage, false, why);
}

bool attempt_overdue(struct exchange *x, usec now)
{
    struct attempt *at = &x->attempt;
    if (at->ended && (now >= at->deadline || now >= x->deadline)) {
        exchange_completed(x);
        return true;
    }
    if (at->ended || (at->paused && now < x->deadline))
        return false;
    if (now >= x->deadline || now >= at->deadline) {
        bool first = at->last_content == at->started;
        fail(x, ERR_TIMEOUT, at->status ? CALL_BODY : CALL_WAIT, true,
             now >= x->deadline ? "the exchange's total time is used up"
             : first            ? "no content within the first-token deadline"
                                : "no content within the stall deadline");
        return true;
    }
    if (pace_check(&at->pace, now) && chain_has_other(&x->walk, at->index, now)) {
        fail(x, ERR_TIMEOUT, CALL_BODY, true, "slower than deadlines.min_rate");
        return true;
    }
    return false;
}

usec attempt_next_check(const struct exchange *x)
{
    const struct attempt *at = &x->attempt;
    usec pace = pace_next_check(&at->pace), rival = rival_next_check(x);
    if (rival < pace)
        pace = rival;
    if (at->ended)
        return at->deadline;
    if (at->paused)
        return x->deadline;
    return pace < at->deadline ? pace : at->deadline;
}

/* The client was slow, not the target, whose time begins anew. */
void attempt_resume(struct exchange *x)
{
    struct attempt *at = &x->attempt;
    usec now = loop_now(x->relay->loop);
    at->paused = false;
    at->last_content = now;
    at->deadline = now + (at->ended ? TAIL_TIME : x->relay->deadlines.stall);
    if (at->pace.until > 0)
        pace_begin(&at->pace, x->relay->deadlines.min_rate, now);
    if (at->call) /* a fault on purpose has none */
        call_resume(at->call);
    exchange_rearm(x);
}

/* ---- the answer ---- */

/* The first content of an attempt decides the race, and teaches how long this target takes. */
static void note_first(struct exchange *x, usec now)
{
    struct attempt *at = &x->attempt;
    struct ttft *times = x->route->ttfts[at->index];
    at->content_since = now;
    at->hedge_at = 0;
    bool its_own = !x->splice.active && at->fault_serial == 0; /* a drill teaches nothing */
    if (x->relay->hedge && times && at->streaming && its_own)
        ttft_note(times, now - at->started);
    rival_drop(x, HEDGE_LOST);
}

void attempt_content(struct exchange *x)
{
    struct attempt *at = &x->attempt;
    usec now = loop_now(x->relay->loop);
    if (x->first_content == 0)
        x->first_content = now;
    else if (now - x->last_content > x->stall_max)
        x->stall_max = now - x->last_content;
    at->last_content = x->last_content = now;
    at->deadline = now + x->relay->deadlines.stall;
    if (at->streaming && at->pace.until == 0)
        pace_begin(&at->pace, x->relay->deadlines.min_rate, now);
    if (at->content_since == 0)
        note_first(x, now);
    if (now - at->content_since >= WORKS_AFTER)
        exchange_attempt_works(x);
}

/* What a writer that takes over in the middle has to call the answer by. */
static void note_name(struct exchange *x, const struct chat_event *e)
{
    x->seen_id = e->id.escaped ? json_unescape(e->id.at, x->arena) : e->id.at;
    x->seen_id = arena_copy(x->arena, x->seen_id);
    if (e->model.escaped)
        x->seen_model = arena_copy(x->arena, e->model.at);
}

void attempt_deliver(struct exchange *x, const struct chat_event *e)
{
    ledger_note(&x->ledger, e);
    if (x->attempt.passthrough && e->type == CHAT_EV_START && x->stream)
        note_name(x, e);
    if (x->attempt.passthrough || e->type == CHAT_EV_PING)
        return;
    if (!x->writer)
        answer_writer_new(x);
    if (x->door->write_event(x->writer, e) != ERR_OK)
        x->writer_full = true;
}

/* Every event of the answer, whoever forwards the bytes. */
static void observe(void *ctx, const struct chat_event *e)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->attempt;
    if (e->type == CHAT_EV_ERROR) {
        at->told_error = true;
        x->stream_error = *e->error;
        x->stream_error.message = arena_copy(x->arena, e->error->message);
        x->stream_error.type = arena_copy(x->arena, e->error->type);
        x->stream_error.code = arena_copy(x->arena, e->error->code);
        x->stream_error.param = arena_copy(x->arena, e->error->param);
        return;
    }
    pace_add(&at->pace, e->text.at);
    if (e->type == CHAT_EV_END)
        at->ended = true;
    if (x->splice.active) {
        splice_take(x, e);
        return;
    }
    if (ledger_is_content(e))
        attempt_content(x);
    attempt_deliver(x, e);
}

static bool relays_field(struct span name)
{
    static const struct span prefixes[] = {SPAN_INIT("request-id"),     SPAN_INIT("x-request-id"),
                                           SPAN_INIT("anthropic-"),     SPAN_INIT("openai-"),
                                           SPAN_INIT("x-ratelimit-"),   SPAN_INIT("retry-after"),
                                           SPAN_INIT("x-should-retry"), SPAN_INIT("traceresponse"),
                                           SPAN_INIT("cf-ray"),         SPAN_INIT("x-amzn-")};
    return span_istarts_any(name, prefixes, ARRAY_LEN(prefixes));
}

size_t attempt_keep_fields(struct arena *a, const struct http_head *head,
                           const struct http_field **out)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < head->field_count; i++)
        count += relays_field(head->fields[i].name);
    struct http_field *kept = arena_array(a, struct http_field, count);
    for (size_t i = 0; i < head->field_count; i++) {
        if (!relays_field(head->fields[i].name))
            continue;
        kept[at++] = (struct http_field){arena_copy(a, head->fields[i].name),
                                         arena_copy(a, head->fields[i].value)};
    }
    *out = kept;
    return count;
}

/* The head's spans end with this call-back; what the client or cause.c will want is copied. */
void attempt_head(struct exchange *x, struct attempt *at, const struct http_head *head)
{
    at->status = head->status;
    at->reply_field_count = attempt_keep_fields(x->arena, head, &at->reply_fields);
    at->content_type = arena_copy(x->arena, http_field_get(head, "content-type"));
    const char *type = cloud_frames(at->link->target->cloud) ? "application/vnd.amazon.eventstream"
                       : at->dialect->lines                  ? "application/x-ndjson"
                                                             : "text/event-stream";
    bool events = span_istarts(at->content_type, span_from(type));
    at->streaming = head->status >= 200 && head->status <= 299 && events && x->stream;
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->attempt;
    attempt_head(x, at, head);
    if (head->status == 401 && at->access.len)
        access_token_refused(at->link->target->cloud->token, at->access);
    if (head->status < 200 || head->status > 299)
        return; /* an error body follows */
    bool json = span_isearch(at->content_type, SPAN("json")) >= 0;
    if (at->streaming && cloud_frames(at->link->target->cloud)) {
        at->frames = cloud_stream_new(x->arena, attempt_is_converse(at), ATTEMPT_EVENT_MAX);
    }
    if (attempt_asks_stream(x) ? !at->streaming : !json)
        fail(x, ERR_SYNTAX, CALL_BODY, false,
             attempt_asks_stream(x) ? "a stream was asked for, and the 200 is none"
                                    : "an answer was asked for, and the 200 is not JSON");
    else if (at->streaming && !x->holding && !x->head_sent)
        answer_stream_begin(x);
}

bool attempt_number(struct span data, struct span name, int64_t *out)
{
    ssize_t at = span_search(data, name);
    struct span digits = at < 0 ? SPAN_EMPTY : span_trim(span_drop(data, (size_t)at + name.len));
    size_t len = 0;
    while (len < digits.len && digits.at[len] >= '0' && digits.at[len] <= '9')
        len++;
    return span_i64(span_take(digits, len), out) == ERR_OK;
}

/* All chunks of a chat answer carry one time, and a usage or none. Not an event's matter, since no
 * other dialect has it. */
static void note_chunk(struct exchange *x, struct span data)
{
    struct span name =
        x->door->id == DIALECT_OPENAI_RESPONSES ? SPAN("\"created_at\":") : SPAN("\"created\":");
    if (x->door->id == DIALECT_ANTHROPIC || !attempt_number(data, name, &x->seen_created))
        x->seen_created = 0;
    x->seen_usage_key = span_search(data, SPAN("\"usage\":")) >= 0 ? CHAT_YES : CHAT_NO;
}

/* The answer has its end, and the target does not know: what it would still say is nobody's. */
static void end_early(struct exchange *x)
{
    answer_flush(x);
    exchange_completed(x);
}

/* One event of the stream. False: the attempt is over and x must not be touched. */
static bool take_event(struct exchange *x, const struct sse_event *e)
{
    struct attempt *at = &x->attempt;
    struct ledger_mark before = ledger_mark(&x->ledger);
    size_t from = x->out.len;
    if (!e->comment_only) {
        if (!resume_fits(x, e->data)) {
            fail_broken(x, ERR_SYNTAX, "the stream that was heard again begins elsewhere");
            return false;
        }
        enum err err = at->dialect->read_event(at->reader, e);
        if (x->splice.stopped && !x->writer_full) {
            end_early(x);
            return false;
        }
        bool other = at->told_error && (!x->forwarded || splice_possible(x)) &&
                     chain_has_other(&x->walk, at->index, at->last_content);
        if (at->told_error && (!at->passthrough || other)) {
            fail_broken(x, ERR_OK, "the target told an error inside its stream");
            return false;
        }
        if (err != ERR_OK || x->writer_full) {
            fail_broken(x, ERR_SYNTAX,
                        x->writer_full ? "an event is too large" : "a malformed event");
            return false;
        }
    }
    if (at->passthrough && buf_add(&x->out, e->raw) != ERR_OK)
        x->writer_full = true;
    if (at->passthrough && !e->comment_only)
        x->ledger.sequence++; /* who writes behind these events numbers on */
    if (at->passthrough && !before.before.started && x->ledger.started)
        note_chunk(x, e->data);
    splice_hold(x, &before, from);
    if ((x->ledger.content && !x->hold.on) || at->ended)
        x->holding = false; /* the commit point */
    if (x->writer_full || (x->holding && x->out.len > HOLD_MAX)) {
        fail_broken(x, ERR_LIMIT, "too much came before the first content");
        return false;
    }
    if (at->told_error) {
        /* The client gets the target's own event, and no second one of ours; unless something is
         * held before it: then it does not leave, and what comes next must not count on it. */
        if (!x->holding && !x->hold.on) {
            answer_flush(x);
            x->error_told = true;
        }
        fail_broken(x, ERR_OK, "the target told an error inside its stream");
        return false;
    }
    return true;
}

static bool take_stream(struct exchange *x, struct span bytes)
{
    struct attempt *at = &x->attempt;
    while (bytes.len > 0) {
        struct sse_event e;
        size_t used;
        enum err err = cloud_event_next(at->frames, &at->events, bytes, &used, &e);
        bytes = span_drop(bytes, used);
        if (err == ERR_AGAIN)
            break;
        if (err != ERR_OK) {
            fail_broken(x, err,
                        err == ERR_LIMIT ? "an event is longer than 8 MiB"
                                         : "the event stream is damaged");
            return false;
        }
        if (!take_event(x, &e))
            return false;
    }
    answer_flush(x);
    return true;
}

static void on_body(void *ctx, struct span bytes)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->attempt;
    if (!at->streaming) {
        bool error = at->status > 299;
        size_t room = (error ? ERROR_BODY_MAX : GATHER_MAX) - at->gathered.len;
        if (error)
            bytes = span_take(bytes, room);
        if (buf_add(&at->gathered, bytes) != ERR_OK)
            fail_broken(x, ERR_LIMIT, "the answer is larger than 32 MiB");
        return;
    }
    if (!take_stream(x, bytes))
        return;
    if (at->ended)
        at->deadline = loop_now(x->relay->loop) + TAIL_TIME;
    if (reply_pending(x->request) > REPLY_HIGH_WATER && !at->paused) {
        at->paused = true;
        if (at->call) /* as above */
            call_pause(at->call);
    }
    exchange_rearm(x);
}

/* A stream's last mark without its blank line: some servers end so. */
static bool ends_with_mark(const struct attempt *at)
{
    return span_ends(span_trim(sse_held(&at->events.sse)), SPAN("[DONE]"));
}

/* The bytes are given as they come, and they end inside an event: the reader may take the answer
 * for whole (a chat stream's reason to stop was there), but half an event is nothing for a client.
 */
static bool ends_inside_an_event(const struct attempt *at)
{
    return at->passthrough && !at->ended && span_trim(sse_held(&at->events.sse)).len > 0 &&
           !ends_with_mark(at);
}

/* What no blank line closed is no event, but it is the client's to see. */
static enum err give_rest(struct exchange *x, bool marked)
{
    struct span rest = sse_held(&x->attempt.events.sse);
    enum err e = buf_add(&x->out, marked ? span_trim(rest) : rest);
    return e == ERR_OK && marked ? buf_add_cstr(&x->out, "\n\n") : e;
}

static void end_stream(struct exchange *x)
{
    struct attempt *at = &x->attempt;
    bool cut = ends_inside_an_event(at), marked = ends_with_mark(at);
    enum err e = at->dialect->read_eof(at->reader); /* may deliver the missing end */
    if (e != ERR_OK || cut || at->told_error || x->writer_full) {
        fail_broken(x, ERR_EOF, "the stream ended before its terminal event");
        return;
    }
    x->holding = x->hold.on = false;
    if (at->passthrough && give_rest(x, marked) != ERR_OK)
        x->writer_full = true;
    answer_flush(x);
    exchange_completed(x);
}

static void end_whole(struct exchange *x)
{
    struct attempt *at = &x->attempt;
    enum err e = at->dialect->read_whole(at->reader, buf_span(&at->gathered));
    if (e != ERR_OK || at->told_error || !at->ended || x->writer_full) {
        fail_broken(x, at->told_error ? ERR_OK : ERR_SYNTAX, "the 200 does not hold an answer");
        return;
    }
    if (x->stream) {
        at->streaming = true; /* its events wait in x->out */
        x->holding = x->hold.on = false;
        answer_flush(x);
    } else {
        answer_whole(x, at->passthrough ? buf_span(&at->gathered) : buf_span(&x->out));
    }
    exchange_completed(x);
}

static void on_end(void *ctx)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->attempt;
    at->call = NULL;
    if (at->status < 200 || at->status > 299)
        fail(x, ERR_OK, CALL_BODY, false, NULL);
    else if (at->streaming)
        end_stream(x);
    else
        end_whole(x);
}
