/* See tls.h. Four things here are easy to get wrong:
 *
 * - OpenSSL may hold bytes that were read off the socket: after a successful read `more` stays set
 *   until a read says "want read", and the stream calls its owner again though the socket is quiet.
 * - A write that could not finish has sealed its record already. The same bytes must be offered
 *   again (`owed`), which net.h's contract for stream_write asks of every caller.
 * - The end of TCP without close_notify may be an attacker's cut: it is ERR_RESET, never ERR_EOF.
 * - SSL_free on a session that was not shut down marks it as not resumable, for every connection
 *   that shares it; tls_conn_free says "shut down" first. */
#include "net/tls.h"
#include "base/mem.h"
#include "base/span.h"
#include "net/sock.h"
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

struct kept_session {
    char *origin;
    SSL_SESSION *session;
};

struct tls_client {
    atomic_uint refs;
    SSL_CTX *ctx;
    pthread_mutex_t lock; /* guards the rest: sessions arrive on any worker's thread */
    struct kept_session kept[TLS_SESSIONS_MAX];
    size_t next;
};

struct tls_server {
    atomic_uint refs;
    SSL_CTX *ctx;
};

static const unsigned char alpn_http1[] = "\x08http/1.1";
#define ALPN_HTTP1_LEN (sizeof alpn_http1 - 1)

static _Thread_local char why_text[320];
static _Thread_local char record[TLS_RECORD_MAX]; /* small pieces gathered into one record */

const char *tls_why(void)
{
    return why_text;
}

static void say(const char *what, const char *detail)
{
    (void)snprintf(why_text, sizeof why_text, "%s%s%s", what, detail[0] != '\0' ? ": " : "",
                   detail);
}

/* The reason of OpenSSL's oldest queued error, which is the cause of the others. */
static const char *queued_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason != NULL ? reason : "no reason given";
}

/* ---- the shared settings ---- */

static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) {
        say("TLS could not be set up", queued_reason());
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body in one system call */
    return ctx;
}

/* ---- client ---- */

static int origin_slot = -1; /* SSL ex_data: the tls_conn */
static X509_STORE *system_store;

/* The system's store is read once for all targets and workers: it takes tens of milliseconds. */
static void prepare_once(void)
{
    origin_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    assert(origin_slot >= 0);
    system_store = X509_STORE_new();
    if (system_store != NULL && X509_STORE_set_default_paths(system_store) != 1) {
        X509_STORE_free(system_store);
        system_store = NULL;
    }
    ERR_clear_error();
}

static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static bool trust(SSL_CTX *ctx, const char *ca_file)
{
    if (ca_file != NULL) {
        if (SSL_CTX_load_verify_file(ctx, ca_file) == 1)
            return true;
        (void)snprintf(why_text, sizeof why_text, "the CA file %s could not be used: %s", ca_file,
                       queued_reason());
        return false;
    }
    if (system_store == NULL) {
        say("the system's certificate store could not be used", "");
        return false;
    }
    SSL_CTX_set1_cert_store(ctx, system_store);
    return true;
}

/* OpenSSL offers a session to keep. Returning 1 means that we took the reference. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_conn *t = SSL_get_ex_data(ssl, origin_slot);
    if (t == NULL || t->client == NULL)
        return 0;
    struct tls_client *c = t->client;
    pthread_mutex_lock(&c->lock);
    struct kept_session *k = NULL;
    for (size_t i = 0; i < TLS_SESSIONS_MAX && k == NULL; i++)
        if (c->kept[i].origin != NULL && strcmp(c->kept[i].origin, t->origin) == 0)
            k = &c->kept[i];
    if (k == NULL)
        k = &c->kept[c->next++ % TLS_SESSIONS_MAX];
    if (k->session != NULL)
        SSL_SESSION_free(k->session);
    if (k->origin == NULL || strcmp(k->origin, t->origin) != 0) {
        mem_free(k->origin);
        k->origin = mem_strdup(t->origin);
    }
    k->session = session;
    pthread_mutex_unlock(&c->lock);
    return 1;
}

static void offer_session(struct tls_conn *t)
{
    struct tls_client *c = t->client;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < TLS_SESSIONS_MAX; i++) {
        struct kept_session *k = &c->kept[i];
        if (k->session != NULL && strcmp(k->origin, t->origin) == 0) {
            (void)SSL_set_session(t->ssl, k->session); /* refused: a full handshake then */
            break;
        }
    }
    pthread_mutex_unlock(&c->lock);
}

/* A session whose handshake failed is not offered again. */
static void forget_session(struct tls_conn *t)
{
    struct tls_client *c = t->client;
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < TLS_SESSIONS_MAX; i++) {
        struct kept_session *k = &c->kept[i];
        if (k->session == NULL || strcmp(k->origin, t->origin) != 0)
            continue;
        SSL_SESSION_free(k->session);
        k->session = NULL;
    }
    pthread_mutex_unlock(&c->lock);
}

enum err tls_client_new(const char *ca_file, struct tls_client **out, const char **out_why)
{
    *out_why = why_text;
    ERR_clear_error();
    pthread_once(&prepared, prepare_once);
    SSL_CTX *ctx = context_new(TLS_client_method());
    if (ctx == NULL)
        return ERR_TLS;
    if (!trust(ctx, ca_file)) {
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return ERR_TLS;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    int rc = SSL_CTX_set_alpn_protos(ctx, alpn_http1, ALPN_HTTP1_LEN);
    assert(rc == 0); /* the list is a constant */
    struct tls_client *c = mem_new(struct tls_client);
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    c->ctx = ctx;
    *out = c;
    return ERR_OK;
}

struct tls_client *tls_client_ref(struct tls_client *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_client_unref(struct tls_client *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < TLS_SESSIONS_MAX; i++) {
        SSL_SESSION_free(t->kept[i].session);
        mem_free(t->kept[i].origin);
    }
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

/* ---- server ---- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, alpn_http1, ALPN_HTTP1_LEN, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static bool load_identity(SSL_CTX *ctx, const char *cert_file, const char *key_file)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        (void)snprintf(why_text, sizeof why_text, "the certificate file %s could not be used: %s",
                       cert_file, queued_reason());
    else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
        (void)snprintf(why_text, sizeof why_text, "the key file %s could not be used: %s", key_file,
                       queued_reason());
    else if (SSL_CTX_check_private_key(ctx) != 1)
        say("the key does not belong to the certificate", queued_reason());
    else
        return true;
    ERR_clear_error();
    return false;
}

enum err tls_server_new(const char *cert_file, const char *key_file, struct tls_server **out,
                        const char **out_why)
{
    static const unsigned char id[] = "hotspare";
    *out_why = why_text;
    ERR_clear_error();
    SSL_CTX *ctx = context_new(TLS_server_method());
    if (ctx == NULL)
        return ERR_TLS;
    if (!load_identity(ctx, cert_file, key_file)) {
        SSL_CTX_free(ctx);
        return ERR_TLS;
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    (void)SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    struct tls_server *s = mem_new(struct tls_server);
    atomic_init(&s->refs, 1);
    s->ctx = ctx;
    *out = s;
    return ERR_OK;
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_server_unref(struct tls_server *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ctx);
    mem_free(t);
}

/* ---- one session ---- */

static struct tls_conn *conn_new(SSL_CTX *ctx, int fd)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(ctx); /* holds the context by itself from here on */
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        say("TLS could not be set up", queued_reason());
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    struct tls_conn *t = mem_new(struct tls_conn);
    t->ssl = ssl;
    return t;
}

/* Who the peer must prove to be. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    /* A host name in the common name, instead of the alternative names, counts no more (RFC 9110
     * section 4.3.4). */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    union sock_addr numeric;
    if (sock_addr_numeric(host, &numeric))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    /* What SSL_set_tlsext_host_name stands for; OpenSSL copies the name but has no const for it. */
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    (void *)(uintptr_t)host) == 1;
}

struct tls_conn *tls_conn_client(struct tls_client *c, int fd, const char *host, uint16_t port)
{
    struct tls_conn *t = conn_new(c->ctx, fd);
    if (t == NULL)
        return NULL;
    char name[256]; /* "example.com." names the same host as "example.com" */
    size_t len = strlen(host);
    if (len > 1 && host[len - 1] == '.')
        len--;
    if (len == 0 || len >= sizeof name)
        goto refused;
    memcpy(name, host, len);
    name[len] = '\0';
    if (!expect_host(t->ssl, name))
        goto refused;
    char origin[sizeof name + 8];
    (void)snprintf(origin, sizeof origin, "%s:%u", name, (unsigned)port);
    t->client = tls_client_ref(c);
    t->origin = mem_strdup(origin);
    (void)SSL_set_ex_data(t->ssl, origin_slot, t);
    SSL_set_connect_state(t->ssl);
    offer_session(t);
    return t;
refused:
    say("the host name cannot be verified by TLS", "");
    ERR_clear_error();
    tls_conn_free(t, false);
    return NULL;
}

struct tls_conn *tls_conn_server(struct tls_server *s, int fd)
{
    struct tls_conn *t = conn_new(s->ctx, fd);
    if (t != NULL)
        SSL_set_accept_state(t->ssl);
    return t;
}

void tls_conn_free(struct tls_conn *t, bool orderly)
{
    if (t == NULL)
        return;
    ERR_clear_error();
    if (orderly && !t->broken && SSL_is_init_finished(t->ssl))
        (void)SSL_shutdown(t->ssl); /* once: the peer's answer is not waited for */
    SSL_set_quiet_shutdown(t->ssl, 1);
    SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    ERR_clear_error();
    tls_client_unref(t->client);
    mem_free(t->origin);
    mem_free(t->read_why);
    mem_free(t);
}

/* ---- what went wrong ---- */

static const char *reason_for_people(unsigned long e)
{
    switch (ERR_GET_REASON(e)) {
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
        return "the peer speaks no TLS version of 1.2 or newer";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "the peer does not speak TLS";
    default:
        return queued_reason();
    }
}

/* The text and the meaning of a call of OpenSSL that failed for good. */
static enum err failed(struct tls_conn *t, int ssl_error, int err_no, const char *doing)
{
    unsigned long e = ERR_peek_error();
    bool cut =
        (ssl_error == SSL_ERROR_SSL && ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING) ||
        (ssl_error == SSL_ERROR_SYSCALL && e == 0 && err_no == 0);
    enum err result = ERR_TLS;
    long verdict = SSL_get_verify_result(t->ssl);
    if (cut) {
        say(doing, "the peer closed without saying goodbye (no close_notify)");
        result = ERR_RESET;
    } else if (ssl_error == SSL_ERROR_SYSCALL) {
        say(doing, sock_text(err_no));
        result = sock_err(err_no) == ERR_RESET ? ERR_RESET : ERR_IO;
    } else if (t->client != NULL && verdict != X509_V_OK) {
        say("the peer's certificate was refused", X509_verify_cert_error_string(verdict));
    } else {
        say(doing, reason_for_people(e));
    }
    t->broken = true;
    ERR_clear_error();
    return result;
}

static bool alpn_fits(SSL *ssl)
{
    const unsigned char *chosen = NULL;
    unsigned int len = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &len);
    return len == 0 || (len == ALPN_HTTP1_LEN - 1 && memcmp(chosen, alpn_http1 + 1, len) == 0);
}

enum err tls_handshake(struct tls_conn *t)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(t->ssl);
    int err_no = errno;
    if (rc == 1) {
        t->handshake_wants_write = false;
        t->more = SSL_has_pending(t->ssl) == 1;
        if (t->client == NULL || alpn_fits(t->ssl))
            return ERR_OK;
        say("the TLS handshake failed", "the peer chose a protocol that was not offered");
        t->broken = true;
        return ERR_TLS;
    }
    int what = SSL_get_error(t->ssl, rc);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        t->handshake_wants_write = what == SSL_ERROR_WANT_WRITE;
        return ERR_AGAIN;
    }
    enum err e = failed(t, what, err_no, "the TLS handshake failed");
    forget_session(t);
    return e == ERR_IO ? ERR_RESET : e;
}

/* ---- bytes ---- */

/* What a read or a peek that gave nothing means. OpenSSL tells a failure once and not again, so it
 * is kept for the next read. */
static enum err nothing_read(struct tls_conn *t, int rc, int err_no)
{
    int what = SSL_get_error(t->ssl, rc);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        t->more = false;
        t->read_wants_write = what == SSL_ERROR_WANT_WRITE;
        return ERR_AGAIN;
    }
    t->more = true;
    if (what == SSL_ERROR_ZERO_RETURN)
        return ERR_EOF;
    t->read_error = failed(t, what, err_no, "reading over TLS failed");
    t->read_why = mem_strdup(why_text);
    return t->read_error;
}

enum err tls_read(struct tls_conn *t, void *to, size_t cap, size_t *out_len)
{
    size_t have = 0;
    if (t->read_error != ERR_OK) {
        say(t->read_why, "");
        return t->read_error;
    }
    t->read_wants_write = false;
    do {
        size_t got = 0;
        ERR_clear_error();
        errno = 0;
        int rc = SSL_read_ex(t->ssl, (char *)to + have, cap - have, &got);
        if (rc != 1) {
            enum err e = nothing_read(t, rc, errno);
            if (have == 0)
                return e;
            break; /* the next read tells */
        }
        have += got;
        t->more = SSL_has_pending(t->ssl) == 1;
    } while (t->more && have < cap);
    *out_len = have;
    return ERR_OK;
}

bool tls_stirs(struct tls_conn *t)
{
    char byte;
    size_t got = 0;
    if (t->read_error != ERR_OK)
        return true;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_peek_ex(t->ssl, &byte, 1, &got);
    if (rc == 1) {
        t->more = true;
        return true;
    }
    return nothing_read(t, rc, errno) != ERR_AGAIN;
}

/* The first bytes behind `skip` of the pieces as one run of at most a record: in place when the
 * first piece is long enough, else gathered. */
static struct span one_record(const struct span *pieces, size_t count, size_t skip)
{
    struct span run = SPAN_EMPTY;
    for (size_t i = 0; i < count; i++) {
        struct span p = span_drop(pieces[i], skip);
        skip -= pieces[i].len - p.len;
        if (p.len == 0)
            continue;
        if (run.len == 0 && (p.len >= TLS_RECORD_MAX || i + 1 == count))
            return span_take(p, TLS_RECORD_MAX);
        size_t take = p.len < TLS_RECORD_MAX - run.len ? p.len : TLS_RECORD_MAX - run.len;
        memcpy(record + run.len, p.at, take);
        run = (struct span){record, run.len + take};
        if (run.len == TLS_RECORD_MAX)
            break;
    }
    return run;
}

enum err tls_write(struct tls_conn *t, const struct span *pieces, size_t count, size_t *out_len)
{
    size_t done = 0;
    t->write_wants_read = false;
    for (int records = 0; records < TLS_RECORDS_PER_CALL; records++) {
        struct span run = one_record(pieces, count, done);
        if (run.len == 0)
            break;
        assert(run.len >= t->owed); /* the caller offers what it offered before, or more */
        size_t put = 0;
        ERR_clear_error();
        errno = 0;
        int rc = SSL_write_ex(t->ssl, run.at, run.len, &put);
        int err_no = errno;
        if (rc == 1) {
            t->owed = 0;
            done += put;
            continue;
        }
        int what = SSL_get_error(t->ssl, rc);
        if (what != SSL_ERROR_WANT_WRITE && what != SSL_ERROR_WANT_READ) {
            if (done > 0) { /* tell the progress first; the next call finds the error again */
                ERR_clear_error();
                break;
            }
            return failed(t, what, err_no, "writing over TLS failed");
        }
        t->write_wants_read = what == SSL_ERROR_WANT_READ;
        t->owed = run.len;
        break;
    }
    *out_len = done;
    return done > 0 ? ERR_OK : ERR_AGAIN;
}
