/* Access log operators of HTTP, by Envoy's names, and what `text` and `json` mean for requests. */
#ifndef NU_L7_LOG_OPS_H
#define NU_L7_LOG_OPS_H

#include "l4/access_log.h"

/* Registers them with core/logfmt; once, from the composition root, after those of l4 and tls:
 * what both have stays theirs for chains without a stream. */
void nu_log_ops_l7(void);

/* Envoy's line. For nu_access_log_new_as. */
extern const struct nu_access_log_defaults nu_http_log_defaults;

#endif
