/* What gRPC changes in a stream: deadlines, answers of our own, the status that is logged and
 * counted. Its messages pass as any body. A request is gRPC's by its Content-Type, whatever version
 * it came in. On the stream's worker. */
#ifndef NU_L7_GRPC_H
#define NU_L7_GRPC_H

#include "l7/stream.h"
#include "protocols/grpc/grpc.h"

/* From the router, once the route and the cluster are known and before the head is edited: the
 * deadline that the client asks for begins, within the route's max_grpc_timeout, and the server is
 * told what is left of it by that. */
void nu_grpc_begin(struct nu_stream *s);
/* The route's own `timeout` does not count: max_grpc_timeout stands for it. */
bool nu_grpc_has_own_timeout(const struct nu_stream *s);

/* Whether an answer of our own with this status is to be one of gRPC. */
bool nu_grpc_is_answer(const struct nu_stream *s, unsigned status);
/* Makes such an answer of an empty head: trailers alone, status 200, with what `status` of HTTP
 * means to gRPC and with `text` as its message. */
void nu_grpc_answer(const struct nu_stream *s, struct nu_http_head *head, unsigned status,
                    struct nu_text text);
/* Trailers that end a response in the midst because of a deadline, which its client understands; or
 * NULL: it would take what it got for all there is. */
struct nu_http_head *nu_grpc_late(const struct nu_stream *s, struct nu_text text);

/* How the call ended: a server's word or ours, else what the response means without one. Numbers
 * may have no name. -1: not gRPC, or nothing is known. */
int nu_grpc_status_of(const struct nu_stream *s);
/* Counts it for the cluster, at the stream's end. */
void nu_grpc_count(const struct nu_stream *s, unsigned shard);

#endif
