/* From the `listeners` list of a config to listeners and their chains. Everything is validated and
 * nothing is opened. Main thread. */
#include "core/assert.h"
#include "core/generation.h"
#include "core/table/strmap.h"
#include "core/worker.h"
#include "l4/chain_conf.h"
#include "l4/listener_priv.h"
#include "l4/udp/sources.h"

#include <string.h>

#define CHAIN_ARENA_BYTES 512 /* a chain with a tcp_proxy and a match fits */

struct builder {
    struct nu_generation *gen;
    struct nu_conf *conf;
    struct nu_strmap *names; /* of listeners -> struct listener */
    struct nu_strmap *binds; /* addresses -> node */
};

/* One listener on its way. */
struct build {
    struct builder *all;
    struct listener *listener;
    struct listener_raw raw;
    struct nu_arena *scratch;
    struct nu_match_rule *rules;  /* of each chain */
    const struct nu_node **nodes; /* of each chain */
    struct nu_strmap *names;      /* of chains -> node */
    enum nu_err err;
};

/* --- what datagrams cannot have --- */

static enum nu_face face_of(const struct listener *l)
{
    return l->is_udp ? NU_FACE_DGRAM : NU_FACE_BYTES;
}

/* A key that makes no sense here; `default` is what says as much as its absence. */
struct misfit {
    const char *key, *by_default, *why;
};

static void refuse(struct build *b, const struct nu_node *map, const struct misfit *misfit)
{
    const struct nu_node *node = map->kind == NU_NODE_MAP ? nu_node_get(map, misfit->key) : NULL;
    const char *by_default = misfit->by_default;
    if (!node ||
        (by_default && node->kind == NU_NODE_SCALAR && strcmp(node->text, by_default) == 0))
        return;
    nu_conf_error_key(b->all->conf, node, "\"%s\" is %s", misfit->key, misfit->why);
    b->err = NU_ERR_CONFIG;
}

static void refuse_all(struct build *b, const struct nu_node *map, const struct misfit *list,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        refuse(b, map, &list[i]);
}

#define NO_TLS      "for streams: a udp listener carries datagrams as they are"
#define NO_SNIFFING "for streams: a udp listener does not look into datagrams"
#define NO_STREAMS  "for listeners of streams, this one is udp"

static const struct misfit of_udp_matches[] = {
    {"sni",       NULL,  NO_SNIFFING},
    {"alpn",      NULL,  NO_SNIFFING},
    {"transport", "any", NO_SNIFFING},
    {"ja3",       NULL,  NO_SNIFFING},
    {"ja4",       NULL,  NO_SNIFFING},
};
static const struct misfit of_udp_listeners[] = {
    {"tls",             NULL,   NO_TLS                                            },
    {"max_connections", "0",    "for streams: a udp listener has udp.max_sessions"},
    {"proxy_protocol",  "off",  NO_STREAMS                                        },
    {"sniff_timeout",   "15s",  NO_STREAMS                                        },
    {"backlog",         "4096", NO_STREAMS                                        },
    {"mode",            NULL,   NO_STREAMS                                        },
};
static const struct misfit of_streams = {"udp", NULL, "for listeners with udp:// addresses"};

static void check_udp_chain(struct build *b, const struct nu_node *node)
{
    const struct nu_node *match = node->kind == NU_NODE_MAP ? nu_node_get(node, "match") : NULL;
    if (!b->listener->is_udp)
        return;
    refuse_all(b, node, of_udp_listeners, 1); /* a chain has no more of those keys */
    if (match)
        refuse_all(b, match, of_udp_matches, sizeof of_udp_matches / sizeof *of_udp_matches);
}

/* All its addresses are of one kind, and its keys are for that. */
static void check_kind(struct build *b, const struct nu_node *node)
{
    const struct listener_bind *binds = b->raw.binds.items;
    b->listener->is_udp = b->raw.binds.count && binds[0].udp;
    for (size_t i = 1; i < b->raw.binds.count; i++) {
        if (binds[i].udp == binds[0].udp || !binds[i].text || !binds[0].text)
            continue;
        nu_conf_error(b->all->conf, binds[i].node,
                      "streams and datagrams need a listener each: their chains differ");
        b->err = NU_ERR_CONFIG;
    }
    if (b->listener->is_udp)
        refuse_all(b, node, of_udp_listeners, sizeof of_udp_listeners / sizeof *of_udp_listeners);
    else
        refuse(b, node, &of_streams);
}

static void take_udp(struct build *b)
{
    struct listener *l = b->listener;
    if (!l->is_udp)
        return;
    if (b->raw.udp)
        l->udp = *b->raw.udp;
    else
        nu_schema_parse(&nu_listener_udp_schema, b->all->conf, l->arena, NULL, &l->udp);
    if (l->udp.max_per_source && !l->tally->sources)
        l->tally->sources = nu_udp_sources_new();
}

/* --- chains --- */

static void name_chain(struct build *b, struct nu_chain_conf *chain, const struct chain_raw *raw,
                       const struct nu_node *node)
{
    const char *match = nu_match_text(&raw->match, b->scratch);
    chain->name = raw->name ? raw->name
                  : *match ? nu_arena_printf(chain->arena, "%s/%s", b->listener->tally->name, match)
                           : chain->listener;
    const struct nu_node *other = nu_strmap_put_str(b->names, chain->name, (void *)node);
    if (!other || (!raw->name && !nu_node_get(other, "name")))
        return; /* two default names are equal because the matches are: that is said elsewhere */
    nu_conf_error(b->all->conf, raw->name ? nu_node_get(node, "name") : node,
                  "the chain in line %u has the name \"%s\" already", other->line, chain->name);
    b->err = NU_ERR_CONFIG;
}

/* What connections look for when a newer config is there. */
static void learn_shape(struct build *b, struct nu_chain_conf *chain, const struct nu_node *node,
                        const struct nu_node *filters)
{
    struct listener *l = b->listener;
    chain->shape = nu_chain_conf_shape(chain, node, filters, b->scratch);
    if (!chain->shape)
        return;
    if (!l->renewing)
        l->renewing = nu_strmap_new(l->arena, NU_STRMAP_EXACT);
    nu_strmap_put_str(l->renewing, chain->name, chain);
}

/* The parsed chain becomes number chain_count, also when it is wrong: errors of others are to be
 * found as well. */
static void add_chain(struct build *b, struct nu_chain_conf *chain, const struct chain_raw *raw,
                      const struct nu_schema *schema, const struct nu_node *node)
{
    struct nu_ext_values left = {schema, raw->ext};
    struct listener *l = b->listener;
    b->rules[l->chain_count] = raw->match;
    b->nodes[l->chain_count] = node;
    l->chains[l->chain_count++] = chain;
    chain->ext = raw->ext;
    chain->log =
        raw->access_log.items ? nu_access_log_new(&raw->access_log) : nu_access_log_ref(l->log);
    chain->wanted = nu_access_log_wants(chain->log);
    l->pre.wanted |= (uint8_t)(chain->wanted | nu_match_wants(&raw->match));
    name_chain(b, chain, raw, node);
    if (nu_chain_conf_filters(b->all->gen, b->all->conf, chain->arena, face_of(b->listener),
                              raw->filters, node, &left, &chain->places,
                              &chain->place_count) != NU_OK)
        b->err = NU_ERR_CONFIG;
    else
        learn_shape(b, chain, node, raw->filters);
}

static void build_chain(struct build *b, const struct nu_node *node)
{
    struct nu_arena *arena = nu_arena_new(CHAIN_ARENA_BYTES);
    struct nu_chain_conf *chain = nu_chain_conf_new(arena, b->listener->tally);
    struct chain_raw raw = {0};
    check_udp_chain(b, node);
    if (nu_schema_parse(&nu_chain_schema, b->all->conf, arena, node, &raw) == NU_OK) {
        add_chain(b, chain, &raw, &nu_chain_schema, node);
        return;
    }
    b->err = NU_ERR_CONFIG;
    if (raw.filters && !raw.filters->broken)
        nu_chain_conf_filters(b->all->gen, b->all->conf, arena, face_of(b->listener), raw.filters,
                              node, &(struct nu_ext_values){&nu_chain_schema, NULL}, &chain->places,
                              &chain->place_count);
    nu_chain_conf_free(chain);
}

/* The listener's own filters are its only chain. */
static void build_only(struct build *b, const struct nu_node *node)
{
    struct nu_arena *arena = nu_arena_new(CHAIN_ARENA_BYTES);
    struct chain_raw raw = {.filters = b->raw.filters, .ext = b->raw.ext};
    add_chain(b, nu_chain_conf_new(arena, b->listener->tally), &raw, &nu_listener_schema, node);
}

static void build_chains(struct build *b, const struct nu_node *node)
{
    const struct nu_node *const *nodes = b->raw.chains.items;
    size_t count = b->raw.chains.count ? b->raw.chains.count : 1;
    b->listener->chains = nu_arena_alloc(b->listener->arena, count * sizeof(void *));
    b->rules = nu_arena_alloc(b->scratch, count * sizeof *b->rules);
    b->nodes = nu_arena_alloc(b->scratch, count * sizeof *b->nodes);
    for (size_t i = 0; i < b->raw.chains.count; i++)
        build_chain(b, nodes[i]);
    if (!b->raw.chains.items && (b->raw.filters || b->err == NU_OK))
        build_only(b, node);
}

/* --- match --- */

static const struct nu_node *match_node(const struct nu_node *chain)
{
    const struct nu_node *match = chain->kind == NU_NODE_MAP ? nu_node_get(chain, "match") : NULL;
    return match ? match : chain;
}

static void report_clash(struct build *b, enum nu_err err, const struct nu_match_clash *clash)
{
    const struct nu_node *second = match_node(b->nodes[clash->second]);
    const struct nu_chain_conf *first = b->listener->chains[clash->first];
    unsigned line = b->nodes[clash->first]->line;
    b->err = NU_ERR_CONFIG;
    if (err == NU_ERR_LIMIT)
        nu_conf_error(b->all->conf, second,
                      "its values make more than %d combinations; use several chains",
                      NU_MATCH_MAX_COMBINATIONS);
    else if (*clash->what)
        nu_conf_error(b->all->conf, second,
                      "takes the same connections as chain \"%s\" in line %u: %s", first->name,
                      line, clash->what);
    else
        nu_conf_error(b->all->conf, second,
                      "takes every connection, as chain \"%s\" in line %u does", first->name, line);
}

static void build_match(struct build *b)
{
    struct listener *l = b->listener;
    struct nu_match_clash clash;
    if (b->err != NU_OK)
        return;
    enum nu_err err = nu_match_build(&l->match, l->arena, b->rules, (void *const *)l->chains,
                                     l->chain_count, &clash);
    if (err != NU_OK)
        report_clash(b, err, &clash);
    else if (l->chain_count == 1 && nu_match_is_any(&b->rules[0]))
        l->only = l->chains[0];
}

/* --- names and addresses --- */

/* A free name for a listener that has none: several may listen on port 0. */
static const char *default_name(const struct build *b)
{
    const struct listener_bind *first = b->raw.binds.items;
    if (b->raw.binds.count == 0 || !first->text)
        return "?"; /* an error was reported */
    const char *name = first->text;
    for (unsigned n = 2; first->addr.port == 0 && nu_strmap_get_str(b->all->names, name); n++)
        name = nu_arena_printf(b->scratch, "%s#%u", first->text, n);
    return name;
}

static void name_listener(struct build *b, const struct nu_node *node)
{
    const char *name = b->raw.name ? b->raw.name : default_name(b);
    b->listener->tally = nu_tally_get(name);
    const struct listener *other = nu_strmap_put_str(b->all->names, name, b->listener);
    if (!other || b->err != NU_OK)
        return;
    const struct nu_node *at = nu_node_get(node, b->raw.name ? "name" : "bind");
    nu_conf_error(b->all->conf, at, "the listener in line %u has the name \"%s\" already",
                  other->node->line, name);
    b->err = NU_ERR_CONFIG;
}

static void check_options(struct build *b, const struct listener_bind *bind)
{
    int type = bind->udp ? SOCK_DGRAM : SOCK_STREAM;
    if (nu_listen_options_check(b->all->conf, b->listener->node, &b->raw.options, &bind->addr,
                                type) != NU_OK)
        b->err = NU_ERR_CONFIG;
}

static void take_binds(struct build *b)
{
    struct listener *l = b->listener;
    l->binds = b->raw.binds.items;
    l->bind_count = b->raw.binds.count;
    for (size_t i = 0; i < l->bind_count; i++) {
        struct listener_bind *bind = &l->binds[i];
        bool free_port = bind->addr.kind != NU_ADDR_UNIX && bind->addr.port == 0;
        if (bind->text)
            check_options(b, bind);
        if (!bind->text || free_port)
            continue;
        const struct nu_node *other =
            nu_strmap_put_str(b->all->binds, bind->text, (void *)bind->node);
        if (!other)
            continue;
        nu_conf_error(b->all->conf, bind->node, "%s is bound in line %u already", bind->text,
                      other->line);
        b->err = NU_ERR_CONFIG;
    }
}

/* --- a listener --- */

static void take_settings(struct build *b)
{
    struct listener *l = b->listener;
    const struct listener_raw *raw = &b->raw;
    l->max_connections = raw->max_connections;
    l->backlog = (int)raw->backlog;
    l->mode = (int)raw->mode;
    l->options = raw->options;
    l->pre = (struct nu_pre_conf){
        .timeout_ms = raw->sniff_timeout_ms,
        .proxy = (enum nu_proxy_mode)raw->proxy,
        .stats = l->tally->stats,
        .next = nu_listener_next,
    };
    if (b->err == NU_OK)
        l->log = nu_access_log_new(&raw->access_log);
    l->pre.wanted = nu_access_log_wants(l->log);
}

static struct listener *build_listener(struct builder *all, const struct nu_node *node,
                                       enum nu_err *err)
{
    struct build b = {.all = all, .listener = nu_listener_new(nu_workers_count() + 1)};
    b.scratch = nu_arena_new(4096);
    b.names = nu_strmap_new(b.scratch, NU_STRMAP_EXACT);
    b.listener->node = node;
    b.listener->number = all->gen->number;
    b.err = nu_schema_parse(&nu_listener_schema, all->conf, b.listener->arena, node, &b.raw);
    check_kind(&b, node);
    name_listener(&b, node);
    take_binds(&b);
    take_settings(&b);
    take_udp(&b);
    build_chains(&b, node);
    build_match(&b);
    nu_arena_free(b.scratch);
    if (b.err != NU_OK)
        *err = b.err;
    return b.listener;
}

/* --- all --- */

static enum nu_err build_all(struct builder *all, struct nu_arena *arena,
                             const struct nu_node *list, struct nu_listeners *out)
{
    enum nu_err err = NU_OK;
    if (!list || nu_node_is_null(list) || list->broken)
        return list && list->broken ? NU_ERR_CONFIG : NU_OK;
    bool is_list = list->kind == NU_NODE_LIST;
    size_t count = is_list ? list->count : 1;
    out->item = nu_arena_alloc(arena, count * sizeof *out->item);
    for (size_t i = 0; i < count; i++)
        out->item[out->count++] = build_listener(all, is_list ? list->child[i] : list, &err);
    return err;
}

enum nu_err nu_listeners_build(struct nu_generation *gen, struct nu_conf *conf,
                               struct nu_arena *arena, const struct nu_node *list,
                               struct nu_listeners **out)
{
    struct builder all = {
        .gen = gen,
        .conf = conf,
        .names = nu_strmap_new(NULL, NU_STRMAP_EXACT),
        .binds = nu_strmap_new(NULL, NU_STRMAP_EXACT),
    };
    *out = nu_arena_alloc(arena, sizeof **out);
    (*out)->number = gen->number;
    (*out)->drain_ms = gen->drain_timeout_ms;
    enum nu_err err = build_all(&all, arena, list, *out);
    nu_strmap_free(all.names);
    nu_strmap_free(all.binds);
    return err;
}

void nu_listeners_discard(struct nu_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        nu_listener_free(listeners->item[i]);
    nu_listeners_free(listeners);
}

size_t nu_listeners_count(const struct nu_listeners *listeners)
{
    return listeners->count;
}

bool nu_listeners_need_net_admin(const struct nu_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        if (nu_sockopt_needs_net_admin(&listeners->item[i]->options.opt))
            return true;
    return false;
}
