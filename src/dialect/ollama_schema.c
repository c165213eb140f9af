/* A tool's schema as Ollama can read it. It reads into types of its own: where a schema of JSON
 * Schema may be true or false, or a root may have several types, it answers 400 to the whole
 * request, and one such tool of many would end every answer. Source: Ollama 0.17.4, api/types.go
 * (ToolFunctionParameters, ToolProperty); what it does not know there it passes over. */
#include "dialect/ollama_internal.h"

/* ---- can it be read? ---- */

static bool reads_schema(struct json schema);

static bool reads_all(struct json list)
{
    for (struct json s = json_first(list); json_present(s); s = json_next(list, s))
        if (!json_is(s, JSON_OBJECT) || !reads_schema(s))
            return false;
    return true;
}

/* Recursion is bounded by json_limits_default. */
static bool reads_schema(struct json schema)
{
    return reads_all(json_get(schema, "properties")) && reads_all(json_get(schema, "anyOf"));
}

static bool reads_parameters(struct json parameters)
{
    struct json type = json_get(parameters, "type");
    return (!json_useful(type) || json_is(type, JSON_STRING)) &&
           reads_all(json_get(parameters, "properties"));
}

bool dialect_ollama_reads(struct json tools)
{
    for (struct json t = json_first(tools); json_present(t); t = json_next(tools, t))
        if (!reads_parameters(json_get(json_get(t, "function"), "parameters")))
            return false;
    return true;
}

/* ---- so that it can ---- */

static void put_schema(struct oc_writing *c, struct json schema);

/* true, which many write for "anything", as the empty schema, which means the same. */
static void put_property(struct oc_writing *c, struct json v)
{
    if (json_is(v, JSON_OBJECT))
        put_schema(c, v);
    else
        jw_raw(&c->w, SPAN("{}"));
}

static void put_properties(struct oc_writing *c, struct json properties)
{
    jw_object(&c->w);
    for (struct json p = json_first(properties); json_present(p); p = json_next(properties, p)) {
        jw_key_raw(&c->w, json_key(p));
        put_property(c, p);
    }
    jw_object_end(&c->w);
}

static void put_choices(struct oc_writing *c, struct json choices)
{
    jw_array(&c->w);
    for (struct json s = json_first(choices); json_present(s); s = json_next(choices, s))
        put_property(c, s);
    jw_array_end(&c->w);
}

/* Recursion is bounded by json_limits_default. */
static void put_schema(struct oc_writing *c, struct json schema)
{
    jw_object(&c->w);
    for (struct json m = json_first(schema); json_present(m); m = json_next(schema, m)) {
        jw_key_raw(&c->w, json_key(m));
        if (json_key_is(m, "properties") && json_is(m, JSON_OBJECT))
            put_properties(c, m);
        else if (json_key_is(m, "anyOf") && json_is(m, JSON_ARRAY))
            put_choices(c, m);
        else
            jw_raw(&c->w, json_raw(m));
    }
    jw_object_end(&c->w);
}

static void put_root(struct oc_writing *c, struct json schema)
{
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, "object"); /* a tool's input is one */
    jw_key(&c->w, "properties");
    put_properties(c, json_get(schema, "properties"));
    for (struct json m = json_first(schema); json_present(m); m = json_next(schema, m)) {
        if (json_key_is(m, "type") || json_key_is(m, "properties"))
            continue;
        jw_key_raw(&c->w, json_key(m));
        jw_raw(&c->w, json_raw(m));
    }
    jw_object_end(&c->w);
}

void ol_put_schema(struct oc_writing *c, struct span schema)
{
    struct json_doc doc;
    if (json_parse(c->a, schema, NULL, &doc, NULL) == ERR_OK &&
        json_is(json_root(&doc), JSON_OBJECT))
        put_root(c, json_root(&doc));
    else
        oc_put_schema(c, schema);
}
