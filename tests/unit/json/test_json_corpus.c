/* The published JSONTestSuite files (HOTSPARE_CORPUS), and mutations of them: what is accepted,
 * what is refused, and that every instruction set agrees. */
#include "json_support.h"

#include <dirent.h>
#include <stdlib.h>

/* What the suite leaves to the implementation (i_ files), decided:
 *  - numbers stay text, so no number is too large for us;
 *  - escapes of lone surrogates are accepted and kept raw, in names too;
 *  - bytes that are not UTF-8 are refused, and so are UTF-16 and a byte order mark;
 *  - nesting stops at 128. */
static const struct {
    const char *file;
    enum err verdict;
} implementation_defined[] = {
    {"i_number_double_huge_neg_exp.json", ERR_OK},
    {"i_number_huge_exp.json", ERR_OK},
    {"i_number_neg_int_huge_exp.json", ERR_OK},
    {"i_number_pos_double_huge_exp.json", ERR_OK},
    {"i_number_real_neg_overflow.json", ERR_OK},
    {"i_number_real_pos_overflow.json", ERR_OK},
    {"i_number_real_underflow.json", ERR_OK},
    {"i_number_too_big_neg_int.json", ERR_OK},
    {"i_number_too_big_pos_int.json", ERR_OK},
    {"i_number_very_big_negative_int.json", ERR_OK},
    {"i_object_key_lone_2nd_surrogate.json", ERR_OK},
    {"i_string_1st_surrogate_but_2nd_missing.json", ERR_OK},
    {"i_string_1st_valid_surrogate_2nd_invalid.json", ERR_OK},
    {"i_string_incomplete_surrogate_and_escape_valid.json", ERR_OK},
    {"i_string_incomplete_surrogate_pair.json", ERR_OK},
    {"i_string_incomplete_surrogates_escape_valid.json", ERR_OK},
    {"i_string_invalid_lonely_surrogate.json", ERR_OK},
    {"i_string_invalid_surrogate.json", ERR_OK},
    {"i_string_inverted_surrogates_U+1D11E.json", ERR_OK},
    {"i_string_lone_second_surrogate.json", ERR_OK},
    {"i_string_UTF-16LE_with_BOM.json", ERR_SYNTAX},
    {"i_string_UTF-8_invalid_sequence.json", ERR_SYNTAX},
    {"i_string_UTF8_surrogate_U+D800.json", ERR_SYNTAX},
    {"i_string_invalid_utf-8.json", ERR_SYNTAX},
    {"i_string_iso_latin_1.json", ERR_SYNTAX},
    {"i_string_lone_utf8_continuation_byte.json", ERR_SYNTAX},
    {"i_string_not_in_unicode_range.json", ERR_SYNTAX},
    {"i_string_overlong_sequence_2_bytes.json", ERR_SYNTAX},
    {"i_string_overlong_sequence_6_bytes.json", ERR_SYNTAX},
    {"i_string_overlong_sequence_6_bytes_null.json", ERR_SYNTAX},
    {"i_string_truncated-utf-8.json", ERR_SYNTAX},
    {"i_string_utf16BE_no_BOM.json", ERR_SYNTAX},
    {"i_string_utf16LE_no_BOM.json", ERR_SYNTAX},
    {"i_structure_500_nested_arrays.json", ERR_LIMIT},
    {"i_structure_UTF-8_BOM_empty_object.json", ERR_SYNTAX},
};

/* y_ files which we refuse although RFC 8259 takes them: names in one object should be unique, and
 * two readers that differ over which one counts are a way in (reliability.md 3.5). */
static const char *const refused_on_purpose[] = {
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
};

#define FILES_MAX 512
struct corpus_file {
    char name[256];
    struct span text;
};
static struct corpus_file files[FILES_MAX];
static size_t file_count;

static struct span read_whole(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    static char bytes[300000];
    size_t len = fread(bytes, 1, sizeof bytes, f);
    assert_true(len < sizeof bytes);
    (void)fclose(f);
    return exact_copy((struct span){bytes, len});
}

static int load_corpus(void **state)
{
    (void)state;
    const char *root = getenv("HOTSPARE_CORPUS");
    char path[1024];
    if (!root)
        return 0;
    (void)snprintf(path, sizeof path, "%s/corpus-json/test_parsing", root);
    DIR *dir = opendir(path);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (!span_ends(span_from(e->d_name), SPAN(".json")))
            continue;
        assert(file_count < FILES_MAX);
        struct corpus_file *file = &files[file_count++];
        (void)snprintf(path, sizeof path, "%s/corpus-json/test_parsing/%s", root, e->d_name);
        (void)snprintf(file->name, sizeof file->name, "%s", e->d_name);
        file->text = read_whole(path);
    }
    if (dir)
        (void)closedir(dir);
    return 0;
}

static int free_corpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++)
        exact_free(files[i].text);
    return 0;
}

static void need_corpus(void)
{
    if (file_count > 0)
        return;
    print_message("HOTSPARE_CORPUS is not set or holds no corpus-json: skipped\n");
    skip();
}

static enum err verdict_on(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(refused_on_purpose); i++)
        if (span_is(span_from(name), refused_on_purpose[i]))
            return ERR_SYNTAX;
    for (size_t i = 0; i < ARRAY_LEN(implementation_defined); i++)
        if (span_is(span_from(name), implementation_defined[i].file))
            return implementation_defined[i].verdict;
    assert_true(name[0] == 'y' || name[0] == 'n'); /* an i_ file we have not decided about */
    return name[0] == 'y' ? ERR_OK : ERR_SYNTAX;
}

static void every_file_of_the_suite_gets_its_verdict(void **state)
{
    (void)state;
    need_corpus();
    for (size_t i = 0; i < file_count; i++) {
        enum err got = parse_all_engines(files[i].text), want = verdict_on(files[i].name);
        bool right = got == want || (files[i].name[0] == 'n' && got == ERR_LIMIT);
        if (!right)
            fail_msg("%s: %s, not %s", files[i].name, err_name(got), err_name(want));
    }
    assert_true(file_count > 100);
}

/* Overwrites, drops or doubles some bytes. */
static size_t mutate(char *at, size_t len, size_t cap, uint64_t *seed)
{
    static const char spice[] = "\"\\{}[],:0-eu \x7f\x80\xbf\xc2\xe0\xed\xf0\xf4\xff\n";
    for (size_t n = 1 + random_below(seed, 3); n > 0 && len > 0; n--) {
        size_t i = random_below(seed, len);
        switch (random_below(seed, 3)) {
        case 0:
            at[i] = spice[random_below(seed, sizeof spice - 1)];
            break;
        case 1:
            memmove(at + i, at + i + 1, len - i - 1);
            len--;
            break;
        default:
            if (len == cap)
                break;
            memmove(at + i + 1, at + i, len - i);
            len++;
        }
    }
    return len;
}

static void mutated_files_mean_the_same_to_every_engine(void **state)
{
    (void)state;
    need_corpus();
    uint64_t seed = 0x9E3779B97F4A7C15u;
    static char text[4096];
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < file_count; i++) {
            if (files[i].text.len == 0 || files[i].text.len > 2000)
                continue;
            /* Blanks in front shift the file against the blocks of the engines. */
            size_t shift = random_below(&seed, 70);
            memset(text, ' ', shift);
            memcpy(text + shift, files[i].text.at, files[i].text.len);
            size_t len = mutate(text, shift + files[i].text.len, sizeof text, &seed);
            (void)parse_all_engines((struct span){text, len});
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_the_suite_gets_its_verdict),
        cmocka_unit_test(mutated_files_mean_the_same_to_every_engine),
    };
    return cmocka_run_group_tests_name("json_corpus", tests, load_corpus, free_corpus);
}
