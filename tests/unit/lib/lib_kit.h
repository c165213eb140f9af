#pragma once
/* What the tests of libhotspare share: stand-ins in processes of their own, a configuration of two
 * of them, and what a caller hears, gathered. The library is used through its header alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/hotspare.h"

#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- stand-ins ---- */

struct standin {
    pid_t pid;
    int out;
    char url[64];
};

/* Reads the line that names its address. */
static inline void kit_read_url(struct standin *s)
{
    char said[512];
    size_t len = 0;
    const char *at = NULL;
    while (!at || !strchr(at, '\n')) {
        ssize_t n = read(s->out, said + len, sizeof said - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        said[len] = 0;
        at = strstr(said, "http://");
    }
    size_t url = strcspn(at, " \r\n");
    assert_true(url < sizeof s->url);
    memcpy(s->url, at, url);
    s->url[url] = 0;
}

/* more: further arguments of `hotspare standin`, NULL-terminated. */
static inline struct standin standin_up(const char *const *more)
{
    const char *argv[24] = {getenv("HOTSPARE_BIN"), "standin", "--listen", "127.0.0.1:0"};
    struct standin s;
    int ends[2];
    assert_non_null(argv[0]);
    for (size_t i = 0; more[i]; i++)
        argv[4 + i] = more[i];
    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_t to;
    posix_spawn_file_actions_init(&to);
    posix_spawn_file_actions_adddup2(&to, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&to, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&to, ends[0]);
    assert_int_equal(
        posix_spawn(&s.pid, argv[0], &to, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    posix_spawn_file_actions_destroy(&to);
    (void)close(ends[1]);
    s.out = ends[0];
    kit_read_url(&s);
    return s;
}
#define STANDIN(...) standin_up((const char *const[]){__VA_ARGS__, NULL})

static inline void standin_down(struct standin *s)
{
    int status;
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, &status, 0);
    (void)close(s->out);
}

/* ---- clients ---- */

/* spare: NULL = the lead is alone. more: further lines of YAML. */
static inline void kit_config(char out[2048], const struct standin *lead,
                              const struct standin *spare, const char *more)
{
    char second[256] = "";
    if (spare)
        (void)snprintf(second, sizeof second,
                       "  spare: { kind: standin, url: %s, speaks: openai }\n", spare->url);
    (void)snprintf(out, 2048,
                   "targets:\n"
                   "  lead: { kind: standin, url: %s, speaks: anthropic }\n%s"
                   "models:\n"
                   "  - { match: \"*\", chain: [lead%s] }\n"
                   "return: { ramp: 0s }\n%s",
                   lead->url, second, spare ? ", spare/gpt-spare" : "", more ? more : "");
}

static inline hs_client *kit_client(const struct standin *lead, const struct standin *spare,
                                    const char *more)
{
    char text[2048], why[1024];
    kit_config(text, lead, spare, more);
    hs_options o = {.size = sizeof o, .config_text = text};
    hs_client *c = hs_new(&o, why, sizeof why);
    if (!c)
        fail_msg("hs_new: %s", why);
    return c;
}

/* ---- what is heard ---- */

#define HEARD_MAX 65536
struct heard {
    char trail[1024]; /* names of events; those that repeat once */
    char text[HEARD_MAX], thinking[HEARD_MAX], content[HEARD_MAX];
    char served_by[64], model[64], from[64], cause[64], stop[64], notice[256];
    char tool_id[64], tool_name[64], tool_input[256];
    char error[1024], hint[512], error_type[64], lossy[128];
    int status, pieces, switches, calls;
    hs_usage usage;
};

static inline void kit_append(char *to, size_t size, const char *text)
{
    size_t len = strlen(to);
    (void)snprintf(to + len, size - len, "%s", text);
}
#define KIT_KEEP(to, from) (void)snprintf(to, sizeof(to), "%s", from)

static inline void kit_trail(struct heard *h, hs_event_type type)
{
    const char *name = hs_event_name(type);
    size_t len = strlen(h->trail), n = strlen(name);
    if (len >= n && strcmp(h->trail + len - n, name) == 0)
        return;
    kit_append(h->trail, sizeof h->trail, len ? " " : "");
    kit_append(h->trail, sizeof h->trail, name);
}

static inline void kit_hear(struct heard *h, const hs_event *e)
{
    kit_trail(h, e->type);
    if (e->type == HS_TEXT) {
        kit_append(h->text, sizeof h->text, e->text);
        assert_int_equal(strlen(e->text), e->text_len);
        h->pieces++;
    }
    if (e->type == HS_THINKING)
        kit_append(h->thinking, sizeof h->thinking, e->text);
    if (e->type == HS_START || e->type == HS_DONE || e->type == HS_SWITCHED) {
        KIT_KEEP(h->served_by, e->served_by);
        KIT_KEEP(h->model, e->model);
    }
    if (e->type == HS_START)
        KIT_KEEP(h->lossy, e->lossy);
    if (e->type == HS_SWITCHED) {
        KIT_KEEP(h->from, e->from);
        KIT_KEEP(h->cause, e->cause);
        KIT_KEEP(h->notice, e->text);
        h->switches++;
    }
    if (e->type == HS_TOOL_CALL) {
        KIT_KEEP(h->tool_id, e->tool_id);
        KIT_KEEP(h->tool_name, e->tool_name);
        KIT_KEEP(h->tool_input, e->tool_input);
        h->calls++;
    }
    if (e->type == HS_USAGE)
        h->usage = e->usage;
    if (e->type == HS_DONE) {
        KIT_KEEP(h->stop, e->stop_reason);
        KIT_KEEP(h->content, e->content);
        assert_int_equal(strlen(e->content), e->content_len);
    }
    if (e->type == HS_ERROR) {
        KIT_KEEP(h->error, e->text);
        KIT_KEEP(h->hint, e->hint);
        KIT_KEEP(h->error_type, e->error_type);
        h->status = e->status;
    }
}

/* All of a reply, which is ended. */
static inline void kit_listen(hs_reply *r, struct heard *h)
{
    const hs_event *e;
    *h = (struct heard){0};
    while ((e = hs_next(r, -1)))
        kit_hear(h, e);
    assert_null(hs_next(r, -1)); /* and stays so */
    hs_end(r);
}

#define KIT_ASK(extra)                                                                             \
    "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":100000," extra                                \
    "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}"
#define KIT_WHOLE KIT_ASK("")
#define KIT_STREAM KIT_ASK("\"stream\":true,")

static inline void kit_ask(hs_client *c, const char *json, struct heard *h)
{
    kit_listen(hs_messages(c, json, strlen(json)), h);
}

/* What a stand-in says that is told to say `count` words. */
static inline void kit_words(char *to, size_t size, int count)
{
    to[0] = 0;
    for (int i = 1; i <= count; i++) {
        char word[16];
        (void)snprintf(word, sizeof word, "%sw%d", i > 1 ? " " : "", i);
        kit_append(to, size, word);
    }
}
