/* See explain_target.h. Reads the configuration without its secrets. */
#include "tools/explain_target.h"

#include "base/span.h"
#include "net/net.h"
#include "serve/probed_file.h"

struct explained {
    const struct config *config;
    const struct config_target *target;
    struct probed *probed;
    size_t probed_count;
    usec wall;
    struct buf *out;
    bool full; /* of the text: the rest is left out */
};

static void put(struct explained *x, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct explained *x, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    x->full = x->full || buf_vprintf(x->out, format, args) != ERR_OK;
    va_end(args);
}

static void put_day(struct explained *x, const struct probed *p)
{
    char text[CONFIG_DAY_BYTES];
    config_probed_day(p, text);
    put(x, "%s", text);
}

static void put_fact(struct explained *x, enum probed_fact f, const struct probed *p,
                     const struct capability *presumed)
{
    bool known = p && (p->known & BIT(f));
    bool can = known ? (p->can & BIT(f)) != 0 : probed_presumes(f, presumed);
    put(x, "  %-17s %-4s ", probed_fact_name(f), can ? "yes" : "no");
    if (known) {
        put(x, "probed ");
        put_day(x, p);
    } else {
        put(x, "presumed: %s", presumed->source);
    }
    put(x, "\n");
}

static void put_model(struct explained *x, const char *model)
{
    const struct config_target *t = x->target;
    const struct probed *p =
        probed_find(x->probed, x->probed_count, t->name, t->url_text, model, x->wall);
    struct capability presumed = capability_preset(t->kind, span_from(model));
    if (t->kind == TARGET_OPENAI_COMPATIBLE)
        (void)capability_at_host(&presumed, t->url.host, span_from(model));
    put(x, "\n%s/%s can carry\n", t->name, model);
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++)
        put_fact(x, f, p, &presumed);
    for (size_t i = 0; !p && i < x->probed_count; i++) {
        if (strcmp(x->probed[i].target, t->name) != 0 || strcmp(x->probed[i].model, model) != 0)
            continue;
        put(x, "  probed ");
        put_day(x, &x->probed[i]);
        put(x, ", which is not believed: too old, or at another address\n");
    }
}

/* Was `model` told for an earlier link? */
static bool is_told(const struct explained *x, size_t route, size_t link, const char *model)
{
    const struct config *c = x->config;
    for (size_t i = 0; i <= route; i++)
        for (size_t k = 0; k < (i < route ? c->routes[i].link_count : link); k++) {
            const struct config_link *l = &c->routes[i].links[k];
            if (&c->targets[l->target] == x->target && l->model && strcmp(l->model, model) == 0)
                return true;
        }
    return false;
}

static void put_models(struct explained *x)
{
    const struct config *c = x->config;
    for (size_t i = 0; i < c->route_count; i++)
        for (size_t k = 0; k < c->routes[i].link_count; k++) {
            const struct config_link *l = &c->routes[i].links[k];
            if (&c->targets[l->target] == x->target && l->model && !is_told(x, i, k, l->model))
                put_model(x, l->model);
        }
    for (size_t i = 0; i < x->probed_count; i++) /* of models that no chain names */
        if (strcmp(x->probed[i].target, x->target->name) == 0 && c->route_count > 0 &&
            !is_told(x, c->route_count - 1, c->routes[c->route_count - 1].link_count,
                     x->probed[i].model))
            put_model(x, x->probed[i].model);
}

usec explain_wall(void)
{
    struct loop *l = loop_new();
    usec wall = loop_wall(l);
    loop_free(l);
    return wall;
}

void explain_target(const struct load_flags *flags, struct span name, struct buf *out)
{
    struct loaded l;
    struct arena a;
    const char *why = "";
    ssize_t dot = span_find(name, '.');
    name = dot < 0 ? name : span_take(name, (size_t)dot);
    arena_init(&a, (size_t)1 << 20);
    bool good = load_config(flags, false, false, &l, &why) == ERR_OK;
    for (size_t i = 0; good && i < l.config->target_count; i++) {
        struct explained x = {.config = l.config,
                              .target = &l.config->targets[i],
                              .wall = explain_wall(),
                              .out = out};
        if (!span_is(name, x.target->name))
            continue;
        x.probed_count = probed_file_load(l.config->state_dir, &a, &x.probed);
        put_models(&x);
    }
    loaded_deinit(&l);
    arena_deinit(&a);
}
