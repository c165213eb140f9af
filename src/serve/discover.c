/* Engine discovery. An engine that is loading or dead is simply not found; serving never waits
 * longer than this. */
#include "serve/discover.h"

#include "base/span.h"
#include "conn/pool.h"
#include "json/json.h"

#define DISCOVER_TIME (500 * USEC_PER_MS)
#define ANSWER_MAX ((size_t)256 << 10)

static const struct place {
    const char *name, *label, *url;
    enum target_kind kind;
} places[] = {
    {"vllm", "vLLM :8000", "http://127.0.0.1:8000/v1", TARGET_VLLM},
    {"llama", "llama-server :8080", "http://127.0.0.1:8080/v1", TARGET_LLAMA_CPP},
    {"llama-9931", "llama-server :9931", "http://127.0.0.1:9931/v1", TARGET_LLAMA_CPP},
    {"ollama", "Ollama :11434", "http://127.0.0.1:11434/v1", TARGET_OLLAMA},
};

struct probe {
    struct loop *loop;
    struct call *call;
    struct url url;
    struct buf body;
    size_t *left;
    int status;
    bool answered;
};

static void ended(struct probe *p)
{
    p->call = NULL;
    if (--*p->left == 0)
        loop_stop(p->loop);
}

static void on_head(void *ctx, const struct http_head *head)
{
    ((struct probe *)ctx)->status = head->status;
}

static void on_body(void *ctx, struct span bytes)
{
    struct probe *p = ctx;
    if (buf_add(&p->body, bytes) != ERR_OK)
        p->status = 0; /* no engine lists that much */
}

static void on_end(void *ctx)
{
    struct probe *p = ctx;
    p->answered = p->status == 200;
    ended(p);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    (void)e, (void)stage, (void)why; /* not there: nothing to tell */
    ended(ctx);
}

static const struct call_events probe_events = {on_head, on_body, on_end, on_error};

struct discovery {
    struct timer timer;
    struct loop *loop;
    struct probe probes[ARRAY_LEN(places)];
    size_t left;
};

static void out_of_time(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct discovery, timer)->loop);
}

static void start(struct discovery *d, struct pool *pool)
{
    static const struct call_request ask = {.method = {"GET", 3}, .target = {"/v1/models", 10}};
    d->left = ARRAY_LEN(places);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct probe *p = &d->probes[i];
        const char *why = NULL;
        p->loop = d->loop;
        p->left = &d->left;
        buf_init(&p->body, ANSWER_MAX);
        enum err e = url_parse(span_from(places[i].url), &p->url, &why);
        assert(e == ERR_OK);
        p->call = call_start(pool, pool_origin(pool, &p->url, NULL), &ask, &probe_events, p);
    }
}

/* The first model's id, or NULL; false when it is no model list at all (another program on that
 * port). */
static bool first_model(struct arena *a, struct span body, const char **out)
{
    struct json_doc doc;
    *out = NULL;
    if (json_parse(a, body, NULL, &doc, NULL) != ERR_OK)
        return false;
    struct json list = json_get(json_root(&doc), "data");
    if (!json_is(list, JSON_ARRAY))
        return false;
    struct json id = json_get(json_at(list, 0), "id");
    if (json_is(id, JSON_STRING))
        *out = arena_cstr(a, json_str_decode(id, a));
    return true;
}

static void collect(struct arena *a, struct discovery *d, struct discovered *out)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct probe *p = &d->probes[i];
        const char *model;
        if (p->answered && first_model(a, arena_copy(a, buf_span(&p->body)), &model)) {
            out->models[out->count] = model;
            out->targets[out->count++] = (struct config_target){.name = places[i].name,
                                                                .kind = places[i].kind,
                                                                .url = p->url,
                                                                .url_text = places[i].url,
                                                                .model = model,
                                                                .dialect = DIALECT_OPENAI_CHAT,
                                                                .api = CONFIG_API_CHAT,
                                                                .found = true};
        } else {
            out->missing[out->missing_count++] = places[i].label;
        }
        call_cancel(p->call);
        buf_deinit(&p->body);
    }
}

void discover_engines(struct arena *a, struct discovered *out)
{
    *out = (struct discovered){0};
    struct discovery d = {.loop = loop_new_guest()};
    if (!d.loop)
        return; /* no descriptors: nothing can be asked */
    struct pool *pool = pool_new(d.loop, &pool_limits_default);
    start(&d, pool);
    loop_timer_in(d.loop, &d.timer, DISCOVER_TIME, out_of_time);
    loop_run(d.loop);
    loop_timer_cancel(d.loop, &d.timer);
    collect(a, &d, out);
    pool_free(pool);
    loop_free(d.loop);
}
