/* Client keys as MACs. Every configured key is compared, whatever matched before: the time tells
 * nothing. */
#include "serve/keys.h"

#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#define MAC_BYTES 32

struct client_key {
    char *name;
    uint8_t mac[MAC_BYTES];
};

struct client_keys {
    uint8_t pepper[32];
    size_t count;
    struct client_key at[];
};

static void mac_of(const struct client_keys *k, struct span text, uint8_t out[MAC_BYTES])
{
    unsigned len = MAC_BYTES;
    const unsigned char *data = (const unsigned char *)text.at;
    unsigned char *done =
        HMAC(EVP_sha256(), k->pepper, sizeof k->pepper, data, text.len, out, &len);
    assert(done != NULL && len == MAC_BYTES);
}

struct client_keys *client_keys_new(const struct config *c, const uint8_t pepper[32])
{
    if (c->key_count == 0)
        return NULL;
    struct client_keys *k = mem_zalloc(sizeof *k + c->key_count * sizeof k->at[0]);
    memcpy(k->pepper, pepper, sizeof k->pepper);
    k->count = c->key_count;
    for (size_t i = 0; i < k->count; i++) {
        const struct secret *value = &c->keys[i].key.value;
        k->at[i].name = mem_strdup(c->keys[i].name);
        mac_of(k, (struct span){value->at, value->len}, k->at[i].mac);
    }
    return k;
}

void client_keys_free(struct client_keys *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->count; i++)
        mem_free(k->at[i].name);
    OPENSSL_cleanse(k->pepper, sizeof k->pepper);
    mem_free(k);
}

const char *client_keys_find(const struct client_keys *k, struct span presented)
{
    uint8_t mac[MAC_BYTES];
    mac_of(k, presented, mac);
    const char *name = NULL;
    for (size_t i = 0; i < k->count; i++)
        if (CRYPTO_memcmp(mac, k->at[i].mac, MAC_BYTES) == 0)
            name = k->at[i].name;
    return presented.len ? name : NULL;
}
