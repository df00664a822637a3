/* Access log operators of TLS, by Envoy's names where Envoy has one. */
#ifndef NU_TLS_LOG_OPS_H
#define NU_TLS_LOG_OPS_H

#include <stdbool.h>

/* Registers them with core/logfmt; once, from the composition root. */
void nu_log_ops_tls(void);

/* Whether a format that was ever compiled shows our own certificates: facts->tls->local costs a
 * little, so it is made only then. Any thread. */
bool nu_tls_local_wanted(void);

#endif
