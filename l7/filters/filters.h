/* The HTTP filters that are small: one file each in this folder, and what they share. */
#ifndef NU_L7_FILTERS_FILTERS_H
#define NU_L7_FILTERS_FILTERS_H

#include "core/filter.h"
#include "core/stats.h"

#include <stdbool.h>

struct nu_node;

extern const struct nu_filter_type nu_filter_header_edit;
extern const struct nu_filter_type nu_filter_cors;
extern const struct nu_filter_type nu_filter_csrf;
extern const struct nu_filter_type nu_filter_buffer;
extern const struct nu_filter_type nu_filter_compress;
extern const struct nu_filter_type nu_filter_decompress;
extern const struct nu_filter_type nu_filter_fault;
extern const struct nu_filter_type nu_filter_health_check;
extern const struct nu_filter_type nu_filter_local_rate_limit;
extern const struct nu_filter_type nu_filter_basic_auth;

extern const struct nu_stat_group nu_cors_stats, nu_csrf_stats, nu_local_rate_limit_stats,
    nu_basic_auth_stats;
extern const struct nu_stat_group nu_compress_stats, nu_decompress_stats, nu_fault_stats,
    nu_health_check_filter_stats;

/* Has their figures stand on the generated page. Before any config is read. */
void nu_http_filters_register(void);

/* The set "http.<name>.<kind>" of a filter whose options stand at `options`, by the name of the
 * http filter that they stand in; held until the arena goes. Main thread. */
struct nu_stats *nu_http_filter_stats(const struct nu_stat_group *group, struct nu_arena *arena,
                                      const struct nu_node *options, const char *kind);

/* An instance that knows nothing but its config; its `open`. */
struct nu_http_filter {
    struct nu_filter filter;
    const void *conf;
};
enum nu_open nu_http_filter_open(struct nu_filter *f, const void *conf);

/* Whether a request is among those that a share of 0 to 1 of them are. */
bool nu_http_filter_share(const struct nu_filter *f, double share);

#endif
