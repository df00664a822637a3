/* One thread's turn: ready sources, then flushes, then the dead; with its clock, timers and blocks.
 *
 * A loop has no descriptor of its own, so that tests drive it on a virtual clock; worker.h adds
 * epoll, posts and a thread. A turn is: I/O callbacks and timers, the ready list, the flush list
 * (W1), the reap list (T3). */
#ifndef NU_CORE_LOOP_H
#define NU_CORE_LOOP_H

#include "core/block.h"
#include "core/list.h"
#include "core/spare.h"
#include "core/timer.h"

struct nu_chain;

/* Work that waits for a phase of the turn; a member of what it is about. */
struct nu_task {
    struct nu_list link;
    void (*run)(struct nu_task *task); /* called unlinked; may queue itself again */
};

/* A descriptor in the loop's edge-triggered set. `ready` gets the raw epoll mask. */
struct nu_io {
    void (*ready)(struct nu_io *io, uint32_t events);
    int fd;
};

struct nu_loop {
    int64_t now_ms;     /* monotonic; stamped once a wake-up */
    unsigned shard;     /* whose stats cells are ours */
    int epoll_fd;       /* -1 in tests */
    unsigned depth;     /* chains entered and not left */
    const void *thread; /* R5: nu_loop_here of who settled it last, or entered a chain first */
    struct nu_block_pool *blocks;
    struct nu_spares spares; /* of instances and the like */
    struct nu_timers timers;
    struct nu_list ready, flush, reap;
    struct nu_list chains; /* all that live here; an ended one moves to reap */
    unsigned chain_count;
    uint64_t next_id; /* of connections: unique with the shard */
    uint64_t random;  /* state of nu_loop_random */
    void *owner;      /* the worker */
    void *local;      /* per-worker state of l4 */
};

/* Its address names the calling thread. */
extern _Thread_local char nu_loop_here;

/* Makes the loop ready for use, with a clock of 1. */
void nu_loop_init(struct nu_loop *loop, unsigned shard);
/* All chains must be gone. */
void nu_loop_fini(struct nu_loop *loop);

/* R: run soon, in this turn if its phase is still ahead. Queued already: nothing. */
void nu_loop_ready(struct nu_loop *loop, struct nu_task *task);
void nu_loop_flush(struct nu_loop *loop, struct nu_task *task);
/* Takes a task off its list. Not queued: nothing. */
void nu_task_cancel(struct nu_task *task);

/* The end of a turn: ready tasks (one pass), flush tasks until none is left, then frees chains that
 * ended. The loop and its chains are the calling thread's from now on. */
void nu_loop_settle(struct nu_loop *loop);
/* True if the next turn must not wait. */
bool nu_loop_pending(const struct nu_loop *loop);
/* For balancing and jitter, not for secrets; seeded by the system. */
uint64_t nu_loop_random(struct nu_loop *loop);
/* For tests: moves the clock, runs due timers, settles until nothing is pending. */
void nu_loop_advance(struct nu_loop *loop, int64_t ms);

/* Registers once, edge-triggered, for reading, writing and hang-up. NU: -1 with errno. */
int nu_io_add(struct nu_loop *loop, struct nu_io *io);
/* The same for these events only, and other events from now on. Datagram sockets wait for room only
 * when there was none: each datagram that leaves one is an event of it. -1 with errno. */
int nu_io_add_for(struct nu_loop *loop, struct nu_io *io, uint32_t events);
int nu_io_change(struct nu_loop *loop, struct nu_io *io, uint32_t events);
/* Changes nothing but the receiver: the descriptor goes on under another io. */
int nu_io_move(struct nu_loop *loop, struct nu_io *io);
/* Needed only where the descriptor lives on (a shared listener); close() does it otherwise. */
void nu_io_del(struct nu_loop *loop, struct nu_io *io);

#endif
