/* The response object: what a whole answer is, and what the first and last events of a stream
 * carry.
 *
 * It repeats the request, as OpenAI's does, where the request came in this dialect. Nothing is
 * stored here, so `store` is always false. */
#include "dialect/openai_responses_internal.h"

#include "base/span.h"

static struct span echoed(const struct chat_request *r, const char *name)
{
    for (const struct chat_extra *x = r->extras; x; x = x->next)
        if (span_is(x->name, name))
            return x->value;
    return SPAN_EMPTY;
}

static void put_raw_or(struct json_out *w, const char *key, struct span value, const char *instead)
{
    jw_key(w, key);
    jw_raw(w, value.len ? value : span_from(instead));
}

static void put_tools(struct json_out *w, const struct chat_request *r)
{
    bool own = r->origin && strcmp(r->origin, dialect_openai_responses.name) == 0;
    jw_key(w, "tools");
    jw_array(w);
    for (const struct chat_tool *t = own ? r->tools : NULL; t; t = t->next)
        jw_raw(w, t->raw);
    jw_array_end(w);
}

/* The request's words, or OpenAI's defaults. */
static void put_echo(struct json_out *w, const struct chat_request *r)
{
    put_raw_or(w, "instructions", echoed(r, "instructions"), "null");
    jw_key(w, "max_output_tokens");
    if (r->max_tokens >= 0)
        jw_i64(w, r->max_tokens);
    else
        jw_null(w);
    jw_key(w, "parallel_tool_calls");
    jw_bool(w, r->parallel_tools != CHAT_NO);
    jw_key(w, "previous_response_id");
    jw_null(w);
    put_raw_or(w, "reasoning", echoed(r, "reasoning"), "{\"effort\":null,\"summary\":null}");
    jw_key(w, "store");
    jw_bool(w, false);
    put_raw_or(w, "temperature", r->temperature, "1.0");
    put_raw_or(w, "text", echoed(r, "text"), "{\"format\":{\"type\":\"text\"}}");
    put_raw_or(w, "tool_choice", echoed(r, "tool_choice"), "\"auto\"");
    put_tools(w, r);
    put_raw_or(w, "top_p", r->top_p, "1.0");
    put_raw_or(w, "truncation", echoed(r, "truncation"), "\"disabled\"");
    put_raw_or(w, "metadata", echoed(r, "metadata"), "{}");
}

static int64_t told(int64_t n)
{
    return n > 0 ? n : 0;
}

/* Cached tokens count as input; clients (Codex) want every number or no usage at all. */
static void put_usage(struct json_out *w, const struct chat_usage *u)
{
    int64_t input = told(u->input) + told(u->cache_read) + told(u->cache_write);
    jw_object(w);
    jw_key(w, "input_tokens");
    jw_i64(w, input);
    jw_key(w, "input_tokens_details");
    jw_object(w);
    jw_key(w, "cached_tokens");
    jw_i64(w, told(u->cache_read));
    if (u->cache_write >= 0) {
        jw_key(w, "cache_write_tokens");
        jw_i64(w, u->cache_write);
    }
    jw_object_end(w);
    jw_key(w, "output_tokens");
    jw_i64(w, told(u->output));
    jw_key(w, "output_tokens_details");
    jw_object(w);
    jw_key(w, "reasoning_tokens");
    jw_i64(w, told(u->reasoning));
    jw_object_end(w);
    jw_key(w, "total_tokens");
    jw_i64(w, input + told(u->output));
    jw_object_end(w);
}

/* The few words this object has for what went wrong; a code the error has of its own goes first. */
struct span or_error_code(const struct chat_error *e)
{
    if (e->code.len)
        return e->code;
    if (span_is(e->type, "rate_limit_error"))
        return SPAN("rate_limit_exceeded");
    return span_is(e->type, "invalid_request_error") ? SPAN("invalid_prompt")
                                                     : SPAN("server_error");
}

static void put_outcome(struct json_out *w, const struct or_object *o)
{
    jw_key(w, "status");
    jw_cstr(w, o->status);
    jw_key(w, "error");
    if (o->error) {
        jw_object(w);
        jw_key(w, "code");
        jw_str(w, or_error_code(o->error));
        jw_key(w, "message");
        jw_str(w, o->error->message);
        jw_object_end(w);
    } else {
        jw_null(w);
    }
    jw_key(w, "incomplete_details");
    if (o->incomplete) {
        jw_object(w);
        jw_key(w, "reason");
        jw_cstr(w, o->incomplete);
        jw_object_end(w);
    } else {
        jw_null(w);
    }
}

void or_put_object(struct json_out *w, const struct or_object *o)
{
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, o->id);
    jw_key(w, "object");
    jw_cstr(w, "response");
    jw_key(w, "created_at");
    jw_i64(w, o->created);
    put_outcome(w, o);
    jw_key(w, "background");
    jw_bool(w, false);
    jw_key(w, "model");
    jw_text(w, o->model);
    put_echo(w, o->request);
    jw_key(w, "output");
    jw_array(w);
    if (o->output.len)
        jw_raw(w, o->output);
    jw_array_end(w);
    jw_key(w, "usage");
    if (o->told_usage && (o->usage.input >= 0 || o->usage.output >= 0))
        put_usage(w, &o->usage);
    else
        jw_null(w);
    jw_object_end(w);
}
