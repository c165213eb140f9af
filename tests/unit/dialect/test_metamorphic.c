/* Laws that hold for every pair of dialects, whatever is said: a request that goes from A to B and
 * back asks for the same; an answer that does is the same answer; a stream ends where the whole
 * answer stands; and a tool's input arrives byte for byte, however it was cut.
 *
 * What a pair cannot carry is no list of this file: the writers name it (struct lossy), and a
 * difference that no name explains fails. HOTSPARE_CORPUS's recordings are what is said; without
 * them the laws about them are skipped. */
#include "support/answer.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/translate.h"

static const struct side {
    const struct dialect *dialect;
    const char *protocol; /* of its recordings */
    enum target_kind kind;
    const char *model; /* what its words are written for */
} sides[] = {
    {&dialect_anthropic, "anthropic-messages", TARGET_ANTHROPIC, "claude-sonnet-4-5"},
    {&dialect_openai_chat, "openai-chat", TARGET_OPENAI, "gpt-5.1"},
    {&dialect_openai_responses, "openai-responses", TARGET_OPENAI, "gpt-5.1"},
};

/* ---- requests: what is asked for, as facts of named kinds ---- */

enum fact {
    F_SYSTEM,
    F_TEXTS,
    F_MEDIA,
    F_CALLS,
    F_RESULTS,
    F_THINKING_TEXT,
    F_OTHER,
    F_CACHED,
    F_CITED,
    F_MAX_TOKENS,
    F_TEMPERATURE,
    F_TOP_P,
    F_TOP_K,
    F_STOP,
    F_TOOLS,
    F_STRICT,
    F_SERVER_TOOLS,
    F_CHOICE,
    F_PARALLEL,
    F_FORMAT,
    F_THINKING,
    F_EFFORT,
    F_USER,
    F_COUNT
};

/* Each kind of fact, and the losses by whose names alone it may change. */
static const struct {
    const char *name;
    const char *losses[6];
} kinds[F_COUNT] = {
    [F_SYSTEM] = {"system text", {LOSSY_SYSTEM_ORDER, LOSSY_FORMAT}},
    [F_TEXTS] = {"texts",
                 {LOSSY_SYSTEM_ORDER, LOSSY_FIRST_TURN, LOSSY_PREFILL, LOSSY_DOCUMENT,
                  LOSSY_TOOL_RESULT_IMAGE, LOSSY_OTHER}},
    [F_MEDIA] = {"pictures and files", {LOSSY_IMAGE, LOSSY_DOCUMENT, LOSSY_AUDIO}},
    [F_CALLS] = {"tool calls", {LOSSY_TOOL_NAME}},
    [F_RESULTS] = {"tool results",
                   {LOSSY_TOOL_ERROR, LOSSY_TOOL_RESULT_IMAGE, LOSSY_DOCUMENT, LOSSY_OTHER}},
    [F_THINKING_TEXT] = {"past thinking", {LOSSY_THINKING, LOSSY_REDACTED_THINKING}},
    [F_OTHER] = {"blocks of one API alone", {LOSSY_OTHER, LOSSY_SERVER_TOOL}},
    [F_CACHED] = {"cache marks", {LOSSY_CACHE_CONTROL}},
    [F_CITED] = {"citations", {LOSSY_CITATIONS}},
    [F_MAX_TOKENS] = {"max_tokens", {LOSSY_MAX_TOKENS}},
    [F_TEMPERATURE] = {"temperature", {LOSSY_SAMPLING}},
    [F_TOP_P] = {"top_p", {LOSSY_SAMPLING}},
    [F_TOP_K] = {"top_k", {LOSSY_TOP_K}},
    [F_STOP] = {"stop sequences", {LOSSY_STOP}},
    [F_TOOLS] = {"tools", {LOSSY_TOOL_NAME}},
    [F_STRICT] = {"strict tools", {LOSSY_STRICT}},
    [F_SERVER_TOOLS] = {"a provider's tools", {LOSSY_SERVER_TOOL}},
    [F_CHOICE] = {"tool_choice", {LOSSY_TOOL_CHOICE, LOSSY_SERVER_TOOL, LOSSY_TOOL_NAME}},
    [F_PARALLEL] = {"parallel tools", {LOSSY_PARALLEL_TOOLS}},
    [F_FORMAT] = {"output format", {LOSSY_FORMAT}},
    [F_THINKING] = {"thinking", {LOSSY_THINKING, LOSSY_EFFORT}},
    [F_EFFORT] = {"effort", {LOSSY_EFFORT, LOSSY_THINKING}},
    [F_USER] = {"user id", {LOSSY_USER_ID}},
};

struct facts {
    struct arena *a;
    const struct chat_request *asked; /* the first of all */
    struct buf at[F_COUNT];
};

static struct span plain(struct facts *f, struct chat_text t)
{
    return t.escaped ? json_unescape(t.at, f->a) : t.at;
}

static void note(struct facts *f, enum fact kind, struct span text)
{
    assert_int_equal(buf_add(&f->at[kind], text), ERR_OK);
    assert_int_equal(buf_add_char(&f->at[kind], '\n'), ERR_OK);
}

/* Texts may be joined, or parted: words are compared, not the white space between them. */
static void note_words(struct facts *f, enum fact kind, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr(" \t\r\n", text.at[i]) || !text.at[i])
            assert_int_equal(buf_add_char(&f->at[kind], text.at[i]), ERR_OK);
}

/* JSON without the white space between its tokens; numbers and strings byte for byte. */
static void note_json(struct facts *f, enum fact kind, struct span json)
{
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        bool escape = in_string && json.at[i] == '\\' && i + 1 < json.len;
        in_string ^= json.at[i] == '"';
        if (!in_string && strchr(" \t\r\n", json.at[i]) && json.at[i])
            continue;
        assert_int_equal(buf_add(&f->at[kind], (struct span){json.at + i, escape ? 2 : 1}), ERR_OK);
        i += escape;
    }
    assert_int_equal(buf_add_char(&f->at[kind], '\n'), ERR_OK);
}

/* absent: what its absence stands for. */
static void note_number(struct facts *f, enum fact kind, struct span raw, double absent)
{
    double n = strtod(arena_printf(f->a, "%.*s", SPAN_FMT(raw)).at, NULL);
    if (raw.len && !(n >= absent && n <= absent))
        note(f, kind, arena_printf(f->a, "%.12g", n));
}

static void note_block(struct facts *f, const struct chat_message *m, const struct chat_block *b,
                       bool in_result)
{
    enum fact words = m->role == CHAT_SYSTEM ? F_SYSTEM : in_result ? F_RESULTS : F_TEXTS;
    if (b->cached)
        note(f, F_CACHED, SPAN("mark"));
    if (b->citations.len)
        note(f, F_CITED, SPAN("cited"));
    switch (b->type) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        note_words(f, words, plain(f, b->text));
        break;
    case CHAT_DOCUMENT:
        if (b->source.kind == CHAT_SOURCE_TEXT) /* as good as a text */
            note_words(f, words, plain(f, b->source.data));
        for (const struct chat_block *c = b->content; c; c = c->next)
            note_block(f, m, c, in_result);
        if (b->source.kind != CHAT_SOURCE_TEXT && !b->content)
            note(f, F_MEDIA, plain(f, b->source.data));
        break;
    case CHAT_IMAGE:
    case CHAT_AUDIO:
        note(f, F_MEDIA, plain(f, b->source.data));
        break;
    case CHAT_THINKING:
    case CHAT_REDACTED_THINKING:
        note(f, F_THINKING_TEXT, plain(f, b->text));
        break;
    case CHAT_TOOL_USE:
        note(f, F_CALLS, plain(f, b->name));
        note_json(f, F_CALLS, plain(f, b->input).len ? plain(f, b->input) : SPAN("{}"));
        break;
    case CHAT_TOOL_RESULT:
        note(f, F_RESULTS, b->is_error ? SPAN("error") : SPAN("result"));
        for (const struct chat_block *c = b->content; c; c = c->next)
            note_block(f, m, c, true);
        break;
    case CHAT_OTHER:
        if (!span_is(plain(f, b->name), DIALECT_FALLBACK)) /* a mark that says nothing */
            note(f, F_OTHER, plain(f, b->name));
        break;
    default:
        note(f, F_SERVER_TOOLS, SPAN("block"));
    }
}

/* Some servers want `properties` to be there; an empty one says nothing. */
static struct span schema_of(struct facts *f, struct span raw)
{
    ssize_t at = span_search(raw, SPAN("\"properties\":{},"));
    return at < 0 ? raw
                  : arena_printf(f->a, "%.*s%.*s", SPAN_FMT(span_take(raw, (size_t)at)),
                                 SPAN_FMT(span_drop(raw, (size_t)at + 16)));
}

/* A client's tool that its API knows by its type (Anthropic's memory, text editor): another API is
 * told in a description and a schema what the type stands for. */
static bool is_typed(const struct facts *f, const struct chat_tool *tool)
{
    for (const struct chat_tool *t = f->asked->tools; t; t = t->next)
        if (t->wire_type.len && !t->server && span_eq(t->name.at, tool->name.at))
            return true;
    return false;
}

static void note_tools(struct facts *f, const struct chat_request *r)
{
    static const char *const choices[] = {"auto", "auto", "any", "none", "named"};
    bool carried = false;
    for (const struct chat_tool *t = r->tools; t; t = t->next) {
        if (t->cached)
            note(f, F_CACHED, SPAN("mark"));
        if (t->server) {
            note(f, F_SERVER_TOOLS, plain(f, t->name));
            continue;
        }
        note(f, F_TOOLS, plain(f, t->name));
        carried = true;
        if (!is_typed(f, t)) {
            note(f, F_TOOLS, plain(f, t->description));
            note_json(f, F_TOOLS, schema_of(f, t->schema));
        }
        if (t->strict == CHAT_YES)
            note(f, F_STRICT, plain(f, t->name));
    }
    if (!carried)
        return;
    note(f, F_CHOICE, span_from(choices[r->tool_choice]));
    note(f, F_CHOICE, plain(f, r->tool_choice_name));
    note(f, F_PARALLEL, r->parallel_tools == CHAT_NO ? SPAN("one") : SPAN("many"));
}

static void note_settings(struct facts *f, const struct chat_request *r)
{
    if (r->cached)
        note(f, F_CACHED, SPAN("mark"));
    if (r->max_tokens > 0)
        note(f, F_MAX_TOKENS, arena_printf(f->a, "%lld", (long long)r->max_tokens));
    note_number(f, F_TEMPERATURE, r->temperature, 1);
    note_number(f, F_TOP_P, r->top_p, 1);
    note_number(f, F_TOP_K, r->top_k, -1);
    for (size_t i = 0; i < r->stop.count; i++)
        note(f, F_STOP, plain(f, r->stop.at[i]));
    if (r->format > CHAT_FORMAT_TEXT) {
        note(f, F_FORMAT, r->format == CHAT_FORMAT_JSON ? SPAN("json") : SPAN("schema"));
        note_json(f, F_FORMAT, r->format_schema);
    }
    if (r->thinking > CHAT_THINKING_OFF)
        note(f, F_THINKING, SPAN("on"));
    bool only_on = r->thinking == CHAT_THINKING_ADAPTIVE && chat_text_empty(r->effort);
    note(f, F_EFFORT, only_on ? SPAN("medium") : plain(f, r->effort)); /* OpenAI's default */
    note(f, F_USER, plain(f, r->user_id));
}

static struct facts facts_of(struct arena *a, const struct chat_request *r,
                             const struct chat_request *asked)
{
    struct facts f = {.a = a, .asked = asked};
    for (size_t i = 0; i < F_COUNT; i++)
        buf_init(&f.at[i], 64u << 20);
    for (const struct chat_message *m = r->messages; m; m = m->next)
        for (const struct chat_block *b = m->blocks; b; b = b->next)
            note_block(&f, m, b, false);
    note_tools(&f, r);
    note_settings(&f, r);
    return f;
}

static void facts_deinit(struct facts *f)
{
    for (size_t i = 0; i < F_COUNT; i++)
        buf_deinit(&f->at[i]);
}

static bool is_explained(enum fact kind, const struct lossy *there, const struct lossy *back)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds[kind].losses) && kinds[kind].losses[i]; i++)
        if (lossy_has(there, kinds[kind].losses[i]) || lossy_has(back, kinds[kind].losses[i]))
            return true;
    return false;
}

struct tally {
    size_t kept, lost, refused, absent, unexplained;
    size_t explained[F_COUNT];
};

static void compare(const char *id, const struct facts *was, const struct facts *is,
                    const struct lossy *there, const struct lossy *back, struct tally *t)
{
    bool lost = false;
    for (size_t i = 0; i < F_COUNT; i++) {
        struct span x = buf_span(&was->at[i]), y = buf_span(&is->at[i]);
        if (span_eq(x, y) || (i == F_MAX_TOKENS && x.len == 0)) /* a default is no loss */
            continue;
        lost = true;
        t->explained[i]++;
        if (is_explained((enum fact)i, there, back))
            continue;
        char said[2][256];
        (void)lossy_format(there, said[0], sizeof said[0]);
        (void)lossy_format(back, said[1], sizeof said[1]);
        print_error("%s: %s changed, and neither \"%s\" nor \"%s\" says so:\n  %.*s\n  %.*s\n", id,
                    kinds[i].name, said[0], said[1], SPAN_FMT(span_take(x, 500)),
                    SPAN_FMT(span_take(y, 500)));
        t->unexplained++;
    }
    t->kept += !lost;
    t->lost += lost;
}

static struct capability words_for(const struct side *s)
{
    return capability_preset(s->kind, span_from(s->model));
}

/* A -> B -> A. What B or A refuses by name is counted; that it may be refused is test_corpus.c's.
 */
static void there_and_back(struct arena *a, const struct corpus_item *item, const struct side *from,
                           const struct side *to, struct tally *t)
{
    struct capability cap[2] = {words_for(to), words_for(from)};
    struct request_words there =
        translate_request(a, from->dialect, to->dialect, &cap[0], item->request);
    if (there.read != ERR_OK || there.write != ERR_OK) {
        assert_true(there.problem.text.len > 10);
        t->refused++;
        return;
    }
    struct request_words back =
        translate_request(a, to->dialect, from->dialect, &cap[1], there.body);
    assert_int_equal(back.read, ERR_OK);
    if (back.write != ERR_OK) { /* a file by URL that Mistral took, and OpenAI does not */
        assert_int_equal(back.write, ERR_UNSUPPORTED);
        assert_true(back.problem.text.len > 10);
        t->refused++;
        return;
    }
    struct request_words again =
        translate_request(a, from->dialect, from->dialect, &cap[1], back.body);
    assert_int_equal(again.read, ERR_OK);
    struct facts was = facts_of(a, &there.request, &there.request),
                 is = facts_of(a, &again.request, &there.request);
    compare(item->id, &was, &is, &there.lossy, &back.lossy, t);
    facts_deinit(&was);
    facts_deinit(&is);
}

/* ---- answers ---- */

static bool digest(struct arena *a, const struct dialect *d, struct span body, bool streamed,
                   struct answer *out)
{
    return (d == &dialect_anthropic          ? answer_of_messages
            : d == &dialect_openai_responses ? answer_of_responses
                                             : answer_of_chat)(a, body, streamed, out);
}

/* One word for each stop: OpenAI's, and its imitators', say the same in several ways; Messages has
 * some that no other has, which through another are the word beside. */
static struct span stop_of(const struct answer *x, const struct dialect *from,
                           const struct dialect *through)
{
    if (from == &dialect_openai_responses)
        return x->stop.len ? x->stop : SPAN("completed");
    if (from == &dialect_openai_chat) {
        if (span_is(x->stop, "content_filter"))
            return x->stop;
        if (span_is(x->stop, "length") || span_is(x->stop, "model_length"))
            return SPAN("length");
        return x->tool_count ? SPAN("tool_calls") : SPAN("stop");
    }
    if (through != from && span_is(x->stop, "model_context_window_exceeded"))
        return SPAN("max_tokens");
    if (through != from && (span_is(x->stop, "stop_sequence") || span_is(x->stop, "pause_turn")))
        return SPAN("end_turn");
    return x->stop;
}

static struct span said_in_all(struct arena *a, const struct answer *x)
{
    return arena_printf(a, "%.*s%.*s", SPAN_FMT(x->text), SPAN_FMT(x->refusal));
}

static int64_t told(int64_t n)
{
    return n < 0 ? 0 : n;
}

static const char *how_they_differ(struct arena *a, const struct answer *x, const struct answer *y)
{
    if (!span_eq(said_in_all(a, x), said_in_all(a, y)))
        return "text";
    if (!span_eq(x->thinking, y->thinking))
        return "thinking";
    if (x->tool_count != y->tool_count)
        return "the number of calls";
    for (size_t i = 0; i < x->tool_count; i++)
        if (!span_eq(x->tools[i].name, y->tools[i].name) ||
            !json_text_same(a, x->tools[i].input.len ? x->tools[i].input : SPAN("{}"),
                            y->tools[i].input.len ? y->tools[i].input : SPAN("{}")) ||
            (x->tools[i].id.len && !span_eq(x->tools[i].id, y->tools[i].id)))
            return "a call";
    if (told(x->input) != told(y->input) || told(x->output) != told(y->output) ||
        told(x->cache_read) != told(y->cache_read) || told(x->cache_write) != told(y->cache_write))
        return "usage";
    return x->complete == y->complete ? NULL : "the end";
}

static void expect_same(struct arena *a, const char *id, const char *law, const struct answer *x,
                        const struct answer *y, struct tally *t)
{
    const char *what = how_they_differ(a, x, y);
    if (what) {
        print_error("%s: %s: %s differs\n  %.*s %.*s(%.*s)\n  %.*s %.*s(%.*s)\n", id, law, what,
                    SPAN_FMT(span_take(x->text, 300)), SPAN_FMT(x->tools[0].name),
                    SPAN_FMT(x->tools[0].input), SPAN_FMT(span_take(y->text, 300)),
                    SPAN_FMT(y->tools[0].name), SPAN_FMT(y->tools[0].input));
        t->unexplained++;
    }
}

static void expect_stop(const char *id, struct span got, struct span wanted, struct tally *t)
{
    if (span_eq(got, wanted))
        return;
    print_error("%s: stop was %.*s, is %.*s\n", id, SPAN_FMT(wanted), SPAN_FMT(got));
    t->unexplained++;
}

/* The answer as B's client gets it, whole and as a stream: the same answer; and each of them, read
 * as an upstream's, is A's answer again. */
static void answer_there_and_back(struct arena *a, const struct corpus_item *item,
                                  const struct side *from, const struct side *to, struct tally *t)
{
    struct answer *was = arena_new(a, struct answer), *forms = arena_array(a, struct answer, 2),
                  *is = arena_new(a, struct answer);
    if (!digest(a, from->dialect, item->response, item->streamed, was) || was->error) {
        t->absent++;
        return;
    }
    /* A call in free text: Messages has no form for it, and such a tool is not offered from there.
     */
    if (to->dialect == &dialect_anthropic &&
        span_search(item->response, SPAN("\"custom_tool_call\"")) >= 0) {
        t->refused++;
        return;
    }
    size_t before = t->unexplained;
    for (int stream = 0; stream < 2; stream++) {
        struct translated there =
            translate_answer(a, from->dialect, to->dialect, NULL, item->response, item->streamed,
                             stream, FEED_WHOLE, 0);
        if (there.err != ERR_OK) { /* test_corpus.c says which, and why */
            t->refused++;
            return;
        }
        assert_true(digest(a, to->dialect, there.bytes, stream, &forms[stream]));
        struct translated back = translate_answer(a, to->dialect, from->dialect, NULL, there.bytes,
                                                  stream, item->streamed, FEED_WHOLE, 0);
        assert_int_equal(back.err, ERR_OK);
        assert_true(digest(a, from->dialect, back.bytes, item->streamed, is));
        expect_same(a, item->id, stream ? "there as a stream, and back" : "there whole, and back",
                    was, is, t);
        expect_stop(item->id, stop_of(is, from->dialect, to->dialect),
                    stop_of(was, from->dialect, to->dialect), t);
    }
    expect_same(a, item->id, "whole against streamed", &forms[0], &forms[1], t);
    expect_stop(item->id, forms[1].stop, forms[0].stop, t);
    t->kept += before == t->unexplained;
}

/* ---- each pair, each recording ---- */

static void each_pair(void **state, const char *what, bool (*has)(const struct corpus_item *),
                      void (*check)(struct arena *, const struct corpus_item *, const struct side *,
                                    const struct side *, struct tally *))
{
    size_t unexplained = 0;
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: recorded exchanges are not checked\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        struct corpus c = corpus_open(*state, sides[i].protocol);
        for (size_t k = 0; k < ARRAY_LEN(sides); k++) {
            struct tally t = {0};
            for (size_t n = 0; k != i && n < c.count; n++) {
                struct arena a;
                arena_init(&a, SIZE_MAX);
                if (has(&c.items[n]))
                    check(&a, &c.items[n], &sides[i], &sides[k], &t);
                else
                    t.absent++;
                arena_deinit(&a);
            }
            if (k == i)
                continue;
            print_message("# %s: %s by %s: %zu the same, %zu less what is named, %zu refused by "
                          "name, %zu not recorded\n",
                          what, sides[i].dialect->name, sides[k].dialect->name, t.kept, t.lost,
                          t.refused, t.absent);
            for (size_t f = 0; f < F_COUNT; f++)
                if (t.explained[f])
                    print_message("#     %zu: %s\n", t.explained[f], kinds[f].name);
            assert_true(t.kept > 20);
            unexplained += t.unexplained;
        }
    }
    assert_int_equal(unexplained, 0);
}

static bool has_request(const struct corpus_item *item)
{
    return item->request.len > 0;
}

static bool has_answer(const struct corpus_item *item)
{
    return item->response.len > 0 && item->status == 200;
}

static void a_request_there_and_back_asks_the_same(void **state)
{
    each_pair(state, "requests", has_request, there_and_back);
}

static void an_answer_there_and_back_is_the_same(void **state)
{
    each_pair(state, "answers", has_answer, answer_there_and_back);
}

/* ---- values that a reader of JSON is tempted to change ---- */

#define HARD                                                                                       \
    "{\"id\":12345678901234567890,\"zero\":-0,\"huge\":1e400,\"tiny\":1.0E-400,\"one\":1.0,"       \
    "\"lone\":\"\\ud800 \\udc00\",\"nul\":\"a\\u0000b\",\"pair\":\"\\ud83d\\ude00\","              \
    "\"slash\":\"\\/\",\"quote\":\"\\\"\\\\\"}"

/* HARD's pieces around a cut, each as the inside of a JSON string. */
static struct span quoted(struct arena *a, struct span text)
{
    char *out = arena_alloc(a, text.len * 2 + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '"' || text.at[i] == '\\')
            out[len++] = '\\';
        out[len++] = text.at[i];
    }
    return (struct span){out, len};
}

static struct span messages_stream(struct arena *a, struct span x, struct span y)
{
#define PIECE                                                                                      \
    "event: content_block_delta\n"                                                                 \
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\"" \
    ",\"partial_json\":\"%.*s\"}}\n\n"
    return arena_printf(
        a,
        "event: message_start\n"
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\","
        "\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,"
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
        "event: content_block_start\n"
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"tool_use\",\"id\":\"toolu_12345678901234567890\",\"name\":\"f\",\"input\":{}}}\n\n" PIECE
            PIECE "event: content_block_stop\n"
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: message_delta\n"
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\","
        "\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        SPAN_FMT(x), SPAN_FMT(y));
#undef PIECE
}

static struct span chat_stream(struct arena *a, struct span x, struct span y)
{
#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"   \
    "\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" finish          \
    "}]}\n\n"
#define PIECE CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"%.*s\"}}]", "null")
    return arena_printf(
        a,
        CHUNK("\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":"
              "\"toolu_12345678901234567890\",\"type\":\"function\",\"function\":{\"name\":\"f\","
              "\"arguments\":\"\"}}]",
              "null") PIECE PIECE CHUNK("", "\"tool_calls\"") "data: [DONE]\n\n",
        SPAN_FMT(x), SPAN_FMT(y));
#undef PIECE
#undef CHUNK
}

static struct span responses_stream(struct arena *a, struct span x, struct span y)
{
#define ITEM(status)                                                                               \
    "{\"id\":\"fc_1\",\"type\":\"function_call\",\"status\":\"" status                             \
    "\",\"call_id\":\"toolu_12345678901234567890\",\"name\":\"f\",\"arguments\":\"%.*s\"}"
#define RESPONSE(status, output)                                                                   \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"model\":\"gpt-x\",\"status\":"  \
    "\"" status "\",\"output\":[" output "],\"usage\":null}"
#define PIECE                                                                                      \
    "event: response.function_call_arguments.delta\n"                                              \
    "data: {\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"fc_1\","             \
    "\"output_index\":0,\"delta\":\"%.*s\"}\n\n"
    struct span all = quoted(a, SPAN(HARD));
    return arena_printf(
        a,
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":" RESPONSE(
            "in_progress",
            "") "}\n\n"
                "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\","
                "\"output_index\":0,\"item\":" ITEM(
                    "in_progress") "}\n\n" PIECE PIECE
                                   "event: response.function_call_arguments.done\n"
                                   "data: "
                                   "{\"type\":\"response.function_call_arguments.done\",\"item_"
                                   "id\":\"fc_1\","
                                   "\"output_index\":0,\"arguments\":\"%.*s\"}\n\n"
                                   "event: response.output_item.done\ndata: "
                                   "{\"type\":\"response.output_item.done\","
                                   "\"output_index\":0,\"item\":" ITEM(
                                       "completed") "}\n\n"
                                                    "event: response.completed\ndata: "
                                                    "{\"type\":\"response.completed\","
                                                    "\"response\":" RESPONSE(
                                                        "completed", ITEM("completed")) "}\n\n",
        0, "", SPAN_FMT(x), SPAN_FMT(y), SPAN_FMT(all), SPAN_FMT(all), SPAN_FMT(all));
#undef PIECE
#undef RESPONSE
#undef ITEM
}

static struct span stream_in(struct arena *a, const struct dialect *d, size_t cut)
{
    struct span all = SPAN(HARD), x = quoted(a, span_take(all, cut)),
                y = quoted(a, span_drop(all, cut));
    return d == &dialect_anthropic     ? messages_stream(a, x, y)
           : d == &dialect_openai_chat ? chat_stream(a, x, y)
                                       : responses_stream(a, x, y);
}

static void input_arrives(struct arena *a, const struct dialect *from, const struct dialect *to,
                          struct span stream, bool stream_out, enum feed_cuts cuts)
{
    struct answer *got = arena_new(a, struct answer);
    struct translated t = translate_answer(a, from, to, NULL, stream, true, stream_out, cuts, 0);
    assert_int_equal(t.err, ERR_OK);
    assert_true(digest(a, to, t.bytes, stream_out, got));
    assert_int_equal(got->tool_count, 1);
    assert_bytes(got->tools[0].id, "toolu_12345678901234567890");
    if (!span_is(got->tools[0].input, HARD))
        fail_msg("%s to %s, %s:\n  %.*s\n  %s", from->name, to->name,
                 stream_out ? "streamed" : "whole", SPAN_FMT(got->tools[0].input), HARD);
}

static void a_tool_input_cut_anywhere_arrives_byte_for_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        for (size_t k = 0; k < ARRAY_LEN(sides); k++)
            for (size_t cut = 0; cut <= sizeof HARD - 1; cut++) {
                struct arena a;
                arena_init(&a, SIZE_MAX);
                struct span s = stream_in(&a, sides[i].dialect, cut);
                for (int stream_out = 0; stream_out < 2; stream_out++)
                    input_arrives(&a, sides[i].dialect, sides[k].dialect, s, stream_out,
                                  cut % 8 ? FEED_WHOLE : FEED_BYTES);
                arena_deinit(&a);
            }
}

/* A conversation with all of it: in a text, in a past call's input and id, in its result. */
#define TEXT "n 12345678901234567890 -0 1e400 \\ud800 \\u0000 \\ud83d\\ude00 end"
#define ID "toolu_12345678901234567890"
static struct span asked_in(struct arena *a, const struct dialect *d)
{
    struct span args = quoted(a, SPAN(HARD));
    if (d == &dialect_anthropic)
        return SPAN("{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                    "\"content\":\"" TEXT "\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
                    "\"tool_use\",\"id\":\"" ID "\",\"name\":\"f\",\"input\":" HARD
                    "}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                    "\"tool_use_id\":\"" ID "\",\"content\":\"" TEXT "\"}]}]}");
    if (d == &dialect_openai_chat)
        return arena_printf(
            a,
            "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"" TEXT
            "\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" ID
            "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"%.*s\"}}]},"
            "{\"role\":\"tool\",\"tool_call_id\":\"" ID "\",\"content\":\"" TEXT "\"}]}",
            SPAN_FMT(args));
    return arena_printf(
        a,
        "{\"model\":\"m\",\"max_output_tokens\":9,\"input\":[{\"role\":\"user\",\"content\":\"" TEXT
        "\"},{\"type\":\"function_call\",\"call_id\":\"" ID
        "\",\"name\":\"f\",\"arguments\":\"%.*s\"},{\"type\":\"function_call_output\","
        "\"call_id\":\"" ID "\",\"output\":\"" TEXT "\"}]}",
        SPAN_FMT(args));
}

static size_t times(struct span in, struct span what)
{
    size_t count = 0;
    for (ssize_t at; (at = span_search(in, what)) >= 0; count++)
        in = span_drop(in, (size_t)at + what.len);
    return count;
}

static void hard_values_survive_in_requests(void **state)
{
    struct arena *a = *state;
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        for (size_t k = 0; k < ARRAY_LEN(sides); k++) {
            struct capability cap = words_for(&sides[k]);
            struct request_words w = translate_request(a, sides[i].dialect, sides[k].dialect, &cap,
                                                       asked_in(a, sides[i].dialect));
            bool raw = sides[k].dialect == &dialect_anthropic;
            struct span input = raw ? SPAN(HARD) : quoted(a, SPAN(HARD));
            assert_int_equal(w.read, ERR_OK);
            assert_int_equal(w.write, ERR_OK);
            if (times(w.body, SPAN(TEXT)) != 2 || times(w.body, input) != 1 ||
                times(w.body, SPAN("\"" ID "\"")) != 2)
                fail_msg("%s to %s:\n%.*s", sides[i].dialect->name, sides[k].dialect->name,
                         SPAN_FMT(w.body));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(a_request_there_and_back_asks_the_same),
        CHECK_TEST(an_answer_there_and_back_is_the_same),
        CHECK_TEST(a_tool_input_cut_anywhere_arrives_byte_for_byte),
        CHECK_TEST(hard_values_survive_in_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
