#pragma once
/* What the configuration's tests share: a source whose environment is a list, loading, and problems
 * as short texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"
#include "serve/config.h"

struct env_pair {
    const char *name, *value;
};

/* ctx: pairs, the last one with name NULL. */
static inline const char *env_of_pairs(void *ctx, const char *name)
{
    for (const struct env_pair *p = ctx; p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->value;
    return NULL;
}

static inline struct config_source source_of(struct span text, struct env_pair *env)
{
    return (struct config_source){.path = "h.yaml",
                                  .text = text,
                                  .env = env_of_pairs,
                                  .env_ctx = env,
                                  .resolve_secrets = true};
}

/* One target that needs nothing: the least a good file holds. */
#define T "targets:\n  a: { kind: standin, url: http://127.0.0.1:9 }\n"

struct loaded {
    struct arena arena;
    struct config *config;
    struct config_report report;
    struct buf text; /* of whatever was printed last */
};

static inline enum err load(struct loaded *l, const struct config_source *s)
{
    *l = (struct loaded){0};
    arena_init(&l->arena, 1 << 24);
    buf_init(&l->text, 1 << 22);
    return config_load(s, &l->arena, &l->config, &l->report);
}

static inline void unload(struct loaded *l)
{
    config_unref(l->config);
    arena_deinit(&l->arena);
    buf_deinit(&l->text);
}

static inline void put(struct buf *b, const char *text)
{
    assert_int_equal(buf_add_cstr(b, text), ERR_OK);
}

/* "line:column: level: text // fix" for each problem. */
static inline struct span brief(struct loaded *l)
{
    buf_reset(&l->text);
    for (size_t i = 0; i < l->report.count; i++) {
        const struct config_problem *p = &l->report.at[i];
        assert_int_equal(buf_printf(&l->text, "%d:%d: %s: %s", p->line, p->column,
                                    p->warning ? "warning" : "error", p->text),
                         ERR_OK);
        if (p->fix) {
            put(&l->text, " // ");
            put(&l->text, p->fix);
        }
        put(&l->text, "\n");
    }
    return buf_span(&l->text);
}

static struct env_pair env_set[] = {{"SET", "sk-canary-123456"},
                                    {"OTHER", "sk-canary-abcdef"},
                                    {"EMPTY", ""},
                                    {"BLANKS", "a b"},
                                    {NULL, NULL}};

static inline void load_good(struct loaded *l, const char *text)
{
    struct config_source s = source_of(span_from(text), env_set);
    if (load(l, &s) != ERR_OK)
        fail_msg("refused:\n%.*s", SPAN_FMT(brief(l)));
}
