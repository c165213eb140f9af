/* Licence first, then the hub's list at one commit, room on the disk, and each file until it is
 * verified (part.c). A licence our tables know is judged before anything is asked of the network;
 * another one by the word on the hub's card, before any weights come.
 *
 * The token is the environment's alone: an argument would stand in every list of processes. */
#include "tools/pull/pull.h"
#include "base/mem.h"
#include "base/span.h"
#include "tools/pull/pull_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define EXIT_FORBIDDEN 1
#define EXIT_USAGE 64
#define EXIT_DATA 65
#define EXIT_UNAVAILABLE 69
#define EXIT_IO 74
#define EXIT_NOT_PERMITTED 77
#define EXIT_SIGNAL 128 /* and the signal's number, as shells have it */
#define ENDPOINT "https://huggingface.co"
#define TOKEN_MAX 512u
#define ROOM_LEFT ((uint64_t)64 << 20) /* of the disk, when all is loaded */
#define MANIFEST HUB_MANIFEST
#define MANIFEST_MAX ((size_t)16 << 20)

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare pull MODEL[:QUANT] [options]\n"
        "\n"
        "  MODEL             ORGANISATION/NAME on the hub, or a name of the catalogue; QUANT "
        "picks a GGUF (Q4_K_M)\n"
        "  --dir DIR         where the files go (~/.local/share/hotspare/models/MODEL)\n"
        "  --revision REV    branch, tag or commit (main); the commit it stands for is pinned\n"
        "  --file NAME       this file, and by name only; may be repeated\n"
        "  --sha256 HEX      what the one file must have\n"
        "  --use KIND        research, internal, product, api-service: the licence is judged for "
        "it (internal)\n"
        "  --users N, --revenue USD, --region XX   as hotspare licence has them\n"
        "  --accept-licence  load although the licence forbids this use\n"
        "  --replace         overwrite files that differ from the hub's\n"
        "  --dry-run         licence, files, sizes and room; nothing is loaded\n"
        "  --catalogue DIR, --json\n"
        "\n"
        "HF_TOKEN is sent to the hub and to nobody else; HF_ENDPOINT names another hub. Ctrl-C\n"
        "keeps what has come: the same command goes on from there.\n"
        "Exit code 1: the licence forbids it. 65: checksum. 69: hub. 74: disk. 77: not "
        "permitted.\n",
        to);
    return status;
}

/* ---- options ---- */

static bool number(const char *option, const char *value, double *out)
{
    if (span_double(span_from(value), out) == ERR_OK)
        return true;
    (void)fprintf(stderr, "hotspare: --%s: \"%s\" is no number\n", option, value);
    return false;
}

static bool set_use(struct pull *p, const char *value)
{
    if (use_kind_of(span_from(value), &p->use.kind) == ERR_OK)
        return true;
    (void)fprintf(stderr,
                  "hotspare: --use: \"%s\" is none of research, internal, product, api-service\n",
                  value);
    return false;
}

static bool add_name(struct pull *p, const char *value)
{
    if (p->name_count == PULL_NAMES_MAX) {
        (void)fprintf(stderr, "hotspare: --file: at most %u\n", PULL_NAMES_MAX);
        return false;
    }
    p->names[p->name_count++] = value;
    return true;
}

static bool set_option(struct pull *p, int option, const char *value)
{
    switch (option) {
    case 'u':
        return set_use(p, value);
    case 'n':
        return number("users", value, &p->use.users);
    case 'm':
        return number("revenue", value, &p->use.usd_year);
    case 'f':
        return add_name(p, value);
    case 'g':
        p->use.region = value;
        return true;
    case 'd':
        p->dir = value;
        return true;
    case 'r':
        p->revision = value;
        return true;
    case 's':
        p->sha256 = value;
        return true;
    case 'c':
        p->catalogue = value;
        return true;
    default:
        p->help = option == 'h';
        return option == 0 || p->help;
    }
}

static int read_options(int argc, char **argv, struct pull *p)
{
    int option, accept = 0, replace = 0, dry_run = 0, json = 0;
    const struct option options[] = {{"use", required_argument, NULL, 'u'},
                                     {"users", required_argument, NULL, 'n'},
                                     {"revenue", required_argument, NULL, 'm'},
                                     {"region", required_argument, NULL, 'g'},
                                     {"dir", required_argument, NULL, 'd'},
                                     {"revision", required_argument, NULL, 'r'},
                                     {"file", required_argument, NULL, 'f'},
                                     {"sha256", required_argument, NULL, 's'},
                                     {"catalogue", required_argument, NULL, 'c'},
                                     {"accept-licence", no_argument, &accept, 1},
                                     {"replace", no_argument, &replace, 1},
                                     {"dry-run", no_argument, &dry_run, 1},
                                     {"json", no_argument, &json, 1},
                                     {"help", no_argument, NULL, 'h'},
                                     {NULL, 0, NULL, 0}};
    p->use = (struct use){.kind = USE_INTERNAL, .users = NAN, .usd_year = NAN};
    p->revision = "main";
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
        if (!set_option(p, option, optarg))
            return option == '?' ? usage(stderr, EXIT_USAGE) : EXIT_USAGE;
    p->accept = accept, p->replace = replace, p->dry_run = dry_run, p->json = json;
    p->model = optind < argc ? argv[optind++] : NULL;
    return p->help || (p->model && optind == argc) ? 0 : usage(stderr, EXIT_USAGE);
}

static int complain(int status, const char *what, const char *why)
{
    (void)fprintf(stderr, "hotspare: %s: %s\n", what, why);
    return status;
}

/* A name without organisation is one of the catalogue's. */
static int read_model(struct pull *p)
{
    struct span text = span_from(p->model), name = SPAN_EMPTY, rest = text;
    const char *near = "", *why = "";
    if (span_find(text, '/') < 0 && span_next(&rest, ':', &name)) {
        const struct fact_model *m = facts_model(&p->facts, name, &p->arena, &near);
        if (m == NULL)
            return complain(EXIT_USAGE, p->model,
                            near[0] ? arena_printf(&p->arena, "which one? %s", near).at
                                    : "the catalogue has no such model; write ORGANISATION/NAME");
        text = arena_printf(&p->arena, "%s%.*s", m->id, SPAN_FMT(span_drop(text, name.len)));
    }
    if (hub_ref_read(text, &p->ref, &why) != ERR_OK)
        return complain(EXIT_USAGE, p->model, why);
    if (!hub_revision_valid(span_from(p->revision)))
        return complain(EXIT_USAGE, "--revision", "neither a branch, a tag nor a commit");
    if (p->sha256 && (strlen(p->sha256) != 64 || strspn(p->sha256, "0123456789abcdef") != 64))
        return complain(EXIT_USAGE, "--sha256", "64 hexadecimal digits in lower case");
    p->id = arena_cstr(&p->arena, p->ref.id);
    return 0;
}

/* Who needs one would wait for connections that cannot be made. */
static void say_proxies_unused(void)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value == NULL || *value == 0)
            continue;
        (void)fprintf(stderr, "hotspare: %s is set, and pull uses no proxy: it connects itself\n",
                      names[i]);
        return;
    }
}

static int read_environment(struct pull *p)
{
    struct url url;
    const char *why = "", *token = getenv("HF_TOKEN"), *endpoint = getenv("HF_ENDPOINT");
    struct span base = span_from(endpoint && endpoint[0] ? endpoint : ENDPOINT);
    while (span_ends(base, SPAN("/")))
        base.len--;
    if (url_parse(base, &url, &why) != ERR_OK)
        return complain(EXIT_USAGE, "HF_ENDPOINT", why);
    p->endpoint = arena_cstr(&p->arena, base);
    if (token == NULL || token[0] == 0)
        return 0;
    for (size_t i = 0; token[i]; i++)
        if (token[i] <= ' ' || token[i] > '~' || i == TOKEN_MAX)
            return complain(EXIT_USAGE, "HF_TOKEN", "holds a blank or another byte no token has");
    if (!url.tls && !url_host_is_loopback(url.host))
        return complain(EXIT_USAGE, "HF_ENDPOINT",
                        "HF_TOKEN would travel there unencrypted: write https, or unset HF_TOKEN");
    p->token = token;
    return 0;
}

/* ---- what the hub says ---- */

static int interrupted(const struct pull *p)
{
    (void)fprintf(stderr,
                  "hotspare: interrupted. What has come is kept in %s; the same command "
                  "goes on from there\n",
                  p->dir);
    return EXIT_SIGNAL + p->web.signal;
}

/* An answer that is a refusal, in words that say what to do. */
static int refused(struct pull *p, const struct web_refusal *r, const char *what)
{
    struct arena *a = &p->arena;
    const char *why;
    if (r->status == 401 && p->token)
        why = "the hub does not take HF_TOKEN: it is wrong or expired, or there is no such model";
    else if (r->status == 401)
        why = "gated, private, or no such model (401): set HF_TOKEN to a token that may read it";
    else if (r->status == 403)
        why = arena_printf(a, "not allowed (403): accept its conditions at %s/%s%s", p->endpoint,
                           p->id, p->token ? "" : ", and set HF_TOKEN")
                  .at;
    else if (r->status == 404 && strcmp(r->code, "RevisionNotFound") == 0)
        why = arena_printf(a, "it has no revision %s (404)", p->revision).at;
    else if (r->status == 404)
        why = "not there (404): names are exact; see the model's page on the hub";
    else
        why = arena_printf(a, "the hub answers %d %s", r->status, r->code).at;
    return complain(r->status == 401 || r->status == 403 ? EXIT_NOT_PERMITTED : EXIT_UNAVAILABLE,
                    what, why);
}

struct listing {
    struct buf text;
    struct web_refusal refusal;
    bool too_long;
};

static bool on_head(void *ctx, const struct http_head *head)
{
    struct listing *l = ctx;
    l->refusal = (struct web_refusal){0};
    if (head->status != 200)
        web_refusal_read(head, &l->refusal);
    return head->status == 200;
}

static bool on_body(void *ctx, struct span bytes)
{
    struct listing *l = ctx;
    l->too_long = buf_add(&l->text, bytes) != ERR_OK;
    return !l->too_long;
}

static int ask_hub(struct pull *p, struct listing *l)
{
    static const struct web_events events = {NULL, on_head, on_body};
    struct web_patience patience = {0};
    const char *url = arena_printf(&p->arena, "%s/api/models/%s/revision/%s?blobs=true",
                                   p->endpoint, p->id, hub_escaped(&p->arena, p->revision, false))
                          .at;
    do {
        buf_reset(&l->text);
        l->refusal = (struct web_refusal){0};
        enum web_end end = web_get(&p->web, url, SPAN("Accept-Encoding: identity\r\n"), &events, l);
        if (end == WEB_DONE)
            return 0;
        if (l->too_long)
            return complain(EXIT_UNAVAILABLE, p->endpoint, "its list of files is too long");
        if (end == WEB_STOPPED && !web_passing(l->refusal.status))
            return refused(p, &l->refusal, p->id);
        if (end == WEB_REFUSED)
            break;
        p->web.why = end == WEB_STOPPED ? "the hub is not well" : p->web.why;
    } while (web_again(&p->web, &patience, false, l->refusal.retry_after));
    return p->web.signal ? interrupted(p) : complain(EXIT_UNAVAILABLE, p->endpoint, p->web.why);
}

static int list_files(struct pull *p)
{
    struct listing l = {0};
    const char *why = "";
    struct hub_wish wish = {p->ref.quant, p->names, p->name_count};
    buf_init(&l.text, HUB_ANSWER_MAX);
    int status = ask_hub(p, &l);
    if (status == 0 &&
        hub_read(&p->arena, arena_copy(&p->arena, buf_span(&l.text)), &p->hub, &why) != ERR_OK)
        status = complain(EXIT_UNAVAILABLE, p->endpoint, why);
    buf_deinit(&l.text);
    if (status == 0 && hub_choose(&p->arena, &p->hub, &wish, &p->choice, &why) != ERR_OK)
        status = complain(EXIT_USAGE, p->id, why);
    if (status == 0 && p->sha256 && p->choice.files[0]->sum &&
        strcmp(p->sha256, p->choice.files[0]->sum) != 0 && strlen(p->choice.files[0]->sum) == 64)
        return complain(EXIT_DATA, p->choice.files[0]->name,
                        arena_printf(&p->arena, "the hub announces SHA-256 %s, not --sha256's",
                                     p->choice.files[0]->sum)
                            .at);
    return status;
}

/* ---- the disk ---- */

static bool choose_dir(struct pull *p)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (p->dir)
        return true;
    if (data && data[0] == '/')
        p->dir = arena_printf(&p->arena, "%s/hotspare/models/%s", data, p->id).at;
    else if (home && home[0] == '/')
        p->dir = arena_printf(&p->arena, "%s/.local/share/hotspare/models/%s", home, p->id).at;
    return p->dir != NULL;
}

/* The folder, made as far as it is not there when `make`; else the nearest one that is. */
static int open_dir(struct pull *p, bool make)
{
    char *path = arena_cstr(&p->arena, span_from(p->dir));
    for (char *at = path + 1; make && *at; at++)
        if (*at == '/') {
            *at = 0;
            (void)mkdir(path, 0755); /* the open below tells */
            *at = '/';
        }
    if (make)
        (void)mkdir(path, 0755); /* as above */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = strlen(path); !make && fd < 0 && errno == ENOENT && i > 0; i--)
        if (path[i - 1] == '/') {
            path[i > 1 ? i - 1 : 1] = 0;
            fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
    return !make && fd < 0 && errno == ENOENT ? open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : fd;
}

static int check_room(struct pull *p, int folder)
{
    struct statvfs disk;
    uint64_t need = 0;
    char wanted[HUB_BYTES_TEXT], there[HUB_BYTES_TEXT];
    for (size_t i = 0; i < p->choice.count; i++)
        need += p->choice.files[i]->size - part_present(folder, p->choice.files[i]);
    if (fstatvfs(folder, &disk) != 0)
        return 0; /* not told: a full disk shows when writing, and keeps what has come */
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (need == 0 || need + ROOM_LEFT <= room)
        return 0;
    return complain(EXIT_IO, p->dir,
                    arena_printf(&p->arena,
                                 "%s are still to come, and the disk has %s free. Free "
                                 "some, or take another --dir or a smaller quantization",
                                 hub_bytes(wanted, (double)need), hub_bytes(there, (double)room))
                        .at);
}

/* ---- loading ---- */

static int end_of(struct pull *p, const struct part_job *j, enum part_end end)
{
    char have[HUB_BYTES_TEXT];
    switch (end) {
    case PART_DONE:
        return 0;
    case PART_THERE:
        progress_say(&p->progress, "%s is there and right", j->file->name);
        return 0;
    case PART_SIGNAL:
        return interrupted(p);
    case PART_WRONG:
        return complain(EXIT_DATA, p->id, j->why);
    case PART_REFUSED:
        return refused(p, &j->refusal, j->file->name);
    case PART_IO:
        return complain(EXIT_IO, p->dir, j->why);
    case PART_FAILED:
        break;
    }
    return complain(EXIT_UNAVAILABLE, j->file->name,
                    arena_printf(&p->arena,
                                 "%s. %s of it are kept; the same command goes on from there",
                                 j->why, hub_bytes(have, (double)j->have))
                        .at);
}

static int load_one(struct pull *p, int folder, const struct hub_file *f)
{
    struct arena *a = &p->arena;
    struct part_job j = {.web = &p->web,
                         .arena = a,
                         .progress = &p->progress,
                         .folder = folder,
                         .file = f,
                         .sum = p->sha256 ? p->sha256 : f->sum,
                         .replace = p->replace};
    j.url = arena_printf(a, "%s/%s/resolve/%s/%s", p->endpoint, p->id, p->hub.commit,
                         hub_escaped(a, f->name, true))
                .at;
    return end_of(p, &j, part_get(&j));
}

/* What was loaded, for the next who asks. Not having it harms nothing: told, not failed. */
static void write_manifest(struct pull *p, int folder)
{
    struct buf text;
    buf_init(&text, MANIFEST_MAX);
    pull_json(p, &text);
    int fd = openat(folder, MANIFEST ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                    0644);
    bool good = fd >= 0 && write(fd, text.at, text.len) == (ssize_t)text.len && fsync(fd) == 0 &&
                renameat(folder, MANIFEST ".new", folder, MANIFEST) == 0;
    if (!good)
        (void)fprintf(stderr, "hotspare: %s/" MANIFEST ": %s\n", p->dir, strerror(errno));
    if (fd >= 0)
        (void)close(fd); /* fsync has told */
    buf_deinit(&text);
}

static void show_result(struct pull *p)
{
    struct buf text;
    if (!p->json) {
        for (size_t i = 0; i < p->choice.count; i++)
            (void)printf("%s/%s\n", p->dir, p->choice.files[i]->name);
        return;
    }
    buf_init(&text, MANIFEST_MAX);
    pull_json(p, &text);
    (void)fwrite(text.at, 1, text.len, stdout);
    (void)putchar('\n');
    buf_deinit(&text);
}

static void show_target(const struct pull *p)
{
    struct span first = span_from(p->choice.files[0]->name);
    bool gguf = span_ends(first, SPAN(".gguf"));
    (void)fprintf(stderr,
                  "Verified at commit %s. As a target:\n"
                  "  mine: { kind: %s, model: %s%s%s, start: on-demand }\n",
                  p->hub.commit, gguf ? "llama.cpp" : "vllm", p->dir, gguf ? "/" : "",
                  gguf ? first.at : "");
}

static int load(struct pull *p)
{
    int folder = open_dir(p, !p->dry_run);
    if (folder < 0)
        return complain(EXIT_IO, p->dir, strerror(errno));
    int status = check_room(p, folder);
    progress_init(&p->progress, false);
    p->progress.count = p->choice.count;
    for (size_t i = 0; i < p->choice.count && status == 0 && !p->dry_run; i++) {
        p->progress.index = i + 1;
        status = load_one(p, folder, p->choice.files[i]);
    }
    if (status == 0 && !p->dry_run)
        write_manifest(p, folder);
    (void)close(folder); /* only read from */
    if (status == 0)
        show_result(p);
    if (status == 0 && !p->dry_run)
        show_target(p);
    return status;
}

static void show_files(const struct pull *p)
{
    char text[HUB_BYTES_TEXT];
    (void)fprintf(stderr, "%s at commit %s: %zu files, %s, into %s\n", p->id, p->hub.commit,
                  p->choice.count, hub_bytes(text, (double)p->choice.bytes), p->dir);
    for (size_t i = 0; i < p->choice.count; i++)
        (void)fprintf(stderr, "  %10s  %s\n", hub_bytes(text, (double)p->choice.files[i]->size),
                      p->choice.files[i]->name);
}

static int with_hub(struct pull *p, bool known)
{
    int status = list_files(p);
    if (status)
        return status;
    if (!known) {
        (void)pull_licence_of_card(p); /* not known: shown as that */
        if (!pull_licence_show(p))
            return EXIT_FORBIDDEN;
    }
    if (p->sha256 && p->choice.count != 1)
        return complain(EXIT_USAGE, "--sha256", "is for one file: name it with --file");
    show_files(p);
    return load(p);
}

static int run(struct pull *p)
{
    const char *why = "";
    if (facts_load(&p->facts, facts_folder(p->catalogue, &p->arena), &why) != ERR_OK)
        return complain(EXIT_DATA, "catalogue", why);
    int status = read_model(p);
    status = status ? status : read_environment(p);
    if (status)
        return status;
    if (!choose_dir(p))
        return complain(EXIT_USAGE, "--dir", "there is no home folder; say where the files go");
    bool known = pull_licence_known(p);
    if (known && !pull_licence_show(p))
        return EXIT_FORBIDDEN;
    say_proxies_unused();
    if (web_open(&p->web, &p->arena, p->endpoint, p->token) != ERR_OK)
        return complain(EXIT_UNAVAILABLE, "certificates", p->web.why);
    status = with_hub(p, known);
    web_close(&p->web);
    return status;
}

int pull_main(int argc, char **argv)
{
    struct pull *p = mem_new(struct pull);
    int status = read_options(argc, argv, p);
    arena_init(&p->arena, SIZE_MAX);
    if (status == 0)
        status = p->help ? usage(stdout, 0) : run(p);
    facts_deinit(&p->facts);
    arena_deinit(&p->arena);
    mem_free(p);
    return status;
}
