#pragma once
/* A streamed answer's events, in either of two framings: server-sent events, or a JSON value a line
 * (ndjson.h), which is an event without a name. Pure; a choice, and nothing else. */
#include "http/ndjson.h"
#include "http/sse.h"

struct event_stream { /* embed it */
    bool lines;
    struct sse sse;
    struct ndjson ndjson;
};

static inline void event_stream_init(struct event_stream *s, bool lines, size_t max_bytes)
{
    s->lines = lines;
    sse_init(&s->sse, max_bytes, true);
    ndjson_init(&s->ndjson, max_bytes);
}

static inline void event_stream_deinit(struct event_stream *s)
{
    sse_deinit(&s->sse);
    ndjson_deinit(&s->ndjson);
}

/* As sse_next, comments reported. A line's raw is the line. */
MUST_USE static inline enum err event_stream_next(struct event_stream *s, struct span in,
                                                  size_t *out_used, struct sse_event *out)
{
    if (!s->lines)
        return sse_next(&s->sse, in, out_used, out);
    *out = (struct sse_event){.comment_only = false};
    enum err e = ndjson_next(&s->ndjson, in, out_used, &out->data);
    out->raw = out->data;
    return e;
}
