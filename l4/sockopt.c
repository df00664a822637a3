/* Socket options, from structs to the kernel; see sockopt.h. One row an option: whether it is asked
 * for, and how it is set. What users may write is sockopt_conf.c's. */
#include "l4/sockopt.h"

#include "core/assert.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define SO_ORIGINAL_DST_                                                                           \
    80 /* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST: netfilter's headers clash */
#define CONGESTION_DEFAULT "/proc/sys/net/ipv4/tcp_congestion_control"
#define CONGESTION_ALLOWED "/proc/sys/net/ipv4/tcp_allowed_congestion_control"

/* A socket on its way. */
struct target {
    int fd;
    bool ip6, stream, listens;
    const struct nu_sockopt *opt;
};

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* IPv4 clients of a "[::]" socket are answered by IPv4's options, so both are set. */
static int set_both(const struct target *t, int name4, int name6, int value)
{
    if (set(t->fd, IPPROTO_IP, name4, value))
        return -1;
    return t->ip6 ? set(t->fd, IPPROTO_IPV6, name6, value) : 0;
}

static int transparent(const struct target *t)
{
    return set_both(t, IP_TRANSPARENT, IPV6_TRANSPARENT, t->opt->transparent);
}

static int freebind(const struct target *t)
{
    return set_both(t, IP_FREEBIND, IPV6_FREEBIND, t->opt->freebind);
}

static int ipv4_compat(const struct target *t)
{
    return t->ip6 ? set(t->fd, IPPROTO_IPV6, IPV6_V6ONLY, !t->opt->ipv4_compat) : 0;
}

static int interface(const struct target *t)
{
    const char *name = t->opt->interface;
    return setsockopt(t->fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1);
}

static int mark(const struct target *t)
{
    uint32_t value = (uint32_t)t->opt->mark;
    return setsockopt(t->fd, SOL_SOCKET, SO_MARK, &value, sizeof value);
}

static int dscp(const struct target *t)
{
    return set_both(t, IP_TOS, IPV6_TCLASS, (int)t->opt->dscp << 2);
}

static int ttl(const struct target *t)
{
    return set_both(t, IP_TTL, IPV6_UNICAST_HOPS, t->opt->ttl ? (int)t->opt->ttl : -1);
}

/* Seconds, at least one. */
static int seconds(int64_t ms)
{
    return ms < 1000 ? 1 : (int)((ms + 999) / 1000);
}

static int keepalive(const struct target *t)
{
    const struct nu_sockopt *o = t->opt;
    if (set(t->fd, SOL_SOCKET, SO_KEEPALIVE, o->keepalive) || !o->keepalive)
        return o->keepalive ? -1 : 0;
    if (o->keepalive_time_ms &&
        set(t->fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(o->keepalive_time_ms)))
        return -1;
    if (o->keepalive_interval_ms &&
        set(t->fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(o->keepalive_interval_ms)))
        return -1;
    return o->keepalive_probes ? set(t->fd, IPPROTO_TCP, TCP_KEEPCNT, (int)o->keepalive_probes) : 0;
}

static int user_timeout(const struct target *t)
{
    return set(t->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)t->opt->user_timeout_ms);
}

static int fast_open(const struct target *t)
{
    if (t->listens)
        return set(t->fd, IPPROTO_TCP, TCP_FASTOPEN, (int)t->opt->fast_open);
    return set(t->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, t->opt->fast_open != 0);
}

/* The system's own, which has no other name than its own. */
static void system_congestion(char buf[static NU_CONGESTION_MAX])
{
    FILE *file = fopen(CONGESTION_DEFAULT, "re");
    if (!file || fscanf(file, "%15s", buf) != 1)
        strcpy(buf, "cubic");
    if (file)
        fclose(file);
}

static int congestion(const struct target *t)
{
    char name[NU_CONGESTION_MAX];
    strcpy(name, t->opt->congestion);
    if (!*name)
        system_congestion(name);
    return setsockopt(t->fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

#define ASKED(name, cond)                                                                          \
    static bool asked_##name(const struct nu_sockopt *o)                                           \
    {                                                                                              \
        return cond;                                                                               \
    }
ASKED(transparent, o->transparent)
ASKED(freebind, o->freebind)
ASKED(ipv4_compat, o->ipv4_compat)
ASKED(interface, *o->interface)
ASKED(mark, o->mark)
ASKED(dscp, o->dscp)
ASKED(ttl, o->ttl)
ASKED(keepalive, o->keepalive)
ASKED(user_timeout, o->user_timeout_ms)
ASKED(fast_open, o->fast_open)
ASKED(congestion, *o->congestion)
#undef ASKED

enum { OF_BOTH = 0, OF_STREAM = 1, FIXED = 2 };

static const struct row {
    const char *key, *cluster_key; /* as users write it for listeners and clusters */
    bool (*asked)(const struct nu_sockopt *opt);
    int (*set)(const struct target *t);
    unsigned flags; /* OF_STREAM: TCP's own. FIXED: not on a socket in service */
} rows[] = {
    {"transparent",         "transparent",           asked_transparent,  transparent,  OF_BOTH  },
    {"freebind",            "bind_source.freebind",  asked_freebind,     freebind,     FIXED    },
    {"ipv4_compat",         "ipv4_compat",           asked_ipv4_compat,  ipv4_compat,  FIXED    },
    {"interface",           "bind_source.interface", asked_interface,    interface,    FIXED    },
    {"socket.mark",         "socket.mark",           asked_mark,         mark,         OF_BOTH  },
    {"socket.dscp",         "socket.dscp",           asked_dscp,         dscp,         OF_BOTH  },
    {"socket.ttl",          "socket.ttl",            asked_ttl,          ttl,          OF_BOTH  },
    {"socket.keepalive",    "socket.keepalive",      asked_keepalive,    keepalive,    OF_STREAM},
    {"socket.user_timeout", "socket.user_timeout",   asked_user_timeout, user_timeout, OF_STREAM},
    {"socket.fast_open",    "socket.fast_open",      asked_fast_open,    fast_open,    OF_STREAM},
    {"socket.congestion",   "socket.congestion",     asked_congestion,   congestion,   OF_STREAM},
};
#define ROWS (sizeof rows / sizeof *rows)

static bool applies(const struct row *row, const struct target *t)
{
    return row->asked(t->opt) && (t->stream || !(row->flags & OF_STREAM));
}

static const char *key_of(const struct row *row, bool listens)
{
    return listens ? row->key : row->cluster_key;
}

/* NULL, or the key that failed, with errno. */
static const char *set_all(const struct target *t)
{
    for (size_t i = 0; i < ROWS; i++)
        if (applies(&rows[i], t) && rows[i].set(t))
            return key_of(&rows[i], t->listens);
    return NULL;
}

static bool is_stream(int fd)
{
    int type = SOCK_STREAM;
    socklen_t len = sizeof type;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    return type == SOCK_STREAM;
}

int nu_sockopt_socket(const struct nu_addr *addr, int type, const struct nu_sockopt *opt)
{
    int family = addr->kind == NU_ADDR_UNIX  ? AF_UNIX
                 : addr->kind == NU_ADDR_IP6 ? AF_INET6
                                             : AF_INET;
    bool mptcp = opt->mptcp && type == SOCK_STREAM && family != AF_UNIX;
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, mptcp ? IPPROTO_MPTCP : 0);
}

static struct target target_of(int fd, const struct nu_addr *addr, bool listens,
                               const struct nu_sockopt *opt)
{
    return (struct target){.fd = fd,
                           .ip6 = addr->kind == NU_ADDR_IP6,
                           .stream = is_stream(fd),
                           .listens = listens,
                           .opt = opt};
}

int nu_listen_options_apply(int fd, const struct nu_addr *addr,
                            const struct nu_listen_options *options)
{
    struct target t;
    if (addr->kind == NU_ADDR_UNIX)
        return 0;
    t = target_of(fd, addr, true, &options->opt);
    return set_all(&t) ? -1 : 0;
}

static bool same_fixed(const struct nu_sockopt *a, const struct nu_sockopt *b)
{
    return a->freebind == b->freebind && a->ipv4_compat == b->ipv4_compat && a->mptcp == b->mptcp &&
           strcmp(a->interface, b->interface) == 0;
}

bool nu_listen_options_change(int fd, const struct nu_addr *addr,
                              const struct nu_listen_options *was,
                              const struct nu_listen_options *now)
{
    if (addr->kind == NU_ADDR_UNIX)
        return true;
    if (!same_fixed(&was->opt, &now->opt))
        return false;
    struct target t = target_of(fd, addr, true, &now->opt);
    for (size_t i = 0; i < ROWS; i++) {
        bool asked = rows[i].asked(&was->opt) || rows[i].asked(&now->opt);
        if (asked && !(rows[i].flags & FIXED) && (t.stream || !(rows[i].flags & OF_STREAM)))
            rows[i].set(&t);
    }
    return true;
}

/* The address to come from: the client's, a given one of the server's family, or none. */
static const char *choose_source(const struct nu_addr *to, const struct nu_addr *client,
                                 const struct nu_connect_options *options, struct nu_addr *out)
{
    *out = to->kind == NU_ADDR_IP6 ? options->source6 : options->source4;
    if (!options->opt.transparent || !client)
        return NULL;
    *out = *client;
    out->port = 0;
    if (client->kind == to->kind)
        return NULL;
    errno = EAFNOSUPPORT; /* an IPv4 client cannot be seen by an IPv6 server */
    return "transparent";
}

/* The port is chosen by connect(), when the whole 4-tuple is known: the same one serves many
 * servers, and 28,000 connections are no limit. */
static int bind_source(int fd, const struct nu_addr *source)
{
    struct sockaddr_storage ss;
    socklen_t len = nu_addr_to_sockaddr(source, &ss);
    if (set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1))
        return -1;
    return bind(fd, (struct sockaddr *)&ss, len);
}

/* Nothing is asked for: the usual case costs no system call. */
static bool is_plain(const struct nu_connect_options *options)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].asked(&options->opt))
            return false;
    return options->source4.kind == NU_ADDR_NONE && options->source6.kind == NU_ADDR_NONE;
}

const char *nu_connect_options_apply(int fd, const struct nu_addr *to, const struct nu_addr *client,
                                     const struct nu_connect_options *options)
{
    struct nu_addr source = {0};
    if (to->kind == NU_ADDR_UNIX || is_plain(options))
        return NULL;
    struct target t = target_of(fd, to, false, &options->opt);
    const char *failed = set_all(&t);
    if (!failed)
        failed = choose_source(to, client, options, &source);
    if (failed || source.kind == NU_ADDR_NONE)
        return failed;
    if (bind_source(fd, &source))
        return options->opt.transparent ? "transparent" : "bind_source";
    return NULL;
}

/* --- where a connection was going --- */

/* Netfilter's word for it, by the family that the client really has. False: no rule brought it
 * here, or there is no netfilter. */
static bool redirected_from(int fd, bool ip6, struct nu_addr *out)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = ip6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (getsockopt(fd, ip6 ? IPPROTO_IPV6 : IPPROTO_IP, SO_ORIGINAL_DST_, &ss, &len))
        return false;
    nu_addr_from_sockaddr(out, &ss, len);
    return out->kind != NU_ADDR_NONE;
}

static bool is_wildcard(const struct nu_addr *addr)
{
    static const uint8_t zero[16];
    return memcmp(addr->ip, zero, addr->kind == NU_ADDR_IP4 ? 4 : 16) == 0;
}

bool nu_sockopt_original_dst(int fd, const struct nu_addr *ours, struct nu_addr *out)
{
    if (fd < 0 || (ours->kind != NU_ADDR_IP4 && ours->kind != NU_ADDR_IP6))
        return false;
    return redirected_from(fd, ours->kind == NU_ADDR_IP6, out) && !nu_addr_equal(out, ours);
}

void nu_listen_options_local(int fd, const struct nu_addr *bound,
                             const struct nu_listen_options *options, struct nu_addr *direct,
                             struct nu_addr *local)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    *direct = *bound;
    bool ip = bound->kind == NU_ADDR_IP4 || bound->kind == NU_ADDR_IP6;
    if (ip && (options->opt.transparent || is_wildcard(bound)) &&
        getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
        nu_addr_from_sockaddr(direct, &ss, len);
    *local = *direct;
    if (options->original_dst && !nu_sockopt_original_dst(fd, direct, local))
        *local = *direct;
}

/* --- rights --- */

/* One word of the words in a file of the kernel's. */
static bool is_listed(const char *path, const char *name)
{
    char word[NU_CONGESTION_MAX];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (file && !found && fscanf(file, "%15s", word) == 1)
        found = strcmp(word, name) == 0;
    if (file)
        fclose(file);
    return found;
}

bool nu_sockopt_needs_net_admin(const struct nu_sockopt *opt)
{
    bool restricted = *opt->congestion && !is_listed(CONGESTION_ALLOWED, opt->congestion);
    return opt->transparent || opt->mark || restricted;
}

static const char *words_for(const struct row *row, bool listens, int error,
                             char buf[static NU_SOCKOPT_WHY_MAX])
{
    const char *help = "";
    if (error == EPERM && row->asked == asked_congestion)
        help = ": that takes CAP_NET_ADMIN, or its name in net.ipv4.tcp_allowed_congestion_control";
    else if (error == EPERM)
        help =
            ": that takes CAP_NET_ADMIN; start as root, or with AmbientCapabilities=CAP_NET_ADMIN "
            "in the unit (a reload cannot get what was given up at the start: restart)";
    else if (error == ENODEV)
        help = " (no interface has that name)";
    int at = snprintf(buf, NU_SOCKOPT_WHY_MAX, "%s: ", key_of(row, listens));
    snprintf(buf + at, NU_SOCKOPT_WHY_MAX - (size_t)at, "%s%s", strerror(error), help);
    buf[at] = (char)tolower((unsigned char)buf[at]);
    return buf;
}

static const char *why_no_socket(const struct nu_sockopt *opt, int error,
                                 char buf[static NU_SOCKOPT_WHY_MAX])
{
    if (opt->mptcp && (error == EPROTONOSUPPORT || error == ENOPROTOOPT || error == EINVAL))
        snprintf(buf, NU_SOCKOPT_WHY_MAX,
                 "socket.mptcp: the kernel has no MPTCP, or net.mptcp.enabled is 0");
    else
        snprintf(buf, NU_SOCKOPT_WHY_MAX, "socket: %s", strerror(error));
    return buf;
}

const char *nu_sockopt_why(const struct nu_addr *addr, int type, const struct nu_sockopt *opt,
                           bool listens, char buf[static NU_SOCKOPT_WHY_MAX])
{
    const char *why = NULL;
    int error = 0;
    if (addr->kind == NU_ADDR_UNIX)
        return NULL;
    int fd = nu_sockopt_socket(addr, type, opt);
    if (fd < 0)
        return why_no_socket(opt, errno, buf);
    struct target t = target_of(fd, addr, listens, opt);
    for (size_t i = 0; i < ROWS && !why; i++)
        if (applies(&rows[i], &t) && rows[i].set(&t))
            why = words_for(&rows[i], listens, error = errno, buf);
    close(fd);
    errno = error;
    return why;
}
