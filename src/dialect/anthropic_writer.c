/* Door: chat events written as a Messages answer, streamed or whole (protocols.md 1.5, 1.7, 5.4,
 * 7).
 *
 * One automaton writes every Messages stream, whoever answered:
 *
 *   BEFORE --START--> BETWEEN --BLOCK_START--> ANNOUNCED --first content--> OPEN --BLOCK_STOP-->
 * BETWEEN BETWEEN --END--> DONE           '--BLOCK_STOP (nothing came)--> BETWEEN
 *
 * Text and thinking are opened by their first content, so that no empty block is ever written; an
 * index is given when a block is opened, so that indices are contiguous. message_delta is held
 * until END, because usage may follow the stop reason. A whole answer goes the same way, its blocks
 * gathered in `content` and put out at END: one road, two outlets.
 *
 * An event that breaks the grammar of chat.h is our own bug, and an assert. */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

#include <stdio.h>

#define SCRATCH_MAX ((size_t)64 << 20) /* soft; holds one block's start and one tool input */

enum stage { BEFORE, BETWEEN, ANNOUNCED, OPEN, SKIPPED, DONE };

struct reply_writer {
    struct writer_options o;
    struct arena *a, scratch; /* scratch: emptied with each block */
    struct buf *to;
    bool stream, failed;
    enum stage stage;
    uint32_t index;
    enum chat_block_type block;
    bool has_signature, refused;
    struct span start_raw, delta_raw; /* the open block's own words, in scratch */
    struct chat_text id, name;        /* of the open tool, in scratch */
    struct chat_text message_id, model;
    struct chat_usage usage;
    enum chat_stop stop;
    struct chat_text stop_sequence;
    struct span stop_details;
    char delta_head[128]; /* streamed: what stands before each piece of the open block */
    size_t delta_head_len;
    struct json_out w;        /* whole: writes `content` */
    struct json_out side_out; /* whole: writes `side` */
    struct buf content, side; /* side: the open block's tool input, signature or citations */
};

static void writer_free(void *object)
{
    struct reply_writer *w = object;
    buf_deinit(&w->content);
    buf_deinit(&w->side);
    arena_deinit(&w->scratch);
}

struct reply_writer *anthropic_writer_new(struct arena *a, const struct writer_options *o,
                                          bool stream, struct buf *to)
{
    struct reply_writer *w = arena_new(a, struct reply_writer);
    w->o = *o;
    w->a = a;
    w->to = to;
    w->stream = stream;
    w->usage = CHAT_USAGE_UNKNOWN;
    arena_init(&w->scratch, SCRATCH_MAX);
    buf_init(&w->content, to->max);
    buf_init(&w->side, to->max);
    arena_on_free(a, writer_free, w);
    return w;
}

/* ---- output ---- */

static void put(struct reply_writer *w, struct span s)
{
    w->failed = w->failed || buf_add(w->to, s) != ERR_OK;
}

#define PUT(w, literal) put((w), SPAN(literal))

/* A JSON writer onto the stream; after use, `put_done`. */
static struct json_out put_json(struct reply_writer *w)
{
    struct json_out json;
    json_out_buf(&json, w->to);
    return json;
}

static void put_done(struct reply_writer *w, const struct json_out *json)
{
    w->failed = w->failed || json->failed;
}

static void put_text(struct reply_writer *w, struct chat_text t)
{
    struct json_out json = put_json(w);
    jw_text(&json, t);
    put_done(w, &json);
}

/* A data line has no line ends in it. Inside a JSON value they can only be blanks between tokens.
 */
static struct span one_line(struct arena *a, struct span raw)
{
    if (raw.len == 0 || (!memchr(raw.at, '\n', raw.len) && !memchr(raw.at, '\r', raw.len)))
        return raw;
    char *line = arena_alloc(a, raw.len);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++)
        if (raw.at[i] != '\n' && raw.at[i] != '\r')
            line[len++] = raw.at[i];
    return (struct span){line, len};
}

static struct chat_text text_copy(struct arena *a, struct chat_text t)
{
    return (struct chat_text){arena_copy(a, t.at), t.escaped};
}

static int64_t known(int64_t n)
{
    return n < 0 ? 0 : n;
}

/* All fields clients read, 0 where nobody told: an absent one breaks some of them. */
static void write_usage(struct json_out *json, const struct chat_usage *u)
{
    jw_object(json);
    jw_key(json, "input_tokens");
    jw_i64(json, known(u->input));
    jw_key(json, "cache_creation_input_tokens");
    jw_i64(json, known(u->cache_write));
    jw_key(json, "cache_read_input_tokens");
    jw_i64(json, known(u->cache_read));
    jw_key(json, "output_tokens");
    jw_i64(json, known(u->output));
    if (u->reasoning >= 0) {
        jw_key(json, "output_tokens_details");
        jw_object(json);
        jw_key(json, "thinking_tokens");
        jw_i64(json, u->reasoning);
        jw_object_end(json);
    }
    jw_object_end(json);
}

/* ---- message ---- */

/* Another provider's id is kept inside ours, so that it can be found in both logs. */
static struct chat_text message_id(struct reply_writer *w, struct chat_text upstream)
{
    if (w->o.id.len > 0)
        return text_from_plain(w->o.id);
    if (span_starts(upstream.at, SPAN("msg_")))
        return text_copy(w->a, upstream);
    struct span made = arena_printf(w->a, "msg_%.*s", SPAN_FMT(upstream.at));
    return (struct chat_text){made, upstream.escaped};
}

/* id to usage of a message object; the caller goes on inside it. */
static void write_message_head(struct reply_writer *w, struct json_out *json)
{
    jw_object(json);
    jw_key(json, "id");
    jw_text(json, w->message_id);
    jw_key(json, "type");
    jw_cstr(json, "message");
    jw_key(json, "role");
    jw_cstr(json, "assistant");
    jw_key(json, "model");
    jw_text(json, w->model);
}

static void on_start(struct reply_writer *w, const struct chat_event *e)
{
    assert(w->stage == BEFORE);
    w->stage = BETWEEN;
    w->message_id = message_id(w, e->id);
    w->model = w->o.model.len > 0 ? text_raw(w->o.model) : text_copy(w->a, e->model);
    chat_usage_merge(&w->usage, &e->usage);
    if (!w->stream) {
        json_out_buf(&w->w, &w->content);
        jw_array(&w->w);
        return;
    }
    PUT(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    struct json_out json = put_json(w);
    write_message_head(w, &json);
    jw_key(&json, "content");
    jw_raw(&json, SPAN("[]"));
    jw_key(&json, "stop_reason");
    jw_null(&json);
    jw_key(&json, "stop_sequence");
    jw_null(&json);
    jw_key(&json, "usage");
    write_usage(&json, &w->usage);
    jw_object_end(&json);
    put_done(w, &json);
    PUT(w, "}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n");
}

/* stop_reason, stop_sequence and, for a refusal, stop_details. */
static void write_stop(struct reply_writer *w, struct json_out *json)
{
    jw_key(json, "stop_reason");
    jw_cstr(json, chat_stop_name(w->stop));
    jw_key(json, "stop_sequence");
    if (w->stop == CHAT_STOP_SEQUENCE)
        jw_text(json, w->stop_sequence);
    else
        jw_null(json);
    if (w->stop_details.len > 0) {
        jw_key(json, "stop_details");
        jw_raw(json, w->stop_details);
    } else if (w->stop == CHAT_STOP_REFUSAL) {
        jw_key(json, "stop_details");
        jw_raw(json, SPAN("{\"type\":\"refusal\",\"category\":null,\"explanation\":null}"));
    }
}

static void on_finish(struct reply_writer *w, const struct chat_event *e)
{
    assert(w->stage == BETWEEN && w->stop == CHAT_STOP_NONE && e->stop != CHAT_STOP_NONE);
    w->stop = w->refused ? CHAT_STOP_REFUSAL : e->stop;
    w->stop_sequence = text_copy(w->a, e->stop_sequence);
    w->stop_details = arena_copy(w->a, one_line(w->a, e->raw));
}

static void end_whole(struct reply_writer *w)
{
    jw_array_end(&w->w);
    struct json_out json = put_json(w);
    write_message_head(w, &json);
    jw_key(&json, "content");
    jw_raw(&json, buf_span(&w->content));
    write_stop(w, &json);
    jw_key(&json, "usage");
    write_usage(&json, &w->usage);
    jw_object_end(&json);
    put_done(w, &json);
    w->failed = w->failed || w->w.failed;
}

static void on_end(struct reply_writer *w)
{
    assert(w->stage == BETWEEN && w->stop != CHAT_STOP_NONE);
    w->stage = DONE;
    if (!w->stream) {
        end_whole(w);
        return;
    }
    PUT(w, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":");
    struct json_out json = put_json(w);
    jw_object(&json);
    write_stop(w, &json);
    jw_object_end(&json);
    put_done(w, &json);
    PUT(w, ",\"usage\":");
    json = put_json(w);
    write_usage(&json, &w->usage);
    put_done(w, &json);
    PUT(w, "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

/* ---- blocks: what they are made of ---- */

static const char *delta_type(enum chat_block_type t)
{
    switch (t) {
    case CHAT_TEXT:
        return "{\"type\":\"text_delta\",\"text\":";
    case CHAT_THINKING:
        return "{\"type\":\"thinking_delta\",\"thinking\":";
    case CHAT_TOOL_USE:
    case CHAT_SERVER_TOOL_USE:
        return "{\"type\":\"input_json_delta\",\"partial_json\":";
    default:
        return "";
    }
}

static bool is_tool(const struct reply_writer *w)
{
    return w->block == CHAT_TOOL_USE || w->block == CHAT_SERVER_TOOL_USE;
}

/* The members of a tool block's source that we do not write ourselves ("caller"). Another dialect's
 * words have another type and are left alone. */
static void write_other_members(struct reply_writer *w, struct json_out *json)
{
    struct json_doc doc;
    if (w->start_raw.len == 0 ||
        json_parse(&w->scratch, w->start_raw, &json_limits_default, &doc, NULL) != ERR_OK)
        return;
    static const char *const ours[] = {"type", "id", "name", "input"};
    struct json root = json_root(&doc);
    for (struct json m = json_first(root); json_present(m); m = json_next(root, m)) {
        bool written = false;
        for (size_t i = 0; i < ARRAY_LEN(ours); i++)
            written = written || json_key_is(m, ours[i]);
        if (written)
            continue;
        jw_key_raw(json, json_key(m));
        jw_raw(json, json_raw(m));
    }
}

/* "tool_use", or the source's own word ("mcp_tool_use"). */
static struct span tool_type(struct reply_writer *w)
{
    struct json_doc doc;
    struct span word = SPAN_EMPTY;
    if (w->block == CHAT_SERVER_TOOL_USE && w->start_raw.len > 0 &&
        json_parse(&w->scratch, w->start_raw, &json_limits_default, &doc, NULL) == ERR_OK)
        word = json_str(json_get(json_root(&doc), "type"));
    return word.len > 0 ? word : span_from(chat_block_name(w->block));
}

/* A tool block up to its input; the caller writes that, then the rest. */
static void write_tool_head(struct reply_writer *w, struct json_out *json)
{
    jw_object(json);
    jw_key(json, "type");
    jw_str_raw(json, tool_type(w));
    jw_key(json, "id");
    jw_text(json, w->id);
    jw_key(json, "name");
    jw_text(json, w->name);
    jw_key(json, "input");
}

/* The raw JSON of a block that is whole in its start; empty: there is none, it cannot be written.
 */
static struct span whole_block(struct reply_writer *w, const struct chat_event *e)
{
    enum chat_block_type t = e->block_type;
    if (t != CHAT_REDACTED_THINKING && t != CHAT_SERVER_TOOL_RESULT && t != CHAT_OTHER)
        return SPAN_EMPTY;
    if (e->raw.len > 0 || t != CHAT_REDACTED_THINKING)
        return one_line(&w->scratch, e->raw);
    struct span data = text_plain(&w->scratch, e->text); /* base64: nothing to escape in it */
    return arena_printf(&w->scratch, "{\"type\":\"redacted_thinking\",\"data\":\"%.*s\"}",
                        SPAN_FMT(data));
}

/* ---- blocks, streamed ---- */

static void prepare_delta_head(struct reply_writer *w)
{
    int n = snprintf(w->delta_head, sizeof w->delta_head,
                     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                     "\"index\":%u,\"delta\":%s",
                     (unsigned)w->index, delta_type(w->block));
    assert(n > 0 && (size_t)n < sizeof w->delta_head);
    w->delta_head_len = (size_t)n;
}

static void put_delta_head(struct reply_writer *w)
{
    put(w, (struct span){w->delta_head, w->delta_head_len});
}

static void put_index(struct reply_writer *w)
{
    struct json_out json = put_json(w);
    jw_i64(&json, w->index);
    put_done(w, &json);
}

static void stream_open(struct reply_writer *w)
{
    PUT(w, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
    put_index(w);
    PUT(w, ",\"content_block\":");
    if (w->block == CHAT_TEXT) {
        PUT(w, "{\"type\":\"text\",\"text\":\"\"}");
    } else if (w->block == CHAT_THINKING) {
        PUT(w, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    } else if (is_tool(w)) {
        struct json_out json = put_json(w);
        write_tool_head(w, &json);
        jw_raw(&json, SPAN("{}"));
        write_other_members(w, &json);
        jw_object_end(&json);
        put_done(w, &json);
    } else {
        put(w, w->start_raw);
    }
    PUT(w, "}\n\n");
    prepare_delta_head(w);
    if (is_tool(w)) { /* every recorded tool starts with an empty piece */
        put_delta_head(w);
        PUT(w, "\"\"}}\n\n");
    }
}

static void stream_signature(struct reply_writer *w, struct chat_text signature)
{
    PUT(w, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    put_index(w);
    PUT(w, ",\"delta\":{\"type\":\"signature_delta\",\"signature\":");
    put_text(w, signature);
    PUT(w, "}}\n\n");
}

static void stream_citation(struct reply_writer *w, struct span raw)
{
    PUT(w, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    put_index(w);
    PUT(w, ",\"delta\":{\"type\":\"citations_delta\",\"citation\":");
    put(w, one_line(&w->scratch, raw));
    PUT(w, "}}\n\n");
}

static void stream_delta(struct reply_writer *w, const struct chat_event *e)
{
    put_delta_head(w);
    if (w->block == CHAT_OTHER) {
        put(w, one_line(&w->scratch, e->raw));
        PUT(w, "}\n\n");
        return;
    }
    put_text(w, e->text);
    PUT(w, "}}\n\n");
}

static void stream_close(struct reply_writer *w)
{
    PUT(w, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
    put_index(w);
    PUT(w, "}\n\n");
}

/* ---- blocks, gathered ---- */

static void whole_open(struct reply_writer *w)
{
    buf_reset(&w->side);
    json_out_buf(&w->side_out, &w->side);
    if (w->block == CHAT_TEXT || w->block == CHAT_THINKING) {
        const char *name = chat_block_name(w->block);
        jw_object(&w->w);
        jw_key(&w->w, "type");
        jw_cstr(&w->w, name);
        jw_key(&w->w, name);
        jw_str_begin(&w->w);
    }
    if (w->block == CHAT_TEXT)
        jw_array(&w->side_out); /* citations */
    else
        jw_str_begin(&w->side_out); /* signature or tool input */
}

static void whole_delta(struct reply_writer *w, const struct chat_event *e)
{
    if (w->block == CHAT_TEXT || w->block == CHAT_THINKING)
        jw_text_part(&w->w, e->text);
    else if (is_tool(w))
        jw_text_part(&w->side_out, e->text);
    else
        w->delta_raw = arena_copy(&w->scratch, e->raw);
}

/* A block of Anthropic's alone that was continued: the delta's members replace the start's. */
static void whole_other(struct reply_writer *w)
{
    struct json_doc start, delta;
    if (w->delta_raw.len == 0 ||
        json_parse(&w->scratch, w->start_raw, &json_limits_default, &start, NULL) != ERR_OK ||
        json_parse(&w->scratch, w->delta_raw, &json_limits_default, &delta, NULL) != ERR_OK) {
        jw_raw(&w->w, w->start_raw);
        return;
    }
    struct json from = json_root(&delta), to = json_root(&start);
    jw_object(&w->w);
    jw_key(&w->w, "type");
    jw_raw(&w->w, json_raw(json_get(to, "type")));
    for (struct json m = json_first(from); json_present(m); m = json_next(from, m)) {
        if (json_key_is(m, "type"))
            continue;
        jw_key_raw(&w->w, json_key(m));
        jw_raw(&w->w, json_raw(m));
    }
    jw_object_end(&w->w);
}

static void whole_close(struct reply_writer *w)
{
    if (w->block == CHAT_TEXT) {
        jw_str_end(&w->w);
        jw_array_end(&w->side_out);
        if (w->side.len > 2) { /* more than [] */
            jw_key(&w->w, "citations");
            jw_raw(&w->w, buf_span(&w->side));
        }
        jw_object_end(&w->w);
        return;
    }
    jw_str_end(&w->side_out);
    struct span quoted = buf_span(&w->side);
    struct chat_text side = text_raw(SPAN_EMPTY);
    if (!w->side_out.failed)
        side = text_raw((struct span){quoted.at + 1, quoted.len - 2});
    if (w->block == CHAT_THINKING) {
        jw_str_end(&w->w);
        jw_key(&w->w, "signature");
        jw_text(&w->w, side);
        jw_object_end(&w->w);
    } else if (is_tool(w)) {
        write_tool_head(w, &w->w);
        (void)jw_tool_input(&w->w, &w->scratch, side); /* wrapped when broken, never dropped */
        write_other_members(w, &w->w);
        jw_object_end(&w->w);
    } else {
        whole_other(w);
    }
}

/* ---- the automaton ---- */

static void open_block(struct reply_writer *w)
{
    assert(w->stage == ANNOUNCED);
    w->stage = OPEN;
    if (w->stream)
        stream_open(w);
    else
        whole_open(w);
}

static void on_block_start(struct reply_writer *w, const struct chat_event *e)
{
    assert(w->stage == BETWEEN && w->stop == CHAT_STOP_NONE);
    arena_reset(&w->scratch);
    w->block = e->block_type == CHAT_REFUSAL ? CHAT_TEXT : e->block_type;
    w->refused = w->refused || e->block_type == CHAT_REFUSAL;
    w->has_signature = false;
    w->start_raw = w->delta_raw = SPAN_EMPTY;
    w->stage = ANNOUNCED;
    switch (w->block) {
    case CHAT_TEXT:
    case CHAT_THINKING:
        return; /* opened by their first content */
    case CHAT_TOOL_USE:
    case CHAT_SERVER_TOOL_USE:
        w->id = tool_id_fit(&w->scratch, text_copy(&w->scratch, e->id));
        w->name = text_copy(&w->scratch, e->name);
        w->start_raw = arena_copy(&w->scratch, one_line(&w->scratch, e->raw));
        break;
    default:
        w->start_raw = arena_copy(&w->scratch, whole_block(w, e));
        if (w->start_raw.len == 0) {
            w->stage = SKIPPED; /* nothing a Messages answer has words for */
            return;
        }
        break;
    }
    open_block(w);
}

static void ensure_open(struct reply_writer *w)
{
    if (w->stage == ANNOUNCED)
        open_block(w);
    assert(w->stage == OPEN);
}

static void on_delta(struct reply_writer *w, const struct chat_event *e)
{
    bool empty = w->block == CHAT_OTHER ? e->raw.len == 0 : chat_text_empty(e->text);
    if (w->stage == SKIPPED || empty)
        return;
    ensure_open(w);
    if (w->stream)
        stream_delta(w, e);
    else
        whole_delta(w, e);
}

static void on_signature(struct reply_writer *w, const struct chat_event *e)
{
    assert(w->block == CHAT_THINKING);
    if (chat_text_empty(e->text))
        return;
    ensure_open(w);
    w->has_signature = true;
    if (w->stream)
        stream_signature(w, e->text);
    else
        jw_text_part(&w->side_out, e->text);
}

static void on_citation(struct reply_writer *w, const struct chat_event *e)
{
    if (w->block != CHAT_TEXT || e->raw.len == 0)
        return;
    ensure_open(w);
    if (w->stream)
        stream_citation(w, e->raw);
    else
        jw_raw(&w->side_out, e->raw);
}

static void on_block_stop(struct reply_writer *w)
{
    assert(w->stage == ANNOUNCED || w->stage == OPEN || w->stage == SKIPPED);
    if (w->stage == OPEN) {
        if (w->block == CHAT_THINKING && !w->has_signature)
            on_signature(w, &(struct chat_event){.text = CHAT_TEXT_LIT(SIGNATURE_UNSIGNED)});
        if (w->stream)
            stream_close(w);
        else
            whole_close(w);
        w->index++;
    }
    w->stage = BETWEEN;
}

enum err anthropic_write_event(struct reply_writer *w, const struct chat_event *e)
{
    assert(w->stage != DONE);
    switch (e->type) {
    case CHAT_EV_START:
        on_start(w, e);
        break;
    case CHAT_EV_BLOCK_START:
        on_block_start(w, e);
        break;
    case CHAT_EV_DELTA:
        on_delta(w, e);
        break;
    case CHAT_EV_SIGNATURE:
        on_signature(w, e);
        break;
    case CHAT_EV_CITATION:
        on_citation(w, e);
        break;
    case CHAT_EV_BLOCK_STOP:
        on_block_stop(w);
        break;
    case CHAT_EV_ITEM_STOP:
        break;
    case CHAT_EV_USAGE:
        chat_usage_merge(&w->usage, &e->usage);
        break;
    case CHAT_EV_FINISH:
        on_finish(w, e);
        break;
    case CHAT_EV_END:
        on_end(w);
        break;
    case CHAT_EV_ERROR:
        return anthropic_write_error(w->to, w, e->error);
    case CHAT_EV_PING:
        return anthropic_write_ping(w);
    }
    return w->failed || w->w.failed || w->side_out.failed ? ERR_LIMIT : ERR_OK;
}

enum err anthropic_write_ping(struct reply_writer *w)
{
    if (w->stream)
        PUT(w, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
    return w->failed ? ERR_LIMIT : ERR_OK;
}

static void write_error_object(struct json_out *json, const struct chat_error *e)
{
    jw_object(json);
    jw_key(json, "type");
    jw_cstr(json, "error");
    jw_key(json, "error");
    jw_object(json);
    jw_key(json, "type");
    jw_str(json, e->type.len > 0 ? e->type : span_from(dialect_error_type(e->status)));
    jw_key(json, "message");
    jw_str(json, e->message);
    if (e->code.len > 0) {
        jw_key(json, "details");
        jw_object(json);
        jw_key(json, "error_code");
        jw_str(json, e->code);
        jw_object_end(json);
    }
    jw_object_end(json);
    if (e->request_id.len > 0) {
        jw_key(json, "request_id");
        jw_str(json, e->request_id);
    }
    jw_object_end(json);
}

enum err anthropic_write_error(struct buf *to, struct reply_writer *w, const struct chat_error *e)
{
    bool stream = w && w->stream;
    if (w)
        w->stage = DONE;
    enum err err = stream ? buf_add_cstr(to, "event: error\ndata: ") : ERR_OK;
    if (err != ERR_OK)
        return err;
    struct json_out json;
    json_out_buf(&json, to);
    write_error_object(&json, e);
    if (json.failed)
        return ERR_LIMIT;
    return stream ? buf_add_cstr(to, "\n\n") : ERR_OK;
}
