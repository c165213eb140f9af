/* The reader: what it accepts, what it refuses and where, and what handles give. */
#include "json_support.h"

#include <math.h>

static struct parsed doc; /* of the test that runs */

static struct json parse(const char *text)
{
    parse_with(&doc, span_from(text), &json_limits_default);
    if (doc.err != ERR_OK)
        fail_msg("%s: %s at %zu", text, doc.error.what, doc.error.offset);
    return json_root(&doc.doc);
}

static void done(void)
{
    parsed_free(&doc);
}

static void assert_span(struct span s, const char *want)
{
    if (!span_is(s, want))
        fail_msg("\"%.*s\" is not \"%s\"", SPAN_FMT(s), want);
}

static void members_and_elements_are_found(void **state)
{
    (void)state;
    struct json v = parse(" {\"a\": 1, \"b\": [true, {\"x\": null}, \"s\"], \"c\": {\"d\": {}}} ");
    assert_int_equal(json_type(v), JSON_OBJECT);
    assert_int_equal(json_len(v), 3);
    assert_span(json_raw(json_get(v, "a")), "1");
    assert_span(json_raw(json_get(v, "b")), "[true, {\"x\": null}, \"s\"]");
    struct json b = json_get(v, "b");
    assert_int_equal(json_len(b), 3);
    assert_true(json_true(json_at(b, 0)));
    assert_true(json_present(json_get(json_at(b, 1), "x")));
    assert_false(json_useful(json_get(json_at(b, 1), "x")));
    assert_true(json_str_is(json_at(b, 2), "s"));
    assert_span(json_raw(json_at(b, 2)), "\"s\"");
    assert_false(json_present(json_at(b, 3)));
    assert_true(json_is(json_path(v, "c.d"), JSON_OBJECT));
    assert_int_equal(json_len(json_path(v, "c.d")), 0);
    assert_false(json_present(json_path(v, "c.e.f")));
    assert_false(json_present(json_get(b, "a")));
    done();
}

static void iteration_visits_each_child_once_in_order(void **state)
{
    (void)state;
    struct json v = parse("{\"a\":[1,[2],3],\"b\":{},\"c\":[],\"d\":\"\"}");
    char seen[64] = "";
    size_t len = 0;
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        struct span key = json_key(m), raw = json_raw(m);
        len += (size_t)snprintf(seen + len, sizeof seen - len, "%.*s=%.*s;", SPAN_FMT(key),
                                SPAN_FMT(raw));
    }
    assert_string_equal(seen, "a=[1,[2],3];b={};c=[];d=\"\";");
    struct json a = json_get(v, "a");
    uint32_t n = 0;
    for (struct json e = json_first(a); json_present(e); e = json_next(a, e), n++)
        assert_span(json_key(e), "");
    assert_int_equal(n, 3);
    assert_false(json_present(json_first(json_get(v, "b"))));
    assert_false(json_present(json_first(json_get(v, "d"))));
    done();
}

static void absent_values_answer_every_question(void **state)
{
    (void)state;
    struct json none = JSON_ABSENT;
    int64_t n;
    double d;
    assert_int_equal(json_type(none), JSON_NONE);
    assert_int_equal(json_raw(none).len + json_len(none) + json_str(none).len, 0);
    assert_false(json_present(json_get(none, "a")) || json_present(json_first(none)));
    assert_false(json_present(json_next(none, none)) || json_present(json_at(none, 0)));
    assert_false(json_present(json_path(none, "a.b")) || json_str_is(none, "") || json_true(none));
    assert_false(json_str_escaped(none) || json_key_is(none, ""));
    assert_int_equal(json_key(none).len + json_str_decode(none, NULL).len, 0);
    assert_int_equal(json_i64(none, &n), ERR_INVALID);
    assert_int_equal(json_double(none, &d), ERR_INVALID);
    assert_false(json_present(json_root(NULL)));
}

static void strings_stay_raw_until_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text, *raw, *decoded;
    } rows[] = {
        {"\"\"", "", ""},
        {"\"plain \xC3\xA9\"", "plain \xC3\xA9", "plain \xC3\xA9"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u4E2D\"", "\\u0041\\u00e9\\u4E2D", "A\xC3\xA9\xE4\xB8\xAD"},
        {"\"x\\ud83d\\ude00y\"", "x\\ud83d\\ude00y", "x\xF0\x9F\x98\x80y"},
        {"\"\\udbff\\udfff\"", "\\udbff\\udfff", "\xF4\x8F\xBF\xBF"},
        {"\"a\\ud83d\"", "a\\ud83d", "a\xEF\xBF\xBD"},
        {"\"\\ude00b\"", "\\ude00b",
         "\xEF\xBF\xBD"
         "b"},
        {"\"\\ud83d\\ud83d\\ude00\"", "\\ud83d\\ud83d\\ude00", "\xEF\xBF\xBD\xF0\x9F\x98\x80"},
        {"\"\\ud83d\\n\"", "\\ud83d\\n", "\xEF\xBF\xBD\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json v = parse(rows[i].text);
        assert_span(json_str(v), rows[i].raw);
        assert_span(json_raw(v), rows[i].text);
        assert_span(json_str_decode(v, &doc.arena), rows[i].decoded);
        assert_int_equal(json_str_escaped(v), strchr(rows[i].raw, '\\') != NULL);
        if (!strstr(rows[i].decoded, "\xEF\xBF\xBD"))
            assert_true(json_str_is(v, rows[i].decoded));
        assert_false(json_str_is(v, "another"));
        done();
    }
}

static void a_nul_escape_decodes_to_a_nul(void **state)
{
    (void)state;
    struct json v = parse("\"a\\u0000b\"");
    struct span s = json_str_decode(v, &doc.arena);
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.at, "a\0b", 3);
    assert_false(json_str_is(v, "a"));
    done();
}

static void pieces_cut_inside_an_escape_keep_it(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"a\\", "a\\"},
                                          {"a\\u12", "a\\u12"},
                                          {"a\\q\\n", "a\\q\n"},
                                          {"\\uZZZZ", "\\uZZZZ"},
                                          {"\\ud83d\\u", "\xEF\xBF\xBD\\u"}};
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_span(json_unescape(span_from(rows[i][0]), &a), rows[i][1]);
    arena_deinit(&a);
}

static void names_are_compared_decoded(void **state)
{
    (void)state;
    struct json v = parse("{\"\\u0061\\/b\":1,\"plain\":2}");
    assert_span(json_raw(json_get(v, "a/b")), "1");
    assert_span(json_key(json_get(v, "a/b")), "\\u0061\\/b");
    assert_true(json_key_is(json_get(v, "a/b"), "a/b"));
    assert_false(json_present(json_get(v, "\\u0061\\/b")));
    assert_false(json_present(json_get(v, "plai")) || json_present(json_get(v, "plain2")));
    done();
}

static void integers_are_exact_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        int64_t value;
    } rows[] = {
        {"0", ERR_OK, 0},
        {"-0", ERR_OK, 0},
        {"42", ERR_OK, 42},
        {"3.0", ERR_OK, 3},
        {"3e0", ERR_OK, 3},
        {"3.5e1", ERR_OK, 35},
        {"1200e-2", ERR_OK, 12},
        {"0.0e999999999999", ERR_OK, 0},
        {"9223372036854775807", ERR_OK, INT64_MAX},
        {"-9223372036854775808", ERR_OK, INT64_MIN},
        {"922337203685477580.7e1", ERR_OK, INT64_MAX},
        {"9223372036854775808", ERR_INVALID, 0},
        {"-9223372036854775809", ERR_INVALID, 0},
        {"1e18", ERR_OK, 1000000000000000000},
        {"1e19", ERR_INVALID, 0},
        {"1e99999999999999999999", ERR_INVALID, 0},
        {"1e-99999999999999999999", ERR_INVALID, 0},
        {"3.5", ERR_INVALID, 0},
        {"1e-1", ERR_INVALID, 0},
        {"\"3\"", ERR_INVALID, 0},
        {"null", ERR_INVALID, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t value = 0;
        enum err e = json_i64(parse(rows[i].text), &value);
        if (e != rows[i].err || value != rows[i].value)
            fail_msg("%s: %s, %lld", rows[i].text, err_name(e), (long long)value);
        done();
    }
}

static void doubles_are_read(void **state)
{
    (void)state;
    double d = 0;
    assert_int_equal(json_double(parse("0.1"), &d), ERR_OK);
    assert_true(fabs(d - 0.1) < 1e-18);
    done();
    assert_int_equal(json_double(parse("-12e-1"), &d), ERR_OK);
    assert_true(fabs(d + 1.2) < 1e-15);
    done();
    assert_int_equal(json_double(parse("1e-400"), &d), ERR_OK);
    assert_true(d >= 0 && d < 1e-300);
    done();
    struct json v = parse("1e400");
    assert_int_equal(json_double(v, &d), ERR_INVALID);
    assert_span(json_raw(v), "1e400");
    done();
}

static void errors_say_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
        uint32_t line, column;
        const char *what; /* part of it */
    } rows[] = {
        {"", 0, 1, 1, "ends too early"},
        {"[1,\n 2,\n  x]", 10, 3, 3, "a value is due"},
        {"{\"a\":1,}", 7, 1, 8, "name"},
        {"[1 2]", 3, 1, 4, "comma or ]"},
        {"{\"a\" 1}", 5, 1, 6, "colon"},
        {"{\"a\":1 \"b\":2}", 7, 1, 8, "comma or }"},
        {"[1,", 3, 1, 4, "ends too early"},
        {"[\"abc", 1, 1, 2, "does not end"},
        {"[\"a\nb\"]", 3, 1, 4, "control character"},
        {"[\"a\\x\"]", 3, 1, 4, "escape"},
        {"[\"a\\u12\"]", 3, 1, 4, "escape"},
        {"01", 1, 1, 2, "follows"},
        {"1.", 2, 1, 3, "ends too early"},
        {"[1.]", 3, 1, 4, "after the point"},
        {"[-]", 2, 1, 3, "digit"},
        {"[1e+]", 4, 1, 5, "exponent"},
        {"{} {}", 3, 1, 4, "follows"},
        {"nul", 0, 1, 1, "not a JSON value"},
        {"\xEF\xBB\xBF{}", 0, 1, 1, "byte order mark"},
        {"{\"a\":\n\"\xC3\x28\"}", 7, 2, 2, "UTF-8"},
        {"{\"a\":1,\n\"a\":2}", 8, 2, 1, "given before"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parsed p;
        parse_with(&p, span_from(rows[i].text), &json_limits_default);
        assert_int_equal(p.err, ERR_SYNTAX);
        bool same = p.error.offset == rows[i].offset && p.error.line == rows[i].line &&
                    p.error.column == rows[i].column && strstr(p.error.what, rows[i].what);
        if (!same)
            fail_msg("%s: %s at %zu, %u:%u", rows[i].text, p.error.what, p.error.offset,
                     p.error.line, p.error.column);
        assert_int_equal(arena_used(&p.arena), 0);
        parsed_free(&p);
    }
}

static void any_cut_of_a_document_is_refused(void **state)
{
    (void)state;
    struct span whole =
        SPAN("{\"model\":\"m\",\"n\":[-1.5e3,true,null],\"s\":\"\\u00e9\\n\xE4\xB8\xAD\"}");
    assert_int_equal(parse_all_engines(whole), ERR_OK);
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(parse_all_engines(span_take(whole, len)), ERR_SYNTAX);
}

/* ---- limits ---- */

static enum err verdict(struct span text, const struct json_limits *limits)
{
    struct parsed p;
    parse_with(&p, text, limits);
    parsed_free(&p);
    return p.err;
}

static struct buf text_buf;

static struct span repeated(const char *before, const char *each, size_t n, const char *after)
{
    buf_reset(&text_buf);
    assert_int_equal(buf_add_cstr(&text_buf, before), ERR_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_add_cstr(&text_buf, each), ERR_OK);
    assert_int_equal(buf_add_cstr(&text_buf, after), ERR_OK);
    return buf_span(&text_buf);
}

static struct span nested(const char *open, const char *close, size_t depth)
{
    buf_reset(&text_buf);
    for (size_t i = 0; i < depth; i++)
        assert_int_equal(buf_add_cstr(&text_buf, open), ERR_OK);
    assert_int_equal(buf_add_cstr(&text_buf, "1"), ERR_OK);
    for (size_t i = 0; i < depth; i++)
        assert_int_equal(buf_add_cstr(&text_buf, close), ERR_OK);
    return buf_span(&text_buf);
}

static void limits_hold_exactly(void **state)
{
    (void)state;
    const struct json_limits *usual = &json_limits_default;
    assert_int_equal(verdict(nested("[", "]", 128), usual), ERR_OK);
    assert_int_equal(verdict(nested("[", "]", 129), usual), ERR_LIMIT);
    assert_int_equal(verdict(nested("{\"a\":", "}", 128), usual), ERR_OK);
    assert_int_equal(verdict(nested("{\"a\":", "}", 129), usual), ERR_LIMIT);
    assert_int_equal(verdict(repeated("{\"", "k", 1024, "\":1}"), usual), ERR_OK);
    assert_int_equal(verdict(repeated("{\"", "k", 1025, "\":1}"), usual), ERR_LIMIT);
    assert_int_equal(verdict(repeated("[1", ",1", 999998, "]"), usual), ERR_OK);
    assert_int_equal(verdict(repeated("[1", ",1", 999999, "]"), usual), ERR_LIMIT);
    struct json_limits few = {4, 3, 10, 8};
    assert_int_equal(verdict(SPAN("[{\"a\":1},{\"a\":1,\"b\":2}]"), &few), ERR_OK);
    assert_int_equal(verdict(SPAN("[{\"a\":1,\"c\":3},{\"a\":1,\"b\":2}]"), &few), ERR_LIMIT);
}

static void an_arena_that_is_too_small_is_a_limit(void **state)
{
    (void)state;
    struct arena a;
    struct json_doc out;
    struct json_error error;
    arena_init(&a, 1000);
    struct span text = repeated("[1", ",1", 200, "]");
    assert_int_equal(json_parse(&a, text, &json_limits_default, &out, &error), ERR_LIMIT);
    arena_deinit(&a);
}

/* ---- duplicate names ---- */

static struct span object_of(size_t members, size_t repeats_at, const char *repeat)
{
    buf_reset(&text_buf);
    for (size_t i = 0; i < members; i++) {
        enum err e = i == repeats_at
                         ? buf_printf(&text_buf, "%c\"%s\":0", i ? ',' : '{', repeat)
                         : buf_printf(&text_buf, "%c\"key%zu\":{\"x\":0}", i ? ',' : '{', i);
        assert_int_equal(e, ERR_OK);
    }
    assert_int_equal(buf_add_cstr(&text_buf, "}"), ERR_OK);
    return buf_span(&text_buf);
}

static void a_repeated_name_is_refused_in_objects_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {2, 3, 15, 16, 17, 18, 40, 1000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i];
        assert_int_equal(parse_all_engines(object_of(n, n, "")), ERR_OK);
        assert_int_equal(parse_all_engines(object_of(n, n - 1, "key0")), ERR_SYNTAX);
        assert_int_equal(parse_all_engines(object_of(n, n - 1, "ke\\u00790")), ERR_SYNTAX);
        assert_int_equal(parse_all_engines(object_of(n, 0, "key1")), ERR_SYNTAX);
        assert_int_equal(parse_all_engines(object_of(n, n - 1, "Key0")), ERR_OK);
        assert_int_equal(parse_all_engines(object_of(n, n - 1, "")), ERR_OK);
    }
    assert_int_equal(parse_all_engines(SPAN("{\"\\u0061\":1,\"\\u0061\":2}")), ERR_SYNTAX);
    assert_int_equal(parse_all_engines(SPAN("{\"\\ud800\":1,\"\\ud801\":2}")), ERR_OK);
    assert_int_equal(parse_all_engines(SPAN("{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":2}")),
                     ERR_SYNTAX);
    assert_int_equal(parse_all_engines(SPAN("{\"a\":{\"a\":{\"a\":1}}}")), ERR_OK);
}

/* 100,000 members with names that differ at the end only: quadratic work would take minutes, and
 * the test's time limit is one. */
static void the_largest_object_is_checked_quickly(void **state)
{
    (void)state;
    buf_reset(&text_buf);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_printf(&text_buf, "%c\"%0100d\":0", i ? ',' : '{', i), ERR_OK);
    assert_int_equal(buf_add_cstr(&text_buf, "}"), ERR_OK);
    assert_int_equal(verdict(buf_span(&text_buf), &json_limits_default), ERR_OK);
    text_buf.len--;
    assert_int_equal(buf_add_cstr(&text_buf, ",\"x\":0}"), ERR_OK);
    assert_int_equal(verdict(buf_span(&text_buf), &json_limits_default), ERR_LIMIT);
}

static int set_up(void **state)
{
    (void)state;
    buf_init(&text_buf, (size_t)32 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_deinit(&text_buf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_elements_are_found),
        cmocka_unit_test(iteration_visits_each_child_once_in_order),
        cmocka_unit_test(absent_values_answer_every_question),
        cmocka_unit_test(strings_stay_raw_until_decoded),
        cmocka_unit_test(a_nul_escape_decodes_to_a_nul),
        cmocka_unit_test(pieces_cut_inside_an_escape_keep_it),
        cmocka_unit_test(names_are_compared_decoded),
        cmocka_unit_test(integers_are_exact_or_refused),
        cmocka_unit_test(doubles_are_read),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(any_cut_of_a_document_is_refused),
        cmocka_unit_test(limits_hold_exactly),
        cmocka_unit_test(an_arena_that_is_too_small_is_a_limit),
        cmocka_unit_test(a_repeated_name_is_refused_in_objects_of_any_size),
        cmocka_unit_test(the_largest_object_is_checked_quickly),
    };
    return cmocka_run_group_tests_name("json", tests, set_up, tear_down);
}
