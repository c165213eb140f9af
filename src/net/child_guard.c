/* Why a process of its own: a gateway killed with -9 can end nobody. The kernel closes its end of
 * our stdout, poll() says so at once, and we end the engine's group. Should we be killed first,
 * PR_SET_PDEATHSIG ends the engine itself. Whatever the engine started and left behind becomes our
 * child (PR_SET_CHILD_SUBREAPER), also when it made a group of its own, and is killed with it.
 *
 * The environment is the one we were given: the gateway passes an allow-list, without any key. */
#include "net/child_guard.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 5000 /* between SIGTERM and SIGKILL */
#define SWEEPS_MAX 100
#define LOG_MAX_DEFAULT (4L << 20) /* and one older file of the same size */

struct guard {
    const char *log_path; /* NULL = none */
    long log_max, log_size;
    unsigned long long memory; /* 0 = no limit of ours */
    int log_fd, output;        /* output: the engine's stdout and stderr; -1 = ended */
    pid_t engine;
    bool reaped, told;
    int status;
    int64_t kill_at_ms;
};

static volatile sig_atomic_t term_seen;

static void on_term(int signum)
{
    (void)signum;
    term_seen = 1;
}

static void on_child(int signum)
{
    (void)signum; /* only to wake ppoll */
}

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000;
}

/* ---- the log ---- */

static void open_log(struct guard *g)
{
    struct stat about;
    g->log_size = 0;
    g->log_fd = g->log_path ? open(g->log_path,
                                   O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640)
                            : -1;
    if (g->log_fd >= 0 && fstat(g->log_fd, &about) == 0)
        g->log_size = about.st_size;
    if (g->log_path && g->log_fd < 0)
        (void)fprintf(stderr, "hotspare: the log %s cannot be written: %s\n", g->log_path,
                      strerror(errno));
}

static void turn_log(struct guard *g)
{
    char older[4096];
    (void)close(g->log_fd); /* every write was seen */
    if (snprintf(older, sizeof older, "%s.1", g->log_path) < (int)sizeof older)
        (void)rename(g->log_path, older); /* else it is appended to, and turned the next time */
    open_log(g);
}

static void write_log(struct guard *g, const char *at, size_t len)
{
    if (g->log_fd < 0)
        return;
    if (g->log_size + (long)len > g->log_max)
        turn_log(g);
    if (g->log_fd >= 0 && write(g->log_fd, at, len) > 0)
        g->log_size += (long)len;
}

/* False at the end of the pipe. To the gateway only as much as it takes: it never holds us up. */
static bool pass_output(struct guard *g)
{
    char some[16384];
    ssize_t n = read(g->output, some, sizeof some);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0)
        return false;
    write_log(g, some, (size_t)n);
    if (write(STDOUT_FILENO, some, (size_t)n) < 0)
        return true; /* full, or nobody reads any more: poll() tells */
    return true;
}

/* ---- the engine ---- */

static void limit(const struct guard *g)
{
    struct rlimit core = {0, 0}, data = {g->memory, g->memory};
    (void)setrlimit(RLIMIT_CORE, &core);
    if (g->memory > 0)
        (void)setrlimit(RLIMIT_DATA,
                        &data); /* private writable memory; mapped models do not count */
}

_Noreturn static void become(const struct guard *g, int output, pid_t guard, char **argv)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)setpgid(0, 0); /* the parent does it, too: whoever is first */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard)
        _exit(127);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGHUP, SIG_DFL);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(output, STDERR_FILENO);
    limit(g);
    (void)execvp(argv[0], argv);
    (void)fprintf(stderr, "hotspare: %s cannot be run: %s\n", argv[0], strerror(errno));
    (void)fflush(stderr);
    _exit(127);
}

static bool start(struct guard *g, char **argv)
{
    int ends[2];
    pid_t self = getpid();
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    g->engine = fork();
    if (g->engine == 0)
        become(g, ends[1], self, argv);
    (void)close(ends[1]);
    g->output = ends[0];
    if (g->engine > 0)
        (void)setpgid(g->engine, g->engine);
    return g->engine > 0;
}

static void tell_to_end(struct guard *g)
{
    g->told = true;
    g->kill_at_ms = now_ms() + GRACE_MS;
    (void)kill(-g->engine, SIGTERM);
}

static void reap(struct guard *g)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != g->engine)
            continue; /* a grandchild that was left to us */
        g->reaped = true;
        g->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

/* Kills every child we have, those we inherited among them. False: there are none. */
static bool kill_children(void)
{
    char path[64], list[4096];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid()); /* fits */
    FILE *f = fopen(path, "re");
    bool any = f && fgets(list, sizeof list, f) && list[0] != '\0';
    if (f)
        (void)fclose(f); /* read only */
    char *at = any ? list : NULL;
    for (long pid = at ? strtol(at, &at, 10) : 0; pid > 1; pid = strtol(at, &at, 10))
        (void)kill((pid_t)pid, SIGKILL);
    return any;
}

/* The engine is gone; nothing it started may outlive it. */
static void sweep(struct guard *g)
{
    (void)kill(-g->engine, SIGKILL);
    for (int i = 0; i < SWEEPS_MAX && kill_children(); i++) {
        struct timespec moment = {0, 10000000};
        (void)nanosleep(&moment, NULL);
        reap(g);
    }
}

/* ---- life ---- */

static void drain(struct guard *g)
{
    (void)fcntl(g->output, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 64; i++) {
        char some[4096];
        ssize_t n = read(g->output, some, sizeof some);
        if (n <= 0)
            break;
        write_log(g, some, (size_t)n);
        if (write(STDOUT_FILENO, some, (size_t)n) < 0)
            break;
    }
}

static void turn(struct guard *g, const sigset_t *open)
{
    struct pollfd fds[2] = {{.fd = STDOUT_FILENO, .events = 0},
                            {.fd = g->output, .events = POLLIN}};
    struct timespec wait = {0, 200000000};
    int n = ppoll(fds, 2, &wait, open); /* with SIGTERM and SIGCHLD let in */
    if (n > 0 && fds[1].revents != 0 && !pass_output(g)) {
        (void)close(g->output);
        g->output = -1; /* poll() leaves it out */
    }
    bool gone = n > 0 && (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
    if ((term_seen || gone) && !g->told)
        tell_to_end(g);
    if (gone) { /* nothing to tell anybody; and poll() would not wait any more */
        struct timespec moment = {0, 20000000};
        (void)nanosleep(&moment, NULL);
    }
    if (g->told && now_ms() >= g->kill_at_ms)
        (void)kill(-g->engine, SIGKILL);
    reap(g);
}

static void mind_signals(sigset_t *out_open)
{
    struct sigaction term = {.sa_handler = on_term}, child = {.sa_handler = on_child};
    sigset_t held;
    (void)sigaction(SIGTERM, &term, NULL);
    (void)sigaction(SIGINT, &term, NULL);
    (void)sigaction(SIGCHLD, &child, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &held, out_open);
    (void)sigdelset(out_open, SIGTERM);
    (void)sigdelset(out_open, SIGINT);
    (void)sigdelset(out_open, SIGCHLD);
}

static bool read_options(struct guard *g, int argc, char **argv)
{
    static const struct option options[] = {{"log", required_argument, NULL, 'l'},
                                            {"log-max", required_argument, NULL, 'x'},
                                            {"memory", required_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (c == 'l')
            g->log_path = optarg;
        else if (c == 'x')
            g->log_max = strtol(optarg, NULL, 10);
        else if (c == 'm')
            g->memory = strtoull(optarg, NULL, 10);
        else
            return false;
    }
    return optind < argc;
}

int child_guard_main(int argc, char **argv)
{
    struct guard g = {.log_max = LOG_MAX_DEFAULT, .log_fd = -1, .output = -1};
    sigset_t open;
    if (!read_options(&g, argc, argv)) {
        (void)fprintf(stderr,
                      "hotspare engine-guard is started by hotspare serve; it is no command "
                      "for people\n");
        return 64;
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    mind_signals(&open);
    open_log(&g);
    if (!start(&g, argv + optind)) {
        (void)fprintf(stderr, "hotspare: no more processes can be started: %s\n", strerror(errno));
        return 127;
    }
    char line[32];
    int len = snprintf(line, sizeof line, "guard: pid %d\n", (int)g.engine);
    if (write(STDOUT_FILENO, line, (size_t)len) < 0)
        term_seen = 1; /* nobody is there to serve */
    while (!g.reaped)
        turn(&g, &open);
    sweep(&g);
    if (g.output >= 0)
        drain(&g);
    return g.status;
}
