/* The configuration told to a person: the effective one as YAML that reads back as the same, and
 * what each key means. Both walk the table. */
#include "serve/config_internal.h"

/* ---- show ---- */

struct show {
    const struct config *c;
    bool origin;
    struct buf *out;
};

static void end_line(const struct show *s, int from, int line)
{
    if (!s->origin)
        config_put(s->out, "\n");
    else if (from == CONFIG_FROM_FILE)
        config_put(s->out, "  # %s:%d\n", s->c->file, line);
    else
        config_put(s->out, "  # %s\n", from == CONFIG_FROM_ENV ? "environment" : "default");
}

/* Says how a secret stands without saying it: "set, ...9f2c". */
static void end_secret_line(const struct show *s, const struct config_secret *secret)
{
    char hint[24];
    if (s->origin) {
        secret_hint(&secret->value, hint);
        config_put(s->out, "  # %s", hint);
    }
    config_put(s->out, "\n");
}

static bool has_value(const struct config_row *row, const void *base)
{
    struct buf b;
    buf_init(&b, 4096);
    bool has = config_write_value(row, base, &b);
    buf_deinit(&b);
    return has;
}

static void show_global(const struct show *s, const struct config_row *row)
{
    const struct config_origin *o = &s->c->origins[row - config_rows];
    const char *dot = strchr(row->path, '.');
    if (!has_value(row, s->c))
        return;
    config_put(s->out, "%s%s: ", dot ? "  " : "", dot ? dot + 1 : row->path);
    (void)config_write_value(row, s->c, s->out);
    if (s->origin && o->from == CONFIG_FROM_ENV) {
        char name[64];
        config_row_env(row, name);
        config_put(s->out, "  # %s\n", name);
    } else {
        end_line(s, o->from, o->line);
    }
}

/* A section's head, when one of its keys has a value. */
static void show_section(const struct show *s, const struct config_row *section)
{
    struct span name;
    if (strchr(section->path, '*') || strchr(section->path, '['))
        return; /* written with its list */
    for (size_t i = 0; i < config_row_count; i++)
        if (config_row_is_below(&config_rows[i], section->path, &name) &&
            config_row_is_global(&config_rows[i]) && has_value(&config_rows[i], s->c)) {
            config_put(s->out, "%s:\n", section->path);
            return;
        }
}

static void show_keys(const struct show *s)
{
    const struct config_row *row = config_row(SPAN("keys.*"));
    if (s->c->key_count)
        config_put(s->out, "keys:\n");
    for (size_t i = 0; i < s->c->key_count; i++) {
        const struct config_client_key *k = &s->c->keys[i];
        config_put(s->out, "  ");
        config_write_text(span_from(k->name), s->out);
        config_put(s->out, ": ");
        (void)config_write_value(row, &k->key, s->out);
        end_secret_line(s, &k->key);
    }
}

/* Is it worth a line: not what follows from the kind anyway? */
static bool is_told(const struct config_row *row, const struct config_target *t)
{
    switch (row->type) {
    case CONFIG_SPEAKS:
        return config_kind(t->kind)->choose_dialect;
    case CONFIG_API:
        return t->api != config_default_api(t);
    case CONFIG_AUTH:
        return t->bearer && !config_is_cloud(t) &&
               (t->dialect == DIALECT_ANTHROPIC || t->kind == TARGET_AZURE_OPENAI ||
                t->kind == TARGET_GEMINI);
    case CONFIG_BOOL:
        return t->plain_http;
    case CONFIG_COUNT:
        return t->context > 0;
    case CONFIG_URL:
        return !t->port_open;
    case CONFIG_WORDS:
        return t->command != NULL;
    case CONFIG_START:
    case CONFIG_DURATION:
        return t->start != ENGINE_NEVER;
    case CONFIG_SIZE:
        return t->memory > 0;
    default:
        return row->type >= CONFIG_LISTEN && has_value(row, t);
    }
}

static void show_target(const struct show *s, const struct config_target *t)
{
    struct span name;
    config_put(s->out, "  ");
    config_write_text(span_from(t->name), s->out);
    config_put(s->out, ":");
    if (s->origin && t->found)
        config_put(s->out, "  # found on this machine\n");
    else
        end_line(s, t->line ? CONFIG_FROM_FILE : CONFIG_FROM_ENV, t->line);
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (!config_row_is_below(row, "targets.*", &name) || !is_told(row, t))
            continue;
        config_put(s->out, "    %s: ", name.at);
        (void)config_write_value(row, t, s->out);
        if (row->type == CONFIG_SECRET)
            end_secret_line(s, (const void *)((const char *)t + row->offset));
        else
            config_put(s->out, "\n");
    }
}

static void show_route(const struct show *s, const struct config_route *route)
{
    config_put(s->out, "  - match: ");
    config_write_text(span_from(route->match), s->out);
    end_line(s, route->line ? CONFIG_FROM_FILE : CONFIG_FROM_DEFAULT, route->line);
    config_put(s->out, "    chain:\n");
    for (size_t i = 0; i < route->link_count; i++) {
        const struct config_link *link = &route->links[i];
        const struct config_target *t = &s->c->targets[link->target];
        struct buf entry;
        buf_init(&entry, 4096);
        config_put(&entry, "%s", t->name);
        if (link->model && link->model != t->model)
            config_put(&entry, "/%s", link->model);
        config_put(s->out, "      - ");
        config_write_text(buf_span(&entry), s->out);
        config_put(s->out, "\n");
        buf_deinit(&entry);
    }
}

void config_show(const struct config *c, bool origin, struct buf *out)
{
    struct show s = {c, origin, out};
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (config_row_is_global(row))
            show_global(&s, row);
        else if (row->type == CONFIG_SECTION)
            show_section(&s, row);
        else if (row->type == CONFIG_KEYS)
            show_keys(&s);
        else if (row->type == CONFIG_TARGETS || row->type == CONFIG_ROUTES)
            config_put(out, "%s:\n", row->path);
        for (size_t k = 0; row->type == CONFIG_TARGETS && k < c->target_count; k++)
            show_target(&s, &c->targets[k]);
        for (size_t k = 0; row->type == CONFIG_ROUTES && k < c->route_count; k++)
            show_route(&s, &c->routes[k]);
    }
}

/* ---- explain ---- */

static const char *type_text(enum config_type t)
{
    switch (t) {
    case CONFIG_SECTION:
    case CONFIG_KEYS:
    case CONFIG_TARGETS:
        return "mapping";
    case CONFIG_ROUTES:
    case CONFIG_CHAIN:
    case CONFIG_WORDS:
        return "list";
    case CONFIG_PLANNED:
        return "planned, not in this version";
    case CONFIG_LISTEN:
        return "host:port";
    case CONFIG_FILE:
        return "path";
    case CONFIG_URL:
        return "URL";
    case CONFIG_SECRET:
        return "secret";
    case CONFIG_DURATION:
        return "duration (500ms, 8s, 5m, 1h)";
    case CONFIG_SIZE:
        return "size (512KiB, 32MiB, 1GiB)";
    case CONFIG_COUNT:
        return "number";
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_KIND:
    case CONFIG_SPEAKS:
    case CONFIG_USE:
    case CONFIG_API:
    case CONFIG_AUTH:
    case CONFIG_START:
        return "word";
    default:
        return "text";
    }
}

static void explain_row(const struct config_row *row, struct buf *out)
{
    const char *words[CONFIG_WORDS_MAX];
    char name[64];
    config_put(out, "%s\n  %s\n  type: %s", row->path, row->help, type_text(row->type));
    for (size_t i = 0, n = row->type == CONFIG_BOOL ? 0 : config_row_words(row, words); i < n; i++)
        config_put(out, "%s%s", i ? ", " : "; one of ", words[i]);
    if (row->required)
        config_put(out, "; must be given");
    if (row->fallback)
        config_put(out, "\n  default: %s", row->fallback);
    if (row->most) {
        config_put(out, "\n  range: ");
        config_write_amount(row->type, row->least, out);
        config_put(out, " to ");
        config_write_amount(row->type, row->most, out);
    }
    if (config_row_is_global(row)) {
        config_row_env(row, name);
        config_put(out, "\n  environment: %s", name);
    }
    if (row->type != CONFIG_PLANNED)
        config_put(out, "\n  a change takes effect: %s",
                   row->restart ? "after a restart" : "on reload");
    config_put(out, "\n");
}

/* The path a person types may name the target or the rule: targets.claude.url, models[0].match. */
static struct span general_path(struct span key, char *out, size_t cap)
{
    size_t n = 0, words = 0;
    bool named = span_starts(key, SPAN("targets.")) || span_starts(key, SPAN("keys."));
    for (size_t i = 0; i < key.len && n + 1 < cap; i++) {
        words += key.at[i] == '.';
        bool digit = n && out[n - 1] == '[' && key.at[i] >= '0' && key.at[i] <= '9';
        bool name = named && words == 1 && key.at[i] != '.';
        if (digit || (name && out[n - 1] == '*'))
            continue;
        out[n++] = name ? '*' : key.at[i];
    }
    return (struct span){out, n};
}

static bool is_under(const struct config_row *row, struct span key)
{
    assert(row->path != NULL);
    struct span path = span_from(row->path);
    return span_starts(path, key) && (path.len == key.len || memchr(".[", path.at[key.len], 2));
}

static enum err explain_nearest(struct span key, struct buf *out)
{
    const char *paths[128];
    assert(config_row_count <= ARRAY_LEN(paths));
    for (size_t i = 0; i < config_row_count; i++)
        paths[i] = config_rows[i].path;
    const char *near = config_nearest(key, paths, config_row_count);
    if (near)
        config_put(out, "%.*s: unknown key; did you mean \"%s\"?\n", SPAN_FMT(key), near);
    else
        config_put(out, "%.*s: unknown key\n", SPAN_FMT(key));
    return ERR_NOT_FOUND;
}

enum err config_explain(const char *key, struct buf *out)
{
    char path[256];
    struct span asked = key ? general_path(span_from(key), path, sizeof(path)) : SPAN_EMPTY;
    bool found = false;
    for (size_t i = 0; i < config_row_count; i++) {
        if (key && !is_under(&config_rows[i], asked))
            continue;
        if (found)
            config_put(out, "\n");
        explain_row(&config_rows[i], out);
        found = true;
    }
    return found ? ERR_OK : explain_nearest(span_from(key), out);
}
