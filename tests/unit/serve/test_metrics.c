/* Counters: every attempt under its result, histograms that add up, workers summed, names bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/span.h"
#include "serve/metrics.h"

static uint16_t row_of(void *ctx, const char *target)
{
    return metrics_names_row(ctx, target);
}

static const struct exchange_attempt attempts[] = {
    {.target = "lead", .cause = CAUSE_OVERLOADED, .status = 529},
    {.target = "lead", .cause = CAUSE_NONE, .cancelled = true},
    {.target = "spare", .cause = CAUSE_NONE, .status = 200},
};

static struct exchange_report report(void)
{
    return (struct exchange_report){
        .door = &dialect_anthropic,
        .served_by = "spare",
        .outcome = OUTCOME_OK,
        .attempts = attempts,
        .attempt_count = ARRAY_LEN(attempts),
        .switched_from = "lead",
        .switch_cause = CAUSE_OVERLOADED,
        .usage = {.input = 10, .output = 20, .cache_read = -1, .cache_write = -1, .reasoning = 0},
        .started = 1000000,
        .first_content = 1030000,
        .ended = 1300000,
    };
}

static void has(const struct buf *text, const char *line)
{
    char whole[512];
    (void)snprintf(whole, sizeof whole, "\n%s\n", line);
    if (span_search(buf_span(text), span_from(whole)) < 0)
        fail_msg("no line \"%s\"", line);
}

static void a_report_is_counted_once_and_workers_are_summed(void **state)
{
    (void)state;
    struct metrics_names names;
    metrics_names_init(&names);
    struct metrics *w[2] = {metrics_new(), metrics_new()};
    struct exchange_report r = report();
    metrics_count(w[0], &r, row_of, &names);
    metrics_count(w[1], &r, row_of, &names);
    metrics_count(w[1], &r, row_of, &names);
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(metrics_write(w, 2, &names, &text), ERR_OK);
    has(&text, "hotspare_requests_total{api=\"anthropic-messages\",outcome=\"ok\",served_by="
               "\"spare\"} 3");
    has(&text, "hotspare_attempts_total{target=\"lead\",result=\"overloaded\"} 3");
    has(&text, "hotspare_attempts_total{target=\"lead\",result=\"cancelled\"} 3");
    has(&text, "hotspare_attempts_total{target=\"spare\",result=\"ok\"} 3");
    assert_true(span_search(buf_span(&text), SPAN("target=\"lead\",result=\"ok\"")) < 0);
    has(&text, "hotspare_switches_total{from=\"lead\",to=\"spare\",reason=\"overloaded\",mode="
               "\"auto\"} 3");
    has(&text, "hotspare_tokens_total{target=\"spare\",kind=\"output\"} 60");
    assert_true(span_search(buf_span(&text), SPAN("cache_read")) < 0);
    has(&text, "hotspare_client_ttft_seconds_bucket{served_by=\"spare\",le=\"0.025\"} 0");
    has(&text, "hotspare_client_ttft_seconds_bucket{served_by=\"spare\",le=\"0.05\"} 3");
    has(&text, "hotspare_client_ttft_seconds_bucket{served_by=\"spare\",le=\"+Inf\"} 3");
    has(&text, "hotspare_client_ttft_seconds_sum{served_by=\"spare\"} 0.090000");
    has(&text, "hotspare_client_duration_seconds_count{served_by=\"spare\"} 3");
    buf_deinit(&text);
    mem_free(w[0]);
    mem_free(w[1]);
    metrics_names_deinit(&names);
}

static void past_the_last_bucket_only_inf_counts(void **state)
{
    (void)state;
    struct metrics_names names;
    metrics_names_init(&names);
    struct metrics *w = metrics_new();
    struct exchange_report r = report();
    r.ended = r.started + 700 * USEC_PER_SEC;
    metrics_count(w, &r, row_of, &names);
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(metrics_write(&w, 1, &names, &text), ERR_OK);
    has(&text, "hotspare_client_duration_seconds_bucket{served_by=\"spare\",le=\"600\"} 0");
    has(&text, "hotspare_client_duration_seconds_bucket{served_by=\"spare\",le=\"+Inf\"} 1");
    buf_deinit(&text);
    mem_free(w);
    metrics_names_deinit(&names);
}

static void names_stay_and_what_is_too_many_is_other(void **state)
{
    (void)state;
    struct metrics_names names;
    metrics_names_init(&names);
    char name[16];
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < 50; i++) {
            (void)snprintf(name, sizeof name, "t%d", i);
            uint16_t row = metrics_names_row(&names, name);
            assert_int_equal(row, i + 1 < METRICS_TARGETS - 1 ? i + 1 : METRICS_TARGETS - 1);
        }
    assert_int_equal(names.count, METRICS_TARGETS);
    assert_string_equal(names.at[METRICS_TARGETS - 1], "other");
    assert_string_equal(names.at[0], "none");
    metrics_names_deinit(&names);
}

/* The vocabulary as its header defines it, so that a name added there alone is found here. */
static size_t each_lossy_name(struct metrics *w, struct metrics_names *names,
                              const struct buf *text)
{
    char line[256], name[64], want[160];
    size_t count = 0;
    FILE *header = fopen(CAPABILITY_H, "r");
    assert_non_null(header);
    while (fgets(line, sizeof line, header)) {
        if (sscanf(line, "#define LOSSY_%*s \"%63[^\"]\"", name) != 1)
            continue;
        count++;
        if (text) {
            (void)snprintf(want, sizeof want, "hotspare_translation_loss_total{feature=\"%s\"} 1",
                           name);
            has(text, want);
            continue;
        }
        struct exchange_report r = report();
        lossy_add(&r.lossy, name);
        metrics_count(w, &r, row_of, names);
    }
    (void)fclose(header);
    return count;
}

static void every_loss_the_dialects_can_name_has_its_row(void **state)
{
    (void)state;
    struct metrics_names names;
    metrics_names_init(&names);
    struct metrics *w = metrics_new();
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_true(each_lossy_name(w, &names, NULL) >= 32);
    assert_int_equal(metrics_write(&w, 1, &names, &text), ERR_OK);
    (void)each_lossy_name(w, &names, &text);
    buf_deinit(&text);
    mem_free(w);
    metrics_names_deinit(&names);
}

static void a_full_buffer_is_an_error_and_not_half_a_scrape(void **state)
{
    (void)state;
    struct metrics_names names;
    metrics_names_init(&names);
    struct metrics *w = metrics_new();
    struct buf text;
    buf_init(&text, 100);
    assert_int_not_equal(metrics_write(&w, 1, &names, &text), ERR_OK);
    buf_deinit(&text);
    mem_free(w);
    metrics_names_deinit(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_counted_once_and_workers_are_summed),
        cmocka_unit_test(past_the_last_bucket_only_inf_counts),
        cmocka_unit_test(names_stay_and_what_is_too_many_is_other),
        cmocka_unit_test(every_loss_the_dialects_can_name_has_its_row),
        cmocka_unit_test(a_full_buffer_is_an_error_and_not_half_a_scrape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
