/* Files of contexts that change while they are served: watched, loaded anew, handed to the workers.
 *
 * A certificate and its key are two files, written one after the other. So what cannot be used is
 * tried again when another file of the context changes, and told only when nothing has come for
 * SETTLE_MS; until then, and after that, the old one is used. Main thread. */
#include "core/assert.h"
#include "core/log.h"
#include "core/main_watch.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "tls/context_priv.h"
#include "tls/stats.h"

#include <stdlib.h>
#include <string.h>

#define GATHER_MS 10   /* after a change: the files of one renewal are told one by one */
#define SETTLE_MS 1000 /* for the other half of a pair to come */

/* A path, for as many contexts as name it. */
struct tls_watched {
    struct nu_watch *watch; /* NULL: the system does not let us */
    unsigned refs;
    char path[];
};

static struct nu_strmap *by_path; /* NULL while nothing is watched */
static struct nu_timer timer;

static struct nu_loop *loop(void)
{
    return &nu_worker_main()->loop;
}

/* --- paths --- */

static bool depends_on(const struct tls_context *context, const char *path)
{
    for (unsigned i = 0; i < context->watched_count; i++)
        if (strcmp(context->watched[i]->path, path) == 0)
            return true;
    return false;
}

static void arm(int64_t in_ms)
{
    int64_t due = loop()->now_ms + in_ms;
    if (!nu_timer_armed(&timer) || timer.due_ms > due)
        nu_timer_arm(&loop()->timers, &timer, due);
}

static void make_due(struct tls_context *context)
{
    context->renewal = TLS_RENEWAL_DUE;
    context->changed_ms = loop()->now_ms;
    arm(GATHER_MS);
}

static void note_change(struct tls_context *context, void *path)
{
    const struct nu_vec *keys = tls_context_ticket_keys(context);
    if (!depends_on(context, path))
        return;
    for (size_t i = 0; keys && i < keys->count; i++)
        if (strcmp(((const char *const *)keys->items)[i], path) == 0)
            context->tickets_due = true;
    make_due(context);
}

static void on_change(void *ctx, const char *path)
{
    tls_loaded_changed(path);
    tls_context_each(note_change, (void *)path);
}

static struct tls_watched *watched_get(const char *path)
{
    if (!by_path)
        by_path = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    struct tls_watched *w = nu_strmap_get_str(by_path, path);
    if (!w) {
        w = calloc(1, sizeof *w + strlen(path) + 1);
        nu_assert(w != NULL);
        memcpy(w->path, path, strlen(path) + 1);
        w->watch = nu_main_watch_add(path, on_change, w);
        nu_strmap_put_str(by_path, path, w);
    }
    w->refs++;
    return w;
}

static void watched_put(struct tls_watched *w)
{
    if (--w->refs > 0)
        return;
    nu_strmap_del(by_path, w->path, strlen(w->path));
    nu_main_watch_del(w->watch);
    free(w);
    if (nu_strmap_count(by_path) > 0)
        return;
    nu_strmap_free(by_path);
    by_path = NULL;
    nu_timer_disarm(&loop()->timers, &timer);
}

/* --- what a context depends on --- */

struct gather {
    struct tls_watched **item;
    unsigned count, cap;
};

static void add(struct gather *g, const char *path)
{
    if (g->count == g->cap) {
        g->cap = g->cap ? 2 * g->cap : 8;
        g->item = realloc(g->item, g->cap * sizeof(void *));
        nu_assert(g->item != NULL);
    }
    g->item[g->count++] = watched_get(path);
}

static void add_loaded(struct gather *g, const struct tls_loaded *loaded)
{
    for (unsigned i = 0; i < loaded->path_count; i++)
        add(g, loaded->path[i]);
}

/* Those of before go last, so that what stays is not watched anew. */
void tls_watch_paths(struct tls_context *context)
{
    struct gather g = {.count = 0};
    struct tls_watched **before = context->watched;
    unsigned before_count = context->watched_count;
    const struct tls_trust_conf *trust = tls_context_trust(context);
    for (size_t i = 0; i < tls_context_cert_count(context); i++)
        add_loaded(&g, &tls_context_cert(context, i)->now->loaded);
    if (trust)
        add_loaded(&g, &trust->now->loaded);
    const struct nu_vec *keys = tls_context_ticket_keys(context);
    for (size_t i = 0; keys && i < keys->count; i++)
        add(&g, ((const char *const *)keys->items)[i]);
    context->watched = g.item;
    context->watched_count = g.count;
    for (unsigned i = 0; before && i < before_count; i++)
        watched_put(before[i]);
    free(before);
}

void tls_watch_end(struct tls_context *context)
{
    for (unsigned i = 0; i < context->watched_count; i++)
        watched_put(context->watched[i]);
    free(context->watched);
    context->watched = NULL;
    context->watched_count = 0;
}

/* --- renewal --- */

/* How an attempt went. */
struct attempt {
    struct tls_context *context;
    unsigned renewed, failed;
    bool tickets;     /* new keys of tickets, which are no part of the credentials */
    bool other_files; /* to be watched, with nothing new in them */
    char name[TLS_PROBLEM_MAX];
    struct tls_problem problem; /* the last one */
};

/* What `check` would have warned of: the new certificate has expired, the new list is outdated. */
static void tell_warnings(const struct tls_context *context, const struct tls_loaded *loaded)
{
    char owner[NU_LOG_QUOTE_MAX], reason[TLS_PROBLEM_MAX + 16];
    for (unsigned i = 0; i < loaded->warning_count; i++)
        nu_log(NU_LOG_WARN, "tls", "files changed and are used, but owner=%s key=%s reason=%s",
               nu_log_quote(owner, sizeof owner, context->pub.owner), loaded->warning[i].key,
               nu_log_quote(reason, sizeof reason, loaded->warning[i].text));
}

static bool is_due(const struct tls_loaded *loaded)
{
    return loaded->stale;
}

static void renew_cert(struct tls_cert_conf *conf, struct attempt *a)
{
    if (!is_due(&conf->now->loaded))
        return;
    struct tls_cert *cert = tls_cert_get(&conf->files, &a->problem);
    if (!cert) {
        a->failed++;
        return;
    }
    tls_cert_put(conf->now);
    conf->now = cert;
    a->renewed++;
    tell_warnings(a->context, &cert->loaded);
    tls_name_text(X509_get_subject_name(cert->leaf), a->name, sizeof a->name);
}

static void renew_trust(struct tls_trust_conf *conf, struct attempt *a)
{
    if (!is_due(&conf->now->loaded))
        return;
    struct tls_trust *trust = tls_trust_get(&conf->files, &a->problem);
    if (!trust) {
        a->failed++;
        return;
    }
    bool same = memcmp(trust->digest, conf->now->digest, sizeof trust->digest) == 0;
    tls_trust_put(conf->now);
    conf->now = trust;
    a->other_files = a->other_files || same;
    if (same) /* something else came into the folder */
        return;
    a->renewed++;
    tell_warnings(a->context, &trust->loaded);
    snprintf(a->name, sizeof a->name, "%u CAs, %u CRLs", trust->ca_count, trust->crl_count);
}

static void renew_tickets(struct tls_context *context, struct attempt *a)
{
    if (!context->tickets_due)
        return;
    if (!nu_tls_tickets_load(context->pub.tickets, a->problem.text, sizeof a->problem.text)) {
        a->problem.key = "tickets";
        a->failed++;
        return;
    }
    a->tickets = true;
    context->tickets_due = false;
    snprintf(a->name, sizeof a->name, "keys of tickets");
}

static void count(const struct tls_context *context, enum nu_tls_stat stat)
{
    nu_stat_add(context->pub.stats, loop()->shard, stat, 1);
}

static void tell_failure(struct tls_context *context, const struct attempt *a)
{
    char owner[NU_LOG_QUOTE_MAX], reason[TLS_PROBLEM_MAX + 16];
    count(context, NU_TLS_UPDATE_FAILURE);
    nu_log(NU_LOG_WARN, "tls",
           "files changed and cannot be used, what was loaded before stays "
           "owner=%s key=%s reason=%s",
           nu_log_quote(owner, sizeof owner, context->pub.owner), a->problem.key,
           nu_log_quote(reason, sizeof reason, a->problem.text));
}

static void tell_success(struct tls_context *context, const struct attempt *a)
{
    char owner[NU_LOG_QUOTE_MAX], name[NU_LOG_QUOTE_MAX];
    count(context, NU_TLS_UPDATE_SUCCESS);
    nu_log(NU_LOG_INFO, "tls", "files changed and are used from now on owner=%s files=%u now=%s",
           nu_log_quote(owner, sizeof owner, context->pub.owner), a->renewed + a->tickets,
           nu_log_quote(name, sizeof name, a->name));
}

/* Loads what has changed; all that is good goes to the workers at once. */
static void try_renewal(struct tls_context *context)
{
    struct attempt a = {.context = context};
    struct tls_trust_conf *trust = tls_context_trust(context);
    bool last = context->renewal == TLS_RENEWAL_SETTLING;
    for (size_t i = 0; i < tls_context_cert_count(context); i++)
        renew_cert(tls_context_cert(context, i), &a);
    if (trust)
        renew_trust(trust, &a);
    renew_tickets(context, &a);
    if (a.renewed || a.other_files)
        tls_context_renew(context);
    if (a.renewed || a.tickets)
        tell_success(context, &a);
    context->renewal = a.failed && !last ? TLS_RENEWAL_SETTLING : TLS_RENEWAL_NONE;
    if (a.failed && last)
        tell_failure(context, &a);
    /* A file that is new in a folder, and watched from now on, may have been half written. */
    if (trust && !a.failed && !tls_loaded_check(&trust->now->loaded))
        make_due(context);
}

static bool is_time(const struct tls_context *context)
{
    int64_t wait_ms = context->renewal == TLS_RENEWAL_DUE ? GATHER_MS : SETTLE_MS;
    return loop()->now_ms - context->changed_ms >= wait_ms;
}

static void look_at(struct tls_context *context, void *ctx)
{
    if (context->renewal != TLS_RENEWAL_NONE && is_time(context))
        try_renewal(context);
    if (context->renewal != TLS_RENEWAL_NONE)
        arm(context->renewal == TLS_RENEWAL_DUE ? GATHER_MS : SETTLE_MS);
}

static void on_timer(struct nu_timer *t)
{
    tls_context_each(look_at, NULL);
}

/* --- start --- */

/* False, and stale from then on, is what has changed since it was loaded. */
static bool is_current(struct tls_context *context)
{
    bool current = true;
    const struct tls_trust_conf *trust = tls_context_trust(context);
    for (size_t i = 0; i < tls_context_cert_count(context); i++)
        current = tls_loaded_check(&tls_context_cert(context, i)->now->loaded) && current;
    if (trust)
        current = tls_loaded_check(&trust->now->loaded) && current;
    return current;
}

static void start(struct tls_context *context, void *ctx)
{
    if (context->watched)
        return;
    tls_watch_paths(context);
    if (!is_current(context)) /* between loading and watching */
        make_due(context);
}

void nu_tls_contexts_watch(void)
{
    timer.fn = on_timer;
    tls_context_each(start, NULL);
}
