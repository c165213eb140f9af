/* A chat_request as a generateContent body: everything but the contents.
 *
 * Schemas go as parametersJsonSchema and responseJsonSchema, byte for byte: these take JSON Schema,
 * where `parameters` and `responseSchema` take a subset of OpenAPI's and refuse the rest. What has
 * no field here is named in `lossy`. Nothing is said of safety: Google's own settings apply. */
#include "dialect/gemini_internal.h"

#include "base/span.h"

/* ---- tools ---- */

static void put_declaration(struct oc_writing *c, const struct oc_function *f)
{
    struct json_out *w = &c->w;
    jw_object(w);
    jw_key(w, "name");
    oc_put_tool_name(c, f->name);
    if (!chat_text_empty(f->description)) {
        jw_key(w, "description");
        jw_text(w, f->description);
    }
    if (f->schema.len > 0) {
        jw_key(w, "parametersJsonSchema");
        jw_raw(w, f->schema);
    }
    jw_object_end(w);
    if (f->strict == CHAT_YES)
        oc_lossy(c, LOSSY_STRICT);
}

static enum err put_declarations(struct oc_writing *c)
{
    jw_array(&c->w);
    for (const struct chat_tool *t = c->r->tools; t; t = t->next) {
        struct oc_function f;
        if (t->cached)
            oc_lossy(c, LOSSY_CACHE_CONTROL);
        if (t->server)
            oc_lossy(c, LOSSY_SERVER_TOOL);
        else if (oc_function_of(c, t, &f))
            put_declaration(c, &f);
        else
            return oc_refuse_tool(c, t);
    }
    jw_array_end(&c->w);
    return ERR_OK;
}

/* A named choice is one of a single allowed name. */
static void put_tool_config(struct oc_writing *c)
{
    static const char *const modes[] = {[CHAT_CHOICE_AUTO] = "AUTO",
                                        [CHAT_CHOICE_ANY] = "ANY",
                                        [CHAT_CHOICE_NONE] = "NONE",
                                        [CHAT_CHOICE_NAMED] = "ANY"};
    struct json_out *w = &c->w;
    enum chat_tool_choice choice;
    (void)oc_fit_tool_choice(c, &choice);
    if (choice == CHAT_CHOICE_UNSET)
        return;
    jw_key(w, "toolConfig");
    jw_object(w);
    jw_key(w, "functionCallingConfig");
    jw_object(w);
    jw_key(w, "mode");
    jw_cstr(w, modes[choice]);
    if (choice == CHAT_CHOICE_NAMED) {
        jw_key(w, "allowedFunctionNames");
        jw_array(w);
        oc_put_tool_name(c, c->r->tool_choice_name);
        jw_array_end(w);
    }
    jw_object_end(w);
    jw_object_end(w);
}

static bool has_functions(const struct chat_request *r)
{
    for (const struct chat_tool *t = r->tools; t; t = t->next)
        if (!t->server)
            return true;
    return false;
}

static enum err put_tools(struct oc_writing *c)
{
    if (!has_functions(c->r)) {
        if (c->r->tools)
            oc_lossy(c, LOSSY_SERVER_TOOL);
        return ERR_OK;
    }
    jw_key(&c->w, "tools");
    jw_array(&c->w);
    jw_object(&c->w);
    jw_key(&c->w, "functionDeclarations");
    enum err e = put_declarations(c);
    if (e != ERR_OK)
        return e;
    jw_object_end(&c->w);
    jw_array_end(&c->w);
    put_tool_config(c);
    if (c->r->parallel_tools == CHAT_NO)
        oc_lossy(c, LOSSY_PARALLEL_TOOLS);
    return ERR_OK;
}

/* ---- thinking ---- */

#define BUDGET_LEAST 512    /* of all models that take one ("Gemini thinking") */
#define BUDGET_MOST 24576   /* 2.5 Flash; 2.5 Pro takes more */
#define BUDGET_DYNAMIC (-1) /* the model decides */

static int64_t budget_of(const struct oc_writing *c, const struct oc_effort *e)
{
    int64_t n = c->r->thinking_budget;
    if (e->off)
        return 0;
    if (c->r->thinking != CHAT_THINKING_BUDGET || n <= 0)
        return BUDGET_DYNAMIC;
    return n < BUDGET_LEAST ? BUDGET_LEAST : n > BUDGET_MOST ? BUDGET_MOST : n;
}

/* 2.5 takes a budget, later models a level. */
static void put_thinking(struct oc_writing *c)
{
    struct json_out *w = &c->w;
    struct oc_effort e = oc_effort_of(c->r);
    bool levels = c->cap->reasoning_effort && c->cap->efforts;
    if (!e.any)
        return;
    bool can_stop = levels ? c->cap->efforts & BIT(EFFORT_NONE) : c->cap->thinking_off;
    if (e.off && !levels && !c->cap->thinking_budget)
        return; /* it does not think */
    if ((!levels && !c->cap->thinking_budget) || (e.off && !can_stop)) {
        oc_lossy(c, LOSSY_EFFORT);
        if (!levels)
            return;
    }
    jw_key(w, "thinkingConfig");
    jw_object(w);
    if (levels) {
        enum effort fits = effort_fit(c->cap->efforts, e.wanted);
        if (fits != e.wanted || (c->r->thinking == CHAT_THINKING_BUDGET && !e.spoken))
            oc_lossy(c, LOSSY_EFFORT);
        jw_key(w, "thinkingLevel");
        jw_cstr(w, effort_name(fits));
    } else {
        int64_t budget = budget_of(c, &e);
        if ((e.spoken && !e.off) || (budget > 0 && budget != c->r->thinking_budget))
            oc_lossy(c, LOSSY_EFFORT);
        jw_key(w, "thinkingBudget");
        jw_i64(w, budget);
    }
    jw_key(w, "includeThoughts");
    jw_bool(w, !e.off);
    jw_object_end(w);
}

/* ---- the rest of generationConfig ---- */

static void put_format(struct oc_writing *c)
{
    bool schema = c->r->format == CHAT_FORMAT_SCHEMA;
    if (!schema && c->r->format != CHAT_FORMAT_JSON)
        return;
    if (has_functions(c->r) && !c->cap->json_with_tools) { /* schema_in_system */
        oc_lossy(c, LOSSY_FORMAT);
        return;
    }
    jw_key(&c->w, "responseMimeType");
    jw_cstr(&c->w, "application/json");
    if (!schema)
        return;
    jw_key(&c->w, "responseJsonSchema");
    jw_raw(&c->w, c->r->format_schema);
}

/* The one of OpenAI's fields that Gemini has, too, on every model; 32 bits there. */
static bool is_seed(const struct oc_writing *c, const struct chat_extra *x)
{
    int64_t n;
    return c->r->origin && strncmp(c->r->origin, "openai-", 7) == 0 && span_is(x->name, "seed") &&
           span_i64(x->value, &n) == ERR_OK && n >= INT32_MIN && n <= INT32_MAX;
}

static void put_seed(struct oc_writing *c)
{
    for (const struct chat_extra *x = c->r->extras; x; x = x->next) {
        if (!is_seed(c, x))
            continue;
        jw_key(&c->w, "seed");
        jw_raw(&c->w, x->value);
    }
}

static void put_config(struct oc_writing *c)
{
    jw_key(&c->w, "generationConfig");
    jw_object(&c->w);
    oc_put_max_tokens(c, "maxOutputTokens");
    oc_put_sampling(c, "temperature", "topP", "topK");
    oc_put_stop(c, "stopSequences");
    put_seed(c);
    put_thinking(c);
    put_format(c);
    jw_object_end(&c->w);
}

static void note_the_rest(struct oc_writing *c)
{
    for (const struct chat_extra *x = c->r->extras; x; x = x->next) {
        const char *loss = extra_lossy(x);
        if (loss && !is_seed(c, x))
            oc_lossy(c, loss);
    }
    if (!chat_text_empty(c->r->user_id))
        oc_lossy(c, LOSSY_USER_ID);
    if (c->r->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
}

enum err gemini_write_request(struct arena *a, const struct chat_request *r,
                              const struct capability *cap, struct span model, bool stream,
                              struct dialect_body *out, struct chat_problem *out_problem)
{
    struct oc_writing c = {.a = a, .r = r, .cap = cap, .out = out, .problem = out_problem};
    (void)model, (void)stream; /* of the path */
    c.schema_in_system =
        r->format == CHAT_FORMAT_SCHEMA && has_functions(r) && !cap->json_with_tools;
    enum err e = oc_body_begin(&c);
    if (e != ERR_OK)
        return e;
    e = gemini_write_contents(&c);
    if (e == ERR_OK)
        e = put_tools(&c);
    if (e != ERR_OK)
        return e;
    put_config(&c);
    note_the_rest(&c);
    return oc_body_end(&c);
}
