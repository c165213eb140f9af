#pragma once
/* Which conversation a request belongs to, as a keyed 64-bit hash.
 *
 * Pure and bounded: looks at one header and at slices of the indexed body, copies and keeps
 * nothing. What it read cannot be had back from the hash, and with the next seed the same
 * conversation has another one. */
#include "base/base.h"
#include "http/h1.h"
#include "json/json.h"

enum identity_source {
    IDENTITY_NONE,      /* nothing to go by: hash is 0 */
    IDENTITY_SESSION,   /* header x-claude-code-session-id */
    IDENTITY_USER,      /* body metadata.user_id */
    IDENTITY_CACHE_KEY, /* body prompt_cache_key */
    IDENTITY_OPENING,   /* what the conversation began with: system text, first user message */
    IDENTITY_SOURCES
};

struct identity {
    uint64_t hash;
    enum identity_source source;
};

#define IDENTITY_BYTES_MAX 4096 /* of the opening that are hashed at most */

/* seed: secret, of the process. owner: the name of the client key, so that one key's conversations
 * cannot be moved by another's; NULL = none. */
struct identity identity_of(const uint64_t seed[2], const char *owner, const struct http_head *head,
                            const struct json_doc *doc);
const char *identity_source_name(enum identity_source s); /* "session", ...; NULL for NONE */
