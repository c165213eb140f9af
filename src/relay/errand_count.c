/* A count of tokens: asked of the target that would answer now, else estimated.
 *
 *   Claude       /v1/messages/count_tokens, byte for byte
 *   llama.cpp    the same door, below its own base URL
 *   vLLM         /tokenize, with the request in the words of its chat door
 *   any other    nobody to ask: an estimate for that model
 *
 * Counting is a courtesy that clients do without, so it waits COUNT_TIME only, goes past breakers
 * without telling them anything, and a target that fails at it is not missed. What the caller did
 * wrong is told as it came. */
#include "dialect/tokens.h"
#include "relay/capable.h"
#include "relay/errand_internal.h"

#define COUNT_TIME (5 * USEC_PER_SEC)

/* The first that is not known to be down; the first of all when all are. */
static size_t who_answers(const struct errand *e)
{
    usec now = loop_now(e->relay->loop);
    for (size_t i = 0; i < e->route->count; i++)
        if (breaker_view(e->route->breakers[i], now).state == BREAKER_CLOSED)
            return i;
    return 0;
}

static struct capability capability_there(const struct errand *e)
{
    struct span model = json_unescape(errand_model(e, e->link), e->arena);
    return capable_of(e->route->links[e->link].target, model);
}

static void reply_count(struct errand *e, int64_t tokens)
{
    errand_reply(e, arena_printf(e->arena, "{\"input_tokens\":%lld}", (long long)tokens));
}

static bool read_canonical(struct errand *e, struct chat_request *out)
{
    struct chat_problem p;
    if (dialect_count_tokens.read_request(e->arena, &e->doc, out, &p) == ERR_OK)
        return true;
    errand_refuse(e, 400,
                  p.param.len
                      ? arena_printf(e->arena, "%.*s: %.*s", SPAN_FMT(p.param), SPAN_FMT(p.text))
                      : p.text);
    return false;
}

static void estimate(struct errand *e)
{
    struct chat_request r;
    if (!read_canonical(e, &r))
        return;
    struct capability cap = capability_there(e);
    e->served = false;
    lossy_add(&e->lossy, LOSSY_TOKEN_COUNT);
    reply_count(e, tokens_of_request(&r, &cap));
}

/* Claude would refuse thinking that a stand-in wrote; it does not count for much. */
static bool can_pass(const struct errand *e)
{
    return !json_may_hold(&e->doc, "signature", SPAN(DIALECT_STANDIN_MARK));
}

static void ask_claude(struct errand *e)
{
    struct span query = request_query(e->request);
    e->path = errand_path(e, e->route->links[e->link].target, dialect_count_tokens.path);
    if (query.len > 0)
        e->path = arena_printf(e->arena, "%.*s?%.*s", SPAN_FMT(e->path), SPAN_FMT(query));
    errand_pass_body(e, e->link);
    errand_ask(e, e->link, COUNT_TIME);
}

static void ask_llama(struct errand *e)
{
    e->path = errand_path(e, e->route->links[e->link].target, "/messages/count_tokens");
    errand_pass_body(e, e->link);
    errand_ask(e, e->link, COUNT_TIME);
}

static void ask_vllm(struct errand *e)
{
    struct chat_request r;
    struct chat_problem p;
    if (!read_canonical(e, &r))
        return;
    struct capability cap = capability_there(e);
    struct dialect_body out = {.has_unparsed_tool_input = false};
    pieces_init(&out.body, e->arena);
    if (dialect_openai_chat.write_request(e->arena, &r, &cap, errand_model(e, e->link), false, &out,
                                          &p) != ERR_OK) {
        estimate(e); /* it could not answer this, either; the next one's count is as good */
        return;
    }
    struct span path = errand_path(e, e->route->links[e->link].target, "");
    if (span_ends(path, SPAN("/v1")))
        path.len -= 3;
    e->path = arena_printf(e->arena, "%.*s/tokenize", SPAN_FMT(path));
    e->body = out.body;
    errand_ask(e, e->link, COUNT_TIME);
}

static void begin(struct errand *e)
{
    e->link = who_answers(e);
    const struct relay_target *target = e->route->links[e->link].target;
    bool claude = target->dialect->claude_api && !target->cloud;
    if (target->gate && !gate_is_open(target->gate)) { /* a count is no reason to start an engine */
        estimate(e);
        return;
    }
    if (claude && can_pass(e))
        ask_claude(e);
    else if (target->kind == TARGET_LLAMA_CPP)
        ask_llama(e);
    else if (target->kind == TARGET_VLLM)
        ask_vllm(e);
    else
        estimate(e);
}

static void failed(struct errand *e, const struct failure *f)
{
    if (f->cause == CAUSE_CALLER_FAULT && e->route->links[f->link].target->dialect->claude_api)
        errand_reply_upstream(e, f);
    else
        estimate(e);
}

static bool answered(struct errand *e, struct span body)
{
    int64_t n;
    struct json_doc doc;
    if (json_parse(e->arena, body, NULL, &doc, NULL) != ERR_OK)
        return false;
    struct json root = json_root(&doc), told = json_get(root, "input_tokens");
    bool whole = json_is(told, JSON_NUMBER);
    if (!whole && json_i64(json_get(root, "count"), &n) != ERR_OK)
        return false;
    e->served = true;
    if (whole)
        errand_reply(e, body); /* with what else it says */
    else
        reply_count(e, n);
    return true;
}

const struct errand_kind errand_count_kind = {
    .door = &dialect_count_tokens, .begin = begin, .failed = failed, .answered = answered};
