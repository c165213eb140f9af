/* Which conversation is it: the sources in their order, and an opening that stays the same while
 * the conversation grows. */
#include "base/span.h"
#include "relay/identity.h"

#include <stdio.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t seed[2] = {1, 2}, other_seed[2] = {1, 3};

static struct identity read_with(const uint64_t s[2], const char *owner, const char *session,
                                 const char *body)
{
    struct arena a;
    struct json_doc doc;
    struct http_field field = {SPAN("X-Claude-Code-Session-Id"), span_from(session)};
    struct http_head head = {.fields = &field, .field_count = session ? 1 : 0};
    arena_init(&a, (size_t)1 << 20);
    assert_int_equal(json_parse(&a, span_from(body), NULL, &doc, NULL), ERR_OK);
    size_t before = arena_used(&a);
    struct identity id = identity_of(s, owner, &head, &doc);
    assert_int_equal(arena_used(&a), before);
    arena_deinit(&a);
    return id;
}

static struct identity of(const char *body)
{
    return read_with(seed, NULL, NULL, body);
}

static void expect_same(struct identity a, struct identity b)
{
    assert_int_equal(a.source, b.source);
    assert_true(a.source != IDENTITY_NONE && a.hash == b.hash);
}

static void expect_other(struct identity a, struct identity b)
{
    assert_true(a.hash != b.hash);
}

static void the_sources_are_asked_in_their_order(void **state)
{
    (void)state;
    static const char all[] =
        "{\"metadata\":{\"user_id\":\"u1\"},\"prompt_cache_key\":\"k1\",\"system\":\"s\"}";
    struct identity id = read_with(seed, NULL, "s1", all);
    assert_int_equal(id.source, IDENTITY_SESSION);
    expect_same(id, read_with(seed, NULL, "s1", "{}"));
    expect_other(id, read_with(seed, NULL, "s2", all));
    assert_int_equal(of(all).source, IDENTITY_USER);
    expect_same(of(all), of("{\"metadata\":{\"user_id\":\"u1\"}}"));
    struct identity key = of("{\"prompt_cache_key\":\"k1\",\"messages\":[]}");
    assert_int_equal(key.source, IDENTITY_CACHE_KEY);
    struct identity opening = of("{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    assert_int_equal(opening.source, IDENTITY_OPENING);
    assert_int_equal(of("{\"messages\":[]}").source, IDENTITY_NONE);
    assert_int_equal(of("{\"messages\":[]}").hash, 0);
    assert_int_equal(of("{}").source, IDENTITY_NONE);
}

static void values_that_name_nobody_are_passed_over(void **state)
{
    (void)state;
    struct identity hello = of("{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    expect_same(hello, read_with(seed, NULL, "",
                                 "{\"metadata\":{\"user_id\":null},\"prompt_cache_key\":\"\","
                                 "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"));
    expect_same(hello, of("{\"metadata\":7,\"prompt_cache_key\":[1],\"system\":{},"
                          "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"));
}

static void the_opening_stays_the_same_while_the_conversation_grows(void **state)
{
    (void)state;
    struct identity first =
        of("{\"model\":\"m\",\"system\":[{\"type\":\"text\",\"text\":\"Be brief.\"}],\"messages\":["
           "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Why?\","
           "\"cache_control\":{\"type\":\"ephemeral\"}}]}]}");
    struct identity later =
        of("{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"Why?\",\"type\":\"text\"}]},"
           "{\"role\":\"assistant\",\"content\":\"Because.\"},{\"role\":\"user\",\"content\":\"But "
           "why?\"}],\"system\":[{\"type\":\"text\",\"text\":\"Be brief.\","
           "\"cache_control\":{\"type\":\"ephemeral\"}}],\"model\":\"another\",\"stream\":true}");
    expect_same(first, later);
    /* The same said in the other dialect, and as a plain string. */
    expect_same(first, of("{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},"
                          "{\"role\":\"user\",\"content\":\"Why?\"}]}"));
    expect_other(first, of("{\"system\":\"Be brief.\",\"messages\":[{\"role\":\"user\","
                           "\"content\":\"How?\"}]}"));
    expect_other(first, of("{\"system\":\"Be long.\",\"messages\":[{\"role\":\"user\","
                           "\"content\":\"Why?\"}]}"));
    expect_same(of("{\"prompt\":\"a b\"}"), of("{\"prompt\":\"a b\",\"n\":1}"));
}

static void long_texts_differ_by_beginning_end_and_length(void **state)
{
    (void)state;
    char text[20000], body[20400], alike[20400];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    static const char form[] = "{\"system\":\"%s\",\"messages\":[{\"role\":\"user\","
                               "\"content\":\"%s\"}]}";
    (void)snprintf(body, sizeof body, form, text, "one");
    (void)snprintf(alike, sizeof alike, form, text, "two");
    expect_other(of(body), of(alike)); /* a long system prompt hides no user message */
    (void)snprintf(alike, sizeof alike, form, text + 1, "one");
    expect_other(of(body), of(alike));
    text[0] = 'y';
    (void)snprintf(alike, sizeof alike, form, text, "one");
    expect_other(of(body), of(alike));
    text[0] = 'x', text[sizeof text - 2] = 'y';
    (void)snprintf(alike, sizeof alike, form, text, "one");
    expect_other(of(body), of(alike));
}

static void seed_and_owner_keep_conversations_apart(void **state)
{
    (void)state;
    static const char hello[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
    expect_other(read_with(seed, NULL, "s1", hello), read_with(other_seed, NULL, "s1", hello));
    expect_other(read_with(seed, "team-a", "s1", hello), read_with(seed, "team-b", "s1", hello));
    expect_other(read_with(seed, "team-a", NULL, hello), read_with(seed, "team-b", NULL, hello));
    expect_same(read_with(seed, "team-a", "s1", hello), read_with(seed, "team-a", "s1", hello));
}

static void every_source_has_a_word_and_nobody_has_none(void **state)
{
    (void)state;
    assert_null(identity_source_name(IDENTITY_NONE));
    for (int s = IDENTITY_NONE + 1; s < IDENTITY_SOURCES; s++)
        assert_non_null(identity_source_name((enum identity_source)s));
    assert_string_equal(identity_source_name(IDENTITY_CACHE_KEY), "cache_key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sources_are_asked_in_their_order),
        cmocka_unit_test(values_that_name_nobody_are_passed_over),
        cmocka_unit_test(the_opening_stays_the_same_while_the_conversation_grows),
        cmocka_unit_test(long_texts_differ_by_beginning_end_and_length),
        cmocka_unit_test(seed_and_owner_keep_conversations_apart),
        cmocka_unit_test(every_source_has_a_word_and_nobody_has_none),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
