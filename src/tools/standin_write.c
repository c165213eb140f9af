/* The words of each dialect: one event at a time, or a whole answer
 * (protocols.md 1.5, 1.7, 2.2, 2.3). Those of Responses are standin_responses.c's.
 *
 * Written apart from src/dialect on purpose: a stand-in that shared its writers would prove them
 * with themselves. */
#include "base/span.h"
#include "http/sse.h"
#include "json/json_write.h"
#include "tools/standin_internal.h"

#include <stdio.h>

#define TOOL_PIECE 12 /* bytes of a tool's input per delta */

/* ---- pieces of content ---- */

static struct span word_piece(const struct answer *a, uint64_t i, char out[48])
{
    const struct part *p = &a->parts[a->part];
    if (a->json_only)
        return SPAN("{}");
    bool images = p->images && i + 1 == p->pieces;
    if (p->kind == PART_TEXT && a->opening.len > 0 && i == 0)
        return a->opening;
    uint64_t n = i + 1;
    if (p->kind == PART_TEXT)
        n += a->said - (a->opening.len > 0);
    int len =
        images ? snprintf(out, 48, "%simages=%llu", n > 1 ? " " : "", (unsigned long long)a->images)
               : snprintf(out, 48, "%s%c%llu", n > 1 ? " " : "",
                          p->kind == PART_THINKING ? 't' : 'w', (unsigned long long)n);
    return (struct span){out, (size_t)len};
}

static struct span tool_piece(const struct part *p, uint64_t i)
{
    return span_take(span_drop(p->tool->input, (size_t)i * TOOL_PIECE), TOOL_PIECE);
}

struct span write_piece(const struct answer *a, uint64_t i, char out[48])
{
    const struct part *p = &a->parts[a->part];
    return p->kind == PART_TOOL ? tool_piece(p, i) : word_piece(a, i, out);
}

struct span write_part_text(struct answer *a, size_t part)
{
    char word[48];
    struct buf text;
    size_t now = a->part;
    buf_init(&text, (size_t)16 << 20);
    a->part = part;
    for (uint64_t i = 0; i < a->parts[part].pieces; i++)
        if (buf_add(&text, word_piece(a, i, word)) != ERR_OK)
            break; /* a million words fit */
    a->part = now;
    struct span kept = arena_copy(request_arena(a->request), buf_span(&text));
    buf_deinit(&text);
    return kept;
}

void key_str(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    jw_cstr(w, value);
}

static void key_span(struct json_out *w, const char *key, struct span value)
{
    jw_key(w, key);
    jw_str(w, value);
}

void key_i64(struct json_out *w, const char *key, uint64_t value)
{
    jw_key(w, key);
    jw_i64(w, (int64_t)value);
}

void key_null(struct json_out *w, const char *key)
{
    jw_key(w, key);
    jw_null(w);
}

static void key_id(struct json_out *w, const char *prefix, const struct answer *a)
{
    char id[64];
    (void)snprintf(id, sizeof id, "%s%s_%06llu", prefix, a->standin->name,
                   (unsigned long long)a->serial); /* cut is fine */
    key_str(w, "id", id);
}

static void key_tool_id(struct json_out *w, const char *prefix, const struct answer *a)
{
    char id[64];
    (void)snprintf(id, sizeof id, "%s%06llu%02zu", prefix, (unsigned long long)a->serial, a->part);
    key_str(w, "id", id);
}

void key_model(struct json_out *w, const struct answer *a)
{
    jw_key(w, "model");
    jw_str_raw(w, a->model);
}

/* ---- Anthropic ---- */

static void messages_usage(struct json_out *w, const struct answer *a, uint64_t output)
{
    jw_key(w, "usage");
    jw_object(w);
    key_i64(w, "input_tokens", a->prompt_words);
    key_i64(w, "cache_creation_input_tokens", 0);
    key_i64(w, "cache_read_input_tokens", 0);
    key_i64(w, "output_tokens", output);
    key_str(w, "service_tier", "standard");
    jw_object_end(w);
}

static void messages_head(struct json_out *w, const struct answer *a)
{
    key_id(w, "msg_", a);
    key_str(w, "type", "message");
    key_str(w, "role", "assistant");
    key_model(w, a);
}

static void messages_block(struct json_out *w, const struct answer *a, bool whole)
{
    const struct part *p = &a->parts[a->part];
    char word[48];
    jw_object(w);
    if (p->kind == PART_TOOL) {
        key_str(w, "type", "tool_use");
        key_tool_id(w, "toolu_", a);
        key_str(w, "name", p->tool->name);
        jw_key(w, "input");
        jw_raw(w, whole ? p->tool->input : SPAN("{}"));
    } else {
        const char *kind = p->kind == PART_TEXT ? "text" : "thinking";
        key_str(w, "type", kind);
        jw_key(w, kind);
        jw_str_begin(w);
        for (uint64_t i = 0; whole && i < p->pieces; i++)
            jw_part(w, word_piece(a, i, word));
        jw_str_end(w);
        if (p->kind == PART_THINKING)
            key_span(w, "signature", whole ? a->signature : SPAN(""));
    }
    jw_object_end(w);
}

static void begin_event(struct json_out *w, struct buf *data, const char *type)
{
    json_out_buf(w, data);
    jw_object(w);
    key_str(w, "type", type);
}

static void messages_start(const struct answer *a, struct json_out *w)
{
    jw_key(w, "message");
    jw_object(w);
    messages_head(w, a);
    jw_key(w, "content");
    jw_raw(w, SPAN("[]"));
    key_null(w, "stop_reason");
    key_null(w, "stop_sequence");
    messages_usage(w, a, 1);
    jw_object_end(w);
}

static void messages_delta(struct answer *a, struct json_out *w)
{
    static const char *const types[][2] = {[PART_THINKING] = {"thinking_delta", "thinking"},
                                           [PART_TEXT] = {"text_delta", "text"},
                                           [PART_TOOL] = {"input_json_delta", "partial_json"}};
    const struct part *p = &a->parts[a->part];
    char word[48];
    key_i64(w, "index", a->part);
    jw_key(w, "delta");
    jw_object(w);
    if (a->piece > p->pieces) { /* behind the last piece of thinking */
        key_str(w, "type", "signature_delta");
        key_span(w, "signature", a->signature);
    } else {
        key_str(w, "type", types[p->kind][0]);
        jw_key(w, types[p->kind][1]);
        bool first = p->kind == PART_TOOL && a->piece == 0; /* always empty (protocols.md 1.7) */
        jw_str(w, first ? SPAN("") : write_piece(a, a->piece - 1, word));
        a->is_delta = !first;
    }
    jw_object_end(w);
}

static void messages_finish(const struct answer *a, struct json_out *w)
{
    jw_key(w, "delta");
    jw_object(w);
    key_str(w, "stop_reason", a->stop);
    jw_key(w, "stop_sequence");
    if (a->stop_sequence.at)
        jw_str_raw(w, a->stop_sequence);
    else
        jw_null(w);
    jw_object_end(w);
    jw_key(w, "usage");
    jw_object(w);
    key_i64(w, "output_tokens", a->output_words);
    jw_object_end(w);
}

void write_next_part(struct answer *a)
{
    a->part++;
    a->stage = a->part < a->part_count ? STAGE_OPEN : STAGE_FINISH;
}

/* Where a part's deltas begin and end: tools have an empty first one, thinking a signature last. */
static void open_part(struct answer *a)
{
    a->stage = STAGE_PIECE;
    a->piece = a->parts[a->part].kind == PART_TOOL ? 0 : 1;
}

static bool part_done(const struct answer *a)
{
    const struct part *p = &a->parts[a->part];
    return a->piece > p->pieces + (p->kind == PART_THINKING);
}

static bool messages_next(struct answer *a, struct buf *to)
{
    static const char *const names[] = {
        [STAGE_START] = "message_start",       [STAGE_OPEN] = "content_block_start",
        [STAGE_PIECE] = "content_block_delta", [STAGE_CLOSE] = "content_block_stop",
        [STAGE_FINISH] = "message_delta",      [STAGE_LAST] = "message_stop"};
    if (a->stage == STAGE_OVER)
        return false;
    if (a->stage == STAGE_PIECE && !a->pinged) {
        a->pinged = true;
        return sse_write(to, "ping", SPAN("{\"type\":\"ping\"}")) == ERR_OK;
    }
    if (a->stage == STAGE_PIECE && part_done(a))
        a->stage = STAGE_CLOSE;
    const char *name = names[a->stage];
    struct buf data;
    struct json_out w;
    buf_init(&data, (size_t)1 << 20);
    begin_event(&w, &data, name);
    switch (a->stage) {
    case STAGE_START:
        messages_start(a, &w);
        a->stage = a->part_count ? STAGE_OPEN : STAGE_FINISH;
        break;
    case STAGE_OPEN:
        key_i64(&w, "index", a->part);
        jw_key(&w, "content_block");
        messages_block(&w, a, false);
        open_part(a);
        break;
    case STAGE_PIECE:
        messages_delta(a, &w);
        a->piece++;
        break;
    case STAGE_CLOSE:
        key_i64(&w, "index", a->part);
        write_next_part(a);
        break;
    case STAGE_FINISH:
        messages_finish(a, &w);
        a->stage = STAGE_LAST;
        break;
    default:
        a->stage = STAGE_OVER;
    }
    jw_object_end(&w);
    bool good = sse_write(to, name, buf_span(&data)) == ERR_OK;
    buf_deinit(&data);
    return good;
}

static void messages_whole(struct answer *a, struct json_out *w)
{
    jw_object(w);
    messages_head(w, a);
    jw_key(w, "content");
    jw_array(w);
    for (a->part = 0; a->part < a->part_count; a->part++)
        messages_block(w, a, true);
    jw_array_end(w);
    key_str(w, "stop_reason", a->stop);
    jw_key(w, "stop_sequence");
    if (a->stop_sequence.at)
        jw_str_raw(w, a->stop_sequence);
    else
        jw_null(w);
    messages_usage(w, a, a->output_words);
    jw_object_end(w);
}

/* ---- OpenAI ---- */

static const char *finish_reason(const struct answer *a)
{
    if (strcmp(a->stop, "tool_use") == 0)
        return "tool_calls";
    return strcmp(a->stop, "max_tokens") == 0 ? "length" : "stop";
}

static void chat_head(struct json_out *w, const struct answer *a, const char *object)
{
    key_id(w, a->speech == SPEAK_CHAT ? "chatcmpl-" : "cmpl-", a);
    key_str(w, "object", object);
    key_i64(w, "created", 1700000000);
    key_model(w, a);
    key_null(w, "system_fingerprint");
}

static void chat_usage(struct json_out *w, const struct answer *a)
{
    jw_key(w, "usage");
    jw_object(w);
    key_i64(w, "prompt_tokens", a->prompt_words);
    key_i64(w, "completion_tokens", a->output_words);
    key_i64(w, "total_tokens", a->prompt_words + a->output_words);
    jw_object_end(w);
}

static void chat_tool(struct json_out *w, const struct answer *a, struct span arguments, bool opens,
                      bool indexed)
{
    const struct part *p = &a->parts[a->part];
    uint64_t index = 0;
    for (size_t i = 0; i < a->part; i++)
        index += a->parts[i].kind == PART_TOOL;
    jw_object(w);
    if (indexed)
        key_i64(w, "index", index);
    if (opens) {
        key_tool_id(w, "call_", a);
        key_str(w, "type", "function");
    }
    jw_key(w, "function");
    jw_object(w);
    if (opens)
        key_str(w, "name", p->tool->name);
    jw_key(w, "arguments");
    jw_str(w, arguments);
    jw_object_end(w);
    jw_object_end(w);
}

static bool begins_with_tool(const struct answer *a)
{
    size_t i = a->part_count > 0 && a->parts[0].kind == PART_THINKING;
    return i < a->part_count && a->parts[i].kind == PART_TOOL;
}

static void chat_delta(struct answer *a, struct json_out *w)
{
    const struct part *p = a->part < a->part_count ? &a->parts[a->part] : NULL;
    char word[48];
    switch (a->stage) {
    case STAGE_START:
        key_str(w, "role", "assistant");
        if (begins_with_tool(a)) /* protocols.md 2.3 */
            key_null(w, "content");
        else
            key_str(w, "content", "");
        a->stage = a->part_count ? STAGE_PIECE : STAGE_FINISH;
        a->piece = p && p->kind == PART_TOOL ? 0 : 1;
        break;
    case STAGE_PIECE:
        assert(p);
        a->is_delta = a->piece > 0;
        if (p->kind == PART_TOOL) {
            jw_key(w, "tool_calls");
            jw_array(w);
            chat_tool(w, a, a->piece ? write_piece(a, a->piece - 1, word) : SPAN(""), a->piece == 0,
                      true);
            jw_array_end(w);
        } else {
            jw_key(w, p->kind == PART_TEXT ? "content" : "reasoning_content");
            jw_str(w, write_piece(a, a->piece - 1, word));
        }
        if (++a->piece <= p->pieces)
            break;
        write_next_part(a);
        if (a->stage == STAGE_OPEN)
            open_part(a);
        break;
    default:
        a->stage = a->include_usage ? STAGE_USAGE : STAGE_LAST;
    }
}

static void chat_choice(struct answer *a, struct json_out *w)
{
    bool finishing = a->stage == STAGE_FINISH;
    char word[48];
    jw_key(w, "choices");
    jw_array(w);
    jw_object(w);
    key_i64(w, "index", 0);
    if (a->speech == SPEAK_COMPLETIONS) {
        bool starting = a->stage == STAGE_START;
        jw_key(w, "text");
        jw_str(w, starting || finishing ? SPAN("") : write_piece(a, a->piece - 1, word));
        struct buf none; /* the stages advance as for chat; its delta is not said */
        struct json_out aside;
        buf_init(&none, 4096);
        json_out_buf(&aside, &none);
        jw_object(&aside);
        chat_delta(a, &aside);
        buf_deinit(&none);
    } else {
        jw_key(w, "delta");
        jw_object(w);
        chat_delta(a, w);
        jw_object_end(w);
    }
    key_null(w, "logprobs");
    jw_key(w, "finish_reason");
    if (finishing)
        jw_cstr(w, finish_reason(a));
    else
        jw_null(w);
    jw_object_end(w);
    jw_array_end(w);
}

static bool chat_next(struct answer *a, struct buf *to)
{
    if (a->stage == STAGE_OVER)
        return false;
    if (a->stage == STAGE_LAST) {
        a->stage = STAGE_OVER;
        return sse_write(to, NULL, SPAN("[DONE]")) == ERR_OK;
    }
    struct buf data;
    struct json_out w;
    buf_init(&data, (size_t)1 << 20);
    json_out_buf(&w, &data);
    jw_object(&w);
    chat_head(&w, a, a->speech == SPEAK_CHAT ? "chat.completion.chunk" : "text_completion");
    if (a->stage == STAGE_USAGE) {
        jw_key(&w, "choices");
        jw_raw(&w, SPAN("[]"));
        chat_usage(&w, a);
        a->stage = STAGE_LAST;
    } else {
        chat_choice(a, &w);
        if (a->include_usage)
            key_null(&w, "usage");
    }
    jw_object_end(&w);
    bool good = sse_write(to, NULL, buf_span(&data)) == ERR_OK;
    buf_deinit(&data);
    return good;
}

static void all_words(struct answer *a, struct json_out *w, enum part_kind kind, const char *key)
{
    char word[48];
    bool any = false;
    for (a->part = 0; a->part < a->part_count; a->part++) {
        if (a->parts[a->part].kind != kind)
            continue;
        any = true;
        jw_key(w, key);
        jw_str_begin(w);
        for (uint64_t i = 0; i < a->parts[a->part].pieces; i++)
            jw_part(w, word_piece(a, i, word));
        jw_str_end(w);
    }
    if (!any && kind == PART_TEXT)
        key_null(w, key);
}

static void chat_tools(struct answer *a, struct json_out *w)
{
    bool any = false;
    for (a->part = 0; a->part < a->part_count; a->part++) {
        if (a->parts[a->part].kind != PART_TOOL)
            continue;
        if (!any) {
            jw_key(w, "tool_calls");
            jw_array(w);
        }
        any = true;
        chat_tool(w, a, a->parts[a->part].tool->input, true, false);
    }
    if (any)
        jw_array_end(w);
}

static void chat_message(struct answer *a, struct json_out *w)
{
    jw_key(w, "message");
    jw_object(w);
    key_str(w, "role", "assistant");
    all_words(a, w, PART_TEXT, "content");
    all_words(a, w, PART_THINKING, "reasoning_content");
    key_null(w, "refusal");
    chat_tools(a, w);
    jw_object_end(w);
}

static void chat_whole(struct answer *a, struct json_out *w)
{
    jw_object(w);
    chat_head(w, a, a->speech == SPEAK_CHAT ? "chat.completion" : "text_completion");
    jw_key(w, "choices");
    jw_array(w);
    jw_object(w);
    key_i64(w, "index", 0);
    if (a->speech == SPEAK_CHAT)
        chat_message(a, w);
    else
        all_words(a, w, PART_TEXT, "text");
    key_null(w, "logprobs");
    key_str(w, "finish_reason", finish_reason(a));
    jw_object_end(w);
    jw_array_end(w);
    chat_usage(w, a);
    jw_object_end(w);
}

/* ---- both ---- */

bool write_next_event(struct answer *a, struct buf *to)
{
    a->is_delta = false;
    if (a->speech == SPEAK_RESPONSES)
        return responses_next(a, to);
    return a->speech == SPEAK_MESSAGES ? messages_next(a, to) : chat_next(a, to);
}

void write_whole(struct answer *a, struct buf *to)
{
    struct json_out w;
    json_out_buf(&w, to);
    if (a->speech == SPEAK_MESSAGES)
        messages_whole(a, &w);
    else if (a->speech == SPEAK_RESPONSES)
        responses_whole(a, &w);
    else
        chat_whole(a, &w);
}

static const char *chat_error_type(int status)
{
    return status == 401   ? "invalid_request_error"
           : status >= 500 ? "server_error"
                           : "invalid_request_error";
}

static void messages_error(struct json_out *w, const struct fault_row *row, const char *type,
                           const char *message, struct span id)
{
    key_str(w, "type", "error");
    jw_key(w, "error");
    jw_object(w);
    key_str(w, "type", type);
    key_str(w, "message", message);
    if (row && strcmp(row->name, "spend-limit") == 0) {
        jw_key(w, "details");
        jw_raw(w, SPAN("{\"error_code\":\"enforced_spend_limit_reached\"}"));
    }
    jw_object_end(w);
    jw_key(w, "request_id");
    jw_str(w, id);
}

struct span write_request_id(const struct answer *a)
{
    return arena_printf(request_arena(a->request), "req_%s_%06llu", a->standin->name,
                        (unsigned long long)a->serial);
}

void write_error(enum speech speech, int status, const struct fault_row *row, const char *type,
                 const char *message, struct span id, struct buf *to)
{
    struct json_out w;
    json_out_buf(&w, to);
    jw_object(&w);
    if (speech == SPEAK_MESSAGES) {
        messages_error(&w, row, type, message, id);
    } else {
        jw_key(&w, "error");
        jw_object(&w);
        key_str(&w, "message", message);
        key_str(&w, "type", row && row->chat_type ? row->chat_type : chat_error_type(status));
        key_null(&w, "param");
        jw_key(&w, "code");
        if (row && row->code)
            jw_cstr(&w, row->code);
        else
            jw_null(&w);
        jw_object_end(&w);
    }
    jw_object_end(&w);
}

void write_stream_error(struct answer *a, struct buf *to)
{
    struct buf data;
    if (a->speech == SPEAK_RESPONSES) {
        responses_stream_error(a, to);
        return;
    }
    buf_init(&data, 65536);
    const struct fault_row *row = a->fault->row;
    struct span id = write_request_id(a);
    write_error(a->speech, row->status, row, row->type, row->message, id, &data);
    if (sse_write(to, a->speech == SPEAK_MESSAGES ? "error" : NULL, buf_span(&data)) != ERR_OK)
        buf_reset(to);
    buf_deinit(&data);
}

void write_ping(const struct answer *a, struct buf *to)
{
    enum err e = a->speech == SPEAK_MESSAGES ? sse_write(to, "ping", SPAN("{\"type\":\"ping\"}"))
                                             : sse_write_comment(to, "keep-alive");
    if (e != ERR_OK)
        buf_reset(to);
}
