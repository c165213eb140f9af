/* The flags are those of llama.cpp's tools/server/README.md, vLLM's `vllm serve --help` and
 * Ollama's docs/faq, as of 2026-08. Ports are always given: llama-server's default moves from 8080
 * to 9931. */
#include "serve/engine_command.h"

#include "base/span.h"

#define WORDS_MAX 80 /* our own at most 14, the user's at most CONFIG_LIST_MAX */
static_assert(WORDS_MAX > CONFIG_LIST_MAX, "room for every word and the end");

/* Names only of what engines need to find files, libraries and devices. */
static const char *const allowed[] = {"PATH",
                                      "HOME",
                                      "USER",
                                      "LOGNAME",
                                      "LANG",
                                      "LC_ALL",
                                      "LC_CTYPE",
                                      "TZ",
                                      "TMPDIR",
                                      "LD_LIBRARY_PATH",
                                      "XDG_CACHE_HOME",
                                      "XDG_DATA_HOME",
                                      "XDG_CONFIG_HOME",
                                      "CUDA_VISIBLE_DEVICES",
                                      "CUDA_DEVICE_ORDER",
                                      "CUDA_HOME",
                                      "NVIDIA_VISIBLE_DEVICES",
                                      "ROCR_VISIBLE_DEVICES",
                                      "HIP_VISIBLE_DEVICES",
                                      "HSA_OVERRIDE_GFX_VERSION",
                                      "GGML_VK_VISIBLE_DEVICES",
                                      "OMP_NUM_THREADS",
                                      "HF_HOME",
                                      "HF_HUB_CACHE",
                                      "HF_HUB_OFFLINE",
                                      "VLLM_CACHE_ROOT",
                                      "VLLM_LOGGING_LEVEL",
                                      "LLAMA_CACHE",
                                      "OLLAMA_MODELS",
                                      "OLLAMA_KEEP_ALIVE",
                                      "OLLAMA_NUM_PARALLEL",
                                      "OLLAMA_FLASH_ATTENTION",
                                      "OLLAMA_KV_CACHE_TYPE",
                                      "NO_COLOR"};

struct words {
    struct arena *arena;
    const char **at;
    size_t count;
};

static struct words words_new(struct arena *a)
{
    return (struct words){a, arena_array(a, const char *, WORDS_MAX), 0};
}

static void add(struct words *w, const char *word)
{
    assert(w->count + 1 < WORDS_MAX); /* the last one stays NULL */
    w->at[w->count++] = word;
}

static bool is_path(const char *model)
{
    return model &&
           (model[0] == '/' || model[0] == '.' || span_ends(span_from(model), SPAN(".gguf")));
}

const char *engine_model_file(const struct config_target *t)
{
    return t->kind == TARGET_LLAMA_CPP && is_path(t->model) ? t->model : NULL;
}

static const char *number(struct arena *a, uint32_t n)
{
    return arena_printf(a, "%u", n).at;
}

static const char *host(struct arena *a, const struct config_target *t)
{
    return arena_cstr(a, t->url.host);
}

/* One word with what stands in braces filled in. */
static const char *fill(struct arena *a, const struct config_target *t, const char *word)
{
    const struct {
        struct span name;
        const char *value;
    } known[] = {{SPAN("{model}"), t->model ? t->model : ""},
                 {SPAN("{host}"), host(a, t)},
                 {SPAN("{port}"), number(a, t->url.port)},
                 {SPAN("{context}"), number(a, t->context)}};
    struct span rest = span_from(word), out = SPAN_EMPTY;
    for (ssize_t at; (at = span_find(rest, '{')) >= 0;) {
        struct span tail = span_drop(rest, (size_t)at), put = span_take(tail, 1);
        size_t used = 1;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (span_starts(tail, known[i].name)) {
                put = span_from(known[i].value);
                used = known[i].name.len;
            }
        out = arena_printf(a, "%.*s%.*s%.*s", SPAN_FMT(out), SPAN_FMT(span_take(rest, (size_t)at)),
                           SPAN_FMT(put));
        rest = span_drop(tail, used);
    }
    return arena_printf(a, "%.*s%.*s", SPAN_FMT(out), SPAN_FMT(rest)).at;
}

static void add_address(struct words *w, const struct config_target *t)
{
    add(w, "--host");
    add(w, host(w->arena, t));
    add(w, "--port");
    add(w, number(w->arena, t->url.port));
}

static void add_llama(struct words *w, const struct config_target *t)
{
    add(w, "llama-server");
    add(w, is_path(t->model) ? "-m" : "-hf");
    add(w, t->model);
    add_address(w, t);
    if (t->context > 0) {
        add(w, "-c");
        add(w, number(w->arena, t->context));
    }
}

static void add_vllm(struct words *w, const struct config_target *t)
{
    add(w, "vllm");
    add(w, "serve");
    add(w, t->model);
    add_address(w, t);
    if (t->context > 0) {
        add(w, "--max-model-len");
        add(w, number(w->arena, t->context));
    }
    if (t->tool_parser) { /* without them it answers 400 to every request with tools */
        add(w, "--enable-auto-tool-choice");
        add(w, "--tool-call-parser");
        add(w, t->tool_parser);
    }
    if (t->reasoning_parser) {
        add(w, "--reasoning-parser");
        add(w, t->reasoning_parser);
    }
}

const char *const *engine_command(struct arena *a, const struct config_target *t)
{
    struct words w = words_new(a);
    for (size_t i = 0; t->command && t->command[i]; i++)
        add(&w, fill(a, t, t->command[i]));
    if (w.count > 0)
        return w.at;
    switch (t->kind) {
    case TARGET_LLAMA_CPP:
        add_llama(&w, t);
        break;
    case TARGET_VLLM:
        add_vllm(&w, t);
        break;
    default:
        assert(t->kind == TARGET_OLLAMA); /* config_target.c lets no other kind go without one */
        add(&w, "ollama");
        add(&w, "serve");
    }
    return w.at;
}

const char *const *engine_environment(struct arena *a, const struct config_target *t,
                                      const char *(*env)(const char *name))
{
    struct words w = words_new(a);
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        const char *value = env(allowed[i]);
        if (value)
            add(&w, arena_printf(a, "%s=%s", allowed[i], value).at);
    }
    if (t->kind == TARGET_OLLAMA) {
        add(&w, arena_printf(a, "OLLAMA_HOST=%.*s:%u", SPAN_FMT(t->url.host), t->url.port).at);
        if (t->context > 0)
            add(&w, arena_printf(a, "OLLAMA_CONTEXT_LENGTH=%u", t->context).at);
    }
    return w.at;
}

const char *engine_health_path(enum target_kind k)
{
    return k == TARGET_OLLAMA ? "/api/version" : "/health";
}

bool engine_is_healthy(enum target_kind k, int status)
{
    return k == TARGET_COMMAND ? status >= 200 && status < 500 : status == 200;
}
