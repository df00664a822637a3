/* What a `websocket` filter's config says. Main thread. */
#ifndef NU_L7_WS_CONF_H
#define NU_L7_WS_CONF_H

#include "core/conf/schema.h"
#include "protocols/ws/check.h"

struct nu_generation;
struct nu_stats;

struct nu_ws_conf {
    int64_t max_message, max_frame, messages_per_second, ping_interval_ms, close_timeout_ms;
    bool validate;

    /* --- prepared --- */
    struct nu_ws_rules rules;
    struct nu_stats *stats;
    int64_t drain_ms; /* how long a drain lasts */
};

extern const struct nu_schema nu_websocket_schema;
enum nu_err nu_websocket_prepare(struct nu_generation *gen, struct nu_conf *conf,
                                 struct nu_arena *arena, const struct nu_node *node, void *parsed);

#endif
