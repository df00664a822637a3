/* The byte filters of l4 that are small: one file each in this folder, and their figures. */
#ifndef NU_L4_FILTERS_FILTERS_H
#define NU_L4_FILTERS_FILTERS_H

#include "core/filter.h"

extern const struct nu_filter_type nu_filter_echo;
extern const struct nu_filter_type nu_filter_ip_filter;
extern const struct nu_filter_type nu_filter_throttle;
extern const struct nu_filter_type nu_filter_connection_limit;
extern const struct nu_filter_type nu_filter_source_limit;

/* Has their figures stand on the generated page. Before any config is read. */
void nu_l4_filters_register(void);

#endif
