/* Access tokens over the simulator: one fetch however many wait, renewed ahead of time while used,
 * each failure told as what it is. And service accounts that cannot be used. */
#include "base/mem.h"
#include "relay/access_token.h"
#include "test_conn_kit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SEC USEC_PER_SEC
#define MINUTE (60 * SEC)

static char key_json[8192]; /* the key's PEM as JSON string content */

static int make_key(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *to = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL), 1);
    char *pem;
    long len = BIO_get_mem_data(to, &pem);
    size_t n = 0;
    for (long i = 0; i < len; i++) {
        if (pem[i] == '\n') {
            key_json[n++] = '\\';
            key_json[n++] = 'n';
        } else {
            key_json[n++] = pem[i];
        }
    }
    BIO_free(to);
    EVP_PKEY_free(key);
    return 0;
}

static struct span document(struct arena *a, const char *type, const char *key, const char *uri)
{
    return arena_printf(a,
                        "{\"type\":\"%s\",\"client_email\":\"r@x\",\"private_key_id\":\"k\","
                        "\"project_id\":\"p\",\"private_key\":\"%s\",\"token_uri\":\"%s\"}",
                        type, key, uri);
}

/* ---- the stage ---- */

struct waiter {
    struct token_wait wait;
    size_t told;
    enum err e;
    char why[160];
    struct access_token *ask_again, *free_it;
    struct waiter *next;
};

struct stage {
    struct loop *loop;
    struct host host;
    struct pool *pool;
    struct service_account *account;
    struct access_token *token;
    struct waiter waiters[8];
};

static size_t asked; /* complete token requests that came */

/* Answers each complete request; h->answer NULL: with silence. */
static void on_bytes(struct host *h, struct peer *p)
{
    struct span in = buf_span(&p->in);
    ssize_t body = span_search(in, SPAN("\r\n\r\n")),
            at = span_isearch(in, SPAN("content-length:"));
    if (body < 0 || at < 0)
        return;
    size_t wanted = (size_t)strtoul(in.at + at + 15, NULL, 10);
    if (in.len < (size_t)body + 4 + wanted)
        return;
    assert_true(span_starts(in, SPAN("POST /token HTTP/1.1\r\n")));
    assert_true(span_search(in, SPAN("jwt-bearer&assertion=eyJ")) > 0);
    (void)peer_got(p);
    asked++;
    if (h->answer)
        peer_send(p, h->answer);
}

static void on_told(void *ctx, enum err e, const char *why)
{
    struct waiter *w = ctx;
    struct span unused;
    w->told++;
    w->e = e;
    (void)snprintf(w->why, sizeof w->why, "%s", why);
    if (w->ask_again && w->told == 1)
        assert_int_equal(access_token_get(w->ask_again, &w->wait, &unused), ERR_AGAIN);
    if (w->free_it)
        access_token_free(w->free_it);
}

static void open_stage(struct stage *t, const char *answer)
{
    struct arena a;
    char why[256];
    arena_init(&a, 1 << 16);
    *t = (struct stage){.loop = sim_loop_new(7)};
    asked = 0;
    host_open(&t->host, t->loop, "up", 8000);
    t->host.on_bytes = on_bytes;
    t->host.answer = answer;
    t->pool = pool_new(t->loop, &pool_limits_default);
    struct span text = document(&a, "service_account", key_json, "http://127.0.0.1:8000/token");
    assert_int_equal(service_account_new(text, &t->account, why), ERR_OK);
    struct url url;
    const char *reason;
    assert_int_equal(url_parse(SPAN("http://up:8000"), &url, &reason), ERR_OK);
    t->token = access_token_new(t->loop, t->pool, pool_origin(t->pool, &url, NULL), t->account);
    for (size_t i = 0; i < ARRAY_LEN(t->waiters); i++)
        t->waiters[i].wait = (struct token_wait){.done = on_told, .ctx = &t->waiters[i]};
    arena_deinit(&a);
}

static void close_stage(struct stage *t)
{
    access_token_free(t->token);
    pool_free(t->pool);
    host_close(&t->host);
    pass(t->loop, SEC);
    service_account_free(t->account);
    loop_free(t->loop);
}

static enum err get(struct stage *t, size_t i, struct span *out)
{
    *out = SPAN_EMPTY;
    return access_token_get(t->token, &t->waiters[i].wait, out);
}

#define TOKEN(name, life)                                                                          \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 57\r\n\r\n"              \
    "{\"access_token\":\"" name "\",\"expires_in\":" life ",\"token_type\":\"B\"}"
#define ONE TOKEN("one", "3600")
#define TWO TOKEN("two", "3600")

/* ---- stories ---- */

static void test_many_wait_for_one_fetch(void **state)
{
    (void)state;
    struct stage t;
    struct span token;
    open_stage(&t, ONE);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(get(&t, i, &token), ERR_AGAIN);
    access_token_forget(&t.waiters[3].wait);
    pass(t.loop, SEC);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(t.waiters[i].told, i != 3);
        assert_int_equal(t.waiters[i].e, ERR_OK);
    }
    assert_int_equal(asked, 1);
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    assert_true(span_is(token, "one"));
    close_stage(&t);
}

static void test_renewed_ahead_of_time(void **state)
{
    (void)state;
    struct stage t;
    struct span token;
    open_stage(&t, ONE);
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN);
    pass(t.loop, SEC);
    t.host.answer = TWO;
    pass(t.loop, 54 * MINUTE);
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    pass(t.loop, 2 * MINUTE);
    assert_int_equal(asked, 1); /* time alone fetches nothing */
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    assert_true(span_is(token, "one"));
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    pass(t.loop, SEC);
    assert_int_equal(asked, 2);
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    assert_true(span_is(token, "two"));
    assert_int_equal(t.waiters[0].told, 1);
    pass(t.loop, 59 * MINUTE + 40 * SEC); /* nobody asked in time: too near its end */
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN);
    pass(t.loop, SEC);
    assert_int_equal(t.waiters[0].told, 2);
    close_stage(&t);
}

#define REFUSED "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"

static void test_a_renewal_that_fails_costs_nothing_yet(void **state)
{
    (void)state;
    struct stage t;
    struct span token;
    open_stage(&t, ONE);
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN);
    pass(t.loop, SEC);
    t.host.answer = REFUSED;
    pass(t.loop, 56 * MINUTE);
    for (size_t i = 0; i < 50; i++) { /* 5 s of requests */
        assert_int_equal(get(&t, 0, &token), ERR_OK);
        assert_true(span_is(token, "one"));
        pass(t.loop, SEC / 10);
    }
    assert_int_equal(asked, 2);
    pass(t.loop, 6 * SEC);
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    pass(t.loop, SEC);
    assert_int_equal(asked, 3);
    close_stage(&t);
}

static void check_failure(const char *answer, enum err wanted, const char *why)
{
    struct stage t;
    struct span token;
    open_stage(&t, answer);
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN);
    assert_int_equal(get(&t, 1, &token), ERR_AGAIN);
    pass(t.loop, 11 * SEC);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(t.waiters[i].told, 1);
        assert_int_equal(t.waiters[i].e, wanted);
        if (!strstr(t.waiters[i].why, why))
            fail_msg("%s is not in: %s", why, t.waiters[i].why);
        assert_null(strstr(t.waiters[i].why, "one"));
    }
    t.host.answer = TWO;
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN); /* nothing is kept of it */
    pass(t.loop, SEC);
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    assert_true(span_is(token, "two"));
    close_stage(&t);
}

static void test_failures(void **state)
{
    (void)state;
    check_failure("HTTP/1.1 400 No\r\nContent-Length: 25\r\n\r\n{\"error\":\"invalid_grant\"}",
                  ERR_PERMISSION, "400 invalid_grant");
    check_failure("HTTP/1.1 400 No\r\nContent-Length: 22\r\n\r\n{\"error\":\"Tell\\u0020\"}",
                  ERR_PERMISSION, "400");
    check_failure("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", ERR_PERMISSION, "401");
    check_failure(REFUSED, ERR_UNREACHABLE, "status 503");
    check_failure("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", ERR_UNREACHABLE, "no token");
    check_failure("HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"access_token\":\"one\"}",
                  ERR_UNREACHABLE, "no token"); /* for how long? */
    check_failure(TOKEN("one", "0059"), ERR_UNREACHABLE, "no token");
    check_failure(TOKEN("one", "  59"), ERR_UNREACHABLE, "no token");
    check_failure(TOKEN("o e", "3600"), ERR_UNREACHABLE, "no token");
    check_failure("garbage\r\n\r\n", ERR_SYNTAX, "token endpoint");
    check_failure(NULL, ERR_TIMEOUT, "in time");
}

static void test_a_refused_token_is_forgotten(void **state)
{
    (void)state;
    struct stage t;
    struct span token;
    open_stage(&t, ONE);
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN);
    pass(t.loop, SEC);
    access_token_refused(t.token, SPAN("older"));
    assert_int_equal(get(&t, 0, &token), ERR_OK);
    access_token_refused(t.token, SPAN("one"));
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN);
    access_token_forget(&t.waiters[0].wait);
    close_stage(&t); /* a fetch is under way */
}

static void test_who_is_told_may_ask_again_or_be_the_last(void **state)
{
    (void)state;
    struct stage t;
    struct span token;
    open_stage(&t, REFUSED);
    assert_int_equal(get(&t, 0, &token), ERR_AGAIN);
    assert_int_equal(get(&t, 1, &token), ERR_AGAIN);
    t.waiters[0].ask_again = t.waiters[1].ask_again = t.token;
    pass(t.loop, SEC);
    assert_true(t.waiters[0].told >= 1 && t.waiters[1].told >= 1 && asked >= 2);
    assert_null(t.waiters[0].wait.token);
    t.waiters[0].ask_again = t.waiters[1].ask_again = NULL;
    assert_int_equal(get(&t, 2, &token), ERR_AGAIN);
    t.waiters[2].free_it = t.token;
    pass(t.loop, SEC);
    assert_int_equal(t.waiters[2].told, 1);
    t.token = NULL;
    close_stage(&t);
}

static void test_accounts_that_cannot_be_used(void **state)
{
    (void)state;
    static const struct {
        const char *type, *key, *uri, *why;
    } rows[] = {
        {"authorized_user", NULL, "https://t/token", "\"type\""},
        {"service_account", "-----BEGIN PRIVATE KEY-----", "https://t/token", "private_key"},
        {"service_account", NULL, "ftp://t", "no URL"},
        {"service_account", NULL, "http://1.2.3.4/token", "not https"},
        {"service_account", "", "https://t/token", "private_key"}};
    struct arena a;
    struct service_account *s = NULL;
    char why[256];
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span text =
            document(&a, rows[i].type, rows[i].key ? rows[i].key : key_json, rows[i].uri);
        assert_int_equal(service_account_new(text, &s, why), ERR_INVALID);
        assert_non_null(strstr(why, rows[i].why));
        assert_null(strstr(why, "BEGIN"));
    }
    assert_int_equal(service_account_new(SPAN("{"), &s, why), ERR_INVALID);
    assert_int_equal(service_account_new(SPAN("[]"), &s, why), ERR_INVALID);
    assert_null(s);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_wait_for_one_fetch),
        cmocka_unit_test(test_renewed_ahead_of_time),
        cmocka_unit_test(test_a_renewal_that_fails_costs_nothing_yet),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_a_refused_token_is_forgotten),
        cmocka_unit_test(test_who_is_told_may_ask_again_or_be_the_last),
        cmocka_unit_test(test_accounts_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, make_key, NULL);
}
