/* Whole answers of every dialect, in every dialect, whole and as a stream; and error bodies, which
 * may be anything. */
#include "fuzz/dialects.h"

static void check(const struct dialect *from, const struct dialect *to, struct span body)
{
    struct arena a;
    struct json_doc doc;
    arena_init(&a, FUZZ_ARENA_MAX);
    struct translated whole =
        translate_answer(&a, from, to, NULL, body, false, false, FEED_WHOLE, 0);
    if (whole.err == ERR_OK && whole.ended)
        assert(json_parse(&a, whole.bytes, NULL, &doc, NULL) == ERR_OK);
    struct translated stream =
        translate_answer(&a, from, to, NULL, body, false, true, FEED_WHOLE, 0);
    fuzz_judge(from, to, &stream);
    arena_deinit(&a);
}

static void check_error(const struct dialect *from, const struct dialect *to, struct span body)
{
    struct arena a;
    struct buf out;
    struct json_doc doc;
    struct chat_error error = {0};
    arena_init(&a, FUZZ_ARENA_MAX);
    buf_init(&out, FUZZ_ARENA_MAX);
    from->read_error(&a, 400, body, &error);
    if (to->write_error(&out, NULL, &error) == ERR_OK)
        assert(json_parse(&a, buf_span(&out), NULL, &doc, NULL) == ERR_OK);
    buf_deinit(&out);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = {(const char *)data, size};
    if (size > FUZZ_INPUT_MAX)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(fuzz_dialects); i++)
        for (size_t k = 0; k < ARRAY_LEN(fuzz_dialects); k++) {
            if (!fuzz_is_door(fuzz_dialects[k]))
                continue;
            check(fuzz_dialects[i], fuzz_dialects[k], body);
            check_error(fuzz_dialects[i], fuzz_dialects[k], body);
        }
    return 0;
}
