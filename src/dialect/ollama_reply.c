/* Answers of Ollama's /api/chat, whole and streamed, read into chat events.
 *
 * A stream is one object a line: pieces of text and thinking, calls that are always whole, and a
 * last one with `done`, the reason and the counts. A stream without it is cut. */
#include "dialect/ollama_internal.h"
#include "dialect/reply_told.h"

#include "base/span.h"

struct reply_reader {
    struct reply_told told;
    uint64_t id_seed; /* for calls without an id, which older servers do not give */
    uint32_t calls;
};

struct reply_reader *ol_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink)
{
    struct reply_reader *r = arena_new(a, struct reply_reader);
    reply_told_init(&r->told, a, o ? o->request : NULL, sink);
    return r;
}

static void tell_start(struct reply_reader *r, struct json line)
{
    if (r->told.state != REPLY_IDLE)
        return;
    r->told.state = REPLY_STARTED;
    r->id_seed = oc_hash(OC_HASH_SEED, json_raw(line));
    reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_START,
                                              .model = text_of(json_get(line, "model")),
                                              .usage = CHAT_USAGE_UNKNOWN});
}

static void tell_error(struct reply_reader *r, struct json line)
{
    struct chat_error error;
    dialect_error_from_json(r->told.a, 0, line, &error);
    reply_tell_error(&r->told, &error);
}

/* ---- content ---- */

static enum err read_call(struct reply_reader *r, struct json call)
{
    struct json function = json_get(call, "function"), input = json_get(function, "arguments");
    struct span id = json_str(json_get(call, "id")), name = json_str(json_get(function, "name"));
    struct chat_text piece = json_is(input, JSON_STRING) ? text_of(input)
                             : json_useful(input)        ? text_from_plain(json_raw(input))
                                                         : text_from_plain(SPAN("{}"));
    struct oc_part *p = oc_blocks_call(&r->told.blocks, r->calls, id, name, true);
    if (!p)
        return ERR_LIMIT;
    if (p->name.at.len && p->id.at.len == 0)
        p->id = oc_make_call_id(r->told.a, r->id_seed, r->calls);
    r->calls++;
    return oc_blocks_input(&r->told.blocks, p, piece);
}

static enum err read_message(struct reply_reader *r, struct json message)
{
    struct json calls = json_get(message, "tool_calls");
    enum err e =
        oc_blocks_text(&r->told.blocks, CHAT_THINKING, text_of(json_get(message, "thinking")));
    if (e == ERR_OK)
        e = oc_blocks_text(&r->told.blocks, CHAT_TEXT, text_of(json_get(message, "content")));
    for (struct json c = json_first(calls); json_present(c) && e == ERR_OK; c = json_next(calls, c))
        e = read_call(r, c);
    return e;
}

/* ---- the end ---- */

static enum chat_stop stop_of(const struct reply_reader *r, struct json reason)
{
    if (json_str_is(reason, "length"))
        return CHAT_STOP_MAX_TOKENS;
    return r->told.blocks.any_call ? CHAT_STOP_TOOL_USE : CHAT_STOP_END_TURN;
}

static enum err tell_end(struct reply_reader *r, struct json line)
{
    enum err e = oc_blocks_finish(&r->told.blocks);
    if (e != ERR_OK)
        return e;
    r->told.usage.input = reply_count(line, "prompt_eval_count");
    r->told.usage.output = reply_count(line, "eval_count");
    reply_tell_end(&r->told, stop_of(r, json_get(line, "done_reason")), (struct chat_text){0});
    return ERR_OK;
}

/* ---- lines ---- */

static enum err read_line(struct reply_reader *r, struct json line)
{
    if (json_useful(json_get(line, "error"))) {
        tell_error(r, line);
        return ERR_OK;
    }
    bool done = json_true(json_get(line, "done"));
    if (!done && !json_is(json_get(line, "message"), JSON_OBJECT))
        return ERR_SYNTAX; /* of /api/generate, say: its words would be lost */
    tell_start(r, line);
    enum err e = read_message(r, json_get(line, "message"));
    if (e == ERR_OK && done)
        e = tell_end(r, line);
    return e;
}

enum err ol_read_event(struct reply_reader *r, const struct sse_event *e)
{
    struct json_doc doc;
    if (r->told.state == REPLY_ENDED || e->comment_only)
        return ERR_OK;
    if (json_parse(&r->told.scratch, e->data, &json_limits_default, &doc, NULL) != ERR_OK ||
        !json_is(json_root(&doc), JSON_OBJECT))
        return ERR_SYNTAX;
    enum err err = read_line(r, json_root(&doc));
    arena_deinit(&r->told.scratch); /* one warm piece of memory serves all streams of a thread */
    return err;
}

enum err ol_read_eof(struct reply_reader *r)
{
    return r->told.state == REPLY_ENDED ? ERR_OK : ERR_EOF;
}

enum err ol_read_whole(struct reply_reader *r, struct span body)
{
    struct json_doc doc;
    if (json_parse(&r->told.scratch, body, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json whole = json_root(&doc);
    bool answer = json_is(json_get(whole, "message"), JSON_OBJECT);
    if (!answer && !json_useful(json_get(whole, "error")))
        return ERR_SYNTAX;
    enum err e = read_line(r, whole);
    return e == ERR_OK && r->told.state != REPLY_ENDED ? ERR_SYNTAX : e; /* not done */
}
