/* The parts of an address of quick mode, checked with the same friendliness as a file: whatever l4
 * would refuse is told here, in the words of the command line. See quick_priv.h. */
#include "tools/nuncio/quick_priv.h"

#include "core/addr.h"
#include "core/conf/tree.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOST "127.0.0.1"

bool quick_complain(const struct quick_input *in, const char *at, size_t span, const char *guess,
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

/* By enum quick_scheme. */
static const char *const schemes[QUICK_UNSAID] = {"tcp", "tls", "udp", "http", "https"};

bool quick_take_scheme(const struct quick_input *in, const char **at, enum quick_scheme *out)
{
    const char *end = strstr(*at, "://");
    size_t len = end ? (size_t)(end - *at) : 0;
    *out = QUICK_UNSAID;
    if (!end)
        return true;
    char *scheme = nu_arena_strndup(in->arena, *at, len);
    for (unsigned i = 0; i < QUICK_UNSAID; i++)
        if (strcmp(scheme, schemes[i]) == 0) {
            *out = (enum quick_scheme)i;
            *at = end + 3;
            return true;
        }
    return quick_complain(in, *at, len, nu_did_you_mean(scheme, schemes, QUICK_UNSAID),
                          "unknown scheme \"%s\"", scheme);
}

static bool check_port(const struct quick_input *in, const char *port, bool zero_is_fine)
{
    size_t digits = strspn(port, "0123456789"), len = strlen(port);
    long number = digits && digits == len && len <= 5 ? strtol(port, NULL, 10) : -1;
    if (len == 0)
        return quick_complain(in, port, 0, NULL, "a port is missing here");
    if (number < 0 || number > 65535)
        return quick_complain(in, port, len, NULL, "\"%s\" is not a port", port);
    if (number == 0 && !zero_is_fine)
        return quick_complain(in, port, len, NULL, "port 0 cannot be connected to");
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

static bool missing_port(const struct quick_input *in, const char *at)
{
    bool number = *at && at[strspn(at, "0123456789")] == 0;
    char *guess = nu_arena_printf(in->arena, number ? ":%s" : "%s:PORT", at);
    return quick_complain(in, at, strlen(at), guess, "an address is HOST:PORT");
}

static bool bare_ip6(const struct quick_input *in, const char *at)
{
    const char *port = strrchr(at, ':');
    char *guess = nu_arena_printf(in->arena, "[%.*s]%s", (int)(port - at), at, port);
    return quick_complain(in, at, strlen(at), guess, "an IPv6 address stands in brackets");
}

/* A URL of HTTP as an address: without the slash at its end, with the port that it means. The value
 * is changed with it, for carets to stand where they should. NULL: it has a path, which was told.
 */
static const char *complete_url(struct quick_input *in, const char *at, enum quick_scheme scheme)
{
    const char *slash = strchr(at, '/');
    int before = (int)(at - in->value), len = slash ? (int)(slash - at) : (int)strlen(at);
    const char *bracket = strchr(at, ']'), *colon = find_port(at);
    bool port = colon && (at[0] != '[' || (bracket && colon > bracket));
    if (slash && slash[1]) {
        quick_complain(in, slash, strlen(slash), NULL, "paths are for the routes of a config file");
        return NULL;
    }
    in->value = nu_arena_printf(in->arena, "%.*s%s", before + len, in->value,
                                port || !len            ? ""
                                : scheme == QUICK_HTTPS ? ":443"
                                                        : ":80");
    return in->value + before;
}

static bool take_host_and_port(const struct quick_input *in, const char *at, bool front,
                               const char **out)
{
    struct nu_addr addr;
    const char *colon = find_port(at);
    *out = at;
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
    return quick_complain(in, at, (size_t)(colon - at), NULL,
                          front ? "listening needs an IP address, not a name"
                                : "neither an IP address nor a host name");
}

bool quick_take_address(const struct quick_input *in, const char *at, bool front,
                        enum quick_scheme scheme, const char **out)
{
    struct nu_addr addr;
    struct quick_input whole = *in;
    *out = at;
    if (strncmp(at, "unix:", 5) == 0 && nu_addr_parse(&addr, at, -1) == NU_OK)
        return true;
    if (quick_has_http(scheme) && !(at = complete_url(&whole, at, scheme)))
        return false;
    return take_host_and_port(&whole, at, front, out);
}

bool quick_take_sni(const struct quick_input *in, const char **at, const char **sni)
{
    const char *name = *at + 4, *equals;
    *sni = NULL;
    if (strncmp(*at, "sni:", 4) != 0)
        return true;
    equals = strchr(name, '=');
    if (!equals)
        return quick_complain(in, *at, strlen(*at), NULL, "sni:NAME=ADDRESS is expected");
    size_t wild = strncmp(name, "*.", 2) == 0 ? 2 : 0, len = (size_t)(equals - name);
    if (len <= wild || !is_host_name(name + wild, len - wild))
        return quick_complain(in, name, len, NULL,
                              "not a server name like \"a.test\" or \"*.a.test\"");
    char *lower = nu_arena_strndup(in->arena, name, len);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    *sni = lower;
    *at = equals + 1;
    return true;
}
