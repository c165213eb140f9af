/* Signature Version 4 against the published test suite (aws-sig-v4-test-suite: names and signatures
 * are facts of it), and what it has no case for: a body in pieces, an encoded path. The signatures
 * of these two were computed with Python's hmac and hashlib. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"
#include "relay/sigv4.h"

#define TOKEN                                                                                      \
    "AQoDYXdzEPT//////////"                                                                        \
    "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPf"                     \
    "IeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"                                                         \
    "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7W"                                    \
    "Z0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"          \
    "scqKmlzm8F"                                                                                   \
    "DrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

static const struct row {
    const char *name, *method, *path, *query, *type, *body, *token, *signature;
} rows[] = {
    {"get-vanilla", "GET", "/", "", "", "", "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", "", "", "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-utf8-query", "GET", "/", "%E1%88%B4=bar", "", "", "",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-utf8", "GET", "/\xe1\x88\xb4", "", "", "", "",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-space", "GET", "/example space/", "", "", "", "",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"post-vanilla", "POST", "/", "", "", "", "",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-x-www-form-urlencoded", "POST", "/", "", "application/x-www-form-urlencoded",
     "Param1=value1", "", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-sts-header-before", "POST", "/", "", "", "", TOKEN,
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"encoded path", "POST", "/model/us.anthropic.claude-x-v1%3A0/invoke", "", "application/json",
     "{\"max_tokens\":1}", "", "e79711e82e3548a0b0b5811a3846d3df8bbb80d21c5bb01de64d46d22f88fdab"},
};

/* 2015-08-30T12:36:00Z */
#define WALL (1440938160 * USEC_PER_SEC)

static void write_row(const struct row *r, size_t split, struct buf *out)
{
    struct arena a;
    struct pieces body;
    struct span all = span_from(r->body);
    arena_init(&a, 1 << 16);
    pieces_init(&body, &a);
    pieces_add(&body, span_take(all, split));
    pieces_add(&body, span_drop(all, split));
    struct sigv4_request request = {
        .method = span_from(r->method),
        .path = span_from(r->path),
        .query = span_from(r->query),
        .host = SPAN("example.amazonaws.com"),
        .content_type = span_from(r->type),
        .body = &body,
    };
    struct sigv4_credentials c = {
        .access_key = SPAN("AKIDEXAMPLE"),
        .secret_key = SPAN("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        .session_token = span_from(r->token),
    };
    assert_int_equal(sigv4_write(&request, &c, SPAN("us-east-1"), SPAN("service"), WALL, out),
                     ERR_OK);
    arena_deinit(&a);
}

static void test_published_suite(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out;
        buf_init(&out, 1 << 16);
        write_row(&rows[i], strlen(rows[i].body) / 2, &out);
        struct span text = buf_span(&out);
        ssize_t at = span_search(text, SPAN("Signature="));
        assert_true(at > 0);
        struct span got = span_take(span_drop(text, (size_t)at + 10), 64);
        if (!span_is(got, rows[i].signature))
            fail_msg("%s: %.*s", rows[i].name, SPAN_FMT(got));
        assert_true(span_starts(text, SPAN("x-amz-date: 20150830T123600Z\r\n")));
        assert_true(span_ends(text, SPAN("\r\n")));
        assert_int_equal(span_search(text, SPAN("x-amz-security-token: AQoD")) > 0,
                         rows[i].token[0] != '\0');
        assert_true(span_search(text, SPAN("wJalr")) < 0);
        buf_deinit(&out);
    }
}

static void test_the_lines(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 16);
    write_row(&rows[0], 0, &out);
    assert_true(
        span_is(buf_span(&out),
                "x-amz-date: 20150830T123600Z\r\n"
                "authorization: AWS4-HMAC-SHA256 "
                "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                "SignedHeaders=host;x-amz-date, "
                "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n"));
    buf_deinit(&out);
}

static void test_parameters_have_a_bound(void **state)
{
    (void)state;
    struct buf query, out;
    buf_init(&query, 1 << 12);
    buf_init(&out, 1 << 12);
    struct sigv4_request r = {.method = SPAN("GET"), .path = SPAN("/"), .host = SPAN("h")};
    struct sigv4_credentials c = {.access_key = SPAN("a"), .secret_key = SPAN("b")};
    for (size_t i = 0; i <= SIGV4_PARAMETERS_MAX; i++) {
        r.query = buf_span(&query);
        assert_int_equal(sigv4_write(&r, &c, SPAN("r"), SPAN("s"), WALL, &out), ERR_OK);
        assert_int_equal(buf_printf(&query, "%sp%zu", i ? "&" : "", i), ERR_OK);
        buf_reset(&out);
    }
    r.query = buf_span(&query);
    assert_int_equal(sigv4_write(&r, &c, SPAN("r"), SPAN("s"), WALL, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_deinit(&query);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_suite),
        cmocka_unit_test(test_the_lines),
        cmocka_unit_test(test_parameters_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
