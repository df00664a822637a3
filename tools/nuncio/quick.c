/* Quick mode: pairs from the command line, checked with the same friendliness as a file, and
 * written out as YAML. What comes out must be valid: whatever l4 would refuse is told here, in the
 * words of the command line. */
#include "tools/nuncio/quick.h"

#include "core/addr.h"
#include "core/arena.h"
#include "core/assert.h"
#include "core/conf/tree.h"
#include "core/list.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOST "127.0.0.1"
#define SCHEME       "tcp"

/* Where one SNI name (or, without, everything else) goes. */
struct route {
    struct nu_list link;
    const char *sni; /* NULL: all others */
    struct nu_list servers;
};

struct server {
    struct nu_list link;
    const char *address;
};

struct front {
    struct nu_list link;
    const char *bind, *value; /* address, and as it was written */
    struct nu_list routes;
};

struct nu_quick {
    struct nu_arena *arena;
    struct nu_list fronts;
    char *yaml;
};

/* One value on its way through the checks. */
struct input {
    struct nu_arena *arena;
    const char *option, *value;
};

static bool complain(const struct input *in, const char *at, size_t span, const char *guess,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The option, what is wrong, the value, and a caret below the place. Returns false. */
static bool complain(const struct input *in, const char *at, size_t span, const char *guess,
                     const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "nuncio run: %s %s: ", in->option, in->value);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n      %s\n      %*s", in->value, (int)(at - in->value), "");
    for (size_t i = 0; i < (span ? span : 1); i++)
        fputc('^', stderr);
    fprintf(stderr, guess ? " did you mean \"%s\"?\n" : "\n", guess);
    return false;
}

/* --- the parts of an address --- */

/* Skips "tcp://"; without a scheme it is TCP. */
static bool take_scheme(const struct input *in, const char **at)
{
    static const char *const known[] = {SCHEME, "tls", "http", "https", "udp"};
    const char *end = strstr(*at, "://");
    size_t len = end ? (size_t)(end - *at) : 0;
    if (!end)
        return true;
    char *scheme = nu_arena_strndup(in->arena, *at, len);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(scheme, known[i]) == 0 && i > 0)
            return complain(in, *at, len, NULL, "\"%s\" is not in this version", scheme);
    if (strcmp(scheme, SCHEME) != 0)
        return complain(in, *at, len, nu_did_you_mean(scheme, known, 5), "unknown scheme \"%s\"",
                        scheme);
    *at = end + 3;
    return true;
}

static bool check_port(const struct input *in, const char *port, bool zero_is_fine)
{
    size_t digits = strspn(port, "0123456789"), len = strlen(port);
    long number = digits && digits == len && len <= 5 ? strtol(port, NULL, 10) : -1;
    if (len == 0)
        return complain(in, port, 0, NULL, "a port is missing here");
    if (number < 0 || number > 65535)
        return complain(in, port, len, NULL, "\"%s\" is not a port", port);
    if (number == 0 && !zero_is_fine)
        return complain(in, port, len, NULL, "port 0 cannot be connected to");
    return true;
}

/* Letters of host names (RFC 1123 2.1), and the underscore that many have; the last label is no
 * number, or an address was meant. */
static bool is_host_name(const char *host, size_t len)
{
    bool letter = false; /* in the last label */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)host[i];
        if (!isalnum(c) && !strchr("-._", c))
            return false;
        letter = c != '.' && (letter || !isdigit(c));
    }
    return letter && len <= 253;
}

/* The colon in front of the port, or NULL. In "[::1]:80" it stands behind the bracket. */
static const char *find_port(const char *text)
{
    const char *bracket = strrchr(text, ']');
    return strrchr(bracket ? bracket : text, ':');
}

static bool missing_port(const struct input *in, const char *at)
{
    bool number = *at && at[strspn(at, "0123456789")] == 0;
    char *guess = nu_arena_printf(in->arena, number ? ":%s" : "%s:PORT", at);
    return complain(in, at, strlen(at), guess, "an address is HOST:PORT");
}

static bool bare_ip6(const struct input *in, const char *at)
{
    const char *port = strrchr(at, ':');
    char *guess = nu_arena_printf(in->arena, "[%.*s]%s", (int)(port - at), at, port);
    return complain(in, at, strlen(at), guess, "an IPv6 address stands in brackets");
}

/* Behind the scheme: HOST:PORT, [HOST]:PORT or unix:PATH, where a name is allowed or not. */
static bool take_address(const struct input *in, const char *at, bool front, const char **out)
{
    struct nu_addr addr;
    const char *colon = find_port(at);
    *out = at;
    if (strncmp(at, "unix:", 5) == 0 && nu_addr_parse(&addr, at, -1) == NU_OK)
        return true;
    if (!colon)
        return missing_port(in, at);
    if (*at != '[' && strchr(at, ':') != colon)
        return bare_ip6(in, at);
    if (!check_port(in, colon + 1, front))
        return false;
    if (colon == at) {
        *out = nu_arena_printf(in->arena, DEFAULT_HOST "%s", at);
        return true;
    }
    if (nu_addr_parse(&addr, at, -1) == NU_OK)
        return true;
    if (!front && is_host_name(at, (size_t)(colon - at)))
        return true;
    return complain(in, at, (size_t)(colon - at), NULL,
                    front ? "listening needs an IP address, not a name"
                          : "neither an IP address nor a host name");
}

/* "sni:NAME=" in front of a server. */
static bool take_sni(const struct input *in, const char **at, const char **sni)
{
    const char *name = *at + 4, *equals;
    *sni = NULL;
    if (strncmp(*at, "sni:", 4) != 0)
        return true;
    equals = strchr(name, '=');
    if (!equals)
        return complain(in, *at, strlen(*at), NULL, "sni:NAME=ADDRESS is expected");
    size_t wild = strncmp(name, "*.", 2) == 0 ? 2 : 0, len = (size_t)(equals - name);
    if (len <= wild || !is_host_name(name + wild, len - wild))
        return complain(in, name, len, NULL, "not a server name like \"a.test\" or \"*.a.test\"");
    char *lower = nu_arena_strndup(in->arena, name, len);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    *sni = lower;
    *at = equals + 1;
    return true;
}

/* --- collecting --- */

struct nu_quick *nu_quick_new(void)
{
    struct nu_quick *quick = calloc(1, sizeof *quick);
    nu_assert(quick != NULL);
    quick->arena = nu_arena_new(1024);
    nu_list_init(&quick->fronts);
    return quick;
}

void nu_quick_free(struct nu_quick *quick)
{
    free(quick->yaml);
    nu_arena_free(quick->arena);
    free(quick);
}

bool nu_quick_used(const struct nu_quick *quick)
{
    return !nu_list_empty(&quick->fronts);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && strcmp(text + len - n, end) == 0;
}

/* Two of the same make a config that cannot work. */
static bool is_new_front(const struct input *in, const struct nu_quick *quick, const char *bind)
{
    const struct nu_list *fronts = &quick->fronts;
    nu_list_each (link, fronts) {
        if (strcmp(nu_container(link, struct front, link)->bind, bind) == 0 &&
            !ends_with(bind, ":0"))
            return complain(in, in->value, strlen(in->value), NULL,
                            "a second --from of this address");
    }
    return true;
}

bool nu_quick_from(struct nu_quick *quick, const char *value)
{
    struct input in = {quick->arena, "--from", value};
    const char *at = value;
    struct front *front = nu_arena_alloc(quick->arena, sizeof *front);
    if (!take_scheme(&in, &at) || !take_address(&in, at, true, &front->bind) ||
        !is_new_front(&in, quick, front->bind))
        return false;
    front->value = value;
    nu_list_init(&front->routes);
    nu_list_add_tail(&quick->fronts, &front->link);
    return true;
}

static struct route *find_route(struct nu_quick *quick, struct front *front, const char *sni)
{
    nu_list_each (link, &front->routes) {
        struct route *route = nu_container(link, struct route, link);
        if (sni ? route->sni && strcmp(route->sni, sni) == 0 : !route->sni)
            return route;
    }
    struct route *route = nu_arena_alloc(quick->arena, sizeof *route);
    route->sni = sni;
    nu_list_init(&route->servers);
    nu_list_add_tail(&front->routes, &route->link);
    return route;
}

bool nu_quick_to(struct nu_quick *quick, const char *value)
{
    struct input in = {quick->arena, "--to", value};
    const char *at = value, *sni;
    struct server *server = nu_arena_alloc(quick->arena, sizeof *server);
    if (!take_sni(&in, &at, &sni) || !take_scheme(&in, &at) ||
        !take_address(&in, at, false, &server->address))
        return false;
    if (!nu_quick_used(quick))
        return complain(&in, value, strlen(value), NULL, "no --from stands before it");
    struct front *front = nu_container(quick->fronts.prev, struct front, link);
    struct route *route = find_route(quick, front, sni);
    nu_list_each (link, &route->servers) {
        if (strcmp(nu_container(link, struct server, link)->address, server->address) == 0)
            return complain(&in, at, strlen(at), NULL, "it goes there already");
    }
    nu_list_add_tail(&route->servers, &server->link);
    return true;
}

/* --- writing --- */

/* In double quotes, with what the config's reader would expand or unescape written twice. */
static void put_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (strchr("\"\\", *text))
            fputc('\\', out);
        if (*text == '$')
            fputc('$', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void put_route(FILE *out, const struct route *route, unsigned cluster)
{
    fputs("      - ", out);
    if (route->sni) {
        fputs("match: {sni: ", out);
        put_quoted(out, route->sni);
        fputs("}\n        ", out);
    }
    fprintf(out, "filters: [{tcp_proxy: {cluster: to%u}}]\n", cluster);
}

static void put_front(FILE *out, const struct front *front, unsigned number, unsigned *cluster)
{
    const struct nu_list *first = front->routes.next;
    bool plain = first->next == &front->routes && !nu_container(first, struct route, link)->sni;
    fprintf(out, "  - name: from%u\n    bind: ", number);
    put_quoted(out, front->bind);
    fputc('\n', out);
    if (plain) {
        fprintf(out, "    filters: [{tcp_proxy: {cluster: to%u}}]\n", ++*cluster);
        return;
    }
    fputs("    chains:\n", out);
    nu_list_each (link, &front->routes) {
        put_route(out, nu_container(link, struct route, link), ++*cluster);
    }
}

static void put_cluster(FILE *out, const struct route *route, unsigned number)
{
    const char *comma = "";
    fprintf(out, "  - name: to%u\n    endpoints: [", number);
    nu_list_each (link, &route->servers) {
        fputs(comma, out);
        put_quoted(out, nu_container(link, struct server, link)->address);
        comma = ", ";
    }
    fputs("]\n", out);
}

static void put_config(FILE *out, struct nu_quick *quick)
{
    unsigned number = 0, cluster = 0;
    fputs("listeners:\n", out);
    nu_list_each (link, &quick->fronts) {
        put_front(out, nu_container(link, struct front, link), ++number, &cluster);
    }
    cluster = 0;
    fputs("clusters:\n", out);
    nu_list_each (link, &quick->fronts) {
        nu_list_each (route, &nu_container(link, struct front, link)->routes) {
            put_cluster(out, nu_container(route, struct route, link), ++cluster);
        }
    }
}

const char *nu_quick_config(struct nu_quick *quick)
{
    size_t len;
    nu_list_each (link, &quick->fronts) {
        const struct front *front = nu_container(link, struct front, link);
        if (!nu_list_empty(&front->routes))
            continue;
        fprintf(stderr, "nuncio run: --from %s: no --to stands behind it\n", front->value);
        return NULL;
    }
    free(quick->yaml);
    FILE *out = open_memstream(&quick->yaml, &len);
    nu_assert(out != NULL);
    put_config(out, quick);
    nu_assert(fclose(out) == 0);
    return quick->yaml;
}
