/* A server whose context nobody gave refuses an answer that could be longer than all of it (vLLM:
 * "max_tokens=32000 cannot be greater than max_model_len=16384"), which coding clients ask for by
 * habit. It has then told its context, and is asked once more with what of it is left for the
 * answer. Knows no other refusal: for a prompt that is too long another target does better. */
#include "relay/exchange_internal.h"

#include "base/span.h"

#define TOLD "cannot be greater than max_model_len="

/* 0: it tells none. Source: vLLM 0.32, renderers/params.py. */
static int64_t told_context(struct span message)
{
    ssize_t at = span_search(message, SPAN(TOLD));
    if (at < 0)
        return 0;
    int64_t n = 0;
    struct span rest = span_drop(message, (size_t)at + sizeof TOLD - 1);
    for (; rest.len > 0 && rest.at[0] >= '0' && rest.at[0] <= '9' && n < INT32_MAX;
         rest = span_drop(rest, 1))
        n = n * 10 + (rest.at[0] - '0');
    return n;
}

int64_t room_context(const struct exchange *x, size_t link)
{
    int64_t given = x->route->links[link].target->context;
    return given > 0 || link != x->room.link ? given : x->room.context;
}

bool room_ask_again(struct exchange *x, const struct failure *f)
{
    if (f->cause != CAUSE_CONTEXT_EXCEEDED || x->room.context > 0 ||
        x->attempt.dialect == x->door || x->attempt_count == EXCHANGE_ATTEMPTS_MAX ||
        loop_now(x->relay->loop) >= x->deadline)
        return false;
    x->room = (struct room){.context = told_context(f->error.message), .link = f->link};
    return room_context(x, f->link) == x->room.context && x->room.context > 0;
}
