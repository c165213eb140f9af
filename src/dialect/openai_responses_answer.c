/* Chat events written for clients of the Responses API: the ladder of events, or a whole answer.
 *
 *   START            response.created, response.in_progress
 *   a block's first  output_item.added, content_part.added (or reasoning_summary_part.added)
 *   DELTA            output_text.delta, refusal.delta, reasoning_summary_text.delta,
 *                    function_call_arguments.delta, custom_tool_call_input.delta
 *   BLOCK_STOP       the part's .done events
 *   the next item    output_item.done of the one before, unless ITEM_STOP said so
 *   FINISH           output_item.done of the last one
 *   END              response.completed or .incomplete, with everything in it
 *   ERROR            error, then response.failed: SDKs look for one, Codex for the other
 *
 * Texts in a row are parts of one message, thinking in a row parts of one reasoning item; each call
 * is an item. A block without a piece is never announced, unless it comes with an item's id: then
 * its item was, by the events that passed through before us, and so was its part where a delta says
 * so (chat_event.part). A whole answer is gathered by the same
 * automaton with the events left out. */
#include "dialect/openai_responses_internal.h"

#include "base/span.h"

#define ID_TAIL_MAX 40 /* of the answer's id, in the ids of its items: those end at 64 bytes */

enum item_kind { ITEM_NONE, ITEM_MESSAGE, ITEM_REASONING, ITEM_CALL, ITEM_CUSTOM };

struct reply_writer {
    struct arena *a;
    struct writer_options o;
    struct buf *to;
    bool stream, started, finished, told_refusal;
    uint64_t own_sequence, *sequence;
    struct span id; /* plain */
    struct chat_text model;
    struct chat_usage usage;
    enum chat_stop stop;

    enum item_kind kind; /* of the open item, or of the last one */
    bool item_open, part_open;
    bool pending;               /* a block began of which nothing was written yet */
    enum chat_block_type block; /* its type; of the open part, too */
    struct chat_text block_id;  /* its item's, where it brought one */
    struct span item_id;
    int64_t items; /* begun */
    int64_t parts; /* of the open item, begun */
    struct chat_text call_id, name, space;
    struct buf part;      /* escaped text of the open part, or of the call's input */
    struct buf parts_out; /* the open item's finished parts, as JSON */
    struct buf output;    /* the finished items, as JSON */
};

static void writer_free(void *object)
{
    struct reply_writer *w = object;
    buf_deinit(&w->part);
    buf_deinit(&w->parts_out);
    buf_deinit(&w->output);
}

struct reply_writer *or_answer_new(struct arena *a, const struct writer_options *o, bool stream,
                                   struct buf *to)
{
    struct reply_writer *w = arena_new(a, struct reply_writer);
    w->a = a;
    w->o = *o;
    w->to = to;
    w->stream = stream;
    w->sequence = o->sequence ? o->sequence : &w->own_sequence;
    w->usage = CHAT_USAGE_UNKNOWN;
    buf_init(&w->part, to->max);
    buf_init(&w->parts_out, to->max);
    buf_init(&w->output, to->max);
    arena_on_free(a, writer_free, w);
    return w;
}

/* ---- one event ---- */

/* Opens the event and its object; false where nothing is streamed. */
static bool event(struct reply_writer *w, struct json_out *out, const char *type)
{
    if (!w->stream)
        return false;
    json_out_buf(out, w->to);
    out->failed = buf_printf(w->to, "event: %s\ndata: ", type) != ERR_OK;
    jw_object(out);
    jw_key(out, "type");
    jw_cstr(out, type);
    jw_key(out, "sequence_number");
    jw_i64(out, (int64_t)(*w->sequence)++);
    return true;
}

static enum err event_end(struct reply_writer *w, struct json_out *out)
{
    jw_object_end(out);
    return out->failed ? ERR_LIMIT : buf_add(w->to, SPAN("\n\n"));
}

/* Where in the answer it belongs. */
static void put_place(struct reply_writer *w, struct json_out *out)
{
    jw_key(out, "item_id");
    jw_str(out, w->item_id);
    jw_key(out, "output_index");
    jw_i64(out, w->items - 1);
    if (w->kind == ITEM_CALL || w->kind == ITEM_CUSTOM)
        return;
    jw_key(out, w->kind == ITEM_REASONING ? "summary_index" : "content_index");
    jw_i64(out, w->parts - 1);
}

/* ---- the answer as a whole ---- */

static void put_response(struct reply_writer *w, struct json_out *out, const char *status,
                         const char *incomplete, const struct chat_error *error)
{
    struct or_object o = {.request = w->o.request,
                          .id = w->id,
                          .model = w->model,
                          .created = w->o.created,
                          .status = status,
                          .incomplete = incomplete,
                          .error = error,
                          .output = buf_span(&w->output),
                          .usage = w->usage,
                          .told_usage = strcmp(status, "in_progress") != 0};
    or_put_object(out, &o);
}

static enum err response_event(struct reply_writer *w, const char *type, const char *status,
                               const char *incomplete, const struct chat_error *error)
{
    struct json_out out;
    if (!event(w, &out, type))
        return ERR_OK;
    jw_key(&out, "response");
    put_response(w, &out, status, incomplete, error);
    return event_end(w, &out);
}

static const char *incomplete_reason(const struct reply_writer *w)
{
    if (w->o.codex)
        return NULL;
    if (w->stop == CHAT_STOP_MAX_TOKENS || w->stop == CHAT_STOP_CONTEXT)
        return "max_output_tokens";
    return w->stop == CHAT_STOP_REFUSAL && !w->told_refusal ? "content_filter" : NULL;
}

static enum err on_end(struct reply_writer *w)
{
    assert(w->finished);
    const char *reason = incomplete_reason(w);
    if (w->stream)
        return response_event(w, reason ? "response.incomplete" : "response.completed",
                              reason ? "incomplete" : "completed", reason, NULL);
    struct json_out out;
    json_out_buf(&out, w->to);
    put_response(w, &out, reason ? "incomplete" : "completed", reason, NULL);
    return out.failed ? ERR_LIMIT : ERR_OK;
}

/* The caller's id, else the upstream's in this format's clothes. */
static struct span answer_id(struct reply_writer *w, struct chat_text upstream)
{
    if (w->o.id.len)
        return w->o.id;
    struct span id = text_plain(w->a, upstream);
    if (span_starts(id, SPAN("resp_")))
        return arena_copy(w->a, id);
    ssize_t prefix = span_search(id, SPAN("_"));
    if (span_starts(id, SPAN("chatcmpl-")))
        id = span_drop(id, 9);
    else if (prefix >= 0 && prefix < 8)
        id = span_drop(id, (size_t)prefix + 1);
    if (id.len == 0)
        id = arena_printf(w->a, "%016llx",
                          (unsigned long long)oc_hash((uint64_t)w->o.created, w->o.model));
    return arena_printf(w->a, "resp_%.*s", SPAN_FMT(id));
}

static void name_answer(struct reply_writer *w, const struct chat_event *e)
{
    w->id = answer_id(w, e->id);
    w->model = w->o.model.len ? text_raw(w->o.model)
                              : (struct chat_text){arena_copy(w->a, e->model.at), e->model.escaped};
}

static enum err on_start(struct reply_writer *w, const struct chat_event *e)
{
    assert(!w->started);
    w->started = true;
    chat_usage_merge(&w->usage, &e->usage);
    name_answer(w, e);
    enum err err = response_event(w, "response.created", "in_progress", NULL, NULL);
    if (err != ERR_OK)
        return err;
    return response_event(w, "response.in_progress", "in_progress", NULL, NULL);
}

/* ---- parts ---- */

static void put_part(struct reply_writer *w, struct json_out *out, struct span text)
{
    bool refusal = w->kind == ITEM_MESSAGE && w->block == CHAT_REFUSAL;
    jw_object(out);
    jw_key(out, "type");
    jw_cstr(out, refusal ? "refusal" : w->kind == ITEM_REASONING ? "summary_text" : "output_text");
    jw_key(out, refusal ? "refusal" : "text");
    jw_str_raw(out, text);
    if (!refusal && w->kind == ITEM_MESSAGE) {
        jw_key(out, "annotations");
        jw_array(out);
        jw_array_end(out);
        jw_key(out, "logprobs");
        jw_array(out);
        jw_array_end(out);
    }
    jw_object_end(out);
}

static enum err part_event(struct reply_writer *w, const char *type, struct span text)
{
    struct json_out out;
    if (!event(w, &out, type))
        return ERR_OK;
    put_place(w, &out);
    jw_key(&out, "part");
    put_part(w, &out, text);
    return event_end(w, &out);
}

static enum err open_part(struct reply_writer *w)
{
    w->part_open = true;
    w->parts++;
    buf_reset(&w->part);
    return part_event(w,
                      w->kind == ITEM_REASONING ? "response.reasoning_summary_part.added"
                                                : "response.content_part.added",
                      SPAN_EMPTY);
}

/* An event whose news is one string of the open part or call. */
static enum err text_event(struct reply_writer *w, const char *type, const char *key,
                           struct chat_text text)
{
    struct json_out out;
    if (!event(w, &out, type))
        return ERR_OK;
    put_place(w, &out);
    jw_key(&out, key);
    jw_text(&out, text);
    if (w->kind == ITEM_MESSAGE && w->block == CHAT_TEXT) {
        jw_key(&out, "logprobs");
        jw_array(&out);
        jw_array_end(&out);
    }
    return event_end(w, &out);
}

static const struct part_words {
    const char *delta, *done, *key;
} text_words = {"response.output_text.delta", "response.output_text.done", "text"},
  refusal_words = {"response.refusal.delta", "response.refusal.done", "refusal"},
  summary_words = {"response.reasoning_summary_text.delta", "response.reasoning_summary_text.done",
                   "text"},
  call_words = {"response.function_call_arguments.delta", "response.function_call_arguments.done",
                "arguments"},
  custom_words = {"response.custom_tool_call_input.delta", "response.custom_tool_call_input.done",
                  "input"};

static const struct part_words *words_of(const struct reply_writer *w)
{
    switch (w->kind) {
    case ITEM_REASONING:
        return &summary_words;
    case ITEM_CALL:
        return &call_words;
    case ITEM_CUSTOM:
        return &custom_words;
    case ITEM_MESSAGE:
    case ITEM_NONE:
        break;
    }
    return w->block == CHAT_REFUSAL ? &refusal_words : &text_words;
}

static enum err append(struct buf *list, struct buf *json)
{
    enum err e = list->len ? buf_add_char(list, ',') : ERR_OK;
    if (e == ERR_OK)
        e = buf_add(list, buf_span(json));
    buf_deinit(json);
    return e;
}

static enum err close_part(struct reply_writer *w)
{
    if (!w->part_open)
        return ERR_OK;
    w->part_open = false;
    const struct part_words *words = words_of(w);
    struct span text = buf_span(&w->part);
    enum err e = text_event(w, words->done, words->key, text_raw(text));
    if (e != ERR_OK || w->kind == ITEM_CALL || w->kind == ITEM_CUSTOM)
        return e;
    e = part_event(w,
                   w->kind == ITEM_REASONING ? "response.reasoning_summary_part.done"
                                             : "response.content_part.done",
                   text);
    struct buf json;
    struct json_out out;
    buf_init(&json, w->to->max);
    json_out_buf(&out, &json);
    put_part(w, &out, text);
    enum err added = append(&w->parts_out, &json);
    return e != ERR_OK ? e : out.failed ? ERR_LIMIT : added;
}

/* ---- items ---- */

static void put_item_parts(struct reply_writer *w, struct json_out *out)
{
    jw_key(out, w->kind == ITEM_REASONING ? "summary" : "content");
    jw_array(out);
    if (w->parts_out.len)
        jw_raw(out, buf_span(&w->parts_out));
    jw_array_end(out);
}

static void put_item_call(struct reply_writer *w, struct json_out *out, struct span input)
{
    jw_key(out, "call_id");
    jw_text(out, w->call_id);
    jw_key(out, "name");
    jw_text(out, w->name);
    if (!chat_text_empty(w->space)) {
        jw_key(out, "namespace");
        jw_text(out, w->space);
    }
    jw_key(out, w->kind == ITEM_CUSTOM ? "input" : "arguments");
    jw_str_raw(out, input);
}

static void put_item(struct reply_writer *w, struct json_out *out, bool done)
{
    static const char *const types[] = {[ITEM_NONE] = "",
                                        [ITEM_MESSAGE] = "message",
                                        [ITEM_REASONING] = "reasoning",
                                        [ITEM_CALL] = "function_call",
                                        [ITEM_CUSTOM] = "custom_tool_call"};
    jw_object(out);
    jw_key(out, "id");
    jw_str(out, w->item_id);
    jw_key(out, "type");
    jw_cstr(out, types[w->kind]);
    if (w->kind != ITEM_REASONING) {
        jw_key(out, "status");
        jw_cstr(out, done ? "completed" : "in_progress");
    }
    if (w->kind == ITEM_MESSAGE) {
        jw_key(out, "role");
        jw_cstr(out, "assistant");
    }
    if (w->kind == ITEM_MESSAGE || w->kind == ITEM_REASONING)
        put_item_parts(w, out);
    else
        put_item_call(w, out, done ? buf_span(&w->part) : SPAN_EMPTY);
    jw_object_end(out);
}

static enum err item_event(struct reply_writer *w, bool done)
{
    struct json_out out;
    if (!event(w, &out, done ? "response.output_item.done" : "response.output_item.added"))
        return ERR_OK;
    jw_key(&out, "output_index");
    jw_i64(&out, w->items - 1);
    jw_key(&out, "item");
    put_item(w, &out, done);
    return event_end(w, &out);
}

static enum err close_item(struct reply_writer *w)
{
    if (!w->item_open)
        return ERR_OK;
    enum err e = close_part(w);
    if (e != ERR_OK)
        return e;
    w->item_open = false;
    struct buf json;
    struct json_out out;
    buf_init(&json, w->to->max);
    json_out_buf(&out, &json);
    put_item(w, &out, true);
    e = append(&w->output, &json);
    if (e != ERR_OK || out.failed)
        return ERR_LIMIT;
    return item_event(w, true);
}

/* Ids of ours tell the answer and the place in it. */
static struct span make_item_id(struct reply_writer *w)
{
    static const char *const prefixes[] = {[ITEM_NONE] = "",
                                           [ITEM_MESSAGE] = "msg_",
                                           [ITEM_REASONING] = OR_REASONING_MARK,
                                           [ITEM_CALL] = "fc_",
                                           [ITEM_CUSTOM] = "ctc_"};
    struct span tail = span_starts(w->id, SPAN("resp_")) ? span_drop(w->id, 5) : w->id;
    return arena_printf(w->a, "%s%.*s_%lld", prefixes[w->kind],
                        SPAN_FMT(span_take(tail, ID_TAIL_MAX)), (long long)w->items);
}

static enum err open_item(struct reply_writer *w, enum item_kind kind)
{
    enum err e = close_item(w);
    if (e != ERR_OK)
        return e;
    w->kind = kind;
    w->item_id = chat_text_empty(w->block_id) ? make_item_id(w)
                                              : arena_copy(w->a, text_plain(w->a, w->block_id));
    w->item_open = true;
    w->items++;
    w->parts = 0;
    buf_reset(&w->part);
    buf_reset(&w->parts_out);
    return item_event(w, false);
}

/* ---- blocks ---- */

/* The block is a part of the open item; one that brings an id says so itself. */
static bool goes_on(struct reply_writer *w, enum item_kind kind)
{
    bool same = chat_text_empty(w->block_id) || span_eq(text_plain(w->a, w->block_id), w->item_id);
    return w->item_open && w->kind == kind && same;
}

static enum err announce_item(struct reply_writer *w)
{
    enum item_kind kind = w->block == CHAT_THINKING ? ITEM_REASONING : ITEM_MESSAGE;
    return goes_on(w, kind) ? ERR_OK : open_item(w, kind);
}

/* Announces the block that began: when there is something to say, or when it had been. */
static enum err announce(struct reply_writer *w)
{
    enum err e = announce_item(w);
    w->pending = false;
    return e == ERR_OK ? open_part(w) : e;
}

static const struct chat_tool *tool_named(const struct chat_request *r, struct chat_text name)
{
    const struct chat_tool *t = r->tools;
    while (t && !text_eq(t->name, name))
        t = t->next;
    return t;
}

static enum err begin_call(struct reply_writer *w, const struct chat_event *e)
{
    const struct chat_tool *tool = tool_named(w->o.request, e->name);
    bool spaced = tool && !chat_text_empty(tool->space);
    bool custom = e->custom || (tool && span_is(tool->wire_type, "custom"));
    enum err err = close_item(w); /* it still has the names of the one before */
    if (err != ERR_OK)
        return err;
    w->block_id = (struct chat_text){0};
    w->call_id = (struct chat_text){arena_copy(w->a, e->id.at), e->id.escaped};
    w->name = spaced ? or_own_name(tool)
                     : (struct chat_text){arena_copy(w->a, e->name.at), e->name.escaped};
    w->space = spaced ? tool->space : (struct chat_text){0};
    err = open_item(w, custom ? ITEM_CUSTOM : ITEM_CALL);
    w->part_open = true;
    return err;
}

/* What only a provider of this dialect makes, whole: it passed through, and is said again at the
 * end. */
static enum err take_foreign(struct reply_writer *w, const struct chat_event *e)
{
    enum err err = close_item(w);
    if (err != ERR_OK)
        return err;
    w->items++;
    w->kind = ITEM_NONE;
    err = w->output.len ? buf_add_char(&w->output, ',') : ERR_OK;
    return err == ERR_OK ? buf_add(&w->output, e->raw) : err;
}

static enum err on_block_start(struct reply_writer *w, const struct chat_event *e)
{
    w->block = e->block_type;
    if (w->block == CHAT_REFUSAL && w->o.codex)
        w->block = CHAT_TEXT;
    w->pending = false;
    switch (w->block) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
    case CHAT_THINKING:
        w->pending = true;
        w->block_id = (struct chat_text){arena_copy(w->a, e->id.at), e->id.escaped};
        return e->id.at.len ? announce_item(w) : ERR_OK; /* its part may never come */
    case CHAT_TOOL_USE:
        return begin_call(w, e);
    case CHAT_OTHER:
        return e->id.at.len ? take_foreign(w, e) : ERR_OK; /* another dialect's has no id */
    default:
        return ERR_OK; /* known to its own dialect only */
    }
}

static enum err put_piece(struct reply_writer *w, struct chat_text piece)
{
    enum err e = ERR_OK;
    if (chat_text_empty(piece) || !w->part_open)
        return ERR_OK;
    w->told_refusal = w->told_refusal || w->block == CHAT_REFUSAL;
    struct json_out out;
    json_out_buf(&out, &w->part);
    /* Straight into the string's inside: no quotes are wanted here. */
    if (piece.escaped)
        e = buf_add(&w->part, piece.at);
    else
        jw_part(&out, piece.at);
    if (e != ERR_OK || out.failed)
        return ERR_LIMIT;
    return text_event(w, words_of(w)->delta, "delta", piece);
}

static enum err on_delta(struct reply_writer *w, const struct chat_event *e)
{
    bool news = e->part || !chat_text_empty(e->text);
    enum err err = news && w->pending ? announce(w) : ERR_OK;
    return err == ERR_OK ? put_piece(w, e->text) : err;
}

static enum err on_block_stop(struct reply_writer *w)
{
    enum err e = ERR_OK;
    w->pending = false;
    /* A call without arguments is a call with an empty object. */
    if (w->part_open && w->kind == ITEM_CALL && w->part.len == 0)
        e = put_piece(w, text_from_plain(SPAN("{}")));
    if (e != ERR_OK)
        return e;
    return w->kind == ITEM_CALL || w->kind == ITEM_CUSTOM ? close_item(w) : close_part(w);
}

static enum err on_finish(struct reply_writer *w, const struct chat_event *e)
{
    assert(!w->finished);
    w->finished = true;
    w->stop = e->stop;
    return close_item(w);
}

enum err or_write_event(struct reply_writer *w, const struct chat_event *e)
{
    assert(w->started || e->type == CHAT_EV_START || e->type == CHAT_EV_ERROR ||
           e->type == CHAT_EV_PING);
    switch (e->type) {
    case CHAT_EV_START:
        return on_start(w, e);
    case CHAT_EV_BLOCK_START:
        return on_block_start(w, e);
    case CHAT_EV_DELTA:
        return on_delta(w, e);
    case CHAT_EV_BLOCK_STOP:
        return on_block_stop(w);
    case CHAT_EV_ITEM_STOP:
        return close_item(w);
    case CHAT_EV_USAGE:
        chat_usage_merge(&w->usage, &e->usage);
        return ERR_OK;
    case CHAT_EV_FINISH:
        return on_finish(w, e);
    case CHAT_EV_END:
        return on_end(w);
    case CHAT_EV_ERROR:
        return or_write_error(w->to, w, e->error);
    case CHAT_EV_PING:
        return or_write_ping(w);
    case CHAT_EV_SIGNATURE:
    case CHAT_EV_CITATION:
        break;
    }
    return ERR_OK;
}

/* Codex counts data events only, so a comment does not keep it waiting; but before response.created
 * an event would break the SDKs' helpers. */
enum err or_write_ping(struct reply_writer *w)
{
    if (!w->stream)
        return ERR_OK;
    if (!w->started)
        return buf_add(w->to, SPAN(": keep-alive\n\n"));
    return response_event(w, "response.in_progress", "in_progress", NULL, NULL);
}

enum err or_write_error(struct buf *to, struct reply_writer *w, const struct chat_error *e)
{
    if (!w || !w->stream)
        return oc_write_error(to, NULL, e);
    struct json_out out;
    if (!w->started)
        name_answer(w, &(struct chat_event){.type = CHAT_EV_START});
    (void)event(w, &out, "error");
    jw_key(&out, "error");
    oc_put_error(&out, e);
    enum err err = event_end(w, &out);
    return err == ERR_OK ? response_event(w, "response.failed", "failed", NULL, e) : err;
}
