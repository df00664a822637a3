/* Upgrades and CONNECT, as both codecs see them: which request may open a tunnel, and what of the
 * answer says that it did (rules U1, U2). On the stream's worker. */
#ifndef NU_L7_TUNNEL_H
#define NU_L7_TUNNEL_H

#include "protocols/http/head.h"

struct nu_filter;
struct nu_stream;

/* Once the route is known: sets stream->tunnel. Of the protocols that are offered the first stays
 * that the route allows; one that may not be is taken off the request, but an extended CONNECT
 * (RFC 8441), which is nothing without it, is refused. So is a WebSocket handshake that breaks its
 * rules. */
void nu_tunnel_decide(struct nu_stream *s);
/* Of a request that goes to a server of HTTP/1: adds what only that needs. */
void nu_tunnel_ask(struct nu_http_head *request);
/* Whether a server's 101 opens what was asked for. True for all other responses, but for 2xx to an
 * extended CONNECT: its client would take that for an open tunnel. */
bool nu_tunnel_is_granted(const struct nu_http_head *request, const struct nu_http_head *response);
/* From a filter that has seen the tunnel open: only END is for it from now on, so that bytes may go
 * from socket to socket (D1). What waits for it passes it by, in order. */
void nu_tunnel_pass(struct nu_filter *f);
/* Of the final head to a client of HTTP/1: what the handshake's answer needs. */
void nu_tunnel_answer(const struct nu_stream *s, struct nu_http_head *response);

#endif
