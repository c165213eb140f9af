/* A stand-in that binds its thinking to what stands before it, as the newest Claude models do
 * (protocols.md 1.6b): `--bind-thinking`.
 *
 * Each block it thinks is signed over `system`, `tools` and every block before it, and over its own
 * text. A history is read back block by block; thinking that another signed, that was altered, that
 * has another beginning, or that misses an older block while one still older is there, is answered
 * with the API's own 400. Missing from the oldest end is allowed. So is what carries no meaning:
 * the order of members, white space, null, cache_control, how turns of one role are cut.
 *
 *     signature = before | tag | seal      three hashes of 16 hex digits
 *
 *     before   the tag of the thinking before it; 0 = none
 *     tag      of the prefix, `before` and the text
 *     seal     of the two: ours or not, whatever the conversation
 *
 * With thinking "enabled" it also wants thinking in front of a tool call that waits for its result,
 * as the models with a budget do. Written apart from src/dialect on purpose: what sends the history
 * must not judge it. */
#include "base/hmap.h"
#include "base/span.h"
#include "tools/standin_internal.h"

#include <stdio.h>

#define DIGITS 16

struct walk { /* one history, from its beginning */
    struct arena *arena;
    uint64_t key[2];
    uint64_t prefix, before;
};

static const char foreign[] = "Invalid `signature` in `thinking` block";
static const char bound[] =
    "Invalid `signature` in `thinking` block. The block is bound to a different conversation.";
static const char redacted[] = "Invalid `data` in `redacted_thinking` block";

/* ---- hashes of JSON by what it means ---- */

static uint64_t join(const struct walk *w, uint64_t x, uint64_t y)
{
    uint64_t both[2] = {x, y};
    return siphash13(w->key, (struct span){(const char *)both, sizeof both});
}

static uint64_t text_hash(const struct walk *w, struct span text)
{
    return siphash13(w->key, text);
}

static uint64_t value_hash(const struct walk *w, struct json v)
{
    if (json_is(v, JSON_STRING))
        return text_hash(w, json_unescape(json_str(v), w->arena));
    if (!json_is(v, JSON_OBJECT) && !json_is(v, JSON_ARRAY))
        return text_hash(w, json_raw(v));
    uint64_t sum = 0;
    bool object = json_is(v, JSON_OBJECT);
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        if (object && (!json_useful(m) || json_key_is(m, "cache_control")))
            continue;
        uint64_t value = value_hash(w, m); /* depth is bounded by the reader's */
        if (object)                        /* a sum: members have no order */
            sum += join(w, text_hash(w, json_unescape(json_key(m), w->arena)), value);
        else
            sum = join(w, sum, value);
    }
    return join(w, sum, object ? 1 : 2);
}

/* As value_hash of {"type": "text", "text": ...}. */
static uint64_t text_block_hash(const struct walk *w, struct span text)
{
    uint64_t sum = join(w, text_hash(w, SPAN("type")), text_hash(w, SPAN("text"))) +
                   join(w, text_hash(w, SPAN("text")), text_hash(w, text));
    return join(w, sum, 1);
}

/* ---- signatures ---- */

static uint64_t tag_of(const struct walk *w, uint64_t before, struct span text)
{
    return join(w, join(w, w->prefix, before), text_hash(w, text));
}

static uint64_t seal_of(const struct walk *w, uint64_t before, uint64_t tag)
{
    return join(w, join(w, before, tag), ~w->key[0]);
}

static bool read_hex(struct span digits, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const char *all = "0123456789abcdef", *at = strchr(all, digits.at[i]);
        if (!at || !*at)
            return false;
        *out = *out << 4 | (uint64_t)(at - all);
    }
    return digits.len == DIGITS;
}

/* What is wrong with a block of thinking; NULL when nothing is. */
static const char *judge(struct walk *w, struct json block)
{
    struct span signature = json_unescape(json_str(json_get(block, "signature")), w->arena);
    struct span text = json_unescape(json_str(json_get(block, "thinking")), w->arena);
    uint64_t before, tag, seal;
    if (json_str_is(json_get(block, "type"), "redacted_thinking"))
        return redacted;
    if (!read_hex(span_take(signature, DIGITS), &before) ||
        !read_hex(span_take(span_drop(signature, DIGITS), DIGITS), &tag) ||
        !read_hex(span_drop(signature, (size_t)2 * DIGITS), &seal) ||
        seal != seal_of(w, before, tag))
        return foreign;
    if (tag != tag_of(w, before, text) || (w->before && w->before != before))
        return bound;
    w->before = tag;
    return NULL;
}

/* ---- the history ---- */

static void add_block(struct walk *w, struct span role, uint64_t block)
{
    w->prefix = join(w, join(w, w->prefix, text_hash(w, role)), block);
}

static bool is_thinking(struct json block)
{
    struct json type = json_get(block, "type");
    return json_str_is(type, "thinking") || json_str_is(type, "redacted_thinking");
}

/* The place in the list that is wrong, -1 when none is. */
static int64_t add_content(struct walk *w, struct span role, struct json content,
                           const char **out_why)
{
    int64_t at = 0;
    if (json_is(content, JSON_STRING))
        add_block(w, role, text_block_hash(w, json_unescape(json_str(content), w->arena)));
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b), at++) {
        const char *why = is_thinking(b) ? judge(w, b) : NULL;
        if (!is_thinking(b))
            add_block(w, role, value_hash(w, b));
        if (!why)
            continue;
        *out_why = why;
        return at;
    }
    return -1;
}

/* ---- thinking in front of a call ---- */

static bool answers_a_call(struct json message)
{
    struct json content = json_get(message, "content"), first = json_first(content);
    return json_is(content, JSON_ARRAY) && json_str_is(json_get(first, "type"), "tool_result");
}

static const char *missing(struct json root, struct arena *a)
{
    struct json list = json_get(root, "messages");
    uint32_t count = json_len(list);
    if (!json_str_is(json_path(root, "thinking.type"), "enabled") || count < 2 ||
        !answers_a_call(json_at(list, count - 1)))
        return NULL;
    struct json first = json_first(json_get(json_at(list, count - 2), "content"));
    if (is_thinking(first))
        return NULL;
    struct span text = arena_printf(
        a,
        "messages.%u.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%.*s`. "
        "When `thinking` is enabled, a final `assistant` message must start with a thinking block.",
        count - 2, SPAN_FMT(json_str(json_get(first, "type"))));
    return arena_cstr(a, text);
}

/* ---- both together ---- */

const char *bind_thinking(struct answer *a, struct json root)
{
    struct arena *arena = request_arena(a->request);
    struct span name = span_from(a->standin->name); /* another stand-in cannot read it */
    struct walk w = {.arena = arena, .key = {siphash13((uint64_t[2]){1, 2}, name), 3}};
    struct json list = json_get(root, "messages");
    const char *why = NULL;
    (void)add_content(&w, SPAN("system"), json_get(root, "system"), &why); /* holds no thinking */
    if (json_useful(json_get(root, "tools")))
        add_block(&w, SPAN("tools"), value_hash(&w, json_get(root, "tools")));
    unsigned number = 0;
    for (struct json m = json_first(list); json_present(m); m = json_next(list, m), number++) {
        struct span role = json_str(json_get(m, "role"));
        int64_t at = add_content(&w, role, json_get(m, "content"), &why);
        if (at >= 0)
            return arena_cstr(arena, arena_printf(arena, "messages.%u.content.%lld: %s", number,
                                                  (long long)at, why));
    }
    a->history = w.prefix;
    a->history_tag = w.before;
    return missing(root, arena);
}

bool bind_thinks(const struct standin *s, struct json root)
{
    return !s->binds || !json_str_is(json_path(root, "thinking.type"), "disabled");
}

void bind_sign(struct answer *a, struct span text)
{
    struct span name = span_from(a->standin->name);
    struct walk w = {.key = {siphash13((uint64_t[2]){1, 2}, name), 3}, .prefix = a->history};
    uint64_t tag = tag_of(&w, a->history_tag, text);
    a->signature = arena_printf(request_arena(a->request), "%016llx%016llx%016llx",
                                (unsigned long long)a->history_tag, (unsigned long long)tag,
                                (unsigned long long)seal_of(&w, a->history_tag, tag));
}
