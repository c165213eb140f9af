/* OpenAI Chat Completions, answers: what servers say in their many ways, and what a client gets. */
#include "support/answer.h"
#include "support/check.h"
#include "support/grammar.h"
#include "support/translate.h"

/* ---- upstream: answers ---- */

static void check_lines(void **state, const struct chat_request *asked, const char *body,
                        bool streamed, enum err wanted_err, const char *wanted)
{
    for (int cuts = FEED_WHOLE; cuts <= FEED_RANDOM; cuts++) {
        struct event_lines l;
        event_lines_init(&l);
        enum err e = read_answer(*state, &dialect_openai_chat, asked, span_from(body), streamed,
                                 (enum feed_cuts)cuts, 7, event_lines_sink(&l));
        assert_string_equal(err_name(e), err_name(wanted_err));
        assert_bytes(buf_span(&l.text), wanted);
        event_lines_deinit(&l);
    }
}

#define CHUNK(delta, finish)                                                                       \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","     \
    "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define ROLE CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null")
#define SAY(text) CHUNK("{\"content\":\"" text "\"}", "null")
#define STOP CHUNK("{}", "\"stop\"")
#define DONE "data: [DONE]\n\n"
#define USAGE                                                                                      \
    "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4," \
    "\"total_tokens\":14,\"prompt_tokens_details\":{\"cached_tokens\":6},"                         \
    "\"completion_tokens_details\":{\"reasoning_tokens\":2}}}\n\n"
#define TOOL(index, rest) CHUNK("{\"tool_calls\":[{\"index\":" #index "," rest "}]}", "null")
#define CALL(id, name, args)                                                                       \
    "\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name                       \
    "\",\"arguments\":\"" args "\"}"
#define ARGS(args) "\"function\":{\"arguments\":\"" args "\"}"

static void text_stream_is_read(void **state)
{
    check_lines(state, NULL, ROLE SAY("Hel") SAY("lo\\n") STOP USAGE DONE, true, ERR_OK,
                "start c1 m\nopen text\n+ Hel\n+ lo\\n\nclose\n"
                "usage in=4 read=6 write=-1 out=4 think=2\nfinish end_turn\nend\n");
}

/* Azure: choices [] first; llama.cpp: content null; Mistral: usage on the finish chunk. */
static void odd_chunks_are_taken(void **state)
{
    check_lines(
        state, NULL,
        "data: {\"id\":\"\",\"model\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n"
        ": keep-alive\n\n" CHUNK(
            "{\"role\":\"assistant\",\"content\":null}",
            "null") ": again\n\n" SAY("a") "data: "
                                           "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":"
                                           "0,\"delta\":{},"
                                           "\"finish_reason\":\"length\"}],\"usage\":{\"prompt_"
                                           "tokens\":3,"
                                           "\"completion_tokens\":1},\"error\":null}\r\n\r\n",
        true, ERR_OK,
        "start c1 m\nping\nopen text\n+ a\nclose\n"
        "usage in=3 read=-1 write=-1 out=1 think=-1\nfinish max_tokens\nend\n");
}

static void reasoning_is_read_under_each_name(void **state)
{
    static const char *const deltas[] = {
        "{\"reasoning_content\":\"hm\",\"content\":null}",
        "{\"reasoning\":\"hm\",\"content\":\"\"}",
        "{\"reasoning\":\"hm\",\"reasoning_content\":\"hm\"}",
        "{\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"hm\"}]}",
        ("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]}]"
         "}"),
        "{\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\"}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
        struct span in = arena_printf(
            *state,
            "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":%s}]}\n\n"
            "%s%s",
            deltas[i], SAY("ok") STOP, DONE);
        check_lines(state, NULL, in.at, true, ERR_OK,
                    "start c1 m\nopen thinking\n+ hm\nclose\nopen text\n+ ok\nclose\n"
                    "finish end_turn\nend\n");
    }
}

static void tool_calls_are_streamed_one_after_another(void **state)
{
    check_lines(state, NULL,
                ROLE SAY("So:") TOOL(0, CALL("a", "f", "")) TOOL(0, ARGS("{\\\"x\\\":"))
                    TOOL(0, ARGS("\\\"}\\\"}")) TOOL(1, CALL("b", "g", "")) TOOL(1, ARGS("{"))
                        TOOL(1, ARGS("}")) CHUNK("{}", "\"tool_calls\"") DONE,
                true, ERR_OK,
                "start c1 m\nopen text\n+ So:\nclose\nopen tool_use a f\n+ {\\\"x\\\":\n"
                "+ \\\"}\\\"}\nclose\nopen tool_use b g\n+ {\n+ }\nclose\nfinish tool_use\nend\n");
}

static void interleaved_tool_calls_do_not_overlap(void **state)
{
    check_lines(state, NULL,
                ROLE TOOL(0, CALL("a", "f", "{\\\"n\\\":")) TOOL(1, CALL("b", "g", "{\\\"m\\\":"))
                    TOOL(0, ARGS("1")) TOOL(1, ARGS("2}")) SAY("late") TOOL(0, ARGS("}"))
                        CHUNK("{}", "\"stop\"") DONE,
                true, ERR_OK,
                "start c1 m\nopen tool_use a f\n+ {\\\"n\\\":\n+ 1\n+ }\nclose\n"
                "open tool_use b g\n+ {\\\"m\\\":2}\nclose\nopen text\n+ late\nclose\n"
                "finish tool_use\nend\n");
}

/* No index, no id, the id repeated, everything in one chunk, one index for all of them. */
static void odd_tool_calls_are_taken(void **state)
{
    check_lines(
        state, NULL,
        CHUNK("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
              "\"{}\"}},{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}",
              "null") STOP DONE,
        true, ERR_OK,
        "start c1 m\nopen tool_use a f\n+ {}\nclose\nopen tool_use b g\n+ {}\nclose\n"
        "finish tool_use\nend\n");
    check_lines(state, NULL, TOOL(0, CALL("a", "f", "{}")) TOOL(0, CALL("b", "g", "{}")) STOP DONE,
                true, ERR_OK,
                "start c1 m\nopen tool_use a f\n+ {}\nclose\nopen tool_use b g\n+ {}\nclose\n"
                "finish tool_use\nend\n");
    check_lines(state, NULL, TOOL(0, CALL("a", "f", "{")) TOOL(0, CALL("a", "f", "}")) STOP DONE,
                true, ERR_OK,
                "start c1 m\nopen tool_use a f\n+ {\n+ }\nclose\nfinish tool_use\nend\n");
}

/* The old form has neither id nor index. */
static void legacy_function_calls_are_taken(void **state)
{
    const char *body =
        CHUNK("{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"},\"tool_calls\":null}", "null")
            CHUNK("{\"function_call\":{\"arguments\":\"{}\"}}", "null")
                CHUNK("{}", "\"function_call\"") DONE;
    struct event_lines l;
    event_lines_init(&l);
    assert_int_equal(read_answer(*state, &dialect_openai_chat, NULL, span_from(body), true,
                                 FEED_WHOLE, 0, event_lines_sink(&l)),
                     ERR_OK);
    assert_true(span_starts(buf_span(&l.text), SPAN("start c1 m\nopen tool_use call_")));
    assert_true(span_ends(buf_span(&l.text), SPAN(" f\n+ {}\nclose\nfinish tool_use\nend\n")));
    event_lines_deinit(&l);
}

static void missing_ids_are_made_and_differ(void **state)
{
    struct event_lines l;
    event_lines_init(&l);
    const char *body =
        "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"message\":{\"tool_calls\":[{"
        "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"function\":{\"name\":"
        "\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}";
    assert_int_equal(read_answer(*state, &dialect_openai_chat, NULL, span_from(body), false,
                                 FEED_WHOLE, 0, event_lines_sink(&l)),
                     ERR_OK);
    ssize_t one = span_search(buf_span(&l.text), SPAN("open tool_use call_"));
    assert_true(one >= 0);
    struct span first = span_take(span_drop(buf_span(&l.text), (size_t)one), 39);
    struct span rest = span_drop(buf_span(&l.text), (size_t)one + 39);
    assert_true(span_search(rest, SPAN("open tool_use call_")) >= 0);
    assert_true(span_search(rest, first) < 0);
    event_lines_deinit(&l);
}

static void half_a_surrogate_pair_travels_untouched(void **state)
{
    check_lines(state, NULL,
                TOOL(0, CALL("a", "f", "{\\\"e\\\":\\\"\\ud83d")) TOOL(0, ARGS("\\ude00\\\"}"))
                    STOP DONE,
                true, ERR_OK,
                "start c1 m\nopen tool_use a f\n+ {\\\"e\\\":\\\"\\ud83d\n+ \\ude00\\\"}\nclose\n"
                "finish tool_use\nend\n");
}

static void stop_words_are_mapped(void **state)
{
    static const struct {
        const char *word, *stop;
    } rows[] = {
        {"stop", "end_turn"},          {"length", "max_tokens"},
        {"content_filter", "refusal"}, {"model_length", "model_context_window_exceeded"},
        {"tool_calls", "end_turn"},    {"what_is_this", "end_turn"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span in = arena_printf(
            *state,
            "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
            "\"assistant\",\"content\":\"a\"},\"finish_reason\":\"%s\"}]}",
            rows[i].word);
        struct span out = arena_printf(*state, "start c m\nopen text\n+ a\nclose\nfinish %s\nend\n",
                                       rows[i].stop);
        check_lines(state, NULL, in.at, false, ERR_OK, out.at);
    }
}

static void refusals_are_their_own_block(void **state)
{
    check_lines(state, NULL,
                ROLE CHUNK("{\"refusal\":\"I\"}", "null") CHUNK("{\"refusal\":\" won't\"}", "null")
                    STOP DONE,
                true, ERR_OK,
                "start c1 m\nopen refusal\n+ I\n+  won't\nclose\nfinish refusal\nend\n");
}

static void cut_streams_are_never_finished(void **state)
{
    static const char *const cut[] = {
        "", ROLE, ROLE SAY("a"), ROLE SAY("a") "data: {\"id\"", ROLE SAY("a") USAGE, ": hello\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        struct event_lines l;
        event_lines_init(&l);
        assert_int_equal(read_answer(*state, &dialect_openai_chat, NULL, span_from(cut[i]), true,
                                     FEED_WHOLE, 0, event_lines_sink(&l)),
                         ERR_EOF);
        assert_true(span_search(buf_span(&l.text), SPAN("finish")) < 0);
        assert_true(span_search(buf_span(&l.text), SPAN("end")) < 0);
        event_lines_deinit(&l);
    }
}

static void done_without_an_answer_is_broken(void **state)
{
    static const char *const broken[] = {DONE, ROLE SAY("a") DONE, "data: {\"id\":\n\n",
                                         "data: 7\n\n", "data: <html>\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct event_lines l;
        event_lines_init(&l);
        assert_int_equal(read_answer(*state, &dialect_openai_chat, NULL, span_from(broken[i]), true,
                                     FEED_WHOLE, 0, event_lines_sink(&l)),
                         ERR_SYNTAX);
        assert_true(span_search(buf_span(&l.text), SPAN("end\n")) < 0);
        event_lines_deinit(&l);
    }
}

static void errors_inside_a_stream_are_told(void **state)
{
    static const char *const errors[] = {
        "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":null}}\n\n",
        "event: error\ndata: {\"error\":{\"message\":\"busy\",\"status_code\":503}}\n\n",
        ("data: "
         "{\"error\":{\"message\":\"busy\",\"code\":502},\"choices\":[{\"index\":0,\"delta\":{"
         "},\"finish_reason\":\"error\"}]}\n\n"),
        "data: {\"object\":\"error\",\"message\":\"busy\",\"type\":\"x\",\"code\":500}\n\n",
        "data: {\"error\":\"busy\"}\n\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct span in = arena_printf(*state, "%s%s%s", ROLE SAY("a"), errors[i], DONE);
        struct event_lines l;
        event_lines_init(&l);
        assert_int_equal(read_answer(*state, &dialect_openai_chat, NULL, in, true, FEED_WHOLE, 0,
                                     event_lines_sink(&l)),
                         ERR_OK);
        assert_true(span_search(buf_span(&l.text), SPAN("\nerror ")) > 0);
        assert_true(span_ends(buf_span(&l.text), SPAN(" busy\n")));
        event_lines_deinit(&l);
    }
}

static void a_server_that_broke_off_gave_no_answer(void **state)
{
    check_lines(state, NULL, ROLE SAY("a") CHUNK("{}", "\"insufficient_system_resource\"") DONE,
                true, ERR_OK,
                "start c1 m\nopen text\n+ a\nerror overloaded_error 529 The provider broke the "
                "answer off.\n");
}

static void what_is_no_answer_is_refused_whole(void **state)
{
    static const char *const bodies[] = {"",
                                         "<html></html>",
                                         "{}",
                                         "[]",
                                         "{\"choices\":[]}",
                                         "{\"choices\":[{\"message\":null}]}",
                                         "{\"choices\":7}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        check_lines(state, NULL, bodies[i], false, ERR_SYNTAX, "");
}

static struct chat_request stops(struct chat_text *at, size_t count)
{
    return (struct chat_request){.stop = {at, count}, .max_tokens = -1, .choices = 1};
}

static void stop_sequences_are_cut_over_any_split(void **state)
{
    struct chat_text at[] = {CHAT_TEXT_LIT("\\n\\nQ:"), CHAT_TEXT_LIT("END")};
    struct chat_request asked = stops(at, 2);
    check_lines(
        state, &asked, ROLE SAY("an EN") SAY("swer\\n") SAY("\\nQ") SAY(": more") STOP DONE, true,
        ERR_OK,
        "start c1 m\nopen text\n+ an \n+ ENswer\nclose\nfinish stop_sequence \n\nQ:\nend\n");
    check_lines(state, &asked, ROLE SAY("an E") STOP DONE, true, ERR_OK,
                "start c1 m\nopen text\n+ an \n+ E\nclose\nfinish end_turn\nend\n");
    check_lines(state, &asked, ROLE SAY("\\u000a\\u000aQ:") STOP DONE, true, ERR_OK,
                "start c1 m\nfinish stop_sequence \n\nQ:\nend\n");
}

/* Mistral begins with the client's own words; others do not, and a chance likeness is kept. */
static void an_echoed_prefill_is_dropped(void **state)
{
    struct chat_block begun = {.type = CHAT_TEXT, .text = CHAT_TEXT_LIT("It \\u0069s")};
    struct chat_message last = {.role = CHAT_ASSISTANT, .blocks = &begun};
    struct chat_message first = {.role = CHAT_USER, .next = &last};
    struct chat_request asked = {.messages = &first, .max_tokens = -1, .choices = 1};
    check_lines(state, &asked, ROLE SAY("It") SAY(" is warm") SAY(".") STOP DONE, true, ERR_OK,
                "start c1 m\nopen text\n+  warm\n+ .\nclose\nfinish end_turn\nend\n");
    check_lines(state, &asked, ROLE SAY("It") SAY(" was") STOP DONE, true, ERR_OK,
                "start c1 m\nopen text\n+ It was\nclose\nfinish end_turn\nend\n");
    check_lines(state, &asked, ROLE SAY("It") STOP DONE, true, ERR_OK,
                "start c1 m\nopen text\n+ It\nclose\nfinish end_turn\nend\n");
}

static void a_stop_sequence_the_server_names_is_reported(void **state)
{
    struct chat_text at[] = {CHAT_TEXT_LIT("END")};
    struct chat_request asked = stops(at, 1);
    check_lines(state, &asked,
                "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":"
                "\"a\"},\"finish_reason\":\"stop\",\"stop_reason\":\"END\"}]}",
                false, ERR_OK, "start c m\nopen text\n+ a\nclose\nfinish stop_sequence END\nend\n");
}

static void nothing_event(void *ctx, const struct chat_event *e)
{
    size_t *count = ctx;
    *count += e->type == CHAT_EV_DELTA;
}

static void memory_stays_bounded_over_100000_events(void **state)
{
    struct arena a;
    size_t deltas = 0;
    (void)state;
    arena_init(&a, SIZE_MAX);
    struct reader_options o = {0};
    struct reply_reader *r =
        dialect_openai_chat.reader_new(&a, &o, (struct chat_sink){nothing_event, &deltas});
    struct sse_event text = {.data = SPAN("{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,"
                                          "\"delta\":{\"content\":\"word \"}}]}")};
    struct sse_event tool = {
        .data = SPAN("{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_"
                     "calls\":[{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"f\","
                     "\"arguments\":\"[\"}}]}}]}")};
    for (int i = 0; i < 50000; i++)
        assert_int_equal(dialect_openai_chat.read_event(r, &text), ERR_OK);
    for (int i = 0; i < 50000; i++)
        assert_int_equal(dialect_openai_chat.read_event(r, &tool), ERR_OK);
    assert_int_equal(deltas, 100000);
    assert_true(arena_used(&a) < 16384);
    arena_deinit(&a);
}

static void too_many_calls_are_a_limit(void **state)
{
    struct event_lines l;
    struct buf body;
    event_lines_init(&l);
    buf_init(&body, 1u << 20);
    for (int i = 0; i < 300; i++)
        assert_int_equal(buf_printf(&body,
                                    "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"tool_calls\":[{"
                                    "\"index\":%d,\"id\":\"i%d\",\"function\":{\"name\":\"f\","
                                    "\"arguments\":\"{}\"}}]}}]}\n\n",
                                    i, i),
                         ERR_OK);
    assert_int_equal(read_answer(*state, &dialect_openai_chat, NULL, buf_span(&body), true,
                                 FEED_WHOLE, 0, event_lines_sink(&l)),
                     ERR_LIMIT);
    buf_deinit(&body);
    event_lines_deinit(&l);
}

/* ---- door: answers ---- */

#define WHOLE_HEAD                                                                                 \
    "{\"id\":\"chatcmpl-c1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":"     \
    "\"m\",\"choices\":[{\"index\":0,\"message\":"
#define USAGE_OUT                                                                                  \
    "{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14,\"prompt_tokens_details\":" \
    "{\"cached_tokens\":6},\"completion_tokens_details\":{\"reasoning_tokens\":2}}"

static struct translated back(void **state, const char *body, bool stream, bool usage)
{
    struct chat_request asked = {.max_tokens = -1, .choices = 1, .include_usage = usage};
    return translate_answer(*state, &dialect_openai_chat, &dialect_openai_chat, &asked,
                            span_from(body), true, stream, FEED_WHOLE, 0);
}

static void whole_answer_is_written(void **state)
{
    assert_bytes(back(state, ROLE SAY("Hel") SAY("lo") STOP USAGE DONE, false, false).bytes,
                 WHOLE_HEAD "{\"role\":\"assistant\",\"content\":\"Hello\",\"refusal\":null},"
                            "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":" USAGE_OUT
                            "}");
}

static void whole_tools_have_null_content_and_whole_arguments(void **state)
{
    assert_bytes(
        back(state,
             ROLE CHUNK("{\"reasoning\":\"hm\"}", "null") TOOL(0, CALL("a", "f", "{\\\"x\\\":"))
                 TOOL(0, ARGS("1}")) TOOL(1, CALL("b", "g", "")) CHUNK("{}", "\"tool_calls\"") DONE,
             false, false)
            .bytes,
        WHOLE_HEAD "{\"role\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":null,"
                   "\"refusal\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
                   "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}},{\"id\":\"b\","
                   "\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},"
                   "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}]}");
}

#define OUT_CHUNK(delta, finish, usage)                                                            \
    "data: {\"id\":\"chatcmpl-c1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"   \
    "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"logprobs\":null,"             \
    "\"finish_reason\":" finish "}]" usage "}\n\n"

static void stream_is_written_with_and_without_usage(void **state)
{
    const char *in = ROLE SAY("Hi") STOP USAGE DONE;
    assert_bytes(back(state, in, true, false).bytes,
                 OUT_CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null", "")
                     OUT_CHUNK("{\"content\":\"Hi\"}", "null", "") OUT_CHUNK("{}", "\"stop\"", "")
                         DONE);
    assert_bytes(
        back(state, in, true, true).bytes,
        OUT_CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null",
                  ",\"usage\":null") OUT_CHUNK("{\"content\":\"Hi\"}", "null", ",\"usage\":null")
            OUT_CHUNK("{}", "\"stop\"", ",\"usage\":null") "data: {\"id\":\"chatcmpl-c1\","
                                                           "\"object\":\"chat.completion.chunk\","
                                                           "\"created\":1700000000,\"model\":\"m\","
                                                           "\"choices\":[],\"usage\":" USAGE_OUT
                                                           "}\n\n" DONE);
}

static void streamed_tools_are_counted_by_themselves(void **state)
{
    struct translated t = back(state,
                               ROLE SAY("x") TOOL(0, CALL("a", "f", ""))
                                   TOOL(1, CALL("b", "g", "{\\\"k\\\":0}")) STOP DONE,
                               true, false);
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    struct answer answer;
    chat_grammar_check(t.bytes, &end, why);
    assert_string_equal(why, "");
    assert_int_equal(end, GRAMMAR_COMPLETE);
    assert_true(answer_of_chat(*state, t.bytes, true, &answer));
    assert_int_equal(answer.tool_count, 2);
    assert_bytes(answer.tools[0].input, "{}");
    assert_bytes(answer.tools[1].input, "{\"k\":0}");
    assert_bytes(answer.stop, "tool_calls");
}

static void legacy_callers_get_a_function_call(void **state)
{
    struct chat_request asked = {.max_tokens = -1, .choices = 1, .legacy_functions = true};
    const char *in = ROLE TOOL(0, CALL("a", "f", "")) TOOL(0, ARGS("{}")) STOP DONE;
    assert_bytes(translate_answer(*state, &dialect_openai_chat, &dialect_openai_chat, &asked,
                                  span_from(in), true, false, FEED_WHOLE, 0)
                     .bytes,
                 WHOLE_HEAD "{\"role\":\"assistant\",\"content\":null,\"refusal\":null,"
                            "\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},\"logprobs\":"
                            "null,\"finish_reason\":\"function_call\"}]}");
    assert_bytes(translate_answer(*state, &dialect_openai_chat, &dialect_openai_chat, &asked,
                                  span_from(in), true, true, FEED_WHOLE, 0)
                     .bytes,
                 OUT_CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null", "")
                     OUT_CHUNK("{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}", "null",
                               "") OUT_CHUNK("{\"function_call\":{\"arguments\":\"{}\"}}", "null",
                                             "") OUT_CHUNK("{}", "\"function_call\"", "") DONE);
}

static void an_error_ends_a_stream_without_done(void **state)
{
    struct translated t = back(state,
                               ROLE SAY("a") "data: {\"error\":{\"message\":\"x\\ny\",\"type\":"
                                             "\"overloaded_error\"}}\n\n",
                               true, false);
    assert_true(t.errored);
    assert_false(t.ended);
    assert_true(span_ends(t.bytes, SPAN("data: {\"error\":{\"message\":\"x\\ny\",\"type\":"
                                        "\"server_error\",\"param\":null,\"code\":\"overloaded\"}}"
                                        "\n\n")));
}

static void error_bodies_use_openais_words(void **state)
{
    struct buf to;
    (void)state;
    buf_init(&to, 4096);
    struct chat_error e = {.status = 429,
                           .type = SPAN("rate_limit_error"),
                           .message = SPAN("slow \"down\""),
                           .param = SPAN("model")};
    assert_int_equal(dialect_openai_chat.write_error(&to, NULL, &e), ERR_OK);
    assert_bytes(buf_span(&to), "{\"error\":{\"message\":\"slow \\\"down\\\"\",\"type\":"
                                "\"rate_limit_error\",\"param\":\"model\",\"code\":"
                                "\"rate_limit_exceeded\"}}");
    buf_deinit(&to);
}

static void a_full_buffer_is_a_limit(void **state)
{
    struct chat_request asked = {.max_tokens = -1, .choices = 1};
    struct writer_options o = {.request = &asked, .created = 1};
    struct buf to;
    buf_init(&to, 400);
    struct reply_writer *w = dialect_openai_chat.writer_new(*state, &o, true, &to);
    struct chat_event start = {.type = CHAT_EV_START,
                               .id = CHAT_TEXT_LIT("c1"),
                               .model = CHAT_TEXT_LIT("m"),
                               .usage = CHAT_USAGE_UNKNOWN};
    struct chat_event open = {.type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT};
    struct chat_event piece = {.type = CHAT_EV_DELTA, .text = CHAT_TEXT_LIT("some words here")};
    assert_int_equal(dialect_openai_chat.write_event(w, &start), ERR_OK);
    assert_int_equal(dialect_openai_chat.write_event(w, &open), ERR_OK);
    enum err e = ERR_OK;
    for (int i = 0; i < 5 && e == ERR_OK; i++)
        e = dialect_openai_chat.write_event(w, &piece);
    assert_int_equal(e, ERR_LIMIT);
    buf_deinit(&to);
}

static void pings_are_comments(void **state)
{
    struct chat_request asked = {.max_tokens = -1, .choices = 1};
    struct writer_options o = {.request = &asked, .created = 1};
    struct buf to;
    buf_init(&to, 400);
    struct reply_writer *w = dialect_openai_chat.writer_new(*state, &o, true, &to);
    assert_int_equal(dialect_openai_chat.write_ping(w), ERR_OK);
    assert_true(span_starts(buf_span(&to), SPAN(":")));
    assert_true(span_ends(buf_span(&to), SPAN("\n\n")));
    buf_deinit(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(text_stream_is_read),
        CHECK_TEST(odd_chunks_are_taken),
        CHECK_TEST(reasoning_is_read_under_each_name),
        CHECK_TEST(tool_calls_are_streamed_one_after_another),
        CHECK_TEST(interleaved_tool_calls_do_not_overlap),
        CHECK_TEST(odd_tool_calls_are_taken),
        CHECK_TEST(legacy_function_calls_are_taken),
        CHECK_TEST(missing_ids_are_made_and_differ),
        CHECK_TEST(half_a_surrogate_pair_travels_untouched),
        CHECK_TEST(stop_words_are_mapped),
        CHECK_TEST(refusals_are_their_own_block),
        CHECK_TEST(cut_streams_are_never_finished),
        CHECK_TEST(done_without_an_answer_is_broken),
        CHECK_TEST(errors_inside_a_stream_are_told),
        CHECK_TEST(a_server_that_broke_off_gave_no_answer),
        CHECK_TEST(what_is_no_answer_is_refused_whole),
        CHECK_TEST(stop_sequences_are_cut_over_any_split),
        CHECK_TEST(a_stop_sequence_the_server_names_is_reported),
        CHECK_TEST(memory_stays_bounded_over_100000_events),
        CHECK_TEST(too_many_calls_are_a_limit),
        CHECK_TEST(whole_answer_is_written),
        CHECK_TEST(whole_tools_have_null_content_and_whole_arguments),
        CHECK_TEST(stream_is_written_with_and_without_usage),
        CHECK_TEST(streamed_tools_are_counted_by_themselves),
        CHECK_TEST(legacy_callers_get_a_function_call),
        CHECK_TEST(an_error_ends_a_stream_without_done),
        CHECK_TEST(error_bodies_use_openais_words),
        CHECK_TEST(a_full_buffer_is_a_limit),
        CHECK_TEST(pings_are_comments),
        CHECK_TEST(an_echoed_prefill_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
