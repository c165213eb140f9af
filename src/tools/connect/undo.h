#pragma once
/* What `connect --write` and `disconnect` share: a client's file beside what is remembered of it,
 * and the file's text without our change. */
#include "tools/connect/file.h"
#include "tools/connect/store.h"

#define EXIT_DATA 65   /* EX_DATAERR of sysexits.h */
#define EXIT_CANNOT 73 /* EX_CANTCREAT */

struct change {
    struct store store;
    struct arena *a;
    struct settings_file file;
    bool recorded, json;
    struct record record;
    struct span diff; /* when json: what else would be on stdout */
    bool written;
};

/* Finds the file and the record. path: NULL for the client's own, or the record's. Returns 0 or an
 * exit code, said on stderr; close in every case. */
int change_open(struct change *ch, const struct client *client, const char *path, bool writing,
                bool json, struct arena *a);
void change_close(struct change *ch);

/* The file's text without our change: byte for byte the old one when nobody else touched it since.
 * ch->recorded must hold. Otherwise as edit_unset. */
MUST_USE enum err change_undone(const struct client *client, const struct change *ch,
                                struct span *out, size_t *out_kept, struct edit_problem *out_why);

/* "hotspare: PATH:line:column: what"; `what` NULL takes the problem's own. */
void change_complain(const char *path, const struct edit_problem *why, const char *what);

/* The diff to `after` on stdout; `url` is shown unmasked. */
bool change_show(struct change *ch, struct span after, const char *url);

/* When json: what was done, as one object (hotspare.change/1). */
void change_report(const struct change *ch, const char *command, const char *client,
                   const char *url);

struct client_state {
    enum { STATE_BY_HAND, STATE_NO_FILE, STATE_FILE, STATE_CONNECTED, STATE_EDITED } kind;
    const char *file, *url; /* or NULL */
};
/* How a client stands. EDITED: connected, and the file was edited since. */
struct client_state change_state(const struct client *client, struct arena *a);
