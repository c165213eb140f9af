/* The command: whom to ask, what it may cost, and where what was found out is kept.
 *
 * Targets are made as the gateway makes them (serve/routing.c), so that paths, keys, authorities
 * and names are those it will use. What costs money is not begun without a yes. */
#include "tools/probe/probe.h"

#include "base/mem.h"
#include "base/span.h"
#include "json/json_write.h"
#include "local/facts.h"
#include "relay/capable.h"
#include "serve/load.h"
#include "serve/models.h"
#include "serve/probed_file.h"
#include "serve/routing.h"
#include "tools/probe/probe_internal.h"

#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_FINDINGS 1
#define EXIT_USAGE 64
#define EXIT_NO_ANSWER 69
#define EXIT_CONFIG 78
#define EXIT_STOPPED 130
#define PROBES_MAX 64
#define CLAUDE_DEFAULT "claude-sonnet-5" /* where a chain leaves the name to the client */
#define CONTEXT_DEFAULT 6000
#define CONTEXT_MOST 200000
#define CAP_USD_DEFAULT 0.50
#define CAP_TOKENS_DEFAULT 60000
#define JSON_MAX ((size_t)4 << 20)

struct command {
    const char *what, *config, *cap, *price; /* NULL = not given */
    uint64_t context;
    bool all, json, dry, yes;
    struct loaded loaded;
    struct facts facts;
    struct arena arena;
    struct service service;
    struct routing *routing;
    struct asker asker;
    struct probe *probes;
    struct purse *budgets;
    size_t count;
};

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare probe TARGET[/MODEL] | --all [options]\n"
        "\n"
        "Asks a target of the configuration what it can do, feature by feature, and stores the\n"
        "answer where the gateway finds it (state_dir) when it starts or reloads.\n"
        "\n"
        "  --all             every target and model that a chain names\n"
        "  --config FILE     as for hotspare serve\n"
        "  --dry-run         who would be asked, how many calls and what they may cost\n"
        "  --spend-cap N     for each model: tokens, or 0.20usd (0.50usd; 60000 without prices)\n"
        "  --price IN,OUT    USD for a million tokens, where the price table has none\n"
        "  --context N       tokens of the long prompt (6000)\n"
        "  --yes             begin without asking\n"
        "  --json            hotspare.probe/1 on standard output\n"
        "\n"
        "works / converted (carried another way) / degraded (with a loss, which is told) /\n"
        "refused / broken (accepted and not done) / unclear / skipped.\n"
        "Exit code: 0 no finding, 1 findings, 69 a target gave no answer.\n",
        to);
    return status;
}

static int refuse(const char *what, const char *fix)
{
    (void)fprintf(stderr, "hotspare probe: %s\n         fix: %s\n", what, fix);
    return EXIT_USAGE;
}

/* ---- whom to ask ---- */

static struct span json_content(struct arena *a, const char *plain)
{
    struct buf b;
    struct json_out w;
    buf_init(&b, 4096);
    json_out_buf(&w, &b);
    jw_cstr(&w, plain);
    struct span quoted = arena_copy(a, buf_span(&b));
    buf_deinit(&b);
    return quoted.len >= 2 ? (struct span){quoted.at + 1, quoted.len - 2} : SPAN_EMPTY;
}

static bool speaks_own_messages(const struct config_target *t)
{
    return t->dialect == DIALECT_OPENAI_CHAT &&
           (t->kind == TARGET_VLLM || t->kind == TARGET_LLAMA_CPP || t->kind == TARGET_OLLAMA);
}

/* What a client's Messages are translated to for it: the only format that its model answers, or
 * that a context can be set in. */
static struct relay_speech main_speech(const struct probe *p, const struct config_target *t)
{
    const struct relay_target *r = p->target;
    for (size_t i = 0; i < r->also_count; i++) {
        enum dialect_id id = r->also[i].dialect->id;
        if ((id == DIALECT_OPENAI_RESPONSES && p->presumed.responses_only) ||
            (id == DIALECT_BEDROCK_CONVERSE && p->presumed.converse) ||
            (id == DIALECT_OLLAMA && t->kind == TARGET_OLLAMA))
            return r->also[i];
    }
    return (struct relay_speech){r->dialect, r->path};
}

static void open_doors(struct command *c, struct probe *p, const struct config_target *t)
{
    const struct relay_target *r = p->target;
    struct relay_speech speech = main_speech(p, t);
    p->doors[0] = (struct probe_door){.dialect = speech.dialect, .path = speech.path};
    p->door_count = 1;
    bool context_is_set = t->kind == TARGET_OLLAMA && t->context > 0; /* in no other format */
    if (!speaks_own_messages(t) || r->dialect != &dialect_openai_chat || context_is_set)
        return;
    struct span base = span_take(r->path, r->path.len - strlen(dialect_openai_chat.path));
    if (span_ends(base, SPAN("/v1")))
        base.len -= 3;
    p->doors[1] = (struct probe_door){
        .dialect = &dialect_anthropic,
        .path = arena_printf(&c->arena, "%.*s%s", SPAN_FMT(base), dialect_anthropic.path)};
    p->door_count = 2;
}

static int64_t context_for(const struct command *c, const struct capability *cap, uint32_t given)
{
    int64_t wanted = (int64_t)c->context, has = given > 0 ? given : cap->context;
    return has > 0 && wanted > has / 2 ? has / 2 : wanted;
}

static void add(struct command *c, size_t target, const char *model)
{
    const struct config_target *t = &c->loaded.config->targets[target];
    if (!model)
        model = t->model;
    if (!model && t->dialect != DIALECT_ANTHROPIC)
        model = models_default(c->loaded.config);
    if (!model)
        model = CLAUDE_DEFAULT;
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->probes[i].name, t->name) == 0 && strcmp(c->probes[i].model, model) == 0)
            return;
    if (c->count == PROBES_MAX)
        return;
    struct probe *p = &c->probes[c->count];
    const struct relay_target *asked = routing_target_for(c->routing, target, model);
    *p = (struct probe){.asker = &c->asker,
                        .budget = &c->budgets[c->count],
                        .target = asked,
                        .name = t->name,
                        .model = model,
                        .url = t->url_text,
                        .raw_model = json_content(&c->arena, model),
                        .presumed = capable_presumed(asked, span_from(model))};
    c->count++;
    p->ours = t->start != ENGINE_NEVER;
    p->context = context_for(c, &p->presumed, t->context);
    open_doors(c, p, t);
    if (t->port_open)
        (void)snprintf(
            p->not_asked, sizeof p->not_asked,
            "the gateway starts this engine at a port that only it knows; give the target "
            "a url with a port of your own, start the gateway, and probe while it is up");
}

static int choose_all(struct command *c)
{
    const struct config *cfg = c->loaded.config;
    for (size_t i = 0; i < cfg->route_count; i++)
        for (size_t k = 0; k < cfg->routes[i].link_count; k++)
            add(c, cfg->routes[i].links[k].target, cfg->routes[i].links[k].model);
    return c->count ? 0 : refuse("no chain names a target", "add models: to the configuration");
}

/* Without a model: those that chains ask of it, or its default. */
static void add_chained(struct command *c, size_t target)
{
    const struct config *cfg = c->loaded.config;
    for (size_t i = 0; i < cfg->route_count; i++)
        for (size_t k = 0; k < cfg->routes[i].link_count; k++)
            if (cfg->routes[i].links[k].target == target)
                add(c, target, cfg->routes[i].links[k].model);
    if (c->count == 0)
        add(c, target, NULL);
}

static int choose_one(struct command *c)
{
    const struct config *cfg = c->loaded.config;
    struct span what = span_from(c->what);
    for (size_t i = 0; i < cfg->target_count; i++) {
        struct span name = span_from(cfg->targets[i].name);
        if (!span_starts(what, name) || (what.len > name.len && what.at[name.len] != '/'))
            continue;
        if (what.len > name.len + 1)
            add(c, i, c->what + name.len + 1);
        else
            add_chained(c, i);
        return 0;
    }
    (void)fprintf(stderr, "hotspare probe: there is no target \"%s\"; there are:", c->what);
    for (size_t i = 0; i < cfg->target_count; i++)
        (void)fprintf(stderr, " %s", cfg->targets[i].name);
    (void)fprintf(stderr, "\n");
    return EXIT_USAGE;
}

/* ---- what it may cost ---- */

static bool is_own(enum target_kind k)
{
    return k == TARGET_VLLM || k == TARGET_LLAMA_CPP || k == TARGET_OLLAMA || k == TARGET_STANDIN ||
           k == TARGET_COMMAND;
}

static void find_price(struct command *c, struct purse *b, const struct probe *p)
{
    static const char *const providers[TARGET_KIND_COUNT] = {
        [TARGET_ANTHROPIC] = "anthropic", [TARGET_OPENAI] = "openai",
        [TARGET_MISTRAL] = "mistral",     [TARGET_GEMINI] = "google",
        [TARGET_BEDROCK] = "aws-bedrock", [TARGET_VERTEX] = "google-vertex"};
    const struct cloud *cloud = p->target->cloud;
    bool twin = p->target->kind == TARGET_GEMINI && cloud && cloud->token; /* priced by Vertex */
    const char *provider = twin ? "google-vertex" : providers[p->target->kind];
    const struct fact_price *f = provider ? facts_price(&c->facts, provider, p->model) : NULL;
    b->free = is_own(p->target->kind);
    b->price_in = b->price_out = NAN;
    if (!f || isnan(f->input) || isnan(f->output))
        return;
    b->price_in = f->input;
    b->price_out = f->output;
    b->price_as_of = f->as_of;
}

static bool amount(struct span text, double *out)
{
    return span_double(text, out) == ERR_OK && *out > 0 && *out < 1e12;
}

static int read_price(struct command *c, struct purse *b)
{
    struct span price = span_from(c->price), in;
    if (!c->price)
        return 0;
    if (!span_next(&price, ',', &in) || !amount(in, &b->price_in) || !amount(price, &b->price_out))
        return refuse("--price is not two amounts", "--price 3,15: USD for a million tokens");
    b->free = false;
    b->price_as_of = NULL;
    return 0;
}

static int read_cap(struct command *c, struct purse *b)
{
    struct span cap = span_from(c->cap);
    bool priced = !isnan(b->price_in);
    b->in_usd = c->cap ? span_ends(cap, SPAN("usd")) : priced;
    b->cap = b->in_usd ? CAP_USD_DEFAULT : CAP_TOKENS_DEFAULT;
    if (b->in_usd && c->cap)
        cap = span_take(cap, cap.len - 3);
    if (c->cap && !amount(cap, &b->cap))
        return refuse("--spend-cap is not an amount", "20000 (tokens), or 0.20usd");
    if (b->in_usd && !priced && !b->free)
        return refuse("--spend-cap in USD needs prices, and the price table has none of a model",
                      "--price IN,OUT, or a cap in tokens");
    return 0;
}

static int set_budgets(struct command *c)
{
    int code = 0;
    for (size_t i = 0; i < c->count && code == 0; i++) {
        find_price(c, &c->budgets[i], &c->probes[i]);
        code = read_price(c, &c->budgets[i]);
        if (code == 0)
            code = read_cap(c, &c->budgets[i]);
    }
    return code;
}

static void tell_price(const struct probe *p, FILE *to)
{
    const struct purse *b = p->budget;
    struct probe_plan plan = probe_plan(p);
    if (p->not_asked[0]) {
        (void)fprintf(to, "%s/%s: not probed: %s\n", p->name, p->model, p->not_asked);
        return;
    }
    (void)fprintf(to, "%s/%s: at most %lld calls, %lld tokens in and %lld out: ", p->name, p->model,
                  (long long)plan.calls, (long long)plan.in, (long long)plan.out);
    double usd = ((double)plan.in * b->price_in + (double)plan.out * b->price_out) / 1e6;
    if (b->free)
        (void)fprintf(to, "your own server, no price\n");
    else if (isnan(b->price_in))
        (void)fprintf(to, "price not known; stops at %.0f tokens\n", b->cap);
    else
        (void)fprintf(
            to, "at most %.3f USD (%s %s); stops at %.6g %s\n", usd,
            b->price_as_of ? "prices of" : "as given:", b->price_as_of ? b->price_as_of : "--price",
            b->cap, b->in_usd ? "USD" : "tokens");
}

/* True: go on. */
static bool may_begin(const struct command *c)
{
    bool costs = false;
    for (size_t i = 0; i < c->count; i++)
        costs |= !c->budgets[i].free && !c->probes[i].not_asked[0];
    if (!costs || c->yes)
        return true;
    if (isatty(STDIN_FILENO) != 1) {
        (void)refuse("this may cost money; nothing was asked",
                     "read the prices above, then add --yes");
        return false;
    }
    (void)fprintf(stderr, "Begin? [y/N] ");
    (void)fflush(stderr);
    int answer = getchar();
    return answer == 'y' || answer == 'Y';
}

/* ---- asking ---- */

static void on_signal(void *ctx, int signum)
{
    struct command *c = ctx;
    (void)signum;
    c->asker.stopped = true;
    loop_stop(c->asker.loop);
}

static void on_row(void *ctx, const struct probe *p)
{
    const struct command *c = ctx;
    if (isatty(STDERR_FILENO) == 1 && !c->json)
        (void)fprintf(stderr, "\r\033[K%s/%s: %lld calls", p->name, p->model, (long long)p->calls);
}

static void copy_name(char *to, size_t cap, const char *from)
{
    (void)snprintf(to, cap, "%s", from);
}

/* What was written is read again: only what is there is said to be stored. */
static void store(struct command *c, struct probe *p)
{
    const char *dir = c->loaded.config->state_dir;
    struct probed *f = &p->found, *all;
    struct arena a;
    if (!dir || strlen(p->name) > PROBED_NAME_MAX || strlen(p->model) > PROBED_NAME_MAX ||
        strlen(p->url) > PROBED_URL_MAX)
        return;
    f->at = loop_wall(c->asker.loop);
    copy_name(f->target, sizeof f->target, p->name);
    copy_name(f->model, sizeof f->model, p->model);
    copy_name(f->url, sizeof f->url, p->url);
    if (!probed_file_add(dir, f, 1))
        return;
    arena_init(&a, (size_t)1 << 20);
    size_t count = probed_file_load(dir, &a, &all);
    const struct probed *kept = probed_find(all, count, f->target, f->url, f->model, f->at);
    p->stored = kept && kept->at == f->at;
    arena_deinit(&a);
}

/* It is the gateway that starts it, and perhaps only when somebody asks. */
static void tell_engine(struct probe *p)
{
    size_t len = strlen(p->trouble);
    if (p->ours && !p->answers)
        (void)snprintf(p->trouble + len, sizeof p->trouble - len,
                       "; the gateway starts this engine: run hotspare serve, send one request "
                       "for it where it starts on demand, and probe once it is up");
}

static void run(struct command *c)
{
    const char *no_color = getenv("NO_COLOR");
    bool colour = isatty(STDOUT_FILENO) == 1 && !(no_color && no_color[0]);
    for (size_t i = 0; i < c->count && !c->asker.stopped; i++) {
        struct probe *p = &c->probes[i];
        if (p->not_asked[0] == '\0')
            probe_run(p, on_row, c);
        if (!c->asker.stopped)
            tell_engine(p);
        if (isatty(STDERR_FILENO) == 1 && !c->json)
            (void)fprintf(stderr, "\r\033[K");
        if (p->answers)
            store(c, p);
        if (!c->json) {
            probe_show(p, colour, stdout);
            (void)fflush(stdout);
        }
    }
}

static int judge(const struct command *c)
{
    bool findings = false, silent = false, stored = false, answered = false;
    for (size_t i = 0; i < c->count; i++) {
        const struct probe *p = &c->probes[i];
        findings |= p->answers && probe_findings(p) > 0;
        silent |= !p->answers && (!p->not_asked[0] || c->count == 1);
        stored |= p->stored;
        answered |= p->answers;
    }
    if (stored)
        (void)fprintf(stderr, "A gateway that runs uses what was stored after a reload "
                              "(SIGHUP); it is believed for 30 days.\n");
    else if (answered)
        (void)fprintf(stderr, "Nothing was stored: %s.\n",
                      c->loaded.config->state_dir ? "the file could not be written"
                                                  : "the configuration has no state_dir");
    if (c->asker.stopped)
        return EXIT_STOPPED;
    return silent ? EXIT_NO_ANSWER : findings ? EXIT_FINDINGS : 0;
}

static void tell_json(const struct command *c)
{
    struct buf out;
    buf_init(&out, JSON_MAX);
    probe_json(c->probes, c->count, c->dry, &out);
    (void)printf("%.*s\n", SPAN_FMT(buf_span(&out)));
    buf_deinit(&out);
}

static int ask_all(struct command *c)
{
    int code = c->all ? choose_all(c) : choose_one(c);
    if (code == 0)
        code = set_budgets(c);
    if (code != 0)
        return code;
    for (size_t i = 0; i < c->count; i++)
        tell_price(&c->probes[i], c->dry && !c->json ? stdout : stderr);
    if (!c->dry) {
        if (!may_begin(c))
            return EXIT_USAGE;
        run(c);
        code = judge(c);
    }
    if (c->json)
        tell_json(c);
    return code;
}

/* ---- beginning and end ---- */

static int with_targets(struct command *c)
{
    char why[256] = "";
    int code = EXIT_CONFIG;
    c->asker.loop = loop_new();
    c->asker.pool = pool_new(c->asker.loop, &pool_limits_default);
    service_init(&c->service, loop_wall(c->asker.loop));
    if (service_adopt(&c->service, config_ref(c->loaded.config), why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare probe: %s\n", why);
    } else {
        c->routing = routing_new(service_snapshot(&c->service), c->asker.loop, c->asker.pool);
        loop_on_signal(c->asker.loop, SIGINT, on_signal, c);
        loop_on_signal(c->asker.loop, SIGTERM, on_signal, c);
        code = ask_all(c);
        routing_unref(c->routing);
    }
    pool_free(c->asker.pool);
    service_deinit(&c->service);
    loop_free(c->asker.loop);
    return code;
}

static int with_configuration(struct command *c)
{
    struct load_flags flags = {.config = c->config};
    const char *why = "";
    int code = EXIT_CONFIG;
    if (load_config(&flags, true, true, &c->loaded, &why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare probe: %s\n",
                      why[0] ? why
                             : "the configuration has errors; hotspare config check tells them");
    } else if (facts_load(&c->facts, facts_folder(NULL, &c->arena), &why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare probe: %s\n", why);
    } else {
        code = with_targets(c);
    }
    facts_deinit(&c->facts);
    loaded_deinit(&c->loaded);
    return code;
}

static int read_options(int argc, char **argv, struct command *c)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'A'},         {"config", required_argument, NULL, 'c'},
        {"dry-run", no_argument, NULL, 'd'},     {"spend-cap", required_argument, NULL, 's'},
        {"price", required_argument, NULL, 'p'}, {"context", required_argument, NULL, 'x'},
        {"yes", no_argument, NULL, 'y'},         {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    int o;
    while ((o = getopt_long(argc, argv, "c:hy", options, NULL)) != -1) {
        c->all |= o == 'A';
        c->dry |= o == 'd';
        c->yes |= o == 'y';
        c->json |= o == 'j';
        c->config = o == 'c' ? optarg : c->config;
        c->cap = o == 's' ? optarg : c->cap;
        c->price = o == 'p' ? optarg : c->price;
        if (o == 'h' || o == '?')
            return usage(o == 'h' ? stdout : stderr, o == 'h' ? -1 : EXIT_USAGE);
        if (o == 'x' && (span_u64(span_from(optarg), &c->context) != ERR_OK || c->context < 100 ||
                         c->context > CONTEXT_MOST))
            return refuse("--context is no number of tokens", "100 to 200000");
    }
    c->what = optind < argc ? argv[optind] : NULL;
    if (c->all == (c->what != NULL) || optind + 1 < argc)
        return refuse("whom shall I ask?", "hotspare probe TARGET[/MODEL], or --all");
    return 0;
}

int probe_main(int argc, char **argv)
{
    struct command *c = mem_new(struct command);
    *c = (struct command){.context = CONTEXT_DEFAULT};
    arena_init(&c->arena, (size_t)16 << 20);
    int code = read_options(argc, argv, c);
    if (code == 0) {
        c->probes = mem_zalloc(PROBES_MAX * sizeof *c->probes);
        c->budgets = mem_zalloc(PROBES_MAX * sizeof *c->budgets);
        code = with_configuration(c);
        mem_free(c->probes);
        mem_free(c->budgets);
    }
    arena_deinit(&c->arena);
    mem_free(c);
    return code < 0 ? 0 : code;
}
