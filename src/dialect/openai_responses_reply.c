/* Answers of Responses servers, whole and streamed, read into chat events.
 *
 * A stream tells everything several times: in pieces, in a .done event, in output_item.done, in
 * response.completed. The pieces are taken; what an item never told in pieces is taken when it is
 * done, and what no item told from the last object, so that servers which leave steps out are read
 * too. Required is the terminal event. Reasoning tells itself as a summary or as text: what comes
 * first in an item counts, since some servers send the same words twice.
 *
 * Where the client sees the same bytes (`passes`) the first block of an item begins with it and
 * brings its id, a part that is announced is told as such, and items that only a provider of this
 * dialect makes (web_search_call) are told as blocks with their JSON: so that who goes on behind
 * these bytes knows where they stand. Of such items several may be under way at once: they are told
 * in the order in which they began, each when it is done, or as it began when something else begins
 * before that. Elsewhere they have no form and are left out. Blocks are openai_chat_blocks.c's. */
#include "dialect/openai_responses_internal.h"
#include "dialect/reply_told.h"

#include "base/span.h"

#define ITEMS_MAX 1024 /* of one answer */

enum told_by { ANY, SUMMARY, TEXT };

struct item { /* of the answer, as far as it was told */
    struct item *next;
    int64_t index;
    struct chat_text id;
    struct oc_part *call;      /* a call's; NULL: another item */
    bool foreign;              /* told as a block of this dialect's own */
    struct item *next_foreign; /* begun behind it */
    struct span whole;         /* a foreign one's JSON: as it began, or once it is done */
    bool done, over;           /* a foreign one is done; its block was told */
    bool told;                 /* some of it was told in pieces */
    bool opened;               /* its first block began before any part was announced */
    enum chat_block_type type; /* of its last block */
    enum told_by by;           /* how its reasoning is told */
};

struct reply_reader {
    struct reply_told told;
    bool passes;
    enum chat_stop stop;
    struct item *items, *current;
    struct item *open;    /* the last of which a block began */
    struct item *foreign; /* its block is open, and others wait for it */
    uint32_t item_count, made_ids;
};

struct reply_reader *or_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink)
{
    struct reply_reader *r = arena_new(a, struct reply_reader);
    r->passes = o && o->passes;
    reply_told_init(&r->told, a, o && !r->passes ? o->request : NULL, sink);
    return r;
}

/* ---- beginning and end ---- */

static void tell_start(struct reply_reader *r, struct json response)
{
    if (r->told.state != REPLY_IDLE)
        return;
    r->told.state = REPLY_STARTED;
    reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_START,
                                              .id = text_of(json_get(response, "id")),
                                              .model = text_of(json_get(response, "model")),
                                              .usage = r->told.usage});
}

/* OpenAI's input tokens include what came from the cache; ours do not. */
static void take_usage(struct reply_reader *r, struct json u)
{
    struct chat_usage *to = &r->told.usage;
    int64_t input = reply_count(u, "input_tokens");
    if (input < 0)
        return;
    to->output = reply_count(u, "output_tokens");
    to->cache_read = reply_count(u, "input_tokens_details.cached_tokens");
    to->cache_write = reply_count(u, "input_tokens_details.cache_write_tokens");
    to->reasoning = reply_count(u, "output_tokens_details.reasoning_tokens");
    to->input = input;
    if (to->cache_read > 0)
        to->input -= to->cache_read;
    if (to->cache_write > 0)
        to->input -= to->cache_write;
    if (to->input < 0)
        to->input = 0;
}

static enum chat_stop final_stop(const struct reply_reader *r)
{
    if (r->stop != CHAT_STOP_END_TURN)
        return r->stop;
    if (r->told.blocks.any_call)
        return CHAT_STOP_TOOL_USE;
    return r->told.blocks.any_refusal ? CHAT_STOP_REFUSAL : CHAT_STOP_END_TURN;
}

static enum err tell_foreign(struct reply_reader *r, bool all);

static enum err tell_end(struct reply_reader *r)
{
    enum err e = tell_foreign(r, true);
    if (e == ERR_OK)
        e = oc_blocks_finish(&r->told.blocks);
    if (e != ERR_OK)
        return e;
    reply_tell_end(&r->told, final_stop(r), (struct chat_text){0});
    return ERR_OK;
}

/* A code says more than the object's status does. */
static const char *type_of_code(struct span code)
{
    static const struct {
        const char *code, *type;
    } rows[] = {
        {"rate_limit_exceeded", "rate_limit_error"},
        {"insufficient_quota", "billing_error"},
        {"context_length_exceeded", "invalid_request_error"},
        {"invalid_prompt", "invalid_request_error"},
        {"server_is_overloaded", "overloaded_error"},
        {"slow_down", "overloaded_error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (span_is(code, rows[i].code))
            return rows[i].type;
    return NULL;
}

static void tell_error(struct reply_reader *r, struct json envelope)
{
    struct chat_error error;
    dialect_error_from_json(r->told.a, 0, envelope, &error);
    const char *type = type_of_code(error.code);
    if (type) {
        error.type = span_from(type);
        error.status = dialect_type_status(error.type);
    }
    if (error.message.len == 0)
        error.message = SPAN("The provider broke the answer off.");
    reply_tell_error(&r->told, &error);
}

/* ---- items ---- */

static struct item *item_at(struct reply_reader *r, int64_t index)
{
    if (r->current && r->current->index == index)
        return r->current;
    struct item *found = r->items;
    while (found && found->index != index)
        found = found->next;
    if (!found && r->item_count < ITEMS_MAX) {
        found = arena_new(r->told.a, struct item);
        found->index = index;
        found->next = r->items;
        r->items = found;
        r->item_count++;
    }
    return found;
}

/* The item an event belongs to; NULL: too many. What is not numbered belongs to the last one. */
static struct item *item_of(struct reply_reader *r, struct json event)
{
    int64_t index;
    if (json_i64(json_get(event, "output_index"), &index) != ERR_OK || index < 0)
        index = r->current ? r->current->index : 0;
    r->current = item_at(r, index);
    return r->current;
}

static bool is_call(struct json type)
{
    return json_str_is(type, "function_call") || json_str_is(type, "custom_tool_call");
}

static enum err begin_block(struct reply_reader *r, struct item *i, enum chat_block_type type)
{
    i->type = type;
    r->open = i;
    return oc_blocks_begin(&r->told.blocks, type, r->passes ? i->id : (struct chat_text){0},
                           r->passes);
}

static enum err begin_call(struct reply_reader *r, struct item *i, struct json item)
{
    struct json id = json_get(item, "call_id"), name = json_get(item, "name");
    if (r->told.blocks.cut)
        return ERR_OK;
    r->open = i;
    i->call = oc_blocks_call(&r->told.blocks, i->index, json_str(id), json_str(name), false);
    if (!i->call)
        return ERR_LIMIT;
    i->call->custom = json_str_is(json_get(item, "type"), "custom_tool_call");
    if (i->call->id.at.len == 0)
        i->call->id =
            oc_make_call_id(r->told.a, oc_hash(OC_HASH_SEED, json_str(name)), r->made_ids++);
    return oc_blocks_input(&r->told.blocks, i->call, (struct chat_text){0});
}

static enum err end_blocks(struct reply_reader *r)
{
    enum err e = oc_blocks_end(&r->told.blocks);
    if (e == ERR_OK && r->passes)
        reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_ITEM_STOP});
    return e;
}

/* Tells those that are done, up to the first that is not; all: that, too, as it began. */
static enum err tell_foreign(struct reply_reader *r, bool all)
{
    enum err e = ERR_OK;
    while (e == ERR_OK && r->foreign && (all || r->foreign->done)) {
        r->foreign->over = true;
        r->told.blocks.end_raw = r->foreign->whole;
        e = end_blocks(r);
        r->foreign = r->foreign->next_foreign;
        if (e == ERR_OK && r->foreign)
            e = begin_block(r, r->foreign, CHAT_OTHER);
    }
    return e;
}

/* Behind the ones that are under way. */
static enum err begin_foreign(struct reply_reader *r, struct item *i, struct json item)
{
    struct item *last = r->foreign;
    if (i->foreign) /* announced twice */
        return ERR_OK;
    i->foreign = true;
    i->whole = arena_copy(r->told.a, json_raw(item));
    while (last && last->next_foreign)
        last = last->next_foreign;
    if (last) {
        last->next_foreign = i;
        return ERR_OK;
    }
    r->foreign = i;
    return begin_block(r, i, CHAT_OTHER);
}

static enum err begin_item(struct reply_reader *r, struct item *i, struct json item)
{
    struct json type = json_get(item, "type");
    bool message = json_str_is(type, "message"), reasoning = json_str_is(type, "reasoning");
    bool foreign = !message && !reasoning && !is_call(type);
    i->id = text_raw(arena_copy(r->told.a, json_str(json_get(item, "id"))));
    if (foreign)
        return r->passes ? begin_foreign(r, i, item) : ERR_OK;
    enum err e = tell_foreign(r, true);
    if (e != ERR_OK)
        return e;
    if (is_call(type))
        return begin_call(r, i, item);
    if (message && !r->passes)
        return ERR_OK; /* its parts begin blocks */
    i->opened = true;
    return begin_block(r, i, message ? CHAT_TEXT : CHAT_THINKING);
}

/* A part was announced: a block of its own, but for the one that began with its item. */
static enum err begin_part(struct reply_reader *r, struct item *i, enum chat_block_type type)
{
    bool first = i->opened && i->type == type;
    i->opened = false;
    enum err e = first ? ERR_OK : begin_block(r, i, type);
    if (e == ERR_OK && r->passes && r->told.blocks.open && r->told.blocks.type == type)
        reply_tell(&r->told,
                   &(struct chat_event){.type = CHAT_EV_DELTA, .block_type = type, .part = true});
    return e;
}

static enum err put_text(struct reply_reader *r, struct item *i, enum chat_block_type type,
                         struct json text)
{
    if (json_str(text).len == 0)
        return ERR_OK;
    i->told = true;
    i->opened = false;
    r->open = i;
    return oc_blocks_text(&r->told.blocks, type, text_of(text));
}

static enum err put_input(struct reply_reader *r, struct item *i, struct json piece)
{
    if (!i->call || json_str(piece).len == 0)
        return ERR_OK;
    i->told = true;
    return oc_blocks_input(&r->told.blocks, i->call, text_of(piece));
}

/* Of the two ways reasoning may be told the item's first one. */
static bool counts(struct item *i, enum told_by by)
{
    if (i->by == ANY)
        i->by = by;
    return i->by == by;
}

/* ---- an item as a whole ---- */

static enum err read_parts(struct reply_reader *r, struct item *i, struct json parts,
                           enum chat_block_type type)
{
    enum err e = ERR_OK;
    for (struct json p = json_first(parts); json_present(p) && e == ERR_OK;
         p = json_next(parts, p)) {
        struct json refusal = json_get(p, "refusal");
        bool refused = json_is(refusal, JSON_STRING);
        enum chat_block_type kind = refused ? CHAT_REFUSAL : type;
        e = begin_part(r, i, kind);
        if (e == ERR_OK)
            e = put_text(r, i, kind, refused ? refusal : json_get(p, "text"));
    }
    return e;
}

static enum err read_untold(struct reply_reader *r, struct item *i, struct json item)
{
    struct json type = json_get(item, "type");
    if (i->call)
        return put_input(r, i, json_get(item, i->call->custom ? "input" : "arguments"));
    if (json_str_is(type, "message"))
        return read_parts(r, i, json_get(item, "content"), CHAT_TEXT);
    if (!json_str_is(type, "reasoning"))
        return ERR_OK;
    bool summary = json_len(json_get(item, "summary")) > 0;
    return read_parts(r, i, json_get(item, summary ? "summary" : "content"), CHAT_THINKING);
}

static enum err end_foreign(struct reply_reader *r, struct item *i, struct json item)
{
    if (i->over)
        return ERR_OK;
    i->done = true;
    i->whole = i == r->foreign ? json_raw(item) : arena_copy(r->told.a, json_raw(item));
    return tell_foreign(r, false);
}

static enum err end_item(struct reply_reader *r, struct item *i, struct json item)
{
    enum err e = i->told ? ERR_OK : read_untold(r, i, item);
    if (e != ERR_OK)
        return e;
    if (i->call) /* nothing of it will come: who waited for it may go on */
        i->call->scan.complete = true;
    if (i->foreign)
        return end_foreign(r, i, item);
    return r->open == i ? end_blocks(r) : ERR_OK; /* else another has begun, and goes on */
}

static enum err read_output(struct reply_reader *r, struct json output)
{
    enum err e = ERR_OK;
    int64_t index = 0;
    for (struct json o = json_first(output); json_present(o) && e == ERR_OK;
         o = json_next(output, o)) {
        struct item *i = r->current = item_at(r, index++);
        if (!i)
            return ERR_LIMIT;
        e = begin_item(r, i, o);
        if (e == ERR_OK)
            e = end_item(r, i, o);
    }
    return e;
}

/* ---- the response object ---- */

/* A whole answer, or the object of a terminal event. */
static enum err read_response(struct reply_reader *r, struct json response)
{
    struct json status = json_get(response, "status"), error = json_get(response, "error");
    take_usage(r, json_get(response, "usage"));
    if (json_is(error, JSON_OBJECT) || json_str_is(status, "failed") ||
        json_str_is(status, "cancelled")) {
        tell_error(r, response);
        return ERR_OK;
    }
    tell_start(r, response);
    enum err e = r->items ? ERR_OK : read_output(r, json_get(response, "output"));
    struct json reason = json_path(response, "incomplete_details.reason");
    r->stop = CHAT_STOP_END_TURN;
    if (json_str_is(status, "incomplete"))
        r->stop = json_str_is(reason, "content_filter") ? CHAT_STOP_REFUSAL : CHAT_STOP_MAX_TOKENS;
    return e == ERR_OK ? tell_end(r) : e;
}

/* ---- events ---- */

static enum err on_created(struct reply_reader *r, struct json event)
{
    if (r->told.state == REPLY_STARTED)
        reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_PING});
    tell_start(r, json_get(event, "response"));
    return ERR_OK;
}

static enum err on_terminal(struct reply_reader *r, struct json event)
{
    struct json response = json_get(event, "response");
    return json_is(response, JSON_OBJECT) ? read_response(r, response) : ERR_SYNTAX;
}

static enum err on_failed(struct reply_reader *r, struct json event)
{
    tell_error(r, json_get(event, "response"));
    return ERR_OK;
}

static enum err on_error(struct reply_reader *r, struct json event)
{
    tell_error(r, event);
    return ERR_OK;
}

static enum err on_item_added(struct reply_reader *r, struct json event)
{
    struct item *i = item_of(r, event);
    return i ? begin_item(r, i, json_get(event, "item")) : ERR_LIMIT;
}

static enum err on_item_done(struct reply_reader *r, struct json event)
{
    struct json item = json_get(event, "item");
    size_t known = r->item_count;
    struct item *i = item_of(r, event);
    enum err e = i ? ERR_OK : ERR_LIMIT;
    if (e == ERR_OK && r->item_count > known) /* never announced */
        e = begin_item(r, i, item);
    return e == ERR_OK ? end_item(r, i, item) : e;
}

static enum err on_part_added(struct reply_reader *r, struct json event)
{
    struct item *i = item_of(r, event);
    struct json type = json_path(event, "part.type");
    if (!i)
        return ERR_LIMIT;
    if (json_str_is(type, "reasoning_text") || json_str_is(type, "summary_text"))
        return begin_part(r, i, CHAT_THINKING);
    return begin_part(r, i, json_str_is(type, "refusal") ? CHAT_REFUSAL : CHAT_TEXT);
}

/* Told to who writes behind these bytes: to others the block ends with its item. */
static enum err on_part_done(struct reply_reader *r, struct json event)
{
    (void)event;
    return r->passes ? oc_blocks_end(&r->told.blocks) : ERR_OK;
}

static enum err on_text(struct reply_reader *r, struct json event)
{
    struct item *i = item_of(r, event);
    return i ? put_text(r, i, CHAT_TEXT, json_get(event, "delta")) : ERR_LIMIT;
}

static enum err on_refusal(struct reply_reader *r, struct json event)
{
    struct item *i = item_of(r, event);
    return i ? put_text(r, i, CHAT_REFUSAL, json_get(event, "delta")) : ERR_LIMIT;
}

static enum err on_summary(struct reply_reader *r, struct json event)
{
    struct item *i = item_of(r, event);
    if (!i)
        return ERR_LIMIT;
    return counts(i, SUMMARY) ? put_text(r, i, CHAT_THINKING, json_get(event, "delta")) : ERR_OK;
}

static enum err on_reasoning(struct reply_reader *r, struct json event)
{
    struct item *i = item_of(r, event);
    if (!i)
        return ERR_LIMIT;
    return counts(i, TEXT) ? put_text(r, i, CHAT_THINKING, json_get(event, "delta")) : ERR_OK;
}

static enum err on_input(struct reply_reader *r, struct json event)
{
    struct item *i = item_of(r, event);
    return i ? put_input(r, i, json_get(event, "delta")) : ERR_LIMIT;
}

static const struct event_row {
    const char *type;
    enum err (*read)(struct reply_reader *r, struct json event);
} event_rows[] = {
    {"response.output_text.delta", on_text},
    {"response.function_call_arguments.delta", on_input},
    {"response.reasoning_summary_text.delta", on_summary},
    {"response.reasoning_text.delta", on_reasoning},
    {"response.custom_tool_call_input.delta", on_input},
    {"response.refusal.delta", on_refusal},
    {"response.output_item.added", on_item_added},
    {"response.output_item.done", on_item_done},
    {"response.content_part.added", on_part_added},
    {"response.reasoning_summary_part.added", on_part_added},
    {"response.content_part.done", on_part_done},
    {"response.reasoning_summary_part.done", on_part_done},
    {"response.created", on_created},
    {"response.queued", on_created},
    {"response.in_progress", on_created},
    {"response.completed", on_terminal},
    {"response.incomplete", on_terminal},
    {"response.failed", on_failed},
    {"response.cancelled", on_failed},
    {"error", on_error},
};

/* What is left of the ladder repeats what was told; but work on an item that only this dialect has
 * is a sign of life. */
static enum err read_other(struct reply_reader *r, struct json event)
{
    struct item *i = r->current;
    if (!i || !i->foreign || i->over)
        return ERR_OK;
    return oc_blocks_text(&r->told.blocks, CHAT_OTHER, text_of(json_get(event, "type")));
}

static enum err read_named(struct reply_reader *r, struct json event)
{
    struct span type = json_str(json_get(event, "type"));
    for (size_t i = 0; i < ARRAY_LEN(event_rows); i++) {
        if (!span_is(type, event_rows[i].type))
            continue;
        bool starts = event_rows[i].read == on_created || event_rows[i].read == on_terminal ||
                      event_rows[i].read == on_failed || event_rows[i].read == on_error;
        if (!starts)
            tell_start(r, JSON_ABSENT); /* a server that does not announce its answer */
        return event_rows[i].read(r, event);
    }
    return read_other(r, event);
}

static enum err read_data(struct reply_reader *r, struct span data)
{
    struct json_doc doc;
    if (json_parse(&r->told.scratch, data, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json event = json_root(&doc);
    if (!json_is(event, JSON_OBJECT))
        return ERR_SYNTAX;
    if (json_useful(json_get(event, "error"))) {
        tell_error(r, event);
        return ERR_OK;
    }
    return read_named(r, event);
}

enum err or_read_event(struct reply_reader *r, const struct sse_event *e)
{
    if (!reply_is_news(&r->told, e))
        return ERR_OK;
    struct span data = span_trim(e->data);
    if (data.len == 0)
        return ERR_OK;
    if (span_is(data, "[DONE]"))
        return ERR_SYNTAX; /* the mark without what it marks */
    enum err err = read_data(r, data);
    arena_deinit(&r->told.scratch);
    return err;
}

enum err or_read_eof(struct reply_reader *r)
{
    return r->told.state == REPLY_ENDED ? ERR_OK : ERR_EOF;
}

enum err or_read_whole(struct reply_reader *r, struct span body)
{
    struct json_doc doc;
    assert(r->told.state == REPLY_IDLE);
    if (json_parse(&r->told.scratch, body, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json whole = json_root(&doc);
    bool answer = json_is(json_get(whole, "output"), JSON_ARRAY);
    bool later = json_str_is(json_get(whole, "status"), "queued") ||
                 json_str_is(json_get(whole, "status"), "in_progress");
    if (!answer && !json_is(json_get(whole, "error"), JSON_OBJECT))
        return ERR_SYNTAX;
    if (later && !r->passes) /* an answer in the background, which nobody asked for */
        return ERR_SYNTAX;
    return read_response(r, whole);
}
