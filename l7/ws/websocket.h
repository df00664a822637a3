/* WebSocket frames as a filter of streams (rule U3):
 *
 *   stream | [filters] | ws_open | websocket | ws_shut | [filters] | router
 *
 * or, where no other filter speaks frames, which is the rule,
 *
 *   stream | [filters] | websocket | [filters] | router
 *
 * Between ws_open and ws_shut frames flow as they came, in pieces; outside of them they are bytes.
 * All of them stay out of requests that cannot become a WebSocket, and stand aside when one did
 * not. On the stream's worker. */
#ifndef NU_L7_WS_WEBSOCKET_H
#define NU_L7_WS_WEBSOCKET_H

#include "core/filter.h"
#include "core/stats.h"
#include "protocols/ws/check.h"

struct nu_place;
struct nu_stream;

extern const struct nu_filter_type nu_ws_open, nu_ws_shut;
extern const struct nu_filter_type nu_filter_websocket;
/* It, where no other filter speaks frames: bytes on both sides. */
extern const struct nu_filter_type nu_ws_alone;

enum nu_ws_stat {
    NU_WS_TOTAL,
    NU_WS_ACTIVE,
    NU_WS_RX_MESSAGES,
    NU_WS_TX_MESSAGES,
    NU_WS_RX_BYTES,
    NU_WS_TX_BYTES,
    NU_WS_PROTOCOL_ERROR,
    NU_WS_TOO_LARGE,
    NU_WS_RATE_LIMITED,
    NU_WS_PINGS,
    NU_WS_PING_TIMEOUT,
    NU_WS_DRAIN_CLOSE,
    NU_WS_CLOSED_1000, /* and so on, in the order of nu_ws_close_stat */
    NU_WS_CLOSED_1001,
    NU_WS_CLOSED_1002,
    NU_WS_CLOSED_1003,
    NU_WS_CLOSED_1005,
    NU_WS_CLOSED_1006,
    NU_WS_CLOSED_1007,
    NU_WS_CLOSED_1008,
    NU_WS_CLOSED_1009,
    NU_WS_CLOSED_1011,
    NU_WS_CLOSED_OTHER,
    NU_WS_STAT_COUNT
};
/* "http.<name>.websocket": enum nu_ws_stat. */
extern const struct nu_stat_group nu_websocket_stats;
/* Which of the figures a close code counts in. */
enum nu_ws_stat nu_ws_close_stat(unsigned code);

/* Whether the request may become a WebSocket, by what was decided of it. */
bool nu_ws_may_open(const struct nu_stream *s);
/* As `spare` of the filters that are there for them. */
bool nu_ws_spare(const void *conf, const struct nu_facts *facts);
/* Whether the response's head opened it. */
bool nu_ws_has_opened(const struct nu_stream *s, const struct nu_head *response);

/* What the log may say of a WebSocket; the filter's, and from when it opened its stream has it too.
 */
struct nu_ws_record {
    uint64_t messages[2]; /* by direction; control frames are none */
    uint16_t code;        /* of the first Close; NU_WS_CLOSE_ABNORMAL = there was none */
    uint8_t by;           /* enum nu_side: who said it */
};

/* Copies the places of a stream's chain with ws_open and ws_shut around each run of those that
 * speak WebSocket, or with nu_ws_alone for a run that is one `websocket`; `out` has room for three
 * times as many. How many there are then. Main thread. */
unsigned nu_ws_put_ends(const struct nu_place *places, unsigned count, struct nu_place *out);

/* Log operators of it. Before any config is read. */
void nu_log_ops_ws(void);

#endif
