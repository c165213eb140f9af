/* A lead that dies anywhere in a recorded answer, and a spare that goes on with it.
 *
 * Every recorded stream is the lead's answer, cut behind each event (and for some at each byte) by
 * an end, a reset, a stall or an error event. The spare knows the whole answer; it computes what is
 * missing from the request it is sent, so that a wrong request is found out, and says it as models
 * do: exactly, or asked in words with its last words again, from the beginning again, or behind a
 * phrase. What the client gets must be one well-formed stream with the text and the tool calls of
 * the unbroken answer. */
#include "base/mem.h"
#include "base/span.h"
#include "json/json_write.h"
#include "net/sim.h"
#include "relay/exchange.h"
#include "support/answer.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum cut { CUT_END, CUT_RESET, CUT_STALL, CUT_ERROR, CUTS };
enum style { EXACT, REPEAT, RESTART, LEAD_IN, STYLES };
#define BYTEWISE_STREAMS 5 /* of each of the four tests */
#define BYTEWISE_MAX 3000  /* bytes of such a stream */
#define REPEAT_BYTES 30
#define WRONG_TOLD 12
#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 11
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRIDE 11
#endif
#endif
#ifndef STRIDE
#define STRIDE 1 /* every place; under the sanitizers every eleventh */
#endif

struct world {
    struct loop *loop;
    struct arena arena, turn; /* turn: of one exchange */
    struct pool *pool, *client_pool;
    struct server *gateway, *lead_server, *spare_server;
    struct budget budget;
    struct breaker breakers[2];
    struct relay relay;
    struct relay_target lead, spare;
    struct relay_route route;
    const struct dialect *lead_speaks, *door;
    struct span recorded;
    struct answer whole;
    size_t cut_at;
    enum cut cut;
    enum style style;
    bool spare_asked, spare_misled;
    unsigned every; /* of the places to cut at */
    struct pieces body;
    struct buf got;
    int status, ends;
    struct exchange_report report;
};

/* ---- the lead ---- */

static void lead_request(void *ctx, struct request *r)
{
    struct world *w = ctx;
    struct http_field type = {SPAN("content-type"), SPAN("text/event-stream")};
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
    if (w->style == LEAD_IN)
        return arena_printf(&w->turn, "Sure! Continuing from where I left off:\n\n%.*s",
                            SPAN_FMT(rest));
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
static struct span next_piece(struct span text)
{
    size_t n = text.len < 9 ? text.len : 9;
    while (n < text.len && ((unsigned char)text.at[n] & 0xC0) == 0x80)
        n++;
    return span_take(text, n);
}

#define EVENT(name, ...) put_event(to, name, arena_printf(&w->turn, __VA_ARGS__))

static void say_messages(struct world *w, struct span text, struct buf *to)
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
            piece = next_piece(text);
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
    EVENT("message_delta",
          "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},"
          "\"usage\":{\"output_tokens\":5}}",
          w->whole.tool_count ? "tool_use" : "end_turn");
    EVENT("message_stop", "{\"type\":\"message_stop\"}");
}

#define CHUNK(delta, ...)                                                                          \
    EVENT(                                                                                         \
        NULL,                                                                                      \
        "{\"id\":\"chatcmpl-spare\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":" \
        "\"spare\",\"choices\":[{\"index\":0,\"delta\":" delta,                                    \
        __VA_ARGS__)

static void say_chat(struct world *w, struct span text, struct buf *to)
{
    CHUNK("{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":%s}]}", "null");
    for (struct span piece; text.len > 0; text = span_drop(text, piece.len)) {
        piece = next_piece(text);
        CHUNK("{\"content\":%.*s},\"finish_reason\":null}]}", SPAN_FMT(quoted(w, piece)));
    }
    for (size_t i = 0; i < w->whole.tool_count; i++) {
        const struct answer_tool *t = &w->whole.tools[i];
        CHUNK("{\"tool_calls\":[{\"index\":%zu,\"id\":\"call_spare%zu\",\"type\":\"function\","
              "\"function\":{\"name\":%.*s,\"arguments\":%.*s}}]},\"finish_reason\":null}]}",
              i, i, SPAN_FMT(quoted(w, t->name)), SPAN_FMT(quoted(w, t->input)));
    }
    CHUNK("{},\"finish_reason\":\"%s\"}]}", w->whole.tool_count ? "tool_calls" : "stop");
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
    struct span text = text_to_say(w, text_given(w, request_body(r), &in_words), in_words);
    if (w->spare.dialect == &dialect_anthropic)
        say_messages(w, text, &out);
    else
        say_chat(w, text, &out);
    reply_start(r, 200, &type, 1, REPLY_CHUNKED);
    reply_body(r, buf_span(&out));
    reply_end(r);
    buf_deinit(&out);
}

static void upstream_gone(void *ctx, struct request *r)
{
    (void)ctx;
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
    ((struct world *)ctx)->report = *report;
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

static void build(struct world *w)
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

static void tear_down(struct world *w)
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

/* Who the spare is: goes on by itself, or is asked in words; either dialect. */
static void choose_spare(struct world *w, unsigned pick)
{
    static const struct {
        enum target_kind kind;
        const struct dialect *dialect;
        const char *model;
    } rows[] = {
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

static void ask(struct world *w, struct span request)
{
    static const struct call_events events = {on_head, on_body, on_end, on_error};
    w->ends = w->status = 0;
    w->spare_asked = w->spare_misled = false;
    buf_reset(&w->got);
    arena_reset(&w->turn);
    pieces_init(&w->body, &w->turn);
    pieces_add(&w->body, request);
    struct url url = {.host = SPAN("gateway"), .port = 80};
    struct call_request req = {.method = SPAN("POST"),
                               .target = SPAN("/"),
                               .fields = SPAN("content-type: application/json\r\n"),
                               .body = &w->body};
    (void)call_start(w->client_pool, pool_origin(w->client_pool, &url, NULL), &req, &events, w);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 200 * USEC_PER_SEC);
}

/* ---- judging ---- */

static bool same_tools(struct world *w, const struct answer *got)
{
    /* Behind a complete call the turn may end, with the calls behind it not asked for. */
    size_t n = got->tool_count;
    if (n > w->whole.tool_count || (n == 0) != (w->whole.tool_count == 0))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!span_eq(got->tools[i].name, w->whole.tools[i].name) ||
            !json_text_same(&w->turn, got->tools[i].input, w->whole.tools[i].input))
            return false;
    return true;
}

static const char *difference(struct world *w, struct span got)
{
    struct span want = w->whole.text;
    size_t at = 0;
    while (at < got.len && at < want.len && got.at[at] == want.at[at])
        at++;
    size_t from = at > 24 ? at - 24 : 0;
    return arena_cstr(&w->turn, arena_printf(&w->turn, "text at byte %zu: \"%.*s\", not \"%.*s\"",
                                             at, SPAN_FMT(span_take(span_drop(got, from), 60)),
                                             SPAN_FMT(span_take(span_drop(want, from), 60))));
}

/* A chat answer is whole behind its finish_reason, with or without its last mark and whatever comes
 * behind; where bytes pass through they go on as they came. */
static bool passed_as_it_was(const struct world *w)
{
    struct span given = span_take(w->recorded, w->cut_at);
    return w->door == &dialect_openai_chat && w->door == w->lead_speaks && !w->spare_asked &&
           (w->cut == CUT_END || w->cut == CUT_ERROR) &&
           span_search(given, SPAN("\"finish_reason\":\"")) >= 0 &&
           span_starts(buf_span(&w->got), given);
}

static void check_grammar(const struct dialect *d, struct span stream, enum grammar_end *out_end,
                          char why[GRAMMAR_WHY_MAX])
{
    if (d == &dialect_openai_responses)
        responses_grammar_check(stream, false, out_end, why);
    else
        (d == &dialect_anthropic ? messages_grammar_check : chat_grammar_check)(stream, out_end,
                                                                                why);
}

static bool read_stream(struct arena *a, const struct dialect *d, struct span stream,
                        struct answer *out)
{
    if (d == &dialect_openai_responses)
        return answer_of_responses(a, stream, true, out);
    return (d == &dialect_anthropic ? answer_of_messages : answer_of_chat)(a, stream, true, out);
}

/* The last event of a Responses stream says everything again. */
static bool says_it_again(struct world *w, const struct answer *got)
{
    struct span stream = buf_span(&w->got), last = SPAN_EMPTY;
    struct json_doc doc;
    struct answer again;
    static const struct span mark = SPAN_INIT("event: response.completed");
    ssize_t at = span_search(stream, mark);
    if (w->door != &dialect_openai_responses)
        return true;
    if (at < 0)
        return false;
    last = span_drop(stream, (size_t)at);
    last = span_drop(last, (size_t)span_search(last, SPAN("data: ")) + 6);
    if (json_parse(&w->turn, span_trim(last), NULL, &doc, NULL) != ERR_OK ||
        !answer_of_responses(&w->turn, json_raw(json_get(json_root(&doc), "response")), false,
                             &again))
        return false;
    bool same = span_eq(again.text, got->text) && again.tool_count == got->tool_count;
    for (size_t i = 0; same && i < again.tool_count; i++)
        same = span_eq(again.tools[i].input, got->tools[i].input) &&
               span_eq(again.tools[i].id, got->tools[i].id);
    return same;
}

/* NULL: as it should be. */
static const char *judge(struct world *w)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    struct answer got;
    if (w->ends != 1 || w->status != 200)
        return "no stream";
    if (w->spare_misled)
        return "the spare was asked to go on from a text that is not the answer's";
    check_grammar(w->door, buf_span(&w->got), &end, why);
    if (why[0])
        return arena_cstr(&w->turn, span_from(why));
    if (end != GRAMMAR_COMPLETE && passed_as_it_was(w))
        return NULL;
    if (end != GRAMMAR_COMPLETE)
        return end == GRAMMAR_ERROR ? "an error event" : "no end";
    if (!read_stream(&w->turn, w->door, buf_span(&w->got), &got))
        return "not an answer";
    if (!says_it_again(w, &got))
        return "the last event says something else";
    if (!span_eq(got.text, w->whole.text) &&
        !(got.tool_count > 0 && got.tool_count < w->whole.tool_count))
        return difference(w, got.text);
    return same_tools(w, &got) ? NULL : "tool calls differ";
}

/* ---- all of it ---- */

struct tally {
    size_t streams, bytewise, cases, spliced, left_out, wrong;
};

static bool breaks_grammar(const struct world *w)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    if (w->door != w->lead_speaks)
        return false;
    check_grammar(w->door, w->recorded, &end, why);
    return why[0] != 0;
}

/* Requests for which a cut answer may not go on: told so by an error event (splice.c). */
static const char *why_left_out(const struct world *w, struct span request)
{
    struct json_doc doc;
    struct arena a;
    const char *why = NULL;
    arena_init(&a, (size_t)64 << 20);
    if (json_parse(&a, request, NULL, &doc, NULL) != ERR_OK) {
        why = "the request is no JSON";
    } else {
        struct json root = json_root(&doc), list = json_get(root, "messages");
        struct json format = json_path(root, "text.format.type");
        if (json_present(json_get(root, "response_format")) ||
            (json_present(format) && !json_str_is(format, "text")) ||
            json_present(json_path(root, "output_config.format")))
            why = "structured output: ends in an honest error";
        else if (json_useful(json_get(root, "conversation")) ||
                 json_useful(json_get(root, "previous_response_id")))
            why = "it leans on what its provider keeps: ends in an honest error";
        else if (json_true(json_get(root, "logprobs")))
            why = "logprobs: ends in an honest error";
        else if (json_str_is(json_get(json_at(list, json_len(list) - 1), "role"), "assistant"))
            why = "the client's own prefill stands before the text";
        list = json_get(root, "input");
        if (json_str_is(json_get(json_at(list, json_len(list) - 1), "role"), "assistant"))
            why = "the client's own prefill stands before the text";
    }
    if (!why && breaks_grammar(w))
        why = "the recorded stream breaks the grammar, and bytes pass through as they are";
    if (!why && (w->whole.error || !w->whole.complete))
        why = "the recorded answer is not whole itself";
    if (!why && w->whole.refusal.len > 0)
        why = "a refusal: ends in an honest error";
    if (!why && w->whole.text.len + w->whole.tool_count == 0)
        why = "nothing is said in it";
    arena_deinit(&a);
    return why;
}

static void one(struct world *w, const struct corpus_item *item, struct span request,
                struct tally *t)
{
    ask(w, request);
    t->cases++;
    t->spliced += w->report.splices.count > 0;
    const char *wrong = judge(w);
    if (!wrong)
        return;
    if (t->wrong++ < WRONG_TOLD)
        (void)fprintf(stderr,
                      "# wrong: "
                      "%s, door %s, cut at byte %zu of %zu (kind %d), spare %.*s, style %d: %s\n",
                      item->id, w->door->name, w->cut_at, w->recorded.len, (int)w->cut,
                      SPAN_FMT(w->route.links[1].model), (int)w->style, wrong);
}

static bool is_boundary(struct span s, size_t at)
{
    return at >= 2 && s.at[at - 1] == '\n' && s.at[at - 2] == '\n';
}

static void cut_everywhere(struct world *w, const struct corpus_item *item, struct span request,
                           bool bytewise, struct tally *t)
{
    unsigned turn = (unsigned)t->streams, place = 0;
    for (size_t at = 1; at < w->recorded.len; at++) {
        bool boundary = is_boundary(w->recorded, at);
        if ((!boundary && !bytewise) || ++place % (STRIDE * w->every) != 0)
            continue;
        for (int cut = 0; cut < (boundary ? CUTS : 1); cut++, turn++) {
            w->cut_at = at;
            w->cut = boundary ? (enum cut)cut : (enum cut)(turn % 3);
            w->style = (enum style)(turn / 4 % STYLES);
            choose_spare(w, turn);
            one(w, item, request, t);
        }
    }
}

static struct span request_of(struct world *w, const struct corpus_item *item)
{
    if (w->lead_speaks == &dialect_openai_responses && item->request.len == 0)
        return w->door == w->lead_speaks
                   ? SPAN("{\"model\":\"m\",\"input\":\"x\",\"stream\":true}")
                   : SPAN("{\"model\":\"m\",\"max_tokens\":99,\"messages\":[{\"role\":\"user\","
                          "\"content\":\"x\"}],\"stream\":true}");
    struct span own = item->request.len
                          ? item->request
                          : SPAN("{\"model\":\"m\",\"max_tokens\":99,\"messages\":[{\"role\":"
                                 "\"user\",\"content\":\"x\"}],\"stream\":true}");
    if (w->door == w->lead_speaks)
        return own;
    struct capability cap = capability_preset(TARGET_STANDIN, SPAN("m"));
    struct request_words words = translate_request(&w->arena, w->lead_speaks, w->door, &cap, own);
    return words.read == ERR_OK && words.write == ERR_OK ? words.body : SPAN_EMPTY;
}

/* Answers whose text repeats itself, so that the seam takes what is new for a repetition (seam.c),
 * and, in the first, a cut between two parts of one reasoning summary. */
static bool is_known_gap(const char *id)
{
    return strstr(id, "test-openai-responses-thinking-part-iter--0") != NULL ||
           strstr(id, "openai-compaction.1-stream--0") != NULL;
}

static void cut_all(const char *protocol, const struct dialect *lead, const struct dialect *door,
                    unsigned every)
{
    if (!corpus_there()) {
        (void)fprintf(stderr, "# skipped: HOTSPARE_CORPUS is not set\n");
        skip();
    }
    struct tally t = {0};
    struct world *w = mem_new(struct world);
    build(w);
    w->lead_speaks = lead;
    w->door = door;
    w->every = every;
    struct corpus corpus = corpus_open(&w->arena, protocol);
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (!item->response.len || !item->streamed || item->status != 200)
            continue;
        w->recorded = item->response;
        bool read = read_stream(&w->arena, lead, w->recorded, &w->whole);
        struct span request = read ? request_of(w, item) : SPAN_EMPTY;
        const char *why = is_known_gap(item->id) ? "known gap: see is_known_gap"
                          : !read                ? "no answer"
                          : !request.len         ? "the request cannot be said at this door"
                                                 : why_left_out(w, request);
        if (why) {
            (void)fprintf(stderr, "# left out: %s: %s\n", item->id, why);
            t.left_out++;
            continue;
        }
        bool bytewise = t.bytewise < BYTEWISE_STREAMS && w->recorded.len <= BYTEWISE_MAX;
        cut_everywhere(w, item, request, bytewise, &t);
        t.bytewise += bytewise;
        t.streams++;
    }
    (void)fprintf(
        stderr,
        "# %s at the %s door: %zu streams (%zu at each byte), %zu cuts, %zu gone on with, %zu "
        "streams left out\n",
        protocol, door->name, t.streams, t.bytewise, t.cases, t.spliced, t.left_out);
    if (t.wrong)
        fail_msg("%zu of %zu went wrong", t.wrong, t.cases);
    assert_true(t.streams > 5 && t.spliced > 100 / (STRIDE * every));
    tear_down(w);
    mem_free(w);
}

static void a_messages_lead_cut_anywhere_at_its_own_door(void **state)
{
    (void)state;
    cut_all("anthropic-messages", &dialect_anthropic, &dialect_anthropic, 1);
}

static void a_messages_lead_cut_anywhere_at_the_chat_door(void **state)
{
    (void)state;
    cut_all("anthropic-messages", &dialect_anthropic, &dialect_openai_chat, 1);
}

static void a_chat_lead_cut_anywhere_at_its_own_door(void **state)
{
    (void)state;
    cut_all("openai-chat", &dialect_openai_chat, &dialect_openai_chat, 1);
}

static void a_chat_lead_cut_anywhere_at_the_messages_door(void **state)
{
    (void)state;
    cut_all("openai-chat", &dialect_openai_chat, &dialect_anthropic, 1);
}

/* Every seventh place: the three together take as long as one of the others. */
static void a_messages_lead_cut_at_the_responses_door(void **state)
{
    (void)state;
    cut_all("anthropic-messages", &dialect_anthropic, &dialect_openai_responses, 7);
}

static void a_responses_lead_cut_at_its_own_door(void **state)
{
    (void)state;
    cut_all("openai-responses", &dialect_openai_responses, &dialect_openai_responses, 7);
}

static void a_responses_lead_cut_at_the_messages_door(void **state)
{
    (void)state;
    cut_all("openai-responses", &dialect_openai_responses, &dialect_anthropic, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_messages_lead_cut_anywhere_at_its_own_door),
        cmocka_unit_test(a_messages_lead_cut_anywhere_at_the_chat_door),
        cmocka_unit_test(a_chat_lead_cut_anywhere_at_its_own_door),
        cmocka_unit_test(a_chat_lead_cut_anywhere_at_the_messages_door),
        cmocka_unit_test(a_messages_lead_cut_at_the_responses_door),
        cmocka_unit_test(a_responses_lead_cut_at_its_own_door),
        cmocka_unit_test(a_responses_lead_cut_at_the_messages_door),
    };
    return cmocka_run_group_tests_name("splice", tests, NULL, NULL);
}
