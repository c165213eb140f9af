/* What is good is read as meant, shown, and read back the same; the environment in its place. */
#include "config_kit.h"

#include "json/json.h"

#include <unistd.h>

/* ---- what is good ---- */

static const char full[] =
    "listen: 127.0.0.1:9000\n"
    "admin:  '[::1]:9001'\n"
    "workers: 3\n"
    "keys:   { team-a: env:SET, b: env:OTHER }\n"
    "targets:\n"
    "  claude: { kind: anthropic, key: env:SET }\n"
    "  token:  { kind: anthropic, key: env:SET, auth: bearer, url: https://api.anthropic.com/v1/ "
    "}\n"
    "  openai: { kind: openai, key: env:OTHER, model: gpt-5.6-terra }\n"
    "  vllm:   { kind: vllm, url: http://127.0.0.1:8000, ca: /dev/null }\n"
    "  lan:    { kind: openai-compatible, url: http://10.0.0.5:8080/x, plain_http: true }\n"
    "  test:   { kind: standin, url: 'http://[::1]:7', speaks: openai }\n"
    "  mine:   { kind: llama.cpp, model: \"/models/a model \\\"q\\\".gguf\", context: 8192 }\n"
    "models:\n"
    "  - match: claude-*\n"
    "    chain: [ claude, openai/gpt-6-sol, vllm/mistralai/Mistral-7B-Instruct-v0.3, mine ]\n"
    "  - match: '*'\n"
    "    chain: [ openai, claude, token, vllm/mistralai/Mistral-7B-Instruct-v0.3, lan, test ]\n"
    "deadlines: { connect: 2s, first_token: 500ms, stall: 1m, total: 1h, drain: 0s, \n"
    "             min_rate: 12 }\n"
    "breaker:   { failures: 7, open: 10s, max_open: 2m, ratio_percent: 60, ratio_min: 30 }\n"
    "return:    { ramp: 0s, sticky: false }\n"
    "body_max: 16MiB\n"
    "body_memory: 1GiB\n"
    "reply_headers: false\n"
    "log_requests: false\n"
    "access_log: '-'\n"
    "state_dir: /var/lib/hotspare\n";

static void check_targets(const struct config *c)
{
    static const struct {
        const char *name, *url, *path, *model;
        enum dialect_id dialect;
        bool bearer;
    } want[] = {
        {"claude", "https://api.anthropic.com", "", NULL, DIALECT_ANTHROPIC, false},
        {"token", "https://api.anthropic.com", "", NULL, DIALECT_ANTHROPIC, true},
        {"openai", "https://api.openai.com/v1", "/v1", "gpt-5.6-terra", DIALECT_OPENAI_CHAT, true},
        {"vllm", "http://127.0.0.1:8000/v1", "/v1", NULL, DIALECT_OPENAI_CHAT, true},
        {"lan", "http://10.0.0.5:8080/x", "/x", NULL, DIALECT_OPENAI_CHAT, true},
        {"test", "http://[::1]:7/v1", "/v1", NULL, DIALECT_OPENAI_CHAT, true},
        {"mine", "http://127.0.0.1:8080/v1", "/v1", "/models/a model \"q\".gguf",
         DIALECT_OPENAI_CHAT, true},
    };
    assert_int_equal(c->target_count, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct config_target *t = &c->targets[i];
        assert_string_equal(t->name, want[i].name);
        assert_string_equal(t->url_text, want[i].url);
        assert_true(span_is(t->url.path, want[i].path));
        assert_int_equal(t->dialect, want[i].dialect);
        assert_true(t->bearer == want[i].bearer && !t->found);
        assert_true(want[i].model ? t->model && strcmp(t->model, want[i].model) == 0 : !t->model);
    }
    assert_true(c->targets[5].url.port == 7 && span_is(c->targets[5].url.host, "::1"));
    assert_string_equal(c->targets[3].ca, "/dev/null");
    assert_true(c->targets[6].context == 8192 && c->targets[0].context == 0);
    assert_true(span_is((struct span){c->targets[0].key.value.at, c->targets[0].key.value.len},
                        "sk-canary-123456"));
}

static void check_routes(const struct config *c)
{
    assert_int_equal(c->route_count, 2);
    assert_int_equal(c->routes[0].link_count, 4);
    assert_int_equal(c->routes[1].link_count, 6);
    assert_null(c->routes[0].links[0].model);
    assert_string_equal(c->routes[0].links[1].model, "gpt-6-sol");
    assert_string_equal(c->routes[0].links[2].model, "mistralai/Mistral-7B-Instruct-v0.3");
    assert_string_equal(c->routes[0].links[3].model, "/models/a model \"q\".gguf");
    assert_string_equal(c->routes[1].links[0].model, "gpt-5.6-terra");
}

static void a_full_file_is_read_as_meant(void **state)
{
    (void)state;
    struct loaded l;
    load_good(&l, full);
    const struct config *c = l.config;
    assert_int_equal(l.report.count, 0);
    assert_string_equal(c->file, "h.yaml");
    assert_true(strcmp(c->listen.host, "127.0.0.1") == 0 && c->listen.port == 9000);
    assert_true(strcmp(c->admin.host, "::1") == 0 && c->admin.port == 9001);
    assert_true(c->workers == 3 && c->key_count == 2);
    assert_string_equal(c->keys[1].name, "b");
    assert_true(span_is((struct span){c->keys[1].key.value.at, c->keys[1].key.value.len},
                        "sk-canary-abcdef"));
    check_targets(c);
    check_routes(c);
    assert_true(c->deadlines.connect == 2 * USEC_PER_SEC);
    assert_true(c->deadlines.first_token == 500 * USEC_PER_MS);
    assert_true(c->deadlines.stall == 60 * USEC_PER_SEC);
    assert_true(c->deadlines.total == 3600 * USEC_PER_SEC && c->deadlines.drain == 0);
    assert_true(c->deadlines.min_rate == 12 && c->breaker.ramp == 0 && !c->sticky);
    assert_true(c->breaker.failures == 7 && c->breaker.open == 10 * USEC_PER_SEC);
    assert_true(c->breaker.open_max == 120 * USEC_PER_SEC && c->breaker.ratio_percent == 60);
    assert_true(c->breaker.ratio_min == 30 && c->body_max == 16u << 20);
    assert_true(c->body_memory == 1u << 30 && !c->reply_headers && !c->log_requests);
    assert_string_equal(c->access_log, "-");
    assert_string_equal(c->state_dir, "/var/lib/hotspare");
    unload(&l);
}

static void what_is_not_said_has_its_default(void **state)
{
    (void)state;
    struct loaded l;
    load_good(&l, T);
    const struct config *c = l.config;
    assert_true(strcmp(c->listen.host, "127.0.0.1") == 0 && c->listen.port == 8484);
    assert_true(strcmp(c->admin.host, "127.0.0.1") == 0 && c->admin.port == 8485);
    assert_true(c->deadlines.connect == 3 * USEC_PER_SEC);
    assert_true(c->deadlines.first_token == 20 * USEC_PER_SEC);
    assert_true(c->deadlines.stall == 15 * USEC_PER_SEC);
    assert_true(c->deadlines.total == 600 * USEC_PER_SEC);
    assert_true(c->deadlines.min_rate == 0);
    assert_true(c->breaker.ramp == 30 * USEC_PER_SEC && c->sticky);
    assert_true(c->breaker.failures == 5 && c->breaker.open == 30 * USEC_PER_SEC);
    assert_true(c->breaker.open_max == 300 * USEC_PER_SEC && c->body_max == 32u << 20);
    assert_true(c->reply_headers && c->log_requests && !c->access_log && !c->state_dir);
    assert_true(c->workers == 0 && c->key_count == 0 && !c->listen.cert);
    assert_int_equal(c->route_count, 1); /* no rules: everybody for everything */
    assert_string_equal(c->routes[0].match, "*");
    assert_int_equal(c->routes[0].link_count, 1);
    assert_int_equal(c->targets[0].dialect, DIALECT_ANTHROPIC);
    unload(&l);
}

static void json_is_yaml(void **state)
{
    (void)state;
    struct loaded l;
    load_good(&l,
              "{\"targets\": {\"a\": {\"kind\": \"standin\", \"url\": \"http://127.0.0.1:9\"}},\n"
              " \"models\": [{\"match\": \"*\", \"chain\": [\"a/x\"]}],\n"
              " \"deadlines\": {\"stall\": \"1s\"}, \"workers\": 2, \"reply_headers\": false}\n");
    assert_true(l.config->workers == 2 && !l.config->reply_headers);
    assert_true(l.config->deadlines.stall == USEC_PER_SEC);
    unload(&l);
}

static void a_breaker_belongs_to_target_and_model(void **state)
{
    (void)state;
    struct loaded l;
    load_good(&l, full);
    const struct config_route *r = l.config->routes;
    assert_int_equal(r[0].links[0].breaker, r[1].links[1].breaker);     /* claude */
    assert_int_equal(r[0].links[2].breaker, r[1].links[3].breaker);     /* vllm, same model */
    assert_int_not_equal(r[0].links[1].breaker, r[1].links[0].breaker); /* openai, two models */
    assert_int_equal(l.config->breaker_count, 8);
    unload(&l);
}

static void the_first_matching_rule_counts(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        int rule;
    } want[] = {{"claude-opus-5", 0}, {"claude-", 0},       {"claude", -1},
                {"gpt-4x", 1},        {"gpt-4", -1},        {"a.b.c", 2},
                {"a..c", 2},          {"a.c", -1},          {"", -1},
                {"claudeX", -1},      {"x/claude-opus", -1}};
    struct loaded l;
    load_good(&l, T "models:\n"
                    "  - { match: claude-*, chain: [ a ] }\n"
                    "  - { match: gpt-4?, chain: [ a ] }\n"
                    "  - { match: a.*.c, chain: [ a ] }\n");
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct config_route *r = config_route_for(l.config, span_from(want[i].model));
        assert_true(r == (want[i].rule < 0 ? NULL : &l.config->routes[want[i].rule]));
    }
    unload(&l);
}

static void globs_do_not_run_away(void **state)
{
    (void)state;
    struct loaded l;
    char name[4001];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    load_good(&l, T "models:\n  - { match: '*a*a*a*a*a*a*a*a*a*b', chain: [ a ] }\n");
    assert_null(config_route_for(l.config, span_from(name)));
    name[sizeof(name) - 2] = 'b';
    assert_non_null(config_route_for(l.config, span_from(name)));
    unload(&l);
}

/* ---- the environment ---- */

static void the_environment_overrides_the_file(void **state)
{
    (void)state;
    struct env_pair env[] = {{"HOTSPARE_DEADLINES_FIRST_TOKEN", "7s"},
                             {"HOTSPARE_LISTEN", "127.0.0.1:1234"},
                             {"HOTSPARE_WORKERS", "9"},
                             {NULL, NULL}};
    struct config_source s =
        source_of(SPAN(T "workers: 2\ndeadlines: { first_token: 5s, stall: 6s }\n"), env);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_OK);
    assert_true(l.config->deadlines.first_token == 7 * USEC_PER_SEC);
    assert_true(l.config->deadlines.stall == 6 * USEC_PER_SEC);
    assert_true(l.config->listen.port == 1234 && l.config->workers == 9);
    unload(&l);
    env[0].value = "7";
    assert_int_equal(load(&l, &s), ERR_INVALID);
    assert_true(span_is(brief(&l),
                        "0:0: error: HOTSPARE_DEADLINES_FIRST_TOKEN: a duration without a "
                        "unit // add one of ms, s, m or h: 7s\n"));
    unload(&l);
}

static struct config_source without_file(struct env_pair *env)
{
    struct config_source s = source_of(SPAN_EMPTY, env);
    s.path = NULL;
    return s;
}

static void without_a_file_keys_and_engines_make_a_chain(void **state)
{
    (void)state;
    struct env_pair env[] = {
        {"ANTHROPIC_API_KEY", "sk-ant-1"}, {"OPENAI_API_KEY", "sk-oa-1"}, {NULL, NULL}};
    const struct config_target found[] = {
        {.name = "vllm", .kind = TARGET_VLLM, .url_text = "http://127.0.0.1:8000/v1", .model = "m"},
        {.name = "llama", .kind = TARGET_LLAMA_CPP, .url_text = "http://127.0.0.1:8080/v1"},
        {.name = "llama", .kind = TARGET_LLAMA_CPP, .url_text = "http://127.0.0.1:9931/v1"},
    };
    static const char *const names[] = {"claude", "openai", "vllm", "llama", "llama-2"};
    struct config_source s = without_file(env);
    struct loaded l;
    s.found = found;
    s.found_count = ARRAY_LEN(found);
    assert_int_equal(load(&l, &s), ERR_OK);
    const struct config_route *r = &l.config->routes[0];
    assert_int_equal(l.report.count, 0);
    assert_true(l.config->route_count == 1 && strcmp(r->match, "*") == 0);
    assert_int_equal(r->link_count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_string_equal(l.config->targets[r->links[i].target].name, names[i]);
    assert_string_equal(r->links[1].model, "gpt-5.6-terra");
    assert_string_equal(r->links[2].model, "m");
    assert_true(l.config->targets[4].found && !l.config->targets[0].found);
    assert_string_equal(l.config->targets[4].url_text, "http://127.0.0.1:9931/v1");
    assert_true(!l.config->targets[0].bearer && !l.config->file);
    unload(&l);
}

static void a_claude_token_goes_as_bearer(void **state)
{
    (void)state;
    struct env_pair env[] = {{"ANTHROPIC_API_KEY", ""},
                             {"ANTHROPIC_AUTH_TOKEN", "tok-1"},
                             {"ANTHROPIC_BASE_URL", "https://claude.example.com/v1"},
                             {NULL, NULL}};
    struct config_source s = without_file(env);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_OK);
    assert_int_equal(l.config->target_count, 1);
    assert_true(l.config->targets[0].bearer);
    assert_string_equal(l.config->targets[0].url_text, "https://claude.example.com");
    assert_true(span_is(l.config->targets[0].key.source, "ANTHROPIC_AUTH_TOKEN"));
    unload(&l);
}

static void a_base_url_that_points_here_is_not_followed(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://127.0.0.1:8484", "http://localhost:8484/v1",
                                       "http://[::1]:8484/", "http://127.0.0.1:8485"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct env_pair env[] = {{"ANTHROPIC_API_KEY", "sk-ant-1"},
                                 {"OPENAI_API_KEY", "sk-oa-1"},
                                 {"ANTHROPIC_BASE_URL", urls[i]},
                                 {"OPENAI_BASE_URL", urls[i]},
                                 {NULL, NULL}};
        struct config_source s = without_file(env);
        struct loaded l;
        assert_int_equal(load(&l, &s), ERR_OK);
        assert_int_equal(l.report.count, 2);
        assert_true(l.report.at[0].warning && l.report.at[1].warning);
        assert_string_equal(l.config->targets[0].url_text, "https://api.anthropic.com");
        assert_string_equal(l.config->targets[1].url_text, "https://api.openai.com/v1");
        unload(&l);
    }
}

static void a_base_url_elsewhere_is(void **state)
{
    (void)state;
    struct env_pair env[] = {
        {"OPENAI_API_KEY", "sk-oa-1"}, {"OPENAI_BASE_URL", "http://127.0.0.1:8600"}, {NULL, NULL}};
    struct config_source s = without_file(env);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_OK);
    assert_string_equal(l.config->targets[0].url_text, "http://127.0.0.1:8600/v1");
    unload(&l);
    env[1].value = "http://openai.example.com";
    assert_int_equal(load(&l, &s), ERR_INVALID);
    unload(&l);
    env[1].value = "nonsense";
    assert_int_equal(load(&l, &s), ERR_INVALID);
    assert_true(span_starts(brief(&l), SPAN("0:0: error: OPENAI_BASE_URL: ")));
    unload(&l);
}

static void nothing_at_all_is_said_with_what_to_do(void **state)
{
    (void)state;
    struct env_pair env[] = {{NULL, NULL}};
    struct config_source s = without_file(env);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_INVALID);
    assert_int_equal(l.report.count, 1);
    assert_non_null(strstr(l.report.at[0].fix, "ANTHROPIC_API_KEY"));
    buf_reset(&l.text);
    config_report_print(&l.report, &s, &l.text);
    assert_true(span_starts(buf_span(&l.text), SPAN("environment: error: nobody to answer")));
    unload(&l);
}

/* ---- secrets ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void secrets_come_from_files_and_credentials(void **state)
{
    (void)state;
    char dir[] = "/tmp/hotspare-config-XXXXXX", path[64], text[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/claude", dir);
    write_file(path, "  sk-from-a-file\r\n\n");
    snprintf(text, sizeof(text),
             "targets:\n  a: { kind: anthropic, key: \"file:%s\" }\n"
             "  b: { kind: openai, key: cred:claude, model: m }\n",
             path);
    struct env_pair env[] = {{"CREDENTIALS_DIRECTORY", dir}, {NULL, NULL}};
    struct config_source s = source_of(span_from(text), env);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_OK);
    for (size_t i = 0; i < 2; i++) {
        const struct secret *v = &l.config->targets[i].key.value;
        assert_true(span_is((struct span){v->at, v->len}, "sk-from-a-file"));
    }
    unload(&l);
    write_file(path, "line one\nline two\n");
    assert_int_equal(load(&l, &s), ERR_INVALID);
    unload(&l);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void a_check_elsewhere_only_names_missing_secrets(void **state)
{
    (void)state;
    struct config_source s =
        source_of(SPAN("targets:\n  a: { kind: anthropic, key: env:NOT_SET }\n"
                       "  b: { kind: anthropic, key: env:SET, ca: /nope/ca.pem }\n"),
                  env_set);
    struct loaded l;
    s.resolve_secrets = false;
    assert_int_equal(load(&l, &s), ERR_OK);
    assert_int_equal(l.report.count, 2);
    assert_true(l.report.at[0].warning && l.report.at[1].warning);
    assert_int_equal(l.config->targets[1].key.value.len, 0);
    unload(&l);
}

/* ---- showing ---- */

static void show_again_is_the_same(const char *text)
{
    struct loaded first, second;
    struct buf shown;
    buf_init(&shown, 1 << 20);
    load_good(&first, text);
    config_show(first.config, false, &shown);
    struct config_source s = source_of(buf_span(&shown), env_set);
    if (load(&second, &s) != ERR_OK)
        fail_msg("%.*s\n%.*s", SPAN_FMT(buf_span(&shown)), SPAN_FMT(brief(&second)));
    config_show(second.config, false, &second.text);
    assert_int_equal(buf_add_char(&second.text, '\0'), ERR_OK);
    assert_int_equal(buf_add_char(&shown, '\0'), ERR_OK);
    assert_string_equal(second.text.at, shown.at);
    assert_int_equal(first.config->breaker_count, second.config->breaker_count);
    unload(&first);
    unload(&second);
    buf_deinit(&shown);
}

static void a_clouds_url_follows_from_its_region(void **state)
{
    (void)state;
    static const struct {
        const char *text, *url;
    } rows[] = {
        {"kind: bedrock, region: eu-west-1", "https://bedrock-runtime.eu-west-1.amazonaws.com"},
        {"kind: bedrock, region: cn-north-1",
         "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"},
        {"kind: vertex, project: p", "https://aiplatform.googleapis.com"},
        {"kind: vertex, project: p, region: us", "https://aiplatform.us.rep.googleapis.com"},
        {"kind: vertex, project: p, region: us-east5",
         "https://us-east5-aiplatform.googleapis.com"},
        {"kind: vertex, project: p, url: 'https://proxy.example/v1'", "https://proxy.example"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct loaded l;
        char text[256];
        (void)snprintf(text, sizeof text, "targets:\n  a: { %s, key: env:SET }\n", rows[i].text);
        struct config_source s = source_of(span_from(text), env_set);
        assert_int_equal(load(&l, &s), ERR_OK);
        assert_string_equal(l.config->targets[0].url_text, rows[i].url);
        unload(&l);
    }
}

static void a_clouds_keys_come_from_the_environment(void **state)
{
    (void)state;
    struct env_pair keys[] = {{"AWS_DEFAULT_REGION", "us-west-2"},
                              {"AWS_ACCESS_KEY_ID", "AKID"},
                              {"AWS_SECRET_ACCESS_KEY", "secret"},
                              {"AWS_SESSION_TOKEN", "token"},
                              {NULL, NULL},
                              {NULL, NULL}};
    struct config_source s = source_of(SPAN("targets:\n  a: { kind: bedrock }\n"), keys);
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_OK);
    const struct config_target *t = &l.config->targets[0];
    assert_string_equal(t->region, "us-west-2");
    assert_memory_equal(t->secret_key.value.at, "secret", 6);
    assert_memory_equal(t->session_token.value.at, "token", 5);
    assert_int_equal(t->key.form, SECRET_NONE);
    unload(&l);
    keys[4] = (struct env_pair){"AWS_BEARER_TOKEN_BEDROCK", "bearer"};
    assert_int_equal(load(&l, &s), ERR_OK);
    t = &l.config->targets[0];
    assert_memory_equal(t->key.value.at, "bearer", 6);
    assert_int_equal(t->access_key.form, SECRET_NONE);
    unload(&l);
}

static void what_is_shown_reads_back_as_the_same(void **state)
{
    (void)state;
    show_again_is_the_same(full);
    show_again_is_the_same(T);
    show_again_is_the_same(
        "targets:\n"
        "  a: { kind: bedrock, region: eu-west-1, access_key: env:SET, secret_key: env:SET,\n"
        "       session_token: env:SET }\n"
        "  b: { kind: bedrock, region: cn-north-1, key: env:SET, url: 'http://127.0.0.1:1/x' }\n"
        "  c: { kind: vertex, service_account: env:SET, project: p, region: eu }\n");
    show_again_is_the_same(T "keys: { x: 'file:/dev/../etc/hostname' }\nlisten: '[::]:1'\n"
                             "tls: { cert: /dev/null, key: /dev/null }\n");
    show_again_is_the_same(
        "targets:\n  a: { kind: vllm, model: 'a: b # c' }\n"
        "models:\n  - { match: \"\\u4e2d \\\\ \\\"*\", chain: [ 'a/{x}, y' ] }\n");
    show_again_is_the_same(
        "targets:\n  a: { kind: llama.cpp, model: /m.gguf, start: on-demand, idle: 0s, memory: "
        "1GiB }\n"
        "  b: { kind: command, start: always, url: 'http://127.0.0.1:9', load: 5m,\n"
        "       command: [ /x, '--a b', \"{port}\", '#', '-1' ] }\n");
    struct loaded l;
    load_good(&l, full);
    config_show(l.config, false, &l.text);
    struct config_source s = source_of(buf_span(&l.text), env_set);
    struct loaded again;
    assert_int_equal(load(&again, &s), ERR_OK);
    check_targets(again.config);
    check_routes(again.config);
    unload(&again);
    unload(&l);
}

static void showing_tells_origins_and_no_secret(void **state)
{
    (void)state;
    struct env_pair env[] = {{"SET", "sk-canary-123456"}, {"HOTSPARE_WORKERS", "4"}, {NULL, NULL}};
    struct config_source s =
        source_of(SPAN("listen: 127.0.0.1:1\ntargets:\n  a: { kind: anthropic, key: env:SET }\n"
                       "  b: { kind: anthropic, key: sk-canary-literal }\n"),
                  env);
    static const char *const want[] = {
        "listen: 127.0.0.1:1  # h.yaml:1\n",  "admin: 127.0.0.1:8485  # default\n",
        "workers: 4  # HOTSPARE_WORKERS\n",   "  a:  # h.yaml:3\n",
        "    key: env:SET  # set, ...3456\n", "    key: not-shown"};
    struct loaded l;
    assert_int_equal(load(&l, &s), ERR_OK);
    config_show(l.config, true, &l.text);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        if (span_search(buf_span(&l.text), span_from(want[i])) < 0)
            fail_msg("no %s in %.*s", want[i], SPAN_FMT(buf_span(&l.text)));
    assert_true(span_search(buf_span(&l.text), SPAN("canary")) < 0);
    unload(&l);
}

static const char *const paths[] = {"listen",
                                    "admin",
                                    "tls.cert",
                                    "tls.key",
                                    "admin_tls.cert",
                                    "admin_tls.key",
                                    "workers",
                                    "keys.*",
                                    "targets.*.kind",
                                    "targets.*.url",
                                    "targets.*.key",
                                    "targets.*.auth",
                                    "targets.*.ca",
                                    "targets.*.model",
                                    "targets.*.context",
                                    "targets.*.speaks",
                                    "targets.*.api",
                                    "targets.*.plain_http",
                                    "models[].match",
                                    "models[].chain",
                                    "deadlines.connect",
                                    "deadlines.first_token",
                                    "deadlines.stall",
                                    "deadlines.min_rate",
                                    "deadlines.total",
                                    "deadlines.drain",
                                    "breaker.failures",
                                    "breaker.ratio_percent",
                                    "breaker.ratio_min",
                                    "breaker.open",
                                    "breaker.max_open",
                                    "hedge.budget",
                                    "hedge.after",
                                    "return.ramp",
                                    "return.sticky",
                                    "use.kind",
                                    "use.users",
                                    "use.revenue_million",
                                    "use.region",
                                    "body_max",
                                    "body_memory",
                                    "reply_headers",
                                    "log_requests",
                                    "access_log",
                                    "state_dir"};

static void every_key_is_explained(void **state)
{
    (void)state;
    struct buf all, one;
    buf_init(&all, 1 << 20);
    buf_init(&one, 1 << 20);
    assert_int_equal(config_explain(NULL, &all), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        buf_reset(&one);
        assert_int_equal(config_explain(paths[i], &one), ERR_OK);
        assert_true(span_starts(buf_span(&one), span_from(paths[i])));
        assert_true(span_search(buf_span(&all), buf_span(&one)) >= 0);
    }
    buf_reset(&one);
    assert_int_equal(config_explain("deadlines.first_token", &one), ERR_OK);
    assert_true(span_is(buf_span(&one),
                        "deadlines.first_token\n"
                        "  For the first content of an answer. Headers and pings do not count.\n"
                        "  type: duration (500ms, 8s, 5m, 1h)\n"
                        "  default: 20s\n"
                        "  range: 10ms to 1h\n"
                        "  environment: HOTSPARE_DEADLINES_FIRST_TOKEN\n"
                        "  a change takes effect: on reload\n"));
    buf_reset(&one);
    assert_int_equal(config_explain("targets.claude.url", &one), ERR_OK);
    assert_true(span_starts(buf_span(&one), SPAN("targets.*.url\n")));
    buf_reset(&one);
    assert_int_equal(config_explain("models[12].chain", &one), ERR_OK);
    buf_reset(&one);
    assert_int_equal(config_explain("deadlines.stal", &one), ERR_NOT_FOUND);
    assert_true(span_search(buf_span(&one), SPAN("did you mean \"deadlines.stall\"?")) >= 0);
    assert_int_equal(config_explain("", &one), ERR_NOT_FOUND);
    buf_deinit(&all);
    buf_deinit(&one);
}

/* The schema of a path of the table. */
static struct json schema_of(struct json root, const char *path)
{
    struct span rest = span_from(path), word;
    struct json v = root;
    while (span_next(&rest, '.', &word)) {
        char name[64];
        bool list = span_ends(word, SPAN("[]"));
        word.len -= list ? 2 : 0;
        snprintf(name, sizeof(name), "%.*s", SPAN_FMT(word));
        v = strcmp(name, "*") == 0 ? json_get(v, "additionalProperties")
                                   : json_get(json_get(v, "properties"), name);
        if (list)
            v = json_get(v, "items");
    }
    return v;
}

static void the_schema_is_json_and_knows_every_key(void **state)
{
    (void)state;
    struct arena a;
    struct buf text;
    struct json_doc doc;
    arena_init(&a, 1 << 22);
    buf_init(&text, 1 << 20);
    config_schema(&text);
    assert_int_equal(json_parse(&a, buf_span(&text), &json_limits_default, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc);
    assert_true(
        json_str_is(json_get(root, "$schema"), "https://json-schema.org/draft/2020-12/schema"));
    assert_true(json_is(json_get(root, "additionalProperties"), JSON_FALSE));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (!json_is(json_get(schema_of(root, paths[i]), "description"), JSON_STRING))
            fail_msg("the schema has no %s", paths[i]);
    struct json stall = schema_of(root, "deadlines.stall");
    assert_true(json_str_is(json_get(stall, "default"), "15s"));
    assert_true(
        json_str_is(json_at(json_get(schema_of(root, "targets.*"), "required"), 0), "kind"));
    arena_deinit(&a);
    buf_deinit(&text);
}

static void a_configuration_lives_until_its_last_user(void **state)
{
    (void)state;
    struct loaded l;
    load_good(&l, T);
    struct config *c = config_ref(l.config);
    unload(&l);
    assert_string_equal(c->targets[0].name, "a"); /* AddressSanitizer would object */
    config_unref(c);
    config_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_file_is_read_as_meant),
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(json_is_yaml),
        cmocka_unit_test(a_breaker_belongs_to_target_and_model),
        cmocka_unit_test(the_first_matching_rule_counts),
        cmocka_unit_test(globs_do_not_run_away),
        cmocka_unit_test(the_environment_overrides_the_file),
        cmocka_unit_test(without_a_file_keys_and_engines_make_a_chain),
        cmocka_unit_test(a_claude_token_goes_as_bearer),
        cmocka_unit_test(a_base_url_that_points_here_is_not_followed),
        cmocka_unit_test(a_base_url_elsewhere_is),
        cmocka_unit_test(nothing_at_all_is_said_with_what_to_do),
        cmocka_unit_test(secrets_come_from_files_and_credentials),
        cmocka_unit_test(a_check_elsewhere_only_names_missing_secrets),
        cmocka_unit_test(a_clouds_url_follows_from_its_region),
        cmocka_unit_test(a_clouds_keys_come_from_the_environment),
        cmocka_unit_test(what_is_shown_reads_back_as_the_same),
        cmocka_unit_test(showing_tells_origins_and_no_secret),
        cmocka_unit_test(every_key_is_explained),
        cmocka_unit_test(the_schema_is_json_and_knows_every_key),
        cmocka_unit_test(a_configuration_lives_until_its_last_user),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
