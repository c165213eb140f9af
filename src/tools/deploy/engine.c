/* From a plan to an engine's command line: which repository holds the model in the planned format,
 * and every flag with its reason. A flag is here only when the plan depends on it; the rest is left
 * to the engine's defaults, which change for good reasons.
 * Sources: vLLM docs/deployment/docker.md and tool_calling.md, llama.cpp tools/server/README.md. */
#include "base/span.h"
#include "tools/deploy/deploy_internal.h"
#include <ctype.h>
#include <math.h>

#define GIB 1073741824.0

bool deploy_is_vllm(const struct deploy *d)
{
    return d->plan.d.engine == ENGINE_VLLM;
}

uint32_t deploy_cards(const struct deploy *d)
{
    uint32_t cards = d->plan.cards;
    return cards / d->hosts;
}

/* A disk or network file system of 1 GB/s, and a download of 125 MB/s when nothing is staged. */
double deploy_load_minutes(const struct deploy *d)
{
    return 10 + ceil(d->plan.m.weights.total / 125e6 / 60);
}

static void flag(struct deploy *d, const char *name, const char *value, const char *why)
{
    assert(d->flag_count < DEPLOY_FLAGS_MAX);
    d->flags[d->flag_count++] = (struct deploy_flag){name, value, why};
}

static const char *number(struct deploy *d, double n)
{
    return arena_printf(&d->plan.arena, "%.10g", n).at;
}

/* ---- the repository ---- */

static const char *const endings[] = {"-GPTQ-Int4", "-GPTQ-Int8", "-AWQ",  "-GPTQ",
                                      "-GGUF",      "-FP8",       "-NVFP4"};
static const struct {
    const char *quant, *in_name, *not_in_name;
} repo_names[] = {
    {"awq", "awq", NULL},    {"gptq-int8", "gptq-int8", NULL}, {"gptq", "gptq", "int8"},
    {"fp8", "fp8", "nvfp4"}, {"nvfp4", "nvfp4", NULL},         {"nvfp4", "-fp4", NULL},
    {"int8", "w8a8", NULL},  {"mxfp4", "mxfp4", NULL},
};

static bool name_is_of(struct span name, const struct deploy *d)
{
    const struct fact_quant *q = d->plan.d.quant;
    if (!deploy_is_vllm(d))
        return span_isearch(name, SPAN("gguf")) >= 0;
    for (size_t i = 0; i < ARRAY_LEN(repo_names); i++)
        if (strcmp(repo_names[i].quant, q->id) == 0 &&
            span_isearch(name, span_from(repo_names[i].in_name)) >= 0 &&
            !(repo_names[i].not_in_name &&
              span_isearch(name, span_from(repo_names[i].not_in_name)) >= 0))
            return true;
    return false;
}

static struct span without_ending(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        size_t n = strlen(endings[i]);
        if (name.len > n && span_ieq(span_drop(name, name.len - n), span_from(endings[i])))
            return span_take(name, name.len - n);
    }
    return name;
}

/* In Qwen's "*-AWQ" the star is the model's own name; such a name is a pattern nobody has looked
 * up. */
static struct span fill_star(struct span part, const struct fact_model *m, struct arena *a,
                             bool *pattern)
{
    ssize_t star = span_find(part, '*');
    struct span id = span_from(m->id);
    ssize_t slash = span_find(id, '/');
    *pattern = star >= 0;
    if (star < 0)
        return part;
    struct span own = span_drop(id, (size_t)(slash + 1));
    struct span before = span_take(part, (size_t)star), after = span_drop(part, (size_t)star + 1);
    return arena_printf(a, "%.*s%.*s%.*s", SPAN_FMT(before), SPAN_FMT(own), SPAN_FMT(after));
}

/* "Org/Name-AWQ;-GPTQ": a part that begins with a dash goes behind the name before it. */
static const char *known_repo(struct deploy *d)
{
    struct arena *a = &d->plan.arena;
    struct span rest = span_from(d->plan.d.model->quantized_as), part, base = SPAN_EMPTY;
    bool pattern = false;
    while (rest.len) {
        size_t n = 0;
        while (n < rest.len && rest.at[n] != ';' && rest.at[n] != ',')
            n++;
        part = span_trim(span_take(rest, n));
        rest = span_drop(rest, n + 1);
        if (part.len && part.at[0] == '-' && base.len)
            part = arena_printf(a, "%.*s%.*s", SPAN_FMT(base), SPAN_FMT(part));
        else if (span_find(part, '/') < 0 || span_find(part, ' ') >= 0)
            continue;
        else
            part = fill_star(part, d->plan.d.model, a, &pattern);
        base = without_ending(part);
        if (!name_is_of(part, d))
            continue;
        if (pattern)
            d->note = "the repository's name follows its owner's pattern and was not looked up: "
                      "check that it exists, or say --repo";
        return arena_cstr(a, part);
    }
    return NULL;
}

static const char *find_file(struct deploy *d)
{
    struct arena *a = &d->plan.arena;
    const char *path = d->plan.o.model;
    struct span s = span_from(path);
    bool gguf = span_ends(s, SPAN(".gguf"));
    if (!deploy_is_vllm(d) && !gguf)
        return "llama.cpp loads GGUF files: convert it, or name the GGUF file";
    if (deploy_is_vllm(d) && gguf)
        return "vLLM's core reads no GGUF since 0.24: deploy it with --engine llama.cpp";
    if (path[0] != '/')
        return "give the model's file by its whole path: the files are started from elsewhere";
    size_t n = s.len;
    while (n > 1 && path[n - 1] != '/')
        n--;
    d->folder = arena_cstr(a, span_take(s, n > 1 ? n - 1 : 1));
    d->model = gguf ? path : d->folder; /* vLLM takes the folder */
    d->file = true;
    return NULL;
}

static const char *find_repo(struct deploy *d)
{
    const struct plan *p = &d->plan;
    struct arena *a = &d->plan.arena;
    const char *repo = d->repo;
    if (!repo && p->d.model == &p->model)
        return find_file(d);
    if (!repo && p->native && deploy_is_vllm(d))
        repo = p->d.model->id;
    if (!repo)
        repo = known_repo(d);
    if (!repo && deploy_is_vllm(d) &&
        (strcmp(p->d.quant->id, "fp8") == 0 || strcmp(p->d.quant->id, p->d.model->dtype) == 0))
        repo = p->d.model->id;
    if (!repo)
        return arena_printf(a,
                            "no repository with %s in %s is known here: name one with --repo, or "
                            "give a file",
                            p->d.model->id, p->d.quant->id)
            .at;
    d->model = deploy_is_vllm(d) ? repo : arena_printf(a, "%s:%s", repo, p->d.quant->id).at;
    return NULL;
}

/* ---- flags ---- */

static void vllm_memory(struct deploy *d)
{
    const struct deployment *p = &d->plan.d;
    flag(d, "--max-model-len", number(d, p->context),
         "the plan's context; without it vLLM takes the model's most and may not start");
    flag(d, "--gpu-memory-utilization", number(d, p->utilization),
         "share of each card the plan counts with; said because the default has changed before");
    double usual = fmin(p->isl + p->osl, p->context);
    double most = floor(fmax(fmax(d->plan.m.tokens / usual, p->sequences), 1));
    flag(d, "--max-num-seqs", number(d, fmin(most, 256)),
         most > 256
             ? "answers at once; by the plan more fit, and each would be slower"
             : "conversations of the plan's usual length (--isl, --osl) that fit; when longer "
               "ones come some wait");
    if (strcmp(p->kv->id, "fp16") != 0)
        flag(d, "--kv-cache-dtype", p->kv->id, "the plan's cache format");
    if (p->eager)
        flag(d, "--enforce-eager", NULL, "no CUDA graphs: their memory is not in the plan");
    if (p->text_only)
        flag(d, "--language-model-only", NULL, "no vision tower: its memory is not in the plan");
    if (p->offload > 0)
        flag(d, "--cpu-offload-gb", number(d, ceil(p->offload / GIB)),
             "weights in host memory; slow");
}

static void vllm_split(struct deploy *d)
{
    const struct deployment *p = &d->plan.d;
    if (p->tp > 1)
        flag(d, "--tensor-parallel-size", number(d, p->tp), "cards that share every layer");
    if (p->pp > 1)
        flag(d, "--pipeline-parallel-size", number(d, p->pp),
             d->hosts > 1 ? "one stage a host: between hosts only activations travel"
                          : "stages of layers");
    if (d->ray)
        flag(d, "--distributed-executor-backend", "ray", "Ray starts the ranks on every host");
}

/* Mistral's own repositories hold Mistral's format, which vLLM takes by itself and which knows no
 * template; others' (quantized ones) have to be read as Transformers'. */
static void vllm_jinja(struct deploy *d, const char *name, bool hf_mode)
{
    if (hf_mode && strcmp(d->model, d->plan.d.model->id) == 0)
        return;
    if (hf_mode) {
        flag(d, "--tokenizer-mode", "hf", "the template counts for this tokenizer only");
        flag(d, "--config-format", "hf", "as Transformers keeps it");
        flag(d, "--load-format", "hf", "as Transformers keeps it");
    }
    d->chat_template = name;
    flag(d, "--chat-template", arena_printf(&d->plan.arena, DEPLOY_IMAGE_TEMPLATES "%s", name).at,
         "tool calls need this template of vLLM's folder examples");
}

static void vllm_template(struct deploy *d)
{
    struct arena *a = &d->plan.arena;
    struct span needs = span_from(d->plan.d.model->needs), first = needs;
    ssize_t blank = span_find(needs, ' ');
    if (blank >= 0)
        first = span_take(needs, (size_t)blank);
    if (span_starts(needs, SPAN("--")) && blank > 0)
        flag(d, arena_cstr(a, first), arena_cstr(a, span_drop(needs, (size_t)blank + 1)),
             "the model's maker wants it");
    else if (span_ends(first, SPAN(".jinja")))
        vllm_jinja(d, arena_cstr(a, first), span_search(needs, SPAN("hf mode")) >= 0);
}

static void vllm_tools(struct deploy *d)
{
    const struct fact_model *m = d->plan.d.model;
    if (fact_is_word(m->tool_parser)) {
        flag(d, "--enable-auto-tool-choice", NULL, "without it tool calls are refused");
        flag(d, "--tool-call-parser", m->tool_parser, "how this model writes tool calls");
        vllm_template(d);
    }
    if (fact_is_word(m->reasoning_parser))
        flag(d, "--reasoning-parser", m->reasoning_parser, "how this model marks its thinking");
}

static const char *vllm_flags(struct deploy *d)
{
    const struct plan *p = &d->plan;
    flag(d, NULL, d->model, "the model is vllm serve's first argument");
    flag(d, "--served-model-name", d->name, "the name requests and Hotspare's chain use");
    flag(d, "--port", "8000", "said, so that nothing depends on a default");
    vllm_split(d);
    vllm_memory(d);
    if (strcmp(p->d.quant->id, "fp8") == 0 && strcmp(d->model, p->d.model->id) == 0 &&
        strcmp(p->d.model->dtype ? p->d.model->dtype : "", "fp8") != 0)
        flag(d, "--quantization", "fp8", "the 16 bit model is made 8 bit while it loads");
    vllm_tools(d);
    return NULL;
}

static const char *llama_flags(struct deploy *d)
{
    const struct deployment *p = &d->plan.d;
    double slots = floor(fmax(p->sequences, 1));
    flag(d, d->file ? "-m" : "-hf", d->model, d->file ? "the model's file" : "repository:format");
    flag(d, "--alias", d->name, "the name requests and Hotspare's chain use");
    flag(d, "--port", number(d, d->port), "said: the default is moving from 8080 to 9931");
    flag(d, "-c", number(d, p->context * slots), "context of all slots together");
    flag(d, "-np", number(d, slots), "conversations at once");
    flag(d, "-ngl",
         number(d, p->gpu ? p->model->layers + 1 - fmin(p->cpu_layers, p->model->layers) : 0),
         p->gpu ? "layers on the card, the output layer among them"
                : "no card: all in host memory");
    if (p->cpu_moe)
        flag(d, "--n-cpu-moe", number(d, p->cpu_moe), "layers whose experts stay in host memory");
    flag(d, "--fit", "off", "the plan's numbers are obeyed, not shrunk in silence");
    flag(d, "--jinja", NULL, "tool calls need the model's own template");
    if (strcmp(p->kv->id, "fp16") != 0) {
        flag(d, "-fa", "on", "a quantized cache needs flash attention");
        flag(d, "-ctk", p->kv->id, "the plan's cache format");
        flag(d, "-ctv", p->kv->id, "the plan's cache format");
    }
    flag(d, "--metrics", NULL, "numbers for Prometheus; off by default");
    return NULL;
}

static bool newer(const char *wanted)
{
    double w[3] = {0}, h[3] = {0};
    struct span a = span_from(wanted), b = SPAN(DEPLOY_VLLM_VERSION), part;
    for (int i = 0; i < 3; i++) {
        if (span_next(&a, '.', &part) && span_double(part, &w[i]) != ERR_OK)
            return false;
        if (span_next(&b, '.', &part) && span_double(part, &h[i]) != ERR_OK)
            return false;
        if (w[i] > h[i] || w[i] < h[i])
            return w[i] > h[i];
    }
    return false;
}

const char *deploy_engine(struct deploy *d)
{
    d->note = "";
    d->port = deploy_is_vllm(d) ? 8000 : 8080;
    d->name = d->served ? d->served : d->plan.d.model->id;
    if (deploy_is_vllm(d) && newer(d->plan.d.model->min_vllm))
        return arena_printf(&d->plan.arena,
                            "it needs vLLM %s, and " DEPLOY_VLLM_VERSION
                            " is the newest these files are right for",
                            d->plan.d.model->min_vllm)
            .at;
    const char *why = find_repo(d);
    if (!why && !deploy_is_vllm(d) && d->hosts > 1)
        why = "llama.cpp is not deployed over several hosts: use vllm";
    return why ? why : deploy_is_vllm(d) ? vllm_flags(d) : llama_flags(d);
}
