/* The connections and sessions of a worker that are alive: their figures, their end, and what
 * befalls all of them at once. Each lives on one worker. */
#include "core/assert.h"
#include "core/recent.h"
#include "core/worker.h"
#include "l4/listener_priv.h"

#include <stdlib.h>
#include <time.h>

#define DRAIN_TIMER 7 /* slot beside those of the chain's left end itself */

/* A worker's connections. */
struct shard {
    struct nu_list chains; /* that have not ended */
    unsigned count;
    uint64_t generation; /* that removed a listener last */
};

static struct shard *shards[NU_SHARDS_MAX]; /* each touched by its own thread */

static struct shard *shard_of(const struct nu_loop *loop)
{
    nu_assert(loop->shard < NU_SHARDS_MAX);
    struct shard **s = &shards[loop->shard];
    if (!*s) {
        *s = calloc(1, sizeof **s);
        nu_assert(*s != NULL);
        nu_list_init(&(*s)->chains);
    }
    return *s;
}

void nu_conn_count(const struct listener_conn *conn, const struct nu_loop *loop,
                   enum nu_listener_stat stat, int64_t n)
{
    nu_stat_add(nu_conn_tally(conn)->stats, loop->shard, stat, n);
}

/* --- refusing: a chain that fails at once, so that the log says why --- */

static enum nu_open refuse_open(struct nu_filter *f, const void *conf)
{
    enum nu_cause cause = *(const enum nu_cause *)conf;
    nu_fail(f, cause, nu_cause_row(cause)->side, "%s", "");
    return NU_REFUSE;
}

const struct nu_filter_type nu_listener_refuse = {
    .name = "listener",
    .doc = "Ends a connection that no chain gets.",
    .size = sizeof(struct nu_filter),
    .face = NU_FACES(NU_SAME, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .open = refuse_open,
};

/* --- the beginning --- */

void nu_conn_begin(struct listener_conn *conn, struct listener *l, const struct nu_loop *loop)
{
    conn->listener = l;
    nu_listener_pre_begin(l, loop->shard);
    shard_of(loop)->count++;
    nu_conn_count(conn, loop, NU_LISTENER_CX_TOTAL, 1);
    nu_conn_count(conn, loop, NU_LISTENER_CX_ACTIVE, 1);
    nu_conn_count(conn, loop, NU_LISTENER_PRE_CX_ACTIVE, 1);
}

void nu_conn_list(struct nu_chain *chain)
{
    nu_chain_list(chain, &shard_of(nu_chain_loop(chain))->chains);
}

static int64_t wall_clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct nu_facts nu_conn_facts(struct listener_conn *conn, struct nu_loop *loop,
                              const struct nu_addr *client, const struct nu_addr *local)
{
    return (struct nu_facts){
        .client = *client,
        .local = *local,
        .id = ++loop->next_id * (nu_workers_count() + 1) + loop->shard,
        .start_us = wall_clock_us(),
        .start_ms = loop->now_ms,
        .listener = nu_conn_tally(conn)->name,
    };
}

void nu_conn_adopt(struct listener_conn *conn, struct nu_chain_conf *conf, struct nu_facts *facts,
                   const struct nu_loop *loop)
{
    struct listener *l = conn->listener;
    nu_assert(!conn->conf);
    nu_pin(&conf->counted, loop->shard);
    facts->chain = conf->name;
    facts->wanted = conf->wanted;
    conn->conf = conf;
    conn->first = NULL;
    conn->number = (uint32_t)l->number;
    nu_conn_count(conn, loop, NU_LISTENER_PRE_CX_ACTIVE, -1);
    nu_listener_pre_end(l, loop->shard);
}

/* --- the end --- */

void nu_conn_closed(struct listener_conn *conn, struct nu_chain *chain)
{
    struct nu_loop *loop = nu_chain_loop(chain);
    if (nu_chain_result(chain).how != NU_CLEAN)
        nu_recent_add(NU_RECENT_CONNECTION, loop->shard, chain);
    nu_access_log_write(conn->conf ? conn->conf->log : conn->listener->log, chain);
    nu_conn_count(conn, loop, NU_LISTENER_CX_ACTIVE, -1);
    nu_conn_count(conn, loop, NU_LISTENER_CX_DESTROY, 1);
    if (!conn->conf)
        nu_conn_count(conn, loop, NU_LISTENER_PRE_CX_ACTIVE, -1);
    nu_stat_record(nu_conn_tally(conn)->stats, loop->shard, NU_LISTENER_CX_LENGTH_MS,
                   (uint64_t)(loop->now_ms - nu_chain_facts(chain)->start_ms));
    if (!conn->uncounted)
        nu_tally_give(nu_conn_tally(conn));
    shard_of(loop)->count--;
    nu_accept_resume(loop);
}

/* The filters are closed: they needed what is let go here until then. */
void nu_conn_gone(struct listener_conn *conn, const struct nu_loop *loop)
{
    if (!conn->conf) {
        nu_listener_pre_end(conn->listener, loop->shard);
        return;
    }
    nu_unpin(&conn->conf->counted, loop->shard);
    if (conn->first)
        nu_unpin(&conn->first->counted, loop->shard);
}

/* --- all of a worker --- */

unsigned nu_listener_connections(const struct nu_worker *worker)
{
    const struct shard *s = shards[worker->loop.shard];
    return s ? s->count : 0;
}

void nu_listener_abort_all(struct nu_worker *worker, enum nu_cause cause)
{
    nu_list_each (node, &shard_of(&worker->loop)->chains) {
        nu_chain_abort(nu_chain_listed(node), cause);
    }
}

static bool is_gone(const struct listener_conn *conn, const struct shard *shard)
{
    return atomic_load_explicit(&nu_conn_tally(conn)->wanted, memory_order_relaxed) <
           shard->generation;
}

static void on_drain_timeout(struct nu_filter *f)
{
    if (is_gone(nu_chain_owner_ctx(f->chain), shard_of(nu_filter_loop(f))))
        nu_fail(f, NU_CAUSE_DRAIN, NU_SIDE_LOCAL, "its listener was removed");
}

void nu_listener_drain_gone(struct nu_loop *loop, uint64_t next, int64_t drain_ms)
{
    struct shard *shard = shard_of(loop);
    shard->generation = next;
    nu_list_each (node, &shard->chains) {
        struct nu_chain *chain = nu_chain_listed(node);
        if (!is_gone(nu_chain_owner_ctx(chain), shard))
            continue;
        nu_chain_signal(chain, NU_DRAIN);
        if (drain_ms >= 0)
            nu_timer_set(nu_chain_end(chain, NU_REV), DRAIN_TIMER, drain_ms, on_drain_timeout);
    }
}
