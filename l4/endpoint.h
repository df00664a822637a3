/* An endpoint: one server address of one cluster, with what is known of it. Keyed by cluster name
 * and address and carried over reloads, so that nothing forgets what is sick. Called otherwise it
 * is another server: TLS asks for it, and verifies it, by its name.
 *
 * Made on the main thread, or by workers where clients choose the server; counters are the only
 * writes that workers share: relaxed atomics. */
#ifndef NU_L4_ENDPOINT_H
#define NU_L4_ENDPOINT_H

#include "core/addr.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

struct nu_health_host;

/* What health checks found; bits, 0 = it may be used. Main writes, anybody may read. */
enum {
    NU_ENDPOINT_FAILED = 1,  /* not to be used */
    NU_ENDPOINT_PENDING = 2, /* was not checked yet: the first check decides at once */
    NU_ENDPOINT_LATE = 4,    /* the last check that failed had no answer in time */
};

/* What main remembers of an endpoint, and nobody else looks at. */
struct nu_endpoint_checks {
    struct nu_health_host *host; /* who checks it, or NULL */
    uint16_t passed, missed;     /* in a row */
    bool checked;                /* there was a verdict */
    bool known;                  /* was in use unchecked */
};

struct nu_endpoint {
    struct nu_addr addr;
    const char *host; /* as written in the config, with its port: for logs of names */
    const char *name; /* the host alone, where it is a name; NULL = it was written as an address */
    atomic_uint refs; /* sets and legs; the last one frees it on whatever thread: it owns no
                         thread's things */
    _Atomic uint8_t health; /* NU_ENDPOINT_* */
    _Atomic int64_t
        http1_ms; /* of the layer above: when it chose HTTP/1, on a loop's clock; 0 = never */
    struct nu_endpoint_checks checks;
    alignas(64) _Atomic uint64_t cx_active, cx_total, cx_connect_fail;
};

/* The endpoint of that cluster, address and host, made or found, with one more reference. One host
 * at a time: the newest is found. Any thread; behind a lock. */
struct nu_endpoint *nu_endpoint_get(const char *cluster, const struct nu_addr *addr,
                                    const char *host);
struct nu_endpoint *nu_endpoint_ref(struct nu_endpoint *endpoint);
/* Any thread. NULL is fine. */
void nu_endpoint_unref(struct nu_endpoint *endpoint);

#endif
