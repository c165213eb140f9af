/* The document, the key in it, and the JSON Web Token (RS256) it signs. */
#include "relay/service_account.h"

#include "base/mem.h"
#include "base/span.h"
#include "json/json.h"
#include "json/json_write.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

#define SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define GOOD_FOR 3600
#define JWT_MAX ((size_t)16 << 10)
#define SIGNATURE_MAX 1024 /* RSA of 8192 bits */

struct service_account {
    struct arena arena;
    struct span email, key_id, project, token_uri; /* plain */
    struct url token_url;
    EVP_PKEY *key;
};

/* ---- reading ---- */

static struct span text_of(struct service_account *s, struct json root, const char *name)
{
    struct json v = json_get(root, name);
    return json_is(v, JSON_STRING) ? arena_copy(&s->arena, json_str_decode(v, &s->arena))
                                   : SPAN_EMPTY;
}

/* No passphrase is asked for on a terminal. */
static int no_passphrase(char *to, int size, int writing, void *ctx)
{
    (void)to, (void)size, (void)writing, (void)ctx;
    return -1;
}

static bool read_key(struct service_account *s, struct span pem)
{
    BIO *from = pem.len > 0 && pem.len < INT32_MAX ? BIO_new_mem_buf(pem.at, (int)pem.len) : NULL;
    if (from)
        s->key = PEM_read_bio_PrivateKey(from, NULL, no_passphrase, NULL);
    BIO_free(from);
    return s->key && EVP_PKEY_is_a(s->key, "RSA") && EVP_PKEY_get_size(s->key) <= SIGNATURE_MAX;
}

static const char *read_document(struct service_account *s, struct span text)
{
    struct json_doc doc;
    const char *unused;
    if (json_parse(&s->arena, text, NULL, &doc, NULL) != ERR_OK)
        return "it is no JSON document";
    struct json root = json_root(&doc);
    if (!json_str_is(json_get(root, "type"), "service_account"))
        return "its \"type\" is not \"service_account\"";
    s->email = text_of(s, root, "client_email");
    s->key_id = text_of(s, root, "private_key_id");
    s->project = text_of(s, root, "project_id");
    s->token_uri = text_of(s, root, "token_uri");
    if (s->email.len == 0)
        return "it has no client_email";
    if (url_parse(s->token_uri, &s->token_url, &unused) != ERR_OK)
        return "its token_uri is no URL";
    if (!s->token_url.tls && !url_host_is_loopback(s->token_url.host))
        return "its token_uri is not https";
    if (!read_key(s, text_of(s, root, "private_key")))
        return "its private_key is no RSA key in PEM";
    return NULL;
}

enum err service_account_new(struct span text, struct service_account **out, char why[256])
{
    struct service_account *s = mem_new(struct service_account);
    arena_init(&s->arena, (size_t)1 << 20);
    const char *wrong = read_document(s, text);
    if (!wrong) {
        *out = s;
        return ERR_OK;
    }
    (void)snprintf(why, 256, "the service account cannot be used: %s", wrong);
    service_account_free(s);
    return ERR_INVALID;
}

void service_account_free(struct service_account *s)
{
    if (!s)
        return;
    EVP_PKEY_free(s->key);
    arena_deinit(&s->arena);
    mem_free(s);
}

const struct url *service_account_token_url(const struct service_account *s)
{
    return &s->token_url;
}

struct span service_account_project(const struct service_account *s)
{
    return s->project;
}

/* ---- the token request ---- */

/* RFC 4648 section 5, without padding. */
static enum err add_base64url(struct span bytes, struct buf *to)
{
    size_t room = (bytes.len + 2) / 3 * 4 + 1;
    enum err e = buf_reserve(to, room);
    if (e != ERR_OK)
        return e;
    char *at = to->at + to->len;
    int n = EVP_EncodeBlock((uint8_t *)at, (const uint8_t *)bytes.at, (int)bytes.len);
    while (n > 0 && at[n - 1] == '=')
        n--;
    for (int i = 0; i < n; i++)
        at[i] = at[i] == '+' ? '-' : at[i] == '/' ? '_' : at[i];
    buf_grew(to, (size_t)n);
    return ERR_OK;
}

static void add_member(struct json_out *w, const char *key, struct span text)
{
    jw_key(w, key);
    jw_str(w, text);
}

static enum err add_header(const struct service_account *s, struct buf *to)
{
    struct json_out w;
    json_out_buf(&w, to);
    jw_object(&w);
    add_member(&w, "alg", SPAN("RS256"));
    add_member(&w, "typ", SPAN("JWT"));
    if (s->key_id.len)
        add_member(&w, "kid", s->key_id);
    jw_object_end(&w);
    return w.failed ? ERR_LIMIT : ERR_OK;
}

static enum err add_claims(const struct service_account *s, int64_t now, struct buf *to)
{
    struct json_out w;
    json_out_buf(&w, to);
    jw_object(&w);
    add_member(&w, "iss", s->email);
    add_member(&w, "scope", SPAN(SCOPE));
    add_member(&w, "aud", s->token_uri);
    jw_key(&w, "iat");
    jw_i64(&w, now);
    jw_key(&w, "exp");
    jw_i64(&w, now + GOOD_FOR);
    jw_object_end(&w);
    return w.failed ? ERR_LIMIT : ERR_OK;
}

static enum err add_signature(const struct service_account *s, struct span text, struct buf *to)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t len = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key) == 1 &&
                EVP_DigestSign(ctx, signature, &len, (const uint8_t *)text.at, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good ? add_base64url((struct span){(const char *)signature, len}, to) : ERR_INTERNAL;
}

/* header.claims.signature */
static enum err add_token(const struct service_account *s, usec wall, struct buf *part,
                          struct buf *to)
{
    enum err e = add_header(s, part);
    if (e == ERR_OK)
        e = add_base64url(buf_span(part), to);
    buf_reset(part);
    if (e == ERR_OK)
        e = add_claims(s, wall / USEC_PER_SEC, part);
    if (e == ERR_OK)
        e = buf_add_char(to, '.');
    if (e == ERR_OK)
        e = add_base64url(buf_span(part), to);
    buf_reset(part);
    if (e == ERR_OK)
        e = add_signature(s, buf_span(to), part);
    if (e == ERR_OK)
        e = buf_add_char(to, '.');
    return e == ERR_OK ? buf_add(to, buf_span(part)) : e;
}

enum err service_account_ask(const struct service_account *s, usec wall, struct buf *to)
{
    struct buf part, token;
    buf_init(&part, JWT_MAX);
    buf_init(&token, JWT_MAX);
    enum err e = add_token(s, wall, &part, &token);
    if (e == ERR_OK)
        e = buf_add_cstr(
            to, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    if (e == ERR_OK)
        e = buf_add(to, buf_span(&token));
    buf_deinit(&part);
    buf_deinit(&token);
    return e;
}
