/* /overview: what the admin's page and `nuncio top` draw, as one JSON object;
 * docs/internals/observability.md lists its keys. Counts only, which readers subtract: whoever asks
 * has their own rhythm. Clusters come one by one; names are what is kept of them, since a reload
 * may change them in the midst. */
#include "tools/nuncio/admin_page.h"
#include "tools/nuncio/history.h"

#include "core/assert.h"
#include "core/recent.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/health/health.h"
#include "l4/listener.h"
#include "l7/http.h"
#include "tools/nuncio/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ERRORS_SHOWN    100 /* recent errors */
#define ENDPOINTS_SHOWN 100 /* of a cluster; /clusters has all */

struct overview {
    struct nu_server *server;
    uint64_t connections;
    bool begun, some; /* the part before the clusters is written; a cluster is */
    char **names;     /* of clusters */
    size_t count, next;
};

static unsigned overview_begin(const struct nu_admin_request *request, void **state, FILE *out)
{
    struct overview *o = calloc(1, sizeof *o);
    nu_assert(o != NULL);
    const struct nu_generation *gen = request->server->now;
    size_t count = gen ? nu_clusters_count(gen->clusters) : 0;
    o->server = request->server;
    o->connections = request->connections;
    o->names = calloc(count + 1, sizeof *o->names);
    nu_assert(o->names != NULL);
    for (; o->count < count; o->count++) {
        o->names[o->count] = strdup(nu_cluster_at(gen->clusters, o->count)->name);
        nu_assert(o->names[o->count] != NULL);
    }
    *state = o;
    return 200;
}

static void overview_end(void *state)
{
    struct overview *o = state;
    for (size_t i = 0; i < o->count; i++)
        free(o->names[i]);
    free(o->names);
    free(o);
}

/* --- figures --- */

static void put_figure(FILE *out, const char *key, const struct nu_stats *set, unsigned index)
{
    fprintf(out, ",\"%s\":%" PRId64, key, nu_stat_read(set, index));
}

/* Responses by the first digit of their status, 1 to 5. */
static void put_classes(FILE *out, const struct nu_stats *set, unsigned first)
{
    fputs(",\"classes\":[", out);
    for (unsigned i = 0; i < 5; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", nu_stat_read(set, first + i));
    fputc(']', out);
}

struct buckets {
    FILE *out;
    const char *comma;
};

static void put_bucket(uint64_t value, uint64_t count, void *ctx)
{
    struct buckets *b = ctx;
    fprintf(b->out, "%s[%" PRIu64 ",%" PRIu64 "]", b->comma, value, count);
    b->comma = ",";
}

/* Pairs of a value and how often it was seen. */
static void put_times(FILE *out, const struct nu_stats *set, unsigned index)
{
    struct buckets buckets = {out, ""};
    fputs(",\"ms\":[", out);
    nu_stat_buckets(set, index, put_bucket, &buckets);
    fputc(']', out);
}

/* --- the process, its listeners, its http filters --- */

static void put_process(FILE *out, const struct overview *o)
{
    const struct nu_server *server = o->server;
    const char *path = server->source.path;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t up_ms = nu_worker_main()->loop.now_ms - server->started_ms;
    fprintf(out,
            "{\"time\":%" PRId64 ",\"version\":\"" NU_VERSION "\",\"state\":\"%s\",\"config\":",
            (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, nu_server_state_str(server->state));
    nu_admin_put_json(out, path ? path : "command line");
    fprintf(out, ",\"pid\":%d,\"uptime_s\":%" PRId64 ",\"workers\":%u", (int)getpid(), up_ms / 1000,
            nu_workers_count());
    fprintf(out, ",\"generation\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"rss\":%" PRId64,
            server->now ? server->now->number : 0, o->connections, nu_server_rss());
}

struct listeners {
    FILE *out;
    char *last; /* name: those of one listener come in a row */
};

static void end_listener(const struct listeners *l)
{
    char *prefix;
    if (!l->last)
        return;
    nu_assert(asprintf(&prefix, "listener.%s", l->last) >= 0);
    struct nu_stats *set = nu_stats_find(&nu_listener_stats, prefix);
    fputc(']', l->out);
    if (set) {
        put_figure(l->out, "cx_active", set, NU_LISTENER_CX_ACTIVE);
        put_figure(l->out, "cx_total", set, NU_LISTENER_CX_TOTAL);
    } else {
        fputs(",\"cx_active\":0,\"cx_total\":0", l->out);
    }
    fputc('}', l->out);
    nu_stats_put(set);
    free(prefix);
}

static void put_listener(const char *name, const struct nu_addr *bound, bool udp, void *ctx)
{
    char text[NU_ADDR_TEXT_MAX + 8];
    struct listeners *l = ctx;
    bool same = l->last && strcmp(l->last, name) == 0;
    if (!same) {
        end_listener(l);
        fputs(l->last ? ",\n{\"name\":" : "{\"name\":", l->out);
        nu_admin_put_json(l->out, name);
        fprintf(l->out, ",\"udp\":%s,\"addresses\":[", udp ? "true" : "false");
        free(l->last);
        l->last = strdup(name);
        nu_assert(l->last != NULL);
    }
    strcpy(text, udp ? "udp://" : "");
    nu_addr_str(bound, text + strlen(text));
    fputs(same ? "," : "", l->out);
    nu_admin_put_json(l->out, text);
}

static void put_listeners(FILE *out, const struct overview *o)
{
    struct listeners l = {out, NULL};
    fputs(",\n\"listeners\":[", out);
    if (o->server->now)
        nu_listeners_each(o->server->now->listeners, put_listener, &l);
    end_listener(&l);
    free(l.last);
    fputc(']', out);
}

/* But the admin's own. */
static void put_http(const struct nu_stats *set, void *ctx)
{
    struct buckets *list = ctx;
    FILE *out = list->out;
    const char *name = nu_stats_prefix(set) + strlen("http.");
    if (strcmp(name, "admin") == 0)
        return;
    fprintf(out, "%s{\"name\":", list->comma);
    list->comma = ",\n";
    nu_admin_put_json(out, name);
    put_figure(out, "cx_active", set, NU_HTTP_CX_ACTIVE);
    put_figure(out, "rq_active", set, NU_HTTP_RQ_ACTIVE);
    put_figure(out, "rq_total", set, NU_HTTP_RQ_TOTAL);
    put_classes(out, set, NU_HTTP_RQ_1XX);
    put_times(out, set, NU_HTTP_RQ_TIME_MS);
    fputc('}', out);
}

/* --- clusters --- */

struct endpoints {
    FILE *out;
    size_t count;
};

static void put_endpoint(const struct nu_endpoint_shown *shown, void *ctx)
{
    struct endpoints *all = ctx;
    const struct nu_endpoint *e = shown->endpoint;
    char text[NU_ADDR_TEXT_MAX];
    if (all->count++ >= ENDPOINTS_SHOWN)
        return;
    fputs(all->count > 1 ? ",{\"address\":" : "{\"address\":", all->out);
    nu_admin_put_json(all->out, nu_addr_str(&e->addr, text));
    fputs(",\"host\":", all->out);
    nu_admin_put_json(all->out, e->name ? e->name : "");
    fputs(",\"health\":\"", all->out);
    nu_health_flags_print(e, all->out);
    fputs("\",\"check\":", all->out);
    nu_admin_put_json(all->out, nu_health_last(e) ? nu_health_last(e) : "");
    fprintf(all->out,
            ",\"cx_active\":%" PRIu64 ",\"cx_total\":%" PRIu64 ",\"cx_connect_fail\":%" PRIu64 "}",
            (uint64_t)e->cx_active, (uint64_t)e->cx_total, (uint64_t)e->cx_connect_fail);
}

/* Clients or requests that no server was found for. */
static int64_t failed(const struct nu_stats *set)
{
    return nu_stat_read(set, NU_CLUSTER_CX_CONNECT_FAIL) +
           nu_stat_read(set, NU_CLUSTER_CX_CONNECT_TIMEOUT) +
           nu_stat_read(set, NU_CLUSTER_CX_NONE_HEALTHY) +
           nu_stat_read(set, NU_CLUSTER_CX_OVERFLOW);
}

static void put_cluster(FILE *out, const struct nu_cluster *cluster)
{
    const struct nu_stats *set = cluster->stats;
    struct endpoints endpoints = {out, 0};
    bool chosen = cluster->original_dst || cluster->dynamic_forward;
    fputs("{\"name\":", out);
    nu_admin_put_json(out, cluster->name);
    fprintf(out, ",\"dynamic\":%s,\"failed\":%" PRId64, chosen ? "true" : "false", failed(set));
    put_figure(out, "cx_active", set, NU_CLUSTER_CX_ACTIVE);
    put_figure(out, "cx_total", set, NU_CLUSTER_CX_TOTAL);
    put_figure(out, "rq_active", set, NU_CLUSTER_RQ_ACTIVE);
    put_figure(out, "rq_total", set, NU_CLUSTER_RQ_TOTAL);
    put_figure(out, "healthy", set, NU_CLUSTER_MEMBERSHIP_HEALTHY);
    put_figure(out, "total", set, NU_CLUSTER_MEMBERSHIP_TOTAL);
    put_classes(out, set, NU_CLUSTER_RQ_1XX);
    put_times(out, set, NU_CLUSTER_RQ_TIME_MS);
    fputs(",\"endpoints\":[", out);
    nu_cluster_endpoints(cluster, put_endpoint, &endpoints);
    fputs("]}", out);
}

/* --- pieces --- */

static void put_beginning(FILE *out, const struct overview *o)
{
    struct buckets list = {out, ""};
    put_process(out, o);
    put_listeners(out, o);
    fputs(",\n\"http\":[", out);
    nu_stats_each(&nu_http_stats, put_http, &list);
    fputs("],\n\"clusters\":[", out);
}

static void put_next(FILE *out, struct overview *o)
{
    const struct nu_generation *gen = o->server->now;
    const char *name = o->names[o->next++];
    const struct nu_cluster *cluster = gen ? nu_cluster_find(gen->clusters, name) : NULL;
    if (!cluster)
        return;
    fputs(o->some ? ",\n" : "", out);
    o->some = true;
    put_cluster(out, cluster);
}

static bool overview_more(void *state, FILE *out)
{
    struct overview *o = state;
    if (!o->begun)
        put_beginning(out, o);
    o->begun = true;
    while (o->next < o->count && ftell(out) < (long)NU_ADMIN_PIECE)
        put_next(out, o);
    if (o->next < o->count)
        return true;
    fputs("],\n\"errors\":", out);
    nu_recent_print(out, ERRORS_SHOWN);
    fputs(",\n\"reloads\":", out);
    nu_history_print(out);
    fputs("}\n", out);
    return false;
}

static const struct nu_admin_source source = {overview_begin, overview_more, overview_end};

const struct nu_admin_page nu_page_overview = {
    .path = "/overview",
    .params = "",
    .doc = "all that the page at / shows, as JSON",
    .type = NU_ADMIN_JSON,
    .need = NU_ADMIN_CENSUS,
    .source = &source,
};
