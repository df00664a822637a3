/* What both roles may set of the protocol itself: versions, ciphers, groups, signatures, ALPN. The
 * rows of a schema, their checks, and how they are put into an SSL_CTX. Inside of tls/; main
 * thread. */
#ifndef NU_TLS_PARAMS_H
#define NU_TLS_PARAMS_H

#include "core/conf/schema.h"
#include "tls/problem.h"

#include <openssl/ssl.h>

/* OpenSSL's: 112 bits, so RSA from 2048, no SHA-1 in signatures; whatever the system says. */
#define TLS_SECURITY_LEVEL 2

/* Filled by the schema; the texts below the line by tls_params_check. */
struct tls_params {
    int min, max;                                               /* index into tls_version_names */
    struct nu_vec ciphers, ciphersuites, groups, sigalgs, alpn; /* const char * */
    int64_t handshake_timeout_ms;

    const char *cipher_list, *suite_list, *group_list, *sigalg_list; /* as OpenSSL wants them */
    unsigned char *alpn_wire; /* length-prefixed (RFC 7301 3.1); NULL = none */
    unsigned alpn_len;
    bool alpn_lenient; /* server: who offers only others goes without */
};

extern const char *const tls_version_names[];
nu_parse_fn tls_parse_cipher, tls_parse_suite, tls_parse_group, tls_parse_sigalg, tls_parse_alpn;

#define TLS_DEFAULT_CIPHERS                                                                        \
    "[ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-AES128-GCM-SHA256, "                                \
    "ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-RSA-AES256-GCM-SHA384, "                                 \
    "ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-RSA-CHACHA20-POLY1305]"
#define TLS_DEFAULT_SUITES                                                                         \
    "[TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256]"
#define TLS_DEFAULT_GROUPS "[X25519, P-256, P-384]"

#define TLS_NAMES_ROW(type_, member_, key_, parse_, fallback_, shown_, doc_)                       \
    {                                                                                              \
        .key = (key_), .type = NU_CUSTOM, .flags = NU_LIST | NU_NONEMPTY,                          \
        .offset = offsetof(type_, params.member_), .fallback = (fallback_), .parse = (parse_),     \
        .item = sizeof(char *), .shown = (shown_), .doc = (doc_)                                   \
    }

/* The rows, for a struct with a member `params`. */
#define TLS_PARAM_ROWS(type_, alpn_doc_)                                                           \
    TLS_NAMES_ROW(type_, alpn, "alpn", tls_parse_alpn, NULL, "protocols", alpn_doc_),              \
        {.key = "min_version",                                                                     \
         .type = NU_ENUM,                                                                          \
         .offset = offsetof(type_, params.min),                                                    \
         .fallback = "1.2",                                                                        \
         .choices = tls_version_names,                                                             \
         .doc = "The oldest TLS version that is spoken."},                                         \
        {.key = "max_version",                                                                     \
         .type = NU_ENUM,                                                                          \
         .offset = offsetof(type_, params.max),                                                    \
         .fallback = "1.3",                                                                        \
         .choices = tls_version_names,                                                             \
         .doc = "The newest one."},                                                                \
        TLS_NAMES_ROW(type_, ciphers, "ciphers", tls_parse_cipher, TLS_DEFAULT_CIPHERS,            \
                      "names, the best first",                                                     \
                      "Ciphers of TLS 1.2 by OpenSSL's names, also several in one text with "      \
                      "colons between."),                                                          \
        TLS_NAMES_ROW(type_, ciphersuites, "ciphersuites", tls_parse_suite, TLS_DEFAULT_SUITES,    \
                      "names, the best first", "Cipher suites of TLS 1.3."),                       \
        TLS_NAMES_ROW(type_, groups, "groups", tls_parse_group, TLS_DEFAULT_GROUPS,                \
                      "names, the best first", "Groups for the key exchange."),                    \
        TLS_NAMES_ROW(type_, sigalgs, "sigalgs", tls_parse_sigalg, NULL, "names, the best first",  \
                      "Signature algorithms, of ours and of what the other side signs. Default: "  \
                      "OpenSSL's, ECDSA before RSA."),                                             \
    {                                                                                              \
        .key = "handshake_timeout", .type = NU_DURATION,                                           \
        .offset = offsetof(type_, params.handshake_timeout_ms), .fallback = "10s",                 \
        .doc = "For the handshake to be done; then the connection is closed. 0 = none."            \
    }

/* Puts one protocol where none was written. */
void tls_params_default_alpn(struct tls_params *params, struct nu_arena *arena,
                             const char *protocol);
/* Checks across the keys, and derives the texts. */
enum nu_err tls_params_check(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, struct tls_params *params);
/* An SSL_CTX of this method with all of it set; the caller frees it. */
SSL_CTX *tls_params_ctx(const struct tls_params *params, const SSL_METHOD *method);

#endif
