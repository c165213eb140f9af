#pragma once
/* Somebody's settings file on disk: read whole, replaced whole. Says on stderr what goes wrong. */
#include "base/arena.h"
#include <sys/stat.h>

#define SETTINGS_BYTES_MAX ((size_t)8 << 20)

struct settings_file {
    const char *path; /* behind any symbolic links */
    struct span text;
    bool exists;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/* A file that is not there is no error. False when it cannot be read, is larger than
 * SETTINGS_BYTES_MAX, or is no plain file. All memory is the arena's. */
bool file_read(const char *path, struct arena *a, struct settings_file *out);

/* Whether file_replace may: not for a file nobody may write (it is so on purpose), with several
 * names (the others would go on with the old content), or of another owner. Says why not. */
bool file_writable(const struct settings_file *f);

/* Whether it still is as it was read: a client may write its file while a question waits. */
bool file_unchanged(const struct settings_file *f, struct arena *a);

/* Puts `text` in its place, by a file beside it, fsync and rename: after a crash or a kill there is
 * the old content or the new, whole. Mode and owner stay; a new file gets 0600, and its folders are
 * made: *out_made is the topmost of them, NULL when none was. */
bool file_replace(const struct settings_file *f, struct span text, struct arena *a,
                  const char **out_made);

/* Removes it, and the folders from its own up to `made` (or NULL) that are empty then. */
bool file_remove(const struct settings_file *f, const char *made, struct arena *a);

/* mkdir -p; *out_made as above. */
bool file_make_folder(const char *path, struct arena *a, const char **out_made);

/* SHA-256 of the text, 64 hex digits. */
struct span file_digest(struct span text, struct arena *a);
