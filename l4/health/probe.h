/* A probe: one check of one endpoint on its way, as a chain of its own on main's loop:
 *
 *   the type's filter | the cluster's filters (tls) | [proxy_protocol] | sock
 *
 * So a server is asked the way that clients' connections go: over TLS, from the cluster's source
 * address. What is asked, and what is a good answer, is the type's: tcp.c, and http of l7. Its
 * filter is a left end that speaks bytes; it says its verdict by one of the calls at the end.
 * Main thread. */
#ifndef NU_L4_HEALTH_PROBE_H
#define NU_L4_HEALTH_PROBE_H

#include "core/chain.h"
#include "l4/cluster.h"

#define NU_PROBE_WHY_MAX                                                                           \
    160 /* bytes of a reason: a sentence and a piece of what the server said                       \
         */

enum nu_probe_verdict {
    NU_PROBE_OPEN, /* none yet */
    NU_PROBE_PASSED,
    NU_PROBE_FAILED,    /* the server's answer is not what it should be */
    NU_PROBE_UNREACHED, /* no connection, or it broke */
    NU_PROBE_LATE,      /* no answer in time */
    NU_PROBE_VOID,      /* our own fault: says nothing of the server */
};
const char *nu_probe_verdict_str(enum nu_probe_verdict verdict);

struct nu_probe;
/* Once, when the connection is gone; not from within nu_probe_start. `why` is borrowed. */
typedef void nu_probe_done_fn(void *ctx, enum nu_probe_verdict verdict, const char *why);

struct nu_probe_plan {
    struct nu_cluster *cluster; /* pinned until the chain is gone */
    struct nu_endpoint *endpoint;
    uint16_t port; /* instead of the endpoint's; 0 = that one */
    int64_t timeout_ms;
    const struct nu_place *first; /* the type's filter and its config, of the cluster's arena */
};

/* Never NULL; whatever goes wrong is told by done. */
struct nu_probe *nu_probe_start(const struct nu_probe_plan *plan, nu_probe_done_fn *done,
                                void *ctx);
/* Ends it; `done` is not called any more. Not after it was called. */
void nu_probe_cancel(struct nu_probe *probe);

/* --- for the filters of types, from their callbacks --- */

/* The verdict; the first one counts. The connection is then closed in good order, and nothing
 * reaches the filter any more. */
void nu_probe_pass(struct nu_filter *f);
void nu_probe_refuse(struct nu_filter *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Whose server it is. From `open` on. */
const struct nu_cluster *nu_probe_cluster(const struct nu_filter *f);
/* Which server it is, as the config has it: "10.0.0.1:80", "a.test:80". */
const struct nu_endpoint *nu_probe_endpoint(const struct nu_filter *f);

#endif
