/* The connections of a capture: packets in, each connection's bytes out, in order and by direction.
 *
 * A connection is found by its addresses and ports; a SYN with another number is a new one on the
 * same ports. Which end is the client is known from the SYN; of one that began before the capture
 * it is guessed from who speaks first, and the user of its bytes may know better. One thread. */
#ifndef NU_PROTOCOLS_CAPTURE_FLOW_H
#define NU_PROTOCOLS_CAPTURE_FLOW_H

#include "core/list.h"
#include "protocols/capture/ip.h"
#include "protocols/capture/tcp.h"

#define NU_FLOWS_MAX      262144 /* connections at once; the one that was silent longest makes room */
#define NU_FLOW_LINGER_NS (5 * INT64_C(1000000000)) /* after both FINs, for late packets */
#define NU_FLOW_IDLE_NS   (3600 * INT64_C(1000000000))

/* UNREAD is never a flow's own: of what flows within something that can be read no further. */
enum nu_flow_end { NU_FLOW_OPEN, NU_FLOW_FIN, NU_FLOW_RST, NU_FLOW_UNREAD };

struct nu_flow {
    uint64_t number;            /* 1, 2, ... in the order of their first packets */
    struct nu_addr end[2];      /* the first packet's source and destination */
    struct nu_tcp_half half[2]; /* what each of them sends */
    int64_t first_ns, last_ns;  /* of its packets */
    uint64_t packets;
    uint64_t zero_windows; /* times that an end closed its window */
    uint8_t ended[2];      /* enum nu_flow_end, as `half` */
    bool turned;           /* the first packet is the server's */
    bool sure;             /* who is the client */
    void *user;            /* the handler's */

    /* --- the table's --- */
    struct nu_list idle; /* of all, or of those that are over; the longest first */
    struct nu_list gaps; /* of those that keep segments behind a hole; since when first */
    struct nu_flow *next;
    bool over;
    uint64_t hash;
};

/* `dir` is 0 from the client, 1 from the server. `close` is the last call for a flow. */
struct nu_flow_handler {
    void (*open)(void *ctx, struct nu_flow *flow);
    void (*data)(void *ctx, struct nu_flow *flow, int dir, struct nu_piece bytes, int64_t time_ns);
    void (*gap)(void *ctx, struct nu_flow *flow, int dir, uint64_t bytes, int64_t time_ns);
    void (*end)(void *ctx, struct nu_flow *flow, int dir, enum nu_flow_end how, int64_t time_ns);
    void (*close)(void *ctx, struct nu_flow *flow);
};

struct nu_flow_figures {
    uint64_t packets, not_ip, not_tcp, broken; /* by what became of them */
    uint64_t not_read;                         /* of not_ip: of a link type that is not known */
    uint32_t link_not_read;                    /* the last such type */
    uint64_t flows, evicted;                   /* begun; pushed out by others */
    uint64_t hurried;                          /* holes that were not waited for, for memory */
    uint64_t fragments_lost;
};

struct nu_flows;
/* `memory_max`: bytes that flows and what they keep may take; what the handler takes is its own. */
struct nu_flows *nu_flows_new(const struct nu_flow_handler *handler, void *ctx, size_t memory_max);
/* Closes all that is open. */
void nu_flows_free(struct nu_flows *flows);

/* A captured packet from its IP header on; tunnels are looked into. */
void nu_flows_packet(struct nu_flows *flows, struct nu_piece packet, int64_t time_ns);
/* The frame around it, by its link type. */
void nu_flows_frame(struct nu_flows *flows, uint32_t link, struct nu_piece frame, int64_t time_ns);
/* So late it is, without a packet: what is over long enough is closed. */
void nu_flows_tick(struct nu_flows *flows, int64_t now_ns);
/* Nothing more comes: tells what is kept, and closes all. */
void nu_flows_finish(struct nu_flows *flows);
/* Of a flow that is not sure, whose user knows better: client and server change places. */
void nu_flow_turn(struct nu_flow *flow);
/* The address of who sends in `dir`. */
const struct nu_addr *nu_flow_from(const struct nu_flow *flow, int dir);
/* What is known of `dir`. */
const struct nu_tcp_half *nu_flow_half(const struct nu_flow *flow, int dir);
/* The number of the connection that the last packet was of, which may be over by now; 0: of none.
 */
uint64_t nu_flows_last(const struct nu_flows *flows);
struct nu_flow_figures nu_flows_figures(const struct nu_flows *flows);
size_t nu_flows_memory(const struct nu_flows *flows);

#endif
