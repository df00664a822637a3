/* The figures `ssl.*` of a listener or cluster, by Envoy's names. Which versions, ciphers, groups
 * and signature algorithms there are is a table here, so that no peer can make up a name; what is
 * not in it counts as `other`. Counted by the filter on its worker; some by the context on main. */
#ifndef NU_TLS_STATS_H
#define NU_TLS_STATS_H

#include "core/stats.h"
#include "tls/context.h"

/* Protocol version, name. */
#define NU_TLS_VERSIONS(X)                                                                         \
    X(V10, 0x0301, "TLSv1")                                                                        \
    X(V11, 0x0302, "TLSv1.1")                                                                      \
    X(V12, 0x0303, "TLSv1.2")                                                                      \
    X(V13, 0x0304, "TLSv1.3")

/* Number in the IANA registry, OpenSSL's name. */
#define NU_TLS_CIPHERS(X)                                                                          \
    X(AES128_GCM, 0x1301, "TLS_AES_128_GCM_SHA256")                                                \
    X(AES256_GCM, 0x1302, "TLS_AES_256_GCM_SHA384")                                                \
    X(CHACHA20, 0x1303, "TLS_CHACHA20_POLY1305_SHA256")                                            \
    X(AES128_CCM, 0x1304, "TLS_AES_128_CCM_SHA256")                                                \
    X(AES128_CCM8, 0x1305, "TLS_AES_128_CCM_8_SHA256")                                             \
    X(ECDSA_AES128_GCM, 0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256")                                   \
    X(ECDSA_AES256_GCM, 0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384")                                   \
    X(ECDSA_CHACHA20, 0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305")                                     \
    X(ECDSA_AES128_SHA, 0xc009, "ECDHE-ECDSA-AES128-SHA")                                          \
    X(ECDSA_AES256_SHA, 0xc00a, "ECDHE-ECDSA-AES256-SHA")                                          \
    X(ECDSA_AES128_SHA256, 0xc023, "ECDHE-ECDSA-AES128-SHA256")                                    \
    X(ECDSA_AES256_SHA384, 0xc024, "ECDHE-ECDSA-AES256-SHA384")                                    \
    X(RSA_AES128_GCM, 0xc02f, "ECDHE-RSA-AES128-GCM-SHA256")                                       \
    X(RSA_AES256_GCM, 0xc030, "ECDHE-RSA-AES256-GCM-SHA384")                                       \
    X(RSA_CHACHA20, 0xcca8, "ECDHE-RSA-CHACHA20-POLY1305")                                         \
    X(RSA_AES128_SHA, 0xc013, "ECDHE-RSA-AES128-SHA")                                              \
    X(RSA_AES256_SHA, 0xc014, "ECDHE-RSA-AES256-SHA")                                              \
    X(RSA_AES128_SHA256, 0xc027, "ECDHE-RSA-AES128-SHA256")                                        \
    X(RSA_AES256_SHA384, 0xc028, "ECDHE-RSA-AES256-SHA384")                                        \
    X(DHE_AES128_GCM, 0x009e, "DHE-RSA-AES128-GCM-SHA256")                                         \
    X(DHE_AES256_GCM, 0x009f, "DHE-RSA-AES256-GCM-SHA384")                                         \
    X(PLAIN_AES128_GCM, 0x009c, "AES128-GCM-SHA256")                                               \
    X(PLAIN_AES256_GCM, 0x009d, "AES256-GCM-SHA384")                                               \
    X(PLAIN_AES128_SHA, 0x002f, "AES128-SHA")                                                      \
    X(PLAIN_AES256_SHA, 0x0035, "AES256-SHA")

/* OpenSSL's NID, name. */
#define NU_TLS_CURVES(X)                                                                           \
    X(X25519, NID_X25519, "X25519")                                                                \
    X(P256, NID_X9_62_prime256v1, "P-256")                                                         \
    X(P384, NID_secp384r1, "P-384")                                                                \
    X(P521, NID_secp521r1, "P-521")                                                                \
    X(X448, NID_X448, "X448")                                                                      \
    X(FFDHE2048, NID_ffdhe2048, "ffdhe2048")                                                       \
    X(FFDHE3072, NID_ffdhe3072, "ffdhe3072")                                                       \
    X(FFDHE4096, NID_ffdhe4096, "ffdhe4096")

/* NIDs of key type and hash (low half), name. */
#define NU_TLS_SIGALG_NIDS(type, hash) ((uint32_t)(type) << 16 | (uint32_t)(hash))
#define NU_TLS_SIGALGS(X)                                                                          \
    X(ECDSA_P256, NU_TLS_SIGALG_NIDS(NID_X9_62_id_ecPublicKey, NID_sha256),                        \
      "ecdsa_secp256r1_sha256")                                                                    \
    X(ECDSA_P384, NU_TLS_SIGALG_NIDS(NID_X9_62_id_ecPublicKey, NID_sha384),                        \
      "ecdsa_secp384r1_sha384")                                                                    \
    X(ECDSA_P521, NU_TLS_SIGALG_NIDS(NID_X9_62_id_ecPublicKey, NID_sha512),                        \
      "ecdsa_secp521r1_sha512")                                                                    \
    X(PSS_SHA256, NU_TLS_SIGALG_NIDS(NID_rsassaPss, NID_sha256), "rsa_pss_rsae_sha256")            \
    X(PSS_SHA384, NU_TLS_SIGALG_NIDS(NID_rsassaPss, NID_sha384), "rsa_pss_rsae_sha384")            \
    X(PSS_SHA512, NU_TLS_SIGALG_NIDS(NID_rsassaPss, NID_sha512), "rsa_pss_rsae_sha512")            \
    X(PKCS1_SHA256, NU_TLS_SIGALG_NIDS(NID_rsaEncryption, NID_sha256), "rsa_pkcs1_sha256")         \
    X(PKCS1_SHA384, NU_TLS_SIGALG_NIDS(NID_rsaEncryption, NID_sha384), "rsa_pkcs1_sha384")         \
    X(PKCS1_SHA512, NU_TLS_SIGALG_NIDS(NID_rsaEncryption, NID_sha512), "rsa_pkcs1_sha512")         \
    X(PKCS1_SHA1, NU_TLS_SIGALG_NIDS(NID_rsaEncryption, NID_sha1), "rsa_pkcs1_sha1")               \
    X(ED25519, NU_TLS_SIGALG_NIDS(NID_ED25519, NID_undef), "ed25519")                              \
    X(ED448, NU_TLS_SIGALG_NIDS(NID_ED448, NID_undef), "ed448")

enum nu_tls_stat {
    NU_TLS_HANDSHAKE,
    NU_TLS_HANDSHAKE_MS,
    NU_TLS_CONNECTION_ERROR,
    NU_TLS_SESSION_REUSED,
    NU_TLS_NO_CERTIFICATE,
    NU_TLS_FAIL_VERIFY_NO_CERT,
    NU_TLS_FAIL_VERIFY_ERROR,
    NU_TLS_FAIL_VERIFY_SAN,
    NU_TLS_FAIL_VERIFY_CERT_HASH,
    NU_TLS_TRUNCATED,
    NU_TLS_OCSP_STAPLED,
    NU_TLS_OCSP_OMITTED,
    NU_TLS_UPDATE_SUCCESS,
    NU_TLS_UPDATE_FAILURE,
#define NU_TLS_STAT_VERSION(id, number, name) NU_TLS_VERSION_##id,
#define NU_TLS_STAT_CIPHER(id, number, name)  NU_TLS_CIPHER_##id,
#define NU_TLS_STAT_CURVE(id, number, name)   NU_TLS_CURVE_##id,
#define NU_TLS_STAT_SIGALG(id, number, name)  NU_TLS_SIGALG_##id,
    NU_TLS_VERSIONS(NU_TLS_STAT_VERSION) /**/
    NU_TLS_CIPHERS(NU_TLS_STAT_CIPHER)   /**/
    NU_TLS_CIPHER_OTHER,
    NU_TLS_CURVES(NU_TLS_STAT_CURVE) /**/
    NU_TLS_CURVE_OTHER,
    NU_TLS_SIGALGS(NU_TLS_STAT_SIGALG) /**/
    NU_TLS_SIGALG_OTHER,
#undef NU_TLS_STAT_VERSION
#undef NU_TLS_STAT_CIPHER
#undef NU_TLS_STAT_CURVE
#undef NU_TLS_STAT_SIGALG
    NU_TLS_STAT_COUNT
};

/* "listener.<name>.ssl" and "cluster.<name>.ssl". */
extern const struct nu_stat_group nu_tls_listener_stats, nu_tls_cluster_stats;

/* The set of the listener (server) or cluster (client) of that name, one more reference; drop it
 * with nu_stats_put. Never NULL. */
struct nu_stats *nu_tls_stats_get(enum nu_tls_role role, const char *name);

/* Counts what a finished handshake agreed on. On the SSL's worker. */
void nu_tls_count_agreed(struct nu_stats *stats, unsigned shard, SSL *ssl);

#endif
