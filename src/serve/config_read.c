/* Walks the tree of a YAML file by the table and fills in the configuration. Every mistake becomes
 * a problem with its place and a fix, and the walk goes on. */
#include "serve/config_internal.h"

#include <stdio.h>

/* ---- the path of what is being read, for messages ---- */

static size_t enter(struct config_reader *r, const char *between, struct span name)
{
    size_t n = strlen(r->path), left = sizeof(r->path) - n;
    (void)snprintf(r->path + n, left, "%s%.*s", n ? between : "", SPAN_FMT(name));
    return n;
}

static size_t enter_index(struct config_reader *r, size_t index)
{
    size_t n = strlen(r->path), left = sizeof(r->path) - n;
    (void)snprintf(r->path + n, left, "[%zu]", index);
    return n;
}

static void leave(struct config_reader *r, size_t n)
{
    r->path[n] = '\0';
}

/* ---- complaints ---- */

static const char *type_name(enum config_node_type t)
{
    return t == NODE_MAP ? "a mapping" : t == NODE_LIST ? "a list" : "a single value";
}

static bool wants(struct config_reader *r, const struct config_node *n, enum config_node_type type,
                  const char *example)
{
    if (n->type == type)
        return true;
    if (n->type == NODE_BAD)
        return false;
    bool empty = n->type == NODE_SCALAR && n->plain && n->text.len == 0;
    config_complain(r, config_mark_of(n), false, example, "%s: %s where %s is wanted", r->path,
                    empty ? "nothing" : type_name(n->type), type_name(type));
    return false;
}

static size_t names_below(const char *section, const char **out, size_t max)
{
    size_t count = 0;
    struct span name;
    for (size_t i = 0; i < config_row_count && count < max; i++)
        if (config_row_is_below(&config_rows[i], section, &name) &&
            config_rows[i].type != CONFIG_PLANNED)
            out[count++] = name.at;
    return count;
}

static void unknown_key(struct config_reader *r, const char *section, const struct config_node *n)
{
    const char *names[32];
    size_t count = names_below(section, names, ARRAY_LEN(names));
    const char *near = config_nearest(n->key, names, count);
    struct config_mark at = config_mark_key(n);
    struct span all = SPAN_EMPTY;
    ssize_t dot = span_find(n->key, '.');
    if (!section[0] && dot > 0 && config_row(n->key)) {
        config_complain(r, at, false,
                        config_printf(r, "nest it: %.*s: { %.*s: ... }", (int)dot, n->key.at,
                                      SPAN_FMT(span_drop(n->key, (size_t)dot + 1)))
                            .at,
                        "%s: a path, not a key", r->path);
        return;
    }
    if (near) {
        config_complain(r, at, false, config_printf(r, "rename it to %s", near).at,
                        "%s: unknown key; did you mean \"%s\"?", r->path, near);
        return;
    }
    for (size_t i = 0; i < count; i++)
        all = config_printf(r, "%.*s%s%s", SPAN_FMT(all), i ? ", " : "", names[i]);
    config_complain(r, at, false, config_printf(r, "remove it; known here: %.*s", SPAN_FMT(all)).at,
                    "%s: unknown key", r->path);
}

/* ---- values ---- */

static void read_map(struct config_reader *r, const struct config_node *map, const char *section,
                     void *base);

static void note_origin(struct config_reader *r, const struct config_row *row, int line)
{
    if (config_row_is_global(row))
        r->c->origins[row - config_rows] =
            (struct config_origin){line ? CONFIG_FROM_FILE : CONFIG_FROM_ENV, line};
}

/* Numbers and words of logic are plain; the rest may be quoted. */
static bool check_quotes(struct config_reader *r, const struct config_row *row,
                         const struct config_node *n)
{
    if (n->plain || (row->type != CONFIG_BOOL && row->type != CONFIG_COUNT))
        return true;
    config_complain(r, config_mark_of(n), false, "remove the quotes", "%s: %s in quotes", r->path,
                    row->type == CONFIG_BOOL ? "true or false" : "a number");
    return false;
}

static void read_scalar(struct config_reader *r, const struct config_row *row,
                        const struct config_node *n, void *base)
{
    struct config_complaint why = {0};
    if (!wants(r, n, NODE_SCALAR, "write one value on this line") || !check_quotes(r, row, n))
        return;
    if (!config_read_value(row, &r->c->arena, n->text, base, &why)) {
        config_complain(r, config_mark_of(n), false, why.fix, "%s: %s", r->path, why.what);
        return;
    }
    note_origin(r, row, n->line);
    if (row->type == CONFIG_SECRET)
        config_resolve(r, config_mark_of(n), (void *)((char *)base + row->offset), row->lines);
}

static bool check_name(struct config_reader *r, const struct config_node *n)
{
    if (config_name_ok(n->key))
        return true;
    config_complain(r, config_mark_key(n), false,
                    "use letters, digits, '.', '_' and '-', at most 64 of them", "%s: not a name",
                    r->path);
    return false;
}

static void read_keys(struct config_reader *r, const struct config_node *map)
{
    const struct config_row *row = config_row(SPAN("keys.*"));
    r->c->keys = arena_array(&r->c->arena, struct config_client_key, map->count + 1);
    for (const struct config_node *n = map->first; n; n = n->next) {
        size_t at = enter(r, ".", n->key);
        struct config_client_key *k = &r->c->keys[r->c->key_count];
        if (check_name(r, n) && n->type != NODE_BAD) {
            k->name = arena_cstr(&r->c->arena, n->key);
            k->line = n->key_line;
            r->c->key_count++;
            read_scalar(r, row, n, &k->key);
        }
        leave(r, at);
    }
}

static void read_targets(struct config_reader *r, struct config_node *map)
{
    r->c->targets = arena_array(&r->c->arena, struct config_target, map->count + 1);
    r->targets = arena_array(r->arena, struct config_node *, map->count + 1);
    r->target_bad = arena_array(r->arena, bool, map->count + 1);
    for (struct config_node *n = map->first; n; n = n->next) {
        size_t at = enter(r, ".", n->key), i = r->c->target_count++;
        struct config_target *t = &r->c->targets[i];
        t->name = arena_cstr(&r->c->arena, n->key);
        t->line = n->key_line;
        t->kind = TARGET_KIND_COUNT; /* until it is read */
        r->targets[i] = n;
        (void)check_name(r, n);
        if (wants(r, n, NODE_MAP, "write { kind: ... }"))
            read_map(r, n, "targets.*", t);
        r->target_bad[i] =
            t->kind == TARGET_KIND_COUNT || (config_node_get(n, "url") && !t->url_text);
        leave(r, at);
    }
}

static void read_routes(struct config_reader *r, const struct config_node *list)
{
    r->c->routes = arena_array(&r->c->arena, struct config_route, list->count + 1);
    size_t i = 0;
    for (const struct config_node *n = list->first; n; n = n->next) {
        size_t at = enter_index(r, i++);
        struct config_route *route = &r->c->routes[r->c->route_count++];
        route->line = n->line;
        if (wants(r, n, NODE_MAP, "write { match: \"claude-*\", chain: [ ... ] }"))
            read_map(r, n, "models[]", route);
        leave(r, at);
    }
}

/* Chains are read when all targets are known: config_check.c. Here only their shape. */
static void read_chain(struct config_reader *r, const struct config_node *list)
{
    size_t i = 0;
    for (const struct config_node *n = list->first; n; n = n->next) {
        size_t at = enter_index(r, i++);
        (void)wants(r, n, NODE_SCALAR, "write target or target/model");
        leave(r, at);
    }
}

static void read_words(struct config_reader *r, const struct config_row *row,
                       const struct config_node *list, void *base)
{
    const char **words = arena_array(&r->c->arena, const char *, list->count + 1);
    size_t i = 0;
    if (list->count == 0 || list->count > CONFIG_LIST_MAX)
        config_complain(r, config_mark_of(list), false, "write [ program, argument, ... ]",
                        list->count ? "%s: more than 64 words" : "%s: empty", r->path);
    for (const struct config_node *n = list->first; n; n = n->next) {
        size_t at = enter_index(r, i);
        struct config_complaint why = {0};
        if (wants(r, n, NODE_SCALAR, "write one word; quote it where it looks like more")) {
            if (!config_check_text(n->text, &why))
                config_complain(r, config_mark_of(n), false, why.fix, "%s: %s", r->path, why.what);
            words[i++] = arena_cstr(&r->c->arena, n->text);
        }
        leave(r, at);
    }
    if (i > 0 && i <= CONFIG_LIST_MAX)
        *(const char *const **)((char *)base + row->offset) = words;
}

static void read_value(struct config_reader *r, const struct config_row *row, struct config_node *n,
                       void *base)
{
    switch (row->type) {
    case CONFIG_SECTION:
        if (wants(r, n, NODE_MAP, "write its keys below, indented, or remove it"))
            read_map(r, n, row->path, base);
        break;
    case CONFIG_KEYS:
        if (wants(r, n, NODE_MAP, "write name: env:NAME below, indented, or remove it"))
            read_keys(r, n);
        break;
    case CONFIG_TARGETS:
        if (wants(r, n, NODE_MAP, "write name: { kind: ... } below, indented"))
            read_targets(r, n);
        break;
    case CONFIG_ROUTES:
        if (wants(r, n, NODE_LIST, "write \"- match: claude-*\" and its chain below"))
            read_routes(r, n);
        break;
    case CONFIG_CHAIN:
        if (wants(r, n, NODE_LIST, "write [ target, target/model ]"))
            read_chain(r, n);
        break;
    case CONFIG_WORDS:
        if (wants(r, n, NODE_LIST, "write [ program, argument, ... ]"))
            read_words(r, row, n, base);
        break;
    case CONFIG_PLANNED:
        config_complain(r, config_mark_key(n), false, "remove it",
                        "%s: planned, not in this version", r->path);
        break;
    default:
        read_scalar(r, row, n, base);
    }
}

static void check_required(struct config_reader *r, const struct config_node *map,
                           const char *section)
{
    struct span name;
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (!row->required || !config_row_is_below(row, section, &name) ||
            config_node_get(map, name.at))
            continue;
        config_complain(
            r, map->key.len ? config_mark_key(map) : config_mark_of(map), false,
            config_printf(r, "add %s: (hotspare config explain '%s')", name.at, row->path).at,
            "%s: has no %s", r->path, name.at);
    }
}

static void read_map(struct config_reader *r, const struct config_node *map, const char *section,
                     void *base)
{
    for (struct config_node *n = map->first; n; n = n->next) {
        size_t at = enter(r, ".", n->key);
        const struct config_row *row = config_row_below(section, n->key);
        if (row)
            read_value(r, row, n, base);
        else
            unknown_key(r, section, n);
        leave(r, at);
    }
    check_required(r, map, section);
}

/* ---- the environment ---- */

static void read_override(struct config_reader *r, const struct config_row *row)
{
    struct config_complaint why = {0};
    char name[64];
    config_row_env(row, name);
    const char *value = r->s->env(r->s->env_ctx, name);
    if (!value)
        return;
    if (config_read_value(row, &r->c->arena, span_from(value), r->c, &why))
        note_origin(r, row, 0);
    else
        config_complain(r, (struct config_mark){0, 0}, false, why.fix, "%s: %s", name, why.what);
}

void config_walk(struct config_reader *r)
{
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        struct config_complaint why;
        if (config_row_is_global(row) && row->fallback) {
            bool good = config_read_value(row, &r->c->arena, span_from(row->fallback), r->c, &why);
            assert(good);
        }
    }
    if (r->root)
        read_map(r, r->root, "", r->c);
    for (size_t i = 0; i < config_row_count; i++)
        if (config_row_is_global(&config_rows[i]))
            read_override(r, &config_rows[i]);
}
