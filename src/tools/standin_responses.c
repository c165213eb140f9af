/* The words of OpenAI Responses: the ladder of events, and the whole object (protocols.md 2.8,
 * 2.9).
 *
 * Everything is told several times there: as pieces, as the text of its part, as the item, and in
 * the last object. Written apart from src/dialect on purpose, as standin_write.c. */
#include "base/span.h"
#include "http/sse.h"
#include "tools/standin_internal.h"

#include <stdio.h>

#define EVENT_MAX ((size_t)16 << 20) /* the last one says a million words again */

/* How an item of each kind is told. opens: NULL = it has no parts. */
static const struct item_words {
    const char *type, *prefix;
    const char *opens, *delta, *done, *closes;
    const char *index, *part_type, *text;
} item_words[] = {
    [PART_THINKING] = {"reasoning", "rs_", "response.reasoning_summary_part.added",
                       "response.reasoning_summary_text.delta",
                       "response.reasoning_summary_text.done",
                       "response.reasoning_summary_part.done", "summary_index", "summary_text",
                       "text"},
    [PART_TEXT] = {"message", "msg_", "response.content_part.added", "response.output_text.delta",
                   "response.output_text.done", "response.content_part.done", "content_index",
                   "output_text", "text"},
    [PART_TOOL] = {"function_call", "fc_", NULL, "response.function_call_arguments.delta",
                   "response.function_call_arguments.done", NULL, NULL, NULL, "arguments"},
};

static const struct item_words *words_of(const struct answer *a)
{
    return &item_words[a->parts[a->part].kind];
}

/* ---- items ---- */

static struct span text_of(struct answer *a, bool full)
{
    const struct part *p = &a->parts[a->part];
    if (!full)
        return SPAN("");
    return p->kind == PART_TOOL ? p->tool->input : write_part_text(a, a->part);
}

static void key_text(struct json_out *w, const char *key, struct span text)
{
    jw_key(w, key);
    jw_str(w, text);
}

static void key_place_id(struct json_out *w, const char *key, const char *prefix,
                         const struct answer *a)
{
    char id[64];
    (void)snprintf(id, sizeof id, "%s%06llu%02zu", prefix, (unsigned long long)a->serial, a->part);
    key_str(w, key, id);
}

static void put_part(struct answer *a, struct json_out *w, bool full)
{
    jw_object(w);
    key_str(w, "type", words_of(a)->part_type);
    key_text(w, "text", text_of(a, full));
    if (a->parts[a->part].kind == PART_TEXT) {
        jw_key(w, "annotations");
        jw_raw(w, SPAN("[]"));
    }
    jw_object_end(w);
}

static void put_parts(struct answer *a, struct json_out *w, const char *key, bool full)
{
    jw_key(w, key);
    jw_array(w);
    if (full)
        put_part(a, w, true);
    jw_array_end(w);
}

/* It is given only where `include` asks for it. */
static bool wants_encrypted(const struct answer *a)
{
    struct json list = json_get(json_root(&a->doc), "include");
    for (struct json v = json_first(list); json_present(v); v = json_next(list, v))
        if (json_str_is(v, "reasoning.encrypted_content"))
            return true;
    return false;
}

static void put_item(struct answer *a, struct json_out *w, bool full)
{
    const struct part *p = &a->parts[a->part];
    const struct item_words *words = words_of(a);
    jw_object(w);
    key_place_id(w, "id", words->prefix, a);
    key_str(w, "type", words->type);
    if (p->kind == PART_THINKING) {
        put_parts(a, w, "summary", full);
        if (wants_encrypted(a))
            key_text(w, "encrypted_content", a->signature);
        jw_object_end(w);
        return;
    }
    key_str(w, "status", full ? "completed" : "in_progress");
    if (p->kind == PART_TEXT) {
        put_parts(a, w, "content", full);
        key_str(w, "role", "assistant");
    } else {
        key_text(w, "arguments", text_of(a, full));
        key_place_id(w, "call_id", "call_", a);
        key_str(w, "name", p->tool->name);
    }
    jw_object_end(w);
}

/* ---- the response object ---- */

static bool is_incomplete(const struct answer *a)
{
    return strcmp(a->stop, "max_tokens") == 0;
}

/* What was asked, or OpenAI's default. */
static void put_echo(const struct answer *a, struct json_out *w)
{
    static const char *const fields[][2] = {
        {"background", "false"},
        {"instructions", "null"},
        {"max_output_tokens", "null"},
        {"metadata", "{}"},
        {"parallel_tool_calls", "true"},
        {"previous_response_id", "null"},
        {"reasoning", "{\"effort\":null,\"summary\":null}"},
        {"store", "true"},
        {"temperature", "1.0"},
        {"text", "{\"format\":{\"type\":\"text\"}}"},
        {"tool_choice", "\"auto\""},
        {"tools", "[]"},
        {"top_p", "1.0"},
        {"truncation", "\"disabled\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct json asked = json_get(json_root(&a->doc), fields[i][0]);
        jw_key(w, fields[i][0]);
        jw_raw(w, json_useful(asked) ? json_raw(asked) : span_from(fields[i][1]));
    }
}

static void put_usage(const struct answer *a, struct json_out *w)
{
    uint64_t reasoning = 0;
    for (size_t i = 0; i < a->part_count; i++)
        reasoning += a->parts[i].kind == PART_THINKING ? a->parts[i].pieces : 0;
    jw_key(w, "usage");
    jw_object(w);
    key_i64(w, "input_tokens", a->prompt_words);
    jw_key(w, "input_tokens_details");
    jw_raw(w, SPAN("{\"cached_tokens\":0}"));
    key_i64(w, "output_tokens", a->output_words);
    jw_key(w, "output_tokens_details");
    jw_object(w);
    key_i64(w, "reasoning_tokens", reasoning);
    jw_object_end(w);
    key_i64(w, "total_tokens", a->prompt_words + a->output_words);
    jw_object_end(w);
}

static void put_output(struct answer *a, struct json_out *w)
{
    size_t now = a->part;
    for (a->part = 0; a->part < a->part_count; a->part++)
        put_item(a, w, true);
    a->part = now;
}

/* code: NULL = nothing failed. full: with output and usage. */
static void put_response(struct answer *a, struct json_out *w, const char *status, const char *code,
                         const char *message, bool full)
{
    char id[64];
    (void)snprintf(id, sizeof id, "resp_%s_%06llu", a->standin->name,
                   (unsigned long long)a->serial);
    jw_object(w);
    key_str(w, "id", id);
    key_str(w, "object", "response");
    key_i64(w, "created_at", 1700000000);
    key_str(w, "status", status);
    jw_key(w, "error");
    if (code) {
        jw_object(w);
        key_str(w, "code", code);
        key_str(w, "message", message);
        jw_object_end(w);
    } else {
        jw_null(w);
    }
    jw_key(w, "incomplete_details");
    jw_raw(w, strcmp(status, "incomplete") == 0 ? SPAN("{\"reason\":\"max_output_tokens\"}")
                                                : SPAN("null"));
    key_model(w, a);
    put_echo(a, w);
    jw_key(w, "output");
    jw_array(w);
    if (full)
        put_output(a, w);
    jw_array_end(w);
    if (full)
        put_usage(a, w);
    else
        key_null(w, "usage");
    jw_object_end(w);
}

void responses_whole(struct answer *a, struct json_out *w)
{
    put_response(a, w, is_incomplete(a) ? "incomplete" : "completed", NULL, NULL, true);
}

/* ---- events ---- */

static void begin_event(struct answer *a, struct json_out *w, struct buf *data, const char *type)
{
    buf_init(data, EVENT_MAX);
    json_out_buf(w, data);
    jw_object(w);
    key_str(w, "type", type);
    key_i64(w, "sequence_number", a->sequence++);
}

static bool end_event(struct json_out *w, struct buf *data, const char *type, struct buf *to)
{
    jw_object_end(w);
    bool good = sse_write(to, type, buf_span(data)) == ERR_OK;
    buf_deinit(data);
    return good;
}

static bool tell_response(struct answer *a, struct buf *to, const char *type, const char *status,
                          bool full)
{
    struct buf data;
    struct json_out w;
    begin_event(a, &w, &data, type);
    jw_key(&w, "response");
    put_response(a, &w, status, NULL, NULL, full);
    return end_event(&w, &data, type, to);
}

static bool tell_item(struct answer *a, struct buf *to, const char *type, bool full)
{
    struct buf data;
    struct json_out w;
    begin_event(a, &w, &data, type);
    key_i64(&w, "output_index", a->part);
    jw_key(&w, "item");
    put_item(a, &w, full);
    return end_event(&w, &data, type, to);
}

static void put_place(const struct answer *a, struct json_out *w)
{
    const struct item_words *words = words_of(a);
    key_place_id(w, "item_id", words->prefix, a);
    key_i64(w, "output_index", a->part);
    if (words->index)
        key_i64(w, words->index, 0);
}

static bool tell_part(struct answer *a, struct buf *to, const char *type, bool full)
{
    struct buf data;
    struct json_out w;
    begin_event(a, &w, &data, type);
    put_place(a, &w);
    jw_key(&w, "part");
    put_part(a, &w, full);
    return end_event(&w, &data, type, to);
}

static bool tell_text(struct answer *a, struct buf *to, const char *type, const char *key,
                      struct span text)
{
    struct buf data;
    struct json_out w;
    begin_event(a, &w, &data, type);
    put_place(a, &w);
    key_text(&w, key, text);
    if (a->parts[a->part].kind == PART_TEXT) {
        jw_key(&w, "logprobs");
        jw_raw(&w, SPAN("[]"));
    }
    return end_event(&w, &data, type, to);
}

/* ---- the ladder ---- */

static void enter(struct answer *a, enum answer_stage stage)
{
    a->stage = stage;
    a->step = 0;
}

static bool start(struct answer *a, struct buf *to)
{
    if (a->step++ == 0)
        return tell_response(a, to, "response.created", "in_progress", false);
    enter(a, a->part_count ? STAGE_OPEN : STAGE_LAST);
    return tell_response(a, to, "response.in_progress", "in_progress", false);
}

static bool open(struct answer *a, struct buf *to)
{
    const char *opens = words_of(a)->opens;
    bool first = a->step++ == 0;
    if (!first || !opens) {
        enter(a, STAGE_PIECE);
        a->piece = 1;
    }
    return first ? tell_item(a, to, "response.output_item.added", false)
                 : tell_part(a, to, opens, false);
}

static bool piece(struct answer *a, struct buf *to)
{
    char word[48];
    struct span said = write_piece(a, a->piece - 1, word);
    a->is_delta = true;
    bool good = tell_text(a, to, words_of(a)->delta, "delta", said);
    if (++a->piece > a->parts[a->part].pieces)
        enter(a, STAGE_CLOSE);
    return good;
}

static bool finish_part(struct answer *a, struct buf *to)
{
    const struct item_words *words = words_of(a);
    unsigned step = a->step++;
    if (step == 0)
        return tell_text(a, to, words->done, words->text, text_of(a, true));
    if (step == 1 && words->closes)
        return tell_part(a, to, words->closes, true);
    bool good = tell_item(a, to, "response.output_item.done", true);
    write_next_part(a);
    enter(a, a->stage == STAGE_OPEN ? STAGE_OPEN : STAGE_LAST);
    return good;
}

static bool last(struct answer *a, struct buf *to)
{
    enter(a, STAGE_OVER);
    return is_incomplete(a) ? tell_response(a, to, "response.incomplete", "incomplete", true)
                            : tell_response(a, to, "response.completed", "completed", true);
}

/* An event that was kept, as it is. */
static bool tell_again(struct answer *a, struct buf *to)
{
    ssize_t end = span_search(a->again, SPAN("\n\n"));
    if (end < 0)
        return false;
    struct span event = span_take(a->again, (size_t)end + 2);
    struct span line = span_take(event, (size_t)span_find(event, '\n'));
    a->again = span_drop(a->again, event.len);
    a->sequence++;
    a->is_delta = span_ends(line, SPAN(".delta"));
    return buf_add(to, event) == ERR_OK;
}

bool responses_next(struct answer *a, struct buf *to)
{
    if (a->tells_again)
        return tell_again(a, to);
    switch (a->stage) {
    case STAGE_START:
        return start(a, to);
    case STAGE_OPEN:
        return open(a, to);
    case STAGE_PIECE:
        return piece(a, to);
    case STAGE_CLOSE:
        return finish_part(a, to);
    case STAGE_LAST:
        return last(a, to);
    default:
        return false;
    }
}

/* ---- errors ---- */

static bool tell_failed(struct answer *a, struct buf *to, const char *code)
{
    struct buf data;
    struct json_out w;
    begin_event(a, &w, &data, "response.failed");
    jw_key(&w, "response");
    put_response(a, &w, "failed", code, a->fault->row->message, false);
    return end_event(&w, &data, "response.failed", to);
}

/* The error, and behind what had begun that it failed. */
void responses_stream_error(struct answer *a, struct buf *to)
{
    const struct fault_row *row = a->fault->row;
    const char *code = row->code ? row->code : "server_error";
    struct buf data;
    struct json_out w;
    begin_event(a, &w, &data, "error");
    jw_key(&w, "error");
    jw_object(&w);
    key_str(&w, "type", row->chat_type ? row->chat_type : "server_error");
    key_str(&w, "code", code);
    key_str(&w, "message", row->message);
    key_null(&w, "param");
    jw_object_end(&w);
    bool good = end_event(&w, &data, "error", to);
    if (good && a->events > 0 && !a->tells_again)
        good = tell_failed(a, to, code);
    assert(good); /* an answer's buffer has room for it */
}
