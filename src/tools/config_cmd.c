/* The configuration's commands. Results on stdout, talk on stderr; exit 78 when a configuration is
 * no good. */
#include "tools/config_cmd.h"

#include "base/span.h"
#include "json/json_write.h"
#include "serve/load.h"
#include "serve/probed_file.h"
#include "tools/explain_target.h"

#include <getopt.h>
#include <stdio.h>

#define TEXT_MAX ((size_t)4 << 20)
#define EXIT_USAGE 64
#define EXIT_CONFIG 78

struct config_options {
    struct load_flags flags;
    bool json, origin, chain, capabilities;
};

static int usage(FILE *to, int status)
{
    (void)fputs("usage: hotspare config check [FILE] [--json]     all errors at once, with line, "
                "column and fix\n"
                "       hotspare config show [FILE] [--origin]    what is in force; secrets never\n"
                "       hotspare config explain [KEY]             what a key means; all of them "
                "without KEY\n"
                "                                                 targets.NAME adds what it can "
                "carry, presumed or probed\n"
                "       hotspare config explain --chain [FILE]    what each target of it is given, "
                "and its limits\n"
                "       hotspare config explain --capabilities    the same for every kind of "
                "target\n"
                "       hotspare config schema                    JSON Schema, for editors\n"
                "       hotspare init                             the chain found on this machine, "
                "as a file\n"
                "\n"
                "  FILE as for `hotspare serve --config`; - = no file, only the environment\n",
                to);
    return status;
}

static int print(struct buf *text, int status)
{
    (void)fwrite(text->at, 1, text->len, stdout);
    buf_deinit(text);
    return status;
}

static void print_report(FILE *to, const struct loaded *l)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    config_report_print(&l->report, &l->source, &text);
    (void)fwrite(text.at, 1, text.len, to);
    buf_deinit(&text);
}

static void print_json(const struct loaded *l, bool good)
{
    struct buf text;
    struct json_out w;
    buf_init(&text, TEXT_MAX);
    json_out_buf(&w, &text);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_cstr(&w, "hotspare.config-check/1");
    jw_key(&w, "ok");
    jw_bool(&w, good);
    jw_key(&w, "problems");
    jw_array(&w);
    for (size_t i = 0; i < l->report.count; i++) {
        const struct config_problem *p = &l->report.at[i];
        jw_object(&w);
        jw_key(&w, "level");
        jw_cstr(&w, p->warning ? "warning" : "error");
        jw_key(&w, "line");
        jw_i64(&w, p->line);
        jw_key(&w, "column");
        jw_i64(&w, p->column);
        jw_key(&w, "text");
        jw_cstr(&w, p->text);
        jw_key(&w, "fix");
        jw_cstr(&w, p->fix ? p->fix : "");
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    (void)print(&text, 0);
    (void)putchar('\n');
}

static int check(const struct config_options *o)
{
    struct loaded l;
    const char *why = "";
    enum err e = load_config(&o->flags, false, true, &l, &why);
    if (why[0])
        (void)fprintf(stderr, "hotspare: %s\n", why);
    if (o->json)
        print_json(&l, e == ERR_OK);
    else
        print_report(e == ERR_OK ? stdout : stderr, &l);
    if (e == ERR_OK && !o->json)
        (void)printf("%s: good: %zu targets, %zu routes\n",
                     l.source.path ? l.source.path : "the environment", l.config->target_count,
                     l.config->route_count);
    loaded_deinit(&l);
    return e == ERR_OK ? 0 : EXIT_CONFIG;
}

static int show(const struct config_options *o, bool discover, const char *before)
{
    struct loaded l;
    const char *why = "";
    enum err e = load_config(&o->flags, discover, true, &l, &why);
    if (why[0])
        (void)fprintf(stderr, "hotspare: %s\n", why);
    print_report(stderr, &l);
    int status = EXIT_CONFIG;
    if (e == ERR_OK) {
        struct buf text;
        buf_init(&text, TEXT_MAX);
        (void)fputs(before, stdout);
        config_show(l.config, o->origin, &text);
        status = print(&text, 0);
    }
    loaded_deinit(&l);
    return status;
}

static int explain(const struct config_options *o, const char *key)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    enum err e = config_explain(key, &text);
    if (e == ERR_OK && key && span_starts(span_from(key), SPAN("targets.")))
        explain_target(&o->flags, span_drop(span_from(key), strlen("targets.")), &text);
    if (e == ERR_OK)
        return print(&text, 0);
    (void)fprintf(stderr, "hotspare: there is no key \"%s\"; hotspare config explain lists them\n",
                  key);
    buf_deinit(&text);
    return EXIT_USAGE;
}

static int explain_chain(const struct config_options *o)
{
    struct loaded l;
    const char *why = "";
    enum err e = load_config(&o->flags, true, false, &l, &why);
    if (why[0])
        (void)fprintf(stderr, "hotspare: %s\n", why);
    print_report(stderr, &l);
    int status = EXIT_CONFIG;
    if (e == ERR_OK) {
        struct buf text;
        struct arena a;
        struct probed *all;
        arena_init(&a, (size_t)1 << 20);
        struct config_found found = {.count = probed_file_load(l.config->state_dir, &a, &all),
                                     .wall = explain_wall()};
        found.all = all;
        buf_init(&text, TEXT_MAX);
        config_explain_chains(l.config, &found, &text);
        status = print(&text, 0);
        arena_deinit(&a);
    }
    loaded_deinit(&l);
    return status;
}

static int capabilities(void)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    config_capability_page(&text);
    return print(&text, 0);
}

static int schema(void)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    config_schema(&text);
    return print(&text, 0);
}

int config_main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"origin", no_argument, NULL, 'o'},
                                            {"chain", no_argument, NULL, 'C'},
                                            {"capabilities", no_argument, NULL, 'a'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct config_options o = {0};
    int c;
    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'c')
            o.flags.config = optarg;
        else if (c == 'j')
            o.json = true;
        else if (c == 'o')
            o.origin = true;
        else if (c == 'C')
            o.chain = true;
        else if (c == 'a')
            o.capabilities = true;
        else
            return usage(c == 'h' ? stdout : stderr, c == 'h' ? 0 : EXIT_USAGE);
    }
    const char *verb = optind < argc ? argv[optind] : "",
               *what = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (strcmp(verb, "explain") == 0 && o.capabilities)
        return capabilities();
    if (strcmp(verb, "explain") == 0 && !o.chain)
        return explain(&o, what);
    if (strcmp(verb, "schema") == 0)
        return schema();
    if (what)
        o.flags.config = what;
    if (strcmp(verb, "explain") == 0)
        return explain_chain(&o);
    if (strcmp(verb, "check") == 0)
        return check(&o);
    if (strcmp(verb, "show") == 0)
        return show(&o, true, "");
    return usage(stderr, EXIT_USAGE);
}

int init_main(int argc, char **argv)
{
    if (argc > 1)
        return usage(strcmp(argv[1], "--help") == 0 ? stdout : stderr,
                     strcmp(argv[1], "--help") ? EXIT_USAGE : 0);
    const struct config_options o = {.flags.config = "-"};
    return show(&o, true,
                "# yaml-language-server: $schema=hotspare.schema.json   (hotspare config schema > "
                "hotspare.schema.json)\n"
                "# What `hotspare serve` does here without a file, written down. `hotspare config "
                "explain` tells each key.\n");
}
