/* The resolvers of the process; see resolve.h. Main thread. */
#include "l4/resolve.h"

#include "core/assert.h"
#include "core/worker.h"

#include <stdlib.h>

#define SERVERS_ENV "NUNCIO_DNS" /* name servers instead of those of resolv.conf, for tests */

static struct {
    struct nu_resolver *resolver;
    size_t users;
} shared[NU_RESOLVER_KINDS];

const char *nu_resolver_kind_str(enum nu_resolver_kind kind)
{
    static const char *const names[] = {"local", "absolute"};
    nu_assert((unsigned)kind < NU_RESOLVER_KINDS);
    return names[kind];
}

struct nu_resolver *nu_resolver_ref(enum nu_resolver_kind kind, size_t users)
{
    struct nu_resolver_conf conf = {.servers = getenv(SERVERS_ENV)};
    if (kind == NU_RESOLVER_ABSOLUTE) {
        conf.absolute = true;
        conf.max_inflight = NU_RESOLVE_MAX_INFLIGHT_CLIENTS;
    }
    if (shared[kind].users == 0 && users > 0)
        shared[kind].resolver = nu_resolver_new(&nu_worker_main()->loop, &conf);
    shared[kind].users += users;
    return shared[kind].resolver;
}

void nu_resolver_unref(enum nu_resolver_kind kind, size_t users)
{
    nu_assert(shared[kind].users >= users);
    shared[kind].users -= users;
    if (shared[kind].users > 0)
        return;
    nu_resolver_free(shared[kind].resolver);
    shared[kind].resolver = NULL;
}
