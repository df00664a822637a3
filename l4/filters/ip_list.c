/* List files in service; see ip_list.h. A changed file is read by a thread of its own, since a
 * million networks take half a second and main has names, probes and the admin to look after. What
 * it made goes to the workers in one round; after that nobody knows the table before. */
#include "l4/filters/ip_list.h"

#include "core/arena.h"
#include "core/assert.h"
#include "core/log.h"
#include "core/main_watch.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/filters/filters_priv.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum figure { NETWORKS, UPDATE_SUCCESS, UPDATE_REJECTED };

static const struct nu_stat_def defs[] = {
    [NETWORKS] = {"networks",        NU_GAUGE,   NULL, "Different networks in the list that serves."},
    [UPDATE_SUCCESS] = {"update_success",  NU_COUNTER, NULL,
                  "Changed files that were put into service."                                       },
    [UPDATE_REJECTED] = {"update_rejected", NU_COUNTER, NULL,
                  "Changed files that are wrong: the list before them serves on."                   },
};

const struct nu_stat_group nu_ip_list_stats =
    NU_STAT_GROUP("ip_list.<file>", "The list files of ip_filter, by path.", defs);

enum load_state {
    IDLE,
    LOADING,
    OVERTAKEN, /* loading, and the file changed since that began */
};

/* A file on its way into a table. The thread writes what is behind `list`; it ends with a post to
 * main, which frees this. */
struct load {
    struct nu_ip_list *list; /* NULL once taken; main's */
    pthread_t thread;
    const char *path;
    struct nu_cidr_table *table;
    struct stat st;
    struct nu_prefix_fault fault;
};

struct nu_ip_list {
    unsigned refs;   /* configs of filters */
    unsigned rounds; /* tables on their way to the workers */
    enum load_state state;
    struct load *load; /* while not IDLE */
    struct nu_cidr_table *now;
    struct stat seen; /* of the file that `now` came from */
    struct nu_watch *watch;
    struct nu_stats *stats;
    char *path;
    struct nu_cidr_table *view[]; /* by shard; each is its shard's own */
};

static struct nu_strmap *lists; /* path -> struct nu_ip_list; main thread */

static const char *state_str(enum load_state state)
{
    static const char *const names[] = {"idle", "loading", "overtaken"};
    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "?";
}

static void set_state(struct nu_ip_list *list, enum load_state to)
{
    static const uint8_t edges[] = {
        [IDLE] = 1 << LOADING,
        [LOADING] = 1 << IDLE | 1 << OVERTAKEN,
        [OVERTAKEN] = 1 << IDLE,
    };
    nu_assert(edges[list->state] >> to & 1);
    nu_log(NU_LOG_DEBUG, "ip_list", "state path=%s from=%s to=%s", list->path,
           state_str(list->state), state_str(to));
    list->state = to;
}

static void count(struct nu_ip_list *list, enum figure figure)
{
    nu_stat_add(list->stats, nu_workers_count(), figure, 1);
}

/* --- to the workers --- */

/* A round: `table` takes the place of `before` everywhere. */
struct delivery {
    struct nu_ip_list *list;
    struct nu_cidr_table *table, *before;
};

/* Gone from the registry and unwatched already. */
static void free_if_unused(struct nu_ip_list *list)
{
    if (list->refs || list->rounds)
        return;
    nu_cidr_free(list->now);
    nu_stats_put(list->stats);
    free(list->path);
    free(list);
}

static void deliver(struct nu_worker *w, void *arg)
{
    const struct delivery *d = arg;
    d->list->view[w->loop.shard] = d->table;
}

static void delivered(void *ctx)
{
    struct delivery *d = ctx;
    struct nu_ip_list *list = d->list;
    nu_cidr_free(d->before);
    free(d);
    malloc_trim(0); /* two tables and the text took up to 150 bytes a network */
    list->rounds--;
    free_if_unused(list);
}

static void publish(struct nu_ip_list *list, struct nu_cidr_table *table)
{
    struct delivery *d = malloc(sizeof *d);
    nu_assert(d != NULL);
    *d = (struct delivery){list, table, list->now};
    list->now = table;
    list->rounds++;
    nu_stat_set(list->stats, nu_workers_count(), NETWORKS, (int64_t)nu_cidr_count(table));
    nu_workers_all(deliver, d, delivered, d);
}

/* --- a changed file --- */

static void tell_rejected(struct nu_ip_list *list, const struct nu_prefix_fault *fault)
{
    char path[NU_LOG_QUOTE_MAX], what[NU_LOG_QUOTE_MAX];
    count(list, UPDATE_REJECTED);
    nu_log_quote(path, sizeof path, list->path);
    nu_log_quote(what, sizeof what, fault->what);
    nu_log(NU_LOG_ERROR, "ip_list",
           "file is wrong, the list before serves on path=%s line=%u error=%s more=%u", path,
           fault->line, what, fault->others);
}

static void take(struct nu_ip_list *list, struct nu_cidr_table *table, const struct stat *st)
{
    char path[NU_LOG_QUOTE_MAX];
    nu_log_quote(path, sizeof path, list->path);
    nu_log(NU_LOG_INFO, "ip_list", "list replaced path=%s networks=%zu before=%zu", path,
           nu_cidr_count(table), nu_cidr_count(list->now));
    count(list, UPDATE_SUCCESS);
    list->seen = *st;
    publish(list, table);
}

static void start_load(struct nu_ip_list *list);

/* Waits for the thread and takes over what it made; begins anew if the file changed meanwhile. */
static void end_load(struct nu_ip_list *list)
{
    struct load *load = list->load;
    bool again = list->state == OVERTAKEN;
    pthread_join(load->thread, NULL);
    load->list = NULL;
    list->load = NULL;
    set_state(list, IDLE);
    if (!list->refs)
        nu_cidr_free(load->table);
    else if (load->table)
        take(list, load->table, &load->st);
    else
        tell_rejected(list, &load->fault);
    if (again && list->refs)
        start_load(list);
}

static void loaded(struct nu_worker *w, void *arg)
{
    struct load *load = arg;
    if (load->list)
        end_load(load->list);
    free(load);
}

static void *load_thread(void *arg)
{
    struct load *load = arg;
    nu_prefix_file_load(load->path, &load->table, &load->st, &load->fault);
    nu_worker_post(nu_worker_main(), loaded, load);
    return NULL;
}

/* Signals are main's, but for the one by which a sandbox speaks. */
static bool run_thread(struct load *load)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&load->thread, NULL, load_thread, load);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

static void start_load(struct nu_ip_list *list)
{
    struct load *load = calloc(1, sizeof *load);
    nu_assert(load != NULL);
    load->list = list;
    load->path = list->path;
    if (run_thread(load)) {
        list->load = load;
        set_state(list, LOADING);
        return;
    }
    nu_prefix_file_load(load->path, &load->table, &load->st, &load->fault);
    if (load->table)
        take(list, load->table, &load->st);
    else
        tell_rejected(list, &load->fault);
    free(load);
}

static void changed(void *ctx, const char *path)
{
    struct nu_ip_list *list = ctx;
    if (list->state == IDLE)
        start_load(list);
    else if (list->state == LOADING)
        set_state(list, OVERTAKEN);
}

/* --- getting and putting --- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           memcmp(&a->st_mtim, &b->st_mtim, sizeof a->st_mtim) == 0 &&
           memcmp(&a->st_ctim, &b->st_ctim, sizeof a->st_ctim) == 0;
}

/* At a reload: reads the file unless it is the one that serves. */
static bool renew(struct nu_ip_list *list, struct nu_prefix_fault *fault)
{
    struct nu_cidr_table *table;
    struct stat st;
    while (list->state != IDLE)
        end_load(list);
    if (stat(list->path, &st) == 0 && same_file(&st, &list->seen))
        return true;
    if (nu_prefix_file_load(list->path, &table, &st, fault) != NU_OK)
        return false;
    take(list, table, &st);
    return true;
}

static struct nu_stats *stats_of(const char *path)
{
    struct nu_arena *scratch = nu_arena_new(256);
    struct nu_stats *stats =
        nu_stats_get(&nu_ip_list_stats, nu_arena_printf(scratch, "ip_list.%s", path));
    nu_arena_free(scratch);
    return stats;
}

/* No worker knows it yet. */
static void begin_service(struct nu_ip_list *list)
{
    for (unsigned shard = 0; shard <= nu_workers_count(); shard++)
        list->view[shard] = list->now;
    list->stats = stats_of(list->path);
    nu_stat_set(list->stats, nu_workers_count(), NETWORKS, (int64_t)nu_cidr_count(list->now));
    lists = lists ? lists : nu_strmap_new(NULL, NU_STRMAP_EXACT);
    nu_strmap_put_str(lists, list->path, list);
}

static struct nu_ip_list *list_new(const char *path, struct nu_prefix_fault *fault)
{
    unsigned shards = nu_workers_count() + 1;
    struct nu_ip_list *list = calloc(1, sizeof *list + shards * sizeof *list->view);
    nu_assert(list != NULL);
    list->path = strdup(path);
    nu_assert(list->path != NULL);
    list->watch = nu_main_watch_add(path, changed, list); /* first, then no change is missed */
    if (nu_prefix_file_load(path, &list->now, &list->seen, fault) == NU_OK) {
        begin_service(list);
        return list;
    }
    nu_main_watch_del(list->watch);
    free(list->path);
    free(list);
    return NULL;
}

struct nu_ip_list *nu_ip_list_get(const char *path, struct nu_prefix_fault *fault)
{
    struct nu_ip_list *list = lists ? nu_strmap_get_str(lists, path) : NULL;
    if (list && !renew(list, fault))
        return NULL;
    list = list ? list : list_new(path, fault);
    if (list)
        list->refs++;
    return list;
}

void nu_ip_list_put(struct nu_ip_list *list)
{
    if (--list->refs)
        return;
    nu_main_watch_del(list->watch);
    nu_strmap_del(lists, list->path, strlen(list->path));
    if (nu_strmap_count(lists) == 0) {
        nu_strmap_free(lists);
        lists = NULL;
    }
    if (list->state != IDLE)
        end_load(list);
    free_if_unused(list);
}

const struct nu_cidr_table *nu_ip_list_table(const struct nu_ip_list *list, unsigned shard)
{
    return list->view[shard];
}

const char *nu_ip_list_name(const struct nu_ip_list *list)
{
    const char *slash = strrchr(list->path, '/');
    return slash ? slash + 1 : list->path;
}
