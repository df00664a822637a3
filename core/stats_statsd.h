/* Figures as lines of statsd: what was counted since the last round, gauges as they are, each value
 * of a histogram. With tags, the parts of names that name something are DogStatsD's tags.
 *
 * Sends nothing: whoever has a socket takes the lines. One thread. */
#ifndef NU_CORE_STATS_STATSD_H
#define NU_CORE_STATS_STATSD_H

#include "core/stats.h"

#define NU_STATSD_LINE_MAX 1024 /* bytes; a longer one, of an endless name, is never written */

struct nu_statsd_lines;

/* A line, without its newline; borrowed for the call. */
typedef void nu_statsd_put_fn(const char *line, size_t len, void *ctx);

/* `prefix` is copied, "" = none. `from_now`: what was counted so far is not told. */
struct nu_statsd_lines *nu_statsd_lines_new(const char *prefix, bool tags, bool from_now);
/* Writes the next piece of a round, about a millisecond's work; true: the round goes on. */
bool nu_statsd_lines_more(struct nu_statsd_lines *lines, nu_statsd_put_fn *put, void *ctx);
void nu_statsd_lines_free(struct nu_statsd_lines *lines);

#endif
