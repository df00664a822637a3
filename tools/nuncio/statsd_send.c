/* Lines on their way to a statsd server: packed into datagrams, or through a TCP connection that is
 * made anew with a round when it broke. Never waits: what the kernel does not take is kept (TCP, up
 * to a cap) or dropped, and counted. */
#include "tools/nuncio/statsd_priv.h"

#include "core/assert.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct nu_loop *loop_of_main(void)
{
    return &nu_worker_main()->loop;
}

static void count(const struct statsd_out *out, enum statsd_stat stat, size_t n)
{
    nu_stat_add(out->stats, loop_of_main()->shard, stat, (int64_t)n);
}

static size_t lines_in(const char *data, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += data[i] == '\n';
    return n;
}

static void set_way(struct statsd_out *out, enum statsd_way to)
{
    nu_assert(to != out->way && (to != STATSD_CONNECTING || out->way == STATSD_CLOSED));
    out->way = to;
}

static void discard(struct statsd_out *out, size_t len)
{
    out->len -= len;
    memmove(out->data, out->data + len, out->len);
}

/* A line that was cut begins the next connection. */
static void shut(struct statsd_out *out)
{
    if (out->io.fd >= 0)
        close(out->io.fd);
    out->io.fd = -1;
    while (out->sent > 0 && out->data[out->sent - 1] != '\n')
        out->sent--;
    discard(out, out->sent);
    out->sent = 0;
    set_way(out, STATSD_CLOSED);
}

/* --- TCP --- */

static void push(struct statsd_out *out)
{
    while (out->sent < out->len) {
        ssize_t n = send(out->io.fd, out->data + out->sent, out->len - out->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            shut(out);
            return;
        }
        count(out, STATSD_LINES_SENT, lines_in(out->data + out->sent, (size_t)n));
        out->sent += (size_t)n;
    }
    out->len = out->sent = 0;
}

/* Servers have nothing to say; all that counts is that it ended. */
static bool has_ended(const struct statsd_out *out)
{
    char nothing[512];
    ssize_t n;
    while ((n = recv(out->io.fd, nothing, sizeof nothing, 0)) > 0)
        ;
    return n == 0 || errno != EAGAIN;
}

static void finish_connect(struct statsd_out *out)
{
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(out->io.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        count(out, STATSD_CX_CONNECT_FAIL, 1);
        shut(out);
        return;
    }
    count(out, STATSD_CX_TOTAL, 1);
    set_way(out, STATSD_OPEN);
}

static void ready(struct nu_io *io, uint32_t events)
{
    struct statsd_out *out = nu_container(io, struct statsd_out, io);
    if (!out->tcp)
        return;
    if (out->way == STATSD_CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        finish_connect(out);
    if (out->way == STATSD_OPEN && has_ended(out))
        shut(out);
    if (out->way == STATSD_OPEN)
        push(out);
}

/* --- the socket --- */

static void open_socket(struct statsd_out *out)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(&out->addr, &ss);
    int kind = (out->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, on = 1;
    out->io.fd = socket(ss.ss_family, kind, 0);
    set_way(out, STATSD_CONNECTING);
    if (out->io.fd < 0 ||
        (connect(out->io.fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS) ||
        (out->tcp && nu_io_add(loop_of_main(), &out->io))) {
        count(out, STATSD_CX_CONNECT_FAIL, 1);
        shut(out);
        return;
    }
    if (out->tcp)
        setsockopt(out->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    else
        set_way(out, STATSD_OPEN);
}

/* An error may tell of the datagram before, which a server that is away refused: once more. */
static bool send_datagram(const struct statsd_out *out)
{
    for (int tries = 0; tries < 2; tries++) {
        if (send(out->io.fd, out->data, out->len - 1, MSG_NOSIGNAL) >= 0)
            return true;
        if (errno != ECONNREFUSED)
            return false;
    }
    return false;
}

static void send_packed(struct statsd_out *out)
{
    if (out->len == 0)
        return;
    if (out->way == STATSD_CLOSED)
        open_socket(out);
    bool sent = out->way == STATSD_OPEN && send_datagram(out);
    count(out, sent ? STATSD_LINES_SENT : STATSD_LINES_DROPPED, lines_in(out->data, out->len));
    out->len = 0;
}

/* --- lines --- */

/* What was sent gives its room back; whole lines, so that a cut one can begin anew. */
static void make_room(struct statsd_out *out)
{
    size_t whole = out->sent;
    while (whole > 0 && out->data[whole - 1] != '\n')
        whole--;
    discard(out, whole);
    out->sent -= whole;
}

static void grow(struct statsd_out *out, size_t need)
{
    size_t size = out->cap ? out->cap : STATSD_DATAGRAM + 1;
    while (size < need)
        size *= 2;
    if (size == out->cap)
        return;
    out->data = realloc(out->data, size);
    nu_assert(out->data != NULL);
    out->cap = size;
}

void statsd_out_put(struct statsd_out *out, const char *line, size_t len)
{
    size_t max = out->tcp ? STATSD_BACKLOG : STATSD_DATAGRAM + 1; /* the last newline stays here */
    if (out->len + len + 1 > max && !out->tcp)
        send_packed(out);
    else if (out->len + len + 1 > max)
        make_room(out);
    if (out->len + len + 1 > max) {
        count(out, STATSD_LINES_DROPPED, 1);
        return;
    }
    grow(out, out->len + len + 1);
    memcpy(out->data + out->len, line, len);
    out->len += len;
    out->data[out->len++] = '\n';
}

void statsd_out_flush(struct statsd_out *out)
{
    if (!out->tcp)
        send_packed(out);
    else if (out->way == STATSD_OPEN)
        push(out);
    else if (out->way == STATSD_CLOSED)
        open_socket(out);
}

void statsd_out_init(struct statsd_out *out, const struct nu_addr *addr, bool tcp,
                     struct nu_stats *stats)
{
    *out = (struct statsd_out){
        .io = {.ready = ready, .fd = -1},
          .tcp = tcp, .addr = *addr
    };
    out->stats = stats;
}

void statsd_out_fini(struct statsd_out *out)
{
    if (out->way != STATSD_CLOSED)
        shut(out);
    free(out->data);
}
