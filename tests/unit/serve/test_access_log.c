/* The access log: one line of JSON per report, soon on disk, whole under a change of the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"
#include "json/json.h"
#include "serve/access_log.h"

#include <fcntl.h>
#include <unistd.h>

struct kit {
    struct loop *loop;
    struct access_log *log;
    int fd;
    struct timer timer;
    char text[1 << 20];
    size_t len;
};

static struct kit kit;

static int temporary(void)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    int fd = dup(fileno(f));
    (void)fclose(f);
    return fd;
}

static int setup(void **state)
{
    (void)state;
    kit = (struct kit){.loop = loop_new(), .fd = temporary()};
    kit.log = access_log_new(kit.loop, kit.fd);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    access_log_free(kit.log);
    loop_free(kit.loop);
    (void)close(kit.fd);
    return 0;
}

static void read_back(int fd)
{
    ssize_t n = pread(fd, kit.text, sizeof kit.text, 0);
    assert_true(n >= 0);
    kit.len = (size_t)n;
}

static const struct exchange_attempt attempts[] = {
    {.target = "lead", .cause = CAUSE_STALLED, .status = 200, .started = 1000, .ended = 9000},
    {.target = "spare", .cancelled = true, .started = 9000, .ended = 10000}};

static struct exchange_report report(void)
{
    return (struct exchange_report){.door = &dialect_anthropic,
                                    .id = SPAN("req_hs1"),
                                    .model = SPAN("a\\u0022\\ud800b"),
                                    .outcome = OUTCOME_CLIENT_GONE,
                                    .attempts = attempts,
                                    .attempt_count = 2,
                                    .usage = CHAT_USAGE_UNKNOWN,
                                    .started = 1000,
                                    .ended = 10000};
}

/* Parses line `index` of what was read back. */
static struct json line_at(size_t index, struct arena *a, struct json_doc *doc)
{
    struct span rest = {kit.text, kit.len}, line = SPAN_EMPTY;
    for (size_t i = 0; i <= index; i++)
        assert_true(span_next(&rest, '\n', &line));
    struct json_error error;
    assert_int_equal(json_parse(a, line, NULL, doc, &error), ERR_OK);
    return json_root(doc);
}

static void a_line_is_json_and_says_what_was_cancelled(void **state)
{
    (void)state;
    struct exchange_report r = report();
    access_log_write(kit.log, &r);
    access_log_free(kit.log);
    kit.log = NULL;
    read_back(kit.fd);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct json_doc doc;
    struct json line = line_at(0, &a, &doc);
    assert_true(span_is(json_str(json_get(line, "req_model")), "a\\u0022\\ud800b"));
    assert_true(json_is(json_get(line, "served_by"), JSON_NULL));
    assert_true(json_is(json_get(line, "tok_in"), JSON_NULL));
    assert_true(json_is(json_get(line, "ttft_ms"), JSON_NULL));
    struct span text = {kit.text, kit.len};
    assert_true(span_search(text, SPAN("\"result\":\"stalled\"")) > 0);
    assert_true(span_search(text, SPAN("\"result\":\"cancelled\"")) > 0);
    assert_true(span_search(text, SPAN("\"result\":\"ok\"")) < 0);
    assert_int_equal(kit.text[kit.len - 1], '\n');
    arena_deinit(&a);
}

static void a_line_tells_how_its_conversation_was_known_and_why_it_is_not_back(void **state)
{
    (void)state;
    struct exchange_report r = report();
    access_log_write(kit.log, &r);
    r.conversation_source = "session";
    r.served_by = "spare";
    r.switched_from = "lead";
    access_log_write(kit.log, &r);
    access_log_free(kit.log);
    kit.log = NULL;
    read_back(kit.fd);
    struct arena a;
    arena_init(&a, 1 << 20);
    struct json_doc doc;
    assert_true(json_is(json_get(line_at(0, &a, &doc), "conversation_source"), JSON_NULL));
    assert_true(json_is(json_get(line_at(0, &a, &doc), "switch_reason"), JSON_NULL));
    struct json second = line_at(1, &a, &doc);
    assert_true(json_str_is(json_get(second, "conversation_source"), "session"));
    assert_true(json_str_is(json_get(second, "switch_reason"), "returning"));
    arena_deinit(&a);
}

static void stop(struct timer *t)
{
    (void)t;
    loop_stop(kit.loop);
}

static void a_line_is_written_soon_without_another_one(void **state)
{
    (void)state;
    struct exchange_report r = report();
    access_log_write(kit.log, &r);
    read_back(kit.fd);
    assert_int_equal(kit.len, 0);
    loop_timer_in(kit.loop, &kit.timer, 400 * USEC_PER_MS, stop);
    loop_run(kit.loop);
    read_back(kit.fd);
    assert_true(kit.len > 100);
}

static void many_lines_are_all_there_and_each_is_whole(void **state)
{
    (void)state;
    struct exchange_report r = report();
    for (int i = 0; i < 2000; i++)
        access_log_write(kit.log, &r);
    access_log_free(kit.log);
    kit.log = NULL;
    read_back(kit.fd);
    struct span rest = {kit.text, kit.len}, line;
    size_t count = 0;
    while (span_next(&rest, '\n', &line) && line.len > 0) {
        assert_true(span_starts(line, SPAN("{\"ts\":")) && span_ends(line, SPAN("}")));
        count++;
    }
    assert_int_equal(count, 2000);
}

static void another_file_behind_the_descriptor_gets_what_follows(void **state)
{
    (void)state;
    struct exchange_report r = report();
    int old = dup(kit.fd), fresh = temporary();
    for (int i = 0; i < 300; i++) /* more than is kept: some lines are in the old file */
        access_log_write(kit.log, &r);
    assert_true(dup2(fresh, kit.fd) >= 0);
    for (int i = 0; i < 300; i++)
        access_log_write(kit.log, &r);
    access_log_free(kit.log);
    kit.log = NULL;
    size_t lines = 0;
    int both[] = {old, fresh};
    for (size_t i = 0; i < 2; i++) {
        read_back(both[i]);
        assert_true(kit.len > 0 && kit.text[0] == '{' && kit.text[kit.len - 1] == '\n');
        for (size_t k = 0; k < kit.len; k++)
            lines += kit.text[k] == '\n';
        (void)close(both[i]);
    }
    assert_int_equal(lines, 600);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_json_and_says_what_was_cancelled),
        TEST(a_line_tells_how_its_conversation_was_known_and_why_it_is_not_back),
        TEST(a_line_is_written_soon_without_another_one),
        TEST(many_lines_are_all_there_and_each_is_whole),
        TEST(another_file_behind_the_descriptor_gets_what_follows),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
