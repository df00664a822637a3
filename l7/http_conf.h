/* What an `http` filter's config says, and how it becomes a struct nu_http_conf. Main thread. */
#ifndef NU_L7_HTTP_CONF_H
#define NU_L7_HTTP_CONF_H

#include "l7/http.h"

struct nu_generation;

extern const struct nu_schema nu_http_schema;
/* The `prepare` of nu_filter_http. */
enum nu_err nu_http_prepare(struct nu_generation *gen, struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *node, void *parsed);
/* Opens the access logs that are not open yet; reports those that cannot be. When it is about to
 * serve. */
enum nu_err nu_http_logs_open(struct nu_conf *conf);

#endif
