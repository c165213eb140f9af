/* OpenAI Responses at the door: a client's body becomes a chat_request. Everything but the input
 * items, which are openai_responses_input.c's.
 *
 * What a provider keeps for its callers (previous_response_id, conversation, stored prompts,
 * background answers that are fetched later) exists there only, so a request that leans on it is
 * refused by name. Tools that run at the provider are marked, and left out by the writers, which
 * say so. Knows no target. */
#include "dialect/openai_responses_internal.h"

#include "base/span.h"

/* ---- tools ---- */

struct chat_text or_joined_name(struct arena *a, struct json space, struct json name)
{
    if (json_str(space).len == 0)
        return text_of(name);
    const char *between = span_ends(json_str(space), SPAN("__")) ? "" : "__";
    return text_raw(arena_printf(a, "%.*s%s%.*s", SPAN_FMT(json_str(space)), between,
                                 SPAN_FMT(json_str(name))));
}

struct chat_text or_own_name(const struct chat_tool *t)
{
    size_t before = t->space.at.len;
    if (before && !span_ends(t->space.at, SPAN("__")))
        before += 2;
    return (struct chat_text){span_drop(t->name.at, before), t->name.escaped};
}

static struct chat_tool *tool_new(struct oc_reading *c, struct json v)
{
    struct chat_tool *t = arena_new(c->a, struct chat_tool);
    t->raw = json_raw(v);
    *c->tool_tail = t;
    c->tool_tail = &t->next;
    c->out->tool_count++;
    return t;
}

static enum err tool_function(struct oc_reading *c, struct json v, struct span where)
{
    return oc_function_tool(c, tool_new(c, v), v, where);
}

static enum err tool_custom(struct oc_reading *c, struct json v, struct span where)
{
    struct chat_tool *t = tool_new(c, v);
    t->wire_type = SPAN("custom");
    t->name = text_of(json_get(v, "name"));
    t->description = text_of(json_get(v, "description"));
    oc_read_grammar(t, json_get(v, "format"));
    if (chat_text_empty(t->name))
        return FAULT(c, where, "A custom tool needs a name.");
    return ERR_OK;
}

/* Its functions, by names that tell the namespace too. */
static enum err tool_namespace(struct oc_reading *c, struct json v, struct span where)
{
    struct json space = json_get(v, "name"), tools = json_get(v, "tools");
    enum err e = ERR_OK;
    if (!json_is(space, JSON_STRING) || !json_is(tools, JSON_ARRAY))
        return FAULT(c, where, "A namespace needs a name and an array of tools.");
    for (struct json f = json_first(tools); json_present(f) && e == ERR_OK;
         f = json_next(tools, f)) {
        struct chat_tool *t = tool_new(c, f);
        e = oc_function_tool(c, t, f, where);
        t->space = text_of(space);
        t->name = or_joined_name(c->a, space, json_get(f, "name"));
    }
    return e;
}

/* Runs at its provider, or is known by heart to its provider's models only. */
static void tool_hosted(struct oc_reading *c, struct json v, struct json type)
{
    struct chat_tool *t = tool_new(c, v);
    t->server = true;
    t->wire_type = json_str(type);
    t->name = text_of(type);
}

enum err or_read_tool(struct oc_reading *c, struct json v, struct span where)
{
    struct json type = json_get(v, "type");
    if (!json_is(type, JSON_STRING))
        return FAULT(c, where, "A tool is an object with a type.");
    if (json_str_is(type, "function"))
        return tool_function(c, v, where);
    if (json_str_is(type, "custom"))
        return tool_custom(c, v, where);
    if (json_str_is(type, "namespace"))
        return tool_namespace(c, v, where);
    tool_hosted(c, v, type);
    return ERR_OK;
}

static enum err read_tools(struct oc_reading *c, struct json v)
{
    if (!json_is(v, JSON_ARRAY))
        return FAULT(c, SPAN("tools"), "An array is expected here.");
    enum err e = ERR_OK;
    uint32_t at = 0;
    for (struct json t = json_first(v); json_present(t) && e == ERR_OK; t = json_next(v, t))
        e = or_read_tool(c, t, arena_printf(c->a, "tools[%u]", at++));
    return e;
}

static enum err read_tool_choice(struct oc_reading *c, struct json v)
{
    struct chat_request *r = c->out;
    struct json type = json_get(v, "type");
    if (!json_is(v, JSON_OBJECT))
        return oc_choice_word(c, v, SPAN("tool_choice"));
    if (json_str_is(type, "allowed_tools")) {
        c->allowed_tools = json_get(v, "tools");
        if (json_len(c->allowed_tools) > OC_ALLOWED_TOOLS_MAX)
            return FAULT(c, SPAN("tool_choice.tools"), "At most %d tools here.",
                         OC_ALLOWED_TOOLS_MAX);
        return oc_choice_word(c, json_get(v, "mode"), SPAN("tool_choice.mode"));
    }
    bool ours = json_str_is(type, "function") || json_str_is(type, "custom");
    if (!ours) { /* a tool of its provider's: it goes, and the choice with it */
        r->tool_choice = CHAT_CHOICE_AUTO;
        return ERR_OK;
    }
    if (!json_is(json_get(v, "name"), JSON_STRING))
        return FAULT(c, SPAN("tool_choice.name"), "The tool's name is missing.");
    r->tool_choice = CHAT_CHOICE_NAMED;
    r->tool_choice_name = or_joined_name(c->a, json_get(v, "namespace"), json_get(v, "name"));
    return ERR_OK;
}

/* ---- what only the provider has ---- */

static enum err refuse_previous(struct oc_reading *c, struct json v)
{
    (void)v;
    return FAULT(c, SPAN("previous_response_id"),
                 "The earlier turns are kept by the provider that answered them, and it is not "
                 "the one asked now. Send the whole conversation in input, with store false.");
}

static enum err refuse_conversation(struct oc_reading *c, struct json v)
{
    (void)v;
    return FAULT(c, SPAN("conversation"),
                 "The conversation is kept by the provider that holds it, and it is not the one "
                 "asked now. Send the whole conversation in input, with store false.");
}

static enum err refuse_prompt(struct oc_reading *c, struct json v)
{
    (void)v;
    return FAULT(c, SPAN("prompt"),
                 "A stored prompt exists at its provider only. Send its text as instructions.");
}

/* Known once the whole body is. A stream is an answer that the client hears now, whoever gives it:
 * the response says that it is not in the background. */
static enum err check_background(struct oc_reading *c, struct json root)
{
    if (!json_true(json_get(root, "background")) || json_true(json_get(root, "stream")))
        return ERR_OK;
    return FAULT(c, SPAN("background"),
                 "Only the provider can answer in the background. Send background false, or "
                 "stream true.");
}

static enum err pass_over(struct oc_reading *c, struct json v)
{
    (void)c, (void)v;
    return ERR_OK;
}

/* ---- the other fields ---- */

static void keep_extra(struct oc_reading *c, struct span name, struct span value)
{
    extra_add(c->a, c->out, name, value);
    while (*c->extra_tail)
        c->extra_tail = &(*c->extra_tail)->next;
}

static enum err read_input(struct oc_reading *c, struct json v)
{
    return or_read_input(c, v);
}

/* Stands before all input, wherever the member stands in the body. */
static enum err read_instructions(struct oc_reading *c, struct json v)
{
    if (!json_is(v, JSON_STRING))
        return FAULT(c, SPAN("instructions"), "instructions is a string.");
    if (json_str(v).len == 0)
        return ERR_OK;
    struct chat_message *m = arena_new(c->a, struct chat_message);
    m->role = CHAT_SYSTEM;
    m->was_string = true;
    m->blocks = arena_new(c->a, struct chat_block);
    m->blocks->type = CHAT_TEXT;
    m->blocks->text = text_of(v);
    m->next = c->out->messages;
    if (!m->next)
        c->message_tail = &m->next;
    c->out->messages = m;
    c->out->message_count++;
    return ERR_OK;
}

static enum err read_max_output_tokens(struct oc_reading *c, struct json v)
{
    if (json_i64(v, &c->out->max_tokens) != ERR_OK || c->out->max_tokens < 0)
        return FAULT(c, SPAN("max_output_tokens"),
                     "A whole number, not negative, is expected here.");
    return ERR_OK;
}

static enum err read_reasoning(struct oc_reading *c, struct json v)
{
    struct json effort = json_get(v, "effort");
    if (!json_is(v, JSON_OBJECT))
        return FAULT(c, SPAN("reasoning"), "reasoning is an object.");
    if (!json_useful(effort))
        return ERR_OK;
    if (!json_is(effort, JSON_STRING))
        return FAULT(c, SPAN("reasoning.effort"), "reasoning.effort is a word such as low.");
    c->out->effort = text_of(effort);
    c->out->thinking = json_str_is(effort, "none") ? CHAT_THINKING_OFF : CHAT_THINKING_ADAPTIVE;
    return ERR_OK;
}

static enum err read_format(struct oc_reading *c, struct json format)
{
    struct chat_request *r = c->out;
    struct json type = json_get(format, "type");
    if (json_str_is(type, "text")) {
        r->format = CHAT_FORMAT_TEXT;
    } else if (json_str_is(type, "json_object")) {
        r->format = CHAT_FORMAT_JSON;
    } else if (json_str_is(type, "json_schema")) {
        if (!json_is(json_get(format, "schema"), JSON_OBJECT))
            return FAULT(c, SPAN("text.format.schema"), "A schema is an object.");
        oc_take_schema(r, format);
    } else {
        return FAULT(c, SPAN("text.format.type"), "It is text, json_object or json_schema.");
    }
    return ERR_OK;
}

static enum err read_text(struct oc_reading *c, struct json v)
{
    struct json format = json_get(v, "format"), verbosity = json_get(v, "verbosity");
    if (!json_is(v, JSON_OBJECT))
        return FAULT(c, SPAN("text"), "text is an object.");
    if (json_useful(verbosity))
        keep_extra(c, SPAN("verbosity"), json_raw(verbosity));
    return json_useful(format) ? read_format(c, format) : ERR_OK;
}

/* More of what is answered; only logprobs are a loss of their own. The tools' results go with their
 * tools, and encrypted reasoning means something at its provider only. */
static enum err read_include(struct oc_reading *c, struct json v)
{
    for (struct json i = json_first(v); json_present(i); i = json_next(v, i)) {
        if (json_str_is(i, "message.output_text.logprobs"))
            keep_extra(c, SPAN("logprobs"), SPAN("true"));
    }
    return ERR_OK;
}

static const struct oc_field fields[] = {
    {"input", read_input},
    {"instructions", read_instructions},
    {"tools", read_tools},
    {"tool_choice", read_tool_choice},
    {"parallel_tool_calls", oc_read_parallel},
    {"max_output_tokens", read_max_output_tokens},
    {"reasoning", read_reasoning},
    {"text", read_text},
    {"include", read_include},
    {"safety_identifier", oc_read_safety_identifier},
    {"previous_response_id", refuse_previous},
    {"conversation", refuse_conversation},
    {"prompt", refuse_prompt},
    {"background", pass_over},
    {NULL, NULL},
};

/* What the response object says again. */
static void keep_echo(struct oc_reading *c, struct json member)
{
    static const char *const echoed[] = {"instructions", "text", "reasoning", "tool_choice"};
    for (size_t i = 0; i < ARRAY_LEN(echoed); i++)
        if (json_useful(member) && span_is(json_key(member), echoed[i]))
            keep_extra(c, json_key(member), json_raw(member));
}

enum err or_read_request(struct arena *a, const struct json_doc *doc, struct chat_request *out,
                         struct chat_problem *out_problem)
{
    struct oc_reading c;
    oc_reading_init(&c, a, out, out_problem);
    c.list = "input";
    out->origin = "openai-responses";
    out->include_usage = true; /* every answer has it */
    struct json root = json_root(doc);
    if (!json_is(root, JSON_OBJECT))
        return FAULT(&c, SPAN_EMPTY, "The body is a JSON object.");
    for (struct json m = json_first(root); json_present(m); m = json_next(root, m)) {
        enum err e = oc_read_member(&c, fields, m);
        if (e != ERR_OK)
            return e;
        keep_echo(&c, m);
    }
    if (!json_useful(json_get(root, "input")))
        return FAULT(&c, SPAN("input"), "input is missing.");
    enum err e = check_background(&c, root);
    if (e != ERR_OK)
        return e;
    e = or_read_brought_tools(&c, json_get(root, "input"));
    return e == ERR_OK ? oc_read_finish(&c) : e;
}
