/* The command: plans, shows the licence's verdict, then shows or writes the files. Options that are
 * not its own are `hotspare plan`'s. A file that is there and differs is shown as a difference and
 * left alone without --force; all files are looked at before the first one is written. */
#include "tools/deploy/deploy.h"
#include "base/mem.h"
#include "base/span.h"
#include "tools/deploy/deploy_internal.h"
#include "tools/diff.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_NO 1
#define EXIT_USAGE 64
#define EXIT_IO 74
#define FILE_MAX ((size_t)1 << 20)
#define HOST_CARDS 8.0

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare deploy MODEL --gpu NAME[xN] [options of hotspare plan] [options]\n"
        "\n"
        "  --format F,F      compose, systemd, kubernetes, command, config (all that can be)\n"
        "  --out DIR         write files there (without it: shown)\n"
        "  --dry-run         show them, and the difference to what is in DIR\n"
        "  --force           write over files that differ; deploy what the plan says does not fit\n"
        "  --repo NAME       repository with the model in the planned format\n"
        "  --image IMAGE     of the engine (vLLM: " DEPLOY_VLLM_VERSION ")\n"
        "  --served-name N   the model's name in requests\n"
        "  --program PATH    the engine, for systemd and command\n"
        "  --gpus-per-host N cards one host has (8); beyond it one stage a host\n"
        "  --multi-node lws|ray  how several hosts become one engine: vLLM's own ranks, in\n"
        "                    Kubernetes as a LeaderWorkerSet (lws), or Ray (ray)\n"
        "  --replicas N      of Hotspare, for kubernetes (3);  --hotspare-image IMAGE\n"
        "  --licence-use U   research, internal, product, api-service (internal)\n"
        "  --users N, --revenue USD, --region XX, --train   as for hotspare licence\n"
        "\n"
        "Exit code 1: forbidden, does not fit, cannot be said in a format, or a file differs.\n",
        to);
    return status;
}

/* ---- options: its own are taken out, the others left to the plan ---- */

struct text_option {
    const char *name;
    const char **to;
};

static int bad(const char *name, const char *value, const char *want)
{
    (void)fprintf(stderr, "hotspare: --%s: \"%s\" is %s\n", name, value, want);
    return EXIT_USAGE;
}

static bool is_text(struct deploy *d, const char *name, const char *value)
{
    const struct text_option texts[] = {
        {"format", &d->formats},       {"out", &d->out},
        {"image", &d->image},          {"repo", &d->repo},
        {"program", &d->program},      {"hotspare-image", &d->hotspare_image},
        {"region", &d->use.region},    {"served-name", &d->served},
        {"multi-node", &d->multi_node}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcmp(name, texts[i].name) == 0) {
            if (value)
                *texts[i].to = value;
            return true;
        }
    return false;
}

static double *number_of(struct deploy *d, const char *name)
{
    return strcmp(name, "replicas") == 0        ? &d->replicas
           : strcmp(name, "gpus-per-host") == 0 ? &d->gpus_per_host
           : strcmp(name, "users") == 0         ? &d->use.users
           : strcmp(name, "revenue") == 0       ? &d->use.usd_year
                                                : NULL;
}

static bool *flag_of(struct deploy *d, const char *name)
{
    return strcmp(name, "dry-run") == 0 ? &d->dry_run
           : strcmp(name, "force") == 0 ? &d->force
           : strcmp(name, "train") == 0 ? &d->use.train
                                        : NULL;
}

static int set_value(struct deploy *d, const char *name, const char *value)
{
    double *n = number_of(d, name);
    if (n &&
        (span_double(span_from(value), n) != ERR_OK || !(*n >= 0 && *n <= 1e15) ||
         (n != &d->use.users && n != &d->use.usd_year && (*n < 1 || *n > 1024 || floor(*n) < *n))))
        return bad(name, value, "no such number");
    if (!n && strcmp(name, "licence-use") == 0 &&
        use_kind_of(span_from(value), &d->use.kind) != ERR_OK)
        return bad(name, value, "none of research, internal, product, api-service");
    if (!n)
        (void)is_text(d, name, value);
    if (strcmp(name, "multi-node") == 0 && strcmp(value, "lws") != 0 && strcmp(value, "ray") != 0)
        return bad(name, value, "neither lws nor ray");
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return bad(name, "...", "no text for a file: it holds a control character");
    return 0;
}

static int take_options(struct deploy *d, int *argc, char **argv, bool *help)
{
    int kept = 1, e = 0;
    for (int i = 1; i < *argc && !e; i++) {
        char *word = argv[i], name[32] = "";
        const char *value = NULL;
        if (strncmp(word, "--", 2) == 0) {
            size_t n = strcspn(word + 2, "=");
            (void)snprintf(name, sizeof name, "%.*s", (int)(n < 31 ? n : 31), word + 2);
            value = word[2 + n] ? word + 3 + n : NULL;
        }
        bool *flag = flag_of(d, name);
        *help = *help || strcmp(name, "help") == 0 || strcmp(word, "-h") == 0;
        if (flag) {
            *flag = true;
        } else if (number_of(d, name) || is_text(d, name, NULL) ||
                   strcmp(name, "licence-use") == 0) {
            if (!value && i + 1 == *argc)
                return bad(name, "", "missing");
            e = set_value(d, name, value ? value : argv[++i]);
        } else {
            argv[kept++] = word;
        }
    }
    *argc = kept;
    argv[kept] = NULL;
    return e;
}

/* ---- the plan ---- */

static int refuse(const char *what, const char *why)
{
    (void)fprintf(stderr, "hotspare: %s: %s\n", what, why);
    return EXIT_NO;
}

/* Cards beyond one host: tensor parallelism inside a host, one pipeline stage a host. */
static int split_hosts(struct deploy *d)
{
    struct plan *p = &d->plan;
    uint32_t per_host = (uint32_t)d->gpus_per_host, cards = p->cards;
    d->hosts = cards > per_host ? (cards + per_host - 1) / per_host : 1;
    d->ray = d->hosts > 1 && strcmp(d->multi_node, "ray") == 0;
    if (d->hosts == 1)
        return 0;
    if (cards % per_host)
        return refuse("hosts", "the cards are no multiple of --gpus-per-host");
    if (p->o.tp <= 0 && p->o.pp <= 0) {
        p->d.tp = per_host;
        p->d.pp = d->hosts;
    }
    const char *refused = estimate_split_refused(&p->d);
    return refused ? refuse("hosts", refused) : 0;
}

static void show_licence(const struct deploy *d)
{
    const struct licence_verdict *v = &d->verdict;
    (void)fprintf(stderr, "licence of %s: %s; %s use: %s\n", d->plan.d.model->id,
                  d->plan.d.model->licence ? d->plan.d.model->licence : "not known",
                  use_kind_name(d->use.kind), ruling_name(v->verdict));
    for (size_t i = 0; i < v->reason_count; i++)
        (void)fprintf(stderr, "  because  %s\n", v->reasons[i]);
    for (size_t i = 0; i < v->duty_count; i++)
        (void)fprintf(stderr, "  duty     %s\n", v->duties[i]);
}

static int judge(struct deploy *d)
{
    struct plan *p = &d->plan;
    char text[160];
    bool sure = true;
    const struct fact_licence *l = licence_of(&p->facts, p->d.model, &sure);
    licence_judge(l, &d->use, &p->arena, &d->verdict);
    if (!sure && d->verdict.verdict < RULING_ASK)
        d->verdict.verdict = RULING_ASK;
    show_licence(d);
    if (d->verdict.verdict == RULING_FORBIDDEN)
        return refuse("nothing is deployed", "the licence forbids this use");
    int e = split_hosts(d);
    if (e)
        return e;
    estimate_memory(&p->facts, &p->d, &p->m);
    estimate_speed(&p->d, &p->m, &p->s);
    (void)fprintf(stderr, "plan: %s\n", plan_verdict(p, text));
    if (!p->m.fits && !d->force)
        return refuse("nothing is deployed",
                      "by the plan it does not fit (hotspare plan says what would; --force "
                      "deploys it all the same)");
    const char *why = deploy_engine(d);
    return why ? refuse(engine_name(p->d.engine), why) : 0;
}

/* ---- files ---- */

static void config_file(const struct deploy *d, struct buf *out)
{
    deploy_head(d, out);
    deploy_config(d, NULL, 0, out);
}

static const struct {
    const char *format, *file;
    void (*write)(const struct deploy *d, struct buf *out);
    mode_t mode;
} files[] = {
    {"compose", "compose.yaml", deploy_compose, 0644},
    {"compose", ".env", deploy_env, 0644},
    {"systemd", "hotspare-engine.service", deploy_systemd, 0644},
    {"kubernetes", "kubernetes.yaml", deploy_kubernetes, 0644},
    {"command", "run-engine.sh", deploy_command, 0755},
    {"config", "hotspare.yaml", config_file, 0644},
};

static bool wanted(const struct deploy *d, const char *format)
{
    struct span rest = span_from(d->formats), one;
    if (!d->formats)
        return !deploy_refused(d, format);
    while (span_next(&rest, ',', &one))
        if (span_is(span_trim(one), format))
            return true;
    return false;
}

static int check_formats(const struct deploy *d)
{
    struct span rest = span_from(d->formats), one;
    int e = 0;
    while (d->formats && span_next(&rest, ',', &one)) {
        size_t i = 0;
        char name[32];
        (void)snprintf(name, sizeof name, "%.*s", SPAN_FMT(span_trim(one)));
        while (i < ARRAY_LEN(files) && strcmp(files[i].format, name) != 0)
            i++;
        if (i == ARRAY_LEN(files))
            return bad("format", name, "none of compose, systemd, kubernetes, command, config");
        const char *why = deploy_refused(d, name);
        if (why)
            e = refuse(name, why);
    }
    for (size_t i = 0; !d->formats && i < ARRAY_LEN(files); i++)
        if (deploy_refused(d, files[i].format) && strcmp(files[i].file, ".env") != 0)
            (void)fprintf(stderr, "not written: %s: %s\n", files[i].format,
                          deploy_refused(d, files[i].format));
    return e;
}

static bool read_file(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "re");
    char part[4096];
    size_t n;
    bool good = f != NULL;
    while (good && (n = fread(part, 1, sizeof part, f)) > 0)
        good = buf_add(out, (struct span){part, n}) == ERR_OK;
    good = good && !ferror(f);
    if (f)
        (void)fclose(f);
    return good;
}

static void show_difference(const char *path, struct span old, struct span new)
{
    struct buf text;
    buf_init(&text, 4 * FILE_MAX);
    if (diff_unified(old, new, path, NULL, &text) == ERR_OK)
        (void)fwrite(text.at, 1, text.len, stdout);
    buf_deinit(&text);
}

/* Through a file beside it, so that nobody ever reads half of it. */
static bool write_file(const char *path, struct span text, mode_t mode, struct arena *a)
{
    const char *half = arena_printf(a, "%s.new", path).at;
    FILE *f = fopen(half, "we");
    bool good = f && fwrite(text.at, 1, text.len, f) == text.len;
    good = good && fchmod(fileno(f), mode) == 0;
    good = f && fclose(f) == 0 && good;
    good = good && rename(half, path) == 0;
    if (!good)
        (void)fprintf(stderr, "hotspare: %s: %s\n", path, strerror(errno));
    if (!good && f)
        (void)unlink(half);
    return good;
}

/* One file in one of the passes: looked at first, written when all have been. */
static int one_file(struct deploy *d, size_t i, bool writing)
{
    struct arena *a = &d->plan.arena;
    struct buf text, there;
    const char *path = d->out ? arena_printf(a, "%s/%s", d->out, files[i].file).at : files[i].file;
    int e = 0;
    buf_init(&text, FILE_MAX);
    buf_init(&there, FILE_MAX);
    files[i].write(d, &text);
    bool exists = d->out && access(path, F_OK) == 0;
    bool known = exists && read_file(path, &there);
    bool same = known && span_eq(buf_span(&there), buf_span(&text));
    if (!d->out || (d->dry_run && !exists && !writing))
        (void)printf("# ---- %s\n%.*s\n", files[i].file, SPAN_FMT(buf_span(&text)));
    else if (exists && !same && !writing)
        show_difference(path, buf_span(&there), buf_span(&text));
    if (exists && !same && !d->force && !d->dry_run)
        e = refuse(path, "is there already and differs; --force writes over it");
    if (writing && !same && !e)
        e = write_file(path, buf_span(&text), files[i].mode, a) ? 0 : EXIT_IO;
    if (writing && !e)
        (void)fprintf(stderr, "%s %s\n", same ? "unchanged" : "written  ", path);
    buf_deinit(&text);
    buf_deinit(&there);
    return e;
}

static int all_files(struct deploy *d)
{
    int e = check_formats(d);
    if (!e && d->out && !d->dry_run && mkdir(d->out, 0755) != 0 && errno != EEXIST) {
        (void)fprintf(stderr, "hotspare: %s: %s\n", d->out, strerror(errno));
        return EXIT_IO;
    }
    for (int writing = 0; writing <= (d->out && !d->dry_run) && !e; writing++)
        for (size_t i = 0; i < ARRAY_LEN(files); i++)
            if (wanted(d, files[i].format)) {
                int one = one_file(d, i, writing);
                e = e ? e : one;
            }
    return e;
}

int deploy_main(int argc, char **argv)
{
    struct deploy *d = mem_new(struct deploy);
    bool help = false;
    d->use = (struct use){.kind = USE_INTERNAL, .users = NAN, .usd_year = NAN};
    d->replicas = 3;
    d->multi_node = "lws";
    d->gpus_per_host = HOST_CARDS;
    arena_init(&d->plan.arena, SIZE_MAX);
    int e = take_options(d, &argc, argv, &help);
    if (!e && (help || argc < 2))
        e = help ? usage(stdout, 0) : usage(stderr, EXIT_USAGE);
    else if (!e)
        e = plan_options_read(argc, argv, &d->plan.o);
    if (!e && !help && d->plan.o.suggest)
        e = refuse("--suggest", "hotspare plan --suggest names models; deploy one of them");
    e = e || help ? e : plan_prepare(&d->plan);
    e = e || help ? e : judge(d);
    e = e || help ? e : all_files(d);
    facts_deinit(&d->plan.facts);
    arena_deinit(&d->plan.arena);
    mem_free(d);
    return e;
}
