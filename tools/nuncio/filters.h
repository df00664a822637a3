/* Walking the registered filters for terminals and pages. Main thread. */
#ifndef NU_TOOLS_NUNCIO_FILTERS_H
#define NU_TOOLS_NUNCIO_FILTERS_H

#include "core/registry.h"

#include <stdio.h>

/* Those that a config may name, by name; returns how many. */
unsigned nu_filters_sorted(const struct nu_filter_type *out[NU_REGISTRY_MAX]);
/* What it speaks: "bytes", "bytes; ends a chain". */
void nu_filter_faces(const struct nu_filter_type *type, FILE *out);

#endif
