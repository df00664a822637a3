/* Routes and arbitrary heads. The input: method, authority and path, a line each, then fields; no
 * byte is forbidden in the first three. What the tables answer must be what trying every route
 * does; what a rewrite or a redirect makes must be safe to write down. */
#include "core/assert.h"
#include "core/generation.h"
#include "core/worker.h"
#include "l4/cluster.h"
#include "l7/route/route.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 100
#define TARGET_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char config[] =
    "clusters: [{name: a, endpoints: [127.0.0.1:1]}]\n"
    "routes:\n"
    "- {match: {host: a.test, path: /a}, cluster: a}\n"
    "- {match: {host: \"*.a.test\", path_prefix: /p}, cluster: a, rewrite: {path_prefix: /}}\n"
    "- {match: {host: [10.0.0.1, \"[::1]\"], path_prefix: /p/}, cluster: a}\n"
    "- {match: {host: \"*.test\", path_regex: ^/r/(a+)+$}, cluster: a}\n"
    "- {match: {host: a.test, headers: {x: \"1\", cookie: {contains: s}}}, cluster: a}\n"
    "- {match: {path_prefix: /q, query: {q: {present: true}, r: {suffix: z}}}, cluster: a}\n"
    "- {match: {path_prefix: /a, method: [PUT, DELETE]}, redirect: {path_prefix: /, host: b}}\n"
    "- {match: {path_prefix: /b}, redirect: {path_prefix: /}}\n"
    "- {match: {path_prefix: /c}, redirect: {scheme: https, port: 8443}}\n"
    "- {match: {path_regex: ^/d}, redirect: {path_regex: {pattern: ^/d/(.*), with: '\\1'}}}\n"
    "- {match: {path: \"*\"}, respond: 204}\n"
    "- {match: {host: a.test}, connect: true, cluster: a}\n"
    "- {match: {headers: {x: {regex: ^b, invert: true}}, path_prefix: /e}, cluster: a,\n"
    "   rewrite: {path_regex: {pattern: '([^/]*)', with: '<\\1>'}, host: c.test}}\n"
    "- {match: {method: [GET]}, cluster: a, rewrite: {path: \"/new?a=b\"}}\n";

static const struct nu_filter_type left_type = {.name = "left",
                                                .face = NU_FACES(NU_FACE_NONE, NU_FACE_HTTP)};
static const struct nu_filter_type right_type = {.name = "right",
                                                 .face = NU_FACES(NU_FACE_HTTP, NU_FACE_NONE)};

/* Built once and kept: heads are what varies. */
static struct nu_routes *routes;

static void build(void)
{
    static struct nu_generation gen;
    static const struct nu_place left = {&left_type, NULL}, right = {&right_type, NULL};
    nu_workers_init(1);
    struct nu_conf *conf = nu_conf_from_text("t.yaml", "/", config, sizeof config - 1);
    const struct nu_node *root = nu_conf_root(conf);
    gen.arena = nu_arena_new(4096);
    nu_assert(nu_clusters_build(conf, gen.arena, nu_node_get(root, "clusters"), NULL,
                                &gen.clusters) == NU_OK);
    nu_assert(nu_routes_build(&gen, conf, gen.arena, nu_node_get(root, "routes"), NULL, &left,
                              &right, &routes) == NU_OK);
    nu_conf_free(conf);
}

static struct nu_text line(struct nu_text *rest)
{
    const char *end = rest->len ? memchr(rest->at, '\n', rest->len) : NULL;
    struct nu_text text = nu_text(rest->at, end ? (size_t)(end - rest->at) : rest->len);
    size_t skip = text.len + (end != NULL);
    *rest = nu_text(rest->at + skip, rest->len - skip);
    return text;
}

static void read_head(struct nu_http_head *head, struct nu_text rest)
{
    head->version = NU_HTTP_1_1;
    head->method = line(&rest);
    head->method_id = (uint8_t)nu_method_find(head->method.at, head->method.len);
    head->authority = line(&rest);
    head->path = line(&rest);
    for (unsigned i = 0; i < FIELDS_MAX && rest.len; i++) {
        struct nu_text field = line(&rest);
        const char *colon = field.len ? memchr(field.at, ':', field.len) : NULL;
        size_t name = colon ? (size_t)(colon - field.at) : 0;
        if (colon) /* what is no field is refused */
            (void)nu_http_add(head, nu_text(field.at, name),
                              nu_text(colon + 1, field.len - name - 1));
    }
}

static void check_visible(struct nu_text text)
{
    for (size_t i = 0; i < text.len; i++)
        nu_assert(text.at[i] > ' ' && text.at[i] < 0x7f && text.at[i] != '\\');
}

static void check_path(struct nu_text path)
{
    nu_assert(path.len && *path.at == '/' && (path.len == 1 || path.at[1] != '/'));
    check_visible(path);
}

static void use(const struct nu_route *route, struct nu_http_head *head)
{
    struct nu_text before = head->path, to;
    if (route->kind == NU_ROUTE_CLUSTER) {
        enum nu_err err = nu_route_rewrite(route, head, TARGET_MAX);
        nu_assert(head->path.at == before.at || (!err && head->path.len <= TARGET_MAX));
        if (head->path.at != before.at)
            check_path(head->path);
        nu_assert(nu_route_cluster(route, 1) != NULL);
    } else if (route->kind == NU_ROUTE_REDIRECT) {
        unsigned status = nu_route_location(route, head, false, &to);
        nu_assert((status == 400) == (to.len == 0));
        check_visible(to);
        if (to.len && *to.at == '/')
            check_path(to);
        else
            nu_assert(to.len == 0 || memcmp(to.at, "http", 4) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct nu_arena *arena = nu_arena_new(1024);
    struct nu_http_head *head = nu_http_head_new(arena);
    char *text;
    size_t text_len;
    if (!routes)
        build();
    read_head(head, nu_text((const char *)data, len));
    FILE *out = open_memstream(&text, &text_len);
    const struct nu_route *found = nu_routes_find(routes, head);
    nu_assert(nu_routes_explain(routes, head, out) == found);
    nu_assert(fclose(out) == 0);
    free(text);
    if (found)
        use(found, head);
    nu_arena_free(arena);
    return 0;
}
