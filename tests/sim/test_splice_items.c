/* Responses streams that break off where few recordings do: between an item and its first part,
 * between a part and its first piece, in items that are under way at once. What goes on behind them
 * must stand where the client stands: each item once, in its place, closed, and said again whole by
 * the last event. */
#include "splice_kit.h"

#include "base/mem.h"
#include "support/grammar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define REQUEST "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}"
#define PLACE(id, at, part) "\"item_id\":\"" id "\",\"output_index\":" at "," part ","
#define ITEM(at, json) "\"output_index\":" at ",\"item\":" json
#define RESPONSE(status, output)                                                                   \
    "\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7,\"model\":\"m\","    \
    "\"status\":\"" status "\",\"output\":[" output "],\"usage\":null}"
#define MESSAGE(id, content)                                                                       \
    "{\"id\":\"" id "\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"completed\","     \
    "\"content\":[" content "]}"
#define REASONING(summary) "{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[" summary "]}"
#define TEXT(text) "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[]}"
#define SUMMARY(text) "{\"type\":\"summary_text\",\"text\":\"" text "\"}"
#define LISTED(id, tools)                                                                          \
    "{\"id\":\"" id "\",\"type\":\"mcp_list_tools\",\"server_label\":\"s\",\"tools\":[" tools "]}"

#define ADDED "response.output_item.added"
#define DONE "response.output_item.done"
#define TEXT_PART(id, at, part, text)                                                              \
    {"response.content_part.added",                                                                \
     PLACE(id, at, "\"content_index\":" part) "\"part\":" TEXT("")},                               \
        {"response.output_text.delta",                                                             \
         PLACE(id, at, "\"content_index\":" part) "\"delta\":\"" text "\""},                       \
        {"response.output_text.done",                                                              \
         PLACE(id, at, "\"content_index\":" part) "\"text\":\"" text "\""},                        \
    {                                                                                              \
        "response.content_part.done",                                                              \
            PLACE(id, at, "\"content_index\":" part) "\"part\":" TEXT(text)                        \
    }
#define SUMMARY_PART(at, part, text)                                                               \
    {"response.reasoning_summary_part.added",                                                      \
     PLACE("rs_1", at, "\"summary_index\":" part) "\"part\":" SUMMARY("")},                        \
        {"response.reasoning_summary_text.delta",                                                  \
         PLACE("rs_1", at, "\"summary_index\":" part) "\"delta\":\"" text "\""},                   \
        {"response.reasoning_summary_text.done",                                                   \
         PLACE("rs_1", at, "\"summary_index\":" part) "\"text\":\"" text "\""},                    \
    {                                                                                              \
        "response.reasoning_summary_part.done",                                                    \
            PLACE("rs_1", at, "\"summary_index\":" part) "\"part\":" SUMMARY(text)                 \
    }

struct made { /* one event; its number is its place */
    const char *type, *members;
};

/* Reasoning of two parts, a message without any, a message of two. */
#define LONG_OUTPUT                                                                                \
    REASONING(SUMMARY("I count.") "," SUMMARY("Then I stop."))                                     \
    "," MESSAGE("msg_1", "") "," MESSAGE("msg_2", TEXT("One, two, three") "," TEXT(" and four."))
static const struct made in_parts[] = {
    {"response.created", RESPONSE("in_progress", "")},
    {ADDED, ITEM("0", REASONING(""))},
    SUMMARY_PART("0", "0", "I count."),
    SUMMARY_PART("0", "1", "Then I stop."),
    {DONE, ITEM("0", REASONING(SUMMARY("I count.") "," SUMMARY("Then I stop.")))},
    {ADDED, ITEM("1", MESSAGE("msg_1", ""))},
    {DONE, ITEM("1", MESSAGE("msg_1", ""))},
    {ADDED, ITEM("2", MESSAGE("msg_2", ""))},
    TEXT_PART("msg_2", "2", "0", "One, two, three"),
    TEXT_PART("msg_2", "2", "1", " and four."),
    {DONE, ITEM("2", MESSAGE("msg_2", TEXT("One, two, three") "," TEXT(" and four.")))},
    {"response.completed", RESPONSE("completed", LONG_OUTPUT)},
};

#define LIST_0 LISTED("mcpl_0", "{\"name\":\"a\"}")
#define LIST_1 LISTED("mcpl_1", "{\"name\":\"b\"},{\"name\":\"c\"}")
#define LIST_2 LISTED("mcpl_2", "{\"name\":\"d\"}")
#define ANSWER MESSAGE("msg_3", TEXT("One, two, three and four."))
/* Three lists under way at once; the second is done first, the last one never. */
static const struct made at_once[] = {
    {"response.created", RESPONSE("in_progress", "")},
    {ADDED, ITEM("0", LISTED("mcpl_0", ""))},
    {ADDED, ITEM("1", LISTED("mcpl_1", ""))},
    {"response.mcp_list_tools.in_progress", "\"item_id\":\"mcpl_0\",\"output_index\":0"},
    {ADDED, ITEM("2", LISTED("mcpl_2", ""))},
    {"response.mcp_list_tools.completed", "\"item_id\":\"mcpl_1\",\"output_index\":1"},
    {DONE, ITEM("1", LIST_1)},
    {DONE, ITEM("0", LIST_0)},
    {ADDED, ITEM("3", MESSAGE("msg_3", ""))},
    TEXT_PART("msg_3", "3", "0", "One, two, three and four."),
    {DONE, ITEM("3", ANSWER)},
    {"response.completed", RESPONSE("completed", LIST_0 "," LIST_1 "," LIST_2 "," ANSWER)},
};

static struct world *world_new(const struct made *events, size_t count)
{
    struct world *w = mem_new(struct world);
    struct buf b;
    build(w);
    w->lead_speaks = w->door = &dialect_openai_responses;
    buf_init(&b, (size_t)1 << 20);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_printf(&b,
                                    "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%zu,"
                                    "%s}\n\n",
                                    events[i].type, events[i].type, i, events[i].members),
                         ERR_OK);
    w->recorded = arena_copy(&w->arena, buf_span(&b));
    buf_deinit(&b);
    assert_true(answer_of_responses(&w->arena, w->recorded, true, &w->whole));
    return w;
}

static void world_free(struct world *w)
{
    tear_down(w);
    mem_free(w);
}

/* The items of the last event. */
static struct json last_output(struct world *w, struct json_doc *doc)
{
    struct span stream = buf_span(&w->got);
    ssize_t at = span_search(stream, SPAN("event: response.completed\ndata: "));
    if (at < 0)
        return JSON_ABSENT;
    struct span data = span_drop(stream, (size_t)at + 32);
    assert_int_equal(json_parse(&w->turn, span_trim(data), NULL, doc, NULL), ERR_OK);
    return json_path(json_root(doc), "response.output");
}

/* Each item that was announced, once and in its order, and no other. */
static const char *announced_differ(struct world *w, struct json output)
{
    static const struct span mark = SPAN_INIT("event: " ADDED "\ndata: ");
    struct span rest = buf_span(&w->got);
    uint32_t n = 0;
    for (ssize_t at; (at = span_search(rest, mark)) >= 0; n++) {
        struct json_doc doc;
        rest = span_drop(rest, (size_t)at + mark.len);
        ssize_t end = span_search(rest, SPAN("\n\n"));
        assert_true(end > 0);
        assert_int_equal(json_parse(&w->turn, span_take(rest, (size_t)end), NULL, &doc, NULL),
                         ERR_OK);
        struct json id = json_path(json_root(&doc), "item.id"), said = json_at(output, n);
        int64_t index = -1;
        if (json_i64(json_get(json_root(&doc), "output_index"), &index) != ERR_OK || index != n)
            return "an item out of its place";
        if (!span_eq(json_str(id), json_str(json_get(said, "id"))))
            return "the last event tells of other items";
    }
    return n == json_len(output) ? NULL : "the last event tells of more or fewer items";
}

static const char *judge(struct world *w, bool overlaps)
{
    struct json_doc doc;
    struct answer got;
    enum grammar_end end = GRAMMAR_COMPLETE;
    char why[GRAMMAR_WHY_MAX] = "";
    if (w->ends != 1 || w->status != 200 || w->spare_misled)
        return "no stream";
    if (!overlaps)
        responses_grammar_check(buf_span(&w->got), false, &end, why);
    if (why[0])
        return arena_cstr(&w->turn, span_from(why));
    struct json output = last_output(w, &doc);
    if (end != GRAMMAR_COMPLETE || !json_present(output))
        return "no end";
    if (!answer_of_responses(&w->turn, buf_span(&w->got), true, &got) ||
        !span_eq(got.text, w->whole.text))
        return "another text";
    return announced_differ(w, output);
}

static void cut_behind(struct world *w, size_t at, enum cut cut, unsigned turn)
{
    w->cut_at = at;
    w->cut = cut;
    w->style = EXACT;
    choose_spare(w, turn);
    ask(w, SPAN(REQUEST));
}

static void tell(const struct world *w, const char *wrong)
{
    (void)fprintf(stderr, "# cut at byte %zu (kind %d): %s\n%.*s\n", w->cut_at, (int)w->cut, wrong,
                  SPAN_FMT(buf_span(&w->got)));
}

static void an_item_is_told_once_wherever_its_stream_breaks(void **state)
{
    (void)state;
    struct world *w = world_new(in_parts, ARRAY_LEN(in_parts));
    size_t wrongs = 0, spliced = 0;
    unsigned turn = 0;
    for (size_t at = 1; at < w->recorded.len; at++) {
        bool boundary = span_ends(span_take(w->recorded, at), SPAN("\n\n"));
        for (int cut = 0; cut < (boundary ? (int)CUTS : at % 7 == 0); cut++) {
            cut_behind(w, at, (enum cut)cut, turn++);
            spliced += w->report.splices.count > 0;
            const char *wrong = judge(w, false);
            if (wrong && wrongs++ < 4)
                tell(w, wrong);
        }
    }
    assert_int_equal(wrongs, 0);
    assert_true(spliced > 4 * (ARRAY_LEN(in_parts) - 3));
    world_free(w);
}

static bool item_is(struct world *w, struct json output, uint32_t at, const char *want)
{
    return json_text_same(&w->turn, json_raw(json_at(output, at)), span_from(want));
}

/* Cut in the message behind them: what was done is said as it was done, the rest as it began. */
static void items_under_way_at_once_keep_their_json(void **state)
{
    (void)state;
    struct world *w = world_new(at_once, ARRAY_LEN(at_once));
    ssize_t from = span_search(w->recorded, SPAN("event: response.output_text.delta"));
    size_t cuts = 0;
    assert_true(from > 0);
    for (size_t at = (size_t)from + 1; at < w->recorded.len; at++) {
        if (!span_ends(span_take(w->recorded, at), SPAN("\n\n")))
            continue;
        for (int cut = 0; cut < (int)CUTS; cut++) {
            struct json_doc doc;
            cut_behind(w, at, (enum cut)cut, (unsigned)cuts);
            if (w->report.splices.count == 0)
                continue; /* nothing was given yet: another answer from its beginning */
            cuts++;
            const char *wrong = judge(w, true);
            struct json output = last_output(w, &doc);
            if (!wrong && (!item_is(w, output, 0, LIST_0) || !item_is(w, output, 1, LIST_1) ||
                           !item_is(w, output, 2, LISTED("mcpl_2", ""))))
                wrong = "an item's JSON is lost";
            if (wrong)
                tell(w, wrong);
            assert_null(wrong);
        }
    }
    assert_true(cuts >= 12);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_is_told_once_wherever_its_stream_breaks),
        cmocka_unit_test(items_under_way_at_once_keep_their_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
