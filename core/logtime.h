/* Time formats of log lines, compiled when the config is loaded: strftime's, with Envoy's %f, %1f
 * to %9f for fractions of a second and %s for the epoch; always UTC. For START_TIME and its like:
 * their operator names nu_logtime_prepare as its prepare hook and calls nu_logbuf_time in its
 * write. */
#ifndef NU_CORE_LOGTIME_H
#define NU_CORE_LOGTIME_H

#include "core/arena.h"
#include "core/err.h"
#include "core/logbuf.h"

/* Compiles `arg`; NULL means ISO 8601 with milliseconds. The result lives in the arena and may be
 * used by every thread. NU_ERR_CONFIG: *error says why (arena memory). */
enum nu_err nu_logtime_prepare(struct nu_arena *arena, const char *arg, const void **out,
                               const char **error);
/* Appends the time `ns` since the epoch in the prepared format. */
void nu_logbuf_time(struct nu_logbuf *buf, const void *prepared, int64_t ns);
/* The same for a whole second: dates of certificates lie where nanoseconds overflow. */
void nu_logbuf_time_s(struct nu_logbuf *buf, const void *prepared, int64_t second);

#endif
