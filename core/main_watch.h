/* Files watched by the process: one watcher (file_watch.h) that main's loop drives. Main thread. */
#ifndef NU_CORE_MAIN_WATCH_H
#define NU_CORE_MAIN_WATCH_H

#include "core/file_watch.h"

/* As nu_watch_add; `fn` is called by main's loop. NULL where the system gives no inotify
 * descriptor, which is logged: the caller does without, or tries again at a reload. */
struct nu_watch *nu_main_watch_add(const char *path, nu_watch_fn *fn, void *ctx);
/* No call after this. NULL is fine. The last one gives the descriptor back. */
void nu_main_watch_del(struct nu_watch *watch);

#endif
