/* Child processes on libuv.
 *
 * Both outputs of the child are one pipe, so that lines come in the order in which they were
 * written. The end of the process counts, not the end of the pipe (a grandchild may keep that
 * open): what is in the pipe then is read, and on_exit comes last. */
#include "net/child.h"
#include "base/mem.h"
#include "net/loop_uv_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_LINE_BYTES 8192

/* Three lives: the owner's hold, the process handle and the pipe's handle; freed with the last. */
struct child {
    uv_process_t process;
    uv_poll_t output;
    int output_fd;
    int pid;
    unsigned handles; /* libuv handles not closed yet */
    bool owned, running;
    struct child_options options; /* argv and env are not kept */
    size_t len;
    char line[CHILD_LINE_BYTES];
};

static _Thread_local char child_why[300];

static void free_when_over(struct child *c)
{
    if (!c->owned && c->handles == 0)
        mem_free(c);
}

static void handle_closed(uv_handle_t *handle)
{
    struct child *c = handle->data;
    c->handles--;
    free_when_over(c);
}

static void close_output(struct child *c)
{
    if (c->output_fd < 0)
        return;
    uv_close((uv_handle_t *)&c->output, handle_closed);
    close(c->output_fd);
    c->output_fd = -1;
}

static void tell_line(struct child *c, struct span line)
{
    if (c->owned && c->options.on_line != NULL)
        c->options.on_line(c->options.ctx, line);
}

/* Cuts full lines off the front of the buffer; a line longer than the buffer comes in pieces. */
static void tell_lines(struct child *c)
{
    size_t from = 0;
    for (size_t i = 0; i < c->len; i++) {
        if (c->line[i] != '\n')
            continue;
        tell_line(c, (struct span){c->line + from, i - from});
        from = i + 1;
    }
    if (from == 0 && c->len == sizeof c->line) {
        tell_line(c, (struct span){c->line, c->len});
        from = c->len;
    }
    memmove(c->line, c->line + from, c->len - from);
    c->len -= from;
}

/* Reads what is there. False at the end of the pipe. */
static bool read_output(struct child *c)
{
    while (c->output_fd >= 0) {
        ssize_t n = read(c->output_fd, c->line + c->len, sizeof c->line - c->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        c->len += (size_t)n;
        tell_lines(c);
    }
    return true;
}

static void on_output(uv_poll_t *handle, int status, int events)
{
    struct child *c = handle->data;
    (void)status;
    (void)events;
    if (!read_output(c))
        close_output(c);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signum)
{
    struct child *c = process->data;
    c->running = false;
    uv_close((uv_handle_t *)&c->process, handle_closed);
    (void)read_output(c);
    if (c->len > 0) {
        size_t len = c->len;
        c->len = 0;
        tell_line(c, (struct span){c->line, len});
    }
    close_output(c);
    if (c->owned && c->options.on_exit != NULL)
        c->options.on_exit(c->options.ctx, (int)status, signum);
}

/* argv and env are only read by uv_spawn, which has no const for them. */
static char **unconst(const char *const *list)
{
    return (char **)(uintptr_t)list;
}

static int spawn(struct loop *l, struct child *c, int output)
{
    static const char *const no_env[] = {NULL};
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, /* libuv opens /dev/null */
                                     {.flags = UV_INHERIT_FD, .data.fd = output},
                                     {.flags = UV_INHERIT_FD, .data.fd = output}};
    uv_process_options_t o = {.file = c->options.argv[0],
                              .args = unconst(c->options.argv),
                              .env = unconst(c->options.env != NULL ? c->options.env : no_env),
                              .exit_cb = on_exit_of,
                              .flags = UV_PROCESS_DETACHED, /* a session and a group of its own */
                              .stdio = stdio,
                              .stdio_count = 3};
    return uv_spawn(&l->uv, &c->process, &o);
}

static enum err cannot(struct child *c, int rc, const char **out_why)
{
    (void)snprintf(child_why, sizeof child_why, "could not start %s: %s", c->options.argv[0],
                   uv_strerror(rc));
    *out_why = child_why;
    if (c->handles == 0)
        mem_free(c);
    return rc == UV_ENOENT ? ERR_NOT_FOUND : rc == UV_EACCES ? ERR_PERMISSION : ERR_IO;
}

enum err child_start(struct loop *l, const struct child_options *o, struct child **out,
                     const char **out_why)
{
    struct child *c = mem_new(struct child);
    c->options = *o;
    c->output_fd = -1;
    uv_file ends[2];
    int rc = uv_pipe(ends, UV_NONBLOCK_PIPE, 0); /* close-on-exec; ours does not block */
    if (rc != 0)
        return cannot(c, rc, out_why);
    c->process.data = c->output.data = c;
    rc = spawn(l, c, ends[1]);
    close(ends[1]);
    c->handles = 1; /* libuv has the handle in its books even when it could not start */
    if (rc == 0)
        rc = uv_poll_init(&l->uv, &c->output, ends[0]);
    if (rc != 0) {
        close(ends[0]);
        enum err e = cannot(c, rc, out_why);
        if (uv_is_active((uv_handle_t *)&c->process) != 0)
            kill(-c->process.pid, SIGKILL); /* on_exit_of closes and frees it */
        else
            uv_close((uv_handle_t *)&c->process, handle_closed);
        return e;
    }
    c->handles = 2;
    c->output_fd = ends[0];
    c->owned = c->running = true;
    c->pid = c->process.pid;
    c->options.argv = c->options.env = NULL;
    rc = uv_poll_start(&c->output, UV_READABLE, on_output);
    assert(rc == 0);
    *out = c;
    return ERR_OK;
}

int child_pid(const struct child *c)
{
    return c->pid;
}

void child_signal(struct child *c, int signum)
{
    /* Once it was waited for, its number may belong to somebody else. */
    if (c->running)
        (void)kill(-c->pid, signum);
}

void child_free(struct child *c)
{
    if (c == NULL)
        return;
    child_signal(c, SIGKILL);
    c->owned = false;
    close_output(c);
    free_when_over(c);
}

enum err child_own_path(char *out, size_t cap)
{
    size_t len = cap;
    return uv_exepath(out, &len) == 0 && len < cap ? ERR_OK : ERR_IO;
}
