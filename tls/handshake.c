/* The handshake of a TLS filter: driving it, and what is known, counted and let go once it is done.
 * Also the rules for messages of control, of which OpenSSL takes any number. */
#include "tls/filter_priv.h"

#include "core/assert.h"
#include "tls/log_ops.h"
#include "tls/peer.h"

#include <openssl/err.h>

/* --- what OpenSSL tells of messages --- */

static void refill(struct tls *t)
{
    int64_t now = nu_filter_loop(&t->filter)->now_ms;
    int64_t more = (now - t->refilled_ms) / TLS_CONTROL_REFILL_MS;
    t->refilled_ms += more * TLS_CONTROL_REFILL_MS;
    t->control =
        (uint16_t)(t->control + more < TLS_CONTROL_BURST ? t->control + more : TLS_CONTROL_BURST);
}

/* One that came after the handshake. Past the cap nothing more is read. */
static void spend_control(struct tls *t)
{
    refill(t);
    if (t->control == 0)
        t->wire.closed = true;
    else
        t->control--;
}

/* Our own certificate goes out, or word that there is none: a list of length 0 (RFC 8446 4.4.2, RFC
 * 5246 7.4.6). */
static bool shows_certificate(int type, const uint8_t *message, size_t len)
{
    static const size_t empty = 4 + 1 + 3; /* head, context of TLS 1.3, length of the list */
    return type == SSL3_RT_HANDSHAKE && len > empty && message[0] == SSL3_MT_CERTIFICATE;
}

static void on_message(int outgoing, int version, int type, const void *bytes, size_t len, SSL *ssl,
                       void *ctx)
{
    if (type != SSL3_RT_ALERT && type != SSL3_RT_HANDSHAKE) /* most are heads of records */
        return;
    struct tls *t = tls_of(nu_tls_conn_of(ssl)->filter);
    const uint8_t *b = bytes;
    if (type == SSL3_RT_ALERT && len == 2) {
        if (outgoing)
            t->alert_out = b[1];
        else
            t->alert_in = b[1];
    }
    t->conn.shown = t->conn.shown || (outgoing && shows_certificate(type, b, len));
    if (t->state == TLS_HANDSHAKE)
        return;
    /* Every attempt to renegotiate is refused by a warning of ours. */
    if ((type == SSL3_RT_HANDSHAKE && !outgoing) ||
        (type == SSL3_RT_ALERT && outgoing && len == 2 && b[1] == SSL_AD_NO_RENEGOTIATION))
        spend_control(t);
}

/* --- once it is done --- */

static const char *alpn_chosen(struct tls *t)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(t->conn.ssl, &name, &len);
    return len ? nu_arena_strndup(nu_chain_arena(t->filter.chain), (const char *)name, len) : NULL;
}

static const char *session_id(struct tls *t)
{
    static const char digits[] = "0123456789abcdef";
    unsigned len;
    const unsigned char *id = SSL_SESSION_get_id(SSL_get_session(t->conn.ssl), &len);
    if (len == 0)
        return NULL;
    char *text = nu_arena_alloc(nu_chain_arena(t->filter.chain), 2 * len + 1);
    for (unsigned i = 0; i < len; i++) {
        text[2 * i] = digits[id[i] >> 4];
        text[2 * i + 1] = digits[id[i] & 15];
    }
    return text;
}

static const char *group_name(SSL *ssl)
{
    long group = SSL_get_negotiated_group(ssl);
    return group > 0 ? SSL_group_to_name(ssl, (int)group) : NULL;
}

static const struct nu_tls_peer *peer_facts(SSL *ssl, X509 *cert, struct nu_arena *arena)
{
    struct nu_tls_peer *peer =
        nu_tls_peer_new(cert, SSL_get_verify_result(ssl) == X509_V_OK, arena);
    if (nu_facts_wanted(NU_WANT_PEM))
        nu_tls_peer_pem(peer, cert, SSL_get_peer_cert_chain(ssl), arena);
    return peer;
}

static void write_facts(struct tls *t)
{
    SSL *ssl = t->conn.ssl;
    struct nu_arena *arena = nu_chain_arena(t->filter.chain);
    struct nu_tls_facts *facts = nu_arena_alloc(arena, sizeof *facts);
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct nu_facts_more *more = nu_chain_facts(t->filter.chain)->more;
    X509 *peer = SSL_get0_peer_certificate(ssl);
    *facts = (struct nu_tls_facts){
        .version = SSL_get_version(ssl),
        .cipher = SSL_get_cipher_name(ssl),
        .group = group_name(ssl),
        .alpn = alpn_chosen(t),
        .sni = more && more->sni ? more->sni
               : sni             ? nu_arena_strdup(arena, sni)
                                 : NULL,
        .session_id = session_id(t),
        .resumed = SSL_session_reused(ssl),
    };
    if (peer)
        facts->peer = peer_facts(ssl, peer, arena);
    if ((nu_tls_local_wanted() || nu_facts_wanted(NU_WANT_LOCAL_CERT)) &&
        (tls_is_server(t) || t->conn.shown))
        facts->local = nu_tls_peer_new(nu_tls_context_own(&t->conn), true, arena);
    nu_chain_facts(t->filter.chain)->tls = facts;
}

static void count_done(struct tls *t)
{
    struct nu_loop *loop = nu_filter_loop(&t->filter);
    struct nu_stats *stats = t->conn.context->stats;
    tls_count(t, NU_TLS_HANDSHAKE);
    nu_stat_record(stats, loop->shard, NU_TLS_HANDSHAKE_MS, (uint64_t)(loop->now_ms - t->start_ms));
    if (SSL_session_reused(t->conn.ssl))
        tls_count(t, NU_TLS_SESSION_REUSED);
    if (!SSL_get0_peer_certificate(t->conn.ssl))
        tls_count(t, NU_TLS_NO_CERTIFICATE);
    nu_tls_count_agreed(stats, loop->shard, t->conn.ssl);
}

static void done(struct tls *t)
{
    nu_timer_stop(&t->filter, TLS_TIMER_HANDSHAKE);
    write_facts(t);
    count_done(t);
    tls_set_state(t, TLS_OPEN);
    nu_release(&t->filter, tls_outdir(t));
}

/* --- driving it --- */

static bool make_ssl(struct tls *t)
{
    t->conn.ssl = nu_tls_context_ssl(t->conn.context, &t->conn);
    if (!t->conn.ssl) {
        tls_refuse(t, NU_CAUSE_INTERNAL, "no memory for TLS");
        return false;
    }
    tls_bio_attach(t->conn.ssl);
    SSL_set_msg_callback(t->conn.ssl, on_message);
    return true;
}

static bool prepared(struct tls *t)
{
    if (tls_is_server(t) && !tls_hello_watch(t))
        return false;
    if (!t->conn.ssl && !make_ssl(t))
        return false;
    if (t->wire_in <= TLS_HANDSHAKE_MAX_BYTES)
        return true;
    tls_refuse(t, tls_is_server(t) ? NU_CAUSE_TLS_FAILED : NU_CAUSE_UPSTREAM_TLS_FAILED,
               "a handshake of over 256 KiB");
    return false;
}

bool tls_shake(struct tls *t)
{
    if (!prepared(t))
        return false;
    ERR_clear_error();            /* what it says is told as the cause */
    tls_enter(t, NU_BLOCK_SMALL); /* a chain of certificates */
    int answer = SSL_do_handshake(t->conn.ssl);
    int error = answer > 0 ? SSL_ERROR_NONE : SSL_get_error(t->conn.ssl, answer);
    tls_leave(t);
    if (nu_chain_ended(t->filter.chain) || error == SSL_ERROR_WANT_READ)
        return false;
    if (error != SSL_ERROR_NONE) {
        tls_broken(t);
        return false;
    }
    done(t);
    return true;
}
