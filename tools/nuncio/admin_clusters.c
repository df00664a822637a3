/* /clusters: clusters and their endpoints, a cluster at a time. A reload in the midst may change
 * the clusters, so names are what is kept of them. */
#include "tools/nuncio/admin_page.h"

#include "core/assert.h"
#include "l4/cluster.h"
#include "l4/health/health.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct clusters_state {
    struct nu_server *server;
    char **names;
    size_t count, next;
    bool json, first;
};

static unsigned clusters_begin(const struct nu_admin_request *request, void **state, FILE *out)
{
    struct clusters_state *s = calloc(1, sizeof *s);
    nu_assert(s != NULL);
    const struct nu_generation *gen = request->server->now;
    size_t count = gen ? nu_clusters_count(gen->clusters) : 0;
    s->server = request->server;
    s->json = nu_admin_wants_json(request);
    s->first = true;
    s->names = calloc(count + 1, sizeof *s->names);
    nu_assert(s->names != NULL);
    for (; s->count < count; s->count++) {
        s->names[s->count] = strdup(nu_cluster_at(gen->clusters, s->count)->name);
        nu_assert(s->names[s->count] != NULL);
    }
    *state = s;
    return 200;
}

static void clusters_end(void *state)
{
    struct clusters_state *s = state;
    for (size_t i = 0; i < s->count; i++)
        free(s->names[i]);
    free(s->names);
    free(s);
}

/* --- Envoy's JSON --- */

static void put_figure(FILE *out, const char *name, uint64_t value, bool gauge)
{
    fprintf(out, "%s{\"name\":\"%s\",\"value\":\"%" PRIu64 "\"%s}", gauge ? "" : ",", name, value,
            gauge ? ",\"type\":\"GAUGE\"" : "");
}

static void put_health(FILE *out, const struct nu_endpoint *e)
{
    unsigned bits = e->health;
    fputs(",\"health_status\":{\"eds_health_status\":\"HEALTHY\"", out);
    if (bits & NU_ENDPOINT_FAILED)
        fputs(",\"failed_active_health_check\":true", out);
    if (bits & NU_ENDPOINT_PENDING)
        fputs(",\"pending_active_hc\":true", out);
    if (bits & NU_ENDPOINT_LATE)
        fputs(",\"active_hc_timeout\":true", out);
    fputc('}', out);
    if (nu_health_last(e)) {
        fputs(",\"health_check\":", out);
        nu_admin_put_json(out, nu_health_last(e));
    }
}

struct hosts {
    FILE *out;
    bool first;
};

static void put_host(const struct nu_endpoint_shown *shown, void *ctx)
{
    struct hosts *h = ctx;
    const struct nu_endpoint *e = shown->endpoint;
    fputs(h->first ? "{" : ",\n{", h->out);
    h->first = false;
    nu_admin_put_address(h->out, "address", &e->addr);
    fputs(",\"stats\":[", h->out);
    put_figure(h->out, "cx_active", e->cx_active, true);
    put_figure(h->out, "cx_connect_fail", e->cx_connect_fail, false);
    put_figure(h->out, "cx_total", e->cx_total, false);
    fputc(']', h->out);
    put_health(h->out, e);
    fprintf(h->out, ",\"weight\":%u,\"priority\":%u,\"hostname\":", shown->weight, shown->priority);
    nu_admin_put_json(h->out, e->name ? e->name : "");
    fputc('}', h->out);
}

static void put_cluster(struct clusters_state *s, FILE *out, const struct nu_cluster *cluster)
{
    struct hosts hosts = {out, true};
    fputs(s->first ? "" : ",\n", out);
    s->first = false;
    fputs("{\"name\":", out);
    nu_admin_put_json(out, cluster->name);
    fputs(",\"observability_name\":", out);
    nu_admin_put_json(out, cluster->name);
    fputs(",\"host_statuses\":[", out);
    nu_cluster_endpoints(cluster, put_host, &hosts);
    fputs("]}", out);
}

/* --- pieces --- */

static void put(struct clusters_state *s, FILE *out, const char *name)
{
    const struct nu_generation *gen = s->server->now;
    const struct nu_cluster *cluster = gen ? nu_cluster_find(gen->clusters, name) : NULL;
    if (cluster && s->json)
        put_cluster(s, out, cluster);
    else if (cluster)
        nu_cluster_print(cluster, out);
}

static bool clusters_more(void *state, FILE *out)
{
    struct clusters_state *s = state;
    if (s->json && s->next == 0)
        fputs("{\"cluster_statuses\":[\n", out);
    while (s->next < s->count && ftell(out) < (long)NU_ADMIN_PIECE)
        put(s, out, s->names[s->next++]);
    if (s->next < s->count)
        return true;
    if (s->json)
        fputs("]}\n", out);
    return false;
}

static const struct nu_admin_source source = {clusters_begin, clusters_more, clusters_end};

const struct nu_admin_page nu_page_clusters = {
    .path = "/clusters",
    .params = "format=json",
    .doc = "endpoints and their state",
    .source = &source,
};
