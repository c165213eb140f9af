/* The shapes of the planner's pictures: text is escaped and cut, scales keep their values inside,
 * numbers of an axis keep apart. */
#include "support/check.h"
#include "tools/svg.h"

#include <math.h>
#include <string.h>

#define TEXT_MAX 65536

static const char *text_of(struct buf *b)
{
    assert_int_equal(buf_add(b, (struct span){"", 1}), ERR_OK);
    return b->at;
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        n++;
    return n;
}

static void markup_is_escaped_and_what_no_document_may_hold_is_left_out(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, TEXT_MAX);
    svg_escaped(&b, "a<b>&\"c\x01\n\x7f\xff\xc3(\xe4\xb8\xad");
    assert_string_equal(text_of(&b), "a&lt;b&gt;&amp;&quot;c(\xe4\xb8\xad");
    buf_deinit(&b);
}

static void wide_characters_take_their_width(void **state)
{
    (void)state;
    double latin = svg_text_width("ab", 10),
           chinese = svg_text_width("\xe4\xb8\xad\xe6\x96\x87", 10);
    assert_true(latin > 8 && latin < 16);
    assert_true(fabs(chinese - 20) < 0.01);
    assert_true(svg_text_width("iii", 10) < svg_text_width("MMM", 10));
    assert_true(svg_text_width("\xff\x02", 10) == 0);
}

static void what_is_too_long_is_cut_between_characters_and_told_whole(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, TEXT_MAX);
    const char *name = "\xe4\xb8\xad\xe6\x96\x87\xe6\xa8\xa1\xe5\x9e\x8b";
    svg_text(&b, &(struct svg_text){.x = 1, .y = 2, .size = 10, .most = 35}, name);
    assert_string_equal(text_of(&b),
                        "<text x=\"1.0\" y=\"2.0\" font-size=\"10\">\xe4\xb8\xad\xe6\x96\x87"
                        "\xe2\x80\xa6<title>\xe4\xb8\xad\xe6\x96\x87\xe6\xa8\xa1\xe5\x9e\x8b"
                        "</title></text>\n");
    buf_deinit(&b);
    buf_init(&b, TEXT_MAX);
    svg_text(&b, &(struct svg_text){.size = 10, .most = 40}, name);
    assert_null(strstr(text_of(&b), "<title>"));
    buf_deinit(&b);
}

static void a_scale_keeps_every_value_inside(void **state)
{
    (void)state;
    struct svg_axis log = {1, 100, 50, 250, true}, linear = {0, 100, 0, 10, false};
    assert_true(fabs(svg_place(&log, 10) - 150) < 1e-9);
    assert_true(fabs(svg_place(&linear, 50) - 5) < 1e-9);
    assert_true(svg_place(&log, 1e9) == 250 && svg_place(&log, 0) == 50);
    assert_true(svg_place(&log, NAN) == 50);
    struct svg_axis none = {1, 1, 5, 9, true};
    assert_true(isfinite(svg_place(&none, 1)));
}

static void numbers_of_an_axis_keep_apart(void **state)
{
    (void)state;
    struct buf b;
    struct svg_axis wide = {1, 100, 0, 600, true}, narrow = {1e-4, 1e6, 0, 120, true};
    struct svg_axis linear = {0, 100, 0, 400, false};
    buf_init(&b, TEXT_MAX);
    svg_ticks(&b, &wide, 0, 10, "");
    assert_int_equal(count_of(text_of(&b), "<text"), 7); /* 1 2 5 10 20 50 100 */
    buf_deinit(&b);
    buf_init(&b, TEXT_MAX);
    svg_ticks(&b, &narrow, 0, 10, "");
    assert_true(count_of(text_of(&b), "<text") <= 4);
    buf_deinit(&b);
    buf_init(&b, TEXT_MAX);
    svg_ticks(&b, &linear, 0, 10, " %");
    assert_int_equal(count_of(text_of(&b), "<text"), 6); /* 0 20 40 60 80 100 */
    assert_non_null(strstr(b.at, ">80 %<"));
    buf_deinit(&b);
}

static void a_legend_names_each_colour_and_ends_behind_its_text(void **state)
{
    (void)state;
    struct buf b;
    static const struct svg_key keys[] = {{SVG_BLUE, "one"}, {SVG_RED, "t<o"}};
    buf_init(&b, TEXT_MAX);
    svg_open(&b, 100, 50, "a & b");
    double end = svg_legend(&b, 10, 20, keys, 2);
    svg_bar(&b, 1, 1, -5, 2, SVG_BLUE, "none");
    svg_close(&b);
    const char *text = text_of(&b);
    assert_true(end > 10 + 36 + svg_text_width("onet<o", SVG_FONT));
    assert_non_null(strstr(text, SVG_BLUE));
    assert_non_null(strstr(text, SVG_RED));
    assert_non_null(strstr(text, ">t&lt;o<"));
    assert_non_null(strstr(text, "<title>a &amp; b</title>"));
    assert_non_null(strstr(text, "prefers-color-scheme:dark"));
    assert_null(strstr(text, "width=\"-"));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup_is_escaped_and_what_no_document_may_hold_is_left_out),
        cmocka_unit_test(wide_characters_take_their_width),
        cmocka_unit_test(what_is_too_long_is_cut_between_characters_and_told_whole),
        cmocka_unit_test(a_scale_keeps_every_value_inside),
        cmocka_unit_test(numbers_of_an_axis_keep_apart),
        cmocka_unit_test(a_legend_names_each_colour_and_ends_behind_its_text),
    };
    return cmocka_run_group_tests_name("svg", tests, NULL, NULL);
}
