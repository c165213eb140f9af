/* What the built-in facts know of models that are run here.
 *
 * A declared use is held against their licences. Models behind a provider's
 * API are the provider's to license; behind an openai-compatible URL it may be either, so that on
 * another machine it is only a warning. */
#include "local/licence.h"
#include "serve/config_internal.h"

#include <math.h>

static void free_facts(void *facts)
{
    facts_deinit(facts);
}

static const struct facts *facts_of(struct config_reader *r)
{
    const char *why = NULL;
    if (!r->facts) {
        r->facts = arena_new(r->arena, struct facts);
        enum err e = facts_load(r->facts, NULL, &why);
        assert(e == ERR_OK); /* the built-in tables; tests/unit/local reads them */
        arena_on_free(r->arena, free_facts, r->facts);
    }
    return r->facts;
}

static double or_unsaid(uint32_t n, double factor)
{
    return n ? n * factor : NAN;
}

static bool is_ours(const struct config_target *t, bool *out_sure)
{
    *out_sure = t->kind != TARGET_OPENAI_COMPATIBLE || url_host_is_loopback(t->url.host);
    return t->kind == TARGET_VLLM || t->kind == TARGET_LLAMA_CPP || t->kind == TARGET_OLLAMA ||
           t->kind == TARGET_OPENAI_COMPATIBLE;
}

static void tell(struct config_reader *r, struct config_mark at, const struct fact_model *m,
                 const struct licence_verdict *v, bool warning)
{
    const char *says = v->verdict == RULING_FORBIDDEN ? "the licence forbids this use"
                                                      : "the licence leaves this use open";
    config_complain(
        r, at, warning,
        config_printf(r, "take another model; hotspare licence %s tells more", m->id).at,
        "%s: %s: %s: %s", r->path, m->id, says, v->reasons[0]);
}

void config_check_use(struct config_reader *r, struct config_mark at,
                      const struct config_link *link)
{
    const struct config_target *t = &r->c->targets[link->target];
    bool sure = true, known = true, bad = r->target_bad && r->target_bad[link->target];
    if (!r->c->use.kind || !link->model || bad || !is_ours(t, &sure))
        return;
    const struct facts *f = facts_of(r);
    const struct fact_model *m = facts_model_exact(f, span_from(link->model));
    if (!m)
        return; /* nothing is known, and a name of the user's own may mean anything */
    const struct use use = {.kind = (enum use_kind)(r->c->use.kind - 1),
                            .users = or_unsaid(r->c->use.users, 1),
                            .usd_year = or_unsaid(r->c->use.revenue_million, 1e6),
                            .region = r->c->use.region};
    struct licence_verdict v;
    licence_judge(licence_of(f, m, &known), &use, r->arena, &v);
    if (v.verdict >= RULING_ASK && v.reason_count)
        tell(r, at, m, &v, v.verdict == RULING_ASK || !sure);
}

void config_know_model(struct config_reader *r, struct config_target *t)
{
    if (t->start == ENGINE_NEVER || t->kind != TARGET_VLLM || t->command || !t->model)
        return;
    const struct fact_model *m = facts_model_exact(facts_of(r), span_from(t->model));
    if (m && fact_is_word(m->tool_parser))
        t->tool_parser = m->tool_parser;
    if (m && fact_is_word(m->reasoning_parser))
        t->reasoning_parser = m->reasoning_parser;
}
