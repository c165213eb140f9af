/* Names of the canonical conversation's words. Knows no dialect: Anthropic's words are used because
 * they are the finest vocabulary, and each dialect maps from the enumerators itself. */
#include "chat/chat.h"

const char *chat_stop_name(enum chat_stop s)
{
    static const char *const names[] = {
        [CHAT_STOP_NONE] = "none",
        [CHAT_STOP_END_TURN] = "end_turn",
        [CHAT_STOP_MAX_TOKENS] = "max_tokens",
        [CHAT_STOP_SEQUENCE] = "stop_sequence",
        [CHAT_STOP_TOOL_USE] = "tool_use",
        [CHAT_STOP_PAUSE_TURN] = "pause_turn",
        [CHAT_STOP_REFUSAL] = "refusal",
        [CHAT_STOP_CONTEXT] = "model_context_window_exceeded",
        [CHAT_STOP_COMPACTION] = "compaction",
    };
    assert((size_t)s < ARRAY_LEN(names));
    return names[s];
}

const char *chat_block_name(enum chat_block_type t)
{
    static const char *const names[] = {
        [CHAT_TEXT] = "text",
        [CHAT_IMAGE] = "image",
        [CHAT_DOCUMENT] = "document",
        [CHAT_AUDIO] = "audio",
        [CHAT_THINKING] = "thinking",
        [CHAT_REDACTED_THINKING] = "redacted_thinking",
        [CHAT_TOOL_USE] = "tool_use",
        [CHAT_TOOL_RESULT] = "tool_result",
        [CHAT_SERVER_TOOL_USE] = "server_tool_use",
        [CHAT_SERVER_TOOL_RESULT] = "server_tool_result",
        [CHAT_SEARCH_RESULT] = "search_result",
        [CHAT_REFUSAL] = "refusal",
        [CHAT_OTHER] = "other",
    };
    assert((size_t)t < ARRAY_LEN(names));
    return names[t];
}

static void merge(int64_t *into, int64_t told)
{
    if (told >= 0)
        *into = told;
}

void chat_usage_merge(struct chat_usage *into, const struct chat_usage *told)
{
    merge(&into->input, told->input);
    merge(&into->cache_read, told->cache_read);
    merge(&into->cache_write, told->cache_write);
    merge(&into->output, told->output);
    merge(&into->reasoning, told->reasoning);
}
