/* The order of every write: the new content into a file beside the old one, fsync, rename, fsync of
 * the folder. A file beside it, not in /tmp, since a rename does not cross file systems. */
#include "tools/connect/file.h"
#include "base/span.h"
#include "base/utf8.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NEW_MODE 0600
#define FOLDER_MODE 0700

static bool complain(const char *path, const char *why)
{
    (void)fprintf(stderr, "hotspare: %s: %s\n", path, why);
    return false;
}

static const char *absolute(const char *path, struct arena *a)
{
    char here[PATH_MAX];
    if (path[0] == '/')
        return path;
    return getcwd(here, sizeof here) ? arena_printf(a, "%s/%s", here, path).at : NULL;
}

/* The file behind links; a link to nothing is nothing we could replace. */
static bool resolve(const char *path, struct arena *a, struct settings_file *f)
{
    struct stat st;
    char *real = realpath(path, NULL);
    if (!real && errno == ENOENT && lstat(path, &st) == 0)
        return complain(path, "is a symbolic link to a file that is not there");
    if (!real && errno != ENOENT)
        return complain(path, strerror(errno));
    f->exists = real != NULL;
    f->path = real ? arena_copy(a, span_from(real)).at : absolute(path, a);
    free(real);
    if (!f->path)
        return complain(path, "its folder cannot be told");
    return utf8_valid_len(span_from(f->path)) == strlen(f->path) ||
           complain(f->path, "its name is not UTF-8, and could not be remembered");
}

static bool read_all(int fd, struct settings_file *f, size_t size, struct arena *a)
{
    char *to = arena_alloc(a, size + 1);
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len<size; len += n> 0 ? (size_t)n : 0)
        if ((n = read(fd, to + len, size - len)) < 0)
            return complain(f->path, strerror(errno));
    to[len] = '\0';
    f->text = (struct span){to, len};
    return true;
}

bool file_read(const char *path, struct arena *a, struct settings_file *out)
{
    struct stat st;
    *out = (struct settings_file){.mode = NEW_MODE, .text = SPAN("")};
    if (!resolve(path, a, out) || !out->exists)
        return out->path != NULL;
    int fd = open(out->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        (void)complain(out->path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        (void)complain(out->path, "is no plain file");
    else if (st.st_size > (off_t)SETTINGS_BYTES_MAX)
        (void)complain(out->path, "is larger than 8 MiB: no settings file");
    else if (read_all(fd, out, (size_t)st.st_size, a)) {
        out->mode = st.st_mode & 07777;
        out->uid = st.st_uid;
        out->gid = st.st_gid;
        (void)close(fd);
        return true;
    }
    if (fd >= 0)
        (void)close(fd);
    return false;
}

bool file_unchanged(const struct settings_file *f, struct arena *a)
{
    struct settings_file now;
    if (!file_read(f->path, a, &now))
        return false;
    return (now.exists == f->exists && span_eq(now.text, f->text)) ||
           complain(f->path,
                    "was changed by somebody in the meantime; nothing was done, do it again");
}

bool file_writable(const struct settings_file *f)
{
    struct stat st;
    if (!f->exists)
        return true;
    if (!(f->mode & 0222))
        return complain(f->path, "is read-only; make it writable (chmod u+w), then again");
    if (access(f->path, W_OK) != 0)
        return complain(f->path, strerror(errno));
    if (stat(f->path, &st) == 0 && st.st_nlink > 1)
        return complain(f->path, "has several names (hard links), which would part; edit by hand");
    return true;
}

static const char *folder_of(const char *path, struct arena *a)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return arena_cstr(a, (struct span){path, slash == path ? 1 : (size_t)(slash - path)});
}

static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return good;
}

bool file_make_folder(const char *path, struct arena *a, const char **out_made)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) || complain(path, "is no folder");
    const char *above = folder_of(path, a);
    if (strcmp(above, path) != 0 && !file_make_folder(above, a, out_made))
        return false;
    if (mkdir(path, FOLDER_MODE) != 0 && errno != EEXIST)
        return complain(path, strerror(errno));
    if (!*out_made)
        *out_made = path;
    return sync_folder(above) || complain(above, strerror(errno));
}

static bool write_all(int fd, struct span text)
{
    while (text.len) {
        ssize_t n = write(fd, text.at, text.len);
        if (n < 0)
            return false;
        text = span_drop(text, (size_t)n);
    }
    return true;
}

bool file_replace(const struct settings_file *f, struct span text, struct arena *a,
                  const char **out_made)
{
    const char *folder = folder_of(f->path, a), *name = strrchr(f->path, '/');
    const char *fresh = arena_printf(a, "%s/.%s.hotspare", folder, name ? name + 1 : f->path).at;
    *out_made = NULL;
    if (!file_make_folder(folder, a, out_made))
        return false;
    (void)unlink(fresh); /* what a run that was killed left */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, NEW_MODE);
    bool good = fd >= 0 && write_all(fd, text);
    good = good && (!f->exists || (f->uid == geteuid() && f->gid == getegid()) ||
                    fchown(fd, f->uid, f->gid) == 0);
    good = good && fchmod(fd, f->mode) == 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        good = close(fd) == 0 && good;
    good = good && rename(fresh, f->path) == 0 && sync_folder(folder);
    if (!good) {
        (void)complain(f->path, strerror(why ? why : errno));
        (void)unlink(fresh);
    }
    return good;
}

bool file_remove(const struct settings_file *f, const char *made, struct arena *a)
{
    if (unlink(f->path) != 0 && errno != ENOENT)
        return complain(f->path, strerror(errno));
    const char *folder = folder_of(f->path, a);
    while (made && strlen(folder) >= strlen(made) && rmdir(folder) == 0)
        folder = folder_of(folder, a);
    (void)sync_folder(folder); /* it may be gone; then there is nothing to keep */
    return true;
}

struct span file_digest(struct span text, struct arena *a)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct span hex = SPAN_EMPTY;
    if (EVP_Digest(text.at, text.len, digest, &len, EVP_sha256(), NULL) != 1)
        len = 0;
    for (unsigned i = 0; i < len; i++)
        hex = arena_printf(a, "%.*s%02x", SPAN_FMT(hex), digest[i]);
    return hex;
}
