/* Facts as rows: the word, and the flags of a capability that it stands for. `no` flags are those
 * that a capability has as a lack. */
#include "dialect/probed.h"

#include "base/span.h"

#define FLAGS_MAX 2
#define IN_MESSAGES 1U /* a body of this format can ask for it */
#define IN_OPENAI 2U
#define IN_BOTH (IN_MESSAGES | IN_OPENAI)
#define FLAG(name) offsetof(struct capability, name)

static const struct fact_row {
    const char *name;
    unsigned bodies;
    size_t flags, at[FLAGS_MAX];
    bool no;
} rows[PROBED_FACTS] = {
    [PROBED_STREAM] = {"stream", 0, 1, {FLAG(no_stream)}, true},
    [PROBED_STREAM_OPTIONS] = {"stream_options", IN_OPENAI, 1, {FLAG(stream_options)}, false},
    [PROBED_TOOLS] = {"tools", 0, 1, {FLAG(no_tools)}, true},
    [PROBED_FORCED_TOOL] = {"forced_tool", IN_BOTH, 1, {FLAG(forced_tool)}, false},
    [PROBED_IMAGES] = {"images", IN_BOTH, 1, {FLAG(images)}, false},
    [PROBED_PDF] = {"pdf", IN_BOTH, 1, {FLAG(pdf)}, false},
    [PROBED_JSON_SCHEMA] = {"json_schema", IN_BOTH, 1, {FLAG(json_schema)}, false},
    [PROBED_STOP] = {"stop", IN_BOTH, 1, {FLAG(stop)}, false},
    [PROBED_THINKING] =
        {"thinking", IN_MESSAGES, 2, {FLAG(thinking_budget), FLAG(thinking_adaptive)}, false},
    [PROBED_EFFORT] = {"reasoning_effort", IN_OPENAI, 1, {FLAG(reasoning_effort)}, false},
    [PROBED_PREFILL] = {"prefill", IN_BOTH, 1, {FLAG(prefill)}, false},
    [PROBED_MESSAGES] = {"messages", 0, 0, {0}, false},
};

const char *probed_fact_name(enum probed_fact f)
{
    assert(f < PROBED_FACTS);
    return rows[f].name;
}

enum err probed_fact_parse(struct span word, enum probed_fact *out)
{
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++) {
        if (span_is(word, rows[f].name)) {
            *out = f;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

bool probed_is_fresh(const struct probed *p, usec wall)
{
    return p->at <= wall && wall - p->at < PROBED_KEEP;
}

bool probed_presumes(enum probed_fact f, const struct capability *c)
{
    bool can = false;
    for (size_t i = 0; i < rows[f].flags; i++)
        can |= *(const bool *)((const char *)c + rows[f].at[i]) != rows[f].no;
    return can;
}

static void set(enum probed_fact f, bool can, struct capability *c)
{
    for (size_t i = 0; i < rows[f].flags; i++)
        *(bool *)((char *)c + rows[f].at[i]) = can != rows[f].no;
}

void probed_apply(const struct probed *p, struct capability *c)
{
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++) {
        bool can = p->can & BIT(f);
        /* Of two ways to think the presumed one stays: which of them it knows is its model's. */
        if ((p->known & BIT(f)) && can != probed_presumes(f, c))
            set(f, can, c);
    }
    if (c->reasoning_effort && c->efforts == 0)
        c->efforts = BIT(EFFORT_LOW) | BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH);
}

bool probed_narrows(const struct probed *p, const struct capability *presumed, bool messages)
{
    unsigned body = messages ? IN_MESSAGES : IN_OPENAI;
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++)
        if ((rows[f].bodies & body) && (p->known & BIT(f)) && !(p->can & BIT(f)) &&
            probed_presumes(f, presumed))
            return true;
    return false;
}

const struct probed *probed_find(const struct probed *all, size_t count, const char *target,
                                 const char *url, const char *model, usec wall)
{
    const struct probed *found = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct probed *p = &all[i];
        bool same = strcmp(p->target, target) == 0 && strcmp(p->url, url) == 0 &&
                    strcmp(p->model, model) == 0 && probed_is_fresh(p, wall);
        if (same && (!found || p->at > found->at))
            found = p;
    }
    return found;
}

bool probed_all_messages(const struct probed *all, size_t count, const char *target,
                         const char *url, usec wall)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (!probed_find(&all[i], 1, target, url, all[i].model, wall))
            continue;
        if (!(all[i].can & BIT(PROBED_MESSAGES)))
            return false;
        any = true;
    }
    return any;
}
