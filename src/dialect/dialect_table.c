/* The list of dialects. On its own, so that a program that uses one dialect links one dialect. */
#include "dialect/dialect.h"

const struct dialect *dialect_by_id(enum dialect_id id)
{
    static const struct dialect *const all[DIALECT_COUNT] = {
        [DIALECT_ANTHROPIC] = &dialect_anthropic,
        [DIALECT_OPENAI_CHAT] = &dialect_openai_chat,
        [DIALECT_COMPLETIONS] = &dialect_completions,
        [DIALECT_GEMINI] = &dialect_gemini,
        [DIALECT_COMPLETE] = &dialect_complete,
        [DIALECT_COUNT_TOKENS] = &dialect_count_tokens,
        [DIALECT_EMBEDDINGS] = &dialect_embeddings,
        [DIALECT_OPENAI_RESPONSES] = &dialect_openai_responses,
        [DIALECT_OLLAMA] = &dialect_ollama,
        [DIALECT_BEDROCK_CONVERSE] = &dialect_bedrock_converse,
    };
    assert(id < DIALECT_COUNT);
    return all[id];
}
