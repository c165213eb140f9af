/* A chat_request in the words of one OpenAI-chat target: everything but the messages.
 *
 * The target's struct capability decides each field; what it cannot carry is degraded and named in
 * `lossy`, or refused. Values stay slices: a tool's schema goes through byte for byte. Field order
 * is fixed, so that equal requests give equal bytes. Messages: openai_chat_messages.c. */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

#include <stdio.h>

#define STRICT_PROPERTIES_MAX 512 /* of one object; each is looked for among the required */
#define USER_ID_MAX 64            /* OpenAI's limit of safety_identifier */

void oc_lossy(struct oc_writing *c, const char *name)
{
    lossy_add(&c->out->lossy, name);
}

enum err oc_refuse(struct oc_writing *c, const char *param, const char *text)
{
    return problem(c->a, c->problem, ERR_UNSUPPORTED, span_from(param), "%s", text);
}

/* ---- JSON Schema, looked at, never rewritten ---- */

/* OpenAI's strict mode wants of every object: additionalProperties false, every property required.
 * A schema outside that subset is refused with strict, so it goes without. */
static bool strict_object(struct json s)
{
    struct json properties = json_get(s, "properties"), required = json_get(s, "required");
    if (!json_is(json_get(s, "additionalProperties"), JSON_FALSE) ||
        json_len(properties) > STRICT_PROPERTIES_MAX || json_len(required) > STRICT_PROPERTIES_MAX)
        return false;
    for (struct json p = json_first(properties); json_present(p); p = json_next(properties, p)) {
        bool found = false;
        for (struct json r = json_first(required); json_present(r) && !found;
             r = json_next(required, r))
            found = span_eq(json_str(r), json_key(p));
        if (!found)
            return false;
    }
    return true;
}

static bool strict_schema(struct json s)
{
    static const char *const outside[] = {"allOf", "oneOf", "not", "if", "patternProperties"};
    if (!json_is(s, JSON_OBJECT))
        return !json_is(s, JSON_TRUE) && !json_is(s, JSON_FALSE);
    for (size_t i = 0; i < ARRAY_LEN(outside); i++)
        if (json_present(json_get(s, outside[i])))
            return false;
    bool is_object = json_str_is(json_get(s, "type"), "object");
    if ((is_object || json_present(json_get(s, "properties"))) && !strict_object(s))
        return false;
    static const char *const maps[] = {"properties", "$defs", "definitions", "anyOf"};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        struct json map = json_get(s, maps[i]);
        for (struct json m = json_first(map); json_present(m); m = json_next(map, m))
            if (!strict_schema(m))
                return false;
    }
    struct json items = json_get(s, "items");
    return !json_present(items) || strict_schema(items);
}

bool oc_schema_is_strict(struct oc_writing *c, struct span schema)
{
    struct json_doc doc;
    struct arena_mark mark = arena_mark(c->a);
    bool yes = json_parse(c->a, schema, &json_limits_default, &doc, NULL) == ERR_OK &&
               strict_schema(json_root(&doc));
    arena_rewind(c->a, mark);
    return yes;
}

/* As it came; but OpenAI wants `properties` even of an object without any. */
void oc_put_schema(struct oc_writing *c, struct span schema)
{
    bool bare = span_search(schema, SPAN("\"properties\"")) < 0 &&
                span_search(schema, SPAN("\"object\"")) >= 0;
    if (schema.len == 0) {
        jw_raw(&c->w, SPAN("{\"type\":\"object\",\"properties\":{}}"));
    } else if (!bare) {
        jw_raw(&c->w, schema);
    } else {
        struct span rest = span_drop(schema, 1); /* behind the brace: the object is not empty */
        jw_raw(&c->w, arena_printf(c->a, "{\"properties\":{},%.*s", SPAN_FMT(rest)));
    }
}

/* ---- tools ---- */

/* Anthropic's typed tools that the client runs: the model there knows them by heart, other models
 * get them as functions. */
static const struct typed_tool {
    const char *type; /* beginning of the versioned type */
    const char *name, *description, *schema;
} typed_tools[] = {
    {"bash_", "bash", "Runs a command in a persistent bash session and returns its output.",
     "{\"type\":\"object\",\"properties\":{"
     "\"command\":{\"type\":\"string\",\"description\":\"The bash command to run. Required unless "
     "the tool is being restarted.\"},"
     "\"restart\":{\"type\":\"boolean\",\"description\":\"true restarts the session. Otherwise "
     "leave it unset.\"}}}"},
    {"text_editor_", "str_replace_based_edit_tool",
     "Views, creates and edits text files. view shows a file with line numbers or lists a "
     "directory; create writes a whole file; str_replace replaces old_str, which must occur "
     "exactly once, by new_str; insert puts text behind a line; undo_edit, where the tool still "
     "knows it, takes the last edit back.",
     "{\"type\":\"object\",\"properties\":{"
     "\"command\":{\"type\":\"string\",\"enum\":[\"view\",\"create\",\"str_replace\",\"insert\","
     "\"undo_edit\"]},"
     "\"path\":{\"type\":\"string\",\"description\":\"Path of the file or directory.\"},"
     "\"file_text\":{\"type\":\"string\",\"description\":\"create: the file's content.\"},"
     "\"old_str\":{\"type\":\"string\",\"description\":\"str_replace: the text to replace.\"},"
     "\"new_str\":{\"type\":\"string\",\"description\":\"str_replace, and insert where insert_text "
     "is not known: the new text.\"},"
     "\"insert_line\":{\"type\":\"integer\",\"description\":\"insert: the line to insert behind; 0 "
     "is the beginning.\"},"
     "\"insert_text\":{\"type\":\"string\",\"description\":\"insert: the text to insert.\"},"
     "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"description\":\"view: "
     "first and last line; -1 is the end.\"}},"
     "\"required\":[\"command\",\"path\"]}"},
    {"memory_", "memory",
     "Keeps notes in files below /memories between conversations: view, create, str_replace, "
     "insert, delete, rename.",
     "{\"type\":\"object\",\"properties\":{"
     "\"command\":{\"type\":\"string\",\"enum\":[\"view\",\"create\",\"str_replace\",\"insert\","
     "\"delete\",\"rename\"]},"
     "\"path\":{\"type\":\"string\",\"description\":\"Path of the file or directory; not for "
     "rename.\"},"
     "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},"
     "\"file_text\":{\"type\":\"string\"},\"old_str\":{\"type\":\"string\"},"
     "\"new_str\":{\"type\":\"string\"},\"insert_line\":{\"type\":\"integer\"},"
     "\"insert_text\":{\"type\":\"string\"},\"old_path\":{\"type\":\"string\"},"
     "\"new_path\":{\"type\":\"string\"}},\"required\":[\"command\"]}"},
};

static const struct typed_tool *typed_tool(struct span wire_type)
{
    for (size_t i = 0; i < ARRAY_LEN(typed_tools); i++)
        if (span_starts(wire_type, span_from(typed_tools[i].type)))
            return &typed_tools[i];
    return NULL;
}

bool oc_stays_free_text(const struct oc_writing *c, const struct chat_tool *t)
{
    return c->cap->custom_tools && tool_is_free_text(t);
}

bool oc_function_of(struct oc_writing *c, const struct chat_tool *t, struct oc_function *out)
{
    const struct typed_tool *typed = typed_tool(t->wire_type);
    *out = (struct oc_function){t->name, t->description, t->schema, t->strict};
    if (tool_is_free_text(t)) {
        out->description = free_text_description(c->a, t);
        out->schema = SPAN(FREE_TEXT_SCHEMA);
        if (!chat_text_empty(t->grammar))
            oc_lossy(c, LOSSY_STRICT); /* nothing holds the model to it */
        return true;
    }
    if (!typed)
        return t->wire_type.len == 0 || t->schema.len > 0;
    if (chat_text_empty(t->name))
        out->name = text_from_plain(span_from(typed->name));
    out->description = text_from_plain(span_from(typed->description));
    out->schema = span_from(typed->schema);
    out->strict = CHAT_UNSET;
    return true;
}

enum err oc_refuse_tool(struct oc_writing *c, const struct chat_tool *t)
{
    return problem(c->a, c->problem, ERR_UNSUPPORTED, SPAN("tools"),
                   "This target cannot be given a tool of type %.*s: its schema is known to "
                   "its provider only.",
                   SPAN_FMT(t->wire_type));
}

void oc_put_tool_name(struct oc_writing *c, struct chat_text name)
{
    struct chat_text fits = oc_tool_name(c->a, name, c->cap->tool_name_max);
    if (fits.at.len != name.at.len)
        oc_lossy(c, LOSSY_TOOL_NAME);
    jw_text(&c->w, fits);
}

void oc_put_free_text(struct oc_writing *c, const struct chat_tool *t)
{
    jw_key(&c->w, "name");
    oc_put_tool_name(c, t->name);
    if (chat_text_empty(t->description))
        return;
    jw_key(&c->w, "description");
    jw_text(&c->w, t->description);
}

void oc_put_grammar(struct oc_writing *c, const struct chat_tool *t)
{
    jw_key(&c->w, "syntax");
    jw_str_raw(&c->w, t->grammar_syntax);
    jw_key(&c->w, "definition");
    jw_text(&c->w, t->grammar);
}

static void put_function(struct oc_writing *c, const struct oc_function *f)
{
    struct json_out *w = &c->w;
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, "function");
    jw_key(w, "function");
    jw_object(w);
    jw_key(w, "name");
    oc_put_tool_name(c, f->name);
    if (!chat_text_empty(f->description)) {
        jw_key(w, "description");
        jw_text(w, f->description);
    }
    jw_key(w, "parameters");
    oc_put_schema(c, f->schema);
    if (f->strict == CHAT_YES && c->cap->json_strict && oc_schema_is_strict(c, f->schema)) {
        jw_key(w, "strict");
        jw_bool(w, true);
    } else if (f->strict == CHAT_YES) {
        oc_lossy(c, LOSSY_STRICT);
    }
    jw_object_end(w);
    jw_object_end(w);
}

/* Beside `format` of /responses this one has its grammar one object deeper. */
static void put_custom(struct oc_writing *c, const struct chat_tool *t)
{
    struct json_out *w = &c->w;
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, "custom");
    jw_key(w, "custom");
    jw_object(w);
    oc_put_free_text(c, t);
    if (!chat_text_empty(t->grammar)) {
        jw_key(w, "format");
        jw_object(w);
        jw_key(w, "type");
        jw_cstr(w, "grammar");
        jw_key(w, "grammar");
        jw_object(w);
        oc_put_grammar(c, t);
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_object_end(w);
    jw_object_end(w);
}

static enum err put_tool(struct oc_writing *c, const struct chat_tool *t)
{
    struct oc_function f;
    if (t->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
    if (oc_stays_free_text(c, t))
        put_custom(c, t);
    else if (oc_function_of(c, t, &f))
        put_function(c, &f);
    else
        return oc_refuse_tool(c, t);
    return ERR_OK;
}

/* Nearest words: Anthropic's any is OpenAI's required. */
const char *oc_fit_tool_choice(struct oc_writing *c, enum chat_tool_choice *out)
{
    const struct chat_request *r = c->r;
    enum chat_tool_choice choice = r->tool_choice;
    const struct chat_tool *named = NULL;
    if (choice == CHAT_CHOICE_NAMED) {
        for (named = r->tools; named && !text_eq(named->name, r->tool_choice_name);)
            named = named->next;
        if (named && named->server) /* it was dropped with the server tools */
            choice = CHAT_CHOICE_AUTO;
    }
    if ((choice == CHAT_CHOICE_ANY || choice == CHAT_CHOICE_NAMED) && !c->cap->forced_tool) {
        oc_lossy(c, LOSSY_TOOL_CHOICE);
        choice = CHAT_CHOICE_AUTO;
    }
    *out = choice;
    if (choice == CHAT_CHOICE_NAMED)
        return named && oc_stays_free_text(c, named) ? "custom" : "function";
    return choice == CHAT_CHOICE_ANY ? "required" : choice == CHAT_CHOICE_NONE ? "none" : "auto";
}

static void put_tool_choice(struct oc_writing *c)
{
    struct json_out *w = &c->w;
    enum chat_tool_choice choice;
    const char *kind = oc_fit_tool_choice(c, &choice);
    if (choice == CHAT_CHOICE_UNSET)
        return;
    jw_key(w, "tool_choice");
    if (choice != CHAT_CHOICE_NAMED) {
        jw_cstr(w, kind);
        return;
    }
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, kind);
    jw_key(w, kind);
    jw_object(w);
    jw_key(w, "name");
    oc_put_tool_name(c, c->r->tool_choice_name);
    jw_object_end(w);
    jw_object_end(w);
}

static enum err put_tools(struct oc_writing *c)
{
    const struct chat_request *r = c->r;
    struct json_out *w = &c->w;
    bool any = false;
    enum err e = ERR_OK;
    for (const struct chat_tool *t = r->tools; t && e == ERR_OK; t = t->next) {
        if (t->server) {
            oc_lossy(c, LOSSY_SERVER_TOOL);
            continue;
        }
        if (!any) {
            jw_key(w, "tools");
            jw_array(w);
        }
        any = true;
        e = put_tool(c, t);
    }
    if (!any || e != ERR_OK)
        return e;
    jw_array_end(w);
    put_tool_choice(c);
    if (r->parallel_tools == CHAT_NO && c->cap->parallel_flag) {
        jw_key(w, "parallel_tool_calls");
        jw_bool(w, false);
    } else if (r->parallel_tools == CHAT_NO) {
        oc_lossy(c, LOSSY_PARALLEL_TOOLS);
    }
    return ERR_OK;
}

/* ---- the other fields ---- */

void oc_put_max_tokens(struct oc_writing *c, const char *name)
{
    int64_t n = c->r->max_tokens;
    if (n < 0)
        return;
    if (n == 0) /* Anthropic's way to warm a cache; nobody here accepts 0 */
        n = 1;
    if (c->cap->max_output > 0 && n > c->cap->max_output)
        n = c->cap->max_output;
    jw_key(&c->w, name);
    jw_i64(&c->w, n);
}

/* A value that is the default anyway is no loss where the field is refused. */
static bool is_one(struct span number)
{
    double d;
    return span_double(number, &d) == ERR_OK && d >= 1.0 && d <= 1.0;
}

void oc_put_sampling(struct oc_writing *c, const char *temperature, const char *top_p,
                     const char *top_k)
{
    const struct chat_request *r = c->r;
    const struct {
        const char *name, *lossy;
        struct span value;
        bool ok;
    } rows[] = {
        {temperature, LOSSY_SAMPLING, r->temperature, c->cap->sampling},
        {top_p, LOSSY_SAMPLING, r->top_p, c->cap->sampling},
        {top_k, LOSSY_TOP_K, r->top_k, c->cap->top_k},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].value.len == 0)
            continue;
        if (rows[i].ok) {
            jw_key(&c->w, rows[i].name);
            jw_raw(&c->w, rows[i].value);
        } else if (!is_one(rows[i].value)) {
            oc_lossy(c, rows[i].lossy);
        }
    }
}

void oc_put_stop(struct oc_writing *c, const char *name)
{
    size_t count = c->r->stop.count, most = c->cap->stop_max;
    if (!c->cap->stop)
        most = 0;
    else if (most == 0) /* any number */
        most = count;
    if (count > most) {
        oc_lossy(c, LOSSY_STOP);
        count = most;
    }
    if (count == 0)
        return;
    jw_key(&c->w, name);
    jw_array(&c->w);
    for (size_t i = 0; i < count; i++)
        jw_text(&c->w, c->r->stop.at[i]);
    jw_array_end(&c->w);
}

/* A thinking budget as a word (the buckets of LiteLLM, which clients are used to). */
static enum effort effort_of_budget(int64_t tokens)
{
    if (tokens >= 10000)
        return EFFORT_HIGH;
    if (tokens >= 5000)
        return EFFORT_MEDIUM;
    return tokens >= 2000 ? EFFORT_LOW : EFFORT_MINIMAL;
}

struct oc_effort oc_effort_of(const struct chat_request *r)
{
    struct oc_effort e = {.wanted = EFFORT_MEDIUM};
    e.spoken = !chat_text_empty(r->effort) && effort_parse(r->effort.at, &e.wanted) == ERR_OK;
    e.off = r->thinking == CHAT_THINKING_OFF || (e.spoken && e.wanted == EFFORT_NONE);
    e.any = e.off || e.spoken || r->thinking == CHAT_THINKING_BUDGET ||
            r->thinking == CHAT_THINKING_ADAPTIVE;
    if (e.off)
        e.wanted = EFFORT_NONE;
    else if (r->thinking == CHAT_THINKING_BUDGET && !e.spoken)
        e.wanted = effort_of_budget(r->thinking_budget);
    return e;
}

bool oc_fit_effort(struct oc_writing *c, enum effort *out)
{
    struct oc_effort e = oc_effort_of(c->r);
    bool can = c->cap->reasoning_effort && c->cap->efforts;
    if (!e.any)
        return false;
    if (e.off && !(can && (c->cap->efforts & BIT(EFFORT_NONE)))) {
        if (can) /* it thinks anyway */
            oc_lossy(c, LOSSY_EFFORT);
        return false;
    }
    if (!can) {
        oc_lossy(c, LOSSY_EFFORT);
        return false;
    }
    *out = effort_fit(c->cap->efforts, e.wanted);
    if (*out != e.wanted || (c->r->thinking == CHAT_THINKING_BUDGET && !e.spoken))
        oc_lossy(c, LOSSY_EFFORT);
    return true;
}

/* Sooner without reasoning than not at all: such a model takes tools here with effort none alone.
 */
static bool gives_up_effort(struct oc_writing *c)
{
    bool can = c->cap->reasoning_effort && (c->cap->efforts & BIT(EFFORT_NONE));
    if (!c->cap->tools_by_responses || !c->r->tools || !can)
        return false;
    struct oc_effort e = oc_effort_of(c->r);
    if (e.any && !e.off)
        oc_lossy(c, LOSSY_EFFORT);
    return true;
}

static void put_effort(struct oc_writing *c)
{
    enum effort fits = EFFORT_NONE;
    if (!gives_up_effort(c) && !oc_fit_effort(c, &fits))
        return;
    jw_key(&c->w, "reasoning_effort");
    jw_cstr(&c->w, effort_name(fits));
}

void oc_put_schema_format(struct oc_writing *c)
{
    const struct chat_request *r = c->r;
    struct json_out *w = &c->w;
    bool wanted = r->format_strict != CHAT_NO && c->cap->json_strict;
    jw_key(w, "name");
    if (chat_text_empty(r->format_name))
        jw_cstr(w, "answer");
    else
        jw_text(w, r->format_name);
    jw_key(w, "schema");
    jw_raw(w, r->format_schema);
    if (wanted && oc_schema_is_strict(c, r->format_schema)) {
        jw_key(w, "strict");
        jw_bool(w, true);
    } else if (r->format_strict == CHAT_YES) {
        oc_lossy(c, LOSSY_FORMAT);
    }
}

static void put_json_schema(struct oc_writing *c)
{
    jw_cstr(&c->w, "json_schema");
    jw_key(&c->w, "json_schema");
    jw_object(&c->w);
    oc_put_schema_format(c);
    jw_object_end(&c->w);
}

static void put_format(struct oc_writing *c)
{
    enum chat_format f = c->r->format;
    if (f != CHAT_FORMAT_JSON && f != CHAT_FORMAT_SCHEMA)
        return;
    jw_key(&c->w, "response_format");
    jw_object(&c->w);
    jw_key(&c->w, "type");
    if (f == CHAT_FORMAT_SCHEMA && c->cap->json_schema) {
        put_json_schema(c);
    } else { /* schema_in_system: the system prompt carries the schema */
        jw_cstr(&c->w, "json_object");
        if (f == CHAT_FORMAT_SCHEMA)
            oc_lossy(c, LOSSY_FORMAT);
    }
    jw_object_end(&c->w);
}

/* Claude Code's id is a JSON text longer than OpenAI's limit; its hash names the same user. */
void oc_put_user(struct oc_writing *c)
{
    struct chat_text id = c->r->user_id;
    if (chat_text_empty(id))
        return;
    if (!c->cap->safety_identifier && c->cap->tool_id_nine) {
        oc_lossy(c, LOSSY_USER_ID); /* Mistral refuses bodies with a field it does not know */
        return;
    }
    if (!c->cap->safety_identifier) {
        jw_key(&c->w, "user");
        jw_text(&c->w, id);
        return;
    }
    jw_key(&c->w, "safety_identifier");
    if (id.at.len <= USER_ID_MAX) {
        jw_text(&c->w, id);
        return;
    }
    uint64_t one = oc_hash(OC_HASH_SEED, id.at);
    jw_str(&c->w, arena_printf(c->a, "user_%016llx%016llx", (unsigned long long)one,
                               (unsigned long long)oc_hash(one, id.at)));
}

/* Fields of this format that go on as they are; only the completions door brings them here, since
 * chat to chat is passed through. */
static bool carries_extra(const struct oc_writing *c, const struct chat_extra *x)
{
    static const char *const carried[] = {"presence_penalty", "frequency_penalty", "seed"};
    if (!c->r->origin || strncmp(c->r->origin, "openai-", 7) != 0 || !c->cap->sampling)
        return false;
    if (c->cap->tool_id_nine && span_is(x->name, "seed")) /* Mistral: random_seed, else refused */
        return false;
    for (size_t i = 0; i < ARRAY_LEN(carried); i++)
        if (span_is(x->name, carried[i]))
            return true;
    return false;
}

static void put_extras(struct oc_writing *c)
{
    for (const struct chat_extra *x = c->r->extras; x; x = x->next) {
        const char *loss = extra_lossy(x);
        if (loss && carries_extra(c, x)) {
            jw_key_raw(&c->w, x->name);
            jw_raw(&c->w, x->value);
        } else if (loss) {
            oc_lossy(c, loss);
        }
    }
    if (c->r->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
}

/* vLLM and llama.cpp go on with a last assistant message when told not to open a new one. top_k is
 * theirs alone among those that can. */
static void put_continue(struct oc_writing *c)
{
    if (!c->prefilled || !c->cap->prefill || !c->cap->top_k)
        return;
    jw_key(&c->w, "continue_final_message");
    jw_bool(&c->w, true);
    jw_key(&c->w, "add_generation_prompt");
    jw_bool(&c->w, false);
}

static void put_stream(struct oc_writing *c, bool stream)
{
    if (!stream)
        return;
    jw_key(&c->w, "stream");
    jw_bool(&c->w, true);
    if (!c->cap->stream_options)
        return;
    jw_key(&c->w, "stream_options");
    jw_raw(&c->w, SPAN("{\"include_usage\":true}"));
}

enum err oc_body_begin(struct oc_writing *c)
{
    if (c->r->choices > 1)
        return oc_refuse(c, "n", "Several choices (n) cannot be carried to another provider.");
    json_out_pieces(&c->w, &c->out->body);
    jw_object(&c->w);
    return ERR_OK;
}

enum err oc_body_end(struct oc_writing *c)
{
    jw_object_end(&c->w);
    assert(!c->w.failed);
    return arena_over(c->a) ? ERR_LIMIT : ERR_OK;
}

enum err oc_write_request(struct arena *a, const struct chat_request *r,
                          const struct capability *cap, struct span model, bool stream,
                          struct dialect_body *out, struct chat_problem *out_problem)
{
    struct oc_writing c = {.a = a, .r = r, .cap = cap, .out = out, .problem = out_problem};
    c.schema_in_system = r->format == CHAT_FORMAT_SCHEMA && !cap->json_schema;
    enum err e = oc_body_begin(&c);
    if (e != ERR_OK)
        return e;
    jw_key(&c.w, "model");
    jw_str_raw(&c.w, model);
    e = oc_write_messages(&c);
    if (e == ERR_OK)
        e = put_tools(&c);
    if (e != ERR_OK)
        return e;
    oc_put_max_tokens(&c, cap->max_completion_tokens ? "max_completion_tokens" : "max_tokens");
    oc_put_sampling(&c, "temperature", "top_p", "top_k");
    oc_put_stop(&c, "stop");
    put_effort(&c);
    put_format(&c);
    oc_put_user(&c);
    put_extras(&c);
    put_continue(&c);
    put_stream(&c, stream);
    return oc_body_end(&c);
}
