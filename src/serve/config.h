#pragma once
/* The configuration: what a YAML file, the environment and flags amount to, checked, immutable,
 * counted, and swapped whole on reload. Knows no socket. One table (config_table.c) drives reading,
 * checking, `config explain`, the JSON schema and the manual page. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "dialect/capability.h"
#include "dialect/dialect.h"
#include "dialect/probed.h"
#include "http/url.h"
#include "local/engine.h"
#include "relay/breaker.h"

enum secret_form { SECRET_NONE, SECRET_ENV, SECRET_FILE, SECRET_CRED, SECRET_LITERAL };
struct config_secret {
    enum secret_form form;
    struct span source;  /* "ANTHROPIC_API_KEY", "/run/secrets/x"; empty for literals */
    struct secret value; /* resolved at load; wiped when the configuration is freed */
};

enum config_api { CONFIG_API_AUTO, CONFIG_API_CHAT, CONFIG_API_RESPONSES };
struct config_target {
    const char *name;
    enum target_kind kind;
    struct url url; /* filled from the kind's default when not given */
    const char *url_text;
    struct config_secret key; /* bound to url's origin */
    /* Bedrock: keys that sign, where there is no `key`; Vertex: an account's JSON document */
    struct config_secret access_key, secret_key, session_token, service_account;
    const char *region;      /* of a cloud; NULL for other kinds */
    const char *api_version; /* Azure: a date, for deployments' URLs; NULL = the v1 endpoint */
    const char *project;     /* Vertex; NULL = the service account's own */
    const char *ca;          /* CA file or NULL */
    const char *model; /* default model of a chain entry without one; NULL = the client's name */
    enum dialect_id dialect; /* what is spoken to it */
    enum config_api api;     /* and of OpenAI's two formats, which */
    uint32_t context; /* tokens its model has for prompt and answer; 0 = what is known of it */
    bool bearer;      /* the key goes as `Authorization: Bearer`, also where x-api-key is usual */
    bool plain_http;  /* allowed to be reached unencrypted on another machine */
    enum engine_start start;                    /* who starts it */
    const char *const *command;                 /* how, NULL-terminated; NULL = as its kind is */
    const char *tool_parser, *reasoning_parser; /* of a vLLM that we start; NULL: not known */
    usec idle, load; /* unloaded when unused for so long; time to become ready */
    size_t memory;   /* 0 = no limit of ours */
    bool port_open;  /* without a url of its own: a free port is chosen */
    bool found;      /* discovered, not configured */
    int line;        /* in the file; 0 = not from there */
};
/* The header that carries its key; NULL: Authorization: Bearer. (config_target.c) */
const char *config_key_header(const struct config_target *t);
/* Has a region and credentials that are no single key: Bedrock, Vertex, Gemini on Vertex. */
static inline bool config_is_cloud(const struct config_target *t)
{
    bool gemini_there = t->kind == TARGET_GEMINI &&
                        (t->service_account.form != SECRET_NONE || t->project || t->region);
    return t->kind == TARGET_BEDROCK || t->kind == TARGET_VERTEX || gemini_there;
}
struct config_link {   /* a chain entry: target or target/model */
    size_t target;     /* index into targets */
    const char *model; /* NULL = the client's model name */
    size_t breaker;    /* index: one per distinct (target, model) */
};
#define CONFIG_LIST_MAX 64 /* words of a command */
#define CONFIG_CHAIN_MAX 16
struct config_route {
    const char *match; /* glob: "claude-*", "*" */
    struct config_link links[CONFIG_CHAIN_MAX];
    size_t link_count;
    int line;
};
struct config_client_key {
    const char *name;
    struct config_secret key;
    int line;
};
struct config_listen {
    const char *host;
    uint16_t port;
    const char *cert, *key;
};

struct config {
    struct arena arena;
    int refs;         /* atomic */
    const char *file; /* NULL = none */
    struct config_listen listen, admin;
    struct config_client_key *keys;
    size_t key_count; /* none = loopback only, any key accepted */
    struct config_target *targets;
    size_t target_count;
    struct config_route *routes;
    size_t route_count; /* first match wins */
    struct {
        usec connect, first_token, stall, total, drain;
        uint32_t min_rate;
    } deadlines;
    struct breaker_config breaker; /* with `return.ramp` in it */
    struct {
        uint32_t budget, after; /* percent; a percentile */
    } hedge;
    bool sticky;      /* conversations stay where they are */
    uint32_t workers; /* 0 = one per core */
    size_t body_max, body_memory;
    bool reply_headers;     /* x-hotspare-*; on */
    bool log_requests;      /* access log; on */
    const char *access_log; /* "-" = stdout; path; NULL = stderr */
    const char *state_dir;  /* NULL = no persistence */
    struct {
        unsigned kind; /* 0 = not declared, else 1 + enum use_kind (local/licence.h) */
        uint32_t users, revenue_million; /* 0 = not said; revenue in USD a year */
        const char *region;              /* NULL = not said */
    } use;
    size_t breaker_count;
    struct config_origin *origins; /* one per row of the table; for config_show */
};

struct config_problem {
    int line,
        column; /* from 1; 0 = not in the file (environment, or the configuration as a whole) */
    bool warning;
    const char *text;
    const char *fix;
};
struct config_report { /* all problems of one reading; in the given arena */
    struct config_problem *at;
    size_t count;
    size_t errors;
};
/* text.at == NULL: from the environment and the `found` targets alone. env: getenv-like (so tests
 * need no real environment, and a flag can be an answer that wins); HOTSPARE_<KEY> overrides a
 * scalar key of the file: deadlines.first_token is HOTSPARE_DEADLINES_FIRST_TOKEN. On errors *out
 * is NULL and the report says everything that is wrong; warnings may accompany a good one. */
struct config_source {
    const char *path; /* shown in messages */
    struct span text; /* the file's content; at == NULL: no file */
    const char *(*env)(void *ctx, const char *name);
    void *env_ctx;
    const struct config_target *found;
    size_t found_count;    /* engines discovered on this machine */
    const char *untrusted; /* why nothing may be started from this file; NULL = it may */
    bool resolve_secrets;  /* false: missing secrets and certificate files are warnings and none is
                              kept, for checking on a machine that has them not */
};
MUST_USE enum err config_load(const struct config_source *s, struct arena *report_arena,
                              struct config **out, struct config_report *out_report);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);
/* First route whose glob matches the (decoded) model; NULL when none does. */
/* What a link's target is with this link's model: Google's models at kind vertex are kind gemini's
 * matter. */
enum target_kind config_link_kind(const struct config *c, const struct config_link *link);
/* What is known of a link; asked: the client's model name, for a link without one. */
struct capability config_link_capability(const struct config *c, const struct config_link *link,
                                         struct span asked);
const struct config_route *config_route_for(const struct config *c, struct span model);
/* "hotspare.yaml:14:7: error: ..." with the source line, a caret, and "fix: ..."; for all of a
 * report. Secrets written into the file are masked in the source lines shown. */
void config_report_print(const struct config_report *r, const struct config_source *s,
                         struct buf *out);
/* Effective YAML, which config_load reads back identically; secrets never (one written into the
 * file shows as a word that says so). origin: where each value is from, as comments. */
void config_show(const struct config *c, bool origin, struct buf *out);
/* "deadlines.first_token", a section, or NULL = all. ERR_NOT_FOUND: *out says what is near. */
enum err config_explain(const char *key, struct buf *out);
#define CONFIG_DAY_BYTES 16
/* The day of a probe: "2026-11-26", UTC. */
void config_probed_day(const struct probed *p, char text[CONFIG_DAY_BYTES]);
struct config_found { /* what probes found out (dialect/probed.h), and the wall time */
    const struct probed *all;
    size_t count;
    usec wall;
};
/* What each target of each chain can carry, by what was found, else as presumed, and its limits. */
void config_explain_chains(const struct config *c, const struct config_found *found,
                           struct buf *out);
/* docs/capabilities.md: the same for every kind of target. */
void config_capability_page(struct buf *out);
void config_schema(struct buf *out); /* JSON Schema 2020-12 */
