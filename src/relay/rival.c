/* Hedging: a streamed request whose target is later with its first token than it usually is goes to
 * the next target, too. Whoever gives content first answers; the other's connection is closed.
 *
 *   late ---> rival asked ---+-- its own target gives content ------> the rival is dropped: LOST
 *    |                       +-- the rival gives content -----------> it takes the target's place:
 *    '-- no budget, nobody   |                                        WON; the target is dropped
 *        to ask: as before   +-- the target fails -----------------> the rival takes its place: WON
 *                            '-- the rival fails -------------------> the target goes on: FAILED
 *
 * Nothing of either has been given while there are two: the race is run while the answer is held.
 * The exchange has one attempt as ever; the rival only listens, keeps what it hears, and looks in
 * it for content. When it takes over, it becomes the exchange's attempt and what was heard is read
 * from the beginning. One rival in an exchange.
 *
 * The slow one's breaker hears nothing: it is merely slow. Its provider may bill it all the same.
 */
#include "base/span.h"
#include "relay/exchange_internal.h"

#define HEARD_MAX ((size_t)512 << 10) /* until the first content */

static void on_head(void *ctx, const struct http_head *head);
static void on_body(void *ctx, struct span bytes);
static void on_end(void *ctx);
static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why);

static const struct call_events rival_events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

/* ---- ends ---- */

static void free_heard(struct rival *r)
{
    buf_deinit(&r->heard);
    event_stream_deinit(&r->attempt.events);
}

/* Its call and buffers go; its line says how it ended. */
static void leave(struct exchange *x, enum hedge_end end)
{
    struct rival *r = &x->rival;
    struct attempt *at = &r->attempt;
    x->attempts[at->line].ended = loop_now(x->relay->loop);
    x->attempts[at->line].status = at->status;
    r->on = false;
    r->end = end;
    attempt_leave(x, at);
    call_cancel(at->call);
    at->call = NULL;
    at->open = false;
    free_heard(r);
    buf_deinit(&at->gathered);
}

void rival_drop(struct exchange *x, enum hedge_end end)
{
    struct rival *r = &x->rival;
    if (!r->on)
        return;
    x->attempts[r->attempt.line].outrun = end == HEDGE_LOST;
    x->attempts[r->attempt.line].cancelled = end != HEDGE_LOST;
    breaker_cancel(x->route->breakers[r->attempt.index], loop_now(x->relay->loop));
    leave(x, end);
}

static void failed(struct exchange *x, enum err err, enum call_stage stage, bool deadline,
                   const char *why)
{
    struct rival *r = &x->rival;
    usec now = loop_now(x->relay->loop);
    uint32_t jitter = (uint32_t)loop_random_below(x->relay->loop, 1000);
    struct failure f = attempt_failure(x, &r->attempt, err, stage, deadline, why);
    x->attempts[r->attempt.line].cause = f.cause;
    exchange_log_failure(x, &f);
    breaker_report(x->route->breakers[f.link], now, f.cause, f.retry_after, jitter);
    if (cause_facts(f.cause)->reaction == REACT_ELSEWHERE) /* else: the target's own word counts */
        chain_failed(&x->walk, f.link, f.cause, f.retry_after, now);
    else
        chain_unfit(&x->walk, f.link);
    leave(x, HEDGE_FAILED);
    exchange_rearm(x);
}

/* ---- taking over ---- */

bool rival_take_over(struct exchange *x)
{
    struct rival *r = &x->rival;
    if (!r->on)
        return false;
    assert(!x->attempt.open && !x->forwarded);
    r->on = false;
    r->end = HEDGE_WON;
    x->attempt = r->attempt;
    x->lossy = r->lossy;
    struct span heard = arena_copy(x->arena, buf_span(&r->heard));
    free_heard(r);
    event_stream_init(&x->attempt.events, x->attempt.dialect->lines, ATTEMPT_EVENT_MAX);
    attempt_adopted(x, heard);
    return true;
}

/* The exchange's own attempt was slower. */
static void win(struct exchange *x)
{
    struct attempt *slow = &x->attempt;
    struct exchange_attempt *line = exchange_log(x);
    struct ttft *times = x->route->ttfts[slow->index];
    usec now = loop_now(x->relay->loop);
    line->outrun = true;
    line->status = slow->status;
    line->ended = now;
    if (times) /* at least so long: left out, the slow ones would make it look faster than it is */
        ttft_note(times, now - slow->started);
    breaker_cancel(x->route->breakers[slow->index], now);
    attempt_drop(x);
    (void)rival_take_over(x); /* there is one: it has just given content */
}

/* ---- hearing ---- */

static void observe(void *ctx, const struct chat_event *e)
{
    struct exchange *x = ctx;
    if (ledger_is_content(e) || e->type == CHAT_EV_END || e->type == CHAT_EV_ERROR)
        x->rival.content = true; /* an error or an end is judged as any attempt's */
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->rival.attempt;
    if (!x->rival.on) {
        attempt_events.on_head(x, head);
        return;
    }
    attempt_head(x, at, head);
    if (head->status >= 200 && head->status <= 299 && !at->streaming)
        failed(x, ERR_SYNTAX, CALL_BODY, false, "a stream was asked for, and the 200 is none");
}

/* True: the rival is still one. */
static bool probe(struct exchange *x, struct span bytes)
{
    struct rival *r = &x->rival;
    const struct dialect *d = r->attempt.dialect;
    if (buf_add(&r->heard, bytes) != ERR_OK) {
        failed(x, ERR_LIMIT, CALL_BODY, false, "too much came before the first content");
        return false;
    }
    while (bytes.len > 0 && !r->content) {
        struct sse_event e;
        size_t used;
        enum err err = event_stream_next(&r->attempt.events, bytes, &used, &e);
        bytes = span_drop(bytes, used);
        if (err == ERR_AGAIN)
            break;
        if (err == ERR_OK && !e.comment_only)
            err = d->read_event(r->probe, &e);
        if (err != ERR_OK) {
            failed(x, ERR_SYNTAX, CALL_BODY, false, "a malformed event");
            return false;
        }
    }
    return true;
}

static void on_body(void *ctx, struct span bytes)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->rival.attempt;
    if (!x->rival.on) {
        attempt_events.on_body(x, bytes);
        return;
    }
    if (!at->streaming) { /* of an error body what fits is enough */
        if (buf_add(&at->gathered, span_take(bytes, ERROR_BODY_MAX - at->gathered.len)) != ERR_OK)
            failed(x, ERR_LIMIT, CALL_BODY, false, "an error body is too large");
        return;
    }
    if (probe(x, bytes) && x->rival.content)
        win(x);
}

static void on_end(void *ctx)
{
    struct exchange *x = ctx;
    struct attempt *at = &x->rival.attempt;
    if (!x->rival.on) {
        attempt_events.on_end(x);
        return;
    }
    at->call = NULL;
    bool error = at->status < 200 || at->status > 299;
    failed(x, error ? ERR_OK : ERR_EOF, CALL_BODY, false,
           error ? NULL : "the stream ended before its first content");
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct exchange *x = ctx;
    if (!x->rival.on) {
        attempt_events.on_error(x, e, stage, why);
        return;
    }
    x->rival.attempt.call = NULL;
    failed(x, e, stage, false, why);
}

/* ---- beginning ---- */

/* Its request is written as the exchange's own would be, in its place for that moment. */
static bool write_request(struct exchange *x, size_t link, usec now)
{
    struct rival *r = &x->rival;
    struct attempt own = x->attempt;
    struct lossy lossy = x->lossy;
    struct chat_problem ignored = {0};
    attempt_open(x, link, now);
    enum err e = attempt_write(x, &ignored);
    r->attempt = x->attempt;
    r->lossy = x->lossy;
    x->attempt = own;
    x->lossy = lossy;
    if (e == ERR_OK)
        return true;
    breaker_cancel(x->route->breakers[link], now);
    chain_unfit(&x->walk, link);
    x->attempt_count--; /* nothing was sent */
    buf_deinit(&r->attempt.gathered);
    event_stream_deinit(&r->attempt.events);
    return false;
}

static void start(struct exchange *x, usec now)
{
    struct rival *r = &x->rival;
    const struct dialect *d = r->attempt.dialect;
    struct reader_options o = {.request = x->canonical_read ? &x->canonical : NULL};
    r->on = true;
    r->content = false;
    buf_init(&r->heard, HEARD_MAX);
    r->probe = d->reader_new(x->arena, &o, (struct chat_sink){observe, x});
    r->attempt.deadline = now + x->relay->deadlines.first_token;
    attempt_call(x, &r->attempt, &rival_events);
}

static void begin(struct exchange *x, usec now)
{
    struct hedge *h = x->relay->hedge;
    size_t link;
    x->attempt.hedge_at = 0;
    if (!x->holding || x->rival.on || x->attempt_count == EXCHANGE_ATTEMPTS_MAX || !hedge_take(h))
        return;
    for (size_t i = 0; i < x->route->count; i++) /* nobody is started for a race */
        if (!gate_is_open(x->route->links[i].target->gate))
            x->walk.not_beside |= BIT(i);
    while (chain_beside(&x->walk, now, &link)) {
        if (!write_request(x, link, now))
            continue;
        start(x, now);
        return;
    }
    hedge_give_back(h);
}

/* ---- time ---- */

usec rival_next_check(const struct exchange *x)
{
    usec at = x->attempt.hedge_at > 0 ? x->attempt.hedge_at : USEC_NEVER;
    return x->rival.on && x->rival.attempt.deadline < at ? x->rival.attempt.deadline : at;
}

void rival_check(struct exchange *x, usec now)
{
    if (x->rival.on && now >= x->rival.attempt.deadline)
        failed(x, ERR_TIMEOUT, x->rival.attempt.status ? CALL_BODY : CALL_WAIT, true,
               "no content within the first-token deadline");
    if (x->attempt.hedge_at > 0 && now >= x->attempt.hedge_at)
        begin(x, now);
}
