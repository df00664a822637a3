/* Access log operators of TLS: what both sides' handshakes agreed on, whose certificates they saw,
 * why they failed. The subject is a struct nu_chain; facts it lacks are absent ("-", null). What a
 * peer wrote is escaped behind us, by core/logfmt. Workers, once a connection. */
#include "tls/log_ops.h"

#include "core/chain.h"
#include "core/logfmt.h"
#include "core/logtime.h"

#include <stdatomic.h>

#define OP_ARGS struct nu_logbuf *out, const void *subject, const void *arg

/* Accessors make what is missing, so they want the chain writable. */
static const struct nu_facts *facts_of(const void *subject)
{
    return nu_chain_facts((struct nu_chain *)subject);
}

static const struct nu_facts_more *more_of(const void *subject)
{
    static const struct nu_facts_more none;
    const struct nu_facts_more *more = facts_of(subject)->more;
    return more ? more : &none;
}

static bool put_text(struct nu_logbuf *out, const char *text)
{
    if (!text || !*text)
        return false;
    nu_logbuf_str(out, text);
    return true;
}

/* By default as %START_TIME% is: ISO 8601 in UTC; 0 is no time at all. */
static bool put_time(struct nu_logbuf *out, const void *format, int64_t seconds)
{
    nu_logbuf_time_s(out, format, seconds);
    return seconds != 0;
}

static const struct nu_tls_facts *of_client(const void *subject)
{
    return facts_of(subject)->tls;
}

static const struct nu_tls_facts *of_server(const void *subject)
{
    return nu_facts_exchange(facts_of(subject))->upstream_tls;
}

/* --- one operator for each side --- */

#define OF_SIDE(side, slot, name, value)                                                           \
    static bool side##_##name(OP_ARGS)                                                             \
    {                                                                                              \
        const struct nu_tls_facts *tls = slot(subject);                                            \
        return tls && put_text(out, tls->value);                                                   \
    }
#define OF_CERT(side, slot, whose, name, value)                                                    \
    static bool side##_##whose##_##name(OP_ARGS)                                                   \
    {                                                                                              \
        const struct nu_tls_facts *tls = slot(subject);                                            \
        return tls && tls->whose && put_text(out, tls->whose->value);                              \
    }
#define OF_TIME(side, slot, name, value)                                                           \
    static bool side##_##name(OP_ARGS)                                                             \
    {                                                                                              \
        const struct nu_tls_facts *tls = slot(subject);                                            \
        return tls && tls->peer && put_time(out, arg, tls->peer->value);                           \
    }
#define OF_BOTH(side, slot)                                                                        \
    OF_SIDE(side, slot, version, version)                                                          \
    OF_SIDE(side, slot, cipher, cipher)                                                            \
    OF_SIDE(side, slot, group, group)                                                              \
    OF_SIDE(side, slot, alpn, alpn)                                                                \
    OF_SIDE(side, slot, session_id, session_id)                                                    \
    OF_CERT(side, slot, peer, subject, subject)                                                    \
    OF_CERT(side, slot, local, subject, subject)                                                   \
    OF_CERT(side, slot, peer, issuer, issuer)                                                      \
    OF_CERT(side, slot, peer, serial, serial)                                                      \
    OF_CERT(side, slot, peer, fingerprint, sha256)                                                 \
    OF_CERT(side, slot, peer, dns, dns)                                                            \
    OF_CERT(side, slot, local, dns, dns)                                                           \
    OF_CERT(side, slot, peer, uri, uri)                                                            \
    OF_CERT(side, slot, local, uri, uri)                                                           \
    OF_CERT(side, slot, peer, email, email)                                                        \
    OF_CERT(side, slot, local, email, email)                                                       \
    OF_CERT(side, slot, peer, ip, ip)                                                              \
    OF_CERT(side, slot, local, ip, ip)                                                             \
    OF_TIME(side, slot, start, not_before_s)                                                       \
    OF_TIME(side, slot, end, not_after_s)                                                          \
    static bool side##_resumed(OP_ARGS)                                                            \
    {                                                                                              \
        const struct nu_tls_facts *tls = slot(subject);                                            \
        return tls && put_text(out, tls->resumed ? "yes" : "no");                                  \
    }

OF_BOTH(client, of_client)
OF_BOTH(server, of_server)

static atomic_bool local_wanted;

static enum nu_err want_local(struct nu_arena *arena, const char *arg, const void **out,
                              const char **error)
{
    atomic_store_explicit(&local_wanted, true, memory_order_relaxed);
    *out = NULL;
    return NU_OK;
}

bool nu_tls_local_wanted(void)
{
    return atomic_load_explicit(&local_wanted, memory_order_relaxed);
}

/* --- of the ClientHello, and failures --- */

static bool ja3(OP_ARGS)
{
    return put_text(out, more_of(subject)->ja3);
}

static bool ja4(OP_ARGS)
{
    return put_text(out, more_of(subject)->ja4);
}

static bool failure(OP_ARGS)
{
    return put_text(out, more_of(subject)->tls_failure);
}

static bool upstream_failure(OP_ARGS)
{
    return put_text(out, more_of(subject)->upstream_tls_failure);
}

#define TEXT(name_, write_, doc_)                                                                  \
    {                                                                                              \
        .name = (name_), .doc = (doc_), .value = NU_LOG_TEXT, .write = (write_)                    \
    }
#define LOCAL(name_, write_, doc_)                                                                 \
    {                                                                                              \
        .name = (name_), .doc = (doc_), .value = NU_LOG_TEXT, .prepare = want_local,               \
        .write = (write_)                                                                          \
    }
#define TIME(name_, write_, doc_)                                                                  \
    {                                                                                              \
        .name = (name_), .doc = (doc_), .value = NU_LOG_TEXT, .arg = NU_LOG_ARG_OPTIONAL,          \
        .prepare = nu_logtime_prepare, .write = (write_)                                           \
    }
#define SIDE(PREFIX, side, peer, own)                                                              \
    TEXT(PREFIX "_TLS_VERSION", side##_version, "TLS version with the " peer ": `TLSv1.3`."),      \
        TEXT(PREFIX "_TLS_CIPHER", side##_cipher,                                                  \
             "Cipher suite with the " peer ", by OpenSSL's name."),                                \
        TEXT(PREFIX "_TLS_GROUP", side##_group, "Group of the key exchange with the " peer "."),   \
        TEXT(PREFIX "_TLS_ALPN", side##_alpn, "Protocol chosen by ALPN with the " peer "."),       \
        TEXT(PREFIX "_TLS_SESSION_ID", side##_session_id,                                          \
             "Id of the TLS session with the " peer ", hexadecimal."),                             \
        TEXT(PREFIX "_TLS_RESUMED", side##_resumed,                                                \
             "`yes` where a session with the " peer " was resumed, else `no`."),                   \
        TEXT(PREFIX "_PEER_SUBJECT", side##_peer_subject,                                          \
             "Subject of the " peer "'s certificate."),                                            \
        TEXT(PREFIX "_PEER_ISSUER", side##_peer_issuer, "Issuer of the " peer "'s certificate."),  \
        TEXT(PREFIX "_PEER_SERIAL", side##_peer_serial,                                            \
             "Serial number of the " peer "'s certificate, hexadecimal."),                         \
        TEXT(PREFIX "_PEER_FINGERPRINT_256", side##_peer_fingerprint,                              \
             "SHA-256 of the " peer "'s certificate, hexadecimal."),                               \
        TEXT(PREFIX "_PEER_DNS_SAN", side##_peer_dns,                                              \
             "Host names in the " peer "'s certificate, comma separated."),                        \
        TEXT(PREFIX "_PEER_URI_SAN", side##_peer_uri,                                              \
             "URIs in the " peer "'s certificate, comma separated."),                              \
        TEXT(PREFIX "_PEER_EMAIL_SAN", side##_peer_email,                                          \
             "Mail addresses in the " peer "'s certificate, comma separated."),                    \
        TEXT(PREFIX "_PEER_IP_SAN", side##_peer_ip,                                                \
             "IP addresses in the " peer "'s certificate, comma separated."),                      \
        TIME(PREFIX "_PEER_CERT_V_START", side##_start,                                            \
             "From when the " peer "'s certificate is valid; an argument is a strftime format, "   \
             "UTC."),                                                                              \
        TIME(PREFIX "_PEER_CERT_V_END", side##_end,                                                \
             "Until when the " peer "'s certificate is valid; the same."),                         \
        LOCAL(PREFIX "_LOCAL_SUBJECT", side##_local_subject,                                       \
              "Subject of the certificate that we showed the " peer own "."),                      \
        LOCAL(PREFIX "_LOCAL_DNS_SAN", side##_local_dns,                                           \
              "Host names in the certificate that we showed the " peer "."),                       \
        LOCAL(PREFIX "_LOCAL_URI_SAN", side##_local_uri,                                           \
              "URIs in the certificate that we showed the " peer "."),                             \
        LOCAL(PREFIX "_LOCAL_EMAIL_SAN", side##_local_email,                                       \
              "Mail addresses in the certificate that we showed the " peer "."),                   \
        LOCAL(PREFIX "_LOCAL_IP_SAN", side##_local_ip,                                             \
              "IP addresses in the certificate that we showed the " peer ".")

static const struct nu_log_op ops[] = {
    SIDE("DOWNSTREAM", client, "client", ""),
    SIDE("UPSTREAM", server, "server",
         "; absent where it asked for none, or a session was resumed"),
    TEXT("TLS_JA3_FINGERPRINT", ja3,
         "JA3 of the ClientHello, where TLS is terminated or a match needed the hello."),
    TEXT("TLS_JA4_FINGERPRINT", ja4, "JA4 of the ClientHello, in the same places."),
    TEXT("DOWNSTREAM_TRANSPORT_FAILURE_REASON", failure, "Why TLS with the client failed."),
    TEXT("UPSTREAM_TRANSPORT_FAILURE_REASON", upstream_failure,
         "Why TLS with a server failed, the last one that it failed with."),
};

void nu_log_ops_tls(void)
{
    nu_log_ops_register(ops, sizeof ops / sizeof *ops);
}
