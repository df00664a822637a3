/* Inside of l7/route only: a route as parsed, a request as routes look at it, and the steps from
 * the one to the other. */
#ifndef NU_L7_ROUTE_ROUTE_PRIV_H
#define NU_L7_ROUTE_ROUTE_PRIV_H

#include "l7/route/regex.h"
#include "l7/route/route.h"
#include "l7/route/value.h"

#define ROUTE_NONE UINT32_MAX /* no index of a route */

/* The conditions of a route; what is empty asks for nothing. At most one of the three paths. */
struct route_match {
    struct nu_vec hosts; /* const char *, lower case: checked patterns, addresses; "*" */
    const char *path, *path_prefix;
    const struct nu_regex *path_regex;
    struct nu_vec methods;        /* const char * */
    struct nu_vec headers, query; /* struct route_value */
};

struct nu_route_rewrite {
    const char *path, *path_prefix, *host;
    const struct nu_regex_edit *path_regex;
    size_t matched; /* bytes of match.path_prefix */
};

struct nu_route_redirect {
    struct nu_route_rewrite to;
    int scheme; /* enum route_scheme */
    int64_t port;
    int code; /* index of its status */
    bool strip_query;
};
enum route_scheme { ROUTE_SCHEME_SAME, ROUTE_SCHEME_HTTP, ROUTE_SCHEME_HTTPS };

/* As the schema stores it. */
struct route {
    struct nu_route route; /* first member: what the others see */
    uint32_t index;
    struct route_match match;

    /* --- while it is read --- */
    const char *cluster_name;
    struct nu_vec clusters; /* struct nu_route_share */
    struct nu_route_rewrite *rewrite;
    struct nu_route_redirect *redirect;
    struct route_respond *respond;
    struct route_retry *retry;
    struct nu_vec upgrades; /* const char * */
    const struct nu_node *filters;
};

struct route_respond {
    int64_t status;
    const char *body, *body_file, *content_type;
    struct nu_route_respond compiled;
};

struct route_retry {
    struct nu_vec when; /* int: index into route_retry_bits */
    int64_t attempts, per_try_timeout_ms;
};

/* After the schema: actions, clusters, retry, upgrades. Reports at parts of `node`. */
enum nu_err route_finish(struct nu_generation *gen, struct nu_conf *conf, struct nu_arena *arena,
                         const struct nu_node *node, struct route *r);
/* A path in the config: begins with "/", and what has no place in a target, or is one of `without`,
 * is reported. */
enum nu_err route_path_text(struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *node, const char *without, const char **out);
/* The schemas of parts. */
extern const struct nu_schema route_match_schema, route_rewrite_schema, route_redirect_schema,
    route_respond_schema;

/* A host as it may stand in a target, with or without a port. */
nu_parse_fn route_authority_text;

/* Writes the rewritten path, which begins with exactly one "/", and the query. NU_ERR_LIMIT: too
 * long, or a regular expression gave up. */
struct route_out;
struct route_view;
enum nu_err route_put_path(const struct nu_route_rewrite *rewrite, const struct route_view *view,
                           bool keep_query, struct route_out *out);
/* What has no place in a target, or is trouble in a Location, becomes %XX. */
void route_put_escaped(struct route_out *out, struct nu_text text);

/* Lists of HTTP filters: the one of the http filter, and as routes override it. */
struct route_filters {
    struct nu_generation *gen;
    struct nu_conf *conf;
    struct nu_arena *arena;
    const struct nu_node *list; /* NULL: none */
    struct nu_place left, right;
    const struct nu_place *base; /* without overrides, left and right with it */
    unsigned base_count;
    const struct nu_place *whole; /* the same, with the ends of what speaks WebSocket */
    unsigned whole_count;
    bool base_bad; /* the list has mistakes: routes are looked at for theirs only */
};
enum nu_err route_filters_base(struct route_filters *filters);
/* The places of a route; `overrides` may be NULL. Nodes that stand in no file come from `scratch`,
 * which outlives the building. */
enum nu_err route_filters_of(struct route_filters *filters, struct nu_arena *scratch,
                             const struct nu_node *overrides, struct route *r);

/* --- requests --- */

/* A host in the form that it is compared in. */
struct route_host {
    struct nu_text name; /* without port and one trailing dot; empty: none, or one no route can name
                          */
    uint8_t ip[16];      /* where ip_len: the name is an address of 4 or 16 bytes */
    uint8_t ip_len;
};
struct route_host route_host_of(struct nu_text authority);
/* Whether a pattern of a config takes the host. */
bool route_host_fits(const char *pattern, const struct route_host *host);

struct route_view {
    const struct nu_http_head *head;
    struct route_host host;
    struct nu_text path, query; /* the query without its question mark */
    struct nu_text method;
    bool connect; /* a tunnel to the host is asked for */
};
struct route_view route_view_of(const struct nu_http_head *request);
/* The same without the host: the table asks for that itself, if a route does. */
struct route_view route_view_bare(const struct nu_http_head *request);

/* The conditions in the order they are looked at. */
enum route_part {
    ROUTE_PART_CONNECT,
    ROUTE_PART_HOST,
    ROUTE_PART_PATH,
    ROUTE_PART_METHOD,
    ROUTE_PART_HEADER,
    ROUTE_PART_QUERY,
    ROUTE_PART_NONE /* all were right */
};
const char *route_part_str(enum route_part part);
/* The first condition that fails; *at is its place among several of its kind. */
enum route_part route_first_miss(const struct route *r, const struct route_view *view, size_t *at);
/* What host and path leave over: method, headers, query. */
bool route_rest_fits(const struct route *r, const struct route_view *view);
bool route_path_fits(const struct route_match *match, const struct route_view *view);
/* Nothing is asked for but host and path. */
static inline bool route_has_rest(const struct route *r)
{
    return r->match.methods.count || r->match.headers.count || r->match.query.count;
}

/* --- lookup --- */

struct route_table;
/* A table of those routes for which `connect` is as given; lives with the arena. */
struct route_table *route_table_new(struct nu_arena *arena, const struct route *routes,
                                    uint32_t count, bool connect);
/* The lowest index that takes the request, or ROUTE_NONE. */
uint32_t route_table_find(const struct route_table *table, const struct route_view *view);

struct nu_routes {
    const struct route *routes;
    uint32_t count;
    const struct route_table *plain, *connect;
};

/* Warns of routes that can take no request because one before them has all of it. */
void route_warn_hidden(struct nu_conf *conf, const struct nu_node *list,
                       const struct nu_routes *routes);

#endif
