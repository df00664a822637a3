/* What the root's keys user, group, seccomp and core_dumps do; see process.h. */
#include "tools/nuncio/process.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l4/listener.h"
#include "tools/nuncio/root.h"
#include "tools/nuncio/sandbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* As at the start. */
static struct {
    struct nu_root root; /* its texts are not kept: user says whether there was one */
    bool net_admin;      /* capabilities for foreign addresses and marks were kept */
    bool sandbox;
} process;

static const struct nu_node *node_of(const struct nu_generation *gen, const char *key)
{
    return nu_node_get(nu_conf_root(gen->conf), key);
}

/* --- at the start --- */

static void warn_unreadable(const struct nu_generation *gen, const char *path)
{
    if (path && access(path, R_OK) != 0)
        nu_conf_warn(gen->conf, node_of(gen, "user"),
                     "%s cannot read this file: a reload will fail (%s)",
                     gen->root->identity.user ? gen->root->identity.user : "root", strerror(errno));
}

static void prepare_sandbox(const struct nu_generation *gen)
{
    const char *why_not = nu_sandbox_why_not();
    if (!gen->root->seccomp)
        return;
    if (why_not)
        nu_log(NU_LOG_WARN, "server", "no seccomp filter reason=\"%s\"", why_not);
    else if (nu_sandbox_prepare() == NU_OK)
        process.sandbox = true;
    else
        nu_conf_error(gen->conf, node_of(gen, "seccomp"),
                      "the kernel refuses seccomp filters (%s); `seccomp: off` runs without",
                      strerror(errno));
}

void nu_process_become(struct nu_generation *gen, const char *path)
{
    if (nu_conf_failed(gen->conf))
        return;
    process.root = *gen->root;
    if (nu_privilege_become(&gen->root->identity, gen->root->core_dumps, gen->conf,
                            nu_conf_root(gen->conf)) == NU_OK)
        warn_unreadable(gen, path);
    prepare_sandbox(gen);
}

/* A worker that never ran as a thread empties its posts on main, when a start failed. */
static void confine_here(struct nu_worker *worker, void *arg)
{
    if (worker->threaded)
        nu_sandbox_enter(NU_SANDBOX_WORKER);
}

void nu_process_confine_workers(void)
{
    for (unsigned i = 0; process.sandbox && i < nu_workers_count(); i++)
        nu_worker_post(nu_worker_at(i), confine_here, NULL);
}

void nu_process_settle(const struct nu_generation *gen)
{
    process.net_admin =
        nu_listeners_need_net_admin(gen->listeners) || nu_clusters_need_net_admin(gen->clusters);
    nu_privilege_settle(process.net_admin);
}

void nu_process_confine_main(void)
{
    if (process.sandbox)
        nu_sandbox_enter(NU_SANDBOX_MAIN);
}

/* --- at a reload --- */

static void warn_restart(const struct nu_generation *gen, const char *key)
{
    nu_conf_warn(gen->conf, node_of(gen, key), "`%s` changes at a restart only", key);
}

static bool same_identity(const struct nu_identity *a, const struct nu_identity *b)
{
    return !a->user == !b->user && a->uid == b->uid && a->gid == b->gid;
}

void nu_process_warn(const struct nu_generation *gen)
{
    if (!same_identity(&gen->root->identity, &process.root.identity))
        warn_restart(gen, "user");
    if (gen->root->seccomp != process.root.seccomp)
        warn_restart(gen, "seccomp");
    if (gen->root->core_dumps != process.root.core_dumps)
        warn_restart(gen, "core_dumps");
}
