/* The argument of %REQ(X?Y)% and its like: names of fields and of a start line's parts, found when
 * the format is compiled, so that writing a line does not search for them by text. */
#ifndef NU_L7_LOG_FIELD_H
#define NU_L7_LOG_FIELD_H

#include "core/arena.h"
#include "protocols/http/head.h"

/* As a log operator's prepare: what is made of "X" or "X?Y" goes to lf_value; of a parameter's name
 * to lf_query. */
enum nu_err lf_prepare_request(struct nu_arena *arena, const char *arg, const void **out,
                               const char **error);
enum nu_err lf_prepare_response(struct nu_arena *arena, const char *arg, const void **out,
                                const char **error);
enum nu_err lf_prepare_trailer(struct nu_arena *arena, const char *arg, const void **out,
                               const char **error);
enum nu_err lf_prepare_query(struct nu_arena *arena, const char *arg, const void **out,
                             const char **error);

/* The first field that is there; empty: none of them. */
struct nu_text lf_value(const void *prepared, const struct nu_http_head *head);
/* The same of a request. Where a route has rewritten it, x-envoy-original-path is the path that the
 * client asked for, whether there is such a field or not. */
struct nu_text lf_request_value(const void *prepared, const struct nu_http_head *head,
                                bool rewritten);
/* Whether it asks for x-envoy-upstream-service-time. */
bool lf_is_service_time(const void *prepared);
/* Whether any format of this process, ever, asks for a field of requests (or of responses): what is
 * put away for a log line that comes much later need not have the others. Any thread. */
bool lf_is_wanted(bool of_response, const struct nu_http_field *field);
/* As a log operator's prepare: it shows x-request-id. */
enum nu_err lf_prepare_request_id(struct nu_arena *arena, const char *arg, const void **out,
                                  const char **error);
/* The value of a parameter in a path's query. */
struct nu_text lf_query(const void *prepared, struct nu_text path);

#endif
