/* Errands over virtual time: embeddings and counts of tokens, towards targets that answer, refuse,
 * fall silent or die, over networks that fail, and for clients that leave.
 *
 * What must hold: each ends exactly once, in the right answer or an honest error; a model is never
 * changed for another; a silent counter costs five seconds and no more; nothing is left behind. */
#include "base/mem.h"
#include "base/span.h"
#include "net/sim.h"
#include "relay/errand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TARGETS 3
#define VECTORS "{\"data\":[{\"embedding\":[1]}],\"model\":\"%s\"}"
#define SEEDS 400

enum behaviour { DO_ANSWER, DO_SILENT, DO_CUT, DO_503, DO_400, DO_RUBBISH, BEHAVIOURS };

struct world;
struct target {
    struct world *world;
    struct server *server;
    enum behaviour how;
    const char *model; /* that it is asked for; NULL: the client's */
    int asked;
};
struct world {
    struct loop *loop;
    struct arena arena;
    struct pool *pool, *client_pool;
    struct server *gateway;
    struct budget budget;
    struct breaker breakers[TARGETS];
    struct relay relay;
    struct target up[TARGETS];
    struct relay_target targets[TARGETS];
    struct relay_route route;
    struct pieces body;
    struct buf got;
    struct call *call;
    struct exchange_report report;
    bool count, lossy;
    int status, ends, reports;
    usec ended;
};

/* ---- targets ---- */

static void target_request(void *ctx, struct request *r)
{
    struct target *t = ctx;
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    t->asked++;
    switch (t->how) {
    case DO_ANSWER:
        reply_whole(r, 200, &type, 1,
                    t->world->count
                        ? SPAN("{\"input_tokens\":77}")
                        : arena_printf(request_arena(r), VECTORS, t->model ? t->model : "e5"));
        break;
    case DO_SILENT:
        break;
    case DO_CUT:
        reply_start(r, 200, &type, 1, 1000);
        reply_body(r, SPAN("{\"data\":["));
        reply_cut(r);
        break;
    case DO_503:
        reply_whole(r, 503, &type, 1, SPAN("{\"error\":{\"message\":\"busy\"}}"));
        break;
    case DO_400:
        reply_whole(r, 400, &type, 1,
                    SPAN("{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
                         "\"message\":\"input: wrong\"}}"));
        break;
    default:
        reply_whole(r, 200, &type, 1, SPAN("[]"));
        break;
    }
}

static void target_gone(void *ctx, struct request *r)
{
    (void)ctx;
    reply_abort(r);
}

/* ---- the gateway and its client ---- */

static void gateway_request(void *ctx, struct request *r)
{
    struct world *w = ctx;
    if (w->count)
        errand_count_tokens(&w->relay, r, NULL);
    else
        errand_embeddings(&w->relay, r, NULL);
}

static void gateway_gone(void *ctx, struct request *r)
{
    (void)ctx;
    errand_client_gone(r);
}

static const struct relay_route *route_for(void *ctx, struct request *r, struct span model)
{
    (void)r, (void)model;
    return &((struct world *)ctx)->route;
}

static void on_done(void *ctx, const struct exchange_report *report)
{
    struct world *w = ctx;
    w->reports++;
    w->report = *report;
    w->lossy = lossy_has(&report->lossy, LOSSY_TOKEN_COUNT);
}

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
    w->call = NULL;
    w->ends++;
    w->ended = loop_now(w->loop);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    (void)e, (void)stage, (void)why;
    ((struct world *)ctx)->status = 0;
    on_end(ctx);
}

static void add_target(struct world *w, size_t i, bool claude, enum behaviour how,
                       const char *model)
{
    static const char *const names[TARGETS] = {"one", "two", "three"};
    const struct dialect *d = claude ? &dialect_anthropic : &dialect_openai_chat;
    struct url url = {.host = span_from(names[i]), .port = 80};
    struct server_handler handler = {
        .on_request = target_request, .on_gone = target_gone, .ctx = &w->up[i]};
    const char *why;
    w->up[i] = (struct target){.world = w, .how = how, .model = model};
    w->up[i].server = server_new(w->loop, &server_limits_default, &handler);
    assert_int_equal(server_listen(w->up[i].server, url.host, 80, NULL, &why), ERR_OK);
    w->targets[i] =
        (struct relay_target){.name = names[i],
                              .kind = claude ? TARGET_ANTHROPIC : TARGET_OPENAI_COMPATIBLE,
                              .dialect = d,
                              .path = arena_printf(&w->arena, "%s%s", claude ? "" : "/v1", d->path),
                              .origin = pool_origin(w->pool, &url, NULL)};
    breaker_init(&w->breakers[i], &breaker_config_default);
    w->route.links[i] = (struct relay_link){&w->targets[i], span_from(model)};
    w->route.breakers[i] = &w->breakers[i];
    w->route.count = i + 1;
}

static struct world *build(uint64_t seed, bool count)
{
    struct world *w = mem_new(struct world);
    const char *why;
    w->loop = sim_loop_new(seed);
    w->count = count;
    arena_init(&w->arena, (size_t)64 << 20);
    buf_init(&w->got, (size_t)1 << 20);
    w->pool = pool_new(w->loop, &pool_limits_default);
    w->client_pool = pool_new(w->loop, &pool_limits_default);
    budget_init(&w->budget, 20, 3);
    w->relay = (struct relay){.loop = w->loop,
                              .pool = w->pool,
                              .budget = &w->budget,
                              .reply_headers = true,
                              .route_for = route_for,
                              .on_done = on_done,
                              .ctx = w,
                              .deadlines = {.connect = 3 * USEC_PER_SEC,
                                            .first_token = 20 * USEC_PER_SEC,
                                            .stall = 15 * USEC_PER_SEC,
                                            .total = 60 * USEC_PER_SEC,
                                            .ping = 10 * USEC_PER_SEC}};
    relay_init(&w->relay);
    struct server_handler gateway = {
        .on_request = gateway_request, .on_gone = gateway_gone, .ctx = w};
    w->gateway = server_new(w->loop, &server_limits_default, &gateway);
    assert_int_equal(server_listen(w->gateway, SPAN("gateway"), 80, NULL, &why), ERR_OK);
    return w;
}

static void ask(struct world *w)
{
    static const struct call_events events = {on_head, on_body, on_end, on_error};
    struct url url = {.host = SPAN("gateway"), .port = 80};
    struct call_request req = {.method = SPAN("POST"),
                               .target = SPAN("/"),
                               .fields = SPAN("content-type: application/json\r\n"),
                               .body = &w->body};
    pieces_init(&w->body, &w->arena);
    pieces_add(&w->body, w->count ? SPAN("{\"model\":\"claude-x\",\"messages\":[{\"role\":\"user\","
                                         "\"content\":\"hello\"}]}")
                                  : SPAN("{\"model\":\"e5\",\"input\":\"x\"}"));
    w->ends = w->status = w->reports = 0;
    buf_reset(&w->got);
    w->call = call_start(w->client_pool, pool_origin(w->client_pool, &url, NULL), &req, &events, w);
}

static void run(struct world *w)
{
    usec from = loop_now(w->loop);
    ask(w);
    while (w->ends == 0 && loop_now(w->loop) < from + 200 * USEC_PER_SEC)
        (void)sim_run_until(w->loop, loop_now(w->loop) + USEC_PER_SEC);
    w->ended -= from;
}

static void tear_down(struct world *w)
{
    server_free(w->gateway);
    for (size_t i = 0; i < w->route.count; i++)
        server_free(w->up[i].server);
    relay_deinit(&w->relay); /* asserts that none is open */
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

/* ---- claims ---- */

static void a_silent_counter_costs_five_seconds(void **state)
{
    (void)state;
    struct world *w = build(1, true);
    add_target(w, 0, true, DO_SILENT, NULL);
    run(w);
    assert_int_equal(w->status, 200);
    assert_true(w->lossy && w->ended >= 5 * USEC_PER_SEC && w->ended < 6 * USEC_PER_SEC);
    assert_int_equal(breaker_view(&w->breakers[0], loop_now(w->loop)).failures_in_row, 0);
    w->up[0].how = DO_ANSWER;
    run(w);
    assert_true(span_is(buf_span(&w->got), "{\"input_tokens\":77}") && !w->lossy);
    assert_string_equal(w->report.served_by, "one");
    tear_down(w);
}

static void silent_embeddings_leave_the_next_target_half_of_the_time(void **state)
{
    (void)state;
    struct world *w = build(2, false);
    add_target(w, 0, true, DO_ANSWER, NULL);
    add_target(w, 1, false, DO_SILENT, NULL);
    add_target(w, 2, false, DO_ANSWER, NULL);
    run(w);
    assert_int_equal(w->status, 200);
    assert_true(w->ended >= 30 * USEC_PER_SEC && w->ended < 31 * USEC_PER_SEC);
    assert_int_equal(w->up[0].asked, 0);
    w->up[2].how = DO_SILENT; /* nobody: the time is used up, and told */
    run(w);
    assert_int_equal(w->status, 504);
    assert_true(w->ended < 61 * USEC_PER_SEC);
    tear_down(w);
}

static void an_open_circuit_is_passed_by_but_not_towards_another_model(void **state)
{
    (void)state;
    struct world *w = build(3, false);
    add_target(w, 0, false, DO_503, "e5");
    add_target(w, 1, false, DO_ANSWER, "e6");
    add_target(w, 2, false, DO_ANSWER, "e5");
    for (int i = 0; i < 8; i++) {
        run(w);
        assert_true(w->status == 200 && span_search(buf_span(&w->got), SPAN("\"e5\"")) > 0);
    }
    assert_int_equal(w->up[1].asked, 0);
    assert_true(w->up[0].asked < 8); /* its circuit is open by now */
    w->up[2].how = DO_503;
    run(w);
    assert_int_equal(w->status, 503);
    assert_int_equal(w->up[1].asked, 0);
    tear_down(w);
}

static bool fair(const struct world *w)
{
    if (w->status == 200 && w->count)
        return span_is(buf_span(&w->got), "{\"input_tokens\":77}") != w->lossy;
    if (w->status == 200)
        return span_search(buf_span(&w->got), SPAN("\"model\":\"e5\"")) > 0;
    return w->status >= 400 && span_search(buf_span(&w->got), SPAN("\"error\"")) >= 0;
}

static void one_seed(uint64_t seed)
{
    struct world *w = build(seed, seed % 2 == 0);
    uint32_t dice;
    loop_random(w->loop, &dice, sizeof dice);
    struct sim_faults network = {.short_io = 300, .latency_min = 10, .latency_max = 3000};
    network.reset = dice % 3 == 0 ? 30 : 0;
    network.refuse = dice % 5 == 0 ? 300 : 0;
    for (size_t i = 0; i < TARGETS; i++)
        add_target(w, i, w->count, (enum behaviour)((dice >> (8 + 3 * i)) % BEHAVIOURS),
                   i == 1 && !w->count ? "e6" : NULL);
    sim_set_faults(w->loop, &network);
    for (int i = 0; i < 4; i++) {
        bool leaves = (dice >> (20 + i)) % 4 == 0;
        if (!leaves) {
            run(w);
        } else {
            ask(w);
            (void)sim_run_until(w->loop, loop_now(w->loop) + (usec)(dice % 20000));
            call_cancel(w->call);
            w->call = NULL;
        }
        (void)sim_run_until(w->loop, loop_now(w->loop) + 200 * USEC_PER_SEC);
        bool reached = w->reports == 1 && w->status != 0;
        if (w->ends > 1 || w->reports > 1 || w->relay.open > 0 || (!leaves && w->ends != 1) ||
            (!leaves && reached && !fair(w)))
            fail_msg("seed %llu, request %d: ends %d, reports %d, open %zu, status %d, %.200s",
                     (unsigned long long)seed, i, w->ends, w->reports, w->relay.open, w->status,
                     w->got.at ? w->got.at : "");
    }
    if (!w->count)
        assert_int_equal(w->up[1].asked, 0); /* the other model */
    tear_down(w);
}

static void whatever_happens_an_errand_ends_once_and_honestly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_counter_costs_five_seconds),
        cmocka_unit_test(silent_embeddings_leave_the_next_target_half_of_the_time),
        cmocka_unit_test(an_open_circuit_is_passed_by_but_not_towards_another_model),
        cmocka_unit_test(whatever_happens_an_errand_ends_once_and_honestly),
    };
    return cmocka_run_group_tests_name("errand", tests, NULL, NULL);
}
