/* Which of a target's formats an attempt speaks, and the repeat in another one.
 *
 * A target may speak several (relay_target.also). Preferred is what its model answers alone, then
 * the client's own, so that bytes can pass. OpenAI's newer models refuse function tools at
 * /chat/completions while they reason, and name /responses in the refusal; which of them, a table
 * (dialect/capability.c) can only know of the past. So:
 *
 *   what is translated    goes to /responses with tools, where the table says so
 *   a client's own bytes  pass as they came: whoever wrote them may know that they are taken
 *   a refusal             the same target is asked again at once, once per exchange, at /responses
 *   the memory            what was answered there then goes there at once for a week (learned.h) */
#include "base/span.h"
#include "relay/capable.h"
#include "relay/exchange_internal.h"

struct capability speech_capable(const struct exchange *x, const struct relay_link *link)
{
    return capable_of(link->target, json_unescape(splice_model(x, link), x->arena));
}

/* By the names that the formats have for them. */
static bool has_tools(const struct exchange *x)
{
    struct json body = json_root(&x->doc);
    return json_useful(json_get(body, "tools")) || json_useful(json_get(body, "functions"));
}

static bool learnt(const struct exchange *x, const struct relay_link *link, enum learned_fact fact)
{
    return x->relay->learned &&
           learned_knows(x->relay->learned, link->target->name, splice_model(x, link), fact,
                         loop_wall(x->relay->loop));
}

/* The request has tools that its model takes at /responses only. */
static bool tools_go_there(const struct exchange *x, const struct relay_link *link,
                           const struct capability *cap)
{
    bool translated = x->door->id != DIALECT_OPENAI_CHAT || x->splice.active;
    if (!has_tools(x) || (!translated && json_may_hold(&x->doc, "reasoning_effort", SPAN("none"))))
        return false;
    return (translated && cap->tools_by_responses) || learnt(x, link, LEARNED_TOOLS_BY_RESPONSES);
}

static bool must_be_responses(const struct exchange *x, const struct relay_link *link)
{
    if (x->speech.asked && &x->route->links[x->speech.link] == link)
        return true;
    struct capability cap = speech_capable(x, link);
    return cap.responses_only || learnt(x, link, LEARNED_RESPONSES_ONLY) ||
           tools_go_there(x, link, &cap);
}

/* The client says what Ollama's chat door passes over without a word, or refuses: an answer would
 * have no end, a tool would be called that must not be. Source: Ollama 0.17.4, openai/openai.go;
 * reasoning_effort is a 400 there for each model but gpt-oss. */
static bool ollamas_chat_misses(const struct exchange *x)
{
    static const char *const missed[] = {"max_completion_tokens", "reasoning_effort", "tool_choice",
                                         "n"};
    if (x->door->id != DIALECT_OPENAI_CHAT)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(missed); i++)
        if (json_useful(json_get(json_root(&x->doc), missed[i])))
            return true;
    return !dialect_ollama_reads(json_get(json_root(&x->doc), "tools"));
}

/* Its model answers nothing else; or what is asked for can be said in Ollama's own format only,
 * such as a context. The table of models is asked only where it decides. */
static bool must_speak(const struct exchange *x, const struct relay_link *link, enum dialect_id id)
{
    if (id == DIALECT_OPENAI_RESPONSES)
        return must_be_responses(x, link);
    if (id == DIALECT_BEDROCK_CONVERSE)
        return speech_capable(x, link).converse;
    return id == DIALECT_OLLAMA && (link->target->context > 0 || ollamas_chat_misses(x));
}

/* Text completions pass as they came or not at all: what is written anew is a chat. */
static bool may_pass(const struct exchange *x, const struct relay_link *link)
{
    return x->door->id != DIALECT_COMPLETIONS ||
           (!x->splice.active && speech_capable(x, link).text_completions);
}

struct relay_speech speech_choose(const struct exchange *x, const struct relay_link *link)
{
    const struct relay_target *target = link->target;
    struct relay_speech first = {target->dialect, target->path};
    if (target->also_count == 0)
        return first;
    for (size_t i = 0; i < target->also_count; i++)
        if (must_speak(x, link, target->also[i].dialect->id))
            return target->also[i];
    if (first.dialect == x->door && !x->splice.active)
        return first;
    for (size_t i = 0; i < target->also_count; i++)
        if (target->also[i].dialect == x->door && may_pass(x, link))
            return target->also[i];
    const struct relay_speech *last = &target->also[target->also_count - 1];
    return last->dialect->id == DIALECT_OLLAMA ? *last : first; /* what no client needs to see */
}

/* ---- asked again ---- */

static bool speaks_responses(const struct relay_target *target)
{
    for (size_t i = 0; i < target->also_count; i++)
        if (target->also[i].dialect == &dialect_openai_responses)
            return true;
    return false;
}

bool speech_ask_again(struct exchange *x, const struct failure *f)
{
    struct chat_problem ignored;
    if (f->cause != CAUSE_OTHER_FORMAT || x->speech.asked ||
        x->attempt.dialect != &dialect_openai_chat || !speaks_responses(x->attempt.link->target) ||
        x->attempt_count == EXCHANGE_ATTEMPTS_MAX || loop_now(x->relay->loop) >= x->deadline ||
        exchange_read(x, &ignored) != ERR_OK)
        return false;
    bool tools = cause_is_about_tools(&f->error);
    x->speech =
        (struct speech){.asked = true,
                        .link = f->link,
                        .fact = tools ? LEARNED_TOOLS_BY_RESPONSES : LEARNED_RESPONSES_ONLY};
    return true;
}

void speech_worked(struct exchange *x)
{
    if (!x->speech.asked || x->speech.noted || x->attempt.index != x->speech.link)
        return;
    x->speech.noted = true;
    exchange_learn(x, x->attempt.link, x->speech.fact);
}
