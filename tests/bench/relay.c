/* The floor of the bench: what a proxy costs that does nothing. One thread, one epoll set, per
 * direction one read and one write; a short write waits for writability and stops the reading
 * meanwhile.
 *
 *   relay PORT...     one listener per target port on loopback; prints their ports on one line
 *
 * No half-close, no timeouts, no checks: only for measuring. */
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
#define READ_BYTES  65536
#define MAX_TARGETS 16

struct side {
    int fd;
    uint16_t target;   /* of a listener: where its clients go; else 0 */
    struct side *peer; /* the other socket of the pair; NULL once closed */
    char *unsent;      /* what this socket would not take at once */
    size_t from, to;
    struct side *next_dead;
};

static int epoll;
static struct side *dead; /* freed at the turn's end: later events of the turn may name them */

static void watch(struct side *side, uint32_t events, int op)
{
    struct epoll_event ev = {.events = events, .data.ptr = side};
    epoll_ctl(epoll, op, side->fd, &ev);
}

static struct side *add(int fd)
{
    struct side *side = calloc(1, sizeof *side);
    if (!side)
        abort();
    side->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    watch(side, EPOLLIN, EPOLL_CTL_ADD);
    return side;
}

static void accept_pair(const struct side *listener)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(listener->target),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (client < 0 || server < 0 || connect(server, (struct sockaddr *)&to, sizeof to)) {
        close(client);
        close(server);
        return;
    }
    struct side *left = add(client), *right = add(server);
    left->peer = right;
    right->peer = left;
}

static void end_pair(struct side *side)
{
    struct side *both[] = {side, side->peer};
    for (int i = 0; i < 2; i++) {
        close(both[i]->fd);
        both[i]->peer = NULL;
        both[i]->next_dead = dead;
        dead = both[i];
    }
}

static void bury(void)
{
    while (dead) {
        struct side *side = dead;
        dead = side->next_dead;
        free(side->unsent);
        free(side);
    }
}

/* Keeps what `side` did not take; its peer is not read until that is gone. */
static void keep(struct side *side, const char *data, size_t len)
{
    if (!side->unsent)
        side->unsent = malloc(READ_BYTES);
    if (!side->unsent)
        abort();
    memcpy(side->unsent, data, len);
    side->from = 0;
    side->to = len;
    watch(side, EPOLLOUT, EPOLL_CTL_MOD);
    watch(side->peer, 0, EPOLL_CTL_MOD);
}

static void on_readable(struct side *side)
{
    static char in[READ_BYTES];
    ssize_t got = recv(side->fd, in, sizeof in, MSG_DONTWAIT);
    if (got <= 0) {
        end_pair(side);
        return;
    }
    ssize_t sent = send(side->peer->fd, in, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL);
    sent = sent < 0 ? 0 : sent;
    if (sent < got)
        keep(side->peer, in + sent, (size_t)(got - sent));
}

static void on_writable(struct side *side)
{
    ssize_t sent = send(side->fd, side->unsent + side->from, side->to - side->from,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    side->from += sent < 0 ? 0 : (size_t)sent;
    if (side->from < side->to)
        return;
    watch(side, EPOLLIN, EPOLL_CTL_MOD);
    watch(side->peer, EPOLLIN, EPOLL_CTL_MOD);
}

static void handle(struct side *side, uint32_t events)
{
    if (side->target)
        accept_pair(side);
    else if (!side->peer)
        return;
    else if (events & EPOLLOUT)
        on_writable(side);
    else if (events & EPOLLIN)
        on_readable(side);
    else
        end_pair(side);
}

static void listen_for(struct side *side, uint16_t target)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    side->fd = socket(AF_INET, SOCK_STREAM, 0);
    side->target = target;
    if (side->fd < 0 || bind(side->fd, (struct sockaddr *)&any, len) || listen(side->fd, 4096) ||
        getsockname(side->fd, (struct sockaddr *)&any, &len)) {
        perror("relay");
        exit(1);
    }
    watch(side, EPOLLIN, EPOLL_CTL_ADD);
    printf("%d ", ntohs(any.sin_port));
}

int main(int argc, char **argv)
{
    struct side listeners[MAX_TARGETS] = {{0}};
    epoll = epoll_create1(0);
    for (int i = 1; i < argc && i <= MAX_TARGETS; i++)
        listen_for(&listeners[i - 1], (uint16_t)strtoul(argv[i], NULL, 10));
    printf("\n");
    fflush(stdout);
    for (;;) {
        struct epoll_event evs[TURN_EVENTS];
        int count = epoll_wait(epoll, evs, TURN_EVENTS, -1);
        for (int i = 0; i < count; i++)
            handle(evs[i].data.ptr, evs[i].events);
        bury();
    }
}
