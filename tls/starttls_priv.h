/* STARTTLS' two filters, for its own file and its test, which puts something else in the place of
 * TLS. */
#ifndef NU_TLS_STARTTLS_PRIV_H
#define NU_TLS_STARTTLS_PRIV_H

#include "core/chain.h"

struct starttls_conf {
    struct nu_place tls;
    int64_t timeout_ms; /* for the client to ask; 0 = none */
    bool optional;
};

extern const struct nu_filter_type starttls_server, starttls_client;

#endif
