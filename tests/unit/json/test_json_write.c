/* The writer: commas and colons, escapes, borrowing, bounds, and that what it writes reads back. */
#include "json_support.h"

#include "json/json_write.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct both { /* the same calls go to a buf and to pieces; they must write the same */
    struct buf buf;
    struct pieces pieces;
    struct arena arena;
    struct json_out to_buf, to_pieces;
};

static void both_init(struct both *b)
{
    buf_init(&b->buf, 1 << 20);
    arena_init(&b->arena, 1 << 24);
    pieces_init(&b->pieces, &b->arena);
    json_out_buf(&b->to_buf, &b->buf);
    json_out_pieces(&b->to_pieces, &b->pieces);
}

static void both_expect(struct both *b, const char *want)
{
    struct span flat = pieces_flatten(&b->pieces, &b->arena);
    if (!span_is(buf_span(&b->buf), want))
        fail_msg("%.*s is not %s", SPAN_FMT(buf_span(&b->buf)), want);
    assert_true(span_eq(flat, buf_span(&b->buf)));
    assert_int_equal(b->pieces.bytes, flat.len);
    assert_false(b->to_buf.failed || b->to_pieces.failed);
    buf_deinit(&b->buf);
    arena_deinit(&b->arena);
}

static void write_all_kinds(struct json_out *w)
{
    jw_object(w);
    jw_key(w, "a");
    jw_array(w);
    jw_i64(w, 1);
    jw_i64(w, INT64_MIN);
    jw_array(w);
    jw_array_end(w);
    jw_object(w);
    jw_object_end(w);
    jw_bool(w, true);
    jw_bool(w, false);
    jw_null(w);
    jw_array_end(w);
    jw_key_raw(w, SPAN("\\u0062"));
    jw_raw(w, SPAN("{\"big\":12345678901234567890}"));
    jw_key(w, "c");
    jw_str_raw(w, SPAN("kept \\ud83d"));
    jw_key(w, "d");
    jw_str_begin(w);
    jw_part(w, SPAN("say \""));
    jw_part_raw(w, SPAN("\\n"));
    jw_part(w, SPAN("\"\n"));
    jw_str_end(w);
    jw_key(w, "e");
    jw_double(w, 0.1);
    jw_object_end(w);
}

static void commas_and_colons_are_put(void **state)
{
    (void)state;
    struct both b;
    both_init(&b);
    write_all_kinds(&b.to_buf);
    write_all_kinds(&b.to_pieces);
    both_expect(&b, "{\"a\":[1,-9223372036854775808,[],{},true,false,null],"
                    "\"\\u0062\":{\"big\":12345678901234567890},"
                    "\"c\":\"kept \\ud83d\",\"d\":\"say \\\"\\n\\\"\\n\",\"e\":0.1}");
}

static void expect_escaped(struct span text, const char *want)
{
    struct both b;
    both_init(&b);
    jw_str(&b.to_buf, text);
    jw_str(&b.to_pieces, text);
    both_expect(&b, want);
}

static void what_must_be_escaped_is(void **state)
{
    (void)state;
    expect_escaped(SPAN(""), "\"\"");
    expect_escaped(SPAN("\"\\/\b\f\n\r\t"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\"");
    expect_escaped(SPAN("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"");
    expect_escaped(SPAN("\xC3\xA9\xF0\x9F\x98\x80"), "\"\xC3\xA9\xF0\x9F\x98\x80\"");
    expect_escaped(SPAN("a\xFF\xC3"), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
    expect_escaped(SPAN("\xE4\xB8\""), "\"\xEF\xBF\xBD\xEF\xBF\xBD\\\"\"");
}

static void long_slices_are_borrowed_and_short_ones_copied(void **state)
{
    (void)state;
    struct arena a;
    struct pieces p;
    struct json_out w;
    static char text[PIECE_BORROW_MIN], brief[] = "brief";
    memset(text, 'x', sizeof text);
    arena_init(&a, 1 << 20);
    pieces_init(&p, &a);
    json_out_pieces(&w, &p);
    jw_array(&w);
    jw_str(&w, (struct span){text, sizeof text});
    jw_str(&w, span_from(brief));
    jw_array_end(&w);
    assert_int_equal(p.count, 3);
    assert_ptr_equal(p.list[1].at, text);
    brief[0] = 'B'; /* a copy does not change */
    assert_true(span_is(p.list[2], "\",\"brief\"]"));
    arena_deinit(&a);
}

static void a_full_buffer_is_remembered(void **state)
{
    (void)state;
    struct buf b;
    struct json_out w;
    buf_init(&b, 10);
    json_out_buf(&w, &b);
    jw_array(&w);
    jw_cstr(&w, "much too long for it");
    assert_true(w.failed);
    size_t len = b.len;
    jw_array_end(&w);
    assert_int_equal(b.len, len);
    buf_deinit(&b);
}

static void doubles_read_back_the_same(void **state)
{
    (void)state;
    static const double rows[] = {
        0, 1, -1, 0.1, 1.0 / 3, 1e21, DBL_MAX, DBL_MIN, 5e-324, 0.30000000000000004, 1e-7};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b;
        struct json_out w;
        buf_init(&b, 100);
        json_out_buf(&w, &b);
        jw_double(&w, rows[i]);
        assert_int_equal(buf_add_char(&b, 0), ERR_OK);
        double back = strtod(b.at, NULL);
        assert_memory_equal(&back, &rows[i], sizeof back);
        b.len--;
        assert_int_equal(parse_all_engines(buf_span(&b)), ERR_OK);
        buf_deinit(&b);
    }
    struct both b;
    both_init(&b);
    jw_double(&b.to_buf, NAN);
    jw_double(&b.to_pieces, (double)INFINITY);
    both_expect(&b, "null");
}

static void any_text_reads_back_as_it_was(void **state)
{
    (void)state;
    static const char *const words[] = {"a",
                                        "\"",
                                        "\\",
                                        "\n",
                                        "\x01",
                                        "\xC3\xA9",
                                        "u0041",
                                        "\xE4\xB8\xAD",
                                        "\xF0\x9F\x98\x80",
                                        " and so on and on "};
    uint64_t seed = 42;
    for (int round = 0; round < 3000; round++) {
        char text[700];
        size_t len = 0, target = random_below(&seed, 650);
        while (len < target) {
            struct span word = span_from(words[random_below(&seed, ARRAY_LEN(words))]);
            memcpy(text + len, word.at, word.len);
            len += word.len;
        }
        struct buf b;
        struct json_out w;
        struct parsed p;
        buf_init(&b, 1 << 16);
        json_out_buf(&w, &b);
        jw_str(&w, (struct span){text, len});
        parse_with(&p, buf_span(&b), &json_limits_default);
        assert_int_equal(p.err, ERR_OK);
        struct span back = json_str_decode(json_root(&p.doc), &p.arena);
        assert_true(span_eq(back, (struct span){text, len}));
        parsed_free(&p);
        buf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_colons_are_put),
        cmocka_unit_test(what_must_be_escaped_is),
        cmocka_unit_test(long_slices_are_borrowed_and_short_ones_copied),
        cmocka_unit_test(a_full_buffer_is_remembered),
        cmocka_unit_test(doubles_read_back_the_same),
        cmocka_unit_test(any_text_reads_back_as_it_was),
    };
    return cmocka_run_group_tests_name("json_write", tests, NULL, NULL);
}
