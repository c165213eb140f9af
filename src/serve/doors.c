/* The API's doors: path to dialect, who may come in, and the few answers that need no target.
 *
 * A wrong path is told the right URL in the dialect it most likely speaks. While no client keys are
 * configured the listener is loopback only, and the Host must be an address or `localhost`: a web
 * page that rebinds its own name to 127.0.0.1 gets nothing (reliability.md 3.9). */
#include "base/span.h"
#include "relay/errand.h"
#include "serve/keys.h"
#include "serve/models.h"
#include "serve/worker.h"

enum door_kind { DOOR_TALK, DOOR_COUNT, DOOR_EMBEDDINGS, DOOR_MODELS };

/* One row each. Behind which base URLs a door stands is door_path's matter. */
static const struct door {
    const char *path;
    enum door_kind kind;
    const struct dialect *dialect;
} doors[] = {
    {"/messages", DOOR_TALK, &dialect_anthropic},
    {"/messages/count_tokens", DOOR_COUNT, &dialect_count_tokens},
    {"/complete", DOOR_TALK, &dialect_complete},
    {"/chat/completions", DOOR_TALK, &dialect_openai_chat},
    {"/completions", DOOR_TALK, &dialect_completions},
    {"/embeddings", DOOR_EMBEDDINGS, &dialect_embeddings},
    {"/models", DOOR_MODELS, &dialect_anthropic},
};

/* Clients put what they take for their base URL before a door's path: with /v1, without it, twice,
 * or with the provider's name (DESIGN.md section 3). What is left names the door. */
static struct span door_path(struct span path)
{
    static const struct span before[] = {SPAN_INIT("/anthropic/"), SPAN_INIT("/v1/"),
                                         SPAN_INIT("/v1/")};
    for (size_t i = 0; i < ARRAY_LEN(before); i++)
        if (span_starts(path, before[i]))
            path = span_drop(path, before[i].len - 1);
    return path.len > 1 && span_ends(path, SPAN("/")) ? span_take(path, path.len - 1) : path;
}

static const struct door *door_for(struct span path)
{
    path = door_path(path);
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        if (span_is(path, doors[i].path) ||
            (doors[i].kind == DOOR_MODELS && span_starts(path, SPAN("/models/"))))
            return &doors[i];
    return NULL;
}

/* The door whose name is somewhere in the path: what was meant, most likely. */
static const struct door *door_near(struct span path)
{
    const struct door *best = NULL;
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        if (span_search(path, span_from(doors[i].path)) >= 0 &&
            (!best || strlen(doors[i].path) > strlen(best->path)))
            best = &doors[i];
    return best;
}

/* Which envelope an error on this path should have. */
static const struct dialect *likely_dialect(struct span path)
{
    const struct door *d = door_for(path);
    if (!d)
        d = door_near(path);
    if (d)
        return d->dialect;
    bool openai =
        span_search(path, SPAN("chat")) >= 0 || span_search(path, SPAN("completions")) >= 0 ||
        span_search(path, SPAN("responses")) >= 0 || span_search(path, SPAN("embeddings")) >= 0;
    return openai ? &dialect_openai_chat : &dialect_anthropic;
}

/* The list of models has one path in both APIs: headers tell them apart. */
static bool speaks_claude(const struct http_head *head)
{
    return http_field_get(head, "anthropic-version").at || http_field_get(head, "x-api-key").at;
}

static const struct dialect *dialect_of_caller(const struct request *r)
{
    const struct door *d = door_for(request_path(r));
    bool named = span_starts(request_path(r), SPAN("/anthropic/"));
    if (d && d->kind == DOOR_MODELS && !named && !speaks_claude(request_head(r)))
        return &dialect_openai_chat;
    return likely_dialect(request_path(r));
}

/* ---- who may come in ---- */

static struct span presented_key(const struct http_head *h)
{
    struct span key = http_field_get(h, "x-api-key");
    if (key.len > 0)
        return span_trim(key);
    struct span bearer = http_field_get(h, "authorization");
    return span_istarts(bearer, SPAN("bearer ")) ? span_trim(span_drop(bearer, 7)) : SPAN_EMPTY;
}

static bool host_is_local(struct span host)
{
    struct span name;
    uint16_t port;
    if (host.len == 0)
        return true; /* HTTP/1.0 */
    if (url_host_port(host, &name, &port) != ERR_OK)
        name = host;
    if (span_starts(name, SPAN("[")) && span_ends(name, SPAN("]")))
        name = span_take(span_drop(name, 1), name.len - 2);
    if (span_iis(name, "localhost") || span_search(name, SPAN(":")) >= 0)
        return true;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] != '.' && (name.at[i] < '0' || name.at[i] > '9'))
            return false;
    return name.len > 0;
}

/* NULL, having answered, when the caller may not come in; else the key's name, "" when none is
 * asked for. */
static const char *admit(struct worker *w, struct request *r, const struct dialect *d)
{
    const struct http_head *head = request_head(r);
    const struct client_keys *keys = routing_snapshot(w->routing)->keys;
    if (!keys) {
        if (host_is_local(head->host))
            return "";
        exchange_refuse(
            r, d, 403, NULL,
            SPAN("This Host is not served: without client keys only localhost and addresses are. "
                 "Configure `keys:` to serve others."));
        return NULL;
    }
    const char *name = client_keys_find(keys, presented_key(head));
    if (!name)
        exchange_refuse(r, d, 401, NULL,
                        SPAN("This gateway key is not known. Send one of the configured `keys:` as "
                             "x-api-key or as "
                             "Authorization: Bearer."));
    return name;
}

/* ---- answers that need no target ---- */

static void reply_json(struct request *r, struct span body)
{
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    reply_whole(r, 200, &type, 1, body);
}

static void models_door(struct worker *w, struct request *r, const struct dialect *d)
{
    const struct config *c = routing_snapshot(w->routing)->config;
    struct span id = span_drop(door_path(request_path(r)), strlen("/models/")), body;
    struct models_fault fault;
    if (models_answer(c, d->claude_api, id, request_query(r), request_arena(r), &body, &fault))
        reply_json(r, body);
    else
        exchange_refuse(r, d, fault.status, NULL, fault.text);
}

static void wrong_path(struct request *r)
{
    struct span path = request_path(r);
    const struct door *near = door_near(path);
    struct span meant =
        near ? arena_printf(request_arena(r), " Did you mean /v1%s?", near->path) : SPAN_EMPTY;
    struct span text =
        arena_printf(request_arena(r),
                     "There is nothing at %.*s.%.*s This is Hotspare: POST /v1/messages, "
                     "/v1/messages/count_tokens or /v1/complete (Claude), /v1/chat/completions, "
                     "/v1/completions or /v1/embeddings (OpenAI); GET /v1/models. A Claude base "
                     "URL ends before /v1, an OpenAI one with /v1.",
                     SPAN_FMT(span_take(path, 200)), SPAN_FMT(meant));
    exchange_refuse(r, dialect_of_caller(r), 404, NULL, text);
}

static void wrong_method(struct request *r, const struct door *door)
{
    struct span method = request_head(r)->method;
    exchange_refuse(r, dialect_of_caller(r), 405, "invalid_request_error",
                    arena_printf(request_arena(r), "%.*s is not served here: send %s /v1%s.",
                                 SPAN_FMT(span_take(method, 20)),
                                 door->kind == DOOR_MODELS ? "GET" : "POST", door->path));
}

/* ---- the handler ---- */

static void release_routing(void *object)
{
    routing_unref(object);
}

/* Also while draining: what got in before the listeners closed is answered. */
static void open_door(struct worker *w, struct request *r, const struct door *door,
                      const char *client_key)
{
    const char *name = client_key[0] ? client_key : NULL;
    arena_on_free(request_arena(r), release_routing, routing_ref(w->routing));
    switch (door->kind) {
    case DOOR_TALK:
        exchange_start(&w->relay, r, door->dialect, name);
        break;
    case DOOR_COUNT:
        errand_count_tokens(&w->relay, r, name);
        break;
    case DOOR_EMBEDDINGS:
        errand_embeddings(&w->relay, r, name);
        break;
    case DOOR_MODELS:
        models_door(w, r, dialect_of_caller(r));
        break;
    }
}

static void on_request(void *ctx, struct request *r)
{
    struct worker *w = ctx;
    const struct http_head *head = request_head(r);
    struct span path = request_path(r);
    const struct door *door = door_for(path);
    bool get = span_is(head->method, "GET") || span_is(head->method, "HEAD");
    const char *client_key = NULL;
    request_set_data(r, NULL);
    if (get && (span_is(path, "/") || span_is(path, "/api/hello"))) {
        reply_json(r, SPAN("{\"hotspare\":\"" HOTSPARE_VERSION "\"}\n"));
    } else if (!(client_key = admit(w, r, dialect_of_caller(r)))) {
        return;
    } else if (!door) {
        wrong_path(r);
    } else if (door->kind == DOOR_MODELS ? !get : !span_is(head->method, "POST")) {
        wrong_method(r, door);
    } else {
        open_door(w, r, door, client_key);
    }
}

static bool is_errand(const struct request *r)
{
    const struct door *door = door_for(request_path(r));
    return door && (door->kind == DOOR_COUNT || door->kind == DOOR_EMBEDDINGS);
}

static void on_gone(void *ctx, struct request *r)
{
    (void)ctx;
    if (!request_data(r))
        reply_abort(r);
    else if (is_errand(r))
        errand_client_gone(r);
    else
        exchange_client_gone(r);
}

static void on_drained(void *ctx, struct request *r)
{
    (void)ctx;
    if (request_data(r) && !is_errand(r))
        exchange_client_drained(r);
}

static void error_body(void *ctx, struct span path, int status, const char *text, struct buf *out,
                       const char **out_content_type)
{
    (void)ctx;
    struct chat_error e = {.status = status,
                           .type = span_from(dialect_error_type(status)),
                           .message = span_from(text)};
    if (likely_dialect(path)->write_error(out, NULL, &e) != ERR_OK)
        buf_reset(out);
    *out_content_type = "application/json";
}

const struct server_handler doors_handler = {.on_request = on_request,
                                             .on_gone = on_gone,
                                             .on_drained = on_drained,
                                             .error_body = error_body};
