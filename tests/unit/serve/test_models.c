/* The list of models: which names, in which order, in either API's form, page by page. */
#include "config_kit.h"
#include "json/json.h"
#include "serve/models.h"

#define TARGETS                                                                                    \
    "targets:\n  a: { kind: standin, url: http://127.0.0.1:9 }\n"                                  \
    "  b: { kind: standin, url: http://127.0.0.1:9, speaks: openai }\nmodels:\n"
#define EXACT                                                                                      \
    "  - match: m-1\n    chain: [ a, b/x ]\n"                                                      \
    "  - match: m-2\n    chain: [ b ]\n"                                                           \
    "  - match: m-*\n    chain: [ b/m-2, b/m-3, a/other ]\n"
#define CLAUDE "  - match: claude-*\n    chain: [ a ]\n"

static struct loaded l;

static const struct config *with(const char *text)
{
    struct config_source s = source_of(span_from(text), NULL);
    assert_int_equal(load(&l, &s), ERR_OK);
    return l.config;
}

/* "a,b" of the ids, behind it "+" when there are more. */
static struct span ids(const struct config *c, const char *query)
{
    struct span body, all = SPAN_EMPTY;
    struct models_fault fault;
    struct json_doc doc;
    if (!models_answer(c, true, SPAN_EMPTY, span_from(query), &l.arena, &body, &fault))
        return arena_printf(&l.arena, "%d %.*s", fault.status, SPAN_FMT(span_take(fault.text, 5)));
    assert_int_equal(json_parse(&l.arena, body, NULL, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc), data = json_get(root, "data");
    for (struct json m = json_first(data); json_present(m); m = json_next(data, m))
        all = arena_printf(&l.arena, "%.*s%s%.*s", SPAN_FMT(all), all.len ? "," : "",
                           SPAN_FMT(json_str(json_get(m, "id"))));
    return arena_printf(&l.arena, "%.*s%s", SPAN_FMT(all),
                        json_true(json_get(root, "has_more")) ? "+" : "");
}

static void expect_ids(const struct config *c, const char *query, const char *wanted)
{
    struct span got = ids(c, query);
    if (!span_is(got, wanted))
        fail_msg("%s: %.*s instead of %s", query, SPAN_FMT(got), wanted);
}

static void names_are_listed_once_where_their_own_route_answers_them(void **state)
{
    (void)state;
    const struct config *c = with(TARGETS EXACT);
    expect_ids(c, "", "m-1,m-2,m-3"); /* x and other: no route takes them */
    assert_string_equal(models_default(c), "m-1");
    unload(&l);
}

static void a_pattern_that_takes_claudes_names_lists_its_current_ones(void **state)
{
    (void)state;
    const struct config *c = with(TARGETS CLAUDE);
    struct span got = ids(c, "");
    assert_true(span_starts(got, SPAN("claude-sonnet-5,claude-opus-5-5,")));
    assert_string_equal(models_default(c), "claude-sonnet-5");
    unload(&l);
    c = with(TARGETS "  - match: claude-opus-*\n    chain: [ a ]\n");
    expect_ids(c, "", "claude-opus-5-5,claude-opus-5,claude-opus-4-8");
    unload(&l);
    c = with(TARGETS "  - match: gpt-*\n    chain: [ b ]\n");
    expect_ids(c, "", "");
    assert_null(models_default(c));
    unload(&l);
}

static void pages_go_forwards_and_backwards(void **state)
{
    (void)state;
    static const struct {
        const char *query, *ids;
    } rows[] = {
        {"limit=1", "m-1+"},
        {"limit=2", "m-1,m-2+"},
        {"limit=3", "m-1,m-2,m-3"},
        {"x&limit=1&after_id=m-1&y=", "m-2+"},
        {"after_id=m%2D2&limit=1", "m-3"},
        {"after_id=m-3", ""},
        {"before_id=m-3&limit=1", "m-2+"},
        {"before_id=m-3", "m-1,m-2"},
        {"before_id=m-1", ""},
        {"after_id=m-1&before_id=m-3", "m-2+"},
        {"after_id=m-3&before_id=m-1", ""},
        {"limit=0", "400 limit"},
        {"limit=1001", "400 limit"},
        {"limit=-1", "400 limit"},
        {"limit=", "400 limit"},
        {"limit=99999999999999999999", "400 limit"},
        {"after_id=nobody", "400 after"},
        {"before_id=", "400 after"},
        {"%limit=1&=&&limi%74=1", "m-1,m-2,m-3"}, /* no name of ours */
    };
    const struct config *c = with(TARGETS EXACT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_ids(c, rows[i].query, rows[i].ids);
    unload(&l);
}

static struct span one(const struct config *c, bool claude, const char *id)
{
    struct span body;
    struct models_fault fault;
    if (models_answer(c, claude, span_from(id), SPAN_EMPTY, &l.arena, &body, &fault))
        return body;
    return arena_printf(&l.arena, "%d", fault.status);
}

static void one_model_is_any_name_that_a_route_takes(void **state)
{
    (void)state;
    const struct config *c = with(TARGETS EXACT);
    assert_true(span_is(one(c, false, "m-1"), "{\"id\":\"m-1\",\"object\":\"model\",\"created\":0,"
                                              "\"owned_by\":\"a, then b/x\"}"));
    assert_true(span_is(one(c, true, "m-%22%2f%"),
                        "{\"id\":\"m-\\\"/%\",\"type\":\"model\",\"display_name\":\"m-\\\"/% "
                        "(b/m-2, then b/m-3, a/other)\",\"created_at\":"
                        "\"1970-01-01T00:00:00Z\"}"));
    assert_true(span_is(one(c, true, "nobody"), "404"));
    unload(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_listed_once_where_their_own_route_answers_them),
        cmocka_unit_test(a_pattern_that_takes_claudes_names_lists_its_current_ones),
        cmocka_unit_test(pages_go_forwards_and_backwards),
        cmocka_unit_test(one_model_is_any_name_that_a_route_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
