/* The order of things in one exchange.
 *
 *   start -> read -> pick a target -> EX_TRYING --(complete answer)----------------------------->
 * EX_DONE ^   ^            | |   |            +--(failed before the commit point)--> cause says: |
 * |                 elsewhere: pick again -----------+ |
 * +-----------------------------------------------------' |                     repeat here:
 * EX_PAUSING --(timer)--> pick |                     the caller's fault, or nobody left: error told
 * -> EX_DONE
 *                        |
 *                        '--(this target cannot carry the request)-- unfit: pick again
 *
 *   failed after the commit point: an error event in the caller's dialect, never a clean end ->
 * EX_DONE client gone, at any time: cancel -> EX_DONE
 *
 * Invariants: at most one attempt is open, and a rival (rival.c) beside it while nothing is given;
 * every breaker that let us through hears exactly one report; nothing irrevocable reaches the
 * client before the commit point (first content) while another target could take over; the exchange
 * lives in the request's arena and ends exactly once, in exchange_finish. */
#include "relay/exchange_internal.h"

#include "base/log.h"
#include <stdio.h>

#define OUT_MAX                                                                                    \
    ((size_t)64 << 20) /* one event or one whole answer; streams are flushed per read              \
                        */
#define PING_MAX 1024
#define LOADING_LOOK (50 * USEC_PER_MS) /* how often a waiting request looks at its engine */

static void on_timer(struct timer *t);
static void try_next(struct exchange *x);

const char *exchange_outcome_name(enum exchange_outcome o)
{
    static const char *const names[OUTCOME_COUNT] = {
        [OUTCOME_OK] = "ok",
        [OUTCOME_CLIENT_ERROR] = "client_error",
        [OUTCOME_REJECTED] = "rejected",
        [OUTCOME_INTERRUPTED] = "interrupted",
        [OUTCOME_CLIENT_GONE] = "client_gone",
    };
    return names[o];
}

const char *exchange_hedge_name(enum hedge_end e)
{
    static const char *const names[HEDGE_ENDS] = {"none", "won", "lost", "failed"};
    return names[e];
}

const char *exchange_switch_name(enum cause c)
{
    return c == CAUSE_NONE ? "returning" : cause_facts(c)->name;
}

void relay_init(struct relay *relay)
{
    buf_init(&relay->scratch, (size_t)256 << 10);
    relay->open = 0;
}

void relay_deinit(struct relay *relay)
{
    assert(relay->open == 0);
    buf_deinit(&relay->scratch);
}

/* ---- reading ---- */

void request_id_make(struct loop *loop, char out[REQUEST_ID_SIZE])
{
    uint8_t random[10];
    loop_random(loop, random, sizeof random);
    static const char digits[] = "0123456789abcdef", prefix[] = "req_hs";
    char *at = out + sizeof prefix - 1;
    memcpy(out, prefix, sizeof prefix - 1);
    for (size_t i = 0; i < sizeof random; i++) {
        *at++ = digits[random[i] >> 4];
        *at++ = digits[random[i] & 15];
    }
    *at = 0;
    assert(at < out + REQUEST_ID_SIZE);
}

static void refuse_request(struct exchange *x, int status, struct span message)
{
    struct chat_error e = {
        .status = status, .type = span_from(dialect_error_type(status)), .message = message};
    answer_error(x, &e, 0);
    exchange_finish(x, OUTCOME_CLIENT_ERROR);
}

static bool take_default_model(struct exchange *x)
{
    if (x->relay->default_model)
        x->model = x->relay->default_model(x->relay->ctx);
    if (x->model.len == 0)
        refuse_request(x, 400,
                       SPAN("model: Field required: this gateway's routes name none exactly."));
    return x->model.len > 0;
}

bool outline_read(struct arena *a, struct span body, struct json_doc *doc, struct span *out_model,
                  bool *out_stream, struct outline_fault *out_fault)
{
    struct json_error error;
    enum err e = json_parse(a, body, NULL, doc, &error);
    if (e != ERR_OK) {
        out_fault->status = e == ERR_LIMIT ? 413 : 400;
        out_fault->text = arena_printf(a, "The request body is %s: %s at line %u, column %u.",
                                       e == ERR_LIMIT ? "more than is read" : "not valid JSON",
                                       error.what, error.line, error.column);
        return false;
    }
    struct json root = json_root(doc), model = json_get(root, "model");
    if (!json_is(root, JSON_OBJECT) || (json_useful(model) && !json_is(model, JSON_STRING))) {
        out_fault->status = 400;
        out_fault->text = SPAN("The request body must be a JSON object with a string \"model\".");
        return false;
    }
    *out_model = json_str(model);
    *out_stream = json_true(json_get(root, "stream"));
    return true;
}

struct span outline_no_route(struct arena *a, struct span model)
{
    return arena_printf(a,
                        "model: %.*s: no chain is configured for this model; add one under "
                        "`models:` (match: \"*\" takes every name).",
                        SPAN_FMT(span_take(model, 200)));
}

/* The canonical conversation is read only when some target needs a translation. */
static bool read_outline(struct exchange *x)
{
    struct outline_fault fault;
    if (!outline_read(x->arena, request_body(x->request), &x->doc, &x->model, &x->stream, &fault)) {
        refuse_request(x, fault.status, fault.text);
        return false;
    }
    return x->model.len > 0 || !x->door->model_optional || take_default_model(x);
}

static bool find_route(struct exchange *x)
{
    struct span name = json_unescape(x->model, x->arena);
    x->route = x->relay->route_for(x->relay->ctx, x->request, name);
    if (x->route && x->route->count > 0)
        return true;
    refuse_request(x, 404, outline_no_route(x->arena, name));
    return false;
}

/* The order in which its conversation's targets are asked. */
static void choose_order(struct exchange *x)
{
    struct affinity *a = x->route->affinity;
    if (!a || x->route->count < 2)
        return;
    x->identity = identity_of(affinity_seed(a), x->client_key, request_head(x->request), &x->doc);
    if (x->identity.source == IDENTITY_NONE)
        return; /* a request without a word in it */
    x->choice = affinity_choose(a, x->route->breakers, x->identity.hash, x->started);
    chain_order(&x->walk, x->choice.order);
}

static void free_buffers(void *object)
{
    struct exchange *x = object;
    ledger_deinit(&x->ledger);
    buf_deinit(&x->out);
    buf_deinit(&x->ping);
}

void exchange_start(struct relay *relay, struct request *r, const struct dialect *door,
                    const char *client_key)
{
    struct arena *a = request_arena(r);
    struct exchange *x = arena_new(a, struct exchange);
    x->relay = relay;
    x->request = r;
    x->arena = a;
    x->door = door;
    x->client_key = client_key;
    x->started = loop_now(relay->loop);
    x->deadline = x->started + relay->deadlines.total;
    x->ping_at = x->started + relay->deadlines.ping;
    buf_init(&x->out, OUT_MAX);
    buf_init(&x->ping, PING_MAX);
    ledger_init(&x->ledger, LEDGER_TEXT_MAX);
    arena_on_free(a, free_buffers, x);
    request_set_data(r, x);
    relay->open++;
    request_id_make(relay->loop, x->id);
    if (!read_outline(x) || !find_route(x))
        return;
    budget_request(relay->budget, x->started);
    if (relay->hedge)
        hedge_request(relay->hedge);
    chain_begin(&x->walk, x->route->breakers, x->route->count);
    choose_order(x);
    try_next(x);
}

/* ---- choosing ---- */

/* The answer had begun: what was given stays, and the client is told honestly that it ends here. */
static void interrupt(struct exchange *x, const struct failure *f)
{
    struct chat_error e = answer_caller_error(x, f);
    if (!x->error_told)
        answer_error(x, &e, 0);
    exchange_finish(x, x->ledger.content ? OUTCOME_INTERRUPTED : OUTCOME_REJECTED);
}

static void nobody_left(struct exchange *x)
{
    if (x->forwarded) {
        interrupt(x, &x->last);
        return;
    }
    if (!x->failed_once && x->was_unfit && x->unfit.context > 0) {
        struct failure f = {.cause = CAUSE_CONTEXT_EXCEEDED, .error.message = x->unfit.text};
        struct chat_error e = answer_caller_error(x, &f);
        answer_error(x, &e, 0);
        exchange_finish(x, OUTCOME_CLIENT_ERROR);
        return;
    }
    if (!x->failed_once && x->was_unfit) {
        struct span text = x->unfit.param.len
                               ? arena_printf(x->arena, "%.*s: %.*s", SPAN_FMT(x->unfit.param),
                                              SPAN_FMT(x->unfit.text))
                               : x->unfit.text;
        struct chat_error e = {.status = 400,
                               .type = SPAN("invalid_request_error"),
                               .param = x->unfit.param,
                               .message = text};
        answer_error(x, &e, 0);
        exchange_finish(x, OUTCOME_CLIENT_ERROR);
        return;
    }
    if (x->clean.asked) {
        answer_upstream_error(x, &x->clean.refusal);
        exchange_finish(x, OUTCOME_CLIENT_ERROR);
        return;
    }
    bool caller = x->first.cause == CAUSE_CONTEXT_EXCEEDED ||
                  cause_facts(x->first.cause)->reaction == REACT_ELSEWHERE_ONCE;
    if (caller || x->route->count == 1) {
        answer_upstream_error(x, &x->first);
    } else {
        struct chat_error e = answer_nobody_left(x);
        answer_error(x, &e, chain_retry_in(&x->walk, loop_now(x->relay->loop)));
    }
    exchange_finish(x, caller ? OUTCOME_CLIENT_ERROR : OUTCOME_REJECTED);
}

static void out_of_time(struct exchange *x)
{
    if (x->forwarded) {
        interrupt(x, &x->last);
        return;
    }
    struct chat_error e = {
        .status = 504,
        .type = SPAN("timeout_error"),
        .message = arena_printf(x->arena, "No target answered within %lld s (deadlines.total).",
                                (long long)(x->relay->deadlines.total / USEC_PER_SEC))};
    answer_error(x, &e, chain_retry_in(&x->walk, loop_now(x->relay->loop)));
    exchange_finish(x, OUTCOME_REJECTED);
}

/* ---- an engine that must be started first ---- */

/* How long this request waits for it: as for any silence while another target is left. */
static usec loading_deadline(struct exchange *x, usec now)
{
    usec patience = x->relay->deadlines.first_token;
    bool other = chain_has_other(&x->walk, x->retry_link, now);
    return other && now + patience < x->deadline ? now + patience : x->deadline;
}

/* Nothing was sent: its breaker hears that this says nothing. */
static void not_ready(struct exchange *x, const char *why)
{
    struct failure f = {.cause = CAUSE_NOT_READY, .link = x->retry_link, .why = why};
    usec since = x->load_since;
    x->state = EX_TRYING;
    attempt_open(x, x->retry_link, since);
    breaker_cancel(x->route->breakers[x->retry_link], loop_now(x->relay->loop));
    x->attempt.reported = true;
    f.error = (struct chat_error){
        .status = 503,
        .type = span_from(dialect_error_type(503)),
        .message = arena_printf(x->arena, "%s: %s", x->attempt.link->target->name, why)};
    exchange_attempt_failed(x, &f);
}

static void look_at_engine(struct exchange *x, usec now)
{
    enum gate_answer answer = gate_ask(x->route->links[x->retry_link].target->gate, now);
    if (answer == GATE_OPEN) {
        x->state = EX_TRYING;
        attempt_begin(x, x->retry_link);
    } else if (answer == GATE_GONE) {
        not_ready(x, "the engine could not be started; /api/status says why");
    } else if (now >= x->attempt.deadline) {
        not_ready(x, "the engine is still loading");
    } else {
        exchange_rearm(x);
    }
}

static void begin(struct exchange *x, size_t link)
{
    usec now = loop_now(x->relay->loop);
    if (!x->route->links[link].target->gate) {
        x->state = EX_TRYING;
        attempt_begin(x, link);
        return;
    }
    x->state = EX_LOADING;
    x->retry_link = link;
    x->load_since = now;
    x->attempt.passthrough = false; /* the last one's stream runs no more: pings may go */
    x->attempt.deadline = loading_deadline(x, now);
    look_at_engine(x, now);
}

static void try_next(struct exchange *x)
{
    usec now = loop_now(x->relay->loop);
    uint32_t random;
    loop_random(x->relay->loop, &random, sizeof random);
    x->state = EX_IDLE;
    if (now >= x->deadline) {
        out_of_time(x);
        return;
    }
    struct chain_pick pick = {0};
    if (x->attempt_count < EXCHANGE_ATTEMPTS_MAX)
        pick = chain_next(&x->walk, now, x->deadline, x->relay->budget, random);
    if (!pick.found) {
        nobody_left(x);
    } else if (pick.wait > 0) {
        x->state = EX_PAUSING;
        x->retry_link = pick.link;
        x->attempt.deadline = now + pick.wait;
        exchange_rearm(x);
    } else {
        begin(x, pick.link);
    }
}

struct exchange_attempt *exchange_log(struct exchange *x)
{
    assert(x->attempt_count > 0);
    return &x->attempts[x->attempt.line];
}

/* A target that has given content for a while works: its breaker hears so then, and not only when a
 * long answer has ended. One that dies after that is reported again. */
static void report_breaker(struct exchange *x, enum cause cause, usec retry_after)
{
    struct attempt *at = &x->attempt;
    if (at->reported && (cause == CAUSE_NONE || cause == CAUSE_NOT_READY))
        return;
    at->reported = true;
    usec now = loop_now(x->relay->loop);
    uint32_t jitter = (uint32_t)loop_random_below(x->relay->loop, 1000);
    struct breaker *b = x->route->breakers[at->index];
    if (at->fault_serial == 0 || cause == CAUSE_NONE)
        breaker_report(b, now, cause, retry_after, jitter);
    else if (at->fault_counts && fault_board_current(x->relay->faults, at->fault_serial, now))
        breaker_report_drill(b, now, cause, retry_after, jitter);
    else
        breaker_cancel(b, now);
}

void exchange_learn(struct exchange *x, const struct relay_link *link, enum learned_fact fact)
{
    struct relay *relay = x->relay;
    struct span model = splice_model(x, link);
    if (relay->learned &&
        learned_note(relay->learned, link->target->name, model, fact, loop_wall(relay->loop)))
        log_line(LOG_INFO, "learned", "id", x->id, "target", link->target->name, "model",
                 arena_cstr(x->arena, model), "fact", learned_fact_name(fact), NULL);
}

void exchange_attempt_works(struct exchange *x)
{
    clean_worked(x);
    speech_worked(x);
    report_breaker(x, CAUSE_NONE, 0);
}

void exchange_attempt_unfit(struct exchange *x, size_t link, const struct chat_problem *why)
{
    breaker_cancel(x->route->breakers[link], loop_now(x->relay->loop));
    x->attempt.reported = true;
    x->attempt_count--; /* nothing was sent: this was no attempt */
    if (!x->was_unfit || why->context >= x->unfit.context) /* of those too small: the largest */
        x->unfit = *why;
    x->was_unfit = true;
    chain_unfit(&x->walk, link);
    attempt_drop(x);
    if (!rival_take_over(x))
        try_next(x);
}

void exchange_log_failure(struct exchange *x, const struct failure *f)
{
    const struct cause_facts *facts = cause_facts(f->cause);
    if (!log_wants(facts->advice ? LOG_WARN : LOG_INFO))
        return;
    char status[16];
    (void)snprintf(status, sizeof status, "%d", f->status); /* fits */
    log_line(facts->advice ? LOG_WARN : LOG_INFO, "attempt_failed", "id", x->id, "target",
             x->route->links[f->link].target->name, "cause", facts->name, "status", status, "why",
             f->why ? f->why : "", "advice", facts->advice ? facts->advice : "", NULL);
}

void exchange_go_on(struct exchange *x)
{
    try_next(x);
}

static void ask_same(struct exchange *x, size_t link)
{
    attempt_drop(x);
    x->state = EX_TRYING;
    attempt_begin(x, link);
}

/* A target that does not go on by itself is asked once more, in words. */
static bool asks_again(struct exchange *x, const struct failure *f)
{
    usec now = loop_now(x->relay->loop), wait;
    if (!splice_ask_in_words(x, f) ||
        breaker_ask(x->route->breakers[f->link], now, &wait) != ERR_OK)
        return false;
    ask_same(x, f->link);
    return true;
}

/* Its target has failed: who is next, or what the client is told. */
static void judge(struct exchange *x, const struct failure *f)
{
    chain_failed(&x->walk, f->link, f->cause, f->retry_after, loop_now(x->relay->loop));
    if (!x->failed_once)
        x->first = *f;
    x->failed_once = true;
    x->last = *f;
    attempt_drop(x);
    if (!x->forwarded && cause_facts(f->cause)->reaction != REACT_CALLER && rival_take_over(x))
        return;
    if (!x->ledger.started && !x->error_told)
        x->forwarded = false; /* pings and comments at most: nothing to go on with */
    if (x->forwarded) {
        if (!splice_begin(x))
            interrupt(x, f);
    } else if (clean_in_vain(x, f)) {
        answer_upstream_error(x, &x->clean.refusal);
        exchange_finish(x, OUTCOME_CLIENT_ERROR);
    } else if (cause_facts(f->cause)->reaction == REACT_CALLER) {
        answer_upstream_error(x, f);
        exchange_finish(x, OUTCOME_CLIENT_ERROR);
    } else {
        buf_reset(&x->out);
        try_next(x);
    }
}

void exchange_attempt_failed(struct exchange *x, const struct failure *f)
{
    struct exchange_attempt *line = exchange_log(x);
    line->cause = f->cause;
    line->status = f->status;
    line->ended = loop_now(x->relay->loop);
    exchange_log_failure(x, f);
    if (clean_ask_again(x, f) || speech_ask_again(x, f) ||
        room_ask_again(x, f)) { /* its breaker hears of the repeat */
        ask_same(x, f->link);
        return;
    }
    if (x->attempt.resume.waits) { /* nothing came of it, and its breaker has heard of the break */
        struct failure broke = x->attempt.resume.cut;
        judge(x, &broke);
        return;
    }
    report_breaker(x, f->cause, f->retry_after);
    if (!resume_begin(x, f) && !asks_again(x, f))
        judge(x, f);
}

/* ---- ending ---- */

void exchange_completed(struct exchange *x)
{
    struct exchange_attempt *line = exchange_log(x);
    line->cause = CAUSE_NONE;
    line->status = x->attempt.status;
    line->ended = loop_now(x->relay->loop);
    exchange_attempt_works(x);
    /* One slow answer is no reason for a conversation to move. */
    if (x->identity.source != IDENTITY_NONE && x->rival.end != HEDGE_WON)
        affinity_served(x->route->affinity, x->route->breakers, x->identity.hash, x->attempt.index,
                        &x->choice, line->ended);
    attempt_drop(x);
    exchange_finish(x, OUTCOME_OK);
}

static void fill_report(const struct exchange *x, enum exchange_outcome outcome,
                        struct exchange_report *r)
{
    *r = (struct exchange_report){
        .request = x->request,
        .door = x->door,
        .client_key = x->client_key,
        .id = span_from(x->id),
        .model = x->model,
        .stream = x->stream,
        .status = x->status_sent,
        .outcome = outcome,
        .attempts = x->attempts,
        .attempt_count = x->attempt_count,
        .splices = x->splices,
        .hedge = x->rival.end,
        .usage = x->ledger.usage,
        .started = x->started,
        .first_content = x->first_content,
        .ended = loop_now(x->relay->loop),
        .stall_max = x->stall_max,
        .fault_serial = x->fault_serial,
        .fault_released = x->fault_released,
        .conversation_source = identity_source_name(x->identity.source),
    };
    if (outcome != OUTCOME_OK && outcome != OUTCOME_INTERRUPTED)
        return;
    const struct relay_link *link = x->attempt.link;
    r->served_by = link->target->name;
    r->served_model = link->model.len ? link->model : x->model;
    r->lossy = x->lossy;
    if (x->attempt.index != 0 && (x->failed_once || x->rival.end != HEDGE_WON)) {
        r->switched_from = x->route->links[0].target->name;
        r->switch_cause = x->failed_once ? x->first.cause
                                         : breaker_view(x->route->breakers[0], r->ended).last_cause;
    }
}

/* The only end. The reply is ended last: the request's arena, and x in it, goes with it. */
void exchange_finish(struct exchange *x, enum exchange_outcome outcome)
{
    assert(x->state != EX_DONE && x->attempt.call == NULL);
    x->state = EX_DONE;
    rival_drop(x, HEDGE_FAILED);
    loop_timer_cancel(x->relay->loop, &x->timer);
    struct exchange_report report;
    fill_report(x, outcome, &report);
    x->relay->open--;
    if (x->relay->on_done)
        x->relay->on_done(x->relay->ctx, &report);
    if (x->gone)
        reply_abort(x->request);
    else
        reply_end(x->request);
}

void exchange_client_gone(struct request *r)
{
    struct exchange *x = request_data(r);
    if (!x || x->state == EX_DONE)
        return;
    x->gone = true;
    /* All was given: some clients (Codex) leave with the last event, before the body's end. */
    if (x->state == EX_TRYING && x->attempt.ended && reply_pending(r) == 0) {
        exchange_completed(x);
        return;
    }
    if (x->state == EX_TRYING) {
        struct exchange_attempt *line = exchange_log(x);
        line->ended = loop_now(x->relay->loop);
        line->cancelled = true;
        line->status = x->attempt.status;
        if (!x->attempt.reported)
            breaker_cancel(x->route->breakers[x->attempt.index], line->ended);
    } else if (x->state == EX_PAUSING || x->state == EX_LOADING) {
        breaker_cancel(x->route->breakers[x->retry_link], loop_now(x->relay->loop));
    }
    attempt_drop(x);
    exchange_finish(x, OUTCOME_CLIENT_GONE);
}

void exchange_client_drained(struct request *r)
{
    struct exchange *x = request_data(r);
    if (!x || x->state != EX_TRYING || !x->attempt.paused)
        return;
    attempt_resume(x);
}

/* ---- time ---- */

void exchange_rearm(struct exchange *x)
{
    usec at = x->deadline;
    if (x->state == EX_TRYING)
        at = attempt_next_check(x);
    if (x->state == EX_PAUSING)
        at = x->attempt.deadline;
    if (x->state == EX_LOADING)
        at = loop_now(x->relay->loop) + LOADING_LOOK;
    if (at > x->deadline)
        at = x->deadline;
    if (x->stream && x->ping_at < at)
        at = x->ping_at;
    if (timer_armed(&x->timer) && x->timer.at <= at)
        return; /* it will look again when it fires */
    loop_timer_at(x->relay->loop, &x->timer, at, on_timer);
}

/* A waiting client sees life. The head goes out with it: from then on an error is told inside the
 * stream. A stream that passes through unchanged is left alone once it runs. */
static void send_ping(struct exchange *x, usec now)
{
    x->ping_at = now + x->relay->deadlines.ping;
    bool runs = x->forwarded && x->attempt.passthrough && !x->hold.on;
    if (reply_pending(x->request) > 0 || runs)
        return;
    if (x->writer && x->out.len == 0 && !x->hold.on && x->ledger.started && !x->ledger.raw) {
        /* Nothing waits: it may be an event of the stream itself, with its number. */
        if (x->door->write_ping(x->writer) == ERR_OK)
            reply_body(x->request, buf_span(&x->out));
        buf_reset(&x->out);
        return;
    }
    if (!x->pinger) {
        struct writer_options o = {.request = &x->canonical};
        x->pinger = x->door->writer_new(x->arena, &o, true, &x->ping);
    }
    if (x->door->write_ping(x->pinger) == ERR_OK) {
        if (!x->head_sent)
            answer_stream_begin(x);
        reply_body(x->request, buf_span(&x->ping));
    }
    buf_reset(&x->ping);
}

static void on_timer(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, timer);
    usec now = loop_now(x->relay->loop);
    if (x->state == EX_TRYING)
        rival_check(x, now);
    if (x->state == EX_TRYING && attempt_overdue(x, now))
        return;
    if (x->state == EX_PAUSING && now >= x->attempt.deadline) {
        begin(x, x->retry_link);
        return;
    }
    if (x->state == EX_PAUSING && now >= x->deadline) {
        breaker_cancel(x->route->breakers[x->retry_link], now);
        out_of_time(x);
        return;
    }
    if (x->stream && now >= x->ping_at)
        send_ping(x, now);
    if (x->state == EX_LOADING)
        look_at_engine(x, now);
    else
        exchange_rearm(x);
}
