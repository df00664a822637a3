/* A connection of a listener of streams: from accept through sniffing to its chain. Each lives on
 * one worker. */
#include "core/assert.h"
#include "l4/filters/proxy_protocol_in.h"
#include "l4/listener_priv.h"
#include "l4/sniff.h"
#include "l4/sock.h"

#include <stdlib.h>
#include <string.h>

/* --- the end --- */

static void gone(struct nu_loop *loop, void *ctx)
{
    nu_conn_gone(ctx, loop);
}

static void closed(struct nu_chain *chain, void *ctx)
{
    struct nu_facts_exchange *exchange = nu_chain_facts(chain)->exchange;
    if (exchange)
        nu_sock_totals(chain, &exchange->bytes_in, &exchange->bytes_out);
    nu_conn_closed(ctx, chain);
}

static const struct nu_chain_owner owner = {closed, gone, sizeof(struct listener_conn)};

struct listener_conn *nu_conn_of(const struct nu_chain *chain)
{
    return nu_chain_owner(chain) == &owner ? nu_chain_owner_ctx(chain) : NULL;
}

struct nu_chain_conf *nu_listener_chain_conf(const struct nu_chain *connection)
{
    const struct listener_conn *conn = nu_conn_of(connection);
    return conn ? conn->conf : NULL;
}

/* --- the choice of a chain --- */

static bool needs_sniff(const struct listener *l, const struct nu_facts *facts)
{
    return !l->only && nu_match_needs_sniff(l->match, &facts->client, &facts->local);
}

struct nu_chain_conf *nu_listener_choose(const struct listener *l, const struct nu_facts *facts,
                                         const struct nu_match_input *sniffed)
{
    if (l->only)
        return l->only;
    struct nu_match_input in = {.transport = NU_TRANSPORT_UNKNOWN};
    if (sniffed)
        in = *sniffed;
    in.client = &facts->client;
    in.local = &facts->local;
    return nu_match_find(l->match, &in);
}

bool nu_listener_next(struct nu_filter *f, const struct nu_match_input *sniffed)
{
    struct listener_conn *conn = nu_chain_owner_ctx(f->chain);
    struct nu_facts *facts = nu_chain_facts(f->chain);
    const struct listener *l = conn->listener;
    if (!sniffed && needs_sniff(l, facts)) {
        nu_insert(f, NU_FWD, &(struct nu_place){&nu_filter_sniff, &l->pre}, 1);
        return true;
    }
    struct nu_chain_conf *conf = nu_listener_choose(l, facts, sniffed);
    if (!conf)
        return false;
    nu_conn_adopt(conn, conf, facts, nu_filter_loop(f));
    nu_insert(f, NU_FWD, conf->places, conf->place_count);
    return true;
}

/* --- the beginning --- */

/* What stands behind the socket at first, and the conf of what refuses. */
struct first {
    struct nu_place place[1 + NU_CHAIN_MAX_FILTERS];
    unsigned count;
    enum nu_cause refusal;
};

static void push(struct first *first, const struct nu_filter_type *type, const void *conf)
{
    first->place[first->count++] = (struct nu_place){type, conf};
}

static void push_refusal(struct first *first, enum nu_cause cause)
{
    first->refusal = cause;
    push(first, &nu_listener_refuse, &first->refusal);
}

static void push_chain(struct first *first, const struct nu_chain_conf *conf)
{
    nu_assert(first->count + conf->place_count <= NU_CHAIN_MAX_FILTERS);
    memcpy(first->place + first->count, conf->places, conf->place_count * sizeof *conf->places);
    first->count += conf->place_count;
}

/* What is still unknown that a match needs? Nothing: the chain itself, and server-first protocols
 * pass. Facts of the sockets are all there is so far. */
static void decide(struct listener_conn *conn, struct first *first, struct nu_facts *facts,
                   const struct nu_loop *loop)
{
    struct listener *l = conn->listener;
    if (l->pre.proxy != NU_PROXY_OFF) {
        push(first, &nu_filter_proxy_in, &l->pre);
        return;
    }
    if (needs_sniff(l, facts)) {
        push(first, &nu_filter_sniff, &l->pre);
        return;
    }
    struct nu_chain_conf *conf = nu_listener_choose(l, facts, NULL);
    if (!conf) {
        nu_conn_count(conn, loop, NU_LISTENER_NO_FILTER_CHAIN_MATCH, 1);
        push_refusal(first, NU_CAUSE_NO_CHAIN);
        return;
    }
    nu_conn_adopt(conn, conf, facts, loop);
    push_chain(first, conf);
}

/* The path of a UNIX socket belongs to that, which a connection may outlive. */
static void keep_path(struct nu_chain *chain)
{
    struct nu_addr *local = &nu_chain_facts(chain)->local;
    if (local->kind == NU_ADDR_UNIX && local->path)
        local->path = nu_arena_strdup(nu_chain_arena(chain), local->path);
}

void nu_listener_accepted(struct nu_accept_point *point, int fd, const struct nu_addr *peer)
{
    struct nu_loop *loop = point->loop;
    struct listener *l = point->owner;
    struct listener_conn conn = {0}; /* until it lives with its chain */
    nu_conn_begin(&conn, l, loop);
    struct nu_addr direct, local;
    nu_listen_options_local(fd, &point->bound, &l->options, &direct, &local);
    struct nu_facts facts = nu_conn_facts(&conn, loop, peer, &local);
    facts.bound_port = point->bound.port;
    struct nu_sock_conf sock = {.fd = fd, .side = NU_SIDE_CLIENT};
    struct first first; /* not cleared: it is a kilobyte */
    first.count = 0;
    push(&first, &nu_sock, &sock);
    if (nu_tally_take(l->tally, l->max_connections)) {
        decide(&conn, &first, &facts, loop);
    } else {
        conn.uncounted = true;
        nu_conn_count(&conn, loop, NU_LISTENER_CX_OVERFLOW, 1);
        push_refusal(&first, NU_CAUSE_LIMIT);
    }
    struct nu_chain *chain = nu_chain_new(loop, first.place, first.count, &facts, &owner, &conn);
    nu_conn_list(chain);
    keep_path(chain);
    if (!nu_addr_equal(&direct, &local))
        nu_chain_facts_more(chain)->direct_local = direct;
}
