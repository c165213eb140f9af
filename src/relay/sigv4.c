/* Signature Version 4 in its four steps: canonical request, string to sign, derived key, header.
 * SHA-256 and HMAC are OpenSSL's. The derived keys are wiped. */
#include "relay/sigv4.h"

#include "base/span.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <time.h>

#define DIGEST 32
#define CANONICAL_MAX ((size_t)64 << 10)

struct stamp {
    char time[17]; /* "20150830T123600Z" */
    char day[9];   /* "20150830" */
};

static struct stamp stamp_of(usec wall)
{
    struct stamp s;
    struct tm parts;
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    (void)gmtime_r(&seconds, &parts); /* any time of this millennium has parts */
    (void)strftime(s.time, sizeof s.time, "%Y%m%dT%H%M%SZ", &parts);
    (void)strftime(s.day, sizeof s.day, "%Y%m%d", &parts);
    return s;
}

/* ---- hashing ---- */

static void to_hex(const uint8_t digest[DIGEST], char out[2 * DIGEST])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < DIGEST; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
}

static bool hash_pieces(const struct span *list, size_t count, char out[2 * DIGEST])
{
    uint8_t digest[DIGEST];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; good && i < count; i++)
        good = EVP_DigestUpdate(ctx, list[i].at, list[i].len) == 1;
    good = good && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (good)
        to_hex(digest, out);
    return good;
}

static bool mac(const uint8_t *key, size_t key_len, struct span text, uint8_t out[DIGEST])
{
    return HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text.at, text.len, out, NULL);
}

static bool derive_key(struct span secret, struct span day, struct span region, struct span service,
                       uint8_t out[DIGEST])
{
    struct buf first;
    uint8_t a[DIGEST], b[DIGEST];
    buf_init(&first, (size_t)16 << 10);
    bool good = buf_add_cstr(&first, "AWS4") == ERR_OK && buf_add(&first, secret) == ERR_OK &&
                mac((const uint8_t *)first.at, first.len, day, a) && mac(a, DIGEST, region, b) &&
                mac(b, DIGEST, service, a) && mac(a, DIGEST, SPAN("aws4_request"), out);
    if (first.at)
        OPENSSL_cleanse(first.at, first.len);
    buf_deinit(&first);
    OPENSSL_cleanse(a, sizeof a);
    OPENSSL_cleanse(b, sizeof b);
    return good;
}

/* ---- the canonical request ---- */

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

enum err sigv4_encode(struct span text, bool keep_slash, struct buf *to)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < text.len; i++) {
        char c = text.at[i];
        if (is_unreserved(c) || (keep_slash && c == '/'))
            e = buf_add_char(to, c);
        else
            e = buf_printf(to, "%%%02X", (unsigned)(uint8_t)c);
    }
    return e;
}

static struct span name_of(struct span parameter)
{
    ssize_t equals = span_find(parameter, '=');
    return equals < 0 ? parameter : span_take(parameter, (size_t)equals);
}

static int compare(struct span a, struct span b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* By name, then by value: a name that begins another comes first, whatever '=' sorts as. */
static int by_name(const void *one, const void *two)
{
    const struct span *a = one, *b = two;
    int order = compare(name_of(*a), name_of(*b));
    return order ? order : compare(*a, *b);
}

static enum err add_query(struct span query, struct buf *to)
{
    struct span list[SIGV4_PARAMETERS_MAX], part;
    size_t count = 0;
    while (span_next(&query, '&', &part)) {
        if (part.len == 0)
            continue;
        if (count == ARRAY_LEN(list))
            return ERR_LIMIT;
        list[count++] = part;
    }
    qsort(list, count, sizeof *list, by_name);
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < count; i++)
        e = buf_printf(to, "%s%.*s%s", i ? "&" : "", SPAN_FMT(list[i]),
                       span_find(list[i], '=') < 0 ? "=" : "");
    return e;
}

static enum err add_field(struct buf *to, const char *name, struct span value)
{
    return value.len ? buf_printf(to, "%s:%.*s\n", name, SPAN_FMT(span_trim(value))) : ERR_OK;
}

static const char *signed_names(const struct sigv4_request *r, const struct sigv4_credentials *c)
{
    bool typed = r->content_type.len > 0, token = c->session_token.len > 0;
    if (typed)
        return token ? "content-type;host;x-amz-date;x-amz-security-token"
                     : "content-type;host;x-amz-date";
    return token ? "host;x-amz-date;x-amz-security-token" : "host;x-amz-date";
}

static enum err add_canonical(const struct sigv4_request *r, const struct sigv4_credentials *c,
                              const struct stamp *at, struct buf *to)
{
    char body[2 * DIGEST];
    if (!hash_pieces(r->body ? r->body->list : NULL, r->body ? r->body->count : 0, body))
        return ERR_INTERNAL;
    enum err e = buf_printf(to, "%.*s\n", SPAN_FMT(r->method));
    if (e == ERR_OK)
        e = sigv4_encode(r->path, true, to);
    if (e == ERR_OK)
        e = buf_add_char(to, '\n');
    if (e == ERR_OK)
        e = add_query(r->query, to);
    if (e == ERR_OK)
        e = buf_add_char(to, '\n');
    if (e == ERR_OK)
        e = add_field(to, "content-type", r->content_type);
    if (e == ERR_OK)
        e = add_field(to, "host", r->host);
    if (e == ERR_OK)
        e = add_field(to, "x-amz-date", span_from(at->time));
    if (e == ERR_OK)
        e = add_field(to, "x-amz-security-token", c->session_token);
    if (e == ERR_OK)
        e = buf_printf(to, "\n%s\n%.*s", signed_names(r, c), (int)sizeof body, body);
    return e;
}

/* ---- the signature ---- */

static enum err sign(struct span canonical, const struct sigv4_credentials *c,
                     const struct stamp *at, struct span scope, struct span region,
                     struct span service, char out[2 * DIGEST])
{
    char hash[2 * DIGEST];
    uint8_t key[DIGEST], digest[DIGEST];
    struct buf text;
    if (!hash_pieces(&canonical, 1, hash))
        return ERR_INTERNAL;
    buf_init(&text, 1024);
    enum err e = buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.*s\n%.*s", at->time, SPAN_FMT(scope),
                            (int)sizeof hash, hash);
    if (e == ERR_OK && (!derive_key(c->secret_key, span_from(at->day), region, service, key) ||
                        !mac(key, DIGEST, buf_span(&text), digest)))
        e = ERR_INTERNAL;
    if (e == ERR_OK)
        to_hex(digest, out);
    OPENSSL_cleanse(key, sizeof key);
    buf_deinit(&text);
    return e;
}

static enum err add_lines(const struct sigv4_request *r, const struct sigv4_credentials *c,
                          const struct stamp *at, struct span scope, const char *signature,
                          struct buf *to)
{
    enum err e = buf_printf(to, "x-amz-date: %s\r\n", at->time);
    if (e == ERR_OK && c->session_token.len)
        e = buf_printf(to, "x-amz-security-token: %.*s\r\n", SPAN_FMT(c->session_token));
    if (e == ERR_OK)
        e = buf_printf(to,
                       "authorization: AWS4-HMAC-SHA256 Credential=%.*s/%.*s, SignedHeaders=%s, "
                       "Signature=%.*s\r\n",
                       SPAN_FMT(c->access_key), SPAN_FMT(scope), signed_names(r, c), 2 * DIGEST,
                       signature);
    return e;
}

enum err sigv4_write(const struct sigv4_request *r, const struct sigv4_credentials *c,
                     struct span region, struct span service, usec wall, struct buf *to)
{
    struct stamp at = stamp_of(wall);
    char signature[2 * DIGEST];
    struct buf canonical, scope;
    buf_init(&canonical, CANONICAL_MAX);
    buf_init(&scope, 512);
    enum err e = buf_printf(&scope, "%s/%.*s/%.*s/aws4_request", at.day, SPAN_FMT(region),
                            SPAN_FMT(service));
    if (e == ERR_OK)
        e = add_canonical(r, c, &at, &canonical);
    if (e == ERR_OK)
        e = sign(buf_span(&canonical), c, &at, buf_span(&scope), region, service, signature);
    if (e == ERR_OK)
        e = add_lines(r, c, &at, buf_span(&scope), signature, to);
    buf_deinit(&canonical);
    buf_deinit(&scope);
    return e;
}
