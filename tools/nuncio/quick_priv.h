/* Quick mode's parts: addresses are read (quick_address.c), collected (quick.c) and written as YAML
 * (quick_yaml.c). */
#ifndef NU_TOOLS_NUNCIO_QUICK_PRIV_H
#define NU_TOOLS_NUNCIO_QUICK_PRIV_H

#include "core/arena.h"
#include "core/list.h"
#include "tools/nuncio/quick.h"

#include <stddef.h>
#include <stdio.h>

enum quick_scheme { QUICK_TCP, QUICK_TLS, QUICK_UDP, QUICK_HTTP, QUICK_HTTPS, QUICK_UNSAID };

static inline bool quick_has_tls(enum quick_scheme scheme)
{
    return scheme == QUICK_TLS || scheme == QUICK_HTTPS;
}

static inline bool quick_has_http(enum quick_scheme scheme)
{
    return scheme == QUICK_HTTP || scheme == QUICK_HTTPS;
}

/* Absolute paths by enum nu_quick_file; NULL = not given. */
struct quick_tls {
    const char *file[NU_QUICK_FILES];
};

struct quick_server {
    struct nu_list link;
    const char *address;
};

/* Where one SNI name (or, without, everything else) goes. */
struct quick_route {
    struct nu_list link;
    const char *sni; /* NULL: all others */
    enum quick_scheme scheme;
    struct quick_tls tls;
    struct nu_list servers;
};

struct quick_front {
    struct nu_list link;
    const char *bind, *value; /* address, and as it was written */
    enum quick_scheme scheme;
    struct quick_tls tls;
    struct nu_list routes;
};

struct nu_quick {
    struct nu_arena *arena;
    struct nu_list fronts;
    struct quick_tls common;        /* given before any address: of all that take TLS */
    struct quick_front *last;       /* the address given last: a front, */
    struct quick_route *last_route; /* or one of its routes; NULL otherwise */
    char *yaml;
};

/* --- quick_address.c --- */

/* One value on its way through the checks. */
struct quick_input {
    struct nu_arena *arena;
    const char *option, *value;
};

/* The option, what is wrong, the value, and a caret below the place. Returns false. */
bool quick_complain(const struct quick_input *in, const char *at, size_t span, const char *guess,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Skips "tcp://", if there is such a thing. */
bool quick_take_scheme(const struct quick_input *in, const char **at, enum quick_scheme *out);
/* "sni:NAME=" in front of a server. */
bool quick_take_sni(const struct quick_input *in, const char **at, const char **sni);
/* Behind the scheme: HOST:PORT, [HOST]:PORT or unix:PATH, where a name is allowed or not. With
 * HTTP's schemes it may be a URL without a path: the port is 80 or 443 then, and "/" may stand at
 * its end. */
bool quick_take_address(const struct quick_input *in, const char *at, bool front,
                        enum quick_scheme scheme, const char **out);

/* --- quick_yaml.c --- */

void quick_put_config(FILE *out, const struct nu_quick *quick);

#endif
