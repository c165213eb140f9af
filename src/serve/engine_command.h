#pragma once
/* How an engine is started: its command line, its environment, where its health is asked. Knows no
 * process. */
#include "serve/config.h"

/* The command of a target that is started by us: its own `command:` with {model}, {host}, {port}
 * and {context} filled in, else what its kind needs. NULL-terminated, in the arena. */
const char *const *engine_command(struct arena *a, const struct config_target *t);
/* Its whole environment: what is named in an allow-list, no key among it, and what its kind needs.
 * env: getenv-like. NULL-terminated, in the arena. */
const char *const *engine_environment(struct arena *a, const struct config_target *t,
                                      const char *(*env)(const char *name));
const char *engine_health_path(enum target_kind k);
/* Does this answer to a health check mean that it is ready? A command of the user's own need have
 * no health check: that it answers is enough. */
bool engine_is_healthy(enum target_kind k, int status);
/* The model file that must be there, or NULL: what is named is no path. */
const char *engine_model_file(const struct config_target *t);
