/* Presets of what each kind of target, and each model on it, can carry.
 *
 * A model name is brought to one spelling (lower case; '.', '@', ':' and '_' become '-'; what
 * stands before the family's word is cut), then the longest matching prefix of the kind's table
 * wins. A model of a known provider that no row names is taken to be newer than this file and gets
 * that provider's most careful row: a feature not used costs less than a 400. Servers of open
 * models have one row per kind and two guesses by name.
 *
 * Dates: rows are as of October 2026; contexts and output limits are from the providers' model and
 * price pages of 2026-09-23. `source` says which, and is shown to people (docs/capabilities.md).
 * Contexts of open models are what their makers state on the model cards of 2026-10: a server may
 * be given less, and then says so itself, but not more. Those usually stretched with YaRN (Qwen 2.5
 * and 3) are left out: unknown is not checked. */
#include "dialect/capability.h"

#include "base/span.h"

#include <stdio.h>

/* ---- words ---- */

static const char *const kind_names[TARGET_KIND_COUNT] = {
    [TARGET_ANTHROPIC] = "anthropic",
    [TARGET_OPENAI] = "openai",
    [TARGET_OPENAI_COMPATIBLE] = "openai-compatible",
    [TARGET_VLLM] = "vllm",
    [TARGET_LLAMA_CPP] = "llama.cpp",
    [TARGET_OLLAMA] = "ollama",
    [TARGET_MISTRAL] = "mistral",
    [TARGET_AZURE_OPENAI] = "azure-openai",
    [TARGET_GEMINI] = "gemini",
    [TARGET_BEDROCK] = "bedrock",
    [TARGET_VERTEX] = "vertex",
    [TARGET_STANDIN] = "standin",
    [TARGET_COMMAND] = "command",
};

const char *target_kind_name(enum target_kind k)
{
    assert(k < TARGET_KIND_COUNT);
    return kind_names[k];
}

enum err target_kind_parse(struct span word, enum target_kind *out)
{
    for (enum target_kind k = 0; k < TARGET_KIND_COUNT; k++) {
        if (span_is(word, kind_names[k])) {
            *out = k;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

static const char *const effort_names[EFFORT_COUNT] = {
    [EFFORT_NONE] = "none",     [EFFORT_MINIMAL] = "minimal", [EFFORT_LOW] = "low",
    [EFFORT_MEDIUM] = "medium", [EFFORT_HIGH] = "high",       [EFFORT_XHIGH] = "xhigh",
    [EFFORT_MAX] = "max",
};

const char *effort_name(enum effort e)
{
    assert(e < EFFORT_COUNT);
    return effort_names[e];
}

enum err effort_parse(struct span word, enum effort *out)
{
    for (enum effort e = 0; e < EFFORT_COUNT; e++) {
        if (span_is(word, effort_names[e])) {
            *out = e;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

enum effort effort_fit(uint32_t efforts, enum effort wanted)
{
    assert(efforts != 0 && efforts < BIT(EFFORT_COUNT) && wanted < EFFORT_COUNT);
    for (enum effort e = wanted + 1; e-- > 0;)
        if (efforts & BIT(e))
            return e;
    enum effort e = wanted;
    while (!(efforts & BIT(e)))
        e++;
    return e;
}

/* ---- names ---- */

struct name {
    char at[96];
    size_t len;
};

static struct name normal_name(struct span model)
{
    struct name n = {.len = 0};
    for (size_t i = 0; i < model.len && n.len < sizeof n.at; i++) {
        char c = model.at[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c == '.' || c == '@' || c == ':' || c == '_')
            c = '-';
        n.at[n.len++] = c;
    }
    return n;
}

static bool name_holds(const struct name *n, const char *part)
{
    return span_search((struct span){n->at, n->len}, span_from(part)) >= 0;
}

/* The prefix ends the name or a word of it: "opus-4" is no prefix of "opus-45". */
static bool name_starts(struct span name, const char *prefix)
{
    size_t len = strlen(prefix);
    return span_starts(name, span_from(prefix)) &&
           (name.len == len || len == 0 || name.at[len] == '-');
}

/* ---- Claude ---- */

#define LOW_HIGH (BIT(EFFORT_LOW) | BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH))
#define LOW_HIGH_MAX (LOW_HIGH | BIT(EFFORT_MAX))
#define LOW_MAX (LOW_HIGH_MAX | BIT(EFFORT_XHIGH))

enum claude_flag {
    PREFILL = 1,      /* continues a last assistant message */
    BUDGET = 2,       /* thinking enabled with budget_tokens */
    ADAPTIVE = 4,     /* thinking adaptive */
    OFF = 8,          /* thinking disabled is accepted */
    FORCED = 16,      /* tool_choice any / tool is accepted (never while thinking) */
    SAMPLING = 32,    /* temperature, top_p, top_k */
    BOTH = 64,        /* temperature and top_p together */
    SCHEMA = 128,     /* output_config.format, strict tools */
    MID_SYSTEM = 256, /* role system inside messages */
    PDF = 512,
};
#define OLD (PREFILL | FORCED | SAMPLING)
#define NEW (ADAPTIVE | SCHEMA | PDF)

static const struct claude_row {
    const char *prefix; /* behind "claude-" */
    uint32_t flags, efforts;
    int64_t max_output, context;
} claude_rows[] = {
    {"2", OLD | BOTH, 0, 4096, 100000},
    {"3", OLD | BOTH, 0, 4096, 200000},
    {"3-5", OLD | BOTH | PDF, 0, 8192, 200000},
    {"3-7", OLD | BOTH | PDF | BUDGET | OFF, 0, 64000, 200000},
    {"opus-4", OLD | BOTH | PDF | BUDGET | OFF, 0, 32000, 200000},
    {"sonnet-4", OLD | BOTH | PDF | BUDGET | OFF, 0, 64000, 200000},
    {"opus-4-1", OLD | PDF | BUDGET | OFF | SCHEMA, 0, 32000, 200000},
    {"haiku-4-5", OLD | PDF | BUDGET | OFF | SCHEMA, 0, 64000, 200000},
    {"sonnet-4-5", OLD | PDF | BUDGET | OFF | SCHEMA, 0, 64000, 200000},
    {"opus-4-5", OLD | PDF | BUDGET | OFF | SCHEMA, LOW_HIGH, 64000, 200000},
    {"opus-4-6", NEW | BUDGET | OFF | FORCED | SAMPLING, LOW_HIGH_MAX, 128000, 0},
    {"sonnet-4-6", NEW | BUDGET | OFF | FORCED | SAMPLING, LOW_HIGH_MAX, 64000, 1000000},
    {"opus-4-7", NEW | OFF | FORCED, LOW_MAX, 128000, 0},
    {"opus-4-8", NEW | OFF | FORCED, LOW_MAX, 128000, 1000000},
    {"mythos-preview", NEW | FORCED, LOW_MAX, 128000, 0},
    {"sonnet-5", NEW | OFF | FORCED, LOW_MAX, 128000, 1000000},
    {"opus-5", NEW | OFF | FORCED | MID_SYSTEM, LOW_MAX, 128000, 1000000},
    {"fable-5", NEW | MID_SYSTEM, LOW_MAX, 128000, 1000000},
    {"mythos-5", NEW | MID_SYSTEM, LOW_MAX, 128000, 1000000},
    {"opus-5-5", NEW | MID_SYSTEM, LOW_MAX, 128000, 1000000},
    {"sonnet-5-5", NEW | OFF | MID_SYSTEM, LOW_MAX, 128000, 1000000},
    {"haiku-5-5", NEW | OFF | FORCED | MID_SYSTEM, LOW_MAX, 128000, 1000000},
    {"", NEW, LOW_MAX, 0, 0}, /* newer than this table */
};
/* A server that imitates the format with a model of its own. */
static const struct claude_row imitation = {"", FORCED | SAMPLING | BOTH | BUDGET | OFF, 0, 0, 0};

static const struct claude_row *claude_row(const struct name *n)
{
    ssize_t at = span_search((struct span){n->at, n->len}, SPAN("claude-"));
    if (at < 0)
        return &imitation;
    struct span rest = span_drop((struct span){n->at, n->len}, (size_t)at + 7);
    const struct claude_row *best = NULL;
    for (size_t i = 0; i < ARRAY_LEN(claude_rows); i++)
        if (name_starts(rest, claude_rows[i].prefix) &&
            (!best || strlen(claude_rows[i].prefix) > strlen(best->prefix)))
            best = &claude_rows[i];
    assert(best); /* the empty prefix fits everything */
    return best;
}

static struct capability claude_preset(const struct name *n)
{
    const struct claude_row *row = claude_row(n);
    uint32_t f = row->flags;
    bool old = row->prefix[0] == '2' || row->prefix[0] == '3', claude = row != &imitation;
    return (struct capability){
        .sampling = f & SAMPLING,
        .top_k = f & SAMPLING,
        .top_p_with_temperature = f & BOTH,
        .stop = true,
        .images = true,
        .image_urls = true,
        .file_ids = true,
        .pdf = f & PDF,
        .json_schema = f & SCHEMA,
        .json_strict = f & SCHEMA,
        .parallel_flag = true,
        .tool_name_max = 128,
        /* Of the newest recordings in the corpus, where there are several: 292 and 307; 500 to 538,
         * or 578 to 596 where a tool must be called; 28 to 33; 122 to 141. */
        .tool_prompt = old ? 300 : 500,
        .forced_tool_prompt = old ? 300 : 590,
        .thinking_prompt = claude && (f & BUDGET) ? 29 : 0, /* 0 to 5 where it is adaptive only */
        .format_prompt = claude && (f & SCHEMA) ? 125 : 0,
        .single_digits = claude && (f & ADAPTIVE) && !(f & BUDGET), /* from Opus 4.7 on */
        .claude_prompt = claude,
        .thinking_adaptive = f & ADAPTIVE,
        .thinking_budget = f & BUDGET,
        .thinking_off = f & OFF,
        .forced_tool = f & FORCED,
        .effort = row->efforts != 0,
        .efforts = row->efforts,
        .mid_system = f & MID_SYSTEM,
        .prefill = f & PREFILL,
        .max_output = row->max_output,
        .context = row->context,
        .source = row == &imitation ? "servers that imitate Claude's API, 2026-10"
                                    : "Anthropic: API reference, models overview, 2026-10",
    };
}

/* Claude behind another cloud's door (protocols.md 3.7). Neither fetches an image's URL nor knows
 * the files of Claude's own API. */
static struct capability cloud_preset(const struct name *n, const char *version, bool by_path)
{
    struct capability c = claude_preset(n);
    c.image_urls = c.file_ids = false;
    c.body_version = version;
    c.stream_by_path = by_path;
    c.source = "Anthropic: Claude on Amazon Bedrock and on Vertex AI, 2026-10";
    return c;
}

/* ---- OpenAI ---- */

enum openai_flag {
    REASONS = 1, /* sampling and stop refused, reasoning_effort accepted */
    VISION = 2,  /* images and files */
    STRUCTURED = 4,
    STOPS = 8, /* takes stop although it reasons */
    HEARS = 16,
    RESPONSES = 32, /* not answered by /chat/completions */
    TOOLS = 128,    /* ... with tools, unless effort is none */
    TEXT = 64,      /* legacy: answered by /completions alone (OpenAI, "Deprecations") */
};
/* Sources of RESPONSES, read 2026-11-26. OpenAI's API description (the Python SDK's ResponsesModel)
 * names o1-pro, o3-pro, both deep-research, gpt-5-pro, gpt-5-codex, gpt-5.1-codex-max and
 * gpt-5.5-pro for /responses alone. Of the others public issues tell: codex-mini
 * (BeehiveInnovations/ pal-mcp-server 140), gpt-5.1-codex (langgenius/dify-plugin-sdks 264),
 * gpt-5.3-codex (egoist/ chatwise-releases 1256); what gateways document: gpt-5.1-codex-mini,
 * gpt-5.2-codex (Neon), gpt-5.2-pro (CometAPI); and one client's release note: gpt-5.4-pro. TOOLS:
 * gpt-5.4 (openai/openai-openapi 541), gpt-5.4-mini (dotnet/extensions 7407; without effort they
 * pass: openclaw/openclaw 76727), gpt-5.6, which reasons unless told not to (BerriAI/litellm
 * 34569). Presumed of gpt-5.4-nano, gpt-5.5 and what comes after. */
#define NONE_HIGH (BIT(EFFORT_NONE) | LOW_HIGH)
#define NONE_XHIGH (NONE_HIGH | BIT(EFFORT_XHIGH))
#define MODERN (REASONS | VISION | STRUCTURED)

static const struct openai_row {
    const char *prefix;
    uint32_t flags, efforts;
    int64_t max_output, context;
} openai_rows[] = {
    {"gpt-3-5", 0, 0, 4096, 16385},
    {"gpt-3-5-turbo-instruct", TEXT, 0, 4096, 4096},
    {"davinci-002", TEXT, 0, 16384, 16384},
    {"babbage-002", TEXT, 0, 16384, 16384},
    {"gpt-4", 0, 0, 4096, 8192},
    {"gpt-4-turbo", VISION, 0, 4096, 128000},
    {"gpt-4o", VISION | STRUCTURED, 0, 16384, 128000},
    {"chatgpt-4o", VISION, 0, 16384, 128000},
    {"gpt-4o-audio", HEARS | STRUCTURED, 0, 16384, 128000},
    {"gpt-audio", HEARS, 0, 16384, 128000},
    {"gpt-4-1", VISION | STRUCTURED, 0, 32768, 1000000},
    {"o1", MODERN | STOPS, LOW_HIGH, 100000, 200000},
    {"o3", MODERN, LOW_HIGH, 100000, 200000},
    {"o4", MODERN, LOW_HIGH, 100000, 200000},
    {"o1-pro", MODERN | STOPS | RESPONSES, LOW_HIGH, 100000, 200000},
    {"o3-pro", MODERN | RESPONSES, LOW_HIGH, 100000, 200000},
    {"o3-deep-research", MODERN | RESPONSES, BIT(EFFORT_MEDIUM), 100000, 200000},
    {"o4-mini-deep-research", MODERN | RESPONSES, BIT(EFFORT_MEDIUM), 100000, 200000},
    {"codex-mini", MODERN | RESPONSES, LOW_HIGH, 100000, 200000},
    {"gpt-5-2-codex", MODERN | RESPONSES, LOW_HIGH | BIT(EFFORT_XHIGH), 128000, 400000},
    {"gpt-5-3-codex", MODERN | RESPONSES, LOW_HIGH | BIT(EFFORT_XHIGH), 128000, 400000},
    {"gpt-5", MODERN, BIT(EFFORT_MINIMAL) | LOW_HIGH, 128000, 400000},
    {"gpt-5-pro", MODERN | RESPONSES, BIT(EFFORT_HIGH), 128000, 400000},
    {"gpt-5-codex", MODERN | RESPONSES, LOW_HIGH, 128000, 400000},
    {"gpt-5-chat", VISION | STRUCTURED, 0, 16384, 128000},
    {"gpt-5-1", MODERN, NONE_HIGH, 128000, 400000},
    {"gpt-5-1-codex", MODERN | RESPONSES, LOW_HIGH, 128000, 400000},
    {"gpt-5-1-chat", MODERN, BIT(EFFORT_MEDIUM), 16384, 128000},
    {"gpt-5-2", MODERN, NONE_XHIGH, 128000, 400000},
    {"gpt-5-2-pro", MODERN | RESPONSES, BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH) | BIT(EFFORT_XHIGH),
     128000, 400000},
    {"gpt-5-2-chat", MODERN, BIT(EFFORT_MEDIUM), 16384, 128000},
    {"gpt-5-3", MODERN, NONE_XHIGH, 128000, 400000},
    {"gpt-5-4", MODERN | TOOLS, NONE_XHIGH, 128000, 1050000},
    {"gpt-5-4-mini", MODERN | TOOLS, NONE_XHIGH, 128000, 400000},
    {"gpt-5-4-nano", MODERN | TOOLS, NONE_XHIGH, 128000, 400000},
    {"gpt-5-4-pro", MODERN | RESPONSES, BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH) | BIT(EFFORT_XHIGH),
     128000, 1050000},
    {"gpt-5-5", MODERN | TOOLS, NONE_XHIGH, 128000, 1000000},
    {"gpt-5-5-pro", MODERN | RESPONSES, BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH) | BIT(EFFORT_XHIGH),
     128000, 1000000},
    {"gpt-5-6", MODERN | TOOLS, NONE_XHIGH, 128000, 1050000},
    {"gpt-6", MODERN | TOOLS, NONE_XHIGH, 128000, 1050000},
    {"", MODERN | TOOLS, LOW_HIGH, 0, 0}, /* newer than this table */
};

/* From GPT-5 on ("Function calling", custom tools; 2026-10); its chat models take no tools at all.
 */
static bool takes_free_text(struct span model, const struct openai_row *row)
{
    bool newer = row->prefix[0] == '\0' || name_starts(model, "gpt-6");
    return newer || (name_starts(model, "gpt-5") && row->flags & REASONS);
}

static struct capability openai_preset(const struct name *n)
{
    struct span rest = {n->at, n->len};
    for (ssize_t slash; (slash = span_find(rest, '/')) >= 0;)
        rest = span_drop(rest, (size_t)slash + 1);
    const struct openai_row *row = NULL;
    for (size_t i = 0; i < ARRAY_LEN(openai_rows); i++)
        if (name_starts(rest, openai_rows[i].prefix) &&
            (!row || strlen(openai_rows[i].prefix) > strlen(row->prefix)))
            row = &openai_rows[i];
    assert(row); /* the empty prefix fits everything */
    bool reasons = row->flags & REASONS;
    return (struct capability){
        .responses_only = row->flags & RESPONSES,
        .tools_by_responses = row->flags & TOOLS,
        .text_completions = row->flags & TEXT,
        .max_completion_tokens = true,
        .developer_role = reasons,
        .sampling = !reasons,
        .top_p_with_temperature = true,
        .stop = !reasons || (row->flags & STOPS),
        .stop_max = 4,
        .reasoning_effort = reasons,
        .efforts = row->efforts,
        .images = row->flags & VISION,
        .image_urls = row->flags & VISION,
        .pdf = row->flags & VISION,
        .file_ids = true,
        .audio = row->flags & HEARS,
        .json_schema = row->flags & STRUCTURED,
        .json_strict = row->flags & STRUCTURED,
        .custom_tools = takes_free_text(rest, row),
        .parallel_flag = true,
        .stream_options = true,
        .safety_identifier = true,
        .tool_name_max = 64,
        .forced_tool = true,
        .forced_tool_with_thinking = true,
        .mid_system = true,
        .max_output = row->max_output,
        .context = row->context,
        .source = "OpenAI: API reference 2026-11-26, model pages 2026-09-23",
    };
}

/* The same models behind Azure's door, by a deployment's name, which need not be the model's. Files
 * are another store's, and a PDF in a chat is refused. */
static struct capability azure_preset(const struct name *n)
{
    struct capability c = openai_preset(n);
    c.file_ids = c.pdf = c.safety_identifier = false;
    c.source = "Microsoft: Azure OpenAI REST API 2026-10; OpenAI: model pages 2026-09-23";
    return c;
}

/* ---- Gemini ---- */

enum gemini_flag {
    G_BUDGET = 1, /* thinkingBudget */
    G_OFF = 2,    /* ... of 0 */
    G_SIGNED = 4, /* Gemini 3: signed calls, a format beside tools, thinkingLevel */
};

/* Google, "Gemini thinking" and "Thought signatures", 2026-10; limits: prices.tsv. */
static const struct gemini_row {
    const char *prefix; /* behind "gemini-" */
    uint32_t flags, efforts;
    int64_t max_output, context;
} gemini_rows[] = {
    {"", G_SIGNED, BIT(EFFORT_LOW) | BIT(EFFORT_HIGH), 65536, 1000000},
    {"3-pro", G_SIGNED, BIT(EFFORT_LOW) | BIT(EFFORT_HIGH), 65536, 1048576},
    {"3-1-pro", G_SIGNED, LOW_HIGH, 65536, 1048580},
    {"3-flash", G_SIGNED, BIT(EFFORT_MINIMAL) | LOW_HIGH, 65536, 1048576},
    {"3-1-flash-lite", G_SIGNED, BIT(EFFORT_MINIMAL) | LOW_HIGH, 65536, 1000000},
    {"3-5-flash", G_SIGNED, BIT(EFFORT_MINIMAL) | LOW_HIGH, 65536, 1000000},
    {"3-5-flash-lite", G_SIGNED, BIT(EFFORT_MINIMAL) | LOW_HIGH, 65536, 1000000},
    {"3-8-flash", G_SIGNED, BIT(EFFORT_MINIMAL) | LOW_HIGH, 65536, 1000000},
    {"2-5-pro", G_BUDGET, 0, 65536, 1048576},
    {"2-5-flash", G_BUDGET | G_OFF, 0, 65536, 1048576},
    {"2-5-flash-lite", G_BUDGET | G_OFF, 0, 65536, 1000000},
    {"2-0", 0, 0, 8192, 1048576},
};

static struct capability gemini_preset(const struct name *n)
{
    struct span name = {n->at, n->len};
    ssize_t at = span_search(name, SPAN("gemini-"));
    struct span rest = at < 0 ? span_take(name, 0) : span_drop(name, (size_t)at + 7);
    const struct gemini_row *row = NULL;
    for (size_t i = 0; i < ARRAY_LEN(gemini_rows); i++)
        if (name_starts(rest, gemini_rows[i].prefix) &&
            (!row || strlen(gemini_rows[i].prefix) > strlen(row->prefix)))
            row = &gemini_rows[i];
    assert(row); /* the empty prefix fits everything */
    return (struct capability){
        .sampling = true,
        .top_k = true,
        .top_p_with_temperature = true,
        .stop = true,
        .stop_max = 5,
        .reasoning_effort = row->efforts != 0,
        .efforts = row->efforts,
        .thinking_budget = row->flags & G_BUDGET,
        .thinking_off = row->flags & G_OFF,
        .signed_calls = row->flags & G_SIGNED,
        .json_with_tools = row->flags & G_SIGNED,
        .images = true,
        .pdf = true,
        .audio = true,
        .json_schema = true,
        .tool_name_max = 64,
        .forced_tool = true,
        .forced_tool_with_thinking = true,
        .max_output = row->max_output,
        .context = row->context,
        .source = "Google: Gemini API reference 2026-10, model pages 2026-09-23",
    };
}

/* ---- servers of open models ---- */

static bool looks_multimodal(const struct name *n)
{
    static const char *const parts[] = {"-vl",     "vision",    "pixtral",   "llava",  "internvl",
                                        "gemma-3", "gemma3",    "gemma-4",   "gemma4", "llama-4",
                                        "llama4",  "minicpm-v", "moondream", "omni",   "qwen3-5"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (name_holds(n, parts[i]))
            return true;
    return false;
}

static const struct open_row {
    const char *part; /* anywhere in the name; the longest counts */
    int64_t context;
} open_rows[] = {
    {"mistral-7b-instruct-v0-2", 32768},
    {"mistral-7b-instruct-v0-3", 32768},
    {"mixtral-8x7b", 32768},
    {"mixtral-8x22b", 65536},
    {"mistral-small-3-2", 131072},
    {"mistral-small-4", 262144},
    {"mistral-large-3", 294912},
    {"mistral-medium-3-5", 262144},
    {"devstral-2", 262144},
    {"devstral-small-2", 393216},
    {"llama-2-", 4096},
    {"llama-3-1-", 131072},
    {"llama-3-3-", 131072},
    {"llama3-3-", 131072},
    {"qwen3-30b-a3b-instruct-2507", 262144},
    {"qwen3-coder", 262144},
    {"qwen3-next", 262144},
    {"qwen3-5-", 262144},
    {"qwen3-6-", 262144},
    {"qwen3-8-", 262144},
    {"gpt-oss", 131072},
    {"gemma-3-27b", 131072},
    {"gemma-4-", 262144},
    {"deepseek-v3", 163840},
    {"deepseek-r1-0528", 163840},
    {"deepseek-v4", 1048576},
    {"kimi-k2", 262144},
    {"kimi-k3", 1048576},
    {"glm-4-5-air", 131072},
    {"glm-4-7", 202752},
    {"glm-5-1", 202752},
    {"glm-5-2", 1048576},
    {"minimax-m2-5", 196608},
    {"minimax-m2-7", 204800},
    {"minimax-m3", 1048576},
    {"command-a-03-2025", 262144},
    {"olmo-3-1-32b", 65536},
};

static int64_t open_context(const struct name *n)
{
    static const char *const stretched[] = {"yarn", "32k", "64k", "128k", "256k", "-1m"};
    for (size_t i = 0; i < ARRAY_LEN(stretched); i++)
        if (name_holds(n, stretched[i]))
            return 0;
    const struct open_row *best = NULL;
    for (size_t i = 0; i < ARRAY_LEN(open_rows); i++)
        if (name_holds(n, open_rows[i].part) &&
            (!best || strlen(open_rows[i].part) > strlen(best->part)))
            best = &open_rows[i];
    return best ? best->context : 0;
}

/* What servers of this family share; each kind changes what differs. */
static struct capability open_preset(const struct name *n)
{
    bool gpt_oss = name_holds(n, "gpt-oss");
    return (struct capability){
        .sampling = true,
        .top_p_with_temperature = true,
        .stop = true,
        .stop_max = 4,
        .reasoning_effort = gpt_oss,
        .efforts = gpt_oss ? LOW_HIGH : 0,
        .images = looks_multimodal(n),
        .json_schema = true,
        .parallel_flag = true,
        .stream_options = true,
        .tool_name_max = 64,
        .tool_prompt = 100, /* 0 to 650 in the recorded corpus, by the model's template */
        .forced_tool = true,
        .forced_tool_with_thinking = true,
        .context = open_context(n),
        .source = "what such servers share, model cards, 2026-10",
    };
}

static struct capability vllm_preset(const struct name *n)
{
    struct capability c = open_preset(n);
    c.top_k = c.prefill = c.reasoning_replay = c.text_completions = true;
    c.stop_max = 0;
    c.image_urls = c.images;
    c.source = "vLLM: OpenAI-compatible server; model cards, 2026-10";
    return c;
}

static struct capability llama_cpp_preset(const struct name *n)
{
    struct capability c = open_preset(n);
    c.top_k = c.prefill = c.reasoning_replay = c.text_completions = true;
    c.stop_max = 0;
    c.image_urls = c.images;
    c.source = "llama.cpp: server README; model cards, 2026-10";
    return c;
}

static struct capability ollama_preset(const struct name *n)
{
    struct capability c = open_preset(n);
    c.prefill = c.text_completions = true;
    c.parallel_flag = false;
    c.context = 0;        /* what fits its card, from 4096 on: only its operator knows */
    c.cuts_prompt = true; /* protocols.md 3.4 */
    c.source = "Ollama: OpenAI compatibility, 2026-10";
    return c;
}

/* As Mistral serves them: prices.tsv. */
static const struct mistral_row {
    const char *prefix;
    int64_t context, max_output;
} mistral_rows[] = {
    {"mistral-large-2512", 262144, 262144}, {"mistral-medium-3-5", 262144, 262144},
    {"mistral-small-2603", 262144, 256000}, {"devstral-2512", 262144, 262144},
    {"codestral-2508", 256000, 4096},       {"ministral-14b-2512", 262144, 0},
    {"ministral-8b-2512", 262144, 0},
};

static struct capability mistral_preset(const struct name *n)
{
    struct capability c = open_preset(n);
    bool text_only = name_holds(n, "codestral") || name_holds(n, "devstral") ||
                     name_holds(n, "open-mistral") || name_holds(n, "open-mixtral");
    c.images = c.image_urls = !text_only;
    c.stop_max = 0;
    c.tool_prompt = 0;
    c.json_strict = c.tool_id_nine = c.prefill = true;
    for (size_t i = 0; i < ARRAY_LEN(mistral_rows); i++) {
        if (!name_starts((struct span){n->at, n->len}, mistral_rows[i].prefix))
            continue;
        c.context = mistral_rows[i].context;
        c.max_output = mistral_rows[i].max_output;
    }
    c.stream_options = false; /* usage comes unasked, and unknown fields are refused */
    c.source = "Mistral: API reference, model cards, 2026-10; model pages 2026-09-23";
    return c;
}

/* ---- Bedrock ---- */

/* Does a profile's ARN say what is behind it? */
static bool is_opaque_arn(const struct name *n)
{
    return name_starts((struct span){n->at, n->len}, "arn-aws") &&
           (name_holds(n, "application-inference-profile") ||
            !(name_holds(n, "inference-profile/") || name_holds(n, "foundation-model/") ||
              name_holds(n, "-sagemaker-")));
}

/* Contexts: prices.tsv. max_output: as remembered of AWS's pages (Nova's user guide; Meta's and
 * Mistral's inference parameters), not looked up: a model may take more than is asked for here. */
static const struct bedrock_row {
    const char *part; /* anywhere in the name; the first that matches counts */
    int64_t context, max_output;
} bedrock_rows[] = {
    {"nova-2-lite", 1000000, 64000}, {"nova-premier", 1000000, 10000},
    {"nova-pro", 300000, 10000},     {"nova-lite", 300000, 10000},
    {"nova-micro", 128000, 10000},   {"llama4", 0, 8192},
    {"llama3-", 128000, 2048},       {"mistral-7b", 32000, 8192},
    {"mixtral", 32000, 4096},        {"mistral-large-24", 128000, 8192},
    {"deepseek-r1", 128000, 32768},  {"gpt-oss", 128000, 0},
};

static void take_bedrock_row(struct capability *c, const struct name *n)
{
    for (size_t i = 0; i < ARRAY_LEN(bedrock_rows); i++) {
        if (!name_holds(n, bedrock_rows[i].part))
            continue;
        c->context = bedrock_rows[i].context;
        c->max_output = bedrock_rows[i].max_output;
        return;
    }
}

/* Models of Bedrock that are not Claude. A forced tool is known of Nova and gpt-oss, a schema of
 * Mistral Large 3 (both recorded); that Llama streams no tool calls is in two public issues. Nova's
 * top_k and reasoningConfig are remembered of AWS's pages, not looked up. */
static struct capability converse_preset(const struct name *n)
{
    struct capability c = open_preset(n);
    bool nova = name_holds(n, "nova"), nova_2 = name_holds(n, "nova-2");
    bool gpt_oss = name_holds(n, "gpt-oss");
    c.converse = true;
    c.images =
        c.images || (nova && !name_holds(n, "nova-micro")) || name_holds(n, "mistral-large-3");
    c.pdf = nova && !name_holds(n, "nova-micro");
    c.rich_results = c.top_k = nova;
    c.stop = !gpt_oss; /* refused; the reader of the answer cuts */
    c.whole_tools = name_holds(n, "llama");
    c.forced_tool = nova || gpt_oss;
    c.json_schema = name_holds(n, "mistral-large-3");
    c.parallel_flag = c.stream_options = false;
    c.reasoning_config = nova_2;
    c.reasoning_effort = nova_2 || gpt_oss;
    if (nova_2) /* high would forbid a limit of tokens */
        c.efforts = BIT(EFFORT_NONE) | BIT(EFFORT_LOW) | BIT(EFFORT_MEDIUM);
    take_bedrock_row(&c, n);
    c.source = "recorded exchanges of Converse; limits and Nova's own fields from memory, 2026-11";
    return c;
}

static struct capability bedrock_preset(const struct name *n)
{
    if (name_holds(n, "claude") || is_opaque_arn(n))
        return cloud_preset(n, "bedrock-2023-05-31", true);
    return converse_preset(n);
}

static struct capability compatible_preset(const struct name *n)
{
    struct capability c = open_preset(n);
    c.images = c.image_urls = true; /* hosts of many models: let the host say no */
    c.mid_system = true;
    c.reasoning_replay = name_holds(n, "deepseek"); /* with tools it insists on it (3.5) */
    return c;
}

/* Everything: a stand-in plays any provider. */
static struct capability standin_preset(void)
{
    return (struct capability){
        .sampling = true,
        .top_k = true,
        .stop = true,
        .reasoning_effort = true,
        .efforts = BIT(EFFORT_COUNT) - 1,
        .reasoning_replay = true,
        .images = true,
        .pdf = true,
        .audio = true,
        .image_urls = true,
        .json_schema = true,
        .json_strict = true,
        .parallel_flag = true,
        .stream_options = true,
        .tool_name_max = 64,
        .thinking_adaptive = true,
        .thinking_budget = true,
        .thinking_off = true,
        .forced_tool = true,
        .forced_tool_with_thinking = true,
        .effort = true,
        .top_p_with_temperature = true,
        .mid_system = true,
        .prefill = true,
        .source = "our own",
    };
}

struct capability capability_preset(enum target_kind kind, struct span model)
{
    struct name n = normal_name(model);
    switch (kind) {
    case TARGET_ANTHROPIC:
        return claude_preset(&n);
    case TARGET_OPENAI:
        return openai_preset(&n);
    case TARGET_VLLM:
        return vllm_preset(&n);
    case TARGET_LLAMA_CPP:
        return llama_cpp_preset(&n);
    case TARGET_OLLAMA:
        return ollama_preset(&n);
    case TARGET_MISTRAL:
        return mistral_preset(&n);
    case TARGET_AZURE_OPENAI:
        return azure_preset(&n);
    case TARGET_GEMINI:
        return gemini_preset(&n);
    case TARGET_BEDROCK:
        return bedrock_preset(&n);
    case TARGET_VERTEX:
        return cloud_preset(&n, "vertex-2023-10-16", false);
    case TARGET_STANDIN:
        return standin_preset();
    case TARGET_OPENAI_COMPATIBLE:
    case TARGET_COMMAND:
    case TARGET_KIND_COUNT:
        break;
    }
    return compatible_preset(&n);
}

/* ---- hosts of many models ---- */

/* DeepSeek's own API: text only, no JSON Schema; past thinking must come back with tool calls. */
static void deepseek_host(struct capability *c, const struct name *n)
{
    c->images = c->image_urls = c->json_schema = false;
    c->reasoning_replay = true;
    c->stop_max = 16;
    if (name_holds(n, "v4")) {
        c->context = 1000000;
        c->max_output = 384000;
    }
}

/* Groq refuses reasoning in past messages, whoever's model it is, and goes on with a last
 * assistant message. */
static void groq_host(struct capability *c, const struct name *n)
{
    static const struct {
        const char *part;
        int64_t max_output;
    } rows[] = {
        {"gpt-oss", 65536},   {"llama-3-3-70b", 32768}, {"llama-3-1-8b", 131072},
        {"qwen3-32b", 40960}, {"kimi-k2", 0},
    };
    c->reasoning_replay = false;
    c->prefill = true;
    c->images = c->image_urls = looks_multimodal(n);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!name_holds(n, rows[i].part))
            continue;
        c->context = 131072;
        c->max_output = rows[i].max_output;
    }
}

/* OpenRouter reads a PDF itself where the model cannot, and knows top_k. Who goes on with a last
 * assistant message is each model's matter: it is asked for in words. */
static void openrouter_host(struct capability *c, const struct name *n)
{
    (void)n;
    c->pdf = c->top_k = true;
}

static bool is_below(struct span host, struct span domain)
{
    if (host.len < domain.len)
        return false;
    size_t before = host.len - domain.len;
    return span_ieq(span_drop(host, before), domain) && (before == 0 || host.at[before - 1] == '.');
}

bool capability_at_host(struct capability *c, struct span host, struct span model)
{
    static const struct {
        const char *domain;
        void (*know)(struct capability *c, const struct name *n);
        const char *source;
    } hosts[] = {
        {"deepseek.com", deepseek_host, "DeepSeek: API reference 2026-10, prices 2026-09-23"},
        {"groq.com", groq_host, "Groq: API reference 2026-10, model pages 2026-09-23"},
        {"openrouter.ai", openrouter_host, "OpenRouter: API reference, 2026-10"},
    };
    struct name n = normal_name(model);
    ssize_t colon = span_find(host, ':');
    host = colon < 0 ? host : span_take(host, (size_t)colon);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (!is_below(host, span_from(hosts[i].domain)))
            continue;
        hosts[i].know(c, &n);
        c->source = hosts[i].source;
        return true;
    }
    return false;
}

/* ---- the tables, for people ---- */

bool capability_known(enum target_kind kind, size_t i, char out[CAPABILITY_NAME_MAX])
{
    const char *stem = "", *name = NULL;
    switch (kind) {
    case TARGET_ANTHROPIC:
        stem = "claude-";
        name = i < ARRAY_LEN(claude_rows) ? claude_rows[i].prefix : NULL;
        break;
    case TARGET_OPENAI:
        name = i < ARRAY_LEN(openai_rows) ? openai_rows[i].prefix : NULL;
        break;
    case TARGET_GEMINI:
        stem = "gemini-";
        name = i < ARRAY_LEN(gemini_rows) ? gemini_rows[i].prefix : NULL;
        break;
    case TARGET_MISTRAL:
        name = i < ARRAY_LEN(mistral_rows) ? mistral_rows[i].prefix : NULL;
        break;
    case TARGET_VLLM:
        name = i < ARRAY_LEN(open_rows) ? open_rows[i].part : NULL;
        break;
    default:
        break;
    }
    if (name)
        (void)snprintf(out, CAPABILITY_NAME_MAX, "%s%s", stem, name);
    return name != NULL;
}
