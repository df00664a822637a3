/* The client of the bench for TLS: as load.c, with each exchange encrypted.
 *
 *   tls ping PORT CONNECTIONS SECONDS BYTES       sends BYTES, waits for as many
 *   tls pull PORT CONNECTIONS SECONDS BYTES       asks a blob origin for BYTES, waits for them
 *   tls connect PORT CONNECTIONS SECONDS BYTES    a ping on a connection of its own, each with a
 *                                                 full handshake, that the server ends
 *
 * Trusts whoever answers. One thread, one epoll set. */
#include "tests/bench/measure.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_EVENTS 256
#define MAX_BYTES   ((size_t)1 << 14) /* of a ping */
#define READ_BYTES  ((size_t)1 << 16)

struct conn {
    SSL *ssl;
    int fd;
    bool opened; /* just now: it is to speak first */
    bool asked;
    size_t got; /* bytes of the answer */
    double begun_at;
};

static struct {
    SSL_CTX *ctx;
    struct sockaddr_in to;
    char request[MAX_BYTES];
    size_t request_len, answer_len;
    bool fresh;
    int epoll;
} run;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void open_conn(struct conn *conn)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = conn};
    *conn = (struct conn){.fd = socket(AF_INET, SOCK_STREAM, 0), .opened = true, .begun_at = now()};
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&run.to, sizeof run.to))
        die("tls: connect");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (fcntl(conn->fd, F_SETFL, O_NONBLOCK) || epoll_ctl(run.epoll, EPOLL_CTL_ADD, conn->fd, &ev))
        die("tls: epoll");
    conn->ssl = SSL_new(run.ctx);
    if (!conn->ssl || SSL_set_fd(conn->ssl, conn->fd) != 1)
        die("tls: SSL");
    SSL_set_connect_state(conn->ssl);
}

static void close_conn(struct conn *conn)
{
    SSL_shutdown(conn->ssl);
    SSL_free(conn->ssl);
    close(conn->fd);
}

/* What is small fits the socket's buffer; other answers than success are failures or mean to wait,
 * or that the server has ended what was complete. */
static bool succeeded(struct conn *conn, int answer)
{
    if (answer > 0)
        return true;
    int error = SSL_get_error(conn->ssl, answer);
    if (error == SSL_ERROR_WANT_READ)
        return false;
    if (error == SSL_ERROR_ZERO_RETURN && run.fresh && conn->got == run.answer_len)
        measured_one(conn->begun_at);
    else
        measured.errors++;
    close_conn(conn);
    open_conn(conn);
    return false;
}

/* False: it has to wait. */
static bool ask(struct conn *conn)
{
    size_t put;
    if (!SSL_is_init_finished(conn->ssl) && !succeeded(conn, SSL_do_handshake(conn->ssl)))
        return false;
    if (!run.fresh)
        conn->begun_at = now();
    conn->got = 0;
    conn->asked = succeeded(conn, SSL_write_ex(conn->ssl, run.request, run.request_len, &put));
    return conn->asked;
}

/* False: nothing more is at hand, or the connection is a new one. */
static bool take(struct conn *conn)
{
    static char in[READ_BYTES];
    size_t got;
    if (!succeeded(conn, SSL_read_ex(conn->ssl, in, sizeof in, &got)))
        return false;
    conn->got += got;
    if (conn->got < run.answer_len || run.fresh)
        return true;
    measured_one(conn->begun_at);
    conn->asked = false;
    return true;
}

static void advance(struct conn *conn)
{
    bool more;
    do {
        conn->opened = false;
        more = conn->asked ? take(conn) : ask(conn);
    } while (more || conn->opened);
}

static void drive(double seconds)
{
    double start = now();
    while (now() - start < seconds) {
        struct epoll_event evs[TURN_EVENTS];
        int count = epoll_wait(run.epoll, evs, TURN_EVENTS, 100);
        for (int i = 0; i < count; i++)
            advance(evs[i].data.ptr);
    }
    measured_print(now() - start);
}

static bool set_exchange(const char *kind, uint64_t bytes)
{
    run.answer_len = bytes;
    if (strcmp(kind, "pull") == 0) {
        memcpy(run.request, &bytes, sizeof bytes);
        run.request_len = sizeof bytes;
        return true;
    }
    memset(run.request, 'p', sizeof run.request);
    run.request_len = bytes;
    run.fresh = strcmp(kind, "connect") == 0;
    return (run.fresh || strcmp(kind, "ping") == 0) && bytes <= MAX_BYTES;
}

int main(int argc, char **argv)
{
    if (argc != 6 || !set_exchange(argv[1], strtoull(argv[5], NULL, 10))) {
        fprintf(stderr, "usage: tls ping|pull|connect PORT CONNECTIONS SECONDS BYTES\n");
        return 2;
    }
    size_t count = strtoul(argv[3], NULL, 10);
    struct conn *conns = calloc(count, sizeof *conns);
    run.epoll = epoll_create1(0);
    run.ctx = SSL_CTX_new(TLS_client_method());
    run.to = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (!conns || !run.ctx)
        abort();
    for (size_t i = 0; i < count; i++) {
        open_conn(&conns[i]);
        advance(&conns[i]);
    }
    drive(strtod(argv[4], NULL));
    free(conns);
    return measured.units == 0;
}
