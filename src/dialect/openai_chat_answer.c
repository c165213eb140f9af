/* Chat events written for clients of OpenAI's API: chat chunks or a whole chat answer, and the same
 * for legacy text completions.
 *
 *   START   role chunk                     what every chunk begins with is made once, here
 *   DELTA   one chunk each                 tool calls are counted by themselves, not by block
 *   FINISH  chunk with finish_reason       the only one that has it
 *   END     usage chunk when asked, [DONE] an error never comes to this
 *
 * A whole answer is gathered in the same order and written at END. Blocks only Anthropic knows
 * (server tools, redacted thinking, signatures, citations) have no form here and are left out. */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

#include <stdio.h>

struct gathered { /* part of a whole answer: an open JSON value */
    struct buf bytes;
    struct json_out out;
    bool any;
};

struct reply_writer {
    struct arena *a;
    struct writer_options o;
    struct buf *to;
    enum oc_flavour flavour;
    bool stream, started, told_finish, told_refusal, legacy_call;
    struct span opening;       /* {"id":...,"model":"m", : the beginning of every object we write */
    enum chat_block_type type; /* of the open block */
    bool custom, skip_call, call_has_input;
    uint32_t calls;
    struct chat_usage usage;
    enum chat_stop stop;
    struct gathered text, reasoning, refusal, tools;
};

static void writer_free(void *object)
{
    struct reply_writer *w = object;
    buf_deinit(&w->text.bytes);
    buf_deinit(&w->reasoning.bytes);
    buf_deinit(&w->refusal.bytes);
    buf_deinit(&w->tools.bytes);
}

static void gathered_init(struct gathered *g, size_t max)
{
    buf_init(&g->bytes, max);
    json_out_buf(&g->out, &g->bytes);
}

struct reply_writer *oc_answer_new(struct arena *a, const struct writer_options *o, bool stream,
                                   struct buf *to, enum oc_flavour flavour)
{
    struct reply_writer *w = arena_new(a, struct reply_writer);
    w->a = a;
    w->o = *o;
    w->to = to;
    w->stream = stream;
    w->flavour = flavour;
    w->legacy_call = o->request->legacy_functions;
    w->usage = CHAT_USAGE_UNKNOWN;
    gathered_init(&w->text, to->max);
    gathered_init(&w->reasoning, to->max);
    gathered_init(&w->refusal, to->max);
    gathered_init(&w->tools, to->max);
    if (!stream)
        arena_on_free(a, writer_free, w);
    return w;
}

static enum err add(struct reply_writer *w, struct span s)
{
    return buf_add(w->to, s);
}

/* ---- identity ---- */

/* The caller's id, else the upstream's in this format's clothes. */
static void put_id(struct reply_writer *w, struct json_out *out, struct chat_text upstream)
{
    struct span prefix = w->flavour == OC_CHAT ? SPAN("chatcmpl-") : SPAN("cmpl-");
    struct span id = upstream.at;
    if (w->o.id.len) {
        jw_str(out, w->o.id);
        return;
    }
    if (span_starts(id, prefix))
        prefix = SPAN_EMPTY;
    else if (span_starts(id, SPAN("chatcmpl-")))
        id = span_drop(id, 9);
    else if (span_starts(id, SPAN("msg_")))
        id = span_drop(id, 4);
    if (id.len == 0)
        id = arena_printf(w->a, "%016llx",
                          (unsigned long long)oc_hash((uint64_t)w->o.created, w->o.model));
    jw_str_begin(out);
    jw_part(out, prefix);
    jw_text_part(out, (struct chat_text){id, upstream.escaped});
    jw_str_end(out);
}

static void make_opening(struct reply_writer *w, const struct chat_event *e)
{
    struct buf bytes;
    struct json_out out;
    buf_init(&bytes, w->to->max);
    json_out_buf(&out, &bytes);
    jw_object(&out);
    jw_key(&out, "id");
    put_id(w, &out, e->id);
    jw_key(&out, "object");
    jw_cstr(&out, w->flavour == OC_TEXT ? "text_completion"
                  : w->stream           ? "chat.completion.chunk"
                                        : "chat.completion");
    jw_key(&out, "created");
    jw_i64(&out, w->o.created);
    jw_key(&out, "model");
    if (w->o.model.len)
        jw_str_raw(&out, w->o.model);
    else
        jw_text(&out, e->model);
    w->opening =
        arena_printf(w->a, "%s%.*s,", w->stream ? "data: " : "", SPAN_FMT(buf_span(&bytes)));
    buf_deinit(&bytes);
}

/* ---- words ---- */

static const char *finish_word(const struct reply_writer *w)
{
    switch (w->stop) {
    case CHAT_STOP_MAX_TOKENS:
    case CHAT_STOP_CONTEXT:
        return "length";
    case CHAT_STOP_TOOL_USE:
        return w->legacy_call ? "function_call" : "tool_calls";
    case CHAT_STOP_REFUSAL: /* OpenAI's own refusals end with stop; the refusal field tells */
        return w->told_refusal ? "stop" : "content_filter";
    case CHAT_STOP_NONE:
    case CHAT_STOP_END_TURN:
    case CHAT_STOP_SEQUENCE:
    case CHAT_STOP_PAUSE_TURN:
    case CHAT_STOP_COMPACTION:
        break;
    }
    return "stop";
}

static int64_t told(int64_t n)
{
    return n > 0 ? n : 0;
}

static bool usage_known(const struct chat_usage *u)
{
    return u->input >= 0 || u->output >= 0;
}

/* OpenAI counts cached tokens into the prompt. */
static void put_usage(struct json_out *out, const struct chat_usage *u)
{
    int64_t prompt = told(u->input) + told(u->cache_read) + told(u->cache_write);
    jw_object(out);
    jw_key(out, "prompt_tokens");
    jw_i64(out, prompt);
    jw_key(out, "completion_tokens");
    jw_i64(out, told(u->output));
    jw_key(out, "total_tokens");
    jw_i64(out, prompt + told(u->output));
    jw_key(out, "prompt_tokens_details");
    jw_object(out);
    jw_key(out, "cached_tokens");
    jw_i64(out, told(u->cache_read));
    if (u->cache_write >= 0) {
        jw_key(out, "cache_write_tokens");
        jw_i64(out, u->cache_write);
    }
    jw_object_end(out);
    if (u->reasoning >= 0) {
        jw_key(out, "completion_tokens_details");
        jw_object(out);
        jw_key(out, "reasoning_tokens");
        jw_i64(out, u->reasoning);
        jw_object_end(out);
    }
    jw_object_end(out);
}

/* ---- chunks ---- */

static enum err begin_chunk(struct reply_writer *w)
{
    enum err e = add(w, w->opening);
    return e == ERR_OK ? add(w, SPAN("\"choices\":[{\"index\":0,")) : e;
}

static enum err end_chunk(struct reply_writer *w, const char *finish)
{
    enum err e = finish ? buf_printf(w->to, ",\"logprobs\":null,\"finish_reason\":\"%s\"}]", finish)
                        : add(w, SPAN(",\"logprobs\":null,\"finish_reason\":null}]"));
    if (e != ERR_OK)
        return e;
    bool key =
        w->o.usage_key == CHAT_UNSET ? w->o.request->include_usage : w->o.usage_key == CHAT_YES;
    return add(w, key ? SPAN(",\"usage\":null}\n\n") : SPAN("}\n\n"));
}

static enum err fixed_chunk(struct reply_writer *w, struct span member, const char *finish)
{
    enum err e = begin_chunk(w);
    if (e == ERR_OK)
        e = add(w, member);
    return e == ERR_OK ? end_chunk(w, finish) : e;
}

/* A chunk whose news is one string: `before` it and `after` it. */
static enum err text_chunk(struct reply_writer *w, struct span before, struct chat_text value,
                           struct span after)
{
    enum err e = begin_chunk(w);
    if (e == ERR_OK)
        e = add(w, before);
    if (e != ERR_OK)
        return e;
    struct json_out out;
    json_out_buf(&out, w->to);
    jw_text(&out, value);
    e = out.failed ? ERR_LIMIT : add(w, after);
    return e == ERR_OK ? end_chunk(w, NULL) : e;
}

static enum err input_chunk(struct reply_writer *w, struct chat_text piece)
{
    if (w->legacy_call)
        return text_chunk(w, SPAN("\"delta\":{\"function_call\":{\"arguments\":"), piece,
                          SPAN("}}"));
    char before[96];
    int n = snprintf(before, sizeof before,
                     "\"delta\":{\"tool_calls\":[{\"index\":%u,\"%s\":{\"%s\":", w->calls - 1,
                     w->custom ? "custom" : "function", w->custom ? "input" : "arguments");
    assert(n > 0 && (size_t)n < sizeof before);
    return text_chunk(w, (struct span){before, (size_t)n}, piece, SPAN("}}]}"));
}

static enum err call_chunk(struct reply_writer *w, const struct chat_event *e)
{
    const char *kind = e->custom ? "custom" : "function";
    enum err err = begin_chunk(w);
    if (err == ERR_OK)
        err = add(w, w->legacy_call ? SPAN("\"delta\":{\"function_call\":")
                                    : SPAN("\"delta\":{\"tool_calls\":["));
    if (err != ERR_OK)
        return err;
    struct json_out out;
    json_out_buf(&out, w->to);
    jw_object(&out);
    if (!w->legacy_call) {
        jw_key(&out, "index");
        jw_i64(&out, w->calls - 1);
        jw_key(&out, "id");
        jw_text(&out, e->id);
        jw_key(&out, "type");
        jw_cstr(&out, kind);
        jw_key(&out, kind);
        jw_object(&out);
    }
    jw_key(&out, "name");
    jw_text(&out, e->name);
    jw_key(&out, e->custom ? "input" : "arguments");
    jw_cstr(&out, "");
    jw_object_end(&out);
    if (!w->legacy_call)
        jw_object_end(&out);
    err = out.failed ? ERR_LIMIT : add(w, w->legacy_call ? SPAN("}") : SPAN("]}"));
    return err == ERR_OK ? end_chunk(w, NULL) : err;
}

/* ---- parts of a whole answer ---- */

static enum err gather(struct gathered *g, struct chat_text piece)
{
    if (!g->any)
        jw_str_begin(&g->out);
    g->any = true;
    jw_text_part(&g->out, piece);
    return g->out.failed ? ERR_LIMIT : ERR_OK;
}

static enum err gather_call(struct reply_writer *w, const struct chat_event *e)
{
    struct json_out *out = &w->tools.out;
    const char *kind = e->custom ? "custom" : "function";
    if (!w->tools.any && !w->legacy_call)
        jw_array(out);
    w->tools.any = true;
    jw_object(out);
    if (!w->legacy_call) {
        jw_key(out, "id");
        jw_text(out, e->id);
        jw_key(out, "type");
        jw_cstr(out, kind);
        jw_key(out, kind);
        jw_object(out);
    }
    jw_key(out, "name");
    jw_text(out, e->name);
    jw_key(out, e->custom ? "input" : "arguments");
    jw_str_begin(out);
    return out->failed ? ERR_LIMIT : ERR_OK;
}

static enum err gather_call_end(struct reply_writer *w)
{
    struct json_out *out = &w->tools.out;
    jw_str_end(out);
    jw_object_end(out);
    if (!w->legacy_call)
        jw_object_end(out);
    return out->failed ? ERR_LIMIT : ERR_OK;
}

static void put_gathered(struct json_out *out, const char *key, struct gathered *g)
{
    if (!g->any)
        return;
    jw_str_end(&g->out);
    jw_key(out, key);
    jw_raw(out, buf_span(&g->bytes));
}

static void put_message(struct reply_writer *w, struct json_out *out)
{
    jw_key(out, "message");
    jw_object(out);
    jw_key(out, "role");
    jw_cstr(out, "assistant");
    put_gathered(out, "reasoning_content", &w->reasoning);
    put_gathered(out, "content", &w->text);
    if (!w->text.any) {
        jw_key(out, "content");
        if (w->tools.any || w->refusal.any)
            jw_null(out);
        else
            jw_cstr(out, "");
    }
    put_gathered(out, "refusal", &w->refusal);
    if (!w->refusal.any) {
        jw_key(out, "refusal");
        jw_null(out);
    }
    if (w->tools.any) {
        if (!w->legacy_call)
            jw_array_end(&w->tools.out);
        jw_key(out, w->legacy_call ? "function_call" : "tool_calls");
        jw_raw(out, buf_span(&w->tools.bytes));
    }
    jw_object_end(out);
}

static enum err write_whole(struct reply_writer *w)
{
    enum err e = add(w, w->opening);
    if (e == ERR_OK)
        e = add(w, SPAN("\"choices\":["));
    if (e != ERR_OK)
        return e;
    struct json_out out;
    json_out_buf(&out, w->to);
    jw_object(&out);
    jw_key(&out, "index");
    jw_i64(&out, 0);
    if (w->flavour == OC_CHAT)
        put_message(w, &out);
    else if (w->text.any)
        put_gathered(&out, "text", &w->text);
    else
        jw_key(&out, "text"), jw_cstr(&out, "");
    jw_key(&out, "logprobs");
    jw_null(&out);
    jw_key(&out, "finish_reason");
    jw_cstr(&out, finish_word(w));
    jw_object_end(&out);
    e = out.failed ? ERR_LIMIT : add(w, SPAN("]"));
    if (e == ERR_OK && usage_known(&w->usage)) {
        e = add(w, SPAN(",\"usage\":"));
        json_out_buf(&out, w->to);
        put_usage(&out, &w->usage);
        e = out.failed ? ERR_LIMIT : e;
    }
    return e == ERR_OK ? add(w, SPAN("}")) : e;
}

/* ---- events ---- */

static enum err on_start(struct reply_writer *w, const struct chat_event *e)
{
    assert(!w->started);
    w->started = true;
    chat_usage_merge(&w->usage, &e->usage);
    make_opening(w, e);
    if (!w->stream || w->flavour == OC_TEXT)
        return ERR_OK;
    return fixed_chunk(
        w, SPAN("\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"), NULL);
}

static enum err on_block_start(struct reply_writer *w, const struct chat_event *e)
{
    w->type = e->block_type;
    if (w->type != CHAT_TOOL_USE || w->flavour == OC_TEXT)
        return ERR_OK;
    w->skip_call = w->legacy_call && w->calls > 0; /* function_call holds one */
    if (w->skip_call)
        return ERR_OK;
    w->calls++;
    w->custom = e->custom;
    w->call_has_input = false;
    return w->stream ? call_chunk(w, e) : gather_call(w, e);
}

static enum err on_input(struct reply_writer *w, struct chat_text piece)
{
    if (w->skip_call || w->flavour == OC_TEXT)
        return ERR_OK;
    w->call_has_input = true;
    if (w->stream)
        return input_chunk(w, piece);
    jw_text_part(&w->tools.out, piece);
    return w->tools.out.failed ? ERR_LIMIT : ERR_OK;
}

static enum err on_delta(struct reply_writer *w, struct chat_text piece)
{
    if (chat_text_empty(piece))
        return ERR_OK;
    switch (w->type) {
    case CHAT_TEXT:
        if (!w->stream)
            return gather(&w->text, piece);
        return w->flavour == OC_TEXT
                   ? text_chunk(w, SPAN("\"text\":"), piece, SPAN_EMPTY)
                   : text_chunk(w, SPAN("\"delta\":{\"content\":"), piece, SPAN("}"));
    case CHAT_THINKING:
        if (w->flavour == OC_TEXT)
            return ERR_OK;
        return w->stream
                   ? text_chunk(w, SPAN("\"delta\":{\"reasoning_content\":"), piece, SPAN("}"))
                   : gather(&w->reasoning, piece);
    case CHAT_REFUSAL:
        w->told_refusal = true;
        if (w->flavour == OC_TEXT) /* it has no refusal field; the words are the answer */
            return w->stream ? text_chunk(w, SPAN("\"text\":"), piece, SPAN_EMPTY)
                             : gather(&w->text, piece);
        return w->stream ? text_chunk(w, SPAN("\"delta\":{\"refusal\":"), piece, SPAN("}"))
                         : gather(&w->refusal, piece);
    case CHAT_TOOL_USE:
        return on_input(w, piece);
    default:
        return ERR_OK; /* known to its own dialect only */
    }
}

/* A call without arguments is a call with an empty object. */
static enum err on_block_stop(struct reply_writer *w)
{
    if (w->type != CHAT_TOOL_USE || w->skip_call || w->flavour == OC_TEXT)
        return ERR_OK;
    enum err e = ERR_OK;
    if (!w->call_has_input && !w->custom)
        e = on_input(w, text_from_plain(SPAN("{}")));
    return e == ERR_OK && !w->stream ? gather_call_end(w) : e;
}

static enum err on_finish(struct reply_writer *w, const struct chat_event *e)
{
    assert(!w->told_finish);
    w->told_finish = true;
    w->stop = e->stop;
    if (!w->stream)
        return ERR_OK;
    return fixed_chunk(w, w->flavour == OC_TEXT ? SPAN("\"text\":\"\"") : SPAN("\"delta\":{}"),
                       finish_word(w));
}

static enum err on_end(struct reply_writer *w)
{
    assert(w->told_finish);
    if (!w->stream)
        return write_whole(w);
    enum err e = ERR_OK;
    if (w->o.request->include_usage && usage_known(&w->usage)) {
        struct json_out out;
        e = add(w, w->opening);
        if (e == ERR_OK)
            e = add(w, SPAN("\"choices\":[],\"usage\":"));
        if (e != ERR_OK)
            return e;
        json_out_buf(&out, w->to);
        put_usage(&out, &w->usage);
        e = out.failed ? ERR_LIMIT : add(w, SPAN("}\n\n"));
    }
    return e == ERR_OK ? add(w, SPAN("data: [DONE]\n\n")) : e;
}

enum err oc_write_event(struct reply_writer *w, const struct chat_event *e)
{
    assert(w->started || e->type == CHAT_EV_START || e->type == CHAT_EV_ERROR ||
           e->type == CHAT_EV_PING);
    switch (e->type) {
    case CHAT_EV_START:
        return on_start(w, e);
    case CHAT_EV_BLOCK_START:
        return on_block_start(w, e);
    case CHAT_EV_DELTA:
        return on_delta(w, e->text);
    case CHAT_EV_BLOCK_STOP:
        return on_block_stop(w);
    case CHAT_EV_USAGE:
        chat_usage_merge(&w->usage, &e->usage);
        return ERR_OK;
    case CHAT_EV_FINISH:
        return on_finish(w, e);
    case CHAT_EV_END:
        return on_end(w);
    case CHAT_EV_ERROR:
        return oc_write_error(w->to, w, e->error);
    case CHAT_EV_PING:
        return oc_write_ping(w);
    case CHAT_EV_SIGNATURE:
    case CHAT_EV_CITATION:
    case CHAT_EV_ITEM_STOP:
        break;
    }
    return ERR_OK;
}

/* A comment: strict clients take every data line for a chunk. */
enum err oc_write_ping(struct reply_writer *w)
{
    return w->stream ? add(w, SPAN(": keep-alive\n\n")) : ERR_OK;
}

/* ---- errors ---- */

/* OpenAI's words for Anthropic's; a code the error has of its own goes first. */
static const struct error_words {
    const char *anthropic, *type, *code;
} error_words[] = {
    {"invalid_request_error", "invalid_request_error", NULL},
    {"request_too_large", "invalid_request_error", "request_too_large"},
    {"authentication_error", "invalid_request_error", "invalid_api_key"},
    {"permission_error", "invalid_request_error", "permission_denied"},
    {"not_found_error", "invalid_request_error", "model_not_found"},
    {"rate_limit_error", "rate_limit_error", "rate_limit_exceeded"},
    {"billing_error", "insufficient_quota", "insufficient_quota"},
    {"overloaded_error", "server_error", "overloaded"},
    {"timeout_error", "server_error", "timeout"},
    {"api_error", "server_error", NULL},
};

void oc_put_error(struct json_out *out, const struct chat_error *e)
{
    struct error_words words = {.type = NULL, .code = NULL};
    for (size_t i = 0; i < ARRAY_LEN(error_words); i++)
        if (span_is(e->type, error_words[i].anthropic))
            words = error_words[i];
    struct span code = e->code.len ? e->code : span_from(words.code);
    jw_object(out);
    jw_key(out, "message");
    jw_str(out, e->message);
    jw_key(out, "type");
    jw_str(out, words.type ? span_from(words.type) : e->type);
    jw_key(out, "param");
    if (e->param.len)
        jw_str(out, e->param);
    else
        jw_null(out);
    jw_key(out, "code");
    if (code.len)
        jw_str(out, code);
    else
        jw_null(out);
    jw_object_end(out);
}

/* In a stream the error is a data line, and no [DONE] follows: that would look like success. */
enum err oc_write_error(struct buf *to, struct reply_writer *w, const struct chat_error *e)
{
    bool stream = w && w->stream;
    enum err err = stream ? buf_add(to, SPAN("data: ")) : ERR_OK;
    if (err != ERR_OK)
        return err;
    struct json_out out;
    json_out_buf(&out, to);
    jw_object(&out);
    jw_key(&out, "error");
    oc_put_error(&out, e);
    jw_object_end(&out);
    if (out.failed)
        return ERR_LIMIT;
    return stream ? buf_add(to, SPAN("\n\n")) : ERR_OK;
}
