/* How a stream ended, by whom, and why: what END carries and what the access log says. */
#ifndef NU_CORE_CAUSE_H
#define NU_CORE_CAUSE_H

#include <stdint.h>

/* The wire form of an end. Only CLEAN may look like a whole message. */
enum nu_how { NU_CLEAN, NU_RESET, NU_TRUNCATED, NU_TIMEOUT, NU_CANCELLED };
const char *nu_how_str(enum nu_how how);

enum nu_side { NU_SIDE_NONE, NU_SIDE_CLIENT, NU_SIDE_UPSTREAM, NU_SIDE_LOCAL };
const char *nu_side_str(enum nu_side side);

/* Name in details, response flag as Envoy has it (or "-"), what it does to the stream, and who is
 * to blame. One row a cause: docs and the end-to-end tests walk this table. */
#define NU_CAUSES(X)                                                                               \
    X(NONE, "", "-", CLEAN, NONE, "")                                                              \
    X(CLIENT_FIN, "client_closed", "-", CLEAN, CLIENT, "the client closed first")                  \
    X(CLIENT_RST, "client_reset", "DC", RESET, CLIENT, "the client reset the connection")          \
    X(UPSTREAM_FIN, "upstream_closed", "-", CLEAN, UPSTREAM, "the server closed first")            \
    X(UPSTREAM_RST, "upstream_reset", "UC", RESET, UPSTREAM, "the server reset the connection")    \
    X(IDLE, "idle_timeout", "SI", TIMEOUT, LOCAL, "no byte for the idle timeout")                  \
    X(HALF_CLOSE, "half_close_timeout", "SI", TIMEOUT, LOCAL,                                      \
      "half closed and no byte for the half-close timeout")                                        \
    X(SESSION_IDLE, "session_idle", "-", CLEAN, LOCAL,                                             \
      "no datagram for the session's idle timeout")                                                \
    X(SESSION_DONE, "session_complete", "-", CLEAN, LOCAL, "all datagrams were answered")          \
    X(REFUSED, "connection_refused", "UF", CANCELLED, UPSTREAM, "every endpoint tried refused")    \
    X(UNREACHABLE, "connection_failure", "UF", CANCELLED, UPSTREAM,                                \
      "the endpoint cannot be reached")                                                            \
    X(CONNECT_TIMEOUT, "connect_timeout", "UF", TIMEOUT, UPSTREAM,                                 \
      "no endpoint answered within connect_timeout")                                               \
    X(NO_ENDPOINT, "no_healthy_upstream", "UH", CANCELLED, UPSTREAM,                               \
      "the cluster has no endpoint that can be used")                                              \
    X(DNS, "dns_resolution_failure", "DF", CANCELLED, UPSTREAM,                                    \
      "the name of the server could not be resolved")                                              \
    X(NO_DESTINATION, "no_destination", "NR", CANCELLED, LOCAL,                                    \
      "nothing says where the client wants to go")                                                 \
    X(DENIED, "destination_denied", "RBAC", CANCELLED, LOCAL,                                      \
      "the cluster may not go where the client wants to")                                          \
    X(LOOP, "forwarding_loop", "RBAC", CANCELLED, LOCAL, "the way to the server leads back here")  \
    X(FILTER, "filter_denied", "RBAC", CANCELLED, LOCAL, "a filter denied the connection")         \
    X(LIMIT, "connection_limit", "RL", CANCELLED, LOCAL, "a connection limit was reached")         \
    X(RATE, "connection_rate", "RL", CANCELLED, LOCAL, "the source opens connections too fast")    \
    X(OVERFLOW, "upstream_overflow", "UO", CANCELLED, LOCAL, "the cluster's limit was reached")    \
    X(NO_CHAIN, "no_chain_matched", "NR", CANCELLED, LOCAL, "no filter chain matches")             \
    X(SNIFF_TIMEOUT, "sniff_timeout", "NR", TIMEOUT, CLIENT,                                       \
      "no ClientHello within sniff_timeout and no chain without one")                              \
    X(BAD_HELLO, "bad_client_hello", "DPE", CANCELLED, CLIENT, "a malformed ClientHello")          \
    X(BAD_PROXY, "bad_proxy_header", "DPE", CANCELLED, CLIENT,                                     \
      "a malformed or missing PROXY header")                                                       \
    X(PROXY_TIMEOUT, "proxy_header_timeout", "DPE", TIMEOUT, CLIENT,                               \
      "no PROXY header within sniff_timeout")                                                      \
    X(BAD_STARTTLS, "bad_starttls", "DPE", CANCELLED, CLIENT,                                      \
      "no request for TLS as its protocol has it")                                                 \
    X(STARTTLS_TIMEOUT, "starttls_timeout", "DPE", TIMEOUT, CLIENT,                                \
      "no request for TLS within the handshake timeout")                                           \
    X(STARTTLS_REFUSED, "starttls_refused", "UF", CANCELLED, UPSTREAM,                             \
      "the server did not agree to TLS")                                                           \
    X(TLS_FAILED, "tls_handshake_failed", "DPE", CANCELLED, CLIENT,                                \
      "the TLS handshake with the client failed")                                                  \
    X(TLS_TIMEOUT, "tls_handshake_timeout", "DPE", TIMEOUT, CLIENT,                                \
      "the client's TLS handshake took longer than handshake_timeout")                             \
    X(TLS_NO_CERT, "tls_no_certificate", "DPE", CANCELLED, CLIENT,                                 \
      "a client certificate is required, and none was sent")                                       \
    X(TLS_BAD_CERT, "tls_bad_certificate", "DPE", CANCELLED, CLIENT,                               \
      "the client's certificate does not verify")                                                  \
    X(TLS_DENIED, "tls_certificate_denied", "RBAC", CANCELLED, CLIENT,                             \
      "the client's certificate is none of those allowed")                                         \
    X(TLS_ERROR, "tls_error", "DPE", CANCELLED, CLIENT,                                            \
      "the client broke the rules of TLS after the handshake, or reported an error")               \
    X(CLIENT_CUT, "client_truncated", "DC", TRUNCATED, CLIENT,                                     \
      "the client closed its TLS connection without close_notify")                                 \
    X(UPSTREAM_TLS_FAILED, "upstream_tls_failed", "UF", CANCELLED, UPSTREAM,                       \
      "the TLS handshake with the endpoint failed")                                                \
    X(UPSTREAM_TLS_TIMEOUT, "upstream_tls_timeout", "UF", TIMEOUT, UPSTREAM,                       \
      "the endpoint's TLS handshake took longer than handshake_timeout")                           \
    X(UPSTREAM_BAD_CERT, "upstream_bad_certificate", "UF", CANCELLED, UPSTREAM,                    \
      "the endpoint's certificate does not verify")                                                \
    X(UPSTREAM_TLS_ERROR, "upstream_tls_error", "UC", CANCELLED, UPSTREAM,                         \
      "the endpoint broke the rules of TLS after the handshake, or reported an error")             \
    X(UPSTREAM_CUT, "upstream_truncated", "UC", TRUNCATED, UPSTREAM,                               \
      "the endpoint closed its TLS connection without close_notify")                               \
    X(CLIENT_GONE, "client_gone", "DC", CANCELLED, CLIENT,                                         \
      "the client closed its half, and no response began within a second")                         \
    X(MAX_DURATION, "max_connection_duration", "-", CLEAN, LOCAL,                                  \
      "the connection was max_connection_duration old, and all of it served")                      \
    X(MAX_REQUESTS, "max_requests_per_connection", "-", CLEAN, LOCAL,                              \
      "the connection had its max_requests_per_connection, and all of it served")                  \
    X(CLIENT_SILENT, "client_keepalive_timeout", "DC", TIMEOUT, CLIENT,                            \
      "the client gave no sign of life within ping_timeout")                                       \
    X(CLIENT_PROTOCOL, "client_protocol_error", "DPE", CANCELLED, CLIENT,                          \
      "the client broke the rules of HTTP/2, and its connection ended")                            \
    X(UPSTREAM_PROTOCOL, "upstream_protocol_error", "UPE", CANCELLED, UPSTREAM,                    \
      "the server's response breaks the rules of its protocol")                                    \
    X(UPSTREAM_SHORT, "upstream_incomplete", "UC", TRUNCATED, UPSTREAM,                            \
      "the server closed in the midst of a response")                                              \
    X(UPSTREAM_RESET, "upstream_stream_reset", "UR", CANCELLED, UPSTREAM,                          \
      "the server reset the request")                                                              \
    X(UPSTREAM_REFUSED, "upstream_stream_refused", "UR", CANCELLED, UPSTREAM,                      \
      "the server did not take the request, and has not looked at it")                             \
    X(UPSTREAM_SILENT, "upstream_keepalive_timeout", "UC", TIMEOUT, UPSTREAM,                      \
      "the server gave no sign of life within ping_timeout")                                       \
    X(RESPONSE_TIMEOUT, "response_timeout", "UT", TIMEOUT, LOCAL,                                  \
      "the response took longer than its route's timeout")                                         \
    X(DRAIN, "drain_timeout", "DT", CANCELLED, LOCAL, "still open at drain_timeout")               \
    X(NO_FDS, "no_descriptors", "UF", CANCELLED, LOCAL, "out of file descriptors")                 \
    X(INTERNAL, "internal_error", "-", CANCELLED, LOCAL, "a system call failed")

enum nu_cause {
#define NU_CAUSE_ENUM(id, name, flag, how, side, doc) NU_CAUSE_##id,
    NU_CAUSES(NU_CAUSE_ENUM)
#undef NU_CAUSE_ENUM
        NU_CAUSE_COUNT
};

struct nu_result {
    uint8_t how;   /* enum nu_how */
    uint8_t side;  /* enum nu_side */
    uint8_t cause; /* enum nu_cause */
};

struct nu_cause_row {
    const char *name, *flag, *doc;
    enum nu_how how;
    enum nu_side side;
};
const struct nu_cause_row *nu_cause_row(enum nu_cause cause);
const char *nu_cause_str(enum nu_cause cause);
/* The result that a cause stands for. */
struct nu_result nu_result_of(enum nu_cause cause);

#endif
