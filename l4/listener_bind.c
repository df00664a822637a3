/* Binding the listeners of a generation: sockets of the one before are carried over by address, the
 * others opened, all of it or nothing; then the workers switch. */
#include "core/assert.h"
#include "core/log.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/listener_priv.h"
#include "l4/udp/point.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX  512
#define PORT_MAX 16

/* --- binding; main thread --- */

struct binder {
    struct nu_conf *conf;
    struct nu_listeners *next;
    struct nu_strmap *sockets; /* by key: of the old generation, then all */
    struct nu_strmap *ports;   /* that we listen on ourselves, whatever the address */
    enum nu_err err;
};

/* What makes two binds the same socket: the address, and options that cannot be changed later. Port
 * 0 is a free port of that listener's own. */
static const char *key_of(const struct listener *l, size_t i, char buf[static KEY_MAX])
{
    const struct listener_bind *bind = &l->binds[i];
    const struct nu_sockopt *opt = &l->options.opt;
    int n = snprintf(buf, KEY_MAX, "%s%s%s%s%s%s", bind->text, opt->freebind ? " freebind" : "",
                     opt->ipv4_compat ? " ipv4_compat" : "", opt->mptcp ? " mptcp" : "",
                     *opt->interface ? " " : "", opt->interface);
    if (bind->addr.kind != NU_ADDR_UNIX && bind->addr.port == 0)
        snprintf(buf + n, KEY_MAX - (size_t)n, " %zu %.300s", i, l->tally->name);
    return buf;
}

/* An option that the kernel does not let us have says so better than an error number. */
static bool report_option(struct binder *b, const struct listener *l,
                          const struct listener_bind *bind)
{
    char buf[NU_SOCKOPT_WHY_MAX];
    int type = bind->udp ? SOCK_DGRAM : SOCK_STREAM;
    const char *why = nu_sockopt_why(&bind->addr, type, &l->options.opt, true, buf);
    if (!why)
        return false;
    nu_conf_error(b->conf, bind->node, "%s: %s", bind->text, why);
    b->err = NU_ERR_CONFIG;
    return true;
}

static void report(struct binder *b, const struct listener *l, const struct listener_bind *bind,
                   int error)
{
    char text[128];
    if (report_option(b, l, bind))
        return;
    snprintf(text, sizeof text, "%s", strerror(error));
    text[0] = (char)tolower((unsigned char)text[0]);
    const char *hint = "";
    if (error == EACCES && bind->addr.kind != NU_ADDR_UNIX && bind->addr.port < 1024)
        hint = " (ports below 1024 are for root and CAP_NET_BIND_SERVICE)";
    if (error == EEXIST)
        hint = ", and is no socket";
    nu_conf_error(b->conf, bind->node, "%s: %s%s", bind->text, text, hint);
    b->err = NU_ERR_CONFIG;
}

static const char *port_text(const struct nu_addr *addr, bool udp, char buf[static PORT_MAX])
{
    snprintf(buf, PORT_MAX, "%s%u", udp ? "udp " : "", addr->port);
    return buf;
}

static void know(struct binder *b, struct listener_socket *socket)
{
    char port[PORT_MAX];
    nu_strmap_put_str(b->sockets, socket->key, socket);
    if (socket->bound.kind != NU_ADDR_UNIX)
        nu_strmap_put_str(b->ports, port_text(&socket->bound, socket->udp, port), socket);
}

static void know_lingering(struct listener_socket *socket, void *ctx)
{
    know(ctx, socket);
}

static void open_one(struct binder *b, const struct listener *l, size_t i)
{
    struct listener_bind *bind = &l->binds[i];
    char key[KEY_MAX], port[PORT_MAX];
    bind->socket = nu_strmap_get_str(b->sockets, key_of(l, i, key));
    if (bind->socket) {
        nu_listener_socket_ref(bind->socket);
        return;
    }
    /* Our own socket of another address in the same port would look like somebody else's. */
    bool alone = !nu_strmap_get_str(b->ports, port_text(&bind->addr, bind->udp, port));
    bind->socket = nu_listener_socket_open(key, &bind->addr, bind->udp, &l->options,
                                           nu_workers_count(), alone);
    if (bind->socket)
        know(b, bind->socket);
    else
        report(b, l, bind, errno);
}

static void listen_one(struct binder *b, const struct listener *l, size_t i)
{
    struct listener_bind *bind = &l->binds[i];
    if (nu_listener_socket_listen(bind->socket, l->backlog, l->mode))
        report(b, l, bind, errno);
    nu_listener_socket_options(bind->socket, &l->options);
    nu_listener_socket_buffer(bind->socket, l->udp.receive_buffer);
}

static void each_bind(struct binder *b,
                      void (*fn)(struct binder *, const struct listener *, size_t))
{
    for (size_t i = 0; i < b->next->count; i++)
        for (size_t k = 0; k < b->next->item[i]->bind_count; k++)
            fn(b, b->next->item[i], k);
}

static void open_logs(struct binder *b)
{
    for (size_t i = 0; i < b->next->count; i++) {
        struct listener *l = b->next->item[i];
        if (nu_access_log_open(l->log, b->conf) != NU_OK)
            b->err = NU_ERR_CONFIG;
        for (size_t k = 0; k < l->chain_count; k++)
            if (l->chains[k]->log != l->log &&
                nu_access_log_open(l->chains[k]->log, b->conf) != NU_OK)
                b->err = NU_ERR_CONFIG;
    }
}

static void take_back(struct binder *b, const struct listener *l, size_t i)
{
    if (l->binds[i].socket)
        nu_listener_socket_put(l->binds[i].socket);
    l->binds[i].socket = NULL;
}

/* The sockets are the generation's from now on: it may outlive the listeners. */
static void hand_over(struct binder *b, const struct listener *l, size_t i)
{
    struct nu_listeners *next = b->next;
    next->sockets =
        reallocarray(next->sockets, next->socket_count + 1, sizeof(struct listener_socket *));
    nu_assert(next->sockets != NULL);
    next->sockets[next->socket_count++] = l->binds[i].socket;
    atomic_store_explicit(&l->tally->wanted, next->number, memory_order_relaxed);
}

enum nu_err nu_listeners_bind(struct nu_listeners *listeners, struct nu_listeners *old,
                              struct nu_conf *conf)
{
    struct binder b = {
        .conf = conf,
        .next = listeners,
        .sockets = nu_strmap_new(NULL, NU_STRMAP_EXACT),
        .ports = nu_strmap_new(NULL, NU_STRMAP_EXACT),
    };
    for (size_t i = 0; old && i < old->socket_count; i++)
        know(&b, old->sockets[i]);
    nu_listener_sockets_lingering(know_lingering, &b);
    each_bind(&b, open_one);
    if (b.err == NU_OK)
        open_logs(&b);
    if (b.err == NU_OK)
        each_bind(&b, listen_one);
    each_bind(&b, b.err == NU_OK ? hand_over : take_back);
    nu_strmap_free(b.sockets);
    nu_strmap_free(b.ports);
    return b.err;
}

void nu_listeners_free(struct nu_listeners *listeners)
{
    for (size_t i = 0; i < listeners->socket_count; i++)
        nu_listener_socket_put(listeners->sockets[i]);
    free(listeners->sockets);
    listeners->sockets = NULL;
    listeners->socket_count = listeners->count = 0;
}

void nu_listeners_each(struct nu_listeners *listeners,
                       void (*fn)(const char *name, const struct nu_addr *bound, bool udp,
                                  void *ctx),
                       void *ctx)
{
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *l = listeners->item[i];
        for (size_t k = 0; k < l->bind_count; k++)
            if (l->binds[k].socket)
                fn(l->tally->name, &l->binds[k].socket->bound, l->is_udp, ctx);
    }
}

/* --- switching; each worker for itself --- */

static void aim(struct nu_accept_point *point, struct listener *l, struct nu_loop *loop)
{
    point->owner = l;
    point->stats = l->tally->stats;
    point->accepted = nu_listener_accepted;
    if (!point->loop && nu_accept_start(point, loop))
        nu_log(NU_LOG_ERROR, "listener", "cannot accept name=%s error=\"%s\"", l->tally->name,
               strerror(errno));
}

static void aim_all(const struct nu_listeners *next, struct nu_loop *loop)
{
    for (size_t i = 0; i < next->count; i++) {
        struct listener *l = next->item[i];
        l->tally->now[loop->shard] = l;
        for (size_t k = 0; k < l->bind_count; k++) {
            struct listener_socket *s = l->binds[k].socket;
            if (s->udp)
                nu_udp_point_aim(&s->udp_points[loop->shard], l, loop);
            else
                aim(&s->points[loop->shard], l, loop);
        }
    }
}

/* A point that still aims at its old listener has no new one. */
static void stop_gone(const struct nu_listeners *old, struct nu_loop *loop)
{
    for (size_t i = 0; i < old->count; i++) {
        const struct listener *l = old->item[i];
        if (l->tally->now[loop->shard] == l)
            l->tally->now[loop->shard] = NULL;
        for (size_t k = 0; k < l->bind_count; k++) {
            struct listener_socket *s = l->binds[k].socket;
            if (s->udp)
                nu_udp_point_stop(&s->udp_points[loop->shard], l);
            else if (s->points[loop->shard].owner == l)
                nu_accept_stop(&s->points[loop->shard], true);
        }
    }
}

static bool any_gone(const struct nu_listeners *old, uint64_t next)
{
    for (size_t i = 0; i < old->count; i++)
        if (atomic_load_explicit(&old->item[i]->tally->wanted, memory_order_relaxed) < next)
            return true;
    return false;
}

void nu_listeners_switch_on(struct nu_worker *worker, struct nu_listeners *next,
                            struct nu_listeners *old)
{
    struct nu_loop *loop = &worker->loop;
    uint64_t number = next ? next->number : UINT64_MAX;
    if (loop->shard >= nu_workers_count())
        return; /* main has no public listeners */
    if (next)
        aim_all(next, loop);
    if (old)
        stop_gone(old, loop);
    if (old && any_gone(old, number))
        nu_listener_drain_gone(loop, number, next ? next->drain_ms : -1);
}

void nu_listeners_retire_on(struct nu_listeners *gone, unsigned shard)
{
    for (size_t i = 0; i < gone->count; i++)
        nu_listener_retire_on(gone->item[i], shard);
    nu_access_log_flush(&nu_worker_at(shard)->loop);
}
