/* The one table of the configuration: what each key is called, what it may hold, what it is without
 * being given, and what it means. Reading, checking, `config explain`, the JSON schema and the
 * manual page come from here. Parents stand before their children. */
#include "local/licence.h"
#include "serve/config_internal.h"

#define MS USEC_PER_MS
#define SECONDS(n) ((uint64_t)(n) * (uint64_t)USEC_PER_SEC)
#define MIB(n) ((uint64_t)(n) << 20)
#define IN_CONFIG(field) offsetof(struct config, field)
#define IN_TARGET(field) offsetof(struct config_target, field)

const struct config_row config_rows[] = {
    {"listen", CONFIG_LISTEN, "127.0.0.1:8484", 0, 0, IN_CONFIG(listen), .restart = true,
     .help = "Address of the API, host:port. Port 0: the system picks one. Any address but this "
             "machine's own needs client keys."},
    {"admin", CONFIG_LISTEN, "127.0.0.1:8485", 0, 0, IN_CONFIG(admin), .restart = true,
     .help = "Address of health checks, metrics, status and switches, host:port."},
    {"tls", CONFIG_SECTION, .help = "TLS of the API's listener. Without it: plain HTTP."},
    {"tls.cert", CONFIG_FILE, .offset = IN_CONFIG(listen.cert),
     .help = "PEM file with the certificate and its chain. Read again on reload."},
    {"tls.key", CONFIG_FILE, .offset = IN_CONFIG(listen.key),
     .help = "PEM file with the private key. Read again on reload."},
    {"admin_tls", CONFIG_SECTION, .help = "TLS of the admin listener. Without it: plain HTTP."},
    {"admin_tls.cert", CONFIG_FILE, .offset = IN_CONFIG(admin.cert),
     .help = "PEM file with the certificate and its chain. Read again on reload."},
    {"admin_tls.key", CONFIG_FILE, .offset = IN_CONFIG(admin.key),
     .help = "PEM file with the private key. Read again on reload."},
    {"workers", CONFIG_COUNT, "0", 0, 256, IN_CONFIG(workers), .restart = true,
     .help = "Threads that serve requests. 0: one per core."},
    {"keys", CONFIG_KEYS,
     .help = "Keys clients must send (x-api-key or Authorization: Bearer), by a name for logs and "
             "metrics. Without it only this machine is listened to, and any key is taken."},
    {"keys.*", CONFIG_SECRET, .help = "env:NAME, file:/path, or cred:ID (systemd credential)."},
    {"targets", CONFIG_TARGETS,
     .help = "Who can answer: providers and engines, by a name of yours."},
    {"targets.*", CONFIG_SECTION, .help = "One target."},
    {"targets.*.kind", CONFIG_KIND, .offset = IN_TARGET(kind), .required = true,
     .help = "What it is: decides the default URL, what is spoken, and what it can carry."},
    {"targets.*.url", CONFIG_URL, .offset = IN_TARGET(url_text),
     .help = "Base URL. Without it: the kind's own. OpenAI-style targets get /v1 when the URL has "
             "no path."},
    {"targets.*.key", CONFIG_SECRET, .offset = IN_TARGET(key),
     .help = "Its API key: env:NAME, file:/path, or cred:ID (systemd credential). Sent to this "
             "target's URL and nowhere else."},
    {"targets.*.region", CONFIG_TEXT, .offset = IN_TARGET(region),
     .help = "Where a cloud answers: us-east-1 for Bedrock, us-east5 or global for Vertex. Without "
             "it: AWS_REGION for Bedrock, global for Vertex. Kind gemini with it, a project or a "
             "service account is Gemini on Vertex."},
    {"targets.*.access_key", CONFIG_SECRET, .offset = IN_TARGET(access_key),
     .help = "Bedrock: the AWS access key id that signs requests. Without it and without key: "
             "env:AWS_BEARER_TOKEN_BEDROCK as key when there is one, else the AWS_ environment "
             "variables."},
    {"targets.*.secret_key", CONFIG_SECRET, .offset = IN_TARGET(secret_key),
     .help = "Bedrock: the secret access key that belongs to access_key. Never sent."},
    {"targets.*.session_token", CONFIG_SECRET, .offset = IN_TARGET(session_token),
     .help = "Bedrock: the session token of temporary credentials."},
    {"targets.*.service_account", CONFIG_SECRET, .offset = IN_TARGET(service_account),
     .lines = true,
     .help = "Vertex: the service account's key, a JSON document: file:/path/key.json. Access "
             "tokens are fetched with it and renewed in time."},
    {"targets.*.project", CONFIG_TEXT, .offset = IN_TARGET(project),
     .help = "Vertex: the Google Cloud project. Without it: the service account's."},
    {"targets.*.api_version", CONFIG_TEXT, .offset = IN_TARGET(api_version),
     .help = "Azure OpenAI: 2024-10-21 and its like. With it each model is asked at the URL of the "
             "deployment of its name; without it at the resource's v1 endpoint."},
    {"targets.*.auth", CONFIG_AUTH, .offset = IN_TARGET(bearer),
     .help =
         "How the key is sent. Without it: x-api-key to Claude, api-key to Azure, x-goog-api-key "
         "to Gemini, else Authorization: Bearer."},
    {"targets.*.ca", CONFIG_FILE, .offset = IN_TARGET(ca),
     .help = "PEM file of the authorities its certificate is checked against. Without it: the "
             "system's."},
    {"targets.*.model", CONFIG_TEXT, .offset = IN_TARGET(model),
     .help = "Model to ask for where a chain names none. Without it: the client's model name."},
    {"targets.*.context", CONFIG_COUNT, "0", 0, 100000000, IN_TARGET(context),
     .help = "Tokens its model has for prompt and answer together: a longer conversation is "
             "shortened, or the target skipped. Give it for engines started with less than the "
             "model could, and for Ollama, where each request sets it (num_ctx). 0: what is known "
             "of the model."},
    {"targets.*.speaks", CONFIG_SPEAKS, .offset = IN_TARGET(dialect),
     .help = "What is spoken to it; for kinds openai-compatible and standin."},
    {"targets.*.api", CONFIG_API, .offset = IN_TARGET(api),
     .help = "Which of OpenAI's two formats is spoken to it: chat, responses, or auto, which is "
             "responses to clients that speak it and for models that answer nothing else. Without "
             "it: auto for kind openai, else chat."},
    {"targets.*.plain_http", CONFIG_BOOL, "false", 0, 0, IN_TARGET(plain_http),
     .help = "Allow http:// to another machine: key and conversations travel unencrypted."},
    {"targets.*.start", CONFIG_START, "never", .offset = IN_TARGET(start),
     .help = "Who starts this engine: never, it runs already; always, with the gateway; on-demand, "
             "when a request comes to it; warm-on-trouble, that and when a target before it in a "
             "chain begins to fail. Only from a file that nobody else may write."},
    {"targets.*.command", CONFIG_WORDS, .offset = IN_TARGET(command),
     .help = "Its command line, one word an entry; no shell reads it. {model}, {host}, {port} and "
             "{context} are filled in. Without it: llama-server, vllm serve or ollama serve."},
    {"targets.*.idle", CONFIG_DURATION, "10m", 0, SECONDS(7 * 24 * 3600), IN_TARGET(idle),
     .help = "An engine that we started is unloaded when unused for so long; not one with start: "
             "always. 0s: never."},
    {"targets.*.load", CONFIG_DURATION, "10m", 100 * MS, SECONDS(24 * 3600), IN_TARGET(load),
     .help =
         "From its start to its being ready; one that takes longer is ended and started again."},
    {"targets.*.memory", CONFIG_SIZE, .least = MIB(1), .most = MIB(1 << 24),
     .offset = IN_TARGET(memory),
     .help = "Private memory each of its processes may have (RLIMIT_DATA); a mapped model file and "
             "the memory of a GPU do not count. Without it: no limit of ours."},
    {"models", CONFIG_ROUTES,
     .help = "Which models are answered by whom; the first that matches counts. Without it: one "
             "chain of all targets, in the order of the file, for every model."},
    {"models[]", CONFIG_SECTION, .help = "One rule."},
    {"models[].match", CONFIG_TEXT, .offset = offsetof(struct config_route, match),
     .required = true, .help = "Model names this is for: * is any run of characters, ? any one."},
    {"models[].chain", CONFIG_CHAIN, .required = true,
     .help = "Whom to ask, in this order: target (same model name) or target/model."},
    {"deadlines", CONFIG_SECTION, .help = "How long to wait before the next target is asked."},
    {"deadlines.connect", CONFIG_DURATION, "3s", 10 * MS, SECONDS(60), IN_CONFIG(deadlines.connect),
     .help = "For name, connection and TLS."},
    {"deadlines.first_token", CONFIG_DURATION, "20s", 10 * MS, SECONDS(3600),
     IN_CONFIG(deadlines.first_token),
     .help = "For the first content of an answer. Headers and pings do not count."},
    {"deadlines.stall", CONFIG_DURATION, "15s", 10 * MS, SECONDS(3600), IN_CONFIG(deadlines.stall),
     .help = "Between two pieces of content. Pings do not count."},
    {"deadlines.min_rate", CONFIG_COUNT, "0", 0, 100000, IN_CONFIG(deadlines.min_rate),
     .help = "Characters per second a stream must bring, counted over 10 s; a slower one counts as "
             "stalled while another target is left. 0: any speed will do."},
    {"deadlines.total", CONFIG_DURATION, "600s", 100 * MS, SECONDS(24 * 3600),
     IN_CONFIG(deadlines.total), .help = "For a whole request, all its attempts together."},
    {"deadlines.drain", CONFIG_DURATION, "600s", 0, SECONDS(24 * 3600), IN_CONFIG(deadlines.drain),
     .help = "For requests still running after SIGTERM."},
    {"breaker", CONFIG_SECTION,
     .help = "When a target is left alone for a while. The last one left is never refused."},
    {"breaker.failures", CONFIG_COUNT, "5", 1, 1000, IN_CONFIG(breaker.failures),
     .help = "Failures in a row that open it."},
    {"breaker.ratio_percent", CONFIG_COUNT, "50", 1, 100, IN_CONFIG(breaker.ratio_percent),
     .help = "Or this share of the last 30 s' requests."},
    {"breaker.ratio_min", CONFIG_COUNT, "20", 1, 100000, IN_CONFIG(breaker.ratio_min),
     .help = "The share counts from this many requests on."},
    {"breaker.open", CONFIG_DURATION, "30s", 100 * MS, SECONDS(3600), IN_CONFIG(breaker.open),
     .help = "How long it stays open the first time; doubles with each repeat."},
    {"breaker.max_open", CONFIG_DURATION, "5m", 100 * MS, SECONDS(24 * 3600),
     IN_CONFIG(breaker.open_max), .help = "How long it stays open at most."},
    {"hedge", CONFIG_SECTION,
     .help = "Asking the next target, too, when one is later with its first word than it usually "
             "is. Both may be billed. Off unless it has a budget."},
    {"hedge.budget", CONFIG_COUNT, "0", 0, 50, IN_CONFIG(hedge.budget), .restart = true,
     .help = "Percent of all requests that may be asked twice, over any time. 0: none."},
    {"hedge.after", CONFIG_COUNT, "95", 50, 99, IN_CONFIG(hedge.after), .restart = true,
     .help = "Late is a stream that has no first word when this percentage of the target's last "
             "streams had theirs. Learnt per target and model, from 50 streams on."},
    {"return", CONFIG_SECTION, .help = "How conversations go back to a target after an outage."},
    {"return.ramp", CONFIG_DURATION, "30s", 0, SECONDS(3600), IN_CONFIG(breaker.ramp),
     .help =
         "How long each step lasts: 5, then 25, then 100 percent of the conversations; twice as "
         "long after each relapse, up to 16 times. A conversation that a single failure moved "
         "stays away as long as one step. 0s: everybody returns at once."},
    {"return.sticky", CONFIG_BOOL, "true", 0, 0, IN_CONFIG(sticky),
     .help = "Conversations go on with the target that last answered them while it is healthy. "
             "false: each request goes to the first healthy target that the ramp lets it to."},
    {"use", CONFIG_SECTION,
     .help = "What the models of your own are used for. With it, a chain that names one whose "
             "licence forbids that is refused; hotspare licence tells why."},
    {"use.kind", CONFIG_USE, .offset = IN_CONFIG(use.kind),
     .help = "Whom the answers are for: research, the company itself, its product's users, or "
             "others who call it as a service."},
    {"use.users", CONFIG_COUNT, "0", 0, 4294967295u, IN_CONFIG(use.users),
     .help = "Monthly active users of the company and its affiliates. 0: not said."},
    {"use.revenue_million", CONFIG_COUNT, "0", 0, 4294967295u, IN_CONFIG(use.revenue_million),
     .help = "Their revenue a year, in millions of USD. 0: not said."},
    {"use.region", CONFIG_TEXT, .offset = IN_CONFIG(use.region),
     .help = "Where the company is: EU, UK, US, or a country's two letters."},
    {"body_max", CONFIG_SIZE, "32MiB", 1024, MIB(256), IN_CONFIG(body_max), .restart = true,
     .help = "Largest request body. Each is held until its request is answered, so that any target "
             "can get it."},
    {"body_memory", CONFIG_SIZE, "256MiB", MIB(1), MIB(1 << 20), IN_CONFIG(body_memory),
     .restart = true, .help = "All held request bodies together; more are answered with 503."},
    {"reply_headers", CONFIG_BOOL, "true", 0, 0, IN_CONFIG(reply_headers),
     .help = "Send x-hotspare-served-by and its kin with each answer."},
    {"log_requests", CONFIG_BOOL, "true", 0, 0, IN_CONFIG(log_requests),
     .help = "Write one line of JSON per request. Never prompts, answers or keys."},
    {"access_log", CONFIG_FILE, .offset = IN_CONFIG(access_log), .restart = true,
     .help = "File for these lines; - is standard output. Without it: standard error."},
    {"state_dir", CONFIG_FILE, .offset = IN_CONFIG(state_dir), .restart = true,
     .help = "Directory where breakers, what refusals taught and what probes found out outlive a "
             "restart. Without it: they do not."},
    {"shared", CONFIG_PLANNED, .help = "Redis or Valkey shared by several replicas."},
};
const size_t config_row_count = ARRAY_LEN(config_rows);

const struct config_row *config_row(struct span path)
{
    for (size_t i = 0; i < config_row_count; i++)
        if (span_is(path, config_rows[i].path))
            return &config_rows[i];
    return NULL;
}

bool config_row_is_below(const struct config_row *row, const char *section, struct span *out_name)
{
    struct span rest = span_from(row->path);
    size_t n = strlen(section);
    if (n) {
        if (!span_starts(rest, (struct span){section, n}))
            return false;
        rest = span_drop(rest, n);
        if (rest.len == 0 || rest.at[0] != '.')
            return false;
        rest = span_drop(rest, 1);
    }
    *out_name = rest;
    return span_find(rest, '.') < 0 && span_find(rest, '[') < 0;
}

const struct config_row *config_row_below(const char *section, struct span key)
{
    struct span name;
    for (size_t i = 0; i < config_row_count; i++)
        if (config_row_is_below(&config_rows[i], section, &name) && span_eq(name, key))
            return &config_rows[i];
    return NULL;
}

bool config_row_is_global(const struct config_row *row)
{
    return row->type >= CONFIG_LISTEN && !strchr(row->path, '*') && !strchr(row->path, '[');
}

void config_row_env(const struct config_row *row, char out[64])
{
    static const char prefix[] = "HOTSPARE_";
    size_t n = sizeof(prefix) - 1;
    assert(n + strlen(row->path) < 64);
    memcpy(out, prefix, n);
    for (const char *p = row->path; *p; p++)
        out[n++] = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : '_';
    out[n] = '\0';
}

static_assert(TARGET_KIND_COUNT <= CONFIG_WORDS_MAX, "room for every kind");

size_t config_row_words(const struct config_row *row, const char *out[CONFIG_WORDS_MAX])
{
    size_t n = 0;
    switch (row->type) {
    case CONFIG_SPEAKS:
        out[n++] = "anthropic";
        out[n++] = "openai";
        break;
    case CONFIG_API:
        out[n++] = "auto";
        out[n++] = "chat";
        out[n++] = "responses";
        break;
    case CONFIG_START: /* in the order of enum engine_start */
        out[n++] = "never";
        out[n++] = "always";
        out[n++] = "on-demand";
        out[n++] = "warm-on-trouble";
        break;
    case CONFIG_AUTH:
        out[n++] = "x-api-key";
        out[n++] = "bearer";
        break;
    case CONFIG_USE:
        for (; n < USE_KIND_COUNT; n++)
            out[n] = use_kind_name((enum use_kind)n);
        break;
    case CONFIG_BOOL:
        out[n++] = "false";
        out[n++] = "true";
        break;
    case CONFIG_KIND:
        for (; n < TARGET_KIND_COUNT; n++)
            out[n] = target_kind_name((enum target_kind)n);
        break;
    default:
        break;
    }
    return n;
}

const struct config_kind *config_kind(enum target_kind k)
{
    static const struct config_kind kinds[TARGET_KIND_COUNT] = {
        [TARGET_ANTHROPIC] = {"https://api.anthropic.com", DIALECT_ANTHROPIC, .wants_key = true},
        [TARGET_OPENAI] = {"https://api.openai.com/v1", DIALECT_OPENAI_CHAT, .wants_key = true,
                           .wants_model = true},
        [TARGET_OPENAI_COMPATIBLE] = {NULL, DIALECT_OPENAI_CHAT, .choose_dialect = true,
                                      .wants_model = true},
        [TARGET_VLLM] = {"http://127.0.0.1:8000/v1", DIALECT_OPENAI_CHAT, .wants_model = true},
        [TARGET_LLAMA_CPP] = {"http://127.0.0.1:8080/v1", DIALECT_OPENAI_CHAT,
                              .wants_model = false},
        [TARGET_OLLAMA] = {"http://127.0.0.1:11434/v1", DIALECT_OPENAI_CHAT, .wants_model = true},
        [TARGET_MISTRAL] = {"https://api.mistral.ai/v1", DIALECT_OPENAI_CHAT, .wants_key = true,
                            .wants_model = true},
        [TARGET_AZURE_OPENAI] = {NULL, DIALECT_OPENAI_CHAT, .wants_key = true, .wants_model = true},
        [TARGET_GEMINI] = {"https://generativelanguage.googleapis.com/v1beta", DIALECT_GEMINI,
                           .wants_key = true, .wants_model = true},
        [TARGET_BEDROCK] = {NULL, DIALECT_ANTHROPIC, .wants_model = true},
        [TARGET_VERTEX] = {NULL, DIALECT_ANTHROPIC, .wants_model = false},
        [TARGET_STANDIN] = {NULL, DIALECT_ANTHROPIC, .choose_dialect = true},
        [TARGET_COMMAND] = {"http://127.0.0.1:8000/v1", DIALECT_OPENAI_CHAT,
                            .choose_dialect = true},
    };
    assert((unsigned)k < TARGET_KIND_COUNT);
    return &kinds[k];
}
