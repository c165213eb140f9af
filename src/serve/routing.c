/* A snapshot made ready for one worker: targets with this worker's origins, routes with their
 * breakers.
 *
 * Requests hold a reference for their life, so a reload never pulls a target from under an
 * exchange. Counted without atomics: one thread. */
#include "base/mem.h"
#include "base/span.h"
#include "json/json_write.h"
#include "serve/worker.h"

struct routing {
    int refs;
    struct snapshot *snapshot;
    struct arena arena;
    struct relay_target *targets;
    struct relay_route *routes;
};

static void make_target(struct routing *r, size_t i, struct pool *pool)
{
    const struct config_target *from = &r->snapshot->config->targets[i];
    const struct dialect *dialect = dialect_by_id(from->dialect);
    struct span base = from->url.path;
    /* An Anthropic base URL has no /v1 of its own; one that was given with it means the same. */
    if (dialect->id == DIALECT_ANTHROPIC && span_ends(base, SPAN("/v1")))
        base.len -= 3;
    r->targets[i] = (struct relay_target){
        .name = from->name,
        .kind = from->kind,
        .dialect = dialect,
        .path = arena_printf(&r->arena, "%.*s%s", SPAN_FMT(base), dialect->path),
        .credentials = r->snapshot->credentials[i],
        .origin = pool_origin(pool, &from->url, r->snapshot->tls[i]),
        .context = from->context,
        .gate = r->snapshot->gates[i],
    };
}

/* Model names of the configuration are plain text; a body wants them as JSON string content. */
static struct span json_content(struct arena *a, const char *plain)
{
    if (!plain)
        return SPAN_EMPTY;
    struct pieces p;
    pieces_init(&p, a);
    struct json_out w;
    json_out_pieces(&w, &p);
    jw_cstr(&w, plain);
    struct span quoted = pieces_flatten(&p, a);
    return (struct span){quoted.at + 1, quoted.len - 2};
}

static void make_route(struct routing *r, size_t i)
{
    const struct config_route *from = &r->snapshot->config->routes[i];
    struct relay_route *to = &r->routes[i];
    to->count = from->link_count;
    to->affinity = r->snapshot->affinities[i];
    for (size_t k = 0; k < from->link_count; k++) {
        const struct config_link *link = &from->links[k];
        to->links[k] =
            (struct relay_link){&r->targets[link->target], json_content(&r->arena, link->model)};
        to->breakers[k] = r->snapshot->breakers[link->breaker];
        to->ttfts[k] = r->snapshot->ttfts[link->breaker];
    }
}

struct routing *routing_new(struct snapshot *s, struct pool *pool)
{
    struct routing *r = mem_new(struct routing);
    r->refs = 1;
    r->snapshot = s;
    arena_init(&r->arena, (size_t)16 << 20);
    r->targets = arena_array(&r->arena, struct relay_target, s->config->target_count);
    r->routes = arena_array(&r->arena, struct relay_route, s->config->route_count);
    for (size_t i = 0; i < s->config->target_count; i++)
        make_target(r, i, pool);
    for (size_t i = 0; i < s->config->route_count; i++)
        make_route(r, i);
    return r;
}

struct routing *routing_ref(struct routing *r)
{
    r->refs++;
    return r;
}

void routing_unref(struct routing *r)
{
    if (!r || --r->refs > 0)
        return;
    for (size_t i = 0; i < r->snapshot->config->target_count; i++)
        pool_origin_release(r->targets[i].origin);
    snapshot_unref(r->snapshot);
    arena_deinit(&r->arena);
    mem_free(r);
}

const struct relay_route *routing_find(struct routing *r, struct span model)
{
    const struct config_route *found = config_route_for(r->snapshot->config, model);
    return found ? &r->routes[found - r->snapshot->config->routes] : NULL;
}

struct snapshot *routing_snapshot(const struct routing *r)
{
    return r->snapshot;
}
