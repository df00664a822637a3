/* The table of `ssl.*` figures; see stats.h. */
#include "tls/stats.h"

#include "core/assert.h"

#include <openssl/obj_mac.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNTER(name, doc)                                                                         \
    {                                                                                              \
        name, NU_COUNTER, NULL, doc                                                                \
    }
#define VERSION(id, number, name)                                                                  \
    [NU_TLS_VERSION_##id] = COUNTER("versions." name, "Handshakes with " name),
#define CIPHER(id, number, name)                                                                   \
    [NU_TLS_CIPHER_##id] = COUNTER("ciphers." name, "Handshakes with " name),
#define CURVE(id, number, name)                                                                    \
    [NU_TLS_CURVE_##id] = COUNTER("curves." name, "Handshakes with a key exchange over " name),
#define SIGALG(id, number, name)                                                                   \
    [NU_TLS_SIGALG_##id] = COUNTER("sigalgs." name, "Handshakes where the peer signed by " name),

static const struct nu_stat_def defs[NU_TLS_STAT_COUNT] = {
    [NU_TLS_HANDSHAKE] = COUNTER("handshake", "Handshakes done, resumed ones too"),
    [NU_TLS_HANDSHAKE_MS] = {"handshake_ms", NU_HISTOGRAM, "ms",
                             "Time from the connection's begin to the handshake's end"},
    [NU_TLS_CONNECTION_ERROR] =
        COUNTER("connection_error",
                "Connections that failed in TLS, but for certificates that were refused"),
    [NU_TLS_SESSION_REUSED] = COUNTER("session_reused", "Handshakes that resumed a session"),
    [NU_TLS_NO_CERTIFICATE] =
        COUNTER("no_certificate", "Handshakes done in which the peer sent no certificate"),
    [NU_TLS_FAIL_VERIFY_NO_CERT] =
        COUNTER("fail_verify_no_cert", "Failed: a certificate is required, and none was sent"),
    [NU_TLS_FAIL_VERIFY_ERROR] = COUNTER(
        "fail_verify_error", "Failed: chain, dates, revocation or usage of the certificate"),
    [NU_TLS_FAIL_VERIFY_SAN] =
        COUNTER("fail_verify_san", "Failed: no name in the certificate is the wanted one"),
    [NU_TLS_FAIL_VERIFY_CERT_HASH] =
        COUNTER("fail_verify_cert_hash", "Failed: the certificate's hash is not an allowed one"),
    [NU_TLS_TRUNCATED] =
        COUNTER("truncated", "Connections that the peer ended without close_notify"),
    [NU_TLS_OCSP_STAPLED] = COUNTER("ocsp_staple_responses", "Handshakes with an OCSP response"),
    [NU_TLS_OCSP_OMITTED] =
        COUNTER("ocsp_staple_omitted", "Handshakes that asked for an OCSP response and got none"),
    [NU_TLS_UPDATE_SUCCESS] =
        COUNTER("context_update_success", "Times changed credential files were taken over"),
    [NU_TLS_UPDATE_FAILURE] =
        COUNTER("context_update_failure",
                "Times changed credential files were refused; the old ones serve on"),
    NU_TLS_VERSIONS(VERSION)  /**/
    NU_TLS_CIPHERS(CIPHER)  /**/
        [NU_TLS_CIPHER_OTHER] = COUNTER("ciphers.other", "Handshakes with another cipher"),
    NU_TLS_CURVES(CURVE)  /**/
        [NU_TLS_CURVE_OTHER] = COUNTER("curves.other", "Handshakes with another group"),
    NU_TLS_SIGALGS(SIGALG)  /**/
        [NU_TLS_SIGALG_OTHER] =
            COUNTER("sigalgs.other", "Handshakes where the peer signed by something else"),
};

const struct nu_stat_group nu_tls_listener_stats =
    NU_STAT_GROUP("listener.<name>.ssl", "TLS of a listener's clients.", defs);
const struct nu_stat_group nu_tls_cluster_stats =
    NU_STAT_GROUP("cluster.<name>.ssl", "TLS to a cluster's endpoints.", defs);

struct nu_stats *nu_tls_stats_get(enum nu_tls_role role, const char *name)
{
    bool server = role == NU_TLS_SERVER;
    char *prefix;
    int n = asprintf(&prefix, "%s.%s.ssl", server ? "listener" : "cluster", name);
    nu_assert(n > 0);
    struct nu_stats *set =
        nu_stats_get(server ? &nu_tls_listener_stats : &nu_tls_cluster_stats, prefix);
    free(prefix);
    return set;
}

struct row {
    uint32_t number;
    enum nu_tls_stat stat;
};

#define VERSION_ROW(id, number, name) {number, NU_TLS_VERSION_##id},
#define CIPHER_ROW(id, number, name)  {number, NU_TLS_CIPHER_##id},
#define CURVE_ROW(id, number, name)   {number, NU_TLS_CURVE_##id},
#define SIGALG_ROW(id, number, name)  {number, NU_TLS_SIGALG_##id},

static const struct row versions[] = {
    NU_TLS_VERSIONS(VERSION_ROW){0, NU_TLS_STAT_COUNT}
};
static const struct row ciphers[] = {
    NU_TLS_CIPHERS(CIPHER_ROW){0, NU_TLS_CIPHER_OTHER}
};
static const struct row curves[] = {
    NU_TLS_CURVES(CURVE_ROW){0, NU_TLS_CURVE_OTHER}
};
static const struct row sigalgs[] = {
    NU_TLS_SIGALGS(SIGALG_ROW){0, NU_TLS_SIGALG_OTHER}
};

/* The last row, of number 0, is for all others. */
static void count_row(struct nu_stats *stats, unsigned shard, const struct row *row,
                      uint32_t number)
{
    while (row->number && row->number != number)
        row++;
    if (row->stat < NU_TLS_STAT_COUNT)
        nu_stat_add(stats, shard, row->stat, 1);
}

void nu_tls_count_agreed(struct nu_stats *stats, unsigned shard, SSL *ssl)
{
    int hash = 0, type = 0;
    long curve = SSL_get_negotiated_group(ssl);
    count_row(stats, shard, versions, (uint32_t)SSL_version(ssl));
    count_row(stats, shard, ciphers, SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)));
    if (curve > 0)
        count_row(stats, shard, curves, (uint32_t)curve);
    if (SSL_get_peer_signature_type_nid(ssl, &type) == 1 && type != NID_undef) {
        SSL_get_peer_signature_nid(ssl, &hash);
        count_row(stats, shard, sigalgs, NU_TLS_SIGALG_NIDS(type, hash));
    }
}
