/* The instruction sets against the plain one, and that one against the definition of UTF-8. */
#include "json_support.h"

#include "base/utf8.h"

static const struct json_engine *const engines[] = {
    &json_engine_portable,
#if defined(__x86_64__)
    &json_engine_sse2,
    &json_engine_avx2,
#elif defined(__aarch64__)
    &json_engine_neon,
#endif
};

static void check(struct span text, size_t special, size_t valid)
{
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        if (!engines[i]->supported())
            continue;
        assert_int_equal(engines[i]->special(text.at, text.len), special);
        assert_int_equal(engines[i]->utf8(text.at, text.len), valid);
    }
}

static size_t plain_special(struct span s)
{
    size_t i = 0;
    while (i < s.len && s.at[i] != '"' && s.at[i] != '\\' && (unsigned char)s.at[i] >= 0x20)
        i++;
    return i;
}

static void each_byte_is_found_at_each_place(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 100; len += 3) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c += at % 7 == 0 ? 1 : 11) {
                char bytes[128];
                memset(bytes, 'x', len);
                bytes[at] = (char)c;
                struct span s = exact_copy((struct span){bytes, len});
                check(s, plain_special(s), utf8_valid_len(s));
                exact_free(s);
            }
        }
    }
}

/* All pairs of bytes and all triples and quadruples over the bytes where the rules change, laid
 * across the border of two blocks. */
static void every_utf8_rule_holds_across_blocks(void **state)
{
    (void)state;
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                                          0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
                                          0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    const size_t n = ARRAY_LEN(edges);
    char bytes[80];
    for (size_t i = 0; i < n * n * n * n; i++) {
        memset(bytes, 'x', sizeof bytes);
        char *at = bytes + 28 + i % 5;
        size_t rest = i;
        for (int k = 0; k < 4; k++, rest /= n)
            at[k] = (char)edges[rest % n];
        struct span s = {bytes, i % 2 ? sizeof bytes : (size_t)(at + 4 - bytes)};
        check(s, plain_special(s), utf8_valid_len(s));
    }
}

static void random_text_is_judged_alike(void **state)
{
    (void)state;
    static const char *const words[] = {"a",
                                        "hello ",
                                        "\xC3\xA9",
                                        "\xE4\xB8\xAD\xE6\x96\x87",
                                        "\xF0\x9F\x98\x80",
                                        "\"",
                                        "\\",
                                        "\n",
                                        "\x80",
                                        "\xE4\xB8",
                                        "\xED\xA0\x80",
                                        "0123456789abcdef0123456789abcdef"};
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 30000; round++) {
        char bytes[400];
        size_t len = 0, target = random_below(&seed, 300), kinds = 5 + random_below(&seed, 8);
        while (len < target) {
            struct span w = span_from(words[random_below(&seed, kinds)]);
            memcpy(bytes + len, w.at, w.len);
            len += w.len;
        }
        struct span s = exact_copy((struct span){bytes, len});
        check(s, plain_special(s), utf8_valid_len(s));
        exact_free(s);
    }
}

/* Where a walk byte by byte over string content must stop: at a quote, a control character, or a
 * backslash that begins no short escape; len when the text ends first. */
static size_t plain_content(struct span s, bool *out_escapes)
{
    size_t i = 0;
    while (i < s.len && s.at[i] != '"' && (unsigned char)s.at[i] >= 0x20) {
        if (s.at[i] != '\\') {
            i++;
            continue;
        }
        *out_escapes = true;
        if (i + 1 == s.len || s.at[i + 1] == 0 || !strchr("\"\\/bfnrt", s.at[i + 1]))
            break;
        i += 2;
    }
    return i;
}

/* An engine may stop earlier, but only for want of a whole block, and never within an escape: what
 * is left must read the same from there. */
static void content_is_skipped_up_to_its_end_and_no_further(void **state)
{
    (void)state;
    static const char letters[] = "aaaaaaa\\\\\\\\\\n\"u/\1";
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 100000; round++) {
        char bytes[200];
        size_t len = random_below(&seed, sizeof bytes), kinds = 8 + random_below(&seed, 9);
        for (size_t i = 0; i < len; i++)
            bytes[i] = letters[random_below(&seed, kinds)];
        struct span s = exact_copy((struct span){bytes, len});
        bool escapes = false;
        size_t end = plain_content(s, &escapes);
        for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
            if (!engines[i]->supported() || !engines[i]->content)
                continue;
            bool told = false, rest_escapes = false;
            size_t stop = engines[i]->content(s.at, s.len, &told);
            assert_true(stop == end || (stop < end && s.len - stop <= 32));
            assert_int_equal(stop + plain_content(span_drop(s, stop), &rest_escapes), end);
            assert_int_equal(told || rest_escapes, escapes);
        }
        exact_free(s);
    }
}

static void an_engine_is_chosen_and_can_be_forced(void **state)
{
    (void)state;
    const char *usual = json_engine();
    assert_int_equal(json_force("portable"), ERR_OK);
    assert_string_equal(json_engine(), "portable");
    assert_int_equal(json_force("mmx"), ERR_UNSUPPORTED);
    assert_string_equal(json_engine(), "portable");
    assert_int_equal(json_force(usual), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_is_found_at_each_place),
        cmocka_unit_test(every_utf8_rule_holds_across_blocks),
        cmocka_unit_test(random_text_is_judged_alike),
        cmocka_unit_test(content_is_skipped_up_to_its_end_and_no_further),
        cmocka_unit_test(an_engine_is_chosen_and_can_be_forced),
    };
    return cmocka_run_group_tests_name("json_engines", tests, NULL, NULL);
}
