/* The peers of tests/sim/splice_kit.h: what they say, in both dialects. */
#include "splice_kit.h"

#include "json/json_write.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define REPEAT_BYTES 30

/* ---- the lead ---- */

/* The stream behind its event number `after`. */
static struct span heard_from(struct span stream, int64_t after)
{
    for (int64_t i = 0; i <= after; i++) {
        ssize_t end = span_search(stream, SPAN("\n\n"));
        stream = end < 0 ? SPAN_EMPTY : span_drop(stream, (size_t)end + 2);
    }
    return stream;
}

static void lead_tells_again(struct world *w, struct request *r)
{
    struct http_field type = {SPAN("content-type"), SPAN("text/event-stream")};
    struct span target = request_head(r)->target;
    ssize_t at = span_search(target, SPAN("starting_after="));
    int64_t after = -1;
    assert_true(at > 0);
    struct span rest_of_it = span_drop(target, (size_t)at + 15), number;
    assert_true(span_next(&rest_of_it, '&', &number));
    assert_int_equal(span_i64(number, &after), ERR_OK);
    w->asked_again++;
    w->again_target = arena_copy(&w->turn, target);
    if (w->again == AGAIN_REFUSED) {
        type.value = SPAN("application/json");
        reply_start(r, 404, &type, 1, REPLY_CHUNKED);
        reply_body(r, SPAN("{\"error\":{\"message\":\"Response not found.\",\"type\":"
                           "\"invalid_request_error\",\"param\":null,\"code\":null}}"));
        reply_end(r);
        return;
    }
    struct span rest = heard_from(w->recorded, w->again == AGAIN_ELSEWHERE ? after + 1 : after);
    reply_start(r, 200, &type, 1, REPLY_CHUNKED);
    if (w->again != AGAIN_SILENT)
        reply_body(r, w->again == AGAIN_CUT ? span_take(rest, rest.len / 2) : rest);
    if (w->again == AGAIN_SILENT)
        reply_flush(r);
    else
        reply_end(r);
}

static void lead_request(void *ctx, struct request *r)
{
    struct world *w = ctx;
    struct http_field type = {SPAN("content-type"), SPAN("text/event-stream")};
    if (span_is(request_head(r)->method, "GET")) {
        lead_tells_again(w, r);
        return;
    }
    reply_start(r, 200, &type, 1, REPLY_CHUNKED);
    reply_body(r, span_take(w->recorded, w->cut_at));
    switch (w->cut) {
    case CUT_END:
        reply_end(r);
        return;
    case CUT_RESET:
        reply_flush(r);
        reply_cut(r);
        return;
    case CUT_STALL:
        reply_flush(r);
        return;
    default:
        reply_body(r, w->lead_speaks != &dialect_openai_chat
                          ? SPAN("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                                 "\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n")
                          : SPAN("data: {\"error\":{\"message\":\"overloaded\",\"type\":"
                                 "\"server_error\",\"param\":null,\"code\":null}}\n\n"));
        reply_end(r);
    }
}

/* ---- the spare ---- */

static struct span text_of(struct arena *a, struct json content)
{
    if (json_is(content, JSON_STRING))
        return json_unescape(json_str(content), a);
    struct span all = SPAN_EMPTY;
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
        struct span part = json_unescape(json_str(json_get(b, "text")), a);
        all = arena_printf(a, "%.*s%.*s", SPAN_FMT(all), SPAN_FMT(part));
    }
    return all;
}

/* What the request says was given already. */
static struct span text_given(struct world *w, struct span body, bool *in_words)
{
    struct json_doc doc;
    assert_int_equal(json_parse(&w->turn, body, NULL, &doc, NULL), ERR_OK);
    struct json list = json_get(json_root(&doc), "messages");
    if (json_i64(json_get(json_root(&doc), "max_tokens"), &w->spare_max) != ERR_OK)
        w->spare_max = -1;
    w->spare_tells = json_true(json_path(json_root(&doc), "stream_options.include_usage"));
    uint32_t count = json_len(list);
    struct json last = json_at(list, count - 1);
    *in_words = json_str_is(json_get(last, "role"), "user") &&
                span_is(text_of(&w->turn, json_get(last, "content")), DIALECT_GO_ON);
    if (*in_words)
        last = json_at(list, count - 2);
    return json_str_is(json_get(last, "role"), "assistant")
               ? text_of(&w->turn, json_get(last, "content"))
               : SPAN_EMPTY;
}

/* What stands there a little earlier, too, cannot be told from a pattern that goes on (seam.c). */
static bool is_pattern(struct span given, size_t back)
{
    struct span end = span_drop(given, back);
    for (size_t period = 1; period <= end.len / 2; period++)
        if (span_starts(end, span_drop(end, period)))
            return true;
    for (size_t shift = 1; shift <= end.len + 1 && shift <= back; shift++)
        if (span_starts(span_drop(given, back - shift), end))
            return true;
    return false;
}

/* The text the spare says: what is missing, in its style. */
static struct span text_to_say(struct world *w, struct span given, bool in_words)
{
    struct span text = w->whole.text;
    if (!span_starts(text, given)) {
        w->spare_misled = true;
        return SPAN_EMPTY;
    }
    struct span rest = span_drop(text, given.len);
    if (!in_words || given.len == 0 || w->style == EXACT)
        return rest;
    if (w->style == RESTART)
        return text;
    static const struct span lead_in = SPAN_INIT("Sure! Continuing from where I left off:\n\n");
    if (w->style == LEAD_IN) /* behind "Sure!" it would be that answer told again (seam.c) */
        return span_starts(lead_in, given)
                   ? rest
                   : arena_printf(&w->turn, "%.*s%.*s", SPAN_FMT(lead_in), SPAN_FMT(rest));
    size_t back = given.len < REPEAT_BYTES ? 0 : given.len - REPEAT_BYTES;
    while (back > 0 && text.at[back - 1] != ' ' && text.at[back - 1] != '\n')
        back--;
    return is_pattern(given, back) ? rest : span_drop(text, back);
}

static void put_event(struct buf *to, const char *name, struct span data)
{
    if (name)
        assert_int_equal(buf_printf(to, "event: %s\n", name), ERR_OK);
    assert_int_equal(buf_printf(to, "data: %.*s\n\n", SPAN_FMT(data)), ERR_OK);
}

static struct span quoted(struct world *w, struct span text)
{
    struct buf b;
    struct json_out out;
    buf_init(&b, (size_t)64 << 20);
    json_out_buf(&out, &b);
    jw_str(&out, text);
    struct span kept = arena_copy(&w->turn, buf_span(&b));
    buf_deinit(&b);
    return kept;
}

/* A piece of a text, never ending inside a character. */
static struct span next_piece(const struct world *w, struct span text)
{
    size_t n = w->piece ? w->piece : 9;
    n = text.len < n ? text.len : n;
    while (n < text.len && ((unsigned char)text.at[n] & 0xC0) == 0x80)
        n++;
    return span_take(text, n);
}

#define EVENT(name, ...) put_event(to, name, arena_printf(&w->turn, __VA_ARGS__))

static void say_messages(struct world *w, struct span text, bool stopped, struct buf *to)
{
    size_t index = 0;
    EVENT("message_start",
          "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_spare\",\"type\":"
          "\"message\",\"role\":\"assistant\",\"model\":\"spare\",\"content\":[],"
          "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":"
          "7,\"output_tokens\":1}}}");
    if (text.len > 0) {
        EVENT("content_block_start", "{\"type\":\"content_block_start\",\"index\":0,"
                                     "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
        for (struct span piece; text.len > 0; text = span_drop(text, piece.len)) {
            piece = next_piece(w, text);
            EVENT(
                "content_block_delta",
                "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
                "\"text\":%.*s}}",
                SPAN_FMT(quoted(w, piece)));
        }
        EVENT("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":0}");
        index++;
    }
    for (size_t i = 0; i < w->whole.tool_count; i++, index++) {
        const struct answer_tool *t = &w->whole.tools[i];
        EVENT("content_block_start",
              "{\"type\":\"content_block_start\",\"index\":%zu,\"content_block\":{\"type\":"
              "\"tool_use\",\"id\":\"toolu_spare%zu\",\"name\":%.*s,\"input\":{}}}",
              index, i, SPAN_FMT(quoted(w, t->name)));
        EVENT("content_block_delta",
              "{\"type\":\"content_block_delta\",\"index\":%zu,\"delta\":{\"type\":"
              "\"input_json_delta\",\"partial_json\":%.*s}}",
              index, SPAN_FMT(quoted(w, t->input)));
        EVENT("content_block_stop", "{\"type\":\"content_block_stop\",\"index\":%zu}", index);
    }
    struct span sequence = stopped ? quoted(w, w->stop) : SPAN("null");
    EVENT("message_delta",
          "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":%.*s},"
          "\"usage\":{\"output_tokens\":5}}",
          stopped               ? "stop_sequence"
          : w->whole.tool_count ? "tool_use"
                                : "end_turn",
          SPAN_FMT(sequence));
    EVENT("message_stop", "{\"type\":\"message_stop\"}");
}

#define CHUNK_HEAD                                                                                 \
    "{\"id\":\"chatcmpl-spare\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":"     \
    "\"spare\",\"choices\":["

/* A chunk with one choice; asked for usage, chunks have the key all the way. */
#define CHUNK(delta, ...)                                                                          \
    put_event(                                                                                     \
        to, NULL,                                                                                  \
        arena_printf(&w->turn, "%.*s%s",                                                           \
                     SPAN_FMT(arena_printf(&w->turn, CHUNK_HEAD "{\"index\":0,\"delta\":" delta,   \
                                           __VA_ARGS__)),                                          \
                     w->spare_tells ? ",\"usage\":null}" : "}"))

static void say_chat(struct world *w, struct span text, struct buf *to)
{
    CHUNK("{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":%s}]", "null");
    for (struct span piece; text.len > 0; text = span_drop(text, piece.len)) {
        piece = next_piece(w, text);
        CHUNK("{\"content\":%.*s},\"finish_reason\":null}]", SPAN_FMT(quoted(w, piece)));
    }
    for (size_t i = 0; i < w->whole.tool_count; i++) {
        const struct answer_tool *t = &w->whole.tools[i];
        CHUNK("{\"tool_calls\":[{\"index\":%zu,\"id\":\"call_spare%zu\",\"type\":\"function\","
              "\"function\":{\"name\":%.*s,\"arguments\":%.*s}}]},\"finish_reason\":null}]",
              i, i, SPAN_FMT(quoted(w, t->name)), SPAN_FMT(quoted(w, t->input)));
    }
    CHUNK("{},\"finish_reason\":\"%s\"}]", w->whole.tool_count ? "tool_calls" : "stop");
    if (w->spare_tells)
        put_event(to, NULL,
                  SPAN(CHUNK_HEAD "],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,"
                                  "\"total_tokens\":12}}"));
    put_event(to, NULL, SPAN("[DONE]"));
}

static void spare_request(void *ctx, struct request *r)
{
    struct world *w = ctx;
    struct http_field type = {SPAN("content-type"), SPAN("text/event-stream")};
    struct buf out;
    bool in_words = false;
    buf_init(&out, (size_t)64 << 20);
    w->spare_asked = true;
    w->spare_betas = arena_copy(&w->turn, http_field_get(request_head(r), "anthropic-beta"));
    struct span given = text_given(w, request_body(r), &in_words);
    struct span text = text_to_say(w, given, in_words);
    bool stops = w->stop.len > 0 && w->spare.dialect == &dialect_anthropic;
    ssize_t stop = stops ? span_search(text, w->stop) : -1;
    text = stop < 0 ? text : span_take(text, (size_t)stop);
    if (w->spare.dialect == &dialect_anthropic)
        say_messages(w, text, stop >= 0, &out);
    else
        say_chat(w, text, &out);
    reply_start(r, 200, &type, 1, REPLY_CHUNKED);
    reply_body(r, buf_span(&out));
    if (w->spare_stays)
        reply_flush(r);
    else
        reply_end(r);
    buf_deinit(&out);
}

static void upstream_gone(void *ctx, struct request *r)
{
    ((struct world *)ctx)->spare_gone = true;
    reply_abort(r);
}

/* ---- the gateway ---- */

static void gateway_request(void *ctx, struct request *r)
{
    struct world *w = ctx;
    exchange_start(&w->relay, r, w->door, NULL);
}

static void gateway_gone(void *ctx, struct request *r)
{
    (void)ctx;
    exchange_client_gone(r);
}

static void gateway_drained(void *ctx, struct request *r)
{
    (void)ctx;
    exchange_client_drained(r);
}

static const struct relay_route *route_for(void *ctx, struct request *r, struct span model)
{
    (void)r, (void)model;
    return &((struct world *)ctx)->route;
}

static void on_done(void *ctx, const struct exchange_report *report)
{
    struct world *w = ctx;
    w->report = *report;
    memcpy(w->attempts, report->attempts, report->attempt_count * sizeof *w->attempts);
    w->report.attempts = w->attempts;
}

/* ---- the client ---- */

static void on_head(void *ctx, const struct http_head *head)
{
    ((struct world *)ctx)->status = head->status;
}

static void on_body(void *ctx, struct span bytes)
{
    assert_int_equal(buf_add(&((struct world *)ctx)->got, bytes), ERR_OK);
}

static void on_end(void *ctx)
{
    struct world *w = ctx;
    w->ends++;
    loop_stop(w->loop);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    (void)e, (void)stage, (void)why;
    on_end(ctx);
}

/* ---- the world ---- */

static struct server *serve(struct world *w, struct span host, const struct server_handler *h)
{
    const char *why;
    struct server *s = server_new(w->loop, &server_limits_default, h);
    assert_int_equal(server_listen(s, host, 80, NULL, &why), ERR_OK);
    return s;
}

void build(struct world *w)
{
    *w = (struct world){.loop = sim_loop_new(11)};
    arena_init(&w->arena, (size_t)256 << 20);
    arena_init(&w->turn, (size_t)256 << 20);
    buf_init(&w->got, (size_t)64 << 20);
    w->pool = pool_new(w->loop, &pool_limits_default);
    w->client_pool = pool_new(w->loop, &pool_limits_default);
    for (int i = 0; i < 2; i++) {
        breaker_init(&w->breakers[i], &breaker_config_default);
        w->breakers[i].config.failures = w->breakers[i].config.ratio_min = UINT32_MAX;
    }
    budget_init(&w->budget, 20, 3);
    struct url lead = {.host = SPAN("lead"), .port = 80},
               spare = {.host = SPAN("spare"), .port = 80};
    w->lead = (struct relay_target){
        .name = "lead", .kind = TARGET_STANDIN, .origin = pool_origin(w->pool, &lead, NULL)};
    w->spare = (struct relay_target){.name = "spare", .origin = pool_origin(w->pool, &spare, NULL)};
    w->relay = (struct relay){.loop = w->loop,
                              .pool = w->pool,
                              .budget = &w->budget,
                              .route_for = route_for,
                              .on_done = on_done,
                              .ctx = w,
                              .deadlines = {.connect = USEC_PER_SEC,
                                            .first_token = 20 * USEC_PER_SEC,
                                            .stall = 15 * USEC_PER_SEC,
                                            .total = 60 * USEC_PER_SEC,
                                            .ping = 10 * USEC_PER_SEC}};
    relay_init(&w->relay);
    struct server_handler l = {.on_request = lead_request, .on_gone = upstream_gone, .ctx = w};
    struct server_handler s = {.on_request = spare_request, .on_gone = upstream_gone, .ctx = w};
    struct server_handler g = {.on_request = gateway_request,
                               .on_gone = gateway_gone,
                               .on_drained = gateway_drained,
                               .ctx = w};
    w->lead_server = serve(w, SPAN("lead"), &l);
    w->spare_server = serve(w, SPAN("spare"), &s);
    w->gateway = serve(w, SPAN("gateway"), &g);
}

void tear_down(struct world *w)
{
    server_free(w->gateway);
    server_free(w->lead_server);
    server_free(w->spare_server);
    relay_deinit(&w->relay);
    pool_free(w->pool);
    pool_free(w->client_pool);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 1);
    struct sim_census left = sim_census(w->loop);
    assert_int_equal(left.streams, 0);
    assert_int_equal(left.timers, 0);
    buf_deinit(&w->got);
    arena_deinit(&w->turn);
    arena_deinit(&w->arena);
    loop_free(w->loop);
}

void choose_spare(struct world *w, unsigned pick)
{
    static const struct {
        enum target_kind kind;
        const struct dialect *dialect;
        const char *model;
    } rows[SPARES] = {
        {TARGET_STANDIN, &dialect_openai_chat, "native-chat"},
        {TARGET_OPENAI_COMPATIBLE, &dialect_openai_chat, "asked-in-words"},
        {TARGET_STANDIN, &dialect_anthropic, "native-messages"},
        {TARGET_ANTHROPIC, &dialect_anthropic, "claude-opus-4-6"},
    };
    unsigned row = pick % ARRAY_LEN(rows);
    w->spare.kind = rows[row].kind;
    w->spare.dialect = rows[row].dialect;
    w->spare.path = span_from(rows[row].dialect->path);
    w->lead.dialect = w->lead_speaks;
    w->lead.path = span_from(w->lead_speaks->path);
    w->route = (struct relay_route){
        .links = {{.target = &w->lead}, {.target = &w->spare, .model = span_from(rows[row].model)}},
        .breakers = {&w->breakers[0], &w->breakers[1]},
        .count = 2};
}

void ask(struct world *w, struct span request)
{
    static const struct call_events events = {on_head, on_body, on_end, on_error};
    w->ends = w->status = 0;
    w->spare_asked = w->spare_misled = w->spare_gone = false;
    w->asked_again = 0;
    buf_reset(&w->got);
    arena_reset(&w->turn);
    pieces_init(&w->body, &w->turn);
    pieces_add(&w->body, request);
    struct url url = {.host = SPAN("gateway"), .port = 80};
    struct call_request req = {
        .method = SPAN("POST"),
        .target = SPAN("/"),
        .fields =
            arena_printf(&w->turn, "content-type: application/json\r\n%.*s", SPAN_FMT(w->fields)),
        .body = &w->body};
    (void)call_start(w->client_pool, pool_origin(w->client_pool, &url, NULL), &req, &events, w);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 200 * USEC_PER_SEC);
}
