/* What the client gets: the stream's head, the bytes of an answer, or an error in its own dialect.
 *
 * Never ends the reply: exchange_finish does. An error after the head was sent becomes the stream's
 * last event; there is no clean end without the target's own. */
#include "relay/exchange_internal.h"

#include <stdio.h>

#define FIELDS_MAX 32

struct reply_fields {
    struct http_field at[FIELDS_MAX];
    size_t count;
};

static void add_field(struct reply_fields *f, const char *name, struct span value)
{
    if (f->count < FIELDS_MAX && value.len > 0)
        f->at[f->count++] = (struct http_field){span_from(name), value};
}

/* "claude>openai; overloaded" */
static struct span switched_value(struct exchange *x)
{
    enum cause cause =
        x->failed_once ? x->first.cause
                       : breaker_view(x->route->breakers[0], loop_now(x->relay->loop)).last_cause;
    bool outrun = x->rival.end == HEDGE_WON && !x->failed_once;
    return arena_printf(x->arena, "%s>%s; %s", x->route->links[0].target->name,
                        x->attempt.link->target->name,
                        outrun ? "hedged" : exchange_switch_name(cause));
}

static void add_our_fields(struct exchange *x, struct reply_fields *f, bool served)
{
    if (!x->relay->reply_headers)
        return;
    add_field(f, "x-hotspare-request-id", span_from(x->id));
    add_field(f, "x-hotspare-attempts", arena_printf(x->arena, "%zu", x->attempt_count));
    if (!served)
        return;
    const struct relay_link *link = x->attempt.link;
    add_field(f, "x-hotspare-served-by", span_from(link->target->name));
    /* A raw model name may hold escapes but no control bytes: JSON refuses them. */
    add_field(f, "x-hotspare-model", span_take(link->model.len ? link->model : x->model, 200));
    if (x->attempt.index != 0)
        add_field(f, "x-hotspare-switched", switched_value(x));
    char lossy[512];
    size_t len = lossy_format(&x->lossy, lossy, sizeof lossy);
    add_field(f, "x-hotspare-lossy", arena_copy(x->arena, (struct span){lossy, len}));
}

static void add_upstream_fields(struct reply_fields *f, const struct http_field *fields,
                                size_t count)
{
    for (size_t i = 0; i < count && f->count < FIELDS_MAX; i++)
        f->at[f->count++] = fields[i];
}

/* Where the dialects differ only the upstream's request id means something to the client. */
static void add_request_id(struct reply_fields *f, const struct http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_iis(fields[i].name, "request-id") || span_iis(fields[i].name, "x-request-id"))
            add_field(f, "x-request-id", fields[i].value);
}

static void add_answer_fields(struct exchange *x, struct reply_fields *f)
{
    const struct attempt *at = &x->attempt;
    if (at->passthrough)
        add_upstream_fields(f, at->reply_fields, at->reply_field_count);
    else
        add_request_id(f, at->reply_fields, at->reply_field_count);
    add_our_fields(x, f, true);
}

static void start(struct exchange *x, int status, const struct reply_fields *f,
                  int64_t content_length)
{
    assert(!x->head_sent);
    x->head_sent = true;
    x->status_sent = status;
    reply_start(x->request, status, f->at, f->count, content_length);
}

void answer_stream_begin(struct exchange *x)
{
    struct reply_fields f = {0};
    add_field(&f, "content-type", SPAN("text/event-stream; charset=utf-8"));
    add_field(&f, "cache-control", SPAN("no-cache"));
    add_field(&f, "x-accel-buffering", SPAN("no"));
    /* With the head sent early, to keep the client alive, nobody has served it yet. */
    if (x->attempt.streaming && !x->holding)
        add_answer_fields(x, &f);
    else
        add_our_fields(x, &f, false);
    start(x, 200, &f, REPLY_CHUNKED);
}

void answer_flush(struct exchange *x)
{
    size_t ready = x->hold.on ? x->hold.from : x->out.len;
    if (x->holding || ready == 0)
        return;
    if (!x->head_sent)
        answer_stream_begin(x);
    x->forwarded = true;
    x->ping_at = loop_now(x->relay->loop) + x->relay->deadlines.ping;
    reply_body(x->request, span_take(buf_span(&x->out), ready));
    buf_consume(&x->out, ready);
    x->hold.from = 0;
}

void answer_whole(struct exchange *x, struct span body)
{
    struct reply_fields f = {0};
    add_field(&f, "content-type", SPAN("application/json"));
    add_answer_fields(x, &f);
    start(x, 200, &f, (int64_t)body.len);
    reply_body(x->request, body);
}

static struct span id_for(struct exchange *x)
{
    static const char *const prefixes[DIALECT_COUNT] = {[DIALECT_ANTHROPIC] = "msg_",
                                                        [DIALECT_OPENAI_CHAT] = "chatcmpl-",
                                                        [DIALECT_COMPLETIONS] = "cmpl-",
                                                        [DIALECT_COMPLETE] = "compl_",
                                                        [DIALECT_OPENAI_RESPONSES] = "resp_"};
    return arena_printf(x->arena, "%s%s", prefixes[x->door->id], x->id + strlen("req_"));
}

/* It says who it is in both; which of them, its releases do not agree on. */
static bool is_codex(const struct exchange *x)
{
    const struct http_head *head = request_head(x->request);
    return span_istarts(http_field_get(head, "user-agent"), SPAN("codex")) ||
           span_istarts(http_field_get(head, "originator"), SPAN("codex"));
}

void answer_writer_new(struct exchange *x)
{
    if (x->seen_created == 0)
        x->seen_created = loop_wall(x->relay->loop) / USEC_PER_SEC;
    struct writer_options o = {.request = &x->canonical,
                               .id = x->seen_id.len ? x->seen_id : id_for(x),
                               .model = x->seen_model.len ? x->seen_model : x->model,
                               .created = x->seen_created,
                               .usage_key = x->seen_usage_key,
                               .sequence = &x->ledger.sequence,
                               .codex = is_codex(x)};
    x->writer = x->door->writer_new(x->arena, &o, x->stream, &x->out);
}

/* ---- errors ---- */

void answer_error(struct exchange *x, const struct chat_error *e, usec retry_after)
{
    struct chat_error told = *e;
    if (told.status == 529 && !x->door->claude_api)
        told.status = 503; /* 529 is Anthropic's alone */
    if (told.request_id.len == 0)
        told.request_id = span_from(x->id);
    /* As OpenAI tells it: Codex makes its conversation shorter only when the stream says so. */
    if (!x->head_sent && x->stream && x->door->id == DIALECT_OPENAI_RESPONSES &&
        span_is(told.code, "context_length_exceeded"))
        answer_stream_begin(x);
    if (x->head_sent) {
        if (!x->writer)
            answer_writer_new(x);
        buf_reset(&x->out);
        if (x->door->write_error(&x->out, x->writer, &told) == ERR_OK)
            reply_body(x->request, buf_span(&x->out));
        return;
    }
    buf_reset(&x->out);
    if (x->door->write_error(&x->out, NULL, &told) != ERR_OK)
        buf_reset(&x->out);
    struct reply_fields f = {0};
    add_field(&f, "content-type", SPAN("application/json"));
    add_field(&f, x->door->claude_api ? "request-id" : "x-request-id", told.request_id);
    if (retry_after > 0)
        add_field(&f, "retry-after",
                  arena_printf(x->arena, "%lld",
                               (long long)((retry_after + USEC_PER_SEC - 1) / USEC_PER_SEC)));
    /* We have tried what can be tried: a client that repeats at once only multiplies it. */
    if (told.status < 500 && told.status != 429)
        add_field(&f, "x-should-retry", SPAN("false"));
    add_our_fields(x, &f, false);
    start(x, told.status, &f, (int64_t)x->out.len);
    reply_body(x->request, buf_span(&x->out));
}

/* The words that make Claude Code and its kin compact a conversation (protocols.md 5.7). */
static struct chat_error context_error(struct exchange *x, const struct failure *f)
{
    struct span message = f->error.message;
    if (span_isearch(message, SPAN("prompt is too long")) < 0)
        message = arena_printf(x->arena, "prompt is too long: %.*s", SPAN_FMT(message));
    return (struct chat_error){.status = 400,
                               .type = SPAN("invalid_request_error"),
                               .code = SPAN("context_length_exceeded"),
                               .message = message};
}

static bool is_ours_to_mend(const struct failure *f)
{
    return f->cause == CAUSE_KEY_BAD || (f->cause == CAUSE_ACCOUNT_GONE && f->status != 0);
}

/* Our key, not the caller's: a 401 or 403 would make the caller doubt its own. */
static struct chat_error account_error(struct exchange *x, const struct failure *f)
{
    const struct cause_facts *facts = cause_facts(f->cause);
    return (struct chat_error){.status = 502,
                               .type = SPAN("api_error"),
                               .message =
                                   arena_printf(x->arena, "Target %s: %s (upstream status %d). %s",
                                                x->route->links[f->link].target->name, facts->name,
                                                f->status, facts->advice ? facts->advice : "")};
}

struct chat_error answer_caller_error(struct exchange *x, const struct failure *f)
{
    const char *target = x->route->links[f->link].target->name;
    if (f->cause == CAUSE_CONTEXT_EXCEEDED)
        return context_error(x, f);
    if (is_ours_to_mend(f))
        return account_error(x, f);
    if (f->error.message.len > 0) {
        struct chat_error e = f->error;
        int status = f->status > 299 ? dialect_map_status(f->status) : e.status ? e.status : 502;
        if (e.type.len == 0 || status != e.status) /* the word goes with the number we answer */
            e.type = span_from(dialect_error_type(status));
        e.status = status;
        return e;
    }
    bool stalled = f->cause == CAUSE_STALLED;
    return (struct chat_error){.status = stalled ? 504 : 502,
                               .type = stalled ? SPAN("timeout_error") : SPAN("api_error"),
                               .message = arena_printf(x->arena, "Target %s failed: %s%s%s.",
                                                       target, cause_facts(f->cause)->name,
                                                       f->why ? ": " : "", f->why ? f->why : "")};
}

struct chat_error answer_nobody_left(struct exchange *x)
{
    struct buf *to = &x->relay->scratch;
    buf_reset(to);
    enum err e = buf_add_cstr(to, "No target could answer:");
    for (size_t i = 0; e == ERR_OK && i < x->attempt_count; i++)
        e = buf_printf(to, "%s %s (%s)", i ? "," : "", x->attempts[i].target,
                       x->attempts[i].outrun ? "outrun" : cause_facts(x->attempts[i].cause)->name);
    if (e == ERR_OK && x->was_unfit)
        e = buf_printf(to, "; another cannot carry this request (%.*s)", SPAN_FMT(x->unfit.text));
    if (e == ERR_OK)
        e = buf_add_cstr(to, ".");
    (void)e; /* a cut list still tells */
    return (struct chat_error){.status = 529,
                               .type = SPAN("overloaded_error"),
                               .message = arena_copy(x->arena, buf_span(to))};
}

void answer_upstream_error(struct exchange *x, const struct failure *f)
{
    bool json = span_isearch(f->content_type, SPAN("json")) >= 0; /* not some proxy's page */
    const struct cloud *cloud = x->route->links[f->link].target->cloud;
    bool enveloped = cloud && cloud_is_claudes(cloud); /* such errors have shapes of their own */
    bool as_it_came = f->dialect == x->door && !enveloped && f->body.len > 0 && f->whole && json &&
                      !is_ours_to_mend(f) && !x->head_sent && f->status >= 400;
    if (!as_it_came) {
        struct chat_error e = answer_caller_error(x, f);
        answer_error(x, &e, f->retry_after);
        return;
    }
    struct reply_fields out = {0};
    add_field(&out, "content-type",
              f->content_type.len ? f->content_type : SPAN("application/json"));
    add_upstream_fields(&out, f->fields, f->field_count);
    add_our_fields(x, &out, false);
    start(x, f->status, &out, (int64_t)f->body.len);
    reply_body(x->request, f->body);
}

void exchange_refuse(struct request *r, const struct dialect *door, int status, const char *type,
                     struct span message)
{
    struct arena *a = request_arena(r);
    struct buf body;
    buf_init(&body, (size_t)64 << 10);
    struct chat_error e = {.status = status,
                           .type = span_from(type ? type : dialect_error_type(status)),
                           .message = message};
    if (door->write_error(&body, NULL, &e) != ERR_OK)
        buf_reset(&body);
    struct http_field fields[] = {{SPAN("content-type"), SPAN("application/json")},
                                  {SPAN("x-should-retry"), SPAN("false")}};
    struct span kept = arena_copy(a, buf_span(&body));
    buf_deinit(&body);
    reply_whole(r, status, fields, status < 500 ? 2 : 1, kept);
}
