/* The running process: where its config comes from, the generation that serves, and the life cycle
 * from first config to last connection. One of it; main thread. docs/internals/reload.md tells the
 * story. */
#ifndef NU_TOOLS_NUNCIO_SERVER_H
#define NU_TOOLS_NUNCIO_SERVER_H

#include "core/generation.h"
#include "core/list.h"
#include "core/stats.h"
#include "core/timer.h"

enum nu_server_state {
    NU_SERVER_LIVE,     /* serves; Envoy's numbers, as server.state shows them */
    NU_SERVER_DRAINING, /* accepts nothing more, finishes what is in flight */
    NU_SERVER_STOPPED,  /* no connection is left; threads are about to end */
    NU_SERVER_STARTING, /* the first generation is on its way to the workers */
};
const char *nu_server_state_str(enum nu_server_state state);

enum nu_server_stat {
    NU_SERVER_LIVE_GAUGE,
    NU_SERVER_STATE,
    NU_SERVER_UPTIME,
    NU_SERVER_CONCURRENCY,
    NU_SERVER_TOTAL_CONNECTIONS,
    NU_SERVER_MEMORY_PHYSICAL,
    NU_SERVER_GENERATION,
    NU_SERVER_RELOAD_TOTAL,
    NU_SERVER_RELOAD_FAILED,
    NU_SERVER_DAYS_UNTIL_EXPIRY,
    NU_SERVER_SYSCALLS_REFUSED,
    NU_SERVER_STAT_COUNT
};
extern const struct nu_stat_group nu_server_stats;

/* Where configs come from: a file, or a text of our own (quick mode) that never changes. */
struct nu_source {
    const char *path; /* NULL: the text */
    const char *text;
};

/* What a drain that has to wait for a reload will be. */
enum nu_drain_wish { NU_DRAIN_NO, NU_DRAIN_GENTLY, NU_DRAIN_AT_ONCE };

struct nu_admin;

struct nu_server {
    enum nu_server_state state;
    struct nu_source source;
    struct nu_generation *now; /* NULL before the first */
    struct nu_admin *admin;    /* NULL: none */
    int64_t started_ms;        /* the loop's clock */
    int64_t state_ms;          /* since when it is in its state; 0 = since the start */
    enum nu_drain_wish wish;   /* a reload is on its way: drain when it has arrived */
    struct nu_stats *stats;
};

/* Somebody who waits for an outcome, told once on the main thread, outside of any chain. Embedded
 * in who waits. */
struct nu_waiter {
    struct nu_list link; /* linked while it waits */
    void (*told)(struct nu_waiter *waiter, bool ok, const char *text);
};
/* No call after this. Not waiting: nothing. */
void nu_waiter_cancel(struct nu_waiter *waiter);
/* Takes all off the list and tells them. */
void nu_waiters_tell(struct nu_list *waiters, bool ok, const char *text);

/* Checks the edge, logs it. */
void nu_server_set_state(struct nu_server *server, enum nu_server_state to);
/* Bytes of resident memory. */
int64_t nu_server_rss(void);
/* Brings gauges up to date before somebody reads them; `connections` as counted just now. */
void nu_server_refresh(struct nu_server *server, uint64_t connections);

/* Threads for `workers: N`: N, or for 0 one per CPU that we may run on. */
unsigned nu_worker_wish(int64_t workers);

/* --- load.c: from a text to a generation --- */

/* Reads the source and the root's keys. Never NULL; ask nu_conf_failed(gen->conf). The caller gives
 * it to nu_load_discard, or to the workers. */
struct nu_generation *nu_load_open(const struct nu_source *source);
/* Validates and builds the rest, as the successor of `old` (or NULL). Also where opening failed, so
 * that all mistakes are told. Runs nothing and opens no socket. */
void nu_load_build(struct nu_generation *gen, struct nu_generation *old);
/* One that serves: lets go of the parsed text, and keeps the bytes. */
void nu_load_keep(struct nu_generation *gen);
/* One that will not serve: gives back all that was made. */
void nu_load_discard(struct nu_generation *gen, struct nu_generation *old);
/* One that served, after all workers have let go of it. */
void nu_load_free(struct nu_generation *gen);

/* --- reload.c --- */

/* Brings a built generation to the workers; the first one. NU_ERR_CONFIG: told in gen->conf, and it
 * is the caller's again. */
enum nu_err nu_reload_first(struct nu_server *server, struct nu_generation *gen);
/* Reloads; when a reload is on its way, once more after it. The waiter (or NULL) is told the
 * outcome of a load that began after this call. */
void nu_reload(struct nu_server *server, struct nu_waiter *waiter);
bool nu_reload_busy(void);

/* --- drain.c --- */

/* Stops accepting, lets connections finish until drain_timeout (`at_once`: not at all), ends the
 * program. Called again: cuts what is left. */
void nu_drain(struct nu_server *server, bool at_once);

/* --- census.c --- */

/* Counts the connections of all workers and tells the sum as decimal text. */
void nu_census(struct nu_waiter *waiter);

/* --- announce.c --- */

/* Prints `listening NAME ADDRESS` for each address of `next` that `old` (or NULL) does not have. */
void nu_announce(struct nu_listeners *next, struct nu_listeners *old);

/* --- signals.c --- */

void nu_signals_start(struct nu_server *server);
void nu_signals_stop(void);

#endif
