/* A connection of a replay: one request after the other, each with its answer. It never waits;
 * replay_run.c says when it may go on. */
#include "tools/tap/replay_parts.h"

#include "core/assert.h"
#include "protocols/http/h1.h"
#include "protocols/http/h1_write.h"
#include "tools/tap/body.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

struct replay_conns {
    struct replay_target target;
    struct nu_block_pool *pool;
    struct nu_h1_limits limits;
    struct tap_conn counted; /* what bodies count their memory with */
    struct nu_flow flow;
};

enum state { IDLE, CONNECTING, SENDING, READING };

struct replay_conn {
    struct replay_conns *all;
    enum state state;
    int fd; /* -1 = none */
    bool reused, heard;
    struct replay_item *item;
    uint64_t lane;
    int64_t begun_ns;
    struct nu_slice head; /* of the request */
    size_t sent;          /* of it and its body */
    struct nu_h1_parser parser;
    struct nu_arena *arena;
    struct tap_body body;
    bool keeps; /* the connection, behind this answer */
};

struct replay_conns *replay_conns_new(const struct replay_target *target, struct tap *tap)
{
    struct replay_conns *all = calloc(1, sizeof *all);
    nu_assert(all != NULL);
    all->target = *target;
    all->pool = nu_block_pool_new();
    all->limits = (struct nu_h1_limits)NU_H1_LIMITS_DEFAULT;
    all->counted.tap = tap;
    all->counted.flow = &all->flow;
    return all;
}

void replay_conns_free(struct replay_conns *all)
{
    nu_block_pool_free(all->pool);
    free(all);
}

struct replay_conn *replay_conn_new(struct replay_conns *all)
{
    struct replay_conn *c = calloc(1, sizeof *c);
    nu_assert(c != NULL);
    c->all = all;
    c->fd = -1;
    nu_h1_init(&c->parser, &all->limits);
    return c;
}

const struct replay_item *replay_conn_item(const struct replay_conn *c)
{
    return c->item;
}

uint64_t replay_conn_lane(const struct replay_conn *c)
{
    return c->lane;
}

static void hang_up(struct replay_conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* What belongs to one answer. */
static void clear(struct replay_conn *c)
{
    if (c->body.conn)
        tap_body_shrink(&c->body);
    c->body = (struct tap_body){0};
    nu_arena_free(c->arena);
    c->arena = NULL;
}

void replay_conn_free(struct replay_conn *c)
{
    hang_up(c);
    clear(c);
    if (c->head.len)
        nu_slice_drop(&c->head);
    free(c);
}

/* --- the answer --- */

static void compare(const struct replay_conn *c, struct replay_item *item)
{
    const struct tap_body *b = &c->body;
    size_t len = b->kept_len < item->answer_len ? b->kept_len : item->answer_len, at = 0;
    while (at < len && b->kept[at] == item->answer[at])
        at++;
    item->now_size = tap_body_len(b);
    item->differs_at = at;
    item->same_body = at == len && item->now_size == item->size;
    len = b->kept_len - at < sizeof item->now ? b->kept_len - at : sizeof item->now;
    item->now_len = (uint8_t)len;
    if (len)
        memcpy(item->now, b->kept + at, len);
}

static void finish(struct replay_conn *c, const char *error, int64_t now_ns)
{
    struct replay_item *item = c->item;
    struct tap_note unused = {""};
    if (c->body.conn) {
        tap_body_end(&c->body, !error, "", &unused);
        compare(c, item);
    } else {
        item->same_body = item->size == 0;
    }
    item->error = error;
    item->now_whole = !error;
    item->now_ns = now_ns - c->begun_ns;
    item->done = true;
    if (error || !c->keeps)
        hang_up(c);
    nu_slice_drop(&c->head);
    c->head = (struct nu_slice){0};
    clear(c);
    c->item = NULL;
    c->state = IDLE;
}

static void on_head(struct replay_conn *c, const struct nu_http_head *head)
{
    c->item->now_status = head->status;
    c->keeps = head->keep_alive;
    tap_body_begin(&c->body, &c->all->counted, nu_http_value(head, NU_HDR_CONTENT_ENCODING));
}

/* False: the answer is over. */
static bool take_event(struct replay_conn *c, enum nu_h1_event event, struct nu_h1_out *out,
                       int64_t now_ns)
{
    if (event == NU_H1_ERROR) {
        finish(c, c->item->now_status ? "the answer was cut short" : "no HTTP", now_ns);
        return false;
    }
    if (event == NU_H1_END) {
        finish(c, NULL, now_ns);
        return false;
    }
    if (event == NU_H1_HEAD)
        on_head(c, out->head);
    else if (event == NU_H1_DATA)
        tap_body_data(&c->body, (struct nu_piece){out->data.data, out->data.len});
    if (event == NU_H1_DATA)
        nu_slice_drop(&out->data);
    else if (out->head)
        nu_http_head_drop(out->head);
    return true;
}

/* Bytes behind an answer belong to none: the connection is given up with it. */
static void parse(struct replay_conn *c, struct nu_slice in, int64_t now_ns)
{
    struct nu_h1_out out;
    while (c->item) {
        enum nu_h1_event event = nu_h1_read(&c->parser, &in, &out);
        if (event == NU_H1_MORE)
            break;
        c->keeps &= event != NU_H1_END || in.len == 0;
        if (!take_event(c, event, &out, now_ns))
            break;
    }
    nu_slice_drop(&in);
}

static void begin(struct replay_conn *c, int64_t now_ns);

/* A server may close a connection that was idle just as a request is on its way: once more then. */
static void lost(struct replay_conn *c, const char *error, int64_t now_ns)
{
    struct nu_h1_out out;
    hang_up(c);
    if (c->reused && !c->heard) {
        clear(c);
        begin(c, now_ns);
    } else if (c->state == READING && nu_h1_eof(&c->parser, &out) == NU_H1_END) {
        finish(c, NULL, now_ns);
    } else {
        finish(c, c->item->now_status ? "the answer was cut short" : error, now_ns);
    }
}

static void read_some(struct replay_conn *c, int64_t now_ns)
{
    struct nu_block *block = nu_block_get(c->all->pool, NU_BLOCK_SMALL);
    ssize_t n = recv(c->fd, nu_block_tail(block), nu_block_room(block), 0);
    struct nu_slice in = n > 0 ? nu_block_freeze(block, (size_t)n) : (struct nu_slice){0};
    int error = errno;
    nu_block_unref(block);
    if (n > 0) {
        c->heard = true;
        parse(c, in, now_ns);
    } else if (n == 0) {
        lost(c, "closed without an answer", now_ns);
    } else if (error != EAGAIN && error != EINTR) {
        lost(c, strerror(error), now_ns);
    }
}

/* --- the request --- */

static void send_some(struct replay_conn *c, int64_t now_ns)
{
    const struct replay_item *item = c->item;
    size_t all = c->head.len + item->body_len;
    while (c->sent < all) {
        bool head = c->sent < c->head.len;
        const uint8_t *at = head ? c->head.data + c->sent : item->body + c->sent - c->head.len;
        size_t len = head ? c->head.len - c->sent : all - c->sent;
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL | (head && item->body_len ? MSG_MORE : 0));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) { /* it may have answered before it closed */
            c->state = READING;
            return;
        }
        c->sent += (size_t)n;
    }
    c->state = READING;
}

static void open_socket(struct replay_conn *c, int64_t now_ns)
{
    const struct replay_target *to = &c->all->target;
    int on = 1;
    c->fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd >= 0)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->state = CONNECTING;
    if (c->fd < 0 || (connect(c->fd, (const struct sockaddr *)&to->addr, to->addr_len) != 0 &&
                      errno != EINPROGRESS))
        lost(c, strerror(errno), now_ns);
}

/* On the connection that is there, else on a new one. */
static void begin(struct replay_conn *c, int64_t now_ns)
{
    c->reused = c->fd >= 0;
    c->heard = c->keeps = false;
    c->sent = 0;
    c->arena = nu_arena_new(NU_H1_ARENA_BYTES);
    nu_h1_init(&c->parser, &c->all->limits);
    nu_h1_begin_response(&c->parser, c->arena, (enum nu_method)c->item->head->method_id, false);
    if (!c->reused) {
        open_socket(c, now_ns);
        return;
    }
    c->state = SENDING;
    send_some(c, now_ns);
}

void replay_conn_send(struct replay_conn *c, struct replay_item *item, int64_t now_ns)
{
    nu_assert(!c->item && !item->begun);
    item->begun = true;
    c->item = item;
    c->lane = item->id.flow;
    c->begun_ns = now_ns;
    if (nu_h1_make_head(c->all->pool, item->head, &(struct nu_h1_how){0}, &c->head))
        finish(c, "cannot be said in HTTP/1.1", now_ns);
    else
        begin(c, now_ns);
}

/* --- waiting --- */

int replay_conn_fd(const struct replay_conn *c, short *events)
{
    *events = c->state == CONNECTING ? POLLOUT : c->state == SENDING ? POLLIN | POLLOUT : POLLIN;
    return c->fd;
}

static void connected(struct replay_conn *c, int64_t now_ns)
{
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        lost(c, strerror(error), now_ns);
        return;
    }
    c->state = SENDING;
    send_some(c, now_ns);
}

void replay_conn_step(struct replay_conn *c, short events, int64_t now_ns)
{
    if (c->state == CONNECTING)
        connected(c, now_ns);
    else if (c->state == IDLE)
        hang_up(c); /* the server closed it, or says what nobody asked */
    else if (events & (POLLIN | POLLHUP | POLLERR))
        read_some(c, now_ns);
    else
        send_some(c, now_ns);
}

int64_t replay_conn_deadline(const struct replay_conn *c)
{
    return c->item ? c->begun_ns + TAP_REPLAY_MS * NS_PER_MS : INT64_MAX;
}

void replay_conn_expire(struct replay_conn *c, int64_t now_ns)
{
    finish(c, "no answer in time", now_ns);
}
