#include "support/answer.h"

#include "base/buf.h"
#include "base/span.h"
#include "support/feed.h"

#define ANSWER_MAX (64u << 20)

/* Gathers raw (escaped) pieces; decoded at the end, when no pair of escapes is cut any more. */
struct gather {
    struct arena *a;
    struct answer *out;
    struct buf text, thinking, refusal, input[ANSWER_TOOLS_MAX];
    bool bad, had_input[ANSWER_TOOLS_MAX];
    int64_t blocks;
    int64_t tool_of_block; /* index into tools of the open block, -1 none */
    bool thinking_block;
};

static void gather_init(struct gather *g, struct arena *a, struct answer *out)
{
    *g = (struct gather){.a = a, .out = out, .tool_of_block = -1};
    *out = (struct answer){
        .input = -1, .cache_read = -1, .cache_write = -1, .output = -1, .reasoning = -1};
    buf_init(&g->text, ANSWER_MAX);
    buf_init(&g->thinking, ANSWER_MAX);
    buf_init(&g->refusal, ANSWER_MAX);
    for (size_t i = 0; i < ANSWER_TOOLS_MAX; i++)
        buf_init(&g->input[i], ANSWER_MAX);
}

static struct span decoded(struct gather *g, struct buf *b)
{
    struct span plain = json_unescape(arena_copy(g->a, buf_span(b)), g->a);
    buf_deinit(b);
    return plain;
}

static bool gather_end(struct gather *g)
{
    g->out->text = decoded(g, &g->text);
    g->out->thinking = decoded(g, &g->thinking);
    g->out->refusal = decoded(g, &g->refusal);
    for (size_t i = 0; i < ANSWER_TOOLS_MAX; i++) {
        struct span input = span_trim(decoded(g, &g->input[i]));
        if (i < g->out->tool_count && !g->out->tools[i].input.len)
            g->out->tools[i].input = input.len ? input : SPAN("{}");
    }
    return !g->bad;
}

static void append(struct gather *g, struct buf *to, struct json string)
{
    if (buf_add(to, json_str(string)) != ERR_OK)
        g->bad = true;
}

static struct answer_tool *tool_add(struct gather *g, struct json id, struct json name)
{
    if (g->out->tool_count == ANSWER_TOOLS_MAX) {
        g->bad = true;
        return &g->out->tools[0];
    }
    struct answer_tool *t = &g->out->tools[g->out->tool_count++];
    t->id = json_str_decode(id, g->a);
    t->name = json_str_decode(name, g->a);
    return t;
}

static void count(struct json u, const char *path, int64_t *to)
{
    int64_t n;
    if (json_i64(json_path(u, path), &n) == ERR_OK && n >= 0)
        *to = n;
}

/* ---- Messages ---- */

static void messages_usage(struct answer *out, struct json u)
{
    count(u, "input_tokens", &out->input);
    count(u, "cache_read_input_tokens", &out->cache_read);
    count(u, "cache_creation_input_tokens", &out->cache_write);
    count(u, "output_tokens", &out->output);
    count(u, "output_tokens_details.thinking_tokens", &out->reasoning);
}

static void messages_block(struct gather *g, struct json block)
{
    struct json type = json_get(block, "type");
    g->tool_of_block = -1;
    append(g, &g->text, json_get(block, "text"));
    append(g, &g->thinking, json_get(block, "thinking"));
    if (!json_str_is(type, "tool_use"))
        return;
    struct answer_tool *t = tool_add(g, json_get(block, "id"), json_get(block, "name"));
    g->tool_of_block = (int64_t)g->out->tool_count - 1;
    if (json_len(json_get(block, "input")))
        t->input = json_raw(json_get(block, "input"));
}

static void messages_delta(struct gather *g, struct json delta)
{
    append(g, &g->text, json_get(delta, "text"));
    append(g, &g->thinking, json_get(delta, "thinking"));
    if (g->tool_of_block >= 0)
        append(g, &g->input[g->tool_of_block], json_get(delta, "partial_json"));
}

static bool messages_event(void *ctx, const struct sse_event *e)
{
    struct gather *g = ctx;
    struct json_doc doc;
    if (e->comment_only)
        return true;
    /* The event's bytes go away with it. */
    if (json_parse(g->a, arena_copy(g->a, e->data), &json_limits_default, &doc, NULL) != ERR_OK)
        return false;
    struct json_doc *kept = arena_new(g->a, struct json_doc);
    *kept = doc;
    struct json root = json_root(kept), type = json_get(root, "type");
    if (json_str_is(type, "message_start")) {
        struct json m = json_get(root, "message");
        g->out->id = json_str_decode(json_get(m, "id"), g->a);
        g->out->model = json_str_decode(json_get(m, "model"), g->a);
        messages_usage(g->out, json_get(m, "usage"));
    } else if (json_str_is(type, "content_block_start")) {
        messages_block(g, json_get(root, "content_block"));
    } else if (json_str_is(type, "content_block_delta")) {
        messages_delta(g, json_get(root, "delta"));
    } else if (json_str_is(type, "message_delta")) {
        g->out->stop = json_str_decode(json_path(root, "delta.stop_reason"), g->a);
        g->out->stop_sequence = json_str_decode(json_path(root, "delta.stop_sequence"), g->a);
        messages_usage(g->out, json_get(root, "usage"));
    } else if (json_str_is(type, "message_stop")) {
        g->out->complete = true;
    } else if (json_str_is(type, "error")) {
        g->out->error = true;
    }
    return true;
}

static bool messages_whole(struct gather *g, struct span body)
{
    struct json_doc *doc = arena_new(g->a, struct json_doc);
    if (json_parse(g->a, body, &json_limits_default, doc, NULL) != ERR_OK)
        return false;
    struct json root = json_root(doc), content = json_get(root, "content");
    g->out->error = json_present(json_get(root, "error"));
    if (g->out->error)
        return true;
    if (!json_is(content, JSON_ARRAY))
        return false;
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b))
        messages_block(g, b);
    g->out->id = json_str_decode(json_get(root, "id"), g->a);
    g->out->model = json_str_decode(json_get(root, "model"), g->a);
    g->out->stop = json_str_decode(json_get(root, "stop_reason"), g->a);
    g->out->stop_sequence = json_str_decode(json_get(root, "stop_sequence"), g->a);
    messages_usage(g->out, json_get(root, "usage"));
    g->out->complete = true;
    return true;
}

bool answer_of_messages(struct arena *a, struct span body, bool streamed, struct answer *out)
{
    struct gather g;
    gather_init(&g, a, out);
    bool good =
        streamed ? feed_sse(body, FEED_WHOLE, 0, messages_event, &g) : messages_whole(&g, body);
    return gather_end(&g) && good;
}

/* ---- chat ---- */

static void chat_usage(struct answer *out, struct json u)
{
    if (!json_is(u, JSON_OBJECT))
        return;
    out->cache_read = out->cache_write = out->reasoning = -1;
    count(u, "num_cached_tokens", &out->cache_read);
    count(u, "cached_tokens", &out->cache_read);
    count(u, "prompt_cache_hit_tokens", &out->cache_read);
    count(u, "prompt_tokens_details.cached_tokens", &out->cache_read);
    count(u, "prompt_tokens_details.cache_write_tokens", &out->cache_write);
    count(u, "reasoning_tokens", &out->reasoning);
    count(u, "completion_tokens_details.reasoning_tokens", &out->reasoning);
    count(u, "completion_tokens", &out->output);
    count(u, "prompt_tokens", &out->input);
    if (out->cache_read > 0)
        out->input -= out->cache_read;
    if (out->cache_write > 0)
        out->input -= out->cache_write;
    if (out->input < 0)
        out->input = 0;
}

static void chat_thinking(struct gather *g, struct json m)
{
    struct json t = json_get(m, "reasoning_content");
    if (json_str(t).len == 0)
        t = json_get(m, "reasoning");
    if (json_str(t).len) {
        append(g, &g->thinking, t);
        return;
    }
    struct json details = json_get(m, "reasoning_details");
    for (struct json d = json_first(details); json_present(d); d = json_next(details, d)) {
        append(g, &g->thinking, json_get(d, "text"));
        if (!json_is(json_get(d, "text"), JSON_STRING))
            append(g, &g->thinking, json_get(d, "summary"));
    }
}

static void chat_content(struct gather *g, struct json content)
{
    append(g, &g->text, content);
    if (!json_is(content, JSON_ARRAY))
        return;
    for (struct json p = json_first(content); json_present(p); p = json_next(content, p)) {
        struct json thinking = json_get(p, "thinking");
        append(g, &g->text, json_get(p, "text"));
        append(g, &g->thinking, thinking);
        if (!json_is(thinking, JSON_ARRAY))
            continue;
        for (struct json t = json_first(thinking); json_present(t); t = json_next(thinking, t))
            append(g, &g->thinking, json_get(t, "text"));
    }
}

/* The recorded servers' ways to say which call a piece belongs to: a new id, or a name, begins
 * one. */
static void chat_call(struct gather *g, struct json id, struct json f, const char *input)
{
    struct json name = json_get(f, "name");
    if (json_str(name).len)
        (void)tool_add(g, id, name); /* bounded inside */
    if (g->out->tool_count && json_str(json_get(f, input)).len)
        append(g, &g->input[g->out->tool_count - 1], json_get(f, input));
}

static void chat_message(struct gather *g, struct json m)
{
    struct json calls = json_get(m, "tool_calls");
    chat_thinking(g, m);
    chat_content(g, json_get(m, "content"));
    append(g, &g->refusal, json_get(m, "refusal"));
    for (struct json c = json_is(calls, JSON_ARRAY) ? json_first(calls) : JSON_ABSENT;
         json_present(c); c = json_next(calls, c)) {
        /* Later pieces tell no type; Snowflake's calls have an empty `custom` beside theirs. */
        bool custom = !json_is(json_get(c, "function"), JSON_OBJECT);
        chat_call(g, json_get(c, "id"), json_get(c, custom ? "custom" : "function"),
                  custom ? "input" : "arguments");
    }
    chat_call(g, JSON_ABSENT, json_get(m, "function_call"), "arguments");
}

static void chat_object(struct gather *g, struct json root, const char *message)
{
    struct json choices = json_get(root, "choices");
    struct json usage = json_get(root, "usage");
    if (json_useful(json_get(root, "error")))
        g->out->error = true;
    if (g->out->id.len == 0) {
        g->out->id = json_str_decode(json_get(root, "id"), g->a);
        g->out->model = json_str_decode(json_get(root, "model"), g->a);
    }
    chat_usage(g->out, json_useful(usage) ? usage : json_path(root, "x_groq.usage"));
    for (struct json c = json_first(choices); json_present(c); c = json_next(choices, c)) {
        int64_t index = 0;
        if (json_i64(json_get(c, "index"), &index) == ERR_OK && index > 0)
            continue;
        chat_message(g, json_get(c, message));
        if (json_str(json_get(c, "finish_reason")).len)
            g->out->stop = json_str_decode(json_get(c, "finish_reason"), g->a);
    }
}

static bool chat_event(void *ctx, const struct sse_event *e)
{
    struct gather *g = ctx;
    if (e->comment_only)
        return true;
    if (span_is(e->data, "[DONE]")) {
        g->out->complete = true;
        return true;
    }
    struct json_doc *doc = arena_new(g->a, struct json_doc);
    if (json_parse(g->a, arena_copy(g->a, e->data), &json_limits_default, doc, NULL) != ERR_OK)
        return false;
    chat_object(g, json_root(doc), "delta");
    return true;
}

static bool chat_whole(struct gather *g, struct span body)
{
    struct json_doc *doc = arena_new(g->a, struct json_doc);
    if (json_parse(g->a, body, &json_limits_default, doc, NULL) != ERR_OK)
        return false;
    chat_object(g, json_root(doc), "message");
    g->out->complete = true;
    return g->out->error || json_len(json_get(json_root(doc), "choices")) > 0;
}

bool answer_of_chat(struct arena *a, struct span body, bool streamed, struct answer *out)
{
    struct gather g;
    gather_init(&g, a, out);
    bool good = streamed ? feed_sse(body, FEED_WHOLE, 0, chat_event, &g) : chat_whole(&g, body);
    return gather_end(&g) && good;
}

/* ---- Responses ---- */

static void responses_usage(struct answer *out, struct json u)
{
    count(u, "input_tokens", &out->input);
    count(u, "input_tokens_details.cached_tokens", &out->cache_read);
    count(u, "input_tokens_details.cache_write_tokens", &out->cache_write);
    count(u, "output_tokens", &out->output);
    count(u, "output_tokens_details.reasoning_tokens", &out->reasoning);
    if (out->input >= 0 && out->cache_read > 0)
        out->input -= out->cache_read;
    if (out->input >= 0 && out->cache_write > 0)
        out->input -= out->cache_write;
}

static void responses_parts(struct gather *g, struct buf *to, struct json parts)
{
    for (struct json p = json_first(parts); json_present(p); p = json_next(parts, p)) {
        append(g, to, json_get(p, "text"));
        append(g, &g->refusal, json_get(p, "refusal"));
    }
}

static void responses_item(struct gather *g, struct json item)
{
    struct json type = json_get(item, "type"), summary = json_get(item, "summary");
    bool custom = json_str_is(type, "custom_tool_call");
    if (json_str_is(type, "message"))
        responses_parts(g, &g->text, json_get(item, "content"));
    else if (json_str_is(type, "reasoning"))
        responses_parts(g, &g->thinking, json_len(summary) ? summary : json_get(item, "content"));
    else if (custom || json_str_is(type, "function_call")) {
        (void)tool_add(g, json_get(item, "call_id"), json_get(item, "name"));
        append(g, &g->input[g->out->tool_count - 1],
               json_get(item, custom ? "input" : "arguments"));
    }
}

static void responses_end(struct gather *g, struct json r)
{
    struct json reason = json_path(r, "incomplete_details.reason"), output = json_get(r, "output");
    g->out->id = json_str_decode(json_get(r, "id"), g->a);
    g->out->model = json_str_decode(json_get(r, "model"), g->a);
    g->out->stop =
        json_str_decode(json_is(reason, JSON_STRING) ? reason : json_get(r, "status"), g->a);
    responses_usage(g->out, json_get(r, "usage"));
    for (struct json i = g->blocks ? JSON_ABSENT : json_first(output); json_present(i);
         i = json_next(output, i))
        responses_item(g, i);
    g->out->error = json_is(json_get(r, "error"), JSON_OBJECT);
    g->out->complete = !g->out->error;
}

static bool responses_event(void *ctx, const struct sse_event *e)
{
    struct gather *g = ctx;
    if (e->comment_only || span_is(e->data, "[DONE]"))
        return true;
    struct json_doc *doc = arena_new(g->a, struct json_doc);
    if (json_parse(g->a, arena_copy(g->a, e->data), &json_limits_default, doc, NULL) != ERR_OK)
        return false;
    struct json root = json_root(doc), type = json_get(root, "type");
    if (json_str_is(type, "response.output_item.done")) {
        g->blocks++;
        responses_item(g, json_get(root, "item"));
    } else if (json_str_is(type, "response.completed") ||
               json_str_is(type, "response.incomplete") || json_str_is(type, "response.failed")) {
        responses_end(g, json_get(root, "response"));
    } else if (json_str_is(type, "error")) {
        g->out->error = true;
    }
    return true;
}

static bool responses_whole(struct gather *g, struct span body)
{
    struct json_doc *doc = arena_new(g->a, struct json_doc);
    if (json_parse(g->a, body, &json_limits_default, doc, NULL) != ERR_OK)
        return false;
    responses_end(g, json_root(doc));
    return g->out->error || json_is(json_get(json_root(doc), "output"), JSON_ARRAY);
}

bool answer_of_responses(struct arena *a, struct span body, bool streamed, struct answer *out)
{
    struct gather g;
    gather_init(&g, a, out);
    bool good =
        streamed ? feed_sse(body, FEED_WHOLE, 0, responses_event, &g) : responses_whole(&g, body);
    return gather_end(&g) && good;
}

/* ---- Gemini ---- */

static void gemini_part(struct gather *g, struct json part)
{
    struct json call = json_get(part, "functionCall");
    if (json_is(call, JSON_OBJECT)) {
        struct answer_tool *t = tool_add(g, json_get(call, "id"), json_get(call, "name"));
        if (t && json_present(json_get(call, "args")))
            t->input = arena_copy(g->a, json_raw(json_get(call, "args")));
    }
    append(g, json_true(json_get(part, "thought")) ? &g->thinking : &g->text,
           json_get(part, "text"));
}

static int64_t gemini_count(struct json usage, const char *name, int64_t before)
{
    int64_t n;
    return json_i64(json_get(usage, name), &n) == ERR_OK ? n : before;
}

static void gemini_usage(struct answer *out, struct json u)
{
    int64_t prompt = gemini_count(u, "promptTokenCount", -1);
    int64_t output = gemini_count(u, "candidatesTokenCount", -1);
    int64_t thoughts = gemini_count(u, "thoughtsTokenCount", -1);
    if (prompt < 0 && output < 0 && thoughts < 0)
        return;
    out->cache_read = gemini_count(u, "cachedContentTokenCount", out->cache_read);
    out->input = (prompt > 0 ? prompt : 0) + gemini_count(u, "toolUsePromptTokenCount", 0) -
                 gemini_count(u, "cachedContentTokenCount", 0);
    out->output = (output > 0 ? output : 0) + (thoughts > 0 ? thoughts : 0);
    out->reasoning = thoughts >= 0 ? thoughts : out->reasoning;
}

static struct span gemini_stop(struct json reason)
{
    if (json_str_is(reason, "STOP"))
        return SPAN("stop");
    return json_str_is(reason, "MAX_TOKENS") ? SPAN("length") : SPAN("content_filter");
}

static bool gemini_object(struct gather *g, struct span body)
{
    struct json_doc *doc = arena_new(g->a, struct json_doc);
    if (json_parse(g->a, arena_copy(g->a, body), &json_limits_default, doc, NULL) != ERR_OK)
        return false;
    struct json root = json_root(doc);
    struct json candidate = json_at(json_get(root, "candidates"), 0);
    struct json parts = json_path(candidate, "content.parts");
    struct json reason = json_get(candidate, "finishReason");
    bool blocked = json_present(json_path(root, "promptFeedback.blockReason"));
    g->out->error = json_present(json_get(root, "error"));
    gemini_usage(g->out, json_get(root, "usageMetadata"));
    for (struct json p = json_first(parts); json_present(p); p = json_next(parts, p))
        gemini_part(g, p);
    if (blocked)
        g->out->stop = SPAN("content_filter");
    else if (json_present(reason))
        g->out->stop = gemini_stop(reason);
    g->out->complete = g->out->stop.len > 0;
    return g->out->error || blocked || json_present(candidate);
}

static bool gemini_event(void *ctx, const struct sse_event *e)
{
    return gemini_object(ctx, e->data);
}

bool answer_of_gemini(struct arena *a, struct span body, bool streamed, struct answer *out)
{
    struct gather g;
    gather_init(&g, a, out);
    bool good =
        streamed ? feed_sse(body, FEED_WHOLE, 0, gemini_event, &g) : gemini_object(&g, body);
    return gather_end(&g) && good;
}

/* ---- JSON values ---- */

static struct json member_like(struct json object, struct json like, struct arena *a)
{
    struct span name = json_unescape(json_key(like), a);
    for (struct json m = json_first(object); json_present(m); m = json_next(object, m))
        if (span_eq(json_unescape(json_key(m), a), name))
            return m;
    return JSON_ABSENT;
}

bool json_same(struct arena *a, struct json x, struct json y)
{
    if (json_type(x) != json_type(y) || json_len(x) != json_len(y))
        return false;
    if (json_is(x, JSON_STRING))
        return span_eq(json_str_decode(x, a), json_str_decode(y, a));
    if (json_is(x, JSON_NUMBER)) {
        double dx, dy;
        return span_eq(json_raw(x), json_raw(y)) ||
               (json_double(x, &dx) == ERR_OK && json_double(y, &dy) == ERR_OK &&
                memcmp(&dx, &dy, sizeof dx) == 0);
    }
    bool array = json_is(x, JSON_ARRAY);
    struct json other = json_first(y);
    for (struct json m = json_first(x); json_present(m); m = json_next(x, m)) {
        if (!json_same(a, m, array ? other : member_like(y, m, a)))
            return false;
        if (array)
            other = json_next(y, other);
    }
    return true;
}

bool json_text_same(struct arena *a, struct span x, struct span y)
{
    struct json_doc *dx = arena_new(a, struct json_doc), *dy = arena_new(a, struct json_doc);
    if (json_parse(a, x, &json_limits_default, dx, NULL) != ERR_OK ||
        json_parse(a, y, &json_limits_default, dy, NULL) != ERR_OK)
        return span_eq(x, y);
    return json_same(a, json_root(dx), json_root(dy));
}
