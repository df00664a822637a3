/* Conditions on headers and on parameters of the query; see value.h. Several values by one name
 * (lines of a field, repeated parameters): it is enough that one of them fits. */
#include "l7/route/value.h"

#include "core/assert.h"
#include "core/table/hash.h"
#include "l7/route/regex.h"

#include <string.h>

static const char *const kinds[] = {
    [ROUTE_VALUE_EXACT] = "exact",   [ROUTE_VALUE_PREFIX] = "prefix",
    [ROUTE_VALUE_SUFFIX] = "suffix", [ROUTE_VALUE_CONTAINS] = "contains",
    [ROUTE_VALUE_REGEX] = "regex",   [ROUTE_VALUE_PRESENT] = "present",
};
#define KINDS (sizeof kinds / sizeof *kinds)

const char *route_value_kind_str(enum route_value_kind kind)
{
    return (unsigned)kind < KINDS ? kinds[kind] : "?";
}

/* --- config --- */

struct parsed {
    const char *text[ROUTE_VALUE_REGEX]; /* by kind; NULL: not given */
    const struct nu_regex *regex;
    bool present, invert;
    uint8_t kind;
};

/* The one key given. A bare value is `exact`. */
static enum nu_err check_value(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, void *out)
{
    struct parsed *p = out;
    unsigned given = 0;
    for (unsigned k = 0; k < KINDS; k++) {
        bool bare =
            k == ROUTE_VALUE_EXACT && node->kind == NU_NODE_SCALAR && !nu_node_is_null(node);
        if (!bare && !nu_node_get(node, kinds[k]))
            continue;
        p->kind = (uint8_t)k;
        given++;
    }
    if (given == 1)
        return NU_OK;
    nu_conf_error(conf, node,
                  given ? "give only one of exact, prefix, suffix, contains, regex and "
                          "present"
                        : "expected a value, or one of exact, prefix, suffix, "
                          "contains, regex and present");
    return NU_ERR_CONFIG;
}

static const struct nu_field value_fields[] = {
    {.key = "exact",
     .type = NU_STRING,
     .offset = offsetof(struct parsed, text[ROUTE_VALUE_EXACT]),
     .doc = "The whole value."},
    {.key = "prefix",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct parsed, text[ROUTE_VALUE_PREFIX]),
     .doc = "What the value begins with."},
    {.key = "suffix",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct parsed, text[ROUTE_VALUE_SUFFIX]),
     .doc = "What the value ends with."},
    {.key = "contains",
     .type = NU_STRING,
     .flags = NU_NONEMPTY,
     .offset = offsetof(struct parsed, text[ROUTE_VALUE_CONTAINS]),
     .doc = "What stands anywhere in the value."},
    {.key = "regex",
     .type = NU_CUSTOM,
     .offset = offsetof(struct parsed, regex),
     .parse = nu_regex_parse,
     .shown = "regular expression",
     .doc = "What matches anywhere in the value; anchor it with ^ and $ for the whole."},
    {.key = "present",
     .type = NU_BOOL,
     .offset = offsetof(struct parsed, present),
     .doc = "Whether there is one by that name at all."},
    {.key = "invert",
     .type = NU_BOOL,
     .offset = offsetof(struct parsed, invert),
     .fallback = "off",
     .doc = "Turns the condition round: there is no value like that."},
    {0               },
};

const struct nu_schema route_value_schema = {
    .name = "value condition",
    .doc = "A condition on a header or a parameter of the query. Of several values by one name one "
           "has to fit.",
    .size = sizeof(struct parsed),
    .fields = value_fields,
    .scalar = "exact",
    .check = check_value,
};

static enum nu_err parse_value(struct nu_conf *conf, struct nu_arena *arena,
                               const struct nu_node *node, struct route_value *out)
{
    struct parsed p = {0};
    if (nu_schema_parse(&route_value_schema, conf, arena, node, &p) != NU_OK)
        return NU_ERR_CONFIG;
    out->kind = p.kind;
    out->inverted = p.invert;
    if (p.kind < ROUTE_VALUE_REGEX)
        out->text = nu_text(p.text[p.kind], strlen(p.text[p.kind]));
    else if (p.kind == ROUTE_VALUE_REGEX)
        out->text = nu_text(nu_regex_text(p.regex), strlen(nu_regex_text(p.regex)));
    else
        out->inverted = p.invert == p.present;
    out->regex = p.regex;
    return NU_OK;
}

enum nu_err route_value_parse(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    return parse_value(conf, arena, node, out);
}

/* What a name has to be; reports. */
typedef bool name_ok_fn(struct nu_conf *conf, const struct nu_node *node);

static enum nu_err parse_map(struct nu_conf *conf, struct nu_arena *arena,
                             const struct nu_node *node, name_ok_fn *name_ok, struct nu_vec *out)
{
    enum nu_err err = NU_OK;
    *out = (struct nu_vec){0};
    if (nu_node_is_null(node))
        return NU_OK;
    if (node->kind != NU_NODE_MAP) {
        nu_conf_error(conf, node, "expected a map of names to values");
        return NU_ERR_CONFIG;
    }
    struct route_value *values = nu_arena_alloc(arena, node->count * sizeof *values);
    *out = (struct nu_vec){values, node->count};
    for (uint32_t i = 0; i < node->count; i++) {
        const struct nu_node *child = node->child[i];
        values[i].name = nu_text(nu_arena_strdup(arena, child->key), strlen(child->key));
        if (child->broken || !name_ok(conf, child) ||
            parse_value(conf, arena, child, &values[i]) != NU_OK)
            err = NU_ERR_CONFIG;
    }
    return err;
}

static bool header_name_ok(struct nu_conf *conf, const struct nu_node *node)
{
    static const char *const instead[][2] = {
        {":authority", "host"  },
        {":method",    "method"},
        {":path",      "path"  },
        {"host",       "host"  },
    };
    for (size_t i = 0; i < sizeof instead / sizeof *instead; i++)
        if (strcmp(node->key, instead[i][0]) == 0) {
            nu_conf_error_key(conf, node, "\"%s\" has a condition of its own, match.%s", node->key,
                              instead[i][1]);
            return false;
        }
    if (nu_http_name_ok(nu_text(node->key, strlen(node->key))))
        return true;
    nu_conf_error_key(conf, node, "\"%s\" is no name of a header", node->key);
    return false;
}

static bool query_name_ok(struct nu_conf *conf, const struct nu_node *node)
{
    if (*node->key && !node->key[strcspn(node->key, "&=#")])
        return true;
    nu_conf_error_key(conf, node, "\"%s\" is no name of a parameter", node->key);
    return false;
}

enum nu_err route_headers_parse(struct nu_conf *conf, struct nu_arena *arena,
                                const struct nu_node *node, void *out)
{
    struct nu_vec *vec = out;
    enum nu_err err = parse_map(conf, arena, node, header_name_ok, vec);
    struct route_value *values = vec->items;
    for (size_t i = 0; i < vec->count; i++) {
        char *name = (char *)values[i].name.at; /* our own copy */
        for (; *name; name++)
            *name = (char)nu_fold((uint8_t)*name);
        values[i].field = (uint8_t)nu_hdr_find(values[i].name.at, values[i].name.len);
    }
    return err;
}

enum nu_err route_query_parse(struct nu_conf *conf, struct nu_arena *arena,
                              const struct nu_node *node, void *out)
{
    return parse_map(conf, arena, node, query_name_ok, out);
}

/* --- requests --- */

static bool same(struct nu_text a, const char *at)
{
    return a.len == 0 || memcmp(a.at, at, a.len) == 0;
}

/* One value, `inverted` not looked at. */
static enum nu_regex_found fits(const struct route_value *value, struct nu_text text)
{
    struct nu_text want = value->text;
    switch ((enum route_value_kind)value->kind) {
    case ROUTE_VALUE_EXACT:
        return text.len == want.len && same(want, text.at);
    case ROUTE_VALUE_PREFIX:
        return text.len >= want.len && same(want, text.at);
    case ROUTE_VALUE_SUFFIX:
        return text.len >= want.len && same(want, text.at + text.len - want.len);
    case ROUTE_VALUE_CONTAINS:
        return memmem(text.at, text.len, want.at, want.len) != NULL;
    case ROUTE_VALUE_REGEX:
        return nu_regex_match(value->regex, text);
    case ROUTE_VALUE_PRESENT:
        return NU_REGEX_HIT;
    }
    return NU_REGEX_MISS;
}

bool route_value_fits(const struct route_value *value, struct nu_text text)
{
    enum nu_regex_found found = fits(value, text);
    return found == NU_REGEX_MISS ? value->inverted : found == NU_REGEX_HIT && !value->inverted;
}

static const struct nu_http_field *first_field(const struct route_value *value,
                                               const struct nu_http_head *head)
{
    return value->field != NU_HDR_OTHER ? nu_http_get(head, value->field)
                                        : nu_http_find(head, value->name);
}

bool route_header_fits(const struct route_value *value, const struct nu_http_head *head)
{
    for (const struct nu_http_field *f = first_field(value, head); f; f = nu_http_next(head, f)) {
        enum nu_regex_found found = fits(value, nu_http_field_value(f));
        if (found != NU_REGEX_MISS)
            return found == NU_REGEX_HIT && !value->inverted;
    }
    return value->inverted;
}

bool route_query_next(struct nu_text *rest, struct nu_text *name, struct nu_text *value)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->at, '&', rest->len);
    size_t len = end ? (size_t)(end - rest->at) : rest->len;
    const char *equals = memchr(rest->at, '=', len);
    size_t name_len = equals ? (size_t)(equals - rest->at) : len;
    size_t skip = equals ? name_len + 1 : len;
    *name = nu_text(rest->at, name_len);
    *value = nu_text(rest->at + skip, len - skip);
    len += end != NULL;
    *rest = nu_text(rest->at + len, rest->len - len);
    return true;
}

bool route_query_fits(const struct route_value *value, struct nu_text query)
{
    struct nu_text name, text;
    while (route_query_next(&query, &name, &text)) {
        if (name.len != value->name.len || !same(name, value->name.at))
            continue;
        enum nu_regex_found found = fits(value, text);
        if (found != NU_REGEX_MISS)
            return found == NU_REGEX_HIT && !value->inverted;
    }
    return value->inverted;
}

const char *route_value_text(const struct route_value *value, const char *what,
                             struct nu_arena *arena)
{
    static const char *const verbs[KINDS] = {"is", "begins with", "ends with", "contains",
                                             "matches"};
    const char *no = value->inverted ? "no " : "";
    if (value->kind == ROUTE_VALUE_PRESENT)
        return nu_arena_printf(arena, "%s%s %s", no, what, value->name.at);
    return nu_arena_printf(arena, "%s%s %s %s \"%s\"", no, what, value->name.at, verbs[value->kind],
                           value->text.at);
}
