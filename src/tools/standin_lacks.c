/* What a stand-in cannot do (--lacks): each gap shows itself as it does at real servers, as a 400
 * that names the feature, or without a word.
 *
 * The refusals are worded after those of several servers (protocols.md 3 and 4.1), none of them
 * exactly: who reads them must not depend on one server's sentence. Knows no fault: a gap is there
 * for every request, and nothing is broken. */
#include "base/span.h"
#include "tools/standin_internal.h"

static const struct lack_row {
    const char *name, *help;
} lack_rows[LACK_COUNT] = {
    [LACK_STREAM] = {"stream", "a stream is asked for, a whole answer comes"},
    [LACK_STREAM_END] = {"stream-end", "streams end without message_stop or [DONE]"},
    [LACK_STREAM_OPTIONS] = {"stream-options", "400"},
    [LACK_STREAM_USAGE] = {"stream-usage", "Chat only: include_usage is ignored"},
    [LACK_TOOLS] = {"tools", "400"},
    [LACK_TOOL_CALLS] = {"tool-calls", "tools are accepted, and never called"},
    [LACK_FORCED_TOOL] = {"forced-tool", "400 to a tool_choice that forces a call"},
    [LACK_PARALLEL_TOOLS] = {"parallel-tools", "one call at most"},
    [LACK_IMAGES] = {"images", "400"},
    [LACK_PDF] = {"pdf", "400"},
    [LACK_JSON_SCHEMA] = {"json-schema", "ignored: words come instead"},
    [LACK_STOP] = {"stop", "ignored: the answer goes on"},
    [LACK_MAX_TOKENS] = {"max-tokens", "ignored: the answer goes on"},
    [LACK_THINKING] = {"thinking", "400 to thinking or reasoning_effort"},
    [LACK_PREFILL] = {"prefill", "400 to a last assistant message; goes on when asked in words"},
};

void lacks_show(FILE *to)
{
    for (enum lack l = 0; l < LACK_COUNT; l++)
        (void)fprintf(to, "  %-18s %s\n", lack_rows[l].name, lack_rows[l].help);
}

static bool find(struct span name, uint32_t *bits)
{
    for (enum lack l = 0; l < LACK_COUNT; l++) {
        if (!span_is(name, lack_rows[l].name))
            continue;
        *bits |= BIT(l);
        return true;
    }
    return false;
}

enum err lacks_parse(struct span list, uint32_t *out)
{
    struct span name;
    uint32_t bits = 0;
    while (span_next(&list, ',', &name))
        if (!find(span_trim(name), &bits))
            return ERR_INVALID;
    if (bits == 0)
        return ERR_INVALID;
    *out |= bits;
    return ERR_OK;
}

bool lacks(const struct standin *s, enum lack l)
{
    return s->lacks & BIT(l);
}

/* ---- refusals ---- */

static bool is_document(struct json type)
{
    return json_str_is(type, "document") || json_str_is(type, "file") ||
           json_str_is(type, "input_file");
}

static bool holds_document(struct json v)
{
    if (is_document(json_get(v, "type")))
        return true;
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m))
        if ((json_is(m, JSON_OBJECT) || json_is(m, JSON_ARRAY)) && holds_document(m))
            return true;
    return false;
}

static bool forces_tool(struct json root)
{
    struct json choice = json_get(root, "tool_choice"), type = json_get(choice, "type");
    return json_str_is(choice, "required") || json_str_is(type, "any") ||
           json_str_is(type, "tool") || json_str_is(type, "function");
}

static bool asks_to_think(struct json root)
{
    struct json type = json_path(root, "thinking.type");
    struct json effort = json_get(root, "reasoning_effort");
    if (!json_present(effort))
        effort = json_path(root, "reasoning.effort");
    return json_str_is(type, "enabled") || json_str_is(type, "adaptive") ||
           (json_is(effort, JSON_STRING) && !json_str_is(effort, "none"));
}

const char *lacks_complaint(const struct standin *s, struct json root)
{
    struct json turns = answer_turns(root);
    if (lacks(s, LACK_TOOLS) && json_len(json_get(root, "tools")) > 0)
        return "tools: this model does not support tools";
    if (lacks(s, LACK_FORCED_TOOL) && forces_tool(root))
        return "tool_choice: only auto and none are supported";
    if (lacks(s, LACK_STREAM_OPTIONS) && json_present(json_get(root, "stream_options")))
        return "stream_options: Extra inputs are not permitted";
    if (lacks(s, LACK_THINKING) && asks_to_think(root))
        return "thinking: this model does not support reasoning";
    if (lacks(s, LACK_IMAGES) && answer_count_images(turns) > 0)
        return "image input is not supported by this model";
    if (lacks(s, LACK_PDF) && holds_document(turns))
        return "document input is not supported by this model";
    return NULL;
}
