/* `nuncio explain`: which chain and which route would take a request, and why the others do not.
 * Nothing is opened: the config is built as for `check`, the request is read by the parser that
 * listeners use. */
#include "tools/nuncio/command.h"

#include "core/assert.h"
#include "core/table/domain.h"
#include "core/worker.h"
#include "l4/listener.h"
#include "l4/match.h"
#include "l7/http.h"
#include "l7/route/route.h"
#include "tools/nuncio/server.h"

#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX 100
#define CLIENT      "127.0.0.1:1024" /* where nothing else is said */

enum { OPT_CLIENT = 256 };

/* What was asked for. */
struct question {
    const char *path; /* of the config */
    const char *request;
    const char *client;
    const char *headers[HEADERS_MAX];
    unsigned header_count;
};

/* The same, taken apart. */
struct asked {
    struct nu_arena *arena;
    struct nu_text method, authority, target; /* the target has path and query */
    bool https;
    uint16_t port; /* 0: none was given */
    char *wire;    /* as the client would send it */
    size_t wire_len;
    struct nu_addr client;
    struct nu_match_input in;
    bool taken; /* by a route, or by a chain that is not of HTTP */
};

/* --- the request --- */

static bool take_scheme(struct nu_text *url, bool *https)
{
    static const struct {
        const char *text;
        bool https;
    } schemes[] = {
        {"http://",  false},
        {"https://", true }
    };
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(schemes[i].text);
        if (url->len < len || strncasecmp(url->at, schemes[i].text, len) != 0)
            continue;
        *url = nu_text(url->at + len, url->len - len);
        *https = schemes[i].https;
        return true;
    }
    return false;
}

/* "GET https://host:port/path?query"; the method may be missing, the scheme for CONNECT. */
static bool read_request(struct asked *a, const char *text)
{
    const char *space = strchr(text, ' ');
    a->method = space ? nu_text(text, (size_t)(space - text)) : NU_TEXT("GET");
    const char *at = space ? space + 1 : text;
    struct nu_text url = nu_text(at, strlen(at));
    bool connect = nu_text_is(a->method, "CONNECT");
    if (!take_scheme(&url, &a->https) && !connect)
        return false;
    size_t host = 0;
    while (host < url.len && !strchr("/?", url.at[host]))
        host++;
    a->authority = nu_text(url.at, host);
    a->target = nu_text(url.at + host, url.len - host);
    if (connect)
        a->target = a->authority;
    else if (a->target.len == 0 || *a->target.at != '/')
        a->target.at = nu_arena_printf(a->arena, "/%.*s", (int)a->target.len, a->target.at);
    a->target.len = connect ? host : strlen(a->target.at);
    return host > 0;
}

static void write_request(struct asked *a, const struct question *q)
{
    bool host = false;
    FILE *out = open_memstream(&a->wire, &a->wire_len);
    nu_assert(out != NULL);
    fprintf(out, "%.*s %.*s HTTP/1.1\r\n", (int)a->method.len, a->method.at, (int)a->target.len,
            a->target.at);
    for (unsigned i = 0; i < q->header_count; i++) {
        host = host || strncasecmp(q->headers[i], "host:", 5) == 0;
        fprintf(out, "%s\r\n", q->headers[i]);
    }
    if (!host)
        fprintf(out, "Host: %.*s\r\n", (int)a->authority.len, a->authority.at);
    fputs("\r\n", out);
    nu_assert(fclose(out) == 0);
}

/* What the connection says of itself: the name and protocols that a browser would ask for. */
static void read_connection(struct asked *a)
{
    const char *host = nu_arena_strndup(a->arena, a->authority.at, a->authority.len);
    const char *colon = strrchr(host, ':');
    if (colon && !strchr(colon, ']')) {
        a->port = (uint16_t)strtoul(colon + 1, NULL, 10);
        host = nu_arena_strndup(a->arena, host, (size_t)(colon - host));
    }
    a->in.client = &a->client;
    a->in.transport = a->https ? NU_TRANSPORT_TLS : NU_TRANSPORT_PLAIN;
    if (!a->https)
        return;
    a->in.alpn[a->in.alpn_count++] = (struct nu_match_name){"h2", 2};
    a->in.alpn[a->in.alpn_count++] = (struct nu_match_name){"http/1.1", 8};
    if (!nu_domain_is_ip(host, strlen(host)))
        a->in.sni = (struct nu_match_name){host, strlen(host)};
}

/* --- the chain that takes it --- */

static const struct nu_http_conf *http_of(const struct nu_chain_conf *chain)
{
    for (unsigned i = 0; i < chain->place_count; i++)
        if (strcmp(chain->places[i].type->name, "http") == 0)
            return chain->places[i].conf;
    return NULL;
}

static bool has_filter(const struct nu_chain_conf *chain, const char *name)
{
    for (unsigned i = 0; i < chain->place_count; i++)
        if (strcmp(chain->places[i].type->name, name) == 0)
            return true;
    return false;
}

static void tell_filters(const struct nu_chain_conf *chain, FILE *out)
{
    fputs("    ", out);
    for (unsigned i = 0; i < chain->place_count; i++)
        fprintf(out, "%s%s", i ? ", " : "", chain->places[i].type->name);
    fputc('\n', out);
}

/* The head as the http filter has it when it looks for a route. NULL: it was told why not. */
static struct nu_http_head *read_head(const struct nu_http_conf *http, struct asked *a, FILE *out)
{
    struct nu_h1_parser parser;
    struct nu_h1_out got;
    struct nu_slice in = {(const uint8_t *)a->wire, a->wire_len, NULL};
    nu_h1_init(&parser, &http->limits);
    nu_h1_begin_request(&parser, a->arena);
    if (nu_h1_read(&parser, &in, &got) != NU_H1_HEAD) {
        fprintf(out, "    refused: %s\n", nu_h1_error_str(got.error));
        return NULL;
    }
    enum nu_path_error error =
        nu_path_normalize(http->path, got.head->path, a->arena, &got.head->path);
    if (!error)
        return got.head;
    fprintf(out, "    refused: %s\n", nu_path_error_str(error));
    return NULL;
}

static void tell_routes(const struct nu_http_conf *http, struct asked *a, FILE *out)
{
    char *misses;
    size_t len;
    struct nu_http_head *head = read_head(http, a, out);
    if (!head)
        return;
    FILE *lines = open_memstream(&misses, &len);
    nu_assert(lines != NULL);
    const struct nu_route *route = nu_routes_explain(http->routes, head, lines);
    nu_assert(fclose(lines) == 0);
    for (const char *at = misses; *at; at += strcspn(at, "\n") + 1)
        fprintf(out, "    %.*s\n", (int)strcspn(at, "\n"), at);
    if (route) {
        fprintf(out, "    %s takes it: ", route->name);
        nu_route_tell(route, head, a->https, out);
        a->taken = true;
    } else {
        fputs("    no route takes it: 404\n", out);
    }
    nu_http_head_drop(head);
    free(misses);
}

static void tell_chosen(const struct nu_chain_conf *chain, FILE *out, void *ctx)
{
    struct asked *a = ctx;
    const struct nu_http_conf *http = http_of(chain);
    tell_filters(chain, out);
    if (!a->https && has_filter(chain, "tls"))
        fputs("    refused: the chain expects TLS, an http:// request has none\n", out);
    else if (!http)
        a->taken = true;
    else if (a->https && !has_filter(chain, "tls"))
        fputs("    refused: the chain expects plain HTTP, an https:// request begins with TLS\n",
              out);
    else
        tell_routes(http, a, out);
}

/* --- the command --- */

static enum nu_exit tell(struct nu_generation *gen, struct asked *a)
{
    const struct nu_listeners *listeners = gen->listeners;
    unsigned told =
        nu_listeners_explain(listeners, gen->conf, a->port, &a->in, stdout, tell_chosen, a);
    if (!told && a->port) /* a port may be mapped on the way */
        told = nu_listeners_explain(listeners, gen->conf, 0, &a->in, stdout, tell_chosen, a);
    if (!told)
        puts("no listener");
    return a->taken ? NU_EXIT_OK : NU_EXIT_FAILED;
}

static enum nu_exit explain(const struct nu_args *args, const struct question *q)
{
    enum nu_exit code = NU_EXIT_USAGE;
    struct asked a = {.arena = nu_arena_new(1024)};
    if (!read_request(&a, q->request)) {
        nu_usage_error(args, "\"%s\" is no request like 'GET https://host/path'", q->request);
    } else if (nu_addr_parse(&a.client, q->client, 1024) != NU_OK) {
        nu_usage_error(args, "\"%s\" is no address", q->client);
    } else {
        write_request(&a, q);
        read_connection(&a);
        nu_workers_init(1);
        struct nu_generation *gen = nu_load_open(&(struct nu_source){.path = q->path});
        nu_load_build(gen, NULL);
        code = nu_conf_failed(gen->conf) ? NU_EXIT_FAILED : tell(gen, &a);
        if (nu_conf_failed(gen->conf))
            fputs(nu_conf_report(gen->conf), stderr);
        nu_load_discard(gen, NULL);
        nu_workers_free();
        free(a.wire);
    }
    nu_arena_free(a.arena);
    return code;
}

static enum nu_exit run_explain(struct nu_args *args)
{
    struct question q = {.client = CLIENT};
    for (int id; (id = nu_args_next(args)) != NU_ARG_END;) {
        if (id == NU_ARG_LEAVE)
            return args->leave;
        if (id == NU_ARG_OPERAND && q.request)
            return nu_usage_error(args, "one request at a time");
        if (id == 'H' && q.header_count == HEADERS_MAX)
            return nu_usage_error(args, "at most %d headers", HEADERS_MAX);
        if (id == NU_ARG_OPERAND)
            q.request = args->value;
        else if (id == 'c')
            q.path = args->value;
        else if (id == 'H')
            q.headers[q.header_count++] = args->value;
        else
            q.client = args->value;
    }
    if (!q.path)
        return nu_usage_error(args, "which file? -c FILE");
    if (!q.request)
        return nu_usage_error(args, "which request? 'GET https://host/path'");
    return explain(args, &q);
}

static const struct nu_option options[] = {
    {"config",         "FILE", 'c', "the config file, YAML or JSON"},
    {"header",             "'NAME: VALUE'", 'H', "a header of the request; repeatable"},
    {"client",                "ADDRESS", OPT_CLIENT, "where it comes from, by default 127.0.0.1"},
    {0}
};

const struct nu_command nu_command_explain = {
    .name = "explain",
    .summary = "say which chain and route would take a request, and why the others not",
    .usage = "explain -c FILE 'GET https://host/path' [-H 'name: value']...",
    .help =
        "Every listener that binds the URL's port is told of; without a port, or when none does,\n"
        "all of them. An https:// request names its host by SNI and offers h2 and http/1.1.\n"
        "Exit code 1 if the config is wrong or nothing takes the request.\n",
    .options = options,
    .run = run_explain,
};
