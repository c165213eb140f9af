/* See ask.h. */
#include "tools/probe/ask.h"

#include "base/span.h"
#include "http/stream.h"
#include "json/json.h"
#include "relay/access_token.h"
#include "relay/cloud.h"

#define BODY_MAX ((size_t)4 << 20)
#define TEXT_MAX ((size_t)1 << 20)
#define EVENT_MAX ((size_t)1 << 20)
#define FIELDS_MAX ((size_t)64 << 10)

struct talk {
    struct asker *asker;
    const struct ask_order *order;
    struct asked *out;
    struct arena arena;
    struct call *call;
    struct timer limit;
    struct event_stream events;
    struct cloud_stream *frames; /* Bedrock's, instead of `events`; NULL: none */
    struct token_wait token;     /* for its access token */
    struct span access, path;    /* the token; where the model is asked */
    struct span error_word;      /* which a cloud puts into the head */
    struct pieces written;
    struct buf body, input;
    struct reply_reader *reader;
    usec began;
    enum chat_block_type block; /* the open one */
    bool open, ended, told_error;
};

void asked_deinit(struct asked *a)
{
    buf_deinit(&a->text);
}

static const char *stream_type(const struct ask_order *o)
{
    if (o->target->cloud)
        return cloud_accepts(o->target->cloud, true);
    return o->dialect->lines ? "application/x-ndjson" : "text/event-stream";
}

static void why(struct asked *a, enum ask_end end, struct span text)
{
    a->end = end;
    text = span_trim(text);
    if (text.len > 0 && text.at[text.len - 1] == '.') /* a reason may go on behind it */
        text.len--;
    size_t len = text.len < sizeof a->why - 1 ? text.len : sizeof a->why - 1;
    for (size_t i = 0; i < len; i++) /* a stranger's text, on a terminal */
        a->why[i] = (unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7F ? ' ' : text.at[i];
    a->why[len] = '\0';
}

static void over(struct talk *t)
{
    access_token_forget(&t->token);
    call_cancel(t->call);
    t->call = NULL;
    t->open = false;
    loop_timer_cancel(t->asker->loop, &t->limit);
    loop_stop(t->asker->loop);
}

static void failed(struct talk *t, enum ask_end end, struct span text)
{
    why(t->out, end, text);
    over(t);
}

/* ---- the answer ---- */

static void content_came(struct talk *t)
{
    usec now = loop_now(t->asker->loop) - t->began;
    if (t->out->first < 0)
        t->out->first = now;
    t->out->last = now;
}

static void tool_ends(struct talk *t)
{
    struct json_doc doc;
    bool good = json_parse(&t->arena, buf_span(&t->input), NULL, &doc, NULL) == ERR_OK &&
                json_is(json_root(&doc), JSON_OBJECT);
    t->out->calls += good;
    t->out->bad_call |= !good;
}

static void take_delta(struct talk *t, const struct chat_event *e)
{
    struct span piece = e->text.escaped ? json_unescape(e->text.at, &t->arena) : e->text.at;
    if (piece.len > 0)
        content_came(t);
    if (t->block == CHAT_TEXT && buf_add(&t->out->text, piece) != ERR_OK)
        t->told_error = true; /* no answer to what we ask is that long */
    if (t->block == CHAT_TOOL_USE && buf_add(&t->input, piece) != ERR_OK)
        t->told_error = true;
}

static void take_usage(struct chat_usage *to, const struct chat_usage *from)
{
    to->input = from->input >= 0 ? from->input : to->input;
    to->cache_read = from->cache_read >= 0 ? from->cache_read : to->cache_read;
    to->cache_write = from->cache_write >= 0 ? from->cache_write : to->cache_write;
    to->output = from->output >= 0 ? from->output : to->output;
    to->reasoning = from->reasoning >= 0 ? from->reasoning : to->reasoning;
}

static void on_event(void *ctx, const struct chat_event *e)
{
    struct talk *t = ctx;
    switch (e->type) {
    case CHAT_EV_START:
    case CHAT_EV_USAGE:
        take_usage(&t->out->usage, &e->usage);
        break;
    case CHAT_EV_BLOCK_START:
        t->block = e->block_type;
        t->out->thought |=
            e->block_type == CHAT_THINKING || e->block_type == CHAT_REDACTED_THINKING;
        buf_reset(&t->input);
        break;
    case CHAT_EV_DELTA:
        take_delta(t, e);
        break;
    case CHAT_EV_BLOCK_STOP:
        if (t->block == CHAT_TOOL_USE)
            tool_ends(t);
        break;
    case CHAT_EV_FINISH:
        t->out->stop = e->stop;
        break;
    case CHAT_EV_END:
        t->ended = true;
        break;
    case CHAT_EV_ERROR:
        t->told_error = true;
        why(t->out, ASK_BROKEN, e->error->message);
        break;
    default:
        break;
    }
}

static void take_stream(struct talk *t, struct span bytes)
{
    while (bytes.len > 0) {
        struct sse_event e;
        size_t used;
        enum err err = cloud_event_next(t->frames, &t->events, bytes, &used, &e);
        bytes = span_drop(bytes, used);
        if (err == ERR_AGAIN)
            return;
        if (err == ERR_OK && !e.comment_only)
            err = t->order->dialect->read_event(t->reader, &e);
        if (err != ERR_OK) {
            failed(t, ASK_BROKEN, SPAN("its event stream is damaged"));
            return;
        }
    }
}

static void keep_limits(struct asked *out, const struct http_head *head)
{
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *f = &head->fields[i];
        size_t len = strlen(out->limits);
        if (span_isearch(f->name, SPAN("ratelimit")) < 0)
            continue;
        int n = snprintf(out->limits + len, sizeof out->limits - len, "%s%.*s: %.*s",
                         len ? ", " : "", SPAN_FMT(f->name), SPAN_FMT(f->value));
        if (n < 0 || (size_t)n >= sizeof out->limits - len)
            out->limits[len] = '\0'; /* whole ones only */
    }
}

static void note_cloud(struct talk *t, const struct http_head *head)
{
    const struct cloud *cloud = t->order->target->cloud;
    t->error_word = arena_copy(&t->arena, cloud_error_word(head->fields, head->field_count));
    if (head->status == 401 && t->access.len > 0)
        access_token_refused(cloud->token, t->access);
    if (!cloud_frames(cloud) || !t->out->is_stream)
        return;
    bool converse = t->order->dialect->id == DIALECT_BEDROCK_CONVERSE;
    t->frames = cloud_stream_new(&t->arena, converse, EVENT_MAX);
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct talk *t = ctx;
    struct asked *out = t->out;
    struct span type = http_field_get(head, "content-type");
    struct span wait = http_field_get(head, "retry-after");
    int64_t seconds;
    out->status = head->status;
    out->is_stream = span_istarts(type, span_from(stream_type(t->order)));
    if (wait.len > 0 && span_i64(span_trim(wait), &seconds) == ERR_OK && seconds >= 0 &&
        seconds < 86400)
        out->retry_after = seconds * USEC_PER_SEC;
    keep_limits(out, head);
    note_cloud(t, head);
}

static bool is_good(const struct talk *t)
{
    return t->out->status >= 200 && t->out->status <= 299;
}

static void on_body(void *ctx, struct span bytes)
{
    struct talk *t = ctx;
    if (is_good(t) && t->out->is_stream && t->order->request)
        take_stream(t, bytes);
    else if (buf_add(&t->body, bytes) != ERR_OK)
        failed(t, ASK_BROKEN, SPAN("its answer is larger than 4 MiB"));
}

static void end_good(struct talk *t)
{
    const struct dialect *d = t->order->dialect;
    struct asked *out = t->out;
    out->ended = t->ended;
    out->end = ASK_ANSWERED;
    if (!t->order->request) {
        if (buf_add(&out->text, span_take(buf_span(&t->body), TEXT_MAX)) != ERR_OK)
            buf_reset(&out->text);
        return;
    }
    enum err e =
        out->is_stream ? d->read_eof(t->reader) : d->read_whole(t->reader, buf_span(&t->body));
    if (t->told_error)
        out->end = ASK_BROKEN; /* why: as told */
    else if (!out->is_stream && e != ERR_OK)
        why(out, ASK_BROKEN, SPAN("its 200 holds no answer of this format"));
    else if (e != ERR_OK && out->first < 0)
        why(out, ASK_BROKEN, SPAN("its stream holds no answer of this format"));
    else if (e != ERR_OK)
        why(out, ASK_ANSWERED, SPAN("its stream ends without its last event"));
    /* Gemini's streams have no last event: the end of the bytes after a reason to stop is one. */
    if (!out->is_stream || (e == ERR_OK && d->id == DIALECT_GEMINI))
        out->ended = true;
}

static void end_bad(struct talk *t)
{
    struct chat_error told = {0};
    struct asked *out = t->out;
    struct http_head head = {.status = out->status};
    usec waits;
    t->order->dialect->read_error(&t->arena, out->status, buf_span(&t->body), &told);
    if (told.code.len == 0)
        told.code = t->error_word;
    struct cause_evidence evidence = {
        .stage = CALL_BODY, .status = out->status, .head = &head, .error = &told};
    out->cause = cause_of(&evidence, loop_wall(t->asker->loop), &waits);
    if (out->retry_after == 0)
        out->retry_after = waits;
    why(t->out, ASK_REFUSED, told.message.len ? told.message : SPAN("(it does not say why)"));
}

static void on_end(void *ctx)
{
    struct talk *t = ctx;
    t->call = NULL;
    if (is_good(t))
        end_good(t);
    else
        end_bad(t);
    over(t);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *text)
{
    struct talk *t = ctx;
    (void)e; /* the sentence says it */
    t->call = NULL;
    t->out->cause = CAUSE_UNREACHABLE;
    failed(t, stage == CALL_BODY ? ASK_BROKEN : ASK_FAILED, span_from(text));
}

static void takes_too_long(struct timer *timer)
{
    struct talk *t = CONTAINER_OF(timer, struct talk, limit);
    failed(t, ASK_FAILED, SPAN("no whole answer in time"));
}

/* ---- the request ---- */

static bool write_body(struct talk *t, struct pieces *body)
{
    const struct ask_order *o = t->order;
    struct dialect_body written = {.has_unparsed_tool_input = false};
    struct chat_problem problem = {0};
    if (!o->request) {
        pieces_add(body, o->raw);
        return true;
    }
    pieces_init(&written.body, &t->arena);
    if (o->dialect->write_request(&t->arena, o->request, o->cap, o->model, o->stream, &written,
                                  &problem) != ERR_OK) {
        why(t->out, ASK_UNFIT, problem.text);
        return false;
    }
    *body = written.body;
    t->out->lossy = written.lossy;
    return true;
}

static enum err write_fields(struct talk *t, struct buf *to)
{
    const struct ask_order *o = t->order;
    const struct cloud *cloud = o->target->cloud;
    enum err e =
        buf_printf(to,
                   "content-type: application/json\r\naccept-encoding: identity\r\n"
                   "accept: %s\r\n%s%.*s",
                   o->stream ? stream_type(o) : "application/json",
                   o->dialect->claude_api && !cloud ? "anthropic-version: 2023-06-01\r\n" : "",
                   SPAN_FMT(o->target->credentials));
    if (e == ERR_OK && t->access.len > 0)
        e = buf_printf(to, "authorization: Bearer %.*s\r\n", SPAN_FMT(t->access));
    if (e == ERR_OK && cloud)
        e = cloud_sign(cloud, t->path, &t->written, loop_wall(t->asker->loop), to);
    return e;
}

static const struct call_events events = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static void send(struct talk *t)
{
    struct buf fields;
    buf_init(&fields, FIELDS_MAX);
    if (write_fields(t, &fields) != ERR_OK) {
        buf_deinit(&fields);
        failed(t, ASK_FAILED, SPAN("the header lines of this request are too large"));
        return;
    }
    struct call_request request = {.method = SPAN("POST"),
                                   .target = t->path,
                                   .fields = arena_copy(&t->arena, buf_span(&fields)),
                                   .body = &t->written};
    buf_deinit(&fields);
    t->began = loop_now(t->asker->loop);
    t->call = call_start(t->asker->pool, t->order->target->origin, &request, &events, t);
}

static void on_token(void *ctx, enum err e, const char *why);

/* Sends it, or waits for its access token first. */
static void begin(struct talk *t)
{
    const struct cloud *cloud = t->order->target->cloud;
    struct span token;
    t->access = SPAN_EMPTY;
    if (cloud && cloud->token) {
        t->token = (struct token_wait){.done = on_token, .ctx = t};
        if (access_token_get(cloud->token, &t->token, &token) != ERR_OK)
            return;
        t->access = arena_copy(&t->arena, token);
    }
    send(t);
}

static void on_token(void *ctx, enum err e, const char *text)
{
    struct talk *t = ctx;
    if (e == ERR_OK) {
        begin(t);
        return;
    }
    t->out->cause = e == ERR_PERMISSION ? CAUSE_KEY_BAD : CAUSE_UNREACHABLE;
    struct span sentence =
        text && text[0] ? span_from(text) : SPAN("its token endpoint could not be reached");
    failed(t, ASK_FAILED, arena_printf(&t->arena, "no access token: %.*s", SPAN_FMT(sentence)));
}

static bool find_path(struct talk *t)
{
    const struct ask_order *o = t->order;
    const struct cloud *cloud = o->target->cloud;
    t->path = o->path;
    if (!cloud)
        return true;
    bool converse = o->dialect->id == DIALECT_BEDROCK_CONVERSE;
    if (cloud_path(cloud, json_unescape(o->model, &t->arena), converse, o->stream, &t->arena,
                   &t->path) == ERR_OK)
        return true;
    why(t->out, ASK_UNFIT, SPAN("no model of that name can be asked there"));
    return false;
}

static void converse(struct talk *t)
{
    const struct ask_order *o = t->order;
    struct reader_options read = {.requested_whole = !o->stream};
    t->reader = o->dialect->reader_new(&t->arena, &read, (struct chat_sink){on_event, t});
    t->began = loop_now(t->asker->loop);
    loop_timer_in(t->asker->loop, &t->limit, o->patience, takes_too_long);
    t->open = true;
    begin(t);
    if (t->open)
        loop_run(t->asker->loop);
    if (t->open) /* a signal stopped the loop */
        failed(t, ASK_FAILED, SPAN("stopped"));
}

void ask(struct asker *asker, const struct ask_order *order, struct asked *out)
{
    struct talk t = {.asker = asker, .order = order, .out = out};
    *out = (struct asked){.first = -1, .last = -1, .usage = CHAT_USAGE_UNKNOWN};
    buf_init(&out->text, TEXT_MAX);
    if (asker->stopped) {
        why(out, ASK_FAILED, SPAN("stopped"));
        return;
    }
    arena_init(&t.arena, (size_t)32 << 20);
    buf_init(&t.body, BODY_MAX);
    buf_init(&t.input, TEXT_MAX);
    event_stream_init(&t.events, order->dialect->lines, EVENT_MAX);
    pieces_init(&t.written, &t.arena);
    if (write_body(&t, &t.written) && find_path(&t))
        converse(&t);
    event_stream_deinit(&t.events);
    if (t.frames)
        cloud_stream_deinit(t.frames);
    buf_deinit(&t.body);
    buf_deinit(&t.input);
    arena_deinit(&t.arena);
}

struct wait {
    struct timer timer;
    struct loop *loop;
};

static void wait_is_over(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct wait, timer)->loop);
}

void ask_wait(struct asker *asker, usec time)
{
    struct wait w = {.loop = asker->loop};
    if (asker->stopped)
        return;
    loop_timer_in(w.loop, &w.timer, time, wait_is_over);
    loop_run(w.loop);
    loop_timer_cancel(w.loop, &w.timer);
}
