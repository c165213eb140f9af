/* Reads an error body of any provider into one canonical error (protocols.md 1.8 and 2.5).
 *
 * Nobody promises a shape for a body that says no: proxies answer HTML, Gemini an array, Ollama a
 * bare string. So this reader looks for the words in the places where they are known to stand,
 * falls back to the text itself, and always yields a message. It decides nothing: relay/cause.c
 * does. */
#include "base/span.h"
#include "dialect/dialect_internal.h"

#define ERROR_MESSAGE_MAX 4096
/* Nothing said how bad it is: the upstream's own fault inside a stream, no answer at all otherwise.
 */
#define NO_STATUS(status) ((status) == 0 ? 500 : 502)

/* Cuts at a UTF-8 boundary. */
static struct span bounded(struct span s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.at[max] & 0xc0) == 0x80)
        max--;
    return span_take(s, max);
}

static struct span plain_str(struct arena *a, struct json v)
{
    return json_is(v, JSON_STRING) ? json_str_decode(v, a) : SPAN_EMPTY;
}

static struct span first_str(struct arena *a, struct json object, const char *const *names)
{
    for (; *names; names++) {
        struct span s = plain_str(a, json_get(object, *names));
        if (s.len > 0)
            return s;
    }
    return SPAN_EMPTY;
}

/* FastAPI's and Mistral's {"detail": ...}: a text, or [{"loc": ["body", "model"], "msg": "..."}].
 */
static struct span detail_message(struct arena *a, struct json detail)
{
    if (json_is(detail, JSON_STRING))
        return plain_str(a, detail);
    struct json first = json_is(detail, JSON_ARRAY) ? json_at(detail, 0) : detail;
    struct span text = first_str(a, first, (const char *const[]){"msg", "message", NULL});
    struct json loc = json_get(first, "loc");
    struct span where =
        json_len(loc) > 0 ? plain_str(a, json_at(loc, json_len(loc) - 1)) : SPAN_EMPTY;
    if (where.len > 0 && text.len > 0)
        return arena_printf(a, "%.*s: %.*s", SPAN_FMT(where), SPAN_FMT(text));
    return text;
}

static struct span message_of(struct arena *a, struct json envelope, struct json inner)
{
    static const char *const names[] = {"message", "Message", "error_description", "msg", NULL};
    struct span text = first_str(a, inner, names);
    if (text.len == 0)
        text = plain_str(a, json_get(envelope, "error"));
    if (text.len == 0)
        text = detail_message(a, json_get(inner, "detail"));
    if (text.len == 0) /* Mistral: {"message": {"detail": [...]}} */
        text = detail_message(a, json_path(inner, "message.detail"));
    if (text.len == 0)
        text = first_str(a, envelope, names);
    return text;
}

static int number_of(struct json v)
{
    int64_t n = 0;
    if (json_is(v, JSON_STRING) && span_i64(json_str(v), &n) != ERR_OK)
        return 0;
    if (json_is(v, JSON_NUMBER) && json_i64(v, &n) != ERR_OK)
        return 0;
    return n >= 400 && n <= 599 ? (int)n : 0;
}

/* The most telling word: OpenAI's code, Anthropic's details.error_code, else a type or status word
 * that is not one of the canonical types. */
static struct span code_of(struct arena *a, struct json inner, struct span type)
{
    struct json code = json_get(inner, "code");
    uint64_t digits;
    struct span word = plain_str(a, code);
    if (word.len > 0 && span_u64(word, &digits) != ERR_OK)
        return word;
    word = plain_str(a, json_path(inner, "details.error_code"));
    if (word.len > 0)
        return word;
    if (type.len > 0 && dialect_type_status(type) == 0 && !span_is(type, "error"))
        return type;
    return first_str(a, inner, (const char *const[]){"status", "__type", NULL});
}

void dialect_error_from_json(struct arena *a, int status, struct json envelope,
                             struct chat_error *out)
{
    if (json_is(envelope, JSON_ARRAY)) /* Gemini's streams: [{"error": ...}] */
        envelope = json_at(envelope, 0);
    struct json inner = json_get(envelope, "error");
    bool nested = json_is(inner, JSON_OBJECT);
    if (!nested)
        inner = envelope;
    bool anthropic = nested && json_str_is(json_get(envelope, "type"), "error");
    struct span type = plain_str(a, json_get(inner, "type"));

    bool told_status = status >= 400; /* an error inside a 200 says its own */
    *out = (struct chat_error){.status = told_status ? status : 0};
    out->message = bounded(json_is(envelope, JSON_STRING) ? plain_str(a, envelope)
                                                          : message_of(a, envelope, inner),
                           ERROR_MESSAGE_MAX);
    out->code = bounded(code_of(a, inner, type), 256);
    out->param = bounded(plain_str(a, json_get(inner, "param")), 256);
    out->request_id = bounded(plain_str(a, json_get(envelope, "request_id")), 256);
    if (out->status == 0)
        out->status = number_of(json_get(inner, "code"));
    if (out->status == 0)
        out->status = number_of(json_get(inner, "status_code"));
    int told = dialect_type_status(type);
    if (out->status == 0)
        out->status = told;
    if (out->status == 0)
        out->status = NO_STATUS(status);
    /* OpenAI calls a bad key an invalid_request_error: outside Anthropic's own envelope the status
     * knows better than the word. */
    bool keep = told != 0 && (anthropic || !told_status);
    out->type = keep ? type : span_from(dialect_error_type(out->status));
}

/* "<title>502 Bad Gateway</title>" says most of what an HTML page has to say. */
static struct span html_message(struct arena *a, struct span body)
{
    struct span title = SPAN_EMPTY;
    ssize_t open = span_isearch(body, SPAN("<title"));
    if (open >= 0) {
        struct span rest = span_drop(body, (size_t)open);
        ssize_t close = span_find(rest, '>');
        rest = close >= 0 ? span_drop(rest, (size_t)close + 1) : SPAN_EMPTY;
        ssize_t end = span_find(rest, '<');
        title = bounded(span_trim(end >= 0 ? span_take(rest, (size_t)end) : SPAN_EMPTY), 200);
    }
    if (title.len == 0)
        return SPAN("The upstream answered with an HTML page.");
    return arena_printf(a, "The upstream answered with an HTML page: %.*s", SPAN_FMT(title));
}

static struct span text_message(struct arena *a, int status, struct span body)
{
    if (body.len == 0)
        return status > 0 ? arena_printf(a, "The upstream answered %d without a body.", status)
                          : SPAN("The upstream reported an error without a text.");
    if (body.at[0] == '<')
        return html_message(a, body);
    return arena_copy(a, bounded(body, ERROR_MESSAGE_MAX));
}

void dialect_read_error(struct arena *a, int status, struct span body, struct chat_error *out)
{
    body = span_trim(body);
    struct json_doc doc;
    bool json = body.len > 0 && strchr("{[\"", body.at[0]) &&
                json_parse(a, body, &json_limits_default, &doc, NULL) == ERR_OK;
    if (json) {
        dialect_error_from_json(a, status, json_root(&doc), out);
        out->message = arena_copy(a, out->message); /* the body may go before the error does */
        out->code = arena_copy(a, out->code);
        out->param = arena_copy(a, out->param);
        out->type = arena_copy(a, out->type);
        out->request_id = arena_copy(a, out->request_id);
    } else {
        *out = (struct chat_error){.status = status >= 400 ? status : NO_STATUS(status)};
        out->type = span_from(dialect_error_type(out->status));
    }
    if (out->message.len == 0)
        out->message = text_message(a, status, body);
}
