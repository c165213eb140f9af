/* The same answer, heard further: a Responses stream whose request asked for background work goes
 * on at the provider when its connection breaks, and is told again from any event on. Nothing is
 * lost, nothing is asked for twice and nothing is generated anew, so it comes before going on
 * elsewhere.
 *
 * One GET per answer, to the target that writes it, as a call of the same attempt: its reader, the
 * ledger and what is held stay as they were, since the next event is exactly the one that was
 * missed. Its number says whether that is so. Where the provider refuses, or breaks off once more,
 * the first break is judged as if nobody had asked.
 *
 * source: https://platform.openai.com/docs/guides/background, "Streaming a background response"; a
 * stream can be heard again for about five minutes after its response was created. */
#include "base/span.h"
#include "relay/exchange_internal.h"

#define HEARD_AGAIN (5 * 60 * USEC_PER_SEC)

/* What the target itself broke off; its own word that it failed is its last. */
static bool is_a_break(const struct failure *f, const struct attempt *at)
{
    return at->streaming && !at->told_error &&
           (f->cause == CAUSE_BROKEN_STREAM || f->cause == CAUSE_STALLED);
}

static bool is_background(const struct exchange *x)
{
    struct json root = json_root(&x->doc);
    return x->door->id == DIALECT_OPENAI_RESPONSES && x->stream &&
           json_true(json_get(root, "background"));
}

static bool possible(const struct exchange *x, const struct failure *f)
{
    const struct attempt *at = &x->attempt;
    usec now = loop_now(x->relay->loop);
    return !at->resume.asked && at->passthrough && is_background(x) && is_a_break(f, at) &&
           x->ledger.started && x->ledger.sequence > 0 && x->seen_id.len > 0 && !x->rival.on &&
           x->attempt_count < EXCHANGE_ATTEMPTS_MAX && now < x->deadline &&
           now - at->started < HEARD_AGAIN;
}

/* "/v1/responses?api-version=1" -> "/v1/responses/resp_1?stream=true&starting_after=41&api-..." */
static struct span path_of(struct exchange *x)
{
    struct span path = x->attempt.path, query = SPAN_EMPTY;
    ssize_t mark = span_find(path, '?');
    if (mark >= 0) {
        query = span_drop(path, (size_t)mark + 1);
        path = span_take(path, (size_t)mark);
    }
    return arena_printf(x->arena, "%.*s/%.*s?stream=true&starting_after=%llu%s%.*s", SPAN_FMT(path),
                        SPAN_FMT(x->seen_id), (unsigned long long)x->ledger.sequence - 1,
                        query.len ? "&" : "", SPAN_FMT(query));
}

/* An id is put into a path as it is, or not at all. */
static bool is_plain(struct span id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.at[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '_' || c == '-';
        if (!plain)
            return false;
    }
    return id.len < 256;
}

bool resume_begin(struct exchange *x, const struct failure *f)
{
    struct attempt *at = &x->attempt;
    if (!possible(x, f) || !is_plain(x->seen_id))
        return false;
    usec now = loop_now(x->relay->loop);
    call_cancel(at->call);
    if (at->injection)
        inject_drop(at->injection);
    at->injection = NULL;
    event_stream_deinit(&at->events);
    event_stream_init(&at->events, at->dialect->lines, ATTEMPT_EVENT_MAX);
    buf_reset(&at->gathered);
    at->resume = (struct resume){.asked = true, .waits = true, .cut = *f};
    at->line = attempt_line(x, at->link, now);
    exchange_log(x)->resumed = true;
    at->status = 0;
    at->streaming = at->paused = false;
    at->pace = (struct pace){0};
    at->deadline = now + x->relay->deadlines.stall;
    struct call_request req = {.method = SPAN("GET"),
                               .target = path_of(x),
                               .fields = at->fields,
                               .connect_time = x->relay->deadlines.connect};
    at->call = call_start(x->relay->pool, at->link->target->origin, &req, &attempt_events, x);
    exchange_rearm(x);
    return true;
}

bool resume_fits(struct exchange *x, struct span data)
{
    struct attempt *at = &x->attempt;
    if (!at->resume.waits)
        return true;
    int64_t number;
    at->resume.waits = !attempt_number(data, SPAN("\"sequence_number\":"), &number) ||
                       (uint64_t)number != x->ledger.sequence;
    return !at->resume.waits;
}
