/* What Bedrock and Vertex, of Claude's and of Gemini, need beside what all targets have: a region,
 * from which the URL follows, and credentials that are no single key. */
#include "serve/config_internal.h"

static const char *env_of(struct config_reader *r, const char *name)
{
    const char *value = r->s->env(r->s->env_ctx, name);
    return value && value[0] ? value : NULL;
}

/* It becomes part of a host name and of what is signed. */
static bool is_region(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && n <= 40 && text[n] == '\0' && text[0] != '-';
}

static const char *region_from_env(struct config_reader *r)
{
    const char *region = env_of(r, "AWS_REGION");
    return region ? region : env_of(r, "AWS_DEFAULT_REGION");
}

static const char *cloud_url(struct arena *a, const struct config_target *t)
{
    const char *region = t->region;
    if (t->kind == TARGET_BEDROCK)
        return arena_printf(a, "https://bedrock-runtime.%s.amazonaws.com%s", region,
                            strncmp(region, "cn-", 3) == 0 ? ".cn" : "")
            .at;
    if (strcmp(region, "global") == 0)
        return "https://aiplatform.googleapis.com";
    if (strcmp(region, "us") == 0 || strcmp(region, "eu") == 0)
        return arena_printf(a, "https://aiplatform.%s.rep.googleapis.com", region).at;
    return arena_printf(a, "https://%s-aiplatform.googleapis.com", region).at;
}

void config_cloud_region(struct config_reader *r, struct config_target *t, struct config_mark at)
{
    const char *region = t->region;
    if (!region)
        region = t->kind == TARGET_BEDROCK ? region_from_env(r) : "global";
    if (!region) {
        config_complain(r, at, false, "add region: us-east-1, or export AWS_REGION=us-east-1",
                        "%s: kind bedrock needs a region", r->path);
        return;
    }
    if (!is_region(region)) {
        config_complain(r, at, false, "write a name such as us-east-1",
                        "%s.region: not the name of a region", r->path);
        return;
    }
    t->region = arena_cstr(&r->c->arena, span_from(region));
    if (!t->url_text)
        t->url_text = cloud_url(&r->c->arena, t);
}

/* ---- credentials ---- */

static void from_env(struct config_reader *r, struct config_mark at, struct config_secret *to,
                     const char *name)
{
    *to = (struct config_secret){.form = SECRET_ENV, .source = span_from(name)};
    config_resolve(r, at, to, false);
}

static void default_aws_keys(struct config_reader *r, struct config_target *t,
                             struct config_mark at)
{
    if (env_of(r, "AWS_BEARER_TOKEN_BEDROCK")) {
        from_env(r, at, &t->key, "AWS_BEARER_TOKEN_BEDROCK");
        return;
    }
    from_env(r, at, &t->access_key, "AWS_ACCESS_KEY_ID");
    from_env(r, at, &t->secret_key, "AWS_SECRET_ACCESS_KEY");
    if (env_of(r, "AWS_SESSION_TOKEN"))
        from_env(r, at, &t->session_token, "AWS_SESSION_TOKEN");
}

static void check_aws_keys(struct config_reader *r, struct config_target *t, struct config_mark at)
{
    bool access = t->access_key.form != SECRET_NONE, secret = t->secret_key.form != SECRET_NONE;
    bool key = t->key.form != SECRET_NONE, token = t->session_token.form != SECRET_NONE;
    if (key && (access || secret || token))
        config_complain(r, at, false, "remove key, or access_key and what belongs to it",
                        "%s: has an API key and keys that sign; one of them is used", r->path);
    else if (access != secret || (token && !access))
        config_complain(r, at, false, "add access_key and secret_key",
                        "%s: an access key and its secret belong together", r->path);
    else if (!key && !access)
        default_aws_keys(r, t, at);
}

static void refuse_vertex_keys(struct config_reader *r, const struct config_target *t,
                               struct config_mark at)
{
    if (t->service_account.form != SECRET_NONE || t->project)
        config_complain(r, at, false, "remove them",
                        "%s: service_account and project are for kinds vertex and gemini", r->path);
}

static void refuse_aws_keys(struct config_reader *r, const struct config_target *t,
                            struct config_mark at)
{
    if (t->access_key.form || t->secret_key.form || t->session_token.form)
        config_complain(r, at, false, "remove them",
                        "%s: access_key, secret_key and session_token are for kind bedrock",
                        r->path);
}

static void check_vertex_keys(struct config_reader *r, struct config_target *t,
                              struct config_mark at)
{
    bool key = t->key.form != SECRET_NONE, account = t->service_account.form != SECRET_NONE;
    if (key == account)
        config_complain(r, at, false, "add service_account: file:/path/key.json",
                        key ? "%s: has a service account and a fixed access token as key"
                            : "%s: has no service account",
                        r->path);
    else if (key && !t->project)
        config_complain(r, at, false, "add project: my-project", "%s: Vertex needs a project",
                        r->path);
}

void config_cloud_keys(struct config_reader *r, struct config_target *t, struct config_mark at)
{
    t->bearer = true;
    if (t->kind == TARGET_BEDROCK) {
        refuse_vertex_keys(r, t, at);
        check_aws_keys(r, t, at);
    } else {
        refuse_aws_keys(r, t, at);
        check_vertex_keys(r, t, at);
    }
}

void config_cloud_refuse(struct config_reader *r, const struct config_target *t,
                         const struct config_node *node)
{
    struct config_mark at = config_mark_key(node);
    refuse_vertex_keys(r, t, at);
    refuse_aws_keys(r, t, at);
    if (t->region)
        config_complain(r, at, false, "remove it",
                        "%s.region: for kinds bedrock, vertex and gemini only", r->path);
}
