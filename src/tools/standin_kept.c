/* Background streams of Responses, kept so that they can be told again from any event on, as OpenAI
 * does for whoever lost the connection (protocols.md 2.9).
 *
 * An answer is kept whole before its first event goes out: its provider writes on, whatever becomes
 * of the connection. Knows nothing of what the events say but their number. */
#include "base/span.h"
#include "tools/standin_internal.h"

#include <stdio.h>

#define STREAM_MAX ((size_t)16 << 20)
#define EVENT_END SPAN("\n\n")

void kept_add(const struct answer *a)
{
    struct standin *s = a->standin;
    struct answer copy = *a; /* written to its end here, and once more as it is sent */
    if (a->speech != SPEAK_RESPONSES || !a->stream ||
        !json_true(json_get(json_root(&a->doc), "background")))
        return;
    struct kept *k = &s->kept[s->kept_next++ % STANDIN_KEPT];
    buf_deinit(&k->stream);
    buf_init(&k->stream, STREAM_MAX);
    k->serial = a->serial;
    while (write_next_event(&copy, &k->stream))
        continue;
}

void kept_free(struct standin *s)
{
    for (size_t i = 0; i < STANDIN_KEPT; i++)
        buf_deinit(&s->kept[i].stream);
}

static struct kept *find(struct standin *s, struct span id)
{
    for (size_t i = 0; i < STANDIN_KEPT; i++) {
        char own[64];
        (void)snprintf(own, sizeof own, "resp_%s_%06llu", s->name,
                       (unsigned long long)s->kept[i].serial); /* as key_id writes it */
        if (s->kept[i].serial && span_is(id, own))
            return &s->kept[i];
    }
    return NULL;
}

/* The first is number 0. */
static struct span behind(struct span stream, uint64_t count)
{
    for (uint64_t i = 0; i < count && stream.len > 0; i++) {
        ssize_t end = span_search(stream, EVENT_END);
        stream = end < 0 ? SPAN_EMPTY : span_drop(stream, (size_t)end + EVENT_END.len);
    }
    return stream;
}

bool kept_tell(struct standin *s, struct request *r, const char **out_why)
{
    struct span query = request_query(r), path = request_path(r), part;
    bool stream = false;
    uint64_t after = 0, skip = 0;
    while (span_next(&query, '&', &part)) {
        stream = stream || span_is(part, "stream=true");
        if (!span_starts(part, SPAN("starting_after=")))
            continue;
        if (span_u64(span_drop(part, 15), &after) != ERR_OK || after > STREAM_MAX) {
            *out_why = "starting_after: not a number of an event";
            return false;
        }
        skip = after + 1;
    }
    ssize_t at = span_search(path, SPAN("/responses/"));
    struct kept *k = at < 0 ? NULL : find(s, span_drop(path, (size_t)at + 11));
    if (!k || !stream) {
        *out_why = k ? "Only stream=true is known here." : "Response not found.";
        return false;
    }
    answer_again(s, r, arena_copy(request_arena(r), behind(buf_span(&k->stream), skip)), skip);
    return true;
}
