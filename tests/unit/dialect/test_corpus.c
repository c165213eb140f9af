/* Every recorded exchange of both dialects goes through the translators: requests to the other
 * dialect and its checks, answers to the other dialect with the same meaning, streams at any split.
 *
 * What each side says is read by tests/support, not by the dialects themselves. HOTSPARE_CORPUS
 * names the recordings; without it all of this is skipped. */
#include "support/answer.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/left_out.h"
#include "support/translate.h"

struct tally {
    size_t done, absent, left_out;
};

static void tell(const struct tally *t, const char *what)
{
    print_message("# %s: %zu checked, %zu not recorded, %zu left out\n", what, t->done, t->absent,
                  t->left_out);
}

/* One arena per exchange keeps the whole corpus small in memory. */
static void each(void **state, const char *protocol, const char *what,
                 void (*check)(struct arena *a, const struct corpus_item *item, struct tally *t))
{
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: recorded exchanges are not checked\n");
        skip();
    }
    struct corpus c = corpus_open(*state, protocol);
    struct tally t = {0};
    assert_true(c.count > 60);
    for (size_t i = 0; i < c.count; i++) {
        struct arena a;
        arena_init(&a, SIZE_MAX);
        check(&a, &c.items[i], &t);
        arena_deinit(&a);
    }
    tell(&t, what);
}

/* ---- requests: what they say ---- */

struct said { /* of a request, in order */
    struct arena *a;
    struct span texts[512], media[64], names[128], inputs[128];
    size_t text_count, media_count, call_count;
};

static void say(struct said *s, struct json text)
{
    struct span plain = json_str_decode(text, s->a);
    assert_true(s->text_count < ARRAY_LEN(s->texts));
    if (span_trim(plain).len && !span_starts(plain, SPAN("x-anthropic-billing-header")))
        s->texts[s->text_count++] = plain;
}

/* The bytes or the address of an image or file, as they stand in the JSON. */
static void say_media(struct said *s, struct json block)
{
    static const char *const paths[] = {"source.data",    "source.url",   "image_url.url",
                                        "file.file_data", "document_url", "image_url",
                                        "file_data",      "file_url",     "input_audio.data"};
    if (json_str_is(json_path(block, "source.type"), "text")) {
        say(s, json_path(block, "source.data")); /* a document that is text */
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct span media = json_str(json_path(block, paths[i]));
        ssize_t comma = span_starts(media, SPAN("data:")) ? span_find(media, ',') : -1;
        assert_true(s->media_count < ARRAY_LEN(s->media));
        if (media.len)
            s->media[s->media_count++] = span_drop(media, (size_t)(comma + 1));
    }
}

static void say_content(struct said *s, struct json content)
{
    if (json_is(content, JSON_STRING))
        say(s, content);
    if (!json_is(content, JSON_ARRAY))
        return;
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
        say_media(s, b);
        if (json_str_is(json_get(b, "type"), "text") ||
            json_str_is(json_get(b, "type"), "input_text") ||
            json_str_is(json_get(b, "type"), "output_text"))
            say(s, json_get(b, "text"));
        else if (json_str_is(json_get(b, "type"), "tool_result"))
            say_content(s, json_get(b, "content"));
    }
}

static void say_call(struct said *s, struct json name, struct span input)
{
    assert_true(s->call_count < ARRAY_LEN(s->names));
    s->names[s->call_count] = json_str_decode(name, s->a);
    s->inputs[s->call_count++] = span_trim(input).len ? input : SPAN("{}");
}

/* Responses: items, each a message, a call or an output. */
static void say_items(struct said *s, struct json input)
{
    if (json_is(input, JSON_STRING))
        say(s, input);
    for (struct json i = json_is(input, JSON_ARRAY) ? json_first(input) : JSON_ABSENT;
         json_present(i); i = json_next(input, i)) {
        struct json type = json_get(i, "type");
        say_content(s, json_get(i, "output"));
        if (json_str_is(type, "reasoning"))
            continue; /* only its own provider takes it back */
        say_content(s, json_get(i, "content"));
        if (!json_str_is(type, "function_call"))
            continue;
        struct json space = json_get(i, "namespace");
        say_call(s, json_get(i, "name"), json_str_decode(json_get(i, "arguments"), s->a));
        if (json_str(space).len)
            s->names[s->call_count - 1] =
                arena_printf(s->a, "%.*s__%.*s", SPAN_FMT(json_str(space)),
                             SPAN_FMT(s->names[s->call_count - 1]));
    }
}

static void say_calls(struct said *s, struct json message)
{
    struct json content = json_get(message, "content"), calls = json_get(message, "tool_calls");
    for (struct json b = json_is(content, JSON_ARRAY) ? json_first(content) : JSON_ABSENT;
         json_present(b); b = json_next(content, b))
        if (json_str_is(json_get(b, "type"), "tool_use"))
            say_call(s, json_get(b, "name"), json_raw(json_get(b, "input")));
    for (struct json c = json_is(calls, JSON_ARRAY) ? json_first(calls) : JSON_ABSENT;
         json_present(c); c = json_next(calls, c))
        say_call(s, json_path(c, "function.name"),
                 json_str_decode(json_path(c, "function.arguments"), s->a));
}

static void said_of(struct arena *a, struct span body, struct said *s)
{
    struct json_doc *doc = arena_new(a, struct json_doc);
    *s = (struct said){.a = a};
    assert_int_equal(json_parse(a, body, &json_limits_default, doc, NULL), ERR_OK);
    struct json messages = json_get(json_root(doc), "messages");
    say_content(s, json_get(json_root(doc), "system"));
    say_content(s, json_get(json_root(doc), "instructions"));
    say_items(s, json_get(json_root(doc), "input"));
    for (struct json m = json_first(messages); json_present(m); m = json_next(messages, m)) {
        say_content(s, json_get(m, "content"));
        say_calls(s, m);
    }
}

/* Each text and picture of `from` stands somewhere in `to` (joined there, perhaps), each call at
 * its place. */
static void assert_says(struct arena *a, const struct said *from, const struct said *to)
{
    assert_int_equal(from->media_count, to->media_count);
    for (size_t i = 0; i < from->media_count; i++)
        assert_true(span_eq(from->media[i], to->media[i]));
    struct buf all;
    buf_init(&all, 64u << 20);
    for (size_t i = 0; i < to->text_count; i++)
        assert_int_equal(buf_add(&all, to->texts[i]), ERR_OK);
    for (size_t i = 0; i < from->text_count; i++)
        if (span_search(buf_span(&all), from->texts[i]) < 0)
            fail_msg("text lost: %.*s", SPAN_FMT(span_take(from->texts[i], 300)));
    buf_deinit(&all);
    assert_int_equal(from->call_count, to->call_count);
    for (size_t i = 0; i < from->call_count; i++) {
        assert_true(span_eq(from->names[i], to->names[i]));
        assert_true(json_text_same(a, from->inputs[i], to->inputs[i]));
    }
}

/* ---- requests: the target's own rules ---- */

static bool has_result(struct json message, struct span id)
{
    struct json content = json_get(message, "content");
    for (struct json b = json_is(content, JSON_ARRAY) ? json_first(content) : JSON_ABSENT;
         json_present(b); b = json_next(content, b))
        if (span_eq(json_str(json_get(b, "tool_use_id")), id))
            return true;
    return false;
}

static bool id_fits(struct span id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", id.at[i]))
            return false;
    return id.len > 0;
}

/* protocols.md 1.3: empty texts, answered calls, ids. */
static void check_messages_turn(struct json m, struct json next)
{
    struct json content = json_get(m, "content");
    assert_true(json_str_is(json_get(m, "role"), "user") ||
                json_str_is(json_get(m, "role"), "assistant") ||
                json_str_is(json_get(m, "role"), "system"));
    assert_true(json_is(content, JSON_ARRAY) ? json_len(content) > 0 : json_str(content).len > 0);
    for (struct json b = json_is(content, JSON_ARRAY) ? json_first(content) : JSON_ABSENT;
         json_present(b); b = json_next(content, b)) {
        if (json_str_is(json_get(b, "type"), "text"))
            assert_true(json_str(json_get(b, "text")).len > 0);
        if (!json_str_is(json_get(b, "type"), "tool_use"))
            continue;
        struct span id = json_str(json_get(b, "id"));
        assert_true(id_fits(id));
        assert_true(json_is(json_get(b, "input"), JSON_OBJECT));
        assert_true(!json_present(next) || has_result(next, id));
    }
}

static void check_messages_body(struct arena *a, struct span body)
{
    struct json_doc doc;
    int64_t max_tokens;
    assert_int_equal(json_parse(a, body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc), messages = json_get(root, "messages");
    assert_int_equal(json_i64(json_get(root, "max_tokens"), &max_tokens), ERR_OK);
    assert_true(max_tokens > 0);
    assert_true(json_len(messages) > 0);
    assert_true(json_str_is(json_get(json_at(messages, 0), "role"), "user"));
    for (struct json m = json_first(messages); json_present(m); m = json_next(messages, m))
        check_messages_turn(m, json_next(messages, m));
}

/* protocols.md 2.1: every call is answered by a tool message before any other role speaks. */
static void check_chat_body(struct arena *a, struct span body)
{
    struct json_doc doc;
    assert_int_equal(json_parse(a, body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc), messages = json_get(root, "messages");
    uint32_t open = 0;
    assert_true(json_len(messages) > 0);
    for (struct json m = json_first(messages); json_present(m); m = json_next(messages, m)) {
        struct json content = json_get(m, "content");
        if (json_str_is(json_get(m, "role"), "tool")) {
            assert_true(open > 0);
            open--;
            assert_true(json_is(content, JSON_STRING));
            continue;
        }
        assert_int_equal(open, 0);
        open = json_len(json_get(m, "tool_calls"));
        if (json_str_is(json_get(m, "role"), "user"))
            assert_true(json_is(content, JSON_STRING) || json_len(content) > 0);
    }
    struct json tools = json_get(root, "tools");
    for (struct json t = json_first(tools); json_present(t); t = json_next(tools, t))
        assert_true(json_str(json_path(t, "function.name")).len <= 64);
}

/* protocols.md 2.7: stateless, flat tools, every output behind its call. */
static void check_responses_body(struct arena *a, struct span body)
{
    struct json_doc doc;
    assert_int_equal(json_parse(a, body, &json_limits_default, &doc, NULL), ERR_OK);
    struct json root = json_root(&doc), input = json_get(root, "input");
    assert_true(json_is(json_get(root, "store"), JSON_FALSE));
    assert_true(json_is(input, JSON_ARRAY) && json_len(input) > 0);
    for (struct json i = json_first(input); json_present(i); i = json_next(input, i)) {
        bool called = !json_str_is(json_get(i, "type"), "function_call_output");
        for (struct json k = json_first(input); json_present(k) && k.node < i.node;
             k = json_next(input, k))
            called = called ||
                     (json_str_is(json_get(k, "type"), "function_call") &&
                      span_eq(json_str(json_get(k, "call_id")), json_str(json_get(i, "call_id"))));
        assert_true(called);
    }
    struct json tools = json_get(root, "tools");
    for (struct json t = json_first(tools); json_present(t); t = json_next(tools, t)) {
        assert_true(json_str(json_get(t, "name")).len > 0);
        assert_true(json_str(json_get(t, "name")).len <= 64);
        assert_true(!json_present(json_get(t, "function")));
    }
}

static void assert_reads(struct arena *a, const struct dialect *d, struct span body)
{
    struct json_doc *doc = arena_new(a, struct json_doc);
    struct chat_request r;
    struct chat_problem problem = {0};
    assert_int_equal(json_parse(a, body, &json_limits_default, doc, NULL), ERR_OK);
    if (d->read_request(a, doc, &r, &problem) != ERR_OK)
        fail_msg("%s: %.*s: %.*s", d->name, SPAN_FMT(problem.param), SPAN_FMT(problem.text));
}

static void check_request(struct arena *a, const struct corpus_item *item, struct tally *t,
                          const struct dialect *from, const struct dialect *to,
                          const struct capability *cap,
                          void (*check_body)(struct arena *, struct span))
{
    if (item->request.len == 0) {
        t->absent++;
        return;
    }
    const char *why = left_out_request(item->id, to);
    struct request_words w = translate_request(a, from, to, cap, item->request);
    if (why) {
        print_message("#   left out: %s: %s\n", item->id, why);
        assert_true(w.read == ERR_INVALID || w.write == ERR_UNSUPPORTED);
        assert_true(w.problem.text.len > 10);
        t->left_out++;
        return;
    }
    if (w.read != ERR_OK || w.write != ERR_OK)
        fail_msg("%s: %s/%s %.*s: %.*s", item->id, err_name(w.read), err_name(w.write),
                 SPAN_FMT(w.problem.param), SPAN_FMT(w.problem.text));
    struct said *said = arena_array(a, struct said, 2);
    check_body(a, w.body);
    assert_reads(a, to, w.body);
    said_of(a, item->request, &said[0]);
    said_of(a, w.body, &said[1]);
    assert_says(a, &said[0], &said[1]);
    t->done++;
}

static void chat_request_to_messages(struct arena *a, const struct corpus_item *item,
                                     struct tally *t)
{
    struct capability cap = capability_preset(TARGET_ANTHROPIC, SPAN("claude-sonnet-4-5"));
    check_request(a, item, t, &dialect_openai_chat, &dialect_anthropic, &cap, check_messages_body);
}

static void messages_request_to_chat(struct arena *a, const struct corpus_item *item,
                                     struct tally *t)
{
    struct capability cap = capability_preset(TARGET_OPENAI, SPAN("gpt-5.1"));
    check_request(a, item, t, &dialect_anthropic, &dialect_openai_chat, &cap, check_chat_body);
}

static void messages_request_to_vllm(struct arena *a, const struct corpus_item *item,
                                     struct tally *t)
{
    struct capability cap = capability_preset(TARGET_VLLM, SPAN("qwen3-vl-30b"));
    check_request(a, item, t, &dialect_anthropic, &dialect_openai_chat, &cap, check_chat_body);
}

/* The checker itself: what OpenAI and others sent keeps the grammar that ours must keep. */
static void recorded_stream_is_grammatical(struct arena *a, const struct corpus_item *item,
                                           struct tally *t)
{
    (void)a;
    /* Early recordings have no numbers, OpenRouter another order; lists of MCP tools overlap. */
    bool numbered = span_search(item->response, SPAN("\"sequence_number\"")) >= 0;
    bool overlaps = span_search(item->response, SPAN("\"mcp_list_tools\"")) >= 0;
    if (!item->streamed || !numbered || overlaps ||
        span_starts(span_from(item->id), SPAN("openrouter"))) {
        t->absent++;
        return;
    }
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    responses_grammar_check(item->response, false, &end, why);
    if (why[0])
        fail_msg("%s: %s", item->id, why);
    t->done++;
}

static void responses_request_to_messages(struct arena *a, const struct corpus_item *item,
                                          struct tally *t)
{
    struct capability cap = capability_preset(TARGET_ANTHROPIC, SPAN("claude-sonnet-4-5"));
    check_request(a, item, t, &dialect_openai_responses, &dialect_anthropic, &cap,
                  check_messages_body);
}

static void responses_request_to_chat(struct arena *a, const struct corpus_item *item,
                                      struct tally *t)
{
    struct capability cap = capability_preset(TARGET_OPENAI, SPAN("gpt-5.1"));
    check_request(a, item, t, &dialect_openai_responses, &dialect_openai_chat, &cap,
                  check_chat_body);
}

static void messages_request_to_responses(struct arena *a, const struct corpus_item *item,
                                          struct tally *t)
{
    struct capability cap = capability_preset(TARGET_OPENAI, SPAN("gpt-5.1"));
    check_request(a, item, t, &dialect_anthropic, &dialect_openai_responses, &cap,
                  check_responses_body);
}

static void chat_request_to_responses(struct arena *a, const struct corpus_item *item,
                                      struct tally *t)
{
    struct capability cap = capability_preset(TARGET_OPENAI, SPAN("gpt-5.1"));
    check_request(a, item, t, &dialect_openai_chat, &dialect_openai_responses, &cap,
                  check_responses_body);
}

/* The other targets of the chat dialect, each with its own limits. */
static void messages_request_to_other_kinds(struct arena *a, const struct corpus_item *item,
                                            struct tally *t)
{
    static const struct {
        enum target_kind kind;
        const char *host, *model;
    } rows[] = {
        {TARGET_MISTRAL, NULL, "mistral-medium-3-5"},
        {TARGET_AZURE_OPENAI, NULL, "gpt-4o"},
        {TARGET_OPENAI_COMPATIBLE, "api.groq.com", "meta-llama/llama-4-scout"},
        {TARGET_OPENAI_COMPATIBLE, "openrouter.ai", "z-ai/glm-4.6"},
        {TARGET_OPENAI_COMPATIBLE, "api.deepseek.com", "deepseek-v4-pro"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct capability cap = capability_preset(rows[i].kind, span_from(rows[i].model));
        if (rows[i].host)
            assert_true(
                capability_at_host(&cap, span_from(rows[i].host), span_from(rows[i].model)));
        cap.images = cap.image_urls = cap.pdf = true; /* what they refuse is test_openai_chat's */
        check_request(a, item, t, &dialect_anthropic, &dialect_openai_chat, &cap, check_chat_body);
    }
}

/* ---- answers ---- */

static void assert_same_stop(const char *id, struct span got, const char *wanted)
{
    if (!span_is(got, wanted))
        fail_msg("%s: stop is %.*s, not %s", id, SPAN_FMT(got), wanted);
}

/* Every dialect's word in Messages' words. */
static const char *meaning_of(const struct answer *s, const struct dialect *from)
{
    static const char *const same[] = {"max_tokens", "model_context_window_exceeded",
                                       "refusal",    "stop_sequence",
                                       "pause_turn", "tool_use"};
    for (size_t i = 0; from == &dialect_anthropic && i < ARRAY_LEN(same); i++)
        if (span_is(s->stop, same[i]))
            return same[i];
    if (from == &dialect_anthropic)
        return "end_turn";
    if (span_is(s->stop, "length") || span_is(s->stop, "max_output_tokens"))
        return "max_tokens";
    if (span_is(s->stop, "content_filter"))
        return "refusal";
    if (span_is(s->stop, "model_length"))
        return "model_context_window_exceeded";
    if (s->tool_count)
        return "tool_use";
    return s->refusal.len ? "refusal" : "end_turn";
}

static const char *word_for(const char *meaning, const struct answer *s, const struct dialect *to)
{
    static const char *const map[][3] = {
        {"max_tokens", "length", "max_output_tokens"},
        {"model_context_window_exceeded", "length", "max_output_tokens"},
        {"tool_use", "tool_calls", "completed"},
        {"refusal", "content_filter", "content_filter"},
    };
    bool chat = to == &dialect_openai_chat, says_refusal = s->refusal.len > 0;
    if (to == &dialect_anthropic)
        return meaning;
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (strcmp(meaning, map[i][0]) == 0 && !(strcmp(meaning, "refusal") == 0 && says_refusal))
            return map[i][chat ? 1 : 2];
    return chat ? "stop" : "completed";
}

static int64_t told(int64_t n)
{
    return n < 0 ? 0 : n;
}

static void assert_same_answer(struct arena *a, const char *id, const struct answer *s,
                               const struct answer *d, const struct dialect *from,
                               const struct dialect *to)
{
    bool to_messages = to == &dialect_anthropic;
    struct span text = s->text;
    if (to_messages && s->refusal.len) /* Messages has no refusal field */
        text = arena_printf(a, "%.*s%.*s", SPAN_FMT(s->text), SPAN_FMT(s->refusal));
    if (!span_eq(text, d->text))
        fail_msg("%s: text differs:\n%.*s\n%.*s", id, SPAN_FMT(text), SPAN_FMT(d->text));
    assert_true(span_eq(s->thinking, d->thinking));
    assert_int_equal(s->tool_count, d->tool_count);
    for (size_t i = 0; i < s->tool_count; i++) {
        assert_true(span_eq(s->tools[i].name, d->tools[i].name));
        assert_true(s->tools[i].id.len == 0 || span_eq(s->tools[i].id, d->tools[i].id));
        if (!json_text_same(a, s->tools[i].input, d->tools[i].input))
            fail_msg("%s: input differs:\n%.*s\n%.*s", id, SPAN_FMT(s->tools[i].input),
                     SPAN_FMT(d->tools[i].input));
    }
    assert_same_stop(id, d->stop, word_for(meaning_of(s, from), s, to));
    assert_int_equal(told(s->input), told(d->input));
    assert_int_equal(told(s->cache_read), told(d->cache_read));
    assert_int_equal(told(s->cache_write), told(d->cache_write));
    assert_int_equal(told(s->output), told(d->output));
    assert_int_equal(told(s->reasoning), told(d->reasoning));
    assert_true(d->complete);
}

static bool digest(struct arena *a, const struct dialect *d, struct span body, bool streamed,
                   struct answer *out)
{
    if (d == &dialect_openai_responses)
        return answer_of_responses(a, body, streamed, out);
    if (d == &dialect_gemini)
        return answer_of_gemini(a, body, streamed, out);
    return d == &dialect_anthropic ? answer_of_messages(a, body, streamed, out)
                                   : answer_of_chat(a, body, streamed, out);
}

static void assert_grammar(const char *id, const struct dialect *d, struct span stream,
                           enum grammar_end wanted)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    if (d == &dialect_anthropic)
        messages_grammar_check(stream, &end, why);
    else if (d == &dialect_openai_responses)
        responses_grammar_check(stream, true, &end, why);
    else
        chat_grammar_check(stream, &end, why);
    if (why[0] || end != wanted)
        fail_msg("%s: %s (ended %d)\n%.*s", id, why, (int)end, SPAN_FMT(span_take(stream, 3000)));
}

/* The recorded question, so that stop sequences and tool names have their say. */
static const struct chat_request *asked_of(struct arena *a, const struct corpus_item *item,
                                           const struct dialect *from)
{
    struct json_doc *doc = arena_new(a, struct json_doc);
    struct chat_request *r = arena_new(a, struct chat_request);
    struct chat_problem problem;
    if (!from->read_request) /* no door */
        return NULL;
    if (json_parse(a, item->request, &json_limits_default, doc, NULL) != ERR_OK ||
        from->read_request(a, doc, r, &problem) != ERR_OK)
        return NULL;
    r->include_usage = true;
    r->legacy_functions = false; /* digests want tool_calls */
    return r;
}

static void assert_split_alike(struct arena *a, const struct corpus_item *item,
                               const struct dialect *from, const struct dialect *to,
                               struct span wanted)
{
    const struct chat_request *asked = asked_of(a, item, from);
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct translated t = translate_answer(a, from, to, asked, item->response, true, true,
                                               seed ? FEED_RANDOM : FEED_BYTES, seed);
        assert_int_equal(t.err, ERR_OK);
        assert_true(span_eq(t.bytes, wanted));
    }
}

static void check_answer(struct arena *a, const struct corpus_item *item, struct tally *t,
                         const struct dialect *from, const struct dialect *to)
{
    if (item->response.len == 0 || item->status != 200) {
        t->absent++;
        return;
    }
    if (left_out_answer(item->id, to)) {
        print_message("#   left out: %s: %s\n", item->id, left_out_answer(item->id, to));
        t->left_out++;
        return;
    }
    struct answer *s = arena_new(a, struct answer), *d = arena_new(a, struct answer);
    assert_true(digest(a, from, item->response, item->streamed, s));
    for (int stream_out = 0; stream_out < 2; stream_out++) {
        struct translated x = translate_answer(a, from, to, asked_of(a, item, from), item->response,
                                               item->streamed, stream_out, FEED_WHOLE, 0);
        if (x.err != ERR_OK)
            fail_msg("%s: %s", item->id, err_name(x.err));
        assert_int_equal(x.errored, s->error);
        assert_int_equal(x.ended, !s->error);
        if (stream_out)
            assert_grammar(item->id, to, x.bytes, s->error ? GRAMMAR_ERROR : GRAMMAR_COMPLETE);
        if (stream_out && item->streamed)
            assert_split_alike(a, item, from, to, x.bytes);
        if (s->error)
            continue;
        if (!digest(a, to, x.bytes, stream_out, d))
            fail_msg("%s: not an answer: %.*s", item->id, SPAN_FMT(span_take(x.bytes, 2000)));
        assert_same_answer(a, item->id, s, d, from, to);
    }
    t->done++;
}

static void chat_answer_to_messages(struct arena *a, const struct corpus_item *item,
                                    struct tally *t)
{
    check_answer(a, item, t, &dialect_openai_chat, &dialect_anthropic);
}

static void messages_answer_to_chat(struct arena *a, const struct corpus_item *item,
                                    struct tally *t)
{
    check_answer(a, item, t, &dialect_anthropic, &dialect_openai_chat);
}

static void responses_answer_to_messages(struct arena *a, const struct corpus_item *item,
                                         struct tally *t)
{
    check_answer(a, item, t, &dialect_openai_responses, &dialect_anthropic);
}

static void responses_answer_to_chat(struct arena *a, const struct corpus_item *item,
                                     struct tally *t)
{
    check_answer(a, item, t, &dialect_openai_responses, &dialect_openai_chat);
}

static void messages_answer_to_responses(struct arena *a, const struct corpus_item *item,
                                         struct tally *t)
{
    check_answer(a, item, t, &dialect_anthropic, &dialect_openai_responses);
}

static void chat_answer_to_responses(struct arena *a, const struct corpus_item *item,
                                     struct tally *t)
{
    check_answer(a, item, t, &dialect_openai_chat, &dialect_openai_responses);
}

static void gemini_answer(struct arena *a, const struct corpus_item *item, struct tally *t)
{
    const char *why = left_out_answer(item->id, &dialect_anthropic);
    if (!why) {
        check_answer(a, item, t, &dialect_gemini, &dialect_anthropic);
        check_answer(a, item, t, &dialect_gemini, &dialect_openai_chat);
        return;
    }
    struct translated x = translate_answer(a, &dialect_gemini, &dialect_anthropic, NULL,
                                           item->response, item->streamed, true, FEED_WHOLE, 0);
    print_message("#   left out: %s: %s\n", item->id, why);
    assert_int_equal(x.err, ERR_SYNTAX);
    assert_false(x.ended);
    t->left_out++;
}

/* ---- requests to Gemini ---- */

static void say_gemini_part(struct said *s, struct json part)
{
    struct json call = json_get(part, "functionCall");
    struct json response = json_path(part, "functionResponse.response");
    struct span media = json_str(json_path(part, "inlineData.data"));
    assert_true(s->media_count < ARRAY_LEN(s->media));
    if (json_present(json_get(part, "text")))
        say(s, json_get(part, "text"));
    if (media.len)
        s->media[s->media_count++] = media;
    if (json_present(call))
        say_call(s, json_get(call, "name"), json_raw(json_get(call, "args")));
    if (json_present(response))
        say(s, json_present(json_get(response, "error")) ? json_get(response, "error")
                                                         : json_get(response, "output"));
}

/* Google's rules: two roles, no empty content, a user first, and a turn's responses are as many as
 * the calls before them and stand alone. */
static void check_gemini_body(struct arena *a, struct span body, struct said *s)
{
    struct json_doc *doc = arena_new(a, struct json_doc);
    uint32_t open = 0;
    *s = (struct said){.a = a};
    assert_int_equal(json_parse(a, body, &json_limits_default, doc, NULL), ERR_OK);
    struct json contents = json_get(json_root(doc), "contents");
    struct json system = json_path(json_root(doc), "systemInstruction.parts");
    if (json_present(system))
        say_gemini_part(s, json_at(system, 0));
    assert_true(json_str_is(json_get(json_at(contents, 0), "role"), "user"));
    for (struct json c = json_first(contents); json_present(c); c = json_next(contents, c)) {
        struct json parts = json_get(c, "parts");
        bool model = json_str_is(json_get(c, "role"), "model");
        uint32_t calls = 0, responses = 0;
        assert_true(model || json_str_is(json_get(c, "role"), "user"));
        assert_true(json_len(parts) > 0);
        for (struct json p = json_first(parts); json_present(p); p = json_next(parts, p)) {
            calls += json_present(json_get(p, "functionCall"));
            responses += json_present(json_get(p, "functionResponse"));
            say_gemini_part(s, p);
        }
        assert_int_equal(responses, open);
        assert_true(responses == 0 || responses == json_len(parts));
        open = calls;
    }
}

static void request_to_gemini(struct arena *a, const struct corpus_item *item, struct tally *t,
                              const struct dialect *from)
{
    struct capability cap = capability_preset(TARGET_GEMINI, SPAN("gemini-3.5-flash"));
    const char *why = left_out_request(item->id, &dialect_gemini);
    if (item->request.len == 0) {
        t->absent++;
        return;
    }
    struct request_words w = translate_request(a, from, &dialect_gemini, &cap, item->request);
    if (w.write == ERR_UNSUPPORTED) {
        print_message("#   left out: %s: %.*s\n", item->id, SPAN_FMT(w.problem.text));
        assert_true(span_search(w.problem.text, SPAN(" given by ")) > 0 ||
                    span_starts(w.problem.text, SPAN("Several choices")));
        t->left_out++;
        return;
    }
    if (why) {
        assert_int_equal(w.read, ERR_INVALID);
        t->left_out++;
        return;
    }
    if (w.read != ERR_OK || w.write != ERR_OK)
        fail_msg("%s: %s/%s %.*s: %.*s", item->id, err_name(w.read), err_name(w.write),
                 SPAN_FMT(w.problem.param), SPAN_FMT(w.problem.text));
    struct said *said = arena_array(a, struct said, 2);
    said_of(a, item->request, &said[0]);
    check_gemini_body(a, w.body, &said[1]);
    assert_says(a, &said[0], &said[1]);
    t->done++;
}

static void chat_request_to_gemini(struct arena *a, const struct corpus_item *item, struct tally *t)
{
    request_to_gemini(a, item, t, &dialect_openai_chat);
}

static void messages_request_to_gemini(struct arena *a, const struct corpus_item *item,
                                       struct tally *t)
{
    request_to_gemini(a, item, t, &dialect_anthropic);
}

/* ---- errors ---- */

static void check_error(struct arena *a, const struct corpus_item *item, struct tally *t,
                        const struct dialect *from, const struct dialect *to)
{
    if (item->status == 200 || item->response.len == 0) {
        t->absent++;
        return;
    }
    struct json_doc in, out;
    struct chat_error error;
    struct buf body;
    buf_init(&body, 1u << 20);
    from->read_error(a, item->status, item->response, &error);
    assert_int_equal(to->write_error(&body, NULL, &error), ERR_OK);
    assert_int_equal(json_parse(a, item->response, &json_limits_default, &in, NULL), ERR_OK);
    assert_int_equal(json_parse(a, buf_span(&body), &json_limits_default, &out, NULL), ERR_OK);
    struct span wanted = json_str_decode(json_path(json_root(&in), "error.message"), a);
    struct span got = json_str_decode(json_path(json_root(&out), "error.message"), a);
    assert_true(wanted.len > 0 && span_eq(wanted, got));
    assert_true(json_str(json_path(json_root(&out), "error.type")).len > 0);
    buf_deinit(&body);
    t->done++;
}

static void chat_error_to_messages(struct arena *a, const struct corpus_item *item, struct tally *t)
{
    check_error(a, item, t, &dialect_openai_chat, &dialect_anthropic);
}

static void messages_error_to_chat(struct arena *a, const struct corpus_item *item, struct tally *t)
{
    check_error(a, item, t, &dialect_anthropic, &dialect_openai_chat);
}

static void responses_error_to_messages(struct arena *a, const struct corpus_item *item,
                                        struct tally *t)
{
    check_error(a, item, t, &dialect_openai_responses, &dialect_anthropic);
}

static void messages_error_to_responses(struct arena *a, const struct corpus_item *item,
                                        struct tally *t)
{
    check_error(a, item, t, &dialect_anthropic, &dialect_openai_responses);
}

static void gemini_error_to_messages(struct arena *a, const struct corpus_item *item,
                                     struct tally *t)
{
    check_error(a, item, t, &dialect_gemini, &dialect_anthropic);
}

/* ---- own dialect ---- */

static bool join_raw(void *ctx, const struct sse_event *e)
{
    return buf_add(ctx, e->raw) == ERR_OK;
}

/* What passthrough forwards: each event's exact bytes. */
static void raw_events_are_the_stream(struct arena *a, const struct corpus_item *item,
                                      struct tally *t)
{
    (void)a;
    if (!item->streamed) {
        t->absent++;
        return;
    }
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct buf all;
        buf_init(&all, 64u << 20);
        enum feed_cuts cuts = seed == 0 ? FEED_WHOLE : seed == 1 ? FEED_BYTES : FEED_RANDOM;
        assert_true(feed_sse(item->response, cuts, seed, join_raw, &all));
        assert_true(span_eq(buf_span(&all), item->response));
        buf_deinit(&all);
    }
    t->done++;
}

/* ---- the tests ---- */

static void chat_requests_become_messages_requests(void **state)
{
    each(state, "openai-chat", "chat requests to Messages", chat_request_to_messages);
}

static void messages_requests_become_chat_requests(void **state)
{
    each(state, "anthropic-messages", "Messages requests to chat", messages_request_to_chat);
}

static void messages_requests_become_chat_requests_of_open_servers(void **state)
{
    each(state, "anthropic-messages", "Messages requests to vLLM", messages_request_to_vllm);
}

static void messages_requests_become_requests_of_the_other_kinds(void **state)
{
    each(state, "anthropic-messages", "Messages requests to five others",
         messages_request_to_other_kinds);
}

static void chat_answers_become_messages_answers(void **state)
{
    each(state, "openai-chat", "chat answers to Messages", chat_answer_to_messages);
}

static void messages_answers_become_chat_answers(void **state)
{
    each(state, "anthropic-messages", "Messages answers to chat", messages_answer_to_chat);
}

static void responses_requests_become_messages_requests(void **state)
{
    each(state, "openai-responses", "Responses requests to Messages",
         responses_request_to_messages);
}

static void responses_requests_become_chat_requests(void **state)
{
    each(state, "openai-responses", "Responses requests to chat", responses_request_to_chat);
}

static void other_requests_become_responses_requests(void **state)
{
    each(state, "anthropic-messages", "Messages requests to Responses",
         messages_request_to_responses);
    each(state, "openai-chat", "chat requests to Responses", chat_request_to_responses);
}

static void responses_answers_become_messages_answers(void **state)
{
    each(state, "openai-responses", "Responses answers to Messages", responses_answer_to_messages);
}

static void responses_answers_become_chat_answers(void **state)
{
    each(state, "openai-responses", "Responses answers to chat", responses_answer_to_chat);
}

static void other_answers_become_responses_answers(void **state)
{
    each(state, "anthropic-messages", "Messages answers to Responses",
         messages_answer_to_responses);
    each(state, "openai-chat", "chat answers to Responses", chat_answer_to_responses);
}

static void recorded_responses_streams_keep_the_grammar(void **state)
{
    each(state, "openai-responses", "recorded Responses streams", recorded_stream_is_grammatical);
}

static void requests_become_gemini_requests(void **state)
{
    each(state, "openai-chat", "chat requests to Gemini", chat_request_to_gemini);
    each(state, "anthropic-messages", "Messages requests to Gemini", messages_request_to_gemini);
}

static void gemini_answers_become_both(void **state)
{
    each(state, "gemini", "Gemini answers to Messages and chat", gemini_answer);
}

static void errors_keep_their_message(void **state)
{
    each(state, "openai-responses", "Responses errors to Messages", responses_error_to_messages);
    each(state, "anthropic-messages", "Messages errors to Responses", messages_error_to_responses);
    each(state, "gemini", "Gemini errors to Messages", gemini_error_to_messages);
    each(state, "openai-chat", "chat errors to Messages", chat_error_to_messages);
    each(state, "anthropic-messages", "Messages errors to chat", messages_error_to_chat);
}

static void streams_pass_through_byte_for_byte(void **state)
{
    each(state, "openai-chat", "chat streams", raw_events_are_the_stream);
    each(state, "openai-responses", "Responses streams", raw_events_are_the_stream);
    each(state, "anthropic-messages", "Messages streams", raw_events_are_the_stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(chat_requests_become_messages_requests),
        CHECK_TEST(messages_requests_become_chat_requests),
        CHECK_TEST(messages_requests_become_chat_requests_of_open_servers),
        CHECK_TEST(messages_requests_become_requests_of_the_other_kinds),
        CHECK_TEST(chat_answers_become_messages_answers),
        CHECK_TEST(messages_answers_become_chat_answers),
        CHECK_TEST(responses_requests_become_messages_requests),
        CHECK_TEST(responses_requests_become_chat_requests),
        CHECK_TEST(other_requests_become_responses_requests),
        CHECK_TEST(responses_answers_become_messages_answers),
        CHECK_TEST(responses_answers_become_chat_answers),
        CHECK_TEST(other_answers_become_responses_answers),
        CHECK_TEST(recorded_responses_streams_keep_the_grammar),
        CHECK_TEST(requests_become_gemini_requests),
        CHECK_TEST(gemini_answers_become_both),
        CHECK_TEST(errors_keep_their_message),
        CHECK_TEST(streams_pass_through_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
