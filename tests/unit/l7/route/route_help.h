/* For the tests of l7/route: routes from a config text, and requests from a line. */
#ifndef TESTS_ROUTE_HELP_H
#define TESTS_ROUTE_HELP_H

#include "core/generation.h"
#include "core/registry.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l7/route/route_priv.h"
#include "tests/unit/core/conf/conf_help.h"

static inline void pass_event(struct nu_filter *f, enum nu_dir dir, struct nu_ev *ev)
{
    nu_forward(f, dir, ev);
}

/* Filters with nothing in them: the ends of a stream's chain, and some to stand between. */
#define ROUTE_TYPE(name_, left, right)                                                             \
    .name = name_, .doc = "Of a test.", .size = sizeof(struct nu_filter),                          \
    .face = NU_FACES(left, right)
static const struct nu_filter_type stream_left = {
    ROUTE_TYPE("stream_in", NU_FACE_NONE, NU_FACE_HTTP),
    .flags = NU_F_INTERNAL,
};
static const struct nu_filter_type stream_right = {
    ROUTE_TYPE("router", NU_FACE_HTTP, NU_FACE_NONE),
    .flags = NU_F_INTERNAL,
    .sees = {NU_SEES(NU_END), 0},
    .event = pass_event,
};

struct made_routes {
    struct nu_conf *conf;
    struct nu_arena *arena, *cluster_arena; /* clusters outlive who pins them */
    struct nu_generation gen;
    struct nu_routes *routes; /* NULL: the config is wrong */
};

/* `text` has keys clusters, filters and routes; with clusters a, b and c where it has none. */
static inline struct made_routes made_from(const char *text)
{
    static const char clusters[] = "clusters: [{name: a, endpoints: [127.0.0.1:1]}, {name: b, "
                                   "endpoints: [127.0.0.1:2]}, {name: c, endpoints: "
                                   "[127.0.0.1:3]}]\n";
    static const struct nu_place left = {&stream_left, NULL}, right = {&stream_right, NULL};
    struct made_routes m = {.conf = conf_of(text), .arena = nu_arena_new(4096)};
    m.cluster_arena = nu_arena_new(1024);
    const struct nu_node *root = nu_conf_root(m.conf);
    struct nu_conf *more = conf_of(clusters);
    const struct nu_node *list = root ? nu_node_get(root, "clusters") : NULL;
    m.gen.arena = m.arena;
    if (!list)
        list = nu_node_get(nu_conf_root(more), "clusters");
    assert_int_equal(nu_clusters_build(more, m.cluster_arena, list, NULL, &m.gen.clusters), NU_OK);
    if (root) {
        enum nu_err err = nu_routes_build(&m.gen, m.conf, m.arena, nu_node_get(root, "routes"),
                                          nu_node_get(root, "filters"), &left, &right, &m.routes);
        assert_int_equal(err != NU_OK, nu_conf_failed(m.conf));
        assert_int_equal(err != NU_OK, m.routes == NULL);
    }
    nu_conf_free(more);
    return m;
}

/* The same where the routes must be right. */
static inline struct made_routes good_routes(const char *text)
{
    struct made_routes m = made_from(text);
    if (nu_conf_failed(m.conf))
        fail_msg("%s", nu_conf_report(m.conf));
    return m;
}

static inline void routes_free(struct made_routes *m)
{
    nu_arena_free(m->arena);
    nu_clusters_discard(m->gen.clusters, NULL);
    nu_arena_free(m->cluster_arena);
    nu_conf_free(m->conf);
}

/* "GET https://host:1/path?query" and "name: value" lines behind it, each ended by a line feed. No
 * host at all: "GET /path". CONNECT takes an authority. */
static inline struct nu_http_head *request_of(struct nu_arena *arena, const char *line)
{
    struct nu_http_head *head = nu_http_head_new(arena);
    const char *copy = nu_arena_strdup(arena, line), *at = strchr(copy, ' ') + 1;
    size_t len = strcspn(at, "\n");
    const char *scheme = memmem(at, len, "://", 3);
    head->version = NU_HTTP_1_1;
    head->method = nu_text(copy, (size_t)(at - copy) - 1);
    head->method_id = (uint8_t)nu_method_find(copy, head->method.len);
    if (scheme) {
        len -= (size_t)(scheme + 3 - at);
        at = scheme + 3;
    }
    size_t host = head->method_id == NU_METHOD_CONNECT ? len : *at == '*' ? 0 : strcspn(at, "/\n");
    head->authority = nu_text(at, host);
    head->path = nu_text(at + host, len - host);
    for (const char *next = at + len; *next == '\n' && next[1];
         next += 1 + strcspn(next + 1, "\n")) {
        size_t name = strcspn(next + 1, ":"), all = strcspn(next + 1, "\n");
        size_t skip = name + 2 <= all ? name + 2 : all;
        assert_int_equal(
            nu_http_add(head, nu_text(next + 1, name), nu_text(next + 1 + skip, all - skip)),
            NU_OK);
    }
    return head;
}

/* The place of the route that takes the request, -1: none. What the tables say must be what trying
 * every route does. */
static inline int find_in(const struct made_routes *m, const struct nu_http_head *head)
{
    struct route_view view = route_view_of(head);
    const struct nu_route *found = nu_routes_find(m->routes, head);
    size_t at;
    int expected = -1;
    for (uint32_t i = 0; i < m->routes->count && expected < 0; i++)
        if (route_first_miss(&m->routes->routes[i], &view, &at) == ROUTE_PART_NONE)
            expected = (int)i;
    int got = found ? (int)((const struct route *)found)->index : -1;
    assert_int_equal(got, expected);
    return got;
}

static inline int find_line(const struct made_routes *m, const char *line)
{
    struct nu_arena *arena = nu_arena_new(1024);
    int found = find_in(m, request_of(arena, line));
    nu_arena_free(arena);
    return found;
}

static inline int one_worker(void **state)
{
    nu_workers_init(1);
    return 0;
}

static inline int no_worker(void **state)
{
    nu_workers_free();
    return 0;
}

#endif
