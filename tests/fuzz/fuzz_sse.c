/* The SSE reader: the same events however the bytes are cut, raw bytes that join to the stream, and
 * a writer whose events are read back as they were. The first byte chooses limits and comments. */
#include "../unit/http/feed.h"

static void check_cuts(struct span in, size_t max_bytes, bool comments, uint64_t seed)
{
    const struct cuts ways[] = {{.how = CUT_NOWHERE},
                                {.how = CUT_BYTES},
                                {.how = CUT_RANDOM, .seed = seed},
                                {.how = CUT_ONCE, .at = in.len / 2}};
    struct buf events[ARRAY_LEN(ways)], raws;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        buf_init(&events[i], 1 << 24);
        buf_init(&raws, 1 << 24);
        feed_sse(max_bytes, comments, in, ways[i], &events[i], &raws);
        assert(span_eq(buf_span(&events[i]), buf_span(&events[0])));
        if (span_ends(buf_span(&events[i]), SPAN("<LIMIT>")))
            assert(span_starts(in, buf_span(&raws)));
        else
            assert(span_eq(in, buf_span(&raws)));
        buf_deinit(&raws);
    }
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        buf_deinit(&events[i]);
}

static void check_writer(struct span data)
{
    struct buf out;
    struct sse s;
    struct sse_event e;
    size_t used;
    buf_init(&out, 1 << 24);
    sse_init(&s, 1 << 20, true);
    assert(sse_write(&out, "name", data) == ERR_OK);
    assert(sse_next(&s, buf_span(&out), &used, &e) == ERR_OK);
    assert(used == out.len && !e.comment_only && span_is(e.name, "name"));
    assert(e.data.len <= data.len);
    sse_deinit(&s);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 16)
        return 0;
    struct span in = {(const char *)data + 1, size - 1};
    check_cuts(in, data[0] & 2 ? 16 : 1 << 20, data[0] & 1, data[0]);
    check_writer(in);
    return 0;
}
