/* Routes: a model name's pattern and the chain of targets behind it. */
#include "serve/config_internal.h"

#include <stdio.h>

static ssize_t target_named(const struct config *c, struct span name)
{
    for (size_t i = 0; i < c->target_count; i++)
        if (span_is(name, c->targets[i].name))
            return (ssize_t)i;
    return -1;
}

static void unknown_target(struct config_reader *r, struct config_mark at, struct span name)
{
    const struct config *c = r->c;
    const char **names = arena_array(r->arena, const char *, c->target_count + 1);
    struct span all = SPAN_EMPTY;
    for (size_t i = 0; i < c->target_count; i++) {
        names[i] = c->targets[i].name;
        if (all.len < 200)
            all = config_printf(r, "%.*s%s%s", SPAN_FMT(all), i ? ", " : "", names[i]);
    }
    const char *near = config_nearest(name, names, c->target_count);
    if (near)
        config_complain(r, at, false, config_printf(r, "write %s", near).at,
                        "%s: unknown target \"%.*s\"; did you mean \"%s\"?", r->path,
                        SPAN_FMT(name), near);
    else
        config_complain(r, at, false,
                        all.len ? config_printf(r, "the targets are: %.*s", SPAN_FMT(all)).at
                                : "add it under targets:",
                        "%s: unknown target \"%.*s\"", r->path, SPAN_FMT(name));
}

enum target_kind config_link_kind(const struct config *c, const struct config_link *link)
{
    enum target_kind kind = c->targets[link->target].kind;
    bool googles = link->model && span_search(span_from(link->model), SPAN("gemini")) >= 0;
    return kind == TARGET_VERTEX && googles ? TARGET_GEMINI : kind;
}

struct capability config_link_capability(const struct config *c, const struct config_link *link,
                                         struct span asked)
{
    const struct config_target *t = &c->targets[link->target];
    struct span model = link->model ? span_from(link->model) : asked;
    struct capability cap = capability_preset(config_link_kind(c, link), model);
    if (t->kind == TARGET_OPENAI_COMPATIBLE)
        (void)capability_at_host(&cap, t->url.host, model);
    if (t->context > 0)
        cap.context = t->context;
    return cap;
}

static bool same_model(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_link(const struct config_link *a, const struct config_link *b)
{
    return a->target == b->target && same_model(a->model, b->model);
}

/* The name a client asks for means something to its own provider only. */
static void check_model(struct config_reader *r, struct config_mark at,
                        const struct config_route *route, const struct config_link *link)
{
    const struct config_target *t = &r->c->targets[link->target];
    bool bad = r->target_bad && r->target_bad[link->target];
    if (bad || link->model || !route->match ||
        !span_starts(span_from(route->match), SPAN("claude")) ||
        !config_kind(t->kind)->wants_model ||
        (t->dialect == DIALECT_ANTHROPIC && !config_is_cloud(t)))
        return;
    config_complain(r, at, true, config_printf(r, "write %s/MODEL", t->name).at,
                    "%s: %s will be asked for the client's model name", r->path, t->name);
}

static void add_link(struct config_reader *r, struct config_route *route,
                     const struct config_node *n)
{
    struct config_mark at = config_mark_of(n);
    struct span name = n->text, model = SPAN_EMPTY;
    ssize_t slash = span_find(name, '/');
    if (slash >= 0) {
        model = span_drop(name, (size_t)slash + 1);
        name = span_take(name, (size_t)slash);
    }
    ssize_t target = target_named(r->c, name);
    if (target < 0) {
        unknown_target(r, at, name);
        return;
    }
    if ((slash >= 0 && model.len == 0) || model.len > 256) {
        config_complain(r, at, false, "write target or target/model", "%s: not a model name",
                        r->path);
        return;
    }
    struct config_complaint why = {0};
    if (slash >= 0 && !config_check_text(model, &why)) {
        config_complain(r, at, false, why.fix, "%s: %s", r->path, why.what);
        return;
    }
    struct config_link link = {.target = (size_t)target};
    link.model = model.len ? arena_cstr(&r->c->arena, model) : r->c->targets[link.target].model;
    for (size_t i = 0; i < route->link_count; i++)
        if (same_link(&route->links[i], &link)) {
            config_complain(r, at, false, "remove it", "%s: a second time in this chain", r->path);
            return;
        }
    if (route->link_count == CONFIG_CHAIN_MAX) {
        config_complain(r, at, false, NULL, "%s: more than %d entries", r->path, CONFIG_CHAIN_MAX);
        return;
    }
    check_model(r, at, route, &link);
    config_check_use(r, at, &link);
    route->links[route->link_count++] = link;
}

static void finish_chain(struct config_reader *r, size_t index, const struct config_node *chain)
{
    struct config_route *route = &r->c->routes[index];
    size_t i = 0;
    if (!chain || chain->type != NODE_LIST)
        return; /* complained about already */
    if (chain->count == 0)
        config_complain(r, config_mark_of(chain), false, "write [ target, target/model ]",
                        "models[%zu].chain: empty", index);
    for (const struct config_node *n = chain->first; n; n = n->next, i++) {
        (void)snprintf(r->path, sizeof(r->path), "models[%zu].chain[%zu]", index, i);
        if (n->type == NODE_SCALAR)
            add_link(r, route, n);
    }
}

static void check_match(struct config_reader *r, size_t index, const struct config_node *node)
{
    const struct config_node *n = config_node_get(node, "match");
    const char *match = r->c->routes[index].match;
    for (size_t i = 0; match && i < index; i++) {
        const char *earlier = r->c->routes[i].match;
        if (!earlier)
            continue;
        if (strcmp(earlier, match) == 0)
            config_complain(r, config_mark_of(n), false, "join the two, or remove one",
                            "models[%zu].match: a second time; the first is models[%zu]", index, i);
        else if (strcmp(earlier, "*") == 0)
            config_complain(r, config_mark_of(n), true, "put the rule for \"*\" last",
                            "models[%zu]: never reached, models[%zu] takes every model", index, i);
    }
}

/* No rules: everybody, in the order of the file, for every model. */
static void add_default_route(struct config_reader *r)
{
    struct config *c = r->c;
    c->routes = arena_array(&c->arena, struct config_route, 1);
    c->routes[0].match = "*";
    c->route_count = 1;
    if (c->target_count > CONFIG_CHAIN_MAX)
        config_complain(r, (struct config_mark){0, 0}, false, "add models: and write the chains",
                        "models: more targets than one chain can have");
    for (size_t i = 0; i < c->target_count && i < CONFIG_CHAIN_MAX; i++) {
        struct config_link link = {.target = i, .model = c->targets[i].model};
        struct config_mark none = {0, 0};
        (void)snprintf(r->path, sizeof(r->path), "targets.%s", c->targets[i].name);
        config_check_use(r, r->targets ? config_mark_key(r->targets[i]) : none, &link);
        c->routes[0].links[c->routes[0].link_count++] = link;
    }
}

static void warn_of_unused(struct config_reader *r)
{
    const struct config *c = r->c;
    for (size_t t = 0; t < c->target_count; t++) {
        bool used = false;
        for (size_t i = 0; i < c->route_count; i++)
            for (size_t k = 0; k < c->routes[i].link_count; k++)
                used |= c->routes[i].links[k].target == t;
        if (!used && r->error_count == 0)
            config_complain(r, config_mark_key(r->targets[t]), true, "add it to one, or remove it",
                            "targets.%s: in no chain", c->targets[t].name);
    }
}

/* The same (target, model) shares one breaker, whichever chains it is in. */
static void number_breakers(struct config *c)
{
    for (size_t i = 0; i < c->route_count; i++)
        for (size_t k = 0; k < c->routes[i].link_count; k++) {
            struct config_link *link = &c->routes[i].links[k];
            link->breaker = c->breaker_count;
            for (size_t x = 0; x <= i && link->breaker == c->breaker_count; x++)
                for (size_t y = 0; y < (x == i ? k : c->routes[x].link_count); y++)
                    if (same_link(&c->routes[x].links[y], link))
                        link->breaker = c->routes[x].links[y].breaker;
            c->breaker_count += link->breaker == c->breaker_count;
        }
}

void config_finish_routes(struct config_reader *r)
{
    const struct config_node *list = r->root ? config_node_get(r->root, "models") : NULL;
    if (!list && r->c->route_count == 0 && r->c->target_count)
        add_default_route(r);
    if (list && list->type == NODE_LIST) {
        size_t i = 0;
        for (const struct config_node *n = list->first; n; n = n->next, i++) {
            check_match(r, i, n);
            finish_chain(r, i, config_node_get(n, "chain"));
        }
        if (i == 0)
            config_complain(r, config_mark_of(list), false, "add a rule, or remove the key",
                            "models: empty");
    }
    r->path[0] = '\0';
    if (r->targets)
        warn_of_unused(r);
    number_breakers(r->c);
}
