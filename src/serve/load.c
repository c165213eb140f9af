/* Where the configuration comes from: --config, HOTSPARE_CONFIG, the user's directory, /etc; else
 * the environment. */
#include "serve/load.h"

#include "base/mem.h"
#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)1 << 20)

/* Flags are environment names that win. */
static const char *lookup(void *ctx, const char *name)
{
    const struct load_flags *f = ctx;
    if (f->listen && strcmp(name, "HOTSPARE_LISTEN") == 0)
        return f->listen;
    if (f->admin && strcmp(name, "HOTSPARE_ADMIN") == 0)
        return f->admin;
    if (f->workers && strcmp(name, "HOTSPARE_WORKERS") == 0)
        return f->workers;
    return getenv(name);
}

static const char *find_file(struct arena *a, const struct load_flags *flags)
{
    const char *path = flags->config ? flags->config : getenv("HOTSPARE_CONFIG");
    if (path)
        return strcmp(path, "-") == 0 ? NULL : path;
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    struct span own = base && base[0]
                          ? arena_printf(a, "%s/hotspare/hotspare.yaml", base)
                          : arena_printf(a, "%s/.config/hotspare/hotspare.yaml", home ? home : "");
    if (access(own.at, R_OK) == 0)
        return own.at;
    return access("/etc/hotspare/hotspare.yaml", R_OK) == 0 ? "/etc/hotspare/hotspare.yaml" : NULL;
}

static enum err read_all(struct arena *a, int fd, struct span *out)
{
    char *at = arena_alloc(a, FILE_MAX + 1);
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, at + len, FILE_MAX + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > FILE_MAX) {
            errno = EFBIG;
            return ERR_LIMIT;
        }
    }
    *out = (struct span){at, len};
    return ERR_OK;
}

/* Who can write the file can have programs run as us: then only its owner may, and that is us or
 * root. */
static const char *untrusted(struct arena *a, const char *path, const struct stat *about)
{
    bool own = about->st_uid == 0 || about->st_uid == geteuid();
    if (own && !(about->st_mode & (S_IWGRP | S_IWOTH)))
        return NULL;
    return own ? arena_printf(a, "chmod go-w %s", path).at
               : arena_printf(a, "chown %u %s, and chmod go-w it", (unsigned)geteuid(), path).at;
}

/* out_mode: who else may read the file. */
static enum err read_file(struct loaded *l, mode_t *out_mode, const char **out_why)
{
    const char *path = l->source.path;
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err e =
        fd < 0 || fstat(fd, &about) != 0 ? ERR_IO : read_all(&l->arena, fd, &l->source.text);
    if (e == ERR_OK) {
        *out_mode = about.st_mode;
        l->source.untrusted = untrusted(&l->arena, path, &about);
    }
    if (e != ERR_OK)
        *out_why = arena_printf(&l->arena, "%s: %s", path, strerror(errno)).at;
    if (fd >= 0)
        (void)close(fd); /* read only */
    return e;
}

static bool holds_literal_secret(const struct config *c)
{
    for (size_t i = 0; i < c->target_count; i++) {
        const struct config_target *t = &c->targets[i];
        if (t->key.form == SECRET_LITERAL || t->access_key.form == SECRET_LITERAL ||
            t->secret_key.form == SECRET_LITERAL || t->session_token.form == SECRET_LITERAL ||
            t->service_account.form == SECRET_LITERAL)
            return true;
    }
    for (size_t i = 0; i < c->key_count; i++)
        if (c->keys[i].key.form == SECRET_LITERAL)
            return true;
    return false;
}

/* A key written into a file that others can read is known to them: refuse, and say how to mend it.
 */
static enum err check_secrecy(struct loaded *l, mode_t mode, const char **out_why)
{
    if (!(mode & (S_IRGRP | S_IROTH)) || !holds_literal_secret(l->config))
        return ERR_OK;
    *out_why =
        arena_printf(&l->arena,
                     "%s holds a key and others may read it: chmod 600 %s, or write the key as "
                     "env:NAME or file:/path",
                     l->source.path, l->source.path)
            .at;
    config_unref(l->config);
    l->config = NULL;
    return ERR_PERMISSION;
}

enum err load_config(const struct load_flags *flags, bool discover, bool resolve_secrets,
                     struct loaded *l, const char **out_why)
{
    *l = (struct loaded){0};
    arena_init(&l->arena, (size_t)32 << 20);
    struct load_flags *kept = arena_new(&l->arena, struct load_flags);
    *kept = *flags;
    l->source = (struct config_source){.path = find_file(&l->arena, flags),
                                       .env = lookup,
                                       .env_ctx = kept,
                                       .resolve_secrets = resolve_secrets};
    mode_t mode = 0;
    if (l->source.path) {
        enum err e = read_file(l, &mode, out_why);
        if (e != ERR_OK)
            return e;
    } else if (discover) {
        discover_engines(&l->arena, &l->found);
        l->source.found = l->found.targets;
        l->source.found_count = l->found.count;
    }
    enum err e = config_load(&l->source, &l->arena, &l->config, &l->report);
    return e == ERR_OK ? check_secrecy(l, mode, out_why) : e;
}

enum err load_config_text(const char *name, struct span text, struct loaded *l,
                          const char **out_why)
{
    static const struct load_flags no_flags;
    *l = (struct loaded){0};
    arena_init(&l->arena, (size_t)32 << 20);
    l->source = (struct config_source){.path = name,
                                       .text = text,
                                       .env = lookup,
                                       .env_ctx = (void *)(uintptr_t)&no_flags,
                                       .resolve_secrets = true};
    enum err e = config_load(&l->source, &l->arena, &l->config, &l->report);
    if (e != ERR_OK || !holds_literal_secret(l->config))
        return e;
    *out_why =
        arena_printf(&l->arena, "%s holds a key: write it as env:NAME or file:/path", name).at;
    config_unref(l->config);
    l->config = NULL;
    return ERR_PERMISSION;
}

void loaded_deinit(struct loaded *l)
{
    if (l->config)
        config_unref(l->config);
    arena_deinit(&l->arena);
}
