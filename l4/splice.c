/* Bulk relay between two plain sockets through a pipe, without the bytes entering this process.
 *
 * Each worker keeps a few pipes; one is lent for the duration of a move, longer only while the sink
 * is full. */
#include "l4/sock_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIPES_KEPT 16  /* per worker; each pins kernel memory only while bytes are in it */
#define PIPES_MOST 256 /* lent and kept, per worker: beyond it, plain reads */
#define PIPE_BYTES (1024 * 1024) /* Linux' default most: small fragments use up slots */

static __thread struct {
    int kept[PIPES_KEPT][2];
    unsigned count, lent;
} pool;

static bool pipe_get(int p[2])
{
    if (pool.count > 0) {
        pool.count--;
        p[0] = pool.kept[pool.count][0];
        p[1] = pool.kept[pool.count][1];
    } else {
        if (pool.lent >= PIPES_MOST || pipe2(p, O_NONBLOCK | O_CLOEXEC))
            return false;
        fcntl(p[1], F_SETPIPE_SZ,
              PIPE_BYTES); /* what is over the user's quota stays at its default */
    }
    pool.lent++;
    return true;
}

void splice_give_back(const int p[2], bool empty)
{
    nu_assert(pool.lent > 0);
    pool.lent--;
    if (empty && pool.count < PIPES_KEPT) {
        pool.kept[pool.count][0] = p[0];
        pool.kept[pool.count][1] = p[1];
        pool.count++;
        return;
    }
    close(p[0]);
    close(p[1]);
}

ssize_t splice_out(const int p[2], int fd, size_t left)
{
    size_t done = 0;
    while (done < left) {
        ssize_t n = splice(p[0], NULL, fd, NULL, left - done, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n <= 0) /* an error is told once: nobody would hear of it again */
            return done && (n == 0 || errno == EAGAIN) ? (ssize_t)done : n;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* What the sink did not take: it keeps the pipe. Passed by the thread, as nu_call takes no
 * argument. */
static __thread struct {
    int pipe[2];
    size_t left;
} rest;

static void keep_rest(struct nu_filter *f)
{
    sock_out_pipe(sock_of(f), rest.pipe, rest.left);
}

static void fail_write(struct nu_filter *f)
{
    sock_write_failed(sock_of(f));
}

bool sock_splice(struct sock *s, struct sock *d)
{
    int p[2];
    if (!pipe_get(p))
        return false;
    ssize_t n = splice(s->io.fd, NULL, p[1], NULL, SPLICE_CHUNK, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0 && errno == EINVAL) { /* not every socket can */
        splice_give_back(p, true);
        return false;
    }
    if (n <= 0) {
        splice_give_back(p, true);
        s->bulk = false;
        if (n == 0 || (errno == EAGAIN && s->mask & SOCK_TAIL))
            return false; /* at an urgent byte it stops as at the end: only read tells */
        sock_read_result(s, n, SPLICE_CHUNK);
        return true;
    }
    /* A short one says nothing about what is left: fragments may have filled the pipe. */
    sock_read_result(s, n, (size_t)n);
    ssize_t w = splice_out(p, d->io.fd, (size_t)n);
    if (w > 0)
        sock_gave(d, (size_t)w);
    if (w == n) {
        splice_give_back(p, true);
        return true;
    }
    if (w < 0 && errno != EAGAIN) {
        splice_give_back(p, false);
        nu_call(&d->filter, fail_write);
        return true;
    }
    rest.pipe[0] = p[0];
    rest.pipe[1] = p[1];
    rest.left = (size_t)(n - (w > 0 ? w : 0));
    nu_call(&d->filter, keep_rest);
    return true;
}
