/* Embeddings: byte for byte to the first target that has such a door, and from there to those that
 * are asked for the same model, never to another one. */
#include "relay/errand_internal.h"

static bool has_door(const struct relay_target *target)
{
    return !target->dialect->claude_api && !target->cloud;
}

/* Leaves in the walk the targets that have the door and are asked for the first one's model. */
static bool choose(struct errand *e)
{
    bool any = false;
    for (size_t i = 0; i < e->route->count; i++) {
        bool can = has_door(e->route->links[i].target);
        if (can && !any)
            e->same_model = errand_model(e, i);
        if (!can || !span_eq(errand_model(e, i), e->same_model))
            chain_unfit(&e->walk, i);
        any |= can;
    }
    return any;
}

static void ask(struct errand *e, size_t link)
{
    usec now = loop_now(e->relay->loop), left = e->deadline - now;
    pieces_init(&e->body, e->arena);
    errand_pass_body(e, link);
    e->path = errand_path(e, e->route->links[link].target, dialect_embeddings.path);
    bool other = chain_has_other(&e->walk, link, now);
    e->patience = other ? e->relay->deadlines.first_token : left; /* as for any silence */
    errand_ask(e, link, other ? left / 2 : left);
}

static void tell_breaker(struct errand *e, enum cause cause, usec retry_after)
{
    usec now = loop_now(e->relay->loop);
    struct breaker *b = e->route->breakers[e->link];
    breaker_report(b, now, cause, retry_after, (uint32_t)loop_random_below(e->relay->loop, 1000));
}

/* False: nobody is left. */
static bool ask_next(struct errand *e)
{
    usec now = loop_now(e->relay->loop);
    uint32_t random;
    loop_random(e->relay->loop, &random, sizeof random);
    if (e->attempt_count > 0 && !chain_has_other(&e->walk, e->link, now))
        return false; /* no repeats: the client's own will do */
    struct chain_pick pick = chain_next(&e->walk, now, e->deadline, e->relay->budget, random);
    if (pick.found && pick.wait > 0)
        breaker_cancel(e->route->breakers[pick.link], now);
    if (!pick.found || pick.wait > 0)
        return false;
    ask(e, pick.link);
    return true;
}

static void begin(struct errand *e)
{
    chain_begin(&e->walk, e->route->breakers, e->route->count);
    budget_request(e->relay->budget, e->started);
    if (!choose(e))
        errand_refuse(
            e, 400,
            arena_printf(e->arena,
                         "model: %.*s: no target of its chain makes embeddings (Claude's "
                         "API has none). Put one of kind openai, openai-compatible, vllm, "
                         "llama.cpp, ollama or mistral into the chain.",
                         SPAN_FMT(span_take(json_unescape(e->model, e->arena), 200))));
    else if (!ask_next(e))
        errand_refuse(e, 503, SPAN("No target of this model's chain can be asked now."));
}

static void failed(struct errand *e, const struct failure *f)
{
    usec now = loop_now(e->relay->loop);
    if (f->cause == CAUSE_NOT_READY) /* nothing was sent: it says nothing */
        breaker_cancel(e->route->breakers[e->link], now);
    else
        tell_breaker(e, f->cause, f->retry_after);
    chain_failed(&e->walk, f->link, f->cause, f->retry_after, now);
    bool callers = cause_facts(f->cause)->reaction == REACT_CALLER;
    if (!callers && ask_next(e))
        return;
    struct failure told = callers ? *f : e->first;
    errand_reply_upstream(e, &told);
}

static bool answered(struct errand *e, struct span body)
{
    struct json_doc doc;
    if (json_parse(e->arena, body, NULL, &doc, NULL) != ERR_OK ||
        !json_is(json_get(json_root(&doc), "data"), JSON_ARRAY))
        return false;
    tell_breaker(e, CAUSE_NONE, 0);
    e->served = true;
    errand_reply(e, body);
    return true;
}

static void left(struct errand *e)
{
    breaker_cancel(e->route->breakers[e->link], loop_now(e->relay->loop));
}

const struct errand_kind errand_embeddings_kind = {.door = &dialect_embeddings,
                                                   .begin = begin,
                                                   .failed = failed,
                                                   .answered = answered,
                                                   .left = left};
