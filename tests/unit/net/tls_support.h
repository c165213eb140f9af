#pragma once
/* Certificates made on the spot, and an OpenSSL server of the test's own on a thread, which sees
 * what a client really sends. */
#include "uv_support.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct identity {
    EVP_PKEY *key;
    X509 *cert;
    char cert_file[120], key_file[120];
};

struct wish {
    const char *common_name;
    const char *alt_names;         /* "DNS:localhost,IP:127.0.0.1", NULL = none */
    long from_seconds, to_seconds; /* relative to now; to 0 = a day */
    bool is_ca;
    const struct identity *issuer; /* NULL = signed by itself */
};

static char work_dir[64];

static inline void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static inline void save(struct identity *id, const char *name)
{
    (void)snprintf(id->cert_file, sizeof id->cert_file, "%s/%s.pem", work_dir, name);
    (void)snprintf(id->key_file, sizeof id->key_file, "%s/%s.key", work_dir, name);
    FILE *f = fopen(id->cert_file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, id->cert), 1);
    fclose(f);
    f = fopen(id->key_file, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, id->key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

static inline void identity_make(struct identity *id, const char *file, const struct wish *w)
{
    static long serial = 1;
    id->key = EVP_EC_gen("P-256");
    id->cert = X509_new();
    assert_non_null(id->key);
    assert_non_null(id->cert);
    X509_set_version(id->cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(id->cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(id->cert), w->from_seconds);
    X509_gmtime_adj(X509_getm_notAfter(id->cert), w->to_seconds != 0 ? w->to_seconds : 86400);
    X509_set_pubkey(id->cert, id->key);
    X509_NAME *name = X509_get_subject_name(id->cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)w->common_name, -1,
                               -1, 0);
    X509 *issuer = w->issuer != NULL ? w->issuer->cert : id->cert;
    X509_set_issuer_name(id->cert, X509_get_subject_name(issuer));
    add_extension(id->cert, issuer, NID_basic_constraints,
                  w->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (w->alt_names != NULL)
        add_extension(id->cert, issuer, NID_subject_alt_name, w->alt_names);
    assert_true(X509_sign(id->cert, w->issuer != NULL ? w->issuer->key : id->key, EVP_sha256()) >
                0);
    save(id, file);
}

static inline void identity_free(struct identity *id)
{
    X509_free(id->cert);
    EVP_PKEY_free(id->key);
    (void)remove(id->cert_file);
    (void)remove(id->key_file);
}

/* ---- the server on a thread ---- */

struct tls_peer {
    SSL_CTX *ctx;
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_bool stop;
    bool cut; /* closes without close_notify */
    atomic_int handshakes, resumed, app_bytes;
    char sni[64];
};

static inline void peer_serve(struct tls_peer *p, int fd)
{
    SSL *ssl = SSL_new(p->ctx);
    SSL_set_fd(ssl, fd);
    char some[4096];
    size_t n = 0;
    if (SSL_accept(ssl) == 1) {
        const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        (void)snprintf(p->sni, sizeof p->sni, "%s", sni != NULL ? sni : "");
        p->resumed += SSL_session_reused(ssl);
        p->handshakes++;
        while (SSL_read_ex(ssl, some, sizeof some, &n) == 1) {
            p->app_bytes += (int)n;
            if (memchr(some, '!', n) != NULL)
                break; /* the end of the test's request */
            (void)SSL_write_ex(ssl, some, n, &n);
        }
        if (n > 0 && !p->cut)
            (void)SSL_shutdown(ssl);
    } else {
        (void)SSL_read_ex(ssl, some, sizeof some, &n);
    }
    SSL_free(ssl);
    close(fd);
}

static inline void *peer_run(void *arg)
{
    struct tls_peer *p = arg;
    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        if (p->stop || fd < 0) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        struct timeval limit = {.tv_sec = 5};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        peer_serve(p, fd);
    }
}

static inline void peer_start(struct tls_peer *p, const struct identity *id, int version_max)
{
    memset(p, 0, sizeof *p);
    p->ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(p->ctx, id->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(p->ctx, id->key), 1);
    SSL_CTX_set_session_id_context(p->ctx, (const unsigned char *)"t", 1);
    if (version_max != 0) {
        SSL_CTX_set_security_level(p->ctx, 0); /* lets TLS 1.1 be spoken at all */
        SSL_CTX_set_min_proto_version(p->ctx, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(p->ctx, version_max);
    }
    p->listener = raw_listen("127.0.0.1", &p->port, 20);
    assert_int_equal(pthread_create(&p->thread, NULL, peer_run, p), 0);
}

static inline void peer_stop(struct tls_peer *p)
{
    p->stop = true;
    close(raw_connect(p->port));
    pthread_join(p->thread, NULL);
    close(p->listener);
    SSL_CTX_free(p->ctx);
}
