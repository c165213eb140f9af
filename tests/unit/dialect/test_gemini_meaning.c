/* Recorded Messages traffic to Gemini and back: every field of every recorded request stands in
 * Gemini's body, or its loss is named; every recorded answer, said by Gemini instead, reaches the
 * client as it was; and its signed calls go back signed. */
#include "dialect/dialect_internal.h"
#include "support/answer.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/translate.h"

struct loop { /* one recording */
    struct arena *a;
    const char *id;
    struct json asked, body; /* Messages; Gemini */
    struct request_words w;
    struct capability cap;
};

static struct json parsed(struct arena *a, struct span text)
{
    struct json_doc *doc = arena_new(a, struct json_doc);
    if (json_parse(a, text, &json_limits_default, doc, NULL) != ERR_OK)
        return JSON_ABSENT;
    return json_root(doc);
}

static void check(const struct loop *l, bool good, const char *what)
{
    if (!good)
        fail_msg("%s: %s\n%.*s\n%.*s", l->id, what, SPAN_FMT(span_take(json_raw(l->asked), 4000)),
                 SPAN_FMT(span_take(l->w.body, 4000)));
}

static bool named(const struct loop *l, const char *loss)
{
    return lossy_has(&l->w.lossy, loss);
}

static bool same(const struct loop *l, struct json x, struct json y)
{
    return json_present(x) == json_present(y) && (!json_present(x) || json_same(l->a, x, y));
}

/* ---- parameters ---- */

static void check_numbers(const struct loop *l)
{
    struct json config = json_get(l->body, "generationConfig");
    int64_t wanted = 0, got = 0;
    if (json_i64(json_get(l->asked, "max_tokens"), &wanted) == ERR_OK) {
        wanted = wanted > l->cap.max_output ? l->cap.max_output : wanted < 1 ? 1 : wanted;
        check(l, json_i64(json_get(config, "maxOutputTokens"), &got) == ERR_OK && got == wanted,
              "max_tokens");
    }
    check(l, same(l, json_get(l->asked, "temperature"), json_get(config, "temperature")),
          "temperature");
    check(l, same(l, json_get(l->asked, "top_p"), json_get(config, "topP")), "top_p");
    check(l, same(l, json_get(l->asked, "top_k"), json_get(config, "topK")), "top_k");
    struct json stops = json_get(l->asked, "stop_sequences");
    for (uint32_t i = 0; i < json_len(stops); i++)
        check(l,
              i < 5 ? same(l, json_at(stops, i), json_at(json_get(config, "stopSequences"), i))
                    : named(l, LOSSY_STOP),
              "stop_sequences");
}

static void check_format_and_thinking(const struct loop *l)
{
    struct json config = json_get(l->body, "generationConfig");
    struct json format = json_path(l->asked, "output_config.format.schema");
    struct json old = json_path(l->asked, "output_format.schema");
    check(l, same(l, json_present(format) ? format : old, json_get(config, "responseJsonSchema")),
          "output_config.format");
    struct json type = json_path(l->asked, "thinking.type");
    struct json level = json_path(config, "thinkingConfig.thinkingLevel");
    struct json effort = json_path(l->asked, "output_config.effort");
    bool thinks = json_str_is(type, "enabled") || json_str_is(type, "adaptive");
    check(l, !thinks || json_true(json_path(config, "thinkingConfig.includeThoughts")), "thinking");
    check(l, !json_str_is(type, "enabled") || named(l, LOSSY_EFFORT), "a budget as a level");
    check(l, !json_str_is(type, "disabled") || named(l, LOSSY_EFFORT), "thinking cannot stop");
    if (json_present(effort))
        check(l, same(l, effort, level) || named(l, LOSSY_EFFORT), "effort");
}

static bool holds(const struct loop *l, const char *text)
{
    return span_search(json_raw(l->asked), span_from(text)) >= 0;
}

/* What Gemini has no field for. */
static void check_named(const struct loop *l)
{
    static const char *const rows[][2] = {
        {"\"cache_control\":{", LOSSY_CACHE_CONTROL},
        {"\"user_id\":\"", LOSSY_USER_ID},
        {"\"service_tier\":\"", LOSSY_SERVICE_TIER},
        {"\"disable_parallel_tool_use\":true", LOSSY_PARALLEL_TOOLS},
        {"\"context_management\":{\"edits\"", LOSSY_CONTEXT_MANAGEMENT},
        {"\"type\":\"redacted_thinking\"", LOSSY_REDACTED_THINKING},
    };
    struct buf tight; /* some recordings are indented */
    buf_init(&tight, SIZE_MAX);
    bool quoted = false;
    struct span raw = json_raw(l->asked);
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.at[i];
        quoted = c == '"' && (i == 0 || raw.at[i - 1] != '\\') ? !quoted : quoted;
        if (quoted || (c != ' ' && c != '\n'))
            assert_int_equal(buf_add_char(&tight, c), ERR_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (span_search(buf_span(&tight), span_from(rows[i][0])) >= 0)
            check(l, named(l, rows[i][1]), rows[i][0]);
    buf_deinit(&tight);
    check(l, !named(l, LOSSY_OTHER) || holds(l, "\"type\"") || holds(l, "container"), "no reason");
}

/* ---- tools ---- */

static bool starts(struct json type, const char *with)
{
    return span_starts(json_str(type), span_from(with));
}

static bool runs_at_client(struct json tool)
{
    struct json type = json_get(tool, "type");
    return !json_str(type).len || json_str_is(type, "custom") || starts(type, "bash_") ||
           starts(type, "text_editor_") || starts(type, "memory_");
}

static void check_tools(const struct loop *l)
{
    struct json tools = json_get(l->asked, "tools");
    struct json all = json_get(json_at(json_get(l->body, "tools"), 0), "functionDeclarations");
    uint32_t at = 0;
    for (struct json t = json_first(tools); json_present(t); t = json_next(tools, t)) {
        struct json f = json_at(all, at), type = json_get(t, "type");
        if (!runs_at_client(t)) {
            check(l, named(l, LOSSY_SERVER_TOOL), "a tool that runs at its provider");
            continue;
        }
        at++;
        check(l, same(l, json_get(t, "name"), json_get(f, "name")) || named(l, LOSSY_TOOL_NAME),
              "a tool's name");
        check(l, !json_true(json_get(t, "strict")) || named(l, LOSSY_STRICT), "strict");
        if (json_str(type).len && !json_str_is(type, "custom"))
            continue; /* its schema is ours */
        bool blank = span_trim(json_str(json_get(t, "description"))).len == 0;
        check(l, blank || same(l, json_get(t, "description"), json_get(f, "description")),
              "a tool's description");
        check(l, same(l, json_get(t, "input_schema"), json_get(f, "parametersJsonSchema")),
              "a tool's schema");
    }
    check(l, json_len(all) == at, "as many tools");
    struct json choice = json_path(l->asked, "tool_choice.type");
    struct json config = json_path(l->body, "toolConfig.functionCallingConfig");
    if (!json_present(choice) || at == 0)
        return;
    bool tool = json_str_is(choice, "tool");
    check(l,
          json_str_is(json_get(config, "mode"), json_str_is(choice, "auto")   ? "AUTO"
                                                : json_str_is(choice, "none") ? "NONE"
                                                                              : "ANY"),
          "tool_choice");
    check(l,
          !tool || same(l, json_path(l->asked, "tool_choice.name"),
                        json_at(json_get(config, "allowedFunctionNames"), 0)),
          "the tool to call");
}

/* ---- turns ---- */

struct walk { /* the parts of one kind, in order, over all contents */
    struct json contents, content, part;
};

static struct walk walk_of(struct json body)
{
    struct walk w = {.contents = json_get(body, "contents")};
    w.content = json_first(w.contents);
    w.part = json_first(json_get(w.content, "parts"));
    return w;
}

static struct json next_of(struct walk *w, const char *kind, const char *role)
{
    while (json_present(w->content)) {
        struct json part = w->part, parts = json_get(w->content, "parts");
        bool fits = json_str_is(json_get(w->content, "role"), role);
        if (!json_present(part)) {
            w->content = json_next(w->contents, w->content);
            w->part = json_first(json_get(w->content, "parts"));
            continue;
        }
        w->part = json_next(parts, part);
        if (fits && json_present(json_get(part, kind)))
            return json_get(part, kind);
    }
    return JSON_ABSENT;
}

static void check_block(const struct loop *l, struct json b, bool model, struct walk *calls,
                        struct walk *results, struct walk *texts)
{
    struct json type = json_get(b, "type");
    if (json_str_is(type, "tool_use")) {
        struct json call = next_of(calls, "functionCall", "model");
        check(l, same(l, json_get(b, "id"), json_get(call, "id")), "a call's id");
        check(l, same(l, json_get(b, "name"), json_get(call, "name")), "a call's name");
        check(l, same(l, json_get(b, "input"), json_get(call, "args")), "a call's input");
    } else if (json_str_is(type, "tool_result")) {
        struct json result = next_of(results, "functionResponse", "user");
        bool error = json_true(json_get(b, "is_error"));
        check(l, same(l, json_get(b, "tool_use_id"), json_get(result, "id")), "a result's id");
        check(l, json_present(json_path(result, error ? "response.error" : "response.output")),
              "whether a result is an error");
    } else if (json_str_is(type, "text") && json_str(json_get(b, "text")).len) {
        struct json text;
        do
            text = next_of(texts, "text", model ? "model" : "user");
        while (json_present(text) && !json_same(l->a, text, json_get(b, "text")));
        check(l, json_present(text), "a text in its own turn");
        check(l, json_len(json_get(b, "citations")) == 0 || named(l, LOSSY_CITATIONS), "citations");
    } else if (json_str_is(type, "thinking") && json_str(json_get(b, "thinking")).len) {
        check(l, named(l, LOSSY_THINKING), "past thinking");
    } else if (starts(type, "server_tool_use") || starts(type, "web_search_tool_result") ||
               starts(type, "code_execution_tool_result") || starts(type, "mcp_tool")) {
        check(l, named(l, LOSSY_SERVER_TOOL), "what ran at its provider");
    }
}

static void check_turns(const struct loop *l)
{
    struct json turns = json_get(l->asked, "messages");
    struct walk calls = walk_of(l->body), results = calls, said[2] = {calls, calls};
    for (struct json m = json_first(turns); json_present(m); m = json_next(turns, m)) {
        bool model = json_str_is(json_get(m, "role"), "assistant");
        struct json content = json_get(m, "content");
        if (!model && !json_str_is(json_get(m, "role"), "user"))
            continue; /* system texts in the middle: test_corpus.c */
        for (struct json b = json_is(content, JSON_ARRAY) ? json_first(content) : JSON_ABSENT;
             json_present(b); b = json_next(content, b))
            check_block(l, b, model, &calls, &results, &said[model]);
    }
    check(l, !json_present(next_of(&calls, "functionCall", "model")), "no call more");
    check(l, !json_present(next_of(&results, "functionResponse", "user")), "no result more");
}

static void requests_mean_the_same_to_gemini(void **state)
{
    if (!corpus_there())
        skip();
    struct corpus c = corpus_open(*state, "anthropic-messages");
    size_t done = 0, refused = 0;
    for (size_t i = 0; i < c.count; i++) {
        struct arena a;
        arena_init(&a, SIZE_MAX);
        struct loop l = {.a = &a,
                         .id = c.items[i].id,
                         .cap = capability_preset(TARGET_GEMINI, SPAN("gemini-3.5-flash"))};
        l.w =
            translate_request(&a, &dialect_anthropic, &dialect_gemini, &l.cap, c.items[i].request);
        if (c.items[i].request.len && l.w.read == ERR_OK && l.w.write == ERR_OK) {
            l.asked = parsed(&a, c.items[i].request);
            l.body = parsed(&a, l.w.body);
            check_numbers(&l);
            check_format_and_thinking(&l);
            check_named(&l);
            check_tools(&l);
            check_turns(&l);
            done++;
        } else if (l.w.read == ERR_OK && l.w.write == ERR_UNSUPPORTED) {
            assert_true(span_search(l.w.problem.text, SPAN(" given by ")) > 0);
            refused++;
        }
        arena_deinit(&a);
    }
    print_message("# Messages requests to Gemini: %zu, %zu refused by name\n", done, refused);
    assert_true(done > 60);
}

/* ---- answers ---- */

#define SIGNATURE "c2lnbmVk"

static void put_text_part(struct json_out *w, struct span text, bool thought)
{
    jw_object(w);
    jw_key(w, "text");
    jw_str(w, text);
    if (thought) {
        jw_key(w, "thought");
        jw_bool(w, true);
    }
    jw_object_end(w);
}

static void put_call_part(struct json_out *w, const struct answer_tool *t, bool first)
{
    jw_object(w);
    jw_key(w, "functionCall");
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, t->id);
    jw_key(w, "name");
    jw_str(w, t->name);
    jw_key(w, "args");
    jw_raw(w, span_trim(t->input).len ? t->input : SPAN("{}"));
    jw_object_end(w);
    if (first) {
        jw_key(w, "thoughtSignature");
        jw_cstr(w, SIGNATURE);
    }
    jw_object_end(w);
}

static const char *reason_of(const struct answer *s)
{
    return span_is(s->stop, "max_tokens") ? "MAX_TOKENS"
           : span_is(s->stop, "refusal")  ? "SAFETY"
                                          : "STOP";
}

static int64_t told(int64_t n)
{
    return n < 0 ? 0 : n;
}

static void put_usage(struct json_out *w, const struct answer *s)
{
    jw_key(w, "usageMetadata");
    jw_object(w);
    jw_key(w, "promptTokenCount");
    jw_i64(w, told(s->input) + told(s->cache_read));
    jw_key(w, "cachedContentTokenCount");
    jw_i64(w, told(s->cache_read));
    jw_key(w, "candidatesTokenCount");
    jw_i64(w, told(s->output));
    jw_object_end(w);
}

/* parts: which of them; last: with the end. */
static void put_answer(struct json_out *w, const struct answer *s, unsigned parts, bool last)
{
    jw_object(w);
    jw_key(w, "candidates");
    jw_array(w);
    jw_object(w);
    jw_key(w, "content");
    jw_object(w);
    jw_key(w, "parts");
    jw_array(w);
    if (s->thinking.len && parts & 1)
        put_text_part(w, s->thinking, true);
    if (s->text.len && parts & 2)
        put_text_part(w, s->text, false);
    for (size_t i = 0; i < s->tool_count && parts & 4; i++)
        put_call_part(w, &s->tools[i], i == 0);
    jw_array_end(w);
    jw_object_end(w);
    if (last) {
        jw_key(w, "finishReason");
        jw_cstr(w, reason_of(s));
    }
    jw_object_end(w);
    jw_array_end(w);
    if (last)
        put_usage(w, s);
    jw_key(w, "modelVersion");
    jw_str(w, s->model);
    jw_key(w, "responseId");
    jw_str(w, s->id);
    jw_object_end(w);
}

static struct span as_gemini(struct arena *a, const struct answer *s, bool streamed)
{
    struct buf to;
    buf_init(&to, SIZE_MAX);
    for (unsigned part = streamed ? 1 : 7; part <= 7; part = part == 4 ? 7 : part * 2) {
        struct json_out w;
        bool last = part == 7;
        size_t begin = to.len;
        if (streamed)
            assert_int_equal(buf_add_cstr(&to, "data: "), ERR_OK);
        json_out_buf(&w, &to);
        put_answer(&w, s, streamed && last ? 0 : part, last);
        for (; begin < to.len; begin++) /* an input may be indented; events are lines */
            if (to.at[begin] == '\n')
                to.at[begin] = ' ';
        if (streamed)
            assert_int_equal(buf_add_cstr(&to, "\r\n\r\n"), ERR_OK);
        if (last)
            break;
    }
    struct span text = arena_copy(a, buf_span(&to));
    buf_deinit(&to);
    return text;
}

static void assert_came_back(const char *id, struct arena *a, const struct answer *s,
                             const struct answer *d)
{
    const char *stop = span_is(s->stop, "max_tokens") || span_is(s->stop, "refusal")
                           ? arena_cstr(a, s->stop)
                       : s->tool_count ? "tool_use"
                                       : "end_turn";
    bool good = span_eq(s->text, d->text) && span_eq(s->thinking, d->thinking) &&
                s->tool_count == d->tool_count && span_is(d->stop, stop) &&
                told(s->input) == told(d->input) && told(s->cache_read) == told(d->cache_read) &&
                told(s->output) == told(d->output);
    for (size_t i = 0; i < s->tool_count && good; i++) {
        struct span x = span_trim(s->tools[i].input).len ? s->tools[i].input : SPAN("{}");
        good = span_eq(s->tools[i].id, d->tools[i].id) &&
               span_eq(s->tools[i].name, d->tools[i].name) &&
               json_same(a, parsed(a, x), parsed(a, d->tools[i].input));
    }
    if (!good)
        fail_msg("%s: came back as another answer: %.*s / %.*s", id,
                 SPAN_FMT(span_take(s->text, 500)), SPAN_FMT(span_take(d->text, 500)));
}

/* The whole answer as the client has it, with results for its calls, asked again. */
static void check_next_round(struct arena *a, const char *id, struct span whole)
{
    struct json content = json_get(parsed(a, whole), "content");
    struct capability cap = capability_preset(TARGET_GEMINI, SPAN("gemini-3.5-flash"));
    struct span results = SPAN_EMPTY;
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b))
        if (json_str_is(json_get(b, "type"), "tool_use"))
            results = arena_printf(
                a, "%.*s%s{\"type\":\"tool_result\",\"tool_use_id\":%.*s,\"content\":\"r\"}",
                SPAN_FMT(results), results.len ? "," : "", SPAN_FMT(json_raw(json_get(b, "id"))));
    struct span body = arena_printf(a,
                                    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":"
                                    "\"user\",\"content\":\"hi\"},{\"role\":\"assistant\","
                                    "\"content\":%.*s},{\"role\":\"user\",\"content\":[%.*s]}]}",
                                    SPAN_FMT(json_raw(content)), SPAN_FMT(results));
    struct request_words w = translate_request(a, &dialect_anthropic, &dialect_gemini, &cap, body);
    if (w.write != ERR_OK)
        fail_msg("%s: %.*s", id, SPAN_FMT(w.problem.text));
    struct json model = json_at(json_get(parsed(a, w.body), "contents"), 1);
    struct json parts = json_get(model, "parts");
    bool first = true;
    for (struct json p = json_first(parts); json_present(p); p = json_next(parts, p)) {
        bool call = json_present(json_get(p, "functionCall"));
        if (json_str_is(json_get(p, "thoughtSignature"), SIGNATURE) != (call && first))
            fail_msg("%s: a signature is not where it was: %.*s", id, SPAN_FMT(w.body));
        first = first && !call;
    }
    assert_false(first);
    assert_false(lossy_has(&w.lossy, LOSSY_THINKING));
}

static void answers_come_back_from_gemini(void **state)
{
    if (!corpus_there())
        skip();
    struct corpus c = corpus_open(*state, "anthropic-messages");
    size_t done = 0, rounds = 0;
    for (size_t i = 0; i < c.count; i++) {
        struct arena a;
        const struct corpus_item *item = &c.items[i];
        arena_init(&a, SIZE_MAX);
        struct answer *s = arena_new(&a, struct answer), *d = arena_new(&a, struct answer);
        bool answered = item->status == 200 && item->response.len && !item->framed &&
                        answer_of_messages(&a, item->response, item->streamed, s) && !s->error &&
                        s->complete && s->id.len;
        for (int k = 0; answered && k < 4; k++) {
            bool in = k & 1, out = k & 2;
            struct translated t =
                translate_answer(&a, &dialect_gemini, &dialect_anthropic, NULL,
                                 as_gemini(&a, s, in), in, out, in ? FEED_RANDOM : FEED_WHOLE, i);
            if (t.err != ERR_OK || !answer_of_messages(&a, t.bytes, out, d))
                fail_msg("%s: %s", item->id, err_name(t.err));
            assert_came_back(item->id, &a, s, d);
            if (!out && s->tool_count) {
                check_next_round(&a, item->id, t.bytes);
                rounds++;
            }
        }
        done += answered;
        arena_deinit(&a);
    }
    print_message("# Messages answers said by Gemini: %zu, gone on with: %zu\n", done, rounds);
    assert_true(done > 100 && rounds > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(requests_mean_the_same_to_gemini),
        CHECK_TEST(answers_come_back_from_gemini),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
