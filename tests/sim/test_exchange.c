/* Whole exchanges in the simulator: clients, a gateway with a chain of three, and upstreams that
 * fail in every way, all on one loop with virtual time and a seed.
 *
 * What must hold for each request, whatever happens: it ends exactly once, in a complete answer
 * (the words it asked for, in order, made for this very request) or in an honest error in the
 * caller's dialect; nothing leaks; no key goes to another origin. In some worlds a drill commits
 * faults of its own beside the real ones. A failing seed is printed;
 * HOTSPARE_SIM_SEED=n runs it alone, with HOTSPARE_SIM_RUNS=m as the first of m. */
#include "base/mem.h"
#include "base/span.h"
#include "net/sim.h"
#include "relay/exchange.h"

#include <setjmp.h>
#include <signal.h>
#include <unistd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define REQUESTS_MAX 8
#define UPSTREAMS 3
#define WORDS_MAX 20

enum behaviour {
    DO_ANSWER,
    DO_STATUS,
    DO_ERROR_FIRST,
    DO_ERROR_AFTER_START,
    DO_ERROR_MID,
    DO_CUT_EARLY,
    DO_CUT_MID,
    DO_SILENT,
    DO_HEADERS_ONLY,
    DO_PINGS_ONLY,
    DO_HTML,
    DO_GARBAGE,
    DO_STALL_MID,
    BEHAVIOURS
};

static const struct status_row {
    int status;
    const char *type, *message;
} statuses[] = {
    {529, "overloaded_error", "Overloaded"},
    {500, "api_error", "Internal server error"},
    {503, "api_error", "Service unavailable"},
    {429, "rate_limit_error", "Rate limited"},
    {401, "authentication_error", "invalid x-api-key"},
    {400, "invalid_request_error", "This organization has been disabled."},
    {400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."},
    {402, "billing_error", "Payment required"},
    {403, "permission_error", "Your account does not have access."},
    {404, "not_found_error", "model: claude-x"},
};

struct world;

struct upstream {
    struct world *world;
    const char *host, *key;
    bool anthropic;
    struct server *server;
    uint32_t fault_permille;
};

/* One answer an upstream is giving, word by word. */
struct giving {
    struct upstream *up;
    struct request *request;
    struct timer timer;
    enum behaviour how;
    bool stream;
    int id, words, next, fail_at;
};

struct asking {
    struct world *world;
    struct pieces body;
    struct call *call;
    struct buf got;
    int id, words, status, ends;
    bool chat, stream, cut, json_head;
};

/* Half of the Messages requests bring thinking that no Claude of this world takes back. */
#define FOREIGN_THINKING                                                                           \
    "{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":[{\"type\":"       \
    "\"thinking\",\"thinking\":\"hm\",\"signature\":\"foreign\"},{\"type\":\"text\",\"text\":"     \
    "\"ho\"}]},"

struct world {
    struct loop *loop;
    struct arena arena;
    uint64_t rng;
    struct upstream ups[UPSTREAMS];
    struct server *gateway;
    struct pool *client_pool, *pool;
    struct relay relay;
    struct budget budget;
    struct refused refused;
    struct hedge hedge;
    struct ttft ttfts[UPSTREAMS];
    struct breaker breakers[UPSTREAMS];
    struct fault_board board;
    struct relay_target targets[UPSTREAMS];
    struct relay_route route;
    struct asking asks[REQUESTS_MAX];
    int ask_count, ended, reports;
    int answers, errors, continued;
    uint64_t met, counted; /* by a drill's fault: told by the board, and by reports */
    bool key_astray;
};

/* ---- a small generator of its own, so that the world's choices do not shift with the simulator's
 * ---- */

static uint32_t below(struct world *w, uint32_t n)
{
    w->rng ^= w->rng << 13, w->rng ^= w->rng >> 7, w->rng ^= w->rng << 17;
    return (uint32_t)((w->rng >> 11) % n);
}

static struct span word(struct giving *g, int i, char out[64])
{
    int len = snprintf(out, 64, "%sw%d.%d", i > 1 ? " " : "", i, g->id);
    return (struct span){out, (size_t)len};
}

/* ---- upstreams ---- */

static void say(struct giving *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct giving *g, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(len > 0 && len < (int)sizeof text);
    reply_body(g->request, (struct span){text, (size_t)len});
}

static void start_stream(struct giving *g)
{
    struct http_field type = {SPAN("content-type"), SPAN("text/event-stream")};
    reply_start(g->request, 200, &type, 1, REPLY_CHUNKED);
    reply_flush(g->request);
}

static void say_start(struct giving *g)
{
    if (g->up->anthropic)
        say(g,
            "event: message_start\ndata: "
            "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_%d\",\"type\":\"message\","
            "\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"stop_"
            "sequence\":null,"
            "\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n"
            "event: content_block_start\ndata: "
            "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
            "{\"type\":\"text\",\"text\":\"\"}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n",
            g->id);
    else
        say(g,
            "data: "
            "{\"id\":\"chatcmpl-%d\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
            "\"m\",\"choices\":"
            "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":"
            "null}]}\n\n",
            g->id);
}

static void say_word(struct giving *g, int i)
{
    char text[64];
    struct span t = word(g, i, text);
    if (g->up->anthropic)
        say(g,
            "event: content_block_delta\ndata: "
            "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
            "\"text_delta\",\"text\":\"%.*s\"}}\n\n",
            SPAN_FMT(t));
    else
        say(g,
            "data: "
            "{\"id\":\"chatcmpl-%d\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
            "\"m\",\"choices\":"
            "[{\"index\":0,\"delta\":{\"content\":\"%.*s\"},\"finish_reason\":null}]}\n\n",
            g->id, SPAN_FMT(t));
}

static void say_end(struct giving *g)
{
    if (g->up->anthropic)
        say(g,
            "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
            "event: message_delta\ndata: "
            "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
            "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%d}}\n\n"
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
            g->words);
    else
        say(g,
            "data: "
            "{\"id\":\"chatcmpl-%d\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
            "\"m\",\"choices\":"
            "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
            g->id);
}

static void say_error(struct giving *g)
{
    if (g->up->anthropic)
        say(g, "event: error\ndata: "
               "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
               "\"Overloaded\"}}\n\n");
    else
        say(g, "data: "
               "{\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"param\":null,"
               "\"code\":null}}\n\n");
}

static void reply_status(struct giving *g)
{
    const struct status_row *row = &statuses[below(g->up->world, ARRAY_LEN(statuses))];
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    char body[400];
    int len = snprintf(
        body, sizeof body,
        g->up->anthropic
            ? "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"%s\"}}"
            : "{\"error\":{\"type\":\"%s\",\"message\":\"%s\",\"param\":null,\"code\":null}}",
        row->type, row->message);
    reply_whole(g->request, row->status, &type, 1, (struct span){body, (size_t)len});
}

static void reply_whole_answer(struct giving *g)
{
    char text[WORDS_MAX * 24] = "", one[64], body[WORDS_MAX * 24 + 400];
    size_t at = 0;
    for (int i = 1; i <= g->words; i++) {
        struct span t = word(g, i, one);
        memcpy(text + at, t.at, t.len + 1);
        at += t.len;
    }
    int len = snprintf(body, sizeof body,
                       g->up->anthropic
                           ? "{\"id\":\"msg_%d\",\"type\":\"message\",\"role\":\"assistant\","
                             "\"model\":\"m\",\"content\":[{\"type\":"
                             "\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"stop_"
                             "sequence\":null,\"usage\":"
                             "{\"input_tokens\":5,\"output_tokens\":9}}"
                           : "{\"id\":\"chatcmpl-%d\",\"object\":\"chat.completion\",\"created\":1,"
                             "\"model\":\"m\",\"choices\":[{\"index\":0,"
                             "\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_"
                             "reason\":\"stop\"}],\"usage\":"
                             "{\"prompt_tokens\":5,\"completion_tokens\":9,\"total_tokens\":14}}",
                       g->id, text);
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    if (g->how == DO_CUT_MID || g->how == DO_CUT_EARLY) { /* a whole answer, cut inside its body */
        reply_start(g->request, 200, &type, 1, len);
        reply_body(g->request, (struct span){body, (size_t)len / 2});
        reply_abort(g->request);
    } else if (g->how == DO_GARBAGE) {
        reply_whole(g->request, 200, &type, 1, SPAN("{\"id\":"));
    } else {
        reply_whole(g->request, 200, &type, 1, (struct span){body, (size_t)len});
    }
}

static void stop_giving(struct giving *g)
{
    loop_timer_cancel(g->up->world->loop, &g->timer);
    request_set_data(g->request, NULL);
    mem_free(g);
}

static void give_next(struct timer *t);

static void give_again(struct giving *g)
{
    loop_timer_in(g->up->world->loop, &g->timer, (usec)below(g->up->world, 60) * USEC_PER_MS,
                  give_next);
}

static void end_giving(struct giving *g, bool abort)
{
    struct request *r = g->request;
    stop_giving(g);
    if (abort)
        reply_abort(r);
    else
        reply_end(r);
}

/* True when the fault happened here and nothing more is to be said now. */
static bool commit_fault(struct giving *g)
{
    if (g->next != g->fail_at)
        return false;
    switch (g->how) {
    case DO_ERROR_MID:
        say_error(g);
        end_giving(g, false);
        return true;
    case DO_CUT_MID:
        end_giving(g, below(g->up->world, 2) == 0);
        return true;
    case DO_GARBAGE:
        say(g, "data: {\"type\":\"content_block_delta\",\"index\":\n\n");
        end_giving(g, false);
        return true;
    case DO_STALL_MID:
        return true; /* the timer is not armed again */
    default:
        return false;
    }
}

static void give_next(struct timer *t)
{
    struct giving *g = CONTAINER_OF(t, struct giving, timer);
    if (g->how == DO_PINGS_ONLY) {
        if (g->up->anthropic)
            say(g, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
        else
            say(g, ": keep-alive\n\n");
        loop_timer_in(g->up->world->loop, &g->timer, USEC_PER_SEC, give_next);
        return;
    }
    if (commit_fault(g))
        return;
    if (g->next > g->words) {
        say_end(g);
        end_giving(g, false);
        return;
    }
    say_word(g, g->next++);
    give_again(g);
}

static void begin_stream(struct giving *g)
{
    switch (g->how) {
    case DO_CUT_EARLY:
        start_stream(g);
        end_giving(g, below(g->up->world, 2) == 0);
        return;
    case DO_ERROR_FIRST:
        start_stream(g);
        say_error(g);
        end_giving(g, false);
        return;
    case DO_HEADERS_ONLY:
        start_stream(g);
        return;
    case DO_PINGS_ONLY:
        start_stream(g);
        give_again(g);
        return;
    case DO_ERROR_AFTER_START:
        start_stream(g);
        say_start(g);
        say_error(g);
        end_giving(g, false);
        return;
    default:
        start_stream(g);
        say_start(g);
        give_again(g);
    }
}

static int number_after(struct span body, const char *mark)
{
    ssize_t at = span_search(body, span_from(mark));
    assert_true(at >= 0);
    int number = 0;
    for (size_t i = (size_t)at + strlen(mark); body.at[i] >= '0' && body.at[i] <= '9'; i++)
        number = number * 10 + (body.at[i] - '0');
    return number;
}

/* The first word to say: 1, or the one behind those that a last assistant message holds already. */
static int first_word(struct span body, int words)
{
    ssize_t at = -1, found;
    while ((found = span_search(span_drop(body, (size_t)(at + 1)),
                                SPAN("\"role\":\"assistant\""))) >= 0)
        at += found + 1;
    int next = 1;
    char word[32];
    for (int i = 1; at >= 0 && i <= words; i++) {
        (void)snprintf(word, sizeof word, "w%d.", i);
        if (span_search(span_drop(body, (size_t)at), span_from(word)) >= 0)
            next = i + 1;
    }
    return next;
}

/* As Claude answers thinking it did not sign. */
static bool refuses_thinking(struct upstream *up, struct request *r)
{
    if (!up->anthropic || span_search(request_body(r), SPAN("\"foreign\"")) < 0)
        return false;
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    reply_whole(r, 400, &type, 1,
                SPAN("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                     "\"message\":\"messages.1.content.0: Invalid `signature` in `thinking` "
                     "block\"}}"));
    return true;
}

static void upstream_request(void *ctx, struct request *r)
{
    struct upstream *up = ctx;
    struct world *w = up->world;
    if (refuses_thinking(up, r))
        return;
    struct giving *g = mem_new(struct giving);
    struct span body = request_body(r);
    g->up = up;
    g->request = r;
    g->stream = span_search(body, SPAN("\"stream\":true")) >= 0;
    g->id = number_after(body, "id=");
    g->words = number_after(body, "words=");
    g->next = first_word(body, g->words);
    w->continued += g->next > 1;
    g->fail_at = g->next + (int)below(w, (uint32_t)(g->words - g->next + 2));
    g->how = below(w, 1000) < up->fault_permille ? (enum behaviour)(1 + below(w, BEHAVIOURS - 1))
                                                 : DO_ANSWER;
    request_set_data(r, g);
    if (g->how == DO_SILENT)
        return;
    if (g->how == DO_STATUS) {
        reply_status(g);
        mem_free(g);
    } else if (g->how == DO_HTML) {
        struct http_field type = {SPAN("content-type"), SPAN("text/html")};
        reply_whole(r, 200, &type, 1, SPAN("<html>blocked</html>"));
        mem_free(g);
    } else if (g->stream) {
        begin_stream(g);
    } else if (g->how == DO_HEADERS_ONLY || g->how == DO_STALL_MID || g->how == DO_PINGS_ONLY) {
        return; /* a whole answer that never comes */
    } else {
        reply_whole_answer(g);
        mem_free(g);
    }
}

static void upstream_gone(void *ctx, struct request *r)
{
    (void)ctx;
    struct giving *g = request_data(r);
    if (g)
        stop_giving(g);
    reply_abort(r);
}

/* ---- gateway ---- */

static void gateway_request(void *ctx, struct request *r)
{
    struct world *w = ctx;
    bool chat = span_is(request_path(r), "/v1/chat/completions");
    exchange_start(&w->relay, r, chat ? &dialect_openai_chat : &dialect_anthropic, NULL);
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

static int hedges[HEDGE_ENDS]; /* of all worlds */

static void on_done(void *ctx, const struct exchange_report *report)
{
    struct world *w = ctx;
    size_t outrun = 0;
    w->reports++;
    hedges[report->hedge]++;
    for (size_t i = 0; i < report->attempt_count; i++)
        outrun += report->attempts[i].outrun;
    if (report->hedge == HEDGE_LOST)
        assert_int_equal(outrun, 1);
    assert_true(outrun <= (report->hedge == HEDGE_WON || report->hedge == HEDGE_LOST));
    assert_true(w->relay.hedge || report->hedge == HEDGE_NONE);
    assert_true(report->attempt_count <= EXCHANGE_ATTEMPTS_MAX);
    bool marked = false;
    for (size_t i = 0; i < report->attempt_count; i++)
        marked |= report->attempts[i].injected != NULL;
    assert_int_equal(marked, report->fault_serial != 0);
    w->counted += marked;
}

static void on_tap(void *ctx, const char *dest, bool to_listener, struct span bytes)
{
    struct world *w = ctx;
    if (!to_listener)
        return;
    for (int i = 0; i < UPSTREAMS; i++)
        if (span_search(bytes, span_from(w->ups[i].key)) >= 0 &&
            strncmp(dest, w->ups[i].host, strlen(w->ups[i].host)) != 0)
            w->key_astray = true;
}

/* ---- clients ---- */

static void asked_head(void *ctx, const struct http_head *head)
{
    struct asking *a = ctx;
    a->status = head->status;
    a->json_head = span_search(http_field_get(head, "content-type"), SPAN("json")) >= 0;
}

static void asked_body(void *ctx, struct span bytes)
{
    struct asking *a = ctx;
    assert_int_equal(buf_add(&a->got, bytes), ERR_OK);
}

static void asked_over(struct asking *a)
{
    a->call = NULL;
    a->ends++;
    if (++a->world->ended == a->world->ask_count)
        loop_stop(a->world->loop);
}

static void asked_end(void *ctx)
{
    asked_over(ctx);
}

static void asked_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct asking *a = ctx;
    (void)e, (void)stage, (void)why;
    a->cut = true;
    asked_over(a);
}

static void ask(struct world *w, int i)
{
    static const struct call_events events = {asked_head, asked_body, asked_end, asked_error};
    struct asking *a = &w->asks[i];
    *a = (struct asking){
        .world = w, .id = (int)below(w, 1000000), .words = 1 + (int)below(w, WORDS_MAX)};
    a->chat = below(w, 2);
    a->stream = below(w, 4) != 0;
    buf_init(&a->got, (size_t)1 << 20);
    pieces_init(&a->body, &w->arena);
    pieces_printf(&a->body,
                  "{\"model\":\"claude-x\",\"max_tokens\":100,\"messages\":[%s{\"role\":\"user\","
                  "\"content\":\"id=%d words=%d.\"}],"
                  "\"stream\":%s}",
                  !a->chat && a->id % 2 ? FOREIGN_THINKING : "", a->id, a->words,
                  a->stream ? "true" : "false");
    struct url url;
    const char *why;
    assert_int_equal(url_parse(SPAN("http://gateway:8484"), &url, &why), ERR_OK);
    struct call_request req = {.method = SPAN("POST"),
                               .target =
                                   a->chat ? SPAN("/v1/chat/completions") : SPAN("/v1/messages"),
                               .fields = SPAN("content-type: application/json\r\n"),
                               .body = &a->body};
    a->call = call_start(w->client_pool, pool_origin(w->client_pool, &url, NULL), &req, &events, a);
}

/* ---- judging ---- */

struct heard {
    struct buf text;
    bool start, end, error;
};

static void hear(void *ctx, const struct chat_event *e)
{
    struct heard *h = ctx;
    if (e->type == CHAT_EV_DELTA)
        assert_int_equal(buf_add(&h->text, e->text.at), ERR_OK);
    if (e->type == CHAT_EV_START) {
        assert_false(h->start);
        h->start = true;
    }
    if (e->type == CHAT_EV_END)
        h->end = true;
    if (e->type == CHAT_EV_ERROR)
        h->error = true;
}

static void expect_words(const struct asking *a, struct span text)
{
    char want[WORDS_MAX * 24];
    int len = 0;
    for (int i = 1; i <= a->words; i++)
        len +=
            snprintf(want + len, sizeof want - (size_t)len, "%sw%d.%d", i > 1 ? " " : "", i, a->id);
    assert_int_equal(text.len, len);
    assert_memory_equal(text.at, want, text.len);
}

static enum err read_events(const struct dialect *d, struct reply_reader *reader, struct span bytes)
{
    struct sse sse;
    sse_init(&sse, (size_t)1 << 20, false);
    enum err e = ERR_OK;
    while (e == ERR_OK) {
        struct sse_event event;
        size_t used;
        e = sse_next(&sse, bytes, &used, &event);
        bytes = span_drop(bytes, used);
        if (e == ERR_OK)
            e = d->read_event(reader, &event);
    }
    bool pending = sse_pending(&sse);
    sse_deinit(&sse);
    return e == ERR_AGAIN && !pending ? d->read_eof(reader) : ERR_SYNTAX;
}

static void judge(struct world *w, struct asking *a)
{
    const struct dialect *d = a->chat ? &dialect_openai_chat : &dialect_anthropic;
    assert_int_equal(a->ends, 1);
    assert_false(a->cut); /* the client's own link is perfect: the gateway must never cut it */
    struct heard h = {0};
    buf_init(&h.text, (size_t)1 << 20);
    struct span got = buf_span(&a->got);
    bool good;
    if (a->status == 200 && a->stream) {
        struct reader_options o = {0};
        struct reply_reader *reader = d->reader_new(&w->arena, &o, (struct chat_sink){hear, &h});
        enum err e = read_events(d, reader, got);
        good = e == ERR_OK && h.end && !h.error;
        assert_true(good || h.error);
        assert_false(h.end && h.error);
        if (!good)
            assert_true(span_search(got, SPAN("message_stop")) < 0 &&
                        span_search(got, SPAN("[DONE]")) < 0);
    } else if (a->status == 200) {
        struct reader_options o = {.requested_whole = true};
        struct reply_reader *reader = d->reader_new(&w->arena, &o, (struct chat_sink){hear, &h});
        assert_int_equal(d->read_whole(reader, got), ERR_OK);
        good = true;
    } else {
        struct json_doc doc;
        assert_true(a->status >= 400 && a->json_head);
        assert_int_equal(json_parse(&w->arena, got, NULL, &doc, NULL), ERR_OK);
        assert_true(json_is(json_path(json_root(&doc), "error.message"), JSON_STRING));
        assert_true(a->chat || json_str_is(json_get(json_root(&doc), "type"), "error"));
        good = false;
    }
    if (good)
        expect_words(a, buf_span(&h.text));
    w->answers += good;
    w->errors += !good;
    buf_deinit(&h.text);
}

/* ---- one world ---- */

static void build_upstream(struct world *w, int i)
{
    static const char *const hosts[] = {"claude", "openai", "spare"};
    static const char *const keys[] = {"KEY-claude-1111", "KEY-openai-2222", "KEY-spare-3333"};
    struct upstream *up = &w->ups[i];
    *up = (struct upstream){.world = w, .host = hosts[i], .key = keys[i], .anthropic = i != 1};
    struct server_handler handler = {
        .on_request = upstream_request, .on_gone = upstream_gone, .ctx = up};
    const char *why;
    up->server = server_new(w->loop, &server_limits_default, &handler);
    assert_int_equal(server_listen(up->server, span_from(up->host), 80, NULL, &why), ERR_OK);
    const struct dialect *d = up->anthropic ? &dialect_anthropic : &dialect_openai_chat;
    struct url url = {.host = span_from(up->host), .port = 80};
    w->targets[i] = (struct relay_target){
        .name = up->host,
        .kind = up->anthropic ? TARGET_ANTHROPIC : TARGET_OPENAI,
        .dialect = d,
        .path = span_from(d->path),
        .credentials = arena_printf(
            &w->arena, up->anthropic ? "x-api-key: %s\r\n" : "authorization: Bearer %s\r\n",
            up->key),
        .origin = pool_origin(w->pool, &url, NULL)};
    breaker_init(&w->breakers[i], &breaker_config_default);
    w->route.links[i] =
        (struct relay_link){.target = &w->targets[i], .model = i == 1 ? SPAN("gpt-x") : SPAN_EMPTY};
    w->route.breakers[i] = &w->breakers[i];
}

static void build(struct world *w, uint64_t seed)
{
    *w = (struct world){.loop = sim_loop_new(seed), .rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    arena_init(&w->arena, (size_t)64 << 20);
    w->pool = pool_new(w->loop, &pool_limits_default);
    w->client_pool = pool_new(w->loop, &pool_limits_default);
    budget_init(&w->budget, 20, 3);
    refused_init(&w->refused, (const uint64_t[2]){seed, 1});
    for (int i = 0; i < UPSTREAMS; i++)
        build_upstream(w, i);
    w->route.count = 1 + below(w, UPSTREAMS);
    hedge_init(&w->hedge, 100, 95);
    for (int i = 0; i < UPSTREAMS; i++) { /* as if most streams so far had begun within 20 ms */
        ttft_init(&w->ttfts[i]);
        for (int n = 0; n < TTFT_LEAST; n++)
            ttft_note(&w->ttfts[i], 20 * USEC_PER_MS);
        w->route.ttfts[i] = &w->ttfts[i];
    }
    fault_board_init(&w->board, (const uint64_t[2]){seed, 1});
    w->relay = (struct relay){.loop = w->loop,
                              .pool = w->pool,
                              .budget = &w->budget,
                              .hedge = seed % 2 ? &w->hedge : NULL,
                              .refused = &w->refused,
                              .faults = &w->board,
                              .reply_headers = true,
                              .route_for = route_for,
                              .on_done = on_done,
                              .ctx = w,
                              .deadlines = {.connect = 3 * USEC_PER_SEC,
                                            .first_token = 20 * USEC_PER_SEC,
                                            .stall = 15 * USEC_PER_SEC,
                                            .total = 600 * USEC_PER_SEC,
                                            .ping = 10 * USEC_PER_SEC}};
    relay_init(&w->relay);
    struct server_handler handler = {.on_request = gateway_request,
                                     .on_gone = gateway_gone,
                                     .on_drained = gateway_drained,
                                     .ctx = w};
    const char *why;
    w->gateway = server_new(w->loop, &server_limits_default, &handler);
    assert_int_equal(server_listen(w->gateway, SPAN("gateway"), 8484, NULL, &why), ERR_OK);
    sim_tap(w->loop, on_tap, w);
}

static void tear_down(struct world *w)
{
    server_free(w->gateway);
    for (int i = 0; i < UPSTREAMS; i++)
        server_free(w->ups[i].server);
    relay_deinit(&w->relay);
    refused_deinit(&w->refused);
    for (int i = 0; i < UPSTREAMS; i++)
        ttft_deinit(&w->ttfts[i]);
    w->met = fault_board_view(&w->board, 0).counts.met;
    fault_board_deinit(&w->board);
    pool_free(w->pool);
    pool_free(w->client_pool);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 1);
    struct sim_census left = sim_census(w->loop);
    assert_int_equal(left.streams, 0);
    assert_int_equal(left.listeners, 0);
    assert_int_equal(left.timers, 0);
    for (int i = 0; i < REQUESTS_MAX; i++)
        buf_deinit(&w->asks[i].got);
    arena_deinit(&w->arena);
    loop_free(w->loop);
}

/* A drill's order, which may end in the middle of what it met. */
static void add_drill(struct world *w)
{
    static const char *const specs[] = {"529",           "429,retry-after=3",
                                        "org-disabled",  "html",
                                        "html-503",      "silent",
                                        "rst@0",         "headers-only",
                                        "pings-only",    "error-first",
                                        "reset",         "error-after-start",
                                        "cut@3",         "error@2",
                                        "stall@4",       "garbage@0",
                                        "rst@5",         "cut-bytes@300",
                                        "400",           "garbage@2",
                                        "slow-first=3s", "refused"};
    struct fault_order o;
    const char *why;
    struct fault_wish wish = {.drill = SPAN("sim"),
                              .target = span_from(w->ups[below(w, UPSTREAMS)].host),
                              .spec = span_from(specs[below(w, ARRAY_LEN(specs))]),
                              .percent = 1 + below(w, 100),
                              .circuit = below(w, 2),
                              .lease = USEC_PER_SEC + below(w, 40) * USEC_PER_SEC};
    assert_int_equal(fault_order_make(&wish, &o, &why), ERR_OK);
    assert_int_equal(fault_board_set(&w->board, &o, loop_now(w->loop)), ERR_OK);
}

static void add_faults(struct world *w)
{
    struct sim_faults f = {.latency_min = 100, .latency_max = 5000, .short_io = below(w, 200)};
    sim_set_faults(w->loop, &f);
    for (int i = 0; i < UPSTREAMS; i++) {
        struct sim_faults bad = f;
        if (below(w, 2))
            bad.refuse = below(w, 300);
        if (below(w, 3) == 0)
            bad.black_hole = below(w, 300);
        if (below(w, 3) == 0)
            bad.name_lost = below(w, 300);
        if (below(w, 2))
            bad.reset = below(w, 30);
        if (below(w, 3) == 0)
            bad.stall = below(w, 10);
        if (below(w, 2))
            bad.cut = below(w, 30);
        sim_set_host_faults(w->loop, w->ups[i].host, &bad);
        w->ups[i].fault_permille = below(w, 4) == 0 ? 0 : below(w, 800);
    }
    if (below(w, 3) == 0)
        add_drill(w);
}

static uint64_t met_in_all;

static void run_world(uint64_t seed, bool faults, int *answers, int *errors, int *continued)
{
    struct world *w = mem_new(struct world);
    build(w, seed);
    if (faults)
        add_faults(w);
    w->ask_count = 1 + (int)below(w, REQUESTS_MAX);
    for (int i = 0; i < w->ask_count; i++)
        ask(w, i);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 2000 * USEC_PER_SEC);
    if (w->ended != w->ask_count)
        fail_msg("seed %llu: %d of %d requests never ended", (unsigned long long)seed,
                 w->ask_count - w->ended, w->ask_count);
    for (int i = 0; i < w->ask_count; i++)
        judge(w, &w->asks[i]);
    assert_int_equal(w->reports, w->ask_count);
    assert_false(w->key_astray);
    *answers += w->answers;
    *errors += w->errors;
    *continued += w->continued;
    tear_down(w);
    assert_int_equal(w->met, w->counted);
    met_in_all += w->met;
    mem_free(w);
}

static char last_words[96]; /* the seed at hand, ready for a signal handler */
static int last_words_len;

static void at_seed(uint64_t seed)
{
    last_words_len = snprintf(last_words, sizeof last_words,
                              "# last simulation seed: %llu (HOTSPARE_SIM_SEED replays it)\n",
                              (unsigned long long)seed);
}

static void a_perfect_network_gives_complete_answers_only(void **state)
{
    (void)state;
    int answers = 0, errors = 0, continued = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        at_seed(seed);
        run_world(seed, false, &answers, &errors, &continued);
    }
    assert_int_equal(errors + continued, 0);
    assert_true(answers > 300);
}

static void every_exchange_ends_in_an_answer_or_an_honest_error(void **state)
{
    (void)state;
    const char *one = getenv("HOTSPARE_SIM_SEED"), *many = getenv("HOTSPARE_SIM_RUNS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1, runs = many  ? strtoull(many, NULL, 10)
                                                               : one ? 1
                                                                     : 10000;
    int answers = 0, errors = 0, continued = 0;
    for (uint64_t seed = first; seed < first + runs; seed++) {
        at_seed(seed);
        run_world(seed, true, &answers, &errors, &continued);
    }
    /* Beyond those: seeds that failed once. 27419 and 108766: a server freed in the same instant in
     * which a connection of its had ended. */
    static const uint64_t kept[] = {27419, 108766};
    for (size_t i = 0; !one && i < ARRAY_LEN(kept); i++) {
        at_seed(kept[i]);
        run_world(kept[i], true, &answers, &errors, &continued);
    }
    (void)fprintf(stderr, "# hedged: %d won, %d lost, %d failed\n", hedges[HEDGE_WON],
                  hedges[HEDGE_LOST], hedges[HEDGE_FAILED]);
    assert_true(one ||
                (hedges[HEDGE_WON] > 0 && hedges[HEDGE_LOST] > 0 && hedges[HEDGE_FAILED] > 0));
    (void)fprintf(stderr,
                  "# %llu worlds, %d complete answers, %d honest errors; asked %d times to go on; "
                  "%llu met a drill\n",
                  (unsigned long long)runs, answers, errors, continued,
                  (unsigned long long)met_in_all);
    assert_true(one || (answers > 0 && errors > 0 && continued > 0 && met_in_all > runs / 10));
}

/* An assertion of the code under test ends the program: the seed is told all the same. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    (void)!write(STDERR_FILENO, last_words, (size_t)last_words_len);
}

int main(void)
{
    (void)signal(SIGABRT, on_abort);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_perfect_network_gives_complete_answers_only),
        cmocka_unit_test(every_exchange_ends_in_an_answer_or_an_honest_error),
    };
    int failed = cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
    if (failed)
        (void)fputs(last_words, stderr);
    return failed;
}
