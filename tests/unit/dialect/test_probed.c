/* What a stored finding changes: which flags of a capability, and which bodies may no longer pass
 * as they came. */
#include "base/span.h"
#include "dialect/probed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

static struct capability openai(void)
{
    return capability_preset(TARGET_OPENAI, SPAN("gpt-4.1"));
}

static struct probed found(enum probed_fact f, bool can)
{
    return (struct probed){.known = BIT(f), .can = can ? BIT(f) : 0};
}

static void words_are_read_back(void **state)
{
    (void)state;
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++) {
        enum probed_fact back = PROBED_FACTS;
        assert_int_equal(probed_fact_parse(span_from(probed_fact_name(f)), &back), ERR_OK);
        assert_int_equal(back, f);
    }
    enum probed_fact none;
    assert_int_equal(probed_fact_parse(SPAN("hearing"), &none), ERR_INVALID);
    assert_int_equal(probed_fact_parse(SPAN_EMPTY, &none), ERR_INVALID);
    assert_int_equal(probed_fact_parse(SPAN("image"), &none), ERR_INVALID);
}

/* Each fact, both ways, against a target presumed to be the other way. */
static void what_is_found_replaces_what_was_presumed_and_nothing_else(void **state)
{
    (void)state;
    for (enum probed_fact f = 0; f < PROBED_MESSAGES; f++)
        for (int can = 0; can < 2; can++) {
            struct capability c = openai(), before;
            struct probed other = found(f, !can), p = found(f, can);
            probed_apply(&other, &c);
            assert_int_equal(probed_presumes(f, &c), !can);
            before = c;
            probed_apply(&p, &c);
            assert_int_equal(probed_presumes(f, &c), can);
            for (enum probed_fact k = 0; k < PROBED_MESSAGES; k++)
                if (k != f)
                    assert_int_equal(probed_presumes(k, &c), probed_presumes(k, &before));
        }
}

static void what_is_not_known_stays_presumed(void **state)
{
    (void)state;
    struct capability c = openai(), before = c;
    struct probed p = {.known = 0, .can = UINT32_MAX};
    probed_apply(&p, &c);
    assert_memory_equal(&c, &before, sizeof c);
}

static void lacks_are_kept_as_lacks(void **state)
{
    (void)state;
    struct capability c = openai();
    struct probed p = {.known = BIT(PROBED_STREAM) | BIT(PROBED_TOOLS)};
    probed_apply(&p, &c);
    assert_true(c.no_stream && c.no_tools);
    p.can = p.known;
    probed_apply(&p, &c);
    assert_false(c.no_stream || c.no_tools);
}

/* A yes does not give a model the form of thinking that its preset knows it has not. */
static void of_two_ways_to_think_the_presumed_one_stays(void **state)
{
    (void)state;
    struct capability c = capability_preset(TARGET_ANTHROPIC, SPAN("claude-sonnet-5"));
    assert_true(c.thinking_adaptive && !c.thinking_budget);
    struct probed yes = found(PROBED_THINKING, true), no = found(PROBED_THINKING, false);
    probed_apply(&yes, &c);
    assert_true(c.thinking_adaptive && !c.thinking_budget);
    probed_apply(&no, &c);
    assert_false(c.thinking_adaptive || c.thinking_budget);
}

static void who_takes_an_effort_is_given_words_for_it(void **state)
{
    (void)state;
    struct capability c = {.reasoning_effort = false, .efforts = 0};
    struct probed p = found(PROBED_EFFORT, true);
    probed_apply(&p, &c);
    assert_true(c.reasoning_effort);
    assert_int_equal(c.efforts, BIT(EFFORT_LOW) | BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH));
    c.efforts = BIT(EFFORT_HIGH);
    probed_apply(&p, &c);
    assert_int_equal(c.efforts, BIT(EFFORT_HIGH));
}

/* Which bodies are written anew: those that can ask for what is missing against the presumption. */
static void only_a_new_lack_that_a_body_can_ask_for_narrows(void **state)
{
    (void)state;
    static const struct {
        enum probed_fact fact;
        bool messages, openai;
    } rows[] = {
        {PROBED_STREAM, false, false},    {PROBED_STREAM_OPTIONS, false, true},
        {PROBED_TOOLS, false, false},     {PROBED_FORCED_TOOL, true, true},
        {PROBED_IMAGES, true, true},      {PROBED_PDF, true, true},
        {PROBED_JSON_SCHEMA, true, true}, {PROBED_STOP, true, true},
        {PROBED_THINKING, true, false},   {PROBED_EFFORT, false, true},
        {PROBED_PREFILL, true, true},     {PROBED_MESSAGES, false, false},
    };
    struct probed all = {.known = UINT32_MAX, .can = UINT32_MAX};
    struct capability able = openai(), unable = able;
    probed_apply(&all, &able);
    all.can = 0;
    probed_apply(&all, &unable);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct probed lack = found(rows[i].fact, false), has = found(rows[i].fact, true);
        assert_int_equal(probed_narrows(&lack, &able, true), rows[i].messages);
        assert_int_equal(probed_narrows(&lack, &able, false), rows[i].openai);
        assert_false(probed_narrows(&lack, &unable, true));
        assert_false(probed_narrows(&lack, &unable, false));
        assert_false(probed_narrows(&has, &able, true));
        assert_false(probed_narrows(&has, &unable, false));
    }
}

static void it_is_believed_for_thirty_days_and_never_from_the_future(void **state)
{
    (void)state;
    const usec day = (usec)86400 * USEC_PER_SEC, now = 20000 * day;
    struct probed p = {.at = now};
    assert_true(probed_is_fresh(&p, now));
    assert_true(probed_is_fresh(&p, now + 30 * day - 1));
    assert_false(probed_is_fresh(&p, now + 30 * day));
    assert_false(probed_is_fresh(&p, now - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_back),
        cmocka_unit_test(what_is_found_replaces_what_was_presumed_and_nothing_else),
        cmocka_unit_test(what_is_not_known_stays_presumed),
        cmocka_unit_test(lacks_are_kept_as_lacks),
        cmocka_unit_test(of_two_ways_to_think_the_presumed_one_stays),
        cmocka_unit_test(who_takes_an_effort_is_given_words_for_it),
        cmocka_unit_test(only_a_new_lack_that_a_body_can_ask_for_narrows),
        cmocka_unit_test(it_is_believed_for_thirty_days_and_never_from_the_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
