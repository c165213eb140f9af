/* An answer's bytes become events.
 *
 * What the exchange gives is what a client of the gateway would get: a Messages body or a Messages
 * stream, whoever made it. It is read with the reader that reads Claude's own, and a stream is at
 * the same time written as the whole message it stands for, so that the last event can hand over
 * the blocks that belong into the next request. Who answers stands in the reply's header lines; who
 * takes over in the middle is told by the relay. */
#include "lib/lib_internal.h"

#include "base/mem.h"

#include <stdio.h>

void reply_init(struct hs_reply *r)
{
    arena_init(&r->arena, ANSWER_MAX);
    arena_init(&r->scratch, ANSWER_MAX);
    sse_init(&r->sse, ANSWER_MAX, false);
    buf_init(&r->body, ANSWER_MAX);
    buf_init(&r->message, ANSWER_MAX);
    buf_init(&r->call.input, ANSWER_MAX);
    r->usage = CHAT_USAGE_UNKNOWN;
    r->no_request.max_tokens = -1;
}

static void forget(char **text)
{
    mem_free(*text);
    *text = NULL;
}

static void drop_call(struct tool_call *c)
{
    forget(&c->id);
    forget(&c->name);
    buf_reset(&c->input);
    c->custom = false;
}

void reply_deinit(struct hs_reply *r)
{
    while (r->first) {
        struct told *t = r->first;
        r->first = t->next;
        told_free(t);
    }
    told_free(r->current);
    drop_call(&r->call);
    forget(&r->served_by);
    forget(&r->model);
    forget(&r->lossy);
    forget(&r->switched);
    buf_deinit(&r->call.input);
    buf_deinit(&r->message);
    buf_deinit(&r->body);
    sse_deinit(&r->sse);
    arena_deinit(&r->scratch);
    arena_deinit(&r->arena);
}

static void fail(struct hs_reply *r, const char *wrong)
{
    r->broken = true;
    r->wrong = wrong;
}

/* ---- values ---- */

static struct span plain(struct hs_reply *r, struct chat_text t)
{
    return t.escaped ? json_unescape(t.at, &r->scratch) : t.at;
}

static char *kept(struct span s)
{
    char *at = mem_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    at[s.len] = 0;
    return at;
}

static void keep(char **to, struct span s)
{
    mem_free(*to);
    *to = kept(s);
}

static struct span or_empty(const char *text)
{
    return text ? span_from(text) : SPAN_EMPTY;
}

/* ---- events ---- */

static void tell_who(struct hs_reply *r, struct told *t)
{
    t->event.served_by = told_copy(t, or_empty(r->served_by), NULL);
    t->event.model = told_copy(t, or_empty(r->model), NULL);
}

static void tell_switched(struct hs_reply *r, struct span from, struct span cause, bool goes_on)
{
    struct told *t = told_new(HS_SWITCHED);
    struct span text =
        arena_printf(&r->scratch, "%.*s: %.*s; %s %s", SPAN_FMT(from), SPAN_FMT(cause),
                     r->served_by ? r->served_by : "another", goes_on ? "goes on" : "answers");
    t->event.from = told_copy(t, from, NULL);
    t->event.cause = told_copy(t, cause, NULL);
    t->event.text = told_copy(t, text, &t->event.text_len);
    tell_who(r, t);
    reply_queue(r, t);
}

/* "lead>spare; overloaded", as the header line has it. */
static void tell_began_elsewhere(struct hs_reply *r)
{
    struct span rest = span_from(r->switched), from, to;
    if (span_next(&rest, '>', &from) && span_next(&rest, ';', &to))
        tell_switched(r, from, span_trim(rest), false);
}

static void tell_start(struct hs_reply *r)
{
    if (r->switched)
        tell_began_elsewhere(r);
    struct told *t = told_new(HS_START);
    tell_who(r, t);
    t->event.lossy = told_copy(t, or_empty(r->lossy), NULL);
    reply_queue(r, t);
}

static void tell_piece(struct hs_reply *r, hs_event_type type, struct chat_text text)
{
    if (chat_text_empty(text))
        return;
    struct told *t = told_new(type);
    t->event.text = told_copy(t, plain(r, text), &t->event.text_len);
    reply_queue(r, t);
}

/* A call that the answer's limit cut off is none: its input is no JSON. */
static void tell_call(struct hs_reply *r)
{
    struct tool_call *c = &r->call;
    struct span input = c->input.len ? buf_span(&c->input) : SPAN("{}");
    struct json_doc doc;
    if (!c->custom && json_parse(&r->scratch, input, NULL, &doc, NULL) == ERR_OK) {
        struct told *t = told_new(HS_TOOL_CALL);
        t->event.tool_id = told_copy(t, or_empty(c->id), NULL);
        t->event.tool_name = told_copy(t, or_empty(c->name), NULL);
        t->event.tool_input = told_copy(t, input, &t->event.tool_input_len);
        reply_queue(r, t);
    }
    drop_call(c);
}

static void tell_usage(struct hs_reply *r)
{
    struct told *t = told_new(HS_USAGE);
    t->event.usage =
        (hs_usage){r->usage.input, r->usage.output, r->usage.cache_read, r->usage.cache_write};
    reply_queue(r, t);
}

/* ---- the reader's events ---- */

static void on_block_start(struct hs_reply *r, const struct chat_event *e)
{
    r->block = e->block_type;
    if (e->block_type != CHAT_TOOL_USE)
        return;
    drop_call(&r->call);
    r->call.custom = e->custom;
    keep(&r->call.id, plain(r, e->id));
    keep(&r->call.name, plain(r, e->name));
}

static void on_delta(struct hs_reply *r, const struct chat_event *e)
{
    if (r->block == CHAT_TEXT || r->block == CHAT_REFUSAL)
        tell_piece(r, HS_TEXT, e->text);
    else if (r->block == CHAT_THINKING)
        tell_piece(r, HS_THINKING, e->text);
    else if (r->block == CHAT_TOOL_USE && buf_add(&r->call.input, plain(r, e->text)) != ERR_OK)
        fail(r, "a tool call's input is too large");
}

static void on_error(struct hs_reply *r, const struct chat_error *e)
{
    r->told_error = true;
    r->error = (struct chat_error){.status = e->status,
                                   .type = arena_copy(&r->arena, e->type),
                                   .message = arena_copy(&r->arena, e->message)};
}

static void on_event(void *ctx, const struct chat_event *e)
{
    struct hs_reply *r = ctx;
    switch (e->type) {
    case CHAT_EV_START:
        chat_usage_merge(&r->usage, &e->usage);
        tell_start(r);
        break;
    case CHAT_EV_BLOCK_START:
        on_block_start(r, e);
        break;
    case CHAT_EV_DELTA:
        on_delta(r, e);
        break;
    case CHAT_EV_BLOCK_STOP:
        if (r->block == CHAT_TOOL_USE)
            tell_call(r);
        r->block = CHAT_OTHER;
        break;
    case CHAT_EV_USAGE:
        chat_usage_merge(&r->usage, &e->usage);
        break;
    case CHAT_EV_FINISH:
        r->stop = e->stop;
        break;
    case CHAT_EV_END:
        r->ended = true;
        break;
    case CHAT_EV_ERROR:
        on_error(r, e->error);
        break;
    default:
        break;
    }
    arena_reset(&r->scratch);
    if (r->writer && e->type != CHAT_EV_ERROR && e->type != CHAT_EV_PING &&
        dialect_anthropic.write_event(r->writer, e) != ERR_OK)
        fail(r, "the answer is too large");
}

static void make_reader(struct hs_reply *r)
{
    struct reader_options o = {.requested_whole = !r->streams, .passes = true};
    r->reader = dialect_anthropic.reader_new(&r->arena, &o,
                                             (struct chat_sink){.event = on_event, .ctx = r});
    if (!r->streams)
        return; /* the body is the message */
    struct writer_options w = {.request = &r->no_request};
    r->writer = dialect_anthropic.writer_new(&r->arena, &w, false, &r->message);
}

/* ---- what the exchange gives ---- */

static void take_field(struct hs_reply *r, const struct http_field *f)
{
    int64_t seconds;
    if (span_iis(f->name, "content-type"))
        r->streams = span_istarts(f->value, SPAN("text/event-stream"));
    else if (span_iis(f->name, "x-hotspare-served-by"))
        keep(&r->served_by, f->value);
    else if (span_iis(f->name, "x-hotspare-model"))
        keep(&r->model, f->value);
    else if (span_iis(f->name, "x-hotspare-lossy"))
        keep(&r->lossy, f->value);
    else if (span_iis(f->name, "x-hotspare-switched"))
        keep(&r->switched, f->value);
    else if (span_iis(f->name, "retry-after") && span_i64(f->value, &seconds) == ERR_OK &&
             seconds > 0 && seconds < INT32_MAX)
        r->retry_after = (int)seconds;
}

static void on_start(void *ctx, int status, const struct http_field *fields, size_t count)
{
    struct hs_reply *r = ctx;
    r->status = status;
    for (size_t i = 0; i < count; i++)
        take_field(r, &fields[i]);
    if (status < 300)
        make_reader(r);
}

static void read_stream(struct hs_reply *r, struct span bytes)
{
    while (!r->broken) {
        struct sse_event e;
        size_t used = 0;
        enum err err = sse_next(&r->sse, bytes, &used, &e);
        bytes = span_drop(bytes, used);
        if (err == ERR_AGAIN)
            return;
        if (err == ERR_OK)
            err = dialect_anthropic.read_event(r->reader, &e);
        if (err != ERR_OK && !r->told_error)
            fail(r, "the answer's stream is malformed");
    }
}

static void on_body(void *ctx, struct span bytes)
{
    struct hs_reply *r = ctx;
    if (r->dropped || r->broken)
        return;
    if (r->reader && r->streams)
        read_stream(r, bytes);
    else if (buf_add(&r->body, bytes) != ERR_OK)
        fail(r, "the answer is too large");
}

static size_t pending(void *ctx)
{
    return ((struct hs_reply *)ctx)->pending;
}

/* ---- the end ---- */

static struct span content_of(struct hs_reply *r)
{
    struct json_doc doc;
    struct span message = r->streams ? buf_span(&r->message) : buf_span(&r->body);
    if (json_parse(&r->scratch, message, NULL, &doc, NULL) != ERR_OK)
        return SPAN_EMPTY;
    struct json content = json_get(json_root(&doc), "content");
    return json_is(content, JSON_ARRAY) ? json_raw(content) : SPAN_EMPTY;
}

static void finish(struct hs_reply *r)
{
    struct told *t = told_new(HS_DONE);
    struct span content = content_of(r);
    tell_usage(r);
    t->event.stop_reason = chat_stop_name(r->stop);
    t->event.content = told_copy(t, content.len ? content : SPAN("[]"), &t->event.content_len);
    tell_who(r, t);
    arena_reset(&r->scratch);
    reply_queue(r, t);
}

static struct span hint_for(struct hs_reply *r)
{
    const struct ending *e = &r->ending;
    if (e->advice)
        return arena_printf(&r->scratch, "%s: %s", e->advice_target, e->advice);
    if (e->outcome == OUTCOME_INTERRUPTED)
        return SPAN("What came is not the whole answer: ask again. A further target in the chain "
                    "would have gone on with it.");
    if (e->outcome == OUTCOME_REJECTED && e->attempts > 0)
        return SPAN("Ask again later, start one of these targets, or add another one to the chain "
                    "under `models:` in the configuration.");
    return SPAN_EMPTY;
}

static void tell_error(struct hs_reply *r, const struct chat_error *e)
{
    struct told *t = told_new(HS_ERROR);
    struct span type = e->type.len ? e->type : span_from(dialect_error_type(e->status));
    t->event.text = told_copy(t, e->message, &t->event.text_len);
    t->event.hint = told_copy(t, hint_for(r), NULL);
    t->event.error_type = told_copy(t, type, NULL);
    t->event.status = e->status;
    t->event.retry_after = r->retry_after;
    tell_who(r, t);
    arena_reset(&r->scratch);
    reply_queue(r, t);
}

static void tell_broken(struct hs_reply *r, const char *why)
{
    tell_error(r, &(struct chat_error){.status = 502, .message = span_from(why)});
}

static void read_whole(struct hs_reply *r)
{
    if (dialect_anthropic.read_whole(r->reader, buf_span(&r->body)) != ERR_OK)
        fail(r, "the answer is not a message");
}

static void on_end(void *ctx, bool whole)
{
    struct hs_reply *r = ctx;
    r->request = NULL;
    if (r->dropped)
        return;
    if (r->reader && !r->streams && whole && !r->broken)
        read_whole(r);
    if (r->status >= 300) {
        struct chat_error e;
        dialect_anthropic.read_error(&r->arena, r->status, buf_span(&r->body), &e);
        tell_error(r, &e);
    } else if (r->told_error) {
        tell_error(r, &r->error);
    } else if (r->broken) {
        tell_broken(r, r->wrong);
    } else if (!r->ended) {
        tell_broken(r, "the answer was cut");
    } else {
        finish(r);
    }
}

const struct local_reply reply_sink = {
    .on_start = on_start, .on_body = on_body, .on_end = on_end, .pending = pending};

/* ---- what the relay tells beside the answer ---- */

void reply_moved(struct hs_reply *r, const struct exchange_move *move)
{
    if (r->dropped)
        return;
    keep(&r->served_by, span_from(move->to));
    keep(&r->model, move->model);
    tell_switched(r, span_from(move->from), span_from(exchange_switch_name(move->cause)), true);
    arena_reset(&r->scratch);
}

void reply_done(struct hs_reply *r, const struct exchange_report *report)
{
    struct ending *e = &r->ending;
    *e = (struct ending){
        .known = true, .outcome = report->outcome, .attempts = report->attempt_count};
    for (size_t i = 0; i < report->attempt_count && !e->advice; i++) {
        e->advice = cause_facts(report->attempts[i].cause)->advice;
        e->advice_target = report->attempts[i].target;
    }
    if (report->served_by && report->outcome == OUTCOME_OK) {
        keep(&r->served_by, span_from(report->served_by));
        keep(&r->model, report->served_model);
    }
}
