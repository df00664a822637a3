/* Inside of l7/probe*.c only: what a check by HTTP asks, and which answers are good. */
#ifndef NU_L7_PROBE_PRIV_H
#define NU_L7_PROBE_PRIV_H

#include "core/conf/schema.h"
#include "core/filter.h"
#include "protocols/http/head.h"

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

#define PROBE_USER_AGENT "nuncio-health-check"
/* Whom a check asks for: `host`, or else the endpoint as a browser would name it. */
struct nu_text probe_host(const struct nu_filter *f, const char *host, struct nu_arena *arena);
/* The verdict over a status that is not expected. */
void probe_refuse_status(struct nu_filter *f, unsigned status);
/* The key `host`, for the schemas of both types. */
nu_parse_fn probe_parse_host;

#endif
