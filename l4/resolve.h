/* Host names to addresses, through c-ares on a loop: /etc/hosts first, then DNS, IPv4 and IPv6.
 *
 * One question, one answer; asking again at its time, keeping the last good one and telling
 * workers is cluster_names.c's. Main thread. */
#ifndef NU_L4_RESOLVE_H
#define NU_L4_RESOLVE_H

#include "core/addr.h"

#include <stddef.h>

struct nu_loop;
struct nu_resolver;
struct nu_query;

#define NU_RESOLVE_MAX_INFLIGHT                                                                    \
    64 /* questions asked at once; more wait: a burst of 20,000 datagrams would be lost in part */
#define NU_RESOLVE_MAX_INFLIGHT_CLIENTS                                                            \
    1024 /* the same for names of clients: slow ones must not hold up the others; answers to as    \
            many fit a socket's buffer */
#define NU_RESOLVE_MAX_ADDRS                                                                       \
    512 /* addresses taken of one answer: a server may send 4,000, and each becomes an endpoint */
#define NU_RESOLVE_TIMEOUT_MS 2000 /* for the first try; doubles with each round of all servers */
#define NU_RESOLVE_TRIES                                                                           \
    2 /* rounds: with one server 6 s, then cluster_names.c waits and asks anew */

struct nu_resolver_conf {
    const char *servers;     /* "127.0.0.1:5353,...": instead of resolv.conf's; NULL = those */
    const char *resolv_conf; /* read again when it is another file; NULL = /etc/resolv.conf */
    int timeout_ms;          /* 0 = the default above */
    int tries;               /* 0 = the default above */
    unsigned max_inflight;   /* 0 = the default above */
    bool absolute;           /* names are whole: resolv.conf's search list is not tried */
};

/* Borrowed during the callback. */
struct nu_answer {
    enum nu_err err;   /* NU_OK; NU_ERR_MISSING: no such name, or no addresses; NU_ERR_SYSTEM */
    const char *error; /* in words; "" with NU_OK */
    bool empty;        /* NU_ERR_MISSING: the name exists, but has no address */
    bool local;        /* nobody was asked: /etc/hosts, localhost; has no TTL */
    uint32_t ttl_s;    /* the smallest of all records that led here */
    size_t count;
    const struct nu_addr *addrs; /* with the port of the question, sorted, none twice */
};

typedef void nu_answer_fn(void *ctx, const struct nu_answer *answer);

/* The caller frees it. Strings of conf are borrowed until then. */
struct nu_resolver *nu_resolver_new(struct nu_loop *loop, const struct nu_resolver_conf *conf);
/* Every query must be answered or cancelled. Not from a callback. NULL is fine. */
void nu_resolver_free(struct nu_resolver *resolver);

/* Asks for the addresses of `host`, a name and no literal. The answer comes in a later turn of the
 * loop, never during this call, once; then the query is gone. The callback may ask and cancel. */
struct nu_query *nu_resolve(struct nu_resolver *resolver, const char *host, uint16_t port,
                            nu_answer_fn *fn, void *ctx);
/* No callback after this. NULL is fine. */
void nu_query_cancel(struct nu_query *query);

/* The process's resolvers, on main's loop: one for names that an administrator wrote, which may be
 * completed by the search list, and one for names of clients, which are absolute. Each exists while
 * it has users. */
enum nu_resolver_kind { NU_RESOLVER_LOCAL, NU_RESOLVER_ABSOLUTE, NU_RESOLVER_KINDS };
const char *nu_resolver_kind_str(enum nu_resolver_kind kind);
struct nu_resolver *nu_resolver_ref(enum nu_resolver_kind kind, size_t users);
void nu_resolver_unref(enum nu_resolver_kind kind, size_t users);

#endif
