/* Whether this process wants new work: what load balancers are told that ask for it (/ready of the
 * admin, the filter health_check). Set on the main thread, read by any: one relaxed load. */
#ifndef NU_CORE_SERVING_H
#define NU_CORE_SERVING_H

#include <stdbool.h>

/* False once somebody said so by /healthcheck/fail, and from drain on. */
bool nu_serving(void);
/* Why not: "draining", "told to fail health checks", or NULL where it serves. Static. */
const char *nu_serving_why_not(void);

/* Stays through reloads, until set otherwise. */
void nu_serving_set_failed(bool failed);
/* There is no way back. */
void nu_serving_set_draining(void);

#endif
