/* The query of a request to the admin; see admin_query.h. */
#include "tools/nuncio/admin_query.h"

#include <string.h>
#include <strings.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the text begins with, decoded, and how long it was; -1: none that may stand here.
 */
static int decode_one(struct nu_text text, size_t *len)
{
    int c = (unsigned char)*text.at;
    *len = 1;
    if (c == '+')
        c = ' ';
    if (c == '%') {
        int high = text.len > 2 ? hex(text.at[1]) : -1, low = text.len > 2 ? hex(text.at[2]) : -1;
        c = high < 0 || low < 0 ? -1 : high << 4 | low;
        *len = 3;
    }
    return c < 0x20 || c == 0x7f ? -1 : c;
}

/* NULL: broken. */
static const char *decode(struct nu_text text, struct nu_arena *arena)
{
    char *out = nu_arena_alloc(arena, text.len + 1), *end = out;
    for (size_t i = 0, len; i < text.len; i += len) {
        int c = decode_one(nu_text(text.at + i, text.len - i), &len);
        if (c < 0)
            return NULL;
        *end++ = (char)c;
    }
    return out;
}

static struct nu_text until(struct nu_text *rest, char mark)
{
    const char *end = rest->len ? memchr(rest->at, mark, rest->len) : NULL;
    struct nu_text head = nu_text(rest->at, end ? (size_t)(end - rest->at) : rest->len);
    size_t taken = head.len + (end != NULL);
    *rest = nu_text(rest->at + taken, rest->len - taken);
    return head;
}

static enum nu_err add(struct nu_query *out, struct nu_text item, struct nu_arena *arena)
{
    struct nu_text name_text = until(&item, '=');
    const char *name = decode(name_text, arena), *value = decode(item, arena);
    if (!name || !value)
        return NU_ERR_SYNTAX;
    if (nu_query_get(out, name))
        return NU_ERR_EXISTS;
    if (out->count == NU_QUERY_PARAMS_MAX)
        return NU_ERR_LIMIT;
    out->params[out->count].name = name;
    out->params[out->count++].value = value;
    return NU_OK;
}

enum nu_err nu_query_parse(struct nu_text target, struct nu_arena *arena, struct nu_text *path,
                           struct nu_query *out)
{
    enum nu_err err = NU_OK;
    out->count = 0;
    *path = until(&target, '?');
    while (target.len && !err) {
        struct nu_text item = until(&target, '&');
        if (item.len)
            err = add(out, item, arena);
    }
    return err;
}

const char *nu_query_get(const struct nu_query *query, const char *name)
{
    for (unsigned i = 0; i < query->count; i++)
        if (strcmp(query->params[i].name, name) == 0)
            return query->params[i].value;
    return NULL;
}

bool nu_query_flag(const struct nu_query *query, const char *name)
{
    static const char *const off[] = {"0", "off", "false", "no"};
    const char *value = nu_query_get(query, name);
    for (size_t i = 0; value && i < sizeof off / sizeof *off; i++)
        if (strcasecmp(value, off[i]) == 0)
            return false;
    return value != NULL;
}
