/* Answers of OpenAI-chat servers, whole and streamed, read into chat events.
 *
 * The servers agree on little (protocols.md 3.1), so nothing is required that can be done without:
 * usage is taken wherever it stands, content may be null, a string or parts, ids and indices may be
 * missing, [DONE] may be. What is required: a stream has ended only when a finish_reason came.
 * finish_reason does not end it yet, since usage and late content may follow. Blocks are
 * openai_chat_blocks.c's. Citations ("annotations") and logprobs have no form in the canonical
 * answer that another dialect could write, and are left out. */
#include "dialect/openai_chat_internal.h"
#include "dialect/reply_told.h"

#include "base/span.h"

struct reply_reader {
    struct reply_told told;
    bool finished;   /* a finish_reason came */
    bool usage_last; /* a chunk of its own brought the usage: nothing follows it */
    enum chat_stop stop;
    struct chat_text stop_sequence; /* when the server tells which */
    uint64_t id_seed;               /* for tool ids the server did not give */
    uint32_t made_ids;
};

struct reply_reader *oc_reader_new(struct arena *a, const struct reader_options *o,
                                   struct chat_sink sink)
{
    struct reply_reader *r = arena_new(a, struct reply_reader);
    reply_told_init(&r->told, a, o ? o->request : NULL, sink);
    return r;
}

/* Several members of an object in one pass over it: a chunk's members outnumber its news. */
#define PICK(object, names, out)                                                                   \
    do {                                                                                           \
        static_assert(ARRAY_LEN(names) == ARRAY_LEN(out), "one place for each name");              \
        pick((object), (names), (out), ARRAY_LEN(names));                                          \
    } while (0)

#define NAME(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static void pick(struct json object, const struct span *names, struct json *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = JSON_ABSENT;
    if (!json_is(object, JSON_OBJECT))
        return;
    for (struct json m = json_first(object); json_present(m); m = json_next(object, m)) {
        struct span key = json_key(m);
        for (size_t i = 0; i < count; i++)
            if (key.len == names[i].len && memcmp(key.at, names[i].at, key.len) == 0)
                out[i] = m;
    }
}

/* ---- the end ---- */

static enum chat_stop stop_of_word(struct span word)
{
    static const struct {
        const char *word;
        enum chat_stop stop;
    } words[] = {
        {"stop", CHAT_STOP_END_TURN},          {"length", CHAT_STOP_MAX_TOKENS},
        {"tool_calls", CHAT_STOP_TOOL_USE},    {"function_call", CHAT_STOP_TOOL_USE},
        {"content_filter", CHAT_STOP_REFUSAL}, {"max_tokens", CHAT_STOP_MAX_TOKENS},
        {"model_length", CHAT_STOP_CONTEXT},   {"refusal", CHAT_STOP_REFUSAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_is(word, words[i].word))
            return words[i].stop;
    return CHAT_STOP_END_TURN; /* a word nobody knows must not break an answer that is complete */
}

/* Calls decide: servers say "stop" behind tool calls too. A refusal is told as text and "stop". */
static enum chat_stop final_stop(const struct reply_reader *r)
{
    bool plain_end = r->stop == CHAT_STOP_END_TURN || r->stop == CHAT_STOP_NONE;
    if (r->told.blocks.any_call && plain_end)
        return CHAT_STOP_TOOL_USE;
    if (!r->told.blocks.any_call && r->stop == CHAT_STOP_TOOL_USE)
        return CHAT_STOP_END_TURN; /* promised, but no call came: nobody could answer it */
    if (r->told.blocks.any_refusal && plain_end)
        return CHAT_STOP_REFUSAL;
    if (!chat_text_empty(r->stop_sequence) && plain_end)
        return CHAT_STOP_SEQUENCE;
    return r->stop == CHAT_STOP_NONE ? CHAT_STOP_END_TURN : r->stop;
}

static enum err tell_end(struct reply_reader *r)
{
    enum err e = oc_blocks_finish(&r->told.blocks);
    if (e != ERR_OK)
        return e;
    reply_tell_end(&r->told, final_stop(r), r->stop_sequence);
    return ERR_OK;
}

static void tell_error(struct reply_reader *r, struct json envelope, const char *fallback_type)
{
    struct chat_error error;
    dialect_error_from_json(r->told.a, 0, envelope, &error);
    if (fallback_type) {
        error.type = span_from(fallback_type);
        error.status = dialect_type_status(error.type);
        if (error.message.len == 0)
            error.message = SPAN("The provider broke the answer off.");
    }
    reply_tell_error(&r->told, &error);
}

/* ---- usage ---- */

static int64_t count_of(struct json u, const char *const *paths)
{
    int64_t n = -1;
    for (; *paths && n < 0; paths++)
        n = reply_count(u, *paths);
    return n;
}

/* OpenAI's prompt_tokens include what came from the cache; ours do not. */
static void take_usage(struct reply_reader *r, struct json u)
{
    static const char *const prompt[] = {"prompt_tokens", NULL};
    static const char *const completion[] = {"completion_tokens", NULL};
    static const char *const read[] = {"prompt_tokens_details.cached_tokens",
                                       "prompt_cache_hit_tokens", "cached_tokens",
                                       "num_cached_tokens", NULL};
    static const char *const write[] = {"prompt_tokens_details.cache_write_tokens", NULL};
    static const char *const reasoning[] = {"completion_tokens_details.reasoning_tokens",
                                            "reasoning_tokens", NULL};
    if (!json_is(u, JSON_OBJECT))
        return;
    int64_t input = count_of(u, prompt), output = count_of(u, completion);
    if (input < 0 && output < 0)
        return;
    struct chat_usage *to = &r->told.usage;
    to->cache_read = count_of(u, read);
    to->cache_write = count_of(u, write);
    to->reasoning = count_of(u, reasoning);
    to->output = output;
    to->input = input;
    if (to->cache_read > 0)
        to->input -= to->cache_read;
    if (to->cache_write > 0)
        to->input -= to->cache_write;
    if (input >= 0 && to->input < 0)
        to->input = 0;
}

/* ---- content ---- */

static enum err put_text(struct reply_reader *r, enum chat_block_type type, struct json v)
{
    return oc_blocks_text(&r->told.blocks, type, text_of(v));
}

/* Mistral: content as parts, thinking among them. */
static enum err read_parts(struct reply_reader *r, struct json parts)
{
    enum err e = ERR_OK;
    for (struct json p = json_first(parts); json_present(p) && e == ERR_OK;
         p = json_next(parts, p)) {
        struct json thinking = json_get(p, "thinking");
        if (!json_present(thinking))
            e = put_text(r, json_present(json_get(p, "refusal")) ? CHAT_REFUSAL : CHAT_TEXT,
                         json_get(p, json_present(json_get(p, "refusal")) ? "refusal" : "text"));
        else if (json_is(thinking, JSON_STRING))
            e = put_text(r, CHAT_THINKING, thinking);
        for (struct json t = json_first(thinking); json_present(t) && e == ERR_OK;
             t = json_next(thinking, t))
            e = put_text(r, CHAT_THINKING, json_get(t, "text"));
    }
    return e;
}

enum message_member { CONTENT, REFUSAL, CALLS, FUNCTION, REASONING_CONTENT, REASONING, DETAILS };
static const struct span message_members[] = {
    [CONTENT] = NAME("content"),
    [REFUSAL] = NAME("refusal"),
    [CALLS] = NAME("tool_calls"),
    [FUNCTION] = NAME("function_call"),
    [REASONING_CONTENT] = NAME("reasoning_content"),
    [REASONING] = NAME("reasoning"),
    [DETAILS] = NAME("reasoning_details"),
};

/* Some servers send the same words under two names, so only one is read. */
static enum err read_reasoning(struct reply_reader *r, const struct json *m)
{
    if (json_str(m[REASONING_CONTENT]).len)
        return put_text(r, CHAT_THINKING, m[REASONING_CONTENT]);
    if (json_str(m[REASONING]).len)
        return put_text(r, CHAT_THINKING, m[REASONING]);
    enum err e = ERR_OK;
    for (struct json d = json_first(m[DETAILS]); json_present(d) && e == ERR_OK;
         d = json_next(m[DETAILS], d)) {
        struct json text = json_get(d, "text");
        e = put_text(r, CHAT_THINKING, json_is(text, JSON_STRING) ? text : json_get(d, "summary"));
    }
    return e;
}

/* ---- tool calls ---- */

struct chat_text oc_make_call_id(struct arena *a, uint64_t seed, uint32_t count)
{
    uint64_t h = oc_hash(seed + count, SPAN("call"));
    return text_from_plain(
        arena_printf(a, "call_%016llx%04x", (unsigned long long)h, count & 0xffffu));
}

/* function: {"name", "arguments"}, or custom: {"name", "input"}. */
static enum err read_call(struct reply_reader *r, int64_t index, struct span id,
                          struct json function, bool custom)
{
    struct json name = json_get(function, "name");
    struct json input = json_get(function, custom ? "input" : "arguments");
    bool object = json_is(input, JSON_OBJECT); /* some servers forget to make it a string */
    struct chat_text piece = object ? text_from_plain(json_raw(input)) : text_of(input);
    if (r->told.blocks.cut || (id.len + json_str(name).len + piece.at.len == 0))
        return ERR_OK; /* placeholders without anything in them */
    struct oc_part *p =
        oc_blocks_call(&r->told.blocks, index, id, json_str(name), !chat_text_empty(piece));
    if (!p)
        return ERR_LIMIT;
    p->custom = p->custom || custom;
    if (p->name.at.len && p->id.at.len == 0)
        p->id = oc_make_call_id(r->told.a, r->id_seed, r->made_ids++);
    return oc_blocks_input(&r->told.blocks, p, piece);
}

static enum err read_tool_calls(struct reply_reader *r, struct json calls)
{
    enum err e = ERR_OK;
    for (struct json c = json_first(calls); json_present(c) && e == ERR_OK;
         c = json_next(calls, c)) {
        int64_t index;
        /* The type comes with a call's first chunk only. */
        bool custom = json_str_is(json_get(c, "type"), "custom") ||
                      (json_useful(json_get(c, "custom")) && !json_useful(json_get(c, "function")));
        if (json_i64(json_get(c, "index"), &index) != ERR_OK || index < 0)
            index = OC_NO_INDEX;
        e = read_call(r, index, json_str(json_get(c, "id")),
                      json_get(c, custom ? "custom" : "function"), custom);
    }
    return e;
}

/* A chunk's delta or a whole answer's message: the same members. Reasoning comes first whatever the
 * order they stand in. */
static enum err read_message(struct reply_reader *r, struct json message)
{
    struct json m[ARRAY_LEN(message_members)];
    PICK(message, message_members, m);
    enum err e = read_reasoning(r, m);
    if (e == ERR_OK)
        e = json_is(m[CONTENT], JSON_ARRAY) ? read_parts(r, m[CONTENT])
                                            : put_text(r, CHAT_TEXT, m[CONTENT]);
    if (e == ERR_OK)
        e = put_text(r, CHAT_REFUSAL, m[REFUSAL]);
    if (e == ERR_OK)
        e = read_tool_calls(r, m[CALLS]);
    if (e == ERR_OK && json_useful(m[FUNCTION]))
        e = read_call(r, OC_LEGACY_INDEX, SPAN_EMPTY, m[FUNCTION], false);
    return e;
}

/* ---- choices, chunks ---- */

enum choice_member { INDEX, DELTA, MESSAGE, TEXT, FINISH, STOP_REASON, MATCHED_STOP, CHOICE_USAGE };
static const struct span choice_members[] = {
    [INDEX] = NAME("index"),
    [DELTA] = NAME("delta"),
    [MESSAGE] = NAME("message"),
    [TEXT] = NAME("text"), /* a text completion's, whole or streamed */
    [FINISH] = NAME("finish_reason"),
    [STOP_REASON] = NAME("stop_reason"),   /* vLLM: which stop sequence matched */
    [MATCHED_STOP] = NAME("matched_stop"), /* SGLang: the same */
    [CHOICE_USAGE] = NAME("usage"),        /* Moonshot */
};
enum root_member { ID, MODEL, CHOICES, USAGE, ERROR, OBJECT, GROQ };
static const struct span root_members[] = {
    [ID] = NAME("id"),       [MODEL] = NAME("model"), [CHOICES] = NAME("choices"),
    [USAGE] = NAME("usage"), [ERROR] = NAME("error"), [OBJECT] = NAME("object"),
    [GROQ] = NAME("x_groq"),
};

/* These words say that the server broke off: what came is no answer. */
static const char *failure_of_word(struct span word)
{
    if (span_is(word, "error"))
        return "api_error";
    return span_is(word, "insufficient_system_resource") ? "overloaded_error" : NULL;
}

static void take_finish(struct reply_reader *r, const struct json *choice)
{
    struct span word = json_str(choice[FINISH]);
    if (word.len == 0)
        return;
    if (!r->finished || r->stop == CHAT_STOP_END_TURN)
        r->stop = stop_of_word(word);
    r->finished = true;
    struct span which = json_str(choice[STOP_REASON]);
    if (which.len == 0)
        which = json_str(choice[MATCHED_STOP]);
    if (which.len && span_is(word, "stop"))
        r->stop_sequence = text_raw(arena_copy(r->told.a, which));
}

static void tell_start(struct reply_reader *r, struct json whole, const struct json *root)
{
    if (r->told.state != REPLY_IDLE)
        return;
    r->told.state = REPLY_STARTED;
    r->id_seed = oc_hash(OC_HASH_SEED, json_raw(whole));
    reply_tell(&r->told, &(struct chat_event){.type = CHAT_EV_START,
                                              .id = text_of(root[ID]),
                                              .model = text_of(root[MODEL]),
                                              .usage = r->told.usage});
}

/* An error object anywhere an answer should be; "error": null is none. */
static bool is_error(const struct json *root)
{
    return json_is(root[ERROR], JSON_OBJECT) || json_str(root[ERROR]).len > 0 ||
           json_str_is(root[OBJECT], "error");
}

static enum err read_choice(struct reply_reader *r, struct json whole, const struct json *root,
                            struct json choice, enum choice_member content)
{
    struct json c[ARRAY_LEN(choice_members)];
    int64_t index;
    PICK(choice, choice_members, c);
    if (json_i64(c[INDEX], &index) == ERR_OK && index != 0)
        return ERR_OK; /* n > 1: only the first answer is told */
    take_usage(r, c[CHOICE_USAGE]);
    tell_start(r, whole, root);
    enum err e = json_is(c[TEXT], JSON_STRING) ? put_text(r, CHAT_TEXT, c[TEXT])
                                               : read_message(r, c[content]);
    const char *failure = failure_of_word(json_str(c[FINISH]));
    if (e == ERR_OK && failure)
        tell_error(r, whole, failure);
    else
        take_finish(r, c);
    return e;
}

static void take_root_usage(struct reply_reader *r, const struct json *root)
{
    bool own = json_is(root[USAGE], JSON_OBJECT);
    take_usage(r, own ? root[USAGE] : json_get(root[GROQ], "usage"));
    r->usage_last = own && json_is(root[CHOICES], JSON_ARRAY) && json_len(root[CHOICES]) == 0 &&
                    r->told.state == REPLY_STARTED;
}

static enum err read_chunk(struct reply_reader *r, struct json whole, const struct json *root)
{
    struct json choices = root[CHOICES];
    enum err e = ERR_OK;
    take_root_usage(r, root);
    for (struct json c = json_first(choices);
         json_present(c) && e == ERR_OK && r->told.state != REPLY_ENDED; c = json_next(choices, c))
        e = read_choice(r, whole, root, c, DELTA);
    return e;
}

static enum err read_done(struct reply_reader *r)
{
    if (r->told.state == REPLY_IDLE || (!r->finished && !r->usage_last))
        return ERR_SYNTAX; /* the mark without what it marks */
    return tell_end(r);
}

static enum err read_data(struct reply_reader *r, const struct sse_event *e, struct span data)
{
    struct json_doc doc;
    if (json_parse(&r->told.scratch, data, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json whole = json_root(&doc), root[ARRAY_LEN(root_members)];
    if (!json_is(whole, JSON_OBJECT))
        return ERR_SYNTAX;
    PICK(whole, root_members, root);
    if (is_error(root) || span_is(e->name, "error")) {
        if (r->finished) /* the answer is whole: what goes wrong behind it is not its matter */
            return tell_end(r);
        tell_error(r, whole, NULL);
        return ERR_OK;
    }
    return read_chunk(r, whole, root);
}

enum err oc_read_event(struct reply_reader *r, const struct sse_event *e)
{
    if (!reply_is_news(&r->told, e))
        return ERR_OK;
    struct span data = span_trim(e->data);
    if (data.len == 0)
        return ERR_OK;
    if (span_is(data, "[DONE]"))
        return read_done(r);
    enum err err = read_data(r, e, data);
    arena_deinit(&r->told.scratch); /* one warm piece of memory serves all streams of a thread */
    return err;
}

enum err oc_read_eof(struct reply_reader *r)
{
    if (r->told.state == REPLY_ENDED)
        return ERR_OK;
    return r->finished ? tell_end(r) : ERR_EOF;
}

enum err oc_read_whole(struct reply_reader *r, struct span body)
{
    struct json_doc doc;
    assert(r->told.state == REPLY_IDLE);
    if (json_parse(&r->told.scratch, body, &json_limits_default, &doc, NULL) != ERR_OK)
        return ERR_SYNTAX;
    struct json whole = json_root(&doc), root[ARRAY_LEN(root_members)];
    PICK(whole, root_members, root);
    if (is_error(root)) {
        tell_error(r, whole, NULL);
        return ERR_OK;
    }
    struct json choice = json_at(root[CHOICES], 0);
    if (!json_is(json_get(choice, "message"), JSON_OBJECT) &&
        !json_is(json_get(choice, "text"), JSON_STRING))
        return ERR_SYNTAX;
    take_root_usage(r, root);
    enum err e = read_choice(r, whole, root, choice, MESSAGE);
    if (e != ERR_OK || r->told.state == REPLY_ENDED)
        return e;
    return r->told.state == REPLY_STARTED ? tell_end(r) : ERR_SYNTAX;
}
