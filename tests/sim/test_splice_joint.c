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
    if (w->fields.len == 0) /* nobody asked to be told of the change */
        assert_true(span_search(buf_span(&w->got), SPAN("fallback")) < 0);
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

/* ---- the reader beside bytes that pass ---- */

/* A third target before the two: nobody listens there. It speaks another dialect than the door, so
 * that the request is read before the lead's answer passes through. */
static void put_a_dead_one_first(struct world *w, struct relay_target *dead,
                                 struct breaker *breaker)
{
    struct url nowhere = {.host = SPAN("nowhere"), .port = 80};
    *dead = (struct relay_target){.name = "dead",
                                  .kind = TARGET_STANDIN,
                                  .dialect = w->door == &dialect_anthropic ? &dialect_openai_chat
                                                                           : &dialect_anthropic,
                                  .origin = pool_origin(w->pool, &nowhere, NULL)};
    dead->path = span_from(dead->dialect->path);
    breaker_init(breaker, &breaker_config_default);
    breaker->config.failures = breaker->config.ratio_min = UINT32_MAX;
    memmove(&w->route.links[1], &w->route.links[0], 2 * sizeof w->route.links[0]);
    w->route.links[0] = (struct relay_link){.target = dead};
    w->route.breakers[2] = w->route.breakers[1];
    w->route.breakers[1] = w->route.breakers[0];
    w->route.breakers[0] = breaker;
    w->route.count = 3;
}

static void cut_behind_a_dead_one(struct world *w)
{
    struct relay_target dead;
    struct breaker breaker;
    struct span whole = SPAN(BEFORE "\xc2\xabSTEAK and more");
    put_a_dead_one_first(w, &dead, &breaker);
    struct answer got = talk(w, span_take(whole, sizeof BEFORE + 3), whole, "[\"" STOP "\"]");
    assert_int_equal(w->report.attempt_count, 3);
    if (!span_eq(got.text, whole))
        fail_msg("given \"%.*s\"", SPAN_FMT(got.text));
}

static void behind_a_dead_target_nothing_is_said_twice(void **state)
{
    (void)state;
    everywhere(cut_behind_a_dead_one);
}

/* ---- the mark of a change of models ---- */

#define BETAS "context-1m-2025-08-07, server-side-fallback-2026-07-01"
#define BETA "anthropic-beta: " BETAS "\r\n"

/* The types of the blocks in a Messages stream, and the last fallback block. */
static struct span blocks_of(struct world *w, struct span *fallback)
{
    static const struct span start = SPAN_INIT("\"content_block\":");
    struct span all = SPAN_EMPTY, rest = buf_span(&w->got);
    for (ssize_t at; (at = span_search(rest, start)) >= 0;) {
        struct json_doc doc;
        rest = span_drop(rest, (size_t)at + start.len);
        struct span block = span_take(rest, (size_t)span_find(rest, '\n') - 1);
        assert_int_equal(json_parse(&w->arena, block, NULL, &doc, NULL), ERR_OK);
        struct span type = json_str(json_get(json_root(&doc), "type"));
        all = arena_printf(&w->arena, "%.*s%.*s ", SPAN_FMT(all), SPAN_FMT(type));
        if (span_is(type, "fallback"))
            *fallback = block;
    }
    return all;
}

static void expect_blocks(struct world *w, const char *want, const char *from, const char *to)
{
    struct span fallback = SPAN_EMPTY, types = blocks_of(w, &fallback);
    if (!span_is(types, want))
        fail_msg("blocks %.*snot %s", SPAN_FMT(types), want);
    if (!from)
        return;
    struct span block = arena_printf(&w->arena,
                                     "{\"type\":\"fallback\",\"from\":{\"model\":\"%s\"},\"to\":{"
                                     "\"model\":\"%s\"},\"trigger\":{\"type\":\"unavailable\"}}",
                                     from, to);
    assert_true(span_eq(fallback, block));
}

static void change_of_models(struct world *w)
{
    bool messages = w->door == &dialect_anthropic;
    const char *to = arena_cstr(&w->arena, w->route.links[1].model);
    w->fields = SPAN(BETA);
    for (int style = EXACT; style < STYLES; style++) {
        w->style = (enum style)style;
        struct answer got = talk(w, SPAN(GIVEN), SPAN(GIVEN " and the rest of it."), "");
        assert_true(span_is(got.text, GIVEN " and the rest of it."));
        bool unlocks = w->spare.dialect == w->door; /* its fields go along */
        if (!span_is(w->spare_betas, unlocks ? BETAS : ""))
            fail_msg("the spare %s at the %s door was sent the betas \"%.*s\"",
                     w->spare.dialect->name, w->door->name, SPAN_FMT(w->spare_betas));
        if (messages)
            expect_blocks(w, "text fallback text ", "m", to);
        else
            assert_true(span_search(buf_span(&w->got), SPAN("fallback")) < 0);
    }
    w->style = EXACT;
    if (messages) { /* nothing is added: there is no other model's text to tell of */
        (void)talk(w, SPAN(GIVEN), SPAN(GIVEN), "");
        expect_blocks(w, "text ", NULL, NULL);
    }
    if (messages && w->lead_speaks == &dialect_anthropic) {
        (void)talk(w, SPAN(BEFORE "\xc2\xabS"), SPAN(BEFORE STOP_PLAIN), "[\"" STOP "\"]");
        expect_blocks(w, "text ", NULL, NULL);
    }
    w->route.links[1].model = SPAN("m"); /* the same model elsewhere */
    if (messages) {
        (void)talk(w, SPAN(GIVEN), SPAN(GIVEN " and the rest of it."), "");
        expect_blocks(w, "text ", NULL, NULL);
    }
    w->fields = SPAN_EMPTY;
}

static void a_client_that_asks_is_told_where_models_change(void **state)
{
    (void)state;
    everywhere(change_of_models);
}

static void other_betas(struct world *w)
{
    static const struct span fields[] = {
        SPAN_INIT("anthropic-beta: fallback-credit-2026-07-01\r\n"),
        SPAN_INIT("anthropic-beta: not-server-side-fallback-2026-07-01\r\n"),
        SPAN_INIT("x-beta: server-side-fallback-2026-07-01\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        w->fields = fields[i];
        (void)talk(w, SPAN(GIVEN), SPAN(GIVEN " and the rest of it."), "");
        assert_true(span_search(buf_span(&w->got), SPAN("\"fallback\"")) < 0);
    }
    w->fields = SPAN_EMPTY;
}

static void other_betas_do_not_ask_for_it(void **state)
{
    (void)state;
    everywhere(other_betas);
}

#define MARK                                                                                       \
    "{\"type\":\"fallback\",\"from\":{\"model\":\"m\"},\"to\":{\"model\":\"n\"},"                  \
    "\"trigger\":{\"type\":\"refusal\",\"category\":null}}"

/* The lead's own stream has such a block, told by its provider. */
static void lead_with_a_mark(struct world *w, bool beta)
{
    struct span one = SPAN("The first model says th"), two = SPAN("is, and the second th");
    struct span whole = SPAN("The first model says this, and the second that.");
    bool messages = w->door == &dialect_anthropic;
    w->whole = (struct answer){.text = whole};
    w->fields = beta ? SPAN(BETA) : SPAN_EMPTY;
    w->recorded = arena_printf(
        &w->arena,
        "%.*sevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
        "\"content_block\":" MARK "}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"%.*s\"}}\n\n",
        SPAN_FMT(lead_says(w, one)), SPAN_FMT(two));
    for (w->cut_at = lead_says(w, one).len; w->cut_at <= w->recorded.len; w->cut_at++) {
        if (w->cut_at < w->recorded.len && w->recorded.at[w->cut_at - 1] != '\n')
            continue;
        ask(w, request_with(w, ""));
        struct answer got;
        enum grammar_end end;
        char why[GRAMMAR_WHY_MAX];
        (messages ? messages_grammar_check : chat_grammar_check)(buf_span(&w->got), &end, why);
        assert_string_equal(why, "");
        assert_int_equal(end, GRAMMAR_COMPLETE);
        assert_true(messages ? answer_of_messages(&w->arena, buf_span(&w->got), true, &got)
                             : answer_of_chat(&w->arena, buf_span(&w->got), true, &got));
        assert_false(w->spare_misled);
        assert_true(span_eq(got.text, whole));
    }
    if (messages)
        expect_blocks(w, beta ? "text fallback text fallback text " : "text fallback text ", NULL,
                      NULL);
    w->fields = SPAN_EMPTY;
}

static void a_mark_passes(struct world *w)
{
    if (w->lead_speaks != &dialect_anthropic)
        return;
    lead_with_a_mark(w, true);
    lead_with_a_mark(w, false); /* whoever sends it has its reasons */
}

static void a_stream_that_has_such_a_block_is_gone_on_with(void **state)
{
    (void)state;
    everywhere(a_mark_passes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_sequence_ends_the_answer_wherever_it_is_cut),
        cmocka_unit_test(behind_a_repetition_it_is_found_too),
        cmocka_unit_test(what_only_looks_like_one_is_given_whole),
        cmocka_unit_test(what_is_left_of_max_tokens_is_asked_for_and_usage_adds_up),
        cmocka_unit_test(a_prompt_that_the_lead_did_not_tell_is_the_spares),
        cmocka_unit_test(behind_a_dead_target_nothing_is_said_twice),
        cmocka_unit_test(a_client_that_asks_is_told_where_models_change),
        cmocka_unit_test(other_betas_do_not_ask_for_it),
        cmocka_unit_test(a_stream_that_has_such_a_block_is_gone_on_with),
    };
    return cmocka_run_group_tests_name("splice_joint", tests, NULL, NULL);
}
