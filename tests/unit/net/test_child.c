/* Child processes: what they get, what is heard of them, and that none is left. */
#include "uv_support.h"
#include "net/child.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

struct run {
    struct loop *loop;
    struct child *child;
    char log[20000];
    size_t len, lines;
    int status, signum, exits, lines_at_exit;
    bool free_at_line;
    const char *stop_at;
};

static void on_line(void *ctx, struct span line)
{
    struct run *r = ctx;
    assert_true(r->len + line.len + 2 < sizeof r->log);
    memcpy(r->log + r->len, line.at, line.len);
    r->len += line.len;
    r->log[r->len++] = '|';
    r->lines++;
    if (r->stop_at != NULL && strstr(r->log, r->stop_at) != NULL)
        loop_stop(r->loop);
    if (r->free_at_line) {
        child_free(r->child);
        r->child = NULL;
    }
}

static void on_exit_of(void *ctx, int status, int signum)
{
    struct run *r = ctx;
    r->exits++;
    r->status = status;
    r->signum = signum;
    r->lines_at_exit = (int)r->lines;
}

static void start(struct run *r, const char *script, const char *const *env)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct child_options o = {
        .argv = argv, .env = env, .on_line = on_line, .on_exit = on_exit_of, .ctx = r};
    const char *why = "";
    memset(r->log, 0, sizeof r->log);
    r->loop = loop_new();
    assert_int_equal(child_start(r->loop, &o, &r->child, &why), ERR_OK);
    assert_true(child_pid(r->child) > 0);
}

static void finish(struct run *r)
{
    child_free(r->child);
    loop_free(r->loop);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* none is left, not even a zombie */
    assert_int_equal(errno, ECHILD);
}

static void lines_of_both_outputs_come_in_order_and_before_the_exit(void **state)
{
    (void)state;
    struct run r = {0};
    start(&r, "echo one; echo two >&2; echo three; printf tail; exit 7", NULL);
    loop_run(r.loop);
    assert_string_equal(r.log, "one|two|three|tail|");
    assert_int_equal(r.exits, 1);
    assert_int_equal(r.status, 7);
    assert_int_equal(r.signum, 0);
    assert_int_equal(r.lines_at_exit, 4);
    finish(&r);
}

static void a_child_gets_the_environment_given_and_nothing_of_ours(void **state)
{
    (void)state;
    struct run r = {0};
    static const char *const env[] = {"GIVEN=yes", NULL};
    assert_int_equal(setenv("OUR_SECRET", "canary", 1), 0);
    start(&r, "echo \"$GIVEN/$OUR_SECRET/$HOME\"", env);
    loop_run(r.loop);
    assert_string_equal(r.log, "yes//|");
    finish(&r);
    struct run none = {0};
    start(&none, "echo \"$GIVEN/$OUR_SECRET/$HOME\"", NULL);
    loop_run(none.loop);
    assert_string_equal(none.log, "//|");
    finish(&none);
}

static void accept_nothing(void *ctx, struct stream *s)
{
    (void)ctx;
    stream_abort(s);
}

static void a_child_has_no_input_and_none_of_our_descriptors(void **state)
{
    (void)state;
    struct run r = {0};
    struct loop *other = loop_new(); /* epoll, eventfd, pipes and a listening socket */
    struct listen_options o = {0};
    struct listener *li = NULL;
    const char *why = "";
    assert_int_equal(net_listen(other, SPAN("127.0.0.1"), 0, &o, accept_nothing, NULL, &li, &why),
                     ERR_OK);
    start(&r,
          "read x; echo \"in=$?\"; ls -l /proc/$$/fd | grep -c -e socket: -e anon_inode:", NULL);
    loop_run(r.loop);
    assert_string_equal(r.log, "in=1|0|");
    listener_close(li);
    loop_free(other);
    finish(&r);
}

static void a_long_line_comes_in_pieces(void **state)
{
    (void)state;
    struct run r = {0};
    start(&r, "i=0; while [ $i -lt 1000 ]; do printf 0123456789; i=$((i+1)); done; echo", NULL);
    loop_run(r.loop);
    assert_int_equal(r.lines, 2);
    assert_int_equal(r.len, 10000 + 2);
    finish(&r);
}

static void a_signal_reaches_the_whole_group(void **state)
{
    (void)state;
    struct run r = {.stop_at = "ready"};
    start(&r, "sleep 100 & echo $! ; echo ready; wait", NULL);
    loop_run(r.loop);
    int grandchild = (int)strtol(r.log, NULL, 10);
    assert_true(grandchild > 0);
    child_signal(r.child, SIGTERM);
    r.stop_at = NULL;
    loop_run(r.loop);
    assert_int_equal(r.exits, 1);
    assert_int_equal(r.signum, SIGTERM);
    for (int i = 0; i < 200; i++) { /* init, or nobody in a container, reaps it: gone or a zombie */
        char path[64], stat[256] = "";
        (void)snprintf(path, sizeof path, "/proc/%d/stat", grandchild);
        FILE *f = fopen(path, "r");
        bool gone =
            f == NULL || fgets(stat, sizeof stat, f) == NULL || strstr(stat, ") Z ") != NULL;
        if (f != NULL)
            fclose(f);
        if (gone)
            break;
        assert_true(i < 199);
        usleep(10000);
    }
    finish(&r);
}

static void freeing_a_running_child_kills_it_and_ends_the_callbacks(void **state)
{
    (void)state;
    struct run r = {.free_at_line = true};
    start(&r, "trap '' TERM; while :; do echo again; sleep 0.01; done", NULL);
    loop_run(r.loop);
    assert_int_equal(r.lines, 1);
    assert_int_equal(r.exits, 0);
    finish(&r);
    struct run at_once = {0};
    start(&at_once, "sleep 100", NULL);
    finish(&at_once); /* the loop never ran */
}

static void a_program_that_is_missing_is_named(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    int before = open_fds();
    const char *argv[] = {"/nowhere/at-all", NULL};
    struct child_options o = {.argv = argv};
    struct child *c = NULL;
    const char *why = "";
    assert_int_equal(child_start(l, &o, &c, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "/nowhere/at-all"));
    loop_run(l);
    assert_in_range(open_fds(), 0, before + 2); /* libuv's own signal pipe is made here */
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_both_outputs_come_in_order_and_before_the_exit),
        cmocka_unit_test(a_child_gets_the_environment_given_and_nothing_of_ours),
        cmocka_unit_test(a_child_has_no_input_and_none_of_our_descriptors),
        cmocka_unit_test(a_long_line_comes_in_pieces),
        cmocka_unit_test(a_signal_reaches_the_whole_group),
        cmocka_unit_test(freeing_a_running_child_kills_it_and_ends_the_callbacks),
        cmocka_unit_test(a_program_that_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
