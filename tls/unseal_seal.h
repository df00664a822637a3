/* One direction's record protection: keys in, opened records out. Inside of unseal. */
#ifndef NU_TLS_UNSEAL_SEAL_H
#define NU_TLS_UNSEAL_SEAL_H

#include "tls/unseal.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNSEAL_HEADER     5              /* of a record: type, version, length */
#define UNSEAL_RECORD_MAX (16384 + 2048) /* behind its header (RFC 5246 6.2.3) */
#define UNSEAL_RANDOM     32
#define UNSEAL_IV_MAX     16
#define UNSEAL_TLS13      0x0304

/* What OpenSSL keeps of a direction's keys, about. */
#define UNSEAL_SEAL_BYTES 1024

/* ContentType. */
enum { TYPE_CCS = 20, TYPE_ALERT, TYPE_HANDSHAKE, TYPE_DATA, TYPE_HEARTBEAT };

enum unseal_mode { UNSEAL_CBC, UNSEAL_GCM, UNSEAL_CCM, UNSEAL_CHACHA };

/* A cipher with its MAC. */
struct unseal_bulk {
    const char *cipher, *mac; /* OpenSSL's names; of an AEAD, no mac */
    enum unseal_mode mode;
    uint8_t key, iv, tag; /* bytes; iv: what the key block has of it; tag: also the MAC's */
};

struct unseal_suite {
    uint16_t code;
    const char *name;
    uint8_t bulk;     /* for unseal_bulk */
    const char *hash; /* of the PRF from TLS 1.2 on, and of HKDF */
};
#define UNSEAL_BULKS 32
/* NULL: a code that is not read here. */
const struct unseal_suite *unseal_suite(uint16_t code);

/* A suite that is known by name, and why it is not opened. */
struct unseal_unread {
    uint16_t code;
    const char *name;
    enum nu_unseal_reason reason;
};
/* NULL: not even that. */
const struct unseal_unread *unseal_unread(uint16_t code);
const struct unseal_bulk *unseal_bulk(unsigned bulk);

/* OpenSSL's algorithms, fetched once. */
struct unseal_algorithms {
    EVP_CIPHER *cipher[UNSEAL_BULKS]; /* as they are first needed */
    EVP_MAC *hmac;
    EVP_KDF *hkdf, *prf;
};
void unseal_algorithms_free(struct unseal_algorithms *all);

struct unseal_seal {
    const struct unseal_suite *suite; /* NULL: no keys */
    const struct unseal_bulk *bulk;
    uint16_t version;
    bool etm; /* encrypt-then-MAC (RFC 7366) */
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
    uint8_t iv[UNSEAL_IV_MAX];           /* of an AEAD its fixed part; in TLS 1.0 the last block */
    uint64_t seq;                        /* of the next record */
    uint8_t secret[NU_SECRET_MAX_BYTES]; /* TLS 1.3 */
    size_t secret_len;
};
/* Wipes and frees what it holds; zeroed afterwards. */
void unseal_seal_clear(struct unseal_seal *seal);

/* What the keys of TLS 1.2 and before are made of. */
struct unseal_params {
    const struct unseal_suite *suite;
    uint16_t version;
    bool etm;
    const uint8_t *client_random, *server_random;
};
/* Fills a zeroed seal with the keys of direction `dir`. False: this OpenSSL refuses. */
bool unseal_seal_12(struct unseal_algorithms *all, struct unseal_seal *seal,
                    const struct unseal_params *params, const uint8_t master[static 48], int dir);
/* master = PRF(premaster, label, seed): "master secret" of both randoms, or "extended master
 * secret" of the session hash (RFC 7627). */
bool unseal_master(struct unseal_algorithms *all, const struct unseal_params *params,
                   const uint8_t premaster[static 48], const char *label, const uint8_t *seed,
                   size_t seed_len, uint8_t out[static 48]);
/* The same of TLS 1.3, from a traffic secret. */
bool unseal_seal_13(struct unseal_algorithms *all, struct unseal_seal *seal,
                    const struct unseal_suite *suite, const uint8_t *secret, size_t len);
/* The next generation after a KeyUpdate (RFC 8446 7.2), into a zeroed seal. */
bool unseal_seal_next(struct unseal_algorithms *all, struct unseal_seal *seal,
                      const struct unseal_seal *old);

struct unseal_opened {
    uint8_t type;
    const uint8_t *bytes; /* in `room` */
    size_t len;
};
/* Opens a whole record, header and all, as number `seq`. False: it does not open; the seal is as it
 * was. `room` takes UNSEAL_RECORD_MAX bytes. The caller counts `seq`. */
bool unseal_open(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                 uint8_t *room, struct unseal_opened *out);
/* Bytes of a record that are not plain ones, header included; of CBC about. */
size_t unseal_overhead(const struct unseal_seal *seal);

/* Of the two versions' files. */
bool unseal_open_12(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                    uint8_t *room, struct unseal_opened *out);
bool unseal_open_13(struct unseal_seal *seal, uint64_t seq, const uint8_t *record, size_t len,
                    uint8_t *room, struct unseal_opened *out);
struct unseal_sealed {
    const uint8_t *aad, *bytes; /* bytes: with the tag behind them */
    size_t aad_len, len;
};
/* An AEAD's turn: `len` less the tag bytes in out. */
bool unseal_aead(struct unseal_seal *seal, const uint8_t nonce[static 12],
                 const struct unseal_sealed *in, uint8_t *out);
/* Keys and algorithm into the seal. `mac_key` NULL: an AEAD. */
bool unseal_seal_start(struct unseal_algorithms *all, struct unseal_seal *seal,
                       const struct unseal_suite *suite, const uint8_t *key,
                       const uint8_t *mac_key);

#endif
