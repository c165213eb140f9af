#pragma once
/* A Google service account's key: read from its JSON document, and the signed statement that an
 * access token is given for. Immutable once read; may be used by all threads.
 *
 * Pure but for OpenSSL; the time is handed in. Knows no socket: relay/access_token.h fetches.
 * Sources: Google, "Using OAuth 2.0 for server to server applications"; RFC 7523, RFC 7519. */
#include "base/buf.h"
#include "http/url.h"

struct service_account;

/* Reads `text`, a "type": "service_account" document. ERR_INVALID with a sentence in why (never a
 * part of the document). token_uri must be https, or on this machine. */
MUST_USE enum err service_account_new(struct span text, struct service_account **out,
                                      char why[256]);
void service_account_free(struct service_account *s); /* NULL is fine */

const struct url *service_account_token_url(const struct service_account *s);
struct span service_account_project(const struct service_account *s); /* "" when it names none */

/* Appends the body of a token request (RFC 7523: grant_type and assertion), signed now, good for an
 * hour. wall: microseconds since 1970. ERR_INTERNAL: OpenSSL fails. */
MUST_USE enum err service_account_ask(const struct service_account *s, usec wall, struct buf *to);
