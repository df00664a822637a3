/* What the process knows about itself: its state, and the stats that say so. */
#include "tools/nuncio/server.h"
#include "tools/nuncio/sandbox.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/worker.h"
#include "tls/context.h"

#include <stdio.h>
#include <unistd.h>

static const struct nu_stat_def defs[] = {
    [NU_SERVER_LIVE_GAUGE] = {"live",                           NU_GAUGE,   NULL,    "1 while it accepts, 0 from drain on."      },
    [NU_SERVER_STATE] = {"state",                          NU_GAUGE,   NULL,    "0 live, 1 draining, 2 stopped, 3 starting."},
    [NU_SERVER_UPTIME] = {"uptime",                         NU_GAUGE,   "s",     "Since the start."                          },
    [NU_SERVER_CONCURRENCY] = {"concurrency",                    NU_GAUGE,   NULL,    "Worker threads."                           },
    [NU_SERVER_TOTAL_CONNECTIONS] = {"total_connections",              NU_GAUGE,   NULL,
                              "Client connections now, of all listeners."                                                        },
    [NU_SERVER_MEMORY_PHYSICAL] = {"memory_physical_size",           NU_GAUGE,   "bytes",
                              "Resident memory, as the kernel counts."                                                           },
    [NU_SERVER_GENERATION] = {"generation",                     NU_GAUGE,   NULL,
                              "Number of the config that serves; the first is 1."                                                },
    [NU_SERVER_RELOAD_TOTAL] = {"reload_total",                   NU_COUNTER, NULL,    "Reloads that were tried."                  },
    [NU_SERVER_RELOAD_FAILED] = {"reload_failed",                  NU_COUNTER, NULL,
                              "Reloads that changed nothing, because the config is wrong."                                       },
    [NU_SERVER_DAYS_UNTIL_EXPIRY] = {"days_until_first_cert_expiring", NU_GAUGE,   NULL,
                              "Whole days until the first certificate ends, ours or a CA's "
                                     "that the config names; 4294967295: there is none."                                         },
    [NU_SERVER_SYSCALLS_REFUSED] =
        {"syscalls_refused",               NU_GAUGE,   NULL,
                              "Different system calls that the seccomp filter refused; see the log."                             },
};
const struct nu_stat_group nu_server_stats = NU_STAT_GROUP("server", "The process.", defs);

const char *nu_server_state_str(enum nu_server_state state)
{
    static const char *const names[] = {"live", "draining", "stopped", "starting"};
    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "?";
}

static const uint8_t edges[] = {
    [NU_SERVER_STARTING] = 1 << NU_SERVER_LIVE,
    [NU_SERVER_LIVE] = 1 << NU_SERVER_DRAINING,
    [NU_SERVER_DRAINING] = 1 << NU_SERVER_STOPPED,
    [NU_SERVER_STOPPED] = 0,
};

int64_t nu_server_rss(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*d %lld", &pages) != 1) /* NOLINT(cert-err34-c): the kernel's own */
        pages = 0;
    if (file)
        fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void gauge(struct nu_server *server, enum nu_server_stat stat, int64_t value)
{
    nu_stat_set(server->stats, nu_worker_main()->loop.shard, stat, value);
}

void nu_server_set_state(struct nu_server *server, enum nu_server_state to)
{
    nu_assert(edges[server->state] >> to & 1);
    nu_log(NU_LOG_DEBUG, "server", "state from=%s to=%s", nu_server_state_str(server->state),
           nu_server_state_str(to));
    server->state = to;
    server->state_ms = nu_worker_main()->loop.now_ms;
}

/* As Envoy counts where there is none. */
static int64_t days_until_expiry(void)
{
    int64_t days = nu_tls_days_until_expiry();
    return days < UINT32_MAX ? days : UINT32_MAX;
}

void nu_server_refresh(struct nu_server *server, uint64_t connections)
{
    int64_t up_ms = nu_worker_main()->loop.now_ms - server->started_ms;
    gauge(server, NU_SERVER_LIVE_GAUGE, server->state == NU_SERVER_LIVE);
    gauge(server, NU_SERVER_STATE, server->state);
    gauge(server, NU_SERVER_UPTIME, up_ms / 1000);
    gauge(server, NU_SERVER_CONCURRENCY, nu_workers_count());
    gauge(server, NU_SERVER_TOTAL_CONNECTIONS, (int64_t)connections);
    gauge(server, NU_SERVER_MEMORY_PHYSICAL, nu_server_rss());
    gauge(server, NU_SERVER_SYSCALLS_REFUSED, nu_sandbox_refused());
    gauge(server, NU_SERVER_DAYS_UNTIL_EXPIRY, days_until_expiry());
    gauge(server, NU_SERVER_GENERATION, server->now ? (int64_t)server->now->number : 0);
}

void nu_waiter_cancel(struct nu_waiter *waiter)
{
    if (nu_list_linked(&waiter->link))
        nu_list_del(&waiter->link);
}

void nu_waiters_tell(struct nu_list *waiters, bool ok, const char *text)
{
    struct nu_list *link;
    while ((link = nu_list_pop(waiters))) {
        struct nu_waiter *waiter = nu_container(link, struct nu_waiter, link);
        waiter->told(waiter, ok, text);
    }
}
