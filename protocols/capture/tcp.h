/* TCP of a capture: segments in any order, twice, overlapping or missing become bytes in order
 * (RFC 9293 3.4, as an onlooker). What is missing is told as a gap of so many bytes, and the stream
 * goes on behind it.
 *
 * One direction of a connection; flow.h ties two of them. */
#ifndef NU_PROTOCOLS_CAPTURE_TCP_H
#define NU_PROTOCOLS_CAPTURE_TCP_H

#include "protocols/capture/link.h"

#include <stdbool.h>

/* Bytes kept of one direction while earlier ones are missing: beyond a full window of most. */
#define NU_TCP_KEPT_MAX      (4u * 1024 * 1024)
#define NU_TCP_KEPT_SEGMENTS 4096 /* the same for small ones: each is looked for in a list */
/* Missing bytes that the peer has acknowledged will hardly come any more: after so many packets of
 * the connection, or so long, they are given up. Captures of several CPUs disorder some packets. */
#define NU_TCP_LOST_PACKETS 16
#define NU_TCP_LOST_MS      100

enum { NU_TCP_FIN = 1, NU_TCP_SYN = 2, NU_TCP_RST = 4, NU_TCP_ACK = 16 };

struct nu_tcp_segment {
    uint16_t from, to; /* ports */
    uint32_t seq, ack;
    uint16_t window; /* as sent, not scaled */
    uint8_t flags;
    struct nu_piece payload; /* as far as it was captured */
    uint32_t wire_len;       /* of the payload on the wire */
};

/* `wire_len` is the IP payload's. NU_ERR_SYNTAX: cut or broken within the header. */
enum nu_err nu_tcp_parse(struct nu_piece packet, size_t wire_len, struct nu_tcp_segment *out);

struct nu_tcp_kept;

/* Zeroed to begin with. */
struct nu_tcp_half {
    bool started;                    /* `next` is known */
    bool from_syn;                   /* since the very first byte */
    bool finished;                   /* FIN was reached, or RST */
    bool has_fin;                    /* one came, at `fin` */
    uint32_t isn;                    /* of the SYN */
    uint32_t next;                   /* sequence number of the next byte to be told */
    uint32_t fin;                    /* sequence number behind the last byte */
    uint32_t acked;                  /* by the peer; valid with has_ack */
    bool has_ack;                    /* the peer was heard */
    bool shut;                       /* the peer's window is closed */
    bool lost;                       /* the peer has acknowledged what did not come */
    uint8_t lost_for;                /* packets since then */
    int64_t lost_ns;                 /* when */
    uint64_t told;                   /* bytes, gaps included */
    uint64_t missing;                /* bytes of gaps */
    uint32_t repeated;               /* segments with nothing new in them */
    struct nu_tcp_kept *kept, *last; /* by sequence number */
    size_t kept_bytes;
    unsigned kept_count;
};

struct nu_tcp_handler {
    void (*data)(void *ctx, struct nu_piece bytes, int64_t time_ns);
    void (*gap)(void *ctx, uint64_t bytes, int64_t time_ns);
    void (*end)(void *ctx, bool reset, int64_t time_ns); /* once */
};

/* A segment of this direction. */
void nu_tcp_segment(struct nu_tcp_half *half, const struct nu_tcp_segment *seg, int64_t time_ns,
                    const struct nu_tcp_handler *handler, void *ctx);
/* The other direction has said `ack`; any packet of the connection counts. */
void nu_tcp_heard(struct nu_tcp_half *half, const struct nu_tcp_segment *reverse, int64_t time_ns,
                  const struct nu_tcp_handler *handler, void *ctx);
/* Tells what is kept, with its gaps: the memory is needed, or nothing more will come. */
void nu_tcp_give_up(struct nu_tcp_half *half, int64_t time_ns, const struct nu_tcp_handler *handler,
                    void *ctx);
/* Frees what is kept. */
void nu_tcp_drop(struct nu_tcp_half *half);

#endif
