/* Phases of a turn; see loop.h. */
#include "core/loop.h"

#include "core/assert.h"
#include "core/chain_priv.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

_Thread_local char nu_loop_here;

void nu_loop_init(struct nu_loop *loop, unsigned shard)
{
    *loop = (struct nu_loop){.now_ms = 1, .shard = shard, .epoll_fd = -1};
    loop->blocks = nu_block_pool_new();
    ssize_t n = getrandom(&loop->random, sizeof loop->random, 0);
    nu_assert(n == sizeof loop->random);
    loop->random |= 1;
    nu_list_init(&loop->ready);
    nu_list_init(&loop->flush);
    nu_list_init(&loop->reap);
    nu_list_init(&loop->chains);
}

void nu_loop_fini(struct nu_loop *loop)
{
    nu_assert(loop->chain_count == 0 && nu_list_empty(&loop->reap));
    nu_timers_free(&loop->timers);
    nu_block_pool_free(loop->blocks);
    nu_spares_free(&loop->spares);
}

static void enqueue(struct nu_list *head, struct nu_task *task)
{
    if (!nu_list_linked(&task->link))
        nu_list_add_tail(head, &task->link);
}

void nu_loop_ready(struct nu_loop *loop, struct nu_task *task)
{
    enqueue(&loop->ready, task);
}

void nu_loop_flush(struct nu_loop *loop, struct nu_task *task)
{
    enqueue(&loop->flush, task);
}

void nu_task_cancel(struct nu_task *task)
{
    if (nu_list_linked(&task->link))
        nu_list_del(&task->link);
}

/* Runs what is queued now; what a task queues goes to the list's next pass. */
static void run_once(struct nu_list *head)
{
    struct nu_list now, *node;
    nu_list_take(&now, head);
    while ((node = nu_list_pop(&now))) {
        struct nu_task *task = nu_container(node, struct nu_task, link);
        task->run(task);
    }
}

static void reap(struct nu_loop *loop)
{
    struct nu_list *node;
    while ((node = nu_list_pop(&loop->reap)))
        nu_chain_reap(nu_container(node, struct nu_chain, link));
}

void nu_loop_settle(struct nu_loop *loop)
{
    nu_assert(loop->depth == 0);
    loop->thread = &nu_loop_here;
    run_once(&loop->ready);
    do {
        while (!nu_list_empty(&loop->flush))
            run_once(&loop->flush);
        reap(loop);
    } while (!nu_list_empty(&loop->flush) || !nu_list_empty(&loop->reap));
}

uint64_t nu_loop_random(struct nu_loop *loop)
{
    uint64_t x = loop->random; /* xorshift64* */
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    loop->random = x;
    return x * 0x2545f4914f6cdd1du >> 11;
}

bool nu_loop_pending(const struct nu_loop *loop)
{
    return !nu_list_empty(&loop->ready);
}

void nu_loop_advance(struct nu_loop *loop, int64_t ms)
{
    loop->now_ms += ms;
    nu_timers_run(&loop->timers, loop->now_ms);
    do
        nu_loop_settle(loop);
    while (nu_loop_pending(loop));
}

#define STREAM_EVENTS (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP)

static int control(struct nu_loop *loop, int op, struct nu_io *io, uint32_t events)
{
    struct epoll_event ev = {.events = events | EPOLLET, .data.ptr = io};
    return loop->epoll_fd < 0 ? 0 : epoll_ctl(loop->epoll_fd, op, io->fd, &ev);
}

int nu_io_add(struct nu_loop *loop, struct nu_io *io)
{
    return control(loop, EPOLL_CTL_ADD, io, STREAM_EVENTS);
}

int nu_io_add_for(struct nu_loop *loop, struct nu_io *io, uint32_t events)
{
    return control(loop, EPOLL_CTL_ADD, io, events);
}

int nu_io_change(struct nu_loop *loop, struct nu_io *io, uint32_t events)
{
    return control(loop, EPOLL_CTL_MOD, io, events);
}

int nu_io_move(struct nu_loop *loop, struct nu_io *io)
{
    return control(loop, EPOLL_CTL_MOD, io, STREAM_EVENTS);
}

void nu_io_del(struct nu_loop *loop, struct nu_io *io)
{
    control(loop, EPOLL_CTL_DEL, io, 0);
}
