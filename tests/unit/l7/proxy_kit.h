/* The HTTP/1 proxy between a client and servers that are the test's own words:
 *
 *     client | http   ~joint~   stream | [the test's filters] | router   ~joint~   h1_client |
 * server
 *
 * on a virtual clock: what either side sends is said by the test, what reaches it is kept as bytes.
 * Stands in for l4/upstream.c: no socket is opened. The fuzzer uses it too. */
#ifndef NU_TESTS_PROXY_KIT_H
#define NU_TESTS_PROXY_KIT_H

#include "core/assert.h"
#include "core/build.h"
#include "core/conf/schema.h"
#include "core/generation.h"
#include "core/log.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/upstream.h"
#include "l7/http.h"
#include "l7/pool.h"
#include "l7/route/route.h"
#include "l7/router.h"
#include "l7/stream_in.h"
#include "tests/filters/filters.h"
#include "tests/filters/probe.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIT_LEGS_MAX  64           /* connections to servers in one test */
#define KIT_BYTES_MAX (256 * 1024) /* that one peer is sent; more is counted only */

/* One end of the proxy, as its peer sees it. */
struct kit_peer {
    struct nu_probe probe; /* first member */
    char got[KIT_BYTES_MAX + 1];
    size_t len;
    unsigned ends;           /* that came: one at most */
    struct nu_result result; /* the END that came */
    bool said_end;
};

static struct proxy_kit {
    struct nu_loop loop;
    struct nu_arena *arena, *clusters; /* clusters outlive who pins them */
    struct nu_generation gen;
    struct nu_http_conf conf;
    struct kit_peer client, leg[KIT_LEGS_MAX];
    unsigned legs;
    unsigned chains; /* of clients, not closed */
    bool late;       /* servers are connected only by kit_connected */
    bool full;       /* no connection may be opened */
    unsigned ended;  /* connections to servers that are over */
} kit;

/* --- in the place of l4/upstream.c */

static inline void kit_took(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct kit_peer *p = (struct kit_peer *)nu_probe_of(f);
    if (ev->kind == NU_END) {
        nu_assert(++p->ends == 1);
        p->result = ev->u.end;
        nu_done(f, dir);
        return;
    }
    nu_assert(ev->kind == NU_DATA && p->ends == 0 && ev->u.data.len > 0);
    size_t room = KIT_BYTES_MAX - p->len;
    size_t n = ev->u.data.len < room ? ev->u.data.len : room;
    memcpy(p->got + p->len, ev->u.data.data, n);
    p->len += n;
    p->got[p->len] = 0;
    nu_ev_free(ev);
}

static inline enum nu_open kit_leg_open(struct nu_filter *f)
{
    if (kit.late)
        nu_hold(f, NU_FWD);
    return NU_OPEN;
}

struct nu_chain *nu_upstream_open(struct nu_filter *owner, struct nu_cluster *cluster,
                                  struct nu_endpoint *endpoint, const struct nu_place *first)
{
    if (kit.full || kit.legs == KIT_LEGS_MAX)
        return NULL;
    struct kit_peer *leg = &kit.leg[kit.legs++];
    leg->probe = (struct nu_probe){.name = "server", .open = kit_leg_open, .event = kit_took};
    const struct nu_place places[] = {
        *first, {&nu_pedant,      NULL       },
         {&nu_probe_right, &leg->probe}
    };
    return nu_chain_new(nu_filter_loop(owner), places, 3, NULL, NULL, NULL);
}

void nu_upstream_list_own(struct nu_upstream *up, struct nu_chain *chain)
{
}

void nu_upstream_begin(struct nu_upstream *up, struct nu_filter *f, struct nu_cluster *cluster,
                       struct nu_endpoint *endpoint)
{
    *up = (struct nu_upstream){.cluster = cluster, .endpoint = nu_endpoint_ref(endpoint)};
    nu_pin(&cluster->counted, nu_filter_loop(f)->shard);
}

void nu_upstream_ready(struct nu_upstream *up, const struct nu_filter *f, struct nu_chain *owner)
{
    nu_assert(!up->ready);
    up->ready = true;
}

void nu_upstream_tell(const struct nu_upstream *up, const struct nu_filter *f,
                      struct nu_chain *owner)
{
}

void nu_upstream_tell_end(const struct nu_upstream *up, const struct nu_filter *f,
                          struct nu_chain *owner)
{
}

void nu_upstream_timed_out(const struct nu_upstream *up, struct nu_filter *f)
{
    nu_fail(f, NU_CAUSE_CONNECT_TIMEOUT, NU_SIDE_UPSTREAM, "%s", "");
}

void nu_upstream_leave(struct nu_upstream *up, const struct nu_filter *f)
{
}

void nu_upstream_end(struct nu_upstream *up, struct nu_filter *f, struct nu_chain *owner)
{
    kit.ended++;
    nu_endpoint_unref(up->endpoint);
    nu_unpin(&up->cluster->counted, nu_filter_loop(f)->shard);
}

/* --- a test's beginning and end */

static inline const struct nu_node *kit_node(const struct nu_node *root, const char *key)
{
    const struct nu_node *node = nu_node_get(root, key);
    nu_assert(node != NULL);
    return node;
}

static inline _Noreturn void kit_die(const char *why)
{
    fputs(why, stderr);
    abort();
}

/* `text` has the keys clusters and routes, and may have filters. */
static inline void kit_conf(const char *text)
{
    static const struct nu_place ends[] = {
        {&nu_stream_in, NULL},
        {&nu_router,    NULL}
    };
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/etc", text, strlen(text));
    const struct nu_node *root = nu_conf_root(conf);
    kit.arena = kit.gen.arena = nu_arena_new(4096);
    kit.clusters = nu_arena_new(4096);
    if (!root || nu_clusters_build(conf, kit.clusters, kit_node(root, "clusters"), NULL,
                                   &kit.gen.clusters) != NU_OK)
        kit_die(nu_conf_report(conf));
    nu_clusters_commit(kit.gen.clusters, NULL);
    if (nu_routes_build(&kit.gen, conf, kit.arena, kit_node(root, "routes"),
                        nu_node_get(root, "filters"), &ends[0], &ends[1], &kit.conf.routes))
        kit_die(nu_conf_report(conf));
    nu_conf_free(conf);
    kit.conf.places = ends;
    kit.conf.place_count = 2;
}

static inline void kit_begin(const char *text)
{
    static bool registered;
    memset(&kit, 0, sizeof kit);
    if (!registered)
        nu_pool_register();
    registered = true;
    nu_workers_init(1);
    nu_loop_init(&kit.loop, 0);
    nu_log_set_level(NU_LOG_ERROR);
    kit_conf(text);
    kit.conf.name = "t";
    kit.conf.forwarded.server = "";
    kit.conf.limits = (struct nu_h1_limits)NU_H1_LIMITS_DEFAULT;
    kit.conf.headers_timeout_ms = 10 * 1000;
    kit.conf.request_timeout_ms = 60 * 1000;
    kit.conf.stream_idle_timeout_ms = 300 * 1000;
    kit.conf.tunnel_idle_timeout_ms = 3600 * 1000;
    kit.conf.idle_timeout_ms = 3600 * 1000;
    kit.conf.stats = nu_stats_get(&nu_http_stats, "http.t");
}

static inline void kit_closed(struct nu_chain *chain, void *ctx)
{
    kit.chains--;
}

/* The one client of a test; another after it is gone. */
static inline void kit_client(void)
{
    static const struct nu_chain_owner owner = {.closed = kit_closed};
    nu_assert(kit.chains == 0);
    memset(&kit.client, 0, sizeof kit.client);
    kit.client.probe = (struct nu_probe){.name = "client", .event = kit_took};
    const struct nu_place places[] = {
        {&nu_probe_left,  &kit.client.probe},
        {&nu_pedant,      NULL             },
        {&nu_filter_http, &kit.conf        }
    };
    struct nu_facts facts = {.start_ms = kit.loop.now_ms};
    nu_assert(nu_addr_parse(&facts.client, "192.0.2.1:5", -1) == NU_OK);
    kit.chains++;
    nu_chain_new(&kit.loop, places, 3, &facts, &owner, NULL);
}

static inline void kit_abort(struct kit_peer *peer)
{
    if (peer->probe.self)
        nu_chain_abort(peer->probe.self->chain, NU_CAUSE_DRAIN);
}

static inline void kit_turn(void)
{
    nu_loop_advance(&kit.loop, 0);
}

/* All that was made is gone again: chains, blocks, references. */
static inline void kit_end(void)
{
    kit_abort(&kit.client);
    for (unsigned i = 0; i < kit.legs; i++)
        kit_abort(&kit.leg[i]);
    kit_turn();
    for (int i = 0; i < 100 && kit.loop.chain_count > 0; i++)
        nu_loop_advance(&kit.loop, 1000); /* filters of a stream take their time */
    nu_assert(kit.chains == 0 && kit.ended == kit.legs);
    nu_assert(kit.loop.chain_count == 0 && nu_block_pool_lent(kit.loop.blocks) == 0);
    nu_loop_fini(&kit.loop);
    nu_stats_put(kit.conf.stats);
    nu_arena_free(kit.arena);
    for (unsigned i = 0; i <= nu_workers_count(); i++)
        nu_clusters_retire_on(kit.gen.clusters, NULL, i);
    event_base_loop(nu_worker_main()->base, EVLOOP_NONBLOCK);
    nu_arena_free(kit.clusters);
    nu_workers_free();
}

/* --- what is said */

static struct {
    const void *data;
    size_t len;
    enum nu_cause cause;
} kit_word;

static inline void kit_say_now(struct nu_filter *f)
{
    enum nu_dir dir = f->next[NU_FWD] ? NU_FWD : NU_REV;
    nu_forward_data(f, dir, nu_slice_copy(nu_filter_loop(f)->blocks, kit_word.data, kit_word.len));
}

/* As a socket does: a reset takes both directions. */
static inline void kit_end_now(struct nu_filter *f)
{
    enum nu_dir dir = f->next[NU_FWD] ? NU_FWD : NU_REV;
    nu_forward_end(f, dir, nu_result_of(kit_word.cause));
    if (nu_cause_row(kit_word.cause)->how == NU_RESET)
        nu_drop(f, nu_opposite(dir));
}

static inline void kit_say_bytes(struct kit_peer *peer, const void *data, size_t len)
{
    kit_word.data = data;
    kit_word.len = len;
    if (peer->probe.self && !peer->said_end && len > 0)
        nu_call(peer->probe.self, kit_say_now);
    nu_loop_settle(&kit.loop);
}

static inline void kit_finish(struct kit_peer *peer, enum nu_cause cause)
{
    kit_word.cause = cause;
    if (peer->probe.self && !peer->said_end) {
        peer->said_end = true;
        nu_call(peer->probe.self, kit_end_now);
    }
    kit_turn();
}

static inline void kit_say(struct kit_peer *peer, const char *text)
{
    kit_say_bytes(peer, text, strlen(text));
    kit_turn();
}

static inline void client_says(const char *text)
{
    kit_say(&kit.client, text);
}

static inline void server_says(unsigned leg, const char *text)
{
    nu_assert(leg < kit.legs);
    kit_say(&kit.leg[leg], text);
}

/* What came since the last call. */
static inline const char *kit_heard(struct kit_peer *peer)
{
    static char text[KIT_BYTES_MAX + 1];
    memcpy(text, peer->got, peer->len + 1);
    peer->len = 0;
    peer->got[0] = 0;
    return text;
}

static inline void kit_connected(unsigned leg)
{
    nu_outside_hold(kit.leg[leg].probe.self, NU_FWD, false);
    kit_turn();
}

static inline int64_t kit_stat(enum nu_http_stat stat)
{
    return nu_stat_read(kit.conf.stats, stat);
}

/* What the client got since the last look. */
static inline const char *client(void)
{
    return kit_heard(&kit.client);
}

static inline int kit_setup(void **state)
{
    kit_begin(*state);
    kit_client();
    return 0;
}

static inline int kit_teardown(void **state)
{
    kit_end();
    nu_chain_set_expander(NULL);
    return 0;
}

/* A test with a client before the config that its file calls CONF. */
#define KIT_TEST(name)                                                                             \
    cmocka_unit_test_prestate_setup_teardown(name, kit_setup, kit_teardown, (char *)CONF)

#endif
