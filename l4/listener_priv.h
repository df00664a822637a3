/* The inside of listeners: config objects, sockets and connections. Shared by l4/listener*.c and
 * accept.c. */
#ifndef NU_L4_LISTENER_PRIV_H
#define NU_L4_LISTENER_PRIV_H

#include "core/list.h"
#include "l4/accept.h"
#include "l4/access_log.h"
#include "l4/listener.h"
#include "l4/match.h"
#include "l4/pre.h"
#include "l4/sockopt.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <sys/types.h>

/* --- as written (listener_schema.c) --- */

struct listener_bind {
    struct nu_addr addr;
    bool udp;                       /* datagrams */
    const char *text;               /* as logs show it */
    const struct nu_node *node;     /* while the config is being read */
    struct listener_socket *socket; /* once bound */
};

struct chain_raw {
    const char *name; /* NULL: by listener and match */
    struct nu_match_rule match;
    const struct nu_node *filters;
    struct nu_vec access_log; /* items NULL: the listener's */
    void **ext;
};

/* What only listeners of datagrams have. */
struct listener_udp {
    int64_t max_sessions, max_per_source; /* 0 = no limit */
    int64_t receive_buffer;               /* bytes; 0 = the kernel's default */
};

struct listener_raw {
    const char *name;    /* NULL: its first address */
    struct nu_vec binds; /* struct listener_bind */
    int proxy;           /* enum nu_proxy_mode */
    int64_t sniff_timeout_ms, max_connections, backlog;
    int64_t mode;             /* of UNIX sockets; -1 = as the umask has it */
    struct listener_udp *udp; /* NULL: as by default */
    struct nu_listen_options options;
    struct nu_vec access_log;
    struct nu_vec chains; /* const struct nu_node * */
    const struct nu_node *filters;
    void **ext;
};

extern const struct nu_schema nu_match_schema, nu_listener_udp_schema;

/* --- in service --- */

/* What a listener's name stands for across reloads: its figures. Main makes and drops it; pinned
 * by listeners and chains of any generation. */
struct nu_tally {
    unsigned refs;
    char *name;
    struct nu_stats *stats;             /* enum nu_listener_stat */
    _Atomic uint64_t wanted;            /* the newest generation that has it; 0 = none was bound */
    struct nu_udp_sources *sources;     /* sessions by source, or NULL: nobody has asked so far */
    struct listener **now;              /* by shard: what it aims at; NULL = at none by that name */
    alignas(64) _Atomic int64_t active; /* connections of all workers, against max_connections */
};
struct nu_tally *nu_tally_get(const char *name);
struct nu_tally *nu_tally_ref(struct nu_tally *tally);
void nu_tally_put(struct nu_tally *tally);
/* Any worker: a place under the limit (0 = none), or false; and back. */
bool nu_tally_take(struct nu_tally *tally, int64_t max);
void nu_tally_give(struct nu_tally *tally);

/* One worker's use of a listener's config by connections that have no chain yet. */
struct listener_side {
    uint32_t pre;
    bool retired;
};

/* A listener of one generation. Connections pin it until they have their chain. */
struct listener {
    struct nu_counted counted; /* first member; let go by a shard together with the chains */
    struct nu_arena *arena;
    struct nu_tally *tally;
    struct nu_pre_conf pre;
    struct nu_match *match;
    struct nu_chain_conf **chains;
    size_t chain_count;
    uint64_t number;            /* of its generation */
    struct nu_strmap *renewing; /* chains with a shape, by name; NULL = none has one */
    struct nu_chain_conf *only; /* takes whatever comes, unseen; else NULL */
    struct nu_access_log *log;
    int64_t max_connections;
    int backlog;
    int mode; /* -1 = as the umask has it */
    bool is_udp;
    struct listener_udp udp;
    struct nu_listen_options options;
    struct listener_bind *binds;
    size_t bind_count;
    const struct nu_node *node; /* while the config is being read */
    struct listener_side *side; /* by shard */
};

struct nu_udp_point;
struct nu_strmap;
struct nu_udp_sources;

struct nu_listeners {
    uint64_t number;        /* of its generation */
    int64_t drain_ms;       /* its drain_timeout */
    struct listener **item; /* valid until retired on every shard */
    size_t count;
    struct listener_socket **sockets; /* once bound; a reference to each */
    size_t socket_count;
};

/* A bind address in service: a socket a worker, or one shared (UNIX). Carried over reloads by its
 * key. Main makes, opens and drops it; each worker touches its own point. */
struct listener_socket {
    unsigned refs; /* generations */
    char *key;
    struct nu_addr bound;
    bool udp;
    bool inherited;                   /* opened by the service manager, who keeps it */
    struct nu_listen_options options; /* in force */
    char *path;                       /* UNIX: its file; NULL = none */
    dev_t device;                     /* what that was when it was made: only the same is removed */
    ino_t inode;
    unsigned count; /* workers */
    struct nu_accept_point *points;
    struct nu_udp_point *udp_points; /* instead, of datagrams */
    struct nu_list lingering;        /* without references, while sessions still use it */
};

/* listener_socket.c. Opens and binds, with one reference for the caller; does not listen yet.
 * alone: an error if anybody else listens there, who would share it otherwise. NULL: errno says
 * why. */
struct listener_socket *nu_listener_socket_open(const char *key, const struct nu_addr *addr,
                                                bool udp, const struct nu_listen_options *options,
                                                unsigned workers, bool alone);
/* Again for one that is kept: takes the new values. mode: of a UNIX socket's file, -1 = leave. -1
 * with errno. */
int nu_listener_socket_listen(struct listener_socket *socket, int backlog, int mode);
/* Again for one that is kept: options that differ from those in force. */
void nu_listener_socket_options(struct listener_socket *socket,
                                const struct nu_listen_options *options);
/* How much the kernel keeps until it is read, of datagrams; 0 = its default. As far as it lets us.
 */
void nu_listener_socket_buffer(struct listener_socket *socket, int64_t bytes);
struct listener_socket *nu_listener_socket_ref(struct listener_socket *socket);
/* With the last reference closes what no worker has closed, and removes a UNIX socket's file. One
 * of datagrams lingers until its last session has ended; it can be had again meanwhile. */
void nu_listener_socket_put(struct listener_socket *socket);
/* Those that linger. */
void nu_listener_sockets_lingering(void (*fn)(struct listener_socket *socket, void *ctx),
                                   void *ctx);
/* By post to main: a worker has let go of a point of datagrams. */
void nu_listener_sockets_sweep(struct nu_worker *worker, void *nothing);

/* listener_object.c. An empty one; its tally and all else is the builder's to set. */
struct listener *nu_listener_new(unsigned shards);
/* Frees it with its chains at once: nobody has used them. */
void nu_listener_free(struct listener *listener);
/* Owns the arena from now on; has a reference to the tally. */
struct nu_chain_conf *nu_chain_conf_new(struct nu_arena *arena, struct nu_tally *tally);
void nu_chain_conf_free(struct nu_chain_conf *chain);
/* A shard will use it no more, neither by new connections nor by those without a chain. */
void nu_listener_retire_on(struct listener *listener, unsigned shard);
void nu_listener_pre_begin(struct listener *listener, unsigned shard);
void nu_listener_pre_end(struct listener *listener, unsigned shard);

/* A client's connection, or its session of datagrams, from its first sign to its end; ctx of its
 * chain's owner. */
struct listener_conn {
    struct nu_chain_conf
        *conf; /* pinned; the newest that it has taken. NULL: none was chosen yet */
    union {
        struct listener *listener;   /* until one was */
        struct nu_chain_conf *first; /* from then on: the one that its filters were made of, pinned,
                                        if that is another */
    };
    uint32_t number; /* of the generation that it has looked at last, its low bits */
    bool uncounted;  /* refused: stands in no limit */
};

/* Held by its listener or its chain's config. */
static inline struct nu_tally *nu_conn_tally(const struct listener_conn *conn)
{
    return conn->conf ? conn->conf->tally : conn->listener->tally;
}

/* listener_live.c: the connections of a worker. A zeroed one begins to live. */
void nu_conn_begin(struct listener_conn *conn, struct listener *listener,
                   const struct nu_loop *loop);
/* Its chain, whose owner's context begins with it, is one of the worker's from now on. */
void nu_conn_list(struct nu_chain *chain);
/* Facts of a connection that begins now. */
struct nu_facts nu_conn_facts(struct listener_conn *conn, struct nu_loop *loop,
                              const struct nu_addr *client, const struct nu_addr *local);
/* From the listener's hands into the chain's: facts name it, a pin keeps it. */
void nu_conn_adopt(struct listener_conn *conn, struct nu_chain_conf *conf, struct nu_facts *facts,
                   const struct nu_loop *loop);
/* Its chain has ended, what it carried stands in its facts: log line and figures. */
void nu_conn_closed(struct listener_conn *conn, struct nu_chain *chain);
/* Nothing of the chain is left. The memory is the caller's. */
void nu_conn_gone(struct listener_conn *conn, const struct nu_loop *loop);
/* renew.c: what all but the last filter of a chain is made of; 0 where the last does not renew. */
uint64_t nu_chain_conf_shape(const struct nu_chain_conf *chain, const struct nu_node *node,
                             const struct nu_node *filters, struct nu_arena *scratch);
/* The listener that owns the chain of this connection's, or NULL: it is none of ours. */
struct listener_conn *nu_conn_of(const struct nu_chain *chain);
void nu_conn_count(const struct listener_conn *conn, const struct nu_loop *loop,
                   enum nu_listener_stat stat, int64_t n);
/* Tells those connections of this worker whose listener is not in `next` to drain, and cuts them
 * after drain_ms unless it has come back by then; negative: somebody else cuts. */
void nu_listener_drain_gone(struct nu_loop *loop, uint64_t next, int64_t drain_ms);
/* Ends a chain at once, so that the log says why; conf: an enum nu_cause. */
extern const struct nu_filter_type nu_listener_refuse;

/* listener_conn.c. A connection was accepted at a point aimed at a struct listener. */
void nu_listener_accepted(struct nu_accept_point *point, int fd, const struct nu_addr *peer);
/* The step of struct nu_pre_conf: a sniffer if a match wants one, else the chain. */
bool nu_listener_next(struct nu_filter *f, const struct nu_match_input *sniffed);
/* The chain for these facts, or NULL. sniffed NULL: nobody has looked. */
struct nu_chain_conf *nu_listener_choose(const struct listener *listener,
                                         const struct nu_facts *facts,
                                         const struct nu_match_input *sniffed);

#endif
