/* Spans, bounded buffers, arenas, pieces, UTF-8, the list of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <malloc.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/pieces.h"
#include "base/span.h"
#include "base/utf8.h"

static void every_error_has_a_name_a_status_and_a_text(void **state)
{
    (void)state;
    for (enum err e = ERR_OK; e < ERR_COUNT; e++) {
        assert_true(strncmp(err_name(e), "ERR_", 4) == 0);
        assert_true(err_status(e) >= 200 && err_status(e) < 600);
        assert_true(strlen(err_text(e)) > 1);
    }
    assert_string_equal(err_name(ERR_RESET), "ERR_RESET");
    assert_int_equal(err_status(ERR_TIMEOUT), 504);
}

/* ---- spans ---- */

static void spans_compare(void **state)
{
    (void)state;
    assert_true(span_is(SPAN_EMPTY, "") && span_eq(SPAN_EMPTY, SPAN("")));
    assert_true(span_is(SPAN("ab"), "ab"));
    assert_false(span_is(SPAN("ab"), "abc") || span_is(SPAN("abc"), "ab"));
    assert_true(span_iis(SPAN("Content-TYPE"), "content-type"));
    assert_false(span_iis(SPAN("a@b"), "a`b") || span_ieq(SPAN("a"), SPAN("ab")));
    assert_true(span_starts(SPAN("abc"), SPAN("ab")) && span_starts(SPAN("abc"), SPAN_EMPTY));
    assert_false(span_starts(SPAN("a"), SPAN("ab")));
    assert_true(span_ends(SPAN("abc"), SPAN("bc")) && span_ends(SPAN("abc"), SPAN_EMPTY));
    assert_false(span_ends(SPAN("c"), SPAN("bc")));
    assert_true(span_istarts(SPAN("Bearer x"), SPAN("bearer ")));
    assert_true(span_eq_constant_time(SPAN("key"), SPAN("key")));
    assert_false(span_eq_constant_time(SPAN("key"), SPAN("kez")) ||
                 span_eq_constant_time(SPAN("key"), SPAN("keys")));
}

static void spans_are_searched_and_cut(void **state)
{
    (void)state;
    assert_int_equal(span_find(SPAN("a:b"), ':'), 1);
    assert_int_equal(span_find(SPAN_EMPTY, ':'), -1);
    assert_int_equal(span_search(SPAN("aab"), SPAN("ab")), 1);
    assert_int_equal(span_search(SPAN("a"), SPAN("ab")), -1);
    assert_int_equal(span_search(SPAN_EMPTY, SPAN_EMPTY), 0);
    assert_int_equal(span_isearch(SPAN("no CREDIT left"), SPAN("credit")), 3);
    assert_int_equal(span_isearch(SPAN("cred"), SPAN("credit")), -1);
    assert_true(span_is(span_trim(SPAN(" \t a b \r\n")), "a b"));
    assert_int_equal(span_trim(SPAN(" \n ")).len, 0);
    assert_true(span_is(span_drop(SPAN("abc"), 1), "bc") && span_drop(SPAN("a"), 9).len == 0);
    assert_true(span_is(span_take(SPAN("abc"), 2), "ab") && span_is(span_take(SPAN("a"), 9), "a"));
    assert_int_equal(span_drop(SPAN_EMPTY, 3).len, 0);
}

static void splitting_keeps_empty_parts(void **state)
{
    (void)state;
    static const char *const want[] = {"a", "", "b", ""};
    struct span rest = SPAN("a,,b,"), part;
    size_t n = 0;
    while (span_next(&rest, ',', &part)) {
        assert_true(n < ARRAY_LEN(want));
        assert_true(span_is(part, want[n++]));
    }
    assert_int_equal(n, ARRAY_LEN(want));
    rest = SPAN_EMPTY;
    assert_false(span_next(&rest, ',', &part));
}

static void numbers_are_whole_spans_or_refused(void **state)
{
    (void)state;
    uint64_t u = 7;
    int64_t i = 7;
    double d = 7;
    static const char *const bad[] = {"",  "+1", " 1", "1 ", "-", "1x", "18446744073709551616",
                                      "-1"};
    for (size_t n = 0; n < ARRAY_LEN(bad); n++)
        assert_int_equal(span_u64(span_from(bad[n]), &u), ERR_SYNTAX);
    assert_int_equal(u, 7);
    assert_int_equal(span_u64(SPAN("18446744073709551615"), &u), ERR_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(span_i64(SPAN("-9223372036854775808"), &i), ERR_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(span_i64(SPAN("9223372036854775808"), &i), ERR_SYNTAX);
    assert_int_equal(span_i64(SPAN("--1"), &i), ERR_SYNTAX);
    assert_int_equal(span_double(SPAN("-1.5e2"), &d), ERR_OK);
    assert_true(d < -149.9 && d > -150.1);
    assert_int_equal(span_double(SPAN("inf"), &d), ERR_SYNTAX);
    assert_int_equal(span_double(SPAN("0x10"), &d), ERR_SYNTAX);
    assert_int_equal(span_double(SPAN("1e999"), &d), ERR_SYNTAX);
    assert_int_equal(span_double(SPAN("1-"), &d), ERR_SYNTAX);
}

/* ---- buffers ---- */

static void a_buffer_takes_its_bound_and_no_more(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    char block[600];
    memset(block, 'x', sizeof block);
    assert_int_equal(buf_add(&b, (struct span){block, 600}), ERR_OK);
    assert_int_equal(buf_add(&b, (struct span){block, 401}), ERR_LIMIT);
    assert_int_equal(b.len, 600);
    assert_int_equal(buf_add(&b, (struct span){block, 400}), ERR_OK);
    assert_int_equal(buf_add_char(&b, 'y'), ERR_LIMIT);
    assert_int_equal(buf_printf(&b, "%d", 1), ERR_LIMIT);
    assert_int_equal(buf_add(&b, SPAN_EMPTY), ERR_OK);
    buf_consume(&b, 999);
    assert_true(span_is(buf_span(&b), "x"));
    assert_int_equal(buf_printf(&b, "-%s-", "z"), ERR_OK);
    assert_int_equal(buf_add_cstr(&b, "end"), ERR_OK);
    assert_true(span_is(buf_span(&b), "x-z-end"));
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_reserve(&b, 1001), ERR_LIMIT);
    assert_int_equal(buf_reserve(&b, 3), ERR_OK);
    memcpy(b.at, "abc", 3);
    buf_grew(&b, 3);
    assert_true(span_is(buf_span(&b), "abc"));
    buf_deinit(&b);
    assert_null(b.at);
}

/* ---- arenas ---- */

static char order[8];

static void note(void *object)
{
    size_t len = strlen(order);
    order[len] = *(const char *)object;
    order[len + 1] = 0;
}

static void an_arena_aligns_remembers_and_cleans_up_backwards(void **state)
{
    (void)state;
    struct arena a;
    char first = '1', second = '2';
    order[0] = 0;
    arena_init(&a, 1 << 20);
    arena_on_free(&a, note, &first);
    for (size_t i = 1; i < 9000; i += 7) {
        char *at = arena_alloc(&a, i);
        assert_int_equal((uintptr_t)at % 16, 0);
        memset(at, 'x', i);
    }
    arena_on_free(&a, note, &second);
    struct span s = arena_copy(&a, SPAN("text"));
    assert_true(span_is(s, "text") && s.at[4] == 0);
    assert_string_equal(arena_cstr(&a, SPAN_EMPTY), "");
    assert_true(span_is(arena_printf(&a, "%s-%d", "n", 5), "n-5"));
    int *zero = arena_array(&a, int, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(zero[i], 0);
    assert_true(arena_over(&a)); /* 5.8 MB were asked for */
    arena_reset(&a);
    assert_string_equal(order, "21");
    assert_false(arena_over(&a));
    assert_int_equal(arena_used(&a), 0);
    arena_deinit(&a);
    assert_string_equal(order, "21");
}

static void scratch_is_given_back(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct arena_mark empty = arena_mark(&a);
    char *kept = arena_cstr(&a, SPAN("kept"));
    size_t used = arena_used(&a);
    struct arena_mark mark = arena_mark(&a);
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(&a, 3000), 'x', 3000);
    arena_rewind(&a, mark);
    assert_int_equal(arena_used(&a), used);
    assert_string_equal(kept, "kept");
    memset(arena_alloc(&a, 100), 'y', 100);
    assert_string_equal(kept, "kept");
    arena_rewind(&a, empty);
    assert_int_equal(arena_used(&a), 0);
    arena_deinit(&a);
}

/* ---- pieces ---- */

/* Under a sanitizer nothing is kept, and mallinfo2 says 0: then this claims nothing. */
static void a_trimmed_thread_keeps_nothing_of_its_arenas(void **state)
{
    (void)state;
    arena_trim();
    size_t before = mallinfo2().uordblks;
    struct arena many[64]; /* one chunk each: as many as a thread keeps */
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        arena_init(&many[i], SIZE_MAX);
        memset(arena_alloc(&many[i], 1000), 1, 1000);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        arena_deinit(&many[i]);
    arena_trim();
    assert_int_equal(mallinfo2().uordblks, before);
}

static void pieces_join_to_what_was_added(void **state)
{
    (void)state;
    static char long_text[3000];
    memset(long_text, 'L', sizeof long_text);
    uint64_t seed = 1;
    for (int round = 0; round < 300; round++) {
        struct arena a;
        struct pieces p;
        struct buf want;
        arena_init(&a, 1 << 24);
        buf_init(&want, 1 << 20);
        pieces_init(&p, &a);
        for (int i = 0; i < 60; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t kind = seed >> 61, len = (seed >> 33) % sizeof long_text;
            struct span s = {long_text, kind < 4 ? len % 40 : len};
            enum err e = ERR_OK;
            if (kind == 7) {
                pieces_printf(&p, "<%d>", i);
                e = buf_printf(&want, "<%d>", i);
            } else if (kind == 6) {
                pieces_copy(&p, s);
                e = buf_add(&want, s);
            } else if (kind == 0) {
                pieces_add_char(&p, ',');
                e = buf_add_char(&want, ',');
            } else {
                pieces_add(&p, s);
                e = buf_add(&want, s);
            }
            assert_int_equal(e, ERR_OK);
        }
        assert_int_equal(p.bytes, want.len);
        for (size_t i = 0; i < p.count; i++)
            assert_true(p.list[i].len > 0);
        struct span flat = pieces_flatten(&p, &a);
        assert_true(span_eq(flat, buf_span(&want)) && flat.at[flat.len] == 0);
        buf_deinit(&want);
        arena_deinit(&a);
    }
}

static void short_slices_share_a_piece_around_borrowed_ones(void **state)
{
    (void)state;
    static char text[PIECE_BORROW_MIN];
    struct arena a;
    struct pieces p;
    arena_init(&a, 1 << 20);
    pieces_init(&p, &a);
    pieces_add(&p, SPAN("{"));
    pieces_add(&p, SPAN("\"a\":"));
    pieces_add(&p, (struct span){text, sizeof text});
    pieces_add(&p, (struct span){text, sizeof text});
    pieces_add(&p, SPAN(","));
    pieces_add(&p, SPAN("}"));
    pieces_add(&p, SPAN_EMPTY);
    assert_int_equal(p.count, 4);
    assert_ptr_equal(p.list[1].at, text);
    assert_true(span_is(p.list[0], "{\"a\":") && span_is(p.list[3], ",}"));
    arena_deinit(&a);
}

/* ---- UTF-8 ---- */

static void every_scalar_is_encoded_and_recognised(void **state)
{
    (void)state;
    char out[4];
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        size_t len = utf8_encode(c, out);
        assert_int_equal(len, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(utf8_char((struct span){out, len}), len);
        for (size_t cut = 1; cut < len; cut++)
            assert_int_equal(utf8_char((struct span){out, cut}), 0);
    }
}

/* Counts the well-formed sequences of three bytes: 61,440 = 3-byte characters, of four: 1,048,576.
 */
static void nothing_but_scalars_is_recognised(void **state)
{
    (void)state;
    size_t found[5] = {0};
    for (uint32_t v = 0; v < 1u << 24; v++) {
        char s[4] = {(char)(v >> 16), (char)(v >> 8), (char)v, (char)0x80};
        size_t len = utf8_char((struct span){s, 4});
        if ((len == 1 && (v & 0xFFFF) == 0) || (len == 2 && (v & 0xFF) == 0) || len >= 3)
            found[len]++;
    }
    assert_int_equal(found[1], 128);
    assert_int_equal(found[2], 1920);
    assert_int_equal(found[3], 61440);
    assert_int_equal(found[4], 1048576 / 64);
    assert_int_equal(utf8_valid_len(SPAN("ab\xC3\xA9\xFFz")), 4);
    assert_int_equal(utf8_valid_len(SPAN_EMPTY), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_a_status_and_a_text),
        cmocka_unit_test(spans_compare),
        cmocka_unit_test(spans_are_searched_and_cut),
        cmocka_unit_test(splitting_keeps_empty_parts),
        cmocka_unit_test(numbers_are_whole_spans_or_refused),
        cmocka_unit_test(a_buffer_takes_its_bound_and_no_more),
        cmocka_unit_test(an_arena_aligns_remembers_and_cleans_up_backwards),
        cmocka_unit_test(scratch_is_given_back),
        cmocka_unit_test(a_trimmed_thread_keeps_nothing_of_its_arenas),
        cmocka_unit_test(pieces_join_to_what_was_added),
        cmocka_unit_test(short_slices_share_a_piece_around_borrowed_ones),
        cmocka_unit_test(every_scalar_is_encoded_and_recognised),
        cmocka_unit_test(nothing_but_scalars_is_recognised),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
