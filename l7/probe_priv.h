/* Inside of l7/probe*.c only: what a check by HTTP asks, and which answers are good. */
#ifndef NU_L7_PROBE_PRIV_H
#define NU_L7_PROBE_PRIV_H

#include "core/conf/schema.h"
#include "core/filter.h"
#include "protocols/http/names.h"

struct probe_range {
    unsigned first, last; /* statuses */
};

struct probe_header {
    const char *name, *value;
};

struct probe_conf {
    const char *path, *host; /* host NULL: the endpoint's */
    int method_choice;       /* of the key's choices */
    enum nu_method method;
    const char *method_name;
    struct nu_vec expected; /* struct probe_range */
    struct nu_vec headers;  /* struct probe_header */
};

extern const struct nu_filter_type probe_filter;

#endif
