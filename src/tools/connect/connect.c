/* Prints what a client needs to reach the gateway, or puts it into the client's settings file:
 * shown as a diff first, asked for, kept so that `disconnect` gives back every byte. No key of
 * anybody is printed, read or written: the shell that runs the lines keeps its own. */
#include "tools/connect/connect.h"
#include "base/buf.h"
#include "json/json_write.h"
#include "tools/connect/clients.h"
#include "tools/connect/undo.h"
#include "tools/options.h"
#include <stdlib.h>
#include <unistd.h>

#define EXIT_NO 1
#define TEXT_MAX ((size_t)64 << 10)
#define URL_MAX 512
#define DEFAULT_URL "http://127.0.0.1:8484"

struct connect_cmd {
    const char *name, *model, *path;
    char url[URL_MAX];
    bool json, list, help, write, dry_run, yes;
    struct arena arena;
};

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare connect CLIENT [--url URL] [--model NAME] [--json]\n"
        "       hotspare connect CLIENT --write [--dry-run] [--yes] [--file PATH] [--json]\n"
        "       hotspare connect [--list] [--json]\n"
        "\n"
        "  --url URL     where the gateway listens (" DEFAULT_URL ")\n"
        "  --model NAME  as the gateway's configuration or GET /v1/models has it\n"
        "  --write       put the lines into the client's settings file; asks first\n"
        "  --dry-run     show what --write would change\n"
        "  --yes         do not ask\n"
        "  --file PATH   another settings file than the client's usual one\n"
        "\n"
        "Prints the lines; changes no file without --write. hotspare disconnect undoes it.\n",
        to);
    return status;
}

/* What may stand unquoted in a shell, and inside quotes in JSON, TOML and YAML. */
static bool plain(const char *text, const char *also)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (; *text; text++)
        if (!strchr(letters, *text) && !strchr(also, *text))
            return false;
    return true;
}

/* Takes the base URL in either form: a last / and a last /v1 go. */
static bool set_url(void *ctx, const char *text)
{
    struct connect_cmd *c = ctx;
    size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
                    : strncmp(text, "https://", 8) == 0 ? 8
                                                        : 0,
           len = strlen(text);
    bool good = scheme && plain(text, ".:/-_") && len < URL_MAX;
    while (good && len > scheme && text[len - 1] == '/')
        len--;
    if (good && len > scheme + 3 && memcmp(text + len - 3, "/v1", 3) == 0)
        len -= 3;
    if (!good || len <= scheme || text[scheme] == '/') {
        (void)fprintf(stderr, "hotspare: --url: \"%s\" is no plain address like %s\n", text,
                      DEFAULT_URL);
        return false;
    }
    memcpy(c->url, text, len);
    c->url[len] = '\0';
    return true;
}

static bool set_model(void *ctx, const char *text)
{
    struct connect_cmd *c = ctx;
    c->model = text;
    if (text[0] && plain(text, "._:/-"))
        return true;
    (void)fprintf(stderr, "hotspare: --model: \"%s\" is no name of a model\n", text);
    return false;
}

static int read_options(int argc, char **argv, struct connect_cmd *c)
{
    const struct tool_option options[] = {
        {.name = "url", .read = set_url},         {.name = "model", .read = set_model},
        {.name = "file", .text = &c->path},       {.name = "json", .flag = &c->json},
        {.name = "list", .flag = &c->list},       {.name = "write", .flag = &c->write},
        {.name = "dry-run", .flag = &c->dry_run}, {.name = "yes", .flag = &c->yes}};
    (void)set_url(c, DEFAULT_URL);
    int status =
        tool_options(argc, argv, options, ARRAY_LEN(options), c, usage, &c->name, &c->help);
    c->write = c->write || c->dry_run;
    return status;
}

/* ---- printing ---- */

/* The lines to paste, whether into a shell or into a file. */
static struct span lines_of(struct connect_cmd *c, const struct client *client, bool for_file)
{
    struct edit_want wants[EDIT_WANTS_MAX];
    struct edit_problem why;
    struct span lines = SPAN("");
    const char *model = c->model ? c->model : "MODEL";
    if (client->lines && !for_file)
        return client_fill(client->lines, c->url, model, &c->arena);
    size_t count = client_wants(client, c->url, c->model || client->file.needs_model ? model : NULL,
                                &c->arena, wants);
    for (size_t i = 0; i < count; i++)
        wants[i].there = 0;
    enum err made = edit_set(client->file.format, lines, wants, count, client->file.preamble,
                             &c->arena, &lines, &why);
    assert(made == ERR_OK); /* an empty text takes everything */
    return lines;
}

static void show_json(const struct connect_cmd *c, const struct client *client, struct span lines)
{
    struct buf text;
    struct json_out w;
    buf_init(&text, TEXT_MAX);
    json_out_buf(&w, &text);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_cstr(&w, "hotspare.connect/1");
    jw_key(&w, "client");
    jw_cstr(&w, client->name);
    jw_key(&w, "url");
    jw_cstr(&w, c->url);
    jw_key(&w, "where");
    jw_cstr(&w, client->where);
    jw_key(&w, "lines");
    jw_str(&w, lines);
    jw_key(&w, "source");
    jw_cstr(&w, client->source);
    jw_object_end(&w);
    (void)fwrite(text.at, 1, text.len, stdout);
    (void)putchar('\n');
    buf_deinit(&text);
}

static int print(struct connect_cmd *c, const struct client *client)
{
    struct span lines = lines_of(c, client, false);
    bool named = c->model || span_search(lines, SPAN("MODEL")) < 0;
    if (c->json)
        show_json(c, client, lines);
    else
        (void)fwrite(lines.at, 1, lines.len, stdout);
    (void)fprintf(stderr, "for %s; source: %s\n", client->where, client->source);
    if (client->key)
        (void)fprintf(stderr, "key: %s\n", client->key);
    if (!named)
        (void)fprintf(stderr, "MODEL: take one that %s/v1/models lists, or give --model\n", c->url);
    return 0;
}

/* ---- writing ---- */

static void paste(struct connect_cmd *c, const struct client *client)
{
    struct span lines = lines_of(c, client, true);
    (void)fputs("Nothing was changed. By hand, these lines do it:\n", stderr);
    if (!c->json)
        (void)fwrite(lines.at, 1, lines.len, stdout);
}

static bool agreed(const struct connect_cmd *c, int *out_status)
{
    char answer[16] = "";
    *out_status = EXIT_NO;
    if (c->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        (void)fputs("hotspare: nobody to ask here; --yes writes it\n", stderr);
        *out_status = EXIT_USAGE;
        return false;
    }
    (void)fputs("Write this? [y/N] ", stderr);
    if (!fgets(answer, sizeof answer, stdin))
        answer[0] = '\0';
    return strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0;
}

/* The text without what an earlier connect put there, and whether the file was there then. */
static int base_of(const struct client *client, struct change *ch, struct span *out_text,
                   bool *out_existed)
{
    size_t kept;
    struct edit_problem why;
    *out_text = ch->file.text;
    *out_existed = ch->file.exists;
    if (!ch->recorded)
        return 0;
    if (strcmp(ch->file.path, ch->record.file.at) != 0) {
        (void)fprintf(stderr, "hotspare: %s is connected in %.*s; first hotspare disconnect %s\n",
                      client->name, SPAN_FMT(ch->record.file), client->name);
        return EXIT_DATA;
    }
    if (!ch->file.exists) /* deleted since, and what was ours with it */
        return 0;
    enum err e = change_undone(client, ch, out_text, &kept, &why);
    if (e != ERR_OK) {
        change_complain(ch->file.path, &why, "our lines in it are not as they were written");
        return EXIT_DATA;
    }
    *out_existed = ch->record.existed || !edit_is_empty(client->file.format, *out_text);
    if (!*out_existed)
        *out_text = SPAN("");
    return 0;
}

static int write_change(struct connect_cmd *c, const struct client *client, struct change *ch,
                        struct span before, bool existed, struct span after)
{
    const char *made = NULL;
    struct record r = {.url = span_from(c->url),
                       .file = span_from(ch->file.path),
                       .made = ch->recorded && ch->file.exists ? ch->record.made : SPAN(""),
                       .existed = existed,
                       .before_text = before,
                       .after_text = after,
                       .was_text = ch->file.text};
    if (!file_unchanged(&ch->file, &c->arena))
        return EXIT_CANNOT;
    if (!ch->file.exists) { /* its folder first: the record names what has to go with it */
        const char *folder = arena_cstr(
            &c->arena, span_take(r.file, (size_t)(strrchr(ch->file.path, '/') - ch->file.path)));
        if (!file_make_folder(folder, &c->arena, &made))
            return EXIT_CANNOT;
        r.made = made ? span_from(made) : r.made;
    }
    if (!store_keep(&ch->store, client->name, &r) ||
        !file_replace(&ch->file, after, &c->arena, &made))
        return EXIT_CANNOT;
    ch->written = true;
    (void)fprintf(stderr, "%s: connected to %s. Undo: hotspare disconnect %s\n", ch->file.path,
                  c->url, client->name);
    if (client->key)
        (void)fprintf(stderr, "key: %s\n", client->key);
    return 0;
}

static int change_file(struct connect_cmd *c, const struct client *client, struct change *ch)
{
    struct edit_want wants[EDIT_WANTS_MAX];
    struct edit_problem why;
    struct span before, after;
    bool existed;
    int status = base_of(client, ch, &before, &existed);
    if (status)
        return status;
    size_t count = client_wants(client, c->url, c->model, &c->arena, wants);
    if (edit_set(client->file.format, before, wants, count, client->file.preamble, &c->arena,
                 &after, &why) != ERR_OK) {
        change_complain(ch->file.path, &why, NULL);
        return EXIT_DATA;
    }
    if (ch->file.exists && span_eq(after, ch->file.text)) {
        (void)fprintf(stderr, "%s: says so already, nothing to write\n", ch->file.path);
        return 0;
    }
    if (!file_writable(&ch->file))
        return EXIT_CANNOT;
    if (!change_show(ch, after, c->url) || c->dry_run)
        return 0;
    if (!agreed(c, &status))
        return status;
    return write_change(c, client, ch, before, existed, after);
}

static int write_client(struct connect_cmd *c, const struct client *client)
{
    struct change ch;
    if (client->file.format == EDIT_NO_FILE) {
        (void)fprintf(stderr, "hotspare: %s has no settings file; these lines are for %s\n",
                      client->name, client->where);
        (void)print(c, client);
        return EXIT_USAGE;
    }
    if (client->file.needs_model && !c->model) {
        (void)fprintf(stderr, "hotspare: %s needs --model NAME; %s/v1/models lists them\n",
                      client->name, c->url);
        return EXIT_USAGE;
    }
    int status = change_open(&ch, client, c->path, !c->dry_run, c->json, &c->arena);
    if (status == 0)
        status = change_file(c, client, &ch);
    if (status == EXIT_DATA || status == EXIT_CANNOT)
        paste(c, client);
    change_report(&ch, "connect", client->name, c->url);
    change_close(&ch);
    return status;
}

/* ---- the list ---- */

static const char *const states[] = {[STATE_BY_HAND] = "by_hand",
                                     [STATE_NO_FILE] = "not_connected",
                                     [STATE_FILE] = "not_connected",
                                     [STATE_CONNECTED] = "connected",
                                     [STATE_EDITED] = "edited"};

static void show_client(const struct client *client, struct client_state s)
{
    (void)printf("%-22s ", client->name);
    switch (s.kind) {
    case STATE_BY_HAND:
        (void)printf("by hand: %s\n", client->where);
        break;
    case STATE_NO_FILE:
        (void)printf("not connected; no file yet: %s\n", s.file ? s.file : client->where);
        break;
    case STATE_FILE:
        (void)printf("not connected; file found: %s\n", s.file);
        break;
    default:
        (void)printf("connected to %s (%s%s)\n", s.url, s.file,
                     s.kind == STATE_EDITED ? ", edited since" : "");
    }
}

static void add_client(struct json_out *w, const struct client *client, struct client_state s)
{
    jw_object(w);
    jw_key(w, "client");
    jw_cstr(w, client->name);
    jw_key(w, "state");
    jw_cstr(w, states[s.kind]);
    jw_key(w, "where");
    jw_cstr(w, client->where);
    if (s.file) {
        jw_key(w, "file");
        jw_cstr(w, s.file);
    }
    if (s.url) {
        jw_key(w, "url");
        jw_cstr(w, s.url);
    }
    jw_object_end(w);
}

static void show_list(struct connect_cmd *c)
{
    struct buf text;
    struct json_out w;
    buf_init(&text, TEXT_MAX);
    json_out_buf(&w, &text);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_cstr(&w, "hotspare.clients/1");
    jw_key(&w, "clients");
    jw_array(&w);
    for (size_t i = 0; i < client_count; i++) {
        struct client_state s = change_state(&clients[i], &c->arena);
        if (c->json)
            add_client(&w, &clients[i], s);
        else
            show_client(&clients[i], s);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    if (c->json)
        (void)printf("%.*s\n", SPAN_FMT(buf_span(&text)));
    buf_deinit(&text);
}

static int run(struct connect_cmd *c)
{
    if (c->list || !c->name) {
        show_list(c);
        return 0;
    }
    const struct client *client = client_named(c->name);
    if (!client)
        return EXIT_USAGE;
    return c->write ? write_client(c, client) : print(c, client);
}

int connect_main(int argc, char **argv)
{
    struct connect_cmd c = {0};
    int status = read_options(argc, argv, &c);
    if (status || c.help)
        return status ? status : usage(stdout, 0);
    arena_init(&c.arena, SIZE_MAX);
    status = run(&c);
    arena_deinit(&c.arena);
    return status;
}
