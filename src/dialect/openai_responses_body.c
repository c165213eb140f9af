/* A chat_request in the words of one Responses target: everything but the input items.
 *
 * Stateless: `store` is false, so nothing depends on what a provider keeps. The target's struct
 * capability decides each field, as in openai_chat_body.c, whose pieces are used where both formats
 * say the same. This format has no stop sequences; the reader of the answer cuts at them. Input:
 * openai_responses_items.c. */
#include "dialect/openai_responses_internal.h"

#include "base/span.h"

#define OUTPUT_TOKENS_MIN 16 /* OpenAI refuses less */

static bool is_own(const struct oc_writing *c)
{
    return c->r->origin && strcmp(c->r->origin, dialect_openai_responses.name) == 0;
}

/* The leading system texts, with a blank line between them. */
static void put_instructions(struct oc_writing *c)
{
    const struct chat_message *end = or_first_of_input(c->r);
    bool any = false;
    for (const struct chat_message *m = c->r->messages; m != end; m = m->next)
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
            oc_note_losses(c, b);
            if (b->type != CHAT_TEXT)
                lossy_add(&c->out->lossy, LOSSY_OTHER);
            if (!oc_system_text(b, b == c->r->messages->blocks))
                continue;
            if (!any) {
                jw_key(&c->w, "instructions");
                jw_str_begin(&c->w);
            } else {
                jw_part_raw(&c->w, SPAN("\\n\\n"));
            }
            any = true;
            jw_text_part(&c->w, b->text);
        }
    if (any)
        jw_str_end(&c->w);
}

/* ---- tools ---- */

/* strict is true here unless it is said not to be. */
static void put_function(struct oc_writing *c, const struct oc_function *f)
{
    struct json_out *w = &c->w;
    bool is_strict =
        f->strict == CHAT_YES && c->cap->json_strict && oc_schema_is_strict(c, f->schema);
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, "function");
    jw_key(w, "name");
    oc_put_tool_name(c, f->name);
    if (!chat_text_empty(f->description)) {
        jw_key(w, "description");
        jw_text(w, f->description);
    }
    jw_key(w, "parameters");
    oc_put_schema(c, f->schema);
    jw_key(w, "strict");
    jw_bool(w, is_strict);
    jw_object_end(w);
    if (f->strict == CHAT_YES && !is_strict)
        oc_lossy(c, LOSSY_STRICT);
}

static void put_custom(struct oc_writing *c, const struct chat_tool *t)
{
    struct json_out *w = &c->w;
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, "custom");
    oc_put_free_text(c, t);
    if (!chat_text_empty(t->grammar)) {
        jw_key(w, "format");
        jw_object(w);
        jw_key(w, "type");
        jw_cstr(w, "grammar");
        oc_put_grammar(c, t);
        jw_object_end(w);
    }
    jw_object_end(w);
}

static enum err put_tool(struct oc_writing *c, const struct chat_tool *t)
{
    struct oc_function f;
    if (t->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
    bool free_text = tool_is_free_text(t), stays = oc_stays_free_text(c, t);
    if (is_own(c) && chat_text_empty(t->space) && free_text == stays)
        jw_raw(&c->w, t->raw);
    else if (stays)
        put_custom(c, t);
    else if (oc_function_of(c, t, &f))
        put_function(c, &f);
    else
        return oc_refuse_tool(c, t);
    return ERR_OK;
}

static void put_tool_choice(struct oc_writing *c)
{
    enum chat_tool_choice choice;
    const char *word = oc_fit_tool_choice(c, &choice);
    if (choice == CHAT_CHOICE_UNSET)
        return;
    jw_key(&c->w, "tool_choice");
    if (choice != CHAT_CHOICE_NAMED) {
        jw_cstr(&c->w, word);
        return;
    }
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, word);
    jw_key(&c->w, "name");
    oc_put_tool_name(c, c->r->tool_choice_name);
    jw_object_end(&c->w);
}

static enum err put_tools(struct oc_writing *c)
{
    bool any = false;
    enum err e = ERR_OK;
    for (const struct chat_tool *t = c->r->tools; t && e == ERR_OK; t = t->next) {
        if (t->server && !is_own(c)) {
            oc_lossy(c, LOSSY_SERVER_TOOL);
            continue;
        }
        if (!any) {
            jw_key(&c->w, "tools");
            jw_array(&c->w);
        }
        any = true;
        e = put_tool(c, t);
    }
    if (!any || e != ERR_OK)
        return e;
    jw_array_end(&c->w);
    put_tool_choice(c);
    if (c->r->parallel_tools == CHAT_NO) {
        jw_key(&c->w, "parallel_tool_calls");
        jw_bool(&c->w, false);
    }
    return ERR_OK;
}

/* ---- the other fields ---- */

static void put_max_tokens(struct oc_writing *c)
{
    int64_t n = c->r->max_tokens;
    if (n < 0)
        return;
    if (n < OUTPUT_TOKENS_MIN)
        n = OUTPUT_TOKENS_MIN;
    if (c->cap->max_output > 0 && n > c->cap->max_output)
        n = c->cap->max_output;
    jw_key(&c->w, "max_output_tokens");
    jw_i64(&c->w, n);
}

static void put_effort(struct oc_writing *c)
{
    enum effort fits;
    if (!oc_fit_effort(c, &fits))
        return;
    jw_key(&c->w, "reasoning");
    jw_object(&c->w);
    jw_key(&c->w, "effort");
    jw_cstr(&c->w, effort_name(fits));
    jw_object_end(&c->w);
}

static void put_format(struct oc_writing *c)
{
    enum chat_format f = c->r->format;
    if (f != CHAT_FORMAT_JSON && f != CHAT_FORMAT_SCHEMA)
        return;
    jw_key(&c->w, "text");
    jw_object(&c->w);
    jw_key(&c->w, "format");
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, f == CHAT_FORMAT_SCHEMA ? "json_schema" : "json_object");
    if (f == CHAT_FORMAT_SCHEMA)
        oc_put_schema_format(c);
    jw_object_end(&c->w);
    jw_object_end(&c->w);
}

static bool carries_extra(const struct oc_writing *c, struct span name)
{
    static const char *const carried[] = {"metadata",
                                          "service_tier",
                                          "prompt_cache_key",
                                          "prompt_cache_options",
                                          "prompt_cache_retention",
                                          "truncation"};
    for (size_t i = 0; i < ARRAY_LEN(carried); i++)
        if (is_own(c) && span_is(name, carried[i]))
            return true;
    return false;
}

static void put_extras(struct oc_writing *c)
{
    for (const struct chat_extra *x = c->r->extras; x; x = x->next) {
        const char *loss = extra_lossy(x);
        if (carries_extra(c, x->name)) {
            jw_key_raw(&c->w, x->name);
            jw_raw(&c->w, x->value);
        } else if (loss) {
            oc_lossy(c, loss);
        }
    }
    if (c->r->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
    if (c->r->stop.count)
        oc_lossy(c, LOSSY_STOP);
}

enum err or_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem)
{
    struct oc_writing c = {.a = a, .r = r, .cap = cap, .out = out, .problem = out_problem};
    enum err e = oc_body_begin(&c);
    if (e != ERR_OK)
        return e;
    jw_key(&c.w, "model");
    jw_str_raw(&c.w, model);
    put_instructions(&c);
    e = or_write_items(&c);
    if (e == ERR_OK)
        e = put_tools(&c);
    if (e != ERR_OK)
        return e;
    put_max_tokens(&c);
    oc_put_sampling(&c, "temperature", "top_p", "top_k");
    put_effort(&c);
    put_format(&c);
    oc_put_user(&c);
    put_extras(&c);
    jw_key(&c.w, "store");
    jw_bool(&c.w, false);
    if (stream) {
        jw_key(&c.w, "stream");
        jw_bool(&c.w, true);
    }
    return oc_body_end(&c);
}
