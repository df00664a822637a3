/* WebSockets for the bench, both ends; one thread, one epoll set each.
 *
 *   ws ping PORT CONNECTIONS SECONDS BYTES    binary frames of BYTES, each waits for its like
 *   ws origin                                 sends every frame back; prints its port first
 *
 * ping prints `units N seconds S p50 US p99 US errors N`. Frames are short (up to 125 bytes) and
 * masked with zeroes, so an answer is a question without its mask. Only for measuring: each trusts
 * the other, and a fixed key. */
#include "tests/bench/measure.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_EVENTS 256
#define SHORT_MAX   125 /* payload of a frame whose length is one byte */
#define CLIENT_HEAD 6   /* of its frames, with the mask */
#define SERVER_HEAD 2

static const char asked[] =
    "GET /chat HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char granted[] =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct conn {
    int fd;
    bool open;  /* the handshake is over */
    size_t got; /* bytes in hand */
    double asked_at;
    char in[1024]; /* a handshake, or a part of a frame */
};

static int epoll;

static struct conn *conn_new(int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        abort();
    conn->fd = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.ptr = conn}});
    return conn;
} /* NOLINT(clang-analyzer-unix.Malloc): the epoll set holds it until its peer is gone */

static void conn_close(struct conn *conn)
{
    close(conn->fd);
    free(conn);
}

static bool say(const struct conn *conn, const void *bytes, size_t len)
{
    return send(conn->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* More bytes; false: it is over. */
static bool take(struct conn *conn)
{
    ssize_t n = recv(conn->fd, conn->in + conn->got, sizeof conn->in - conn->got, MSG_DONTWAIT);
    if (n <= 0)
        return false;
    conn->got += (size_t)n;
    return true;
}

static void drop(struct conn *conn, size_t len)
{
    conn->got -= len;
    memmove(conn->in, conn->in + len, conn->got);
}

/* The handshake's head is there, and off. */
static bool take_head(struct conn *conn)
{
    char *end = memmem(conn->in, conn->got, "\r\n\r\n", 4);
    if (!end)
        return false;
    drop(conn, (size_t)(end + 4 - conn->in));
    return conn->open = true;
}

/* --- the server --- */

static bool answer_frames(struct conn *conn)
{
    while (conn->got >= CLIENT_HEAD) {
        size_t payload = conn->in[1] & 127, whole = CLIENT_HEAD + payload;
        char out[SERVER_HEAD + SHORT_MAX];
        if (payload > SHORT_MAX)
            return false;
        if (conn->got < whole)
            return true;
        out[0] = conn->in[0];
        out[1] = (char)payload;
        memcpy(out + SERVER_HEAD, conn->in + CLIENT_HEAD, payload);
        drop(conn, whole);
        if (!say(conn, out, SERVER_HEAD + payload))
            return false;
    }
    return true;
}

static void serve_one(struct conn *conn)
{
    bool fine = take(conn);
    if (fine && !conn->open && take_head(conn))
        fine = say(conn, granted, sizeof granted - 1);
    if (!fine || (conn->open && !answer_frames(conn)))
        conn_close(conn);
}

static int serve(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, len) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&any, &len))
        return 1;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.ptr = NULL}});
    printf("%d\n", ntohs(any.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event evs[TURN_EVENTS];
        int count = epoll_wait(epoll, evs, TURN_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int new;
            if (evs[i].data.ptr)
                serve_one(evs[i].data.ptr);
            else if ((new = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
                conn_new(new);
        }
    }
}

/* --- the client --- */

static char question[CLIENT_HEAD + SHORT_MAX] = {(char)0x82};
static size_t payload_bytes;

static void ask(struct conn *conn)
{
    conn->asked_at = now();
    if (!say(conn, question, CLIENT_HEAD + payload_bytes))
        measured.errors++;
}

static void listen_to(struct conn *conn)
{
    if (!take(conn)) {
        measured.errors++;
        conn_close(conn);
    } else if (!conn->open) {
        if (take_head(conn))
            ask(conn);
    } else if (conn->got >= SERVER_HEAD + payload_bytes) {
        drop(conn, SERVER_HEAD + payload_bytes);
        measured_one(conn->asked_at);
        ask(conn);
    }
}

static void open_one(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        abort();
    if (connect(fd, (struct sockaddr *)&to, sizeof to) ||
        !say(conn_new(fd), asked, sizeof asked - 1))
        measured.errors++;
}

static int ping(uint16_t port, size_t connections, double seconds, size_t bytes)
{
    payload_bytes = bytes;
    question[1] = (char)(0x80 | bytes);
    for (size_t i = 0; i < connections; i++)
        open_one(port);
    double start = now();
    while (now() - start < seconds) {
        struct epoll_event evs[TURN_EVENTS];
        int count = epoll_wait(epoll, evs, TURN_EVENTS, 100);
        for (int i = 0; i < count; i++)
            listen_to(evs[i].data.ptr);
    }
    measured_print(now() - start);
    return measured.units == 0;
}

int main(int argc, char **argv)
{
    epoll = epoll_create1(0);
    if (argc == 2 && strcmp(argv[1], "origin") == 0)
        return serve();
    if (argc == 6 && strcmp(argv[1], "ping") == 0 && strtoul(argv[5], NULL, 10) <= SHORT_MAX)
        return ping((uint16_t)strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10),
                    strtod(argv[4], NULL), strtoul(argv[5], NULL, 10));
    fprintf(stderr, "usage: ws ping PORT CONNECTIONS SECONDS BYTES | ws origin\n");
    return 2;
}
