/* The checklist and the verdict, for a person or as JSON. The facts are in share/catalogue, the
 * judgement in local/licence.c. */
#include "tools/licence/licence_cmd.h"
#include "base/span.h"
#include "json/json_write.h"
#include "local/licence.h"
#include "tools/options.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EXIT_FORBIDDEN 1
#define EXIT_ASK 3
#define EXIT_DATA 65
#define TEXT_MAX ((size_t)1 << 20)

struct licence_cmd {
    struct facts facts;
    struct arena arena;
    const char *name, *catalogue;
    struct use use;
    bool use_given, json, list, help;
    const struct fact_model *model; /* NULL: `name` is a licence, or nothing known */
    const struct fact_licence *licence;
    bool sure;
    struct licence_verdict verdict;
};

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare licence MODEL [--use research|internal|product|api-service]\n"
        "                              [--users N] [--revenue USD] [--region EU] [--train]\n"
        "       hotspare licence --list\n"
        "\n"
        "  MODEL          exact id of a model, or of a licence\n"
        "  --use KIND     how it is to be used: a verdict is given (internal)\n"
        "  --users N      monthly active users of your company and its affiliates\n"
        "  --revenue USD  their revenue a year\n"
        "  --region XX    where your company is: EU, UK, US, DE ...\n"
        "  --train        other models are to be trained on what it writes\n"
        "  --catalogue DIR, --json\n"
        "\n"
        "Exit code 1: forbidden. 3: ask a lawyer, or something is not known. Not legal "
        "advice.\n",
        to);
    return status;
}

static bool read_number(const char *option, const char *text, double *out)
{
    if (span_double(span_from(text), out) == ERR_OK && *out >= 0)
        return true;
    (void)fprintf(stderr, "hotspare: --%s: \"%s\" is no number\n", option, text);
    return false;
}

static bool set_use(void *ctx, const char *text)
{
    struct licence_cmd *c = ctx;
    c->use_given = true;
    if (use_kind_of(span_from(text), &c->use.kind) == ERR_OK)
        return true;
    (void)fprintf(stderr,
                  "hotspare: --use: \"%s\" is none of research, internal, product, api-service\n",
                  text);
    return false;
}

static bool set_users(void *ctx, const char *text)
{
    struct licence_cmd *c = ctx;
    return read_number("users", text, &c->use.users);
}

static bool set_revenue(void *ctx, const char *text)
{
    struct licence_cmd *c = ctx;
    return read_number("revenue", text, &c->use.usd_year);
}

static int read_options(int argc, char **argv, struct licence_cmd *c)
{
    const struct tool_option options[] = {
        {.name = "use", .read = set_use},         {.name = "users", .read = set_users},
        {.name = "revenue", .read = set_revenue}, {.name = "region", .text = &c->use.region},
        {.name = "train", .flag = &c->use.train}, {.name = "catalogue", .text = &c->catalogue},
        {.name = "json", .flag = &c->json},       {.name = "list", .flag = &c->list}};
    c->use = (struct use){.kind = USE_INTERNAL, .users = NAN, .usd_year = NAN};
    int status =
        tool_options(argc, argv, options, ARRAY_LEN(options), c, usage, &c->name, &c->help);
    bool asked = c->name || c->list || c->help;
    return status || asked ? status : usage(stderr, EXIT_USAGE);
}

static int look_up(struct licence_cmd *c)
{
    const char *near = "";
    c->licence = facts_licence(&c->facts, span_from(c->name));
    c->sure = true;
    if (c->licence)
        return 0;
    c->model = facts_model(&c->facts, span_from(c->name), &c->arena, &near);
    if (!c->model && near[0]) {
        (void)fprintf(stderr,
                      "hotspare: several models are called \"%s\", and their licences may "
                      "differ: %s\n",
                      c->name, near);
        return EXIT_USAGE;
    }
    if (c->model)
        c->licence = licence_of(&c->facts, c->model, &c->sure);
    return 0;
}

static void judge(struct licence_cmd *c)
{
    licence_judge(c->licence, &c->use, &c->arena, &c->verdict);
    if (c->licence && !c->sure) {
        struct licence_verdict *v = &c->verdict;
        if (v->verdict < RULING_ASK)
            v->verdict = RULING_ASK;
        if (v->reason_count < VERDICT_LINES_MAX)
            v->reasons[v->reason_count++] = "that this model has this licence is not confirmed";
    }
}

/* ---- the checklist: one row for each question ---- */

struct answer {
    const char *question, *answer;
};
#define ANSWERS 9

static const char *or_none(const char *s, const char *none)
{
    return s ? s : none;
}

static const char *limits(const struct fact_licence *l, struct arena *a)
{
    struct span s = SPAN_EMPTY;
    if (l->mau_limit > 0)
        s = arena_printf(a, "%.0f monthly users", l->mau_limit);
    if (l->usd_year_limit > 0)
        s = arena_printf(a, "%.*s%s%.0f USD revenue a year%s", SPAN_FMT(s), s.len ? ", " : "",
                         l->usd_year_limit,
                         l->limit_api_only ? " (when offered as a service)" : "");
    if (s.len && l->over_limit)
        s = arena_printf(a, "%.*s; above: %s", SPAN_FMT(s), l->over_limit);
    return s.len ? s.at : "none";
}

static void answers_of(const struct fact_licence *l, struct arena *a, struct answer out[ANSWERS])
{
    const struct answer rows[ANSWERS] = {
        {"commercial use", or_none(l->commercial, "unknown")},
        {"thresholds", limits(l, a)},
        {"regions left out", or_none(l->not_in, "none")},
        {"attribution", or_none(l->attribution, "none")},
        {"modify", or_none(l->modify, "unknown")},
        {"redistribute", or_none(l->redistribute, "unknown")},
        {"offer as a service", or_none(l->api, "unknown")},
        {"train others on outputs", or_none(l->train, "unknown")},
        {"use policy", or_none(l->policy, "none")},
    };
    memcpy(out, rows, sizeof rows);
    for (size_t i = 0; i < ANSWERS; i++)
        if (strcmp(out[i].answer, "?") == 0)
            out[i].answer = "unknown";
}

static void show_lines(const char *title, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)printf("  %-9s%s\n", i ? "" : title, lines[i]);
}

static void show(const struct licence_cmd *c, struct arena *a)
{
    const struct fact_licence *l = c->licence;
    (void)printf("%s: %s\n", c->model ? c->model->id : c->name,
                 l ? l->name : "the licence is not known here");
    if (l) {
        struct answer rows[ANSWERS];
        answers_of(l, a, rows);
        for (size_t i = 0; i < ANSWERS; i++)
            (void)printf("  %-24s %s\n", rows[i].question, rows[i].answer);
        if (l->show)
            (void)printf("  %-24s %s\n", "display", l->show);
        (void)printf("  %-24s %s (%s, as of %s)\n", "source", l->source, l->verified, l->as_of);
    }
    (void)printf("\n%s use%s: %s\n", use_kind_name(c->use.kind),
                 c->use_given ? "" : " (--use says another)", ruling_name(c->verdict.verdict));
    show_lines("because", c->verdict.reasons, c->verdict.reason_count);
    show_lines("duties", c->verdict.duties, c->verdict.duty_count);
    if (l && l->notice && c->use.kind != USE_RESEARCH)
        (void)printf("  notice to ship:\n    %s\n", l->notice);
    (void)printf("Not legal advice. Read the LICENSE file of the exact revision you run, and keep "
                 "a copy of it.\n");
}

/* ---- JSON ---- */

static void json_text(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    if (value)
        jw_cstr(w, value);
    else
        jw_null(w);
}

static void json_lines(struct json_out *w, const char *key, const char *const *lines, size_t count)
{
    jw_key(w, key);
    jw_array(w);
    for (size_t i = 0; i < count; i++)
        jw_cstr(w, lines[i]);
    jw_array_end(w);
}

static void show_json(const struct licence_cmd *c, struct arena *a)
{
    const struct fact_licence *l = c->licence;
    struct buf text;
    struct json_out w;
    buf_init(&text, TEXT_MAX);
    json_out_buf(&w, &text);
    jw_object(&w);
    json_text(&w, "schema", "hotspare.licence/1");
    json_text(&w, "model", c->model ? c->model->id : NULL);
    json_text(&w, "licence", l ? l->id : NULL);
    json_text(&w, "name", l ? l->name : NULL);
    json_text(&w, "use", use_kind_name(c->use.kind));
    json_text(&w, "verdict", ruling_name(c->verdict.verdict));
    json_lines(&w, "reasons", c->verdict.reasons, c->verdict.reason_count);
    json_lines(&w, "duties", c->verdict.duties, c->verdict.duty_count);
    if (l) {
        struct answer rows[ANSWERS];
        answers_of(l, a, rows);
        jw_key(&w, "answers");
        jw_object(&w);
        for (size_t i = 0; i < ANSWERS; i++)
            json_text(&w, rows[i].question, rows[i].answer);
        jw_object_end(&w);
        json_text(&w, "notice", l->notice);
        json_text(&w, "source", l->source);
        json_text(&w, "verified", l->verified);
        json_text(&w, "as_of", l->as_of);
    }
    jw_object_end(&w);
    (void)fwrite(text.at, 1, text.len, stdout);
    (void)putchar('\n');
    buf_deinit(&text);
}

static void show_list(const struct facts *f)
{
    for (size_t i = 0; i < f->model_count; i++)
        (void)printf("%-52s %s\n", f->models[i].id,
                     f->models[i].licence ? f->models[i].licence : "unknown");
}

static int run(struct licence_cmd *c)
{
    const char *why = "";
    if (facts_load(&c->facts, facts_folder(c->catalogue, &c->arena), &why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare: %s\n", why);
        return EXIT_DATA;
    }
    if (c->list) {
        show_list(&c->facts);
        return 0;
    }
    int status = look_up(c);
    if (status)
        return status;
    judge(c);
    if (c->json)
        show_json(c, &c->arena);
    else
        show(c, &c->arena);
    return c->verdict.verdict == RULING_FORBIDDEN ? EXIT_FORBIDDEN
           : c->verdict.verdict == RULING_ASK     ? EXIT_ASK
                                                  : 0;
}

int licence_main(int argc, char **argv)
{
    struct licence_cmd c = {0};
    int status = read_options(argc, argv, &c);
    arena_init(&c.arena, SIZE_MAX);
    if (status == 0)
        status = c.help ? usage(stdout, 0) : run(&c);
    facts_deinit(&c.facts);
    arena_deinit(&c.arena);
    return status;
}
