/* Accepting on one listening socket by one worker: in batches, and with a pause instead of a spin
 * when descriptors run out. What becomes of a connection is its owner's business. */
#ifndef NU_L4_ACCEPT_H
#define NU_L4_ACCEPT_H

#include "core/addr.h"
#include "core/loop.h"
#include "core/stats.h"

#define NU_ACCEPT_BATCH    64  /* connections a wake-up; then others have their turn */
#define NU_ACCEPT_PAUSE_MS 100 /* until the next try, unless a connection closes before */

struct nu_accept_point;

/* A new connection; the descriptor is non-blocking, close-on-exec and the callee's. */
typedef void nu_accepted_fn(struct nu_accept_point *point, int fd, const struct nu_addr *peer);

struct nu_accept_point {
    struct nu_io io; /* fd: -1 = closed */
    struct nu_task task;
    struct nu_list paused;  /* linked while this worker has no descriptors */
    struct nu_loop *loop;   /* NULL until it is in service */
    struct nu_addr bound;   /* where it listens */
    struct nu_stats *stats; /* enum nu_listener_stat */
    nu_accepted_fn *accepted;
    void *owner;
    int spare; /* a descriptor given up for one more connection when there are none; -1 = none */
};

/* A point of `fd`, which is listening or about to, not in service yet. */
void nu_accept_init(struct nu_accept_point *point, int fd);
/* Takes it into service on a loop; bound, owner, stats and accepted are set. -1 with errno. */
int nu_accept_start(struct nu_accept_point *point, struct nu_loop *loop);
/* Closes; with `queued`, accepts first what waits, so that nobody is reset. On the point's worker,
 * or on main when it never was in service. Closed already: nothing. */
void nu_accept_stop(struct nu_accept_point *point, bool queued);

/* Sets a descriptor aside, if it has none: for points that must be reachable when all else is not.
 */
void nu_accept_set_aside(struct nu_accept_point *point);

/* A connection of this worker has closed: paused points try again in the next turn. */
void nu_accept_resume(struct nu_loop *loop);

#endif
