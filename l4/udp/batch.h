/* Many datagrams with one system call: what recvmmsg reads into, one a worker, for all its datagram
 * sockets in turn.
 *
 * What fits a slot is not copied: the slots of a batch are one block, and datagrams are slices of
 * it. What is longer gets a block of its own. */
#ifndef NU_L4_UDP_BATCH_H
#define NU_L4_UDP_BATCH_H

#include "core/addr.h"
#include "core/loop.h"

#define NU_UDP_BATCH 32   /* datagrams a call: more gain nothing measurable */
#define NU_UDP_SLOT  2048 /* bytes: what an Ethernet brings unfragmented, and some */
#define NU_UDP_MOST                                                                                \
    65535 /* bytes: more no datagram has, its length is a 16-bit number (RFC 768)                  \
           */

/* A datagram of the last batch. */
struct nu_udp_got {
    struct nu_slice data; /* the caller's to drop or hand on */
    struct nu_addr peer;  /* of sockets that are not connected */
    struct nu_addr local; /* where it was sent to, if the socket was asked to say so; no port */
    uint32_t lost;        /* what the kernel had to drop of this socket so far; 0 = not told */
};

struct nu_udp_batch;

/* Reads what is there, NU_UDP_BATCH datagrams at most: their number, fewer means that no more were
 * there; -1 with errno. With `named`, who sent each is learnt, too. What it read is valid until the
 * next call on this loop; every datagram has to be taken before that. */
int nu_udp_read(struct nu_loop *loop, int fd, bool named, struct nu_udp_batch **out);
/* Number i of it, once. False: it was longer than can be, and is dropped. */
bool nu_udp_take(struct nu_udp_batch *batch, unsigned i, struct nu_udp_got *out);
/* After the last was taken. */
void nu_udp_done(struct nu_udp_batch *batch);

/* Frees what a loop's reading has needed; for tests. */
void nu_udp_batch_free(unsigned shard);

#endif
