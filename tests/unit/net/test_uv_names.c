/* Host names: kept for 30 s, asked for once, and outliving their resolver. The resolver here is the
 * test's own; nothing leaves this machine. */
#include "uv_support.h"
#include <stdatomic.h>

static atomic_int lookups;
static atomic_int delay_ms;
static atomic_int fails; /* what the resolver answers; 0 = an address */

static struct sockaddr_in6 address6 = {.sin6_family = AF_INET6};
static struct sockaddr_in address4 = {.sin_family = AF_INET};
static struct addrinfo second = {
    .ai_family = AF_INET, .ai_addrlen = sizeof address4, .ai_addr = (struct sockaddr *)&address4};
static struct addrinfo first = {.ai_family = AF_INET6,
                                .ai_addrlen = sizeof address6,
                                .ai_addr = (struct sockaddr *)&address6,
                                .ai_next = &second};

static int resolve(const char *host, struct addrinfo **out)
{
    (void)host;
    lookups++;
    usleep((useconds_t)(delay_ms * 1000));
    if (fails != 0)
        return fails;
    *out = &first;
    return 0;
}

static void release(struct addrinfo *list)
{
    assert_ptr_equal(list, &first);
}

struct asker {
    struct name_query query;
    struct loop *loop;
    int answers;
    bool good;
    char why[200];
    struct name_addrs addrs;
};

static void answered(struct name_query *q, const struct name_addrs *addrs, const char *why)
{
    struct asker *a = CONTAINER_OF(q, struct asker, query);
    a->answers++;
    a->good = addrs != NULL;
    if (addrs != NULL)
        a->addrs = *addrs;
    (void)snprintf(a->why, sizeof a->why, "%s", why);
    loop_stop(a->loop);
}

static struct loop *setup(void)
{
    lookups = delay_ms = fails = 0;
    struct loop *l = loop_new();
    l->names.resolve = resolve;
    l->names.release = release;
    return l;
}

/* True when answered at once. */
static bool ask(struct asker *a, struct loop *l, const char *host)
{
    *a = (struct asker){.loop = l, .query.done = answered};
    return names_ask(&l->names, host, &a->query, &a->addrs);
}

static void an_answer_is_kept_and_asked_for_once(void **state)
{
    (void)state;
    struct loop *l = setup();
    struct asker a, b, c;
    assert_false(ask(&a, l, "api.test"));
    assert_false(ask(&b, l, "API.test")); /* joins the first */
    loop_run(l);
    loop_run(l);
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers, 1);
    assert_int_equal(lookups, 1);
    assert_int_equal(a.addrs.count, 2);
    assert_int_equal(a.addrs.list[0].any.sa_family, AF_INET6);
    assert_true(ask(&c, l, "api.test"));
    assert_int_equal(c.addrs.count, 2);
    assert_int_equal(lookups, 1);
    l->names.ahead += 31 * USEC_PER_SEC;
    assert_false(ask(&c, l, "api.test"));
    loop_run(l);
    assert_int_equal(lookups, 2);
    assert_true(c.good);
    loop_free(l);
}

static void a_name_that_never_worked_fails_and_says_which(void **state)
{
    (void)state;
    struct loop *l = setup();
    struct asker a;
    fails = EAI_NONAME;
    assert_false(ask(&a, l, "nowhere.test"));
    loop_run(l);
    assert_int_equal(a.answers, 1);
    assert_false(a.good);
    assert_non_null(strstr(a.why, "nowhere.test"));
    loop_free(l);
}

static void a_stream_to_a_name_that_fails_is_a_name_error(void **state)
{
    (void)state;
    struct loop *l = setup();
    fails = EAI_AGAIN;
    struct end e;
    end_init(&e, l);
    e.stop_at_connect = true;
    end_dial(&e, "nowhere.test", 80, NULL);
    assert_false(run_for(l, 5000));
    assert_int_equal(e.connected, ERR_NAME);
    assert_non_null(strstr(stream_why(e.s), "nowhere.test"));
    end_deinit(&e);
    loop_free(l);
}

static void last_good_addresses_serve_an_hour_when_the_resolver_fails(void **state)
{
    (void)state;
    struct loop *l = setup();
    struct asker a;
    assert_false(ask(&a, l, "api.test"));
    loop_run(l);
    fails = EAI_AGAIN;
    l->names.ahead += 31 * USEC_PER_SEC;
    assert_false(ask(&a, l, "api.test"));
    loop_run(l);
    assert_true(a.good);
    assert_int_equal(a.addrs.count, 2);
    assert_int_equal(lookups, 2);
    assert_true(ask(&a, l, "api.test")); /* the resolver is left alone for a while */
    l->names.ahead += 6 * USEC_PER_SEC;
    assert_false(ask(&a, l, "api.test"));
    loop_run(l);
    assert_true(a.good);
    l->names.ahead += 3600 * USEC_PER_SEC;
    assert_false(ask(&a, l, "api.test"));
    loop_run(l);
    assert_false(a.good);
    loop_free(l);
}

static void a_slow_resolver_is_waited_for_briefly_when_old_addresses_are_at_hand(void **state)
{
    (void)state;
    struct loop *l = setup();
    struct asker a;
    assert_false(ask(&a, l, "api.test"));
    loop_run(l);
    delay_ms = 1500;
    usec start = loop_wall(l);
    l->names.ahead += 31 * USEC_PER_SEC;
    assert_false(ask(&a, l, "api.test"));
    loop_run(l);
    assert_true(a.good);
    assert_true(loop_wall(l) - start >= 450 * USEC_PER_MS);
    assert_true(loop_wall(l) - start < 1400 * USEC_PER_MS);
    loop_free(l); /* waits for the look-up */
    assert_int_equal(lookups, 2);
}

static void a_forgotten_query_is_not_answered(void **state)
{
    (void)state;
    struct loop *l = setup();
    struct asker a, b;
    assert_false(ask(&a, l, "api.test"));
    assert_false(ask(&b, l, "api.test"));
    names_forget(&b.query);
    names_forget(&b.query);
    loop_run(l);
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers, 0);
    loop_free(l);
}

static void the_table_of_names_is_bounded(void **state)
{
    (void)state;
    struct loop *l = setup();
    for (int i = 0; i < NAMES_ENTRIES_MAX + 50; i++) {
        struct asker a;
        char host[32];
        (void)snprintf(host, sizeof host, "h%d.test", i);
        assert_false(ask(&a, l, host));
        loop_run(l);
        assert_int_equal(a.answers, 1);
    }
    assert_int_equal(l->names.count, NAMES_ENTRIES_MAX);
    loop_free(l);
}

int main(void)
{
    address6.sin6_addr = in6addr_loopback;
    address4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_kept_and_asked_for_once),
        cmocka_unit_test(a_name_that_never_worked_fails_and_says_which),
        cmocka_unit_test(a_stream_to_a_name_that_fails_is_a_name_error),
        cmocka_unit_test(last_good_addresses_serve_an_hour_when_the_resolver_fails),
        cmocka_unit_test(a_slow_resolver_is_waited_for_briefly_when_old_addresses_are_at_hand),
        cmocka_unit_test(a_forgotten_query_is_not_answered),
        cmocka_unit_test(the_table_of_names_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
