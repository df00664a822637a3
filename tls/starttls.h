/* STARTTLS: TLS that begins behind a few bytes in plain, as Postgres does it. A byte filter beside
 * the wire that asks or answers, then has the TLS filter put on its far side and bypasses itself,
 * so that nothing sent in plain is ever taken for something that came encrypted (CVE-2011-0411,
 * CVE-2021-23222).
 *
 *   terminate: sock | starttls | tls | ...      originate: leg | tls | starttls | sock */
#ifndef NU_TLS_STARTTLS_H
#define NU_TLS_STARTTLS_H

#include "core/chain.h"
#include "core/conf/schema.h"
#include "tls/context.h"

enum nu_starttls_protocol { NU_STARTTLS_POSTGRES };
const char *nu_starttls_protocol_str(enum nu_starttls_protocol protocol);

/* `starttls: postgres`, or a map; in a `tls:` map. */
struct nu_starttls {
    int protocol;  /* enum nu_starttls_protocol */
    bool optional; /* clients may stay in plain; for listeners */
};
/* For listeners and chains; for clusters, where nothing is optional. */
extern const struct nu_schema nu_starttls_schema, nu_starttls_client_schema;

/* What stands in the chain instead of the TLS filter; its conf comes from the arena, and `context`
 * has to live as long. */
struct nu_place nu_starttls_place(const struct nu_starttls *starttls,
                                  struct nu_tls_context *context, struct nu_arena *owner);

#endif
