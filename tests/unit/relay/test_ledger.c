/* The ledger: what counts as given, what is kept of it, and where the keeping ends. */
#include "relay/ledger.h"

#include "base/span.h"

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct chat_event start(enum chat_block_type type)
{
    return (struct chat_event){.type = CHAT_EV_BLOCK_START, .block_type = type};
}

static struct chat_event delta(const char *text, bool escaped)
{
    return (struct chat_event){.type = CHAT_EV_DELTA, .text = {span_from(text), escaped}};
}

static void note(struct ledger *l, struct chat_event e)
{
    ledger_note(l, &e);
}

static void stop(struct ledger *l)
{
    note(l, (struct chat_event){.type = CHAT_EV_BLOCK_STOP});
}

static void ledger_bare_starts_are_no_content_and_whole_blocks_are(void **state)
{
    (void)state;
    const enum chat_block_type bare[] = {CHAT_TEXT, CHAT_THINKING, CHAT_TOOL_USE,
                                         CHAT_SERVER_TOOL_USE, CHAT_REFUSAL};
    const enum chat_block_type whole[] = {CHAT_REDACTED_THINKING, CHAT_SERVER_TOOL_RESULT,
                                          CHAT_IMAGE, CHAT_OTHER};
    for (size_t i = 0; i < ARRAY_LEN(bare); i++) {
        struct chat_event e = start(bare[i]);
        e.raw = SPAN("{\"type\":\"text\"}"); /* readers always show the source */
        e.name = CHAT_TEXT_LIT("tool");
        assert_false(ledger_is_content(&e));
        e.text = CHAT_TEXT_LIT("x");
        assert_true(ledger_is_content(&e));
    }
    for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
        struct chat_event e = start(whole[i]);
        assert_true(ledger_is_content(&e));
    }
}

static void ledger_content_begins_with_the_first_delta_that_says_something(void **state)
{
    (void)state;
    struct ledger l;
    ledger_init(&l, 1000);
    const enum chat_event_type silent[] = {CHAT_EV_START,     CHAT_EV_PING,      CHAT_EV_USAGE,
                                           CHAT_EV_SIGNATURE, CHAT_EV_FINISH,    CHAT_EV_END,
                                           CHAT_EV_ERROR,     CHAT_EV_BLOCK_STOP};
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        note(&l, (struct chat_event){
                     .type = silent[i], .usage = CHAT_USAGE_UNKNOWN, .text = CHAT_TEXT_LIT("sig")});
    note(&l, start(CHAT_TEXT));
    note(&l, delta("", true));
    assert_false(l.content);
    note(&l, delta("a", true));
    assert_true(l.content);
    ledger_deinit(&l);
}

static void ledger_follows_blocks_tools_and_ends(void **state)
{
    (void)state;
    struct ledger l;
    ledger_init(&l, 1000);
    assert_false(l.started || l.finished || l.ended);
    note(&l, (struct chat_event){.type = CHAT_EV_START, .usage = {10, 5, -1, 1, -1}});
    assert_true(l.started);
    note(&l, start(CHAT_TOOL_USE));
    note(&l, delta("{\\\"a\\\":", true));
    note(&l, delta("1}", true));
    assert_int_equal(l.last.type, CHAT_TOOL_USE);
    assert_int_equal(l.last.bytes, 9);
    assert_true(l.last.open && !l.last.complete);
    assert_int_equal(l.tool_calls, 0); /* not before it is complete */
    stop(&l);
    assert_true(!l.last.open && l.last.complete);
    assert_int_equal(l.tool_calls, 1);
    note(&l, start(CHAT_TEXT));
    stop(&l);
    stop(&l); /* a slip of a reader */
    assert_int_equal(l.block_count, 2);
    assert_int_equal(l.tool_calls, 1);
    note(&l, (struct chat_event){.type = CHAT_EV_USAGE, .usage = {-1, -1, 7, 20, -1}});
    note(&l, (struct chat_event){.type = CHAT_EV_FINISH, .stop = CHAT_STOP_TOOL_USE});
    assert_true(l.finished && !l.ended);
    assert_int_equal(l.stop, CHAT_STOP_TOOL_USE);
    note(&l, (struct chat_event){.type = CHAT_EV_END});
    assert_true(l.ended);
    assert_int_equal(l.usage.input, 10);
    assert_int_equal(l.usage.cache_read, 5);
    assert_int_equal(l.usage.cache_write, 7);
    assert_int_equal(l.usage.output, 20);
    assert_int_equal(l.usage.reasoning, -1);
    ledger_deinit(&l);
}

static void ledger_keeps_text_blocks_only_and_escaped(void **state)
{
    (void)state;
    struct ledger l;
    ledger_init(&l, 1000);
    note(&l, delta("outside any block", true));
    note(&l, start(CHAT_THINKING));
    note(&l, delta("hm", true));
    stop(&l);
    note(&l, start(CHAT_TEXT));
    note(&l, delta("say \\\"hi\\\"", true));
    note(&l, delta("\n\"plain\"", false));
    stop(&l);
    note(&l, start(CHAT_TOOL_USE));
    note(&l, delta("{}", true));
    stop(&l);
    note(&l, start(CHAT_TEXT));
    note(&l, delta("!", true));
    assert_true(span_is(buf_span(&l.text), "say \\\"hi\\\"\\n\\\"plain\\\"!"));
    assert_false(l.text_full);
    ledger_deinit(&l);
}

static void ledger_text_that_does_not_fit_leaves_no_hole(void **state)
{
    (void)state;
    for (int escaped = 0; escaped < 2; escaped++) {
        struct ledger l;
        ledger_init(&l, 10);
        note(&l, start(CHAT_TEXT));
        note(&l, delta("12345678", true));
        note(&l, delta("abcdef", escaped));
        note(&l, delta("9", true)); /* would fit again */
        assert_true(l.text_full);
        assert_true(l.text.len <= 10);
        assert_true(span_starts(SPAN("12345678abcdef"), buf_span(&l.text)));
        assert_int_equal(l.last.bytes, 15); /* but all of it is counted */
        ledger_deinit(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger_bare_starts_are_no_content_and_whole_blocks_are),
        cmocka_unit_test(ledger_content_begins_with_the_first_delta_that_says_something),
        cmocka_unit_test(ledger_follows_blocks_tools_and_ends),
        cmocka_unit_test(ledger_keeps_text_blocks_only_and_escaped),
        cmocka_unit_test(ledger_text_that_does_not_fit_leaves_no_hole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
