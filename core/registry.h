/* Filter types by name. Filled by the composition root before any config is read; read-only
 * afterwards. */
#ifndef NU_CORE_REGISTRY_H
#define NU_CORE_REGISTRY_H

#include "core/filter.h"

#define NU_REGISTRY_MAX 128 /* filter types in one program */

void nu_registry_add(const struct nu_filter_type *type);
/* For a file outside of the layers (`make FILTERS=`): its type is there before main runs. */
#define NU_REGISTER_FILTER(type)                                                                   \
    __attribute__((constructor)) static void register_##type(void)                                 \
    {                                                                                              \
        nu_registry_add(&type);                                                                    \
    }
/* Names that configs of other versions know: an error that says so instead of "unknown". */
void nu_registry_add_later(const char *name);
const struct nu_filter_type *nu_registry_find(const char *name);
bool nu_registry_is_later(const char *name);
/* In order of registration; NULL past the end. */
const struct nu_filter_type *nu_registry_at(unsigned i);
/* Names that a config may use, for did-you-mean; *count of them. */
const char *const *nu_registry_names(unsigned *count);

#endif
