/* A listener that the program makes for itself (admin): one socket, one chain, one loop. No match,
 * no access log, and not among the connections that a drain waits for. */
#include "core/assert.h"
#include "core/worker.h"
#include "l4/chain_conf.h"
#include "l4/listener_priv.h"
#include "l4/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 128 /* people and scripts, not traffic */

struct nu_internal_listener {
    struct nu_loop *loop;
    struct listener_socket *socket; /* NULL once it is closed */
    struct nu_tally *tally;
    struct nu_task end;   /* frees its socket where nothing can point to that any more */
    struct nu_task spare; /* takes a descriptor back once a connection's own is closed */
    struct nu_list conns; /* struct internal_conn */
    bool stopped;         /* accepts nobody any more */
    bool closed;          /* whoever had it made lets go of it */
    unsigned conn_count, conn_max;
    unsigned count;
    struct nu_place places[];
};

struct internal_conn {
    struct nu_list link;
    struct nu_chain *chain;
    struct nu_internal_listener *listener;
};

static void count(struct nu_internal_listener *l, enum nu_listener_stat stat, int64_t n)
{
    nu_stat_add(l->tally->stats, l->loop->shard, stat, n);
}

static void free_if_over(struct nu_internal_listener *l)
{
    if (!l->closed || l->socket || !nu_list_empty(&l->conns))
        return;
    nu_task_cancel(&l->end);
    nu_task_cancel(&l->spare);
    nu_tally_put(l->tally);
    free(l);
}

static void end(struct nu_task *task)
{
    struct nu_internal_listener *l = nu_container(task, struct nu_internal_listener, end);
    if (l->socket)
        nu_listener_socket_put(l->socket);
    l->socket = NULL;
    free_if_over(l);
}

static void take_spare(struct nu_task *task)
{
    struct nu_internal_listener *l = nu_container(task, struct nu_internal_listener, spare);
    if (l->socket)
        nu_accept_set_aside(&l->socket->points[0]);
}

static void closed(struct nu_chain *chain, void *ctx)
{
    struct internal_conn *conn = ctx;
    struct nu_internal_listener *l = conn->listener;
    count(l, NU_LISTENER_CX_ACTIVE, -1);
    count(l, NU_LISTENER_CX_DESTROY, 1);
    nu_list_del(&conn->link);
    l->conn_count--;
    free(conn);
    nu_loop_ready(l->loop, &l->spare);
    nu_accept_resume(l->loop);
    free_if_over(l);
}

static const struct nu_chain_owner owner = {.closed = closed};

static void accepted(struct nu_accept_point *point, int fd, const struct nu_addr *peer)
{
    struct nu_internal_listener *l = point->owner;
    struct nu_sock_conf sock = {.fd = fd, .side = NU_SIDE_CLIENT};
    struct nu_place place[1 + NU_CHAIN_MAX_FILTERS] = {
        {&nu_sock, &sock}
    };
    struct nu_facts facts = {.client = *peer, .local = point->bound, .start_ms = l->loop->now_ms};
    if (l->conn_count >= l->conn_max) {
        close(fd);
        count(l, NU_LISTENER_CX_OVERFLOW, 1);
        return;
    }
    struct internal_conn *conn = calloc(1, sizeof *conn);
    nu_assert(conn != NULL);
    conn->listener = l;
    nu_list_add_tail(&l->conns, &conn->link);
    l->conn_count++;
    count(l, NU_LISTENER_CX_TOTAL, 1);
    count(l, NU_LISTENER_CX_ACTIVE, 1);
    memcpy(place + 1, l->places, l->count * sizeof *place);
    conn->chain = nu_chain_new(l->loop, place, 1 + l->count, &facts, &owner, conn);
}

/* Opened, listening and in service, or NULL with errno. */
static struct listener_socket *open_socket(struct nu_internal_listener *l,
                                           const struct nu_addr *bind)
{
    static const struct nu_listen_options plain;
    struct listener_socket *s = nu_listener_socket_open("internal", bind, false, &plain, 1, true);
    if (!s)
        return NULL;
    struct nu_accept_point *point = &s->points[0];
    point->owner = l;
    point->stats = l->tally->stats;
    point->accepted = accepted;
    if (nu_listener_socket_listen(s, BACKLOG, -1) == 0 && nu_accept_start(point, l->loop) == 0) {
        nu_accept_set_aside(point);
        return s;
    }
    int error = errno;
    nu_listener_socket_put(s);
    errno = error;
    return NULL;
}

struct nu_internal_listener *nu_listener_internal(struct nu_worker *worker, const char *name,
                                                  const struct nu_addr *bind,
                                                  const struct nu_place *places, unsigned count,
                                                  unsigned conn_max, enum nu_err *err)
{
    struct nu_internal_listener *l = calloc(1, sizeof *l + count * sizeof *places);
    nu_assert(l != NULL && count <= NU_CHAIN_CONF_MAX_FILTERS);
    l->loop = &worker->loop;
    l->tally = nu_tally_get(name);
    l->end.run = end;
    l->spare.run = take_spare;
    nu_list_init(&l->conns);
    l->count = count;
    l->conn_max = conn_max;
    memcpy(l->places, places, count * sizeof *places);
    l->socket = open_socket(l, bind);
    *err = l->socket ? NU_OK : NU_ERR_SYSTEM;
    if (l->socket)
        return l;
    int error = errno;
    nu_tally_put(l->tally);
    free(l);
    errno = error;
    return NULL;
}

static void stop(struct nu_internal_listener *l)
{
    if (l->stopped)
        return;
    l->stopped = true;
    nu_accept_stop(&l->socket->points[0], false);
    /* The rest not now: the loop may be about to call the point that is in it. */
    nu_loop_ready(l->loop, &l->end);
}

void nu_listener_internal_drain(struct nu_internal_listener *l)
{
    stop(l);
    nu_list_each (node, &l->conns) {
        nu_chain_signal(nu_container(node, struct internal_conn, link)->chain, NU_DRAIN);
    }
}

void nu_listener_internal_close(struct nu_internal_listener *l)
{
    stop(l);
    nu_list_each (node, &l->conns) {
        nu_chain_abort(nu_container(node, struct internal_conn, link)->chain, NU_CAUSE_DRAIN);
    }
    l->closed = true;
    nu_loop_ready(l->loop, &l->end);
}
