/* Answers of Converse models, whole and streamed, read into chat events.
 *
 * A stream's events come as server-sent ones (relay/cloud.h takes them out of AWS's frames). Only a
 * tool call announces its block; texts and thinking begin with their first piece. messageStop says
 * why the answer ended and metadata, the last event, what it cost: a stream without the first is
 * cut. What a provider's own tools do in the answer is nothing a client could use and is left out,
 * as is redacted thinking, which only Claude gives. */
#include "dialect/bedrock_converse_internal.h"
#include "dialect/reply_told.h"

#include "base/span.h"

#define SIGNATURE_MAX ((size_t)64 << 10)
#define INDEX_NONE ((int64_t)-1)

struct reply_reader {
    struct reply_told told;
    const struct chat_request *request; /* may be NULL */
    bool stopped;                       /* messageStop came */
    enum chat_stop stop;
    struct buf signature; /* of the open thinking: clients want it in one piece */
    int64_t foreign;      /* index of a block that is left out */
    uint64_t id_seed;     /* for tool ids that were not given */
    uint32_t made_ids;
};

static void reader_free(void *object)
{
    struct reply_reader *r = object;
    buf_deinit(&r->signature);
}

struct reply_reader *bc_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink)
{
    struct reply_reader *r = arena_new(a, struct reply_reader);
    r->request = o ? o->request : NULL;
    r->foreign = INDEX_NONE;
    reply_told_init(&r->told, a, r->request, sink);
    buf_init(&r->signature, SIGNATURE_MAX);
    arena_on_free(a, reader_free, r);
    return r;
}

/* Neither an id nor a model is told. */
static void tell_start(struct reply_reader *r)
{
    if (r->told.state != REPLY_IDLE)
        return;
    r->told.state = REPLY_STARTED;
    reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_START, .usage = CHAT_USAGE_UNKNOWN});
}

/* ---- the end ---- */

static enum chat_stop stop_of_word(struct span word)
{
    static const struct {
        const char *word;
        enum chat_stop stop;
    } words[] = {
        {"end_turn", CHAT_STOP_END_TURN},
        {"tool_use", CHAT_STOP_TOOL_USE},
        {"max_tokens", CHAT_STOP_MAX_TOKENS},
        {"stop_sequence", CHAT_STOP_SEQUENCE},
        {"guardrail_intervened", CHAT_STOP_REFUSAL},
        {"content_filtered", CHAT_STOP_REFUSAL},
        {"model_context_window_exceeded", CHAT_STOP_CONTEXT},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_is(word, words[i].word))
            return words[i].stop;
    return CHAT_STOP_END_TURN; /* a word nobody knows must not break an answer that is complete */
}

/* The model's output was none: what came is no answer. */
static bool is_failure(struct span word)
{
    return span_starts(word, SPAN("malformed_"));
}

static enum chat_stop final_stop(const struct reply_reader *r)
{
    if (r->told.blocks.any_call && r->stop == CHAT_STOP_END_TURN)
        return CHAT_STOP_TOOL_USE;
    if (!r->told.blocks.any_call && r->stop == CHAT_STOP_TOOL_USE)
        return CHAT_STOP_END_TURN; /* promised, but no call came: nobody could answer it */
    return r->stop;
}

/* Which sequence it was is not told: sure where only one was given. */
static struct chat_text stop_sequence(const struct reply_reader *r)
{
    bool one = r->request && r->request->stop.count == 1;
    return one ? r->request->stop.at[0] : (struct chat_text){0};
}

static enum err tell_end(struct reply_reader *r)
{
    enum err e = oc_blocks_finish(&r->told.blocks);
    if (e != ERR_OK)
        return e;
    reply_tell_end(&r->told, final_stop(r), stop_sequence(r));
    return ERR_OK;
}

static void tell_failure(struct reply_reader *r, struct span word)
{
    struct chat_error error = {.status = 500,
                               .type = SPAN("api_error"),
                               .code = word,
                               .message = SPAN("The model's output could not be read.")};
    reply_tell_error(&r->told, &error);
}

/* ---- usage ---- */

/* inputTokens are those that no cache held (recorded: 14 beside 1503 written). */
static void take_usage(struct reply_reader *r, struct json usage)
{
    if (!json_is(usage, JSON_OBJECT))
        return;
    r->told.usage.input = reply_count(usage, "inputTokens");
    r->told.usage.output = reply_count(usage, "outputTokens");
    r->told.usage.cache_read = reply_count(usage, "cacheReadInputTokens");
    r->told.usage.cache_write = reply_count(usage, "cacheWriteInputTokens");
}

/* ---- content ---- */

/* A block is over: its signature, then its end. */
static enum err end_block(struct reply_reader *r)
{
    bool thinks = r->told.blocks.open && r->told.blocks.type == CHAT_THINKING;
    if (thinks && r->signature.len) {
        struct span all = arena_printf(&r->told.scratch, "%s%.*s", CONVERSE_SIGNATURE,
                                       SPAN_FMT(buf_span(&r->signature)));
        reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_SIGNATURE,
                                                  .block_type = CHAT_THINKING,
                                                  .text = text_raw(all)});
    }
    buf_reset(&r->signature);
    return oc_blocks_end(&r->told.blocks);
}

/* A call of a tool that the provider runs. */
static bool is_providers(struct json call)
{
    return json_str_is(json_get(call, "type"), "server_tool_use");
}

static enum err read_reasoning(struct reply_reader *r, struct json reasoning)
{
    enum err e =
        oc_blocks_text(&r->told.blocks, CHAT_THINKING, text_of(json_get(reasoning, "text")));
    return e == ERR_OK ? buf_add(&r->signature, json_str(json_get(reasoning, "signature"))) : e;
}

/* input: a piece of its JSON text; or, in a whole answer, the value itself. */
static enum err read_call(struct reply_reader *r, int64_t index, struct json call)
{
    struct json input = json_get(call, "input");
    struct span id = json_str(json_get(call, "toolUseId")), name = json_str(json_get(call, "name"));
    struct chat_text piece = !json_useful(input)           ? (struct chat_text){0}
                             : json_is(input, JSON_STRING) ? text_of(input)
                                                           : text_from_plain(json_raw(input));
    struct oc_part *p = oc_blocks_call(&r->told.blocks, index, id, name, !chat_text_empty(piece));
    if (!p)
        return ERR_LIMIT;
    if (p->name.at.len && p->id.at.len == 0)
        p->id = oc_make_call_id(r->told.a, r->id_seed, r->made_ids++);
    return oc_blocks_input(&r->told.blocks, p, piece);
}

/* A call without any input ends here all the same. */
static enum err close_call(struct reply_reader *r, int64_t index)
{
    for (struct oc_part *p = r->told.blocks.parts; p; p = p->next)
        if (p->index == index && p->held.len == 0 && p->scan.depth == 0 && !p->scan.complete &&
            p->state != OC_PART_CLOSED)
            return oc_blocks_input(&r->told.blocks, p, text_from_plain(SPAN("{}")));
    return ERR_OK;
}

static enum err read_block(struct reply_reader *r, int64_t index, struct json block)
{
    struct json call = json_get(block, "toolUse"), cited = json_get(block, "citationsContent");
    enum err e = oc_blocks_text(&r->told.blocks, CHAT_TEXT, text_of(json_get(block, "text")));
    if (e == ERR_OK)
        e = read_reasoning(r, json_path(block, "reasoningContent.reasoningText"));
    for (struct json c = json_first(json_get(cited, "content")); json_present(c) && e == ERR_OK;
         c = json_next(json_get(cited, "content"), c))
        e = oc_blocks_text(&r->told.blocks, CHAT_TEXT, text_of(json_get(c, "text")));
    if (e == ERR_OK && json_present(call) && !is_providers(call))
        e = read_call(r, index, call);
    return e == ERR_OK ? end_block(r) : e;
}

/* ---- events ---- */

static int64_t index_of(struct json event)
{
    int64_t n;
    return json_i64(json_get(event, "contentBlockIndex"), &n) == ERR_OK && n >= 0 ? n : 0;
}

static enum err on_message_start(struct reply_reader *r, struct json event)
{
    (void)event; /* the role, which is always the same */
    tell_start(r);
    return ERR_OK;
}

static enum err on_block_start(struct reply_reader *r, struct json event)
{
    struct json start = json_get(event, "start"), call = json_get(start, "toolUse");
    tell_start(r);
    if (json_present(json_get(start, "toolResult")) || is_providers(call)) {
        r->foreign = index_of(event);
        return ERR_OK;
    }
    return json_present(call) ? read_call(r, index_of(event), call) : ERR_OK;
}

static enum err on_block_delta(struct reply_reader *r, struct json event)
{
    struct json delta = json_get(event, "delta"), call = json_get(delta, "toolUse");
    tell_start(r);
    if (index_of(event) == r->foreign)
        return ERR_OK;
    enum err e = oc_blocks_text(&r->told.blocks, CHAT_TEXT, text_of(json_get(delta, "text")));
    if (e == ERR_OK)
        e = read_reasoning(r, json_get(delta, "reasoningContent"));
    if (e == ERR_OK && json_present(call))
        e = read_call(r, index_of(event), call);
    return e;
}

static enum err on_block_stop(struct reply_reader *r, struct json event)
{
    int64_t index = index_of(event);
    tell_start(r);
    if (index == r->foreign) {
        r->foreign = INDEX_NONE;
        return ERR_OK;
    }
    enum err e = close_call(r, index);
    return e == ERR_OK ? end_block(r) : e;
}

static enum err on_message_stop(struct reply_reader *r, struct json event)
{
    struct span word = json_str(json_get(event, "stopReason"));
    tell_start(r);
    if (is_failure(word)) {
        tell_failure(r, word);
        return ERR_OK;
    }
    r->stopped = true;
    r->stop = stop_of_word(word);
    return end_block(r);
}

static enum err on_metadata(struct reply_reader *r, struct json event)
{
    take_usage(r, json_get(event, "usage"));
    return r->stopped ? tell_end(r) : ERR_OK;
}

/* An exception of Bedrock's, in Claude's words (relay/cloud.h). Behind messageStop the answer is
 * whole: what goes wrong then is not its matter. */
static enum err on_error(struct reply_reader *r, struct json event)
{
    struct chat_error error;
    if (r->stopped)
        return tell_end(r);
    dialect_error_from_json(r->told.a, 0, event, &error);
    reply_tell_error(&r->told, &error);
    return ERR_OK;
}

static const struct event_row {
    const char *name;
    enum err (*read)(struct reply_reader *r, struct json event);
} event_rows[] = {
    {"contentBlockDelta", on_block_delta},
    {"contentBlockStart", on_block_start},
    {"contentBlockStop", on_block_stop},
    {"messageStart", on_message_start},
    {"messageStop", on_message_stop},
    {"metadata", on_metadata},
    {"error", on_error},
};

static enum err read_named(struct reply_reader *r, struct span name, struct json event)
{
    for (size_t i = 0; i < ARRAY_LEN(event_rows); i++)
        if (span_is(name, event_rows[i].name))
            return event_rows[i].read(r, event);
    return ERR_OK; /* of a later version of the format */
}

enum err bc_read_event(struct reply_reader *r, const struct sse_event *e)
{
    struct json_doc doc;
    if (!reply_is_news(&r->told, e))
        return ERR_OK;
    if (json_parse(&r->told.scratch, e->data, &json_limits_default, &doc, NULL) != ERR_OK ||
        !json_is(json_root(&doc), JSON_OBJECT))
        return ERR_SYNTAX;
    if (r->told.state == REPLY_IDLE)
        r->id_seed = oc_hash(OC_HASH_SEED, e->data);
    enum err err = read_named(r, e->name, json_root(&doc));
    arena_deinit(&r->told.scratch); /* one warm piece of memory serves all streams of a thread */
    return err;
}

enum err bc_read_eof(struct reply_reader *r)
{
    if (r->told.state == REPLY_ENDED)
        return ERR_OK;
    return r->stopped ? tell_end(r) : ERR_EOF;
}

enum err bc_read_whole(struct reply_reader *r, struct span body)
{
    struct json_doc doc;
    enum err e = ERR_OK;
    int64_t index = 0;
    if (json_parse(&r->told.scratch, body, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json whole = json_root(&doc), content = json_path(whole, "output.message.content");
    struct span word = json_str(json_get(whole, "stopReason"));
    if (!json_is(content, JSON_ARRAY))
        return ERR_SYNTAX;
    r->id_seed = oc_hash(OC_HASH_SEED, body);
    tell_start(r);
    take_usage(r, json_get(whole, "usage"));
    if (is_failure(word)) {
        tell_failure(r, word);
        return ERR_OK;
    }
    for (struct json b = json_first(content); json_present(b) && e == ERR_OK;
         b = json_next(content, b))
        e = read_block(r, index++, b);
    r->stop = stop_of_word(word);
    return e == ERR_OK ? tell_end(r) : e;
}
