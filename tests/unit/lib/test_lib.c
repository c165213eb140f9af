/* libhotspare as a program sees it: answers, failover, the end of a chain, and what is left alone
 * of the process it lives in. Stand-ins answer on loopback sockets. */
#include "lib_kit.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

static struct heard heard; /* too large for a stack under every sanitizer */
static char wanted[HEARD_MAX];

static void assert_answer(const char *trail, int words, const char *served_by)
{
    kit_words(wanted, sizeof wanted, words);
    if (strcmp(heard.trail, trail) != 0)
        fail_msg("heard %s: %s", heard.trail, heard.error);
    assert_string_equal(heard.text, wanted);
    assert_string_equal(heard.served_by, served_by);
}

/* ---- answers ---- */

static void a_whole_answer_comes_as_events(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "12");
    hs_client *c = kit_client(&lead, NULL, NULL);
    kit_ask(c, KIT_WHOLE, &heard);
    assert_answer("start text usage done", 12, "lead");
    assert_int_equal(heard.pieces, 1);
    assert_string_equal(heard.model, "claude-sonnet-4-5");
    assert_string_equal(heard.stop, "end_turn");
    assert_non_null(strstr(heard.content, "w1 w2"));
    assert_true(heard.usage.input > 0 && heard.usage.output > 0);
    assert_int_equal(heard.switches, 0);
    hs_free(c);
    standin_down(&lead);
}

/* The value behind "signature" in the content heard last. */
static const char *signature_heard(char out[512])
{
    const char *at = strstr(heard.content, "\"signature\"");
    assert_non_null(at);
    at = strchr(at + strlen("\"signature\""), '"');
    assert_non_null(at);
    (void)snprintf(out, 512, "%.*s", (int)strcspn(at + 1, "\""), at + 1);
    return out;
}

static void a_streamed_answer_comes_in_pieces(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "12", "--thinking", "3");
    hs_client *c = kit_client(&lead, NULL, NULL);
    kit_ask(c, KIT_STREAM, &heard);
    assert_answer("start thinking text usage done", 12, "lead");
    assert_true(heard.pieces > 3);
    assert_true(strlen(heard.thinking) > 0);
    assert_true(heard.usage.input > 0 && heard.usage.output > 0);
    assert_non_null(strstr(heard.content, "w11 w12"));
    char streamed[512], whole[512];
    (void)signature_heard(streamed);
    kit_ask(c, KIT_WHOLE, &heard);
    assert_string_equal(streamed, signature_heard(whole)); /* what Claude would ask for */
    hs_free(c);
    standin_down(&lead);
}

#define TOOLS "\"tools\":[{\"name\":\"write_file\",\"input_schema\":{\"type\":\"object\"}}],"

static void assert_call(hs_client *c, const char *json)
{
    kit_ask(c, json, &heard);
    assert_int_equal(heard.calls, 1);
    assert_string_equal(heard.tool_name, "write_file");
    assert_true(strlen(heard.tool_id) > 0);
    assert_non_null(strstr(heard.tool_input, "forty \\\"two\\\""));
    assert_string_equal(heard.stop, "tool_use");
}

/* The next turn, made of what the last event handed over. */
static void assert_result_is_taken(hs_client *c)
{
    static char json[HEARD_MAX];
    (void)snprintf(json, sizeof json,
                   "{\"model\":\"claude-x\",\"max_tokens\":99,\"stream\":true," TOOLS
                   "\"messages\":[{\"role\":\"user\",\"content\":\"go\"},"
                   "{\"role\":\"assistant\",\"content\":%.4000s},"
                   "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                   "\"%s\",\"content\":\"done\"}]}]}",
                   heard.content, heard.tool_id);
    kit_ask(c, json, &heard);
    assert_int_equal(heard.calls, 0);
    assert_string_equal(heard.stop, "end_turn");
    assert_string_equal(heard.error, "");
}

static void a_tool_call_comes_whole_and_its_result_goes_back(void **state)
{
    (void)state;
    const char *tool = "write_file={\"path\":\"a.txt\",\"text\":\"forty \\\"two\\\"\"}";
    struct standin lead = STANDIN("--words", "5", "--tool", tool);
    struct standin spare = STANDIN("--words", "5", "--tool", tool);
    hs_client *c = kit_client(&lead, &spare, NULL), *other = kit_client(&spare, NULL, NULL);
    assert_call(c, KIT_ASK(TOOLS));
    assert_result_is_taken(c);
    assert_call(c, KIT_ASK(TOOLS "\"stream\":true,"));
    assert_result_is_taken(c);
    standin_down(&lead); /* the spare speaks another API */
    assert_call(c, KIT_ASK(TOOLS "\"stream\":true,"));
    assert_string_equal(heard.served_by, "spare");
    assert_result_is_taken(c);
    hs_free(other);
    hs_free(c);
    standin_down(&spare);
}

/* ---- failover ---- */

static void assert_moved(const char *cause)
{
    assert_int_equal(heard.switches, 1);
    assert_string_equal(heard.from, "lead");
    assert_string_equal(heard.cause, cause);
    assert_string_equal(heard.model, "gpt-spare");
    assert_non_null(strstr(heard.notice, "spare"));
}

static void a_lead_that_fails_is_left_before_anything_is_said(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--fault", "529"), spare = STANDIN("--words", "12");
    hs_client *c = kit_client(&lead, &spare, NULL);
    kit_ask(c, KIT_STREAM, &heard);
    assert_answer("switched start text usage done", 12, "spare");
    assert_moved("overloaded");
    kit_ask(c, KIT_WHOLE, &heard);
    assert_answer("switched start text usage done", 12, "spare");
    assert_moved("overloaded");
    hs_free(c);
    standin_down(&lead);
    standin_down(&spare);
}

static void a_cut_answer_is_gone_on_with(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "30", "--fault", "cut@8");
    struct standin spare = STANDIN("--words", "30");
    hs_client *c = kit_client(&lead, &spare, NULL);
    kit_ask(c, KIT_STREAM, &heard);
    assert_answer("start text switched text usage done", 30, "spare");
    assert_moved("broken_stream");
    assert_non_null(strstr(heard.content, wanted)); /* one text, from both */
    hs_free(c);
    standin_down(&lead);
    standin_down(&spare);
}

static void what_a_target_cannot_be_told_is_said(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--fault", "500"), spare = STANDIN("--words", "3");
    hs_client *c = kit_client(&lead, &spare, NULL);
    kit_ask(c,
            KIT_ASK("\"system\":[{\"type\":\"text\",\"text\":\"be brief\","
                    "\"cache_control\":{\"type\":\"ephemeral\"}}],"),
            &heard);
    assert_answer("switched start text usage done", 3, "spare");
    assert_string_equal(heard.lossy, "cache_control");
    hs_free(c);
    standin_down(&lead);
    standin_down(&spare);
}

/* ---- errors ---- */

static void nobody_left_is_an_error_with_advice(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--fault", "529"), spare = STANDIN("--fault", "401");
    hs_client *c = kit_client(&lead, &spare, NULL);
    kit_ask(c, KIT_STREAM, &heard);
    assert_string_equal(heard.trail, "error");
    assert_int_equal(heard.status, 529);
    assert_string_equal(heard.error_type, "overloaded_error");
    assert_non_null(strstr(heard.error, "lead (overloaded)"));
    assert_non_null(strstr(heard.error, "spare (key_bad)"));
    assert_non_null(strstr(heard.hint, "spare: the provider does not accept this key"));
    hs_free(c);
    standin_down(&lead);
    standin_down(&spare);
}

static void an_answer_that_nobody_ends_is_an_error_behind_its_text(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "30", "--fault", "cut@8");
    hs_client *c = kit_client(&lead, NULL, NULL);
    kit_ask(c, KIT_STREAM, &heard);
    assert_string_equal(heard.trail, "start text error");
    assert_true(strncmp(heard.text, "w1 w2", 5) == 0);
    assert_non_null(strstr(heard.hint, "not the whole answer"));
    hs_free(c);
    standin_down(&lead);
}

static void a_request_that_is_wrong_is_told_as_an_event(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "3");
    hs_client *c = kit_client(&lead, NULL, NULL);
    kit_ask(c, "{\"model\": ", &heard);
    assert_string_equal(heard.trail, "error");
    assert_int_equal(heard.status, 400);
    assert_non_null(strstr(heard.error, "not valid JSON"));
    kit_ask(c, "", &heard);
    assert_int_equal(heard.status, 400);
    char *large = calloc(1, (size_t)33 << 20);
    assert_non_null(large);
    kit_listen(hs_messages(c, large, (size_t)33 << 20), &heard);
    free(large);
    assert_int_equal(heard.status, 413);
    assert_non_null(strstr(heard.hint, "history"));
    kit_ask(c, KIT_WHOLE, &heard); /* none of it has hurt the client */
    assert_answer("start text usage done", 3, "lead");
    hs_free(c);
    standin_down(&lead);
}

/* ---- time ---- */

static void a_reply_is_ended_in_the_middle_and_the_client_goes_on(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "400", "--rate", "200");
    hs_client *c = kit_client(&lead, NULL, NULL);
    for (int stop = 0; stop < 3; stop++) { /* before it began, at once, after some words */
        hs_reply *r = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
        for (int i = 0; i < stop * 3; i++)
            assert_int_not_equal(hs_next(r, -1)->type, HS_ERROR);
        hs_end(r);
    }
    kit_ask(c, KIT_ASK("\"stop_sequences\":[\"w4\"],"), &heard);
    assert_string_equal(heard.trail, "start text usage done");
    hs_reply *left = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
    assert_int_equal(hs_next(left, -1)->type, HS_START);
    hs_free(c); /* ends what is under way */
    standin_down(&lead);
}

static void a_caller_that_polls_is_never_kept_waiting(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "12", "--first-token", "50ms");
    hs_client *c = kit_client(&lead, NULL, NULL);
    hs_reply *r = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
    heard = (struct heard){0};
    int waits = 0;
    for (const hs_event *e; (e = hs_next(r, 0));) {
        waits += e->type == HS_WAITING;
        if (e->type != HS_WAITING)
            kit_hear(&heard, e);
    }
    hs_end(r);
    assert_true(waits > 0);
    assert_answer("start text usage done", 12, "lead");
    hs_free(c);
    standin_down(&lead);
}

/* The caller's pause is longer than the target may be silent: counted, it would be a stall. */
static void a_slow_caller_is_no_stalled_target(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--words", "30", "--rate", "100");
    struct standin spare = STANDIN("--words", "30");
    hs_client *c = kit_client(&lead, &spare, "deadlines: { stall: 2s, first_token: 20s }\n");
    hs_reply *r = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
    heard = (struct heard){0};
    int count = 0;
    for (const hs_event *e; (e = hs_next(r, -1));) {
        kit_hear(&heard, e);
        if (++count == 4)
            (void)sleep(3);
    }
    hs_end(r);
    assert_answer("start text usage done", 30, "lead");
    hs_free(c);
    standin_down(&lead);
    standin_down(&spare);
}

/* All of a reply, waited for in a poll of the caller's own. */
static void poll_for(hs_client *c, hs_reply *r, struct heard *h)
{
    *h = (struct heard){0};
    for (const hs_event *e; (e = hs_next(r, 0));) {
        if (e->type != HS_WAITING) {
            kit_hear(h, e);
            continue;
        }
        int timeout_ms = 0;
        struct pollfd at = {.fd = hs_fd(c, &timeout_ms), .events = POLLIN};
        assert_true(at.fd >= 0);
        assert_true(poll(&at, 1, timeout_ms) >= 0);
    }
    hs_end(r);
}

static void a_program_may_wait_in_its_own_loop(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--fault", "silent"), spare = STANDIN("--words", "30");
    hs_client *c = kit_client(&lead, &spare, "deadlines: { first_token: 2s }\n");
    poll_for(c, hs_messages(c, KIT_STREAM, strlen(KIT_STREAM)), &heard);
    assert_answer("switched start text usage done", 30, "spare");
    assert_moved("stalled"); /* a deadline passed while nobody was in the library */
    hs_free(c);
    standin_down(&lead);
    standin_down(&spare);
}

static void two_replies_of_a_client_go_on_together(void **state)
{
    (void)state;
    static struct heard second;
    struct standin lead = STANDIN("--words", "6000");
    hs_client *c = kit_client(&lead, NULL, NULL);
    hs_reply *a = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
    hs_reply *b = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
    kit_listen(a, &heard); /* b fills its queue meanwhile, up to its bound */
    assert_answer("start text usage done", 6000, "lead");
    kit_listen(b, &second);
    assert_string_equal(second.text, heard.text);
    assert_string_equal(second.trail, heard.trail);
    hs_free(c);
    standin_down(&lead);
}

static void *wake(void *client)
{
    hs_wake(client);
    return NULL;
}

static void another_thread_wakes_who_waits(void **state)
{
    (void)state;
    struct standin lead = STANDIN("--fault", "silent");
    hs_client *c = kit_client(&lead, NULL, NULL);
    hs_reply *r = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake, c), 0);
    assert_int_equal(hs_next(r, -1)->type, HS_WAITING); /* else it waits for ever */
    assert_int_equal(pthread_join(thread, NULL), 0);
    hs_wake(c); /* nobody waits: the next one hears it */
    assert_int_equal(hs_next(r, -1)->type, HS_WAITING);
    assert_int_equal(hs_next(r, 0)->type, HS_WAITING);
    hs_end(r);
    hs_free(c);
    standin_down(&lead);
}

/* ---- threads ---- */

struct user {
    const char *config;
    int whole;
    struct heard heard;
};

static void *use(void *ctx)
{
    struct user *u = ctx;
    hs_options o = {.size = sizeof o, .config_text = u->config};
    hs_client *c = hs_new(&o, NULL, 0);
    for (int i = 0; c && i < 8; i++) {
        hs_reply *r = hs_messages(c, KIT_STREAM, strlen(KIT_STREAM));
        u->heard = (struct heard){0};
        for (const hs_event *e; (e = hs_next(r, -1));)
            kit_hear(&u->heard, e);
        hs_end(r);
        u->whole += strcmp(u->heard.text, wanted) == 0 && strcmp(u->heard.served_by, "spare") == 0;
    }
    hs_free(c);
    return NULL;
}

static void clients_in_two_threads_know_nothing_of_each_other(void **state)
{
    (void)state;
    static struct user users[2];
    char config[2048];
    struct standin lead = STANDIN("--words", "30", "--fault", "cut@8");
    struct standin spare = STANDIN("--words", "30");
    pthread_t threads[2];
    kit_config(config, &lead, &spare, NULL);
    kit_words(wanted, sizeof wanted, 30);
    for (int i = 0; i < 2; i++) {
        users[i].config = config;
        assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(users[i].whole, 8);
    }
    standin_down(&lead);
    standin_down(&spare);
}

/* ---- the process it lives in ---- */

static void on_pipe(int signum)
{
    (void)signum;
}

static void signals_and_stderr_are_the_programs_own(void **state)
{
    (void)state;
    struct sigaction mine = {.sa_handler = on_pipe}, before, after;
    sigset_t mask_before, mask_after;
    int ends[2], saved = dup(STDERR_FILENO);
    char said[64];
    struct standin lead = STANDIN("--fault", "401"), spare = STANDIN("--words", "3");
    assert_int_equal(sigaction(SIGPIPE, &mine, &before), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask_before), 0);
    assert_int_equal(pipe(ends), 0);
    (void)dup2(ends[1], STDERR_FILENO);
    hs_client *c = kit_client(&lead, &spare, NULL);
    kit_ask(c, KIT_STREAM, &heard); /* the gateway would log the key that is refused */
    hs_free(c);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], said, sizeof said), 0);
    (void)close(ends[0]);
    assert_int_equal(sigaction(SIGPIPE, &before, &after), 0);
    assert_true(after.sa_handler == on_pipe);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask_after), 0);
    assert_int_equal(sigismember(&mask_after, SIGPIPE), sigismember(&mask_before, SIGPIPE));
    assert_answer("switched start text usage done", 3, "spare");
    standin_down(&lead);
    standin_down(&spare);
}

static void note_line(void *ctx, int level, const char *line)
{
    if (level == 1)
        (void)snprintf(ctx, 512, "%s", line);
}

static void who_asks_for_the_log_gets_its_lines(void **state)
{
    (void)state;
    char config[2048], line[512] = "";
    struct standin lead = STANDIN("--fault", "401"), spare = STANDIN("--words", "3");
    kit_config(config, &lead, &spare, NULL);
    hs_options o = {.size = sizeof o, .config_text = config, .log = note_line, .log_ctx = line};
    hs_client *c = hs_new(&o, NULL, 0);
    assert_non_null(c);
    kit_ask(c, KIT_STREAM, &heard);
    assert_non_null(strstr(line, "event=attempt_failed"));
    assert_non_null(strstr(line, "cause=key_bad"));
    assert_null(strchr(line, '\n'));
    hs_free(c);
    standin_down(&lead);
    standin_down(&spare);
}

static void a_process_without_descriptors_is_told_so(void **state)
{
    (void)state;
    struct rlimit before, none;
    struct standin lead = STANDIN("--words", "3");
    char config[2048], why[256];
    kit_config(config, &lead, NULL, NULL);
    hs_options o = {.size = sizeof o, .config_text = config};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    int next = dup(0);
    (void)close(next);
    for (rlim_t left = 0; left < 5; left++) { /* a loop takes more than one */
        none.rlim_cur = (rlim_t)next + left;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        hs_client *c = hs_new(&o, why, sizeof why);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (left == 0) {
            assert_null(c);
            assert_non_null(strstr(why, "ulimit -n"));
        }
        hs_free(c);
    }
    standin_down(&lead);
}

/* ---- configuration ---- */

static void assert_refused(const hs_options *o, const char *word)
{
    char why[1024];
    assert_null(hs_new(o, why, sizeof why));
    if (!strstr(why, word))
        fail_msg("\"%s\" is not in: %s", word, why);
    assert_null(hs_new(o, NULL, 0));
    assert_null(hs_new(o, why, 8));
    assert_true(strlen(why) < 8);
}

static void what_is_wrong_with_a_configuration_is_told(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"targets:\n  a: { kidn: standin }\n", "config_text:2:8"},
        {"targets:\n  a: { kind: anthropic, key: sk-ant-written-here }\n"
         "models: [ { match: \"*\", chain: [a] } ]\n",
         "env:NAME"},
        {"targets:\n  a: { kind: anthropic, key: \"env:HS_TEST_NO_SUCH_KEY\" }\n"
         "models: [ { match: \"*\", chain: [a] } ]\n",
         "HS_TEST_NO_SUCH_KEY"},
        {"targets:\n  a: { kind: vllm, start: always, model: m }\n"
         "models: [ { match: \"*\", chain: [a] } ]\n",
         "give it a url"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hs_options o = {.size = sizeof o, .config_text = rows[i][0]};
        assert_refused(&o, rows[i][1]);
    }
    hs_options file = {.size = sizeof file, .config_path = "/nonexistent/hotspare.yaml"};
    assert_refused(&file, "/nonexistent/hotspare.yaml");
}

static void options_of_another_version_are_refused_by_name(void **state)
{
    (void)state;
    struct {
        hs_options o;
        void *newer;
    } future = {.o.size = sizeof future};
    future.newer = &future;
    assert_refused(&future.o, "older than the header");
    hs_options unset = {0};
    assert_refused(&unset, "options.size");
    hs_options lines = {.size = sizeof lines, .beta = "a\r\nx-api-key: b"};
    assert_refused(&lines, "options.beta");
}

static void a_text_becomes_a_json_string(void **state)
{
    (void)state;
    char to[32];
    size_t len = hs_quote("a\"b\n\xff", 5, to, sizeof to);
    assert_int_equal(len, strlen(to));
    assert_string_equal(to, "\"a\\\"b\\n\xef\xbf\xbd\"");
    assert_int_equal(hs_quote("abcdef", 6, to, 4), 8);
    assert_string_equal(to, "\"ab");
    assert_int_equal(hs_quote("abc", 3, NULL, 0), 5);
    assert_string_equal(hs_event_name(HS_TOOL_CALL), "tool_call");
    assert_string_equal(hs_event_name((hs_event_type)99), "unknown");
    assert_true(strlen(hs_version()) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: what a process has only once would be done already. */
        cmocka_unit_test(signals_and_stderr_are_the_programs_own),
        cmocka_unit_test(a_whole_answer_comes_as_events),
        cmocka_unit_test(a_streamed_answer_comes_in_pieces),
        cmocka_unit_test(a_tool_call_comes_whole_and_its_result_goes_back),
        cmocka_unit_test(a_lead_that_fails_is_left_before_anything_is_said),
        cmocka_unit_test(a_cut_answer_is_gone_on_with),
        cmocka_unit_test(what_a_target_cannot_be_told_is_said),
        cmocka_unit_test(nobody_left_is_an_error_with_advice),
        cmocka_unit_test(an_answer_that_nobody_ends_is_an_error_behind_its_text),
        cmocka_unit_test(a_request_that_is_wrong_is_told_as_an_event),
        cmocka_unit_test(a_reply_is_ended_in_the_middle_and_the_client_goes_on),
        cmocka_unit_test(a_caller_that_polls_is_never_kept_waiting),
        cmocka_unit_test(a_slow_caller_is_no_stalled_target),
        cmocka_unit_test(a_program_may_wait_in_its_own_loop),
        cmocka_unit_test(two_replies_of_a_client_go_on_together),
        cmocka_unit_test(another_thread_wakes_who_waits),
        cmocka_unit_test(clients_in_two_threads_know_nothing_of_each_other),
        cmocka_unit_test(who_asks_for_the_log_gets_its_lines),
        cmocka_unit_test(a_process_without_descriptors_is_told_so),
        cmocka_unit_test(what_is_wrong_with_a_configuration_is_told),
        cmocka_unit_test(options_of_another_version_are_refused_by_name),
        cmocka_unit_test(a_text_becomes_a_json_string),
    };
    return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
