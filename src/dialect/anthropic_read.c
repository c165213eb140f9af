/* Door: the top level of a Messages request (protocols.md 1.2 and 1.4).
 *
 * What has a place in the canonical model is put there, borrowed from the client's bytes;
 * everything else becomes an extra, so that nothing is dropped unseen. Checked is what the rest of
 * the program relies on (types, and the members without which a value means nothing), in the spirit
 * of the real API but no stricter: an unknown block, tool, source or field is tomorrow's, not
 * wrong. max_tokens may be missing, because count_tokens has the same body without it. */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

#include <stdarg.h>
#include <stdio.h>

enum err a_refuse(const struct a_reading *c, const char *field, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(n >= 0);
    struct span path = c->list ? span_from(c->list) : SPAN("");
    if (c->item != A_NOWHERE)
        path = arena_printf(c->a, "%.*s[%u]", SPAN_FMT(path), (unsigned)c->item);
    if (c->block != A_NOWHERE)
        path = arena_printf(c->a, "%.*s.content[%u]", SPAN_FMT(path), (unsigned)c->block);
    if (c->inner != A_NOWHERE) /* `system` holds its blocks without a content around them */
        path = arena_printf(c->a, c->item == A_NOWHERE ? "%.*s[%u]" : "%.*s.content[%u]",
                            SPAN_FMT(path), (unsigned)c->inner);
    if (*field)
        path = arena_printf(c->a, "%.*s%s%s", SPAN_FMT(path), path.len > 0 ? "." : "", field);
    return problem(c->a, c->problem, ERR_INVALID, path, "%s", text);
}

static void keep(struct a_reading *c, struct span name, struct span value)
{
    struct chat_extra *e = arena_new(c->a, struct chat_extra);
    e->name = name;
    e->value = value;
    *c->extra_tail = e;
    c->extra_tail = &e->next;
}

/* A member of an object we know in part: "thinking.display". */
static void keep_inner(struct a_reading *c, const char *object, struct json member)
{
    struct span key = json_key(member);
    keep(c, arena_printf(c->a, "%s.%.*s", object, SPAN_FMT(key)), json_raw(member));
}

static enum err read_tri(const struct a_reading *c, struct json v, const char *field,
                         enum chat_tri *out)
{
    if (!json_useful(v))
        return ERR_OK;
    if (!json_is(v, JSON_TRUE) && !json_is(v, JSON_FALSE))
        return a_refuse(c, field, "Must be true or false.");
    *out = json_true(v) ? CHAT_YES : CHAT_NO;
    return ERR_OK;
}

/* ---- one function per field ---- */

static enum err read_model(struct a_reading *c, struct json v)
{
    if (json_str(v).len == 0)
        return a_refuse(c, "model", "Must be a model name, a string such as \"claude-sonnet-5\".");
    c->out->model = text_of(v);
    return ERR_OK;
}

static enum err read_max_tokens(struct a_reading *c, struct json v)
{
    if (json_i64(v, &c->out->max_tokens) != ERR_OK || c->out->max_tokens < 0)
        return a_refuse(c, "max_tokens", "Must be a whole number, 0 or more.");
    return ERR_OK;
}

static enum err read_stream(struct a_reading *c, struct json v)
{
    enum chat_tri stream = CHAT_NO;
    enum err e = read_tri(c, v, "stream", &stream);
    c->out->stream = stream == CHAT_YES;
    return e;
}

static enum err read_number(const struct a_reading *c, struct json v, const char *field,
                            struct span *out)
{
    if (!json_is(v, JSON_NUMBER))
        return a_refuse(c, field, "Must be a number.");
    *out = json_raw(v);
    return ERR_OK;
}

static enum err read_temperature(struct a_reading *c, struct json v)
{
    return read_number(c, v, "temperature", &c->out->temperature);
}

static enum err read_top_p(struct a_reading *c, struct json v)
{
    return read_number(c, v, "top_p", &c->out->top_p);
}

static enum err read_top_k(struct a_reading *c, struct json v)
{
    int64_t k;
    if (json_i64(v, &k) != ERR_OK)
        return a_refuse(c, "top_k", "Must be a whole number.");
    return read_number(c, v, "top_k", &c->out->top_k);
}

static enum err read_stop(struct a_reading *c, struct json v)
{
    if (!json_is(v, JSON_ARRAY))
        return a_refuse(c, "stop_sequences", "Must be an array of strings.");
    struct chat_text_list *stop = &c->out->stop;
    stop->at = arena_array(c->a, struct chat_text, json_len(v));
    for (struct json s = json_first(v); json_present(s); s = json_next(v, s)) {
        if (!json_is(s, JSON_STRING))
            return a_refuse(c, "stop_sequences", "Entry %zu must be a string.", stop->count);
        stop->at[stop->count++] = text_of(s);
    }
    return ERR_OK;
}

static enum err read_metadata(struct a_reading *c, struct json v)
{
    if (!json_is(v, JSON_OBJECT))
        return a_refuse(c, "metadata", "Must be an object such as {\"user_id\": \"...\"}.");
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        if (!json_key_is(m, "user_id")) {
            keep_inner(c, "metadata", m);
            continue;
        }
        if (json_useful(m) && !json_is(m, JSON_STRING))
            return a_refuse(c, "metadata.user_id", "Must be a string.");
        c->out->user_id = text_of(m);
    }
    return ERR_OK;
}

static enum err read_thinking(struct a_reading *c, struct json v)
{
    struct chat_request *r = c->out;
    struct json type = json_get(v, "type");
    if (json_str(type).len == 0)
        return a_refuse(c, "thinking.type", "Must be \"enabled\", \"adaptive\" or \"disabled\".");
    r->thinking = CHAT_THINKING_ADAPTIVE;
    if (json_str_is(type, "enabled"))
        r->thinking = CHAT_THINKING_BUDGET;
    else if (json_str_is(type, "disabled"))
        r->thinking = CHAT_THINKING_OFF;
    else if (!json_str_is(type, "adaptive"))
        keep(c, SPAN("thinking.type"), json_raw(type)); /* "between_tools" and what may follow */
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        if (json_key_is(m, "type"))
            continue;
        if (!json_key_is(m, "budget_tokens"))
            keep_inner(c, "thinking", m);
        else if (json_useful(m) && json_i64(m, &r->thinking_budget) != ERR_OK)
            return a_refuse(c, "thinking.budget_tokens", "Must be a whole number.");
    }
    if (r->thinking == CHAT_THINKING_BUDGET && r->thinking_budget <= 0)
        return a_refuse(c, "thinking.budget_tokens",
                        "Must be a whole number, at least 1024 and below max_tokens.");
    return ERR_OK;
}

/* {"type": "json_schema", "schema": {...}}; another type is kept for Anthropic to judge. */
static enum err read_format(struct a_reading *c, struct json v, const char *name)
{
    if (!json_useful(v))
        return ERR_OK;
    if (!json_str_is(json_get(v, "type"), "json_schema")) {
        keep(c, span_from(name), json_raw(v));
        return ERR_OK;
    }
    struct json schema = json_get(v, "schema");
    if (!json_is(schema, JSON_OBJECT))
        return a_refuse(c, name, "Needs a member \"schema\" that holds a JSON Schema object.");
    c->out->format = CHAT_FORMAT_SCHEMA;
    c->out->format_schema = json_raw(schema);
    return ERR_OK;
}

static enum err read_output_format(struct a_reading *c, struct json v)
{
    return read_format(c, v, "output_format");
}

static enum err read_output_config(struct a_reading *c, struct json v)
{
    if (!json_is(v, JSON_OBJECT))
        return a_refuse(c, "output_config", "Must be an object such as {\"effort\": \"high\"}.");
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        if (json_key_is(m, "format")) {
            enum err e = read_format(c, m, "output_config.format");
            if (e != ERR_OK)
                return e;
        } else if (!json_key_is(m, "effort")) {
            keep_inner(c, "output_config", m);
        } else if (json_useful(m) && !json_is(m, JSON_STRING)) {
            return a_refuse(c, "output_config.effort", "Must be a string such as \"high\".");
        } else {
            c->out->effort = text_of(m);
        }
    }
    return ERR_OK;
}

static enum err read_tool_choice(struct a_reading *c, struct json v)
{
    static const struct {
        const char *type;
        enum chat_tool_choice choice;
    } words[] = {{"auto", CHAT_CHOICE_AUTO},
                 {"any", CHAT_CHOICE_ANY},
                 {"tool", CHAT_CHOICE_NAMED},
                 {"none", CHAT_CHOICE_NONE}};
    struct chat_request *r = c->out;
    struct json type = json_get(v, "type");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (json_str_is(type, words[i].type))
            r->tool_choice = words[i].choice;
    if (r->tool_choice == CHAT_CHOICE_UNSET)
        return a_refuse(c, "tool_choice.type",
                        "Must be \"auto\", \"any\", \"tool\" (with a name) or \"none\".");
    r->tool_choice_name = text_of(json_get(v, "name"));
    if (r->tool_choice == CHAT_CHOICE_NAMED && chat_text_empty(r->tool_choice_name))
        return a_refuse(c, "tool_choice.name", "Must be the name of one of the tools.");
    enum chat_tri alone = CHAT_UNSET;
    enum err e = read_tri(c, json_get(v, "disable_parallel_tool_use"),
                          "tool_choice.disable_parallel_tool_use", &alone);
    if (alone != CHAT_UNSET)
        r->parallel_tools = alone == CHAT_YES ? CHAT_NO : CHAT_YES;
    return e;
}

/* Typed tools that come back as plain tool_use for the client to run; every other typed tool runs
 * at Anthropic. */
static bool runs_at_client(struct span wire_type)
{
    static const char *const prefixes[] = {"bash_", "text_editor_", "memory_", "computer_"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (span_starts(wire_type, span_from(prefixes[i])))
            return true;
    return false;
}

static enum err read_tool(struct a_reading *c, struct json v, struct chat_tool **out)
{
    if (!json_is(v, JSON_OBJECT))
        return a_refuse(c, "", "Must be an object with name and input_schema.");
    struct chat_tool *t = *out = arena_new(c->a, struct chat_tool);
    struct json type = json_get(v, "type"), schema = json_get(v, "input_schema");
    t->raw = json_raw(v);
    t->name = text_of(json_get(v, "name"));
    t->description = text_of(json_get(v, "description"));
    t->cached = json_useful(json_get(v, "cache_control"));
    if (json_useful(type) && !json_str_is(type, "custom")) {
        t->wire_type = json_str(type);
        t->server = !runs_at_client(t->wire_type);
        return ERR_OK;
    }
    if (chat_text_empty(t->name))
        return a_refuse(c, "name", "Must be a string of letters, digits, '_' and '-'.");
    if (json_useful(schema) && !json_is(schema, JSON_OBJECT))
        return a_refuse(c, "input_schema", "Must be a JSON Schema object of type \"object\".");
    if (json_useful(schema))
        t->schema = json_raw(schema);
    return read_tri(c, json_get(v, "strict"), "strict", &t->strict);
}

static enum err read_tools(struct a_reading *c, struct json v)
{
    if (!json_is(v, JSON_ARRAY))
        return a_refuse(c, "tools", "Must be an array of tools.");
    struct chat_tool **tail = &c->out->tools;
    c->list = "tools";
    for (struct json t = json_first(v); json_present(t); t = json_next(v, t)) {
        c->item = (uint32_t)c->out->tool_count++;
        enum err e = read_tool(c, t, tail);
        if (e != ERR_OK)
            return e;
        tail = &(*tail)->next;
    }
    c->list = NULL;
    c->item = A_NOWHERE;
    return ERR_OK;
}

static enum err read_cache_control(struct a_reading *c, struct json v)
{
    c->out->cached = true;
    keep(c, SPAN("cache_control"), json_raw(v)); /* its ttl has no other place */
    return ERR_OK;
}

/* ---- the whole ---- */

static const struct field {
    const char *name;
    enum err (*read)(struct a_reading *c, struct json v);
    size_t len;
} fields[] = {
#define FIELD(name, read)                                                                          \
    {                                                                                              \
        name, read, sizeof(name) - 1                                                               \
    }
    FIELD("model", read_model),
    FIELD("max_tokens", read_max_tokens),
    FIELD("messages", a_read_messages),
    FIELD("system", a_read_system),
    FIELD("stream", read_stream),
    FIELD("temperature", read_temperature),
    FIELD("tools", read_tools),
    FIELD("tool_choice", read_tool_choice),
    FIELD("thinking", read_thinking),
    FIELD("metadata", read_metadata),
    FIELD("output_config", read_output_config),
    FIELD("stop_sequences", read_stop),
    FIELD("top_p", read_top_p),
    FIELD("top_k", read_top_k),
    FIELD("output_format", read_output_format),
    FIELD("cache_control", read_cache_control),
#undef FIELD
};

static const struct field *field_of(struct json member)
{
    struct span key = json_key(member);
    bool escaped = memchr(key.at, '\\', key.len) != NULL;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const struct field *f = &fields[i];
        if (escaped ? json_key_is(member, f->name)
                    : key.len == f->len && memcmp(key.at, f->name, key.len) == 0)
            return f;
    }
    return NULL;
}

static enum err read_member(struct a_reading *c, struct json member)
{
    const struct field *f = field_of(member);
    if (!f) {
        keep(c, json_key(member), json_raw(member));
        return ERR_OK;
    }
    if (!json_useful(member)) /* null is how some clients leave a field out */
        return ERR_OK;
    return f->read(c, member);
}

enum err anthropic_read_request(struct arena *a, const struct json_doc *doc,
                                struct chat_request *out, struct chat_problem *out_problem)
{
    *out = (struct chat_request){
        .max_tokens = -1, .choices = 1, .include_usage = true, .origin = ANTHROPIC_NAME};
    *out_problem = (struct chat_problem){.param = SPAN(""), .text = SPAN("")};
    struct a_reading c = {.a = a,
                          .out = out,
                          .problem = out_problem,
                          .message_tail = &out->messages,
                          .extra_tail = &out->extras,
                          .item = A_NOWHERE,
                          .block = A_NOWHERE,
                          .inner = A_NOWHERE};
    struct json root = json_root(doc);
    if (!json_is(root, JSON_OBJECT))
        return a_refuse(&c, "", "The body must be a JSON object.");
    for (struct json m = json_first(root); json_present(m); m = json_next(root, m)) {
        enum err e = read_member(&c, m);
        if (e != ERR_OK)
            return e;
    }
    if (chat_text_empty(out->model))
        return a_refuse(&c, "model", "Field required: the name of a model.");
    if (!out->messages)
        return a_refuse(&c, "messages", "Field required: at least one message.");
    if (c.system) { /* the field may stand behind the messages */
        c.system->next = out->messages;
        out->messages = c.system;
        out->message_count++;
    }
    if (arena_over(a))
        return problem(a, out_problem, ERR_LIMIT, SPAN(""), "The request is too large.");
    return ERR_OK;
}
