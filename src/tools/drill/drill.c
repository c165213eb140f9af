/* The command: what is asked for, one drill after the other, the reports.
 *
 * Each drill has processes of its own, so that no fault leaves a trace in another's figures; a few
 * run side by side, which is safe while their own lag, told in each report, is small. Verdicts go
 * to stdout as they are reached; with --json they go nowhere and the document is stdout's. Files
 * are opened before the first drill: a path that cannot be written must not cost five minutes. */
#include "tools/drill/drill.h"
#include "base/mem.h"
#include "base/span.h"
#include "net/net.h"
#include "tools/crew.h"
#include "tools/drill/own_cmd.h"
#include "tools/drill/report.h"
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_LIMIT 1
#define EXIT_BROKEN 2
#define EXIT_USAGE 64
#define EXIT_CTRL_C 130

#define RATE_DEFAULT 40
#define RATE_MOST 500
#define SECONDS_DEFAULT 3
#define SECONDS_MOST 3600
#define JOBS_DEFAULT 4
#define JOBS_MOST 16
#define CONVERSATIONS_MOST 1000000
#define DRAW_TIME (100 * USEC_PER_MS)

struct drill;

struct job { /* one variant */
    struct drill *drill;
    const struct drill_fault *fault;
    const struct drill_variant *variant;
    struct run *run; /* NULL before and after */
    struct run_result result;
    bool over, was_run;
};

struct drill {
    struct loop *loop;
    struct job *jobs;
    size_t job_count, next, told; /* to be started next; told of, in their order */
    size_t active;
    struct drill_report report;
    struct limits user;
    uint64_t seconds, rate, conversations, seed, side_by_side;
    const char *junit, *html;
    FILE *junit_to, *html_to;
    bool json, live, colour, drawn;
    struct timer draw;
    struct own_wish own;
    const char *own_option; /* the first option that only a drill against one's own chain has */
};

/* ---- the terminal ---- */

static void wipe(struct drill *d)
{
    if (d->drawn)
        (void)fputs("\r\033[K", stderr);
    d->drawn = false;
}

/* The oldest of those under way; the others are a number. */
static void draw(struct timer *t)
{
    struct drill *d = CONTAINER_OF(t, struct drill, draw);
    size_t i = d->told;
    wipe(d);
    while (i < d->next && d->jobs[i].run == NULL)
        i++;
    if (i < d->next) {
        struct run_view v = run_view(d->jobs[i].run);
        (void)fprintf(stderr, "[%zu/%zu] %s.%s  %-8s %5.1f s  open %zu  over %zu  failed %zu  %s",
                      d->told, d->job_count, d->jobs[i].fault->id, d->jobs[i].variant->id,
                      run_phase_names[v.phase], (double)v.since_start / 1e6, v.open, v.over, v.lost,
                      circuit_name(v.circuit));
        if (d->active > 1)
            (void)fprintf(stderr, "  and %zu more", d->active - 1);
        d->drawn = true;
    }
    (void)fflush(stderr);
    loop_timer_in(d->loop, &d->draw, DRAW_TIME, draw);
}

/* A fault's verdict, once its last variant is over. */
static void tell_verdict(struct drill *d, size_t first)
{
    struct buf out;
    if (d->json)
        return;
    wipe(d);
    buf_init(&out, REPORT_MAX);
    report_lines(&d->report, first, d->colour && isatty(STDOUT_FILENO) == 1, &out);
    (void)fwrite(out.at, 1, out.len, stdout);
    (void)fflush(stdout);
    buf_deinit(&out);
}

/* ---- one after the other, and some side by side ---- */

/* Verdicts come in the order of the jobs, whichever ends first. */
static void tell_in_order(struct drill *d)
{
    for (; d->told < d->job_count && d->jobs[d->told].over; d->told++) {
        struct job *j = &d->jobs[d->told];
        report_add(&d->report, j->fault, j->variant, &d->user, j->was_run ? &j->result : NULL);
        size_t first = d->report.count - 1;
        while (first > 0 && d->report.at[first - 1].fault == j->fault)
            first--;
        if (d->told + 1 == d->job_count || d->jobs[d->told + 1].fault != j->fault)
            tell_verdict(d, first);
    }
}

static void start_jobs(struct drill *d);

static void run_is_over(void *ctx)
{
    struct job *j = ctx;
    struct drill *d = j->drill;
    run_free(j->run);
    j->run = NULL;
    j->over = true;
    j->was_run = !d->report.stopped; /* half a drill says nothing */
    if (!j->was_run)
        run_result_free(&j->result);
    d->active--;
    start_jobs(d);
}

static usec fault_time(const struct drill *d)
{
    if (d->conversations > 0)
        return (usec)(d->conversations * (uint64_t)USEC_PER_SEC / d->rate) + 1;
    return (usec)d->seconds * USEC_PER_SEC;
}

static void start_job(struct drill *d, struct job *j)
{
    struct run_plan plan = {.fault = j->fault,
                            .variant = j->variant,
                            .seed = d->seed,
                            .rate = (uint32_t)d->rate,
                            .fault_time = fault_time(d)};
    d->active++;
    j->run = run_start(d->loop, &plan, &j->result, run_is_over, j);
}

static void start_jobs(struct drill *d)
{
    while (d->next < d->job_count && d->active < d->side_by_side) {
        struct job *j = &d->jobs[d->next++];
        j->drill = d;
        if (j->variant->not_run != NULL || d->report.stopped)
            j->over = true;
        else
            start_job(d, j);
    }
    tell_in_order(d);
    if (d->told == d->job_count)
        loop_stop(d->loop);
}

static void on_signal(void *ctx, int signum)
{
    struct drill *d = ctx;
    (void)signum;
    d->report.stopped = true;
    for (size_t i = 0; i < d->next; i++)
        if (d->jobs[i].run != NULL)
            run_abort(d->jobs[i].run, "stopped");
}

static void run_all(struct drill *d)
{
    d->loop = loop_new();
    loop_on_signal(d->loop, SIGINT, on_signal, d);
    loop_on_signal(d->loop, SIGTERM, on_signal, d);
    loop_on_signal(d->loop, SIGHUP, on_signal, d);
    if (d->live)
        draw(&d->draw);
    start_jobs(d);
    if (d->told < d->job_count)
        loop_run(d->loop);
    wipe(d);
    loop_timer_cancel(d->loop, &d->draw);
    loop_free(d->loop);
}

/* ---- reports ---- */

static bool write_report(const struct drill *d, FILE *to,
                         void (*print)(const struct drill_report *, struct buf *))
{
    struct buf out;
    buf_init(&out, REPORT_MAX);
    print(&d->report, &out);
    bool written = fwrite(out.at, 1, out.len, to) == out.len && fflush(to) == 0;
    buf_deinit(&out);
    return written;
}

/* The exit code. */
static int report(struct drill *d)
{
    bool written = true;
    if (d->json)
        written = write_report(d, stdout, report_json);
    if (d->junit_to != NULL)
        written =
            (write_report(d, d->junit_to, report_junit) && fclose(d->junit_to) == 0) & written;
    if (d->html_to != NULL)
        written = (write_report(d, d->html_to, report_html) && fclose(d->html_to) == 0) & written;
    if (!written) {
        (void)fprintf(stderr, "hotspare drill: a report could not be written\n");
        return EXIT_BROKEN;
    }
    if (d->report.stopped) {
        (void)fprintf(stderr, "hotspare drill: stopped; everything it started has ended\n");
        return EXIT_CTRL_C;
    }
    return report_broken(&d->report) ? EXIT_BROKEN : report_good(&d->report) ? 0 : EXIT_LIMIT;
}

static FILE *open_report(const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL)
        (void)fprintf(stderr, "hotspare drill: %s cannot be written\n", path);
    return f;
}

/* ---- what is asked for ---- */

static void usage(FILE *to)
{
    (void)fprintf(
        to,
        "usage: hotspare drill list [--json]          every fault: what is expected, and limits\n"
        "       hotspare drill run ID[,ID...]         H4, or H5.402 for one of its variants\n"
        "       hotspare drill quick                  six faults, under a minute\n"
        "       hotspare drill all                    every fault that can be committed here\n"
        "\n"
        "Outages on purpose, on this machine, without a key: a stand-in lead fails behind a real\n"
        "gateway while conversations keep coming, whole and streamed, text and tools, at both\n"
        "doors. Every word of every answer is checked.\n"
        "\n"
        "  --rate R             conversations a second, open loop (%d)\n"
        "  --seconds S          length of each fault (%d)\n"
        "  --conversations N    ... or as long as N conversations take\n"
        "  --seed N             of the plan (1)\n"
        "  --jobs N             drills side by side (%d)\n"
        "  --limit NAME=MOST    interruption=0.5; may be repeated. Names are below\n"
        "  --json               the report on stdout (schema hotspare.drill/1)\n"
        "  --junit FILE         the verdicts as JUnit XML\n"
        "  --html FILE          the timelines, one page without a script\n"
        "\n"
        "Against your own chain: the gateway that serves commits the faults itself, for a share "
        "of\n"
        "the conversations, and takes them back with the drill's end, whatever ends it.\n"
        "\n"
        "  --config FILE        of that gateway; or --gateway URL and --admin URL\n"
        "  --model NAME         asked for by the drill's own conversations\n"
        "  --key-env NAME       variable with a key that the gateway accepts; --ca FILE for https\n"
        "  --target NAME        whose answers fail (the lead)\n"
        "  --percent N          of the conversations (5)\n"
        "  --only-mine          only the drill's own are met (then 100)\n"
        "  --circuit            circuits count these failures (only with --percent 100)\n"
        "  --spend-cap N        tokens (50000), or 1.50usd with --price IN,OUT (USD a million)\n"
        "  --minutes M          of the whole drill (30); --seconds (20) and --rate (1) as above\n"
        "  --abort-on RULE      lost=0 (the default), or interruption=2 (%%)\n"
        "  --dry-run            what would be done, and what it may cost\n"
        "  --yes                do it\n"
        "\n"
        "Exit code: 0 every limit held, 1 one was broken (cap, time and abort rule are limits, "
        "too),\n"
        "2 the drill itself failed.\n"
        "\nlimits:\n",
        RATE_DEFAULT, SECONDS_DEFAULT, JOBS_DEFAULT);
    for (int i = 0; i < LIMIT_COUNT; i++)
        (void)fprintf(to, "  %-13s %-8s %s\n", limit_rows[i].name, limit_rows[i].unit,
                      limit_rows[i].help);
}

static void add_job(struct drill *d, size_t fault, size_t variant)
{
    d->jobs = mem_realloc(d->jobs, (d->job_count + 1) * sizeof *d->jobs);
    d->jobs[d->job_count++] = (struct job){.fault = &drill_faults[fault],
                                           .variant = &drill_faults[fault].variants[variant]};
}

static void add_all(struct drill *d, size_t fault, size_t variant)
{
    for (size_t v = 0; v < drill_faults[fault].variant_count; v++)
        if (variant == SIZE_MAX || variant == v)
            add_job(d, fault, v);
}

static bool add_named(struct drill *d, const char *list)
{
    struct span rest = span_from(list), name;
    while (span_next(&rest, ',', &name)) {
        size_t fault, variant;
        if (catalogue_find(span_trim(name), &fault, &variant) != ERR_OK) {
            (void)fprintf(stderr,
                          "hotspare drill: there is no fault \"%.*s\"; hotspare drill list names "
                          "them\n",
                          SPAN_FMT(name));
            return false;
        }
        add_all(d, fault, variant);
    }
    return true;
}

static void add_every(struct drill *d, bool quick)
{
    for (size_t f = 0; f < drill_fault_count; f++)
        if (!quick)
            add_all(d, f, SIZE_MAX);
        else if (drill_faults[f].quick)
            add_job(d, f, 0);
}

static int list(struct drill *d)
{
    struct buf out;
    buf_init(&out, REPORT_MAX);
    if (d->json)
        catalogue_json(&d->user, &out);
    else
        catalogue_text(&d->user, &out);
    bool written = fwrite(out.at, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    buf_deinit(&out);
    return written ? 0 : EXIT_BROKEN;
}

static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    uint64_t n;
    if (span_u64(span_from(text), &n) != ERR_OK || n < least || n > most)
        return false;
    *out = n;
    return true;
}

enum { /* options that only a drill against one's own chain has */
       OWN_CONFIG = 1000,
       OWN_GATEWAY,
       OWN_ADMIN,
       OWN_MODEL,
       OWN_KEY_ENV,
       OWN_CA,
       OWN_TARGET,
       OWN_PERCENT,
       OWN_ONLY_MINE,
       OWN_CIRCUIT,
       OWN_CAP,
       OWN_PRICE,
       OWN_MINUTES,
       OWN_ABORT,
       OWN_DRY_RUN,
       OWN_YES
};

static bool take_own_text(struct own_wish *w, int c, const char *value)
{
    switch (c) {
    case OWN_CONFIG:
        w->config = value;
        return true;
    case OWN_GATEWAY:
        w->order.gateway = value;
        return true;
    case OWN_ADMIN:
        w->order.admin = value;
        return true;
    case OWN_MODEL:
        w->order.model = value;
        return true;
    case OWN_KEY_ENV:
        w->order.key_env = value;
        return true;
    case OWN_CA:
        w->order.ca = value;
        return true;
    case OWN_TARGET:
        w->order.target = value;
        return true;
    case OWN_CAP:
        w->cap = value;
        return true;
    case OWN_PRICE:
        w->price = value;
        return true;
    default:
        w->abort_on = value;
        return true;
    }
}

static bool take_own(struct own_wish *w, int c, const char *value)
{
    switch (c) {
    case OWN_PERCENT:
        return number(value, 1, 100, &w->order.percent);
    case OWN_MINUTES:
        return number(value, 1, 24 * 60, &w->order.minutes);
    case OWN_ONLY_MINE:
        w->order.only_mine = true;
        return true;
    case OWN_CIRCUIT:
        w->circuit = true;
        return true;
    case OWN_DRY_RUN:
        w->dry_run = true;
        return true;
    case OWN_YES:
        w->yes = true;
        return true;
    default:
        return take_own_text(w, c, value);
    }
}

static bool take_option(struct drill *d, int c, const char *value)
{
    if (c >= OWN_CONFIG)
        return take_own(&d->own, c, value);
    switch (c) {
    case 'r':
        return number(value, 1, RATE_MOST, &d->rate);
    case 's':
        return number(value, 1, SECONDS_MOST, &d->seconds);
    case 'n':
        return number(value, 1, CONVERSATIONS_MOST, &d->conversations);
    case 'e':
        return number(value, 0, UINT64_MAX, &d->seed);
    case 'p':
        return number(value, 1, JOBS_MOST, &d->side_by_side);
    case 'l':
        return limit_parse(span_from(value), &d->user) == ERR_OK;
    case 'x':
        d->junit = value;
        return true;
    case 't':
        d->html = value;
        return true;
    default:
        d->json = true;
        return true;
    }
}

static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                        {"junit", required_argument, NULL, 'x'},
                                        {"html", required_argument, NULL, 't'},
                                        {"rate", required_argument, NULL, 'r'},
                                        {"seconds", required_argument, NULL, 's'},
                                        {"conversations", required_argument, NULL, 'n'},
                                        {"seed", required_argument, NULL, 'e'},
                                        {"jobs", required_argument, NULL, 'p'},
                                        {"limit", required_argument, NULL, 'l'},
                                        {"config", required_argument, NULL, OWN_CONFIG},
                                        {"gateway", required_argument, NULL, OWN_GATEWAY},
                                        {"admin", required_argument, NULL, OWN_ADMIN},
                                        {"model", required_argument, NULL, OWN_MODEL},
                                        {"key-env", required_argument, NULL, OWN_KEY_ENV},
                                        {"ca", required_argument, NULL, OWN_CA},
                                        {"target", required_argument, NULL, OWN_TARGET},
                                        {"percent", required_argument, NULL, OWN_PERCENT},
                                        {"only-mine", no_argument, NULL, OWN_ONLY_MINE},
                                        {"circuit", no_argument, NULL, OWN_CIRCUIT},
                                        {"spend-cap", required_argument, NULL, OWN_CAP},
                                        {"price", required_argument, NULL, OWN_PRICE},
                                        {"minutes", required_argument, NULL, OWN_MINUTES},
                                        {"abort-on", required_argument, NULL, OWN_ABORT},
                                        {"dry-run", no_argument, NULL, OWN_DRY_RUN},
                                        {"yes", no_argument, NULL, OWN_YES},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

/* -1 = go on, else the exit code. */
static int read_options(int argc, char **argv, struct drill *d)
{
    int c, at = 0;
    optind = 1;
    while ((c = getopt_long(argc, argv, "h", options, &at)) != -1) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (c == '?') {
            (void)fprintf(stderr, "see hotspare drill --help\n");
            return EXIT_USAGE;
        }
        if (c >= OWN_CONFIG && d->own_option == NULL)
            d->own_option = options[at].name;
        if (!take_option(d, c, optarg)) {
            (void)fprintf(stderr,
                          "hotspare drill: --%s %s: not a value this option takes; see hotspare "
                          "drill --help\n",
                          options[at].name, optarg);
            return EXIT_USAGE;
        }
    }
    return -1;
}

/* The words behind the options. -1 = drills were chosen, else the exit code. */
static int read_words(int argc, char **argv, struct drill *d)
{
    const char *verb = optind < argc ? argv[optind] : "";
    const char *more = optind + 1 < argc ? argv[optind + 1] : NULL;
    bool run = strcmp(verb, "run") == 0;
    if (optind + (run ? 2 : 1) < argc) {
        (void)fprintf(stderr, "hotspare drill: unexpected argument \"%s\"\n",
                      argv[optind + (run ? 2 : 1)]);
        return EXIT_USAGE;
    }
    if (strcmp(verb, "list") == 0)
        return list(d);
    if (run && more != NULL)
        return add_named(d, more) ? -1 : EXIT_USAGE;
    if (strcmp(verb, "quick") == 0 || strcmp(verb, "all") == 0) {
        add_every(d, strcmp(verb, "quick") == 0);
        return -1;
    }
    if (verb[0] != '\0' && !run)
        (void)fprintf(stderr, "hotspare drill: there is no \"%s\"\n\n", verb);
    usage(stderr);
    return EXIT_USAGE;
}

static bool open_reports(struct drill *d)
{
    if (d->junit != NULL)
        d->junit_to = open_report(d->junit);
    if (d->html != NULL)
        d->html_to = open_report(d->html);
    return (d->junit == NULL || d->junit_to != NULL) && (d->html == NULL || d->html_to != NULL);
}

static void set_terminal(struct drill *d)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    d->live = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
    d->colour =
        (no_color == NULL || no_color[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

/* ---- against one's own chain ---- */

/* An option of the other kind would be without effect: said, not ignored. */
static int check_kind(const struct drill *d)
{
    const char *wrong = d->conversations > 0  ? "conversations"
                        : d->side_by_side > 0 ? "jobs"
                                              : NULL;
    if (d->own_option == NULL || wrong == NULL)
        return -1;
    (void)fprintf(stderr,
                  "hotspare drill: --%s has no meaning against your own chain (--%s)\n"
                  "         fix: leave it out; --seconds and --rate say how much is asked\n",
                  wrong, d->own_option);
    return EXIT_USAGE;
}

static int run_own(struct drill *d)
{
    struct own_wish *w = &d->own;
    struct own_result *picks = mem_zalloc((d->job_count + 1) * sizeof *picks);
    int code = EXIT_BROKEN;
    for (size_t i = 0; i < d->job_count; i++) {
        picks[i].fault = d->jobs[i].fault;
        picks[i].variant = d->jobs[i].variant;
        picks[i].counts.detect = -1;
    }
    w->order.rate = d->rate;
    w->order.seconds = d->seconds;
    w->order.limits = d->user;
    if (!w->yes || w->dry_run || open_reports(d)) {
        set_terminal(d);
        struct own_outlet to = {.junit = d->junit_to,
                                .html = d->html_to,
                                .json = d->json,
                                .colour = d->colour && isatty(STDOUT_FILENO) == 1};
        code = own_command(w, &to, picks, d->job_count);
    }
    mem_free(picks);
    return code;
}

static void set_defaults(struct drill *d)
{
    d->rate = d->rate == 0 ? RATE_DEFAULT : d->rate;
    d->seconds = d->seconds == 0 ? SECONDS_DEFAULT : d->seconds;
    d->side_by_side = d->side_by_side == 0 ? JOBS_DEFAULT : d->side_by_side;
}

int drill_main(int argc, char **argv)
{
    if (argc > 3 && strcmp(argv[1], "crew-member") == 0)
        return crew_child_main(argc - 2, argv + 2);
    struct drill *d = mem_new(struct drill);
    d->seed = 1;
    int code = read_options(argc, argv, d);
    if (code < 0)
        code = read_words(argc, argv, d);
    if (code < 0)
        code = check_kind(d);
    if (code < 0 && d->own_option != NULL)
        code = run_own(d);
    set_defaults(d);
    if (code < 0 && !open_reports(d))
        code = EXIT_BROKEN;
    if (code < 0) {
        set_terminal(d);
        d->report.seed = d->seed;
        d->report.rate = (uint32_t)d->rate;
        d->report.fault_time = fault_time(d);
        run_all(d);
        code = report(d);
    }
    report_free(&d->report);
    mem_free(d->jobs);
    mem_free(d);
    return code;
}
