/* The demo's arithmetic: numbered words, percentiles, and what may be called perfect. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/span.h"
#include "json/json.h"
#include "tools/demo_score.h"

struct expectation {
    const char *text;
    uint32_t lost, repeated, reordered, strange;
};

static void check(const struct words *w, const struct expectation *e)
{
    assert_int_equal(w->lost, e->lost);
    assert_int_equal(w->repeated, e->repeated);
    assert_int_equal(w->reordered, e->reordered);
    assert_int_equal(w->strange, e->strange);
    assert_int_equal(words_perfect(w), e->lost + e->repeated + e->reordered + e->strange == 0);
}

static void words_lost_repeated_and_moved_are_counted_at_every_cut(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {"w1 w2 w3 w4 w5", 0, 0, 0, 0},
        {" w1  w2\nw3 w4 w5 ", 0, 0, 0, 0},
        {"w1 w2 w4 w5", 1, 0, 0, 0},
        {"w1 w2 w2 w3 w4 w5", 0, 1, 0, 0},
        {"w1 w3 w2 w4 w5", 0, 0, 1, 0},
        {"w1 w2 w3", 2, 0, 0, 0},
        {"w1 w2 w3 w4 w", 1, 0, 0, 1},
        {"w1 w2 w3 w4 w5 w6", 0, 0, 0, 1},
        {"w0 w1 w2 w3 w4 w5 Sure, w1", 0, 1, 0, 2},
        {"w1w2 w3 w4 w5", 2, 0, 0, 1},
        {"w00000000000000000000000000000000001 w2 w3 w4 w5", 1, 0, 0, 1},
        {"", 5, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span text = span_from(cases[i].text);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct words w;
            words_begin(&w, 5);
            words_feed(&w, span_take(text, cut));
            words_feed(&w, span_drop(text, cut));
            words_end(&w);
            check(&w, &cases[i]);
        }
    }
}

static void a_percentile_is_the_nearest_rank(void **state)
{
    (void)state;
    usec at[] = {50, 10, 40, 20, 30};
    struct samples s = {at, 5, 5};
    assert_int_equal(samples_percentile(&s, 50), 30);
    assert_int_equal(samples_percentile(&s, 99), 50);
    assert_int_equal(samples_percentile(&s, 1), 10);
    assert_int_equal(samples_percentile(&s, 100), 50);
    struct samples none = {0};
    assert_int_equal(samples_percentile(&none, 50), -1);
}

static void turn(struct score *s, enum demo_phase p, const char *by, bool whole, const char *text)
{
    struct words w;
    words_begin(&w, 3);
    words_feed(&w, span_from(text));
    words_end(&w);
    struct turn_result r = {
        .phase = p, .words = &w, .whole = whole, .served_by = by, .trouble = ""};
    score_turn(s, &r);
}

/* A run in which everything went as it should. */
static void good_run(struct score *s)
{
    score_init(s);
    turn(s, PHASE_DIRECT, "", true, "w1 w2 w3");
    turn(s, PHASE_BEFORE, "claude", true, "w1 w2 w3");
    s->continued++; /* one that Claude began and the other ended */
    turn(s, PHASE_DISABLED, "openai", true, "w1 w2 w3");
    turn(s, PHASE_SILENT, "openai", true, "w1 w2 w3");
    turn(s, PHASE_AFTER, "claude", true, "w1 w2 w3");
}

static void one_missing_word_or_one_cut_answer_is_not_perfect(void **state)
{
    (void)state;
    struct score s;
    good_run(&s);
    assert_true(score_perfect(&s));
    assert_int_equal(s.turns, 4); /* the direct one is in no total */
    assert_int_equal(s.words, 12);
    turn(&s, PHASE_AFTER, "openai", true, "w1 w3");
    assert_false(score_perfect(&s));
    assert_int_equal(s.lost, 1);
    assert_string_not_equal(s.first_trouble, "");
    score_deinit(&s);
    good_run(&s);
    turn(&s, PHASE_AFTER, "openai", false, "w1 w2 w3");
    assert_false(score_perfect(&s));
    assert_int_equal(s.interrupted, 1);
    score_deinit(&s);
    score_init(&s);
    assert_false(score_perfect(&s)); /* nothing happened */
    score_deinit(&s);
}

static void a_claude_that_was_never_gone_proves_nothing(void **state)
{
    (void)state;
    struct score s;
    good_run(&s);
    assert_true(score_means_something(&s));
    turn(&s, PHASE_SILENT, "claude", true, "w1 w2 w3"); /* asked just before it came back */
    score_first_token(&s, &(struct first_token){PHASE_SILENT, false, 2000, 1000, "claude"});
    assert_true(score_means_something(&s));
    score_first_token(&s, &(struct first_token){PHASE_SILENT, true, 2000, 1000, "claude"});
    assert_false(score_means_something(&s));
    score_deinit(&s);
    score_init(&s);
    turn(&s, PHASE_BEFORE, "claude", true, "w1 w2 w3");
    assert_false(score_means_something(&s));
    score_deinit(&s);
}

static double number(struct json at, const char *path)
{
    double n = -1;
    assert_int_equal(json_double(json_path(at, path), &n), ERR_OK);
    return n;
}

static void the_json_scorecard_holds_what_was_counted(void **state)
{
    (void)state;
    struct score s;
    good_run(&s);
    score_first_token(&s, &(struct first_token){PHASE_DIRECT, true, 1000, 80000, ""});
    score_first_token(&s, &(struct first_token){PHASE_BEFORE, true, 2000, 81000, "claude"});
    score_first_token(&s, &(struct first_token){PHASE_SILENT, true, 3000, 780000, "openai"});
    s.phase[PHASE_BEFORE].ended = 2 * USEC_PER_SEC;
    struct buf out;
    buf_init(&out, 65536);
    score_print_json(&s, &out);
    struct arena a;
    struct json_doc doc;
    arena_init(&a, 1 << 20);
    assert_int_equal(json_parse(&a, buf_span(&out), &json_limits_default, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc);
    assert_true(json_str_is(json_get(root, "schema"), "hotspare.demo/1"));
    assert_true(json_true(json_get(root, "ok")));
    assert_int_equal((int)number(root, "turns"), 4);
    assert_int_equal((int)number(root, "direct_first_token_ms_median"), 80);
    struct json before = json_at(json_get(root, "summary"), 0);
    struct json during = json_at(json_get(root, "summary"), 1);
    struct json after = json_at(json_get(root, "summary"), 2);
    assert_true(number(before, "turns_per_second") == 0.5);
    assert_true(number(before, "added_ms_median") == 1.0);
    assert_true(number(during, "added_ms_p99") == 700.0);
    assert_int_equal((int)number(during, "answered_by.openai"), 2);
    assert_true(json_is(json_get(after, "first_token_ms_median"), JSON_NULL)); /* not invented */
    buf_reset(&out);
    score_print(&s, false, &out);
    assert_true(span_search(buf_span(&out), SPAN("\033")) < 0);
    arena_deinit(&a);
    buf_deinit(&out);
    score_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_lost_repeated_and_moved_are_counted_at_every_cut),
        cmocka_unit_test(a_percentile_is_the_nearest_rank),
        cmocka_unit_test(one_missing_word_or_one_cut_answer_is_not_perfect),
        cmocka_unit_test(a_claude_that_was_never_gone_proves_nothing),
        cmocka_unit_test(the_json_scorecard_holds_what_was_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
