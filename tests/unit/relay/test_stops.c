/* Stop sequences across a cut: found at every cut, in every piece, and nothing else is. */
#include "relay/stops.h"

#include "base/span.h"
#include "support/feed.h"

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ROUNDS 200000

/* What may be given of `text`; *hit as stops_hit. pieces: bytes of each, 0 = at random. */
static void join(const struct span *sequences, size_t count, struct span delivered,
                 struct span text, size_t pieces, uint64_t *seed, struct buf *out, size_t *hit)
{
    struct arena a;
    struct buf piece;
    arena_init(&a, 1 << 20);
    buf_init(&piece, 1 << 20);
    buf_reset(out);
    *hit = STOPS_NONE;
    struct stops *s = stops_new(&a, sequences, count, delivered);
    if (!s)
        assert_int_equal(buf_add(out, text), ERR_OK);
    while (s && text.len > 0) {
        size_t n = pieces ? pieces : 1 + feed_random(seed) % 4;
        buf_reset(&piece);
        assert_int_equal(buf_add(&piece, span_take(text, n)), ERR_OK);
        assert_int_equal(stops_feed(s, &piece), ERR_OK);
        assert_int_equal(buf_add(out, buf_span(&piece)), ERR_OK);
        text = span_drop(text, n);
    }
    if (s && !stops_settled(s)) {
        assert_int_equal(stops_end(s, &piece), ERR_OK);
        assert_int_equal(buf_add(out, buf_span(&piece)), ERR_OK);
        assert_true(stops_settled(s));
    }
    if (s)
        *hit = stops_hit(s);
    buf_deinit(&piece);
    arena_deinit(&a);
}

static void check(struct span sequence, struct span delivered, struct span text, size_t want_hit,
                  struct span want)
{
    uint64_t seed = 7;
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t pieces = 0; pieces < 6; pieces++) {
        size_t hit;
        join(&sequence, 1, delivered, text, pieces, &seed, &out, &hit);
        if (hit != want_hit || !span_eq(buf_span(&out), want))
            fail_msg("%.*s|%.*s, stop %.*s, pieces of %zu: \"%.*s\", hit %zd", SPAN_FMT(delivered),
                     SPAN_FMT(text), SPAN_FMT(sequence), pieces, SPAN_FMT(buf_span(&out)),
                     (ssize_t)hit);
    }
    buf_deinit(&out);
}

static void a_sequence_is_found_wherever_the_cut_is(void **state)
{
    (void)state;
    static const struct span sequences[] = {SPAN_INIT("\n\nHuman:"), SPAN_INIT("STOP"),
                                            SPAN_INIT("ende. \xe7\xbb\x88\xe6\xad\xa2\xe2\x9d\xa4"),
                                            SPAN_INIT("aaab"), SPAN_INIT("xx")};
    for (size_t i = 0; i < ARRAY_LEN(sequences); i++)
        for (size_t at = 1; at < sequences[i].len; at++) {
            char text[64] = "words ", rest[64];
            memcpy(text + 6, sequences[i].at, at);
            size_t left = sequences[i].len - at;
            memcpy(rest, sequences[i].at + at, left);
            memcpy(rest + left, " more", 5);
            check(sequences[i], (struct span){text, 6 + at}, (struct span){rest, left + 5}, 0,
                  SPAN_EMPTY);
        }
}

static void what_only_begins_like_one_is_given(void **state)
{
    (void)state;
    check(SPAN("STOP"), SPAN("ST"), SPAN("OXO"), STOPS_NONE, SPAN("OXO"));
    check(SPAN("STOP"), SPAN("ST"), SPAN("O"), STOPS_NONE, SPAN("O")); /* and then it ends */
    check(SPAN("STOP"), SPAN("ST"), SPAN(""), STOPS_NONE, SPAN(""));
    check(SPAN("STOP"), SPAN("none"), SPAN("STOP"), STOPS_NONE, SPAN("STOP")); /* the target's */
    check(SPAN("S"), SPAN("a"), SPAN("S"), STOPS_NONE, SPAN("S"));
    check(SPAN(""), SPAN("a"), SPAN("b"), STOPS_NONE, SPAN("b"));
    check(SPAN("\xe2\x9d\xa4!"), SPAN("\xe2\x9d\xa4"), SPAN("\xe2\x9d\xa4!"), STOPS_NONE,
          SPAN("\xe2\x9d\xa4!"));
}

static void what_is_too_long_is_not_looked_for(void **state)
{
    (void)state;
    char text[STOPS_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    text[0] = 'a';
    struct span longest = {text, STOPS_BYTES_MAX}, longer = {text, STOPS_BYTES_MAX + 1};
    check(longest, SPAN("a"), span_drop(longest, 1), 0, SPAN_EMPTY);
    check(longer, SPAN("a"), span_drop(longer, 1), STOPS_NONE, span_drop(longer, 1));
    struct span many[STOPS_MAX + 1];
    struct arena a;
    for (size_t i = 0; i < STOPS_MAX; i++)
        many[i] = SPAN("zz");
    many[STOPS_MAX] = SPAN("ab");
    arena_init(&a, 1 << 20);
    assert_null(stops_new(&a, many, STOPS_MAX + 1, SPAN("a")));
    assert_non_null(stops_new(&a, many + 1, STOPS_MAX, SPAN("a")));
    arena_deinit(&a);
}

/* The plain definition: of all places where a sequence lies across the cut the one that ends first.
 */
static size_t reference(const struct span *sequences, size_t count, struct span delivered,
                        struct span text, struct span *out)
{
    char joined[64];
    memcpy(joined, delivered.at, delivered.len);
    memcpy(joined + delivered.len, text.at, text.len);
    size_t all = delivered.len + text.len;
    for (size_t end = delivered.len + 1; end <= all; end++)
        for (size_t i = 0; i < count; i++) {
            size_t len = sequences[i].len;
            bool across = len <= end && end - len < delivered.len;
            if (across && len && memcmp(joined + end - len, sequences[i].at, len) == 0) {
                *out = SPAN_EMPTY;
                return i;
            }
        }
    *out = text;
    return STOPS_NONE;
}

static struct span random_text(char *to, size_t most, uint64_t *seed)
{
    size_t len = feed_random(seed) % (most + 1);
    for (size_t i = 0; i < len; i++)
        to[i] = (char)('a' + feed_random(seed) % 2);
    return (struct span){to, len};
}

static void it_agrees_with_the_plain_definition(void **state)
{
    (void)state;
    uint64_t seed = 20261126;
    size_t hits = 0;
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t round = 0; round < ROUNDS; round++) {
        char letters[5][12];
        struct span sequences[3], want;
        size_t count = 1 + feed_random(&seed) % 3, hit;
        for (size_t i = 0; i < count; i++)
            sequences[i] = random_text(letters[i], 6, &seed);
        struct span delivered = random_text(letters[3], 8, &seed);
        struct span text = random_text(letters[4], 8, &seed);
        size_t want_hit = reference(sequences, count, delivered, text, &want);
        join(sequences, count, delivered, text, 0, &seed, &out, &hit);
        if (hit != want_hit || !span_eq(buf_span(&out), want))
            fail_msg("round %zu: hit %zd, not %zd", round, (ssize_t)hit, (ssize_t)want_hit);
        hits += hit != STOPS_NONE;
    }
    assert_true(hits > ROUNDS / 10 && hits < ROUNDS - ROUNDS / 10);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_is_found_wherever_the_cut_is),
        cmocka_unit_test(what_only_begins_like_one_is_given),
        cmocka_unit_test(what_is_too_long_is_not_looked_for),
        cmocka_unit_test(it_agrees_with_the_plain_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
