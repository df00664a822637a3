/* Inside of the HTTP/2 side towards servers: h2_client.c has the connection, h2_request.c the right
 * end of each request's chain. */
#ifndef NU_L7_H2_CLIENT_PRIV_H
#define NU_L7_H2_CLIENT_PRIV_H

#include "core/chain.h"
#include "l4/upstream.h"
#include "l7/h2_client.h"
#include "l7/pool.h"
#include "l7/stream.h"

enum h2_client_state {
    H2_CONNECTING, /* requests wait */
    H2_OPEN,
    H2_LEAVING, /* no more requests; those in progress are served */
    H2_GONE,    /* nothing more is said, and what the server says is thrown away until it ends */
};

struct h2_client {
    struct nu_filter filter;
    struct nu_upstream up;
    struct nu_pooled pooled;
    const struct nu_client_http2 *conf; /* the cluster's, which is pinned */
    struct nu_h2 *h2;                   /* NULL while connecting */
    struct nu_list requests;            /* struct h2_request */
    struct nu_task flush;
    int64_t since_ms; /* that there is no request, or that it is gone */
    int64_t heard_ms; /* bytes came last */
    int64_t ping_ms;  /* a sign of life was asked for then; 0 = it was not, or it came */
    int64_t timer_ms; /* when the timer rings; 0 = not set */
    uint32_t waiting; /* requests, while connecting */
    uint32_t served;  /* requests that were begun */
    uint8_t state;
    bool may_differ;       /* another version may be agreed on */
    struct nu_result fate; /* what requests are told, if other than its own */
};

/* The right end of a request's chain. */
struct h2_request {
    struct nu_filter filter;
    struct nu_list link;
    struct h2_client *mux;   /* NULL: the connection is over, or the request is */
    struct nu_h2_stream *st; /* NULL: not begun, or over */
    void (*ready)(struct nu_filter *router);
    void (*again)(struct nu_filter *router);
    struct nu_ev *next; /* on its way into the chain */
    uint32_t waiting;   /* bytes of the body that wait somewhere in the chain */
    uint8_t over;       /* SAID, HEARD */
    bool upgrade;       /* waits until the server has said whether it takes that */
    bool tunnel;        /* which is open: each half ends by itself */
};

#define H2_GOODBYE_MS 1000 /* for the last frames to be taken, and then for the server's end */

enum { H2_TIMER_CONNECT, H2_TIMER };

static inline int64_t h2_client_now(const struct h2_client *m)
{
    return nu_filter_loop(&m->filter)->now_ms;
}

/* --- h2_client_time.c --- */

/* Lets the timer ring when it has waited long enough. */
void h2_client_watch(struct h2_client *m);

/* --- h2_client.c --- */

void h2_client_count(const struct h2_client *m, enum nu_cluster_stat stat);
void h2_client_leave_pool(struct h2_client *m);
/* No more requests. Once there are none, it ends with the next flush. */
void h2_client_leave(struct h2_client *m);

/* What was said is to be written before the turn ends. */
void h2_client_wake(struct h2_client *m);
/* One request more that is begun, or one less. */
void h2_client_more(struct h2_client *m);
void h2_client_less(struct h2_client *m);

/* --- h2_request.c --- */

/* Joins the router to a request of this connection. */
void h2_request_new(struct h2_client *m, struct nu_filter *router,
                    const struct nu_client_want *want);
/* Whether the server takes it: an upgrade only over HTTP/1, maybe (NU_NOT_THIS), or it has not said
 * yet (NU_MORE). */
enum nu_err h2_request_may(const struct h2_client *m, bool upgrade);
/* The connection stands, or SETTINGS came: the routers of those that waited for it are told. */
void h2_requests_ready(void *m);
/* The router, or NULL. */
struct nu_filter *h2_request_router(const struct h2_request *q);
/* The server speaks another version, or takes it in another only. */
void h2_request_again(struct h2_request *q);
/* The connection is over: a response that is whole stays so. */
void h2_request_fail(struct h2_request *q, struct nu_result result, const char *why);
/* The codec's events; m is the handler's ctx. */
void h2_request_on_interim(void *m, struct nu_h2_stream *st, struct nu_http_head *head);
void h2_request_on_head(void *m, struct nu_h2_stream *st);
void h2_request_on_data(void *m, struct nu_h2_stream *st, struct nu_slice data);
void h2_request_on_trail(void *m, struct nu_h2_stream *st, struct nu_http_head *head);
void h2_request_on_end(void *m, struct nu_h2_stream *st);
void h2_request_on_bad(void *m, struct nu_h2_stream *st);
void h2_request_on_room(void *m, struct nu_h2_stream *st);
void h2_request_on_sent(void *m, struct nu_h2_stream *st);
void h2_request_on_cut(void *m, struct nu_h2_stream *st);

#endif
