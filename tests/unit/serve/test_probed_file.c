/* The file of what probes found out: written and read back, replaced by model, damaged in many
 * ways, full, and never half written. */
#include "base/span.h"
#include "serve/probed_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define HEAD "hotspare capabilities 1\n"
#define GOOD "t\tm\thttp://h\t1000\timages=no,stop=yes\t2500\t12.500\n"
#define DAY ((usec)86400 * USEC_PER_SEC)
#define NOW (20000 * DAY)

static char folder[64], file[96], fresh[96];
static struct arena arena;
static struct probed *all;

static int begin(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/hotspare-probed-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(file, sizeof file, "%s/capabilities", folder);
    (void)snprintf(fresh, sizeof fresh, "%s/capabilities.new", folder);
    arena_init(&arena, (size_t)16 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_deinit(&arena);
    (void)unlink(file);
    (void)unlink(fresh);
    return rmdir(folder);
}

static void write_file(const void *bytes, size_t len)
{
    FILE *to = fopen(file, "w");
    assert_non_null(to);
    assert_int_equal(fwrite(bytes, 1, len, to), len);
    assert_int_equal(fclose(to), 0);
}

static size_t load(void)
{
    return probed_file_load(folder, &arena, &all);
}

static size_t load_text(const char *text)
{
    write_file(text, strlen(text));
    return load();
}

static struct probed one(const char *target, const char *model, usec at)
{
    struct probed p = {.at = at,
                       .known = BIT(PROBED_IMAGES) | BIT(PROBED_STOP),
                       .can = BIT(PROBED_STOP),
                       .first_us = -1};
    (void)snprintf(p.target, sizeof p.target, "%s", target);
    (void)snprintf(p.model, sizeof p.model, "%s", model);
    (void)snprintf(p.url, sizeof p.url, "http://h:1/v1");
    return p;
}

static void none_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(load(), 0);
    assert_null(all);
    assert_int_equal(probed_file_load(NULL, &arena, &all), 0);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct probed p = one("vllm", "org/Model-7B", NOW);
    p.first_us = 123456;
    p.rate = 71.25;
    assert_true(probed_file_add(folder, &p, 1));
    assert_int_equal(load(), 1);
    assert_string_equal(all->target, p.target);
    assert_string_equal(all->model, p.model);
    assert_string_equal(all->url, p.url);
    assert_int_equal(all->at, NOW);
    assert_int_equal(all->known, p.known);
    assert_int_equal(all->can, p.can);
    assert_int_equal(all->first_us, 123456);
    assert_true(all->rate > 71.24 && all->rate < 71.26);
}

static void a_new_word_replaces_the_old_one_of_the_same_model_only(void **state)
{
    (void)state;
    struct probed first[] = {one("a", "m", NOW), one("a", "n", NOW), one("b", "m", NOW)};
    struct probed again = one("a", "m", NOW + DAY);
    again.known = BIT(PROBED_PDF);
    assert_true(probed_file_add(folder, first, 3));
    assert_true(probed_file_add(folder, &again, 1));
    assert_int_equal(load(), 3);
    assert_int_equal(all[0].known, BIT(PROBED_PDF));
    assert_int_equal(all[0].can, 0);
    assert_int_equal(all[1].at, NOW);
    assert_int_equal(all[2].at, NOW);
}

static void what_could_break_a_line_is_not_kept(void **state)
{
    (void)state;
    struct probed bad[] = {one("a\tb", "m", NOW), one("a", "m\nx", NOW), one("", "m", NOW),
                           one("a", "", NOW), one("good", "m", NOW)};
    assert_false(probed_file_add(folder, bad, ARRAY_LEN(bad)));
    assert_int_equal(load(), 1);
    assert_string_equal(all->target, "good");
}

/* Nothing of a line is taken unless all of it is what is written here. */
static void damaged_lines_are_left_out_and_the_others_stand(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\n",
        "t\tm\thttp://h\t1000\timages=no\t2500\n",
        "t\tm\thttp://h\t1000\timages=no\t2500\t1.0\tmore\n",
        "\tm\thttp://h\t1000\timages=no\t2500\t1.0\n",
        "t\tm\t\t1000\timages=no\t2500\t1.0\n",
        "t\tm\x01\thttp://h\t1000\timages=no\t2500\t1.0\n",
        "t\tm\thttp://h\t0\timages=no\t2500\t1.0\n",
        "t\tm\thttp://h\t-5\timages=no\t2500\t1.0\n",
        "t\tm\thttp://h\t99999999999999999999\timages=no\t2500\t1.0\n",
        "t\tm\thttp://h\t1000\timages=perhaps\t2500\t1.0\n",
        "t\tm\thttp://h\t1000\timages\t2500\t1.0\n",
        "t\tm\thttp://h\t1000\timages=no\t-2\t1.0\n",
        "t\tm\thttp://h\t1000\timages=no\t2500\t-1.0\n",
        "t\tm\thttp://h\t1000\timages=no\t2500\tfast\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[512];
        (void)snprintf(text, sizeof text, HEAD "%s" GOOD, bad[i]);
        size_t count = load_text(text);
        if (count != 1 || strcmp(all->model, "m") != 0 || all->at != 1000)
            fail_msg("%zu lines of: %s", count, text);
    }
    assert_int_equal(load_text(HEAD GOOD "t\thalf"), 1);
}

static void another_version_or_no_text_is_not_read(void **state)
{
    (void)state;
    static const unsigned char noise[4096] = {0, 0xFF, 7};
    assert_int_equal(load_text("hotspare capabilities 2\n" GOOD), 0);
    assert_int_equal(load_text(GOOD), 0);
    assert_int_equal(load_text(""), 0);
    write_file(noise, sizeof noise);
    assert_int_equal(load(), 0);
    struct probed p = one("t", "m", NOW); /* and the next probe mends it */
    assert_true(probed_file_add(folder, &p, 1));
    assert_int_equal(load(), 1);
}

/* A fact of a later version is none of ours; names at their limits; a line longer than any. */
static void what_is_unknown_or_too_long_costs_no_more_than_itself(void **state)
{
    (void)state;
    static char text[8192], name[PROBED_NAME_MAX + 2];
    assert_int_equal(load_text(HEAD "t\tm\thttp://h\t9\thearing=no,pdf=yes\t-1\t0\n"), 1);
    assert_int_equal(all->known, BIT(PROBED_PDF));
    memset(name, 'n', sizeof name - 1);
    (void)snprintf(text, sizeof text,
                   HEAD "%s\tm\thttp://h\t9\t\t-1\t0\n%s\tm\thttp://h\t9\t\t-1\t0\n", name,
                   name + 1);
    assert_int_equal(load_text(text), 1);
    assert_int_equal(strlen(all->target), PROBED_NAME_MAX);
    (void)snprintf(text, sizeof text, HEAD "%05000d\n" GOOD, 0);
    assert_int_equal(load_text(text), 1);
}

static void a_full_file_gives_up_the_oldest(void **state)
{
    (void)state;
    static struct probed many[PROBED_MAX];
    for (size_t i = 0; i < PROBED_MAX; i++) {
        char model[16];
        (void)snprintf(model, sizeof model, "m%zu", i);
        many[i] = one("t", model, NOW + (i == 7 ? -DAY : (usec)i));
    }
    struct probed newest = one("t", "newest", NOW + DAY);
    assert_true(probed_file_add(folder, many, PROBED_MAX));
    assert_true(probed_file_add(folder, &newest, 1));
    assert_int_equal(load(), PROBED_MAX);
    assert_null(probed_find(all, PROBED_MAX, "t", newest.url, "m7", NOW + DAY));
    assert_non_null(probed_find(all, PROBED_MAX, "t", newest.url, "m8", NOW + DAY));
    assert_non_null(probed_find(all, PROBED_MAX, "t", newest.url, "newest", NOW + DAY));
}

static void only_a_fresh_word_of_this_model_at_this_address_is_believed(void **state)
{
    (void)state;
    struct probed p[] = {one("t", "m", NOW), one("t", "m", NOW + DAY)};
    const char *url = p[0].url;
    assert_ptr_equal(probed_find(p, 2, "t", url, "m", NOW + 2 * DAY), &p[1]);
    assert_ptr_equal(probed_find(p, 2, "t", url, "m", NOW), &p[0]); /* the other is of tomorrow */
    assert_null(probed_find(p, 2, "t", url, "m", NOW + 31 * DAY));
    assert_null(probed_find(p, 2, "t", url, "n", NOW + 2 * DAY));
    assert_null(probed_find(p, 2, "u", url, "m", NOW + 2 * DAY));
    assert_null(probed_find(p, 2, "t", "http://h:2/v1", "m", NOW + 2 * DAY));
}

/* Only its owner reads it; it is written beside itself, and never through a link. */
static void it_is_written_whole_and_for_its_owner(void **state)
{
    (void)state;
    struct probed p = one("t", "m", NOW), q = one("t", "n", NOW);
    struct stat before, after;
    assert_true(probed_file_add(folder, &p, 1));
    assert_int_equal(stat(file, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0600);
    assert_int_equal(access(fresh, F_OK), -1);
    assert_int_equal(symlink("/dev/null", fresh), 0);
    (void)probed_file_add(folder, &q, 1); /* it cannot write: the old file stands */
    assert_int_equal(stat(file, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(load(), 1);
    assert_int_equal(unlink(fresh), 0);
    assert_true(probed_file_add(folder, &q, 1));
    assert_int_equal(stat(file, &after), 0);
    assert_int_not_equal(after.st_ino, before.st_ino);
    assert_int_equal(load(), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(none_is_nothing),
        TEST(what_is_written_is_read_back),
        TEST(a_new_word_replaces_the_old_one_of_the_same_model_only),
        TEST(what_could_break_a_line_is_not_kept),
        TEST(damaged_lines_are_left_out_and_the_others_stand),
        TEST(another_version_or_no_text_is_not_read),
        TEST(what_is_unknown_or_too_long_costs_no_more_than_itself),
        TEST(a_full_file_gives_up_the_oldest),
        TEST(only_a_fresh_word_of_this_model_at_this_address_is_believed),
        TEST(it_is_written_whole_and_for_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
