/* Keys and ciphers of a direction, what both families of versions share; see unseal_seal.h. */
#include "tls/unseal_seal.h"

#include "core/assert.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <string.h>

void unseal_algorithms_free(struct unseal_algorithms *all)
{
    for (int i = 0; i < UNSEAL_BULKS; i++)
        EVP_CIPHER_free(all->cipher[i]);
    EVP_MAC_free(all->hmac);
    EVP_KDF_free(all->hkdf);
    EVP_KDF_free(all->prf);
    memset(all, 0, sizeof *all);
}

void unseal_seal_clear(struct unseal_seal *seal)
{
    EVP_CIPHER_CTX_free(seal->cipher);
    EVP_MAC_CTX_free(seal->mac);
    OPENSSL_cleanse(seal, sizeof *seal);
}

static EVP_CIPHER *cipher_of(struct unseal_algorithms *all, const struct unseal_suite *suite)
{
    EVP_CIPHER **slot = &all->cipher[suite->bulk];
    if (!*slot)
        *slot = EVP_CIPHER_fetch(NULL, unseal_bulk(suite->bulk)->cipher, NULL);
    return *slot;
}

static bool start_mac(struct unseal_algorithms *all, struct unseal_seal *seal, const uint8_t *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)seal->bulk->mac, 0),
        OSSL_PARAM_END};
    if (!all->hmac)
        all->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    seal->mac = all->hmac ? EVP_MAC_CTX_new(all->hmac) : NULL;
    return seal->mac && EVP_MAC_init(seal->mac, key, seal->bulk->tag, params) == 1;
}

/* CCM wants to know the tag's length before it takes a key. */
static bool prepare(struct unseal_seal *seal)
{
    uint8_t none[16] = {0};
    EVP_CIPHER_CTX *ctx = seal->cipher;
    if (seal->bulk->mode == UNSEAL_CBC)
        return EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, 12, NULL) == 1 &&
           (seal->bulk->mode != UNSEAL_CCM ||
            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, seal->bulk->tag, none) == 1);
}

bool unseal_seal_start(struct unseal_algorithms *all, struct unseal_seal *seal,
                       const struct unseal_suite *suite, const uint8_t *key, const uint8_t *mac_key)
{
    const EVP_CIPHER *cipher = cipher_of(all, suite);
    seal->suite = suite;
    seal->bulk = unseal_bulk(suite->bulk);
    seal->cipher = EVP_CIPHER_CTX_new();
    nu_assert(seal->cipher != NULL);
    return cipher && EVP_DecryptInit_ex2(seal->cipher, cipher, NULL, NULL, NULL) == 1 &&
           prepare(seal) && EVP_DecryptInit_ex2(seal->cipher, NULL, key, NULL, NULL) == 1 &&
           (!mac_key || start_mac(all, seal, mac_key));
}

/* CCM checks the tag as it decrypts, also of no bytes at all; the others at the end. */
static bool decrypt(EVP_CIPHER_CTX *ctx, bool ccm, const struct unseal_sealed *in, int len,
                    uint8_t *out)
{
    uint8_t none;
    int n;
    if (ccm)
        return EVP_DecryptUpdate(ctx, NULL, &n, NULL, len) == 1 &&
               EVP_DecryptUpdate(ctx, NULL, &n, in->aad, (int)in->aad_len) == 1 &&
               EVP_DecryptUpdate(ctx, out, &n, in->bytes, len) == 1;
    return EVP_DecryptUpdate(ctx, NULL, &n, in->aad, (int)in->aad_len) == 1 &&
           (!len || EVP_DecryptUpdate(ctx, out, &n, in->bytes, len) == 1) &&
           EVP_DecryptFinal_ex(ctx, &none, &n) == 1;
}

bool unseal_aead(struct unseal_seal *seal, const uint8_t nonce[static 12],
                 const struct unseal_sealed *in, uint8_t *out)
{
    uint8_t tag[16];
    int tag_len = seal->bulk->tag, len = (int)in->len - tag_len;
    if (len < 0)
        return false;
    memcpy(tag, in->bytes + len, (size_t)tag_len);
    return EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_SET_TAG, tag_len, tag) == 1 &&
           EVP_DecryptInit_ex2(seal->cipher, NULL, NULL, nonce, NULL) == 1 &&
           decrypt(seal->cipher, seal->bulk->mode == UNSEAL_CCM, in, len, out);
}

bool unseal_open(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                 uint8_t *room, struct unseal_opened *out)
{
    if (len < UNSEAL_HEADER || len > UNSEAL_HEADER + UNSEAL_RECORD_MAX)
        return false;
    return seal->version == UNSEAL_TLS13 ? unseal_open_13(seal, seq, record, len, room, out)
                                         : unseal_open_12(seal, seq, record, len, room, out);
}

size_t unseal_overhead(const struct unseal_seal *seal)
{
    const struct unseal_bulk *bulk = seal->bulk;
    if (seal->version == UNSEAL_TLS13)
        return UNSEAL_HEADER + 1u + bulk->tag;
    if (bulk->mode == UNSEAL_CBC)
        return UNSEAL_HEADER + (seal->version > 0x0301 ? bulk->iv : 0u) + bulk->tag + bulk->iv / 2u;
    return UNSEAL_HEADER + (bulk->mode == UNSEAL_CHACHA ? 0u : 8u) + bulk->tag;
}
