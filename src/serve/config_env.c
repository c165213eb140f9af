/* No file: keys in the environment and engines found on this machine make a chain, first Claude,
 * then OpenAI, then the engines in the order they were found. */
#include "serve/config_internal.h"

#include <stdio.h>

/* What OpenAI is asked for in the place of a Claude model; its mid-size model of September 2026. */
#define OPENAI_MODEL "gpt-5.6-terra"

static const char *env(const struct config_reader *r, const char *name)
{
    const char *value = r->s->env(r->s->env_ctx, name);
    return value && value[0] ? value : NULL;
}

/* A base URL in the environment is meant for clients: once it points here, it says nothing about
 * where the provider is. */
static const char *base_url(struct config_reader *r, const char *name)
{
    static const struct config_mark nowhere = {0, 0};
    const char *value = env(r, name), *why = NULL;
    struct url u;
    if (!value)
        return NULL;
    if (url_parse(span_from(value), &u, &why) != ERR_OK) {
        config_complain(r, nowhere, false, "correct it, or unset it", "%s: %s", name, why);
        return NULL;
    }
    if (!config_is_own_address(r->c, u.host, u.port))
        return arena_cstr(&r->c->arena, span_from(value));
    config_complain(r, nowhere, true, NULL,
                    "%s points at this gateway itself; the provider's own URL is used", name);
    return NULL;
}

static struct config_target *add(struct config_reader *r, const char *name, enum target_kind kind)
{
    struct config_target *t = &r->c->targets[r->c->target_count++];
    *t = (struct config_target){.name = name, .kind = kind};
    return t;
}

static void set_key(struct config_reader *r, struct config_target *t, const char *name)
{
    t->key = (struct config_secret){.form = SECRET_ENV, .source = span_from(name)};
    (void)snprintf(r->path, sizeof(r->path), "targets.%s.key", t->name);
    config_resolve(r, (struct config_mark){0, 0}, &t->key, false);
    r->path[0] = '\0';
}

static void add_providers(struct config_reader *r)
{
    bool token = !env(r, "ANTHROPIC_API_KEY") && env(r, "ANTHROPIC_AUTH_TOKEN");
    if (token || env(r, "ANTHROPIC_API_KEY")) {
        struct config_target *t = add(r, "claude", TARGET_ANTHROPIC);
        t->bearer = token;
        t->url_text = base_url(r, "ANTHROPIC_BASE_URL");
        set_key(r, t, token ? "ANTHROPIC_AUTH_TOKEN" : "ANTHROPIC_API_KEY");
    }
    if (env(r, "OPENAI_API_KEY")) {
        struct config_target *t = add(r, "openai", TARGET_OPENAI);
        t->model = OPENAI_MODEL;
        t->url_text = base_url(r, "OPENAI_BASE_URL");
        set_key(r, t, "OPENAI_API_KEY");
    }
}

/* Two engines of one kind may come with the same name: the second becomes name-2. */
static const char *free_name(struct config_reader *r, const char *name)
{
    struct arena *a = &r->c->arena;
    struct span wanted = arena_copy(a, span_from(name));
    for (size_t n = 2, i = 0; i < r->c->target_count; i++) {
        if (!span_is(wanted, r->c->targets[i].name))
            continue;
        wanted = arena_printf(a, "%s-%zu", name, n++);
        i = (size_t)-1; /* from the start again */
    }
    return wanted.at;
}

static void add_found(struct config_reader *r, const struct config_target *found)
{
    struct arena *a = &r->c->arena;
    struct config_target *t = add(r, free_name(r, found->name), found->kind);
    t->url_text = found->url_text ? arena_cstr(a, span_from(found->url_text)) : NULL;
    t->model = found->model ? arena_cstr(a, span_from(found->model)) : NULL;
    t->found = true;
}

void config_from_environment(struct config_reader *r)
{
    r->c->targets = arena_array(&r->c->arena, struct config_target, r->s->found_count + 2);
    add_providers(r);
    for (size_t i = 0; i < r->s->found_count; i++)
        add_found(r, &r->s->found[i]);
    if (r->c->target_count == 0)
        config_complain(r, (struct config_mark){0, 0}, false,
                        "set ANTHROPIC_API_KEY or OPENAI_API_KEY, start an engine on this machine, "
                        "or give a file with --config",
                        "nobody to answer: no file, no key in the environment, no engine found");
}
