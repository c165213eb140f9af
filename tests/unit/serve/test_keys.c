/* Client keys: found by their text alone, by whole value, and never an empty one. */
#include "config_kit.h"

#include "serve/keys.h"

#define KEYS "keys: { team-a: env:A, team-b: env:B, twin: env:A }\n"

static struct env_pair env[] = {{"A", "sk-one"}, {"B", "sk-two"}, {NULL, NULL}};

struct kit {
    struct loaded loaded;
    struct client_keys *keys;
};

static void open_kit(struct kit *k, struct span text, uint8_t fill)
{
    struct config_source s = source_of(text, env);
    assert_int_equal(load(&k->loaded, &s), ERR_OK);
    uint8_t pepper[32];
    memset(pepper, fill, sizeof pepper);
    k->keys = client_keys_new(k->loaded.config, pepper);
}

static void close_kit(struct kit *k)
{
    client_keys_free(k->keys);
    unload(&k->loaded);
}

static void no_keys_configured_is_null(void **state)
{
    (void)state;
    struct kit k;
    open_kit(&k, SPAN(T), 1);
    assert_null(k.keys);
    close_kit(&k);
}

static void a_key_is_found_by_its_whole_text_only(void **state)
{
    (void)state;
    for (int fill = 0; fill < 256; fill += 85) {
        struct kit k;
        open_kit(&k, SPAN(T KEYS), (uint8_t)fill);
        assert_string_equal(client_keys_find(k.keys, SPAN("sk-two")), "team-b");
        static const char *const wrong[] = {"sk-tw", "sk-twoo", "SK-TWO", " sk-two", "team-b", "x"};
        for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
            assert_null(client_keys_find(k.keys, span_from(wrong[i])));
        assert_null(client_keys_find(k.keys, (struct span){"sk-two\0", 7}));
        close_kit(&k);
    }
}

static void an_empty_key_is_nobodys(void **state)
{
    (void)state;
    struct kit k;
    open_kit(&k, SPAN(T KEYS), 9);
    assert_null(client_keys_find(k.keys, SPAN_EMPTY));
    close_kit(&k);
}

static void a_key_given_twice_has_one_of_its_names(void **state)
{
    (void)state;
    struct kit k;
    open_kit(&k, SPAN(T KEYS), 9);
    const char *name = client_keys_find(k.keys, SPAN("sk-one"));
    assert_true(strcmp(name, "team-a") == 0 || strcmp(name, "twin") == 0);
    close_kit(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_keys_configured_is_null),
        cmocka_unit_test(a_key_is_found_by_its_whole_text_only),
        cmocka_unit_test(an_empty_key_is_nobodys),
        cmocka_unit_test(a_key_given_twice_has_one_of_its_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
