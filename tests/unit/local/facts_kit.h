#pragma once
/* What the tests of src/local share: the built-in facts, and looking things up or failing. */
#include "support/check.h"

#include "local/facts.h"

static inline int facts_up(void **state)
{
    struct facts *f = mem_new(struct facts);
    const char *why = NULL;
    if (facts_load(f, NULL, &why) != ERR_OK)
        fail_msg("%s", why);
    *state = f;
    return 0;
}

static inline int facts_down(void **state)
{
    facts_deinit(*state);
    mem_free(*state);
    return 0;
}

#define FACTS_TEST(name) cmocka_unit_test_setup_teardown(name, facts_up, facts_down)

static inline const struct fact_model *model(const struct facts *f, const char *id)
{
    const struct fact_model *m = facts_model_exact(f, span_from(id));
    if (!m)
        fail_msg("no model %s", id);
    return m;
}

static inline const struct fact_quant *quant(const struct facts *f, const char *id)
{
    const struct fact_quant *q = facts_quant(f, QUANT_GGUF, span_from(id));
    if (!q)
        fail_msg("no format %s", id);
    return q;
}

static inline const struct fact_quant *cache(const struct facts *f, const char *id)
{
    const struct fact_quant *q = facts_quant(f, QUANT_KV, span_from(id));
    if (!q)
        fail_msg("no cache format %s", id);
    return q;
}

static inline const struct fact_gpu *gpu(const struct facts *f, const char *name)
{
    const struct fact_gpu *g = facts_gpu(f, span_from(name));
    if (!g)
        fail_msg("no accelerator %s", name);
    return g;
}

/* Fails when got is further than `share` of wanted away from it. */
static inline void assert_near(const char *what, double got, double wanted, double share)
{
    double off = got / wanted - 1;
    if (!(off <= share && off >= -share))
        fail_msg("%s: %.6g, wanted %.6g: %+.3f %%, allowed %.2f %%", what, got, wanted, 100 * off,
                 100 * share);
}
