/* What leaves an unconnected datagram socket: queued during a turn, sent with as few system calls
 * as possible at its end (W1). The queue is short and never holds anybody: what does not fit is
 * dropped (B7). One worker's. */
#ifndef NU_L4_UDP_OUT_H
#define NU_L4_UDP_OUT_H

#include "core/addr.h"
#include "core/block.h"

#define NU_UDP_OUT_MOST                                                                            \
    512 /* datagrams that wait for the kernel: what bursts need, little enough to be fresh */

struct nu_udp_reply {
    struct nu_slice data;
    struct nu_addr to, from; /* from NONE: the socket's own address */
};

struct nu_udp_out {
    struct nu_udp_reply *ring; /* NULL until it is needed; [head, head + count) modulo cap */
    unsigned head, count, cap;
};

enum nu_udp_sent { NU_UDP_ALL_SENT, NU_UDP_MUST_WAIT };

static inline bool nu_udp_out_full(const struct nu_udp_out *out)
{
    return out->count == NU_UDP_OUT_MOST;
}

/* Not full. Takes the slice over. */
void nu_udp_out_push(struct nu_udp_out *out, struct nu_slice data, const struct nu_addr *to,
                     const struct nu_addr *from);
/* Sends; what the kernel refuses for itself (no route, too long) is dropped and added to *failed.
 * MUST_WAIT: the socket's buffer is full, the rest stays and is copied out of shared blocks (E6).
 */
enum nu_udp_sent nu_udp_out_flush(struct nu_udp_out *out, int fd, struct nu_block_pool *blocks,
                                  unsigned *failed);
/* Drops all; the queue may be used again. */
void nu_udp_out_free(struct nu_udp_out *out);

#endif
