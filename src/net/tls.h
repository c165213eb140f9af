#pragma once
/* TLS sessions over a socket that never blocks (OpenSSL 3). Knows no loop: it says whether it needs
 * the socket to be readable or writable, and the stream waits for that.
 *
 * Verification cannot be switched off: no function here takes such a wish. The public half
 * (tls_client_new, tls_server_new) is in net.h. */
#include "net/net.h"
#include <openssl/ssl.h>

#define TLS_SESSIONS_MAX 32    /* kept for resumption, per tls_client */
#define TLS_RECORD_MAX 16384   /* bytes of content in one record */
#define TLS_RECORDS_PER_CALL 8 /* one tls_write, so that one stream cannot hold the loop */

struct tls_conn { /* one session; only tls.c writes the fields */
    SSL *ssl;
    struct tls_client *client; /* NULL = we are the server */
    char *origin;              /* client: "host:port", the name of the kept session */
    size_t owed;               /* bytes a write was tried with that must be offered again */
    enum err read_error;       /* found by a read or a peek, told by every read from then on */
    char *read_why;
    bool more;             /* read bytes may be waiting in here, not in the socket */
    bool read_wants_write; /* the last read, write or handshake step needs the other way */
    bool write_wants_read;
    bool handshake_wants_write;
    bool broken; /* the session cannot go on, not even for a close_notify */
};

/* host: verified and, unless it is an address, sent as SNI. Owns nothing of the socket. NULL when
 * OpenSSL refuses the name; tls_why says so. */
struct tls_conn *tls_conn_client(struct tls_client *c, int fd, const char *host, uint16_t port);
struct tls_conn *tls_conn_server(struct tls_server *s, int fd);
/* orderly: sends close_notify when the session is able to. NULL is fine. */
void tls_conn_free(struct tls_conn *t, bool orderly);

/* ERR_OK: done, and the peer is who it should be. ERR_AGAIN, ERR_TLS, ERR_RESET. */
MUST_USE enum err tls_handshake(struct tls_conn *t);
/* As stream_read and stream_write. */
MUST_USE enum err tls_read(struct tls_conn *t, void *to, size_t cap, size_t *out_len);
MUST_USE enum err tls_write(struct tls_conn *t, const struct span *pieces, size_t count,
                            size_t *out_len);
/* False when a read would say ERR_AGAIN: what came was for TLS itself (a session ticket). */
bool tls_stirs(struct tls_conn *t);

/* A sentence about the last failure on this thread. */
const char *tls_why(void);
