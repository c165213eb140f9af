/* The command lines of engines that the gateway starts. */
#include "config_kit.h"

#include "serve/engine_command.h"

static struct env_pair env[] = {{NULL, NULL}};

/* The words of the first target's command, with blanks between them. */
static void check_command(const char *target, const char *wanted)
{
    struct loaded l;
    struct arena a;
    struct buf text;
    char config[512];
    (void)snprintf(config, sizeof config, "targets:\n  e: { %s, start: on-demand }\n", target);
    struct config_source source = source_of(span_from(config), env);
    assert_int_equal(load(&l, &source), ERR_OK);
    arena_init(&a, 1 << 20);
    buf_init(&text, 4096);
    const char *const *word = engine_command(&a, &l.config->targets[0]);
    for (; *word; word++)
        assert_int_equal(buf_printf(&text, "%s%s", text.len ? " " : "", *word), ERR_OK);
    assert_int_equal(buf_add_char(&text, '\0'), ERR_OK);
    assert_string_equal(text.at, wanted);
    buf_deinit(&text);
    arena_deinit(&a);
    unload(&l);
}

#define AT "url: 'http://127.0.0.1:9'"

static void each_kind_has_its_own(void **state)
{
    (void)state;
    check_command("kind: llama.cpp, model: /m.gguf, context: 8192, " AT,
                  "llama-server -m /m.gguf --host 127.0.0.1 --port 9 -c 8192");
    check_command("kind: llama.cpp, model: a/b, " AT,
                  "llama-server -hf a/b --host 127.0.0.1 --port 9");
    check_command("kind: vllm, model: a/b, context: 8192, " AT,
                  "vllm serve a/b --host 127.0.0.1 --port 9 --max-model-len 8192");
    check_command("kind: ollama, model: a, " AT, "ollama serve");
    check_command("kind: vllm, command: [ x, '{model}', '{port}' ], model: Qwen/Qwen3-8B, " AT,
                  "x Qwen/Qwen3-8B 9");
}

/* vLLM refuses every request with tools unless it is told how the model writes calls. */
static void vllm_is_told_how_a_known_model_writes_calls(void **state)
{
    (void)state;
    check_command("kind: vllm, model: mistralai/Mistral-7B-Instruct-v0.3, " AT,
                  "vllm serve mistralai/Mistral-7B-Instruct-v0.3 --host 127.0.0.1 --port 9 "
                  "--enable-auto-tool-choice --tool-call-parser mistral");
    check_command("kind: vllm, model: Qwen/Qwen3-8B, " AT,
                  "vllm serve Qwen/Qwen3-8B --host 127.0.0.1 --port 9 --enable-auto-tool-choice "
                  "--tool-call-parser hermes --reasoning-parser qwen3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_own),
        cmocka_unit_test(vllm_is_told_how_a_known_model_writes_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
