/* The health probes `http`, a request and a response whose status decides, and `grpc`, a call of
 * gRPC's own health service. Extensions of the schema of l4/health/conf.h; registered by the
 * composition root. */
#ifndef NU_L7_PROBE_H
#define NU_L7_PROBE_H

#include "core/conf/schema.h"

/* `http: /healthz`, or `http: {path, host, method, expected, headers}`. */
extern struct nu_ext nu_probe_http;
/* `grpc: a.Service`, or `grpc: {service, host}`. */
extern struct nu_ext nu_probe_grpc;

#endif
