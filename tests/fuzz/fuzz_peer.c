/* A peer's certificate (DER) as facts, and against allowed names. Whatever is in it, the facts are
 * printable and bounded. */
#include "core/assert.h"
#include "tls/allow.h"
#include "tls/peer.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void judge(const char *text, size_t most)
{
    nu_assert(text && strlen(text) <= most);
    for (; *text; text++)
        nu_assert(*text >= ' ' && *text < 0x7f);
}

static void judge_pem(struct nu_tls_peer *peer, X509 *cert, struct nu_arena *arena)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    nu_assert(chain && sk_X509_push(chain, cert) == 1);
    nu_tls_peer_pem(peer, cert, chain, arena);
    if (peer->pem)
        judge(peer->pem, 3 * NU_TLS_PEER_PEM_MAX);
    nu_assert(!peer->pem == !peer->chain_pem);
    sk_X509_free(chain);
}

static void judge_peer(X509 *cert)
{
    struct nu_arena *arena = nu_arena_new(4096);
    struct nu_tls_peer *peer = nu_tls_peer_new(cert, false, arena);
    judge_pem(peer, cert, arena);
    judge(peer->subject, NU_TLS_PEER_NAME_MAX);
    judge(peer->issuer, NU_TLS_PEER_NAME_MAX);
    judge(peer->serial, 128);
    judge(peer->sha256, 64);
    judge(peer->dns, NU_TLS_PEER_NAMES_MAX);
    judge(peer->uri, NU_TLS_PEER_NAMES_MAX);
    judge(peer->email, NU_TLS_PEER_NAMES_MAX);
    judge(peer->ip, NU_TLS_PEER_NAMES_MAX);
    nu_arena_free(arena);
}

static void judge_names(X509 *cert)
{
    struct tls_san dns[] = {
        {.kind = TLS_NAME_DNS, .pattern = "*.svc"}
    };
    struct tls_san uri[] = {
        {.kind = TLS_NAME_URI, .pattern = "spiffe://mesh/ns/*/web"}
    };
    struct tls_hash none = {{0}};
    struct tls_allow allow = {
        .dns = {dns,   1},
        .uri = {uri,   1},
        .spki = {&none, 1},
    };
    tls_allow_name(&allow, cert);
    nu_assert(!tls_allow_hash(&allow, cert));
    tls_server_is_host(cert, "a.test");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const unsigned char *at = data;
    X509 *cert = len <= 65536 ? d2i_X509(NULL, &at, (long)len) : NULL;
    if (!cert)
        return 0;
    judge_peer(cert);
    judge_names(cert);
    X509_free(cert);
    return 0;
}
