/* The last errors of each worker, as JSON objects: for who looks at a running process and has no
 * log at hand. A line is made only when something ended badly; nothing is kept before that. */
#ifndef NU_CORE_RECENT_H
#define NU_CORE_RECENT_H

#include "core/logfmt.h"

#include <stdint.h>

#define NU_RECENT_MAX 64 /* lines of a worker, and how many of them one second may bring */

enum nu_recent { NU_RECENT_CONNECTION, NU_RECENT_REQUEST, NU_RECENT_KINDS };
const char *nu_recent_str(enum nu_recent kind);

/* What is told of a kind; before threads run. Without, nothing is kept of it. A format that does
 * not compile is a bug. */
void nu_recent_format(enum nu_recent kind, const struct nu_logfmt_field *fields, size_t count);
/* Takes note of an end; on the shard's own thread. The subject is what the format's operators know.
 */
void nu_recent_add(enum nu_recent kind, unsigned shard, const void *subject);
/* The newest `max` of all workers as a JSON array, the newest first. Any thread. Each object has
 * `time` (milliseconds since the epoch), `kind`, and the fields of its format. */
void nu_recent_print(FILE *out, size_t max);
/* Forgets all, formats too; no thread may be running. */
void nu_recent_free(void);

#endif
