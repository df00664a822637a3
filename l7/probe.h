/* The health probe `http`: a request, and a response whose status decides. An extension of the
 * schema of l4/health/conf.h; registered by the composition root. */
#ifndef NU_L7_PROBE_H
#define NU_L7_PROBE_H

#include "core/conf/schema.h"

/* `http: /healthz`, or `http: {path, host, method, expected, headers}`. */
extern struct nu_ext nu_probe_http;

#endif
