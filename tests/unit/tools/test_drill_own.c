/* A drill against one's own chain: what of the catalogue it commits, its verdicts, its reports. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/span.h"
#include "json/json.h"
#include "relay/fault_board.h"
#include "tools/drill/own.h"

static struct own_order order(void)
{
    return (struct own_order){
        .gateway = "http://g",
        .admin = "http://a",
        .model = "m",
        .percent = 5,
        .rate = 1,
        .seconds = 20,
        .minutes = 30,
        .cap = 50000,
        .abort_lost = 0,
        .abort_interruption = LIMIT_NONE,
        .limits = {.set = {[LIMIT_INTERRUPTION] = true}, .most = {[LIMIT_INTERRUPTION] = 0.5}}};
}

static struct own_result result(const char *name)
{
    size_t f, v;
    assert_int_equal(catalogue_find(span_from(name), &f, &v), ERR_OK);
    return (struct own_result){
        .fault = &drill_faults[f],
        .variant = &drill_faults[f].variants[v],
        .restored = true,
        .asked = 20,
        .good = 20,
        .counts = {.met = 10, .hidden = 10, .attempts = 20, .elsewhere = 10, .detect = 5000}};
}

static void a_variant_says_why_it_is_not_run_or_the_gateway_takes_it(void **state)
{
    (void)state;
    struct own_order o = order();
    size_t run = 0, only_mine = 0;
    for (size_t f = 0; f < drill_fault_count; f++) {
        for (size_t v = 0; v < drill_faults[f].variant_count; v++) {
            const struct drill_variant *one = &drill_faults[f].variants[v];
            struct fault_order made;
            const char *why = own_not_run(&o, one);
            o.only_mine = true;
            only_mine += why != NULL && own_not_run(&o, one) == NULL;
            o.only_mine = false;
            if (why != NULL) {
                assert_true(strlen(why) > 20);
                continue;
            }
            struct fault_wish w = {.drill = SPAN("d"),
                                   .target = SPAN("t"),
                                   .spec = span_from(one->steps[0].lead),
                                   .percent = 1,
                                   .lease = 3 * USEC_PER_SEC};
            assert_int_equal(fault_order_make(&w, &made, &why), ERR_OK);
            assert_true(one->steps[0].spare == NULL && one->trap == TRAP_NONE);
            run++;
        }
    }
    assert_true(run > 25);
    assert_int_equal(only_mine, 2); /* both of H6 */
}

static void expect_verdict(struct own_result r, enum verdict wanted, const char *word)
{
    struct own_order o = order();
    own_judge(&r, &o);
    assert_int_equal(r.verdict, wanted);
    assert_non_null(strstr(r.why, word));
}

static void a_verdict_is_what_became_of_those_that_met_it(void **state)
{
    (void)state;
    struct own_result r = result("H1.529");
    expect_verdict(r, VERDICT_PASS, "");
    r.counts.client_left = r.counts.released = 5; /* says nothing of the chain */
    expect_verdict(r, VERDICT_PASS, "");
    r.counts.lost = 1;
    expect_verdict(r, VERDICT_FAIL, "a limit was broken");
    r = result("H1.529");
    r.wrong = 1;
    expect_verdict(r, VERDICT_FAIL, "of the drill's own");
    r = result("H1.529");
    r.restored = false;
    expect_verdict(r, VERDICT_FAIL, "afterwards");
    r = result("H1.529");
    r.aborted = true;
    expect_verdict(r, VERDICT_FAIL, "abort rule");
    r = result("H1.529");
    r.counts = (struct own_counts){.detect = -1};
    expect_verdict(r, VERDICT_BROKEN, "no conversation met it");
    r.counts.met = r.counts.released = 3; /* nothing was shown */
    expect_verdict(r, VERDICT_BROKEN, "no conversation met it");
    r = result("H6.400");
    expect_verdict(r, VERDICT_FAIL, "a caller's own error");
    r.counts = (struct own_counts){.met = 9, .told = 9, .attempts = 9, .detect = -1};
    expect_verdict(r, VERDICT_PASS, "");
    r.counts.elsewhere = 1;
    expect_verdict(r, VERDICT_FAIL, "a caller's own error");
}

static void limits_that_are_set_are_held_and_one_that_did_not_happen_is_broken(void **state)
{
    (void)state;
    struct own_order o = order();
    struct own_result r = result("H1.529");
    r.counts.gap = 3 * USEC_PER_SEC;
    assert_int_equal(limit_parse(SPAN("gap=3"), &o.limits), ERR_OK);
    assert_int_equal(limit_parse(SPAN("billing=2"), &o.limits), ERR_OK);
    own_judge(&r, &o);
    assert_int_equal(r.broken_count, 0);
    assert_int_equal(limit_parse(SPAN("gap=2.9"), &o.limits), ERR_OK);
    assert_int_equal(limit_parse(SPAN("detect=1"), &o.limits), ERR_OK);
    r.counts.detect = -1;
    own_judge(&r, &o);
    assert_int_equal(r.broken_count, 2);
    assert_true(r.verdict == VERDICT_FAIL && !r.broken[0].happened && r.broken[1].happened);
}

static void the_most_that_one_may_cost_is_in_the_caps_unit(void **state)
{
    (void)state;
    struct own_order o = order();
    assert_true(own_most_of_one(&o) == 2.0 * (CALLER_PROMPT_TOKENS + CALLER_TOKENS_MOST));
    o.in_usd = true;
    o.price_in = 3;
    o.price_out = 15;
    double usd = own_most_of_one(&o) * 1e6;
    assert_true(usd > 6359 && usd < 6361); /* 120 x 3 + 400 x 15 */
}

static void the_exit_code_tells_the_worst(void **state)
{
    (void)state;
    struct own_order o = order();
    struct own_result at[2] = {result("H1.529"), result("H4.org-disabled")};
    struct own_report r = {.order = &o, .at = at, .count = 2};
    at[0].verdict = VERDICT_PASS;
    assert_int_equal(own_exit_code(&r), 0);
    at[1].verdict = VERDICT_FAIL;
    assert_int_equal(own_exit_code(&r), OWN_LIMIT);
    at[1].verdict = VERDICT_NOT_RUN;
    (void)snprintf(r.ended_early, sizeof r.ended_early, "the spend cap is reached");
    assert_int_equal(own_exit_code(&r), OWN_LIMIT);
    r.stopped = true;
    assert_int_equal(own_exit_code(&r), OWN_STOPPED);
    at[1].verdict = VERDICT_BROKEN;
    assert_int_equal(own_exit_code(&r), OWN_BROKEN);
    at[0].verdict = at[1].verdict = VERDICT_NOT_RUN; /* nothing was shown */
    r = (struct own_report){.order = &o, .at = at, .count = 2};
    assert_int_equal(own_exit_code(&r), OWN_BROKEN);
}

static void the_reports_hold_what_a_peer_said_without_breaking(void **state)
{
    (void)state;
    struct own_order o = order();
    struct own_result at[2] = {result("S5.cut"), result("T3.alert")};
    struct own_report r = {.order = &o, .at = at, .count = 2, .target = "claude"};
    struct buf out;
    struct arena a;
    struct json_doc doc;
    at[0].verdict = VERDICT_FAIL;
    (void)snprintf(at[0].why, sizeof at[0].why, "\"<b>&\\ \x01");
    buf_init(&out, REPORT_MAX);
    arena_init(&a, REPORT_MAX);
    own_json(&r, &out);
    assert_int_equal(json_parse(&a, buf_span(&out), NULL, &doc, NULL), ERR_OK);
    struct json first = json_at(json_get(json_root(&doc), "faults"), 0);
    assert_true(json_str_is(json_get(first, "id"), "S5.cut"));
    assert_true(json_str_is(json_get(first, "verdict"), "fail"));
    assert_true(span_search(buf_span(&out), SPAN("not_measurable")) > 0);
    buf_reset(&out);
    own_junit(&r, &out);
    own_html(&r, &out);
    assert_true(span_search(buf_span(&out), SPAN("<b>")) < 0);
    assert_true(span_search(buf_span(&out), SPAN("&lt;b&gt;")) > 0);
    assert_true(span_search(buf_span(&out), SPAN("skipped=\"1\"")) > 0);
    arena_deinit(&a);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_variant_says_why_it_is_not_run_or_the_gateway_takes_it),
        cmocka_unit_test(a_verdict_is_what_became_of_those_that_met_it),
        cmocka_unit_test(limits_that_are_set_are_held_and_one_that_did_not_happen_is_broken),
        cmocka_unit_test(the_most_that_one_may_cost_is_in_the_caps_unit),
        cmocka_unit_test(the_exit_code_tells_the_worst),
        cmocka_unit_test(the_reports_hold_what_a_peer_said_without_breaking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
