/* The checkers of tests/support/grammar.c say no when they should: each rule is broken once. */
#include "support/check.h"
#include "support/grammar.h"

/* ---- Messages ---- */

#define EV(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define START                                                                                      \
    EV("message_start", ",\"message\":{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"i\","  \
                        "\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{"          \
                        "\"input_tokens\":1,\"output_tokens\":1}}")
#define OPEN(i, block) EV("content_block_start", ",\"index\":" #i ",\"content_block\":" block)
#define TEXT(i) OPEN(i, "{\"type\":\"text\",\"text\":\"\"}")
#define TOOL(i) OPEN(i, "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}")
#define MARK(i, to)                                                                                \
    OPEN(i, "{\"type\":\"fallback\",\"from\":{\"model\":\"m\"}," to "\"trigger\":{\"type\":\"x\"}" \
            "}")
#define TO "\"to\":{\"model\":\"n\"},"
#define DELTA(i, delta) EV("content_block_delta", ",\"index\":" #i ",\"delta\":" delta)
#define SAY(i) DELTA(i, "{\"type\":\"text_delta\",\"text\":\"a\"}")
#define INPUT(i, json) DELTA(i, "{\"type\":\"input_json_delta\",\"partial_json\":\"" json "\"}")
#define CLOSE(i) EV("content_block_stop", ",\"index\":" #i)
#define FINISH(stop)                                                                               \
    EV("message_delta", ",\"delta\":{\"stop_reason\":" stop "},\"usage\":{\"output_tokens\":2}")
#define STOP EV("message_stop", "")
#define PING EV("ping", "")
#define ERROR EV("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}")

struct row {
    const char *stream;
    enum grammar_end end;
    const char *why; /* part of it; "" = sound */
};

static void check_rows(const struct row *rows, size_t count,
                       void (*check)(struct span, enum grammar_end *, char[GRAMMAR_WHY_MAX]))
{
    for (size_t i = 0; i < count; i++) {
        enum grammar_end end;
        char why[GRAMMAR_WHY_MAX];
        check(span_from(rows[i].stream), &end, why);
        bool good = rows[i].why[0] ? strstr(why, rows[i].why) != NULL
                                   : why[0] == '\0' && end == rows[i].end;
        if (!good)
            fail_msg("row %zu: got '%s' (ended %d), wanted '%s'", i, why, (int)end, rows[i].why);
    }
}

static void messages_rules_are_kept_and_broken(void **state)
{
    static const struct row rows[] = {
        {PING START PING TEXT(0) SAY(0) CLOSE(0) FINISH("\"end_turn\"") STOP, GRAMMAR_COMPLETE, ""},
        {START TOOL(0) INPUT(0, "") INPUT(0, "{}") CLOSE(0) TEXT(1) CLOSE(1) FINISH("\"tool_use\"")
             STOP,
         GRAMMAR_COMPLETE, ""},
        {START TEXT(0) SAY(0) CLOSE(0) MARK(1, TO) CLOSE(1) TEXT(2) SAY(2) CLOSE(2)
             FINISH("\"end_turn\"") STOP,
         GRAMMAR_COMPLETE, ""},
        {START MARK(0, ""), 0, "fallback without"},
        {START MARK(0, TO) SAY(0), 0, "text_delta in a fallback block"},
        {START TEXT(0) MARK(1, TO), 0, "inside another"},
        {START TEXT(0) SAY(0) ERROR, GRAMMAR_ERROR, ""},
        {ERROR, GRAMMAR_ERROR, ""},
        {START TEXT(0) SAY(0), GRAMMAR_CUT, ""},
        {START START, 0, "second message_start"},
        {TEXT(0), 0, "before message_start"},
        {START TEXT(1), 0, "index is not 0"},
        {START TEXT(0) TEXT(1), 0, "inside another"},
        {START TEXT(0) CLOSE(0) TEXT(0), 0, "index is not 1"},
        {START TEXT(0) INPUT(0, "{}"), 0, "input_json_delta in a text block"},
        {START TOOL(0) SAY(0), 0, "text_delta in a tool_use block"},
        {START SAY(0), 0, "outside the open block"},
        {START TEXT(0) CLOSE(1), 0, "not open"},
        {START TEXT(0) FINISH("\"end_turn\""), 0, "inside a block"},
        {START FINISH("null"), 0, "without a stop_reason"},
        {START FINISH("\"end_turn\"") FINISH("\"end_turn\""), 0, "behind message_delta"},
        {START FINISH("\"end_turn\"") TEXT(0), 0, "behind message_delta"},
        {START STOP, 0, "without message_delta"},
        {START FINISH("\"end_turn\"") STOP PING, 0, "behind the end"},
        {START ERROR STOP, 0, "behind the end"},
        {START TOOL(0) INPUT(0, "{") CLOSE(0) FINISH("\"tool_use\""), 0, "no JSON object"},
        {START "event: ping\ndata: {\"type\":\"pong\"}\n\n", 0, "carries type"},
        {START "data: [DONE]\n\n", 0, "not JSON"},
        {START "event: ping\ndata: {\"type\":\"ping\"}\n", 0, "inside an event"},
    };
    (void)state;
    check_rows(rows, ARRAY_LEN(rows), messages_grammar_check);
}

/* ---- chat ---- */

#define CHUNK(id, choices, usage)                                                                  \
    "data: {\"id\":\"" id "\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"," \
    "\"choices\":[" choices "]" usage "}\n\n"
#define CHOICE(delta, finish)                                                                      \
    CHUNK("i", "{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}", "")
#define ROLE CHOICE("{\"role\":\"assistant\",\"content\":\"\"}", "null")
#define WORD CHOICE("{\"content\":\"a\"}", "null")
#define CALL(i)                                                                                    \
    CHOICE("{\"tool_calls\":[{\"index\":" #i ",\"id\":\"t\",\"type\":\"function\",\"function\":{"  \
           "\"name\":\"f\",\"arguments\":\"\"}}]}",                                                \
           "null")
#define PIECE(i)                                                                                   \
    CHOICE("{\"tool_calls\":[{\"index\":" #i ",\"function\":{\"arguments\":\"{}\"}}]}", "null")
#define END CHOICE("{}", "\"stop\"")
#define USAGE CHUNK("i", "", ",\"usage\":{\"prompt_tokens\":1}")
#define DONE "data: [DONE]\n\n"
#define NULLED(delta, finish)                                                                      \
    CHUNK("i", "{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}", ",\"usage\":null")

static void chat_rules_are_kept_and_broken(void **state)
{
    static const struct row rows[] = {
        {": hi\n\n" ROLE WORD CALL(0) PIECE(0) CALL(1) PIECE(1) END DONE, GRAMMAR_COMPLETE, ""},
        {NULLED("{\"role\":\"assistant\"}", "null") NULLED("{}", "\"stop\"") USAGE DONE,
         GRAMMAR_COMPLETE, ""},
        {ROLE "data: {\"error\":{\"message\":\"x\"}}\n\n", GRAMMAR_ERROR, ""},
        {ROLE WORD, GRAMMAR_CUT, ""},
        {WORD, 0, "no role"},
        {ROLE ROLE, 0, "role is told twice"},
        {ROLE DONE, 0, "without finish_reason"},
        {ROLE END WORD, 0, "behind finish_reason"},
        {ROLE END END, 0, "behind finish_reason"},
        {ROLE END DONE WORD, 0, "behind the end"},
        {ROLE CALL(1), 0, "not contiguous"},
        {ROLE CALL(0) CALL(1) PIECE(0), 0, "that is over"},
        {ROLE CALL(0) CALL(0), 0, "repeated"},
        {ROLE PIECE(0), 0, "without id, type or name"},
        {ROLE CHUNK("j", "{\"index\":0,\"delta\":{},\"finish_reason\":null}", ""), 0, "changed"},
        {ROLE END USAGE, 0, "nobody asked for"},
        {ROLE CHUNK("i", "{\"index\":0,\"delta\":{},\"finish_reason\":null}", ",\"usage\":null"), 0,
         "comes and goes"},
        {"data: {\"error\":null,\"choices\":[]}\n\n", 0, "error without a message"},
        {ROLE "data: {\"error\":{\"message\":\"x\"}}\n\n" DONE, 0, "behind the end"},
        {"event: x\n" ROLE, 0, "named event"},
    };
    (void)state;
    check_rows(rows, ARRAY_LEN(rows), chat_grammar_check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_rules_are_kept_and_broken),
        cmocka_unit_test(chat_rules_are_kept_and_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
