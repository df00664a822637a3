/* Tunnels at rest: once bytes pass from socket to socket and nothing of the request is under way,
 * its stream is put away, so that an idle WebSocket costs two small chains and what the log and the
 * figures will want at its end. Whatever is to happen to it, it has to be brought back first.
 * On the connection's worker. */
#ifndef NU_L7_TUNNEL_REST_H
#define NU_L7_TUNNEL_REST_H

#include <stdint.h>

struct nu_filter;
struct nu_http_conf;
struct nu_joint;
struct nu_route;
struct nu_stream;
struct nu_tunnel_rest;

/* Puts away a stream whose tunnel is open, which ends it without a word: the codec and what the
 * router was joined to are each other's partners now. NULL: there is more to it than that, or
 * something is under way; nothing was done. From a callback of the codec. The caller owns what
 * comes back, until it brings it back. */
struct nu_tunnel_rest *nu_tunnel_rest(struct nu_stream *s);
/* The stream as it was, between the two again; `rest` is gone. The codec sets `watch` and `count`.
 */
struct nu_stream *nu_tunnel_wake(struct nu_tunnel_rest *rest, struct nu_filter *codec,
                                 const struct nu_http_conf *conf);
/* From a connection to a server, which speaks or ends: if the tunnel beyond its joint rests, that
 * is over. */
void nu_tunnel_disturb(const struct nu_joint *joint);
/* Of its request. */
const struct nu_route *nu_tunnel_rest_route(const struct nu_tunnel_rest *rest);

#endif
