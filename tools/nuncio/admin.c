/* The admin's listener: where it is, how it moves at a reload, what it lets clients do; see
 * admin.h. What is answered stands behind admin_filter.c. */
#include "tools/nuncio/admin.h"

#include "core/assert.h"
#include "core/timer.h"
#include "core/worker.h"
#include "l4/listener.h"
#include "l7/http.h"
#include "l7/http_internal.h"
#include "tools/nuncio/admin_filter.h"
#include "tools/nuncio/root.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEAVE_MS 1000 /* for answers under way where it has moved */

/* Requests have neither large heads nor bodies; a reload may take a while. */
static const char http_options[] = "name: admin\n"
                                   "headers_timeout: 10s\n"
                                   "request_timeout: 10s\n"
                                   "stream_idle_timeout: 1m\n"
                                   "idle_timeout: 5m\n"
                                   "max_header_bytes: 16KiB\n"
                                   "max_body_bytes: 64KiB\n";

struct nu_admin {
    struct nu_internal_listener *listener;
    char *address;
    struct nu_list link;  /* in `leaving` */
    struct nu_timer gone; /* armed while it is */
};

static struct nu_list leaving = {&leaving, &leaving}; /* replaced; answers may be under way */
static struct nu_admin *replaced; /* somebody on it waits for the reload's outcome */
static struct nu_arena *arena;    /* of what all connections are made of; NULL before the first */
static struct nu_place http;

static void report(struct nu_generation *gen, enum nu_err err, int error)
{
    const struct nu_node *node = nu_node_get(nu_conf_root(gen->conf), "admin");
    nu_conf_error(gen->conf, node, "cannot listen on %s: %s", gen->admin,
                  err == NU_ERR_SYSTEM ? strerror(error) : nu_err_str(err));
}

static void make_chain(struct nu_server *server)
{
    const struct nu_place last = {&nu_admin_filter, server};
    if (arena)
        return;
    arena = nu_arena_new(4096);
    http = (struct nu_place){&nu_filter_http, nu_http_internal(arena, http_options, &last)};
}

/* Only the owner may connect to a UNIX socket: whoever can may command. */
static enum nu_err listen_on(struct nu_admin *admin, const char *address)
{
    struct nu_addr addr;
    enum nu_err err = nu_admin_address(address, &addr);
    nu_assert(err == NU_OK); /* it was checked with the config */
    mode_t mask = umask(0177);
    admin->listener = nu_listener_internal(nu_worker_main(), "admin", &addr, &http, 1,
                                           NU_ADMIN_CONNECTIONS_MAX, &err);
    umask(mask);
    return admin->listener ? NU_OK : err;
}

static void admin_free(struct nu_admin *admin)
{
    if (!admin)
        return;
    if (nu_list_linked(&admin->link))
        nu_list_del(&admin->link);
    nu_timer_disarm(&nu_worker_main()->loop.timers, &admin->gone);
    if (admin->listener)
        nu_listener_internal_close(admin->listener);
    free(admin->address);
    free(admin);
}

static void on_gone(struct nu_timer *timer)
{
    admin_free(nu_container(timer, struct nu_admin, gone));
}

enum nu_err nu_admin_change(struct nu_server *server, struct nu_generation *gen,
                            struct nu_admin **out)
{
    *out = NULL;
    if (!gen->admin)
        return NU_OK;
    if (server->admin && strcmp(server->admin->address, gen->admin) == 0) {
        *out = server->admin;
        return NU_OK;
    }
    struct nu_admin *admin = calloc(1, sizeof *admin);
    nu_assert(admin != NULL);
    admin->gone.fn = on_gone;
    admin->address = strdup(gen->admin);
    nu_assert(admin->address != NULL);
    make_chain(server);
    enum nu_err err = listen_on(admin, admin->address);
    if (err) {
        report(gen, err, errno);
        admin_free(admin);
        return NU_ERR_CONFIG;
    }
    *out = admin;
    return NU_OK;
}

void nu_admin_change_done(struct nu_server *server, struct nu_admin *admin)
{
    if (admin == server->admin)
        return;
    replaced = server->admin;
    server->admin = admin;
}

void nu_admin_change_told(void)
{
    struct nu_loop *loop = &nu_worker_main()->loop;
    if (!replaced)
        return;
    nu_listener_internal_drain(replaced->listener);
    nu_list_add_tail(&leaving, &replaced->link);
    nu_timer_arm(&loop->timers, &replaced->gone, loop->now_ms + LEAVE_MS);
    replaced = NULL;
}

void nu_admin_change_undo(struct nu_server *server, struct nu_admin *admin)
{
    if (admin != server->admin)
        admin_free(admin);
}

void nu_admin_end(struct nu_server *server)
{
    while (!nu_list_empty(&leaving))
        admin_free(nu_container(leaving.next, struct nu_admin, link));
    admin_free(server->admin);
    server->admin = NULL;
}

void nu_admin_free(void)
{
    nu_arena_free(arena);
    arena = NULL;
}
