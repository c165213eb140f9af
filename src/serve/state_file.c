/* Written to NAME.new first: 0600, never through a link. */
#include "serve/state_file.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 1024

void state_file_write(const char *state_dir, const char *name, bool (*write)(void *ctx, FILE *to),
                      void *ctx)
{
    char path[PATH_BYTES], fresh[PATH_BYTES + 8];
    (void)mkdir(state_dir, 0700); /* it may be there; the open below tells */
    (void)snprintf(path, sizeof path, "%s/%s", state_dir, name);
    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool good = to && write(ctx, to) && fflush(to) == 0;
    if (to)
        good = fclose(to) == 0 && good;
    else if (fd >= 0)
        (void)close(fd);
    if (!good || rename(fresh, path) != 0)
        log_line(LOG_WARN, "state_not_saved", "file", path, "why", strerror(errno), NULL);
}

FILE *state_file_open(const char *state_dir, const char *name)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", state_dir, name);
    return fopen(path, "re");
}
