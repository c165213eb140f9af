/* Upstream: a Messages body out of any canonical request (protocols.md 5.2).
 *
 * From its own dialect the blocks, tools and unknown fields travel as raw slices; a request that
 * needs no change at all is passed through by the caller and never comes here. From another dialect
 * the body is built by the rules of anthropic_params.c and anthropic_turns.c. Nothing is dropped
 * without a name in out->lossy, and what has no meaning for Claude is refused by name. */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

enum err anthropic_write_request(struct arena *a, const struct chat_request *r,
                                 const struct capability *cap, struct span model, bool stream,
                                 struct dialect_body *out, struct chat_problem *out_problem)
{
    if (r->choices > 1)
        return problem(a, out_problem, ERR_UNSUPPORTED, SPAN("n"),
                       "Claude gives one answer per request; ask %lld times instead of n.",
                       (long long)r->choices);
    struct a_body b = {
        .a = a, .r = r, .cap = cap, .out = out, .problem = out_problem, .own = anthropic_origin(r)};
    json_out_pieces(&b.w, &out->body);
    a_decide(&b);

    jw_object(&b.w);
    if (cap->body_version) {
        jw_key(&b.w, "anthropic_version");
        jw_cstr(&b.w, cap->body_version);
    } else {
        jw_key(&b.w, "model");
        jw_str_raw(&b.w, model);
    }
    jw_key(&b.w, "max_tokens");
    jw_i64(&b.w, b.max_tokens);
    if (stream && !cap->stream_by_path) {
        jw_key(&b.w, "stream");
        jw_bool(&b.w, true);
    }
    enum err e = a_write_turns(&b);
    if (e != ERR_OK)
        return e;
    a_write_params(&b);
    jw_object_end(&b.w);
    return b.w.failed || arena_over(a) ? ERR_LIMIT : ERR_OK;
}
