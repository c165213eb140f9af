/* The HTTP/1.1 reader: whatever the bytes, it neither crashes nor lets the way they are cut decide
 * what they mean. The first byte chooses role, limits and cuts. */
#include "../unit/http/feed.h"

static const struct http_limits tight = {
    .line_bytes = 64, .field_bytes = 96, .head_bytes = 256, .fields = 5, .body_bytes = 64};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 16)
        return 0;
    enum h1_role role = data[0] & 1 ? H1_RESPONSE : H1_REQUEST;
    bool to_head = role == H1_RESPONSE && data[0] & 2;
    const struct http_limits *limits = data[0] & 4 ? &tight : &http_limits_default;
    struct span in = {(const char *)data + 1, size - 1};
    const struct cuts ways[] = {{.how = CUT_NOWHERE},
                                {.how = CUT_BYTES},
                                {.how = CUT_RANDOM, .seed = data[0]},
                                {.how = CUT_ONCE, .at = size / 2}};
    struct buf logs[ARRAY_LEN(ways)];
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        buf_init(&logs[i], 1 << 24);
        feed_h1(role, limits, to_head, in, ways[i], &logs[i]);
        assert(span_eq(buf_span(&logs[i]), buf_span(&logs[0])));
    }
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        buf_deinit(&logs[i]);
    return 0;
}
