/* A door for test builds: filters put between all others of every chain (make check-paranoid). */
#ifndef NU_CORE_BUILD_H
#define NU_CORE_BUILD_H

#include "core/chain.h"

/* Writes the places with more between them to `out` (NU_CHAIN_MAX_FILTERS) and returns their
 * number. The first and the last place stay where they are. */
typedef unsigned nu_expand_fn(const struct nu_place *places, unsigned count, struct nu_place *out);

/* Before any thread starts; NULL = none. */
void nu_chain_set_expander(nu_expand_fn *fn);

#endif
