/* The checker reads each event with the JSON reader and keeps a handful of facts between them. A
 * rule that is broken is written into `why` once; nothing is checked behind it. */
#include "support/grammar.h"

#include "base/span.h"
#include "json/json.h"
#include "support/feed.h"

#include <stdarg.h>
#include <stdio.h>

#define INPUT_MAX (16u << 20)

static bool broken(char why[GRAMMAR_WHY_MAX], const char *format, ...) PRINTF_LIKE(2, 3);
static bool broken(char why[GRAMMAR_WHY_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, GRAMMAR_WHY_MAX, format, args); /* a cut sentence is still one */
    va_end(args);
    return false;
}

#define BROKEN(...) broken(g->why, __VA_ARGS__)

/* ---- Messages ---- */

void messages_grammar_init(struct messages_grammar *g)
{
    *g = (struct messages_grammar){.end = GRAMMAR_CUT};
    buf_init(&g->input, INPUT_MAX);
}

void messages_grammar_deinit(struct messages_grammar *g)
{
    buf_deinit(&g->input);
}

static bool message_start(struct messages_grammar *g, struct json root, struct arena *a)
{
    struct json m = json_get(root, "message");
    (void)a;
    if (g->started)
        return BROKEN("a second message_start");
    g->started = true;
    if (!json_str_is(json_get(m, "type"), "message") ||
        !json_str_is(json_get(m, "role"), "assistant"))
        return BROKEN("message_start without an assistant message");
    if (json_str(json_get(m, "id")).len == 0 || !json_is(json_get(m, "model"), JSON_STRING))
        return BROKEN("message_start without id or model");
    if (!json_is(json_get(m, "content"), JSON_ARRAY) || json_len(json_get(m, "content")))
        return BROKEN("message_start with content");
    if (!json_is(json_get(m, "stop_reason"), JSON_NULL))
        return BROKEN("message_start with a stop_reason");
    if (!json_is(json_path(m, "usage.input_tokens"), JSON_NUMBER) ||
        !json_is(json_path(m, "usage.output_tokens"), JSON_NUMBER))
        return BROKEN("message_start without usage numbers");
    return true;
}

static bool index_is(struct json root, int64_t wanted)
{
    int64_t index;
    return json_i64(json_get(root, "index"), &index) == ERR_OK && index == wanted;
}

static bool block_start(struct messages_grammar *g, struct json root, struct arena *a)
{
    struct json block = json_get(root, "content_block");
    struct span type = json_str_decode(json_get(block, "type"), a);
    if (g->block_open)
        return BROKEN("block %lld starts inside another", (long long)g->blocks);
    if (!index_is(root, g->blocks))
        return BROKEN("block index is not %lld", (long long)g->blocks);
    if (type.len == 0 || type.len >= sizeof g->block_type)
        return BROKEN("block without a type");
    memcpy(g->block_type, type.at, type.len);
    g->block_type[type.len] = '\0';
    g->block_open = true;
    g->deltas = 0;
    buf_reset(&g->input);
    if (span_is(type, "text") && json_str(json_get(block, "text")).len)
        return BROKEN("a text block starts with text");
    if (span_is(type, "tool_use")) {
        if (json_str(json_get(block, "id")).len == 0 || json_str(json_get(block, "name")).len == 0)
            return BROKEN("tool_use without id or name");
        if (!json_is(json_get(block, "input"), JSON_OBJECT) || json_len(json_get(block, "input")))
            return BROKEN("tool_use does not start with input {}");
    }
    if (span_is(type, "fallback") && (json_str(json_path(block, "from.model")).len == 0 ||
                                      json_str(json_path(block, "to.model")).len == 0 ||
                                      !json_is(json_get(block, "trigger"), JSON_OBJECT)))
        return BROKEN("fallback without from, to or trigger");
    return true;
}

static bool takes(const char *block, struct span delta)
{
    static const struct {
        const char *block, *delta, *member;
    } fits[] = {
        {"text", "text_delta", "text"},
        {"text", "citations_delta", "citation"},
        {"thinking", "thinking_delta", "thinking"},
        {"thinking", "signature_delta", "signature"},
        {"tool_use", "input_json_delta", "partial_json"},
        {"server_tool_use", "input_json_delta", "partial_json"},
        {"mcp_tool_use", "input_json_delta", "partial_json"},
        {"compaction", "compaction_delta", "content"},
    };
    for (size_t i = 0; i < ARRAY_LEN(fits); i++)
        if (strcmp(block, fits[i].block) == 0 && span_is(delta, fits[i].delta))
            return true;
    return false;
}

static bool block_delta(struct messages_grammar *g, struct json root, struct arena *a)
{
    struct json delta = json_get(root, "delta");
    struct span type = json_str_decode(json_get(delta, "type"), a);
    if (!g->block_open || !index_is(root, g->blocks))
        return BROKEN("a delta outside the open block");
    if (!takes(g->block_type, type))
        return BROKEN("%.*s in a %s block", SPAN_FMT(type), g->block_type);
    if (span_is(type, "input_json_delta")) {
        struct json piece = json_get(delta, "partial_json");
        if (!json_is(piece, JSON_STRING))
            return BROKEN("input_json_delta without partial_json");
        /* Pieces may end inside a pair of escapes, so they are joined before they are decoded. */
        if (buf_add(&g->input, json_str(piece)) != ERR_OK)
            return BROKEN("tool input too long");
    }
    g->deltas++;
    return true;
}

static bool block_stop(struct messages_grammar *g, struct json root, struct arena *a)
{
    if (!g->block_open || !index_is(root, g->blocks))
        return BROKEN("content_block_stop for a block that is not open");
    if (strcmp(g->block_type, "tool_use") == 0) {
        struct span input = span_trim(json_unescape(buf_span(&g->input), a));
        struct json_doc doc;
        bool object = json_parse(a, input, &json_limits_default, &doc, NULL) == ERR_OK &&
                      json_is(json_root(&doc), JSON_OBJECT);
        g->broken_input = g->broken_input || (input.len && !object);
    }
    g->block_open = false;
    g->blocks++;
    return true;
}

static bool message_delta(struct messages_grammar *g, struct json root, struct arena *a)
{
    struct json stop = json_path(root, "delta.stop_reason");
    (void)a;
    if (g->block_open)
        return BROKEN("message_delta inside a block");
    if (g->told_delta)
        return BROKEN("a second message_delta");
    g->told_delta = true;
    if (!json_is(stop, JSON_STRING))
        return BROKEN("message_delta without a stop_reason");
    if (!json_is(json_path(root, "usage.output_tokens"), JSON_NUMBER))
        return BROKEN("message_delta without usage.output_tokens");
    if (g->broken_input && json_str_is(stop, "tool_use"))
        return BROKEN("a tool input is no JSON object");
    return true;
}

static bool message_stop(struct messages_grammar *g, struct json root, struct arena *a)
{
    (void)root;
    (void)a;
    if (!g->told_delta)
        return BROKEN("message_stop without message_delta");
    g->end = GRAMMAR_COMPLETE;
    return true;
}

static bool error_event(struct messages_grammar *g, struct json root, struct arena *a)
{
    (void)a;
    if (json_str(json_path(root, "error.type")).len == 0 ||
        !json_is(json_path(root, "error.message"), JSON_STRING))
        return BROKEN("an error event without type or message");
    g->end = GRAMMAR_ERROR;
    return true;
}

static bool ping(struct messages_grammar *g, struct json root, struct arena *a)
{
    (void)g;
    (void)root;
    (void)a;
    return true;
}

static const struct {
    const char *name;
    bool (*check)(struct messages_grammar *g, struct json root, struct arena *a);
    bool before_start; /* may come before message_start */
} messages_events[] = {
    {"message_start", message_start, true},
    {"content_block_start", block_start, false},
    {"content_block_delta", block_delta, false},
    {"content_block_stop", block_stop, false},
    {"message_delta", message_delta, false},
    {"message_stop", message_stop, false},
    {"error", error_event, true},
    {"ping", ping, true},
};

static bool messages_event(struct messages_grammar *g, const struct sse_event *e, struct arena *a)
{
    struct json_doc doc;
    if (g->end != GRAMMAR_CUT)
        return BROKEN("an event behind the end");
    if (json_parse(a, e->data, &json_limits_default, &doc, NULL) != ERR_OK)
        return BROKEN("data that is not JSON");
    struct json root = json_root(&doc);
    struct span type = json_str_decode(json_get(root, "type"), a);
    if (!span_eq(type, e->name))
        return BROKEN("event %.*s carries type %.*s", SPAN_FMT(e->name), SPAN_FMT(type));
    for (size_t i = 0; i < ARRAY_LEN(messages_events); i++) {
        if (!span_is(type, messages_events[i].name))
            continue;
        if (!g->started && !messages_events[i].before_start)
            return BROKEN("%s before message_start", messages_events[i].name);
        if (g->told_delta && messages_events[i].check != message_stop &&
            messages_events[i].check != ping && messages_events[i].check != error_event)
            return BROKEN("%s behind message_delta", messages_events[i].name);
        return messages_events[i].check(g, root, a);
    }
    return BROKEN("unknown event %.*s", SPAN_FMT(type));
}

bool messages_grammar_event(struct messages_grammar *g, const struct sse_event *e)
{
    if (g->why[0])
        return false;
    if (e->comment_only)
        return true;
    struct arena scratch;
    arena_init(&scratch, SIZE_MAX);
    bool good = messages_event(g, e, &scratch);
    arena_deinit(&scratch);
    return good;
}

/* ---- chat ---- */

void chat_grammar_init(struct chat_grammar *g)
{
    *g = (struct chat_grammar){.end = GRAMMAR_CUT};
    buf_init(&g->id, 4096);
    buf_init(&g->model, 4096);
}

void chat_grammar_deinit(struct chat_grammar *g)
{
    buf_deinit(&g->id);
    buf_deinit(&g->model);
}

static bool same_identity(struct chat_grammar *g, struct json root)
{
    struct span id = json_str(json_get(root, "id")), model = json_str(json_get(root, "model"));
    int64_t created;
    if (id.len == 0 || json_i64(json_get(root, "created"), &created) != ERR_OK)
        return BROKEN("a chunk without id or created");
    if (!json_str_is(json_get(root, "object"), "chat.completion.chunk"))
        return BROKEN("a chunk that is no chat.completion.chunk");
    if (!g->started) {
        g->created = created;
        return buf_add(&g->id, id) == ERR_OK && buf_add(&g->model, model) == ERR_OK
                   ? true
                   : BROKEN("id or model too long");
    }
    if (!span_eq(id, buf_span(&g->id)) || !span_eq(model, buf_span(&g->model)) ||
        created != g->created)
        return BROKEN("id, model or created changed");
    return true;
}

static bool tool_pieces(struct chat_grammar *g, struct json calls)
{
    for (struct json c = json_first(calls); json_present(c); c = json_next(calls, c)) {
        int64_t index;
        struct json f = json_get(c, "function");
        if (!json_present(f))
            f = json_get(c, "custom");
        if (json_i64(json_get(c, "index"), &index) != ERR_OK || index < 0 || index > g->tools)
            return BROKEN("a tool call's index is not contiguous");
        if (index == g->tools) {
            g->tools++;
            if (json_str(json_get(c, "id")).len == 0 || json_str(json_get(f, "name")).len == 0 ||
                !json_is(json_get(c, "type"), JSON_STRING))
                return BROKEN("a tool call starts without id, type or name");
        } else if (index != g->tools - 1) {
            return BROKEN("a piece for a tool call that is over");
        } else if (json_present(json_get(c, "id"))) {
            return BROKEN("a tool call's id is repeated");
        }
    }
    return true;
}

static bool choice(struct chat_grammar *g, struct json c)
{
    struct json delta = json_get(c, "delta"), finish = json_get(c, "finish_reason");
    int64_t index;
    if (json_i64(json_get(c, "index"), &index) != ERR_OK || index != 0)
        return BROKEN("a choice that is not the first");
    if (!json_is(delta, JSON_OBJECT) || !json_present(finish))
        return BROKEN("a choice without delta or finish_reason");
    if (g->finished)
        return BROKEN("a choice behind finish_reason");
    if (json_present(json_get(delta, "role"))) {
        if (g->role)
            return BROKEN("the role is told twice");
        g->role = true;
    }
    if (!g->role)
        return BROKEN("the first chunk has no role");
    g->finished = json_is(finish, JSON_STRING);
    return tool_pieces(g, json_get(delta, "tool_calls"));
}

static bool usage_rule(struct chat_grammar *g, struct json root, bool has_choice)
{
    struct json usage = json_get(root, "usage");
    int key = json_present(usage) ? 1 : -1;
    if (has_choice && json_useful(usage))
        return BROKEN("usage on a chunk with a choice");
    if (has_choice && g->usage_key && key != g->usage_key)
        return BROKEN("the usage key comes and goes");
    if (has_choice) {
        g->usage_key = key;
        return true;
    }
    if (!g->finished || !json_is(usage, JSON_OBJECT) || g->told_usage)
        return BROKEN("a chunk without choices that is not the one usage chunk");
    if (g->usage_key != 1)
        return BROKEN("a usage chunk nobody asked for");
    g->told_usage = true;
    return true;
}

static bool chat_event(struct chat_grammar *g, const struct sse_event *e, struct arena *a)
{
    struct json_doc doc;
    if (e->name.len)
        return BROKEN("a named event");
    if (g->end != GRAMMAR_CUT)
        return BROKEN("an event behind the end");
    if (span_is(e->data, "[DONE]")) {
        if (!g->finished)
            return BROKEN("[DONE] without finish_reason");
        g->end = GRAMMAR_COMPLETE;
        return true;
    }
    if (json_parse(a, e->data, &json_limits_default, &doc, NULL) != ERR_OK)
        return BROKEN("data that is not JSON");
    struct json root = json_root(&doc), choices = json_get(root, "choices");
    struct json error = json_get(root, "error");
    if (json_present(error)) {
        if (!json_is(json_get(error, "message"), JSON_STRING))
            return BROKEN("an error without a message");
        g->end = GRAMMAR_ERROR;
        return true;
    }
    if (!json_is(choices, JSON_ARRAY) || json_len(choices) > 1)
        return BROKEN("a chunk without choices, or with several");
    if (!same_identity(g, root))
        return false;
    g->started = true;
    bool has_choice = json_len(choices) == 1;
    return usage_rule(g, root, has_choice) && (!has_choice || choice(g, json_at(choices, 0)));
}

bool chat_grammar_event(struct chat_grammar *g, const struct sse_event *e)
{
    if (g->why[0])
        return false;
    if (e->comment_only)
        return true;
    struct arena scratch;
    arena_init(&scratch, SIZE_MAX);
    bool good = chat_event(g, e, &scratch);
    arena_deinit(&scratch);
    return good;
}

/* ---- whole streams ---- */

static bool feed_messages(void *ctx, const struct sse_event *e)
{
    return messages_grammar_event(ctx, e);
}

static bool feed_chat(void *ctx, const struct sse_event *e)
{
    return chat_grammar_event(ctx, e);
}

void messages_grammar_check(struct span stream, enum grammar_end *out_end,
                            char why[GRAMMAR_WHY_MAX])
{
    struct messages_grammar g;
    messages_grammar_init(&g);
    if (!feed_sse(stream, FEED_WHOLE, 0, feed_messages, &g) && !g.why[0])
        (void)broken(g.why, "the stream ends inside an event");
    *out_end = g.end;
    memcpy(why, g.why, GRAMMAR_WHY_MAX);
    messages_grammar_deinit(&g);
}

void chat_grammar_check(struct span stream, enum grammar_end *out_end, char why[GRAMMAR_WHY_MAX])
{
    struct chat_grammar g;
    chat_grammar_init(&g);
    if (!feed_sse(stream, FEED_WHOLE, 0, feed_chat, &g) && !g.why[0])
        (void)broken(g.why, "the stream ends inside an event");
    *out_end = g.end;
    memcpy(why, g.why, GRAMMAR_WHY_MAX);
    chat_grammar_deinit(&g);
}
