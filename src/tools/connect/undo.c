/* Taking a change back. Told apart by digests: the file is as we left it, or as it was before a run
 * that was killed (the old bytes go back), or it was edited since (only what is ours goes). */
#include "tools/connect/undo.h"
#include "base/buf.h"
#include "json/json_write.h"
#include "tools/connect/connect.h"
#include "tools/diff.h"
#include "tools/options.h"
#include <stdio.h>
#include <stdlib.h>

#define DIFF_BYTES_MAX (4 * SETTINGS_BYTES_MAX)

int change_open(struct change *ch, const struct client *client, const char *path, bool writing,
                bool json, struct arena *a)
{
    *ch = (struct change){.a = a, .json = json, .store = {.lock = -1}};
    if (!store_open(&ch->store, a, writing))
        return EXIT_CANNOT;
    enum err e = store_find(&ch->store, client->name, &ch->record);
    if (e == ERR_SYNTAX)
        return EXIT_DATA;
    ch->recorded = e == ERR_OK;
    if (!path)
        path = ch->recorded ? ch->record.file.at : client_path(client, a);
    if (!path) {
        (void)fprintf(stderr, "hotspare: HOME is not set: where is %s's settings file? --file\n",
                      client->name);
        return EXIT_USAGE;
    }
    return file_read(path, a, &ch->file) ? 0 : EXIT_CANNOT;
}

void change_close(struct change *ch)
{
    store_close(&ch->store);
}

enum err change_undone(const struct client *client, const struct change *ch, struct span *out,
                       size_t *out_kept, struct edit_problem *out_why)
{
    const struct record *r = &ch->record;
    struct span digest = file_digest(ch->file.text, ch->a);
    *out_kept = 0;
    *out_why = (struct edit_problem){0};
    if (span_eq(digest, r->after) || span_eq(digest, r->was) || span_eq(digest, r->before)) {
        *out = r->before_text;
        return ERR_OK;
    }
    return edit_unset(client->file.format, r->before_text, r->after_text, ch->file.text, ch->a, out,
                      out_kept, out_why);
}

void change_complain(const char *path, const struct edit_problem *why, const char *what)
{
    if (why->line)
        (void)fprintf(stderr, "hotspare: %s:%u:%u: %s\n", path, why->line, why->column, why->what);
    else
        (void)fprintf(stderr, "hotspare: %s: %s\n", path, what ? what : why->what);
}

bool change_show(struct change *ch, struct span after, const char *url)
{
    const char *const plain[] = {url, NULL};
    const struct settings_file *f = &ch->file;
    struct buf text;
    buf_init(&text, DIFF_BYTES_MAX);
    bool good = diff_unified(f->text, after, f->path, plain, &text) == ERR_OK;
    if (good && ch->json)
        ch->diff = arena_copy(ch->a, buf_span(&text));
    else if (good)
        (void)fwrite(text.at, 1, text.len, stdout);
    else
        (void)fprintf(stderr, "hotspare: %s: the difference is too large to show\n", f->path);
    (void)fflush(stdout);
    buf_deinit(&text);
    return good;
}

static void add_text(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    if (value)
        jw_cstr(w, value);
    else
        jw_null(w);
}

void change_report(const struct change *ch, const char *command, const char *client,
                   const char *url)
{
    struct buf text;
    struct json_out w;
    if (!ch->json)
        return;
    buf_init(&text, DIFF_BYTES_MAX);
    json_out_buf(&w, &text);
    jw_object(&w);
    add_text(&w, "schema", "hotspare.change/1");
    add_text(&w, "command", command);
    add_text(&w, "client", client);
    add_text(&w, "url", url);
    add_text(&w, "file", ch->file.path);
    jw_key(&w, "differs");
    jw_bool(&w, ch->diff.len > 0);
    jw_key(&w, "written");
    jw_bool(&w, ch->written);
    jw_key(&w, "diff");
    jw_str(&w, ch->diff);
    jw_object_end(&w);
    (void)fwrite(text.at, 1, text.len, stdout);
    (void)putchar('\n');
    buf_deinit(&text);
}

struct client_state change_state(const struct client *client, struct arena *a)
{
    struct store s;
    struct record r;
    struct settings_file f;
    const char *path = client_path(client, a);
    if (client->file.format == EDIT_NO_FILE)
        return (struct client_state){STATE_BY_HAND, NULL, NULL};
    bool recorded = store_open(&s, a, false) && store_find(&s, client->name, &r) == ERR_OK;
    bool found = (recorded || path) && file_read(recorded ? r.file.at : path, a, &f) && f.exists;
    bool undone = recorded && found && span_eq(f.text, r.before_text);
    if (recorded && found && !undone)
        return (struct client_state){span_eq(f.text, r.after_text) ? STATE_CONNECTED : STATE_EDITED,
                                     r.file.at, r.url.at};
    return (struct client_state){found ? STATE_FILE : STATE_NO_FILE, recorded ? r.file.at : path,
                                 NULL};
}

/* ---- disconnect ---- */

struct disconnect_cmd {
    const char *name;
    bool all, dry_run, json, help;
    struct arena arena;
};

static int usage(FILE *to, int status)
{
    (void)fputs("usage: hotspare disconnect CLIENT [--dry-run] [--json]\n"
                "       hotspare disconnect --all [--dry-run] [--json]\n"
                "\n"
                "Gives the client's settings file back as it was before connect --write. Needs no\n"
                "gateway, no configuration and no network. A file edited since keeps the edits.\n",
                to);
    return status;
}

static int by_hand(const struct client *client)
{
    (void)fprintf(stderr, "By hand: %s.\n", client->undo);
    return EXIT_DATA;
}

/* The file is gone, or never was: so is our change. */
static int forget_gone(const struct client *client, struct change *ch)
{
    const char *copy = store_forget(&ch->store, client->name, &ch->record, ch->record.existed);
    (void)fprintf(stderr, "%s: is not there, so nothing of ours is", ch->file.path);
    (void)fprintf(stderr, ch->record.existed ? "; what it held before is kept in %s\n" : "\n",
                  copy);
    return 0;
}

static int write_back(const struct client *client, struct change *ch, struct span text, size_t kept)
{
    const char *made;
    const struct record *r = &ch->record;
    bool gone = !r->existed && edit_is_empty(client->file.format, text);
    if (!file_unchanged(&ch->file, ch->a))
        return EXIT_CANNOT;
    bool good = gone ? file_remove(&ch->file, r->made.len ? r->made.at : NULL, ch->a)
                     : file_replace(&ch->file, text, ch->a, &made);
    if (!good)
        return EXIT_CANNOT;
    ch->written = true;
    bool exact = gone || span_eq(text, r->before_text);
    (void)store_forget(&ch->store, client->name, r, false);
    (void)fprintf(stderr, "%s: %s\n", ch->file.path,
                  gone    ? "removed, as before connect"
                  : exact ? "as before connect, byte for byte"
                          : "our lines are out; what was edited since is kept");
    if (kept)
        (void)fprintf(stderr,
                      "%zu of our values had been changed by hand and stay. Look for: %s.\n", kept,
                      client->undo);
    return 0;
}

static int restore(const struct client *client, struct change *ch, bool dry_run)
{
    struct span text;
    struct edit_problem why;
    size_t kept;
    if (!ch->file.exists)
        return dry_run ? 0 : forget_gone(client, ch);
    if (change_undone(client, ch, &text, &kept, &why) != ERR_OK) {
        change_complain(ch->file.path, &why,
                        "our lines in it are no longer as they were written; nothing was changed");
        return by_hand(client);
    }
    if (!span_eq(text, ch->file.text) && !file_writable(&ch->file)) {
        (void)by_hand(client);
        return EXIT_CANNOT;
    }
    if (!change_show(ch, text, ch->record.url.at) || dry_run)
        return 0;
    return write_back(client, ch, text, kept);
}

static int disconnect(struct disconnect_cmd *c, const struct client *client, bool quiet)
{
    struct change ch;
    if (client->file.format == EDIT_NO_FILE) {
        if (!quiet)
            (void)fprintf(stderr, "%s: no file was written. By hand: %s.\n", client->name,
                          client->undo);
        return 0;
    }
    int status = change_open(&ch, client, NULL, !c->dry_run, c->json, &c->arena);
    if (status == 0 && ch.recorded)
        status = restore(client, &ch, c->dry_run);
    else if (status == 0 && !quiet)
        (void)fprintf(stderr, "%s: not connected by --write, nothing to undo. By hand: %s.\n",
                      client->name, client->undo);
    else if (status)
        (void)by_hand(client);
    if (ch.recorded || !quiet)
        change_report(&ch, "disconnect", client->name, ch.recorded ? ch.record.url.at : NULL);
    change_close(&ch);
    return status;
}

static int run(struct disconnect_cmd *c)
{
    int worst = 0;
    const struct client *client = c->all ? NULL : client_named(c->name);
    if (!c->all && !client)
        return EXIT_USAGE;
    if (client)
        return disconnect(c, client, false);
    for (size_t i = 0; i < client_count; i++) {
        int status = disconnect(c, &clients[i], true);
        worst = status > worst ? status : worst;
    }
    return worst;
}

int disconnect_main(int argc, char **argv)
{
    struct disconnect_cmd c = {0};
    const struct tool_option options[] = {{.name = "all", .flag = &c.all},
                                          {.name = "dry-run", .flag = &c.dry_run},
                                          {.name = "json", .flag = &c.json}};
    int status = tool_options(argc, argv, options, ARRAY_LEN(options), &c, usage, &c.name, &c.help);
    if (status || c.help)
        return status ? status : usage(stdout, 0);
    if (!c.all == !c.name)
        return usage(stderr, EXIT_USAGE);
    arena_init(&c.arena, SIZE_MAX);
    status = run(&c);
    arena_deinit(&c.arena);
    return status;
}
