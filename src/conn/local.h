#pragma once
/* A request that this process asks of itself: there is no connection, its reply goes to a sink. For
 * whoever answers it, it is a request like any other.
 *
 * No bytes of HTTP are made: what would be written and read again at once is handed over. */
#include "conn/server.h"

struct local_reply {
    /* The spans of `fields` live during the call. */
    void (*on_start)(void *ctx, int status, const struct http_field *fields, size_t count);
    void (*on_body)(void *ctx, struct span bytes);
    /* Last; the request is gone. whole: false where a client would see its connection cut. */
    void (*on_end)(void *ctx, bool whole);
    /* Bytes of the reply that its reader has not taken yet (reply_pending). Once they are none
     * again after REPLY_HIGH_WATER, the sink's owner tells the handler, as the server's on_drained
     * would. */
    size_t (*pending)(void *ctx);
    void *ctx;
};

struct local_request {
    struct span method, path;
    const struct http_field *fields;
    size_t field_count;
    struct span body;
};

/* Copies everything. It lives until the reply ends; the sink hears nothing before the handler it is
 * given to replies. Thread: the loop's. */
struct request *request_local(struct loop *l, const struct local_request *what,
                              const struct local_reply *to);
