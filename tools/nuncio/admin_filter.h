/* The end of the admin's streams: an HTTP filter in the place of a router. Main thread. */
#ifndef NU_TOOLS_NUNCIO_ADMIN_FILTER_H
#define NU_TOOLS_NUNCIO_ADMIN_FILTER_H

#include "core/filter.h"

/* Its conf is the struct nu_server. */
extern const struct nu_filter_type nu_admin_filter;

#endif
