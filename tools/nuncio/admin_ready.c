/* /ready, and what has it say no: /healthcheck/fail and /healthcheck/ok. */
#include "tools/nuncio/admin_page.h"

#include "core/log.h"
#include "core/serving.h"
#include "core/worker.h"
#include "l4/cluster.h"

#include <inttypes.h>

#define WHY_MAX 512 /* bytes of a reason for not being ready */

static int64_t failed_ms; /* when it was told to fail health checks */

/* What keeps it from being ready, as Envoy names such a state; NULL: nothing. */
struct doubt {
    const char *state;
    FILE *out; /* every reason is told; NULL = it is only looked for */
};

static void doubt(struct doubt *d, const char *state, const char *why, int64_t since_ms)
{
    if (!d->state)
        d->state = state;
    if (d->out && since_ms)
        fprintf(d->out, "not ready: %s since %" PRId64 " s\n", why,
                (nu_worker_main()->loop.now_ms - since_ms) / 1000);
    else if (d->out)
        fprintf(d->out, "not ready: %s\n", why);
}

static void look_at_clusters(struct doubt *d, const struct nu_generation *gen)
{
    char why[WHY_MAX];
    for (size_t i = 0; gen && i < nu_clusters_count(gen->clusters); i++)
        if (!nu_cluster_ready(nu_cluster_at(gen->clusters, i), why, sizeof why)) {
            doubt(d, "INITIALIZING", why, 0);
            if (!d->out)
                return;
        }
}

static const char *look(const struct nu_server *server, FILE *out)
{
    struct doubt d = {NULL, out};
    if (server->state == NU_SERVER_STARTING)
        doubt(&d, "PRE_INITIALIZING", "starting", server->started_ms);
    else if (server->state != NU_SERVER_LIVE)
        doubt(&d, "DRAINING", nu_server_state_str(server->state), server->state_ms);
    else if (!nu_serving())
        doubt(&d, "DRAINING", nu_serving_why_not(), failed_ms);
    look_at_clusters(&d, server->now);
    return d.state;
}

static unsigned run_ready(const struct nu_admin_request *request, FILE *out)
{
    bool verbose = nu_query_flag(request->query, "verbose");
    const char *state = look(request->server, verbose ? out : NULL);
    if (!verbose)
        fprintf(out, "%s\n", state ? state : "LIVE");
    else if (!state)
        fputs("ready\n", out);
    return state ? 503 : 200;
}

const struct nu_admin_page nu_page_ready = {
    .path = "/ready",
    .params = "verbose",
    .doc = "200 when it serves, names resolved and endpoints checked; else 503, and why",
    .run = run_ready,
};

static unsigned run_fail(const struct nu_admin_request *request, FILE *out)
{
    if (nu_serving())
        failed_ms = nu_worker_main()->loop.now_ms;
    nu_serving_set_failed(true);
    nu_log(NU_LOG_INFO, "admin", "health checks fail from now on");
    fputs("OK\n", out);
    return 200;
}

const struct nu_admin_page nu_page_healthcheck_fail = {
    .path = "/healthcheck/fail",
    .params = "",
    .doc = "be not ready, and fail the health checks of load balancers",
    .changes = true,
    .run = run_fail,
};

static unsigned run_ok(const struct nu_admin_request *request, FILE *out)
{
    nu_serving_set_failed(false);
    nu_log(NU_LOG_INFO, "admin", "health checks are answered as usual");
    fputs("OK\n", out);
    return 200;
}

const struct nu_admin_page nu_page_healthcheck_ok = {
    .path = "/healthcheck/ok",
    .params = "",
    .doc = "the end of /healthcheck/fail",
    .changes = true,
    .run = run_ok,
};
