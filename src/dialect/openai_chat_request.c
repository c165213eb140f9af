/* OpenAI Chat Completions at the door: a client's body becomes a chat_request.
 *
 * One table says which member is read by which function; a member nobody reads is kept as an extra,
 * null counts as absent. Checked is what we must understand to translate; what only the provider
 * judges (ranges, model names) is left to it. tool and function messages in a row become blocks of
 * one USER message, which the user message behind them joins: Anthropic's grain, and exactly
 * undone by openai_chat_messages.c. Knows no target. */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

#define CALL_ID_LEGACY "call_function_" /* functions had no ids; ours only have to be unique */

void oc_reading_init(struct oc_reading *c, struct arena *a, struct chat_request *out,
                     struct chat_problem *out_problem)
{
    *out = (struct chat_request){.max_tokens = -1, .choices = 1, .origin = "openai-chat"};
    *c = (struct oc_reading){.a = a, .out = out, .problem = out_problem, .part_at = OC_NO_PART};
    c->list = "messages";
    c->message_tail = &out->messages;
    c->extra_tail = &out->extras;
    c->tool_tail = &out->tools;
}

/* ---- messages ---- */

struct chat_message *oc_message_new(struct oc_reading *c, enum chat_role role)
{
    struct chat_message *m = arena_new(c->a, struct chat_message);
    m->role = role;
    *c->message_tail = m;
    c->message_tail = &m->next;
    c->block_tail = &m->blocks;
    c->out->message_count++;
    return m;
}

struct chat_block *oc_block_new(struct oc_reading *c, enum chat_block_type type)
{
    struct chat_block *b = arena_new(c->a, struct chat_block);
    b->type = type;
    *c->block_tail = b;
    c->block_tail = &b->next;
    return b;
}

static enum err part_text(struct oc_reading *c, struct json part)
{
    struct json text = json_get(part, "text");
    if (!json_is(text, JSON_STRING))
        return FAULT_HERE(c, "text", "A text part needs its text as a string.");
    oc_block_new(c, CHAT_TEXT)->text = text_of(text);
    return ERR_OK;
}

/* {"image_url": {"url", "detail"}}; Mistral also takes the bare string. */
static enum err part_image(struct oc_reading *c, struct json part)
{
    struct json image = json_get(part, "image_url");
    struct json url = json_is(image, JSON_STRING) ? image : json_get(image, "url");
    if (!json_is(url, JSON_STRING) || json_str(url).len == 0)
        return FAULT_HERE(c, "image_url.url", "An image part needs its URL as a string.");
    struct chat_block *b = oc_block_new(c, CHAT_IMAGE);
    oc_source_of_url(&b->source, text_of(url));
    b->detail = json_str(json_get(image, "detail"));
    return ERR_OK;
}

static enum err part_file(struct oc_reading *c, struct json part)
{
    struct json file = json_get(part, "file");
    struct json data = json_get(file, "file_data"), id = json_get(file, "file_id");
    if (!json_is(data, JSON_STRING) && !json_is(id, JSON_STRING))
        return FAULT_HERE(c, "file", "A file part needs file_data or file_id as a string.");
    struct chat_block *b = oc_block_new(c, CHAT_DOCUMENT);
    b->name = text_of(json_get(file, "filename"));
    if (!json_is(data, JSON_STRING))
        b->source = (struct chat_source){.kind = CHAT_SOURCE_FILE, .data = text_of(id)};
    else
        oc_source_of_file(&b->source, text_of(data));
    return ERR_OK;
}

/* Mistral's own document part. */
static enum err part_document_url(struct oc_reading *c, struct json part)
{
    struct json url = json_get(part, "document_url");
    if (!json_is(url, JSON_STRING))
        return FAULT_HERE(c, "document_url", "A document part needs its URL as a string.");
    struct chat_block *b = oc_block_new(c, CHAT_DOCUMENT);
    b->name = text_of(json_get(part, "document_name"));
    oc_source_of_url(&b->source, text_of(url));
    return ERR_OK;
}

/* Mistral's thinking part: a string, or an array of text parts. */
static enum err part_thinking(struct oc_reading *c, struct json part)
{
    struct json thinking = json_get(part, "thinking");
    if (json_is(thinking, JSON_STRING))
        oc_block_new(c, CHAT_THINKING)->text = text_of(thinking);
    for (struct json t = json_first(thinking); json_present(t); t = json_next(thinking, t)) {
        if (json_is(json_get(t, "text"), JSON_STRING))
            oc_block_new(c, CHAT_THINKING)->text = text_of(json_get(t, "text"));
    }
    return ERR_OK;
}

static const struct oc_field part_types[] = {
    {"text", part_text},
    {"image_url", part_image},
    {"input_audio", oc_part_audio},
    {"file", part_file},
    {"refusal", oc_part_refusal},
    {"document_url", part_document_url},
    {"thinking", part_thinking},
    {NULL, NULL},
};

static enum err read_part(struct oc_reading *c, struct json part)
{
    struct chat_block **first = c->block_tail;
    enum err e = oc_read_part(c, part_types, part);
    if (e != ERR_OK || !*first)
        return e;
    (*first)->raw = json_raw(part);
    (*first)->cached = (*first)->cached || json_useful(json_get(part, "cache_control"));
    return ERR_OK;
}

/* content: string, array of parts, or null where `may_be_null`. */
static enum err read_content(struct oc_reading *c, struct json content, bool may_be_null)
{
    if (json_is(content, JSON_STRING) || json_is(content, JSON_ARRAY))
        return oc_read_content(c, content, read_part);
    if (may_be_null && !json_useful(content))
        return ERR_OK;
    return FAULT_HERE(c, "content", "Content is a string or an array of parts.");
}

static enum err message_system(struct oc_reading *c, struct json m)
{
    struct chat_message *to = oc_message_new(c, CHAT_SYSTEM);
    to->name = text_of(json_get(m, "name"));
    to->was_string = json_is(json_get(m, "content"), JSON_STRING);
    return read_content(c, json_get(m, "content"), false);
}

static enum err message_user(struct oc_reading *c, struct json m)
{
    struct chat_message *to = c->results ? c->results : oc_message_new(c, CHAT_USER);
    to->was_string = !c->results && json_is(json_get(m, "content"), JSON_STRING);
    to->name = text_of(json_get(m, "name"));
    return read_content(c, json_get(m, "content"), false);
}

/* The answer to one tool call, added to the turn that collects them. */
static enum err tool_result(struct oc_reading *c, struct json m, struct chat_text id)
{
    struct chat_message *turn = c->results ? c->results : oc_message_new(c, CHAT_USER);
    struct chat_block *b = oc_block_new(c, CHAT_TOOL_RESULT);
    b->id = id;
    b->name = text_of(json_get(m, "name"));
    struct chat_block **tail = c->block_tail;
    c->block_tail = &b->content;
    enum err e = read_content(c, json_get(m, "content"), true);
    c->block_tail = tail;
    c->results_next = turn;
    return e;
}

static enum err message_tool(struct oc_reading *c, struct json m)
{
    struct json id = json_get(m, "tool_call_id");
    if (!json_is(id, JSON_STRING) || json_str(id).len == 0)
        return FAULT_HERE(c, "tool_call_id", "A tool message names the call it answers.");
    return tool_result(c, m, text_of(id));
}

static enum err message_function(struct oc_reading *c, struct json m)
{
    if (chat_text_empty(c->call_id))
        return FAULT_HERE(c, "role", "A function message answers a function_call before it.");
    return tool_result(c, m, c->call_id);
}

static struct chat_block *tool_use(struct oc_reading *c, struct chat_text id, struct json function,
                                   const char *input)
{
    struct json arguments = json_get(function, input);
    struct chat_block *b = oc_block_new(c, CHAT_TOOL_USE);
    b->id = id;
    b->name = text_of(json_get(function, "name"));
    /* Arguments are JSON text inside a string; some clients send the object itself. */
    b->input =
        json_is(arguments, JSON_OBJECT) ? text_from_plain(json_raw(arguments)) : text_of(arguments);
    return b;
}

static enum err read_tool_call(struct oc_reading *c, struct json call, uint32_t at)
{
    bool custom = json_str_is(json_get(call, "type"), "custom");
    struct json body = json_get(call, custom ? "custom" : "function");
    struct json id = json_get(call, "id");
    if (!json_is(json_get(body, "name"), JSON_STRING) || !json_is(id, JSON_STRING))
        return FAULT(c, arena_printf(c->a, "messages[%u].tool_calls[%u]", c->message_at, at),
                     "A tool call needs an id and a function with a name.");
    struct chat_block *b = tool_use(c, text_of(id), body, custom ? "input" : "arguments");
    b->custom = custom;
    return ERR_OK;
}

static void legacy_call(struct oc_reading *c, struct json call)
{
    if (!json_is(json_get(call, "name"), JSON_STRING))
        return;
    c->call_id = text_from_plain(arena_printf(c->a, CALL_ID_LEGACY "%u", c->made_ids++));
    (void)tool_use(c, c->call_id, call, "arguments"); /* already in the message */
}

/* Reasoning the client carries back: OpenRouter's blocks keep the signature, the plain fields do
 * not. */
static void read_reasoning(struct oc_reading *c, struct json m)
{
    struct json details = json_get(m, "reasoning_details");
    bool any = false;
    for (struct json d = json_first(details); json_present(d); d = json_next(details, d)) {
        struct json text = json_get(d, "text");
        if (!json_is(text, JSON_STRING) || json_str(text).len == 0)
            continue;
        struct chat_block *b = oc_block_new(c, CHAT_THINKING);
        b->text = text_of(text);
        b->signature = text_of(json_get(d, "signature"));
        any = true;
    }
    struct json plain = json_get(m, "reasoning_content");
    if (json_str(plain).len == 0)
        plain = json_get(m, "reasoning");
    if (!any && json_str(plain).len)
        oc_block_new(c, CHAT_THINKING)->text = text_of(plain);
}

static enum err message_assistant(struct oc_reading *c, struct json m)
{
    struct chat_message *to = oc_message_new(c, CHAT_ASSISTANT);
    struct json content = json_get(m, "content"), refusal = json_get(m, "refusal");
    to->name = text_of(json_get(m, "name"));
    to->was_string = json_is(content, JSON_STRING);
    read_reasoning(c, m);
    enum err e = read_content(c, content, true);
    if (json_str(refusal).len)
        oc_block_new(c, CHAT_REFUSAL)->text = text_of(refusal);
    struct json calls = json_get(m, "tool_calls");
    uint32_t at = 0;
    for (struct json k = json_first(calls); json_present(k) && e == ERR_OK; k = json_next(calls, k))
        e = read_tool_call(c, k, at++);
    legacy_call(c, json_get(m, "function_call"));
    return e;
}

static const struct {
    const char *role;
    enum err (*read)(struct oc_reading *c, struct json m);
} roles[] = {
    {"user", message_user},     {"assistant", message_assistant}, {"tool", message_tool},
    {"system", message_system}, {"developer", message_system},    {"function", message_function},
};

static enum err read_message(struct oc_reading *c, struct json m)
{
    struct json role = json_get(m, "role");
    if (!json_is(role, JSON_STRING))
        return FAULT_HERE(c, "role", "A message is an object with a role.");
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (!json_str_is(role, roles[i].role))
            continue;
        c->results_next = NULL;
        enum err e = roles[i].read(c, m);
        c->results = c->results_next;
        return e;
    }
    return FAULT_HERE(c, "role",
                      "Role is one of system, developer, user, assistant, tool and function.");
}

static enum err read_messages(struct oc_reading *c, struct json v)
{
    if (!json_is(v, JSON_ARRAY) || json_len(v) == 0)
        return FAULT(c, SPAN("messages"), "messages is an array of at least one message.");
    enum err e = ERR_OK;
    for (struct json m = json_first(v); json_present(m) && e == ERR_OK; m = json_next(v, m)) {
        e = read_message(c, m);
        c->message_at++;
    }
    return e;
}

/* ---- tools ---- */

/* {name, description, parameters, strict}: a function tool's inside, or a legacy function. */
enum err oc_function_tool(struct oc_reading *c, struct chat_tool *t, struct json f,
                          struct span where)
{
    struct json name = json_get(f, "name"), strict = json_get(f, "strict");
    struct json schema = json_get(f, "parameters");
    if (!json_is(name, JSON_STRING) || json_str(name).len == 0)
        return FAULT(c, arena_printf(c->a, "%.*s.name", SPAN_FMT(where)),
                     "A function tool needs a name.");
    if (json_useful(schema) && !json_is(schema, JSON_OBJECT))
        return FAULT(c, arena_printf(c->a, "%.*s.parameters", SPAN_FMT(where)),
                     "Parameters are a JSON Schema, which is an object.");
    t->name = text_of(name);
    t->description = text_of(json_get(f, "description"));
    t->schema = json_useful(schema) ? json_raw(schema) : SPAN_EMPTY;
    if (json_useful(strict))
        t->strict = json_true(strict) ? CHAT_YES : CHAT_NO;
    return ERR_OK;
}

static enum err read_tool(struct oc_reading *c, struct chat_tool *t, struct json v, uint32_t at)
{
    struct json type = json_get(v, "type"), function = json_get(v, "function");
    t->raw = json_raw(v);
    t->cached = json_useful(json_get(v, "cache_control"));
    if (json_is(function, JSON_OBJECT))
        return oc_function_tool(c, t, function, arena_printf(c->a, "tools[%u].function", at));
    if (!json_is(type, JSON_STRING) || json_str_is(type, "function"))
        return FAULT(c, arena_printf(c->a, "tools[%u].function", at),
                     "A tool is an object with a type and, for functions, a function.");
    t->wire_type = json_str(type);
    if (!json_str_is(type, "custom")) {
        t->server = true; /* "openrouter:web_search": runs at its provider */
        return ERR_OK;
    }
    struct json custom = json_get(v, "custom");
    t->name = text_of(json_get(custom, "name"));
    t->description = text_of(json_get(custom, "description"));
    oc_read_grammar(t, json_path(custom, "format.grammar"));
    if (chat_text_empty(t->name))
        return FAULT(c, arena_printf(c->a, "tools[%u].custom.name", at),
                     "A custom tool needs a name.");
    return ERR_OK;
}

static enum err read_tools_with(struct oc_reading *c, struct json v, bool legacy)
{
    if (!json_is(v, JSON_ARRAY))
        return FAULT(c, legacy ? SPAN("functions") : SPAN("tools"), "An array is expected here.");
    enum err e = ERR_OK;
    uint32_t at = 0;
    for (struct json m = json_first(v); json_present(m) && e == ERR_OK; m = json_next(v, m)) {
        struct chat_tool *t = arena_new(c->a, struct chat_tool);
        e = legacy ? oc_function_tool(c, t, m, arena_printf(c->a, "functions[%u]", at))
                   : read_tool(c, t, m, at);
        t->raw = json_raw(m);
        *c->tool_tail = t;
        c->tool_tail = &t->next;
        at++;
    }
    c->out->tool_count += at;
    return e;
}

static enum err read_tools(struct oc_reading *c, struct json v)
{
    return read_tools_with(c, v, false);
}

static enum err read_functions(struct oc_reading *c, struct json v)
{
    c->out->legacy_functions = true;
    return read_tools_with(c, v, true);
}

void oc_read_grammar(struct chat_tool *t, struct json grammar)
{
    t->grammar = text_of(json_get(grammar, "definition"));
    t->grammar_syntax = json_str(json_get(grammar, "syntax"));
}

enum err oc_choice_word(struct oc_reading *c, struct json v, struct span param)
{
    struct chat_request *r = c->out;
    if (json_str_is(v, "none"))
        r->tool_choice = CHAT_CHOICE_NONE;
    else if (json_str_is(v, "auto"))
        r->tool_choice = CHAT_CHOICE_AUTO;
    else if (json_str_is(v, "required") || json_str_is(v, "any")) /* Mistral says any */
        r->tool_choice = CHAT_CHOICE_ANY;
    else
        return FAULT(c, param, "It is none, auto, required, or an object that names a tool.");
    return ERR_OK;
}

static enum err read_tool_choice(struct oc_reading *c, struct json v)
{
    if (!json_is(v, JSON_OBJECT))
        return oc_choice_word(c, v, SPAN("tool_choice"));
    struct json allowed = json_get(v, "allowed_tools");
    if (json_is(allowed, JSON_OBJECT)) {
        c->allowed_tools = json_get(allowed, "tools");
        if (json_len(c->allowed_tools) > OC_ALLOWED_TOOLS_MAX)
            return FAULT(c, SPAN("tool_choice.allowed_tools.tools"), "At most %d tools here.",
                         OC_ALLOWED_TOOLS_MAX);
        return oc_choice_word(c, json_get(allowed, "mode"), SPAN("tool_choice.allowed_tools.mode"));
    }
    struct json name = json_path(v, "function.name");
    if (!json_present(name))
        name = json_path(v, "custom.name");
    if (!json_is(name, JSON_STRING))
        return FAULT(c, SPAN("tool_choice.function.name"), "The tool's name is missing.");
    c->out->tool_choice = CHAT_CHOICE_NAMED;
    c->out->tool_choice_name = text_of(name);
    return ERR_OK;
}

/* Legacy: none, auto or {"name"}. */
static enum err read_function_call(struct oc_reading *c, struct json v)
{
    if (!json_is(v, JSON_OBJECT))
        return oc_choice_word(c, v, SPAN("function_call"));
    c->out->tool_choice = CHAT_CHOICE_NAMED;
    c->out->tool_choice_name = text_of(json_get(v, "name"));
    return ERR_OK;
}

static bool allowed_has(struct json allowed, struct chat_text name)
{
    for (struct json t = json_first(allowed); json_present(t); t = json_next(allowed, t)) {
        struct json f = json_path(t, "function.name");
        if (!json_present(f))
            f = json_path(t, "custom.name");
        if (!json_present(f))
            f = json_get(t, "name"); /* Responses */
        if (json_is(f, JSON_STRING) && text_eq(text_of(f), name))
            return true;
    }
    return false;
}

/* allowed_tools restricts the list for this turn; elsewhere the list is all there is. */
static void keep_allowed_tools(struct oc_reading *c)
{
    if (!json_is(c->allowed_tools, JSON_ARRAY))
        return;
    for (struct chat_tool **at = &c->out->tools; *at;) {
        if (allowed_has(c->allowed_tools, (*at)->name)) {
            at = &(*at)->next;
        } else {
            *at = (*at)->next;
            c->out->tool_count--;
        }
    }
}

/* ---- the other fields ---- */

static enum err read_model(struct oc_reading *c, struct json v)
{
    if (!json_is(v, JSON_STRING) || json_str(v).len == 0)
        return FAULT(c, SPAN("model"), "model is the name of a model.");
    c->out->model = text_of(v);
    return ERR_OK;
}

static enum err read_count(struct oc_reading *c, struct json v, const char *name, int64_t *out)
{
    if (json_i64(v, out) != ERR_OK || *out < 0)
        return FAULT(c, span_from(name), "A whole number, not negative, is expected here.");
    return ERR_OK;
}

static enum err read_max_tokens(struct oc_reading *c, struct json v)
{
    int64_t n;
    enum err e = read_count(c, v, "max_tokens", &n);
    if (e == ERR_OK && !c->has_completion_tokens)
        c->out->max_tokens = n;
    return e;
}

static enum err read_max_completion_tokens(struct oc_reading *c, struct json v)
{
    c->has_completion_tokens = true; /* the newer spelling wins */
    return read_count(c, v, "max_completion_tokens", &c->out->max_tokens);
}

static enum err read_number(struct oc_reading *c, struct json v, const char *name, struct span *out)
{
    if (!json_is(v, JSON_NUMBER))
        return FAULT(c, span_from(name), "A number is expected here.");
    *out = json_raw(v);
    return ERR_OK;
}

static enum err read_temperature(struct oc_reading *c, struct json v)
{
    return read_number(c, v, "temperature", &c->out->temperature);
}

static enum err read_top_p(struct oc_reading *c, struct json v)
{
    return read_number(c, v, "top_p", &c->out->top_p);
}

static enum err read_top_k(struct oc_reading *c, struct json v)
{
    return read_number(c, v, "top_k", &c->out->top_k);
}

static enum err read_bool(struct oc_reading *c, struct json v, const char *name, bool *out)
{
    if (!json_is(v, JSON_TRUE) && !json_is(v, JSON_FALSE))
        return FAULT(c, span_from(name), "true or false is expected here.");
    *out = json_true(v);
    return ERR_OK;
}

static enum err read_stream(struct oc_reading *c, struct json v)
{
    return read_bool(c, v, "stream", &c->out->stream);
}

static enum err read_stream_options(struct oc_reading *c, struct json v)
{
    struct json usage = json_get(v, "include_usage");
    if (!json_useful(usage))
        return ERR_OK;
    return read_bool(c, usage, "stream_options.include_usage", &c->out->include_usage);
}

enum err oc_read_parallel(struct oc_reading *c, struct json v)
{
    bool yes = false;
    enum err e = read_bool(c, v, "parallel_tool_calls", &yes);
    if (e == ERR_OK)
        c->out->parallel_tools = yes ? CHAT_YES : CHAT_NO;
    return e;
}

static enum err read_stop(struct oc_reading *c, struct json v)
{
    struct chat_text_list *to = &c->out->stop;
    bool one = json_is(v, JSON_STRING);
    if (!one && !json_is(v, JSON_ARRAY))
        return FAULT(c, SPAN("stop"), "stop is a string or an array of strings.");
    to->at = arena_array(c->a, struct chat_text, one ? 1 : json_len(v) + 1);
    if (one)
        to->at[to->count++] = text_of(v);
    for (struct json s = json_first(v); json_present(s); s = json_next(v, s)) {
        if (!json_is(s, JSON_STRING))
            return FAULT(c, SPAN("stop"), "stop is a string or an array of strings.");
        if (json_str(s).len)
            to->at[to->count++] = text_of(s);
    }
    return ERR_OK;
}

static enum err read_n(struct oc_reading *c, struct json v)
{
    enum err e = read_count(c, v, "n", &c->out->choices);
    if (e == ERR_OK && c->out->choices == 0)
        return FAULT(c, SPAN("n"), "n is at least 1.");
    return e;
}

static enum err read_user(struct oc_reading *c, struct json v)
{
    if (!c->has_safety_identifier)
        c->out->user_id = text_of(v);
    return ERR_OK;
}

enum err oc_read_safety_identifier(struct oc_reading *c, struct json v)
{
    c->has_safety_identifier = json_is(v, JSON_STRING); /* the newer spelling wins */
    c->out->user_id = text_of(v);
    return ERR_OK;
}

void oc_take_schema(struct chat_request *r, struct json wanted)
{
    struct json strict = json_get(wanted, "strict");
    r->format = CHAT_FORMAT_SCHEMA;
    r->format_schema = json_raw(json_get(wanted, "schema"));
    r->format_name = text_of(json_get(wanted, "name"));
    if (json_useful(strict))
        r->format_strict = json_true(strict) ? CHAT_YES : CHAT_NO;
}

static enum err read_response_format(struct oc_reading *c, struct json v)
{
    struct chat_request *r = c->out;
    struct json type = json_get(v, "type"), wanted = json_get(v, "json_schema");
    if (json_str_is(type, "text")) {
        r->format = CHAT_FORMAT_TEXT;
    } else if (json_str_is(type, "json_object")) {
        r->format = CHAT_FORMAT_JSON;
    } else if (json_str_is(type, "json_schema")) {
        if (!json_is(json_get(wanted, "schema"), JSON_OBJECT))
            return FAULT(c, SPAN("response_format.json_schema.schema"),
                         "A schema is an object in response_format.json_schema.");
        oc_take_schema(r, wanted);
    } else {
        return FAULT(c, SPAN("response_format.type"), "It is text, json_object or json_schema.");
    }
    return ERR_OK;
}

/* An effort is a wish for adaptive thinking of that strength; "none" is a wish for none. */
static enum err read_effort(struct oc_reading *c, struct json v)
{
    if (!json_is(v, JSON_STRING))
        return FAULT(c, SPAN("reasoning_effort"), "reasoning_effort is a word such as low.");
    c->out->effort = text_of(v);
    c->out->thinking = json_str_is(v, "none") ? CHAT_THINKING_OFF : CHAT_THINKING_ADAPTIVE;
    return ERR_OK;
}

/* OpenRouter: {"effort"}, {"max_tokens"} or {"enabled"}. */
static enum err read_reasoning_object(struct oc_reading *c, struct json v)
{
    if (json_is(json_get(v, "effort"), JSON_STRING))
        return read_effort(c, json_get(v, "effort"));
    if (json_i64(json_get(v, "max_tokens"), &c->out->thinking_budget) == ERR_OK)
        c->out->thinking = CHAT_THINKING_BUDGET;
    else if (json_useful(json_get(v, "enabled")))
        c->out->thinking =
            json_true(json_get(v, "enabled")) ? CHAT_THINKING_ADAPTIVE : CHAT_THINKING_OFF;
    return ERR_OK;
}

/* DeepSeek, Z.ai: {"type": "enabled" or "disabled"}. */
static enum err read_thinking_object(struct oc_reading *c, struct json v)
{
    if (json_str_is(json_get(v, "type"), "enabled"))
        c->out->thinking = CHAT_THINKING_ADAPTIVE;
    else if (json_str_is(json_get(v, "type"), "disabled"))
        c->out->thinking = CHAT_THINKING_OFF;
    return ERR_OK;
}

static const struct oc_field shared_fields[] = {
    {"model", read_model},
    {"stream", read_stream},
    {"max_tokens", read_max_tokens},
    {"temperature", read_temperature},
    {"top_p", read_top_p},
    {"stop", read_stop},
    {"stream_options", read_stream_options},
    {"top_k", read_top_k},
    {"n", read_n},
    {"user", read_user},
    {NULL, NULL},
};
static const struct oc_field chat_fields[] = {
    {"messages", read_messages},
    {"tools", read_tools},
    {"tool_choice", read_tool_choice},
    {"max_completion_tokens", read_max_completion_tokens},
    {"parallel_tool_calls", oc_read_parallel},
    {"response_format", read_response_format},
    {"reasoning_effort", read_effort},
    {"reasoning", read_reasoning_object},
    {"thinking", read_thinking_object},
    {"safety_identifier", oc_read_safety_identifier},
    {"functions", read_functions},
    {"function_call", read_function_call},
    {NULL, NULL},
};

static const struct oc_field *find_field(const struct oc_field *rows, struct span key)
{
    for (; rows->name; rows++) {
        if (span_is(key, rows->name))
            return rows;
    }
    return NULL;
}

enum err oc_read_member(struct oc_reading *c, const struct oc_field *own, struct json member)
{
    if (!json_useful(member))
        return ERR_OK;
    struct span key = json_key(member);
    const struct oc_field *f = find_field(own, key);
    if (!f)
        f = find_field(shared_fields, key);
    if (f)
        return f->read(c, member);
    struct chat_extra *x = arena_new(c->a, struct chat_extra);
    x->name = key;
    x->value = json_raw(member);
    *c->extra_tail = x;
    c->extra_tail = &x->next;
    return ERR_OK;
}

enum err oc_read_finish(struct oc_reading *c)
{
    if (chat_text_empty(c->out->model))
        return FAULT(c, SPAN("model"), "model is missing.");
    if (!c->out->messages)
        return FAULT(c, SPAN("messages"), "messages is missing.");
    keep_allowed_tools(c);
    return arena_over(c->a) ? ERR_LIMIT : ERR_OK;
}

enum err oc_read_request(struct arena *a, const struct json_doc *doc, struct chat_request *out,
                         struct chat_problem *out_problem)
{
    struct oc_reading c;
    oc_reading_init(&c, a, out, out_problem);
    struct json root = json_root(doc);
    if (!json_is(root, JSON_OBJECT))
        return FAULT(&c, SPAN_EMPTY, "The body is a JSON object.");
    for (struct json m = json_first(root); json_present(m); m = json_next(root, m)) {
        enum err e = oc_read_member(&c, chat_fields, m);
        if (e != ERR_OK)
            return e;
    }
    return oc_read_finish(&c);
}
