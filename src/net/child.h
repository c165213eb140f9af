#pragma once
/* Child processes: the seam's part for the demo, drills and, later, the engine supervisor. Network
 * workers never use it. The child gets exactly the environment given (never ours), /dev/null as
 * stdin, and its own process group. */
#include "net/net.h"

struct child;
struct child_options {
    const char *const *argv; /* argv[0] = absolute path; NULL-terminated */
    const char *const *env;  /* NULL-terminated "NAME=value" list; NULL = empty */
    void (*on_line)(void *ctx, struct span line); /* each line of its stdout+stderr, may be NULL */
    void (*on_exit)(void *ctx, int status, int signum);
    void *ctx;
};
MUST_USE enum err child_start(struct loop *l, const struct child_options *o, struct child **out,
                              const char **out_why);
int child_pid(const struct child *c);
void child_signal(struct child *c, int signum); /* to its whole process group */
void child_free(struct child *c); /* SIGKILLs its group when it still runs; no callback after it */
/* The absolute path of the program that is running, for starting it again with another command. */
MUST_USE enum err child_own_path(char *out, size_t cap);
