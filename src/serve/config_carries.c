/* What the targets can carry, told to people: the page docs/capabilities.md, and the same facts for
 * the chains of one configuration. Both are what dialect/carries.h finds out and what the presets
 * of dialect/capability.h say; nothing is stated here. */
#include "serve/config_internal.h"

#include "base/span.h"
#include "dialect/carries.h"

#include <time.h>

struct column {
    const char *title;
    enum target_kind kind;
    const char *host, *model; /* host: of kind openai-compatible, or NULL */
};

static const struct column hosted[] = {
    {"anthropic", TARGET_ANTHROPIC, NULL, "claude-sonnet-4-6"},
    {"bedrock", TARGET_BEDROCK, NULL, "anthropic.claude-sonnet-4-6"},
    {"bedrock, Nova", TARGET_BEDROCK, NULL, "us.amazon.nova-pro-v1:0"},
    {"vertex", TARGET_VERTEX, NULL, "claude-sonnet-4-6"},
    {"openai", TARGET_OPENAI, NULL, "gpt-5.4"},
    {"azure-openai", TARGET_AZURE_OPENAI, NULL, "gpt-5.4"},
    {"gemini", TARGET_GEMINI, NULL, "gemini-3.5-flash"},
    {"mistral", TARGET_MISTRAL, NULL, "mistral-large-2512"},
};
static const struct column open_models[] = {
    {"DeepSeek", TARGET_OPENAI_COMPATIBLE, "api.deepseek.com", "deepseek-v4"},
    {"Groq", TARGET_OPENAI_COMPATIBLE, "api.groq.com", "openai/gpt-oss-120b"},
    {"OpenRouter", TARGET_OPENAI_COMPATIBLE, "openrouter.ai", "z-ai/glm-4.6"},
    {"openai-compatible", TARGET_OPENAI_COMPATIBLE, NULL, "some-model"},
    {"vllm", TARGET_VLLM, NULL, "qwen3-coder"},
    {"llama.cpp", TARGET_LLAMA_CPP, NULL, "qwen3-coder"},
    {"ollama", TARGET_OLLAMA, NULL, "qwen3-coder"},
};

static struct capability capability_of(const struct column *c)
{
    struct capability cap = capability_preset(c->kind, span_from(c->model));
    if (c->host)
        (void)capability_at_host(&cap, span_from(c->host), span_from(c->model));
    return cap;
}

/* ---- the page ---- */

static void put_cell(struct carried c, struct buf *out)
{
    static const char *const words[] = {[CARRY_AS_IS] = "as it is",
                                        [CARRY_CONVERTED] = "converted",
                                        [CARRY_DEGRADED] = "",
                                        [CARRY_REFUSED] = "**refused**"};
    char names[256];
    config_put(out, " %s", words[c.how]);
    if (c.how != CARRY_DEGRADED)
        return;
    (void)lossy_format(&c.lossy, names, sizeof names);
    config_put(out, "degraded: `%s`", names);
}

/* Bytes of chat clients pass to Ollama; others' requests are written in its own format. */
static bool is_ollamas_own(enum target_kind kind, const struct dialect *door)
{
    return kind == TARGET_OLLAMA && door != &dialect_openai_chat;
}

static const struct dialect *asked_of(const struct column *c, const struct dialect *door)
{
    if (is_ollamas_own(c->kind, door))
        return &dialect_ollama;
    return capability_of(c).converse ? &dialect_bedrock_converse
                                     : dialect_by_id(config_kind(c->kind)->dialect);
}

/* Those that speak the client's format need no column. */
static void put_speakers(const struct dialect *door, const struct column *columns, size_t count,
                         struct buf *out)
{
    const char *gap = "As it is: ";
    for (size_t k = 0; k < count; k++) {
        if (asked_of(&columns[k], door) != door)
            continue;
        config_put(out, "%s%s", gap, columns[k].title);
        gap = ", ";
    }
    if (gap[0] == ',')
        config_put(out, ".\n\n");
}

static void put_features(const struct dialect *door, const struct column *columns, size_t count,
                         struct buf *out)
{
    config_put(out, "| feature | field |");
    for (size_t k = 0; k < count; k++)
        if (asked_of(&columns[k], door) != door)
            config_put(out, " %s |", columns[k].title);
    config_put(out, "\n|---|---|");
    for (size_t k = 0; k < count; k++)
        if (asked_of(&columns[k], door) != door)
            config_put(out, "---|");
    for (size_t i = 0; i < carry_features(door); i++) {
        const struct carry_feature *f = carry_feature(door, i);
        config_put(out, "\n| %s | %s |", f->name, f->at_door);
        for (size_t k = 0; k < count; k++) {
            const struct dialect *to = asked_of(&columns[k], door);
            struct capability cap = capability_of(&columns[k]);
            if (to == door)
                continue;
            put_cell(carries(door, i, to, &cap), out);
            config_put(out, " |");
        }
    }
    config_put(out, "\n\n");
}

static void put_number(int64_t n, const char *otherwise, struct buf *out)
{
    if (n > 0)
        config_put(out, "%lld", (long long)n);
    else
        config_put(out, "%s", otherwise);
}

static void put_efforts(const struct capability *cap, struct buf *out)
{
    const char *gap = "";
    for (enum effort e = 0; e < EFFORT_COUNT; e++) {
        if (!(cap->efforts & BIT(e)))
            continue;
        config_put(out, "%s%s", gap, effort_name(e));
        gap = ", ";
    }
    if (!cap->efforts)
        config_put(out, "none");
}

static void put_stops(const struct capability *cap, struct buf *out)
{
    put_number(cap->stop ? cap->stop_max : 0, cap->stop ? "any" : "none", out);
}

static void put_limits(const struct column *columns, size_t count, struct buf *out)
{
    for (size_t k = 0; k < count; k++) {
        struct capability cap = capability_of(&columns[k]);
        config_put(out, "| %s | `%s` | ", columns[k].title, columns[k].model);
        put_number(cap.context, "not known", out);
        config_put(out, " | ");
        put_number(cap.max_output, "not known", out);
        config_put(out, " | ");
        put_stops(&cap, out);
        config_put(out, " | ");
        put_number(cap.tool_name_max, "any", out);
        config_put(out, " | ");
        put_efforts(&cap, out);
        config_put(out, " | %s |\n", cap.source);
    }
}

static void put_models(enum target_kind kind, struct buf *out)
{
    char name[CAPABILITY_NAME_MAX];
    for (size_t i = 0; capability_known(kind, i, name); i++) {
        struct capability cap = capability_preset(kind, span_from(name));
        bool open = kind == TARGET_VLLM;
        config_put(out, "| %s | ", open ? "open models" : target_kind_name(kind));
        if (name[0])
            config_put(out, "`%s`", name);
        if (!name[0] || (!open && name[strlen(name) - 1] == '-'))
            config_put(out, "%sothers", name[0] ? ", " : "");
        config_put(out, " | ");
        put_number(cap.context, "not known", out);
        config_put(out, " | ");
        put_number(cap.max_output, "not known", out);
        config_put(out, " | ");
        put_efforts(&cap, out);
        config_put(out, " |\n");
    }
}

static const char intro[] =
    "# What each target is given\n\n"
    "This page is printed by `hotspare config explain --capabilities`; a test fails when it is "
    "not.\n"
    "Nobody wrote its tables: each cell is a small request with this one feature, translated for "
    "the target and asked what became of it.\n"
    "`hotspare config explain --chain [FILE]` says the same of the chains of a configuration.\n\n"
    "- **as it is**: client and target speak the same format, and the bytes pass. The target "
    "decides.\n"
    "- **converted**: said in the target's words, nothing lost.\n"
    "- **degraded**: something is lost, and named in the header `x-hotspare-lossy` of the answer "
    "by the word given here.\n"
    "- **refused**: another target of the chain is asked; when there is none, the client is told "
    "which part it was. In older turns a picture or file gives way to a line that says so.\n\n"
    "The cells hold for the models under Limits; other models of the same kind differ as the last "
    "table says, and in what their provider states. A client of the Responses API is treated like "
    "one of chat completions; one of those finds its own format at all hosts and servers of open "
    "models.\n\n";

void config_capability_page(struct buf *out)
{
    static const struct {
        const char *title;
        const struct dialect *door;
        const struct column *columns;
        size_t count;
    } tables[] = {
        {"A client of Claude's API, at providers", &dialect_anthropic, hosted, ARRAY_LEN(hosted)},
        {"A client of Claude's API, at hosts and servers of open models", &dialect_anthropic,
         open_models, ARRAY_LEN(open_models)},
        {"A client of chat completions, at providers", &dialect_openai_chat, hosted,
         ARRAY_LEN(hosted)},
    };
    config_put(out, "%s", intro);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        config_put(out, "## %s\n\n", tables[i].title);
        put_speakers(tables[i].door, tables[i].columns, tables[i].count, out);
        put_features(tables[i].door, tables[i].columns, tables[i].count, out);
    }
    config_put(out, "## Limits\n\n| target | model | context | answer | stop sequences | tool name "
                    "| effort | known from |\n|---|---|---|---|---|---|---|---|\n");
    put_limits(hosted, ARRAY_LEN(hosted), out);
    put_limits(open_models, ARRAY_LEN(open_models), out);
    config_put(out,
               "\n## Models known by name\n\nDots are written as dashes; the longest beginning of "
               "a name counts, and for open models any part of it. Tokens.\n\n"
               "| kind | model | context | answer | effort |\n|---|---|---|---|---|\n");
    put_models(TARGET_ANTHROPIC, out);
    put_models(TARGET_OPENAI, out);
    put_models(TARGET_GEMINI, out);
    put_models(TARGET_MISTRAL, out);
    put_models(TARGET_VLLM, out);
}

/* ---- a configuration's chains ---- */

/* The format in which a client of Claude's API or of chat completions is passed on to this link. */
static const struct dialect *asked_in(const struct config *c, const struct config_link *link,
                                      const struct capability *cap, const struct dialect *door)
{
    const struct config_target *t = &c->targets[link->target];
    bool own = t->context > 0 || is_ollamas_own(t->kind, door); /* only there it can be set */
    if (t->kind == TARGET_OLLAMA && t->dialect == DIALECT_OPENAI_CHAT && own)
        return &dialect_ollama;
    if (config_link_kind(c, link) == TARGET_GEMINI)
        return &dialect_gemini;
    if (cap->converse)
        return &dialect_bedrock_converse;
    if (t->dialect != DIALECT_OPENAI_CHAT)
        return dialect_by_id(t->dialect);
    bool responses =
        t->api == CONFIG_API_RESPONSES || (t->api == CONFIG_API_AUTO && cap->responses_only);
    return responses ? &dialect_openai_responses : &dialect_openai_chat;
}

static void put_degraded(const struct carried *c, struct buf *out)
{
    char names[256];
    (void)lossy_format(&c->lossy, names, sizeof names);
    config_put(out, " (%s)", names);
}

static void put_those(const struct dialect *door, const struct dialect *to,
                      const struct capability *cap, enum carry_how how, struct buf *out)
{
    static const char *const words[] = {[CARRY_AS_IS] = "as it is",
                                        [CARRY_CONVERTED] = "converted",
                                        [CARRY_DEGRADED] = "degraded",
                                        [CARRY_REFUSED] = "refused"};
    bool any = false;
    for (size_t i = 0; i < carry_features(door); i++) {
        struct carried c = carries(door, i, to, cap);
        if (c.how != how)
            continue;
        if (any)
            config_put(out, ", ");
        else
            config_put(out, "       %s: ", words[how]);
        config_put(out, "%s", carry_feature(door, i)->name);
        if (how == CARRY_DEGRADED)
            put_degraded(&c, out);
        any = true;
    }
    if (any)
        config_put(out, "\n");
}

void config_probed_day(const struct probed *p, char text[CONFIG_DAY_BYTES])
{
    time_t at = (time_t)(p->at / USEC_PER_SEC);
    struct tm tm;
    if (!gmtime_r(&at, &tm) || strftime(text, CONFIG_DAY_BYTES, "%Y-%m-%d", &tm) == 0)
        (void)snprintf(text, CONFIG_DAY_BYTES, "?");
}

static void put_found(const struct probed *p, struct buf *out)
{
    char day[CONFIG_DAY_BYTES];
    const char *before = "";
    config_probed_day(p, day);
    config_put(out, "     probed %s: ", day);
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++) {
        if (!(p->known & BIT(f)))
            continue;
        config_put(out, "%s%s=%s", before, probed_fact_name(f), p->can & BIT(f) ? "yes" : "no");
        before = ", ";
    }
    config_put(out, "%s\n", before[0] ? "" : "nothing was proved");
}

static void explain_limits(const struct capability *cap, struct buf *out)
{
    put_number(cap->context, "not known", out);
    config_put(out, ", answer ");
    put_number(cap->max_output, "not known", out);
    config_put(out, ", stop sequences ");
    put_stops(cap, out);
    config_put(out, ", tool name ");
    put_number(cap->tool_name_max, "any", out);
    config_put(out, ", effort ");
    put_efforts(cap, out);
    config_put(out, "\n     known from: %s\n", cap->source);
}

static void explain_link(const struct config *c, const struct config_link *link, size_t place,
                         const char *match, const struct config_found *found, struct buf *out)
{
    const struct config_target *t = &c->targets[link->target];
    /* A pattern names no model; what it begins with often names the family. */
    struct capability cap = config_link_capability(c, link, span_from(match));
    const struct probed *p = probed_find(found->all, found->count, t->name, t->url_text,
                                         link->model ? link->model : match, found->wall);
    bool own = probed_all_messages(found->all, found->count, t->name, t->url_text, found->wall);
    struct capability presumed = cap;
    if (p)
        probed_apply(p, &cap);
    config_put(out, "  %zu. %s%s%s: kind %s; context ", place, t->name, link->model ? "/" : "",
               link->model ? link->model : "", target_kind_name(t->kind));
    explain_limits(&cap, out);
    if (p)
        put_found(p, out);
    static const struct {
        const struct dialect *door;
        const char *client;
    } doors[] = {{&dialect_anthropic, "Claude's API"}, {&dialect_openai_chat, "chat completions"}};
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        bool native = own && doors[i].door == &dialect_anthropic && t->context == 0;
        const struct dialect *to = native ? doors[i].door : asked_in(c, link, &cap, doors[i].door);
        config_put(out, "     a client of %s, asked in %s:%s\n", doors[i].client, to->name,
                   to != doors[i].door ? ""
                   : p && probed_narrows(p, &presumed, i == 0)
                       ? " as it is, but written anew where it asks for what a probe found missing"
                       : " all as it is");
        for (int how = CARRY_CONVERTED; how <= CARRY_REFUSED && to != doors[i].door; how++)
            put_those(doors[i].door, to, &cap, (enum carry_how)how, out);
    }
}

void config_explain_chains(const struct config *c, const struct config_found *found,
                           struct buf *out)
{
    for (size_t i = 0; i < c->route_count; i++) {
        const struct config_route *route = &c->routes[i];
        config_put(out, "%s%s\n", i ? "\n" : "", route->match);
        for (size_t k = 0; k < route->link_count; k++)
            explain_link(c, &route->links[k], k + 1, route->match, found, out);
    }
}
