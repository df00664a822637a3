/* Routes told to people: which one takes a request and why those before it do not, and which of
 * them can never be reached. Main thread. */
#include "l7/route/route_priv.h"

#include "core/assert.h"
#include "core/table/strmap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTED 3 /* hosts or methods in a line */

/* --- explain --- */

struct teller {
    FILE *out;
    struct nu_arena *arena;
    const struct route_view *view;
};

/* "a.test, b.test and 3 more". */
static void put_list(FILE *out, const struct nu_vec *vec)
{
    const char *const *items = vec->items;
    for (size_t i = 0; i < vec->count && i < LISTED; i++)
        fprintf(out, "%s%s", i ? ", " : "", items[i]);
    if (vec->count > LISTED)
        fprintf(out, " and %zu more", vec->count - LISTED);
}

static void put_text(FILE *out, struct nu_text text)
{
    fprintf(out, "%.*s", (int)text.len, text.len ? text.at : "");
}

typedef void tell_fn(const struct teller *t, const struct route *r, size_t at);

static void tell_connect(const struct teller *t, const struct route *r, size_t at)
{
    fputs(r->route.connect ? "takes CONNECT alone" : "takes no CONNECT", t->out);
}

static void tell_host(const struct teller *t, const struct route *r, size_t at)
{
    fputs("host ", t->out);
    put_text(t->out, t->view->host.name.len ? t->view->host.name : NU_TEXT("(none)"));
    fputs(" is not ", t->out);
    put_list(t->out, &r->match.hosts);
}

static void tell_path(const struct teller *t, const struct route *r, size_t at)
{
    const struct route_match *m = &r->match;
    fputs("path ", t->out);
    put_text(t->out, t->view->path.len ? t->view->path : NU_TEXT("(none)"));
    if (m->path)
        fprintf(t->out, " is not %s", m->path);
    else if (m->path_prefix)
        fprintf(t->out, " does not begin with %s", m->path_prefix);
    else
        fprintf(t->out, " does not match %s", nu_regex_text(m->path_regex));
}

static void tell_method(const struct teller *t, const struct route *r, size_t at)
{
    fputs("method ", t->out);
    put_text(t->out, t->view->method);
    fputs(" is not ", t->out);
    put_list(t->out, &r->match.methods);
}

static void tell_header(const struct teller *t, const struct route *r, size_t at)
{
    const struct route_value *value = (const struct route_value *)r->match.headers.items + at;
    fprintf(t->out, "not so: %s", route_value_text(value, "header", t->arena));
}

static void tell_query(const struct teller *t, const struct route *r, size_t at)
{
    const struct route_value *value = (const struct route_value *)r->match.query.items + at;
    fprintf(t->out, "not so: %s", route_value_text(value, "parameter", t->arena));
}

static tell_fn *const tellers[] = {
    [ROUTE_PART_CONNECT] = tell_connect, [ROUTE_PART_HOST] = tell_host,
    [ROUTE_PART_PATH] = tell_path,       [ROUTE_PART_METHOD] = tell_method,
    [ROUTE_PART_HEADER] = tell_header,   [ROUTE_PART_QUERY] = tell_query,
};

const struct nu_route *nu_routes_explain(const struct nu_routes *routes,
                                         const struct nu_http_head *request, FILE *out)
{
    struct route_view view = route_view_of(request);
    const struct nu_route *found = NULL;
    struct teller t = {out, nu_arena_new(1024), &view};
    for (uint32_t i = 0; i < routes->count; i++) {
        const struct route *r = &routes->routes[i];
        size_t at;
        enum route_part miss = route_first_miss(r, &view, &at);
        if (miss == ROUTE_PART_NONE) {
            found = &r->route;
            break;
        }
        fprintf(out, "%s: ", r->route.name);
        tellers[miss](&t, r, at);
        fputc('\n', out);
    }
    nu_arena_free(t.arena);
    return found;
}

/* --- what a route does --- */

static void tell_clusters(const struct nu_route *route, FILE *out)
{
    fputs(route->share_count > 1 ? "clusters" : "cluster", out);
    for (unsigned i = 0; i < route->share_count; i++) {
        fprintf(out, "%s %s", i ? "," : "", route->shares[i].name);
        if (route->share_count > 1)
            fprintf(out, " (%" PRId64 " of %" PRId64 ")", route->shares[i].weight,
                    route->weight_sum);
    }
}

static void tell_rewritten(const struct nu_route *route, struct nu_http_head *request, FILE *out)
{
    enum nu_err err = nu_route_rewrite(route, request, SIZE_MAX);
    if (err) {
        fputs(", but the path cannot be rewritten", out);
        return;
    }
    fputs(" as ", out);
    put_text(out, request->path);
    fputs(" on ", out);
    put_text(out, request->authority.len ? request->authority : NU_TEXT("(no host)"));
}

void nu_route_tell(const struct nu_route *route, struct nu_http_head *request, bool https,
                   FILE *out)
{
    struct nu_text location;
    if (route->kind == NU_ROUTE_CLUSTER) {
        tell_clusters(route, out);
        if (route->rewrite)
            tell_rewritten(route, request, out);
    } else if (route->kind == NU_ROUTE_REDIRECT) {
        fprintf(out, "redirect %u ", nu_route_location(route, request, https, &location));
        put_text(out, location);
    } else {
        fprintf(out, "respond %u", route->respond->status);
    }
    fputc('\n', out);
}

/* --- routes that nobody reaches --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The texts in order, so that two lists of the same are the same. */
static void put_sorted(FILE *out, struct nu_arena *arena, const char *what, const char **texts,
                       size_t count)
{
    const char **sorted = nu_arena_alloc(arena, (count + 1) * sizeof *sorted);
    memcpy(sorted, texts, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_text);
    fprintf(out, "\n%s", what);
    for (size_t i = 0; i < count; i++)
        fprintf(out, " %s", sorted[i]);
}

static void put_values(FILE *out, struct nu_arena *arena, const char *what,
                       const struct nu_vec *vec)
{
    const struct route_value *values = vec->items;
    const char **texts = nu_arena_alloc(arena, (vec->count + 1) * sizeof *texts);
    for (size_t i = 0; i < vec->count; i++)
        texts[i] = route_value_text(&values[i], what, arena);
    put_sorted(out, arena, what, texts, vec->count);
}

/* All conditions in one way of writing. */
static void put_match(FILE *out, struct nu_arena *arena, const struct route *r)
{
    const struct route_match *m = &r->match;
    fprintf(out, "%d\n%s\n%s\n%s", r->route.connect, m->path ? m->path : "",
            m->path_prefix ? m->path_prefix : "",
            m->path_regex ? nu_regex_text(m->path_regex) : "");
    if (m->hosts.count)
        put_sorted(out, arena, "host", m->hosts.items, m->hosts.count);
    if (m->methods.count)
        put_sorted(out, arena, "method", m->methods.items, m->methods.count);
    put_values(out, arena, "header", &m->headers);
    put_values(out, arena, "query", &m->query);
}

static bool takes_all(const struct route *r)
{
    const struct route_match *m = &r->match;
    bool any_host = m->hosts.count == 0;
    for (size_t i = 0; i < m->hosts.count; i++)
        any_host = any_host || strcmp(((const char *const *)m->hosts.items)[i], "*") == 0;
    bool any_path = !m->path && !m->path_regex && (!m->path_prefix || !m->path_prefix[1]);
    return any_host && any_path && !route_has_rest(r);
}

/* The route before this one that has all its requests, as far as that is plain to see. */
static const struct route *hidden_by(struct nu_strmap *seen, struct nu_arena *arena,
                                     const struct route *r, const struct route *all)
{
    char *text;
    size_t len;
    bool asterisk = r->match.path && *r->match.path == '*'; /* no prefix has it */
    if (all && !asterisk)
        return all;
    FILE *out = open_memstream(&text, &len);
    nu_assert(out != NULL);
    put_match(out, arena, r);
    nu_assert(fclose(out) == 0);
    const struct route *before = nu_strmap_get(seen, text, len);
    if (!before)
        nu_strmap_put(seen, text, len, (void *)r);
    free(text);
    return before;
}

void route_warn_hidden(struct nu_conf *conf, const struct nu_node *list,
                       const struct nu_routes *routes)
{
    struct nu_strmap *seen = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    struct nu_arena *arena = nu_arena_new(4096);
    const struct route *all[2] = {NULL, NULL}; /* that takes all requests; all CONNECTs */
    for (uint32_t i = 0; i < routes->count; i++) {
        const struct route *r = &routes->routes[i], **taken = &all[r->route.connect];
        const struct route *before = hidden_by(seen, arena, r, *taken);
        if (before)
            nu_conf_warn(conf, list->kind == NU_NODE_LIST ? list->child[i] : list,
                         "no request gets here: %s before takes them", before->route.name);
        if (!*taken && takes_all(r))
            *taken = r;
    }
    nu_arena_free(arena);
    nu_strmap_free(seen);
}
