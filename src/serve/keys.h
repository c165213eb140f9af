#pragma once
/* Client keys: held only as HMAC-SHA-256 under a pepper made at start; looked up by MAC, compared
 * in constant time. So client text never meets anything but a hash, and the time says nothing
 * (reliability.md 3.10). */
#include "serve/config.h"

struct client_keys;

/* pepper: 32 random bytes. NULL when the configuration names no key. */
struct client_keys *client_keys_new(const struct config *c, const uint8_t pepper[32]);
void client_keys_free(struct client_keys *k); /* NULL is fine */
/* The key's name ("team-a"), or NULL when nobody's. */
const char *client_keys_find(const struct client_keys *k, struct span presented);
