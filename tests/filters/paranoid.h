/* Test filters between all filters of every chain (make check-paranoid). Linked and called only in
 * builds with NU_PARANOID. */
#ifndef NU_TESTS_PARANOID_H
#define NU_TESTS_PARANOID_H

#include "core/build.h"

/* Before any thread starts. */
void nu_paranoid_install(void);

/* Puts pedant and shred between all neighbours that speak bytes; see nu_expand_fn. */
unsigned nu_paranoid_expand(const struct nu_place *places, unsigned count, struct nu_place *out);

#endif
