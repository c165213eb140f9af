/* The table as JSON Schema 2020-12, for editors. It says what the reader says about one key; what
 * needs several keys (unknown targets in chains, secrets that are missing) is `config check`'s to
 * say. */
#include "serve/config_internal.h"

#include "json/json_write.h"

#define NAME_PATTERN "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

static void member(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    jw_cstr(w, value);
}

static void number_member(struct json_out *w, const char *key, uint64_t value)
{
    jw_key(w, key);
    jw_i64(w, (int64_t)value);
}

static void write_section(struct json_out *w, const char *section);

static void write_child(struct json_out *w, const char *key, const char *path)
{
    const struct config_row *row = config_row(span_from(path));
    assert(row);
    jw_key(w, key);
    jw_object(w);
    if (row->type == CONFIG_SECTION) {
        write_section(w, path);
    } else {
        member(w, "type", "string");
        member(w, "description", row->help);
    }
    jw_object_end(w);
}

static void write_names(struct json_out *w)
{
    jw_key(w, "propertyNames");
    jw_object(w);
    member(w, "pattern", NAME_PATTERN);
    jw_object_end(w);
}

static void write_words(struct json_out *w, const struct config_row *row)
{
    const char *words[CONFIG_WORDS_MAX];
    size_t count = config_row_words(row, words);
    jw_key(w, "enum");
    jw_array(w);
    for (size_t i = 0; i < count; i++)
        jw_cstr(w, words[i]);
    jw_array_end(w);
}

static void write_number(struct json_out *w, const struct config_row *row)
{
    uint64_t n = 0;
    member(w, "type", "integer");
    number_member(w, "minimum", row->least);
    number_member(w, "maximum", row->most);
    if (row->fallback && span_u64(span_from(row->fallback), &n) == ERR_OK)
        number_member(w, "default", n);
}

static void write_text(struct json_out *w, const struct config_row *row)
{
    member(w, "type", "string");
    if (row->type == CONFIG_DURATION)
        member(w, "pattern", "^(0|[1-9][0-9]*)(ms|s|m|h)$");
    else if (row->type == CONFIG_SIZE)
        member(w, "pattern", "^(0|[1-9][0-9]*)(B|KiB|MiB|GiB)$");
    else if (row->type == CONFIG_URL)
        member(w, "pattern", "^[Hh][Tt][Tt][Pp][Ss]?://");
    else
        number_member(w, "minLength", 1);
    if (row->fallback)
        member(w, "default", row->fallback);
}

static void write_list(struct json_out *w, const struct config_row *row)
{
    member(w, "type", "array");
    number_member(w, "minItems", 1);
    if (row->type == CONFIG_ROUTES) {
        write_child(w, "items", "models[]");
        return;
    }
    number_member(w, "maxItems", row->type == CONFIG_WORDS ? CONFIG_LIST_MAX : CONFIG_CHAIN_MAX);
    jw_key(w, "items");
    jw_object(w);
    member(w, "type", "string");
    jw_object_end(w);
}

static void write_type(struct json_out *w, const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_SECTION:
        write_section(w, row->path);
        break;
    case CONFIG_KEYS:
    case CONFIG_TARGETS:
        member(w, "type", "object");
        write_names(w);
        write_child(w, "additionalProperties", row->type == CONFIG_KEYS ? "keys.*" : "targets.*");
        break;
    case CONFIG_ROUTES:
    case CONFIG_CHAIN:
    case CONFIG_WORDS:
        write_list(w, row);
        break;
    case CONFIG_BOOL:
        member(w, "type", "boolean");
        jw_key(w, "default");
        jw_bool(w, strcmp(row->fallback, "true") == 0);
        break;
    case CONFIG_COUNT:
        write_number(w, row);
        break;
    case CONFIG_KIND:
    case CONFIG_SPEAKS:
    case CONFIG_API:
    case CONFIG_AUTH:
    case CONFIG_USE:
    case CONFIG_START:
        write_words(w, row);
        break;
    default:
        write_text(w, row);
    }
}

static void write_required(struct json_out *w, const char *section)
{
    struct span name;
    jw_key(w, "required");
    jw_array(w);
    for (size_t i = 0; i < config_row_count; i++)
        if (config_rows[i].required && config_row_is_below(&config_rows[i], section, &name))
            jw_cstr(w, name.at);
    jw_array_end(w);
}

static void write_section(struct json_out *w, const char *section)
{
    struct span name;
    member(w, "type", "object");
    jw_key(w, "additionalProperties");
    jw_bool(w, false);
    write_required(w, section);
    jw_key(w, "properties");
    jw_object(w);
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->type == CONFIG_PLANNED || !config_row_is_below(row, section, &name))
            continue;
        jw_key(w, name.at);
        jw_object(w);
        member(w, "description", row->help);
        write_type(w, row);
        jw_object_end(w);
    }
    jw_object_end(w);
}

void config_schema(struct buf *out)
{
    struct json_out w;
    json_out_buf(&w, out);
    jw_object(&w);
    member(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    member(&w, "title", "Hotspare configuration");
    write_section(&w, "");
    jw_object_end(&w);
    config_put(out, "\n");
}
