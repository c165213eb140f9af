/* Picks the instruction set: the best one this machine has, unless json_force said otherwise. */
#include "json/json_internal.h"

#include "base/span.h"

#include <stdatomic.h>

static const struct json_engine *const engines[] = {
/* best first */
#if defined(__x86_64__)
    &json_engine_avx2,
    &json_engine_sse2,
#elif defined(__aarch64__)
    &json_engine_neon,
#endif
    &json_engine_portable,
};

/* Every thread would come to the same answer, so it does not matter who stores it first. */
static _Atomic(const struct json_engine *) chosen;

const struct json_engine *json_engine_now(void)
{
    const struct json_engine *engine = atomic_load_explicit(&chosen, memory_order_acquire);
    if (engine)
        return engine;
    size_t i = 0;
    while (i < ARRAY_LEN(engines) - 1 && !engines[i]->supported()) /* the last one always is */
        i++;
    atomic_store_explicit(&chosen, engines[i], memory_order_release);
    return engines[i];
}

const char *json_engine(void)
{
    return json_engine_now()->name;
}

enum err json_force(const char *engine)
{
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        if (!span_is(span_from(engine), engines[i]->name) || !engines[i]->supported())
            continue;
        atomic_store_explicit(&chosen, engines[i], memory_order_release);
        return ERR_OK;
    }
    return ERR_UNSUPPORTED;
}
