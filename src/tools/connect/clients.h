#pragma once
/* The clients: what each needs to reach the gateway, and where its settings file is. One table; no
 * code here knows how a file is changed. */
#include "tools/connect/edit.h"

struct client_file {
    enum edit_format format;
    const char *dir_env;           /* names the folder when set */
    const char *dir;               /* else this one, below HOME */
    const char *name, *other_name; /* the other is taken when it is there; or NULL */
    const char *preamble;          /* of a new YAML file */
    /* '@' in a value is the base URL without /v1, '~' the model's name; a value with '~' is left
     * out when no model was named */
    struct edit_want settings[EDIT_WANTS_MAX];
    bool needs_model;
};

struct client {
    const char *name;
    const char *where; /* the lines go */
    const char *lines; /* '@' and '~' as in settings, '@@' is '@'; NULL: what `file` would hold */
    const char *undo;  /* by hand */
    const char *key;   /* how this client gets its key; NULL: as the lines say */
    const char *source;
    struct client_file file; /* EDIT_NO_FILE: nothing to write */
};

extern const struct client clients[];
extern const size_t client_count;

const struct client *client_named(const char *name); /* NULL, and said on stderr: none has it */

/* `text` with '@', '~' and '@@' filled in. */
struct span client_fill(const char *text, const char *url, const char *model, struct arena *a);

/* The settings with their values filled in; model NULL leaves those out that need it. */
size_t client_wants(const struct client *c, const char *url, const char *model, struct arena *a,
                    struct edit_want out[EDIT_WANTS_MAX]);

/* The path of its settings file, or NULL when neither its variable nor HOME is set. */
const char *client_path(const struct client *c, struct arena *a);
