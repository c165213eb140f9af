#include "support/left_out.h"

#include "base/span.h"

/* Requests the other side cannot carry. Each must really be refused, with a reason; all others must
 * go through. */
static const struct left_out requests[] = {
    {"openai--envoy--chat-no-messages", "an empty messages array is the caller's fault", NULL},
    {"openai--envoy--chat-bad-request", "a user message without content is the caller's fault",
     NULL},
    {"openai--pydantic--test-multimodal-tool-return-matrix-direct-binary-audio",
     "Claude takes no audio: refused by name", NULL},
    {"openai--pydantic--test-multimodal-tool-return-matrix-direct-url-force-download-audio",
     "Claude takes no audio: refused by name", NULL},
    {"openai--pydantic--test-multimodal-tool-return-matrix-tool-return-content-uploaded-file",
     "a file id of OpenAI: refused by name", &dialect_anthropic},
    {"openai--traceloop--testfinishreasondeduplication", "n is 2: refused by name", NULL},
    {"openai--pydantic--test-background-mode-reasoning-vcr--0",
     "an answer in the background: only its provider can", NULL},
    {"openai--pydantic--test-openai-conversation-id-streaming-provider-details--1",
     "a conversation that its provider keeps: refused by name", NULL},
    {"openai--pydantic--test-openai-conversation-id-tool-call-continuation--1",
     "a conversation that its provider keeps: refused by name", NULL},
    {"openai--pydantic--test-openai-conversation-id-tool-call-continuation--2",
     "a conversation that its provider keeps: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-messages--3",
     "an encrypted compaction: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id--1",
     "previous_response_id: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id-chain--1",
     "previous_response_id: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id-chain--2",
     "previous_response_id: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id-chain--3",
     "an encrypted compaction: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id-chain--4",
     "previous_response_id: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id-chain--5",
     "an encrypted compaction: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id-chain--6",
     "previous_response_id: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-compact-with-auto-previous-response-id-chain--7",
     "an encrypted compaction: refused by name", NULL},
    {"openai--pydantic--test-openai-responses-runs-with-instructions-only--0",
     "instructions without input: Claude needs a message", &dialect_anthropic},
    {"openai--pydantic--test-multimodal-tool-return-matrix-direct-url-audio-openai-responses--1",
     "a file by URL: chat has no form for it", &dialect_openai_chat},
    {"anthropic--pydantic--test-multimodal-tool-return-matrix-direct-uploaded-file-image",
     "a file id of Anthropic: refused by name", NULL},
    {"anthropic--pydantic--test-multimodal-tool-return-matrix-tool-return-content-uploaded-file",
     "a file id of Anthropic: refused by name", NULL},
    {"openai--envoy--completion-bad-request", "max_tokens below 0 is the caller's fault", NULL},
    {"openai--envoy--completion-token-batch",
     "n is not 1: refused by name, and passed where its door stands", NULL},
};
/* The same for Gemini, which takes audio. */
static const struct left_out requests_to_gemini[] = {
    {"openai--envoy--chat-no-messages", "an empty messages array is the caller's fault", NULL},
    {"openai--envoy--chat-bad-request", "a user message without content is the caller's fault",
     NULL},
};
/* Recordings that hold no answer to what we ask. Other answers have no exceptions. */
static const struct left_out answers[] = {
    {"openai--pydantic--test-background-mode-reasoning-vcr--0",
     "a background answer, queued: nobody asks for it", NULL},
    {"openai--pydantic--test-responses-usage-limit-exceeded--0",
     "the count of another endpoint, /responses/input_tokens", NULL},
    {"openai--vercel--openai-custom-tool.1--0",
     "a call in free text, which Messages has no form for: no such tool is offered from there",
     &dialect_anthropic},
    {"gemini--pydantic--test-google-model-usage-limit-exceeded", "countTokens is not asked", NULL},
    {"vertex--pydantic--test-google-vertexai-count-tokens-forwards-native-tools--0",
     "countTokens is not asked", NULL},
    {"gemini--vercel--google-stream-no-args-tool-call-stream",
     "arguments in pieces come only when asked for: the answer breaks, no call is made up", NULL},
    {"ollama--traceloop--test-ollama-async-generation-legacy",
     "of /api/generate: only /api/chat is asked", NULL},
    {"ollama--traceloop--test-ollama-async-streaming-generation-legacy",
     "of /api/generate: only /api/chat is asked", NULL},
    {"ollama--traceloop--test-ollama-streaming-generation-legacy",
     "of /api/generate: only /api/chat is asked", NULL},
};

/* Neither request nor answer is one of ours. */
static const struct left_out both[] = {
    {"bedrock--pydantic--testbedrock.test-cohere-v3-minimal",
     "Cohere's vectors: Bedrock is not asked for any", NULL},
    {"bedrock--traceloop--test-nova-cross-region-invoke",
     "Nova's own format: it is asked by Converse", NULL},
    {"bedrock--traceloop--test-nova-invoke-stream", "Nova's own format: it is asked by Converse",
     NULL},
    {"bedrock--traceloop--test-titan-invoke-model-guardrail",
     "Titan's own format: it is asked by Converse", NULL},
};

static const struct {
    const struct left_out *rows;
    size_t count;
} lists[] = {
    {requests, ARRAY_LEN(requests)},
    {requests_to_gemini, ARRAY_LEN(requests_to_gemini)},
    {answers, ARRAY_LEN(answers)},
    {both, ARRAY_LEN(both)},
};

static const char *why_of(const struct left_out *rows, size_t count, const char *id,
                          const struct dialect *to)
{
    for (size_t i = 0; i < count; i++)
        if (left_out_names(&rows[i], id) && (!rows[i].only || rows[i].only == to))
            return rows[i].why;
    return NULL;
}

bool left_out_names(const struct left_out *row, const char *id)
{
    return span_starts(span_from(id), span_from(row->id));
}

const char *left_out_request(const char *id, const struct dialect *to)
{
    if (to == &dialect_gemini)
        return why_of(requests_to_gemini, ARRAY_LEN(requests_to_gemini), id, to);
    const char *why = why_of(requests, ARRAY_LEN(requests), id, to);
    return why ? why : why_of(both, ARRAY_LEN(both), id, to);
}

const char *left_out_answer(const char *id, const struct dialect *to)
{
    const char *why = why_of(answers, ARRAY_LEN(answers), id, to);
    return why ? why : why_of(both, ARRAY_LEN(both), id, to);
}

const struct left_out *left_out_at(size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(lists); n -= lists[i++].count)
        if (n < lists[i].count)
            return &lists[i].rows[n];
    return NULL;
}
