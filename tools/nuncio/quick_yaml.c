/* Quick mode's config as YAML; see quick_priv.h. */
#include "tools/nuncio/quick_priv.h"

#include <string.h>

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

static void put_proxy(FILE *out, const char *indent, const struct quick_front *front,
                      unsigned cluster)
{
    if (quick_has_http(front->scheme))
        fprintf(out, "%sfilters: [{http: {routes: [{cluster: to%u}]}}]\n", indent, cluster);
    else
        fprintf(out, "%sfilters: [{%s: {cluster: to%u}}]\n", indent,
                front->scheme == QUICK_UDP ? "udp_proxy" : "tcp_proxy", cluster);
}

/* "key: value", behind a comma where something stands before it. */
static void put_pair(FILE *out, const char **comma, const char *key, const char *value)
{
    if (!value)
        return;
    fprintf(out, "%s%s: ", *comma, key);
    put_quoted(out, value);
    *comma = ", ";
}

/* --- listeners --- */

static void put_server_tls(FILE *out, const char *indent, const struct quick_front *front)
{
    const char *const *file = front->tls.file;
    const char *comma = "";
    if (!quick_has_tls(front->scheme))
        return;
    fprintf(out, "%stls: {certificates: [{", indent);
    put_pair(out, &comma, "cert", file[NU_QUICK_CERT]);
    put_pair(out, &comma, "key", file[NU_QUICK_KEY]);
    fputs("}]", out);
    if (file[NU_QUICK_CA]) {
        fputs(", client_certs: {mode: require, ca: ", out);
        put_quoted(out, file[NU_QUICK_CA]);
        fputc('}', out);
    }
    if (quick_has_http(front->scheme))
        fputs(", alpn: [http/1.1]", out);
    fputs("}\n", out);
}

static void put_chain(FILE *out, const struct quick_front *front, const struct quick_route *route,
                      unsigned cluster)
{
    const char *head = "      - ";
    if (route->sni) {
        fprintf(out, "%smatch: {sni: ", head);
        put_quoted(out, route->sni);
        fputs("}\n", out);
        head = "        ";
    }
    if (quick_has_tls(front->scheme)) {
        put_server_tls(out, head, front);
        head = "        ";
    }
    put_proxy(out, head, front, cluster);
}

static const char *bind_of(const struct nu_quick *quick, const struct quick_front *front)
{
    if (front->scheme != QUICK_UDP)
        return front->bind;
    return nu_arena_printf(quick->arena, "udp://%s", front->bind);
}

static void put_front(FILE *out, const struct nu_quick *quick, const struct quick_front *front,
                      unsigned number, unsigned *cluster)
{
    const struct nu_list *first = front->routes.next;
    const struct quick_route *route = nu_container(first, struct quick_route, link);
    fprintf(out, "  - name: from%u\n    bind: ", number);
    put_quoted(out, bind_of(quick, front));
    fputc('\n', out);
    if (first->next == &front->routes && !route->sni) {
        put_server_tls(out, "    ", front);
        put_proxy(out, "    ", front, ++*cluster);
        return;
    }
    fputs("    chains:\n", out);
    nu_list_each (link, &front->routes) {
        put_chain(out, front, nu_container(link, struct quick_route, link), ++*cluster);
    }
}

/* --- clusters --- */

static void put_client_tls(FILE *out, const struct quick_route *route)
{
    const char *comma = "";
    if (!quick_has_tls(route->scheme))
        return;
    fputs("    tls: {", out);
    put_pair(out, &comma, "ca", route->tls.file[NU_QUICK_CA]);
    put_pair(out, &comma, "cert", route->tls.file[NU_QUICK_CERT]);
    put_pair(out, &comma, "key", route->tls.file[NU_QUICK_KEY]);
    fputs("}\n", out);
}

static void put_cluster(FILE *out, const struct quick_route *route, unsigned number)
{
    const char *comma = "";
    fprintf(out, "  - name: to%u\n    endpoints: [", number);
    nu_list_each (link, &route->servers) {
        fputs(comma, out);
        put_quoted(out, nu_container(link, struct quick_server, link)->address);
        comma = ", ";
    }
    fputs("]\n", out);
    put_client_tls(out, route);
}

void quick_put_config(FILE *out, const struct nu_quick *quick)
{
    unsigned number = 0, cluster = 0;
    fputs("listeners:\n", out);
    nu_list_each (link, &quick->fronts) {
        put_front(out, quick, nu_container(link, struct quick_front, link), ++number, &cluster);
    }
    cluster = 0;
    fputs("clusters:\n", out);
    nu_list_each (link, &quick->fronts) {
        nu_list_each (route, &nu_container(link, struct quick_front, link)->routes) {
            put_cluster(out, nu_container(route, struct quick_route, link), ++cluster);
        }
    }
}
