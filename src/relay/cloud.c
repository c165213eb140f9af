/* Paths of all clouds; authorisation, beta flags and stream framing of Bedrock and Vertex. */
#include "relay/cloud.h"

#include "base/span.h"
#include "json/json.h"
#include "json/json_write.h"

#include <openssl/evp.h>

#define PATH_MAX_BYTES ((size_t)4096)

/* ---- the request ---- */

/* '@' stands in Vertex's version suffixes and needs no escape in a path. */
static enum err add_name(struct span model, bool keep_at, struct buf *to)
{
    ssize_t at = keep_at ? span_find(model, '@') : -1;
    enum err e = sigv4_encode(at < 0 ? model : span_take(model, (size_t)at), false, to);
    if (e == ERR_OK && at >= 0)
        e = buf_add_char(to, '@');
    if (e == ERR_OK && at >= 0)
        e = sigv4_encode(span_drop(model, (size_t)at + 1), false, to);
    return e;
}

/* A profile's ARN does not say what is behind it. */
static bool speaks_messages(struct span model)
{
    return span_isearch(model, SPAN("claude")) >= 0 || span_starts(model, SPAN("arn:"));
}

/* What stands behind the model's name. */
static const char *verb_of(enum target_kind kind, bool converse, bool stream)
{
    switch (kind) {
    case TARGET_BEDROCK:
        if (converse)
            return stream ? "/converse-stream" : "/converse";
        return stream ? "/invoke-with-response-stream" : "/invoke";
    case TARGET_VERTEX:
        return stream ? ":streamRawPredict" : ":rawPredict";
    case TARGET_GEMINI:
        return stream ? ":streamGenerateContent?alt=sse" : ":generateContent";
    default:
        return "/chat/completions";
    }
}

enum err cloud_path(const struct cloud *c, struct span model, bool converse, bool stream,
                    struct arena *a, struct span *out)
{
    struct buf path;
    if (!converse && cloud_is_claudes(c) && !speaks_messages(model))
        return ERR_UNSUPPORTED;
    if (c->kind == TARGET_GEMINI && span_starts(model, SPAN("models/")))
        model = span_drop(model, strlen("models/")); /* Google's long form of the name */
    buf_init(&path, PATH_MAX_BYTES);
    enum err e = buf_add(&path, c->base);
    if (e == ERR_OK)
        e = add_name(model, c->kind == TARGET_VERTEX, &path);
    if (e == ERR_OK)
        e = buf_add_cstr(&path, verb_of(c->kind, converse, stream));
    if (e == ERR_OK && c->api_version.len)
        e = buf_printf(&path, "?api-version=%.*s", SPAN_FMT(c->api_version));
    *out = arena_copy(a, buf_span(&path));
    buf_deinit(&path);
    return e;
}

const char *cloud_accepts(const struct cloud *c, bool stream)
{
    if (!stream)
        return "application/json";
    return c->kind == TARGET_BEDROCK ? "application/vnd.amazon.eventstream" : "text/event-stream";
}

enum err cloud_sign(const struct cloud *c, struct span path, const struct pieces *body, usec wall,
                    struct buf *to)
{
    if (c->kind != TARGET_BEDROCK || c->aws.access_key.len == 0)
        return ERR_OK;
    struct sigv4_request r = {.method = SPAN("POST"),
                              .path = path,
                              .host = c->host,
                              .content_type = SPAN("application/json"),
                              .body = body};
    return sigv4_write(&r, &c->aws, c->region, SPAN("bedrock"), wall, to);
}

/* ---- beta flags ---- */

/* AWS, "Anthropic Claude Messages API", request fields: anthropic_beta. */
static bool bedrock_knows(struct span flag)
{
    static const char *const known[] = {
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "token-efficient-tools-2025-02-19",
        "interleaved-thinking-2025-05-14",
        "output-128k-2025-02-19",
        "dev-full-thinking-2025-05-14",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "effort-2025-11-24",
        "tool-search-tool-2025-10-19",
        "tool-examples-2025-10-29",
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (span_iis(flag, known[i]))
            return true;
    return false;
}

/* They say who asks, and unlock nothing in a body. */
static bool is_about_the_client(struct span flag)
{
    return span_istarts(flag, SPAN("claude-code-")) || span_istarts(flag, SPAN("oauth-"));
}

struct span cloud_betas(struct span field, struct arena *a, bool *out_left_out)
{
    struct pieces list;
    struct json_out w;
    struct span flag;
    size_t count = 0;
    *out_left_out = false;
    pieces_init(&list, a);
    json_out_pieces(&w, &list);
    jw_array(&w);
    while (span_next(&field, ',', &flag)) {
        flag = span_trim(flag);
        if (bedrock_knows(flag)) {
            jw_str(&w, flag);
            count++;
        } else if (flag.len > 0 && !is_about_the_client(flag)) {
            *out_left_out = true;
        }
    }
    jw_array_end(&w);
    return count > 0 ? pieces_flatten(&list, a) : SPAN_EMPTY;
}

struct span cloud_error_word(const struct http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!span_iis(fields[i].name, "x-amzn-errortype"))
            continue;
        struct span word = fields[i].value;
        ssize_t colon = span_find(word, ':');
        return span_trim(colon < 0 ? word : span_take(word, (size_t)colon));
    }
    return SPAN_EMPTY;
}

/* ---- streams ---- */

void cloud_stream_init(struct cloud_stream *s, bool converse, size_t max_bytes)
{
    s->converse = converse;
    eventstream_init(&s->frames, max_bytes);
    arena_init(&s->scratch, 8 * max_bytes);
    buf_init(&s->raw, 2 * max_bytes);
}

struct cloud_stream *cloud_stream_new(struct arena *a, bool converse, size_t max_bytes)
{
    struct cloud_stream *s = arena_new(a, struct cloud_stream);
    cloud_stream_init(s, converse, max_bytes);
    return s;
}

void cloud_stream_deinit(struct cloud_stream *s)
{
    eventstream_deinit(&s->frames);
    arena_deinit(&s->scratch);
    buf_deinit(&s->raw);
}

static enum err write_event(struct cloud_stream *s, const char *name, struct span data,
                            struct sse_event *out)
{
    buf_reset(&s->raw);
    if (sse_write(&s->raw, name, data) != ERR_OK)
        return ERR_SYNTAX;
    *out = (struct sse_event){.name = span_from(name), .data = data, .raw = buf_span(&s->raw)};
    return ERR_OK;
}

static bool decode_base64(struct arena *a, struct span text, struct span *out)
{
    if (text.len == 0 || text.len % 4 || text.len > INT32_MAX)
        return false;
    uint8_t *to = arena_alloc(a, text.len / 4 * 3);
    int n = EVP_DecodeBlock(to, (const uint8_t *)text.at, (int)text.len);
    int padding = (text.at[text.len - 1] == '=') + (text.at[text.len - 2] == '=');
    if (n < padding)
        return false;
    *out = (struct span){(const char *)to, (size_t)(n - padding)};
    return true;
}

/* {"bytes": "...", "p": "..."}: Claude's event in base64, and padding against eavesdroppers. */
static enum err read_chunk(struct cloud_stream *s, struct span payload, struct sse_event *out)
{
    struct json_doc outer, inner;
    struct span data;
    if (json_parse(&s->scratch, payload, NULL, &outer, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct span coded = json_str_decode(json_get(json_root(&outer), "bytes"), &s->scratch);
    if (!decode_base64(&s->scratch, coded, &data) ||
        json_parse(&s->scratch, data, NULL, &inner, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json type = json_get(json_root(&inner), "type");
    if (!json_is(type, JSON_STRING))
        return ERR_SYNTAX;
    return write_event(s, arena_cstr(&s->scratch, json_str_decode(type, &s->scratch)), data, out);
}

/* Names as the stream has them (AWS, ResponseStream), and Claude's words for the same. */
static const char *claude_word(struct span exception)
{
    static const struct {
        const char *exception, *word;
    } words[] = {
        {"throttlingException", "rate_limit_error"},
        {"serviceUnavailableException", "overloaded_error"},
        {"modelTimeoutException", "timeout_error"},
        {"validationException", "invalid_request_error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_iis(exception, words[i].exception))
            return words[i].word;
    return "api_error"; /* internalServerException, modelStreamErrorException, later ones */
}

static enum err read_exception(struct cloud_stream *s, const struct eventstream_message *m,
                               struct sse_event *out)
{
    struct json_doc doc;
    struct span text = m->error_message;
    if (json_parse(&s->scratch, m->payload, NULL, &doc, NULL) == ERR_OK)
        text = json_str_decode(json_get(json_root(&doc), "message"), &s->scratch);
    struct pieces body;
    struct json_out w;
    pieces_init(&body, &s->scratch);
    json_out_pieces(&w, &body);
    jw_object(&w);
    jw_key(&w, "type");
    jw_cstr(&w, "error");
    jw_key(&w, "error");
    jw_object(&w);
    jw_key(&w, "type");
    jw_cstr(&w, claude_word(m->name));
    jw_key(&w, "message");
    jw_str(&w, text.len ? text : SPAN("Bedrock ended the stream with an exception."));
    jw_key(&w, "details");
    jw_object(&w);
    jw_key(&w, "error_code");
    jw_str(&w, m->name);
    jw_object_end(&w);
    jw_object_end(&w);
    jw_object_end(&w);
    return write_event(s, "error", pieces_flatten(&body, &s->scratch), out);
}

enum err cloud_stream_next(struct cloud_stream *s, struct span in, size_t *out_used,
                           struct sse_event *out_event)
{
    struct eventstream_message m;
    enum err e = eventstream_next(&s->frames, in, out_used, &m);
    if (e != ERR_OK)
        return e;
    arena_reset(&s->scratch);
    if (span_is(m.message_type, "exception") || span_is(m.message_type, "error"))
        e = read_exception(s, &m, out_event);
    else if (span_is(m.message_type, "event") && s->converse)
        *out_event = (struct sse_event){.name = m.name, .data = m.payload};
    else if (span_is(m.message_type, "event") && span_is(m.name, "chunk"))
        e = read_chunk(s, m.payload, out_event);
    else /* of a later version of the format */
        *out_event = (struct sse_event){.comment_only = true};
    return arena_over(&s->scratch) ? ERR_LIMIT : e;
}
