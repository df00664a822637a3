/* The writing half of the socket filter: what is unsent, one writev a turn, and the wire form of
 * END. */
#include "l4/sock_priv.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#define IOV_MOST 64 /* slices a writev */
#define FEW      8  /* slices without a list of their own */

#define GATHER_MAX 1024 /* bytes that are copied together for one send */

/* A RST makes the kernel forget what it has not sent yet: what was promised goes first, for a
 * while. */
#define RESET_WAIT_MS 5
#define RESET_WAITS   200

enum { TIMER_RESET };

/* Exists only while something is unsent: an idle socket has none. */
struct sock_out {
    struct nu_task flush;
    struct sock *owner;
    struct nu_slice *slice; /* [head, head + count) of cap */
    unsigned head, count, cap;
    size_t bytes; /* in slices */
    int pipe[2];  /* goes out before the slices */
    size_t piped; /* bytes in it */
    bool ended;
    uint8_t waits; /* for the kernel, before a reset */
    struct nu_result end;
    struct nu_slice few[FEW];
};

static void run_flush(struct nu_task *task)
{
    struct sock_out *out = nu_container(task, struct sock_out, flush);
    nu_call(&out->owner->filter, sock_flush);
}

static struct sock_out *out_get(struct sock *s)
{
    if (s->out)
        return s->out;
    struct sock_out *out = nu_spare_get(&nu_filter_loop(&s->filter)->spares, sizeof *out);
    memset(out, 0, offsetof(struct sock_out, few));
    out->flush.run = run_flush;
    out->owner = s;
    out->slice = out->few;
    out->cap = FEW;
    return s->out = out;
}

void sock_out_free(struct sock *s)
{
    struct sock_out *out = s->out;
    if (!out)
        return;
    for (unsigned i = 0; i < out->count; i++)
        nu_slice_drop(&out->slice[out->head + i]);
    if (out->piped)
        splice_give_back(out->pipe, false);
    nu_task_cancel(&out->flush);
    if (out->slice != out->few)
        free(out->slice);
    nu_spare_put(&nu_filter_loop(&s->filter)->spares, out, sizeof *out);
    s->out = NULL;
}

static void push(struct sock_out *out, struct nu_slice data)
{
    if (out->head + out->count == out->cap && out->head > 0) {
        memmove(out->slice, out->slice + out->head, out->count * sizeof *out->slice);
        out->head = 0;
    }
    if (out->count == out->cap) {
        struct nu_slice *more = malloc(2 * out->cap * sizeof *more);
        nu_assert(more != NULL);
        memcpy(more, out->slice, out->count * sizeof *more);
        if (out->slice != out->few)
            free(out->slice);
        out->slice = more;
        out->cap *= 2;
    }
    out->slice[out->head + out->count++] = data;
    out->bytes += data.len;
}

static void shift(struct sock_out *out, size_t n)
{
    out->bytes -= n;
    while (n > 0) {
        struct nu_slice *s = &out->slice[out->head];
        if (n < s->len) {
            s->data += n;
            s->len -= n;
            return;
        }
        n -= s->len;
        nu_slice_drop(s);
        out->head++;
        out->count--;
    }
}

/* What stays past the turn must not pin more than it is worth (E6): many small slices become one.
 */
static void compact(struct sock_out *out, struct nu_block_pool *blocks)
{
    if (out->count < 2 || out->bytes / out->count > NU_BLOCK_SMALL / 8) {
        for (unsigned i = 0; i < out->count; i++)
            nu_slice_keep(blocks, &out->slice[out->head + i]);
        return;
    }
    struct nu_block *b = nu_block_get(blocks, out->bytes);
    size_t at = 0;
    for (unsigned i = 0; i < out->count; i++) {
        struct nu_slice *s = &out->slice[out->head + i];
        memcpy(b->data + at, s->data, s->len);
        at += s->len;
        nu_slice_drop(s);
    }
    out->slice[out->head] = nu_block_freeze(b, at);
    out->count = 1;
    nu_block_unref(b);
}

void sock_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    struct sock *s = sock_of(f);
    struct sock_out *out = out_get(s);
    if (ev->kind == NU_END) {
        out->ended = true;
        out->end = ev->u.end;
    } else {
        push(out, ev->u.data);
        if (out->bytes > NU_SOCK_HIGH)
            nu_hold(f, dir);
    }
    nu_loop_flush(nu_filter_loop(f), &out->flush);
}

void sock_write_failed(struct sock *s)
{
    struct nu_filter *f = &s->filter;
    s->write = SOCK_DEAD;
    s->mask |= SOCK_IN | SOCK_TAIL | SOCK_ERR | SOCK_RESET;
    sock_out_free(s);
    nu_drop(f, sock_outdir(s));
    if (!s->read_ended)
        sock_read_soon(s);
}

/* True if the socket may take more. */
static bool wrote(struct sock *s, ssize_t n, size_t wanted)
{
    if (n > 0)
        sock_gave(s, (size_t)n);
    if (n == (ssize_t)wanted)
        return true;
    if (n >= 0 || errno == EAGAIN || errno == EINPROGRESS) /* the latter: a fast open's SYN */
        s->mask &= (uint8_t)~SOCK_OUT;
    else if (errno != EINTR)
        sock_write_failed(s);
    return false;
}

static bool write_pipe(struct sock *s)
{
    struct sock_out *out = s->out;
    ssize_t n = splice_out(out->pipe, s->io.fd, out->piped);
    size_t wanted = out->piped;
    if (n > 0)
        out->piped -= (size_t)n;
    if (!out->piped)
        splice_give_back(out->pipe, true);
    return wrote(s, n, wanted);
}

static ssize_t send_all(int fd, struct iovec *iov, unsigned count, int flags)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = count};
    return count == 1 ? send(fd, iov->iov_base, iov->iov_len, flags) : sendmsg(fd, &msg, flags);
}

/* A head and a small body: to copy them costs less than to have the kernel read a list. */
static ssize_t send_few(int fd, const struct iovec *iov, unsigned count, int flags)
{
    uint8_t all[GATHER_MAX];
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        memcpy(all + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    return send(fd, all, at, flags);
}

/* The last bytes wait for the FIN, which finish() makes right behind them: one segment, one
 * wake-up of the peer. */
static int last_flags(const struct sock_out *out, unsigned count)
{
    bool last = out->ended && out->end.how == NU_CLEAN && count == out->count;
    return last ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
}

static bool write_slices(struct sock *s)
{
    struct sock_out *out = s->out;
    struct iovec iov[IOV_MOST];
    unsigned count = out->count < IOV_MOST ? out->count : IOV_MOST;
    size_t wanted = 0;
    for (unsigned i = 0; i < count; i++) {
        struct nu_slice *slice = &out->slice[out->head + i];
        iov[i] = (struct iovec){(void *)slice->data, slice->len};
        wanted += slice->len;
    }
    int flags = last_flags(out, count);
    ssize_t n = count > 1 && wanted <= GATHER_MAX ? send_few(s->io.fd, iov, count, flags)
                                                  : send_all(s->io.fd, iov, count, flags);
    if (n > 0)
        shift(out, (size_t)n);
    return wrote(s, n, wanted);
}

int sock_unsent(const struct sock *s)
{
    int n = 0;
    return s->io.fd >= 0 && ioctl(s->io.fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

/* All is out: FIN, or an end that nobody takes for a whole stream. */
static void finish(struct sock *s)
{
    struct nu_filter *f = &s->filter;
    struct nu_result end = s->out->end;
    bool reset = end.how == NU_RESET || end.how == NU_TRUNCATED;
    if (reset && s->out->waits < RESET_WAITS && sock_unsent(s) > 0) {
        s->out->waits++;
        nu_timer_set(f, TIMER_RESET, RESET_WAIT_MS, sock_flush);
        return;
    }
    sock_out_free(s);
    if (end.how == NU_CLEAN) {
        if (s->read_ended || nu_chain_done(f->chain, s->in)) /* closing says FIN as well */
            sock_close_fd(s, false);
        else
            shutdown(s->io.fd, SHUT_WR);
        s->write = SOCK_SHUT;
        nu_done(f, sock_outdir(s));
        return;
    }
    sock_close_fd(s, reset);
    s->write = SOCK_DEAD;
    if (!s->read_ended) {
        s->read_ended = 1;
        nu_forward_end(f, s->in, end);
    }
    nu_done(f, sock_outdir(s));
}

void sock_flush(struct nu_filter *f)
{
    struct sock *s = sock_of(f);
    if (!s->out)
        return;
    while (s->out && s->mask & SOCK_OUT && (s->out->piped || s->out->count))
        if (!(s->out->piped ? write_pipe(s) : write_slices(s)))
            break;
    struct sock_out *out = s->out;
    if (!out) /* the write failed */
        return;
    if (!out->piped && !out->count) {
        if (out->ended)
            finish(s);
        else
            sock_out_free(s);
    } else {
        compact(out, nu_filter_loop(f)->blocks);
    }
    if (!s->out || (!s->out->piped && s->out->bytes <= NU_SOCK_HIGH / 2))
        nu_release(f, sock_outdir(s));
}

size_t nu_sock_unsent(const struct nu_chain *chain)
{
    struct nu_filter *f = nu_chain_end(chain, NU_REV);
    const struct sock_out *out = f && f->type == &nu_sock ? sock_of(f)->out : NULL;
    return out ? out->bytes + out->piped : 0;
}

void sock_out_pipe(struct sock *s, const int pipe[2], size_t left)
{
    struct sock_out *out = out_get(s);
    nu_assert(!out->piped && !out->count);
    out->pipe[0] = pipe[0];
    out->pipe[1] = pipe[1];
    out->piped = left;
    s->mask &= (uint8_t)~SOCK_OUT;
    nu_hold(&s->filter, sock_outdir(s));
}
