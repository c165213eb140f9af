/* What every dialect needs and none owns: the list of losses, the model's name in a body that
 * passes through, statuses and error words, refusals, and fields the canonical model has no place
 * for.
 *
 * Knows no dialect; the tables below are about the wire, not about one format. */
#include "base/span.h"
#include "dialect/dialect_internal.h"
#include "json/json_write.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- lossy ---- */

bool lossy_has(const struct lossy *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->names[i], name) == 0)
            return true;
    return false;
}

void lossy_add(struct lossy *l, const char *name)
{
    if (lossy_has(l, name))
        return;
    /* The vocabulary may outgrow the list; the last name then stands for the rest. */
    if (l->count < ARRAY_LEN(l->names))
        l->names[l->count++] = name;
    else
        l->names[l->count - 1] = LOSSY_OTHER;
}

size_t lossy_format(const struct lossy *l, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < l->count; i++) {
        size_t name_len = strlen(l->names[i]), need = name_len + (i > 0);
        if (len + need >= cap) /* one byte stays for the NUL */
            break;
        if (i > 0)
            out[len++] = ',';
        memcpy(out + len, l->names[i], name_len);
        len += name_len;
    }
    if (cap > 0)
        out[len] = '\0';
    return len;
}

/* ---- passthrough ---- */

void dialect_replace_model(const struct json_doc *doc, struct span model, struct pieces *out)
{
    struct json root = json_root(doc), old = json_get(root, "model");
    assert(json_is(root, JSON_OBJECT));
    struct span body = doc->text;
    struct span cut = json_present(old) ? json_raw(old) : SPAN_EMPTY;
    if (!cut.at) {
        /* Behind the opening brace: the one place where a member can go without looking further. */
        cut.at = json_raw(root).at + 1;
    }
    size_t before = (size_t)(cut.at - body.at);
    pieces_add(out, span_take(body, before));
    pieces_add(out, json_present(old) ? SPAN("\"") : SPAN("\"model\":\""));
    pieces_add(out, model);
    pieces_add_char(out, '"');
    if (!json_present(old) && json_len(root) > 0)
        pieces_add_char(out, ',');
    pieces_add(out, span_drop(body, before + cut.len));
}

void dialect_pass_to_cloud(const struct json_doc *doc, const struct capability *cap,
                           struct span betas, struct pieces *out)
{
    struct json root = json_root(doc);
    struct json_out w;
    assert(json_is(root, JSON_OBJECT) && cap->body_version);
    json_out_pieces(&w, out);
    jw_object(&w);
    jw_key(&w, "anthropic_version");
    jw_cstr(&w, cap->body_version);
    if (betas.len) {
        jw_key(&w, "anthropic_beta");
        jw_raw(&w, betas);
    }
    for (struct json m = json_first(root); json_present(m); m = json_next(root, m)) {
        if (json_key_is(m, "model") || json_key_is(m, "anthropic_version") ||
            (cap->stream_by_path && json_key_is(m, "stream")) ||
            (betas.len && json_key_is(m, "anthropic_beta")))
            continue;
        jw_key_raw(&w, json_key(m));
        jw_raw(&w, json_raw(m));
    }
    jw_object_end(&w);
}

/* ---- statuses and error words (protocols.md 1.8 and 5.7) ---- */

int dialect_map_status(int status)
{
    switch (status) {
    case 401: /* our key was refused: the client's is not at fault, and a 401 would make it ask */
    case 402: /* for a new login; nor can it pay our bill */
    case 403:
        return 502;
    case 408:
        return 504;
    case 422:
        return 400;
    case 500:
    case 502:
        return 500;
    case 503:
        return 529;
    default:
        if (status >= 400 && status <= 599)
            return status;
        return 502; /* a redirect, or a 2xx that held no answer */
    }
}

static const struct {
    int status;
    const char *type;
} error_types[] = {
    {400, "invalid_request_error"},
    {401, "authentication_error"},
    {402, "billing_error"},
    {403, "permission_error"},
    {404, "not_found_error"},
    {408, "timeout_error"},
    {409, "conflict_error"},
    {413, "request_too_large"},
    {422, "invalid_request_error"},
    {429, "rate_limit_error"},
    {500, "api_error"},
    {504, "timeout_error"},
    {529, "overloaded_error"},
};

const char *dialect_error_type(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(error_types); i++)
        if (error_types[i].status == status)
            return error_types[i].type;
    return status >= 400 && status < 500 ? "invalid_request_error" : "api_error";
}

int dialect_type_status(struct span type)
{
    if (span_is(type, "timeout_error")) /* 408 has the word as well, but it is a server's error */
        return 504;
    for (size_t i = 0; i < ARRAY_LEN(error_types); i++)
        if (span_is(type, error_types[i].type))
            return error_types[i].status;
    return 0;
}

/* ---- refusals ---- */

enum err problem(struct arena *a, struct chat_problem *out, enum err e, struct span param,
                 const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(n >= 0);
    size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    out->param = arena_copy(a, param);
    out->text = arena_copy(a, (struct span){text, len});
    return e;
}

/* ---- extras ---- */

void extra_add(struct arena *a, struct chat_request *r, struct span name, struct span value)
{
    struct chat_extra *e = arena_new(a, struct chat_extra);
    e->name = name;
    e->value = value;
    CHAT_APPEND(r->extras, e);
}

/* Fields of both worlds. `harmless`: a value that asks for what happens without the field. */
static const struct extra_row {
    const char *name, *harmless, *lossy;
} extra_rows[] = {
    /* OpenAI */
    {"logprobs", "false", LOSSY_LOGPROBS},
    {"top_logprobs", "0", LOSSY_LOGPROBS},
    {"logit_bias", "{}", LOSSY_LOGPROBS},
    {"presence_penalty", "0", LOSSY_PENALTIES},
    {"frequency_penalty", "0", LOSSY_PENALTIES},
    {"repetition_penalty", "1", LOSSY_PENALTIES},
    {"seed", NULL, LOSSY_SEED},
    {"audio", NULL, LOSSY_AUDIO},
    {"modalities", "[\"text\"]", LOSSY_AUDIO},
    {"service_tier", "\"auto\"", LOSSY_SERVICE_TIER},
    {"store", "false", LOSSY_OTHER},
    {"prompt_cache_key", NULL, LOSSY_CACHE_CONTROL},
    {"prompt_cache_options", NULL, LOSSY_CACHE_CONTROL},
    {"prompt_cache_retention", NULL, LOSSY_CACHE_CONTROL},
    {"web_search_options", NULL, LOSSY_SERVER_TOOL},
    {"user", NULL, LOSSY_USER_ID},
    {"safety_identifier", NULL, LOSSY_USER_ID},
    {"stream_options", "{}", NULL},
    {"verbosity", "\"medium\"", LOSSY_OTHER},
    {"truncation", "\"disabled\"", LOSSY_OTHER},
    {"client_metadata", NULL, NULL}, /* for its provider's statistics */
    {"instructions", NULL, NULL},    /* these four were read; they are kept to be echoed */
    {"text", NULL, NULL},
    {"reasoning", NULL, NULL},
    {"tool_choice", NULL, NULL},
    /* Anthropic */
    {"cache_control", NULL, LOSSY_CACHE_CONTROL},
    {"context_management", NULL, LOSSY_CONTEXT_MANAGEMENT},
    {"mcp_servers", "[]", LOSSY_SERVER_TOOL},
    {"container", NULL, LOSSY_SERVER_TOOL},
    {"thinking.display", NULL, NULL}, /* how thinking is shown, not what is answered */
    {"thinking.block_binding", NULL, NULL},
    {"thinking.type", NULL, LOSSY_THINKING},
    {"speed", "\"standard\"", LOSSY_OTHER},
};

const char *extra_lossy(const struct chat_extra *e)
{
    if (span_is(e->value, "null"))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(extra_rows); i++) {
        const struct extra_row *row = &extra_rows[i];
        if (!span_is(e->name, row->name))
            continue;
        if (row->harmless && span_is(e->value, row->harmless))
            return NULL;
        double number;
        if (span_is(e->value, "0.0") || (span_double(e->value, &number) == ERR_OK && number == 0 &&
                                         row->harmless && strcmp(row->harmless, "0") == 0))
            return NULL;
        return row->lossy;
    }
    return LOSSY_OTHER;
}

/* ---- the mark of a change of models ---- */

struct span dialect_fallback_block(struct arena *a, struct span from, struct span to)
{
    return arena_printf(a,
                        "{\"type\":\"" DIALECT_FALLBACK "\",\"from\":{\"model\":\"%.*s\"},"
                        "\"to\":{\"model\":\"%.*s\"},\"trigger\":{\"type\":\"unavailable\"}}",
                        SPAN_FMT(from), SPAN_FMT(to));
}

bool dialect_beta_has_fallback(struct span value)
{
    struct span name;
    while (span_next(&value, ',', &name))
        if (span_starts(span_trim(name), SPAN("server-side-fallback-")))
            return true;
    return false;
}

bool dialect_has_tools(const struct chat_request *r)
{
    for (const struct chat_message *m = r->messages; m && !r->tools; m = m->next)
        for (const struct chat_block *b = m->blocks; b; b = b->next)
            if (b->type == CHAT_TOOL_USE || b->type == CHAT_TOOL_RESULT)
                return true;
    return r->tools != NULL;
}
