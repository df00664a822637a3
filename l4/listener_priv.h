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

#include <stdalign.h>
#include <stdatomic.h>
#include <sys/types.h>

/* --- as written (listener_schema.c) --- */

struct listener_bind {
    struct nu_addr addr;
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

struct listener_raw {
    const char *name;    /* NULL: its first address */
    struct nu_vec binds; /* struct listener_bind */
    int proxy;           /* enum nu_proxy_mode */
    int64_t sniff_timeout_ms, max_connections, backlog;
    int64_t mode; /* of UNIX sockets; -1 = as the umask has it */
    struct nu_vec access_log;
    struct nu_vec chains; /* const struct nu_node * */
    const struct nu_node *filters;
    void **ext;
};

extern const struct nu_schema nu_match_schema;

/* --- in service --- */

/* What a listener's name stands for across reloads: its figures. Main makes and drops it; pinned
 * by listeners and chains of any generation. */
struct nu_tally {
    unsigned refs;
    char *name;
    struct nu_stats *stats;             /* enum nu_listener_stat */
    _Atomic uint64_t wanted;            /* the newest generation that has it; 0 = none was bound */
    alignas(64) _Atomic int64_t active; /* connections of all workers, against max_connections */
};
struct nu_tally *nu_tally_get(const char *name);
struct nu_tally *nu_tally_ref(struct nu_tally *tally);
void nu_tally_put(struct nu_tally *tally);

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
    struct nu_chain_conf *only; /* takes whatever comes, unseen; else NULL */
    struct nu_access_log *log;
    int64_t max_connections;
    int backlog;
    int mode; /* -1 = as the umask has it */
    struct listener_bind *binds;
    size_t bind_count;
    const struct nu_node *node; /* while the config is being read */
    struct listener_side *side; /* by shard */
};

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
    char *path;   /* UNIX: its file; NULL = none */
    dev_t device; /* what that was when it was made: only the same is removed */
    ino_t inode;
    unsigned count; /* workers */
    struct nu_accept_point *points;
};

/* listener_socket.c. Opens and binds, with one reference for the caller; does not listen yet.
 * alone: an error if anybody else listens there, who would share it otherwise. NULL: errno says
 * why. */
struct listener_socket *nu_listener_socket_open(const char *key, const struct nu_addr *addr,
                                                unsigned workers, bool alone);
/* Again for one that is kept: takes the new values. mode: of a UNIX socket's file, -1 = leave. -1
 * with errno. */
int nu_listener_socket_listen(struct listener_socket *socket, int backlog, int mode);
/* With the last reference closes what no worker has closed, and removes a UNIX socket's file. */
void nu_listener_socket_put(struct listener_socket *socket);

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

/* listener_conn.c. A connection was accepted at a point aimed at a struct listener. */
void nu_listener_accepted(struct nu_accept_point *point, int fd, const struct nu_addr *peer);
/* The step of struct nu_pre_conf: a sniffer if a match wants one, else the chain. */
bool nu_listener_next(struct nu_filter *f, const struct nu_match_input *sniffed);
/* Tells those connections of this worker whose listener is not in `next` to drain, and cuts them
 * after drain_ms unless it has come back by then; negative: somebody else cuts. */
void nu_listener_drain_gone(struct nu_loop *loop, uint64_t next, int64_t drain_ms);

#endif
