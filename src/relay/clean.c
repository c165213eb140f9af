/* A history whose thinking a target refuses: asked once more without it.
 *
 * Claude checks each block of thinking in the history: that it wrote it, and, with the newer
 * models, that nothing before it has changed. Behind an outage a history may hold thinking that
 * cannot pass: another provider signed it. Three things keep the client from hearing of it:
 *
 *   our own mark       thinking of a translated answer is signed "hotspare1." and never sent to a
 *                      Messages target; the writer leaves it out. Gemini's thought signatures stand
 *                      behind "hotspare1.gemini.", and Gemini, which checks them, counts here, too
 *   a refusal          the same target is asked again at once, once per exchange, without any
 *                      thinking in the history, and with thinking off where it was missed
 *   the memory         what was taken out then is left out of later requests to that target, too
 *
 * All of them are functions of the client's own request (and of the newest refused block), so the
 * target is sent the same beginning each time, and its own newer thinking stays valid. Only the
 * oldest thinking is ever missing, never a block from the middle. */
#include "base/span.h"
#include "relay/exchange_internal.h"

/* Could a later request be known by it? */
static bool tells(const struct chat_block *block)
{
    struct span mark = dialect_thinking_mark(block);
    return mark.len > 0 && (!span_starts(mark, SPAN(DIALECT_STANDIN_MARK)) ||
                            span_starts(mark, SPAN(DIALECT_GEMINI_MARK)));
}

/* The newest thinking in the history that a later request can be known by; of those this target
 * has refused, where `refused`. NULL: there is none. */
static const struct chat_block *newest(struct exchange *x, const struct relay_target *target,
                                       bool refused)
{
    const struct chat_block *found = NULL;
    for (const struct chat_message *m = x->canonical.messages; m; m = m->next)
        for (const struct chat_block *block = m->blocks; block; block = block->next)
            if (tells(block) && (!refused || refused_has(x->relay->refused, target->name,
                                                         dialect_thinking_mark(block))))
                found = block;
    return found;
}

static bool may_hold_thinking(const struct exchange *x)
{
    return json_may_hold(&x->doc, "type", SPAN("thinking")) ||
           json_may_hold(&x->doc, "type", SPAN("redacted_thinking"));
}

static const struct chat_block *remembered(struct exchange *x, const struct relay_target *target)
{
    struct chat_problem ignored; /* what we cannot read is for the target to judge */
    if (!x->relay->refused || refused_none(x->relay->refused) || !may_hold_thinking(x) ||
        exchange_read(x, &ignored) != ERR_OK)
        return NULL;
    return newest(x, target, true);
}

bool clean_needed(struct exchange *x, const struct relay_target *target)
{
    struct chat_problem ignored;
    if (target->dialect->id != DIALECT_ANTHROPIC)
        return false;
    if (x->clean.asked || remembered(x, target))
        return true;
    return json_may_hold(&x->doc, "signature", SPAN(DIALECT_STANDIN_MARK)) &&
           exchange_read(x, &ignored) == ERR_OK && dialect_has_standin_thinking(&x->canonical);
}

/* Checks what it once signed. */
static bool signs(const struct dialect *d)
{
    return d->id == DIALECT_ANTHROPIC || d->id == DIALECT_GEMINI;
}

const struct chat_request *clean_request(struct exchange *x, const struct relay_target *target,
                                         const struct chat_request *r)
{
    if (!signs(target->dialect))
        return r;
    if (x->clean.asked)
        return dialect_without_thinking(x->arena, r, NULL, x->clean.off);
    const struct chat_block *last = remembered(x, target);
    return last ? dialect_without_thinking(x->arena, r, last, false) : r;
}

bool clean_ask_again(struct exchange *x, const struct failure *f)
{
    struct chat_problem ignored;
    if (f->cause != CAUSE_THINKING_REFUSED || x->clean.asked || !signs(x->attempt.dialect) ||
        x->attempt_count == EXCHANGE_ATTEMPTS_MAX || loop_now(x->relay->loop) >= x->deadline ||
        exchange_read(x, &ignored) != ERR_OK)
        return false;
    bool off = cause_wants_thinking_off(&f->error);
    if (dialect_without_thinking(x->arena, &x->canonical, NULL, off) == &x->canonical)
        return false; /* there is nothing to take out */
    x->clean = (struct clean){.asked = true, .off = off, .refusal = *f};
    return true;
}

bool clean_in_vain(const struct exchange *x, const struct failure *f)
{
    return x->clean.asked && f->link == x->clean.refusal.link &&
           cause_facts(f->cause)->reaction != REACT_ELSEWHERE;
}

void clean_worked(struct exchange *x)
{
    if (!x->clean.asked || x->clean.noted || x->clean.off || !x->relay->refused ||
        x->attempt.index != x->clean.refusal.link)
        return;
    const struct chat_block *block = newest(x, NULL, false);
    x->clean.noted = true;
    if (block)
        refused_add(x->relay->refused, x->attempt.link->target->name, dialect_thinking_mark(block));
}
