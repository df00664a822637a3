/* Which figures are wanted; see stats_query.h. */
#include "tools/nuncio/stats_query.h"

#include "l7/route/regex.h"

#include <stdlib.h>
#include <string.h>

/* The pattern is compiled as one of a config is, and so are its mistakes told. */
static enum nu_err compile(const char *pattern, struct nu_stats_query *out, FILE *say)
{
    const struct nu_node node = {.kind = NU_NODE_SCALAR, .text = pattern, .quoted = true};
    struct nu_conf *conf = nu_conf_from_text("filter", ".", "", 0);
    enum nu_err err = nu_regex_parse(conf, out->arena, &node, &out->filter);
    if (err)
        fprintf(say, "error: %s", nu_conf_report(conf));
    nu_conf_free(conf);
    return err;
}

unsigned nu_stats_query_read(const struct nu_query *query, struct nu_stats_query *out, FILE *say)
{
    const char *pattern = nu_query_get(query, "filter");
    *out = (struct nu_stats_query){.used_only = nu_query_flag(query, "usedonly")};
    if (!pattern || !*pattern)
        return 200;
    out->arena = nu_arena_new(1024);
    if (compile(pattern, out, say) == NU_OK)
        return 200;
    nu_stats_query_free(out);
    return 400;
}

void nu_stats_query_free(struct nu_stats_query *query)
{
    nu_arena_free(query->arena);
    *query = (struct nu_stats_query){0};
}

bool nu_stats_query_wants_name(const struct nu_stats_query *query, const char *name)
{
    return !query->filter ||
           nu_regex_match(query->filter, nu_text(name, strlen(name))) == NU_REGEX_HIT;
}

bool nu_stats_query_wants(const struct nu_stats_query *query, const struct nu_stats_row *row)
{
    if (query->used_only && !nu_stats_row_used(row))
        return false;
    if (!query->filter)
        return true;
    char *name = nu_stats_row_name(row);
    bool wants = nu_stats_query_wants_name(query, name);
    free(name);
    return wants;
}
