/* Fit before the hop: the estimate's parts, the verdict, and what a repair leaves and says. */
#include "dialect/fit.h"

#include "base/utf8.h"
#include "dialect/tokens.h"
#include "support/check.h"
#include "support/translate.h"

#include <stdio.h>

static const struct capability plain = {.stream_options = true, .tool_name_max = 64};

static int64_t tokens(const char *text)
{
    return tokens_of_text((struct chat_text){span_from(text), false}, &plain);
}

static void tokens_follow_words_numbers_signs_and_scripts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t tokens;
    } rows[] = {
        {"", 0},
        {"hello world", 2},             /* the space belongs to the word */
        {"internationalisation", 3},    /* twenty letters */
        {"quick lazydog", 3},           /* a q and a z: half a token each */
        {"fox zxXqzj", 2},              /* neither is such a word: too short, mixed case */
        {"2026", 2},                    /* two digits each */
        {"  \n\n  x", 2},               /* a run of blanks is one */
        {"f(a, b);", 6},                /* f ( a , b ); */
        {"保持应用程序继续回答", 10},   /* a character each */
        {"Привет", 3},                  /* two letters each */
        {"ok \xf0\x9f\x98\x80", 3},     /* a word and an emoji */
        {"\x01\x02", 1},                /* blanks of a kind */
        {"caf\xc3\xa9 cr\xc3\xa8me", 4} /* caf, half an e, cr, half an e, me */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(tokens(rows[i].text), rows[i].tokens);
}

static void some_tokenizers_take_each_digit_by_itself(void **state)
{
    (void)state;
    static const struct capability one = {.single_digits = true, .claude_prompt = true};
    static const struct capability two = {.claude_prompt = true};
    struct chat_text line = {SPAN("Fact 0012: file 12, owner  7"), false};
    assert_int_equal(tokens_of_text(line, &plain), 10);
    assert_int_equal(tokens_of_text(line, &one), 15); /* 3 more digits, 2 blanks */
    assert_int_equal(tokens_of_text(line, &two), 12); /* 2 blanks */
}

/* Recorded: one message of seven tokens is 14 to Claude, with a system prompt of six it is 20. */
static void the_frame_is_the_providers(void **state)
{
    (void)state;
    struct chat_block text = {.type = CHAT_TEXT, .text = CHAT_TEXT_LIT("a b c d e f g")};
    struct chat_block words = {.type = CHAT_TEXT, .text = CHAT_TEXT_LIT("a b c d e f")};
    struct chat_message user = {.role = CHAT_USER, .blocks = &text};
    struct chat_message system = {.role = CHAT_SYSTEM, .blocks = &words, .next = &user};
    struct chat_request r = {.messages = &user, .max_tokens = -1};
    struct capability cap = capability_preset(TARGET_ANTHROPIC, SPAN("claude-sonnet-4-5"));
    assert_int_equal(tokens_of_request(&r, &cap), 14);
    assert_int_equal(tokens_of_request(&r, &plain), 14);
    r.messages = &system;
    assert_int_equal(tokens_of_request(&r, &cap), 20);
    assert_int_equal(tokens_of_request(&r, &plain), 24);
}

/* What Claude is told around tools, thinking and formats is counted where the model has it. */
static void what_a_provider_writes_by_itself_is_counted(void **state)
{
    (void)state;
    struct chat_tool tool = {.name = CHAT_TEXT_LIT("f")};
    struct chat_request r = {.max_tokens = -1};
    struct capability old = capability_preset(TARGET_ANTHROPIC, SPAN("claude-3-5-haiku-latest"));
    struct capability cap = capability_preset(TARGET_ANTHROPIC, SPAN("claude-sonnet-4-5"));
    struct capability newer = capability_preset(TARGET_ANTHROPIC, SPAN("claude-opus-4-8"));
    int64_t bare = tokens_of_request(&r, &cap);
    r.tools = &tool;
    int64_t with_tool = tokens_of_request(&r, &cap);
    assert_int_equal(with_tool - tokens_of_request(&r, &old), 200);
    r.tool_choice = CHAT_CHOICE_ANY;
    assert_int_equal(tokens_of_request(&r, &cap) - with_tool, 90);
    assert_int_equal(tokens_of_request(&r, &cap), tokens_of_request(&r, &newer));
    r = (struct chat_request){.max_tokens = -1, .thinking = CHAT_THINKING_BUDGET};
    assert_int_equal(tokens_of_request(&r, &cap) - bare, 29);
    assert_int_equal(tokens_of_request(&r, &newer), bare);
    r = (struct chat_request){.max_tokens = -1, .format_schema = SPAN("{}")};
    assert_int_equal(tokens_of_request(&r, &cap) - bare, 125 + 1);
    assert_true(newer.single_digits && !cap.single_digits);
}

static void tokens_are_the_same_with_escapes_and_without(void **state)
{
    (void)state;
    const char *plain_text = "line one\nsays \"保持\" to C:\\dir\tand \xf0\x9f\x98\x80 é";
    struct span escaped = SPAN("line one\\nsays \\\"\\u4fdd\\u6301\\\" to C:\\\\dir\\tand "
                               "\\ud83d\\ude00 \\u00E9");
    assert_int_equal(tokens_of_text((struct chat_text){escaped, true}, &plain), tokens(plain_text));
    for (size_t cut = 0; cut <= escaped.len; cut++) /* cut anywhere: no more, and no harm */
        assert_true(tokens_of_json(span_take(escaped, cut), &plain) <= tokens(plain_text) + 1);
}

static void tokens_are_never_more_than_bytes(void **state)
{
    (void)state;
    char bytes[8];
    for (uint32_t scalar = 0; scalar < 0x110000; scalar += scalar < 0x3000 ? 1 : 37) {
        if (scalar >= 0xd800 && scalar < 0xe000)
            continue;
        size_t len = utf8_encode(scalar, bytes);
        for (uint32_t next = 0; next < 0x80; next++) {
            bytes[len] = (char)next;
            struct span both = {bytes, len + 1};
            for (int digits = 0; digits < 2; digits++) {
                struct capability cap = {.single_digits = digits};
                struct chat_text text = {both, false};
                assert_true(tokens_of_text(text, &cap) <= (int64_t)both.len);
                assert_true(tokens_of_json(both, &cap) <= (int64_t)both.len);
            }
        }
    }
}

/* ---- requests ---- */

static struct chat_request read(struct arena *a, struct span body)
{
    struct json_doc doc;
    struct chat_request r = {.max_tokens = -1, .choices = 1};
    struct chat_problem problem;
    assert_int_equal(json_parse(a, body, NULL, &doc, NULL), ERR_OK);
    assert_int_equal(dialect_anthropic.read_request(a, &doc, &r, &problem), ERR_OK);
    return r;
}

/* `turns` tool calls with results of `words` numbered words, and a question behind them. */
static struct span conversation(struct arena *a, int turns, int words, int max_tokens)
{
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    enum err e = buf_printf(&b,
                            "{\"model\":\"claude-x\",\"max_tokens\":%d,\"messages\":["
                            "{\"role\":\"user\",\"content\":\"Read the files.\"}",
                            max_tokens);
    for (int t = 0; t < turns; t++) {
        e |= buf_printf(&b,
                        ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
                        "\"toolu_%d\",\"name\":\"read\",\"input\":{\"n\":%d}}]},"
                        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                        "\"tool_use_id\":\"toolu_%d\",\"content\":\"",
                        t, t, t);
        for (int w = 0; w < words; w++)
            e |= buf_printf(&b, "file%d\\u4fddline%d\\n", t, w);
        e |= buf_add_cstr(&b, "\"}]}");
    }
    e |= buf_add_cstr(&b, "]}");
    assert_int_equal(e, ERR_OK);
    struct span kept = arena_copy(a, buf_span(&b));
    buf_deinit(&b);
    return kept;
}

static enum err fit(struct arena *a, struct span body, const struct capability *cap,
                    struct fit *out, struct chat_problem *problem)
{
    struct chat_request *r = arena_new(a, struct chat_request);
    *r = read(a, body);
    return fit_request(a, r, cap, body.len, out, problem);
}

static void assert_lossy(const struct lossy *l, const char *wanted)
{
    char text[256];
    assert_bytes((struct span){text, lossy_format(l, text, sizeof text)}, wanted);
}

static struct chat_text result_text(const struct chat_request *r, int turn)
{
    for (const struct chat_message *m = r->messages; m; m = m->next)
        if (m->blocks && m->blocks->type == CHAT_TOOL_RESULT && turn-- == 0)
            return m->blocks->content->text;
    fail();
    return (struct chat_text){0};
}

static bool is_short(const struct chat_request *r, int turn)
{
    return span_search(result_text(r, turn).at, SPAN("characters left out here")) >= 0;
}

static void fit_of_an_unknown_context_or_a_small_body_is_not_estimated(void **state)
{
    struct arena *a = *state;
    struct fit f;
    struct chat_problem p;
    struct capability cap = plain;
    assert_int_equal(fit(a, conversation(a, 50, 1000, 100), &cap, &f, &p), ERR_OK);
    assert_true(f.tokens == 0 && f.lossy.count == 0);
    cap.context = 32768;
    assert_int_equal(fit(a, conversation(a, 3, 100, 4096), &cap, &f, &p), ERR_OK);
    assert_true(f.tokens == 0 && f.lossy.count == 0);
    struct span linked =
        SPAN("{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{"
             "\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://"
             "x.example/1.png\"}}]}]}");
    cap.images = true;
    cap.context = 2500; /* more than the bytes, but a picture is behind them */
    assert_int_equal(fit(a, linked, &cap, &f, &p), ERR_OK);
    assert_in_range(f.tokens, TOKENS_IMAGE, TOKENS_IMAGE + 20);
}

static void fit_lowers_the_answers_bound_to_the_room_there_is_and_says_so(void **state)
{
    struct arena *a = *state;
    struct fit f;
    struct chat_problem p;
    struct capability cap = plain;
    cap.context = 32768;
    struct span body = conversation(a, 2, 200, 32000); /* as Claude Code asks */
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
    assert_lossy(&f.lossy, LOSSY_MAX_TOKENS);
    assert_int_equal(f.request->max_tokens, 32768 - f.tokens - f.tokens / 10);
    assert_false(is_short(f.request, 0));
    cap.context = 0;
    cap.max_output = 8192;
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
    assert_lossy(&f.lossy, LOSSY_MAX_TOKENS); /* the writer lowers it: said all the same */
    cap.max_output = 32000;
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
    assert_lossy(&f.lossy, "");
}

static void fit_shortens_the_oldest_results_first_and_no_more_than_needed(void **state)
{
    struct arena *a = *state;
    struct fit f;
    struct chat_problem p;
    struct capability cap = plain;
    struct span body = conversation(a, 6, 1500, 2000);
    struct chat_request whole = read(a, body);
    int64_t all = tokens_of_request(&whole, &cap);
    int most_shortened = 0;
    for (int64_t context = all * 5 / 4; context > all / 3; context -= all / 50) {
        cap.context = context;
        assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
        assert_true(f.tokens + f.tokens / 10 + FIT_OUTPUT_LEAST <= context + 10);
        assert_int_equal(f.tokens, tokens_of_request(f.request, &cap));
        int shortened = 0;
        while (is_short(f.request, shortened))
            shortened++;
        for (int t = shortened; t < 6; t++) /* the oldest, without a gap; never the newest */
            assert_false(is_short(f.request, t));
        assert_true(shortened < 6);
        assert_int_equal(lossy_has(&f.lossy, LOSSY_TOOL_RESULT_SHORTENED), shortened > 0);
        if (shortened == 0)
            continue;
        struct chat_text last = result_text(f.request, shortened - 1);
        if (last.at.len < FIT_KEEP)
            continue; /* all are short already, and got shorter */
        int64_t saved = tokens_of_text(result_text(&whole, shortened - 1), &plain) -
                        tokens_of_text(last, &plain);
        assert_true(f.tokens + saved > (context - FIT_OUTPUT_LEAST) * 10 / 11);
        most_shortened = shortened;
    }
    assert_int_equal(most_shortened, 5);
    for (int t = 0; t < 6; t++)
        assert_false(is_short(&whole, t)); /* the original is the client's */
}

static void fit_keeps_head_and_tail_and_counts_what_is_left_out(void **state)
{
    struct arena *a = *state;
    struct fit f;
    struct chat_problem p;
    struct capability cap = plain;
    cap.context = 20000;
    assert_int_equal(fit(a, conversation(a, 2, 2000, 500), &cap, &f, &p), ERR_OK);
    struct span text = json_unescape(result_text(f.request, 0).at, a);
    assert_true(span_starts(text, SPAN("file0保line0\n")));
    assert_true(span_ends(text, SPAN("file0保line1999\n")));
    ssize_t mark = span_search(text, SPAN("\n[... "));
    struct span said = span_drop(text, (size_t)mark + 6), number;
    uint64_t left_out = 0;
    assert_true(span_next(&said, ' ', &number) && span_u64(number, &left_out) == ERR_OK);
    struct span original = json_unescape(
        result_text(
            &(struct chat_request){.messages = read(a, conversation(a, 2, 2000, 500)).messages}, 0)
            .at,
        a);
    size_t chars = 0;
    for (size_t i = 0; i < original.len; i++)
        chars += ((unsigned char)original.at[i] & 0xc0) != 0x80;
    assert_int_equal(left_out, chars - FIT_KEEP);
}

static void fit_cuts_no_escape_and_no_character(void **state)
{
    struct arena *a = *state;
    static const char *const units[] = {"\\ud83d\\ude00",   "\\nx", "\\u4fdd", "\xe4\xbf\x9d",
                                        "\xf0\x9f\x98\x80", "\\\\"};
    struct capability cap = plain;
    cap.context = 3000;
    for (size_t u = 0; u < ARRAY_LEN(units); u++)
        for (size_t shift = 0; shift < 12; shift++) {
            struct buf b;
            buf_init(&b, (size_t)1 << 20);
            enum err e = buf_add_cstr(&b, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{"
                                          "\"role\":\"user\",\"content\":[{\"type\":"
                                          "\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"");
            for (size_t i = 0; i < shift; i++)
                e |= buf_add_cstr(&b, "x");
            for (int i = 0; i < 8000; i++)
                e |= buf_add_cstr(&b, units[u]);
            e |= buf_add_cstr(&b, "\"}]},{\"role\":\"assistant\",\"content\":\"ok\"},{\"role\":"
                                  "\"user\",\"content\":\"go on\"}]}");
            assert_int_equal(e, ERR_OK);
            struct fit f;
            struct chat_problem p;
            assert_int_equal(fit(a, arena_copy(a, buf_span(&b)), &cap, &f, &p), ERR_OK);
            buf_deinit(&b);
            struct dialect_body out = {0};
            pieces_init(&out.body, a);
            assert_int_equal(
                dialect_openai_chat.write_request(a, f.request, &cap, SPAN("m"), true, &out, &p),
                ERR_OK);
            struct json_doc doc; /* the reader refuses broken UTF-8 and lone surrogates */
            assert_int_equal(json_parse(a, pieces_flatten(&out.body, a), NULL, &doc, NULL), ERR_OK);
            assert_true(is_short(f.request, 0));
        }
}

static void fit_does_the_same_to_the_same_request(void **state)
{
    struct arena *a = *state;
    struct capability cap = plain;
    cap.context = 20000;
    struct span first = SPAN_EMPTY;
    for (int i = 0; i < 3; i++) {
        struct fit f;
        struct chat_problem p;
        struct dialect_body out = {0};
        pieces_init(&out.body, a);
        assert_int_equal(fit(a, conversation(a, 5, 1500, 4000), &cap, &f, &p), ERR_OK);
        assert_int_equal(
            dialect_openai_chat.write_request(a, f.request, &cap, SPAN("m"), true, &out, &p),
            ERR_OK);
        struct span body = pieces_flatten(&out.body, a);
        if (i > 0)
            assert_true(span_eq(body, first));
        first = body;
    }
}

static void fit_is_refused_in_the_words_that_make_clients_compact(void **state)
{
    struct arena *a = *state;
    struct fit f;
    struct chat_problem p;
    struct capability cap = plain;
    cap.context = 8192;
    assert_int_equal(fit(a, conversation(a, 1, 20000, 4000), &cap, &f, &p), ERR_UNSUPPORTED);
    assert_int_equal(p.context, 8192);
    struct span rest = p.text, word;
    uint64_t n = 0, m = 0;
    assert_true(span_starts(rest, SPAN("prompt is too long: ")));
    rest = span_drop(rest, strlen("prompt is too long: "));
    assert_true(span_next(&rest, ' ', &word) && span_u64(word, &n) == ERR_OK);
    assert_true(span_starts(rest, SPAN("tokens > ")));
    rest = span_drop(rest, strlen("tokens > "));
    assert_true(span_next(&rest, ' ', &word) && span_u64(word, &m) == ERR_OK);
    assert_true(span_starts(rest, SPAN("maximum (estimated; ")));
    assert_true(n > m);
    assert_int_equal(m, 8192 - FIT_OUTPUT_LEAST);
}

static void fit_in_doubt_is_the_targets_to_judge_unless_it_cuts_in_silence(void **state)
{
    struct arena *a = *state;
    struct fit f;
    struct chat_problem p;
    struct capability cap = plain;
    struct span body = conversation(a, 1, 3000, 2000); /* the newest turn: nothing to shorten */
    struct chat_request whole = read(a, body);
    int64_t all = tokens_of_request(&whole, &cap);
    cap.context = all + FIT_OUTPUT_LEAST; /* as estimated, to the token */
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
    assert_int_equal(f.request->max_tokens, FIT_OUTPUT_LEAST);
    assert_lossy(&f.lossy, LOSSY_MAX_TOKENS);
    cap.context = all * 85 / 100 + FIT_OUTPUT_LEAST;
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
    cap.context = all * 75 / 100 + FIT_OUTPUT_LEAST;
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_UNSUPPORTED);

    cap.cuts_prompt = true;
    cap.context = all + FIT_OUTPUT_LEAST;
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_UNSUPPORTED);
    assert_int_equal(p.context, cap.context);
    cap.context = all * 112 / 100 + FIT_OUTPUT_LEAST;
    assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
}

/* What a block needs is the writers' business: the same capability, refused by name. */
static void fit_leaves_pictures_and_formats_to_the_writers(void **state)
{
    struct arena *a = *state;
    static const struct {
        const char *block, *refusal;
    } rows[] = {
        {"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
         "\"data\":\"iVBORw0KGgo=\"}}",
         "image"},
        {"{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
         "\"application/pdf\",\"data\":\"JVBERi0=\"}}",
         "document"},
    };
    struct capability cap = plain;
    cap.context = 1200;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span body = arena_printf(a,
                                        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":"
                                        "\"user\",\"content\":[%s]}]}",
                                        rows[i].block);
        struct fit f;
        struct chat_problem p;
        assert_int_equal(fit(a, body, &cap, &f, &p), ERR_OK);
        struct request_words w =
            translate_request(a, &dialect_anthropic, &dialect_openai_chat, &cap, body);
        assert_int_equal(w.write, ERR_UNSUPPORTED);
        assert_true(span_isearch(w.problem.text, span_from(rows[i].refusal)) >= 0);
    }
    struct span schema =
        SPAN("{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":"
             "\"hi\"}],\"output_config\":"
             "{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}}}");
    struct request_words w =
        translate_request(a, &dialect_anthropic, &dialect_openai_chat, &cap, schema);
    assert_int_equal(w.write, ERR_OK);
    assert_true(lossy_has(&w.lossy, LOSSY_FORMAT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(tokens_follow_words_numbers_signs_and_scripts),
        CHECK_TEST(some_tokenizers_take_each_digit_by_itself),
        CHECK_TEST(the_frame_is_the_providers),
        CHECK_TEST(what_a_provider_writes_by_itself_is_counted),
        CHECK_TEST(tokens_are_the_same_with_escapes_and_without),
        CHECK_TEST(tokens_are_never_more_than_bytes),
        CHECK_TEST(fit_of_an_unknown_context_or_a_small_body_is_not_estimated),
        CHECK_TEST(fit_lowers_the_answers_bound_to_the_room_there_is_and_says_so),
        CHECK_TEST(fit_shortens_the_oldest_results_first_and_no_more_than_needed),
        CHECK_TEST(fit_keeps_head_and_tail_and_counts_what_is_left_out),
        CHECK_TEST(fit_cuts_no_escape_and_no_character),
        CHECK_TEST(fit_does_the_same_to_the_same_request),
        CHECK_TEST(fit_is_refused_in_the_words_that_make_clients_compact),
        CHECK_TEST(fit_in_doubt_is_the_targets_to_judge_unless_it_cuts_in_silence),
        CHECK_TEST(fit_leaves_pictures_and_formats_to_the_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
