/* Sending datagrams in batches; see out.h. */
#include "l4/udp/out.h"

#include "core/assert.h"
#include "l4/udp/batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONTROL CMSG_SPACE(sizeof(struct in6_pktinfo))

/* As recvmmsg and sendmmsg want them; on the stack of who sends. */
struct batch {
    struct mmsghdr msg[NU_UDP_BATCH];
    struct iovec iov[NU_UDP_BATCH];
    struct sockaddr_storage name[NU_UDP_BATCH];
    alignas(struct cmsghdr) char control[NU_UDP_BATCH][CONTROL];
};

static struct nu_udp_reply *nth(const struct nu_udp_out *out, unsigned i)
{
    return &out->ring[(out->head + i) % out->cap];
}

static void grow(struct nu_udp_out *out)
{
    unsigned cap = out->cap ? 2 * out->cap : NU_UDP_BATCH;
    struct nu_udp_reply *ring = malloc(cap * sizeof *ring);
    nu_assert(ring != NULL);
    for (unsigned i = 0; i < out->count; i++)
        ring[i] = *nth(out, i);
    free(out->ring);
    out->ring = ring;
    out->head = 0;
    out->cap = cap;
}

void nu_udp_out_push(struct nu_udp_out *out, struct nu_slice data, const struct nu_addr *to,
                     const struct nu_addr *from)
{
    nu_assert(!nu_udp_out_full(out));
    if (out->count == out->cap)
        grow(out);
    *nth(out, out->count++) = (struct nu_udp_reply){data, *to, *from};
}

static void shift(struct nu_udp_out *out, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        nu_slice_drop(&nth(out, i)->data);
    out->head = (out->head + n) % out->cap;
    out->count -= n;
}

/* From which of our addresses it is to come. Returns the control's length. */
static size_t put_from(char *control, const struct nu_addr *from)
{
    struct cmsghdr *c = (struct cmsghdr *)control;
    memset(control, 0, CONTROL);
    if (from->kind == NU_ADDR_IP4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, from->ip, sizeof info.ipi_spec_dst);
        *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof info);
        return CMSG_SPACE(sizeof info);
    }
    struct in6_pktinfo info = {0};
    memcpy(&info.ipi6_addr, from->ip, sizeof info.ipi6_addr);
    *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IPV6, IPV6_PKTINFO};
    memcpy(CMSG_DATA(c), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
}

static void put(struct batch *b, unsigned i, const struct nu_udp_reply *r)
{
    struct msghdr *h = &b->msg[i].msg_hdr;
    b->iov[i] = (struct iovec){(void *)r->data.data, r->data.len};
    *h = (struct msghdr){.msg_iov = &b->iov[i], .msg_iovlen = 1, .msg_name = &b->name[i]};
    h->msg_namelen = nu_addr_to_sockaddr(&r->to, &b->name[i]);
    if (r->from.kind == NU_ADDR_NONE)
        return;
    h->msg_control = b->control[i];
    h->msg_controllen = put_from(b->control[i], &r->from);
}

/* What waits past the turn must not pin whole batches. */
static void keep(const struct nu_udp_out *out, struct nu_block_pool *blocks)
{
    for (unsigned i = 0; i < out->count; i++)
        nu_slice_keep(blocks, &nth(out, i)->data);
}

/* One alone costs less the simple way. */
static int send_some(struct batch *b, int fd, unsigned n)
{
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (n > 1)
        return sendmmsg(fd, b->msg, n, flags);
    return sendmsg(fd, &b->msg[0].msg_hdr, flags) < 0 ? -1 : 1;
}

static bool is_full(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

enum nu_udp_sent nu_udp_out_flush(struct nu_udp_out *out, int fd, struct nu_block_pool *blocks,
                                  unsigned *failed)
{
    struct batch b;
    while (out->count) {
        unsigned n = out->count < NU_UDP_BATCH ? out->count : NU_UDP_BATCH;
        for (unsigned i = 0; i < n; i++)
            put(&b, i, nth(out, i));
        int sent = send_some(&b, fd, n);
        if (sent < 0 && is_full(errno)) {
            keep(out, blocks);
            return NU_UDP_MUST_WAIT;
        }
        if (sent < 0 && errno != EINTR) {
            sent = 1; /* the first of them is at fault */
            ++*failed;
        }
        if (sent > 0)
            shift(out, (unsigned)sent);
    }
    return NU_UDP_ALL_SENT;
}

void nu_udp_out_free(struct nu_udp_out *out)
{
    if (out->cap)
        shift(out, out->count);
    free(out->ring);
    *out = (struct nu_udp_out){0};
}
