/* Connections that outlive their config: between two messages they take what a newer one has for
 * them. On the connection's worker, but for the shapes, which main makes. */
#include "core/assert.h"
#include "core/table/hash.h"
#include "core/table/strmap.h"
#include "l4/listener_priv.h"

#include <string.h>

static uint64_t hash_node(struct nu_arena *scratch, const struct nu_node *node)
{
    const char *text = nu_node_print(scratch, node);
    return nu_hash_bytes(text, strlen(text), false);
}

uint64_t nu_chain_conf_shape(const struct nu_chain_conf *chain, const struct nu_node *node,
                             const struct nu_node *filters, struct nu_arena *scratch)
{
    const struct nu_filter_type *last = chain->places[chain->place_count - 1].type;
    const struct nu_node *tls = nu_node_get(node, "tls");
    if (!(last->flags & NU_F_RENEWS))
        return 0;
    uint64_t shape = tls ? hash_node(scratch, tls) : 0;
    for (uint32_t i = 0; filters->kind == NU_NODE_LIST && i + 1 < filters->count; i++)
        shape = nu_hash_mix(shape + hash_node(scratch, filters->child[i]));
    return shape | 1;
}

/* Filters keep what they were made of, so the first config stays; those between it and the newest
 * are only pinned by the streams that began on them. */
static void take(struct listener_conn *conn, struct nu_chain_conf *next, unsigned shard)
{
    nu_pin(&next->counted, shard);
    if (conn->first)
        nu_unpin(&conn->conf->counted, shard);
    else
        conn->first = conn->conf;
    conn->conf = next;
}

/* What the connection's listener is in the newest config; NULL: that has none by its name. */
static const struct listener *newest(const struct listener_conn *conn, const struct nu_filter *f)
{
    return nu_conn_tally(conn)->now[nu_filter_loop(f)->shard];
}

bool nu_listener_is_newest(const struct nu_filter *f)
{
    const struct listener_conn *conn = nu_conn_of(f->chain);
    const struct listener *now = conn ? newest(conn, f) : NULL;
    return !conn || (now && (uint32_t)now->number == conn->number);
}

bool nu_listener_renew(struct nu_filter *f, const void **conf)
{
    if (nu_listener_is_newest(f))
        return true;
    struct listener_conn *conn = nu_conn_of(f->chain);
    const struct listener *now = newest(conn, f);
    struct nu_chain_conf *next =
        now && now->renewing ? nu_strmap_get_str(now->renewing, conn->conf->name) : NULL;
    if (!next || next->shape != conn->conf->shape ||
        strcmp(next->places[next->place_count - 1].type->name, f->type->name) != 0)
        return false;
    conn->number = (uint32_t)now->number;
    take(conn, next, nu_filter_loop(f)->shard);
    *conf = next->places[next->place_count - 1].conf;
    return true;
}
