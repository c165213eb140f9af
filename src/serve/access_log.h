#pragma once
/* One JSON line per request (ux.md 4.2 "Access log"): an allowlist of fields, never a prompt, never
 * a key. Lines are gathered per worker and written at most 200 ms later, or at once when the buffer
 * is full. */
#include "net/net.h"
#include "relay/exchange.h"

struct access_log;

/* fd: where lines go (not closed). To rotate, put another file behind the same number (dup3). */
struct access_log *access_log_new(struct loop *l, int fd);
void access_log_free(struct access_log *a); /* flushes; NULL is fine */
void access_log_write(struct access_log *a, const struct exchange_report *r);
