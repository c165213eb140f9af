/* An engine's life in virtual time: when it starts, waits, is restarted, given up, unloaded. */
#include "local/engine.h"

#include "base/span.h"

/* cmocka.h wants these first */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SEC USEC_PER_SEC
#define T0 (1000 * SEC)

static struct engine engine_of(enum engine_start start)
{
    struct engine e;
    struct engine_config c = {.start = start, .idle = 600 * SEC, .load_max = 120 * SEC};
    engine_init(&e, &c, T0);
    return e;
}

static void expect_step(struct engine *e, usec now, enum engine_action action,
                        enum engine_state state)
{
    assert_int_equal(engine_step(e, now), action);
    assert_int_equal(e->state, state);
}

static void make_ready(struct engine *e, usec now)
{
    engine_use(e, now);
    expect_step(e, now, ENGINE_DO_START, ENGINE_LOADING);
    expect_step(e, now, ENGINE_DO_PROBE, ENGINE_LOADING);
    engine_probed(e, now, true);
    assert_int_equal(e->state, ENGINE_READY);
}

static void an_engine_starts_when_it_is_wanted(void **state)
{
    (void)state;
    static const struct {
        enum engine_start start;
        bool unasked, asked;
    } rows[] = {{ENGINE_NEVER, false, false},
                {ENGINE_ALWAYS, true, true},
                {ENGINE_ON_DEMAND, false, true},
                {ENGINE_WARM, false, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine e = engine_of(rows[i].start);
        assert_int_equal(engine_step(&e, T0) == ENGINE_DO_START, rows[i].unasked);
        e = engine_of(rows[i].start);
        engine_use(&e, T0);
        assert_int_equal(engine_step(&e, T0) == ENGINE_DO_START, rows[i].asked);
    }
}

static void a_loading_engine_is_asked_again_until_it_is_healthy(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ON_DEMAND);
    engine_use(&e, T0);
    expect_step(&e, T0, ENGINE_DO_START, ENGINE_LOADING);
    usec now = T0;
    for (int i = 0; i < 50; i++) { /* more than would make a ready one hung */
        expect_step(&e, now, ENGINE_DO_PROBE, ENGINE_LOADING);
        expect_step(&e, now, ENGINE_DO_NOTHING, ENGINE_LOADING); /* one at a time */
        engine_probed(&e, now, false);
        assert_true(engine_next(&e) > now);
        now = engine_next(&e);
    }
    expect_step(&e, now, ENGINE_DO_PROBE, ENGINE_LOADING);
    engine_probed(&e, now, true);
    expect_step(&e, now, ENGINE_DO_NOTHING, ENGINE_READY);
    assert_int_equal(e.failures, 0);
}

static void an_engine_that_loads_too_long_is_ended_and_counts_as_failed(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ON_DEMAND);
    engine_use(&e, T0);
    expect_step(&e, T0, ENGINE_DO_START, ENGINE_LOADING);
    usec late = T0 + 120 * SEC;
    assert_int_not_equal(engine_step(&e, late - 1), ENGINE_DO_END);
    expect_step(&e, late, ENGINE_DO_END, ENGINE_ENDING);
    expect_step(&e, late, ENGINE_DO_NOTHING, ENGINE_ENDING);
    engine_exited(&e, late + SEC, ENGINE_CRASHED); /* by our own signal: that is not the reason */
    assert_int_equal(e.state, ENGINE_WAITING);
    assert_int_equal(e.reason, ENGINE_TOO_SLOW);
}

static void failures_double_the_wait_and_end_in_giving_up(void **state)
{
    (void)state;
    static const usec waits[] = {1, 2, 4, 8};
    struct engine e = engine_of(ENGINE_ALWAYS);
    usec now = T0;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        expect_step(&e, now, ENGINE_DO_START, ENGINE_LOADING);
        engine_exited(&e, now, ENGINE_CRASHED);
        assert_int_equal(e.state, ENGINE_WAITING);
        expect_step(&e, now + waits[i] * SEC - 1, ENGINE_DO_NOTHING, ENGINE_WAITING);
        assert_int_equal(engine_next(&e), now + waits[i] * SEC);
        now += waits[i] * SEC;
    }
    expect_step(&e, now, ENGINE_DO_START, ENGINE_LOADING);
    engine_exited(&e, now, ENGINE_CRASHED);
    assert_int_equal(e.state, ENGINE_GAVE_UP);
    expect_step(&e, now + 300 * SEC - 1, ENGINE_DO_NOTHING, ENGINE_GAVE_UP);
    expect_step(&e, now + 300 * SEC, ENGINE_DO_START, ENGINE_LOADING);
    assert_int_equal(e.failures, 5);
    assert_int_equal(e.starts, 6);
}

static void a_minute_of_being_ready_forgives(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ALWAYS);
    usec now = T0;
    for (int i = 0; i < 20; i++) {
        make_ready(&e, now);
        now += 60 * SEC;
        engine_exited(&e, now, ENGINE_CRASHED);
        assert_int_equal(e.state, ENGINE_WAITING);
        assert_int_equal(e.failures_in_row, 1);
        now = e.retry_at;
    }
}

static void what_no_repeat_cures_is_given_up_at_once(void **state)
{
    (void)state;
    static const enum engine_reason hopeless[] = {ENGINE_MODEL_MISSING, ENGINE_NO_PROGRAM,
                                                  ENGINE_BAD_FLAG};
    for (size_t i = 0; i < ARRAY_LEN(hopeless); i++) {
        struct engine e = engine_of(ENGINE_ON_DEMAND);
        engine_use(&e, T0);
        expect_step(&e, T0, ENGINE_DO_START, ENGINE_LOADING);
        engine_exited(&e, T0, hopeless[i]);
        assert_int_equal(e.state, ENGINE_GAVE_UP);
        assert_int_equal(engine_next(&e), USEC_NEVER); /* nobody asks */
        expect_step(&e, T0 + 900 * SEC, ENGINE_DO_NOTHING, ENGINE_GAVE_UP);
        engine_use(&e, T0 + 900 * SEC);
        expect_step(&e, T0 + 900 * SEC, ENGINE_DO_START, ENGINE_LOADING);
    }
}

static void three_missed_health_checks_are_a_hang_and_one_is_not(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ALWAYS);
    make_ready(&e, T0);
    usec now = T0;
    for (int round = 0; round < 2; round++) { /* two missed, one well: forgotten */
        for (int i = 0; i < 3; i++) {
            now = engine_next(&e);
            expect_step(&e, now, ENGINE_DO_PROBE, ENGINE_READY);
            engine_probed(&e, now, i == 2);
        }
    }
    for (int i = 0; i < 3; i++) {
        now = engine_next(&e);
        expect_step(&e, now, ENGINE_DO_PROBE, ENGINE_READY);
        engine_probed(&e, now, false);
    }
    expect_step(&e, now, ENGINE_DO_END, ENGINE_ENDING);
    engine_exited(&e, now + SEC, ENGINE_OUT_OF_MEMORY); /* SIGKILL was ours */
    assert_int_equal(e.state, ENGINE_WAITING);
    assert_int_equal(e.reason, ENGINE_HUNG);
}

static void an_idle_engine_is_unloaded_and_comes_back(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ON_DEMAND);
    make_ready(&e, T0);
    engine_use(&e, T0 + 300 * SEC);
    assert_int_not_equal(engine_step(&e, T0 + 899 * SEC), ENGINE_DO_END);
    expect_step(&e, T0 + 900 * SEC, ENGINE_DO_END, ENGINE_ENDING);
    engine_exited(&e, T0 + 901 * SEC, ENGINE_CRASHED);
    assert_int_equal(e.state, ENGINE_OFF);
    assert_int_equal(e.failures, 0);
    expect_step(&e, T0 + 2000 * SEC, ENGINE_DO_NOTHING, ENGINE_OFF);
    make_ready(&e, T0 + 2000 * SEC);
}

static void a_request_while_it_is_being_unloaded_starts_it_again(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ON_DEMAND);
    make_ready(&e, T0);
    expect_step(&e, T0 + 600 * SEC, ENGINE_DO_END, ENGINE_ENDING);
    engine_use(&e, T0 + 601 * SEC);
    expect_step(&e, T0 + 601 * SEC, ENGINE_DO_NOTHING, ENGINE_ENDING);
    engine_exited(&e, T0 + 602 * SEC, ENGINE_CRASHED);
    expect_step(&e, T0 + 602 * SEC, ENGINE_DO_START, ENGINE_LOADING);
}

static void what_is_ended_on_purpose_is_no_failure(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ALWAYS);
    assert_false(engine_unload(&e, T0)); /* nothing runs */
    make_ready(&e, T0);
    assert_true(engine_unload(&e, T0 + SEC));
    assert_false(engine_unload(&e, T0 + SEC)); /* once */
    engine_exited(&e, T0 + 2 * SEC, ENGINE_CRASHED);
    assert_int_equal(e.state, ENGINE_OFF);
    assert_int_equal(e.failures, 0);
    expect_step(&e, T0 + 2 * SEC, ENGINE_DO_START, ENGINE_LOADING); /* always: at once again */
}

static void always_is_never_idle_and_zero_is_never(void **state)
{
    (void)state;
    struct engine e = engine_of(ENGINE_ALWAYS);
    make_ready(&e, T0);
    assert_int_not_equal(engine_step(&e, T0 + 86400 * SEC), ENGINE_DO_END);
    e = engine_of(ENGINE_ON_DEMAND);
    e.config.idle = 0;
    make_ready(&e, T0);
    assert_int_not_equal(engine_step(&e, T0 + 86400 * SEC), ENGINE_DO_END);
}

static void reasons_are_read_from_what_engines_say(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum engine_reason reason;
    } rows[] = {
        {"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
         ENGINE_OUT_OF_MEMORY},
        {"terminate called after throwing an instance of 'std::bad_alloc'", ENGINE_OUT_OF_MEMORY},
        {"ggml_backend_alloc: failed to allocate CUDA0 buffer of size 1", ENGINE_OUT_OF_MEMORY},
        {"OSError: [Errno 98] Address already in use", ENGINE_PORT_TAKEN},
        {"start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
         ENGINE_PORT_TAKEN},
        {"gguf_init_from_file: failed to open GGUF file '/m.gguf'", ENGINE_MODEL_MISSING},
        {"llama_model_load: error loading model: invalid magic", ENGINE_MODEL_BAD},
        {"error: invalid argument: --swap-space", ENGINE_BAD_FLAG},
        {"vllm: error: unrecognized arguments: --swap-space 4", ENGINE_BAD_FLAG},
        {"huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name'",
         ENGINE_MODEL_MISSING},
        {"huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached "
         "snapshot",
         ENGINE_MODEL_MISSING},
        {"ValueError: User-specified max_model_len (99999) is greater than the derived "
         "max_model_len (max_position_embeddings=4096)",
         ENGINE_CONTEXT},
        {"main: model loaded", ENGINE_FINE},
        {"", ENGINE_FINE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(engine_reason_of(span_from(rows[i].line)), rows[i].reason);
}

static void every_failure_has_words_and_a_fix(void **state)
{
    (void)state;
    for (int r = ENGINE_CRASHED; r < ENGINE_REASONS; r++) {
        assert_true(strlen(engine_reason_text((enum engine_reason)r)) > 10);
        assert_true(strlen(engine_reason_fix((enum engine_reason)r)) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_starts_when_it_is_wanted),
        cmocka_unit_test(a_loading_engine_is_asked_again_until_it_is_healthy),
        cmocka_unit_test(an_engine_that_loads_too_long_is_ended_and_counts_as_failed),
        cmocka_unit_test(failures_double_the_wait_and_end_in_giving_up),
        cmocka_unit_test(a_minute_of_being_ready_forgives),
        cmocka_unit_test(what_no_repeat_cures_is_given_up_at_once),
        cmocka_unit_test(three_missed_health_checks_are_a_hang_and_one_is_not),
        cmocka_unit_test(an_idle_engine_is_unloaded_and_comes_back),
        cmocka_unit_test(a_request_while_it_is_being_unloaded_starts_it_again),
        cmocka_unit_test(what_is_ended_on_purpose_is_no_failure),
        cmocka_unit_test(always_is_never_idle_and_zero_is_never),
        cmocka_unit_test(reasons_are_read_from_what_engines_say),
        cmocka_unit_test(every_failure_has_words_and_a_fix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
