/* One conversation: turn after turn, each with all that was said before, streamed, timed, and its
 * words checked. A turn ends whole only by message_stop; everything else is an interruption. */
#include "base/span.h"
#include "json/json.h"
#include "json/json_write.h"
#include "tools/demo_internal.h"

#define PAUSE_LEAST (50 * USEC_PER_MS)
#define PAUSE_SPREAD (200 * USEC_PER_MS)
#define EVENT_BYTES_MAX ((size_t)65536)

static void begin_turn(struct timer *t);

void talk_init(struct talk *t, struct demo *d)
{
    *t = (struct talk){.demo = d};
    arena_init(&t->arena, TALK_HISTORY_MAX);
    buf_init(&t->history, TALK_HISTORY_MAX);
    buf_init(&t->answer, EVENT_BYTES_MAX);
    sse_init(&t->sse, EVENT_BYTES_MAX, false);
}

void talk_deinit(struct talk *t)
{
    call_cancel(t->call);
    t->call = NULL;
    loop_timer_cancel(t->demo->loop, &t->next);
    loop_timer_cancel(t->demo->loop, &t->limit);
    sse_deinit(&t->sse);
    buf_deinit(&t->answer);
    buf_deinit(&t->history);
    arena_deinit(&t->arena);
}

void talk_start_in(struct talk *t, usec delay)
{
    loop_timer_in(t->demo->loop, &t->next, delay, begin_turn);
}

static void note(struct talk *t, const char *what, struct span detail)
{
    if (t->trouble[0] == '\0')
        (void)snprintf(t->trouble, sizeof t->trouble, "%s%.*s", what,
                       (int)(detail.len < 120 ? detail.len : 120),
                       detail.at != NULL ? detail.at : "");
}

/* ---- the end of a turn ---- */

static void add_message(struct talk *t, const char *role, struct span text)
{
    struct json_out w;
    json_out_buf(&w, &t->history);
    jw_object(&w);
    jw_key(&w, "role");
    jw_cstr(&w, role);
    jw_key(&w, "content");
    jw_str(&w, text);
    jw_object_end(&w);
    /* A full history would be cut inside a message; 1 MiB is some thousand turns. */
    if (w.failed || buf_add_char(&t->history, ',') != ERR_OK)
        buf_reset(&t->history);
}

static struct span question(struct talk *t)
{
    return arena_printf(&t->arena, "Turn %llu: count to " TALK_WORDS_TEXT " for me, please.",
                        (unsigned long long)t->turn);
}

static void turn_over(struct talk *t)
{
    struct demo *d = t->demo;
    t->call = NULL;
    loop_timer_cancel(d->loop, &t->limit);
    words_end(&t->words);
    if (!t->stopped)
        note(t, "the answer ended without message_stop", SPAN_EMPTY);
    struct turn_result result = {.phase = t->phase,
                                 .words = &t->words,
                                 .whole = t->stopped,
                                 .failed_over = t->failed_over,
                                 .cut = t->cut,
                                 .served_by = t->served_by,
                                 .trouble = t->trouble};
    score_turn(&d->score, &result);
    if (t->stopped && t->phase != PHASE_DIRECT) {
        add_message(t, "user", question(t));
        add_message(t, "assistant", buf_span(&t->answer));
    }
    t->served_by[0] = '\0';
    if (!d->winding_down)
        talk_start_in(t, PAUSE_LEAST + (usec)loop_random_below(d->loop, (uint64_t)PAUSE_SPREAD));
    demo_turn_over(d);
}

static void turn_takes_too_long(struct timer *timer)
{
    struct talk *t = CONTAINER_OF(timer, struct talk, limit);
    note(t, "an answer did not end in time", SPAN_EMPTY);
    call_cancel(t->call);
    turn_over(t);
}

void talk_hurry(struct talk *t, usec most)
{
    if (t->call != NULL)
        loop_timer_in(t->demo->loop, &t->limit, most, turn_takes_too_long);
}

/* ---- the answer ---- */

static void on_head(void *ctx, const struct http_head *head)
{
    struct talk *t = ctx;
    struct span by = http_field_get(head, "x-hotspare-served-by");
    struct span attempts = http_field_get(head, "x-hotspare-attempts");
    uint64_t n = 0;
    t->status = head->status;
    (void)snprintf(t->served_by, sizeof t->served_by, "%.*s",
                   (int)(by.len < sizeof t->served_by ? by.len : 0), by.at != NULL ? by.at : "");
    t->failed_over = span_u64(attempts, &n) == ERR_OK && n > 1;
}

static void on_text(struct talk *t, struct span text)
{
    struct demo *d = t->demo;
    if (!t->talked && text.len > 0) {
        t->talked = true;
        usec now = loop_now(d->loop);
        struct first_token first = {.phase = t->phase,
                                    .inside = t->phase == d->phase && d->order == NULL,
                                    .now = now,
                                    .took = now - t->started,
                                    .by = t->served_by};
        score_first_token(&d->score, &first);
        t->cut = first.inside && t->phase == PHASE_CUT && strcmp(t->served_by, "claude") == 0;
    }
    words_feed(&t->words, text);
    if (buf_add(&t->answer, text) != ERR_OK)
        note(t, "an answer does not end", SPAN_EMPTY);
}

static void on_event(struct talk *t, struct span data)
{
    struct json_doc doc;
    struct arena *a = &t->demo->scratch;
    arena_reset(a);
    if (json_parse(a, data, &json_limits_default, &doc, NULL) != ERR_OK) {
        note(t, "an event is not JSON: ", data);
        return;
    }
    struct json type = json_get(json_root(&doc), "type");
    if (json_str_is(type, "message_stop"))
        t->stopped = t->trouble[0] == '\0';
    else if (json_str_is(type, "error"))
        note(t, "an error event: ", data);
    else if (json_str_is(type, "content_block_delta"))
        on_text(t, json_str_decode(json_path(json_root(&doc), "delta.text"), a));
}

static void on_body(void *ctx, struct span bytes)
{
    struct talk *t = ctx;
    if (t->status != 200) {
        char head[48];
        (void)snprintf(head, sizeof head, "HTTP %d: ", t->status);
        note(t, head, bytes);
        return;
    }
    while (bytes.len > 0) {
        struct sse_event event;
        size_t used = 0;
        enum err e = sse_next(&t->sse, bytes, &used, &event);
        bytes = span_drop(bytes, used);
        if (e == ERR_OK)
            on_event(t, event.data);
        else if (e != ERR_AGAIN)
            note(t, "an event is too long", SPAN_EMPTY);
        if (e != ERR_OK)
            return;
    }
}

static void on_end(void *ctx)
{
    turn_over(ctx);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct talk *t = ctx;
    (void)e;
    (void)stage;
    note(t, "the connection failed: ", span_from(why));
    t->stopped = false;
    turn_over(t);
}

/* ---- the question ---- */

static void write_body(struct talk *t)
{
    struct pieces *p = &t->body;
    pieces_init(p, &t->arena);
    pieces_add(p, SPAN("{\"model\":\"claude-demo\",\"max_tokens\":1024,\"stream\":true,"
                       "\"system\":\"You count.\",\"messages\":["));
    pieces_add(p, buf_span(&t->history));
    pieces_add(p, SPAN("{\"role\":\"user\",\"content\":\""));
    pieces_add(p, question(t)); /* plain words of ours: nothing to escape */
    pieces_add(p, SPAN("\"}]}"));
}

static void begin_turn(struct timer *timer)
{
    static const struct call_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    struct talk *t = CONTAINER_OF(timer, struct talk, next);
    struct demo *d = t->demo;
    if (d->winding_down)
        return;
    arena_reset(&t->arena);
    buf_reset(&t->answer);
    sse_deinit(&t->sse);
    sse_init(&t->sse, EVENT_BYTES_MAX, false);
    words_begin(&t->words, TALK_WORDS);
    t->turn++;
    t->phase = d->phase;
    t->status = 0;
    t->talked = t->stopped = t->failed_over = t->cut = false;
    t->served_by[0] = t->trouble[0] = '\0';
    write_body(t);
    struct call_request request = {.method = SPAN("POST"),
                                   .target = SPAN("/v1/messages"),
                                   .fields = SPAN("content-type: application/json\r\n"
                                                  "anthropic-version: 2023-06-01\r\n"
                                                  "x-api-key: demo\r\n"),
                                   .body = &t->body};
    t->started = loop_now(d->loop);
    loop_timer_in(d->loop, &t->limit, TALK_TURN_TIME, turn_takes_too_long);
    t->call = call_start(d->pool, d->to, &request, &events, t);
}
