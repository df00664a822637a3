/* How a TLS connection fails: one cause, one counter, one log line, and the alert on its way before
 * the chain ends. */
#include "tls/filter_priv.h"

#include "core/assert.h"
#include "core/log.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define ALERT_TEXT_MAX 16 /* bytes: "number 255" */

const char *nu_tls_refusal_str(enum nu_tls_refusal refusal)
{
    static const char *const names[] = {"none", "no certificate", "certificate", "san", "hash"};
    nu_assert((unsigned)refusal < sizeof names / sizeof *names);
    return names[refusal];
}

/* What a refusal of a peer's certificate is to the log and to the figures: client's, endpoint's. */
static const struct {
    enum nu_cause cause[2];
    enum nu_tls_stat stat;
} refusals[NU_TLS_REFUSED_COUNT] = {
    [NU_TLS_REFUSED_NOT] = {{NU_CAUSE_TLS_FAILED, NU_CAUSE_UPSTREAM_TLS_FAILED},
                            NU_TLS_CONNECTION_ERROR     },
    [NU_TLS_REFUSED_NO_CERT] = {{NU_CAUSE_TLS_NO_CERT, NU_CAUSE_UPSTREAM_BAD_CERT},
                            NU_TLS_FAIL_VERIFY_NO_CERT  },
    [NU_TLS_REFUSED_CERT] = {{NU_CAUSE_TLS_BAD_CERT, NU_CAUSE_UPSTREAM_BAD_CERT},
                            NU_TLS_FAIL_VERIFY_ERROR    },
    [NU_TLS_REFUSED_SAN] = {{NU_CAUSE_TLS_DENIED, NU_CAUSE_UPSTREAM_BAD_CERT},
                            NU_TLS_FAIL_VERIFY_SAN      },
    [NU_TLS_REFUSED_HASH] = {{NU_CAUSE_TLS_DENIED, NU_CAUSE_UPSTREAM_BAD_CERT},
                            NU_TLS_FAIL_VERIFY_CERT_HASH},
};

/* As OpenSSL words them; two that RFC 8446 (6) added it does not know. */
static const char *alert_name(uint8_t alert, char text[static ALERT_TEXT_MAX])
{
    const char *known = SSL_alert_desc_string_long(alert);
    if (alert == TLS_NO_ALERT)
        return "-";
    if (alert == TLS13_AD_MISSING_EXTENSION)
        return "missing extension";
    if (alert == TLS13_AD_CERTIFICATE_REQUIRED)
        return "certificate required";
    if (strcmp(known, "unknown") != 0)
        return known;
    snprintf(text, ALERT_TEXT_MAX, "number %u", alert);
    return text;
}

/* One line for each failure: what a reader needs to tell a scanner from a broken client. */
static void log_failure(const struct tls *t, enum nu_cause cause, const char *details)
{
    const struct nu_facts *facts = nu_chain_facts(t->filter.chain);
    char addr[NU_ADDR_TEXT_MAX], why[NU_LOG_QUOTE_MAX], sni[NU_LOG_QUOTE_MAX];
    char alpn[NU_LOG_QUOTE_MAX], owner[NU_LOG_QUOTE_MAX], sent[64], received[64], line[2048];
    char number[2][ALERT_TEXT_MAX];
    const struct nu_addr none = {0}, *upstream = nu_facts_exchange(facts)->upstream;
    bool server = tls_is_server(t);
    nu_addr_str(server ? &facts->client : upstream ? upstream : &none, addr);
    const char *name = facts->more ? facts->more->sni : NULL;
    if (!server && t->conn.ssl)
        name = SSL_get_servername(t->conn.ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(line, sizeof line,
             "owner=%s peer=%s cause=%s reason=%s sni=%s alpn=%s alert_sent=%s alert_received=%s "
             "bytes_in=%llu bytes_out=%llu",
             nu_log_quote(owner, sizeof owner, t->conn.context->owner), addr, nu_cause_str(cause),
             nu_log_quote(why, sizeof why, details), nu_log_quote(sni, sizeof sni, name),
             nu_log_quote(alpn, sizeof alpn, server && facts->more ? facts->more->alpn : NULL),
             nu_log_quote(sent, sizeof sent, alert_name(t->alert_out, number[0])),
             nu_log_quote(received, sizeof received, alert_name(t->alert_in, number[1])),
             (unsigned long long)t->wire_in, (unsigned long long)t->wire_out);
    const char *what = t->state == TLS_HANDSHAKE ? "handshake failed" : "connection failed";
    if (server)
        nu_log_each(NU_LOG_INFO, "tls", "%s %s", what, line);
    else
        nu_log_each(NU_LOG_WARN, "tls", "%s %s", what, line);
}

/* Counts, logs, and tells the access log. */
static void report(struct tls *t, enum nu_cause cause, const char *details)
{
    tls_count(t, refusals[t->conn.refusal].stat);
    log_failure(t, cause, details);
    if (!t->starting) /* what facts there are then are lent */
        nu_chain_facts_more(t->filter.chain)->tls_failure = details;
}

/* What is on its way goes first; a client is listened to for a while, lest it miss the alert. */
void tls_refuse(struct tls *t, enum nu_cause cause, const char *details)
{
    struct nu_filter *f = &t->filter;
    if (t->state == TLS_FAILED || nu_chain_ended(f->chain))
        return;
    report(t, cause, details);
    bool linger = t->state == TLS_HANDSHAKE && t->alert_out != TLS_NO_ALERT && tls_is_server(t);
    t->failure_cause = (uint8_t)cause;
    t->failure_details = details;
    tls_set_state(t, TLS_FAILED);
    nu_timer_stop(f, TLS_TIMER_HANDSHAKE);
    nu_timer_set(f, TLS_TIMER_FAIL, linger ? TLS_LINGER_MS : 0, tls_fail_now);
    if (!linger)
        return;
    /* The plain side stays held: nobody behind us is to begin anything for this client. */
    nu_forward_end(f, tls_outdir(t), (struct nu_result){0});
}

void tls_fail_now(struct nu_filter *f)
{
    struct tls *t = tls_of(f);
    nu_fail(f, (enum nu_cause)t->failure_cause, nu_cause_row(t->failure_cause)->side, "%s",
            t->failure_details);
}

/* The first error of OpenSSL's is the one that names the reason. */
static const char *openssl_reason(void)
{
    unsigned long error = ERR_peek_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    return reason ? reason : "the connection broke";
}

static void latch_no_cert(struct tls *t)
{
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE &&
        t->conn.refusal == NU_TLS_REFUSED_NOT)
        t->conn.refusal = NU_TLS_REFUSED_NO_CERT;
}

void tls_broken(struct tls *t)
{
    bool server = tls_is_server(t);
    enum nu_cause cause = server ? NU_CAUSE_TLS_ERROR : NU_CAUSE_UPSTREAM_TLS_ERROR;
    latch_no_cert(t);
    if (t->state == TLS_HANDSHAKE)
        cause = refusals[t->conn.refusal].cause[server ? 0 : 1];
    const char *why = openssl_reason();
    if (t->conn.refusal != NU_TLS_REFUSED_NOT && t->conn.why)
        why = t->conn.why;
    ERR_clear_error();
    tls_refuse(t, cause, why);
}

void tls_deserted(struct tls *t, struct nu_result end)
{
    bool server = tls_is_server(t);
    if (server && t->wire_in == 0) { /* a port scan, a health check: no handshake was tried */
        nu_fail(&t->filter, (enum nu_cause)end.cause, NU_SIDE_CLIENT, "%s",
                "no byte of a handshake came");
        return;
    }
    const char *details =
        end.how == NU_CLEAN ? "closed within the handshake" : "reset within the handshake";
    enum nu_cause cause = server ? NU_CAUSE_TLS_FAILED : NU_CAUSE_UPSTREAM_TLS_FAILED;
    if (end.how != NU_CLEAN) /* what the chain has latched, and the access log will say */
        cause = end.cause;
    report(t, cause, details);
    tls_set_state(t, TLS_FAILED);
    nu_fail(&t->filter, cause, nu_cause_row(cause)->side, "%s", details);
}

void tls_cut_short(struct tls *t)
{
    enum nu_cause cause = nu_chain_result(t->filter.chain).cause;
    if (t->state != TLS_HANDSHAKE || !t->reached || cause != NU_CAUSE_CONNECT_TIMEOUT)
        return;
    tls_count(t, NU_TLS_CONNECTION_ERROR);
    log_failure(t, cause, "no handshake within connect_timeout");
}

void tls_too_late(struct nu_filter *f)
{
    struct tls *t = tls_of(f);
    tls_refuse(t, tls_is_server(t) ? NU_CAUSE_TLS_TIMEOUT : NU_CAUSE_UPSTREAM_TLS_TIMEOUT,
               nu_arena_printf(nu_chain_arena(f->chain), "no handshake within %lld ms",
                               (long long)t->conn.context->handshake_timeout_ms));
}
