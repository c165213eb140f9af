#pragma once
/* AWS Signature Version 4: the header lines that prove a request ours without sending the key.
 *
 * A pure function of request, credentials and time; knows no target and no service. Source: AWS
 * General Reference, "Create a signed AWS API request". */
#include "base/buf.h"
#include "base/pieces.h"

struct sigv4_credentials {
    struct span access_key, secret_key;
    struct span session_token; /* of temporary credentials; empty: none */
};
struct sigv4_request {
    struct span method;
    struct span path;  /* exactly as it is sent; it is encoded once more for the signature, as all
                          services but S3 want it */
    struct span query; /* as it is sent, without '?' */
    struct span host;  /* as the Host field has it */
    struct span content_type;  /* empty: not signed */
    const struct pieces *body; /* NULL: empty */
};

#define SIGV4_PARAMETERS_MAX 32

/* Appends "x-amz-date", "x-amz-security-token" (when there is one) and "authorization" lines.
 * region, service: the scope ("us-east-1", "bedrock"). wall: microseconds since 1970.
 * ERR_LIMIT: too many parameters, or `to` is full. ERR_INTERNAL: the cryptographic library fails.
 */
MUST_USE enum err sigv4_write(const struct sigv4_request *r, const struct sigv4_credentials *c,
                              struct span region, struct span service, usec wall, struct buf *to);

/* Appends text with all but RFC 3986's unreserved characters (and '/', when keep_slash) as %XX. */
MUST_USE enum err sigv4_encode(struct span text, bool keep_slash, struct buf *to);
