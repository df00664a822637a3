/* When which request of a replay goes out, over which connection; one poll() for all. */
#include "tools/tap/replay_parts.h"

#include "core/assert.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define LOOK_MS   100  /* between two looks at whether to stop */
#define LOOK_FAR  4096 /* requests looked at behind one that waits for an answer */

struct run {
    struct replay_item **items;
    size_t count, first; /* all before `first` have begun */
    const struct tap_pace *pace;
    struct replay_conns *conns;
    struct replay_conn *conn[TAP_REPLAY_CONNS];
    struct replay_item *sent[TAP_REPLAY_CONNS]; /* over each, until told */
    unsigned open;
    int64_t start_ns;
};

int64_t replay_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static int64_t due_ns(const struct run *r, size_t i)
{
    double after = 0;
    if (r->pace->times > 0)
        after = (double)(r->items[i]->at_ns - r->items[0]->at_ns) / r->pace->times;
    else if (r->pace->per_ns > 0)
        after = (double)i / r->pace->per_ns;
    return r->start_ns + (int64_t)after;
}

/* That of its recorded connection, else a new one, else one that others have done with. */
static unsigned conn_for(struct run *r, const struct replay_item *item)
{
    unsigned other = TAP_REPLAY_CONNS;
    for (unsigned i = 0; i < r->open; i++) {
        if (replay_conn_item(r->conn[i]))
            continue;
        if (replay_conn_lane(r->conn[i]) == item->id.flow)
            return i;
        other = i;
    }
    if (r->open == TAP_REPLAY_CONNS)
        return other;
    r->conn[r->open] = replay_conn_new(r->conns);
    return r->open++;
}

/* What is due and need not wait for an answer; requests that must are passed over. When the next
 * is due is in *next_ns. */
static void send_due(struct run *r, int64_t now_ns, int64_t *next_ns)
{
    while (r->first < r->count && r->items[r->first]->begun)
        r->first++;
    for (size_t i = r->first; i < r->count && i < r->first + LOOK_FAR; i++) {
        struct replay_item *item = r->items[i];
        int64_t due = due_ns(r, i);
        if (due > now_ns) {
            *next_ns = due;
            return;
        }
        if (item->begun || (item->before && !item->before->done))
            continue;
        unsigned at = conn_for(r, item);
        if (at == TAP_REPLAY_CONNS)
            return; /* until one of them has its answer */
        r->sent[at] = item;
        replay_conn_send(r->conn[at], item, now_ns);
    }
}

static int wait_ms(const struct run *r, int64_t now_ns, int64_t until_ns)
{
    for (unsigned i = 0; i < r->open; i++) {
        int64_t deadline = replay_conn_deadline(r->conn[i]);
        until_ns = deadline < until_ns ? deadline : until_ns;
    }
    int64_t ms = until_ns > now_ns ? (until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
    return ms < LOOK_MS ? (int)ms : LOOK_MS;
}

static void wait_for_some(struct run *r, int64_t until_ns)
{
    struct pollfd fds[TAP_REPLAY_CONNS];
    for (unsigned i = 0; i < r->open; i++)
        fds[i].fd = replay_conn_fd(r->conn[i], &fds[i].events);
    unsigned open = r->open;
    if (poll(fds, open, wait_ms(r, replay_now_ns(), until_ns)) < 0)
        return;
    int64_t now_ns = replay_now_ns();
    for (unsigned i = 0; i < open; i++) {
        if (fds[i].fd >= 0 && fds[i].revents)
            replay_conn_step(r->conn[i], fds[i].revents, now_ns);
        if (replay_conn_deadline(r->conn[i]) <= now_ns)
            replay_conn_expire(r->conn[i], now_ns);
    }
}

/* How many were. */
static size_t tell_done(struct run *r, void (*each)(void *ctx, struct replay_item *), void *ctx)
{
    size_t told = 0;
    for (unsigned i = 0; i < r->open; i++) {
        struct replay_item *item = r->sent[i];
        if (!item || !item->done)
            continue;
        r->sent[i] = NULL;
        each(ctx, item);
        told++;
    }
    return told;
}

void replay_run(struct replay_item **items, size_t count, const struct tap_pace *pace,
                struct replay_conns *conns, const volatile sig_atomic_t *stop,
                void (*each)(void *ctx, struct replay_item *item), void *ctx)
{
    struct run *r = calloc(1, sizeof *r);
    nu_assert(r != NULL);
    *r = (struct run){
        .items = items, .count = count, .pace = pace, .conns = conns, .start_ns = replay_now_ns()};
    for (size_t told = 0; told < count && !*stop;) {
        int64_t next_ns = INT64_MAX;
        send_due(r, replay_now_ns(), &next_ns);
        size_t now = tell_done(r, each, ctx); /* some fail at once */
        told += now;
        if (!now && told < count)
            wait_for_some(r, next_ns);
        told += tell_done(r, each, ctx);
    }
    for (unsigned i = 0; i < r->open; i++)
        replay_conn_free(r->conn[i]);
    free(r);
}
