/* Reading datagrams in batches; see batch.h. Each shard's memory is touched by its own thread. */
#include "l4/udp/batch.h"

#include "core/assert.h"
#include "l4/access_log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Of one datagram: where it was sent to, and the count of lost ones. */
#define CONTROL (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t)))
#define REST    (NU_UDP_MOST - NU_UDP_SLOT + 1) /* one byte more than may come */

struct nu_udp_batch {
    struct mmsghdr msg[NU_UDP_BATCH];
    struct iovec iov[NU_UDP_BATCH][2]; /* its slot, and a place for the rest of a long one */
    struct sockaddr_in6 name[NU_UDP_BATCH];
    char control[NU_UDP_BATCH][CONTROL];
    struct nu_block *block; /* the slots; NULL between batches */
    const void *slots;      /* where the headers say that the slots are */
    struct nu_block_pool *pool;
    unsigned used; /* headers that the kernel has written to */
    bool named;
    uint8_t *rest; /* of all; memory that nothing long touches is never there */
};

/* Of sockets that are connected, and of those that are not: their headers differ. */
static struct nu_udp_batch *batches[NU_SHARDS_MAX][2];

static struct nu_udp_batch *batch_new(bool named)
{
    struct nu_udp_batch *b = calloc(1, sizeof *b);
    nu_assert(b != NULL);
    b->rest = malloc((size_t)REST * NU_UDP_BATCH);
    nu_assert(b->rest != NULL);
    b->named = named;
    b->used = NU_UDP_BATCH;
    for (unsigned i = 0; i < NU_UDP_BATCH; i++) {
        struct msghdr *h = &b->msg[i].msg_hdr;
        b->iov[i][0].iov_len = NU_UDP_SLOT;
        b->iov[i][1] = (struct iovec){b->rest + (size_t)i * REST, REST};
        h->msg_iov = b->iov[i];
        h->msg_iovlen = 2;
        h->msg_name = named ? &b->name[i] : NULL;
        h->msg_control = named ? b->control[i] : NULL;
    }
    return b;
}

static struct nu_udp_batch *batch_of(const struct nu_loop *loop, bool named)
{
    nu_assert(loop->shard < NU_SHARDS_MAX);
    struct nu_udp_batch **b = &batches[loop->shard][named];
    if (!*b)
        *b = batch_new(named);
    return *b;
}

void nu_udp_batch_free(unsigned shard)
{
    for (int named = 0; named < 2; named++) {
        struct nu_udp_batch **b = &batches[shard][named];
        if (*b)
            free((*b)->rest);
        free(*b);
        *b = NULL;
    }
}

/* The pool mostly gives the block that it had last: then the headers are right but for what the
 * kernel has overwritten. */
static void prepare(struct nu_udp_batch *b, struct nu_block_pool *pool)
{
    nu_assert(!b->block);
    b->pool = pool;
    b->block = nu_block_get(pool, (size_t)NU_UDP_BATCH * NU_UDP_SLOT);
    for (unsigned i = 0; b->named && i < b->used; i++) {
        b->msg[i].msg_hdr.msg_namelen = sizeof b->name[i];
        b->msg[i].msg_hdr.msg_controllen = CONTROL;
    }
    for (unsigned i = 0; b->slots != b->block->data && i < NU_UDP_BATCH; i++)
        b->iov[i][0].iov_base = b->block->data + (size_t)i * NU_UDP_SLOT;
    b->slots = b->block->data;
}

int nu_udp_read(struct nu_loop *loop, int fd, bool named, struct nu_udp_batch **out)
{
    struct nu_udp_batch *b = *out = batch_of(loop, named);
    int n;
    prepare(b, loop->blocks);
    do
        n = recvmmsg(fd, b->msg, NU_UDP_BATCH, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    /* One more may have been begun: an error met on the way leaves its header half written. */
    b->used = n < 0 ? 1 : n < NU_UDP_BATCH ? (unsigned)n + 1 : NU_UDP_BATCH;
    if (n >= 0)
        return n;
    int error = errno;
    nu_udp_done(b);
    errno = error;
    return -1;
}

void nu_udp_done(struct nu_udp_batch *b)
{
    nu_block_unref(b->block);
    b->block = NULL;
}

static void from_ip4(struct nu_addr *out, struct in_addr ip)
{
    *out = (struct nu_addr){.kind = NU_ADDR_IP4, .prefix = 32};
    memcpy(out->ip, &ip, sizeof ip);
}

static void from_ip6(struct nu_addr *out, const struct in6_addr *ip)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_addr = *ip};
    struct sockaddr_storage ss = {0};
    memcpy(&ss, &in, sizeof in);
    nu_addr_from_sockaddr(out, &ss, sizeof in); /* which knows mapped ones */
}

static void read_control(struct msghdr *h, struct nu_udp_got *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&out->lost, CMSG_DATA(c), sizeof out->lost);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            from_ip4(&out->local, info.ipi_spec_dst);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            from_ip6(&out->local, &info.ipi6_addr);
        }
    }
}

static struct nu_slice slice_of(struct nu_udp_batch *b, unsigned i, size_t len)
{
    struct nu_slice slot = nu_block_freeze(b->block, NU_UDP_SLOT);
    if (len <= NU_UDP_SLOT) {
        slot.len = len;
        return slot;
    }
    struct nu_block *whole = nu_block_get(b->pool, len);
    memcpy(whole->data, slot.data, NU_UDP_SLOT);
    memcpy(whole->data + NU_UDP_SLOT, b->iov[i][1].iov_base, len - NU_UDP_SLOT);
    struct nu_slice all = nu_block_freeze(whole, len);
    nu_block_unref(whole);
    nu_slice_drop(&slot);
    return all;
}

bool nu_udp_take(struct nu_udp_batch *b, unsigned i, struct nu_udp_got *out)
{
    struct msghdr *h = &b->msg[i].msg_hdr;
    nu_assert(b->block->used == i * NU_UDP_SLOT);
    *out = (struct nu_udp_got){.data = slice_of(b, i, b->msg[i].msg_len)};
    if (h->msg_name) {
        struct sockaddr_storage ss;
        memcpy(&ss, h->msg_name, sizeof(struct sockaddr_in6));
        nu_addr_from_sockaddr(&out->peer, &ss, h->msg_namelen);
        read_control(h, out);
    }
    if (!(h->msg_flags & MSG_TRUNC))
        return true;
    nu_slice_drop(&out->data);
    return false;
}
