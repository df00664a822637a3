/* The config of `websocket` filters, their figures, and what the log says of a WebSocket. */
#include "l7/ws/conf.h"

#include "core/chain.h"
#include "core/generation.h"
#include "core/logfmt.h"
#include "l7/filters/filters.h"
#include "l7/stream.h"
#include "l7/ws/websocket.h"

#include <string.h>

#define MESSAGES_MOST (1000 * 1000) /* a second: a microsecond each */

#define COUNTED(stat, name, doc) [stat] = {name, NU_COUNTER, NULL, doc}
#define BYTES(stat, name, doc)   [stat] = {name, NU_COUNTER, "bytes", doc}

static const struct nu_stat_def defs[NU_WS_STAT_COUNT] = {
    COUNTED(NU_WS_TOTAL, "total", "WebSockets that were opened."),
    [NU_WS_ACTIVE] = {"active", NU_GAUGE, NULL, "WebSockets now."},
    COUNTED(NU_WS_RX_MESSAGES, "rx_messages", "Messages from clients."),
    COUNTED(NU_WS_TX_MESSAGES, "tx_messages", "Messages to clients."),
    BYTES(NU_WS_RX_BYTES, "rx_bytes", "Payload of frames from clients, as it came."),
    BYTES(NU_WS_TX_BYTES, "tx_bytes", "Payload of frames to clients."),
    COUNTED(NU_WS_PROTOCOL_ERROR, "protocol_error", "Closed for what breaks the protocol."),
    COUNTED(NU_WS_TOO_LARGE, "too_large", "Closed for a frame or message over its limit."),
    COUNTED(NU_WS_RATE_LIMITED, "rate_limited", "Closed for messages that came too fast."),
    COUNTED(NU_WS_PINGS, "pings", "PINGs that we sent to quiet clients."),
    COUNTED(NU_WS_PING_TIMEOUT, "ping_timeout", "Closed because a client did not answer one."),
    COUNTED(NU_WS_DRAIN_CLOSE, "drain_close", "Closed because of a drain."),
    COUNTED(NU_WS_CLOSED_1000, "close_1000", "Ended by this close code: normal."),
    COUNTED(NU_WS_CLOSED_1001, "close_1001", "Ended by this close code: going away."),
    COUNTED(NU_WS_CLOSED_1002, "close_1002", "Ended by this close code: protocol error."),
    COUNTED(NU_WS_CLOSED_1003, "close_1003", "Ended by this close code: unsupported data."),
    COUNTED(NU_WS_CLOSED_1005, "close_1005", "Ended by a Close without a code."),
    COUNTED(NU_WS_CLOSED_1006, "close_1006", "Ended without a Close."),
    COUNTED(NU_WS_CLOSED_1007, "close_1007", "Ended by this close code: invalid payload."),
    COUNTED(NU_WS_CLOSED_1008, "close_1008", "Ended by this close code: policy."),
    COUNTED(NU_WS_CLOSED_1009, "close_1009", "Ended by this close code: too big."),
    COUNTED(NU_WS_CLOSED_1011, "close_1011", "Ended by this close code: error in the server."),
    COUNTED(NU_WS_CLOSED_OTHER, "close_other", "Ended by another close code."),
};

const struct nu_stat_group nu_websocket_stats =
    NU_STAT_GROUP("http.<name>.websocket", "WebSockets of an http filter.", defs);

enum nu_ws_stat nu_ws_close_stat(unsigned code)
{
    static const uint16_t codes[] = {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011};
    for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i] == code)
            return NU_WS_CLOSED_1000 + i;
    return NU_WS_CLOSED_OTHER;
}

#define AT(member) .offset = offsetof(struct nu_ws_conf, member)

static const struct nu_field fields[] = {
    {.key = "max_message",
     .type = NU_SIZE,
     AT(max_message),
     .fallback = "1MiB",
     .doc = "Payload of a message in all its fragments, as sent, compressed or not; beyond it both "
            "sides get Close 1009; 0 = any."},
    {.key = "max_frame",
     .type = NU_SIZE,
     AT(max_frame),
     .fallback = "256KiB",
     .doc = "Payload of a frame; beyond it Close 1009; 0 = any."},
    {.key = "messages_per_second",
     .type = NU_INT,
     AT(messages_per_second),
     .fallback = "100",
     .max = MESSAGES_MOST,
     .doc = "Messages and control frames from a client; so many may come at once. A further "
            "fragment of up to 125 bytes with its header counts as a message, too. Beyond it Close "
            "1008; 0 = any."},
    {.key = "ping_interval",
     .type = NU_DURATION,
     AT(ping_interval_ms),
     .fallback = "30s",
     .doc = "A client that said nothing for this long gets a PING; one that is quiet for as long "
            "again is gone. 0 = none."},
    {.key = "validate",
     .type = NU_BOOL,
     AT(validate),
     .fallback = "true",
     .doc = "Whether frames have to keep to the protocol (else Close 1002), and text that is not "
            "compressed to UTF-8 (else Close 1007). Sizes and rate are looked at in any case."},
    {.key = "close_timeout",
     .type = NU_DURATION,
     AT(close_timeout_ms),
     .fallback = "5s",
     .min = 1,
     .doc = "For a closing handshake and the end of both connections; then they are reset."},
    {0                               }
};

const struct nu_schema nu_websocket_schema = {
    .name = "websocket",
    .doc = "Looks at the frames of WebSockets as they pass: keeps them to sizes, to a rate and to "
           "the protocol, finds clients that are gone, says goodbye in a drain. Payload goes on as "
           "it came; nothing waits for a message to be whole. Without this filter WebSockets are "
           "relayed unseen.",
    .size = sizeof(struct nu_ws_conf),
    .fields = fields,
};

enum nu_err nu_websocket_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed)
{
    struct nu_ws_conf *c = parsed;
    c->rules = (struct nu_ws_rules){.max_frame = (uint64_t)c->max_frame,
                                    .max_message = (uint64_t)c->max_message,
                                    .validate = c->validate};
    c->drain_ms = gen->drain_timeout_ms;
    c->stats = nu_http_filter_stats(&nu_websocket_stats, arena, node, "websocket");
    return NU_OK;
}

/* --- log operators --- */

#define OP_ARGS struct nu_logbuf *out, const void *subject, const void *arg

static const struct nu_ws_record *record_of(const void *subject)
{
    const struct nu_stream *s =
        nu_facts_exchange(nu_chain_facts((struct nu_chain *)subject))->stream;
    return s ? s->websocket : NULL;
}

static bool messages(struct nu_logbuf *out, const void *subject, enum nu_dir dir)
{
    const struct nu_ws_record *r = record_of(subject);
    nu_logbuf_u64(out, r ? r->messages[dir] : 0);
    return r != NULL;
}

static bool messages_received(OP_ARGS)
{
    return messages(out, subject, NU_FWD);
}

static bool messages_sent(OP_ARGS)
{
    return messages(out, subject, NU_REV);
}

static bool close_code(OP_ARGS)
{
    const struct nu_ws_record *r = record_of(subject);
    nu_logbuf_u64(out, r ? r->code : 0);
    return r != NULL;
}

static bool closed_by(OP_ARGS)
{
    const struct nu_ws_record *r = record_of(subject);
    if (!r || !r->by)
        return false;
    nu_logbuf_str(out, nu_side_str((enum nu_side)r->by));
    return true;
}

#define NUMBER(name_, write_, doc_)                                                                \
    {                                                                                              \
        .name = (name_), .doc = (doc_), .value = NU_LOG_NUMBER, .write = (write_)                  \
    }

static const struct nu_log_op ops[] = {
    NUMBER("WEBSOCKET_MESSAGES_RECEIVED", messages_received,
           "Messages from the client, where the `websocket` filter looks at them."),
    NUMBER("WEBSOCKET_MESSAGES_SENT", messages_sent, "Messages to the client."),
    NUMBER("WEBSOCKET_CLOSE_CODE", close_code,
           "Of the first Close; 1005 where it had none, 1006 where there was no Close."),
    {.name = "WEBSOCKET_CLOSED_BY",
       .doc = "Who said that: `client`, `upstream` or `local`.",
       .value = NU_LOG_TEXT,
       .write = closed_by},
};

void nu_log_ops_ws(void)
{
    nu_log_ops_register(ops, sizeof ops / sizeof *ops);
}
