/* Where conversations go, seen from outside: a gateway with a lead and a spare, a few hundred
 * conversations that ask again and again, and virtual time.
 *
 * The lead dies and all conversations go on with the spare; it comes back and they return in steps,
 * each once, without one error; it flaps and they stay where they are. A stream that is too slow
 * fails while there is another target, and only then. */
#include "base/mem.h"
#include "base/span.h"
#include "net/sim.h"
#include "relay/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TALKS 400
#define SEC USEC_PER_SEC
#define NOBODY 2

struct world;

struct upstream {
    struct world *world;
    struct server *server;
    bool down, streams;
};

struct talk {
    struct world *world;
    struct timer timer;
    struct pieces body;
    char fields[128];
    int status, number;
    size_t by;               /* who answered last; NOBODY at first */
    int returns, departures; /* spare -> lead, lead -> spare */
};

struct giving { /* a stream of one letter a second */
    struct upstream *up;
    struct request *request;
    struct timer timer;
    int letters;
};

struct world {
    struct loop *loop;
    struct arena arena;
    struct pool *pool, *client_pool;
    struct server *gateway;
    struct upstream ups[2];
    struct budget budget;
    struct breaker breakers[2];
    struct relay_target targets[2];
    struct relay_route route;
    struct relay relay;
    struct talk talks[TALKS];
    bool over; /* nobody asks any more */
    int asked, errors, ends;
    enum cause first_cause;
};

/* ---- upstreams ---- */

static const char delta[] =
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
    "\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n";
static const char begin[] =
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
    "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],"
    "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":5,"
    "\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: "
    "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
    "\"text\":\"\"}}\n\n";
static const char finish[] =
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
    "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static void give(struct timer *t)
{
    struct giving *g = CONTAINER_OF(t, struct giving, timer);
    struct request *r = g->request;
    if (g->letters-- > 0) {
        reply_body(r, span_from(delta));
        loop_timer_in(g->up->world->loop, &g->timer, SEC, give);
        return;
    }
    reply_body(r, span_from(finish));
    request_set_data(r, NULL);
    mem_free(g);
    reply_end(r);
}

static void give_stream(struct upstream *up, struct request *r)
{
    struct http_field type = {SPAN("content-type"), SPAN("text/event-stream")};
    struct giving *g = mem_new(struct giving);
    *g = (struct giving){.up = up, .request = r, .letters = 30};
    request_set_data(r, g);
    reply_start(r, 200, &type, 1, REPLY_CHUNKED);
    reply_body(r, span_from(begin));
    loop_timer_in(up->world->loop, &g->timer, SEC, give);
}

static void upstream_request(void *ctx, struct request *r)
{
    struct upstream *up = ctx;
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    if (up->down)
        reply_whole(r, 529, &type, 1,
                    SPAN("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                         "\"message\":\"Overloaded\"}}"));
    else if (up->streams)
        give_stream(up, r);
    else
        reply_whole(r, 200, &type, 1,
                    SPAN("{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
                         "\"model\":\"m\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],"
                         "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
                         "\"usage\":{\"input_tokens\":5,\"output_tokens\":9}}"));
}

static void upstream_gone(void *ctx, struct request *r)
{
    struct upstream *up = ctx;
    struct giving *g = request_data(r);
    if (g)
        loop_timer_cancel(up->world->loop, &g->timer);
    mem_free(g);
    request_set_data(r, NULL);
    reply_abort(r);
}

/* ---- the gateway ---- */

static void gateway_request(void *ctx, struct request *r)
{
    exchange_start(&((struct world *)ctx)->relay, r, &dialect_anthropic, NULL);
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
    w->asked++;
    w->errors += report->outcome != OUTCOME_OK;
    w->first_cause = report->attempts[0].cause;
    if (w->route.count == 1) {
        assert_null(report->conversation_source);
        return;
    }
    assert_string_equal(report->conversation_source, "session");
    if (report->outcome != OUTCOME_OK)
        return;
    struct span number = http_field_get(request_head(report->request), "x-claude-code-session-id");
    uint64_t n;
    assert_int_equal(span_u64(number, &n), ERR_OK);
    struct talk *t = &w->talks[n];
    size_t by = strcmp(report->served_by, "spare") == 0;
    t->returns += t->by == 1 && by == 0;
    t->departures += t->by == 0 && by == 1;
    t->by = by;
}

/* ---- conversations ---- */

static void ask(struct timer *timer);

static void got_head(void *ctx, const struct http_head *head)
{
    ((struct talk *)ctx)->status = head->status;
}

static void got_body(void *ctx, struct span bytes)
{
    (void)ctx, (void)bytes;
}

static void turn_over(void *ctx)
{
    struct talk *t = ctx;
    t->world->ends++;
    if (!t->world->over)
        loop_timer_in(t->world->loop, &t->timer, SEC + (usec)(t->number % 7) * 100 * USEC_PER_MS,
                      ask);
}

static void turn_cut(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    (void)e, (void)stage, (void)why;
    turn_over(ctx);
}

static void ask(struct timer *timer)
{
    static const struct call_events events = {got_head, got_body, turn_over, turn_cut};
    struct talk *t = CONTAINER_OF(timer, struct talk, timer);
    struct world *w = t->world;
    if (w->over)
        return;
    struct url url = {.host = SPAN("gateway"), .port = 80};
    (void)snprintf(t->fields, sizeof t->fields, "x-claude-code-session-id: %d\r\n", t->number);
    struct call_request req = {.method = SPAN("POST"),
                               .target = SPAN("/v1/messages"),
                               .fields = span_from(t->fields),
                               .body = &t->body};
    (void)call_start(w->client_pool, pool_origin(w->client_pool, &url, NULL), &req, &events, t);
}

static void begin_talks(struct world *w, int count, bool stream)
{
    for (int i = 0; i < count; i++) {
        struct talk *t = &w->talks[i];
        *t = (struct talk){.world = w, .number = i, .by = NOBODY};
        pieces_init(&t->body, &w->arena);
        pieces_printf(&t->body,
                      "{\"model\":\"m\",\"max_tokens\":9,\"stream\":%s,\"messages\":[{\"role\":"
                      "\"user\",\"content\":\"hello\"}]}",
                      stream ? "true" : "false");
        loop_timer_in(w->loop, &t->timer, (usec)i * 5 * USEC_PER_MS, ask);
    }
}

/* ---- one world ---- */

static void build(struct world *w, size_t links)
{
    static const uint64_t seed[2] = {5, 6};
    static const char *const names[] = {"lead", "spare"};
    struct affinity_config config = {.hold = breaker_config_default.ramp, .sticky = true};
    const char *why;
    *w = (struct world){.loop = sim_loop_new(3)};
    arena_init(&w->arena, (size_t)16 << 20);
    w->pool = pool_new(w->loop, &pool_limits_default);
    w->client_pool = pool_new(w->loop, &pool_limits_default);
    budget_init(&w->budget, 20, 3);
    w->route.count = links;
    w->route.affinity = affinity_new(&config, seed, 2);
    for (size_t i = 0; i < 2; i++) {
        struct upstream *up = &w->ups[i];
        struct server_handler handler = {
            .on_request = upstream_request, .on_gone = upstream_gone, .ctx = up};
        struct url url = {.host = span_from(names[i]), .port = 80};
        up->world = w;
        up->server = server_new(w->loop, &server_limits_default, &handler);
        assert_int_equal(server_listen(up->server, span_from(names[i]), 80, NULL, &why), ERR_OK);
        w->targets[i] = (struct relay_target){.name = names[i],
                                              .kind = TARGET_STANDIN,
                                              .dialect = &dialect_anthropic,
                                              .path = SPAN("/v1/messages"),
                                              .origin = pool_origin(w->pool, &url, NULL)};
        breaker_init(&w->breakers[i], &breaker_config_default);
        w->route.links[i] = (struct relay_link){.target = &w->targets[i]};
        w->route.breakers[i] = &w->breakers[i];
    }
    w->relay = (struct relay){.loop = w->loop,
                              .pool = w->pool,
                              .budget = &w->budget,
                              .route_for = route_for,
                              .on_done = on_done,
                              .ctx = w,
                              .deadlines = {.connect = 3 * SEC,
                                            .first_token = 20 * SEC,
                                            .stall = 15 * SEC,
                                            .total = 600 * SEC,
                                            .ping = 10 * SEC}};
    relay_init(&w->relay);
    struct server_handler gateway = {.on_request = gateway_request,
                                     .on_gone = gateway_gone,
                                     .on_drained = gateway_drained,
                                     .ctx = w};
    w->gateway = server_new(w->loop, &server_limits_default, &gateway);
    assert_int_equal(server_listen(w->gateway, SPAN("gateway"), 80, NULL, &why), ERR_OK);
}

static void run_for(struct world *w, usec time)
{
    (void)sim_run_until(w->loop, loop_now(w->loop) + time);
}

static void tear_down(struct world *w)
{
    w->over = true;
    run_for(w, 60 * SEC);
    for (int i = 0; i < TALKS; i++)
        loop_timer_cancel(w->loop, &w->talks[i].timer);
    server_free(w->gateway);
    server_free(w->ups[0].server);
    server_free(w->ups[1].server);
    relay_deinit(&w->relay);
    pool_free(w->pool);
    pool_free(w->client_pool);
    run_for(w, 1);
    struct sim_census left = sim_census(w->loop);
    assert_int_equal(left.streams, 0);
    assert_int_equal(left.timers, 0);
    affinity_unref(w->route.affinity);
    arena_deinit(&w->arena);
    loop_free(w->loop);
    mem_free(w);
}

static int with_the_lead(const struct world *w)
{
    int n = 0;
    for (int i = 0; i < TALKS; i++)
        n += w->talks[i].by == 0;
    return n;
}

static void expect_percent(const struct world *w, int percent, int tolerance)
{
    int n = with_the_lead(w) * 100 / TALKS;
    if (n < percent - tolerance || n > percent + tolerance)
        fail_msg("at %lld s %d %% of the conversations are with the lead, not %d %%",
                 (long long)(loop_now(w->loop) / SEC), n, percent);
}

static void wait_for_state(struct world *w, enum breaker_state s)
{
    for (int i = 0; i < 10000; i++) {
        if (breaker_view(&w->breakers[0], loop_now(w->loop)).state == s)
            return;
        run_for(w, 100 * USEC_PER_MS);
    }
    fail_msg("the lead's breaker never was %s", breaker_state_name(s));
}

/* ---- the stories ---- */

static void conversations_return_in_steps_each_once_and_without_an_error(void **state)
{
    (void)state;
    struct world *w = mem_new(struct world);
    build(w, 2);
    begin_talks(w, TALKS, false);
    run_for(w, 20 * SEC);
    expect_percent(w, 100, 0);
    w->ups[0].down = true;
    run_for(w, 60 * SEC);
    expect_percent(w, 0, 0);
    w->ups[0].down = false;
    wait_for_state(w, BREAKER_CLOSED);
    run_for(w, 5 * SEC); /* everybody has asked again */
    expect_percent(w, 5, 3);
    run_for(w, 23 * SEC);
    expect_percent(w, 5, 3);
    run_for(w, 7 * SEC);
    expect_percent(w, 25, 5);
    run_for(w, 23 * SEC);
    expect_percent(w, 25, 5);
    run_for(w, 7 * SEC);
    expect_percent(w, 100, 0);
    run_for(w, 60 * SEC);
    for (int i = 0; i < TALKS; i++) {
        assert_int_equal(w->talks[i].departures, 1);
        assert_int_equal(w->talks[i].returns, 1);
    }
    assert_int_equal(w->errors, 0);
    assert_true(w->asked > 50 * TALKS);
    assert_int_equal(affinity_count(w->route.affinity), 0); /* everybody is at home again */
    tear_down(w);
}

static void nobody_but_the_first_few_returns_while_the_lead_flaps(void **state)
{
    (void)state;
    struct world *w = mem_new(struct world);
    build(w, 2);
    begin_talks(w, TALKS, false);
    run_for(w, 20 * SEC);
    for (int flap = 0; flap < 6; flap++) {
        w->ups[0].down = true;
        run_for(w, 10 * SEC);
        wait_for_state(w, BREAKER_OPEN);
        w->ups[0].down = false;
        wait_for_state(w, BREAKER_CLOSED);
        run_for(w, 20 * SEC); /* less than the first step */
        expect_percent(w, 5, 3);
    }
    int stayed = 0;
    for (int i = 0; i < TALKS; i++)
        stayed += w->talks[i].returns == 0 && w->talks[i].departures == 1;
    assert_in_range(stayed, TALKS * 90 / 100, TALKS * 97 / 100);
    assert_int_equal(w->errors, 0);
    struct ramp_view v = breaker_view(&w->breakers[0], loop_now(w->loop)).share;
    assert_int_equal(v.doublings, RAMP_DOUBLINGS_MAX); /* and each step is longer than the last */
    run_for(w, 2 * 16 * 30 * SEC);
    expect_percent(w, 100, 0);
    tear_down(w);
}

/* A letter a second, ten letters a second are wanted. */
static void stream_slowly(struct world *w, size_t links)
{
    build(w, links);
    w->relay.deadlines.min_rate = 10;
    w->ups[0].streams = w->ups[1].streams = true;
    begin_talks(w, 1, true);
    run_for(w, SEC / 2); /* it has asked, and is to ask no second time */
    w->over = true;
    run_for(w, 120 * SEC);
    assert_int_equal(w->ends, 1);
}

static void a_slow_stream_is_stalled_while_another_target_is_left(void **state)
{
    (void)state;
    struct world *w = mem_new(struct world);
    stream_slowly(w, 2);
    assert_int_equal(w->first_cause, CAUSE_STALLED);
    tear_down(w);
}

static void a_slow_stream_goes_on_when_nobody_else_is_left(void **state)
{
    (void)state;
    struct world *w = mem_new(struct world);
    stream_slowly(w, 1);
    assert_int_equal(w->first_cause, CAUSE_NONE);
    assert_int_equal(w->errors, 0);
    tear_down(w);
}

static void a_slow_stream_is_nobodys_business_without_a_least_rate(void **state)
{
    (void)state;
    struct world *w = mem_new(struct world);
    build(w, 2);
    w->ups[0].streams = true;
    begin_talks(w, 1, true);
    run_for(w, SEC / 2);
    w->over = true;
    run_for(w, 120 * SEC);
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->errors, 0);
    assert_int_equal(w->first_cause, CAUSE_NONE);
    tear_down(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations_return_in_steps_each_once_and_without_an_error),
        cmocka_unit_test(nobody_but_the_first_few_returns_while_the_lead_flaps),
        cmocka_unit_test(a_slow_stream_is_stalled_while_another_target_is_left),
        cmocka_unit_test(a_slow_stream_goes_on_when_nobody_else_is_left),
        cmocka_unit_test(a_slow_stream_is_nobodys_business_without_a_least_rate),
    };
    return cmocka_run_group_tests_name("moving", tests, NULL, NULL);
}
