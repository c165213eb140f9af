#pragma once
/* What a model hub says of a model, and which of its files are wanted. A hub's words are a
 * stranger's: every name, size and sum is checked here before anything else sees it.
 *
 * Pure: text in, lists out. Knows no socket and writes no file. Source: the Hub API, GET
 * /api/models/ID/revision/REV?blobs=true, as huggingface_hub's model_info asks it. */
#include "base/arena.h"
#include <stdio.h>

#define HUB_FILES_MAX 4096u
#define HUB_ANSWER_MAX ((size_t)32 << 20)
#define HUB_NAME_MAX 1024u /* bytes of a file's name with its folders */
/* What a pull writes beside the files; a hub's own of that name is never taken. */
#define HUB_MANIFEST "hotspare-pull.json"
#define HUB_FOLDERS_MAX 8u       /* in it */
#define HUB_SIZE_MAX (1LL << 50) /* bytes of one file: 1 PiB */

/* What the command line names: ORG/NAME[:QUANT]. */
struct hub_ref {
    struct span id, quant; /* quant: empty = none */
};
/* Borrows text. *out_why: static sentence. */
MUST_USE enum err hub_ref_read(struct span text, struct hub_ref *out, const char **out_why);
/* A branch, tag or commit, as git allows them and a URL can hold them. */
bool hub_revision_valid(struct span text);

struct hub_file {
    const char *name;
    uint64_t size;
    /* 64 hex digits: SHA-256 of the content; 40: git's name of it (SHA-1 behind a head that tells
     * the size); NULL: the hub does not say. */
    const char *sum;
};
struct hub_model {
    const char *commit;  /* 40 hex digits: what the revision stands for now */
    const char *licence; /* the card's word ("apache-2.0"); NULL: none */
    struct hub_file *files;
    size_t count;
};
/* All in `a`. A name that would leave its folder or comes twice, a size or a sum that is none:
 * ERR_INVALID for the whole, with a sentence in *out_why: such a hub is not to be trusted with the
 * rest. */
MUST_USE enum err hub_read(struct arena *a, struct span text, struct hub_model *out,
                           const char **out_why);

/* Relative, no empty, "." or ".." part, no backslash, no control byte, within the bounds. */
bool hub_name_safe(struct span name);

/* Percent-encoded for a URL's path; slashes stay where `path`. */
const char *hub_escaped(struct arena *a, const char *text, bool path);

struct hub_choice {
    const struct hub_file *files[HUB_FILES_MAX];
    size_t count;
    uint64_t bytes;
};
struct hub_wish {
    struct span quant;        /* empty: none */
    const char *const *names; /* these and no others; NULL: by rule */
    size_t name_count;
};
/* By rule: GGUF of the level asked for, all its parts; else safetensors with their index, and what
 * an engine reads beside them; licence texts always. Pickled weights and code never: reading them
 * runs them. ERR_INVALID with *out_why (in `a`), which lists what there is. */
MUST_USE enum err hub_choose(struct arena *a, const struct hub_model *m, const struct hub_wish *w,
                             struct hub_choice *out, const char **out_why);

/* "4.37 GB", "812 MB", "1 kB", decimal as hubs tell sizes. */
#define HUB_BYTES_TEXT 24
const char *hub_bytes(char text[HUB_BYTES_TEXT], double bytes);
