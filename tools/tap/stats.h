/* --stats: instead of lines a table at the end: hosts, status classes, percentiles of times. Of
 * bounded size whatever is in the capture. */
#ifndef NU_TOOLS_TAP_STATS_H
#define NU_TOOLS_TAP_STATS_H

#include "tools/tap/event.h"
#include "tools/tap/text.h"

#define TAP_STATS_HOSTS   512 /* rows; further hosts share the last one */
#define TAP_STATS_SUB     16  /* buckets of each power of two: percentiles are good to 1/16 */
#define TAP_STATS_POWERS  40  /* of microseconds: 12 days */
#define TAP_STATS_CLASSES 6   /* none, 1xx to 5xx */

struct tap_times {
    uint64_t count;
    int64_t most; /* ns */
    uint32_t bucket[TAP_STATS_POWERS * TAP_STATS_SUB];
};

struct tap_stats_row {
    char host[64]; /* cut; made safe when shown */
    size_t host_len;
    uint64_t requests, bytes[2];
    uint64_t by_class[TAP_STATS_CLASSES];
    struct tap_times ttfb, total;
};

struct tap_stats {
    struct tap_out out;
    struct tap_stats_row *row[TAP_STATS_HOSTS + 1]; /* the last: others */
    unsigned rows;
    unsigned bucket[2 * TAP_STATS_HOSTS]; /* 1 + row, by hash; 0 = free */
    struct tap_stats_row all;
    uint64_t conns, bytes[2], missing, ws, tls, tls_closed, incomplete;
    int64_t first_ns, last_ns;
};

/* Its context is a struct tap_stats, zeroed but for `out`; it prints when it is finished. */
extern const struct tap_sink tap_stats_sink;
void tap_stats_free(struct tap_stats *stats);

#endif
