/* A cache of host names that clients ask for, shared by all workers: answers, and who waits for
 * one.
 *
 * A worker that finds a fresh answer takes it at once; else it gets a ticket, main asks the name
 * servers, once for all who wait, and the answer comes by post. The table is behind a lock. Names
 * and answers are bounded; those that lead nowhere make room first. */
#ifndef NU_L4_DNS_CACHE_H
#define NU_L4_DNS_CACHE_H

#include "core/addr.h"
#include "core/stats.h"

#include <stdatomic.h>

struct nu_loop;
struct nu_dns_cache;
struct nu_dns_ticket;

#define NU_DNS_ADDRS_MAX                                                                           \
    32 /* addresses kept of a name: no client tries more, and 1,024 names are 800 KiB with them */
#define NU_DNS_TTL_MIN_MS 1000   /* a TTL of 0 means each connection; we mean each second */
#define NU_DNS_TTL_MAX_MS 300000 /* a longer one would hide a moved server for too long */
#define NU_DNS_NONE_MS    5000   /* how long a name that does not exist is not asked for again */
#define NU_DNS_FAILED_MS  1000   /* the same where the name servers failed */
#define NU_DNS_STALE_MS                                                                            \
    3600000 /* while the name servers fail an old answer serves for so long (RFC 8767) */
/* Immutable, counted. */
struct nu_dns_answer {
    atomic_uint refs;
    const char *error; /* static text; NULL = there are addresses */
    size_t count;
    struct nu_addr addrs[]; /* without a port; sorted: IPv4 first */
};
void nu_dns_answer_unref(struct nu_dns_answer *answer);

enum nu_dns_stat {
    NU_DNS_QUERY_ATTEMPT,
    NU_DNS_QUERY_SUCCESS,
    NU_DNS_QUERY_FAILURE,
    NU_DNS_HOST_ADDED,
    NU_DNS_HOST_REMOVED,
    NU_DNS_HOST_ADDRESS_CHANGED,
    NU_DNS_HOST_OVERFLOW,
    NU_DNS_RQ_PENDING_OVERFLOW,
    NU_DNS_NUM_HOSTS,
    NU_DNS_STAT_COUNT
};
extern const struct nu_stat_group nu_dns_cache_stats;

struct nu_dns_cache_conf {
    const char *name; /* of its figures: "dns_cache.<name>"; borrowed during the call */
    size_t max_hosts;
    size_t max_pending;  /* tickets at once, 100 bytes each */
    int64_t host_ttl_ms; /* unused for so long: the name is forgotten */
};

/* Main thread. It begins to work with nu_dns_cache_start; unused ones need none. */
struct nu_dns_cache *nu_dns_cache_new(const struct nu_dns_cache_conf *conf);
void nu_dns_cache_start(struct nu_dns_cache *cache);
/* Main thread, with no ticket out: the caller's reference goes; posts that are on their way still
 * find the cache. */
void nu_dns_cache_free(struct nu_dns_cache *cache);

enum nu_dns_asked {
    NU_DNS_HIT,  /* *answer, the caller's to unref */
    NU_DNS_WAIT, /* *ticket: fn is called on this loop, in a later turn, once */
    NU_DNS_FULL, /* no room for the name, or for one more who waits */
};
const char *nu_dns_asked_str(enum nu_dns_asked asked);

/* Called with a reference to the answer, which is the callee's; the ticket is gone. */
typedef void nu_dns_fn(void *ctx, struct nu_dns_answer *answer);

/* Asks for an absolute name in lower case. On a worker (or main), any number at a time. */
enum nu_dns_asked nu_dns_ask(struct nu_dns_cache *cache, struct nu_loop *loop, const char *host,
                             nu_dns_fn *fn, void *ctx, struct nu_dns_answer **answer,
                             struct nu_dns_ticket **ticket);
/* On the loop that asked: no callback after this. NULL is fine. */
void nu_dns_cancel(struct nu_dns_ticket *ticket);

#endif
