/* The schema of `match`: the conditions of a route, and what is wrong with one of them. Main
 * thread. */
#include "l7/route/route_priv.h"

#include "core/table/domain.h"
#include "core/table/hash.h"
#include "protocols/http/path.h"

#include <string.h>
#include <strings.h>

/* --- conditions --- */

/* With a port it would never match: ports do not count. */
static bool has_port(const char *text)
{
    const char *colon = strrchr(text, ':');
    return colon && colon[1] && !colon[1 + strspn(colon + 1, "0123456789")];
}

static bool is_host(const char *text, const char **reason)
{
    struct route_host host = route_host_of(nu_text(text, strlen(text)));
    if (host.ip_len && host.name.len == strlen(text))
        return true;
    if (nu_domain_check(text, strlen(text), reason) == NU_OK)
        return true;
    if (has_port(text) && !nu_domain_is_ip(text, strlen(text)))
        *reason = "leave the port away: it does not count";
    else if (nu_domain_is_ip(text, strlen(text)))
        *reason = "an IPv6 address stands in brackets here";
    return false;
}

static enum nu_err parse_host(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    const char *reason = "expected a host, \"*.suffix\" or \"*\"";
    bool scalar = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node);
    if (!scalar || !is_host(node->text, &reason)) {
        if (scalar)
            nu_conf_error(conf, node, "\"%.80s\" is no host: %s", node->text, reason);
        else
            nu_conf_error(conf, node, "%s", reason);
        return NU_ERR_CONFIG;
    }
    char *host = nu_arena_strdup(arena, node->text);
    size_t len = strlen(host);
    for (size_t i = 0; i < len; i++)
        host[i] = (char)nu_fold((uint8_t)host[i]);
    if (len > 1 && host[len - 1] == '.')
        host[len - 1] = 0;
    *(const char **)out = host;
    return NU_OK;
}

/* What no request has in its path, for they come normalized (path.h). */
static enum nu_err check_normal(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, bool prefix)
{
    static const struct nu_path_policy policy = {.slashes = NU_SLASHES_KEEP};
    const char *text = prefix ? nu_arena_printf(arena, "%sx", node->text) : node->text;
    size_t len = strlen(text);
    struct nu_text normal;
    enum nu_path_error error = nu_path_normalize(policy, nu_text(text, len), arena, &normal);
    if (error == NU_PATH_FINE && normal.len == len && memcmp(normal.at, text, len) == 0)
        return NU_OK;
    nu_conf_error(conf, node, "no request has this in its path: %s",
                  error == NU_PATH_ESCAPE ? "behind \"%\" stand two hexadecimal digits"
                  : error                 ? "it would be refused"
                          : "dot segments and needless escapes are taken out before");
    if (!error)
        nu_conf_guess(conf, nu_arena_strndup(arena, normal.at, normal.len - prefix));
    return NU_ERR_CONFIG;
}

static enum nu_err parse_exact(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    if (node->kind == NU_NODE_SCALAR && strcmp(node->text, "*") == 0) {
        *(const char **)out = "*"; /* of OPTIONS */
        return NU_OK;
    }
    enum nu_err err = route_path_text(conf, arena, node, "?#", out);
    return err ? err : check_normal(conf, arena, node, false);
}

static enum nu_err parse_prefix(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    enum nu_err err = route_path_text(conf, arena, node, "?#", out);
    return err ? err : check_normal(conf, arena, node, true);
}

static enum nu_err parse_method(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    static const char *const known[] = {
#define NAME(name) #name,
        NU_METHOD_LIST(NAME)
#undef NAME
    };
    bool scalar = node->kind == NU_NODE_SCALAR && !nu_node_is_null(node);
    if (!scalar || !nu_http_name_ok(nu_text(node->text, strlen(node->text)))) {
        nu_conf_error(conf, node, "expected a method like GET");
        return NU_ERR_CONFIG;
    }
    *(const char **)out = nu_arena_strdup(arena, node->text);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(known[i], node->text) == 0 && strcmp(known[i], node->text) != 0) {
            nu_conf_error(conf, node, "capital letters count in methods");
            nu_conf_guess(conf, known[i]);
            return NU_ERR_CONFIG;
        }
    return NU_OK;
}

#define AT(member) offsetof(struct route_match, member)

static const struct nu_field match_fields[] = {
    {.key = "host",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     .item = sizeof(const char *),
     .parse = parse_host,
     .shown = "host",
     .offset = AT(hosts),
     .doc = "Names of hosts: exact, `\"*.suffix\"` for all names below the suffix, `\"*\"` for any "
            "request; or addresses, IPv6 in brackets. Case, port and a trailing dot do not count."},
    {.key = "path",
     .type = NU_CUSTOM,
     .parse = parse_exact,
     .shown = "path",
     .offset = AT(path),
     .doc = "The whole path without the query."},
    {.key = "path_prefix",
     .type = NU_CUSTOM,
     .parse = parse_prefix,
     .shown = "path",
     .offset = AT(path_prefix),
     .doc =
         "What the path begins with, to the letter: `/api` takes `/apis` too, `/api/` does not."},
    {.key = "path_regex",
     .type = NU_CUSTOM,
     .parse = nu_regex_parse,
     .shown = "regular expression",
     .offset = AT(path_regex),
     .doc =
         "What matches anywhere in the path without the query (PCRE2); anchor it with ^ and $ for "
         "the whole."},
    {.key = "method",
     .type = NU_CUSTOM,
     .flags = NU_LIST | NU_NONEMPTY,
     .item = sizeof(const char *),
     .parse = parse_method,
     .shown = "method",
     .offset = AT(methods),
     .doc = "Methods, in capital letters."},
    {.key = "headers",
     .type = NU_CUSTOM,
     .parse = route_headers_parse,
     .shown = "map of names to value conditions",
     .offset = AT(headers),
     .doc =
         "Headers of the request: each a value, or one of {exact, prefix, suffix, contains, regex, "
         "present}, with `invert: true` for the opposite."},
    {.key = "query",
     .type = NU_CUSTOM,
     .parse = route_query_parse,
     .shown = "map of names to value conditions",
     .offset = AT(query),
     .doc =
         "Parameters of the query, as written in the request (nothing is decoded); conditions as "
         "those of `headers`."},
    {0},
};

static enum nu_err check_match(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    const struct route_match *m = out;
    if (!!m->path + !!m->path_prefix + !!m->path_regex <= 1)
        return NU_OK;
    nu_conf_error(conf, node, "give only one of path, path_prefix and path_regex");
    return NU_ERR_CONFIG;
}

const struct nu_schema route_match_schema = {
    .name = "match",
    .doc = "Which requests a route takes: all its conditions have to hold.",
    .size = sizeof(struct route_match),
    .fields = match_fields,
    .check = check_match,
};
