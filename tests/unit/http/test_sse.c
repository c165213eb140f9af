/* Server-sent events: the standard's rules as rows, the public cases of web-platform-tests from the
 * corpus at every split, exact raw bytes, and the writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "feed.h"
#include "json/json.h"

struct row {
    const char *rule; /* HTML Living Standard, section 9.2.6, unless it says otherwise */
    bool comments;
    struct span in;
    struct span out; /* in the form of feed.h */
};
#define ROW(rule, comments, in, out)                                                               \
    {                                                                                              \
        rule, comments, {in, sizeof(in) - 1},                                                      \
        {                                                                                          \
            out, sizeof(out) - 1                                                                   \
        }                                                                                          \
    }

static const struct row rows[] = {
    ROW("one line", false, "data: x\n\n", "{|x|}"),
    ROW("one blank is dropped, not two", false, "data:  x \n\n", "{| x |}"),
    ROW("no blank", false, "data:x\n\n", "{|x|}"),
    ROW("a name", false, "event: delta\ndata: x\n\n", "{delta|x|}"),
    ROW("the name may come last, and the last one counts", false,
        "data: x\nevent: a\nevent: b\n\ndata: y\n\n", "{b|x|}{|y|}"),
    ROW("several data lines", false, "data: x\ndata\ndata: y\n\n", "{|x\n\ny|}"),
    ROW("an empty data line is data", false, "data\n\ndata:\n\n", "{||}{||}"),
    ROW("an empty last data line counts", false, "data: x\ndata:\n\n", "{|x\n|}"),
    ROW("a name without data is no event, and is forgotten", false, "event: a\n\ndata: x\n\n",
        "{|x|}"),
    ROW("ids last", false, "id: 7\ndata: x\n\ndata: y\n\nid\ndata: z\n\n", "{|x|7}{|y|7}{|z|}"),
    ROW("an id with a NUL is ignored", false, "id: 7\nid: 8\0\ndata: x\n\n", "{|x|7}"),
    ROW("an id without data counts", false, "id: 7\n\ndata: x\n\n", "{|x|7}"),
    ROW("unknown fields and retry", false, "retry: 5\nfoo: bar\nfoo\n data: y\ndata: x\n\n",
        "{|x|}"),
    ROW("names are case-sensitive", false, "Data: x\ndata: y\n\n", "{|y|}"),
    ROW("CR", false, "event: a\rdata: x\r\rdata: y\r\r", "{a|x|}{|y|}"),
    ROW("CRLF", false, "event: a\r\ndata: x\r\n\r\ndata: y\r\n\r\n", "{a|x|}{|y|}"),
    ROW("all line ends mixed", false, "data: x\r\ndata: y\rdata: z\n\r\ndata: w\r\n\ndata:v\n\r",
        "{|x\ny\nz|}{|w|}{|v|}"),
    ROW("LF CR is two ends", false, "data: x\n\rdata: y\r\n\n", "{|x|}{|y|}"),
    ROW("a BOM in front", false,
        "\xef\xbb\xbf"
        "data: x\n\n\xef\xbb\xbf"
        "data: y\n\n",
        "{|x|}"),
    ROW("a BOM in front of an empty line", false, "\xef\xbb\xbf\ndata: x\n\n", "{|x|}"),
    ROW("comments are dropped", false, ": ping\n\ndata: x\n:c\ndata: y\n\n:\n\n", "{|x\ny|}"),
    ROW("comments are told when asked for", true, ": ping\n\ndata: x\n\n:\n:two\n",
        "{:|ping|}{|x|}{:||}{:|two|}"),
    ROW("... also inside an event", true, "event: e\ndata: x\n:c\ndata: y\n: d\n\ndata: z\n\n",
        "{:|c|}{:|d|}{e|x\ny|}{|z|}"),
    ROW("... which then may have lost nothing", true, "data: x\n:c\n\n:c\n\n", "{:|c|}{|x|}{:|c|}"),
    ROW("... behind a BOM", true, "\xef\xbb\xbf: c\ndata: x\n\n", "{:|c|}{|x|}"),
    ROW("an event not closed is none", false, "data: x\n\ndata: y\n", "{|x|}<CUT>"),
    ROW("nor is half a line", false, "data: x\n\nda", "{|x|}<CUT>"),
    ROW("nor is a name", false, "event: a\n", "<CUT>"),
    ROW("blank lines at the end are nothing", false, "data: x\n\n\n\n\n", "{|x|}"),
    ROW("bytes are not looked into", false, "data: \xff\xfe\0\x01\n\n", "{|\xff\xfe\0\x01|}"),
    ROW("an empty stream", false, "", ""),
};

static void expect(const struct row *r, struct cuts cuts)
{
    struct buf events, raws;
    buf_init(&events, 1 << 20);
    buf_init(&raws, 1 << 20);
    feed_sse(1 << 16, r->comments, r->in, cuts, &events, &raws);
    if (!span_eq(buf_span(&events), r->out))
        fail_msg("%s (cut %d at %zu)\n want %.*s\n got  %.*s", r->rule, (int)cuts.how, cuts.at,
                 SPAN_FMT(r->out), SPAN_FMT(buf_span(&events)));
    if (!span_eq(buf_span(&raws), r->in))
        fail_msg("%s (cut %d at %zu): the raws are not the stream: %.*s", r->rule, (int)cuts.how,
                 cuts.at, SPAN_FMT(buf_span(&raws)));
    buf_deinit(&events);
    buf_deinit(&raws);
}

static void expect_at_every_cut(const struct row *r)
{
    expect(r, (struct cuts){.how = CUT_NOWHERE});
    expect(r, (struct cuts){.how = CUT_BYTES});
    for (size_t at = 1; at < r->in.len; at++)
        expect(r, (struct cuts){.how = CUT_ONCE, .at = at});
    for (uint64_t seed = 1; seed <= 50; seed++)
        expect(r, (struct cuts){.how = CUT_RANDOM, .seed = seed});
}

static void events_follow_the_standard_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_at_every_cut(&rows[i]);
}

/* ---- the public cases ---- */

static struct span read_file(struct arena *a, const char *dir, const char *name)
{
    char path[4096];
    struct buf b;
    char part[4096];
    size_t n;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(&b, 1 << 24);
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        assert_int_equal(buf_add(&b, (struct span){part, n}), ERR_OK);
    fclose(f);
    struct span s = arena_copy(a, buf_span(&b));
    buf_deinit(&b);
    return s;
}

static uint32_t base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(digits, c);
    assert_true(c && at);
    return (uint32_t)(at - digits);
}

static struct span base64_decode(struct arena *a, struct span s)
{
    char *out = arena_alloc(a, s.len + 1);
    size_t n = 0;
    uint32_t bits = 0, held = 0;
    while (s.len && s.at[s.len - 1] == '=')
        s.len--;
    for (size_t i = 0; i < s.len; i++) {
        bits = (bits << 6) | base64_digit(s.at[i]);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (char)(bits >> held & 0xff);
        }
    }
    return (struct span){out, n};
}

/* The case's events in the form of feed.h; "message" is the standard's name for no name. */
static struct span wanted(struct arena *a, struct json events)
{
    struct buf all;
    buf_init(&all, 1 << 20);
    for (struct json e = json_first(events); json_present(e); e = json_next(events, e)) {
        struct json type = json_get(e, "type");
        say_span(&all, "{", json_str_is(type, "message") ? SPAN("") : json_str_decode(type, a));
        say_span(&all, "|", json_str_decode(json_get(e, "data"), a));
        say_span(&all, "|", json_str_decode(json_get(e, "last_event_id"), a));
        say(&all, "}");
    }
    struct span s = arena_copy(a, buf_span(&all));
    buf_deinit(&all);
    return s;
}

/* Some streams end inside an event, on purpose; the cases do not list that. */
static struct span with_cut(struct arena *a, const struct row *r)
{
    struct buf events, raws;
    buf_init(&events, 1 << 20);
    buf_init(&raws, 1 << 20);
    feed_sse(1 << 16, false, r->in, (struct cuts){.how = CUT_NOWHERE}, &events, &raws);
    bool cut = span_ends(buf_span(&events), SPAN("<CUT>"));
    buf_deinit(&events);
    buf_deinit(&raws);
    return cut ? arena_printf(a, "%.*s<CUT>", SPAN_FMT(r->out)) : r->out;
}

static void public_cases_hold_at_every_cut(void **state)
{
    (void)state;
    const char *dir = getenv("HOTSPARE_CORPUS");
    if (!dir) {
        print_message("skipped: HOTSPARE_CORPUS is not set\n");
        skip();
    }
    struct arena a;
    struct json_doc doc;
    arena_init(&a, 1 << 26);
    struct span text = read_file(&a, dir, "corpus-sse/wpt-eventsource-cases.json");
    assert_int_equal(json_parse(&a, text, &json_limits_default, &doc, NULL), ERR_OK);
    struct json cases = json_get(json_root(&doc), "cases");
    for (struct json c = json_first(cases); json_present(c); c = json_next(cases, c)) {
        struct row r = {.rule = arena_cstr(&a, json_str(json_get(c, "name")))};
        r.in = base64_decode(&a, json_str_decode(json_get(c, "input_base64"), &a));
        r.out = wanted(&a, json_get(c, "events"));
        r.out = with_cut(&a, &r);
        expect_at_every_cut(&r);
    }
    assert_true(json_len(cases) >= 23);
    arena_deinit(&a);
}

/* ---- memory and limits ---- */

static bool lies_in(struct span part, struct span whole)
{
    return part.at >= whole.at && part.at + part.len <= whole.at + whole.len;
}

static void an_event_that_arrives_whole_is_not_copied(void **state)
{
    (void)state;
    struct span in = SPAN("event: a\ndata: {\"x\":1}\n\ndata: y\n\n");
    struct sse s;
    struct sse_event e;
    size_t used;
    sse_init(&s, 4096, true);
    assert_int_equal(sse_next(&s, in, &used, &e), ERR_OK);
    assert_int_equal(used, 24);
    assert_true(lies_in(e.raw, in) && lies_in(e.data, in) && lies_in(e.name, in));
    assert_int_equal(s.raw.cap + s.data.cap + s.name.cap, 0);
    assert_false(sse_pending(&s));
    sse_deinit(&s);
}

/* What the reader says to `lines` data lines of `len` bytes each. */
static const char *verdict_on(size_t max, size_t lines, size_t len, struct cuts cuts)
{
    struct buf in, events, raws;
    buf_init(&in, 1 << 20);
    buf_init(&events, 1 << 20);
    buf_init(&raws, 1 << 20);
    for (size_t i = 0; i < lines; i++)
        assert_int_equal(buf_printf(&in, "data:%0*d\r\n", (int)len, 0), ERR_OK);
    say(&in, "\r\n");
    feed_sse(max, false, buf_span(&in), cuts, &events, &raws);
    bool limit = span_ends(buf_span(&events), SPAN("<LIMIT>"));
    bool whole = span_eq(buf_span(&raws), buf_span(&in));
    buf_deinit(&in);
    buf_deinit(&events);
    buf_deinit(&raws);
    return limit ? "limit" : whole ? "event" : "neither";
}

static void limits_are_exact_at_every_cut(void **state)
{
    (void)state;
    struct cuts ways[] = {{.how = CUT_NOWHERE}, {.how = CUT_BYTES}, {.how = CUT_RANDOM, .seed = 3}};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        assert_string_equal(verdict_on(100, 1, 95, ways[i]), "event"); /* a line of 100 */
        assert_string_equal(verdict_on(100, 1, 96, ways[i]), "limit");
        assert_string_equal(verdict_on(100, 10, 9, ways[i]), "event"); /* data of 99 */
        assert_string_equal(verdict_on(100, 11, 9, ways[i]), "limit");
    }
}

static void a_flood_of_nothing_is_bounded(void **state)
{
    (void)state;
    struct sse s;
    struct sse_event e;
    size_t used;
    enum err r = ERR_AGAIN;
    sse_init(&s, 1000, false);
    for (int i = 0; r == ERR_AGAIN && i < 100000; i++)
        r = sse_next(&s, SPAN(": x\n"), &used, &e);
    assert_int_equal(r, ERR_LIMIT);
    assert_int_equal(sse_next(&s, SPAN("data: x\n\n"), &used, &e), ERR_LIMIT);
    sse_deinit(&s);
    sse_init(&s, 1000, true); /* when they are told, comments can go on for ever */
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(sse_next(&s, SPAN(": x\n"), &used, &e), ERR_OK);
        assert_int_equal(used, 4);
    }
    sse_deinit(&s);
}

/* ---- the writer ---- */

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    static const char *const data[][2] = {
        {"x", "x"},
        {"", ""},
        {"a\nb", "a\nb"},
        {"a\rb\r\nc", "a\nb\nc"},
        {"\n", "\n"},
        {" lead", " lead"},
        {"data: x", "data: x"},
        {":c\n\nevent: no", ":c\n\nevent: no"},
        {"end\n", "end\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(data); i++) {
        struct buf out, events, raws;
        buf_init(&out, 4096);
        buf_init(&events, 4096);
        buf_init(&raws, 4096);
        assert_int_equal(sse_write(&out, i % 2 ? "n" : NULL, span_from(data[i][0])), ERR_OK);
        assert_int_equal(sse_write_comment(&out, "ping"), ERR_OK);
        feed_sse(4096, true, buf_span(&out), (struct cuts){.how = CUT_NOWHERE}, &events, &raws);
        char want[64];
        snprintf(want, sizeof(want), "{%s|%s|}{:|ping|}", i % 2 ? "n" : "", data[i][1]);
        assert_true(span_is(buf_span(&events), want));
        buf_deinit(&out);
        buf_deinit(&events);
        buf_deinit(&raws);
    }
}

static void nothing_can_forge_an_event(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 64);
    assert_int_equal(sse_write(&out, "a\ndata: x", SPAN("y")), ERR_INVALID);
    assert_int_equal(sse_write(&out, "a\r", SPAN("y")), ERR_INVALID);
    assert_int_equal(sse_write_comment(&out, "c\n\ndata: x"), ERR_INVALID);
    assert_int_equal(out.len, 0);
    assert_int_equal(sse_write(&out, "message_start", SPAN("{\"type\":\"x\"}")), ERR_OK);
    assert_true(span_is(buf_span(&out), "event: message_start\ndata: {\"type\":\"x\"}\n\n"));
    assert_int_equal(sse_write(&out, "message_start", SPAN("{\"type\":\"x\"}")), ERR_LIMIT);
    assert_int_equal(out.len, 41);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_follow_the_standard_at_every_cut),
        cmocka_unit_test(public_cases_hold_at_every_cut),
        cmocka_unit_test(an_event_that_arrives_whole_is_not_copied),
        cmocka_unit_test(limits_are_exact_at_every_cut),
        cmocka_unit_test(a_flood_of_nothing_is_bounded),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(nothing_can_forge_an_event),
    };
    return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
