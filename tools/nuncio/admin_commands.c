/* What can be asked of a running process: one small function a command, and the table of them. */
#include "tools/nuncio/admin.h"

#include "core/log.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/listener.h"
#include "tls/context.h"
#include "tools/nuncio/command.h"

#include <ctype.h>
#include <inttypes.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#define WHY_MAX 512 /* bytes of a reason for not being ready */

static void run_stats(const struct nu_admin_request *r)
{
    nu_server_refresh(r->server, r->connections);
    if (strcmp(r->args, "prometheus") == 0)
        nu_stats_print_prometheus(r->out);
    else
        nu_stats_print(r->out, *r->args ? r->args : NULL, false);
}

/* Every reason why it is not ready goes to `out` (or is only looked for). */
static bool is_ready(const struct nu_server *server, FILE *out)
{
    char why[WHY_MAX];
    bool ready = server->state == NU_SERVER_LIVE;
    if (!ready)
        fprintf(out, NU_ADMIN_NOT_READY "%s\n", nu_server_state_str(server->state));
    for (size_t i = 0; server->now && i < nu_clusters_count(server->now->clusters); i++)
        if (!nu_cluster_ready(nu_cluster_at(server->now->clusters, i), why, sizeof why)) {
            fprintf(out, NU_ADMIN_NOT_READY "%s\n", why);
            ready = false;
        }
    return ready;
}

static void run_ready(const struct nu_admin_request *r)
{
    if (is_ready(r->server, r->out))
        fputs("ready\n", r->out);
}

static void run_clusters(const struct nu_admin_request *r)
{
    if (r->server->now)
        nu_clusters_print(r->server->now->clusters, r->out);
}

static void put_listener(const char *name, const struct nu_addr *bound, bool udp, void *ctx)
{
    char text[NU_ADDR_TEXT_MAX];
    fprintf(ctx, "%s::%s%s\n", name, udp ? "udp://" : "", nu_addr_str(bound, text));
}

static void run_listeners(const struct nu_admin_request *r)
{
    if (r->server->now)
        nu_listeners_each(r->server->now->listeners, put_listener, r->out);
}

static void run_certs(const struct nu_admin_request *r)
{
    nu_tls_certs_print(r->out);
}

static void run_drain(const struct nu_admin_request *r)
{
    fputs("draining\n", r->out);
    nu_drain(r->server, false);
}

static void run_server_info(const struct nu_admin_request *r)
{
    const struct nu_server *server = r->server;
    int64_t up_ms = nu_worker_main()->loop.now_ms - server->started_ms;
    fprintf(r->out, "version: %s\npid: %d\n", NU_VERSION, (int)getpid());
    fprintf(r->out, "state: %s\n", nu_server_state_str(server->state));
    fprintf(r->out, "uptime: %" PRId64 "s\n", up_ms / 1000);
    fprintf(r->out, "generation: %" PRIu64 "\n", server->now ? server->now->number : 0);
    fprintf(r->out, "config: %s\n", server->source.path ? server->source.path : "command line");
    fprintf(r->out, "workers: %u\n", nu_workers_count());
    fprintf(r->out, "connections: %" PRIu64 "\n", r->connections);
    fprintf(r->out, "rss: %" PRId64 "\n", nu_server_rss());
}

static void run_memory(const struct nu_admin_request *r)
{
    struct mallinfo2 info = mallinfo2();
    fprintf(r->out, "allocated: %zu\n", info.uordblks + info.hblkhd);
    fprintf(r->out, "free: %zu\n", info.fordblks);
    fprintf(r->out, "heap_size: %zu\n", info.arena + info.hblkhd);
    fprintf(r->out, "rss: %" PRId64 "\n", nu_server_rss());
}

static void run_log_level(const struct nu_admin_request *r)
{
    enum nu_log_level level = NU_LOG_DEBUG;
    while (level <= NU_LOG_ERROR && strcmp(nu_log_level_str(level), r->args) != 0)
        level++;
    if (*r->args && level > NU_LOG_ERROR) {
        fprintf(r->out, NU_ADMIN_ERROR "unknown level \"%s\": debug, info, warn or error\n",
                r->args);
        return;
    }
    if (*r->args)
        nu_log_set_level(level);
    fprintf(r->out, "log level: %s\n", nu_log_level_str(nu_log_get_level()));
}

static void run_help(const struct nu_admin_request *r)
{
    nu_admin_help(r->out);
}

static const struct nu_admin_command table[] = {
    {"stats",       "[FILTER | prometheus]", "counters and gauges whose names contain FILTER",
     NU_ADMIN_CENSUS,                                                                                                                  run_stats    },
    {"ready",       "",                      "whether it serves, names resolved and endpoints checked; if not, why",
     NU_ADMIN_NOTHING,                                                                                                                 run_ready    },
    {"clusters",    "",                      "endpoints and their state",                                            NU_ADMIN_NOTHING, run_clusters },
    {"listeners",   "",                      "names and bound addresses",                                            NU_ADMIN_NOTHING, run_listeners},
    {"certs",       "",                      "certificates that are loaded, and when they end (JSON)",               NU_ADMIN_NOTHING,
     run_certs                                                                                                                                      },
    {"reload",      "",                      "load the config file anew; answers when it serves, or why not",        NU_ADMIN_RELOAD,
     NULL                                                                                                                                           },
    {"drain",       "",                      "stop accepting, finish what is in flight, exit",                       NU_ADMIN_NOTHING, run_drain    },
    {"server_info", "",                      "version, uptime, generation, connections",                             NU_ADMIN_CENSUS,
     run_server_info                                                                                                                                },
    {"memory",      "",                      "what the allocator and the kernel count, in bytes",                    NU_ADMIN_NOTHING,
     run_memory                                                                                                                                     },
    {"log_level",   "[LEVEL]",               "show or set: debug, info, warn, error",                                NU_ADMIN_NOTHING,
     run_log_level                                                                                                                                  },
    {"help",        "",                      "this list",                                                            NU_ADMIN_NOTHING, run_help     },
};
#define COMMANDS (sizeof table / sizeof *table)

const struct nu_admin_command *nu_admin_command_at(size_t i)
{
    return i < COMMANDS ? &table[i] : NULL;
}

void nu_admin_help(FILE *out)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        char form[64];
        snprintf(form, sizeof form, "%s %s", table[i].name, table[i].args);
        fprintf(out, "  %-28s %s\n", form, table[i].doc);
    }
}

static void unknown(const char *word, FILE *out)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = table[i].name;
    const char *guess = nu_did_you_mean(word, names, COMMANDS);
    fprintf(out, NU_ADMIN_ERROR "unknown command \"");
    for (const char *c = word; *c && c < word + 64; c++)
        fputc(isprint((unsigned char)*c) ? *c : '?', out);
    fprintf(out, guess ? "\": did you mean \"%s\"?\n" : "\": \"help\" lists them\n", guess);
}

const struct nu_admin_command *nu_admin_find(const char *line, const char **args, FILE *out)
{
    char word[NU_ADMIN_LINE_MAX + 1];
    size_t len = strcspn(line, " \t");
    snprintf(word, sizeof word, "%.*s", (int)len, line);
    *args = line + len + strspn(line + len, " \t");
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(table[i].name, word) == 0) {
            if (!**args || *table[i].args)
                return &table[i];
            fprintf(out, NU_ADMIN_ERROR "\"%s\" takes no argument\n", word);
            return NULL;
        }
    unknown(word, out);
    return NULL;
}
