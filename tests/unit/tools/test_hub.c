/* What a model hub says: names, sizes, sums and repetitions that are not believed, and the choice.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/span.h"
#include "tools/pull/hub.h"

#define COMMIT "c0ffee0000000000000000000000000000000000"

static enum err read_list(struct arena *a, const char *siblings, struct hub_model *m,
                          const char **why)
{
    struct span text = arena_printf(
        a,
        "{\"sha\":\"" COMMIT "\",\"cardData\":{\"license\":\"mit\\u001b[2J\"},\"siblings\":[%s]}",
        siblings);
    return hub_read(a, text, m, why);
}

static void hub_names_that_leave_their_folder_are_refused(void **state)
{
    static const char *const bad[] = {
        "",      ".",    "..",   "../x",  "/etc/x", "a//b", "a/",     "a/../b",
        "a/./b", "a\\b", "a\nb", "a\x7f", "\x1b",   "./a",  "a/b/..", "1/2/3/4/5/6/7/8/9"};
    static const char *const good[] = {
        "a", "a/b.gguf", "..a", "a..", ".hidden", "\xc3\xa4.gguf", "1/2/3/4/5/6/7/8"};
    char part[300];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(hub_name_safe(span_from(bad[i])));
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(hub_name_safe(span_from(good[i])));
    assert_false(hub_name_safe((struct span){"a\0b", 3}));
    memset(part, 'x', sizeof part);
    assert_true(hub_name_safe((struct span){part, 255}));
    assert_false(hub_name_safe((struct span){part, 256}));
}

static void hub_a_reference_is_two_names_and_perhaps_a_level(void **state)
{
    static const char *const bad[] = {"",        "a",       "a/",      "/a",   "a/b/c",
                                      "a/b:",    "a/b:c/d", "../x",    "-a/b", "a/..b",
                                      "a/b\x1b", "a b/c",   "a/b?x=1", ":q"};
    struct hub_ref ref;
    const char *why = NULL;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_not_equal(hub_ref_read(span_from(bad[i]), &ref, &why), ERR_OK);
    assert_int_not_equal(hub_ref_read((struct span){"a\0/b", 4}, &ref, &why), ERR_OK);
    assert_false(hub_revision_valid((struct span){"ma\0in", 5}));
    assert_int_equal(hub_ref_read(SPAN("org/name.v1:Q4_K_M"), &ref, &why), ERR_OK);
    assert_true(span_is(ref.id, "org/name.v1") && span_is(ref.quant, "Q4_K_M"));
}

static void hub_hostile_lists_are_refused_whole_with_a_sentence(void **state)
{
    static const struct {
        const char *siblings, *why;
    } lists[] = {
        {"{\"rfilename\":\"../x\",\"size\":1}", "leave its folder"},
        {"{\"rfilename\":\"a\\u0000b\",\"size\":1}", "leave its folder"},
        {"{\"rfilename\":7,\"size\":1}", "leave its folder"},
        {"{\"rfilename\":\"\\u001b[2Jx\",\"size\":1}", "?[2Jx"},
        {"{\"rfilename\":\"a\",\"size\":-1}", "no size of a"},
        {"{\"rfilename\":\"a\",\"size\":1.5}", "no size of a"},
        {"{\"rfilename\":\"a\",\"size\":\"1\"}", "no size of a"},
        {"{\"rfilename\":\"a\"}", "no size of a"},
        {"{\"rfilename\":\"a\",\"size\":1125899906842625}", "no size of a"},
        {"{\"rfilename\":\"a\",\"size\":99999999999999999999}", "no size of a"},
        {"{\"rfilename\":\"a\",\"size\":1,\"blobId\":\"zz\"}", "checksum of a"},
        {"{\"rfilename\":\"a\",\"size\":1,\"lfs\":{\"sha256\":\"" COMMIT "\"}}", "checksum of a"},
        {"{\"rfilename\":\"a\",\"size\":1},{\"rfilename\":\"b\",\"size\":1},"
         "{\"rfilename\":\"a\",\"size\":2}",
         "lists a twice"},
        {"7", "leave its folder"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct arena a;
        struct hub_model m;
        const char *why = NULL;
        arena_init(&a, SIZE_MAX);
        assert_int_equal(read_list(&a, lists[i].siblings, &m, &why), ERR_INVALID);
        assert_non_null(strstr(why, lists[i].why));
        assert_null(strchr(why, 0x1b));
        arena_deinit(&a);
    }
}

static void hub_words_of_its_card_move_no_cursor(void **state)
{
    struct arena a;
    struct hub_model m;
    const char *why = NULL;
    (void)state;
    arena_init(&a, SIZE_MAX);
    assert_int_equal(read_list(&a, "{\"rfilename\":\"a\",\"size\":1125899906842624}", &m, &why),
                     ERR_OK);
    assert_string_equal(m.licence, "mit?[2J");
    assert_int_equal(m.files[0].size, 1LL << 50);
    assert_null(m.files[0].sum);
    arena_deinit(&a);
}

static void hub_what_a_pull_writes_itself_is_never_taken(void **state)
{
    struct arena a;
    struct hub_model m;
    const char *why = NULL, *name = HUB_MANIFEST;
    struct hub_choice *c;
    (void)state;
    arena_init(&a, SIZE_MAX);
    c = arena_new(&a, struct hub_choice);
    assert_int_equal(read_list(&a,
                               "{\"rfilename\":\"" HUB_MANIFEST "\",\"size\":1},"
                               "{\"rfilename\":\"config.json\",\"size\":2},"
                               "{\"rfilename\":\"model.safetensors\",\"size\":3}",
                               &m, &why),
                     ERR_OK);
    assert_int_equal(hub_choose(&a, &m, &(struct hub_wish){.name_count = 0}, c, &why), ERR_OK);
    assert_int_equal(c->count, 2);
    assert_int_equal(c->bytes, 5);
    assert_int_equal(
        hub_choose(&a, &m, &(struct hub_wish){.names = &name, .name_count = 1}, c, &why),
        ERR_INVALID);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hub_names_that_leave_their_folder_are_refused),
        cmocka_unit_test(hub_a_reference_is_two_names_and_perhaps_a_level),
        cmocka_unit_test(hub_hostile_lists_are_refused_whole_with_a_sentence),
        cmocka_unit_test(hub_words_of_its_card_move_no_cursor),
        cmocka_unit_test(hub_what_a_pull_writes_itself_is_never_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
