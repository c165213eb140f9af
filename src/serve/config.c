/* A configuration's life: loaded whole or not at all, counted, its secrets wiped at the end. */
#include "serve/config_internal.h"

#include "base/mem.h"

#include <stdio.h>

#define ARENA_MAX ((size_t)16 << 20)
#define PROBLEMS_MAX 200

/* ---- problems ---- */

struct span config_printf(struct config_reader *r, const char *format, ...)
{
    va_list args;
    struct buf b;
    va_start(args, format);
    buf_init(&b, 4096);
    if (buf_vprintf(&b, format, args) != ERR_OK) {
        buf_reset(&b);
        assert(buf_add_cstr(&b, "(too long to show)") == ERR_OK);
    }
    va_end(args);
    for (size_t i = 0; i < b.len; i++) /* quoted YAML can hold any byte; a terminal must not */
        if ((unsigned char)b.at[i] < ' ' || b.at[i] == 0x7f)
            b.at[i] = '?';
    struct span s = arena_copy(r->arena, buf_span(&b));
    buf_deinit(&b);
    return s;
}

static void grow(struct config_reader *r)
{
    size_t cap = r->problem_cap ? 2 * r->problem_cap : 16;
    struct config_problem *list = arena_array(r->arena, struct config_problem, cap);
    if (r->problem_count)
        memcpy(list, r->problems, r->problem_count * sizeof(*list));
    r->problems = list;
    r->problem_cap = cap;
}

void config_complain(struct config_reader *r, struct config_mark at, bool warning, const char *fix,
                     const char *format, ...)
{
    char text[2048];
    va_list args;
    r->error_count += !warning;
    if (r->problem_count == PROBLEMS_MAX)
        return; /* enough to begin with; the count of errors goes on */
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* a text that is cut is still a text */
    va_end(args);
    if (r->problem_count == r->problem_cap)
        grow(r);
    r->problems[r->problem_count++] = (struct config_problem){
        .line = at.line,
        .column = at.column,
        .warning = warning,
        .text = config_printf(r, "%s", text).at,
        .fix = fix ? config_printf(r, "%s", fix).at : NULL, /* may lie in r->c, which may go */
    };
}

static bool stands_before(const struct config_problem *a, const struct config_problem *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* In the order of the file; equal places in the order of finding. */
static void sort_problems(struct config_reader *r)
{
    for (size_t i = 1; i < r->problem_count; i++) {
        struct config_problem p = r->problems[i];
        size_t k = i;
        for (; k > 0 && stands_before(&p, &r->problems[k - 1]); k--)
            r->problems[k] = r->problems[k - 1];
        r->problems[k] = p;
    }
}

/* ---- life ---- */

static struct config *config_new(const char *path)
{
    struct config *c = mem_new(struct config);
    c->refs = 1;
    arena_init(&c->arena, ARENA_MAX);
    c->file = path ? arena_cstr(&c->arena, span_from(path)) : NULL;
    c->origins = arena_array(&c->arena, struct config_origin, config_row_count);
    return c;
}

struct config *config_ref(struct config *c)
{
    int before = __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
    assert(before > 0);
    return c;
}

void config_target_secrets(struct config_target *t,
                           struct config_secret *out[CONFIG_TARGET_SECRETS])
{
    struct config_secret *all[CONFIG_TARGET_SECRETS] = {&t->key, &t->access_key, &t->secret_key,
                                                        &t->session_token, &t->service_account};
    memcpy(out, all, sizeof all);
}

static void wipe_target(struct config_target *t)
{
    struct config_secret *all[CONFIG_TARGET_SECRETS];
    config_target_secrets(t, all);
    for (size_t i = 0; i < CONFIG_TARGET_SECRETS; i++)
        secret_wipe(&all[i]->value);
}

void config_unref(struct config *c)
{
    if (!c || __atomic_fetch_sub(&c->refs, 1, __ATOMIC_ACQ_REL) > 1)
        return;
    for (size_t i = 0; i < c->target_count; i++)
        wipe_target(&c->targets[i]);
    for (size_t i = 0; i < c->key_count; i++)
        secret_wipe(&c->keys[i].key.value);
    arena_deinit(&c->arena);
    mem_free(c);
}

static void read_all(struct config_reader *r)
{
    if (r->s->text.at) {
        config_parse_yaml(r);
        if (!r->root)
            return; /* what follows would only be complaints about what could not be read */
    }
    config_walk(r);
    if (!r->s->text.at)
        config_from_environment(r);
    config_finish_targets(r);
    config_finish_routes(r);
    config_check(r);
}

enum err config_load(const struct config_source *s, struct arena *report_arena, struct config **out,
                     struct config_report *out_report)
{
    struct config_reader r = {.s = s, .arena = report_arena};
    r.c = config_new(s->text.at ? s->path : NULL);
    *out = NULL;
    read_all(&r);
    sort_problems(&r);
    *out_report = (struct config_report){r.problems, r.problem_count, r.error_count};
    if (r.error_count) {
        config_unref(r.c);
        return ERR_INVALID;
    }
    *out = r.c;
    return ERR_OK;
}

/* ---- asking ---- */

/* Goes back to the last star at most: linear in pattern times name. */
static bool glob_matches(const char *pattern, struct span name)
{
    const char *star = NULL;
    size_t at = 0, star_at = 0;
    while (at < name.len) {
        if (*pattern == '*') {
            star = pattern++;
            star_at = at;
        } else if (*pattern && (*pattern == '?' || *pattern == name.at[at])) {
            pattern++;
            at++;
        } else if (star) {
            pattern = star + 1;
            at = ++star_at;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

const struct config_route *config_route_for(const struct config *c, struct span model)
{
    for (size_t i = 0; i < c->route_count; i++)
        if (glob_matches(c->routes[i].match, model))
            return &c->routes[i];
    return NULL;
}
