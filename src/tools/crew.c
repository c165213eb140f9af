/* See crew.h. Two things make sure that nothing outlives its owner: crew_close kills each process
 * with its group, and for an owner that is killed itself, each child has asked the system for a
 * SIGKILL of its own (crew_child_main, between fork and the real command). */
#include "tools/crew.h"
#include "base/span.h"
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_INTERNAL 70

static void trouble(struct crew *c, const char *what)
{
    if (!c->stopping)
        c->on_trouble(c->ctx, what);
}

/* ---- listening to them ---- */

static void start_gateway(struct crew *c);

static void someone_listens(struct crew *c)
{
    struct crew_process *p = c->process;
    if (c->stopping || p[CREW_LEAD].url[0] == '\0' || p[CREW_SPARE].url[0] == '\0')
        return;
    if (!p[CREW_GATEWAY].started)
        start_gateway(c);
    else if (p[CREW_GATEWAY].url[0] != '\0' && p[CREW_GATEWAY].admin[0] != '\0')
        c->on_ready(c->ctx);
}

/* "... MARKhttp://127.0.0.1:1234 ...": true when the address has just become known. */
static bool take_address(struct span line, const char *mark, char *to, size_t cap)
{
    ssize_t at = span_search(line, span_from(mark));
    if (at < 0 || to[0] != '\0')
        return false;
    struct span url, rest = span_drop(line, (size_t)at + strlen(mark));
    if (!span_next(&rest, ' ', &url) || !span_starts(url, SPAN("http://")) || url.len >= cap)
        return false;
    memcpy(to, url.at, url.len);
    to[url.len] = '\0';
    return true;
}

/* The value of ` name="..."`, as far as it is plain. */
static struct span value_of(struct span line, const char *name)
{
    ssize_t at = span_search(line, span_from(name));
    struct span rest = at < 0 ? SPAN_EMPTY : span_drop(line, (size_t)at + strlen(name)), value;
    bool quoted = span_starts(rest, SPAN("\""));
    rest = span_drop(rest, quoted);
    return span_next(&rest, quoted ? '"' : ' ', &value) ? value : SPAN_EMPTY;
}

/* An answer with an error status has no `why`: then its cause and status say it. */
static void tell_failure(struct crew *c, struct span line)
{
    struct span why = value_of(line, " why="), cause = value_of(line, " cause="),
                status = value_of(line, " status=");
    char text[200];
    (void)snprintf(text, sizeof text, "%.*s%s%.*s%s%.*s", SPAN_FMT(cause),
                   why.len > 0 ? ": " : ", status ", SPAN_FMT(why), "",
                   why.len > 0 ? 0 : (int)status.len, status.at != NULL ? status.at : "");
    c->on_failure(c->ctx, text);
}

static void gateway_says(struct crew *c, struct span line)
{
    if (c->on_log && span_starts(line, SPAN("{\"ts\":")))
        c->on_log(c->ctx, line);
    else if (c->on_failure && span_search(line, SPAN("event=attempt_failed")) >= 0)
        tell_failure(c, line);
    else if (c->on_reloaded && span_search(line, SPAN("event=reloaded")) >= 0 && !c->stopping)
        c->on_reloaded(c->ctx);
    else if (span_search(line, SPAN("event=reload_refused")) >= 0)
        trouble(c, "the gateway refused its new configuration");
}

static void on_line(void *ctx, struct span line)
{
    struct crew_process *p = ctx;
    struct crew *c = p->crew;
    if (p == &c->process[CREW_GATEWAY])
        gateway_says(c, line);
    if (!span_starts(line, SPAN("{\"ts\":"))) {
        char *kept = p->lines[p->line_count++ % CREW_LINES];
        (void)snprintf(kept, sizeof p->lines[0], "%.*s", SPAN_FMT(line));
    }
    bool api = take_address(line, "listening on ", p->url, sizeof p->url);
    if (take_address(line, "admin on ", p->admin, sizeof p->admin) || api)
        someone_listens(c);
}

static bool all_gone(const struct crew *c)
{
    for (int i = 0; i < CREW_COUNT; i++)
        if (c->process[i].child != NULL && !c->process[i].gone)
            return false;
    return true;
}

static void on_exit_of(void *ctx, int status, int signum)
{
    struct crew_process *p = ctx;
    struct crew *c = p->crew;
    p->gone = true;
    if (!c->stopping) {
        char what[360];
        size_t last = (p->line_count + CREW_LINES - 1) % CREW_LINES;
        (void)snprintf(what, sizeof what,
                       "%s ended by itself (exit code %d, signal %d); it said: %s", p->label,
                       status, signum, p->line_count > 0 ? p->lines[last] : "nothing");
        trouble(c, what);
    } else if (all_gone(c)) {
        c->on_empty(c->ctx);
    }
}

/* ---- starting them ---- */

int crew_child_main(int argc, char **argv)
{
    char own[1024];
    if (argc < 2 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        child_own_path(own, sizeof own) != ERR_OK)
        return EXIT_INTERNAL;
    uint64_t parent = 0;
    if (span_u64(span_from(argv[0]), &parent) != ERR_OK || (uint64_t)getppid() != parent)
        return EXIT_INTERNAL; /* it has died before we asked */
    argv[0] = own;
    (void)execv(own, argv);
    return EXIT_INTERNAL;
}

/* argv: the command and what follows, NULL-terminated. */
#define ARGS_MAX 24
static void start(struct crew *c, enum crew_member which, const char *const *command)
{
    struct crew_process *p = &c->process[which];
    char home[140], parent[24];
    (void)snprintf(home, sizeof home, "HOME=%s", c->dir);
    (void)snprintf(parent, sizeof parent, "%d", (int)getpid());
    const char *env[] = {home, NULL};
    const char *argv[ARGS_MAX] = {c->own_path, "drill", "crew-member", parent};
    for (size_t i = 0; command[i] != NULL; i++) {
        assert(i + 5 < ARGS_MAX);
        argv[i + 4] = command[i];
    }
    struct child_options o = {
        .argv = argv, .env = env, .on_line = on_line, .on_exit = on_exit_of, .ctx = p};
    const char *why = "";
    p->started = true;
    if (child_start(c->loop, &o, &p->child, &why) == ERR_OK)
        return;
    p->child = NULL;
    trouble(c, why);
}

static void put_tool(const struct crew_plan *plan, struct buf *to)
{
    enum err e = buf_printf(to, "%s={\"words\":\"", plan->tool);
    for (int i = 1; e == ERR_OK && i <= plan->words; i++)
        e = buf_printf(to, "%sw%d", i > 1 ? " " : "", i);
    if (e == ERR_OK)
        e = buf_add(to, SPAN("\"}\0")); /* with the end of a string */
    assert(e == ERR_OK);
}

static void start_standin(struct crew *c, enum crew_member which, const char *name)
{
    const struct crew_plan *plan = c->plan;
    char words[16];
    struct buf tool;
    (void)snprintf(words, sizeof words, "%d", plan->words);
    buf_init(&tool, 4096);
    if (plan->tool)
        put_tool(plan, &tool);
    const char *command[] = {"standin",
                             "--name",
                             name,
                             "--listen",
                             "127.0.0.1:0",
                             "--words",
                             words,
                             "--rate",
                             plan->rate,
                             "--first-token",
                             plan->first_token,
                             plan->tool ? "--tool" : NULL,
                             buf_span(&tool).at,
                             NULL};
    start(c, which, command);
    buf_deinit(&tool);
}

static bool write_config(struct crew *c, const char *lead, const char *ca)
{
    const struct crew_plan *plan = c->plan;
    int fd = open(c->config, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    int put = fprintf(f,
                      "listen: 127.0.0.1:0\n"
                      "admin: 127.0.0.1:0\n"
                      "workers: 1\n"
                      "targets:\n"
                      "  %s: { kind: standin, url: \"%s\", speaks: anthropic%s%s%s }\n"
                      "  %s: { kind: standin, url: \"%s\", speaks: openai }\n"
                      "models:\n"
                      "  - match: \"*\"\n"
                      "    chain: [ %s, %s/%s ]\n"
                      "%s",
                      plan->lead, lead, ca != NULL ? ", ca: \"" : "", ca != NULL ? ca : "",
                      ca != NULL ? "\"" : "", plan->spare, c->process[CREW_SPARE].url, plan->lead,
                      plan->spare, plan->spare_model, plan->settings);
    return (fclose(f) == 0) & (put > 0);
}

static void start_gateway(struct crew *c)
{
    const char *command[] = {"serve", "--config", c->config, NULL};
    if (write_config(c, c->process[CREW_LEAD].url, NULL))
        start(c, CREW_GATEWAY, command);
    else
        trouble(c, "the gateway's configuration file could not be written");
}

void crew_move_lead(struct crew *c, const char *url, const char *ca)
{
    if (write_config(c, url, ca))
        child_signal(c->process[CREW_GATEWAY].child, SIGHUP);
    else
        trouble(c, "the gateway's configuration file could not be written");
}

static bool make_dir(struct crew *c)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] != '/' || strlen(base) > 80)
        base = "/tmp";
    (void)snprintf(c->dir, sizeof c->dir, "%s/hotspare-%s-XXXXXX", base, c->plan->purpose);
    if (mkdtemp(c->dir) == NULL) {
        c->dir[0] = '\0';
        return false;
    }
    (void)snprintf(c->config, sizeof c->config, "%s/hotspare.yaml", c->dir);
    return true;
}

void crew_open(struct crew *c)
{
    for (int i = 0; i < CREW_COUNT; i++)
        c->process[i] = (struct crew_process){.crew = c, .label = c->plan->label[i]};
    if (child_own_path(c->own_path, sizeof c->own_path) != ERR_OK) {
        trouble(c, "this program's own path could not be found");
    } else if (!make_dir(c)) {
        trouble(c, "no temporary directory could be made");
    } else {
        start_standin(c, CREW_LEAD, c->plan->lead);
        start_standin(c, CREW_SPARE, c->plan->spare);
    }
}

/* ---- ending them ---- */

void crew_stop(struct crew *c)
{
    c->stopping = true;
    for (int i = 0; i < CREW_COUNT; i++)
        if (c->process[i].child != NULL && !c->process[i].gone)
            child_signal(c->process[i].child, SIGTERM);
    if (all_gone(c))
        c->on_empty(c->ctx);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    (void)remove(path); /* what cannot be removed is left; there is nobody to tell */
    return 0;
}

void crew_close(struct crew *c)
{
    c->stopping = true;
    for (int i = 0; i < CREW_COUNT; i++) {
        child_free(c->process[i].child);
        c->process[i].child = NULL;
    }
    if (c->dir[0] != '\0')
        (void)nftw(c->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    c->dir[0] = '\0';
}
