/* A background response whose stream breaks is heard to its end from the same target: every
 * recorded Responses stream, cut behind each event and inside the next, must come out byte for
 * byte as if nothing had happened; and where the target does not tell it again, the answer goes on
 * elsewhere as any other. */
#include "splice_kit.h"

#include "base/mem.h"
#include "support/corpus.h"
#include "support/grammar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BACKGROUND "{\"model\":\"m\",\"input\":\"x\",\"stream\":true,\"background\":true}"
#define FOREGROUND "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}"

/* A made answer: its parts, so that a test can name a place. */
#define CREATED                                                                                    \
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,"         \
    "\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7,\"status\":"         \
    "\"in_progress\",\"model\":\"m\",\"output\":[]}}\n\n"
#define ITEM                                                                                       \
    "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\","           \
    "\"sequence_number\":1,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\","    \
    "\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n"                       \
    "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\","         \
    "\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"          \
    "\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}\n\n"
#define DELTA(number, text)                                                                        \
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","           \
    "\"sequence_number\":" number ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0," \
    "\"delta\":\"" text "\"}\n\n"
#define TEXT "One, two, three and four."
#define REST                                                                                       \
    "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\","             \
    "\"sequence_number\":5,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"          \
    "\"text\":\"" TEXT "\"}\n\n"                                                                   \
    "event: response.content_part.done\ndata: {\"type\":\"response.content_part.done\","           \
    "\"sequence_number\":6,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,"          \
    "\"part\":{\"type\":\"output_text\",\"text\":\"" TEXT "\",\"annotations\":[]}}\n\n"            \
    "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\","             \
    "\"sequence_number\":7,\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\","    \
    "\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","      \
    "\"text\":\"" TEXT "\",\"annotations\":[]}]}}\n\n"                                             \
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":8,"     \
    "\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7,\"status\":"         \
    "\"completed\",\"model\":\"m\",\"output\":[{\"id\":\"msg_1\",\"type\":\"message\","            \
    "\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","      \
    "\"text\":\"" TEXT "\",\"annotations\":[]}]}],\"usage\":{\"input_tokens\":3,"                  \
    "\"output_tokens\":7,\"total_tokens\":10}}}\n\n"
#define GIVEN CREATED ITEM DELTA("3", "One, two, ")
#define WHOLE GIVEN DELTA("4", "three and four.") REST

static struct world *world_new(void)
{
    struct world *w = mem_new(struct world);
    build(w);
    w->lead_speaks = w->door = &dialect_openai_responses;
    w->relay.deadlines.ping = 300 * USEC_PER_SEC; /* so that the bytes can be compared */
    choose_spare(w, 0);
    return w;
}

static void world_free(struct world *w)
{
    tear_down(w);
    mem_free(w);
}

static void made(struct world *w, enum cut cut, enum again again)
{
    w->recorded = SPAN(WHOLE);
    w->whole = (struct answer){.text = SPAN(TEXT), .complete = true};
    w->cut_at = sizeof GIVEN - 1;
    w->cut = cut;
    w->again = again;
}

/* The next event has the number behind the last one given. */
static bool numbered_from_zero(struct world *w, struct span stream)
{
    for (int64_t n = 0; stream.len > 0; n++) {
        ssize_t end = span_search(stream, SPAN("\n\n"));
        struct span name = arena_printf(&w->arena, "\"sequence_number\":%lld", (long long)n);
        if (end < 0 || span_search(span_take(stream, (size_t)end), name) < 0)
            return false;
        stream = span_drop(stream, (size_t)end + 2);
    }
    return true;
}

static bool expect_same(struct world *w, const char *id)
{
    bool same = w->ends == 1 && span_eq(buf_span(&w->got), w->recorded) && !w->spare_asked &&
                w->report.outcome == OUTCOME_OK && w->report.splices.count == 0;
    if (!same)
        (void)fprintf(stderr, "# wrong: %s cut at byte %zu (kind %d): asked again %u, spare %d\n",
                      id, w->cut_at, (int)w->cut, w->asked_again, w->spare_asked);
    return same;
}

/* Behind an event, and inside the next. */
static size_t cut_all_over(struct world *w, const char *id, size_t *wrong)
{
    size_t cases = 0;
    for (size_t at = 2; at < w->recorded.len; at++) {
        if (w->recorded.at[at - 1] != '\n' || w->recorded.at[at - 2] != '\n')
            continue;
        for (int inside = 0; inside < 2; inside++) {
            w->cut_at = at + (inside ? 17 : 0);
            w->cut = (enum cut)(cases++ % 3); /* not its own error event */
            ask(w, SPAN(BACKGROUND));
            *wrong += !expect_same(w, id) || w->asked_again != 1;
        }
    }
    return cases;
}

static void every_recorded_stream_is_heard_to_its_end_byte_for_byte(void **state)
{
    (void)state;
    if (!corpus_there()) {
        (void)fprintf(stderr, "# skipped: HOTSPARE_CORPUS is not set\n");
        skip();
    }
    struct world *w = world_new();
    size_t streams = 0, cases = 0, wrong = 0, left_out = 0;
    w->again = AGAIN_ALL;
    struct corpus corpus = corpus_open(&w->arena, "openai-responses");
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (!item->response.len || !item->streamed || item->status != 200)
            continue;
        w->recorded = item->response;
        if (!answer_of_responses(&w->arena, w->recorded, true, &w->whole) || !w->whole.complete ||
            !numbered_from_zero(w, w->recorded)) {
            left_out++; /* no whole answer, or numbers that are no provider's */
            continue;
        }
        cases += cut_all_over(w, item->id, &wrong);
        streams++;
    }
    (void)fprintf(stderr, "# %zu streams, %zu cuts, %zu streams left out\n", streams, cases,
                  left_out);
    assert_int_equal(wrong, 0);
    assert_true(streams > 10 && cases > 500);
    world_free(w);
}

static void it_is_asked_of_the_same_target_once_from_the_last_event_on(void **state)
{
    (void)state;
    struct world *w = world_new();
    made(w, CUT_RESET, AGAIN_ALL);
    w->lead.path = SPAN("/v1/responses?api-version=2");
    ask(w, SPAN(BACKGROUND));
    assert_true(expect_same(w, "made"));
    assert_true(span_is(w->again_target,
                        "/v1/responses/resp_1?stream=true&starting_after=3&api-version=2"));
    assert_int_equal(w->report.attempt_count, 2);
    assert_string_equal(w->report.attempts[1].target, "lead");
    assert_true(w->report.attempts[1].resumed && !w->report.attempts[0].resumed);
    assert_int_equal(w->report.attempts[0].cause, CAUSE_BROKEN_STREAM);
    assert_int_equal(w->report.attempts[1].cause, CAUSE_NONE);
    assert_null(w->report.switched_from);
    world_free(w);
}

/* Whatever comes of it, the answer is whole. */
static void nothing_comes_of_it(struct world *w, enum cut cut, enum again again)
{
    struct answer got;
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    made(w, cut, again);
    ask(w, SPAN(BACKGROUND));
    responses_grammar_check(buf_span(&w->got), false, &end, why);
    assert_string_equal(why, "");
    assert_int_equal(end, GRAMMAR_COMPLETE);
    assert_true(answer_of_responses(&w->arena, buf_span(&w->got), true, &got));
    assert_true(span_is(got.text, TEXT));
    assert_true(w->spare_asked && !w->spare_misled);
    assert_int_equal(w->asked_again, 1);
    assert_int_equal(w->report.outcome, OUTCOME_OK);
    assert_int_equal(w->report.splices.count, 1);
    assert_int_equal(w->report.switch_cause,
                     cut == CUT_STALL ? CAUSE_STALLED : CAUSE_BROKEN_STREAM);
}

static void where_nothing_comes_of_it_the_answer_goes_on_elsewhere(void **state)
{
    (void)state;
    static const enum again ways[] = {AGAIN_REFUSED, AGAIN_CUT, AGAIN_ELSEWHERE, AGAIN_SILENT};
    struct world *w = world_new();
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        nothing_comes_of_it(w, CUT_RESET, ways[i]);
        nothing_comes_of_it(w, CUT_END, ways[i]);
        if (ways[i] != AGAIN_CUT) /* a break is not a stall */
            nothing_comes_of_it(w, CUT_STALL, ways[i]);
    }
    world_free(w);
}

static void what_is_not_kept_is_not_asked_for(void **state)
{
    (void)state;
    struct world *w = world_new();
    made(w, CUT_RESET, AGAIN_ALL);
    ask(w, SPAN(FOREGROUND));
    assert_true(w->asked_again == 0 && w->spare_asked);
    made(w, CUT_ERROR, AGAIN_ALL); /* its own word that it failed */
    ask(w, SPAN(BACKGROUND));
    assert_true(w->asked_again == 0 && w->spare_asked);
    w->door = &dialect_anthropic; /* what a translated request asks for is not kept */
    made(w, CUT_RESET, AGAIN_ALL);
    ask(w, SPAN("{\"model\":\"m\",\"max_tokens\":99,\"stream\":true,\"background\":true,"
                "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"));
    assert_true(w->asked_again == 0 && w->spare_asked);
    world_free(w);
}

static void an_id_that_would_be_another_path_is_not_put_into_one(void **state)
{
    (void)state;
    struct world *w = world_new();
    made(w, CUT_RESET, AGAIN_ALL);
    struct span bad = SPAN(WHOLE);
    ssize_t at = span_search(bad, SPAN("resp_1"));
    char *copy = arena_cstr(&w->arena, bad);
    memcpy(copy + at, "../a?b", 6);
    w->recorded = span_from(copy);
    ask(w, SPAN(BACKGROUND));
    assert_true(w->asked_again == 0 && w->spare_asked);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_stream_is_heard_to_its_end_byte_for_byte),
        cmocka_unit_test(it_is_asked_of_the_same_target_once_from_the_last_event_on),
        cmocka_unit_test(where_nothing_comes_of_it_the_answer_goes_on_elsewhere),
        cmocka_unit_test(what_is_not_kept_is_not_asked_for),
        cmocka_unit_test(an_id_that_would_be_another_path_is_not_put_into_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
