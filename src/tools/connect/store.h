#pragma once
/* What `connect` remembers of a file it changed: a record and two copies, below
 * $XDG_STATE_HOME/hotspare/connect (~/.local/state without it), 0600 in a folder of 0700.
 *
 * The record is written before the file is. So at any moment, whatever was killed, the file is as
 * before, as after, or edited by others since, and the digests in the record tell which. */
#include "tools/connect/clients.h"

struct record {
    struct span url, file, made; /* made: the topmost folder that was made for it, or empty */
    bool existed;                /* the file, before */
    /* digests; was: of what `after` was to replace, `before` or what an earlier connect had left */
    struct span before, after, was;
    struct span before_text, after_text;
    struct span was_text; /* for store_keep only */
};

struct store { /* embed it; the fields belong to store.c */
    const char *folder;
    struct arena *a;
    int lock;
};

/* writing: makes the folder and locks it against other runs. False says why on stderr. */
bool store_open(struct store *s, struct arena *a, bool writing);
void store_close(struct store *s);

/* The record of one client with its copies. ERR_NOT_FOUND: there is none. ERR_SYNTAX: it or a copy
 * is damaged (said on stderr). */
MUST_USE enum err store_find(const struct store *s, const char *client, struct record *out);

/* Keeps the copies, then the record; the copies of an older record go. `r` needs all but digests.
 */
bool store_keep(const struct store *s, const char *client, struct record *r);

/* Forgets; keep_before: leaves the copy of the content before. Returns that copy's path. */
const char *store_forget(const struct store *s, const char *client, const struct record *r,
                         bool keep_before);
