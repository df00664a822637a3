/* Users in service; see auth_users.h. A changed file is read by main at once: 16 MiB at most, which
 * take a few milliseconds per megabyte. */
#include "l7/filters/auth_users.h"

#include "core/assert.h"
#include "core/log.h"
#include "core/main_watch.h"
#include "core/worker.h"
#include "protocols/http/remembered.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A worker's own. */
struct view {
    const struct nu_htpasswd *table;
    struct nu_remembered *right; /* made with the first */
};

struct nu_auth_users {
    unsigned rounds; /* tables on their way to the workers */
    bool freed;
    struct nu_htpasswd *now;
    struct nu_watch *watch;
    struct nu_auth_figures figures;
    char *path; /* NULL: from the config */
    struct view view[];
};

/* --- files --- */

static enum nu_err fault_of(struct nu_htpasswd_fault *fault, enum nu_err err, const char *what)
{
    *fault = (struct nu_htpasswd_fault){0};
    snprintf(fault->what, sizeof fault->what, "%s", what);
    return err;
}

static enum nu_err read_file(FILE *file, struct nu_htpasswd **out, struct nu_htpasswd_fault *fault)
{
    char *text = NULL, room[4096];
    size_t len = 0, n;
    FILE *all = open_memstream(&text, &len);
    nu_assert(all != NULL);
    while ((n = fread(room, 1, sizeof room, file)) > 0 && ftell(all) <= NU_HTPASSWD_MAX_BYTES)
        fwrite(room, 1, n, all);
    fclose(all);
    enum nu_err err = ferror(file) ? fault_of(fault, NU_ERR_SYSTEM, "cannot be read")
                      : len > NU_HTPASSWD_MAX_BYTES
                          ? fault_of(fault, NU_ERR_LIMIT, "is larger than 16 MiB")
                          : nu_htpasswd_parse(text, len, out, fault);
    free(text);
    return err;
}

static enum nu_err load(const char *path, struct nu_htpasswd **out, struct nu_htpasswd_fault *fault)
{
    FILE *file = fopen(path, "re");
    *out = NULL;
    if (!file)
        return fault_of(fault, NU_ERR_SYSTEM, strerrordesc_np(errno));
    enum nu_err err = read_file(file, out, fault);
    fclose(file);
    return err;
}

/* --- to the workers --- */

/* A round: `table` takes the place of `before` everywhere. */
struct delivery {
    struct nu_auth_users *users;
    struct nu_htpasswd *table, *before;
};

static void free_if_unused(struct nu_auth_users *users)
{
    if (!users->freed || users->rounds)
        return;
    for (unsigned shard = 0; shard <= nu_workers_count(); shard++)
        nu_remembered_free(users->view[shard].right);
    nu_htpasswd_free(users->now);
    free(users->path);
    free(users);
}

static void deliver(struct nu_worker *w, void *arg)
{
    const struct delivery *d = arg;
    d->users->view[w->loop.shard].table = d->table;
}

static void delivered(void *ctx)
{
    struct delivery *d = ctx;
    nu_htpasswd_free(d->before);
    d->users->rounds--;
    free_if_unused(d->users);
    free(d);
}

static void publish(struct nu_auth_users *users, struct nu_htpasswd *table)
{
    struct delivery *d = malloc(sizeof *d);
    nu_assert(d != NULL);
    *d = (struct delivery){users, table, users->now};
    users->now = table;
    users->rounds++;
    nu_workers_all(deliver, d, delivered, d);
}

static void changed(void *ctx, const char *path)
{
    struct nu_auth_users *users = ctx;
    struct nu_htpasswd_fault fault;
    struct nu_htpasswd *table;
    char quoted[NU_LOG_QUOTE_MAX], what[NU_LOG_QUOTE_MAX];
    bool good = load(path, &table, &fault) == NU_OK;
    nu_stat_add(users->figures.stats, nu_workers_count(),
                good ? users->figures.success : users->figures.rejected, 1);
    nu_log_quote(quoted, sizeof quoted, path);
    if (good) {
        nu_log(NU_LOG_INFO, "basic_auth", "users replaced path=%s users=%zu", quoted,
               nu_htpasswd_count(table));
        publish(users, table);
        return;
    }
    nu_log_quote(what, sizeof what, fault.what);
    nu_log(NU_LOG_ERROR, "basic_auth",
           "file is wrong, the users before serve on path=%s line=%u error=%s", quoted, fault.line,
           what);
}

/* --- making --- */

static void begin_service(struct nu_auth_users *users, const struct nu_auth_figures *figures)
{
    users->figures = *figures;
    for (unsigned shard = 0; shard <= nu_workers_count(); shard++)
        users->view[shard].table = users->now;
}

struct nu_auth_users *nu_auth_users_new(const char *text, const char *path,
                                        const struct nu_auth_figures *figures,
                                        struct nu_htpasswd_fault *fault)
{
    size_t shards = nu_workers_count() + 1;
    struct nu_auth_users *users = calloc(1, sizeof *users + shards * sizeof *users->view);
    nu_assert(users != NULL);
    users->path = text ? NULL : strdup(path);
    if (users->path) /* before it is read, then no change is missed */
        users->watch = nu_main_watch_add(path, changed, users);
    enum nu_err err = text ? nu_htpasswd_parse(text, strlen(text), &users->now, fault)
                           : load(path, &users->now, fault);
    if (err != NU_OK) {
        nu_auth_users_free(users);
        return NULL;
    }
    begin_service(users, figures);
    return users;
}

void nu_auth_users_free(struct nu_auth_users *users)
{
    nu_main_watch_del(users->watch);
    users->freed = true;
    free_if_unused(users);
}

/* --- looking --- */

const struct nu_htpasswd *nu_auth_users_view(const struct nu_auth_users *users, unsigned shard)
{
    return users->view[shard].table;
}

bool nu_auth_remembers(const struct nu_auth_users *users, unsigned shard, const char *hash,
                       struct nu_text password)
{
    const struct view *view = &users->view[shard];
    return view->right && nu_remembered_has(view->right, hash, password);
}

void nu_auth_remember(struct nu_auth_users *users, unsigned shard, const char *hash,
                      struct nu_text password)
{
    struct view *view = &users->view[shard];
    if (!view->right)
        view->right = nu_remembered_new();
    nu_remembered_add(view->right, hash, password);
}
