/* The catalogue of faults (loadtest-eval.md 3.2; protocols.md 1.8, 2.5) and the little language
 * that asks for them. */
#include "relay/fault.h"
#include "base/span.h"

#define STATUS(name, status, type, message, help)                                                  \
    {                                                                                              \
        name, FAULT_STATUS, status, type, message, NULL, NULL, help, false                         \
    }

/* What only a stand-in does; `legal`: nobody may see any harm. */
#define AT_STANDIN(name_, kind_, help_)                                                            \
    {                                                                                              \
        .name = (name_), .kind = (kind_), .help = (help_), .standin_only = true                    \
    }

const struct fault_row fault_rows[] = {
    {"refused", FAULT_REFUSED, 0, NULL, NULL, NULL, NULL,
     "connections are refused; needs for=DUR to come back", false},
    {"reset", FAULT_RESET, 0, NULL, NULL, NULL, NULL,
     "the request is read, then the connection is reset", false},
    {"silent", FAULT_SILENT, 0, NULL, NULL, NULL, NULL, "the request is read and never answered",
     false},
    {"headers-only", FAULT_HEADERS_ONLY, 0, NULL, NULL, NULL, NULL, "200 and headers, then nothing",
     false},
    {"pings-only", FAULT_PINGS_ONLY, 0, NULL, NULL, NULL, NULL,
     "200 and keep-alives for ever, no content", false},
    STATUS("400", 400, "invalid_request_error", "messages: text content blocks must be non-empty",
           "the caller's fault"),
    {"401", FAULT_STATUS, 401, "authentication_error", "invalid x-api-key", "invalid_api_key", NULL,
     "key bad", false},
    STATUS("402", 402, "billing_error", "Your account has a billing problem.", "payment required"),
    STATUS("403", 403, "permission_error",
           "Your API key does not have permission to use this resource.", "no permission"),
    {"404", FAULT_STATUS, 404, "not_found_error", "model: not-here", "model_not_found", NULL,
     "model gone", false},
    STATUS("408", 408, "timeout_error", "Request timed out", "request timeout"),
    STATUS("409", 409, "conflict_error", "Conflict", "conflict"),
    STATUS("413", 413, "request_too_large", "Request exceeds the maximum size", "too large"),
    {"429", FAULT_STATUS, 429, "rate_limit_error", "This request would exceed your rate limit.",
     "rate_limit_exceeded", "requests", "rate limited", false},
    STATUS("500", 500, "api_error", "Internal server error", "internal error"),
    STATUS("502", 502, "api_error", "Bad gateway", "bad gateway"),
    STATUS("503", 503, "api_error", "Service unavailable", "unavailable"),
    STATUS("504", 504, "timeout_error", "Gateway timeout", "gateway timeout"),
    STATUS("529", 529, "overloaded_error", "Overloaded", "overloaded"),
    STATUS("org-disabled", 400, "invalid_request_error", "This organization has been disabled.",
           "400: account gone"),
    STATUS("credit", 400, "invalid_request_error",
           "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
           "Billing to upgrade or "
           "purchase credits.",
           "400: credit used up"),
    {"spend-limit", FAULT_STATUS, 429, "rate_limit_error",
     "You have reached your specified API usage limits.", "insufficient_quota",
     "insufficient_quota", "429 without a way back", false},
    {"context", FAULT_STATUS, 400, "invalid_request_error",
     "prompt is too long: 250000 tokens > 200000 maximum", "context_length_exceeded", NULL,
     "400: longer than the context", false},
    {"html", FAULT_HTML, 200, NULL, NULL, NULL, NULL, "200 with an HTML page", false},
    {"html-503", FAULT_HTML_STATUS, 503, NULL, NULL, NULL, NULL, "503 with an HTML page", false},
    {"error-first", FAULT_ERROR_FIRST, 529, "overloaded_error", "Overloaded", NULL, NULL,
     "200, first event is an error", false},
    {"error-after-start", FAULT_ERROR_AFTER_START, 529, "overloaded_error", "Overloaded", NULL,
     NULL, "200, message_start, then an error event", false},
    {"error", FAULT_ERROR, 529, "overloaded_error", "Overloaded", NULL, NULL,
     "@K: an error event after K deltas", false},
    {"cut", FAULT_CUT, 0, NULL, NULL, NULL, NULL, "@K: FIN after K events, no terminal event",
     false},
    {"cut-bytes", FAULT_CUT_BYTES, 0, NULL, NULL, NULL, NULL, "@B: FIN after B bytes of the body",
     false},
    {"rst", FAULT_RST, 0, NULL, NULL, NULL, NULL, "@K: reset after K events", false},
    {"stall", FAULT_STALL, 0, NULL, NULL, NULL, NULL,
     "@K: nothing more after K events, connection open", false},
    {"garbage", FAULT_GARBAGE, 0, NULL, NULL, NULL, NULL, "@K: a malformed event after K events",
     false},
    {"slow-first", FAULT_SLOW_FIRST, 0, NULL, NULL, NULL, NULL, "=DUR: the first event comes late",
     false},
    AT_STANDIN("slow", FAULT_SLOW, "=DUR: each word comes so long after the one before it"),
    AT_STANDIN("empty", FAULT_EMPTY, "200 with nothing in it"),
    {"error-200", FAULT_ERROR_200, 200, "overloaded_error", "Overloaded", NULL, NULL,
     "200 with an error as its JSON body", true},
    AT_STANDIN("gzip", FAULT_GZIP, "200, compressed though identity was asked for"),
    AT_STANDIN("cut-line", FAULT_CUT_LINE, "@K: FIN in the middle of the event behind K"),
    AT_STANDIN("cut-char", FAULT_CUT_CHAR,
               "@K: FIN inside a character, in the first delta behind K events"),
    AT_STANDIN("cut-tool", FAULT_CUT_TOOL, "FIN in the middle of a tool call's input"),
    AT_STANDIN("unknown-event", FAULT_UNKNOWN_EVENT,
               "@K: an event of a new kind after K events (legal)"),
    AT_STANDIN("long-line", FAULT_LONG_LINE, "@K: a comment of 100 KB after K events (legal)"),
    AT_STANDIN("crlf", FAULT_CRLF, "lines end with CR LF (legal)"),
    AT_STANDIN("one-byte", FAULT_ONE_BYTE, "each byte is sent by itself (legal)"),
    AT_STANDIN("hang-up", FAULT_HANG_UP,
               "the connection is closed behind each answer, unannounced (legal)"),
};
const size_t fault_row_count = ARRAY_LEN(fault_rows);

enum err duration_parse(struct span text, usec *out)
{
    static const struct {
        const char *suffix;
        usec unit;
    } units[] = {{"ms", USEC_PER_MS}, {"us", 1}, {"s", USEC_PER_SEC}, {"m", 60 * USEC_PER_SEC}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct span suffix = span_from(units[i].suffix);
        uint64_t n;
        if (!span_ends(text, suffix))
            continue;
        if (span_u64(span_take(text, text.len - suffix.len), &n) != ERR_OK || n > 1000000)
            return ERR_SYNTAX;
        *out = (usec)n * units[i].unit;
        return ERR_OK;
    }
    return ERR_SYNTAX;
}

static const struct fault_row *row_named(struct span name)
{
    for (size_t i = 0; i < fault_row_count; i++)
        if (span_is(name, fault_rows[i].name))
            return &fault_rows[i];
    return NULL;
}

static enum err read_option(struct span option, usec now, struct fault *f)
{
    struct span name;
    uint64_t n;
    usec time;
    if (!span_next(&option, '=', &name))
        return ERR_SYNTAX;
    if (span_is(name, "retry-after") && span_u64(option, &n) == ERR_OK && n < 1000000) {
        f->retry_after = (int64_t)n;
    } else if (span_is(name, "times") && span_u64(option, &n) == ERR_OK && n < 1000000) {
        f->times = (int64_t)n;
    } else if (span_is(name, "for") && duration_parse(option, &time) == ERR_OK) {
        f->until = now + time;
    } else {
        return ERR_SYNTAX;
    }
    return ERR_OK;
}

/* NAME, NAME@K, NAME=DUR, each with an optional :PERCENT% */
static enum err read_head(struct span head, struct fault *f)
{
    struct span name, rest = head;
    (void)span_next(&rest, ':', &name); /* always has a first part */
    if (rest.at) {
        uint64_t percent;
        if (!span_ends(rest, SPAN("%")) ||
            span_u64(span_take(rest, rest.len - 1), &percent) != ERR_OK || percent > 100)
            return ERR_SYNTAX;
        f->percent = (uint32_t)percent;
    }
    struct span argument = name;
    char separator = span_find(name, '=') >= 0 ? '=' : '@';
    (void)span_next(&argument, separator, &name);
    f->row = row_named(name);
    if (!f->row)
        return ERR_NOT_FOUND;
    if (f->row->kind == FAULT_SLOW_FIRST || f->row->kind == FAULT_SLOW)
        return separator == '=' ? duration_parse(argument, &f->delay) : ERR_SYNTAX;
    if (!argument.at)
        return ERR_OK;
    return separator == '@' && f->row->help[0] == '@' ? span_u64(argument, &f->at) : ERR_SYNTAX;
}

enum err fault_parse(struct span text, usec now, struct fault *out, const char **out_why)
{
    struct fault f = {.percent = 100, .retry_after = -1, .times = -1, .until = USEC_NEVER};
    struct span head, option;
    (void)span_next(&text, ',', &head);
    enum err e = read_head(head, &f);
    *out_why = e == ERR_NOT_FOUND
                   ? "there is no fault of this name; hotspare standin --help lists them"
                   : "a fault is NAME[@K][:PERCENT%][,retry-after=S][,for=DUR][,times=N]";
    while (e == ERR_OK && span_next(&text, ',', &option))
        e = read_option(option, now, &f);
    if (e == ERR_OK)
        *out = f;
    return e;
}
