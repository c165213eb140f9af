/* Answers of generateContent, whole and streamed, read into chat events.
 *
 * A stream is whole answers in pieces, one a chunk: texts to join, calls that are always whole,
 * usage that grows. It ends with the response: no mark says so, and every chunk may carry a
 * finishReason. What is required: some chunk did, or the prompt was blocked.
 *
 * Parts of tools that run at Google are left out, as nobody here asked for them. Blocks are
 * openai_chat_blocks.c's. */
#include "dialect/gemini_internal.h"
#include "dialect/reply_told.h"

#include "base/span.h"

struct reply_reader {
    struct reply_told told;
    bool finished;
    enum chat_stop stop;
    const char *failure; /* the finishReason of an answer that is none; NULL: it is one */
    uint64_t id_seed;    /* for calls without an id */
    uint32_t calls;
};

struct reply_reader *gemini_reader_new(struct arena *a, const struct reader_options *o,
                                       struct chat_sink sink)
{
    struct reply_reader *r = arena_new(a, struct reply_reader);
    reply_told_init(&r->told, a, o ? o->request : NULL, sink);
    return r;
}

/* ---- the end ---- */

static const struct reason {
    const char *word;
    enum chat_stop stop;
    bool failure; /* what came is no answer: the model, or its server, broke off */
} reasons[] = {
    {"STOP", CHAT_STOP_END_TURN, false},
    {"MAX_TOKENS", CHAT_STOP_MAX_TOKENS, false},
    {"SAFETY", CHAT_STOP_REFUSAL, false},
    {"RECITATION", CHAT_STOP_REFUSAL, false},
    {"LANGUAGE", CHAT_STOP_REFUSAL, false},
    {"BLOCKLIST", CHAT_STOP_REFUSAL, false},
    {"PROHIBITED_CONTENT", CHAT_STOP_REFUSAL, false},
    {"SPII", CHAT_STOP_REFUSAL, false},
    {"MODEL_ARMOR", CHAT_STOP_REFUSAL, false},
    {"IMAGE_SAFETY", CHAT_STOP_REFUSAL, false},
    {"MALFORMED_FUNCTION_CALL", CHAT_STOP_NONE, true},
    {"UNEXPECTED_TOOL_CALL", CHAT_STOP_NONE, true},
    {"TOO_MANY_TOOL_CALLS", CHAT_STOP_NONE, true},
    {"MISSING_THOUGHT_SIGNATURE", CHAT_STOP_NONE, true},
    {"MALFORMED_RESPONSE", CHAT_STOP_NONE, true},
    {"OTHER", CHAT_STOP_NONE, true},
};

static void take_finish(struct reply_reader *r, struct json reason)
{
    if (json_str(reason).len == 0 || json_str_is(reason, "FINISH_REASON_UNSPECIFIED"))
        return;
    r->finished = true;
    r->stop = CHAT_STOP_END_TURN; /* a word of tomorrow must not break a complete answer */
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (!json_str_is(reason, reasons[i].word))
            continue;
        r->stop = reasons[i].stop;
        r->failure = reasons[i].failure ? reasons[i].word : NULL;
    }
}

/* STOP is also said behind calls; and a call that was cut by the limit is none. */
static enum chat_stop final_stop(const struct reply_reader *r)
{
    return r->told.blocks.any_call && r->stop == CHAT_STOP_END_TURN ? CHAT_STOP_TOOL_USE : r->stop;
}

static void tell_failure(struct reply_reader *r)
{
    struct chat_error error = {
        .status = 500,
        .type = SPAN("api_error"),
        .code = span_from(r->failure),
        .message = arena_printf(r->told.a, "Gemini ended the answer with %s.", r->failure)};
    reply_tell_error(&r->told, &error);
}

static enum err tell_end(struct reply_reader *r)
{
    enum err e = oc_blocks_finish(&r->told.blocks);
    if (e != ERR_OK)
        return e;
    if (r->failure) {
        tell_failure(r);
        return ERR_OK;
    }
    reply_tell_end(&r->told, final_stop(r), (struct chat_text){0});
    return ERR_OK;
}

/* ---- usage ---- */

static int64_t count_of(struct json usage, const char *name)
{
    int64_t n;
    return json_i64(json_get(usage, name), &n) == ERR_OK && n >= 0 && n < INT64_MAX / 4 ? n : -1;
}

static int64_t sum(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : a + b;
}

/* Prompt tokens hold the cached ones, ours do not; candidates' do not hold the thoughts, ours do.
 * Each chunk tells all so far. */
static void take_usage(struct reply_reader *r, struct json u)
{
    int64_t input = sum(count_of(u, "promptTokenCount"), count_of(u, "toolUsePromptTokenCount"));
    int64_t thoughts = count_of(u, "thoughtsTokenCount");
    int64_t output = sum(count_of(u, "candidatesTokenCount"), thoughts);
    int64_t cached = count_of(u, "cachedContentTokenCount");
    if (cached > 0)
        input = input > cached ? input - cached : 0;
    struct chat_usage *to = &r->told.usage;
    to->input = input >= 0 ? input : to->input;
    to->output = output >= 0 ? output : to->output;
    to->cache_read = cached >= 0 ? cached : to->cache_read;
    to->reasoning = thoughts >= 0 ? thoughts : to->reasoning;
}

/* ---- parts ---- */

static enum err take_signature(struct reply_reader *r, struct json part)
{
    struct span signature = json_str(json_get(part, "thoughtSignature"));
    if (signature.len == 0)
        return ERR_OK;
    return oc_blocks_sign(
        &r->told.blocks,
        text_raw(arena_printf(&r->told.scratch, "%s%.*s", GEMINI_SIGNATURE, SPAN_FMT(signature))));
}

/* Arguments in pieces come to those who asked for them only; a call of which we could not make the
 * whole must not look like one. */
static enum err read_call(struct reply_reader *r, struct json part, struct json call)
{
    struct json name = json_get(call, "name"), args = json_get(call, "args");
    if (json_str(name).len == 0 || json_present(json_get(call, "partialArgs")) ||
        json_true(json_get(call, "willContinue")))
        return ERR_SYNTAX;
    if (json_useful(args) && !json_is(args, JSON_OBJECT))
        return ERR_SYNTAX;
    if (r->told.blocks.cut)
        return ERR_OK;
    enum err e = take_signature(r, part);
    if (e != ERR_OK)
        return e;
    struct span id = json_str(json_get(call, "id"));
    if (id.len == 0)
        id = oc_make_call_id(r->told.a, r->id_seed, r->calls).at;
    struct oc_part *p = oc_blocks_call(&r->told.blocks, r->calls++, id, json_str(name), true);
    if (!p)
        return ERR_LIMIT;
    return oc_blocks_input(&r->told.blocks, p,
                           text_from_plain(json_useful(args) ? json_raw(args) : SPAN("{}")));
}

static enum err read_part(struct reply_reader *r, struct json part)
{
    struct json call = json_get(part, "functionCall"), text = json_get(part, "text");
    if (json_is(call, JSON_OBJECT))
        return read_call(r, part, call);
    if (!json_is(text, JSON_STRING))
        return ERR_OK;
    bool thought = json_true(json_get(part, "thought"));
    enum err e = ERR_OK;
    /* The signature of a text is worth keeping only where its thinking is shown. */
    if (!thought && r->told.blocks.open && r->told.blocks.type == CHAT_THINKING)
        e = take_signature(r, part);
    if (e == ERR_OK)
        e = oc_blocks_text(&r->told.blocks, thought ? CHAT_THINKING : CHAT_TEXT, text_of(text));
    if (e == ERR_OK && thought && r->told.blocks.open && r->told.blocks.type == CHAT_THINKING)
        e = take_signature(r, part);
    return e;
}

/* ---- answers ---- */

static void tell_start(struct reply_reader *r, struct json whole)
{
    if (r->told.state != REPLY_IDLE)
        return;
    r->told.state = REPLY_STARTED;
    r->id_seed = oc_hash(OC_HASH_SEED, json_raw(whole));
    reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_START,
                                              .id = text_of(json_get(whole, "responseId")),
                                              .model = text_of(json_get(whole, "modelVersion")),
                                              .usage = r->told.usage});
}

/* Several candidates were not asked for; the first is the answer. */
static struct json first_candidate(struct json whole)
{
    struct json all = json_get(whole, "candidates");
    for (struct json c = json_is(all, JSON_ARRAY) ? json_first(all) : JSON_ABSENT; json_present(c);
         c = json_next(all, c)) {
        int64_t index;
        if (json_i64(json_get(c, "index"), &index) != ERR_OK || index == 0)
            return c;
    }
    return JSON_ABSENT;
}

static void take_block_reason(struct reply_reader *r, struct json whole)
{
    struct span reason = json_str(json_path(whole, "promptFeedback.blockReason"));
    if (reason.len == 0 || span_is(reason, "BLOCK_REASON_UNSPECIFIED"))
        return;
    r->finished = true;
    r->stop = CHAT_STOP_REFUSAL;
    r->failure = NULL;
}

static enum err read_chunk(struct reply_reader *r, struct json whole)
{
    struct json candidate = first_candidate(whole);
    struct json parts = json_path(candidate, "content.parts");
    enum err e = ERR_OK;
    take_usage(r, json_get(whole, "usageMetadata"));
    take_block_reason(r, whole);
    if (json_present(candidate) || r->finished)
        tell_start(r, whole);
    for (struct json p = json_is(parts, JSON_ARRAY) ? json_first(parts) : JSON_ABSENT;
         json_present(p) && e == ERR_OK; p = json_next(parts, p))
        e = read_part(r, p);
    take_finish(r, json_get(candidate, "finishReason"));
    return e;
}

/* {"error": ...}, or an array with one in it. */
static struct json error_in(struct json whole)
{
    struct json inner = json_is(whole, JSON_ARRAY) ? json_at(whole, 0) : whole;
    return json_is(json_get(inner, "error"), JSON_OBJECT) ? inner : JSON_ABSENT;
}

static enum err read_json(struct reply_reader *r, struct span text)
{
    struct json_doc doc;
    if (json_parse(&r->told.scratch, text, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json whole = json_root(&doc), told = error_in(whole);
    if (json_present(told)) {
        struct chat_error error;
        dialect_error_from_json(r->told.a, 0, told, &error);
        reply_tell_error(&r->told, &error);
        return ERR_OK;
    }
    return json_is(whole, JSON_OBJECT) ? read_chunk(r, whole) : ERR_SYNTAX;
}

enum err gemini_read_event(struct reply_reader *r, const struct sse_event *e)
{
    if (!reply_is_news(&r->told, e))
        return ERR_OK;
    struct span data = span_trim(e->data);
    if (data.len == 0)
        return ERR_OK;
    enum err err = read_json(r, data);
    arena_deinit(&r->told.scratch);
    return err;
}

enum err gemini_read_eof(struct reply_reader *r)
{
    if (r->told.state == REPLY_ENDED)
        return ERR_OK;
    return r->finished ? tell_end(r) : ERR_EOF;
}

enum err gemini_read_whole(struct reply_reader *r, struct span body)
{
    assert(r->told.state == REPLY_IDLE);
    enum err e = read_json(r, body);
    if (e != ERR_OK || r->told.state == REPLY_ENDED)
        return e;
    return r->finished ? tell_end(r) : ERR_SYNTAX;
}
