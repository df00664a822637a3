/* Record protection of TLS 1.3 (RFC 8446 5.2, 7): keys out of traffic secrets, nonces out of
 * numbers, the true type behind the padding. */
#include "tls/unseal_seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <string.h>

#define LABEL_MAX 32 /* of HkdfLabel, prefix and lengths included; the longest here has 21 */

/* HKDF-Expand-Label without a context (RFC 8446 7.1). */
static bool expand(struct unseal_algorithms *all, const struct unseal_suite *suite,
                   const uint8_t *secret, const char *label, uint8_t *out, size_t len)
{
    uint8_t info[LABEL_MAX];
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    size_t label_len = strlen(label), hash_len = strcmp(suite->hash, "SHA384") == 0 ? 48 : 32;
    info[0] = (uint8_t)(len >> 8);
    info[1] = (uint8_t)len;
    info[2] = (uint8_t)(6 + label_len);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_len);
    info[9 + label_len] = 0;
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)suite->hash, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, hash_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, 10 + label_len),
        OSSL_PARAM_construct_end()};
    if (!all->hkdf)
        all->hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = all->hkdf ? EVP_KDF_CTX_new(all->hkdf) : NULL;
    bool good = ctx && EVP_KDF_derive(ctx, out, len, p) == 1;
    EVP_KDF_CTX_free(ctx);
    return good;
}

bool unseal_seal_13(struct unseal_algorithms *all, struct unseal_seal *seal,
                    const struct unseal_suite *suite, const uint8_t *secret, size_t len)
{
    uint8_t key[32];
    if (len != (strcmp(suite->hash, "SHA384") == 0 ? 48u : 32u))
        return false;
    seal->version = UNSEAL_TLS13;
    memcpy(seal->secret, secret, len);
    seal->secret_len = len;
    bool good = expand(all, suite, secret, "key", key, unseal_bulk(suite->bulk)->key) &&
                expand(all, suite, secret, "iv", seal->iv, 12) &&
                unseal_seal_start(all, seal, suite, key, NULL);
    OPENSSL_cleanse(key, sizeof key);
    return good;
}

bool unseal_seal_next(struct unseal_algorithms *all, struct unseal_seal *seal,
                      const struct unseal_seal *old)
{
    uint8_t secret[NU_SECRET_MAX_BYTES];
    bool good = expand(all, old->suite, old->secret, "traffic upd", secret, old->secret_len) &&
                unseal_seal_13(all, seal, old->suite, secret, old->secret_len);
    OPENSSL_cleanse(secret, sizeof secret);
    return good;
}

/* The type is the last byte that is not zero; there must be one. */
static bool take_type(struct unseal_opened *out)
{
    while (out->len && out->bytes[out->len - 1] == 0)
        out->len--;
    if (out->len == 0)
        return false;
    out->type = out->bytes[--out->len];
    return true;
}

bool unseal_open_13(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                    uint8_t *room, struct unseal_opened *out)
{
    uint8_t nonce[12];
    struct unseal_sealed in = {record, record + UNSEAL_HEADER, UNSEAL_HEADER, len - UNSEAL_HEADER};
    memcpy(nonce, seal->iv, sizeof nonce);
    for (int i = 0; i < 8; i++)
        nonce[4 + i] ^= (uint8_t)(seq >> (56 - 8 * i));
    if (in.len <= seal->bulk->tag || !unseal_aead(seal, nonce, &in, room))
        return false;
    out->bytes = room;
    out->len = in.len - seal->bulk->tag;
    return take_type(out);
}
