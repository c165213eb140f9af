/* One record a client, NAME.json, and copies whose names hold their digests: a new record never
 * points to a copy of an older one, and a copy is never changed. */
#include "tools/connect/store.h"
#include "base/buf.h"
#include "json/json.h"
#include "json/json_write.h"
#include "tools/connect/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define SCHEMA "hotspare.connected/1"
#define RECORD_BYTES_MAX ((size_t)64 << 10)
#define NAME_DIGITS 12

static bool find_folder(struct store *s)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/')
        s->folder = arena_printf(s->a, "%s/hotspare/connect", state).at;
    else if (home && home[0])
        s->folder = arena_printf(s->a, "%s/.local/state/hotspare/connect", home).at;
    else
        (void)fputs("hotspare: HOME is not set: no place to remember what is changed\n", stderr);
    return s->folder != NULL;
}

bool store_open(struct store *s, struct arena *a, bool writing)
{
    const char *made = NULL;
    *s = (struct store){.a = a, .lock = -1};
    if (!find_folder(s))
        return false;
    if (!writing)
        return true;
    if (!file_make_folder(s->folder, a, &made))
        return false;
    const char *path = arena_printf(a, "%s/lock", s->folder).at;
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) == 0)
        return true;
    (void)fprintf(stderr, "hotspare: %s: %s\n", path,
                  errno == EWOULDBLOCK ? "another hotspare connect is at work" : strerror(errno));
    store_close(s);
    return false;
}

void store_close(struct store *s)
{
    if (s->lock >= 0)
        (void)close(s->lock);
    s->lock = -1;
}

static const char *record_path(const struct store *s, const char *client)
{
    return arena_printf(s->a, "%s/%s.json", s->folder, client).at;
}

static const char *copy_path(const struct store *s, const char *client, const char *which,
                             struct span digest)
{
    return arena_printf(s->a, "%s/%s.%s-%.*s", s->folder, client, which,
                        SPAN_FMT(span_take(digest, NAME_DIGITS)))
        .at;
}

static bool read_copy(const struct store *s, const char *client, const char *which,
                      struct span digest, struct span *out)
{
    struct settings_file f;
    const char *path = copy_path(s, client, which, digest);
    if (!file_read(path, s->a, &f))
        return false;
    *out = f.text;
    if (f.exists && span_eq(file_digest(f.text, s->a), digest))
        return true;
    (void)fprintf(stderr, "hotspare: %s: %s\n", path,
                  f.exists ? "is not what was kept: its digest differs" : "is gone");
    return false;
}

static struct span text_of(const struct store *s, struct json v)
{
    return arena_copy(s->a, json_str_decode(v, s->a)); /* a path wants its NUL */
}

enum err store_find(const struct store *s, const char *client, struct record *out)
{
    struct settings_file f;
    struct json_doc doc;
    const char *path = record_path(s, client);
    if (!file_read(path, s->a, &f))
        return ERR_SYNTAX;
    if (!f.exists)
        return ERR_NOT_FOUND;
    bool good = json_parse(s->a, f.text, NULL, &doc, NULL) == ERR_OK;
    struct json root = good ? json_root(&doc) : JSON_ABSENT;
    if (!json_str_is(json_get(root, "schema"), SCHEMA)) {
        (void)fprintf(stderr, "hotspare: %s: is no record of schema " SCHEMA "\n", path);
        return ERR_SYNTAX;
    }
    *out = (struct record){.url = text_of(s, json_get(root, "url")),
                           .file = text_of(s, json_get(root, "file")),
                           .made = text_of(s, json_get(root, "made")),
                           .existed = json_true(json_get(root, "existed")),
                           .was = text_of(s, json_get(root, "was")),
                           .before = text_of(s, json_get(root, "before")),
                           .after = text_of(s, json_get(root, "after"))};
    good = read_copy(s, client, "before", out->before, &out->before_text) &&
           read_copy(s, client, "after", out->after, &out->after_text);
    return good ? ERR_OK : ERR_SYNTAX;
}

/* ---- keeping ---- */

static bool write_file(const struct store *s, const char *path, struct span text)
{
    const char *made;
    struct settings_file f = {.path = path, .mode = 0600};
    return file_replace(&f, text, s->a, &made);
}

static void add_text(struct json_out *w, const char *key, struct span text)
{
    jw_key(w, key);
    jw_str(w, text);
}

static bool write_record(const struct store *s, const char *client, const struct record *r)
{
    struct buf text;
    struct json_out w;
    buf_init(&text, RECORD_BYTES_MAX);
    json_out_buf(&w, &text);
    jw_object(&w);
    add_text(&w, "schema", SPAN(SCHEMA));
    add_text(&w, "client", span_from(client));
    add_text(&w, "url", r->url);
    add_text(&w, "file", r->file);
    add_text(&w, "made", r->made);
    jw_key(&w, "existed");
    jw_bool(&w, r->existed);
    add_text(&w, "was", r->was);
    add_text(&w, "before", r->before);
    add_text(&w, "after", r->after);
    jw_object_end(&w);
    bool good = !w.failed && write_file(s, record_path(s, client), buf_span(&text));
    buf_deinit(&text);
    return good;
}

static void drop_copies(const struct store *s, const char *client, const struct record *old,
                        const struct record *new)
{
    if (!new || !span_eq(old->before, new->before))
        (void)unlink(copy_path(s, client, "before", old->before));
    if (!new || !span_eq(old->after, new->after))
        (void)unlink(copy_path(s, client, "after", old->after));
}

bool store_keep(const struct store *s, const char *client, struct record *r)
{
    struct record old;
    bool replaces = store_find(s, client, &old) == ERR_OK;
    r->before = file_digest(r->before_text, s->a);
    r->after = file_digest(r->after_text, s->a);
    r->was = file_digest(r->was_text, s->a);
    bool good = write_file(s, copy_path(s, client, "before", r->before), r->before_text) &&
                write_file(s, copy_path(s, client, "after", r->after), r->after_text) &&
                write_record(s, client, r);
    if (good && replaces)
        drop_copies(s, client, &old, r);
    return good;
}

const char *store_forget(const struct store *s, const char *client, const struct record *r,
                         bool keep_before)
{
    (void)unlink(record_path(s, client));
    (void)unlink(copy_path(s, client, "after", r->after));
    if (!keep_before)
        (void)unlink(copy_path(s, client, "before", r->before));
    return copy_path(s, client, "before", r->before);
}
