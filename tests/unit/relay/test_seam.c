/* The seam: whatever a target says again is dropped, whatever is new is given, at every cut. */
#include "relay/seam.h"

#include "base/span.h"
#include "support/feed.h"

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { EVERY_BYTE = 1, AT_RANDOM = 2 };

/* The continuation as the client gets it; `cuts`: 0 = in one piece. */
static struct seam_report join(struct span delivered, bool soft, struct span text, int cuts,
                               uint64_t seed, struct buf *out)
{
    struct arena a;
    arena_init(&a, 1 << 24);
    struct seam *s = seam_new(&a, delivered, (struct seam_how){soft, !soft});
    buf_reset(out);
    while (text.len > 0) {
        size_t n = cuts == 0 ? text.len : cuts == EVERY_BYTE ? 1 : 1 + feed_random(&seed) % 40;
        assert_int_equal(seam_feed(s, span_take(text, n), out), ERR_OK);
        text = span_drop(text, n);
    }
    assert_int_equal(seam_end(s, out), ERR_OK);
    assert_true(seam_settled(s));
    struct seam_report r = seam_report(s);
    arena_deinit(&a);
    return r;
}

static void check(const char *what, struct span delivered, bool soft, struct span text,
                  struct span want)
{
    struct buf out;
    buf_init(&out, 1 << 24);
    for (int cuts = 0; cuts <= AT_RANDOM; cuts++) {
        for (uint64_t seed = 0; seed < (cuts == AT_RANDOM ? 8 : 1); seed++) {
            (void)join(delivered, soft, text, cuts, seed, &out);
            if (!span_eq(buf_span(&out), want))
                fail_msg("%s (cuts %d, seed %d):\n got \"%.*s\"\nwant \"%.*s\"", what, cuts,
                         (int)seed, SPAN_FMT(buf_span(&out)), SPAN_FMT(want));
        }
    }
    buf_deinit(&out);
}

static void what_comes_again_is_dropped_and_what_is_new_is_given(void **state)
{
    (void)state;
    static const struct {
        const char *what, *delivered;
        bool soft;
        const char *text, *want;
    } rows[] = {
        {"exact", "w1 w2 w3", false, " w4 w5", " w4 w5"},
        {"exact, in a word", "w1 w2 w1", false, "2 w13", "2 w13"},
        {"exact, soft", "w1 w2 w3", true, " w4 w5", " w4 w5"},
        {"nothing delivered", "", true, "Sure, continuing:\nx", "Sure, continuing:\nx"},
        {"nothing new", "w1 w2 w3", true, "", ""},
        {"echo", "w1 w2 w3", false, "w1 w2 w3 w4", " w4"},
        {"echo, a blank more", "w1 w2 w3", false, " w1 w2 w3 w4", " w4"},
        {"echo of a text that ended in a blank", "w1 w2 w3 ", false, "w1 w2 w3 w4", "w4"},
        {"echo and nothing else", "w1 w2 w3", false, "w1 w2 w3", ""},
        {"half an echo is new", "w1 w2 w3", false, "w1 w2", "w1 w2"},
        {"restart", "The quick brown", true, "The quick brown fox.", " fox."},
        {"a sentence that goes on with that word", "In the middle of the road,", true,
         " continue looking.\n8. Once across", " continue looking.\n8. Once across"},
        {"a retelling is given", "The quick brown", true, "The quick red fox", "The quick red fox"},
        {"repeated end", "one two three four", true, "three four five", " five"},
        {"repeated end, in a word", "w10 w11 w12 w1", true, "w11 w12 w13 w14", "3 w14"},
        {"repeated end after a blank", "one two three four ", true, "three four five", "five"},
        {"a native target's repetition is its own", "one two three four", false, "three four five",
         "three four five"},
        {"too short to be a repetition", "aha ha", true, "ha ha", "ha ha"},
        {"a pattern goes on", "no no no no no no", true, " no no no no yes", " no no no no yes"},
        {"not from the middle of a word", "thirteen", true, "irteen more", "irteen more"},
        {"an identifier is one word", "- fetch_the_whole_page\n- search", true,
         "_the_whole_page\n- search_code", "_the_whole_page\n- search_code"},
        {"the line below a table's head", "| Type | Scope |\n|------|-------", true, "-----|------|",
         "-----|------|"},
        {"half of that line, said again", "| Type | Scope |\n|------|-------", true,
         "|------|-------|------|", "|------|"},
        {"a table's line, said again", "| Type | Scope |\n|------|-------|\n", true,
         "| Type | Scope |\n|------|-------|\n| Unit | One |", "| Unit | One |"},
        {"lead-in", "The sum is", true, "Sure! Continuing from where I left off:\n\n 42, as said.",
         " 42, as said."},
        {"lead-in in Chinese", "\u7b54\u6848\u662f", true,
         "\u597d\u7684\uff0c\u63a5\u7740\u4e0a\u6587\u7ee7\u7eed\uff1a\n\u56db\u5341\u4e8c\u3002",
         "\u56db\u5341\u4e8c\u3002"},
        {"lead-in, then a repetition", "one two three four", true,
         "Here's the rest:\nthree four five", " five"},
        {"lead-in, then a restart", "one two three", true,
         "Of course, continuing.\n\none two three four", " four"},
        {"no lead-in: nobody speaks of going on", "Is it?", true, "Sure it is.\nAnd so on.",
         "Sure it is.\nAnd so on."},
        {"no lead-in: no line ends", "Is it? ", true, "Sure, continue", "Sure, continue"},
        {"a lead-in and nothing else", "It is.", true, "Sure, continuing:\n", ""},
        {"a native target's lead-in is its own", "x", false, "Sure, continuing:\ny",
         "Sure, continuing:\ny"},
        {"blanks given already", "A line.\n\n", false, "\n\nNext.", "Next."},
        {"blanks that were shown are new", "A line. ", true, "\n\nNext.", "\n\nNext."},
        {"more blanks than were given", "A line.\n", false, "\n\n  Next.", "\n  Next."},
        {"blanks nobody gave", "A line.", true, "\n\nNext.", "\n\nNext."},
        {"Chinese, repeated end", "\u4eca\u5929\u5929\u6c14\u5f88\u597d", true,
         "\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec", "\uff0c\u6211\u4eec"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(rows[i].what, span_from(rows[i].delivered), rows[i].soft, span_from(rows[i].text),
              span_from(rows[i].want));
}

static void the_report_tells_what_was_dropped(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1 << 20);
    struct seam_report r = join(SPAN("one two three "), true,
                                SPAN("Sure, continuing:\none two three four"), 0, 0, &out);
    assert_true(r.restarted && r.lead_in == 18 && r.repeated == 13 && r.blanks == 1);
    r = join(SPAN("one two three"), false, SPAN(" four"), 0, 0, &out);
    assert_true(!r.restarted && r.lead_in + r.repeated + r.blanks == 0);
    buf_deinit(&out);
}

static void holding_is_bounded(void **state)
{
    (void)state;
    struct arena a;
    struct buf out, text;
    arena_init(&a, 1 << 24);
    buf_init(&out, 1 << 24);
    buf_init(&text, 1 << 24);
    for (int i = 0; i < 60000; i++)
        assert_int_equal(buf_printf(&text, "%d,", i), ERR_OK);
    struct seam *s = seam_new(&a, buf_span(&text), (struct seam_how){.in_words = true});
    assert_int_equal(seam_feed(s, buf_span(&text), &out), ERR_OK);
    assert_true(seam_settled(s) && out.len == text.len); /* longer than we look: new */
    arena_deinit(&a);
    buf_deinit(&out);
    buf_deinit(&text);
}

/* Any text, cut anywhere, continued in each way: what the client has is the text. Words are
 * numbered, so that no end of it stands twice in it. */
static void every_way_of_going_on_joins_to_the_text(void **state)
{
    (void)state;
    enum { EXACT, ECHO, RESTART, REPEAT, LEAD_IN, LEAD_IN_REPEAT, WAYS };
    struct buf text, said, out;
    buf_init(&text, 1 << 20);
    buf_init(&said, 1 << 20);
    buf_init(&out, 1 << 20);
    uint64_t seed = 7;
    for (int round = 0; round < 400; round++) {
        buf_reset(&text);
        size_t words = 4 + feed_random(&seed) % 60;
        for (size_t w = 0; w < words; w++)
            assert_int_equal(
                buf_printf(&text, "%s%s%zu", w ? " " : "", round % 3 ? "w" : "\u8bcd", w + 1000),
                ERR_OK);
        size_t cut = 1 + feed_random(&seed) % (text.len - 1);
        while (((unsigned char)text.at[cut] & 0xC0) == 0x80)
            cut--;
        struct span whole = buf_span(&text), given = span_take(whole, cut);
        struct span rest = span_drop(whole, cut);
        if (cut == 0 || rest.at[0] == ' ') /* a native target sees no blank at the end */
            continue;
        for (int way = 0; way < WAYS; way++) {
            size_t back = 20 < cut ? cut - 20 : 0;
            while (back > 0 && whole.at[back - 1] != ' ')
                back--;
            buf_reset(&said);
            if (way == LEAD_IN || way == LEAD_IN_REPEAT)
                assert_int_equal(buf_add_cstr(&said, "Continuing where I left off:\n\n"), ERR_OK);
            if (way == ECHO || way == RESTART)
                assert_int_equal(buf_add(&said, whole), ERR_OK);
            else if (way == REPEAT || way == LEAD_IN_REPEAT)
                assert_int_equal(buf_add(&said, span_drop(whole, back)), ERR_OK);
            else
                assert_int_equal(buf_add(&said, rest), ERR_OK);
            (void)join(given, way != EXACT && way != ECHO, buf_span(&said), round % 3, seed, &out);
            if (!span_eq(buf_span(&out), rest))
                fail_msg("way %d, round %d: \"%.*s\" + \"%.*s\" gave \"%.*s\"", way, round,
                         SPAN_FMT(given), SPAN_FMT(buf_span(&said)), SPAN_FMT(buf_span(&out)));
        }
    }
    buf_deinit(&text);
    buf_deinit(&said);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_again_is_dropped_and_what_is_new_is_given),
        cmocka_unit_test(the_report_tells_what_was_dropped),
        cmocka_unit_test(holding_is_bounded),
        cmocka_unit_test(every_way_of_going_on_joins_to_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
