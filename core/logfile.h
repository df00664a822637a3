/* Files that access log lines go to: one object and one descriptor for each absolute path, however
 * many listeners and generations name it, and a buffer for each worker.
 *
 * Workers append whole lines to their own buffer without a lock; it is written when it holds 16 KiB
 * or when the worker flushes its shard, about 100 ms after the first waiting line. Opening and
 * reopening: main thread. Writing and flushing: the worker that owns the shard. Lines that cannot
 * be written (disk full, reader of a pipe asleep) are dropped, counted and reported once a second;
 * traffic never waits for a log. Figures are filesystem.*, as Envoy calls them. */
#ifndef NU_CORE_LOGFILE_H
#define NU_CORE_LOGFILE_H

#include "core/err.h"
#include "core/stats.h"

#include <stdbool.h>
#include <stddef.h>

#define NU_LOGFILE_FLUSH_BYTES (16 * 1024) /* waiting in a shard before it writes by itself */
#define NU_LOGFILE_FLUSH_MS    100 /* the worker's timer after nu_logfile_pending turns true */

struct nu_logfile;

/* After nu_stats_init with the same number, before any file is opened (main). SIGPIPE has to be
 * ignored by then. */
void nu_logfiles_init(unsigned shards);

/* The file of that absolute path ("/dev/stdout" and "/dev/stderr" are the process's own), opened or
 * found; one more reference. Created with mode 0640. NU_ERR_SYSTEM: *out is NULL, errno says why.
 * Main thread. */
enum nu_err nu_logfile_open(struct nu_logfile **out, const char *path);
/* The same for what only its owner may read: created with mode 0600, and an older file gets that
 * mode. NU_ERR_SYSTEM also for a file of another user (EPERM), and for one that is open as a common
 * log (EEXIST), which in turn cannot be opened while this one is. */
enum nu_err nu_logfile_open_private(struct nu_logfile **out, const char *path);
/* Drops a reference; lines that wait in a worker keep the file open until it has flushed. Any
 * thread. NULL is fine. */
void nu_logfile_put(struct nu_logfile *file);
const char *nu_logfile_path(const struct nu_logfile *file);

/* Appends one whole line (copied), newline included, of at most NU_LOG_LINE_MAX bytes. The caller
 * holds a reference. */
void nu_logfile_write(struct nu_logfile *file, unsigned shard, const char *line, size_t len);
/* True while lines of this shard wait. */
bool nu_logfile_pending(unsigned shard);
/* Writes what waits in this shard, of all files. Also before a worker ends. */
void nu_logfile_flush_shard(unsigned shard);

/* Log rotation: opens every path anew behind the same descriptor number, so that workers need not
 * know. What waits goes to the new file. Returns how many could not be opened; those go on writing
 * to the old file, and the log says why. Main thread. */
unsigned nu_logfile_reopen_all(void);

/* "filesystem": what was buffered, written, lost. */
extern const struct nu_stat_group nu_logfile_stats;

#endif
