/* The drill's arithmetic and its reports: plan, fates, figures, limits, catalogue, printed forms.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/span.h"
#include "json/json.h"
#include "tools/drill/report.h"
#include "tools/standin_internal.h"

/* ---- a made-up drill: ten conversations a second, 0.2 s each, a fault from 4 to 7 s ---- */

#define STEP (100 * USEC_PER_MS)
#define TOOK (200 * USEC_PER_MS)
#define FAULT_AT (4 * USEC_PER_SEC)
#define FAULT_END (7 * USEC_PER_SEC)
#define LOAD_END (10 * USEC_PER_SEC)
#define RECORDS ((size_t)(LOAD_END / STEP))

static struct course course(enum expectation expect)
{
    return (struct course){.expect = expect,
                           .warm_end = USEC_PER_SEC,
                           .fault_at = FAULT_AT,
                           .fault_end = FAULT_END,
                           .load_end = LOAD_END,
                           .opened_at = FAULT_AT + 50 * USEC_PER_MS,
                           .circuit_changes = 2,
                           .upstream = 110,
                           .client = 100};
}

static struct record good(size_t i)
{
    usec planned = (usec)i * STEP;
    return (struct record){.planned = planned,
                           .sent = planned + USEC_PER_MS,
                           .first = planned + 50 * USEC_PER_MS,
                           .ended = planned + TOOK,
                           .away = -1,
                           .shape = (unsigned)(i % SHAPE_COUNT) & ~(unsigned)SHAPE_WHOLE,
                           .ending = ENDING_WHOLE,
                           .by = WHO_LEAD,
                           .right = true,
                           .attempts = 1};
}

/* Those begun within the fault are answered by the spare, 30 ms later. */
static void hidden_outage(struct record at[RECORDS])
{
    for (size_t i = 0; i < RECORDS; i++) {
        at[i] = good(i);
        if (at[i].planned < FAULT_AT || at[i].planned >= FAULT_END)
            continue;
        at[i].by = WHO_SPARE;
        at[i].away = at[i].sent + 10 * USEC_PER_MS;
        at[i].first += 30 * USEC_PER_MS;
        at[i].ended += 30 * USEC_PER_MS;
    }
}

static struct figures figures(const struct record *at, const struct course *c)
{
    struct figures f;
    figures_of(at, RECORDS, c, &f);
    return f;
}

static void assert_near(double value, double wanted)
{
    if (value < wanted - 1e-6 || value > wanted + 1e-6)
        fail_msg("wanted %g, got %g", wanted, value);
}

/* ---- plan ---- */

static void the_same_seed_gives_the_same_load_and_another_seed_another(void **state)
{
    (void)state;
    size_t same = 0;
    for (uint64_t i = 0; i < 200; i++) {
        assert_int_equal(plan_arrival(7, 40, i), plan_arrival(7, 40, i));
        assert_int_equal(plan_shape(7, i), plan_shape(7, i));
        same += plan_arrival(7, 40, i) == plan_arrival(8, 40, i);
    }
    assert_true(same < 10);
}

static void each_arrival_falls_into_its_own_slot_so_the_rate_is_exact(void **state)
{
    (void)state;
    static const uint32_t rates[] = {1, 7, 40, 500};
    for (size_t r = 0; r < ARRAY_LEN(rates); r++)
        for (uint64_t i = 0; i < 2000; i++) {
            usec slot = USEC_PER_SEC / rates[r], at = plan_arrival(3, rates[r], i);
            usec begins = (usec)(i * (uint64_t)USEC_PER_SEC / rates[r]);
            assert_true(at >= begins && at < begins + slot);
        }
}

static void every_eight_conversations_hold_each_shape_once(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++)
        for (uint64_t round = 0; round < 10; round++) {
            unsigned seen = 0;
            for (uint64_t i = 0; i < SHAPE_COUNT; i++)
                seen |= BIT(plan_shape(seed, round * SHAPE_COUNT + i));
            assert_int_equal(seen, 0xFF);
        }
}

/* ---- fates ---- */

static void a_clean_end_with_wrong_words_is_corrupt_whatever_was_expected(void **state)
{
    (void)state;
    for (int e = EXPECT_HIDDEN; e <= EXPECT_HONEST_ERROR; e++) {
        struct course c = course((enum expectation)e);
        struct record r = good(45);
        r.right = false;
        assert_int_equal(record_fate(&r, &c), FATE_CORRUPT);
    }
}

static void a_splice_or_a_gap_beyond_ten_seconds_is_continued(void **state)
{
    (void)state;
    struct course c = course(EXPECT_HIDDEN);
    struct record r = good(45);
    assert_int_equal(record_fate(&r, &c), FATE_HIDDEN);
    r.gap = GAP_VISIBLE;
    assert_int_equal(record_fate(&r, &c), FATE_HIDDEN);
    r.gap = GAP_VISIBLE + 1;
    assert_int_equal(record_fate(&r, &c), FATE_CONTINUED);
    r.gap = 0;
    r.spliced = true;
    assert_int_equal(record_fate(&r, &c), FATE_CONTINUED);
}

static void an_error_is_as_expected_only_while_the_fault_is_on(void **state)
{
    (void)state;
    struct course honest = course(EXPECT_HONEST_ERROR), caller = course(EXPECT_CALLERS_ERROR),
                  hidden = course(EXPECT_HIDDEN);
    struct record during = good(50), before = good(10), after = good(80);
    during.ending = before.ending = after.ending = ENDING_TOLD;
    assert_int_equal(record_fate(&during, &honest), FATE_HONEST);
    assert_int_equal(record_fate(&before, &honest), FATE_LOST);
    assert_int_equal(record_fate(&after, &honest), FATE_LOST);
    assert_int_equal(record_fate(&during, &hidden), FATE_LOST);
    assert_int_equal(record_fate(&during, &caller), FATE_LOST);
    during.as_expected = true;
    assert_int_equal(record_fate(&during, &caller), FATE_REFUSED);
}

static void what_is_no_error_in_the_callers_dialect_is_never_honest(void **state)
{
    (void)state;
    struct course honest = course(EXPECT_HONEST_ERROR);
    static const enum ending bad[] = {ENDING_RUDE, ENDING_CUT, ENDING_LATE};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct record r = good(50);
        r.ending = bad[i];
        assert_int_equal(record_fate(&r, &honest), FATE_LOST);
    }
}

/* ---- figures ---- */

static void a_hidden_outage_has_the_figures_that_were_built_into_it(void **state)
{
    (void)state;
    struct record at[RECORDS];
    struct course c = course(EXPECT_HIDDEN);
    hidden_outage(at);
    struct figures f = figures(at, &c);
    assert_int_equal(f.count, 62); /* 60 begun since, 2 in flight at 4 s */
    assert_int_equal(f.steady, 28);
    assert_int_equal(f.fate[FATE_HIDDEN], 62);
    assert_int_equal(f.by_spare, 30);
    assert_int_equal(f.elsewhere, 30);
    assert_near(f.interruption, 0);
    assert_int_equal(f.detect, 11 * USEC_PER_MS);
    assert_int_equal(f.open, 50 * USEC_PER_MS);
    assert_int_equal(f.back, 0);
    assert_int_equal(f.recover, 0);
    assert_int_equal(f.flaps, 0);
    assert_near(f.r0, 10);
    assert_int_equal(f.ttft_steady.p50, 50 * USEC_PER_MS);
    assert_int_equal(f.ttft_over.p95, 80 * USEC_PER_MS);
    assert_near(f.billing, 1.1);
    double added = 0;
    assert_true(figure_of(&f, LIMIT_ADDED, &added));
    assert_near(added, 0.03);
}

static void interruption_counts_lost_and_corrupt_but_not_a_seamless_splice(void **state)
{
    (void)state;
    struct record at[RECORDS];
    struct course c = course(EXPECT_CONTINUED);
    hidden_outage(at);
    at[45].ending = ENDING_CUT;
    at[45].lost = 20; /* a cut answer lacks words; that is what "cut" says already */
    at[46].right = false;
    at[46].lost = 2;
    at[46].repeated = 3;
    at[47].spliced = true;
    at[48].gap = GAP_VISIBLE + 1;
    struct figures f = figures(at, &c);
    assert_near(f.interruption, 100.0 * 3 / 62);
    assert_int_equal(f.fate[FATE_LOST], 1);
    assert_int_equal(f.fate[FATE_CORRUPT], 1);
    assert_int_equal(f.fate[FATE_CONTINUED], 2);
    assert_int_equal(f.cut, 1);
    assert_int_equal(f.lost, 2);
    assert_int_equal(f.repeated, 3);
    assert_int_equal(f.spliced, 1);
    assert_int_equal(f.gaps, 1);
}

static void a_dip_has_its_depth_its_area_and_its_end(void **state)
{
    (void)state;
    struct record at[RECORDS];
    struct course c = course(EXPECT_HIDDEN);
    hidden_outage(at);
    for (size_t i = 40; i < 55; i++) /* those of 1.5 s come to nothing */
        at[i].ending = ENDING_TOLD;
    struct figures f = figures(at, &c);
    assert_near(f.dip, 80); /* two in flight end well in the first second */
    assert_near(f.area, 8 + 7);
    assert_int_equal(f.recover, 2 * USEC_PER_SEC);
}

static void what_does_not_recover_or_return_says_so(void **state)
{
    (void)state;
    struct record at[RECORDS];
    struct course c = course(EXPECT_HIDDEN);
    hidden_outage(at);
    for (size_t i = 70; i < RECORDS; i++)
        at[i].by = WHO_SPARE;
    struct figures f = figures(at, &c);
    assert_int_equal(f.back, -1);
    for (size_t i = 40; i < RECORDS; i++)
        at[i].ending = ENDING_CUT;
    f = figures(at, &c);
    assert_int_equal(f.recover, -1);
    struct broken broken[LIMIT_COUNT];
    size_t count = limits_broken(&f, &limits_default, broken);
    bool recover = false, back = false;
    for (size_t i = 0; i < count; i++) {
        recover = recover || (broken[i].which == LIMIT_RECOVER && !broken[i].happened);
        back = back || (broken[i].which == LIMIT_RETURN && !broken[i].happened);
    }
    assert_true(recover && back);
}

static void return_is_when_95_percent_are_the_leads_from_then_on(void **state)
{
    (void)state;
    struct record at[RECORDS];
    struct course c = course(EXPECT_HIDDEN);
    hidden_outage(at);
    for (size_t i = 70; i < 80; i++)
        at[i].by = i == 75 ? WHO_LEAD : WHO_SPARE; /* one trial goes through earlier */
    at[90].by = WHO_SPARE;                         /* one of the last twenty */
    struct figures f = figures(at, &c);
    assert_int_equal(f.back, USEC_PER_SEC);
    at[91].by = WHO_SPARE; /* two of twenty are too many */
    f = figures(at, &c);
    assert_int_equal(f.back, -1); /* and the eight behind them too few to show it */
}

static void changes_of_the_circuit_beyond_there_and_back_are_flaps(void **state)
{
    (void)state;
    struct record at[RECORDS];
    struct course c = course(EXPECT_HIDDEN);
    hidden_outage(at);
    static const uint32_t cases[][2] = {{0, 0}, {1, 0}, {2, 0}, {3, 1}, {6, 4}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        c.circuit_changes = cases[i][0];
        assert_int_equal(figures(at, &c).flaps, cases[i][1]);
    }
}

static void nothing_measured_is_no_crash(void **state)
{
    (void)state;
    struct course c = course(EXPECT_HIDDEN);
    struct figures f;
    figures_of(NULL, 0, &c, &f);
    assert_int_equal(f.count, 0);
    assert_near(f.interruption, 0);
    assert_int_equal(f.detect, -1);
    assert_int_equal(f.ttft_over.p50, -1);
}

static void below_a_thousand_samples_there_is_no_p99(void **state)
{
    (void)state;
    usec at[P99_LEAST];
    for (size_t i = 0; i < P99_LEAST; i++)
        at[i] = (usec)(P99_LEAST - i);
    struct spread s = spread_of(at, P99_LEAST);
    assert_int_equal(s.p50, 500);
    assert_int_equal(s.p95, 950);
    assert_int_equal(s.p99, 990);
    assert_int_equal(s.max, 1000);
    s = spread_of(at, P99_LEAST - 1);
    assert_int_equal(s.p99, -1);
    assert_int_equal(s.p95, 950);
}

/* ---- limits ---- */

static void limits_are_read_by_name_and_nonsense_is_refused(void **state)
{
    (void)state;
    struct limits l = {0};
    assert_int_equal(limit_parse(SPAN("interruption=0.5"), &l), ERR_OK);
    assert_true(l.set[LIMIT_INTERRUPTION]);
    assert_near(l.most[LIMIT_INTERRUPTION], 0.5);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        char text[40];
        (void)snprintf(text, sizeof text, "%s=3", limit_rows[i].name);
        assert_int_equal(limit_parse(span_from(text), &l), ERR_OK);
        assert_near(l.most[i], 3);
    }
    static const char *const bad[] = {"interruption", "interruption=", "interruption=x",
                                      "interruption=-1", "interruption=nan"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(limit_parse(span_from(bad[i]), &l), ERR_INVALID);
    assert_int_equal(limit_parse(SPAN("disruption=1"), &l), ERR_NOT_FOUND);
}

static void a_limit_holds_at_its_value_and_breaks_above_it(void **state)
{
    (void)state;
    struct broken broken[LIMIT_COUNT];
    struct figures f = {0};
    struct limits l = {0};
    f.fate[FATE_CORRUPT] = 1;
    l.set[LIMIT_CORRUPTION] = true;
    l.most[LIMIT_CORRUPTION] = 1;
    assert_int_equal(limits_broken(&f, &l, broken), 0);
    l.most[LIMIT_CORRUPTION] = 0;
    assert_int_equal(limits_broken(&f, &l, broken), 1);
    assert_int_equal(broken[0].which, LIMIT_CORRUPTION);
    assert_near(broken[0].value, 1);
}

static void the_users_limit_wins_over_the_faults_and_that_over_the_default(void **state)
{
    (void)state;
    struct limits none = {0}, user = {0};
    size_t f, v;
    assert_int_equal(catalogue_find(SPAN("H6"), &f, &v), ERR_OK);
    struct limits l = catalogue_limits(&drill_faults[f], &none);
    assert_false(l.set[LIMIT_DETECT]); /* taken away */
    assert_near(l.most[LIMIT_BILLING], 1);
    assert_near(l.most[LIMIT_INTERRUPTION], 0.5);
    assert_int_equal(limit_parse(SPAN("billing=0.5"), &user), ERR_OK);
    assert_int_equal(limit_parse(SPAN("detect=9"), &user), ERR_OK);
    l = catalogue_limits(&drill_faults[f], &user);
    assert_near(l.most[LIMIT_BILLING], 0.5);
    assert_true(l.set[LIMIT_DETECT]);
}

/* ---- catalogue ---- */

static void check_spec(const char *spec)
{
    struct fault fault;
    const char *why = NULL;
    if (spec == NULL || strcmp(spec, "none") == 0)
        return;
    if (fault_parse(span_from(spec), 0, &fault, &why) != ERR_OK)
        fail_msg("%s: %s", spec, why);
}

static void every_variant_is_one_that_a_stand_in_or_a_trap_can_commit(void **state)
{
    (void)state;
    size_t quick = 0;
    for (size_t f = 0; f < drill_fault_count; f++) {
        const struct drill_fault *fault = &drill_faults[f];
        quick += fault->quick;
        assert_true(fault->variant_count > 0);
        for (size_t v = 0; v < fault->variant_count; v++) {
            const struct drill_variant *one = &fault->variants[v];
            bool steps = one->steps[0].lead != NULL || one->steps[0].spare != NULL;
            assert_int_equal((one->not_run != NULL) + (one->trap != TRAP_NONE) + steps, 1);
            for (size_t s = 0; s < STEPS_MAX; s++) {
                check_spec(one->steps[s].lead);
                check_spec(one->steps[s].spare);
            }
            assert_int_equal(one->expect == EXPECT_CALLERS_ERROR, one->told != NULL);
        }
        assert_true(!fault->quick || fault->variants[0].not_run == NULL);
    }
    assert_int_equal(quick, 6);
}

static void faults_are_found_by_id_in_any_case_and_their_variants_by_name(void **state)
{
    (void)state;
    size_t f, v, other, all;
    assert_int_equal(catalogue_find(SPAN("h5.402"), &f, &v), ERR_OK);
    assert_string_equal(drill_faults[f].id, "H5");
    assert_string_equal(drill_faults[f].variants[v].id, "402");
    assert_int_equal(catalogue_find(SPAN("H5"), &other, &all), ERR_OK);
    assert_int_equal(other, f);
    assert_true(all == SIZE_MAX);
    static const char *const none[] = {"", "H", "H99", "H5.", "H5.999", "H55", "list"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(catalogue_find(span_from(none[i]), &f, &v), ERR_NOT_FOUND);
}

/* ---- reports ---- */

static struct run_result result_of(const struct record at[RECORDS], const struct course *c)
{
    struct run_result r = {.course = *c, .count = RECORDS, .cap = RECORDS, .committed = 3};
    r.records = mem_alloc(RECORDS * sizeof *r.records);
    memcpy(r.records, at, RECORDS * sizeof *r.records);
    figures_of(r.records, r.count, c, &r.figures);
    r.circuit[0] = (struct circuit_change){c->opened_at, CIRCUIT_OPEN};
    r.circuit[1] = (struct circuit_change){c->fault_end, CIRCUIT_CLOSED};
    r.circuit_count = 2;
    return r;
}

/* H4 passes, S8 is not run, H1 fails with a text that wants escaping. */
static void sample(struct drill_report *report)
{
    struct record at[RECORDS];
    struct course c = course(EXPECT_HIDDEN);
    struct limits none = {0};
    size_t h4, h1, s8, v;
    *report = (struct drill_report){.seed = 1, .rate = 10, .fault_time = 3 * USEC_PER_SEC};
    assert_int_equal(catalogue_find(SPAN("H4"), &h4, &v), ERR_OK);
    assert_int_equal(catalogue_find(SPAN("H1"), &h1, &v), ERR_OK);
    assert_int_equal(catalogue_find(SPAN("S8"), &s8, &v), ERR_OK);
    hidden_outage(at);
    struct run_result r = result_of(at, &c);
    report_add(report, &drill_faults[h4], &drill_faults[h4].variants[0], &none, &r);
    at[45].ending = ENDING_CUT;
    r = result_of(at, &c);
    (void)snprintf(r.first_trouble, sizeof r.first_trouble,
                   "<script>alert(\"&'\")</script>\001\xc3");
    report_add(report, &drill_faults[h1], &drill_faults[h1].variants[0], &none, &r);
    report_add(report, &drill_faults[s8], &drill_faults[s8].variants[0], &none, NULL);
}

static char *printed(void (*print)(const struct drill_report *, struct buf *))
{
    struct drill_report report;
    struct buf out;
    buf_init(&out, REPORT_MAX);
    sample(&report);
    print(&report, &out);
    assert_int_equal(buf_add_char(&out, '\0'), ERR_OK);
    char *text = mem_strdup(out.at);
    buf_deinit(&out);
    report_free(&report);
    return text;
}

static void print_lines(const struct drill_report *r, struct buf *out)
{
    for (size_t at = 0, next; at < r->count; at = next) {
        report_lines(r, at, false, out);
        (void)report_summary(r, at, &next);
    }
}

static void the_verdict_is_one_line_and_what_is_broken_stands_below_it(void **state)
{
    (void)state;
    char *text = printed(print_lines);
    static const char wanted[] =
        "H4 PASS interruption 0.0 % (limit 0.5) TTD 0.01 s TTR 0 s dip 0 % area 0 req\n"
        "H1 FAIL interruption 1.6 % (limit 0.5) TTD 0.01 s TTR 0 s dip 10 % area 1 req\n"
        "   H1.529: interruption 1.613 % (limit 0.5)\n";
    assert_int_equal(strncmp(text, wanted, sizeof wanted - 1), 0);
    assert_non_null(strstr(text, "\nS8 NOT RUN\n"));
    mem_free(text);
}

static void a_drill_that_showed_nothing_is_no_pass(void **state)
{
    (void)state;
    struct record at[RECORDS];
    struct limits none = {0};
    size_t f, v;
    hidden_outage(at);
    struct course c = course(EXPECT_HIDDEN), nobody = course(EXPECT_HONEST_ERROR);
    struct drill_report report = {0};
    assert_int_equal(catalogue_find(SPAN("H4"), &f, &v), ERR_OK);
    struct run_result r = result_of(at, &c);
    r.committed = 0; /* the fault was never met */
    report_add(&report, &drill_faults[f], &drill_faults[f].variants[0], &none, &r);
    assert_int_equal(report.at[0].verdict, VERDICT_BROKEN);
    assert_int_equal(catalogue_find(SPAN("P2"), &f, &v), ERR_OK);
    r = result_of(at, &nobody); /* everybody was answered */
    report_add(&report, &drill_faults[f], &drill_faults[f].variants[0], &none, &r);
    assert_int_equal(report.at[1].verdict, VERDICT_BROKEN);
    assert_true(report_broken(&report) && !report_good(&report));
    report_free(&report);
}

static void the_json_report_is_json_and_says_what_the_line_says(void **state)
{
    (void)state;
    char *text = printed(report_json);
    struct arena a;
    struct json_doc doc;
    arena_init(&a, (size_t)8 << 20);
    assert_int_equal(json_parse(&a, span_from(text), NULL, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc), faults = json_get(root, "faults");
    assert_true(json_str_is(json_get(root, "schema"), "hotspare.drill/1"));
    assert_false(json_true(json_get(root, "ok")));
    assert_int_equal(json_len(faults), 3);
    assert_true(json_str_is(json_get(json_at(faults, 0), "verdict"), "pass"));
    assert_true(json_str_is(json_get(json_at(faults, 1), "verdict"), "fail"));
    assert_true(json_str_is(json_get(json_at(faults, 2), "verdict"), "not_run"));
    struct json h4 = json_at(json_get(json_at(faults, 0), "variants"), 0);
    struct json first = json_path(h4, "latency_ms.ttft_failed_over");
    int64_t n = 0;
    assert_int_equal(json_i64(json_path(h4, "conversations.hidden"), &n), ERR_OK);
    assert_int_equal(n, 62);
    assert_true(json_present(json_get(first, "p95")) && !json_present(json_get(first, "p99")));
    struct json broken = json_get(json_at(json_get(json_at(faults, 1), "variants"), 0), "broken");
    assert_true(json_str_is(json_get(json_at(broken, 0), "limit"), "interruption"));
    arena_deinit(&a);
    mem_free(text);
}

/* Tags nest, attributes are quoted, every & begins one of the five names or a number. */
static void assert_xml(const char *text)
{
    char open[64][32];
    size_t depth = 0;
    for (const char *p = text; *p != '\0'; p++) {
        assert_true((unsigned char)*p >= 0x20 || *p == '\n');
        if (*p == '&')
            assert_true(strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&lt;", 4) == 0 ||
                        strncmp(p, "&gt;", 4) == 0 || strncmp(p, "&quot;", 6) == 0 ||
                        strncmp(p, "&#39;", 5) == 0);
        if (*p != '<' || p[1] == '?')
            continue;
        const char *end = strchr(p, '>');
        assert_non_null(end);
        size_t name = strcspn(p + 1 + (p[1] == '/'), " />");
        assert_true(name > 0 && name < sizeof open[0]);
        if (p[1] == '/') {
            assert_true(depth > 0);
            depth--;
            assert_int_equal(strncmp(open[depth], p + 2, name), 0);
        } else if (end[-1] != '/') {
            assert_true(depth < ARRAY_LEN(open));
            memcpy(open[depth], p + 1, name);
            open[depth++][name] = '\0';
        }
        p = end;
    }
    assert_int_equal(depth, 0);
}

static void the_junit_report_is_well_formed_and_counts_right(void **state)
{
    (void)state;
    char *text = printed(report_junit);
    assert_xml(text);
    assert_non_null(strstr(text, "<testsuites name=\"hotspare drill\" tests=\"3\" failures=\"1\" "
                                 "errors=\"0\" skipped=\"1\">"));
    assert_non_null(strstr(text, "<testcase classname=\"drill.H4\" name=\"H4.org-disabled\""));
    assert_non_null(strstr(text, "&lt;script&gt;"));
    assert_null(strstr(text, "<script"));
    mem_free(text);
}

static void the_timeline_is_self_contained_escaped_and_draws_the_fault(void **state)
{
    (void)state;
    char *text = printed(report_html);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "src="));
    assert_null(strstr(text, "href="));
    assert_null(strstr(text, "http"));
    assert_non_null(strstr(text, "&lt;script&gt;"));
    assert_non_null(strstr(text, "<title>the fault: 4.00 to 7.00 s</title>"));
    assert_non_null(strstr(text, "the lead's circuit is open from 4.05 to 7.00 s"));
    size_t circles = 0;
    for (const char *p = text; (p = strstr(p, "<circle")) != NULL; p++)
        circles++;
    assert_int_equal(circles, 2 * RECORDS);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_load_and_another_seed_another),
        cmocka_unit_test(each_arrival_falls_into_its_own_slot_so_the_rate_is_exact),
        cmocka_unit_test(every_eight_conversations_hold_each_shape_once),
        cmocka_unit_test(a_clean_end_with_wrong_words_is_corrupt_whatever_was_expected),
        cmocka_unit_test(a_splice_or_a_gap_beyond_ten_seconds_is_continued),
        cmocka_unit_test(an_error_is_as_expected_only_while_the_fault_is_on),
        cmocka_unit_test(what_is_no_error_in_the_callers_dialect_is_never_honest),
        cmocka_unit_test(a_hidden_outage_has_the_figures_that_were_built_into_it),
        cmocka_unit_test(interruption_counts_lost_and_corrupt_but_not_a_seamless_splice),
        cmocka_unit_test(a_dip_has_its_depth_its_area_and_its_end),
        cmocka_unit_test(what_does_not_recover_or_return_says_so),
        cmocka_unit_test(return_is_when_95_percent_are_the_leads_from_then_on),
        cmocka_unit_test(changes_of_the_circuit_beyond_there_and_back_are_flaps),
        cmocka_unit_test(nothing_measured_is_no_crash),
        cmocka_unit_test(below_a_thousand_samples_there_is_no_p99),
        cmocka_unit_test(limits_are_read_by_name_and_nonsense_is_refused),
        cmocka_unit_test(a_limit_holds_at_its_value_and_breaks_above_it),
        cmocka_unit_test(the_users_limit_wins_over_the_faults_and_that_over_the_default),
        cmocka_unit_test(every_variant_is_one_that_a_stand_in_or_a_trap_can_commit),
        cmocka_unit_test(faults_are_found_by_id_in_any_case_and_their_variants_by_name),
        cmocka_unit_test(the_verdict_is_one_line_and_what_is_broken_stands_below_it),
        cmocka_unit_test(a_drill_that_showed_nothing_is_no_pass),
        cmocka_unit_test(the_json_report_is_json_and_says_what_the_line_says),
        cmocka_unit_test(the_junit_report_is_well_formed_and_counts_right),
        cmocka_unit_test(the_timeline_is_self_contained_escaped_and_draws_the_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
