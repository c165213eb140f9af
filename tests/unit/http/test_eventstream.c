/* AWS event streams: messages whole, byte by byte, at every place and at random ones; every single
 * broken byte is seen; lengths that lie; headers of every type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "frames.h"

#define MAX ((size_t)1 << 20)

static void check_says(size_t max_bytes, struct span in, struct cuts cuts, const char *wanted)
{
    struct buf log;
    buf_init(&log, 1 << 22);
    feed_eventstream(max_bytes, in, cuts, &log);
    if (!span_is(buf_span(&log), wanted))
        fail_msg("%.*s is not %s", SPAN_FMT(buf_span(&log)), wanted);
    buf_deinit(&log);
}

static void two_messages(struct buf *to)
{
    put_event(to, ":event-type", "chunk", "event", SPAN("{\"bytes\":\"e30=\"}"));
    put_event(to, ":exception-type", "throttlingException", "exception",
              SPAN("{\"message\":\"slow\"}"));
}
#define TWO                                                                                        \
    "{event|chunk||{\"bytes\":\"e30=\"}}"                                                          \
    "{exception|throttlingException||{\"message\":\"slow\"}}"

/* Beside the tests' own writer. */
static void test_written(void **state)
{
    (void)state;
    struct buf wanted, got;
    buf_init(&wanted, MAX);
    buf_init(&got, MAX);
    two_messages(&wanted);
    assert_int_equal(eventstream_write(&got, "event", "chunk", SPAN("{\"bytes\":\"e30=\"}")),
                     ERR_OK);
    assert_int_equal(
        eventstream_write(&got, "exception", "throttlingException", SPAN("{\"message\":\"slow\"}")),
        ERR_OK);
    assert_true(span_eq(buf_span(&got), buf_span(&wanted)));
    buf_deinit(&wanted);
    buf_deinit(&got);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, MAX);
    two_messages(&in);
    check_says(MAX, buf_span(&in), (struct cuts){.how = CUT_NOWHERE}, TWO);
    check_says(MAX, buf_span(&in), (struct cuts){.how = CUT_BYTES}, TWO);
    for (size_t at = 1; at < in.len; at++)
        check_says(MAX, buf_span(&in), (struct cuts){.how = CUT_ONCE, .at = at}, TWO);
    for (uint64_t seed = 0; seed < 200; seed++)
        check_says(MAX, buf_span(&in), (struct cuts){.how = CUT_RANDOM, .seed = seed}, TWO);
    buf_deinit(&in);
}

static bool ends_badly(struct span in, struct cuts cuts)
{
    struct buf log;
    buf_init(&log, 1 << 20);
    feed_eventstream(MAX, in, cuts, &log);
    struct span text = buf_span(&log);
    bool bad = span_ends(text, SPAN("<SYNTAX>")) || span_ends(text, SPAN("<LIMIT>"));
    buf_deinit(&log);
    return bad;
}

static void test_every_broken_byte_is_seen(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, MAX);
    two_messages(&in);
    for (size_t i = 0; i < in.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            in.at[i] = (char)(in.at[i] ^ (1 << bit));
            assert_true(ends_badly(buf_span(&in), (struct cuts){.how = CUT_NOWHERE}));
            assert_true(ends_badly(buf_span(&in), (struct cuts){.how = CUT_BYTES}));
            in.at[i] = (char)(in.at[i] ^ (1 << bit));
        }
    buf_deinit(&in);
}

static void test_every_truncation_is_seen(void **state)
{
    (void)state;
    struct buf in;
    buf_init(&in, MAX);
    put_event(&in, ":event-type", "chunk", "event", SPAN("{}"));
    for (size_t len = 1; len < in.len; len++)
        check_says(MAX, span_take(buf_span(&in), len), (struct cuts){.how = CUT_NOWHERE}, "<CUT>");
    buf_deinit(&in);
}

/* total, headers: as the prelude says them, its CRC being right. */
static void check_lengths(uint32_t total, uint32_t headers, const char *wanted)
{
    struct buf in;
    buf_init(&in, MAX);
    put_u32(&in, total);
    put_u32(&in, headers);
    put_u32(&in, (uint32_t)crc32_z(0, (const uint8_t *)in.at, 8));
    check_says(MAX, buf_span(&in), (struct cuts){.how = CUT_NOWHERE}, wanted);
    check_says(MAX, buf_span(&in), (struct cuts){.how = CUT_BYTES}, wanted);
    buf_deinit(&in);
}

static void test_lengths_that_lie(void **state)
{
    (void)state;
    check_lengths(0, 0, "<SYNTAX>");
    check_lengths(15, 0, "<SYNTAX>");
    check_lengths(16, 1, "<SYNTAX>");
    check_lengths(100, 85, "<SYNTAX>");
    check_lengths(100, UINT32_MAX, "<SYNTAX>");
    check_lengths(UINT32_MAX, 0, "<LIMIT>");
    check_lengths(MAX + 1, 0, "<LIMIT>");
    check_lengths(MAX, EVENTSTREAM_HEADERS_MAX + 1, "<LIMIT>");
    check_lengths(MAX, EVENTSTREAM_HEADERS_MAX, "<CUT>");
    check_lengths(100, 84, "<CUT>");
}

static void check_headers(struct span headers, const char *wanted)
{
    struct buf in;
    buf_init(&in, MAX);
    put_frame(&in, headers, SPAN("p"));
    check_says(MAX, buf_span(&in), (struct cuts){.how = CUT_NOWHERE}, wanted);
    buf_deinit(&in);
}

static void test_headers(void **state)
{
    (void)state;
    check_headers(SPAN(""), "{|||p}");
    check_headers(SPAN("\1t\0\1f\1\1b\2x\1s\3xx\1i\4xxxx\1l\5xxxxxxxx\1y\6\0\2xx\1d\10xxxxxxxx"
                       "\1u\11xxxxxxxxxxxxxxxx\13:event-type\7\0\5chunk"),
                  "{|chunk||p}");
    check_headers(
        SPAN("\15:message-type\7\0\5error\13:error-code\7\0\2Ab\16:error-message\7\0\2no"),
        "{error|Ab|no|p}");
    check_headers(SPAN("\13:event-type\6\0\5chunk"), "{|||p}"); /* bytes are no name */
    check_headers(SPAN("\1t\12"), "<SYNTAX>");                  /* a type there is not */
    check_headers(SPAN("\1"), "<SYNTAX>");                      /* no name */
    check_headers(SPAN("\0\0"), "<SYNTAX>");                    /* an empty one */
    check_headers(SPAN("\1t"), "<SYNTAX>");                     /* no type */
    check_headers(SPAN("\1t\7\0"), "<SYNTAX>");                 /* half a length */
    check_headers(SPAN("\1t\7\0\3xx"), "<SYNTAX>");             /* longer than the headers */
    check_headers(SPAN("\1t\4xxx"), "<SYNTAX>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_every_broken_byte_is_seen),
        cmocka_unit_test(test_every_truncation_is_seen),
        cmocka_unit_test(test_lengths_that_lie),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
