/* What else must be right where two targets' answers are joined: a stop sequence across the cut,
 * the tokens that are asked for and told. Made answers, so that each number is known; every lead
 * with every spare at both doors. */
#include "splice_kit.h"

#include "base/mem.h"
#include "support/grammar.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PROMPT 31 /* tokens, as the lead tells them; the spare tells 7, and 5 of output */
#define SPARE_OUTPUT 5

#define BEFORE "One, two, three and then "
#define STOP "\\u00abSTOP\xe7\xbb\x88\xe2\x9d\xa4" /* in JSON */
#define STOP_PLAIN "\xc2\xabSTOP\xe7\xbb\x88\xe2\x9d\xa4"

static struct span quote(struct world *w, struct span text)
{
    return arena_printf(&w->arena, "%.*s", SPAN_FMT(text)); /* the texts here need no escapes */
}

/* The beginning of an answer with `text` in one piece, in the lead's dialect. */
static struct span lead_says(struct world *w, struct span text)
{
    if (w->lead_speaks == &dialect_openai_chat)
        return arena_printf(
            &w->arena,
            "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":7,"
            "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
            "\"content\":\"%.*s\"},\"finish_reason\":null}],\"usage\":null}\n\n",
            SPAN_FMT(quote(w, text)));
    return arena_printf(
        &w->arena,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
        "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],"
        "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,"
        "\"output_tokens\":1}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"%.*s\"}}\n\n",
        PROMPT, SPAN_FMT(quote(w, text)));
}

static struct span request_with(struct world *w, const char *stop)
{
    bool messages = w->door == &dialect_anthropic;
    return arena_printf(&w->arena,
                        "{\"model\":\"m\",\"max_tokens\":200,\"stream\":true,%s"
                        "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]%s%s%s}",
                        messages ? "" : "\"stream_options\":{\"include_usage\":true},",
                        stop[0] ? messages ? ",\"stop_sequences\":" : ",\"stop\":" : "", stop, "");
}

/* The lead gives `given` and dies; the spare goes on to `whole`. */
static struct answer talk(struct world *w, struct span given, struct span whole, const char *stop)
{
    w->whole = (struct answer){.text = whole};
    w->recorded = lead_says(w, given);
    w->cut_at = w->recorded.len;
    w->stop = stop[0] ? SPAN(STOP_PLAIN) : SPAN_EMPTY;
    ask(w, request_with(w, stop));
    struct answer got;
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    bool messages = w->door == &dialect_anthropic;
    (messages ? messages_grammar_check : chat_grammar_check)(buf_span(&w->got), &end, why);
    assert_string_equal(why, "");
    assert_int_equal(end, GRAMMAR_COMPLETE);
    assert_true(messages ? answer_of_messages(&w->arena, buf_span(&w->got), true, &got)
                         : answer_of_chat(&w->arena, buf_span(&w->got), true, &got));
    assert_int_equal(w->ends, 1);
    assert_false(w->spare_misled);
    assert_int_equal(w->report.outcome, OUTCOME_OK);
    return got;
}

/* Calls it for each lead, door and spare. */
static void everywhere(void (*check)(struct world *w))
{
    static const struct dialect *const dialects[] = {&dialect_anthropic, &dialect_openai_chat};
    struct world *w = mem_new(struct world);
    build(w);
    for (unsigned i = 0; i < 4 * SPARES; i++) {
        w->lead_speaks = dialects[i & 1];
        w->door = dialects[i >> 1 & 1];
        choose_spare(w, i / 4);
        check(w);
    }
    tear_down(w);
    mem_free(w);
}

/* given: what the lead said. A reader that translates a chat answer keeps back what may begin a
 * stop sequence; then the next target says all of it, and stops by itself. */
static void expect_stopped(struct world *w, const struct answer *got, struct span given)
{
    bool messages = w->door == &dialect_anthropic;
    bool kept_back = w->lead_speaks == &dialect_openai_chat && messages;
    given = kept_back ? SPAN(BEFORE) : given;
    if (!span_eq(got->text, given))
        fail_msg("given \"%.*s\", not \"%.*s\"", SPAN_FMT(got->text), SPAN_FMT(given));
    assert_true(span_is(got->stop, messages ? "stop_sequence" : "stop"));
    if (messages)
        assert_true(span_is(got->stop_sequence, STOP_PLAIN));
    assert_true(got->output > 0 && got->output < 40);
    (void)sim_run_until(w->loop, loop_now(w->loop) + USEC_PER_SEC);
    if (w->spare_stays && !kept_back) /* it was not left to speak on, and nobody waited for it */
        assert_true(w->spare_gone && w->report.ended - w->report.started < USEC_PER_SEC);
}

static void cut_in_the_stop(struct world *w)
{
    struct span whole = SPAN(BEFORE STOP_PLAIN " and what nobody wants to read.");
    for (size_t at = sizeof BEFORE; at < sizeof BEFORE + sizeof STOP_PLAIN - 2; at++) {
        if (((unsigned char)whole.at[at] & 0xC0) == 0x80)
            continue; /* no event ends inside a character */
        for (size_t piece = 1; piece < 24; piece += piece < 9 ? 1 : 14) {
            w->piece = piece;
            w->style = EXACT;
            w->spare_stays = true;
            struct answer got =
                talk(w, span_take(whole, at), whole, "[\"nothing\",\"" STOP "\",\"\"]");
            expect_stopped(w, &got, span_take(whole, at));
        }
    }
    w->spare_stays = false;
}

static void a_stop_sequence_ends_the_answer_wherever_it_is_cut(void **state)
{
    (void)state;
    everywhere(cut_in_the_stop);
}

static void said_again(struct world *w)
{
    struct span whole = SPAN(BEFORE STOP_PLAIN " more"),
                given = span_take(whole, sizeof BEFORE + 4);
    for (int style = EXACT; style < STYLES; style++) {
        w->style = (enum style)style;
        struct answer got = talk(w, given, whole, "[\"" STOP "\"]");
        expect_stopped(w, &got, given);
    }
    w->style = EXACT;
}

static void behind_a_repetition_it_is_found_too(void **state)
{
    (void)state;
    everywhere(said_again);
}

static void not_a_stop(struct world *w)
{
    static const struct span wholes[] = {
        SPAN_INIT(BEFORE "\xc2\xabSTO, it was none."), /* parts from it later */
        SPAN_INIT(BEFORE "\xc2\xabSTOP\xe7\xbb\x88"),  /* ends before it is complete */
        SPAN_INIT(BEFORE "\xc2\xabSTO\xc2\xabSTO"),
    };
    bool messages = w->door == &dialect_anthropic;
    struct span given = SPAN(BEFORE "\xc2\xabS");
    for (size_t i = 0; i < ARRAY_LEN(wholes); i++)
        for (w->piece = 1; w->piece < 8; w->piece += 3) {
            struct answer got = talk(w, given, wholes[i], "[\"" STOP "\"]");
            if (!span_eq(got.text, wholes[i]))
                fail_msg("given \"%.*s\", not \"%.*s\"", SPAN_FMT(got.text), SPAN_FMT(wholes[i]));
            assert_true(span_is(got.stop, messages ? "end_turn" : "stop"));
            assert_false(w->spare_gone);
        }
    w->piece = 0;
}

static void what_only_looks_like_one_is_given_whole(void **state)
{
    (void)state;
    everywhere(not_a_stop);
}

/* 100 bytes: 25 tokens by the rule for a leg that told none (the one of message_start is less). */
#define GIVEN                                                                                      \
    "This is a text of one hundred bytes, no more and no less, so that its tokens are told by th"  \
    "e rule: xx"
_Static_assert(sizeof GIVEN - 1 == 101, "one hundred and one");

static void count_tokens(struct world *w)
{
    int64_t given = (sizeof GIVEN - 1) / 4;
    struct answer got = talk(w, SPAN(GIVEN), SPAN(GIVEN " and the rest of it."), "");
    assert_int_equal(w->spare_max, 200 - given);
    assert_int_equal(got.output, given + SPARE_OUTPUT);
    assert_int_equal(w->report.usage.output, given + SPARE_OUTPUT);
    /* A chat target tells its prompt at the end only: then it is the spare's, less what it was
     * shown beside it; this spare's prompt is shorter than that. */
    int64_t prompt = w->lead_speaks == &dialect_anthropic ? PROMPT : 0;
    assert_int_equal(got.input, prompt);
    assert_int_equal(w->report.usage.input, prompt);
}

static void what_is_left_of_max_tokens_is_asked_for_and_usage_adds_up(void **state)
{
    (void)state;
    everywhere(count_tokens);
}

static void count_short(struct world *w)
{
    struct answer got = talk(w, SPAN("Eight by"), SPAN("Eight by and the rest of it."), "");
    bool told = w->lead_speaks == &dialect_anthropic;
    assert_int_equal(w->spare_max, 200 - 2);
    assert_int_equal(got.output, 2 + SPARE_OUTPUT);
    assert_int_equal(got.input, told ? PROMPT : 7 - 2);
}

static void a_prompt_that_the_lead_did_not_tell_is_the_spares(void **state)
{
    (void)state;
    everywhere(count_short);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_sequence_ends_the_answer_wherever_it_is_cut),
        cmocka_unit_test(behind_a_repetition_it_is_found_too),
        cmocka_unit_test(what_only_looks_like_one_is_given_whole),
        cmocka_unit_test(what_is_left_of_max_tokens_is_asked_for_and_usage_adds_up),
        cmocka_unit_test(a_prompt_that_the_lead_did_not_tell_is_the_spares),
    };
    return cmocka_run_group_tests_name("splice_joint", tests, NULL, NULL);
}
