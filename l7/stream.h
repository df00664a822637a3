/* A stream: one request and its response, as a chain of its own (R7).
 *
 *   connection : sock | [tls] | http
 *   stream     :                ~joint~  stream_in | the route's filters | router  ~joint~
 *   leg        :                                                         h1_client | [tls] | sock
 *
 * The connection's codec makes it once a head is whole, injects what it reads and takes what comes
 * back. struct nu_stream is what codec, filters, router and log share; it goes with the chain.
 * Lives on the connection's worker. */
#ifndef NU_L7_STREAM_H
#define NU_L7_STREAM_H

#include "core/chain.h"
#include "protocols/http/head.h"

struct nu_addr;
struct nu_http_conf;
struct nu_chain_conf;
struct nu_route;
struct nu_cluster;
struct nu_ws_record;

/* Response flags as Envoy writes them, in the order of its log: number, letters, meaning. */
#define NU_STREAM_FLAGS(X)                                                                         \
    X(NO_HEALTHY, "UH", "no healthy endpoint in the cluster")                                      \
    X(TIMEOUT, "UT", "the route's timeout")                                                        \
    X(SERVER_RESET, "UR", "the server reset the stream")                                           \
    X(CONNECT_FAILED, "UF", "no connection to an endpoint")                                        \
    X(SERVER_GONE, "UC", "the server closed in the midst of it")                                   \
    X(OVERFLOW, "UO", "a limit of the cluster was reached")                                        \
    X(NO_ROUTE, "NR", "no route matches")                                                          \
    X(DELAY_INJECTED, "DI", "the fault filter had it wait")                                        \
    X(FAULT_INJECTED, "FI", "the fault filter answered it")                                        \
    X(RATE_LIMITED, "RL", "a rate limit refused it")                                               \
    X(DENIED, "UAEX", "it was not authorized")                                                     \
    X(CLIENT_GONE, "DC", "the client ended it")                                                    \
    X(RETRIES, "URX", "the tries allowed were used up")                                            \
    X(IDLE, "SI", "no byte for stream_idle_timeout")                                               \
    X(CLIENT_ERROR, "DPE", "the client broke the protocol")                                        \
    X(DRAIN, "DT", "still open at drain_timeout")                                                  \
    X(SERVER_ERROR, "UPE", "the server broke the protocol")

#define NU_STREAM_FLAG(id, letters, doc) NU_FLAG_##id,
enum nu_stream_flag { NU_STREAM_FLAGS(NU_STREAM_FLAG) NU_FLAG_COUNT, NU_FLAG_NONE = NU_FLAG_COUNT };
#undef NU_STREAM_FLAG
const char *nu_stream_flag_str(enum nu_stream_flag flag);

#define NU_ROUTER_TIMER_LEAVE 7 /* a slot of the router's timers: rings to have `leave` called */

struct nu_stream {
    struct nu_chain *chain;
    struct nu_arena *arena;         /* of heads and texts; the stream itself is in it, too */
    struct nu_arena *of_connection; /* shared: its facts are the stream's, too; NULL = none there */
    const struct nu_http_conf *conf;
    const struct nu_route *route;  /* NULL: none matched */
    struct nu_http_head *request;  /* filters edit it until the router forwards it */
    struct nu_http_head *response; /* the final one, on its way to the client; NULL before */
    struct nu_http_head *trailers; /* of the response, for the log; NULL = none came */
    const char *details;           /* response code details: static, or the arena's; NULL = none */
    struct nu_cluster *cluster;    /* that the router chose */
    uint32_t flags;                /* 1 << enum nu_stream_flag */
    uint16_t status;               /* what a filter wants to be answered before the router runs;
                                      once there is a response, its status */
    uint8_t chains; /* that are left of it: two, where a filter refused it and another answers */
    bool grpc;      /* by its Content-Type: answers of our own are gRPC's */
    bool tunnel; /* CONNECT, or an upgrade that the route allows: the response may open a tunnel */
    bool local;  /* the response is our own */
    bool close;  /* the connection is to end with it */
    int64_t start_ms;      /* loop clock; of the times below 0 = not yet */
    int64_t request_ms;    /* the request was complete */
    int64_t first_byte_ms; /* the response's head came from the server */
    int64_t response_ms;   /* the response was complete */
    int64_t deadline_ms;   /* of the request, set by nu_stream_deadline; 0 = none */
    /* There is an earlier deadline: sets a timer, no more. Of the codec, or the left end. */
    void (*watch)(struct nu_filter *codec);
    struct nu_filter *router;
    void (*expired)(struct nu_filter *router); /* that has passed: called within the router */
    void (*answer)(struct nu_filter *router); /* to be answered with `status` now: within it, too */
    void (*leave)(struct nu_filter *router);  /* answered by another filter: within it, too */
    void (*count)(struct nu_filter *codec);   /* brings the bytes below up to date, where they pass
                                                 it by; NULL = they do not */
    struct nu_ws_record *websocket;           /* what the log says of one that is looked at */
    struct nu_chain_conf *pinned;             /* of the connection, or NULL */
    uint64_t request_bytes, response_bytes;   /* of bodies */
};

/* The stream that a filter belongs to. */
static inline struct nu_stream *nu_stream_of(const struct nu_filter *f)
{
    return nu_chain_owner_ctx(f->chain);
}
static inline void nu_stream_flag(struct nu_stream *s, enum nu_stream_flag flag)
{
    s->flags |= flag == NU_FLAG_NONE ? 0 : 1u << flag;
}

/* Zeroed memory of the client's connection, which its streams share under this key, a text that is
 * copied: from a filter's event, made at the first call. NULL: the connection is gone. There are as
 * many as configs name. */
void *nu_stream_note(const struct nu_stream *s, const char *key, size_t size);

/* The stream of `head`, in whose arena it is made and that it owns from now on: chooses the route,
 * builds the chain, joins it to `codec`. The caller injects the head and what follows. From a
 * callback of the codec.
 *
 * `left`: where a codec has many streams at once, the filter at their left end, which speaks for
 * it; NULL: a joint to the codec itself. */
struct nu_stream *nu_stream_new(struct nu_filter *codec, const struct nu_place *left,
                                const struct nu_http_conf *conf, struct nu_http_head *head,
                                struct nu_arena *arena);
/* The same for a request that could not be read: it is answered with `status` and logged. `head` is
 * what was read of it, or NULL. The caller injects stream->request. */
struct nu_stream *nu_stream_refused(struct nu_filter *codec, const struct nu_place *left,
                                    const struct nu_http_conf *conf, struct nu_http_head *head,
                                    struct nu_arena *arena, unsigned status, const char *details,
                                    enum nu_stream_flag flag);

/* What its left end is joined to, where that is a codec; NULL: nothing is, any more. */
struct nu_filter *nu_stream_codec(const struct nu_stream *s);
/* For tunnels at rest: a stream whose joints are free goes, at the turn's end, and is neither
 * counted nor logged. */
void nu_stream_put_away(struct nu_stream *s);
/* The inverse: a stream, of a head in whose arena it is made, that was counted when it began; not
 * joined, and without the route's filters. `client`: whom a header named, or NULL. */
struct nu_stream *nu_stream_again(struct nu_filter *codec, const struct nu_http_conf *conf,
                                  struct nu_http_head *head, const struct nu_addr *client,
                                  int64_t start_ms);

/* From the codec, in mid-stream: the request is answered with this, and its server is not waited
 * for any more. If a response has begun, that is cut. */
void nu_stream_answer(struct nu_stream *s, unsigned status, const char *details,
                      enum nu_stream_flag flag);
/* From the router: when its request is to be over. It is told by `expired`. */
void nu_stream_deadline(struct nu_stream *s, int64_t at_ms);
/* From the codec: this final head goes to the client now; adds what every response has. */
void nu_stream_respond(struct nu_stream *s, struct nu_http_head *head);

#endif
