/* "Cause, not status": why an attempt failed, by rows that are tried from top to bottom.
 *
 * A row matches when all it names matches: statuses, the provider's code word (chat_error.code) or
 * Anthropic's type word, a piece of the message, a property of the headers. Order matters: the
 * telling words come first, then the statuses they are exceptions from. Each row says where its
 * shape was seen: P = protocols.md, L = loadtest-eval.md, E = peers.md, C = the recorded corpus,
 * V = the provider's own documentation.
 *
 * What can open a breaker for minutes (account, quota, key) is recognised by code words or by how
 * the message BEGINS, never by words in the middle of it: error messages quote the caller, and a
 * caller must not be able to take a target away from the others by sending such words.
 *
 * A 400 or 422 counts as the caller's fault only when it would be one everywhere. A request a
 * translation may have bent, or one that meets a limit of this target or model, is UNKNOWN_4XX and
 * gets one other opinion. */
#include "relay/cause_internal.h"

#include "base/span.h"

#define MINUTES(n) ((usec)(n)*60 * USEC_PER_SEC)

static const struct cause_facts facts[CAUSE_COUNT] = {
    [CAUSE_NONE] = {.name = "none", .reaction = REACT_CALLER},
    [CAUSE_TRANSIENT] = {.name = "transient", .counts = true, .repeat_here = true},
    [CAUSE_OVERLOADED] = {.name = "overloaded", .counts = true, .repeat_here = true},
    [CAUSE_RATE_LIMITED] = {.name = "rate_limited", .counts = true, .repeat_here = true},
    [CAUSE_QUOTA_GONE] = {.name = "quota_gone",
                          .counts = true,
                          .trips = true,
                          .horizon = MINUTES(15),
                          .advice = "top up the credit or raise the spend limit of this account"},
    [CAUSE_ACCOUNT_GONE] = {.name = "account_gone",
                            .counts = true,
                            .trips = true,
                            .horizon = MINUTES(30),
                            .advice = "the provider refuses this account: look at its console, "
                                      "billing and permissions"},
    [CAUSE_KEY_BAD] = {.name = "key_bad",
                       .counts = true,
                       .trips = true,
                       .horizon = MINUTES(30),
                       .advice = "the provider does not accept this key: replace it and reload"},
    /* Does not count: the name may be the client's own, and its typing errors must not take the
     * target away from others. */
    [CAUSE_MODEL_GONE] = {.name = "model_gone",
                          .advice = "this target does not know the model: check the model name in "
                                    "the chain, and the target's URL"},
    [CAUSE_CONTEXT_EXCEEDED] = {.name = "context_exceeded"},
    /* Not tried elsewhere: no shopping for the laxest policy. */
    [CAUSE_CONTENT_REFUSED] = {.name = "content_refused", .reaction = REACT_CALLER},
    [CAUSE_CALLER_FAULT] = {.name = "caller_fault", .reaction = REACT_CALLER},
    [CAUSE_UNKNOWN_4XX] = {.name = "unknown_4xx", .reaction = REACT_ELSEWHERE_ONCE},
    [CAUSE_UNREACHABLE] = {.name = "unreachable", .counts = true, .repeat_here = true},
    [CAUSE_STALLED] = {.name = "stalled", .counts = true, .repeat_here = true},
    [CAUSE_BROKEN_STREAM] = {.name = "broken_stream", .counts = true, .repeat_here = true},
    /* The reaction counts where no cleaned repeat is possible. What one cannot mend the caller
     * hears in the original words: Claude Code drops its thinking by itself when it reads them. */
    [CAUSE_NOT_READY] = {.name = "not_ready", .repeat_here = true},
    [CAUSE_OTHER_FORMAT] = {.name = "other_format",
                            .advice = "this target does not answer the model in this format: give "
                                      "it another with targets.*.api, or take api out"},
    [CAUSE_THINKING_REFUSED] = {.name = "thinking_refused", .reaction = REACT_ELSEWHERE_ONCE},
};

const struct cause_facts *cause_facts(enum cause c)
{
    assert((unsigned)c < CAUSE_COUNT);
    return &facts[c];
}

#define THINKING_MISSED "message must start with a thinking block"
#define TOOLS_WITH_EFFORT "Function tools with reasoning_effort are not supported"
#define THINKING_UNWANTED "message in the final position cannot contain `thinking`"

enum head_test { HEAD_ANY, HEAD_NO_RETRY /* x-should-retry: false */, HEAD_HTML };

struct row {
    enum cause cause;
    int least, most;  /* statuses; 0, 0 = any */
    const char *word; /* code or type, case ignored; NULL = any */
    const char *text; /* in the message, case ignored; '^' = at its beginning; NULL = any */
    enum head_test head;
};

static const struct row rows[] = {
    /* ---- HTML: a proxy or a wall in front of the provider speaks, not the provider ---- */
    {CAUSE_UNKNOWN_4XX, 413, 413, NULL, NULL, HEAD_HTML}, /* nginx's own 1 MB bound */
    {CAUSE_TRANSIENT, 400, 599, NULL, NULL, HEAD_HTML},   /* L: H7 */

    /* ---- the prompt is too long for this target: P 5.7 ---- */
    {CAUSE_CONTEXT_EXCEEDED, 0, 0, "context_length_exceeded", NULL, HEAD_ANY},   /* OpenAI, Azure */
    {CAUSE_CONTEXT_EXCEEDED, 0, 0, "exceed_context_size_error", NULL, HEAD_ANY}, /* llama.cpp */
    {CAUSE_CONTEXT_EXCEEDED, 0, 0, "context_window_exceeded", NULL, HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 0, 0, "ContextWindowExceededError", NULL, HEAD_ANY}, /* LiteLLM */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "ContextWindowExceededError", HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "prompt is too long", HEAD_ANY}, /* Anthropic */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "exceeds the context length", HEAD_ANY}, /* Ollama */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "exceeded max context length", HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "exceed context limit",
     HEAD_ANY}, /* with max_tokens */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "input is too long for requested model", HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "maximum context length", HEAD_ANY}, /* vLLM, OpenAI,
                                                                   DeepSeek, OpenRouter, Mistral */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "longer than the maximum model length", HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "cannot be greater than max_model_len", HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "maximum prompt length is", HEAD_ANY}, /* xAI */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "available context size", HEAD_ANY},   /* llama.cpp */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "context window", HEAD_ANY}, /* Responses, proxies */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "model's context length", HEAD_ANY}, /* SGLang */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "context the overflows",
     HEAD_ANY}, /* LM Studio, sic */
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "exceeds the maximum number of tokens", HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "reduce the length of the messages", HEAD_ANY},
    {CAUSE_CONTEXT_EXCEEDED, 400, 599, NULL, "capability_rejected: prompt_too_long", HEAD_ANY},
    /* One request over the whole minute's tokens can never pass here: OpenAI 429, Groq 413 */
    {CAUSE_CONTEXT_EXCEEDED, 413, 429, NULL, "^Request too large for ", HEAD_ANY},

    /* ---- the money is used up ---- */
    {CAUSE_QUOTA_GONE, 0, 0, "insufficient_quota", NULL, HEAD_ANY},           /* P 2.5 */
    {CAUSE_QUOTA_GONE, 0, 0, "enforced_spend_limit_reached", NULL, HEAD_ANY}, /* P 1.8, L: H3 */
    {CAUSE_QUOTA_GONE, 0, 0, "billing_hard_limit_reached", NULL, HEAD_ANY},   /* V: OpenAI */
    {CAUSE_QUOTA_GONE, 0, 0, "billing_not_active", NULL, HEAD_ANY},           /* V: OpenAI */
    {CAUSE_QUOTA_GONE, 400, 499, NULL, "^Your credit balance is too low", HEAD_ANY}, /* E 2.7 */
    {CAUSE_QUOTA_GONE, 400, 499, NULL, "^You have reached your specified API usage limits",
     HEAD_ANY}, /* L: H5, a limit the user has set */
    {CAUSE_QUOTA_GONE, 400, 499, NULL, "^You have reached your specified workspace API usage",
     HEAD_ANY},
    /* Not here: "You exceeded your current quota": OpenAI adds its code to it (above), and Gemini
     * says it of a minute's quota, too. */
    {CAUSE_QUOTA_GONE, 400, 499, NULL, "^This request would exceed your organization's spend",
     HEAD_ANY},

    /* ---- the account is closed ---- */
    {CAUSE_ACCOUNT_GONE, 400, 400, "FAILED_PRECONDITION", "^User location is not supported",
     HEAD_ANY}, /* V: Gemini */
    {CAUSE_ACCOUNT_GONE, 400, 499, NULL, "^This organization has been disabled",
     HEAD_ANY}, /* L: H4 */
    {CAUSE_ACCOUNT_GONE, 400, 499, NULL, "^Your organization has been disabled", HEAD_ANY},
    {CAUSE_ACCOUNT_GONE, 400, 499, NULL, "^Your account has been disabled", HEAD_ANY},
    {CAUSE_ACCOUNT_GONE, 0, 0, "account_deactivated", NULL, HEAD_ANY}, /* V: OpenAI, a 401 */
    {CAUSE_ACCOUNT_GONE, 0, 0, "billing_error", NULL, HEAD_ANY},       /* P 1.8, the type of 402 */

    /* ---- the provider's policy ---- */
    {CAUSE_CONTENT_REFUSED, 400, 499, "content_policy_violation", NULL, HEAD_ANY}, /* V: OpenAI */
    {CAUSE_CONTENT_REFUSED, 400, 499, "content_filter", NULL, HEAD_ANY},           /* V: Azure */
    {CAUSE_CONTENT_REFUSED, 400, 499, "ResponsibleAIPolicyViolation", NULL, HEAD_ANY},
    {CAUSE_CONTENT_REFUSED, 400, 499, "invalid_prompt", NULL, HEAD_ANY}, /* V: OpenAI, reasoning */
    {CAUSE_CONTENT_REFUSED, 400, 599, NULL, "^Output blocked by content filtering policy",
     HEAD_ANY},                                                             /* Anthropic */
    {CAUSE_CONTENT_REFUSED, 403, 403, NULL, "input was flagged", HEAD_ANY}, /* V: OpenRouter */
    {CAUSE_CONTENT_REFUSED, 400, 499, NULL, "^Invalid prompt: your prompt was flagged", HEAD_ANY},

    /* ---- OpenAI's models that want /responses: V, 400 and 404 ---- */
    {CAUSE_OTHER_FORMAT, 400, 404, NULL, "only supported in v1/responses", HEAD_ANY},
    {CAUSE_OTHER_FORMAT, 400, 404, NULL, "not supported in the v1/chat/completions", HEAD_ANY},
    {CAUSE_OTHER_FORMAT, 400, 404, NULL, "not supported in /v1/chat/completions", HEAD_ANY},
    {CAUSE_OTHER_FORMAT, 400, 404, NULL, TOOLS_WITH_EFFORT, HEAD_ANY},
    {CAUSE_OTHER_FORMAT, 400, 404, NULL, "^The chatCompletion operation does not work",
     HEAD_ANY}, /* Azure */

    /* ---- the model ---- */
    {CAUSE_MODEL_GONE, 0, 0, "model_not_found", NULL, HEAD_ANY},    /* C: 404; Responses 400; 403 */
    {CAUSE_MODEL_GONE, 0, 0, "DeploymentNotFound", NULL, HEAD_ANY}, /* C: Azure */
    {CAUSE_MODEL_GONE, 0, 0, "model_decommissioned", NULL, HEAD_ANY}, /* V: Groq */
    {CAUSE_MODEL_GONE, 404, 404, NULL, "model", HEAD_ANY}, /* C: "model: X", vLLM, Ollama, Gemini */
    {CAUSE_MODEL_GONE, 404, 404, NULL, "deployment", HEAD_ANY},
    {CAUSE_MODEL_GONE, 404, 404, NULL, "^No endpoints found", HEAD_ANY}, /* V: OpenRouter */
    {CAUSE_MODEL_GONE, 404, 404, NULL, "^Not Found", HEAD_ANY},          /* FastAPI: no such path */
    {CAUSE_MODEL_GONE, 404, 404, NULL, "without a body", HEAD_ANY},
    {CAUSE_MODEL_GONE, 410, 410, NULL, NULL, HEAD_ANY},

    /* ---- the key ---- */
    {CAUSE_KEY_BAD, 401, 401, NULL, NULL, HEAD_ANY},                 /* P 1.8, L: H5 */
    {CAUSE_KEY_BAD, 400, 403, "invalid_api_key", NULL, HEAD_ANY},    /* P 2.5 */
    {CAUSE_KEY_BAD, 400, 400, NULL, "^API key not valid", HEAD_ANY}, /* V: Gemini */
    {CAUSE_KEY_BAD, 400, 400, NULL, "^API key expired", HEAD_ANY},   /* V: Gemini */
    {CAUSE_KEY_BAD, 400, 400, NULL, "^API key not found", HEAD_ANY}, /* V: Gemini */

    /* ---- AWS names what happened (V: InvokeModel, common errors; also inside a stream) ---- */
    {CAUSE_KEY_BAD, 400, 403, "UnrecognizedClientException", NULL, HEAD_ANY},
    {CAUSE_KEY_BAD, 400, 403, "InvalidSignatureException", NULL, HEAD_ANY},
    {CAUSE_KEY_BAD, 400, 403, "IncompleteSignatureException", NULL, HEAD_ANY},
    {CAUSE_KEY_BAD, 400, 403, "MissingAuthenticationTokenException", NULL, HEAD_ANY},
    {CAUSE_KEY_BAD, 400, 403, "ExpiredTokenException", NULL, HEAD_ANY},
    {CAUSE_MODEL_GONE, 400, 404, "ResourceNotFoundException", NULL, HEAD_ANY},
    {CAUSE_MODEL_GONE, 400, 400, "ValidationException", "^The provided model identifier is invalid",
     HEAD_ANY},
    {CAUSE_MODEL_GONE, 400, 400, "ValidationException", "^Invocation of model ID", HEAD_ANY},
    {CAUSE_RATE_LIMITED, 0, 0, "ThrottlingException", NULL, HEAD_ANY},
    {CAUSE_RATE_LIMITED, 0, 0, "ServiceQuotaExceededException", NULL, HEAD_ANY},
    {CAUSE_OVERLOADED, 0, 0, "ModelNotReadyException", NULL, HEAD_ANY},
    {CAUSE_OVERLOADED, 0, 0, "ServiceUnavailableException", NULL, HEAD_ANY},
    {CAUSE_TRANSIENT, 0, 0, "ModelErrorException", NULL, HEAD_ANY}, /* 424 */
    {CAUSE_TRANSIENT, 0, 0, "ModelStreamErrorException", NULL, HEAD_ANY},
    {CAUSE_TRANSIENT, 0, 0, "ModelTimeoutException", NULL, HEAD_ANY}, /* 408 */
    {CAUSE_TRANSIENT, 0, 0, "InternalServerException", NULL, HEAD_ANY},

    /* ---- the model's own slip, told as a 400 or inside a stream: again, it may not repeat it ----
     */
    {CAUSE_TRANSIENT, 0, 0, "tool_use_failed", NULL, HEAD_ANY},      /* C: Groq */
    {CAUSE_TRANSIENT, 0, 0, "json_validate_failed", NULL, HEAD_ANY}, /* V: Groq */

    /* ---- the rest by status ---- */
    {CAUSE_ACCOUNT_GONE, 402, 402, NULL, NULL, HEAD_ANY}, /* L: H5 */
    {CAUSE_ACCOUNT_GONE, 403, 403, NULL, NULL, HEAD_ANY}, /* L: H5, E 2.7 */
    {CAUSE_QUOTA_GONE, 429, 429, NULL, NULL, HEAD_NO_RETRY},
    {CAUSE_RATE_LIMITED, 429, 429, NULL, NULL, HEAD_ANY},              /* L: H2 */
    {CAUSE_RATE_LIMITED, 0, 0, "rate_limit_exceeded", NULL, HEAD_ANY}, /* also inside a stream */
    {CAUSE_OVERLOADED, 0, 0, "overloaded_error", NULL, HEAD_ANY},      /* L: H1, finding 5; E 2.7 */
    {CAUSE_OVERLOADED, 529, 529, NULL, NULL, HEAD_ANY},
    {CAUSE_OVERLOADED, 498, 498, NULL, NULL, HEAD_ANY}, /* V: Groq, flex capacity */
    {CAUSE_OVERLOADED, 503, 503, NULL, "overloaded", HEAD_ANY},
    {CAUSE_TRANSIENT, 500, 599, NULL, NULL, HEAD_ANY}, /* L: H7 */
    {CAUSE_TRANSIENT, 408, 409, NULL, NULL, HEAD_ANY}, /* P 1.8 */
    {CAUSE_TRANSIENT, 425, 425, NULL, NULL, HEAD_ANY},

    /* ---- thinking in the history, or the lack of it: P 1.6b, V, and issues of clients and
     * gateways that replay it; with and without the backquotes ---- */
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "Invalid `signature` in `thinking` block", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "Invalid signature in thinking block", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "Invalid `signature` in thinking block", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "Invalid `data` in `redacted_thinking` block",
     HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "block is bound to a different conversation",
     HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL,
     "blocks in the latest assistant message cannot be modified", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "thinking.signature: Field required", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "redacted_thinking.data: Field required", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "each thinking block must contain thinking", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL,
     "final block in an assistant message cannot be `thinking`", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL,
     "message contains any thinking blocks, the first block must be", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "Corrupted thought signature", HEAD_ANY}, /* Gemini */
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "Invalid thought signature", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, "is missing a thought_signature", HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, THINKING_MISSED, HEAD_ANY},
    {CAUSE_THINKING_REFUSED, 400, 400, NULL, THINKING_UNWANTED, HEAD_ANY},

    /* ---- wrong wherever it goes: L: H6 ---- */
    {CAUSE_CALLER_FAULT, 413, 413, NULL, NULL, HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "at least one message is required", HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, "empty_array", "'messages'", HEAD_ANY},     /* C */
    {CAUSE_CALLER_FAULT, 400, 422, "integer_below_min_value", NULL, HEAD_ANY}, /* C */
    {CAUSE_CALLER_FAULT, 400, 422, "decimal_below_min_value", NULL, HEAD_ANY}, /* C */
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "^max_tokens: Field required", HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "^messages: Field required", HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "^model: Field required", HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "`tool_use` ids were found without `tool_result`",
     HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "tool_use ids were found without tool_result", HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "unexpected `tool_use_id` found in `tool_result`",
     HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "must be followed by tool messages",
     HEAD_ANY}, /* OpenAI */
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "all messages must have non-empty content", HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "text content blocks must be non-empty", HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "final assistant content cannot end with trailing",
     HEAD_ANY},
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "could not parse the JSON body", HEAD_ANY}, /* OpenAI */
    {CAUSE_CALLER_FAULT, 400, 422, NULL, "^The request body is not valid JSON", HEAD_ANY},
    {CAUSE_UNKNOWN_4XX, 400, 499, NULL, NULL, HEAD_ANY},
};

static bool text_matches(struct span message, const char *text)
{
    if (!text)
        return true;
    if (text[0] == '^')
        return span_istarts(span_trim(message), span_from(text + 1));
    return span_isearch(message, span_from(text)) >= 0;
}

static bool word_matches(const struct chat_error *e, const char *word)
{
    return !word || span_iis(e->code, word) || span_iis(e->type, word);
}

/* dialect_read_error words an HTML page so; the header is not always at hand. */
static bool is_html(const struct http_head *head, const struct chat_error *e)
{
    struct span type = head ? http_field_get(head, "content-type") : SPAN_EMPTY;
    return span_istarts(type, SPAN("text/html")) ||
           span_starts(e->message, SPAN("The upstream answered with an HTML page"));
}

static bool head_matches(const struct http_head *head, const struct chat_error *e,
                         enum head_test test)
{
    switch (test) {
    case HEAD_ANY:
        return true;
    case HEAD_NO_RETRY:
        return head && span_iis(span_trim(http_field_get(head, "x-should-retry")), "false");
    case HEAD_HTML:
        return is_html(head, e);
    }
    return false;
}

static enum cause by_rows(int status, const struct http_head *head, const struct chat_error *e)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        if (r->least > 0 && (status < r->least || status > r->most))
            continue;
        if (!word_matches(e, r->word) || !text_matches(e->message, r->text))
            continue;
        if (head_matches(head, e, r->head))
            return r->cause;
    }
    return CAUSE_BROKEN_STREAM; /* 1xx, 3xx and statuses nobody defined: not an answer we can use */
}

/* No response told us anything: the connection, or a deadline of ours, did. */
static enum cause by_transport(const struct cause_evidence *e)
{
    bool timed_out = e->deadline || e->err == ERR_TIMEOUT;
    if (e->err == ERR_OK && !e->deadline) /* a whole 2xx, or one not fit to be used */
        return e->status >= 200 && e->status <= 299 ? CAUSE_NONE : CAUSE_BROKEN_STREAM;
    if (e->status == 0 && e->stage == CALL_CONNECT) /* ERR_LIMIT: our own pool is full */
        return e->err == ERR_LIMIT ? CAUSE_OVERLOADED : CAUSE_UNREACHABLE;
    return timed_out ? CAUSE_STALLED : CAUSE_BROKEN_STREAM;
}

enum cause cause_of(const struct cause_evidence *e, usec wall_now, usec *out_retry_after)
{
    static const struct chat_error nothing_said;
    const struct chat_error *error = e->error ? e->error : &nothing_said;
    bool told = e->status >= 300 || (e->in_stream && e->error);
    if (!told) {
        *out_retry_after = 0;
        return by_transport(e);
    }
    int status = e->status >= 300 ? e->status : error->status;
    enum cause c = by_rows(status, e->in_stream ? NULL : e->head, error);
    *out_retry_after = cause_wait(e->head, status == 429, wall_now);
    return c;
}

bool cause_wants_thinking_off(const struct chat_error *e)
{
    return text_matches(e->message, THINKING_MISSED) || text_matches(e->message, THINKING_UNWANTED);
}

bool cause_is_about_tools(const struct chat_error *e)
{
    return text_matches(e->message, TOOLS_WITH_EFFORT);
}
