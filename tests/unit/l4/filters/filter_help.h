/* For the tests of small filters: a config from its YAML, and a chain of a source, the filter and a
 * sink on a loop with a clock of its own. */
#ifndef TESTS_FILTER_HELP_H
#define TESTS_FILTER_HELP_H

#include "core/conf/schema.h"
#include "core/stats.h"
#include "l4/filters/filters.h"
#include "tests/filters/endpoint.h"
#include "tests/filters/filters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* Options of a filter; freed with `configured_free`. */
struct configured {
    const struct nu_filter_type *type;
    struct nu_arena *arena;
    void *conf;
    char report[1024]; /* "" without a mistake */
};

static inline struct configured configure(const struct nu_filter_type *type, const char *yaml)
{
    struct configured c = {.type = type, .arena = nu_arena_new(512)};
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/", yaml, strlen(yaml));
    const struct nu_node *node = nu_conf_root(conf);
    c.conf = nu_arena_alloc(c.arena, type->schema->size);
    enum nu_err err =
        node ? nu_schema_parse(type->schema, conf, c.arena, node, c.conf) : NU_ERR_CONFIG;
    if (!err && type->prepare)
        err = type->prepare(NULL, conf, c.arena, node, c.conf);
    strncpy(c.report, nu_conf_report(conf), sizeof c.report - 1);
    assert_int_equal(err != NU_OK, *c.report != 0);
    nu_conf_free(conf);
    return c;
}

static inline struct configured configured(const struct nu_filter_type *type, const char *yaml)
{
    struct configured c = configure(type, yaml);
    assert_string_equal(c.report, "");
    return c;
}

static inline void configured_free(struct configured *c)
{
    nu_arena_free(c->arena);
}

/* The options are refused with these words among others. */
static inline void assert_refused(const struct nu_filter_type *type, const char *yaml,
                                  const char *words)
{
    struct configured c = configure(type, yaml);
    if (!strstr(c.report, words))
        fail_msg("%s says\n%snot %s", yaml, c.report, words);
    configured_free(&c);
}

/* A chain and what became of it. */
struct rig {
    struct nu_test_end client, server;
    struct nu_chain *chain; /* NULL once closed */
    struct nu_result result;
    char details[128];
};

static inline void rig_closed(struct nu_chain *chain, void *ctx)
{
    struct rig *r = ctx;
    r->result = nu_chain_result(chain);
    strncpy(r->details, nu_chain_details(chain), sizeof r->details - 1);
    r->chain = NULL;
}

/* source | filter | sink, or source | filter where that ends the chain. Facts may be NULL. */
static inline void rig_open(struct rig *r, struct nu_loop *loop, const struct configured *c,
                            const struct nu_facts *facts)
{
    static const struct nu_chain_owner owner = {.closed = rig_closed};
    bool ends = c->type->face[1] == NU_FACE_NONE;
    *r = (struct rig){.client = nu_endpoint_idle(), .server = nu_endpoint_idle()};
    const struct nu_place places[] = {
        {&nu_source, &r->client},
        {c->type,    c->conf   },
        {&nu_sink,   &r->server}
    };
    r->chain = nu_chain_new(loop, places, ends ? 2 : 3, facts, &owner, r);
    nu_loop_advance(loop, 0);
}

static inline void rig_close(struct rig *r, struct nu_loop *loop)
{
    if (r->chain)
        nu_chain_abort(r->chain, NU_CAUSE_DRAIN);
    nu_loop_settle(loop);
    assert_null(r->chain);
}

#endif
