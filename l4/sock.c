/* A stream socket as a filter: its life and its reading. Writing is in sock_out.c.
 *
 * Faces: bytes towards the chain. Sees: DATA and END of the direction it is the sink of. Stores:
 * what the kernel would not take, NU_SOCK_HIGH and one read more at most. END makes it flush, then
 * write its wire form. Holds while connecting (decided by the kernel or the leg's timer) and while
 * more than NU_SOCK_HIGH is unsent (released by writability at half; the proxy's idle timer bounds
 * it). `close` closes the descriptor and cancels its tasks. */
#include "l4/sock_priv.h"
#include "l4/tcp_facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READS_A_TURN 8            /* then others have their turn */
#define BULK_READ    (64u * 1024) /* to be seen by filters; encrypted it fills a MEDIUM block */

static enum nu_cause fin_cause(const struct sock *s)
{
    return s->side == NU_SIDE_CLIENT ? NU_CAUSE_CLIENT_FIN : NU_CAUSE_UPSTREAM_FIN;
}

static enum nu_cause reset_cause(const struct sock *s)
{
    return s->side == NU_SIDE_CLIENT ? NU_CAUSE_CLIENT_RST : NU_CAUSE_UPSTREAM_RST;
}

/* The wire will bring no more. A reset takes the other direction with it. */
static void end_read(struct sock *s, bool reset)
{
    struct nu_filter *f = &s->filter;
    s->read_ended = 1;
    s->mask &= (uint8_t)~SOCK_IN;
    nu_forward_end(f, s->in, nu_result_of(reset ? reset_cause(s) : fin_cause(s)));
    if (!reset || s->write == SOCK_DEAD)
        return;
    s->write = SOCK_DEAD;
    sock_out_free(s);
    nu_drop(f, sock_outdir(s));
}

bool sock_read_result(struct sock *s, ssize_t n, size_t room)
{
    if (n > 0) {
        sock_took(s, (size_t)n);
        if ((size_t)n < room && !(s->mask & SOCK_TAIL))
            s->mask &= (uint8_t)~SOCK_IN;
        if ((size_t)n == room)
            s->bulk = true;
        else if ((size_t)n < NU_BLOCK_SMALL)
            s->bulk = false;
        return true;
    }
    if (n < 0 && errno == EINTR)
        return false;
    if (n < 0 && errno == EAGAIN)
        s->mask &= (uint8_t) ~(SOCK_IN | SOCK_TAIL);
    else
        end_read(s, n < 0 || (s->mask & SOCK_RESET));
    return false;
}

/* To a plain socket with nothing unsent: at once; what it does not take waits there (D1). */
static void hand_over(struct sock *s, struct sock *d, struct nu_block *b, size_t n)
{
    ssize_t w = send(d->io.fd, b->data, n, MSG_NOSIGNAL);
    if (w > 0)
        sock_gave(d, (size_t)w);
    if (w == (ssize_t)n)
        return;
    if (w >= 0 || errno == EAGAIN || errno == EINPROGRESS)
        d->mask &= (uint8_t)~SOCK_OUT;
    else
        d->mask |= SOCK_RESET; /* it is told once: reading would see a FIN */
    struct nu_slice all = nu_block_freeze(b, n);
    struct nu_slice sent = nu_slice_split(&all, w > 0 ? (size_t)w : 0);
    nu_slice_drop(&sent);
    nu_direct_rest(&d->filter, s->in, all);
}

/* Past all filters; one that looks at the bytes may want them to go through the chain. */
static void relay(struct sock *s, struct sock *d, struct nu_filter *looker)
{
    if (s->bulk && !looker && sock_splice(s, d))
        return;
    struct nu_loop *loop = nu_filter_loop(&s->filter);
    struct nu_block *b = nu_block_get(loop->blocks, s->bulk ? NU_BLOCK_LARGE : NU_BLOCK_SMALL);
    ssize_t n = recv(s->io.fd, b->data, b->cap, 0);
    bool some = sock_read_result(s, n, b->cap);
    if (some && (!looker || looker->type->look(looker, s->in, b->data, (size_t)n)))
        hand_over(s, d, b, (size_t)n);
    else if (some)
        nu_forward_data(&s->filter, s->in, nu_block_freeze(b, (size_t)n));
    nu_block_unref(b);
}

/* Through the chain: others see the bytes, or the sink has some unsent. */
static void take(struct sock *s)
{
    struct nu_loop *loop = nu_filter_loop(&s->filter);
    size_t room = s->bulk ? BULK_READ : NU_BLOCK_SMALL;
    struct nu_block *b = nu_block_get(loop->blocks, room);
    ssize_t n = recv(s->io.fd, b->data, room, 0);
    if (sock_read_result(s, n, room))
        nu_forward_data(&s->filter, s->in, nu_block_freeze(b, (size_t)n));
    nu_block_unref(b);
}

/* The way ahead is blocked: stay registered and marked, but a peer that is gone is noticed (B5). */
static void paused(struct sock *s)
{
    if (s->mask & SOCK_ERR)
        nu_fail(&s->filter, reset_cause(s), s->side, "%s", "");
}

/* A place on the loop's ready list; few sockets need one, and not for long. */
struct sock_again {
    struct nu_task task;
    struct sock *sock;
};

static void forget_again(struct sock *s)
{
    if (!s->again)
        return;
    nu_task_cancel(&s->again->task);
    free(s->again);
    s->again = NULL;
}

static void pump(struct nu_filter *f);

static void read_again(struct nu_task *task)
{
    struct sock *s = nu_container(task, struct sock_again, task)->sock;
    forget_again(s);
    nu_call(&s->filter, pump);
}

void sock_read_soon(struct sock *s)
{
    if (s->again)
        return;
    s->again = malloc(sizeof *s->again);
    nu_assert(s->again != NULL);
    *s->again = (struct sock_again){.task.run = read_again, .sock = s};
    nu_loop_ready(nu_filter_loop(&s->filter), &s->again->task);
}

static void pump(struct nu_filter *f)
{
    struct sock *s = sock_of(f);
    for (int turn = 0; s->mask & SOCK_IN && !s->read_ended && !nu_chain_ended(f->chain); turn++) {
        if (nu_blocked(f, s->in)) {
            paused(s);
            return;
        }
        if (turn == READS_A_TURN) {
            sock_read_soon(s);
            return;
        }
        struct nu_filter *looker, *sink = nu_direct_past(f, s->in, &looker);
        struct sock *d = sink ? sock_of(sink) : NULL;
        if (d && !d->out && d->write == SOCK_OPEN)
            relay(s, d, looker);
        else
            take(s);
    }
}

static enum nu_cause connect_cause(int err)
{
    switch (err) {
    case ECONNREFUSED:
        return NU_CAUSE_REFUSED;
    case ETIMEDOUT:
        return NU_CAUSE_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
        return NU_CAUSE_NO_FDS;
    default:
        return NU_CAUSE_UNREACHABLE;
    }
}

static void connect_decided(struct sock *s)
{
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(s->io.fd, SOL_SOCKET, SO_ERROR, &err, &len))
        err = errno;
    if (err) {
        nu_fail(&s->filter, connect_cause(err), NU_SIDE_UPSTREAM, "%s", strerror(err));
        return;
    }
    s->write = SOCK_OPEN;
    nu_release(&s->filter, NU_FWD);
}

static void on_ready(struct nu_filter *f)
{
    struct sock *s = sock_of(f);
    if (s->write == SOCK_CONNECTING) {
        if (!(s->mask & (SOCK_OUT | SOCK_ERR | SOCK_TAIL)))
            return;
        connect_decided(s);
        if (s->mask & SOCK_IN) /* who holds the other end hears first that it is connected */
            sock_read_soon(s);
        return;
    }
    if (s->out && s->mask & SOCK_OUT)
        sock_flush(f);
    if (s->read_ended && s->mask & SOCK_ERR && s->write != SOCK_DEAD)
        nu_fail(f, reset_cause(s), s->side, "%s", "");
    pump(f);
}

static void sock_ready(struct nu_io *io, uint32_t events)
{
    struct sock *s = nu_container(io, struct sock, io);
    uint8_t mask = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        mask |= SOCK_IN;
    if (events & EPOLLOUT)
        mask |= SOCK_OUT;
    if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        mask |= SOCK_TAIL;
    if (events & EPOLLERR)
        mask |= SOCK_ERR;
    s->mask |= mask;
    if (io->fd >= 0)
        nu_call(&s->filter, on_ready);
}

static enum nu_open sock_open(struct nu_filter *f, const void *conf)
{
    const struct nu_sock_conf *c = conf;
    struct sock *s = sock_of(f);
    s->io = (struct nu_io){sock_ready, c->fd < 0 ? -1 : c->fd};
    s->in = f->next[NU_REV] ? NU_REV : NU_FWD;
    s->side = (uint8_t)c->side;
    s->stats = c->meter.stats;
    s->meter_rx = c->meter.rx;
    s->meter_tx = c->meter.tx;
    s->write = c->connecting ? SOCK_CONNECTING : SOCK_OPEN;
    s->mask = c->connecting ? 0 : SOCK_OUT;
    if (c->fd < 0) {
        enum nu_cause cause = connect_cause(-c->fd);
        nu_fail(f, cause, nu_cause_row(cause)->side, "%s%s%s", c->what ? c->what : "",
                c->what ? ": " : "", strerror(-c->fd));
        return NU_REFUSE;
    }
    if (nu_io_add(nu_filter_loop(f), &s->io)) {
        nu_fail(f, NU_CAUSE_INTERNAL, NU_SIDE_LOCAL, "epoll: %s", strerror(errno));
        return NU_REFUSE;
    }
    if (c->connecting)
        nu_hold(f, NU_FWD);
    return NU_OPEN;
}

static void sock_flow(struct nu_filter *f, enum nu_dir dir, bool go)
{
    struct sock *s = sock_of(f);
    if (dir == s->in && go && s->mask & SOCK_IN)
        sock_read_soon(s);
}

/* For a log line that is written later. */
static void note_tcp_facts(struct sock *s)
{
    struct nu_chain *chain = s->filter.chain;
    struct nu_tcp_facts facts, *kept;
    if (nu_chain_ended(chain) || !nu_tcp_facts_wanted() || !nu_tcp_facts_read(s->io.fd, &facts))
        return;
    kept = nu_arena_alloc(nu_chain_arena(chain), sizeof *kept);
    *kept = facts;
    nu_chain_facts_more(chain)->tcp = kept;
}

void sock_close_fd(struct sock *s, bool reset)
{
    struct linger now = {.l_onoff = 1};
    if (s->io.fd < 0)
        return;
    note_tcp_facts(s);
    if (reset)
        setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(s->io.fd);
    s->io.fd = -1;
}

static void sock_close(struct nu_filter *f)
{
    struct sock *s = sock_of(f);
    enum nu_how how = nu_chain_result(f->chain).how;
    /* A FIN was said: what stands before it is to arrive, whatever came later. */
    bool whole = s->write == SOCK_SHUT && (s->read_ended || sock_unsent(s) > 1);
    forget_again(s);
    sock_out_free(s);
    sock_close_fd(s, !whole && (how == NU_RESET || how == NU_TRUNCATED));
}

void nu_sock_set_meter(struct nu_chain *chain, struct nu_meter meter)
{
    struct nu_filter *f = nu_chain_end(chain, NU_REV);
    if (f->type != &nu_sock || !meter.stats)
        return;
    struct sock *s = sock_of(f);
    s->stats = meter.stats;
    s->meter_rx = meter.rx;
    s->meter_tx = meter.tx;
    nu_stat_add(s->stats, nu_chain_loop(chain)->shard, s->meter_rx, (int64_t)s->rx);
    nu_stat_add(s->stats, nu_chain_loop(chain)->shard, s->meter_tx, (int64_t)s->tx);
}

bool nu_sock_totals(struct nu_chain *chain, uint64_t *rx, uint64_t *tx)
{
    struct nu_filter *f = nu_chain_end(chain, NU_REV);
    bool is_sock = f && f->type == &nu_sock;
    *rx = is_sock ? sock_of(f)->rx : 0;
    *tx = is_sock ? sock_of(f)->tx : 0;
    return is_sock;
}

static const struct sock *sock_at(const struct nu_chain *chain, enum nu_dir end)
{
    struct nu_filter *f = nu_chain_end(chain, end);
    return f && f->type == &nu_sock ? sock_of(f) : NULL;
}

int nu_sock_fd(const struct nu_chain *chain, enum nu_dir end)
{
    const struct sock *s = sock_at(chain, end);
    return s ? s->io.fd : -1;
}

bool nu_sock_quiet(const struct nu_chain *chain, enum nu_dir end)
{
    char byte;
    return recv(nu_sock_fd(chain, end), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void nu_sock_read_now(struct nu_chain *chain, enum nu_dir end)
{
    struct nu_filter *f = nu_chain_end(chain, end);
    if (f->type != &nu_sock || f->busy || sock_of(f)->io.fd < 0)
        return;
    sock_of(f)->mask |= SOCK_IN;
    nu_call(f, pump);
}

bool nu_sock_tcp_facts(struct nu_chain *chain, enum nu_dir end, struct nu_tcp_facts *out)
{
    const struct sock *s = sock_at(chain, end);
    const struct nu_facts_more *more = nu_chain_facts(chain)->more;
    if (s && nu_tcp_facts_read(s->io.fd, out))
        return true;
    if (!s || !more || !more->tcp)
        return false;
    *out = *more->tcp;
    return true;
}

const struct nu_filter_type nu_sock = {
    .name = "sock",
    .doc = "A stream socket: the end of a client's chain or of a leg.",
    .size = sizeof(struct sock),
    .face = NU_FACES(NU_FACE_BYTES, NU_FACE_BYTES),
    .flags = NU_F_SOCKET | NU_F_INTERNAL,
    .sees = {NU_SEES(NU_DATA) | NU_SEES(NU_END), NU_SEES(NU_DATA) | NU_SEES(NU_END)},
    .open = sock_open,
    .event = sock_event,
    .flow = sock_flow,
    .close = sock_close,
};
