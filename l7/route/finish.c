/* A route whose keys were right, one by one: does it do exactly one thing, do the keys go together,
 * are its clusters there. Main thread. */
#include "l7/route/route_priv.h"

#include "core/generation.h"
#include "core/table/hash.h"
#include "l4/cluster_ref.h"

#include <string.h>

struct reader {
    struct nu_generation *gen;
    struct nu_conf *conf;
    struct nu_arena *arena;
    const struct nu_node *node;
};

/* --- actions --- */

static const char *const actions[] = {"cluster", "clusters", "redirect", "respond"};
#define ACTIONS (sizeof actions / sizeof *actions)

static enum nu_err one_action(const struct reader *rd, struct route *r)
{
    const struct nu_node *first = NULL, *node;
    enum nu_err err = NU_OK;
    for (size_t i = 0; i < ACTIONS; i++) {
        if (!(node = nu_node_get(rd->node, actions[i])))
            continue;
        if (first) {
            nu_conf_error_key(rd->conf, node, "\"%s\" stands beside \"%s\": a route does one thing",
                              actions[i], first->key);
            err = NU_ERR_CONFIG;
        }
        first = first ? first : node;
    }
    if (!first) {
        nu_conf_error(rd->conf, rd->node,
                      "the route does nothing: give cluster, clusters, redirect or respond");
        return NU_ERR_CONFIG;
    }
    r->route.kind = r->redirect  ? NU_ROUTE_REDIRECT
                    : r->respond ? NU_ROUTE_RESPOND
                                 : NU_ROUTE_CLUSTER;
    return err;
}

/* Keys that would say nothing, but for those that stand in every normalized route. */
static enum nu_err fitting_keys(const struct reader *rd, const struct route *r)
{
    static const char *const cluster_only[] = {"rewrite", "retry", "request_headers"};
    static const char *const pathless[] = {"path", "path_prefix", "path_regex", "method"};
    const struct nu_node *match = nu_node_get(rd->node, "match"), *node;
    enum nu_err err = NU_OK;
    for (size_t i = 0;
         r->route.kind != NU_ROUTE_CLUSTER && i < sizeof cluster_only / sizeof *cluster_only; i++)
        if ((node = nu_node_get(rd->node, cluster_only[i]))) {
            nu_conf_error_key(rd->conf, node, "\"%s\" goes with a cluster: this route has none",
                              node->key);
            err = NU_ERR_CONFIG;
        }
    for (size_t i = 0; r->route.connect && match && i < sizeof pathless / sizeof *pathless; i++)
        if ((node = nu_node_get(match, pathless[i]))) {
            nu_conf_error_key(rd->conf, node,
                              "\"%s\" can't be told of CONNECT, which names a host "
                              "alone",
                              node->key);
            err = NU_ERR_CONFIG;
        }
    return err;
}

/* --- clusters --- */

/* The one `cluster` is a share, too. */
static enum nu_err pin_clusters(const struct reader *rd, struct route *r)
{
    if (r->cluster_name) {
        struct nu_route_share *one = nu_arena_alloc(rd->arena, sizeof *one);
        *one = (struct nu_route_share){.name = r->cluster_name, .weight = 1};
        r->clusters = (struct nu_vec){one, 1};
    }
    struct nu_route_share *shares = r->clusters.items;
    for (size_t i = 0; i < r->clusters.count; i++)
        r->route.weight_sum += shares[i].weight;
    if (r->route.weight_sum == 0) {
        nu_conf_error(rd->conf, nu_node_get(rd->node, "clusters"),
                      "all weights are 0: nobody gets a request");
        return NU_ERR_CONFIG;
    }
    for (size_t i = 0; i < r->clusters.count; i++)
        shares[i].cluster = nu_cluster_hold(rd->gen->clusters, shares[i].name, rd->arena);
    r->route.shares = shares;
    r->route.share_count = (unsigned)r->clusters.count;
    return NU_OK;
}

/* --- the rest --- */

/* By the order of the names in the schema. */
static const unsigned retry_bits[] = {
    NU_RETRY_CONNECT_FAILURE,
    NU_RETRY_REFUSED_STREAM,
    NU_RETRY_RESET,
    NU_RETRY_5XX | NU_RETRY_CONNECT_FAILURE | NU_RETRY_REFUSED_STREAM | NU_RETRY_RESET,
    NU_RETRY_GATEWAY_ERROR,
    NU_RETRY_RETRIABLE_4XX,
    NU_RETRY_CANCELLED,
    NU_RETRY_DEADLINE_EXCEEDED,
    NU_RETRY_INTERNAL,
    NU_RETRY_RESOURCE_EXHAUSTED,
    NU_RETRY_UNAVAILABLE,
};

static void set_retry(struct route *r)
{
    if (!r->retry)
        return;
    const int *when = r->retry->when.items;
    for (size_t i = 0; i < r->retry->when.count; i++)
        r->route.retry.when |= retry_bits[when[i]];
    r->route.retry.attempts = r->retry->attempts;
    r->route.retry.per_try_timeout_ms = r->retry->per_try_timeout_ms;
}

static enum nu_err set_upgrades(const struct reader *rd, struct route *r)
{
    const char **names = r->upgrades.items;
    const char **others = nu_arena_alloc(rd->arena, (r->upgrades.count + 1) * sizeof *others);
    size_t n = 0;
    for (size_t i = 0; i < r->upgrades.count; i++) {
        char *name = nu_arena_strdup(rd->arena, names[i]);
        for (char *c = name; *c; c++)
            *c = (char)nu_fold((uint8_t)*c);
        bool protocol = nu_http_name_ok(nu_text(name, strcspn(name, "/")));
        if (!protocol || strcmp(name, "h2c") == 0) {
            nu_conf_error(rd->conf, nu_node_get(rd->node, "upgrade"), "\"%s\" %s", name,
                          protocol ? "cannot pass: HTTP/2 is spoken by each side for itself"
                                   : "is no protocol to change to");
            return NU_ERR_CONFIG;
        }
        if (strcmp(name, "websocket") == 0)
            r->route.websocket = true;
        else
            others[n++] = name;
    }
    r->route.upgrades = others;
    return NU_OK;
}

/* A prefix is replaced where there is one. */
static enum nu_err set_prefix(const struct reader *rd, const struct route *r, const char *key,
                              struct nu_route_rewrite *to)
{
    if (!to || !to->path_prefix)
        return NU_OK;
    if (!r->match.path_prefix) {
        nu_conf_error_key(rd->conf, nu_node_get(nu_node_get(rd->node, key), "path_prefix"),
                          "\"path_prefix\" replaces what match.path_prefix matched: there is none");
        return NU_ERR_CONFIG;
    }
    to->matched = strlen(r->match.path_prefix);
    return NU_OK;
}

enum nu_err route_finish(struct nu_generation *gen, struct nu_conf *conf, struct nu_arena *arena,
                         const struct nu_node *node, struct route *r)
{
    struct reader rd = {gen, conf, arena, node};
    enum nu_err err = one_action(&rd, r);
    if (!err)
        err = fitting_keys(&rd, r);
    if (!nu_clusters_known(gen->clusters, conf, node))
        err = NU_ERR_CONFIG;
    if (set_upgrades(&rd, r) || set_prefix(&rd, r, "rewrite", r->rewrite) ||
        set_prefix(&rd, r, "redirect", r->redirect ? &r->redirect->to : NULL))
        err = NU_ERR_CONFIG;
    set_retry(r);
    if (!nu_node_get(node, "idle_timeout"))
        r->route.idle_timeout_ms = -1;
    if (!nu_node_get(node, "max_grpc_timeout"))
        r->route.max_grpc_timeout_ms = -1;
    r->route.rewrite = r->rewrite;
    r->route.redirect = r->redirect;
    r->route.respond = r->respond ? &r->respond->compiled : NULL;
    return err || r->route.kind != NU_ROUTE_CLUSTER ? err : pin_clusters(&rd, r);
}
