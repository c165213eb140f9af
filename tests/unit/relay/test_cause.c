/* Causes: real bodies and headers go in as the exchange would hand them over, one cause comes out.
 * The corpus of recorded errors must not contain one that is taken for something dangerous. */
#include "relay/cause.h"

#include "base/arena.h"
#include "base/span.h"
#include "dialect/dialect.h"

#include <stdio.h>
#include <stdlib.h>

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define WALL ((usec)1792567680 * USEC_PER_SEC) /* 2026-10-21T07:28:00Z */

static struct http_head head_of(const struct http_field *fields, size_t count)
{
    return (struct http_head){.fields = fields, .field_count = count};
}

struct told {
    enum cause cause;
    usec wait;
};

static struct told judge(int status, const char *body, const struct http_field *fields,
                         size_t field_count)
{
    struct arena a;
    struct chat_error e;
    struct http_head head = head_of(fields, field_count);
    struct told t;
    arena_init(&a, 1 << 20);
    dialect_anthropic.read_error(&a, status, span_from(body), &e);
    struct cause_evidence evidence = {
        .stage = CALL_BODY, .status = status, .head = &head, .error = &e};
    t.cause = cause_of(&evidence, WALL, &t.wait);
    arena_deinit(&a);
    return t;
}

struct body_case {
    enum cause want;
    int status;
    const char *body;
};

static void expect_bodies(const struct body_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum cause got = judge(cases[i].status, cases[i].body, NULL, 0).cause;
        if (got != cases[i].want)
            fail_msg("%d %s: %s, not %s", cases[i].status, cases[i].body, cause_facts(got)->name,
                     cause_facts(cases[i].want)->name);
    }
}

#define ANTHROPIC(type, message)                                                                   \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}"
#define OPENAI(type, code, message)                                                                \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type                                     \
    "\",\"param\":null,\"code\":\"" code "\"}}"

static void cause_tells_a_dead_account_in_a_400_from_the_callers_fault(void **state)
{
    (void)state;
    static const struct body_case cases[] = {
        {CAUSE_ACCOUNT_GONE, 400,
         ANTHROPIC("invalid_request_error", "This organization has been disabled.")},
        {CAUSE_QUOTA_GONE, 400,
         ANTHROPIC("invalid_request_error",
                   "Your credit balance is too low to access the Anthropic API. Please go to "
                   "Plans & Billing to upgrade or purchase credits.")},
        {CAUSE_QUOTA_GONE, 400,
         ANTHROPIC("invalid_request_error",
                   "You have reached your specified API usage limits. You will regain access on "
                   "2026-11-01 at 00:00 UTC.")},
        {CAUSE_CALLER_FAULT, 400,
         ANTHROPIC("invalid_request_error", "messages: at least one message is required")},
        {CAUSE_CALLER_FAULT, 400, ANTHROPIC("invalid_request_error", "max_tokens: Field required")},
        {CAUSE_CALLER_FAULT, 400,
         ANTHROPIC("invalid_request_error",
                   "messages.1: `tool_use` ids were found without `tool_result` blocks immediately "
                   "after: toolu_01. Each `tool_use` block must have a corresponding `tool_result` "
                   "block in the next message.")},
        {CAUSE_UNKNOWN_4XX, 400,
         ANTHROPIC("invalid_request_error", "something this table has never heard of")},
    };
    expect_bodies(cases, ARRAY_LEN(cases));
}

static void cause_words_quoted_from_the_caller_cannot_close_a_target(void **state)
{
    (void)state;
    static const struct body_case cases[] = {
        {CAUSE_UNKNOWN_4XX, 400,
         OPENAI("invalid_request_error", "invalid_value",
                "Invalid value: 'This organization has been disabled'. Supported values are: 'a'")},
        {CAUSE_UNKNOWN_4XX, 400,
         OPENAI("invalid_request_error", "invalid_value",
                "Invalid value: 'Your credit balance is too low'.")},
        {CAUSE_MODEL_GONE, 404,
         ANTHROPIC("not_found_error", "model: This organization has been disabled")},
    };
    expect_bodies(cases, ARRAY_LEN(cases));
    for (enum cause c = 0; c < CAUSE_COUNT; c++) /* only these close a target at once */
        assert_int_equal(cause_facts(c)->trips,
                         c == CAUSE_QUOTA_GONE || c == CAUSE_ACCOUNT_GONE || c == CAUSE_KEY_BAD);
}

/* As clients and gateways have reported them. */
static void cause_knows_a_refusal_of_thinking(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.3.content.13: Invalid signature in thinking block",
        ("messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a "
         "different conversation. Remove the block, or set "
         "`thinking.block_binding.prefix_mismatch_behavior`."),
        "messages.5.content.48: Invalid `data` in `redacted_thinking` block",
        ("messages.7.content.12: `thinking` or `redacted_thinking` blocks in the latest assistant "
         "message cannot be modified. These blocks must remain as they were in the original "
         "response."),
        ("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
         "`tool_use`. When `thinking` is enabled, a final `assistant` message must start with a "
         "thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."),
        ("messages.5.content.0: If an assistant message contains any thinking blocks, the first "
         "block must be `thinking` or `redacted_thinking`. Found `text`."),
        "messages.1: The final block in an assistant message cannot be `thinking`.",
        "messages.1.content.0.thinking.signature: Field required",
        "messages.0.content.0.redacted_thinking.data: Field required",
        "messages.1.content.0.thinking: each thinking block must contain thinking",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char body[1024];
        (void)snprintf(body, sizeof body, ANTHROPIC("invalid_request_error", "%s"), texts[i]);
        if (judge(400, body, NULL, 0).cause != CAUSE_THINKING_REFUSED)
            fail_msg("%s: not recognised", texts[i]);
        struct chat_error e = {.message = span_from(texts[i])};
        assert_int_equal(cause_wants_thinking_off(&e), i == 5);
    }
    static const struct body_case others[] = {
        {CAUSE_UNKNOWN_4XX, 400,
         ANTHROPIC("invalid_request_error",
                   "`temperature` may only be set to 1 when thinking is enabled")},
        {CAUSE_UNKNOWN_4XX, 422,
         ANTHROPIC("invalid_request_error", "Invalid `signature` in `thinking` block")},
    };
    expect_bodies(others, ARRAY_LEN(others));
    assert_false(cause_facts(CAUSE_THINKING_REFUSED)->counts);
}

static void cause_reads_statuses_where_no_word_says_more(void **state)
{
    (void)state;
    static const struct body_case cases[] = {
        {CAUSE_KEY_BAD, 401, ANTHROPIC("authentication_error", "invalid x-api-key")},
        {CAUSE_ACCOUNT_GONE, 401, OPENAI("invalid_request_error", "account_deactivated", "gone")},
        {CAUSE_ACCOUNT_GONE, 402, ANTHROPIC("billing_error", "pay")},
        {CAUSE_ACCOUNT_GONE, 402, "{\"error\":{\"message\":\"Insufficient Balance\"}}"},
        {CAUSE_ACCOUNT_GONE, 403, ANTHROPIC("permission_error", "not allowed")},
        {CAUSE_MODEL_GONE, 404, ANTHROPIC("not_found_error", "model: claude-9")},
        {CAUSE_UNKNOWN_4XX, 404, ANTHROPIC("not_found_error", "File not found: file_1")},
        {CAUSE_MODEL_GONE, 404, "{\"detail\":\"Not Found\"}"},
        {CAUSE_MODEL_GONE, 404, ""},
        {CAUSE_MODEL_GONE, 404, "{\"error\":\"model 'llama9' not found\"}"},
        {CAUSE_MODEL_GONE, 404,
         "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"The API deployment\"}}"},
        {CAUSE_MODEL_GONE, 400, OPENAI("invalid_request_error", "model_not_found", "gpt-9")},
        {CAUSE_MODEL_GONE, 403, OPENAI("invalid_request_error", "model_not_found", "no access")},
        {CAUSE_TRANSIENT, 408, ""},
        {CAUSE_TRANSIENT, 409, ANTHROPIC("conflict_error", "x")},
        {CAUSE_CALLER_FAULT, 413, ANTHROPIC("request_too_large", "Request exceeds 32 MB")},
        {CAUSE_UNKNOWN_4XX, 422, "{\"detail\":[{\"loc\":[\"body\",\"n\"],\"msg\":\"bad\"}]}"},
        {CAUSE_RATE_LIMITED, 429, ANTHROPIC("rate_limit_error", "slow down")},
        {CAUSE_QUOTA_GONE, 429, OPENAI("insufficient_quota", "insufficient_quota", "plan")},
        {CAUSE_QUOTA_GONE, 429,
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\","
         "\"details\":{\"error_code\":\"enforced_spend_limit_reached\"}}}"},
        {CAUSE_RATE_LIMITED, 429,
         "{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota. Please retry "
         "in 23s.\",\"status\":\"RESOURCE_EXHAUSTED\"}}"}, /* Gemini: a minute's quota */
        {CAUSE_TRANSIENT, 500, ANTHROPIC("api_error", "Internal server error")},
        {CAUSE_TRANSIENT, 502, ""},
        {CAUSE_TRANSIENT, 503, "{\"error\":{\"code\":503,\"message\":\"Loading model\"}}"},
        {CAUSE_OVERLOADED, 503, OPENAI("server_error", "x", "That model is currently overloaded")},
        {CAUSE_TRANSIENT, 504, ANTHROPIC("timeout_error", "x")},
        {CAUSE_TRANSIENT, 522, ""},
        {CAUSE_OVERLOADED, 529, ANTHROPIC("overloaded_error", "Overloaded")},
        {CAUSE_OVERLOADED, 529, ""},
        {CAUSE_KEY_BAD, 400,
         "[{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API "
         "key.\",\"status\":\"INVALID_ARGUMENT\"}}]"},
        {CAUSE_CONTENT_REFUSED, 400,
         "{\"error\":{\"code\":\"content_filter\",\"message\":\"The response was filtered\"}}"},
        {CAUSE_OTHER_FORMAT, 400,
         "{\"error\":{\"message\":\"Function tools with reasoning_effort are not supported for "
         "gpt-5.6 in /v1/chat/completions. To use function tools, use /v1/responses or set "
         "reasoning_effort to 'none'.\",\"param\":\"reasoning_effort\",\"code\":null}}"},
        {CAUSE_OTHER_FORMAT, 404,
         "{\"error\":{\"message\":\"This model is only supported in v1/responses and not in "
         "v1/chat/completions.\",\"param\":\"model\",\"code\":null}}"},
        {CAUSE_OTHER_FORMAT, 404,
         "{\"error\":{\"message\":\"This is not a chat model and thus not supported in the "
         "v1/chat/completions endpoint. Did you mean to use v1/completions?\"}}"},
        {CAUSE_OTHER_FORMAT, 400,
         "{\"error\":{\"code\":\"OperationNotSupported\",\"message\":\"The chatCompletion "
         "operation "
         "does not work with the specified model, gpt-5-codex.\"}}"},
        {CAUSE_CONTENT_REFUSED, 403,
         "{\"error\":{\"code\":403,\"message\":\"Your input was flagged\"}}"},
        {CAUSE_BROKEN_STREAM, 302, ""},
    };
    expect_bodies(cases, ARRAY_LEN(cases));
}

static void cause_knows_a_full_context_in_every_servers_words(void **state)
{
    (void)state;
    static const struct body_case cases[] = {
        {CAUSE_CONTEXT_EXCEEDED, 400,
         ANTHROPIC("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         ANTHROPIC("invalid_request_error",
                   "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000")},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         OPENAI("invalid_request_error", "context_length_exceeded",
                "This model's maximum context length is 128000 tokens.")},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"object\":\"error\",\"message\":\"This model's maximum context length is 4096 tokens. "
         "However, you requested 5000\",\"type\":\"BadRequestError\",\"code\":400}"},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"error\":{\"message\":\"The decoder prompt (length 9) is longer than the maximum model "
         "length of 8.\",\"type\":\"BadRequestError\",\"code\":400}}"},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"error\":{\"message\":\"max_tokens=9 cannot be greater than max_model_len=8. Please "
         "request fewer output tokens. (parameter=max_tokens, value=9)\",\"type\":"
         "\"BadRequestError\",\"param\":\"max_tokens\",\"code\":400}}"},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"error\":\"the input length exceeds the context length\"}"}, /* Ollama 0.17 */
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size\","
         "\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":9,\"n_ctx\":8}}"},
        {CAUSE_CONTEXT_EXCEEDED, 500,
         "{\"error\":{\"code\":500,\"message\":\"the request exceeds the available context "
         "size\"}}"},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"error\":\"Trying to keep the first 5000 tokens when context the overflows.\"}"},
        {CAUSE_CONTEXT_EXCEEDED, 400, "{\"message\":\"Input is too long for requested model.\"}"},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"error\":{\"code\":400,\"message\":\"The input token count (9) exceeds the maximum "
         "number of tokens allowed (8).\",\"status\":\"INVALID_ARGUMENT\"}}"},
        {CAUSE_CONTEXT_EXCEEDED, 413, ANTHROPIC("request_too_large", "exceeds the context window")},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         "{\"error\":{\"message\":\"litellm.ContextWindowExceededError: too much\",\"type\":null,"
         "\"param\":null,\"code\":\"400\"}}"},
        {CAUSE_CONTEXT_EXCEEDED, 429,
         OPENAI("tokens", "rate_limit_exceeded",
                "Request too large for gpt-4o on tokens per min (TPM): Limit 1, Requested 2.")},
    };
    expect_bodies(cases, ARRAY_LEN(cases));
}

static void cause_html_is_a_wall_in_front_of_the_provider(void **state)
{
    (void)state;
    static const struct body_case cases[] = {
        {CAUSE_TRANSIENT, 502, "<html><title>502 Bad Gateway</title></html>"},
        {CAUSE_TRANSIENT, 403, "<!DOCTYPE html><title>Attention Required!</title>"},
        {CAUSE_TRANSIENT, 404, "<html><body>no such model page</body></html>"},
        {CAUSE_UNKNOWN_4XX, 413, "<html><title>413 Request Entity Too Large</title></html>"},
    };
    expect_bodies(cases, ARRAY_LEN(cases));
    struct http_field html[] = {{SPAN("Content-Type"), SPAN("text/html; charset=utf-8")}};
    assert_int_equal(judge(401, "gone fishing", html, 1).cause, CAUSE_TRANSIENT);
}

static void cause_no_retry_header_makes_a_429_final(void **state)
{
    (void)state;
    struct http_field no[] = {{SPAN("x-should-retry"), SPAN("false")}};
    struct http_field yes[] = {{SPAN("x-should-retry"), SPAN("true")}};
    const char *body = ANTHROPIC("rate_limit_error", "x");
    assert_int_equal(judge(429, body, no, 1).cause, CAUSE_QUOTA_GONE);
    assert_int_equal(judge(429, body, yes, 1).cause, CAUSE_RATE_LIMITED);
}

static void cause_judges_errors_inside_a_200_stream(void **state)
{
    (void)state;
    const struct {
        enum cause want;
        struct chat_error error;
    } cases[] = {
        {CAUSE_OVERLOADED, {.status = 529, .type = SPAN("overloaded_error")}},
        {CAUSE_TRANSIENT, {.status = 500, .type = SPAN("api_error")}},
        {CAUSE_TRANSIENT, {.status = 500, .type = SPAN("api_error"), .code = SPAN("server_error")}},
        {CAUSE_RATE_LIMITED, {.status = 429, .type = SPAN("rate_limit_error")}},
        {CAUSE_RATE_LIMITED, {.status = 500, .code = SPAN("rate_limit_exceeded")}},
        {CAUSE_QUOTA_GONE, {.status = 500, .code = SPAN("insufficient_quota")}},
        {CAUSE_CONTEXT_EXCEEDED, {.status = 500, .code = SPAN("context_length_exceeded")}},
        {CAUSE_UNKNOWN_4XX, {.status = 400, .type = SPAN("invalid_request_error")}},
    };
    struct http_field fields[] = {{SPAN("content-type"), SPAN("text/event-stream")}};
    struct http_head head = head_of(fields, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        usec wait = 77;
        struct cause_evidence e = {.stage = CALL_BODY,
                                   .status = 200,
                                   .head = &head,
                                   .error = &cases[i].error,
                                   .in_stream = true};
        assert_int_equal(cause_of(&e, WALL, &wait), cases[i].want);
        assert_int_equal(wait, 0);
    }
}

/* Bodies of the other providers: Groq's as recorded, the rest as their makers document them. */
static void cause_knows_the_other_providers_words(void **state)
{
    (void)state;
#define GOOGLE(code, word, message)                                                                \
    "{\"error\":{\"code\":" code ",\"message\":\"" message "\",\"status\":\"" word "\"}}"
    static const struct body_case cases[] = {
        {CAUSE_TRANSIENT, 400,
         "{\"error\":{\"code\":\"tool_use_failed\",\"failed_generation\":\"maybe\",\"message\":"
         "\"Tool choice is required, but model did not call a tool\",\"type\":"
         "\"invalid_request_error\"}}"},
        {CAUSE_MODEL_GONE, 404,
         OPENAI("invalid_request_error", "model_not_found",
                "The model `x` does not exist or you do not have access to it.")},
        {CAUSE_ACCOUNT_GONE, 402,
         "{\"error\":{\"code\":402,\"message\":\"Insufficient credits.\"}}"},
        {CAUSE_MODEL_GONE, 404,
         "{\"error\":{\"message\":\"No endpoints found for a/b.\",\"code\":404}}"},
        {CAUSE_CONTENT_REFUSED, 403,
         "{\"error\":{\"code\":403,\"message\":\"a/b requires moderation. Your input was flagged\""
         "}}"},
        {CAUSE_MODEL_GONE, 404,
         "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"The API deployment for this "
         "resource does not exist.\"}}"},
        {CAUSE_CONTENT_REFUSED, 400,
         "{\"error\":{\"message\":\"The response was filtered\",\"type\":null,\"param\":\"prompt\","
         "\"code\":\"content_filter\",\"innererror\":{\"code\":"
         "\"ResponsibleAIPolicyViolation\"}}}"},
        {CAUSE_KEY_BAD, 400, GOOGLE("400", "INVALID_ARGUMENT", "API key not valid. Please pass")},
        {CAUSE_KEY_BAD, 400, GOOGLE("400", "INVALID_ARGUMENT", "API Key not found. Please pass")},
        {CAUSE_ACCOUNT_GONE, 400,
         GOOGLE("400", "FAILED_PRECONDITION", "User location is not supported for the API use.")},
        {CAUSE_UNKNOWN_4XX, 400,
         GOOGLE("400", "INVALID_ARGUMENT", "x User location is not supported for the API use.")},
        {CAUSE_ACCOUNT_GONE, 403, GOOGLE("403", "PERMISSION_DENIED", "Your API key was reported")},
        {CAUSE_MODEL_GONE, 404,
         GOOGLE("404", "NOT_FOUND", "models/x is not found for API version")},
        {CAUSE_RATE_LIMITED, 429, GOOGLE("429", "RESOURCE_EXHAUSTED", "You exceeded your current")},
        {CAUSE_OVERLOADED, 503, GOOGLE("503", "UNAVAILABLE", "The model is overloaded.")},
        {CAUSE_TRANSIENT, 500, GOOGLE("500", "INTERNAL", "An internal error has occurred.")},
        {CAUSE_THINKING_REFUSED, 400,
         GOOGLE("400", "INVALID_ARGUMENT",
                "Function call is missing a thought_signature in functionCall parts.")},
        {CAUSE_THINKING_REFUSED, 400,
         GOOGLE("400", "INVALID_ARGUMENT", "Corrupted thought signature.")},
        {CAUSE_CONTEXT_EXCEEDED, 400,
         GOOGLE("400", "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).")},
    };
    expect_bodies(cases, ARRAY_LEN(cases));
}

/* AWS: the word is in x-amzn-errortype, or names an exception inside a stream. */
static void cause_knows_what_aws_calls_things(void **state)
{
    (void)state;
    const struct {
        enum cause want;
        int status;
        const char *word, *message;
    } cases[] = {
        {CAUSE_KEY_BAD, 403, "InvalidSignatureException", "The request signature we calculated"},
        {CAUSE_KEY_BAD, 403, "UnrecognizedClientException", "The security token is invalid."},
        {CAUSE_KEY_BAD, 403, "ExpiredTokenException", "The security token has expired"},
        {CAUSE_ACCOUNT_GONE, 403, "AccessDeniedException", "You don't have access to the model"},
        {CAUSE_RATE_LIMITED, 429, "ThrottlingException", "Too many requests"},
        {CAUSE_RATE_LIMITED, 400, "ServiceQuotaExceededException", "x"},
        {CAUSE_OVERLOADED, 429, "ModelNotReadyException", "x"},
        {CAUSE_OVERLOADED, 503, "ServiceUnavailableException", "x"},
        {CAUSE_TRANSIENT, 424, "ModelErrorException", "x"},
        {CAUSE_TRANSIENT, 408, "ModelTimeoutException", "x"},
        {CAUSE_TRANSIENT, 500, "InternalServerException", "x"},
        {CAUSE_TRANSIENT, 500, "modelStreamErrorException", "x"}, /* as streams spell it */
        {CAUSE_MODEL_GONE, 404, "ResourceNotFoundException", "x"},
        {CAUSE_MODEL_GONE, 400, "ValidationException", "The provided model identifier is invalid."},
        {CAUSE_MODEL_GONE, 400, "ValidationException",
         "Invocation of model ID x with on-demand throughput isn\xe2\x80\x99t supported."},
        {CAUSE_CONTEXT_EXCEEDED, 400, "ValidationException", "prompt is too long: 9 > 8"},
        {CAUSE_UNKNOWN_4XX, 400, "ValidationException", "Malformed input request"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct chat_error error = {.status = cases[i].status,
                                   .code = span_from(cases[i].word),
                                   .message = span_from(cases[i].message)};
        usec wait;
        struct cause_evidence e = {.stage = CALL_BODY, .status = cases[i].status, .error = &error};
        if (cause_of(&e, WALL, &wait) != cases[i].want)
            fail_msg("%s: %s", cases[i].word, cases[i].message);
        e.status = 200;
        e.in_stream = true;
        assert_int_equal(cause_of(&e, WALL, &wait), cases[i].want);
    }
}

static void cause_judges_connections_and_deadlines(void **state)
{
    (void)state;
    const struct {
        enum cause want;
        struct cause_evidence e;
    } cases[] = {
        {CAUSE_NONE, {.status = 200, .stage = CALL_BODY}},
        {CAUSE_UNREACHABLE, {.err = ERR_NAME, .stage = CALL_CONNECT}},
        {CAUSE_UNREACHABLE, {.err = ERR_REFUSED, .stage = CALL_CONNECT}},
        {CAUSE_UNREACHABLE, {.err = ERR_TLS, .stage = CALL_CONNECT}},
        {CAUSE_UNREACHABLE, {.err = ERR_TIMEOUT, .stage = CALL_CONNECT}},
        {CAUSE_UNREACHABLE, {.err = ERR_TIMEOUT, .stage = CALL_CONNECT, .deadline = true}},
        {CAUSE_OVERLOADED, {.err = ERR_LIMIT, .stage = CALL_CONNECT}},
        {CAUSE_STALLED, {.err = ERR_TIMEOUT, .stage = CALL_SEND}},
        {CAUSE_STALLED, {.err = ERR_TIMEOUT, .stage = CALL_WAIT, .deadline = true}},
        {CAUSE_STALLED, {.err = ERR_TIMEOUT, .status = 200, .stage = CALL_BODY, .deadline = true}},
        {CAUSE_BROKEN_STREAM, {.err = ERR_RESET, .stage = CALL_WAIT}},
        {CAUSE_BROKEN_STREAM, {.err = ERR_EOF, .status = 200, .stage = CALL_BODY}},
        {CAUSE_BROKEN_STREAM, {.err = ERR_SYNTAX, .status = 200, .stage = CALL_BODY}},
        {CAUSE_BROKEN_STREAM, {.err = ERR_LIMIT, .status = 200, .stage = CALL_BODY}},
        {CAUSE_TRANSIENT, {.err = ERR_RESET, .status = 502, .stage = CALL_BODY}}, /* body cut */
        {CAUSE_BROKEN_STREAM, {.status = 0, .stage = CALL_WAIT}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        usec wait;
        enum cause got = cause_of(&cases[i].e, WALL, &wait);
        if (got != cases[i].want)
            fail_msg("case %zu: %s", i, cause_facts(got)->name);
    }
}

static usec wait_of(int status, const struct http_field *fields, size_t count)
{
    return judge(status, "{}", fields, count).wait;
}

static void cause_reads_every_form_of_retry_after(void **state)
{
    (void)state;
    const struct {
        const char *name, *value;
        usec want;
    } cases[] = {
        {"retry-after", "7", 7 * USEC_PER_SEC},
        {"Retry-After", " 0.5 ", USEC_PER_SEC / 2},
        {"retry-after", "0", 0},
        {"retry-after", "-3", 0},
        {"retry-after", "1e999", 0},
        {"retry-after", "999999999", 24 * 3600 * USEC_PER_SEC},
        {"retry-after", "Wed, 21 Oct 2026 07:28:30 GMT", 30 * USEC_PER_SEC},
        {"retry-after", "Wed, 21 Oct 2026 07:27:30 GMT", 0}, /* it is over */
        {"retry-after", "Wed, 21 Oxt 2026 07:28:30 GMT", 0},
        {"retry-after", "Wed, 41 Oct 2026 07:28:30 GMT", 0},
        {"retry-after", "soon", 0},
        {"retry-after", "", 0},
        {"retry-after-ms", "1500", 1500 * USEC_PER_MS},
        {"retry-after-ms", "0.25", 250},
        {"anthropic-ratelimit-requests-reset", "2026-10-21T07:28:05Z", 5 * USEC_PER_SEC},
        {"anthropic-ratelimit-tokens-reset", "2026-10-21T09:28:05.123+02:00", 5 * USEC_PER_SEC},
        {"anthropic-ratelimit-tokens-reset", "2026-10-21T05:28:05-02:00", 5 * USEC_PER_SEC},
        {"anthropic-ratelimit-tokens-reset", "2026-10-21T07:28:05", 0},
        {"anthropic-ratelimit-tokens-reset", "2026-10-21T07:28:05.", 0},
        {"x-ratelimit-reset-requests", "1m3s", 63 * USEC_PER_SEC},
        {"x-ratelimit-reset-tokens", "120ms", 120 * USEC_PER_MS},
        {"x-ratelimit-reset-tokens", "6m0s", 360 * USEC_PER_SEC},
        {"x-ratelimit-reset-tokens", "1h2m3.5s", 3723 * USEC_PER_SEC + USEC_PER_SEC / 2},
        {"x-ratelimit-reset-tokens", "8.64s", 8640 * USEC_PER_MS},
        {"x-ratelimit-reset-tokens", "12x", 0},
        {"x-ratelimit-reset-tokens", "m", 0},
        {"x-ratelimit-reset-tokens", "59", 59 * USEC_PER_SEC},
        {"x-ratelimit-reset", "1792567690", 10 * USEC_PER_SEC},
        {"x-ratelimit-reset", "1792567692000", 12 * USEC_PER_SEC},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_field f = {span_from(cases[i].name), span_from(cases[i].value)};
        usec got = wait_of(429, &f, 1);
        if (got != cases[i].want)
            fail_msg("%s: %s = %lld us", cases[i].name, cases[i].value, (long long)got);
    }
}

static void cause_waits_for_the_limit_that_is_used_up(void **state)
{
    (void)state;
    struct http_field fields[] = {
        {SPAN("anthropic-ratelimit-requests-reset"), SPAN("2026-10-21T07:28:01Z")},
        {SPAN("anthropic-ratelimit-requests-remaining"), SPAN("40")},
        {SPAN("anthropic-ratelimit-input-tokens-reset"), SPAN("2026-10-21T07:28:20Z")},
        {SPAN("anthropic-ratelimit-input-tokens-remaining"), SPAN("0")},
        {SPAN("anthropic-ratelimit-tokens-reset"), SPAN("2026-10-21T07:28:10Z")},
        {SPAN("anthropic-ratelimit-tokens-remaining"), SPAN("0")},
        {SPAN("retry-after"), SPAN("3")},
    };
    assert_int_equal(wait_of(429, fields, 6), 20 * USEC_PER_SEC);
    assert_int_equal(wait_of(429, fields, 3), USEC_PER_SEC); /* nobody says zero: the earliest */
    assert_int_equal(wait_of(429, fields, 7), 3 * USEC_PER_SEC);
    assert_int_equal(wait_of(529, fields, 6), 0); /* these come with every answer */
    assert_int_equal(wait_of(529, fields, 7), 3 * USEC_PER_SEC);
}

static void cause_every_one_has_a_name_and_a_reaction_that_fits(void **state)
{
    (void)state;
    for (enum cause c = 0; c < CAUSE_COUNT; c++) {
        const struct cause_facts *f = cause_facts(c);
        assert_non_null(f->name);
        for (enum cause d = 0; d < c; d++)
            assert_string_not_equal(f->name, cause_facts(d)->name);
        if (f->trips)
            assert_true(f->counts && f->horizon > 0 && f->advice && !f->repeat_here);
        if (f->reaction == REACT_CALLER)
            assert_false(f->counts || f->repeat_here);
    }
}

/* ---- the corpus ---- */

static char *read_file(const char *dir, struct span id, struct span name)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%.*s/%.*s", dir, SPAN_FMT(id), SPAN_FMT(name));
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot read %s", path);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    (void)fclose(f);
    return text;
}

/* Every recorded error was answered to a wrong request: none may close a target, but the one key.
 */
static void cause_recorded_errors_close_no_target(void **state)
{
    (void)state;
    const char *corpus = getenv("HOTSPARE_CORPUS");
    if (!corpus) {
        print_message("# skipped: HOTSPARE_CORPUS is not set\n");
        skip();
    }
    char dir[512], line[4096];
    (void)snprintf(dir, sizeof(dir), "%s/corpus", corpus);
    (void)snprintf(line, sizeof(line), "%s/INDEX.tsv", dir);
    FILE *index = fopen(line, "rb");
    assert_non_null(index);
    size_t seen = 0, keys = 0, models = 0;
    while (fgets(line, sizeof(line), index)) {
        struct span rest = span_from(line), field[13] = {{0}};
        uint64_t status = 0;
        for (size_t i = 0; i < ARRAY_LEN(field); i++)
            (void)span_next(&rest, '\t', &field[i]);
        if (span_u64(field[5], &status) != ERR_OK || status < 400)
            continue;
        char *body = read_file(dir, field[0], field[11]);
        enum cause c = judge((int)status, body, NULL, 0).cause;
        free(body);
        seen++;
        keys += c == CAUSE_KEY_BAD;
        models += c == CAUSE_MODEL_GONE;
        assert_true((c == CAUSE_KEY_BAD) == (status == 401));
        assert_false(cause_facts(c)->trips && c != CAUSE_KEY_BAD);
        assert_int_equal(c == CAUSE_MODEL_GONE,
                         status == 404 || span_search(field[0], SPAN("model-name-sugg")) >= 0);
    }
    (void)fclose(index);
    print_message("# %zu recorded errors, %zu bad keys, %zu missing models\n", seen, keys, models);
    assert_true(seen > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cause_tells_a_dead_account_in_a_400_from_the_callers_fault),
        cmocka_unit_test(cause_words_quoted_from_the_caller_cannot_close_a_target),
        cmocka_unit_test(cause_knows_a_refusal_of_thinking),
        cmocka_unit_test(cause_reads_statuses_where_no_word_says_more),
        cmocka_unit_test(cause_knows_a_full_context_in_every_servers_words),
        cmocka_unit_test(cause_html_is_a_wall_in_front_of_the_provider),
        cmocka_unit_test(cause_no_retry_header_makes_a_429_final),
        cmocka_unit_test(cause_judges_errors_inside_a_200_stream),
        cmocka_unit_test(cause_knows_the_other_providers_words),
        cmocka_unit_test(cause_knows_what_aws_calls_things),
        cmocka_unit_test(cause_judges_connections_and_deadlines),
        cmocka_unit_test(cause_reads_every_form_of_retry_after),
        cmocka_unit_test(cause_waits_for_the_limit_that_is_used_up),
        cmocka_unit_test(cause_every_one_has_a_name_and_a_reaction_that_fits),
        cmocka_unit_test(cause_recorded_errors_close_no_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
