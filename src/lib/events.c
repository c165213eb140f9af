/* Events wait in a queue of their reply until the caller takes them. Each owns its strings, so that
 * nothing it says depends on buffers that go on moving. */
#include "lib/lib_internal.h"

#include "base/mem.h"
#include "json/json_write.h"

struct told *told_new(hs_event_type type)
{
    struct told *t = mem_new(struct told);
    t->event = (hs_event){.type = type,
                          .text = "",
                          .tool_id = "",
                          .tool_name = "",
                          .tool_input = "",
                          .served_by = "",
                          .model = "",
                          .lossy = "",
                          .from = "",
                          .cause = "",
                          .stop_reason = "",
                          .content = "",
                          .usage = {-1, -1, -1, -1},
                          .error_type = "",
                          .hint = ""};
    return t;
}

void told_free(struct told *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->own_count; i++)
        mem_free(t->own[i]);
    mem_free(t);
}

const char *told_copy(struct told *t, struct span s, size_t *out_len)
{
    char *at = mem_alloc(s.len + 1);
    assert(t->own_count < TOLD_STRINGS);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    at[s.len] = 0;
    t->own[t->own_count++] = at;
    t->bytes += s.len + 1;
    if (out_len)
        *out_len = s.len;
    return at;
}

void reply_queue(struct hs_reply *r, struct told *t)
{
    assert(!r->over);
    if (r->last)
        r->last->next = t;
    else
        r->first = t;
    r->last = t;
    r->pending += t->bytes + sizeof *t;
    if (r->pending > REPLY_HIGH_WATER)
        r->was_high = true;
    if (t->event.type == HS_DONE || t->event.type == HS_ERROR)
        client_over(r);
    if (r->client->awaited == r)
        loop_stop(r->client->loop);
}

void reply_refuse(struct hs_reply *r, int status, const char *text, const char *hint)
{
    struct told *t = told_new(HS_ERROR);
    t->event.text = told_copy(t, span_from(text), &t->event.text_len);
    t->event.hint = told_copy(t, span_from(hint), NULL);
    t->event.error_type = dialect_error_type(status);
    t->event.status = status;
    reply_queue(r, t);
}

const char *hs_event_name(hs_event_type type)
{
    static const char *const names[] = {
        [HS_WAITING] = "waiting",   [HS_START] = "start",         [HS_TEXT] = "text",
        [HS_THINKING] = "thinking", [HS_TOOL_CALL] = "tool_call", [HS_SWITCHED] = "switched",
        [HS_USAGE] = "usage",       [HS_DONE] = "done",           [HS_ERROR] = "error",
    };
    return (size_t)type < ARRAY_LEN(names) && names[type] ? names[type] : "unknown";
}

const char *hs_version(void)
{
    return HOTSPARE_VERSION;
}

size_t hs_quote(const char *text, size_t len, char *to, size_t size)
{
    struct buf quoted;
    buf_init(&quoted, SIZE_MAX);
    struct json_out out;
    json_out_buf(&out, &quoted);
    jw_str(&out, (struct span){text, len});
    size_t whole = quoted.len, fits = size > 0 && whole >= size ? size - 1 : whole;
    if (size > 0) {
        memcpy(to, quoted.at, fits);
        to[fits] = 0;
    }
    buf_deinit(&quoted);
    return whole;
}
