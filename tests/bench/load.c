/* The client of the bench: keeps a number of connections busy, each with one exchange at a time.
 *
 *   load ping PORT CONNECTIONS SECONDS BYTES    sends BYTES, waits for as many
 *   load pull PORT CONNECTIONS SECONDS BYTES    asks a blob origin for BYTES (a uint64_t), waits
 * for them
 *
 * Prints `units N seconds S p50 US p99 US errors N` and ends; one thread, one epoll set. */
#include "tests/bench/measure.h"

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

#define TURN_EVENTS 256
#define MAX_BYTES   ((size_t)1 << 16) /* of a ping; a pull's answer may be longer */
#define READ_BYTES  ((size_t)1 << 18)

struct conn {
    int fd;
    size_t got; /* bytes of the answer */
    double asked_at;
};

static struct {
    char request[MAX_BYTES];
    size_t request_len, answer_len;
} run;

static void ask(struct conn *conn)
{
    conn->got = 0;
    conn->asked_at = now();
    if (send(conn->fd, run.request, run.request_len, MSG_NOSIGNAL) != (ssize_t)run.request_len)
        measured.errors++;
}

static bool open_conn(struct conn *conn, uint16_t port, int epoll)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = conn};
    conn->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (conn->fd < 0)
        return false;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(conn->fd, (struct sockaddr *)&to, sizeof to) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, conn->fd, &ev)) {
        close(conn->fd);
        return false;
    }
    return true;
}

static void answer(struct conn *conn)
{
    static char in[READ_BYTES];
    ssize_t got = recv(conn->fd, in, sizeof in, MSG_DONTWAIT);
    if (got <= 0) {
        measured.errors++;
        close(conn->fd);
        return;
    }
    conn->got += (size_t)got;
    if (conn->got < run.answer_len)
        return;
    measured_one(conn->asked_at);
    ask(conn);
}

static void drive(int epoll, double seconds)
{
    double start = now();
    while (now() - start < seconds) {
        struct epoll_event evs[TURN_EVENTS];
        int count = epoll_wait(epoll, evs, TURN_EVENTS, 100);
        for (int i = 0; i < count; i++)
            answer(evs[i].data.ptr);
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
    return strcmp(kind, "ping") == 0 && bytes <= MAX_BYTES;
}

int main(int argc, char **argv)
{
    if (argc != 6 || !set_exchange(argv[1], strtoull(argv[5], NULL, 10))) {
        fprintf(stderr, "usage: load ping|pull PORT CONNECTIONS SECONDS BYTES\n");
        return 2;
    }
    size_t count = strtoul(argv[3], NULL, 10);
    int epoll = epoll_create1(0);
    struct conn *conns = calloc(count, sizeof *conns);
    if (!conns)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (open_conn(&conns[i], (uint16_t)strtoul(argv[2], NULL, 10), epoll))
            ask(&conns[i]);
        else
            measured.errors++;
    }
    drive(epoll, strtod(argv[4], NULL));
    free(conns);
    return measured.units == 0;
}
