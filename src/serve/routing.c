/* See routing.h. Counted without atomics: one thread. */
#include "serve/routing.h"

#include "base/mem.h"
#include "base/span.h"
#include "json/json_write.h"
#include "relay/access_token.h"
#include "serve/models.h"
#include "serve/probed_file.h"

struct routing {
    int refs;
    struct snapshot *snapshot;
    struct loop *loop;
    struct pool *pool;
    struct arena arena;
    struct relay_target *targets;
    struct relay_target *gemini;  /* those of kind vertex, as models of Google's are asked there */
    struct access_token **tokens; /* one per target; NULL where it needs none */
    struct relay_route *routes;
    struct span default_model;
};

static struct span secret_span(const struct config_secret *s)
{
    return (struct span){s->value.at, s->value.len};
}

static const struct cloud *make_bedrock(struct routing *r, size_t i, const struct origin *origin)
{
    const struct config_target *from = &r->snapshot->config->targets[i];
    struct cloud *c = arena_new(&r->arena, struct cloud);
    *c = (struct cloud){
        .kind = TARGET_BEDROCK,
        .base = arena_printf(&r->arena, "%.*s/model/", SPAN_FMT(from->url.path)),
        .host = origin_host(origin),
        .region = span_from(from->region),
        .aws = {secret_span(&from->access_key), secret_span(&from->secret_key),
                secret_span(&from->session_token)},
    };
    return c;
}

static struct span encoded(struct arena *a, struct span text)
{
    struct buf b;
    buf_init(&b, 4096);
    if (sigv4_encode(text, false, &b) != ERR_OK)
        buf_reset(&b); /* longer than any project's id */
    struct span kept = arena_copy(a, buf_span(&b));
    buf_deinit(&b);
    return kept;
}

static struct access_token *make_token(struct routing *r, size_t i)
{
    const struct service_account *account = r->snapshot->accounts[i];
    if (!account)
        return NULL;
    const struct url *url = service_account_token_url(account);
    struct origin *o = pool_origin(r->pool, url, url->tls ? r->snapshot->tls[i] : NULL);
    return access_token_new(r->loop, r->pool, o, account);
}

static const struct cloud *make_vertex(struct routing *r, size_t i, bool gemini)
{
    const struct config_target *from = &r->snapshot->config->targets[i];
    struct span project = from->project ? span_from(from->project)
                                        : service_account_project(r->snapshot->accounts[i]);
    struct cloud *c = arena_new(&r->arena, struct cloud);
    *c = (struct cloud){
        .kind = gemini ? TARGET_GEMINI : TARGET_VERTEX,
        .base = arena_printf(&r->arena, "%.*s/%s/projects/%.*s/locations/%s/publishers/%s/models/",
                             SPAN_FMT(from->url.path), gemini ? "v1beta1" : "v1",
                             SPAN_FMT(encoded(&r->arena, project)), from->region,
                             gemini ? "google" : "anthropic"),
        .token = r->tokens[i],
    };
    return c;
}

/* Gemini with a key of its own. */
static const struct cloud *make_gemini(struct routing *r, size_t i)
{
    struct cloud *c = arena_new(&r->arena, struct cloud);
    *c = (struct cloud){
        .kind = TARGET_GEMINI,
        .base =
            arena_printf(&r->arena, "%.*s%s", SPAN_FMT(r->snapshot->config->targets[i].url.path),
                         dialect_gemini.path),
    };
    return c;
}

/* A URL that names a deployment, or the v1 endpoint, is the same for all models. */
static bool names_deployment(const struct config_target *t)
{
    return span_search(t->url.path, SPAN("/deployments/")) >= 0 ||
           span_ends(t->url.path, SPAN("/v1"));
}

static const struct cloud *make_azure(struct routing *r, size_t i)
{
    const struct config_target *from = &r->snapshot->config->targets[i];
    if (!from->api_version || names_deployment(from))
        return NULL;
    struct cloud *c = arena_new(&r->arena, struct cloud);
    *c = (struct cloud){
        .kind = TARGET_AZURE_OPENAI,
        .base = arena_printf(&r->arena, "%.*s/deployments/", SPAN_FMT(from->url.path)),
        .api_version = span_from(from->api_version),
    };
    return c;
}

static const struct cloud *make_cloud(struct routing *r, size_t i, const struct origin *origin)
{
    const struct config_target *t = &r->snapshot->config->targets[i];
    switch (t->kind) {
    case TARGET_BEDROCK:
        return make_bedrock(r, i, origin);
    case TARGET_VERTEX:
        return make_vertex(r, i, false);
    case TARGET_GEMINI:
        return config_is_cloud(t) ? make_vertex(r, i, true) : make_gemini(r, i);
    case TARGET_AZURE_OPENAI:
        return make_azure(r, i);
    default:
        return NULL;
    }
}

static void add_speech(struct routing *r, size_t i, struct span base, const struct dialect *dialect)
{
    struct relay_target *t = &r->targets[i];
    assert(t->also_count < RELAY_ALSO_MAX);
    t->also[t->also_count++] = (struct relay_speech){
        dialect, arena_printf(&r->arena, "%.*s%s", SPAN_FMT(base), dialect->path)};
}

/* Which of its models, the capabilities know. */
static bool has_text_completions(enum target_kind kind)
{
    return kind == TARGET_OPENAI || kind == TARGET_VLLM || kind == TARGET_LLAMA_CPP ||
           kind == TARGET_OLLAMA;
}

/* What probes found out about this target at this address, not too long ago. */
static void take_probed(struct routing *r, size_t i)
{
    const struct snapshot *s = r->snapshot;
    const struct config_target *from = &s->config->targets[i];
    struct relay_target *to = &r->targets[i];
    struct probed *own = arena_array(&r->arena, struct probed, s->probed_count);
    usec wall = loop_wall(r->loop);
    for (size_t k = 0; k < s->probed_count && from->url_text; k++)
        if (probed_find(&s->probed[k], 1, from->name, from->url_text, s->probed[k].model, wall))
            own[to->probed_count++] = s->probed[k];
    to->probed = own;
}

/* Its server's own Messages door carries all that is translated for it, for each model asked there:
 * what comes as Messages goes there as it is. */
static bool speaks_messages(const struct relay_target *t)
{
    bool all = t->probed_count > 0 && t->dialect == &dialect_openai_chat;
    for (size_t i = 0; i < t->probed_count; i++)
        all = all && (t->probed[i].can & BIT(PROBED_MESSAGES));
    return all;
}

static void make_target(struct routing *r, size_t i)
{
    const struct config_target *from = &r->snapshot->config->targets[i];
    bool openai = from->dialect == DIALECT_OPENAI_CHAT;
    bool responses = openai && from->api == CONFIG_API_RESPONSES;
    const struct dialect *dialect =
        responses ? &dialect_openai_responses : dialect_by_id(from->dialect);
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
        .origin = pool_origin(r->pool, &from->url, from->url.tls ? r->snapshot->tls[i] : NULL),
        .context = from->context,
        .gate = r->snapshot->gates[i],
    };
    if (from->api_version)
        r->targets[i].path = arena_printf(&r->arena, "%.*s?api-version=%s",
                                          SPAN_FMT(r->targets[i].path), from->api_version);
    r->tokens[i] = make_token(r, i);
    r->targets[i].cloud = make_cloud(r, i, r->targets[i].origin);
    if (openai && from->api == CONFIG_API_AUTO)
        add_speech(r, i, base, &dialect_openai_responses);
    if (openai && !responses && has_text_completions(from->kind))
        add_speech(r, i, base, &dialect_completions);
    if (from->kind == TARGET_BEDROCK)
        add_speech(r, i, base, &dialect_bedrock_converse);
    if (r->snapshot->probed_count > 0)
        take_probed(r, i);
    if (openai && speaks_messages(&r->targets[i]))
        add_speech(r, i, span_ends(base, SPAN("/v1")) ? span_take(base, base.len - 3) : base,
                   &dialect_anthropic);
    if (from->kind == TARGET_OLLAMA) /* last; beside /v1, not below it */
        add_speech(r, i, span_ends(base, SPAN("/v1")) ? span_take(base, base.len - 3) : base,
                   &dialect_ollama);
}

/* The same project, origin and token. */
static void make_gemini_twin(struct routing *r, size_t i)
{
    if (r->targets[i].kind != TARGET_VERTEX)
        return;
    r->gemini[i] = r->targets[i];
    r->gemini[i].kind = TARGET_GEMINI;
    r->gemini[i].dialect = &dialect_gemini;
    r->gemini[i].cloud = make_vertex(r, i, true);
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
        enum target_kind kind = config_link_kind(r->snapshot->config, link);
        bool twin = kind != r->targets[link->target].kind;
        to->links[k] =
            (struct relay_link){twin ? &r->gemini[link->target] : &r->targets[link->target],
                                json_content(&r->arena, link->model)};
        to->breakers[k] = r->snapshot->breakers[link->breaker];
        to->ttfts[k] = r->snapshot->ttfts[link->breaker];
    }
}

struct routing *routing_new(struct snapshot *s, struct loop *l, struct pool *pool)
{
    struct routing *r = mem_new(struct routing);
    r->refs = 1;
    r->snapshot = s;
    r->loop = l;
    r->pool = pool;
    arena_init(&r->arena, (size_t)16 << 20);
    r->targets = arena_array(&r->arena, struct relay_target, s->config->target_count);
    r->gemini = arena_array(&r->arena, struct relay_target, s->config->target_count);
    r->tokens = arena_array(&r->arena, struct access_token *, s->config->target_count);
    r->routes = arena_array(&r->arena, struct relay_route, s->config->route_count);
    for (size_t i = 0; i < s->config->target_count; i++)
        make_target(r, i), make_gemini_twin(r, i);
    for (size_t i = 0; i < s->config->route_count; i++)
        make_route(r, i);
    r->default_model = json_content(&r->arena, models_default(s->config));
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
    for (size_t i = 0; i < r->snapshot->config->target_count; i++) {
        pool_origin_release(r->targets[i].origin);
        access_token_free(r->tokens[i]);
    }
    snapshot_unref(r->snapshot);
    arena_deinit(&r->arena);
    mem_free(r);
}

const struct relay_target *routing_target(const struct routing *r, size_t index)
{
    assert(index < r->snapshot->config->target_count);
    return &r->targets[index];
}

const struct relay_target *routing_target_for(const struct routing *r, size_t index,
                                              const char *model)
{
    const struct relay_target *own = routing_target(r, index);
    struct config_link link = {.target = index, .model = model};
    return config_link_kind(r->snapshot->config, &link) == own->kind ? own : &r->gemini[index];
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

struct span routing_default_model(const struct routing *r)
{
    return r->default_model;
}

struct relay routing_relay(struct service *s, struct loop *l, struct pool *pool)
{
    return (struct relay){.loop = l,
                          .pool = pool,
                          .budget = &s->budget,
                          .hedge = s->hedge.percent ? &s->hedge : NULL,
                          .refused = &s->refused,
                          .learned = &s->learned,
                          .faults = &s->faults};
}

void routing_apply(const struct routing *r, struct relay *relay)
{
    const struct config *c = r->snapshot->config;
    relay->deadlines = (struct relay_deadlines){.connect = c->deadlines.connect,
                                                .first_token = c->deadlines.first_token,
                                                .stall = c->deadlines.stall,
                                                .total = c->deadlines.total,
                                                .min_rate = c->deadlines.min_rate,
                                                .ping = 10 * USEC_PER_SEC};
    relay->reply_headers = c->reply_headers;
}
