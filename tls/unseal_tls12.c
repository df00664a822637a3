/* Record protection of TLS 1.0 to 1.2: the PRF and its key block, CBC with a MAC in front or behind
 * (RFC 5246 6.2.3, RFC 7366), AEADs with their explicit nonces (RFC 5288, 6655, 7905). */
#include "tls/unseal_seal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <string.h>

#define KEY_BLOCK_MAX (2 * (48 + 32 + 16)) /* MAC keys, keys and IVs of both directions */
#define AAD_MAX       13                   /* sequence number, type, version, length */

/* --- keys --- */

struct text {
    const void *data;
    size_t len;
};

static OSSL_PARAM bytes_param(const char *name, struct text bytes)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes.data, bytes.len);
}

static bool prf(struct unseal_algorithms *all, const struct unseal_params *params,
                const uint8_t secret[48], const struct text seed[3], uint8_t *out, size_t len)
{
    const char *hash = params->version < 0x0303 ? "MD5-SHA1" : params->suite->hash;
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)hash, 0),
        bytes_param(OSSL_KDF_PARAM_SECRET, (struct text){secret, 48}),
        bytes_param(OSSL_KDF_PARAM_SEED, seed[0]),
        bytes_param(OSSL_KDF_PARAM_SEED, seed[1]),
        bytes_param(OSSL_KDF_PARAM_SEED, seed[2]),
        OSSL_PARAM_construct_end()};
    if (!all->prf)
        all->prf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *ctx = all->prf ? EVP_KDF_CTX_new(all->prf) : NULL;
    bool good = ctx && EVP_KDF_derive(ctx, out, len, p) == 1;
    EVP_KDF_CTX_free(ctx);
    return good;
}

bool unseal_master(struct unseal_algorithms *all, const struct unseal_params *params,
                   const uint8_t premaster[static 48], const char *label, const uint8_t *seed,
                   size_t seed_len, uint8_t out[static 48])
{
    const struct text parts[3] = {
        {label, strlen(label)},
        {seed,  seed_len     },
        {"",    0            }
    };
    return prf(all, params, premaster, parts, out, 48);
}

bool unseal_seal_12(struct unseal_algorithms *all, struct unseal_seal *seal,
                    const struct unseal_params *params, const uint8_t master[static 48], int dir)
{
    const struct unseal_bulk *bulk = unseal_bulk(params->suite->bulk);
    const struct text seed[3] = {
        {"key expansion",       13           },
        {params->server_random, UNSEAL_RANDOM},
        {params->client_random, UNSEAL_RANDOM}
    };
    uint8_t block[KEY_BLOCK_MAX];
    size_t mac = bulk->mac ? bulk->tag : 0, side = (size_t)dir;
    size_t keys = 2 * mac, ivs = keys + 2u * bulk->key, all_len = ivs + 2u * bulk->iv;
    bool good = prf(all, params, master, seed, block, all_len) &&
                unseal_seal_start(all, seal, params->suite, block + keys + side * bulk->key,
                                  mac ? block + side * mac : NULL);
    memcpy(seal->iv, block + ivs + side * bulk->iv, bulk->iv);
    seal->version = params->version;
    seal->etm = params->etm;
    OPENSSL_cleanse(block, sizeof block);
    return good;
}

/* --- records --- */

static void put_seq(uint8_t out[8], uint64_t seq)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(seq >> (56 - 8 * i));
}

/* What is authenticated beside the bytes: `len` is that of the plain ones, or, with the MAC behind,
 * of the sealed ones. */
static void put_aad(uint8_t aad[AAD_MAX], uint64_t seq, const uint8_t *record, size_t len)
{
    put_seq(aad, seq);
    memcpy(aad + 8, record, 3);
    aad[11] = (uint8_t)(len >> 8);
    aad[12] = (uint8_t)len;
}

/* GCM and CCM carry 8 bytes of the nonce with each record, ChaCha20 none. */
static bool open_aead(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                      uint8_t *room, struct unseal_opened *out)
{
    uint8_t nonce[12], aad[AAD_MAX], number[8];
    bool chacha = seal->bulk->mode == UNSEAL_CHACHA;
    size_t start = UNSEAL_HEADER + (chacha ? 0 : 8);
    if (len < start + seal->bulk->tag)
        return false;
    memcpy(nonce, seal->iv, sizeof nonce);
    put_seq(number, seq);
    if (chacha)
        for (int i = 0; i < 8; i++)
            nonce[4 + i] ^= number[i];
    else
        memcpy(nonce + 4, record + UNSEAL_HEADER, 8);
    out->len = len - start - seal->bulk->tag;
    put_aad(aad, seq, record, out->len);
    return unseal_aead(seal, nonce,
                       &(struct unseal_sealed){aad, record + start, sizeof aad, len - start}, room);
}

static bool mac_fits(struct unseal_seal *seal, const uint8_t *aad, struct text bytes,
                     const uint8_t *mac)
{
    uint8_t own[EVP_MAX_MD_SIZE];
    size_t len;
    return EVP_MAC_init(seal->mac, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(seal->mac, aad, AAD_MAX) == 1 &&
           EVP_MAC_update(seal->mac, bytes.data, bytes.len) == 1 &&
           EVP_MAC_final(seal->mac, own, &len, sizeof own) == 1 && len >= seal->bulk->tag &&
           CRYPTO_memcmp(own, mac, seal->bulk->tag) == 0;
}

/* The whole of it decrypted in `room`; the padding, which tells its own length, taken off. */
static bool decrypt_blocks(struct unseal_seal *seal, const uint8_t *iv, struct text in,
                           uint8_t *room, size_t *plain)
{
    int n;
    if (in.len == 0 || in.len % seal->bulk->iv ||
        EVP_DecryptInit_ex2(seal->cipher, NULL, NULL, iv, NULL) != 1 ||
        EVP_DecryptUpdate(seal->cipher, room, &n, in.data, (int)in.len) != 1)
        return false;
    size_t padding = room[in.len - 1] + 1u;
    if (padding > in.len)
        return false;
    for (size_t i = 1; i < padding; i++)
        if (room[in.len - 1 - i] != padding - 1)
            return false;
    *plain = in.len - padding;
    return true;
}

static bool check_mac_behind(struct unseal_seal *seal, uint64_t seq, const uint8_t *record,
                             size_t len)
{
    uint8_t aad[AAD_MAX];
    struct text bytes = {record + UNSEAL_HEADER, len - UNSEAL_HEADER - seal->bulk->tag};
    put_aad(aad, seq, record, bytes.len);
    return mac_fits(seal, aad, bytes, record + len - seal->bulk->tag);
}

static bool check_mac_inside(struct unseal_seal *seal, uint64_t seq, const uint8_t *record,
                             const uint8_t *room, size_t *plain)
{
    uint8_t aad[AAD_MAX];
    if (*plain < seal->bulk->tag)
        return false;
    *plain -= seal->bulk->tag;
    put_aad(aad, seq, record, *plain);
    return mac_fits(seal, aad, (struct text){room, *plain}, room + *plain);
}

static bool open_cbc(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                     uint8_t *room, struct unseal_opened *out)
{
    bool chained = seal->version < 0x0302;
    size_t block = seal->bulk->iv, behind = seal->etm ? seal->bulk->tag : 0;
    size_t start = UNSEAL_HEADER + (chained ? 0 : block);
    if (len < start + block + behind || (seal->etm && !check_mac_behind(seal, seq, record, len)))
        return false;
    struct text in = {record + start, len - start - behind};
    const uint8_t *iv = chained ? seal->iv : record + UNSEAL_HEADER;
    if (!decrypt_blocks(seal, iv, in, room, &out->len))
        return false;
    if (!seal->etm && !check_mac_inside(seal, seq, record, room, &out->len))
        return false;
    if (chained)
        memcpy(seal->iv, record + len - behind - block, block);
    return true;
}

bool unseal_open_12(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                    uint8_t *room, struct unseal_opened *out)
{
    out->type = record[0];
    out->bytes = room;
    return seal->bulk->mode == UNSEAL_CBC ? open_cbc(seal, seq, record, len, room, out)
                                          : open_aead(seal, seq, record, len, room, out);
}
