/* The config of a filter chain: from a list of filters in a config to places that a chain is built
 * of. Main thread. */
#ifndef NU_L4_CHAIN_CONF_H
#define NU_L4_CHAIN_CONF_H

#include "core/chain.h"
#include "core/conf/schema.h"

/* In one chain of a config: the chain itself may become three times as long where test filters are
 * put between (NU_CHAIN_MAX_FILTERS). */
#define NU_CHAIN_CONF_MAX_FILTERS 20

struct nu_generation;

/* What extensions of a schema put in a chain: one place for each value present, in the order of
 * registration. */
struct nu_ext_values {
    const struct nu_schema *schema;
    void *const *slots;
};
#define NU_EXT_PLACES_MAX 4 /* extensions that are filters: tls, and room */
unsigned nu_ext_places(const struct nu_ext_values *values, struct nu_arena *owner,
                       struct nu_place out[static NU_EXT_PLACES_MAX]);

/* Parses a `filters` list: items are "name" or {name: options}, options by the filter's schema into
 * the arena, which has to live as long as any chain of these places. Checks that neighbours fit;
 * `face` is what comes in. Reports every mistake; *out and *count are set on success only. `list`
 * NULL: none was written; `owner` is where that is reported. The places of `left` come first. */
enum nu_err nu_chain_conf_filters(struct nu_generation *gen, struct nu_conf *conf,
                                  struct nu_arena *arena, enum nu_face face,
                                  const struct nu_node *list, const struct nu_node *owner,
                                  const struct nu_ext_values *left, const struct nu_place **out,
                                  unsigned *count);

/* One item of such a list, for owners of lists with rules of their own; whether neighbours fit is
 * theirs to check. */
enum nu_err nu_chain_conf_filter(struct nu_generation *gen, struct nu_conf *conf,
                                 struct nu_arena *arena, const struct nu_node *item,
                                 struct nu_place *out);

#endif
