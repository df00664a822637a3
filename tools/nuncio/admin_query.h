/* The query of a request to the admin: names and values, decoded. Main thread. */
#ifndef NU_TOOLS_NUNCIO_ADMIN_QUERY_H
#define NU_TOOLS_NUNCIO_ADMIN_QUERY_H

#include "core/arena.h"
#include "protocols/http/head.h"

#define NU_QUERY_PARAMS_MAX 16 /* no page has a fourth of it */

struct nu_query {
    struct {
        const char *name, *value; /* NUL-terminated; a name without "=" has the value "" */
    } params[NU_QUERY_PARAMS_MAX];
    unsigned count;
};

/* Splits a target into its path, undecoded, and its query; texts come from the arena. Plus is a
 * blank (WHATWG URL 5.1). NU_ERR_SYNTAX: a broken %, or a control byte; NU_ERR_LIMIT: too many;
 * NU_ERR_EXISTS: the same name twice. On an error the path is still set. */
enum nu_err nu_query_parse(struct nu_text target, struct nu_arena *arena, struct nu_text *path,
                           struct nu_query *out);
/* The value, or NULL. */
const char *nu_query_get(const struct nu_query *query, const char *name);
/* Whether a switch is on: "?usedonly", also =1, =on, =true; =0, =off and =false are off. */
bool nu_query_flag(const struct nu_query *query, const char *name);

#endif
