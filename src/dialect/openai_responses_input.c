/* The input items of a Responses request, read into messages.
 *
 * Items are finer than turns: an assistant's texts, reasoning and calls come one by one, as do the
 * outputs of its calls. Items of one side in a row become one message, which is Anthropic's grain,
 * and exactly undone by openai_responses_items.c. What a provider ran itself (web_search_call and
 * its kin) is kept as a block that the writers leave out and name. */
#include "dialect/openai_responses_internal.h"

#include "base/span.h"

#define BROUGHT_TOOLS_MAX 256 /* each is looked for among all tools */

/* The message that takes what comes next: the last one while it is of the same side. */
static struct chat_message *turn(struct oc_reading *c, enum chat_role role)
{
    if (!c->results || c->results->role != role || role == CHAT_SYSTEM)
        c->results = oc_message_new(c, role);
    else
        c->results->was_string = false;
    return c->results;
}

/* ---- parts ---- */

static enum err part_text(struct oc_reading *c, struct json part)
{
    struct json text = json_get(part, "text");
    if (!json_is(text, JSON_STRING))
        return FAULT_HERE(c, "text", "A text part needs its text as a string.");
    if (json_str(text).len)
        oc_block_new(c, CHAT_TEXT)->text = text_of(text);
    return ERR_OK;
}

/* A file by what it is given by: a data: URL, an address, or an id of its provider's. */
static bool source_of(struct chat_source *to, struct json url, struct json id)
{
    if (json_str(url).len)
        oc_source_of_url(to, text_of(url));
    else if (json_str(id).len)
        *to = (struct chat_source){.kind = CHAT_SOURCE_FILE, .data = text_of(id)};
    return to->kind != CHAT_SOURCE_NONE;
}

static enum err part_image(struct oc_reading *c, struct json part)
{
    struct chat_block *b = oc_block_new(c, CHAT_IMAGE);
    if (!source_of(&b->source, json_get(part, "image_url"), json_get(part, "file_id")))
        return FAULT_HERE(c, "image_url", "An image part needs image_url or file_id as a string.");
    b->detail = json_str(json_get(part, "detail"));
    return ERR_OK;
}

static enum err part_file(struct oc_reading *c, struct json part)
{
    struct json data = json_get(part, "file_data"), url = json_get(part, "file_url");
    struct chat_block *b = oc_block_new(c, CHAT_DOCUMENT);
    b->name = text_of(json_get(part, "filename"));
    if (json_str(data).len)
        oc_source_of_file(&b->source, text_of(data));
    else if (!source_of(&b->source, url, json_get(part, "file_id")))
        return FAULT_HERE(c, "file_data",
                          "A file part needs file_data, file_url or file_id as a string.");
    return ERR_OK;
}

static const struct oc_field part_types[] = {
    {"input_text", part_text},
    {"output_text", part_text},
    {"text", part_text},
    {"input_image", part_image},
    {"input_file", part_file},
    {"refusal", oc_part_refusal},
    {"input_audio", oc_part_audio},
    {NULL, NULL},
};

static enum err read_part(struct oc_reading *c, struct json part)
{
    return oc_read_part(c, part_types, part);
}

static enum err read_content(struct oc_reading *c, struct json content, const char *field)
{
    if (json_is(content, JSON_STRING) || json_is(content, JSON_ARRAY))
        return oc_read_content(c, content, read_part);
    return FAULT_HERE(c, field, "It is a string or an array of parts.");
}

/* ---- items ---- */

static enum err item_message(struct oc_reading *c, struct json item)
{
    static const struct {
        const char *word;
        enum chat_role role;
    } roles[] = {{"user", CHAT_USER},
                 {"assistant", CHAT_ASSISTANT},
                 {"system", CHAT_SYSTEM},
                 {"developer", CHAT_SYSTEM}};
    struct json content = json_get(item, "content");
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (!json_str_is(json_get(item, "role"), roles[i].word))
            continue;
        struct chat_message *m = turn(c, roles[i].role);
        m->was_string = !m->blocks && json_is(content, JSON_STRING);
        return read_content(c, content, "content");
    }
    return FAULT_HERE(c, "role", "It is user, assistant, system or developer.");
}

static enum err read_call(struct oc_reading *c, struct json item, const char *input, bool custom)
{
    struct json id = json_get(item, "call_id"), name = json_get(item, "name");
    struct json arguments = json_get(item, input);
    if (!json_is(id, JSON_STRING) || !json_is(name, JSON_STRING))
        return FAULT_HERE(c, "", "A call needs call_id and name.");
    (void)turn(c, CHAT_ASSISTANT);
    struct chat_block *b = oc_block_new(c, CHAT_TOOL_USE);
    b->id = text_of(id);
    b->name = or_joined_name(c->a, json_get(item, "namespace"), name);
    b->custom = custom;
    b->input =
        json_is(arguments, JSON_OBJECT) ? text_from_plain(json_raw(arguments)) : text_of(arguments);
    return ERR_OK;
}

static enum err item_function_call(struct oc_reading *c, struct json item)
{
    return read_call(c, item, "arguments", false);
}

static enum err item_custom_call(struct oc_reading *c, struct json item)
{
    return read_call(c, item, "input", true);
}

static enum err item_output(struct oc_reading *c, struct json item)
{
    struct json id = json_get(item, "call_id"), output = json_get(item, "output");
    if (!json_is(id, JSON_STRING) || json_str(id).len == 0)
        return FAULT_HERE(c, "call_id", "An output names the call it answers.");
    (void)turn(c, CHAT_USER);
    struct chat_block *b = oc_block_new(c, CHAT_TOOL_RESULT);
    b->id = text_of(id);
    if (!json_useful(output))
        return ERR_OK;
    struct chat_block **tail = c->block_tail;
    c->block_tail = &b->content;
    enum err e = read_content(c, output, "output");
    c->block_tail = tail;
    return e;
}

/* Summary or text become thinking nobody signed; what is encrypted only its provider reads. */
static enum err item_reasoning(struct oc_reading *c, struct json item)
{
    static const char *const lists[] = {"summary", "content"};
    bool any = false;
    (void)turn(c, CHAT_ASSISTANT);
    for (size_t i = 0; i < ARRAY_LEN(lists) && !any; i++) {
        struct json list = json_get(item, lists[i]);
        for (struct json p = json_first(list); json_present(p); p = json_next(list, p)) {
            if (json_str(json_get(p, "text")).len == 0)
                continue;
            oc_block_new(c, CHAT_THINKING)->text = text_of(json_get(p, "text"));
            any = true;
        }
    }
    if (!any && json_str(json_get(item, "encrypted_content")).len)
        oc_block_new(c, CHAT_REDACTED_THINKING);
    return ERR_OK;
}

static enum err item_reference(struct oc_reading *c, struct json item)
{
    (void)item;
    return FAULT_HERE(c, "",
                      "An item_reference names what its provider has stored, and it is not the one "
                      "asked now. Send the item itself.");
}

static enum err item_compaction(struct oc_reading *c, struct json item)
{
    (void)item;
    return FAULT_HERE(c, "",
                      "A compaction is encrypted: only the provider that made it can read the "
                      "conversation in it.");
}

/* Its tools are read with the others. */
static enum err item_tools(struct oc_reading *c, struct json item)
{
    (void)c;
    (void)item;
    return ERR_OK;
}

static const struct {
    const char *type;
    enum err (*read)(struct oc_reading *c, struct json item);
} item_kinds[] = {
    {"message", item_message},
    {"function_call", item_function_call},
    {"function_call_output", item_output},
    {"custom_tool_call", item_custom_call},
    {"custom_tool_call_output", item_output},
    {"reasoning", item_reasoning},
    {"item_reference", item_reference},
    {"compaction", item_compaction},
    {"compaction_summary", item_compaction},
    {"additional_tools", item_tools},
};

static enum err read_item(struct oc_reading *c, struct json item)
{
    struct json type = json_get(item, "type");
    if (!json_is(item, JSON_OBJECT))
        return FAULT_HERE(c, "", "An item is an object.");
    if (!json_useful(type)) /* the easy form of a message */
        return item_message(c, item);
    for (size_t i = 0; i < ARRAY_LEN(item_kinds); i++)
        if (json_str_is(type, item_kinds[i].type))
            return item_kinds[i].read(c, item);
    (void)turn(c, CHAT_ASSISTANT); /* calls of tools that are their provider's, and outputs */
    struct chat_block *b = oc_block_new(c, CHAT_SERVER_TOOL_USE);
    b->name = text_of(type);
    b->raw = json_raw(item);
    return ERR_OK;
}

enum err or_read_input(struct oc_reading *c, struct json input)
{
    if (json_is(input, JSON_STRING)) {
        turn(c, CHAT_USER)->was_string = true;
        return read_content(c, input, "");
    }
    if (!json_is(input, JSON_ARRAY))
        return FAULT(c, SPAN("input"), "input is a string or an array of items.");
    enum err e = ERR_OK;
    for (struct json i = json_first(input); json_present(i) && e == ERR_OK;
         i = json_next(input, i)) {
        e = read_item(c, i);
        c->message_at++;
    }
    return e;
}

/* ---- tools that came with items ---- */

static bool has_tool(const struct chat_request *r, const struct chat_tool *wanted)
{
    for (const struct chat_tool *t = r->tools; t; t = t->next)
        if (t != wanted && text_eq(t->name, wanted->name))
            return true;
    return false;
}

/* Adds one, unless a tool of that name is there already. */
static enum err bring_tool(struct oc_reading *c, struct json tool, struct span at)
{
    struct chat_tool **tail = c->tool_tail;
    size_t count = c->out->tool_count;
    enum err e = or_read_tool(c, tool, at);
    if (e == ERR_OK && *tail && !(*tail)->next && has_tool(c->out, *tail)) {
        *tail = NULL;
        c->tool_tail = tail;
        c->out->tool_count = count;
    }
    return e;
}

enum err or_read_brought_tools(struct oc_reading *c, struct json input)
{
    uint32_t at = 0, brought = 0;
    for (struct json i = json_is(input, JSON_ARRAY) ? json_first(input) : JSON_ABSENT;
         json_present(i); i = json_next(input, i), at++) {
        struct json type = json_get(i, "type"), tools = json_get(i, "tools");
        if (!json_str_is(type, "additional_tools") && !json_str_is(type, "tool_search_output"))
            continue;
        for (struct json t = json_first(tools); json_present(t); t = json_next(tools, t)) {
            struct span path = arena_printf(c->a, "input[%u].tools", at);
            if (brought++ == BROUGHT_TOOLS_MAX)
                return FAULT(c, path, "At most %d tools may come with items.", BROUGHT_TOOLS_MAX);
            enum err e = bring_tool(c, t, path);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}
