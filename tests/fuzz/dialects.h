#pragma once
/* What the three drivers of the dialects share: which there are, and what is asked of a stream.
 * An input is read in every dialect, as the driver cannot know which one it was meant for. */
#include "support/grammar.h"
#include "support/translate.h"

#define FUZZ_ARENA_MAX ((size_t)256 << 20)
#define FUZZ_INPUT_MAX 65536

static const struct dialect *const fuzz_dialects[] = {
    &dialect_anthropic, &dialect_openai_chat,      &dialect_completions, &dialect_gemini,
    &dialect_complete,  &dialect_bedrock_converse, &dialect_ollama,      &dialect_openai_responses,
};

/* Some are upstreams only. */
static inline bool fuzz_is_door(const struct dialect *d)
{
    return d->writer_new != NULL;
}

static inline void fuzz_grammar(const struct dialect *d, struct span stream, enum grammar_end *end,
                                char why[GRAMMAR_WHY_MAX])
{
    if (d == &dialect_openai_responses)
        responses_grammar_check(stream, true, end, why);
    else
        (d == &dialect_anthropic ? messages_grammar_check : chat_grammar_check)(stream, end, why);
}

/* An answer read from `from` and written for `to`: it must keep its grammar, and look finished only
 * when it is. A model's own broken tool input is its own; what a provider says in its own dialect
 * may be newer than the grammar; and the legacy forms have none. */
static inline void fuzz_judge(const struct dialect *from, const struct dialect *to,
                              const struct translated *t)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    if (to == &dialect_completions || to == &dialect_complete)
        return;
    fuzz_grammar(to, t->bytes, &end, why);
    bool own =
        from == to || (from == &dialect_complete && to == &dialect_anthropic); /* one reader */
    if (why[0] && (own || strcmp(why, "a tool input is no JSON object") == 0))
        return;
    if (why[0]) {
        (void)fprintf(stderr, "%s to %s: %s\n%.*s\n", from->name, to->name, why,
                      SPAN_FMT(t->bytes));
        abort();
    }
    assert((end == GRAMMAR_COMPLETE) == (t->ended && !t->errored));
    assert(t->err != ERR_OK || end != GRAMMAR_CUT);
}
