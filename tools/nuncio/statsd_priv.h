/* The way of lines to one statsd server, for statsd.c. */
#ifndef NU_TOOLS_NUNCIO_STATSD_PRIV_H
#define NU_TOOLS_NUNCIO_STATSD_PRIV_H

#include "core/worker.h"
#include "tools/nuncio/statsd.h"

#define STATSD_DATAGRAM 1400 /* bytes of lines in a datagram: what the Internet carries whole */
#define STATSD_BACKLOG  (1 << 20) /* bytes kept for a TCP server that is away or does not read */

enum statsd_stat {
    STATSD_LINES_SENT,
    STATSD_LINES_DROPPED,
    STATSD_CX_TOTAL,
    STATSD_CX_CONNECT_FAIL,
};

enum statsd_way {
    STATSD_CLOSED,
    STATSD_CONNECTING, /* TCP only */
    STATSD_OPEN,
};

struct statsd_out {
    struct nu_io io; /* fd -1 while closed */
    enum statsd_way way;
    bool tcp;
    struct nu_addr addr;
    struct nu_stats *stats;
    char *data;      /* lines with their newlines */
    size_t len, cap; /* cap: datagram or backlog */
    size_t sent;     /* TCP: of data; always 0 for UDP between calls */
};

void statsd_out_init(struct statsd_out *out, const struct nu_addr *addr, bool tcp,
                     struct nu_stats *stats);
/* Closes; what waits is lost. */
void statsd_out_fini(struct statsd_out *out);
/* Takes a line; one that finds no room is dropped and counted. */
void statsd_out_put(struct statsd_out *out, const char *line, size_t len);
/* The end of a round: sends what waits; connects first where that is lost. */
void statsd_out_flush(struct statsd_out *out);

#endif
