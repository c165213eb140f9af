/* The processes of the demo: two stand-ins, then the gateway once their addresses are known. They
 * are this same program, started anew with an empty environment and a home of their own, and are
 * ended on every path: asked first, killed with their whole group by house_close. */
#include "base/span.h"
#include "tools/demo_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void trouble(struct house *h, const char *what)
{
    if (!h->stopping)
        h->on_trouble(h->ctx, what);
}

/* ---- listening to them ---- */

static void start_gateway(struct house *h);

static void someone_listens(struct house *h)
{
    struct member *m = h->member;
    if (h->stopping || m[HOUSE_CLAUDE].url[0] == '\0' || m[HOUSE_OPENAI].url[0] == '\0')
        return;
    if (!m[HOUSE_SERVE].started)
        start_gateway(h);
    else if (m[HOUSE_SERVE].url[0] != '\0')
        h->on_ready(h->ctx);
}

static void on_line(void *ctx, struct span line)
{
    struct member *m = ctx;
    char *kept = m->lines[m->line_count++ % HOUSE_LINES];
    (void)snprintf(kept, sizeof m->lines[0], "%.*s", SPAN_FMT(line));
    struct span mark = SPAN("listening on http://");
    ssize_t at = span_search(line, mark);
    if (at < 0 || m->url[0] != '\0')
        return;
    struct span url, rest = span_drop(line, (size_t)at + strlen("listening on "));
    if (!span_next(&rest, ' ', &url) || url.len >= sizeof m->url)
        return;
    memcpy(m->url, url.at, url.len);
    m->url[url.len] = '\0';
    someone_listens(m->house);
}

static bool all_gone(const struct house *h)
{
    for (int i = 0; i < HOUSE_COUNT; i++)
        if (h->member[i].child != NULL && !h->member[i].gone)
            return false;
    return true;
}

static void on_exit_of(void *ctx, int status, int signum)
{
    struct member *m = ctx;
    struct house *h = m->house;
    m->gone = true;
    if (!h->stopping) {
        char what[360];
        size_t last = (m->line_count + HOUSE_LINES - 1) % HOUSE_LINES;
        (void)snprintf(what, sizeof what,
                       "%s ended by itself (exit code %d, signal %d); it said: %s", m->name, status,
                       signum, m->line_count > 0 ? m->lines[last] : "nothing");
        trouble(h, what);
    } else if (all_gone(h)) {
        h->on_empty(h->ctx);
    }
}

/* ---- starting them ---- */

static void start(struct house *h, enum house_member which, const char *const *argv)
{
    struct member *m = &h->member[which];
    char home[140];
    (void)snprintf(home, sizeof home, "HOME=%s", h->dir);
    const char *env[] = {home, NULL};
    struct child_options o = {
        .argv = argv, .env = env, .on_line = on_line, .on_exit = on_exit_of, .ctx = m};
    const char *why = "";
    m->started = true;
    if (child_start(h->loop, &o, &m->child, &why) == ERR_OK)
        return;
    m->child = NULL;
    trouble(h, why);
}

static void start_standin(struct house *h, enum house_member which, const char *name)
{
    const char *argv[] = {h->own_path, "standin",      "--name",        name,
                          "--listen",  "127.0.0.1:0",  "--words",       TALK_WORDS_TEXT,
                          "--rate",    TALK_RATE_TEXT, "--first-token", TALK_FIRST_TOKEN_TEXT,
                          NULL};
    start(h, which, argv);
}

/* Short times of breaker and ramp let fifteen seconds hold what takes minutes in life. */
static bool write_config(struct house *h)
{
    int fd = open(h->config, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
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
                      "log_requests: false\n"
                      "targets:\n"
                      "  claude: { kind: standin, url: \"%s\", speaks: anthropic }\n"
                      "  openai: { kind: standin, url: \"%s\", speaks: openai }\n"
                      "models:\n"
                      "  - match: \"*\"\n"
                      "    chain: [ claude, openai/gpt-demo ]\n"
                      "deadlines: { first_token: 700ms }\n"
                      "breaker: { open: 400ms, max_open: 400ms }\n"
                      "return: { ramp: 250ms }\n",
                      h->member[HOUSE_CLAUDE].url, h->member[HOUSE_OPENAI].url);
    return (fclose(f) == 0) & (put > 0);
}

static void start_gateway(struct house *h)
{
    const char *argv[] = {h->own_path, "serve", "--config", h->config, NULL};
    if (write_config(h))
        start(h, HOUSE_SERVE, argv);
    else
        trouble(h, "the demo's configuration file could not be written");
}

static bool make_dir(struct house *h)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] != '/' || strlen(base) > 80)
        base = "/tmp";
    (void)snprintf(h->dir, sizeof h->dir, "%s/hotspare-demo-XXXXXX", base);
    if (mkdtemp(h->dir) == NULL) {
        h->dir[0] = '\0';
        return false;
    }
    (void)snprintf(h->config, sizeof h->config, "%s/hotspare.yaml", h->dir);
    return true;
}

void house_open(struct house *h)
{
    static const char *const names[] = {"the stand-in Claude", "the stand-in OpenAI",
                                        "the gateway"};
    for (int i = 0; i < HOUSE_COUNT; i++)
        h->member[i] = (struct member){.house = h, .name = names[i]};
    if (child_own_path(h->own_path, sizeof h->own_path) != ERR_OK) {
        trouble(h, "this program's own path could not be found");
    } else if (!make_dir(h)) {
        trouble(h, "no temporary directory could be made");
    } else {
        start_standin(h, HOUSE_CLAUDE, "claude");
        start_standin(h, HOUSE_OPENAI, "openai");
    }
}

/* ---- ending them ---- */

void house_stop(struct house *h)
{
    h->stopping = true;
    for (int i = 0; i < HOUSE_COUNT; i++)
        if (h->member[i].child != NULL && !h->member[i].gone)
            child_signal(h->member[i].child, SIGTERM);
    if (all_gone(h))
        h->on_empty(h->ctx);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    (void)remove(path); /* what cannot be removed is left; there is nobody to tell */
    return 0;
}

void house_close(struct house *h)
{
    h->stopping = true;
    for (int i = 0; i < HOUSE_COUNT; i++) {
        child_free(h->member[i].child);
        h->member[i].child = NULL;
    }
    if (h->dir[0] != '\0')
        (void)nftw(h->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    h->dir[0] = '\0';
}
