/* Listeners: sockets that accept, and the choice of a chain for each connection.
 *
 * Built on the main thread with a generation; each worker has its own SO_REUSEPORT socket of every
 * bind address and its own accept loop. Sockets whose bind address stays are carried over a reload;
 * removed ones drain. */
#ifndef NU_L4_LISTENER_H
#define NU_L4_LISTENER_H

#include "core/chain.h"
#include "core/conf/schema.h"
#include "core/counted.h"
#include "core/stats.h"

struct nu_access_log;
struct nu_generation;
struct nu_tally;
struct nu_worker;

enum nu_listener_stat {
    NU_LISTENER_CX_TOTAL,
    NU_LISTENER_CX_ACTIVE,
    NU_LISTENER_CX_DESTROY,
    NU_LISTENER_CX_LENGTH_MS,     /* histogram */
    NU_LISTENER_CX_OVERFLOW,      /* max_connections */
    NU_LISTENER_CX_ACCEPT_PAUSED, /* no descriptors */
    NU_LISTENER_CX_ACCEPT_FAILED, /* each try of a pause, too */
    NU_LISTENER_NO_FILTER_CHAIN_MATCH,
    NU_LISTENER_PRE_CX_ACTIVE, /* sockets still before their chain: sniffing, PROXY header */
    NU_LISTENER_PRE_CX_TIMEOUT,
    NU_LISTENER_SNIFF_TLS_FOUND,
    NU_LISTENER_SNIFF_TLS_NOT_FOUND,
    NU_LISTENER_SNIFF_SNI_FOUND,
    NU_LISTENER_SNIFF_SNI_NOT_FOUND,
    NU_LISTENER_SNIFF_ALPN_FOUND,
    NU_LISTENER_SNIFF_ALPN_NOT_FOUND,
    NU_LISTENER_SNIFF_CLIENT_HELLO_TOO_LARGE,
    NU_LISTENER_SNIFF_CLIENT_HELLO_BAD,
    NU_LISTENER_SNIFF_CLOSED,
    NU_LISTENER_PROXY_FOUND,
    NU_LISTENER_PROXY_NOT_FOUND,
    NU_LISTENER_PROXY_BAD,
    NU_LISTENER_STAT_COUNT
};

/* The config of one filter chain, pinned by every connection that runs on it. */
struct nu_chain_conf {
    struct nu_counted counted; /* first member */
    struct nu_arena *arena;
    const char *name;
    const char *listener;          /* its listener's name */
    const struct nu_place *places; /* without the socket */
    unsigned place_count;
    struct nu_access_log *log; /* NULL = none */
    uint8_t wanted;            /* NU_WANT_*: by the log */
    uint64_t shape;            /* hash of all but the last filter, where that renews; else 0 */
    void **ext;
    struct nu_tally *tally; /* its listener's figures */
};

/* The config of the chain that a client's connection is on, for those who outlive it and pin that
 * themselves; NULL: it is no connection of a listener. On its worker. */
struct nu_chain_conf *nu_listener_chain_conf(const struct nu_chain *connection);

/* Between two messages, in a filter with NU_F_RENEWS: a newer config may have the connection's
 * chain by the same name. Then the connection is on that from now on, and `conf` becomes what it
 * has for f. False: it has none, or all before f is built otherwise; the connection is to end when
 * it can. What the other filters were made of stays pinned. Costs little when nothing has changed.
 */
bool nu_listener_renew(struct nu_filter *f, const void **conf);
/* Whether that would change anything: a load and a comparison, for each request. */
bool nu_listener_is_newest(const struct nu_filter *f);

/* "listener.<name>": enum nu_listener_stat. */
extern const struct nu_stat_group nu_listener_stats;

/* The schemas, for docs and extensions. */
extern const struct nu_schema nu_listener_schema;
extern const struct nu_schema nu_chain_schema;

struct nu_listeners; /* all listeners of a generation */

/* Builds from the `listeners` list: chains, matches, faces, files. Reports mistakes to conf; opens
 * no socket. */
enum nu_err nu_listeners_build(struct nu_generation *gen, struct nu_conf *conf,
                               struct nu_arena *arena, const struct nu_node *list,
                               struct nu_listeners **out);
/* Opens the sockets that `old` does not have. On failure reports (nu_conf_error at the bind's
 * place) and leaves all as it was. */
enum nu_err nu_listeners_bind(struct nu_listeners *listeners, struct nu_listeners *old,
                              struct nu_conf *conf);
/* On a worker: takes the new ones into service, re-aims the kept ones, stops accepting on the
 * removed ones after emptying their queues. Removed listeners' connections drain. Both may be NULL.
 */
void nu_listeners_switch_on(struct nu_worker *worker, struct nu_listeners *next,
                            struct nu_listeners *old);
/* On each shard, after the switch: retires what `gone` had. */
void nu_listeners_retire_on(struct nu_listeners *gone, unsigned shard);
/* Main, after all shards: frees the table itself (chains go when unpinned). */
void nu_listeners_free(struct nu_listeners *listeners);
void nu_listeners_discard(struct nu_listeners *listeners);

/* Every bound address of those that were bound: fn(name, address). */
void nu_listeners_each(struct nu_listeners *listeners,
                       void (*fn)(const char *name, const struct nu_addr *bound, bool udp,
                                  void *ctx),
                       void *ctx);
size_t nu_listeners_count(const struct nu_listeners *listeners);

/* For `nuncio explain`, while the generation's config is still there: of each listener of streams
 * that binds the port (0 = of each) its name, for each chain that does not take the connection the
 * first condition that fails, a line each; `chosen` goes on about the one that takes it. in->local
 * NULL: the listener's own address. How many listeners that were. Main thread. */
struct nu_match_input;
typedef void nu_chosen_fn(const struct nu_chain_conf *chain, FILE *out, void *ctx);
unsigned nu_listeners_explain(const struct nu_listeners *listeners, struct nu_conf *conf,
                              uint16_t port, const struct nu_match_input *in, FILE *out,
                              nu_chosen_fn *chosen, void *ctx);
/* Whether their sockets need CAP_NET_ADMIN. Main thread. */
bool nu_listeners_need_net_admin(const struct nu_listeners *listeners);

/* A listener made by the program, not by a config's list (admin): accepts on the main worker, every
 * connection gets the one chain given; those above `conn_max` at a time are closed at once. Freed
 * with nu_listener_internal_close. */
struct nu_internal_listener;
struct nu_internal_listener *nu_listener_internal(struct nu_worker *worker, const char *name,
                                                  const struct nu_addr *bind,
                                                  const struct nu_place *places, unsigned count,
                                                  unsigned conn_max, enum nu_err *err);
/* Accepts nobody from now on, and has connections end when they can; to be closed later. */
void nu_listener_internal_drain(struct nu_internal_listener *listener);
void nu_listener_internal_close(struct nu_internal_listener *listener);

/* On a worker: connections that public listeners brought and that still live. */
unsigned nu_listener_connections(const struct nu_worker *worker);
/* On a worker: cuts them all with that cause (drain_timeout). */
void nu_listener_abort_all(struct nu_worker *worker, enum nu_cause cause);

#endif
