/* The grammar of Responses streams (protocols.md 2.9, 7.4), checked as grammar.c checks the others.
 *
 * Everything is told several times there, so the checker gathers the pieces and compares them with
 * each repetition, the last object included. Events it does not know must be numbered only. */
#include "support/grammar.h"

#include "base/span.h"
#include "json/json.h"
#include "support/answer.h"
#include "support/feed.h"

#include <stdio.h>

#define GATHERED_MAX (16u << 20)

static bool broken(struct responses_grammar *g, const char *what, struct span about)
{
    (void)snprintf(g->why, GRAMMAR_WHY_MAX, "%s: %.*s", what, SPAN_FMT(span_take(about, 60)));
    return false;
}

void responses_grammar_init(struct responses_grammar *g)
{
    *g = (struct responses_grammar){.end = GRAMMAR_CUT};
    buf_init(&g->id, 4096);
    buf_init(&g->item_id, 4096);
    buf_init(&g->item_type, 4096);
    buf_init(&g->text, GATHERED_MAX);
    buf_init(&g->items_done, GATHERED_MAX);
}

void responses_grammar_deinit(struct responses_grammar *g)
{
    buf_deinit(&g->id);
    buf_deinit(&g->item_id);
    buf_deinit(&g->item_type);
    buf_deinit(&g->text);
    buf_deinit(&g->items_done);
}

static void set(struct buf *b, struct span s)
{
    buf_reset(b);
    if (buf_add(b, s) != ERR_OK)
        abort(); /* bounds of a test */
}

static bool number_is(struct json v, int64_t wanted)
{
    int64_t n;
    return json_i64(v, &n) == ERR_OK && n == wanted;
}

/* ---- the response object ---- */

static bool check_response(struct responses_grammar *g, struct json r, const char *status)
{
    static const char *const members[] = {"created_at",
                                          "model",
                                          "instructions",
                                          "metadata",
                                          "parallel_tool_calls",
                                          "temperature",
                                          "tool_choice",
                                          "tools",
                                          "top_p",
                                          "usage",
                                          "error",
                                          "incomplete_details"};
    struct span id = json_str(json_get(r, "id"));
    if (!json_str_is(json_get(r, "object"), "response") || id.len == 0)
        return broken(g, "no response object", json_raw(r));
    if (g->id.len && !span_eq(id, buf_span(&g->id)))
        return broken(g, "the response's id changed", id);
    if (!json_str_is(json_get(r, "status"), status))
        return broken(g, "status", json_raw(json_get(r, "status")));
    if (!json_is(json_get(r, "output"), JSON_ARRAY))
        return broken(g, "no output", id);
    for (size_t i = 0; g->strict && i < ARRAY_LEN(members); i++)
        if (!json_present(json_get(r, members[i])))
            return broken(g, "a member of the response is missing", span_from(members[i]));
    set(&g->id, id);
    return true;
}

static bool on_created(struct responses_grammar *g, struct json e, struct arena *a)
{
    (void)a;
    if (g->started)
        return broken(g, "a second response.created", SPAN_EMPTY);
    g->started = true;
    if (json_len(json_path(e, "response.output")))
        return broken(g, "output before anything was said", SPAN_EMPTY);
    return check_response(g, json_get(e, "response"), "in_progress");
}

static bool on_in_progress(struct responses_grammar *g, struct json e, struct arena *a)
{
    (void)a;
    return check_response(g, json_get(e, "response"), "in_progress");
}

static bool check_usage(struct responses_grammar *g, struct json u)
{
    static const char *const paths[] = {"input_tokens", "output_tokens", "total_tokens",
                                        "input_tokens_details.cached_tokens",
                                        "output_tokens_details.reasoning_tokens"};
    for (size_t i = 0; json_useful(u) && i < ARRAY_LEN(paths); i++)
        if (!json_is(json_path(u, paths[i]), JSON_NUMBER))
            return broken(g, "usage without", span_from(paths[i]));
    return true;
}

/* The last object repeats every item that was done. */
static bool on_terminal(struct responses_grammar *g, struct json e, struct arena *a)
{
    struct json r = json_get(e, "response");
    bool completed = json_str_is(json_get(e, "type"), "response.completed");
    struct span said = arena_printf(a, "[%.*s]", SPAN_FMT(buf_span(&g->items_done)));
    if (g->item_open)
        return broken(g, "the answer ends in an open item", buf_span(&g->item_id));
    if (!check_response(g, r, completed ? "completed" : "incomplete") ||
        !check_usage(g, json_get(r, "usage")))
        return false;
    if (g->strict && !json_text_same(a, said, json_raw(json_get(r, "output"))))
        return broken(g, "output is not what the items were", json_raw(json_get(r, "output")));
    if (!completed && json_str(json_path(r, "incomplete_details.reason")).len == 0)
        return broken(g, "incomplete without a reason", SPAN_EMPTY);
    g->end = GRAMMAR_COMPLETE;
    return true;
}

static bool on_failed(struct responses_grammar *g, struct json e, struct arena *a)
{
    (void)a;
    if (g->end == GRAMMAR_CUT && g->strict)
        return broken(g, "response.failed without an error event", SPAN_EMPTY);
    if (json_str(json_path(e, "response.error.code")).len == 0 ||
        !json_is(json_path(e, "response.error.message"), JSON_STRING))
        return broken(g, "response.failed without code or message", SPAN_EMPTY);
    g->end = GRAMMAR_ERROR;
    g->failed = true;
    return true;
}

static bool on_error(struct responses_grammar *g, struct json e, struct arena *a)
{
    (void)a;
    if (!json_is(json_path(e, "error.message"), JSON_STRING))
        return broken(g, "an error without a message", SPAN_EMPTY);
    g->end = GRAMMAR_ERROR;
    return true;
}

/* ---- items ---- */

static bool on_item_added(struct responses_grammar *g, struct json e, struct arena *a)
{
    struct json item = json_get(e, "item");
    (void)a;
    if (g->item_open)
        return broken(g, "an item begins in another", json_raw(item));
    if (!number_is(json_get(e, "output_index"), g->items))
        return broken(g, "output_index is not contiguous", json_raw(item));
    if (json_str(json_get(item, "id")).len == 0 || json_str(json_get(item, "type")).len == 0)
        return broken(g, "an item without id or type", json_raw(item));
    g->items++;
    g->parts = 0;
    g->item_open = true;
    g->part_open = false;
    set(&g->item_id, json_str(json_get(item, "id")));
    set(&g->item_type, json_str(json_get(item, "type")));
    buf_reset(&g->text);
    return true;
}

static bool has_place(struct responses_grammar *g, struct json e)
{
    if (!g->item_open || !number_is(json_get(e, "output_index"), g->items - 1) ||
        !span_eq(json_str(json_get(e, "item_id")), buf_span(&g->item_id)))
        return broken(g, "not of the open item", json_raw(e));
    return true;
}

/* A part: of a message, or of reasoning. */
static bool is_part_of(struct responses_grammar *g, struct json e, int64_t part)
{
    bool summary = json_present(json_get(e, "summary_index"));
    return number_is(json_get(e, summary ? "summary_index" : "content_index"), part) ||
           broken(g, "not of the open part", json_raw(e));
}

static bool on_part_added(struct responses_grammar *g, struct json e, struct arena *a)
{
    (void)a;
    if (g->part_open)
        return broken(g, "a part begins in another", json_raw(e));
    g->part_open = true;
    buf_reset(&g->text);
    return has_place(g, e) && is_part_of(g, e, g->parts++);
}

static struct span gathered(struct responses_grammar *g, struct arena *a)
{
    return json_unescape(arena_copy(a, buf_span(&g->text)), a);
}

static bool repeats(struct responses_grammar *g, struct json text, struct arena *a)
{
    return span_eq(json_str_decode(text, a), gathered(g, a)) ||
           broken(g, "not what the pieces said", json_raw(text));
}

static bool on_part_done(struct responses_grammar *g, struct json e, struct arena *a)
{
    struct json part = json_get(e, "part");
    struct json text =
        json_get(part, json_str_is(json_get(part, "type"), "refusal") ? "refusal" : "text");
    if (!g->part_open)
        return broken(g, "a part ends that was not open", json_raw(e));
    g->part_open = false;
    return has_place(g, e) && is_part_of(g, e, g->parts - 1) && repeats(g, text, a);
}

static bool on_delta(struct responses_grammar *g, struct json e, struct arena *a)
{
    (void)a;
    if (!json_is(json_get(e, "delta"), JSON_STRING))
        return broken(g, "a delta without text", json_raw(e));
    if (buf_add(&g->text, json_str(json_get(e, "delta"))) != ERR_OK)
        abort();
    return has_place(g, e);
}

static bool on_part_delta(struct responses_grammar *g, struct json e, struct arena *a)
{
    if (!g->part_open)
        return broken(g, "a piece outside any part", json_raw(e));
    return is_part_of(g, e, g->parts - 1) && on_delta(g, e, a);
}

static bool on_text_done(struct responses_grammar *g, struct json e, struct arena *a)
{
    static const char *const names[] = {"text", "refusal", "arguments", "input"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (json_present(json_get(e, names[i])))
            return has_place(g, e) && repeats(g, json_get(e, names[i]), a);
    return broken(g, "done without the text", json_raw(e));
}

static bool check_done(struct responses_grammar *g, struct json item, struct arena *a)
{
    struct json type = json_get(item, "type");
    if (json_str_is(type, "message"))
        return json_len(json_get(item, "content")) == (uint32_t)g->parts ||
               broken(g, "a message without its parts", json_raw(item));
    if (json_str_is(type, "reasoning") && json_len(json_get(item, "content")) == 0)
        return (json_is(json_get(item, "summary"), JSON_ARRAY) &&
                json_len(json_get(item, "summary")) == (uint32_t)g->parts) ||
               broken(g, "reasoning without its summary", json_raw(item));
    if (json_str_is(type, "custom_tool_call"))
        return repeats(g, json_get(item, "input"), a);
    if (!json_str_is(type, "function_call"))
        return true;
    if (json_str(json_get(item, "call_id")).len == 0 || json_str(json_get(item, "name")).len == 0)
        return broken(g, "a call without call_id or name", json_raw(item));
    return repeats(g, json_get(item, "arguments"), a);
}

static bool on_item_done(struct responses_grammar *g, struct json e, struct arena *a)
{
    struct json item = json_get(e, "item");
    if (!g->item_open || g->part_open)
        return broken(g, "an item is done that was not open, or its part is", json_raw(item));
    if (!number_is(json_get(e, "output_index"), g->items - 1))
        return broken(g, "another item is done", json_raw(item));
    if (!span_eq(json_str(json_get(item, "type")), buf_span(&g->item_type)))
        return broken(g, "an item's type changed", json_raw(item));
    g->item_open = false;
    if ((g->items_done.len && buf_add_char(&g->items_done, ',') != ERR_OK) ||
        buf_add(&g->items_done, json_raw(item)) != ERR_OK)
        abort();
    return check_done(g, item, a);
}

static const struct {
    const char *type;
    bool (*check)(struct responses_grammar *g, struct json e, struct arena *a);
} rules[] = {
    {"response.created", on_created},
    {"response.in_progress", on_in_progress},
    {"response.completed", on_terminal},
    {"response.incomplete", on_terminal},
    {"response.failed", on_failed},
    {"error", on_error},
    {"response.output_item.added", on_item_added},
    {"response.output_item.done", on_item_done},
    {"response.content_part.added", on_part_added},
    {"response.content_part.done", on_part_done},
    {"response.reasoning_summary_part.added", on_part_added},
    {"response.reasoning_summary_part.done", on_part_done},
    {"response.output_text.delta", on_part_delta},
    {"response.refusal.delta", on_part_delta},
    {"response.reasoning_summary_text.delta", on_part_delta},
    {"response.output_text.done", on_text_done},
    {"response.refusal.done", on_text_done},
    {"response.reasoning_summary_text.done", on_text_done},
    {"response.function_call_arguments.delta", on_delta},
    {"response.function_call_arguments.done", on_text_done},
    {"response.custom_tool_call_input.delta", on_delta},
    {"response.custom_tool_call_input.done", on_text_done},
};

static bool responses_event(struct responses_grammar *g, const struct sse_event *e, struct arena *a)
{
    struct json_doc doc;
    if (json_parse(a, e->data, &json_limits_default, &doc, NULL) != ERR_OK)
        return broken(g, "data that is not JSON", e->data);
    struct json root = json_root(&doc);
    struct span type = json_str(json_get(root, "type"));
    bool error_told = g->end == GRAMMAR_ERROR && !g->failed;
    if (g->strict && !span_eq(e->name, type))
        return broken(g, "the event's name is not its type", e->name);
    if (g->end != GRAMMAR_CUT && !(error_told && span_is(type, "response.failed")))
        return broken(g, "an event behind the end", type);
    if (!number_is(json_get(root, "sequence_number"), g->sequence++))
        return broken(g, "sequence_number is not contiguous", json_raw(root));
    bool first = span_is(type, "response.created") || span_is(type, "error") || g->end;
    if (!g->started && !first)
        return broken(g, "an event before response.created", type);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (span_is(type, rules[i].type))
            return rules[i].check(g, root, a);
    return g->strict ? broken(g, "an event nobody knows", type) : true;
}

bool responses_grammar_event(struct responses_grammar *g, const struct sse_event *e)
{
    if (g->why[0])
        return false;
    if (e->comment_only)
        return true;
    struct arena scratch;
    arena_init(&scratch, SIZE_MAX);
    bool good = responses_event(g, e, &scratch);
    arena_deinit(&scratch);
    return good;
}

static bool feed(void *ctx, const struct sse_event *e)
{
    return responses_grammar_event(ctx, e);
}

void responses_grammar_check(struct span stream, bool strict, enum grammar_end *out_end,
                             char why[GRAMMAR_WHY_MAX])
{
    struct responses_grammar g;
    responses_grammar_init(&g);
    g.strict = strict;
    if (!feed_sse(stream, FEED_WHOLE, 0, feed, &g) && !g.why[0])
        (void)broken(&g, "the stream ends inside an event", SPAN_EMPTY);
    *out_end = g.end;
    memcpy(why, g.why, GRAMMAR_WHY_MAX);
    responses_grammar_deinit(&g);
}
