#pragma once
/* Finding and reading the configuration: the file, the environment, flags that stand for
 * environment names, and the engines on this machine. What `serve`, `config` and `init` have in
 * common. */
#include "serve/config.h"
#include "serve/discover.h"

struct load_flags {     /* as the command line gave them; NULL = not given */
    const char *config; /* path; "-" = none, on purpose */
    const char *listen, *admin, *workers;
};

struct loaded {
    struct arena arena;          /* of everything below but config */
    struct config_source source; /* source.path: the file used, or NULL */
    struct config *config;       /* NULL on errors */
    struct config_report report;
    struct discovered found;
};

/* Reads. discover: look for engines when there is no file. ERR_OK; ERR_IO (file unreadable, out_why
 * says) or ERR_INVALID (report says). Deinit in every case. */
MUST_USE enum err load_config(const struct load_flags *flags, bool discover, bool resolve_secrets,
                              struct loaded *out, const char **out_why);
/* The same from a text in memory; name: what messages call it. Keys come from where it points to:
 * one written into the text itself is refused (ERR_PERMISSION). */
MUST_USE enum err load_config_text(const char *name, struct span text, struct loaded *out,
                                   const char **out_why);
void loaded_deinit(struct loaded *l);
