/* Requests at every door, written for every kind of target: what is written is JSON, names the
 * field where it refuses, and is written the same way twice. */
#include "fuzz/dialects.h"

static void check_written(const struct dialect *from, const struct dialect *to,
                          struct capability cap, struct span body)
{
    struct arena a;
    struct json_doc doc;
    arena_init(&a, FUZZ_ARENA_MAX);
    struct request_words once = translate_request(&a, from, to, &cap, body);
    if (once.read != ERR_OK || once.write != ERR_OK) {
        assert(once.read == ERR_SYNTAX || once.read == ERR_LIMIT || once.problem.text.len);
    } else {
        struct request_words again = translate_request(&a, from, to, &cap, body);
        assert(json_parse(&a, once.body, NULL, &doc, NULL) == ERR_OK);
        assert(span_eq(once.body, again.body));
    }
    arena_deinit(&a);
}

static void check(const struct dialect *from, enum target_kind kind, struct span body)
{
    struct capability cap = capability_preset(kind, SPAN("model"));
    const struct dialect *to = kind == TARGET_ANTHROPIC ? &dialect_anthropic
                               : kind == TARGET_GEMINI  ? &dialect_gemini
                               : kind == TARGET_OLLAMA  ? &dialect_ollama
                               : cap.converse           ? &dialect_bedrock_converse
                                                        : &dialect_openai_chat;
    check_written(from, to, cap, body);
    if (kind == TARGET_OPENAI) /* it has two */
        check_written(from, &dialect_openai_responses, cap, body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = {(const char *)data, size};
    if (size > FUZZ_INPUT_MAX)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(fuzz_dialects); i++)
        for (int kind = 0; fuzz_is_door(fuzz_dialects[i]) && kind < TARGET_KIND_COUNT; kind++)
            check(fuzz_dialects[i], (enum target_kind)kind, body);
    return 0;
}
