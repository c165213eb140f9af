/* A server whose context nobody gave refuses an answer that could be longer than all of it (vLLM:
 * "max_tokens=32000 cannot be greater than max_model_len=16384"), which coding clients ask for by
 * habit. It has then told its context, and is asked once more with what of it is left for the
 * answer. Knows no other refusal: for a prompt that is too long another target does better. */
#include "base/span.h"
#include "relay/exchange_internal.h"

#define TOLD SPAN("cannot be greater than max_model_len=") /* vLLM 0.32, renderers/params.py */

int64_t room_context(const struct exchange *x, size_t link)
{
    int64_t given = x->route->links[link].target->context;
    return given > 0 || link != x->room.link ? given : x->room.context;
}

bool room_ask_again(struct exchange *x, const struct failure *f)
{
    int64_t told;
    if (f->cause != CAUSE_CONTEXT_EXCEEDED || x->room.context > 0 ||
        x->attempt.dialect == x->door || x->attempt_count == EXCHANGE_ATTEMPTS_MAX ||
        loop_now(x->relay->loop) >= x->deadline || x->route->links[f->link].target->context > 0 ||
        !attempt_number(f->error.message, TOLD, &told) || told <= 0)
        return false;
    x->room = (struct room){.context = told, .link = f->link};
    return true;
}
