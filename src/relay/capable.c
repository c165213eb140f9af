/* See capable.h. A target has a handful of probed models at most: they are looked through. */
#include "relay/capable.h"

#include "base/span.h"
#include "relay/exchange.h"

const struct probed *capable_probed(const struct relay_target *t, struct span model)
{
    for (size_t i = 0; i < t->probed_count; i++)
        if (span_is(model, t->probed[i].model))
            return &t->probed[i];
    return NULL;
}

struct capability capable_presumed(const struct relay_target *t, struct span model)
{
    struct capability c = capability_preset(t->kind, model);
    if (t->kind == TARGET_OPENAI_COMPATIBLE)
        (void)capability_at_host(&c, origin_host(t->origin), model);
    return c;
}

struct capability capable_of(const struct relay_target *t, struct span model)
{
    struct capability c = capable_presumed(t, model);
    const struct probed *p = capable_probed(t, model);
    if (p)
        probed_apply(p, &c);
    return c;
}

bool capable_narrows(const struct relay_target *t, struct span model, bool messages)
{
    const struct probed *p = capable_probed(t, model);
    if (!p)
        return false;
    struct capability presumed = capable_presumed(t, model);
    return probed_narrows(p, &presumed, messages);
}
