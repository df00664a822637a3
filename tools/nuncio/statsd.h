/* Sinks: where figures are pushed to, each in its interval. Main thread.
 *
 * statsd.c has their life and their rounds, statsd_send.c the sockets, statsd_conf.c the config. */
#ifndef NU_TOOLS_NUNCIO_STATSD_H
#define NU_TOOLS_NUNCIO_STATSD_H

#include "core/conf/schema.h"
#include "core/stats.h"

#define NU_SINKS_MAX 8 /* each keeps a copy of all figures */

struct nu_server;

/* As in the config. */
struct nu_statsd_conf {
    struct nu_addr addr; /* no UNIX socket */
    bool tcp;
    const char *prefix;
    int64_t interval_ms;
    bool tags;
};

/* An item of `stats_sinks`. */
struct nu_sink_conf {
    struct nu_statsd_conf statsd;
};
extern const struct nu_schema nu_sink_schema;

extern const struct nu_stat_group nu_statsd_stats; /* "statsd.<name>" */

/* A generation is about to serve: sinks that it does not have end, new ones begin with the first
 * count after `first`, else with what is counted from now on. Items are struct nu_sink_conf. */
void nu_sinks_change(struct nu_server *server, const struct nu_vec *confs, bool first);
/* One more round at once, while the figures are still there. */
void nu_sinks_flush(void);
/* At the end of the process. */
void nu_sinks_end(void);

#endif
