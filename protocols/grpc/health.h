/* Messages of grpc.health.v1.Health/Check: a request for a service, and the status in a response,
 * each as one gRPC message with its five bytes in front. No other message of gRPC is read here. */
#ifndef NU_PROTOCOLS_GRPC_HEALTH_H
#define NU_PROTOCOLS_GRPC_HEALTH_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

#define NU_GRPC_HEALTH_PATH        "/grpc.health.v1.Health/Check"
#define NU_GRPC_HEALTH_SERVICE_MAX 255 /* bytes of a service's name */
/* A request's, at most; and more than any honest response has: its message is two bytes long. */
#define NU_GRPC_HEALTH_MAX_BYTES (5 + 3 + NU_GRPC_HEALTH_SERVICE_MAX)

/* HealthCheckResponse.ServingStatus */
enum nu_grpc_serving {
    NU_GRPC_SERVING_UNKNOWN,
    NU_GRPC_SERVING,
    NU_GRPC_NOT_SERVING,
    NU_GRPC_SERVICE_UNKNOWN,
    NU_GRPC_SERVING_COUNT,
};
/* "SERVING" */
const char *nu_grpc_serving_str(enum nu_grpc_serving serving);

/* The request for a service, "" for the server as a whole; its length. */
size_t nu_grpc_health_write(const char *service, uint8_t out[static NU_GRPC_HEALTH_MAX_BYTES]);
/* A whole body. NU_ERR_SYNTAX: it is not exactly one such message, or a compressed one, which
 * nobody asked for; *serving is UNKNOWN then, and for values that have no name. */
enum nu_err nu_grpc_health_read(const uint8_t *body, size_t len, enum nu_grpc_serving *serving);

#endif
