/* For the tests of l4/cluster*.c: generations of clusters from config texts, on workers without
 * threads; and picking from them. */
#ifndef TESTS_CLUSTER_HELP_H
#define TESTS_CLUSTER_HELP_H

#include "core/worker.h"
#include "l4/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

/* What a generation has of clusters. */
struct made {
    struct nu_arena *arena;
    struct nu_clusters *clusters;
};

/* Builds; the report goes to *report (NULL: there must be none), for the caller to free. */
static inline struct made build_from(const char *text, size_t len, struct nu_clusters *old,
                                     char **report)
{
    struct made m = {.arena = nu_arena_new(1024)};
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/etc", text, len);
    const struct nu_node *root = nu_conf_root(conf);
    enum nu_err err =
        root ? nu_clusters_build(conf, m.arena, nu_node_get(root, "clusters"), old, &m.clusters)
             : NU_ERR_CONFIG;
    if (report)
        *report = strdup(nu_conf_report(conf));
    else if (nu_conf_failed(conf))
        fail_msg("%s", nu_conf_report(conf));
    assert_int_equal(err != NU_OK, nu_conf_failed(conf));
    assert_int_equal(err != NU_OK, m.clusters == NULL);
    nu_conf_free(conf);
    return m;
}

/* The config is refused, in these words among others. */
static inline void assert_clusters_say(const char *text, const char *words)
{
    char *report;
    struct made m = build_from(text, strlen(text), NULL, &report);
    if (!strstr(report, words))
        fail_msg("%s\nsays\n%snot\n%s", text, report, words);
    free(report);
    nu_arena_free(m.arena);
}

static inline struct made commit_from(const char *text, struct made *old)
{
    struct made m = build_from(text, strlen(text), old ? old->clusters : NULL, NULL);
    nu_clusters_commit(m.clusters, old ? old->clusters : NULL);
    return m;
}

/* One turn of main's loop, without waiting. */
static inline void turn(void)
{
    event_base_loop(nu_worker_main()->base, EVLOOP_NONBLOCK);
}

/* Every shard lets go of what `next` lacks; the objects go in main's next turn. */
static inline void retire(struct made *gone, struct made *next)
{
    for (unsigned i = 0; i <= nu_workers_count(); i++)
        nu_clusters_retire_on(gone->clusters, next ? next->clusters : NULL, i);
    turn();
    nu_arena_free(gone->arena);
    *gone = (struct made){0};
}

/* Addresses of `n` picks without their common beginning "10.0.0.", "1:80 2:80". */
static inline const char *picks(struct nu_cluster *c, unsigned shard, unsigned n)
{
    static char text[4096];
    size_t len = 0;
    *text = 0;
    for (unsigned i = 0; i < n; i++) {
        char buf[NU_ADDR_TEXT_MAX];
        struct nu_endpoint *e = nu_cluster_pick(c, shard, NULL, 0);
        const char *addr = e ? nu_addr_str(&e->addr, buf) : "none";
        addr += strncmp(addr, "10.0.0.", 7) == 0 ? 7 : 0;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", addr);
        nu_endpoint_unref(e);
    }
    return text;
}

static inline int64_t stat_of(struct nu_cluster *c, enum nu_cluster_stat stat)
{
    return nu_stat_read(c->stats, stat);
}

static inline int two_workers(void **state)
{
    nu_workers_init(2);
    return 0;
}

static inline int no_workers(void **state)
{
    nu_workers_free();
    return 0;
}

#endif
