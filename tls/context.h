/* A TLS context: all that a config's `tls:` says of one listener, chain or cluster, ready for use.
 *
 * Built on the main thread from a parsed `tls:` map; settings never change, credentials (what the
 * named files hold) are swapped as a whole by message when the files change. Counted: the chains
 * and clusters that it was written for keep it. */
#ifndef NU_TLS_CONTEXT_H
#define NU_TLS_CONTEXT_H

#include "core/conf/schema.h"
#include "core/stats.h"
#include "tls/conn.h"

#include <stdio.h>

enum nu_tls_role { NU_TLS_SERVER, NU_TLS_CLIENT };

struct nu_tls_tickets;
struct nu_keylog;

/* What the filter needs to know of it; the rest is context_priv.h's. */
struct nu_tls_context {
    enum nu_tls_role role;
    struct nu_stats *stats;         /* enum nu_tls_stat; of the listener or cluster */
    struct nu_tls_tickets *tickets; /* server; NULL = off */
    struct nu_keylog *keylog;       /* NULL = none */
    int64_t handshake_timeout_ms;   /* 0 = none */
    const char *owner;              /* "listener edge", "cluster api": for log lines */
};

/* The keys `tls` of listeners, chains and clusters; the composition root adds them to l4's schemas.
 */
extern struct nu_ext nu_tls_of_listener, nu_tls_of_chain, nu_tls_of_cluster;

/* Opens what contexts write to; failures go to conf. When a config is about to serve; main thread,
 * as the next three. */
enum nu_err nu_tls_contexts_open(struct nu_conf *conf);
/* From now on the files of all contexts are watched. When a config serves. */
void nu_tls_contexts_watch(void);
/* Whole days until the first certificate ends, ours or a CA's from a config; 0: today, or it has.
 * INT64_MAX: there is none. */
int64_t nu_tls_days_until_expiry(void);
/* What is loaded, in the form of Envoy's /certs (JSON). */
void nu_tls_certs_print(FILE *out);

/* A connection's SSL in its role, with app data, certificate choice, verification, ALPN, names and
 * (client) a session to resume set; the caller sets the BIOs and frees it. NULL: out of memory.
 * `conn` has its filter set, and lives as long as the SSL. On a worker. */
SSL *nu_tls_context_ssl(struct nu_tls_context *context, struct nu_tls_conn *conn);
/* Our own certificate: the one that was shown, or as a server in a resumed session, where none is,
 * one that would be for this name. After the handshake, where there is one; borrowed from the SSL.
 */
const X509 *nu_tls_context_own(const struct nu_tls_conn *conn);

#endif
