/* See trap.h. The black hole is a listening socket whose owner never accepts: once the system's
 * queue for it is full, further connections get no answer at all. It is filled here, so that the
 * first ones of the gateway already meet a full queue. */
#include "tools/drill/trap.h"
#include "base/span.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY (24L * 3600)
#define QUEUE_LENGTH 1

/* ---- certificates ---- */

static bool set_name(X509 *cert, const char *alt_name)
{
    X509_NAME *name = X509_get_subject_name(cert);
    if (!X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                    (const unsigned char *)"hotspare drill", -1, -1, 0) ||
        !X509_set_issuer_name(cert, name))
        return false;
    X509_EXTENSION *alt = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt_name);
    bool added = alt != NULL && X509_add_ext(cert, alt, -1);
    X509_EXTENSION_free(alt);
    return added;
}

static X509 *make_cert(EVP_PKEY *key, const char *alt_name, long from, long until)
{
    X509 *cert = X509_new();
    if (cert != NULL && X509_set_version(cert, 2) &&
        ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
        X509_gmtime_adj(X509_getm_notBefore(cert), from) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(cert), until) != NULL && X509_set_pubkey(cert, key) &&
        set_name(cert, alt_name) && X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static bool write_pem(const char *path, const X509 *cert, const EVP_PKEY *key)
{
    FILE *f = fopen(path, "we");
    bool written = f != NULL && (cert == NULL || PEM_write_X509(f, cert)) &&
                   (key == NULL || PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    return (f != NULL && fclose(f) == 0) & written;
}

/* The certificate vouches for itself: who trusts the file trusts it. */
static enum err load_cert(struct trap *t, const char *dir, const char **out_why)
{
    bool expired = t->kind == TRAP_TLS_EXPIRED;
    const char *alt = t->kind == TRAP_TLS_HOST ? "DNS:another.example" : "IP:127.0.0.1";
    char key_path[160];
    (void)snprintf(t->ca, sizeof t->ca, "%s/cert.pem", dir);
    (void)snprintf(key_path, sizeof key_path, "%s/key.pem", dir);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert =
        key != NULL ? make_cert(key, alt, expired ? -2 * DAY : -DAY, expired ? -DAY : DAY) : NULL;
    bool written = cert != NULL && write_pem(t->ca, cert, NULL) && write_pem(key_path, NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    *out_why = "a certificate could not be made";
    if (!written)
        return ERR_IO;
    return tls_server_new(t->ca, key_path, &t->tls, out_why);
}

/* ---- listening ---- */

static struct tls_server *our_tls(void *ctx)
{
    return ((struct trap *)ctx)->tls;
}

static void hold(struct trap *t, struct stream *s)
{
    if (t->held_count < ARRAY_LEN(t->held))
        t->held[t->held_count++] = s;
    else
        stream_close(s);
}

/* A handshake_failure alert, as a record of TLS 1.2 (RFC 8446 section 6). */
static void send_alert(struct stream *s)
{
    static const char alert[] = {0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28};
    struct span bytes = {alert, sizeof alert};
    size_t sent;
    if (stream_write(s, &bytes, 1, &sent) != ERR_OK)
        sent = 0; /* whatever: the peer sees the end instead */
    stream_close(s);
}

static void on_accept(void *ctx, struct stream *s)
{
    struct trap *t = ctx;
    if (t->kind == TRAP_TLS_ALERT)
        send_alert(s);
    else if (t->kind == TRAP_TLS_SILENCE)
        hold(t, s);
    else
        stream_close(s); /* a handshake went through that must not: the lead answers nothing */
}

static void on_filler_connected(void *ctx, enum err result)
{
    (void)ctx;
    (void)result;
}

/* Connections of our own into the queue; they stay until the trap is closed. */
static void fill_queue(struct trap *t, struct loop *l)
{
    static const struct stream_events events = {.on_connect = on_filler_connected};
    struct net_dest dest = {.host = SPAN("127.0.0.1"), .port = listener_port(t->listener)};
    for (int i = 0; i < QUEUE_LENGTH + 3; i++)
        net_connect(l, &dest, &events, NULL, &t->held[t->held_count++]);
}

static enum err listen_at(struct trap *t, struct loop *l, const char **out_why)
{
    bool hole = t->kind == TRAP_BLACKHOLE;
    struct listen_options o = {
        .tls = t->tls != NULL ? our_tls : NULL, .tls_ctx = t, .backlog = hole ? QUEUE_LENGTH : 0};
    if (hole)
        t->deaf = loop_new();
    enum err e = net_listen(hole ? t->deaf : l, SPAN("127.0.0.1"), 0, &o, on_accept, t,
                            &t->listener, out_why);
    if (e != ERR_OK)
        return e;
    (void)snprintf(t->url, sizeof t->url, "%s://127.0.0.1:%u", hole ? "http" : "https",
                   listener_port(t->listener));
    if (hole)
        fill_queue(t, l);
    return ERR_OK;
}

/* An address that was somebody's a moment ago: the system gives it to nobody else so soon. */
static enum err wrong_address(struct trap *t, struct loop *l, const char **out_why)
{
    struct listen_options o = {0};
    enum err e = net_listen(l, SPAN("127.0.0.1"), 0, &o, on_accept, t, &t->listener, out_why);
    if (e != ERR_OK)
        return e;
    (void)snprintf(t->url, sizeof t->url, "http://127.0.0.1:%u", listener_port(t->listener));
    listener_close(t->listener);
    t->listener = NULL;
    return ERR_OK;
}

static enum err lay_wire(struct trap *t, const struct trap_place *at, const char **out_why)
{
    enum wire_death death = t->kind == TRAP_IDLE_CLOSES ? WIRE_CLOSES : WIRE_DIES_MUTE;
    enum err e = wire_open(at->loop, at->lead, death, &t->wire, out_why);
    if (e == ERR_OK)
        (void)snprintf(t->url, sizeof t->url, "http://127.0.0.1:%u", wire_port(t->wire));
    return e;
}

enum err trap_open(struct trap *t, enum trap_kind kind, const struct trap_place *at,
                   const char **out_why)
{
    enum err e = ERR_OK;
    t->kind = kind;
    if (kind == TRAP_NAME) {
        (void)snprintf(t->url, sizeof t->url, "https://claude.invalid");
        return ERR_OK;
    }
    if (kind == TRAP_WRONG_ADDRESS)
        return wrong_address(t, at->loop, out_why);
    if (kind == TRAP_IDLE_CLOSES || kind == TRAP_IDLE_DIES)
        return lay_wire(t, at, out_why);
    if (kind == TRAP_TLS_EXPIRED || kind == TRAP_TLS_HOST || kind == TRAP_TLS_CA)
        e = load_cert(t, at->dir, out_why);
    if (kind == TRAP_TLS_CA)
        t->ca[0] = '\0';
    return e == ERR_OK ? listen_at(t, at->loop, out_why) : e;
}

uint64_t trap_struck(const struct trap *t)
{
    return t->wire != NULL ? wire_deaths(t->wire) : 0;
}

void trap_close(struct trap *t)
{
    for (size_t i = 0; i < t->held_count; i++)
        stream_abort(t->held[i]);
    t->held_count = 0;
    listener_close(t->listener);
    t->listener = NULL;
    if (t->deaf != NULL)
        loop_free(t->deaf);
    t->deaf = NULL;
    tls_server_unref(t->tls);
    t->tls = NULL;
    wire_close(t->wire);
    t->wire = NULL;
}
