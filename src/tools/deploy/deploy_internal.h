#pragma once
/* What the writers of the file formats share: a judged plan, and the engine's flags with the reason
 * for each. Writers only write text; none knows files or the terminal. */
#include "local/licence.h"
#include "tools/plan/options.h"

#define DEPLOY_FLAGS_MAX 40u
#define DEPLOY_VLLM_VERSION "0.29.0" /* newest whose flags the facts were checked against */

#define DEPLOY_IMAGE_TEMPLATES "/vllm-workspace/examples/" /* in vLLM's image */
#define DEPLOY_HOST_TEMPLATES "/etc/hotspare/"             /* outside of it */

struct deploy_flag {
    const char *name;  /* "--max-model-len"; NULL: the positional model */
    const char *value; /* NULL: a switch */
    const char *why;
};
struct deploy {
    struct plan plan;
    struct use use; /* for the licence */
    struct licence_verdict verdict;
    const char *formats, *out, *image, *hotspare_image, *repo, *program, *master, *served,
        *multi_node;
    double replicas, gpus_per_host, users, usd_year;
    bool dry_run, force;
    struct deploy_flag flags[DEPLOY_FLAGS_MAX];
    size_t flag_count;
    const char *model;  /* what the engine is told to load: repository, REPO:FORMAT or file */
    bool file;          /* `model` is a file of this machine */
    const char *note;   /* something about `model` a person has to check; "" */
    const char *name;   /* the model's name in requests */
    const char *folder; /* of the file */
    const char *chat_template; /* the name of the one vLLM needs; NULL: none */
    uint32_t hosts;            /* machines it takes */
    bool ray;                  /* several hosts, and Ray starts the ranks */
    uint32_t port;
};

/* Chooses the repository and the flags. NULL, or the reason why not (in the plan's arena). */
const char *deploy_engine(struct deploy *d);

/* Each appends a whole file. deploy_refused: NULL, or why the format cannot carry this plan. */
const char *deploy_refused(const struct deploy *d, const char *format);
void deploy_command(const struct deploy *d, struct buf *out);
void deploy_compose(const struct deploy *d, struct buf *out);
void deploy_env(const struct deploy *d, struct buf *out); /* .env beside the compose file */
void deploy_systemd(const struct deploy *d, struct buf *out);
void deploy_kubernetes(const struct deploy *d, struct buf *out);
/* Through Ray: what one pod runs, under `args:`; what KubeRay makes pods of; one host's command.
 * `flags` writes vllm serve's arguments, `pod` all of a pod's spec. */
typedef void (*deploy_flags_fn)(const struct deploy *d, int indent, bool worker, struct buf *out);
void deploy_ray_args(const struct deploy *d, int indent, bool worker, deploy_flags_fn flags,
                     struct buf *out);
void deploy_ray_cluster(const struct deploy *d, deploy_flags_fn pod, struct buf *out);
void deploy_ray_shell(const struct deploy *d, uint32_t rank, struct buf *out);
/* host: the engine's name, NULL for loopback. indent: blanks before each line. */
void deploy_config(const struct deploy *d, const char *host, int indent, struct buf *out);

/* The opening lines of every file: what, from which plan, what was not tried. */
void deploy_head(const struct deploy *d, struct buf *out);
void deploy_put(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
/* In double quotes for YAML and systemd. `twice`: bytes the reader would expand, written doubled.
 */
void deploy_quoted(struct buf *out, const char *text, const char *twice);
bool deploy_is_vllm(const struct deploy *d);
uint32_t deploy_cards(const struct deploy *d); /* on one host */
double deploy_load_minutes(const struct deploy *d);
