/* Taking thinking out of a history that a target refuses because of it (protocols.md 1.6b).
 *
 * Works on the canonical request and knows no target. All thinking up to some block goes, never one
 * from the middle: newer models check each block of thinking against the ones before it, and allow
 * that the oldest are missing. */
#include "base/span.h"
#include "dialect/dialect.h"

static bool is_thinking(const struct chat_block *block)
{
    return block->type == CHAT_THINKING || block->type == CHAT_REDACTED_THINKING;
}

struct span dialect_thinking_mark(const struct chat_block *block)
{
    if (block->type == CHAT_REDACTED_THINKING)
        return block->text.at;
    return block->type == CHAT_THINKING ? block->signature.at : SPAN_EMPTY;
}

static bool has_thinking(const struct chat_request *r)
{
    for (const struct chat_message *m = r->messages; m; m = m->next)
        for (const struct chat_block *block = m->blocks; block; block = block->next)
            if (is_thinking(block))
                return true;
    return false;
}

/* Its blocks but those of thinking, as long as *going: until `last` has been met. */
static struct chat_block *other_blocks(struct arena *a, struct chat_block *blocks,
                                       const struct chat_block *last, bool *going)
{
    struct chat_block *first = NULL, **tail = &first;
    for (struct chat_block *block = blocks; block; block = block->next) {
        bool kept = !*going || !is_thinking(block);
        if (block == last)
            *going = false;
        if (!kept)
            continue;
        struct chat_block *copy = arena_new(a, struct chat_block);
        *copy = *block;
        copy->next = NULL;
        *tail = copy;
        tail = &copy->next;
    }
    return first;
}

static struct chat_message *without(struct arena *a, struct chat_message *messages,
                                    const struct chat_block *last)
{
    struct chat_message *first = NULL, **tail = &first;
    bool going = true;
    for (struct chat_message *m = messages; m; m = m->next) {
        struct chat_message *copy = arena_new(a, struct chat_message);
        *copy = *m;
        copy->next = NULL;
        if (going && m->role == CHAT_ASSISTANT)
            copy->blocks = other_blocks(a, m->blocks, last, &going);
        *tail = copy;
        tail = &copy->next;
    }
    return first;
}

const struct chat_request *dialect_without_thinking(struct arena *a, const struct chat_request *r,
                                                    const struct chat_block *last, bool off)
{
    bool asked = r->thinking == CHAT_THINKING_BUDGET || r->thinking == CHAT_THINKING_ADAPTIVE;
    bool history = has_thinking(r);
    if (!history && !(off && asked))
        return r;
    struct chat_request *copy = arena_new(a, struct chat_request);
    *copy = *r;
    if (history)
        copy->messages = without(a, r->messages, last);
    if (off && asked)
        copy->thinking = CHAT_THINKING_OFF;
    return copy;
}
