/* What the filter needs of each SSL_CTX; see filter.h. */
#include "tls/filter.h"
#include "tls/session.h"
#include "tls/ticket.h"

/* Bytes of 0-RTT that are passed over (RFC 8446 4.2.10), of clients that may send it to others who
 * have our ticket keys: OpenSSL's own limit, and what servers usually allow. */
#define EARLY_SKIP_MAX (16u * 1024)

void nu_tls_engine_setup(SSL_CTX *ctx, struct nu_tls_context *context)
{
    /* Buffers go between records: an idle connection has none. No partial writes: each would end
     * after one record. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_clear_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_max_early_data(ctx, 0); /* 0-RTT can be replayed */
    SSL_CTX_set_recv_max_early_data(ctx, EARLY_SKIP_MAX);
    if (context->role == NU_TLS_SERVER)
        nu_tls_tickets_setup(ctx, context->tickets);
    else
        nu_tls_sessions_setup(ctx);
}
