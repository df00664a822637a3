/* tcp_proxy: the end of a raw TCP chain. It picks an endpoint, opens a leg to it, and tries the
 * next when that fails.
 *
 * Faces: bytes on the left, a joint on the right. Sees: END both ways, so that bytes pass without
 * it. Stores: nothing; what comes before the leg is ready waits in its queue, and the client's
 * socket stops reading. END passes; the other direction then lives on under half_close_timeout.
 * Holds FWD from `open` until the leg is ready (bounded by connect_timeout times connect_attempts,
 * and where clients choose the server by dns_timeout before that). `close` parts the joint and
 * gives the endpoints back. */
#include "l4/tcp_proxy.h"

#include "core/assert.h"
#include "core/generation.h"
#include "l4/cluster_ref.h"
#include "l4/leg.h"
#include "l4/pick.h"
#include "l4/sock.h"
#include "protocols/http/head.h"

#include <string.h>

#define RESET_GRACE_MS                                                                             \
    1000                 /* after a cut in one direction the other has this long to end by itself */
#define ATTEMPTS_MOST 64 /* endpoints tried for one connection */

enum { TIMER_IDLE };

enum tcp_stat {
    TCP_CX_TOTAL,
    TCP_CX_NO_ROUTE,
    TCP_CX_RX_BYTES,
    TCP_CX_TX_BYTES,
    TCP_PAUSED_READING,
    TCP_RESUMED_READING,
    TCP_IDLE_TIMEOUT,
    TCP_HALF_CLOSE_TIMEOUT,
};

static const struct nu_stat_def stat_defs[] = {
    [TCP_CX_TOTAL] = {"downstream_cx_total",                           NU_COUNTER, NULL,    "Connections the filter took."},
    [TCP_CX_NO_ROUTE] = {"downstream_cx_no_route",                        NU_COUNTER, NULL,
                      "Connections for which no endpoint could be picked."                                                },
    [TCP_CX_RX_BYTES] = {"downstream_cx_rx_bytes_total",                  NU_COUNTER, "bytes",
                      "Bytes read from clients."                                                                          },
    [TCP_CX_TX_BYTES] = {"downstream_cx_tx_bytes_total",                  NU_COUNTER, "bytes",
                      "Bytes written to clients."                                                                         },
    [TCP_PAUSED_READING] = {"downstream_flow_control_paused_reading_total",  NU_COUNTER, NULL,
                      "Times reading from a client paused because the server was slow."                                   },
    [TCP_RESUMED_READING] = {"downstream_flow_control_resumed_reading_total", NU_COUNTER, NULL,
                      "Times it went on."                                                                                 },
    [TCP_IDLE_TIMEOUT] = {"idle_timeout",                                  NU_COUNTER, NULL,
                      "Connections cut because no byte flowed for idle_timeout."                                          },
    [TCP_HALF_CLOSE_TIMEOUT] = {"half_close_timeout",                            NU_COUNTER, NULL,
                      "Half-closed connections cut for no byte in half_close_timeout."                                    },
};

const struct nu_stat_group nu_tcp_proxy_stats =
    NU_STAT_GROUP("tcp.<name>", "One set for each tcp_proxy name.", stat_defs);

struct weighted {
    const char *name;
    int64_t weight;
    struct nu_cluster *cluster;
};

struct tcp_proxy_conf {
    const char *name, *cluster_name;
    const char *connect;    /* HOST:PORT that endpoints are asked to tunnel to; NULL = none */
    struct nu_vec clusters; /* struct weighted; the one cluster too */
    int64_t idle_timeout_ms, half_close_timeout_ms, attempts;
    int64_t weight_sum;
    struct nu_stats *stats;
};

struct tcp_proxy {
    struct nu_filter filter;
    struct nu_joint joint;
    const struct tcp_proxy_conf *conf;
    struct nu_pick pick;   /* which endpoint is tried or used; its cluster is NULL before */
    bool ready;            /* the leg is up */
    bool paused;           /* the server is slower than the client */
    bool half_closed, cut; /* an END passed; a cut one */
};

static struct tcp_proxy *self_of(struct nu_filter *f)
{
    return (struct tcp_proxy *)f;
}

static void count(const struct tcp_proxy *tp, enum tcp_stat stat)
{
    nu_stat_add(tp->conf->stats, nu_filter_loop(&tp->filter)->shard, stat, 1);
}

static void cluster_count(const struct tcp_proxy *tp, enum nu_cluster_stat stat)
{
    nu_stat_add(tp->pick.cluster->stats, nu_filter_loop(&tp->filter)->shard, stat, 1);
}

/* How long nothing may flow now, 0 = for ever. */
static int64_t quiet_limit_ms(const struct tcp_proxy *tp)
{
    int64_t idle = tp->conf->idle_timeout_ms, half = tp->conf->half_close_timeout_ms;
    if (tp->cut)
        return RESET_GRACE_MS;
    if (tp->half_closed && half > 0 && (idle == 0 || half < idle))
        return half;
    return idle;
}

static void on_quiet(struct nu_filter *f)
{
    struct tcp_proxy *tp = self_of(f);
    int64_t limit = quiet_limit_ms(tp);
    int64_t quiet = nu_filter_loop(f)->now_ms - nu_chain_last_activity(f->chain);
    if (quiet < limit) {
        nu_timer_set(f, TIMER_IDLE, limit - quiet, on_quiet);
        return;
    }
    if (tp->cut) {
        nu_fail(f, nu_chain_result(f->chain).cause, nu_chain_result(f->chain).side, "%s", "");
    } else if (tp->half_closed && limit != tp->conf->idle_timeout_ms) {
        count(tp, TCP_HALF_CLOSE_TIMEOUT);
        nu_fail(f, NU_CAUSE_HALF_CLOSE, NU_SIDE_LOCAL, "no byte for %lld ms", (long long)limit);
    } else {
        count(tp, TCP_IDLE_TIMEOUT);
        nu_fail(f, NU_CAUSE_IDLE, NU_SIDE_LOCAL, "no byte for %lld ms", (long long)limit);
    }
}

static void watch_quiet(struct tcp_proxy *tp)
{
    int64_t limit = quiet_limit_ms(tp);
    if (limit > 0)
        nu_timer_set(&tp->filter, TIMER_IDLE, limit, on_quiet);
}

static struct nu_cluster *choose_cluster(const struct tcp_proxy_conf *conf, struct nu_loop *loop)
{
    const struct weighted *w = conf->clusters.items;
    int64_t at =
        conf->clusters.count > 1 ? (int64_t)(nu_loop_random(loop) % (uint64_t)conf->weight_sum) : 0;
    while (at >= w->weight)
        at -= w++->weight;
    return w->cluster;
}

static void on_leg_ready(struct nu_filter *f)
{
    struct tcp_proxy *tp = self_of(f);
    const struct nu_facts *facts = nu_chain_facts(f->chain);
    tp->ready = true;
    nu_chain_facts_exchange(f->chain)->connect_ms =
        (uint32_t)(nu_filter_loop(f)->now_ms - facts->start_ms + 1);
    nu_release(f, NU_FWD);
    watch_quiet(tp);
}

static bool open_leg(struct tcp_proxy *tp)
{
    struct nu_filter *f = &tp->filter;
    struct nu_pick *pick = &tp->pick;
    if (tp->conf->connect)
        return nu_leg_connect(f, pick->cluster, pick->endpoint, tp->conf->connect, on_leg_ready);
    return nu_leg_open(f, pick->cluster, pick->endpoint, on_leg_ready);
}

/* Opens a leg to the endpoint that was picked; false: the chain fails. */
static bool try_endpoint(struct tcp_proxy *tp)
{
    struct nu_cluster *cluster = tp->pick.cluster;
    struct nu_facts_exchange *facts = nu_chain_facts_exchange(tp->filter.chain);
    facts->upstream = &tp->pick.endpoint->addr;
    facts->attempts++;
    if (open_leg(tp))
        return true;
    cluster_count(tp, NU_CLUSTER_CX_OVERFLOW);
    nu_fail(&tp->filter, NU_CAUSE_OVERFLOW, NU_SIDE_LOCAL, "cluster %s is at its %lld connections",
            cluster->name, (long long)cluster->max_connections);
    return false;
}

/* True: a leg is on its way or somebody looks for its end, or the chain has failed. False: there
 * is no endpoint left. */
static bool try_next(struct tcp_proxy *tp)
{
    enum nu_cause cause;
    const char *why;
    switch (nu_pick_next(&tp->pick, &tp->filter)) {
    case NU_PICK_FOUND:
        try_endpoint(tp);
        return true;
    case NU_PICK_WAIT:
        return true;
    case NU_PICK_NONE:
        break;
    }
    if (!nu_pick_why(&tp->pick, &cause, &why))
        return false;
    count(tp, TCP_CX_NO_ROUTE);
    nu_fail(&tp->filter, cause, nu_cause_row(cause)->side, "%s", why);
    return true;
}

static void no_endpoint(struct tcp_proxy *tp)
{
    count(tp, TCP_CX_NO_ROUTE);
    cluster_count(tp, NU_CLUSTER_CX_NONE_HEALTHY);
    nu_fail(&tp->filter, NU_CAUSE_NO_ENDPOINT, NU_SIDE_UPSTREAM, "cluster %s has no endpoint",
            tp->pick.cluster->name);
}

/* What was waited for is there. */
static void on_picked(struct nu_filter *f)
{
    if (!try_next(self_of(f)))
        no_endpoint(self_of(f));
}

/* A leg ended before it was ready: the next endpoint, or the end. */
static void leg_failed(struct tcp_proxy *tp, struct nu_result result)
{
    char addr[NU_ADDR_TEXT_MAX];
    nu_addr_str(&tp->pick.endpoint->addr, addr);
    nu_part(&tp->joint, result); /* usually the leg has done that itself */
    if (try_next(tp))
        return;
    cluster_count(tp, NU_CLUSTER_CX_CONNECT_ATTEMPTS_EXCEEDED);
    const struct nu_facts_more *more = nu_chain_facts(tp->filter.chain)->more;
    const char *why = more && more->connect_failure ? more->connect_failure : "";
    nu_fail(&tp->filter, result.cause, result.side, "%u tried, last %s%s%s", tp->pick.tried_count,
            addr, *why ? ": " : "", why);
}

static void tcp_proxy_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct tcp_proxy *tp = self_of(f);
    if (!tp->ready) {
        nu_assert(dir == NU_REV); /* FWD is held */
        leg_failed(tp, ev->u.end);
        return;
    }
    tp->half_closed = true;
    tp->cut = tp->cut || ev->u.end.how != NU_CLEAN;
    nu_forward(f, dir, ev);
    watch_quiet(tp);
}

/* Chooses the cluster, and opens the first leg. */
static void first_try(struct nu_filter *f)
{
    struct tcp_proxy *tp = self_of(f);
    struct nu_cluster *cluster = choose_cluster(tp->conf, nu_filter_loop(f));
    nu_pick_start(&tp->pick, f, cluster, (uint8_t)tp->conf->attempts, on_picked);
    nu_chain_facts_exchange(f->chain)->cluster = cluster->name;
    on_picked(f);
}

static void tcp_proxy_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct tcp_proxy *tp = self_of(f);
    if (dir == NU_REV && go && !tp->pick.cluster)
        first_try(f);
    if (dir != NU_FWD || !tp->ready || tp->paused == !go)
        return;
    tp->paused = !go;
    count(tp, go ? TCP_RESUMED_READING : TCP_PAUSED_READING);
}

static enum nu_open tcp_proxy_open(struct nu_filter *f, const void *conf)
{
    struct tcp_proxy *tp = self_of(f);
    tp->conf = conf;
    count(tp, TCP_CX_TOTAL);
    nu_hold(f, NU_FWD);
    return NU_OPEN;
}

static void tcp_proxy_start(struct nu_filter *f)
{
    struct tcp_proxy *tp = self_of(f);
    nu_sock_set_meter(f->chain,
                      (struct nu_meter){tp->conf->stats, TCP_CX_RX_BYTES, TCP_CX_TX_BYTES});
    if (!nu_blocked(f, NU_REV)) /* else the client's handshake comes first */
        first_try(f);
}

static void tcp_proxy_close(struct nu_filter *f)
{
    struct tcp_proxy *tp = self_of(f);
    nu_part(&tp->joint, nu_chain_result(f->chain));
    nu_pick_end(&tp->pick);
}

static const struct nu_field weighted_fields[] = {
    {.key = "name",
     .type = NU_STRING,
     .flags = NU_REQUIRED,
     .offset = offsetof(struct weighted, name),
     .doc = "A cluster's name."},
    {.key = "weight",
     .type = NU_INT,
     .offset = offsetof(struct weighted, weight),
     .fallback = "1",
     .min = 1,
     .max = 1000000,
     .doc = "Its share of the connections, in proportion to the sum."},
    {0              },
};

static const struct nu_schema weighted_schema = {
    .name = "weighted cluster",
    .doc = "One of several clusters.",
    .size = sizeof(struct weighted),
    .fields = weighted_fields,
    .scalar = "name",
};

static const struct nu_field fields[] = {
    {.key = "cluster",
     .type = NU_STRING,
     .offset = offsetof(struct tcp_proxy_conf, cluster_name),
     .doc = "The cluster to relay to. Either this or `clusters`."},
    {.key = "clusters",
     .type = NU_OBJECT,
     .flags = NU_LIST,
     .sub = &weighted_schema,
     .offset = offsetof(struct tcp_proxy_conf, clusters),
     .doc = "Several clusters that share the connections by weight."},
    {.key = "connect",
     .type = NU_STRING,
     .offset = offsetof(struct tcp_proxy_conf, connect),
     .doc = "HOST:PORT. The cluster's endpoints are proxies: each connection goes through a tunnel "
            "there that one of them is asked for (CONNECT), in the HTTP that the cluster's "
            "`protocol` says; over HTTP/2 many share one connection. `connect_timeout` is for the "
            "connection, and again for the answer."},
    {.key = "idle_timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct tcp_proxy_conf, idle_timeout_ms),
     .fallback = "1h",
     .doc = "A connection on which no byte flows for this long is closed; 0 = never."},
    {.key = "half_close_timeout",
     .type = NU_DURATION,
     .offset = offsetof(struct tcp_proxy_conf, half_close_timeout_ms),
     .fallback = "5m",
     .doc = "The same once one side has closed its half; 0 = as idle_timeout."},
    {.key = "connect_attempts",
     .type = NU_INT,
     .offset = offsetof(struct tcp_proxy_conf, attempts),
     .fallback = "5",
     .min = 1,
     .max = ATTEMPTS_MOST,
     .doc = "Endpoints tried for one connection before it is given up."},
    {.key = "name",
     .type = NU_STRING,
     .offset = offsetof(struct tcp_proxy_conf, name),
     .doc = "Prefix of its stats, tcp.<name>.*; by default the (first) cluster's name."},
    {0                                               },
};

static const struct nu_schema schema = {
    .name = "tcp_proxy",
    .doc =
        "Ends a chain: relays bytes to an endpoint of a cluster. When a connect fails it tries the "
        "next endpoint; FIN and RST of either side reach the other as they are.",
    .size = sizeof(struct tcp_proxy_conf),
    .fields = fields,
    .scalar = "cluster",
};

/* The one `cluster` becomes a list of one. */
static enum nu_err make_list(struct tcp_proxy_conf *conf, struct nu_conf *c, struct nu_arena *arena,
                             const struct nu_node *node)
{
    if (!conf->cluster_name == !conf->clusters.count) {
        nu_conf_error(c, node, "%s",
                      conf->cluster_name ? "give either \"cluster\" or \"clusters\", not both"
                                         : "needs \"cluster\", the name of one of the clusters");
        return NU_ERR_CONFIG;
    }
    if (conf->cluster_name) {
        struct weighted *one = nu_arena_alloc(arena, sizeof *one);
        *one = (struct weighted){.name = conf->cluster_name, .weight = 1};
        conf->clusters = (struct nu_vec){one, 1};
    }
    return NU_OK;
}

static bool known_clusters(const struct nu_generation *gen, struct nu_conf *c,
                           const struct nu_node *node)
{
    return node->kind == NU_NODE_MAP ? nu_clusters_known(gen->clusters, c, node)
                                     : nu_cluster_known(gen->clusters, c, node);
}

static void tcp_proxy_check_names(const struct nu_generation *gen, struct nu_conf *c,
                                  const struct nu_node *node)
{
    known_clusters(gen, c, node);
}

static enum nu_err check_connect(const struct tcp_proxy_conf *conf, struct nu_conf *c,
                                 const struct nu_node *node)
{
    const char *to = conf->connect;
    if (!to || nu_http_is_host_port(nu_text(to, strlen(to))))
        return NU_OK;
    nu_conf_error(c, nu_node_get(node, "connect"), "expected HOST:PORT");
    return NU_ERR_CONFIG;
}

static enum nu_err tcp_proxy_prepare(struct nu_generation *gen, struct nu_conf *c,
                                     struct nu_arena *arena, const struct nu_node *node,
                                     void *parsed)
{
    struct tcp_proxy_conf *conf = parsed;
    enum nu_err err = make_list(conf, c, arena, node);
    if (check_connect(conf, c, node))
        err = NU_ERR_CONFIG;
    if (!known_clusters(gen, c, node))
        err = NU_ERR_CONFIG;
    if (err)
        return err;
    struct weighted *w = conf->clusters.items;
    for (size_t i = 0; i < conf->clusters.count; i++) {
        w[i].cluster = nu_cluster_hold(gen->clusters, w[i].name, arena);
        conf->weight_sum += w[i].weight;
    }
    const char *name = conf->name ? conf->name : w[0].name;
    conf->stats = nu_stats_hold(&nu_tcp_proxy_stats, nu_arena_printf(arena, "tcp.%s", name), arena);
    return NU_OK;
}

const struct nu_filter_type nu_filter_tcp_proxy = {
    .name = "tcp_proxy",
    .doc = "Relays bytes to an endpoint of a cluster.",
    .size = sizeof(struct tcp_proxy),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_NONE),
    .flags = NU_F_ASKS,
    .joint = offsetof(struct tcp_proxy, joint),
    .sees = {NU_SEES(NU_END), NU_SEES(NU_END)},
    .schema = &schema,
    .prepare = tcp_proxy_prepare,
    .check_names = tcp_proxy_check_names,
    .open = tcp_proxy_open,
    .start = tcp_proxy_start,
    .event = tcp_proxy_event,
    .flow = tcp_proxy_flow,
    .close = tcp_proxy_close,
};
