/* Log lines cannot be forged, and secrets show their last four characters at most. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/span.h"

#include <unistd.h>

static int pipe_ends[2], saved_stderr;
static char line[8192];

static int catch_stderr(void **state)
{
    (void)state;
    if (pipe(pipe_ends) != 0)
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    return dup2(pipe_ends[1], STDERR_FILENO) < 0;
}

static int release_stderr(void **state)
{
    (void)state;
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
    log_set_level(LOG_INFO);
    return 0;
}

static const char *read_line(void)
{
    ssize_t len = read(pipe_ends[0], line, sizeof line - 1);
    assert_true(len > 0);
    line[len] = 0;
    return line;
}

static void an_event_is_one_line_of_pairs(void **state)
{
    (void)state;
    log_line(LOG_WARN, "reload_refused", "file", "/etc/hotspare.yaml", "why", "line 3", "empty", "",
             "city", "M\xC3\xBCnchen", NULL);
    assert_string_equal(read_line(), "level=warn event=reload_refused file=/etc/hotspare.yaml "
                                     "why=\"line 3\" city=M\xC3\xBCnchen\n");
}

static void hostile_values_stay_inside_their_quotes(void **state)
{
    (void)state;
    log_line(LOG_ERROR, "x", "a", "1\nlevel=error event=forged", "b", "say \"hi\" \\", "c",
             "\x1b[31m\x7f\xC2\x9B\xFF", "d", "k=v", NULL);
    assert_string_equal(read_line(),
                        "level=error event=x a=\"1\\nlevel=error event=forged\" "
                        "b=\"say \\\"hi\\\" \\\\\" c=\"\\x1b[31m\\x7f\\xc2\\x9b\\xff\" "
                        "d=\"k=v\"\n");
}

static void too_long_a_line_is_cut_and_says_so(void **state)
{
    (void)state;
    char text[6000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = 0;
    text[10] = ' ';
    log_line(LOG_INFO, "long", "text", text, "after", "never", NULL);
    struct span got = span_from(read_line());
    assert_true(got.len <= 4096);
    assert_true(span_starts(got, SPAN("level=info event=long text=\"yyyyyyyyyy yyy")));
    assert_true(span_ends(got, SPAN("yyy...\"\n")));
}

static void levels_are_kept(void **state)
{
    (void)state;
    log_set_level(LOG_WARN);
    assert_true(log_wants(LOG_ERROR) && log_wants(LOG_WARN));
    assert_false(log_wants(LOG_INFO));
    log_line(LOG_INFO, "unwanted", NULL);
    log_line(LOG_WARN, "wanted", NULL);
    assert_string_equal(read_line(), "level=warn event=wanted\n");
}

struct taken {
    enum log_level level;
    char text[256];
};

static void take_line(void *ctx, enum log_level level, struct span text)
{
    struct taken *t = ctx;
    t->level = level;
    (void)snprintf(t->text, sizeof t->text, "%.*s", SPAN_FMT(text));
}

static void a_thread_may_have_its_lines_elsewhere(void **state)
{
    (void)state;
    struct taken taken = {0};
    struct log_sink sink = {take_line, &taken};
    assert_null(log_divert(&sink));
    log_line(LOG_WARN, "elsewhere", "key", "a value", NULL);
    assert_ptr_equal(log_divert(NULL), &sink);
    assert_int_equal(taken.level, LOG_WARN);
    assert_string_equal(taken.text, "level=warn event=elsewhere key=\"a value\"");
    log_line(LOG_WARN, "here", NULL); /* the first that stderr sees */
    assert_string_equal(read_line(), "level=warn event=here\n");
}

static void a_secret_hints_at_its_last_four_characters(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "empty"},
        {"a", "set"},
        {"elevenchars", "set"},
        {"twelve-chars", "set, ...hars"},
        {"sk-ant-api03-0123456789ABCDEF9f2c", "set, ...9f2c"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char hint[24];
        struct secret s = secret_copy(span_from(rows[i][0]));
        secret_hint(&s, hint);
        assert_string_equal(hint, rows[i][1]);
        secret_wipe(&s);
        assert_true(s.at == NULL && s.len == 0);
        secret_wipe(&s);
    }
}

int main(void)
{
#define CAUGHT(test) cmocka_unit_test_setup_teardown(test, catch_stderr, release_stderr)
    const struct CMUnitTest tests[] = {
        CAUGHT(an_event_is_one_line_of_pairs),
        CAUGHT(hostile_values_stay_inside_their_quotes),
        CAUGHT(too_long_a_line_is_cut_and_says_so),
        CAUGHT(levels_are_kept),
        CAUGHT(a_thread_may_have_its_lines_elsewhere),
        cmocka_unit_test(a_secret_hints_at_its_last_four_characters),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
