/* How a router gets to a server: the same for each version of HTTP that a cluster may speak, and
 * the keys of clusters that say which (`protocol`, `http2`). h1_client.c and h2_client.c do it. */
#ifndef NU_L7_CLIENT_H
#define NU_L7_CLIENT_H

#include "core/conf/schema.h"
#include "core/filter.h"
#include "l4/cluster.h"
#include "protocols/http2/h2.h"

/* The key `protocol` of clusters. */
enum nu_client_protocol {
    NU_CLIENT_HTTP1,
    NU_CLIENT_HTTP2, /* agreed on by ALPN under TLS, known before in clear text */
    NU_CLIENT_AUTO,  /* as ALPN says; HTTP/1 in clear text */
};
const char *nu_client_protocol_str(enum nu_client_protocol protocol);

/* The key `http2` of clusters. */
struct nu_client_http2 {
    int64_t streams, stream_window, window_max, conn_window;
    int64_t ping_interval_ms, ping_timeout_ms;
    struct nu_h2_conf h2; /* made of it */
};
extern struct nu_ext nu_protocol_of_cluster, nu_http2_of_cluster;
static inline enum nu_client_protocol nu_client_protocol_of(const struct nu_cluster *cluster)
{
    const int *protocol = nu_ext_get(cluster->ext, &nu_protocol_of_cluster);
    return protocol ? (enum nu_client_protocol) * protocol : NU_CLIENT_HTTP1;
}
/* What a cluster has, by default or written. */
const struct nu_client_http2 *nu_client_http2_of(const struct nu_cluster *cluster);

enum nu_client_answer {
    NU_CLIENT_READY,  /* joined: inject the request */
    NU_CLIENT_WAIT,   /* joined: `ready` or `again` is called within the router, or END comes */
    NU_CLIENT_FULL,   /* the cluster is at its max_connections; nothing was done */
    NU_CLIENT_BARRED, /* the server takes no upgrades over HTTP/2; nothing was done */
};
const char *nu_client_answer_str(enum nu_client_answer answer);

struct nu_client_want {
    struct nu_cluster *cluster;
    struct nu_endpoint *endpoint;
    bool fresh;   /* no connection that has served: one has just failed */
    bool careful; /* the request must not be sent twice: a kept one is looked at first */
    bool upgrade; /* it asks for another protocol: over HTTP/2 if the server offers to take that */
    void (*ready)(struct nu_filter *router);
    void (*again)(struct nu_filter *router); /* it is not for this request: part, and join anew */
};

/* Joins the router to a connection that is there or to one on its way. `reused`: it has served
 * before. From a callback of the router, which is not joined. What the router injects is HEAD DATA*
 * TRAIL? END; what comes back is INTERIM* HEAD DATA* TRAIL? END, each exactly once for one joining.
 */
enum nu_client_answer nu_client_join(struct nu_filter *router, const struct nu_client_want *want,
                                     bool *reused);

#endif
