/* Both ends of the bench for datagrams.
 *
 *   udp echo                                     a server: prints its port, sends back what comes
 *   udp ping PORT SESSIONS SECONDS BYTES         each session has one datagram on its way, always
 *   udp ask PORT SESSIONS SECONDS BYTES          the same, but each from a new port: a session for
 *                                                every question, as DNS has it
 *
 * The client prints `units N seconds S p50 US p99 US errors N`, a unit being a datagram there and
 * one back; errors are those that did not come back within LOST_S. One thread, one epoll set. */
#include "tests/bench/measure.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_EVENTS 256
#define BATCH       64
#define MAX_BYTES   1472
#define LOST_S      0.5

struct session {
    int fd;
    double asked_at;
};

static struct {
    struct sockaddr_in to;
    size_t bytes;
    bool fresh;
    int epoll;
} run;

/* --- the server --- */

static int echo(void)
{
    static struct mmsghdr msg[BATCH];
    static struct iovec iov[BATCH];
    static struct sockaddr_in peer[BATCH];
    static char data[BATCH][65536];
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, len) ||
        getsockname(fd, (struct sockaddr *)&any, &len))
        return 1;
    printf("%d\n", ntohs(any.sin_port));
    fflush(stdout);
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){data[i], sizeof data[i]};
            msg[i].msg_hdr = (struct msghdr){.msg_name = &peer[i],
                                             .msg_namelen = sizeof peer[i],
                                             .msg_iov = &iov[i],
                                             .msg_iovlen = 1};
        }
        int n = recvmmsg(fd, msg, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++)
            iov[i].iov_len = msg[i].msg_len;
        if (n > 0)
            sendmmsg(fd, msg, (unsigned)n, 0);
    }
}

/* --- the client --- */

static void open_socket(struct session *s)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
    s->fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&run.to, sizeof run.to) ||
        epoll_ctl(run.epoll, EPOLL_CTL_ADD, s->fd, &ev)) {
        perror("udp");
        exit(1);
    }
}

static void ask(struct session *s)
{
    static const char data[MAX_BYTES];
    s->asked_at = now();
    if (send(s->fd, data, run.bytes, 0) < 0)
        measured.errors++;
}

static void next(struct session *s)
{
    if (run.fresh) {
        close(s->fd);
        open_socket(s);
    }
    ask(s);
}

static void answer(struct session *s)
{
    static char in[65536];
    if (recv(s->fd, in, sizeof in, MSG_DONTWAIT) < 0)
        return;
    measured_one(s->asked_at);
    next(s);
}

static void give_up_lost(struct session *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (now() - all[i].asked_at > LOST_S) {
            measured.errors++;
            next(&all[i]);
        }
}

static void drive(struct session *all, size_t count, double seconds)
{
    double start = now(), looked = start;
    while (now() - start < seconds) {
        struct epoll_event evs[TURN_EVENTS];
        int n = epoll_wait(run.epoll, evs, TURN_EVENTS, 100);
        for (int i = 0; i < n; i++)
            answer(evs[i].data.ptr);
        if (now() - looked < LOST_S / 2)
            continue;
        looked = now();
        give_up_lost(all, count);
    }
    measured_print(now() - start);
}

static int client(char **argv)
{
    size_t count = strtoul(argv[3], NULL, 10);
    struct session *all = calloc(count, sizeof *all);
    if (!all)
        abort();
    run.epoll = epoll_create1(0);
    run.fresh = strcmp(argv[1], "ask") == 0;
    run.bytes = strtoul(argv[5], NULL, 10);
    run.to = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < count; i++) {
        open_socket(&all[i]);
        ask(&all[i]);
    }
    drive(all, count, strtod(argv[4], NULL));
    free(all);
    return measured.units == 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "echo") == 0)
        return echo();
    if (argc == 6 && (strcmp(argv[1], "ping") == 0 || strcmp(argv[1], "ask") == 0) &&
        strtoul(argv[5], NULL, 10) <= MAX_BYTES)
        return client(argv);
    fprintf(stderr, "usage: udp echo | udp ping|ask PORT SESSIONS SECONDS BYTES\n");
    return 2;
}
