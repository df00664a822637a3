/* What gRPC says in fields of HTTP/2: who speaks it, its statuses, grpc-timeout, grpc-message; by
 * its own protocol document (PROTOCOL-HTTP2). Messages are health.h's, for checks; else nobody
 * looks at them. No socket, no clock. */
#ifndef NU_PROTOCOLS_GRPC_GRPC_H
#define NU_PROTOCOLS_GRPC_GRPC_H

#include "core/arena.h"
#include "core/err.h"
#include "protocols/http/head.h"

/* Number by order, Envoy's word, gRPC's own. */
#define NU_GRPC_STATUSES(X)                                                                        \
    X(OK, "OK")                                                                                    \
    X(CANCELLED, "Canceled")                                                                       \
    X(UNKNOWN, "Unknown")                                                                          \
    X(INVALID_ARGUMENT, "InvalidArgument")                                                         \
    X(DEADLINE_EXCEEDED, "DeadlineExceeded")                                                       \
    X(NOT_FOUND, "NotFound")                                                                       \
    X(ALREADY_EXISTS, "AlreadyExists")                                                             \
    X(PERMISSION_DENIED, "PermissionDenied")                                                       \
    X(RESOURCE_EXHAUSTED, "ResourceExhausted")                                                     \
    X(FAILED_PRECONDITION, "FailedPrecondition")                                                   \
    X(ABORTED, "Aborted")                                                                          \
    X(OUT_OF_RANGE, "OutOfRange")                                                                  \
    X(UNIMPLEMENTED, "Unimplemented")                                                              \
    X(INTERNAL, "Internal")                                                                        \
    X(UNAVAILABLE, "Unavailable")                                                                  \
    X(DATA_LOSS, "DataLoss")                                                                       \
    X(UNAUTHENTICATED, "Unauthenticated")

#define NU_GRPC_STATUS(id, word) NU_GRPC_##id,
enum nu_grpc_status { NU_GRPC_STATUSES(NU_GRPC_STATUS) NU_GRPC_STATUS_COUNT };
#undef NU_GRPC_STATUS
/* "DeadlineExceeded", "DEADLINE_EXCEEDED". */
const char *nu_grpc_status_str(enum nu_grpc_status status);
const char *nu_grpc_status_snake(enum nu_grpc_status status);

/* Whether a message is gRPC's, by its Content-Type: application/grpc, with "+proto" and the like
 * or parameters; gRPC-Web is another protocol. */
bool nu_grpc_is(const struct nu_http_head *head);

/* The value of grpc-status: a number of up to three digits, also one that has no name; else -1. */
int nu_grpc_status_read(struct nu_text value);
/* What a response without grpc-status means, by its status (http-grpc-status-mapping). */
enum nu_grpc_status nu_grpc_status_of_http(unsigned status);

/* Digits and unit, longest. */
#define NU_GRPC_TIMEOUT_MAX 10
/* The value of grpc-timeout in milliseconds, rounded up. NU_ERR_SYNTAX: it is none; *ms is 0. */
enum nu_err nu_grpc_timeout_read(struct nu_text value, int64_t *ms);
/* The inverse, 0 or more, rounded down to what eight digits can say: in the arena. */
struct nu_text nu_grpc_timeout_write(struct nu_arena *arena, int64_t ms);

/* Bytes of a text that is sent as a message; what is said to people is shorter. */
#define NU_GRPC_MESSAGE_MAX_BYTES 1024
/* The value of grpc-message for a text: percent-encoded where it has to be, cut to the cap but not
 * within a character of UTF-8. In the arena. */
struct nu_text nu_grpc_message_write(struct nu_arena *arena, struct nu_text text);

#endif
