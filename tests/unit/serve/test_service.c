/* Snapshots: adopted whole or not at all; what must outlive a reload does. */
#include "config_kit.h"

#include "serve/learned_file.h"
#include "serve/service.h"

#include <unistd.h>

static struct env_pair env[] = {{"A", "sk-one"}, {NULL, NULL}};

#define TLS(name, port)                                                                            \
    "  " name ": { kind: anthropic, url: 'https://127.0.0.1:" port "', key: env:A }\n"
#define PLAIN "  p: { kind: standin, url: http://127.0.0.1:9, speaks: anthropic }\n"
#define ROUTE(chain) "models:\n  - match: '*'\n    chain: [ " chain " ]\n"

static enum err adopt(struct service *s, const char *text)
{
    struct loaded l;
    struct config_source source = source_of(span_from(text), env);
    assert_int_equal(load(&l, &source), ERR_OK);
    char why[256] = "";
    enum err e = service_adopt(s, config_ref(l.config), why);
    assert_true((e == ERR_OK) == (why[0] == '\0'));
    unload(&l);
    return e;
}

static void a_reload_keeps_breakers_and_tls_clients(void **state)
{
    (void)state;
    struct service s;
    service_init(&s, 1);
    assert_int_equal(adopt(&s, "targets:\n" TLS("a", "1") TLS("b", "2") PLAIN ROUTE("a, b, p/x")),
                     ERR_OK);
    struct snapshot *one = service_snapshot(&s);
    assert_non_null(one->tls[0]);
    assert_ptr_equal(one->tls[0], one->tls[1]);
    assert_null(one->tls[2]);
    assert_int_equal(adopt(&s, "targets:\n" PLAIN TLS("b", "2") ROUTE("p/x, b")), ERR_OK);
    struct snapshot *two = service_snapshot(&s);
    assert_ptr_not_equal(one, two);
    assert_ptr_equal(two->tls[1], one->tls[1]);
    assert_ptr_equal(two->breakers[two->config->routes[0].links[0].breaker],
                     one->breakers[one->config->routes[0].links[2].breaker]);
    assert_int_equal(two->target_ids[1], one->target_ids[1]);
    snapshot_unref(one); /* the old one lives as long as it is used, and no longer */
    snapshot_unref(two);
    service_deinit(&s);
}

static void a_reload_keeps_what_is_known_of_conversations_where_the_chain_stays(void **state)
{
    (void)state;
    static const char more[] = "  - match: x-*\n    chain: [ p/x, p/y ]\n";
    struct service s;
    char text[600];
    service_init(&s, 1);
    (void)snprintf(text, sizeof text, "targets:\n" PLAIN "models:\n%s%s", more,
                   "  - match: '*'\n    chain: [ p/z ]\n");
    assert_int_equal(adopt(&s, text), ERR_OK);
    struct snapshot *one = service_snapshot(&s);
    assert_non_null(one->affinities[0]);
    assert_null(one->affinities[1]); /* nothing to choose */
    (void)snprintf(text, sizeof text, "targets:\n" PLAIN "models:\n%s%s",
                   "  - match: a\n    chain: [ p/y, p/x ]\n", more);
    assert_int_equal(adopt(&s, text), ERR_OK);
    struct snapshot *two = service_snapshot(&s);
    assert_ptr_equal(two->affinities[1], one->affinities[0]);
    assert_ptr_not_equal(two->affinities[0], one->affinities[0]);
    snapshot_unref(one);
    assert_int_equal(affinity_count(two->affinities[1]), 0); /* alive */
    (void)snprintf(text, sizeof text, "targets:\n" PLAIN "models:\n%s",
                   "  - match: x-*\n    chain: [ p/y, p/x ]\n");
    assert_int_equal(adopt(&s, text), ERR_OK); /* the places mean something else now */
    struct snapshot *three = service_snapshot(&s);
    assert_ptr_not_equal(three->affinities[0], two->affinities[1]);
    assert_ptr_not_equal(three->affinities[0], two->affinities[0]);
    snapshot_unref(two);
    snapshot_unref(three);
    service_deinit(&s);
}

static void a_certificate_file_that_is_none_changes_nothing(void **state)
{
    (void)state;
    struct service s;
    service_init(&s, 1);
    assert_int_equal(adopt(&s, "targets:\n" PLAIN), ERR_OK);
    struct snapshot *before = service_snapshot(&s);
    char path[] = "/tmp/hotspare-ca-XXXXXX", text[400];
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "nonsense\n", 9) == 9);
    (void)snprintf(
        text, sizeof text,
        "targets:\n  a: { kind: anthropic, url: 'https://127.0.0.1:1', key: env:A, ca: %s }\n",
        path);
    assert_int_not_equal(adopt(&s, text), ERR_OK);
    struct snapshot *after = service_snapshot(&s);
    assert_ptr_equal(before, after);
    snapshot_unref(before);
    snapshot_unref(after);
    (void)close(fd);
    (void)unlink(path);
    service_deinit(&s);
}

static void the_key_goes_out_as_the_dialect_wants_it(void **state)
{
    (void)state;
    struct service s;
    service_init(&s, 1);
    assert_int_equal(adopt(&s, "targets:\n"
                               "  a: { kind: anthropic, key: env:A }\n"
                               "  b: { kind: anthropic, key: env:A, auth: bearer }\n"
                               "  o: { kind: openai, key: env:A, model: m }\n" PLAIN),
                     ERR_OK);
    struct snapshot *snap = service_snapshot(&s);
    assert_true(span_is(snap->credentials[0], "x-api-key: sk-one\r\n"));
    assert_true(span_is(snap->credentials[1], "authorization: Bearer sk-one\r\n"));
    assert_true(span_is(snap->credentials[2], "authorization: Bearer sk-one\r\n"));
    assert_int_equal(snap->credentials[3].len, 0);
    snapshot_unref(snap);
    service_deinit(&s);
}

#define NOW (1000 * USEC_PER_SEC)
#define WALL ((usec)1800000000 * USEC_PER_SEC)

static void breakers_come_back_from_their_file_and_damage_is_skipped(void **state)
{
    (void)state;
    char folder[] = "/tmp/hotspare-state-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/breakers", folder);
    for (int turn = 0; turn < 2; turn++) {
        struct service s;
        service_init(&s, 1);
        assert_int_equal(adopt(&s, "targets:\n" PLAIN ROUTE("p/x, p/y")), ERR_OK);
        struct snapshot *snap = service_snapshot(&s);
        struct breaker *x = snap->breakers[snap->config->routes[0].links[0].breaker];
        struct breaker *y = snap->breakers[snap->config->routes[0].links[1].breaker];
        usec wait;
        if (turn == 0) {
            assert_int_equal(breaker_ask(x, NOW, &wait), ERR_OK);
            breaker_report(x, NOW, CAUSE_ACCOUNT_GONE, 0, 0);
            service_save_breakers(&s, folder, NOW, WALL);
            FILE *f = fopen(path, "a");
            (void)fputs(
                "p/y\t\t\t\nnonsense\np/y\t99999999999999999999\t1\t1\n\tx\np/y\t1\t999\t1\n", f);
            (void)fclose(f);
        } else {
            service_load_breakers(&s, folder, NOW, WALL);
            assert_int_equal(breaker_view(x, NOW).state, BREAKER_OPEN);
            assert_int_equal(breaker_view(x, NOW).last_cause, CAUSE_ACCOUNT_GONE);
            assert_int_equal(breaker_view(y, NOW).state, BREAKER_CLOSED);
        }
        snapshot_unref(snap);
        service_deinit(&s);
    }
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

static struct learned learned; /* large: not on the stack */
static struct learned_entry facts[LEARNED_MAX];

static size_t facts_loaded(const char *folder, usec wall)
{
    learned_init(&learned);
    learned_file_load(&learned, folder, wall);
    size_t count = learned_list(&learned, wall, facts);
    learned_deinit(&learned);
    return count;
}

static void put_file(const char *path, const char *mode, const char *text)
{
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void learned_facts_come_back_from_their_file_and_damage_is_left_out(void **state)
{
    (void)state;
    char folder[] = "/tmp/hotspare-state-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/learned", folder);
    assert_int_equal(facts_loaded(folder, WALL), 0); /* there is none yet */
    learned_init(&learned);
    assert_true(learned_note(&learned, "p", SPAN("x/\\u00e9"), LEARNED_NO_PREFILL, WALL));
    assert_true(learned_note(&learned, "p", SPAN("y z"), LEARNED_NO_PREFILL, WALL + 1));
    learned_file_save(&learned, folder, WALL);
    learned_deinit(&learned);
    put_file(path, "a",
             "nonsense\np\tq\n\tm\tno_prefill\t1900000000000000\n"
             "p\tm\tflies\t1900000000000000\np\tm\tno_prefill\t12x\n"
             "p\tm\tno_prefill\t1900000000000000\tmore\np\tm\tno_prefill\t-5\n");
    assert_int_equal(facts_loaded(folder, WALL + 2), 2);
    assert_string_equal(facts[0].model, "x/\\u00e9");
    assert_string_equal(facts[1].model, "y z");
    assert_int_equal(facts[1].until, WALL + 1 + LEARNED_KEEP);
    assert_int_equal(facts_loaded(folder, WALL + LEARNED_KEEP), 1); /* the other has expired */
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 100000; i++)
        (void)fputs("\x01 not ours ", f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(facts_loaded(folder, WALL), 0);
    learned_init(&learned); /* the next save mends it */
    assert_true(learned_note(&learned, "p", SPAN("x"), LEARNED_NO_PREFILL, WALL));
    learned_file_save(&learned, folder, WALL);
    learned_deinit(&learned);
    assert_int_equal(facts_loaded(folder, WALL), 1);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_keeps_breakers_and_tls_clients),
        cmocka_unit_test(a_reload_keeps_what_is_known_of_conversations_where_the_chain_stays),
        cmocka_unit_test(a_certificate_file_that_is_none_changes_nothing),
        cmocka_unit_test(the_key_goes_out_as_the_dialect_wants_it),
        cmocka_unit_test(learned_facts_come_back_from_their_file_and_damage_is_left_out),
        cmocka_unit_test(breakers_come_back_from_their_file_and_damage_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
