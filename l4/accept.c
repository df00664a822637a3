/* The accept loop; see accept.h. Each point and each shard's pause are touched by one worker. */
#include "l4/accept.h"

#include "core/assert.h"
#include "core/log.h"
#include "l4/access_log.h"
#include "l4/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define DRAIN_MAX                                                                                  \
    65536 /* connections taken off a queue that closes: more than fits any backlog                 \
           */

/* A worker's episode without descriptors. */
struct pause {
    struct nu_loop *loop;
    struct nu_list points; /* that wait */
    struct nu_timer timer;
    struct nu_task task;
    int64_t since_ms; /* 0 = none */
};

static struct pause *pauses[NU_SHARDS_MAX]; /* each touched by its own thread */

/* A connection wants a socket to a server as well: who is let in for the last descriptor would
 * only be turned away. */
static bool room_for_two(void)
{
    int one = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int two = one < 0 ? -1 : fcntl(one, F_DUPFD_CLOEXEC, 0);
    if (one >= 0)
        close(one);
    if (two >= 0)
        close(two);
    return two >= 0;
}

static void wait_for_next_try(struct pause *p)
{
    if (!nu_timer_armed(&p->timer))
        nu_timer_arm(&p->loop->timers, &p->timer, p->loop->now_ms + NU_ACCEPT_PAUSE_MS);
}

/* In the turn after a connection closed: then its descriptors are free, too. */
static void try_again(struct nu_task *task)
{
    struct pause *p = nu_container(task, struct pause, task);
    struct nu_list *node;
    if (!room_for_two()) {
        wait_for_next_try(p);
        return;
    }
    nu_timer_disarm(&p->loop->timers, &p->timer);
    while ((node = nu_list_pop(&p->points)))
        nu_loop_ready(p->loop, &nu_container(node, struct nu_accept_point, paused)->task);
}

void nu_accept_resume(struct nu_loop *loop)
{
    struct pause *p = pauses[loop->shard];
    if (p && !nu_list_empty(&p->points))
        nu_loop_ready(loop, &p->task);
}

static void on_timer(struct nu_timer *timer)
{
    nu_accept_resume(nu_container(timer, struct pause, timer)->loop);
}

static struct pause *pause_of(struct nu_loop *loop)
{
    nu_assert(loop->shard < NU_SHARDS_MAX);
    struct pause **p = &pauses[loop->shard];
    if (!*p) {
        *p = calloc(1, sizeof **p);
        nu_assert(*p != NULL);
        (*p)->timer.fn = on_timer;
        (*p)->task.run = try_again;
        nu_list_init(&(*p)->points);
    }
    (*p)->loop = loop;
    return *p;
}

static void count(const struct nu_accept_point *point, enum nu_listener_stat stat)
{
    nu_stat_add(point->stats, point->loop->shard, stat, 1);
}

/* The queue waits in the kernel; the first of an episode says so. */
static void wait_for_descriptors(struct nu_accept_point *point, int error)
{
    struct pause *p = pause_of(point->loop);
    if (!p->since_ms) {
        p->since_ms = point->loop->now_ms;
        count(point, NU_LISTENER_CX_ACCEPT_PAUSED);
        nu_log_limited(NU_LOG_WARN, "listener",
                       "accepting paused: no descriptors error=\"%s\" worker=%u", strerror(error),
                       point->loop->shard);
    }
    if (!nu_list_linked(&point->paused))
        nu_list_add_tail(&p->points, &point->paused);
    wait_for_next_try(p);
}

/* A queue was emptied, and nobody waits: that is over only then, or every connection that closes
 * would say so. */
static void pause_over(struct nu_loop *loop)
{
    struct pause *p = pauses[loop->shard];
    if (!p || !p->since_ms || !nu_list_empty(&p->points))
        return;
    nu_log_limited(NU_LOG_INFO, "listener", "accepting again paused_ms=%lld worker=%u",
                   (long long)(loop->now_ms - p->since_ms), loop->shard);
    p->since_ms = 0;
}

/* What accept says about one connection that is gone already, not about the socket. */
static bool is_of_connection(int error)
{
    static const int errors[] = {ECONNABORTED, EINTR,       EPROTO,     EPERM,
                                 ENETDOWN,     ENOPROTOOPT, EHOSTDOWN,  ENONET,
                                 EHOSTUNREACH, EOPNOTSUPP,  ENETUNREACH};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i] == error)
            return true;
    return false;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static void drop_spare(struct nu_accept_point *point)
{
    if (point->spare >= 0)
        close(point->spare);
    point->spare = -1;
}

void nu_accept_set_aside(struct nu_accept_point *point)
{
    if (point->spare < 0 && point->io.fd >= 0)
        point->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* After accept failed: true if the next one may succeed. */
static bool go_on_after(struct nu_accept_point *point, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK) {
        pause_over(point->loop);
        return false;
    }
    count(point, NU_LISTENER_CX_ACCEPT_FAILED);
    if (error == EMFILE && point->spare >= 0) {
        drop_spare(point);
        return true;
    }
    if (is_shortage(error)) {
        wait_for_descriptors(point, error);
        return false;
    }
    if (is_of_connection(error))
        return true;
    nu_log_limited(NU_LOG_ERROR, "listener", "accept failed error=\"%s\"", strerror(error));
    return false;
}

/* One connection. False: the queue is empty, or waits. */
static bool accept_one(struct nu_accept_point *point)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    struct nu_addr peer;
    int fd = accept4(point->io.fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return go_on_after(point, errno);
    nu_addr_from_sockaddr(&peer, &ss, len);
    point->accepted(point, fd, &peer);
    return true;
}

static void accept_batch(struct nu_accept_point *point)
{
    for (int i = 0; i < NU_ACCEPT_BATCH; i++)
        if (!accept_one(point))
            return;
    nu_loop_ready(point->loop, &point->task);
}

static void on_ready(struct nu_io *io, uint32_t events)
{
    struct nu_accept_point *point = nu_container(io, struct nu_accept_point, io);
    if (events & EPOLLIN && !nu_list_linked(&point->paused) && io->fd >= 0)
        accept_batch(point);
}

static void run(struct nu_task *task)
{
    accept_batch(nu_container(task, struct nu_accept_point, task));
}

void nu_accept_init(struct nu_accept_point *point, int fd)
{
    *point = (struct nu_accept_point){
        .io = {on_ready, fd},
          .task.run = run, .spare = -1
    };
}

int nu_accept_start(struct nu_accept_point *point, struct nu_loop *loop)
{
    point->loop = loop;
    return nu_io_add(loop, &point->io);
}

static void stop_waiting(struct nu_accept_point *point)
{
    struct pause *p = pauses[point->loop->shard];
    nu_task_cancel(&point->task);
    if (nu_list_linked(&point->paused))
        nu_list_del(&point->paused);
    if (p && nu_list_empty(&p->points)) {
        nu_timer_disarm(&point->loop->timers, &p->timer);
        nu_task_cancel(&p->task);
        p->since_ms = 0;
    }
}

void nu_accept_stop(struct nu_accept_point *point, bool queued)
{
    if (point->io.fd < 0)
        return;
    for (int i = 0; queued && point->loop && i < DRAIN_MAX; i++)
        if (!accept_one(point))
            break;
    if (point->loop) {
        stop_waiting(point);
        nu_io_del(point->loop, &point->io);
    }
    drop_spare(point);
    close(point->io.fd);
    point->io.fd = -1;
}
