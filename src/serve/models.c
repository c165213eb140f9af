/* Which names are listed: exact matches, the models that chains name where the same route answers
 * them, and, where a pattern takes them, Claude's own current names: Claude Code's discovery keeps
 * only ids that begin with claude or anthropic, and an operator who wrote `claude-*` named none.
 * Each is listed once, in the order of the routes. A single model is looked up among all names a
 * route takes, listed or not. */
#include "serve/models.h"

#include "base/span.h"
#include "json/json_write.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MOST 1000

/* Anthropic's own, as of 2026-09-23 (data/prices.tsv). The first is what a request without a model
 * gets where the configuration names none: neither the dearest nor the smallest. */
static const char *const claude_models[] = {
    "claude-sonnet-5", "claude-opus-5-5",  "claude-opus-5",     "claude-opus-4-8",
    "claude-fable-5",  "claude-fable-5-1", "claude-sonnet-4-6", "claude-haiku-4-5",
};

static bool is_pattern(const char *match)
{
    return strpbrk(match, "*?[") != NULL;
}

/* ---- the list ---- */

struct list {
    const struct config *c;
    const char **names; /* NULL: only `first` is wanted */
    const char *first;
    size_t count;
};

static void take(struct list *l, const struct config_route *route, const char *name)
{
    if (config_route_for(l->c, span_from(name)) != route)
        return;
    if (!l->first)
        l->first = name;
    for (size_t i = 0; l->names && i < l->count; i++)
        if (strcmp(l->names[i], name) == 0)
            return;
    if (l->names)
        l->names[l->count++] = name;
}

static void take_route(struct list *l, const struct config_route *route)
{
    bool pattern = is_pattern(route->match);
    if (!pattern)
        take(l, route, route->match);
    for (size_t i = 0; i < route->link_count; i++)
        if (route->links[i].model)
            take(l, route, route->links[i].model);
    for (size_t i = 0; pattern && i < ARRAY_LEN(claude_models); i++)
        take(l, route, claude_models[i]);
}

static struct list list_of(const struct config *c, struct arena *a)
{
    size_t most = c->route_count * (1 + CONFIG_CHAIN_MAX + ARRAY_LEN(claude_models));
    struct list l = {.c = c, .names = arena_array(a, const char *, most)};
    for (size_t i = 0; i < c->route_count; i++)
        take_route(&l, &c->routes[i]);
    return l;
}

const char *models_default(const struct config *c)
{
    struct list l = {.c = c};
    for (size_t i = 0; i < c->route_count && !l.first; i++)
        take_route(&l, &c->routes[i]);
    return l.first;
}

/* ---- one model ---- */

/* "claude, then openai/gpt-5.6-terra, vllm" */
static struct span chain_words(const struct config *c, const struct config_route *route,
                               struct arena *a)
{
    struct span all = SPAN_EMPTY;
    for (size_t i = 0; i < route->link_count; i++) {
        const struct config_link *link = &route->links[i];
        all = arena_printf(a, "%.*s%s%s%s%s", SPAN_FMT(all),
                           i == 0   ? ""
                           : i == 1 ? ", then "
                                    : ", ",
                           c->targets[link->target].name, link->model ? "/" : "",
                           link->model ? link->model : "");
    }
    return all;
}

static void put_key(struct json_out *j, const char *key, const char *value)
{
    jw_key(j, key);
    jw_cstr(j, value);
}

static void put_limit(struct json_out *j, const char *key, int64_t n)
{
    if (n <= 0)
        return;
    jw_key(j, key);
    jw_i64(j, n);
}

static void put_claude(struct json_out *j, const struct config *c, const struct config_route *route,
                       struct span id, struct arena *a)
{
    struct capability cap = config_link_capability(c, &route->links[0], id);
    put_key(j, "type", "model");
    jw_key(j, "display_name");
    jw_str(j, arena_printf(a, "%.*s (%.*s)", SPAN_FMT(id), SPAN_FMT(chain_words(c, route, a))));
    put_key(j, "created_at", "1970-01-01T00:00:00Z");
    put_limit(j, "max_input_tokens", cap.context);
    put_limit(j, "max_tokens", cap.max_output);
}

static void put_model(struct json_out *j, const struct config *c, bool claude, struct span id,
                      struct arena *a)
{
    const struct config_route *route = config_route_for(c, id);
    assert(route && route->link_count > 0);
    jw_object(j);
    jw_key(j, "id");
    jw_str(j, id);
    if (claude) {
        put_claude(j, c, route, id, a);
    } else {
        put_key(j, "object", "model");
        jw_key(j, "created");
        jw_i64(j, 0);
        jw_key(j, "owned_by");
        jw_str(j, chain_words(c, route, a));
    }
    jw_object_end(j);
}

/* ---- pages ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What is no escape stays as it is. */
static struct span percent_decoded(struct span text, struct arena *a)
{
    char *to = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool escape = text.at[i] == '%' && text.len - i > 2 && hex(text.at[i + 1]) >= 0 &&
                      hex(text.at[i + 2]) >= 0;
        to[len++] = escape ? (char)(hex(text.at[i + 1]) * 16 + hex(text.at[i + 2])) : text.at[i];
        i += escape ? 2 : 0;
    }
    return (struct span){to, len};
}

/* The value of one parameter, decoded; at == NULL: it is not there. */
static struct span parameter(struct span query, const char *name, struct arena *a)
{
    struct span part;
    while (span_next(&query, '&', &part)) {
        struct span rest = part, key;
        if (span_next(&rest, '=', &key) && span_is(key, name))
            return percent_decoded(rest.at ? rest : SPAN(""), a);
    }
    return (struct span){NULL, 0};
}

struct page {
    size_t from, to; /* of the list */
};

static size_t place_of(const struct list *l, struct span id)
{
    size_t i = 0;
    while (i < l->count && !span_is(id, l->names[i]))
        i++;
    return i;
}

static bool page_of(const struct list *l, struct span query, struct arena *a, struct page *out,
                    struct models_fault *fault)
{
    uint64_t limit = LIMIT_DEFAULT;
    struct span most = parameter(query, "limit", a), after = parameter(query, "after_id", a),
                before = parameter(query, "before_id", a);
    *fault = (struct models_fault){.status = 400};
    if (most.at && (span_u64(most, &limit) != ERR_OK || limit < 1 || limit > LIMIT_MOST)) {
        fault->text = SPAN("limit: Must be a whole number from 1 to 1000.");
        return false;
    }
    *out = (struct page){0, l->count};
    if (after.at)
        out->from = place_of(l, after) + 1;
    if (before.at)
        out->to = place_of(l, before);
    if (out->from > l->count || (before.at && out->to == l->count)) {
        fault->text = SPAN("after_id, before_id: Must be the id of a listed model.");
        return false;
    }
    if (out->to < out->from)
        out->to = out->from;
    bool backwards = before.at && !after.at; /* the page that ends before it */
    if (out->to - out->from > limit && backwards)
        out->from = out->to - limit;
    else if (out->to - out->from > limit)
        out->to = out->from + limit;
    return true;
}

static void put_id_of(struct json_out *j, const char *key, const struct list *l, size_t i, bool any)
{
    jw_key(j, key);
    if (any)
        jw_cstr(j, l->names[i]);
    else
        jw_null(j);
}

static void put_list(struct json_out *j, const struct list *l, struct page p, bool claude,
                     bool more, struct arena *a)
{
    jw_object(j);
    if (!claude)
        put_key(j, "object", "list");
    jw_key(j, "data");
    jw_array(j);
    for (size_t i = p.from; i < p.to; i++)
        put_model(j, l->c, claude, span_from(l->names[i]), a);
    jw_array_end(j);
    if (claude) {
        jw_key(j, "has_more");
        jw_bool(j, more);
        put_id_of(j, "first_id", l, p.from, p.to > p.from);
        put_id_of(j, "last_id", l, p.to - 1, p.to > p.from);
    }
    jw_object_end(j);
}

bool models_answer(const struct config *c, bool claude, struct span id, struct span query,
                   struct arena *a, struct span *out_body, struct models_fault *out_fault)
{
    struct pieces body;
    struct json_out j;
    pieces_init(&body, a);
    json_out_pieces(&j, &body);
    if (id.len > 0) {
        id = percent_decoded(id, a);
        if (!config_route_for(c, id)) {
            *out_fault = (struct models_fault){
                404, arena_printf(a,
                                  "model: %.*s: no chain is configured for this model; GET "
                                  "/v1/models lists those that are.",
                                  SPAN_FMT(span_take(id, 200)))};
            return false;
        }
        put_model(&j, c, claude, id, a);
    } else {
        struct list l = list_of(c, a);
        struct page p = {0, l.count};
        if (claude && !page_of(&l, query, a, &p, out_fault))
            return false;
        bool backwards = parameter(query, "before_id", a).at && !parameter(query, "after_id", a).at;
        put_list(&j, &l, p, claude, backwards ? p.from > 0 : p.to < l.count, a);
    }
    *out_body = pieces_flatten(&body, a);
    return true;
}
