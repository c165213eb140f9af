/* What an attempt sends: the request in its target's words, or the client's own bytes.
 *
 * Where the dialects match and nothing speaks against it the body passes, but for the model's name;
 * else the canonical request is made to fit the target and written in its dialect. Headers pass by
 * an allow-list, and only to a target of the client's own dialect. Knows nothing of answers. */
#include "dialect/fit.h"
#include "relay/capable.h"
#include "relay/exchange_internal.h"

/* Of the client's headers only these pass, and only where its dialect is the target's: no
 * credentials, nothing about hops. Values are clean: our own reader refused CR, LF and NUL. */
bool attempt_forwards_field(struct span name, bool rewritten)
{
    static const struct span prefixes[] = {SPAN_INIT("anthropic-"),     SPAN_INIT("openai-beta"),
                                           SPAN_INIT("x-claude-code-"), SPAN_INIT("x-stainless-"),
                                           SPAN_INIT("x-app"),          SPAN_INIT("user-agent"),
                                           SPAN_INIT("traceparent")};
    if (span_iis(name, "idempotency-key")) /* another body would be another request */
        return !rewritten;
    return span_istarts_any(name, prefixes, ARRAY_LEN(prefixes));
}

/* A cloud gets what says who asks; Vertex takes beta flags as a field, Bedrock in the body. */
static bool forwards_to_cloud(const struct cloud *c, struct span name)
{
    return span_iis(name, "user-agent") || span_iis(name, "traceparent") ||
           (c->kind == TARGET_VERTEX && span_iis(name, "anthropic-beta"));
}

static enum err write_client_fields(struct exchange *x, const struct cloud *cloud, struct buf *to)
{
    const struct http_head *head = request_head(x->request);
    enum err e = ERR_OK;
    /* also of a request written anew: its beta fields stay */
    bool own = x->attempt.dialect == x->door;
    for (size_t i = 0; e == ERR_OK && own && i < head->field_count; i++) {
        struct span name = head->fields[i].name;
        if (cloud ? forwards_to_cloud(cloud, name)
                  : attempt_forwards_field(name, x->attempt.rewritten))
            e = h1_write_field(to, name, head->fields[i].value);
    }
    bool versioned = own && http_field_get(head, "anthropic-version").at;
    bool claude = x->attempt.dialect->id == DIALECT_ANTHROPIC;
    if (e == ERR_OK && claude && !versioned && !cloud)
        e = buf_add_cstr(to, "anthropic-version: 2023-06-01\r\n");
    return e;
}

bool attempt_asks_stream(const struct exchange *x)
{
    return x->stream && !x->attempt.whole;
}

static const char *accepts(const struct exchange *x, const struct cloud *cloud)
{
    if (cloud)
        return cloud_accepts(cloud, attempt_asks_stream(x));
    if (!attempt_asks_stream(x))
        return "application/json";
    return x->attempt.dialect->lines ? "application/x-ndjson" : "text/event-stream";
}

enum err attempt_write_fields(struct exchange *x)
{
    const struct relay_target *target = x->attempt.link->target;
    struct buf *to = &x->relay->scratch;
    buf_reset(to);
    enum err e = buf_printf(
        to, "content-type: application/json\r\naccept-encoding: identity\r\naccept: %s\r\n",
        accepts(x, target->cloud));
    if (e == ERR_OK)
        e = write_client_fields(x, target->cloud, to);
    if (e == ERR_OK)
        e = buf_add(to, target->credentials);
    if (e == ERR_OK && x->attempt.access.len)
        e = buf_printf(to, "authorization: Bearer %.*s\r\n", SPAN_FMT(x->attempt.access));
    if (e == ERR_OK && target->cloud)
        e = cloud_sign(target->cloud, x->attempt.path, &x->attempt.body, loop_wall(x->relay->loop),
                       to);
    if (e == ERR_OK)
        x->attempt.fields = arena_copy(x->arena, buf_span(to));
    return e;
}

enum err exchange_read(struct exchange *x, struct chat_problem *problem)
{
    if (x->canonical_read)
        return ERR_OK;
    x->canonical = (struct chat_request){.max_tokens = -1, .choices = 1};
    enum err e = x->door->read_request(x->arena, &x->doc, &x->canonical, problem);
    x->canonical_read = e == ERR_OK;
    return e;
}

static void pass_to_cloud(struct exchange *x, const struct relay_link *link)
{
    struct span model = json_unescape(splice_model(x, link), x->arena), betas = SPAN_EMPTY;
    struct capability cap = capable_of(link->target, model);
    bool left_out = false;
    if (link->target->kind == TARGET_BEDROCK)
        betas = cloud_betas(http_field_get(request_head(x->request), "anthropic-beta"), x->arena,
                            &left_out);
    if (left_out)
        lossy_add(&x->lossy, LOSSY_OTHER);
    dialect_pass_to_cloud(&x->doc, &cap, betas, &x->attempt.body);
}

static void pass_body(struct exchange *x, const struct relay_link *link)
{
    struct span model = link->model;
    if (x->door->pass_body && x->door->pass_body(&x->doc, model, &x->attempt.body))
        return;
    if (link->target->cloud && cloud_is_claudes(link->target->cloud))
        pass_to_cloud(x, link);
    else if (model.len == 0 || span_eq(model, x->model))
        pieces_add(&x->attempt.body, request_body(x->request));
    else
        dialect_replace_model(&x->doc, model, &x->attempt.body);
}

/* What is to be written: the request, or what of it fits this target. Where the dialects match the
 * target's own word is better than our estimate, and beta headers may stretch its context. */
static enum err fit_target(struct exchange *x, const struct capability *cap, struct fit *out,
                           struct chat_problem *problem)
{
    const struct chat_request *r = splice_request(x);
    *out = (struct fit){.request = r};
    if (x->attempt.dialect == x->door)
        return ERR_OK;
    size_t bytes = request_body(x->request).len + x->ledger.text.len;
    return fit_request(x->arena, r, cap, bytes, out, problem);
}

static enum err translate_body(struct exchange *x, const struct relay_link *link,
                               struct chat_problem *problem)
{
    enum err e = exchange_read(x, problem);
    if (e != ERR_OK)
        return e;
    struct span model = splice_model(x, link);
    struct capability cap = capable_of(link->target, json_unescape(model, x->arena));
    if (splice_known_to_refuse(x, x->attempt.index))
        cap.prefill = false;
    int64_t context = room_context(x, x->attempt.index);
    if (context > 0)
        cap.context = context;
    struct fit fit;
    e = fit_target(x, &cap, &fit, problem);
    if (e != ERR_OK)
        return e;
    struct dialect_body out = {.lossy = fit.lossy};
    pieces_init(&out.body, x->arena);
    const struct chat_request *clean = clean_request(x, link->target, fit.request);
    if (clean != fit.request)
        lossy_add(&out.lossy, LOSSY_THINKING);
    x->attempt.whole =
        x->stream && (cap.no_stream || (cap.whole_tools && dialect_has_tools(clean)));
    e = x->attempt.dialect->write_request(x->arena, clean, &cap, model, attempt_asks_stream(x),
                                          &out, problem);
    x->attempt.body = out.body;
    x->lossy = out.lossy;
    if (x->splice.active)
        splice_prepare(x, lossy_has(&out.lossy, LOSSY_PREFILL));
    return e;
}

static enum err write_path(struct exchange *x, struct chat_problem *problem)
{
    const struct relay_link *link = x->attempt.link;
    const struct relay_target *target = link->target;
    if (target->cloud) {
        struct span model = json_unescape(splice_model(x, link), x->arena);
        problem->text = SPAN("This cloud target takes Claude models only: name one in the chain.");
        return cloud_path(target->cloud, model, attempt_is_converse(&x->attempt),
                          attempt_asks_stream(x), x->arena, &x->attempt.path);
    }
    struct span query = request_query(x->request);
    if (x->attempt.dialect == x->door && query.len > 0 && span_find(x->attempt.path, '?') < 0)
        x->attempt.path =
            arena_printf(x->arena, "%.*s?%.*s", SPAN_FMT(x->attempt.path), SPAN_FMT(query));
    return ERR_OK;
}

static bool lacks_something(struct exchange *x, const struct relay_link *link)
{
    return link->target->probed_count > 0 &&
           capable_narrows(link->target, json_unescape(splice_model(x, link), x->arena),
                           x->attempt.dialect->id == DIALECT_ANTHROPIC);
}

/* Tools that are refused or never called: another target does better, while there is one. */
static enum err check_tools(struct exchange *x, struct chat_problem *problem)
{
    const struct relay_link *link = x->attempt.link;
    usec now = loop_now(x->relay->loop);
    if (link->target->probed_count == 0 || !speech_capable(x, link).no_tools ||
        !chain_has_other(&x->walk, x->attempt.index, now))
        return ERR_OK;
    enum err e = exchange_read(x, problem);
    if (e != ERR_OK || !x->canonical.tools || x->canonical.tool_choice == CHAT_CHOICE_NONE)
        return e;
    problem->text = SPAN("A probe found that this model calls no tools.");
    return ERR_UNSUPPORTED;
}

enum err attempt_write(struct exchange *x, struct chat_problem *problem)
{
    const struct relay_link *link = x->attempt.link;
    enum err e = check_tools(x, problem);
    if (e != ERR_OK)
        return e;
    x->attempt.rewritten =
        !x->attempt.passthrough || clean_needed(x, link->target) || lacks_something(x, link);
    if (x->attempt.rewritten)
        e = translate_body(x, link, problem);
    else
        pass_body(x, link);
    if (e == ERR_OK)
        e = write_path(x, problem);
    if (e == ERR_OK && !attempt_needs_token(link->target)) {
        problem->text = ATTEMPT_FIELDS_TOO_LARGE;
        e = attempt_write_fields(x);
    }
    return e;
}
