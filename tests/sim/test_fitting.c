/* Fit before the hop, as a client sees it: a Claude that may be gone, and stand-ins with little
 * room behind a gateway, in the simulator. What does not fit is not sent, what is repaired is said,
 * and when it fits nobody the client hears the words it knows.
 * Beside that, a target that must be started first: waited for, passed over in time, and no
 * failure in the eyes of its breaker. */
#include "base/mem.h"
#include "base/span.h"
#include "net/sim.h"
#include "relay/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { CLAUDE, SMALL, LARGE, TARGETS };

#define THINKING_REFUSAL                                                                           \
    "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"               \
    "\"messages.1.content.0: Invalid `signature` in `thinking` block\"},\"request_id\":\"req_1\"}"

struct world {
    struct loop *loop;
    struct arena arena;
    struct pool *pool, *client_pool;
    struct server *gateway, *servers[TARGETS];
    struct upstream {
        struct world *world;
        bool dead;
        const char *refuses; /* thinking with this signature; "" = everything */
        int asked;
        struct span body; /* what it was asked last */
    } upstreams[TARGETS];
    struct budget budget;
    struct refused refused;
    struct breaker breakers[TARGETS];
    struct relay relay;
    struct relay_target targets[TARGETS];
    struct relay_route route;
    const struct dialect *door;
    struct pieces body;
    struct buf got;
    struct span lossy, served_by;
    int status, ends;
};

static void upstream_request(void *ctx, struct request *r)
{
    struct upstream *up = ctx;
    struct world *w = up->world;
    up->asked++;
    up->body = arena_copy(&w->arena, request_body(r));
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    if (up->refuses && span_search(up->body, span_from(up->refuses)) >= 0) {
        reply_whole(r, 400, &type, 1, SPAN(THINKING_REFUSAL));
    } else if (up->dead) {
        reply_whole(r, 529, &type, 1,
                    SPAN("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
                         "\"message\":\"Overloaded\"}}"));
    } else if (up == &w->upstreams[CLAUDE]) {
        reply_whole(r, 200, &type, 1,
                    SPAN("{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
                         "\"claude-x\",\"content\":[{\"type\":\"text\",\"text\":\"fine\"}],"
                         "\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{"
                         "\"input_tokens\":9,\"output_tokens\":1}}"));
    } else {
        reply_whole(r, 200, &type, 1,
                    SPAN("{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,"
                         "\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                         "\"assistant\",\"content\":\"fine\"},\"finish_reason\":\"stop\"}],"
                         "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}"));
    }
}

static void upstream_gone(void *ctx, struct request *r)
{
    (void)ctx;
    reply_abort(r);
}

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

/* ---- the client ---- */

static void on_head(void *ctx, const struct http_head *head)
{
    struct world *w = ctx;
    w->status = head->status;
    w->lossy = arena_copy(&w->arena, http_field_get(head, "x-hotspare-lossy"));
    w->served_by = arena_copy(&w->arena, http_field_get(head, "x-hotspare-served-by"));
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
    (void)ctx, (void)e, (void)stage;
    fail_msg("the client's connection failed: %s", why);
}

static void ask(struct world *w, struct span body)
{
    static const struct call_events events = {on_head, on_body, on_end, on_error};
    w->ends = w->status = 0;
    buf_reset(&w->got);
    pieces_init(&w->body, &w->arena);
    pieces_add(&w->body, body);
    struct url url = {.host = SPAN("gateway"), .port = 80};
    struct call_request req = {.method = SPAN("POST"),
                               .target = SPAN("/"),
                               .fields = SPAN("content-type: application/json\r\n"),
                               .body = &w->body};
    (void)call_start(w->client_pool, pool_origin(w->client_pool, &url, NULL), &req, &events, w);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 120 * USEC_PER_SEC);
    assert_int_equal(w->ends, 1);
}

/* ---- the world ---- */

static void build_target(struct world *w, int i)
{
    static const char *const names[TARGETS] = {"claude", "small", "large"};
    struct server_handler h = {
        .on_request = upstream_request, .on_gone = upstream_gone, .ctx = &w->upstreams[i]};
    struct url url = {.host = span_from(names[i]), .port = 80};
    const char *why;
    w->upstreams[i].world = w;
    w->servers[i] = server_new(w->loop, &server_limits_default, &h);
    assert_int_equal(server_listen(w->servers[i], url.host, 80, NULL, &why), ERR_OK);
    const struct dialect *d = i == CLAUDE ? &dialect_anthropic : &dialect_openai_chat;
    w->targets[i] = (struct relay_target){.name = names[i],
                                          .kind = i == CLAUDE ? TARGET_ANTHROPIC : TARGET_VLLM,
                                          .dialect = d,
                                          .path = span_from(d->path),
                                          .origin = pool_origin(w->pool, &url, NULL)};
    breaker_init(&w->breakers[i], &breaker_config_default);
}

static struct world *build(void)
{
    struct world *w = mem_new(struct world);
    *w = (struct world){.loop = sim_loop_new(3), .door = &dialect_anthropic};
    arena_init(&w->arena, (size_t)256 << 20);
    buf_init(&w->got, (size_t)16 << 20);
    w->pool = pool_new(w->loop, &pool_limits_default);
    w->client_pool = pool_new(w->loop, &pool_limits_default);
    budget_init(&w->budget, 20, 3);
    refused_init(&w->refused, (const uint64_t[2]){1, 2});
    for (int i = 0; i < TARGETS; i++)
        build_target(w, i);
    w->targets[SMALL].context = 16384;
    w->targets[LARGE].context = 131072;
    w->relay = (struct relay){.loop = w->loop,
                              .pool = w->pool,
                              .budget = &w->budget,
                              .refused = &w->refused,
                              .reply_headers = true,
                              .route_for = route_for,
                              .ctx = w,
                              .deadlines = {.connect = USEC_PER_SEC,
                                            .first_token = 20 * USEC_PER_SEC,
                                            .stall = 15 * USEC_PER_SEC,
                                            .total = 60 * USEC_PER_SEC,
                                            .ping = 10 * USEC_PER_SEC}};
    relay_init(&w->relay);
    struct server_handler gateway = {.on_request = gateway_request,
                                     .on_gone = gateway_gone,
                                     .on_drained = gateway_drained,
                                     .ctx = w};
    const char *why;
    w->gateway = server_new(w->loop, &server_limits_default, &gateway);
    assert_int_equal(server_listen(w->gateway, SPAN("gateway"), 80, NULL, &why), ERR_OK);
    return w;
}

static void chain(struct world *w, size_t count, const int *targets)
{
    w->route.count = count;
    for (size_t i = 0; i < count; i++) {
        w->route.links[i] = (struct relay_link){.target = &w->targets[targets[i]]};
        w->route.breakers[i] = &w->breakers[targets[i]];
    }
}
#define CHAIN(w, ...)                                                                              \
    chain((w), sizeof((int[]){__VA_ARGS__}) / sizeof(int), (const int[]){__VA_ARGS__})

static void tear_down(struct world *w)
{
    server_free(w->gateway);
    for (int i = 0; i < TARGETS; i++)
        server_free(w->servers[i]);
    relay_deinit(&w->relay);
    refused_deinit(&w->refused);
    pool_free(w->pool);
    pool_free(w->client_pool);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 1);
    struct sim_census left = sim_census(w->loop);
    assert_int_equal(left.streams, 0);
    assert_int_equal(left.timers, 0);
    buf_deinit(&w->got);
    arena_deinit(&w->arena);
    loop_free(w->loop);
    mem_free(w);
}

/* Three files are read, with `old` words each but the newest, which has `newest`. */
static struct span agent_turn(struct world *w, int old, int newest)
{
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    enum err e = buf_add_cstr(&b, "{\"model\":\"claude-x\",\"max_tokens\":32000,\"tools\":[{"
                                  "\"name\":\"read\",\"input_schema\":{\"type\":\"object\"}}],"
                                  "\"messages\":[{\"role\":\"user\",\"content\":\"Read on.\"}");
    for (int t = 0; t < 3; t++) {
        e |= buf_printf(&b,
                        ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
                        "\"toolu_%d\",\"name\":\"read\",\"input\":{}}]},{\"role\":\"user\","
                        "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_%d\","
                        "\"content\":\"file%d begins ",
                        t, t, t);
        for (int i = 0; i < (t < 2 ? old : newest); i++)
            e |= buf_printf(&b, "word%d ", i % 10);
        e |= buf_printf(&b, "file%d ends\"}]}", t);
    }
    e |= buf_add_cstr(&b, "]}");
    assert_int_equal(e, ERR_OK);
    struct span kept = arena_copy(&w->arena, buf_span(&b));
    buf_deinit(&b);
    return kept;
}

static bool said(struct span text, const char *part)
{
    return span_search(text, span_from(part)) >= 0;
}

/* ---- claims ---- */

static void a_long_conversation_skips_a_target_that_is_too_small(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL, LARGE);
    w->upstreams[CLAUDE].dead = true;
    ask(w, agent_turn(w, 100, 20000));
    assert_int_equal(w->status, 200);
    assert_true(span_is(w->served_by, "large"));
    assert_int_equal(w->upstreams[SMALL].asked, 0);
    assert_int_equal(w->upstreams[LARGE].asked, 1);
    assert_false(said(w->lossy, "tool_result_shortened"));
    assert_false(said(w->lossy, "max_tokens")); /* there was room */
    assert_true(said(w->upstreams[LARGE].body, "\"max_tokens\":32000"));
    tear_down(w);
}

static void old_tool_results_are_shortened_for_a_small_target_and_it_says_so(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL);
    w->upstreams[CLAUDE].dead = true;
    struct span first = SPAN_EMPTY;
    for (int turn = 0; turn < 2; turn++) {
        ask(w, agent_turn(w, 8000, 2000));
        assert_int_equal(w->status, 200);
        assert_true(span_is(w->served_by, "small"));
        assert_true(said(w->lossy, "tool_result_shortened"));
        assert_true(said(w->lossy, "max_tokens"));
        struct span body = w->upstreams[SMALL].body;
        for (int t = 0; t < 3; t++) { /* what was there is still seen to have been there */
            char mark[32];
            (void)snprintf(mark, sizeof mark, "file%d begins", t);
            assert_true(said(body, mark));
            (void)snprintf(mark, sizeof mark, "file%d ends", t);
            assert_true(said(body, mark));
        }
        assert_true(said(body, "characters left out here"));
        ssize_t newest = span_search(body, SPAN("file2 begins"));
        assert_false(said(span_drop(body, (size_t)newest), "left out"));
        assert_false(said(body, "\"max_tokens\":32000"));
        if (turn == 1)
            assert_true(span_eq(body, first)); /* the same again: prompt caches hold */
        first = body;
    }
    tear_down(w);
}

static void a_claude_that_answers_is_asked_byte_for_byte_however_long_it_is(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL);
    w->targets[CLAUDE].context = 1000; /* whatever anybody thinks */
    struct span body = agent_turn(w, 30000, 30000);
    ask(w, body);
    assert_int_equal(w->status, 200);
    assert_true(span_is(w->served_by, "claude"));
    assert_true(span_eq(w->upstreams[CLAUDE].body, body));
    assert_int_equal(w->lossy.len, 0);
    tear_down(w);
}

/* Written anew, without what a stand-in thought, but in its own dialect: its own word counts. */
static void a_claude_whose_history_is_cleaned_is_not_judged_either(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE);
    w->targets[CLAUDE].context = 1000;
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    enum err e =
        buf_add_cstr(&b, "{\"model\":\"claude-x\",\"max_tokens\":9,\"messages\":[{\"role\":"
                         "\"user\",\"content\":\"hi\"},{\"role\":\"assistant\","
                         "\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
                         "\"signature\":\"hotspare1.unsigned\"},{\"type\":\"text\","
                         "\"text\":\"ho\"}]},{\"role\":\"user\",\"content\":\"");
    for (int i = 0; i < 9000; i++)
        e |= buf_add_cstr(&b, "word ");
    e |= buf_add_cstr(&b, "\"}]}");
    assert_int_equal(e, ERR_OK);
    ask(w, buf_span(&b));
    buf_deinit(&b);
    assert_int_equal(w->status, 200);
    assert_int_equal(w->upstreams[CLAUDE].asked, 1);
    assert_false(said(w->upstreams[CLAUDE].body, "hotspare1"));
    assert_true(said(w->upstreams[CLAUDE].body, "word word word"));
    tear_down(w);
}

static void when_it_fits_nobody_claude_code_hears_its_own_words(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, SMALL, LARGE, SMALL);
    ask(w, agent_turn(w, 10, 200000));
    struct span told = buf_span(&w->got);
    assert_int_equal(w->status, 400);
    assert_true(said(told, "\"type\":\"error\""));
    assert_true(said(told, "\"type\":\"invalid_request_error\""));
    assert_true(said(told, "\"message\":\"prompt is too long: "));
    assert_true(said(told, " tokens > 130048 maximum")); /* the largest counts: 131072 - 1024 */
    assert_int_equal(w->upstreams[SMALL].asked + w->upstreams[LARGE].asked, 0);
    tear_down(w);
}

static void when_it_fits_nobody_an_openai_client_gets_its_code(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE);
    w->door = &dialect_openai_chat;
    w->targets[CLAUDE].context = 4096;
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    enum err e = buf_add_cstr(&b, "{\"model\":\"gpt-x\",\"messages\":[{\"role\":\"user\","
                                  "\"content\":\"");
    for (int i = 0; i < 9000; i++)
        e |= buf_add_cstr(&b, "word ");
    e |= buf_add_cstr(&b, "\"}]}");
    assert_int_equal(e, ERR_OK);
    ask(w, buf_span(&b));
    buf_deinit(&b);
    struct span told = buf_span(&w->got);
    assert_int_equal(w->status, 400);
    assert_true(said(told, "\"code\":\"context_length_exceeded\""));
    assert_true(said(told, "\"type\":\"invalid_request_error\""));
    assert_true(said(told, "prompt is too long: "));
    assert_int_equal(w->upstreams[CLAUDE].asked, 0);
    tear_down(w);
}

/* It would fit Claude: to make the client compact it would take from it what it need not lose. */
static void when_only_the_dead_lead_would_fit_the_client_is_told_to_come_back(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL);
    w->upstreams[CLAUDE].dead = true;
    ask(w, agent_turn(w, 10, 40000));
    struct span told = buf_span(&w->got);
    assert_int_equal(w->status, 529);
    assert_true(said(told, "claude (overloaded)"));
    assert_true(said(told, "another cannot carry this request (prompt is too long: "));
    assert_int_equal(w->upstreams[SMALL].asked, 0);
    tear_down(w);
}

/* ---- thinking in the history that Claude refuses ---- */

static struct span thinking_turns(struct world *w, const char *more)
{
    return arena_printf(
        &w->arena,
        "{\"model\":\"claude-x\", \"max_tokens\":900,\"messages\":[{\"role\":\"user\",\"content\":"
        "\"hi\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
        "\"signature\":\"foreign\"},{\"type\":\"text\",\"text\":\"ho\"}]}%s,{\"role\":\"user\","
        "\"content\":\"go on\"}]}",
        more);
}

static void refused_thinking_is_taken_out_and_the_client_hears_nothing(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL);
    w->upstreams[CLAUDE].refuses = "foreign";
    ask(w, thinking_turns(w, ""));
    assert_int_equal(w->status, 200);
    assert_true(span_is(w->served_by, "claude"));
    assert_true(span_is(w->lossy, "thinking"));
    assert_int_equal(w->upstreams[CLAUDE].asked, 2);
    assert_false(said(w->upstreams[CLAUDE].body, "signature"));
    assert_true(said(w->upstreams[CLAUDE].body, "\"ho\""));
    assert_int_equal(breaker_view(&w->breakers[CLAUDE], loop_now(w->loop)).failures_in_row, 0);
    /* The next turn: known at once, and what Claude has thought since goes with it. */
    static const char more[] = ",{\"role\":\"user\",\"content\":\"on\"},{\"role\":\"assistant\","
                               "\"content\":[{\"type\":\"thinking\",\"thinking\":\"ah\","
                               "\"signature\":\"claudes\"},{\"type\":\"text\",\"text\":\"x\"}]}";
    ask(w, thinking_turns(w, more));
    assert_int_equal(w->status, 200);
    assert_int_equal(w->upstreams[CLAUDE].asked, 3);
    assert_false(said(w->upstreams[CLAUDE].body, "foreign"));
    assert_true(said(w->upstreams[CLAUDE].body, "claudes"));
    assert_int_equal(w->upstreams[SMALL].asked, 0);
    tear_down(w);
}

static void a_refusal_is_told_as_it_came_when_the_repeat_is_refused_too(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL);
    w->upstreams[CLAUDE].refuses = "";
    ask(w, thinking_turns(w, ""));
    assert_int_equal(w->status, 400);
    assert_true(span_eq(buf_span(&w->got), SPAN(THINKING_REFUSAL)));
    assert_int_equal(w->upstreams[CLAUDE].asked, 2);
    assert_int_equal(w->upstreams[SMALL].asked, 0);
    /* Without thinking there is nothing to take out: no repeat, but another opinion. */
    ask(w, SPAN("{\"model\":\"claude-x\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                "\"content\":\"hi\"}]}"));
    assert_int_equal(w->status, 200);
    assert_true(span_is(w->served_by, "small"));
    assert_int_equal(w->upstreams[CLAUDE].asked, 3);
    assert_int_equal(breaker_view(&w->breakers[CLAUDE], loop_now(w->loop)).failures_in_row, 0);
    tear_down(w);
}

static void a_repeat_that_meets_an_outage_goes_to_the_next_target(void **state)
{
    (void)state;
    for (int other = 0; other < 2; other++) {
        struct world *w = build();
        CHAIN(w, CLAUDE, SMALL);
        w->upstreams[CLAUDE].refuses = "foreign";
        w->upstreams[CLAUDE].dead = true;
        w->upstreams[SMALL].dead = other == 0;
        ask(w, thinking_turns(w, ""));
        assert_int_equal(w->status, other ? 200 : 400);
        if (other)
            assert_true(span_is(w->served_by, "small"));
        else
            assert_true(span_eq(buf_span(&w->got), SPAN(THINKING_REFUSAL)));
        tear_down(w);
    }
}

/* The first request on the way back is the one that is refused: it closes the circuit all the
 * same. */
static void a_refused_trial_closes_the_circuit_by_its_repeat(void **state)
{
    (void)state;
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL);
    w->upstreams[CLAUDE].refuses = "foreign";
    breaker_report(&w->breakers[CLAUDE], loop_now(w->loop), CAUSE_KEY_BAD, 0, 0);
    (void)sim_run_until(w->loop, loop_now(w->loop) + 3600 * USEC_PER_SEC);
    assert_int_equal(breaker_view(&w->breakers[CLAUDE], loop_now(w->loop)).state,
                     BREAKER_HALF_OPEN);
    ask(w, thinking_turns(w, ""));
    assert_int_equal(w->status, 200);
    assert_true(span_is(w->served_by, "claude"));
    assert_int_equal(breaker_view(&w->breakers[CLAUDE], loop_now(w->loop)).state, BREAKER_CLOSED);
    tear_down(w);
}

/* ---- a target behind a gate ---- */

struct opening {
    struct timer timer;
    struct gate *gate;
    int wakes;
};

static void open_gate(struct timer *t)
{
    atomic_store(&CONTAINER_OF(t, struct opening, timer)->gate->answer, GATE_OPEN);
}

static void on_wanted(void *ctx)
{
    ((struct opening *)ctx)->wakes++;
}

/* Claude is dead; SMALL is behind the gate. Opens after `opens`; USEC_NEVER: it does not. */
static usec ask_behind_gate(struct world *w, struct gate *g, enum gate_answer answer, usec opens)
{
    struct opening o = {.gate = g};
    g->wake = on_wanted;
    g->ctx = &o;
    atomic_store(&g->answer, answer);
    w->upstreams[CLAUDE].dead = true;
    w->targets[SMALL].gate = g;
    w->relay.deadlines.first_token = 20 * USEC_PER_SEC;
    if (opens != USEC_NEVER)
        loop_timer_in(w->loop, &o.timer, opens, open_gate);
    usec began = loop_now(w->loop);
    ask(w, SPAN("{\"model\":\"claude-x\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                "\"content\":\"Hello\"}]}"));
    assert_int_equal(o.wakes > 0, answer != GATE_OPEN); /* asking starts it */
    assert_int_equal(atomic_load(&g->users), 0);
    struct breaker_view v = breaker_view(&w->breakers[SMALL], loop_now(w->loop));
    assert_int_equal(v.state, BREAKER_CLOSED);
    assert_int_equal(v.failures_in_row, 0);
    assert_int_equal(v.last_cause, CAUSE_NONE);
    return loop_now(w->loop) - began;
}

static void an_engine_that_loads_is_waited_for(void **state)
{
    (void)state;
    struct gate g = {0};
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL, LARGE);
    usec took = ask_behind_gate(w, &g, GATE_LOADING, 7 * USEC_PER_SEC);
    assert_true(span_is(w->served_by, "small"));
    assert_in_range(took, 7 * USEC_PER_SEC, 8 * USEC_PER_SEC);
    assert_int_equal(w->upstreams[LARGE].asked, 0);
    tear_down(w);
}

static void an_engine_that_loads_too_long_is_passed_over_in_time(void **state)
{
    (void)state;
    struct gate g = {0};
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL, LARGE);
    usec took = ask_behind_gate(w, &g, GATE_LOADING, USEC_NEVER);
    assert_true(span_is(w->served_by, "large"));
    assert_in_range(took, 20 * USEC_PER_SEC, 21 * USEC_PER_SEC);
    assert_int_equal(w->upstreams[SMALL].asked, 0);
    tear_down(w);
}

static void the_last_one_left_is_waited_for_beyond_the_first_token(void **state)
{
    (void)state;
    struct gate g = {0};
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL);
    usec took = ask_behind_gate(w, &g, GATE_LOADING, 50 * USEC_PER_SEC);
    assert_true(span_is(w->served_by, "small"));
    assert_in_range(took, 50 * USEC_PER_SEC, 51 * USEC_PER_SEC);
    tear_down(w);
}

static void an_engine_that_was_given_up_is_passed_over_at_once(void **state)
{
    (void)state;
    struct gate g = {0};
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL, LARGE);
    usec took = ask_behind_gate(w, &g, GATE_GONE, USEC_NEVER);
    assert_true(span_is(w->served_by, "large"));
    assert_in_range(took, 0, USEC_PER_SEC);
    tear_down(w);
}

static void an_open_gate_costs_nothing(void **state)
{
    (void)state;
    struct gate g = {0};
    struct world *w = build();
    CHAIN(w, CLAUDE, SMALL, LARGE);
    usec took = ask_behind_gate(w, &g, GATE_OPEN, USEC_NEVER);
    assert_true(span_is(w->served_by, "small"));
    assert_in_range(took, 0, USEC_PER_SEC);
    tear_down(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_conversation_skips_a_target_that_is_too_small),
        cmocka_unit_test(old_tool_results_are_shortened_for_a_small_target_and_it_says_so),
        cmocka_unit_test(a_claude_that_answers_is_asked_byte_for_byte_however_long_it_is),
        cmocka_unit_test(a_claude_whose_history_is_cleaned_is_not_judged_either),
        cmocka_unit_test(when_it_fits_nobody_claude_code_hears_its_own_words),
        cmocka_unit_test(when_it_fits_nobody_an_openai_client_gets_its_code),
        cmocka_unit_test(when_only_the_dead_lead_would_fit_the_client_is_told_to_come_back),
        cmocka_unit_test(refused_thinking_is_taken_out_and_the_client_hears_nothing),
        cmocka_unit_test(a_refusal_is_told_as_it_came_when_the_repeat_is_refused_too),
        cmocka_unit_test(a_repeat_that_meets_an_outage_goes_to_the_next_target),
        cmocka_unit_test(a_refused_trial_closes_the_circuit_by_its_repeat),
        cmocka_unit_test(an_engine_that_loads_is_waited_for),
        cmocka_unit_test(an_engine_that_loads_too_long_is_passed_over_in_time),
        cmocka_unit_test(the_last_one_left_is_waited_for_beyond_the_first_token),
        cmocka_unit_test(an_engine_that_was_given_up_is_passed_over_at_once),
        cmocka_unit_test(an_open_gate_costs_nothing),
    };
    return cmocka_run_group_tests_name("fitting", tests, NULL, NULL);
}
