/* A worker's socket of datagrams; see point.h. */
#include "l4/udp/point.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/worker.h"
#include "l4/udp/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCHES_A_TURN 4    /* then others have their turn */
#define LAST_BATCHES   2048 /* read when a point stops: more than fits any socket's buffer */

/* While the kernel drops what it has no room for, datagrams are lost whoever sent them. Then it is
 * better to choose: what costs most (new sessions), and what comes from who sends most. Dropping is
 * quick, so that the queue is empty again soon, and nobody else loses any. A batch that is not full
 * emptied the queue: all of it is welcome. */
#define SQUEEZE_MS   200  /* after the kernel's last drop */
#define SQUEEZE_EACH 8    /* datagrams of one session a batch */
#define SQUEEZE_NEW  4    /* new sessions a batch */
#define COMPANY_MS   1000 /* a session is alone if no batch had two for so long */

/* --- sockets; main thread --- */

static bool is_wildcard(const struct nu_addr *addr)
{
    static const uint8_t zeros[16];
    return memcmp(addr->ip, zeros, addr->kind == NU_ADDR_IP4 ? 4 : 16) == 0;
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

int nu_udp_socket_options(int fd, const struct nu_addr *addr)
{
    set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (!is_wildcard(addr))
        return 0;
    return addr->kind == NU_ADDR_IP6 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                                     : set(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

static void on_ready(struct nu_io *io, uint32_t events);
static void read_again(struct nu_task *task);
static void run_flush(struct nu_task *task);

void nu_udp_point_init(struct nu_udp_point *p, int fd)
{
    *p = (struct nu_udp_point){
        .io = {on_ready, fd},
          .read.run = read_again, .flush.run = run_flush
    };
    nu_list_init(&p->strangers);
    nu_list_init(&p->muted);
}

void nu_udp_point_bound(struct nu_udp_point *p, const struct nu_addr *bound)
{
    p->bound = *bound;
    p->wildcard = is_wildcard(bound);
}

void nu_udp_point_buffer(struct nu_udp_point *p, int64_t bytes)
{
    if (p->io.fd < 0 || bytes == 0)
        return;
    if (set(p->io.fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)bytes)) /* for root */
        set(p->io.fd, SOL_SOCKET, SO_RCVBUF, (int)bytes);
}

bool nu_udp_point_in_service(const struct nu_udp_point *p)
{
    return atomic_load_explicit(&p->in_service, memory_order_acquire);
}

void nu_udp_point_close(struct nu_udp_point *p)
{
    nu_assert(p->sessions == 0 && !nu_udp_point_in_service(p));
    if (p->io.fd >= 0)
        close(p->io.fd);
    p->io.fd = -1;
}

/* --- figures --- */

void nu_udp_point_count(struct nu_udp_point *p, enum nu_udp_listener_stat stat, int64_t n)
{
    nu_stat_add(p->stats, p->loop->shard, stat, n);
}

static const struct nu_stat_def defs[NU_UDP_LISTENER_STAT_COUNT] = {
    [NU_UDP_RX_DROPPED] = {"downstream_rx_datagram_dropped",   NU_COUNTER, NULL,
                           "Clients' datagrams lost before we read them: the socket's buffer was "
                           "full (see udp.receive_buffer)"                                   },
    [NU_UDP_RX_DISCARDED] = {"downstream_rx_datagram_discarded", NU_COUNTER, NULL,
                           "Clients' datagrams read and not passed on: no room for their "
                             "session, refused or held by its chain, or more than its share while "
                             "the kernel drops"                                              },
    [NU_UDP_TX_DROPPED] = {"downstream_tx_datagram_dropped",   NU_COUNTER, NULL,
                           "Datagrams to clients that the kernel refused, or had no room for"},
    [NU_UDP_EVICTED] = {"downstream_sess_evicted",          NU_COUNTER, NULL,
                           "Sessions ended to make room at max_sessions, of clients that never sent "
                        "again after an answer"                                              },
};

const struct nu_stat_group nu_udp_listener_stats = NU_STAT_GROUP(
    "listener.<name>", "A listener of datagrams, beside what all listeners have.", defs);

/* --- out --- */

static void wait_for_room(struct nu_udp_point *p, bool wait)
{
    if (p->waiting == wait)
        return;
    p->waiting = wait;
    nu_io_change(p->loop, &p->io, wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void flush(struct nu_udp_point *p)
{
    unsigned failed = 0;
    enum nu_udp_sent sent = nu_udp_out_flush(&p->out, p->io.fd, p->loop->blocks, &failed);
    if (failed)
        nu_udp_point_count(p, NU_UDP_TX_DROPPED, failed);
    wait_for_room(p, sent == NU_UDP_MUST_WAIT);
}

static void run_flush(struct nu_task *task)
{
    flush(nu_container(task, struct nu_udp_point, flush));
}

void nu_udp_point_send(struct nu_udp_point *p, const struct nu_udp_key *key, struct nu_slice data)
{
    if (nu_udp_out_full(&p->out) && !p->waiting)
        flush(p);
    if (nu_udp_out_full(&p->out)) {
        nu_udp_point_count(p, NU_UDP_TX_DROPPED, 1);
        nu_slice_drop(&data);
        return;
    }
    nu_udp_out_push(&p->out, data, &key->client, &key->local);
    if (!p->waiting)
        nu_loop_flush(p->loop, &p->flush);
}

/* --- in --- */

static void discarded(struct nu_udp_point *p)
{
    nu_udp_point_count(p, NU_UDP_RX_DISCARDED, 1);
}

/* The kernel's count of lost ones, which goes round. */
static void note_lost(struct nu_udp_point *p, uint32_t lost)
{
    if (lost == 0 || lost == p->lost)
        return;
    nu_udp_point_count(p, NU_UDP_RX_DROPPED, lost - p->lost);
    p->lost = lost;
    p->squeezed_ms = p->loop->now_ms + SQUEEZE_MS;
}

/* What one batch has brought so far. */
struct tally {
    uint32_t number; /* of the batch */
    unsigned sessions, fresh;
    bool squeezed, in_company;
};

/* True if this session has its share of the batch. */
static bool has_enough(struct nu_udp_session *s, struct tally *t)
{
    if (s->batch != t->number) {
        s->batch = t->number;
        s->in_batch = 0;
        t->sessions++;
    }
    return ++s->in_batch > SQUEEZE_EACH && t->squeezed && t->in_company;
}

static void take_one(struct nu_udp_point *p, struct nu_udp_got *got, struct tally *t)
{
    unsigned before = p->sessions;
    note_lost(p, got->lost);
    struct nu_udp_session *s = nu_udp_session_of(p, got, !t->squeezed || t->fresh < SQUEEZE_NEW);
    t->fresh += p->sessions - before;
    if (s && !has_enough(s, t)) {
        if (!nu_udp_session_deliver(s, got->data))
            discarded(p);
        return;
    }
    nu_slice_drop(&got->data);
    discarded(p);
}

/* False: there are no more. */
static bool take_batch(struct nu_udp_point *p)
{
    struct nu_udp_batch *batch;
    struct nu_udp_got got;
    int n = nu_udp_read(p->loop, p->io.fd, true, &batch);
    if (n < 0)
        return false;
    struct tally t = {.number = ++p->batch,
                      .squeezed = n == NU_UDP_BATCH && p->loop->now_ms < p->squeezed_ms,
                      .in_company = p->loop->now_ms < p->company_ms};
    for (int i = 0; i < n; i++)
        if (nu_udp_take(batch, (unsigned)i, &got))
            take_one(p, &got, &t);
        else
            nu_udp_point_count(p, NU_UDP_RX_DROPPED, 1);
    nu_udp_done(batch);
    if (t.sessions > 1)
        p->company_ms = p->loop->now_ms + COMPANY_MS;
    return n == NU_UDP_BATCH;
}

static void take_some(struct nu_udp_point *p)
{
    for (int i = 0; i < BATCHES_A_TURN; i++)
        if (!take_batch(p))
            return;
    nu_loop_ready(p->loop, &p->read);
}

static void read_again(struct nu_task *task)
{
    take_some(nu_container(task, struct nu_udp_point, read));
}

static void on_ready(struct nu_io *io, uint32_t events)
{
    struct nu_udp_point *p = nu_container(io, struct nu_udp_point, io);
    if (!nu_udp_point_in_service(p))
        return;
    if (events & EPOLLOUT && p->waiting)
        flush(p);
    if (events & (EPOLLIN | EPOLLERR))
        take_some(p);
}

/* --- service --- */

static void enter_service(struct nu_udp_point *p, struct nu_loop *loop)
{
    p->loop = loop;
    atomic_store_explicit(&p->in_service, true, memory_order_release);
    if (nu_io_add_for(loop, &p->io, EPOLLIN))
        nu_log(NU_LOG_ERROR, "listener", "cannot read datagrams error=\"%s\"", strerror(errno));
}

/* From the store on it may be freed by main. */
static void leave_service(struct nu_udp_point *p)
{
    nu_udp_forget_muted(p);
    nu_task_cancel(&p->read);
    nu_task_cancel(&p->flush);
    nu_udp_out_free(&p->out);
    nu_udp_table_free(&p->table);
    nu_io_del(p->loop, &p->io);
    nu_stats_put(p->stats);
    p->stats = NULL;
    p->waiting = false;
    atomic_store_explicit(&p->in_service, false, memory_order_release);
    nu_worker_post(nu_worker_main(), nu_listener_sockets_sweep, NULL);
}

static struct nu_stats *stats_of(const struct nu_tally *tally)
{
    char *prefix = NULL;
    nu_assert(asprintf(&prefix, "listener.%s.udp", tally->name) > 0);
    struct nu_stats *stats = nu_stats_get(&nu_udp_listener_stats, prefix);
    free(prefix);
    return stats;
}

void nu_udp_point_aim(struct nu_udp_point *p, struct listener *listener, struct nu_loop *loop)
{
    if (p->io.fd < 0)
        return;
    struct nu_stats *before = p->stats;
    p->stats = stats_of(listener->tally);
    nu_stats_put(before);
    p->owner = listener;
    if (!nu_udp_point_in_service(p))
        enter_service(p, loop);
}

void nu_udp_point_stop(struct nu_udp_point *p, const struct listener *listener)
{
    if (p->io.fd < 0 || p->owner != listener)
        return;
    for (int i = 0; i < LAST_BATCHES && take_batch(p); i++)
        ;
    p->owner = NULL;
    if (p->sessions == 0)
        leave_service(p);
}

void nu_udp_point_left(struct nu_udp_point *p)
{
    p->sessions--;
    if (p->sessions == 0 && !p->owner)
        leave_service(p);
}
