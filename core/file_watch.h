/* Tells when a file has another content: written in place, replaced by rename, or reached through a
 * symbolic link that was swapped (as Kubernetes swaps ..data). inotify on the folders that the path
 * leads through, links included; a file or folder may be missing for a while.
 *
 * No loop in it: poll the descriptor for reading, call run then and when the time it returned is
 * over. Main thread only. */
#ifndef NU_CORE_FILE_WATCH_H
#define NU_CORE_FILE_WATCH_H

#include <stdint.h>

#define NU_WATCH_QUIET_MS                                                                          \
    50 /* without a further event before a change is told: writers come in bursts */
#define NU_WATCH_LATEST_MS 500 /* after the first event it is told in any case */

struct nu_watcher; /* one inotify descriptor */
struct nu_watch;   /* one path */

/* NULL with errno where the system gives no inotify descriptor. */
struct nu_watcher *nu_watcher_new(void);
/* Frees it with all its watches. NULL is fine. */
void nu_watcher_free(struct nu_watcher *watcher);
/* Readable when there is something to run; the watcher owns it. */
int nu_watcher_fd(const struct nu_watcher *watcher);

typedef void nu_watch_fn(void *ctx, const char *path);
/* Watches an absolute path (copied). `fn` is called from nu_watcher_run once the path leads to a
 * file that has been written or differs (inode, size or times) from the one at the last call, or at
 * this one; whether it can be read is for fn to find out. A path that is a folder now is called for
 * when a file comes into it, leaves it or is written in place there, behind no link. Add the watch
 * before reading the file, then no change is missed; a write that ended just before may be told
 * too. `fn` may add and delete watches; `path` dies with its own. Never NULL. The caller deletes
 * it, unless it frees the watcher first. */
struct nu_watch *nu_watch_add(struct nu_watcher *watcher, const char *path, nu_watch_fn *fn,
                              void *ctx);
/* No call after this. NULL is fine. */
void nu_watch_del(struct nu_watch *watch);

/* Takes in what has happened and calls back for changes that have been quiet long enough. `now_ms`
 * is any monotonic clock. Returns milliseconds until it wants to be called again, or -1: not before
 * the descriptor is readable. */
int nu_watcher_run(struct nu_watcher *watcher, int64_t now_ms);

#endif
