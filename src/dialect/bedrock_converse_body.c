/* A chat_request in the words of a Converse model: everything but system and messages.
 *
 * The model's name and whether to stream stand in the path, so they are not here. What one model
 * has beyond the common fields goes as additionalModelRequestFields, in that model's own words. */
#include "dialect/bedrock_converse_internal.h"

#include "base/span.h"

/* ---- inferenceConfig ---- */

/* Converse takes 0 to 1, OpenAI's clients give up to 2. */
static void put_temperature(struct oc_writing *c)
{
    double d;
    struct span given = c->r->temperature;
    if (given.len == 0)
        return;
    bool high = span_double(given, &d) == ERR_OK && d > 1.0;
    if (high)
        oc_lossy(c, LOSSY_SAMPLING);
    jw_key(&c->w, "temperature");
    jw_raw(&c->w, high ? SPAN("1") : given);
}

static void put_inference(struct oc_writing *c)
{
    jw_key(&c->w, "inferenceConfig");
    jw_object(&c->w);
    oc_put_max_tokens(c, "maxTokens");
    put_temperature(c);
    if (c->r->top_p.len) {
        jw_key(&c->w, "topP");
        jw_raw(&c->w, c->r->top_p);
    }
    oc_put_stop(c, "stopSequences");
    jw_object_end(&c->w);
}

/* ---- what only some models have ---- */

/* gpt-oss: reasoning_effort, as at OpenAI. Nova 2: reasoningConfig (AWS, Nova 2 user guide). */
static void put_effort(struct oc_writing *c, enum effort effort)
{
    struct json_out *w = &c->w;
    if (!c->cap->reasoning_config) {
        jw_key(w, "reasoning_effort");
        jw_cstr(w, effort_name(effort));
        return;
    }
    jw_key(w, "reasoningConfig");
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, effort == EFFORT_NONE ? "disabled" : "enabled");
    if (effort != EFFORT_NONE) {
        jw_key(w, "maxReasoningEffort");
        jw_cstr(w, effort_name(effort));
    }
    jw_object_end(w);
}

static void put_additional(struct oc_writing *c)
{
    enum effort effort;
    bool thinks = oc_fit_effort(c, &effort), top_k = c->r->top_k.len && c->cap->top_k;
    if (c->r->top_k.len && !top_k)
        oc_lossy(c, LOSSY_TOP_K);
    if (!thinks && !top_k)
        return;
    jw_key(&c->w, "additionalModelRequestFields");
    jw_object(&c->w);
    if (top_k) { /* Nova's place for it */
        jw_key(&c->w, "inferenceConfig");
        jw_object(&c->w);
        jw_key(&c->w, "topK");
        jw_raw(&c->w, c->r->top_k);
        jw_object_end(&c->w);
    }
    if (thinks)
        put_effort(c, effort);
    jw_object_end(&c->w);
}

/* ---- tools ---- */

static void put_spec(struct oc_writing *c, struct chat_text name, struct chat_text description,
                     struct span schema)
{
    struct json_out *w = &c->w;
    jw_object(w);
    jw_key(w, "toolSpec");
    jw_object(w);
    jw_key(w, "name");
    oc_put_tool_name(c, name);
    if (!text_blank(description)) { /* an empty one is refused */
        jw_key(w, "description");
        jw_text(w, description);
    }
    jw_key(w, "inputSchema");
    jw_object(w);
    jw_key(w, "json");
    oc_put_schema(c, schema);
    jw_object_end(w);
    jw_object_end(w);
    jw_object_end(w);
}

static enum err put_tool(struct oc_writing *c, const struct chat_tool *t)
{
    struct oc_function f;
    if (t->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
    if (!oc_function_of(c, t, &f))
        return oc_refuse_tool(c, t);
    if (f.strict == CHAT_YES)
        oc_lossy(c, LOSSY_STRICT);
    put_spec(c, f.name, f.description, f.schema);
    return ERR_OK;
}

static void put_choice(struct oc_writing *c, enum chat_tool_choice choice)
{
    struct json_out *w = &c->w;
    if (choice != CHAT_CHOICE_ANY && choice != CHAT_CHOICE_NAMED)
        return; /* auto is what happens anyway, and some models refuse the word */
    jw_key(w, "toolChoice");
    jw_object(w);
    jw_key(w, choice == CHAT_CHOICE_ANY ? "any" : "tool");
    jw_object(w);
    if (choice == CHAT_CHOICE_NAMED) {
        jw_key(w, "name");
        oc_put_tool_name(c, c->r->tool_choice_name);
    }
    jw_object_end(w);
    jw_object_end(w);
}

/* The history holds calls or results of tools: Converse wants tools to be defined then. */
static bool has_tool_blocks(const struct chat_request *r)
{
    struct chat_request history = *r;
    history.tools = NULL;
    return dialect_has_tools(&history);
}

/* There is no choice "none": without tools none is called, but a history with calls needs them. */
static bool leaves_tools_out(struct oc_writing *c, enum chat_tool_choice choice)
{
    if (choice != CHAT_CHOICE_NONE)
        return false;
    if (!has_tool_blocks(c->r))
        return true;
    oc_lossy(c, LOSSY_TOOL_CHOICE);
    return false;
}

static const struct chat_block *first_call(const struct chat_request *r)
{
    for (const struct chat_message *m = r->messages; m; m = m->next)
        for (const struct chat_block *b = m->blocks; b; b = b->next)
            if (b->type == CHAT_TOOL_USE)
                return b;
    return NULL;
}

/* Stands for the tools that a history names and the request does not define: one is enough for the
 * history to be taken. */
static void put_stand_in(struct oc_writing *c)
{
    const struct chat_block *call = first_call(c->r);
    put_spec(c, call ? call->name : text_from_plain(SPAN("unknown")), (struct chat_text){0},
             SPAN_EMPTY);
}

static const struct chat_tool *first_tool(struct oc_writing *c)
{
    const struct chat_tool *first = NULL;
    for (const struct chat_tool *t = c->r->tools; t; t = t->next) {
        if (t->server)
            oc_lossy(c, LOSSY_SERVER_TOOL);
        else if (!first)
            first = t;
    }
    return first;
}

static enum err put_tools(struct oc_writing *c)
{
    enum chat_tool_choice choice;
    const struct chat_tool *first = first_tool(c);
    (void)oc_fit_tool_choice(c, &choice);
    if (first ? leaves_tools_out(c, choice) : !has_tool_blocks(c->r))
        return ERR_OK;
    enum err e = ERR_OK;
    jw_key(&c->w, "toolConfig");
    jw_object(&c->w);
    jw_key(&c->w, "tools");
    jw_array(&c->w);
    if (!first)
        put_stand_in(c);
    for (const struct chat_tool *t = first; t && e == ERR_OK; t = t->next)
        if (!t->server)
            e = put_tool(c, t);
    jw_array_end(&c->w);
    if (first)
        put_choice(c, choice);
    jw_object_end(&c->w);
    if (first && c->r->parallel_tools == CHAT_NO)
        oc_lossy(c, LOSSY_PARALLEL_TOOLS);
    return e;
}

/* ---- the answer's form ---- */

/* The schema goes as text, name and all; a model without this has it in its system prompt. */
static void put_format(struct oc_writing *c)
{
    const struct chat_request *r = c->r;
    struct json_out *w = &c->w;
    if (r->format == CHAT_FORMAT_JSON || (r->format == CHAT_FORMAT_SCHEMA && !c->cap->json_schema))
        oc_lossy(c, LOSSY_FORMAT);
    if (r->format != CHAT_FORMAT_SCHEMA || !c->cap->json_schema)
        return;
    jw_key(w, "outputConfig");
    jw_object(w);
    jw_key(w, "textFormat");
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, "json_schema");
    jw_key(w, "structure");
    jw_object(w);
    jw_key(w, "jsonSchema");
    jw_object(w);
    jw_key(w, "schema");
    jw_str(w, r->format_schema);
    jw_key(w, "name");
    jw_text(w, chat_text_empty(r->format_name) ? text_from_plain(SPAN("answer")) : r->format_name);
    jw_object_end(w);
    jw_object_end(w);
    jw_object_end(w);
    jw_object_end(w);
}

static void note_extras(struct oc_writing *c)
{
    for (const struct chat_extra *x = c->r->extras; x; x = x->next)
        if (extra_lossy(x))
            oc_lossy(c, extra_lossy(x));
    if (c->r->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
    if (!chat_text_empty(c->r->user_id))
        oc_lossy(c, LOSSY_USER_ID);
}

enum err bc_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem)
{
    struct oc_writing c = {.a = a, .r = r, .cap = cap, .out = out, .problem = out_problem};
    (void)model; /* both in the path */
    (void)stream;
    c.schema_in_system = r->format == CHAT_FORMAT_SCHEMA && !cap->json_schema;
    enum err e = oc_body_begin(&c);
    if (e != ERR_OK)
        return e;
    e = bc_write_messages(&c);
    put_inference(&c);
    if (e == ERR_OK)
        e = put_tools(&c);
    if (e != ERR_OK)
        return e;
    put_format(&c);
    put_additional(&c);
    note_extras(&c);
    return oc_body_end(&c);
}
