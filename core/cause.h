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
