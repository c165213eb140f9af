/* `hotspare serve`: read the configuration, say who is in the chain, start the workers, obey
 * signals.
 *
 * The main thread runs a loop of its own for signals only, so that a busy worker never delays a
 * drain. HUP reloads: the new configuration is read and checked off to the side and adopted whole,
 * or the old one stays. TERM drains; a second TERM, or INT while draining, leaves now. */
#include "serve/serve.h"

#include "base/mem.h"
#include "base/span.h"
#include "serve/engines.h"
#include "serve/health.h"
#include "serve/learned_file.h"
#include "serve/load.h"
#include "serve/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define SAVE_TIME (30 * USEC_PER_SEC)
#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define EXIT_IO 74
#define EXIT_CONFIG 78

struct process {
    struct service service;
    struct load_flags flags;
    struct loop *loop; /* signals */
    struct worker *workers;
    size_t count, made; /* made: those that worker_init has seen */
    atomic_size_t running;
    struct timer save_timer;
    int access_fd;
    const char *access_path; /* NULL = stderr */
    bool draining, started;  /* started: the workers run */
};

static void usage(FILE *to)
{
    (void)fputs("usage: hotspare serve [--config FILE] [--listen HOST:PORT] [--admin HOST:PORT] "
                "[--workers N]\n"
                "\n"
                "  --config FILE   configuration; - = none, only the environment (default: "
                "$HOTSPARE_CONFIG,\n"
                "                  ~/.config/hotspare/hotspare.yaml, /etc/hotspare/hotspare.yaml, "
                "else none)\n"
                "  --listen H:P    API address (default 127.0.0.1:8484)\n"
                "  --admin H:P     admin address (default 127.0.0.1:8485)\n"
                "  --workers N     threads (default: one per core)\n"
                "  --quiet         no access log and no start-up table\n"
                "\n"
                "Without a file the chain is made from ANTHROPIC_API_KEY, OPENAI_API_KEY and the "
                "engines found on\n"
                "this machine. Signals: HUP reload, USR1 reopen the access log, TERM drain, TERM "
                "again leave now.\n",
                to);
}

static void print_report(const struct loaded *l)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    config_report_print(&l->report, &l->source, &text);
    if (text.len > 0)
        (void)fwrite(text.at, 1, text.len, stderr);
    buf_deinit(&text);
}

/* ---- the start-up table ---- */

static const char *key_origin(const struct config_target *t, char *out, size_t cap)
{
    static const char *const forms[] = {
        [SECRET_ENV] = "env", [SECRET_FILE] = "file", [SECRET_CRED] = "cred"};
    const struct config_secret *key = t->key.form          ? &t->key
                                      : t->access_key.form ? &t->access_key
                                                           : &t->service_account;
    if (key->form == SECRET_NONE)
        return "no key";
    if (key->form == SECRET_LITERAL)
        return "key: written in the file";
    (void)snprintf(out, cap, "key: %s %.*s", forms[key->form],
                   SPAN_FMT(key->source)); /* a cut name is fine */
    return out;
}

static void print_route(const struct config *c, const struct config_route *route)
{
    (void)fprintf(stderr, "  models %s\n", route->match);
    for (size_t i = 0; i < route->link_count; i++) {
        const struct config_link *link = &route->links[i];
        const struct config_target *t = &c->targets[link->target];
        char key[200];
        (void)fprintf(stderr, "    %zu %-12s %-36s %-34s %s%s\n", i + 1, t->name, t->url_text,
                      link->model ? link->model : "(the client's model)",
                      key_origin(t, key, sizeof key), t->found ? ", found on this machine" : "");
    }
}

static void print_table(const struct process *p, const struct loaded *l)
{
    const struct config *c = l->config;
    (void)fprintf(stderr, "hotspare " HOTSPARE_VERSION ", %zu worker%s, configuration: %s\n",
                  p->count, p->count == 1 ? "" : "s",
                  l->source.path ? l->source.path : "the environment");
    for (size_t i = 0; i < c->route_count; i++)
        print_route(c, &c->routes[i]);
    for (size_t i = 0; i < l->found.missing_count; i++)
        (void)fprintf(stderr, "%s%s%s", i ? ", " : "  not found: ", l->found.missing[i],
                      i + 1 == l->found.missing_count ? "\n" : "");
    if (c->route_count && c->routes[0].link_count == 1)
        (void)fprintf(stderr, "  note: there is one target only; when it is gone nobody else "
                              "answers. Set OPENAI_API_KEY, "
                              "start an engine, or add a target.\n");
    uint16_t api = server_port(p->workers[0].api), admin = server_port(p->workers[0].admin);
    (void)fprintf(
        stderr,
        "  next: ANTHROPIC_BASE_URL=http://127.0.0.1:%u claude     "
        "OPENAI_BASE_URL=http://127.0.0.1:%u/v1\n"
        "        curl -s http://127.0.0.1:%u/api/status     hotspare init > hotspare.yaml\n",
        api, api, admin);
}

static void print_ports(const struct process *p, const struct config *c)
{
    (void)fprintf(stderr, "listening on %s://%s:%u\n", c->listen.cert ? "https" : "http",
                  c->listen.host, server_port(p->workers[0].api));
    (void)fprintf(stderr, "admin on %s://%s:%u\n", c->admin.cert ? "https" : "http", c->admin.host,
                  server_port(p->workers[0].admin));
}

/* ---- signals ---- */

/* What outlives a restart, when there is a folder for it. */
static void save_state(struct process *p)
{
    struct snapshot *s = service_snapshot(&p->service);
    const char *folder = s->config->state_dir;
    if (folder) {
        service_save_breakers(&p->service, folder, loop_now(p->loop), loop_wall(p->loop));
        learned_file_save(&p->service.learned, folder, loop_wall(p->loop));
    }
    snapshot_unref(s);
}

static void load_state(struct process *p, const char *folder)
{
    if (!folder)
        return;
    service_load_breakers(&p->service, folder, loop_now(p->loop), loop_wall(p->loop));
    learned_file_load(&p->service.learned, folder, loop_wall(p->loop));
}

static void on_save(struct timer *t)
{
    struct process *p = CONTAINER_OF(t, struct process, save_timer);
    save_state(p);
    loop_timer_in(p->loop, t, SAVE_TIME, on_save);
}

static bool same_listen(const struct config_listen *a, const struct config_listen *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void warn_fixed(struct process *p, const struct config *fresh)
{
    struct snapshot *s = service_snapshot(&p->service);
    if (!same_listen(&s->config->listen, &fresh->listen) ||
        !same_listen(&s->config->admin, &fresh->admin))
        log_line(LOG_WARN, "reload_needs_restart", "what",
                 "listen and admin addresses change only at a restart", NULL);
    snapshot_unref(s);
}

static void reload(struct process *p)
{
    struct loaded l;
    const char *why = "";
    char reason[256] = "";
    enum err e = load_config(&p->flags, true, true, &l, &why);
    atomic_store(&p->service.reload_wall, loop_wall(p->loop));
    print_report(&l);
    if (e == ERR_OK) {
        warn_fixed(p, l.config);
        e = service_adopt(&p->service, l.config, reason);
        l.config = NULL;
        why = reason;
    }
    atomic_store(&p->service.reload_failed, e != ERR_OK);
    if (e == ERR_OK) {
        for (size_t i = 0; i < p->count; i++)
            worker_reload(&p->workers[i]);
        engines_adopt(p->service.engines);
        log_line(LOG_INFO, "reloaded", "file", l.source.path ? l.source.path : "(environment)",
                 NULL);
    } else {
        log_line(LOG_ERROR, "reload_refused", "file",
                 l.source.path ? l.source.path : "(environment)", "why", why, "what",
                 "the old configuration stays", NULL);
    }
    loaded_deinit(&l);
}

static void each_worker(struct process *p, void (*order)(struct worker *w))
{
    for (size_t i = 0; i < p->count; i++)
        order(&p->workers[i]);
}

static void on_leave(void *ctx, int signum)
{
    struct process *p = ctx;
    if (p->draining) {
        each_worker(p, worker_cut);
        return;
    }
    p->draining = true;
    atomic_store(&p->service.draining, true);
    log_line(LOG_INFO, "draining", "signal", signum == SIGTERM ? "TERM" : "INT", "what",
             "running requests finish; once more to leave now", NULL);
    each_worker(p, worker_drain);
}

static void on_reload(void *ctx, int signum)
{
    (void)signum;
    reload(ctx);
}

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
}

static void on_reopen(void *ctx, int signum)
{
    struct process *p = ctx;
    (void)signum;
    if (!p->access_path)
        return;
    int fd = open_log(p->access_path);
    if (fd < 0) {
        log_line(LOG_ERROR, "log_not_reopened", "file", p->access_path, "why", strerror(errno),
                 NULL);
        return;
    }
    /* In place and at once for every worker: the number they hold now means the new file. */
    if (dup3(fd, p->access_fd, O_CLOEXEC) < 0)
        log_line(LOG_ERROR, "log_not_reopened", "file", p->access_path, "why", strerror(errno),
                 NULL);
    (void)close(fd); /* nothing was written through it */
}

static void on_engines_gone(void *ctx)
{
    loop_stop(((struct process *)ctx)->loop);
}

/* A worker has stopped, or a request waits for an engine. */
static void on_wake(void *ctx)
{
    struct process *p = ctx;
    if (p->started && atomic_load(&p->running) == 0)
        engines_stop(p->service.engines, on_engines_gone, p);
    else
        engines_wake(p->service.engines);
}

/* ---- life ---- */

struct start {
    struct process *process;
    struct worker *worker;
};

static void *run_worker(void *arg)
{
    struct start start = *(struct start *)arg;
    mem_free(arg);
    worker_run(start.worker);
    atomic_fetch_sub(&start.process->running, 1);
    loop_wake(start.process->loop);
    return NULL;
}

static enum err start_threads(struct process *p)
{
    sigset_t all, old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &old); /* workers take no signals; the main loop does */
    enum err e = ERR_OK;
    for (size_t i = 0; i < p->count && e == ERR_OK; i++) {
        struct start *start = mem_new(struct start);
        *start = (struct start){p, &p->workers[i]};
        atomic_fetch_add(&p->running, 1);
        if (pthread_create(&p->workers[i].thread, NULL, run_worker, start) != 0)
            e = ERR_IO;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e;
}

static size_t worker_count(const struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = c->workers ? c->workers : cores > 0 ? (size_t)cores : 1;
    return n > 64 ? 64 : n;
}

static int open_access_log(struct process *p, const struct config *c, bool quiet)
{
    if (quiet || !c->log_requests)
        return -1;
    if (!c->access_log)
        return STDERR_FILENO;
    if (strcmp(c->access_log, "-") == 0)
        return STDOUT_FILENO;
    p->access_path = mem_strdup(c->access_log);
    return open_log(c->access_log);
}

/* Keys live in our memory: no core file, no ptrace by other processes of the user. Descriptors: as
 * many as allowed. */
static void harden(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0);
    struct rlimit core = {0, 0}, files;
    (void)setrlimit(RLIMIT_CORE, &core);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static int start_workers(struct process *p, const struct loaded *l, bool quiet)
{
    const struct config *c = l->config;
    char why[256] = "";
    p->count = worker_count(c);
    p->workers = mem_zalloc(p->count * sizeof *p->workers);
    p->access_fd = open_access_log(p, c, quiet);
    if (p->access_path && p->access_fd < 0) {
        (void)fprintf(stderr, "hotspare: access_log %s: %s\n", p->access_path, strerror(errno));
        return EXIT_IO;
    }
    for (size_t i = 0; i < p->count; i++) {
        uint16_t port = i ? server_port(p->workers[0].api) : 0;
        p->made++;
        if (worker_init(&p->workers[i], &p->service, p->workers, i, p->count, port, p->access_fd,
                        why) != ERR_OK) {
            (void)fprintf(stderr, "hotspare: %s\n", why);
            return EXIT_UNAVAILABLE;
        }
    }
    return 0;
}

/* Before anybody is told that we are there: who reads it may send a signal at once. It is acted on
 * when run() runs the loop. */
static void mind_signals(struct process *p)
{
    loop_on_wake(p->loop, on_wake, p);
    loop_on_signal(p->loop, SIGTERM, on_leave, p);
    loop_on_signal(p->loop, SIGINT, on_leave, p);
    loop_on_signal(p->loop, SIGHUP, on_reload, p);
    loop_on_signal(p->loop, SIGUSR1, on_reopen, p);
}

static void run(struct process *p)
{
    loop_timer_in(p->loop, &p->save_timer, SAVE_TIME, on_save);
    engines_run(p->service.engines, p->loop, &p->service);
    struct health *health = health_new(p->loop, &p->service);
    p->started = true;
    if (start_threads(p) != ERR_OK) {
        (void)fprintf(stderr, "hotspare: no more threads can be started\n");
        exit(EXIT_UNAVAILABLE);
    }
    loop_run(p->loop);
    health_free(health);
    for (size_t i = 0; i < p->count; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
    save_state(p);
    loop_timer_cancel(p->loop, &p->save_timer);
}

static void clean_up(struct process *p)
{
    /* The work is done: a second signal now must not turn an orderly end into a death by signal. */
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (size_t i = 0; i < p->made; i++)
        worker_deinit(&p->workers[i]);
    mem_free(p->workers);
    if (p->access_path && p->access_fd >= 0)
        (void)close(p->access_fd); /* flushed by the workers' end */
    mem_free((char *)(uintptr_t)p->access_path);
    service_deinit(&p->service);
    loop_free(p->loop);
}

static int serve(struct process *p, struct loaded *l, bool quiet)
{
    char why[256] = "";
    int status = EXIT_CONFIG;
    p->loop = loop_new();
    service_init(&p->service, loop_wall(p->loop));
    if (service_adopt(&p->service, config_ref(l->config), why) == ERR_OK)
        status = start_workers(p, l, quiet);
    else
        (void)fprintf(stderr, "hotspare: %s\n", why);
    if (status == 0) {
        load_state(p, l->config->state_dir);
        mind_signals(p);
        if (!quiet)
            print_table(p, l);
        print_ports(p, l->config);
        run(p);
    }
    clean_up(p);
    return status;
}

int serve_main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"listen", required_argument, NULL, 'l'},
                                            {"admin", required_argument, NULL, 'a'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct process p = {.access_fd = -1};
    bool quiet = false;
    int c;
    while ((c = getopt_long(argc, argv, "c:qh", options, NULL)) != -1) {
        if (c == 'c')
            p.flags.config = optarg;
        else if (c == 'l')
            p.flags.listen = optarg;
        else if (c == 'a')
            p.flags.admin = optarg;
        else if (c == 'w')
            p.flags.workers = optarg;
        else if (c == 'q')
            quiet = true;
        else {
            usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : EXIT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "hotspare serve: unexpected argument \"%s\"\n", argv[optind]);
        return EXIT_USAGE;
    }
    harden();
    struct loaded l;
    const char *why = "";
    enum err e = load_config(&p.flags, true, true, &l, &why);
    print_report(&l);
    if (e != ERR_OK && why[0])
        (void)fprintf(stderr, "hotspare: %s\n", why);
    int status = e == ERR_OK ? serve(&p, &l, quiet) : EXIT_CONFIG;
    loaded_deinit(&l);
    return status;
}
