/* Streams of every dialect, in every dialect: whatever an upstream sends, the client's stream keeps
 * its grammar, looks finished only when it is, and does not depend on how the bytes were cut. */
#include "fuzz/dialects.h"

static void check(const struct dialect *from, const struct dialect *to, struct span body)
{
    struct arena a;
    arena_init(&a, FUZZ_ARENA_MAX);
    struct translated whole = translate_answer(&a, from, to, NULL, body, true, true, FEED_WHOLE, 0);
    struct translated bytes = translate_answer(&a, from, to, NULL, body, true, true, FEED_BYTES, 0);
    fuzz_judge(from, to, &whole);
    assert(whole.err == bytes.err && whole.ended == bytes.ended);
    assert(span_eq(whole.bytes, bytes.bytes));
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = {(const char *)data, size};
    if (size == 0 || size > FUZZ_INPUT_MAX)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(fuzz_dialects); i++)
        for (size_t k = 0; k < ARRAY_LEN(fuzz_dialects); k++)
            if (fuzz_is_door(fuzz_dialects[k]))
                check(fuzz_dialects[i], fuzz_dialects[k], body);
    return 0;
}
