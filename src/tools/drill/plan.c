/* See plan.h. The dice are splitmix64, a few operations whose every bit depends on seed and index,
 * so that any arrival can be asked for without those before it. */
#include "tools/drill/plan.h"

static uint64_t dice(uint64_t seed, uint64_t index)
{
    uint64_t z = seed * UINT64_C(0xD1342543DE82EF95) + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

usec plan_arrival(uint64_t seed, uint32_t rate, uint64_t index)
{
    assert(rate >= 1);
    uint64_t slot = (uint64_t)USEC_PER_SEC / rate;
    uint64_t begins = index * (uint64_t)USEC_PER_SEC / rate;
    return (usec)(begins + (slot > 0 ? dice(seed, index) % slot : 0));
}

unsigned plan_shape(uint64_t seed, uint64_t index)
{
    unsigned order[SHAPE_COUNT];
    uint64_t round = index / SHAPE_COUNT;
    for (unsigned i = 0; i < SHAPE_COUNT; i++)
        order[i] = i;
    for (unsigned i = SHAPE_COUNT - 1; i > 0; i--) {
        unsigned other = (unsigned)(dice(~seed, round * SHAPE_COUNT + i) % (i + 1));
        unsigned kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    return order[index % SHAPE_COUNT];
}

const char *plan_shape_name(unsigned shape)
{
    static const char *const names[SHAPE_COUNT] = {"messages streamed text",  "chat streamed text",
                                                   "messages streamed tools", "chat streamed tools",
                                                   "messages whole text",     "chat whole text",
                                                   "messages whole tools",    "chat whole tools"};
    assert(shape < SHAPE_COUNT);
    return names[shape];
}
