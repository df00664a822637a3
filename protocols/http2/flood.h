/* What a peer may do cheaply and often, in token buckets: nghttp2 stops none of these once its
 * output is drained. */
#ifndef NU_PROTOCOLS_HTTP2_FLOOD_H
#define NU_PROTOCOLS_HTTP2_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

/* Number, name, burst, refill a second, what it is. Limits are for one connection; honest clients
 * stay an order of magnitude below. */
#define NU_H2_FLOOD_LIST(X)                                                                        \
    X(RESET, "reset", 400, 100, "RST_STREAM received: rapid reset (CVE-2023-44487)")               \
    X(PROVOKED, "provoked_reset", 200, 20,                                                         \
      "streams that the peer had us reset: made-you-reset (CVE-2025-8671)")                        \
    X(PING, "ping", 400, 100, "PING")                                                              \
    X(SETTINGS, "settings", 40, 4, "SETTINGS")                                                     \
    X(PRIORITY, "priority", 1000, 200, "PRIORITY and PRIORITY_UPDATE")                             \
    X(WINDOW, "window_update", 4000, 2000,                                                         \
      "WINDOW_UPDATE; each DATA frame sent to the peer allows two more")                           \
    X(EMPTY, "empty_frame", 100, 20, "DATA without a byte that do not end a stream")               \
    X(UNKNOWN, "unknown_frame", 1000, 200, "frames of types that nobody here knows")

enum nu_h2_flood {
#define NU_H2_FLOOD_NUMBER(id, name, burst, rate, text) NU_H2_FLOOD_##id,
    NU_H2_FLOOD_LIST(NU_H2_FLOOD_NUMBER)
#undef NU_H2_FLOOD_NUMBER
        NU_H2_FLOODS
};
const char *nu_h2_flood_str(enum nu_h2_flood what);

/* What is counted of a connection; floods come first, in their order. The last two are its user's
 * to notice. */
enum nu_h2_count {
    NU_H2_COUNT_FLOOD, /* + enum nu_h2_flood */
    NU_H2_COUNT_OUTBOUND_FLOOD = NU_H2_COUNT_FLOOD + NU_H2_FLOODS,
    NU_H2_COUNT_RX_RESET,
    NU_H2_COUNT_TX_RESET,
    NU_H2_COUNT_TX_GOAWAY,
    NU_H2_COUNT_RX_MESSAGING_ERROR, /* a message that breaks the rules */
    NU_H2_COUNT_HEADER_OVERFLOW,
    NU_H2_COUNT_REFUSED, /* a stream too many */
    NU_H2_COUNT_TRAILERS,
    NU_H2_COUNT_CONTINUATION, /* CVE-2024-27316 */
    NU_H2_COUNT_BOMB,         /* of HPACK: few bytes that stand for many */
    NU_H2_COUNT_NO_NAME,      /* CVE-2019-9516 */
    NU_H2_COUNT_TX_FLUSH,     /* a stream of which the peer takes nothing */
    NU_H2_COUNT_KEEPALIVE,    /* no answer to a PING */
    NU_H2_COUNTS
};

struct nu_h2_buckets {
    uint32_t used[NU_H2_FLOODS];    /* tokens taken, in thousandths */
    int64_t since_ms[NU_H2_FLOODS]; /* of the last refill */
};

/* Takes a token; false: there is none left. `now_ms` never goes back. */
bool nu_h2_flood_take(struct nu_h2_buckets *b, enum nu_h2_flood what, int64_t now_ms);
/* Allows so many more. */
void nu_h2_flood_allow(struct nu_h2_buckets *b, enum nu_h2_flood what, unsigned tokens);

#endif
