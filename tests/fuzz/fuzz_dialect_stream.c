/* Streams of every dialect, in every dialect: whatever an upstream sends, the client's stream keeps
 * its grammar, looks finished only when it is, and does not depend on how the bytes were cut. Where
 * the bytes pass through, what is told of them keeps the readers' grammar (chat.h).
 *
 * All pairs of dialects at all cuts take a second for a long input, and a search wants hundreds of
 * inputs a second. So each reader hears each input, but only what it understands is translated, for
 * one door and at one choice of cuts that a hash of the input picks: the same input meets the same
 * each time, and its neighbours meet the others. Kept inputs, replayed without options, meet all.
 */
#include "fuzz/dialects.h"

#define BYTES_MAX 2048 /* of an input that is always fed byte by byte, too */

static bool thorough;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    thorough = *argc > 1;
    for (int i = 1; i < *argc; i++)
        thorough = thorough && (*argv)[i][0] != '-';
    return 0;
}

/* FNV-1a. */
static uint64_t hash_of(struct span body)
{
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < body.len; i++)
        h = (h ^ (unsigned char)body.at[i]) * 0x100000001b3;
    return h ^ h >> 32;
}

static void check(const struct dialect *from, const struct dialect *to, struct span body,
                  uint64_t pick)
{
    struct arena a;
    arena_init(&a, FUZZ_ARENA_MAX);
    enum feed_cuts how = thorough || body.len <= BYTES_MAX ? FEED_BYTES : FEED_RANDOM;
    struct translated whole = translate_answer(&a, from, to, NULL, body, true, true, FEED_WHOLE, 0);
    struct translated parts = translate_answer(&a, from, to, NULL, body, true, true, how, pick);
    fuzz_judge(from, to, &whole);
    assert(whole.err == parts.err && whole.ended == parts.ended);
    assert(span_eq(whole.bytes, parts.bytes));
    arena_deinit(&a);
}

static void check_doors(const struct dialect *from, struct span body, uint64_t pick)
{
    size_t doors = 0, at = 0;
    for (size_t k = 0; k < ARRAY_LEN(fuzz_dialects); k++)
        doors += fuzz_is_door(fuzz_dialects[k]);
    for (size_t k = 0; k < ARRAY_LEN(fuzz_dialects); k++)
        if (fuzz_is_door(fuzz_dialects[k]) && (at++ == pick % doors || thorough))
            check(from, fuzz_dialects[k], body, pick);
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

/* Does its reader understand the beginning? */
static bool check_passing(const struct dialect *from, struct span body)
{
    struct arena a;
    struct passing p = {.from = from};
    struct reader_options options = {.passes = true};
    arena_init(&a, FUZZ_ARENA_MAX);
    p.reader = from->reader_new(&a, &options, (struct chat_sink){on_passed, &p});
    (void)feed_sse(body, FEED_WHOLE, 0, on_event, &p); /* whatever it says of it */
    (void)from->read_eof(p.reader);
    arena_deinit(&a);
    return p.started;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = {(const char *)data, size};
    if (size == 0 || size > FUZZ_INPUT_MAX)
        return 0;
    uint64_t pick = hash_of(body);
    size_t other = (size_t)(pick >> 32) % ARRAY_LEN(fuzz_dialects);
    for (size_t i = 0; i < ARRAY_LEN(fuzz_dialects); i++)
        if (check_passing(fuzz_dialects[i], body) || i == other || thorough)
            check_doors(fuzz_dialects[i], body, pick);
    return 0;
}
