/* OpenAI Responses: the table of its functions, and what of a body passes through.
 *
 * A conversation that another provider answered for a while comes back with reasoning items of our
 * making. OpenAI never saw them and refuses what it cannot find, so they stay here; all else goes
 * on byte for byte. */
#include "base/span.h"
#include "dialect/openai_responses_internal.h"

static bool is_our_reasoning(struct json item)
{
    return json_str_is(json_get(item, "type"), "reasoning") &&
           span_starts(json_str(json_get(item, "id")), SPAN(OR_REASONING_MARK));
}

static void pass_items(struct json input, struct pieces *out)
{
    bool any = false;
    pieces_add_char(out, '[');
    for (struct json i = json_first(input); json_present(i); i = json_next(input, i)) {
        if (is_our_reasoning(i))
            continue;
        if (any)
            pieces_add_char(out, ',');
        any = true;
        pieces_add(out, json_raw(i));
    }
    pieces_add_char(out, ']');
}

static bool pass_body(const struct json_doc *doc, struct span model, struct pieces *out)
{
    struct json root = json_root(doc);
    struct span body = doc->text;
    size_t done = 0;
    if (!json_may_hold(doc, "id", SPAN(OR_REASONING_MARK)) ||
        !json_is(json_get(root, "model"), JSON_STRING))
        return false;
    for (struct json m = json_first(root); json_present(m); m = json_next(root, m)) {
        bool named = model.len && json_key_is(m, "model");
        bool items = json_key_is(m, "input") && json_is(m, JSON_ARRAY);
        if (!named && !items)
            continue;
        size_t at = (size_t)(json_raw(m).at - body.at);
        pieces_add(out, span_drop(span_take(body, at), done));
        if (items)
            pass_items(m, out);
        else
            pieces_add_char(out, '"'), pieces_add(out, model), pieces_add_char(out, '"');
        done = at + json_raw(m).len;
    }
    pieces_add(out, span_drop(body, done));
    return true;
}

const struct dialect dialect_openai_responses = {
    .id = DIALECT_OPENAI_RESPONSES,
    .name = "openai-responses",
    .path = "/responses",
    .says_again = true,
    .pass_body = pass_body,
    .read_request = or_read_request,
    .write_request = or_write_request,
    .reader_new = or_reader_new,
    .read_event = or_read_event,
    .read_eof = or_read_eof,
    .read_whole = or_read_whole,
    .read_error = dialect_read_error,
    .writer_new = or_answer_new,
    .write_event = or_write_event,
    .write_ping = or_write_ping,
    .write_error = or_write_error,
};
