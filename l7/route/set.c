/* Sets of routes; see set.h. */
#include "l7/route/set.h"

#include "core/assert.h"
#include "core/table/hash.h"
#include "core/table/strmap.h"

#include <string.h>

/* Indexes of routes, ascending. */
struct list {
    uint32_t *at;
    uint32_t count, cap;
};

/* Things that a request can have. */
enum kind { KIND_METHOD = 'm', KIND_HEADER = 'h', KIND_QUERY = 'q' };

struct files {
    struct nu_strmap *map;                     /* key -> struct list */
    struct nu_text names[ROUTE_SET_NAMES_MAX]; /* of headers in keys */
    uint32_t name_count;                       /* one more than fit: all fields are looked at */
    bool methods, queries;                     /* kinds of keys there are */
};

struct route_set {
    struct nu_arena *arena;
    const struct route *routes;
    struct list tried;   /* in turn; before sealing: all */
    struct files *files; /* NULL: none */
    bool regexes;        /* of paths */
    bool closed;         /* nobody gets behind the last one: it asks for nothing more */
};

struct key {
    size_t len; /* 0: too long to be one */
    char text[ROUTE_SET_KEY_MAX];
};

static void push(struct nu_arena *arena, struct list *list, uint32_t index)
{
    if (list->count == list->cap) {
        uint32_t cap = list->cap ? 2 * list->cap : 2;
        uint32_t *at = nu_arena_alloc(arena, cap * sizeof *at);
        if (list->count)
            memcpy(at, list->at, list->count * sizeof *at);
        list->at = at;
        list->cap = cap;
    }
    list->at[list->count++] = index;
}

struct route_set *route_set_new(struct nu_arena *arena)
{
    struct route_set *set = nu_arena_alloc(arena, sizeof *set);
    set->arena = arena;
    return set;
}

void route_set_add(struct route_set *set, const struct route *r)
{
    bool again = set->tried.count && set->tried.at[set->tried.count - 1] == r->index;
    if (set->closed || again)
        return;
    push(set->arena, &set->tried, r->index);
    set->closed = !route_has_rest(r) && !r->match.path_regex;
}

/* --- keys --- */

static void make_key(struct key *key, enum kind kind, struct nu_text name, struct nu_text value)
{
    key->len = 0;
    if (name.len + value.len + 2 > sizeof key->text)
        return;
    key->text[0] = (char)kind;
    for (size_t i = 0; i < name.len; i++)
        key->text[1 + i] = kind == KIND_HEADER ? (char)nu_fold((uint8_t)name.at[i]) : name.at[i];
    key->text[1 + name.len] = 0; /* no name has it */
    if (value.len)
        memcpy(key->text + 2 + name.len, value.at, value.len);
    key->len = name.len + value.len + 2;
}

static void method_key(struct key *key, const char *method)
{
    make_key(key, KIND_METHOD, nu_text("", 0), nu_text(method, strlen(method)));
}

/* The i-th thing that a route demands literally: its headers, its parameters, then its methods (all
 * of which are one thing). False at the end. */
static bool demand(const struct route *r, size_t i, struct key *key, const struct route_value **of)
{
    const struct nu_vec *vecs[] = {&r->match.headers, &r->match.query};
    for (size_t v = 0; v < 2; v++) {
        if (i >= vecs[v]->count) {
            i -= vecs[v]->count;
            continue;
        }
        const struct route_value *value = (const struct route_value *)vecs[v]->items + i;
        key->len = 0;
        if (value->kind == ROUTE_VALUE_EXACT && !value->inverted)
            make_key(key, v ? KIND_QUERY : KIND_HEADER, value->name, value->text);
        *of = value;
        return true;
    }
    *of = NULL;
    if (i > 0 || r->match.methods.count == 0)
        return false;
    method_key(key, ((const char *const *)r->match.methods.items)[0]);
    return true;
}

/* --- sealing --- */

/* How often each key is demanded: numbers, as pointers. */
static struct nu_strmap *count_keys(const struct route_set *set)
{
    struct nu_strmap *counts = nu_strmap_new(NULL, NU_STRMAP_EXACT);
    const struct route_value *of;
    struct key key;
    for (uint32_t i = 0; i < set->tried.count; i++)
        for (size_t d = 0; demand(&set->routes[set->tried.at[i]], d, &key, &of); d++) {
            if (!key.len)
                continue;
            uintptr_t n = (uintptr_t)nu_strmap_get(counts, key.text, key.len);
            nu_strmap_put(counts, key.text, key.len, (void *)(n + 1));
        }
    return counts;
}

static void file(struct route_set *set, const struct key *key, uint32_t index)
{
    struct list *list = nu_strmap_get(set->files->map, key->text, key->len);
    if (!list) {
        list = nu_arena_alloc(set->arena, sizeof *list);
        nu_strmap_put(set->files->map, key->text, key->len, list);
    }
    if (list->count == 0 || list->at[list->count - 1] != index)
        push(set->arena, list, index);
}

static void note_name(struct files *files, struct nu_text name)
{
    for (uint32_t i = 0; i < files->name_count && i < ROUTE_SET_NAMES_MAX; i++)
        if (nu_text_is(name, files->names[i].at))
            return;
    if (files->name_count < ROUTE_SET_NAMES_MAX)
        files->names[files->name_count] = name;
    if (files->name_count <= ROUTE_SET_NAMES_MAX)
        files->name_count++;
}

/* Under its rarest demand. False: it has none. */
static bool file_route(struct route_set *set, const struct route *r, const struct nu_strmap *counts)
{
    struct key key, best = {0};
    const struct route_value *of, *best_of = NULL;
    uintptr_t fewest = 0;
    for (size_t d = 0; demand(r, d, &key, &of); d++) {
        uintptr_t n = key.len ? (uintptr_t)nu_strmap_get(counts, key.text, key.len) : 0;
        if (n && (!fewest || n < fewest)) {
            fewest = n;
            best = key;
            best_of = of;
        }
    }
    if (!fewest)
        return false;
    if (best_of) {
        file(set, &best, r->index);
        if (best.text[0] == KIND_HEADER)
            note_name(set->files, best_of->name);
        else
            set->files->queries = true;
        return true;
    }
    const char *const *methods = r->match.methods.items;
    for (size_t i = 0; i < r->match.methods.count; i++) {
        method_key(&best, methods[i]);
        if (best.len)
            file(set, &best, r->index);
    }
    set->files->methods = true;
    return true;
}

void route_set_seal(struct route_set *set, const struct route *routes, bool regexes)
{
    set->routes = routes;
    set->regexes = regexes;
    if (set->tried.count <= ROUTE_SET_FEW)
        return;
    struct list all = set->tried;
    struct nu_strmap *counts = count_keys(set);
    set->tried = (struct list){0};
    set->files = nu_arena_alloc(set->arena, sizeof *set->files);
    set->files->map = nu_strmap_new(set->arena, NU_STRMAP_EXACT);
    for (uint32_t i = 0; i < all.count; i++)
        if (!file_route(set, &routes[all.at[i]], counts))
            push(set->arena, &set->tried, all.at[i]);
    nu_strmap_free(counts);
}

/* --- finding --- */

static uint32_t try_list(const struct route_set *set, const struct list *list,
                         const struct route_view *view, uint32_t best)
{
    for (uint32_t i = 0; i < list->count && list->at[i] < best; i++) {
        const struct route *r = &set->routes[list->at[i]];
        if (route_has_rest(r) && !route_rest_fits(r, view))
            continue;
        if (!set->regexes || route_path_fits(&r->match, view))
            return list->at[i];
    }
    return best;
}

static uint32_t try_key(const struct route_set *set, const struct route_view *view,
                        const struct key *key, uint32_t best)
{
    const struct nu_strmap *map = set->files->map;
    const struct list *list = key->len ? nu_strmap_get(map, key->text, key->len) : NULL;
    return list ? try_list(set, list, view, best) : best;
}

static uint32_t try_field(const struct route_set *set, const struct route_view *view,
                          const struct nu_http_field *field, uint32_t best)
{
    struct key key;
    make_key(&key, KIND_HEADER, nu_text(field->name, field->name_len), nu_http_field_value(field));
    return try_key(set, view, &key, best);
}

static uint32_t try_headers(const struct route_set *set, const struct route_view *view,
                            uint32_t best)
{
    const struct files *files = set->files;
    const struct nu_http_field *f = NULL;
    if (files->name_count > ROUTE_SET_NAMES_MAX) {
        while ((f = nu_http_each(view->head, f)))
            best = try_field(set, view, f, best);
        return best;
    }
    for (uint32_t i = 0; i < files->name_count; i++)
        for (f = nu_http_find(view->head, files->names[i]); f; f = nu_http_next(view->head, f))
            best = try_field(set, view, f, best);
    return best;
}

static uint32_t try_query(const struct route_set *set, const struct route_view *view, uint32_t best)
{
    struct nu_text rest = view->query, name, value;
    struct key key;
    while (route_query_next(&rest, &name, &value)) {
        make_key(&key, KIND_QUERY, name, value);
        best = try_key(set, view, &key, best);
    }
    return best;
}

static uint32_t try_method(const struct route_set *set, const struct route_view *view,
                           uint32_t best)
{
    struct key key;
    make_key(&key, KIND_METHOD, nu_text("", 0), view->method);
    return try_key(set, view, &key, best);
}

uint32_t route_set_find(const struct route_set *set, const struct route_view *view, uint32_t best)
{
    if (!set)
        return best;
    best = try_list(set, &set->tried, view, best);
    if (!set->files)
        return best;
    if (set->files->methods)
        best = try_method(set, view, best);
    if (set->files->name_count)
        best = try_headers(set, view, best);
    return set->files->queries ? try_query(set, view, best) : best;
}
