/* A chat_request in the words of Ollama's /api/chat.
 *
 * A message has one text and, beside it, its images as bare base64. Tool calls carry their input as
 * an object, and results name the tool. Sampling and limits stand in `options`. truncate and shift
 * are false: what does not fit is refused (400) and another target asked, where the default would
 * cut the prompt's beginning without a word. */
#include "dialect/ollama_internal.h"

#include "base/span.h"

static void message_begin(struct oc_writing *c, const char *role)
{
    jw_object(&c->w);
    jw_key(&c->w, "role");
    jw_cstr(&c->w, role);
    jw_key(&c->w, "content");
}

/* ---- images ---- */

static bool is_sent(const struct oc_writing *c, const struct chat_block *b)
{
    return b->type == CHAT_IMAGE && oc_image_fits(c, b) && b->source.kind == CHAT_SOURCE_BASE64;
}

static void put_image(struct oc_writing *c, const struct chat_block *b, bool *any)
{
    if (!is_sent(c, b))
        return;
    if (!*any) {
        jw_key(&c->w, "images");
        jw_array(&c->w);
    }
    *any = true;
    jw_text(&c->w, b->source.data);
}

/* Of the user's blocks, of results and of documents, in the order in which the text tells of them.
 */
static void put_images(struct oc_writing *c, struct oc_run run)
{
    bool any = false;
    for (int results = 1; results >= 0; results--)
        EACH_BLOCK(run, m, b)
        {
            if ((b->type == CHAT_TOOL_RESULT) != results)
                continue;
            put_image(c, b, &any);
            for (const struct chat_block *k = b->content; k; k = k->next)
                put_image(c, k, &any);
        }
    if (any)
        jw_array_end(&c->w);
}

/* ---- the user's text ---- */

static void gap(struct oc_writing *c, bool *any)
{
    if (*any)
        jw_part_raw(&c->w, SPAN("\\n\\n"));
    *any = true;
}

static enum err put_medium(struct oc_writing *c, const struct chat_block *b, bool newest, bool *any)
{
    if (is_sent(c, b))
        return ERR_OK;
    enum err e = oc_unfit(c, b, newest);
    if (e != ERR_OK)
        return e;
    gap(c, any);
    oc_put_placeholder_part(c, b);
    return ERR_OK;
}

static enum err put_said(struct oc_writing *c, const struct chat_block *b, bool folded, bool newest,
                         bool *any)
{
    enum err e = ERR_OK;
    oc_note_losses(c, b);
    if (b->type == CHAT_TEXT && !chat_text_empty(b->text)) {
        gap(c, any);
        if (folded)
            jw_part(&c->w, SPAN("[System message] "));
        jw_text_part(&c->w, b->text);
    } else if (oc_is_text_document(b)) {
        gap(c, any);
        oc_put_text_document_part(c, b);
        for (const struct chat_block *k = b->content; k && e == ERR_OK; k = k->next)
            if (k->type == CHAT_IMAGE)
                e = put_medium(c, k, newest, any);
    } else if (oc_moves_out(b)) {
        e = put_medium(c, b, newest, any);
    } else if (b->type != CHAT_TEXT) {
        oc_lossy(c, b->type == CHAT_OTHER ? LOSSY_OTHER : LOSSY_SERVER_TOOL);
    }
    return e;
}

/* What of a result had to move stands behind a line that says whose it is. */
static enum err put_moved(struct oc_writing *c, const struct chat_block *result, bool newest,
                          bool *any)
{
    enum err e = ERR_OK;
    bool named = false;
    for (const struct chat_block *k = result->content; k && e == ERR_OK; k = k->next) {
        if (!oc_moves_out(k))
            continue;
        if (!named) {
            gap(c, any);
            oc_put_whose_part(c, result);
        }
        named = true;
        if (k->type == CHAT_IMAGE)
            oc_lossy(c, LOSSY_TOOL_RESULT_IMAGE);
        e = put_medium(c, k, newest, any);
    }
    return e;
}

static void put_result(struct oc_writing *c, const struct chat_block *result)
{
    oc_note_losses(c, result);
    message_begin(c, "tool");
    jw_str_begin(&c->w);
    oc_put_result_content(c, result);
    jw_str_end(&c->w);
    jw_key(&c->w, "tool_name");
    oc_put_tool_name(c, oc_tool_name_of(c, result->id));
    jw_key(&c->w, "tool_call_id");
    jw_text(&c->w, oc_fit_tool_id(c, result->id));
    jw_object_end(&c->w);
}

static bool only_results(struct oc_run run)
{
    bool any = false;
    EACH_BLOCK(run, m, b)
    {
        if (b->type != CHAT_TOOL_RESULT)
            return false;
        any = true;
        for (const struct chat_block *k = b->content; k; k = k->next)
            if (oc_moves_out(k))
                return false;
    }
    return any;
}

static enum err put_user(struct oc_writing *c, struct oc_run run)
{
    bool newest = !run.end, any = false;
    enum err e = ERR_OK;
    EACH_BLOCK(run, m, b)
    if (b->type == CHAT_TOOL_RESULT)
        put_result(c, b);
    if (only_results(run))
        return ERR_OK;
    message_begin(c, "user");
    jw_str_begin(&c->w);
    EACH_BLOCK(run, m, b)
    if (b->type == CHAT_TOOL_RESULT && e == ERR_OK)
        e = put_moved(c, b, newest, &any);
    EACH_BLOCK(run, m, b)
    if (b->type != CHAT_TOOL_RESULT && e == ERR_OK)
        e = put_said(c, b, m->role == CHAT_SYSTEM, newest, &any);
    jw_str_end(&c->w);
    put_images(c, run);
    jw_object_end(&c->w);
    return e;
}

/* ---- the assistant ---- */

static void put_call(struct oc_writing *c, const struct chat_block *b)
{
    struct json_out *w = &c->w;
    jw_object(w);
    jw_key(w, "id");
    jw_text(w, oc_fit_tool_id(c, b->id));
    jw_key(w, "function");
    jw_object(w);
    jw_key(w, "name");
    oc_put_tool_name(c, b->name);
    jw_key(w, "arguments");
    if (!jw_tool_input(w, c->a, oc_call_input(c, b)))
        c->out->has_unparsed_tool_input = true;
    jw_object_end(w);
    jw_object_end(w);
}

static void put_spoken(struct oc_writing *c, struct oc_run run)
{
    const struct chat_block *last = NULL;
    jw_str_begin(&c->w);
    EACH_BLOCK(run, m, b)
    {
        struct chat_text text = oc_spoken(c, b);
        oc_note_losses(c, b);
        if (chat_text_empty(text)) {
            if (b->type != CHAT_TOOL_USE)
                oc_note_left_out(c, b);
            continue;
        }
        if (last && last->next != b) /* neighbours are pieces of one text */
            jw_part_raw(&c->w, SPAN("\\n\\n"));
        jw_text_part(&c->w, text);
        last = b;
    }
    jw_str_end(&c->w);
}

static void put_assistant(struct oc_writing *c, struct oc_run run)
{
    size_t calls = 0;
    bool speaks = false;
    EACH_BLOCK(run, m, b)
    {
        calls += b->type == CHAT_TOOL_USE;
        speaks = speaks || !chat_text_empty(oc_spoken(c, b));
    }
    c->last_calls = run.first;
    if (calls == 0 && !speaks)
        return;
    c->prefilled = !run.end && calls == 0;
    message_begin(c, "assistant");
    put_spoken(c, run);
    if (calls) {
        jw_key(&c->w, "tool_calls");
        jw_array(&c->w);
        EACH_BLOCK(run, m, b)
        if (b->type == CHAT_TOOL_USE)
            put_call(c, b);
        jw_array_end(&c->w);
    }
    jw_object_end(&c->w);
}

/* ---- messages ---- */

static void put_system(struct oc_writing *c, struct oc_run run)
{
    if (!oc_has_system_text(c, run, true))
        return;
    message_begin(c, "system");
    oc_put_system_text(c, run, true);
    jw_object_end(&c->w);
}

static enum err put_run(struct oc_writing *c, struct oc_run run, bool leading)
{
    if (leading) {
        put_system(c, run);
        return ERR_OK;
    }
    if (run.first->role == CHAT_ASSISTANT) {
        put_assistant(c, run);
        return ERR_OK;
    }
    if (run.first->role == CHAT_SYSTEM)
        oc_lossy(c, LOSSY_SYSTEM_ORDER);
    return put_user(c, run);
}

static enum err put_messages(struct oc_writing *c)
{
    enum err e = ERR_OK;
    bool leading = true;
    jw_key(&c->w, "messages");
    jw_array(&c->w);
    for (const struct chat_message *m = c->r->messages; m && e == ERR_OK;) {
        leading = leading && m->role == CHAT_SYSTEM;
        struct oc_run run = oc_next_run(c, m, leading);
        e = put_run(c, run, leading);
        m = run.end;
    }
    if (c->prefilled && !c->cap->prefill) {
        oc_lossy(c, LOSSY_PREFILL);
        message_begin(c, "user");
        jw_cstr(&c->w, DIALECT_GO_ON);
        jw_object_end(&c->w);
    }
    jw_array_end(&c->w);
    return e;
}

/* ---- tools ---- */

static enum err put_tool(struct oc_writing *c, const struct chat_tool *t)
{
    struct json_out *w = &c->w;
    struct oc_function f;
    if (t->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
    if (!oc_function_of(c, t, &f))
        return oc_refuse_tool(c, t);
    if (f.strict == CHAT_YES)
        oc_lossy(c, LOSSY_STRICT);
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, "function");
    jw_key(w, "function");
    jw_object(w);
    jw_key(w, "name");
    oc_put_tool_name(c, f.name);
    jw_key(w, "description");
    jw_text(w, f.description);
    jw_key(w, "parameters");
    ol_put_schema(c, f.schema);
    jw_object_end(w);
    jw_object_end(w);
    return ERR_OK;
}

/* There is no tool_choice: none is kept by not showing the tools, a forced one is a free one. */
static enum err put_tools(struct oc_writing *c)
{
    enum chat_tool_choice choice = c->r->tool_choice;
    bool any = false;
    enum err e = ERR_OK;
    for (const struct chat_tool *t = c->r->tools; t && e == ERR_OK; t = t->next) {
        if (t->server) {
            oc_lossy(c, LOSSY_SERVER_TOOL);
            continue;
        }
        if (choice == CHAT_CHOICE_NONE)
            continue;
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
    if (choice == CHAT_CHOICE_ANY || choice == CHAT_CHOICE_NAMED)
        oc_lossy(c, LOSSY_TOOL_CHOICE);
    if (c->r->parallel_tools == CHAT_NO)
        oc_lossy(c, LOSSY_PARALLEL_TOOLS);
    return ERR_OK;
}

/* ---- the other fields ---- */

/* These stand in `options` under the same names. */
static bool is_option(const struct oc_writing *c, const struct chat_extra *x)
{
    bool openai = c->r->origin && span_starts(span_from(c->r->origin), SPAN("openai-"));
    return openai && (span_is(x->name, "seed") || span_is(x->name, "presence_penalty") ||
                      span_is(x->name, "frequency_penalty"));
}

static void put_options(struct oc_writing *c)
{
    jw_key(&c->w, "options");
    jw_object(&c->w);
    if (c->cap->context > 0) {
        jw_key(&c->w, "num_ctx");
        jw_i64(&c->w, c->cap->context);
    }
    oc_put_max_tokens(c, "num_predict");
    oc_put_sampling(c, "temperature", "top_p", "top_k");
    oc_put_stop(c, "stop");
    for (const struct chat_extra *x = c->r->extras; x; x = x->next) {
        const char *loss = extra_lossy(x);
        if (loss && is_option(c, x)) {
            jw_key_raw(&c->w, x->name);
            jw_raw(&c->w, x->value);
        } else if (loss) {
            oc_lossy(c, loss);
        }
    }
    jw_object_end(&c->w);
}

/* A model that can think does so unless it is told not to; one that cannot refuses to be asked. */
static void put_think(struct oc_writing *c)
{
    struct oc_effort asked = oc_effort_of(c->r);
    enum effort fits;
    if (asked.off) {
        jw_key(&c->w, "think");
        jw_bool(&c->w, false);
    } else if (asked.any && c->cap->reasoning_effort && oc_fit_effort(c, &fits)) {
        jw_key(&c->w, "think");
        jw_cstr(&c->w, effort_name(fits));
    } else if (asked.spoken || c->r->thinking == CHAT_THINKING_BUDGET) {
        oc_lossy(c, LOSSY_EFFORT);
    }
}

static void put_format(struct oc_writing *c)
{
    if (c->r->format != CHAT_FORMAT_JSON && c->r->format != CHAT_FORMAT_SCHEMA)
        return;
    jw_key(&c->w, "format");
    if (c->r->format == CHAT_FORMAT_SCHEMA)
        jw_raw(&c->w, c->r->format_schema);
    else
        jw_cstr(&c->w, "json");
}

static void put_switches(struct oc_writing *c, bool stream)
{
    static const char *const off[] = {"truncate", "shift"};
    jw_key(&c->w, "stream"); /* true unless said */
    jw_bool(&c->w, stream);
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        jw_key(&c->w, off[i]);
        jw_bool(&c->w, false);
    }
}

enum err ol_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem)
{
    struct capability own = *cap; /* what this door has beyond the chat-completions one */
    struct oc_writing c = {.a = a, .r = r, .cap = &own, .out = out, .problem = out_problem};
    own.top_k = true;
    own.stop_max = 0;
    enum err e = oc_body_begin(&c);
    if (e != ERR_OK)
        return e;
    jw_key(&c.w, "model");
    jw_str_raw(&c.w, model);
    e = put_messages(&c);
    if (e == ERR_OK)
        e = put_tools(&c);
    if (e != ERR_OK)
        return e;
    put_options(&c);
    put_think(&c);
    put_format(&c);
    put_switches(&c, stream);
    if (r->cached)
        oc_lossy(&c, LOSSY_CACHE_CONTROL);
    if (!chat_text_empty(r->user_id))
        oc_lossy(&c, LOSSY_USER_ID);
    return oc_body_end(&c);
}
