/* /stats/prometheus: all figures in Prometheus' text format, in pieces; core/stats_prometheus.c
 * knows the format. */
#include "tools/nuncio/admin_page.h"
#include "tools/nuncio/stats_query.h"

#include "core/assert.h"

#include <stdlib.h>

struct prometheus {
    struct nu_stats_query wanted;
    struct nu_stats_text *text;
};

static bool wants(const char *name, void *ctx)
{
    return nu_stats_query_wants_name(ctx, name);
}

static unsigned prometheus_begin(const struct nu_admin_request *request, void **state, FILE *out)
{
    struct nu_stats_query wanted;
    unsigned status = nu_stats_query_read(request->query, &wanted, out);
    if (status != 200)
        return status;
    struct prometheus *p = calloc(1, sizeof *p);
    nu_assert(p != NULL);
    p->wanted = wanted;
    nu_server_refresh(request->server, request->connections);
    p->text = nu_stats_prometheus_new(wanted.used_only, wanted.filter ? wants : NULL, &p->wanted);
    *state = p;
    return 200;
}

static bool prometheus_more(void *state, FILE *out)
{
    struct prometheus *p = state;
    return nu_stats_prometheus_more(p->text, out, NU_ADMIN_PIECE);
}

static void prometheus_end(void *state)
{
    struct prometheus *p = state;
    nu_stats_prometheus_free(p->text);
    nu_stats_query_free(&p->wanted);
    free(p);
}

static const struct nu_admin_source source = {prometheus_begin, prometheus_more, prometheus_end};

const struct nu_admin_page nu_page_prometheus = {
    .path = "/stats/prometheus",
    .params = "filter=REGEX usedonly",
    .doc = "the same in Prometheus' text format",
    .type = "text/plain; version=0.0.4; charset=utf-8",
    .need = NU_ADMIN_CENSUS,
    .source = &source,
};
