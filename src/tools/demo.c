/* The demo's order of events:
 *
 *   start three processes -> direct -> before -> cut -> account disabled -> back -> silent -> after
 *     -> let the last turns end -> ask the processes to end -> scorecard
 *
 * Each phase begins when the Claude stand-in has confirmed what it was told. Ctrl-C, a process that
 * dies and a time limit all lead into the same ending, so nothing is left behind. */
#include "tools/demo.h"
#include "base/mem.h"
#include "base/span.h"
#include "http/url.h"
#include "tools/demo_internal.h"
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>

#define EXIT_LOST 1
#define EXIT_BROKEN 2
#define EXIT_USAGE 64
#define EXIT_CTRL_C 130

#define SECONDS_DEFAULT 16
#define SECONDS_LEAST 6
#define SECONDS_MOST 24
#define START_TIME (8 * USEC_PER_SEC)   /* for the three processes together */
#define FINISH_TIME (3 * USEC_PER_SEC)  /* for the last turns */
#define LEAVE_TIME (1500 * USEC_PER_MS) /* for the processes to end by themselves */
#define CARD_BYTES ((size_t)65536)

static void begin_ending(struct demo *d);

static void fail(struct demo *d, const char *what)
{
    if (d->ending)
        return;
    (void)snprintf(d->trouble, sizeof d->trouble, "%s", what);
    d->result = EXIT_BROKEN;
    begin_ending(d);
}

/* ---- the ending ---- */

static void stop_now(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct demo, over)->loop);
}

static void crew_is_empty(void *ctx)
{
    loop_stop(((struct demo *)ctx)->loop);
}

/* Runs from a timer, never from within a call's callback. */
static void end(struct timer *t)
{
    struct demo *d = CONTAINER_OF(t, struct demo, over);
    call_cancel(d->order);
    d->order = NULL;
    for (int i = 0; i < TALKS; i++)
        talk_deinit(&d->talks[i]);
    pool_free(d->pool);
    d->pool = NULL;
    loop_timer_in(d->loop, &d->over, LEAVE_TIME, stop_now);
    crew_stop(&d->crew);
}

static void begin_ending(struct demo *d)
{
    if (d->ending)
        return;
    d->ending = d->winding_down = true;
    d->score.phase[d->phase].ended = loop_now(d->loop);
    loop_timer_cancel(d->loop, &d->step);
    loop_timer_cancel(d->loop, &d->draw);
    loop_timer_cancel(d->loop, &d->limit);
    loop_timer_in(d->loop, &d->over, 0, end);
}

static void finishing_takes_too_long(struct timer *t)
{
    begin_ending(CONTAINER_OF(t, struct demo, step));
}

void demo_turn_over(struct demo *d)
{
    if (!d->winding_down || d->ending)
        return;
    for (int i = 0; i < TALKS; i++)
        if (d->talks[i].call != NULL)
            return;
    begin_ending(d);
}

/* No new turns; those under way may end. One that does not is an interruption. */
static void wind_down(struct demo *d)
{
    d->winding_down = true;
    d->score.phase[d->phase].ended = loop_now(d->loop);
    for (int i = 0; i < TALKS; i++)
        talk_hurry(&d->talks[i], FINISH_TIME);
    loop_timer_in(d->loop, &d->step, FINISH_TIME + USEC_PER_SEC, finishing_takes_too_long);
    demo_turn_over(d);
}

/* ---- the phases ---- */

static void give_order(struct demo *d);

static void phase_ends(struct timer *t)
{
    struct demo *d = CONTAINER_OF(t, struct demo, step);
    if (d->phase + 1 == PHASE_COUNT) {
        wind_down(d);
        return;
    }
    d->next_phase = d->phase + 1;
    give_order(d);
}

static void enter_phase(struct demo *d, enum demo_phase p)
{
    if (p == PHASE_BEFORE && d->score.phase[PHASE_DIRECT].first.count == 0) {
        fail(d, "the stand-in Claude did not answer");
        return;
    }
    usec now = loop_now(d->loop);
    const struct phase_facts *f = &phase_facts[p];
    if (p != d->phase)
        d->score.phase[d->phase].ended = now;
    d->phase = p;
    d->score.phase[p].began = now;
    d->to = p == PHASE_DIRECT ? d->claude : d->gateway;
    show_event(&d->show, now - d->started, f->say, strcmp(f->fault, "none") != 0);
    loop_timer_in(d->loop, &d->step, d->measured * f->percent / 100, phase_ends);
}

static void order_head(void *ctx, const struct http_head *head)
{
    ((struct demo *)ctx)->order_status = head->status;
}

static void order_body(void *ctx, struct span bytes)
{
    (void)ctx;
    (void)bytes;
}

static void order_done(void *ctx)
{
    struct demo *d = ctx;
    d->order = NULL;
    if (d->order_status / 100 == 2)
        enter_phase(d, d->next_phase);
    else
        fail(d, "the stand-in Claude did not take its orders");
}

static void order_failed(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct demo *d = ctx;
    (void)e;
    (void)stage;
    (void)why;
    d->order = NULL;
    fail(d, "the stand-in Claude could not be reached");
}

static void give_order(struct demo *d)
{
    static const struct call_events events = {.on_head = order_head,
                                              .on_body = order_body,
                                              .on_end = order_done,
                                              .on_error = order_failed};
    arena_reset(&d->order_arena);
    pieces_init(&d->order_body, &d->order_arena);
    pieces_add(&d->order_body, span_from(phase_facts[d->next_phase].fault));
    struct call_request request = {.method = SPAN("POST"),
                                   .target = SPAN("/_standin/faults"),
                                   .fields = SPAN("content-type: text/plain\r\n"),
                                   .body = &d->order_body};
    d->order_status = 0;
    d->order = call_start(d->pool, d->claude, &request, &events, d);
}

/* ---- the beginning ---- */

static void draw(struct timer *t)
{
    struct demo *d = CONTAINER_OF(t, struct demo, draw);
    show_now(&d->show, d);
    loop_timer_in(d->loop, &d->draw, 50 * USEC_PER_MS, draw);
}

static struct origin *origin_of(struct demo *d, enum crew_member which)
{
    struct url url;
    const char *why = "";
    if (url_parse(span_from(d->crew.process[which].url), &url, &why) != ERR_OK)
        return NULL;
    return pool_origin(d->pool, &url, NULL);
}

static void crew_is_ready(void *ctx)
{
    struct demo *d = ctx;
    d->claude = origin_of(d, CREW_LEAD);
    d->gateway = origin_of(d, CREW_GATEWAY);
    if (d->claude == NULL || d->gateway == NULL) {
        fail(d, "a process gave an address that is none");
        return;
    }
    loop_timer_cancel(d->loop, &d->limit);
    d->score.conversations = TALKS;
    enter_phase(d, PHASE_DIRECT);
    for (int i = 0; i < TALKS; i++)
        talk_start_in(&d->talks[i], (usec)loop_random_below(d->loop, 100 * USEC_PER_MS));
    draw(&d->draw);
}

static void crew_has_trouble(void *ctx, const char *what)
{
    fail(ctx, what);
}

static void starting_takes_too_long(struct timer *t)
{
    fail(CONTAINER_OF(t, struct demo, limit), "the processes did not start in time");
}

static void on_signal(void *ctx, int signum)
{
    struct demo *d = ctx;
    (void)signum;
    if (d->ending)
        return;
    d->result = EXIT_CTRL_C;
    begin_ending(d);
}

/* Short times of breaker and ramp let fifteen seconds hold what takes minutes in life. */
static const struct crew_plan plan = {
    .purpose = "demo",
    .label = {"the stand-in Claude", "the stand-in OpenAI", "the gateway"},
    .lead = "claude",
    .spare = "openai",
    .spare_model = "gpt-demo",
    .words = TALK_WORDS,
    .rate = TALK_RATE_TEXT,
    .first_token = TALK_FIRST_TOKEN_TEXT,
    .settings = "log_requests: false\n"
                "deadlines: { first_token: 700ms }\n"
                "breaker: { open: 400ms, max_open: 400ms }\n"
                "return: { ramp: 250ms }\n",
};

static void open_demo(struct demo *d)
{
    d->loop = loop_new();
    d->pool = pool_new(d->loop, &pool_limits_default);
    d->started = loop_now(d->loop);
    d->result = -1; /* decided by the score */
    arena_init(&d->scratch, CARD_BYTES);
    arena_init(&d->order_arena, 4096);
    score_init(&d->score);
    show_init(&d->show);
    for (int i = 0; i < TALKS; i++)
        talk_init(&d->talks[i], d);
    loop_on_signal(d->loop, SIGINT, on_signal, d);
    loop_on_signal(d->loop, SIGTERM, on_signal, d);
    loop_on_signal(d->loop, SIGHUP, on_signal, d);
    loop_timer_in(d->loop, &d->limit, START_TIME, starting_takes_too_long);
    d->crew = (struct crew){.plan = &plan,
                            .loop = d->loop,
                            .on_ready = crew_is_ready,
                            .on_trouble = crew_has_trouble,
                            .on_empty = crew_is_empty,
                            .ctx = d};
    crew_open(&d->crew);
}

static void close_demo(struct demo *d)
{
    loop_timer_cancel(d->loop, &d->over);
    loop_free(d->loop);
    arena_deinit(&d->order_arena);
    arena_deinit(&d->scratch);
    score_deinit(&d->score);
}

/* ---- the result ---- */

static int report(struct demo *d)
{
    if (d->result == EXIT_CTRL_C) {
        (void)fprintf(stderr, "hotspare demo: stopped\n");
        return EXIT_CTRL_C;
    }
    if (d->result == EXIT_BROKEN) {
        (void)fprintf(stderr, "hotspare demo: %s\n", d->trouble);
        return EXIT_BROKEN;
    }
    struct buf out;
    buf_init(&out, CARD_BYTES);
    if (d->json)
        score_print_json(&d->score, &out);
    else
        score_print(&d->score, d->show.colour_result, &out);
    bool written = fwrite(out.at, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    buf_deinit(&out);
    if (!score_means_something(&d->score)) {
        (void)fprintf(stderr, "hotspare demo: who answered does not fit what was done to Claude\n");
        return EXIT_BROKEN;
    }
    if (!written)
        return EXIT_BROKEN;
    return score_perfect(&d->score) ? 0 : EXIT_LOST;
}

static void help(FILE *to)
{
    (void)fprintf(
        to,
        "usage: hotspare demo [--seconds N] [--json]\n\n"
        "Shows the main job, without a key or a network: a stand-in Claude, a stand-in\n"
        "OpenAI and a gateway run as processes of this machine, and 20 conversations keep\n"
        "streaming while Claude hangs up in mid-sentence, goes away twice and comes back.\n\n"
        "  --seconds N   how long the conversations go on, %d to %d (%d)\n"
        "  --json        the scorecard as JSON (schema hotspare.demo/1)\n\n"
        "Exit code: 0 nothing was lost, 1 something was, 2 the demo itself failed.\n",
        SECONDS_LEAST, SECONDS_MOST, SECONDS_DEFAULT);
}

/* -1 = go on, else the exit code. */
static int read_options(int argc, char **argv, struct demo *d)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    uint64_t seconds = SECONDS_DEFAULT;
    int c;
    optind = 1;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        bool fine = c != 's' || (span_u64(span_from(optarg), &seconds) == ERR_OK &&
                                 seconds >= SECONDS_LEAST && seconds <= SECONDS_MOST);
        if (c == 'h') {
            help(stdout);
            return 0;
        }
        if (c == '?' || !fine) {
            help(stderr);
            return EXIT_USAGE;
        }
        d->json = d->json || c == 'j';
    }
    if (optind < argc) {
        (void)fprintf(stderr, "hotspare demo: unexpected argument \"%s\"\n", argv[optind]);
        return EXIT_USAGE;
    }
    d->measured = (usec)seconds * USEC_PER_SEC;
    return -1;
}

int demo_main(int argc, char **argv)
{
    struct demo *d = mem_new(struct demo);
    int code = read_options(argc, argv, d);
    if (code < 0) {
        open_demo(d);
        loop_run(d->loop);
        show_end(&d->show);
        crew_close(&d->crew); /* the result may be read slowly: nobody waits for it */
        d->score.seconds = (double)(loop_now(d->loop) - d->started) / (double)USEC_PER_SEC;
        code = report(d);
        close_demo(d);
    }
    mem_free(d);
    return code;
}
