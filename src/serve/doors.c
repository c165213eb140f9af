/* The API's doors: path to dialect, who may come in, and the few answers that need no target.
 *
 * A wrong path is told the right URL in the dialect it most likely speaks. While no client keys are
 * configured the listener is loopback only, and the Host must be an address or `localhost`: a web
 * page that rebinds its own name to 127.0.0.1 gets nothing (reliability.md 3.9). */
#include "base/span.h"
#include "json/json_write.h"
#include "serve/keys.h"
#include "serve/worker.h"

struct door {
    const char *path;
    const struct dialect *dialect;
};

static const struct door doors[] = {
    {"/v1/messages", &dialect_anthropic},           {"/messages", &dialect_anthropic},
    {"/v1/v1/messages", &dialect_anthropic},        {"/anthropic/v1/messages", &dialect_anthropic},
    {"/v1/chat/completions", &dialect_openai_chat}, {"/chat/completions", &dialect_openai_chat},
    {"/v1/completions", &dialect_completions},      {"/completions", &dialect_completions},
    {"/v1/responses", &dialect_openai_responses},   {"/responses", &dialect_openai_responses},
};

static const struct dialect *door_for(struct span path)
{
    for (size_t i = 0; i < ARRAY_LEN(doors); i++)
        if (span_is(path, doors[i].path))
            return doors[i].dialect;
    return NULL;
}

/* Which envelope an error on this path should have. */
static const struct dialect *likely_dialect(struct span path)
{
    const struct dialect *d = door_for(path);
    if (d)
        return d;
    bool openai =
        span_search(path, SPAN("chat")) >= 0 || span_search(path, SPAN("completions")) >= 0 ||
        span_search(path, SPAN("responses")) >= 0 || span_search(path, SPAN("embeddings")) >= 0;
    return openai ? &dialect_openai_chat : &dialect_anthropic;
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

static void write_model(struct json_out *j, const char *id, bool anthropic)
{
    jw_object(j);
    jw_key(j, "id");
    jw_cstr(j, id);
    jw_key(j, anthropic ? "type" : "object");
    jw_cstr(j, "model");
    jw_key(j, anthropic ? "display_name" : "owned_by");
    jw_cstr(j, anthropic ? id : "hotspare");
    if (anthropic) {
        jw_key(j, "created_at");
        jw_cstr(j, "1970-01-01T00:00:00Z");
    } else {
        jw_key(j, "created");
        jw_i64(j, 0);
    }
    jw_object_end(j);
}

/* Names that are sure to be answered: exact matches, and the models the chains name. */
static void list_models(struct worker *w, struct json_out *j, bool anthropic)
{
    const struct config *c = routing_snapshot(w->routing)->config;
    jw_key(j, "data");
    jw_array(j);
    for (size_t i = 0; i < c->route_count; i++) {
        const struct config_route *route = &c->routes[i];
        if (!strpbrk(route->match, "*?["))
            write_model(j, route->match, anthropic);
        for (size_t k = 0; k < route->link_count; k++)
            if (route->links[k].model &&
                config_route_for(c, span_from(route->links[k].model)) == route)
                write_model(j, route->links[k].model, anthropic);
    }
    jw_array_end(j);
}

static void models_door(struct worker *w, struct request *r)
{
    bool anthropic = http_field_get(request_head(r), "anthropic-version").at != NULL;
    struct pieces body;
    pieces_init(&body, request_arena(r));
    struct json_out j;
    json_out_pieces(&j, &body);
    jw_object(&j);
    list_models(w, &j, anthropic);
    if (anthropic) {
        jw_key(&j, "has_more");
        jw_bool(&j, false);
    } else {
        jw_key(&j, "object");
        jw_cstr(&j, "list");
    }
    jw_object_end(&j);
    reply_json(r, pieces_flatten(&body, request_arena(r)));
}

static void wrong_path(struct request *r)
{
    struct span path = request_path(r);
    const struct dialect *d = likely_dialect(path);
    struct span text = arena_printf(
        request_arena(r),
        "There is nothing at %.*s. This is Hotspare: POST /v1/messages "
        "(Claude), /v1/responses, "
        "/v1/chat/completions or /v1/completions (OpenAI); GET /v1/models. A Claude base URL "
        "ends before /v1, an OpenAI one with /v1.",
        SPAN_FMT(span_take(path, 200)));
    exchange_refuse(r, d, 404, NULL, text);
}

/* ---- the handler ---- */

static void release_routing(void *object)
{
    routing_unref(object);
}

/* Also while draining: what got in before the listeners closed is answered. */
static void open_exchange(struct worker *w, struct request *r, const struct dialect *d,
                          const char *client_key)
{
    arena_on_free(request_arena(r), release_routing, routing_ref(w->routing));
    exchange_start(&w->relay, r, d, client_key[0] ? client_key : NULL);
}

static void on_request(void *ctx, struct request *r)
{
    struct worker *w = ctx;
    const struct http_head *head = request_head(r);
    struct span path = request_path(r);
    const struct dialect *d = door_for(path);
    bool get = span_is(head->method, "GET") || span_is(head->method, "HEAD");
    const char *client_key = NULL;
    request_set_data(r, NULL);
    if (get && (span_is(path, "/") || span_is(path, "/api/hello"))) {
        reply_json(r, SPAN("{\"hotspare\":\"" HOTSPARE_VERSION "\"}\n"));
    } else if (!(client_key = admit(w, r, likely_dialect(path)))) {
        return;
    } else if (get && span_is(path, "/v1/models")) {
        models_door(w, r);
    } else if (!d) {
        wrong_path(r);
    } else if (!span_is(head->method, "POST")) {
        exchange_refuse(r, d, 405, "invalid_request_error", SPAN("Use POST here."));
    } else {
        open_exchange(w, r, d, client_key);
    }
}

static void on_gone(void *ctx, struct request *r)
{
    (void)ctx;
    if (request_data(r))
        exchange_client_gone(r);
    else
        reply_abort(r);
}

static void on_drained(void *ctx, struct request *r)
{
    (void)ctx;
    if (request_data(r))
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
