/* Histories whose thinking a target refuses: what is left of them must be a request the API takes
 * (protocols.md 1.3, 1.6 and 1.6b). */
#include "base/span.h"
#include "dialect/capability.h"
#include "dialect/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define U(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define A(blocks) "{\"role\":\"assistant\",\"content\":[" blocks "]}"
#define THINKING(signature)                                                                        \
    "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"" signature "\"}"
#define REDACTED(data) "{\"type\":\"redacted_thinking\",\"data\":\"" data "\"}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define CALL "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}"
#define RESULT                                                                                     \
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\","       \
    "\"content\":\"r\"}]}"
#define BODY(messages, more)                                                                       \
    "{\"model\":\"m\",\"max_tokens\":4000,\"messages\":[" messages "]" more "}"
#define TOOLS ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]"
#define BUDGET ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}"
#define ADAPTIVE ",\"thinking\":{\"type\":\"adaptive\"}"
#define LOOP(first) U("x") "," A(first CALL) "," RESULT

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 16u << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static struct chat_request read_body(const char *body)
{
    struct json_doc doc;
    struct chat_problem why = {0};
    struct chat_request r = {.max_tokens = -1, .choices = 1};
    assert_int_equal(json_parse(&arena, span_from(body), NULL, &doc, NULL), ERR_OK);
    if (dialect_anthropic.read_request(&arena, &doc, &r, &why) != ERR_OK)
        fail_msg("%.*s: %.*s", SPAN_FMT(why.param), SPAN_FMT(why.text));
    return r;
}

static struct span write_for(const char *model, const struct chat_request *r, struct lossy *lossy)
{
    struct capability cap = capability_preset(TARGET_ANTHROPIC, span_from(model));
    struct dialect_body out = {0};
    struct chat_problem why = {0};
    pieces_init(&out.body, &arena);
    assert_int_equal(
        dialect_anthropic.write_request(&arena, r, &cap, span_from(model), false, &out, &why),
        ERR_OK);
    *lossy = out.lossy;
    return pieces_flatten(&out.body, &arena);
}

static void assert_has(struct span body, const char *text, bool wanted)
{
    if ((span_search(body, span_from(text)) >= 0) != wanted)
        fail_msg("%s is %s in %.*s", text, wanted ? "missing" : "still", SPAN_FMT(body));
}

/* The block whose mark it is. */
static const struct chat_block *block_of(const struct chat_request *r, const char *mark)
{
    for (const struct chat_message *m = r->messages; m; m = m->next)
        for (const struct chat_block *b = m->blocks; b; b = b->next)
            if (span_is(dialect_thinking_mark(b), mark))
                return b;
    fail_msg("no block %s", mark);
    return NULL;
}

static void all_thinking_goes_and_nothing_else(void **state)
{
    (void)state;
    struct lossy lossy;
    struct chat_request r =
        read_body(BODY(U("x") "," A(THINKING("s1=") "," REDACTED("d1=") "," TEXT("one")) "," U(
                           "y") "," A(THINKING("s2=") "," TEXT("two")) "," U("z"),
                       ADAPTIVE));
    const struct chat_request *clean = dialect_without_thinking(&arena, &r, NULL, false);
    struct span body = write_for("claude-opus-5-5", clean, &lossy);
    assert_has(body, "s1=", false);
    assert_has(body, "d1=", false);
    assert_has(body, "s2=", false);
    assert_has(
        body,
        "\"messages\":[" U("x") "," A(TEXT("one")) "," U("y") "," A(TEXT("two")) "," U("z") "]",
        true);
    assert_has(body, "\"thinking\":{\"type\":\"adaptive\"}", true);
    assert_non_null(block_of(&r, "s2=")); /* the original is as it was */
}

static void a_turn_of_thinking_alone_is_left_out(void **state)
{
    (void)state;
    struct lossy lossy;
    struct chat_request r = read_body(BODY(U("x") "," A(THINKING("s1=")) "," U("y"), ""));
    struct span body =
        write_for("claude-opus-5-5", dialect_without_thinking(&arena, &r, NULL, false), &lossy);
    assert_has(body, "\"messages\":[" U("x") "," U("y") "]", true); /* the API merges the two */
}

static void what_is_newer_than_the_block_stays(void **state)
{
    (void)state;
    struct lossy lossy;
    struct chat_request r =
        read_body(BODY(U("x") "," A(THINKING("s1=") "," TEXT("one")) "," U("y") "," A(THINKING(
                           "s2=") "," TEXT("two") "," THINKING("s3=") "," TEXT("three")) "," U("z"),
                       ""));
    const struct chat_block *last = block_of(&r, "s2=");
    struct span body =
        write_for("claude-opus-5-5", dialect_without_thinking(&arena, &r, last, false), &lossy);
    assert_has(body, "s1=", false);
    assert_has(body, "s2=", false);
    assert_has(body, A(TEXT("two") "," THINKING("s3=") "," TEXT("three")), true);
}

/* What is sent for one turn is the beginning of what is sent for the next, or thinking that was
 * made for it would be refused. */
static void each_turn_begins_with_the_one_before(void **state)
{
    (void)state;
#define FIRST                                                                                      \
    U("x")                                                                                         \
    "," A(THINKING("s1=") "," TEXT("one")) "," U("y") "," A(                                       \
        THINKING("hotspare1.unsigned") "," TEXT("two")) "," RESULT "," U("z")
    static const char *const bodies[] = {
        BODY(FIRST, ""), BODY(FIRST "," A(THINKING("s3=") "," TEXT("three")) "," U("v"), "")};
    struct span sent[2];
    for (size_t i = 0; i < 2; i++) {
        struct lossy lossy;
        struct chat_request r = read_body(bodies[i]);
        sent[i] =
            write_for("claude-opus-5-5",
                      dialect_without_thinking(&arena, &r, block_of(&r, "s1="), false), &lossy);
    }
    ssize_t end = span_search(sent[0], SPAN(U("z")));
    assert_true(end > 0);
    assert_true(span_starts(sent[1], span_take(sent[0], (size_t)end + strlen(U("z")))));
    assert_has(sent[1], "s3=", true);
}

/* Where thinking has a budget, the call that waits for its result must have begun with thinking. */
static void thinking_is_off_where_its_absence_would_be_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *body;
        bool off; /* as the refusal wanted it */
        const char *wants, *lacks;
        bool told;
    } rows[] = {
        {"claude-sonnet-4-5", BODY(LOOP(THINKING("s1=") ","), TOOLS BUDGET), false, CALL,
         "budget_tokens", true},
        {"claude-sonnet-4-5", BODY(LOOP(""), TOOLS BUDGET), true, CALL, "budget_tokens", false},
        {"claude-opus-4-8", BODY(LOOP(""), TOOLS ADAPTIVE), true,
         "\"thinking\":{\"type\":\"disabled\"}", "adaptive", false},
        {"claude-opus-4-8", BODY(LOOP(THINKING("s1=") ","), TOOLS ADAPTIVE), false, "adaptive",
         "s1=", false},
        /* these always think, and say so when thinking is to be off */
        {"claude-opus-5-5", BODY(LOOP(""), TOOLS ADAPTIVE), true, CALL, "\"thinking\"", true},
        {"claude-opus-4-8",
         BODY(LOOP(""), TOOLS ADAPTIVE ",\"context_management\":{\"edits\":[{\"type\":"
                                       "\"clear_thinking_20251015\",\"keep\":\"all\"}]}"),
         true, "disabled", "context_management", true},
        {"claude-opus-4-8",
         BODY(LOOP(""), TOOLS ADAPTIVE ",\"context_management\":{\"edits\":[{\"type\":"
                                       "\"clear_tool_uses_20250919\"}]}"),
         true, "\"context_management\"", "adaptive", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lossy lossy;
        struct chat_request r = read_body(rows[i].body);
        const struct chat_request *clean = dialect_without_thinking(&arena, &r, NULL, rows[i].off);
        assert_ptr_not_equal(clean, &r);
        struct span body = write_for(rows[i].model, clean, &lossy);
        assert_has(body, rows[i].wants, true);
        assert_has(body, rows[i].lacks, false);
        if ((lossy.count > 0) != rows[i].told)
            fail_msg("row %zu: %zu things told", i, lossy.count);
    }
}

static void a_request_without_thinking_is_itself(void **state)
{
    (void)state;
    struct chat_request r = read_body(BODY(LOOP(""), TOOLS BUDGET));
    assert_ptr_equal(dialect_without_thinking(&arena, &r, NULL, false), &r);
    r = read_body(BODY(LOOP(""), TOOLS));
    assert_ptr_equal(dialect_without_thinking(&arena, &r, NULL, true), &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(all_thinking_goes_and_nothing_else),
        T(a_turn_of_thinking_alone_is_left_out),
        T(what_is_newer_than_the_block_stays),
        T(each_turn_begins_with_the_one_before),
        T(thinking_is_off_where_its_absence_would_be_refused),
        T(a_request_without_thinking_is_itself),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
