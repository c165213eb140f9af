/* Where secrets come from: the environment, files, systemd credentials. What is read is trimmed,
 * checked for bytes that no header could carry, and kept in memory that is wiped. */
#include "serve/config_internal.h"

#include <stdio.h>
#include <errno.h>

#define SECRET_BYTES_MAX 8192

/* Missing is an error where the program is to run, and a warning where a file is only checked. */
static void missing(struct config_reader *r, struct config_mark at, const char *fix,
                    const char *what)
{
    config_complain(r, at, !r->s->resolve_secrets, fix, "%s: %s", r->path, what);
}

static bool read_file(struct config_reader *r, struct config_mark at, const char *path, char *out,
                      size_t *out_len)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        missing(r, at, "check the path and who may read it",
                config_printf(r, "%s: %s", path, strerror(errno)).at);
        return false;
    }
    *out_len = fread(out, 1, SECRET_BYTES_MAX + 1, f);
    bool bad = ferror(f) != 0;
    (void)fclose(f); /* only read from */
    if (bad)
        missing(r, at, "check the path; it must be a file",
                config_printf(r, "%s: cannot be read", path).at);
    return !bad;
}

static bool fetch(struct config_reader *r, struct config_mark at, const struct config_secret *s,
                  char *out, size_t *out_len)
{
    const char *source = s->source.at; /* NUL-terminated, see config_value.c */
    if (s->form == SECRET_FILE)
        return read_file(r, at, source, out, out_len);
    if (s->form == SECRET_CRED) {
        const char *dir = r->s->env(r->s->env_ctx, "CREDENTIALS_DIRECTORY");
        if (dir && dir[0])
            return read_file(r, at, config_printf(r, "%s/%s", dir, source).at, out, out_len);
        missing(r, at, "add LoadCredential= to the systemd unit, or use env: or file:",
                "there is no $CREDENTIALS_DIRECTORY");
        return false;
    }
    const char *value = r->s->env(r->s->env_ctx, source);
    if (!value) {
        missing(r, at, config_printf(r, "export %s=...", source).at,
                config_printf(r, "the environment has no %s", source).at);
        return false;
    }
    *out_len = strnlen(value, SECRET_BYTES_MAX + 1);
    memcpy(out, value, *out_len);
    return true;
}

/* Visible ASCII: what a header can carry whatever the peer's reader is. */
static bool is_sendable(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] > '~')
            return false;
    return true;
}

static void check(struct config_reader *r, struct config_mark at, struct span value,
                  struct config_secret *secret, bool lines)
{
    if (value.len == 0)
        missing(r, at, "give it a value", "the secret is empty");
    else if (value.len > SECRET_BYTES_MAX)
        missing(r, at, NULL, "the secret is longer than 8 KiB");
    else if (!lines && !is_sendable(value))
        missing(r, at, "a key is one word of visible ASCII characters",
                "the secret holds blanks, control or non-ASCII bytes");
    else if (r->s->resolve_secrets && secret->form != SECRET_LITERAL)
        secret->value = secret_copy(value);
}

void config_resolve(struct config_reader *r, struct config_mark at, struct config_secret *secret,
                    bool lines)
{
    char value[SECRET_BYTES_MAX + 1];
    size_t len = 0;
    if (secret->form == SECRET_LITERAL) {
        config_complain(r, at, true, "write env:NAME or file:/path, and keep the key there",
                        "%s: a key written into the file", r->path);
        check(r, at, (struct span){secret->value.at, secret->value.len}, secret, lines);
        return;
    }
    if (fetch(r, at, secret, value, &len))
        check(r, at, span_trim((struct span){value, len}), secret, lines);
    explicit_bzero(value, sizeof(value));
}

void config_check_file(struct config_reader *r, struct config_mark at, const char *path)
{
    FILE *f = fopen(path, "rbe");
    if (f)
        (void)fclose(f); /* only opened */
    else
        missing(r, at, "check the path and who may read it",
                config_printf(r, "%s: %s", path, strerror(errno)).at);
}
