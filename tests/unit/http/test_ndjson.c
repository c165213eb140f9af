/* Lines of a stream, cut in every way. */
#include "feed.h"
#include "http/ndjson.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct buf log_;

static void feed(const char *text, size_t max, struct cuts cuts)
{
    struct ndjson n;
    struct span in = span_from(text);
    enum err e = ERR_AGAIN;
    buf_reset(&log_);
    ndjson_init(&n, max);
    for (size_t done = 0; done < in.len && e != ERR_LIMIT;) {
        size_t len = next_piece(&cuts, done, in.len - done);
        struct span rest = span_take(span_drop(in, done), len), line;
        done += len;
        do {
            size_t used;
            e = ndjson_next(&n, rest, &used, &line);
            rest = span_drop(rest, used);
            if (e == ERR_OK)
                say_span(&log_, "|", line);
        } while (e == ERR_OK);
    }
    if (e == ERR_LIMIT)
        say(&log_, "<LIMIT>");
    else
        say_span(&log_, "+", ndjson_rest(&n));
    ndjson_deinit(&n);
}

static void check_lines(const char *text, size_t max, const char *wanted)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        feed(text, max, (struct cuts){.how = seed == 0 ? CUT_BYTES : CUT_RANDOM, .seed = seed});
        if (!span_is(buf_span(&log_), wanted))
            fail_msg("%s: %.*s is not %s", text, SPAN_FMT(buf_span(&log_)), wanted);
    }
    feed(text, max, (struct cuts){.how = CUT_NOWHERE});
    assert_true(span_is(buf_span(&log_), wanted));
}

static void test_lines(void **state)
{
    (void)state;
    check_lines("{\"a\":1}\n{\"b\":2}\n", 100, "|{\"a\":1}|{\"b\":2}+");
    check_lines("\n \r\n{}\r\n\n[1]", 100, "|{}+[1]");
    check_lines("", 100, "+");
    check_lines("12345\n123456\n1\n", 5, "|12345<LIMIT>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};
    buf_init(&log_, 1000000);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&log_);
    return failed;
}
