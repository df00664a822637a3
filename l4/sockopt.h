/* Options of the sockets that we listen on and that we open to servers: what users write, and how
 * it reaches the kernel. For TCP and UDP, IPv4 and IPv6.
 *
 * Parsed on the main thread; the structs hold no pointers then, so they can be copied and compared.
 * Applying: any thread. */
#ifndef NU_L4_SOCKOPT_H
#define NU_L4_SOCKOPT_H

#include "core/addr.h"
#include "core/conf/schema.h"

#include <net/if.h>

#define NU_CONGESTION_MAX                                                                          \
    16 /* bytes of a congestion control's name with its NUL (TCP_CA_NAME_MAX) */
#define NU_SOCKOPT_WHY_MAX 320 /* bytes of a sentence that says why an option was refused */

struct nu_keepalive_conf;

/* What both kinds of sockets share; zero is the system's own value. */
struct nu_sockopt {
    bool transparent; /* IP_TRANSPARENT */
    bool freebind;    /* IP_FREEBIND */
    bool ipv4_compat; /* listeners: a "[::]" socket takes IPv4 as well */
    bool mptcp;
    bool keepalive;
    int64_t dscp; /* 0 to 63 */
    int64_t mark; /* 32 bits */
    int64_t ttl;  /* 1 to 255 */
    int64_t keepalive_time_ms, keepalive_interval_ms, keepalive_probes;
    const struct nu_keepalive_conf *written; /* while it is parsed; then NULL */
    int64_t user_timeout_ms;
    int64_t fast_open;           /* listeners: connections that wait unconfirmed; else 1 = on */
    char interface[IF_NAMESIZE]; /* "" = any */
    char congestion[NU_CONGESTION_MAX];
};

/* A listener's keys transparent, freebind, interface, ipv4_compat, original_dst and socket. Zeroed
 * before the walk. */
struct nu_listen_options {
    struct nu_sockopt opt;
    bool original_dst; /* asks the kernel where redirected clients were going */
};

/* A cluster's keys transparent, bind_source and socket. */
struct nu_connect_options {
    struct nu_sockopt opt;           /* transparent: connect from the client's address */
    struct nu_addr source4, source6; /* kind NU_ADDR_NONE: the system's choice */
};

/* --- config --- */

/* Rows for the fields of a schema whose struct has a struct nu_listen_options at `member`. */
#define NU_LISTEN_OPTION_FIELDS(type_, member_)                                                    \
    {.key = "transparent",                                                                         \
     .type = NU_BOOL,                                                                              \
     .offset = offsetof(type_, member_.opt.transparent),                                           \
     .fallback = "false",                                                                          \
     .doc = "Takes what a TPROXY rule steers here, whatever address it was meant for: that "       \
            "address is then the connection's local one. Needs CAP_NET_ADMIN."},                   \
        {.key = "original_dst",                                                                    \
         .type = NU_BOOL,                                                                          \
         .offset = offsetof(type_, member_.original_dst),                                          \
         .fallback = "false",                                                                      \
         .doc = "Asks the kernel where a connection was going that a REDIRECT or DNAT rule of "    \
                "this machine brought here: matches, logs and PROXY headers then have that "       \
                "address as the local one."},                                                      \
        {.key = "freebind",                                                                        \
         .type = NU_BOOL,                                                                          \
         .offset = offsetof(type_, member_.opt.freebind),                                          \
         .fallback = "false",                                                                      \
         .doc = "Listens on an address that the machine does not have, or not yet."},              \
        {.key = "ipv4_compat",                                                                     \
         .type = NU_BOOL,                                                                          \
         .offset = offsetof(type_, member_.opt.ipv4_compat),                                       \
         .fallback = "false",                                                                      \
         .doc = "`[::]` takes IPv4 clients as well; they count as IPv4 everywhere."},              \
        {.key = "interface",                                                                       \
         .type = NU_CUSTOM,                                                                        \
         .offset = offsetof(type_, member_.opt.interface),                                         \
         .parse = nu_sockopt_parse_interface,                                                      \
         .shown = "name",                                                                          \
         .item = IF_NAMESIZE,                                                                      \
         .doc = "Only what arrives at this network interface."},                                   \
    {                                                                                              \
        .key = "socket", .type = NU_OBJECT, .offset = offsetof(type_, member_.opt),                \
        .sub = &nu_listen_socket_schema, .doc = "Options of its sockets."                          \
    }

/* The same for clusters. */
#define NU_CONNECT_OPTION_FIELDS(type_, member_)                                                   \
    {.key = "transparent",                                                                         \
     .type = NU_BOOL,                                                                              \
     .offset = offsetof(type_, member_.opt.transparent),                                           \
     .fallback = "false",                                                                          \
     .doc = "Connects from the client's own address, so that servers see it; their answers have "  \
            "to be routed back through this machine. Needs CAP_NET_ADMIN."},                       \
        {.key = "bind_source",                                                                     \
         .type = NU_OBJECT,                                                                        \
         .offset = offsetof(type_, member_),                                                       \
         .sub = &nu_bind_source_schema,                                                            \
         .doc = "Where connections to servers come from."},                                        \
    {                                                                                              \
        .key = "socket", .type = NU_OBJECT, .offset = offsetof(type_, member_.opt),                \
        .sub = &nu_connect_socket_schema, .doc = "Options of the sockets to servers."              \
    }

extern const struct nu_schema nu_listen_socket_schema, nu_connect_socket_schema,
    nu_bind_source_schema;
nu_parse_fn nu_sockopt_parse_interface;

/* Whether the options make sense for sockets of this address and type (SOCK_STREAM, SOCK_DGRAM);
 * reports at the listener's keys. */
enum nu_err nu_listen_options_check(struct nu_conf *conf, const struct nu_node *listener,
                                    const struct nu_listen_options *options,
                                    const struct nu_addr *addr, int type);
/* For a cluster; called by its owner's check. */
enum nu_err nu_connect_options_check(struct nu_conf *conf, const struct nu_node *cluster,
                                     const struct nu_connect_options *options);

/* --- sockets --- */

/* A socket for that address: as socket(2), non-blocking, close-on-exec, of the protocol that the
 * options ask for. -1 with errno. */
int nu_sockopt_socket(const struct nu_addr *addr, int type, const struct nu_sockopt *opt);

/* Between socket() and bind(). -1 with errno; nu_listen_options_why has the words. UNIX: nothing.
 */
int nu_listen_options_apply(int fd, const struct nu_addr *addr,
                            const struct nu_listen_options *options);
/* From one set of options to another on a socket in service. False: that takes a new socket (mptcp,
 * ipv4_compat, freebind, interface), nothing was done. */
bool nu_listen_options_change(int fd, const struct nu_addr *addr,
                              const struct nu_listen_options *was,
                              const struct nu_listen_options *now);
/* Between socket() and connect(), to a server at `to` for `client` (NULL: nobody's connection).
 * Binds where that is asked for. NULL, or with errno the key that failed, static. */
const char *nu_connect_options_apply(int fd, const struct nu_addr *to, const struct nu_addr *client,
                                     const struct nu_connect_options *options);

/* The local address of an accepted connection: one system call where it can differ from the address
 * that its listener is bound to, another with original_dst. `direct` is what the socket says. */
void nu_listen_options_local(int fd, const struct nu_addr *bound,
                             const struct nu_listen_options *options, struct nu_addr *direct,
                             struct nu_addr *local);
/* Where the client of an accepted connection was going before a REDIRECT or DNAT rule of this
 * machine brought it to `ours`, what the socket says. False: nowhere else, as far as netfilter
 * knows. */
bool nu_sockopt_original_dst(int fd, const struct nu_addr *ours, struct nu_addr *out);

/* --- rights --- */

/* Tries the options on a socket of its own: NULL if this process may use them, else a sentence that
 * names the key and what helps, with errno. */
const char *nu_sockopt_why(const struct nu_addr *addr, int type, const struct nu_sockopt *opt,
                           bool listens, char buf[static NU_SOCKOPT_WHY_MAX]);
/* Whether they need CAP_NET_ADMIN (or CAP_NET_RAW), also for sockets that are made later. */
bool nu_sockopt_needs_net_admin(const struct nu_sockopt *opt);

#endif
