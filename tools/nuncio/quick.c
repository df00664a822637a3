/* Quick mode: pairs from the command line, collected and checked against one another. What comes
 * out must be a valid config. */
#include "core/assert.h"
#include "tools/nuncio/quick_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* --- fronts --- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len >= n && strcmp(text + len - n, end) == 0;
}

/* As far as is known: a front that does not say takes what its first server takes. */
static bool is_udp(const struct quick_front *front)
{
    const struct nu_list *first = front->routes.next;
    if (front->scheme != QUICK_UNSAID || !first || first == &front->routes)
        return front->scheme == QUICK_UDP;
    return nu_container(first, struct quick_route, link)->scheme == QUICK_UDP;
}

/* Two of the same make a config that cannot work. */
static bool is_new_front(const struct quick_input *in, const struct nu_quick *quick,
                         const struct quick_front *front)
{
    const struct nu_list *fronts = &quick->fronts;
    nu_list_each (link, fronts) {
        const struct quick_front *other = nu_container(link, struct quick_front, link);
        if (is_udp(other) == is_udp(front) && strcmp(other->bind, front->bind) == 0 &&
            !ends_with(front->bind, ":0"))
            return quick_complain(in, in->value, strlen(in->value), NULL,
                                  "a second --from of this address");
    }
    return true;
}

static bool takes_path(const struct quick_input *in, const char *at, const char *address,
                       enum quick_scheme scheme)
{
    if (scheme != QUICK_UDP || strncmp(address, "unix:", 5) != 0)
        return true;
    return quick_complain(in, at, strlen(at), NULL, "datagrams do not go to UNIX sockets");
}

bool nu_quick_from(struct nu_quick *quick, const char *value)
{
    struct quick_input in = {quick->arena, "--from", value};
    const char *at = value;
    struct quick_front *front = nu_arena_alloc(quick->arena, sizeof *front);
    if (!quick_take_scheme(&in, &at, &front->scheme) ||
        !quick_take_address(&in, at, true, front->scheme, &front->bind) ||
        !takes_path(&in, at, front->bind, front->scheme) || !is_new_front(&in, quick, front))
        return false;
    front->value = value;
    front->tls = quick->common;
    nu_list_init(&front->routes);
    nu_list_add_tail(&quick->fronts, &front->link);
    quick->last = front;
    quick->last_route = NULL;
    return true;
}

/* --- routes and their servers --- */

static struct quick_route *find_route(struct nu_quick *quick, struct quick_front *front,
                                      const char *sni)
{
    nu_list_each (link, &front->routes) {
        struct quick_route *route = nu_container(link, struct quick_route, link);
        if (sni ? route->sni && strcmp(route->sni, sni) == 0 : !route->sni)
            return route;
    }
    struct quick_route *route = nu_arena_alloc(quick->arena, sizeof *route);
    route->sni = sni;
    route->scheme = QUICK_UNSAID;
    nu_list_init(&route->servers);
    nu_list_add_tail(&front->routes, &route->link);
    return route;
}

static bool is_new_server(const struct quick_input *in, const char *at,
                          const struct quick_route *route, const char *address)
{
    const struct nu_list *servers = &route->servers;
    nu_list_each (link, servers) {
        if (strcmp(nu_container(link, struct quick_server, link)->address, address) == 0)
            return quick_complain(in, at, strlen(at), NULL, "it goes there already");
    }
    return true;
}

/* Servers that share the load are one cluster: all of them speak the same. */
static bool join_scheme(const struct quick_input *in, struct quick_route *route,
                        enum quick_scheme scheme)
{
    if (scheme == QUICK_UDP && route->sni)
        return quick_complain(in, in->value, strlen(in->value), NULL,
                              "datagrams have no server name");
    if (route->scheme != QUICK_UNSAID && route->scheme != scheme)
        return quick_complain(in, in->value, strlen(in->value), NULL,
                              "servers that share the load need the same scheme");
    route->scheme = scheme;
    return true;
}

/* Of a server that has none: plain, and what its front speaks. */
static enum quick_scheme default_scheme(const struct quick_front *front)
{
    if (front->scheme == QUICK_UNSAID || front->scheme == QUICK_TLS)
        return QUICK_TCP;
    return front->scheme == QUICK_HTTPS ? QUICK_HTTP : front->scheme;
}

bool nu_quick_to(struct nu_quick *quick, const char *value)
{
    struct quick_input in = {quick->arena, "--to", value};
    const char *at = value, *sni;
    enum quick_scheme scheme;
    struct quick_server *server = nu_arena_alloc(quick->arena, sizeof *server);
    if (!quick_take_sni(&in, &at, &sni) || !quick_take_scheme(&in, &at, &scheme) ||
        !quick_take_address(&in, at, false, scheme, &server->address))
        return false;
    if (!nu_quick_used(quick))
        return quick_complain(&in, value, strlen(value), NULL, "no --from stands before it");
    struct quick_front *front = nu_container(quick->fronts.prev, struct quick_front, link);
    struct quick_route *route = find_route(quick, front, sni);
    if (scheme == QUICK_UNSAID)
        scheme = default_scheme(front);
    if (!takes_path(&in, at, server->address, scheme))
        return false;
    if (!is_new_server(&in, at, route, server->address) || !join_scheme(&in, route, scheme))
        return false;
    nu_list_add_tail(&route->servers, &server->link);
    quick->last_route = route;
    return true;
}

/* --- files --- */

const char *nu_quick_file_str(enum nu_quick_file file)
{
    static const char *const names[] = {"--tls-cert", "--tls-key", "--tls-ca"};
    nu_assert((unsigned)file < sizeof names / sizeof *names);
    return names[file];
}

/* Where the config is written to, nobody knows. */
static const char *absolute(struct nu_arena *arena, const char *path)
{
    char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
    const char *whole = cwd ? nu_arena_printf(arena, "%s/%s", cwd, path) : path;
    free(cwd);
    return whole;
}

/* Whose file it is; NULL was told. */
static struct quick_tls *owner_of(const struct quick_input *in, struct nu_quick *quick,
                                  enum nu_quick_file file)
{
    if (quick->last_route && quick_has_tls(quick->last_route->scheme))
        return &quick->last_route->tls;
    if (quick->last_route ||
        (quick->last && quick->last->scheme != QUICK_UNSAID && !quick_has_tls(quick->last->scheme)))
        quick_complain(in, in->value, strlen(in->value), NULL,
                       "the address before it is not a tls:// or https:// one");
    else if (quick->last)
        return &quick->last->tls;
    else if (file != NU_QUICK_CA)
        return &quick->common;
    else
        quick_complain(in, in->value, strlen(in->value), NULL,
                       "it belongs behind the --from or --to that it is for");
    return NULL;
}

bool nu_quick_tls(struct nu_quick *quick, enum nu_quick_file file, const char *value)
{
    struct quick_input in = {quick->arena, nu_quick_file_str(file), value};
    struct quick_tls *tls = owner_of(&in, quick, file);
    if (!tls)
        return false;
    bool inherited =
        quick->last && tls == &quick->last->tls && tls->file[file] == quick->common.file[file];
    if (tls->file[file] && !inherited)
        return quick_complain(&in, value, strlen(value), NULL, "the second one for this address");
    tls->file[file] = absolute(quick->arena, value);
    return true;
}

/* --- the whole --- */

static bool missing(const char *option, const char *value, const char *what)
{
    fprintf(stderr, "nuncio run: %s %s: %s\n", option, value, what);
    return false;
}

static bool check_files(const struct quick_tls *tls, const char *option, const char *value)
{
    if (tls->file[NU_QUICK_KEY] && !tls->file[NU_QUICK_CERT])
        return missing(option, value, "--tls-key without --tls-cert");
    return true;
}

/* What both sides of a front speak. */
static bool check_pair(const struct quick_front *front, const struct quick_route *route,
                       const char *server)
{
    if ((route->scheme == QUICK_UDP) != (front->scheme == QUICK_UDP))
        return missing("--to", server,
                       "udp:// goes to udp:// only: datagrams and streams do not mix");
    if (quick_has_http(route->scheme) != quick_has_http(front->scheme))
        return missing("--to", server,
                       "http:// and https:// go to http:// and https:// only; what passes on any "
                       "bytes is tcp:// or tls:// on both sides");
    if (route->sni && front->scheme == QUICK_HTTP)
        return missing("--to", server, "without TLS there is no server name; https:// has one");
    return true;
}

static bool check_routes(const struct quick_front *front)
{
    if (front->scheme == QUICK_UDP && strncmp(front->bind, "unix:", 5) == 0)
        return missing("--from", front->value, "datagrams do not go to UNIX sockets");
    nu_list_each (link, &front->routes) {
        const struct quick_route *route = nu_container(link, struct quick_route, link);
        const struct quick_server *server =
            nu_container(route->servers.next, struct quick_server, link);
        if (!check_pair(front, route, server->address))
            return false;
        if (!check_files(&route->tls, "--to", server->address))
            return false;
    }
    return true;
}

/* The scheme of a front that has none: that of where it goes, with TLS where it has a certificate.
 */
static enum quick_scheme settled(const struct quick_front *front, enum quick_scheme to)
{
    if (front->scheme != QUICK_UNSAID)
        return front->scheme;
    if (!front->tls.file[NU_QUICK_CERT])
        return to;
    return quick_has_http(to) ? QUICK_HTTPS : QUICK_TLS;
}

static bool settle_front(struct quick_front *front)
{
    const struct quick_route *first = nu_container(front->routes.next, struct quick_route, link);
    const char *const *file = front->tls.file;
    bool said = front->scheme != QUICK_UNSAID;
    if (nu_list_empty(&front->routes))
        return missing("--from", front->value, "no --to stands behind it");
    front->scheme = settled(front, first->scheme);
    if (!check_files(&front->tls, "--from", front->value))
        return false;
    if (quick_has_tls(front->scheme) && !file[NU_QUICK_CERT])
        return missing("--from", front->value,
                       said ? "it needs --tls-cert FILE and --tls-key FILE"
                            : "it takes TLS as its --to does, so it needs --tls-cert FILE and "
                              "--tls-key FILE; plain is tcp:// or http://");
    if (!quick_has_tls(front->scheme) && file[NU_QUICK_CA])
        return missing("--from", front->value, "--tls-ca without --tls-cert");
    return check_routes(front);
}

const char *nu_quick_config(struct nu_quick *quick)
{
    size_t len;
    nu_list_each (link, &quick->fronts) {
        if (!settle_front(nu_container(link, struct quick_front, link)))
            return NULL;
    }
    free(quick->yaml);
    FILE *out = open_memstream(&quick->yaml, &len);
    nu_assert(out != NULL);
    quick_put_config(out, quick);
    nu_assert(fclose(out) == 0);
    return quick->yaml;
}
