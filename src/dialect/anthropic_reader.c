/* Upstream: a Messages answer, streamed or whole, read into chat events (protocols.md 1.5 and 1.7).
 *
 *   BEFORE --message_start--> BETWEEN --content_block_start--> IN_BLOCK --content_block_stop-->
 * BETWEEN BETWEEN --message_delta with a stop_reason--> FINISHED --message_stop--> ENDED any
 * --error--> FAILED
 *
 * Strict where a mistake would garble the answer (order, indices, a delta of the wrong type, a
 * second start): that is ERR_SYNTAX and the attempt is broken. Open where the format is: unknown
 * events, blocks and deltas are passed by or passed on whole, and nothing counts after the end.
 *
 * A stream's memory does not grow with its length: each event is indexed in a scratch arena that is
 * emptied for the next, and the bytes go to the sink as slices of the event. */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

#define HELD_INPUT_MAX ((size_t)4 << 20) /* of a tool input that must be complete to be told */
#define EVENT_SCRATCH_MAX                                                                          \
    ((size_t)256 << 20) /* soft; the event itself is bounded by the SSE reader */

enum stage { BEFORE, BETWEEN, IN_BLOCK, FINISHED, ENDED, FAILED };

struct reply_reader {
    struct chat_sink sink;
    const struct chat_request *request; /* NULL when not known */
    struct arena scratch;
    enum stage stage;
    int64_t index; /* of the open block, else of the next one */
    enum chat_block_type block;
    bool custom;     /* the open block is a call of an OpenAI custom (free text) tool */
    bool told_input; /* a piece of the open block's input came */
    bool seen_tool;
    struct buf held; /* an input that came with the start */
    struct free_text free_text;
};

static void reader_free(void *object)
{
    struct reply_reader *r = object;
    arena_deinit(&r->scratch);
    buf_deinit(&r->held);
    free_text_deinit(&r->free_text);
}

struct reply_reader *anthropic_reader_new(struct arena *a, const struct reader_options *o,
                                          struct chat_sink sink)
{
    struct reply_reader *r = arena_new(a, struct reply_reader);
    r->sink = sink;
    r->request = o->request;
    arena_init(&r->scratch, EVENT_SCRATCH_MAX);
    buf_init(&r->held, HELD_INPUT_MAX);
    arena_on_free(a, reader_free, r);
    return r;
}

static void tell(const struct reply_reader *r, const struct chat_event *e)
{
    r->sink.event(r->sink.ctx, e);
}

static void tell_type(const struct reply_reader *r, enum chat_event_type type)
{
    tell(r, &(struct chat_event){.type = type, .block_type = r->block});
}

static void tell_text(const struct reply_reader *r, enum chat_event_type type,
                      struct chat_text text)
{
    if (!chat_text_empty(text))
        tell(r, &(struct chat_event){.type = type, .block_type = r->block, .text = text});
}

/* ---- usage and stop ---- */

static int64_t count_of(struct json v)
{
    int64_t n;
    return json_is(v, JSON_NUMBER) && json_i64(v, &n) == ERR_OK && n >= 0 ? n : -1;
}

static struct chat_usage usage_of(struct json v)
{
    struct chat_usage u = CHAT_USAGE_UNKNOWN;
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        if (json_key_is(m, "input_tokens"))
            u.input = count_of(m);
        else if (json_key_is(m, "output_tokens"))
            u.output = count_of(m);
        else if (json_key_is(m, "cache_read_input_tokens"))
            u.cache_read = count_of(m);
        else if (json_key_is(m, "cache_creation_input_tokens"))
            u.cache_write = count_of(m);
        else if (json_key_is(m, "output_tokens_details"))
            u.reasoning = count_of(json_get(m, "thinking_tokens"));
    }
    return u;
}

static void tell_usage(const struct reply_reader *r, struct json usage)
{
    if (json_is(usage, JSON_OBJECT))
        tell(r, &(struct chat_event){.type = CHAT_EV_USAGE, .usage = usage_of(usage)});
}

/* A word of tomorrow is an end like any other; the text before it is complete. */
static enum chat_stop stop_of(const struct reply_reader *r, struct json reason)
{
    enum chat_stop stop = CHAT_STOP_END_TURN;
    for (enum chat_stop s = CHAT_STOP_END_TURN; s <= CHAT_STOP_COMPACTION; s++)
        if (json_str_is(reason, chat_stop_name(s)))
            stop = s;
    /* Servers that imitate the format forget it. */
    return stop == CHAT_STOP_END_TURN && r->seen_tool ? CHAT_STOP_TOOL_USE : stop;
}

static void tell_finish(struct reply_reader *r, struct json from)
{
    struct chat_event e = {.type = CHAT_EV_FINISH,
                           .stop = stop_of(r, json_get(from, "stop_reason"))};
    struct json details = json_get(from, "stop_details");
    e.stop_sequence = text_of(json_get(from, "stop_sequence"));
    if (json_useful(details))
        e.raw = json_raw(details);
    tell(r, &e);
    r->stage = FINISHED;
}

static void tell_start(struct reply_reader *r, struct json message)
{
    struct json usage = json_get(message, "usage");
    r->stage = BETWEEN;
    tell(r, &(struct chat_event){.type = CHAT_EV_START,
                                 .id = text_of(json_get(message, "id")),
                                 .model = text_of(json_get(message, "model")),
                                 .usage = usage_of(usage)});
}

static enum err tell_error(struct reply_reader *r, struct json envelope)
{
    struct chat_error error;
    dialect_error_from_json(&r->scratch, 0, envelope, &error);
    r->stage = FAILED;
    tell(r, &(struct chat_event){.type = CHAT_EV_ERROR, .error = &error});
    return ERR_OK;
}

/* ---- blocks ---- */

static const struct {
    const char *name;
    enum chat_block_type type;
} block_types[] = {
    {"text", CHAT_TEXT},
    {"tool_use", CHAT_TOOL_USE},
    {"thinking", CHAT_THINKING},
    {"redacted_thinking", CHAT_REDACTED_THINKING},
    {"server_tool_use", CHAT_SERVER_TOOL_USE},
    {"mcp_tool_use", CHAT_SERVER_TOOL_USE},
};

static enum chat_block_type block_type_of(struct json type)
{
    for (size_t i = 0; i < ARRAY_LEN(block_types); i++)
        if (json_str_is(type, block_types[i].name))
            return block_types[i].type;
    return span_ends(json_str(type), SPAN("_tool_result")) ? CHAT_SERVER_TOOL_RESULT : CHAT_OTHER;
}

/* Opens the block; false when it is none. */
static bool open_block(struct reply_reader *r, struct json block)
{
    struct json type = json_get(block, "type");
    if (json_str(type).len == 0)
        return false;
    r->block = block_type_of(type);
    r->stage = IN_BLOCK;
    r->told_input = r->custom = false;
    buf_reset(&r->held);
    struct chat_event e = {
        .type = CHAT_EV_BLOCK_START, .block_type = r->block, .raw = json_raw(block)};
    switch (r->block) {
    case CHAT_TOOL_USE:
        r->seen_tool = true;
        e.id = text_of(json_get(block, "id"));
        e.name = text_of(json_get(block, "name"));
        /* In Anthropic's own requests "custom" is the ordinary tool, and read as such. */
        e.custom = r->custom = free_text_tool(r->request, e.name) != NULL;
        if (r->custom) {
            free_text_deinit(&r->free_text);
            free_text_init(&r->free_text);
        }
        if (chat_text_empty(e.name) || chat_text_empty(e.id))
            return false; /* a call nobody could answer */
        break;
    case CHAT_SERVER_TOOL_USE:
        e.id = text_of(json_get(block, "id"));
        e.name = text_of(json_get(block, "name"));
        break;
    case CHAT_SERVER_TOOL_RESULT:
        e.id = text_of(json_get(block, "tool_use_id"));
        e.name = text_of(type);
        break;
    case CHAT_REDACTED_THINKING:
        e.text = text_of(json_get(block, "data"));
        break;
    case CHAT_OTHER:
        e.name = text_of(type);
        break;
    default:
        break;
    }
    tell(r, &e);
    return true;
}

static bool has_input(const struct reply_reader *r)
{
    return r->block == CHAT_TOOL_USE || r->block == CHAT_SERVER_TOOL_USE;
}

/* What of a free-text tool's text is in this piece of its JSON. */
static enum err tell_free_text(struct reply_reader *r, struct chat_text piece)
{
    enum err e = free_text_feed(&r->free_text, piece, &piece);
    if (e == ERR_OK && !chat_text_empty(piece))
        tell_text(r, CHAT_EV_DELTA, piece);
    return e;
}

static enum err close_block(struct reply_reader *r)
{
    struct chat_text whole = text_from_plain(buf_span(&r->held));
    enum err e = ERR_OK;
    if (r->custom && !r->told_input)
        e = tell_free_text(r, whole);
    else if (!r->told_input)
        tell_text(r, CHAT_EV_DELTA, whole);
    if (r->custom)
        tell_text(r, CHAT_EV_DELTA, free_text_end(&r->free_text, &r->scratch));
    tell_type(r, CHAT_EV_BLOCK_STOP);
    r->stage = BETWEEN;
    r->index++;
    return e;
}

/* A piece of the open block's JSON text. A piece is never decoded: an escape may be cut in two. */
static enum err take_input(struct reply_reader *r, struct chat_text piece)
{
    r->told_input = r->told_input || !chat_text_empty(piece);
    if (r->custom)
        return tell_free_text(r, piece);
    tell_text(r, CHAT_EV_DELTA, piece);
    return ERR_OK;
}

static void tell_citations(const struct reply_reader *r, struct json citations)
{
    if (!json_is(citations, JSON_ARRAY))
        return;
    for (struct json c = json_first(citations); json_present(c); c = json_next(citations, c))
        tell(r, &(struct chat_event){
                    .type = CHAT_EV_CITATION, .block_type = r->block, .raw = json_raw(c)});
}

/* What a block brings in its start: all of it in a whole answer, usually nothing in a stream. */
static void tell_content(struct reply_reader *r, struct json block)
{
    if (r->block == CHAT_TEXT) {
        tell_text(r, CHAT_EV_DELTA, text_of(json_get(block, "text")));
        tell_citations(r, json_get(block, "citations"));
    } else if (r->block == CHAT_THINKING) {
        tell_text(r, CHAT_EV_DELTA, text_of(json_get(block, "thinking")));
        tell_text(r, CHAT_EV_SIGNATURE, text_of(json_get(block, "signature")));
    }
}

/* ---- stream events ---- */

static enum err on_message_start(struct reply_reader *r, struct json v)
{
    struct json message = json_get(v, "message");
    if (r->stage != BEFORE || !json_is(message, JSON_OBJECT))
        return ERR_SYNTAX;
    tell_start(r, message);
    return ERR_OK;
}

static bool index_fits(const struct reply_reader *r, struct json v)
{
    int64_t index;
    return json_i64(json_get(v, "index"), &index) == ERR_OK && index == r->index;
}

static enum err on_block_start(struct reply_reader *r, struct json v)
{
    struct json block = json_get(v, "content_block");
    if (r->stage != BETWEEN || !index_fits(r, v) || !open_block(r, block))
        return ERR_SYNTAX;
    tell_content(r, block);
    struct json input = json_get(block, "input");
    if (has_input(r) && json_len(input) > 0) {
        /* Some servers put the whole input here and send no pieces; if pieces come, they are it. */
        return buf_add(&r->held, json_raw(input));
    }
    return ERR_OK;
}

static enum err on_text_delta(struct reply_reader *r, struct json delta, const char *member,
                              enum chat_event_type type, enum chat_block_type block)
{
    struct json text = json_get(delta, member);
    if (r->block != block || !json_is(text, JSON_STRING))
        return ERR_SYNTAX;
    tell_text(r, type, text_of(text));
    return ERR_OK;
}

static enum err on_delta(struct reply_reader *r, struct json v)
{
    struct json delta = json_get(v, "delta"), type = json_get(delta, "type");
    if (r->stage != IN_BLOCK || !index_fits(r, v) || !json_is(type, JSON_STRING))
        return ERR_SYNTAX;
    if (json_str_is(type, "text_delta"))
        return on_text_delta(r, delta, "text", CHAT_EV_DELTA, CHAT_TEXT);
    if (json_str_is(type, "input_json_delta")) {
        struct json piece = json_get(delta, "partial_json");
        if (!has_input(r) || !json_is(piece, JSON_STRING))
            return ERR_SYNTAX;
        return take_input(r, text_of(piece));
    }
    if (json_str_is(type, "thinking_delta"))
        return on_text_delta(r, delta, "thinking", CHAT_EV_DELTA, CHAT_THINKING);
    if (json_str_is(type, "signature_delta"))
        return on_text_delta(r, delta, "signature", CHAT_EV_SIGNATURE, CHAT_THINKING);
    if (json_str_is(type, "citations_delta")) {
        struct json citation = json_get(delta, "citation");
        if (r->block != CHAT_TEXT || !json_is(citation, JSON_OBJECT))
            return ERR_SYNTAX;
        tell(r, &(struct chat_event){
                    .type = CHAT_EV_CITATION, .block_type = r->block, .raw = json_raw(citation)});
    } else if (r->block == CHAT_OTHER) { /* compaction_delta and what may follow, whole */
        tell(r, &(struct chat_event){
                    .type = CHAT_EV_DELTA, .block_type = r->block, .raw = json_raw(delta)});
    }
    return ERR_OK;
}

static enum err on_block_stop(struct reply_reader *r, struct json v)
{
    if (r->stage != IN_BLOCK || !index_fits(r, v))
        return ERR_SYNTAX;
    return close_block(r);
}

static enum err on_message_delta(struct reply_reader *r, struct json v)
{
    struct json delta = json_get(v, "delta");
    bool stops = json_useful(json_get(delta, "stop_reason"));
    if (r->stage == BEFORE || (stops && r->stage == IN_BLOCK))
        return ERR_SYNTAX;
    tell_usage(r, json_get(v, "usage"));
    if (stops && r->stage == BETWEEN) /* a second one only updates the usage */
        tell_finish(r, delta);
    return ERR_OK;
}

static enum err on_message_stop(struct reply_reader *r, struct json v)
{
    (void)v;
    if (r->stage != FINISHED) /* no stop_reason: cut off by something that closes tidily */
        return ERR_SYNTAX;
    r->stage = ENDED;
    tell_type(r, CHAT_EV_END);
    return ERR_OK;
}

static enum err on_ping(struct reply_reader *r, struct json v)
{
    (void)v;
    if (r->stage != BEFORE) /* the grammar of chat events has them behind START */
        tell_type(r, CHAT_EV_PING);
    return ERR_OK;
}

static const struct stream_row {
    const char *name;
    size_t len;
    enum err (*on)(struct reply_reader *r, struct json v);
} stream_rows[] = {
#define ROW(name, on)                                                                              \
    {                                                                                              \
        name, sizeof(name) - 1, on                                                                 \
    }
    ROW("content_block_delta", on_delta),
    ROW("content_block_start", on_block_start),
    ROW("content_block_stop", on_block_stop),
    ROW("message_start", on_message_start),
    ROW("message_delta", on_message_delta),
    ROW("message_stop", on_message_stop),
    ROW("ping", on_ping),
    ROW("error", tell_error),
#undef ROW
};

static const struct stream_row *row_of(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(stream_rows); i++)
        if (name.len == stream_rows[i].len && memcmp(name.at, stream_rows[i].name, name.len) == 0)
            return &stream_rows[i];
    return NULL;
}

static enum err read_data(struct reply_reader *r, const struct sse_event *e)
{
    struct json_doc doc;
    if (json_parse(&r->scratch, e->data, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json v = json_root(&doc), type = json_get(v, "type");
    if (!json_is(v, JSON_OBJECT))
        return ERR_SYNTAX;
    const struct stream_row *row = row_of(json_present(type) ? json_str(type) : e->name);
    if (!row && json_useful(json_get(v, "error"))) /* a proxy's own envelope in the stream */
        return tell_error(r, v);
    return row ? row->on(r, v) : ERR_OK;
}

/* The scratch is given back after each event: between two events of one stream there are a thousand
 * of others, and one piece of memory that is warm serves them all. */
enum err anthropic_read_event(struct reply_reader *r, const struct sse_event *e)
{
    if (e->comment_only || e->data.len == 0 || r->stage == ENDED || r->stage == FAILED)
        return ERR_OK;
    if (e->name.len > 0 && !row_of(e->name))
        return ERR_OK;
    enum err err = read_data(r, e);
    arena_deinit(&r->scratch);
    return err;
}

enum err anthropic_read_eof(struct reply_reader *r)
{
    return r->stage == ENDED ? ERR_OK : ERR_EOF;
}

/* ---- whole answers ---- */

static enum err read_whole_block(struct reply_reader *r, struct json block)
{
    if (!open_block(r, block))
        return ERR_SYNTAX;
    tell_content(r, block);
    struct json input = json_get(block, "input");
    enum err e = ERR_OK;
    if (has_input(r) && json_is(input, JSON_OBJECT))
        e = take_input(r, text_from_plain(json_raw(input)));
    return e == ERR_OK ? close_block(r) : e;
}

enum err anthropic_read_whole(struct reply_reader *r, struct span body)
{
    assert(r->stage == BEFORE);
    struct json_doc doc;
    if (json_parse(&r->scratch, body, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json v = json_root(&doc), content = json_get(v, "content");
    if (json_useful(json_get(v, "error")))
        return tell_error(r, v);
    if (!json_is(content, JSON_ARRAY) || !json_is(json_get(v, "stop_reason"), JSON_STRING))
        return ERR_SYNTAX;
    tell_start(r, v);
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
        enum err e = read_whole_block(r, b);
        if (e != ERR_OK)
            return e;
    }
    tell_finish(r, v);
    r->stage = ENDED;
    tell_type(r, CHAT_EV_END);
    return ERR_OK;
}
