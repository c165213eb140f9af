/* Answers of Ollama's /api/chat, whole and streamed, read into chat events.
 *
 * A stream is one object a line: pieces of text and thinking, calls that are always whole, and a
 * last one with `done`, the reason and the counts. A stream without it is cut. */
#include "dialect/ollama_internal.h"

#include "base/span.h"

enum reply_state { REPLY_IDLE, REPLY_STARTED, REPLY_ENDED };

struct reply_reader {
    struct arena *a;
    struct arena scratch; /* of one line */
    struct chat_sink sink;
    struct oc_blocks blocks;
    enum reply_state state;
    uint64_t id_seed; /* for calls without an id, which older servers do not give */
    uint32_t calls;
};

static void reader_free(void *object)
{
    struct reply_reader *r = object;
    oc_blocks_deinit(&r->blocks);
    arena_deinit(&r->scratch);
}

struct reply_reader *ol_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink)
{
    struct reply_reader *r = arena_new(a, struct reply_reader);
    r->a = a;
    r->sink = sink;
    arena_init(&r->scratch, OC_SCRATCH_MAX);
    oc_blocks_init(&r->blocks, a, o ? o->request : NULL, sink);
    arena_on_free(a, reader_free, r);
    return r;
}

static void tell(struct reply_reader *r, const struct chat_event *e)
{
    r->sink.event(r->sink.ctx, e);
}

static void tell_start(struct reply_reader *r, struct json line)
{
    if (r->state != REPLY_IDLE)
        return;
    r->state = REPLY_STARTED;
    r->id_seed = oc_hash(OC_HASH_SEED, json_raw(line));
    tell(r, &(struct chat_event){.type = CHAT_EV_START,
                                 .model = text_of(json_get(line, "model")),
                                 .usage = CHAT_USAGE_UNKNOWN});
}

static void tell_error(struct reply_reader *r, struct json line)
{
    struct chat_error error;
    dialect_error_from_json(r->a, 0, line, &error);
    tell(r, &(struct chat_event){.type = CHAT_EV_ERROR, .error = &error});
    r->state = REPLY_ENDED;
}

/* ---- content ---- */

static enum err read_call(struct reply_reader *r, struct json call)
{
    struct json function = json_get(call, "function"), input = json_get(function, "arguments");
    struct span id = json_str(json_get(call, "id")), name = json_str(json_get(function, "name"));
    struct chat_text piece = json_is(input, JSON_STRING) ? text_of(input)
                             : json_useful(input)        ? text_from_plain(json_raw(input))
                                                         : text_from_plain(SPAN("{}"));
    struct oc_part *p = oc_blocks_call(&r->blocks, r->calls, id, name, true);
    if (!p)
        return ERR_LIMIT;
    if (p->name.at.len && p->id.at.len == 0)
        p->id = oc_make_call_id(r->a, r->id_seed, r->calls);
    r->calls++;
    return oc_blocks_input(&r->blocks, p, piece);
}

static enum err read_message(struct reply_reader *r, struct json message)
{
    struct json calls = json_get(message, "tool_calls");
    enum err e = oc_blocks_text(&r->blocks, CHAT_THINKING, text_of(json_get(message, "thinking")));
    if (e == ERR_OK)
        e = oc_blocks_text(&r->blocks, CHAT_TEXT, text_of(json_get(message, "content")));
    for (struct json c = json_first(calls); json_present(c) && e == ERR_OK; c = json_next(calls, c))
        e = read_call(r, c);
    return e;
}

/* ---- the end ---- */

static enum chat_stop stop_of(const struct reply_reader *r, struct json reason)
{
    if (r->blocks.cut)
        return CHAT_STOP_SEQUENCE;
    if (json_str_is(reason, "length"))
        return CHAT_STOP_MAX_TOKENS;
    return r->blocks.any_call ? CHAT_STOP_TOOL_USE : CHAT_STOP_END_TURN;
}

static int64_t count_of(struct json line, const char *name)
{
    int64_t n;
    return json_i64(json_get(line, name), &n) == ERR_OK && n >= 0 ? n : -1;
}

static enum err tell_end(struct reply_reader *r, struct json line)
{
    struct chat_usage usage = CHAT_USAGE_UNKNOWN;
    enum err e = oc_blocks_finish(&r->blocks);
    if (e != ERR_OK)
        return e;
    usage.input = count_of(line, "prompt_eval_count");
    usage.output = count_of(line, "eval_count");
    if (usage.input >= 0 || usage.output >= 0)
        tell(r, &(struct chat_event){.type = CHAT_EV_USAGE, .usage = usage});
    struct chat_event finish = {.type = CHAT_EV_FINISH,
                                .stop = stop_of(r, json_get(line, "done_reason"))};
    if (r->blocks.cut)
        finish.stop_sequence = text_from_plain(r->blocks.cut_at);
    tell(r, &finish);
    tell(r, &(struct chat_event){.type = CHAT_EV_END});
    r->state = REPLY_ENDED;
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
    if (r->state == REPLY_ENDED || e->comment_only)
        return ERR_OK;
    if (json_parse(&r->scratch, e->data, &json_limits_default, &doc, NULL) != ERR_OK ||
        !json_is(json_root(&doc), JSON_OBJECT))
        return ERR_SYNTAX;
    enum err err = read_line(r, json_root(&doc));
    arena_deinit(&r->scratch); /* one warm piece of memory serves all streams of a thread */
    return err;
}

enum err ol_read_eof(struct reply_reader *r)
{
    return r->state == REPLY_ENDED ? ERR_OK : ERR_EOF;
}

enum err ol_read_whole(struct reply_reader *r, struct span body)
{
    struct json_doc doc;
    if (json_parse(&r->scratch, body, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json whole = json_root(&doc);
    bool answer = json_is(json_get(whole, "message"), JSON_OBJECT);
    if (!answer && !json_useful(json_get(whole, "error")))
        return ERR_SYNTAX;
    enum err e = read_line(r, whole);
    return e == ERR_OK && r->state != REPLY_ENDED ? ERR_SYNTAX : e; /* not done */
}
