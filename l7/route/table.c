/* The lookup of routes: hosts in a hash table of names and one of addresses, below each host the
 * paths, below each path a set of routes (set.h). A request asks the exact host, then the wildcards
 * around it, then the routes that name no host; of each the exact path, the prefixes of its path,
 * the routes that ask for no path, and last the regular expressions. Whatever is found bounds what
 * is still worth trying: the lowest index wins.
 *
 * Linear are only the regular expressions of one host, and routes on one host and path that nothing
 * literal tells apart. */
#include "core/assert.h"
#include "core/table/domain.h"
#include "core/table/strmap.h"
#include "l7/route/set.h"
#include "l7/route/trie.h"

#include <arpa/inet.h>
#include <string.h>

/* The routes of one host pattern, by path. */
struct paths {
    uint32_t first;            /* the lowest index in it */
    struct nu_strmap *exact;   /* path -> struct route_set; NULL: none */
    struct route_trie *prefix; /* the same by prefix */
    struct route_set *any;     /* routes that ask for no path */
    struct route_set *regex;
};

struct route_table {
    const struct route *routes;
    struct nu_domain_table *names; /* -> struct paths */
    struct nu_strmap *ips;         /* 4 or 16 bytes -> struct paths */
    struct paths *any;
    bool hosts; /* a route names one */
};

/* --- building --- */

/* A set that wants sealing. */
struct unsealed {
    struct unsealed *next;
    struct route_set *set;
    bool regexes;
};

struct build {
    struct nu_arena *arena, *scratch;
    struct route_table *table;
    struct unsealed *unsealed;
};

static struct route_set *new_set(struct build *b, bool regexes)
{
    struct unsealed *u = nu_arena_alloc(b->scratch, sizeof *u);
    *u = (struct unsealed){b->unsealed, route_set_new(b->arena), regexes};
    b->unsealed = u;
    return u->set;
}

static struct route_set *exact_set(struct build *b, struct paths *paths, const char *path)
{
    if (!paths->exact)
        paths->exact = nu_strmap_new(b->arena, NU_STRMAP_EXACT);
    struct route_set *set = nu_strmap_get_str(paths->exact, path);
    if (set)
        return set;
    set = new_set(b, false);
    nu_strmap_put_str(paths->exact, path, set);
    return set;
}

static struct route_set *prefix_set(struct build *b, struct paths *paths, const char *prefix)
{
    if (!paths->prefix)
        paths->prefix = route_trie_new(b->arena);
    void **slot = route_trie_slot(paths->prefix, nu_text(prefix, strlen(prefix)));
    if (!*slot)
        *slot = new_set(b, false);
    return *slot;
}

static struct route_set *set_of(struct build *b, struct paths *paths, const struct route_match *m)
{
    if (m->path)
        return exact_set(b, paths, m->path);
    if (m->path_prefix)
        return prefix_set(b, paths, m->path_prefix);
    struct route_set **place = m->path_regex ? &paths->regex : &paths->any;
    if (!*place)
        *place = new_set(b, m->path_regex != NULL);
    return *place;
}

static struct paths *new_paths(struct build *b)
{
    struct paths *paths = nu_arena_alloc(b->arena, sizeof *paths);
    paths->first = ROUTE_NONE;
    return paths;
}

static struct paths *paths_of_ip(struct build *b, const struct route_host *host)
{
    const char *key = (const char *)host->ip;
    struct paths *paths = nu_strmap_get(b->table->ips, key, host->ip_len);
    if (paths)
        return paths;
    paths = new_paths(b);
    nu_strmap_put(b->table->ips, key, host->ip_len, paths);
    return paths;
}

static struct paths *paths_of(struct build *b, const char *pattern)
{
    const char *reason;
    struct route_host host = route_host_of(nu_text(pattern, strlen(pattern)));
    if (strcmp(pattern, "*") == 0)
        return b->table->any;
    b->table->hosts = true;
    if (host.ip_len)
        return paths_of_ip(b, &host);
    void **slot = nu_domain_slot(b->table->names, pattern, strlen(pattern), &reason);
    nu_assert(slot != NULL); /* the pattern was checked */
    if (!*slot)
        *slot = new_paths(b);
    return *slot;
}

static void add_route(struct build *b, const struct route *r)
{
    static const char *const everywhere[] = {"*"};
    bool none = r->match.hosts.count == 0;
    const char *const *hosts = none ? everywhere : r->match.hosts.items;
    for (size_t i = 0; i < (none ? 1 : r->match.hosts.count); i++) {
        struct paths *paths = paths_of(b, hosts[i]);
        if (paths->first == ROUTE_NONE)
            paths->first = r->index;
        route_set_add(set_of(b, paths, &r->match), r);
    }
}

struct route_table *route_table_new(struct nu_arena *arena, const struct route *routes,
                                    uint32_t count, bool connect)
{
    struct route_table *table = nu_arena_alloc(arena, sizeof *table);
    struct build b = {.arena = arena, .scratch = nu_arena_new(1024), .table = table};
    table->routes = routes;
    table->names = nu_domain_new(arena);
    table->ips = nu_strmap_new(arena, NU_STRMAP_EXACT);
    table->any = new_paths(&b);
    for (uint32_t i = 0; i < count; i++)
        if (routes[i].route.connect == connect)
            add_route(&b, &routes[i]);
    for (const struct unsealed *u = b.unsealed; u; u = u->next)
        route_set_seal(u->set, routes, u->regexes);
    nu_arena_free(b.scratch);
    return table;
}

/* --- finding --- */

static uint32_t find_path(const struct paths *paths, const struct route_view *view, uint32_t best)
{
    const struct route_set *set;
    if (paths->first >= best)
        return best;
    if (paths->exact) {
        set = nu_strmap_get(paths->exact, view->path.at, view->path.len);
        best = route_set_find(set, view, best);
    }
    if (paths->prefix) {
        struct route_trie_walk walk = route_trie_start(paths->prefix, view->path);
        while ((set = route_trie_next(&walk)))
            best = route_set_find(set, view, best);
    }
    best = route_set_find(paths->any, view, best);
    return route_set_find(paths->regex, view, best);
}

static uint32_t find_name(const struct route_table *table, const struct route_view *view,
                          struct nu_text name)
{
    struct nu_domain_iter it;
    uint32_t best = ROUTE_NONE;
    for (struct paths *paths = nu_domain_find(table->names, name.at, name.len, &it); paths;
         paths = nu_domain_next(&it))
        best = find_path(paths, view, best);
    return best;
}

static uint32_t find_host(const struct route_table *table, const struct route_view *view)
{
    struct route_host host = route_host_of(view->head->authority);
    if (!host.ip_len)
        return host.name.len ? find_name(table, view, host.name) : ROUTE_NONE;
    const struct paths *paths = nu_strmap_get(table->ips, (const char *)host.ip, host.ip_len);
    return paths ? find_path(paths, view, ROUTE_NONE) : ROUTE_NONE;
}

uint32_t route_table_find(const struct route_table *table, const struct route_view *view)
{
    uint32_t best = table->hosts ? find_host(table, view) : ROUTE_NONE;
    return find_path(table->any, view, best);
}
