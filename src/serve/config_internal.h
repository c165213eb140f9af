#pragma once
/* Shared by the config*.c files only: the table, the tree a YAML file becomes, and the reader that
 * turns one into a configuration while collecting every problem. */
#include "base/span.h"
#include "local/facts.h"
#include "serve/config.h"

/* ---- the table (config_table.c) ---- */

enum config_type {
    CONFIG_SECTION, /* a mapping of the keys below it */
    CONFIG_KEYS,    /* name -> secret */
    CONFIG_TARGETS, /* name -> section */
    CONFIG_ROUTES,  /* list of sections */
    CONFIG_CHAIN,   /* list of "target" or "target/model" */
    CONFIG_WORDS,   /* list of words: a command */
    CONFIG_PLANNED, /* known, not in this version */
    CONFIG_LISTEN,  /* from here on: scalars */
    CONFIG_TEXT,
    CONFIG_FILE,
    CONFIG_URL,
    CONFIG_SECRET,
    CONFIG_KIND,
    CONFIG_SPEAKS,
    CONFIG_API,
    CONFIG_AUTH,
    CONFIG_USE, /* 0 not declared, else 1 + enum use_kind */
    CONFIG_START,
    CONFIG_DURATION, /* usec */
    CONFIG_SIZE,     /* size_t */
    CONFIG_COUNT,    /* uint32_t */
    CONFIG_BOOL,
};

struct config_row {
    const char *path; /* "deadlines.stall", "targets.*.url", "models[].chain" */
    enum config_type type;
    const char *fallback; /* as it would be written; NULL: none */
    uint64_t least, most; /* of durations (usec), sizes and counts */
    size_t offset;        /* in struct config, config_target, config_route */
    bool lines;           /* a secret that is a document: blanks and line ends are its own */
    bool required;        /* inside its section */
    bool restart;         /* a reload leaves the old value in force */
    const char *help;
};
extern const struct config_row config_rows[];
extern const size_t config_row_count;

/* The row of exactly that path, or NULL. */
const struct config_row *config_row(struct span path);
/* The row of `key` in a section ("" = top), or NULL. */
const struct config_row *config_row_below(const char *section, struct span key);
/* Does row lie directly below section? *out_name: its last word. */
bool config_row_is_below(const struct config_row *row, const char *section, struct span *out_name);
/* A scalar of the whole configuration: has an offset in struct config, and an override. */
bool config_row_is_global(const struct config_row *row);
/* The words a KIND, SPEAKS, API, AUTH or BOOL takes, in the order of their values; 0 for other
 * types. */
#define CONFIG_WORDS_MAX 16
size_t config_row_words(const struct config_row *row, const char *out[CONFIG_WORDS_MAX]);
/* "HOTSPARE_DEADLINES_STALL" into out. */
void config_row_env(const struct config_row *row, char out[64]);

struct config_kind {
    const char *url; /* NULL: must be given */
    enum dialect_id dialect;
    bool choose_dialect; /* `speaks` may be given */
    bool wants_key;      /* when it is not on this machine */
    bool wants_model;    /* a name of ours means nothing to it */
};
const struct config_kind *config_kind(enum target_kind k);
/* What `api` is without being given. */
enum config_api config_default_api(const struct config_target *t);

/* ---- values (config_value.c) ---- */

struct config_complaint {
    const char *what, *fix; /* static or in the arena */
};
/* Reads a scalar into its field of `base`. Texts are copied into `a`. */
MUST_USE bool config_read_value(const struct config_row *row, struct arena *a, struct span text,
                                void *base, struct config_complaint *out);
/* Names are one line of UTF-8 without controls and without what YAML folds: they are shown, logged
 * and sent. */
MUST_USE bool config_check_text(struct span text, struct config_complaint *out);
/* Writes it as YAML that config_read_value takes. false: not set, nothing written. */
bool config_write_value(const struct config_row *row, const void *base, struct buf *out);
/* A YAML scalar: plain where it is safe, else in double quotes. */
void config_write_text(struct span text, struct buf *out);
/* "32MiB", "600s": the largest unit that loses nothing. */
void config_write_amount(enum config_type type, uint64_t n, struct buf *out);
/* Appends; at the buffer's bound the text is cut, which for all that is told here is good enough.
 */
void config_put(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
/* The word of `words` nearest to `word`, or NULL when none is near. */
const char *config_nearest(struct span word, const char *const *words, size_t count);
bool config_name_ok(struct span name);

/* ---- the tree (config_yaml.c) ---- */

enum config_node_type { NODE_SCALAR, NODE_MAP, NODE_LIST, NODE_BAD /* complained about already */ };
struct config_node {
    enum config_node_type type;
    struct span text; /* scalars; NUL-terminated behind its end */
    bool plain;       /* not quoted */
    int line, column;
    struct span key; /* children of a map */
    int key_line, key_column;
    struct config_node *first, *last, *next;
    size_t count;
};

/* ---- the reader ---- */

enum { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENV };
struct config_origin {
    int from, line;
};

struct config_mark {
    int line, column;
};
struct config_reader {
    const struct config_source *s;
    struct arena *arena; /* the report's: problems, tree */
    struct config *c;
    struct config_problem *problems;
    size_t problem_count, problem_cap, error_count;
    struct config_node *root;     /* NULL: no file */
    struct config_node **targets; /* of the file, by target index; NULL: no file */
    bool *target_bad;    /* complained about already: checks that build on it are left out */
    struct facts *facts; /* of models and licences; read when a use is declared */
    char path[512];      /* of the value being read, for messages */
};

/* Reads s->text into r->root, complaining as it goes; r->root stays NULL when there is nothing to
 * walk. */
void config_parse_yaml(struct config_reader *r);
struct config_node *config_node_get(const struct config_node *map, const char *key);
struct config_mark config_mark_of(const struct config_node *n);  /* {0,0} for NULL */
struct config_mark config_mark_key(const struct config_node *n); /* of its key */

/* Adds one problem. fix may be NULL. */
void config_complain(struct config_reader *r, struct config_mark at, bool warning, const char *fix,
                     const char *format, ...) PRINTF_LIKE(5, 6);
struct span config_printf(struct config_reader *r, const char *format, ...) PRINTF_LIKE(2, 3);

/* config_read.c: walks r->root into r->c. */
void config_walk(struct config_reader *r);
/* config_secret.c: finds a secret's value, or complains. lines: as config_row. */
void config_resolve(struct config_reader *r, struct config_mark at, struct config_secret *secret,
                    bool lines);
/* The target's secrets, for whom treats them all alike. */
#define CONFIG_TARGET_SECRETS 5
void config_target_secrets(struct config_target *t,
                           struct config_secret *out[CONFIG_TARGET_SECRETS]);
/* Complains when a file that the configuration names cannot be opened. */
void config_check_file(struct config_reader *r, struct config_mark at, const char *path);
/* config_env.c: targets and one route from keys in the environment and from engines found. */
void config_from_environment(struct config_reader *r);
/* config_target.c: what follows from a target's kind; checks of its URL and key. */
void config_finish_targets(struct config_reader *r);
/* config_cloud.c: region, URL and credentials of Bedrock, Vertex and Gemini there. */
void config_cloud_region(struct config_reader *r, struct config_target *t, struct config_mark at);
void config_cloud_keys(struct config_reader *r, struct config_target *t, struct config_mark at);
/* A target of another kind has none of their keys. node: of its mapping. */
void config_cloud_refuse(struct config_reader *r, const struct config_target *t,
                         const struct config_node *node);
/* config_route.c: chains to targets, the default route, breakers. */
void config_finish_routes(struct config_reader *r);
/* config_use.c: complains when the licence of the link's model forbids the declared use, and warns
 * when it must be asked about. Reads only the built-in facts. */
void config_check_use(struct config_reader *r, struct config_mark at,
                      const struct config_link *link);
/* How the model of a vLLM that we start writes calls and thinking, as the built-in facts know it.
 */
void config_know_model(struct config_reader *r, struct config_target *t);
/* config_check.c: listeners, TLS, deadlines, breaker. */
void config_check(struct config_reader *r);
/* Would requests to that host and port come back to this gateway? */
bool config_is_own_address(const struct config *c, struct span host, uint16_t port);
