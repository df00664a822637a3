/* I1: what is known about a connection, in typed slots, each written once by its owner before the
 * DATA it describes; read by matches, logs and filters. A chain opened for another one (a stream)
 * sees its parent's. */
#ifndef NU_CORE_FACTS_H
#define NU_CORE_FACTS_H

#include "core/addr.h"
#include "core/cause.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nu_arena;
struct nu_note;
struct nu_stream;

enum nu_transport { NU_TRANSPORT_UNKNOWN, NU_TRANSPORT_PLAIN, NU_TRANSPORT_TLS };
const char *nu_transport_str(enum nu_transport transport);

/* Slots that only sniffed, proxied or tunnelled connections fill; in the chain's arena. */
struct nu_facts_more {
    const char *sni;       /* lower case, NUL-terminated; NULL = none was sent */
    const char *alpn;      /* offered protocols, comma separated; NULL = none */
    struct nu_addr direct; /* the socket's peer, where a PROXY header named another client */
    struct nu_addr direct_local;
    const uint8_t *proxy_tlvs; /* as received */
    size_t proxy_tlv_len;
    const char *ja3, *ja4; /* of the ClientHello, where somebody wants them; NULL = nobody does */
    const char *tls_failure, *upstream_tls_failure; /* why a handshake or a record was refused */
    const char
        *connect_failure; /* why a server could not be connected to, the last time; or NULL */
    const char *upstream_failure; /* why the server's side broke when all was ready; or NULL */
    const struct nu_tcp_facts *tcp, *upstream_tcp; /* NULL = nobody wants them, or not over yet */
    struct nu_note *notes; /* of the layer above: what its filters keep with the connection */
    uint8_t transport;     /* enum nu_transport */
};

/* Bits of `wanted`: facts that cost something, so that they are made only if asked for. */
enum { NU_WANT_JA3 = 1, NU_WANT_JA4 = 2 };

/* Facts that some config of this process has asked for, ever: those of certificates, made with a
 * handshake, when nobody knows yet which filter will look. Any thread. */
enum {
    NU_WANT_LOCAL_CERT = 1, /* nu_tls_facts.local */
    NU_WANT_PEM = 2,        /* nu_tls_peer.pem and chain_pem */
};
void nu_facts_want(unsigned bits);
bool nu_facts_wanted(unsigned bit);

/* What the kernel measured of a connection by its end (TCP_INFO). */
struct nu_tcp_facts {
    uint32_t rtt_us, rtt_variance_us, min_rtt_us; /* 0 = never measured */
    uint32_t tx_segments, rx_segments, tx_retransmitted_segments;
    uint32_t congestion_window; /* segments */
    uint64_t delivery_rate;     /* bytes a second, the latest */
};

/* Who a certificate says its owner is; names of one kind are comma separated, "" = none. */
struct nu_tls_peer {
    const char *subject, *issuer; /* RFC 2253 */
    const char *serial;           /* hexadecimal, upper case */
    const char *sha256;           /* of the certificate, hexadecimal */
    const char *dns, *uri, *email, *ip;
    const char *pem, *chain_pem;       /* URL-encoded; NULL = too long, or nobody wants them */
    int64_t not_before_s, not_after_s; /* since the epoch */
    bool verified;
};

/* What one TLS connection agreed on. */
struct nu_tls_facts {
    const char *version; /* "TLSv1.3"; this and the next two are static */
    const char *cipher;  /* OpenSSL's name; so is the group's */
    const char *group;
    const char *alpn;                /* the chosen protocol, NULL = none */
    const char *sni;                 /* as sent in the ClientHello, NULL = none */
    const char *session_id;          /* hexadecimal, NULL = none */
    const struct nu_tls_peer *peer;  /* NULL = no certificate */
    const struct nu_tls_peer *local; /* what we showed; NULL also where nobody wants to know */
    bool resumed;
};
/* A copy that lives with the arena. */
struct nu_tls_facts *nu_tls_facts_copy(const struct nu_tls_facts *from, struct nu_arena *arena);

/* What becomes of what a client wants: kept beside the chains that ask a server for it. */
struct nu_facts_exchange {
    struct nu_stream *stream; /* of the layer above: the request, in its own chain */
    const char *cluster;      /* name of the chosen cluster */
    const struct nu_addr
        *upstream; /* the endpoint; pinned by who set it until the chain is closed */
    const char
        *upstream_host; /* the name that it was found by, without port; NULL = by its address */
    struct nu_tls_facts *upstream_tls; /* NULL = not by us, or not done */
    const char *offer_alpn; /* what a connection to it is to offer, comma separated, while it
                               is opened; NULL = as its config says */
    uint64_t bytes_in;      /* from the client, set at the end */
    uint64_t bytes_out;     /* to the client */
    uint32_t connect_ms;    /* time to a ready leg, plus 1; 0 = never */
    uint16_t attempts;      /* endpoints tried */
};

/* Allocated once for a client's connection, beside its chain: what a connection that waits for
 * nothing needs, and no more. */
struct nu_facts {
    struct nu_addr client; /* who the client is: the PROXY header's word, else the socket's */
    struct nu_addr local;  /* where it meant to go */
    struct nu_facts_more *more;
    struct nu_facts_exchange *exchange; /* NULL = none of it is known */
    struct nu_tls_facts *tls;           /* NULL = not by us, or not done */
    uint64_t id;                        /* unique in the process */
    int64_t start_us;                   /* wall clock, microseconds since the epoch */
    int64_t start_ms;                   /* the loop's clock */
    const char *listener;               /* name; pinned with the chain's config */
    const char *chain;                  /* name of the chosen chain */
    uint16_t bound_port; /* of the listening socket; other than local's where a rule redirected */
    uint8_t wanted;      /* NU_WANT_*: by the log of the chosen chain */
};

/* What is known of it, for readers: never NULL. nu_chain_facts_exchange is for writers. */
const struct nu_facts_exchange *nu_facts_exchange(const struct nu_facts *facts);

#endif
