#pragma once
/* Log lines for people: one line of key=value per event on stderr. Values are quoted and escaped as
 * needed, so a hostile value cannot forge a line. Secrets have a type (struct secret) no formatter
 * here takes. */
#include "base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level most);
bool log_wants(enum log_level level);
/* log_line(LOG_WARN, "reload_refused", "file", path, "why", text, NULL): pairs of key and C string.
 * Thread: any. */
void log_line(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* Where a line goes instead of stderr; it comes without its line end, and lives during the call. */
struct log_sink {
    void (*line)(void *ctx, enum log_level level, struct span line);
    void *ctx;
};
/* The calling thread's lines go to `to` from now on (NULL: to stderr); returns who had them before.
 * For a library, whose host owns stderr. */
const struct log_sink *log_divert(const struct log_sink *to);

/* A credential. Printed only through secret_hint ("set, ...9f2c"); wiped by secret_wipe. */
struct secret {
    char *at;
    size_t len;
};
struct secret secret_copy(struct span s);
void secret_wipe(struct secret *s);
/* "set, ...9f2c" (last four characters, only when it has at least 12), or "empty". out must hold 24
 * bytes. */
void secret_hint(const struct secret *s, char out[24]);
