/* For tests of HTTP filters: the proxy of proxy_kit.h, whose config may name them, with a pedant
 * between all filters; and short words for what each test asks. */
#ifndef NU_TESTS_FILTER_KIT_H
#define NU_TESTS_FILTER_KIT_H

#include "core/registry.h"
#include "l7/filters/filters.h"
#include "tests/unit/core/conf/conf_help.h"
#include "tests/unit/l7/proxy_kit.h"

#define OK "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"

static inline unsigned with_pedants(const struct nu_place *places, unsigned count,
                                    struct nu_place *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        out[n++] = places[i];
        if (i + 1 < count)
            out[n++] = (struct nu_place){&nu_pedant, NULL};
    }
    return n;
}

static inline void filter_registered(const struct nu_filter_type *type)
{
    if (!nu_registry_find(type->name))
        nu_registry_add(type);
}

static inline int filter_setup(void **state)
{
    nu_chain_set_expander(with_pedants);
    return kit_setup(state);
}

/* A test with a client before the config that its file calls CONF. */
#define FILTER_TEST(name)                                                                          \
    cmocka_unit_test_prestate_setup_teardown(name, filter_setup, kit_teardown, (char *)CONF)

/* "GET /" and so on, with header lines that end in CR LF, from a client that stays. */
static inline void asks(const char *line, const char *fields)
{
    char text[8192];
    int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a.test\r\n%s\r\n", line, fields);
    nu_assert(n > 0 && (size_t)n < sizeof text);
    client_says(text);
}

/* The request that the only server was given, which answers with OK; NULL: none was. */
static inline const char *served(void)
{
    const char *got = kit.legs ? kit_heard(&kit.leg[kit.legs - 1]) : "";
    if (!*got)
        return NULL;
    server_says(kit.legs - 1, OK);
    return got;
}

/* A counter of the set by that prefix, of the group. */
static inline int64_t figure_of(const struct nu_stat_group *group, const char *prefix,
                                unsigned index)
{
    struct nu_stats *stats = nu_stats_get(group, prefix);
    int64_t value = nu_stat_read(stats, index);
    nu_stats_put(stats);
    return value;
}

/* "t.yaml:1:2: ..." that reading this as `filters` reports; "" for nothing. */
static inline void assert_filters(const char *filters, const char *report)
{
    static const struct nu_place ends[] = {
        {&nu_stream_in, NULL},
        {&nu_router,    NULL}
    };
    char text[4096];
    snprintf(text, sizeof text, "filters: %s\nroutes: {respond: {status: 200}}\n", filters);
    struct nu_conf *conf = conf_of(text);
    struct nu_arena *arena = nu_arena_new(4096);
    struct nu_routes *routes;
    struct nu_generation gen = {.arena = arena, .clusters = kit.gen.clusters};
    nu_routes_build(&gen, conf, arena, nu_node_get(nu_conf_root(conf), "routes"),
                    nu_node_get(nu_conf_root(conf), "filters"), &ends[0], &ends[1], &routes);
    assert_report(conf, report);
    nu_arena_free(arena);
    nu_conf_free(conf);
}

#endif
