/* The tries of a router to have one request answered by a server of a cluster: which endpoint,
 * what is kept to be sent again, and when that may be (rule X1). Inside of the router. */
#ifndef NU_L7_ATTEMPT_H
#define NU_L7_ATTEMPT_H

#include "core/chain.h"
#include "l4/pick.h"
#include "l7/stream.h"

#define NU_REPLAY_MAX  (64 * 1024) /* bytes of a body that are kept; past them there is no retry */
#define NU_REPLAY_EACH 64          /* that each piece of it counts more: memory is what is capped */

enum router_state {
    ROUTER_NEW,      /* the head has not come */
    ROUTER_WAITING,  /* for an endpoint or a connection */
    ROUTER_SENDING,  /* joined to a server that is ready */
    ROUTER_ANSWERED, /* and the final head went to the client */
    ROUTER_OVER,     /* nothing more goes to the client */
};

struct router {
    struct nu_filter filter;
    struct nu_joint joint;
    struct nu_stream *stream;
    struct nu_pick pick;
    struct nu_slice *kept; /* of the body, in order; malloc'd */
    unsigned kept_count, kept_cap;
    uint32_t kept_bytes;
    struct nu_head *trailers;
    int64_t try_ms; /* when this try began, on the loop's clock */
    uint8_t state;
    uint8_t tries;  /* begun */
    bool ended;     /* the request is whole */
    bool tunnel;    /* what flows is no message any more: each half ends by itself */
    bool heard_end; /* in it, the server has said all */
    bool lost;      /* the body was too much to keep */
    bool reused;    /* this try's connection had served before */
    bool fresh;     /* the next try's must not have */
    bool heard;     /* this try brought something back */
    bool hostless;  /* the client named no host */
    bool counted;   /* this try stands among the cluster's active requests */
};

/* router.c: for the next. */
void router_count_waiting(const struct router *r, enum router_state to);
/* The one place where the state changes; keeps count of who waits. */
static inline void router_set_state(struct router *r, enum router_state to)
{
    if (r->state == ROUTER_WAITING || to == ROUTER_WAITING)
        router_count_waiting(r, to);
    r->state = (uint8_t)to;
}
/* router.c: answers by itself; `body` and `details` live as long as the stream. */
void router_reply(struct router *r, unsigned status, const char *body, const char *details);

/* The head has come: chooses the cluster, begins the first try. */
void attempt_first(struct router *r);
/* What follows of the request. */
void attempt_data(struct router *r, struct nu_slice data);
void attempt_trailers(struct router *r, struct nu_head *trailers);
void attempt_end(struct router *r);
/* The route's timeout begins: the request is whole, or all of it that comes before an answer. */
void attempt_deadline(struct router *r);
/* A final head came back. False: it is not for the client, another try has begun. */
bool attempt_head(struct router *r, struct nu_http_head *head);
/* The try ended before its response did. True: that is the client's to know; else it has been
 * answered, or another try has begun. */
bool attempt_failed(struct router *r, struct nu_result result);
/* The response is whole. */
void attempt_over(struct router *r);
/* The request is given up: nothing comes back any more. */
void attempt_cancel(struct router *r, struct nu_result result);
void attempt_timed_out(struct router *r);
void attempt_free(struct router *r);

/* --- attempt_kept.c --- */

/* Of the body: keeps the share, or throws away what is kept; then there is no further try. */
void attempt_keep(struct router *r, struct nu_slice data);
void attempt_forget(struct router *r);

#endif
