/* The AWS event stream reader: the same messages however the bytes are cut. Random bytes do not get
 * past a CRC, so the input is also put behind right ones: as headers and payload of a message. */
#include "../unit/http/frames.h"

static void check_cuts(struct span in, size_t max_bytes, uint64_t seed)
{
    const struct cuts ways[] = {{.how = CUT_NOWHERE},
                                {.how = CUT_BYTES},
                                {.how = CUT_RANDOM, .seed = seed},
                                {.how = CUT_ONCE, .at = in.len / 2}};
    struct buf said[ARRAY_LEN(ways)];
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        buf_init(&said[i], 1 << 24);
        feed_eventstream(max_bytes, in, ways[i], &said[i]);
        assert(span_eq(buf_span(&said[i]), buf_span(&said[0])));
    }
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        buf_deinit(&said[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 1 << 16)
        return 0;
    struct span in = {(const char *)data + 2, size - 2};
    size_t headers = in.len * data[1] / 255;
    struct buf framed;
    buf_init(&framed, 1 << 20);
    put_frame(&framed, span_take(in, headers), span_drop(in, headers));
    put_frame(&framed, span_drop(in, headers), span_take(in, headers));
    check_cuts(buf_span(&framed), data[0] & 1 ? 64 : 1 << 20, data[0]);
    check_cuts(in, 1 << 20, data[0]);
    buf_deinit(&framed);
    return 0;
}
