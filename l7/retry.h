/* Whether a request may be tried again: what its route asks for, and what is safe for any (rule
 * X1). Looks and says; attempt.c does it. */
#ifndef NU_L7_RETRY_H
#define NU_L7_RETRY_H

#include "l7/route/route.h"
#include "l7/stream.h"
#include "protocols/http/head.h"

#define NU_TRIES_FREE 3  /* tries that rule X1 gives to a route that asks for none */
#define NU_TRIES_MOST 64 /* of one request, whatever the route asks for */

/* How a try ended without a response. */
enum nu_try_end {
    NU_TRY_UNSENT,    /* there was no connection: nothing has left */
    NU_TRY_RESET,     /* sent, and nothing came back */
    NU_TRY_TIMED_OUT, /* per_try_timeout; nothing came back */
    NU_TRY_REFUSED,   /* sent, and not looked at: as if it had not been */
};
const char *nu_try_end_str(enum nu_try_end how);

/* Envoy's flag, body and details for a try that was the last and brought no response; `connected`:
 * a connection stood. Texts are static or in the arena. */
enum nu_stream_flag nu_try_flag(struct nu_result result, bool connected);
const char *nu_try_body(struct nu_result result, bool connected, struct nu_arena *arena);
const char *nu_try_details(const char *when, struct nu_result result, bool connected,
                           struct nu_arena *arena);

/* Tries of one request, with the first. */
unsigned nu_retry_most(const struct nu_route *route);
/* Once or twice makes no difference (RFC 9110 9.2.2). */
bool nu_retry_idempotent(const struct nu_http_head *request);
/* The route wants another try after this. */
bool nu_retry_asked(const struct nu_route *route, enum nu_try_end how);
bool nu_retry_status(const struct nu_route *route, unsigned status);
/* The same of a response that has gRPC's status already in its head: one without messages. */
bool nu_retry_grpc(const struct nu_stream *s, const struct nu_http_head *response);
/* Before a further try at an endpoint that has had its turn, as Envoy's: from nothing to 25 ms, for
 * each further try twice as much, 250 ms at most. `tries` that were, `random` bits. */
int64_t nu_retry_pause(unsigned tries, uint64_t random);

#endif
