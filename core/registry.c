/* A flat table: there are tens of filters, and they are looked up at config load only. */
#include "core/registry.h"

#include "core/assert.h"

#include <string.h>

static const struct nu_filter_type *types[NU_REGISTRY_MAX];
static const char *names[NU_REGISTRY_MAX], *later[NU_REGISTRY_MAX];
static unsigned type_count, name_count, later_count;

void nu_registry_add(const struct nu_filter_type *type)
{
    nu_assert(type_count < NU_REGISTRY_MAX && !nu_registry_find(type->name));
    types[type_count++] = type;
    if (!(type->flags & NU_F_INTERNAL))
        names[name_count++] = type->name;
}

void nu_registry_add_later(const char *name)
{
    nu_assert(later_count < NU_REGISTRY_MAX);
    later[later_count++] = name;
}

const struct nu_filter_type *nu_registry_find(const char *name)
{
    for (unsigned i = 0; i < type_count; i++)
        if (strcmp(types[i]->name, name) == 0)
            return types[i];
    return NULL;
}

bool nu_registry_is_later(const char *name)
{
    for (unsigned i = 0; i < later_count; i++)
        if (strcmp(later[i], name) == 0)
            return true;
    return false;
}

const struct nu_filter_type *nu_registry_at(unsigned i)
{
    return i < type_count ? types[i] : NULL;
}

const char *const *nu_registry_names(unsigned *count)
{
    *count = name_count;
    return names;
}
