/* Socket options that do not go together, or not with what they are for: told when a config is
 * read, since nothing is accepted and ignored. What a key alone may say is sockopt_conf.c's. Main
 * thread. */
#include "l4/sockopt.h"

#include <stdio.h>

#define FASTOPEN_FILE   "/proc/sys/net/ipv4/tcp_fastopen"
#define FASTOPEN_SERVER 2 /* its bit for listening sockets */

static const struct nu_node *at(const struct nu_node *map, const char *key)
{
    const struct nu_node *node = map->kind == NU_NODE_MAP ? nu_node_get(map, key) : NULL;
    return node ? node : map;
}

/* "nothing is accepted and ignored" */
static enum nu_err stream_only(struct nu_conf *conf, const struct nu_node *owner)
{
    static const char *const keys[] = {"keepalive", "user_timeout", "fast_open", "congestion",
                                       "mptcp"};
    const struct nu_node *socket = at(owner, "socket");
    enum nu_err err = NU_OK;
    if (socket == owner || socket->kind != NU_NODE_MAP)
        return NU_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const struct nu_node *key = nu_node_get(socket, keys[i]);
        if (!key)
            continue;
        nu_conf_error_key(conf, key, "\"%s\" is TCP's, and this is UDP", keys[i]);
        err = NU_ERR_CONFIG;
    }
    return err;
}

/* What says as much as its absence does no harm: the normalized print has it. */
static enum nu_err no_ip(struct nu_conf *conf, const struct nu_node *listener,
                         const struct nu_listen_options *options)
{
    const struct {
        const char *key;
        bool asked;
    } rows[] = {
        {"transparent",  options->opt.transparent},
        {"original_dst", options->original_dst   },
        {"freebind",     options->opt.freebind   },
        {"ipv4_compat",  options->opt.ipv4_compat},
        {"interface",    *options->opt.interface },
        {"socket",       true                    },
    };
    enum nu_err err = NU_OK;
    if (listener->kind != NU_NODE_MAP)
        return NU_OK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct nu_node *key = nu_node_get(listener, rows[i].key);
        if (!key || !rows[i].asked)
            continue;
        nu_conf_error_key(conf, key,
                          "\"%s\" is for IP addresses, and one of these is a UNIX socket",
                          rows[i].key);
        err = NU_ERR_CONFIG;
    }
    return err;
}

static void warn_of_fast_open(struct nu_conf *conf, const struct nu_node *listener)
{
    int value = FASTOPEN_SERVER;
    FILE *file = fopen(FASTOPEN_FILE, "re");
    if (file && fscanf(file, "%d", &value) != 1) /* NOLINT(cert-err34-c): the kernel's own */
        value = FASTOPEN_SERVER;
    if (file)
        fclose(file);
    if (!(value & FASTOPEN_SERVER))
        nu_conf_warn(conf, at(at(listener, "socket"), "fast_open"),
                     "net.ipv4.tcp_fastopen is %d: without its bit 2 no client is served that way",
                     value);
}

/* Of a listener of datagrams. */
static enum nu_err no_stream(struct nu_conf *conf, const struct nu_node *listener,
                             const struct nu_listen_options *options)
{
    static const char why[] = "is for TCP; datagrams are brought here by a REDIRECT or DNAT rule";
    if (options->original_dst)
        nu_conf_error(conf, at(listener, "original_dst"), "%s", why);
    if (options->opt.transparent)
        nu_conf_error(conf, at(listener, "transparent"), "%s", why);
    enum nu_err err = stream_only(conf, listener);
    return options->original_dst || options->opt.transparent ? NU_ERR_CONFIG : err;
}

enum nu_err nu_listen_options_check(struct nu_conf *conf, const struct nu_node *listener,
                                    const struct nu_listen_options *options,
                                    const struct nu_addr *addr, int type)
{
    enum nu_err err = NU_OK;
    if (addr->kind == NU_ADDR_UNIX)
        return no_ip(conf, listener, options);
    if (options->opt.ipv4_compat && addr->kind != NU_ADDR_IP6) {
        nu_conf_error(conf, at(listener, "ipv4_compat"), "is for IPv6 addresses like \"[::]:80\"");
        err = NU_ERR_CONFIG;
    }
    if (type == SOCK_DGRAM)
        return no_stream(conf, listener, options) != NU_OK ? NU_ERR_CONFIG : err;
    if (options->opt.fast_open)
        warn_of_fast_open(conf, listener);
    return err;
}

enum nu_err nu_connect_options_check(struct nu_conf *conf, const struct nu_node *cluster,
                                     const struct nu_connect_options *options)
{
    bool source = options->source4.kind != NU_ADDR_NONE || options->source6.kind != NU_ADDR_NONE;
    if (!options->opt.transparent || !source)
        return NU_OK;
    nu_conf_error_key(conf, at(cluster, "bind_source"),
                      "\"transparent\" comes from the client's address, \"bind_source\" from "
                      "another: one of them");
    return NU_ERR_CONFIG;
}
