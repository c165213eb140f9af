/* A lead that dies anywhere in a recorded answer, and a spare that goes on with it.
 *
 * Every recorded stream is the lead's answer, cut behind each event (and for some at each byte) by
 * an end, a reset, a stall or an error event. The spare knows the whole answer; it computes what is
 * missing from the request it is sent, so that a wrong request is found out, and says it as models
 * do: exactly, or asked in words with its last words again, from the beginning again, or behind a
 * phrase. What the client gets must be one well-formed stream with the text and the tool calls of
 * the unbroken answer. */
#include "splice_kit.h"

#include "base/mem.h"
#include "support/corpus.h"
#include "support/grammar.h"
#include "support/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BYTEWISE_STREAMS 6 /* of each of the four tests */
#define BYTEWISE_MAX 8000  /* bytes of such a stream */
#define WRONG_TOLD 12
#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 11
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STRIDE 11
#endif
#endif
#ifndef STRIDE
#define STRIDE 1 /* every place; under the sanitizers every eleventh */
#endif

/* ---- judging ---- */

static bool same_tools(struct world *w, const struct answer *got)
{
    /* Behind a complete call the turn may end, with the calls behind it not asked for. */
    size_t n = got->tool_count;
    if (n > w->whole.tool_count || (n == 0) != (w->whole.tool_count == 0))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!span_eq(got->tools[i].name, w->whole.tools[i].name) ||
            !json_text_same(&w->turn, got->tools[i].input, w->whole.tools[i].input))
            return false;
    return true;
}

static const char *difference(struct world *w, struct span got)
{
    struct span want = w->whole.text;
    size_t at = 0;
    while (at < got.len && at < want.len && got.at[at] == want.at[at])
        at++;
    size_t from = at > 24 ? at - 24 : 0;
    return arena_cstr(&w->turn, arena_printf(&w->turn, "text at byte %zu: \"%.*s\", not \"%.*s\"",
                                             at, SPAN_FMT(span_take(span_drop(got, from), 60)),
                                             SPAN_FMT(span_take(span_drop(want, from), 60))));
}

/* A chat answer is whole behind its finish_reason, with or without its last mark and whatever comes
 * behind; where bytes pass through they go on as they came. */
static bool passed_as_it_was(const struct world *w)
{
    struct span given = span_take(w->recorded, w->cut_at);
    return w->door == &dialect_openai_chat && w->door == w->lead_speaks && !w->spare_asked &&
           (w->cut == CUT_END || w->cut == CUT_ERROR) &&
           span_search(given, SPAN("\"finish_reason\":\"")) >= 0 &&
           span_starts(buf_span(&w->got), given);
}

static void check_grammar(const struct dialect *d, struct span stream, enum grammar_end *out_end,
                          char why[GRAMMAR_WHY_MAX])
{
    if (d == &dialect_openai_responses)
        responses_grammar_check(stream, false, out_end, why);
    else
        (d == &dialect_anthropic ? messages_grammar_check : chat_grammar_check)(stream, out_end,
                                                                                why);
}

static bool read_stream(struct arena *a, const struct dialect *d, struct span stream,
                        struct answer *out)
{
    if (d == &dialect_openai_responses)
        return answer_of_responses(a, stream, true, out);
    return (d == &dialect_anthropic ? answer_of_messages : answer_of_chat)(a, stream, true, out);
}

/* The last event of a Responses stream says everything again. */
static bool says_it_again(struct world *w, const struct answer *got)
{
    struct span stream = buf_span(&w->got), last = SPAN_EMPTY;
    struct json_doc doc;
    struct answer again;
    static const struct span mark = SPAN_INIT("event: response.completed");
    ssize_t at = span_search(stream, mark);
    if (w->door != &dialect_openai_responses)
        return true;
    if (at < 0)
        return false;
    last = span_drop(stream, (size_t)at);
    last = span_drop(last, (size_t)span_search(last, SPAN("data: ")) + 6);
    if (json_parse(&w->turn, span_trim(last), NULL, &doc, NULL) != ERR_OK ||
        !answer_of_responses(&w->turn, json_raw(json_get(json_root(&doc), "response")), false,
                             &again))
        return false;
    bool same = span_eq(again.text, got->text) && again.tool_count == got->tool_count;
    for (size_t i = 0; same && i < again.tool_count; i++)
        same = span_eq(again.tools[i].input, got->tools[i].input) &&
               span_eq(again.tools[i].id, got->tools[i].id);
    return same;
}

/* NULL: as it should be. */
static const char *judge(struct world *w)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    struct answer got;
    if (w->ends != 1 || w->status != 200)
        return "no stream";
    if (w->spare_misled)
        return "the spare was asked to go on from a text that is not the answer's";
    check_grammar(w->door, buf_span(&w->got), &end, why);
    if (why[0])
        return arena_cstr(&w->turn, span_from(why));
    if (end != GRAMMAR_COMPLETE && passed_as_it_was(w))
        return NULL;
    if (end != GRAMMAR_COMPLETE)
        return end == GRAMMAR_ERROR ? "an error event" : "no end";
    if (!read_stream(&w->turn, w->door, buf_span(&w->got), &got))
        return "not an answer";
    if (!says_it_again(w, &got))
        return "the last event says something else";
    if (!span_eq(got.text, w->whole.text) &&
        !(got.tool_count > 0 && got.tool_count < w->whole.tool_count))
        return difference(w, got.text);
    return same_tools(w, &got) ? NULL : "tool calls differ";
}

/* ---- all of it ---- */

struct tally {
    size_t streams, bytewise, cases, spliced, left_out, wrong;
};

static bool breaks_grammar(const struct world *w)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    if (w->door != w->lead_speaks)
        return false;
    check_grammar(w->door, w->recorded, &end, why);
    return why[0] != 0;
}

/* Requests for which a cut answer may not go on: told so by an error event (splice.c). */
static const char *why_left_out(const struct world *w, struct span request)
{
    struct json_doc doc;
    struct arena a;
    const char *why = NULL;
    arena_init(&a, (size_t)64 << 20);
    if (json_parse(&a, request, NULL, &doc, NULL) != ERR_OK) {
        why = "the request is no JSON";
    } else {
        struct json root = json_root(&doc), list = json_get(root, "messages");
        struct json format = json_path(root, "text.format.type");
        if (json_present(json_get(root, "response_format")) ||
            (json_present(format) && !json_str_is(format, "text")) ||
            json_present(json_path(root, "output_config.format")))
            why = "structured output: ends in an honest error";
        else if (json_useful(json_get(root, "conversation")) ||
                 json_useful(json_get(root, "previous_response_id")))
            why = "it leans on what its provider keeps: ends in an honest error";
        else if (json_true(json_get(root, "logprobs")))
            why = "logprobs: ends in an honest error";
        else if (json_str_is(json_get(json_at(list, json_len(list) - 1), "role"), "assistant"))
            why = "the client's own prefill stands before the text";
        list = json_get(root, "input");
        if (json_str_is(json_get(json_at(list, json_len(list) - 1), "role"), "assistant"))
            why = "the client's own prefill stands before the text";
    }
    if (!why && breaks_grammar(w))
        why = "the recorded stream breaks the grammar, and bytes pass through as they are";
    if (!why && (w->whole.error || !w->whole.complete))
        why = "the recorded answer is not whole itself";
    if (!why && w->whole.refusal.len > 0)
        why = "a refusal: ends in an honest error";
    if (!why && w->whole.text.len + w->whole.tool_count == 0)
        why = "nothing is said in it";
    arena_deinit(&a);
    return why;
}

static void one(struct world *w, const struct corpus_item *item, struct span request,
                struct tally *t)
{
    ask(w, request);
    t->cases++;
    t->spliced += w->report.splices.count > 0;
    const char *wrong = judge(w);
    if (!wrong)
        return;
    if (t->wrong++ < WRONG_TOLD)
        (void)fprintf(stderr,
                      "# wrong: "
                      "%s, door %s, cut at byte %zu of %zu (kind %d), spare %.*s, style %d: %s\n",
                      item->id, w->door->name, w->cut_at, w->recorded.len, (int)w->cut,
                      SPAN_FMT(w->route.links[1].model), (int)w->style, wrong);
}

static bool is_boundary(struct span s, size_t at)
{
    return at >= 2 && s.at[at - 1] == '\n' && s.at[at - 2] == '\n';
}

static void cut_everywhere(struct world *w, const struct corpus_item *item, struct span request,
                           bool bytewise, struct tally *t)
{
    unsigned turn = (unsigned)t->streams, place = 0;
    for (size_t at = 1; at < w->recorded.len; at++) {
        bool boundary = is_boundary(w->recorded, at);
        if ((!boundary && !bytewise) || ++place % (STRIDE * w->every) != 0)
            continue;
        for (int cut = 0; cut < (boundary ? CUTS : 1); cut++, turn++) {
            w->cut_at = at;
            w->cut = boundary ? (enum cut)cut : (enum cut)(turn % 3);
            w->style = (enum style)(turn / 4 % STYLES);
            choose_spare(w, turn);
            one(w, item, request, t);
        }
    }
}

static struct span request_of(struct world *w, const struct corpus_item *item)
{
    if (w->lead_speaks == &dialect_openai_responses && item->request.len == 0)
        return w->door == w->lead_speaks
                   ? SPAN("{\"model\":\"m\",\"input\":\"x\",\"stream\":true}")
                   : SPAN("{\"model\":\"m\",\"max_tokens\":99,\"messages\":[{\"role\":\"user\","
                          "\"content\":\"x\"}],\"stream\":true}");
    struct span own = item->request.len
                          ? item->request
                          : SPAN("{\"model\":\"m\",\"max_tokens\":99,\"messages\":[{\"role\":"
                                 "\"user\",\"content\":\"x\"}],\"stream\":true}");
    if (w->door == w->lead_speaks)
        return own;
    struct capability cap = capability_preset(TARGET_STANDIN, SPAN("m"));
    struct request_words words = translate_request(&w->arena, w->lead_speaks, w->door, &cap, own);
    return words.read == ERR_OK && words.write == ERR_OK ? words.body : SPAN_EMPTY;
}

static void cut_all(const char *protocol, const struct dialect *lead, const struct dialect *door,
                    unsigned every)
{
    if (!corpus_there()) {
        (void)fprintf(stderr, "# skipped: HOTSPARE_CORPUS is not set\n");
        skip();
    }
    struct tally t = {0};
    struct world *w = mem_new(struct world);
    build(w);
    w->lead_speaks = lead;
    w->door = door;
    w->every = every;
    struct corpus corpus = corpus_open(&w->arena, protocol);
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_item *item = &corpus.items[i];
        if (!item->response.len || !item->streamed || item->status != 200)
            continue;
        w->recorded = item->response;
        bool read = read_stream(&w->arena, lead, w->recorded, &w->whole);
        struct span request = read ? request_of(w, item) : SPAN_EMPTY;
        const char *why = !read          ? "no answer"
                          : !request.len ? "the request cannot be said at this door"
                                         : why_left_out(w, request);
        if (why) {
            (void)fprintf(stderr, "# left out: %s: %s\n", item->id, why);
            t.left_out++;
            continue;
        }
        /* other streams at each door */
        bool bytewise = t.bytewise < BYTEWISE_STREAMS && w->recorded.len <= BYTEWISE_MAX &&
                        i % 2 == (door == lead);
        cut_everywhere(w, item, request, bytewise, &t);
        t.bytewise += bytewise;
        t.streams++;
    }
    (void)fprintf(
        stderr,
        "# %s at the %s door: %zu streams (%zu at each byte), %zu cuts, %zu gone on with, %zu "
        "streams left out\n",
        protocol, door->name, t.streams, t.bytewise, t.cases, t.spliced, t.left_out);
    if (t.wrong)
        fail_msg("%zu of %zu went wrong", t.wrong, t.cases);
    assert_true(t.streams > 5 && t.spliced > 100 / (STRIDE * every));
    tear_down(w);
    mem_free(w);
}

static void a_messages_lead_cut_anywhere_at_its_own_door(void **state)
{
    (void)state;
    cut_all("anthropic-messages", &dialect_anthropic, &dialect_anthropic, 1);
}

static void a_messages_lead_cut_anywhere_at_the_chat_door(void **state)
{
    (void)state;
    cut_all("anthropic-messages", &dialect_anthropic, &dialect_openai_chat, 1);
}

static void a_chat_lead_cut_anywhere_at_its_own_door(void **state)
{
    (void)state;
    cut_all("openai-chat", &dialect_openai_chat, &dialect_openai_chat, 1);
}

static void a_chat_lead_cut_anywhere_at_the_messages_door(void **state)
{
    (void)state;
    cut_all("openai-chat", &dialect_openai_chat, &dialect_anthropic, 1);
}

/* Every seventh place: the three together take as long as one of the others. */
static void a_messages_lead_cut_at_the_responses_door(void **state)
{
    (void)state;
    cut_all("anthropic-messages", &dialect_anthropic, &dialect_openai_responses, 7);
}

static void a_responses_lead_cut_at_its_own_door(void **state)
{
    (void)state;
    cut_all("openai-responses", &dialect_openai_responses, &dialect_openai_responses, 7);
}

static void a_responses_lead_cut_at_the_messages_door(void **state)
{
    (void)state;
    cut_all("openai-responses", &dialect_openai_responses, &dialect_anthropic, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_messages_lead_cut_anywhere_at_its_own_door),
        cmocka_unit_test(a_messages_lead_cut_anywhere_at_the_chat_door),
        cmocka_unit_test(a_chat_lead_cut_anywhere_at_its_own_door),
        cmocka_unit_test(a_chat_lead_cut_anywhere_at_the_messages_door),
        cmocka_unit_test(a_messages_lead_cut_at_the_responses_door),
        cmocka_unit_test(a_responses_lead_cut_at_its_own_door),
        cmocka_unit_test(a_responses_lead_cut_at_the_messages_door),
    };
    return cmocka_run_group_tests_name("splice", tests, NULL, NULL);
}
