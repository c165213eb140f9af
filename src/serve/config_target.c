/* What follows from a target's kind (URL, dialect, how the key is sent), and what may not be: a key
 * or a conversation sent in the clear to another machine, a target that is this gateway itself. */
#include "serve/config_internal.h"

#include <stdio.h>

struct at { /* one target being finished */
    struct config_reader *r;
    struct config_target *t;
    const struct config_kind *kind;
    const struct config_node *node; /* NULL: not from a file */
};

static struct config_mark mark_of(const struct at *a, const char *key)
{
    const struct config_node *n = config_node_get(a->node, key);
    return n ? config_mark_of(n) : config_mark_key(a->node);
}

static bool given(const struct at *a, const char *key)
{
    return config_node_get(a->node, key) != NULL;
}

/* Where a base URL without a path leads. */
static const char *default_path(const struct config_target *t)
{
    if (t->kind == TARGET_AZURE_OPENAI)
        return t->api_version ? "/openai" : "/openai/v1";
    if (t->kind == TARGET_GEMINI)
        return config_is_cloud(t) ? "" : "/v1beta";
    return "/v1";
}

/* The URL as it is used: OpenAI-style targets live under /v1, Claude's do not (their paths bring
 * it). */
static void normalise_url(struct at *a)
{
    struct config_target *t = a->t;
    struct arena *arena = &a->r->c->arena;
    const char *why;
    struct url u;
    enum err e = url_parse(span_from(t->url_text), &u, &why);
    assert(e == ERR_OK); /* config_value.c has read it once */
    const char *more = "";
    if (t->dialect == DIALECT_ANTHROPIC && span_ends(u.path, SPAN("/v1")))
        u.path.len -= 3;
    else if (t->dialect != DIALECT_ANTHROPIC && u.path.len == 0)
        more = default_path(t);
    else if (t->kind == TARGET_AZURE_OPENAI && !t->api_version && span_is(u.path, "/openai"))
        more = "/v1";
    bool six = span_find(u.host, ':') >= 0;
    char port[8] = "";
    if (u.port != (u.tls ? 443 : 80))
        (void)snprintf(port, sizeof(port), ":%u", u.port);
    t->url_text =
        arena_printf(arena, "%s://%s%.*s%s%s%.*s%s", u.tls ? "https" : "http", six ? "[" : "",
                     SPAN_FMT(u.host), six ? "]" : "", port, SPAN_FMT(u.path), more)
            .at;
    e = url_parse(span_from(t->url_text), &t->url, &why);
    assert(e == ERR_OK);
}

static bool finish_url(struct at *a)
{
    struct config_reader *r = a->r;
    if (config_is_cloud(a->t))
        config_cloud_region(r, a->t, mark_of(a, given(a, "region") ? "region" : "kind"));
    if (!a->t->url_text && !a->kind->url) {
        if (config_is_cloud(a->t))
            return false; /* its region was complained about */
        config_complain(r, mark_of(a, "kind"), false,
                        a->t->kind == TARGET_AZURE_OPENAI
                            ? "add url: https://RESOURCE.openai.azure.com"
                            : "add url: http://host:port",
                        "%s: kind %s has no URL of its own", r->path, target_kind_name(a->t->kind));
        return false;
    }
    if (!a->t->url_text)
        a->t->url_text = a->kind->url;
    normalise_url(a);
    const struct url *u = &a->t->url;
    if (config_is_own_address(r->c, u->host, u->port))
        config_complain(r, mark_of(a, "url"), false, "give the URL of the provider or engine",
                        "%s.url: %s is this gateway itself", r->path, a->t->url_text);
    if (!u->tls && !a->t->plain_http && !url_host_is_loopback(u->host))
        config_complain(r, mark_of(a, "url"), false,
                        "write https://, or add plain_http: true if nobody can listen in between",
                        "%s.url: http:// to another machine sends key and conversations in the "
                        "clear",
                        r->path);
    return true;
}

static void finish_dialect(struct at *a)
{
    if (!given(a, "speaks"))
        a->t->dialect = a->kind->dialect;
    else if (!a->kind->choose_dialect)
        config_complain(a->r, mark_of(a, "speaks"), false, "remove it",
                        "%s.speaks: what kind %s speaks is known", a->r->path,
                        target_kind_name(a->t->kind));
}

enum config_api config_default_api(const struct config_target *t)
{
    return t->kind == TARGET_OPENAI ? CONFIG_API_AUTO : CONFIG_API_CHAT;
}

static void finish_api(struct at *a)
{
    struct config_target *t = a->t;
    if (!given(a, "api"))
        t->api = config_default_api(t);
    else if (t->dialect != DIALECT_OPENAI_CHAT)
        config_complain(a->r, mark_of(a, "api"), false, "remove it",
                        "%s.api: only OpenAI-style targets have a choice", a->r->path);
    else if (t->kind == TARGET_AZURE_OPENAI && t->api_version && t->api != CONFIG_API_CHAT)
        config_complain(a->r, mark_of(a, "api"), false,
                        "remove api_version, so that the v1 endpoint is asked",
                        "%s.api: Azure's deployments answer chat only", a->r->path);
}

const char *config_key_header(const struct config_target *t)
{
    if (t->bearer)
        return NULL;
    switch (t->kind) {
    case TARGET_AZURE_OPENAI:
        return "api-key";
    case TARGET_GEMINI:
        return "x-goog-api-key";
    default:
        return t->dialect == DIALECT_ANTHROPIC ? "x-api-key" : NULL;
    }
}

/* It becomes part of a path. */
static void check_api_version(struct at *a)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    const char *version = a->t->api_version;
    if (!version && a->t->kind == TARGET_AZURE_OPENAI &&
        span_search(a->t->url.path, SPAN("/deployments/")) >= 0)
        config_complain(a->r, mark_of(a, "url"), false, "add api_version: 2024-10-21",
                        "%s.url: the URL of a deployment needs a version", a->r->path);
    if (!version)
        return;
    if (a->t->kind != TARGET_AZURE_OPENAI)
        config_complain(a->r, mark_of(a, "api_version"), false, "remove it",
                        "%s.api_version: for kind azure-openai only", a->r->path);
    else if (!*version || strlen(version) > 40 || version[strspn(version, allowed)])
        config_complain(a->r, mark_of(a, "api_version"), false, "write a date such as 2024-10-21",
                        "%s.api_version: not a version of Azure's", a->r->path);
}

/* How the key is sent, where there is a choice. */
static void finish_auth(struct at *a)
{
    struct config_target *t = a->t;
    bool own_header = t->kind == TARGET_AZURE_OPENAI || t->kind == TARGET_GEMINI;
    if (t->dialect == DIALECT_ANTHROPIC || (own_header && (t->bearer || !given(a, "auth"))))
        return;
    if (given(a, "auth") && !t->bearer)
        config_complain(a->r, mark_of(a, "auth"), false, "remove it",
                        own_header
                            ? "%s.auth: its key goes in a header of its own, or as bearer"
                            : "%s.auth: OpenAI-style targets take Authorization: Bearer only",
                        a->r->path);
    t->bearer = true;
}

static const char *key_advice(enum target_kind kind)
{
    switch (kind) {
    case TARGET_ANTHROPIC:
        return "add key: env:ANTHROPIC_API_KEY";
    case TARGET_OPENAI:
        return "add key: env:OPENAI_API_KEY";
    case TARGET_AZURE_OPENAI:
        return "add key: env:AZURE_OPENAI_API_KEY";
    case TARGET_GEMINI:
        return "add key: env:GEMINI_API_KEY";
    default:
        return "add key: env:MISTRAL_API_KEY";
    }
}

static void finish_key(struct at *a)
{
    struct config_target *t = a->t;
    check_api_version(a);
    if (config_is_cloud(t) && given(a, "auth"))
        config_complain(a->r, mark_of(a, "auth"), false, "remove it",
                        "%s.auth: how a cloud is sent its credentials is known", a->r->path);
    if (config_is_cloud(t))
        config_cloud_keys(a->r, t, mark_of(a, "kind"));
    else
        config_cloud_refuse(a->r, t, a->node);
    finish_auth(a);
    if (t->key.form == SECRET_NONE && !given(a, "key") && a->kind->wants_key &&
        !config_is_cloud(t) && !url_host_is_loopback(t->url.host))
        config_complain(a->r, mark_of(a, "kind"), !a->node, key_advice(t->kind),
                        "%s: has no key, and %.*s wants one", a->r->path, SPAN_FMT(t->url.host));
    if (t->ca) {
        (void)snprintf(a->r->path, sizeof(a->r->path), "targets.%s.ca", t->name);
        config_check_file(a->r, mark_of(a, "ca"), t->ca);
    }
}

/* ---- engines that we start ---- */

static void complain_engine(struct at *a, const char *key, const char *fix, const char *what)
{
    config_complain(a->r, mark_of(a, key), false, fix, "%s.%s: %s", a->r->path, key, what);
}

static void default_amount(struct at *a, const char *key, const char *path)
{
    const struct config_row *row = config_row(span_from(path));
    struct config_complaint why;
    bool good = given(a, key) ||
                config_read_value(row, &a->r->c->arena, span_from(row->fallback), a->t, &why);
    assert(good);
}

/* Without start: what only a started engine has is a mistake. */
static void check_idle_keys(struct at *a)
{
    static const char *const keys[] = {"command", "idle", "load", "memory"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (given(a, keys[i]))
            complain_engine(a, keys[i], "add start: on-demand, or remove it",
                            "nobody starts this engine");
    if (a->t->kind == TARGET_COMMAND)
        complain_engine(a, "kind", "add start: on-demand",
                        "kind command is for an engine that is started");
}

static void finish_engine(struct at *a)
{
    struct config_target *t = a->t;
    bool built_in =
        t->kind == TARGET_VLLM || t->kind == TARGET_LLAMA_CPP || t->kind == TARGET_OLLAMA;
    default_amount(a, "idle", "targets.*.idle");
    default_amount(a, "load", "targets.*.load");
    if (t->start == ENGINE_NEVER) {
        check_idle_keys(a);
        return;
    }
    t->port_open = !given(a, "url");
    if (!built_in && t->kind != TARGET_COMMAND)
        complain_engine(a, "start", "use kind: vllm, llama.cpp, ollama or command",
                        "only an engine on this machine can be started");
    else if (!built_in && !t->command)
        complain_engine(a, "kind", "add command: [ program, argument, ... ]", "has no command");
    else if (built_in && !t->command && !t->model && t->kind != TARGET_OLLAMA)
        complain_engine(a, "start", "add model:", "it has no model to load");
    if (t->url.tls || !url_host_is_loopback(t->url.host))
        complain_engine(a, "url", "write http://127.0.0.1:PORT, or remove start:",
                        "only an engine on this machine can be started");
    if (a->r->s->untrusted)
        complain_engine(a, "start", a->r->s->untrusted,
                        "others may write this file, so nothing is started from it");
    config_know_model(a->r, t);
}

void config_finish_targets(struct config_reader *r)
{
    struct config *c = r->c;
    for (size_t i = 0; i < c->target_count; i++) {
        struct at a = {r, &c->targets[i], NULL, r->targets ? r->targets[i] : NULL};
        if (r->target_bad && r->target_bad[i])
            continue;
        a.kind = config_kind(a.t->kind);
        (void)snprintf(r->path, sizeof(r->path), "targets.%s", a.t->name);
        finish_dialect(&a);
        finish_api(&a);
        if (finish_url(&a)) {
            finish_key(&a);
            finish_engine(&a);
        }
    }
    r->path[0] = '\0';
    const struct config_node *n = r->root ? config_node_get(r->root, "targets") : NULL;
    if (r->root && c->target_count == 0 && (!n || n->type == NODE_MAP))
        config_complain(r, config_mark_of(n), false,
                        "add targets: { claude: { kind: anthropic, key: env:ANTHROPIC_API_KEY } }",
                        "targets: nobody to answer");
}
