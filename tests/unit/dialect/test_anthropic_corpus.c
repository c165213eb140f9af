/* Recorded Messages exchanges through our own reader and writer: what was said comes out again,
 * whole and streamed, however the bytes were cut; and every recorded request survives the canonical
 * model. */
#include "base/span.h"
#include "dialect/dialect_internal.h"
#include "support/answer.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

static struct arena arena;
static struct corpus corpus;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, SIZE_MAX);
    if (corpus_there())
        corpus = corpus_open(&arena, "anthropic-messages");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static void need_corpus(void)
{
    if (corpus_there())
        return;
    print_message("# HOTSPARE_CORPUS is not set: skipped\n");
    skip();
}

static struct json parsed(struct span text)
{
    struct json_doc *doc = arena_new(&arena, struct json_doc);
    struct json_error e;
    if (json_parse(&arena, text, &json_limits_default, doc, &e) != ERR_OK)
        fail_msg("not JSON (%s): %.*s", e.what, SPAN_FMT(text));
    return json_root(doc);
}

static struct span written(const struct corpus_item *item, bool stream_out, enum feed_cuts cuts,
                           uint64_t seed)
{
    struct translated t = translate_answer(&arena, &dialect_anthropic, &dialect_anthropic, NULL,
                                           item->response, item->streamed, stream_out, cuts, seed);
    if (t.err != ERR_OK || !t.ended)
        fail_msg("%s: %s, %s", item->id, err_name(t.err), t.ended ? "ended" : "not ended");
    return t.bytes;
}

static bool is_answer(const struct corpus_item *item)
{
    return item->status == 200 && item->response.len > 0;
}

/* Every member of a written block has the recorded value, and every recorded member that says
 * something was written. */
static bool same_block(struct json was, struct json is)
{
    for (struct json m = json_first(is); json_present(m); m = json_next(is, m)) {
        char *key = arena_cstr(&arena, json_key(m));
        if (!json_same(&arena, json_get(was, key), m))
            return false;
    }
    for (struct json m = json_first(was); json_present(m); m = json_next(was, m)) {
        char *key = arena_cstr(&arena, json_key(m));
        bool says = json_useful(m) && !(json_is(m, JSON_ARRAY) && json_len(m) == 0);
        if (says && !json_present(json_get(is, key)))
            return false;
    }
    return true;
}

static void assert_same_content(const char *id, struct json was, struct json is)
{
    struct json b = json_first(is);
    for (struct json a = json_first(was); json_present(a); a = json_next(was, a)) {
        bool empty = json_str_is(json_get(a, "type"), "text") &&
                     json_str(json_get(a, "text")).len == 0 && !json_len(json_get(a, "citations"));
        if (empty) /* never written */
            continue;
        if (!json_present(b) || !same_block(a, b))
            fail_msg("%s: %.*s became %.*s", id, SPAN_FMT(json_raw(a)), SPAN_FMT(json_raw(b)));
        b = json_next(is, b);
    }
    assert_false(json_present(b));
}

static void assert_same_number(const char *id, struct json was, struct json is, const char *name)
{
    int64_t want = 0, have = 0;
    if (json_i64(json_get(was, name), &want) != ERR_OK)
        return;
    assert_int_equal(json_i64(json_get(is, name), &have), ERR_OK);
    if (want != have)
        fail_msg("%s: %s is %lld, was %lld", id, name, (long long)have, (long long)want);
}

static void assert_same_message(const char *id, struct json was, struct json is)
{
    static const char *const members[] = {"id",          "type",          "role",        "model",
                                          "stop_reason", "stop_sequence", "stop_details"};
    static const char *const counts[] = {"input_tokens", "output_tokens", "cache_read_input_tokens",
                                         "cache_creation_input_tokens"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        struct json a = json_get(was, members[i]), b = json_get(is, members[i]);
        if ((json_useful(a) || json_useful(b)) && !json_same(&arena, a, b))
            fail_msg("%s: %s was %.*s, is %.*s", id, members[i], SPAN_FMT(json_raw(a)),
                     SPAN_FMT(json_raw(b)));
    }
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        assert_same_number(id, json_get(was, "usage"), json_get(is, "usage"), counts[i]);
    assert_same_content(id, json_get(was, "content"), json_get(is, "content"));
}

static void whole_answers_come_out_as_they_were(void **state)
{
    (void)state;
    need_corpus();
    size_t seen = 0;
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (!is_answer(item) || item->streamed)
            continue;
        struct json was = parsed(item->response);
        assert_same_message(item->id, was, parsed(written(item, false, FEED_WHOLE, 0)));
        /* and by way of a stream */
        struct corpus_item streamed = *item;
        streamed.response = written(item, true, FEED_WHOLE, 0);
        streamed.streamed = true;
        assert_same_message(item->id, was, parsed(written(&streamed, false, FEED_WHOLE, 0)));
        seen++;
    }
    print_message("# %zu whole answers\n", seen);
    assert_true(seen >= 80);
}

static void assert_same_answer(const char *id, const struct answer *was, const struct answer *is)
{
    bool same = span_eq(was->text, is->text) && span_eq(was->thinking, is->thinking) &&
                span_eq(was->stop, is->stop) && span_eq(was->id, is->id) &&
                span_eq(was->model, is->model) && was->tool_count == is->tool_count &&
                was->output == is->output && (was->input < 0 || was->input == is->input) &&
                (was->cache_read < 0 || was->cache_read == is->cache_read) &&
                (was->cache_write < 0 || was->cache_write == is->cache_write) && is->complete;
    for (size_t i = 0; same && i < was->tool_count; i++)
        same = span_eq(was->tools[i].id, is->tools[i].id) &&
               span_eq(was->tools[i].name, is->tools[i].name) &&
               json_text_same(&arena, was->tools[i].input, is->tools[i].input);
    if (!same)
        fail_msg("%s: another answer came out", id);
}

static void streams_come_out_as_they_were(void **state)
{
    (void)state;
    need_corpus();
    size_t seen = 0;
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (!is_answer(item) || !item->streamed)
            continue;
        struct answer was, is;
        assert_true(answer_of_messages(&arena, item->response, true, &was));
        struct span stream = written(item, true, FEED_WHOLE, 0);
        struct span whole = written(item, false, FEED_WHOLE, 0);
        assert_true(answer_of_messages(&arena, stream, true, &is));
        assert_same_answer(item->id, &was, &is);
        assert_true(answer_of_messages(&arena, whole, false, &is));
        assert_same_answer(item->id, &was, &is);

        enum grammar_end end;
        char why[GRAMMAR_WHY_MAX];
        messages_grammar_check(stream, &end, why);
        if (why[0] || end != GRAMMAR_COMPLETE)
            fail_msg("%s: %s", item->id, why);
        /* our own stream read again says the same message */
        struct corpus_item again = *item;
        again.response = stream;
        assert_same_message(item->id, parsed(whole), parsed(written(&again, false, FEED_WHOLE, 0)));
        seen++;
    }
    print_message("# %zu streams\n", seen);
    assert_true(seen >= 35);
}

static void cuts_make_no_difference(void **state)
{
    (void)state;
    need_corpus();
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (!is_answer(item) || !item->streamed)
            continue;
        struct buf want;
        buf_init(&want, SIZE_MAX / 2);
        assert_int_equal(buf_add(&want, written(item, true, FEED_WHOLE, 0)), ERR_OK);
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct span got = written(item, true, seed ? FEED_RANDOM : FEED_BYTES, seed * 77 + i);
            if (!span_eq(got, buf_span(&want)))
                fail_msg("%s: cuts with seed %llu change it", item->id, (unsigned long long)seed);
        }
        buf_deinit(&want);
    }
}

/* Bytes replaced, dropped and doubled: whatever comes, what we write keeps the grammar, and it is
 * complete only when the reader says so. */
static void damaged_streams_never_break_the_grammar(void **state)
{
    (void)state;
    need_corpus();
    uint64_t random = 20261;
    for (size_t i = 0; i < corpus.count * 12; i++) {
        const struct corpus_item *item = &corpus.items[i / 12];
        if (!is_answer(item) || !item->streamed || item->response.len > 60000)
            continue;
        size_t len = item->response.len;
        char *bytes = arena_cstr(&arena, item->response);
        for (unsigned hit = 0; hit < 1 + i % 3; hit++) {
            size_t at = feed_random(&random) % (len - 40), n = feed_random(&random) % 40;
            switch (feed_random(&random) % 3) {
            case 0:
                bytes[at] = (char)(feed_random(&random) & 0x7f);
                break;
            case 1:
                memmove(bytes + at, bytes + at + n, len - at - n);
                len -= n;
                break;
            default:
                memmove(bytes + at, bytes + at + n, 40 - n);
                break;
            }
        }
        struct translated t =
            translate_answer(&arena, &dialect_anthropic, &dialect_anthropic, NULL,
                             (struct span){bytes, len}, true, true, FEED_WHOLE, 0);
        enum grammar_end end;
        char why[GRAMMAR_WHY_MAX];
        messages_grammar_check(t.bytes, &end, why);
        /* Damage inside a tool's input is the ledger's to find: it holds inputs until they are
         * whole. */
        if (strcmp(why, "a tool input is no JSON object") == 0)
            continue;
        bool honest = (end == GRAMMAR_COMPLETE) == (t.err == ERR_OK && t.ended);
        if ((why[0] && t.bytes.len > 0) || !honest)
            fail_msg("%s: %s, %s: %s", item->id, err_name(t.err), t.ended ? "ended" : "cut", why);
    }
}

static void recorded_errors_are_read(void **state)
{
    (void)state;
    need_corpus();
    size_t seen = 0;
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (item->status < 400 || item->response.len == 0)
            continue;
        struct chat_error e;
        dialect_anthropic.read_error(&arena, item->status, item->response, &e);
        assert_int_equal(e.status, item->status);
        struct json was = json_get(parsed(item->response), "error");
        assert_true(span_eq(e.type, json_str(json_get(was, "type"))));
        assert_true(span_eq(e.message, json_str_decode(json_get(was, "message"), &arena)));
        struct buf out;
        buf_init(&out, 1u << 20);
        assert_int_equal(dialect_anthropic.write_error(&out, NULL, &e), ERR_OK);
        if (!json_text_same(&arena, item->response, buf_span(&out)))
            fail_msg("%s: %.*s", item->id, SPAN_FMT(buf_span(&out)));
        buf_deinit(&out);
        seen++;
    }
    assert_true(seen >= 2);
}

/* What the writer may change: the model's name, and the older spelling of the output format. */
static struct json member_of(struct json body, const char *key)
{
    if (strcmp(key, "output_format") == 0)
        return json_path(body, "output_config.format");
    return json_get(body, key);
}

static void requests_survive_the_canonical_model(void **state)
{
    (void)state;
    need_corpus();
    struct capability cap = capability_preset(TARGET_STANDIN, SPAN("any"));
    size_t seen = 0;
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (item->request.len == 0)
            continue;
        struct request_words w =
            translate_request(&arena, &dialect_anthropic, &dialect_anthropic, &cap, item->request);
        if (w.read != ERR_OK || w.write != ERR_OK)
            fail_msg("%s: %.*s: %.*s", item->id, SPAN_FMT(w.problem.param),
                     SPAN_FMT(w.problem.text));
        struct json was = parsed(item->request), is = parsed(w.body);
        for (struct json m = json_first(was); json_present(m); m = json_next(was, m)) {
            char *key = arena_cstr(&arena, json_key(m));
            struct json now = member_of(is, key);
            bool unsaid = json_is(m, JSON_FALSE) || (json_is(m, JSON_ARRAY) && !json_len(m));
            if (!(unsaid && !json_present(now)) && !json_same(&arena, m, now))
                fail_msg("%s: %s was %.*s, is %.*s", item->id, key, SPAN_FMT(json_raw(m)),
                         SPAN_FMT(json_raw(now)));
        }
        assert_int_equal(w.lossy.count, 0);
        seen++;
    }
    print_message("# %zu requests\n", seen);
    assert_true(seen >= 80);
}

/* A to B to A: towards every Claude generation the body stays one that the door accepts. */
static void requests_fit_every_generation(void **state)
{
    (void)state;
    need_corpus();
    static const char *const models[] = {"claude-3-haiku-20240307", "claude-sonnet-4-5",
                                         "claude-opus-4-6", "claude-opus-5", "claude-fable-5-1"};
    for (size_t i = 0; i < corpus.count * ARRAY_LEN(models); i++) {
        const struct corpus_item *item = &corpus.items[i / ARRAY_LEN(models)];
        struct span model = span_from(models[i % ARRAY_LEN(models)]);
        if (item->request.len == 0)
            continue;
        struct capability cap = capability_preset(TARGET_ANTHROPIC, model);
        struct request_words w =
            translate_request(&arena, &dialect_anthropic, &dialect_anthropic, &cap, item->request);
        if (w.read == ERR_OK && w.write == ERR_UNSUPPORTED)
            continue; /* a PDF for a model that reads none */
        struct request_words again =
            translate_request(&arena, &dialect_anthropic, &dialect_anthropic, &cap, w.body);
        if (again.write != ERR_OK || !json_text_same(&arena, w.body, again.body))
            fail_msg("%s for %.*s: a second pass changes it again", item->id, SPAN_FMT(model));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_answers_come_out_as_they_were),
        cmocka_unit_test(streams_come_out_as_they_were),
        cmocka_unit_test(cuts_make_no_difference),
        cmocka_unit_test(damaged_streams_never_break_the_grammar),
        cmocka_unit_test(recorded_errors_are_read),
        cmocka_unit_test(requests_survive_the_canonical_model),
        cmocka_unit_test(requests_fit_every_generation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
