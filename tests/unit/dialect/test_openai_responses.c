/* OpenAI Responses, each of its four sides by itself, where no recording goes: requests that are
 * wrong, what a target is asked, what servers say that leave steps out or fail, what a client gets
 * that is Codex. Recorded traffic is test_corpus.c's. */
#include "support/check.h"
#include "support/grammar.h"
#include "support/translate.h"

/* ---- scaffolding ---- */

/* A target that can do everything, the way OpenAI says it. */
static const struct capability full = {
    .max_completion_tokens = true,
    .developer_role = true,
    .sampling = true,
    .stop = true,
    .stop_max = 4,
    .reasoning_effort = true,
    .efforts = BIT(EFFORT_NONE) | BIT(EFFORT_LOW) | BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH),
    .images = true,
    .pdf = true,
    .image_urls = true,
    .file_ids = true,
    .json_schema = true,
    .json_strict = true,
    .parallel_flag = true,
    .safety_identifier = true,
    .custom_tools = true,
    .tool_name_max = 64,
    .forced_tool = true,
    .mid_system = true,
};

static void check_written(void **state, const struct dialect *from, const struct dialect *to,
                          const char *json, const char *wanted, const char *lossy)
{
    struct request_words w = translate_request(*state, from, to, &full, span_from(json));
    char names[512];
    if (w.read != ERR_OK || w.write != ERR_OK)
        fail_msg("%s: %.*s %.*s", json, SPAN_FMT(w.problem.param), SPAN_FMT(w.problem.text));
    assert_bytes(w.body, wanted);
    (void)lossy_format(&w.lossy, names, sizeof names);
    assert_string_equal(names, lossy);
}

#define BODY(input, rest) "{\"model\":\"m\",\"input\":" input rest "}"
#define OUT(input, rest) BODY("[" input "]", rest ",\"store\":false")
#define USER "{\"type\":\"message\",\"role\":\"user\",\"content\":" HI "}"
#define SCHEMA "{\"properties\":{},\"type\":\"object\"}"
#define HI "[{\"type\":\"input_text\",\"text\":\"hi\"}]"

/* ---- door: requests ---- */

static void what_is_wrong_is_named_by_its_place(void **state)
{
    static const char *const rows[][2] = {
        {"[1]", ""},
        {"{\"model\":\"m\"}", "input"},
        {BODY("7", ""), "input"},
        {BODY("[7]", ""), "input[0]"},
        {BODY("[{\"role\":\"nobody\",\"content\":\"x\"}]", ""), "input[0].role"},
        {BODY("[{\"role\":\"user\",\"content\":7}]", ""), "input[0].content"},
        {BODY("[{\"role\":\"user\",\"content\":[7]}]", ""), "input[0].content[0].type"},
        {BODY("[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]", ""),
         "input[0].content[0].text"},
        {BODY("[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]", ""),
         "input[0].content[0].image_url"},
        {BODY("[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\"}]}]", ""),
         "input[0].content[0].file_data"},
        {BODY("[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]", ""),
         "input[0].content[0].input_audio"},
        {BODY("[{\"role\":\"assistant\",\"content\":[{\"type\":\"refusal\"}]}]", ""),
         "input[0].content[0].refusal"},
        {BODY("[" USER ",{\"type\":\"function_call\",\"name\":\"f\"}]", ""), "input[1]"},
        {BODY("[{\"type\":\"function_call_output\",\"output\":\"x\"}]", ""), "input[0].call_id"},
        {BODY("[{\"type\":\"item_reference\",\"id\":\"x\"}]", ""), "input[0]"},
        {BODY("[{\"type\":\"compaction\",\"encrypted_content\":\"x\"}]", ""), "input[0]"},
        {BODY("\"hi\"", ",\"instructions\":7"), "instructions"},
        {BODY("\"hi\"", ",\"max_output_tokens\":-1"), "max_output_tokens"},
        {BODY("\"hi\"", ",\"reasoning\":7"), "reasoning"},
        {BODY("\"hi\"", ",\"reasoning\":{\"effort\":7}"), "reasoning.effort"},
        {BODY("\"hi\"", ",\"text\":7"), "text"},
        {BODY("\"hi\"", ",\"text\":{\"format\":{\"type\":\"poem\"}}"), "text.format.type"},
        {BODY("\"hi\"", ",\"text\":{\"format\":{\"type\":\"json_schema\"}}"), "text.format.schema"},
        {BODY("\"hi\"", ",\"tools\":7"), "tools"},
        {BODY("\"hi\"", ",\"tools\":[7]"), "tools[0]"},
        {BODY("\"hi\"", ",\"tools\":[{\"type\":\"custom\"}]"), "tools[0]"},
        {BODY("\"hi\"", ",\"tools\":[{\"type\":\"namespace\",\"name\":\"n\"}]"), "tools[0]"},
        {BODY("\"hi\"", ",\"tool_choice\":{\"type\":\"function\"}"), "tool_choice.name"},
        {BODY("\"hi\"", ",\"tool_choice\":\"perhaps\""), "tool_choice"},
        {BODY("\"hi\"", ",\"previous_response_id\":\"resp_1\""), "previous_response_id"},
        {BODY("\"hi\"", ",\"conversation\":\"conv_1\""), "conversation"},
        {BODY("\"hi\"", ",\"prompt\":{\"id\":\"p\"}"), "prompt"},
        {BODY("\"hi\"", ",\"background\":true"), "background"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_words w = translate_request(
            *state, &dialect_openai_responses, &dialect_openai_chat, &full, span_from(rows[i][0]));
        if (w.read != ERR_INVALID || !span_is(w.problem.param, rows[i][1]))
            fail_msg("%s: %s at \"%.*s\"", rows[i][0], err_name(w.read), SPAN_FMT(w.problem.param));
        assert_true(w.problem.text.len > 10);
    }
}

static void null_is_as_good_as_nothing(void **state)
{
    check_written(state, &dialect_openai_responses, &dialect_openai_chat,
                  BODY("\"hi\"", ",\"instructions\":null,\"tools\":null,\"text\":null,"
                                 "\"reasoning\":null,\"previous_response_id\":null,"
                                 "\"background\":false,\"max_output_tokens\":null"),
                  "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "");
}

static void a_turn_in_items_is_a_turn_in_messages(void **state)
{
    check_written(
        state, &dialect_openai_responses, &dialect_openai_chat,
        BODY("[{\"role\":\"user\",\"content\":\"one\"},"
             "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]},"
             "{\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"two\"}]},"
             "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},"
             "{\"type\":\"custom_tool_call\",\"call_id\":\"c2\",\"name\":\"sh\",\"input\":\"ls\"},"
             "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"1\"},"
             "{\"type\":\"custom_tool_call_output\",\"call_id\":\"c2\",\"output\":"
             "[{\"type\":\"input_text\",\"text\":\"2\"}]}]",
             ",\"instructions\":\"Be brief.\""),
        "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"Be brief.\"},"
        "{\"role\":\"user\",\"content\":\"one\"},"
        "{\"role\":\"assistant\",\"content\":\"two\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"c2\",\"type\":"
        "\"custom\",\"custom\":{\"name\":\"sh\",\"input\":\"ls\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"1\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"2\"}]}",
        "");
}

/* Claude knows no namespaces: the name tells it, and is taken apart on the way back. */
static void a_namespace_becomes_a_part_of_the_name(void **state)
{
    check_written(
        state, &dialect_openai_responses, &dialect_openai_chat,
        BODY("[{\"role\":\"user\",\"content\":\"x\"},{\"type\":\"additional_tools\",\"tools\":[{"
             "\"type\":\"function\",\"name\":\"late\",\"parameters\":" SCHEMA "}]}]",
             ",\"tools\":[{\"type\":\"namespace\",\"name\":\"git\",\"tools\":[{\"type\":"
             "\"function\",\"name\":\"log\",\"parameters\":" SCHEMA
             "}]}],\"tool_choice\":{\"type\":\"function\",\"name\":\"late\"}"),
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{"
        "\"type\":\"function\",\"function\":{\"name\":\"git__log\",\"parameters\":" SCHEMA
        "}},{\"type\":\"function\",\"function\":{\"name\":\"late\",\"parameters\":" SCHEMA
        "}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"late\"}}}",
        "");
}

/* ---- upstream: requests ---- */

#define MESSAGES(messages, rest)                                                                   \
    "{\"model\":\"m\",\"max_tokens\":99,\"messages\":[" messages "]" rest "}"
#define MESSAGES_USER "{\"role\":\"user\",\"content\":\"hi\"}"

static void a_messages_request_is_asked_in_items(void **state)
{
    check_written(
        state, &dialect_anthropic, &dialect_openai_responses,
        MESSAGES(MESSAGES_USER ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
                               "\"thinking\":\"hm\",\"signature\":\"s\"},{\"type\":\"text\","
                               "\"text\":\"I look.\"},{\"type\":\"tool_use\",\"id\":\"t1\","
                               "\"name\":\"f\",\"input\":{\"x\":1}}]},"
                               "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                               "\"tool_use_id\":\"t1\",\"is_error\":true,\"content\":\"no\"},"
                               "{\"type\":\"text\",\"text\":\"again\"}]}",
                 ",\"system\":\"Be brief.\",\"tools\":[{\"name\":\"f\",\"input_schema\":" SCHEMA
                 "}],\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true},\"stop_"
                 "sequences\":[\"END\"]"),
        "{\"model\":\"m\",\"instructions\":\"Be brief.\",\"input\":[" USER
        ",{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"I "
        "look.\"},{\"type\":\"function_call\",\"call_id\":\"t1\",\"name\":\"f\",\"arguments\":\"{"
        "\\\"x\\\":1}\"},{\"type\":\"function_call_output\",\"call_id\":\"t1\",\"output\":\"Error: "
        "no\"},{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
        "\"text\":\"again\"}]}],\"tools\":[{\"type\":\"function\",\"name\":\"f\","
        "\"parameters\":" SCHEMA ",\"strict\":false}],\"tool_choice\":\"required\",\"parallel_tool_"
        "calls\":false,\"max_output_tokens\":99,\"store\":false}",
        "thinking,tool_result_error,stop_sequences");
}

static void a_beginning_is_gone_on_with_in_words(void **state)
{
    check_written(state, &dialect_anthropic, &dialect_openai_responses,
                  MESSAGES(MESSAGES_USER ",{\"role\":\"assistant\",\"content\":\"One, two\"}", ""),
                  "{\"model\":\"m\",\"input\":[" USER ",{\"type\":\"message\",\"role\":"
                  "\"assistant\",\"content\":\"One, two\"},{\"type\":\"message\",\"role\":\"user\","
                  "\"content\":\"" DIALECT_GO_ON "\"}],\"max_output_tokens\":99,\"store\":false}",
                  "prefill");
}

/* OpenAI refuses less than sixteen tokens of output. */
static void few_tokens_are_the_fewest_it_takes(void **state)
{
    check_written(state, &dialect_openai_chat, &dialect_openai_responses,
                  "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
                  "\"max_completion_tokens\":1,\"reasoning_effort\":\"low\",\"response_format\":"
                  "{\"type\":\"json_object\"}}",
                  "{\"model\":\"m\",\"input\":[" USER "],\"max_output_tokens\":16,\"reasoning\":"
                  "{\"effort\":\"low\"},\"text\":{\"format\":{\"type\":\"json_object\"}},"
                  "\"store\":false}",
                  "");
}

/* ---- upstream: answers ---- */

struct reading {
    struct reply_reader *reader;
    enum err err;
};

static bool on_sse(void *ctx, const struct sse_event *e)
{
    struct reading *r = ctx;
    r->err = dialect_openai_responses.read_event(r->reader, e);
    return r->err == ERR_OK;
}

/* passes: the client sees the same bytes. Cut in every way, it is read in one. */
static void check_stream(void **state, bool passes, const char *body, enum err wanted_err,
                         const char *wanted)
{
    for (int cuts = FEED_WHOLE; cuts <= FEED_RANDOM; cuts++) {
        struct reader_options o = {.passes = passes};
        struct event_lines l;
        event_lines_init(&l);
        struct reading r = {dialect_openai_responses.reader_new(*state, &o, event_lines_sink(&l)),
                            ERR_OK};
        (void)feed_sse(span_from(body), (enum feed_cuts)cuts, 7, on_sse, &r);
        if (r.err == ERR_OK)
            r.err = dialect_openai_responses.read_eof(r.reader);
        assert_string_equal(err_name(r.err), err_name(wanted_err));
        assert_bytes(buf_span(&l.text), wanted);
        event_lines_deinit(&l);
    }
}

static void check_whole(void **state, const char *body, enum err wanted_err, const char *wanted)
{
    struct event_lines l;
    event_lines_init(&l);
    enum err e = read_answer(*state, &dialect_openai_responses, NULL, span_from(body), false,
                             FEED_WHOLE, 0, event_lines_sink(&l));
    assert_string_equal(err_name(e), err_name(wanted_err));
    assert_bytes(buf_span(&l.text), wanted);
    event_lines_deinit(&l);
}

#define EVENT(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define ANSWER(status, rest)                                                                       \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"model\":\"m\",\"status\":\"" status "\"" rest "}"
#define CREATED EVENT("response.created", ",\"response\":" ANSWER("in_progress", ",\"output\":[]"))
#define COMPLETED(output)                                                                          \
    EVENT("response.completed", ",\"response\":" ANSWER("completed", ",\"output\":[" output "]"))
#define ADDED(at, item)                                                                            \
    EVENT("response.output_item.added", ",\"output_index\":" at ",\"item\":" item)
#define DONE(at, item) EVENT("response.output_item.done", ",\"output_index\":" at ",\"item\":" item)
#define SAY(at, text)                                                                              \
    EVENT("response.output_text.delta", ",\"output_index\":" at ",\"delta\":\"" text "\"")
#define MESSAGE(content)                                                                           \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[" content "]}"
#define TEXT(text) "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[]}"
#define CALL(arguments)                                                                            \
    "{\"id\":\"fc_1\",\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":" \
    "\"" arguments "\"}"

static void servers_may_leave_steps_out(void **state)
{
    static const char whole[] = "start resp_1 m\nopen text\n+ hi\nclose\n"
                                "finish end_turn\nend\n";
    check_stream(state, false, CREATED SAY("0", "hi") COMPLETED(MESSAGE(TEXT("hi"))), ERR_OK,
                 whole);
    check_stream(state, false, CREATED DONE("0", MESSAGE(TEXT("hi"))) COMPLETED(""), ERR_OK, whole);
    check_stream(state, false, COMPLETED(MESSAGE(TEXT("hi"))), ERR_OK, whole);
    check_stream(state, false, CREATED COMPLETED(CALL("{\\\"x\\\":1}")), ERR_OK,
                 "start resp_1 m\nopen tool_use c1 f\n+ {\\\"x\\\":1}\nclose\nfinish tool_use\n"
                 "end\n");
}

static void reasoning_told_twice_is_read_once(void **state)
{
    check_stream(state, false,
                 CREATED ADDED("0", "{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[]}")
                     EVENT("response.reasoning_text.delta",
                           ",\"output_index\":0,\"content_index\":0,\"delta\":\"hm\"")
                         EVENT("response.reasoning_summary_text.delta",
                               ",\"output_index\":0,\"summary_index\":0,\"delta\":\"hm\"")
                             COMPLETED(""),
                 ERR_OK, "start resp_1 m\nopen thinking\n+ hm\nclose\nfinish end_turn\nend\n");
}

static void a_refusal_is_one(void **state)
{
    check_stream(state, false,
                 CREATED ADDED("0", MESSAGE(""))
                     EVENT("response.content_part.added",
                           ",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"refusal\","
                           "\"refusal\":\"\"}")
                         EVENT("response.refusal.delta", ",\"output_index\":0,\"delta\":\"No.\"")
                             COMPLETED(""),
                 ERR_OK, "start resp_1 m\nopen refusal\n+ No.\nclose\nfinish refusal\nend\n");
}

static void what_ends_without_its_terminal_event_is_cut(void **state)
{
    static const char began[] = "start resp_1 m\nopen text\n+ hi\n";
    check_stream(state, false, CREATED SAY("0", "hi"), ERR_EOF, began);
    check_stream(state, false, CREATED SAY("0", "hi") "data: [DONE]\n\n", ERR_SYNTAX, began);
    check_stream(state, false, CREATED SAY("0", "hi") "data: {\"type\n\n", ERR_SYNTAX, began);
    check_stream(state, false, CREATED SAY("0", "hi") "data: 7\n\n", ERR_SYNTAX, began);
}

static void errors_are_read_in_each_form(void **state)
{
    check_stream(state, false,
                 CREATED EVENT("error", ",\"error\":{\"type\":\"server_error\",\"code\":"
                                        "\"rate_limit_exceeded\",\"message\":\"Slow down.\"}"),
                 ERR_OK, "start resp_1 m\nerror rate_limit_error 429 Slow down.\n");
    check_stream(state, false,
                 CREATED EVENT("error", ",\"code\":\"server_is_overloaded\",\"message\":\"Busy.\","
                                        "\"param\":null"),
                 ERR_OK, "start resp_1 m\nerror overloaded_error 529 Busy.\n");
    check_stream(state, false,
                 CREATED EVENT("response.failed",
                               ",\"response\":" ANSWER("failed", ",\"error\":{\"code\":"
                                                                 "\"context_length_exceeded\","
                                                                 "\"message\":\"Too long.\"}")),
                 ERR_OK, "start resp_1 m\nerror invalid_request_error 400 Too long.\n");
}

static void whole_answers_say_how_they_ended(void **state)
{
    check_whole(state, ANSWER("completed", ",\"output\":[" MESSAGE(TEXT("hi")) "]"), ERR_OK,
                "start resp_1 m\nopen text\n+ hi\nclose\nfinish end_turn\nend\n");
    check_whole(state,
                ANSWER("incomplete", ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},"
                                     "\"output\":[" MESSAGE(TEXT("hi")) "]"),
                ERR_OK, "start resp_1 m\nopen text\n+ hi\nclose\nfinish max_tokens\nend\n");
    check_whole(state, ANSWER("queued", ",\"output\":[]"), ERR_SYNTAX, "");
    check_whole(state, ANSWER("in_progress", ",\"output\":[]"), ERR_SYNTAX, "");
    check_whole(state, "{\"object\":\"list\"}", ERR_SYNTAX, "");
    check_whole(state, "[]", ERR_SYNTAX, "");
}

/* ---- where the bytes pass through ---- */

static void an_item_begins_its_block_and_its_part_is_told(void **state)
{
    check_stream(state, true, CREATED ADDED("0", MESSAGE("")), ERR_EOF,
                 "start resp_1 m\nopen text\n");
    check_stream(state, true,
                 CREATED ADDED("0", MESSAGE(""))
                     EVENT("response.content_part.added",
                           ",\"output_index\":0,\"content_index\":0,\"part\":" TEXT("")),
                 ERR_EOF, "start resp_1 m\nopen text\n+ \n");
    check_stream(state, true, CREATED ADDED("0", MESSAGE("")) DONE("0", MESSAGE("")), ERR_EOF,
                 "start resp_1 m\nopen text\nclose\ndone\n");
}

#define LIST(id) "{\"id\":\"" id "\",\"type\":\"mcp_list_tools\"}"

static void items_under_way_at_once_are_told_one_by_one(void **state)
{
    check_stream(state, true, CREATED ADDED("0", LIST("a")) ADDED("1", LIST("b")), ERR_EOF,
                 "start resp_1 m\nopen other\n");
    check_stream(state, true,
                 CREATED ADDED("0", LIST("a")) ADDED("1", LIST("b")) DONE("1", LIST("b")), ERR_EOF,
                 "start resp_1 m\nopen other\n");
    check_stream(state, true,
                 CREATED ADDED("0", LIST("a")) ADDED("1", LIST("b")) DONE("1", LIST("b"))
                     DONE("0", LIST("a")),
                 ERR_EOF, "start resp_1 m\nopen other\nclose\ndone\nopen other\nclose\ndone\n");
    check_stream(state, true, CREATED ADDED("0", LIST("a")) ADDED("1", MESSAGE("")), ERR_EOF,
                 "start resp_1 m\nopen other\nclose\ndone\nopen text\n");
}

static void an_item_that_is_announced_twice_is_told_once(void **state)
{
    check_stream(state, true,
                 CREATED ADDED("0", LIST("a")) ADDED("0", LIST("a")) DONE("0", LIST("a"))
                     ADDED("0", LIST("a")) DONE("0", LIST("a")),
                 ERR_EOF, "start resp_1 m\nopen other\nclose\ndone\n");
}

/* A recorded gateway says so: the reasoning is done when the text has begun. */
static void the_end_of_another_item_closes_nothing(void **state)
{
    check_stream(state, true,
                 CREATED ADDED("0", "{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[]}")
                     ADDED("1", MESSAGE("")) SAY("1", "a")
                         DONE("0", "{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[]}")
                             SAY("1", "b"),
                 ERR_EOF, "start resp_1 m\nopen thinking\nclose\nopen text\n+ a\n+ b\n");
}

/* ---- door: answers ---- */

struct telling {
    struct reply_writer *writer;
    struct buf out;
};

static void begin(void **state, struct telling *t, bool codex)
{
    static const struct chat_request nothing = {.max_tokens = -1, .choices = 1};
    struct writer_options o = {.request = &nothing,
                               .id = SPAN("resp_9"),
                               .model = SPAN("m"),
                               .created = 7,
                               .codex = codex};
    buf_init(&t->out, 1 << 20);
    t->writer = dialect_openai_responses.writer_new(*state, &o, true, &t->out);
}

static void tell(struct telling *t, const struct chat_event *e)
{
    assert_int_equal(dialect_openai_responses.write_event(t->writer, e), ERR_OK);
}

static void say(struct telling *t, enum chat_block_type type, const char *text)
{
    tell(t, &(struct chat_event){.type = CHAT_EV_BLOCK_START, .block_type = type});
    tell(t, &(struct chat_event){.type = CHAT_EV_DELTA, .text = {span_from(text), false}});
    tell(t, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
}

static void stop(struct telling *t, enum chat_stop why)
{
    tell(t, &(struct chat_event){.type = CHAT_EV_FINISH, .stop = why});
    tell(t, &(struct chat_event){.type = CHAT_EV_END});
}

static void check_told(struct telling *t, enum grammar_end wanted_end, const char *holds,
                       const char *lacks)
{
    enum grammar_end end;
    char why[GRAMMAR_WHY_MAX];
    struct span got = buf_span(&t->out);
    responses_grammar_check(got, true, &end, why);
    assert_string_equal(why, "");
    assert_int_equal(end, wanted_end);
    if (span_search(got, span_from(holds)) < 0 || span_search(got, span_from(lacks)) >= 0)
        fail_msg("with %s and without %s:\n%.*s", holds, lacks, SPAN_FMT(got));
    buf_deinit(&t->out);
}

static const struct chat_event start = {.type = CHAT_EV_START};

static void codex_takes_what_is_cut_short_or_refused_for_complete(void **state)
{
    struct telling t;
    for (int codex = 0; codex < 2; codex++) {
        begin(state, &t, codex);
        tell(&t, &start);
        say(&t, CHAT_TEXT, "hi");
        stop(&t, CHAT_STOP_MAX_TOKENS);
        check_told(&t, GRAMMAR_COMPLETE, codex ? "response.completed" : "max_output_tokens",
                   codex ? "response.incomplete" : "response.completed");
        begin(state, &t, codex);
        tell(&t, &start);
        say(&t, CHAT_REFUSAL, "No.");
        stop(&t, CHAT_STOP_REFUSAL);
        check_told(&t, GRAMMAR_COMPLETE, codex ? "output_text.delta" : "refusal.delta",
                   codex ? "\"refusal\"" : "output_text.delta");
    }
}

/* Comments do not keep Codex waiting; but nothing may come before response.created. */
static void keep_alives_are_events_once_there_is_an_answer(void **state)
{
    struct telling t;
    begin(state, &t, true);
    tell(&t, &(struct chat_event){.type = CHAT_EV_PING});
    assert_bytes(buf_span(&t.out), ": keep-alive\n\n");
    tell(&t, &start);
    size_t before = t.out.len;
    tell(&t, &(struct chat_event){.type = CHAT_EV_PING});
    assert_true(
        span_starts(span_drop(buf_span(&t.out), before), SPAN("event: response.in_progress\n")));
    stop(&t, CHAT_STOP_END_TURN);
    check_told(&t, GRAMMAR_COMPLETE, "response.completed", "response.failed");
}

static void errors_are_told_to_sdks_and_to_codex(void **state)
{
    struct chat_error error = {
        .status = 529, .type = SPAN("overloaded_error"), .message = SPAN("Busy.")};
    struct telling t;
    for (int started = 0; started < 2; started++) {
        begin(state, &t, false);
        if (started)
            tell(&t, &start);
        if (started)
            say(&t, CHAT_TEXT, "hi");
        tell(&t, &(struct chat_event){.type = CHAT_EV_ERROR, .error = &error});
        check_told(&t, GRAMMAR_ERROR, "\"message\":\"Busy.\"", "response.completed");
    }
}

/* Behind bytes that passed: an item of which no part was announced gets its part with its text. */
static void a_part_is_announced_once(void **state)
{
    struct chat_event item = {
        .type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT, .id = CHAT_TEXT_LIT("msg_7")};
    for (int announced = 0; announced < 2; announced++) {
        struct telling t;
        begin(state, &t, false);
        tell(&t, &start);
        tell(&t, &item);
        if (announced)
            tell(&t, &(struct chat_event){.type = CHAT_EV_DELTA, .part = true});
        assert_int_equal(span_search(buf_span(&t.out), SPAN("content_part.added")) >= 0, announced);
        tell(&t, &(struct chat_event){.type = CHAT_EV_DELTA, .text = CHAT_TEXT_LIT("hi")});
        tell(&t, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
        stop(&t, CHAT_STOP_END_TURN);
        check_told(&t, GRAMMAR_COMPLETE, "\"item_id\":\"msg_7\"", "msg_9");
    }
}

static void a_call_without_arguments_has_an_empty_object(void **state)
{
    struct telling t;
    begin(state, &t, false);
    tell(&t, &start);
    tell(&t, &(struct chat_event){.type = CHAT_EV_BLOCK_START,
                                  .block_type = CHAT_TOOL_USE,
                                  .id = CHAT_TEXT_LIT("c1"),
                                  .name = CHAT_TEXT_LIT("f")});
    tell(&t, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
    stop(&t, CHAT_STOP_TOOL_USE);
    check_told(&t, GRAMMAR_COMPLETE, "\"arguments\":\"{}\"", "content_part");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECK_TEST(what_is_wrong_is_named_by_its_place),
        CHECK_TEST(null_is_as_good_as_nothing),
        CHECK_TEST(a_turn_in_items_is_a_turn_in_messages),
        CHECK_TEST(a_namespace_becomes_a_part_of_the_name),
        CHECK_TEST(a_messages_request_is_asked_in_items),
        CHECK_TEST(a_beginning_is_gone_on_with_in_words),
        CHECK_TEST(few_tokens_are_the_fewest_it_takes),
        CHECK_TEST(servers_may_leave_steps_out),
        CHECK_TEST(reasoning_told_twice_is_read_once),
        CHECK_TEST(a_refusal_is_one),
        CHECK_TEST(what_ends_without_its_terminal_event_is_cut),
        CHECK_TEST(errors_are_read_in_each_form),
        CHECK_TEST(whole_answers_say_how_they_ended),
        CHECK_TEST(an_item_begins_its_block_and_its_part_is_told),
        CHECK_TEST(items_under_way_at_once_are_told_one_by_one),
        CHECK_TEST(an_item_that_is_announced_twice_is_told_once),
        CHECK_TEST(the_end_of_another_item_closes_nothing),
        CHECK_TEST(codex_takes_what_is_cut_short_or_refused_for_complete),
        CHECK_TEST(keep_alives_are_events_once_there_is_an_answer),
        CHECK_TEST(errors_are_told_to_sdks_and_to_codex),
        CHECK_TEST(a_part_is_announced_once),
        CHECK_TEST(a_call_without_arguments_has_an_empty_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
