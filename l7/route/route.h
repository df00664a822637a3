/* Routes: which one takes a request, and what it does with it. First match wins, as in the config;
 * compiled so that the number of routes hardly matters (table.c).
 *
 * Built with the config on the main thread, immutable afterwards; lives in the arena of the chain's
 * config, which streams pin. */
#ifndef NU_L7_ROUTE_ROUTE_H
#define NU_L7_ROUTE_ROUTE_H

#include "core/chain.h"
#include "core/conf/schema.h"
#include "protocols/http/head.h"

#include <stdio.h>

struct nu_generation;
struct nu_cluster;
struct nu_stream;
struct nu_head_edits;

enum nu_route_kind { NU_ROUTE_CLUSTER, NU_ROUTE_REDIRECT, NU_ROUTE_RESPOND };
const char *nu_route_kind_str(enum nu_route_kind kind);

/* What is tried again; bits of nu_retry.when. "5xx" of Envoy has the first three as well. */
enum {
    NU_RETRY_CONNECT_FAILURE = 1, /* no connection: the request never left */
    NU_RETRY_REFUSED_STREAM = 2,  /* the server said it did not look at it */
    NU_RETRY_RESET = 4,           /* no response head came */
    NU_RETRY_5XX = 8,
    NU_RETRY_GATEWAY_ERROR = 16, /* 502, 503, 504 */
    NU_RETRY_RETRIABLE_4XX = 32, /* 409 */
    NU_RETRY_CANCELLED = 64, /* from here on: statuses of gRPC, in a response without messages */
    NU_RETRY_DEADLINE_EXCEEDED = 128,
    NU_RETRY_INTERNAL = 256,
    NU_RETRY_RESOURCE_EXHAUSTED = 512,
    NU_RETRY_UNAVAILABLE = 1024,
};

struct nu_retry {
    unsigned when;              /* NU_RETRY_*; 0 = only what is always safe (rule X1) */
    int64_t attempts;           /* further tries, at most */
    int64_t per_try_timeout_ms; /* 0 = none */
};

struct nu_route_share {
    const char *name;
    int64_t weight;
    struct nu_cluster *cluster;
};

struct nu_route {
    const char *name;            /* as written, or "routes[2]" */
    uint8_t kind;                /* enum nu_route_kind */
    bool connect;                /* takes CONNECT, which no other route does */
    bool websocket;              /* of the upgrades that may pass */
    const char *const *upgrades; /* others, NULL-terminated; lower case */

    const struct nu_route_share *shares; /* clusters */
    unsigned share_count;
    int64_t weight_sum;
    int64_t timeout_ms;          /* from the complete request to the complete response; 0 = none */
    int64_t max_grpc_timeout_ms; /* of what gRPC's clients ask for; 0 = anything, -1 = timeout_ms */
    int64_t idle_timeout_ms;     /* -1: as the http filter says */
    struct nu_retry retry;
    const struct nu_head_edits *request_headers, *response_headers; /* NULL = none */
    const struct nu_place
        *places; /* of the stream's chain: the http filter's, as overridden here */
    unsigned place_count;
    const struct nu_route_rewrite *rewrite;   /* opaque; NULL = none */
    const struct nu_route_redirect *redirect; /* opaque; kind REDIRECT */
    const struct nu_route_respond *respond;   /* kind RESPOND */
};

struct nu_route_respond {
    uint16_t status;
    struct nu_text body;         /* a file's contents as well */
    struct nu_text content_type; /* empty: there is no body */
};

struct nu_routes;

/* Reads the `routes` list (never NULL here) of an http filter. `filters` is its list of HTTP
 * filters or NULL; `left` and `right` stand around them in every stream's chain. Reports every
 * mistake to conf; *out is set on success, else NULL. Clusters are pinned until the arena goes. */
enum nu_err nu_routes_build(struct nu_generation *gen, struct nu_conf *conf, struct nu_arena *arena,
                            const struct nu_node *routes, const struct nu_node *filters,
                            const struct nu_place *left, const struct nu_place *right,
                            struct nu_routes **out);
/* The schema of one route, for docs and the normalized print. */
extern const struct nu_schema nu_route_schema;

/* The route that takes a request, or NULL. Reads method, authority, path and fields. No allocation;
 * time grows with the lengths of host and path, not with the number of routes. Any worker. */
const struct nu_route *nu_routes_find(const struct nu_routes *routes,
                                      const struct nu_http_head *request);
/* The cluster among several by weight; `random` is any number. Kind CLUSTER. */
struct nu_cluster *nu_route_cluster(const struct nu_route *route, uint64_t random);
/* Path and host as the server is to see them, in the head's arena; once per request. NU_ERR_LIMIT:
 * the rewritten path would be longer than a target may be, or a regular expression came to a limit.
 * NU_ERR_SYNTAX: it would have dot segments, which lead out of where the route points. On an error
 * nothing has changed. */
enum nu_err nu_route_rewrite(const struct nu_route *route, struct nu_http_head *request,
                             size_t target_max);
/* Status and Location of a redirect, in the request's arena. `https`: the scheme it came by. 400
 * and an empty location: the request cannot be turned into one (limits as above). */
unsigned nu_route_location(const struct nu_route *route, const struct nu_http_head *request,
                           bool https, struct nu_text *location);

/* For `nuncio explain`: for each route before the one that takes it (or all) the first condition
 * that failed, a line each; returns the one that takes it. Main thread. */
const struct nu_route *nu_routes_explain(const struct nu_routes *routes,
                                         const struct nu_http_head *request, FILE *out);
/* And what that route does with it, a line: "cluster a", "redirect 301 /new". The request is
 * rewritten by it. `https` as above. */
void nu_route_tell(const struct nu_route *route, struct nu_http_head *request, bool https,
                   FILE *out);

#endif
