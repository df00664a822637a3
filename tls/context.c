/* TLS contexts: made of a config's text, found again by it, handed to workers, let go. What a text
 * may say is server_conf.c's and client_conf.c's; see context.h. */
#include "tls/context.h"

#include "core/assert.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "tls/context_priv.h"
#include "tls/filter.h"
#include "tls/stats.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 2048 /* bytes: settings of one certificate and the lists of ciphers */

static struct nu_list all;
static struct nu_strmap *by_text; /* NULL while there is none */

static void join_all(struct tls_context *context)
{
    if (!by_text) {
        nu_list_init(&all);
        by_text = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    }
    nu_list_add_tail(&all, &context->link);
    nu_strmap_put_str(by_text, context->text, context);
}

static void leave_all(struct tls_context *context)
{
    if (!nu_list_linked(&context->link))
        return;
    nu_list_del(&context->link);
    nu_strmap_del(by_text, context->text, strlen(context->text));
    if (!nu_list_empty(&all))
        return;
    nu_strmap_free(by_text);
    by_text = NULL;
}

void tls_context_each(void (*fn)(struct tls_context *context, void *ctx), void *ctx)
{
    if (!by_text)
        return;
    nu_list_each (it, &all)
        fn(nu_container(it, struct tls_context, link), ctx);
}

static void make_views(struct tls_context *context)
{
    size_t line = alignof(struct tls_view), shards = nu_workers_count() + 1;
    char *at = nu_arena_alloc(context->arena, shards * sizeof *context->view + line);
    context->view = (void *)(((uintptr_t)at + line - 1) / line * line);
}

struct tls_context *tls_context_new(enum nu_tls_role role)
{
    struct nu_arena *arena = nu_arena_new(ARENA_FIRST);
    struct tls_context *context = nu_arena_alloc(arena, sizeof *context);
    context->arena = arena;
    context->pub.role = role;
    context->refs = 1;
    if (role == NU_TLS_SERVER)
        context->conf.server = nu_arena_alloc(arena, sizeof *context->conf.server);
    else
        context->conf.client = nu_arena_alloc(arena, sizeof *context->conf.client);
    make_views(context);
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

static void destroy(struct tls_context *context)
{
    for (unsigned i = 0; i <= nu_workers_count(); i++)
        SSL_CTX_free(context->view[i].ctx);
    leave_all(context);
    tls_watch_end(context);
    nu_stats_put(context->pub.stats);
    nu_tls_tickets_put(context->pub.tickets);
    nu_keylog_free(context->pub.keylog);
    nu_arena_free(context->arena);
}

void tls_context_put(struct tls_context *context)
{
    if (--context->refs == 0)
        destroy(context);
}

void tls_context_drop(void *context)
{
    tls_context_put(context);
}

void tls_context_place(void *value, struct nu_arena *owner, struct nu_place *out)
{
    struct tls_context *context = value;
    nu_arena_on_free(owner, tls_context_drop, tls_context_ref(context));
    *out = context->starttls ? nu_starttls_place(context->starttls, &context->pub, owner)
                             : (struct nu_place){&nu_tls_filter, &context->pub};
}

/* --- to the workers --- */

struct swap {
    struct tls_context *context;
    SSL_CTX *ctx;
};

static void take(struct tls_view *view, SSL_CTX *ctx)
{
    SSL_CTX *old = view->ctx;
    nu_assert(SSL_CTX_up_ref(ctx) == 1);
    view->ctx = ctx;
    SSL_CTX_free(old);
}

static void take_here(struct nu_worker *w, void *arg)
{
    struct swap *swap = arg;
    take(&swap->context->view[w->loop.shard], swap->ctx);
}

static void taken(void *arg)
{
    struct swap *swap = arg;
    SSL_CTX_free(swap->ctx);
    tls_context_put(swap->context);
    free(swap);
}

/* Consumes the reference to ctx. */
static void publish(struct tls_context *context, SSL_CTX *ctx)
{
    if (context->served) {
        struct swap *swap = malloc(sizeof *swap);
        nu_assert(swap != NULL);
        *swap = (struct swap){tls_context_ref(context), ctx};
        nu_workers_all(take_here, swap, taken, swap);
        return;
    }
    for (unsigned i = 0; i <= nu_workers_count(); i++)
        take(&context->view[i], ctx);
    SSL_CTX_free(ctx);
    context->served = true;
}

size_t tls_context_cert_count(const struct tls_context *context)
{
    const struct tls_client_conf *client = context->conf.client;
    if (context->pub.role == NU_TLS_SERVER)
        return context->conf.server->certificates.count;
    return client->cert.files.cert || client->cert.files.pkcs12;
}

struct tls_cert_conf *tls_context_cert(struct tls_context *context, size_t i)
{
    if (context->pub.role == NU_TLS_SERVER)
        return (struct tls_cert_conf *)context->conf.server->certificates.items + i;
    return &context->conf.client->cert;
}

struct tls_trust_conf *tls_context_trust(struct tls_context *context)
{
    struct tls_client_certs *clients;
    if (context->pub.role == NU_TLS_CLIENT)
        return context->conf.client->verify == TLS_VERIFY_NONE ? NULL
                                                               : &context->conf.client->trust;
    clients = context->conf.server->clients;
    return clients && clients->trust.files.ca ? &clients->trust : NULL;
}

void tls_context_renew(struct tls_context *context)
{
    if (context->watched) /* a folder may have other files now */
        tls_watch_paths(context);
    publish(context, tls_creds_build(context));
}

/* --- by its text --- */

const struct nu_vec *tls_context_ticket_keys(const struct tls_context *context)
{
    const struct tls_server_conf *server = context->conf.server;
    bool named = context->pub.role == NU_TLS_SERVER && server->tickets.conf;
    return named && server->tickets.conf->keys.count ? &server->tickets.conf->keys : NULL;
}

/* Files of the same names that hold something else now: `to` has them from now on. */
static bool take_loaded(struct tls_context *to, struct tls_context *from)
{
    bool changed = false;
    struct tls_trust_conf *my_trust = tls_context_trust(to), *trust = tls_context_trust(from);
    for (size_t i = 0; i < tls_context_cert_count(to); i++) {
        struct tls_cert_conf *mine = tls_context_cert(to, i), *theirs = tls_context_cert(from, i);
        struct tls_cert *was = mine->now;
        changed = changed || mine->now != theirs->now;
        mine->now = theirs->now;
        theirs->now = was;
    }
    if (my_trust && my_trust->now != trust->now) {
        struct tls_trust *was = my_trust->now;
        my_trust->now = trust->now;
        trust->now = was;
        changed = true;
    }
    return changed;
}

struct tls_context *tls_context_finish(struct tls_context *context, const char *kind,
                                       const char *owner, const char *text)
{
    context->text = nu_arena_printf(context->arena, "%s %s\n%s", kind, owner, text);
    struct tls_context *same = by_text ? nu_strmap_get_str(by_text, context->text) : NULL;
    if (same) {
        if (take_loaded(same, context))
            tls_context_renew(same);
        tls_context_put(context);
        return tls_context_ref(same);
    }
    context->pub.owner = nu_arena_printf(context->arena, "%s %s", kind, owner);
    context->pub.stats = nu_tls_stats_get(context->pub.role, owner);
    join_all(context);
    tls_context_renew(context);
    return context;
}

static void open_one(struct tls_context *context, void *ctx)
{
    if (!nu_keylog_open(context->pub.keylog))
        nu_conf_error(ctx, NULL, "cannot write the key log of %s: %s: %m", context->pub.owner,
                      nu_keylog_path(context->pub.keylog));
}

enum nu_err nu_tls_contexts_open(struct nu_conf *conf)
{
    size_t before = nu_conf_error_count(conf);
    tls_context_each(open_one, conf);
    return nu_conf_error_count(conf) == before ? NU_OK : NU_ERR_CONFIG;
}
