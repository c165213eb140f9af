/* URLs, request targets and listen addresses: what is taken and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/span.h"
#include "http/url.h"

static void a_base_url_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool tls;
        const char *host;
        uint16_t port;
        const char *path;
    } rows[] = {
        {"https://api.anthropic.com", true, "api.anthropic.com", 443, ""},
        {"https://api.openai.com/v1", true, "api.openai.com", 443, "/v1"},
        {"http://127.0.0.1:8000/v1/", false, "127.0.0.1", 8000, "/v1"},
        {"HTTP://LocalHost//", false, "LocalHost", 80, ""},
        {"http://[::1]:9931", false, "::1", 9931, ""},
        {"https://[fe80::1]/a/b", true, "fe80::1", 443, "/a/b"},
        {"http://my_service:8484/v1", false, "my_service", 8484, "/v1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u;
        const char *why = NULL;
        enum err e = url_parse(span_from(rows[i].text), &u, &why);
        if (e != ERR_OK)
            fail_msg("%s: %s", rows[i].text, why);
        assert_true(u.tls == rows[i].tls && u.port == rows[i].port);
        assert_true(span_is(u.host, rows[i].host) && span_is(u.path, rows[i].path));
    }
}

static void a_bad_url_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "api.openai.com",
        "ftp://x",
        "https:/x",
        "https://",
        "https://u@x",
        "https://u:p@x/",
        "https://x/#f",
        "https://x/?q",
        "https://x\\y",
        "https://x y",
        "https://x/\x01",
        "https://x/\xc3\xa9",
        "https://x:0",
        "https://x:65536",
        "https://x:",
        "https://x:8a",
        "https://x:080000",
        "https://[::1",
        "https://[]",
        "https://[x]",
        "https://::1",
        "https://x%2e.com",
        "https://x/a/../b",
        "https://x/./",
        "https://x/..",
        "http://a,b",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u;
        const char *why = NULL;
        if (url_parse(span_from(rows[i]), &u, &why) == ERR_OK)
            fail_msg("taken: %s", rows[i]);
        assert_non_null(why);
    }
}

static void a_target_splits_at_its_first_question_mark(void **state)
{
    (void)state;
    struct span path, query;
    assert_int_equal(url_split_target(SPAN("/v1/messages?beta=true?x"), &path, &query), ERR_OK);
    assert_true(span_is(path, "/v1/messages") && span_is(query, "beta=true?x"));
    assert_int_equal(url_split_target(SPAN("/"), &path, &query), ERR_OK);
    assert_true(span_is(path, "/") && query.len == 0);
    static const char *const bad[] = {"", "*", "v1", "http://x/", "/a b", "/a#b", "/a\\b", "/\x7f"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(url_split_target(span_from(bad[i]), &path, &query), ERR_SYNTAX);
}

static void a_listen_address_needs_host_and_port(void **state)
{
    (void)state;
    struct span host;
    uint16_t port;
    assert_int_equal(url_host_port(SPAN("127.0.0.1:8484"), &host, &port), ERR_OK);
    assert_true(span_is(host, "127.0.0.1") && port == 8484);
    assert_int_equal(url_host_port(SPAN("[::]:1"), &host, &port), ERR_OK);
    assert_true(span_is(host, "::") && port == 1);
    assert_int_equal(url_host_port(SPAN("localhost:0"), &host, &port), ERR_OK);
    assert_true(span_is(host, "localhost") && port == 0);
    static const char *const bad[] = {"", "x", ":80", "x:", "x:99999", "::1:80", "x:80 "};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(url_host_port(span_from(bad[i]), &host, &port), ERR_SYNTAX);
}

static void only_real_loopback_names_are_loopback(void **state)
{
    (void)state;
    static const char *const yes[] = {"127.0.0.1", "127.255.0.9", "::1", "localhost", "LOCALHOST"};
    static const char *const no[] = {
        "",           "128.0.0.1",  "127.0.0.1.evil.example", "127.1", "127.0.0.256",
        "0127.0.0.1", "127.0.0.1.", "localhost.evil",         "::",    "127.00.0.1",
        "0.0.0.0"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(url_host_is_loopback(span_from(yes[i])));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (url_host_is_loopback(span_from(no[i])))
            fail_msg("taken for loopback: %s", no[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_base_url_is_taken_apart),
        cmocka_unit_test(a_bad_url_is_refused_with_a_reason),
        cmocka_unit_test(a_target_splits_at_its_first_question_mark),
        cmocka_unit_test(a_listen_address_needs_host_and_port),
        cmocka_unit_test(only_real_loopback_names_are_loopback),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
