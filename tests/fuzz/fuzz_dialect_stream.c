/* Streams of every dialect, in every dialect: whatever an upstream sends, the client's stream keeps
 * its grammar, looks finished only when it is, and does not depend on how the bytes were cut. Where
 * the bytes pass through, what is told of them keeps the readers' grammar (chat.h). */
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

struct passing {
    const struct dialect *from;
    struct reply_reader *reader;
    bool started, open, over;
};

static void on_passed(void *ctx, const struct chat_event *e)
{
    struct passing *p = ctx;
    assert(!p->over);
    assert(p->started || e->type == CHAT_EV_START || e->type == CHAT_EV_USAGE ||
           e->type == CHAT_EV_ERROR || e->type == CHAT_EV_PING);
    if (e->type == CHAT_EV_START)
        assert(!p->started);
    if (e->type == CHAT_EV_BLOCK_START || e->type == CHAT_EV_FINISH || e->type == CHAT_EV_END)
        assert(!p->open);
    if (e->type == CHAT_EV_DELTA || e->type == CHAT_EV_BLOCK_STOP)
        assert(p->open);
    p->started = p->started || e->type == CHAT_EV_START;
    p->open = (p->open || e->type == CHAT_EV_BLOCK_START) && e->type != CHAT_EV_BLOCK_STOP;
    p->over = e->type == CHAT_EV_END || e->type == CHAT_EV_ERROR;
}

static bool on_event(void *ctx, const struct sse_event *e)
{
    struct passing *p = ctx;
    return p->from->read_event(p->reader, e) == ERR_OK;
}

static void check_passing(const struct dialect *from, struct span body)
{
    struct arena a;
    struct passing p = {.from = from};
    struct reader_options options = {.passes = true};
    arena_init(&a, FUZZ_ARENA_MAX);
    p.reader = from->reader_new(&a, &options, (struct chat_sink){on_passed, &p});
    (void)feed_sse(body, FEED_WHOLE, 0, on_event, &p); /* whatever it says of it */
    (void)from->read_eof(p.reader);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = {(const char *)data, size};
    if (size == 0 || size > FUZZ_INPUT_MAX)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(fuzz_dialects); i++) {
        check_passing(fuzz_dialects[i], body);
        for (size_t k = 0; k < ARRAY_LEN(fuzz_dialects); k++)
            if (fuzz_is_door(fuzz_dialects[k]))
                check(fuzz_dialects[i], fuzz_dialects[k], body);
    }
    return 0;
}
