/* The server of the bench: owes bytes and pays them. One thread, one epoll set, no content.
 *
 *   origin echo    owes as many bytes as it got
 *   origin once    the same, and closes once it has paid
 *   origin blob    each request is a uint64_t in this machine's order: that many bytes are owed
 *
 * Prints its port on one line, then serves until it is killed. Only for measuring: it trusts its
 * clients. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_EVENTS   256
#define PATTERN_BYTES ((size_t)1 << 18)

struct conn {
    int fd;
    uint64_t owed;    /* bytes still to send */
    uint64_t request; /* blob: the request being read */
    size_t got;       /* of its bytes */
    bool waits_out;
};

static int epoll;
static bool echo, once;
static char pattern[PATTERN_BYTES];

static int listen_free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, len) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&any, &len)) {
        perror("origin");
        exit(1);
    }
    printf("%d\n", ntohs(any.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(struct conn *conn, int op)
{
    struct epoll_event ev = {.events = EPOLLIN | (conn->waits_out ? EPOLLOUT : 0),
                             .data.ptr = conn};
    epoll_ctl(epoll, op, conn->fd, &ev);
}

static void accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        abort();
    conn->fd = fd;
    watch(conn, EPOLL_CTL_ADD);
} /* NOLINT(clang-analyzer-unix.Malloc): the epoll set holds it until its client is gone */

static void owe(struct conn *conn, const char *data, size_t len)
{
    if (echo) {
        conn->owed += len;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        ((char *)&conn->request)[conn->got++] = data[i];
        if (conn->got == sizeof conn->request) {
            conn->owed += conn->request;
            conn->got = 0;
        }
    }
}

/* False when the client is gone, or has got all that it will get. */
static bool serve(struct conn *conn, uint32_t events)
{
    static char in[65536];
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t got = recv(conn->fd, in, sizeof in, 0);
        if (got <= 0)
            return false;
        owe(conn, in, (size_t)got);
    }
    while (conn->owed > 0) {
        size_t len = conn->owed < PATTERN_BYTES ? conn->owed : PATTERN_BYTES;
        ssize_t sent = send(conn->fd, pattern, len, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        conn->owed -= (uint64_t)sent;
        if (once && conn->owed == 0)
            return false;
    }
    if (conn->waits_out != (conn->owed > 0)) {
        conn->waits_out = conn->owed > 0;
        watch(conn, EPOLL_CTL_MOD);
    }
    return true;
}

int main(int argc, char **argv)
{
    once = argc == 2 && strcmp(argv[1], "once") == 0;
    echo = once || (argc == 2 && strcmp(argv[1], "echo") == 0);
    if (!echo && (argc != 2 || strcmp(argv[1], "blob") != 0)) {
        fprintf(stderr, "usage: origin echo|once|blob\n");
        return 2;
    }
    epoll = epoll_create1(0);
    struct conn listener = {.fd = listen_free_port()};
    watch(&listener, EPOLL_CTL_ADD);
    for (;;) {
        struct epoll_event evs[TURN_EVENTS];
        int count = epoll_wait(epoll, evs, TURN_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct conn *conn = evs[i].data.ptr;
            if (conn == &listener) {
                accept_one(listener.fd);
            } else if (!serve(conn, evs[i].events)) {
                close(conn->fd);
                free(conn);
            }
        }
    }
}
