/* Damaged streams: events lost, doubled, swapped, bytes flipped, the end cut off. Whatever an
 * upstream does, what a client gets keeps its grammar, and an answer is complete, an error, or
 * known to be cut: never something that only looks finished. Every seed is in the message. */
#include "support/check.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/translate.h"

#define EVENTS_MAX 600
#define SEEDS 12

/* Used where there is no corpus, and with it. */
static const char chat_sample[] =
    "data: "
    "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
    "\"content\":\"\"}}]}\n\n: ping\n\n"
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"hm\"}}]}\n\n"
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\\u00e9\"}}]}\n\n"
    "data: "
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\","
    "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\"}}]}}]}\n\n"
    "data: "
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"u\","
    "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}}]}\n\n"
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
    "\"function\":{\"arguments\":\"[1]}\"}}]}}]}\n\n"
    "data: "
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
    "data: "
    "{\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n"
    "data: [DONE]\n\n";

static const char messages_sample[] =
    "event: message_start\ndata: "
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":"
    "\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,"
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    "event: ping\ndata: {\"type\":\"ping\"}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
    "\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
    "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{"
    "\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
    "event: message_delta\ndata: "
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\","
    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

static const char gemini_sample[] =
    "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"hm\","
    "\"thought\":true}]}}],\"responseId\":\"r\",\"modelVersion\":\"g\"}\r\n\r\n"
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\\u00e9\"}]}}]}\r\n\r\n"
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"id\":\"t\",\"name\":"
    "\"f\",\"args\":{\"x\":[1]}},\"thoughtSignature\":\"U0lH\"},{\"functionCall\":{\"name\":"
    "\"g\"}}]}}]}\r\n\r\n"
    "data: {\"candidates\":[{\"content\":{\"parts\":[]},\"finishReason\":\"STOP\"}],"
    "\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\r\n\r\n";

struct events { /* a stream cut into its events' bytes */
    struct arena *a;
    struct span at[EVENTS_MAX];
    size_t count;
};

static bool keep_raw(void *ctx, const struct sse_event *e)
{
    struct events *es = ctx;
    if (es->count < EVENTS_MAX)
        es->at[es->count++] = arena_copy(es->a, e->raw);
    return true;
}

/* One to three wounds. */
static void wound(struct events *es, uint64_t *random)
{
    size_t wounds = 1 + (size_t)(feed_random(random) % 3);
    for (size_t i = 0; i < wounds && es->count > 1; i++) {
        size_t at = (size_t)(feed_random(random) % es->count);
        size_t other = (size_t)(feed_random(random) % es->count);
        struct span kept = es->at[at];
        switch (feed_random(random) % 5) {
        case 0: /* lost */
            memmove(&es->at[at], &es->at[at + 1], (es->count - at - 1) * sizeof es->at[0]);
            es->count--;
            break;
        case 1: /* another instead, so one is doubled */
            es->at[at] = es->at[other];
            break;
        case 2: /* swapped */
            es->at[at] = es->at[other];
            es->at[other] = kept;
            break;
        case 3: /* the end is missing */
            es->count = at + 1;
            break;
        default: { /* a byte flipped */
            struct span copy = arena_copy(es->a, kept);
            char *byte = arena_alloc(es->a, copy.len);
            memcpy(byte, copy.at, copy.len);
            byte[feed_random(random) % copy.len] ^= (char)(1u << (feed_random(random) % 7));
            es->at[at] = (struct span){byte, copy.len};
        }
        }
    }
}

static struct span joined(struct events *es)
{
    struct buf all;
    buf_init(&all, 64u << 20);
    for (size_t i = 0; i < es->count; i++)
        assert_int_equal(buf_add(&all, es->at[i]), ERR_OK);
    struct span copy = arena_copy(es->a, buf_span(&all));
    buf_deinit(&all);
    return copy;
}

static void check_outcome(const char *id, uint64_t seed, const struct dialect *to,
                          const struct translated *t)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    if (to == &dialect_anthropic)
        messages_grammar_check(t->bytes, &end, why);
    else
        chat_grammar_check(t->bytes, &end, why);
    /* A model's own broken JSON is handed on as it is. */
    bool sound = !why[0] || strcmp(why, "a tool input is no JSON object") == 0;
    bool consistent = t->ended     ? t->err == ERR_OK && !t->errored
                      : t->errored ? end == GRAMMAR_ERROR
                                   : t->err != ERR_OK && end == GRAMMAR_CUT;
    if (!sound || !consistent || (t->ended && !why[0] && end != GRAMMAR_COMPLETE))
        fail_msg("%s seed %llu: %s (%s, ended %d, errored %d, grammar %d)\n%.*s", id,
                 (unsigned long long)seed, why, err_name(t->err), t->ended, t->errored, (int)end,
                 SPAN_FMT(span_take(t->bytes, 2000)));
}

static void damage(const char *id, struct span stream, const struct dialect *from)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct arena a;
        uint64_t random = seed * 1000003u + stream.len;
        arena_init(&a, SIZE_MAX);
        struct events *es = arena_new(&a, struct events);
        es->a = &a;
        assert_true(feed_sse(stream, FEED_WHOLE, 0, keep_raw, es));
        wound(es, &random);
        struct span hurt = joined(es);
        const struct dialect *const doors[] = {&dialect_anthropic, &dialect_openai_chat};
        for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
            struct translated t =
                translate_answer(&a, from, doors[i], NULL, hurt, true, true, FEED_RANDOM, seed);
            check_outcome(id, seed, doors[i], &t);
        }
        arena_deinit(&a);
    }
}

static void damaged_samples_stay_honest(void **state)
{
    (void)state;
    damage("chat sample", SPAN(chat_sample), &dialect_openai_chat);
    damage("messages sample", SPAN(messages_sample), &dialect_anthropic);
    damage("gemini sample", SPAN(gemini_sample), &dialect_gemini);
}

static void damaged_recordings_stay_honest(void **state)
{
    static const struct {
        const char *protocol;
        const struct dialect *dialect;
    } rows[] = {{"openai-chat", &dialect_openai_chat},
                {"anthropic-messages", &dialect_anthropic},
                {"gemini", &dialect_gemini}};
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: recorded streams are not damaged\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct corpus c = corpus_open(*state, rows[i].protocol);
        size_t streams = 0;
        for (size_t k = 0; k < c.count; k++) {
            if (!c.items[k].streamed)
                continue;
            streams++;
            damage(c.items[k].id, c.items[k].response, rows[i].dialect);
        }
        print_message("# %s: %zu streams damaged %d times\n", rows[i].protocol, streams, SEEDS);
    }
}

/* Cut anywhere, byte by byte: complete only when the terminal mark came through. */
static void a_cut_messages_stream_is_never_complete(void **state)
{
    struct span all = SPAN(messages_sample);
    for (size_t len = 0; len + 1 < all.len; len++) {
        struct translated t =
            translate_answer(*state, &dialect_anthropic, &dialect_openai_chat, NULL,
                             span_take(all, len), true, true, FEED_WHOLE, 0);
        assert_false(t.ended);
        assert_int_equal(t.err, ERR_EOF);
    }
}

static void a_cut_chat_stream_is_complete_only_behind_its_finish(void **state)
{
    struct span all = SPAN(chat_sample);
    ssize_t finish = span_search(all, SPAN("\"finish_reason\":\"tool_calls\"}]}\n\n"));
    assert_true(finish > 0);
    size_t told = (size_t)finish + strlen("\"finish_reason\":\"tool_calls\"}]}\n\n");
    for (size_t len = 0; len < all.len; len++) {
        struct translated t =
            translate_answer(*state, &dialect_openai_chat, &dialect_anthropic, NULL,
                             span_take(all, len), true, true, FEED_WHOLE, 0);
        assert_int_equal(t.ended, len >= told);
        assert_int_equal(t.err, len >= told ? ERR_OK : ERR_EOF);
    }
}

/* Gemini's streams end without a mark of their own. */
static void a_cut_gemini_stream_is_complete_only_behind_its_finish(void **state)
{
    struct span all = SPAN(gemini_sample);
    for (size_t len = 0; len <= all.len; len++) {
        struct translated t = translate_answer(*state, &dialect_gemini, &dialect_anthropic, NULL,
                                               span_take(all, len), true, true, FEED_WHOLE, 0);
        bool told = len + 1 >= all.len; /* the second line end without its LF is one, too */
        assert_int_equal(t.ended, told);
        assert_int_equal(t.err, told ? ERR_OK : ERR_EOF);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(damaged_samples_stay_honest),
        CHECK_TEST(damaged_recordings_stay_honest),
        CHECK_TEST(a_cut_messages_stream_is_never_complete),
        CHECK_TEST(a_cut_chat_stream_is_complete_only_behind_its_finish),
        CHECK_TEST(a_cut_gemini_stream_is_complete_only_behind_its_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
